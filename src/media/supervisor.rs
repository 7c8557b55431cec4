//! Looks whether every media thread still turns. One that does not takes its own peers down and nobody else: they are
//! told, get another thread, and so does what comes in by its socket.

use super::dispatcher::Dispatcher;
use super::shared::SharedPort;
use super::station::Station;
use sfu::{Event, PlaneId};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc::WeakSender;
use tokio::sync::mpsc::error::TrySendError;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looks without a turn between, after which nothing new goes to a thread: half a second. That costs little and is
/// taken back with the next turn, so it comes long before the thread is given up. What others' clients send may be dealt to its
/// socket, and is lost for as long as nobody reads there.
const LOOKS_STILL: u32 = 3;
/// Looks without a turn between, after which a thread is taken for stuck: five seconds. Fewer take a busy machine for a
/// stuck thread; more leave people without picture and sound for longer. Looks are counted and not seconds, so that a machine
/// that was asleep finds nobody guilty.
const LOOKS: u32 = 20;

/// The thread that looks, until this is dropped.
pub struct Supervisor {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A thread as it was when somebody looked last.
#[derive(Default)]
struct Seen {
    turned: u64,
    looks: u32,
    is_still: bool,
    is_stuck: bool,
}

struct Looking {
    stations: Vec<Arc<Station>>,
    seen: Vec<Seen>,
    dispatcher: Arc<Dispatcher>,
    events: WeakSender<(PlaneId, Event)>,
    unsent: VecDeque<(PlaneId, Event)>,
    port: Option<Arc<SharedPort>>,
}

impl Supervisor {
    /// Looks after these.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn start(
        stations: Vec<Arc<Station>>,
        dispatcher: Arc<Dispatcher>,
        events: WeakSender<(PlaneId, Event)>,
        port: Option<Arc<SharedPort>>,
    ) -> io::Result<Self> {
        let (stop, stopping) = sync_channel(0);
        let seen = stations.iter().map(|_| Seen::default()).collect();
        let unsent = VecDeque::new();
        let mut looking = Looking { stations, seen, dispatcher, events, unsent, port };
        let thread = std::thread::Builder::new()
            .name("media-watch".into())
            .spawn(move || looking.run(&stopping))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Looking {
    fn run(&mut self, stopping: &Receiver<()>) {
        while stopping.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            for at in 0..self.stations.len() {
                self.look(at);
            }
            self.tell();
            let (rooms, spread) = self.dispatcher.rooms();
            metrics::gauge!("veche_media_rooms").set(rooms as f64);
            metrics::gauge!("veche_media_rooms_spread").set(spread as f64);
        }
    }

    fn look(&mut self, at: usize) {
        let (station, seen) = (&self.stations[at], &mut self.seen[at]);
        let turned = station.turned();
        if turned != seen.turned {
            seen.turned = turned;
            seen.looks = 0;
            if std::mem::take(&mut seen.is_still) | std::mem::take(&mut seen.is_stuck) {
                tracing::warn!(plane = station.plane.0, "a media thread turns again");
            }
            return;
        }
        seen.looks += 1;
        let may_be_still = self.stations.len() > 1 && !seen.is_still && !station.is_asleep();
        if may_be_still && seen.looks >= LOOKS_STILL {
            seen.is_still = true;
            tracing::warn!(plane = station.plane.0, "a media thread stands still");
            if let Some(port) = &self.port {
                port.set_aside(at);
            }
            // Afterwards: whoever unsays it opens the socket again.
            station.set_still();
        }
        if seen.looks < LOOKS || seen.is_stuck {
            return;
        }
        seen.is_stuck = true;
        let epoch = station.epoch();
        // Nobody could take its people over.
        if self.stations.len() == 1 {
            tracing::error!("the media thread is stuck");
            return;
        }
        let events = self.dispatcher.lose(station.plane, epoch);
        tracing::error!(
            plane = station.plane.0,
            told = events.len(),
            "a media thread is stuck: its transports are closed and go to others"
        );
        metrics::counter!("veche_media_threads_lost_total", "reason" => "stuck").increment(1);
        if let Some(port) = &self.port {
            port.shut(at);
        }
        self.unsent.extend(events.into_iter().map(|event| (station.plane, event)));
    }

    /// Hands events over; what does not fit waits until the next look.
    fn tell(&mut self) {
        // Media threads hold the events' other ends; without any there is nobody to hear.
        let Some(events) = self.events.upgrade() else { return self.unsent.clear() };
        while let Some(event) = self.unsent.pop_front() {
            match events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => return self.unsent.push_front(event),
                Err(TrySendError::Closed(_)) => return self.unsent.clear(),
            }
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that looks after media threads had died");
        }
    }
}
