//! Which numbers of an encoding were left out on the way to another plane, as nobody there takes their size: to the receivers
//! there they are to close up, while what was lost on the publisher's link stays a gap that they ask for.

/// Stretches that are told with one packet: one, and one more for each loss between. What does not fit counts as lost.
const STRETCHES: usize = 3;

/// What was left out before a packet, told with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How far before the packet each begins and how long it is, the newest first; none where that is 0.
    stretches: [(u16, u16); STRETCHES],
}

impl LeftOut {
    /// The numbers before that packet, the oldest stretch first: the first of each, and the one behind its last.
    pub fn before(self, sequence: u64) -> impl Iterator<Item = (u64, u64)> {
        self.stretches.into_iter().rev().filter(|(_, count)| *count > 0).map(
            move |(back, count)| {
                let first = sequence.saturating_sub(back.into());
                (first, first.saturating_add(count.into()).min(sequence))
            },
        )
    }
}

/// What is left out since a packet was handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// First number and length of each stretch, the newest first.
    stretches: [(u64, u64); STRETCHES],
}

impl Leaving {
    /// This number is left out. One that comes late is a gap already.
    pub fn add(&mut self, sequence: u64) {
        let (first, count) = &mut self.stretches[0];
        let next = *first + *count;
        if *count > 0 && sequence == next {
            *count += 1;
        } else if *count == 0 || sequence > next {
            if *count > 0 {
                self.stretches.rotate_right(1);
            }
            self.stretches[0] = (sequence, 1);
        }
    }

    /// What to tell with a packet that is handed over; it is not told again.
    pub fn take(&mut self, sequence: u64) -> LeftOut {
        let mut told = LeftOut::default();
        let mut places = told.stretches.iter_mut();
        for (first, count) in &mut self.stretches {
            // A packet that comes late says nothing of what comes behind it.
            if *count == 0 || *first + *count > sequence {
                continue;
            }
            if let (Ok(back), Some(place)) = (u16::try_from(sequence - *first), places.next()) {
                *place = (back, *count as u16);
            }
            *count = 0;
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(leaving: &mut Leaving, sequence: u64) -> Vec<(u64, u64)> {
        leaving.take(sequence).before(sequence).collect()
    }

    #[test]
    fn what_was_left_out_is_told_once_with_what_was_lost_between() {
        let mut leaving = Leaving::default();
        assert_eq!(told(&mut leaving, 9), []);
        [10, 11, 12, 14].into_iter().for_each(|sequence| leaving.add(sequence));
        assert_eq!(told(&mut leaving, 15), [(10, 13), (14, 15)], "13 was lost");
        assert_eq!(told(&mut leaving, 16), []);
        [17, 19, 21, 23, 22].into_iter().for_each(|sequence| leaving.add(sequence));
        assert_eq!(told(&mut leaving, 24), [(19, 20), (21, 22), (23, 24)], "as many as fit");
    }

    #[test]
    fn a_late_packet_takes_nothing_of_what_comes_behind_it() {
        let mut leaving = Leaving::default();
        [10, 12, 13].into_iter().for_each(|sequence| leaving.add(sequence));
        assert_eq!(told(&mut leaving, 11), [(10, 11)]);
        leaving.add(14);
        assert_eq!(told(&mut leaving, 15), [(12, 15)]);
    }

    #[test]
    fn what_is_too_far_away_counts_as_lost() {
        let mut leaving = Leaving::default();
        leaving.add(10);
        assert_eq!(told(&mut leaving, 100_000), []);
        assert_eq!(told(&mut leaving, 100_001), []);
    }
}
