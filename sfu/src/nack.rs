//! Which packets of a stream are missing, and when to ask for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Keeps track of the gaps in one incoming stream.
#[derive(Debug, Default)]
pub struct NackGenerator {
    highest: Option<u64>,
    /// Ascending by sequence number.
    missing: VecDeque<Missing>,
    is_keyframe_needed: bool,
    /// From asking to the answer, smoothed.
    answered_in: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    tries: u8,
    ask_at: Instant,
    first_asked: Option<Instant>,
}

impl NackGenerator {
    /// Nothing received yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a packet by its extended sequence number, retransmissions included. `true` if it was
    /// missing: recovered, or only late.
    pub fn received(&mut self, now: Instant, sequence: u64) -> bool {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return false;
        };
        if sequence <= highest {
            let found = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence);
            let missing = found.ok().and_then(|index| self.missing.remove(index));
            if let Some(asked) = missing.and_then(|missing| missing.first_asked) {
                self.learn_round_trip(now.saturating_duration_since(asked));
            }
            return missing.is_some();
        }
        self.highest = Some(sequence);
        let gap = highest + 1..sequence;
        if (sequence - highest) as usize > MAX_MISSING
            || self.missing.len() + gap.clone().count() > MAX_MISSING
        {
            // Asking for all that would take longer and cost more than a keyframe.
            self.missing.clear();
            self.is_keyframe_needed = true;
            return false;
        }
        let ask_at = now + REORDERING;
        self.missing.extend(gap.map(|sequence| Missing {
            sequence,
            tries: 0,
            ask_at,
            first_asked: None,
        }));
        false
    }

    /// Appends to `out` what should be asked for now, in ascending order. `rtt` is believed to be
    /// that of the publisher's transport until answers tell better.
    pub fn poll(&mut self, now: Instant, rtt: Duration, out: &mut Vec<u16>) {
        let pause = self.answered_in.unwrap_or(rtt).clamp(MIN_PAUSE, MAX_PAUSE);
        let mut is_lost = false;
        self.missing.retain_mut(|missing| {
            if missing.ask_at > now {
                return true;
            }
            if missing.tries == MAX_TRIES {
                is_lost = true;
                return false;
            }
            missing.tries += 1;
            missing.ask_at = now + pause;
            missing.first_asked.get_or_insert(now);
            out.push(missing.sequence as u16);
            true
        });
        self.is_keyframe_needed |= is_lost;
    }

    /// When [`poll`](Self::poll) has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.ask_at).min()
    }

    /// Whether packets were given up, so that only a keyframe helps. Asking clears it.
    pub fn take_keyframe_needed(&mut self) -> bool {
        std::mem::take(&mut self.is_keyframe_needed)
    }

    /// The round trip to the publisher as repairs showed it.
    pub fn round_trip(&self) -> Option<Duration> {
        self.answered_in
    }

    /// Counted from the first request, as nobody knows which one was answered: a lost request makes
    /// it too long for a while, which is better than asking many times within each round trip.
    fn learn_round_trip(&mut self, sample: Duration) {
        self.answered_in = Some(match self.answered_in {
            None => sample,
            Some(before) => before - before / 4 + sample / 4,
        });
    }

    /// Whether the packet with this extended sequence number has not come, but one after it.
    pub fn is_missing(&self, sequence: u64) -> bool {
        self.missing.binary_search_by_key(&sequence, |missing| missing.sequence).is_ok()
    }

    /// How many packets are missing now.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }
}

/// Packets asked for at a time. A longer gap is an outage: filling it would come too late to be
/// played. Too few, and one lost burst of a big frame would already cost a keyframe.
const MAX_MISSING: usize = 256;

/// Longer would hold memory for packets that the sender has dropped from its history.
const MAX_TRIES: u8 = 10;

/// How late a packet may be before it is asked for. Longer delays every repair, shorter asks for
/// packets that were only overtaken.
const REORDERING: Duration = Duration::from_millis(5);

