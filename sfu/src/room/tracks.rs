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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Extensions;
    use crate::key::PeerKey;
    use crate::track::Origin;
    use proptest::prelude::*;
    use protocol::Source;
    use std::collections::BTreeMap;
    use uuid::Uuid;

    fn track(n: u32, participant: u128) -> Track {
        Track {
            id: TrackId(Uuid::from_u128(n.into())),
            participant: ParticipantId(Uuid::from_u128(participant)),
            source: Source::Microphone,
            csrc: n,
            generation: 1,
            origin: Origin::Peer(PeerKey::default()),
            takers: Vec::new(),
            announced: None,
            mid: String::new(),
            extensions: Extensions::default(),
            codec: None,
            is_blocked: false,
            encodings: Vec::new(),
            ladder: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn a_track_is_found_by_all_its_names_and_a_key_is_not_given_anew_before_it_is_released(
            steps in prop::collection::vec((0u8..4, 0usize..20, 0u128..3), 0..200),
        ) {
            let mut tracks = Tracks::default();
            let mut model: BTreeMap<TrackKey, (u32, u128)> = BTreeMap::new();
            let mut freed: Vec<TrackKey> = Vec::new();
            for (n, (what, at, participant)) in steps.into_iter().enumerate() {
                let n = n as u32 + 1;
                match what {
                    0 | 1 => {
                        let key = tracks.insert(track(n, participant)).expect("room");
                        prop_assert!(!model.contains_key(&key) && !freed.contains(&key));
                        model.insert(key, (n, participant));
                    }
                    2 => if let Some(&key) = model.keys().nth(at) {
                        let (csrc, _) = model.remove(&key).expect("a key of it");
                        prop_assert_eq!(tracks.remove(key).map(|track| track.csrc), Some(csrc));
                        freed.push(key);
                    },
                    _ => {
                        tracks.release();
                        freed.clear();
                    }
                }
                prop_assert_eq!(tracks.count(), model.len());
                let all: Vec<_> = tracks.iter().map(|(key, track)| (key, track.csrc)).collect();
                let expected: Vec<_> = model.iter().map(|(key, (csrc, _))| (*key, *csrc)).collect();
                prop_assert_eq!(all, expected);
                for (&key, &(csrc, participant)) in &model {
                    let id = TrackId(Uuid::from_u128(csrc.into()));
                    prop_assert_eq!(tracks.find(id), Some(key));
                    prop_assert_eq!(tracks.of_csrc(csrc).map(|track| track.id), Some(id));
                    let theirs = tracks.of(ParticipantId(Uuid::from_u128(participant)));
                    prop_assert!(theirs.contains(&key) && usize::from(key) < tracks.end());
                }
            }
        }
    }

    #[test]
    fn a_room_holds_so_many_tracks_and_no_more() {
        let mut tracks = Tracks::default();
        for n in 0..MAX_TRACKS as u32 {
            assert!(tracks.insert(track(n + 1, 1)).is_some());
        }
        assert_eq!(tracks.insert(track(9_999, 1)), None);
        tracks.remove(7);
        assert_eq!(tracks.insert(track(9_999, 1)), None, "somebody may know the key still");
        tracks.release();
        assert_eq!(tracks.insert(track(9_999, 1)), Some(7));
    }
}
