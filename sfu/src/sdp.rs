//! Offers and answers.
//!
//! Pure functions between SDP text and what the router needs to know. Syntax is read by `rtc-sdp`
//! behind a tidying step; what the attributes mean is decided here. Must never know about rooms,
//! participants or packets.
//!
//! Rules that hold everywhere: ICE-lite, one transport for all m-lines, rtcp-mux, all candidates
//! in the text. Senders of SDP are many and sloppy, so reading is lenient where a meaning is
//! clear and refuses in words where it is not.

mod agreement;
mod description;
mod extension;
mod payload;
mod publish;
#[cfg(test)]
mod sample;
mod streams;
mod subscribe;
mod transport;
mod watch;
mod write;

pub use publish::{PublishAnswer, PublishSection, answer_publish};
pub use subscribe::{SlotSpec, SubscribeSection, offer_subscribe, read_answer};
pub use watch::{WatchAnswer, answer_watch};

use crate::credentials::{Fingerprint, IceCredentials};
use crate::path::HostCandidate;

/// What this end says about itself in every offer and answer.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// Our ICE credentials of this transport.
    pub ice: &'a IceCredentials,
    /// Digest of our certificate.
    pub fingerprint: &'a Fingerprint,
    /// Where we are reached, best first.
    pub candidates: &'a [HostCandidate],
    /// How often ICE was restarted.
    pub restarts: u32,
    /// Stays the same as long as the transport lives.
    pub session_id: u64,
    /// Grows with every offer or answer of a transport.
    pub session_version: u64,
}

/// Feedback messages that an m-line's end takes or wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Generic NACK (RFC 4585).
    pub nack: bool,
    /// Picture loss indication (RFC 4585).
    pub pli: bool,
    /// Full intra request (RFC 5104).
    pub fir: bool,
    /// Arrival times of all packets of the transport.
    pub transport_cc: bool,
    /// Receiver's estimate of the bandwidth.
    pub remb: bool,
}

/// Why an SDP cannot be used, in words for who wrote the other end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Longer than `MAX_SDP_BYTES`.
    #[error("the SDP is larger than {} bytes", protocol::limits::MAX_SDP_BYTES)]
    TooLarge,
    /// More than 64 m-lines.
    #[error("the SDP has more than {MAX_SECTIONS} m-lines")]
    TooManySections,
    /// Not SDP.
    #[error("the SDP is malformed: {0}")]
    Malformed(String),
    /// Nothing to send or receive.
    #[error("the SDP has no audio or video m-line that can be used")]
    NoMedia,
    /// Several m-lines, each with its own transport.
    #[error(
        "the SDP has several m-lines without a=group:BUNDLE; all media goes over one transport here"
    )]
    NoBundle,
    /// RTCP on a port of its own.
    #[error("m-line {mid:?} has no a=rtcp-mux; RTP and RTCP go over one port here")]
    NoRtcpMux {
        /// Which m-line.
        mid: String,
    },
    /// No digest of a certificate that is safe.
    #[error(
        "the SDP has no a=fingerprint with sha-256, sha-384 or sha-512; media must be DTLS-SRTP"
    )]
    NoFingerprint,
    /// No ICE credentials.
    #[error("the SDP has no usable a=ice-ufrag and a=ice-pwd")]
    NoIce,
    /// Both ends wait for connectivity checks.
    #[error("the other end is ICE-lite, as this one is: nobody would send connectivity checks")]
    BothLite,
    /// None of the codecs can be forwarded.
    #[error(
        "m-line {mid:?} has no codec that is forwarded here: Opus for audio; VP8, VP9, AV1 or H264 for video"
    )]
    NoUsableCodec {
        /// Which m-line.
        mid: String,
    },
    /// An answer names an m-line that was not offered.
    #[error("the answer has an m-line {mid:?} that was not offered")]
    UnknownMid {
        /// Which m-line.
        mid: String,
    },
}

/// M-lines of an SDP that are read. A subscriber has at most 33; more is a mistake or an attack.
const MAX_SECTIONS: usize = 64;
