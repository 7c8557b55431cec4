//! Whose a datagram is that came to this thread: a check says so by its name, whatever else comes by the way of one that
//! was authentic. On a port that threads share the system decides where it comes in, and TURN's payload comes in where its
//! allocation is.

use super::links::{Item, Links};
use super::relays::holder;
use sfu::{Path, PlaneId, Sfu, addressed_plane};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Ways to peers of other threads that are known here. They are told by those who have checked them, so there are as many
/// as peers; more are found anew with each check.
const MAX_ROUTES: usize = 65_536;
/// Datagrams of strangers that all others are asked about, in a second: a client whose NAT has moved it is one of
/// them until its next check. More lets strangers wake every thread, less loses the pictures of those who moved.
const STRANGERS_PER_SECOND: u32 = 200;
/// The same while a port is dealt anew, when all who come in by another socket than before are strangers to its thread. Fewer lose
/// the pictures of a large room until their senders' next checks; more is more than that room has people.
const MOVERS_PER_SECOND: u32 = 20_000;
/// How long that is. Whoever has not sent anything by then has sent a check since.
const DEALING: Duration = Duration::from_secs(5);

/// What this thread knows of ways to peers of others, and others of ways to its own.
pub struct Crossing {
    /// Who has the peers behind ways that come in here.
    routes: HashMap<Path, PlaneId>,
    /// Ways to peers of ours that come in elsewhere, and who knows that they are ours.
    told: HashMap<Path, PlaneId>,
    strangers: u32,
    second: Instant,
    /// How often the port had been dealt anew when that was looked at last, and until when it settles.
    deals: u32,
    settled: Instant,
}

/// Who is to look at a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// This thread.
    Us,
    /// Another one.
    Other(PlaneId),
    /// This thread, and all others where it knows nothing of it.
    Whoever,
}

impl Crossing {
    /// Without any way.
    pub fn new(now: Instant) -> Self {
        Self {
            routes: HashMap::new(),
            told: HashMap::new(),
            strangers: 0,
            second: now,
            deals: 0,
            settled: now,
        }
    }

    /// Whether the port was dealt anew since [`dealt`](Self::dealt) was told.
    pub fn was_dealt(&self, deals: u32) -> bool {
        self.deals != deals
    }

    /// What came in by one socket may come in by another from now on.
    pub fn dealt(&mut self, now: Instant, deals: u32) {
        self.deals = deals;
        self.settled = now + DEALING;
    }

    /// Takes a datagram that came in here: gives it to our plane or passes it on.
    pub fn receive(
        &mut self,
        now: Instant,
        path: Path,
        datagram: &mut [u8],
        sfu: &mut Sfu,
        links: &mut Links,
    ) {
        match self.owner(path, datagram, links) {
            Owner::Us => {
                sfu.receive(now, path, datagram);
                // A way may change hands.
                if !self.routes.is_empty() && sfu.knows_path(path) {
                    self.routes.remove(&path);
                }
            }
            Owner::Other(plane) => {
                links.send(plane, Item::Datagram { path, bytes: datagram.to_vec() });
            }
            Owner::Whoever => {
                if sfu.receive(now, path, datagram) || !self.may_ask(now) {
                    return;
                }
                for plane in links.others() {
                    links.send(plane, Item::Datagram { path, bytes: datagram.to_vec() });
                }
            }
        }
    }

    /// Which plane a stream is for, by its first packet, where that is not ours.
    pub fn elsewhere(&self, datagram: &[u8], links: &Links) -> Option<PlaneId> {
        addressed_plane(datagram).filter(|plane| links.is_other(*plane))
    }

    fn owner(&self, path: Path, datagram: &[u8], links: &Links) -> Owner {
        if let Some(plane) = addressed_plane(datagram) {
            return if links.is_other(plane) { Owner::Other(plane) } else { Owner::Us };
        }
        match self.routes.get(&path) {
            Some(plane) => Owner::Other(*plane),
            None => Owner::Whoever,
        }
    }

