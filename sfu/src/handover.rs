//! Packets on their way to other planes, and those that come from there.

use crate::clock;
use crate::codec::{self, vp8, vp9};
use crate::format::Codec;
use crate::left_out::LeftOut;
use crate::relay::{MAX_WAITING, PlaneId, Relayed, RelayedPacket};
use crate::room::{Pending, Room};
use crate::router::Sfu;
use crate::rtp::Header;
use crate::spread::tell_tracks;
use crate::stats::Stats;
use crate::track::Origin;
use bytes::{Bytes, BytesMut};
use protocol::Kind;
use std::collections::VecDeque;
use std::time::Instant;

/// Numbers further apart than this began anew in between.
const MAX_MISSED: u32 = u32::MAX / 2;

impl Sfu {
    /// Takes a packet that another plane hands over, as one that came from a publisher here.
    pub(crate) fn take_packet(&mut self, now: Instant, from: PlaneId, relayed: &RelayedPacket) {
        let Some(&room_key) = self.room_keys.get(&relayed.room) else { return };
        let room = &mut self.rooms[room_key];
        let Some(key) = room.tracks.find(relayed.track) else { return };
        let Some(header) = Header::parse(&relayed.packet) else { return };
        let Some(track) = room.tracks.get_mut(key) else { return };
        let Origin::Plane(remote) = &mut track.origin else { return };
        let index = usize::from(relayed.encoding);
        let is_of_this = remote.plane == from && remote.generation == relayed.generation;
        let Some(encoding) = track.encodings.get_mut(index).filter(|_| is_of_this) else { return };
        let Some(number) = remote.numbers.get_mut(index) else { return };
        let missed = number.map_or(0, |last| relayed.number.wrapping_sub(last).wrapping_sub(1));
        *number = Some(relayed.number);
        if missed > 0 && missed < MAX_MISSED {
            // Nobody can be asked for what was lost between planes.
            self.stats.relayed_missed += u64::from(missed);
            if relayed.codec.kind() == Kind::Video {
                encoding.want_keyframe();
                self.tick.hasten(now);
            }
        }
        self.stats.relayed_in += 1;
        if track.is_blocked || !encoding.cache.insert(relayed.sequence, &relayed.packet, now) {
            return;
        }
        if track.codec != Some(relayed.codec) {
            track.codec = Some(relayed.codec);
            room.is_stale = true;
        }
        if let Some(captured) = relayed.captured_ntp {
            // As good as a report of a publisher with the server's clock.
            encoding.clock.sender_report(captured, header.timestamp);
        }
        let body = header.payload(&relayed.packet);
        let is_keyframe =
            relayed.codec.kind() == Kind::Video && codec::is_keyframe(relayed.codec, body);
        let descriptor = track.extensions.dependency_descriptor;
        let descriptor = descriptor.and_then(|id| header.extension(&relayed.packet, id));
        let frame = encoding.read_frame(relayed.codec, body, descriptor);
        encoding.meter.add(now, frame.layer, relayed.packet.len());
        if is_keyframe {
            encoding.keyframe_arrived();
            match relayed.codec {
                Codec::Vp8 => encoding.size = vp8::size(body).or(encoding.size),
                Codec::Vp9 { .. } => encoding.set_layer_sizes(vp9::sizes(body)),
                _ => {}
            }
        }
        room.pending.push(Pending {
            track: key,
            encoding: index,
            sequence: relayed.sequence,
            codec: relayed.codec,
            is_keyframe,
            frame,
            header,
            captured_ntp: relayed.captured_ntp,
            left_out: relayed.left_out,
        });
        if room.pending.len() == 1 {
            self.with_pending.push(room_key);
        }
    }
}

/// Queues a batch for the planes that take it: the bytes are copied once for all of them, into one slab.
pub(crate) fn queue(
    ntp: u64,
    room: &mut Room,
    relayed: &mut VecDeque<(PlaneId, Relayed)>,
    stats: &mut Stats,
) {
    let pending = std::mem::take(&mut room.pending);
    let mut slab = BytesMut::new();
    // Of each packet how long it is for those who take it; none where nobody takes anything of its encoding.
    let mut lengths = Vec::new();
    let mut is_untold = false;
    for packet in &pending {
        let taken = room.track(packet.track).filter(|track| track.is_own()).and_then(|track| {
            is_untold |= track.announced.as_ref().is_none_or(|announced| {
                (announced.generation, announced.codec) != (track.generation, track.codec)
            });
            let (encoding, spatial) = (packet.encoding, packet.frame.layer.spatial);
            if !track.takers.iter().any(|taker| taker.takes(encoding)) {
                return None;
            }
            let is_taken = track.takers.iter().any(|taker| taker.takes_size(encoding, spatial));
            let bytes = track.encodings.get(encoding)?.cache.get(packet.sequence)?;
            Some(if is_taken { bytes } else { &[] })
        });
        slab.extend_from_slice(taken.unwrap_or_default());
        lengths.push(taken.map(<[u8]>::len));
    }
    if is_untold {
        tell_tracks(room, relayed);
    }
    let mut slab = slab.freeze();
    let id = room.id;
    for (packet, length) in pending.iter().zip(lengths) {
        if let Some(length) = length {
            hand_over(ntp, id, room, packet, slab.split_to(length), relayed, stats);
        }
    }
    room.pending = pending;
}

fn hand_over(
    ntp: u64,
    room_id: protocol::RoomId,
    room: &mut Room,
    pending: &Pending,
    packet: Bytes,
    relayed: &mut VecDeque<(PlaneId, Relayed)>,
    stats: &mut Stats,
) {
    let captured_ntp = room.track(pending.track).and_then(|track| {
        let encoding = track.encodings.get(pending.encoding)?;
        let publisher = room.clock_of(track)?;
        clock::captured_at(ntp, pending.header.timestamp, publisher, &encoding.clock)
    });
    let Some(track) = room.track_mut(pending.track) else { return };
    let mut handed = RelayedPacket {
        room: room_id,
        track: track.id,
        encoding: pending.encoding as u8,
        generation: track.generation,
        number: 0,
        sequence: pending.sequence,
        left_out: LeftOut::default(),
        codec: pending.codec,
        captured_ntp,
        packet,
    };
    let (encoding, sequence) = (pending.encoding, pending.sequence);
    for taker in track.takers.iter_mut().filter(|taker| taker.takes(encoding)) {
        if !taker.takes_size(encoding, pending.frame.layer.spatial) {
            taker.leave_out(encoding, sequence);
            stats.relayed_left_out += 1;
            continue;
        }
        let Some((number, left_out)) = taker.hand(encoding, sequence) else { continue };
        (handed.number, handed.left_out) = (number, left_out);
        if relayed.len() < MAX_WAITING {
            relayed.push_back((taker.plane, Relayed::Packet(handed.clone())));
            stats.relayed_out += 1;
        } else {
            stats.relayed_dropped += 1;
        }
    }
}
