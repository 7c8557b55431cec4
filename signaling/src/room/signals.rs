//! What passes through a room and is never stored: reactions, and small messages between programs.

use super::input::{Reply, SocketId};
use super::{Effects, Moment, Room};
use protocol::limits::{
    MAX_ALGO_CHARS, MAX_EMOJI_BYTES, MAX_KEY_CHARS, MAX_MESSAGE_BYTES, MAX_MESSAGE_TOPIC_CHARS,
    MAX_SIGNAL_BYTES,
};
use protocol::room::KeyBundle;
use protocol::{ErrorCode, ParticipantId, ServerMessage};
use serde_json::Value;

/// `signal.message`.
pub(super) struct Note {
    pub to: Option<ParticipantId>,
    pub topic: String,
    pub data: Value,
    pub re: Option<Value>,
}

/// `signal`.
pub(super) struct Signal {
    pub to: ParticipantId,
    pub kind: String,
    pub data: Value,
    pub re: Option<Value>,
}

impl Room {
    pub(super) fn react(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        emoji: String,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(&from) else { return };
        if !person.reactions.take(at.now) {
            return out.refuse(socket, re, ErrorCode::RateLimited, TOO_MANY);
        }
        if !is_one_emoji(&emoji) {
            return out.refuse(socket, re, ErrorCode::Invalid, "a reaction is one emoji");
        }
        out.broadcast(ServerMessage::Reaction { participant_id: from, emoji });
    }

    /// Hands a message to whom it is for. One to everybody costs as much as a reaction: a thousand people get it.
    pub(super) fn pass_on(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        note: Note,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(&from) else { return };
        let bucket = if note.to.is_some() { &mut person.messages } else { &mut person.reactions };
        if !bucket.take(at.now) {
            return out.refuse(socket, note.re, ErrorCode::RateLimited, TOO_MANY);
        }
        if let Err((code, reason)) = check(&note) {
            return out.refuse(socket, note.re, code, reason);
        }
        let message = ServerMessage::SignalMessage { from, topic: note.topic, data: note.data };
        let Some(to) = note.to else { return out.broadcast_except(socket, message) };
        let receiver = self.people.get(&to).filter(|person| person.leaving.is_none());
        match receiver.map(|person| person.socket) {
            Some(Some(receiver)) => out.send(receiver, message),
            Some(None) => {
                let reason = "they have no socket now";
                out.refuse(socket, note.re, ErrorCode::Unavailable, reason);
            }
            None => out.refuse(socket, note.re, ErrorCode::NotFound, "they are not in the room"),
        }
    }
}

impl Room {
    /// Makes a bundle of keys known: to those who are here, and in the snapshot to those who come.
    pub(super) fn publish_keys(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        keys: KeyBundle,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(&from) else { return };
        if !person.signals.take(at.now) {
            return out.refuse(socket, re, ErrorCode::RateLimited, TOO_MANY);
        }
        let is_key = |key: &str| !key.is_empty() && key.len() <= MAX_KEY_CHARS;
        let all = [Some(&keys.identity_key), Some(&keys.pre_key), keys.signature.as_ref()];
        if !all.into_iter().flatten().all(|key| is_key(key)) {
            return out.refuse(socket, re, ErrorCode::Invalid, "a key has 1 to 4096 characters");
        }
        person.view.keys = Some(keys.clone());
        out.broadcast(ServerMessage::KeysPublished { participant_id: from, keys });
        out.done(&Reply::Socket { socket, re });
    }

    /// Hands a signal to one other participant; its sender is the server's word.
    pub(super) fn relay(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        signal: Signal,
        out: &mut Effects,
    ) {
        let Some(person) = self.people.get_mut(&from) else { return };
        let Signal { to, kind, data, re } = signal;
        if !person.messages.take(at.now) {
            return out.refuse(socket, re, ErrorCode::RateLimited, TOO_MANY);
        }
        if kind.is_empty() || kind.chars().count() > MAX_ALGO_CHARS {
            return out.refuse(socket, re, ErrorCode::Invalid, "kind has 1 to 64 characters");
        }
        if data.to_string().len() > MAX_SIGNAL_BYTES {
            return out.refuse(socket, re, ErrorCode::TooLarge, "data is larger than 32 KiB");
        }
        let receiver = self.people.get(&to).filter(|person| person.leaving.is_none());
        match receiver.map(|person| person.socket) {
            Some(Some(receiver)) => {
                out.send(receiver, ServerMessage::Signal { from, kind, data });
                out.done(&Reply::Socket { socket, re });
            }
            Some(None) => {
                let reason = "they have no socket now";
                out.refuse(socket, re, ErrorCode::Unavailable, reason);
            }
            None => out.refuse(socket, re, ErrorCode::NotFound, "they are not in the room"),
        }
    }
}

const TOO_MANY: &str = "too many at once; wait a moment";

fn check(note: &Note) -> Result<(), (ErrorCode, &'static str)> {
    let chars = note.topic.chars().count();
    if !(1..=MAX_MESSAGE_TOPIC_CHARS).contains(&chars) || note.topic.chars().any(char::is_control) {
        return Err((ErrorCode::Invalid, "topic has 1 to 32 characters"));
    }
    if note.data.to_string().len() > MAX_MESSAGE_BYTES {
        return Err((ErrorCode::TooLarge, "data is larger than 4 KiB"));
    }
    Ok(())
}

/// Whether a text is one emoji: a picture, or several joined to one (UTS #51), and no words.
pub(super) fn is_one_emoji(text: &str) -> bool {
    if text.is_empty() || text.len() > MAX_EMOJI_BYTES {
        return false;
    }
    let mut chars = text.chars().peekable();
    if chars.peek().copied().is_some_and(is_regional) {
        // A flag is two letters.
        return chars.next().is_some()
            && chars.next().is_some_and(is_regional)
            && chars.next().is_none();
    }
    loop {
        if !chars.next().is_some_and(is_pictograph) {
            return false;
        }
        while chars.next_if(|&c| is_modifier(c)).is_some() {}
        match chars.next() {
            None => return true,
            Some(ZERO_WIDTH_JOINER) => {}
            Some(_) => return false,
        }
    }
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

fn is_regional(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Symbols that have a picture, and the blocks where new ones appear.
fn is_pictograph(c: char) -> bool {
    matches!(
        c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{24c2}'
            | '\u{2190}'..='\u{23ff}' | '\u{25a0}'..='\u{27bf}' | '\u{2900}'..='\u{297f}'
            | '\u{2b00}'..='\u{2bff}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
            | '\u{1f004}'..='\u{1f1e5}' | '\u{1f200}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1faff}'
    )
}

/// Picture style, skin tones, and the letters of regional flags.
fn is_modifier(c: char) -> bool {
    matches!(c, '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_emoji_is_one_whatever_it_is_made_of() {
        for emoji in ["👍", "❤️", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇮", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🫡", "‼️"]
        {
            assert!(is_one_emoji(emoji), "{emoji}");
        }
    }

    #[test]
    fn words_and_rows_of_emoji_are_none() {
        for text in [
            "",
            "a",
            "1",
            "ok",
            "👍👍",
            "👍 ",
            " 👍",
            "🇫",
            "🇫🇮🇫🇮",
            "\u{200d}",
            "👍\u{200d}",
            "\u{fe0f}",
            "<b>",
        ] {
            assert!(!is_one_emoji(text), "{text}");
        }
        let long = format!("👩{}", "\u{200d}👩".repeat(5));
        assert!(!is_one_emoji(&long), "{} bytes", long.len());
    }
}
