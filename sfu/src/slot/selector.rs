//! Which packets of a track a slot lets through: one encoding at a time, and of it the layers it can show.

use crate::codec::Frame;
use crate::track::MAX_ENCODINGS;

/// What a slot is to show of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Encoding, as the track numbers them.
    pub encoding: usize,
    /// Highest spatial layer of it.
    pub spatial: u8,
    /// Highest temporal layer of it.
    pub temporal: u8,
    /// Place of each encoding from small to large; none for one that is too much. Until the target's
    /// keyframe is here a smaller one will do.
    pub ranks: [Option<u8>; MAX_ENCODINGS],
}

impl Target {
    /// All of a track that has one encoding.
    pub const ALL: Self = Self {
        encoding: 0,
        spatial: u8::MAX,
        temporal: u8::MAX,
        ranks: [Some(0), None, None, None],
    };

    /// Nothing at all.
    pub const NOTHING: Self =
        Self { encoding: usize::MAX, spatial: 0, temporal: 0, ranks: [None; MAX_ENCODINGS] };

    fn rank(&self, encoding: usize) -> Option<u8> {
        self.ranks.get(encoding).copied().flatten()
    }
}

/// What is flowing.
#[derive(Clone, Copy, Debug)]
struct Current {
    encoding: usize,
    spatial: u8,
    temporal: u8,
    timestamp: u32,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Of another encoding: it does not count.
    Ignore,
    /// Of a layer that is not shown: its numbers close up behind it.
    LeaveOut,
    /// Goes out. `ends_picture`: nothing of the picture follows it, as what follows is left out.
    Send {
        /// Whether the marker is to be set whatever the packet says.
        ends_picture: bool,
    },
    /// Goes out as the first of another encoding, on numbers of its own.
    Begin,
}

/// The state of one binding.
#[derive(Debug)]
pub struct Selector {
    target: Target,
    current: Option<Current>,
}

impl Selector {
    /// Waits for the first keyframe.
    pub fn new(target: Target) -> Self {
        Self { target, current: None }
    }

    /// What it is to show from now on; larger pictures come with the next keyframe.
    pub fn aim(&mut self, target: Target) {
        self.target = target;
    }

    /// Lets nothing pass until a keyframe that is aimed at.
    pub fn halt(&mut self) {
        self.current = None;
    }

    /// Whether what flows is more than what it is to show.
    pub fn is_too_much(&self) -> bool {
        self.current.is_some_and(|current| self.target.rank(current.encoding).is_none())
    }

    /// What it is to show.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Encoding, spatial and temporal layer that flow now.
    pub fn flowing(&self) -> Option<(usize, u8, u8)> {
        self.current.map(|current| (current.encoding, current.spatial, current.temporal))
    }

    /// The encoding whose keyframe it waits for.
    pub fn awaited(&self) -> Option<usize> {
        let is_there = self.current.is_some_and(|current| {
            current.encoding == self.target.encoding
                && current.spatial >= self.target.spatial.min(MAX_LAYER)
        });
        (!is_there && *self.target() != Target::NOTHING).then_some(self.target.encoding)
    }

    /// Whether packets of an encoding may pass, now or from its next keyframe on.
    pub fn may_take(&self, encoding: usize) -> bool {
        let flows = self.current.is_some_and(|current| current.encoding == encoding);
        flows || (self.awaited().is_some() && self.target.rank(encoding).is_some())
    }

