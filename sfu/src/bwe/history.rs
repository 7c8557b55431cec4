//! What was sent under which transport-wide sequence number.

/// A packet as it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// Since the estimator's epoch.
    pub at_us: i64,
    /// The whole datagram.
    pub bytes: usize,
}

/// The last packets sent, in a ring that is allocated with the first of them.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The packet of number `n` is at `n % ring.len()`; the length is a power of two.
    ring: Vec<Entry>,
    /// Number of the next packet; never wraps. Its low 16 bits are the sequence number.
    next: u64,
}

/// Eight bytes, as there is one of them per packet in flight.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// In units of 16 µs: comes round after 19 hours, and is finer than the receiver's 250 µs.
    at: u32,
    bytes: u16,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The receiver did not speak of it.
    Unknown,
    /// The receiver did not have it when it spoke last.
    Missing,
    Received,
}

impl History {
    /// Notes a packet and returns its number. `is_answered` tells whether this receiver sends
    /// feedback at all: for one that does not, little is worth its memory.
    pub fn push(&mut self, at_us: i64, bytes: usize, is_answered: bool) -> u64 {
        if self.ring.is_empty() {
            self.ring.resize(MIN_PACKETS, NOTHING);
        } else if self.may_grow(is_answered) && self.is_oldest_awaited(at_us) {
            self.grow();
        }
        let number = self.next;
        let at = (at_us >> UNIT_SHIFT) as u32;
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        *self.entry(number) = Entry { at, bytes, fate: Fate::Unknown };
        self.next += 1;
        number
    }

    /// Number of the next packet.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The number of the packet that `sequence` stands for, if it is still known.
    pub fn number(&self, sequence: u16) -> Option<u64> {
        let behind = u64::from((self.next as u16).wrapping_sub(sequence).wrapping_sub(1)) + 1;
        let number = self.next.checked_sub(behind)?;
        (number >= self.first()).then_some(number)
    }

    /// Takes the packet for received. `None` if it already is or is unknown; the flag tells
    /// whether it was reported missing before.
    pub fn received(&mut self, number: u64, now_us: i64) -> Option<(Sent, bool)> {
        if !(self.first()..self.next).contains(&number) {
            return None;
        }
        let entry = self.entry(number);
        if entry.fate == Fate::Received {
            return None;
        }
        let was_missing = entry.fate == Fate::Missing;
        entry.fate = Fate::Received;
        let sent = Sent { at_us: now_us - entry.age_us(now_us), bytes: usize::from(entry.bytes) };
        Some((sent, was_missing))
    }

    /// Takes those of the packets `from..to` for missing whose fate nobody has told yet, and calls
    /// `each` for them.
    pub fn missing(&mut self, from: u64, to: u64, mut each: impl FnMut(u64)) {
        for number in from.max(self.first())..to.min(self.next) {
            let entry = self.entry(number);
            if entry.fate == Fate::Unknown {
                entry.fate = Fate::Missing;
                each(number);
            }
        }
    }

    /// The oldest number still known.
    fn first(&self) -> u64 {
        self.next.saturating_sub(self.ring.len() as u64)
    }

    fn may_grow(&self, is_answered: bool) -> bool {
        self.ring.len() < if is_answered { MAX_PACKETS } else { UNANSWERED_PACKETS }
    }

    /// Whether the entry that would be overwritten may still be reported.
    fn is_oldest_awaited(&self, now_us: i64) -> bool {
        let len = self.ring.len() as u64;
        if self.next < len {
            return false;
        }
        let oldest = self.ring[(self.next & (len - 1)) as usize];
        oldest.fate == Fate::Unknown && oldest.age_us(now_us) < AWAITED_US
    }

    fn grow(&mut self) {
        let mut larger = vec![NOTHING; 2 * self.ring.len()];
        for number in self.first()..self.next {
            larger[number as usize & (2 * self.ring.len() - 1)] = *self.entry(number);
        }
        self.ring = larger;
    }

