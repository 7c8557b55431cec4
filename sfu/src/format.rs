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

    /// Whether a receiver that agreed on `agreed` shows a stream of this codec as well.
    ///
    /// Only H264 has such an order: who decodes more of its tools decodes less of them too. Encoders
    /// are taken at their word, although ffmpeg announces Baseline whatever it encodes.
    pub fn is_decoded_as(self, agreed: Codec) -> bool {
        if self == agreed {
            return true;
        }
        match (self, agreed) {
            (
                Codec::H264 { profile: sent, mode: sent_mode },
                Codec::H264 { profile: taken, mode: taken_mode },
            ) => {
                let fits = match (h264_rank(sent), h264_rank(taken)) {
                    (Some(sent), Some(taken)) => sent <= taken,
                    (_, _) => sent == taken,
                };
                fits && sent_mode <= taken_mode
            }
            (_, _) => false,
        }
    }
}

/// Profiles of H264 that contain each other, the smallest first; `None` for all others.
///
/// What Baseline has beyond Constrained Baseline (slices in any order) no encoder uses.
fn h264_rank(profile: u16) -> Option<u8> {
    let [idc, constraints] = profile.to_be_bytes();
    match idc {
        0x42 => Some(0),
        0x4d if constraints & 0x80 != 0 => Some(0),
        0x58 if constraints & 0xc0 == 0xc0 => Some(0),
        0x4d => Some(1),
        0x64 => Some(2),
        _ => None,
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

impl Payload {
    /// Which of a receiver's payload types carries a stream of that codec: its own, else one
    /// whose decoder takes it too.
    pub fn carrying(codec: Codec, agreed: &[Payload]) -> Option<Payload> {
        let own = agreed.iter().find(|payload| payload.codec == codec);
        own.or_else(|| agreed.iter().find(|payload| codec.is_decoded_as(payload.codec))).copied()
    }
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
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`
    pub playout_delay: Option<u8>,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`
    pub dependency_descriptor: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h264(profile: u16, mode: u8) -> Codec {
        Codec::H264 { profile, mode }
    }

    #[test]
    fn a_decoder_of_h264_takes_smaller_profiles() {
        let (constrained, baseline, main, high) = (0x42e0, 0x4200, 0x4d00, 0x6400);
        for sent in [constrained, 0x42c0, baseline, 0x4d80, 0x58c0] {
            for taken in [constrained, baseline, main, high, 0x640c] {
                assert!(h264(sent, 1).is_decoded_as(h264(taken, 1)), "{sent:x} by {taken:x}");
            }
        }
        assert!(h264(main, 1).is_decoded_as(h264(high, 1)));
        assert!(!h264(main, 1).is_decoded_as(h264(constrained, 1)));
        assert!(!h264(high, 1).is_decoded_as(h264(main, 1)));
        assert!(!h264(0xf400, 1).is_decoded_as(h264(high, 1)), "4:4:4 is another world");
        assert!(h264(0xf400, 0).is_decoded_as(h264(0xf400, 1)));
        assert!(h264(main, 0).is_decoded_as(h264(main, 1)), "single units are a part of mode 1");
        assert!(!h264(main, 1).is_decoded_as(h264(main, 0)));
    }

    #[test]
    fn other_codecs_are_taken_as_they_are() {
        let codecs = [
            Codec::Opus,
            Codec::Vp8,
            Codec::Vp9 { profile: 0 },
            Codec::Vp9 { profile: 2 },
            Codec::Av1 { profile: 0 },
            h264(0x42e0, 1),
        ];
        for sent in codecs {
            for taken in codecs {
                assert_eq!(sent.is_decoded_as(taken), sent == taken, "{sent:?} {taken:?}");
            }
        }
    }

    #[test]
    fn a_stream_goes_out_under_its_own_payload_type_where_there_is_one() {
        let payload = |pt, codec| Payload { pt, codec, rtx: None };
        let agreed =
            [payload(96, Codec::Vp8), payload(104, h264(0x4d00, 1)), payload(106, h264(0x42e0, 1))];
        assert_eq!(Payload::carrying(h264(0x42e0, 1), &agreed), Some(agreed[2]));
        assert_eq!(Payload::carrying(h264(0x4200, 1), &agreed), Some(agreed[1]));
        assert_eq!(Payload::carrying(Codec::Vp9 { profile: 0 }, &agreed), None);
    }
}
