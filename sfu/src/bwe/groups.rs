//! Packets that left together, and how much longer than the ones before they were under way.

/// From one group of packets to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variation {
    /// From the end of one group to the end of the next, where they left.
    pub sent_us: i64,
    /// The same where they arrived.
    pub arrived_us: i64,
    /// When the later group was complete there.
    pub at_us: i64,
}

/// Gathers packets into groups: what left within 5 ms, or arrived in one burst because something
/// on the way held it back, says one thing about the link and not many.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    before: Option<Group>,
    current: Option<Group>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent_us: i64,
    last_sent_us: i64,
    first_arrived_us: i64,
    last_arrived_us: i64,
}

impl Groups {
    /// Adds a packet; tells of the group that it ends, if there is one before to compare with.
    pub fn add(&mut self, sent_us: i64, arrived_us: i64) -> Option<Variation> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::of(sent_us, arrived_us));
            return None;
        };
        if sent_us < current.first_sent_us {
            // A straggler of a group that is closed.
            return None;
        }
        if current.belongs(sent_us, arrived_us) {
            current.last_sent_us = current.last_sent_us.max(sent_us);
            current.last_arrived_us = current.last_arrived_us.max(arrived_us);
            return None;
        }
        let ended = *current;
        *current = Group::of(sent_us, arrived_us);
        let before = self.before.replace(ended)?;
        let variation = Variation {
            sent_us: ended.last_sent_us - before.last_sent_us,
            arrived_us: ended.last_arrived_us - before.last_arrived_us,
            at_us: ended.last_arrived_us,
        };
        // Overtaken as a whole: says nothing about a queue.
        (variation.arrived_us >= 0).then_some(variation)
    }

    /// Forgets everything, so that what comes is not compared with what was.
    pub fn restart(&mut self) {
        *self = Self::default();
    }
}

impl Group {
    fn of(sent_us: i64, arrived_us: i64) -> Self {
        Group {
            first_sent_us: sent_us,
            last_sent_us: sent_us,
            first_arrived_us: arrived_us,
            last_arrived_us: arrived_us,
        }
    }

    fn belongs(&self, sent_us: i64, arrived_us: i64) -> bool {
        if sent_us - self.first_sent_us <= GROUP_US {
            return true;
        }
        let arrived_after = arrived_us - self.last_arrived_us;
        let sent_after = sent_us - self.last_sent_us;
        arrived_after <= BURST_US
            && arrived_after < sent_after
            && arrived_us - self.first_arrived_us < MAX_BURST_US
    }
}

/// What leaves within this time is one group. Longer blurs the picture of the queue, shorter
/// measures the sender's own batches.
const GROUP_US: i64 = 5000;

/// Packets that arrive this close although they left further apart were held back together.
const BURST_US: i64 = 5000;

/// A burst longer than this is a queue that drains, and is looked at in parts.
const MAX_BURST_US: i64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_one_batch_are_one_group() {
        let mut groups = Groups::default();
        for (sent, arrived) in [(0, 100), (1000, 1100), (5000, 5100), (20_000, 21_000)] {
            assert_eq!(groups.add(sent, arrived), None);
        }
        let variation = groups.add(40_000, 40_000).unwrap();
        assert_eq!(variation, Variation { sent_us: 15_000, arrived_us: 15_900, at_us: 21_000 });
    }

    #[test]
    fn what_was_held_back_together_is_one_group() {
        let mut groups = Groups::default();
        groups.add(0, 0);
        groups.add(20_000, 60_000);
        // Both left long after, and arrive at once.
        assert!(groups.add(40_000, 61_000).is_none());
        assert!(groups.add(60_000, 62_000).is_none());
        let variation = groups.add(80_000, 82_000).unwrap();
        assert_eq!(variation, Variation { sent_us: 60_000, arrived_us: 62_000, at_us: 62_000 });
    }

    #[test]
    fn a_straggler_changes_nothing() {
        let mut groups = Groups::default();
        groups.add(0, 0);
        groups.add(20_000, 20_000);
        assert_eq!(groups.add(0, 90_000), None);
        let variation = groups.add(40_000, 40_000).unwrap();
        assert_eq!((variation.sent_us, variation.arrived_us), (20_000, 20_000));
    }
}
