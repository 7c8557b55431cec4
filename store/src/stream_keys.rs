//! Stream keys: what encoders and players show instead of a token, for one room and one purpose.

use crate::error::Error;
use crate::pool::Store;
use crate::row::{folded, number, optional_number, parsed, text};
use crate::writer::Work;
use protocol::limits::MAX_STREAM_KEYS;
use protocol::rest::{AccountRole, StreamKeyPurpose};
use protocol::room::Role;
use protocol::{RoomId, StreamKeyId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// A stored stream key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamKey {
    /// Id.
    pub id: StreamKeyId,
    /// Which room it opens.
    pub room_id: RoomId,
    /// The identity of what comes by it.
    pub user_id: UserId,
    /// For what.
    pub purpose: StreamKeyPurpose,
    /// Name of it, and of the participant.
    pub name: String,
    /// Until when.
    pub expires_ms: Option<i64>,
    /// When it last opened a session.
    pub used_ms: Option<i64>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_ms: i64,
}

impl StreamKey {
    /// Whether it still opens its room.
    pub fn is_good(&self, now_ms: i64) -> bool {
        self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

impl Store {
    /// Keeps a key, found by its keyed digest, and makes its identity a member of the room; `false` where the room has
    /// too many good ones.
    pub async fn create_stream_key(&self, new: &StreamKey, key_hash: &str) -> Result<bool, Error> {
        let (new, key_hash) = (new.clone(), key_hash.to_owned());
        self.writer.write(move |connection| Box::pin(insert(connection, new, key_hash))).await
    }

    /// The keys of a room, newest first.
    pub async fn stream_keys(&self, room: RoomId) -> Result<Vec<StreamKey>, Error> {
        let rows = sqlx::query(
            "SELECT id, room_id, user_id, purpose, name, expires_ms, used_ms, created_by, created_ms \
             FROM stream_keys WHERE room_id = $1 ORDER BY created_ms DESC, id DESC",
        )
        .bind(room.to_string())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(key_of).collect()
    }

    /// The key with this digest, good or not.
    pub async fn stream_key_by_hash(&self, key_hash: &str) -> Result<Option<StreamKey>, Error> {
        let row = sqlx::query(
            "SELECT id, room_id, user_id, purpose, name, expires_ms, used_ms, created_by, created_ms \
             FROM stream_keys WHERE key_hash = $1",
        )
        .bind(key_hash)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(key_of).transpose()
    }

    /// Notes that a key opens a session now; says whether it is still there.
    pub async fn use_stream_key(&self, id: StreamKeyId, now_ms: i64) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let used = sqlx::query("UPDATE stream_keys SET used_ms = $1 WHERE id = $2")
                        .bind(now_ms)
                        .bind(id.to_string())
                        .execute(connection)
                        .await?;
                    Ok(Work::Done(used.rows_affected() > 0))
                })
            })
            .await
    }

    /// Ends a key of a room, and the membership of its identity; the key, if there was one.
    pub async fn revoke_stream_key(
        &self,
        room: RoomId,
        id: StreamKeyId,
    ) -> Result<Option<StreamKey>, Error> {
        self.writer.write(move |connection| Box::pin(revoke(connection, room, id))).await
    }
}

async fn insert(
    connection: &mut AnyConnection,
    new: StreamKey,
    key_hash: String,
) -> Result<Work<bool>, Error> {
    forget_expired(connection, new.room_id, new.created_ms).await?;
    let row = sqlx::query("SELECT COUNT(*) AS good FROM stream_keys WHERE room_id = $1")
        .bind(new.room_id.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if number(&row, "good")? >= i64::try_from(MAX_STREAM_KEYS).unwrap_or(i64::MAX) {
        return Ok(Work::Undone(false));
    }
    sqlx::query(
        "INSERT INTO users (id, role, display_name, display_name_folded, created_ms) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(new.user_id.to_string())
    .bind(AccountRole::Guest.as_str())
    .bind(&new.name)
    .bind(folded(&new.name))
    .bind(new.created_ms)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO members (room_id, user_id, role, joined_ms) VALUES ($1, $2, $3, $4)")
        .bind(new.room_id.to_string())
        .bind(new.user_id.to_string())
        .bind(Role::Guest.as_str())
        .bind(new.created_ms)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO stream_keys (id, room_id, user_id, key_hash, purpose, name, expires_ms, \
         created_by, created_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(new.id.to_string())
    .bind(new.room_id.to_string())
    .bind(new.user_id.to_string())
    .bind(key_hash)
    .bind(new.purpose.as_str())
    .bind(&new.name)
    .bind(new.expires_ms)
    .bind(new.created_by.to_string())
    .bind(new.created_ms)
    .execute(connection)
    .await?;
    Ok(Work::Done(true))
}

/// Keys whose time is over make room for new ones; what they opened may still run, and keeps its membership until then.
async fn forget_expired(
    connection: &mut AnyConnection,
    room: RoomId,
    now_ms: i64,
) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM stream_keys WHERE room_id = $1 AND expires_ms IS NOT NULL AND expires_ms <= $2",
    )
    .bind(room.to_string())
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(())
}

async fn revoke(
    connection: &mut AnyConnection,
    room: RoomId,
    id: StreamKeyId,
) -> Result<Work<Option<StreamKey>>, Error> {
    let row = sqlx::query(
        "SELECT id, room_id, user_id, purpose, name, expires_ms, used_ms, created_by, created_ms \
         FROM stream_keys WHERE room_id = $1 AND id = $2",
    )
    .bind(room.to_string())
    .bind(id.to_string())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(key) = row.as_ref().map(key_of).transpose()? else { return Ok(Work::Undone(None)) };
    sqlx::query("DELETE FROM stream_keys WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM members WHERE room_id = $1 AND user_id = $2")
        .bind(room.to_string())
        .bind(key.user_id.to_string())
        .execute(connection)
        .await?;
    Ok(Work::Done(Some(key)))
}

/// Ends the key of an identity that is removed from a room.
pub(crate) async fn end_of(
    connection: &mut AnyConnection,
    room: RoomId,
    user: UserId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM stream_keys WHERE room_id = $1 AND user_id = $2")
        .bind(room.to_string())
        .bind(user.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

fn key_of(row: &AnyRow) -> Result<StreamKey, Error> {
    Ok(StreamKey {
        id: parsed(row, "id")?,
        room_id: parsed(row, "room_id")?,
        user_id: parsed(row, "user_id")?,
        purpose: StreamKeyPurpose::parse(&text(row, "purpose")?)
            .ok_or(Error::Corrupt("stream_keys.purpose"))?,
        name: text(row, "name")?,
        expires_ms: optional_number(row, "expires_ms")?,
        used_ms: optional_number(row, "used_ms")?,
        created_by: parsed(row, "created_by")?,
        created_ms: number(row, "created_ms")?,
    })
}
