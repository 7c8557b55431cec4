//! Which layers a subscriber's slots get, looked at anew now and then.

use super::Subscriber;
use crate::bwe::Bitrate;
use crate::codec::Layer;
use crate::key::TrackKey;
use crate::layers::{self, Rung, Wish};
use crate::room::Room;
use crate::saving;
use crate::slot::{Slot, Written};
use protocol::media::View;
use protocol::{Kind, SlotReason};
use std::time::{Duration, Instant};

/// Set aside for each audio slot that is in use, in bits per second, with headers.
const AUDIO_BITRATE: u64 = 48_000;
/// The same for each frame that packets of sound repeat.
const REPEATED_BITRATE: u64 = 34_000;

/// Before anything is known of the link: a receiver that never tells must get something.
const UNKNOWN_BUDGET: u64 = u64::MAX / 4;
/// The estimate must move by this share before layers are chosen anew between two looks.
const MOVED: u64 = 10;
/// How long a picture is kept for which the link seems too slow. The first estimate of a good link is
/// low; a probe corrects it sooner than this.
const GRACE: Duration = Duration::from_secs(3);
/// Padding of one packet; the count stands in its last byte.
const MAX_PADDING: usize = 224;

impl Subscriber {
    /// Aims the video slots at what their tiles can show and `budget` bits per second can carry. True
    /// when what the client is told has changed.
    pub fn choose_layers(&mut self, now: Instant, room: &Room, view: &View) -> bool {
        let budget = self.budget();
        self.budgeted = budget;
        let sound = self.sound_bitrate();
        let budget = budget.saturating_sub(sound);
        let shown = self.shown(room);
        let pictures = room.saving.pictures();
        let wishes: Vec<Wish<'_>> = shown
            .iter()
            .enumerate()
            .map(|(place, &slot)| {
                let wish = self.wish(slot, place, room, view);
                if place < pictures { wish } else { Wish { ladder: &[], ..wish } }
            })
            .collect();
        let mut choices = layers::choose(budget, &wishes);
        choices.iter_mut().skip(pictures).for_each(|choice| *choice = saving::nothing());
        let wanted = layers::wanted(&wishes) + sound;
        let planned = layers::planned(&wishes, &choices) + sound;
        let aims: Vec<_> = choices
            .into_iter()
            .zip(&wishes)
            .zip(&shown)
            .map(|((mut choice, wish), &slot)| {
                let mut target = choice.rung.map(|rung| layers::target(wish.ladder, rung));
                let track = self.slots[slot].binding().and_then(|b| room.track(b.track));
                let is_thin = target
                    .as_mut()
                    .zip(track)
                    .is_some_and(|(target, track)| room.saving.thin(track, target));
                room.saving.name(self.largest, wish, is_thin, &mut choice);
                (target, choice)
            })
            .collect();
        let mut has_changed = false;
        for (&index, (target, choice)) in shown.iter().zip(aims) {
            let slot = &mut self.slots[index];
            match target {
                Some(target) => {
                    slot.short_since = None;
                    slot.aim(target);
                }
                None if choice.reason == SlotReason::Bandwidth => {
                    let since = *slot.short_since.get_or_insert(now);
                    if now >= since + GRACE || slot.flowing().is_none() {
                        slot.pause();
                    }
                }
                None if choice.reason == SlotReason::Server => slot.pause(),
                // The publisher sends nothing: what it sends next is as good as anything.
                None => {}
            }
            let told = (choice.reason, shown_layer(slot, room));
            has_changed |= std::mem::replace(&mut slot.told, told) != told;
        }
        self.planned = Bitrate(planned);
        self.pace(now);
        self.halt_what_floods(&shown, room, budget);
        self.estimator.set_wanted(now, Bitrate(wanted));
        if self.slots.iter().any(Slot::is_waiting) {
            self.look_at = None;
        }
        has_changed
    }

    /// Stops the layers that are to be left where even their most needed frames are more than the link carries:
    /// none of them would arrive whole, and they would be in the way of the keyframe of those that do.
    fn halt_what_floods(&mut self, shown: &[usize], room: &Room, budget: u64) {
        if !self.estimator.is_congested() {
            return;
        }
        let flowing: u64 = shown.iter().filter_map(|&slot| flowing(&self.slots[slot], room)).sum();
        if flowing <= budget {
            return;
        }
        for &index in shown {
            let slot = &mut self.slots[index];
            if slot.is_too_much() {
                slot.halt();
                if let Some(binding) = slot.binding() {
                    self.pacing.forget(binding.track, None);
                }
            }
        }
    }

