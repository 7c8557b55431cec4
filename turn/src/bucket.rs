//! Limits on what comes per time.

use aws_lc_rs::hmac;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// So much per second, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Units that come back each second.
    pub per_second: u64,
    /// Units that may be taken at once after a pause.
    pub burst: u64,
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    left: u64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub fn full(now: Instant, rate: Rate) -> Self {
        Self { left: rate.burst, at: now }
    }

    /// Takes so many units, all or none.
    pub fn take(&mut self, now: Instant, rate: Rate, units: u64) -> bool {
        let passed = now.saturating_duration_since(self.at);
        // Below a millisecond the rest would be lost to rounding; it is counted with the next one.
        if passed >= Duration::from_millis(1) {
            let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).min(1 << 20);
            let back = rate.per_second.saturating_mul(millis) / 1000;
            self.left = self.left.saturating_add(back).min(rate.burst);
            self.at += Duration::from_millis(millis);
            if passed > Duration::from_millis(1 << 20) {
                (self.left, self.at) = (rate.burst, now);
            }
        }
        if self.left < units {
            return false;
        }
        self.left -= units;
        true
    }
}

/// Buckets for addresses that have proved nothing. There are always as many: who comes from where picks one by a keyed
/// hash, so a flood from invented addresses costs no memory, and nobody can choose whose bucket they drain.
pub struct Sources {
    key: hmac::Key,
    buckets: Box<[Bucket]>,
    rate: Rate,
}

impl Sources {
    /// All full.
    pub fn new(now: Instant, seed: &[u8], rate: Rate) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            buckets: vec![Bucket::full(now, rate); BUCKETS].into(),
            rate,
        }
    }

    /// Whether one more answer may go there.
    pub fn take(&mut self, now: Instant, source: Source) -> bool {
        let tag = hmac::sign(&self.key, &source.0);
        let at = usize::from(u16::from_be_bytes([tag.as_ref()[0], tag.as_ref()[1]])) % BUCKETS;
        self.buckets[at].take(now, self.rate, 1)
    }
}

/// Who an address belongs to, as far as limits care: an IPv4 address, or the /64 of an IPv6 one, which is what a
/// single customer has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source([u8; 9]);

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        let mut source = [0; 9];
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                source[0] = 4;
                source[1..5].copy_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                source[0] = 6;
                source[1..].copy_from_slice(&ip.octets()[..8]);
            }
        }
        Self(source)
    }
}

/// More costs memory (24 bytes each), fewer lets more strangers share a bucket.
const BUCKETS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    #[test]
    fn a_burst_passes_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start, RATE);
        let taken = |bucket: &mut Bucket, at| (0..100).filter(|_| bucket.take(at, RATE, 1)).count();
        assert_eq!(taken(&mut bucket, start), 5);
        assert_eq!(taken(&mut bucket, start + Duration::from_millis(250)), 2);
        assert_eq!(taken(&mut bucket, start + Duration::from_secs(3_600)), 5);
    }

    #[test]
    fn strangers_of_one_network_share_and_others_do_not() {
        let now = Instant::now();
        let mut sources = Sources::new(now, &[1; 32], RATE);
        let of = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        for i in 0..5 {
            assert!(sources.take(now, of(&format!("2001:db8::{i}"))));
        }
        assert!(!sources.take(now, of("2001:db8::ffff")));
        assert!(sources.take(now, of("2001:db8:0:1::1")));
        assert!(sources.take(now, of("192.0.2.1")));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    proptest! {
        #[test]
        fn no_more_than_burst_and_rate_pass(steps in prop::collection::vec((0u64..3_000, 1u64..4), 0..200)) {
            let start = Instant::now();
            let (mut now, mut bucket, mut taken) = (start, Bucket::full(start, RATE), 0);
            for (millis, units) in steps {
                now += Duration::from_millis(millis);
                if bucket.take(now, RATE, units) {
                    taken += units;
                }
                let most = RATE.burst + (now - start).as_millis() as u64 * RATE.per_second / 1000;
                prop_assert!(taken <= most, "{} of {}", taken, most);
            }
        }
    }
}
