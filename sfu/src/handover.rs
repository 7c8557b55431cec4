//! Handing packets to other planes and taking theirs.

use crate::format::Extensions;
use crate::key::{RoomKey, TrackKey};
use crate::relay::{MAX_PLANES, MAX_WAITING, PlaneId, Relayed, RelayedPacket};
use crate::room::{Pending, Room, is_forced};
use crate::router::Sfu;
use crate::rtp::Header;
use crate::slot::Forwarded;
use crate::stats::Stats;
use crate::track::{Encoding, Origin, Track};
use bytes::Bytes;
use protocol::{Kind, ParticipantId, RoomId, TrackId};
use std::collections::VecDeque;
use std::time::Instant;

impl Sfu {
    /// Takes what another plane hands over. Packets are fanned out by the next `flush`.
    pub fn receive_relayed(&mut self, now: Instant, relayed: Relayed) {
        match relayed {
            Relayed::Packet(packet) => self.take_packet(now, &packet),
            Relayed::KeyframeWanted { room, track } => {
                let room = self.room_keys.get(&room).and_then(|&key| self.rooms.get_mut(key));
                if let Some((key, room)) =
                    room.and_then(|room| Some((room.find_track(track)?, room)))
                    && let Some(encoding) =
                        room.track_mut(key).and_then(|t| t.encodings.first_mut())
                {
                    encoding.want_keyframe();
                }
            }
        }
    }

    fn take_packet(&mut self, now: Instant, relayed: &RelayedPacket) {
        let Some(&room_key) = self.room_keys.get(&relayed.room) else { return };
        let room = &mut self.rooms[room_key];
        let Some(key) = room.find_track(relayed.track) else { return };
        let Some(header) = Header::parse(&relayed.packet) else { return };
        let last_generation = &mut room.last_generation;
        let Some(track) = room.tracks[usize::from(key)].as_mut() else { return };
        let Origin::Plane { generation, .. } = &mut track.origin else { return };
        if *generation != Some(relayed.generation) {
            *generation = Some(relayed.generation);
            *last_generation += 1;
            track.generation = *last_generation;
            track.extensions = relayed.extensions;
            let codec = relayed.codec;
            track.encodings = vec![Encoding::new(codec.kind(), codec.clock_rate())];
            room.is_stale = true;
        }
        let index = usize::from(relayed.encoding);
        let Some(encoding) = track.encodings.get_mut(index) else { return };
        if track.is_blocked || !encoding.cache.insert(relayed.sequence, &relayed.packet, now) {
            return;
        }
        if track.codec != Some(relayed.codec) {
            track.codec = Some(relayed.codec);
            room.is_stale = true;
        }
        // The plane that received it has mapped it to its own clock, which is as good as a report.
        encoding.clock.sender_report(relayed.captured_ntp, header.timestamp);
        let body = header.payload(&relayed.packet);
        let is_keyframe =
            relayed.codec.kind() == Kind::Video && crate::codec::is_keyframe(relayed.codec, body);
        let descriptor = relayed.extensions.dependency_descriptor;
        let descriptor = descriptor.and_then(|id| header.extension(&relayed.packet, id));
        let frame = encoding.read_frame(relayed.codec, body, descriptor);
        encoding.meter.add(now, frame.layer, relayed.packet.len());
        if is_keyframe {
            encoding.keyframe_arrived();
        }
        let ntp = self.config.wall.ntp(now);
        if let Some(member) = room.members.get_mut(&track.participant) {
            member.clock.observe(ntp, relayed.captured_ntp);
        }
        room.pending.push(Pending {
            track: key,
            encoding: index,
            sequence: relayed.sequence,
            codec: relayed.codec,
            is_keyframe,
            frame,
            header,
            captured_ntp: Some(relayed.captured_ntp),
        });
        if room.pending.len() == 1 {
            self.with_pending.push(room_key);
        }
    }

