//! What a stream's bytes come and go by: TCP, bare or with TLS around it.

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;
use std::io::{self, ErrorKind, Read, Write};

/// Bytes put into TLS at once: one record. More would wait inside of it, where nothing can be dropped.
const RECORD: usize = 16 * 1024;

/// A socket that does not block.
pub enum Io {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS whose handshake somebody else has held. It is driven here, on the media thread, so that a packet wakes nobody
    /// else and every queue that it can wait in is ours: a task between would add a hop, a copy and a buffer each way.
    Tls(Box<Tls>),
}

/// A TLS connection and its socket.
pub struct Tls {
    socket: TcpStream,
    session: ServerConnection,
}

impl Io {
    /// Takes a session over, with whatever it has read and not yet given out.
    pub fn tls(socket: TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(2 * RECORD));
        Io::Tls(Box::new(Tls { socket, session }))
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Io::Plain(socket) => socket,
            Io::Tls(tls) => &tls.socket,
        }
    }

    /// Asks to be told when there is something to read or room to write.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(self.socket_mut(), token, interest)
    }

    /// Stops being told.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.socket_mut())
    }

    fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Io::Plain(socket) => socket,
            Io::Tls(tls) => &mut tls.socket,
        }
    }

    /// Whether a read that gives less than was asked for has emptied the socket.
    pub fn tells_emptiness(&self) -> bool {
        matches!(self, Io::Plain(_))
    }
}

impl Read for Io {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Io::Plain(socket) => socket.read(buffer),
            Io::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Io {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Io::Plain(socket) => socket.write(bytes),
            Io::Tls(tls) => tls.write(bytes),
        }
    }

    /// Writes what TLS has still inside.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Io::Plain(_) => Ok(()),
            Io::Tls(tls) => tls.drain(),
        }
    }
}

impl Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Bytes, or the end.
                read => return read,
            }
            if self.session.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            if let Err(error) = self.session.process_new_packets() {
                // The alert that tells why; nobody waits for it.
                let _ = self.drain();
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }

    /// Takes bytes once the record before has left, so that a packet waits where it could be dropped.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.drain()?;
        let taken = self.session.writer().write(&bytes[..bytes.len().min(RECORD)])?;
        match self.drain() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }
}
