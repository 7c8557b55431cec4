//! The media threads: the one place where the media plane meets sockets, a clock and queues.
//!
//! [`start`] binds the media port, for datagrams and for streams, and runs an [`sfu::Sfu`] on each of its threads. Commands reach
//! them through queues and wakers, by way of whoever places people on threads; events leave through a bounded channel.
//! Threads send each other packets and news through bounded rings. It must never know about sessions, accounts or HTTP.

mod addresses;
#[cfg(target_os = "linux")]
mod batched;
mod crossing;
mod dispatcher;
mod fault;
mod links;
mod portable;
mod ports;
mod relays;
mod share;
mod shared;
mod socket;
mod station;
mod streams;
mod supervisor;
#[cfg(test)]
mod tests;
mod thread;
mod watch;

pub use addresses::{Advertised, Named, advertised};
pub use dispatcher::MediaEvents;
pub use fault::Faults;
pub use ports::{Ports, SOCKET_BUFFER};
pub use relays::{RelaySettings, turn_urls};
pub use station::{Pace, Pulse};
pub use streams::Handed;

use crate::recording::TapQueue;
use addresses::Surroundings;
use anyhow::{Context, bail};
use dispatcher::{Dispatcher, Order};
use sfu::{Event, HostCandidate, Identity, PlaneId, Spread, WallClock};
use shared::SharedPort;
use signaling::MediaPlane;
use socket2::Socket;
use station::Station;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use supervisor::Supervisor;
use thread::{Ends, MediaThread, Setup, Told};
use watch::Watch;

/// Events waiting for the control plane. What does not fit waits with the media threads.
const EVENT_QUEUE: usize = 8_192;

/// Connections on their way from the door of HTTP to one thread. What does not fit is closed: its client tries again.
const HANDED_QUEUE: usize = 256;

/// Changes of addresses on their way to one thread. There is one every few seconds at most, and a thread that leaves so many
/// lying is stuck.
const NEWS_QUEUE: usize = 64;

/// Hears of the addresses of the media plane, best first.
pub type Moved = Arc<dyn Fn(&[SocketAddr]) + Send + Sync>;

/// What the media threads are told at start.
#[derive(Clone)]
pub struct MediaConfig {
    /// Threads; at least one, and at most as many as ICE names tell apart.
    pub threads: usize,
    /// Port for datagrams and streams; 0 takes a free one.
    pub port: u16,
    /// Whether that is the port of all threads. Otherwise each next one has the next port.
    pub single_port: bool,
    /// When rooms spread over threads.
    pub spread: Spread,
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
    /// Hears of addresses that changed.
    pub moved: Moved,
    /// What goes wrong in threads, for tests.
    pub faults: Faults,
}

/// The running media plane.
pub struct Media {
    dispatcher: Arc<Dispatcher>,
    door: StreamDoor,
    stations: Vec<Arc<Station>>,
    threads: Vec<JoinHandle<()>>,
    _supervisor: Supervisor,
    _watch: Watch,
    /// Addresses that clients are told at start.
    pub told: Vec<Advertised>,
    /// The ports at those, one or one for each thread.
    pub ports: Vec<u16>,
}

/// The media threads' door for connections that somebody else has accepted; cloned to whoever does.
#[derive(Clone)]
pub struct StreamDoor(Arc<Desk>);

struct Desk {
    threads: Vec<(Arc<Station>, SyncSender<Handed>)>,
    next: AtomicUsize,
}

impl StreamDoor {
    /// Hands a connection over, to one thread after the other: which one it is for nobody knows before it speaks.
    /// False when too many are on their way; it is closed then.
    pub fn enter(&self, handed: Handed) -> bool {
        let first = self.0.next.fetch_add(1, Ordering::Relaxed);
        let count = self.0.threads.len();
        let threads = (0..count).map(|at| &self.0.threads[first.wrapping_add(at) % count]);
        let Some((station, queue)) = threads.into_iter().find(|(station, _)| station.takes_new())
        else {
            return false;
        };
        let is_taken = queue.try_send(handed).is_ok();
        station.wake();
        is_taken
    }
}

impl Media {
    /// The way in for connections that came by another door.
    pub fn stream_door(&self) -> StreamDoor {
        self.door.clone()
    }

    /// What the threads do now.
    pub fn pulse(&self) -> Pulse {
        Pulse::new(self.stations.clone())
    }