    /// Asks the planes that publish for the keyframes that are due.
    pub(crate) fn ask_planes(&mut self, now: Instant, key: RoomKey) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        let id = room.id;
        for track in room.tracks.iter_mut().flatten() {
            let Origin::Plane { plane, .. } = track.origin else { continue };
            for encoding in &mut track.encodings {
                if encoding.keyframe_due(now).is_some_and(|at| at <= now) {
                    encoding.keyframe_requested(now);
                    let wanted = Relayed::KeyframeWanted { room: id, track: track.id };
                    push(&mut self.relayed, &mut self.stats, plane, wanted);
                }
            }
        }
    }

    pub(crate) fn hand_over(&mut self, room: RoomId, track: TrackId, to: PlaneId, wanted: bool) {
        let Some(room) = self.room_keys.get(&room).and_then(|&key| self.rooms.get_mut(key)) else {
            return;
        };
        let Some(track) = room.find_track(track).and_then(|key| room.track_mut(key)) else {
            return;
        };
        track.planes.retain(|plane| *plane != to);
        if wanted && track.planes.len() < MAX_PLANES {
            track.planes.push(to);
            if let Some(encoding) =
                track.encodings.first_mut().filter(|_| track.source.kind() == Kind::Video)
            {
                encoding.want_keyframe();
            }
        }
    }

    pub(crate) fn add_remote_track(
        &mut self,
        room: RoomId,
        participant: ParticipantId,
        track: &protocol::Track,
        from: PlaneId,
    ) {
        let media = self.member(room, participant).media;
        let room_key = self.room(room);
        let room = &mut self.rooms[room_key];
        if room.find_track(track.id).is_some() {
            return;
        }
        // A room that is full of tracks shows no more of them; the plane that publishes has said so.
        let _ = room.add_track(Track {
            id: track.id,
            participant,
            source: track.source,
            csrc: track.csrc,
            generation: 0,
            origin: Origin::Plane { plane: from, generation: None },
            planes: Vec::new(),
            mid: String::new(),
            extensions: Extensions::default(),
            codec: None,
            is_blocked: is_forced(&media, track.source),
            encodings: Vec::new(),
            ladder: Vec::new(),
        });
    }

    pub(crate) fn remove_remote_track(&mut self, room: RoomId, track: TrackId) {
        let Some(room) = self.room_keys.get(&room).and_then(|&key| self.rooms.get_mut(key)) else {
            return;
        };
        let remote = room.find_track(track).filter(|&key| {
            room.track(key).is_some_and(|t| matches!(t.origin, Origin::Plane { .. }))
        });
        if let Some(key) = remote {
            room.remove_track(key);
        }
    }
}

/// Queues a batch for the planes that take its tracks: the bytes are copied once, then shared.
pub(crate) fn queue(
    room: &Room,
    batch: &[(TrackKey, Forwarded<'_>)],
    relayed: &mut VecDeque<(PlaneId, Relayed)>,
    stats: &mut Stats,
) {
    for (key, packet) in batch {
        let Some(track) = room.track(*key).filter(|track| !track.planes.is_empty()) else {
            continue;
        };
        if matches!(track.origin, Origin::Plane { .. }) {
            continue;
        }
        let handed = RelayedPacket {
            room: room.id,
            track: track.id,
            encoding: packet.encoding as u8,
            generation: track.generation,
            sequence: packet.sequence,
            codec: packet.codec,
            extensions: track.extensions,
            captured_ntp: packet.captured_ntp,
            packet: Bytes::copy_from_slice(packet.packet),
        };
        for &plane in &track.planes {
            push(relayed, stats, plane, Relayed::Packet(handed.clone()));
        }
    }
}

fn push(
    relayed: &mut VecDeque<(PlaneId, Relayed)>,
    stats: &mut Stats,
    plane: PlaneId,
    what: Relayed,
) {
    if relayed.len() < MAX_WAITING {
        relayed.push_back((plane, what));
    } else {
        stats.relayed_dropped += 1;
    }
}
