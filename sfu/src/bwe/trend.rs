//! Whether the queue on the way grows: a line through the delays of the last groups.

use super::groups::Variation;

/// What the delay says about the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DelayState {
    /// Packets take as long as before.
    #[default]
    Normal,
    /// They take longer and longer: a queue grows.
    Overuse,
    /// They take less and less: a queue drains.
    Underuse,
}

/// The slope of the delay over the last groups, against a threshold that adapts to how noisy the
/// link is (draft-ietf-rmcat-gcc-02 §5.3 and §5.4, with the line in place of the Kalman filter).
#[derive(Clone, Debug)]
pub(super) struct Trend {
    /// Arrival of the group, and the smoothed delay then, in ms.
    points: [(f32, f32); WINDOW],
    /// Groups seen, up to a number that no longer matters.
    seen: u32,
    first_at_us: i64,
    last_at_us: i64,
    accumulated_ms: f64,
    smoothed_ms: f64,
    slope: f64,
    threshold: f64,
    above_since_us: Option<i64>,
    groups_above: u32,
    state: DelayState,
    has_fired: bool,
    jitter_ms: f64,
}

impl Trend {
    pub fn new() -> Self {
        Trend {
            points: [(0.0, 0.0); WINDOW],
            seen: 0,
            first_at_us: 0,
            last_at_us: 0,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            slope: 0.0,
            threshold: START_THRESHOLD,
            above_since_us: None,
            groups_above: 0,
            state: DelayState::Normal,
            has_fired: false,
            jitter_ms: 0.0,
        }
    }

    /// Forgets the delays but not how noisy the link is.
    pub fn restart(&mut self) {
        *self = Trend { threshold: self.threshold, jitter_ms: self.jitter_ms, ..Trend::new() };
    }

    /// Takes the next group in.
    pub fn add(&mut self, variation: Variation) {
        let delta_ms = (variation.arrived_us - variation.sent_us) as f64 / 1000.0;
        if self.seen == 0 {
            self.first_at_us = variation.at_us;
            self.last_at_us = variation.at_us;
        }
        self.jitter_ms += (delta_ms.abs().min(MAX_JITTER_MS) - self.jitter_ms) * 0.05;
        self.accumulated_ms += delta_ms;
        self.smoothed_ms += (self.accumulated_ms - self.smoothed_ms) * (1.0 - SMOOTHING);
        let at_ms = (variation.at_us - self.first_at_us) as f64 / 1000.0;
        self.points[self.seen as usize % WINDOW] = (at_ms as f32, self.smoothed_ms as f32);
        self.seen += 1;
        if self.seen >= RENEW_AT {
            self.renew(at_ms);
        }
        let before = self.slope;
        if self.seen as usize >= WINDOW {
            self.slope = line_through(&self.points).unwrap_or(self.slope);
        }
        self.judge(variation.at_us, before);
        self.last_at_us = variation.at_us;
    }

    pub fn state(&self) -> DelayState {
        self.state
    }

    /// Whether the queue was seen to grow since this was asked last.
    pub fn take_fired(&mut self) -> bool {
        std::mem::take(&mut self.has_fired)
    }

    /// By how much the delays of neighbouring groups differ.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter_ms
    }

    fn judge(&mut self, at_us: i64, slope_before: f64) {
        let trend = self.slope * f64::from(self.seen.min(MAX_SEEN)) * GAIN;
        if trend > self.threshold {
            self.groups_above += 1;
            let since = *self.above_since_us.get_or_insert(self.last_at_us);
            if at_us - since > MIN_OVERUSE_US && self.groups_above > 1 && self.slope >= slope_before
            {
                self.state = DelayState::Overuse;
                self.has_fired = true;
                self.above_since_us = Some(at_us);
                self.groups_above = 0;
            }
        } else {
            self.above_since_us = None;
            self.groups_above = 0;
            self.state =
                if trend < -self.threshold { DelayState::Underuse } else { DelayState::Normal };
        }
        self.adapt(trend.abs(), at_us);
    }

    fn adapt(&mut self, trend: f64, at_us: i64) {
        if trend > self.threshold + MAX_EXCESS {
            // A sudden end of the link's capacity is no noise to get used to.
            return;
        }
        let gain = if trend < self.threshold { ADAPT_DOWN } else { ADAPT_UP };
        let elapsed_ms = ((at_us - self.last_at_us) as f64 / 1000.0).clamp(0.0, 100.0);
        self.threshold += gain * (trend - self.threshold) * elapsed_ms;
        self.threshold = self.threshold.clamp(MIN_THRESHOLD, MAX_THRESHOLD);
    }

    /// Moves the origin of both axes, so that neither runs out of precision.
    fn renew(&mut self, at_ms: f64) {
        for (at, delay) in &mut self.points {
            *at -= at_ms as f32;
            *delay -= self.smoothed_ms as f32;
        }
        self.first_at_us += (at_ms * 1000.0) as i64;
        self.accumulated_ms -= self.smoothed_ms;
        self.smoothed_ms = 0.0;
        // Keeps the place in the ring.
        self.seen = self.seen % WINDOW as u32 + MAX_SEEN;
    }
}

