//! Orders: what people decide about each other and about the room, over the socket and over REST alike.
//!
//! Who may is asked twice: here, so that most refusals cost no write, and in the store's transaction, which
//! decides. Nothing is different here until the order is stored.

use super::input::{Cause, Draft, Effect, Reply, SocketId, Verdict};
use super::{Effects, Moment, Room};
use crate::bucket::{Bucket, Rate};
use protocol::limits::{MAX_REASON_CHARS, ORDER_BURST, ORDER_PER_SECOND};
use protocol::room::{By, Role};
use protocol::{ClientMessage, ErrorCode, ParticipantId, Power, RoomId, ServerMessage, UserId};
use store::{Audience, Change, Fact, MessageChange, NewEvent, Ordered, Refused, Stored};
use uuid::Uuid;

/// Who orders, and where the answer goes.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub by: By,
    /// As this room knows it; over REST as the store knew it a moment ago.
    pub role: Role,
    pub reply: Reply,
    /// Which of their participants, where they ask over its socket.
    pub participant: Option<ParticipantId>,
    /// The breakout room that passed it on.
    pub breakout: Option<RoomId>,
    /// For what the order makes.
    pub fresh: Uuid,
}

impl Asker {
    /// The room itself, in somebody's name for the log: it may do everything, and nobody waits for an answer.
    pub(super) fn itself(by: By) -> Self {
        Self {
            by,
            role: Role::Owner,
            reply: Reply::Nobody,
            participant: None,
            breakout: None,
            fresh: Uuid::nil(),
        }
    }
}

/// What an order does, but for who gives it.
pub(super) struct Order {
    pub message: ServerMessage,
    pub power: Option<Power>,
    pub target: Option<UserId>,
    pub change: Change,
    pub audience: Audience,
}

pub(super) type Complaint = (ErrorCode, String);

impl Room {
    /// Takes an order over REST, or one that a breakout room passes on.
    pub(super) fn call(
        &mut self,
        at: Moment,
        asker: Asker,
        message: ClientMessage,
        out: &mut Effects,
    ) {
        if self.is_closed || self.is_suspended {
            return out.refuse_to(&asker.reply, ErrorCode::Unavailable, "the room is closing");
        }
        self.order(at, asker, message, out);
    }

    /// Takes an order over a socket.
    pub(super) fn asked(
        &mut self,
        at: Moment,
        from: ParticipantId,
        reply: Reply,
        message: ClientMessage,
        fresh: Uuid,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get(&from) else { return };
        let by =
            By { user_id: person.view.user_id, display_name: person.view.display_name.clone() };
        let (role, participant) = (person.view.role, Some(from));
        let asker = Asker { by, role, reply, participant, breakout: None, fresh };
        self.order(at, asker, message, out);
    }

