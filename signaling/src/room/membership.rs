//! Coming and going: joins, takeovers, leaves, and the ends of sockets.

use super::input::{
    Cause, Door, Draft, Effect, Input, JoinRequest, Place, Refusal, SocketId, Verdict,
};
use super::lobby::Threshold;
use super::{Effects, Moment, Room};
use crate::bucket::{Bucket, Rate};
use protocol::limits::{
    JOIN_BURST, JOIN_PER_SECOND, MAX_PARTICIPANTS, MESSAGE_BURST, MESSAGE_PER_SECOND,
    REACTION_BURST, REACTION_PER_SECOND, SIGNAL_BURST, SIGNAL_PER_SECOND,
};
use protocol::recording::RecordEnd;
use protocol::room::{By, KnockOutcome, MediaState, Participant, Presence, Role, Room as RoomView};
use protocol::server::{LeaveReason, close};
use protocol::{ErrorCode, ParticipantId, Power, RecordingId, ServerMessage, UserId};
use sfu::{Command, PeerId};
use std::time::Instant;
use store::{Fact, NewEvent, Refused, Stored};

/// Somebody who is in the room.
pub(super) struct Person {
    /// As others see them.
    pub view: Participant,
    /// Number of the event of their joining: the order of people.
    pub joined_seq: i64,
    /// Their socket, while there is one.
    pub socket: Option<SocketId>,
    /// Whether a transport of theirs is heard.
    pub is_media_alive: bool,
    /// When anything of theirs was last heard; counts while neither socket nor media is there.
    pub heard_at: Instant,
    /// Once they go.
    pub leaving: Option<Leaving>,
    /// Bounds what they show to everybody.
    pub signals: Bucket,
    /// Bounds what they shout to everybody.
    pub reactions: Bucket,
    /// Bounds what they send to single others.
    pub messages: Bucket,
    /// Whether a page of what they missed is on its way.
    pub is_syncing: bool,
}

/// Somebody who goes; true for others when it is stored.
#[derive(Clone, Copy)]
pub(super) struct Leaving {
    pub reason: LeaveReason,
    /// Whether the store is asked now; else the next tick asks again.
    pub is_storing: bool,
}

/// Somebody whose joining is being stored.
pub(super) struct Joining {
    pub view: Participant,
    pub via: Via,
    /// Whether they are gone again already.
    pub is_gone: bool,
    /// Why they have to leave at once, where a moderator decided so meanwhile.
    pub removed: Option<LeaveReason>,
}

/// The door through which somebody comes.
pub(super) enum Via {
    /// The room's socket.
    Socket { socket: SocketId, room: Box<RoomView> },
    /// WHIP, with the SDP answer that the encoder waits for.
    Door { peer: PeerId, sdp: String },
}

impl Room {
    pub(super) fn join(&mut self, at: Moment, join: JoinRequest, out: &mut Effects) {
        if self.is_closed {
            return out.close(join.socket, close::ROOM_CLOSED);
        }
        if !self.is_open_to(join.user_id, join.role) {
            return out.close(join.socket, close::SENT_BACK);
        }
        if !self.may_join(at, join.user_id) {
            let reason = "you come and go too often; wait a moment";
            out.refuse(join.socket, None, ErrorCode::RateLimited, reason);
            return out.close(join.socket, close::TRY_LATER);
        }
        if let Some(id) = self.place_of(&join) {
            return self.take_over(at, id, join, out);
        }
        match self.threshold(at, join.user_id, join.role) {
            Threshold::Open => self.let_in(at, join, out),
            Threshold::Lobby => {
                self.sockets.insert(join.socket, join.participant);
                self.wait_in_lobby(at, join, out);
            }
            Threshold::Locked => {
                out.refuse(join.socket, None, ErrorCode::Locked, "the room takes nobody new now");
                out.close(join.socket, close::TRY_LATER);
            }
        }
    }

    /// Whom somebody takes over: only themselves, and only by a socket.
    fn place_of(&self, join: &JoinRequest) -> Option<ParticipantId> {
        let own = self.people.of(join.user_id).iter().filter_map(|id| self.people.get(id));
        let own = own.filter(|person| {
            let is_door = self.doors.values().any(|door| door.participant() == person.view.id);
            person.leaving.is_none() && !is_door
        });
        let person = match join.place {
            Place::New => None,
            Place::Of(id) => own.into_iter().find(|person| person.view.id == id),
            Place::Own => own.max_by_key(|person| person.joined_seq),
        };
        person.map(|person| person.view.id)
    }

