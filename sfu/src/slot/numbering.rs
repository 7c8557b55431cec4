//! How the sequence numbers of an encoding become those of a slot that leaves some of them out.

use crate::left_out::LeftOut;
use std::collections::VecDeque;

/// Stretches remembered. Leaving out every other frame begins one with each frame: this is over two
/// seconds at 30 frames a second, longer than a receiver asks for what it misses.
const MAX_STRETCHES: usize = 64;

/// Consecutive numbers that are shifted alike.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first_in: u64,
    first_out: u64,
    picture_delta: u16,
}

/// The numbers of one flow. What was left out leaves no gap in the numbers that go out; what was lost
/// on the way here does, so that the receiver asks for it.
#[derive(Debug)]
pub struct Numbering {
    stretches: VecDeque<Stretch>,
    /// Highest number seen, sent or left out.
    highest_in: u64,
    last_left_out: Option<u16>,
}

impl Numbering {
    /// `first_in` goes out as `first_out`; pictures are shifted by `picture_delta`.
    pub fn new(first_in: u64, first_out: u64, picture_delta: u16) -> Self {
        let mut stretches = VecDeque::with_capacity(1);
        stretches.push_back(Stretch { first_in, first_out, picture_delta });
        Self { stretches, highest_in: first_in.saturating_sub(1), last_left_out: None }
    }

    /// Leaves a packet out. `picture` is its picture id where pictures are counted: a picture that is
    /// left out leaves no gap in the ids either. One that comes late has its number reserved already.
    pub fn leave_out(&mut self, sequence: u64, picture: Option<u16>) {
        if sequence <= self.highest_in {
            return;
        }
        self.highest_in = sequence;
        let Some(last) = self.stretches.back().copied() else { return };
        let is_new_picture = picture.is_some() && picture != self.last_left_out;
        self.last_left_out = picture;
        let stretch = Stretch {
            first_in: sequence + 1,
            first_out: last.first_out + (sequence - last.first_in),
            picture_delta: last.picture_delta.wrapping_sub(u16::from(is_new_picture)),
        };
        self.begin_stretch(stretch);
    }

    fn begin_stretch(&mut self, stretch: Stretch) {
        if self.stretches.back().is_some_and(|last| last.first_out == stretch.first_out) {
            // Nothing has gone out since the last one was left out.
            self.stretches.pop_back();
        } else if self.stretches.len() == MAX_STRETCHES {
            self.stretches.pop_front();
        }
        self.stretches.push_back(stretch);
    }

    /// These numbers before a packet never come here: whoever passes on what comes knew that nobody takes them.
    pub fn leave_out_before(&mut self, sequence: u64, left_out: LeftOut) {
        for (first, end) in left_out.before(sequence) {
            let first = first.max(self.highest_in + 1);
            let Some(last) = self.stretches.back().copied().filter(|_| first < end) else {
                continue;
            };
            self.highest_in = end - 1;
            let first_out = last.first_out + (first - last.first_in);
            self.begin_stretch(Stretch { first_in: end, first_out, ..last });
        }
    }

    /// The number and the picture shift under which a packet goes out; none for one whose place is
    /// forgotten or was given to another.
    pub fn send(&mut self, sequence: u64) -> Option<(u64, u16)> {
        self.highest_in = self.highest_in.max(sequence);
        let at = self.stretches.iter().rposition(|stretch| stretch.first_in <= sequence)?;
        let stretch = self.stretches[at];
        let out = stretch.first_out + (sequence - stretch.first_in);
        let is_free = self.stretches.get(at + 1).is_none_or(|next| out < next.first_out);
        is_free.then_some((out, stretch.picture_delta))
    }

