//! What this server carries, and what it does when that is not enough: it saves step by step on what those inside
//! get, and takes nobody new from the first step on, before those inside lose what they would notice.
//!
//! The process measures and says so once in a while; what follows is decided here, by plain values: the ladder is
//! climbed while the server is too busy and left only after it has had room for some time.

use crate::Signaling;
use crate::app::ApiError;
use crate::room::Place;
use protocol::ErrorCode;
use sfu::{Command, Saving};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the server may hold. Whatever comes first shuts the door.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capacity {
    /// Transports of media.
    pub transports: u64,
    /// Packets that the media plane sends per second.
    pub packets: u64,
    /// Sockets of rooms.
    pub sockets: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// Share of its time that a media thread may work; above it, packets begin to wait.
    pub busy: f32,
}

/// What it holds and does now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// How much of its time the busiest media thread worked or waited for a core, 0 to 1.
    pub busy: f32,
    /// Transports of media.
    pub transports: u64,
    /// Packets that the media plane sent per second.
    pub packets: u64,
    /// Sockets of rooms.
    pub sockets: u64,
    /// Bytes in memory.
    pub memory: u64,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Time of the media threads.
    Time,
    /// Packets per second.
    Packets,
    /// Transports.
    Transports,
    /// Sockets.
    Sockets,
    /// Memory.
    Memory,
}

impl Shortage {
    /// One word, for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Shortage::Time => "time",
            Shortage::Packets => "packets",
            Shortage::Transports => "transports",
            Shortage::Sockets => "sockets",
            Shortage::Memory => "memory",
        }
    }
}

/// What is decided now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What those inside do without.
    pub saving: Saving,
    /// Why nobody new gets in, where nobody does.
    pub shut: Option<Shortage>,
}

/// Climbs while there is too much to do, steps down when there has been room for a while.
#[derive(Clone, Debug)]
pub struct Ladder {
    saving: Saving,
    /// Since when it is too busy, or since the last step up.
    busy_since: Option<Instant>,
    /// Since when there is room, or since the last step down.
    calm_since: Option<Instant>,
    shut: Option<Shortage>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { saving: Saving::Nothing, busy_since: None, calm_since: None, shut: None }
    }
}

impl Ladder {
    /// What is decided now.
    pub fn decision(&self) -> Decision {
        Decision { saving: self.saving, shut: self.shut }
    }

    /// Takes a measurement and decides anew.
    pub fn look(&mut self, now: Instant, capacity: &Capacity, measured: &Measured) -> Decision {
        let share = |is: u64, most: u64| is as f32 / most.max(1) as f32;
        let packets = share(measured.packets, capacity.packets);
        // Saving makes packets fewer; the other shortages it does not help.
        let work = packets.max(measured.busy / capacity.busy.max(LEAST_BUSY));
        self.climb(now, work);
        let holds = [
            (Shortage::Transports, share(measured.transports, capacity.transports)),
            (Shortage::Sockets, share(measured.sockets, capacity.sockets)),
            (Shortage::Memory, share(measured.memory, capacity.memory)),
        ];
        let short = if packets >= 1.0 { Shortage::Packets } else { Shortage::Time };
        self.shut = if self.saving > Saving::Nothing {
            // Why it began stays the reason until it is over.
            let before =
                self.shut.filter(|shut| matches!(shut, Shortage::Time | Shortage::Packets));
            Some(before.unwrap_or(short))
        } else {
            let is_full = |(what, share): &(Shortage, f32)| {
                // Open again only when some have gone, or each who goes would flip it.
                *share >= if self.shut == Some(*what) { REOPEN } else { 1.0 }
            };
            holds.into_iter().find(is_full).map(|(what, _)| what)
        };
        self.decision()
    }

    fn climb(&mut self, now: Instant, work: f32) {
        if work >= 1.0 {
            self.calm_since = None;
            let since = *self.busy_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= UP_AFTER && self.saving < Saving::Video {
                self.saving = self.saving.more();
                self.busy_since = Some(now);
            }
        } else if work < CALM {
            self.busy_since = None;
            let since = *self.calm_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= DOWN_AFTER && self.saving > Saving::Nothing {
                self.saving = self.saving.less();
                self.calm_since = Some(now);
            }
        } else {
            // Between the two everything stays as it is.
            self.busy_since = None;
            self.calm_since = None;
        }
    }
}

