//! Breakout rooms, as moderators open, fill and close them in the main room, and as both follow.

use super::orders::{Asker, Complaint, Order};
use super::{Effects, Moment, Room};
use crate::names;
use protocol::breakout::{Breakout, Breakouts, NewBreakouts};
use protocol::limits::{
    BREAKOUT_SECONDS, MAX_BREAKOUT_MINUTES, MAX_BREAKOUT_SECONDS, MAX_BREAKOUTS,
    MAX_BROADCAST_CHARS, MAX_PARTICIPANTS, RETURN_WITHIN,
};
use protocol::room::By;
use protocol::server::LeaveReason;
use protocol::{ErrorCode, ParticipantId, Power, RoomId, ServerMessage, UserId};
use std::collections::{BTreeMap, BTreeSet};
use store::{Audience, BreakoutChange, Change};
use uuid::Uuid;

impl Room {
    pub(super) fn open_breakouts(
        &mut self,
        at: Moment,
        asker: Asker,
        new: NewBreakouts,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        may_break_out(&asker)?;
        let invalid = |reason: String| Err((ErrorCode::Invalid, reason));
        let NewBreakouts { rooms, assignments, self_choice, minutes } = new;
        if !(1..=MAX_BREAKOUTS).contains(&rooms.len()) {
            return invalid(format!("rooms are 1 to {MAX_BREAKOUTS}"));
        }
        if minutes.is_some_and(|minutes| !(1..=MAX_BREAKOUT_MINUTES).contains(&minutes)) {
            return invalid(format!("minutes is 1 to {MAX_BREAKOUT_MINUTES}"));
        }
        check_assignments(assignments.len(), assignments.values().copied(), rooms.len())?;
        if self.family.wanted.is_some() {
            return Err((ErrorCode::Conflict, "breakout rooms are open already".to_owned()));
        }
        let mut breakouts = Breakouts {
            rooms: Vec::with_capacity(rooms.len()),
            assignments,
            self_choice,
            opened_ms: at.wall_ms,
            ends_ms: minutes.map(|minutes| at.wall_ms.saturating_add(i64::from(minutes) * 60_000)),
            by: asker.by.clone(),
        };
        for (place, room) in rooms.iter().enumerate() {
            let name = names::room_name(&room.name)?;
            let id = nth_id(asker.fresh, place);
            let slug = format!("b-{}", id.0.simple());
            breakouts.rooms.push(Breakout { id, slug, name, people: Vec::new() });
        }
        self.family.wanted = Some(breakouts.clone());
        let message = ServerMessage::BreakoutOpened {
            breakouts: Box::new(breakouts.clone()),
            by: asker.by.clone(),
            seq: 0,
        };
        let change = Change::BreakOut(Box::new(BreakoutChange::Open(breakouts)));
        self.decide(at, &asker, breakout_order(message, change), out)
    }

    pub(super) fn assign(
        &mut self,
        at: Moment,
        asker: Asker,
        assignments: BTreeMap<UserId, Option<u32>>,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let wanted = self.wanted_breakouts(&asker)?;
        let places = assignments.values().flatten().copied();
        check_assignments(assignments.len(), places, wanted.rooms.len())?;
        let mut after = wanted.clone();
        apply(&mut after.assignments, &assignments);
        check_assignments(after.assignments.len(), std::iter::empty(), after.rooms.len())?;
        *wanted = after.clone();
        let message = ServerMessage::BreakoutAssigned { assignments, by: asker.by.clone(), seq: 0 };
        let change = Change::BreakOut(Box::new(BreakoutChange::Set(after)));
        self.decide(at, &asker, breakout_order(message, change), out)
    }

    pub(super) fn broadcast_to_all(
        &mut self,
        at: Moment,
        asker: Asker,
        text: String,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        self.wanted_breakouts(&asker)?;
        let is_control = |c: char| c.is_control() && c != '\n';
        if text.trim().is_empty()
            || text.chars().count() > MAX_BROADCAST_CHARS
            || text.chars().any(is_control)
        {
            let reason = format!("text is 1-{MAX_BROADCAST_CHARS} characters");
            return Err((ErrorCode::Invalid, reason));
        }
        let text = self.rules.words.clean(text);
        let message = ServerMessage::BreakoutBroadcast { text, by: asker.by.clone(), seq: 0 };
        self.decide(at, &asker, breakout_order(message, Change::Nothing), out)
    }

