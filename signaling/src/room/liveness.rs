//! One rule for everybody, by socket, WHIP or both: without socket and media for 10 s a participant is
//! `reconnecting`, for 25 s they have left.

use super::membership::Person;
use super::{Effects, Moment, Room};
use protocol::limits::{LEFT_AFTER, RECONNECTING_AFTER};
use protocol::room::Presence;
use protocol::server::LeaveReason;
use protocol::{ParticipantId, ServerMessage};
use sfu::Command;
use std::time::{Duration, Instant};

impl Person {
    /// How long nothing of theirs is heard.
    fn silence(&self, now: Instant) -> Duration {
        if self.socket.is_some() || self.is_media_alive {
            return Duration::ZERO;
        }
        now.saturating_duration_since(self.heard_at)
    }
}

impl Room {
    pub(super) fn watch_silence(&mut self, at: Moment, out: &mut Effects) {
        let silent: Vec<ParticipantId> = self
            .people
            .values()
            .filter(|person| person.silence(at.now) >= RECONNECTING_AFTER)
            .map(|person| person.view.id)
            .collect();
        for id in silent {
            self.watch_silence_of(id, at, out);
        }
    }

    pub(super) fn watch_silence_of(&mut self, id: ParticipantId, at: Moment, out: &mut Effects) {
        let Some(person) = self.people.get_mut(&id).filter(|p| p.leaving.is_none()) else { return };
        let silence = person.silence(at.now);
        if silence >= LEFT_AFTER {
            self.leave(at, id, LeaveReason::TimedOut, out);
        } else if silence >= RECONNECTING_AFTER && person.view.presence == Presence::Online {
            self.set_presence(id, Presence::Reconnecting, out);
        }
    }

    /// Somebody is heard again.
    pub(super) fn revive(&mut self, id: ParticipantId, out: &mut Effects) {
        let is_away = self.people.get(&id).is_some_and(|person| {
            person.view.presence == Presence::Reconnecting && person.leaving.is_none()
        });
        if is_away {
            self.set_presence(id, Presence::Online, out);
        }
    }

    /// A transport of theirs is heard.
    pub(super) fn media_heard(&mut self, id: ParticipantId, out: &mut Effects) {
        if let Some(person) = self.people.get_mut(&id) {
            person.is_media_alive = true;
            self.revive(id, out);
        }
    }

    /// No transport of theirs is heard any more; the last time was then.
    pub(super) fn media_silent(
        &mut self,
        at: Moment,
        id: ParticipantId,
        last_heard: Instant,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(&id) else { return };
        if person.is_media_alive {
            person.is_media_alive = false;
            person.heard_at = person.heard_at.max(last_heard);
            self.watch_silence_of(id, at, out);
        }
    }

    fn set_presence(&mut self, id: ParticipantId, presence: Presence, out: &mut Effects) {
        let Some(person) = self.people.get_mut(&id) else { return };
        person.view.presence = presence;
        out.broadcast(ServerMessage::MemberPresence { participant_id: id, presence });
        let away = presence == Presence::Reconnecting;
        out.media(Command::SetAway { room: self.id, participant: id, away });
    }
}
