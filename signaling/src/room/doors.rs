//! WHIP and WHEP: a transport without a socket. A publisher is a participant like any other, whose liveness
//! is that of the media; a viewer is seen by nobody.

use super::input::{
    Door, DoorChange, DoorChangeRequest, DoorKind, DoorRequest, Effect, Pass, Refusal, SignedOut,
};
use super::lobby::Threshold;
use super::membership::{Joining, Person, Via};
use super::{Effects, Moment, Room};
use crate::sdpfrag;
use protocol::limits::{ANSWER_WITHIN, CONNECT_WITHIN, MAX_WATCHERS};
use protocol::room::{MediaState, Participant};
use protocol::server::LeaveReason;
use protocol::{ErrorCode, ParticipantId, Track, UserId};
use sfu::{CloseReason, Command, PeerId, TrackNames};
use std::time::Instant;

/// A session of WHIP or WHEP.
pub(super) struct OpenDoor {
    pub session: String,
    kind: DoorKind,
    view: Participant,
    state: State,
    /// What the client offered; a restart of ICE is the same with other credentials.
    offer: String,
    pass: Pass,
    /// Entity tag of its ICE session.
    tag: String,
    restart: Option<Restart>,
}

/// A restart of ICE that the media plane has not answered.
struct Restart {
    /// Who waits for it.
    id: String,
    offer: String,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The media plane has not answered.
    Asked { since: Instant },
    /// Their joining is being stored.
    Joining,
    /// The client has its answer.
    Open { since: Instant, is_connected: bool },
}

/// What somebody hears who was removed.
pub(super) const OUT: &str = "you do not belong to this room any more";

/// What somebody hears whose stream key or whose session has ended.
const OVER: &str = "you are signed out, or the stream key has ended";

impl Pass {
    fn is_key(self) -> bool {
        matches!(self, Self::Key { .. })
    }
}

impl OpenDoor {
    pub(super) fn participant(&self) -> ParticipantId {
        self.view.id
    }

    pub(super) fn user(&self) -> UserId {
        self.view.user_id
    }

    /// Whether it will take a place that it does not hold yet.
    pub(super) fn will_join(&self) -> bool {
        self.kind == DoorKind::Publish && matches!(self.state, State::Asked { .. })
    }
}

impl Room {
    /// Whether there is such a session.
    pub fn has_door(&self, session: &str) -> bool {
        self.doors.values().any(|door| door.session == session)
    }

    pub(super) fn open_door(&mut self, at: Moment, request: DoorRequest, out: &mut Effects) {
        if request.pass.is_key() && request.kind == DoorKind::Publish {
            // An encoder that lost its network is here again before anybody has missed it.
            self.end_publishers_of(at, request.user_id, out);
        }
        if let Err(refusal) = self.may_open(at, &request) {
            let door = Door::Refused(refusal);
            return out.push(Effect::AnswerDoor { session: request.session, door });
        }
        let peer = self.new_peer();
        let participant = request.participant;
        let room = self.id;
        let (user, name) = (request.user_id, request.display_name);
        let view = self.new_view(at, participant, user, name, request.role);
        if view.media != MediaState::default() {
            // Before the first packet: whoever is muted is muted by this door too.
            out.media(Command::SetMedia { room, participant, media: view.media });
        }
        if request.kind == DoorKind::Publish {
            self.tap(out);
        }
        let door = OpenDoor {
            session: request.session,
            kind: request.kind,
            view,
            state: State::Asked { since: at.now },
            offer: request.offer,
            pass: request.pass,
            tag: String::new(),
            restart: None,
        };
        out.media(self.offered(peer, &door, door.offer.clone()));
        self.doors.insert(peer, door);
    }

    /// An offer of a session, for the media plane.
    fn offered(&self, peer: PeerId, door: &OpenDoor, offer: String) -> Command {
        let (room, participant) = (self.id, door.participant());
        match door.kind {
            DoorKind::Publish => {
                let tracks = TrackNames::ByOrder;
                Command::Publish { peer, room, participant, offer, tracks }
            }
            DoorKind::Watch { follow } => Command::Watch { peer, room, participant, offer, follow },
        }
    }

