//! Redundant audio (RFC 2198): one packet carries its frame and, in front of it, earlier ones again.
//!
//! Read once when a packet comes in, written for each receiver that takes it. Knows nothing of what the
//! blocks carry, nor of sequence numbers: RFC 2198 names earlier frames by their time alone.

/// One frame that a packet repeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier<'a> {
    /// How much earlier than the packet's own frame it began, in timestamp ticks.
    pub offset: u16,
    /// The frame; empty where there is none.
    pub payload: &'a [u8],
}

/// One block as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Payload type of what it carries.
    pub pt: u8,
    /// Ticks before the packet's timestamp.
    pub offset: u16,
    /// What it carries.
    pub payload: &'a [u8],
}

/// A redundant payload whose lengths all fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redundant<'a> {
    /// Payload type of the newest frame.
    pub primary_pt: u8,
    /// The newest frame: the packet's own.
    pub primary: &'a [u8],
    headers: &'a [u8],
    blocks: &'a [u8],
}

/// Blocks of one packet beside its own frame. Chromium sends one, its receivers take 32; more than eight would be
/// later than any buffer waits.
pub const MAX_BLOCKS: usize = 8;
/// Bytes of a redundant block's header.
const HEADER_LEN: usize = 4;
/// Bytes that a redundant block can have: its length has ten bits.
const MAX_BLOCK_LEN: usize = 0x3ff;
/// Ticks that a block can be earlier: its offset has fourteen bits, 341 ms at 48 kHz.
pub const MAX_OFFSET: u32 = 0x3fff;
/// Payload that is not exceeded for the sake of redundancy; with headers and SRTP it stays under the smallest
/// MTU in use. Frames so large are music at hundreds of kbit/s.
const MAX_LEN: usize = 1_100;

impl<'a> Redundant<'a> {
    /// Reads a payload. `None` if a length in it does not fit, or there are more blocks than anybody sends.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut count = 0;
        let mut len = 0;
        let (headers, primary_pt, rest) = loop {
            let (headers, rest) = payload.split_at_checked(HEADER_LEN * count)?;
            let (&first, after) = rest.split_first()?;
            if first & IS_REDUNDANT == 0 {
                break (headers, first, after);
            }
            count += 1;
            if count > MAX_BLOCKS {
                return None;
            }
            len += usize::from(Head::read(rest.first_chunk()?).len);
        };
        let (blocks, primary) = rest.split_at_checked(len)?;
        Some(Self { primary_pt, primary, headers, blocks })
    }

    /// The earlier frames, the earliest first as they stand.
    pub fn earlier(&self) -> impl Iterator<Item = Block<'a>> + use<'a> {
        let mut rest = self.blocks;
        let (headers, _) = self.headers.as_chunks::<HEADER_LEN>();
        headers.iter().map_while(move |header| {
            let head = Head::read(header);
            let (payload, after) = rest.split_at_checked(usize::from(head.len))?;
            rest = after;
            Some(Block { pt: head.pt, offset: head.offset, payload })
        })
    }
}

struct Head {
    pt: u8,
    offset: u16,
    len: u16,
}

impl Head {
    fn read(bytes: &[u8; HEADER_LEN]) -> Self {
        Self {
            pt: bytes[0] & !IS_REDUNDANT,
            offset: u16::from_be_bytes([bytes[1], bytes[2]]) >> 2,
            len: u16::from_be_bytes([bytes[2], bytes[3]]) & MAX_BLOCK_LEN as u16,
        }
    }
}

/// Appends a payload whose blocks are all of type `pt`. `earlier` is in the order of going back: the frame just
/// before comes first. What a block cannot hold, and what would make the packet too long, is left out, the
/// earliest first.
pub fn write(out: &mut Vec<u8>, pt: u8, earlier: &[Earlier<'_>], primary: &[u8]) {
    let begin = out.len();
    let fits = |block: &Earlier<'_>| {
        (1..=MAX_BLOCK_LEN).contains(&block.payload.len())
            && (1..=MAX_OFFSET).contains(&u32::from(block.offset))
    };
    let mut left = MAX_LEN.saturating_sub(primary.len() + 1);
    let taken = earlier.iter().take(MAX_BLOCKS).take_while(|block| {
        let len = if fits(block) { HEADER_LEN + block.payload.len() } else { 0 };
        let has_room = len <= left;
        left = left.saturating_sub(len);
        has_room
    });
    let taken = taken.count();
    let blocks = || earlier[..taken].iter().rev().filter(|block| fits(block));
    for block in blocks() {
        let [high, low] = (block.offset << 2 | (block.payload.len() as u16) >> 8).to_be_bytes();
        out.extend_from_slice(&[IS_REDUNDANT | pt, high, low, block.payload.len() as u8]);
    }
    out.push(pt & !IS_REDUNDANT);
    for block in blocks() {
        out.extend_from_slice(block.payload);
    }
    out.extend_from_slice(primary);
    debug_assert!(out.len() - begin <= MAX_LEN.max(primary.len() + 1));
}

