//! How many bits per second pass a point, over the last moments.

/// Bytes of the last 400 ms in buckets of 50 ms.
#[derive(Clone, Debug, Default)]
pub(super) struct Throughput {
    buckets: [u32; BUCKETS],
    /// Number of the newest bucket on the time axis.
    newest: i64,
    /// Number of the first bucket ever filled.
    oldest: Option<i64>,
}

impl Throughput {
    /// Adds what passed at `at_us`. What is older than the window is forgotten.
    pub fn add(&mut self, at_us: i64, bytes: usize) {
        let bucket = at_us.div_euclid(BUCKET_US);
        if self.oldest.is_none() {
            self.oldest = Some(bucket);
            self.newest = bucket;
        }
        self.advance(bucket);
        if self.newest - bucket < BUCKETS as i64 {
            let slot = &mut self.buckets[bucket.rem_euclid(BUCKETS as i64) as usize];
            *slot = slot.saturating_add(bytes as u32);
        }
    }

    /// Bits per second up to the newest whole bucket; `None` before there are enough of them.
    pub fn bits_per_second(&self) -> Option<f64> {
        // The newest bucket is still being filled.
        let whole = (self.newest - self.oldest?).min(BUCKETS as i64 - 1);
        if whole < MIN_BUCKETS {
            return None;
        }
        let newest = self.newest.rem_euclid(BUCKETS as i64) as usize;
        let bytes: u64 = self.buckets.iter().map(|bytes| u64::from(*bytes)).sum::<u64>()
            - u64::from(self.buckets[newest]);
        Some(bytes as f64 * 8e6 / (whole * BUCKET_US) as f64)
    }

    /// Lets time pass without anything to add.
    pub fn advance_to(&mut self, at_us: i64) {
        if self.oldest.is_some() {
            self.advance(at_us.div_euclid(BUCKET_US));
        }
    }

    fn advance(&mut self, bucket: i64) {
        let steps = bucket - self.newest;
        if steps >= BUCKETS as i64 {
            self.buckets = [0; BUCKETS];
        } else {
            for step in 1..=steps.max(0) {
                self.buckets[(self.newest + step).rem_euclid(BUCKETS as i64) as usize] = 0;
            }
        }
        self.newest = self.newest.max(bucket);
    }
}

const BUCKETS: usize = 9;
const BUCKET_US: i64 = 50_000;

/// Whole buckets that make a number. Fewer would measure single frames.
const MIN_BUCKETS: i64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.bits_per_second(), None);
        for at in 0..1000 {
            throughput.add(at * 5000, 625);
        }
        assert_eq!(throughput.bits_per_second(), Some(1e6));
    }

    #[test]
    fn silence_ends_the_rate() {
        let mut throughput = Throughput::default();
        for at in 0..1000 {
            throughput.add(at * 5000, 625);
        }
        throughput.advance_to(6_000_000);
        assert_eq!(throughput.bits_per_second(), Some(0.0));
    }

    #[test]
    fn what_comes_late_is_added_where_it_belongs_or_nowhere() {
        let mut throughput = Throughput::default();
        throughput.add(0, 100);
        throughput.add(500_000, 1000);
        throughput.add(460_000, 1000);
        throughput.add(-3_000_000, 50_000);
        assert_eq!(throughput.bits_per_second(), Some(1000.0 * 8.0 / 0.4));
    }
}
