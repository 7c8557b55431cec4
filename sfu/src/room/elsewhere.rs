//! What a room knows of its other planes: tracks that are published there, and what is taken there of those here.

use super::Room;
use crate::format::Codec;
use crate::key::TrackKey;
use crate::layers::Rung;
use crate::relay::{PlaneId, RelayedTrack, Taken};
use crate::track::{Encoding, MAX_ENCODINGS, Origin, Remote, Taker, Track};
use protocol::{Kind, TrackId};
use std::collections::HashSet;
use std::time::Duration;

impl Room {
    /// Forgets what another plane publishes, takes and hears.
    pub(crate) fn lose_plane(&mut self, plane: PlaneId) {
        let is_theirs =
            |track: &Track| matches!(track.origin, Origin::Plane(remote) if remote.plane == plane);
        let theirs = self.tracks.iter().filter(|(_, track)| is_theirs(track));
        let theirs: Vec<TrackKey> = theirs.map(|(key, _)| key).collect();
        for key in theirs {
            self.remove_track(key);
        }
        for (_, track) in self.tracks.iter_mut() {
            track.takers.retain(|taker| taker.plane != plane);
        }
        self.speakers.heard_on(plane, &[]);
    }

    pub(crate) fn find_own_track(&self, id: TrackId) -> Option<TrackKey> {
        self.tracks.find(id).filter(|&key| self.track(key).is_some_and(Track::is_own))
    }

    pub(crate) fn find_track_of(&self, plane: PlaneId, id: TrackId) -> Option<TrackKey> {
        self.tracks.find(id).filter(|&key| {
            let origin = self.track(key).map(|track| track.origin);
            matches!(origin, Some(Origin::Plane(remote)) if remote.plane == plane)
        })
    }

    /// Removes what a plane has published and does not name any more.
    pub(crate) fn keep_tracks(&mut self, plane: PlaneId, named: &[RelayedTrack]) {
        let named: HashSet<TrackId> = named.iter().map(|track| track.id).collect();
        let theirs: Vec<TrackKey> = self
            .tracks
            .iter()
            .filter(|(_, track)| {
                matches!(track.origin, Origin::Plane(remote) if remote.plane == plane)
                    && !named.contains(&track.id)
            })
            .map(|(key, _)| key)
            .collect();
        for key in theirs {
            self.remove_track(key);
        }
    }

    /// Takes over what a plane says of a track of its.
    pub(crate) fn take_track(&mut self, from: PlaneId, told: &RelayedTrack) {
        let key = match self.find_track_of(from, told.id) {
            Some(key) => key,
            None if self.tracks.find(told.id).is_some() => return,
            // A room that is full of tracks shows no more of them; the plane that publishes has said so.
            None => match self.add_track(remote_track(self, from, told)) {
                Some(key) => key,
                None => return,
            },
        };
        let next_generation = self.last_generation + 1;
        let Some(track) = self.track_mut(key) else { return };
        let Origin::Plane(remote) = &mut track.origin else { return };
        let is_anew = remote.generation != told.generation || track.encodings.len() != count(told);
        let is_stale = is_anew || track.codec != told.codec;
        if is_anew {
            remote.generation = told.generation;
            remote.numbers = Default::default();
            track.generation = next_generation;
            track.encodings = encodings(told);
        }
        for (encoding, told) in track.encodings.iter_mut().zip(&told.encodings) {
            encoding.rid.clone_from(&told.rid);
            encoding.told_wait = Some(Duration::from_millis(told.wait_ms.into()));
        }
        track.extensions = told.extensions;
        track.codec = told.codec;
        track.ladder = ladder(told);
        if is_anew {
            self.last_generation = next_generation;
        }
        self.is_stale |= is_stale;
    }

    /// Notes what a plane takes of tracks that are published here.
    pub(crate) fn set_taken(&mut self, plane: PlaneId, taken: &[(TrackId, Taken)], is_all: bool) {
        if is_all {
            let named: HashSet<TrackId> = taken.iter().map(|(id, _)| *id).collect();
            for (_, track) in self.tracks.iter_mut().filter(|(_, t)| !named.contains(&t.id)) {
                track.takers.retain(|taker| taker.plane != plane);
            }
        }
        for &(id, taken) in taken {
            let Some(key) = self.find_own_track(id) else { continue };
            let Some(track) = self.track_mut(key) else { continue };
            let at = track.takers.iter().position(|taker| taker.plane == plane);
            match at {
                Some(at) if taken == Taken::default() => {
                    track.takers.remove(at);
                }
                Some(at) => track.takers[at].taken = taken,
                None if taken == Taken::default() => {}
                None => track.takers.push(Taker::new(plane, taken)),
            }
        }
    }

    /// Ranks who speaks from now on, beginning with what was ranked before.
    pub(crate) fn take_over(&mut self) {
        let speaking = std::mem::take(&mut self.speaking);
        let mut speakers = std::mem::take(&mut self.speakers);
        speakers.take_over(&speaking, |csrc| match self.tracks.of_csrc(csrc)?.origin {
            Origin::Plane(remote) => Some(remote.plane),
            Origin::Peer(_) => None,
        });
        (self.speakers, self.speaking) = (speakers, speaking);
    }
}

fn remote_track(room: &Room, from: PlaneId, told: &RelayedTrack) -> Track {
    Track {
        id: told.id,
        participant: told.participant,
        source: told.source,
        csrc: told.csrc,
        generation: 0,
        origin: Origin::Plane(Remote {
            plane: from,
            generation: told.generation,
            asked: Taken::default(),
            numbers: Default::default(),
        }),
        takers: Vec::new(),
        announced: None,
        mid: String::new(),
        extensions: told.extensions,
        codec: told.codec,
        is_blocked: room.is_blocked(told.participant, told.source),
        encodings: encodings(told),
        ladder: ladder(told),
    }
}

fn encodings(told: &RelayedTrack) -> Vec<Encoding> {
    let kind = told.source.kind();
    // No packet may have come yet that would say the codec.
    let clock_rate = match kind {
        Kind::Audio => Codec::Opus.clock_rate(),
        Kind::Video => Codec::Vp8.clock_rate(),
    };
    (0..count(told)).map(|_| Encoding::new(kind, clock_rate)).collect()
}

/// How many encodings there are; more than one can have are left out.
fn count(told: &RelayedTrack) -> usize {
    told.encodings.len().min(MAX_ENCODINGS)
}

/// The steps of the encodings that there are.
fn ladder(told: &RelayedTrack) -> Vec<Rung> {
    told.ladder.iter().filter(|rung| rung.encoding < count(told)).copied().collect()
}