    /// Decides on a packet of the track; audio and video without layers pass through their only encoding.
    pub fn decide(
        &mut self,
        encoding: usize,
        timestamp: u32,
        is_keyframe: bool,
        frame: &Frame,
    ) -> Verdict {
        let Some(current) = &mut self.current else {
            return if is_keyframe && self.target.rank(encoding).is_some() {
                self.begin(encoding, timestamp);
                Verdict::Begin
            } else {
                Verdict::Ignore
            };
        };
        if encoding != current.encoding {
            let (offered, shown) = (self.target.rank(encoding), self.target.rank(current.encoding));
            let is_better = is_keyframe
                && offered.is_some()
                && (encoding == self.target.encoding || shown.is_none() || offered > shown);
            if !is_better {
                return Verdict::Ignore;
            }
            self.begin(encoding, timestamp);
            return Verdict::Begin;
        }
        let (spatial, temporal) = if encoding == self.target.encoding {
            (self.target.spatial, self.target.temporal)
        } else if self.target.rank(encoding).is_none() {
            // More than there is to be: at least every other frame less until the smaller picture is here.
            (u8::MAX, 0)
        } else {
            (u8::MAX, u8::MAX)
        };
        if is_keyframe {
            (current.spatial, current.temporal) = (spatial, temporal);
        } else if timestamp != current.timestamp {
            // Fewer layers from the next picture on: half a frame would be worse than none.
            current.spatial = current.spatial.min(spatial);
            current.temporal = current.temporal.min(temporal);
        }
        current.timestamp = timestamp;
        let layer = frame.layer;
        if layer.temporal <= current.temporal {
            current.temporal = current.temporal.max(frame.opens.min(temporal));
        } else if layer.temporal <= temporal && frame.may_rise {
            current.temporal = layer.temporal;
        }
        if layer.temporal > current.temporal || layer.spatial > current.spatial {
            return Verdict::LeaveOut;
        }
        let ends_picture = frame.ends_layer && layer.spatial == current.spatial;
        Verdict::Send { ends_picture }
    }

    fn begin(&mut self, encoding: usize, timestamp: u32) {
        let is_aimed_at = encoding == self.target.encoding;
        let (spatial, temporal) = if is_aimed_at {
            (self.target.spatial, self.target.temporal)
        } else {
            (u8::MAX, u8::MAX)
        };
        self.current = Some(Current { encoding, spatial, temporal, timestamp });
    }
}

