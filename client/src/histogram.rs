//! How long things took, in buckets that are at most a sixteenth wide: percentiles of millions in a few kilobytes.

use std::time::Duration;

/// Buckets to each power of two.
const STEPS: usize = 16;
/// Up to 2^32 µs, which is more than an hour.
const BUCKETS: usize = 29 * STEPS;

/// Counted durations.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Empty until something is counted: many stay so.
    counts: Vec<u64>,
    total: u64,
    longest: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        if self.counts.is_empty() {
            self.counts = vec![0; BUCKETS];
        }
        self.counts[bucket(took.as_micros())] += 1;
        self.total += 1;
        self.longest = self.longest.max(took);
    }

    /// Takes in what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
                *ours += theirs;
            }
        }
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }

    /// What that part of all took at most, rounded up to its bucket; nothing where nothing was counted.
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        if self.total == 0 {
            return None;
        }
        let wanted = ((self.total as f64 * part).ceil() as u64).clamp(1, self.total);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map(|index| Duration::from_micros(upper(index)).min(self.longest))
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The longest, exactly.
    pub fn longest(&self) -> Duration {
        self.longest
    }
}

/// Small ones have a bucket each; from then on each power of two has the same number of them.
fn bucket(micros: u128) -> usize {
    let micros = micros.min(u128::from(u32::MAX)) as u64;
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let step = (micros >> (power - STEPS.ilog2() as usize)) as usize - STEPS;
    (power - STEPS.ilog2() as usize + 1) * STEPS + step
}

/// The largest value in a bucket.
fn upper(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let (power, step) = (index / STEPS - 1, index % STEPS);
    ((STEPS + step + 1) as u64) * (1 << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_falls_into_the_bucket_that_ends_behind_it() {
        for micros in (0..5_000).chain([65_535, 65_536, 1_000_000, 4_294_967_295]) {
            let index = bucket(micros);
            assert!(index < BUCKETS, "{micros}");
            assert!(u128::from(upper(index)) >= micros, "{micros}");
            assert!(index == 0 || u128::from(upper(index - 1)) < micros, "{micros}");
        }
    }

    #[test]
    fn percentiles_are_those_of_what_was_counted() {
        let mut all = Histogram::default();
        assert_eq!(all.percentile(0.5), None);
        for ms in 1..=500u64 {
            all.record(Duration::from_millis(ms));
        }
        let mut rest = Histogram::default();
        (501..=1000u64).for_each(|ms| rest.record(Duration::from_millis(ms)));
        all.merge(&rest);
        let near = |part: f64, ms: f64| {
            let found = all.percentile(part).expect("there is one").as_secs_f64() * 1e3;
            assert!(found >= ms * 0.999 && found <= ms * 1.07, "{part}: {found}");
        };
        near(0.5, 500.0);
        near(0.99, 990.0);
        assert_eq!(all.percentile(1.0), Some(Duration::from_secs(1)));
        assert_eq!((all.len(), all.longest()), (1000, Duration::from_secs(1)));
    }
}