    fn order(&mut self, at: Moment, asker: Asker, message: ClientMessage, out: &mut Effects) {
        let rate = Rate { burst: ORDER_BURST, per_second: ORDER_PER_SECOND };
        let bucket = self.order_buckets.entry(asker.by.user_id);
        if !bucket.or_insert_with(|| Bucket::new(rate, at.now)).take(at.now) {
            let reason = "too many orders; wait a moment";
            return out.refuse_to(&asker.reply, ErrorCode::RateLimited, reason);
        }
        let Some((asker, message)) = self.pass(asker, message, out) else { return };
        let reply = asker.reply.clone();
        let done = match message {
            ClientMessage::HandRaise => self.raise_hand(at, asker, out),
            ClientMessage::HandLower { participant_id, everybody } => {
                self.lower_hand(at, asker, participant_id, everybody, out)
            }
            ClientMessage::RoleSet { user_id, role } => {
                self.set_role(at, asker, user_id, role, out)
            }
            ClientMessage::MediaForce { user_id, source, forced } => {
                self.force(at, asker, user_id, source, forced, out)
            }
            ClientMessage::SpeakAllow { user_id, allowed, minutes } => {
                self.allow_to_speak(at, asker, user_id, allowed, minutes, out)
            }
            ClientMessage::StateSet(change) => self.set_state(at, asker, change, out),
            ClientMessage::MemberKick { user_id, reason } => {
                self.remove(at, asker, user_id, false, reason, false, out)
            }
            ClientMessage::MemberBan { user_id, reason, invite } => {
                self.remove(at, asker, user_id, true, reason, invite, out)
            }
            ClientMessage::MemberUnban { user_id } => self.unban(at, asker, user_id, out),
            ClientMessage::LobbyAdmit { participant_id } => {
                self.admit(at, asker, participant_id, out)
            }
            ClientMessage::LobbyRefuse { participant_id } => {
                self.refuse_knock(at, asker, participant_id, out)
            }
            ClientMessage::BreakoutOpen(new) => self.open_breakouts(at, asker, new, out),
            ClientMessage::BreakoutAssign { assignments } => {
                self.assign(at, asker, assignments, out)
            }
            ClientMessage::BreakoutBroadcast { text } => {
                self.broadcast_to_all(at, asker, text, out)
            }
            ClientMessage::BreakoutClose { seconds } => {
                self.close_breakouts(at, asker, seconds, out)
            }
            ClientMessage::BreakoutHelp => self.ask_for_help(at, asker, out),
            ClientMessage::RecordStart => self.start_recording(at, asker, out),
            ClientMessage::RecordStop => self.stop_recording(at, asker, out),
            ClientMessage::ChatEdit { message_id, text } => {
                self.change_line(at, asker, message_id, MessageChange::Edit(text), out)
            }
            ClientMessage::ChatDelete { message_id } => {
                self.change_line(at, asker, message_id, MessageChange::Delete, out)
            }
            ClientMessage::ChatReact { message_id, emoji, on } => {
                let what = MessageChange::React { emoji, on };
                self.change_line(at, asker, message_id, what, out)
            }
            ClientMessage::ChatPin { message_id, pinned } => {
                self.change_line(at, asker, message_id, MessageChange::Pin(pinned), out)
            }
            ClientMessage::PollVote { message_id, choices } => {
                self.change_line(at, asker, message_id, MessageChange::Vote(choices), out)
            }
            ClientMessage::PollClose { message_id } => {
                self.change_line(at, asker, message_id, MessageChange::ClosePoll, out)
            }
            ClientMessage::Ping
            | ClientMessage::Leave
            | ClientMessage::MediaSelf { .. }
            | ClientMessage::SyncSub { .. }
            | ClientMessage::ChatMessage { .. }
            | ClientMessage::ChatMessageEnc { .. }
            | ClientMessage::Signal { .. }
            | ClientMessage::KeysPublish(_)
            | ClientMessage::ChatTyping { .. }
            | ClientMessage::Reaction { .. }
            | ClientMessage::SignalMessage { .. }
            | ClientMessage::MediaPublish { .. }
            | ClientMessage::MediaSubscribe { .. }
            | ClientMessage::MediaAnswer { .. }
            | ClientMessage::ViewSet(_) => {
                Err((ErrorCode::UnknownType, "that is no order".to_owned()))
            }
        };
        if let Err((code, reason)) = done {
            out.refuse_to(&reply, code, reason);
        }
    }

    /// Sends an order to the store; what follows from it happens when it is there.
    pub(super) fn decide(
        &mut self,
        at: Moment,
        asker: &Asker,
        order: Order,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        if order.power.is_some_and(|power| !asker.role.may(power)) {
            return Err((ErrorCode::Forbidden, NO_POWER.to_owned()));
        }
        let Order { message, power, target, change, audience } = order;
        let by = asker.by.clone();
        let ordered = Ordered { message, by, power, target, change, audience };
        let event = NewEvent { at_ms: at.wall_ms, fact: Fact::Ordered(Box::new(ordered)) };
        let cause = Cause::Order { reply: asker.reply.clone() };
        out.push(Effect::Persist(Box::new(Draft { event, cause })));
        Ok(())
    }

    /// What the room decides itself, in somebody's name for the log; nobody hears of a refusal.
    pub(super) fn decide_by_itself(&mut self, at: Moment, by: By, order: Order, out: &mut Effects) {
        self.decide(at, &Asker::itself(by), order, out).ok();
    }

