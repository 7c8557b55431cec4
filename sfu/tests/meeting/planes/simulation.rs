//! A day of one large meeting over several planes in virtual time: people who come, go and vanish, mutes, losses on links and
//! between planes, planes that die and are there again. Now and then the world holds still, and everybody must hear and see
//! whom they should; in the end nothing may be left.
//!
//! `VECHE_SIMULATION_HOURS` makes it longer, `VECHE_SIMULATION_PEOPLE` larger.

use super::machine::Planes;
use crate::client::Client;
use crate::world::{ROOM, World, person};
use protocol::media::{View, ViewTile};
use protocol::room::MediaState;
use protocol::{Kind, ParticipantId, SlotBinding, Source};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};
use sfu::placement::{Load, Placement, Spread};
use sfu::rtcp::{self, Incoming};
use sfu::rtp::Header;
use sfu::{Census, Command, Event, PeerId, PlaneId, TrackNames};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

const PLANES: usize = 3;
const MOST: usize = 12;
const AUDIO: u8 = 4;
const VIDEO: u8 = 5;
/// Between two turns: longer than a talk spurt, shorter than who is silent is given up.
const TURN: Duration = Duration::from_secs(9);
/// Turns between two looks at everything.
const TURNS: u32 = 100;
const STEP: Duration = Duration::from_millis(5);

/// Somebody in the meeting.
struct Person {
    plane: Option<usize>,
    publishes: Option<u64>,
    receives: Option<u64>,
    media: MediaState,
    view: View,
    is_away: bool,
    /// Packets of each source so far.
    sent: [u32; 2],
    /// How often the camera began anew, with another stream.
    camera: u32,
    is_keyframe_due: bool,
    seen_rtcp: usize,
    /// Nothing is heard of them any more; they leave then.
    vanishes_at: Option<u32>,
}

