//! Lines of chat: how they are kept, read and changed.

use crate::error::Error;
use crate::orders::{Audience, Refused, role_of};
use crate::pool::Store;
use crate::row::{number, optional_number, optional_text, parsed, text};
use protocol::chat::{Attachment, ChatMessage, NewPoll, Poll, Reaction, Vote};
use protocol::limits::{MAX_PINNED, MAX_REACTIONS, MAX_REACTIONS_EACH};
use protocol::rest::MessagePage;
use protocol::{AttachmentId, MessageId, Power, RoomId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// A line of chat that has no number yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// A fresh id.
    pub id: MessageId,
    /// Who writes.
    pub user_id: UserId,
    /// Their name now.
    pub display_name: String,
    /// The text.
    pub text: String,
    /// The author's own id of it: the same once more in the room is the same message.
    pub client_id: Option<String>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// The one person whom it is for.
    pub to: Option<UserId>,
    /// How it is sealed, and the seal in base64.
    pub sealed: Option<(String, String)>,
    /// A question.
    pub poll: Option<NewPoll>,
    /// The author's files.
    pub attachments: Vec<AttachmentId>,
}

impl NewMessage {
    /// A plain line to everybody.
    pub fn line(id: MessageId, user_id: UserId, display_name: String, text: String) -> Self {
        Self {
            id,
            user_id,
            display_name,
            text,
            client_id: None,
            reply_to: None,
            to: None,
            sealed: None,
            poll: None,
            attachments: Vec::new(),
        }
    }

    /// As it will be read, but for its files.
    pub fn stored(self, seq: i64, sent_ms: i64) -> ChatMessage {
        let (algo, ciphertext_b64) = self.sealed.unzip();
        ChatMessage {
            id: self.id,
            seq,
            user_id: self.user_id,
            display_name: self.display_name,
            text: self.text,
            sent_ms,
            client_id: self.client_id,
            reply_to: self.reply_to,
            to: self.to,
            algo,
            ciphertext_b64,
            edited_ms: None,
            deleted_ms: None,
            pinned_ms: None,
            reactions: Vec::new(),
            poll: self.poll.map(|poll| Poll {
                question: poll.question,
                options: poll.options,
                is_multiple: poll.is_multiple,
                is_closed: false,
                votes: Vec::new(),
            }),
            attachments: Vec::new(),
        }
    }

    /// Who hears of it.
    pub(crate) fn audience(&self) -> Audience {
        self.to.map_or(Audience::Everybody, Audience::One)
    }
}

/// What somebody does with a line that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageChange {
    /// Another text; for its author.
    Edit(String),
    /// It goes; for its author, and for moderators.
    Delete,
    /// A feeling, or no longer.
    React {
        /// One emoji.
        emoji: String,
        /// Whether.
        on: bool,
    },
    /// It stands above the chat, or no longer.
    Pin(bool),
    /// An answer to its poll.
    Vote(Vec<u8>),
    /// Its poll takes no more votes; for its author, and for moderators.
    ClosePoll,
}

/// A line that was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// As it was before.
    pub message: ChatMessage,
    /// Who hears of the change beside whoever made it.
    pub audience: Audience,
    /// Whether a moderator did it to somebody else's.
    pub is_moderation: bool,
}

