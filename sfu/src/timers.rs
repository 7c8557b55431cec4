//! What the media plane does by the clock: feedback and reports, probes, speakers, layers, liveness.

use crate::bwe::SEAL_BYTES;
use crate::clock::{self, WallClock};
use crate::event::Event;
use crate::fan_out;
use crate::key::{PeerKey, RoomKey};
use crate::peer::Side;
use crate::room::Room;
use crate::router::Sfu;
use crate::rtcp::{self, SenderReport};
use crate::slot::Slot;
use std::time::{Duration, Instant};

/// How often feedback, reports and liveness are looked at while something is missing, held back or waited for. Shorter
/// costs idle CPU, longer delays NACKs.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// The same at the latest while nothing is. Longer delays feedback to publishers, shorter wakes the thread between
/// packets that would have woken it anyway.
pub(crate) const CALM_TICK: Duration = Duration::from_millis(25);
/// The same while nobody is connected.
const IDLE_TICK: Duration = Duration::from_millis(50);
/// How often liveness is looked at.
pub(crate) const LIVENESS_TICK: Duration = Duration::from_secs(1);
/// How often layers are chosen anew where nothing else asks for it. Longer is late when a publisher's
/// rates change, shorter costs idle CPU.
pub(crate) const LAYERS_TICK: Duration = Duration::from_millis(250);
/// A participant whose transports were silent for this long is not alive.
const SILENT_AFTER: Duration = protocol::limits::RECONNECTING_AFTER;

/// When everybody is looked at next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    /// From then on, if something else wakes the thread.
    from: Instant,
    /// Then, whatever else happens.
    by: Instant,
}

impl Tick {
    /// At once.
    pub fn new(now: Instant) -> Self {
        Self { from: now, by: now }
    }

    /// No later than this.
    pub fn hasten(&mut self, by: Instant) {
        self.from = self.from.min(by);
        self.by = self.by.min(by);
    }

    /// The latest moment.
    pub fn by(&self) -> Instant {
        self.by
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.from
    }
}

