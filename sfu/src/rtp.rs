//! RTP packets on the wire.
//!
//! Reads and writes headers (RFC 3550 §5.1) and their extensions (RFC 8285), and undoes
//! retransmission wrapping (RFC 4588). Knows nothing of streams, codecs or time.

/// Where the parts of one packet lie, and what its fixed header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Marker: for video the last packet of a frame, for audio the first after silence.
    pub marker: bool,
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in the clock of the payload type.
    pub timestamp: u32,
    /// Stream.
    pub ssrc: u32,
    /// Length of the header with its CSRCs and extensions.
    pub payload_offset: usize,
    /// Padding bytes at the end, the count byte included.
    pub padding: usize,
    extension_profile: u16,
    extension_offset: usize,
}

impl Header {
    /// Length of a header without CSRCs and extensions.
    pub const FIXED_LEN: usize = 12;

    /// Parses the header of a decrypted packet; `None` if any length in it does not fit.
    pub fn parse(packet: &[u8]) -> Option<Header> {
        let (fixed, _) = packet.split_first_chunk::<{ Self::FIXED_LEN }>()?;
        if fixed[0] >> 6 != VERSION {
            return None;
        }
        let csrcs = usize::from(fixed[0] & 0x0f);
        let mut payload_offset = Self::FIXED_LEN + 4 * csrcs;
        let (mut extension_profile, mut extension_offset) = (0, payload_offset);
        if fixed[0] & 0x10 != 0 {
            let head = packet.get(payload_offset..payload_offset + 4)?;
            extension_profile = u16::from_be_bytes([head[0], head[1]]);
            extension_offset = payload_offset + 4;
            payload_offset =
                extension_offset + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        }
        let body = packet.get(payload_offset..)?;
        let mut padding = 0;
        if fixed[0] & 0x20 != 0
            && let Some(last) = body.last()
        {
            padding = usize::from(*last);
            if padding == 0 || padding > body.len() {
                return None;
            }
        }
        Some(Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload_offset,
            padding,
            extension_profile,
            extension_offset,
        })
    }

    /// The extension elements, in order; `packet` is the one that was parsed.
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> ExtensionElements<'a> {
        let form = match self.extension_profile {
            ONE_BYTE_PROFILE => Form::OneByte,
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => Form::TwoByte,
            _ => return ExtensionElements { form: Form::OneByte, rest: &[] },
        };
        let rest = packet.get(self.extension_offset..self.payload_offset).unwrap_or(&[]);
        ExtensionElements { form, rest }
    }

    /// The extension element with this id, whichever of the two forms the packet uses.
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        self.extensions(packet).find(|(found, _)| *found == id).map(|(_, content)| content)
    }

    /// The payload without padding; `packet` is the one that was parsed.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let end = packet.len().saturating_sub(self.padding);
        packet.get(self.payload_offset..end).unwrap_or(&[])
    }
}

/// Iterator over `(id, content)` of a packet's extension elements. Ends at the first that does not fit.
#[derive(Clone, Debug)]
pub struct ExtensionElements<'a> {
    form: Form,
    rest: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
enum Form {
    OneByte,
    TwoByte,
}

impl<'a> Iterator for ExtensionElements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // Zero bytes between elements are padding in both forms.
        let start = self.rest.iter().position(|byte| *byte != 0)?;
        let element = &self.rest[start..];
        let (id, len, head) = match self.form {
            Form::OneByte => (element[0] >> 4, usize::from(element[0] & 0x0f) + 1, 1),
            Form::TwoByte => (element[0], usize::from(*element.get(1)?), 2),
        };
        // RFC 8285 §4.2: id 15 of the one-byte form ends the list. Id 0 with a length is no element either.
        if matches!(self.form, Form::OneByte) && matches!(id, 0 | 15) {
            self.rest = &[];
            return None;
        }
        let Some(content) = element.get(head..head + len) else {
            self.rest = &[];
            return None;
        };
        self.rest = &element[head + len..];
        Some((id, content))
    }
}

