//! Which packets of one stream have been taken already, and where the stream is.

/// A sliding window over the packet indices of one stream and direction.
#[derive(Clone, Debug)]
pub(super) struct Window {
    highest: u64,
    /// Bit `i % WINDOW` stands for index `i`, for the last `WINDOW` indices up to `highest`.
    seen: [u64; WORDS],
}

impl Window {
    /// A window in which one index has been seen.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Self { highest: index, seen: [0; WORDS] };
        window.mark(index);
        window
    }

    /// Whether an index is neither seen nor too old to tell.
    pub(super) fn is_new(&self, index: u64) -> bool {
        if index > self.highest {
            return true;
        }
        self.highest - index < WINDOW && !self.is_marked(index)
    }

    /// Whether an index is ahead of all that were seen.
    pub(super) fn is_newest(&self, index: u64) -> bool {
        index > self.highest
    }

    /// Notes an index, only after its packet proved authentic. It must be new.
    pub(super) fn take(&mut self, index: u64) {
        if index > self.highest {
            if index - self.highest >= WINDOW {
                self.seen = [0; WORDS];
            } else {
                (self.highest + 1..index).for_each(|skipped| self.clear(skipped));
            }
            self.highest = index;
        }
        self.mark(index);
    }

    /// The index, roll-overs included, that a sequence number most likely has (RFC 3711 §3.3.1).
    pub(super) fn index_of(&self, sequence: u16) -> u64 {
        let same_round = (self.highest & !0xffff) | u64::from(sequence);
        if same_round + HALF_ROUND < self.highest {
            same_round + ROUND
        } else if same_round > self.highest + HALF_ROUND && same_round >= ROUND {
            same_round - ROUND
        } else {
            same_round
        }
    }

    fn is_marked(&self, index: u64) -> bool {
        let bit = index % WINDOW;
        self.seen[(bit / 64) as usize] & (1 << (bit % 64)) != 0
    }

    fn mark(&mut self, index: u64) {
        let bit = index % WINDOW;
        self.seen[(bit / 64) as usize] |= 1 << (bit % 64);
    }

    fn clear(&mut self, index: u64) {
        let bit = index % WINDOW;
        self.seen[(bit / 64) as usize] &= !(1 << (bit % 64));
    }
}

/// More words cost memory per stream; fewer refuse what late retransmissions bring
/// (1024 packets are two seconds of a 5 Mbit/s picture).
const WORDS: usize = 16;
const WINDOW: u64 = WORDS as u64 * 64;
const ROUND: u64 = 1 << 16;
const HALF_ROUND: u64 = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn what_was_taken_is_not_new() {
        let mut window = Window::starting_at(5);
        assert!(!window.is_new(5));
        assert!(window.is_new(4));
        window.take(4);
        assert!(!window.is_new(4));
        window.take(5 + WINDOW);
        assert!(!window.is_new(5), "too old to tell");
        assert!(window.is_new(6), "the oldest that can be told");
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(
            start in 0u64..100_000,
            steps in proptest::collection::vec(-1500i64..1500, 1..400),
        ) {
            let mut window = Window::starting_at(start);
            let mut taken = HashSet::from([start]);
            let mut highest = start;
            for step in steps {
                let index = highest.saturating_add_signed(step);
                let in_reach = index + WINDOW > highest;
                prop_assert_eq!(window.is_new(index), in_reach && !taken.contains(&index));
                prop_assert_eq!(window.is_newest(index), index > highest);
                if window.is_new(index) {
                    window.take(index);
                    taken.insert(index);
                    highest = highest.max(index);
                }
            }
        }

        #[test]
        fn a_sequence_number_finds_its_index_within_half_a_round(
            highest in 0u64..(1 << 40),
            offset in -32_767i64..32_768,
        ) {
            let window = Window::starting_at(highest);
            if let Some(index) = highest.checked_add_signed(offset) {
                prop_assert_eq!(window.index_of(index as u16), index);
            }
        }
    }
}
