//! The doors of a room: who comes in, who waits in the lobby, who is sent away. The owner and the admins are
//! never stopped by lock and lobby, the owner not even by a full room.

use super::input::{Cause, Draft, Effect, JoinRequest, Reply, Verdict};
use super::orders::{Asker, Complaint, Order};
use super::{Effects, Moment, Room};
use protocol::limits::{ADMITTED_FOR, MAX_LOBBY};
use protocol::room::{By, Knock, KnockOutcome, Role};
use protocol::server::close;
use protocol::{ClientMessage, ErrorCode, ParticipantId, Power, ServerMessage, UserId};
use serde_json::Value;
use store::{Audience, Change, Fact, NewEvent, Ordered};

/// Somebody in the lobby.
pub(super) struct Waiting {
    pub knock: Knock,
    pub join: JoinRequest,
}

/// What stands between somebody and the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threshold {
    Open,
    Lobby,
    Locked,
}

impl Room {
    /// What stands between this person and the room.
    pub(super) fn threshold(&self, at: Moment, user: UserId, role: Role) -> Threshold {
        let is_here = |id| self.people.get(id).is_some_and(|person| person.leaving.is_none());
        let comes_back = self.family.may_return(user, at.wall_ms);
        if role.may(Power::PassDoors) || comes_back || self.people.of(user).iter().any(is_here) {
            return Threshold::Open;
        }
        if self.state.is_locked {
            return Threshold::Locked;
        }
        let holds_ms = i64::try_from(ADMITTED_FOR.as_millis()).unwrap_or(i64::MAX);
        let is_admitted = self
            .admitted
            .get(&user)
            .is_some_and(|admitted_ms| at.wall_ms.saturating_sub(*admitted_ms) < holds_ms);
        if self.state.has_lobby && !is_admitted { Threshold::Lobby } else { Threshold::Open }
    }

    /// Lets a socket wait until a moderator decides.
    pub(super) fn wait_in_lobby(&mut self, at: Moment, join: JoinRequest, out: &mut Effects) {
        let same = self.lobby.values().find(|waiting| waiting.knock.user_id == join.user_id);
        if let Some(id) = same.map(|waiting| waiting.knock.id)
            && let Some(older) = self.take_waiting(id)
        {
            out.close(older.join.socket, close::REPLACED);
            self.note_knock_over(at, older.knock, KnockOutcome::Gone, out);
        }
        if self.lobby.len() >= MAX_LOBBY {
            self.sockets.remove(&join.socket);
            out.refuse(join.socket, None, ErrorCode::RoomFull, "the lobby is full");
            return out.close(join.socket, close::TRY_LATER);
        }
        let knock = Knock {
            id: join.participant,
            user_id: join.user_id,
            display_name: join.display_name.clone(),
            role: join.role,
            knocked_ms: at.wall_ms,
        };
        let room = join.room.clone();
        let waiting = ServerMessage::LobbyWaiting { participant_id: knock.id, room };
        out.send(join.socket, waiting);
        let message = ServerMessage::LobbyKnocked { knock: knock.clone(), seq: 0 };
        note(at, &knock, message, Cause::Knock { participant: knock.id }, out);
        self.lobby.insert(knock.id, Waiting { knock, join });
    }

    pub(super) fn knock_stored(
        &mut self,
        id: ParticipantId,
        event: NewEvent,
        verdict: Verdict,
        out: &mut Effects,
    ) {
        let Fact::Ordered(ordered) = event.fact else { return };
        if let Verdict::Stored(store::Stored::New { seq }) = verdict {
            return self.tell(Audience::Moderators, ordered.message.numbered(seq), out);
        }
        if let Some(waiting) = self.take_waiting(id) {
            let reason = "knocking could not be stored; try again";
            out.refuse(waiting.join.socket, None, ErrorCode::Unavailable, reason);
            out.close(waiting.join.socket, close::TRY_LATER);
        }
    }

    /// What somebody says who waits: little is answered.
    pub(super) fn waiting_says(
        &mut self,
        at: Moment,
        id: ParticipantId,
        message: &ClientMessage,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        let Some(waiting) = self.lobby.get(&id) else { return };
        let socket = waiting.join.socket;
        match message {
            ClientMessage::Ping => out.send(socket, ServerMessage::Pong { re }),
            ClientMessage::Leave => {
                out.close(socket, close::DONE);
                self.stop_waiting(at, id, out);
            }
            _ => out.refuse(socket, re, ErrorCode::Lobby, "you wait until a moderator admits you"),
        }
    }

