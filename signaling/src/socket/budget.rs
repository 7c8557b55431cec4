//! How many frames a socket may send: a rate with a burst, and an end for who goes on regardless.

use crate::bucket::{Bucket, Rate};
use protocol::limits::{SOCKET_BURST, SOCKET_PER_SECOND};
use std::time::Instant;

/// The budget of one socket.
pub(super) struct Budget {
    bucket: Bucket,
    /// Frames refused since the socket last rested.
    refused: u32,
}

/// What one more frame means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    Within,
    Over,
    /// The socket went on for too long.
    Flood,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        let rate = Rate { burst: SOCKET_BURST, per_second: SOCKET_PER_SECOND };
        Self { bucket: Bucket::new(rate, now), refused: 0 }
    }

    pub(super) fn spend(&mut self, now: Instant) -> Spent {
        if self.bucket.is_full(now) {
            self.refused = 0;
        }
        if self.bucket.take(now) {
            return Spent::Within;
        }
        self.refused += 1;
        if self.refused > MAX_REFUSED { Spent::Flood } else { Spent::Over }
    }
}

/// Refusals before the socket is closed. Fewer ends clients over one bad loop; more pays for answers that
/// nobody reads.
const MAX_REFUSED: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_goes_on_regardless_floods_and_who_rests_is_forgiven() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let mut spend = |now, times: u32| {
            let spent: Vec<_> = (0..times).map(|_| budget.spend(now)).collect();
            spent[spent.len() - 1]
        };
        assert_eq!(spend(start, SOCKET_BURST), Spent::Within);
        assert_eq!(spend(start, MAX_REFUSED), Spent::Over);
        let rested = start + Duration::from_secs(10);
        assert_eq!(spend(rested, SOCKET_BURST + MAX_REFUSED), Spent::Over);
        assert_eq!(spend(rested, 1), Spent::Flood);
    }
}
