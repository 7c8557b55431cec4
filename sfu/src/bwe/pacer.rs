//! Keeps what leaves at once small enough that no queue on the way overflows.

use super::Bitrate;
use std::time::{Duration, Instant};

/// A bucket that leaks at a multiple of the estimate. What was sent fills it; media may be sent
/// while it is not above the burst. Audio and repairs do not ask, but count.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: Bitrate,
    debt_bytes: f64,
    at: Option<Instant>,
}

impl Pacer {
    /// With an empty bucket.
    pub fn new(estimate: Bitrate) -> Self {
        let mut pacer = Pacer { rate: Bitrate::ZERO, debt_bytes: 0.0, at: None };
        pacer.set_rate(estimate);
        pacer
    }

    /// Follows the estimate; holds from now on.
    pub fn set_estimate(&mut self, now: Instant, estimate: Bitrate) {
        self.leak(now);
        self.set_rate(estimate);
    }

    /// Whether video may leave now. Audio always may.
    pub fn may_send(&mut self, now: Instant) -> bool {
        self.leak(now);
        self.debt_bytes <= self.burst_bytes()
    }

    /// Notes what leaves, audio and padding too.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        self.leak(now);
        let most = self.burst_bytes() + self.rate.as_f64() / 8.0 * MAX_DEBT.as_secs_f64();
        self.debt_bytes = (self.debt_bytes + bytes as f64).min(most);
    }

    /// When video may leave next; not in the future if it may now. `None` before anything left.
    pub fn next_at(&self) -> Option<Instant> {
        let excess = (self.debt_bytes - self.burst_bytes()).max(0.0);
        // Rounded up, so that who wakes then may send.
        Some(self.at? + self.rate.time_for(excess.ceil() as usize) + Duration::from_nanos(1))
    }

    fn set_rate(&mut self, estimate: Bitrate) {
        self.rate = Bitrate(estimate.0.saturating_mul(FACTOR_PERCENT) / 100);
    }

    fn burst_bytes(&self) -> f64 {
        (self.rate.as_f64() / 8.0 * BURST.as_secs_f64()).max(MIN_BURST_BYTES)
    }

    fn leak(&mut self, now: Instant) {
        if self.at == Some(now) {
            return;
        }
        let since = now.saturating_duration_since(*self.at.get_or_insert(now));
        self.debt_bytes =
            (self.debt_bytes - self.rate.as_f64() / 8.0 * since.as_secs_f64()).max(0.0);
        self.at = self.at.max(Some(now));
    }
}

/// Media leaves at this share of the estimate: more sends a keyframe sooner but queues it on the
/// way, less holds it back here.
const FACTOR_PERCENT: u64 = 200;

/// What may leave at once, as time at the pacer's rate: longer lets system calls carry more, at
/// the price of bursts on the way.
const BURST: Duration = Duration::from_millis(40);
/// At least one batch of a few packets, also at low rates.
const MIN_BURST_BYTES: f64 = 4800.0;

/// Debt is forgotten beyond this. More would let a burst of audio and repairs stop video for longer.
const MAX_DEBT: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_leaves_at_the_rate_after_the_burst() {
        let mut now = Instant::now();
        let end = now + Duration::from_secs(10);
        let mut pacer = Pacer::new(Bitrate(1_000_000));
        let mut bytes = 0;
        while now < end {
            while pacer.may_send(now) {
                pacer.sent(now, 1100);
                bytes += 1100;
            }
            let next = pacer.next_at().unwrap();
            assert!(next > now);
            now = next;
            assert!(pacer.may_send(now), "who wakes when told may send");
        }
        let rate = bytes as f64 * 8.0 / 10.0;
        assert!((1.98e6..2.1e6).contains(&rate), "{rate}");
    }

    #[test]
    fn debt_is_bounded() {
        let now = Instant::now();
        let mut pacer = Pacer::new(Bitrate(50_000));
        for _ in 0..1000 {
            pacer.sent(now, 1200);
        }
        assert!(!pacer.may_send(now));
        let longest = MAX_DEBT + Duration::from_millis(1);
        assert!(pacer.next_at().unwrap() <= now + longest);
        assert!(pacer.may_send(now + longest));
    }

    #[test]
    fn time_that_goes_back_frees_nothing() {
        let now = Instant::now();
        let mut pacer = Pacer::new(Bitrate(100_000));
        pacer.sent(now + Duration::from_secs(1), 100_000);
        assert!(!pacer.may_send(now));
        assert!(!pacer.may_send(now + Duration::from_secs(1)));
    }
}
