//! Sizes within one stream (VP9, AV1): which of them its publisher is asked for, and what those that it leaves out
//! would cost. Sizes are left out from the top, so the others keep their numbers and their pixels.

use crate::codec::Layer;
use crate::meter::Meter;
use crate::track::{COMES_WITHIN, PAUSED_AFTER};
use std::time::Instant;

/// Sizes that are told apart; browsers send at most three.
const SIZES: usize = 4;

/// The sizes of one stream.
#[derive(Debug, Default)]
pub struct Nested {
    /// How many there are when all are sent.
    count: u8,
    /// Bits per second of each with those below it, as it was when it came last.
    rates: [u64; SIZES],
    /// When each, or a larger one, was last taken.
    taken: [Option<Instant>; SIZES],
    /// The largest that its publisher is asked for; none for all.
    limit: Option<u8>,
    /// Since when a size is asked for that has not come yet.
    awaited: Option<Instant>,
}

impl Nested {
    /// The largest size that is to be sent; none where that is all of them.
    pub fn limit(&self) -> Option<u8> {
        self.limit
    }

    /// The largest size that comes, or would if somebody took it.
    pub fn highest(&self, meter: &Meter) -> u8 {
        meter.highest().spatial.max(self.count.saturating_sub(1))
    }

    /// What a size costs with those below it, in bits per second: as it is measured, or as it was before it was left out.
    pub fn rate(&self, spatial: u8, meter: &Meter) -> u64 {
        if spatial <= meter.highest().spatial {
            return meter.rate(Layer { spatial, temporal: u8::MAX });
        }
        self.rates.get(usize::from(spatial)).copied().unwrap_or(0)
    }

    /// Looks at what comes.
    pub fn measure(&mut self, now: Instant, meter: &Meter) {
        if !meter.is_live(now) {
            return;
        }
        let highest = meter.highest().spatial;
        for (spatial, rate) in self.rates.iter_mut().enumerate().take(usize::from(highest) + 1) {
            *rate = meter.rate(Layer { spatial: spatial as u8, temporal: u8::MAX });
        }
        let asked = self.limit.unwrap_or(self.count.saturating_sub(1));
        if highest >= asked {
            self.awaited = None;
        }
        let is_coming = self.awaited.is_some_and(|since| now < since + COMES_WITHIN);
        // What does not come although it is asked for is not there: its publisher's link is too slow for it.
        if self.awaited.is_some() && !is_coming {
            self.awaited = None;
            self.count = highest + 1;
        } else if self.limit.is_none() && self.awaited.is_none() {
            self.count = highest + 1;
        } else {
            self.count = self.count.max(highest + 1);
        }
    }