    /// Where clients are told to send datagrams at start; those of the first thread, where each has its own port.
    pub fn candidates(&self) -> Vec<SocketAddr> {
        candidates(&self.told, self.ports.first().copied().unwrap_or_default())
    }

    /// The way to the media plane for the control plane.
    pub fn plane(&self) -> Arc<dyn MediaPlane> {
        self.dispatcher.clone()
    }

    /// Ends every transport, tells the clients so, and waits for the threads.
    pub fn stop(&mut self) {
        self.stations.iter().for_each(|station| station.stop());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a media thread had died");
            }
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

/// The sockets of all threads, with the port of each.
struct Doors {
    sockets: Vec<(Socket, Option<TcpListener>, u16)>,
    shared: Option<SharedPort>,
}

fn bind(config: &MediaConfig) -> anyhow::Result<Doors> {
    let count = config.threads;
    if !config.single_port {
        let mut sockets = Vec::with_capacity(count);
        for at in 0..count {
            let port = match config.port {
                0 => 0,
                first => u16::try_from(usize::from(first) + at)
                    .context("the media threads have no port each: choose a lower MEDIA_PORT")?,
            };
            let Ports { datagrams, streams, port } = Ports::bind(port, config.listens)?;
            sockets.push((datagrams, streams, port));
        }
        return Ok(Doors { sockets, shared: None });
    }
    let Ports { datagrams, streams, port } = Ports::bind(config.port, config.listens)?;
    let (shared, datagrams) = match count {
        1 => (None, vec![datagrams]),
        _ => {
            let (shared, sockets) = SharedPort::of(datagrams, count)?;
            // A thread takes its share once it has peers: until then all that came to it would be for others.
            (1..count).for_each(|at| shared.shut(at));
            (Some(shared), sockets)
        }
    };
    // Whoever is free takes the next stream; its first packet says whose it is.
    let listener = || streams.as_ref().map(TcpListener::try_clone).transpose();
    let listeners: Vec<Option<TcpListener>> = (0..count)
        .map(|_| listener())
        .collect::<Result<_, _>>()
        .context("no further descriptors for the port of streams")?;
    let sockets = datagrams.into_iter().zip(listeners).map(|(d, s)| (d, s, port)).collect();
    Ok(Doors { sockets, shared })
}

fn candidates(told: &[Advertised], port: u16) -> Vec<SocketAddr> {
    told.iter().map(|told| SocketAddr::new(told.address, port)).collect()
}

/// What is told of addresses and ports, thread by thread.
struct Telling {
    ports: Vec<u16>,
    listens: bool,
    shared: Option<u16>,
    has_relays: bool,
}

impl Telling {
    fn told(&self, told: &[Advertised]) -> Vec<Told> {
        let mut all = self.ports.clone();
        all.dedup();
        // Relays know a few only. Every thread is reached at the best address before any is at the next one.
        let peers: Vec<SocketAddr> = told
            .iter()
            .flat_map(|told| all.iter().map(|port| SocketAddr::new(told.address, *port)))
            .collect();
        if self.has_relays && peers.len() > turn::peers::MAX_PEERS {
            let (peers, reached) = (peers.len(), turn::peers::MAX_PEERS);
            tracing::warn!(
                peers,
                reached,
                "TURN reaches some of the media addresses only: MEDIA_SINGLE_PORT=true or fewer MEDIA_ADDRESSES"
            );
        }
        let of_thread = |&port: &u16| {
            let own = self.listens.then_some(port);
            let shared = self.shared.filter(|shared| Some(*shared) != own);
            let streams: Vec<u16> = own.into_iter().chain(shared).collect();
            Told { candidates: host_candidates(told, port, &streams), peers: peers.clone() }
        };
        self.ports.iter().map(of_thread).collect()
    }
}

fn wall_clock() -> anyhow::Result<WallClock> {
    let now = Instant::now();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
    let since_1970 = u64::try_from(since_1970.as_nanos()).context("a clock past the year 2500")?;
    Ok(WallClock::new(now, since_1970))
}

/// A thread's own ends of what was made for all.
struct Made {
    poll: mio::Poll,
    station: Arc<Station>,
    orders: Receiver<Order>,
    handed: Receiver<Handed>,
    told: Receiver<Told>,
}

/// Others' ends.
struct Others {
    orders: Sender<Order>,
    handed: SyncSender<Handed>,
    told: SyncSender<Told>,
}

fn make(plane: PlaneId) -> anyhow::Result<(Made, Others)> {
    let poll = mio::Poll::new().context("no readiness queue for media")?;
    let waker = mio::Waker::new(poll.registry(), thread::WAKER).context("no waker for media")?;
    let station = Arc::new(Station::new(plane, waker));
    let (orders, ordered) = channel();
    let (handing, handed) = sync_channel(HANDED_QUEUE);
    let (tells, told) = sync_channel(NEWS_QUEUE);
    let others = Others { orders, handed: handing, told: tells };
    Ok((Made { poll, station, orders: ordered, handed, told }, others))
}

/// Binds the media port and starts the threads.
///
/// # Errors
/// When the port is in use or the system refuses a socket, a thread or randomness.
pub fn start(config: &MediaConfig) -> anyhow::Result<(Media, MediaEvents)> {
    let (found, told) = look(config)?;
    let Doors { sockets, shared } = bind(config)?;
    let shared = shared.map(Arc::new);
    let ports = sockets.iter().map(|(_, _, port)| *port).collect();
    let telling = Telling {
        ports,
        listens: config.listens,
        shared: config.shared_port,
        has_relays: config.relays.is_some(),
    };
    let mut ports = telling.ports.clone();
    ports.dedup();
    let (identity, wall) =
        (Identity::generate().context("no certificate for DTLS")?, wall_clock()?);
    let (made, others): (Vec<Made>, Vec<Others>) = (0..sockets.len())
        .map(|at| make(PlaneId(at as u16)))
        .collect::<anyhow::Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let stations: Vec<Arc<Station>> = made.iter().map(|made| made.station.clone()).collect();
    let queues = others.iter().map(|others| others.orders.clone()).collect();
    let dispatcher = Arc::new(Dispatcher::new(stations.clone(), queues, config.spread));
    let (events, heard) = tokio::sync::mpsc::channel::<(PlaneId, Event)>(EVENT_QUEUE);
    let supervisor =
        Supervisor::start(stations.clone(), dispatcher.clone(), events.downgrade(), shared.clone())
            .context("no thread to look after media threads")?;
    let mut threads = Vec::with_capacity(made.len());
    let of_threads = made.into_iter().zip(sockets).zip(telling.told(&told));
    for ((made, (datagrams, streams, _)), told) in of_threads {
        let plane = made.station.plane;
        let setup = Setup {
            plane,
            stations: stations.clone(),
            port: shared.clone(),
            batched: config.batched,
            identity: identity.clone(),
            wall,
            told,
            relays: config.relays.clone(),
            faults: config.faults.clone(),
        };
        let ends = Ends {
            orders: made.orders,
            handed: made.handed,
            told: made.told,
            events: events.clone(),
            tap: config.tap.clone(),
            dispatcher: dispatcher.clone(),
        };
        let socket = socket::MediaSocket::new(datagrams, config.batched);
        let thread = MediaThread::new(made.poll, socket, streams, setup, ends)?;
        let thread = std::thread::Builder::new()
            .name(format!("media-{}", plane.0))
            .spawn(move || thread.run())
            .context("no thread for media")?;
        threads.push(thread);
    }
    let (desk, news): (Vec<_>, Vec<_>) = others
        .into_iter()
        .zip(&stations)
        .map(|(others, station)| ((station.clone(), others.handed), (station.clone(), others.told)))
        .unzip();
    let (moved, port) = (config.moved.clone(), ports.first().copied().unwrap_or_default());
    let watch = Watch::start(config.addresses.clone(), config.with_loopback, found, move |told| {
        moved(&candidates(&told, port));
        for ((station, news), told) in news.iter().zip(telling.told(&told)) {
            // It fails once the media thread has ended, and then nobody is told anything.
            if news.try_send(told).is_ok() {
                station.wake();
            }
        }
    })
    .context("no thread for addresses")?;
    let media = Media {
        dispatcher: dispatcher.clone(),
        door: StreamDoor(Arc::new(Desk { threads: desk, next: AtomicUsize::new(0) })),
        stations,
        threads,
        _supervisor: supervisor,
        _watch: watch,
        told,
        ports,
    };
    Ok((media, MediaEvents::new(heard, dispatcher)))
}
