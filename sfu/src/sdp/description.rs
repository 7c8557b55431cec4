//! An SDP read into sections, before its attributes mean anything.

use super::extension::Extension;
use super::{MAX_SECTIONS, SdpError};
use crate::credentials::Fingerprint;
use protocol::Kind;
use protocol::limits::MAX_SDP_BYTES;
use rtc_sdp::SessionDescription;
use rtc_sdp::description::common::Attribute;
use rtc_sdp::direction::Direction;
use std::collections::HashSet;
use std::io::Cursor;

/// A whole SDP.
#[derive(Debug)]
pub(super) struct Description {
    /// What is said once for all sections.
    pub(super) session: TransportLines,
    /// Whether the other end sends no connectivity checks.
    pub(super) is_ice_lite: bool,
    /// Whether both forms of header extensions may come on all m-lines (RFC 8285 §4.1.2).
    allows_mixed: bool,
    /// Mids of the first BUNDLE group, in its order; `None` where none is said.
    pub(super) bundle: Option<Vec<String>>,
    /// The m-lines in order.
    pub(super) sections: Vec<Section>,
}

/// One m-line with its attributes.
#[derive(Debug)]
pub(super) struct Section {
    /// `audio`, `video`, `application` …
    pub(super) media: String,
    /// For example `UDP/TLS/RTP/SAVPF`.
    pub(super) protocol: String,
    /// Payload types as they stand in the m-line.
    pub(super) formats: Vec<String>,
    /// Port 0, and not for the sake of BUNDLE.
    pub(super) is_rejected: bool,
    /// `a=mid`, or the index where there is none.
    pub(super) mid: String,
    /// Whether `a=mid` was said.
    pub(super) has_mid: bool,
    /// What the other end does on it.
    pub(super) direction: Direction,
    /// Its own transport attributes.
    pub(super) transport: TransportLines,
    /// All attributes in order.
    pub(super) attributes: Vec<Attribute>,
}

/// What a session or a section says about its transport.
#[derive(Debug, Default)]
pub(super) struct TransportLines {
    pub(super) ufrag: Option<String>,
    pub(super) pwd: Option<String>,
    /// The first that is safe.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) setup: Option<Setup>,
    pub(super) has_rtcp_mux: bool,
}

/// `a=setup` (RFC 4145).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    Active,
    Passive,
    Actpass,
}

impl Description {
    /// Reads an SDP.
    pub(super) fn read(text: &str) -> Result<Self, SdpError> {
        let tidied = tidy(text)?;
        let read = SessionDescription::unmarshal(&mut Cursor::new(tidied.as_bytes()))
            .map_err(|error| malformed(error.to_string()))?;
        let bundle = read.attributes.iter().find_map(|attribute| {
            let group = value(attribute, "group")?.strip_prefix("BUNDLE")?;
            Some(group.split_ascii_whitespace().map(str::to_owned).collect())
        });
        let session = TransportLines::read(&read.attributes);
        let direction = direction(&read.attributes).unwrap_or(Direction::SendRecv);
        let mut sections = Vec::with_capacity(read.media_descriptions.len());
        let mut mids = HashSet::new();
        for (index, media) in read.media_descriptions.into_iter().enumerate() {
            let section = Section::read(index, media, &direction)?;
            if !mids.insert(section.mid.clone()) {
                return Err(malformed(format!("two m-lines have the mid {:?}", section.mid)));
            }
            sections.push(section);
        }
        let has = |key: &str| read.attributes.iter().any(|attribute| attribute.key == key);
        let (is_ice_lite, allows_mixed) = (has("ice-lite"), has(ALLOWS_MIXED));
        Ok(Self { session, is_ice_lite, allows_mixed, bundle, sections })
    }
}

impl Description {
    /// Whether both forms of header extensions may come on a section.
    pub(super) fn allows_mixed(&self, section: &Section) -> bool {
        let says_so = |attribute: &Attribute| attribute.key == ALLOWS_MIXED;
        self.allows_mixed || section.attributes.iter().any(says_so)
    }
}

impl Section {
    fn read(
        index: usize,
        media: rtc_sdp::MediaDescription,
        session_direction: &Direction,
    ) -> Result<Self, SdpError> {
        let attributes = media.attributes;
        let said_mid = attributes.iter().find_map(|a| value(a, "mid"));
        if let Some(mid) = said_mid
            && (mid.is_empty() || mid.len() > MAX_MID_BYTES || !is_token(mid))
        {
            return Err(malformed(format!("m-line {index} has an unusable a=mid")));
        }
        let is_bundle_only = attributes.iter().any(|a| a.key == "bundle-only");
        Ok(Self {
            media: media.media_name.media,
            protocol: media.media_name.protos.join("/"),
            formats: media.media_name.formats,
            is_rejected: media.media_name.port.value == 0 && !is_bundle_only,
            has_mid: said_mid.is_some(),
            mid: said_mid.map_or_else(|| index.to_string(), str::to_owned),
            direction: direction(&attributes).unwrap_or_else(|| session_direction.clone()),
            transport: TransportLines::read(&attributes),
            attributes,
        })
    }

