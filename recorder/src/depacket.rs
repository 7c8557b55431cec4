//! From the payloads of RTP packets in order to whole frames as files keep them.

pub mod av1;
mod bits;
pub mod h264;
pub mod vp8;
pub mod vp9;

use crate::matroska::VideoCodec;

/// Bytes of the largest frame. More is a stream whose frames never end.
const MAX_FRAME: usize = 8 * 1024 * 1024;

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// RTP timestamp.
    pub timestamp: u32,
    /// Whether decoding may begin with it.
    pub is_keyframe: bool,
    /// As the file keeps it.
    pub bytes: Vec<u8>,
    /// Pixels, as far as keyframes tell.
    pub size: Option<(u16, u16)>,
    /// What a decoder needs beforehand (`CodecPrivate`), as far as keyframes tell.
    pub private: Option<Vec<u8>>,
}

/// One packet of a stream in order.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// RTP timestamp.
    pub timestamp: u32,
    /// The last of its picture.
    pub marker: bool,
    /// Payload.
    pub payload: &'a [u8],
}

/// A piece of a picture: what one packet adds.
enum Piece {
    /// It is in the picture now.
    Bytes,
    /// Nothing that a file would keep.
    Nothing,
    /// The packet is broken: the picture is lost.
    Broken,
}

/// How the payloads of a codec become frames.
trait Assemble: Default {
    /// Adds the payload to the picture.
    fn add(&mut self, payload: &[u8], picture: &mut Picture) -> Piece;
    /// Makes a frame of the picture.
    fn finish(&mut self, picture: Picture) -> Option<Frame>;
    /// Forgets the picture that was begun.
    fn reset(&mut self) {}
}

/// A picture whose packets come.
#[derive(Debug, Default)]
struct Picture {
    timestamp: u32,
    /// It began with its first packet.
    is_begun: bool,
    is_keyframe: bool,
    bytes: Vec<u8>,
    /// Where layer frames or units begin.
    parts: Vec<usize>,
}

/// Makes frames of one stream. After a gap nothing comes until the next keyframe: what refers to what is
/// missing would show as dirt.
#[derive(Debug)]
pub struct Depacketizer {
    codec: Codec,
    picture: Option<Picture>,
    is_waiting: bool,
}

#[derive(Debug)]
enum Codec {
    Vp8(vp8::Vp8),
    Vp9(vp9::Vp9),
    Av1(av1::Av1),
    H264(h264::H264),
}

impl Depacketizer {
    /// Waits for the first keyframe.
    pub fn new(codec: VideoCodec) -> Self {
        let codec = match codec {
            VideoCodec::Vp8 => Codec::Vp8(vp8::Vp8),
            VideoCodec::Vp9 => Codec::Vp9(vp9::Vp9),
            VideoCodec::Av1 => Codec::Av1(av1::Av1::default()),
            VideoCodec::H264 => Codec::H264(h264::H264::default()),
        };
        Self { codec, picture: None, is_waiting: true }
    }

    /// Whether nothing comes until the next keyframe.
    pub fn needs_keyframe(&self) -> bool {
        self.is_waiting
    }

    /// Packets are missing for good before the next.
    pub fn gap(&mut self) {
        self.picture = None;
        self.is_waiting = true;
        self.reset();
    }

