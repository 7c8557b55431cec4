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

use crate::recording::TapQueue;
use anyhow::Context;
use ports::Ports;
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

/// What the media thread is told at start.
#[derive(Clone)]
pub struct MediaConfig {
    /// Port for datagrams and streams; 0 takes a free one.
    pub port: u16,
    /// Whether clients may come by TCP.
    pub tcp: bool,
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

impl Media {
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

/// Datagrams to every address, then streams to every address.
fn host_candidates(addresses: &[SocketAddr], with_streams: bool) -> Vec<HostCandidate> {
    let udp = addresses.iter().copied().map(HostCandidate::udp);
    let tcp = addresses.iter().copied().map(HostCandidate::tcp).filter(|_| with_streams);
    udp.chain(tcp).collect()
}

/// Binds the media port and starts the thread.
///
/// # Errors
/// When the port is in use or the system refuses a socket, a thread or randomness.
pub fn start(config: &MediaConfig) -> anyhow::Result<(Media, tokio::sync::mpsc::Receiver<Event>)> {
    let Ports { datagrams, streams, port } = Ports::bind(config.port, config.tcp)?;
    let candidates: Vec<SocketAddr> =
        config.addresses.iter().map(|&address| SocketAddr::new(address, port)).collect();
    let poll = mio::Poll::new().context("no readiness queue for media")?;
    let waker = mio::Waker::new(poll.registry(), thread::WAKER).context("no waker for media")?;
    let (commands, orders) = sync_channel(COMMAND_QUEUE);
    let (events, heard) = tokio::sync::mpsc::channel(EVENT_QUEUE);
    let queue = Arc::new(Queue { commands, waker, is_stopping: AtomicBool::new(false) });
    let identity = Identity::generate().context("no certificate for DTLS")?;
    let plane = thread::MediaThread::new(
        poll,
        socket::MediaSocket::new(datagrams, config.batched),
        streams,
        identity,
        host_candidates(&candidates, config.tcp),
        thread::Ends { orders, events, tap: config.tap.clone() },
    )?;
    let stop = queue.clone();
    let thread = std::thread::Builder::new()
        .name("media-0".into())
        .spawn(move || plane.run(|| stop.is_stopping.load(Ordering::Acquire)))
        .context("no thread for media")?;
    Ok((Media { queue, thread: Some(thread), candidates }, heard))
}
