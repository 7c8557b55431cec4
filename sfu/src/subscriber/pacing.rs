//! Video that waits until its receiver's link has room for it.
//!
//! A keyframe is a hundred packets at once; a link that carries less has a short queue in front of it, which
//! drops what does not fit. Held back here and sent over some tens of milliseconds, all of it arrives. What
//! waits stays in its track's cache: only its place is remembered. Sound never waits.

use crate::bwe::{Bitrate, Pacer};
use crate::codec::Frame;
use crate::key::TrackKey;
use crate::left_out::LeftOut;
use crate::room::{Pending, Room};
use crate::rtp::Header;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A packet waits no longer than this, however slow the link: then the estimate is wrong or about to choose
/// a lower layer. Longer is seen as delay, shorter overflows the link's queue sooner.
const MAX_WAIT: Duration = Duration::from_millis(300);
/// Packets that wait at most; with more the first leaves at once. The memory of one slow receiver.
const MAX_HELD: usize = 255;
/// Room that an empty queue keeps.
const KEPT: usize = 32;

/// A packet that waits: where it lies, and what was read from it when it came.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Track in the room.
    pub track: TrackKey,
    /// Its generation, to see that it is the same still.
    pub generation: u32,
    /// Encoding of the track.
    pub encoding: u8,
    /// Whether it begins a keyframe.
    pub is_keyframe: bool,
    /// The frame that it is a piece of.
    pub frame: Frame,
    /// Extended sequence of the encoding.
    pub sequence: u64,
    /// Which numbers before it another plane has left out.
    pub left_out: LeftOut,
    /// When it came.
    pub since: Instant,
}

impl Held {
    /// The packet again, read anew from its track's cache; nothing when it has left there.
    pub fn find(&self, room: &Room) -> Option<Pending> {
        let track = room.track(self.track).filter(|track| track.generation == self.generation)?;
        let encoding = usize::from(self.encoding);
        let packet = track.encodings.get(encoding)?.cache.get(self.sequence)?;
        Some(Pending {
            track: self.track,
            encoding,
            sequence: self.sequence,
            codec: track.codec?,
            is_keyframe: self.is_keyframe,
            frame: self.frame,
            header: Header::parse(packet)?,
            captured_ntp: None,
            left_out: self.left_out,
        })
    }
}

/// What leaves now, and what waits. Nothing is held back until there is an estimate.
#[derive(Debug, Default)]
pub struct Pacing {
    pacer: Option<Pacer>,
    held: VecDeque<Held>,
}

impl Pacing {
    /// Follows the estimate.
    pub fn set_estimate(&mut self, now: Instant, estimate: Bitrate) {
        match &mut self.pacer {
            Some(pacer) => pacer.set_estimate(now, estimate),
            None => self.pacer = Some(Pacer::new(estimate)),
        }
    }

    /// Whether a packet of video may leave now, with none before it that waits.
    pub fn passes(&mut self, now: Instant) -> bool {
        self.held.is_empty() && self.pacer.as_mut().is_none_or(|pacer| pacer.may_send(now))
    }

    /// Notes what leaves, of whatever kind.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        if let Some(pacer) = &mut self.pacer {
            pacer.sent(now, bytes);
        }
    }

    /// Keeps a packet behind those that wait.
    pub fn hold(&mut self, held: Held) {
        self.held.push_back(held);
    }

    /// Drops what waits of a track, but for one encoding: it would be in the way of what follows it.
    pub fn forget(&mut self, track: TrackKey, but: Option<usize>) {
        self.held.retain(|held| held.track != track || Some(usize::from(held.encoding)) == but);
    }

    /// The next packet, if its time has come.
    pub fn take(&mut self, now: Instant) -> Option<Held> {
        let first = self.held.front()?;
        let may_go = self.held.len() > MAX_HELD
            || now >= first.since + MAX_WAIT
            || self.pacer.as_mut().is_none_or(|pacer| pacer.may_send(now));
        let taken = if may_go { self.held.pop_front() } else { None };
        if self.held.is_empty() {
            self.held.shrink_to(KEPT);
        }
        taken
    }

    /// When [`take`](Self::take) has something to give.
    pub fn next_at(&self) -> Option<Instant> {
        let latest = self.held.front()?.since + MAX_WAIT;
        let next = self.pacer.as_ref().and_then(Pacer::next_at);
        Some(next.map_or(latest, |next| next.min(latest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(sequence: u64, since: Instant) -> Held {
        let frame = Frame::default();
        let (generation, left_out) = (1, LeftOut::default());
        Held {
            track: 0,
            generation,
            encoding: 0,
            is_keyframe: false,
            frame,
            sequence,
            left_out,
            since,
        }
    }

    #[test]
    fn what_waits_leaves_in_order_and_in_time() {
        let begin = Instant::now();
        let mut pacing = Pacing::default();
        assert!(pacing.passes(begin), "no estimate holds nothing back");
        pacing.set_estimate(begin, Bitrate(400_000));
        let mut now = begin;
        let mut came = 0;
        while pacing.passes(now) {
            pacing.sent(now, 1200);
            came += 1;
        }
        for sequence in came..40 {
            pacing.hold(held(sequence, now));
        }
        let mut next = came;
        while let Some(at) = pacing.next_at() {
            now = now.max(at);
            let taken = pacing.take(now).expect("its time has come");
            assert_eq!(taken.sequence, next);
            assert!(now <= taken.since + MAX_WAIT);
            next += 1;
            pacing.sent(now, 1200);
        }
        assert_eq!(next, 40);
        let took = now.duration_since(begin);
        assert!((Duration::from_millis(250)..=MAX_WAIT).contains(&took), "{took:?}");
    }

    #[test]
    fn what_is_followed_by_a_smaller_picture_is_dropped() {
        let now = Instant::now();
        let mut pacing = Pacing::default();
        for (track, encoding) in [(1, 2), (1, 0), (2, 2)] {
            pacing.hold(Held { track, encoding, ..held(1, now) });
        }
        pacing.forget(1, Some(0));
        let rest: Vec<(TrackKey, u8)> = pacing.held.iter().map(|h| (h.track, h.encoding)).collect();
        assert_eq!(rest, [(1, 0), (2, 2)]);
    }

    #[test]
    fn the_queue_is_bounded_and_gives_its_memory_back() {
        let now = Instant::now();
        let mut pacing = Pacing::default();
        pacing.set_estimate(now, Bitrate(10_000));
        pacing.sent(now, 100_000);
        for sequence in 0..10_000 {
            pacing.hold(held(sequence, now));
            while pacing.take(now).is_some() {
                pacing.sent(now, 1200);
            }
            assert!(pacing.held.len() <= MAX_HELD);
        }
        while pacing.take(now + MAX_WAIT).is_some() {}
        assert!(pacing.held.capacity() <= KEPT);
    }
}
