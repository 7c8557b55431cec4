//! The sending half of a subscribe transport: its slots, and what its receiver asks for.

mod layering;
mod pacing;
mod resends;

pub use pacing::{Held, Pacing};
use resends::Resends;

use crate::allocator::{self, Ranking, Wishes};
use crate::bwe::{Bitrate, Estimator};
use crate::clock;
use crate::codec::dependency::Described;
use crate::codec::red::{self, Earlier};
use crate::command::PeerId;
use crate::event::Event;
use crate::format::{Codec, Payload};
use crate::key::TrackKey;
use crate::layers;
use crate::room::{Pending, Room};
use crate::rtcp::{self, Incoming};
use crate::rtp::Header;
use crate::sdp::{SlotSpec, SubscribeSection};
use crate::slot::{Forwarded, Lost, MAX_REDUNDANCY, Slot, Target};
use crate::timers::{CALM_TICK, TICK};
use crate::track::{Encoding, Track};
use protocol::media::View;
use protocol::{Kind, ParticipantId, SlotBinding, SlotReason};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Marks a track that is in no slot.
const NO_SLOT: u8 = u8::MAX;
/// Packets answered per NACK message; more is a receiver far behind, whom a keyframe helps better.
const MAX_LOST_PER_MESSAGE: usize = 64;

/// How often slots are looked at of which none waits: for sender reports, which are due once a second. Longer delays the
/// first one, by which sound and picture are brought together; shorter costs each receiver a walk over its dozen slots.
const LOOK: Duration = Duration::from_millis(200);

/// The media state of a subscribe transport.
pub struct Subscriber {
    /// In order of m-lines.
    pub slots: Vec<Slot>,
    /// Only this participant, or the active speaker, without tiles of its own (WHEP).
    pub follow: Option<ParticipantId>,
    /// Width and height of the largest picture that it takes; 0 where there is no limit.
    pub largest: (u16, u16),
    /// Slots were accepted that no `SlotsChanged` has told of.
    pub is_unannounced: bool,
    /// Wants to be looked at, whatever the others do.
    pub is_eager: bool,
    /// For which ranking of its room it was looked at last.
    pub settled: u32,
    by_track: Vec<u8>,
    /// Video tracks that have a place, the most important first.
    by_importance: Vec<TrackKey>,
    /// What the link to it carries.
    pub estimator: Estimator,
    /// What leaves at once and what waits.
    pub pacing: Pacing,
    /// How much is sent again.
    pub resends: Resends,
    /// When its slots are looked at next; at once if never.
    look_at: Option<Instant>,
    /// A slot waited for its keyframe at the last look.
    is_waiting: bool,
    /// Whether it has told when packets arrive, or what it can take.
    is_measured: bool,
    /// The budget for which layers were chosen last.
    budgeted: u64,
    /// What the layers cost that were chosen.
    planned: Bitrate,
}

/// What a receiver asks for in RTCP.
#[derive(Debug, Default)]
pub struct Requests {
    /// Packets to send again: slot and place.
    pub lost: Vec<(usize, Lost)>,
    /// Encodings that need a keyframe.
    pub keyframes: Vec<(TrackKey, usize)>,
    /// Who speaks in this RTCP.
    pub sender: Option<u32>,
    /// Packets of it that could not be read.
    pub ignored: u64,
}

impl Subscriber {
    /// Slots that carry nothing yet.
    pub fn new(slots: Vec<Slot>, follow: Option<ParticipantId>) -> Self {
        Self {
            slots,
            follow,
            largest: (0, 0),
            is_unannounced: false,
            is_eager: false,
            settled: 0,
            by_track: Vec::new(),
            by_importance: Vec::new(),
            estimator: Estimator::new(),
            pacing: Pacing::default(),
            resends: Resends::default(),
            look_at: None,
            is_waiting: false,
            is_measured: false,
            budgeted: 0,
            planned: Bitrate::ZERO,
        }
    }

    /// Whether the estimate rests on what the receiver has told.
    pub fn is_measured(&self) -> bool {
        self.is_measured
    }

    /// How often a packet is sent again at once.
    pub fn resend_copies(&self) -> usize {
        resends::copies(self.estimator.loss(), self.estimator.round_trip())
    }

    /// How the slots stand in an SDP.
    pub fn specs(&self) -> Vec<SlotSpec> {
        self.slots.iter().map(slot_spec).collect()
    }