    /// Ends what a stream key publishes already.
    fn end_publishers_of(&mut self, at: Moment, user: UserId, out: &mut Effects) {
        let is_theirs = |door: &OpenDoor| {
            let is_open = matches!(door.state, State::Open { .. });
            door.pass.is_key() && door.user() == user && door.kind == DoorKind::Publish && is_open
        };
        let theirs = self.doors.iter().filter(|(_, door)| is_theirs(door));
        for peer in theirs.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            self.end_door(at, peer, LeaveReason::Left, out);
        }
    }

    /// A session that is open changes; whoever asked gets an answer at once or with the media plane's.
    pub(super) fn change_door(
        &mut self,
        at: Moment,
        request: DoorChangeRequest,
        out: &mut Effects,
    ) {
        let DoorChangeRequest { id, session, change } = request;
        let is_open =
            |door: &OpenDoor| door.session == session && matches!(door.state, State::Open { .. });
        let found = self.doors.iter().find(|(_, door)| is_open(door)).map(|(peer, _)| *peer);
        let done = match (found, change) {
            (None, _) => Err((ErrorCode::NotFound, "there is no such session")),
            (Some(peer), DoorChange::Largest(largest)) => {
                out.media(Command::SetLargest { peer, largest });
                Ok(Some(Door::Done))
            }
            (Some(peer), DoorChange::Ice { credentials, if_match }) => {
                self.change_ice(at, peer, &id, &credentials, if_match.as_deref(), out)
            }
        };
        let door = match done {
            Ok(None) => return,
            Ok(Some(door)) => door,
            Err((code, reason)) => Door::Refused(Refusal { code, reason: reason.to_owned() }),
        };
        out.push(Effect::AnswerDoor { session: id, door });
    }

    /// Candidates need nothing done: the server answers whoever checks. Other credentials are a restart (RFC 9725 §4.3).
    fn change_ice(
        &mut self,
        at: Moment,
        peer: PeerId,
        id: &str,
        credentials: &sdpfrag::Credentials,
        if_match: Option<&str>,
        out: &mut Effects,
    ) -> Result<Option<Door>, (ErrorCode, &'static str)> {
        let Some(door) = self.doors.get(&peer) else {
            return Err((ErrorCode::NotFound, "there is no such session"));
        };
        let Some(if_match) = if_match else {
            return Err((ErrorCode::PreconditionRequired, "name the ICE session by If-Match"));
        };
        let names_it =
            if_match.split(',').any(|tag| [door.tag.as_str(), "*"].contains(&tag.trim()));
        if !names_it {
            return Err((ErrorCode::PreconditionFailed, "there is another ICE session now"));
        }
        if sdpfrag::credentials_of(&door.offer).as_ref() == Some(credentials) {
            return Ok(Some(Door::Done));
        }
        if door.restart.is_some() {
            return Err((ErrorCode::Conflict, "another restart of ICE is under way"));
        }
        let offer = sdpfrag::with_credentials(&door.offer, credentials);
        out.media(self.offered(peer, door, offer.clone()));
        if let Some(door) = self.doors.get_mut(&peer) {
            door.restart = Some(Restart { id: id.to_owned(), offer, since: at.now });
        }
        Ok(None)
    }

    fn may_open(&mut self, at: Moment, request: &DoorRequest) -> Result<(), Refusal> {
        let refuse = |code, reason: &str| Err(Refusal { code, reason: reason.to_owned() });
        if self.is_closed {
            return refuse(ErrorCode::NotFound, "the room is gone");
        }
        if !self.is_open_to(request.user_id, request.role) {
            return refuse(ErrorCode::NotFound, "that breakout room is closed");
        }
        // An encoder cannot wait in a lobby.
        match self.threshold(at, request.user_id, request.role) {
            Threshold::Open => {}
            Threshold::Lobby if request.pass.is_key() => {}
            Threshold::Lobby => {
                return refuse(ErrorCode::Lobby, "a moderator must admit you first: join the room");
            }
            Threshold::Locked => {
                return refuse(ErrorCode::Locked, "the room takes nobody new now");
            }
        }
        match request.kind {
            DoorKind::Publish if !self.may_join(at, request.user_id) => {
                refuse(ErrorCode::RateLimited, "you come and go too often; wait a moment")
            }
            DoorKind::Publish if !self.has_place(at, request.user_id, request.role) => {
                refuse(ErrorCode::RoomFull, "the room is full")
            }
            DoorKind::Watch { .. } if self.watchers() >= MAX_WATCHERS => {
                refuse(ErrorCode::RoomFull, "the room has too many viewers")
            }
            DoorKind::Watch { follow: Some(id) } if !self.people.contains_key(&id) => {
                refuse(ErrorCode::NotFound, "there is no such participant in the room")
            }
            DoorKind::Publish | DoorKind::Watch { .. } => Ok(()),
        }
    }

    fn watchers(&self) -> usize {
        self.doors.values().filter(|door| door.kind != DoorKind::Publish).count()
    }

    pub(super) fn door_answered(
        &mut self,
        at: Moment,
        peer: PeerId,
        sdp: String,
        out: &mut Effects,
    ) {
        let Some(door) = self.doors.get_mut(&peer) else { return };
        if let Some(Restart { id, offer, .. }) = door.restart.take() {
            door.offer = offer;
            door.tag = sdpfrag::tag_of(&sdp);
            return out.push(Effect::AnswerDoor { session: id, door: Door::Open(sdp) });
        }
        if !matches!(door.state, State::Asked { .. }) {
            return;
        }
        door.tag = sdpfrag::tag_of(&sdp);
        match door.kind {
            DoorKind::Publish => {
                door.state = State::Joining;
                let view = door.view.clone();
                self.store_joining(at, view, Via::Door { peer, sdp }, out);
            }
            DoorKind::Watch { .. } => {
                door.state = State::Open { since: at.now, is_connected: false };
                let session = door.session.clone();
                out.push(Effect::AnswerDoor { session, door: Door::Open(sdp) });
            }
        }
    }

    /// A publisher is a participant now.
    pub(super) fn door_joined(&mut self, at: Moment, peer: PeerId, sdp: String, out: &mut Effects) {
        let Some(door) = self.doors.get_mut(&peer) else { return };
        door.state = State::Open { since: at.now, is_connected: false };
        let session = door.session.clone();
        out.push(Effect::AnswerDoor { session, door: Door::Open(sdp) });
    }

    /// Only a door that waits can be refused; one that is open stays as it is.
    pub(super) fn door_refused(
        &mut self,
        peer: PeerId,
        code: ErrorCode,
        reason: String,
        out: &mut Effects,
    ) {
        if let Some(Restart { id, .. }) = self.doors.get_mut(&peer).and_then(|d| d.restart.take()) {
            let door = Door::Refused(Refusal { code, reason });
            return out.push(Effect::AnswerDoor { session: id, door });
        }
        let is_waiting = |door: &OpenDoor| matches!(door.state, State::Asked { .. });
        if !self.doors.get(&peer).is_some_and(is_waiting) {
            return;
        }
        let Some(door) = self.doors.remove(&peer) else { return };
        out.media(Command::Leave { room: self.id, participant: door.participant() });
        let door_answer = Door::Refused(Refusal { code, reason });
        out.push(Effect::AnswerDoor { session: door.session, door: door_answer });
    }

    pub(super) fn door_connected(&mut self, peer: PeerId) -> Option<ParticipantId> {
        let door = self.doors.get_mut(&peer)?;
        if let State::Open { is_connected, .. } = &mut door.state {
            *is_connected = true;
        }
        Some(door.participant())
    }

    /// The transport is over, and with it the session.
    pub(super) fn door_ended(
        &mut self,
        at: Moment,
        peer: PeerId,
        reason: CloseReason,
        out: &mut Effects,
    ) {
        let Some(door) = self.doors.get(&peer) else { return };
        if matches!(door.state, State::Asked { .. }) {
            let reason = reason.as_str().to_owned();
            return self.door_refused(peer, ErrorCode::Unavailable, reason, out);
        }
        let left = match reason {
            CloseReason::ClosedByPeer | CloseReason::Commanded => LeaveReason::Left,
            CloseReason::Silent
            | CloseReason::WrongFingerprint
            | CloseReason::HandshakeFailed
            | CloseReason::Fault => LeaveReason::TimedOut,
        };
        self.end_door(at, peer, left, out);
    }

    /// The client deletes its session, or does not wait for it any more.
    pub(super) fn close_door(&mut self, at: Moment, session: &str, out: &mut Effects) {
        let peer = self.doors.iter().find(|(_, door)| door.session == session).map(|(id, _)| *id);
        if let Some(peer) = peer {
            self.end_door(at, peer, LeaveReason::Left, out);
        }
    }

    fn end_door(&mut self, at: Moment, peer: PeerId, reason: LeaveReason, out: &mut Effects) {
        let Some(mut door) = self.doors.remove(&peer) else { return };
        if let Some(Restart { id, .. }) = door.restart.take() {
            let reason = "the session is over".to_owned();
            let refusal = Refusal { code: ErrorCode::NotFound, reason };
            out.push(Effect::AnswerDoor { session: id, door: Door::Refused(refusal) });
        }
        let participant = door.participant();
        if self.people.contains_key(&participant) {
            return self.leave(at, participant, reason, out);
        }
        if let Some(Joining { is_gone, .. }) = self.joining.get_mut(&participant) {
            *is_gone = true;
        }
        out.media(Command::Leave { room: self.id, participant });
    }

    /// Ends every session of somebody who was removed; those who are seen leave as participants do.
    pub(super) fn end_doors_of(&mut self, at: Moment, user: UserId, out: &mut Effects) {
        let theirs = self.doors.iter().filter(|(_, door)| door.view.user_id == user);
        for peer in theirs.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            match self.doors.get(&peer).map(|door| door.state) {
                Some(State::Asked { .. }) => {
                    self.door_refused(peer, ErrorCode::Forbidden, OUT.to_owned(), out);
                }
                Some(State::Open { .. }) => self.end_door(at, peer, LeaveReason::Kicked, out),
                // The store's answer to their joining ends it.
                Some(State::Joining) | None => {}
            }
        }
    }

    /// Ends what somebody opened who has signed out, and their relays where nothing of theirs is left.
    pub(super) fn signed_out(&mut self, at: Moment, who: SignedOut, out: &mut Effects) {
        let is_theirs = |door: &OpenDoor| match who {
            SignedOut::Session(session) => door.pass == Pass::Token { signed_in: session },
            SignedOut::Person(user) => !door.pass.is_key() && door.user() == user,
        };
        self.end_doors_where(at, is_theirs, out);
    }

    /// Ends what stream keys opened that are good no longer.
    fn end_expired_doors(&mut self, at: Moment, out: &mut Effects) {
        let is_over = |door: &OpenDoor| matches!(door.pass, Pass::Key { until_ms: Some(until) } if until <= at.wall_ms);
        self.end_doors_where(at, is_over, out);
    }

    fn end_doors_where(
        &mut self,
        at: Moment,
        is_over: impl Fn(&OpenDoor) -> bool,
        out: &mut Effects,
    ) {
        let over = self.doors.iter().filter(|(_, door)| is_over(door));
        for (peer, user) in over.map(|(peer, door)| (*peer, door.user())).collect::<Vec<_>>() {
            match self.doors.get(&peer).map(|door| door.state) {
                Some(State::Asked { .. }) => {
                    self.door_refused(peer, ErrorCode::Unauthorized, OVER.to_owned(), out);
                }
                Some(State::Joining | State::Open { .. }) => {
                    self.end_door(at, peer, LeaveReason::Left, out);
                }
                None => {}
            }
            self.end_relays(user, None, out);
        }
    }

    /// Ends somebody's relays for this room, unless another device or session of theirs is here. What leaves may still be
    /// among the people until that is stored.
    pub(super) fn end_relays(&self, user: UserId, but: Option<ParticipantId>, out: &mut Effects) {
        let stays = |person: &Person| {
            person.view.user_id == user && Some(person.view.id) != but && person.leaving.is_none()
        };
        let is_here =
            self.people.values().any(stays) || self.doors.values().any(|door| door.user() == user);
        if !is_here {
            out.media(Command::SendAway { room: self.id, user });
        }
    }

    /// A publisher who was removed while their joining was stored.
    pub(super) fn door_removed(&mut self, peer: PeerId, out: &mut Effects) {
        if let Some(door) = self.doors.remove(&peer) {
            let refusal = Refusal { code: ErrorCode::Forbidden, reason: OUT.to_owned() };
            let door_answer = Door::Refused(refusal);
            out.push(Effect::AnswerDoor { session: door.session, door: door_answer });
        }
    }

    pub(super) fn door_tracks(&mut self, id: ParticipantId, tracks: Vec<Track>) {
        if let Some(door) = self.doors.values_mut().find(|door| door.view.id == id) {
            door.view.tracks = tracks;
        }
    }

    /// Those whom the media plane does not answer get their refusal; viewers who never connect are let go.
    pub(super) fn give_up_doors(&mut self, at: Moment, out: &mut Effects) {
        self.end_expired_doors(at, out);
        let waited = |since: Instant| at.now.saturating_duration_since(since);
        let mut unanswered = Vec::new();
        let mut unconnected = Vec::new();
        for (peer, door) in &self.doors {
            match door.state {
                State::Asked { since } if waited(since) >= ANSWER_WITHIN => unanswered.push(*peer),
                State::Open { .. }
                    if door.restart.as_ref().is_some_and(|r| waited(r.since) >= ANSWER_WITHIN) =>
                {
                    unanswered.push(*peer);
                }
                State::Open { since, is_connected: false }
                    if door.kind != DoorKind::Publish && waited(since) >= CONNECT_WITHIN =>
                {
                    unconnected.push(*peer);
                }
                State::Asked { .. } | State::Joining | State::Open { .. } => {}
            }
        }
        for peer in unanswered {
            let reason = "the media plane did not answer".to_owned();
            self.door_refused(peer, ErrorCode::Unavailable, reason, out);
        }
        for peer in unconnected {
            self.end_door(at, peer, LeaveReason::TimedOut, out);
        }
    }

    pub(super) fn refuse_doors(&mut self, code: ErrorCode, reason: &str, out: &mut Effects) {
        for door in self.doors.values() {
            let waiting = match (&door.state, &door.restart) {
                (State::Open { .. }, restart) => restart.as_ref().map(|restart| &restart.id),
                (State::Asked { .. } | State::Joining, _) => Some(&door.session),
            };
            if let Some(waiting) = waiting {
                let refusal = Refusal { code, reason: reason.to_owned() };
                out.push(Effect::AnswerDoor {
                    session: waiting.clone(),
                    door: Door::Refused(refusal),
                });
            }
        }
    }
}