    /// Only of a number in the ring, or the next one.
    fn entry(&mut self, number: u64) -> &mut Entry {
        let mask = self.ring.len() - 1;
        &mut self.ring[number as usize & mask]
    }

    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Entry>()
    }
}

impl Entry {
    fn age_us(self, now_us: i64) -> i64 {
        let now = (now_us >> UNIT_SHIFT) as u32;
        i64::from(now.wrapping_sub(self.at)) << UNIT_SHIFT
    }
}

const NOTHING: Entry = Entry { at: 0, bytes: 0, fate: Fate::Received };

const UNIT_SHIFT: u32 = 4;

/// Packets remembered at first, 512 bytes: enough for three voices at a round trip of 300 ms with
/// feedback each 100 ms. More would cost every listener memory, fewer would soon grow anyway.
const MIN_PACKETS: usize = 64;

/// Packets remembered at most for who has told nothing yet, 2 KiB: 1000 packets/s until the first
/// feedback is here. More would pay for receivers that never tell, fewer would lose what it says.
const UNANSWERED_PACKETS: usize = 256;

/// Packets remembered at most, 32 KiB: one second at 40 Mbit/s. More would pay for a link that no
/// meeting fills, fewer would lose feedback on fast links with long round trips.
const MAX_PACKETS: usize = 4096;

/// How long an unreported packet keeps its place by making the ring larger. Longer would let a
/// blackout cost memory, shorter would lose the feedback of long round trips.
const AWAITED_US: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_packet_is_received_once_and_remembers_if_it_was_missing() {
        let mut history = History::default();
        assert_eq!(history.heap_bytes(), 0);
        for at in 0..3 {
            history.push(at * 1600, 100 + at as usize, true);
        }
        let mut missing = Vec::new();
        history.missing(0, 3, |number| missing.push(number));
        history.missing(0, 3, |number| missing.push(number));
        assert_eq!(missing, [0, 1, 2]);
        let (sent, was_missing) = history.received(1, 50_000).unwrap();
        assert_eq!((sent, was_missing), (Sent { at_us: 1600, bytes: 101 }, true));
        assert_eq!(history.received(1, 50_000), None);
        assert_eq!(history.received(3, 50_000), None);
    }

    #[test]
    fn a_full_ring_grows_only_for_what_is_awaited() {
        let fill = |is_answered: bool, step_us: i64| {
            let mut history = History::default();
            for at in 0..100_000 {
                history.push(at * step_us, 1000, is_answered);
            }
            history.heap_bytes()
        };
        assert_eq!(fill(true, 10), MAX_PACKETS * 8);
        assert_eq!(fill(true, 5000), 256 * 8, "200 of a second are awaited");
        assert_eq!(fill(true, 20_000), MIN_PACKETS * 8);
        assert_eq!(fill(false, 10), UNANSWERED_PACKETS * 8);
        assert_eq!(fill(false, 20_000), MIN_PACKETS * 8);
    }

    proptest! {
        #[test]
        fn sequence_numbers_find_their_packet_over_wraps_and_growth(
            count in 1u64..140_000,
            back in 1u64..70_000,
            step_us in 16i64..3000,
        ) {
            let mut history = History::default();
            for at in 0..count {
                history.push(at as i64 * step_us, (at % 1000) as usize, true);
            }
            let asked = count.saturating_sub(back);
            match history.number(asked as u16) {
                // An older number may be taken for a newer one, as its sequence number is the same.
                Some(number) => {
                    prop_assert_eq!(number as u16, asked as u16);
                    prop_assert!(count - number <= MAX_PACKETS as u64);
                    let now_us = count as i64 * step_us;
                    let (sent, _) = history.received(number, now_us).unwrap();
                    prop_assert_eq!(sent.bytes, (number % 1000) as usize);
                    prop_assert!((sent.at_us - number as i64 * step_us).abs() < 32);
                }
                None => prop_assert!(back > MIN_PACKETS as u64),
            }
        }
    }
}
