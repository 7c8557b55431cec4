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
    round_trip: RoundTrip,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    since: Instant,
    tries: u8,
    /// The last request is to be said once more.
    has_echo: bool,
    ask_at: Instant,
    last_asked: Option<Instant>,
}

impl NackGenerator {
    /// Nothing received yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a packet by its extended sequence number, retransmissions included. For how long it was
    /// missing, if it was: recovered, or only late.
    pub fn received(&mut self, now: Instant, sequence: u64) -> Option<Duration> {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return None;
        };
        if sequence <= highest {
            let found = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence);
            let missing = found.ok().and_then(|index| self.missing.remove(index))?;
            if let Some(asked) = missing.last_asked {
                self.round_trip.answered(missing.tries, now.saturating_duration_since(asked));
            }
            return Some(now.saturating_duration_since(missing.since));
        }
        self.highest = Some(sequence);
        let gap = highest + 1..sequence;
        if (sequence - highest) as usize > MAX_MISSING
            || self.missing.len() + gap.clone().count() > MAX_MISSING
        {
            // Asking for all that would take longer and cost more than a keyframe.
            self.missing.clear();
            self.is_keyframe_needed = true;
            return None;
        }
        let ask_at = now + REORDERING;
        self.missing.extend(gap.map(|sequence| Missing {
            sequence,
            since: now,
            tries: 0,
            has_echo: false,
            ask_at,
            last_asked: None,
        }));
        None
    }

    /// Appends to `out` what should be asked for now, in ascending order.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u16>) {
        let pause = self.round_trip.pause();
        let mut is_lost = false;
        self.missing.retain_mut(|missing| {
            if missing.ask_at > now {
                return true;
            }
            let is_old = now.saturating_duration_since(missing.since) >= MAX_AGE;
            if !missing.has_echo && (is_old || missing.tries == MAX_TRIES) {
                is_lost = true;
                return false;
            }
            missing.has_echo = !missing.has_echo;
            if missing.has_echo {
                missing.tries += 1;
                missing.last_asked = Some(now);
                missing.ask_at = now + ECHO.min(pause);
            } else {
                missing.ask_at = (missing.last_asked.unwrap_or(now) + pause).max(now + MIN_PAUSE);
            }
            out.push(missing.sequence as u16);
            true
        });
        if is_lost {
            self.is_keyframe_needed = true;
            self.round_trip.doubt();
        }
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
        self.round_trip.smoothed
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

/// The time from asking to the answer.
#[derive(Debug, Default)]
struct RoundTrip {
    smoothed: Option<Duration>,
    deviation: Duration,
    /// Answers in a row of which nobody knows which request they are to.
    doubtful: u8,
    /// Takes the place of what is smoothed while answers are doubtful.
    guess: Option<Duration>,
}

impl RoundTrip {
    /// Learns from packets that were asked for once (Karn's rule): with two requests out, the answer may be to either.
    /// A round trip that has become longer than the pause would make every answer doubtful, so
    /// doubt makes the pause longer until an answer comes in it.
    fn answered(&mut self, tries: u8, since_asked: Duration) {
        if tries > 1 {
            self.doubt();
            return;
        }
        (self.doubtful, self.guess) = (0, None);
        let sample = since_asked.min(MAX_PAUSE);
        let Some(before) = self.smoothed else {
            (self.smoothed, self.deviation) = (Some(sample), sample / 4);
            return;
        };
        self.deviation = self.deviation - self.deviation / 4 + before.abs_diff(sample) / 4;
        self.smoothed = Some(before - before / 8 + sample / 8);
    }

    /// An answer was to nobody knows what, or did not come at all.
    fn doubt(&mut self) {
        self.doubtful += 1;
        if self.smoothed.is_none() || self.doubtful >= MAX_DOUBTFUL {
            self.guess = Some((self.pause() * 2).min(MAX_PAUSE));
            self.doubtful = 0;
        }
    }

