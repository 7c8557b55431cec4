//! TCP: where we listen, and how long a connection may take its time.

mod connection;
mod plain;
mod speech;

use crate::config::Host;
use crate::media::Handed;
use anyhow::{Context, bail};
use axum::Router;
use axum::extract::ConnectInfo;
use connection::Connection;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConnection;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use speech::Spoken;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Sockets that listen, all on one port.
pub struct Listeners {
    sockets: Vec<TcpListener>,
    port: u16,
}

impl Listeners {
    /// Listens. `localhost` means both loopback addresses, as far as the machine has them.
    pub fn bind(host: Host, port: u16) -> anyhow::Result<Self> {
        match host {
            Host::Address(address) => {
                let socket =
                    listen(address, port).map_err(|error| in_words(error, address, port))?;
                let port = socket.local_addr().context("a listening socket has an address")?.port();
                Ok(Self { sockets: vec![socket], port })
            }
            Host::Localhost => bind_localhost(port),
        }
    }

    /// The port, also where any was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Serves until `stop` becomes true, then stops accepting and waits for answers that are under way. With `tls` it
    /// speaks HTTPS, and sends who speaks HTTP there. Who speaks ICE or TURN is shown to the door of `media`.
    pub async fn serve(
        self,
        app: Router,
        tls: Option<TlsAcceptor>,
        media: Option<MediaDoor>,
        max_connections: u32,
        stop: watch::Receiver<bool>,
    ) {
        let door = Door { app, tls, media };
        let places = Arc::new(Semaphore::new(max_connections as usize));
        let mut accepting = JoinSet::new();
        for socket in self.sockets {
            accepting.spawn(accept(socket, door.clone(), places.clone(), stop.clone()));
        }
        accepting.join_all().await;
        // Each connection, sockets of rooms included, holds a place until it is closed.
        let _all = places.acquire_many(max_connections).await;
    }
}

/// Takes connections that speak media; false when it has no room for one more.
pub type MediaDoor = Arc<dyn Fn(Handed) -> bool + Send + Sync>;

/// What is behind the sockets.
#[derive(Clone)]
struct Door {
    app: Router,
    tls: Option<TlsAcceptor>,
    media: Option<MediaDoor>,
}

async fn accept(
    socket: TcpListener,
    door: Door,
    places: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let stopping = stop.clone();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = accept_one(&socket, &places) => accepted,
        };
        let Some((stream, peer)) = accepted else {
            // Mostly: no file descriptors left. Trying again at once would only burn a core.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        tokio::spawn(enter(stream, peer, door.clone(), stopping.clone()));
    }
}

