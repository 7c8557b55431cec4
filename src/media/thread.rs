//! The loop of a media thread: wait, take orders, receive a batch, fan it out, send, tell.
//!
//! A panic in it, or a turn that does not end, costs its own peers: everything on it is given up and it begins anew, while the
//! sockets, and what others have to do with them, stay.

mod counters;

use super::crossing::Crossing;
use super::dispatcher::{Dispatcher, Order};
use super::fault::Faults;
use super::links::{Item, Letter, Links};
use super::relays::{RelaySettings, Relays, by_datagrams, by_stream};
use super::shared::SharedPort;
use super::socket::MediaSocket;
use super::station::Station;
use super::streams::{Handed, Heard, Speech, Streams};
use crate::recording::TapQueue;
use counters::Counters;
use mio::{Events, Interest, Poll, Token};
use sfu::{Command, Config, Event, HostCandidate, Identity, Path, PlaneId, Sfu, WallClock};
use socket2::Socket;
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
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
/// Letters of other threads taken before what they cause is sent: as many as datagrams.
const LETTERS_PER_BATCH: usize = 64;
/// Reads from streams between two looks at everything else.
const READS_PER_TURN: usize = 16;
/// Connections taken over between two looks at everything else.
const HANDED_PER_TURN: usize = 16;
/// Readiness taken at once.
const EVENTS: usize = 256;
/// How long the rest of a picture is waited for where many take it: senders need microseconds from piece to piece.
const REST_OF_PICTURE: Duration = Duration::from_micros(50);
/// How often counters are published.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// Events that wait for a stuck control plane. Beyond it the oldest are lost, counted and logged:
/// the control plane has been stuck for minutes then.
const MAX_BACKLOG: usize = 262_144;
/// Faults within [`FAULT_MEMORY`] after which a thread stays away: it would go on throwing its people out.
const MAX_FAULTS: usize = 5;
const FAULT_MEMORY: Duration = Duration::from_secs(60);

/// The thread's ends of the queues.
pub struct Ends {
    /// Orders from the control plane.
    pub orders: Receiver<Order>,
    /// Connections that others have accepted and recognised as media.
    pub handed: Receiver<Handed>,
    /// Addresses from now on.
    pub told: Receiver<Told>,
    /// Events for the control plane, with whose they are.
    pub events: Sender<(PlaneId, Event)>,
    /// Packets for recordings.
    pub tap: TapQueue,
    /// Whoever places people on threads.
    pub dispatcher: Arc<Dispatcher>,
}

/// Addresses.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// What clients of this thread are told.
    pub candidates: Vec<HostCandidate>,
    /// Where clients of any thread send datagrams, and so what relays may send to.
    pub peers: Vec<SocketAddr>,
}

/// What a media thread is made of.
pub struct Setup {
    /// Which it is.
    pub plane: PlaneId,
    /// All media threads, this one among them.
    pub stations: Vec<Arc<Station>>,
    /// The port that it shares with all others; none where each has its own.
    pub port: Option<Arc<SharedPort>>,
    /// Many datagrams per system call, where the system can.
    pub batched: bool,
    /// Certificate for DTLS.
    pub identity: Identity,
    /// Real time, the same on all threads.
    pub wall: WallClock,
    /// Addresses at start.
    pub told: Told,
    /// The TURN server, where there is one.
    pub relays: Option<RelaySettings>,
    /// What goes wrong here, for tests.
    pub faults: Faults,
}

/// What this thread has to do with others.
struct Far {
    links: Links,
    crossing: Crossing,
    shares_port: bool,
    /// How often everything on each of them was lost, as far as our plane knows.
    epochs: Vec<u32>,
}

/// Everything that a media thread owns.
pub struct MediaThread {
    setup: Setup,
    station: Arc<Station>,
    epoch: u32,
    poll: Poll,
    socket: MediaSocket,
    streams: Streams,
    relays: Relays,
    sfu: Sfu,
    /// None where there is no other media thread.
    far: Option<Far>,
    ends: Ends,
    backlog: VecDeque<Event>,
    next_metrics: Instant,
    counters: Counters,
}