    /// Takes over what an answer settled.
    pub fn settle(&mut self, sections: &[SubscribeSection]) {
        // Lines of one kind are mostly answered alike, and then share their list.
        let mut payloads: Arc<[Payload]> = Arc::default();
        for section in sections {
            if let Some(slot) = self.slots.iter_mut().find(|slot| *slot.mid == section.mid) {
                slot.is_accepted = section.accepted;
                if *payloads != *section.payloads {
                    payloads = section.payloads.as_slice().into();
                }
                slot.payloads = Arc::clone(&payloads);
                slot.extensions = section.extensions;
            }
        }
        self.is_unannounced = true;
    }

    /// The slot that carries a track, by its place. On the packet path.
    pub fn slot_of(&self, track: TrackKey) -> Option<usize> {
        let &slot = self.by_track.get(usize::from(track)).filter(|slot| **slot != NO_SLOT)?;
        Some(usize::from(slot)).filter(|slot| *slot < self.slots.len())
    }

    /// Binds slots as the ranking and the view want it. True when something changed. Tracks that now
    /// wait for a keyframe are appended to `keyframes`.
    pub fn allocate(
        &mut self,
        now: Instant,
        own: ParticipantId,
        view: &View,
        ranking: &Ranking,
        room: &Room,
        keyframes: &mut Vec<(TrackKey, usize)>,
    ) -> bool {
        let wishes = Wishes {
            own,
            follow: self.follow,
            tiles: view.tiles.as_deref(),
            silenced: &view.silenced,
        };
        let audio = self.place(Kind::Audio, room, |slots, bound| {
            allocator::wanted_audio(ranking, &wishes, slots, bound)
        });
        let mut by_importance = Vec::new();
        let video = self.place(Kind::Video, room, |slots, bound| {
            by_importance = allocator::wanted_video(ranking, &wishes, slots, bound);
            by_importance.clone()
        });
        self.by_importance = by_importance;
        let mut has_changed = false;
        for (index, wanted) in audio.into_iter().chain(video) {
            has_changed |= self.rebind(now, index, wanted, room, keyframes);
        }
        if has_changed {
            self.look_at = None;
            self.index_tracks(room.tracks.end());
        }
        has_changed
    }

    /// Wanted tracks of the accepted slots of one kind, by slot.
    fn place(
        &self,
        kind: Kind,
        room: &Room,
        wanted: impl FnOnce(usize, &[TrackKey]) -> Vec<TrackKey>,
    ) -> Vec<(usize, Option<TrackKey>)> {
        let ours: Vec<usize> = (0..self.slots.len())
            .filter(|&i| self.slots[i].kind == kind && self.slots[i].is_accepted)
            .collect();
        let current: Vec<Option<TrackKey>> =
            ours.iter().map(|&i| self.bound_track(i, room)).collect();
        let bound: Vec<TrackKey> = current.iter().copied().flatten().collect();
        let wanted = wanted(ours.len(), &bound);
        // Browsers keep one audio and one video of a stream in step: the k-th slots of both kinds.
        let twin = |track: TrackKey| {
            let participant = room.track(track)?.participant;
            let others = self.slots.iter().enumerate().filter(|(_, slot)| slot.kind != kind);
            others.enumerate().find_map(|(k, (i, _))| {
                let bound = room.track(self.bound_track(i, room)?)?;
                (bound.participant == participant).then_some(k)
            })
        };
        let last_used = |slot: usize| self.slots[ours[slot]].last_sent();
        let placed = allocator::place(&current, &wanted, twin, last_used);
        ours.into_iter().zip(placed).collect()
    }

    /// The track in a slot, if it is still the one that was bound.
    fn bound_track(&self, slot: usize, room: &Room) -> Option<TrackKey> {
        let binding = self.slots[slot].binding()?;
        let track = room.track(binding.track)?;
        (track.generation == binding.generation).then_some(binding.track)
    }

    fn rebind(
        &mut self,
        now: Instant,
        index: usize,
        wanted: Option<TrackKey>,
        room: &Room,
        keyframes: &mut Vec<(TrackKey, usize)>,
    ) -> bool {
        let slot = &mut self.slots[index];
        let Some((key, track, codec)) = wanted.and_then(|key| {
            let track = room.track(key)?;
            Some((key, track, track.codec?))
        }) else {
            let was_bound = slot.binding().is_some();
            slot.unbind();
            return was_bound;
        };
        let is_same = slot.binding().is_some_and(|bound| {
            bound.track == key && bound.generation == track.generation && bound.codec == codec
        });
        if is_same {
            return false;
        }
        slot.bind(now, key, track, Target::ALL, codec);
        slot.told = (SlotReason::Best, None);
        keyframes.extend(slot.awaits_keyframe(now).map(|encoding| (key, encoding)));
        true
    }

