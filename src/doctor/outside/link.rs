//! One transport from the client's end: checks, DTLS and SRTP over a datagram socket or a stream. Blocks its thread.

use super::sdp::Remote;
use rand::random;
use sfu::credentials::{DtlsRole, IceCredentials};
use sfu::transport::client::ConnectivityChecks;
use sfu::transport::stun::{TransactionId, is_stun};
use sfu::transport::{Arrival, Transport};
use sfu::{Identity, Path, framing};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// A transport.
pub struct Link {
    wire: Wire,
    server: SocketAddr,
    transport: Transport,
    checks: ConnectivityChecks,
    next_check: Instant,
    asked: Vec<(TransactionId, Instant)>,
    round_trip: Option<Duration>,
}

enum Wire {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, unread: Vec<u8> },
}

/// What arrived.
pub enum Packet<'a> {
    Rtp(&'a [u8]),
    Rtcp(&'a [u8]),
}

impl Link {
    /// Opens a socket towards an address of the server's.
    pub fn open(
        identity: &Identity,
        ice: &IceCredentials,
        remote: &Remote,
        server: SocketAddr,
        is_tcp: bool,
    ) -> io::Result<Self> {
        let now = Instant::now();
        let checks = ConnectivityChecks::new(ice, &remote.parameters.ice, random());
        let mut transport = Transport::new(identity, ice.clone(), DtlsRole::Client, now);
        transport.set_remote(now, remote.parameters.clone());
        let wire = match is_tcp {
            true => {
                let stream = TcpStream::connect_timeout(&server, CONNECT_PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(NAP))?;
                Wire::Tcp { stream, unread: Vec::new() }
            }
            false => {
                let any: SocketAddr = match server {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.set_nonblocking(true)?;
                // What comes while this thread is away must not count as lost by the network.
                socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
                Wire::Udp(socket)
            }
        };
        Ok(Self {
            wire,
            server,
            transport,
            checks,
            next_check: now,
            asked: Vec::new(),
            round_trip: None,
        })
    }

    /// Waits until media can flow; how far it came where it cannot.
    pub fn connect(&mut self) -> Result<(), Stopped> {
        let end = Instant::now() + CONNECT_PATIENCE;
        while !self.transport.is_connected() {
            if Instant::now() > end {
                return Err(if self.round_trip.is_some() {
                    Stopped::Handshake
                } else {
                    Stopped::Silent
                });
            }
            self.drive(&mut |_| {}).map_err(|_| Stopped::Silent)?;
            std::thread::sleep(NAP);
        }
        Ok(())
    }

    /// Reads what has come, and does what is due.
    pub fn drive(&mut self, each: &mut dyn FnMut(Packet<'_>)) -> io::Result<()> {
        let now = Instant::now();
        if now >= self.next_check {
            self.next_check =
                now + if self.round_trip.is_some() { CHECK_EVERY } else { FIRST_CHECKS_EVERY };
            let transaction = TransactionId(random());
            self.asked.truncate(MAX_ASKED);
            self.asked.insert(0, (transaction, now));
            let check = self.checks.request(transaction, true);
            self.send(&check)?;
        }
        let mut buffer = [0; 2048];
        while let Some(length) = self.receive(&mut buffer)? {
            let now = Instant::now();
            let datagram = &mut buffer[..length];
            if is_stun(datagram) {
                if let Some((transaction, _)) = self.checks.answer(datagram) {
                    let asked = self.asked.iter().find(|(asked, _)| *asked == transaction);
                    self.round_trip = asked.map(|(_, at)| now - *at).or(self.round_trip);
                    self.transport.accept(now, Path::Udp(self.server));
                }
            } else {
                match self.transport.receive(now, Path::Udp(self.server), datagram) {
                    Arrival::Rtp(packet) => each(Packet::Rtp(packet)),
                    Arrival::Rtcp(packet) => each(Packet::Rtcp(packet)),
                    Arrival::Nothing => {}
                }
            }
        }
        if self.transport.poll_timeout().is_some_and(|at| at <= Instant::now()) {
            self.transport.handle_timeout(Instant::now());
        }
        while let Some((_, datagram)) = self.transport.poll_transmit() {
            self.send(&datagram)?;
        }
        while self.transport.poll_event().is_some() {}
        Ok(())
    }

    /// Encrypts and sends an RTP packet whose header has 12 bytes.
    pub fn send_rtp(&mut self, mut packet: Vec<u8>, index: u64) -> io::Result<()> {
        self.transport.seal_rtp(&mut packet, 0, 12, index);
        self.send(&packet)
    }

    /// The newest round trip of a check.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Says goodbye.
    pub fn close(mut self) {
        self.transport.close();
        while let Some((_, datagram)) = self.transport.poll_transmit() {
            self.send(&datagram).ok();
        }
    }

    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        if datagram.is_empty() {
            return Ok(());
        }
        match &mut self.wire {
            // What cannot be sent is lost, as on any network; what is too large for it is what we want to know.
            Wire::Udp(socket) => drop(socket.send_to(datagram, self.server)),
            Wire::Tcp { stream, .. } => {
                let mut frame = Vec::with_capacity(framing::HEADER + datagram.len());
                if framing::write(&mut frame, datagram) {
                    stream.write_all(&frame)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match &mut self.wire {
            Wire::Udp(socket) => loop {
                match socket.recv_from(buffer) {
                    Ok((length, from)) if from == self.server => return Ok(Some(length)),
                    // A stranger, or an ICMP answer to what was sent: nobody is there (yet).
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                    Err(error) => return Err(error),
                }
            },
            Wire::Tcp { stream, unread } => loop {
                let frame = framing::first(unread, buffer.len());
                let frame = frame.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                if let Some(frame) = frame {
                    let length = frame.len();
                    buffer[..length].copy_from_slice(&unread[frame.clone()]);
                    unread.drain(..frame.end);
                    return Ok(Some(length));
                }
                let mut bytes = [0; 8192];
                match stream.read(&mut bytes) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(count) => unread.extend_from_slice(&bytes[..count]),
                    Err(error)
                        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                    {
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                }
            },
        }
    }
}

/// How far a transport came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Not even a check was answered.
    Silent,
    /// Checks are answered, larger packets of the handshake are not.
    Handshake,
}

/// What browsers do; faster, so that a few seconds give a round trip.
const CHECK_EVERY: Duration = Duration::from_millis(500);
const FIRST_CHECKS_EVERY: Duration = Duration::from_millis(200);
/// Each step of ICE and DTLS is tried again within a second.
const CONNECT_PATIENCE: Duration = Duration::from_secs(6);
/// Packets are sent and read on time to within this.
const NAP: Duration = Duration::from_millis(1);
/// Some seconds of what is measured.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Checks whose answers may still come.
const MAX_ASKED: usize = 16;
