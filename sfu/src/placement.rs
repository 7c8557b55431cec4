//! Which media plane a room and its people are on: decisions alone, for the owner of several planes.
//!
//! A participant is pinned to one plane when their first transport comes, with all their transports, and stays there until
//! they leave or the plane is lost. A room has a home, and is on the other planes that participants of it are on. New rooms go
//! to the first plane that is not busy, and a room spreads only when its home is loaded: what two planes tell each other costs both.
//!
//! What concerns a person goes to every plane of their room, and is kept here, so that a plane that the room comes to later
//! is told what it missed. How busy planes are is an argument; it must never know about threads.

#[cfg(test)]
mod tests;

use crate::command::{Command, PeerId};
use crate::event::{CloseReason, Event};
use crate::relay::PlaneId;
use protocol::media::View;
use protocol::room::MediaState;
use protocol::{ParticipantId, RoomId};
use std::collections::{BTreeMap, HashMap};

/// How much less loaded another plane must be for a room to spread to it. More leaves a loaded home alone with its
/// room, less spreads rooms over planes that are as loaded soon.
const CLEARLY_LESS: f32 = 0.15;
/// What somebody who was pinned since loads were measured is taken to cost. More sends a class that joins in one second
/// everywhere at once, less all of it to one plane.
const NEWCOMER: f32 = 0.004;
/// How busy a plane is before new rooms go to the next one. On one plane packets come in bursts that are sent together, and
/// none come in at a thread that is not theirs; more leaves a plane less room for those of its rooms that grow.
const FILL: f32 = 0.4;
/// Loads closer than this are the same: people are counted then.
const LOAD_STEP: f32 = 0.05;

/// How one plane does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Share of its core that it uses, 0 to 1.
    pub busy: f32,
    /// Whether it takes anybody new.
    pub is_open: bool,
    /// Which measurement this is: another number, another measurement.
    pub round: u32,
}

/// When rooms spread over planes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// When their home is that busy, and another plane clearly less.
    Above(f32),
    /// At once: the people of every room are shared out among all planes.
    Always,
}

/// Who is where.
pub struct Placement {
    spread: Spread,
    planes: Vec<Plane>,
    rooms: HashMap<RoomId, Room>,
    peers: HashMap<PeerId, Peer>,
}

/// What is lost with a plane, and what the others are to be told of it.
#[derive(Debug, Default)]
pub struct Lost {
    /// Orders for the other planes.
    pub orders: Vec<(PlaneId, Command)>,
    /// What the lost plane would have told, had it been able to.
    pub events: Vec<Event>,
}

#[derive(Clone, Copy, Default)]
struct Plane {
    /// People pinned to it.
    people: usize,
    /// Those of them that came since this measurement of its load.
    newcomers: usize,
    round: u32,
}

#[derive(Default)]
struct Room {
    people: BTreeMap<ParticipantId, Person>,
    home: Option<PlaneId>,
    /// Planes that it is on, with how many people; none is empty.
    planes: BTreeMap<PlaneId, usize>,
    is_tapped: bool,
}

#[derive(Default)]
struct Person {
    plane: Option<PlaneId>,
    peers: Vec<PeerId>,
    publishes: bool,
    media: Option<MediaState>,
    is_away: bool,
    view: Option<View>,
}

struct Peer {
    room: RoomId,
    participant: ParticipantId,
    /// Its plane has made it: it says so when it is over.
    is_made: bool,
}

type Orders = Vec<(PlaneId, Command)>;

impl Placement {
    /// Nobody on so many planes; there is one at least.
    pub fn new(planes: usize, spread: Spread) -> Self {
        Self {
            spread,
            planes: vec![Plane::default(); planes.max(1)],
            rooms: HashMap::new(),
            peers: HashMap::new(),
        }
    }

    /// Which planes an order concerns that they all should have room for.
    pub fn reach(&self, command: &Command) -> Vec<PlaneId> {
        match command {
            Command::Publish { room, .. }
            | Command::Subscribe { room, .. }
            | Command::Watch { room, .. }
            | Command::Leave { room, .. }
            | Command::SetView { room, .. }
            | Command::SetMedia { room, .. }
            | Command::SetAway { room, .. }
            | Command::Report { room, .. }
            | Command::CloseRoom { room }
            | Command::Tap { room, .. }
            | Command::TapLost { room, .. } => self.planes_of(*room),
            Command::Answer { peer, .. }
            | Command::SetLargest { peer, .. }
            | Command::Close { peer } => self.plane_of(*peer).into_iter().collect(),
            Command::SendAway { .. } | Command::SetSaving { .. } => self.all(),
            Command::SetPlanes { .. } | Command::LosePlane { .. } => Vec::new(),
        }
    }

