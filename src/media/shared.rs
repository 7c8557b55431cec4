//! One UDP port for several threads. The system deals what comes out among their sockets by the sender's address, so what is for
//! another thread is passed on; a thread that is stuck gets nothing more.

use super::ports::another;
use anyhow::Context;
use socket2::{Domain, Socket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The sockets of a port that several threads share, as seen by whoever looks after them.
pub struct SharedPort {
    sockets: Mutex<Vec<Shared>>,
    deals: AtomicU32,
}

struct Shared {
    socket: Socket,
    is_shut: bool,
    /// It is shut only until its thread goes on.
    is_aside: bool,
}

impl SharedPort {
    /// `count` sockets on the port of `first`, which is one of them; they are for those who read.
    ///
    /// # Errors
    /// When the system has no further socket on that port.
    pub fn of(first: Socket, count: usize) -> anyhow::Result<(Self, Vec<Socket>)> {
        // The first was bound alone, so that nobody else holds the port; from now on it may be shared, and only by
        // sockets that ask for it as well.
        first.set_reuse_port(true).context("the system cannot share a UDP port")?;
        let address = first.local_addr().context("the media socket has no address")?;
        let mut sockets = vec![first];
        while sockets.len() < count {
            let socket = another(&address).with_context(|| {
                format!(
                    "the system has no further socket on the UDP port for media; MEDIA_SINGLE_PORT=false takes a port for each of {count} threads"
                )
            })?;
            sockets.push(socket);
        }
        let shared: Result<Vec<Shared>, _> = sockets
            .iter()
            .map(|socket| Ok::<_, std::io::Error>(Shared::open(socket.try_clone()?)))
            .collect();
        let shared = shared.context("no further descriptors for the media sockets")?;
        Ok((Self { sockets: Mutex::new(shared), deals: AtomicU32::new(0) }, sockets))
    }

    /// How often a socket has come or gone. What comes from an address may come in by another socket each time.
    pub fn deals(&self) -> u32 {
        self.deals.load(Ordering::Acquire)
    }

    /// Nothing more comes to a thread's socket: what would goes to the next one. It can still send.
    pub fn shut(&self, at: usize) {
        if let Some(shared) = self.sockets().get_mut(at) {
            self.shut_one(shared);
        }
    }

    /// The same until its thread goes on. One that was shut before stays so then.
    pub fn set_aside(&self, at: usize) {
        if let Some(shared) = self.sockets().get_mut(at).filter(|shared| !shared.is_shut) {
            self.shut_one(shared);
            shared.is_aside = shared.is_shut;
        }
    }

    /// Another socket for a thread that goes on, where its own was set aside meanwhile.
    ///
    /// # Errors
    /// When the system has none.
    pub fn take_back(&self, at: usize) -> anyhow::Result<Option<Socket>> {
        self.renew_where(at, |shared| shared.is_aside)
    }

    /// Another socket for a thread whose own was shut, which it is to close at once. What comes in may be dealt out anew, and
    /// is handed on from wherever it does.
    ///
    /// # Errors
    /// When the system has none.
    pub fn renew(&self, at: usize) -> anyhow::Result<Option<Socket>> {
        self.renew_where(at, |shared| shared.is_shut)
    }

    fn shut_one(&self, shared: &mut Shared) {
        if shared.is_shut {
            return;
        }
        self.deals.fetch_add(1, Ordering::AcqRel);
        // A socket with a peer of its own takes no part in the sharing. Nobody sends from that port.
        match shared.socket.connect(&nobody(&shared.socket).into()) {
            Ok(()) => shared.is_shut = true,
            Err(error) => {
                tracing::error!(%error, "what comes for others to a stuck thread is lost");
            }
        }
    }

    fn renew_where(
        &self,
        at: usize,
        is_due: impl Fn(&Shared) -> bool,
    ) -> anyhow::Result<Option<Socket>> {
        let mut sockets = self.sockets();
        let Some(shared) = sockets.get_mut(at).filter(|shared| is_due(shared)) else {
            return Ok(None);
        };
        // A socket that has had a peer keeps a part of its address; those of the others are whole.
        let port = shared.socket.local_addr()?.as_socket().context("it has an address")?.port();
        let is_v6 = shared.socket.domain()? == Domain::IPV6;
        let any =
            if is_v6 { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
        // Before it: who reads meanwhile is to know that strangers are none.
        self.deals.fetch_add(1, Ordering::AcqRel);
        let socket = another(&SocketAddr::new(any, port).into())?;
        *shared = Shared::open(socket.try_clone()?);
        Ok(Some(socket))
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn open(socket: Socket) -> Self {
        Self { socket, is_shut: false, is_aside: false }
    }
}

/// An address from which nothing comes: the discard port of this machine.
fn nobody(socket: &Socket) -> SocketAddr {
    let is_v6 = socket.domain().is_ok_and(|domain| domain == Domain::IPV6);
    let address = Ipv4Addr::LOCALHOST;
    if is_v6 {
        SocketAddr::from((address.to_ipv6_mapped(), 9))
    } else {
        SocketAddr::from((address, 9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Ports;
    use std::io::ErrorKind;
    use std::net::UdpSocket;
    use std::time::Duration;

    fn bound(count: usize) -> (SharedPort, Vec<UdpSocket>, u16) {
        let ports = Ports::bind(0, false).expect("a free port");
        let (port, sockets) = SharedPort::of(ports.datagrams, count).expect("Linux shares ports");
        (port, sockets.into_iter().map(UdpSocket::from).collect(), ports.port)
    }

    /// Which socket gets each of many senders' datagrams.
    fn deal(sockets: &[UdpSocket], senders: &[UdpSocket], port: u16) -> Vec<usize> {
        let mut dealt = Vec::new();
        for sender in senders {
            sender.send_to(b"x", ("127.0.0.1", port)).expect("loopback takes it");
            let mut buffer = [0; 8];
            let found = std::iter::repeat_with(|| {
                let ready = sockets.iter().position(|socket| match socket.recv_from(&mut buffer) {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        false
                    }
                });
                if ready.is_none() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                ready
            });
            dealt.extend(found.take(5_000).flatten().next());
        }
        dealt
    }

    #[test]
    fn a_shared_port_is_dealt_out_and_a_stuck_socket_gets_nothing() {
        let (shared, mut sockets, port) = bound(3);
        let senders: Vec<UdpSocket> =
            (0..60).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
        let before = deal(&sockets, &senders, port);
        assert_eq!(before.len(), senders.len());
        assert!((0..3).all(|at| before.contains(&at)), "{before:?}");
        assert_eq!(deal(&sockets, &senders, port), before, "a sender stays where it is");
        let deals = shared.deals();
        shared.shut(1);
        assert_eq!(shared.deals(), deals + 1);
        let meanwhile = deal(&sockets, &senders, port);
        assert_eq!(meanwhile.len(), senders.len(), "nothing is lost");
        assert!(!meanwhile.contains(&1), "{meanwhile:?}");
        for (was, is) in before.iter().zip(&meanwhile) {
            assert!(*was == 1 || was == is, "others are left where they are");
        }
        let renewed = shared.renew(1).expect("there is another").expect("it was shut");
        assert_eq!(shared.deals(), deals + 2);
        sockets[1] = renewed.into();
        let after = deal(&sockets, &senders, port);
        assert_eq!(after.len(), senders.len(), "nothing is lost");
        assert!((0..3).all(|at| after.contains(&at)), "{after:?}");
        assert!(shared.renew(1).expect("nothing is asked").is_none(), "it is not shut");
    }

    #[test]
    fn a_socket_that_was_set_aside_is_taken_back_and_one_that_took_no_part_is_not() {
        let (shared, mut sockets, port) = bound(3);
        let senders: Vec<UdpSocket> =
            (0..60).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
        shared.shut(2);
        shared.set_aside(1);
        shared.set_aside(2);
        assert!(deal(&sockets, &senders, port).iter().all(|at| *at == 0));
        assert!(shared.take_back(0).expect("nothing is asked").is_none(), "it was not set aside");
        assert!(shared.take_back(2).expect("nothing is asked").is_none(), "it took no part before");
        sockets[1] = shared.take_back(1).expect("there is another").expect("it was aside").into();
        assert!(shared.take_back(1).expect("nothing is asked").is_none(), "it is back");
        let after = deal(&sockets, &senders, port);
        assert!(after.contains(&1) && !after.contains(&2), "{after:?}");
    }

    #[test]
    fn nobody_else_gets_into_a_shared_port() {
        let (_shared, _sockets, port) = bound(2);
        assert!(Ports::bind(port, false).is_err());
    }
}
