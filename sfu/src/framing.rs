//! Packets on a stream (RFC 4571): two bytes of length in front of each.

use std::ops::Range;

/// Bytes in front of each packet.
pub const HEADER: usize = 2;

/// A stream whose next frame is longer than its reader takes: nothing behind it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes")]
pub struct TooLong {
    /// What the frame says it has.
    pub length: usize,
}

/// Where the packet lies that `stream` begins with, once all of it is there. It may be empty, which means
/// nothing.
///
/// # Errors
/// When it has more than `longest` bytes, as soon as its header is there.
pub fn first(stream: &[u8], longest: usize) -> Result<Option<Range<usize>>, TooLong> {
    let Some((&header, rest)) = stream.split_first_chunk::<HEADER>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(header));
    if length > longest {
        return Err(TooLong { length });
    }
    Ok((length <= rest.len()).then_some(HEADER..HEADER + length))
}

/// Appends a packet with its header. False, and nothing appended, when no frame can be as long.
#[must_use]
pub fn write(out: &mut Vec<u8>, packet: &[u8]) -> bool {
    let Ok(length) = u16::try_from(packet.len()) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(packet);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything whole in a stream, and how many bytes that was.
    fn packets(stream: &[u8], longest: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut found, mut read) = (Vec::new(), 0);
        while let Ok(Some(packet)) = first(&stream[read..], longest) {
            found.push(stream[read..][packet.clone()].to_vec());
            read += packet.end;
        }
        (found, read)
    }

    proptest! {
        #[test]
        fn a_stream_cut_at_any_byte_gives_the_same_packets(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut stream = Vec::new();
            for packet in &sent {
                prop_assert!(write(&mut stream, packet));
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.push(stream.len());
            cuts.sort_unstable();
            let (mut rest, mut got, mut from) = (Vec::new(), Vec::new(), 0);
            for cut in cuts {
                rest.extend_from_slice(&stream[from..cut]);
                from = cut;
                let (found, read) = packets(&rest, 40);
                got.extend(found);
                rest.drain(..read);
            }
            prop_assert_eq!(got, sent);
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_frame_split_at_every_byte_is_whole_only_at_the_end() {
        let mut stream = Vec::new();
        assert!(write(&mut stream, b"packet"));
        for cut in 0..stream.len() {
            assert_eq!(first(&stream[..cut], 6), Ok(None), "after {cut} bytes");
        }
        assert_eq!(first(&stream, 6), Ok(Some(2..8)));
    }

    #[test]
    fn a_frame_that_is_too_long_is_known_by_its_header() {
        assert_eq!(first(&[0, 7], 6), Err(TooLong { length: 7 }));
        assert_eq!(first(&[0xff, 0xff, 1], 6), Err(TooLong { length: 65_535 }));
        assert_eq!(first(&[0xff], 6), Ok(None));
    }

    #[test]
    fn an_empty_frame_is_there_at_once() {
        assert_eq!(first(&[0, 0, 9], 6), Ok(Some(2..2)));
    }

    #[test]
    fn what_fits_no_frame_is_not_written() {
        let mut stream = Vec::new();
        assert!(!write(&mut stream, &vec![0; 65_536]));
        assert!(stream.is_empty());
        assert!(write(&mut stream, &vec![0; 65_535]));
        assert_eq!(stream.len(), 65_537);
    }
}
