//! Media over TCP, for clients whose network lets no datagrams out: the clients connect, and speak ICE with each
//! packet's length in front (RFC 6544) or TURN (RFC 8656). All else is as over UDP.
//!
//! Streams come by the listener of the media port, or were recognised at the door of HTTP and handed over. One belongs
//! to nobody until somebody known has spoken on it, and is closed soon if that does not happen.
//! What a stream is too slow for is dropped in whole packets: congestion control sees the loss.

mod door;
mod io;
mod stream;

use super::share::Share;
use door::{Door, Limits};
use io::Io;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;
use sfu::transport::stun;
use sfu::{ConnectionId, Path, PlaneId, Transmits};
use socket2::SockRef;
use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use stream::{Ended, MAX_PACKET, Stop, Stream, Taken};

pub use stream::Speech;

/// Bytes read at once: as much as a batch of datagrams holds.
const READ: usize = 64 * 1024;
/// Connections taken before others get a turn.
const ACCEPTS_PER_TURN: usize = 64;
/// For somebody known to speak. A browser does with its first or second round trip; longer lets strangers hold
/// places, shorter closes streams of bad networks.
const PROOF_PATIENCE: Duration = Duration::from_secs(5);
/// Packets that a stream may send before one of them is of somebody known.
const MAX_UNPROVEN_PACKETS: u32 = 16;
/// How often streams are looked at that say nothing.
const TICK: Duration = Duration::from_secs(1);
/// What the kernel may hold of a stream: what is on its way at 10 Mbit/s and 200 ms. More is memory for each, less
/// caps fast links that are long.
const SEND_BUFFER: usize = 256 * 1024;
/// Of that, what may not even be on its way. More is a queue that is not ours and drops nothing; less wakes us more
/// often.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 16 * 1024;
/// A client that acknowledges nothing for so long is gone; ICE gives up after 30 s by itself.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// A connection that somebody else has accepted.
pub struct Handed {
    /// Its socket.
    pub socket: std::net::TcpStream,
    /// Where it comes from.
    pub address: SocketAddr,
    /// TLS around it, its handshake done.
    pub tls: Option<Box<ServerConnection>>,
}

/// A stream on its way to the media thread that it belongs to, with what was read of it.
pub struct Moved(Stream);

/// Whose a packet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Of somebody known.
    Known,
    /// Of nobody known, or not yet.
    Unknown,
    /// Of a peer of another media thread: it was not looked at.
    Elsewhere(PlaneId),
}

/// A packet's way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// By which stream.
    pub connection: ConnectionId,
    /// Where that comes from.
    pub address: SocketAddr,
    /// What it speaks.
    pub speech: Speech,
}

/// What was counted since it was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Streams taken.
    accepted: u64,
    /// Streams refused, as there were too many.
    refused: u64,
    /// Streams handed on to other media threads.
    moved: u64,
    /// Streams that ended, by reason, in the order of [`Ended::ALL`].
    ended: [u64; Ended::ALL.len()],
    /// Packets that came.
    packets_in: u64,
    /// Packets that went into a stream.
    packets_out: u64,
    /// Packets that no stream had room for, or whose stream has gone.
    dropped: u64,
}

/// All streams, and where they come in.
pub struct Streams {
    listener: Option<TcpListener>,
    registry: Registry,
    streams: HashMap<ConnectionId, Stream>,
    door: Door,
    next_id: u64,
    /// Whether connections may wait to be taken.
    is_called: bool,
    readable: VecDeque<ConnectionId>,
    /// Streams that were given packets since they last wrote.
    unwritten: Vec<ConnectionId>,
    ended: VecDeque<Origin>,
    next_tick: Instant,
    buffer: Box<[u8]>,
    counts: Counts,
}

impl Streams {
    /// Without any stream. `listener` is bound and does not block; its readiness has the token `token`, that of
    /// streams begins at `token` + 1.
    ///
    /// # Errors
    /// When the system has no room for its readiness.
    pub fn new(
        listener: Option<std::net::TcpListener>,
        registry: Registry,
        token: Token,
        now: Instant,
    ) -> std::io::Result<Self> {
        let mut listener = listener.map(TcpListener::from_std);
        if let Some(listener) = &mut listener {
            registry.register(listener, token, Interest::READABLE)?;
        }
        Ok(Self {
            is_called: listener.is_some(),
            listener,
            registry,
            streams: HashMap::new(),
            door: Door::new(Limits::default()),
            next_id: token.0 as u64 + 1,
            readable: VecDeque::new(),
            unwritten: Vec::new(),
            ended: VecDeque::new(),
            next_tick: now + TICK,
            buffer: vec![0; READ + MAX_PACKET].into(),
            counts: Counts::default(),
        })
    }

    /// Notes what has become possible.
    pub fn note(&mut self, listener: Token, event: &Event) {
        if event.token() == listener {
            self.is_called = true;
            return;
        }
        let id = ConnectionId(event.token().0 as u64);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.is_ending |= event.is_read_closed() || event.is_error();
        if (event.is_readable() || stream.is_ending) && !stream.is_queued {
            stream.is_queued = true;
            self.readable.push_back(id);
        }
        if event.is_writable() {
            self.unwritten.push(id);
        }
    }

