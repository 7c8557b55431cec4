//! The tracks of a room, by their keys and by all that they are looked for by.

use crate::key::TrackKey;
use crate::track::Track;
use protocol::{ParticipantId, TrackId};
use std::collections::HashMap;

/// Tracks in one room. More would not fit the subscribers' index; a room of a thousand with camera,
/// microphone and some screens fits.
pub const MAX_TRACKS: usize = 4_096;

/// A table with holes, and indexes into it.
#[derive(Default)]
pub struct Tracks {
    table: Vec<Option<Track>>,
    /// Keys that may be given anew.
    holes: Vec<TrackKey>,
    /// Keys that somebody may still know by what was there.
    freed: Vec<TrackKey>,
    by_id: HashMap<TrackId, TrackKey>,
    by_csrc: HashMap<u32, TrackKey>,
    by_participant: HashMap<ParticipantId, Vec<TrackKey>>,
}

impl Tracks {
    /// The track with this key, if it is still there.
    pub fn get(&self, key: TrackKey) -> Option<&Track> {
        self.table.get(usize::from(key))?.as_ref()
    }

    /// The track with this key, if it is still there.
    pub fn get_mut(&mut self, key: TrackKey) -> Option<&mut Track> {
        self.table.get_mut(usize::from(key))?.as_mut()
    }

    /// Keys are below this.
    pub fn end(&self) -> usize {
        self.table.len()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Adds a track; nothing when the room is full of them.
    pub fn insert(&mut self, track: Track) -> Option<TrackKey> {
        let key = match self.holes.pop() {
            Some(hole) => hole,
            None if self.table.len() < MAX_TRACKS => {
                self.table.push(None);
                TrackKey::try_from(self.table.len() - 1).ok()?
            }
            None => return None,
        };
        self.by_id.insert(track.id, key);
        self.by_csrc.insert(track.csrc, key);
        self.by_participant.entry(track.participant).or_default().push(key);
        self.table[usize::from(key)] = Some(track);
        Some(key)
    }

    /// Removes a track. Its key is given to no other before [`Self::release`].
    pub fn remove(&mut self, key: TrackKey) -> Option<Track> {
        let track = self.table.get_mut(usize::from(key))?.take()?;
        self.by_id.remove(&track.id);
        self.by_csrc.remove(&track.csrc);
        if let Some(theirs) = self.by_participant.get_mut(&track.participant) {
            theirs.retain(|known| *known != key);
            if theirs.is_empty() {
                self.by_participant.remove(&track.participant);
            }
        }
        self.freed.push(key);
        Some(track)
    }

    /// Nobody knows removed tracks by their keys any more.
    pub fn release(&mut self) {
        self.holes.append(&mut self.freed);
    }

    /// The key of the track with this public id.
    pub fn find(&self, id: TrackId) -> Option<TrackKey> {
        self.by_id.get(&id).copied()
    }

    /// The track with this contributing source.
    pub fn of_csrc(&self, csrc: u32) -> Option<&Track> {
        self.get(*self.by_csrc.get(&csrc)?)
    }

    /// Keys of one participant's tracks.
    pub fn of(&self, participant: ParticipantId) -> &[TrackKey] {
        self.by_participant.get(&participant).map_or(&[], Vec::as_slice)
    }

    /// All tracks with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (TrackKey, &Track)> {
        let tracks = self.table.iter().enumerate();
        tracks.filter_map(|(key, track)| Some((key as TrackKey, track.as_ref()?)))
    }

    /// All tracks with their keys.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (TrackKey, &mut Track)> {
        let tracks = self.table.iter_mut().enumerate();
        tracks.filter_map(|(key, track)| Some((key as TrackKey, track.as_mut()?)))
    }
}
