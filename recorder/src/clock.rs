//! When a frame was captured, on the one clock of a recording.
//!
//! A publisher's sender reports say which of its own wall-clock times belongs to which RTP timestamp
//! (RFC 3550 §6.4.1). All of its streams share that clock, so sound and picture come together exactly. How far that
//! clock is from the recording's is told by the reports that came soonest after they were sent. It is looked
//! at all along: two clocks differ by up to a hundred millionths, which is 0.7 s in two hours.
//!
//! Before the first report there are only arrival times. What the reports say then is approached slowly enough that
//! nobody hears or sees it: frames never jump, and never go back.

use std::collections::VecDeque;
use std::time::Duration;

/// Length of one window in which the soonest report is looked for.
const WINDOW_US: i64 = 10_000_000;
/// Windows that count. More finds a soonest report on worse links, fewer follows a drifting clock sooner.
const WINDOWS: usize = 6;
/// How fast a small error is mended, in millionths: more than any clock drifts, less than anybody notices.
const SLEW_PPM: i64 = 2_000;
/// How fast a large one is: such as arrival times leave it before the first report.
const FAST_SLEW_PPM: i64 = 50_000;
/// What is a large error.
const LARGE_US: i64 = 15_000;
/// An error that no delay explains: the publisher's clock was set, or it slept. It is mended at once.
const BROKEN_US: i64 = 3_000_000;

/// The least value of the last minute, in windows.
#[derive(Clone, Debug, Default)]
struct Least {
    /// When each window began, and its least.
    windows: VecDeque<(i64, i64)>,
}

impl Least {
    fn add(&mut self, at_us: i64, value: i64) {
        match self.windows.back_mut() {
            Some((begun, least)) if at_us - *begun < WINDOW_US => *least = value.min(*least),
            _ => {
                if self.windows.len() == WINDOWS {
                    self.windows.pop_front();
                }
                self.windows.push_back((at_us, value));
            }
        }
    }

    fn value(&self) -> Option<i64> {
        self.windows.iter().map(|(_, least)| *least).min()
    }
}

/// How far a publisher's wall clock is from the recording's.
#[derive(Clone, Debug, Default)]
pub struct PersonClock {
    behind: Least,
}

impl PersonClock {
    /// A sender report came at `now` (on the recording's clock) that was sent at `ntp` (64-bit NTP time by the
    /// publisher's clock).
    pub fn report(&mut self, now: Duration, ntp: u64) {
        let now_us = micros(now);
        self.behind.add(now_us, now_us - ntp_micros(ntp));
    }

    /// What is added to the publisher's time, in microseconds.
    fn offset_us(&self) -> Option<i64> {
        self.behind.value()
    }
}

/// The RTP timestamps of one stream.
#[derive(Clone, Debug)]
pub struct StreamClock {
    rate: u32,
    /// Newest timestamp, with its roll-overs.
    newest: Option<i64>,
    /// A timestamp and the publisher's time that belongs to it, in microseconds.
    anchor: Option<(i64, i64)>,
    arrival: Least,
    /// What is added to a timestamp in microseconds, and for which timestamp that was found.
    applied: Option<(i64, i64)>,
}

impl StreamClock {
    /// A stream of a clock rate in Hz.
    pub fn new(rate: u32) -> Self {
        Self { rate, newest: None, anchor: None, arrival: Least::default(), applied: None }
    }

    /// A packet came.
    pub fn arrived(&mut self, now: Duration, timestamp: u32) {
        let at_us = self.micros_of(timestamp);
        let now_us = micros(now);
        self.arrival.add(now_us, now_us - at_us);
    }

    /// A sender report: at `ntp` by the publisher's clock the timestamp was that.
    pub fn report(&mut self, ntp: u64, timestamp: u32) {
        // Before the first packet nothing tells which roll-over it is in.
        if self.newest.is_some() {
            self.anchor = Some((self.micros_of(timestamp), ntp_micros(ntp)));
        }
    }

    /// When the frame of a timestamp was captured, on the recording's clock. Frames are to be asked for in order.
    pub fn time_of(&mut self, timestamp: u32, person: &PersonClock) -> Duration {
        let at_us = self.micros_of(timestamp);
        let reported = self
            .anchor
            .and_then(|(stream_us, person_us)| Some(person_us + person.offset_us()? - stream_us));
        let wanted = reported.or_else(|| self.arrival.value()).unwrap_or(0);
        let applied = match self.applied {
            None => wanted,
            Some((before, last_us)) => {
                let error = wanted - before;
                let passed = (at_us - last_us).max(0);
                let ppm = if error.abs() > LARGE_US { FAST_SLEW_PPM } else { SLEW_PPM };
                let most = passed / 1_000 * ppm / 1_000;
                if error.abs() > BROKEN_US { wanted } else { before + error.clamp(-most, most) }
            }
        };
        self.applied = Some((applied, at_us));
        Duration::from_micros(u64::try_from(at_us + applied).unwrap_or(0))
    }

    fn micros_of(&mut self, timestamp: u32) -> i64 {
        let ticks = match self.newest {
            None => i64::from(timestamp),
            Some(newest) => newest + i64::from(timestamp.wrapping_sub(newest as u32) as i32),
        };
        self.newest = Some(self.newest.map_or(ticks, |newest| newest.max(ticks)));
        (i128::from(ticks) * 1_000_000 / i128::from(self.rate)) as i64
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4)
}

