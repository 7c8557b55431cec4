//! Arrival times for the sender's bandwidth estimate
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! Without this feedback Chromium stays at 300 kbit/s. [`TransportCc`] is our side as a receiver,
//! [`Feedback`] what a receiver tells us.

mod feedback;

pub use feedback::{Arrival, Feedback};

use crate::rtcp::begin_transport_cc;
use crate::sequence::SequenceUnwrapper;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The arrival log of one publish transport.
///
/// Packets are numbered across all its streams. Those reported once are kept a little longer: when
/// one that was reported lost comes in late, the report starts again from it and must not call the
/// others lost.
#[derive(Debug, Default)]
pub struct TransportCc {
    sequences: SequenceUnwrapper,
    /// Arrival in ticks since `epoch`, from extended sequence number `first` on. The last is never `None`.
    log: VecDeque<Option<i64>>,
    first: u64,
    /// First number that the next feedback tells of.
    unreported: u64,
    epoch: Option<Instant>,
    last_feedback: Option<Instant>,
    feedback_count: u8,
    /// Reused between feedbacks.
    draft: Draft,
}

impl TransportCc {
    /// Nothing arrived yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes the arrival of the packet with this transport-wide sequence number. A repetition keeps
    /// the first time.
    pub fn arrived(&mut self, now: Instant, sequence: u16) {
        let epoch = *self.epoch.get_or_insert(now);
        self.last_feedback.get_or_insert(now);
        let ticks = (now.saturating_duration_since(epoch).as_micros() / TICK_MICROS) as i64;
        let sequence = self.sequences.unwrap(sequence);
        if self.log.is_empty() || sequence >= self.first + self.log.len() as u64 + MAX_LOG as u64 {
            // The first, or so far ahead that what lies between was not lost packet by packet.
            self.log.clear();
            (self.first, self.unreported) = (sequence, sequence);
        }
        let Some(index) = sequence.checked_sub(self.first) else { return };
        let index = index as usize;
        if index >= self.log.len() {
            self.log.resize(index, None);
            self.log.push_back(Some(ticks));
        } else if self.log[index].is_none() {
            self.log[index] = Some(ticks);
            self.unreported = self.unreported.min(sequence);
        }
        self.forget_old(ticks);
    }

    /// Appends one feedback packet if it is time for one. Call until `false`: after a long silence
    /// or a burst the news may not fit into one.
    pub fn poll(&mut self, now: Instant, sender: u32, media_ssrc: u32, out: &mut Vec<u8>) -> bool {
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return false;
        }
        let begin = (self.unreported - self.first) as usize;
        let taken = self.draft.fill(self.log.range(begin..).copied());
        let packet = begin_transport_cc(out);
        packet.out.extend_from_slice(&sender.to_be_bytes());
        packet.out.extend_from_slice(&media_ssrc.to_be_bytes());
        packet.out.extend_from_slice(&(self.unreported as u16).to_be_bytes());
        packet.out.extend_from_slice(&(taken as u16).to_be_bytes());
        self.draft.write(self.feedback_count, packet.out);
        drop(packet);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        self.unreported += taken as u64;
        if self.pending() == 0 {
            self.last_feedback = Some(now);
        }
        true
    }

    /// When [`poll`](Self::poll) has something to write.
    pub fn next_deadline(&self) -> Option<Instant> {
        let interval = match self.pending() {
            0 => return None,
            pending if pending < BUSY => QUIET_INTERVAL,
            _ => BUSY_INTERVAL,
        };
        self.last_feedback.map(|last| last + interval)
    }

    fn pending(&self) -> u64 {
        self.first + self.log.len() as u64 - self.unreported
    }

    fn forget_old(&mut self, now_ticks: i64) {
        while let Some(oldest) = self.log.front() {
            let is_reported = self.first < self.unreported;
            let is_old = oldest.is_none_or(|ticks| now_ticks - ticks > MEMORY_TICKS);
            // An unreported entry falls out only when nobody polls.
            if !(is_reported && is_old) && self.log.len() <= MAX_LOG {
                return;
            }
            self.log.pop_front();
            self.first += 1;
            self.unreported = self.unreported.max(self.first);
        }
    }
}

/// One feedback message in the making.
#[derive(Debug, Default)]
struct Draft {
    symbols: Vec<u8>,
    deltas: Vec<i16>,
    /// In units of 64 ms.
    reference: i64,
}