    /// What sound may take, in bits per second. Frames are repeated for as many as are in slots, but hardly
    /// ever do two of them speak.
    fn sound_bitrate(&self) -> u64 {
        let voices = self.slots.iter().filter(|slot| slot.kind == Kind::Audio);
        let voices = voices.filter(|slot| slot.binding().is_some());
        let repeated = voices.clone().map(Slot::repeated).max().unwrap_or(0);
        voices.count() as u64 * AUDIO_BITRATE + repeated as u64 * REPEATED_BITRATE
    }

    /// Bits per second that may be sent.
    fn budget(&self) -> u64 {
        if self.is_measured { self.estimator.estimate().0 } else { UNKNOWN_BUDGET }
    }

    /// Whether the estimate has moved so far that layers are to be chosen anew.
    pub fn has_moved(&self) -> bool {
        let (budget, before) = (self.budget(), self.budgeted);
        budget.abs_diff(before) > before / MOVED
    }

    /// Appends a packet of padding to `out`, at most so many bytes of it, in the name of a video slot
    /// that has a stream for repairs. Receivers count it for the estimate and drop it.
    pub fn write_padding(&mut self, bytes: usize, out: &mut Vec<u8>) -> Option<Written> {
        let length = bytes.clamp(1, MAX_PADDING);
        self.slots.iter_mut().find_map(|slot| slot.write_padding(length as u8, out))
    }

    /// Encodings that flow, and those that will, each with the highest spatial layer of it; of what its receiver can
    /// decode.
    pub fn taken(&self) -> impl Iterator<Item = (TrackKey, usize, u8)> {
        self.slots.iter().flat_map(|slot| {
            let binding = slot.binding().filter(|binding| binding.payload.is_some());
            let track = binding.map(|binding| binding.track);
            let flowing = slot.flowing().map(|(encoding, spatial, _)| (encoding, spatial));
            let aimed = slot.target().map(|target| (target.encoding, target.spatial));
            let taken = flowing.into_iter().chain(aimed);
            taken.filter_map(move |(encoding, spatial)| Some((track?, encoding, spatial)))
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
            let (tile, largest) = ((0, 0), (0, 0));
            return Wish { ladder: &[], tile, largest, is_first: false, current: None };
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
        let is_whole = |rung: &Rung| {
            rung.temporal == u8::MAX
                && target.is_some_and(|target| {
                    (target.encoding, target.spatial) == (rung.encoding, rung.spatial)
                })
        };
        let ladder_position = |is_it: &dyn Fn(&Rung) -> bool| track.ladder.iter().position(is_it);
        Wish {
            ladder: &track.ladder,
            tile: tile.map_or((0, 0), |tile| (tile.width, tile.height)),
            largest: room.saving.largest(track.source, self.largest),
            is_first: layers::is_first(track.source, tile.is_some_and(|tile| tile.pinned), place),
            // The server may leave frames out of what is aimed at.
            current: ladder_position(&is_current).or_else(|| ladder_position(&is_whole)),
        }
    }
}

/// What a slot shows: of the sizes that it would take the largest that its publisher sends.
fn shown_layer(slot: &Slot, room: &Room) -> Option<(usize, u8, u8)> {
    let (encoding, spatial, temporal) = slot.flowing()?;
    let sent = room.track(slot.binding()?.track)?.encodings.get(encoding)?.meter.highest();
    Some((encoding, spatial.min(sent.spatial), temporal))
}

/// What flows in a slot costs at least: with its base layer alone, where it is too much.
fn flowing(slot: &Slot, room: &Room) -> Option<u64> {
    let (encoding, spatial, temporal) = slot.flowing()?;
    let track = room.track(slot.binding()?.track)?;
    let temporal = if slot.is_too_much() { 0 } else { temporal };
    Some(track.encodings.get(encoding)?.meter.rate(Layer { spatial, temporal }))
}
