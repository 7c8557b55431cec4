//! What a payload type or an extension id means on one transport, as its SDP settled it.

use protocol::Kind;

/// A codec that is forwarded, with the parameters that decide whether a decoder can take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// Redundant Opus, RFC 2198.
    Red,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9 {
        /// `profile-id`, 0–3.
        profile: u8,
    },
    /// AOMedia's RTP payload format.
    Av1 {
        /// `profile`, 0–2.
        profile: u8,
    },
    /// RFC 6184.
    H264 {
        /// `profile_idc` and constraint flags: the first two bytes of `profile-level-id`.
        profile: u16,
        /// `packetization-mode`, 0 or 1.
        mode: u8,
    },
}

impl Codec {
    /// Audio or video.
    pub fn kind(self) -> Kind {
        match self {
            Codec::Opus | Codec::Red => Kind::Audio,
            Codec::Vp8 | Codec::Vp9 { .. } | Codec::Av1 { .. } | Codec::H264 { .. } => Kind::Video,
        }
    }

    /// RTP clock in Hz.
    pub fn clock_rate(self) -> u32 {
        match self.kind() {
            Kind::Audio => 48_000,
            Kind::Video => 90_000,
        }
    }
}

/// One payload type of an m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Payload type, 0–127.
    pub pt: u8,
    /// What it carries.
    pub codec: Codec,
    /// Payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
}

/// Ids of the header extensions of an m-line (RFC 8285), 1–14 (15–255 with two-byte headers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`
    pub mid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`
    pub rid: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`
    pub repaired_rid: Option<u8>,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`
    pub transport_cc: Option<u8>,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`
    pub abs_send_time: Option<u8>,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level`
    pub audio_level: Option<u8>,
    /// `urn:3gpp:video-orientation`
    pub video_orientation: Option<u8>,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`
    pub dependency_descriptor: Option<u8>,
}
