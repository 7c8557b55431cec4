//! Where a room's media events wait for its task. Nothing is lost, and the box cannot grow: of things that
//! replace what was said before (slots, tracks, speakers, liveness) only the newest waits, and of the rest
//! there are no more than the room asked for or has transports.

use protocol::ParticipantId;
use sfu::{Event, PeerId};
use std::collections::{BTreeMap, HashMap};
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
    /// By number of arrival.
    events: BTreeMap<u64, Event>,
    /// Where the event stands that a newer one would replace.
    replaceable: HashMap<Key, u64>,
    next: u64,
}

/// What an event replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Slots(PeerId),
    Layers(PeerId, String),
    Tracks(ParticipantId),
    Alive(ParticipantId),
    Speakers,
}

impl Mailbox {
    pub(super) fn put(&self, event: Event) {
        let mut waiting = self.lock();
        let key = match &event {
            Event::SlotsChanged { peer, .. } => Some(Key::Slots(*peer)),
            Event::LayersWanted { peer, mid, .. } => Some(Key::Layers(*peer, mid.clone())),
            Event::TracksChanged { participant, .. } => Some(Key::Tracks(*participant)),
            Event::Alive { participant, .. } => Some(Key::Alive(*participant)),
            Event::SpeakersChanged { .. } => Some(Key::Speakers),
            Event::Answered { .. }
            | Event::Offered { .. }
            | Event::Refused { .. }
            | Event::Connected { .. }
            | Event::Reported { .. }
            | Event::Closed { .. } => None,
        };
        waiting.next += 1;
        let number = waiting.next;
        if let Some(key) = key
            && let Some(older) = waiting.replaceable.insert(key, number)
        {
            waiting.events.remove(&older);
        }
        waiting.events.insert(number, event);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Takes everything, oldest first.
    pub(super) fn take(&self) -> Vec<Event> {
        let mut waiting = self.lock();
        waiting.replaceable.clear();
        std::mem::take(&mut waiting.events).into_values().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().events.is_empty()
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
    fn what_replaces_something_waits_once_where_it_came_last_and_the_rest_all() {
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
        mailbox.put(alive(1, true));
        let expected = [
            speakers(999),
            alive(2, true),
            Event::Connected { peer: PeerId(1) },
            Event::Connected { peer: PeerId(1) },
            alive(1, true),
        ];
        assert_eq!(mailbox.take(), expected);
        assert!(mailbox.is_empty());
        mailbox.put(speakers(1));
        assert_eq!(mailbox.take(), [speakers(1)]);
    }
}
