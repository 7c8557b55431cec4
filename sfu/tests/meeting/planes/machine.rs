//! Several media planes in one virtual time, joined by rings that hold so much and no more.

use crate::world::{ROOM, World};
use protocol::{ParticipantId, RoomId};
use sfu::{Command, Event, PlaneId, Relayed};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(5);

/// All planes of a machine, with a client of each in its own world.
pub struct Planes {
    pub worlds: Vec<World>,
    /// Which of them live.
    pub live: BTreeSet<usize>,
    /// Packets that a ring takes per step; more are lost.
    pub ring: usize,
    /// Packets that came through, from and to.
    pub handed: Vec<(usize, usize)>,
    /// Everything that came through but packets.
    pub told: Vec<(usize, usize, Relayed)>,
    /// What may not be lost is held back, as by a full ring: packets overtake it, and it comes twice.
    pub is_jammed: bool,
    rings: VecDeque<(usize, usize, Relayed)>,
}

impl Planes {
    pub fn new(count: usize, seed: u64) -> Self {
        let now = Instant::now();
        let world = |at: usize| World::on(PlaneId(at as u16), seed + at as u64, now);
        Self {
            worlds: (0..count).map(world).collect(),
            live: (0..count).collect(),
            ring: usize::MAX,
            handed: Vec::new(),
            told: Vec::new(),
            is_jammed: false,
            rings: VecDeque::new(),
        }
    }

    /// The room is on these planes, the first of which is its home.
    pub fn spread(&mut self, planes: &[usize]) {
        self.spread_room(ROOM, planes, planes);
    }

    /// The same, told to some of them.
    pub fn spread_room(&mut self, room: RoomId, planes: &[usize], told: &[usize]) {
        let ids: Vec<PlaneId> = planes.iter().map(|&at| PlaneId(at as u16)).collect();
        for &at in told.iter().filter(|at| self.live.contains(at)) {
            let planes = ids.clone();
            self.worlds[at].command(Command::SetPlanes { room, home: ids[0], planes });
        }
    }

    /// Tells every plane something about the room.
    pub fn command_all(&mut self, command: &Command) {
        for &at in &self.live {
            self.worlds[at].command(command.clone());
        }
    }

    /// A plane dies, and the others are told.
    pub fn lose(&mut self, at: usize) {
        self.live.remove(&at);
        self.rings.retain(|(from, to, _)| *from != at && *to != at);
        self.command_all(&Command::LosePlane { plane: PlaneId(at as u16) });
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.worlds[0].now + time;
        while self.worlds[0].now < end {
            for at in 0..self.worlds.len() {
                if self.live.contains(&at) {
                    self.worlds[at].run(STEP);
                } else {
                    self.worlds[at].now += STEP;
                }
            }
            self.exchange();
        }
    }

    fn exchange(&mut self) {
        let mut due = std::mem::take(&mut self.rings);
        if self.is_jammed {
            // Those that wait behind packets keep their order.
            due.make_contiguous().sort_by_key(|(.., relayed)| !relayed.may_drop());
            let again = due.iter().filter(|(.., relayed)| !relayed.may_drop());
            let again: Vec<_> = again.cloned().collect();
            due.extend(again);
        }
        while let Some((from, to, relayed)) = due.pop_front() {
            match &relayed {
                Relayed::Packet(_) => self.handed.push((from, to)),
                _ => self.told.push((from, to, relayed.clone())),
            }
            let world = &mut self.worlds[to];
            world.sfu.receive_relayed(world.now, PlaneId(from as u16), relayed);
        }
        let mut taken = vec![0; self.worlds.len()];
        for &from in &self.live {
            while let Some((to, relayed)) = self.worlds[from].sfu.poll_relayed() {
                let to = usize::from(to.0);
                assert_ne!(to, from, "nothing is for oneself");
                if relayed.may_drop() {
                    taken[to] += 1;
                }
                let is_lost = relayed.may_drop() && taken[to] > self.ring;
                if self.live.contains(&to) && !is_lost {
                    self.rings.push_back((from, to, relayed));
                }
            }
        }
    }

    /// Who speaks, as a plane has told the control plane last.
    pub fn speakers(&self, at: usize) -> Option<Vec<ParticipantId>> {
        self.worlds[at].events.iter().rev().find_map(|event| match event {
            Event::SpeakersChanged { speakers, .. } => Some(speakers.clone()),
            _ => None,
        })
    }
}
