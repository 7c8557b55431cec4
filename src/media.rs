//! The media thread: the one place where the media plane meets a socket, a clock and a queue.
//!
//! [`start`] binds the media port, for datagrams and for streams, and runs an [`sfu::Sfu`] on a thread of its own. Commands reach it
//! through a bounded queue and a waker, events leave through a bounded channel. It must never know
//! about sessions, accounts or HTTP.

mod addresses;
#[cfg(target_os = "linux")]
mod batched;
mod portable;
mod ports;
mod relays;
mod socket;
mod streams;
mod thread;
mod watch;

pub use addresses::{Advertised, Named, advertised};
pub use ports::{Ports, SOCKET_BUFFER};
pub use relays::{RelaySettings, turn_urls};
pub use streams::Handed;

use crate::recording::TapQueue;
use addresses::Surroundings;
use anyhow::{Context, bail};
use sfu::{Command, Event, HostCandidate, Identity};
use signaling::{MediaBusy, MediaPlane};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use watch::Watch;

/// Commands waiting for the media thread. It takes them within milliseconds; a full queue means that it
/// is stuck, and callers are told to try again.
const COMMAND_QUEUE: usize = 8_192;
/// Events waiting for the control plane. What does not fit waits with the media thread.
const EVENT_QUEUE: usize = 8_192;

/// Connections on their way from the door of HTTP. What does not fit is closed: its client tries again.
const HANDED_QUEUE: usize = 256;

/// What the media thread is told at start.
#[derive(Clone)]
pub struct MediaConfig {
    /// Port for datagrams and streams; 0 takes a free one.
    pub port: u16,
    /// Whether streams are taken on that port too.
    pub listens: bool,
    /// Another port, of somebody who hands media's streams over.
    pub shared_port: Option<u16>,
    /// Addresses that clients are told, best first; none for the interfaces' own.
    pub addresses: Vec<Named>,
    /// Whether clients are told loopback among the interfaces' own.
    pub with_loopback: bool,
    /// Many datagrams per system call, where the system can.
    pub batched: bool,
    /// Where packets for recordings go.
    pub tap: TapQueue,
    /// The TURN server on that port, where there is one.
    pub relays: Option<RelaySettings>,
}

/// The running media plane.
pub struct Media {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    _watch: Watch,
    /// Addresses that clients are told at start.
    pub told: Vec<Advertised>,
    /// The port of all of them.
    pub port: u16,
}

/// The way in; cloned to whoever sends commands.
struct Queue {
    commands: SyncSender<Command>,
    handed: SyncSender<Handed>,
    told: SyncSender<Vec<HostCandidate>>,
    waker: mio::Waker,
    is_stopping: AtomicBool,
}

impl MediaPlane for Queue {
    fn send(&self, command: Command) -> Result<(), MediaBusy> {
        self.commands.try_send(command).map_err(|_| MediaBusy)?;
        self.wake();
        Ok(())
    }
}

impl Queue {
    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the media thread cannot be woken");
        }
    }
}

/// The media thread's door for connections that somebody else has accepted; cloned to whoever does.
#[derive(Clone)]
pub struct StreamDoor(Arc<Queue>);

impl StreamDoor {
    /// Hands a connection over. False when too many are on their way; it is closed then.
    pub fn enter(&self, handed: Handed) -> bool {
        let is_taken = self.0.handed.try_send(handed).is_ok();
        self.0.wake();
        is_taken
    }
}

impl Media {
    /// The way in for connections that came by another door.
    pub fn stream_door(&self) -> StreamDoor {
        StreamDoor(self.queue.clone())
    }

    /// Where clients are told to send datagrams at start.
    pub fn candidates(&self) -> Vec<SocketAddr> {
        self.told.iter().map(|told| SocketAddr::new(told.address, self.port)).collect()
    }

    /// The way to the media plane for the control plane.
    pub fn plane(&self) -> Arc<dyn MediaPlane> {
        self.queue.clone()
    }

    /// Ends every transport, tells the clients so, and waits for the thread.
    pub fn stop(&mut self) {
        self.queue.is_stopping.store(true, Ordering::Release);
        self.queue.wake();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the media thread had died");
        }
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Datagrams to every address, then streams to every address, those to the port of others last.
fn host_candidates(told: &[Advertised], port: u16, streams: &[u16]) -> Vec<HostCandidate> {
    let at = |port: u16| told.iter().map(move |told| SocketAddr::new(told.address, port));
    let tcp = streams.iter().copied().flat_map(at).map(HostCandidate::tcp);
    at(port).map(HostCandidate::udp).chain(tcp).collect()
}

/// What is found at start.
fn look(config: &MediaConfig) -> anyhow::Result<(Surroundings, Vec<Advertised>)> {
    let found = Surroundings::look(&config.addresses)
        .context("cannot list this machine's addresses; set MEDIA_ADDRESSES")?;
    let told = found.advertised(&config.addresses, config.with_loopback);
    let unknown: Vec<&str> = found.unknown_hosts().collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        if told.is_empty() {
            bail!("MEDIA_ADDRESSES: the name service knows no address of {unknown}");
        }
        tracing::warn!(unknown, "names in MEDIA_ADDRESSES have no address now");
    }
    Ok((found, told))
}

/// Binds the media port and starts the thread.
///
/// # Errors
/// When the port is in use or the system refuses a socket, a thread or randomness.
pub fn start(config: &MediaConfig) -> anyhow::Result<(Media, tokio::sync::mpsc::Receiver<Event>)> {
    let (found, told) = look(config)?;
    let Ports { datagrams, streams, port } = Ports::bind(config.port, config.listens)?;
    let own = config.listens.then_some(port);
    let shared = config.shared_port.filter(|shared| Some(*shared) != own);
    let stream_ports: Vec<u16> = own.into_iter().chain(shared).collect();
    let poll = mio::Poll::new().context("no readiness queue for media")?;
    let waker = mio::Waker::new(poll.registry(), thread::WAKER).context("no waker for media")?;
    let (commands, orders) = sync_channel(COMMAND_QUEUE);
    let (events, heard) = tokio::sync::mpsc::channel(EVENT_QUEUE);
    let (handing, handed) = sync_channel(HANDED_QUEUE);
    let (tells, tellings) = sync_channel(1);
    let is_stopping = AtomicBool::new(false);
    let queue = Arc::new(Queue { commands, handed: handing, told: tells, waker, is_stopping });
    let identity = Identity::generate().context("no certificate for DTLS")?;
    let plane = thread::MediaThread::new(
        poll,
        socket::MediaSocket::new(datagrams, config.batched),
        streams,
        identity,
        host_candidates(&told, port, &stream_ports),
        config.relays.as_ref(),
        thread::Ends { orders, handed, told: tellings, events, tap: config.tap.clone() },
    )?;
    let stop = queue.clone();
    let thread = std::thread::Builder::new()
        .name("media-0".into())
        .spawn(move || plane.run(|| stop.is_stopping.load(Ordering::Acquire)))
        .context("no thread for media")?;
    let news = queue.clone();
    let watch = Watch::start(config.addresses.clone(), config.with_loopback, found, move |told| {
        // It fails once the media thread has ended, and then nobody is told anything.
        if news.told.send(host_candidates(&told, port, &stream_ports)).is_ok() {
            news.wake();
        }
    })
    .context("no thread for addresses")?;
    Ok((Media { queue, thread: Some(thread), _watch: watch, told, port }, heard))
}
