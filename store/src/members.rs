//! Who belongs to a room, and as what.

use crate::error::Error;
use crate::pool::Store;
use crate::row::text;
use crate::writer::Work;
use protocol::room::Role;
use protocol::{RoomId, UserId};
use sqlx::AnyConnection;

impl Store {
    /// Makes somebody a member unless they are one, and returns the role they have now:
    /// who is a member already keeps theirs. `None` when the room or the person is gone.
    pub async fn add_member(
        &self,
        room: RoomId,
        user: UserId,
        role: Role,
        now_ms: i64,
    ) -> Result<Option<Role>, Error> {
        if let Some(role) = self.role_of(room, user).await? {
            return Ok(Some(role));
        }
        self.writer
            .write(move |connection| Box::pin(add(connection, room, user, role, now_ms)))
            .await
    }

    /// Somebody's role in a room, if they are a member.
    pub async fn role_of(&self, room: RoomId, user: UserId) -> Result<Option<Role>, Error> {
        let row = sqlx::query("SELECT role FROM members WHERE room_id = $1 AND user_id = $2")
            .bind(room.to_string())
            .bind(user.to_string())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| role_in(&text(&row, "role")?)).transpose()
    }
}

async fn add(
    connection: &mut AnyConnection,
    room: RoomId,
    user: UserId,
    role: Role,
    now_ms: i64,
) -> Result<Work<Option<Role>>, Error> {
    sqlx::query(
        "INSERT INTO members (room_id, user_id, role, joined_ms) \
         SELECT rooms.id, users.id, $3, $4 FROM rooms, users \
         WHERE rooms.id = $1 AND users.id = $2 ON CONFLICT DO NOTHING",
    )
    .bind(room.to_string())
    .bind(user.to_string())
    .bind(role.as_str())
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query("SELECT role FROM members WHERE room_id = $1 AND user_id = $2")
        .bind(room.to_string())
        .bind(user.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(Work::Done(row.map(|row| role_in(&text(&row, "role")?)).transpose()?))
}

fn role_in(text: &str) -> Result<Role, Error> {
    Role::parse(text).ok_or(Error::Corrupt("members.role"))
}
