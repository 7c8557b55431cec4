//! The hot loop: one subscriber's share of what came, at once or when its link has room for it.

use crate::bwe::SEAL_BYTES;
use crate::key::TrackKey;
use crate::path::Path;
use crate::peer::{Peer, Side};
use crate::room::Room;
use crate::slot::{Forwarded, Stamp, Written};
use crate::stats::Stats;
use crate::subscriber::{self, Held, Subscriber};
use crate::transmits::Transmits;
use crate::transport::Transport;
use protocol::Kind;
use std::time::Instant;

/// Writes and seals one subscriber's share of a batch. No lock, no wait, and no allocation but the slab's
/// growth and, on a link that is slower than what comes, that of the queue of what is held back.
pub fn forward(
    now: Instant,
    peer: &mut Peer,
    room: &Room,
    ntp: u64,
    batch: &[(TrackKey, Forwarded<'_>)],
    transmits: &mut Transmits,
    stats: &mut Stats,
) {
    release(now, peer, room, ntp, transmits, stats);
    let Side::Subscribe(subscriber) = &mut peer.side else { return };
    let Some(to) = reachable(&peer.transport) else { return };
    for (track, packet) in batch {
        let Some(slot) = subscriber.slot_of(*track) else { continue };
        let may_wait =
            packet.codec.kind() == Kind::Video && subscriber.slots[slot].may_take(packet.encoding);
        if may_wait && !subscriber.pacing.passes(now) {
            hold(now, subscriber, slot, room, *track, packet);
            stats.packets_held += 1;
            continue;
        }
        send(now, subscriber, &mut peer.transport, to, slot, packet, transmits, stats);
    }
}

/// Sends what was held back and may go now.
pub fn release(
    now: Instant,
    peer: &mut Peer,
    room: &Room,
    ntp: u64,
    transmits: &mut Transmits,
    stats: &mut Stats,
) {
    let Side::Subscribe(subscriber) = &mut peer.side else { return };
    let Some(to) = reachable(&peer.transport) else { return };
    while let Some(held) = subscriber.pacing.take(now) {
        let Some(pending) = held.find(room) else { continue };
        let Some(packet) = subscriber::forwarded(room, &pending, ntp) else { continue };
        let Some(slot) = subscriber.slot_of(held.track) else { continue };
        send(now, subscriber, &mut peer.transport, to, slot, &packet, transmits, stats);
    }
}

/// Where to, once the transport stands.
fn reachable(transport: &Transport) -> Option<Path> {
    transport.remote_path().filter(|_| transport.is_connected())
}

fn hold(
    now: Instant,
    subscriber: &mut Subscriber,
    slot: usize,
    room: &Room,
    track: TrackKey,
    packet: &Forwarded<'_>,
) {
    let slot = &subscriber.slots[slot];
    let follows_what_is_too_much = packet.is_keyframe
        && slot.is_too_much()
        && slot.target().is_some_and(|target| target.encoding == packet.encoding);
    if follows_what_is_too_much {
        subscriber.pacing.forget(track, Some(packet.encoding));
    }
    let Some(generation) = room.track(track).map(|track| track.generation) else { return };
    let held = Held {
        track,
        generation,
        encoding: packet.encoding as u8,
        is_keyframe: packet.is_keyframe,
        frame: packet.frame,
        sequence: packet.sequence,
        left_out: packet.left_out,
        since: now,
    };
    subscriber.pacing.hold(held);
}

#[expect(
    clippy::too_many_arguments,
    reason = "one packet, and everything that it meets on its way"
)]
fn send(
    now: Instant,
    subscriber: &mut Subscriber,
    transport: &mut Transport,
    to: Path,
    slot: usize,
    packet: &Forwarded<'_>,
    transmits: &mut Transmits,
    stats: &mut Stats,
) {
    let start = transmits.mark();
    let slot = &mut subscriber.slots[slot];
    let Some(written) = slot.write(now, packet, transmits.slab()) else { return };
    stats.packets_out += 1;
    stats.bytes_out += (transmits.mark() - start) as u64;
    stamp(now, subscriber, &written, start, transmits.slab());
    transport.seal_rtp(transmits.slab(), start, written.header_len, written.index);
    transmits.commit(to, start);
}

/// Notes for the estimate and the pacer that a packet leaves, which begins at `start` and is the last in the
/// slab, and gives it its transport-wide sequence number or the time.
pub fn stamp(
    now: Instant,
    subscriber: &mut Subscriber,
    written: &Written,
    start: usize,
    slab: &mut [u8],
) {
    let bytes = slab.len() - start + SEAL_BYTES;
    subscriber.pacing.sent(now, bytes);
    let packet = &mut slab[start..];
    match written.stamp {
        Stamp::Number(at) => {
            let sequence = subscriber.estimator.sent(now, bytes);
            packet[at..at + 2].copy_from_slice(&sequence.to_be_bytes());
        }
        Stamp::Time(at) => {
            subscriber.estimator.sent_unnumbered(now, bytes);
            let [_, time @ ..] = subscriber.estimator.send_time(now).to_be_bytes();
            packet[at..at + 3].copy_from_slice(&time);
        }
        Stamp::Nothing => subscriber.estimator.sent_unnumbered(now, bytes),
    }
}