    pub(super) fn close_breakouts(
        &mut self,
        at: Moment,
        asker: Asker,
        seconds: Option<u16>,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let seconds = seconds.unwrap_or(BREAKOUT_SECONDS);
        if seconds > MAX_BREAKOUT_SECONDS {
            let reason = format!("seconds is 0 to {MAX_BREAKOUT_SECONDS}");
            self.wanted_breakouts(&asker)?;
            return Err((ErrorCode::Invalid, reason));
        }
        let by = asker.by.clone();
        let wanted = self.wanted_breakouts(&asker)?;
        if seconds == 0 {
            self.family.wanted = None;
            let message = ServerMessage::BreakoutClosed { by: Some(by), seq: 0 };
            let change = Change::BreakOut(Box::new(BreakoutChange::Close));
            return self.decide(at, &asker, breakout_order(message, change), out);
        }
        let ends_ms = at.wall_ms.saturating_add(i64::from(seconds) * 1_000);
        let ends_ms = wanted.ends_ms.unwrap_or(i64::MAX).min(ends_ms);
        wanted.ends_ms = Some(ends_ms);
        let change = Change::BreakOut(Box::new(BreakoutChange::Set(wanted.clone())));
        let message = ServerMessage::BreakoutClosing { ends_ms, by, seq: 0 };
        self.decide(at, &asker, breakout_order(message, change), out)
    }

    /// Somebody in a breakout room asks for a moderator; the main room tells them all, wherever they are.
    pub(super) fn ask_for_help(
        &mut self,
        at: Moment,
        asker: Asker,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let room = match (&self.family.now, asker.breakout) {
            (Some(now), Some(from)) => now.place_of(from),
            _ => None,
        };
        let Some(room) = room else {
            return Err((ErrorCode::Conflict, "this is no breakout room".to_owned()));
        };
        let order = Order {
            message: ServerMessage::BreakoutHelp { room, by: asker.by.clone(), seq: 0 },
            power: None,
            target: None,
            change: Change::Nothing,
            audience: Audience::Moderators,
        };
        self.decide(at, &asker, order, out)
    }

    /// Makes true here what is stored about breakout rooms. What it tells has been told.
    pub(super) fn breakouts_changed(
        &mut self,
        at: Moment,
        message: &ServerMessage,
        out: &mut Effects,
    ) {
        match message {
            ServerMessage::BreakoutOpened { breakouts, .. } => {
                self.family.now = Some((**breakouts).clone());
                self.family.empty_since = None;
            }
            ServerMessage::BreakoutAssigned { assignments, .. } => {
                let Some(now) = &mut self.family.now else { return };
                apply(&mut now.assignments, assignments);
                let here = now.place_of(self.id);
                if self.family.is_breakout() {
                    let elsewhere = assignments.iter().filter(|(_, place)| **place != here);
                    let elsewhere: BTreeSet<UserId> = elsewhere.map(|(user, _)| *user).collect();
                    self.send_back(at, |user| elsewhere.contains(&user), out);
                }
            }
            ServerMessage::BreakoutClosing { ends_ms, .. } => {
                if let Some(now) = &mut self.family.now {
                    now.ends_ms = Some(*ends_ms);
                }
            }
            ServerMessage::BreakoutClosed { .. } => {
                let Some(closed) = self.family.now.take() else { return };
                self.family.forget_wanted();
                if self.family.is_breakout() {
                    return self.send_back(at, |_| true, out);
                }
                let until_ms = at.wall_ms.saturating_add(RETURN_WITHIN.as_millis() as i64);
                self.family.returning.values_mut().for_each(|until| *until = until_ms);
                let assigned = closed.assignments.keys().map(|user| (*user, until_ms));
                self.family.returning.extend(assigned);
            }
            _ => {}
        }
    }

    /// A breakout room tells who is there.
    pub(super) fn people_elsewhere(&mut self, room: RoomId, people: Vec<By>, out: &mut Effects) {
        let Some(now) = self.family.now.as_mut() else { return };
        let Some(place) = now.place_of(room) else { return };
        let Some(breakout) = now.rooms.iter_mut().find(|breakout| breakout.id == room) else {
            return;
        };
        breakout.people.clone_from(&people);
        for person in &people {
            self.family.returning.insert(person.user_id, i64::MAX);
        }
        out.broadcast(ServerMessage::BreakoutPeople { room: place, people });
    }