/// A header to be written.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Marker.
    pub marker: bool,
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Stream.
    pub ssrc: u32,
    /// The one contributing source: the track that the slot carries now.
    pub csrc: u32,
    /// `(id, content)`; ids 1–14 with 1–16 bytes go out in the one-byte form. Anything longer
    /// (a dependency descriptor with its structure) turns all of them into the two-byte form.
    pub extensions: &'a [(u8, &'a [u8])],
}

/// Appends a header with one CSRC to `out` and returns its length. An element that no form can
/// hold (id 0, more than 255 bytes) is left out.
pub fn write_header(out: &mut Vec<u8>, header: &Outgoing<'_>) -> usize {
    let begin = out.len();
    let has_extensions = header.extensions.iter().any(is_writable);
    out.push(VERSION << 6 | u8::from(has_extensions) << 4 | 1);
    out.push(u8::from(header.marker) << 7 | header.payload_type & 0x7f);
    out.extend_from_slice(&header.sequence.to_be_bytes());
    out.extend_from_slice(&header.timestamp.to_be_bytes());
    out.extend_from_slice(&header.ssrc.to_be_bytes());
    out.extend_from_slice(&header.csrc.to_be_bytes());
    if has_extensions {
        write_extensions(out, header.extensions);
    }
    out.len() - begin
}

/// Appends that many bytes of padding, at least one, to the packet that begins at `begin`.
pub fn pad(out: &mut Vec<u8>, begin: usize, length: u8) {
    let length = length.max(1);
    out[begin] |= HAS_PADDING;
    out.resize(out.len() + usize::from(length) - 1, 0);
    out.push(length);
}

/// Where in a header with one CSRC, as [`write_header`] writes it, the content of the first of these
/// elements begins.
pub fn first_element_offset(elements: &[(u8, &[u8])]) -> usize {
    let head = if is_one_byte(elements) { 1 } else { 2 };
    Header::FIXED_LEN + CSRC_LEN + EXTENSION_HEAD_LEN + head
}

fn is_one_byte(elements: &[(u8, &[u8])]) -> bool {
    let mut writable = elements.iter().filter(|element| is_writable(element));
    writable.all(|(id, content)| *id <= 14 && (1..=16).contains(&content.len()))
}

fn is_writable((id, content): &(u8, &[u8])) -> bool {
    *id != 0 && content.len() <= usize::from(u8::MAX)
}

fn write_extensions(out: &mut Vec<u8>, elements: &[(u8, &[u8])]) {
    let writable = || elements.iter().filter(|element| is_writable(element));
    let one_byte = is_one_byte(elements);
    let profile = if one_byte { ONE_BYTE_PROFILE } else { TWO_BYTE_PROFILE };
    out.extend_from_slice(&profile.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0, 0]);
    for (id, content) in writable() {
        if one_byte {
            out.push(id << 4 | (content.len() - 1) as u8);
        } else {
            out.extend_from_slice(&[*id, content.len() as u8]);
        }
        out.extend_from_slice(content);
    }
    let written = out.len() - length_at - 2;
    out.resize(out.len() + written.next_multiple_of(4) - written, 0);
    let words = (written.div_ceil(4) as u16).to_be_bytes();
    out[length_at..length_at + 2].copy_from_slice(&words);
}

/// Turns a retransmission (RFC 4588) back, in place, into the packet that was lost: the original
/// sequence number from its first two payload bytes, with the given payload type and SSRC.
/// `None` for one without payload, which browsers send as bandwidth probes.
pub fn restore_retransmitted<'a>(
    packet: &'a mut [u8],
    header: &Header,
    payload_type: u8,
    ssrc: u32,
) -> Option<&'a mut [u8]> {
    let original = *header.payload(packet).first_chunk::<2>()?;
    packet.copy_within(..header.payload_offset, 2);
    let restored = &mut packet[2..];
    restored[1] = restored[1] & 0x80 | payload_type & 0x7f;
    restored[2..4].copy_from_slice(&original);
    restored[8..12].copy_from_slice(&ssrc.to_be_bytes());
    Some(restored)
}

