//! Rate limits of the doors that cost something and need no account, by address.

use crate::app::ApiError;
use crate::extract::ClientAddress;
use crate::settings::Settings;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is limited, each on its own.
pub(crate) struct Limits {
    pub guest: Limit,
    pub register: Limit,
    pub login: Limit,
    pub refresh: Limit,
    pub create_room: Limit,
    /// Invite codes looked up, and invite keys tried.
    pub invite: Limit,
    /// Doors to rooms' sockets.
    pub ticket: Limit,
    /// Connections tested.
    pub checkup: Limit,
    /// Files and covers uploaded.
    pub upload: Limit,
}

impl Limits {
    /// The limits of a deployment. In development they are wide enough for load generators and browser
    /// tests, which all come from one address.
    pub(crate) fn new(settings: &Settings) -> Self {
        let wider = if settings.is_production { 1 } else { 100 };
        let limit = |burst: u32, every_ms: u64| {
            Limit::new(burst * wider, Duration::from_millis(every_ms) / wider, MAX_ADDRESSES)
        };
        // A school or an office is one address: bursts let a class in, rates stop a script.
        Self {
            guest: limit(200, 500),
            register: limit(30, 10_000),
            login: limit(30, 2_000),
            refresh: limit(300, 200),
            create_room: limit(30, 10_000),
            invite: limit(200, 500),
            ticket: limit(600, 100),
            checkup: limit(120, 1_000),
            upload: limit(60, 2_000),
        }
    }
}

/// Addresses remembered per limit, some 10 MB. Fewer would throw strangers together sooner.
const MAX_ADDRESSES: usize = 100_000;
/// Looking through them takes milliseconds; no need to do it more often while the map is full.
const SWEEP_EVERY_MS: u64 = 5_000;

/// One limit: a burst, and one more for each period.
pub(crate) struct Limit {
    limiter: DefaultKeyedRateLimiter<Origin>,
    clock: DefaultClock,
    started: Instant,
    max_addresses: usize,
    swept_ms: AtomicU64,
}

impl Limit {
    fn new(burst: u32, period: Duration, max_addresses: usize) -> Self {
        let burst = NonZeroU32::new(burst).expect("a limit lets something through");
        let quota = Quota::with_period(period).expect("a period is not zero").allow_burst(burst);
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            started: Instant::now(),
            max_addresses,
            swept_ms: AtomicU64::new(0),
        }
    }

    /// Counts one request from there, or refuses it.
    pub(crate) fn check(&self, address: ClientAddress) -> Result<(), ApiError> {
        let origin = if self.is_full() { Origin::Crowd } else { Origin::of(address.0) };
        self.limiter
            .check_key(&origin)
            .map_err(|until| ApiError::rate_limited(until.wait_time_from(self.clock.now())))
    }

    /// Whether no more addresses fit, even after those have been dropped that were quiet for long enough.
    fn is_full(&self) -> bool {
        if self.limiter.len() < self.max_addresses {
            return false;
        }
        let running_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now_ms = running_ms.saturating_add(SWEEP_EVERY_MS);
        let swept_ms = self.swept_ms.load(Ordering::Relaxed);
        let is_due = now_ms.saturating_sub(swept_ms) >= SWEEP_EVERY_MS;
        if is_due
            && self
                .swept_ms
                .compare_exchange(swept_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.limiter.retain_recent();
        }
        self.limiter.len() >= self.max_addresses
    }
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    V4(Ipv4Addr),
    /// The first 64 bits: one household has all of the rest.
    V6(u64),
    /// Everybody, while too many addresses are busy: somebody plays with addresses, and gets little by it.
    Crowd,
}

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse;

    fn from(address: &str) -> ClientAddress {
        ClientAddress(address.parse().expect("an address"))
    }

    #[test]
    fn who_exceeds_the_burst_is_told_how_long_to_wait_and_others_are_not() {
        let limit = Limit::new(2, Duration::from_secs(60), 10);
        assert!(limit.check(from("192.0.2.1")).is_ok());
        assert!(limit.check(from("192.0.2.1")).is_ok());
        let refusal = limit.check(from("192.0.2.1")).expect_err("is refused").into_response();
        assert_eq!(refusal.status(), 429);
        let wait: u64 =
            refusal.headers()[RETRY_AFTER].to_str().expect("text").parse().expect("number");
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(limit.check(from("192.0.2.2")).is_ok());
    }

    #[test]
    fn one_household_of_ipv6_is_one_origin() {
        let limit = Limit::new(1, Duration::from_secs(60), 10);
        assert!(limit.check(from("2001:db8:1:2::1")).is_ok());
        assert!(limit.check(from("2001:db8:1:2:ffff::9")).is_err());
        assert!(limit.check(from("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn the_map_of_addresses_stays_bounded() {
        let limit = Limit::new(1, Duration::from_secs(60), 10);
        for last in 0..=255 {
            limit.check(ClientAddress(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))).ok();
        }
        assert!(limit.limiter.len() <= 11, "{}", limit.limiter.len());
        assert!(limit.check(from("198.51.100.1")).is_err(), "the crowd shares one bucket");
    }
}
