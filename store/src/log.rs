//! Reading a room's log: what it needs to know when it opens, and what somebody missed.

use crate::breakouts::breakouts_in;
use crate::error::Error;
use crate::events::{LINE, MODERATORS, RoomLog, SEALED_LINE};
use crate::members::orders_in;
use crate::pool::Store;
use crate::row::{is_set, number, optional_number, optional_text, parsed, text};
use protocol::limits::{ADMITTED_FOR, MAX_PARTICIPANTS};
use protocol::room::{ChatMessage, RoomState};
use protocol::{RoomId, ServerMessage, UserId};
use serde_json::{Value, json};
use sqlx::any::AnyRow;

/// Events that somebody asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum EventPage {
    /// These, in order.
    Events {
        /// Each with its number.
        events: Vec<ServerMessage>,
        /// Everything up to here that is for them has been told.
        upto_seq: i64,
        /// Whether there is more.
        has_more: bool,
    },
    /// The first of them are forgotten: only a snapshot helps.
    Forgotten,
}

impl Store {
    /// What a room needs to know when it opens, with so many of its newest messages.
    pub async fn room_log(
        &self,
        room: RoomId,
        messages: u32,
        now_ms: i64,
    ) -> Result<RoomLog, Error> {
        let row = sqlx::query(
            "SELECT COALESCE(MAX(seq), 0) + 1 AS next_seq FROM events WHERE room_id = $1",
        )
        .bind(room.to_string())
        .fetch_one(&self.reader)
        .await?;
        let abandoned = sqlx::query(
            "SELECT participant_id, user_id FROM presences WHERE room_id = $1 ORDER BY joined_ms, participant_id",
        )
        .bind(room.to_string())
        .fetch_all(&self.reader)
        .await?;
        let state = sqlx::query(
            "SELECT slug, name, topic, is_locked, mute_all, has_lobby, capacity, auto_record, \
             record_consent, parent_id, \
             (SELECT main.breakouts FROM rooms AS main \
             WHERE main.id = COALESCE(rooms.parent_id, rooms.id)) AS breakouts \
             FROM rooms WHERE id = $1",
        )
        .bind(room.to_string())
        .fetch_optional(&self.reader)
        .await?;
        let admitted_after = now_ms.saturating_sub(ADMITTED_FOR.as_millis() as i64);
        let ordered = sqlx::query(
            "SELECT user_id, forced_microphone, forced_camera, forced_screen, may_speak_until_ms, \
             admitted_ms FROM members \
             WHERE room_id = (SELECT COALESCE(parent_id, id) FROM rooms WHERE id = $1) AND (forced_microphone IS NOT NULL \
             OR forced_camera IS NOT NULL OR forced_screen IS NOT NULL \
             OR may_speak_until_ms > $2 OR admitted_ms > $3)",
        )
        .bind(room.to_string())
        .bind(now_ms)
        .bind(admitted_after)
        .fetch_all(&self.reader)
        .await?;
        let recording = self.running_recording(room).await?;
        let (messages, pinned) = self.room_messages(room, messages).await?;
        let mut log = RoomLog {
            next_seq: number(&row, "next_seq")?,
            messages,
            pinned,
            abandoned: abandoned
                .iter()
                .map(|row| Ok((parsed(row, "participant_id")?, parsed(row, "user_id")?)))
                .collect::<Result<_, Error>>()?,
            parent: match &state {
                Some(row) => optional_text(row, "parent_id")?
                    .map(|id| id.parse().map_err(|_| Error::Corrupt("rooms.parent_id")))
                    .transpose()?,
                None => None,
            },
            breakouts: state.as_ref().map(breakouts_in).transpose()?.flatten(),
            state: state.as_ref().map(state_of).transpose()?.unwrap_or_default(),
            ..RoomLog::default()
        };
        if let Some(row) = &state {
            (log.slug, log.name) = (text(row, "slug")?, text(row, "name")?);
        }
        log.state.recording_active = recording.is_some();
        log.state.recording = recording;
        for row in &ordered {
            let user: UserId = parsed(row, "user_id")?;
            let orders = orders_in(row)?;
            if !orders.is_none() {
                log.orders.push((user, orders));
            }
            if let Some(admitted_ms) = optional_number(row, "admitted_ms")? {
                log.admitted.push((user, admitted_ms));
            }
        }
        Ok(log)
    }

