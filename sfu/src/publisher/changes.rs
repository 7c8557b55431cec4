//! How often a publisher may begin to send on another SSRC.
//!
//! Each change is news for everybody in the room: slots are settled and told anew, a keyframe is wanted. A
//! publisher that changes with every packet would make the server shout as often.

use std::time::{Duration, Instant};

/// What a publisher may change at once: each stream of six simulcast tracks, sound and repair besides. Fewer
/// would lose the first packets of a large publication, more would let a bad one be heard longer.
const BURST: u32 = 48;
/// Another one for each such time. Encoders change when a device or a track does, which people do by hand.
const EVERY: Duration = Duration::from_secs(1);

/// The changes that are left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    left: u32,
    refilled: Option<Instant>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { left: BURST, refilled: None }
    }
}

impl Changes {
    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(*self.refilled.get_or_insert(now));
        let more = u32::try_from(since.as_secs() / EVERY.as_secs()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.refilled = Some(now);
        }
        let is_allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_each_second() {
        let (mut changes, start) = (Changes::default(), Instant::now());
        let passed = |changes: &mut Changes, after| {
            let now = start + Duration::from_millis(after);
            (0..1_000).filter(|_| changes.take(now)).count()
        };
        assert_eq!(passed(&mut changes, 0), BURST as usize);
        assert_eq!(passed(&mut changes, 900), 0);
        assert_eq!(passed(&mut changes, 1_100), 1);
        assert_eq!(passed(&mut changes, 4_200), 3);
        assert_eq!(passed(&mut changes, 3_600_000), BURST as usize);
    }
}
