//! Layers across a room: what publishers send is measured, subscribers get what suits them, and what
//! nobody takes is paused at its publisher.

use crate::event::Event;
use crate::key::{PeerKey, RoomKey, TrackKey};
use crate::layers;
use crate::peer::Side;
use crate::room::Room;
use crate::router::Sfu;
use crate::track::{MAX_ENCODINGS, Origin};
use protocol::media::View;
use std::collections::HashMap;
use std::time::Instant;

impl Sfu {
    /// Looks at a room's layers anew.
    pub(crate) fn choose_layers(&mut self, now: Instant, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        measure(now, room);
        let no_view = protocol::media::View::default();
        let mut taken: HashMap<TrackKey, [bool; MAX_ENCODINGS]> = HashMap::new();
        for &subscriber in &room.subscribers {
            let Some(peer) = self.peers.get_mut(subscriber) else { continue };
            let Side::Subscribe(subscriber) = &mut peer.side else { continue };
            let view = room.members.get(&peer.participant).map_or(&no_view, |member| &member.view);
            if subscriber.choose_layers(now, room, view) {
                self.events.push_back(Event::SlotsChanged {
                    room: room.id,
                    participant: peer.participant,
                    peer: peer.id,
                    slots: subscriber.bindings(room),
                });
            }
            for (track, encoding) in subscriber.taken() {
                if let Some(taken) = taken.entry(track).or_default().get_mut(encoding) {
                    *taken = true;
                }
            }
        }
        self.aim_tap(key);
        let tap = self.rooms.get(key).and_then(|room| room.tap.as_ref());
        for (track, encoding) in tap.into_iter().flat_map(|tap| tap.taken()) {
            if let Some(taken) = taken.entry(track).or_default().get_mut(encoding) {
                *taken = true;
            }
        }
        self.pause_untaken(now, key, &taken);
    }

    /// Chooses layers anew for one subscriber whose link has become another.
    pub(crate) fn follow_estimate(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(room) = self.rooms.get(peer.room) else { return };
        let Side::Subscribe(subscriber) = &mut peer.side else { return };
        if !subscriber.has_moved() {
            return;
        }
        let no_view = View::default();
        let view = room.members.get(&peer.participant).map_or(&no_view, |member| &member.view);
        if subscriber.choose_layers(now, room, view) {
            self.events.push_back(Event::SlotsChanged {
                room: room.id,
                participant: peer.participant,
                peer: peer.id,
                slots: subscriber.bindings(room),
            });
        }
    }

    /// Tells publishers which simulcast layers to send.
    fn pause_untaken(
        &mut self,
        now: Instant,
        key: RoomKey,
        taken: &HashMap<TrackKey, [bool; MAX_ENCODINGS]>,
    ) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        for (index, track) in room.tracks.iter_mut().enumerate() {
            let Some(track) = track.as_mut().filter(|track| track.encodings.len() > 1) else {
                continue;
            };
            let Origin::Peer(publisher) = track.origin else { continue };
            let taken = TrackKey::try_from(index).ok().and_then(|index| taken.get(&index));
            // The cheapest is always there to fall back on, and other planes choose for themselves.
            let cheapest = track.ladder.first().map_or(0, |rung| rung.encoding);
            let is_relayed = !track.planes.is_empty();
            let mut has_changed = false;
            for (at, encoding) in track.encodings.iter_mut().enumerate() {
                let is_taken = taken.is_some_and(|taken| taken.get(at) == Some(&true));
                has_changed |=
                    encoding.settle_activity(now, is_taken || is_relayed || at == cheapest);
            }
            if let Some(peer) = self.peers.get(publisher).filter(|_| has_changed) {
                let active = track.encodings.iter().filter(|encoding| encoding.is_active);
                self.events.push_back(Event::LayersWanted {
                    peer: peer.id,
                    participant: track.participant,
                    room: room.id,
                    mid: track.mid.clone(),
                    rids: active.filter_map(|encoding| encoding.rid.clone()).collect(),
                });
            }
        }
    }
}

/// Closes the meters' windows and writes the ladders anew.
pub(crate) fn measure(now: Instant, room: &mut Room) {
    for track in room.tracks.iter_mut().flatten() {
        if track.kind() == protocol::Kind::Video {
            for encoding in &mut track.encodings {
                encoding.measure(now);
            }
            track.ladder = layers::ladder(track, now);
        }
    }
}