    /// What happened in a room after a number and is for this person, oldest first.
    pub async fn events_after(
        &self,
        room: RoomId,
        after_seq: i64,
        limit: u32,
        viewer: UserId,
        is_moderator: bool,
    ) -> Result<EventPage, Error> {
        let row = sqlx::query(
            "SELECT events_floor, (SELECT COALESCE(MAX(seq), 0) FROM events WHERE room_id = $1) \
             AS last_seq FROM rooms WHERE id = $1",
        )
        .bind(room.to_string())
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(EventPage::Forgotten) };
        let last_seq = number(&row, "last_seq")?;
        // A number from the future is that of another room, or of a store that was set back.
        if after_seq < number(&row, "events_floor")? || after_seq > last_seq {
            return Ok(EventPage::Forgotten);
        }
        let rows = sqlx::query(
            "SELECT seq, kind, participant_id, body FROM events \
             WHERE room_id = $1 AND seq > $2 AND seq <= $3 \
             AND (audience IS NULL OR audience = $4 OR user_id = $4 OR audience = $5) \
             ORDER BY seq LIMIT $6",
        )
        .bind(room.to_string())
        .bind(after_seq)
        .bind(last_seq)
        .bind(viewer.to_string())
        .bind(if is_moderator { MODERATORS } else { NOBODY })
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        let shown = &rows[..rows.len().min(limit)];
        let upto_seq = match shown.last() {
            Some(row) if has_more => number(row, "seq")?,
            _ => last_seq,
        };
        let mut lines = match (shown.first(), shown.last()) {
            (Some(first), Some(last)) => {
                let (first, last) = (number(first, "seq")?, number(last, "seq")?);
                self.messages_between(room, first, last).await?
            }
            _ => Vec::new(),
        }
        .into_iter()
        .peekable();
        let mut events = Vec::with_capacity(shown.len());
        for row in shown {
            let seq = number(row, "seq")?;
            // Lines between, that are not for them.
            while lines.next_if(|line| line.seq < seq).is_some() {}
            events.push(event_of(row, lines.next_if(|line| line.seq == seq))?);
        }
        Ok(EventPage::Events { events, upto_seq, has_more })
    }
}

/// In place of an audience that somebody does not belong to.
const NOBODY: &str = "";

fn state_of(row: &AnyRow) -> Result<RoomState, Error> {
    let most = i64::try_from(MAX_PARTICIPANTS).unwrap_or(i64::MAX);
    let capacity = optional_number(row, "capacity")?.unwrap_or(most).clamp(1, most);
    Ok(RoomState {
        topic: text(row, "topic")?,
        is_locked: is_set(row, "is_locked")?,
        mute_all: is_set(row, "mute_all")?,
        has_lobby: is_set(row, "has_lobby")?,
        auto_record: is_set(row, "auto_record")?,
        record_consent: text(row, "record_consent")?,
        capacity: u32::try_from(capacity).map_err(|_| Error::Corrupt("rooms.capacity"))?,
        ..RoomState::default()
    })
}

/// An event as it was told.
fn event_of(row: &AnyRow, line: Option<ChatMessage>) -> Result<ServerMessage, Error> {
    let kind = text(row, "kind")?;
    match (kind.as_str(), line) {
        (LINE, Some(message)) => return Ok(ServerMessage::ChatMessage { message, re: None }),
        (SEALED_LINE, Some(message)) => {
            return Ok(ServerMessage::ChatMessageEnc { message, re: None });
        }
        (LINE | SEALED_LINE, None) => return Err(Error::Corrupt("events without messages")),
        _ => {}
    }
    let body = optional_text(row, "body")?.unwrap_or_else(|| "{}".into());
    let corrupt = |_| Error::Corrupt("events.body");
    let mut value: Value = serde_json::from_str(&body).map_err(corrupt)?;
    let fields = value.as_object_mut().ok_or(Error::Corrupt("events.body"))?;
    fields.insert("type".into(), json!(kind));
    fields.insert("seq".into(), json!(number(row, "seq")?));
    if let Some(participant_id) = optional_text(row, "participant_id")? {
        fields.entry("participant_id").or_insert_with(|| json!(participant_id));
    }
    serde_json::from_value(value).map_err(corrupt)
}
