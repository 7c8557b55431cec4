//! VP8 payload descriptors (RFC 7741 §4.2).

/// What stands in front of a piece of a VP8 frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Picture number, 7 or 15 bits wide.
    pub picture_id: Option<u16>,
    /// Whether `picture_id` is 15 bits wide.
    pub is_long_picture_id: bool,
    /// Running number of temporal base layer frames (`TL0PICIDX`).
    pub tl0: Option<u8>,
    /// Temporal layer.
    pub tid: Option<u8>,
    /// Layer sync: depends on the base layer only.
    pub y: bool,
    /// Temporal key frame index, 5 bits.
    pub key_idx: Option<u8>,
    /// Nothing refers to this frame.
    pub is_non_reference: bool,
    /// First packet of a partition.
    pub is_start: bool,
    /// Partition, 0 the one with the frame header.
    pub partition: u8,
    /// Length of the descriptor; the partition's bytes begin here.
    pub len: usize,
    tl0_offset: usize,
}

impl Descriptor {
    /// Parses the descriptor at the beginning of `payload`; `None` if it ends inside.
    pub fn parse(payload: &[u8]) -> Option<Descriptor> {
        let first = *payload.first()?;
        let mut descriptor = Descriptor {
            picture_id: None,
            is_long_picture_id: false,
            tl0: None,
            tid: None,
            y: false,
            key_idx: None,
            is_non_reference: first & 0x20 != 0,
            is_start: first & 0x10 != 0,
            partition: first & 0x07,
            len: 1,
            tl0_offset: 0,
        };
        if first & EXTENDED == 0 {
            return Some(descriptor);
        }
        let flags = *payload.get(1)?;
        descriptor.len = 2;
        if flags & HAS_PICTURE_ID != 0 {
            let high = *payload.get(descriptor.len)?;
            descriptor.is_long_picture_id = high & 0x80 != 0;
            if descriptor.is_long_picture_id {
                let low = *payload.get(descriptor.len + 1)?;
                descriptor.picture_id = Some(u16::from_be_bytes([high & 0x7f, low]));
                descriptor.len += 2;
            } else {
                descriptor.picture_id = Some(u16::from(high));
                descriptor.len += 1;
            }
        }
        if flags & HAS_TL0 != 0 {
            descriptor.tl0 = Some(*payload.get(descriptor.len)?);
            descriptor.tl0_offset = descriptor.len;
            descriptor.len += 1;
        }
        if flags & (HAS_TID | HAS_KEY_IDX) != 0 {
            let byte = *payload.get(descriptor.len)?;
            if flags & HAS_TID != 0 {
                descriptor.tid = Some(byte >> 6);
                descriptor.y = byte & 0x20 != 0;
            }
            if flags & HAS_KEY_IDX != 0 {
                descriptor.key_idx = Some(byte & 0x1f);
            }
            descriptor.len += 1;
        }
        Some(descriptor)
    }
}

/// Shifts picture id and TL0PICIDX in place, keeping their widths, so that both run on across a
/// change of the source. A payload without them, or a broken one, stays as it is.
pub fn rewrite(payload: &mut [u8], picture_id_delta: u16, tl0_delta: u8) {
    let Some(descriptor) = Descriptor::parse(payload) else { return };
    if let Some(picture_id) = descriptor.picture_id {
        let shifted = picture_id.wrapping_add(picture_id_delta);
        if descriptor.is_long_picture_id {
            payload[PICTURE_ID_OFFSET..PICTURE_ID_OFFSET + 2]
                .copy_from_slice(&(shifted | 0x8000).to_be_bytes());
        } else {
            payload[PICTURE_ID_OFFSET] = shifted as u8 & 0x7f;
        }
    }
    if let Some(tl0) = descriptor.tl0 {
        payload[descriptor.tl0_offset] = tl0.wrapping_add(tl0_delta);
    }
}

/// Whether the packet begins a keyframe. The frame header's first byte says so (RFC 6386 §9.1).
pub fn is_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|descriptor| {
        descriptor.is_start
            && descriptor.partition == 0
            && payload.get(descriptor.len).is_some_and(|header| header & 1 == 0)
    })
}