    /// The packet that went out under a number, and its picture shift.
    pub fn sent_as(&self, out: u64) -> Option<(u64, u16)> {
        let stretch = self.stretches.iter().rev().find(|stretch| stretch.first_out <= out)?;
        Some((stretch.first_in + (out - stretch.first_out), stretch.picture_delta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::left_out::Leaving;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_left_out_on_the_way_here_closes_up_like_what_is_left_out_here(
            packets in prop::collection::vec((0u8..12, 0usize..40), 1..100),
        ) {
            let (mut told, mut seen) = (Numbering::new(1, 50, 0), Numbering::new(1, 50, 0));
            prop_assert_eq!((told.send(1), seen.send(1)), (Some((50, 0)), Some((50, 0))));
            let (mut next, mut leaving, mut losses) = (2, Leaving::default(), 0);
            for (kind, count) in packets {
                match kind {
                    // A piece of a picture that everybody gets.
                    0..4 => {
                        // With more losses between two of them not everything is told.
                        if losses > 2 {
                            break;
                        }
                        told.leave_out_before(next, leaving.take(next));
                        prop_assert_eq!(told.send(next), seen.send(next));
                        losses = 0;
                    }
                    4 => losses += 1,
                    _ => {
                        for sequence in next..next + count as u64 {
                            seen.leave_out(sequence, None);
                            leaving.add(sequence);
                        }
                        next += count as u64;
                        continue;
                    }
                }
                next += 1;
            }
        }

        #[test]
        fn in_order_nothing_is_missing_and_everything_is_found_again(
            kept in prop::collection::vec(any::<bool>(), 1..400),
            first_in in 1u64..100_000,
            first_out in 1u64..100_000,
        ) {
            let mut numbering = Numbering::new(first_in, first_out, 7);
            let mut expected = first_out;
            let mut sent = Vec::new();
            // A flow begins with what it sends.
            for (at, keep) in std::iter::once(&true).chain(&kept).enumerate() {
                let sequence = first_in + at as u64;
                if *keep {
                    let (out, _) = numbering.send(sequence).unwrap();
                    prop_assert_eq!(out, expected);
                    expected += 1;
                    sent.push((sequence, out));
                } else {
                    numbering.leave_out(sequence, None);
                }
            }
            for (sequence, out) in sent.into_iter().rev().take(MAX_STRETCHES) {
                prop_assert_eq!(numbering.sent_as(out).unwrap().0, sequence);
                prop_assert_eq!(numbering.send(sequence).unwrap().0, out);
            }
        }

        #[test]
        fn in_any_order_no_number_is_given_twice(
            order in prop::collection::vec((0u64..60, any::<bool>()), 1..300),
        ) {
            let mut numbering = Numbering::new(1000, 5000, 0);
            let mut given = std::collections::HashMap::new();
            // A packet is kept or left out whenever it comes.
            let mut fate = std::collections::HashMap::new();
            for (offset, keep) in order {
                let sequence = 1000 + offset;
                if *fate.entry(sequence).or_insert(keep) {
                    if let Some((out, _)) = numbering.send(sequence) {
                        let before = given.insert(out, sequence);
                        prop_assert!(before.is_none_or(|before| before == sequence));
                    }
                } else {
                    numbering.leave_out(sequence, None);
                }
            }
        }
    }

    #[test]
    fn what_is_lost_stays_a_gap() {
        let mut numbering = Numbering::new(10, 100, 0);
        assert_eq!(numbering.send(10), Some((100, 0)));
        numbering.leave_out(12, None);
        assert_eq!(numbering.send(13), Some((102, 0)), "11 was lost, 12 left out");
        assert_eq!(numbering.send(11), Some((101, 0)), "and comes late");
        assert_eq!(numbering.send(9), None, "before the flow began");
    }

    #[test]
    fn pictures_that_are_left_out_leave_no_gap() {
        let mut numbering = Numbering::new(1, 1, 0);
        assert_eq!(numbering.send(1).unwrap().1, 0);
        numbering.leave_out(2, Some(41));
        numbering.leave_out(3, Some(41));
        assert_eq!(numbering.send(4).unwrap().1, u16::MAX, "one picture of two packets");
        numbering.leave_out(5, Some(43));
        numbering.leave_out(6, Some(44));
        assert_eq!(numbering.send(7).unwrap().1, u16::MAX - 2);
        assert_eq!(numbering.sent_as(2), Some((4, u16::MAX)));
    }
}
