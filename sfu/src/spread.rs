//! A room on several planes: what each tells the others of its tracks, of what it takes of theirs, and of who speaks.
//!
//! What is told says how something is, so that telling it again does no harm. A plane that is new to a room asks for
//! everything, and is asked; whichever of two planes hears of the other first, both end up knowing all.

use crate::key::{RoomKey, TrackKey};
use crate::layers::Rung;
use crate::relay::{
    MAX_PLANES, PlaneId, Relayed, RelayedEncoding, RelayedPacket, RelayedTrack, Taken,
};
use crate::room::Room;
use crate::router::Sfu;
use crate::speakers::MAX_SPEAKERS;
use crate::timers::TICK;
use crate::track::{Encoding, Origin, Track};
use protocol::{RoomId, TrackId};
use std::collections::VecDeque;
use std::time::Instant;

/// How much a step's rate must change, as a share, for other planes to be told. Less tells them of each wavering of an
/// encoder, more lets them choose by rates of yesterday.
const TOLD: u64 = 10;

/// The other planes of a room.
pub struct Spread {
    /// Which they are.
    others: Vec<PlaneId>,
    /// Ranks who speaks.
    home: PlaneId,
    /// Tracks that were announced and are gone.
    pub gone: Vec<TrackId>,
    /// Whether the home believes that somebody speaks here.
    has_told_voices: bool,
    /// What is taken here of other planes may be something else than they were told.
    pub has_other_wishes: bool,
}

impl Room {
    /// Whether this plane ranks who speaks in the room.
    pub fn is_home(&self, own: PlaneId) -> bool {
        self.spread.as_ref().is_none_or(|spread| spread.home == own)
    }
}

impl Sfu {
    /// A room is on these planes from now on.
    pub(crate) fn set_planes(&mut self, room: RoomId, home: PlaneId, planes: &[PlaneId]) {
        let own = self.config.plane;
        let mut others: Vec<PlaneId> = planes.iter().copied().filter(|p| *p != own).collect();
        if !planes.contains(&own) {
            others.clear();
        }
        others.sort_unstable();
        others.dedup();
        others.truncate(MAX_PLANES);
        if others.is_empty() && !self.room_keys.contains_key(&room) {
            return;
        }
        let key = self.room(room);
        let known = &mut self.rooms[key];
        let was_home = known.is_home(own);
        let before = known.spread.take();
        let home_before = before.as_ref().map_or(own, |spread| spread.home);
        let (had, gone, has_told_voices) =
            before.map_or_else(Default::default, |s| (s.others, s.gone, s.has_told_voices));
        for &plane in had.iter().filter(|plane| !others.contains(plane)) {
            known.lose_plane(plane);
        }
        if others.is_empty() {
            for (_, track) in known.tracks.iter_mut() {
                track.takers.clear();
                track.announced = None;
            }
            if !was_home {
                let speaking = known.speaking.clone();
                known.speakers.take_over(&speaking, |_| None);
            }
            self.forget_empty(room, key);
            return;
        }
        let fresh: Vec<PlaneId> = others.iter().copied().filter(|p| !had.contains(p)).collect();
        let has_moved = home != home_before;
        known.spread = Some(Spread { others, home, gone, has_told_voices, has_other_wishes: true });
        if !was_home && home == own {
            known.take_over();
        } else if home != own {
            known.speakers.forget_others();
        }
        self.tell_planes(key);
        for plane in self.others(key) {
            // A home that has moved is asked who speaks, and asks who does.
            let is_asked = fresh.contains(&plane) || has_moved && (home == own || home == plane);
            if is_asked {
                self.tell_all(key, plane);
                self.relayed.push_back((plane, Relayed::AllWanted { room }));
            }
        }
    }

    /// A plane is dead.
    pub(crate) fn lose_plane(&mut self, plane: PlaneId) {
        for room in self.rooms.values_mut() {
            let Some(spread) = &mut room.spread else { continue };
            let count = spread.others.len();
            spread.others.retain(|other| *other != plane);
            if spread.others.len() < count {
                room.lose_plane(plane);
            }
        }
        self.relayed.retain(|(to, _)| *to != plane);
    }

