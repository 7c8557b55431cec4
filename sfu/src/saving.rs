//! What a server that is short of time leaves out, for all whom it serves: the control plane says how much, and the
//! choice of layers is held to it.

use crate::layers::{self, Choice, Wish};
use crate::slot::Target;
use crate::track::Track;
use protocol::{SlotReason, Source};

/// How much is left out. Each step leaves out what those before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Saving {
    /// Nothing.
    #[default]
    Nothing,
    /// The upper half of the frames of cameras, where their publishers mark them.
    Frames,
    /// Large pictures of cameras.
    Layers,
    /// All pictures but the most important ones.
    Slots,
    /// All pictures: sound goes on.
    Video,
}

impl Saving {
    /// Every step, the mildest first.
    pub const ALL: [Saving; 5] =
        [Saving::Nothing, Saving::Frames, Saving::Layers, Saving::Slots, Saving::Video];

    /// One step more, where there is one.
    pub fn more(self) -> Self {
        Self::ALL[(self as usize + 1).min(Self::ALL.len() - 1)]
    }

    /// One step less, where there is one.
    pub fn less(self) -> Self {
        Self::ALL[(self as usize).saturating_sub(1)]
    }

    /// How many pictures a receiver gets.
    pub fn pictures(self) -> usize {
        match self {
            Saving::Nothing | Saving::Frames | Saving::Layers => usize::MAX,
            Saving::Slots => PICTURES,
            Saving::Video => 0,
        }
    }

    /// The limit of a picture's size, within the limit that its receiver has.
    pub fn largest(self, source: Source, largest: (u16, u16)) -> (u16, u16) {
        if self < Saving::Layers || source == Source::Screen {
            return largest;
        }
        let within = |own: u16| if own == 0 { SIDE } else { own.min(SIDE) };
        (within(largest.0), within(largest.1))
    }

    /// Leaves frames out of what a slot aims at. True when there are any to leave out.
    pub fn thin(self, track: &Track, target: &mut Target) -> bool {
        if self < Saving::Frames || track.source == Source::Screen {
            return false;
        }
        let Some(encoding) = track.encodings.get(target.encoding) else { return false };
        let highest = encoding.meter.highest().temporal;
        if highest == 0 || target.temporal < highest {
            return false;
        }
        target.temporal = highest - 1;
        true
    }

    /// Says `server` where it is the server's shortage that leaves something out.
    pub fn name(self, own: (u16, u16), wish: &Wish<'_>, is_thin: bool, choice: &mut Choice) {
        // What the link or the publisher lacks is lacking with a server that has time, too.
        if !matches!(choice.reason, SlotReason::Best | SlotReason::Viewport) {
            return;
        }
        let top = layers::top(&Wish { largest: own, ..*wish });
        if is_thin || choice.rung < top {
            choice.reason = SlotReason::Server;
        }
    }
}

/// A choice of nothing.
pub fn nothing() -> Choice {
    Choice { rung: None, reason: SlotReason::Server }
}

/// Pictures that are left when most go: who speaks, what is shown, and some.
const PICTURES: usize = 4;
/// Pixels that a camera's picture may have in each direction when large ones go.
const SIDE: u16 = 640;
