//! What carries a link's datagrams where nothing else is let out: an allocation on a TURN server, by datagrams or by a
//! stream, with one channel bound to the media plane.

use crate::Error;
use rand::random;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;
use turn::channel::{self, Frame};
use turn::message::{self as m, Class, Integrity, LongTermKey, Message, Method, Writer};

/// For one answer; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(5);
/// The only channel.
const CHANNEL: u16 = 0x4000;

/// A TURN server and what opens it.
#[derive(Clone, Debug)]
pub struct TurnServer {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it is reached by a stream.
    pub by_stream: bool,
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// A socket with an allocation behind it.
pub struct RelayWire {
    io: Io,
    peer: SocketAddr,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    /// The request that ends the allocation: another client may get this socket's port next.
    farewell: Vec<u8>,
}

enum Io {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl RelayWire {
    /// Makes an allocation and binds its channel to the media plane at `peer`.
    ///
    /// # Errors
    /// When the server refuses, with its code, or says nothing.
    pub fn allocate(server: &TurnServer, peer: SocketAddr) -> Result<Self, Error> {
        let io = if server.by_stream {
            let stream = TcpStream::connect(server.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Io::Tcp(stream)
        } else {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(server.address)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
            Io::Udp(socket)
        };
        let (unread, unsent, farewell) = (Vec::new(), Vec::new(), Vec::new());
        let mut wire = Self { io, peer, unread, unsent, farewell };
        let udp = [17, 0, 0, 0];
        let ask = |writer: &mut Writer| {
            writer.attribute(m::REQUESTED_TRANSPORT, &udp);
        };
        let challenge = wire.ask(Method::Allocate, ask, |_| {})?;
        let (realm, nonce) = {
            let message = parsed(&challenge)?;
            let word = |kind| message.attribute(kind).map(|word| word.value.to_vec());
            word(m::REALM).zip(word(m::NONCE)).ok_or_else(|| refused(&challenge))?
        };
        let realm = String::from_utf8(realm).map_err(|_| refused(&challenge))?;
        let key = LongTermKey::new(&server.username, &realm, &server.password);
        let sign = |writer: &mut Writer| {
            writer.attribute(m::USERNAME, server.username.as_bytes());
            writer.attribute(m::REALM, realm.as_bytes()).attribute(m::NONCE, &nonce);
            writer.integrity(Integrity::Sha1, &key);
        };
        let bind = |writer: &mut Writer| {
            writer.attribute(m::CHANNEL_NUMBER, &[CHANNEL.to_be_bytes(), [0; 2]].concat());
            writer.address(m::XOR_PEER_ADDRESS, peer);
        };
        for answer in
            [wire.ask(Method::Allocate, ask, sign)?, wire.ask(Method::ChannelBind, bind, sign)?]
        {
            if parsed(&answer)?.class() != Class::Success {
                return Err(refused(&answer));
            }
        }
        let mut farewell = Writer::new(Method::Refresh, Class::Request, random());
        farewell.attribute(m::LIFETIME, &0u32.to_be_bytes());
        sign(&mut farewell);
        wire.farewell = farewell.finish(false);
        match &wire.io {
            Io::Udp(socket) => socket.set_nonblocking(true)?,
            Io::Tcp(stream) => stream.set_nonblocking(true)?,
        }
        Ok(wire)
    }

    fn ask(
        &mut self,
        method: Method,
        content: impl Fn(&mut Writer),
        sign: impl Fn(&mut Writer),
    ) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(method, Class::Request, random());
        content(&mut writer);
        sign(&mut writer);
        self.write(&writer.finish(false))?;
        let mut buffer = [0; 2_048];
        let length = self.read_message(&mut buffer)?;
        Ok(buffer[..length].to_vec())
    }

    /// The next packet of the media plane; `WouldBlock` when there is none.
    pub fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
        loop {
            let length = self.read_message(buffer)?;
            // Anything else is an answer to nobody.
            if let Some((CHANNEL, payload)) = channel::read(&buffer[..length]) {
                let length = payload.len();
                buffer.copy_within(payload, 0);
                return Ok((length, self.peer));
            }
        }
    }

    /// Sends one packet to the media plane.
    pub fn send(&mut self, packet: &[u8]) -> std::io::Result<()> {
        let mut message = Vec::with_capacity(packet.len() + channel::HEADER + 3);
        channel::write(&mut message, CHANNEL, packet, matches!(self.io, Io::Tcp(_)));
        self.write(&message)
    }

    fn write(&mut self, message: &[u8]) -> std::io::Result<()> {
        match &mut self.io {
            Io::Udp(socket) => socket.send(message).map(drop),
            Io::Tcp(_) => {
                self.unsent.extend_from_slice(message);
                self.flush()
            }
        }
    }

    fn read_message(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.flush()?;
        loop {
            let stream = match &mut self.io {
                Io::Udp(socket) => return socket.recv(buffer),
                Io::Tcp(stream) => stream,
            };
            match channel::frame(&self.unread) {
                Frame::Whole { length, next } => {
                    buffer[..length].copy_from_slice(&self.unread[..length]);
                    self.unread.drain(..next);
                    return Ok(length);
                }
                Frame::Broken => return Err(ErrorKind::InvalidData.into()),
                Frame::Incomplete => {}
            }
            let mut bytes = [0; 16 * 1024];
            match stream.read(&mut bytes)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.unread.extend_from_slice(&bytes[..count]),
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let Io::Tcp(stream) = &mut self.io else { return Ok(()) };
        while !self.unsent.is_empty() {
            match stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for RelayWire {
    fn drop(&mut self) {
        let farewell = std::mem::take(&mut self.farewell);
        if !farewell.is_empty() {
            // A server that does not hear it ends the allocation by its lifetime.
            self.write(&farewell).ok();
        }
    }
}

impl AsRawFd for RelayWire {
    fn as_raw_fd(&self) -> RawFd {
        match &self.io {
            Io::Udp(socket) => socket.as_raw_fd(),
            Io::Tcp(stream) => stream.as_raw_fd(),
        }
    }
}

fn parsed(answer: &[u8]) -> Result<Message<'_>, Error> {
    Message::parse(answer).ok_or_else(|| Error::Answer("no answer of TURN".into()))
}

/// An error by its code, as a status of HTTP has one.
fn refused(answer: &[u8]) -> Error {
    let message = Message::parse(answer);
    let code = message.and_then(|message| message.attribute(m::ERROR_CODE));
    // Words may follow.
    let status = match code.map(|code| code.value) {
        Some([_, _, class, number, ..]) => u16::from(*class & 7) * 100 + u16::from(*number),
        _ => 0,
    };
    Error::Refused { status, body: "by the TURN server".into() }
}
