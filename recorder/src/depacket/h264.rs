//! H.264 payloads (RFC 6184), single units, STAP-A and FU-A: what WebRTC's packetization mode 1 has.

use super::bits::Bits;
use super::{Assemble, Frame, Picture, Piece};

/// Units in a picture at most; more is a stream that never ends its pictures.
const MAX_UNITS: usize = 1_024;
/// Bytes of the largest parameter set that is kept.
const MAX_PARAMETERS: usize = 1_024;

/// Puts units together, each with its length in front, and keeps the parameter sets for the file's header.
#[derive(Debug, Default)]
pub struct H264 {
    sequence: Vec<u8>,
    picture: Vec<u8>,
    /// A unit in fragments is being put together.
    is_fragment: bool,
}

impl Assemble for H264 {
    fn add(&mut self, payload: &[u8], picture: &mut Picture) -> Piece {
        let Some((&header, rest)) = payload.split_first() else { return Piece::Broken };
        if picture.parts.len() >= MAX_UNITS {
            return Piece::Broken;
        }
        match header & TYPE {
            1..=23 => {
                self.unit(payload, picture);
                Piece::Bytes
            }
            STAP_A => {
                let mut rest = rest;
                while let Some((length, after)) = rest.split_first_chunk::<2>() {
                    let length = usize::from(u16::from_be_bytes(*length));
                    let Some((unit, next)) = after.split_at_checked(length) else {
                        return Piece::Broken;
                    };
                    if unit.is_empty() || picture.parts.len() >= MAX_UNITS {
                        return Piece::Broken;
                    }
                    self.unit(unit, picture);
                    rest = next;
                }
                Piece::Bytes
            }
            FU_A => self.fragment(header, rest, picture),
            _ => Piece::Nothing,
        }
    }

    fn finish(&mut self, picture: Picture) -> Option<Frame> {
        let private = picture.is_keyframe.then(|| self.configuration()).flatten();
        let size = picture.is_keyframe.then(|| size(&self.sequence)).flatten();
        if self.is_fragment || (picture.is_keyframe && private.is_none()) {
            self.is_fragment = false;
            return None;
        }
        Some(Frame {
            timestamp: picture.timestamp,
            is_keyframe: picture.is_keyframe,
            bytes: picture.bytes,
            size,
            private,
        })
    }

    fn reset(&mut self) {
        self.is_fragment = false;
    }
}

impl H264 {
    fn unit(&mut self, unit: &[u8], picture: &mut Picture) {
        self.note(unit, picture);
        picture.parts.push(picture.bytes.len());
        picture.bytes.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        picture.bytes.extend_from_slice(unit);
    }

    /// What a unit says of its picture, and parameter sets.
    fn note(&mut self, unit: &[u8], picture: &mut Picture) {
        picture.is_begun = true;
        match unit[0] & TYPE {
            IDR_SLICE => picture.is_keyframe = true,
            SEQUENCE_PARAMETERS if unit.len() <= MAX_PARAMETERS => self.sequence = unit.to_vec(),
            PICTURE_PARAMETERS if unit.len() <= MAX_PARAMETERS => self.picture = unit.to_vec(),
            _ => {}
        }
    }

    fn fragment(&mut self, indicator: u8, rest: &[u8], picture: &mut Picture) -> Piece {
        let Some((&header, body)) = rest.split_first() else { return Piece::Broken };
        if header & START != 0 {
            let unit_header = indicator & !TYPE | header & TYPE;
            self.note(&[unit_header], picture);
            picture.parts.push(picture.bytes.len());
            picture.bytes.extend_from_slice(&[0; 4]);
            picture.bytes.push(unit_header);
            self.is_fragment = true;
        } else if !self.is_fragment {
            return Piece::Broken;
        }
        picture.bytes.extend_from_slice(body);
        if header & END != 0
            && let Some(&at) = picture.parts.last()
        {
            self.is_fragment = false;
            let length = (picture.bytes.len() - at - 4) as u32;
            picture.bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Piece::Bytes
    }

    /// The AVC decoder configuration record (ISO/IEC 14496-15 §5.3.3.1).
    fn configuration(&self) -> Option<Vec<u8>> {
        let &[_, profile, constraints, level, ..] = self.sequence.as_slice() else { return None };
        (!self.picture.is_empty()).then_some(())?;
        let mut record = vec![1, profile, constraints, level, 0xff, 0xe1];
        for (index, unit) in [&self.sequence, &self.picture].into_iter().enumerate() {
            if index == 1 {
                record.push(1);
            }
            record.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            record.extend_from_slice(unit);
        }
        Some(record)
    }
}

/// Width and height in a sequence parameter set (H.264 §7.3.2.1.1).
fn size(unit: &[u8]) -> Option<(u16, u16)> {
    let raw = without_emulation(unit.get(1..)?);
    let mut bits = Bits::new(&raw);
    let profile = bits.number(8)?;
    bits.number(16)?;
    bits.skip_golomb()?;
    let mut chroma = 1;
    if [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile) {
        chroma = bits.golomb()?;
        if chroma == 3 {
            bits.flag()?;
        }
        bits.skip_golomb()?;
        bits.skip_golomb()?;
        bits.flag()?;
        // Scaling lists: nobody sends them in WebRTC, and reading them takes more than all the rest.
        if bits.flag()? {
            return None;
        }
    }
    bits.skip_golomb()?;
    match bits.golomb()? {
        0 => bits.skip_golomb()?,
        1 => {
            bits.flag()?;
            bits.skip_golomb()?;
            bits.skip_golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.skip_golomb()?;
            }
        }
        _ => {}
    }
    bits.skip_golomb()?;
    bits.flag()?;
    let width = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.golomb()?.checked_add(1)?;
    let is_progressive = bits.flag()?;
    let height = map_units.checked_mul(16 * (2 - u32::from(is_progressive)))?;
    if !is_progressive {
        bits.flag()?;
    }
    bits.flag()?;
    let mut crop = [0u32; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.golomb()?;
        }
    }
    let unit_x = if chroma == 1 || chroma == 2 { 2 } else { 1 };
    let unit_y = (if chroma == 1 { 2 } else { 1 }) * (2 - u32::from(is_progressive));
    let cut = |size: u32, unit: u32, a: u32, b: u32| {
        size.checked_sub(unit.checked_mul(a.checked_add(b)?)?)
    };
    let width = cut(width, unit_x, crop[0], crop[1])?;
    let height = cut(height, unit_y, crop[2], crop[3])?;
    Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

/// The bytes without the threes that keep start codes out (H.264 §7.4.1.1).
fn without_emulation(bytes: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let keeps = bytes.iter().filter(|&&byte| {
        let is_guard = zeros >= 2 && byte == 3;
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        !is_guard
    });
    keeps.copied().collect()
}

const TYPE: u8 = 0x1f;
const START: u8 = 0x80;
const END: u8 = 0x40;
const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