    fn index_tracks(&mut self, tracks: usize) {
        self.by_track.clear();
        self.by_track.resize(tracks, NO_SLOT);
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some(binding) = slot.binding()
                && let Some(entry) = self.by_track.get_mut(usize::from(binding.track))
            {
                *entry = index as u8;
            }
        }
    }

    /// Whether [`handle_timeout`](Self::handle_timeout) or a look at its slots is due, or what it may be sent
    /// has changed.
    pub fn is_due(&self, now: Instant) -> bool {
        let is_past = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        self.look_at.is_none_or(|at| at <= now)
            || is_past(self.estimator.poll_timeout())
            || is_past(self.pacing.next_at())
            || self.has_moved()
    }

    /// Whether something here shall not wait until a calm tick: video held back, a probe's padding, a slot without
    /// its keyframe.
    pub fn is_pressing(&self, now: Instant) -> bool {
        let is_soon = |at: Option<Instant>| at.is_some_and(|at| at < now + CALM_TICK);
        self.is_waiting || is_soon(self.pacing.next_at()) || is_soon(self.estimator.poll_timeout())
    }

    /// Notices what the receiver did not tell.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.estimator.poll_timeout().is_some_and(|at| at <= now) {
            self.estimator.handle_timeout(now);
            self.pace(now);
        }
    }

    /// Whether it is time to look at the slots: often while one waits for a keyframe.
    pub fn takes_look(&mut self, now: Instant) -> bool {
        if self.look_at.is_some_and(|at| now < at) {
            return false;
        }
        self.is_waiting = self.slots.iter().any(Slot::is_waiting);
        self.look_at = Some(now + if self.is_waiting { TICK } else { LOOK });
        true
    }

    /// What is sent although the estimate is lower (somebody's only picture) is not to wait in vain.
    fn pace(&mut self, now: Instant) {
        if self.is_measured {
            self.pacing.set_estimate(now, self.estimator.estimate().max(self.planned));
        }
    }

    /// Tracks that slots wait to show until their next keyframe.
    pub fn awaited(&self, now: Instant) -> impl Iterator<Item = (TrackKey, usize)> {
        let slots = self.slots.iter();
        slots.filter_map(move |slot| Some((slot.binding()?.track, slot.awaits_keyframe(now)?)))
    }

    /// Tells that the slots of this transport, `peer` of `participant`, carry something else now.
    pub fn slots_changed(&self, room: &Room, participant: ParticipantId, peer: PeerId) -> Event {
        Event::SlotsChanged { room: room.id, participant, peer, slots: self.bindings(room) }
    }

    /// What the slots carry, as clients are told.
    pub fn bindings(&self, room: &Room) -> Vec<SlotBinding> {
        self.slots
            .iter()
            .filter(|slot| slot.is_accepted)
            .map(|slot| {
                let bound = slot.binding().and_then(|b| Some((b, room.track(b.track)?)));
                let reason = match bound {
                    None => SlotReason::Empty,
                    Some((binding, _)) if binding.payload.is_none() => SlotReason::Codec,
                    Some((_, track)) if is_self_muted(room, track) => SlotReason::Muted,
                    Some(_) => slot.told.0,
                };
                SlotBinding {
                    mid: slot.mid.clone().into(),
                    kind: slot.kind,
                    participant_id: bound.map(|(_, track)| track.participant),
                    track: bound.map(|(_, track)| track.public()),
                    layer: slot.flowing().and_then(|flowing| layers::public(bound?.1, flowing)),
                    reason,
                }
            })
            .collect()
    }

    /// Reads the receiver's RTCP.
    pub fn receive_rtcp(&mut self, now: Instant, compound: &[u8]) -> Requests {
        let mut requests = Requests::default();
        let (slots, estimator) = (&mut self.slots, &mut self.estimator);
        let is_measured = &mut self.is_measured;
        let round_trip = estimator.round_trip().unwrap_or_default();
        let ignored = rtcp::parse(compound, |incoming| match incoming {
            Incoming::Nack { sender, ssrc, sequences } => {
                requests.sender = Some(sender);
                let Some(index) = slots.iter().position(|slot| slot.ssrc == ssrc) else { return };
                let room = MAX_LOST_PER_MESSAGE.saturating_sub(requests.lost.len());
                let lost =
                    sequences.iter().filter_map(|&s| slots[index].find_lost(now, round_trip, s));
                requests.lost.extend(lost.take(room).map(|lost| (index, lost)));
            }
            Incoming::Pli { sender, ssrc } => {
                requests.sender = Some(sender);
                requests.keyframes.extend(shown(slots, ssrc));
            }
            Incoming::Fir { sender, ssrcs } => {
                requests.sender = Some(sender);
                requests.keyframes.extend(ssrcs.iter().filter_map(|&s| shown(slots, s)));
            }
            Incoming::ReceiverReport { ssrc, blocks } => {
                requests.sender = Some(ssrc);
                for block in blocks {
                    let Some(slot) = slots.iter_mut().find(|slot| slot.ssrc == block.ssrc) else {
                        continue;
                    };
                    slot.reported_loss(now, block.fraction_lost);
                    estimator.reported_loss(now, block.fraction_lost);
                }
            }
            Incoming::TransportCc(feedback) => {
                // Sent far more often than anything else: by it the receiver is found behind a new address.
                requests.sender = Some(feedback.sender);
                *is_measured = true;
                estimator.feedback(now, &feedback);
            }
            Incoming::Remb { sender, bitrate, .. } => {
                requests.sender = Some(sender);
                *is_measured = true;
                estimator.remb(now, Bitrate(bitrate));
            }
            _ => {}
        });
        requests.ignored = ignored;
        self.pace(now);
        requests
    }
}

