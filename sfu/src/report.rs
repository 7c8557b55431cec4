//! A room as it is now, for those who look after it. Reads, and changes nothing.

use crate::codec::Layer;
use crate::format::Codec;
use crate::path::Carrier;
use crate::peer::{Peer, Side};
use crate::publisher::Publisher;
use crate::room::Room;
use crate::router::Sfu;
use crate::subscriber::Subscriber;
use crate::track::{Encoding, Track};
use protocol::RoomId;
use protocol::stats::{
    self, Direction, EncodingStats, ParticipantStats, RoomStats, SlotStats, TrackStats,
    TransportStats,
};
use std::time::{Duration, Instant};

impl Sfu {
    /// Everybody with a transport in a room; nobody where there is no such room.
    pub(crate) fn report(&self, now: Instant, room: RoomId) -> RoomStats {
        let Some(room) = self.room_keys.get(&room).and_then(|&key| self.rooms.get(key)) else {
            return RoomStats::default();
        };
        let participants = room
            .members
            .iter()
            .filter(|(_, member)| !member.peers.is_empty())
            .map(|(&participant_id, member)| ParticipantStats {
                participant_id,
                display_name: None,
                transports: member
                    .peers
                    .iter()
                    .filter_map(|&key| self.peers.get(key))
                    .map(|peer| transport(now, room, peer))
                    .collect(),
            })
            .collect();
        RoomStats { participants }
    }
}

/// Adds what another plane says of a room: each participant's transports are on one plane.
pub fn merge_reports(report: &mut RoomStats, part: RoomStats) {
    report.participants.extend(part.participants);
    report.participants.sort_by_key(|participant| participant.participant_id);
}

fn transport(now: Instant, room: &Room, peer: &Peer) -> TransportStats {
    let counted = peer.transport.stats();
    let mut stats = TransportStats {
        direction: Direction::Publish,
        is_connected: peer.transport.is_connected(),
        carrier: peer.transport.remote_path().map(|path| match path.carrier() {
            Carrier::Udp => stats::Carrier::Udp,
            Carrier::Tcp => stats::Carrier::Tcp,
            Carrier::Relay => stats::Carrier::Relay,
        }),
        silent_ms: millis(now.saturating_duration_since(peer.transport.last_heard())),
        rtt_ms: None,
        bandwidth: None,
        throughput: None,
        bad_packets: counted.bad_packets + counted.replays + counted.stun_failures,
        tracks: Vec::new(),
        slots: Vec::new(),
    };
    match &peer.side {
        Side::Publish(publisher) => {
            stats.rtt_ms = round_trip(room, publisher).map(millis);
            stats.tracks = tracks(now, room, publisher);
        }
        Side::Subscribe(subscriber) => {
            stats.direction = Direction::Subscribe;
            stats.slots = slots(room, subscriber);
            if subscriber.is_measured() {
                let link = subscriber.estimator.stats();
                stats.rtt_ms = link.rtt.map(millis);
                stats.bandwidth = Some(link.estimate.0);
                stats.throughput = Some(link.throughput.0);
            }
        }
    }
    stats
}

fn published<'a>(room: &'a Room, publisher: &'a Publisher) -> impl Iterator<Item = &'a Track> {
    publisher.sections.iter().filter_map(|section| room.track(section.track?))
}

fn tracks(now: Instant, room: &Room, publisher: &Publisher) -> Vec<TrackStats> {
    published(room, publisher)
        .map(|track| TrackStats {
            source: track.source,
            mid: track.mid.clone(),
            codec: track.codec.map(|codec| codec_name(codec).to_owned()),
            is_blocked: track.is_blocked,
            encodings: track.encodings.iter().map(|e| encoding(now, e)).collect(),
        })
        .collect()
}

/// Of all its streams the shortest: what repairs took beyond that was waiting, not way.
fn round_trip(room: &Room, publisher: &Publisher) -> Option<Duration> {
    let encodings = published(room, publisher).flat_map(|track| &track.encodings);
    encodings.filter_map(|encoding| encoding.nack.round_trip()).min()
}

/// Every spatial and temporal layer of a stream.
const ALL_LAYERS: Layer = Layer { spatial: u8::MAX, temporal: u8::MAX };

fn encoding(now: Instant, encoding: &Encoding) -> EncodingStats {
    let (packets, lost) = encoding.reception.totals();
    EncodingStats {
        rid: encoding.rid.clone(),
        packets,
        lost,
        jitter_ms: millis(encoding.reception.jitter()),
        bitrate: if encoding.meter.is_live(now) { encoding.meter.rate(ALL_LAYERS) } else { 0 },
        width: encoding.size.map(|(width, _)| width),
        height: encoding.size.map(|(_, height)| height),
    }
}

fn slots(room: &Room, subscriber: &Subscriber) -> Vec<SlotStats> {
    let accepted = subscriber.slots.iter().filter(|slot| slot.is_accepted);
    accepted
        .zip(subscriber.bindings(room))
        .map(|(slot, binding)| {
            let (packets, bytes) = slot.sent();
            SlotStats { binding, packets, bytes }
        })
        .collect()
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Red => "red",
        Codec::Vp8 => "VP8",
        Codec::Vp9 { .. } => "VP9",
        Codec::Av1 { .. } => "AV1",
        Codec::H264 { .. } => "H264",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::ParticipantId;
    use uuid::Uuid;

    fn of(people: &[u128]) -> RoomStats {
        let participant = |id: &u128| ParticipantStats {
            participant_id: ParticipantId(Uuid::from_u128(*id)),
            display_name: None,
            transports: Vec::new(),
        };
        RoomStats { participants: people.iter().map(participant).collect() }
    }

    #[test]
    fn parts_of_a_report_keep_the_order_of_joining() {
        let mut report = RoomStats::default();
        merge_reports(&mut report, of(&[2, 5]));
        merge_reports(&mut report, of(&[]));
        merge_reports(&mut report, of(&[1, 3]));
        assert_eq!(report, of(&[1, 2, 3, 5]));
    }
}
