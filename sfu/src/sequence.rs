//! Numbers that wrap around.

/// Whether sequence number `a` comes after `b` (RFC 1982 on 16 bits; exactly half the circle
/// away, the larger number counts as newer, so that only one of the two directions holds).
pub fn is_newer(a: u16, b: u16) -> bool {
    match a.wrapping_sub(b) {
        0 => false,
        0x8000 => a > b,
        distance => distance < 0x8000,
    }
}

/// Extends 16-bit sequence numbers to 64 bits that never wrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceUnwrapper {
    highest: Option<u64>,
}

impl SequenceUnwrapper {
    /// Extended sequence numbers begin one full circle up, so a packet from before the first has a number too.
    pub const FIRST_CYCLE: u64 = 1 << 16;

    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The extended number of `seq`: the one nearest to the highest so far.
    pub fn unwrap(&mut self, seq: u16) -> u64 {
        let Some(highest) = self.highest else {
            let first = Self::FIRST_CYCLE + u64::from(seq);
            self.highest = Some(first);
            return first;
        };
        let step = seq.wrapping_sub(highest as u16) as i16;
        // `highest` is at least FIRST_CYCLE and the step back at most half of it.
        let extended = highest.wrapping_add_signed(i64::from(step));
        self.highest = Some(highest.max(extended));
        extended
    }

    /// The highest number so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Extends 32-bit RTP timestamps to 64 bits that never wrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimestampUnwrapper {
    highest: Option<u64>,
}

impl TimestampUnwrapper {
    /// Extended timestamps begin one full circle up, for the same reason as sequence numbers.
    pub const FIRST_CYCLE: u64 = 1 << 32;

    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The extended value of `timestamp`: the one nearest to the highest so far.
    pub fn unwrap(&mut self, timestamp: u32) -> u64 {
        let Some(highest) = self.highest else {
            let first = Self::FIRST_CYCLE + u64::from(timestamp);
            self.highest = Some(first);
            return first;
        };
        let step = timestamp.wrapping_sub(highest as u32) as i32;
        let extended = highest.wrapping_add_signed(i64::from(step));
        self.highest = Some(highest.max(extended));
        extended
    }

    /// The highest value so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_from_before_the_first_has_a_lower_number() {
        let mut unwrapper = SequenceUnwrapper::new();
        let first = unwrapper.unwrap(2);
        assert_eq!(unwrapper.unwrap(65_535), first - 3);
        assert_eq!(unwrapper.unwrap(3), first + 1);
        assert_eq!(unwrapper.highest(), Some(first + 1));
    }

    proptest! {
        #[test]
        fn extended_numbers_follow_the_true_ones_over_loss_and_reordering(
            start in 0u64..200_000,
            steps in proptest::collection::vec(-300i64..16_000, 1..200),
        ) {
            let mut sequences = SequenceUnwrapper::new();
            let mut timestamps = TimestampUnwrapper::new();
            // Truth lives in a space that has room below zero.
            let origin = 1u64 << 40;
            let first = origin + start;
            let offset = sequences.unwrap(first as u16);
            let time_offset = timestamps.unwrap((first * 3000) as u32);
            let mut highest = first;
            for step in steps {
                let truth = highest.wrapping_add_signed(step);
                highest = highest.max(truth);
                prop_assert_eq!(
                    sequences.unwrap(truth as u16).wrapping_sub(offset),
                    truth.wrapping_sub(first)
                );
                prop_assert_eq!(
                    timestamps.unwrap((truth * 3000) as u32).wrapping_sub(time_offset),
                    (truth * 3000).wrapping_sub(first * 3000)
                );
            }
        }

        #[test]
        fn of_two_different_numbers_exactly_one_is_newer(a: u16, b: u16) {
            prop_assert_eq!(is_newer(a, b) != is_newer(b, a), a != b);
            prop_assert!(is_newer(a.wrapping_add(1), a));
            prop_assert!(is_newer(a.wrapping_add(0x7fff), a));
        }
    }
}
