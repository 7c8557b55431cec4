//! VP8 payloads (RFC 7741).

use super::{Assemble, Frame, Picture, Piece};

/// Takes the descriptor off each payload.
#[derive(Debug, Default)]
pub struct Vp8;

impl Assemble for Vp8 {
    fn add(&mut self, payload: &[u8], picture: &mut Picture) -> Piece {
        let Some((is_start, body)) = split(payload) else { return Piece::Broken };
        if is_start && picture.bytes.is_empty() {
            picture.is_begun = true;
            // The lowest bit of a frame's header: 0 in keyframes (RFC 6386 §9.1).
            picture.is_keyframe = body.first().is_some_and(|byte| byte & 1 == 0);
        }
        picture.bytes.extend_from_slice(body);
        Piece::Bytes
    }

    fn finish(&mut self, picture: Picture) -> Option<Frame> {
        let size = picture.is_keyframe.then(|| size(&picture.bytes)).flatten();
        if picture.is_keyframe && size.is_none() {
            return None;
        }
        Some(Frame {
            timestamp: picture.timestamp,
            is_keyframe: picture.is_keyframe,
            size,
            private: None,
            bytes: picture.bytes,
        })
    }
}

/// Whether a payload begins a frame, and what stands behind its descriptor (§4.2).
fn split(payload: &[u8]) -> Option<(bool, &[u8])> {
    let flags = *payload.first()?;
    let mut at = 1;
    if flags & 0x80 != 0 {
        let extension = *payload.get(at)?;
        at += 1;
        if extension & 0x80 != 0 {
            at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(extension & 0x40 != 0);
        at += usize::from(extension & 0x30 != 0);
    }
    let is_start = flags & 0x10 != 0 && flags & 0x07 == 0;
    Some((is_start, payload.get(at..).filter(|body| !body.is_empty())?))
}

/// Width and height in a keyframe's header (RFC 6386 §9.1).
fn size(frame: &[u8]) -> Option<(u16, u16)> {
    let &[_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = frame else { return None };
    Some((u16::from_le_bytes([w0, w1]) & 0x3fff, u16::from_le_bytes([h0, h1]) & 0x3fff))
}