    /// Ends breakout rooms whose time is over, or where nobody has been for long.
    pub(super) fn end_breakouts(&mut self, at: Moment, out: &mut Effects) {
        self.family.returning.retain(|_, until_ms| at.wall_ms < *until_ms);
        if self.family.is_breakout() || self.family.is_ending {
            return;
        }
        let Some(now) = &self.family.now else { return };
        let is_empty = self.people.is_empty()
            && self.joining.is_empty()
            && now.rooms.iter().all(|breakout| breakout.people.is_empty());
        let since = match is_empty {
            true => *self.family.empty_since.get_or_insert(at.now),
            false => at.now,
        };
        self.family.empty_since = is_empty.then_some(since);
        let is_deserted = at.now.saturating_duration_since(since) >= RETURN_WITHIN;
        if !is_deserted && now.ends_ms.is_none_or(|ends_ms| at.wall_ms < ends_ms) {
            return;
        }
        let by = now.by.clone();
        let message = ServerMessage::BreakoutClosed { by: None, seq: 0 };
        let change = Change::BreakOut(Box::new(BreakoutChange::Close));
        let order = Order { power: None, ..breakout_order(message, change) };
        self.family.is_ending = true;
        self.decide_by_itself(at, by, order, out);
    }

    /// Sends people from this breakout room to the main room.
    fn send_back(&mut self, at: Moment, who: impl Fn(UserId) -> bool, out: &mut Effects) {
        let here = self.people.values().filter(|person| who(person.view.user_id));
        for id in here.map(|person| person.view.id).collect::<Vec<ParticipantId>>() {
            self.leave(at, id, LeaveReason::SentBack, out);
        }
        for joining in self.joining.values_mut().filter(|joining| who(joining.view.user_id)) {
            joining.removed = Some(LeaveReason::SentBack);
        }
        let users: BTreeSet<UserId> = self.doors.values().map(|door| door.user()).collect();
        for user in users.into_iter().filter(|user| who(*user)) {
            self.end_doors_of(at, user, out);
        }
    }

    /// What is on its way to be open, for those who may change it.
    fn wanted_breakouts(&mut self, asker: &Asker) -> Result<&mut Breakouts, Complaint> {
        may_break_out(asker)?;
        let none = || (ErrorCode::Conflict, "no breakout rooms are open".to_owned());
        self.family.wanted.as_mut().ok_or_else(none)
    }
}

fn may_break_out(asker: &Asker) -> Result<(), Complaint> {
    match asker.role.may(Power::BreakOut) {
        true => Ok(()),
        false => Err((ErrorCode::Forbidden, "only moderators may do that".to_owned())),
    }
}

fn check_assignments(
    count: usize,
    places: impl Iterator<Item = u32>,
    rooms: usize,
) -> Result<(), Complaint> {
    let rooms = u32::try_from(rooms).unwrap_or(u32::MAX);
    let mut places = places;
    if count > MAX_PARTICIPANTS || places.any(|place| place >= rooms) {
        let reason = "assignments name at most 1000 people and places of rooms";
        return Err((ErrorCode::Invalid, reason.to_owned()));
    }
    Ok(())
}

fn apply(assignments: &mut BTreeMap<UserId, u32>, changes: &BTreeMap<UserId, Option<u32>>) {
    for (user, place) in changes {
        match place {
            Some(place) => drop(assignments.insert(*user, *place)),
            None => drop(assignments.remove(user)),
        }
    }
}

fn breakout_order(message: ServerMessage, change: Change) -> Order {
    Order {
        message,
        power: Some(Power::BreakOut),
        target: None,
        change,
        audience: Audience::Everybody,
    }
}

/// Ids of rooms that are made at once differ in their last two bytes; which those are nobody needs to guess,
/// as an address opens nothing by itself.
fn nth_id(fresh: Uuid, place: usize) -> RoomId {
    let place = u16::try_from(place).expect("there are at most MAX_BREAKOUTS rooms");
    let mut bytes = *fresh.as_bytes();
    for (byte, part) in bytes[14..].iter_mut().zip(place.to_be_bytes()) {
        *byte ^= part;
    }
    RoomId(Uuid::from_bytes(bytes))
}
