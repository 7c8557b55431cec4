//! How much is sent again. On a link that drops what is too much, repairs of everything would be as much
//! again, and the picture that fits would be lost among them.

use crate::bwe::Bitrate;
use std::time::{Duration, Instant};

/// Share of the estimate that repairs may take. Bad radio that loses a third needs half of what is sent;
/// more fills the queue that made the loss.
const SHARE: f64 = 0.5;
/// What may be sent at once, as time at that rate, and at least. More lets a burst of losses be repaired at
/// once, less spares the link.
const BURST: Duration = Duration::from_millis(300);
const MIN_BURST_BYTES: f64 = 12_000.0;

/// From this share lost on repairs are sent twice, as many of them are lost too. Less loads links that lose little.
const HEAVY_LOSS: f64 = 0.10;
/// The same where another round trip is seen: a picture that waits for a second repair stands still.
const FAR_HEAVY_LOSS: f64 = 0.03;
/// Round trips from which on two of them are seen. Receivers count 150 ms beyond the usual as a freeze.
const FAR: Duration = Duration::from_millis(75);

/// How often a packet is sent again at once, by the share that the link loses and its round trip.
pub fn copies(loss: f64, round_trip: Option<Duration>) -> usize {
    let is_far = round_trip.is_some_and(|time| time >= FAR);
    let heavy = if is_far { FAR_HEAVY_LOSS } else { HEAVY_LOSS };
    if loss >= heavy { 2 } else { 1 }
}

/// A bucket that fills at a share of the estimate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resends {
    spent_bytes: f64,
    at: Option<Instant>,
}

impl Resends {
    /// Whether one more packet may be sent again. No estimate limits nothing.
    pub fn passes(&mut self, now: Instant, estimate: Option<Bitrate>) -> bool {
        let Some(estimate) = estimate else { return true };
        let since = now.saturating_duration_since(self.at.replace(now).unwrap_or(now));
        let bytes_in = |time: Duration| SHARE * estimate.bytes_in(time) as f64;
        self.spent_bytes = (self.spent_bytes - bytes_in(since)).max(0.0);
        self.spent_bytes < bytes_in(BURST).max(MIN_BURST_BYTES)
    }

    /// Notes one that was.
    pub fn sent(&mut self, bytes: usize) {
        self.spent_bytes += bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repairs_take_a_share_and_bursts_of_losses_are_repaired() {
        let start = Instant::now();
        let estimate = Some(Bitrate(1_000_000));
        let mut resends = Resends::default();
        let mut sent = 0;
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            while resends.passes(now, estimate) {
                resends.sent(1_000);
                sent += 1_000;
            }
            assert!(ms > 0 || sent >= 12_000, "a burst leaves at once");
        }
        let rate = f64::from(sent) * 8.0 / 10.0;
        assert!((480_000.0..550_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn repairs_that_may_be_lost_go_twice_where_a_second_would_come_too_late() {
        let (near, far) = (Some(Duration::from_millis(20)), Some(Duration::from_millis(120)));
        for (loss, round_trip, times) in [
            (0.0, far, 1),
            (0.02, far, 1),
            (0.05, far, 2),
            (0.05, near, 1),
            (0.05, None, 1),
            (0.15, near, 2),
            (0.15, None, 2),
        ] {
            assert_eq!(copies(loss, round_trip), times, "{loss} {round_trip:?}");
        }
    }

    #[test]
    fn without_an_estimate_everything_is_sent_again() {
        let mut resends = Resends::default();
        for _ in 0..1_000 {
            assert!(resends.passes(Instant::now(), None));
            resends.sent(1_000);
        }
    }
}