    /// Takes what another plane hands over. Packets are fanned out by the next `flush`.
    pub fn receive_relayed(&mut self, now: Instant, from: PlaneId, relayed: Relayed) {
        let room = match &relayed {
            Relayed::Packet(RelayedPacket { room, .. })
            | Relayed::Tracks { room, .. }
            | Relayed::TrackGone { room, .. }
            | Relayed::AllWanted { room }
            | Relayed::Taken { room, .. }
            | Relayed::KeyframeWanted { room, .. }
            | Relayed::Voices { room, .. }
            | Relayed::Speaking { room, .. } => *room,
        };
        let Some(&key) = self.room_keys.get(&room) else { return };
        let own = self.config.plane;
        let Some(room) = self.rooms.get_mut(key) else { return };
        // Who is not told of yet asks again when it hears of us.
        let Some(spread) = room.spread.as_ref().filter(|s| s.others.contains(&from)) else {
            return;
        };
        let home = spread.home;
        match relayed {
            Relayed::Packet(packet) => return self.take_packet(now, from, &packet),
            Relayed::Tracks { tracks, is_all, .. } => {
                if is_all {
                    room.keep_tracks(from, &tracks);
                }
                for track in &tracks {
                    room.take_track(from, track);
                }
            }
            Relayed::TrackGone { track, .. } => {
                if let Some(key) = room.find_track_of(from, track) {
                    room.remove_track(key);
                }
            }
            Relayed::AllWanted { .. } => self.tell_all(key, from),
            Relayed::Taken { tracks, is_all, .. } => room.set_taken(from, &tracks, is_all),
            Relayed::KeyframeWanted { track, encoding, .. } => {
                if let Some(key) = room.find_own_track(track) {
                    room.want_keyframe(key, usize::from(encoding));
                    self.tick.hasten(now);
                }
            }
            Relayed::Voices { voices, .. } => {
                if home == own {
                    room.speakers.heard_on(from, &voices);
                }
            }
            Relayed::Speaking { speaking, .. } => {
                if home == from && room.speaking != speaking {
                    room.speaking = speaking;
                    room.speaking.truncate(MAX_SPEAKERS);
                    room.is_stale = true;
                }
            }
        }
        self.tick.hasten(now + TICK);
    }

    fn others(&self, key: RoomKey) -> Vec<PlaneId> {
        let spread = self.rooms.get(key).and_then(|room| room.spread.as_ref());
        spread.map(|spread| spread.others.clone()).unwrap_or_default()
    }

    /// Tells a plane everything about a room.
    fn tell_all(&mut self, key: RoomKey, plane: PlaneId) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        tell_tracks(room, &mut self.relayed);
        let id = room.id;
        let announced =
            |(_, track): (TrackKey, &Track)| Some((**track.announced.as_ref()?).clone());
        let tracks = room.tracks.iter().filter_map(announced).collect();
        self.relayed.push_back((plane, Relayed::Tracks { room: id, tracks, is_all: true }));
        let taken = |(_, track): (TrackKey, &Track)| match track.origin {
            Origin::Plane(remote) if remote.plane == plane && remote.asked != Taken::default() => {
                Some((track.id, remote.asked))
            }
            _ => None,
        };
        let tracks = room.tracks.iter().filter_map(taken).collect();
        self.relayed.push_back((plane, Relayed::Taken { room: id, tracks, is_all: true }));
        if room.is_home(self.config.plane) {
            let speaking = room.speaking.clone();
            self.relayed.push_back((plane, Relayed::Speaking { room: id, speaking }));
        } else if let Some(spread) = room.spread.as_mut().filter(|spread| spread.home == plane) {
            let voices = room.speakers.loudest();
            spread.has_told_voices = !voices.is_empty();
            self.relayed.push_back((plane, Relayed::Voices { room: id, voices }));
        }
    }

    /// Tells the other planes what is published here now, as far as it is something else than before.
    pub(crate) fn tell_planes(&mut self, key: RoomKey) {
        if let Some(room) = self.rooms.get_mut(key).filter(|room| room.spread.is_some()) {
            tell_tracks(room, &mut self.relayed);
        }
    }

    /// Tells the other planes what is taken here of their tracks.
    pub(crate) fn tell_taken(&mut self, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let Some(spread) = &mut room.spread else { return };
        spread.has_other_wishes = false;
        let others = spread.others.clone();
        let mut told: Vec<(PlaneId, Vec<(TrackId, Taken)>)> =
            others.into_iter().map(|plane| (plane, Vec::new())).collect();
        for (key, track) in room.tracks.iter_mut() {
            let taken = room.taken.get(usize::from(key)).copied().unwrap_or_default();
            let Origin::Plane(remote) = &mut track.origin else { continue };
            if remote.asked == taken {
                continue;
            }
            for (number, taken) in remote.numbers.iter_mut().zip(taken) {
                if taken.is_none() {
                    *number = None;
                }
            }
            remote.asked = taken;
            if let Some((_, tracks)) = told.iter_mut().find(|(plane, _)| *plane == remote.plane) {
                tracks.push((track.id, taken));
            }
        }
        for (plane, tracks) in told.into_iter().filter(|(_, tracks)| !tracks.is_empty()) {
            let taken = Relayed::Taken { room: room.id, tracks, is_all: false };
            self.relayed.push_back((plane, taken));
        }
    }

    /// Asks the planes that publish for the keyframes that are due.
    pub(crate) fn ask_planes(&mut self, now: Instant, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key).filter(|room| room.spread.is_some()) else {
            return;
        };
        let id = room.id;
        for (_, track) in room.tracks.iter_mut() {
            let Origin::Plane(remote) = track.origin else { continue };
            for (at, encoding) in track.encodings.iter_mut().enumerate() {
                if encoding.keyframe_due(now).is_some_and(|at| at <= now) {
                    encoding.keyframe_requested(now);
                    let (track, encoding) = (track.id, at as u8);
                    let wanted = Relayed::KeyframeWanted { room: id, track, encoding };
                    self.relayed.push_back((remote.plane, wanted));
                }
            }
        }
    }

    /// Tells the other planes who speaks, as it is ranked here.
    pub(crate) fn tell_speaking(&mut self, key: RoomKey) {
        for plane in self.others(key) {
            let room = &self.rooms[key];
            let speaking = Relayed::Speaking { room: room.id, speaking: room.speaking.clone() };
            self.relayed.push_back((plane, speaking));
        }
    }

    /// Tells the room's home who speaks here.
    pub(crate) fn tell_voices(&mut self, now: Instant, key: RoomKey) {
        let own = self.config.plane;
        let Some(room) = self.rooms.get_mut(key).filter(|room| !room.is_home(own)) else { return };
        let Some(spread) = &mut room.spread else { return };
        let Some(voices) = room.speakers.poll_voices(now) else { return };
        let has_voices = !voices.is_empty();
        if std::mem::replace(&mut spread.has_told_voices, has_voices) || has_voices {
            self.relayed.push_back((spread.home, Relayed::Voices { room: room.id, voices }));
        }
    }
}

