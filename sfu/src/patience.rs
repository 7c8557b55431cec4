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
    wait: Duration,
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
        self.settle(now);
    }

    /// Forgets what is long ago.
    pub fn settle(&mut self, now: Instant) {
        while self.repairs.front().is_some_and(|(at, _)| now >= *at + WINDOW) {
            self.repairs.pop_front();
        }
        let mut took: Vec<Duration> = self.repairs.iter().map(|(_, took)| *took).collect();
        if took.len() < MIN_REPAIRS {
            self.wait = Duration::ZERO;
            return;
        }
        took.sort_unstable();
        let most = took[took.len() * COVERED / 100];
        let wait = (most + MARGIN).min(MAX_WAIT);
        // A buffer that breathes is seen as pictures that run and stand.
        if wait > self.wait || wait + HYSTERESIS < self.wait {
            self.wait = wait;
        }
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
/// Share of repairs, in percent, that shall be in time. All of them would let the slowest decide.
const COVERED: usize = 90;
/// From the repair to the screen.
const MARGIN: Duration = Duration::from_millis(20);
/// Longer is no conversation.
const MAX_WAIT: Duration = Duration::from_millis(400);
const HYSTERESIS: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_accident_delays_nobody_and_a_bad_link_as_long_as_its_repairs_take() {
        let start = Instant::now();
        let mut patience = Patience::default();
        for _ in 0..3 {
            patience.repaired(start, 150 * MS);
        }
        assert_eq!(patience.wait(), Duration::ZERO);
        for n in 0..20 {
            // Every tenth needs two round trips.
            patience.repaired(start, if n % 20 == 0 { 300 * MS } else { 150 * MS });
        }
        assert_eq!(patience.wait(), 170 * MS);
        patience.settle(start + WINDOW - MS);
        assert_eq!(patience.wait(), 170 * MS);
        patience.settle(start + WINDOW);
        assert_eq!(patience.wait(), Duration::ZERO, "the link is good");
    }

    #[test]
    fn reordering_is_no_repair_and_no_link_makes_a_conversation_impossible() {
        let start = Instant::now();
        let mut patience = Patience::default();
        for n in 0..1_000 {
            patience.repaired(start + n * MS, 29 * MS);
        }
        assert_eq!(patience.wait(), Duration::ZERO);
        for n in 0..1_000 {
            patience.repaired(start + n * MS, Duration::from_secs(100));
            assert!(patience.wait() <= MAX_WAIT && patience.repairs.len() <= MAX_REPAIRS);
        }
        assert_eq!(patience.wait(), MAX_WAIT);
    }
}
