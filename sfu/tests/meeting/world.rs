//! A server and its clients joined by a network of delays and losses that a seed decides.

use super::client::Client;
use super::client::remb_receiver::RembReceiver;
use dimpl::certificate::generate_self_signed_certificate;
use protocol::room::MediaState;
use protocol::{ParticipantId, RoomId, SlotBinding, Source};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sfu::{
    Command, Config, Event, HostCandidate, Identity, PeerId, PlaneId, Sfu, TrackNames, WallClock,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub const ROOM: RoomId = RoomId(Uuid::from_u128(1));
/// What waits in front of a limited link before it drops.
const QUEUE: Duration = Duration::from_millis(300);
const STEP: Duration = Duration::from_millis(5);

pub fn person(n: u64) -> ParticipantId {
    ParticipantId(Uuid::from_u128(n.into()))
}

/// A datagram on its way.
struct Flight {
    at: Instant,
    order: u64,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub struct World {
    pub now: Instant,
    pub sfu: Sfu,
    pub clients: BTreeMap<PeerId, Client>,
    pub events: Vec<Event>,
    /// One way.
    pub delay: Duration,
    /// Share of datagrams lost, both ways.
    pub loss: f64,
    /// The same on the link of one client.
    pub losses: BTreeMap<PeerId, f64>,
    /// Whether clients that come have redundant sound in their SDP.
    pub has_red: bool,
    /// Whether clients speak AV1.
    pub has_av1: bool,
    /// How subscribers estimate their links, where they do it themselves.
    pub remb: Option<RembReceiver>,
    pub address: SocketAddr,
    /// What the server sends is counted by it alone.
    pub is_deaf: bool,
    /// Reads the clock of the processor, where somebody wants to know what the server costs.
    pub clock: Option<fn() -> Duration>,
    /// What it has cost.
    pub spent: Duration,
    /// Times the server was woken by the clock alone.
    pub timeouts: u32,
    /// What the link to each client carries, in bits per second, where it is limited.
    pub limits: BTreeMap<PeerId, u64>,
    /// When the queue in front of each limited link is empty.
    queues: BTreeMap<PeerId, Instant>,
    identity: Identity,
    flights: Vec<Flight>,
    sent: u64,
    rng: StdRng,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::on(PlaneId(0), seed, Instant::now())
    }

    /// The same for one of several planes.
    pub fn on(plane: PlaneId, seed: u64, now: Instant) -> Self {
        let identity = generate_self_signed_certificate().expect("a certificate");
        let identity = Identity::for_tests(identity, seed, 1200);
        let address = SocketAddr::from(([10, 0, 1, 1], 7000));
        let config = Config {
            identity: identity.clone(),
            candidates: vec![HostCandidate::udp(address)],
            wall: WallClock::new(now, 1_700_000_000_000_000_000),
            plane,
            seed: [seed as u8; 32],
        };
        Self {
            now,
            sfu: Sfu::new(config, now),
            clients: BTreeMap::new(),
            events: Vec::new(),
            delay: Duration::from_millis(10),
            loss: 0.0,
            losses: BTreeMap::new(),
            has_red: false,
            has_av1: false,
            remb: None,
            address,
            is_deaf: false,
            clock: None,
            spent: Duration::ZERO,
            timeouts: 0,
            limits: BTreeMap::new(),
            queues: BTreeMap::new(),
            identity,
            flights: Vec::new(),
            sent: 0,
            rng: StdRng::seed_from_u64(seed),
        }
    }

    /// Somebody who could come here.
    pub fn new_client(&self, peer: u64) -> Client {
        Client::new(peer, 5000, self.address, self.identity.clone(), self.now)
    }

    pub fn client(&mut self, peer: u64) -> &mut Client {
        self.clients.get_mut(&PeerId(peer)).expect("a client of that number")
    }

    pub fn command(&mut self, command: Command) {
        let began = self.clock.map(|clock| clock());
        self.sfu.command(self.now, command);
        self.count_since(began);
        self.collect();
    }

    /// A participant publishes; returns once media can flow.
    pub fn publish(&mut self, peer: u64, who: u64, sources: &[(Source, u32)]) {
        self.offer(peer, who, sources);
        self.run_until(|world| world.is_connected(peer));
    }

    pub fn offer(&mut self, peer: u64, who: u64, sources: &[(Source, u32)]) {
        self.offer_with(peer, who, sources, "");
    }

    /// An offer whose last m-line has those lines too.
    pub fn offer_with(&mut self, peer: u64, who: u64, sources: &[(Source, u32)], lines: &str) {
        let (address, identity, now) = (self.address, self.identity.clone(), self.now);
        let (has_red, has_av1) = (self.has_red, self.has_av1);
        let client = self.clients.entry(PeerId(peer)).or_insert_with(|| {
            let mut client = Client::new(peer, 5000, address, identity, now);
            client.has_red = has_red;
            client.has_av1 = has_av1;
            client
        });
        let (mut offer, tracks) = client.offer(sources);
        offer += lines;
        self.command(Command::Publish {
            peer: PeerId(peer),
            room: ROOM,
            participant: person(who),
            offer,
            tracks: TrackNames::Named(tracks),
        });
        let answer = self.sdp_for(peer);
        self.client(peer).connect(now, &answer);
    }

    /// A participant subscribes; returns once media can flow.
    pub fn subscribe(&mut self, peer: u64, who: u64, audio: u8, video: u8) {
        self.request(peer, who, audio, video);
        self.run_until(|world| world.is_connected(peer));
    }

    /// A participant asks for slots and takes them.
    pub fn request(&mut self, peer: u64, who: u64, audio: u8, video: u8) {
        let (identity, now) = (self.identity.clone(), self.now);
        let mut client = Client::new(peer, 5000, self.address, identity, now);
        client.has_red = self.has_red;
        client.has_av1 = self.has_av1;
        client.remb = self.remb.clone();
        self.clients.insert(PeerId(peer), client);
        self.command(Command::Subscribe {
            peer: PeerId(peer),
            room: ROOM,
            participant: person(who),
            audio_slots: audio,
            video_slots: video,
        });
        let offer = self.sdp_for(peer);
        let answer = self.client(peer).answer(&offer);
        self.client(peer).connect(now, &offer);
        self.command(Command::Answer { peer: PeerId(peer), answer });
    }

    pub fn mute(&mut self, who: u64, media: MediaState) {
        self.command(Command::SetMedia { room: ROOM, participant: person(who), media });
    }

    fn sdp_for(&mut self, peer: u64) -> String {
        let found = self.events.iter().rev().find_map(|event| match event {
            Event::Answered { peer: p, sdp } | Event::Offered { peer: p, sdp } if p.0 == peer => {
                Some(sdp.clone())
            }
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no SDP for {peer}: {:?}", self.events.last()))
    }

    pub fn is_connected(&self, peer: u64) -> bool {
        self.clients[&PeerId(peer)].transport.is_connected()
            && self.events.contains(&Event::Connected { peer: PeerId(peer) })
    }

    /// What a subscriber was last told of its slots.
    pub fn slots(&self, peer: u64) -> Vec<SlotBinding> {
        let newest = self.events.iter().rev().find_map(|event| match event {
            Event::SlotsChanged { peer: p, slots, .. } if p.0 == peer => Some(slots.clone()),
            _ => None,
        });
        newest.unwrap_or_default()
    }

    /// A client's datagram sets out.
    pub fn send(&mut self, peer: u64, bytes: Vec<u8>) {
        let from = self.client(peer).address;
        self.fly(from, self.address, bytes);
    }

    fn fly(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.sent += 1;
        let of = |at| self.clients.iter().find(|(_, c)| c.address == at).map(|(peer, _)| *peer);
        let (theirs, target) = (of(from).or(of(to)), of(to));
        let own_loss = theirs.and_then(|peer| self.losses.get(&peer)).copied();
        if !self.rng.random_bool(own_loss.unwrap_or(self.loss)) {
            let limited = target.and_then(|peer| Some((peer, *self.limits.get(&peer)?)));
            let mut left = self.now;
            if let Some((peer, rate)) = limited {
                let empty = self.queues.get(&peer).copied().unwrap_or(self.now).max(self.now);
                if empty > self.now + QUEUE {
                    return;
                }
                left = empty + Duration::from_secs_f64(bytes.len() as f64 * 8.0 / rate as f64);
                self.queues.insert(peer, left);
            }
            let at = left + self.delay;
            self.flights.push(Flight { at, order: self.sent, from, to, bytes });
        }
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets time pass until something holds; ten seconds at most.
    pub fn run_until(&mut self, holds: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(10);
        while !holds(self) {
            assert!(self.now < end, "ten seconds have passed; {:?}", self.events.last());
            self.step();
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        let mut due: Vec<Flight> = Vec::new();
        self.flights.retain_mut(|flight| {
            let lands = flight.at <= self.now;
            if lands {
                let bytes = std::mem::take(&mut flight.bytes);
                due.push(Flight { bytes, ..*flight });
            }
            !lands
        });
        due.sort_by_key(|flight| (flight.at, flight.order));
        let (ours, theirs): (Vec<Flight>, Vec<Flight>) =
            due.into_iter().partition(|flight| flight.to == self.address);
        for flight in theirs {
            let mut clients = self.clients.values_mut();
            if let Some(client) = clients.find(|client| client.address == flight.to) {
                client.receive(self.now, &flight.bytes);
            }
        }
        let began = self.clock.map(|clock| clock());
        let mut is_awake = !ours.is_empty();
        for mut flight in ours {
            self.sfu.receive(self.now, flight.from.into(), &mut flight.bytes);
        }
        while self.sfu.flush(self.now) {
            self.collect();
        }
        // As the media thread does: by the clock, and whenever it is awake anyway.
        if !is_awake && self.sfu.poll_timeout().is_some_and(|at| at <= self.now) {
            is_awake = true;
            self.timeouts += 1;
        }
        if is_awake {
            self.sfu.handle_timeout(self.now);
        }
        self.count_since(began);
        self.collect();
        let mut sent = Vec::new();
        for client in self.clients.values_mut() {
            let address = client.address;
            sent.extend(client.poll(self.now).into_iter().map(|bytes| (address, bytes)));
        }
        for (from, bytes) in sent {
            self.fly(from, self.address, bytes);
        }
    }

    fn count_since(&mut self, began: Option<Duration>) {
        if let (Some(clock), Some(began)) = (self.clock, began) {
            self.spent += clock() - began;
        }
    }

    /// Takes what the server sends and tells.
    pub fn collect(&mut self) {
        if self.is_deaf {
            self.sfu.transmits().clear();
        }
        let mut out = Vec::new();
        for run in self.sfu.transmits().runs() {
            for datagram in run.bytes.chunks(run.segment) {
                out.push((run.to.address(), datagram.to_vec()));
            }
        }
        self.sfu.transmits().clear();
        for (to, bytes) in out {
            self.fly(self.address, to, bytes);
        }
        while let Some(event) = self.sfu.poll_event() {
            self.events.push(event);
        }
    }
}
