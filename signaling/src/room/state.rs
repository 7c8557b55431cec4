//! The room's own state: topic, lock, mute-all, lobby, capacity; and the hands, in order.

use super::orders::{Asker, Complaint, Order};
use super::{Effects, Moment, Room};
use crate::names;
use protocol::client::StateChange;
use protocol::limits::MAX_PARTICIPANTS;
use protocol::room::{By, RoomState};
use protocol::{ErrorCode, ParticipantId, Power, ServerMessage};
use store::{Audience, Change};

impl Room {
    pub(super) fn set_state(
        &mut self,
        at: Moment,
        asker: Asker,
        mut change: StateChange,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        if let Some(topic) = &change.topic {
            change.topic = Some(names::topic(topic)?);
        }
        let most = u32::try_from(MAX_PARTICIPANTS).unwrap_or(u32::MAX);
        if change.capacity.is_some_and(|capacity| !(1..=most).contains(&capacity)) {
            return Err((ErrorCode::Invalid, format!("capacity is 1 to {most}")));
        }
        if let Some(words) = &change.record_consent {
            change.record_consent = Some(names::consent(words)?);
        }
        if !asker.role.may(Power::SetState) {
            return Err((ErrorCode::Forbidden, "only moderators may do that".to_owned()));
        }
        if self.family.is_breakout() && change.has_lobby == Some(true) {
            return Err((ErrorCode::Conflict, "a breakout room has no lobby".to_owned()));
        }
        // Counted on from what is on its way to the store, so that two changes at once are both in the
        // second's message.
        let before = self.wanted.clone();
        let StateChange {
            topic,
            is_locked,
            mute_all,
            has_lobby,
            capacity,
            auto_record,
            record_consent,
        } = change.clone();
        let wanted = &mut self.wanted;
        wanted.topic = topic.unwrap_or_else(|| std::mem::take(&mut wanted.topic));
        wanted.is_locked = is_locked.unwrap_or(wanted.is_locked);
        wanted.mute_all = mute_all.unwrap_or(wanted.mute_all);
        wanted.has_lobby = has_lobby.unwrap_or(wanted.has_lobby);
        wanted.capacity = capacity.unwrap_or(wanted.capacity);
        wanted.auto_record = auto_record.unwrap_or(wanted.auto_record);
        wanted.record_consent =
            record_consent.unwrap_or_else(|| std::mem::take(&mut wanted.record_consent));
        if self.wanted == before {
            out.done(&asker.reply);
            return Ok(());
        }
        let order = Order {
            message: ServerMessage::StateChanged {
                // Whether it records is told by events of its own.
                state: RoomState {
                    recording_active: self.state.recording_active,
                    recording: self.state.recording.clone(),
                    ..self.wanted.clone()
                },
                by: asker.by.clone(),
                seq: 0,
            },
            power: Some(Power::SetState),
            target: None,
            change: Change::SetState(change),
            audience: Audience::Everybody,
        };
        self.decide(at, &asker, order, out)
    }

    pub(super) fn state_changed(
        &mut self,
        at: Moment,
        state: RoomState,
        by: By,
        message: ServerMessage,
        out: &mut Effects,
    ) {
        let hands_up = std::mem::take(&mut self.state.hands_up);
        let recording = self.state.recording.take();
        let state =
            RoomState { hands_up, recording_active: recording.is_some(), recording, ..state };
        let before = std::mem::replace(&mut self.state, state);
        out.broadcast(message);
        if before.mute_all != self.state.mute_all {
            self.refresh_media(None, out);
        }
        if before.has_lobby && !self.state.has_lobby {
            // Nobody needs to wait any more.
            self.admit(at, Asker::itself(by), None, out).ok();
        }
    }

    pub(super) fn raise_hand(
        &mut self,
        at: Moment,
        asker: Asker,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let Some(id) = asker.participant else { return Err(only_here()) };
        if self.wanted.hands_up.contains(&id) {
            out.done(&asker.reply);
            return Ok(());
        }
        self.wanted.hands_up.push(id);
        let message = ServerMessage::HandRaised { participant_id: id, seq: 0 };
        self.decide(at, &asker, hand_order(message, None), out)
    }

    pub(super) fn lower_hand(
        &mut self,
        at: Moment,
        asker: Asker,
        whose: Option<ParticipantId>,
        everybody: bool,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let id = match (everybody, whose.or(asker.participant)) {
            (true, _) => None,
            (false, Some(id)) => Some(id),
            (false, None) => return Err(only_here()),
        };
        let is_own = id.is_some() && id == asker.participant;
        if !is_own && !asker.role.may(Power::LowerHands) {
            return Err((ErrorCode::Forbidden, "only moderators may do that".to_owned()));
        }
        let is_up = match id {
            Some(id) => self.wanted.hands_up.contains(&id),
            None => !self.wanted.hands_up.is_empty(),
        };
        if !is_up {
            out.done(&asker.reply);
            return Ok(());
        }
        match id {
            Some(id) => self.wanted.hands_up.retain(|hand| *hand != id),
            None => self.wanted.hands_up.clear(),
        }
        let by = (!is_own).then(|| asker.by.clone());
        let message = ServerMessage::HandLowered { participant_id: id, by, seq: 0 };
        let power = (!is_own).then_some(Power::LowerHands);
        self.decide(at, &asker, hand_order(message, power), out)
    }

    /// Whether there was a hand to raise: they may have left meanwhile.
    pub(super) fn hand_raised(&mut self, id: ParticipantId) -> bool {
        let is_here = self.people.get(&id).is_some_and(|person| person.leaving.is_none());
        if is_here && !self.state.hands_up.contains(&id) {
            self.state.hands_up.push(id);
        }
        if !is_here {
            self.wanted.hands_up.retain(|hand| *hand != id);
        }
        is_here
    }

    pub(super) fn hand_lowered(&mut self, id: Option<ParticipantId>) {
        match id {
            Some(id) => self.state.hands_up.retain(|hand| *hand != id),
            None => self.state.hands_up.clear(),
        }
    }
}

fn only_here() -> Complaint {
    (ErrorCode::Invalid, "name a participant: over REST you have no hand".to_owned())
}

fn hand_order(message: ServerMessage, power: Option<Power>) -> Order {
    Order { message, power, target: None, change: Change::Nothing, audience: Audience::Everybody }
}
