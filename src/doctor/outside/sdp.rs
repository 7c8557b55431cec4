//! Offers of a native client, and what it reads in the answers.

use sfu::Identity;
use sfu::credentials::{DtlsRole, Fingerprint, IceCredentials, RemoteParameters};
use std::net::SocketAddr;

/// How the server is reached, by its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub is_tcp: bool,
    pub address: SocketAddr,
}

/// Whom we talk to, and where.
#[derive(Clone)]
pub struct Remote {
    pub parameters: RemoteParameters,
    pub candidates: Vec<Candidate>,
}

/// Payload type of the sound that is sent.
pub const PAYLOAD_TYPE: u8 = 111;

/// An offer to send sound with this SSRC, or to take it.
pub fn offer(identity: &Identity, ice: &IceCredentials, sends: Option<u32>) -> String {
    let direction = match sends {
        Some(ssrc) => {
            format!("a=sendonly\r\na=msid:doctor doctor\r\na=ssrc:{ssrc} cname:doctor\r\n")
        }
        None => "a=recvonly\r\n".to_owned(),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\n\
         a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:actpass\r\n\
         a=rtpmap:{PAYLOAD_TYPE} opus/48000/2\r\n{direction}",
        ice.ufrag,
        ice.pwd,
        identity.fingerprint(),
    )
}

/// Reads an answer; nothing where something is missing.
pub fn read(sdp: &str) -> Option<Remote> {
    let value = |name: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(name));
    let ice = IceCredentials {
        ufrag: value("a=ice-ufrag:")?.to_owned(),
        pwd: value("a=ice-pwd:")?.to_owned(),
    };
    let fingerprint = value("a=fingerprint:")?.parse::<Fingerprint>().ok()?;
    let mut candidates: Vec<Candidate> = Vec::new();
    for candidate in sdp.lines().filter_map(|line| line.trim_end().strip_prefix("a=candidate:")) {
        let candidate = read_candidate(candidate);
        if let Some(candidate) = candidate.filter(|candidate| !candidates.contains(candidate)) {
            candidates.push(candidate);
        }
    }
    // The role in it is ours.
    let parameters = RemoteParameters { ice, fingerprint, role: DtlsRole::Client };
    Some(Remote { parameters, candidates })
}

fn read_candidate(text: &str) -> Option<Candidate> {
    let words: Vec<&str> = text.split(' ').collect();
    let address = SocketAddr::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?);
    match words.get(2)?.to_ascii_lowercase().as_str() {
        "udp" => Some(Candidate { is_tcp: false, address }),
        "tcp" => Some(Candidate { is_tcp: true, address }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_who_and_where() {
        let print = ["00"; 32].join(":");
        let sdp = format!(
            "v=0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 {print}\r\n\
             a=candidate:1 1 udp 2130706431 192.0.2.1 7 typ host\r\na=candidate:1 1 udp 2130706431 192.0.2.1 7 typ host\r\n\
             a=candidate:2 1 tcp 1 2001:db8::1 9 typ host tcptype passive\r\n"
        );
        let remote = read(&sdp).expect("an answer");
        assert_eq!(remote.parameters.ice.ufrag, "abcd");
        assert_eq!(remote.candidates.len(), 2);
        assert!(remote.candidates[1].is_tcp && remote.candidates[1].address.is_ipv6());
        assert!(read("v=0\r\n").is_none());
    }
}