impl Sfu {
    /// Does what is due by time: retransmissions, feedback, reports, speakers, liveness.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.tick.is_due(now) {
            return;
        }
        let (mut has_connected, mut is_pressing) = (false, false);
        let mut keys = std::mem::take(&mut self.visited);
        keys.extend(self.peers.keys());
        for key in keys.drain(..) {
            let Some(peer) = self.peers.get(key) else { continue };
            if peer.transport.poll_timeout().is_some_and(|at| at <= now) {
                self.guarded(key, |sfu| {
                    if let Some(peer) = sfu.peers.get_mut(key) {
                        peer.transport.handle_timeout(now);
                    }
                    sfu.after_transport(now, key);
                });
            }
            let Some(peer) = self.peers.get(key) else { continue };
            if peer.transport.is_connected() {
                has_connected = true;
                // Most receivers have nothing due most of the time.
                let is_due = match &peer.side {
                    Side::Publish(_) => true,
                    Side::Subscribe(subscriber) => subscriber.is_due(now),
                };
                if is_due {
                    self.guarded(key, |sfu| sfu.serve(now, key));
                }
            }
            is_pressing |= self.peers.get(key).is_some_and(|peer| peer.is_pressing(now));
        }
        self.visited = keys;
        let rooms: Vec<RoomKey> = self.rooms.keys().collect();
        for key in rooms {
            let Some(room) = self.rooms.get_mut(key) else { continue };
            if room.is_home(self.config.plane) && room.poll_speakers(now) {
                let (id, speakers) = (room.id, room.speaking_people());
                self.events.push_back(Event::SpeakersChanged { room: id, speakers });
                self.tell_speaking(key);
            }
            self.tell_voices(now, key);
            self.reallocate(now, key);
            let spread = self.rooms.get(key).and_then(|room| room.spread.as_ref());
            if spread.is_some_and(|spread| spread.has_other_wishes) {
                self.tell_taken(key);
            }
            self.ask_planes(now, key);
        }
        self.touched.clear();
        if now >= self.next_layers {
            self.next_layers = now + LAYERS_TICK;
            let rooms: Vec<RoomKey> = self.rooms.keys().collect();
            for key in rooms {
                self.choose_layers(now, key);
            }
        }
        if now >= self.next_liveness {
            self.next_liveness = now + LIVENESS_TICK;
            self.check_liveness(now);
        }
        for room in self.rooms.values_mut() {
            is_pressing |= std::mem::take(&mut room.is_pressing);
        }
        let (from, by) = match (has_connected, is_pressing) {
            (false, _) => (IDLE_TICK, IDLE_TICK),
            (true, true) => (TICK, TICK),
            (true, false) => (TICK, CALM_TICK),
        };
        self.tick = Tick { from: now + from, by: now + by };
    }

    /// Sends what is due to one transport: feedback to a publisher; reports, held back video and padding to a
    /// subscriber.
    fn serve(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        let start = self.transmits.mark();
        match &mut peer.side {
            Side::Publish(publisher) => {
                publisher.write_feedback(now, peer.ssrc, room, self.transmits.slab());
                peer.send_rtcp(&mut self.transmits, start);
            }
            Side::Subscribe(subscriber) => {
                subscriber.handle_timeout(now);
                if subscriber.takes_look(now) {
                    for slot in &mut subscriber.slots {
                        write_report(now, &self.config.wall, room, slot, self.transmits.slab());
                    }
                    // A keyframe that came while a slot was not ready for it did not help that slot.
                    for (track, encoding) in subscriber.awaited(now) {
                        room.want_keyframe(track, encoding);
                    }
                    peer.send_rtcp(&mut self.transmits, start);
                }
                self.send_held(now, key);
                self.send_padding(now, key);
                self.follow_estimate(now, key);
            }
        }
    }

    /// Sends the video whose time has come.
    fn send_held(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(room) = self.rooms.get(peer.room) else { return };
        let ntp = self.config.wall.ntp(now);
        fan_out::release(now, peer, room, ntp, &mut self.transmits, &mut self.stats);
    }

    /// Sends what a probe of the link still lacks.
    fn send_padding(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let (Side::Subscribe(subscriber), Some(to)) =
            (&mut peer.side, peer.transport.remote_path())
        else {
            return;
        };
        let mut lacking = subscriber.estimator.poll_padding(now).unwrap_or(0);
        while lacking > 0 {
            let start = self.transmits.mark();
            let slab = self.transmits.slab();
            let Some(written) = subscriber.write_padding(lacking, slab) else {
                subscriber.estimator.cannot_pad(now);
                return;
            };
            fan_out::stamp(now, subscriber, &written, start, slab);
            lacking = lacking.saturating_sub(slab.len() - start + SEAL_BYTES);
            peer.transport.seal_rtp(slab, start, written.header_len, written.index);
            self.transmits.commit(to, start);
            self.stats.padding_out += 1;
        }
    }

    /// Tells whose transports fell silent, and whose are heard again.
    fn check_liveness(&mut self, now: Instant) {
        for room in self.rooms.values_mut() {
            for (&participant, member) in &mut room.members {
                let is_heard = member.peers.iter().any(|&key| {
                    self.peers.get(key).is_some_and(|peer| {
                        peer.transport.is_connected()
                            && now.duration_since(peer.transport.last_heard()) < SILENT_AFTER
                    })
                });
                // Who never had a transport heard is not reported silent: there was nothing to lose.
                if member.alive.unwrap_or(false) != is_heard {
                    member.alive = Some(is_heard);
                    self.events.push_back(Event::Alive {
                        room: room.id,
                        participant,
                        alive: is_heard,
                    });
                }
            }
        }
    }
}

/// Appends a slot's sender report, when one is due and its publisher's clock is known.
fn write_report(now: Instant, wall: &WallClock, room: &Room, slot: &mut Slot, out: &mut Vec<u8>) {
    let Some((encoding, delta)) = slot.timestamp_delta() else { return };
    let Some(track) = slot.binding().and_then(|b| room.track(b.track)) else { return };
    let Some(encoding) = track.encodings.get(encoding) else { return };
    let Some(publisher) = room.clock_of(track) else { return };
    let report = clock::sender_report_for(wall.ntp(now), publisher, &encoding.clock);
    let Some((ntp, timestamp)) = report else { return };
    if !slot.report_due(now) {
        return;
    }
    let (packets, octets) = slot.sent();
    rtcp::write_sender_report(
        out,
        &SenderReport { ssrc: slot.ssrc, ntp, rtp: timestamp.wrapping_add(delta), packets, octets },
        &[],
    );
    rtcp::write_sdes_cname(out, slot.ssrc, &slot.cname);
}
