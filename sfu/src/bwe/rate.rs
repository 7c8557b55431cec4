//! The rate that the delay allows: up while the queue is empty, down when it grows.

use super::trend::DelayState;
use super::{CEILING, FLOOR};

/// Additive increase near the rate where it was too much last time, multiplicative far from it,
/// multiplicative decrease (draft-ietf-rmcat-gcc-02 §5.5).
#[derive(Clone, Debug)]
pub(super) struct Rate {
    bps: f64,
    capacity: Capacity,
    updated_us: Option<i64>,
    decreased_us: Option<i64>,
}

/// What this link delivered when it was overused.
#[derive(Clone, Copy, Debug, Default)]
struct Capacity {
    mean_bps: Option<f64>,
    /// Of samples around the mean, relative to it.
    deviation: f64,
}

/// What the rate is decided on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub state: DelayState,
    /// The queue was seen to grow since the last update.
    pub has_fired: bool,
    /// Nothing stands in the queue.
    pub is_clear: bool,
    /// What arrives at the receiver.
    pub acked_bps: Option<f64>,
    pub rtt_us: i64,
}

impl Rate {
    pub fn new(start_bps: f64) -> Self {
        Rate { bps: start_bps, capacity: Capacity::default(), updated_us: None, decreased_us: None }
    }

    pub fn bps(&self) -> f64 {
        self.bps
    }

    /// Moves the rate; `true` if it went down.
    pub fn update(&mut self, now_us: i64, observed: Observed) -> bool {
        let since_us = now_us - self.updated_us.replace(now_us).unwrap_or(now_us);
        match observed.state {
            DelayState::Overuse if observed.has_fired && self.may_decrease(now_us, observed) => {
                self.decrease(now_us, observed.acked_bps);
                true
            }
            DelayState::Normal if observed.is_clear => {
                self.increase(since_us.clamp(0, MAX_STEP_US), observed);
                false
            }
            // While a queue stands or drains, there is no room for more.
            DelayState::Normal | DelayState::Overuse | DelayState::Underuse => false,
        }
    }

    /// A measured rate in place of the present one.
    pub fn set(&mut self, bps: f64) {
        self.bps = bps.clamp(FLOOR.as_f64(), CEILING.as_f64());
    }

    /// What this link is known to carry of ours.
    pub fn capacity_bps(&self) -> Option<f64> {
        self.capacity.mean_bps
    }

    /// The link was measured to carry this and not more.
    pub fn learn_capacity(&mut self, bps: f64) {
        self.capacity.learn(bps, 0.5);
    }

    /// The link may be another one now.
    pub fn forget_capacity(&mut self) {
        self.capacity = Capacity::default();
    }

    fn may_decrease(&self, now_us: i64, observed: Observed) -> bool {
        let Some(last) = self.decreased_us else { return true };
        let pause_us = observed.rtt_us.clamp(MIN_PAUSE_US, MAX_PAUSE_US);
        now_us - last >= pause_us || observed.acked_bps.is_some_and(|acked| acked < 0.5 * self.bps)
    }

    fn decrease(&mut self, now_us: i64, acked_bps: Option<f64>) {
        let measured = acked_bps.unwrap_or(self.bps);
        if self.capacity.lower_bps().is_some_and(|lower| measured < lower) {
            self.capacity = Capacity::default();
        }
        self.capacity.learn(measured, 0.05);
        // Overuse never raises: what arrives of a burst may be more than the rate.
        self.set((DECREASE * measured).clamp(MOST_AT_ONCE * self.bps, self.bps));
        self.decreased_us = Some(now_us);
    }

    fn increase(&mut self, since_us: i64, observed: Observed) {
        let seconds = since_us as f64 / 1e6;
        if let (Some(acked), Some(upper)) = (observed.acked_bps, self.capacity.upper_bps())
            && acked > upper
        {
            self.capacity = Capacity::default();
        }
        // Below it too: probes are what finds free capacity. Where two grow by a share of what they
        // have, the one that has less never catches up.
        let is_near = self.capacity.upper_bps().is_some_and(|upper| self.bps < upper);
        // About one packet more per response time.
        let frame_bits = self.bps / FRAMES_PER_SECOND;
        let packet_bits = frame_bits / (frame_bits / PACKET_BITS).ceil();
        let response_s = observed.rtt_us as f64 / 1e6 + 0.1;
        let near = self.bps + (packet_bits / response_s).max(MIN_ADDITIVE) * seconds;
        // Never slower than near the limit: who has least of a shared link has to catch up.
        let far = near.max(self.bps * INCREASE_PER_SECOND.powf(seconds));
        let raised = if is_near { near } else { far };
        // Beyond what was tried nothing is known.
        let tried = observed.acked_bps.map_or(self.bps, |acked| 1.5 * acked + 10_000.0);
        self.set(raised.min(tried.max(self.bps)));
    }
}

