//! One transport from the client's end: a socket, connectivity checks, DTLS and SRTP.

use crate::Error;
use crate::description::Description;
use crate::relay::TurnServer;
use crate::weather::{Sky, Weather};
use crate::wire::Wire;
use rand::random;
use sfu::CloseReason;
use sfu::credentials::{DtlsRole, IceCredentials, RemoteParameters};
use sfu::transport::client::ConnectivityChecks;
use sfu::transport::stun::{TransactionId, is_stun};
use sfu::transport::{Arrival, Identity, Transport, TransportEvent};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// What browsers do.
const CHECK_EVERY: Duration = Duration::from_millis(2_500);
/// Until the first check is answered.
const FIRST_CHECKS_EVERY: Duration = Duration::from_millis(50);
/// Answers that come later say nothing about now.
const MAX_ASKED: usize = 16;
/// Longer than any handshake over loopback takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A decrypted arrival.
#[derive(Debug)]
pub enum Packet<'a> {
    /// RTP.
    Rtp(&'a mut [u8]),
    /// A compound of RTCP.
    Rtcp(&'a [u8]),
}

/// The credentials of a transport before the server knows it.
pub struct Local {
    /// Certificate.
    pub identity: Identity,
    /// ICE credentials.
    pub ice: IceCredentials,
}

impl Local {
    /// Fresh ones.
    pub fn generate() -> Self {
        let identity = Identity::generate().expect("P-256 keys can be made");
        Self::with_identity(identity)
    }

    /// Fresh ICE credentials beside a certificate that is shared: many clients start faster so.
    pub fn with_identity(identity: Identity) -> Self {
        let ufrag = format!("{:08x}", random::<u32>());
        let pwd = format!("{:016x}{:016x}", random::<u64>(), random::<u64>());
        Self { identity, ice: IceCredentials { ufrag, pwd } }
    }

    /// The lines of an m-line that tell the server of them.
    pub fn lines(&self, setup: &str) -> String {
        format!(
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:{setup}\r\n",
            self.ice.ufrag,
            self.ice.pwd,
            self.identity.fingerprint()
        )
    }
}

/// A transport to the server.
pub struct Link {
    wire: Wire,
    server: SocketAddr,
    /// By which else it may be reached.
    candidates: Vec<SocketAddr>,
    transport: Transport,
    checks: ConnectivityChecks,
    next_check: Instant,
    check_every: Duration,
    /// Checks whose answers may still come, the newest first.
    asked: VecDeque<(TransactionId, Instant)>,
    round_trip: Option<Duration>,
    answers: u64,
    closed: Option<CloseReason>,
    recording: Option<Vec<Vec<u8>>>,
    sky: Option<Sky>,
    buffer: Vec<u8>,
}

impl Link {
    /// A transport that begins with its first [`Link::drive`].
    pub fn new(local: &Local, remote: RemoteParameters, server: SocketAddr) -> Result<Self, Error> {
        let now = Instant::now();
        let checks = ConnectivityChecks::new(&local.ice, &remote.ice, random());
        let mut transport =
            Transport::new(&local.identity, local.ice.clone(), DtlsRole::Client, now);
        transport.set_remote(now, remote);
        Ok(Self {
            wire: Wire::udp(server)?,
            server,
            candidates: Vec::new(),
            transport,
            checks,
            next_check: now,
            check_every: CHECK_EVERY,
            asked: VecDeque::new(),
            round_trip: None,
            answers: 0,
            closed: None,
            recording: None,
            sky: None,
            buffer: vec![0; 2_048],
        })
    }

    /// To the nearest candidate of a description.
    pub fn to(local: &Local, description: &Description) -> Result<Self, Error> {
        let mut link = Self::new(local, description.remote.clone(), description.nearest())?;
        link.candidates.clone_from(&description.candidates);
        Ok(link)
    }

    /// Goes to the candidate that a client of a server at that address would reach: there itself, else the first that is not
    /// the server's own loopback. Before anything was sent.
    pub fn aim(&mut self, server: IpAddr) -> Result<(), Error> {
        let mut away =
            self.candidates.iter().filter(|c| server.is_loopback() || !c.ip().is_loopback());
        let there = self.candidates.iter().find(|candidate| candidate.ip() == server);
        let same = |candidate: &&SocketAddr| candidate.is_ipv4() == server.is_ipv4();
        if let Some(candidate) = there.or_else(|| away.clone().find(same)).or_else(|| away.next()) {
            self.server = *candidate;
            self.wire = Wire::udp(self.server)?;
        }
        Ok(())
    }

    /// Reads everything that waits and does what is due; decrypted packets go to `each`.
    pub fn drive(&mut self, each: &mut dyn FnMut(Packet<'_>)) -> Result<(), Error> {
        loop {
            let (length, from) = match self.wire.receive(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // An ICMP answer to what we sent: the server is not there (yet, or any more).
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            if self.sky.as_mut().is_some_and(Sky::loses) {
                continue;
            }
            let mut buffer = std::mem::take(&mut self.buffer);
            self.take(Instant::now(), from, &mut buffer[..length], each);
            self.buffer = buffer;
        }
        self.tick(Instant::now())
    }

    /// Hands over the next packet that waits, encrypted as it came; false when there is none.
    pub fn read_raw(&mut self, each: &mut dyn FnMut(&mut Self, &mut [u8])) -> Result<bool, Error> {
        let length = match self.wire.receive(&mut self.buffer) {
            Ok((length, _)) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        each(self, &mut buffer[..length]);
        self.buffer = buffer;
        Ok(true)
    }

    /// Takes a datagram that somebody else has read from its socket; it is decrypted in place.
    pub fn take(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &mut [u8],
        each: &mut dyn FnMut(Packet<'_>),
    ) {
        if is_stun(datagram) {
            if let Some((transaction, _)) = self.checks.answer(datagram) {
                self.answers += 1;
                let asked = self.asked.iter().find(|(asked, _)| *asked == transaction);
                let took = asked.map(|(_, at)| now.saturating_duration_since(*at));
                self.round_trip = took.or(self.round_trip);
                self.transport.accept(now, from.into());
            }
            return;
        }
        match self.transport.receive(now, from.into(), datagram) {
            Arrival::Rtp(packet) => each(Packet::Rtp(packet)),
            Arrival::Rtcp(packet) => each(Packet::Rtcp(packet)),
            Arrival::Nothing => {}
        }
    }

    /// Does what is due without reading.
    pub fn tick(&mut self, now: Instant) -> Result<(), Error> {
        if now >= self.next_check && self.closed.is_none() {
            let pause = if self.answers > 0 { self.check_every } else { FIRST_CHECKS_EVERY };
            self.next_check = now + pause;
            self.check(true)?;
        }
        if self.transport.poll_timeout().is_some_and(|at| at <= now) {
            self.transport.handle_timeout(now);
        }
        while let Some((to, datagram)) = self.transport.poll_transmit() {
            self.send_raw_to(&datagram, to.address())?;
        }
        while let Some((datagram, to)) = self.sky.as_mut().and_then(|sky| sky.arrived(now)) {
            self.send_now(&datagram, to)?;
        }
        while let Some(event) = self.transport.poll_event() {
            match event {
                TransportEvent::Closed(reason) => self.closed = Some(reason),
                TransportEvent::Connected
                | TransportEvent::PathAccepted(_)
                | TransportEvent::PathForgotten(_) => {}
            }
        }
        Ok(())
    }

    /// Blocks until media can flow; what arrives meanwhile is dropped.
    pub fn connect(&mut self) -> Result<(), Error> {
        let end = Instant::now() + PATIENCE;
        while !self.is_connected() {
            if let Some(reason) = self.closed {
                return Err(Error::Answer(format!("the transport closed: {}", reason.as_str())));
            }
            if Instant::now() > end {
                return Err(Error::Timeout("the DTLS handshake"));
            }
            self.drive(&mut |_| {})?;
            self.wait(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Sleeps until something arrives, or at most so long.
    pub fn wait(&self, longest: Duration) {
        let mut poll = libc::pollfd { fd: self.wire.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd that outlives the call.
        unsafe { libc::poll(&raw mut poll, 1, longest.as_micros().div_ceil(1_000) as libc::c_int) };
    }

    /// Sends a connectivity check now.
    pub fn check(&mut self, nominates: bool) -> Result<(), Error> {
        let transaction = TransactionId(random());
        self.asked.truncate(MAX_ASKED - 1);
        self.asked.push_front((transaction, Instant::now()));
        let request = self.checks.request(transaction, nominates);
        self.send_raw(&request)
    }

    /// Encrypts and sends a packet whose header has `header_len` bytes; `index` counts on where its
    /// sequence number wraps. The packet's buffer is left encrypted.
    pub fn send_rtp(
        &mut self,
        packet: &mut Vec<u8>,
        header_len: usize,
        index: u64,
    ) -> Result<(), Error> {
        self.transport.seal_rtp(packet, 0, header_len, index);
        self.send_raw(packet)
    }

    /// Encrypts and sends a compound.
    pub fn send_rtcp(&mut self, compound: &mut Vec<u8>) -> Result<(), Error> {
        self.transport.seal_rtcp(compound, 0);
        self.send_raw(compound)
    }

    /// Sends a datagram as it is.
    pub fn send_raw(&mut self, datagram: &[u8]) -> Result<(), Error> {
        self.send_raw_to(datagram, self.server)
    }

    /// From now on the way to the server and back is as bad as that; chance begins at `seed`.
    pub fn set_weather(&mut self, weather: Weather, seed: u64) {
        self.sky = Some(Sky::new(weather, seed));
    }

    /// Keeps a copy of every datagram that is sent from now on, as somebody on the path could.
    pub fn record(&mut self) {
        self.recording = Some(Vec::new());
    }

    /// What was recorded.
    pub fn recorded(&mut self) -> Vec<Vec<u8>> {
        self.recording.take().unwrap_or_default()
    }

    /// Goes on from another port, as behind a NAT that forgot the old one. The old socket is closed.
    pub fn rebind(&mut self) -> Result<(), Error> {
        self.wire = Wire::udp(self.server)?;
        Ok(())
    }

    /// Goes on by a new stream (ICE-TCP). What was there before is closed.
    pub fn use_tcp(&mut self) -> Result<(), Error> {
        self.use_tcp_at(self.server)
    }

    /// The same by another of the server's ports.
    pub fn use_tcp_at(&mut self, server: SocketAddr) -> Result<(), Error> {
        self.wire = Wire::tcp(server)?;
        Ok(())
    }

    /// Goes on through a TURN server. What was there before is closed.
    pub fn use_relay(&mut self, server: &TurnServer) -> Result<(), Error> {
        self.wire = Wire::relay(server, self.server)?;
        Ok(())
    }

    /// Says goodbye.
    pub fn close(&mut self) -> Result<(), Error> {
        self.transport.close();
        self.tick(Instant::now())
    }

    /// Checks that often from now on, so that there is a round trip soon.
    pub fn check_every(&mut self, pause: Duration) {
        self.check_every = pause;
    }

    /// How long the newest check that was answered took.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Checks of ours that were answered so far.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        self.transport.is_connected()
    }

    /// Why it ended, once it has.
    pub fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// The socket, for a poll over many links.
    pub fn as_raw_fd(&self) -> RawFd {
        self.wire.as_raw_fd()
    }

    /// Where the server is.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    fn send_raw_to(&mut self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        if datagram.is_empty() {
            return Ok(());
        }
        if let Some(recording) = &mut self.recording {
            recording.push(datagram.to_vec());
        }
        if let Some(sky) = &mut self.sky {
            sky.take(Instant::now(), datagram, to);
            return Ok(());
        }
        self.send_now(datagram, to)
    }

    fn send_now(&mut self, datagram: &[u8], to: SocketAddr) -> Result<(), Error> {
        match self.wire.send(datagram, to) {
            // A full buffer loses the packet, as any network may.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            sent => Ok(sent?),
        }
    }
}