/// 64-bit NTP time in microseconds since 1900.
fn ntp_micros(ntp: u64) -> i64 {
    ((u128::from(ntp) * 1_000_000) >> 32) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    const START_NTP: u64 = 3_900_000_000;

    /// A publisher whose clock runs faster than the recording's by so many millionths, behind a link.
    struct Publisher {
        ppm: f64,
        delay_ms: f64,
        jitter_ms: f64,
        rng: StdRng,
    }

    impl Publisher {
        fn own_seconds(&self, real: f64) -> f64 {
            real * (1.0 + self.ppm / 1e6)
        }

        fn ntp(&self, real: f64) -> u64 {
            ((START_NTP as f64 + self.own_seconds(real)) * 4_294_967_296.0) as u64
        }

        fn timestamp(&self, real: f64, rate: u32) -> u32 {
            (1_234_567_890u64 + (self.own_seconds(real) * f64::from(rate)) as u64) as u32
        }

        fn arrival(&mut self, real: f64) -> Duration {
            let jitter = self.rng.random_range(0.0..=self.jitter_ms);
            Duration::from_secs_f64(real + (self.delay_ms + jitter) / 1e3)
        }
    }

    fn error_ms(time: Duration, real: f64) -> f64 {
        (time.as_secs_f64() - real) * 1e3
    }

    #[test]
    fn a_clock_that_drifts_stays_within_forty_milliseconds_for_two_hours() {
        for (seed, ppm) in [(1, 100.0), (2, -100.0), (3, 0.0)] {
            let rng = StdRng::seed_from_u64(seed);
            let mut publisher = Publisher { ppm, delay_ms: 10.0, jitter_ms: 40.0, rng };
            let mut person = PersonClock::default();
            let (mut sound, mut picture) = (StreamClock::new(48_000), StreamClock::new(90_000));
            let (mut worst, mut apart, mut last) = (0.0f64, 0.0f64, Duration::ZERO);
            for step in 0..2 * 3600 * 10 {
                let real = f64::from(step) / 10.0;
                let now = publisher.arrival(real);
                let stamps = [publisher.timestamp(real, 48_000), publisher.timestamp(real, 90_000)];
                sound.arrived(now, stamps[0]);
                // Encoding a picture takes longer.
                picture.arrived(now + Duration::from_millis(60), stamps[1]);
                if step % 20 == 5 {
                    person.report(now, publisher.ntp(real));
                    sound.report(publisher.ntp(real), stamps[0]);
                    picture.report(publisher.ntp(real), stamps[1]);
                }
                let heard = sound.time_of(stamps[0], &person);
                let seen = picture.time_of(stamps[1], &person);
                assert!(heard >= last, "never back");
                last = heard;
                if real > 10.0 {
                    worst = worst.max(error_ms(heard, real).abs());
                    apart = apart.max((error_ms(heard, real) - error_ms(seen, real)).abs());
                }
            }
            assert!(worst < 40.0, "{ppm} ppm: {worst} ms");
            assert!(apart < 5.0, "{ppm} ppm: sound and picture {apart} ms apart");
        }
    }

    #[test]
    fn before_the_first_report_arrival_serves_and_the_change_is_no_jump() {
        let rng = StdRng::seed_from_u64(9);
        let mut publisher = Publisher { ppm: 20.0, delay_ms: 30.0, jitter_ms: 10.0, rng };
        let mut person = PersonClock::default();
        let mut picture = StreamClock::new(90_000);
        let mut last: Option<(Duration, f64)> = None;
        for step in 0..30 * 60 {
            let real = f64::from(step) / 30.0;
            let now = publisher.arrival(real) + Duration::from_millis(120);
            let stamp = publisher.timestamp(real, 90_000);
            picture.arrived(now, stamp);
            if step >= 90 && step % 30 == 0 {
                person.report(publisher.arrival(real), publisher.ntp(real));
                picture.report(publisher.ntp(real), stamp);
            }
            let time = picture.time_of(stamp, &person);
            if let Some((before, before_real)) = last {
                let step_ms = (time.as_secs_f64() - before.as_secs_f64()) * 1e3;
                let real_ms = (real - before_real) * 1e3;
                assert!(
                    (step_ms - real_ms).abs() <= real_ms * 0.06 + 0.1,
                    "{step_ms} for {real_ms}"
                );
            }
            last = Some((time, real));
        }
        let (time, real) = last.unwrap();
        assert!(
            error_ms(time, real) < 45.0,
            "the encoder's 120 ms are gone: {}",
            error_ms(time, real)
        );
    }

    #[test]
    fn timestamps_roll_over() {
        let mut clock = StreamClock::new(90_000);
        let person = PersonClock::default();
        let first = u32::MAX - 45_000;
        clock.arrived(Duration::from_secs(1), first);
        let before = clock.time_of(first, &person);
        let after = clock.time_of(first.wrapping_add(90_000), &person);
        assert_eq!(after - before, Duration::from_secs(1));
    }

    #[test]
    fn a_clock_that_was_set_is_followed_at_once() {
        let mut person = PersonClock::default();
        let mut clock = StreamClock::new(48_000);
        clock.arrived(Duration::from_secs(1), 0);
        person.report(Duration::from_secs(1), START_NTP << 32);
        clock.report(START_NTP << 32, 0);
        assert_eq!(clock.time_of(0, &person), Duration::from_secs(1));
        // It slept for an hour, and its timestamps did not.
        clock.arrived(Duration::from_secs(3_601), 48_000);
        clock.report((START_NTP + 3_600) << 32, 48_000);
        assert_eq!(clock.time_of(48_000, &person), Duration::from_secs(3_601));
    }
}
