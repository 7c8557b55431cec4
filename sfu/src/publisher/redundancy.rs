//! Sound that repeats itself (RFC 2198) is taken apart where it comes in: what was lost on the way here is put
//! back in its place, and the packet goes on as plain Opus. Nothing behind this file knows of redundancy;
//! for receivers that take it, slots make it anew.

use crate::codec::opus;
use crate::codec::red::{Block, Redundant};
use crate::rtp::Header;
use crate::track::Encoding;

/// How many packets back a block may belong. More would be for a buffer that waits longer than people do.
const MAX_DISTANCE: u32 = 8;

/// Which packet a block is of, if that one was lost: blocks are named by time alone, so only
/// where sound went on without a pause is it sure. Anything else stays lost.
pub fn lost_packet(
    encoding: &Encoding,
    newest: (u64, u32),
    block: &Block<'_>,
) -> Option<(u64, u32)> {
    let (sequence, timestamp) = newest;
    let duration = opus::duration(block.payload)?;
    let offset = u32::from(block.offset);
    let distance = offset / duration;
    if !offset.is_multiple_of(duration) || !(1..=MAX_DISTANCE).contains(&distance) {
        return None;
    }
    let sequence = sequence.checked_sub(u64::from(distance))?;
    let timestamp = timestamp.wrapping_sub(offset);
    let is_lost = encoding.nack.is_missing(sequence);
    (is_lost && stands_between(encoding, sequence, timestamp)).then_some((sequence, timestamp))
}

/// Whether the timestamps of both neighbours, where they are here, leave the place to this one.
fn stands_between(encoding: &Encoding, sequence: u64, timestamp: u32) -> bool {
    let of = |sequence| Some(Header::parse(encoding.cache.get(sequence)?)?.timestamp);
    let is_after = |earlier: u32| timestamp.wrapping_sub(earlier) as i32 > 0;
    let is_before = |later: u32| later.wrapping_sub(timestamp) as i32 > 0;
    of(sequence - 1).is_none_or(is_after) && of(sequence + 1).is_none_or(is_before)
}

/// Writes the packet that a block was: what stands in front of it is the header of the one that repeats it, without
/// extensions, whose values are of another moment.
pub fn write_lost(
    out: &mut Vec<u8>,
    header: &Header,
    (sequence, timestamp): (u64, u32),
    block: &Block<'_>,
) {
    out.clear();
    out.extend_from_slice(&[VERSION_2, block.pt]);
    out.extend_from_slice(&(sequence as u16).to_be_bytes());
    out.extend_from_slice(&timestamp.to_be_bytes());
    out.extend_from_slice(&header.ssrc.to_be_bytes());
    out.extend_from_slice(block.payload);
}

/// Turns the packet, in place, into one of its newest frame alone, with that frame's payload type.
pub fn take_primary<'a>(packet: &'a mut [u8], header: &Header, pt: u8) -> Option<&'a mut [u8]> {
    let primary = Redundant::parse(header.payload(packet))?.primary.len();
    let end = packet.len() - header.padding;
    let begin = (end - primary).checked_sub(header.payload_offset)?;
    packet.copy_within(..header.payload_offset, begin);
    let packet = &mut packet[begin..end];
    packet[0] &= !HAS_PADDING;
    packet[1] = packet[1] & MARKER | pt;
    Some(packet)
}

/// Version 2, no padding, no extensions, no CSRCs.
const VERSION_2: u8 = 0x80;
const HAS_PADDING: u8 = 0x20;
const MARKER: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::red::{self, Earlier};
    use protocol::Kind;
    use std::time::Instant;

    /// 20 ms of Opus in four bytes.
    const FRAME: [u8; 4] = [0x78, 1, 2, 3];

    fn packet(sequence: u16, timestamp: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 111];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9]);
        packet.extend_from_slice(&FRAME);
        packet
    }

    /// An encoding that has these packets (number, timestamp).
    fn heard(packets: &[(u16, u32)]) -> Encoding {
        let mut encoding = Encoding::new(Kind::Audio, 48_000);
        let now = Instant::now();
        for &(sequence, timestamp) in packets {
            let bytes = packet(sequence, timestamp);
            let extended = encoding.sequence.unwrap(sequence);
            encoding.nack.received(now, extended);
            encoding.cache.insert(extended, &bytes, now);
        }
        encoding
    }

    fn found(encoding: &mut Encoding, newest: (u16, u32), offset: u16) -> Option<(u16, u32)> {
        let extended = encoding.sequence.unwrap(newest.0);
        encoding.nack.received(Instant::now(), extended);
        let block = Block { pt: 111, offset, payload: &FRAME };
        let found = lost_packet(encoding, (extended, newest.1), &block);
        found.map(|(sequence, timestamp)| (sequence as u16, timestamp))
    }

    #[test]
    fn a_frame_goes_back_to_where_it_was_lost() {
        let mut encoding = heard(&[(10, 0), (12, 1920)]);
        assert_eq!(found(&mut encoding, (13, 2880), 960), None, "12 is here");
        assert_eq!(found(&mut encoding, (13, 2880), 1920), Some((11, 960)));
        assert_eq!(found(&mut encoding, (13, 2880), 2880), None, "10 is here");
        assert_eq!(found(&mut encoding, (13, 2880), 1000), None, "in the middle of a frame");
        let mut wraps = heard(&[(0xfffe, u32::MAX - 959)]);
        assert_eq!(found(&mut wraps, (0, 960), 960), Some((0xffff, 0)));
    }

    #[test]
    fn across_a_pause_nothing_is_put_where_it_does_not_belong() {
        // 11 was lost; after 13 there was silence of four frames, in which nothing was sent.
        let mut encoding = heard(&[(10, 0), (12, 1920), (13, 2880)]);
        // What 14 repeats is 13, five frames ago; by its time alone it might be 9.
        assert_eq!(found(&mut encoding, (14, 2880 + 5 * 960), 5 * 960), None);
        // 16 repeats 15, which was lost; three frames ago by time, which would be 13.
        assert_eq!(found(&mut encoding, (16, 2880 + 9 * 960), 3 * 960), None);
        // Of 11's place the neighbours know that it was not then.
        let mut encoding = heard(&[(10, 0), (12, 1920)]);
        assert_eq!(found(&mut encoding, (13, 20 * 960), 2 * 960), None);
    }

    #[test]
    fn the_newest_frame_keeps_its_header() {
        let mut sent = vec![0xb0, 0x80 | 63, 0, 14, 0, 0, 0, 7, 0, 0, 0, 9];
        sent.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
        let header_len = sent.len();
        red::write(&mut sent, 111, &[Earlier { offset: 960, payload: &[5; 30] }], &FRAME);
        sent.extend_from_slice(&[0, 0, 3]);
        let header = Header::parse(&sent).unwrap();
        let mut expected = sent[..header_len].to_vec();
        expected[0] = 0x90;
        expected[1] = 0x80 | 111;
        expected.extend_from_slice(&FRAME);
        assert_eq!(take_primary(&mut sent, &header, 111).unwrap(), expected);
        let header = Header::parse(&expected).unwrap();
        assert_eq!(header.extension(&expected, 1), Some(&[0xaa][..]));
        assert_eq!(header.payload(&expected), FRAME);
    }

    #[test]
    fn a_lost_packet_is_written_as_plain_opus() {
        let header = Header::parse(&packet(14, 4800)).unwrap();
        let block = Block { pt: 111, offset: 960, payload: &FRAME };
        let mut out = vec![1, 2, 3];
        write_lost(&mut out, &header, (65_536 + 13, 3840), &block);
        assert_eq!(out, packet(13, 3840));
    }
}