    fn may_ask(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.strangers = 0;
        }
        self.strangers += 1;
        let most = if now < self.settled { MOVERS_PER_SECOND } else { STRANGERS_PER_SECOND };
        self.strangers <= most
    }

    /// Takes a datagram that came in at another thread.
    pub fn receive_passed(
        &mut self,
        now: Instant,
        from: PlaneId,
        path: Path,
        datagram: &mut [u8],
        sfu: &mut Sfu,
        links: &mut Links,
    ) {
        let is_taken = sfu.receive(now, path, datagram);
        if is_taken && self.told.get(&path) != Some(&from) && sfu.knows_path(path) {
            self.told.insert(path, from);
            links.send(from, Item::Route { path, is_ours: true });
        }
    }

    /// Another thread says whether what comes here by a way is for it.
    pub fn set_route(&mut self, path: Path, plane: PlaneId, is_theirs: bool) {
        if !is_theirs {
            if self.routes.get(&path) == Some(&plane) {
                self.routes.remove(&path);
            }
        } else if self.routes.len() < MAX_ROUTES || self.routes.contains_key(&path) {
            self.routes.insert(path, plane);
        }
    }

    /// A way is no more that came in here: whoever has the peer behind it is told.
    pub fn lose_path(&mut self, now: Instant, path: Path, sfu: &mut Sfu, links: &mut Links) {
        match self.routes.remove(&path) {
            Some(plane) => links.send(plane, Item::Lost { path }),
            None => sfu.lose_path(now, path),
        }
    }

    /// A way is no more that came in elsewhere.
    pub fn lose_passed(&mut self, now: Instant, path: Path, sfu: &mut Sfu) {
        self.told.remove(&path);
        sfu.lose_path(now, path);
    }

    /// Everything on another thread is lost: its peers, and its allocations.
    pub fn lose_plane(&mut self, now: Instant, plane: PlaneId, sfu: &mut Sfu) {
        self.routes.retain(|_, owner| *owner != plane);
        self.told.retain(|path, _| {
            let is_lost = holder(*path) == Some(plane);
            if is_lost {
                sfu.lose_path(now, *path);
            }
            !is_lost
        });
    }

    /// Everything on this thread is lost: what others have to do with it stays.
    pub fn begin_anew(&mut self) {
        self.told.clear();
        // Our allocations are gone with the rest.
        self.routes.retain(|path, _| holder(*path).is_none());
    }

    /// Tells others of ways that are no longer ours.
    pub fn tidy(&mut self, sfu: &Sfu, links: &mut Links) {
        self.told.retain(|path, from| {
            let is_ours = sfu.knows_path(*path);
            if !is_ours {
                links.send(*from, Item::Route { path: *path, is_ours });
            }
            is_ours
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::links::tests::links;
    use super::super::station::Station;
    use super::*;
    use sfu::credentials::IceCredentials;
    use sfu::transport::client::ConnectivityChecks;
    use sfu::transport::stun::TransactionId;
    use sfu::{Config, Identity, WallClock};
    use std::net::SocketAddr;

    const THERE: PlaneId = PlaneId(1);

    fn path(port: u16) -> Path {
        Path::Udp(SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn plane(now: Instant) -> Sfu {
        let config = Config {
            identity: Identity::generate().expect("randomness"),
            candidates: Vec::new(),
            wall: WallClock::new(now, 0),
            plane: PlaneId(0),
            seed: [7; 32],
        };
        Sfu::new(config, now)
    }

    fn check_for(ufrag: &str) -> Vec<u8> {
        let of = |ufrag: &str| IceCredentials {
            ufrag: ufrag.to_owned(),
            pwd: "a-password-of-24-letters".to_owned(),
        };
        ConnectivityChecks::new(&of("mine"), &of(ufrag), 1).request(TransactionId([1; 12]), true)
    }

    /// How many datagrams wait there.
    fn passed_on(there: &Station) -> usize {
        std::iter::from_fn(|| there.ring.pop())
            .filter(|letter| matches!(letter.item, Item::Datagram { .. }))
            .count()
    }

    #[test]
    fn a_check_goes_to_the_thread_that_it_names_and_to_no_other() {
        let now = Instant::now();
        let (mut links, there, _poll) = links();
        let (mut crossing, mut sfu) = (Crossing::new(now), plane(now));
        let mut take = |ufrag: &str| {
            let mut check = check_for(ufrag);
            crossing.receive(now, path(1), &mut check, &mut sfu, &mut links);
            passed_on(&there)
        };
        assert_eq!(take("Banything"), 1);
        assert_eq!(take("Aanything"), 0, "it is for us, whether we know it or not");
        // No thread has this letter: ours says that it is nobody's.
        assert_eq!(take("Zanything"), 0);
    }

    #[test]
    fn what_comes_by_a_way_follows_whoever_has_its_peer() {
        let now = Instant::now();
        let (mut links, there, _poll) = links();
        let (mut crossing, mut sfu) = (Crossing::new(now), plane(now));
        let mut media = [0x80; 100];
        crossing.set_route(path(1), THERE, true);
        for _ in 0..1_000 {
            crossing.receive(now, path(1), &mut media, &mut sfu, &mut links);
        }
        assert_eq!(passed_on(&there), 1_000);
        assert_eq!(sfu.stats().strangers, 0);
        // Nobody else unsays it, and it ends with its thread.
        crossing.set_route(path(1), PlaneId(0), false);
        crossing.receive(now, path(1), &mut media, &mut sfu, &mut links);
        assert_eq!(passed_on(&there), 1);
        crossing.lose_plane(now, THERE, &mut sfu);
        crossing.receive(now, path(1), &mut media, &mut sfu, &mut links);
        assert_eq!(sfu.stats().strangers, 1);
    }

    #[test]
    fn strangers_wake_others_so_often_and_no_more() {
        let now = Instant::now();
        let (mut links, there, _poll) = links();
        let (mut crossing, mut sfu) = (Crossing::new(now), plane(now));
        let mut flood = |now: Instant| {
            for port in 1..=3 * STRANGERS_PER_SECOND as u16 {
                crossing.receive(now, path(port), &mut [0x80; 100], &mut sfu, &mut links);
            }
            passed_on(&there)
        };
        assert_eq!(flood(now), STRANGERS_PER_SECOND as usize);
        assert_eq!(flood(now), 0);
        assert_eq!(flood(now + Duration::from_secs(1)), STRANGERS_PER_SECOND as usize);
    }

    #[test]
    fn whoever_comes_in_elsewhere_as_the_port_is_dealt_anew_is_asked_about() {
        let now = Instant::now();
        let (mut links, there, _poll) = links();
        let (mut crossing, mut sfu) = (Crossing::new(now), plane(now));
        let mut all = |now: Instant, deals: u32| {
            if crossing.was_dealt(deals) {
                crossing.dealt(now, deals);
            }
            for port in 1..=3 * STRANGERS_PER_SECOND as u16 {
                crossing.receive(now, path(port), &mut [0x80; 100], &mut sfu, &mut links);
            }
            passed_on(&there)
        };
        assert_eq!(all(now, 0), STRANGERS_PER_SECOND as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!(all(later, 1), 3 * STRANGERS_PER_SECOND as usize);
        assert_eq!(all(later + DEALING, 1), STRANGERS_PER_SECOND as usize);
    }

    #[test]
    fn ways_are_bounded() {
        let now = Instant::now();
        let mut crossing = Crossing::new(now);
        for n in 0..MAX_ROUTES as u32 + 100 {
            let address = SocketAddr::from((n.to_be_bytes(), 1));
            crossing.set_route(Path::Udp(address), THERE, true);
        }
        assert_eq!(crossing.routes.len(), MAX_ROUTES);
    }
}
