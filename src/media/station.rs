//! What others see of a media thread: where things for it are put down, and how it does.

use super::links::Letter;
use crossbeam_queue::ArrayQueue;
use sfu::{Load, PlaneId};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Letters that wait for a thread. It takes them within milliseconds; more hides that it is stuck, less drops
/// packets of a burst into a large room.
const RING: usize = 4_096;
/// Parts of a whole in which a load is kept.
const WHOLE: f32 = 1_000.0;

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
    turns: AtomicU64,
    busy: AtomicU32,
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
            turns: AtomicU64::new(0),
            busy: AtomicU32::new(0),
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

    /// Whether it takes anybody.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
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

    /// How much of its core it has used since it said so last.
    pub fn set_busy(&self, busy: f32) {
        self.busy.store((busy.clamp(0.0, 1.0) * WHOLE) as u32, Ordering::Relaxed);
        self.round.fetch_add(1, Ordering::Relaxed);
    }

    /// How it does.
    pub fn load(&self) -> Load {
        Load {
            busy: self.busy.load(Ordering::Relaxed) as f32 / WHOLE,
            is_open: self.is_open(),
            round: self.round.load(Ordering::Relaxed),
        }
    }
}