impl Store {
    /// A page of chat that this person may read, oldest first: the newest messages, or those just before one
    /// of them. `None` when there is no such message for them in the room.
    pub async fn messages(
        &self,
        room: RoomId,
        viewer: UserId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Option<MessagePage>, Error> {
        let before_seq = match before {
            None => None,
            Some(id) => {
                let row = sqlx::query(
                    "SELECT seq FROM messages WHERE id = $1 AND room_id = $2 \
                     AND (to_user_id IS NULL OR to_user_id = $3 OR user_id = $3)",
                )
                .bind(id.to_string())
                .bind(room.to_string())
                .bind(viewer.to_string())
                .fetch_optional(&self.reader)
                .await?;
                let Some(row) = row else { return Ok(None) };
                Some(number(&row, "seq")?)
            }
        };
        // One more than asked for tells whether there are older ones.
        let rows = sqlx::query(
            "SELECT id, seq, user_id, display_name, text, sent_ms, client_id, reply_to, to_user_id, \
             algo, ciphertext, edited_ms, deleted_ms, pinned_ms, poll, poll_closed_ms FROM messages \
             WHERE room_id = $1 AND seq < $2 \
             AND (to_user_id IS NULL OR to_user_id = $3 OR user_id = $3) \
             ORDER BY seq DESC LIMIT $4",
        )
        .bind(room.to_string())
        .bind(before_seq.unwrap_or(i64::MAX))
        .bind(viewer.to_string())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        let newest = rows.iter().take(limit).rev();
        let mut messages: Vec<_> = newest.map(message_of).collect::<Result<_, _>>()?;
        self.complete(room, &mut messages).await?;
        Ok(Some(MessagePage { messages, has_more }))
    }

    /// The newest messages whoever they are for, and the pinned ones, for the room itself.
    pub(crate) async fn room_messages(
        &self,
        room: RoomId,
        limit: u32,
    ) -> Result<(Vec<ChatMessage>, Vec<ChatMessage>), Error> {
        let rows = sqlx::query(
            "SELECT id, seq, user_id, display_name, text, sent_ms, client_id, reply_to, to_user_id, \
             algo, ciphertext, edited_ms, deleted_ms, pinned_ms, poll, poll_closed_ms FROM messages \
             WHERE room_id = $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(room.to_string())
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        let mut newest: Vec<_> = rows.iter().rev().map(message_of).collect::<Result<_, _>>()?;
        self.complete(room, &mut newest).await?;
        let rows = sqlx::query(
            "SELECT id, seq, user_id, display_name, text, sent_ms, client_id, reply_to, to_user_id, \
             algo, ciphertext, edited_ms, deleted_ms, pinned_ms, poll, poll_closed_ms FROM messages \
             WHERE room_id = $1 AND pinned_ms IS NOT NULL ORDER BY pinned_ms DESC, seq DESC LIMIT $2",
        )
        .bind(room.to_string())
        .bind(i64::try_from(MAX_PINNED).unwrap_or(i64::MAX))
        .fetch_all(&self.reader)
        .await?;
        let mut pinned: Vec<_> = rows.iter().map(message_of).collect::<Result<_, _>>()?;
        for message in &mut pinned {
            self.complete(room, std::slice::from_mut(message)).await?;
        }
        Ok((newest, pinned))
    }

    /// The messages of these numbers, by number.
    pub(crate) async fn messages_between(
        &self,
        room: RoomId,
        first: i64,
        last: i64,
    ) -> Result<Vec<ChatMessage>, Error> {
        let rows = sqlx::query(
            "SELECT id, seq, user_id, display_name, text, sent_ms, client_id, reply_to, to_user_id, \
             algo, ciphertext, edited_ms, deleted_ms, pinned_ms, poll, poll_closed_ms FROM messages \
             WHERE room_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq",
        )
        .bind(room.to_string())
        .bind(first)
        .bind(last)
        .fetch_all(&self.reader)
        .await?;
        let mut messages: Vec<_> = rows.iter().map(message_of).collect::<Result<_, _>>()?;
        self.complete(room, &mut messages).await?;
        Ok(messages)
    }

    async fn complete(&self, room: RoomId, messages: &mut [ChatMessage]) -> Result<(), Error> {
        let mut connection = self.reader.acquire().await?;
        complete(&mut connection, room, messages).await
    }
}

/// Adds reactions, votes and files to messages that stand near each other.
async fn complete(
    connection: &mut AnyConnection,
    room: RoomId,
    messages: &mut [ChatMessage],
) -> Result<(), Error> {
    let first = messages.iter().map(|message| message.seq).min();
    let last = messages.iter().map(|message| message.seq).max();
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let query = "SELECT reactions.message_id, reactions.user_id, emoji FROM reactions \
         JOIN messages ON messages.id = reactions.message_id \
         WHERE room_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY at_ms, reactions.user_id";
    let rows = between(&mut *connection, query, room, (first, last)).await?;
    for row in &rows {
        let id: MessageId = parsed(row, "message_id")?;
        let (user, emoji): (UserId, String) = (parsed(row, "user_id")?, text(row, "emoji")?);
        if let Some(message) = messages.iter_mut().find(|message| message.id == id) {
            feel(message, user, emoji, true);
        }
    }
    let query = "SELECT votes.message_id, votes.user_id, choices FROM votes \
         JOIN messages ON messages.id = votes.message_id \
         WHERE room_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY at_ms, votes.user_id";
    let rows = between(&mut *connection, query, room, (first, last)).await?;
    for row in &rows {
        let id: MessageId = parsed(row, "message_id")?;
        let choices = serde_json::from_str(&text(row, "choices")?)
            .map_err(|_| Error::Corrupt("votes.choices"))?;
        let vote = Vote { user_id: parsed(row, "user_id")?, choices };
        let poll = messages.iter_mut().find(|message| message.id == id);
        if let Some(poll) = poll.and_then(|message| message.poll.as_mut()) {
            poll.votes.push(vote);
        }
    }
    let query = "SELECT attachments.id, message_id, name, mime, bytes, width, height FROM attachments \
         JOIN messages ON messages.id = attachments.message_id \
         WHERE messages.room_id = $1 AND seq >= $2 AND seq <= $3 \
         ORDER BY attachments.created_ms, attachments.id";
    let rows = between(&mut *connection, query, room, (first, last)).await?;
    for row in &rows {
        let id: MessageId = parsed(row, "message_id")?;
        if let Some(message) = messages.iter_mut().find(|message| message.id == id) {
            message.attachments.push(attachment_of(row)?);
        }
    }
    Ok(())
}

/// Rows that belong to a room's messages from one number to another: `$1`, `$2` and `$3` of the query.
async fn between(
    connection: &mut AnyConnection,
    query: &'static str,
    room: RoomId,
    (first, last): (i64, i64),
) -> Result<Vec<AnyRow>, Error> {
    let query = sqlx::query(query).bind(room.to_string()).bind(first).bind(last);
    Ok(query.fetch_all(connection).await?)
}

/// Adds or takes away a feeling.
pub fn feel(message: &mut ChatMessage, user: UserId, emoji: String, on: bool) {
    let place = message.reactions.iter().position(|reaction| reaction.emoji == emoji);
    match (place, on) {
        (Some(place), true) => {
            let users = &mut message.reactions[place].user_ids;
            if !users.contains(&user) {
                users.push(user);
            }
        }
        (None, true) => message.reactions.push(Reaction { emoji, user_ids: vec![user] }),
        (Some(place), false) => {
            message.reactions[place].user_ids.retain(|other| *other != user);
            if message.reactions[place].user_ids.is_empty() {
                message.reactions.remove(place);
            }
        }
        (None, false) => {}
    }
}

pub(crate) async fn already_there(
    connection: &mut AnyConnection,
    room: RoomId,
    new: &NewMessage,
) -> Result<Option<ChatMessage>, Error> {
    let Some(client_id) = &new.client_id else { return Ok(None) };
    let row = sqlx::query(
        "SELECT id, seq, user_id, display_name, text, sent_ms, client_id, reply_to, to_user_id, \
         algo, ciphertext, edited_ms, deleted_ms, pinned_ms, poll, poll_closed_ms FROM messages \
         WHERE room_id = $1 AND user_id = $2 AND client_id = $3",
    )
    .bind(room.to_string())
    .bind(new.user_id.to_string())
    .bind(client_id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut message = message_of(&row)?;
    complete(connection, room, std::slice::from_mut(&mut message)).await?;
    Ok(Some(message))
}

/// Whether what a new line points at is there.
pub(crate) async fn may_write(
    connection: &mut AnyConnection,
    room: RoomId,
    new: &NewMessage,
) -> Result<Result<(), Refused>, Error> {
    if role_of(connection, room, new.user_id).await?.is_none() {
        return Ok(Err(Refused::NoMember));
    }
    if let Some(to) = new.to
        && role_of(connection, room, to).await?.is_none()
    {
        return Ok(Err(Refused::NoMember));
    }
    if let Some(id) = new.reply_to {
        let answered = message_in(connection, room, id).await?;
        if !answered.is_some_and(|message| message.is_for(new.user_id)) {
            return Ok(Err(Refused::NothingThere));
        }
    }
    for id in &new.attachments {
        let row = sqlx::query(
            "SELECT id FROM attachments WHERE id = $1 AND room_id = $2 AND user_id = $3 \
             AND message_id IS NULL",
        )
        .bind(id.to_string())
        .bind(room.to_string())
        .bind(new.user_id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
        if row.is_none() {
            return Ok(Err(Refused::NothingThere));
        }
    }
    Ok(Ok(()))
}

pub(crate) async fn insert(
    connection: &mut AnyConnection,
    room: RoomId,
    seq: i64,
    at_ms: i64,
    message: &NewMessage,
) -> Result<(), Error> {
    let poll = message.poll.as_ref().map(|poll| serde_json::json!(poll).to_string());
    let (algo, ciphertext) = message.sealed.clone().unzip();
    sqlx::query(
        "INSERT INTO messages (id, room_id, seq, user_id, display_name, text, sent_ms, client_id, \
         reply_to, to_user_id, algo, ciphertext, poll) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(message.id.to_string())
    .bind(room.to_string())
    .bind(seq)
    .bind(message.user_id.to_string())
    .bind(&message.display_name)
    .bind(&message.text)
    .bind(at_ms)
    .bind(message.client_id.as_deref())
    .bind(message.reply_to.map(|id| id.to_string()))
    .bind(message.to.map(|id| id.to_string()))
    .bind(algo)
    .bind(ciphertext)
    .bind(poll)
    .execute(&mut *connection)
    .await?;
    for id in &message.attachments {
        sqlx::query("UPDATE attachments SET message_id = $1 WHERE id = $2")
            .bind(message.id.to_string())
            .bind(id.to_string())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The files of a message.
pub(crate) async fn attachments_of(
    connection: &mut AnyConnection,
    id: MessageId,
) -> Result<Vec<Attachment>, Error> {
    let rows = sqlx::query(
        "SELECT id, name, mime, bytes, width, height FROM attachments WHERE message_id = $1 \
         ORDER BY created_ms, id",
    )
    .bind(id.to_string())
    .fetch_all(connection)
    .await?;
    rows.iter().map(attachment_of).collect()
}

async fn message_in(
    connection: &mut AnyConnection,
    room: RoomId,
    id: MessageId,
) -> Result<Option<ChatMessage>, Error> {
    let row = sqlx::query(
        "SELECT id, seq, user_id, display_name, text, sent_ms, client_id, reply_to, to_user_id, \
         algo, ciphertext, edited_ms, deleted_ms, pinned_ms, poll, poll_closed_ms FROM messages \
         WHERE id = $1 AND room_id = $2",
    )
    .bind(id.to_string())
    .bind(room.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut message = message_of(&row)?;
    complete(connection, room, std::slice::from_mut(&mut message)).await?;
    Ok(Some(message))
}

/// Changes a line, if this person may.
pub(crate) async fn change(
    connection: &mut AnyConnection,
    room: RoomId,
    at_ms: i64,
    actor: UserId,
    id: MessageId,
    change: &MessageChange,
) -> Result<Result<Touched, Refused>, Error> {
    let Some(role) = role_of(connection, room, actor).await? else {
        return Ok(Err(Refused::NoMember));
    };
    let message = message_in(connection, room, id).await?;
    let message = message.filter(|m| m.is_for(actor) && m.deleted_ms.is_none());
    let Some(message) = message else { return Ok(Err(Refused::NothingThere)) };
    let is_own = message.user_id == actor;
    let may_tidy = is_own || role.may(Power::DeleteMessages);
    let allowed = match change {
        MessageChange::Edit(_) if !is_own => Err(Refused::NoPower),
        MessageChange::Edit(_) if message.algo.is_some() => Err(Refused::Outdated),
        MessageChange::Delete | MessageChange::ClosePoll if !may_tidy => Err(Refused::NoPower),
        MessageChange::Pin(_) if !role.may(Power::Pin) => Err(Refused::NoPower),
        MessageChange::Pin(_) if message.to.is_some() => Err(Refused::NothingThere),
        MessageChange::React { emoji, on: true } => may_feel(&message, actor, emoji),
        MessageChange::Vote(choices) => may_vote(&message, choices),
        MessageChange::ClosePoll if message.poll.is_none() => Err(Refused::NothingThere),
        _ => Ok(()),
    };
    if let Err(refused) = allowed {
        return Ok(Err(refused));
    }
    if *change == MessageChange::Pin(true) {
        let row = sqlx::query(
            "SELECT COUNT(*) AS pinned FROM messages WHERE room_id = $1 AND pinned_ms IS NOT NULL",
        )
        .bind(room.to_string())
        .fetch_one(&mut *connection)
        .await?;
        if number(&row, "pinned")? >= i64::try_from(MAX_PINNED).unwrap_or(i64::MAX) {
            return Ok(Err(Refused::TooMany));
        }
    }
    apply(connection, room, at_ms, actor, id, change).await?;
    // A private line has two sides: the other one hears of it.
    let audience = match message.to {
        None => Audience::Everybody,
        Some(to) if is_own => Audience::One(to),
        Some(_) => Audience::One(message.user_id),
    };
    let is_moderation = match change {
        MessageChange::Pin(_) => true,
        MessageChange::Delete | MessageChange::ClosePoll => !is_own,
        MessageChange::Edit(_) | MessageChange::React { .. } | MessageChange::Vote(_) => false,
    };
    Ok(Ok(Touched { message, audience, is_moderation }))
}

fn may_feel(message: &ChatMessage, user: UserId, emoji: &str) -> Result<(), Refused> {
    let is_new = !message.reactions.iter().any(|reaction| reaction.emoji == emoji);
    let own = message.reactions.iter().filter(|r| r.emoji != emoji && r.user_ids.contains(&user));
    if (is_new && message.reactions.len() >= MAX_REACTIONS) || own.count() >= MAX_REACTIONS_EACH {
        return Err(Refused::TooMany);
    }
    Ok(())
}

fn may_vote(message: &ChatMessage, choices: &[u8]) -> Result<(), Refused> {
    let Some(poll) = &message.poll else { return Err(Refused::NothingThere) };
    let is_option = |choice: &u8| usize::from(*choice) < poll.options.len();
    let is_once = choices.iter().enumerate().all(|(n, choice)| !choices[..n].contains(choice));
    if poll.is_closed {
        return Err(Refused::Outdated);
    }
    if !choices.iter().all(is_option) || !is_once || (choices.len() > 1 && !poll.is_multiple) {
        return Err(Refused::NothingThere);
    }
    Ok(())
}

async fn apply(
    connection: &mut AnyConnection,
    room: RoomId,
    at_ms: i64,
    actor: UserId,
    id: MessageId,
    change: &MessageChange,
) -> Result<(), Error> {
    let (id, actor) = (id.to_string(), actor.to_string());
    match change {
        MessageChange::Edit(text) => {
            sqlx::query("UPDATE messages SET text = $1, edited_ms = $2 WHERE id = $3")
                .bind(text)
                .bind(at_ms)
                .bind(id)
                .execute(connection)
                .await?;
        }
        MessageChange::Delete => {
            sqlx::query(
                "UPDATE messages SET text = '', ciphertext = NULL, poll = NULL, pinned_ms = NULL, \
                 deleted_ms = $1 WHERE id = $2",
            )
            .bind(at_ms)
            .bind(&id)
            .execute(&mut *connection)
            .await?;
            for statement in [
                "DELETE FROM reactions WHERE message_id = $1",
                "DELETE FROM votes WHERE message_id = $1",
                "DELETE FROM attachments WHERE message_id = $1",
            ] {
                sqlx::query(statement).bind(&id).execute(&mut *connection).await?;
            }
            // The log has the words of edits.
            sqlx::query(
                "DELETE FROM events WHERE room_id = $1 AND message_id = $2 AND kind = 'chat.edited'",
            )
            .bind(room.to_string())
            .bind(&id)
            .execute(connection)
            .await?;
        }
        MessageChange::React { emoji, on: true } => {
            sqlx::query(
                "INSERT INTO reactions (message_id, user_id, emoji, at_ms) \
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(id)
            .bind(actor)
            .bind(emoji)
            .bind(at_ms)
            .execute(connection)
            .await?;
        }
        MessageChange::React { emoji, on: false } => {
            sqlx::query(
                "DELETE FROM reactions WHERE message_id = $1 AND user_id = $2 AND emoji = $3",
            )
            .bind(id)
            .bind(actor)
            .bind(emoji)
            .execute(connection)
            .await?;
        }
        MessageChange::Pin(pinned) => {
            sqlx::query("UPDATE messages SET pinned_ms = $1 WHERE id = $2")
                .bind(pinned.then_some(at_ms))
                .bind(id)
                .execute(connection)
                .await?;
        }
        MessageChange::Vote(choices) => {
            sqlx::query("DELETE FROM votes WHERE message_id = $1 AND user_id = $2")
                .bind(&id)
                .bind(&actor)
                .execute(&mut *connection)
                .await?;
            if !choices.is_empty() {
                sqlx::query(
                    "INSERT INTO votes (message_id, user_id, choices, at_ms) \
                     VALUES ($1, $2, $3, $4)",
                )
                .bind(id)
                .bind(actor)
                .bind(serde_json::json!(choices).to_string())
                .bind(at_ms)
                .execute(connection)
                .await?;
            }
        }
        MessageChange::ClosePoll => {
            sqlx::query("UPDATE messages SET poll_closed_ms = $1 WHERE id = $2")
                .bind(at_ms)
                .bind(id)
                .execute(connection)
                .await?;
        }
    }
    Ok(())
}

fn message_of(row: &AnyRow) -> Result<ChatMessage, Error> {
    let id = |column| -> Result<Option<_>, Error> {
        let Some(text) = optional_text(row, column)? else { return Ok(None) };
        uuid::Uuid::parse_str(&text).map(Some).map_err(|_| Error::Corrupt(column))
    };
    let poll = match optional_text(row, "poll")? {
        None => None,
        Some(poll) => {
            let poll: NewPoll =
                serde_json::from_str(&poll).map_err(|_| Error::Corrupt("messages.poll"))?;
            let NewPoll { question, options, is_multiple } = poll;
            let is_closed = optional_number(row, "poll_closed_ms")?.is_some();
            Some(Poll { question, options, is_multiple, is_closed, votes: Vec::new() })
        }
    };
    Ok(ChatMessage {
        id: parsed(row, "id")?,
        seq: number(row, "seq")?,
        user_id: parsed(row, "user_id")?,
        display_name: text(row, "display_name")?,
        text: text(row, "text")?,
        sent_ms: number(row, "sent_ms")?,
        client_id: optional_text(row, "client_id")?,
        reply_to: id("reply_to")?.map(MessageId),
        to: id("to_user_id")?.map(UserId),
        algo: optional_text(row, "algo")?,
        ciphertext_b64: optional_text(row, "ciphertext")?,
        edited_ms: optional_number(row, "edited_ms")?,
        deleted_ms: optional_number(row, "deleted_ms")?,
        pinned_ms: optional_number(row, "pinned_ms")?,
        reactions: Vec::new(),
        poll,
        attachments: Vec::new(),
    })
}

pub(crate) fn attachment_of(row: &AnyRow) -> Result<Attachment, Error> {
    let size = |column| -> Result<Option<u32>, Error> {
        let number = optional_number(row, column)?;
        number.map(|n| u32::try_from(n).map_err(|_| Error::Corrupt(column))).transpose()
    };
    Ok(Attachment {
        id: parsed(row, "id")?,
        name: text(row, "name")?,
        mime: text(row, "mime")?,
        bytes: u64::try_from(number(row, "bytes")?)
            .map_err(|_| Error::Corrupt("attachments.bytes"))?,
        width: size("width")?,
        height: size("height")?,
    })
}
