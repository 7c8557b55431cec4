//! The media port: one number for datagrams and for streams.

use anyhow::{Context, bail};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

/// Socket buffers asked for: about 3,500 full packets. Larger hides a stuck thread, smaller loses bursts.
pub const SOCKET_BUFFER: usize = 4 * 1024 * 1024;
/// Connections that wait to be taken; a class joins in one second. The kernel cuts it to its own limit.
const BACKLOG: i32 = 1_024;
/// Ports to try when any will do and streams need the same number.
const FREE_PORT_TRIES: usize = 32;

/// The media port's sockets.
pub struct Ports {
    /// For datagrams.
    pub datagrams: Socket,
    /// For streams, where they are wanted.
    pub streams: Option<TcpListener>,
    /// The number that both have.
    pub port: u16,
}

impl Ports {
    /// Binds `port`, or one that is free for both where it is 0.
    ///
    /// # Errors
    /// When either is in use or forbidden.
    pub fn bind(port: u16, with_streams: bool) -> anyhow::Result<Self> {
        for _ in 0..FREE_PORT_TRIES {
            let datagrams = datagrams(port)
                .with_context(|| format!("UDP port {port} for media cannot be bound"))?;
            let taken = local_port(&datagrams)?;
            if !with_streams {
                return Ok(Self { datagrams, streams: None, port: taken });
            }
            match streams(taken) {
                Ok(streams) => {
                    return Ok(Self { datagrams, streams: Some(streams), port: taken });
                }
                // The kernel gave a port that is free for datagrams only.
                Err(error) if error.kind() == ErrorKind::AddrInUse && port == 0 => {}
                Err(error) => {
                    return Err(anyhow::Error::new(error).context(format!(
                        "TCP port {taken} for media cannot be bound; MEDIA_TCP=false does without"
                    )));
                }
            }
        }
        bail!("cannot find a port for media that is free for UDP and for TCP")
    }
}

/// One more socket on the port of a socket that shares it.
pub fn another(address: &SockAddr) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(true)?;
    socket.bind(address)?;
    socket.set_nonblocking(true)?;
    enlarge(&socket);
    Ok(socket)
}

/// Streams to all addresses, as far as the system has IPv6.
fn streams(port: u16) -> io::Result<TcpListener> {
    let listen = |domain, address: SocketAddr| -> io::Result<TcpListener> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        // Connections of the process before us may linger; its listening socket may not.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    match listen(Domain::IPV6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        Err(_) => listen(Domain::IPV4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
    }
}

/// One socket for IPv4 and IPv6, or for IPv4 alone where the system has no IPv6.
fn datagrams(port: u16) -> io::Result<Socket> {
    let dual = || -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(false)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        Ok(socket)
    };
    let socket = match dual() {
        Ok(socket) => socket,
        Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(error),
        Err(_) => {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
            socket
        }
    };
    socket.set_nonblocking(true)?;
    enlarge(&socket);
    Ok(socket)
}

/// The default buffer holds about 90 packets, one keyframe of a busy room.
fn enlarge(socket: &Socket) {
    let asked = socket
        .set_recv_buffer_size(SOCKET_BUFFER)
        .and_then(|()| socket.set_send_buffer_size(SOCKET_BUFFER));
    #[cfg(target_os = "linux")]
    super::batched::force_buffers(socket, SOCKET_BUFFER);
    let granted = socket.recv_buffer_size().unwrap_or(0);
    if asked.is_err() || granted < SOCKET_BUFFER {
        tracing::warn!(
            granted,
            "the media socket's buffer is small: raise net.core.rmem_max and wmem_max to {SOCKET_BUFFER}"
        );
    }
}

fn local_port(socket: &Socket) -> anyhow::Result<u16> {
    let address = socket.local_addr()?.as_socket().context("the media socket has no address")?;
    Ok(address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_port_is_the_same_one_for_both() {
        let ports = Ports::bind(0, true).expect("a free port");
        let streams = ports.streams.expect("streams are wanted");
        assert_eq!(streams.local_addr().expect("it is bound").port(), ports.port);
        assert_eq!(local_port(&ports.datagrams).expect("it is bound"), ports.port);
    }

    #[test]
    fn a_port_that_streams_cannot_have_is_told_with_the_way_out() {
        let held = Ports::bind(0, true).expect("a free port");
        drop(held.datagrams);
        let error = Ports::bind(held.port, true).err().expect("TCP is taken").to_string();
        assert!(error.contains(&format!("TCP port {}", held.port)), "{error}");
        assert!(error.contains("MEDIA_TCP=false"), "{error}");
        assert!(Ports::bind(held.port, false).is_ok());
    }
}