const VERSION: u8 = 2;
const HAS_PADDING: u8 = 0x20;
const CSRC_LEN: usize = 4;
/// Profile and length in front of the elements.
const EXTENSION_HEAD_LEN: usize = 4;
const ONE_BYTE_PROFILE: u16 = 0xbede;
/// The low four bits are "appbits", for the receiver to ignore.
const TWO_BYTE_PROFILE: u16 = 0x1000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn fixed(first: u8, tail: &[u8]) -> Vec<u8> {
        let mut packet = vec![first, 0x80 | 96, 0x12, 0x34, 0, 0, 0, 7, 0xca, 0xfe, 0xba, 0xbe];
        packet.extend_from_slice(tail);
        packet
    }

    /// Every slice that a header hands out lies in the packet, whatever the packet is.
    fn touch_everything(packet: &[u8]) {
        let Some(header) = Header::parse(packet) else { return };
        assert!(header.payload_offset + header.padding <= packet.len());
        assert_eq!(
            header.payload(packet).len(),
            packet.len() - header.payload_offset - header.padding
        );
        assert!(header.extensions(packet).count() <= packet.len());
        for id in 0..=u8::MAX {
            header.extension(packet, id);
        }
        for ends_early in [0, Header::FIXED_LEN, header.payload_offset] {
            header.payload(&packet[..ends_early.min(packet.len())]);
            header.extensions(&packet[..ends_early.min(packet.len())]).count();
        }
        restore_retransmitted(&mut packet.to_vec(), &header, 96, 1);
    }

    #[test]
    fn one_byte_extensions_are_found_between_padding() {
        // RFC 8285 §4.2: one element of 1 byte, one of 3, padding between and after.
        let packet = fixed(0x90, &[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0, 0, 0x22, 1, 2, 3, 0xff, 0xee]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.extension(&packet, 1), Some(&[0xaa][..]));
        assert_eq!(header.extension(&packet, 2), Some(&[1, 2, 3][..]));
        assert_eq!(header.extension(&packet, 0), None);
        assert_eq!(header.payload(&packet), [0xff, 0xee]);
        assert!(header.marker);
        assert_eq!((header.payload_type, header.sequence), (96, 0x1234));
        assert_eq!((header.timestamp, header.ssrc), (7, 0xcafe_babe));
    }

    #[test]
    fn id_15_ends_the_one_byte_form() {
        let packet = fixed(0x90, &[0xbe, 0xde, 0, 2, 0x10, 0xaa, 0xf0, 1, 0x20, 0xbb, 0, 0]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.extensions(&packet).collect::<Vec<_>>(), [(1, &[0xaa][..])]);
    }

    #[test]
    fn two_byte_extensions_may_be_empty_and_carry_appbits() {
        let packet = fixed(0x90, &[0x10, 0x05, 0, 2, 200, 0, 0, 15, 3, 1, 2, 3]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(
            header.extensions(&packet).collect::<Vec<_>>(),
            [(200, &[][..]), (15, &[1, 2, 3][..])]
        );
    }

    #[test]
    fn an_unknown_profile_has_no_elements() {
        let packet = fixed(0x90, &[0xab, 0xac, 0, 1, 0x10, 0xaa, 0, 0, 9]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.extensions(&packet).count(), 0);
        assert_eq!(header.payload(&packet), [9]);
    }

    #[test]
    fn padding_is_left_out_and_must_fit() {
        let packet = fixed(0xa0, &[1, 2, 3, 0, 2]);
        let header = Header::parse(&packet).unwrap();
        assert_eq!((header.padding, header.payload(&packet)), (2, &[1, 2, 3][..]));
        let only_padding = fixed(0xa0, &[0, 0, 3]);
        assert!(Header::parse(&only_padding).unwrap().payload(&only_padding).is_empty());
        assert_eq!(Header::parse(&fixed(0xa0, &[1, 2, 6])), None, "more than there is");
        assert_eq!(Header::parse(&fixed(0xa0, &[1, 2, 0])), None, "not even its own count");
    }

    #[test]
    fn other_versions_and_headers_that_do_not_fit_are_refused() {
        assert!(Header::parse(&fixed(0x80, &[])).is_some());
        assert_eq!(Header::parse(&fixed(0x40, &[])), None);
        assert_eq!(Header::parse(&fixed(0x81, &[1, 2, 3])), None, "one CSRC");
        assert_eq!(Header::parse(&fixed(0x90, &[0xbe, 0xde, 0])), None, "extension head");
        assert_eq!(Header::parse(&fixed(0x90, &[0xbe, 0xde, 0, 1, 0x10, 1, 0])), None, "extension");
    }

    #[test]
    fn a_retransmission_becomes_the_lost_packet() {
        let mut sent = fixed(0x90, &[0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
        let original = {
            let mut packet = sent.clone();
            packet.extend_from_slice(b"frame");
            packet
        };
        sent[1] = 0x80 | 97;
        sent[2..4].copy_from_slice(&[0x77, 0x77]);
        sent[8..12].copy_from_slice(&[1, 1, 1, 1]);
        sent.extend_from_slice(&[0x12, 0x34]);
        sent.extend_from_slice(b"frame");
        let header = Header::parse(&sent).unwrap();
        let restored = restore_retransmitted(&mut sent, &header, 96, 0xcafe_babe).unwrap();
        assert_eq!(restored, original);
    }

    #[test]
    fn a_retransmission_without_payload_is_only_a_probe() {
        let mut probe = fixed(0xa0, &[0, 0, 0, 4]);
        let header = Header::parse(&probe).unwrap();
        assert_eq!(restore_retransmitted(&mut probe, &header, 96, 1), None);
    }

    prop_compose! {
        fn elements(max_id: u8, max_len: usize)(
            ids in proptest::collection::btree_set(1..=max_id, 0..6),
            contents in vec(vec(any::<u8>(), 1..=max_len), 6),
        ) -> Vec<(u8, Vec<u8>)> {
            ids.into_iter().zip(contents).collect()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32, csrc: u32,
            elements in prop_oneof![elements(14, 16), elements(255, 255)],
            before in vec(any::<u8>(), 0..5),
            payload in vec(any::<u8>(), 0..50),
        ) {
            let borrowed: Vec<_> = elements.iter().map(|(id, content)| (*id, &content[..])).collect();
            let mut out = before.clone();
            let len = write_header(&mut out, &Outgoing {
                marker, payload_type, sequence, timestamp, ssrc, csrc, extensions: &borrowed,
            });
            prop_assert_eq!(out.len(), before.len() + len);
            out.extend_from_slice(&payload);
            let packet = &out[before.len()..];
            let header = Header::parse(packet).unwrap();
            prop_assert_eq!(header.payload_offset, len);
            prop_assert_eq!(len % 4, 0);
            prop_assert_eq!(header.marker, marker);
            prop_assert_eq!(header.payload_type, payload_type);
            prop_assert_eq!(header.sequence, sequence);
            prop_assert_eq!(header.timestamp, timestamp);
            prop_assert_eq!(header.ssrc, ssrc);
            prop_assert_eq!(&packet[12..16], &csrc.to_be_bytes());
            prop_assert_eq!(header.extensions(packet).collect::<Vec<_>>(), borrowed);
            prop_assert_eq!(header.payload(packet), &payload[..]);
            for end in 0..len {
                prop_assert_eq!(Header::parse(&packet[..end]), None);
            }
        }

        #[test]
        fn garbage_is_read_within_its_bounds(
            mut packet in vec(any::<u8>(), 0..80),
            first in prop_oneof![Just(0x90u8), Just(0xb0), Just(0xb3), any::<u8>()],
            profile in prop_oneof![Just([0xbe, 0xde]), Just([0x10, 0x00])],
            words in 0u8..12,
        ) {
            touch_everything(&packet);
            if let [begin, .., _, _, _, _] = &mut packet[..] {
                *begin = first;
            }
            if let Some(head) = packet.get_mut(12..16) {
                head[..2].copy_from_slice(&profile);
                head[2..].copy_from_slice(&[0, words]);
            }
            for end in 0..=packet.len() {
                touch_everything(&packet[..end]);
            }
        }
    }
}
