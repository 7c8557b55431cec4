//! What others see of a media thread: where things for it are put down, and how it does.

use super::links::Letter;
use crossbeam_queue::ArrayQueue;
use sfu::{Load, PlaneId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Letters that wait for a thread. It takes them within milliseconds; more hides that it is stuck, less drops
/// packets of a burst into a large room.
const RING: usize = 4_096;
/// Parts of a whole in which a load is kept.
const WHOLE: f32 = 1_000.0;

/// What a thread has done in the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// Share of a core that it used.
    pub busy: f32,
    /// Share of the time in which it worked or waited for a core to work on: where others want the cores too, or a
    /// container gets a part of one, packets wait long before a whole core is used.
    pub pressed: f32,
    /// Packets that it sent, per second.
    pub packets: u64,
}

/// What all media threads do, for whoever decides how much that may be.
#[derive(Clone)]
pub struct Pulse(Vec<Arc<Station>>);

impl Pulse {
    /// Of these threads.
    pub fn new(stations: Vec<Arc<Station>>) -> Self {
        Self(stations)
    }

    /// The shares of the thread that has most to do, and the packets of all.
    pub fn take(&self) -> Pace {
        self.0.iter().map(|station| station.pace()).fold(Pace::default(), |all, one| Pace {
            busy: all.busy.max(one.busy),
            pressed: all.pressed.max(one.pressed),
            packets: all.packets + one.packets,
        })
    }
}

/// One media thread, as all others see it.
pub struct Station {
    /// Whose it is.
    pub plane: PlaneId,
    /// What other threads have for it.
    pub ring: ArrayQueue<Letter>,
    waker: mio::Waker,
    is_asleep: AtomicBool,
    /// How often everything on it was lost. What was meant for it before the last time concerns nobody.
    epoch: AtomicU32,
    is_open: AtomicBool,
    is_stopping: AtomicBool,
    /// It has not turned for a while though it has something to do. It unsays it itself.
    is_still: AtomicBool,
    turns: AtomicU64,
    busy: AtomicU32,
    pressed: AtomicU32,
    packets: AtomicU64,
    round: AtomicU32,
    /// Orders that wait for it.
    pub queued: AtomicUsize,
}

impl Station {
    /// Of a thread that has not begun.
    pub fn new(plane: PlaneId, waker: mio::Waker) -> Self {
        Self {
            plane,
            ring: ArrayQueue::new(RING),
            waker,
            is_asleep: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            is_open: AtomicBool::new(true),
            is_stopping: AtomicBool::new(false),
            is_still: AtomicBool::new(false),
            turns: AtomicU64::new(0),
            busy: AtomicU32::new(0),
            pressed: AtomicU32::new(0),
            packets: AtomicU64::new(0),
            round: AtomicU32::new(0),
            queued: AtomicUsize::new(0),
        }
    }

    /// Wakes it, whatever it does.
    pub fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, plane = self.plane.0, "a media thread cannot be woken");
        }
    }

    /// Wakes it where it waits and nobody has woken it yet: a thread that is awake looks at its ring by itself.
    pub fn wake_asleep(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// It is about to wait. False when something has come that it has to look at first.
    pub fn falls_asleep(&self) -> bool {
        // In this order: whoever puts something into the ring afterwards sees that it sleeps.
        self.is_asleep.store(true, Ordering::SeqCst);
        let may_sleep = self.ring.is_empty();
        if !may_sleep {
            self.is_asleep.store(false, Ordering::SeqCst);
        }
        may_sleep
    }

    /// It waits no more.
    pub fn wakes_up(&self) {
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    /// How often everything on it was lost.
    pub fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Everything on it is lost, and nobody new comes until it has begun anew. For whoever places people, under their
    /// lock.
    pub fn lose(&self) {
        self.is_open.store(false, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// It has begun anew.
    pub fn reopen(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Whether it takes orders.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// Whether anything new is to go to it: people, streams.
    pub fn takes_new(&self) -> bool {
        self.is_open() && !self.is_still.load(Ordering::Relaxed)
    }

    /// It waits for something to do, as far as it has said.
    pub fn is_asleep(&self) -> bool {
        self.is_asleep.load(Ordering::SeqCst)
    }

    /// It stands still, says whoever looks after it.
    pub fn set_still(&self) {
        self.is_still.store(true, Ordering::Release);
    }

    /// Whether somebody has said that it stood still. For itself, which unsays it so.
    pub fn stood_still(&self) -> bool {
        self.is_still.load(Ordering::Relaxed) && self.is_still.swap(false, Ordering::AcqRel)
    }

    /// It shall end.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether it shall.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    /// It lives: it has begun another turn.
    pub fn turns(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// How many turns it has begun.
    pub fn turned(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// What it has done since it said so last. Nobody else measures it.
    pub fn set_pace(&self, pace: Pace) {
        let parts = |share: f32| (share.clamp(0.0, 1.0) * WHOLE) as u32;
        self.busy.store(parts(pace.busy), Ordering::Relaxed);
        self.pressed.store(parts(pace.pressed), Ordering::Relaxed);
        self.packets.store(pace.packets, Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::Relaxed);
    }

    /// What it has done; nothing where everything on it was given up.
    pub fn pace(&self) -> Pace {
        if !self.takes_new() {
            return Pace::default();
        }
        let share = |parts: &AtomicU32| parts.load(Ordering::Relaxed) as f32 / WHOLE;
        Pace {
            busy: share(&self.busy),
            pressed: share(&self.pressed),
            packets: self.packets.load(Ordering::Relaxed),
        }
    }

    /// How it does.
    pub fn load(&self) -> Load {
        Load {
            busy: self.busy.load(Ordering::Relaxed) as f32 / WHOLE,
            is_open: self.takes_new(),
            round: self.round.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn station(plane: u16) -> Arc<Station> {
        let poll = mio::Poll::new().expect("the system has one");
        let waker = mio::Waker::new(poll.registry(), mio::Token(0));
        Arc::new(Station::new(PlaneId(plane), waker.expect("the system has one")))
    }

    #[test]
    fn the_busiest_thread_counts_and_the_packets_of_all() {
        let stations = [station(0), station(1), station(2)];
        let pulse = Pulse::new(stations.to_vec());
        assert_eq!(pulse.take(), Pace::default());
        stations[0].set_pace(Pace { busy: 0.25, pressed: 0.75, packets: 100 });
        stations[1].set_pace(Pace { busy: 0.5, pressed: 0.5, packets: 20 });
        stations[2].set_pace(Pace { busy: 1.0, pressed: 1.0, packets: 3 });
        assert_eq!(pulse.take(), Pace { busy: 1.0, pressed: 1.0, packets: 123 });
        // What was said by a thread that says nothing any more is not so.
        stations[2].set_still();
        assert_eq!(pulse.take(), Pace { busy: 0.5, pressed: 0.75, packets: 120 });
        stations[1].lose();
        assert_eq!(pulse.take(), Pace { busy: 0.25, pressed: 0.75, packets: 100 });
    }
}
