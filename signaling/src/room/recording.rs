//! Recording as the room knows it: that it runs, who began it, and when it has to end. What is written, and
//! where, the recorder knows.

use super::input::Effect;
use super::orders::{Asker, Complaint, Order};
use super::{Effects, Moment, Room};
use crate::recorder::{Beginning, RecorderOrder};
use protocol::recording::{RecordEnd, RecordingNow};
use protocol::room::By;
use protocol::{ErrorCode, Power, RecordingId, ServerMessage};
use sfu::Command;
use store::{Audience, Change};

impl Room {
    pub(super) fn start_recording(
        &mut self,
        at: Moment,
        asker: Asker,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        if self.state.recording.is_some() && asker.role.may(Power::Record) {
            out.done(&asker.reply);
            return Ok(());
        }
        if self.people.is_empty() && asker.role.may(Power::Record) {
            let reason = "nobody is in the room, so there is nothing to record";
            return Err((ErrorCode::Conflict, reason.to_owned()));
        }
        let by = Some(asker.by.clone());
        let order = self.beginning(at, RecordingId(asker.fresh), by, Some(Power::Record));
        self.decide(at, &asker, order, out)
    }

    fn beginning(
        &self,
        at: Moment,
        id: RecordingId,
        by: Option<By>,
        power: Option<Power>,
    ) -> Order {
        let consent = self.state.record_consent.clone();
        Order {
            message: ServerMessage::RecordStarted {
                recording: RecordingNow { recording_id: id, since_ms: at.wall_ms, by: by.clone() },
                consent: Some(consent).filter(|words| !words.is_empty()),
                seq: 0,
            },
            power,
            target: None,
            change: Change::StartRecording {
                id,
                title: self.name.clone(),
                by,
                at_most: self.rules.recordings_at_once,
            },
            audience: Audience::Everybody,
        }
    }

    pub(super) fn stop_recording(
        &mut self,
        at: Moment,
        asker: Asker,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let Some(id) = self.state.recording.as_ref().map(|now| now.recording_id) else {
            if !asker.role.may(Power::Record) {
                return Err((ErrorCode::Forbidden, "only moderators may do that".to_owned()));
            }
            out.done(&asker.reply);
            return Ok(());
        };
        let by = Some(asker.by.clone());
        let order = ending(id, RecordEnd::Stopped, by, Some(Power::Record));
        self.decide(at, &asker, order, out)
    }

    /// Begins to record where the room does so by itself; `id` is fresh, and `by` whoever came.
    pub(super) fn record_by_itself(
        &mut self,
        at: Moment,
        id: RecordingId,
        by: By,
        out: &mut Effects,
    ) {
        let is_wanted = self.state.auto_record && !self.is_stopped_by_hand;
        if is_wanted && self.state.recording.is_none() {
            let order = self.beginning(at, id, None, None);
            self.decide_by_itself(at, by, order, out);
        }
    }

    /// The recorder cannot go on, or nothing is left to record.
    pub(super) fn end_recording(
        &mut self,
        at: Moment,
        id: RecordingId,
        reason: RecordEnd,
        out: &mut Effects,
    ) {
        let Some(now) = self.state.recording.clone().filter(|now| now.recording_id == id) else {
            return;
        };
        self.ending = Some(reason);
        // The log wants to know by whom; others are told that it ended by itself.
        let by = now.by.unwrap_or_else(|| self.nobody());
        self.decide_by_itself(at, by, ending(id, reason, None, None), out);
    }

    /// Ends what nobody is there for any more, and what the store did not take the end of.
    pub(super) fn watch_recording(&mut self, at: Moment, out: &mut Effects) {
        let is_deserted = self.people.is_empty() && self.joining.is_empty();
        self.is_stopped_by_hand &= !is_deserted;
        let Some(id) = self.state.recording.as_ref().map(|now| now.recording_id) else { return };
        let reason = self.ending.or(is_deserted.then_some(RecordEnd::Empty));
        if let Some(reason) = reason {
            self.end_recording(at, id, reason, out);
        }
    }

