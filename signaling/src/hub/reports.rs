//! Who waits to hear how a room's media does.

use crate::room::Room;
use protocol::stats::RoomStats;
use sfu::Event;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Questions to the media plane, until it has answered them.
#[derive(Default)]
pub(super) struct Reports {
    waiting: HashMap<u64, oneshot::Sender<RoomStats>>,
    asked: u64,
}

impl Reports {
    /// Notes somebody who asks; the number of their question. With too many before them they hear nothing.
    pub(super) fn ask(&mut self, reply: oneshot::Sender<RoomStats>) -> Option<u64> {
        self.waiting.retain(|_, reply| !reply.is_closed());
        if self.waiting.len() >= MAX_WAITING {
            return None;
        }
        self.asked += 1;
        self.waiting.insert(self.asked, reply);
        Some(self.asked)
    }

    /// Hands an answer to whoever asked, with the names of people; any other event comes back.
    pub(super) fn answer(&mut self, room: &Room, event: Event) -> Option<Event> {
        let Event::Reported { request, mut report, .. } = event else { return Some(event) };
        let reply = self.waiting.remove(&request)?;
        let people = room.participants();
        for stats in &mut report.participants {
            let person = people.iter().find(|person| person.id == stats.participant_id);
            stats.display_name = person.map(|person| person.display_name.clone());
        }
        reply.send(*report).ok();
        None
    }
}

/// Questions about one room at a time. More let a loop of requests busy the media plane; fewer refuse
/// two people who look at once.
const MAX_WAITING: usize = 16;