    /// How long to wait for an answer.
    fn pause(&self) -> Duration {
        let measured = self.smoothed.map(|smoothed| smoothed + 2 * self.deviation);
        self.guess.or(measured).unwrap_or(ASSUMED).clamp(MIN_PAUSE, MAX_PAUSE)
    }
}

/// Packets asked for at a time. A longer gap is an outage: filling it would come too late to be
/// played. Too few, and one lost burst of a big frame would already cost a keyframe.
const MAX_MISSING: usize = 256;

/// Longer would hold memory for packets that the sender has dropped from its history.
const MAX_TRIES: u8 = 10;

/// How old a gap may become. A picture that stands for so long is sooner back with a keyframe, and a buffer
/// that would wait for more is none for a conversation.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Each request is said twice, as far apart: at 15 % loss every seventh would get no answer for want of having been
/// heard, and cost another round trip. Browsers send one answer to both. Shorter is lost in the
/// same gust, longer is no sooner than asking anew.
const ECHO: Duration = Duration::from_millis(15);

/// The round trip to a publisher that has not been asked for anything yet.
const ASSUMED: Duration = Duration::from_millis(100);

/// Doubtful answers in a row before the pause becomes longer. At 30 % loss every second answer is
/// doubtful, so that fewer would double it often, more would ask in vain for longer.
const MAX_DOUBTFUL: u8 = 4;

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

    const MS: Duration = Duration::from_millis(1);

    fn asked(generator: &mut NackGenerator, now: Instant) -> Vec<u16> {
        let mut out = Vec::new();
        generator.poll(now, &mut out);
        out
    }

    /// A generator that has learned this round trip.
    fn with_round_trip(now: Instant, round_trip: Duration) -> NackGenerator {
        let mut generator = NackGenerator::new();
        for _ in 0..200 {
            generator.round_trip.answered(1, round_trip);
        }
        generator.received(now, 1);
        generator
    }

    #[test]
    fn a_gap_is_asked_for_after_the_reordering_time_and_once_per_round_trip() {
        let start = Instant::now();
        let rtt = 40 * MS;
        let mut generator = with_round_trip(start, rtt);
        let pause = generator.round_trip.pause();
        assert!((rtt..rtt + 2 * MS).contains(&pause), "{pause:?}");
        assert_eq!(generator.received(start, 3), None);
        assert_eq!(generator.next_deadline(), Some(start + REORDERING));
        assert!(asked(&mut generator, start).is_empty());
        let first = start + REORDERING;
        assert_eq!(asked(&mut generator, first), [2]);
        assert!(asked(&mut generator, first + ECHO - MS).is_empty());
        assert_eq!(asked(&mut generator, first + ECHO), [2], "said twice");
        assert!(asked(&mut generator, first + pause - MS).is_empty());
        assert_eq!(asked(&mut generator, first + pause), [2], "asked again");
        let took = REORDERING + pause + MS;
        assert_eq!(generator.received(start + took, 2), Some(took), "recovered");
        assert_eq!(generator.received(start + took, 2), None, "only once");
        assert_eq!(generator.next_deadline(), None);
    }

    #[test]
    fn numbers_wrap() {
        let start = Instant::now();
        let mut generator = NackGenerator::new();
        generator.received(start, 65_534);
        generator.received(start, 65_538);
        assert_eq!(asked(&mut generator, start + REORDERING), [65_535, 0, 1]);
    }

    #[test]
    fn after_ten_tries_a_keyframe_is_needed_instead() {
        let mut now = Instant::now();
        let mut generator = with_round_trip(now, 40 * MS);
        generator.received(now, 3);
        let mut tries = 0;
        while let Some(deadline) = generator.next_deadline() {
            assert!(!generator.take_keyframe_needed());
            now = deadline;
            tries += asked(&mut generator, now).len();
        }
        assert_eq!(tries, 2 * usize::from(MAX_TRIES), "each is said twice");
        assert!(generator.take_keyframe_needed());
        assert!(!generator.take_keyframe_needed(), "asking clears it");
    }

    #[test]
    fn on_a_long_way_a_second_is_enough() {
        let start = Instant::now();
        let mut generator = with_round_trip(start, 300 * MS);
        generator.received(start, 3);
        let (mut now, mut tries) = (start, 0);
        while let Some(deadline) = generator.next_deadline() {
            now = deadline;
            tries += asked(&mut generator, now).len();
        }
        assert_eq!(tries, 8);
        assert!(generator.take_keyframe_needed());
        assert!(now < start + MAX_AGE + MAX_PAUSE, "{:?}", now - start);
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
            let mut round_trip = RoundTrip::default();
            for _ in 0..100 {
                round_trip.answered(1, rtt);
            }
            assert_eq!(round_trip.pause(), pause);
            for tries in [2, 10, u8::MAX] {
                for _ in 0..300 {
                    round_trip.answered(tries, rtt);
                    assert!((MIN_PAUSE..=MAX_PAUSE).contains(&round_trip.pause()));
                }
            }
        }
    }

    /// Loses packets one by one, each answered that long after the first request for it; how often each was
    /// asked for.
    fn repair(
        generator: &mut NackGenerator,
        now: &mut Instant,
        answer_after: Duration,
        losses: u32,
    ) -> Vec<u8> {
        (0..losses)
            .map(|_| {
                let sequence = generator.highest.map_or(100, |highest| highest + 2);
                generator.received(*now, sequence.saturating_sub(2));
                generator.received(*now, sequence);
                let answer_at = *now + REORDERING + answer_after;
                while let Some(deadline) = generator.next_deadline().filter(|at| *at < answer_at) {
                    *now = deadline;
                    asked(generator, *now);
                }
                *now = answer_at;
                let tries = generator.missing.front().map_or(MAX_TRIES, |missing| missing.tries);
                generator.received(*now, sequence - 1);
                tries
            })
            .collect()
    }

    #[test]
    fn how_fast_answers_come_decides_how_often_is_asked() {
        let mut now = Instant::now();
        let mut generator = NackGenerator::new();
        let far = 300 * MS;
        let tries = repair(&mut generator, &mut now, far, 10);
        assert_eq!(tries[0], 3, "nothing is known yet");
        assert!(tries[3..].iter().all(|tries| *tries == 1), "{tries:?}");
        assert_eq!(generator.round_trip(), Some(far));
        assert!(!generator.take_keyframe_needed());
        // It comes nearer, and goes further away than ever.
        repair(&mut generator, &mut now, 40 * MS, 60);
        assert!(generator.round_trip.pause() < 60 * MS);
        let tries = repair(&mut generator, &mut now, 450 * MS, 40);
        assert!(tries[0] > 4, "{tries:?}");
        assert!(tries[30..].iter().all(|tries| *tries == 1), "{tries:?}");
    }

    #[test]
    fn loss_of_requests_and_answers_makes_the_round_trip_no_longer() {
        let mut now = Instant::now();
        let rtt = 150 * MS;
        let mut generator = with_round_trip(now, rtt);
        // Every second try is lost: half of the answers come after the second request.
        for loss in 0..100u64 {
            let tries = 1 + (loss % 2) as u8;
            let since_asked = rtt;
            generator.round_trip.answered(tries, since_asked);
            now += MS;
        }
        assert!(generator.round_trip.pause() < rtt + 10 * MS, "{:?}", generator.round_trip);
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
                prop_assert_eq!(generator.received(now, sequence).is_some(), was_missing);
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
                prop_assert!(times.len() <= 2 * usize::from(MAX_TRIES));
                prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= ECHO));
                prop_assert!(times.windows(3).all(|three| three[2] - three[0] >= MIN_PAUSE));
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
