//! A media thread's ways to the others: letters into their rings, and one wake for all of a batch.
//!
//! Packets find room or are dropped, as by a full socket. What says how something is waits here until the ring takes it.

use super::station::Station;
use super::streams::Moved;
use sfu::{Path, PlaneId, Relayed};
use std::collections::VecDeque;
use std::sync::Arc;

/// What may wait here for one thread that takes nothing. It is declared lost after seconds of that; more is memory
/// until then, less loses what nobody says again.
const MAX_HELD: usize = 65_536;

/// Something for another media thread.
pub enum Item {
    /// For its plane, from another.
    Relayed(Relayed),
    /// A datagram of one of its peers, which came here.
    Datagram {
        /// The way it came by.
        path: Path,
        /// It.
        bytes: Vec<u8>,
    },
    /// A packet for an allocation that it holds.
    Send {
        /// The way out.
        path: Path,
        /// It.
        bytes: Vec<u8>,
    },
    /// Whether what comes to it by a way is for the thread that says so.
    Route {
        /// The way.
        path: Path,
        /// Whether.
        is_ours: bool,
    },
    /// A way to one of its peers is no more.
    Lost {
        /// The way.
        path: Path,
    },
    /// A stream of one of its peers.
    Stream(Box<Moved>),
}

impl Item {
    fn may_drop(&self) -> bool {
        match self {
            Item::Relayed(relayed) => relayed.may_drop(),
            Item::Datagram { .. } | Item::Send { .. } => true,
            Item::Route { .. } | Item::Lost { .. } | Item::Stream(_) => false,
        }
    }
}

/// An item with its sender.
pub struct Letter {
    /// Who has sent it.
    pub from: PlaneId,
    /// How often everything there had been lost by then.
    pub epoch: u32,
    /// It.
    pub item: Item,
}

/// What was counted since it was told last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Letters sent.
    pub sent: u64,
    /// Packets dropped, as the ring was full.
    pub dropped: u64,
    /// Others lost, as a thread took nothing for long.
    pub lost: u64,
}

/// One thread's ways to all others.
pub struct Links {
    own: PlaneId,
    epoch: u32,
    stations: Vec<Arc<Station>>,
    held: Vec<VecDeque<Letter>>,
    /// Those who were sent something since they were last woken.
    is_unwoken: Vec<bool>,
    counts: Counts,
}

impl Links {
    /// Between all of these, of which `own` is ours.
    pub fn new(own: PlaneId, stations: Vec<Arc<Station>>) -> Self {
        Self {
            own,
            epoch: stations[usize::from(own.0)].epoch(),
            held: stations.iter().map(|_| VecDeque::new()).collect(),
            is_unwoken: vec![false; stations.len()],
            stations,
            counts: Counts::default(),
        }
    }

    /// Whether that is another thread.
    pub fn is_other(&self, plane: PlaneId) -> bool {
        plane != self.own && usize::from(plane.0) < self.stations.len()
    }

    /// All other threads.
    pub fn others(&self) -> impl Iterator<Item = PlaneId> + use<> {
        let own = self.own;
        (0..self.stations.len()).map(|at| PlaneId(at as u16)).filter(move |plane| *plane != own)
    }

    /// What others see of a thread.
    pub fn station(&self, plane: PlaneId) -> Option<&Station> {
        self.stations.get(usize::from(plane.0)).map(Arc::as_ref)
    }

    /// Everything here was lost.
    pub fn begin_anew(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.held.iter_mut().for_each(VecDeque::clear);
    }

    /// A thread is lost: what waits for it concerns nobody.
    pub fn forget(&mut self, plane: PlaneId) {
        if let Some(held) = self.held.get_mut(usize::from(plane.0)) {
            held.clear();
        }
    }

