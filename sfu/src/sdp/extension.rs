//! Header extensions by name (`a=extmap`, RFC 8285).

use crate::format::Extensions;
use protocol::Kind;
use rtc_sdp::direction::Direction;

/// An extension that is known here, as one `a=extmap` names it.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    /// Id in packets, 1–14.
    pub(super) id: u8,
    /// Who sends it, seen from the writer of the line.
    pub(super) direction: Direction,
    /// Which.
    pub(super) name: Name,
}

/// Extensions that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Mid,
    Rid,
    RepairedRid,
    TransportCc,
    AbsSendTime,
    AudioLevel,
    VideoOrientation,
    PlayoutDelay,
    DependencyDescriptor,
}

impl Name {
    const ALL: [Self; 9] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::TransportCc,
        Self::AbsSendTime,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::PlayoutDelay,
        Self::DependencyDescriptor,
    ];

    /// URI in `a=extmap`.
    pub(super) fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::TransportCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
        }
    }

    /// Where its id is kept.
    pub(super) fn slot(self, extensions: &mut Extensions) -> &mut Option<u8> {
        match self {
            Self::Mid => &mut extensions.mid,
            Self::Rid => &mut extensions.rid,
            Self::RepairedRid => &mut extensions.repaired_rid,
            Self::TransportCc => &mut extensions.transport_cc,
            Self::AbsSendTime => &mut extensions.abs_send_time,
            Self::AudioLevel => &mut extensions.audio_level,
            Self::VideoOrientation => &mut extensions.video_orientation,
            Self::PlayoutDelay => &mut extensions.playout_delay,
            Self::DependencyDescriptor => &mut extensions.dependency_descriptor,
        }
    }

    /// Whether an m-line of that kind may carry it.
    pub(super) fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Mid | Self::TransportCc | Self::AbsSendTime => true,
            Self::AudioLevel => kind == Kind::Audio,
            Self::Rid
            | Self::RepairedRid
            | Self::VideoOrientation
            | Self::PlayoutDelay
            | Self::DependencyDescriptor => kind == Kind::Video,
        }
    }
}

impl Extension {
    /// Reads values of `a=extmap`: the first line of each name and of each id counts.
    pub(super) fn read_all<'a>(values: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let mut extensions: Vec<Self> = Vec::new();
        for extension in values.filter_map(Self::read) {
            if !extensions.iter().any(|e| e.id == extension.id || e.name == extension.name) {
                extensions.push(extension);
            }
        }
        extensions
    }

    /// Reads `<id>[/<direction>] <uri> …`; ids above 14 need two-byte headers, which are not agreed on here.
    fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let (id, uri) = (words.next()?, words.next()?);
        let (id, direction) = match id.split_once('/') {
            Some((id, direction)) => (id, Direction::new(direction)),
            None => (id, Direction::SendRecv),
        };
        let id = id.parse().ok().filter(|id| (1..=14).contains(id))?;
        let name = Name::ALL.into_iter().find(|name| name.uri() == uri)?;
        Some(Self { id, direction, name })
    }

    /// Value of the answer's `a=extmap`, where we are the ones who receive.
    pub(super) fn receiving(&self) -> String {
        match self.direction {
            Direction::SendOnly => format!("{}/recvonly {}", self.id, self.name.uri()),
            _ => format!("{} {}", self.id, self.name.uri()),
        }
    }

    /// Value of the answer's `a=extmap`, where we are the ones who send.
    pub(super) fn sending(&self) -> String {
        match self.direction {
            Direction::RecvOnly => format!("{}/sendonly {}", self.id, self.name.uri()),
            _ => format!("{} {}", self.id, self.name.uri()),
        }
    }

    /// Whether the writer of the line would send it.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.direction, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the writer of the line would take it.
    pub(super) fn is_received(&self) -> bool {
        matches!(self.direction, Direction::SendRecv | Direction::RecvOnly)
    }
}

/// Ids of these extensions.
pub(super) fn ids<'a>(extensions: impl IntoIterator<Item = &'a Extension>) -> Extensions {
    let mut ids = Extensions::default();
    for extension in extensions {
        *extension.name.slot(&mut ids) = Some(extension.id);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_count_once_and_in_bounds() {
        let mid = Name::Mid.uri();
        let level = Name::AudioLevel.uri();
        let values = [
            format!("0 {mid}"),
            format!("15 {mid}"),
            format!("4 {mid}"),
            format!("5 {mid}"),
            format!("4 {level}"),
            format!("6/sendonly {level} vad=on"),
            "7 urn:unknown".to_owned(),
            "x".to_owned(),
        ];
        let found = Extension::read_all(values.iter().map(String::as_str));
        let ids = ids(&found);
        assert_eq!(ids, Extensions { mid: Some(4), audio_level: Some(6), ..Extensions::default() });
    }

    #[test]
    fn directions_are_turned_around_in_an_answer() {
        let read = |value: &str| Extension::read(&format!("{value} {}", Name::Mid.uri())).unwrap();
        assert!(read("1").is_sent() && read("1").is_received());
        assert!(read("1/sendonly").is_sent() && !read("1/sendonly").is_received());
        assert!(!read("1/inactive").is_sent() && !read("1/inactive").is_received());
        assert!(read("1/sendonly").receiving().starts_with("1/recvonly "));
        assert!(read("1/recvonly").sending().starts_with("1/sendonly "));
        assert!(read("1").receiving().starts_with("1 "));
    }
}