    /// Takes the next packet; a frame when it was its last.
    pub fn push(&mut self, packet: Packet<'_>) -> Option<Frame> {
        // Padding, which probes links.
        if packet.payload.is_empty() {
            return None;
        }
        let is_another =
            self.picture.as_ref().is_some_and(|picture| picture.timestamp != packet.timestamp);
        // Its end had no marker; senders that leave it out end with the next picture's beginning.
        let ended = if is_another { self.finish() } else { None };
        let mut picture = self
            .picture
            .take()
            .unwrap_or_else(|| Picture { timestamp: packet.timestamp, ..Picture::default() });
        let piece = match &mut self.codec {
            Codec::Vp8(codec) => codec.add(packet.payload, &mut picture),
            Codec::Vp9(codec) => codec.add(packet.payload, &mut picture),
            Codec::Av1(codec) => codec.add(packet.payload, &mut picture),
            Codec::H264(codec) => codec.add(packet.payload, &mut picture),
        };
        match piece {
            Piece::Bytes | Piece::Nothing if picture.bytes.len() <= MAX_FRAME => {
                self.picture = Some(picture);
            }
            Piece::Bytes | Piece::Nothing | Piece::Broken => self.gap(),
        }
        let finished = if packet.marker { self.finish() } else { None };
        // A picture that ends without a marker and one of a single packet: both at once are too rare to keep both.
        finished.or(ended)
    }

    fn finish(&mut self) -> Option<Frame> {
        let picture = self.picture.take()?;
        if picture.bytes.is_empty() {
            return None;
        }
        if !picture.is_begun || (self.is_waiting && !picture.is_keyframe) {
            self.reset();
            return None;
        }
        let frame = match &mut self.codec {
            Codec::Vp8(codec) => codec.finish(picture),
            Codec::Vp9(codec) => codec.finish(picture),
            Codec::Av1(codec) => codec.finish(picture),
            Codec::H264(codec) => codec.finish(picture),
        };
        self.is_waiting &= frame.is_none();
        frame
    }

    fn reset(&mut self) {
        match &mut self.codec {
            Codec::Vp8(codec) => codec.reset(),
            Codec::Vp9(codec) => codec.reset(),
            Codec::Av1(codec) => codec.reset(),
            Codec::H264(codec) => codec.reset(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODECS: [VideoCodec; 4] =
        [VideoCodec::Vp8, VideoCodec::Vp9, VideoCodec::Av1, VideoCodec::H264];

    /// A keyframe of VP8 of 16 × 16 in packets of one payload byte and more.
    fn vp8(start: bool, body: &[u8]) -> Vec<u8> {
        [&[if start { 0x10 } else { 0 }][..], body].concat()
    }

    const KEYFRAME: [u8; 11] = [0, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0, 9];

    #[test]
    fn nothing_comes_before_a_keyframe_or_after_a_gap() {
        let mut depacketizer = Depacketizer::new(VideoCodec::Vp8);
        let inter = vp8(true, &[1, 2, 3]);
        let key = vp8(true, &KEYFRAME);
        let mut push = |timestamp, payload: &[u8]| {
            depacketizer.push(Packet { timestamp, marker: true, payload })
        };
        assert!(push(1, &inter).is_none());
        let frame = push(2, &key).unwrap();
        assert_eq!((frame.is_keyframe, frame.size), (true, Some((16, 16))));
        assert!(!push(3, &inter).unwrap().is_keyframe);
        depacketizer.gap();
        assert!(depacketizer.needs_keyframe());
        assert!(
            depacketizer.push(Packet { timestamp: 4, marker: true, payload: &inter }).is_none()
        );
    }

    #[test]
    fn a_frame_without_its_beginning_is_none() {
        let mut depacketizer = Depacketizer::new(VideoCodec::Vp8);
        let rest = vp8(false, &KEYFRAME);
        assert!(depacketizer.push(Packet { timestamp: 1, marker: true, payload: &rest }).is_none());
    }

    proptest! {
        #[test]
        fn nothing_from_the_wire_breaks_it(
            packets in prop::collection::vec(
                (0u32..4, any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..40),
        ) {
            for codec in CODECS {
                let mut depacketizer = Depacketizer::new(codec);
                for (timestamp, marker, payload) in &packets {
                    let packet = Packet { timestamp: *timestamp, marker: *marker, payload };
                    if let Some(frame) = depacketizer.push(packet) {
                        prop_assert!(!frame.bytes.is_empty());
                    }
                }
            }
        }
    }
}
