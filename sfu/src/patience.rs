//! How long receivers shall hold pictures back, so that what a publisher's link has lost is here in time.
//!
//! A receiver's buffer learns how long repairs of its own link take. Those of the publisher's link it does not see: it
//! would show each of them as a freeze, again and again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Learns from the repairs of one stream.
#[derive(Debug, Default)]
pub struct Patience {
    /// When each came, and how long after the gap was seen.
    repairs: VecDeque<(Instant, Duration)>,
    /// What is wanted; moves only for a reason.
    goal: Duration,
    wait: Duration,
    settled: Option<Instant>,
}

impl Patience {
    /// Something that was missing came after all.
    pub fn repaired(&mut self, now: Instant, took: Duration) {
        if took < MIN_TOOK {
            return;
        }
        if self.repairs.len() == MAX_REPAIRS {
            self.repairs.pop_front();
        }
        self.repairs.push_back((now, took));
    }

    /// Forgets what is long ago, and goes on towards what is wanted.
    pub fn settle(&mut self, now: Instant) {
        while self.repairs.front().is_some_and(|(at, _)| now >= *at + WINDOW) {
            self.repairs.pop_front();
        }
        let wanted = self.wanted();
        if wanted > self.goal || wanted + HYSTERESIS < self.goal {
            self.goal = wanted;
        }
        let since = self.settled.replace(now).unwrap_or(now);
        let since = now.saturating_duration_since(since).min(Duration::from_secs(1));
        self.wait = if self.goal > self.wait {
            (self.wait.max(UNSEEN) + since * RISE / 1_000).min(self.goal)
        } else {
            self.wait.saturating_sub(since * FALL / 1_000).max(self.goal)
        };
    }

    fn wanted(&self) -> Duration {
        if self.repairs.len() < MIN_REPAIRS {
            return Duration::ZERO;
        }
        let mut took: Vec<Duration> = self.repairs.iter().map(|(_, took)| *took).collect();
        took.sort_unstable();
        (took[took.len() * COVERED / 100] + MARGIN).min(MAX_WAIT)
    }

    /// How long after it was captured a picture is to be shown at the earliest.
    pub fn wait(&self) -> Duration {
        self.wait
    }
}

/// Repairs that are remembered. More would remember a worse link for longer.
const MAX_REPAIRS: usize = 64;
/// How long one is remembered. Shorter lets the buffer shrink between two gusts, longer delays a link that is good.
const WINDOW: Duration = Duration::from_secs(20);
/// Fewer are an accident, and not worth a delay for everybody who looks.
const MIN_REPAIRS: usize = 4;
/// Sooner every receiver's buffer waits by itself.
const MIN_TOOK: Duration = Duration::from_millis(30);
/// Share of repairs, in percent, that shall be in time. At 15 % loss five of six come with the first answer; more would
/// make everybody wait for the second, which is twice as long.
const COVERED: usize = 75;
/// From the repair to the screen.
const MARGIN: Duration = Duration::from_millis(20);
/// Longer is no conversation.
const MAX_WAIT: Duration = Duration::from_millis(400);
/// A buffer that breathes is seen as pictures that run and stand.
const HYSTERESIS: Duration = Duration::from_millis(50);
/// What a receiver waits on a good link too.
const UNSEEN: Duration = Duration::from_millis(40);
/// Milliseconds per second by which the wait grows, and shrinks. Receivers move their sound after the picture at about
/// thirty, so that faster is out of step for longer; slower freezes for longer first.
const RISE: u32 = 60;
const FALL: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Settles four times a second, as long as that.
    fn pass(patience: &mut Patience, now: &mut Instant, time: Duration) {
        let end = *now + time;
        while *now < end {
            *now += 250 * MS;
            patience.settle(*now);
        }
    }

    #[test]
    fn an_accident_delays_nobody_and_a_bad_link_as_long_as_its_repairs_take() {
        let mut now = Instant::now();
        let mut patience = Patience::default();
        for _ in 0..3 {
            patience.repaired(now, 150 * MS);
        }
        pass(&mut patience, &mut now, 5_000 * MS);
        assert_eq!(patience.wait(), Duration::ZERO);
        for n in 0..20 {
            // Every fifth needs two round trips.
            patience.repaired(now, if n % 5 == 0 { 300 * MS } else { 150 * MS });
        }
        patience.settle(now);
        let last = now;
        let before = patience.wait();
        assert!(before < 60 * MS, "no jump: {before:?}");
        pass(&mut patience, &mut now, 1_000 * MS);
        assert_eq!(patience.wait(), before + 60 * MS);
        pass(&mut patience, &mut now, 5_000 * MS);
        assert_eq!(patience.wait(), 170 * MS);
        let rest = last + WINDOW - 250 * MS - now;
        pass(&mut patience, &mut now, rest);
        assert_eq!(patience.wait(), 170 * MS);
        pass(&mut patience, &mut now, 2_000 * MS);
        assert!((130 * MS..165 * MS).contains(&patience.wait()), "{:?}", patience.wait());
        pass(&mut patience, &mut now, 10_000 * MS);
        assert_eq!(patience.wait(), Duration::ZERO, "the link is good");
    }

    #[test]
    fn small_changes_move_nothing() {
        let mut now = Instant::now();
        let mut patience = Patience::default();
        for round in 0..60 {
            for _ in 0..3 {
                patience.repaired(now, (150 + (round % 3) * 15) * MS);
            }
            pass(&mut patience, &mut now, 500 * MS);
            if round > 20 {
                assert!((190 * MS..=200 * MS).contains(&patience.wait()), "{:?}", patience.wait());
            }
        }
    }

    #[test]
    fn reordering_is_no_repair_and_no_link_makes_a_conversation_impossible() {
        let mut now = Instant::now();
        let mut patience = Patience::default();
        for _ in 0..1_000 {
            patience.repaired(now, 29 * MS);
        }
        pass(&mut patience, &mut now, 10_000 * MS);
        assert_eq!(patience.wait(), Duration::ZERO);
        for _ in 0..1_000 {
            patience.repaired(now, Duration::from_secs(100));
            pass(&mut patience, &mut now, 250 * MS);
            assert!(patience.wait() <= MAX_WAIT && patience.repairs.len() <= MAX_REPAIRS);
        }
        assert_eq!(patience.wait(), MAX_WAIT);
    }
}
