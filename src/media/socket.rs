//! The media socket: batched where the system can, datagram by datagram elsewhere.

#[cfg(target_os = "linux")]
use super::batched::BatchedSocket;
use super::portable::PortableSocket;
use mio::{Interest, Poll, Token};
use sfu::Transmits;
use socket2::Socket;
use std::io;
use std::net::SocketAddr;

/// A bound UDP socket and its way of moving datagrams.
pub enum MediaSocket {
    /// recvmmsg, sendmmsg and UDP_SEGMENT.
    #[cfg(target_os = "linux")]
    Batched(BatchedSocket),
    /// One system call per datagram.
    Portable(PortableSocket),
}

impl MediaSocket {
    /// Takes a bound, non-blocking socket; `batched` asks for batches where the system has them.
    pub fn new(socket: Socket, batched: bool) -> Self {
        #[cfg(target_os = "linux")]
        if batched {
            return MediaSocket::Batched(BatchedSocket::new(socket));
        }
        let _ = batched;
        MediaSocket::Portable(PortableSocket::new(socket))
    }

    /// Asks to be told when there is something to receive.
    pub fn register(&mut self, poll: &Poll, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            #[cfg(target_os = "linux")]
            MediaSocket::Batched(socket) => socket.register(poll, token, interest),
            MediaSocket::Portable(socket) => socket.register(poll, token, interest),
        }
    }

    /// Takes one batch of datagrams. True when the batch was full, so that there may be more.
    pub fn receive(&mut self, each: impl FnMut(SocketAddr, &mut [u8])) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            MediaSocket::Batched(socket) => socket.receive(each),
            MediaSocket::Portable(socket) => socket.receive(each),
        }
    }

    /// Sends everything; what the system refuses is dropped and counted: this is UDP, and waiting would
    /// delay everybody else.
    pub fn send(&mut self, transmits: &Transmits) {
        match self {
            #[cfg(target_os = "linux")]
            MediaSocket::Batched(socket) => socket.send(transmits),
            MediaSocket::Portable(socket) => socket.send(transmits),
        }
    }

    /// Sends dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            MediaSocket::Batched(socket) => socket.take_dropped(),
            MediaSocket::Portable(socket) => socket.take_dropped(),
        }
    }
}
