//! Recording without decoding: RTP packets in, the bytes of WebM and Matroska files out.
//!
//! Everything here is told the time and does no input or output: the thread that writes files stands in
//! `src/`. It must never know about rooms, sessions, storage or the media plane; whoever taps the media plane
//! hands packets over, after what moderators have muted is gone.

pub mod clock;
pub mod contents;
pub mod depacket;
pub mod ebml;
pub mod matroska;
pub mod names;
pub mod reorder;
pub mod repair;
pub mod source;

pub use clock::PersonClock;
pub use matroska::{Block, Container, Media, Patch, VideoCodec, Writer};
pub use source::{Codec, Output, RtpPacket, Source};
