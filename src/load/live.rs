//! What is known while it runs, for the line that says so.

use client::tally::Counts;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that many write and one reads. Each media thread has one of its own for what it counts.
#[derive(Debug, Default)]
pub struct Live {
    received: AtomicU64,
    lost: AtomicU64,
    sent: AtomicU64,
    /// Transports that ended by themselves.
    pub broken: AtomicU64,
}

impl Live {
    /// As it is now.
    pub fn tell(&self, counts: &Counts, sent: u64) {
        self.received.store(counts.received, Ordering::Relaxed);
        self.lost.store(counts.lost, Ordering::Relaxed);
        self.sent.store(sent, Ordering::Relaxed);
    }

    /// Packets received, lost and sent.
    pub fn read(&self) -> (u64, u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.received), load(&self.lost), load(&self.sent))
    }
}
