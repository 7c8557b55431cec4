//! What is done with lines of chat that are there: edits, deletions, feelings, pins, polls. Who may depends on
//! the line, so the store's transaction decides; here the newest lines and the pinned ones follow.

use super::orders::{Asker, Complaint, Order};
use super::{Effects, Moment, Room};
use protocol::chat::{ChatMessage, NewPoll, Vote};
use protocol::limits::{MAX_CHAT_CHARS, MAX_OPTION_CHARS, MAX_OPTIONS, MAX_QUESTION_CHARS};
use protocol::{ErrorCode, MessageId, ServerMessage};
use store::chat::feel;
use store::{Audience, Change, MessageChange, Touched};

impl Room {
    pub(super) fn change_line(
        &mut self,
        at: Moment,
        asker: Asker,
        id: MessageId,
        what: MessageChange,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let what = match what {
            MessageChange::Edit(text) => {
                check_text(&text)?;
                MessageChange::Edit(self.rules.words.clean(text))
            }
            MessageChange::React { emoji, on } => {
                if !super::signals::is_one_emoji(&emoji) {
                    return Err((ErrorCode::Invalid, "a reaction is one emoji".to_owned()));
                }
                MessageChange::React { emoji, on }
            }
            MessageChange::Vote(choices) if choices.len() > MAX_OPTIONS => {
                return Err((ErrorCode::Invalid, "there are not so many choices".to_owned()));
            }
            other => other,
        };
        let (user_id, by, seq) = (asker.by.user_id, asker.by.clone(), 0);
        let at_ms = at.wall_ms;
        let message_id = id;
        let message = match what.clone() {
            MessageChange::Edit(text) => {
                ServerMessage::ChatEdited { message_id, text, edited_ms: at_ms, seq }
            }
            MessageChange::Delete => {
                ServerMessage::ChatDeleted { message_id, deleted_ms: at_ms, by, seq }
            }
            MessageChange::React { emoji, on } => {
                ServerMessage::ChatReacted { message_id, user_id, emoji, on, seq }
            }
            MessageChange::Pin(pinned) => {
                ServerMessage::ChatPinned { message_id, message: None, pinned, at_ms, by, seq }
            }
            MessageChange::Vote(choices) => {
                ServerMessage::PollVoted { message_id, user_id, choices, seq }
            }
            MessageChange::ClosePoll => ServerMessage::PollClosed { message_id, by, seq },
        };
        let change = Change::Message { id, what };
        let audience = Audience::Everybody;
        let order = Order { message, power: None, target: None, change, audience };
        self.decide(at, &asker, order, out)
    }

    /// A line was changed: those who may read it hear of it.
    pub(super) fn line_changed(
        &mut self,
        by: protocol::UserId,
        touched: Touched,
        mut message: ServerMessage,
        out: &mut Effects,
    ) {
        let id = touched.message.id;
        match &mut message {
            ServerMessage::ChatEdited { text, edited_ms, .. } => self.amend(id, |line| {
                line.text.clone_from(text);
                line.edited_ms = Some(*edited_ms);
            }),
            ServerMessage::ChatDeleted { deleted_ms, .. } => {
                self.pinned.retain(|line| line.id != id);
                self.amend(id, |line| empty(line, *deleted_ms));
            }
            ServerMessage::ChatReacted { user_id, emoji, on, .. } => {
                self.amend(id, |line| feel(line, *user_id, emoji.clone(), *on));
            }
            ServerMessage::ChatPinned { message: shown, pinned, at_ms, .. } => {
                self.amend(id, |line| line.pinned_ms = pinned.then_some(*at_ms));
                self.pinned.retain(|line| line.id != id);
                if *pinned {
                    let mut line = touched.message.clone();
                    line.pinned_ms = Some(*at_ms);
                    *shown = Some(Box::new(line.clone()));
                    self.pinned.insert(0, line);
                }
            }
            ServerMessage::PollVoted { user_id, choices, .. } => self.amend(id, |line| {
                let Some(poll) = &mut line.poll else { return };
                poll.votes.retain(|vote| vote.user_id != *user_id);
                if !choices.is_empty() {
                    poll.votes.push(Vote { user_id: *user_id, choices: choices.clone() });
                }
            }),
            ServerMessage::PollClosed { .. } => self.amend(id, |line| {
                if let Some(poll) = &mut line.poll {
                    poll.is_closed = true;
                }
            }),
            _ => {}
        }
        self.tell_both(by, touched.audience, message, out);
    }

    /// Tells whom an event is for, and who made it.
    pub(super) fn tell_both(
        &self,
        by: protocol::UserId,
        audience: Audience,
        message: ServerMessage,
        out: &mut Effects,
    ) {
        let Audience::One(other) = audience else { return self.tell(audience, message, out) };
        let sockets =
            self.sockets_of(|person| person.view.user_id == other || person.view.user_id == by);
        if !sockets.is_empty() {
            out.push(super::Effect::Multicast { message: Box::new(message), sockets });
        }
    }

    fn amend(&mut self, id: MessageId, change: impl Fn(&mut ChatMessage)) {
        let lines = self.history.iter_mut().chain(self.pinned.iter_mut());
        lines.filter(|line| line.id == id).for_each(change);
    }
}

fn empty(line: &mut ChatMessage, deleted_ms: i64) {
    line.text.clear();
    line.ciphertext_b64 = None;
    line.poll = None;
    line.pinned_ms = None;
    line.reactions.clear();
    line.attachments.clear();
    line.deleted_ms = Some(deleted_ms);
}

/// A text that people write.
pub(super) fn check_text(text: &str) -> Result<(), Complaint> {
    if text.trim().is_empty() {
        return Err((ErrorCode::Invalid, "text is empty".to_owned()));
    }
    if text.chars().count() > MAX_CHAT_CHARS {
        return Err((ErrorCode::TooLarge, "text is longer than 4000 characters".to_owned()));
    }
    // PostgreSQL has no place for it in TEXT, and nobody types it.
    if text.contains('\0') {
        return Err((ErrorCode::Invalid, "text has a NUL character".to_owned()));
    }
    Ok(())
}

pub(super) fn check_poll(poll: &NewPoll) -> Result<(), Complaint> {
    let is_text = |text: &str, most: usize| {
        !text.trim().is_empty() && text.chars().count() <= most && !text.contains('\0')
    };
    if !is_text(&poll.question, MAX_QUESTION_CHARS) {
        return Err((ErrorCode::Invalid, "question has 1 to 500 characters".to_owned()));
    }
    if !(2..=MAX_OPTIONS).contains(&poll.options.len()) {
        return Err((ErrorCode::Invalid, "a poll has 2 to 10 options".to_owned()));
    }
    if !poll.options.iter().all(|option| is_text(option, MAX_OPTION_CHARS)) {
        return Err((ErrorCode::Invalid, "an option has 1 to 200 characters".to_owned()));
    }
    Ok(())
}