    /// Who is to be told what so that an order is carried out, in order.
    pub fn route(&mut self, command: Command, loads: &[Load]) -> Vec<(PlaneId, Command)> {
        let mut orders = Vec::new();
        match command {
            Command::Publish { peer, room, participant, .. } => {
                let plane = self.settle(room, participant, loads, &mut orders);
                self.add_peer(peer, room, participant, true);
                orders.push((plane, command));
            }
            Command::Subscribe { peer, room, participant, .. }
            | Command::Watch { peer, room, participant, .. } => {
                let plane = self.settle(room, participant, loads, &mut orders);
                self.add_peer(peer, room, participant, false);
                orders.push((plane, command));
            }
            Command::Answer { peer, .. } | Command::SetLargest { peer, .. } => {
                // Of a transport that nobody knows any plane says so.
                let plane = self.plane_of(peer).unwrap_or_else(|| anywhere(loads));
                orders.push((plane, command));
            }
            Command::Close { peer } => {
                orders.extend(self.plane_of(peer).map(|plane| (plane, command)));
                self.forget_peer(peer);
            }
            Command::Leave { room, participant } => {
                self.tell_room(room, &command, &mut orders);
                self.leave(room, participant, &mut orders);
            }
            Command::SendAway { .. } | Command::SetSaving { .. } => {
                orders.extend(self.all().into_iter().map(|plane| (plane, command.clone())));
            }
            Command::SetView { room, participant, ref view } => {
                let person = self.person(room, participant);
                person.view = Some(view.clone());
                orders.extend(person.plane.map(|plane| (plane, command)));
            }
            Command::SetMedia { room, participant, media } => {
                self.person(room, participant).media = Some(media);
                self.tell_room(room, &command, &mut orders);
            }
            Command::SetAway { room, participant, away } => {
                self.person(room, participant).is_away = away;
                self.tell_room(room, &command, &mut orders);
            }
            Command::Report { room, .. } => {
                self.tell_room(room, &command, &mut orders);
                if orders.is_empty() {
                    // Nobody is there, which any plane can say.
                    orders.push((anywhere(loads), command));
                }
            }
            Command::CloseRoom { room } => {
                self.tell_room(room, &command, &mut orders);
                self.forget_room(room);
            }
            Command::Tap { room, wanted } => {
                if wanted {
                    self.rooms.entry(room).or_default().is_tapped = true;
                } else if let Some(known) = self.rooms.get_mut(&room) {
                    known.is_tapped = false;
                }
                self.tell_room(room, &command, &mut orders);
                self.forget_empty(room);
            }
            Command::TapLost { room, .. } => self.tell_room(room, &command, &mut orders),
            // These are ours to give.
            Command::SetPlanes { .. } | Command::LosePlane { .. } => {}
        }
        orders
    }

