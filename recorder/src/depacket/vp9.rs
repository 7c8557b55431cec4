//! VP9 payloads (RFC 9628).

use super::bits::Bits;
use super::{Assemble, Frame, Picture, Piece};

/// Frames in a superframe at most, as its index can say.
const MAX_LAYERS: usize = 8;

/// Takes the descriptor off each payload and puts the spatial layers of a picture into one superframe.
#[derive(Debug, Default)]
pub struct Vp9;

impl Assemble for Vp9 {
    fn add(&mut self, payload: &[u8], picture: &mut Picture) -> Piece {
        let Some(descriptor) = Descriptor::read(payload) else { return Piece::Broken };
        if descriptor.is_start {
            if picture.bytes.is_empty() {
                picture.is_begun = true;
                picture.is_keyframe = !descriptor.is_inter_picture;
            }
            if picture.parts.len() >= MAX_LAYERS {
                return Piece::Broken;
            }
            picture.parts.push(picture.bytes.len());
        }
        picture.bytes.extend_from_slice(descriptor.body);
        Piece::Bytes
    }

    fn finish(&mut self, picture: Picture) -> Option<Frame> {
        let Picture { timestamp, is_keyframe, mut bytes, parts, .. } = picture;
        // The largest layer is the last; its header says the size where it is a keyframe itself.
        let first = parts.first().copied().unwrap_or(0);
        let size = is_keyframe.then(|| size(bytes.get(first..)?)).flatten();
        if parts.len() > 1 {
            append_index(&mut bytes, &parts);
        }
        Some(Frame { timestamp, is_keyframe, bytes, size, private: None })
    }
}

/// The index at the end of a superframe (VP9 bitstream, annex B): how long each frame in it is.
fn append_index(bytes: &mut Vec<u8>, parts: &[usize]) {
    let ends = parts.iter().skip(1).copied().chain([bytes.len()]);
    let sizes: Vec<u32> = parts.iter().zip(ends).map(|(begin, end)| (end - begin) as u32).collect();
    let marker = 0xc0 | 3 << 3 | (sizes.len() as u8 - 1);
    bytes.push(marker);
    for size in sizes {
        bytes.extend_from_slice(&size.to_le_bytes());
    }
    bytes.push(marker);
}

struct Descriptor<'a> {
    is_start: bool,
    is_inter_picture: bool,
    body: &'a [u8],
}

impl<'a> Descriptor<'a> {
    fn read(payload: &'a [u8]) -> Option<Self> {
        let flags = *payload.first()?;
        let [has_picture, is_inter_picture, has_layer, is_flexible] =
            [0x80, 0x40, 0x20, 0x10].map(|bit| flags & bit != 0);
        let mut at = 1;
        if has_picture {
            at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        if has_layer {
            at += if is_flexible { 1 } else { 2 };
        }
        if is_flexible && is_inter_picture {
            // Up to three references, each saying whether another follows.
            for _ in 0..3 {
                let reference = *payload.get(at)?;
                at += 1;
                if reference & 1 == 0 {
                    break;
                }
            }
        }
        if flags & 0x02 != 0 {
            at += structure_length(payload.get(at..)?)?;
        }
        Some(Self {
            is_start: flags & 0x08 != 0,
            is_inter_picture,
            body: payload.get(at..).filter(|body| !body.is_empty())?,
        })
    }
}

/// Bytes of a scalability structure (RFC 9628 §4.2.1).
fn structure_length(bytes: &[u8]) -> Option<usize> {
    let flags = *bytes.first()?;
    let layers = usize::from(flags >> 5) + 1;
    let mut at = 1;
    if flags & 0x10 != 0 {
        at += 4 * layers;
    }
    if flags & 0x08 != 0 {
        let pictures = *bytes.get(at)?;
        at += 1;
        for _ in 0..pictures {
            let picture = *bytes.get(at)?;
            at += 1 + usize::from(picture >> 2 & 0x03);
        }
    }
    Some(at)
}

/// Width and height in a keyframe's uncompressed header (VP9 bitstream §6.2).
fn size(frame: &[u8]) -> Option<(u16, u16)> {
    let mut bits = Bits::new(frame);
    (bits.number(2)? == 2).then_some(())?;
    let (low, high) = (bits.number(1)?, bits.number(1)?);
    let profile = low | high << 1;
    if profile == 3 {
        bits.flag()?;
    }
    let shows_existing = bits.flag()?;
    let is_inter = bits.flag()?;
    if shows_existing || is_inter {
        return None;
    }
    bits.number(2)?;
    (bits.number(24)? == 0x49_83_42).then_some(())?;
    if profile >= 2 {
        bits.flag()?;
    }
    const SRGB: u32 = 7;
    if bits.number(3)? == SRGB {
        if profile & 1 == 1 {
            bits.flag()?;
        }
    } else {
        bits.flag()?;
        if profile & 1 == 1 {
            bits.number(3)?;
        }
    }
    let (width, height) = (bits.number(16)? + 1, bits.number(16)? + 1);
    Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}
