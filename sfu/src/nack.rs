//! Which packets of a stream are missing, and when to ask for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Keeps track of the gaps in one incoming stream.
#[derive(Debug, Default)]
pub struct NackGenerator {
    highest: Option<u64>,
    /// Ascending by sequence number.
    missing: VecDeque<Missing>,
    is_keyframe_needed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    tries: u8,
    ask_at: Instant,
}

impl NackGenerator {
    /// Nothing received yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a packet by its extended sequence number, retransmissions included. `true` if it was
    /// missing: recovered, or only late.
    pub fn received(&mut self, now: Instant, sequence: u64) -> bool {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return false;
        };
        if sequence <= highest {
            let found = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence);
            return found.map(|index| self.missing.remove(index)).is_ok();
        }
        self.highest = Some(sequence);
        let gap = highest + 1..sequence;
        if (sequence - highest) as usize > MAX_MISSING
            || self.missing.len() + gap.clone().count() > MAX_MISSING
        {
            // Asking for all that would take longer and cost more than a keyframe.
            self.missing.clear();
            self.is_keyframe_needed = true;
            return false;
        }
        let ask_at = now + REORDERING;
        self.missing.extend(gap.map(|sequence| Missing { sequence, tries: 0, ask_at }));
        false
    }

    /// Appends to `out` what should be asked for now, in ascending order; `rtt` is that of the
    /// publisher's transport.
    pub fn poll(&mut self, now: Instant, rtt: Duration, out: &mut Vec<u16>) {
        let pause = rtt.clamp(MIN_PAUSE, MAX_PAUSE);
        let mut is_lost = false;
        self.missing.retain_mut(|missing| {
            if missing.ask_at > now {
                return true;
            }
            if missing.tries == MAX_TRIES {
                is_lost = true;
                return false;
            }
            missing.tries += 1;
            missing.ask_at = now + pause;
            out.push(missing.sequence as u16);
            true
        });
        self.is_keyframe_needed |= is_lost;
    }

    /// When [`poll`](Self::poll) has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.ask_at).min()
    }

    /// Whether packets were given up, so that only a keyframe helps. Asking clears it.
    pub fn take_keyframe_needed(&mut self) -> bool {
        std::mem::take(&mut self.is_keyframe_needed)
    }

    /// How many packets are missing now.
    pub fn missing(&self) -> usize {
        self.missing.len()
    }
}

/// Packets asked for at a time. A longer gap is an outage: filling it would come too late to be
/// played. Too few, and one lost burst of a big frame would already cost a keyframe.
const MAX_MISSING: usize = 256;

/// Longer would hold memory for packets that the sender has dropped from its history.
const MAX_TRIES: u8 = 10;

/// How late a packet may be before it is asked for. Longer delays every repair, shorter asks for
/// packets that were only overtaken.
const REORDERING: Duration = Duration::from_millis(5);

/// Between two requests for the same packet at least: an answer takes a round trip, and on a local
/// network still the sender's pacing.
const MIN_PAUSE: Duration = Duration::from_millis(20);

/// A bogus round trip time must not stop the asking.
const MAX_PAUSE: Duration = Duration::from_millis(500);
