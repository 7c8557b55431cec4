//! An amount per second, with its unit in the type.

use std::time::Duration;

/// Bits per second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Bitrate(pub u64);

impl Bitrate {
    /// Nothing at all.
    pub const ZERO: Bitrate = Bitrate(0);

    /// `bits` per second; what is no number or negative is nothing.
    pub(super) fn from_f64(bits: f64) -> Self {
        // A cast from a float saturates, and makes 0 of what is no number.
        Bitrate(bits as u64)
    }

    pub(super) fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// Whole bytes that this rate carries in `time`.
    pub fn bytes_in(self, time: Duration) -> usize {
        (self.as_f64() / 8.0 * time.as_secs_f64()) as usize
    }

    /// How long `bytes` take at this rate; a day where the rate is nothing.
    pub fn time_for(self, bytes: usize) -> Duration {
        let seconds = bytes as f64 * 8.0 / self.as_f64().max(1.0);
        Duration::from_secs_f64(seconds.min(86_400.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_time_are_each_others_inverse() {
        let rate = Bitrate(800_000);
        assert_eq!(rate.bytes_in(Duration::from_millis(10)), 1000);
        assert_eq!(rate.time_for(1000), Duration::from_millis(10));
    }

    #[test]
    fn no_rate_carries_nothing_and_takes_no_endless_time() {
        assert_eq!(Bitrate::ZERO.bytes_in(Duration::from_secs(1)), 0);
        assert!(Bitrate::ZERO.time_for(usize::MAX) <= Duration::from_secs(86_400));
        assert_eq!(Bitrate::from_f64(f64::NAN), Bitrate::ZERO);
        assert_eq!(Bitrate::from_f64(-1.0), Bitrate::ZERO);
    }
}
