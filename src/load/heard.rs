//! What the room says to one person: told apart by its type, counted, and read whole only where something follows from it.

use client::histogram::Histogram;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// A message, read as far as everything needs to be.
#[derive(Deserialize)]
pub struct Message<'a> {
    /// Its type.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// The request that it answers; ours have numbers.
    #[serde(default)]
    pub re: Option<u64>,
    /// What a message of several holds.
    #[serde(default, borrow)]
    events: Option<Vec<&'a RawValue>>,
}

impl<'a> Message<'a> {
    /// Reads one; nothing where it is none, or answers somebody else's kind of request.
    pub fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What one socket brought.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Frames.
    pub frames: u64,
    /// Bytes of their texts.
    pub bytes: u64,
    /// Most frames about who is there and what they do, in one second.
    pub roster_most: u64,
    /// The same while the room was crowded: what happens is gathered then.
    pub crowd_most: u64,
    /// Most frames of any kind in one second.
    pub frames_most: u64,
    /// Offers after the first: negotiations that somebody else caused.
    pub renegotiations: u64,
    /// Requests that were refused once we were in.
    pub refused: u64,
    /// Lines of chat under way, from their sender to us.
    pub chat: Histogram,
    second: u64,
    roster_now: u64,
    frames_now: u64,
    was_crowded: bool,
}

impl Heard {
    /// Counts a frame that came while so many were in.
    pub fn note(
        &mut self,
        now: Instant,
        epoch: Instant,
        present: usize,
        text: &str,
        message: &Message<'_>,
    ) {
        self.frames += 1;
        self.bytes += text.len() as u64;
        let second = now.saturating_duration_since(epoch).as_secs();
        if second != self.second {
            (self.second, self.roster_now, self.frames_now) = (second, 0, 0);
            self.was_crowded = present >= CROWD;
        }
        self.frames_now += 1;
        self.frames_most = self.frames_most.max(self.frames_now);
        if message.re.is_none() && ROSTER.contains(&message.kind.as_ref()) {
            self.roster_now += 1;
            self.roster_most = self.roster_most.max(self.roster_now);
            if self.was_crowded {
                self.crowd_most = self.crowd_most.max(self.roster_now);
            }
        }
    }

    /// Takes a line of chat, if it is one of ours.
    pub fn chat(&mut self, now: Instant, epoch: Instant, text: &str) {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            text: Cow<'a, str>,
        }
        let Ok(line) = serde_json::from_str::<Line<'_>>(text) else { return };
        let sent = line.text.strip_prefix(CHAT).and_then(|micros| micros.parse().ok());
        if let Some(sent) = sent.map(Duration::from_micros) {
            self.chat.record(now.saturating_duration_since(epoch).saturating_sub(sent));
        }
    }
}

/// Hands over a message, or each of those that it holds.
pub fn each<'a>(text: &'a str, message: &Message<'a>, mut take: impl FnMut(&'a str, &Message<'a>)) {
    let Some(events) = message.events.as_ref().filter(|_| message.kind == "events.batch") else {
        return take(text, message);
    };
    for event in events {
        if let Some(inner) = Message::read(event.get()) {
            take(event.get(), &inner);
        }
    }
}

/// What a line of chat of a load says, before the time.
pub const CHAT: &str = "load ";

/// From 50 sockets on a room gathers what everybody hears; some of them are not counted here.
const CROWD: usize = 60;

/// Messages that everybody in a room gets because of somebody else.
const ROSTER: &[&str] = &[
    "events.batch",
    "roster.page",
    "member.joined",
    "member.left",
    "member.presence",
    "media.updated",
    "tracks.changed",
    "role.changed",
    "hand.raised",
    "hand.lowered",
    "state.changed",
    "speakers.changed",
    "slots.changed",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn note(heard: &mut Heard, epoch: Instant, at_ms: u64, text: &str) {
        let message = Message::read(text).expect("a message");
        let present = if at_ms < 1_000 { 10 } else { 100 };
        heard.note(epoch + Duration::from_millis(at_ms), epoch, present, text, &message);
    }

    #[test]
    fn frames_are_counted_by_the_second_and_answers_are_not_of_the_roster() {
        let epoch = Instant::now();
        let mut heard = Heard::default();
        for at in [0, 100, 200] {
            note(&mut heard, epoch, at, r#"{"type":"member.left","seq":1}"#);
        }
        note(&mut heard, epoch, 300, r#"{"type":"state.changed","re":3}"#);
        note(&mut heard, epoch, 1_000, r#"{"type":"member.left","seq":2}"#);
        assert_eq!((heard.frames, heard.roster_most, heard.frames_most), (5, 3, 4));
        assert_eq!(heard.crowd_most, 1, "of the second in which many were in");
    }

    #[test]
    fn what_comes_together_is_taken_apart_and_a_line_of_chat_says_when_it_was_sent() {
        let epoch = Instant::now();
        let mut heard = Heard::default();
        let text = r#"{"type":"events.batch","events":[{"type":"slots.changed"},{"type":"chat.message","text":"load 1000000"}]}"#;
        let message = Message::read(text).expect("a message");
        let mut kinds = Vec::new();
        each(text, &message, |text, inner| {
            kinds.push(inner.kind.to_string());
            heard.chat(epoch + Duration::from_millis(1_250), epoch, text);
        });
        assert_eq!(kinds, ["slots.changed", "chat.message"]);
        assert_eq!(heard.chat.longest(), Duration::from_millis(250));
        let single = r#"{"type":"joined"}"#;
        let mut count = 0;
        each(single, &Message::read(single).expect("one"), |_, _| count += 1);
        assert_eq!(count, 1);
    }
}
