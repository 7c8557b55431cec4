//! The server's SDP as a client reads it: only what is needed to talk back, found by other code than
//! the server's own, so that both would have to be wrong.

use crate::Error;
use protocol::Kind;
use sfu::credentials::{DtlsRole, Fingerprint, IceCredentials, RemoteParameters};
use std::net::SocketAddr;

/// An SDP of the server.
#[derive(Clone, Debug)]
pub struct Description {
    /// Who we talk to. The role in it is ours: always the client's.
    pub remote: RemoteParameters,
    /// Where the server says it can be reached by datagrams.
    pub candidates: Vec<SocketAddr>,
    /// Where it takes streams.
    pub streams: Vec<SocketAddr>,
    /// M-lines in order.
    pub sections: Vec<Section>,
}

/// An m-line.
#[derive(Clone, Debug)]
pub struct Section {
    /// Audio or video.
    pub kind: Kind,
    /// `a=mid`.
    pub mid: String,
    /// Whether it was rejected (port 0).
    pub is_rejected: bool,
    /// Payload type and encoding name, in order.
    pub payloads: Vec<(u8, String)>,
    /// Id and URI of header extensions.
    pub extensions: Vec<(u8, String)>,
    /// SSRCs of the server's stream and of its retransmissions.
    pub ssrcs: Vec<u32>,
    /// The m-line and its attributes.
    pub lines: Vec<String>,
}

impl Section {
    /// Payload type of an encoding such as `VP8`.
    pub fn payload_type(&self, encoding: &str) -> Option<u8> {
        self.payloads
            .iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(encoding))
            .map(|(pt, _)| *pt)
    }

    /// Id of the extension whose URI ends so.
    pub fn extension(&self, suffix: &str) -> Option<u8> {
        self.extensions.iter().find(|(_, uri)| uri.ends_with(suffix)).map(|(id, _)| *id)
    }
}

impl Description {
    /// Reads an SDP; what is missing in it is named.
    pub fn read(sdp: &str) -> Result<Self, Error> {
        let missing = |what: &str| Error::Answer(format!("the SDP has no {what}:\n{sdp}"));
        let mut sections: Vec<Section> = Vec::new();
        let (mut ufrag, mut pwd, mut fingerprint) = (None, None, None);
        let (mut candidates, mut streams) = (Vec::new(), Vec::new());
        for line in sdp.lines().map(str::trim_end) {
            if let Some(media) = line.strip_prefix("m=") {
                sections.push(Section::begin(media).ok_or_else(|| missing("m-line we know"))?);
            }
            if let Some(section) = sections.last_mut() {
                section.read(line);
                section.lines.push(line.to_owned());
            }
            match line.strip_prefix("a=").and_then(|a| a.split_once(':')) {
                Some(("ice-ufrag", value)) => ufrag = Some(value.to_owned()),
                Some(("ice-pwd", value)) => pwd = Some(value.to_owned()),
                Some(("fingerprint", value)) => fingerprint = value.parse::<Fingerprint>().ok(),
                Some(("candidate", value)) => match candidate(value) {
                    Some(("udp", address)) if !candidates.contains(&address) => {
                        candidates.push(address);
                    }
                    Some(("tcp", address)) if !streams.contains(&address) => streams.push(address),
                    _ => {}
                },
                _ => {}
            }
        }
        let ufrag = ufrag.ok_or_else(|| missing("ice-ufrag"))?;
        let pwd = pwd.ok_or_else(|| missing("ice-pwd"))?;
        let remote = RemoteParameters {
            ice: IceCredentials { ufrag, pwd },
            fingerprint: fingerprint.ok_or_else(|| missing("fingerprint"))?,
            role: DtlsRole::Client,
        };
        if candidates.is_empty() {
            return Err(missing("candidate"));
        }
        Ok(Self { remote, candidates, streams, sections })
    }

    /// The candidate that a client on the same machine uses.
    pub fn nearest(&self) -> SocketAddr {
        let loopback = self.candidates.iter().find(|address| address.ip().is_loopback());
        *loopback.unwrap_or(&self.candidates[0])
    }
}

impl Section {
    fn begin(media: &str) -> Option<Self> {
        let mut words = media.split(' ');
        let kind = match words.next()? {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            _ => return None,
        };
        Some(Self {
            kind,
            mid: String::new(),
            is_rejected: words.next()? == "0",
            payloads: Vec::new(),
            extensions: Vec::new(),
            ssrcs: Vec::new(),
            lines: Vec::new(),
        })
    }

    fn read(&mut self, line: &str) {
        let Some((name, value)) = line.strip_prefix("a=").and_then(|a| a.split_once(':')) else {
            return;
        };
        let first = value.split(' ').next().unwrap_or_default();
        let rest = value.split(' ').nth(1).unwrap_or_default();
        match name {
            "mid" => self.mid = value.to_owned(),
            "rtpmap" => {
                let encoding = rest.split('/').next().unwrap_or_default().to_owned();
                self.payloads.extend(first.parse().ok().map(|pt| (pt, encoding)));
            }
            "extmap" => {
                let id = first.split('/').next().and_then(|id| id.parse().ok());
                self.extensions.extend(id.map(|id| (id, rest.to_owned())));
            }
            "ssrc" => match first.parse() {
                Ok(ssrc) if !self.ssrcs.contains(&ssrc) => self.ssrcs.push(ssrc),
                _ => {}
            },
            _ => {}
        }
    }
}

fn candidate(value: &str) -> Option<(&'static str, SocketAddr)> {
    let words: Vec<&str> = value.split(' ').collect();
    let carrier = ["udp", "tcp"]
        .into_iter()
        .find(|c| words.get(2).is_some_and(|w| w.eq_ignore_ascii_case(c)))?;
    Some((carrier, SocketAddr::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_of_the_server_is_read_with_what_the_client_needs() {
        let sdp = "v=0\r\na=ice-lite\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=ice-ufrag:abcd\r\n\
                   a=ice-pwd:0123456789012345678901\r\na=candidate:1 1 udp 2130706431 192.0.2.1 7 typ host\r\n\
                   a=candidate:2 1 udp 2130706430 127.0.0.1 7 typ host\r\na=mid:v0\r\n\
                   a=candidate:2 1 udp 2130706430 127.0.0.1 7 typ host\r\n\
                   a=candidate:3 1 tcp 1 2001:db8::1 9 typ host tcptype passive\r\n\
                   a=fingerprint:sha-256 00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00\r\n\
                   a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtpmap:96 VP8/90000\r\n\
                   a=ssrc:5 cname:x\r\na=ssrc:5 msid:x y\r\na=ssrc:6 cname:x\r\n";
        let description = Description::read(sdp).unwrap();
        let section = &description.sections[0];
        assert_eq!(description.nearest(), "127.0.0.1:7".parse().unwrap());
        assert_eq!((section.mid.as_str(), section.kind), ("v0", Kind::Video));
        assert_eq!(section.payload_type("vp8"), Some(96));
        assert_eq!(section.extension("sdes:mid"), Some(3));
        assert_eq!(section.ssrcs, [5, 6]);
        assert_eq!(description.candidates.len(), 2, "each once");
        assert_eq!(description.streams, ["[2001:db8::1]:9".parse().unwrap()]);
    }
}
