//! Times of arrival, as the receiver's clock tells them.

/// The receiver's clock, extended to one that does not wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ArrivalClock {
    last: Option<Tick>,
}

#[derive(Clone, Copy, Debug)]
struct Tick {
    ticks: u32,
    arrived_us: i64,
    told_us: i64,
}

impl ArrivalClock {
    /// The time of arrival, whose zero means nothing. `None` if the clock jumped: this and later times
    /// do not compare with those before.
    pub fn unwrap(&mut self, now_us: i64, ticks: u32) -> Option<i64> {
        let Some(last) = self.last else {
            self.last = Some(Tick { ticks, arrived_us: now_us, told_us: now_us });
            return Some(now_us);
        };
        let step_us = i64::from(ticks.wrapping_sub(last.ticks) as i32) * TICK_US;
        if (step_us - (now_us - last.told_us)).abs() > MAX_JUMP_US {
            self.last = Some(Tick { ticks, arrived_us: now_us, told_us: now_us });
            return None;
        }
        let arrived_us = last.arrived_us + step_us;
        self.last = Some(Tick { ticks, arrived_us, told_us: now_us });
        Some(arrived_us)
    }
}

/// The unit of the receiver's times.
const TICK_US: i64 = 250;

/// The receiver's clock may run apart from ours by this between two feedbacks (which themselves may
/// be held up on the way); more is another clock.
const MAX_JUMP_US: i64 = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_where_the_receivers_clock_wraps() {
        let mut clock = ArrivalClock::default();
        let first = clock.unwrap(1_000_000, u32::MAX - 3).unwrap();
        assert_eq!(clock.unwrap(1_100_000, 396), Some(first + 100_000));
        // Told later, arrived earlier.
        assert_eq!(clock.unwrap(1_200_000, 0), Some(first + 1000));
    }

    #[test]
    fn a_clock_that_jumps_is_another_clock() {
        let mut clock = ArrivalClock::default();
        clock.unwrap(0, 0);
        assert_eq!(clock.unwrap(100_000, 1 << 30), None);
        assert_eq!(clock.unwrap(200_000, (1 << 30) + 400), Some(200_000));
    }
}