/// Set in the header of every block but the last.
const IS_REDUNDANT: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn the_primary_block_stands_behind_the_redundant_ones() {
        let alone = Redundant::parse(&[111, 1, 2, 3]).unwrap();
        assert_eq!((alone.primary_pt, alone.primary), (111, &[1, 2, 3][..]));
        assert_eq!(alone.earlier().count(), 0);
        // One redundant block: 960 ticks earlier, 2 bytes.
        let bytes = [0x80 | 111, 0x0f, 0x00, 2, 111, 9, 9, 1, 2, 3];
        let both = Redundant::parse(&bytes).unwrap();
        assert_eq!(both.primary, [1, 2, 3]);
        let earlier = Block { pt: 111, offset: 960, payload: &[9, 9] };
        assert_eq!(both.earlier().collect::<Vec<_>>(), [earlier]);
        for end in 0..7 {
            assert_eq!(Redundant::parse(&bytes[..end]), None, "{end}");
        }
        assert!(Redundant::parse(&bytes[..7]).unwrap().primary.is_empty());
    }

    #[test]
    fn blocks_without_end_are_refused() {
        let many = [0x80, 0, 0, 0].repeat(MAX_BLOCKS + 1);
        assert_eq!(Redundant::parse(&[&many[..], &[111]].concat()), None);
        assert!(Redundant::parse(&[&many[4..], &[111]].concat()).is_some());
    }

    #[test]
    fn what_a_block_cannot_hold_is_left_out_and_the_frame_itself_never() {
        let long = vec![7; MAX_BLOCK_LEN + 1];
        let cases = [
            Earlier { offset: 960, payload: &long },
            Earlier { offset: 0, payload: &[1] },
            Earlier { offset: 0x4000, payload: &[1] },
            Earlier::default(),
        ];
        for earlier in cases {
            let mut out = Vec::new();
            write(&mut out, 111, &[earlier], &[5; 3]);
            assert_eq!(out, [111, 5, 5, 5], "{earlier:?}");
        }
        let mut out = Vec::new();
        let (near, far) = ([1; 600], [2; 600]);
        let earlier =
            [Earlier { offset: 960, payload: &near }, Earlier { offset: 1920, payload: &far }];
        write(&mut out, 111, &earlier, &[3; 80]);
        let read = Redundant::parse(&out).unwrap();
        assert_eq!(read.earlier().map(|block| block.payload).collect::<Vec<_>>(), [&near[..]]);
        out.clear();
        write(&mut out, 111, &earlier, &[3; 1275]);
        assert_eq!(out.len(), 1276, "the longest frame of Opus goes alone");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            pt in 0u8..128,
            frames in vec((1u16..=0x3fff, vec(any::<u8>(), 1..100)), 0..=MAX_BLOCKS),
            primary in vec(any::<u8>(), 0..200),
            before in vec(any::<u8>(), 0..5),
        ) {
            let earlier: Vec<Earlier<'_>> =
                frames.iter().map(|(offset, payload)| Earlier { offset: *offset, payload }).collect();
            let mut out = before.clone();
            write(&mut out, pt, &earlier, &primary);
            let read = Redundant::parse(&out[before.len()..]).unwrap();
            prop_assert_eq!((read.primary_pt, read.primary), (pt, &primary[..]));
            let mut blocks: Vec<Block<'_>> = read.earlier().collect();
            blocks.reverse();
            let expected: Vec<Block<'_>> =
                earlier.iter().map(|e| Block { pt, offset: e.offset, payload: e.payload }).collect();
            prop_assert_eq!(blocks, expected);
        }

        #[test]
        fn whatever_comes_every_block_lies_in_the_packet(
            payload in vec(prop_oneof![any::<u8>(), Just(0x80), Just(0), Just(111)], 0..200),
        ) {
            let Some(read) = Redundant::parse(&payload) else { return Ok(()) };
            let blocks: Vec<Block<'_>> = read.earlier().collect();
            prop_assert!(blocks.len() <= MAX_BLOCKS);
            let heads = HEADER_LEN * blocks.len() + 1;
            let carried: usize = blocks.iter().map(|block| block.payload.len()).sum();
            prop_assert_eq!(heads + carried + read.primary.len(), payload.len());
        }
    }
}