    /// Looks which sizes are taken, or were of late: `taken` is the largest that is now. True when another one than before
    /// is to be the largest.
    pub fn settle(&mut self, now: Instant, taken: Option<u8>) -> bool {
        let largest = usize::from(self.count.saturating_sub(1)).min(SIZES - 1);
        let mut wanted = 0;
        for (spatial, at) in self.taken.iter_mut().enumerate().take(largest + 1) {
            let at = at.get_or_insert(now);
            if taken.is_some_and(|taken| spatial <= usize::from(taken)) {
                *at = now;
            }
            if now < *at + PAUSED_AFTER {
                wanted = spatial;
            }
        }
        let limit = (wanted < largest).then_some(wanted as u8);
        let before = std::mem::replace(&mut self.limit, limit);
        if limit == before {
            return false;
        }
        let is_more = limit.is_none_or(|limit| before.is_some_and(|before| before < limit));
        self.awaited = is_more.then_some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// An encoder that sends what it is asked for, or not.
    struct Encoder {
        nested: Nested,
        meter: Meter,
        now: Instant,
        sizes: u8,
        is_obedient: bool,
        told: Vec<Option<u8>>,
    }

    impl Encoder {
        fn new() -> Self {
            Self {
                nested: Nested::default(),
                meter: Meter::default(),
                now: Instant::now(),
                sizes: 3,
                is_obedient: true,
                told: Vec::new(),
            }
        }

        /// Sends for a while, with a look four times a second.
        fn run(&mut self, seconds: u32, taken: Option<u8>) {
            for tick in 0..seconds * 40 {
                self.now += Duration::from_millis(25);
                let asked = self.nested.limit().filter(|_| self.is_obedient);
                let sent = asked.map_or(self.sizes, |limit| (limit + 1).min(self.sizes));
                self.meter.forget_above(sent - 1);
                for spatial in 0..sent {
                    let layer = Layer { spatial, temporal: 0 };
                    self.meter.add(self.now, layer, 500 << spatial);
                }
                if tick % 10 == 0 {
                    self.meter.roll(self.now);
                    self.nested.measure(self.now, &self.meter);
                    if self.nested.settle(self.now, taken) {
                        self.told.push(self.nested.limit());
                    }
                }
            }
        }
    }

    #[test]
    fn what_nobody_takes_is_left_out_and_comes_back_at_once() {
        let mut encoder = Encoder::new();
        encoder.run(4, Some(0));
        assert_eq!(encoder.told, [], "not between two looks at a gallery");
        encoder.run(3, Some(0));
        assert_eq!(encoder.told, [Some(0)]);
        assert_eq!(encoder.nested.highest(&encoder.meter), 2, "what is left out is known");
        let large = encoder.nested.rate(2, &encoder.meter);
        assert!((900_000..1_300_000).contains(&large), "{large}");
        encoder.run(1, Some(1));
        assert_eq!(encoder.told, [Some(0), Some(1)]);
        encoder.run(1, Some(u8::MAX));
        assert_eq!(encoder.told, [Some(0), Some(1), None]);
        encoder.run(20, Some(u8::MAX));
        assert_eq!(encoder.told.len(), 3);
    }

    #[test]
    fn the_smallest_is_sent_for_nobody() {
        let mut encoder = Encoder::new();
        encoder.run(10, None);
        assert_eq!(encoder.told, [Some(0)]);
    }

    #[test]
    fn tiles_that_change_all_the_time_leave_nothing_out() {
        let mut encoder = Encoder::new();
        for _ in 0..10 {
            encoder.run(3, Some(0));
            encoder.run(1, Some(2));
        }
        assert_eq!(encoder.told, []);
    }

    #[test]
    fn what_does_not_come_when_it_is_asked_for_is_not_there() {
        let mut encoder = Encoder::new();
        encoder.run(8, Some(0));
        encoder.sizes = 1;
        encoder.run(2, Some(1));
        assert_eq!(encoder.nested.highest(&encoder.meter), 2, "it may still come");
        encoder.run(2, Some(1));
        assert_eq!(encoder.nested.highest(&encoder.meter), 0);
        assert_eq!(encoder.told, [Some(0), Some(1), None], "and may come whenever it can");
        encoder.run(20, Some(0));
        assert_eq!(encoder.told.len(), 3, "nobody is told again and again");
        encoder.sizes = 3;
        encoder.run(2, Some(1));
        assert_eq!(encoder.nested.highest(&encoder.meter), 2);
    }

    #[test]
    fn who_does_not_listen_sends_all_and_that_is_what_there_is() {
        let mut encoder = Encoder::new();
        encoder.is_obedient = false;
        encoder.run(20, Some(0));
        assert_eq!(encoder.told, [Some(0)]);
        encoder.run(2, Some(2));
        assert_eq!((encoder.nested.highest(&encoder.meter), encoder.nested.limit()), (2, None));
    }

    #[test]
    fn a_stream_of_one_size_is_not_spoken_of() {
        let mut encoder = Encoder::new();
        encoder.sizes = 1;
        encoder.run(20, None);
        assert_eq!(encoder.told, []);
    }
}
