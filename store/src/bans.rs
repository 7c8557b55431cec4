//! Who may not enter a room.

use crate::error::Error;
use crate::pool::Store;
use crate::row::{number, optional_text, parsed, text};
use protocol::room::{Ban, By};
use protocol::{RoomId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

impl Store {
    /// Whether somebody is banned from a room.
    pub async fn is_banned(&self, room: RoomId, user: UserId) -> Result<bool, Error> {
        let row = sqlx::query("SELECT user_id FROM bans WHERE room_id = $1 AND user_id = $2")
            .bind(room.to_string())
            .bind(user.to_string())
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.is_some())
    }

    /// Everybody who is banned from a room, newest first.
    pub async fn bans(&self, room: RoomId) -> Result<Vec<Ban>, Error> {
        let rows = sqlx::query(
            "SELECT user_id, display_name, by_user_id, by_name, reason, banned_ms FROM bans \
             WHERE room_id = $1 ORDER BY banned_ms DESC, user_id",
        )
        .bind(room.to_string())
        .fetch_all(&self.reader)
        .await?;
        let ban = |row: &AnyRow| {
            Ok(Ban {
                user_id: parsed(row, "user_id")?,
                display_name: text(row, "display_name")?,
                by: By { user_id: parsed(row, "by_user_id")?, display_name: text(row, "by_name")? },
                reason: optional_text(row, "reason")?,
                banned_ms: number(row, "banned_ms")?,
            })
        };
        rows.iter().map(ban).collect()
    }
}

pub(crate) async fn is_banned(
    connection: &mut AnyConnection,
    room: RoomId,
    user: UserId,
) -> Result<bool, Error> {
    let row = sqlx::query("SELECT user_id FROM bans WHERE room_id = $1 AND user_id = $2")
        .bind(room.to_string())
        .bind(user.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}
