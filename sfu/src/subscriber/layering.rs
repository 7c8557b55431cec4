//! Which layers a subscriber's slots get, looked at anew now and then.

use super::Subscriber;
use crate::key::TrackKey;
use crate::layers::{self, Rung, Wish};
use crate::room::Room;
use protocol::media::View;
use protocol::{Kind, SlotReason};

/// Set aside for each audio slot that is in use, in bits per second, with headers.
const AUDIO_BITRATE: u64 = 48_000;

/// Where nothing is known of the link.
const UNKNOWN_BUDGET: u64 = u64::MAX / 4;

impl Subscriber {
    /// Aims the video slots at what their tiles can show and `budget` bits per second can carry. True
    /// when what the client is told has changed.
    pub fn choose_layers(&mut self, room: &Room, view: &View, budget: u64) -> bool {
        let voices = self.slots.iter().filter(|slot| slot.kind == Kind::Audio);
        let voices = voices.filter(|slot| slot.binding().is_some()).count() as u64;
        let budget = budget.saturating_sub(voices * AUDIO_BITRATE);
        let shown = self.shown(room);
        let wishes: Vec<Wish<'_>> = shown
            .iter()
            .enumerate()
            .map(|(place, &slot)| self.wish(slot, place, room, view))
            .collect();
        let choices = layers::choose(budget, &wishes);
        let wanted = layers::wanted(&wishes) + voices * AUDIO_BITRATE;
        let aims: Vec<_> = choices
            .iter()
            .zip(&wishes)
            .map(|(choice, wish)| {
                (choice.rung.map(|rung| layers::target(wish.ladder, rung)), choice)
            })
            .collect();
        let mut has_changed = false;
        for (&index, (target, choice)) in shown.iter().zip(aims) {
            let slot = &mut self.slots[index];
            match target {
                Some(target) => slot.aim(target),
                None if choice.reason == SlotReason::Bandwidth => slot.pause(),
                // The publisher sends nothing: what it sends next is as good as anything.
                None => {}
            }
            let told = (choice.reason, slot.flowing());
            has_changed |= std::mem::replace(&mut slot.told, told) != told;
        }
        self.wanted = wanted;
        has_changed
    }

    /// Bits per second that may be sent.
    pub fn budget(&self) -> u64 {
        UNKNOWN_BUDGET
    }

    /// Encodings that flow, and those that will.
    pub fn taken(&self) -> impl Iterator<Item = (TrackKey, usize)> {
        self.slots.iter().filter(|slot| slot.kind == Kind::Video).flat_map(|slot| {
            let track = slot.binding().map(|binding| binding.track);
            let flowing = slot.flowing().map(|(encoding, ..)| encoding);
            let aimed = slot.target().map(|target| target.encoding);
            flowing.into_iter().chain(aimed).filter_map(move |encoding| Some((track?, encoding)))
        })
    }

    /// Video slots that would show something, the most important first.
    fn shown(&self, room: &Room) -> Vec<usize> {
        let slot_of = |track: &_| {
            self.slots.iter().position(|slot| {
                slot.binding().is_some_and(|b| b.track == *track && b.payload.is_some())
            })
        };
        let has_ladder = |slot: &usize| {
            let track = self.slots[*slot].binding().and_then(|b| room.track(b.track));
            track.is_some_and(|track| !track.ladder.is_empty())
        };
        self.by_importance.iter().filter_map(slot_of).filter(has_ladder).collect()
    }

    fn wish<'a>(&self, slot: usize, place: usize, room: &'a Room, view: &View) -> Wish<'a> {
        let slot = &self.slots[slot];
        let track = slot.binding().and_then(|binding| room.track(binding.track));
        let Some(track) = track else {
            return Wish { ladder: &[], tile: (0, 0), is_first: false, current: None };
        };
        let tile =
            view.tiles.iter().flatten().find(|tile| {
                tile.participant_id == track.participant && tile.source == track.source
            });
        let target = slot.target();
        let is_current = |rung: &Rung| {
            target.is_some_and(|target| {
                (target.encoding, target.spatial, target.temporal)
                    == (rung.encoding, rung.spatial, rung.temporal)
            })
        };
        Wish {
            ladder: &track.ladder,
            tile: tile.map_or((0, 0), |tile| (tile.width, tile.height)),
            is_first: layers::is_first(track.source, tile.is_some_and(|tile| tile.pinned), place),
            current: track.ladder.iter().position(is_current),
        }
    }
}
