//! Layers across a room: what publishers send is measured, subscribers get what suits them, and what
//! nobody takes is paused at its publisher.

use crate::event::Event;
use crate::key::{PeerKey, RoomKey, TrackKey};
use crate::layers;
use crate::peer::{Peer, Side};
use crate::relay::Taken;
use crate::room::Room;
use crate::router::Sfu;
use crate::track::{Origin, Track};
use protocol::Kind;
use protocol::media::View;
use std::collections::HashMap;
use std::time::Instant;

impl Sfu {
    /// Looks at a room's layers anew.
    pub(crate) fn choose_layers(&mut self, now: Instant, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        measure(now, room);
        let mut taken: HashMap<TrackKey, Taken> = HashMap::new();
        let mut take = |(track, encoding, spatial): (TrackKey, usize, u8)| {
            if let Some(taken) = taken.entry(track).or_default().get_mut(encoding) {
                *taken = (*taken).max(Some(spatial));
            }
        };
        for &subscriber in &room.subscribers {
            let Some(peer) = self.peers.get_mut(subscriber) else { continue };
            self.events.extend(choose_for(now, room, peer));
            if let Side::Subscribe(subscriber) = &peer.side {
                subscriber.taken().for_each(&mut take);
            }
        }
        self.aim_tap(key);
        if let Some(tap) = self.rooms.get(key).and_then(|room| room.tap.as_ref()) {
            tap.taken().for_each(&mut take);
        }
        self.pause_untaken(now, key, &taken);
        self.tell_planes(key);
        self.tell_taken(key);
    }

    /// Chooses layers anew for one subscriber whose link has become another.
    pub(crate) fn follow_estimate(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let has_moved = matches!(&peer.side, Side::Subscribe(subscriber) if subscriber.has_moved());
        if let Some(room) = self.rooms.get_mut(peer.room).filter(|_| has_moved) {
            self.events.extend(choose_for(now, room, peer));
            if let Some(spread) = &mut room.spread {
                spread.has_other_wishes = true;
            }
        }
    }

    /// Tells publishers which layers to send.
    fn pause_untaken(&mut self, now: Instant, key: RoomKey, taken: &HashMap<TrackKey, Taken>) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        for (index, track) in room.tracks.iter_mut().enumerate() {
            let Some(track) = track.as_mut().filter(|track| track.kind() == Kind::Video) else {
                continue;
            };
            let Origin::Peer(publisher) = track.origin else { continue };
            let here = TrackKey::try_from(index).ok().and_then(|index| taken.get(&index));
            let mut taken = here.copied().unwrap_or_default();
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
    for track in room.tracks.iter_mut().flatten() {
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