    pub(super) fn order_stored(
        &mut self,
        at: Moment,
        reply: Reply,
        event: NewEvent,
        verdict: Verdict,
        out: &mut Effects,
    ) {
        let Fact::Ordered(ordered) = event.fact else { return };
        match verdict {
            Verdict::Stored(Stored::New { seq }) => {
                let message = ordered.message.clone().numbered(seq);
                self.follow(at, *ordered, message, out);
                out.done(&reply);
            }
            Verdict::Stored(Stored::Changed { seq, touched }) => {
                let message = ordered.message.numbered(seq);
                self.line_changed(ordered.by.user_id, *touched, message, out);
                out.done(&reply);
            }
            Verdict::Stored(Stored::Refused(Refused::AlreadySo)) => out.done(&reply),
            Verdict::Stored(Stored::Refused(refused)) => {
                self.forget_wanted();
                let (code, reason) = words_of(refused);
                out.refuse_to(&reply, code, reason);
            }
            Verdict::Stored(Stored::Already(_) | Stored::Line(_)) | Verdict::Failed => {
                self.forget_wanted();
                let reason = "it could not be stored; try again";
                out.refuse_to(&reply, ErrorCode::Unavailable, reason);
            }
        }
    }

    /// Makes true here what is stored, and tells whom it concerns.
    fn follow(&mut self, at: Moment, ordered: Ordered, message: ServerMessage, out: &mut Effects) {
        let audience = ordered.audience;
        self.tell_family(&ordered.by, audience, &message, out);
        match &message {
            ServerMessage::StateChanged { state, by, .. } => {
                let (state, by) = (state.clone(), by.clone());
                return self.state_changed(at, state, by, message, out);
            }
            ServerMessage::HandRaised { participant_id, .. } => {
                let is_here = self.hand_raised(*participant_id);
                if !is_here {
                    return;
                }
            }
            ServerMessage::HandLowered { participant_id, .. } => {
                self.hand_lowered(*participant_id);
            }
            ServerMessage::RoleChanged { user_id, role, stepped_down, .. } => {
                let (user, role, stepped_down) = (*user_id, *role, *stepped_down);
                out.broadcast(message);
                return self.role_changed(at, user, role, stepped_down, out);
            }
            ServerMessage::MediaForced { user_id, source, forced, by, .. } => {
                let (user, source, by) = (*user_id, *source, forced.then(|| by.clone()));
                out.broadcast(message);
                return self.forced(user, source, by, out);
            }
            ServerMessage::MediaVideoForced { user_id, forced, by, .. } => {
                let (user, by) = (*user_id, forced.then(|| by.clone()));
                out.broadcast(message);
                return self.forced(user, protocol::room::Forcible::Camera, by, out);
            }
            ServerMessage::SpeakAllowed { user_id, allowed, until_ms, .. } => {
                let (user, allowed, until_ms) = (*user_id, *allowed, *until_ms);
                out.broadcast(message);
                return self.speaking_allowed(user, allowed, until_ms, out);
            }
            ServerMessage::MemberKicked { user_id, .. } => {
                let user = *user_id;
                out.broadcast(message);
                return self.removed(at, user, out);
            }
            ServerMessage::RecordStarted { recording, seq, .. } => {
                let (recording, seq) = (recording.clone(), *seq);
                out.broadcast(message);
                return self.recording_started(at, recording, seq, out);
            }
            ServerMessage::RecordStopped { recording_id, reason, seq, .. } => {
                let (recording, reason, seq) = (*recording_id, *reason, *seq);
                out.broadcast(message);
                return self.recording_stopped(recording, reason, seq, out);
            }
            ServerMessage::LobbyLeft { knock, outcome, .. } => {
                let (id, outcome) = (knock.id, *outcome);
                self.tell(audience, message, out);
                return self.knock_ended(at, id, outcome, out);
            }
            ServerMessage::BreakoutOpened { .. }
            | ServerMessage::BreakoutAssigned { .. }
            | ServerMessage::BreakoutClosing { .. }
            | ServerMessage::BreakoutClosed { .. } => {
                self.tell(audience, message.clone(), out);
                return self.breakouts_changed(at, &message, out);
            }
            _ => {}
        }
        self.tell(audience, message, out);
    }

