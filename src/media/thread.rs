//! The loop of the media thread: wait, take orders, receive a batch, fan it out, send, tell.

use super::relays::{RelaySettings, Relays, by_datagrams, by_stream};
use super::socket::MediaSocket;
use super::streams::{Handed, Speech, Streams};
use crate::recording::TapQueue;
use anyhow::Context;
use mio::{Events, Interest, Poll, Token};
use sfu::{
    Carrier, Census, CloseReason, Command, Config, DropReason, Event, HostCandidate, Identity,
    Path, PlaneId, Sfu, WallClock,
};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// Readiness of the waker.
pub const WAKER: Token = Token(0);
const SOCKET: Token = Token(1);
/// Readiness of the listener for streams; those of streams follow.
const LISTENER: Token = Token(2);
/// Commands taken between two looks at the socket: an SDP costs up to a millisecond.
const COMMANDS_PER_TURN: usize = 8;
/// Receive batches between two looks at commands and timers.
const BATCHES_PER_TURN: usize = 8;
/// Reads from streams between two looks at everything else.
const READS_PER_TURN: usize = 16;
/// Connections taken over between two looks at everything else.
const HANDED_PER_TURN: usize = 16;
/// Readiness taken at once.
const EVENTS: usize = 256;
/// How often counters are published.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// Events that wait for a stuck control plane. Beyond it the oldest are lost, counted and logged:
/// the control plane has been stuck for minutes then.
const MAX_BACKLOG: usize = 262_144;

/// The thread's ends of the queues.
pub struct Ends {
    /// Orders from the control plane.
    pub orders: Receiver<Command>,
    /// Connections that others have accepted and recognised as media.
    pub handed: Receiver<Handed>,
    /// Addresses that clients are told from now on.
    pub told: Receiver<Vec<HostCandidate>>,
    /// Events for it.
    pub events: Sender<Event>,
    /// Packets for recordings.
    pub tap: TapQueue,
}

/// Everything the media thread owns.
pub struct MediaThread {
    poll: Poll,
    socket: MediaSocket,
    streams: Streams,
    relays: Relays,
    sfu: Sfu,
    ends: Ends,
    backlog: VecDeque<Event>,
    next_metrics: Instant,
    told: sfu::Stats,
}

impl MediaThread {
    /// Sets everything up; nothing runs yet.
    pub fn new(
        poll: Poll,
        mut socket: MediaSocket,
        listener: Option<TcpListener>,
        identity: Identity,
        candidates: Vec<HostCandidate>,
        relays: Option<&RelaySettings>,
        ends: Ends,
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let since_1970 =
            SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
        let relays = match relays {
            None => Relays::none(),
            Some(settings) => {
                Relays::new(settings, random_seed()?, datagram_addresses(&candidates), now)
            }
        };
        let seed = random_seed()?;
        let since_1970 =
            u64::try_from(since_1970.as_nanos()).context("a clock past the year 2500")?;
        let wall = WallClock::new(now, since_1970);
        let sfu = Sfu::new(Config { identity, candidates, wall, plane: PlaneId(0), seed }, now);
        socket.register(&poll, SOCKET, Interest::READABLE)?;
        let streams = Streams::new(listener, poll.registry().try_clone()?, LISTENER, now)?;
        Ok(Self {
            poll,
            socket,
            streams,
            relays,
            sfu,
            ends,
            backlog: VecDeque::new(),
            next_metrics: now,
            told: sfu::Stats::default(),
        })
    }

