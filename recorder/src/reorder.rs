//! Puts the packets of one stream in order, and waits a while for those that are missing.

use std::collections::BTreeMap;
use std::time::Duration;

/// Packets that wait for one that is missing. A keyframe of a shared screen has some hundred; more
/// is memory for a link that is dead.
const MAX_WAITING: usize = 2_048;
/// How long a missing packet is waited for. The server asks its publisher again for about a second; what comes
/// later leaves a gap.
const PATIENCE: Duration = Duration::from_millis(1_000);

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub enum Ordered<P> {
    /// The next packet.
    Packet(P),
    /// So many packets are missing for good before the next.
    Gap(u64),
}

/// Packets of one stream by their extended sequence numbers.
#[derive(Debug)]
pub struct Reorder<P> {
    next: Option<u64>,
    /// With the time on the recording's clock when each came.
    waiting: BTreeMap<u64, (Duration, P)>,
}

impl<P> Default for Reorder<P> {
    fn default() -> Self {
        Self { next: None, waiting: BTreeMap::new() }
    }
}

impl<P> Reorder<P> {
    /// Takes a packet; what came too late or twice is dropped, and false.
    pub fn insert(&mut self, now: Duration, sequence: u64, packet: P) -> bool {
        let next = *self.next.get_or_insert(sequence);
        if sequence < next || self.waiting.contains_key(&sequence) {
            return false;
        }
        self.waiting.insert(sequence, (now, packet));
        true
    }

    /// The next packet in order, or a gap that has been waited for long enough.
    pub fn poll(&mut self, now: Duration) -> Option<Ordered<P>> {
        let next = self.next?;
        let (&first, &(came, _)) = self.waiting.first_key_value()?;
        if first == next {
            let (_, (_, packet)) = self.waiting.pop_first()?;
            self.next = Some(next + 1);
            return Some(Ordered::Packet(packet));
        }
        if now < came + PATIENCE && self.waiting.len() <= MAX_WAITING {
            return None;
        }
        self.next = Some(first);
        Some(Ordered::Gap(first - next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn all(reorder: &mut Reorder<u64>, now: Duration) -> Vec<Ordered<u64>> {
        std::iter::from_fn(|| reorder.poll(now)).collect()
    }

    #[test]
    fn what_is_missing_is_waited_for_and_then_a_gap() {
        let mut reorder = Reorder::default();
        for sequence in [10, 12, 13] {
            reorder.insert(sequence as u32 * MS, sequence, sequence);
        }
        assert_eq!(all(&mut reorder, 100 * MS), [Ordered::Packet(10)]);
        assert_eq!(
            all(&mut reorder, 12 * MS + PATIENCE),
            [Ordered::Gap(1), Ordered::Packet(12), Ordered::Packet(13)]
        );
        assert!(!reorder.insert(2_000 * MS, 11, 11), "too late");
        assert!(!reorder.insert(2_000 * MS, 13, 13), "twice");
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut reorder = Reorder::default();
        reorder.insert(MS, 0, 0);
        assert_eq!(all(&mut reorder, MS).len(), 1);
        for sequence in 2..10_000 {
            reorder.insert(MS, sequence, sequence);
            while reorder.poll(MS).is_some() {}
            assert!(reorder.waiting.len() <= MAX_WAITING + 1);
        }
    }

    proptest! {
        #[test]
        fn packets_come_out_in_order_and_once(order in Just((0u64..200).collect::<Vec<_>>()).prop_shuffle()) {
            let mut reorder = Reorder::default();
            // The first decides where it begins.
            reorder.insert(MS, 0, 0);
            for &sequence in &order {
                reorder.insert(MS, sequence, sequence);
            }
            let out: Vec<u64> = std::iter::from_fn(|| reorder.poll(Duration::MAX))
                .map(|item| match item { Ordered::Packet(p) => p, Ordered::Gap(_) => u64::MAX })
                .collect();
            prop_assert_eq!(out, (0..200).collect::<Vec<_>>());
        }
    }
}
