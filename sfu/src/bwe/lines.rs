//! How fast a probe left, and how fast it arrived.

use super::CEILING;
use super::history::Sent;

/// What arrived of a probe, and two lines through it: of the times it left and of those it arrived,
/// over the bytes that had left by then. Lines, as single packets are late by chance.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrived {
    pub packets: u32,
    pub lost: u32,
    /// Packets that the lines go through.
    points: f64,
    origin: Option<(u32, i64, i64)>,
    sum_bytes: f64,
    sum_squares: f64,
    sum_left: f64,
    sum_left_by_bytes: f64,
    sum_arrived: f64,
    sum_arrived_by_bytes: f64,
    sum_arrived_squares: f64,
}

/// Of both lines, in µs per byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slopes {
    pub left: f64,
    pub arrived: f64,
    /// By how much the latter may well be wrong, as packets came irregularly.
    pub error: f64,
}

impl Arrived {
    /// Takes in a packet that arrived, in whatever order; `place` is how many bytes had left with it.
    pub fn add(&mut self, place: u32, sent: Sent, arrived_us: i64) {
        self.packets += 1;
        let (begin, left, arrived) = *self.origin.get_or_insert((place, sent.at_us, arrived_us));
        let (left, arrived) = ((sent.at_us - left) as f64, (arrived_us - arrived) as f64);
        let bytes = f64::from(place) - f64::from(begin);
        self.points += 1.0;
        self.sum_bytes += bytes;
        self.sum_squares += bytes * bytes;
        self.sum_left += left;
        self.sum_left_by_bytes += left * bytes;
        self.sum_arrived += arrived;
        self.sum_arrived_by_bytes += arrived * bytes;
        self.sum_arrived_squares += arrived * arrived;
    }

    /// How steep both lines are; `None` through too few packets.
    pub fn slopes(&self) -> Option<Slopes> {
        let points = self.points;
        let spread = points * self.sum_squares - self.sum_bytes * self.sum_bytes;
        if spread <= 0.0 || points < 3.0 {
            return None;
        }
        let with_left = points * self.sum_left_by_bytes - self.sum_left * self.sum_bytes;
        let with_arrived = points * self.sum_arrived_by_bytes - self.sum_arrived * self.sum_bytes;
        let arrived_spread =
            points * self.sum_arrived_squares - self.sum_arrived * self.sum_arrived;
        let arrived = with_arrived / spread;
        let residue = (arrived_spread - arrived * with_arrived).max(0.0);
        let error = 2.0 * (residue / ((points - 2.0) * spread)).sqrt();
        Some(Slopes { left: with_left / spread, arrived, error })
    }
}

/// Bits per second where a byte takes `us`. What left or arrived at one moment has none that could be told.
pub(super) fn bits_per_second(us: f64) -> f64 {
    8e6 / us.max(8e6 / CEILING.as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of 250 bytes each 2 ms, 1 Mbit/s, that is under way for as long as `late_us` says.
    fn lines(packets: i64, late_us: impl Fn(i64) -> i64) -> Slopes {
        let mut arrived = Arrived::default();
        for n in 0..packets {
            let sent = Sent { at_us: n * 2000, bytes: 250 };
            arrived.add(n as u32 * 250, sent, 7_000_000 + n * 2000 + late_us(n));
        }
        arrived.slopes().unwrap()
    }

    #[test]
    fn what_comes_as_it_left_has_two_equal_lines() {
        let slopes = lines(20, |_| 30_000);
        assert!((bits_per_second(slopes.left) - 1e6).abs() < 1.0);
        assert!((bits_per_second(slopes.arrived) - 1e6).abs() < 1.0);
        assert!(slopes.error < 1e-6);
    }

    #[test]
    fn what_waits_longer_and_longer_came_slower() {
        let slopes = lines(20, |n| n * 2000);
        assert!((bits_per_second(slopes.arrived) - 500_000.0).abs() < 1.0);
        assert!(slopes.error < 1e-6);
    }

    #[test]
    fn irregular_arrivals_are_known_to_be_uncertain() {
        let noise = |n: i64| ((n * 2_654_435_761) >> 16) % 30 * 1000;
        for packets in [10, 20, 50, 100] {
            let slopes = lines(packets, noise);
            assert!((slopes.arrived - slopes.left).abs() < 1.5 * slopes.error, "{slopes:?}");
            assert!(slopes.error > 0.1, "{slopes:?}");
        }
    }

    #[test]
    fn what_was_overtaken_has_its_place() {
        let mut arrived = Arrived::default();
        for n in [3, 1, 0, 2, 7, 6, 5, 4, 9, 8] {
            let sent = Sent { at_us: n * 2000, bytes: 250 };
            arrived.add(n as u32 * 250, sent, 30_000 + n * 4000);
        }
        let slopes = arrived.slopes().unwrap();
        assert!((bits_per_second(slopes.left) - 1e6).abs() < 1.0);
        assert!((bits_per_second(slopes.arrived) - 500_000.0).abs() < 1.0);
    }

    #[test]
    fn one_moment_has_no_line() {
        let mut arrived = Arrived::default();
        assert!(arrived.slopes().is_none());
        arrived.add(250, Sent { at_us: 0, bytes: 250 }, 0);
        arrived.add(500, Sent { at_us: 0, bytes: 250 }, 0);
        assert!(arrived.slopes().is_none());
        assert_eq!(bits_per_second(0.0), CEILING.as_f64());
    }
}