struct Simulation {
    planes: Planes,
    placement: Placement,
    people: BTreeMap<u64, Person>,
    /// What receivers were told last, by transport.
    slots: BTreeMap<u64, Vec<SlotBinding>>,
    connected: BTreeSet<u64>,
    /// Transports that the server has given up: too much of what they sent was lost.
    closed: Vec<u64>,
    sdps: BTreeMap<u64, String>,
    dead: BTreeMap<usize, u32>,
    rng: StdRng,
    turn: u32,
    next: u64,
    /// Of everything that was told.
    digest: DefaultHasher,
    /// People at a time.
    most: usize,
    joins: u32,
    deaths: u32,
    looks: u32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut planes = Planes::new(PLANES, seed);
        for world in &mut planes.worlds {
            world.delay = Duration::ZERO;
        }
        Self {
            planes,
            placement: Placement::new(PLANES, Spread::Always),
            people: BTreeMap::new(),
            slots: BTreeMap::new(),
            connected: BTreeSet::new(),
            closed: Vec::new(),
            sdps: BTreeMap::new(),
            dead: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
            turn: 0,
            next: 1,
            digest: DefaultHasher::new(),
            most: MOST,
            joins: 0,
            deaths: 0,
            looks: 0,
        }
    }

    fn run(&mut self, turns: u32) {
        for _ in 0..turns {
            self.turn += 1;
            self.happen();
            let loss = [0.0, 0.03, 0.2][self.rng.random_range(0..3)];
            for world in &mut self.planes.worlds {
                world.loss = loss;
            }
            self.planes.ring = if self.rng.random_bool(0.2) { 2 } else { usize::MAX };
            self.planes.is_jammed = self.rng.random_bool(0.2);
            // A few at a time, for the time that it takes.
            let speaking = self.people.keys().copied().sample(&mut self.rng, 3);
            self.media(TURN, &speaking);
            if self.turn.is_multiple_of(TURNS) {
                self.look();
            }
        }
    }

    /// What people and machines do in a turn.
    fn happen(&mut self) {
        for at in self.dead.keys().copied().collect::<Vec<_>>() {
            if self.dead[&at] <= self.turn {
                self.revive(at);
            }
        }
        if self.dead.is_empty() && self.rng.random_bool(0.000_8) {
            self.lose_plane();
        }
        self.mend();
        let gone: Vec<u64> = self.vanished().collect();
        for who in gone {
            self.leave(who);
        }
        let few = self.people.len() < self.most / 2;
        if self.people.len() < self.most && self.rng.random_bool(if few { 0.5 } else { 0.015 }) {
            self.join();
        }
        let Some(who) = self.people.keys().copied().choose(&mut self.rng) else { return };
        match self.rng.random_range(0..200u32) {
            0 | 1 => self.leave(who),
            2 => self.vanish(who),
            3..10 => self.change_media(who, |media| media.mic_muted ^= true),
            10..17 => self.change_media(who, |media| media.cam_off ^= true),
            17..20 => self.change_media(who, |media| media.mic_forced ^= true),
            20..23 => self.change_media(who, |media| media.cam_forced ^= true),
            23..27 => {
                let away = !self.people[&who].is_away;
                self.person(who).is_away = away;
                let participant = person(who);
                self.command(Command::SetAway { room: ROOM, participant, away });
            }
            27..35 => self.look_elsewhere(who),
            // Firefox does so with each change of the camera.
            35..37 => {
                let person = self.person(who);
                person.camera += 1;
                person.sent[1] = 0;
                person.is_keyframe_due = true;
            }
            37 => self.close_receiver(who),
            _ => {}
        }
    }

    /// Transports that one end has given up are made anew.
    fn mend(&mut self) {
        let worlds = self.planes.worlds.iter();
        let clients = worlds.flat_map(|world| &world.clients);
        let given_up = clients.filter(|(_, client)| !client.transport.is_connected());
        let given_up: Vec<u64> = given_up.map(|(peer, _)| peer.0).collect();
        self.closed.extend(given_up);
        while let Some(peer) = self.closed.pop() {
            self.come_back(peer);
        }
    }

    /// Whoever loses a transport makes another.
    fn come_back(&mut self, peer: u64) {
        let mut people = self.people.iter();
        let owner = people
            .find(|(_, person)| person.publishes == Some(peer) || person.receives == Some(peer));
        let Some((&who, owner)) = owner else { return };
        self.slots.remove(&peer);
        if let Some(at) = owner.plane {
            self.planes.worlds[at].clients.remove(&PeerId(peer));
        }
        let publishes = owner.publishes == Some(peer);
        self.command(Command::Close { peer: PeerId(peer) });
        if publishes {
            self.publish(who);
        } else {
            self.receive(who);
        }
        self.until_connected(who);
    }

    fn vanished(&self) -> impl Iterator<Item = u64> + use<'_> {
        let vanished = self.people.iter();
        vanished
            .filter(|(_, person)| person.vanishes_at.is_some_and(|at| at <= self.turn))
            .map(|(who, _)| *who)
    }

    fn person(&mut self, who: u64) -> &mut Person {
        self.people.get_mut(&who).expect("somebody of that number")
    }

    fn loads(&self) -> Vec<Load> {
        let load =
            |at| Load { busy: 0.1, is_open: self.planes.live.contains(&at), round: self.turn };
        (0..PLANES).map(load).collect()
    }

    /// Carries an order out where it belongs; the last plane that it went to.
    fn command(&mut self, command: Command) -> Option<usize> {
        let orders = self.placement.route(command, &self.loads());
        let mut last = None;
        for (plane, order) in orders {
            let at = usize::from(plane.0);
            if self.planes.live.contains(&at) {
                self.planes.worlds[at].command(order);
                last = Some(at);
            }
        }
        self.hear();
        last
    }

    fn join(&mut self) {
        let who = self.next;
        self.next += 1;
        self.joins += 1;
        let (publishes, receives) =
            [(true, true), (true, true), (true, false), (false, true)][self.rng.random_range(0..4)];
        self.people.insert(
            who,
            Person {
                plane: None,
                publishes: None,
                receives: None,
                media: MediaState::default(),
                view: View::default(),
                is_away: false,
                sent: [0; 2],
                camera: 0,
                is_keyframe_due: true,
                seen_rtcp: 0,
                vanishes_at: None,
            },
        );
        self.change_media(who, |_| {});
        if publishes {
            self.publish(who);
        }
        if receives {
            self.receive(who);
        }
        self.until_connected(who);
    }

    fn new_client(&mut self) -> (u64, Client) {
        let peer = self.next;
        self.next += 1;
        (peer, self.planes.worlds[0].new_client(peer))
    }

    fn publish(&mut self, who: u64) {
        let (peer, mut client) = self.new_client();
        let sources = [(Source::Microphone, mic(who)), (Source::Camera, 2)];
        let (offer, tracks) = client.offer(&sources);
        // The camera's stream is whatever comes.
        let offer = offer.replace("a=ssrc:2 cname:c\r\n", "");
        let command = Command::Publish {
            peer: PeerId(peer),
            room: ROOM,
            participant: person(who),
            offer,
            tracks: TrackNames::Named(tracks),
        };
        let at = self.command(command).expect("a plane");
        client.connect(self.planes.worlds[at].now, &self.sdps[&peer]);
        self.planes.worlds[at].clients.insert(PeerId(peer), client);
        let person = self.person(who);
        (person.plane, person.publishes) = (Some(at), Some(peer));
        (person.sent, person.camera, person.seen_rtcp) = ([0; 2], 0, 0);
    }

    fn receive(&mut self, who: u64) {
        let (peer, mut client) = self.new_client();
        let subscribe = Command::Subscribe {
            peer: PeerId(peer),
            room: ROOM,
            participant: person(who),
            audio_slots: AUDIO,
            video_slots: VIDEO,
        };
        let at = self.command(subscribe).expect("a plane");
        let answer = client.answer(&self.sdps[&peer]);
        client.connect(self.planes.worlds[at].now, &self.sdps[&peer]);
        self.planes.worlds[at].clients.insert(PeerId(peer), client);
        self.command(Command::Answer { peer: PeerId(peer), answer });
        let person = self.person(who);
        (person.plane, person.receives) = (Some(at), Some(peer));
    }

    fn until_connected(&mut self, who: u64) {
        for world in &mut self.planes.worlds {
            world.loss = 0.0;
        }
        let person = &self.people[&who];
        let theirs = [person.publishes, person.receives].into_iter().flatten();
        // The other one may be over as well, and is made anew after this one.
        let wanted: Vec<u64> = theirs.filter(|peer| !self.closed.contains(peer)).collect();
        for _ in 0..400 {
            if wanted.iter().all(|peer| self.connected.contains(peer)) {
                return;
            }
            self.step();
        }
        panic!("{who} does not come in: {wanted:?} of {:?}", self.connected);
    }

    fn leave(&mut self, who: u64) {
        self.forget_clients(who);
        self.people.remove(&who);
        self.command(Command::Leave { room: ROOM, participant: person(who) });
    }

    fn vanish(&mut self, who: u64) {
        let at = self.turn + 2 + self.rng.random_range(0..6);
        self.person(who).vanishes_at = Some(at);
        self.forget_clients(who);
    }

    /// The client is there no more, whatever the server thinks.
    fn forget_clients(&mut self, who: u64) {
        let person = self.person(who);
        let (at, peers) = (person.plane, [person.publishes.take(), person.receives.take()]);
        for peer in peers.into_iter().flatten() {
            self.slots.remove(&peer);
            if let Some(at) = at {
                self.planes.worlds[at].clients.remove(&PeerId(peer));
            }
        }
    }

    fn close_receiver(&mut self, who: u64) {
        if self.people[&who].vanishes_at.is_some() {
            return;
        }
        let person = self.person(who);
        let (Some(at), Some(peer)) = (person.plane, person.receives.take()) else { return };
        self.slots.remove(&peer);
        self.planes.worlds[at].clients.remove(&PeerId(peer));
        self.command(Command::Close { peer: PeerId(peer) });
        self.receive(who);
        self.until_connected(who);
    }

    fn change_media(&mut self, who: u64, change: impl FnOnce(&mut MediaState)) {
        let person = self.person(who);
        change(&mut person.media);
        let media = person.media;
        let participant = crate::world::person(who);
        self.command(Command::SetMedia { room: ROOM, participant, media });
    }

    fn look_elsewhere(&mut self, who: u64) {
        let shown = self.rng.random_range(0..=usize::from(VIDEO));
        let others = self.people.keys().copied().filter(|other| *other != who);
        let shown = others.sample(&mut self.rng, shown);
        let tile = |of: &u64| ViewTile {
            participant_id: person(*of),
            source: Source::Camera,
            width: 640,
            height: 360,
            pinned: false,
        };
        let tiles: Vec<ViewTile> = shown.iter().map(tile).collect();
        let view = View { tiles: Some(tiles).filter(|tiles| !tiles.is_empty()), ..View::default() };
        self.person(who).view = view.clone();
        self.command(Command::SetView { room: ROOM, participant: person(who), view });
    }

    fn lose_plane(&mut self) {
        let at = *self.planes.live.iter().choose(&mut self.rng).expect("a plane");
        self.deaths += 1;
        self.planes.lose(at);
        self.dead.insert(at, self.turn + 60);
        let lost = self.placement.lose(PlaneId(at as u16));
        for (plane, order) in lost.orders {
            let to = usize::from(plane.0);
            if self.planes.live.contains(&to) {
                self.planes.worlds[to].command(order);
            }
        }
        let theirs: Vec<u64> =
            self.people.iter().filter(|(_, p)| p.plane == Some(at)).map(|(who, _)| *who).collect();
        for who in theirs {
            let person = self.person(who);
            let (sent, received) = (person.publishes.is_some(), person.receives.is_some());
            self.forget_clients(who);
            self.person(who).plane = None;
            // They come back with transports elsewhere.
            if sent {
                self.publish(who);
            }
            if received {
                self.receive(who);
            }
            self.until_connected(who);
        }
    }

    fn revive(&mut self, at: usize) {
        self.dead.remove(&at);
        let now = self.planes.worlds[at].now;
        let seed = self.rng.random();
        self.planes.worlds[at] = World::on(PlaneId(at as u16), seed, now);
        self.planes.worlds[at].delay = Duration::ZERO;
        self.planes.live.insert(at);
    }

    /// Some send a little, and time passes.
    fn media(&mut self, time: Duration, speaking: &[u64]) {
        for world in &mut self.planes.worlds {
            world.now += time - 4 * STEP;
        }
        for &who in speaking {
            self.send(who);
        }
        for _ in 0..4 {
            self.step();
        }
    }

    fn send(&mut self, who: u64) {
        let person = self.people.get_mut(&who).expect("somebody of that number");
        let (Some(at), Some(peer)) = (person.plane, person.publishes) else { return };
        let world = &mut self.planes.worlds[at];
        let client = world.clients.get_mut(&PeerId(peer)).expect("their client");
        for compound in client.rtcp.drain(..) {
            rtcp::parse(&compound, |incoming| {
                person.is_keyframe_due |= matches!(incoming, Incoming::Pli { .. });
            });
        }
        let mut packets = Vec::new();
        if !person.media.mic_muted {
            person.sent[0] += 1;
            let voice = crate::client::Media::voice(20 + (person.sent[0] % 9) as u8);
            packets.push(client.send(mic(who), person.sent[0] * 960, &voice));
        }
        if !person.media.cam_off {
            for _ in 0..2 {
                person.sent[1] += 1;
                let is_keyframe = std::mem::take(&mut person.is_keyframe_due);
                let id = (person.sent[1] & 0x7fff) as u16;
                let picture = crate::client::Media::vp8(is_keyframe, id);
                let ssrc = camera(who) + person.camera;
                packets.push(client.send(ssrc, person.sent[1] * 3_000, &picture));
            }
        }
        for packet in packets {
            world.send(peer, packet);
        }
    }

    fn step(&mut self) {
        self.planes.run(STEP);
        self.planes.told.clear();
        self.planes.handed.clear();
        self.hear();
    }

    fn hear(&mut self) {
        for at in 0..PLANES {
            for event in std::mem::take(&mut self.planes.worlds[at].events) {
                self.placement.hear(&event);
                match event {
                    Event::Answered { peer, sdp } | Event::Offered { peer, sdp } => {
                        self.sdps.insert(peer.0, sdp);
                    }
                    Event::Connected { peer } => {
                        self.connected.insert(peer.0);
                        self.sdps.remove(&peer.0);
                    }
                    Event::Closed { peer, .. } => {
                        self.connected.remove(&peer.0);
                        self.closed.push(peer.0);
                        peer.0.hash(&mut self.digest);
                    }
                    Event::SlotsChanged { peer, slots, .. } => {
                        for slot in &slots {
                            slot.participant_id.hash(&mut self.digest);
                        }
                        self.slots.insert(peer.0, slots);
                    }
                    Event::SpeakersChanged { speakers, .. } => speakers.hash(&mut self.digest),
                    Event::Refused { peer, reason } => panic!("{peer:?} is refused: {reason}"),
                    _ => {}
                }
            }
        }
    }

    /// Nothing is lost for a while; then everybody has in their slots whom they should, and gets their packets.
    fn look(&mut self) {
        self.looks += 1;
        for world in &mut self.planes.worlds {
            world.loss = 0.0;
        }
        self.planes.ring = usize::MAX;
        self.planes.is_jammed = false;
        let moment = Duration::from_millis(600);
        self.media(moment, &[]);
        self.mend();
        let everybody: Vec<u64> = self.people.keys().copied().collect();
        for _ in 0..12 {
            self.media(moment, &everybody);
        }
        for world in &mut self.planes.worlds {
            world.clients.values_mut().for_each(|client| client.rtp.clear());
        }
        for _ in 0..3 {
            self.media(moment, &everybody);
        }
        for (who, receiver) in &self.people {
            if let (Some(at), Some(peer)) = (receiver.plane, receiver.receives) {
                self.look_at(*who, receiver, at, peer);
            }
        }
        for world in &mut self.planes.worlds {
            for client in world.clients.values_mut() {
                client.rtp.clear();
                client.arrivals.clear();
                client.rtcp.clear();
            }
        }
        for &at in &self.planes.live {
            let census = self.planes.worlds[at].sfu.census();
            (census.publishers, census.subscribers, census.tracks).hash(&mut self.digest);
        }
    }

    fn look_at(&self, who: u64, receiver: &Person, at: usize, peer: u64) {
        let told = format!("turn {}, {who} on plane {at}", self.turn);
        let slots = self.slots.get(&peer).unwrap_or_else(|| panic!("{told} knows of no slots"));
        let client = &self.planes.worlds[at].clients[&PeerId(peer)];
        let came: BTreeSet<u32> = client.rtp.iter().filter_map(|packet| csrc(packet)).collect();
        for (kind, count) in [(Kind::Audio, AUDIO), (Kind::Video, VIDEO)] {
            let bound: Vec<_> = slots
                .iter()
                .filter(|slot| slot.kind == kind)
                .filter_map(|slot| Some((slot.participant_id?, slot.track.as_ref()?)))
                .collect();
            let people: BTreeSet<ParticipantId> = bound.iter().map(|(id, _)| *id).collect();
            assert_eq!(people.len(), bound.len(), "{told}: somebody is there twice: {slots:?}");
            let mut certain = 0;
            let tiles = receiver.view.tiles.as_ref().filter(|_| kind == Kind::Video);
            for (other, sender) in self.people.iter().filter(|(other, _)| **other != who) {
                let id = person(*other);
                let (is_forced, is_off) = match kind {
                    Kind::Audio => (sender.media.mic_forced, sender.media.mic_muted),
                    Kind::Video => (sender.media.cam_forced, sender.media.cam_off),
                };
                let is_there = sender.publishes.is_some() && !sender.is_away && !is_forced;
                let is_shown =
                    tiles.is_none_or(|tiles| tiles.iter().any(|t| t.participant_id == id));
                if is_there && is_shown && !is_off {
                    certain += 1;
                }
                let may = (is_there || sender.vanishes_at.is_some() && !is_forced)
                    && is_shown
                    && !(is_off && kind == Kind::Video);
                assert!(may || !people.contains(&id), "{told} has {other} {kind:?}: {slots:?}");
                let track = bound.iter().find(|(known, _)| *known == id).map(|(_, track)| track);
                if let Some(track) = track.filter(|_| is_there && !is_off) {
                    assert!(came.contains(&track.csrc), "{told} gets no {kind:?} of {other}");
                }
            }
            let strangers =
                people.iter().filter(|id| !self.people.keys().any(|n| person(*n) == **id));
            assert_eq!(strangers.count(), 0, "{told}: {slots:?}");
            assert!(bound.len() >= certain.min(usize::from(count)), "{told}: {slots:?}");
        }
    }

    /// Everybody goes, and nothing is left anywhere.
    fn end(mut self) -> u64 {
        for who in self.people.keys().copied().collect::<Vec<_>>() {
            self.leave(who);
        }
        self.command(Command::CloseRoom { room: ROOM });
        for _ in 0..4 {
            self.step();
        }
        for &at in &self.planes.live {
            let sfu = &self.planes.worlds[at].sfu;
            assert_eq!(sfu.census(), Census::default(), "plane {at}");
            assert_eq!(sfu.held(), 0, "plane {at}");
            let stats = sfu.stats();
            assert_eq!(stats.faults, 0);
            let counts =
                (stats.packets_in, stats.packets_out, stats.relayed_in, stats.relayed_missed);
            counts.hash(&mut self.digest);
        }
        self.digest.finish()
    }
}

