//! What people write and show: chat, typing, their own mutes.

use super::input::{Cause, Draft, Effect, SocketId, Verdict};
use super::lines::{check_poll, check_text};
use super::orders::Complaint;
use super::{Effects, Moment, Room};
use crate::bucket::Bucket;
use protocol::chat::{ChatMessage, NewPoll};
use protocol::limits::{
    MAX_ALGO_CHARS, MAX_ATTACHMENTS, MAX_CIPHERTEXT_CHARS, MAX_CLIENT_ID_CHARS,
};
use protocol::room::MediaState;
use protocol::{AttachmentId, ErrorCode, MessageId, ParticipantId, ServerMessage, UserId};
use serde_json::Value;
use sfu::Command;
use store::{Fact, NewEvent, NewMessage, Stored};

/// A line of chat as it was asked for.
pub(super) struct Line {
    pub id: MessageId,
    pub text: String,
    pub client_id: Option<String>,
    pub reply_to: Option<MessageId>,
    pub to: Option<UserId>,
    pub sealed: Option<(String, String)>,
    pub poll: Option<NewPoll>,
    pub attachments: Vec<AttachmentId>,
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
        let rate = self.rules.chat;
        let bucket = self.chat_buckets.entry(person.view.user_id);
        if !bucket.or_insert_with(|| Bucket::new(rate, at.now)).take(at.now) {
            let reason = "too many messages; wait a moment";
            return out.refuse(socket, line.re, ErrorCode::RateLimited, reason);
        }
        if let Err((code, reason)) = check(&line) {
            return out.refuse(socket, line.re, code, reason);
        }
        let words = &self.rules.words;
        let message = NewMessage {
            id: line.id,
            user_id: person.view.user_id,
            display_name: person.view.display_name.clone(),
            text: words.clean(line.text),
            client_id: line.client_id,
            reply_to: line.reply_to,
            // A private line to oneself is a note; the log keeps it like any other.
            to: line.to,
            sealed: line.sealed,
            poll: line.poll.map(|poll| NewPoll {
                question: words.clean(poll.question),
                options: poll.options.into_iter().map(|option| words.clean(option)).collect(),
                is_multiple: poll.is_multiple,
            }),
            attachments: line.attachments,
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
        let message = match verdict {
            // A resend: the others have it, only the sender does not know.
            Verdict::Stored(Stored::Already(message)) => {
                return out.send(socket, line_message(*message, re));
            }
            Verdict::Stored(Stored::New { seq }) => new.stored(seq, event.at_ms),
            Verdict::Stored(Stored::Line(message)) => *message,
            Verdict::Stored(Stored::Refused(refused)) => {
                let (code, reason) = super::orders::words_of(refused);
                return out.refuse(socket, re, code, reason);
            }
            Verdict::Failed | Verdict::Stored(Stored::Changed { .. }) => {
                let reason = "the message could not be stored; send it again";
                return out.refuse(socket, re, ErrorCode::Unavailable, reason);
            }
        };
        self.remember(message.clone());
        out.send(socket, line_message(message.clone(), re));
        match message.to {
            None => out.broadcast_except(socket, line_message(message, None)),
            Some(to) => {
                let author = message.user_id;
                let is_theirs = |user: UserId| user == to || user == author;
                let mut sockets = self.sockets_of(|person| is_theirs(person.view.user_id));
                sockets.retain(|other| *other != socket);
                let message = Box::new(line_message(message, None));
                out.push(Effect::Multicast { message, sockets });
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

fn line_message(message: ChatMessage, re: Option<Value>) -> ServerMessage {
    match message.algo {
        None => ServerMessage::ChatMessage { message, re },
        Some(_) => ServerMessage::ChatMessageEnc { message, re },
    }
}

fn check(line: &Line) -> Result<(), Complaint> {
    if let Some((algo, ciphertext)) = &line.sealed {
        check_sealed(algo, ciphertext)?;
    } else if let Some(poll) = &line.poll {
        check_poll(poll)?;
    }
    let needs_text = line.sealed.is_none() && line.poll.is_none() && line.attachments.is_empty();
    if needs_text || !line.text.is_empty() {
        check_text(&line.text)?;
    }
    let once = |n: usize, id| !line.attachments[..n].contains(id);
    if line.attachments.len() > MAX_ATTACHMENTS
        || !line.attachments.iter().enumerate().all(|(n, id)| once(n, id))
    {
        return Err((ErrorCode::Invalid, "at most 10 attachments, each once".to_owned()));
    }
    match &line.client_id {
        Some(id) if id.is_empty() || id.contains('\0') => {
            Err((ErrorCode::Invalid, "client_id is empty or has a NUL character".to_owned()))
        }
        Some(id) if id.chars().count() > MAX_CLIENT_ID_CHARS => {
            Err((ErrorCode::TooLarge, "client_id is longer than 64 characters".to_owned()))
        }
        _ => Ok(()),
    }
}

fn check_sealed(algo: &str, ciphertext: &str) -> Result<(), Complaint> {
    let is_name = !algo.is_empty()
        && algo.len() <= MAX_ALGO_CHARS
        && algo.chars().all(|c| c.is_ascii_graphic());
    if !is_name {
        return Err((ErrorCode::Invalid, "algo has 1 to 64 characters of ASCII".to_owned()));
    }
    if ciphertext.len() > MAX_CIPHERTEXT_CHARS {
        return Err((ErrorCode::TooLarge, "ciphertext_b64 is longer than 32 KiB".to_owned()));
    }
    let is_base64 = |c: u8| c.is_ascii_alphanumeric() || b"+/-_=".contains(&c);
    if ciphertext.is_empty() || !ciphertext.bytes().all(is_base64) {
        return Err((ErrorCode::Invalid, "ciphertext_b64 is not base64".to_owned()));
    }
    Ok(())
}