/// The slope of the line with the least squares.
fn line_through(points: &[(f32, f32)]) -> Option<f64> {
    let len = points.len() as f64;
    let mean = |sum: f64| sum / len;
    let mean_x = mean(points.iter().map(|(x, _)| f64::from(*x)).sum());
    let mean_y = mean(points.iter().map(|(_, y)| f64::from(*y)).sum());
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
        let (x, y) = (f64::from(*x) - mean_x, f64::from(*y) - mean_y);
        (above + x * y, below + x * x)
    });
    (below > 0.0).then(|| above / below)
}

/// Groups that the line goes through. More are slower to notice, fewer take noise for a queue.
const WINDOW: usize = 20;
/// Share of the old in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// From the slope to a number comparable with the threshold, both as in libwebrtc.
const GAIN: f64 = 4.0;
/// A young line is believed less.
const MAX_SEEN: u32 = 60;
/// A multiple of WINDOW, so that the ring's place stays; small enough that f32 keeps 1/16 ms.
const RENEW_AT: u32 = 2000;

const START_THRESHOLD: f64 = 12.5;
/// A lower threshold would react to noise on quiet links.
const MIN_THRESHOLD: f64 = 6.0;
/// A higher one would never be passed again.
const MAX_THRESHOLD: f64 = 600.0;
/// How fast the threshold follows per ms: up slowly enough that a real queue is noticed first (but
/// not so slowly that a TCP flow beside ours starves it), down faster.
const ADAPT_UP: f64 = 0.0087;
const ADAPT_DOWN: f64 = 0.039;
/// What exceeds the threshold by more does not move it.
const MAX_EXCESS: f64 = 15.0;
/// How long the trend has to be above. Longer reacts later, shorter to single late packets.
const MIN_OVERUSE_US: i64 = 10_000;
/// A single late group counts for no more jitter than this.
const MAX_JITTER_MS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups each 10 ms whose delay is `delay_us(n)`.
    fn run(trend: &mut Trend, groups: std::ops::Range<i64>, delay_us: impl Fn(i64) -> i64) -> u32 {
        let mut fired = 0;
        for n in groups {
            let arrived = |n: i64| n * 10_000 + delay_us(n);
            trend.add(Variation {
                sent_us: 10_000,
                arrived_us: arrived(n) - arrived(n - 1),
                at_us: arrived(n),
            });
            fired += u32::from(trend.take_fired());
        }
        fired
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_draining_one_underuse() {
        let mut trend = Trend::new();
        assert_eq!(run(&mut trend, 1..100, |_| 0), 0);
        assert_eq!(trend.state(), DelayState::Normal);
        assert!(run(&mut trend, 100..130, |n| (n - 99) * 2000) > 0);
        assert_eq!(trend.state(), DelayState::Overuse);
        run(&mut trend, 130..160, |n| (160 - n) * 2000);
        assert_eq!(trend.state(), DelayState::Underuse);
    }

    #[test]
    fn jitter_without_a_queue_is_normal() {
        let mut trend = Trend::new();
        let noise = |n: i64| ((n * 2_654_435_761) >> 16) % 30 * 1000;
        let fired = run(&mut trend, 1..20_000, noise);
        assert_eq!(fired, 0);
        assert!(trend.jitter_ms() > 5.0, "{}", trend.jitter_ms());
    }

    #[test]
    fn a_clock_that_runs_fast_is_no_queue_even_after_days() {
        let mut trend = Trend::new();
        // 200 ppm.
        assert_eq!(run(&mut trend, 1..300_000, |n| n * 2), 0);
    }
}
