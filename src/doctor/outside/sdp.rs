//! Offers of a native client, and where the server's answers lead.

use client::description::Description;
use client::link::Local;
use std::net::SocketAddr;

/// How the server is reached, by its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub is_tcp: bool,
    pub address: SocketAddr,
}

/// Payload type of the sound that is sent.
pub const PAYLOAD_TYPE: u8 = 111;

/// An offer to send sound with this SSRC, or to take it.
pub fn offer(local: &Local, sends: Option<u32>) -> String {
    let direction = match sends {
        Some(ssrc) => {
            format!("a=sendonly\r\na=msid:doctor doctor\r\na=ssrc:{ssrc} cname:doctor\r\n")
        }
        None => "a=recvonly\r\n".to_owned(),
    };
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\n\
         {}a=rtpmap:{PAYLOAD_TYPE} opus/48000/2\r\n{direction}",
        local.lines("actpass"),
    )
}

/// Every way that an answer names, datagrams before streams.
pub fn candidates(answer: &Description) -> Vec<Candidate> {
    let udp = answer.candidates.iter().map(|address| (false, *address));
    let tcp = answer.streams.iter().map(|address| (true, *address));
    udp.chain(tcp).map(|(is_tcp, address)| Candidate { is_tcp, address }).collect()
}
