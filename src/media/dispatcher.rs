//! The control plane's one door to all media threads: who gets which order, and what they tell put together.
//!
//! One lock, held for a decision and never by a thread that moves packets, except to say that everything on it is lost.

use super::station::Station;
use protocol::RoomId;
use protocol::stats::RoomStats;
use sfu::{Command, Event, Load, Placement, PlaneId, Spread};
use signaling::{MediaBusy, MediaPlane};
use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Orders that may wait for one thread. It takes them within milliseconds; with more it is stuck, and callers are told
/// to try again.
const QUEUE: usize = 8_192;
/// Reports that may wait for their parts. More are not put together.
const MAX_GATHERINGS: usize = 4_096;

/// An order for one thread.
pub struct Order {
    /// How often everything there was lost when it was given: later it concerns nobody.
    pub epoch: u32,
    /// It.
    pub command: Command,
}

/// Orders in, for whoever has them.
pub struct Dispatcher {
    stations: Vec<Arc<Station>>,
    queues: Vec<Sender<Order>>,
    state: Mutex<State>,
}

struct State {
    placement: Placement,
    gatherings: HashMap<(RoomId, u64), Gathering>,
}

/// A report of a room that is on several planes.
struct Gathering {
    missing: Vec<PlaneId>,
    report: RoomStats,
}

/// What the planes tell, for the control plane.
pub struct MediaEvents {
    heard: tokio::sync::mpsc::Receiver<(PlaneId, Event)>,
    dispatcher: Arc<Dispatcher>,
}

impl MediaEvents {
    /// Of all these planes.
    pub fn new(
        heard: tokio::sync::mpsc::Receiver<(PlaneId, Event)>,
        dispatcher: Arc<Dispatcher>,
    ) -> Self {
        Self { heard, dispatcher }
    }

    /// The next event; none once every media thread has ended.
    pub async fn recv(&mut self) -> Option<Event> {
        loop {
            let (plane, event) = self.heard.recv().await?;
            if let Some(event) = self.dispatcher.hear(plane, event) {
                return Some(event);
            }
        }
    }
}

impl MediaPlane for Dispatcher {
    fn send(&self, command: Command) -> Result<(), MediaBusy> {
        let mut state = self.state();
        let reach = state.placement.reach(&command);
        let is_busy = |plane: &PlaneId| {
            self.stations.get(usize::from(plane.0)).is_some_and(|station| {
                station.is_open()
                    && station.queued.load(std::sync::atomic::Ordering::Relaxed) >= QUEUE
            })
        };
        if reach.iter().any(is_busy) {
            return Err(MediaBusy);
        }
        let report = match &command {
            Command::Report { room, request } => Some((*room, *request)),
            _ => None,
        };
        let loads: Vec<Load> = self.stations.iter().map(|station| station.load()).collect();
        let orders = state.placement.route(command, &loads);
        if let Some(report) = report
            && orders.len() > 1
            && state.gatherings.len() < MAX_GATHERINGS
        {
            let missing = orders.iter().map(|(plane, _)| *plane).collect();
            let gathering = Gathering { missing, report: RoomStats::default() };
            state.gatherings.insert(report, gathering);
        }
        let is_given = self.give(orders);
        drop(state);
        if is_given { Ok(()) } else { Err(MediaBusy) }
    }
}

impl Dispatcher {
    /// For these threads, whose orders go into these queues.
    pub fn new(stations: Vec<Arc<Station>>, queues: Vec<Sender<Order>>, spread: Spread) -> Self {
        let placement = Placement::new(stations.len(), spread);
        let state = Mutex::new(State { placement, gatherings: HashMap::new() });
        Self { stations, queues, state }
    }

    /// Everything on a thread is lost. What its clients are to be told; nothing where it was lost since `epoch`
    /// already.
    pub fn lose(&self, plane: PlaneId, epoch: u32) -> Vec<Event> {
        let Some(station) = self.stations.get(usize::from(plane.0)) else { return Vec::new() };
        let mut state = self.state();
        if station.epoch() != epoch {
            return Vec::new();
        }
        station.lose();
        let lost = state.placement.lose(plane);
        self.give(lost.orders);
        let mut events = lost.events;
        let waiting: Vec<(RoomId, u64)> = state.gatherings.keys().copied().collect();
        for key in waiting {
            events.extend(state.gather(key, plane, RoomStats::default()));
        }
        events
    }

    /// Rooms that are on a plane, and those of them that are on more than one.
    pub fn rooms(&self) -> (usize, usize) {
        let state = self.state();
        (state.placement.rooms(), state.placement.spread_rooms())
    }

    /// What an event means for the control plane: nothing, where it is a part of something.
    fn hear(&self, plane: PlaneId, event: Event) -> Option<Event> {
        let mut state = self.state();
        state.placement.hear(&event);
        match event {
            Event::Reported { room, request, report } => {
                if !state.gatherings.contains_key(&(room, request)) {
                    return Some(Event::Reported { room, request, report });
                }
                state.gather((room, request), plane, *report)
            }
            event => Some(event),
        }
    }

    /// Puts orders into queues. False when none of them has a thread any more.
    fn give(&self, orders: Vec<(PlaneId, Command)>) -> bool {
        let mut is_given = orders.is_empty();
        for (plane, command) in orders {
            let at = usize::from(plane.0);
            let (Some(station), Some(queue)) = (self.stations.get(at), self.queues.get(at)) else {
                continue;
            };
            station.queued.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if queue.send(Order { epoch: station.epoch(), command }).is_ok() {
                is_given = true;
                station.wake();
            }
        }
        is_given
    }

    /// Its owner only decides, and a decision that panics has changed little: whoever comes next goes on.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds a plane's part to a report; the whole once nothing is missing.
    fn gather(&mut self, key: (RoomId, u64), plane: PlaneId, part: RoomStats) -> Option<Event> {
        let gathering = self.gatherings.get_mut(&key)?;
        gathering.missing.retain(|missing| *missing != plane);
        sfu::merge_reports(&mut gathering.report, part);
        if !gathering.missing.is_empty() {
            return None;
        }
        let report = Box::new(self.gatherings.remove(&key)?.report);
        Some(Event::Reported { room: key.0, request: key.1, report })
    }
}