    /// Audio or video over DTLS-SRTP; `None` for everything else.
    fn kind(&self) -> Option<Kind> {
        if !self.protocol.contains("SAVP") {
            return None;
        }
        match self.media.as_str() {
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            _ => None,
        }
    }

    /// As [`kind`](Self::kind), unless the other end rejects the m-line.
    pub(super) fn usable_kind(&self) -> Option<Kind> {
        self.kind().filter(|_| !self.is_rejected)
    }

    /// Whether the other end would send on it.
    pub(super) fn sends(&self) -> bool {
        matches!(self.direction, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the other end would receive on it.
    pub(super) fn receives(&self) -> bool {
        matches!(self.direction, Direction::SendRecv | Direction::RecvOnly)
    }

    /// Values of all attributes with that name.
    pub(super) fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter_map(move |attribute| value(attribute, key))
    }

    /// Header extensions it names, each once.
    pub(super) fn extensions(&self) -> Vec<Extension> {
        Extension::read_all(self.values("extmap"))
    }
}

impl TransportLines {
    fn read(attributes: &[Attribute]) -> Self {
        let mut lines = Self::default();
        for attribute in attributes {
            let value = attribute.value.as_deref().unwrap_or_default().trim();
            match attribute.key.as_str() {
                "ice-ufrag" => lines.ufrag = Some(value.to_owned()),
                "ice-pwd" => lines.pwd = Some(value.to_owned()),
                "fingerprint" if lines.fingerprint.is_none() => {
                    lines.fingerprint = value.parse().ok();
                }
                "setup" => {
                    lines.setup = match value {
                        "active" => Some(Setup::Active),
                        "passive" => Some(Setup::Passive),
                        "actpass" => Some(Setup::Actpass),
                        _ => None,
                    };
                }
                "rtcp-mux" | "rtcp-mux-only" => lines.has_rtcp_mux = true,
                _ => {}
            }
        }
        lines
    }
}

/// Chromium says it once, Firefox of each m-line.
pub(super) const ALLOWS_MIXED: &str = "extmap-allow-mixed";

/// A `Malformed` whose words cannot grow with what was sent.
pub(super) fn malformed(mut why: String) -> SdpError {
    let end = why.char_indices().nth(MAX_REASON_CHARS).map(|(at, _)| at);
    why.truncate(end.unwrap_or(why.len()));
    SdpError::Malformed(why)
}

fn value<'a>(attribute: &'a Attribute, key: &str) -> Option<&'a str> {
    (attribute.key == key).then(|| attribute.value.as_deref().unwrap_or_default().trim())
}

fn direction(attributes: &[Attribute]) -> Option<Direction> {
    attributes
        .iter()
        .filter(|attribute| attribute.value.is_none())
        .map(|attribute| Direction::new(&attribute.key))
        .find(|direction| *direction != Direction::Unspecified)
}

/// Keeps the lines that mean something here, in the order that `rtc-sdp` insists on.
///
/// It refuses session lines in another order than the RFC's (several encoders write `c=` or `b=`
/// late), ids in `o=` beyond 64 bits and every type letter it does not know. None of these lines
/// matter to WebRTC, so only `m=` and `a=` are passed on.
fn tidy(text: &str) -> Result<String, SdpError> {
    if text.len() > MAX_SDP_BYTES {
        return Err(SdpError::TooLarge);
    }
    let mut lines =
        text.split('\n').map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    if lines.next().is_none_or(|(_, line)| line.trim_start_matches('\u{feff}') != "v=0") {
        return Err(malformed("it does not begin with v=0".into()));
    }
    let mut tidied = String::with_capacity(text.len() + 64);
    tidied.push_str("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n");
    let mut sections = 0;
    for (index, line) in lines {
        let number = index + 1;
        if line.len() > MAX_LINE_BYTES {
            return Err(malformed(format!("line {number} is longer than {MAX_LINE_BYTES} bytes")));
        }
        if line.chars().any(char::is_control) {
            return Err(malformed(format!("line {number} has control characters")));
        }
        match line.as_bytes() {
            [b'm', b'=', rest @ ..] => {
                sections += 1;
                if sections > MAX_SECTIONS {
                    return Err(SdpError::TooManySections);
                }
                if !rest.is_ascii() {
                    return Err(malformed(format!("line {number} is no m-line")));
                }
            }
            [b'a', b'=', ..] => {}
            [b'a'..=b'z', b'=', ..] => continue,
            _ => return Err(malformed(format!("line {number} is not <letter>=<value>"))),
        }
        tidied.push_str(line);
        tidied.push_str("\r\n");
    }
    Ok(tidied)
}

/// Token characters of RFC 8866 §9, which are safe to be written back.
pub(super) fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]".contains(&byte))
}