/// Tells the other planes of a room's tracks that are new, other than they were told, or gone.
pub(crate) fn tell_tracks(room: &mut Room, relayed: &mut VecDeque<(PlaneId, Relayed)>) {
    let id = room.id;
    let Some(spread) = &mut room.spread else { return };
    let mut tracks = Vec::new();
    for (_, track) in room.tracks.iter_mut().filter(|(_, track)| track.is_own()) {
        if track.announced.as_ref().is_none_or(|told| is_other(told, track)) {
            let now = describe(track);
            track.announced = Some(Box::new(now.clone()));
            tracks.push(now);
        }
    }
    let gone = std::mem::take(&mut spread.gone);
    for &plane in &spread.others {
        for &track in &gone {
            relayed.push_back((plane, Relayed::TrackGone { room: id, track }));
        }
        if !tracks.is_empty() {
            let tracks = tracks.clone();
            relayed.push_back((plane, Relayed::Tracks { room: id, tracks, is_all: false }));
        }
    }
}

/// Whether a track has become so much another that planes are to be told. On each change of a room, for all its tracks.
fn is_other(told: &RelayedTrack, track: &Track) -> bool {
    let is_near = |(told, now): (&Rung, &Rung)| {
        let rate = Rung { bitrate: told.bitrate, ..*now };
        *told == rate && now.bitrate.abs_diff(told.bitrate) <= told.bitrate / TOLD
    };
    let is_same = |(told, now): (&RelayedEncoding, &Encoding)| {
        told.rid == now.rid && told.wait_ms == wait_ms(now)
    };
    (told.generation, told.codec, told.extensions)
        != (track.generation, track.codec, track.extensions)
        || told.encodings.len() != track.encodings.len()
        || told.ladder.len() != track.ladder.len()
        || !told.encodings.iter().zip(&track.encodings).all(is_same)
        || !told.ladder.iter().zip(&track.ladder).all(is_near)
}

fn wait_ms(encoding: &Encoding) -> u16 {
    encoding.wait().as_millis().min(u16::MAX.into()) as u16
}

/// A track as other planes are told of it.
fn describe(track: &Track) -> RelayedTrack {
    let encoding = |encoding: &Encoding| RelayedEncoding {
        rid: encoding.rid.clone(),
        wait_ms: wait_ms(encoding),
    };
    RelayedTrack {
        id: track.id,
        participant: track.participant,
        source: track.source,
        csrc: track.csrc,
        generation: track.generation,
        extensions: track.extensions,
        codec: track.codec,
        encodings: track.encodings.iter().map(encoding).collect(),
        ladder: track.ladder.clone(),
    }
}
