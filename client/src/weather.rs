//! A bad link: what becomes of a datagram and when it arrives. The same seed and the same datagrams give the same fates.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How bad a link is, in each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Share of datagrams lost at random.
    pub loss: f64,
    /// How long everything takes.
    pub delay: Duration,
    /// Up to so much longer, evenly; what comes later waits behind it.
    pub jitter: Duration,
}

/// One end of a link in that weather. What arrives is lost there, what is sent is lost and held up.
#[derive(Debug)]
pub(crate) struct Sky {
    weather: Weather,
    chance: StdRng,
    last: Option<Instant>,
    waiting: VecDeque<(Instant, Vec<u8>, SocketAddr)>,
}

impl Sky {
    pub(crate) fn new(weather: Weather, seed: u64) -> Self {
        let chance = StdRng::seed_from_u64(seed);
        Self { weather, chance, last: None, waiting: VecDeque::new() }
    }

    /// Whether something that arrives is lost on its way.
    pub(crate) fn loses(&mut self) -> bool {
        self.chance.random_bool(self.weather.loss)
    }

    /// Takes something that is sent.
    pub(crate) fn take(&mut self, now: Instant, datagram: &[u8], to: SocketAddr) {
        let jitter = self.weather.jitter.mul_f64(self.chance.random::<f64>());
        if self.loses() {
            return;
        }
        let at = now + self.weather.delay + jitter;
        let at = self.last.map_or(at, |last| at.max(last));
        self.last = Some(at);
        self.waiting.push_back((at, datagram.to_vec(), to));
    }

    /// What has been on its way for long enough.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<(Vec<u8>, SocketAddr)> {
        let (_, datagram, to) = self.waiting.pop_front_if(|(at, ..)| *at <= now)?;
        Some((datagram, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_loses_and_holds_up_what_it_says_and_keeps_the_order() {
        let weather = Weather {
            loss: 0.1,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(40),
        };
        let mut sky = Sky::new(weather, 7);
        let start = Instant::now();
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut late = Vec::new();
        for ms in 0..10_000u64 {
            let now = start + Duration::from_millis(ms);
            sky.take(now, &ms.to_be_bytes(), to);
            while let Some((datagram, _)) = sky.arrived(now) {
                let sent = u64::from_be_bytes(datagram.try_into().unwrap());
                late.push((sent, ms - sent));
            }
        }
        assert!((8_700..9_200).contains(&late.len()), "{}", late.len());
        assert!(late.is_sorted_by_key(|(sent, _)| *sent));
        assert!(late.iter().all(|(_, late)| (20..=61).contains(late)));
        assert!(late.iter().any(|(_, late)| *late > 50));
    }
}