    /// What a plane has told changes who is where.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Closed { peer, .. } => self.forget_peer(*peer),
            Event::Answered { peer, .. } | Event::Offered { peer, .. } => {
                if let Some(known) = self.peers.get_mut(peer) {
                    known.is_made = true;
                }
            }
            // Of a transport that has never come into being no end is told.
            Event::Refused { peer, .. } => {
                if self.peers.get(peer).is_some_and(|known| !known.is_made) {
                    self.forget_peer(*peer);
                }
            }
            Event::Connected { .. }
            | Event::TracksChanged { .. }
            | Event::SlotsChanged { .. }
            | Event::LayersWanted { .. }
            | Event::SpeakersChanged { .. }
            | Event::Reported { .. }
            | Event::Alive { .. } => {}
        }
    }

    /// A plane is lost with all transports on it. Their people get another plane with their next transport, and rooms
    /// another home.
    pub fn lose(&mut self, plane: PlaneId) -> Lost {
        let mut lost = Lost::default();
        for other in self.all().into_iter().filter(|other| *other != plane) {
            lost.orders.push((other, Command::LosePlane { plane }));
        }
        if let Some(known) = self.planes.get_mut(usize::from(plane.0)) {
            *known = Plane { round: known.round, ..Plane::default() };
        }
        for (&id, room) in &mut self.rooms {
            if room.planes.remove(&plane).is_none() {
                continue;
            }
            for (&participant, person) in &mut room.people {
                if person.plane != Some(plane) {
                    continue;
                }
                person.plane = None;
                for peer in person.peers.drain(..) {
                    self.peers.remove(&peer);
                    lost.events.push(Event::Closed { peer, reason: CloseReason::Fault });
                }
                if std::mem::take(&mut person.publishes) {
                    let tracks = Vec::new();
                    lost.events.push(Event::TracksChanged { room: id, participant, tracks });
                }
            }
            room.settle_home();
            room.tell_planes(id, &mut lost.orders);
        }
        lost
    }

    /// Rooms that are on a plane.
    pub fn rooms(&self) -> usize {
        self.rooms.values().filter(|room| !room.planes.is_empty()).count()
    }

    /// Rooms that are on more planes than one.
    pub fn spread_rooms(&self) -> usize {
        self.rooms.values().filter(|room| room.planes.len() > 1).count()
    }

    /// People pinned to a plane.
    pub fn people_on(&self, plane: PlaneId) -> usize {
        self.planes.get(usize::from(plane.0)).map_or(0, |known| known.people)
    }

    fn all(&self) -> Vec<PlaneId> {
        (0..self.planes.len()).map(id).collect()
    }

    fn planes_of(&self, room: RoomId) -> Vec<PlaneId> {
        self.rooms.get(&room).map_or_else(Vec::new, |room| room.planes.keys().copied().collect())
    }

    fn plane_of(&self, peer: PeerId) -> Option<PlaneId> {
        let peer = self.peers.get(&peer)?;
        self.rooms.get(&peer.room)?.people.get(&peer.participant)?.plane
    }

    fn person(&mut self, room: RoomId, participant: ParticipantId) -> &mut Person {
        self.rooms.entry(room).or_default().people.entry(participant).or_default()
    }

    fn tell_room(&self, room: RoomId, command: &Command, orders: &mut Orders) {
        let planes = self.planes_of(room);
        orders.extend(planes.into_iter().map(|plane| (plane, command.clone())));
    }

    fn add_peer(&mut self, id: PeerId, room: RoomId, participant: ParticipantId, publishes: bool) {
        // An offer again for a transport that there is, or somebody else's number, which its plane refuses.
        if self.peers.contains_key(&id) {
            return;
        }
        let person = self.person(room, participant);
        person.peers.push(id);
        person.publishes |= publishes;
        self.peers.insert(id, Peer { room, participant, is_made: false });
    }

    fn forget_peer(&mut self, id: PeerId) {
        let Some(peer) = self.peers.remove(&id) else { return };
        let room = self.rooms.get_mut(&peer.room);
        if let Some(person) = room.and_then(|room| room.people.get_mut(&peer.participant)) {
            person.peers.retain(|known| *known != id);
        }
    }

    fn leave(&mut self, room_id: RoomId, participant: ParticipantId, orders: &mut Orders) {
        let Some(room) = self.rooms.get_mut(&room_id) else { return };
        let Some(person) = room.people.remove(&participant) else { return };
        for peer in &person.peers {
            self.peers.remove(peer);
        }
        if let Some(plane) = person.plane {
            let known = &mut self.planes[usize::from(plane.0)];
            known.people = known.people.saturating_sub(1);
            let people = room.planes.entry(plane).or_default();
            *people = people.saturating_sub(1);
            if *people == 0 {
                room.planes.remove(&plane);
                room.settle_home();
                room.tell_planes(room_id, orders);
                // It knows the others of the room still, and whom it is not told of it would never forget.
                orders.push((plane, Command::CloseRoom { room: room_id }));
            }
        }
        if room.people.is_empty() {
            self.rooms.remove(&room_id);
        }
    }

    fn forget_room(&mut self, room: RoomId) {
        let Some(room) = self.rooms.remove(&room) else { return };
        for person in room.people.values() {
            for peer in &person.peers {
                self.peers.remove(peer);
            }
            if let Some(plane) = person.plane {
                let known = &mut self.planes[usize::from(plane.0)];
                known.people = known.people.saturating_sub(1);
            }
        }
    }

    fn forget_empty(&mut self, room: RoomId) {
        if self.rooms.get(&room).is_some_and(|room| room.people.is_empty() && !room.is_tapped) {
            self.rooms.remove(&room);
        }
    }

    /// The plane of a participant, who gets one where they have none; what that plane has to know first is ordered.
    fn settle(
        &mut self,
        room_id: RoomId,
        participant: ParticipantId,
        loads: &[Load],
        orders: &mut Orders,
    ) -> PlaneId {
        if let Some(plane) = self.person(room_id, participant).plane {
            return plane;
        }
        let plane = self.choose(room_id, loads);
        let known = &mut self.planes[usize::from(plane.0)];
        let round = loads.get(usize::from(plane.0)).map_or(0, |load| load.round);
        if known.round != round {
            *known = Plane { round, newcomers: 0, ..*known };
        }
        known.people += 1;
        known.newcomers += 1;
        let room = self.rooms.entry(room_id).or_default();
        let people = room.planes.entry(plane).or_default();
        *people += 1;
        if *people == 1 {
            room.catch_up(room_id, plane, orders);
            room.settle_home();
            if room.planes.len() > 1 {
                room.tell_planes(room_id, orders);
            }
        }
        let person = room.people.entry(participant).or_default();
        person.plane = Some(plane);
        if let Some(view) = &person.view {
            let view = view.clone();
            orders.push((plane, Command::SetView { room: room_id, participant, view }));
        }
        plane
    }

    fn choose(&self, room: RoomId, loads: &[Load]) -> PlaneId {
        let is_open = |plane: &PlaneId| loads.get(usize::from(plane.0)).is_some_and(|l| l.is_open);
        let mut open: Vec<PlaneId> = self.all();
        if open.iter().any(is_open) {
            open.retain(is_open);
        }
        let room = self.rooms.get(&room);
        let here = |plane: PlaneId| {
            room.and_then(|room| room.planes.get(&plane)).copied().unwrap_or_default()
        };
        let weight = |plane: PlaneId| self.weight(plane, loads);
        let step = |plane: PlaneId| (weight(plane) / LOAD_STEP) as u32;
        let people = |plane: PlaneId| self.people_on(plane);
        let threshold = match self.spread {
            Spread::Always => {
                let least = open.iter().min_by_key(|&&p| (here(p), step(p), people(p)));
                return *least.expect("there is a plane at least");
            }
            Spread::Above(threshold) => threshold,
        };
        let least = *open
            .iter()
            .min_by_key(|&&plane| (step(plane), people(plane)))
            .expect("there is a plane at least");
        let home = room.and_then(|room| room.home).filter(|home| open.contains(home));
        let Some(home) = home else {
            let fills = |plane: &&PlaneId| weight(**plane) < FILL.min(threshold);
            return open.iter().find(fills).copied().unwrap_or(least);
        };
        if weight(home) < threshold {
            return home;
        }
        let on = open.iter().copied().filter(|&plane| here(plane) > 0);
        let least_on = on.min_by_key(|&plane| (step(plane), people(plane))).unwrap_or(home);
        if weight(least_on) >= threshold && weight(least) + CLEARLY_LESS <= weight(least_on) {
            least
        } else {
            least_on
        }
    }

    /// Its load, with those whom the last measurement has not seen.
    fn weight(&self, plane: PlaneId, loads: &[Load]) -> f32 {
        let known = &self.planes[usize::from(plane.0)];
        let Some(load) = loads.get(usize::from(plane.0)) else { return 0.0 };
        let newcomers = if known.round == load.round { known.newcomers } else { 0 };
        load.busy.max(0.0) + newcomers as f32 * NEWCOMER
    }
}

