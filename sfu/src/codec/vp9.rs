//! VP9 payload descriptors (RFC 9628 §4.2).

use super::Layer;

/// What stands in front of a piece of a VP9 layer frame, up to the scalability structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Picture number, 7 or 15 bits wide.
    pub picture_id: Option<u16>,
    /// Whether `picture_id` is 15 bits wide.
    pub is_long_picture_id: bool,
    /// Predicted from an earlier picture.
    pub is_inter_picture: bool,
    /// References are listed per frame instead of given by the scalability structure.
    pub is_flexible: bool,
    /// First packet of a layer frame.
    pub is_start: bool,
    /// Last packet of a layer frame.
    pub is_end: bool,
    /// A scalability structure follows.
    pub has_structure: bool,
    /// Not a reference for higher spatial layers of later pictures.
    pub is_not_upper_reference: bool,
    /// Layer, where the stream has layers.
    pub layer: Option<Layer>,
    /// One may switch up to this temporal layer here.
    pub is_switching_up_point: bool,
    /// Predicted from the spatial layer below in the same picture.
    pub is_inter_layer: bool,
    /// Running number of temporal base layer pictures, in non-flexible mode.
    pub tl0: Option<u8>,
    tl0_offset: usize,
    /// What follows the fields above: references in flexible mode, then the structure.
    rest_offset: usize,
}

impl Descriptor {
    /// Parses the descriptor at the beginning of `payload`; `None` if it ends inside.
    pub fn parse(payload: &[u8]) -> Option<Descriptor> {
        let flags = *payload.first()?;
        let mut descriptor = Descriptor {
            picture_id: None,
            is_long_picture_id: false,
            is_inter_picture: flags & 0x40 != 0,
            is_flexible: flags & 0x10 != 0,
            is_start: flags & 0x08 != 0,
            is_end: flags & 0x04 != 0,
            has_structure: flags & 0x02 != 0,
            is_not_upper_reference: flags & 0x01 != 0,
            layer: None,
            is_switching_up_point: false,
            is_inter_layer: false,
            tl0: None,
            tl0_offset: 0,
            rest_offset: 0,
        };
        let mut len = 1;
        if flags & HAS_PICTURE_ID != 0 {
            let high = *payload.get(len)?;
            descriptor.is_long_picture_id = high & 0x80 != 0;
            if descriptor.is_long_picture_id {
                let low = *payload.get(len + 1)?;
                descriptor.picture_id = Some(u16::from_be_bytes([high & 0x7f, low]));
                len += 2;
            } else {
                descriptor.picture_id = Some(u16::from(high));
                len += 1;
            }
        }
        if flags & HAS_LAYER != 0 {
            let byte = *payload.get(len)?;
            descriptor.layer = Some(Layer { temporal: byte >> 5, spatial: byte >> 1 & 0x07 });
            descriptor.is_switching_up_point = byte & 0x10 != 0;
            descriptor.is_inter_layer = byte & 0x01 != 0;
            len += 1;
            if !descriptor.is_flexible {
                descriptor.tl0 = Some(*payload.get(len)?);
                descriptor.tl0_offset = len;
                len += 1;
            }
        }
        descriptor.rest_offset = len;
        Some(descriptor)
    }
}

/// Width and height of each spatial layer, the smallest first, from the scalability structure that stands in the first
/// packet of keyframes. Empty where there is none, or it does not say or breaks off.
pub fn sizes(payload: &[u8]) -> Vec<(u16, u16)> {
    read_sizes(payload).unwrap_or_default()
}

fn read_sizes(payload: &[u8]) -> Option<Vec<(u16, u16)>> {
    let descriptor = Descriptor::parse(payload).filter(|descriptor| descriptor.has_structure)?;
    let mut rest = payload.get(descriptor.rest_offset..)?;
    if descriptor.is_flexible && descriptor.is_inter_picture {
        let last = rest.iter().take(MAX_REFERENCES).position(|reference| reference & 0x01 == 0)?;
        rest = rest.get(last + 1..)?;
    }
    let (&head, rest) = rest.split_first()?;
    let layers = usize::from(head >> 5) + 1;
    if head & HAS_SIZES == 0 {
        return None;
    }
    let (sizes, _) = rest.get(..4 * layers)?.as_chunks::<4>();
    let read = |size: &[u8; 4]| {
        (u16::from_be_bytes([size[0], size[1]]), u16::from_be_bytes([size[2], size[3]]))
    };
    Some(sizes.iter().map(read).collect())
}