/// Between two requests for the same packet at least: an answer takes a round trip, and on a local
/// network still the sender's pacing.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// A bogus round trip time must not stop the asking.
const MAX_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const RTT: Duration = Duration::from_millis(40);
    const MS: Duration = Duration::from_millis(1);

    fn asked(generator: &mut NackGenerator, now: Instant) -> Vec<u16> {
        let mut out = Vec::new();
        generator.poll(now, RTT, &mut out);
        out
    }

    #[test]
    fn a_gap_is_asked_for_after_the_reordering_time_and_once_per_round_trip() {
        let start = Instant::now();
        let mut generator = NackGenerator::new();
        assert!(!generator.received(start, 65_534));
        assert_eq!(generator.next_deadline(), None);
        assert!(!generator.received(start, 65_538));
        assert_eq!(generator.next_deadline(), Some(start + REORDERING));
        assert!(asked(&mut generator, start).is_empty());
        let first = start + REORDERING;
        assert_eq!(asked(&mut generator, first), [65_535, 0, 1]);
        assert!(asked(&mut generator, first + RTT - MS).is_empty());
        assert!(generator.received(first + MS, 65_536), "recovered");
        assert!(!generator.received(first + MS, 65_536), "only once");
        assert_eq!(generator.next_deadline(), Some(first + RTT));
        assert_eq!(asked(&mut generator, first + RTT), [65_535, 1]);
    }

    #[test]
    fn after_ten_tries_a_keyframe_is_needed_instead() {
        let mut now = Instant::now();
        let mut generator = NackGenerator::new();
        generator.received(now, 100);
        generator.received(now, 102);
        let mut tries = 0;
        while let Some(deadline) = generator.next_deadline() {
            assert!(!generator.take_keyframe_needed());
            now = deadline;
            tries += asked(&mut generator, now).len();
        }
        assert_eq!(tries, usize::from(MAX_TRIES));
        assert!(generator.take_keyframe_needed());
        assert!(!generator.take_keyframe_needed(), "asking clears it");
    }

    #[test]
    fn an_outage_is_not_repaired_packet_by_packet() {
        let now = Instant::now();
        let mut generator = NackGenerator::new();
        generator.received(now, 100);
        generator.received(now, 100 + MAX_MISSING as u64 + 1);
        assert_eq!(generator.missing(), 0);
        assert!(generator.take_keyframe_needed());
        // Nor are many gaps that add up.
        for sequence in 0..MAX_MISSING as u64 {
            generator.received(now, 1000 + 2 * sequence);
            assert!(generator.missing() <= MAX_MISSING);
        }
        assert!(generator.take_keyframe_needed());
    }

    #[test]
    fn a_round_trip_time_beyond_reason_neither_floods_nor_stops_the_asking() {
        for (rtt, pause) in [(Duration::ZERO, MIN_PAUSE), (Duration::from_secs(3600), MAX_PAUSE)] {
            let now = Instant::now();
            let mut generator = NackGenerator::new();
            generator.received(now, 100);
            generator.received(now, 102);
            let mut out = Vec::new();
            generator.poll(now + REORDERING, rtt, &mut out);
            assert_eq!(out, [101]);
            assert_eq!(generator.next_deadline(), Some(now + REORDERING + pause));
        }
    }

    #[test]
    fn how_fast_answers_come_decides_how_often_is_asked() {
        let mut now = Instant::now();
        let mut generator = NackGenerator::new();
        let (mut sequence, mut asked_for) = (100, 0);
        let answer_after = Duration::from_millis(300);
        generator.received(now, sequence);
        for loss in 0..20 {
            generator.received(now, sequence + 2);
            let answer_at = now + REORDERING + answer_after;
            let mut tries = 0;
            while let Some(deadline) = generator.next_deadline().filter(|at| *at < answer_at) {
                now = deadline;
                tries += asked(&mut generator, now).len();
            }
            now = answer_at;
            assert!(generator.received(now, sequence + 1));
            sequence += 2;
            assert_eq!(tries, if loss == 0 { 8 } else { 1 });
            asked_for += tries;
        }
        assert_eq!(asked_for, 27);
        assert_eq!(generator.round_trip(), Some(answer_after));
        assert!(!generator.take_keyframe_needed());
    }

    proptest! {
        #[test]
        fn it_asks_for_the_missing_only_and_not_too_often(
            start in 65_536u64..140_000,
            // Per packet: how far it is delayed (in packets), whether it is lost, time to the next.
            packets in vec((prop_oneof![8 => Just(0u64), 1 => 1u64..30], 0u8..10, 0u64..12), 2..300),
        ) {
            let mut order: Vec<(u64, u64)> = packets.iter().enumerate()
                .filter(|(_, (_, lost, _))| *lost > 0)
                .map(|(at, (delay, _, _))| (at as u64 + delay, start + at as u64))
                .collect();
            order.sort_by_key(|(when, _)| *when);
            let mut now = Instant::now();
            let mut generator = NackGenerator::new();
            let mut received = BTreeSet::new();
            let mut all = BTreeSet::new();
            let first = order.first().map_or(0, |(_, sequence)| *sequence);
            let mut gave_up = false;
            let mut asked_at: BTreeMap<u16, Vec<Instant>> = BTreeMap::new();
            for (at, (_, sequence)) in order.into_iter().enumerate() {
                let was_missing = generator.missing.iter().any(|missing| missing.sequence == sequence);
                prop_assert_eq!(generator.received(now, sequence), was_missing);
                received.insert(sequence as u16);
                all.insert(sequence);
                for sequence in asked(&mut generator, now) {
                    prop_assert!(!received.contains(&sequence), "{} is here", sequence);
                    asked_at.entry(sequence).or_default().push(now);
                }
                prop_assert!(generator.missing() <= MAX_MISSING);
                let told_of = first..=generator.highest.unwrap();
                let here = all.range(told_of.clone()).count();
                if !generator.take_keyframe_needed() && !gave_up {
                    prop_assert_eq!(here + generator.missing(), told_of.count());
                } else {
                    gave_up = true;
                }
                now += Duration::from_millis(packets[at].2);
            }
            for times in asked_at.values() {
                prop_assert!(times.len() <= usize::from(MAX_TRIES));
                prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= MIN_PAUSE));
            }
        }

        #[test]
        fn everything_missing_is_asked_for_in_the_end(lost in proptest::collection::btree_set(1u64..400, 0..100)) {
            let start = 65_500u64;
            let mut now = Instant::now();
            let mut generator = NackGenerator::new();
            let mut asked_for = BTreeSet::new();
            for at in (0..=400).filter(|at| !lost.contains(at)) {
                generator.received(now, start + at);
                now += MS;
                asked_for.extend(asked(&mut generator, now));
            }
            now += REORDERING;
            asked_for.extend(asked(&mut generator, now));
            prop_assert_eq!(asked_for, lost.iter().map(|at| (start + at) as u16).collect::<BTreeSet<_>>());
        }
    }
}
