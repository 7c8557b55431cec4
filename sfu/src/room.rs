//! A room of the media plane: its members, their tracks, who listens, and what waits to be fanned out.

use crate::clock::PublisherClock;
use crate::codec::Frame;
use crate::format::Codec;
use crate::key::{PeerKey, TrackKey};
use crate::rtp::Header;
use crate::speakers::Speakers;
use crate::spread::Spread;
use crate::tap::Tap;
use crate::track::{Origin, Track};
use protocol::media::View;
use protocol::room::MediaState;
use protocol::{ParticipantId, RoomId, Source, TrackId};
use std::collections::BTreeMap;
use std::time::Instant;

/// Tracks in one room. More would not fit the subscribers' index; a room of a thousand with camera,
/// microphone and some screens fits.
pub const MAX_TRACKS: usize = 4_096;

/// A participant as the media plane knows one.
#[derive(Default)]
pub struct Member {
    /// Own and forced mutes.
    pub media: MediaState,
    /// What they show and hear.
    pub view: View,
    /// Reconnecting: their tracks take no slots.
    pub is_away: bool,
    /// Their transports.
    pub peers: Vec<PeerKey>,
    /// Their NTP clock on ours; one for all they publish, so that sound and picture stay together.
    pub clock: PublisherClock,
    /// What `Event::Alive` said last.
    pub alive: Option<bool>,
}

/// A packet that waits in its track's cache for the end of the receive batch.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Track in the room.
    pub track: TrackKey,
    /// Encoding of the track.
    pub encoding: usize,
    /// Extended sequence of the encoding.
    pub sequence: u64,
    /// What it carries.
    pub codec: Codec,
    /// Whether it begins a keyframe.
    pub is_keyframe: bool,
    /// The frame that it is a piece of.
    pub frame: Frame,
    /// Its header, parsed once for all subscribers.
    pub header: Header,
    /// When it was captured, where another plane has said so.
    pub captured_ntp: Option<u64>,
}

/// A room with somebody in it.
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// By id, which is by time of joining (UUIDv7).
    pub members: BTreeMap<ParticipantId, Member>,
    /// By key; holes are reused.
    pub tracks: Vec<Option<Track>>,
    /// Subscribe transports.
    pub subscribers: Vec<PeerKey>,
    /// Levels of everybody who is heard.
    pub speakers: Speakers,
    /// Contributing sources that speak now, loudest first.
    pub speaking: Vec<u32>,
    /// Packets of this batch.
    pub pending: Vec<Pending>,
    /// Subscribers that have them already.
    pub served: usize,
    /// Last generation given to a track.
    pub last_generation: u32,
    /// Something changed that decides who is in which slot.
    pub is_stale: bool,
    /// Packets are missing or a keyframe is wanted: the next look at everybody shall be soon.
    pub is_pressing: bool,
    /// What is recorded of it, while it is.
    pub tap: Option<Tap>,
    /// The other planes that it is on, while it is on any.
    pub spread: Option<Spread>,
}

impl Room {
    /// An empty room.
    pub fn new(id: RoomId) -> Self {
        Self {
            id,
            members: BTreeMap::new(),
            tracks: Vec::new(),
            subscribers: Vec::new(),
            speakers: Speakers::new(),
            speaking: Vec::new(),
            pending: Vec::new(),
            served: 0,
            last_generation: 0,
            is_stale: false,
            is_pressing: false,
            tap: None,
            spread: None,
        }
    }

    /// The track with this key, if it is still there.
    pub fn track(&self, key: TrackKey) -> Option<&Track> {
        self.tracks.get(usize::from(key))?.as_ref()
    }

    /// The track with this key, if it is still there.
    pub fn track_mut(&mut self, key: TrackKey) -> Option<&mut Track> {
        self.tracks.get_mut(usize::from(key))?.as_mut()
    }

    /// Somebody needs a keyframe of an encoding, if it is still there.
    pub fn want_keyframe(&mut self, key: TrackKey, encoding: usize) {
        let track = self.track_mut(key);
        if let Some(encoding) = track.and_then(|track| track.encodings.get_mut(encoding)) {
            encoding.want_keyframe();
        }
    }

