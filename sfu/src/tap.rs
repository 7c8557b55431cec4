//! What a recorder takes from a room: the best of every track, after what moderators have muted is gone.
//!
//! It is one more subscriber, without a link: no slots, no estimate, nothing rewritten. Streams keep the numbers
//! and timestamps of their publishers; where another encoding follows, another stream begins.

use crate::format::Codec;
use crate::key::{RoomKey, TrackKey};
use crate::layers;
use crate::relay::MAX_WAITING;
use crate::room::Room;
use crate::router::Sfu;
use crate::slot::{Forwarded, Selector, Target, Verdict};
use crate::stats::Stats;
use crate::track::{MAX_ENCODINGS, Track};
use bytes::Bytes;
use protocol::{Kind, ParticipantId, RoomId, Source, TrackId};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// Something for the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tapped {
    /// A packet.
    Packet(TappedPacket),
    /// A publisher's sender report.
    Report {
        /// Room.
        room: RoomId,
        /// Track.
        track: TrackId,
        /// Stream of the track.
        stream: u32,
        /// When it came.
        at: Instant,
        /// The publisher's wall clock (NTP).
        ntp: u64,
        /// The RTP timestamp of that moment.
        timestamp: u32,
    },
}

/// A packet as its publisher sent it, decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TappedPacket {
    /// Room.
    pub room: RoomId,
    /// Track.
    pub track: TrackId,
    /// Who publishes it.
    pub participant: ParticipantId,
    /// What it shows.
    pub source: Source,
    /// Changes when the numbers of the track begin anew.
    pub stream: u32,
    /// When it came.
    pub at: Instant,
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// What it carries.
    pub codec: Codec,
    /// Payload, without padding.
    pub payload: Bytes,
}

/// The tracks of a room that is recorded.
#[derive(Debug, Default)]
pub struct Tap {
    tracks: BTreeMap<TrackKey, TappedTrack>,
}

#[derive(Debug)]
struct TappedTrack {
    generation: u32,
    selector: Selector,
    /// The recorder has lost its place and needs a keyframe of what flows.
    is_lost: bool,
}

/// The number of an encoding's stream: unique in a room, as generations are.
fn stream(generation: u32, encoding: usize) -> u32 {
    generation.wrapping_mul(MAX_ENCODINGS as u32).wrapping_add(encoding as u32)
}

/// The best that the publisher sends now.
fn best(track: &Track) -> Target {
    let top = track.ladder.iter().rposition(|rung| rung.is_available);
    if let Some(top) = top.filter(|_| track.kind() == Kind::Video) {
        return layers::target(&track.ladder, top);
    }
    let mut ranks = [None; MAX_ENCODINGS];
    let count = track.encodings.len().clamp(1, MAX_ENCODINGS);
    for (rank, place) in ranks.iter_mut().enumerate().take(count) {
        *place = Some(rank as u8);
    }
    Target { encoding: count - 1, spatial: u8::MAX, temporal: u8::MAX, ranks }
}

impl Tap {
    /// Looks at what each track offers; the encodings for whose keyframes it waits.
    pub fn aim(&mut self, room: &Room) -> Vec<(TrackKey, usize)> {
        self.tracks.retain(|key, tapped| {
            room.track(*key).is_some_and(|track| track.generation == tapped.generation)
        });
        // What is published on another plane is recorded there.
        for (key, track) in room.tracks.iter().filter(|(_, track)| track.is_own()) {
            self.tracked(key, track).selector.aim(best(track));
        }
        self.awaited()
    }

    fn tracked(&mut self, key: TrackKey, track: &Track) -> &mut TappedTrack {
        let fresh = || TappedTrack {
            generation: track.generation,
            selector: Selector::new(best(track)),
            is_lost: false,
        };
        let tapped = self.tracks.entry(key).or_insert_with(fresh);
        if tapped.generation != track.generation {
            *tapped = fresh();
        }
        tapped
    }

    fn awaited(&self) -> Vec<(TrackKey, usize)> {
        let tracks = self.tracks.iter();
        let awaited = tracks.filter_map(|(&key, tapped)| {
            let lost = tapped.selector.flowing().filter(|_| tapped.is_lost);
            Some((key, tapped.selector.awaited().or(lost.map(|(encoding, ..)| encoding))?))
        });
        awaited.collect()
    }

