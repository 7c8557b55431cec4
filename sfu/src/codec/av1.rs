//! AV1 payloads (AOMedia's RTP payload format, §4.4).

use super::Layer;

/// Whether the packet begins a coded video sequence. The N bit of the aggregation header says so;
/// a sequence header in front is taken as a sign too, for packetizers that leave the bit out.
pub fn is_keyframe(payload: &[u8]) -> bool {
    let Some(aggregation) = payload.first() else { return false };
    if aggregation & CONTINUES != 0 {
        return false;
    }
    aggregation & NEW_SEQUENCE != 0
        || Elements::new(payload)
            .filter_map(|obu| obu.first().map(|header| obu_type(*header)))
            .find(|kind| *kind != TEMPORAL_DELIMITER)
            == Some(SEQUENCE_HEADER)
}

/// The layer in the OBU extension header of the first frame data in the packet.
pub fn layer(payload: &[u8]) -> Layer {
    let begins_inside = payload.first().is_some_and(|aggregation| aggregation & CONTINUES != 0);
    Elements::new(payload)
        .skip(usize::from(begins_inside))
        .find_map(|obu| {
            let extension = *obu.get(1)?;
            let has_extension = obu[0] & 0x04 != 0;
            has_extension
                .then_some(Layer { temporal: extension >> 5, spatial: extension >> 3 & 0x03 })
        })
        .unwrap_or_default()
}

/// The OBU elements of a payload. Ends at the first that does not fit.
struct Elements<'a> {
    rest: &'a [u8],
    /// Elements left; the last has no length in front. 0: all have one, their number is not told.
    left: u8,
    is_counted: bool,
}

impl<'a> Elements<'a> {
    fn new(payload: &'a [u8]) -> Self {
        match payload.split_first() {
            None => Elements { rest: &[], left: 0, is_counted: true },
            Some((aggregation, rest)) => {
                let left = aggregation >> 4 & 0x03;
                Elements { rest, left, is_counted: left != 0 }
            }
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        if self.is_counted {
            self.left = self.left.checked_sub(1)?;
            if self.left == 0 {
                return Some(std::mem::take(&mut self.rest));
            }
        }
        let element = leb128(self.rest).and_then(|(len, rest)| rest.split_at_checked(len));
        let (element, rest) = element.unwrap_or_default();
        self.rest = rest;
        (!element.is_empty()).then_some(element)
    }
}

/// A length of at most four bytes, which is more than a datagram holds.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn obu_type(header: u8) -> u8 {
    header >> 3 & 0x0f
}

/// Z: the first element goes on from the packet before.
const CONTINUES: u8 = 0x80;
/// N: first packet of a coded video sequence.
const NEW_SEQUENCE: u8 = 0x08;
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    // OBU headers without size: temporal delimiter, sequence header, frame, frame with extension.
    const DELIMITER: u8 = 2 << 3;
    const SEQUENCE: u8 = 1 << 3;
    const FRAME: u8 = 6 << 3;
    const LAYERED_FRAME: u8 = 6 << 3 | 4;

    #[test]
    fn the_new_sequence_bit_begins_a_keyframe_unless_the_packet_goes_on_from_another() {
        assert!(is_keyframe(&[0x18, FRAME, 1, 2]));
        assert!(!is_keyframe(&[0x10, FRAME, 1, 2]));
        assert!(!is_keyframe(&[0x98, FRAME, 1, 2]));
    }

    #[test]
    fn a_sequence_header_in_front_begins_a_keyframe() {
        assert!(is_keyframe(&[0x10, SEQUENCE, 0]), "alone, without length");
        assert!(is_keyframe(&[0x20, 2, SEQUENCE, 0, FRAME, 9]), "before a frame");
        assert!(is_keyframe(&[0x00, 1, DELIMITER, 2, SEQUENCE, 0]), "after a delimiter");
        assert!(!is_keyframe(&[0x20, 2, FRAME, 0, SEQUENCE, 9]), "behind a frame");
        assert!(!is_keyframe(&[0x00, 9, SEQUENCE, 0]), "a length that does not fit");
    }

    #[test]
    fn the_layer_is_that_of_the_first_extension() {
        let extension = 2 << 5 | 1 << 3;
        let expected = Layer { spatial: 1, temporal: 2 };
        assert_eq!(layer(&[0x10, LAYERED_FRAME, extension, 7]), expected);
        assert_eq!(layer(&[0x20, 2, SEQUENCE, 0, LAYERED_FRAME, extension]), expected);
        assert_eq!(layer(&[0x10, FRAME, extension]), Layer::default());
        // The tail of another packet's OBU may look like anything.
        assert_eq!(layer(&[0x90, LAYERED_FRAME, extension, 7]), Layer::default());
        assert_eq!(layer(&[0xa0, 2, 0xff, 0xff, LAYERED_FRAME, extension]), expected);
    }

    #[test]
    fn lengths_take_up_to_four_bytes() {
        assert_eq!(leb128(&[0x85, 0x01, 9]), Some((133, &[9][..])));
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0]), None);
        assert_eq!(leb128(&[0x80]), None);
    }
}