/// Below this share of what it may do there is room for what a step gives back: the largest doubles what is sent.
const CALM: f32 = 0.65;
/// A limit below it would be none.
const LEAST_BUSY: f32 = 0.01;
/// How long it must be too busy for each step. Shorter answers to a single burst; longer lets people suffer.
const UP_AFTER: Duration = Duration::from_secs(2);
/// How long there must be room for each step back. Shorter makes pictures come and go.
const DOWN_AFTER: Duration = Duration::from_secs(10);
/// The share of a full house that must be left before the door opens again.
const REOPEN: f32 = 0.97;
/// When those who are refused are told to come back.
pub(crate) const COME_BACK: Duration = Duration::from_secs(15);

/// The ladder with the door that it shuts.
pub(crate) struct Admission {
    capacity: Capacity,
    /// Held for the few lines of a look, by the one who measures and by those who knock.
    ladder: Mutex<Ladder>,
    /// Whether every media plane knows that nothing is saved.
    is_calm: AtomicBool,
}

impl Admission {
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self { capacity, ladder: Mutex::default(), is_calm: AtomicBool::new(true) }
    }

    /// Refuses somebody new where nobody gets in.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let Some(shortage) = self.lock().shut else { return Ok(()) };
        metrics::counter!("veche_joins_refused_total", "shortage" => shortage.as_str())
            .increment(1);
        let words = "the server is full; nobody new gets in now, try again in a moment";
        Err(ApiError::new(ErrorCode::ServerFull, words).come_back_after(COME_BACK))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ladder> {
        // A ladder is whole between any two lines.
        self.ladder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Signaling {
    /// Refuses whoever is new while nobody new gets in. Who comes back with the secret of their place holds it already;
    /// who asks for their own newest may have none.
    pub(crate) fn has_place(&self, place: Place) -> Result<(), ApiError> {
        match place {
            Place::Of(_) => Ok(()),
            Place::Own | Place::New => self.inner.admission.check(),
        }
    }

    /// Hears what the server holds and does now, and acts on it. Wanted about twice a second.
    pub fn measured(&self, now: Instant, measured: &Measured) {
        let admission = &self.inner.admission;
        let (before, after) = {
            let mut ladder = admission.lock();
            let before = ladder.decision();
            (before, ladder.look(now, &admission.capacity, measured))
        };
        metrics::gauge!("veche_saving").set(f64::from(after.saving as u8));
        metrics::gauge!("veche_door_shut").set(f64::from(u8::from(after.shut.is_some())));
        if before.shut != after.shut {
            match after.shut {
                Some(shortage) => {
                    tracing::warn!(shortage = shortage.as_str(), "nobody new gets in");
                }
                None => tracing::info!("whoever comes gets in again"),
            }
        }
        if before.saving != after.saving {
            tracing::warn!(saving = ?after.saving, "the server saves what it sends");
        }
        // A plane that began anew has heard nothing, and one that was too busy to take it hears it at the next look.
        let is_heard = after.saving == Saving::Nothing && admission.is_calm.load(Ordering::Relaxed);
        if !is_heard {
            let told = self.inner.hub.tell_media(Command::SetSaving { saving: after.saving });
            let is_calm = told.is_ok() && after.saving == Saving::Nothing;
            admission.is_calm.store(is_calm, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPACITY: Capacity =
        Capacity { transports: 100, packets: 10_000, sockets: 50, memory: 1_000, busy: 0.85 };

    struct Clock {
        ladder: Ladder,
        now: Instant,
    }

    impl Clock {
        fn new() -> Self {
            Self { ladder: Ladder::default(), now: Instant::now() }
        }

        /// Looks twice a second for so long.
        fn run(&mut self, seconds: u64, measured: Measured) -> Decision {
            for _ in 0..seconds * 2 {
                self.now += Duration::from_millis(500);
                self.ladder.look(self.now, &CAPACITY, &measured);
            }
            self.ladder.decision()
        }
    }

    fn busy(busy: f32) -> Measured {
        Measured { busy, ..Measured::default() }
    }

    const OPEN: Decision = Decision { saving: Saving::Nothing, shut: None };

    #[test]
    fn a_burst_costs_nobody_anything() {
        let mut clock = Clock::new();
        assert_eq!(clock.run(1, busy(1.0)), OPEN);
        assert_eq!(clock.run(60, busy(0.8)), OPEN);
        assert_eq!(clock.run(1, busy(1.0)), OPEN, "the burst before is forgotten");
    }

    #[test]
    fn nobody_new_gets_in_from_the_first_step_on_and_those_inside_lose_step_by_step() {
        let mut clock = Clock::new();
        let mut steps = vec![clock.ladder.decision().saving];
        for _ in 0..40 {
            let decision = clock.run(1, busy(0.95));
            assert_eq!(decision.shut.is_some(), decision.saving > Saving::Nothing);
            if steps.last() != Some(&decision.saving) {
                steps.push(decision.saving);
            }
        }
        assert_eq!(steps, Saving::ALL);
        assert_eq!(clock.ladder.decision().shut, Some(Shortage::Time));
    }

    #[test]
    fn a_step_that_was_enough_is_kept_until_there_is_room_for_a_while() {
        let mut clock = Clock::new();
        let one = Decision { saving: Saving::Frames, shut: Some(Shortage::Time) };
        assert_eq!(clock.run(3, busy(0.9)), one);
        assert_eq!(clock.run(120, busy(0.7)), one, "between the two bounds it stays");
        assert_eq!(clock.run(9, busy(0.4)), one);
        assert_eq!(clock.run(2, busy(0.4)), OPEN);
    }

    #[test]
    fn steps_back_take_their_time_one_by_one() {
        let mut clock = Clock::new();
        assert_eq!(clock.run(30, busy(1.0)).saving, Saving::Video);
        let mut seen = Vec::new();
        for _ in 0..50 {
            let saving = clock.run(1, busy(0.1)).saving;
            if seen.last() != Some(&saving) {
                seen.push(saving);
            }
        }
        seen.reverse();
        assert_eq!(seen, Saving::ALL);
        assert_eq!(clock.ladder.decision(), OPEN);
    }

    #[test]
    fn packets_count_as_work_too() {
        let mut clock = Clock::new();
        let measured = Measured { packets: 10_000, ..Measured::default() };
        let one = Decision { saving: Saving::Frames, shut: Some(Shortage::Packets) };
        assert_eq!(clock.run(3, measured), one);
        assert_eq!(clock.run(3, busy(0.9)).shut, Some(Shortage::Packets), "why it began");
    }

    #[test]
    fn a_full_house_shuts_the_door_at_once_and_costs_those_inside_nothing() {
        let full = [
            (Measured { transports: 100, ..Measured::default() }, Shortage::Transports),
            (Measured { sockets: 50, ..Measured::default() }, Shortage::Sockets),
            (Measured { memory: 1_000, ..Measured::default() }, Shortage::Memory),
        ];
        for (measured, shortage) in full {
            let mut clock = Clock::new();
            let shut = Decision { saving: Saving::Nothing, shut: Some(shortage) };
            assert_eq!(clock.run(1, measured), shut);
            assert_eq!(clock.run(600, measured), shut);
            assert_eq!(clock.run(1, Measured::default()), OPEN);
        }
    }

    #[test]
    fn the_door_does_not_swing_with_each_who_leaves() {
        let mut clock = Clock::new();
        let holds = |transports| Measured { transports, ..Measured::default() };
        assert_eq!(clock.run(1, holds(100)).shut, Some(Shortage::Transports));
        assert_eq!(clock.run(1, holds(98)).shut, Some(Shortage::Transports));
        assert_eq!(clock.run(1, holds(96)).shut, None);
        assert_eq!(clock.run(1, holds(99)).shut, None);
    }

    proptest! {
        #[test]
        fn whatever_is_measured_a_step_takes_its_time_and_saving_shuts_the_door(
            loads in prop::collection::vec((0.0f32..1.2, 0u64..120), 1..200),
        ) {
            let mut clock = Clock::new();
            let mut last: Option<(Instant, Saving)> = None;
            for (load, transports) in loads {
                let before = clock.ladder.decision().saving;
                clock.now += Duration::from_millis(500);
                let measured = Measured { busy: load, transports, ..Measured::default() };
                let decision = clock.ladder.look(clock.now, &CAPACITY, &measured);
                if decision.saving != before {
                    let is_up = decision.saving > before;
                    let next = if is_up { before.more() } else { before.less() };
                    prop_assert_eq!(decision.saving, next, "one step at a time");
                    if let Some((at, _)) = last {
                        let least = if is_up { UP_AFTER } else { DOWN_AFTER };
                        prop_assert!(clock.now - at >= least.min(UP_AFTER));
                    }
                    last = Some((clock.now, decision.saving));
                }
                if decision.saving > Saving::Nothing || transports >= CAPACITY.transports {
                    prop_assert!(decision.shut.is_some());
                }
            }
        }
    }
}
