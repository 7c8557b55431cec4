//! The server: what comes from clients and from the media plane, and what goes to either.

use crate::allocation::{Allocation, AllocationKey, Way};
use crate::bucket::{Rate, Source, Sources};
use crate::channel;
use crate::credentials::{Revoked, Secret};
use crate::holders::{Holders, Most};
use crate::message::{self, Class, DATA, Message, Method, USERNAME, XOR_PEER_ADDRESS};
use crate::nonce::Nonces;
use crate::peers::{Family, Peers};
use slotmap::SlotMap;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Now, on both clocks: one that only runs forward, and the one that credentials are dated by.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For lifetimes and rates.
    pub now: Instant,
    /// Seconds since 1970.
    pub unix_s: u64,
}

/// What a client came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Datagrams.
    Udp,
    /// A stream, over TCP or TLS; the number is the caller's, and never used for two.
    Stream(u64),
}

/// The other end of an allocation's way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Where it is.
    pub address: SocketAddr,
    /// How it came.
    pub link: Link,
}

/// What the media plane sees of a client behind an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Relay {
    /// Which allocation.
    pub allocation: AllocationKey,
    /// To which of the media plane's addresses it sends, and from which it wants to hear.
    pub peer: u8,
    /// The address that the allocation has on its way to that peer.
    pub relayed: SocketAddr,
}

/// What a message from a client came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Nothing for the media plane; an answer may wait.
    Nothing,
    /// A packet for the media plane.
    Payload(Relay, &'a mut [u8]),
}

/// An allocation that is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Which.
    pub allocation: AllocationKey,
    /// Whose; a stream has no more use then.
    pub client: Client,
    relayed: [Option<SocketAddr>; 2],
}

/// Bounds of everything that clients can make grow; those of allocations hold for all threads together.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Allocations in all. More take memory, 1 kB each; further ones get 508.
    pub allocations: usize,
    /// Allocations of one person. A browser makes one for each of its two connections, each URL and each network
    /// interface, and twice that while ICE restarts; further ones get 486.
    pub per_person: usize,
    /// Allocations from one IPv4 address or IPv6 /64: a whole office may sit behind one; further ones get 486.
    pub per_source: usize,
    /// Bytes of one allocation each way; what is more is dropped.
    pub rate: Rate,
    /// Answers to one source that has proved nothing; what is more gets none.
    pub strangers: Rate,
    /// How long an allocation lives without a refresh.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allocations: 8_192,
            per_person: 64,
            per_source: 2_048,
            rate: Rate { per_second: 4_000_000, burst: 2_000_000 },
            strangers: Rate { per_second: 100, burst: 500 },
            lifetime: Duration::from_secs(600),
        }
    }
}

/// What the server is told at start.
pub struct Config {
    /// The word that passwords are bound to; short, as strangers are told it.
    pub realm: String,
    /// What credentials are made with.
    pub secret: Secret,
    /// Randomness for nonces and buckets.
    pub seed: [u8; 32],
    /// The media plane's own addresses.
    pub peers: Vec<SocketAddr>,
    /// Bounds.
    pub limits: Limits,
    /// Who holds how much here and on other threads.
    pub holders: Holders,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Allocations made.
    pub allocated: u64,
    /// Allocations closed because somebody was sent away.
    pub revoked: u64,
    /// Requests with credentials that are wrong, over or taken back.
    pub unauthorized: u64,
    /// Peers that are not the media plane.
    pub forbidden: u64,
    /// Allocations refused for a quota or for want of room.
    pub refused: u64,
    /// Answers to strangers that were left out: too many, or too long for the question.
    pub unanswered: u64,
    /// Packets over an allocation's rate, either way.
    pub over_rate: u64,
    /// Packets that no allocation, permission or channel stands for, either way.
    pub unrelayed: u64,
    /// Packets to the media plane.
    pub packets_in: u64,
    /// Packets from it.
    pub packets_out: u64,
}