impl Draft {
    /// Takes statuses as long as the message stays small and every delta fits; returns how many.
    /// That is at least one if there is one, and the last taken is an arrival if any is.
    fn fill(&mut self, log: impl Iterator<Item = Option<i64>>) -> usize {
        self.symbols.clear();
        self.deltas.clear();
        let mut previous = None;
        let mut delta_bytes = 0;
        for status in log {
            let Some(ticks) = status else {
                self.symbols.push(NOT_RECEIVED);
                continue;
            };
            let before = *previous.get_or_insert_with(|| {
                self.reference = ticks.div_euclid(REFERENCE_TICKS);
                self.reference * REFERENCE_TICKS
            });
            let Ok(delta) = i16::try_from(ticks - before) else { break };
            let is_small = u8::try_from(delta).is_ok();
            delta_bytes += if is_small { 1 } else { 2 };
            if delta_bytes > MAX_DELTA_BYTES {
                break;
            }
            self.symbols.push(if is_small { SMALL_DELTA } else { LARGE_DELTA });
            self.deltas.push(delta);
            previous = Some(ticks);
        }
        // What follows the last arrival belongs to the arrival that ends it.
        let end = self
            .symbols
            .iter()
            .rposition(|symbol| *symbol != NOT_RECEIVED)
            .map_or(0, |last| last + 1);
        self.symbols.truncate(end);
        end
    }

    fn write(&self, feedback_count: u8, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.reference as u32).to_be_bytes()[1..]);
        out.push(feedback_count);
        let mut rest = &self.symbols[..];
        while !rest.is_empty() {
            let (chunk, taken) = next_chunk(rest);
            out.extend_from_slice(&chunk.to_be_bytes());
            rest = &rest[taken..];
        }
        for delta in &self.deltas {
            match u8::try_from(*delta) {
                Ok(small) => out.push(small),
                Err(_) => out.extend_from_slice(&delta.to_be_bytes()),
            }
        }
    }
}

/// The chunk that says most about the beginning of `symbols`, and how many it covers.
fn next_chunk(symbols: &[u8]) -> (u16, usize) {
    let first = symbols[0];
    let run = symbols.iter().take(MAX_RUN).take_while(|symbol| **symbol == first).count();
    let one_bit =
        symbols.iter().take(ONE_BIT_LEN).take_while(|symbol| **symbol != LARGE_DELTA).count();
    let vector_len =
        if one_bit == symbols.len().min(ONE_BIT_LEN) { ONE_BIT_LEN } else { TWO_BIT_LEN };
    if run >= vector_len || run == symbols.len() {
        return (u16::from(first) << 13 | run as u16, run);
    }
    let covered = &symbols[..symbols.len().min(vector_len)];
    let (kind, bits) = if vector_len == ONE_BIT_LEN { (0x8000, 1) } else { (0xc000, 2) };
    let vector = covered
        .iter()
        .enumerate()
        .fold(kind, |vector, (at, symbol)| vector | u16::from(*symbol) << (14 - bits * (at + 1)));
    (vector, covered.len())
}

const NOT_RECEIVED: u8 = 0;
const SMALL_DELTA: u8 = 1;
const LARGE_DELTA: u8 = 2;

const TICK_MICROS: u128 = 250;
/// The reference time counts in 64 ms.
const REFERENCE_TICKS: i64 = 256;
const MAX_RUN: usize = 0x1fff;
const ONE_BIT_LEN: usize = 14;
const TWO_BIT_LEN: usize = 7;

/// Packets remembered. More would only tell the sender of what it has forgotten; fewer would lose
/// news when a fast sender is not polled in time (at 5000 packets/s this is 0.4 s).
const MAX_LOG: usize = 2048;

/// How long reported packets are kept for the case that a straggler starts the report again.
const MEMORY_TICKS: i64 = 500_000 / TICK_MICROS as i64;

/// Bytes of deltas in one feedback. With the chunks of at most MAX_LOG statuses this stays under
/// 1200 bytes at any pattern of loss; more would be fragmented on the way.
const MAX_DELTA_BYTES: usize = 512;

/// Between feedbacks while video flows. Shorter costs packets, longer slows the sender's reaction.
const BUSY_INTERVAL: Duration = Duration::from_millis(50);
/// Between feedbacks otherwise; what browsers do by themselves.
const QUIET_INTERVAL: Duration = Duration::from_millis(100);
/// Pending packets from which it counts as busy: more than audio sends in a quiet interval.
const BUSY: u64 = 12;

#[cfg(test)]
mod tests;