    /// Adds a track; nothing when the room is full of them.
    pub fn add_track(&mut self, mut track: Track) -> Option<TrackKey> {
        let key = match self.tracks.iter().position(Option::is_none) {
            Some(hole) => hole,
            None if self.tracks.len() < MAX_TRACKS => {
                self.tracks.push(None);
                self.tracks.len() - 1
            }
            None => return None,
        };
        self.last_generation += 1;
        track.generation = self.last_generation;
        self.tracks[key] = Some(track);
        self.is_stale = true;
        TrackKey::try_from(key).ok()
    }

    /// Removes a track.
    pub fn remove_track(&mut self, key: TrackKey) {
        if let Some(track) = self.tracks.get_mut(usize::from(key)).and_then(Option::take) {
            self.speakers.forget(track.csrc);
            self.is_stale = true;
            if let Some(spread) = self.spread.as_mut().filter(|_| track.announced.is_some()) {
                spread.gone.push(track.id);
            }
        }
    }

    /// The key of the track with this public id.
    pub fn find_track(&self, id: TrackId) -> Option<TrackKey> {
        self.all_tracks().find(|(_, track)| track.id == id).map(|(key, _)| key)
    }

    /// All tracks with their keys.
    pub fn all_tracks(&self) -> impl Iterator<Item = (TrackKey, &Track)> {
        self.tracks
            .iter()
            .enumerate()
            .filter_map(|(key, track)| Some((key as TrackKey, track.as_ref()?)))
    }

    /// All tracks of one participant, microphone first.
    pub fn tracks_of(&self, participant: ParticipantId) -> Vec<protocol::Track> {
        let mut tracks: Vec<_> = self
            .all_tracks()
            .filter(|(_, track)| track.participant == participant)
            .map(|(_, track)| track.public())
            .collect();
        tracks.sort_by_key(|track| track.source);
        tracks
    }

    /// Whether a moderator has muted this source of that participant.
    pub fn is_blocked(&self, participant: ParticipantId, source: Source) -> bool {
        self.members.get(&participant).is_some_and(|member| is_forced(&member.media, source))
    }

    /// Whether nothing is left that would need the room.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.spread.is_none()
    }

    /// What maps the moments of a track's publisher to the server's.
    pub fn clock_of(&self, track: &Track) -> Option<&PublisherClock> {
        match track.origin {
            Origin::Peer(_) => self.members.get(&track.participant).map(|member| &member.clock),
            // The plane that publishes it has done so.
            Origin::Plane(_) => Some(&PublisherClock::SERVER),
        }
    }

    /// Who speaks now, loudest first.
    pub fn speaking_people(&self) -> Vec<ParticipantId> {
        let mut people = Vec::with_capacity(self.speaking.len());
        for csrc in &self.speaking {
            if let Some((_, track)) = self.all_tracks().find(|(_, track)| track.csrc == *csrc)
                && !people.contains(&track.participant)
            {
                people.push(track.participant);
            }
        }
        people
    }

    /// Looks for speakers that came or fell silent since the last call.
    pub fn poll_speakers(&mut self, now: Instant) -> bool {
        let Some(speaking) = self.speakers.poll(now) else { return false };
        self.speaking.clear();
        self.speaking.extend_from_slice(speaking);
        self.is_stale = true;
        true
    }
}

/// Which forced mute stops which source. A muted person is silent, so the sound of their screen is too.
pub fn is_forced(media: &MediaState, source: Source) -> bool {
    match source {
        Source::Microphone => media.mic_forced,
        Source::ScreenAudio => media.mic_forced || media.screen_forced,
        Source::Camera => media.cam_forced,
        Source::Screen => media.screen_forced,
    }
}

/// Which of a participant's own mutes concerns which source.
pub fn is_self_muted(media: &MediaState, source: Source) -> bool {
    match source {
        Source::Microphone => media.mic_muted,
        Source::Camera => media.cam_off,
        Source::Screen | Source::ScreenAudio => false,
    }
}