/// The encoding that a receiver sees, or waits for, on a video SSRC.
fn shown(slots: &[Slot], ssrc: u32) -> Option<(TrackKey, usize)> {
    let slot = slots.iter().find(|slot| slot.ssrc == ssrc && slot.kind == Kind::Video)?;
    // A keyframe of what is too much for the link is the last thing that it needs.
    let flowing = slot.flowing().filter(|_| !slot.is_too_much());
    let encoding = flowing.map(|(encoding, ..)| encoding);
    Some((slot.binding()?.track, encoding.or_else(|| Some(slot.target()?.encoding))?))
}

fn is_self_muted(room: &Room, track: &crate::track::Track) -> bool {
    room.members
        .get(&track.participant)
        .is_some_and(|member| crate::room::is_self_muted(&member.media, track.source))
}

fn slot_spec(slot: &Slot) -> SlotSpec {
    SlotSpec {
        mid: slot.mid.clone().into(),
        kind: slot.kind,
        ssrc: slot.ssrc,
        rtx_ssrc: slot.rtx_ssrc,
        stream: slot.cname.clone().into(),
        cname: slot.cname.clone().into(),
    }
}

/// A cached packet as slots forward it; nothing when the cache has lost it.
pub fn forwarded<'a>(room: &'a Room, pending: &'a Pending, now_ntp: u64) -> Option<Forwarded<'a>> {
    let track = room.track(pending.track)?;
    let encoding = track.encodings.get(pending.encoding)?;
    let captured = pending.captured_ntp.or_else(|| {
        let clock = room.clock_of(track)?;
        clock::captured_at(now_ntp, pending.header.timestamp, clock, &encoding.clock)
    });
    let packet = encoding.cache.get(pending.sequence)?;
    Some(Forwarded {
        generation: track.generation,
        encoding: pending.encoding,
        sequence: pending.sequence,
        left_out: pending.left_out,
        header: &pending.header,
        packet,
        codec: pending.codec,
        is_keyframe: pending.is_keyframe,
        frame: pending.frame,
        extensions: &track.extensions,
        captured_ntp: captured.unwrap_or(now_ntp),
        earlier: match pending.codec {
            Codec::Opus => earlier(encoding, pending),
            _ => Default::default(),
        },
        wait: encoding.wait(),
        described: described(pending.codec, track, encoding, &pending.header, packet),
    })
}

/// What a packet says of its frame, read once for all who know how.
pub fn described<'a>(
    codec: Codec,
    track: &Track,
    encoding: &'a Encoding,
    header: &Header,
    packet: &'a [u8],
) -> Option<Described<'a>> {
    let is_described = matches!(codec, Codec::Av1 { .. });
    is_described.then(|| encoding.describe(&track.extensions, header, packet))?
}

/// The frames before a packet of sound, found once for all who take redundancy.
fn earlier<'a>(encoding: &'a Encoding, pending: &Pending) -> [Earlier<'a>; MAX_REDUNDANCY] {
    std::array::from_fn(|at| {
        let sequence = pending.sequence.saturating_sub(at as u64 + 1);
        let before = encoding.cache.get(sequence).and_then(|packet| {
            let header = Header::parse(packet)?;
            let offset = pending.header.timestamp.wrapping_sub(header.timestamp);
            let offset = u16::try_from(offset).ok().filter(|&o| u32::from(o) <= red::MAX_OFFSET)?;
            Some(Earlier { offset, payload: header.payload(packet) })
        });
        before.unwrap_or_default()
    })
}

/// A packet that a receiver misses, parsed anew from the cache.
pub fn parse_lost<'a>(room: &'a Room, lost: &Lost) -> Option<(Header, &'a [u8])> {
    let track = room.track(lost.track).filter(|track| track.generation == lost.generation)?;
    let packet = track.encodings.get(lost.encoding)?.cache.get(lost.sequence)?;
    Some((Header::parse(packet)?, packet))
}