    /// Nothing stands between them and the room but its size.
    pub(super) fn let_in(&mut self, at: Moment, join: JoinRequest, out: &mut Effects) {
        if !self.has_place(at, join.user_id, join.role) {
            self.sockets.remove(&join.socket);
            out.refuse(join.socket, None, ErrorCode::RoomFull, "the room is full");
            return out.close(join.socket, close::TRY_LATER);
        }
        let view = self.new_view(at, join.participant, join.user_id, join.display_name, join.role);
        self.sockets.insert(join.socket, view.id);
        let via = Via::Socket { socket: join.socket, room: Box::new(join.room) };
        self.store_joining(at, view, via, out);
    }

    /// Whether this person may come once more: what they pay with little, everybody hears of.
    pub(super) fn may_join(&mut self, at: Moment, user: UserId) -> bool {
        let rate = Rate { burst: JOIN_BURST, per_second: JOIN_PER_SECOND };
        let bucket = self.join_buckets.entry(user);
        bucket.or_insert_with(|| Bucket::new(rate, at.now)).take(at.now)
    }

    /// Whether one more may come; the owner always may, and whoever comes back from a breakout room.
    pub(super) fn has_place(&self, at: Moment, user: UserId, role: Role) -> bool {
        let knocking = self.doors.values().filter(|door| door.will_join()).count();
        let capacity = usize::try_from(self.state.capacity).unwrap_or(MAX_PARTICIPANTS);
        let most = match self.family.may_return(user, at.wall_ms) {
            true => MAX_PARTICIPANTS,
            false => capacity.min(MAX_PARTICIPANTS),
        };
        role.may(Power::EnterFull) || self.people.len() + self.joining.len() + knocking < most
    }

    /// Somebody as others will see them, with what is ordered for them.
    pub(super) fn new_view(
        &self,
        at: Moment,
        id: ParticipantId,
        user_id: UserId,
        display_name: String,
        role: Role,
    ) -> Participant {
        Participant {
            id,
            user_id,
            display_name,
            role,
            presence: Presence::Online,
            media: self.media_for(user_id, role, MediaState::default()),
            orders: self.orders_for(user_id),
            keys: None,
            tracks: Vec::new(),
            joined_ms: at.wall_ms,
        }
    }

    pub(super) fn store_joining(
        &mut self,
        at: Moment,
        view: Participant,
        via: Via,
        out: &mut Effects,
    ) {
        let participant = view.id;
        let event = NewEvent { at_ms: at.wall_ms, fact: Fact::Joined(view.clone()) };
        let joining = Joining { view, via, is_gone: false, removed: None };
        self.joining.insert(participant, joining);
        out.push(Effect::Persist(Box::new(Draft { event, cause: Cause::Join { participant } })));
    }

    pub(super) fn join_stored(
        &mut self,
        at: Moment,
        id: ParticipantId,
        verdict: Verdict,
        out: &mut Effects,
    ) {
        let Some(mut joining) = self.joining.remove(&id) else { return };
        let Verdict::Stored(Stored::New { seq }) = verdict else {
            let is_out = verdict == Verdict::Stored(Stored::Refused(Refused::NoMember));
            return self.join_failed(joining, is_out, out);
        };
        // What was ordered while it was stored.
        let view = &mut joining.view;
        view.media = self.media_for(view.user_id, view.role, view.media);
        view.orders = self.orders_for(view.user_id);
        let socket = match &joining.via {
            Via::Socket { socket, .. } if !joining.is_gone => Some(*socket),
            _ => None,
        };
        let bucket = |burst, per_second| Bucket::new(Rate { burst, per_second }, at.now);
        let person = Person {
            view: joining.view,
            joined_seq: seq,
            socket,
            is_media_alive: false,
            heard_at: at.now,
            leaving: None,
            signals: bucket(SIGNAL_BURST, SIGNAL_PER_SECOND),
            reactions: bucket(REACTION_BURST, REACTION_PER_SECOND),
            messages: bucket(MESSAGE_BURST, MESSAGE_PER_SECOND),
            is_syncing: false,
        };
        if person.view.media != MediaState::default() {
            let media = person.view.media;
            out.media(Command::SetMedia { room: self.id, participant: id, media });
        }
        let by =
            By { user_id: person.view.user_id, display_name: person.view.display_name.clone() };
        out.broadcast(ServerMessage::MemberJoined { participant: person.view.clone(), seq });
        self.people.insert(person);
        // A participant's id is fresh, and nobody joins twice under one.
        self.record_by_itself(at, RecordingId(id.0), by, out);
        if let Some(reason) = joining.removed {
            if let Via::Door { peer, .. } = joining.via {
                self.door_removed(peer, out);
            }
            return self.leave(at, id, reason, out);
        }
        if joining.is_gone {
            // They never learnt how to come back, so nobody needs to wait for them.
            return self.leave(at, id, LeaveReason::Left, out);
        }
        match joining.via {
            Via::Socket { socket, room } => self.welcome(id, socket, *room, false, out),
            Via::Door { peer, sdp } => self.door_joined(at, peer, sdp, out),
        }
    }