fn mic(who: u64) -> u32 {
    1_000_000 + who as u32
}

/// With room for as many cameras as one has in a day.
fn camera(who: u64) -> u32 {
    100_000_000 + who as u32 * 10_000
}

fn csrc(packet: &[u8]) -> Option<u32> {
    let header = Header::parse(packet)?;
    let has_one = packet[0] & 0x0f == 1 && !header.payload(packet).is_empty();
    has_one.then(|| u32::from_be_bytes(packet[12..16].try_into().expect("four bytes")))
}

fn turns(hours: u64) -> u32 {
    (hours * 3600 / TURN.as_secs()) as u32
}

#[test]
fn a_day_of_joins_leaves_mutes_losses_and_dying_planes_leaves_nobody_unheard_and_nothing_behind() {
    let told = |name: &str| std::env::var(name).ok()?.parse().ok();
    let mut simulation = Simulation::new(7);
    simulation.most = told("VECHE_SIMULATION_PEOPLE").unwrap_or(MOST as u64) as usize;
    simulation.run(turns(told("VECHE_SIMULATION_HOURS").unwrap_or(24)));
    println!(
        "{} joins, {} planes died, {} looks",
        simulation.joins, simulation.deaths, simulation.looks
    );
    assert!(simulation.joins > 100 && simulation.deaths > 2 && simulation.looks > 50);
    simulation.end();
}

#[test]
fn the_same_seed_ends_the_same() {
    let run = |seed| {
        let mut simulation = Simulation::new(seed);
        simulation.run(turns(1));
        simulation.end()
    };
    let first = run(11);
    assert_eq!(first, run(11));
    assert_ne!(first, run(12));
}