/// Width and height, which stand in the first packet of a keyframe (RFC 6386 §9.1).
pub fn size(payload: &[u8]) -> Option<(u16, u16)> {
    let descriptor = Descriptor::parse(payload).filter(|_| is_keyframe(payload))?;
    let header = payload.get(descriptor.len..)?;
    let &[_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = header.first_chunk()? else { return None };
    // The two highest bits ask for scaling.
    let side = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
    Some((side(w0, w1), side(h0, h1))).filter(|(width, height)| *width > 0 && *height > 0)
}

const EXTENDED: u8 = 0x80;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0: u8 = 0x40;
const HAS_TID: u8 = 0x20;
const HAS_KEY_IDX: u8 = 0x10;
const PICTURE_ID_OFFSET: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// X and S, all four flags, 15-bit id 0x1234, TL0 200, TID 2 with Y, key index 5, then a keyframe header.
    const FULL: [u8; 8] = [0x90, 0xf0, 0x92, 0x34, 200, 0b1010_0101, 0x10, 0x02];

    #[test]
    fn a_full_descriptor_is_read() {
        let descriptor = Descriptor::parse(&FULL).unwrap();
        assert_eq!(descriptor.picture_id, Some(0x1234));
        assert!(descriptor.is_long_picture_id && descriptor.is_start && descriptor.y);
        assert!(!descriptor.is_non_reference);
        assert_eq!((descriptor.tl0, descriptor.tid), (Some(200), Some(2)));
        assert_eq!((descriptor.key_idx, descriptor.partition, descriptor.len), (Some(5), 0, 6));
        for end in 0..6 {
            assert_eq!(Descriptor::parse(&FULL[..end]), None);
        }
    }

    #[test]
    fn a_keyframe_tells_its_size() {
        let key = [0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x01];
        assert_eq!(size(&key), Some((640, 360)), "without the bits that scale");
        for end in 0..key.len() {
            assert_eq!(size(&key[..end]), None);
        }
        let mut delta = key;
        delta[1] |= 1;
        assert_eq!(size(&delta), None);
    }

    #[test]
    fn a_short_descriptor_has_nothing_to_rewrite() {
        let mut payload = [0x10, 0x01, 0x02];
        assert_eq!(Descriptor::parse(&payload).unwrap().len, 1);
        rewrite(&mut payload, 5, 5);
        assert_eq!(payload, [0x10, 0x01, 0x02]);
    }

    #[test]
    fn only_the_first_packet_of_the_first_partition_of_a_keyframe_begins_one() {
        assert!(is_keyframe(&FULL));
        assert!(is_keyframe(&[0x10, 0x00]));
        assert!(!is_keyframe(&[0x10, 0x01]), "an interframe");
        assert!(!is_keyframe(&[0x00, 0x00]), "a later packet");
        assert!(!is_keyframe(&[0x11, 0x00]), "a later partition");
        assert!(!is_keyframe(&[0x10]), "no frame header");
    }

    #[test]
    fn a_7_bit_picture_id_stays_7_bits_wide() {
        let mut payload = [0x80, 0x80, 0x7f, 0xaa];
        rewrite(&mut payload, 2, 9);
        assert_eq!(payload, [0x80, 0x80, 0x01, 0xaa]);
    }

    proptest! {
        #[test]
        fn a_constant_shift_keeps_steps_and_everything_else(
            picture_id in 0u16..0x8000, tl0: u8, picture_id_delta: u16, tl0_delta: u8, frames in 1u16..40,
        ) {
            let mut previous: Option<Descriptor> = None;
            for frame in 0..frames {
                let mut payload = FULL;
                let id = (picture_id + frame) & 0x7fff;
                payload[2..4].copy_from_slice(&(0x8000 | id).to_be_bytes());
                payload[4] = tl0.wrapping_add(frame as u8);
                rewrite(&mut payload, picture_id_delta, tl0_delta);
                let rewritten = Descriptor::parse(&payload).unwrap();
                prop_assert_eq!(rewritten.picture_id, Some(id.wrapping_add(picture_id_delta) & 0x7fff));
                if let Some(previous) = previous {
                    let step = |now: Option<u16>, before: Option<u16>| {
                        now.unwrap().wrapping_sub(before.unwrap()) & 0x7fff
                    };
                    prop_assert_eq!(step(rewritten.picture_id, previous.picture_id), 1);
                    prop_assert_eq!(rewritten.tl0, previous.tl0.map(|tl0| tl0.wrapping_add(1)));
                }
                prop_assert_eq!(&payload[5..], &FULL[5..]);
                prop_assert_eq!(&payload[..2], &FULL[..2]);
                previous = Some(rewritten);
            }
        }
    }
}
