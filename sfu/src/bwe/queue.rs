//! A queue that stands on the way, and getting rid of it.
//!
//! The trend notices that a queue grows; when it stops growing, all seems well, although every packet
//! still waits in it. Where buffers are long, a link that became slow would so keep seconds of
//! delay. The shortest time that packets took of late shows it, and a rate well below what arrives
//! drains it.

/// How long packets wait beyond the shortest time seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    /// Least time on the way (of two clocks, so its zero means nothing) in the present and the
    /// previous stretch of time.
    least_us: Option<i64>,
    least_before_us: Option<i64>,
    stretch_since_us: i64,
    standing_us: i64,
    drain: Option<Drain>,
    /// No draining before: something else fills the queue.
    patient_until_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Drain {
    cap_bps: f64,
    /// When the rate went down. Packets that left before say nothing of what that achieved.
    begun_us: i64,
    look: Option<Look>,
}

/// How long packets waited, and when they should wait less.
#[derive(Clone, Copy, Debug)]
struct Look {
    stood_us: i64,
    again_us: i64,
}

/// The packet that was quickest among those told of together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quickest {
    pub sent_us: i64,
    /// Between two clocks that have nothing in common.
    pub on_the_way_us: i64,
}

impl Queue {
    /// Takes in the quickest packet of those told of together. `acked_bps` is what arrives now,
    /// `rate_bps` what may be sent.
    pub fn update(&mut self, now_us: i64, quickest: Quickest, acked_bps: f64, rate_bps: f64) {
        if now_us - self.stretch_since_us > STRETCH_US {
            self.least_before_us = self.least_us.take();
            self.stretch_since_us = now_us;
        }
        let on_the_way_us = quickest.on_the_way_us;
        let least_us = self.least_us.map_or(on_the_way_us, |least_us| least_us.min(on_the_way_us));
        self.least_us = Some(least_us);
        let least_us = self.least_before_us.map_or(least_us, |before_us| before_us.min(least_us));
        self.standing_us = on_the_way_us - least_us;

        if self.drain.is_some() {
            self.drain_on(now_us, quickest.sent_us, acked_bps, rate_bps);
        } else if self.standing_us > LONG_US && now_us >= self.patient_until_us {
            let cap_bps = DRAINING * acked_bps;
            self.drain = Some(Drain { cap_bps, begun_us: now_us, look: None });
        }
    }

    /// The limit while the queue is drained.
    pub fn cap_bps(&self) -> Option<f64> {
        self.drain.map(|drain| drain.cap_bps)
    }

    /// Whether there is room in the queue for more.
    pub fn is_clear(&self) -> bool {
        self.standing_us < CLEAR_US
    }

    /// Whether what stands there would not spoil a measurement.
    pub fn is_empty(&self) -> bool {
        self.standing_us < EMPTY_US
    }

    /// How long packets wait.
    pub fn standing_us(&self) -> i64 {
        self.standing_us
    }

    /// The way may be another one now.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    fn drain_on(&mut self, now_us: i64, sent_us: i64, acked_bps: f64, rate_bps: f64) {
        let Some(drain) = &mut self.drain else { return };
        if acked_bps > 1.1 * rate_bps {
            // More arrives than is sent: it comes out of the queue, as fast as the link carries it.
            drain.cap_bps = drain.cap_bps.min(DRAINING * acked_bps);
        }
        let again = Look { stood_us: self.standing_us, again_us: now_us + LOOK_US };
        if self.standing_us < SHORT_US {
            self.drain = None;
            return;
        }
        match drain.look {
            None if sent_us > drain.begun_us => drain.look = Some(again),
            Some(look) if now_us >= look.again_us => {
                if self.standing_us < look.stood_us - LOOK_US / 5 {
                    drain.look = Some(again);
                } else {
                    // Others fill it, or the way became longer: nothing is won by sending less.
                    let patient_until_us = now_us + PATIENCE_US;
                    *self =
                        Queue { patient_until_us, stretch_since_us: now_us, ..Queue::default() };
                }
            }
            None | Some(_) => {}
        }
    }
}

/// A wait that is drained. Longer would let people talk over each other for seconds, shorter would
/// take jitter and the sawtooth of the rate itself for a standing queue.
const LONG_US: i64 = 250_000;
/// A wait beyond which the rate does not grow. Longer lets it grow into a queue, shorter lets somebody
/// else's queue keep it down.
const CLEAR_US: i64 = 100_000;
/// A wait that ends the draining.
const SHORT_US: i64 = 60_000;
/// A wait that is none.
const EMPTY_US: i64 = 30_000;

/// Rate while draining, of what arrives. Less would empty the queue sooner at the price of the
/// picture, more would take long.
const DRAINING: f64 = 0.5;

/// How long until a drain must show. At half the rate a second should take half a second off the queue;
/// a fifth is asked for.
const LOOK_US: i64 = 1_500_000;

/// After a drain that achieved nothing.
const PATIENCE_US: i64 = 30_000_000;

/// The shortest time is remembered for one to two of these: less would forget the empty queue
/// during a long jam, more would see a queue in clocks that drift apart (200 ppm make 6 ms).
const STRETCH_US: i64 = 15_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_US: i64 = 50_000;

    fn quickest(at: i64, on_the_way_us: i64) -> Quickest {
        Quickest { sent_us: at * STEP_US - 100_000, on_the_way_us }
    }

    #[test]
    fn a_standing_queue_is_drained_until_it_is_clear() {
        let mut queue = Queue::default();
        let mut wait_us = 0;
        let mut at = 0;
        let mut step = |queue: &mut Queue, wait_us: i64| {
            queue.update(at * STEP_US, quickest(at, -7_000_000 + wait_us), 400_000.0, 400_000.0);
            at += 1;
        };
        for _ in 0..100 {
            step(&mut queue, wait_us);
        }
        assert!(queue.is_clear() && queue.cap_bps().is_none());
        wait_us = 1_000_000;
        step(&mut queue, wait_us);
        assert_eq!(queue.cap_bps(), Some(200_000.0));
        while wait_us > SHORT_US {
            assert!(queue.cap_bps().is_some());
            wait_us -= STEP_US / 2;
            step(&mut queue, wait_us);
        }
        assert_eq!(queue.cap_bps(), None);
    }

    #[test]
    fn a_longer_way_is_soon_the_way() {
        let mut queue = Queue::default();
        for at in 0..100 {
            queue.update(at * STEP_US, quickest(at, 0), 1e6, 1e6);
        }
        let drained = (100..2000).filter(|&at| {
            queue.update(at * STEP_US, quickest(at, 400_000), 1e6, 1e6);
            queue.cap_bps().is_some()
        });
        let drained_us = drained.count() as i64 * STEP_US;
        assert!(drained_us <= LOOK_US + 400_000 + STEP_US, "{drained_us}");
        assert!(queue.is_clear());
    }

    #[test]
    fn clocks_that_drift_apart_are_no_queue() {
        let mut queue = Queue::default();
        for at in 0..100_000 {
            queue.update(at * STEP_US, quickest(at, at * STEP_US / 5000), 1e6, 1e6);
            assert!(queue.is_clear());
        }
    }
}
