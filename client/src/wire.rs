//! What carries a link's datagrams: a UDP socket, or a stream with a length in front of each (RFC 4571).

use crate::Error;
use crate::relay::{RelayWire, TurnServer};
use sfu::framing;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// What a subscriber of many streams may find waiting when its thread was away.
const RECEIVE_BUFFER: usize = 4 << 20;
/// For a handshake with the other side of the world.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);
/// Bytes of the longest packet that the server may send.
const MAX_PACKET: usize = 2_048;

/// A socket that does not block.
pub enum Wire {
    /// Datagrams.
    Udp(UdpSocket),
    /// Frames on a stream.
    Tcp(Box<Stream>),
    /// Messages of TURN.
    Relay(Box<RelayWire>),
}

/// A stream and what of it is under way.
pub struct Stream {
    io: TcpStream,
    server: SocketAddr,
    unread: Vec<u8>,
    /// Where in it the next packet begins.
    next: usize,
    unsent: Vec<u8>,
}

impl Wire {
    /// A new UDP socket, from which that server can be reached: on loopback it stays there.
    pub fn udp(server: SocketAddr) -> Result<Self, Error> {
        let local: IpAddr = match server.ip() {
            ip if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((local, 0))?;
        socket.set_nonblocking(true)?;
        // More than the limit allows is cut to the limit.
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(Wire::Udp(socket))
    }

    /// A new stream.
    pub fn tcp(server: SocketAddr) -> Result<Self, Error> {
        let io = TcpStream::connect_timeout(&server, CONNECT_PATIENCE)?;
        io.set_nodelay(true)?;
        io.set_nonblocking(true)?;
        Ok(Wire::Tcp(Box::new(Stream {
            io,
            server,
            unread: Vec::new(),
            next: 0,
            unsent: Vec::new(),
        })))
    }

    /// A new allocation on a TURN server.
    pub fn relay(server: &TurnServer, peer: SocketAddr) -> Result<Self, Error> {
        Ok(Wire::Relay(Box::new(RelayWire::allocate(server, peer)?)))
    }

    /// The next packet, whole; `WouldBlock` when there is none.
    pub fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        match self {
            Wire::Udp(socket) => socket.recv_from(buffer),
            Wire::Tcp(stream) => stream.receive(buffer),
            Wire::Relay(relay) => relay.receive(buffer),
        }
    }

    /// Sends one packet. What a socket has no room for is lost; a stream keeps it.
    pub fn send(&mut self, packet: &[u8], to: SocketAddr) -> std::io::Result<()> {
        match self {
            // What cannot be sent is lost, as on any network: a full buffer, a firewall, a port that nobody holds.
            Wire::Udp(socket) => {
                socket.send_to(packet, to).ok();
                Ok(())
            }
            Wire::Tcp(stream) => {
                // One that is too long for a length in front of it is no packet of ours.
                if framing::write(&mut stream.unsent, packet) { stream.flush() } else { Ok(()) }
            }
            Wire::Relay(relay) => relay.send(packet),
        }
    }
}

impl Stream {
    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        self.flush()?;
        loop {
            let unread = &self.unread[self.next..];
            let packet = framing::first(unread, MAX_PACKET)
                .map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
            if let Some(packet) = packet {
                let length = packet.len();
                buffer[..length].copy_from_slice(&unread[packet.clone()]);
                self.next += packet.end;
                return Ok((length, self.server));
            }
            self.unread.drain(..self.next);
            self.next = 0;
            let mut bytes = [0; 16 * 1024];
            match self.io.read(&mut bytes)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.unread.extend_from_slice(&bytes[..count]),
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while !self.unsent.is_empty() {
            match self.io.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsRawFd for Wire {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Wire::Udp(socket) => socket.as_raw_fd(),
            Wire::Tcp(stream) => stream.io.as_raw_fd(),
            Wire::Relay(relay) => relay.as_raw_fd(),
        }
    }
}
