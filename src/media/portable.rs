//! UDP one datagram at a time, for systems without recvmmsg and sendmmsg.

use mio::net::UdpSocket;
use mio::{Interest, Poll, Token};
use sfu::Transmits;
use socket2::Socket;
use std::io;
use std::net::SocketAddr;

/// Datagrams taken before others get a turn.
const BATCH: usize = 64;
/// Bytes of the largest datagram taken.
const DATAGRAM: usize = 2_048;

/// The media socket with its reused buffer.
pub struct PortableSocket {
    socket: UdpSocket,
    is_v6: bool,
    dropped: u64,
    buffer: Box<[u8; DATAGRAM]>,
}

impl PortableSocket {
    /// Takes a bound, non-blocking socket.
    pub fn new(socket: Socket) -> Self {
        let is_v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
        let socket = UdpSocket::from_std(socket.into());
        Self { socket, is_v6, dropped: 0, buffer: Box::new([0; DATAGRAM]) }
    }

    /// Asks to be told when there is something to receive.
    pub fn register(&mut self, poll: &Poll, token: Token, interest: Interest) -> io::Result<()> {
        poll.registry().register(&mut self.socket, token, interest)
    }

    /// Takes one batch of datagrams. True when the batch was full, so that there may be more.
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddr, &mut [u8])) -> bool {
        for _ in 0..BATCH {
            let Ok((length, from)) = self.socket.recv_from(&mut self.buffer[..]) else {
                return false;
            };
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            each(from, &mut self.buffer[..length]);
        }
        true
    }

    /// Sends everything; what the system refuses is dropped and counted.
    pub fn send(&mut self, transmits: &Transmits) {
        for (to, run) in transmits.udp_runs() {
            let to = match to {
                SocketAddr::V4(v4) if self.is_v6 => {
                    SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port()))
                }
                to => to,
            };
            for datagram in run.bytes.chunks(run.segment) {
                if self.socket.send_to(datagram, to).is_err() {
                    self.dropped += 1;
                }
            }
        }
    }

    /// Datagrams dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}