    /// Takes connections that wait. True when there may be more.
    pub fn accept(&mut self, now: Instant) -> bool {
        let Some(listener) = &self.listener else { return false };
        if !self.is_called {
            return false;
        }
        let mut came = Vec::new();
        for _ in 0..ACCEPTS_PER_TURN {
            match listener.accept() {
                Ok(connection) => came.push(connection),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // Mostly: no file descriptors left. The next tick tries again.
                    if error.kind() != ErrorKind::WouldBlock {
                        tracing::warn!(%error, "cannot accept a connection for media");
                    }
                    self.is_called = false;
                    break;
                }
            }
        }
        for (socket, address) in came {
            self.add(now, Io::Plain(socket), address);
        }
        self.is_called
    }

    /// Takes a connection over that came elsewhere.
    pub fn take_over(&mut self, now: Instant, handed: Handed) {
        if handed.socket.set_nonblocking(true).is_err() {
            return;
        }
        let socket = TcpStream::from_std(handed.socket);
        let io = match handed.tls {
            None => Io::Plain(socket),
            Some(session) => Io::tls(socket, *session),
        };
        // TLS may hold bytes already, of which no readiness tells.
        if let Some(id) = self.add(now, io, handed.address)
            && let Some(stream) = self.streams.get_mut(&id)
        {
            stream.is_queued = true;
            self.readable.push_back(id);
        }
    }

    /// Takes a stream over that another media thread has read from.
    pub fn take_moved(&mut self, Moved(stream): Moved) {
        if let Some(id) = self.insert(stream)
            && let Some(stream) = self.streams.get_mut(&id)
        {
            stream.is_queued = true;
            self.readable.push_back(id);
        }
    }

    fn add(&mut self, now: Instant, io: Io, address: SocketAddr) -> Option<ConnectionId> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        prepare(io.socket());
        let id = self.insert(Stream::new(io, ConnectionId(self.next_id), address, now))?;
        self.counts.accepted += 1;
        Some(id)
    }

    fn insert(&mut self, mut stream: Stream) -> Option<ConnectionId> {
        let address = stream.address;
        if !self.door.enters(address.ip()) {
            self.counts.refused += 1;
            return None;
        }
        let id = ConnectionId(self.next_id);
        stream.settle(id);
        if stream.register(&self.registry, Token(id.0 as usize)).is_err() {
            self.door.leaves(address.ip(), false);
            self.counts.refused += 1;
            return None;
        }
        self.next_id += 1;
        self.streams.insert(id, stream);
        Some(id)
    }

    /// How many streams have something to read.
    pub fn readable(&self) -> usize {
        self.readable.len()
    }

    /// Reads once from the next stream that has something; `each` gets its packets and says whether whoever sent them is
    /// known. What this causes is to be sent before the next call. A stream of another media thread is returned.
    pub fn receive(
        &mut self,
        mut each: impl FnMut(Origin, &mut [u8]) -> Heard,
    ) -> Option<(PlaneId, Moved)> {
        let id = self.readable.pop_front()?;
        let stream = self.streams.get_mut(&id)?;
        let address = stream.address;
        let (mut is_proven, mut unproven) = (stream.is_proven, stream.unproven_packets);
        let mut packets = 0;
        let taken = stream.read(&mut self.buffer, |speech, packet| {
            packets += 1;
            if !is_proven && !stun::is_stun(packet) {
                return ControlFlow::Break(Stop::End(Ended::Malformed));
            }
            let is_known = match each(Origin { connection: id, address, speech }, packet) {
                Heard::Known => true,
                Heard::Unknown => false,
                // Once somebody here has spoken on it, it stays.
                Heard::Elsewhere(_) if is_proven => true,
                Heard::Elsewhere(plane) => return ControlFlow::Break(Stop::Move(plane)),
            };
            if !is_proven && is_known {
                is_proven = true;
            } else if !is_proven {
                unproven += 1;
                if unproven > MAX_UNPROVEN_PACKETS {
                    return ControlFlow::Break(Stop::End(Ended::Unproven));
                }
            }
            ControlFlow::Continue(())
        });
        self.counts.packets_in += packets;
        stream.unproven_packets = unproven;
        if is_proven && !std::mem::replace(&mut stream.is_proven, true) {
            self.door.proves(address.ip());
        }
        stream.is_queued = taken == Taken::More;
        match taken {
            Taken::More => self.readable.push_back(id),
            Taken::Drained => {}
            Taken::Ended(why) => self.end(id, why),
            Taken::Moves(plane) => return self.remove(id).map(|stream| (plane, Moved(stream))),
        }
        None
    }

    /// Takes a stream out that goes on elsewhere.
    fn remove(&mut self, id: ConnectionId) -> Option<Stream> {
        let mut stream = self.streams.remove(&id)?;
        self.door.leaves(stream.address.ip(), stream.is_proven);
        stream.deregister(&self.registry).ok()?;
        self.counts.moved += 1;
        Some(stream)
    }

    /// Takes what is for streams; [`Streams::flush`] writes it.
    pub fn send(&mut self, transmits: &Transmits) {
        for run in transmits.runs() {
            if let Path::Tcp { connection, .. } = run.to {
                for packet in run.bytes.chunks(run.segment) {
                    self.push(connection, packet);
                }
            }
        }
    }

    /// Puts one packet, or one message of TURN, into a stream's queue, or drops it.
    pub fn push(&mut self, id: ConnectionId, packet: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else {
            self.counts.dropped += 1;
            return;
        };
        if stream.waiting() == 0 {
            self.unwritten.push(id);
        }
        if stream.push(packet) {
            self.counts.packets_out += 1;
        } else {
            self.counts.dropped += 1;
        }
    }

    /// Goes on writing where there was no room before, or is something new.
    pub fn flush(&mut self) {
        let mut unwritten = std::mem::take(&mut self.unwritten);
        for id in unwritten.drain(..) {
            if self.streams.get_mut(&id).is_some_and(|stream| !stream.flush()) {
                self.end(id, Ended::Closed);
            }
        }
        self.unwritten = unwritten;
    }

    /// Closes what proved nothing in time, and what belongs to nobody any more.
    pub fn tick(&mut self, now: Instant, is_known: impl Fn(Origin) -> bool) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.is_called = self.listener.is_some();
        self.streams.values_mut().for_each(Stream::rest);
        let over: Vec<(ConnectionId, Ended)> = self
            .streams
            .iter()
            .filter_map(|(&id, stream)| {
                if stream.is_proven {
                    (!is_known(stream.origin())).then_some((id, Ended::Unused))
                } else {
                    let age = now.saturating_duration_since(stream.since);
                    (age >= PROOF_PATIENCE).then_some((id, Ended::Unproven))
                }
            })
            .collect();
        for (id, why) in over {
            self.end(id, why);
        }
    }

    fn end(&mut self, id: ConnectionId, why: Ended) {
        let Some(mut stream) = self.streams.remove(&id) else { return };
        // The descriptor is closed in a moment, which takes it out in any case.
        let _ = stream.deregister(&self.registry);
        self.door.leaves(stream.address.ip(), stream.is_proven);
        self.counts.ended[why as usize] += 1;
        self.ended.push_back(stream.origin());
    }

    /// Closes all of them: nobody is here whom they could belong to.
    pub fn clear(&mut self) {
        let ids: Vec<ConnectionId> = self.streams.keys().copied().collect();
        for id in ids {
            self.end(id, Ended::Unused);
        }
        self.door = Door::new(Limits::default());
        self.readable.clear();
        self.unwritten.clear();
        self.ended.clear();
    }

    /// The next stream that is no more.
    pub fn poll_ended(&mut self) -> Option<Origin> {
        self.ended.pop_front()
    }

    /// Tells what was counted since this was called last. `shares` are this thread's of what there is.
    pub fn publish_metrics(&mut self, shares: &mut [Share; 2]) {
        let counts = std::mem::take(&mut self.counts);
        let counters = [
            ("veche_media_streams_accepted_total", counts.accepted),
            ("veche_media_streams_refused_total", counts.refused),
            ("veche_media_streams_moved_total", counts.moved),
            ("veche_media_stream_packets_in_total", counts.packets_in),
            ("veche_media_stream_packets_out_total", counts.packets_out),
            ("veche_media_stream_packets_dropped_total", counts.dropped),
        ];
        for (name, by) in counters {
            metrics::counter!(name).increment(by);
        }
        for (why, by) in Ended::ALL.iter().zip(counts.ended) {
            metrics::counter!("veche_media_streams_ended_total", "reason" => why.as_str())
                .increment(by);
        }
        let (all, unproven) = self.door.inside();
        let [proven_share, unproven_share] = shares;
        proven_share
            .tell(&metrics::gauge!("veche_media_streams", "state" => "proven"), all - unproven);
        unproven_share
            .tell(&metrics::gauge!("veche_media_streams", "state" => "unproven"), unproven);
    }
}

impl Origin {
    /// How the media plane knows a stream that speaks ICE.
    pub fn path(self) -> Path {
        Path::Tcp { connection: self.connection, address: self.address }
    }
}

/// Packets leave at once, and queues are ours, where what is too much is dropped.
fn prepare(io: &TcpStream) {
    let socket = SockRef::from(io);
    let prepared =
        socket.set_tcp_nodelay(true).and_then(|()| socket.set_send_buffer_size(SEND_BUFFER));
    #[cfg(target_os = "linux")]
    let prepared = prepared
        .and_then(|()| socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED)))
        .and_then(|()| socket.set_tcp_notsent_lowat(MAX_UNSENT));
    if let Err(error) = prepared {
        tracing::debug!(%error, "a connection for media was gone before it began");
    }
}
