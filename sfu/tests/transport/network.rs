//! Two transports, a server's and a client's, on a network that exists only in memory and virtual time.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use veche_sfu::credentials::{DtlsRole, IceCredentials, RemoteParameters};
use veche_sfu::path::Path;
use veche_sfu::transport::client::ConnectivityChecks;
use veche_sfu::transport::stun::{TransactionId, is_stun};
use veche_sfu::transport::{Arrival, Identity, Transport, TransportEvent};

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// A datagram as the network sees it.
#[derive(Clone, Debug)]
pub struct Datagram {
    pub way: Way,
    /// The client's address, whichever way it goes.
    pub client_address: Path,
    pub bytes: Vec<u8>,
}

impl Datagram {
    pub fn is_dtls(&self) -> bool {
        matches!(self.bytes.first(), Some(20..=63))
    }
}

/// What a test does to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Passes,
    IsLost,
    IsLate(Duration),
}

/// What arrived in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clear {
    Rtp(Vec<u8>),
    Rtcp(Vec<u8>),
}

/// One line of what happened, without lengths: ECDSA signatures vary in theirs whatever the seed.
pub type Trace = (Duration, Way, Path, u8);

/// How a network and its ends are made.
pub struct Setup {
    pub seed: u64,
    pub one_way: Duration,
    pub loss: f64,
    pub client_mtu: usize,
    pub server_role: DtlsRole,
    /// Whether the server knows the client's parameters from the beginning.
    pub is_answered: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            one_way: Duration::from_millis(10),
            loss: 0.0,
            client_mtu: 1200,
            server_role: DtlsRole::Server,
            is_answered: true,
        }
    }
}

/// The network and both ends.
pub struct Network {
    pub now: Instant,
    pub server: Transport,
    pub client: Transport,
    pub client_address: Path,
    /// Whether checks carry USE-CANDIDATE.
    pub nominates: bool,
    /// Whether the client sends checks at all.
    pub checks_run: bool,
    pub checks: ConnectivityChecks,
    pub server_events: Vec<TransportEvent>,
    pub client_events: Vec<TransportEvent>,
    pub at_server: Vec<Clear>,
    pub at_client: Vec<Clear>,
    pub trace: Vec<Trace>,
    pub client_parameters: RemoteParameters,
    began: Instant,
    one_way: Duration,
    loss: f64,
    rng: StdRng,
    next_check: Instant,
    is_checked: bool,
    transactions: u32,
    in_flight: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
    fates: Box<dyn FnMut(&Datagram) -> Fate>,
}

impl Network {
    pub fn new(setup: Setup) -> Self {
        let now = Instant::now();
        let (server_certificate, client_certificate) = certificates();
        let server_identity = Identity::for_tests(server_certificate, setup.seed, 1200);
        let client_identity =
            Identity::for_tests(client_certificate, !setup.seed, setup.client_mtu);
        let (server_ice, client_ice) = (credentials("server"), credentials("client"));
        let client_role = match setup.server_role {
            DtlsRole::Server => DtlsRole::Client,
            DtlsRole::Client => DtlsRole::Server,
        };
        let mut server =
            Transport::new(&server_identity, server_ice.clone(), DtlsRole::Server, now);
        let mut client = Transport::new(&client_identity, client_ice.clone(), client_role, now);
        let client_parameters = RemoteParameters {
            ice: client_ice.clone(),
            fingerprint: client_identity.fingerprint().clone(),
            role: setup.server_role,
        };
        if setup.is_answered {
            server.set_remote(now, client_parameters.clone());
        }
        let server_parameters = RemoteParameters {
            ice: server_ice.clone(),
            fingerprint: server_identity.fingerprint().clone(),
            role: client_role,
        };
        client.set_remote(now, server_parameters);
        Self {
            now,
            server,
            client,
            client_address: address(1),
            nominates: true,
            checks_run: true,
            checks: ConnectivityChecks::new(&client_ice, &server_ice, 7),
            server_events: Vec::new(),
            client_events: Vec::new(),
            at_server: Vec::new(),
            at_client: Vec::new(),
            trace: Vec::new(),
            client_parameters,
            began: now,
            one_way: setup.one_way,
            loss: setup.loss,
            rng: StdRng::seed_from_u64(setup.seed),
            next_check: now,
            is_checked: false,
            transactions: 0,
            in_flight: BTreeMap::new(),
            sent: 0,
            fates: Box::new(|_| Fate::Passes),
        }
    }

    /// Lets a test decide over each datagram.
    pub fn judge(&mut self, fates: impl FnMut(&Datagram) -> Fate + 'static) {
        self.fates = Box::new(fates);
    }

    pub fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    pub fn is_connected(&self) -> bool {
        self.server.is_connected() && self.client.is_connected()
    }

