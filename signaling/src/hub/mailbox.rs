//! Where a room's media events wait for its task. Nothing is lost, and the box cannot grow: of things that
//! replace what was said before (slots, tracks, speakers, liveness) only the newest waits, and of the rest
//! there are no more than the room asked for or has transports.

use protocol::ParticipantId;
use sfu::{Event, PeerId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Events on their way to one room. The media thread fills it without waiting, the room's task empties it.
#[derive(Default)]
pub(super) struct Mailbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    order: VecDeque<Key>,
    events: HashMap<Key, Event>,
    next: u64,
}

/// What an event replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Nothing: each of these counts.
    Once(u64),
    Slots(PeerId),
    Tracks(ParticipantId),
    Alive(ParticipantId),
    Speakers,
}

impl Mailbox {
    pub(super) fn put(&self, event: Event) {
        let mut waiting = self.lock();
        let key = match &event {
            Event::SlotsChanged { peer, .. } => Key::Slots(*peer),
            Event::TracksChanged { participant, .. } => Key::Tracks(*participant),
            Event::Alive { participant, .. } => Key::Alive(*participant),
            Event::SpeakersChanged { .. } => Key::Speakers,
            Event::Answered { .. }
            | Event::Offered { .. }
            | Event::Refused { .. }
            | Event::Connected { .. }
            | Event::Closed { .. } => {
                waiting.next += 1;
                Key::Once(waiting.next)
            }
        };
        if waiting.events.insert(key, event).is_none() {
            waiting.order.push_back(key);
        }
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes everything, oldest first.
    pub(super) fn take(&self) -> Vec<Event> {
        let mut waiting = self.lock();
        let Waiting { order, events, .. } = &mut *waiting;
        order.drain(..).filter_map(|key| events.remove(&key)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().order.is_empty()
    }

    /// Returns when something may have come since the last time.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half way, so what a poisoned lock holds is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::RoomId;
    use uuid::Uuid;

    fn speakers(n: u128) -> Event {
        Event::SpeakersChanged { room: RoomId(Uuid::nil()), speakers: vec![person(n)] }
    }

    fn person(n: u128) -> ParticipantId {
        ParticipantId(Uuid::from_u128(n))
    }

    #[test]
    fn what_replaces_something_waits_once_and_the_rest_all() {
        let mailbox = Mailbox::default();
        let alive =
            |n, alive| Event::Alive { room: RoomId(Uuid::nil()), participant: person(n), alive };
        for n in 0..1_000 {
            mailbox.put(speakers(n));
            mailbox.put(alive(1, n % 2 == 0));
            mailbox.put(alive(2, true));
        }
        mailbox.put(Event::Connected { peer: PeerId(1) });
        mailbox.put(Event::Connected { peer: PeerId(1) });
        let expected = [
            speakers(999),
            alive(1, false),
            alive(2, true),
            Event::Connected { peer: PeerId(1) },
            Event::Connected { peer: PeerId(1) },
        ];
        assert_eq!(mailbox.take(), expected);
        assert!(mailbox.is_empty());
        mailbox.put(speakers(1));
        assert_eq!(mailbox.take(), [speakers(1)]);
    }
}
