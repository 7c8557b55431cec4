//! Layers across a room: what publishers send is measured, subscribers get what suits them, and what
//! nobody takes is paused at its publisher.

use crate::event::Event;
use crate::key::{PeerKey, RoomKey};
use crate::layers;
use crate::peer::{Peer, Side};
use crate::relay::Taken;
use crate::room::Room;
use crate::router::Sfu;
use crate::saving::Saving;
use crate::tap::Tap;
use crate::track::{Origin, Track};
use protocol::Kind;
use protocol::media::View;
use std::time::Instant;

impl Sfu {
    /// Looks at a room's layers anew.
    pub(crate) fn choose_layers(&mut self, now: Instant, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        measure(now, room);
        room.taken.clear();
        for at in 0..room.subscribers.len() {
            let Some(peer) = self.peers.get_mut(room.subscribers[at]) else { continue };
            self.events.extend(choose_for(now, room, peer));
            if let Side::Subscribe(subscriber) = &peer.side {
                room.note_taken(subscriber);
            }
        }
        self.aim_tap(key);
        let Some(room) = self.rooms.get(key) else { return };
        let mut taken = room.taken.clone();
        taken.resize(room.tracks.end(), Taken::default());
        for (track, encoding, spatial) in room.tap.iter().flat_map(Tap::taken) {
            let taken = taken.get_mut(usize::from(track));
            if let Some(taken) = taken.and_then(|taken| taken.get_mut(encoding)) {
                *taken = (*taken).max(Some(spatial));
            }
        }
        self.pause_untaken(now, key, &taken);
        self.tell_planes(key);
        self.tell_taken(key);
    }

    /// All rooms leave out so much from now on.
    pub(crate) fn set_saving(&mut self, now: Instant, saving: Saving) {
        if std::mem::replace(&mut self.saving, saving) == saving {
            return;
        }
        let rooms: Vec<RoomKey> = self.rooms.keys().collect();
        for key in rooms {
            self.rooms[key].saving = saving;
            self.choose_layers(now, key);
        }
    }

    /// Chooses layers anew for one subscriber whose link has become another.
    pub(crate) fn follow_estimate(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let has_moved = matches!(&peer.side, Side::Subscribe(subscriber) if subscriber.has_moved());
        if let Some(room) = self.rooms.get_mut(peer.room).filter(|_| has_moved) {
            self.events.extend(choose_for(now, room, peer));
            if let Side::Subscribe(subscriber) = &peer.side {
                room.note_taken(subscriber);
            }
        }
    }

    /// Tells publishers which layers to send.
    fn pause_untaken(&mut self, now: Instant, key: RoomKey, taken: &[Taken]) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let pictures = room.tracks.iter_mut().filter(|(_, track)| track.kind() == Kind::Video);
        for (track_key, track) in pictures {
            let Origin::Peer(publisher) = track.origin else { continue };
            let mut taken = taken.get(usize::from(track_key)).copied().unwrap_or_default();
            for there in &track.takers {
                for (here, there) in taken.iter_mut().zip(there.taken) {
                    *here = (*here).max(there);
                }
            }
            if let Some(peer) = self.peers.get(publisher).filter(|_| settle(now, track, &taken)) {
                let active = track.encodings.iter().filter(|encoding| encoding.is_active);
                let spatial = track.encodings.first().and_then(|only| only.nested.limit());
                self.events.push_back(Event::LayersWanted {
                    peer: peer.id,
                    participant: track.participant,
                    room: room.id,
                    mid: track.mid.clone(),
                    rids: active.filter_map(|encoding| encoding.rid.clone()).collect(),
                    spatial,
                });
            }
        }
    }
}

/// Looks which layers a track's publisher is to send. True when those are others than before.
fn settle(now: Instant, track: &mut Track, taken: &Taken) -> bool {
    if let [only] = track.encodings.as_mut_slice() {
        return only.nested.settle(now, taken[0]);
    }
    // The cheapest is always there to fall back on.
    let cheapest = track.ladder.first().map_or(0, |rung| rung.encoding);
    let mut has_changed = false;
    for (at, encoding) in track.encodings.iter_mut().enumerate() {
        let is_taken = taken.get(at).is_some_and(Option::is_some);
        has_changed |= encoding.settle_activity(now, is_taken || at == cheapest);
    }
    has_changed
}

/// Chooses one subscriber's layers; what it is to be told, if that is something else now.
fn choose_for(now: Instant, room: &Room, peer: &mut Peer) -> Option<Event> {
    let Side::Subscribe(subscriber) = &mut peer.side else { return None };
    let no_view = View::default();
    let view = room.members.get(&peer.participant).map_or(&no_view, |member| &member.view);
    let has_changed = subscriber.choose_layers(now, room, view);
    has_changed.then(|| subscriber.slots_changed(room, peer.participant, peer.id))
}

/// Closes the meters' windows and writes the ladders anew.
pub(crate) fn measure(now: Instant, room: &mut Room) {
    for (_, track) in room.tracks.iter_mut() {
        if track.kind() == Kind::Video {
            for encoding in &mut track.encodings {
                encoding.measure(now);
            }
            // What is not handed over can be known only where it is published.
            if track.is_own() {
                track.ladder = layers::ladder(track, now);
            }
        }
    }
}