impl Room {
    /// What a plane missed that the room comes to now.
    fn catch_up(&self, room: RoomId, plane: PlaneId, orders: &mut Orders) {
        for (&participant, person) in &self.people {
            if let Some(media) = person.media {
                orders.push((plane, Command::SetMedia { room, participant, media }));
            }
            if person.is_away {
                orders.push((plane, Command::SetAway { room, participant, away: true }));
            }
        }
        if self.is_tapped {
            orders.push((plane, Command::Tap { room, wanted: true }));
        }
    }

    /// A home that is gone is followed by the plane with most of the room's people.
    fn settle_home(&mut self) {
        if self.home.is_none_or(|home| !self.planes.contains_key(&home)) {
            let most =
                self.planes.iter().max_by_key(|(plane, people)| (**people, u16::MAX - plane.0));
            self.home = most.map(|(plane, _)| *plane);
        }
    }

    fn tell_planes(&self, room: RoomId, orders: &mut Orders) {
        let Some(home) = self.home else { return };
        let planes: Vec<PlaneId> = self.planes.keys().copied().collect();
        for &plane in &planes {
            orders.push((plane, Command::SetPlanes { room, home, planes: planes.clone() }));
        }
    }
}

/// A plane that takes anybody, or the first.
fn anywhere(loads: &[Load]) -> PlaneId {
    id(loads.iter().position(|load| load.is_open).unwrap_or_default())
}

fn id(index: usize) -> PlaneId {
    PlaneId(u16::try_from(index).unwrap_or(u16::MAX))
}