impl MediaThread {
    /// Sets everything up; nothing runs yet.
    pub fn new(
        poll: Poll,
        mut socket: MediaSocket,
        listener: Option<TcpListener>,
        setup: Setup,
        ends: Ends,
    ) -> anyhow::Result<Self> {
        let now = Instant::now();
        let plane = setup.plane;
        let station = setup.stations[usize::from(plane.0)].clone();
        socket.register(&poll, SOCKET, Interest::READABLE)?;
        let streams = Streams::new(listener, poll.registry().try_clone()?, LISTENER, now)?;
        let far = (setup.stations.len() > 1).then(|| Far {
            links: Links::new(plane, setup.stations.clone()),
            crossing: Crossing::new(now),
            shares_port: setup.port.is_some(),
            epochs: setup.stations.iter().map(|station| station.epoch()).collect(),
        });
        Ok(Self {
            poll,
            socket,
            streams,
            relays: relays(&setup, now)?,
            sfu: sfu(&setup, now)?,
            far,
            ends,
            backlog: VecDeque::new(),
            next_metrics: now,
            counters: Counters::new(plane, now),
            epoch: station.epoch(),
            station,
            setup,
        })
    }

    /// Runs until it is told to stop; then ends every transport.
    pub fn run(mut self) {
        let mut faults: VecDeque<Instant> = VecDeque::new();
        loop {
            let turned = catch_unwind(AssertUnwindSafe(|| {
                if self.epoch != self.station.epoch() {
                    self.begin_anew()?;
                }
                self.turns()
            }));
            match turned {
                Ok(Ok(())) => break,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a media thread cannot begin anew and ends");
                    return;
                }
                Err(_) => {}
            }
            let events = self.ends.dispatcher.lose(self.setup.plane, self.epoch);
            let (plane, told) = (self.setup.plane.0, events.len());
            tracing::error!(plane, told, "fault in a media thread: its transports are closed");
            metrics::counter!("veche_media_threads_lost_total", "reason" => "fault").increment(1);
            self.backlog.extend(events);
            let now = Instant::now();
            faults.retain(|fault| now.saturating_duration_since(*fault) < FAULT_MEMORY);
            faults.push_back(now);
            if faults.len() > MAX_FAULTS {
                tracing::error!(plane, "a media thread has had too many faults and ends");
                for event in self.backlog.drain(..) {
                    // Nobody hears it who has ended before.
                    self.ends.events.blocking_send((self.setup.plane, event)).ok();
                }
                if let Err(error) = self.leave_nothing(now) {
                    tracing::error!(%error, plane, "what a media thread had counted stays in the metrics");
                }
                return;
            }
        }
        self.sfu.close();
        self.send();
    }

    /// It does not begin anew: nothing comes in by its socket any more, and nothing on it is counted.
    fn leave_nothing(&mut self, now: Instant) -> anyhow::Result<()> {
        if let Some(port) = &self.setup.port {
            port.shut(usize::from(self.setup.plane.0));
        }
        self.streams.clear();
        self.relays = relays(&self.setup, now)?;
        self.sfu = sfu(&self.setup, now)?;
        self.counters.begin_anew();
        self.publish_metrics(now);
        Ok(())
    }

    /// Turns until it is told to stop.
    fn turns(&mut self) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut has_more = false;
        while !self.station.is_stopping() {
            self.station.turns();
            if self.epoch != self.station.epoch() {
                // What it had to tell is not so any more.
                self.backlog.clear();
                self.begin_anew()?;
            }
            let timeout = if has_more { Duration::ZERO } else { self.until_next() };
            let polled = self.poll.poll(&mut events, Some(timeout));
            if self.far.is_some() {
                self.station.wakes_up();
            }
            if let Err(error) = polled
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "waiting for media failed");
            }
            for event in &events {
                if !matches!(event.token(), WAKER | SOCKET) {
                    self.streams.note(LISTENER, event);
                }
            }
            has_more = self.turn()?;
        }
        Ok(())
    }

    /// Gives everything up that was lost, and opens again.
    fn begin_anew(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        self.epoch = self.station.epoch();
        self.open_socket()?;
        self.streams.clear();
        self.relays = relays(&self.setup, now)?;
        self.sfu = sfu(&self.setup, now)?;
        self.counters.begin_anew();
        if let Some(far) = &mut self.far {
            far.links.begin_anew(self.epoch);
            far.crossing.begin_anew();
        }
        self.station.reopen();
        Ok(())
    }

    /// Takes its share of what comes in by a port that it shares, where it does not yet.
    fn open_socket(&mut self) -> anyhow::Result<()> {
        let Some(port) = &self.setup.port else { return Ok(()) };
        let socket = port.renew(usize::from(self.setup.plane.0))?;
        self.change_socket(socket)
    }

    /// The same where its socket was taken out while it stood still.
    fn take_part_again(&mut self) -> anyhow::Result<()> {
        let Some(port) = &self.setup.port else { return Ok(()) };
        let socket = port.take_back(usize::from(self.setup.plane.0))?;
        self.change_socket(socket)
    }

    fn change_socket(&mut self, socket: Option<Socket>) -> anyhow::Result<()> {
        if let Some(socket) = socket {
            self.socket = MediaSocket::new(socket, self.setup.batched);
            self.socket.register(&self.poll, SOCKET, Interest::READABLE)?;
        }
        Ok(())
    }

    /// One turn of everything. True when there is more to do at once.
    fn turn(&mut self) -> anyhow::Result<bool> {
        let mut has_more = self.take_orders()?;
        if let (Some(port), Some(far)) = (&self.setup.port, &mut self.far)
            && far.crossing.was_dealt(port.deals())
        {
            far.crossing.dealt(Instant::now(), port.deals());
        }
        while let Ok(told) = self.ends.told.try_recv() {
            self.relays.set_peers(&told.peers);
            self.sfu.set_candidates(told.candidates.clone());
            self.setup.told = told;
        }
        has_more |= self.take_letters();
        let mut has_waited = false;
        for batch in 1..=BATCHES_PER_TURN {
            let (sfu, relays, far) = (&mut self.sfu, &mut self.relays, &mut self.far);
            let now = Instant::now();
            let is_full = self.socket.receive(|from, datagram| {
                if !relays.wants(datagram) {
                    receive(now, Path::Udp(from), datagram, sfu, far);
                } else if let Some((path, packet)) =
                    relays.receive(now, by_datagrams(from), datagram)
                {
                    receive(now, path, packet, sfu, far);
                }
            });
            if !is_full && !has_waited && self.sfu.awaits_rest() {
                has_waited = true;
                std::thread::sleep(REST_OF_PICTURE);
                continue;
            }
            self.flush(now);
            if !is_full {
                // What had come in before its socket was taken out of the sharing is read.
                if self.station.stood_still() {
                    self.take_part_again()?;
                }
                break;
            }
            has_more |= batch == BATCHES_PER_TURN;
        }
        has_more |= self.receive_streams();
        let now = Instant::now();
        self.relays.handle_timeout(now);
        let (sfu, far) = (&mut self.sfu, &mut self.far);
        self.relays.take_lost(|path| match far {
            Some(far) => far.crossing.lose_path(now, path, sfu, &mut far.links),
            None => sfu.lose_path(now, path),
        });
        self.sfu.handle_timeout(now);
        self.flush(now);
        self.tell();
        if now >= self.next_metrics {
            self.next_metrics = now + METRICS_INTERVAL;
            self.publish_metrics(now);
        }
        Ok(has_more)
    }

    /// Carries orders out. True when there may be more.
    fn take_orders(&mut self) -> anyhow::Result<bool> {
        for _ in 0..COMMANDS_PER_TURN {
            let Ok(Order { epoch, command }) = self.ends.orders.try_recv() else {
                return Ok(false);
            };
            self.station.queued.fetch_sub(1, Ordering::Relaxed);
            let now = Instant::now();
            if let Command::LosePlane { plane } = command {
                self.lose_plane(now, plane);
                continue;
            }
            // Everything was lost a moment ago, and this is the first order for what comes after.
            if epoch > self.epoch {
                self.backlog.clear();
                self.begin_anew()?;
            }
            if epoch != self.epoch {
                continue;
            }
            let brings_peer = matches!(
                command,
                Command::Publish { .. } | Command::Subscribe { .. } | Command::Watch { .. }
            );
            if brings_peer {
                self.open_socket()?;
            }
            if let Command::SendAway { room, user } = &command {
                self.relays.send_away(&user.to_string(), &room.to_string());
            }
            self.sfu.command(now, command);
        }
        Ok(true)
    }

    /// Everything on another thread is lost.
    fn lose_plane(&mut self, now: Instant, plane: PlaneId) {
        let Some(far) = &mut self.far else { return };
        let at = usize::from(plane.0);
        let (Some(known), Some(station)) = (far.epochs.get_mut(at), far.links.station(plane))
        else {
            return;
        };
        let epoch = station.epoch();
        // A letter of its next life may have said so before.
        if std::mem::replace(known, epoch) == epoch {
            return;
        }
        far.links.forget(plane);
        far.crossing.lose_plane(now, plane, &mut self.sfu);
        self.sfu.command(now, Command::LosePlane { plane });
    }

    /// Takes what other threads have sent, each batch sent on before the next. True when there is more.
    fn take_letters(&mut self) -> bool {
        if self.far.is_none() {
            return false;
        }
        for _ in 0..BATCHES_PER_TURN {
            let now = Instant::now();
            for _ in 0..LETTERS_PER_BATCH {
                let Some(letter) = self.station.ring.pop() else {
                    self.flush(now);
                    return false;
                };
                self.take_letter(now, letter);
            }
            self.flush(now);
        }
        !self.station.ring.is_empty()
    }

    fn take_letter(&mut self, now: Instant, letter: Letter) {
        let Letter { from, epoch, item } = letter;
        let Some(far) = &mut self.far else { return };
        // What somebody sent before everything there was lost is not so any more.
        if far.links.station(from).is_none_or(|station| station.epoch() != epoch) {
            return;
        }
        if far.epochs[usize::from(from.0)] != epoch {
            self.lose_plane(now, from);
        }
        let Some(far) = &mut self.far else { return };
        let (crossing, links) = (&mut far.crossing, &mut far.links);
        match item {
            Item::Relayed(relayed) => self.sfu.receive_relayed(now, from, relayed),
            Item::Datagram { path, mut bytes } => {
                crossing.receive_passed(now, from, path, &mut bytes, &mut self.sfu, links);
            }
            Item::Send { path, bytes } => self.relays.wrap_one(now, path, &bytes),
            Item::Route { path, is_ours } => crossing.set_route(path, from, is_ours),
            Item::Lost { path } => crossing.lose_passed(now, path, &mut self.sfu),
            Item::Stream(moved) => self.streams.take_moved(*moved),
        }
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
            let (sfu, relays, far) = (&mut self.sfu, &mut self.relays, &mut self.far);
            let moved = self.streams.receive(|origin, packet| match origin.speech {
                Speech::Ice => {
                    if let Some(far) = far
                        && let Some(plane) = far.crossing.elsewhere(packet, &far.links)
                    {
                        return Heard::Elsewhere(plane);
                    }
                    sfu.receive(now, origin.path(), packet);
                    heard(sfu.knows_path(origin.path()))
                }
                Speech::Turn => {
                    let client = by_stream(origin.connection, origin.address);
                    if let Some((path, packet)) = relays.receive(now, client, packet) {
                        receive(now, path, packet, sfu, far);
                    }
                    heard(relays.has_allocation(client))
                }
                Speech::Unknown => Heard::Unknown,
            });
            if let Some((plane, moved)) = moved
                && let Some(far) = &mut self.far
            {
                far.links.send(plane, Item::Stream(Box::new(moved)));
            }
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
        let wait = wait.min(METRICS_INTERVAL);
        // A control plane that is behind gets another try soon, and so does a thread.
        let wait = if self.backlog.is_empty() { wait } else { wait.min(Duration::from_millis(5)) };
        match &self.far {
            None => wait,
            Some(_) if !self.station.falls_asleep() => Duration::ZERO,
            Some(far) if far.links.is_waiting() => wait.min(Duration::from_millis(1)),
            Some(_) => wait,
        }
    }

    /// Fans out what has come and sends it, a slab at a time.
    fn flush(&mut self, now: Instant) {
        self.setup.faults.strike(self.setup.plane);
        // First, so that others do their part while this thread does its own.
        self.hand_over();
        while self.sfu.flush(now) {
            self.send();
        }
        self.send();
        while let Some(tapped) = self.sfu.poll_tapped() {
            self.ends.tap.push(tapped);
        }
        self.hand_over();
    }

    /// Gives other threads what there is for them, and wakes them.
    fn hand_over(&mut self) {
        if let Some(far) = &mut self.far {
            while let Some((plane, relayed)) = self.sfu.poll_relayed() {
                far.links.send(plane, Item::Relayed(relayed));
            }
            far.links.wake();
        }
    }

    fn send(&mut self) {
        let transmits = self.sfu.transmits();
        if !transmits.is_empty() {
            self.socket.send(transmits);
            if transmits.has_others() {
                self.streams.send(transmits);
                self.streams.flush();
                let far = &mut self.far;
                self.relays.wrap(Instant::now(), transmits, |plane, path, packet| {
                    if let Some(far) = far {
                        far.links.send(plane, Item::Send { path, bytes: packet.to_vec() });
                    }
                });
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
        // It stood still and was given up meanwhile: what it knows is not so any more.
        if self.epoch != self.station.epoch() {
            return;
        }
        while let Some(event) = self.sfu.poll_event() {
            if self.backlog.len() >= MAX_BACKLOG {
                self.backlog.pop_front();
                metrics::counter!("veche_media_events_lost_total").increment(1);
            }
            self.backlog.push_back(event);
        }
        while let Some(event) = self.backlog.pop_front() {
            match self.ends.events.try_send((self.setup.plane, event)) {
                Ok(()) => {}
                Err(TrySendError::Full((_, event))) => {
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

    fn publish_metrics(&mut self, now: Instant) {
        let sent = self.counters.publish(&self.sfu, self.socket.take_dropped());
        self.streams.publish_metrics(&mut self.counters.streams);
        self.relays.publish_metrics(&mut self.counters.allocations);
        self.station.set_pace(self.counters.pace(now, sent));
        if let Some(far) = &mut self.far {
            self.counters.publish_links(far.links.take_counts());
            far.crossing.tidy(&self.sfu, &mut far.links);
        }
    }
}

/// Gives a datagram to the plane that it is for.
fn receive(now: Instant, path: Path, datagram: &mut [u8], sfu: &mut Sfu, far: &mut Option<Far>) {
    match far {
        // By a port of our own comes what is ours.
        Some(far) if far.shares_port || !matches!(path, Path::Udp(_)) => {
            far.crossing.receive(now, path, datagram, sfu, &mut far.links);
        }
        _ => {
            sfu.receive(now, path, datagram);
        }
    }
}

fn heard(is_known: bool) -> Heard {
    if is_known { Heard::Known } else { Heard::Unknown }
}

fn sfu(setup: &Setup, now: Instant) -> anyhow::Result<Sfu> {
    let config = Config {
        identity: setup.identity.clone(),
        candidates: setup.told.candidates.clone(),
        wall: setup.wall,
        plane: setup.plane,
        seed: random_seed()?,
    };
    Ok(Sfu::new(config, now))
}

fn relays(setup: &Setup, now: Instant) -> anyhow::Result<Relays> {
    let Some(settings) = &setup.relays else { return Ok(Relays::none()) };
    let peers = setup.told.peers.clone();
    Ok(Relays::new(setup.plane, settings, random_seed()?, peers, now))
}

fn random_seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| anyhow::anyhow!("no randomness"))?;
    Ok(seed)
}
