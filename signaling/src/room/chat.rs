//! What people write and show: chat, typing, their own mutes.

use super::input::{Cause, Draft, Effect, SocketId, Verdict};
use super::{Effects, Moment, Room};
use crate::bucket::{Bucket, Rate};
use protocol::limits::{CHAT_BURST, CHAT_PER_SECOND, MAX_CHAT_CHARS, MAX_CLIENT_ID_CHARS};
use protocol::room::{ChatMessage, MediaState};
use protocol::{ErrorCode, MessageId, ParticipantId, ServerMessage};
use serde_json::Value;
use sfu::Command;
use store::{Fact, NewEvent, NewMessage, Stored};

/// A line of chat as it was asked for.
pub(super) struct Line {
    pub id: MessageId,
    pub text: String,
    pub client_id: Option<String>,
    pub re: Option<Value>,
}

impl Room {
    pub(super) fn chat(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        line: Line,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get(&from) else { return };
        // By person, not by participant: a second device or a new join brings no second bucket.
        let rate = Rate { burst: CHAT_BURST, per_second: CHAT_PER_SECOND };
        let bucket = self.chat_buckets.entry(person.view.user_id);
        if !bucket.or_insert_with(|| Bucket::new(rate, at.now)).take(at.now) {
            let reason = "too many messages; wait a moment";
            return out.refuse(socket, line.re, ErrorCode::RateLimited, reason);
        }
        if let Err((code, reason)) = check(&line) {
            return out.refuse(socket, line.re, code, reason);
        }
        let message = NewMessage {
            id: line.id,
            user_id: person.view.user_id,
            display_name: person.view.display_name.clone(),
            text: line.text,
            client_id: line.client_id,
        };
        let event = NewEvent { at_ms: at.wall_ms, fact: Fact::Chat(message) };
        let cause = Cause::Chat { socket, re: line.re };
        out.push(Effect::Persist(Box::new(Draft { event, cause })));
    }

    pub(super) fn chat_stored(
        &mut self,
        socket: SocketId,
        re: Option<Value>,
        event: NewEvent,
        verdict: Verdict,
        out: &mut Effects,
    ) {
        let Fact::Chat(new) = event.fact else { return };
        match verdict {
            Verdict::Failed | Verdict::Stored(Stored::Refused(_)) => {
                let reason = "the message could not be stored; send it again";
                out.refuse(socket, re, ErrorCode::Unavailable, reason);
            }
            // A resend: the others have it, only the sender does not know.
            Verdict::Stored(Stored::Already(message)) => {
                out.send(socket, ServerMessage::ChatMessage { message, re });
            }
            Verdict::Stored(Stored::New { seq }) => {
                let message = ChatMessage {
                    id: new.id,
                    seq,
                    user_id: new.user_id,
                    display_name: new.display_name,
                    text: new.text,
                    sent_ms: event.at_ms,
                    client_id: new.client_id,
                };
                self.remember(message.clone());
                out.send(socket, ServerMessage::ChatMessage { message: message.clone(), re });
                out.broadcast_except(socket, ServerMessage::ChatMessage { message, re: None });
            }
        }
    }

    pub(super) fn typing(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        is_typing: bool,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        if self.may_signal(at, from, socket, re, out) {
            let message = ServerMessage::ChatTyping { participant_id: from, is_typing };
            out.broadcast_except(socket, message);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a message's fields, spelled out")]
    pub(super) fn set_own_media(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        mic_muted: bool,
        cam_off: bool,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        if !self.may_signal(at, from, socket, re, out) {
            return;
        }
        let Some(person) = self.people.get_mut(&from) else { return };
        let media = MediaState { mic_muted, cam_off, ..person.view.media };
        let message = ServerMessage::MediaUpdated { participant_id: from, media };
        if media == person.view.media {
            return out.send(socket, message);
        }
        person.view.media = media;
        out.broadcast(message);
        out.media(Command::SetMedia { room: self.id, participant: from, media });
    }

    /// Whether they may show one more thing to everybody; says no itself.
    fn may_signal(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        re: Option<Value>,
        out: &mut Effects,
    ) -> bool {
        let may = self.people.get_mut(&from).is_some_and(|person| person.signals.take(at.now));
        if !may {
            out.refuse(socket, re, ErrorCode::RateLimited, "too many changes; wait a moment");
        }
        may
    }
}

fn check(line: &Line) -> Result<(), (ErrorCode, &'static str)> {
    if line.text.trim().is_empty() {
        return Err((ErrorCode::Invalid, "text is empty"));
    }
    if line.text.chars().count() > MAX_CHAT_CHARS {
        return Err((ErrorCode::TooLarge, "text is longer than 4000 characters"));
    }
    // PostgreSQL has no place for it in TEXT, and nobody types it.
    if line.text.contains('\0') {
        return Err((ErrorCode::Invalid, "text has a NUL character"));
    }
    match &line.client_id {
        Some(id) if id.is_empty() || id.contains('\0') => {
            Err((ErrorCode::Invalid, "client_id is empty or has a NUL character"))
        }
        Some(id) if id.chars().count() > MAX_CLIENT_ID_CHARS => {
            Err((ErrorCode::TooLarge, "client_id is longer than 64 characters"))
        }
        _ => Ok(()),
    }
}
