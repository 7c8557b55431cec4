//! ChannelData (RFC 8656 §12.4), and how messages lie one behind the other in a stream.

use crate::message::{HEADER_LEN, MAGIC_COOKIE};

/// Numbers that channels may have (RFC 8656 §12).
pub const NUMBERS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;
/// Bytes before the payload.
pub const HEADER: usize = 4;
/// Bytes of the largest message taken from a stream: a full packet in a Send indication. Larger would let one
/// connection hold more memory, smaller would cut what fits a datagram.
pub const MAX_MESSAGE: usize = 2_048;

/// Channel and payload length of ChannelData; `None` when it is not, or cut off. Padding may follow.
pub fn read(bytes: &[u8]) -> Option<(u16, std::ops::Range<usize>)> {
    let (&[a, b, c, d], rest) = bytes.split_first_chunk()?;
    let number = u16::from_be_bytes([a, b]);
    let length = usize::from(u16::from_be_bytes([c, d]));
    (NUMBERS.contains(&number) && length <= rest.len()).then_some((number, HEADER..HEADER + length))
}

/// Appends one ChannelData message; in a stream it is padded to four bytes.
pub fn write(out: &mut Vec<u8>, number: u16, payload: &[u8], is_stream: bool) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(payload);
    if is_stream {
        out.resize(out.len() + payload.len().next_multiple_of(4) - payload.len(), 0);
    }
}

/// What stands at the head of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// More bytes are needed to tell, or to have it whole.
    Incomplete,
    /// A message of `length` bytes, behind which the next one starts at `next`.
    Whole {
        /// Bytes of the message.
        length: usize,
        /// Bytes with its padding.
        next: usize,
    },
    /// Neither STUN nor ChannelData, or too large: the stream cannot be read on.
    Broken,
}

/// Looks at the head of a stream that speaks TURN (RFC 8656 §3.1: no framing but the messages' own lengths).
pub fn frame(stream: &[u8]) -> Frame {
    let Some((&[first, _, c, d], _)) = stream.split_first_chunk() else {
        return match stream.first() {
            Some(&first) if first >= 4 && !(0x40..0x50).contains(&first) => Frame::Broken,
            _ => Frame::Incomplete,
        };
    };
    let length = usize::from(u16::from_be_bytes([c, d]));
    let (length, next) = match first {
        0..4 => {
            let cookie = &stream[HEADER..stream.len().min(HEADER + MAGIC_COOKIE.len())];
            if !MAGIC_COOKIE.starts_with(cookie) || !length.is_multiple_of(4) {
                return Frame::Broken;
            }
            (HEADER_LEN + length, HEADER_LEN + length)
        }
        0x40..0x50 => (HEADER + length, HEADER + length.next_multiple_of(4)),
        _ => return Frame::Broken,
    };
    if next > MAX_MESSAGE {
        Frame::Broken
    } else if stream.len() < next {
        Frame::Incomplete
    } else {
        Frame::Whole { length, next }
    }
}

/// Whether a stream speaks TURN: `None` while there are too few bytes to tell. ICE over TCP (RFC 4571) puts two
/// bytes of length before its first check, so the cookie stands two bytes later.
pub fn speaks_turn(stream: &[u8]) -> Option<bool> {
    let cookie = stream.get(HEADER..HEADER + MAGIC_COOKIE.len());
    match (stream.first()?, cookie) {
        (4.., _) => Some(false),
        (_, Some(cookie)) => Some(cookie == MAGIC_COOKIE),
        (_, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_bytes_tell_turn_from_ice() {
        let allocate = [0, 3, 0, 8, 0x21, 0x12, 0xa4, 0x42];
        let framed_check = [0, 100, 0, 1, 0, 80, 0x21, 0x12, 0xa4, 0x42];
        assert_eq!(speaks_turn(&allocate), Some(true));
        assert_eq!(speaks_turn(&framed_check), Some(false));
        assert_eq!(speaks_turn(&allocate[..7]), None);
        assert_eq!(speaks_turn(b"GET / HTTP/1.1"), Some(false));
        assert_eq!(speaks_turn(&[]), None);
    }

    #[test]
    fn what_is_no_message_breaks_a_stream_at_its_first_byte() {
        for bytes in [&[0x16][..], &[0x50, 0, 0, 1], b"GET ", &[0, 1, 0, 3], &[0, 1, 0, 0, 0x22]] {
            assert_eq!(frame(bytes), Frame::Broken, "{bytes:?}");
        }
        assert_eq!(frame(&[0x40, 0, 0xff, 0xff]), Frame::Broken);
        assert_eq!(frame(&[0, 1, 0xff, 0xfc, 0x21]), Frame::Broken);
    }

    proptest! {
        #[test]
        fn messages_come_out_of_a_stream_however_it_is_cut(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            cuts in prop::collection::vec(1usize..700, 1..60),
        ) {
            let mut wire = Vec::new();
            for (i, payload) in payloads.iter().enumerate() {
                write(&mut wire, 0x4000 + i as u16, payload, true);
            }
            let (mut stream, mut rest, mut seen) = (Vec::new(), &wire[..], Vec::new());
            for cut in cuts.iter().cycle().take(wire.len() + 1) {
                let (piece, after) = rest.split_at((*cut).min(rest.len()));
                stream.extend_from_slice(piece);
                rest = after;
                while let Frame::Whole { length, next } = frame(&stream) {
                    let (number, place) = read(&stream[..length]).expect("whole");
                    seen.push((number, stream[place].to_vec()));
                    stream.drain(..next);
                }
            }
            prop_assert_eq!(seen.len(), payloads.len());
            for (i, ((number, payload), sent)) in seen.iter().zip(&payloads).enumerate() {
                prop_assert_eq!(*number, 0x4000 + i as u16);
                prop_assert_eq!(payload, sent);
            }
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            read(&bytes);
            if let Frame::Whole { length, next } = frame(&bytes) {
                prop_assert!(0 < length && length <= next && next <= bytes.len());
            }
        }
    }
}
