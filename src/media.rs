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
mod socket;
mod streams;
mod thread;

pub use addresses::advertised;
pub use ports::{Ports, SOCKET_BUFFER};
pub use streams::Handed;

use crate::recording::TapQueue;
use anyhow::Context;
use sfu::{Command, Event, HostCandidate, Identity};
use signaling::{MediaBusy, MediaPlane};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

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
    /// Addresses that clients are told, best first.
    pub addresses: Vec<IpAddr>,
    /// Many datagrams per system call, where the system can.
    pub batched: bool,
    /// Where packets for recordings go.
    pub tap: TapQueue,
}

/// The running media plane.
pub struct Media {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    /// Addresses that clients are told.
    pub candidates: Vec<SocketAddr>,
}

/// The way in; cloned to whoever sends commands.
struct Queue {
    commands: SyncSender<Command>,
    handed: SyncSender<Handed>,
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
fn host_candidates(config: &MediaConfig, port: u16) -> Vec<HostCandidate> {
    let at = |port: u16| config.addresses.iter().map(move |&ip| SocketAddr::new(ip, port));
    let udp = at(port).map(HostCandidate::udp);
    let own = config.listens.then_some(port);
    let shared = config.shared_port.filter(|shared| Some(*shared) != own);
    let tcp = own.into_iter().chain(shared).flat_map(at).map(HostCandidate::tcp);
    udp.chain(tcp).collect()
}

/// Binds the media port and starts the thread.
///
/// # Errors
/// When the port is in use or the system refuses a socket, a thread or randomness.
pub fn start(config: &MediaConfig) -> anyhow::Result<(Media, tokio::sync::mpsc::Receiver<Event>)> {
    let Ports { datagrams, streams, port } = Ports::bind(config.port, config.listens)?;
    let candidates: Vec<SocketAddr> =
        config.addresses.iter().map(|&address| SocketAddr::new(address, port)).collect();
    let poll = mio::Poll::new().context("no readiness queue for media")?;
    let waker = mio::Waker::new(poll.registry(), thread::WAKER).context("no waker for media")?;
    let (commands, orders) = sync_channel(COMMAND_QUEUE);
    let (events, heard) = tokio::sync::mpsc::channel(EVENT_QUEUE);
    let (handing, handed) = sync_channel(HANDED_QUEUE);
    let is_stopping = AtomicBool::new(false);
    let queue = Arc::new(Queue { commands, handed: handing, waker, is_stopping });
    let identity = Identity::generate().context("no certificate for DTLS")?;
    let plane = thread::MediaThread::new(
        poll,
        socket::MediaSocket::new(datagrams, config.batched),
        streams,
        identity,
        host_candidates(config, port),
        thread::Ends { orders, handed, events, tap: config.tap.clone() },
    )?;
    let stop = queue.clone();
    let thread = std::thread::Builder::new()
        .name("media-0".into())
        .spawn(move || plane.run(|| stop.is_stopping.load(Ordering::Acquire)))
        .context("no thread for media")?;
    Ok((Media { queue, thread: Some(thread), candidates }, heard))
}