/// Whether a datagram on a port that TURN shares with the media plane is for the server: ChannelData, TURN's methods,
/// and binding requests of nobody in particular. Checks of ICE name whom they are for, and answers are ICE's.
pub fn wants(datagram: &[u8]) -> bool {
    match datagram.first() {
        Some(0x40..0x50) => true,
        Some(0..4) if message::is_stun(datagram) => {
            let kind = u16::from_be_bytes([datagram[0], datagram[1]]);
            match kind & !0x0110 {
                1 => {
                    kind & 0x0110 == 0
                        && Message::parse(datagram)
                            .is_some_and(|message| message.attribute(USERNAME).is_none())
                }
                method => (3..=9).contains(&method),
            }
        }
        _ => false,
    }
}

/// The TURN server of one media thread.
pub struct Server {
    pub(crate) realm: String,
    pub(crate) secret: Secret,
    pub(crate) limits: Limits,
    pub(crate) nonces: Nonces,
    pub(crate) peers: Peers,
    pub(crate) revoked: Revoked,
    pub(crate) stats: Stats,
    pub(crate) allocations: SlotMap<AllocationKey, Allocation>,
    pub(crate) clients: HashMap<Client, AllocationKey>,
    sources: Sources,
    relayed: HashSet<SocketAddr>,
    holders: Holders,
    answers: VecDeque<(Client, Vec<u8>)>,
    closed: VecDeque<Closed>,
    next_port: u16,
    indications: u64,
    next_tick: Instant,
}

impl Server {
    /// A server without allocations.
    pub fn new(config: Config, now: Instant) -> Self {
        let next_port = u16::from_be_bytes([config.seed[0], config.seed[1]]);
        Self {
            nonces: Nonces::new(&config.seed),
            sources: Sources::new(now, &config.seed, config.limits.strangers),
            peers: Peers::new(&config.peers),
            realm: config.realm,
            secret: config.secret,
            limits: config.limits,
            revoked: Revoked::default(),
            stats: Stats::default(),
            allocations: SlotMap::with_key(),
            clients: HashMap::new(),
            relayed: HashSet::new(),
            holders: config.holders,
            answers: VecDeque::new(),
            closed: VecDeque::new(),
            next_port,
            indications: 0,
            next_tick: now + TICK,
        }
    }

