//! What somebody missed, page by page: the store has it, the room hands it over. A gap older than what is kept
//! is answered with everything as it is now, never with silence.

use super::input::{Effect, Missed, SocketId};
use super::{Effects, Room};
use protocol::room::{Participant, Snapshot};
use protocol::{ErrorCode, ParticipantId, ServerMessage, UserId};
use serde_json::Value;
use store::EventPage;

impl Room {
    pub(super) fn sync(
        &mut self,
        from: ParticipantId,
        socket: SocketId,
        after_seq: i64,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(&from) else { return };
        if after_seq < 0 {
            return out.refuse(socket, re, ErrorCode::Invalid, "after_seq is 0 or more");
        }
        if person.is_syncing {
            let reason = "one page at a time; wait for the one before";
            return out.refuse(socket, re, ErrorCode::RateLimited, reason);
        }
        person.is_syncing = true;
        let (viewer, is_moderator) = (person.view.user_id, person.view.role.is_moderator());
        let missed = Missed { participant: from, socket, after_seq, viewer, is_moderator, re };
        out.push(Effect::Fetch(Box::new(missed)));
    }

    pub(super) fn synced(&mut self, missed: Missed, page: Option<EventPage>, out: &mut Effects) {
        let Missed { participant, socket, re, .. } = missed;
        let Some(person) = self.people.get_mut(&participant) else { return };
        person.is_syncing = false;
        // Another socket speaks for them now: it asks itself.
        if person.socket != Some(socket) {
            return;
        }
        match page {
            Some(EventPage::Events { events, upto_seq, has_more }) => {
                out.send(socket, ServerMessage::SyncBatch { events, upto_seq, has_more, re });
            }
            Some(EventPage::Forgotten) => {
                self.show_again(participant, out);
                let (upto_seq, events) = (self.next_seq - 1, Vec::new());
                let batch = ServerMessage::SyncBatch { events, upto_seq, has_more: false, re };
                out.send(socket, batch);
            }
            None => {
                let reason = "the store does not answer; try again";
                out.refuse(socket, re, ErrorCode::Unavailable, reason);
            }
        }
    }

    /// Everything as it is now, as this person may see it, with these people.
    pub(super) fn snapshot_of(
        &self,
        viewer: UserId,
        is_moderator: bool,
        (participants, people): (Vec<Participant>, Option<u32>),
    ) -> Snapshot {
        Snapshot {
            state: self.state.clone(),
            participants,
            people,
            messages: self.history.iter().filter(|m| m.is_for(viewer)).cloned().collect(),
            pinned: self.pinned.clone(),
            speakers: self.speakers.clone(),
            lobby: if is_moderator { self.waiting() } else { Vec::new() },
            breakouts: self.family.now.clone(),
        }
    }

    /// What a socket gets: in a large room those who matter, and pages of the others follow.
    pub(super) fn snapshot_for(&self, viewer: UserId, is_moderator: bool) -> Snapshot {
        self.snapshot_of(viewer, is_moderator, self.first_people(viewer))
    }

    /// Tells somebody once more how everything is.
    pub(super) fn show_again(&self, id: ParticipantId, out: &mut Effects) {
        let Some(person) = self.people.get(&id) else { return };
        let Some(socket) = person.socket else { return };
        let snapshot =
            Box::new(self.snapshot_for(person.view.user_id, person.view.role.is_moderator()));
        let is_paged = snapshot.people.is_some();
        let sockets = vec![socket];
        let message = Box::new(ServerMessage::StateSnapshot(snapshot));
        out.push(Effect::Multicast { message, sockets: sockets.clone() });
        let message = Box::new(ServerMessage::SyncInfo { next_seq: self.next_seq });
        out.push(Effect::Multicast { message, sockets });
        if is_paged {
            out.push(Effect::Page { socket });
        }
    }
}