impl Capacity {
    fn learn(&mut self, bps: f64, weight: f64) {
        let Some(mean) = &mut self.mean_bps else {
            self.mean_bps = Some(bps);
            self.deviation = MIN_DEVIATION;
            return;
        };
        let error = (bps - *mean).abs() / mean.max(1.0);
        *mean += weight * (bps - *mean);
        self.deviation += weight * (error - self.deviation);
        self.deviation = self.deviation.clamp(MIN_DEVIATION, MAX_DEVIATION);
    }

    fn upper_bps(&self) -> Option<f64> {
        self.mean_bps.map(|mean| mean * (1.0 + 3.0 * self.deviation))
    }

    fn lower_bps(&self) -> Option<f64> {
        self.mean_bps.map(|mean| mean * (1.0 - 3.0 * self.deviation))
    }
}

/// What of the arriving rate is kept when the queue grows. Less would drain it faster and waste
/// more, more would leave it standing.
const DECREASE: f64 = 0.85;
/// What is left at least, however little arrived: that may be a gap, and the next feedback tells. Less would take a
/// radio's or a machine's moment of absence for a dead link, more would be late where a link is cut to a tenth.
const MOST_AT_ONCE: f64 = 0.3;
/// Growth far from any known limit. More overshoots further, less wastes the link for longer.
const INCREASE_PER_SECOND: f64 = 1.08;
const FRAMES_PER_SECOND: f64 = 30.0;
/// The largest video packets.
const PACKET_BITS: f64 = 9600.0;
/// Growth near the limit per second, at least.
const MIN_ADDITIVE: f64 = 4000.0;

/// Between two decreases: the first has to have an effect.
const MIN_PAUSE_US: i64 = 100_000;
const MAX_PAUSE_US: i64 = 200_000;

/// Growth is never made up for a longer time without feedback.
const MAX_STEP_US: i64 = 1_000_000;

const MIN_DEVIATION: f64 = 0.04;
const MAX_DEVIATION: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(acked_bps: f64) -> Observed {
        Observed {
            state: DelayState::Normal,
            has_fired: false,
            is_clear: true,
            acked_bps: Some(acked_bps),
            rtt_us: 50_000,
        }
    }

    fn overuse(acked_bps: f64) -> Observed {
        Observed { state: DelayState::Overuse, has_fired: true, ..normal(acked_bps) }
    }

    #[test]
    fn overuse_leaves_85_percent_of_what_arrives() {
        let mut rate = Rate::new(1e6);
        assert!(rate.update(0, overuse(800_000.0)));
        assert_eq!(rate.bps(), 680_000.0);
        // The next one has to wait until this one could have had an effect.
        assert!(!rate.update(50_000, overuse(700_000.0)));
        assert_eq!(rate.bps(), 680_000.0);
        assert!(rate.update(150_000, overuse(700_000.0)));
    }

    #[test]
    fn a_gap_does_not_take_everything_and_a_dead_link_does() {
        let mut rate = Rate::new(1e6);
        rate.update(0, overuse(8_000.0));
        assert_eq!(rate.bps(), 300_000.0);
        for step in 1..5 {
            rate.update(step * 50_000, overuse(8_000.0));
        }
        assert_eq!(rate.bps(), FLOOR.as_f64());
    }

    #[test]
    fn growth_is_8_percent_a_second_far_from_the_limit_and_slow_near_it() {
        let grow = |rate: &mut Rate, acked: f64| {
            let before = rate.bps();
            let from = rate.updated_us.unwrap_or(0);
            for step in 1..=10 {
                rate.update(from + step * 100_000, normal(acked));
            }
            rate.bps() / before
        };
        let mut rate = Rate::new(1e6);
        rate.update(0, normal(1e6));
        let far = grow(&mut rate, 1e6);
        assert!((1.07..1.09).contains(&far), "{far}");
        rate.update(rate.updated_us.unwrap() + 1000, overuse(1.1e6));
        let near = grow(&mut rate, 1e6);
        assert!((1.0..1.08).contains(&near) && near < far, "{near}");
    }

    #[test]
    fn nothing_grows_while_a_queue_stands() {
        let mut rate = Rate::new(1e6);
        for step in 0..100 {
            rate.update(step * 100_000, Observed { is_clear: false, ..normal(1e6) });
        }
        assert_eq!(rate.bps(), 1e6);
    }

    #[test]
    fn what_is_not_sent_does_not_let_the_rate_grow() {
        let mut rate = Rate::new(1e6);
        for step in 0..600 {
            rate.update(step * 100_000, normal(300_000.0));
        }
        assert_eq!(rate.bps(), 1e6);
    }

    #[test]
    fn the_rate_stays_within_its_bounds() {
        let mut rate = Rate::new(300_000.0);
        for step in 0..100 {
            rate.update(step * 1_000_000, overuse(0.0));
        }
        assert_eq!(rate.bps(), FLOOR.as_f64());
        for step in 100..400 {
            rate.update(step * 1_000_000, normal(1e12));
        }
        assert_eq!(rate.bps(), CEILING.as_f64());
    }
}