/// No codec has more layers of a kind.
const MAX_LAYER: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Layer;

    fn target(encoding: usize, temporal: u8) -> Target {
        let mut ranks = [None; MAX_ENCODINGS];
        for (rank, place) in ranks.iter_mut().enumerate().take(encoding + 1) {
            *place = Some(rank as u8);
        }
        Target { encoding, spatial: u8::MAX, temporal, ranks }
    }

    fn frame(spatial: u8, temporal: u8) -> Frame {
        Frame { layer: Layer { spatial, temporal }, ..Frame::default() }
    }

    const SENT: Verdict = Verdict::Send { ends_picture: false };

    #[test]
    fn a_small_keyframe_is_shown_until_the_large_one_comes() {
        let mut selector = Selector::new(target(2, 9));
        let none = Frame::default();
        assert_eq!(selector.decide(2, 1, false, &none), Verdict::Ignore);
        assert_eq!(selector.decide(0, 1, true, &none), Verdict::Begin);
        assert_eq!(selector.awaited(), Some(2));
        assert_eq!(selector.decide(0, 2, false, &none), SENT);
        assert_eq!(selector.decide(2, 2, false, &none), Verdict::Ignore);
        assert_eq!(selector.decide(1, 3, true, &none), Verdict::Begin, "in between is better too");
        assert_eq!(selector.decide(0, 3, true, &none), Verdict::Ignore, "but not back");
        assert_eq!(selector.decide(2, 4, true, &none), Verdict::Begin);
        assert_eq!(selector.awaited(), None);
        assert_eq!(selector.decide(1, 5, true, &none), Verdict::Ignore);
    }

    #[test]
    fn what_is_too_much_flows_until_what_is_not_begins() {
        let mut selector = Selector::new(target(2, 9));
        selector.decide(2, 1, true, &Frame::default());
        selector.aim(target(0, 9));
        assert!(selector.is_too_much());
        assert_eq!(selector.decide(2, 2, false, &Frame::default()), SENT, "no picture goes dark");
        assert_eq!(selector.decide(2, 3, false, &frame(0, 1)), Verdict::LeaveOut, "but fewer come");
        assert_eq!(selector.decide(1, 3, true, &Frame::default()), Verdict::Ignore, "too much");
        assert_eq!(selector.awaited(), Some(0));
        assert_eq!(selector.decide(0, 3, true, &Frame::default()), Verdict::Begin);
        assert_eq!(selector.decide(2, 4, true, &Frame::default()), Verdict::Ignore);
    }

    #[test]
    fn what_is_halted_begins_again_with_what_is_aimed_at() {
        let mut selector = Selector::new(target(2, 9));
        selector.decide(2, 1, true, &Frame::default());
        selector.aim(target(0, 9));
        selector.halt();
        assert_eq!(selector.flowing(), None);
        assert_eq!(selector.decide(2, 2, false, &Frame::default()), Verdict::Ignore);
        assert_eq!(selector.decide(2, 3, true, &Frame::default()), Verdict::Ignore);
        assert_eq!(selector.decide(0, 3, true, &Frame::default()), Verdict::Begin);
    }

    #[test]
    fn slower_at_the_next_picture_and_faster_where_the_encoder_allows_it() {
        let mut selector = Selector::new(target(0, 9));
        selector.decide(0, 1, true, &frame(0, 0));
        assert_eq!(selector.decide(0, 2, false, &frame(0, 2)), SENT);
        selector.aim(target(0, 0));
        assert_eq!(selector.decide(0, 2, false, &frame(0, 2)), SENT, "the rest of a begun picture");
        assert_eq!(selector.decide(0, 3, false, &frame(0, 1)), Verdict::LeaveOut);
        assert_eq!(selector.decide(0, 4, false, &frame(0, 0)), SENT);
        selector.aim(target(0, 2));
        assert_eq!(selector.decide(0, 5, false, &frame(0, 1)), Verdict::LeaveOut);
        let sync = Frame { may_rise: true, ..frame(0, 1) };
        assert_eq!(selector.decide(0, 6, false, &sync), SENT);
        assert_eq!(selector.decide(0, 7, false, &frame(0, 1)), SENT);
        assert_eq!(selector.decide(0, 8, false, &frame(0, 2)), Verdict::LeaveOut);
        assert_eq!(selector.decide(0, 9, true, &frame(0, 0)), SENT);
        assert_eq!(selector.decide(0, 10, false, &frame(0, 2)), SENT, "a keyframe allows all");
    }

    #[test]
    fn a_frame_opens_layers_to_those_who_can_show_it() {
        let opens = |temporal, opens| Frame { opens, ..frame(0, temporal) };
        let mut selector = Selector::new(target(0, 0));
        selector.decide(0, 1, true, &opens(0, 2));
        assert_eq!(selector.decide(0, 2, false, &opens(2, 0)), Verdict::LeaveOut);
        selector.aim(target(0, 1));
        assert_eq!(selector.decide(0, 3, false, &opens(1, 2)), Verdict::LeaveOut);
        assert_eq!(selector.decide(0, 4, false, &opens(2, 0)), Verdict::LeaveOut);
        assert_eq!(selector.decide(0, 5, false, &opens(0, 2)), SENT);
        assert_eq!(selector.decide(0, 6, false, &opens(2, 0)), Verdict::LeaveOut);
        selector.aim(target(0, 2));
        assert_eq!(selector.decide(0, 7, false, &opens(1, 2)), SENT);
        assert_eq!(selector.decide(0, 8, false, &opens(2, 0)), SENT);
    }

    #[test]
    fn the_last_packet_of_the_highest_shown_layer_ends_the_picture() {
        let two = |spatial| Target { spatial, ..target(0, 9) };
        let mut selector = Selector::new(two(1));
        let end = |spatial| Frame { ends_layer: true, ..frame(spatial, 0) };
        assert_eq!(selector.decide(0, 1, true, &frame(0, 0)), Verdict::Begin);
        assert_eq!(selector.decide(0, 1, false, &end(0)), SENT);
        assert_eq!(selector.decide(0, 1, false, &end(1)), Verdict::Send { ends_picture: true });
        assert_eq!(selector.decide(0, 1, false, &end(2)), Verdict::LeaveOut);
        selector.aim(two(2));
        assert_eq!(selector.awaited(), Some(0), "more pixels need a keyframe");
        assert_eq!(selector.decide(0, 2, false, &end(2)), Verdict::LeaveOut);
        selector.aim(two(0));
        assert_eq!(selector.decide(0, 3, false, &end(0)), Verdict::Send { ends_picture: true });
        assert_eq!(selector.decide(0, 3, false, &end(1)), Verdict::LeaveOut);
    }
}
