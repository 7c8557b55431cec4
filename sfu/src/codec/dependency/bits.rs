//! Bits of a header extension, first to last.

/// Reads from somewhere in the middle.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins behind so many bits.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Bits before what is read next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// A number of at most 32 bits; `None` where there are fewer.
    pub(super) fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// A number below `count`, in one bit less than it could need where that is enough.
    pub(super) fn take_below(&mut self, count: usize) -> Option<usize> {
        let width = count.ilog2() as usize + 1;
        let short = (1 << width) - count;
        let value = self.take(width - 1)? as usize;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.take(1)? as usize)
    }
}

/// Writes `count` bits of a number over what lies there; what does not fit is left out.
pub(super) fn put(bytes: &mut [u8], at: usize, value: u32, count: usize) {
    for bit in 0..count {
        let Some(byte) = bytes.get_mut((at + bit) / 8) else { return };
        let mask = 0x80 >> ((at + bit) % 8);
        if value >> (count - 1 - bit) & 1 == 1 {
            *byte |= mask;
        } else {
            *byte &= !mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken_and_nothing_around_it_changes(
            bytes: [u8; 12],
            at in 0usize..60,
            count in 0usize..=32,
            value: u32,
        ) {
            let mut written = bytes;
            put(&mut written, at, value, count);
            let kept = if count == 32 { value } else { value & ((1 << count) - 1) };
            prop_assert_eq!(Reader::new(&written, at).take(count), Some(kept));
            for bit in (0..at).chain(at + count..96) {
                let before = Reader::new(&bytes, bit).take(1);
                prop_assert_eq!(Reader::new(&written, bit).take(1), before);
            }
        }
    }

    #[test]
    fn numbers_below_a_bound_are_as_short_as_they_can_be() {
        // Below five: 0, 1 and 2 in two bits, 3 and 4 in three.
        let bytes = [0b0001_1011, 0b1000_0000];
        let mut bits = Reader::new(&bytes, 0);
        let read: Vec<_> = (0..4).map(|_| bits.take_below(5).unwrap()).collect();
        assert_eq!((read, bits.at()), (vec![0, 1, 2, 4], 9));
        assert_eq!(Reader::new(&[], 0).take_below(5), None);
        assert_eq!(Reader::new(&[], 0).take_below(1), Some(0), "nothing to tell");
    }
}