    fn join_failed(&mut self, joining: Joining, is_out: bool, out: &mut Effects) {
        let (code, reason) = match is_out {
            true => (ErrorCode::Forbidden, super::doors::OUT),
            false => (ErrorCode::Unavailable, "joining could not be stored; try again"),
        };
        match joining.via {
            Via::Socket { socket, .. } => {
                self.sockets.remove(&socket);
                if !joining.is_gone {
                    out.refuse(socket, None, code, reason);
                    out.close(socket, if is_out { close::KICKED } else { close::TRY_LATER });
                }
            }
            Via::Door { peer, .. } => {
                if let Some(door) = self.doors.remove(&peer) {
                    let refusal = Refusal { code, reason: reason.to_owned() };
                    out.push(Effect::AnswerDoor {
                        session: door.session,
                        door: Door::Refused(refusal),
                    });
                }
                out.media(Command::Leave { room: self.id, participant: joining.view.id });
            }
        }
    }

    fn take_over(&mut self, at: Moment, id: ParticipantId, join: JoinRequest, out: &mut Effects) {
        let Some(person) = self.people.get_mut(&id) else { return };
        if let Some(old) = person.socket.replace(join.socket) {
            self.sockets.remove(&old);
            out.close(old, close::REPLACED);
        }
        person.heard_at = at.now;
        self.sockets.insert(join.socket, id);
        self.revive(id, out);
        self.forget_answers(id);
        let (socket, room) = (join.socket, Box::new(join.room));
        let welcome = Input::Welcome { participant: id, socket, room };
        out.push(Effect::Then(Box::new(welcome)));
    }

    pub(super) fn welcome_back(
        &mut self,
        id: ParticipantId,
        socket: SocketId,
        room: RoomView,
        out: &mut Effects,
    ) {
        // By now they may have left, or yet another socket may have come.
        if self.people.get(&id).is_some_and(|person| person.socket == Some(socket)) {
            self.welcome(id, socket, room, true, out);
            self.show_slots(id, socket, out);
        }
    }

    /// The first three messages, and from then on everything that others hear.
    fn welcome(
        &self,
        id: ParticipantId,
        socket: SocketId,
        mut room: RoomView,
        resumed: bool,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get(&id) else { return };
        room.participants = u32::try_from(self.count()).unwrap_or(u32::MAX);
        room.role = Some(person.view.role);
        out.send(
            socket,
            ServerMessage::Joined {
                participant_id: id,
                user_id: person.view.user_id,
                role: person.view.role,
                room,
                resume: self.resume.secret(self.id, id),
                resumed,
            },
        );
        let snapshot = self.snapshot_for(person.view.user_id, person.view.role.is_moderator());
        let is_paged = snapshot.people.is_some();
        out.send(socket, ServerMessage::StateSnapshot(Box::new(snapshot)));
        out.send(socket, ServerMessage::SyncInfo { next_seq: self.next_seq });
        out.push(Effect::Admit { socket });
        if is_paged {
            out.push(Effect::Page { socket });
        }
    }

    /// Somebody goes. Their media ends whatever the store says; the others hear of it once it is stored.
    pub(super) fn leave(
        &mut self,
        at: Moment,
        id: ParticipantId,
        reason: LeaveReason,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(&id) else { return };
        if person.leaving.is_some() {
            return;
        }
        person.leaving = Some(Leaving { reason, is_storing: true });
        out.push(leave_draft(at, person, reason));
        out.media(Command::Leave { room: self.id, participant: id });
        self.peers.remove_of(id);
        self.doors.retain(|_, door| door.participant() != id);
    }