/// When every place is taken, newcomers wait in the kernel's queue.
async fn accept_one(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(Connection<TcpStream>, SocketAddr)> {
    let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
    match socket.accept().await {
        Ok((stream, peer)) => {
            prepare(&stream);
            Some((Connection::new(stream, place), peer))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            None
        }
    }
}

/// Finds out what a connection speaks, and serves it.
async fn enter(
    stream: Connection<TcpStream>,
    peer: SocketAddr,
    door: Door,
    stop: watch::Receiver<bool>,
) {
    if door.tls.is_none() && door.media.is_none() {
        return serve_connection(stream, peer, door.app, stop).await;
    }
    // Who says nothing has as long as the head of a request may take, where TLS gives a beginning no more than a handshake.
    let patience = if door.tls.is_some() { HANDSHAKE_TIMEOUT } else { HEAD_TIMEOUT };
    let recognised = speech::recognise(stream, door.tls.as_ref(), door.media.is_some());
    let mut stopping = stop.clone();
    let recognised = tokio::select! {
        recognised = tokio::time::timeout(patience, recognised) => recognised,
        // Browsers open connections that they may need one day; nobody waits for those.
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    match recognised {
        Ok(Ok(Spoken::Http(stream))) => {
            let app = if door.tls.is_some() { plain::router(door.app) } else { door.app };
            serve_connection(stream, peer, app, stop).await;
        }
        Ok(Ok(Spoken::Https(stream))) => serve_connection(*stream, peer, door.app, stop).await,
        Ok(Ok(Spoken::Media(stream))) => hand_over(door.media, peer, stream.into_inner(), None),
        Ok(Ok(Spoken::SecretMedia(stream))) => {
            let (stream, session) = stream.into_inner();
            hand_over(door.media, peer, stream.into_inner(), Some(Box::new(session)));
        }
        // An authority has seen what it wanted in the handshake.
        Ok(Ok(Spoken::Nothing)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

/// From here on the connection is the media thread's.
fn hand_over(
    media: Option<MediaDoor>,
    address: SocketAddr,
    stream: TcpStream,
    tls: Option<Box<ServerConnection>>,
) {
    let Some(media) = media else { return };
    match stream.into_std() {
        Ok(socket) => {
            if !media(Handed { socket, address, tls }) {
                tracing::debug!("more connections for media than its thread takes");
            }
        }
        Err(error) => tracing::debug!(%error, "a connection for media cannot be handed over"),
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    app: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = tower::service_fn(move |mut request: hyper::Request<_>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// Small messages leave at once, and who takes nothing for long loses the connection.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let prepared = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let prepared = prepared.and_then(|()| socket.set_tcp_user_timeout(Some(WRITE_TIMEOUT)));
    if let Err(error) = prepared {
        tracing::debug!(%error, "a connection was gone before it began");
    }
}

fn bind_localhost(port: u16) -> anyhow::Result<Listeners> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    for _ in 0..FREE_PORT_TRIES {
        let first = listen(v4, port).map_err(|error| in_words(error, v4, port))?;
        let taken = first.local_addr().context("a listening socket has an address")?.port();
        match listen(v6, taken) {
            Ok(second) => return Ok(Listeners { sockets: vec![first, second], port: taken }),
            // The kernel gave a port that is free on one address only.
            Err(error) if error.kind() == ErrorKind::AddrInUse && port == 0 => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(in_words(error, v6, port));
            }
            // A machine without IPv6.
            Err(_) => return Ok(Listeners { sockets: vec![first], port: taken }),
        }
    }
    bail!("cannot find a port that is free on 127.0.0.1 and on [::1]")
}

fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of the process before us may linger; its listening socket may not.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` takes IPv4 callers as well, whatever the system's own choice.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn in_words(error: io::Error, address: IpAddr, port: u16) -> anyhow::Error {
    let at = SocketAddr::new(address, port);
    match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {port} is in use ({at}); choose another with --port or PORT")
        }
        ErrorKind::AddrNotAvailable => {
            anyhow::anyhow!("this machine has no address {address}; see --host or HOST")
        }
        ErrorKind::PermissionDenied => {
            anyhow::anyhow!("not allowed to listen on port {port}; choose one above 1023")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {at}")),
    }
}

/// A whole meeting may arrive in one second; the kernel cuts it to its own limit.
const BACKLOG: i32 = 4096;
/// For a request's head to arrive, and for an idle connection to say something. Longer lets a slow sender hold a
/// place, shorter cuts phones on bad networks and makes pages open connections anew.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// For a TLS handshake: some round trips on a bad network.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// More lets a sender hold more memory before it is known, less refuses long cookies of other programs on the host.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// A peer that acknowledges nothing for so long is gone: longer than a participant may be away.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Between tries when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Ports to try when any will do.
const FREE_PORT_TRIES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_told_in_one_sentence() {
        let held = Listeners::bind(Host::Localhost, 0).unwrap();
        for host in [Host::Localhost, Host::Address(Ipv4Addr::LOCALHOST.into())] {
            let error = Listeners::bind(host, held.port()).err().unwrap().to_string();
            assert!(error.contains(&format!("port {} is in use", held.port())), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_told() {
        let error = Listeners::bind(Host::Address(Ipv4Addr::new(192, 0, 2, 1).into()), 0);
        assert!(error.err().unwrap().to_string().contains("no address 192.0.2.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_or_only_half_loses_the_connection() {
        closes_who_says_nothing(None).await;
        closes_who_says_nothing(Some(Arc::new(|_| panic!("that is no media")))).await;
    }

    async fn closes_who_says_nothing(media: Option<MediaDoor>) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listeners = Listeners::bind(Host::Address(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        let address = (Ipv4Addr::LOCALHOST, listeners.port());
        let (stop, stopping) = watch::channel(false);
        let server = tokio::spawn(listeners.serve(Router::new(), None, media, 2, stopping));
        for words in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(words.as_bytes()).await.unwrap();
            let since = tokio::time::Instant::now();
            let mut answer = Vec::new();
            // Reading ends because the server closes; the paused clock jumps to its timeout.
            let _ = stream.read_to_end(&mut answer).await;
            assert!(since.elapsed() >= HEAD_TIMEOUT, "{words:?} after {:?}", since.elapsed());
        }
        stop.send(true).unwrap();
        server.await.unwrap();
    }
}