    /// What is on its way to the store does not reach it; the room is as it was.
    fn forget_wanted(&mut self) {
        self.wanted = self.state.clone();
        self.family.forget_wanted();
    }

    /// Tells those whom an event is for.
    pub(super) fn tell(&self, audience: Audience, message: ServerMessage, out: &mut Effects) {
        let sockets: Vec<SocketId> = match audience {
            Audience::Everybody => return out.broadcast(message),
            Audience::Moderators => self.sockets_of(|person| person.view.role.is_moderator()),
            Audience::One(user) => {
                let theirs = self.people.of(user).iter().filter_map(|id| self.people.get(id));
                let theirs = theirs.filter(|person| person.leaving.is_none());
                theirs.filter_map(|person| person.socket).collect()
            }
        };
        if !sockets.is_empty() {
            out.push(Effect::Multicast { message: Box::new(message), sockets });
        }
    }

    pub(super) fn sockets_of(
        &self,
        which: impl Fn(&super::membership::Person) -> bool,
    ) -> Vec<SocketId> {
        let here = self.people.values().filter(|person| person.leaving.is_none());
        here.filter(|person| which(person)).filter_map(|person| person.socket).collect()
    }

    /// The name of somebody who is here or waits.
    pub(super) fn name_of(&self, user: UserId) -> Option<String> {
        let here = self.people.of(user).first().and_then(|id| self.people.get(id));
        let waiting = || self.lobby.values().find(|waiting| waiting.knock.user_id == user);
        here.map(|person| person.view.display_name.clone())
            .or_else(|| waiting().map(|waiting| waiting.knock.display_name.clone()))
    }
}

impl Effects {
    /// Says that something did not happen.
    pub(super) fn refuse_to(&mut self, reply: &Reply, code: ErrorCode, reason: impl Into<String>) {
        match reply {
            Reply::Socket { socket, re } => self.refuse(*socket, re.clone(), code, reason),
            Reply::Call(call) => {
                let refusal = super::Refusal { code, reason: reason.into() };
                self.push(Effect::AnswerCall { call: *call, answer: Err(refusal) });
            }
            Reply::Nobody => {}
        }
    }

    /// Says that something was done, to whoever wants to know.
    pub(super) fn done(&mut self, reply: &Reply) {
        match reply {
            Reply::Socket { socket, re: Some(re) } => {
                self.send(*socket, ServerMessage::Done { re: Some(re.clone()) });
            }
            Reply::Socket { re: None, .. } | Reply::Nobody => {}
            Reply::Call(call) => self.push(Effect::AnswerCall { call: *call, answer: Ok(()) }),
        }
    }
}

/// A moderator's words about why.
pub(super) fn check_reason(reason: Option<String>) -> Result<Option<String>, Complaint> {
    let Some(reason) = reason else { return Ok(None) };
    let reason = reason.trim();
    if reason.chars().count() > MAX_REASON_CHARS || reason.chars().any(char::is_control) {
        let words = "reason is at most 200 characters, none of them a control character";
        return Err((ErrorCode::Invalid, words.to_owned()));
    }
    Ok((!reason.is_empty()).then(|| reason.to_owned()))
}

pub(super) fn words_of(refused: Refused) -> (ErrorCode, &'static str) {
    match refused {
        Refused::NoPower => (ErrorCode::Forbidden, NO_POWER),
        Refused::NotBelow => (ErrorCode::Forbidden, "they stand not below you in this room"),
        Refused::NoMember => (ErrorCode::NotFound, "there is no such member"),
        Refused::NothingThere => (ErrorCode::NotFound, "there is nothing of that kind"),
        Refused::TooMany => (ErrorCode::Conflict, "there are as many as there may be"),
        Refused::AlreadySo => (ErrorCode::Conflict, "it is so already"),
        Refused::Outdated => (ErrorCode::Conflict, "something changed in between; try again"),
    }
}

const NO_POWER: &str = "your role in this room does not allow that";
