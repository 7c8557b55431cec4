//! AV1 payloads (AOMedia's RTP payload format, §4): OBUs without sizes, cut anywhere.

use super::bits::Bits;
use super::{Assemble, Frame, Picture, Piece};

/// Puts OBUs together, gives each its size back, and leaves out what files do not keep.
#[derive(Debug, Default)]
pub struct Av1 {
    /// An OBU whose rest is in the next packet.
    fragment: Vec<u8>,
    sequence: Vec<u8>,
}

impl Assemble for Av1 {
    fn add(&mut self, payload: &[u8], picture: &mut Picture) -> Piece {
        let Some((&aggregation, mut rest)) = payload.split_first() else { return Piece::Broken };
        let continues = aggregation & 0x80 != 0;
        let goes_on = aggregation & 0x40 != 0;
        let count = aggregation >> 4 & 0x03;
        if !continues {
            if !self.fragment.is_empty() {
                return Piece::Broken;
            }
            picture.is_begun |= picture.bytes.is_empty();
        } else if self.fragment.is_empty() {
            return Piece::Broken;
        }
        let mut index = 0u8;
        while !rest.is_empty() {
            index = index.saturating_add(1);
            // The last of a counted number has no length in front.
            let element = if index == count {
                std::mem::take(&mut rest)
            } else {
                let Some((length, after)) = leb128(rest) else { return Piece::Broken };
                let Some((element, next)) = after.split_at_checked(length) else {
                    return Piece::Broken;
                };
                rest = next;
                element
            };
            let is_first = index == 1 && continues;
            let is_last = rest.is_empty() && goes_on;
            if is_first || is_last {
                self.fragment.extend_from_slice(element);
                if self.fragment.len() > super::MAX_FRAME {
                    return Piece::Broken;
                }
                if !is_last {
                    let whole = std::mem::take(&mut self.fragment);
                    self.obu(&whole, picture);
                }
            } else {
                self.obu(element, picture);
            }
        }
        Piece::Bytes
    }

    fn finish(&mut self, picture: Picture) -> Option<Frame> {
        if !self.fragment.is_empty() {
            self.fragment.clear();
            return None;
        }
        let header = picture.is_keyframe.then(|| Sequence::read(&self.sequence)).flatten();
        if picture.is_keyframe && header.is_none() {
            return None;
        }
        Some(Frame {
            timestamp: picture.timestamp,
            is_keyframe: picture.is_keyframe,
            bytes: picture.bytes,
            size: header.as_ref().map(|header| header.size),
            private: header.map(|header| header.configuration(&self.sequence)),
        })
    }

    fn reset(&mut self) {
        self.fragment.clear();
    }
}

impl Av1 {
    /// Adds an OBU that came without its size, or with it.
    fn obu(&mut self, obu: &[u8], picture: &mut Picture) {
        let Some(&header) = obu.first() else { return };
        let kind = header >> 3 & 0x0f;
        if matches!(kind, TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
            return;
        }
        let has_extension = header & 0x04 != 0;
        let has_size = header & 0x02 != 0;
        let mut at = 1 + usize::from(has_extension);
        if has_size {
            let Some((_, after)) = obu.get(at..).and_then(leb128) else { return };
            at = obu.len() - after.len();
        }
        let Some(body) = obu.get(at..) else { return };
        let begin = picture.bytes.len();
        picture.bytes.push(header | 0x02);
        picture.bytes.extend(has_extension.then(|| obu[1]));
        write_leb128(&mut picture.bytes, body.len());
        picture.bytes.extend_from_slice(body);
        if kind == SEQUENCE_HEADER {
            picture.is_keyframe = true;
            self.sequence = picture.bytes[begin..].to_vec();
        }
    }
}

/// What a sequence header says (AV1 §5.5).
struct Sequence {
    profile: u8,
    level: u8,
    tier: bool,
    size: (u16, u16),
}

impl Sequence {
    /// Reads an OBU with its size.
    fn read(obu: &[u8]) -> Option<Self> {
        let has_extension = obu.first()? & 0x04 != 0;
        let (_, body) = leb128(obu.get(1 + usize::from(has_extension)..)?)?;
        let mut bits = Bits::new(body);
        let profile = bits.number(3)?;
        bits.flag()?;
        let is_reduced = bits.flag()?;
        let (mut level, mut tier) = (0, false);
        if is_reduced {
            level = bits.number(5)?;
        } else {
            let (mut has_model, mut delay_bits) = (false, 0);
            if bits.flag()? {
                bits.number(32)?;
                bits.number(32)?;
                if bits.flag()? {
                    bits.skip_uvlc()?;
                }
                has_model = bits.flag()?;
                if has_model {
                    delay_bits = bits.number(5)? + 1;
                    bits.number(32)?;
                    bits.number(10)?;
                }
            }
            let has_display_delay = bits.flag()?;
            let points = bits.number(5)? + 1;
            for point in 0..points {
                bits.number(12)?;
                let point_level = bits.number(5)?;
                let point_tier = if point_level > 7 { bits.flag()? } else { false };
                if has_model && bits.flag()? {
                    bits.number(delay_bits)?;
                    bits.number(delay_bits)?;
                    bits.flag()?;
                }
                if has_display_delay && bits.flag()? {
                    bits.number(4)?;
                }
                if point == 0 {
                    (level, tier) = (point_level, point_tier);
                }
            }
        }
        let (width_bits, height_bits) = (bits.number(4)? + 1, bits.number(4)? + 1);
        let width = bits.number(width_bits)?.checked_add(1)?;
        let height = bits.number(height_bits)?.checked_add(1)?;
        Some(Self {
            profile: profile as u8,
            level: level as u8,
            tier,
            size: (u16::try_from(width).ok()?, u16::try_from(height).ok()?),
        })
    }

    /// The AV1 codec configuration record (AV1 in ISOBMFF §2.3.3).
    fn configuration(&self, sequence: &[u8]) -> Vec<u8> {
        let tier = u8::from(self.tier) << 7;
        // Only profile 0 is sent by browsers. What the record says of colours is for choosing a decoder: the sequence
        // header, which follows, is what it goes by.
        let colour = if self.profile == 0 { SUBSAMPLED } else { 0 };
        let mut record = vec![0x81, self.profile << 5 | self.level, tier | colour, 0];
        record.extend_from_slice(sequence);
        record
    }
}

/// Eight bits, both chroma planes halved both ways: what every encoder of WebRTC makes in profile 0.
const SUBSAMPLED: u8 = 0x0c;

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn write_leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;