    /// Runs until `is_stopping` says so; then ends every transport.
    pub fn run(mut self, is_stopping: impl Fn() -> bool) {
        let mut events = Events::with_capacity(EVENTS);
        let mut has_more = false;
        while !is_stopping() {
            let timeout = if has_more { Duration::ZERO } else { self.until_next() };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "waiting for media failed");
            }
            for event in &events {
                if !matches!(event.token(), WAKER | SOCKET) {
                    self.streams.note(LISTENER, event);
                }
            }
            has_more = self.turn();
        }
        self.sfu.close();
        self.send();
    }

    /// One turn of everything. True when there is more to do at once.
    fn turn(&mut self) -> bool {
        let mut has_more = false;
        for taken in 1..=COMMANDS_PER_TURN {
            let Ok(command) = self.ends.orders.try_recv() else { break };
            if let Command::SendAway { room, user } = &command {
                self.relays.send_away(&user.to_string(), &room.to_string());
            }
            self.sfu.command(Instant::now(), command);
            has_more = taken == COMMANDS_PER_TURN;
        }
        if let Ok(candidates) = self.ends.told.try_recv() {
            self.relays.set_peers(&datagram_addresses(&candidates));
            self.sfu.set_candidates(candidates);
        }
        for batch in 1..=BATCHES_PER_TURN {
            let (sfu, relays) = (&mut self.sfu, &mut self.relays);
            let now = Instant::now();
            let is_full = self.socket.receive(|from, datagram| {
                if !relays.wants(datagram) {
                    sfu.receive(now, Path::Udp(from), datagram);
                } else if let Some((path, packet)) =
                    relays.receive(now, by_datagrams(from), datagram)
                {
                    sfu.receive(now, path, packet);
                }
            });
            self.flush(now);
            if !is_full {
                break;
            }
            has_more |= batch == BATCHES_PER_TURN;
        }
        has_more |= self.receive_streams();
        let now = Instant::now();
        self.relays.handle_timeout(now);
        self.relays.take_lost(|path| self.sfu.lose_path(now, path));
        self.sfu.handle_timeout(now);
        self.flush(now);
        self.tell();
        if now >= self.next_metrics {
            self.next_metrics = now + METRICS_INTERVAL;
            self.publish_metrics();
        }
        has_more
    }

    /// Takes what came by streams, each batch sent on before the next. True when there is more.
    fn receive_streams(&mut self) -> bool {
        let mut has_more = self.streams.accept(Instant::now());
        for taken in 1..=HANDED_PER_TURN {
            let Ok(handed) = self.ends.handed.try_recv() else { break };
            self.streams.take_over(Instant::now(), handed);
            has_more |= taken == HANDED_PER_TURN;
        }
        for _ in 0..self.streams.readable().min(READS_PER_TURN) {
            let now = Instant::now();
            let (sfu, relays) = (&mut self.sfu, &mut self.relays);
            self.streams.receive(|origin, packet| match origin.speech {
                Speech::Ice => {
                    sfu.receive(now, origin.path(), packet);
                    sfu.knows_path(origin.path())
                }
                Speech::Turn => {
                    let client = by_stream(origin.connection, origin.address);
                    if let Some((path, packet)) = relays.receive(now, client, packet) {
                        sfu.receive(now, path, packet);
                    }
                    relays.has_allocation(client)
                }
                Speech::Unknown => false,
            });
            self.flush(now);
        }
        self.streams.flush();
        let now = Instant::now();
        self.streams.tick(now, |origin| match origin.speech {
            Speech::Ice => self.sfu.knows_path(origin.path()),
            Speech::Turn => {
                self.relays.has_allocation(by_stream(origin.connection, origin.address))
            }
            Speech::Unknown => false,
        });
        while let Some(origin) = self.streams.poll_ended() {
            match origin.speech {
                Speech::Ice => self.sfu.lose_path(now, origin.path()),
                Speech::Turn => {
                    self.relays.disconnected(by_stream(origin.connection, origin.address));
                }
                Speech::Unknown => {}
            }
        }
        has_more || self.streams.readable() > 0
    }

    fn until_next(&self) -> Duration {
        let now = Instant::now();
        let wait = self.sfu.poll_timeout().map_or(METRICS_INTERVAL, |at| at.duration_since(now));
        // A control plane that is behind gets another try soon.
        if self.backlog.is_empty() { wait } else { wait.min(Duration::from_millis(5)) }
    }

    /// Fans out what has come and sends it, a slab at a time.
    fn flush(&mut self, now: Instant) {
        while self.sfu.flush(now) {
            self.send();
        }
        self.send();
        while let Some(tapped) = self.sfu.poll_tapped() {
            self.ends.tap.push(tapped);
        }
    }

    fn send(&mut self) {
        let transmits = self.sfu.transmits();
        if !transmits.is_empty() {
            self.socket.send(transmits);
            if transmits.has_others() {
                self.streams.send(transmits);
                self.streams.flush();
                self.relays.wrap(Instant::now(), transmits);
            }
            transmits.clear();
        }
        let wrapped = self.relays.outgoing();
        if !wrapped.is_empty() {
            self.socket.send(wrapped);
            if wrapped.has_others() {
                self.streams.send(wrapped);
                self.streams.flush();
            }
            wrapped.clear();
        }
    }

    /// Hands events over in order; what does not fit waits.
    fn tell(&mut self) {
        while let Some(event) = self.sfu.poll_event() {
            if self.backlog.len() >= MAX_BACKLOG {
                self.backlog.pop_front();
                metrics::counter!("veche_media_events_lost_total").increment(1);
            }
            self.backlog.push_back(event);
        }
        while let Some(event) = self.backlog.pop_front() {
            match self.ends.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.backlog.push_front(event);
                    return;
                }
                Err(TrySendError::Closed(_)) => {
                    self.backlog.clear();
                    return;
                }
            }
        }
    }

    fn publish_metrics(&mut self) {
        let now = self.sfu.stats();
        let before = std::mem::replace(&mut self.told, now);
        let counters = [
            ("veche_media_datagrams_in_total", now.datagrams_in - before.datagrams_in),
            ("veche_media_strangers_total", now.strangers - before.strangers),
            ("veche_media_packets_in_total", now.packets_in - before.packets_in),
            (
                "veche_media_packets_recovered_total",
                now.packets_recovered - before.packets_recovered,
            ),
            ("veche_media_packets_blocked_total", now.packets_blocked - before.packets_blocked),
            ("veche_media_packets_out_total", now.packets_out - before.packets_out),
            ("veche_media_bytes_out_total", now.bytes_out - before.bytes_out),
            ("veche_media_packets_held_total", now.packets_held - before.packets_held),
            ("veche_media_tapped_dropped_total", now.tapped_dropped - before.tapped_dropped),
            ("veche_media_packets_resent_total", now.packets_resent - before.packets_resent),
            ("veche_media_padding_out_total", now.padding_out - before.padding_out),
            ("veche_media_keyframes_asked_total", now.keyframes_asked - before.keyframes_asked),
            ("veche_media_rebinds_total", now.rebinds - before.rebinds),
            ("veche_media_faults_total", now.faults - before.faults),
            ("veche_media_sdps_refused_total", now.sdps_refused - before.sdps_refused),
            ("veche_media_feedback_ignored_total", now.feedback_ignored - before.feedback_ignored),
            (
                "veche_media_datagrams_refused_total",
                now.datagrams_refused - before.datagrams_refused,
            ),
            ("veche_media_send_dropped_total", self.socket.take_dropped()),
        ];
        for (name, by) in counters {
            metrics::counter!(name).increment(by);
        }
        for reason in DropReason::ALL {
            let by = now.packets_dropped.of(reason) - before.packets_dropped.of(reason);
            metrics::counter!("veche_media_packets_dropped_total", "reason" => reason.as_str())
                .increment(by);
        }
        for (at, reason) in CloseReason::ALL.into_iter().enumerate() {
            let by = now.closed[at] - before.closed[at];
            metrics::counter!("veche_media_closed_total", "reason" => reason.label()).increment(by);
        }
        self.streams.publish_metrics();
        self.relays.publish_metrics();
        let census = self.sfu.census();
        for (carrier, count) in Carrier::ALL.into_iter().zip(census.paths) {
            metrics::gauge!("veche_media_paths", "carrier" => carrier.as_str()).set(count as f64);
        }
        for (direction, count) in
            [("publish", census.publishers), ("subscribe", census.subscribers)]
        {
            metrics::gauge!("veche_media_transports", "direction" => direction).set(count as f64);
        }
        for ((_, reason), count) in Census::REASONS.into_iter().zip(census.pictures) {
            metrics::gauge!("veche_media_pictures", "reason" => reason).set(count as f64);
        }
        metrics::gauge!("veche_media_rooms").set(census.rooms as f64);
    }
}

fn random_seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(seed)
}

/// Where clients send datagrams, and so what relays may send to.
fn datagram_addresses(candidates: &[HostCandidate]) -> Vec<SocketAddr> {
    let datagrams = candidates.iter().filter(|candidate| candidate.carrier == Carrier::Udp);
    datagrams.map(|candidate| candidate.address).collect()
}
