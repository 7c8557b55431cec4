//! What pictures are encoded with.

/// A codec of pictures, by its name in SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// The AV1 specification of RTP payloads.
    Av1,
    /// RFC 6184.
    H264,
}

impl VideoCodec {
    /// In `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
            Self::H264 => "H264",
        }
    }

    /// In `a=fmtp`, where it has something to say.
    pub fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Vp8 => None,
            Self::Vp9 => Some("profile-id=0"),
            Self::Av1 => Some("level-idx=5;profile=0;tier=0"),
            Self::H264 => {
                Some("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
            }
        }
    }
}