/// Shifts picture id and TL0PICIDX in place, keeping their widths. References are relative to
/// the picture id and stay right.
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

/// Whether the packet begins a picture that needs no earlier one, in its lowest spatial layer. The
/// layers above it are keyframes only together with it.
pub fn is_keyframe(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|descriptor| {
        descriptor.is_start
            && !descriptor.is_inter_picture
            && !descriptor.is_inter_layer
            && descriptor.layer.is_none_or(|layer| layer.spatial == 0)
    })
}

const HAS_PICTURE_ID: u8 = 0x80;
const HAS_LAYER: u8 = 0x20;
const HAS_SIZES: u8 = 0x10;
/// Pictures that one may refer to.
const MAX_REFERENCES: usize = 3;
const PICTURE_ID_OFFSET: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// I, L, B, 15-bit id, non-flexible: TID 1, U, SID 2, D, TL0 9.
    const LAYERED: [u8; 5] = [0b1010_1000, 0x81, 0x02, 0b0011_0101, 9];

    #[test]
    fn a_layered_descriptor_is_read() {
        let descriptor = Descriptor::parse(&LAYERED).unwrap();
        assert_eq!(descriptor.picture_id, Some(0x0102));
        assert_eq!(descriptor.layer, Some(Layer { spatial: 2, temporal: 1 }));
        assert!(
            descriptor.is_switching_up_point && descriptor.is_inter_layer && descriptor.is_start
        );
        assert!(!descriptor.is_inter_picture && !descriptor.is_flexible && !descriptor.is_end);
        assert_eq!(descriptor.tl0, Some(9));
        for end in 0..LAYERED.len() {
            assert_eq!(Descriptor::parse(&LAYERED[..end]), None);
        }
    }

    #[test]
    fn flexible_mode_has_no_tl0() {
        let mut payload = LAYERED;
        payload[0] |= 0x10;
        let descriptor = Descriptor::parse(&payload[..4]).unwrap();
        assert_eq!((descriptor.tl0, descriptor.is_flexible), (None, true));
    }

    #[test]
    fn only_the_start_of_the_lowest_layer_of_an_independent_picture_begins_a_keyframe() {
        assert!(is_keyframe(&[0b1000_1000, 0x05]));
        assert!(is_keyframe(&[0b1010_1000, 0x05, 0, 9]), "layer 0");
        assert!(!is_keyframe(&[0b1100_1000, 0x05]), "predicted from an earlier picture");
        assert!(!is_keyframe(&[0b1000_0000, 0x05]), "a later packet");
        assert!(!is_keyframe(&LAYERED), "an upper layer");
        assert!(!is_keyframe(&[0b1010_1000, 0x05, 0b0000_0010, 9]), "an upper layer");
    }

    #[test]
    fn the_structure_tells_the_size_of_each_layer() {
        // L, B, V, 15-bit id: three layers with sizes, of a keyframe.
        let mut payload = vec![0b1010_1010, 0x81, 0x02, 0, 9, 0b0101_0000];
        let expected = [(320u16, 180u16), (640, 360), (1280, 720)];
        for (width, height) in expected {
            payload.extend_from_slice(&width.to_be_bytes());
            payload.extend_from_slice(&height.to_be_bytes());
        }
        assert_eq!(sizes(&payload), expected);
        for end in 0..payload.len() {
            assert_eq!(sizes(&payload[..end]), [], "{end}");
        }
        let mut without = payload.clone();
        without[0] &= !0x02;
        assert_eq!(sizes(&without), []);
        without[0] |= 0x02;
        without[5] &= !HAS_SIZES;
        assert_eq!(sizes(&without), []);
        // Flexible mode: two references stand between, and no number of the base layer.
        let mut flexible = vec![0b1111_1010, 0x81, 0x02, 0, 0x03, 0x02];
        flexible.extend_from_slice(&payload[5..]);
        assert_eq!(sizes(&flexible), expected);
    }

    #[test]
    fn rewriting_keeps_widths_and_wraps() {
        let mut payload = LAYERED;
        rewrite(&mut payload, 0x7fff, 250);
        assert_eq!(payload, [LAYERED[0], 0x81, 0x01, LAYERED[3], 3]);
        let mut short = [0b1000_1000, 0x7f, 0xaa];
        rewrite(&mut short, 1, 1);
        assert_eq!(short, [0b1000_1000, 0x00, 0xaa]);
    }
}
