//! What a crowded room tells: gathered, and handed to everybody at most four times a second, so that a join among a
//! thousand costs each of them a part of a frame. What people say and order does not wait for that: it goes on its
//! way with all that was gathered before it, as often as the room can bear. Serialised once; who is told something else than the others gets
//! a frame of their own from the same pieces. Order is kept, and of what replaces itself only the newest stays.

use crate::room::SocketId;
use protocol::limits::{CROWD_EVERY, CROWD_FROM, MAX_BATCH_BYTES, ROSTER_BURST, ROSTER_PER_SECOND};
use protocol::{ParticipantId, ServerMessage};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// What waits to be told to a crowd.
#[derive(Default)]
pub(super) struct Crowd {
    waiting: Vec<Piece>,
    /// The number of the next piece.
    next: u64,
    /// Where the piece stands that a newer one replaces.
    newest: HashMap<Key, usize>,
    /// Bytes of what may be left out.
    passing_bytes: usize,
    /// When it was told the last times, the newest last.
    told: VecDeque<Instant>,
    /// Whether something that waits shall not wait long.
    is_urgent: bool,
}

/// One message for some of them.
struct Piece {
    number: u64,
    /// Nothing once a newer piece has replaced it.
    text: Option<Utf8Bytes>,
    to: To,
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Everybody.
    All,
    /// Everybody but this one.
    AllBut(SocketId),
    /// These.
    Only(Vec<SocketId>),
}

impl To {
    fn has(&self, socket: SocketId) -> bool {
        match self {
            To::All => true,
            To::AllBut(other) => *other != socket,
            To::Only(sockets) => sockets.contains(&socket),
        }
    }
}

/// What a message replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Media(ParticipantId),
    Tracks(ParticipantId),
    Presence(ParticipantId),
    Typing(ParticipantId),
    Keys(ParticipantId),
    Elsewhere(u32),
    Slots(SocketId, String),
    Speakers,
}

impl Crowd {
    /// Whether a message is gathered: there are many to hear it, something waits that must come first, or people come
    /// and go in a small room faster than anybody can follow.
    pub(super) fn gathers(
        &mut self,
        now: Instant,
        sockets: usize,
        message: &ServerMessage,
    ) -> bool {
        if sockets >= CROWD_FROM || self.is_waiting() {
            return true;
        }
        if !is_of_roster(message) {
            return false;
        }
        let is_recent = |at: &&Instant| now.saturating_duration_since(**at) < SECOND;
        if self.told.iter().filter(is_recent).count() >= ROSTER_BURST {
            return true;
        }
        self.note(now);
        false
    }

