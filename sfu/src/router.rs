//! The media plane itself: datagrams and commands in, datagrams and events out.
//!
//! One `Sfu` belongs to one thread. Per receive batch its owner calls [`Sfu::receive`] for each
//! datagram, then [`Sfu::flush`] once, and sends what [`Sfu::transmits`] holds. The fan-out waits for
//! the end of the batch so that each subscriber's packets lie one behind the other and leave in one
//! system call.

use crate::clock::WallClock;
use crate::codec;
use crate::command::PeerId;
use crate::credentials::IceCredentials;
use crate::event::{CloseReason, Event};
use crate::fan_out;
use crate::handover;
use crate::key::{PeerKey, RoomKey, TrackKey};
use crate::left_out::LeftOut;
use crate::path::{HostCandidate, Path};
use crate::peer::{MAX_KNOWN_SSRCS, Peer, Side};
use crate::publisher::Fate;
use crate::relay::{ICE_ALPHABET, MAX_PLANES, PlaneId, Relayed};
use crate::room::{Pending, Room};
use crate::saving::Saving;
use crate::slot::Forwarded;
use crate::stats::{Census, Stats};
use crate::subscriber::{self, Requests};
use crate::tap::{self, Tapped};
use crate::timers::{LAYERS_TICK, LIVENESS_TICK, TICK, Tick};
use crate::transmits::Transmits;
use crate::transport::{Arrival, Identity, TransportEvent, stun};
use protocol::{ParticipantId, RoomId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use slotmap::SlotMap;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Bytes of sealed datagrams that are held before they must be sent. Larger falls out of the processor's
/// cache between sealing and sending, smaller makes more system calls.
const MAX_SLAB: usize = 256 * 1024;
/// Transports of one media plane. Each costs some 20 kB; more are refused with a reason.
pub const MAX_PEERS: usize = 20_000;
/// What the media plane is told at start.
#[derive(Clone)]
pub struct Config {
    /// Certificate for DTLS.
    pub identity: Identity,
    /// Addresses that clients are told, best first.
    pub candidates: Vec<HostCandidate>,
    /// Real time, for sender reports.
    pub wall: WallClock,
    /// Which of the process's planes it is.
    pub plane: PlaneId,
    /// Seed of everything that is left to chance here (SSRCs, ids, ICE credentials).
    pub seed: [u8; 32],
}

/// The media plane of one thread.
pub struct Sfu {
    pub(crate) config: Config,
    pub(crate) rng: StdRng,
    pub(crate) peers: SlotMap<PeerKey, Peer>,
    pub(crate) peer_keys: HashMap<PeerId, PeerKey>,
    pub(crate) ufrags: HashMap<String, PeerKey>,
    paths: HashMap<Path, PeerKey>,
    ssrcs: HashMap<u32, PeerKey>,
    pub(crate) rooms: SlotMap<RoomKey, Room>,
    pub(crate) room_keys: HashMap<RoomId, RoomKey>,
    pub(crate) with_pending: Vec<RoomKey>,
    /// Rooms to which a command has done something.
    pub(crate) touched: Vec<RoomKey>,
    pub(crate) relayed: VecDeque<(PlaneId, Relayed)>,
    pub(crate) tapped: VecDeque<Tapped>,
    pub(crate) transmits: Transmits,
    pub(crate) events: VecDeque<Event>,
    pub(crate) tick: Tick,
    pub(crate) next_liveness: Instant,
    pub(crate) next_layers: Instant,
    /// Room for the keys of those that a tick visits.
    pub(crate) visited: Vec<PeerKey>,
    pub(crate) stats: Stats,
    /// What rooms are to leave out.
    pub(crate) saving: Saving,
}

impl Sfu {
    /// A media plane without rooms.
    pub fn new(config: Config, now: Instant) -> Self {
        let rng = StdRng::from_seed(config.seed);
        Self {
            config,
            rng,
            peers: SlotMap::with_key(),
            peer_keys: HashMap::new(),
            ufrags: HashMap::new(),
            paths: HashMap::new(),
            ssrcs: HashMap::new(),
            rooms: SlotMap::with_key(),
            room_keys: HashMap::new(),
            with_pending: Vec::new(),
            touched: Vec::new(),
            relayed: VecDeque::new(),
            tapped: VecDeque::new(),
            transmits: Transmits::default(),
            events: VecDeque::new(),
            tick: Tick::new(now),
            next_liveness: now + LIVENESS_TICK,
            next_layers: now + LAYERS_TICK,
            visited: Vec::new(),
            saving: Saving::default(),
            stats: Stats::default(),
        }
    }

    /// Takes one datagram; it is decrypted in place. What it makes to be sent is complete after `flush`.
    /// False, and the datagram untouched, where it is of nobody here.
    pub fn receive(&mut self, now: Instant, from: Path, datagram: &mut [u8]) -> bool {
        self.stats.datagrams_in += 1;
        let known = self.paths.get(&from).copied();
        let found = if stun::is_stun(datagram) {
            // A check names the transport it is for; the path may have changed hands.
            stun::addressed_ufrag(datagram)
                .and_then(|ufrag| self.ufrags.get(ufrag))
                .copied()
                .or(known)
        } else {
            known
        };
        let rebinds = found.is_none();
        let found = found.or_else(|| self.ssrcs.get(&wire_ssrc(datagram)?).copied());
        let Some(key) = found else {
            self.stats.strangers += 1;
            return false;
        };
        self.guarded(key, |sfu| sfu.receive_for(now, key, from, datagram, rebinds));
        true
    }

    /// Forgets a path that is no more: its stream has ended, its relay was given up. Its number never
    /// comes again.
    pub fn lose_path(&mut self, now: Instant, path: Path) {
        let Some(key) = self.paths.get(&path).copied() else { return };
        self.guarded(key, |sfu| {
            if let Some(peer) = sfu.peers.get_mut(key) {
                peer.transport.lose_path(now, path);
            }
            sfu.after_transport(now, key);
        });
    }

    /// Whether datagrams on a path belong to somebody: a check on it was authentic.
    pub fn knows_path(&self, path: Path) -> bool {
        self.paths.contains_key(&path)
    }

    /// Tells clients other addresses from now on; those that are here keep theirs until their next
    /// offer or answer.
    pub fn set_candidates(&mut self, candidates: Vec<HostCandidate>) {
        self.config.candidates = candidates;
    }

    /// Runs what concerns one peer. A panic in it costs that peer and nothing else.
    pub(crate) fn guarded(&mut self, key: PeerKey, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            self.stats.faults += 1;
            tracing::error!(peer = ?self.peers.get(key).map(|peer| peer.id), "fault in a transport");
            self.remove_peer(key, CloseReason::Fault);
        }
    }

    fn receive_for(
        &mut self,
        now: Instant,
        key: PeerKey,
        from: Path,
        datagram: &mut [u8],
        rebinds: bool,
    ) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let arrival = if rebinds {
            peer.transport.try_rebind(now, from, datagram)
        } else {
            peer.transport.receive(now, from, datagram)
        };
        match arrival {
            Arrival::Nothing => {}
            Arrival::Rtp(packet) => {
                let room_key = peer.room;
                if let (Side::Publish(publisher), Some(room)) =
                    (&mut peer.side, self.rooms.get_mut(room_key))
                {
                    let mut new_ssrc = None;
                    self.stats.packets_in += 1;
                    let waiting = room.pending.len();
                    let fate = publisher.receive(now, packet, room, &mut new_ssrc);
                    // One packet of sound may bring back others that were lost before it.
                    let taken = room.pending.len() - waiting;
                    if waiting == 0 && taken > 0 {
                        self.with_pending.push(room_key);
                    }
                    let recovered = taken.saturating_sub(usize::from(fate == Fate::Pending));
                    self.stats.packets_recovered += recovered as u64;
                    match fate {
                        Fate::Pending => {}
                        Fate::Blocked => self.stats.packets_blocked += 1,
                        Fate::Dropped(reason) => self.stats.packets_dropped.count(reason),
                    }
                    if std::mem::take(&mut room.is_pressing) {
                        self.tick.hasten(now + TICK);
                    }
                    if let Some(ssrc) = new_ssrc {
                        self.remember_ssrc(key, ssrc);
                    }
                }
            }
            Arrival::Rtcp(compound) => {
                let room_key = peer.room;
                match &mut peer.side {
                    Side::Publish(publisher) => {
                        if let Some(room) = self.rooms.get_mut(room_key) {
                            let ntp = self.config.wall.ntp(now);
                            let tapped = &mut self.tapped;
                            self.stats.feedback_ignored += publisher.receive_rtcp(
                                now,
                                peer.participant,
                                compound,
                                ntp,
                                room,
                                tapped,
                            );
                        }
                    }
                    Side::Subscribe(subscriber) => {
                        let requests = subscriber.receive_rtcp(now, compound);
                        self.stats.feedback_ignored += requests.ignored;
                        if subscriber.is_pressing(now) {
                            self.tick.hasten(now + TICK);
                        }
                        self.answer_requests(now, key, requests);
                    }
                }
            }
        }
        self.after_transport(now, key);
    }

    /// Sends again what a receiver misses, and passes its keyframe requests on, merged per track.
    fn answer_requests(&mut self, now: Instant, key: PeerKey, requests: Requests) {
        if let Some(ssrc) = requests.sender {
            self.remember_ssrc(key, ssrc);
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        if !requests.keyframes.is_empty() {
            // Publishers are asked at once. Everything else that feedback changes has time until the next tick:
            // there is some of it a thousand times a second, and a tick looks at everybody.
            self.tick.hasten(now);
        }
        for (track, encoding) in requests.keyframes {
            self.stats.keyframes_asked += 1;
            room.want_keyframe(track, encoding);
        }
        let (Side::Subscribe(subscriber), Some(to)) =
            (&mut peer.side, peer.transport.remote_path())
        else {
            return;
        };
        let estimate = subscriber.is_measured().then(|| subscriber.estimator.estimate());
        for (slot, lost) in requests.lost {
            if !subscriber.resends.passes(now, estimate) {
                break;
            }
            let Some((header, packet)) = subscriber::parse_lost(room, &lost) else { continue };
            let Some(track) = room.track(lost.track) else { continue };
            let Some(codec) = track.codec else { continue };
            let Some(encoding) = track.encodings.get(lost.encoding) else { continue };
            let forwarded = Forwarded {
                generation: track.generation,
                encoding: lost.encoding,
                sequence: lost.sequence,
                left_out: LeftOut::default(),
                header: &header,
                packet,
                codec,
                is_keyframe: false,
                frame: codec::frame(codec, header.payload(packet)),
                extensions: &track.extensions,
                captured_ntp: 0,
                earlier: Default::default(),
                wait: encoding.wait(),
                described: subscriber::described(codec, track, encoding, &header, packet),
            };
            for _ in 0..subscriber.resend_copies() {
                let start = self.transmits.mark();
                let slab = self.transmits.slab();
                let written = subscriber.slots[slot].write_lost(&lost, &forwarded, slab);
                let Some(written) = written else { break };
                subscriber.resends.sent(slab.len() - start);
                fan_out::stamp(now, subscriber, &written, start, slab);
                peer.transport.seal_rtp(slab, start, written.header_len, written.index);
                self.transmits.commit(to, start);
                self.stats.packets_resent += 1;
            }
        }
    }

    fn remember_ssrc(&mut self, key: PeerKey, ssrc: u32) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.known_ssrcs.contains(&ssrc) || peer.known_ssrcs.len() >= MAX_KNOWN_SSRCS {
            return;
        }
        peer.known_ssrcs.push(ssrc);
        self.ssrcs.insert(ssrc, key);
    }

    /// Takes what a transport wants to send and tell.
    pub(crate) fn after_transport(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.drain_transport(&mut self.transmits);
        while let Some(event) = self.peers.get_mut(key).and_then(|peer| peer.transport.poll_event())
        {
            match event {
                TransportEvent::PathAccepted(path) => {
                    self.paths.insert(path, key);
                    if let Some(peer) = self.peers.get_mut(key)
                        && !peer.paths.contains(&path)
                    {
                        peer.paths.push(path);
                    }
                }
                TransportEvent::PathForgotten(path) => {
                    if self.paths.get(&path) == Some(&key) {
                        self.paths.remove(&path);
                    }
                    if let Some(peer) = self.peers.get_mut(key) {
                        peer.paths.retain(|known| *known != path);
                    }
                }
                TransportEvent::Connected => self.on_connected(key),
                TransportEvent::Closed(reason) => self.remove_peer(key, reason),
            }
        }
        let Some(peer) = self.peers.get_mut(key) else { return };
        self.stats.rebinds += u64::from(peer.has_moved());
        if let Some(at) = peer.transport.poll_timeout() {
            self.tick.hasten(at.max(now));
        }
    }

    fn on_connected(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get(key) else { return };
        self.events.push_back(Event::Connected { peer: peer.id });
        self.tick.hasten(self.next_liveness);
    }

    /// Whether [`flush`](Self::flush) should wait for a fraction of a millisecond if nothing else is to be done: pieces of a picture
    /// that come together leave together, as one message for each receiver, and the system is paid by the message.
    pub fn awaits_rest(&self) -> bool {
        self.with_pending.iter().any(|key| self.rooms.get(*key).is_some_and(Room::awaits_rest))
    }

    /// Fans the batch's packets out and settles who is in which slot. Call it after each receive batch
    /// and after commands, and again as long as it returns true: there is more then, and what
    /// [`Sfu::transmits`] holds is to be sent first. So a burst into a large room never fills more
    /// memory, or more of the processor's cache, than [`MAX_SLAB`].
    #[must_use = "true: send what there is, then call again"]
    pub fn flush(&mut self, now: Instant) -> bool {
        while let Some(&key) = self.with_pending.last() {
            self.reallocate(now, key);
            if !self.fan_out(now, key) {
                return true;
            }
            self.with_pending.pop();
        }
        false
    }

    /// Hands a room's pending packets to its subscribers, from where the last call stopped. False when
    /// the slab is full before all have them.
    fn fan_out(&mut self, now: Instant, key: RoomKey) -> bool {
        let Some(room) = self.rooms.get_mut(key) else { return true };
        let subscribers = std::mem::take(&mut room.subscribers);
        let begins = room.served == 0;
        if begins && room.spread.is_some() {
            let ntp = self.config.wall.ntp(now);
            handover::queue(ntp, room, &mut self.relayed, &mut self.stats);
        }
        let held = self.stats.packets_held;
        let mut served = room.served;
        let mut tap = room.tap.take();
        let mut faulty = Vec::new();
        let ntp = self.config.wall.ntp(now);
        {
            let room = &*room;
            // In large rooms most of what comes is of people who are in nobody's slots.
            let is_taken = |p: &&Pending| tap.is_some() || room.is_taken(p.track);
            let batch: Vec<(TrackKey, Forwarded<'_>)> = room
                .pending
                .iter()
                .filter(is_taken)
                .filter_map(|p| Some((p.track, subscriber::forwarded(room, p, ntp)?)))
                .collect();
            if let Some(tap) = tap.as_mut().filter(|_| begins) {
                tap::queue(now, tap, room, &batch, &mut self.tapped, &mut self.stats);
            }
            if batch.is_empty() {
                served = subscribers.len();
            }
            while let Some(&subscriber) = subscribers.get(served)
                && self.transmits.mark() < MAX_SLAB
            {
                served += 1;
                let Some(peer) = self.peers.get_mut(subscriber) else { continue };
                let (transmits, stats) = (&mut self.transmits, &mut self.stats);
                let work = AssertUnwindSafe(|| {
                    fan_out::forward(now, peer, room, ntp, &batch, transmits, stats)
                });
                if catch_unwind(work).is_err() {
                    faulty.push(subscriber);
                }
            }
        }
        if self.stats.packets_held > held {
            self.tick.hasten(now + TICK);
        }
        let is_complete = served == subscribers.len();
        // The faulty leave the list below, and all of them stand before the mark.
        room.served = if is_complete { 0 } else { served - faulty.len() };
        if is_complete {
            room.pending.clear();
        }
        room.subscribers = subscribers;
        room.tap = tap;
        for peer in faulty {
            self.stats.faults += 1;
            self.remove_peer(peer, CloseReason::Fault);
        }
        is_complete
    }

    /// Ends a transport and whatever depends on it. Its tracks leave the slots with the next tick.
    pub(crate) fn remove_peer(&mut self, key: PeerKey, reason: CloseReason) {
        let Some(mut peer) = self.peers.remove(key) else { return };
        self.stats.add_transport(peer.transport.stats());
        self.stats.closed[reason as usize] += 1;
        let closing = AssertUnwindSafe(|| peer.transport.close());
        if catch_unwind(closing).is_ok() {
            peer.drain_transport(&mut self.transmits);
        }
        self.peer_keys.remove(&peer.id);
        for ufrag in &peer.ufrags {
            self.ufrags.remove(ufrag);
        }
        // Another peer may have taken a path or SSRC over.
        for path in &peer.paths {
            if self.paths.get(path) == Some(&key) {
                self.paths.remove(path);
            }
        }
        for ssrc in &peer.known_ssrcs {
            if self.ssrcs.get(ssrc) == Some(&key) {
                self.ssrcs.remove(ssrc);
            }
        }
        self.events.push_back(Event::Closed { peer: peer.id, reason });
        self.touch(peer.room);
        let Some(room) = self.rooms.get_mut(peer.room) else { return };
        room.subscribers.retain(|subscriber| *subscriber != key);
        if let Some(member) = room.members.get_mut(&peer.participant) {
            member.peers.retain(|owned| *owned != key);
        }
        if let Side::Publish(publisher) = &peer.side {
            let tracks: Vec<TrackKey> = publisher.sections.iter().filter_map(|s| s.track).collect();
            for &track in &tracks {
                room.remove_track(track);
            }
            if !tracks.is_empty() {
                self.announce_tracks(peer.room, peer.participant);
            }
        }
    }

    /// Tells what a participant publishes now.
    pub(crate) fn announce_tracks(&mut self, key: RoomKey, participant: ParticipantId) {
        let Some(room) = self.rooms.get(key) else { return };
        self.events.push_back(Event::TracksChanged {
            room: room.id,
            participant,
            tracks: room.tracks_of(participant),
        });
        self.tell_planes(key);
    }

    /// Datagrams to send; clear them when they are sent.
    pub fn transmits(&mut self) -> &mut Transmits {
        &mut self.transmits
    }

    /// The next thing to tell the control plane.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next thing for another plane.
    pub fn poll_relayed(&mut self) -> Option<(PlaneId, Relayed)> {
        self.relayed.pop_front()
    }

    /// When `handle_timeout` is to be called at the latest; never while there is nobody.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.peers.is_empty() || !self.rooms.is_empty()).then_some(self.tick.by())
    }

    /// Counters since start.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        for peer in self.peers.values() {
            stats.add_transport(peer.transport.stats());
        }
        stats
    }

    /// What there is now.
    pub fn census(&self) -> Census {
        Census::of(self)
    }

    /// Entries of all tables by which somebody is found: none when nobody is here.
    pub fn held(&self) -> usize {
        self.peers.len()
            + self.peer_keys.len()
            + self.ufrags.len()
            + self.paths.len()
            + self.ssrcs.len()
            + self.rooms.len()
            + self.room_keys.len()
            + self.with_pending.len()
    }

    /// Ends every transport, telling each client so.
    pub fn close(&mut self) {
        let keys: Vec<PeerKey> = self.peers.keys().collect();
        for key in keys {
            self.remove_peer(key, CloseReason::Commanded);
        }
    }

    /// Credentials for one transport: a letter for the plane, 42 bits of name, 144 bits of password.
    pub(crate) fn make_credentials(&mut self) -> IceCredentials {
        let mut ufrag = String::from(self.config.plane.letter());
        ufrag += &self.make_token(7);
        IceCredentials { ufrag, pwd: self.make_token(24) }
    }

    fn make_token(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(ICE_ALPHABET[self.rng.random_range(0..64)])).collect()
    }

    /// Checks with this user fragment are for that peer; those that its transport has given up since an
    /// ICE restart are forgotten.
    pub(crate) fn add_ufrag(&mut self, key: PeerKey, ufrag: &str) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let void = peer.ufrags.extract_if(.., |known| !peer.transport.knows_ufrag(known));
        for ufrag in void {
            self.ufrags.remove(&ufrag);
        }
        peer.ufrags.push(ufrag.to_owned());
        self.ufrags.insert(ufrag.to_owned(), key);
    }

    /// A CSRC: no two planes make the same.
    pub(crate) fn make_csrc(&mut self) -> u32 {
        let plane = u32::from(self.config.plane.0) % MAX_PLANES as u32;
        plane << 26 | self.rng.random_range(1..1 << 26)
    }

    /// An SSRC: never 0, which would read as none.
    pub(crate) fn make_ssrc(&mut self) -> u32 {
        self.rng.random_range(1..=u32::MAX)
    }
}

/// The SSRC that stands in the clear in SRTP (bytes 8–11) and SRTCP (bytes 4–7).
fn wire_ssrc(datagram: &[u8]) -> Option<u32> {
    let is_rtcp = matches!(datagram.get(1)?, 192..=223);
    let at = if is_rtcp { 4 } else { 8 };
    (128..192).contains(datagram.first()?).then_some(())?;
    Some(u32::from_be_bytes(*datagram.get(at..)?.first_chunk()?))
}