    /// Asks the store again for those whose leaving it did not take.
    pub(super) fn retry_leaving(&mut self, at: Moment, out: &mut Effects) {
        for person in self.people.values_mut() {
            let Some(leaving) = person.leaving.as_mut().filter(|leaving| !leaving.is_storing)
            else {
                continue;
            };
            leaving.is_storing = true;
            let reason = leaving.reason;
            out.push(leave_draft(at, person, reason));
        }
    }

    pub(super) fn leave_stored(&mut self, id: ParticipantId, verdict: Verdict, out: &mut Effects) {
        let Some(person) = self.people.get_mut(&id) else { return };
        let Some(leaving) = person.leaving.as_mut() else { return };
        let reason = leaving.reason;
        if let Some(socket) = person.socket.take() {
            self.sockets.remove(&socket);
            out.close(socket, close_code(reason));
        }
        let Verdict::Stored(Stored::New { seq }) = verdict else {
            leaving.is_storing = false;
            return;
        };
        self.people.remove(id);
        self.speakers.retain(|speaker| *speaker != id);
        self.state.hands_up.retain(|hand| *hand != id);
        self.wanted.hands_up.retain(|hand| *hand != id);
        out.broadcast(ServerMessage::MemberLeft { participant_id: id, reason, seq });
    }

    pub(super) fn socket_gone(
        &mut self,
        at: Moment,
        socket: SocketId,
        heard_at: Instant,
        out: &mut Effects,
    ) {
        let Some(id) = self.sockets.remove(&socket) else { return };
        if self.lobby.contains_key(&id) {
            return self.stop_waiting(at, id, out);
        }
        if let Some(joining) = self.joining.get_mut(&id) {
            joining.is_gone = true;
        }
        if let Some(person) = self.people.get_mut(&id) {
            person.socket = None;
            person.heard_at = person.heard_at.max(heard_at.min(at.now));
            self.watch_silence_of(id, at, out);
        }
    }

    /// The room is deleted: everybody is out, and the store has forgotten the room with its events.
    pub(super) fn close(&mut self, out: &mut Effects) {
        self.is_closed = true;
        self.discard_recording(out);
        for socket in std::mem::take(&mut self.sockets).into_keys() {
            out.close(socket, close::ROOM_CLOSED);
        }
        self.refuse_doors(ErrorCode::NotFound, "the room is gone", out);
        self.people.clear();
        self.joining.clear();
        self.lobby.clear();
        self.peers.clear();
        self.doors.clear();
        self.speakers.clear();
        out.media(Command::CloseRoom { room: self.id });
    }

    /// The process stops. Who comes back afterwards is somebody new, so that no leave is ever missing.
    pub(super) fn suspend(&mut self, at: Moment, code: u16, out: &mut Effects) {
        self.is_suspended = true;
        if let Some(id) = self.state.recording.as_ref().map(|now| now.recording_id) {
            self.end_recording(at, id, RecordEnd::ServerStopped, out);
        }
        for socket in std::mem::take(&mut self.sockets).into_keys() {
            out.close(socket, code);
        }
        self.refuse_doors(ErrorCode::Unavailable, "the server stops", out);
        for waiting in std::mem::take(&mut self.lobby).into_values() {
            self.note_knock_over(at, waiting.knock, KnockOutcome::Gone, out);
        }
        for joining in self.joining.values_mut() {
            joining.is_gone = true;
        }
        for id in self.people.keys().copied().collect::<Vec<_>>() {
            if let Some(person) = self.people.get_mut(&id) {
                person.socket = None;
            }
            self.leave(at, id, LeaveReason::TimedOut, out);
        }
        self.doors.clear();
    }
}

fn leave_draft(at: Moment, person: &Person, reason: LeaveReason) -> Effect {
    let participant = person.view.id;
    let fact = Fact::Left { participant_id: participant, user_id: person.view.user_id, reason };
    let event = NewEvent { at_ms: at.wall_ms, fact };
    Effect::Persist(Box::new(Draft { event, cause: Cause::Leave { participant } }))
}

fn close_code(reason: LeaveReason) -> u16 {
    match reason {
        LeaveReason::Left | LeaveReason::TimedOut => close::DONE,
        LeaveReason::RoomClosed => close::ROOM_CLOSED,
        LeaveReason::Kicked => close::KICKED,
        LeaveReason::SentBack => close::SENT_BACK,
    }
}