    /// Encodings that are recorded, and those that will be, each with the highest spatial layer of it.
    pub fn taken(&self) -> impl Iterator<Item = (TrackKey, usize, u8)> {
        self.tracks.iter().flat_map(|(&key, tapped)| {
            let flowing =
                tapped.selector.flowing().map(|(encoding, spatial, _)| (encoding, spatial));
            let target = tapped.selector.target();
            let taken = flowing.into_iter().chain([(target.encoding, target.spatial)]);
            taken.map(move |(encoding, spatial)| (key, encoding, spatial))
        })
    }
}

impl Sfu {
    /// Begins or ends to hand a room's media to the recorder.
    pub(crate) fn tap(&mut self, room: RoomId, wanted: bool) {
        if wanted {
            let key = self.room(room);
            self.rooms[key].tap.get_or_insert_default();
        } else if let Some(&key) = self.room_keys.get(&room) {
            self.rooms[key].tap = None;
            self.forget_empty(room, key);
        }
    }

    /// The recorder cannot use what comes of a track before its next keyframe.
    pub(crate) fn tap_lost(&mut self, room: RoomId, track: TrackId) {
        let Some(room) = self.room_keys.get(&room).and_then(|&key| self.rooms.get_mut(key)) else {
            return;
        };
        let key = room.tracks.find(track);
        let tap = room.tap.as_mut();
        if let Some(tapped) = tap.and_then(|tap| tap.tracks.get_mut(&key?)) {
            tapped.is_lost = true;
        }
    }

    /// Looks at a recorded room anew, and asks for the keyframes that its recorder waits for.
    pub(crate) fn aim_tap(&mut self, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let Some(mut tap) = room.tap.take() else { return };
        for (track, encoding) in tap.aim(room) {
            room.want_keyframe(track, encoding);
        }
        room.tap = Some(tap);
    }

    /// The next thing for the recorder.
    pub fn poll_tapped(&mut self) -> Option<Tapped> {
        self.tapped.pop_front()
    }
}

/// Queues what a recorder takes of a batch: the bytes are copied once.
pub(crate) fn queue(
    now: Instant,
    tap: &mut Tap,
    room: &Room,
    batch: &[(TrackKey, Forwarded<'_>)],
    tapped: &mut VecDeque<Tapped>,
    stats: &mut Stats,
) {
    for (key, packet) in batch {
        let Some(track) = room.track(*key).filter(|track| track.is_own()) else { continue };
        let taken = tap.tracked(*key, track);
        // Pictures begin with keyframes, sound anywhere.
        let begins = packet.is_keyframe || track.kind() == Kind::Audio;
        let timestamp = packet.header.timestamp;
        match taken.selector.decide(packet.encoding, timestamp, begins, &packet.frame) {
            // A layer that is left out would be a gap to the recorder; the best has all of its encoding.
            Verdict::Ignore | Verdict::LeaveOut => continue,
            Verdict::Begin | Verdict::Send { .. } => {}
        }
        taken.is_lost &= !packet.is_keyframe;
        if tapped.len() >= MAX_WAITING {
            stats.tapped_dropped += 1;
            continue;
        }
        tapped.push_back(Tapped::Packet(TappedPacket {
            room: room.id,
            track: track.id,
            participant: track.participant,
            source: track.source,
            stream: stream(track.generation, packet.encoding),
            at: now,
            sequence: packet.sequence,
            timestamp,
            marker: packet.header.marker,
            codec: packet.codec,
            payload: Bytes::copy_from_slice(packet.header.payload(packet.packet)),
        }));
    }
}

/// Queues a sender report of an encoding.
pub(crate) fn report(
    now: Instant,
    room: &Room,
    track: &Track,
    encoding: usize,
    (ntp, timestamp): (u64, u32),
    tapped: &mut VecDeque<Tapped>,
) {
    if room.tap.is_some() && tapped.len() < MAX_WAITING {
        tapped.push_back(Tapped::Report {
            room: room.id,
            track: track.id,
            stream: stream(track.generation, encoding),
            at: now,
            ntp,
            timestamp,
        });
    }
}