    /// Remembers that everybody is told now.
    fn note(&mut self, now: Instant) {
        self.told.push_back(now);
        if self.told.len() > ROSTER_PER_SECOND {
            self.told.pop_front();
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When so many may be told again.
    pub(super) fn due_at(&self, now: Instant, sockets: usize) -> Instant {
        let Some(last) = self.told.back() else { return now };
        if self.is_urgent {
            let bearable = FRAME * u32::try_from(sockets).unwrap_or(u32::MAX);
            return *last + CROWD_EVERY.min(bearable);
        }
        let full = self.told.front().filter(|_| self.told.len() == ROSTER_PER_SECOND);
        full.map_or(now, |first| *first + SECOND).max(*last + CROWD_EVERY)
    }

    /// Who is admitted now hears pieces from this number on.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    /// Puts a message behind the others. In a small room only comings and goings can wait.
    pub(super) fn put(&mut self, sockets: usize, message: &ServerMessage, text: Utf8Bytes, to: To) {
        if is_passing(message) {
            if self.passing_bytes + text.len() > MAX_BATCH_BYTES {
                metrics::counter!("veche_crowd_left_out_total").increment(1);
                return;
            }
            self.passing_bytes += text.len();
        }
        if let Some(key) = key_of(message, &to)
            && let Some(older) = self.newest.insert(key, self.waiting.len())
            && let Some(older) = self.waiting.get_mut(older).filter(|older| older.to == to)
        {
            older.text = None;
        }
        self.is_urgent |= match sockets >= CROWD_FROM {
            true => !can_wait(message),
            false => !is_of_roster(message),
        };
        self.put_text(text, to);
    }

    /// Puts a message that replaces nothing behind the others.
    pub(super) fn put_text(&mut self, text: Utf8Bytes, to: To) {
        self.waiting.push(Piece { number: self.next, text: Some(text), to });
        self.next += 1;
    }

    /// Takes everything that waits, to be told now.
    pub(super) fn take(&mut self, now: Instant) -> Told {
        self.note(now);
        self.newest.clear();
        self.passing_bytes = 0;
        self.is_urgent = false;
        let mut pieces = std::mem::take(&mut self.waiting);
        pieces.retain(|piece| piece.text.is_some());
        let mut apart = HashSet::new();
        for piece in &pieces {
            match &piece.to {
                To::All => {}
                To::AllBut(socket) => drop(apart.insert(*socket)),
                To::Only(sockets) => apart.extend(sockets.iter().copied()),
            }
        }
        // Whoever is named nowhere gets what is not for single ones.
        let common = |piece: &&Piece| !matches!(piece.to, To::Only(_));
        let shared = frames(pieces.iter().filter(common));
        Told { pieces, shared, apart }
    }

    /// What still waits for one of them, who goes now.
    pub(super) fn rest_for(&self, socket: SocketId, since: u64) -> Vec<Utf8Bytes> {
        frames(self.waiting.iter().filter(|piece| piece.is_for(socket, since)))
    }
}

impl Piece {
    fn is_for(&self, socket: SocketId, since: u64) -> bool {
        self.number >= since && self.to.has(socket)
    }
}

/// What a crowd is told at once.
pub(super) struct Told {
    pieces: Vec<Piece>,
    shared: Vec<Utf8Bytes>,
    apart: HashSet<SocketId>,
}

impl Told {
    /// The frames for somebody who hears pieces from this number on.
    pub(super) fn frames_for(&self, socket: SocketId, since: u64) -> Vec<Utf8Bytes> {
        let hears_all = self.pieces.first().is_none_or(|first| since <= first.number);
        if hears_all && !self.apart.contains(&socket) {
            return self.shared.clone();
        }
        frames(self.pieces.iter().filter(|piece| piece.is_for(socket, since)))
    }
}

/// Puts messages into as few frames as their bound allows; one alone stays as it is.
fn frames<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Vec<Utf8Bytes> {
    let mut frames = Vec::new();
    let mut group: Vec<&Utf8Bytes> = Vec::new();
    let mut bytes = 0;
    for text in pieces.filter_map(|piece| piece.text.as_ref()) {
        if bytes + text.len() > MAX_BATCH_BYTES && !group.is_empty() {
            frames.push(frame(&group, bytes));
            group.clear();
            bytes = 0;
        }
        bytes += text.len() + 1;
        group.push(text);
    }
    if !group.is_empty() {
        frames.push(frame(&group, bytes));
    }
    frames
}

fn frame(group: &[&Utf8Bytes], bytes: usize) -> Utf8Bytes {
    if let [one] = group {
        return (*one).clone();
    }
    let mut frame = String::with_capacity(OPENING.len() + bytes + CLOSING.len());
    frame.push_str(OPENING);
    for (n, text) in group.iter().enumerate() {
        if n > 0 {
            frame.push(',');
        }
        frame.push_str(text.as_str());
    }
    frame.push_str(CLOSING);
    frame.into()
}

/// What is for the moment, and may be left out where there is too much of it for anybody to see.
fn is_passing(message: &ServerMessage) -> bool {
    matches!(message, ServerMessage::Reaction { .. } | ServerMessage::SignalMessage { .. })
}

/// What comes in masses when people come and go.
fn is_of_roster(message: &ServerMessage) -> bool {
    matches!(
        message,
        ServerMessage::MemberJoined { .. }
            | ServerMessage::MemberLeft { .. }
            | ServerMessage::MemberPresence { .. }
            | ServerMessage::MediaUpdated { .. }
            | ServerMessage::TracksChanged { .. }
    )
}

/// What shows in a list or for a moment. The rest was said or decided by somebody.
fn can_wait(message: &ServerMessage) -> bool {
    is_of_roster(message)
        || is_feeling(message)
        || matches!(
            message,
            ServerMessage::SpeakersChanged { .. }
                | ServerMessage::SlotsChanged { .. }
                | ServerMessage::HandRaised { .. }
                | ServerMessage::HandLowered { .. }
                | ServerMessage::ChatTyping { .. }
                | ServerMessage::ChatReacted { .. }
                | ServerMessage::PollVoted { .. }
                | ServerMessage::KeysPublished { .. }
                | ServerMessage::BreakoutPeople { .. }
        )
}

fn is_feeling(message: &ServerMessage) -> bool {
    matches!(message, ServerMessage::Reaction { .. })
}

fn key_of(message: &ServerMessage, to: &To) -> Option<Key> {
    match (message, to) {
        (ServerMessage::MediaUpdated { participant_id, .. }, _) => {
            Some(Key::Media(*participant_id))
        }
        (ServerMessage::TracksChanged { participant_id, .. }, _) => {
            Some(Key::Tracks(*participant_id))
        }
        (ServerMessage::MemberPresence { participant_id, .. }, _) => {
            Some(Key::Presence(*participant_id))
        }
        (ServerMessage::ChatTyping { participant_id, .. }, _) => Some(Key::Typing(*participant_id)),
        (ServerMessage::KeysPublished { participant_id, .. }, _) => {
            Some(Key::Keys(*participant_id))
        }
        (ServerMessage::BreakoutPeople { room, .. }, _) => Some(Key::Elsewhere(*room)),
        (ServerMessage::SpeakersChanged { .. }, _) => Some(Key::Speakers),
        (ServerMessage::SlotsChanged { pc, .. }, To::Only(sockets)) => {
            let socket = sockets.first()?;
            Some(Key::Slots(*socket, pc.clone()))
        }
        _ => None,
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// The time of a room's task and of its sockets' tasks that a frame takes, with as much again to spare. Shorter lets a
/// lively chat of a thousand take a core; longer delays what is said.
const FRAME: Duration = Duration::from_micros(20);
/// A frame of several, as `serde` writes it.
const OPENING: &str = r#"{"type":"events.batch","events":["#;
const CLOSING: &str = "]}";

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ANNA: SocketId = SocketId(1);
    const BORIS: SocketId = SocketId(2);

    fn person(n: u128) -> ParticipantId {
        ParticipantId(Uuid::from_u128(n))
    }

    fn raised(n: u128) -> ServerMessage {
        ServerMessage::HandRaised { participant_id: person(n), seq: i64::try_from(n).unwrap() }
    }

    fn typing(n: u128, is_typing: bool) -> ServerMessage {
        ServerMessage::ChatTyping { participant_id: person(n), is_typing }
    }

    fn put(crowd: &mut Crowd, message: &ServerMessage, to: To) {
        crowd.put(CROWD_FROM, message, serde_json::to_string(message).unwrap().into(), to);
    }

    /// What the frames say, each message by itself.
    fn read(frames: &[Utf8Bytes]) -> Vec<ServerMessage> {
        let mut all = Vec::new();
        for frame in frames {
            assert!(frame.len() <= MAX_BATCH_BYTES + 64, "{}", frame.len());
            match serde_json::from_str(frame.as_str()).unwrap() {
                ServerMessage::EventsBatch { events } => all.extend(events),
                one => all.push(one),
            }
        }
        all
    }

    #[test]
    fn everybody_gets_what_is_for_them_in_order_and_most_the_same_bytes() {
        let mut crowd = Crowd::default();
        put(&mut crowd, &raised(1), To::All);
        put(&mut crowd, &raised(2), To::AllBut(ANNA));
        put(&mut crowd, &raised(3), To::Only(vec![BORIS]));
        put(&mut crowd, &raised(4), To::All);
        let told = crowd.take(Instant::now());
        let clara = told.frames_for(SocketId(3), 0);
        let dora = told.frames_for(SocketId(4), 0);
        assert_eq!(read(&clara), [raised(1), raised(2), raised(4)]);
        assert_eq!(clara[0].as_str().as_ptr(), dora[0].as_str().as_ptr(), "serialised once");
        assert_eq!(read(&told.frames_for(ANNA, 0)), [raised(1), raised(4)]);
        let boris = [raised(1), raised(2), raised(3), raised(4)];
        assert_eq!(read(&told.frames_for(BORIS, 0)), boris);
        assert!(!crowd.is_waiting());
    }

    #[test]
    fn who_is_admitted_later_hears_nothing_of_before() {
        let mut crowd = Crowd::default();
        put(&mut crowd, &raised(1), To::All);
        let since = crowd.next_number();
        put(&mut crowd, &raised(2), To::All);
        assert_eq!(read(&crowd.rest_for(ANNA, since)), [raised(2)]);
        let told = crowd.take(Instant::now());
        let frames = told.frames_for(ANNA, since);
        assert_eq!(read(&frames), [raised(2)]);
        assert!(frames[0].as_str().contains("hand.raised"), "one alone comes as it is");
        put(&mut crowd, &raised(3), To::All);
        let told = crowd.take(Instant::now());
        assert_eq!(read(&told.frames_for(ANNA, since)), [raised(3)]);
    }

    #[test]
    fn of_what_replaces_itself_the_newest_stays_where_it_came_last() {
        let mut crowd = Crowd::default();
        put(&mut crowd, &typing(1, true), To::AllBut(ANNA));
        put(&mut crowd, &raised(2), To::All);
        put(&mut crowd, &typing(1, false), To::AllBut(ANNA));
        put(&mut crowd, &typing(2, true), To::AllBut(BORIS));
        let told = crowd.take(Instant::now());
        let heard = read(&told.frames_for(SocketId(3), 0));
        assert_eq!(heard, [raised(2), typing(1, false), typing(2, true)]);
        assert_eq!(read(&told.frames_for(ANNA, 0)), [raised(2), typing(2, true)]);
    }

    #[test]
    fn slots_of_one_do_not_replace_those_of_another() {
        let slots = |pc: &str| ServerMessage::SlotsChanged { pc: pc.into(), slots: Vec::new() };
        let mut crowd = Crowd::default();
        put(&mut crowd, &slots("a"), To::Only(vec![ANNA]));
        put(&mut crowd, &slots("a"), To::Only(vec![BORIS]));
        put(&mut crowd, &slots("a"), To::Only(vec![ANNA]));
        let told = crowd.take(Instant::now());
        assert_eq!(read(&told.frames_for(ANNA, 0)), [slots("a")]);
        assert_eq!(read(&told.frames_for(BORIS, 0)), [slots("a")]);
        assert!(told.frames_for(SocketId(3), 0).is_empty(), "nothing is for the others");
    }

    #[test]
    fn frames_are_bounded_and_lose_nothing() {
        let mut crowd = Crowd::default();
        for n in 1..=2_000 {
            put(&mut crowd, &raised(n), To::All);
        }
        let told = crowd.take(Instant::now());
        let frames = told.frames_for(ANNA, 0);
        assert!(frames.len() > 1);
        let all: Vec<ServerMessage> = (1..=2_000).map(raised).collect();
        assert_eq!(read(&frames), all);
    }

    #[test]
    fn feelings_beyond_a_frame_are_left_out_and_events_are_not() {
        let mut crowd = Crowd::default();
        let love =
            |n| ServerMessage::Reaction { participant_id: person(n), emoji: "❤".to_owned() };
        for n in 0..5_000 {
            put(&mut crowd, &love(n), To::All);
        }
        put(&mut crowd, &raised(1), To::All);
        let told = crowd.take(Instant::now());
        let heard = read(&told.frames_for(ANNA, 0));
        assert!(heard.len() < 1_500, "{}", heard.len());
        assert_eq!(heard.last(), Some(&raised(1)));
        put(&mut crowd, &love(1), To::All);
        assert!(crowd.is_waiting(), "the next batch has room again");
    }

    #[test]
    fn the_first_is_told_at_once_and_the_next_when_its_time_has_come() {
        let mut crowd = Crowd::default();
        let now = Instant::now();
        assert!(!crowd.gathers(now, CROWD_FROM - 1, &raised(1)));
        assert!(crowd.gathers(now, CROWD_FROM, &raised(1)));
        put(&mut crowd, &raised(1), To::All);
        assert!(crowd.gathers(now, 1, &raised(2)), "what comes later stays behind");
        assert_eq!(crowd.due_at(now, 100), now);
        crowd.take(now);
        put(&mut crowd, &raised(2), To::All);
        assert_eq!(crowd.due_at(now + Duration::from_millis(10), 100), now + CROWD_EVERY);
    }

    #[test]
    fn what_is_decided_takes_along_what_waits_as_often_as_the_room_can_bear() {
        let mut crowd = Crowd::default();
        let now = Instant::now();
        crowd.take(now);
        put(&mut crowd, &raised(1), To::All);
        let decided = ServerMessage::RoleChanged {
            user_id: protocol::UserId(Uuid::nil()),
            role: protocol::room::Role::Admin,
            stepped_down: None,
            by: protocol::room::By {
                user_id: protocol::UserId(Uuid::nil()),
                display_name: "Anna".to_owned(),
            },
            seq: 2,
        };
        put(&mut crowd, &decided, To::All);
        assert_eq!(crowd.due_at(now, 100), now + 100 * FRAME);
        assert_eq!(crowd.due_at(now, 1_000_000), now + CROWD_EVERY);
        assert_eq!(read(&crowd.take(now).frames_for(ANNA, 0)), [raised(1), decided]);
        put(&mut crowd, &raised(3), To::All);
        assert_eq!(crowd.due_at(now, 100), now + CROWD_EVERY);
    }

    #[test]
    fn people_may_come_fast_into_a_small_room_and_nobody_is_told_more_than_four_times_a_second() {
        let mut crowd = Crowd::default();
        let start = Instant::now();
        let went = |n| ServerMessage::MemberLeft {
            participant_id: person(n),
            reason: protocol::server::LeaveReason::Left,
            seq: 1,
        };
        let mut frames = Vec::new();
        for ms in 0..3_000 {
            let now = start + Duration::from_millis(ms);
            if ms % 20 == 0 {
                let message = went(u128::from(ms));
                match crowd.gathers(now, 5, &message) {
                    true => crowd.put(5, &message, "{}".into(), To::All),
                    false => frames.push(ms),
                }
            }
            if crowd.is_waiting() && crowd.due_at(now, 5) <= now {
                crowd.take(now);
                frames.push(ms);
            }
        }
        assert_eq!(frames[..2], [0, 20], "the first ones come at once");
        for pair in frames.windows(2) {
            assert!(pair[1] - pair[0] <= 1_000, "{frames:?}");
        }
        for window in frames.windows(5) {
            assert!(window[4] - window[0] >= 1_000, "{frames:?}");
        }
    }

    #[test]
    fn what_is_said_in_a_small_room_takes_along_who_came() {
        let mut crowd = Crowd::default();
        let now = Instant::now();
        assert!(!crowd.gathers(now, 5, &raised(1)), "nothing is gathered there");
        crowd.take(now);
        let joined = ServerMessage::MemberPresence {
            participant_id: person(1),
            presence: protocol::room::Presence::Online,
        };
        crowd.put(5, &joined, "{}".into(), To::All);
        assert_eq!(crowd.due_at(now, 5), now + CROWD_EVERY);
        crowd.put(5, &typing(1, true), "{}".into(), To::All);
        assert_eq!(crowd.due_at(now, 5), now + 5 * FRAME);
    }
}