    /// Somebody does not wait any longer.
    pub(super) fn stop_waiting(&mut self, at: Moment, id: ParticipantId, out: &mut Effects) {
        if let Some(waiting) = self.take_waiting(id) {
            self.note_knock_over(at, waiting.knock, KnockOutcome::Gone, out);
        }
    }

    /// Takes somebody out of the lobby with their socket.
    pub(super) fn take_waiting(&mut self, id: ParticipantId) -> Option<Waiting> {
        let waiting = self.lobby.remove(&id)?;
        self.sockets.remove(&waiting.join.socket);
        Some(waiting)
    }

    pub(super) fn note_knock_over(
        &self,
        at: Moment,
        knock: Knock,
        outcome: KnockOutcome,
        out: &mut Effects,
    ) {
        let message = ServerMessage::LobbyLeft { knock: knock.clone(), outcome, by: None, seq: 0 };
        note(at, &knock, message, Cause::Order { reply: Reply::Nobody }, out);
    }

    pub(super) fn admit(
        &mut self,
        at: Moment,
        asker: Asker,
        whom: Option<ParticipantId>,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        may_admit(&asker)?;
        let mut knocks: Vec<Knock> = match whom {
            Some(id) => vec![self.knock_of(id)?],
            None => self.waiting(),
        };
        let Some(last) = knocks.pop() else {
            out.done(&asker.reply);
            return Ok(());
        };
        let quiet = Asker { reply: Reply::Nobody, ..asker.clone() };
        for knock in knocks {
            self.decide(at, &quiet, knock_order(&asker.by, knock, KnockOutcome::Admitted), out)?;
        }
        self.decide(at, &asker, knock_order(&asker.by, last, KnockOutcome::Admitted), out)
    }

    pub(super) fn refuse_knock(
        &mut self,
        at: Moment,
        asker: Asker,
        whom: ParticipantId,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        may_admit(&asker)?;
        let knock = self.knock_of(whom)?;
        self.decide(at, &asker, knock_order(&asker.by, knock, KnockOutcome::Refused), out)
    }

    pub(super) fn knock_ended(
        &mut self,
        at: Moment,
        id: ParticipantId,
        outcome: KnockOutcome,
        out: &mut Effects,
    ) {
        let Some(waiting) = self.take_waiting(id) else { return };
        match outcome {
            KnockOutcome::Admitted => {
                self.sockets.insert(waiting.join.socket, id);
                self.admitted.insert(waiting.knock.user_id, at.wall_ms);
                self.let_in(at, waiting.join, out);
            }
            KnockOutcome::Refused => out.close(waiting.join.socket, close::REFUSED),
            KnockOutcome::Gone => {}
        }
    }

    /// Who waits, first come first.
    pub(super) fn waiting(&self) -> Vec<Knock> {
        let mut knocks: Vec<Knock> = self.lobby.values().map(|w| w.knock.clone()).collect();
        knocks.sort_by_key(|knock| (knock.knocked_ms, knock.id));
        knocks
    }

    fn knock_of(&self, id: ParticipantId) -> Result<Knock, Complaint> {
        let waiting = self.lobby.get(&id).map(|waiting| waiting.knock.clone());
        waiting.ok_or_else(|| (ErrorCode::NotFound, "nobody of that id waits".to_owned()))
    }
}

/// Whether they may know who waits.
fn may_admit(asker: &Asker) -> Result<(), Complaint> {
    match asker.role.may(Power::Admit) {
        true => Ok(()),
        false => Err((ErrorCode::Forbidden, "only moderators may do that".to_owned())),
    }
}

fn knock_order(by: &By, knock: Knock, outcome: KnockOutcome) -> Order {
    let is_admitted = outcome == KnockOutcome::Admitted;
    Order {
        target: is_admitted.then_some(knock.user_id),
        change: if is_admitted { Change::Admit } else { Change::Nothing },
        message: ServerMessage::LobbyLeft { knock, outcome, by: Some(by.clone()), seq: 0 },
        power: Some(Power::Admit),
        audience: Audience::Moderators,
    }
}

/// Stores what somebody in the lobby does themselves, for moderators.
fn note(at: Moment, knock: &Knock, message: ServerMessage, cause: Cause, out: &mut Effects) {
    let by = By { user_id: knock.user_id, display_name: knock.display_name.clone() };
    let ordered = Ordered {
        message,
        by,
        power: None,
        target: None,
        change: Change::Nothing,
        audience: Audience::Moderators,
    };
    let event = NewEvent { at_ms: at.wall_ms, fact: Fact::Ordered(Box::new(ordered)) };
    out.push(Effect::Persist(Box::new(Draft { event, cause })));
}
