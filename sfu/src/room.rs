//! A room of the media plane: its members, their tracks, who listens, and what waits to be fanned out.

mod elsewhere;
mod tracks;

pub use tracks::{MAX_TRACKS, Tracks};

use crate::clock::PublisherClock;
use crate::codec::Frame;
use crate::format::Codec;
use crate::key::{PeerKey, TrackKey};
use crate::left_out::LeftOut;
use crate::relay::Taken;
use crate::rtp::Header;
use crate::saving::Saving;
use crate::settling::Settling;
use crate::speakers::Speakers;
use crate::spread::Spread;
use crate::tap::Tap;
use crate::track::{Origin, Track};
use protocol::media::View;
use protocol::room::MediaState;
use protocol::{Kind, ParticipantId, RoomId, Source};
use std::collections::BTreeMap;
use std::time::Instant;

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
    /// Which numbers before it another plane has left out.
    pub left_out: LeftOut,
}

/// To so many receivers what a message costs the system weighs more than a moment's sleep.
const MANY: usize = 48;

/// A room with somebody in it.
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// By id, which is by time of joining (UUIDv7).
    pub members: BTreeMap<ParticipantId, Member>,
    /// What they publish, here and on other planes.
    pub tracks: Tracks,
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
    /// Who is in line with that.
    pub settling: Settling,
    /// What of each track is in slots here, and now and then something that was.
    pub taken: Vec<Taken>,
    /// Packets are missing or a keyframe is wanted: the next look at everybody shall be soon.
    pub is_pressing: bool,
    /// What is recorded of it, while it is.
    pub tap: Option<Tap>,
    /// The other planes that it is on, while it is on any.
    pub spread: Option<Spread>,
    /// What its receivers do without, as the server is short of time.
    pub saving: Saving,
}

impl Room {
    /// An empty room.
    pub fn new(id: RoomId) -> Self {
        Self {
            id,
            members: BTreeMap::new(),
            tracks: Tracks::default(),
            subscribers: Vec::new(),
            speakers: Speakers::new(),
            speaking: Vec::new(),
            pending: Vec::new(),
            served: 0,
            last_generation: 0,
            is_stale: false,
            settling: Settling::default(),
            taken: Vec::new(),
            is_pressing: false,
            tap: None,
            spread: None,
            saving: Saving::default(),
        }
    }

    /// The track with this key, if it is still there.
    pub fn track(&self, key: TrackKey) -> Option<&Track> {
        self.tracks.get(key)
    }

    /// The track with this key, if it is still there.
    pub fn track_mut(&mut self, key: TrackKey) -> Option<&mut Track> {
        self.tracks.get_mut(key)
    }

    /// Whether the rest of a picture that has begun to come is on its way, and many take it.
    pub fn awaits_rest(&self) -> bool {
        let is_piece = |p: &Pending| p.codec.kind() == Kind::Video && !p.header.marker;
        self.subscribers.len() >= MANY && self.pending.last().is_some_and(is_piece)
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
        track.generation = self.last_generation + 1;
        let key = self.tracks.insert(track)?;
        self.last_generation += 1;
        self.is_stale = true;
        Some(key)
    }

    /// Removes a track.
    pub fn remove_track(&mut self, key: TrackKey) {
        if let Some(track) = self.tracks.remove(key) {
            if let Some(taken) = self.taken.get_mut(usize::from(key)) {
                *taken = Taken::default();
            }
            self.speakers.forget(track.csrc);
            self.is_stale = true;
            if let Some(spread) = self.spread.as_mut().filter(|_| track.announced.is_some()) {
                spread.gone.push(track.id);
            }
        }
    }

    /// All tracks of one participant, microphone first.
    pub fn tracks_of(&self, participant: ParticipantId) -> Vec<protocol::Track> {
        let theirs = self.tracks.of(participant).iter();
        let mut tracks: Vec<_> =
            theirs.filter_map(|&key| Some(self.track(key)?.public())).collect();
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
            if let Some(track) = self.tracks.of_csrc(*csrc)
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
