//! A main room and its breakout rooms. The main room decides everything about people and about breakout rooms,
//! and stores it; a breakout room passes such orders on to it and follows what it relays, in a log of its own.

use super::input::{Cause, Draft, Effect, Noted, Passed, Reply};
use super::orders::Asker;
use super::{Effects, Moment, Refusal, Room};
use protocol::breakout::Breakouts;
use protocol::room::{By, Forcible, Role};
use protocol::{ClientMessage, Power, RoomId, ServerMessage, UserId};
use std::collections::BTreeMap;
use std::time::Instant;
use store::{Audience, Change, Fact, NewEvent, Ordered};

/// What a room knows of its main room or of its breakout rooms.
#[derive(Default)]
pub(super) struct Family {
    /// The main room, where this is a breakout room.
    pub parent: Option<RoomId>,
    /// The breakout rooms that are open.
    pub now: Option<Breakouts>,
    /// The same, as they will be when everything on its way to the store is stored.
    pub wanted: Option<Breakouts>,
    /// Who was in a breakout room, and until when they pass the doors of the main room.
    pub returning: BTreeMap<UserId, i64>,
    /// Since when nobody is in any of the rooms.
    pub empty_since: Option<Instant>,
    /// Whether the end that time brings is on its way to the store.
    pub is_ending: bool,
}

impl Family {
    pub(super) fn new(parent: Option<RoomId>, breakouts: Option<Breakouts>) -> Self {
        Self { parent, wanted: breakouts.clone(), now: breakouts, ..Self::default() }
    }

    /// What did not reach the store is not wanted any more.
    pub(super) fn forget_wanted(&mut self) {
        self.wanted = self.now.clone();
        self.is_ending = false;
    }

    pub(super) fn is_breakout(&self) -> bool {
        self.parent.is_some()
    }

    /// Whether this is a main room that waits for people to come back.
    pub(super) fn is_waiting(&self) -> bool {
        self.parent.is_none() && self.now.is_some()
    }

    /// Whether somebody comes back from a breakout room: doors do not stop them.
    pub(super) fn may_return(&self, user: UserId, wall_ms: i64) -> bool {
        let is_assigned = self.now.as_ref().is_some_and(|now| now.assignments.contains_key(&user));
        let is_back = self.returning.get(&user).is_some_and(|until_ms| wall_ms < *until_ms);
        self.parent.is_none() && (is_assigned || is_back)
    }
}

impl Room {
    /// Everybody who is seen here, each once: what the main room is told of a breakout room.
    pub fn people(&self) -> Vec<By> {
        let mut people: BTreeMap<UserId, By> = BTreeMap::new();
        for person in self.people.values() {
            let view = &person.view;
            let (user_id, display_name) = (view.user_id, view.display_name.clone());
            people.entry(user_id).or_insert(By { user_id, display_name });
        }
        people.into_values().collect()
    }

    /// The main room, where this is a breakout room.
    pub fn parent(&self) -> Option<RoomId> {
        self.family.parent
    }

    /// Whether this is no breakout room, or one that is open to them.
    pub(super) fn is_open_to(&self, user: UserId, role: Role) -> bool {
        if self.family.parent.is_none() {
            return true;
        }
        let Some(now) = &self.family.now else { return false };
        let Some(place) = now.place_of(self.id) else { return false };
        role.may(Power::BreakOut) || now.is_open_to(user, place)
    }

    /// In a breakout room, hands an order that is the main room's over to it; else gives it back.
    pub(super) fn pass(
        &self,
        asker: Asker,
        message: ClientMessage,
        out: &mut Effects,
    ) -> Option<(Asker, ClientMessage)> {
        let Some(to) = self.family.parent.filter(|_| is_of_main_room(&message)) else {
            return Some((asker, message));
        };
        let Asker { by, role, reply, .. } = asker;
        let passed = Passed { to, from: self.id, by, role, message, reply };
        out.push(Effect::Pass(Box::new(passed)));
        None
    }

    /// The main room has answered an order that was passed on to it.
    pub(super) fn answered(
        &mut self,
        reply: &Reply,
        answer: Result<(), Refusal>,
        out: &mut Effects,
    ) {
        match answer {
            Ok(()) => out.done(reply),
            Err(Refusal { code, reason }) => out.refuse_to(reply, code, reason),
        }
    }

    /// What happened elsewhere becomes an event of this room.
    pub(super) fn note(&mut self, at: Moment, note: Noted, reply: Reply, out: &mut Effects) {
        let Noted { by, power, audience, message } = note;
        let change = Change::Nothing;
        let ordered = Ordered { message, by, power, target: None, change, audience };
        let event = NewEvent { at_ms: at.wall_ms, fact: Fact::Ordered(Box::new(ordered)) };
        let cause = Cause::Order { reply };
        out.push(Effect::Persist(Box::new(Draft { event, cause })));
    }

    /// In a main room, tells the breakout rooms what concerns them too.
    pub(super) fn tell_family(
        &self,
        by: &By,
        audience: Audience,
        message: &ServerMessage,
        out: &mut Effects,
    ) {
        let Some(now) = &self.family.now else { return };
        if self.family.is_breakout() || !is_for_family(message) {
            return;
        }
        let rooms = now.rooms.iter().map(|breakout| breakout.id).collect();
        let (by, message) = (by.clone(), message.clone());
        // It stands in the main room's audit log already.
        let note = Box::new(Noted { by, power: None, audience, message });
        out.push(Effect::Relay { rooms, note });
    }

    /// In a breakout room, passes what is ordered for everybody here on as an order for each.
    pub(super) fn force_each(
        &self,
        asker: &Asker,
        users: Vec<UserId>,
        source: Forcible,
        forced: bool,
        out: &mut Effects,
    ) {
        let last = users.len().saturating_sub(1);
        for (n, user) in users.into_iter().enumerate() {
            let reply = if n == last { asker.reply.clone() } else { Reply::Nobody };
            let message = ClientMessage::MediaForce { user_id: Some(user), source, forced };
            self.pass(Asker { reply, ..asker.clone() }, message, out);
        }
    }
}

/// Orders about people and about breakout rooms: one log has them all, and they hold in all rooms.
fn is_of_main_room(message: &ClientMessage) -> bool {
    matches!(
        message,
        ClientMessage::RoleSet { .. }
            | ClientMessage::MediaForce { user_id: Some(_), .. }
            | ClientMessage::SpeakAllow { .. }
            | ClientMessage::MemberKick { .. }
            | ClientMessage::MemberBan { .. }
            | ClientMessage::MemberUnban { .. }
            | ClientMessage::BreakoutOpen(_)
            | ClientMessage::BreakoutAssign { .. }
            | ClientMessage::BreakoutBroadcast { .. }
            | ClientMessage::BreakoutClose { .. }
            | ClientMessage::BreakoutHelp
    )
}

/// What breakout rooms hear of their main room.
fn is_for_family(message: &ServerMessage) -> bool {
    matches!(
        message,
        ServerMessage::RoleChanged { .. }
            | ServerMessage::MediaForced { .. }
            | ServerMessage::MediaVideoForced { .. }
            | ServerMessage::SpeakAllowed { .. }
            | ServerMessage::MemberKicked { .. }
            | ServerMessage::BreakoutAssigned { .. }
            | ServerMessage::BreakoutBroadcast { .. }
            | ServerMessage::BreakoutClosing { .. }
            | ServerMessage::BreakoutClosed { .. }
            | ServerMessage::BreakoutHelp { .. }
    )
}
