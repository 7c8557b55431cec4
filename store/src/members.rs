//! Who belongs to a room, and as what. To a breakout room belong those who belong to its main room.

use crate::error::Error;
use crate::pool::Store;
use crate::row::{number, optional_number, optional_text, parsed, text};
use crate::writer::Work;
use protocol::room::{By, Member, Orders, Role};
use protocol::{RoomId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// What became of somebody who wants to belong to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// They belong to it, and this is their role now.
    Member(Role),
    /// They are banned from it.
    Banned,
    /// The room or the person is gone.
    Gone,
}

impl Store {
    /// Makes somebody a member unless they are one: who is a member already keeps their role.
    pub async fn add_member(
        &self,
        room: RoomId,
        user: UserId,
        role: Role,
        now_ms: i64,
    ) -> Result<Added, Error> {
        if let Some(role) = self.role_of(room, user).await? {
            return Ok(Added::Member(role));
        }
        self.writer
            .write(move |connection| Box::pin(add(connection, room, user, role, now_ms)))
            .await
    }

    /// Somebody's role in a room, if they are a member.
    pub async fn role_of(&self, room: RoomId, user: UserId) -> Result<Option<Role>, Error> {
        let row = sqlx::query(
            "SELECT role FROM members \
             WHERE room_id = (SELECT COALESCE(parent_id, id) FROM rooms WHERE id = $1) \
             AND user_id = $2",
        )
        .bind(room.to_string())
        .bind(user.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| role_in(&text(&row, "role")?)).transpose()
    }

    /// Who belongs to a room, the highest role first and then in order of coming; at most 1,000.
    pub async fn members(&self, room: RoomId) -> Result<Vec<Member>, Error> {
        let rows = sqlx::query(
            "SELECT members.user_id, users.display_name, members.role, forced_microphone, \
             forced_camera, forced_screen, may_speak_until_ms, joined_ms FROM members \
             JOIN users ON users.id = members.user_id \
             WHERE room_id = (SELECT COALESCE(parent_id, id) FROM rooms WHERE id = $1) \
             ORDER BY CASE members.role WHEN 'owner' THEN 0 WHEN 'admin' THEN 1 \
             WHEN 'member' THEN 2 ELSE 3 END, joined_ms, members.user_id LIMIT 1000",
        )
        .bind(room.to_string())
        .fetch_all(&self.reader)
        .await?;
        let member = |row: &AnyRow| {
            Ok(Member {
                user_id: parsed(row, "user_id")?,
                display_name: text(row, "display_name")?,
                role: role_in(&text(row, "role")?)?,
                orders: orders_in(row)?,
                joined_ms: number(row, "joined_ms")?,
            })
        };
        rows.iter().map(member).collect()
    }
}

/// What moderators have ordered, as the columns have it.
pub(crate) fn orders_in(row: &AnyRow) -> Result<Orders, Error> {
    let by = |column| -> Result<Option<By>, Error> {
        let Some(text) = optional_text(row, column)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|_| Error::Corrupt(column))
    };
    let until_ms = optional_number(row, "may_speak_until_ms")?;
    Ok(Orders {
        microphone: by("forced_microphone")?,
        camera: by("forced_camera")?,
        screen: by("forced_screen")?,
        may_speak: until_ms.is_some(),
        may_speak_until_ms: until_ms.filter(|until_ms| *until_ms != i64::MAX),
    })
}

async fn add(
    connection: &mut AnyConnection,
    room: RoomId,
    user: UserId,
    role: Role,
    now_ms: i64,
) -> Result<Work<Added>, Error> {
    if crate::bans::is_banned(connection, room, user).await? {
        return Ok(Work::Done(Added::Banned));
    }
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
    let role = crate::orders::role_of(connection, room, user).await?;
    Ok(Work::Done(role.map_or(Added::Gone, Added::Member)))
}

fn role_in(text: &str) -> Result<Role, Error> {
    Role::parse(text).ok_or(Error::Corrupt("members.role"))
}