/// Bytes of one line. An `a=identity` has up to about 3000; a real line of ours 300.
const MAX_LINE_BYTES: usize = 4096;
/// Bytes of a mid. The header extension holds 16 in its short form; GStreamer writes `video0`.
const MAX_MID_BYTES: usize = 64;
/// Characters of an explanation that quotes the SDP.
const MAX_REASON_CHARS: usize = 200;

#[cfg(test)]
mod tests {
    use super::super::sample::offer;
    use super::*;

    fn refusal(text: &str) -> String {
        Description::read(text).unwrap_err().to_string()
    }

    #[test]
    fn lines_in_any_order_and_of_no_meaning_are_passed_over() {
        let sloppy = offer()
            .replace("o=- 1 1 IN IP4 0.0.0.0\n", "")
            .replace("a=mid:v", "b=TIAS:many\na=mid:v\nc=IN IP4\ni=a title\n\n  a=foo  ")
            .replace("t=0 0", "c=what ever\nz=1\nt=0\no=obs 99999999999999999999 x")
            .replace('\n', "\r\n");
        let read = Description::read(&sloppy).unwrap();
        assert_eq!(read.bundle, Some(vec!["a".to_owned(), "v".to_owned()]));
        let mids: Vec<&str> = read.sections.iter().map(|section| section.mid.as_str()).collect();
        assert_eq!(mids, ["a", "v"]);
    }

    #[test]
    fn what_is_no_sdp_is_refused_in_words() {
        assert_eq!(refusal(""), "the SDP is malformed: it does not begin with v=0");
        assert_eq!(
            refusal("{\"sdp\":\"v=0\"}"),
            "the SDP is malformed: it does not begin with v=0"
        );
        let line = |line: &str| refusal(&format!("v=0\r\n{line}\r\n"));
        assert_eq!(line("hello"), "the SDP is malformed: line 2 is not <letter>=<value>");
        assert_eq!(line("a=\u{7}"), "the SDP is malformed: line 2 has control characters");
        assert_eq!(line("m=bücher 9 x 1"), "the SDP is malformed: line 2 is no m-line");
        for bad in ["m=audio", "m=audio 70000 x 1", "m=audio 9 RTP//SAVPF 1", "m=books 9 x 1"] {
            assert!(line(bad).starts_with("the SDP is malformed: "), "{bad}");
        }
        let long = line(&format!("m=books 9 x {}", "1".repeat(3_000)));
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn bounds_are_kept() {
        let sections = |count: usize| format!("v=0\n{}", "m=audio 9 RTP/SAVPF 0\n".repeat(count));
        assert_eq!(Description::read(&sections(64)).unwrap().sections.len(), 64);
        assert_eq!(Description::read(&sections(65)).unwrap_err(), SdpError::TooManySections);
        let large = "v=0\n".to_owned() + &"a=x\n".repeat(MAX_SDP_BYTES / 4);
        assert_eq!(Description::read(&large).unwrap_err(), SdpError::TooLarge);
        let long = format!("v=0\na={}\n", "x".repeat(MAX_LINE_BYTES));
        assert!(refusal(&long).contains("line 2 is longer than 4096 bytes"));
    }

    #[test]
    fn mids_are_made_where_there_are_none_and_must_differ() {
        let unnamed = offer().replace("a=mid:a\n", "").replace("a=mid:v\n", "");
        let read = Description::read(&unnamed).unwrap();
        assert!(read.sections.iter().all(|section| !section.has_mid));
        assert_eq!([&read.sections[0].mid, &read.sections[1].mid], ["0", "1"]);
        assert!(refusal(&offer().replace("mid:v", "mid:a")).contains("two m-lines have the mid"));
        assert!(refusal(&offer().replace("mid:v", "mid:v v")).contains("unusable a=mid"));
        assert!(refusal(&offer().replace("mid:v", "mid:")).contains("unusable a=mid"));
    }

    #[test]
    fn a_section_without_a_direction_has_the_session_s() {
        let bare = offer().replace("a=sendrecv\n", "");
        assert!(Description::read(&bare).unwrap().sections[0].sends());
        let session = bare.replace("t=0 0", "t=0 0\na=recvonly");
        let read = Description::read(&session).unwrap();
        assert!(!read.sections[1].sends() && read.sections[1].receives());
    }

    #[test]
    fn only_media_over_dtls_is_usable() {
        for (proto, is_usable) in [
            ("UDP/TLS/RTP/SAVPF", true),
            ("UDP/TLS/RTP/SAVP", true),
            ("RTP/SAVPF", true),
            ("RTP/AVP", false),
            ("UDP/DTLS/SCTP", false),
        ] {
            let read = Description::read(&offer().replace("UDP/TLS/RTP/SAVPF", proto)).unwrap();
            assert_eq!(read.sections[0].usable_kind().is_some(), is_usable, "{proto}");
        }
    }
}
