//! A token bucket that is told the time.

use std::time::{Duration, Instant};

/// How many at once, and how many per second for good.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tokens of a full bucket.
    pub burst: u32,
    /// Tokens that come back each second.
    pub per_second: u32,
}

/// Tokens of one sender.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    /// When the bucket is full again; each token taken moves it on by the time one token needs.
    full_at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// Takes a token, if there is one.
    pub fn take(&mut self, now: Instant) -> bool {
        let next = self.full_at.max(now) + self.token();
        let fits = next - now <= self.token() * self.rate.burst;
        if fits {
            self.full_at = next;
        }
        fits
    }

    /// Whether nothing is taken, so that a new bucket would be the same.
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    fn token(&self) -> Duration {
        Duration::from_secs(1) / self.rate.per_second.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per_second: 2 };

    #[test]
    fn a_burst_passes_and_the_next_one_waits() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RATE, start);
        assert_eq!([true, true, true, false], [(); 4].map(|()| bucket.take(start)));
        assert!(!bucket.take(start + Duration::from_millis(499)));
        assert!(bucket.take(start + Duration::from_millis(500)));
        assert!(!bucket.take(start + Duration::from_millis(500)));
    }

    #[test]
    fn over_time_no_more_passes_than_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RATE, start);
        let passed =
            (0..10_000u64).filter(|ms| bucket.take(start + Duration::from_millis(*ms))).count();
        assert_eq!(passed, 3 + 19, "a burst, and two a second for just under ten seconds");
    }

    #[test]
    fn a_rested_bucket_is_full_and_no_fuller() {
        let start = Instant::now();
        let mut bucket = Bucket::new(RATE, start);
        assert!(bucket.take(start) && !bucket.is_full(start));
        let later = start + Duration::from_secs(60);
        assert!(bucket.is_full(later));
        assert_eq!([true, true, true, false], [(); 4].map(|()| bucket.take(later)));
    }
}