    /// Runs until both ends are connected; whether they were in time.
    pub fn connect_within(&mut self, limit: Duration) -> bool {
        self.run_until(limit, Network::is_connected)
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until something is the case; whether it was in time.
    pub fn run_until(&mut self, limit: Duration, is_done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.collect();
        while !is_done(self) {
            let at = self.next_event().min(end);
            self.now = self.now.max(at);
            if self.now >= end {
                return is_done(self);
            }
            self.step();
        }
        true
    }

    /// Sends an RTP packet from the server, sealed.
    pub fn server_sends_rtp(&mut self, packet: &[u8], index: u64) {
        let mut slab = packet.to_vec();
        self.server.seal_rtp(&mut slab, 0, 12, index);
        let to = self.server.remote_path().expect("the client is known");
        self.send(Way::ToClient, to, slab);
    }

    /// Sends an RTP packet from the client's present address, sealed.
    pub fn client_sends_rtp(&mut self, packet: &[u8], index: u64) {
        let sealed = self.client_seals(packet, index);
        self.send(Way::ToServer, self.client_address, sealed);
    }

    pub fn client_seals(&mut self, packet: &[u8], index: u64) -> Vec<u8> {
        let mut slab = packet.to_vec();
        self.client.seal_rtp(&mut slab, 0, 12, index);
        slab
    }

    /// A new check, for tests that send it themselves.
    pub fn check(&mut self, nominates: bool) -> Vec<u8> {
        let transaction = self.transaction();
        self.checks.request(transaction, nominates)
    }

    /// Gives the server a datagram past the network; the answers that it causes.
    pub fn inject(&mut self, from: Path, bytes: &[u8]) -> Vec<(Path, Vec<u8>)> {
        let mut bytes = bytes.to_vec();
        if let Some(clear) = clear(self.server.receive(self.now, from, &mut bytes)) {
            self.at_server.push(clear);
        }
        self.server_events.extend(std::iter::from_fn(|| self.server.poll_event()));
        std::iter::from_fn(|| self.server.poll_transmit()).collect()
    }

    /// Sends a datagram through the network.
    pub fn send(&mut self, way: Way, client_address: Path, bytes: Vec<u8>) {
        let datagram = Datagram { way, client_address, bytes };
        let is_unlucky = self.rng.random_bool(self.loss);
        let late = match (self.fates)(&datagram) {
            Fate::Passes => Duration::ZERO,
            Fate::IsLost => return,
            Fate::IsLate(late) => late,
        };
        if !is_unlucky {
            self.sent += 1;
            self.in_flight.insert((self.now + self.one_way + late, self.sent), datagram);
        }
    }

    fn next_event(&self) -> Instant {
        let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
        let timers = [self.server.poll_timeout(), self.client.poll_timeout()];
        let check = self.checks_run.then_some(self.next_check);
        let all = timers.into_iter().chain([arrival, check]).flatten();
        all.min().unwrap_or(self.now + Duration::from_secs(3600))
    }

    fn step(&mut self) {
        while let Some(entry) = self.in_flight.first_entry()
            && entry.key().0 <= self.now
        {
            let datagram = entry.remove();
            self.deliver(datagram);
            self.collect();
        }
        if self.checks_run && self.next_check <= self.now {
            let check = self.check(self.nominates);
            self.send(Way::ToServer, self.client_address, check);
            let pause = if self.is_checked { 2500 } else { 50 };
            self.next_check = self.now + Duration::from_millis(pause);
        }
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            self.server.handle_timeout(self.now);
        }
        if self.client.poll_timeout().is_some_and(|at| at <= self.now) {
            self.client.handle_timeout(self.now);
        }
        self.collect();
    }

    fn deliver(&mut self, datagram: Datagram) {
        let Datagram { way, client_address, mut bytes } = datagram;
        let kind = bytes.first().copied().unwrap_or_default();
        self.trace.push((self.elapsed(), way, client_address, kind));
        match way {
            Way::ToServer => {
                let arrival = self.server.receive(self.now, client_address, &mut bytes);
                self.at_server.extend(clear(arrival));
            }
            // What goes to an address that the client left is lost.
            Way::ToClient if client_address != self.client_address => {}
            Way::ToClient if is_stun(&bytes) => {
                if self.checks.answer(&bytes).is_some() {
                    self.is_checked = true;
                    self.client.accept(self.now, server_address());
                }
            }
            Way::ToClient => {
                let arrival = self.client.receive(self.now, server_address(), &mut bytes);
                self.at_client.extend(clear(arrival));
            }
        }
    }

    fn collect(&mut self) {
        self.server_events.extend(std::iter::from_fn(|| self.server.poll_event()));
        self.client_events.extend(std::iter::from_fn(|| self.client.poll_event()));
        while let Some((to, bytes)) = self.server.poll_transmit() {
            self.send(Way::ToClient, to, bytes);
        }
        while let Some((_, bytes)) = self.client.poll_transmit() {
            self.send(Way::ToServer, self.client_address, bytes);
        }
    }

    fn transaction(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }
}

/// An RTP packet of one SSRC, its payload telling the sequence number.
pub fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(format!("payload {sequence}").as_bytes());
    packet
}

/// A receiver report.
pub fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet
}

/// One of the addresses that a client may have.
pub fn address(number: u8) -> Path {
    Path::Udp(([192, 0, 2, number], 5000).into())
}

pub fn server_address() -> Path {
    Path::Udp(([198, 51, 100, 1], 8443).into())
}

pub fn credentials(name: &str) -> IceCredentials {
    IceCredentials { ufrag: name.to_owned(), pwd: format!("the password of {name}, long enough") }
}

/// The same for the whole run of the tests: keys cannot be made from a seed.
pub fn certificates() -> (dimpl::DtlsCertificate, dimpl::DtlsCertificate) {
    static CERTIFICATES: OnceLock<(dimpl::DtlsCertificate, dimpl::DtlsCertificate)> =
        OnceLock::new();
    let make = || dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
    CERTIFICATES.get_or_init(|| (make(), make())).clone()
}

fn clear(arrival: Arrival<'_>) -> Option<Clear> {
    match arrival {
        Arrival::Nothing => None,
        Arrival::Rtp(packet) => Some(Clear::Rtp(packet.to_vec())),
        Arrival::Rtcp(packet) => Some(Clear::Rtcp(packet.to_vec())),
    }
}