    /// Takes one whole message of a client.
    pub fn receive<'a>(&mut self, at: Moment, from: Client, message: &'a mut [u8]) -> Received<'a> {
        let carried = match message.first() {
            Some(0x40..0x50) => self.channel_data(at.now, from, message),
            _ => match Message::parse(message) {
                None => None,
                Some(parsed) => match (parsed.class(), parsed.method()) {
                    (Class::Request, _) => {
                        self.request(at, from, &parsed);
                        return Received::Nothing;
                    }
                    (Class::Indication, Method::Send) => {
                        self.send_indication(at.now, from, &parsed)
                    }
                    // A keep-alive.
                    (Class::Indication, Method::Binding) => return Received::Nothing,
                    _ => None,
                },
            },
        };
        let Some((relay, payload)) = carried else {
            self.stats.unrelayed += 1;
            return Received::Nothing;
        };
        let rate = self.limits.rate;
        let allocation = &mut self.allocations[relay.allocation];
        if !allocation.may_carry(at.now, Way::Inward, rate, payload.len()) {
            self.stats.over_rate += 1;
            return Received::Nothing;
        }
        self.stats.packets_in += 1;
        Received::Payload(relay, &mut message[payload])
    }

    fn channel_data(
        &self,
        now: Instant,
        from: Client,
        message: &[u8],
    ) -> Option<(Relay, Range<usize>)> {
        let (number, payload) = channel::read(message)?;
        let key = *self.clients.get(&from)?;
        let peer = self.allocations[key].peer_of(now, number)?;
        Some((self.relay(key, peer)?, payload))
    }

    fn send_indication(
        &self,
        now: Instant,
        from: Client,
        message: &Message<'_>,
    ) -> Option<(Relay, Range<usize>)> {
        let known = [XOR_PEER_ADDRESS, DATA, message::DONT_FRAGMENT];
        if message.attributes().any(|a| a.kind < COMPREHENSION_OPTIONAL && !known.contains(&a.kind))
        {
            return None;
        }
        let peer = self.peers.find(message.address(XOR_PEER_ADDRESS)?)?;
        let payload = message.place(DATA)?;
        let key = *self.clients.get(&from)?;
        let is_permitted = self.allocations[key].is_permitted(now, peer);
        is_permitted.then_some((self.relay(key, peer)?, payload))
    }

    fn relay(&self, allocation: AllocationKey, peer: u8) -> Option<Relay> {
        let family = Family::of(self.peers.at(peer)?.ip());
        let relayed = self.allocations[allocation].relayed(family)?;
        Some(Relay { allocation, peer, relayed })
    }

    /// Wraps one packet of the media plane and appends it to `out`; returns whose it is. `None`, and nothing
    /// appended, when the allocation is gone or may carry no more.
    pub fn wrap(
        &mut self,
        now: Instant,
        allocation: AllocationKey,
        peer: u8,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Client> {
        let from = self.peers.at(peer);
        let (Some(found), Some(from)) = (self.allocations.get_mut(allocation), from) else {
            self.stats.unrelayed += 1;
            return None;
        };
        let channel = found.channel_of(now, peer);
        if payload.len() > MAX_PAYLOAD || !found.is_permitted(now, peer) {
            self.stats.unrelayed += 1;
            return None;
        }
        if !found.may_carry(now, Way::Outward, self.limits.rate, payload.len()) {
            self.stats.over_rate += 1;
            return None;
        }
        match channel {
            Some(number) => {
                channel::write(out, number, payload, found.client.link != Link::Udp);
            }
            None => {
                self.indications += 1;
                let mut transaction = [0; 12];
                transaction[4..].copy_from_slice(&self.indications.to_be_bytes());
                message::write_data_indication(out, &transaction, from, payload);
            }
        }
        self.stats.packets_out += 1;
        Some(found.client)
    }

    /// The next answer to a client.
    pub fn poll_answer(&mut self) -> Option<(Client, Vec<u8>)> {
        self.answers.pop_front()
    }

    /// The next allocation that is no more.
    pub fn poll_closed(&mut self) -> Option<Closed> {
        self.closed.pop_front()
    }

    /// The ways that an allocation was on.
    pub fn relays_of(&self, closed: &Closed) -> impl Iterator<Item = Relay> + use<> {
        let Closed { allocation, relayed, .. } = *closed;
        let addresses = self.peers.addresses().map(move |(peer, address)| {
            let family = Family::of(address.ip());
            Some(Relay { allocation, peer, relayed: relayed[family as usize]? })
        });
        addresses.flatten().collect::<Vec<_>>().into_iter()
    }

    /// When [`Server::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.allocations.is_empty()).then_some(self.next_tick)
    }

    /// Ends what was not refreshed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.close_where(|allocation| allocation.until <= now);
    }

    /// The media plane has other addresses from now on. What was permitted to former ones stays until it ends.
    pub fn set_peers(&mut self, peers: &[SocketAddr]) {
        self.peers.set(peers);
    }

    /// A stream has ended, and with it what was allocated over it.
    pub fn disconnected(&mut self, client: Client) {
        if let Some(key) = self.clients.get(&client).copied() {
            self.close(key);
        }
    }

    /// Sends a person away from a room: their allocations end now, and what credentials they have for it are refused.
    /// Returns how many allocations ended.
    pub fn revoke(&mut self, unix_s: u64, person: &str, room: &str) -> usize {
        self.revoked.add(unix_s, person, room);
        let ended = self
            .close_where(|allocation| *allocation.person == *person && *allocation.room == *room);
        self.stats.revoked += ended as u64;
        ended
    }

    /// Whether somebody has an allocation over that link.
    pub fn has_allocation(&self, client: Client) -> bool {
        self.clients.contains_key(&client)
    }

    /// How many allocations there are.
    pub fn len(&self) -> usize {
        self.allocations.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty()
    }

    /// What was counted since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Answers somebody who has proved who they are.
    pub(crate) fn answer(&mut self, to: Client, answer: Vec<u8>) {
        self.answers.push_back((to, answer));
    }

    /// Answers somebody who may be anybody, also somebody who is to be flooded: seldom and briefly.
    pub(crate) fn answer_stranger(
        &mut self,
        now: Instant,
        to: Client,
        question: usize,
        answer: Vec<u8>,
    ) {
        let is_brief = answer.len() <= MAX_AMPLIFICATION * question;
        if is_brief && self.sources.take(now, Source::from(to.address.ip())) {
            self.answers.push_back((to, answer));
        } else {
            self.stats.unanswered += 1;
        }
    }

    /// Takes room for one more allocation of that person from there.
    pub(crate) fn take_room(&self, person: &str, from: Client) -> Result<(), u16> {
        let most = Most {
            in_all: self.limits.allocations,
            of_person: self.limits.per_person,
            of_source: self.limits.per_source,
        };
        self.holders.take(person, Source::from(from.address.ip()), most)
    }

    /// Gives it back.
    pub(crate) fn give_back_room(&self, person: &str, from: Client) {
        self.holders.give_back(person, Source::from(from.address.ip()));
    }

    /// An address that no allocation has, of those that the media plane has; even if wanted.
    pub(crate) fn free_address(&mut self, family: Family, is_even: bool) -> Option<SocketAddr> {
        let ip: IpAddr = self.peers.relay_ip(family)?;
        for _ in 0..=u16::MAX - FIRST_PORT {
            self.next_port = self.next_port.wrapping_add(1);
            if self.next_port < FIRST_PORT {
                self.next_port = FIRST_PORT;
            }
            let address = SocketAddr::new(ip, self.next_port);
            let fits = !is_even || self.next_port.is_multiple_of(2);
            if fits && self.peers.find(address).is_none() && !self.relayed.contains(&address) {
                return Some(address);
            }
        }
        None
    }

    /// Puts an allocation in, for which room was taken.
    pub(crate) fn insert(&mut self, allocation: Allocation) -> AllocationKey {
        self.relayed.extend(allocation.relayed.iter().flatten());
        self.stats.allocated += 1;
        let client = allocation.client;
        let key = self.allocations.insert(allocation);
        self.clients.insert(client, key);
        key
    }

    pub(crate) fn close(&mut self, key: AllocationKey) {
        let Some(allocation) = self.allocations.remove(key) else { return };
        self.clients.remove(&allocation.client);
        for address in allocation.relayed.iter().flatten() {
            self.relayed.remove(address);
        }
        self.give_back_room(&allocation.person, allocation.client);
        let Allocation { client, relayed, .. } = allocation;
        self.closed.push_back(Closed { allocation: key, client, relayed });
    }

    fn close_where(&mut self, is_over: impl Fn(&Allocation) -> bool) -> usize {
        let over: Vec<AllocationKey> = self
            .allocations
            .iter()
            .filter_map(|(key, allocation)| is_over(allocation).then_some(key))
            .collect();
        over.iter().for_each(|key| self.close(*key));
        over.len()
    }
}

impl Drop for Server {
    /// Whoever had something here, as on a thread that begins anew, may have it elsewhere.
    fn drop(&mut self) {
        for allocation in self.allocations.values() {
            self.give_back_room(&allocation.person, allocation.client);
        }
    }
}

/// Attributes from here on may be ignored by who does not know them.
pub(crate) const COMPREHENSION_OPTIONAL: u16 = 0x8000;
/// An answer to a stranger is at most so many times the question.
const MAX_AMPLIFICATION: usize = 3;
/// The first of the ports that allocations have; as systems take them for clients (RFC 6335 §6).
const FIRST_PORT: u16 = 49_152;
/// Bytes of a packet that is wrapped; a full one with its wrapping fits a stream's frame.
const MAX_PAYLOAD: usize = 1_900;
/// How often allocations are looked over. Longer keeps dead ones, shorter looks for nothing.
const TICK: Duration = Duration::from_secs(1);