    fn nobody(&self) -> By {
        By { user_id: protocol::UserId(uuid::Uuid::nil()), display_name: self.name.clone() }
    }

    pub(super) fn recording_started(
        &mut self,
        at: Moment,
        now: RecordingNow,
        seq: i64,
        out: &mut Effects,
    ) {
        let beginning = Beginning {
            recording: now.recording_id,
            room: self.id,
            slug: self.slug.clone(),
            name: self.name.clone(),
            at: at.now,
            began_ms: now.since_ms,
            seq,
            people: self.participants(),
            speakers: self.speakers.clone(),
            hands_up: self.state.hands_up.clone(),
        };
        self.state.recording_active = true;
        self.state.recording = Some(now);
        self.ending = None;
        out.record(RecorderOrder::Begin(Box::new(beginning)));
        self.tap(out);
    }

    pub(super) fn recording_stopped(
        &mut self,
        recording: RecordingId,
        reason: RecordEnd,
        seq: i64,
        out: &mut Effects,
    ) {
        if self.state.recording.take_if(|now| now.recording_id == recording).is_none() {
            return;
        }
        self.state.recording_active = false;
        self.ending = None;
        self.is_stopped_by_hand |= reason == RecordEnd::Stopped;
        out.media(Command::Tap { room: self.id, wanted: false });
        out.record(RecorderOrder::End { recording, reason, seq });
    }

    /// The room goes, and what is recorded of it.
    pub(super) fn discard_recording(&mut self, out: &mut Effects) {
        self.state.recording_active = false;
        if let Some(now) = self.state.recording.take() {
            out.record(RecorderOrder::Discard { recording: now.recording_id });
        }
    }

    /// A media plane that has forgotten the room, because nobody had a transport, is told again.
    pub(super) fn tap(&self, out: &mut Effects) {
        if self.state.recording.is_some() {
            out.media(Command::Tap { room: self.id, wanted: true });
        }
    }
}

/// Lets the recorder hear what everybody hears, where `recording` runs before these effects.
pub(super) fn overhear(at: Moment, mut recording: Option<RecordingId>, out: &mut Effects) {
    let is_needed = recording.is_some() || out.0.iter().any(|e| matches!(e, Effect::Record(_)));
    if !is_needed {
        return;
    }
    let effects = std::mem::take(&mut out.0);
    for effect in effects {
        let heard = match &effect {
            Effect::Broadcast { message, .. } if is_noted(message) => Some(message.clone()),
            Effect::Record(order) => {
                recording = match &**order {
                    RecorderOrder::Begin(beginning) => Some(beginning.recording),
                    RecorderOrder::End { .. } | RecorderOrder::Discard { .. } => None,
                    RecorderOrder::Heard { .. } => recording,
                };
                None
            }
            _ => None,
        };
        out.0.push(effect);
        if let (Some(message), Some(recording)) = (heard, recording) {
            out.record(RecorderOrder::Heard { recording, at: at.now, message });
        }
    }
}

/// What a recording keeps of what is told.
fn is_noted(message: &ServerMessage) -> bool {
    matches!(
        message,
        ServerMessage::MemberJoined { .. }
            | ServerMessage::MemberLeft { .. }
            | ServerMessage::MediaUpdated { .. }
            | ServerMessage::MediaForced { .. }
            | ServerMessage::MediaVideoForced { .. }
            | ServerMessage::StateChanged { .. }
            | ServerMessage::TracksChanged { .. }
            | ServerMessage::SpeakersChanged { .. }
            | ServerMessage::HandRaised { .. }
            | ServerMessage::HandLowered { .. }
    )
}

fn ending(id: RecordingId, reason: RecordEnd, by: Option<By>, power: Option<Power>) -> Order {
    Order {
        message: ServerMessage::RecordStopped { recording_id: id, reason, by, seq: 0 },
        power,
        target: None,
        change: Change::StopRecording { id, reason },
        audience: Audience::Everybody,
    }
}
