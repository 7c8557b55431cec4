//! Slots are brought in line with what a room and its subscribers want: at once where few are concerned, now and
//! then where many are.
//!
//! Each change in a large room concerns all who are in it. So changes are gathered for a moment, who may be in slots is
//! ranked once for all, and subscribers are looked at some at a time; who has asked for something else themselves is
//! looked at first.

use crate::allocator::{Candidate, Ranking};
use crate::key::{PeerKey, RoomKey, TrackKey};
use crate::peer::Side;
use crate::relay::Taken;
use crate::room::{Room, is_self_muted};
use crate::router::Sfu;
use crate::subscriber::Subscriber;
use crate::timers::TICK;
use protocol::media::View;
use std::time::{Duration, Instant};

/// Subscribers for whom every change is worth a look at once. More makes a change in a room of that size cost a
/// millisecond, fewer delays what could be immediate.
const FEW: usize = 48;
/// How long changes are gathered in larger rooms. Longer is seen when somebody begins to speak, shorter looks at
/// everybody for every join of a rush.
const PAUSE: Duration = Duration::from_millis(40);
/// Subscribers looked at in one go. More holds packets up, fewer makes more rounds.
const MAX_LOOKS: usize = 128;
/// Until the next go, where one was not enough.
const BREATH: Duration = Duration::from_millis(2);

/// How far a room's slots are in line.
#[derive(Default)]
pub struct Settling {
    /// Who may be in slots, as it was ranked last.
    ranking: Ranking,
    /// Counts rankings; a subscriber knows for which it was looked at.
    epoch: u32,
    /// Some have not been looked at since the last ranking.
    is_behind: bool,
    /// No new ranking before.
    not_before: Option<Instant>,
    /// Those who want something else themselves.
    eager: Vec<PeerKey>,
}

impl Room {
    /// A subscriber wants something else, whatever the others do.
    pub(crate) fn look_at(&mut self, key: PeerKey, subscriber: &mut Subscriber) {
        if !std::mem::replace(&mut subscriber.is_eager, true) {
            self.settling.eager.push(key);
        }
    }

    /// Whether anybody here takes anything of a track.
    pub(crate) fn is_taken(&self, key: TrackKey) -> bool {
        self.taken.get(usize::from(key)).is_some_and(|taken| *taken != Taken::default())
    }

    /// Notes what a subscriber takes. What it takes no more is noted when layers are looked at anew.
    pub(crate) fn note_taken(&mut self, subscriber: &Subscriber) {
        self.taken.resize(self.tracks.end(), Taken::default());
        for (track, encoding, spatial) in subscriber.taken() {
            let taken = self.taken.get_mut(usize::from(track));
            if let Some(taken) = taken.and_then(|taken| taken.get_mut(encoding)) {
                *taken = (*taken).max(Some(spatial));
            }
        }
        if let Some(spread) = &mut self.spread {
            spread.has_other_wishes = true;
        }
    }
}

impl Sfu {
    /// Brings slots in line with what the room and its subscribers want now, as far as it is time to.
    pub(crate) fn reallocate(&mut self, now: Instant, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let settling = &mut room.settling;
        if !room.is_stale && !settling.is_behind && settling.eager.is_empty() {
            return;
        }
        if room.is_stale {
            match settling.not_before.filter(|at| now < *at) {
                Some(at) => self.tick.hasten(at),
                None => rank(now, room),
            }
        }
        let mut keyframes = Vec::new();
        let mut subscribers = std::mem::take(&mut room.settling.eager);
        for &subscriber in &subscribers {
            self.look(now, key, subscriber, &mut keyframes);
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        subscribers.clear();
        if room.settling.is_behind {
            let epoch = room.settling.epoch;
            let behind = room.subscribers.iter().filter(|&&subscriber| {
                let side = self.peers.get(subscriber).map(|peer| &peer.side);
                matches!(side, Some(Side::Subscribe(subscriber)) if subscriber.settled != epoch)
            });
            subscribers.extend(behind.take(MAX_LOOKS));
            if subscribers.len() < MAX_LOOKS {
                room.settling.is_behind = false;
            } else {
                self.tick.hasten(now + BREATH);
            }
        }
        for &subscriber in &subscribers {
            self.look(now, key, subscriber, &mut keyframes);
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        for (track, encoding) in keyframes {
            room.want_keyframe(track, encoding);
        }
        if room.spread.as_ref().is_some_and(|spread| spread.has_other_wishes) {
            self.tell_taken(key);
        }
        self.tick.hasten(now + TICK);
    }

    /// Binds one subscriber's slots anew.
    fn look(
        &mut self,
        now: Instant,
        room: RoomKey,
        key: PeerKey,
        keyframes: &mut Vec<(TrackKey, usize)>,
    ) {
        let Some(room) = self.rooms.get_mut(room) else { return };
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Side::Subscribe(subscriber) = &mut peer.side else { return };
        subscriber.settled = room.settling.epoch;
        let is_eager = std::mem::take(&mut subscriber.is_eager);
        let no_view = View::default();
        let view = room.members.get(&peer.participant).map_or(&no_view, |member| &member.view);
        let ranking = &room.settling.ranking;
        let has_changed =
            subscriber.allocate(now, peer.participant, view, ranking, room, keyframes);
        if !has_changed && !is_eager {
            return;
        }
        let has_other_layers = subscriber.choose_layers(now, room, view);
        if has_changed || has_other_layers || std::mem::take(&mut subscriber.is_unannounced) {
            subscriber.is_unannounced = false;
            let changed = subscriber.slots_changed(room, peer.participant, peer.id);
            self.events.push_back(changed);
        }
        room.note_taken(subscriber);
    }
}

/// Ranks who may be in slots.
fn rank(now: Instant, room: &mut Room) {
    room.is_stale = false;
    let ranking = Ranking::new(candidates(room));
    room.tracks.release();
    let pause = if room.subscribers.len() > FEW { PAUSE } else { Duration::ZERO };
    let settling = &mut room.settling;
    settling.not_before = Some(now + pause);
    if settling.ranking != ranking {
        settling.ranking = ranking;
        settling.epoch = settling.epoch.wrapping_add(1);
        settling.is_behind = true;
    }
}

/// Every track of a room that may be in a slot: codec known, not muted by a moderator, its owner here.
fn candidates(room: &Room) -> Vec<Candidate> {
    let speaking = room.speaking_people();
    let mut found: Vec<Candidate> = room
        .tracks
        .iter()
        .filter(|(_, track)| !track.is_blocked)
        .filter_map(|(key, track)| {
            let member = room.members.get(&track.participant);
            // Other planes' participants may be known by their tracks alone.
            if member.is_none() && track.is_own() || member.is_some_and(|member| member.is_away) {
                return None;
            }
            Some(Candidate {
                track: key,
                generation: track.generation,
                codec: track.codec?,
                participant: track.participant,
                source: track.source,
                speaking: speaking.iter().position(|id| *id == track.participant),
                is_muted: member.is_some_and(|m| is_self_muted(&m.media, track.source)),
            })
        })
        .collect();
    found.sort_by_key(|candidate| (candidate.participant, candidate.source));
    found
}