    /// Sends something; [`Links::wake`] tells whoever gets it.
    pub fn send(&mut self, to: PlaneId, item: Item) {
        let at = usize::from(to.0);
        let (Some(station), Some(held)) = (self.stations.get(at), self.held.get_mut(at)) else {
            return;
        };
        let letter = Letter { from: self.own, epoch: self.epoch, item };
        // What comes after something that waits would overtake it.
        let letter = if held.is_empty() {
            match station.ring.push(letter) {
                Ok(()) => {
                    self.counts.sent += 1;
                    self.is_unwoken[at] = true;
                    return;
                }
                Err(letter) => letter,
            }
        } else {
            letter
        };
        if letter.item.may_drop() {
            self.counts.dropped += 1;
        } else if held.len() < MAX_HELD {
            held.push_back(letter);
        } else {
            self.counts.lost += 1;
        }
    }

    /// Tries again what waits, and wakes everybody who was sent something: once for all of it.
    pub fn wake(&mut self) {
        for (at, station) in self.stations.iter().enumerate() {
            while let Some(letter) = self.held[at].pop_front() {
                match station.ring.push(letter) {
                    Ok(()) => {
                        self.counts.sent += 1;
                        self.is_unwoken[at] = true;
                    }
                    Err(letter) => {
                        self.held[at].push_front(letter);
                        break;
                    }
                }
            }
            if std::mem::take(&mut self.is_unwoken[at]) {
                station.wake_asleep();
            }
        }
    }

    /// Whether something waits that is to be tried again soon.
    pub fn is_waiting(&self) -> bool {
        self.held.iter().any(|held| !held.is_empty())
    }

    /// What was counted since this was called last.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::net::SocketAddr;

    /// Those of the first of two threads, and the other one.
    pub fn links() -> (Links, Arc<Station>, mio::Poll) {
        let station = |plane: u16| {
            let poll = mio::Poll::new().expect("the system has one");
            let waker = mio::Waker::new(poll.registry(), mio::Token(0));
            (Arc::new(Station::new(PlaneId(plane), waker.expect("the system has one"))), poll)
        };
        let ((here, _), (there, poll)) = (station(0), station(1));
        (Links::new(PlaneId(0), vec![here, there.clone()]), there, poll)
    }

    fn path(port: u16) -> Path {
        Path::Udp(SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn datagram(port: u16) -> Item {
        Item::Datagram { path: path(port), bytes: vec![1] }
    }

    fn route(port: u16) -> Item {
        Item::Route { path: path(port), is_ours: true }
    }

    #[test]
    fn a_full_ring_drops_packets_and_keeps_the_order_of_the_rest() {
        let (mut links, there, _poll) = links();
        let room = there.ring.capacity();
        for port in 0..room {
            links.send(PlaneId(1), datagram(port as u16));
        }
        links.send(PlaneId(1), route(1));
        links.send(PlaneId(1), datagram(9));
        links.send(PlaneId(1), route(2));
        assert!(links.is_waiting());
        assert_eq!(links.take_counts().dropped, 1);
        // There is room for one, and it is not for a packet that comes later.
        there.ring.pop().expect("it is full");
        links.send(PlaneId(1), datagram(10));
        links.wake();
        there.ring.pop().expect("it is full");
        links.wake();
        assert!(!links.is_waiting());
        let mut last = Vec::new();
        while let Some(letter) = there.ring.pop() {
            if let Item::Route { path, .. } = letter.item {
                last.push(path);
            }
        }
        assert_eq!(last, [path(1), path(2)]);
    }

    #[test]
    fn who_sleeps_is_woken_once_and_who_is_awake_never() {
        let (mut links, there, mut poll) = links();
        let mut events = mio::Events::with_capacity(8);
        let mut woken = |poll: &mut mio::Poll| {
            poll.poll(&mut events, Some(std::time::Duration::ZERO)).expect("it can be asked");
            events.iter().count()
        };
        links.send(PlaneId(1), datagram(1));
        links.wake();
        assert_eq!(woken(&mut poll), 0, "it is awake");
        assert!(!there.falls_asleep(), "something has come");
        assert!(there.ring.pop().is_some());
        assert!(there.falls_asleep());
        links.wake();
        assert_eq!(woken(&mut poll), 0, "nothing was sent");
        for port in 0..100 {
            links.send(PlaneId(1), datagram(port));
        }
        links.wake();
        assert_eq!(woken(&mut poll), 1);
    }
}
