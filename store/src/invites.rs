//! Invites: links into a room that end by time, by use, or because somebody takes them back.

use crate::error::Error;
use crate::members::Added;
use crate::orders::role_of;
use crate::pool::Store;
use crate::row::{number, optional_number, parsed, text};
use crate::writer::Work;
use protocol::limits::MAX_INVITES;
use protocol::room::Role;
use protocol::{InviteId, RoomId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// A stored invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Id.
    pub id: InviteId,
    /// Where it leads.
    pub room_id: RoomId,
    /// Its code, sealed.
    pub code_sealed: String,
    /// What those become who come by it.
    pub role: Role,
    /// How often it is good.
    pub max_uses: Option<i64>,
    /// How often it was used.
    pub uses: i64,
    /// Until when.
    pub expires_ms: Option<i64>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_ms: i64,
}

impl Invite {
    /// Whether it still opens its room.
    pub fn is_good(&self, now_ms: i64) -> bool {
        self.max_uses.is_none_or(|max_uses| self.uses < max_uses)
            && self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }
}

impl Store {
    /// Keeps an invite, found by the keyed digest of its code; `false` where the room has too many good ones.
    pub async fn create_invite(&self, new: &Invite, code_hash: &str) -> Result<bool, Error> {
        let (new, code_hash) = (new.clone(), code_hash.to_owned());
        self.writer.write(move |connection| Box::pin(insert(connection, new, code_hash))).await
    }

    /// The invites of a room, newest first.
    pub async fn invites(&self, room: RoomId) -> Result<Vec<Invite>, Error> {
        let rows = sqlx::query(
            "SELECT id, room_id, code_sealed, role, max_uses, uses, expires_ms, created_by, \
             created_ms FROM invites WHERE room_id = $1 ORDER BY created_ms DESC, id DESC",
        )
        .bind(room.to_string())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(invite_of).collect()
    }

    /// The invite with this code, by its keyed digest, good or not.
    pub async fn invite_by_code(&self, code_hash: &str) -> Result<Option<Invite>, Error> {
        let row = sqlx::query(
            "SELECT id, room_id, code_sealed, role, max_uses, uses, expires_ms, created_by, \
             created_ms FROM invites WHERE code_hash = $1",
        )
        .bind(code_hash)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(invite_of).transpose()
    }

    /// Ends an invite of a room; says whether there was one.
    pub async fn revoke_invite(&self, room: RoomId, id: InviteId) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let deleted = sqlx::query("DELETE FROM invites WHERE room_id = $1 AND id = $2")
                        .bind(room.to_string())
                        .bind(id.to_string())
                        .execute(connection)
                        .await?;
                    Ok(Work::Done(deleted.rows_affected() > 0))
                })
            })
            .await
    }

    /// Uses an invite once for somebody, exactly: of many at once no more come in than it is good for. Who is
    /// a member already uses nothing up and keeps their role. `None` when it is good no longer.
    pub async fn use_invite(
        &self,
        invite: &Invite,
        user: UserId,
        role: Role,
        now_ms: i64,
    ) -> Result<Option<Added>, Error> {
        let (id, room) = (invite.id, invite.room_id);
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    if let Some(role) = role_of(connection, room, user).await? {
                        return Ok(Work::Done(Some(Added::Member(role))));
                    }
                    if crate::bans::is_banned(connection, room, user).await? {
                        return Ok(Work::Done(Some(Added::Banned)));
                    }
                    let used = sqlx::query(
                        "UPDATE invites SET uses = uses + 1 WHERE id = $1 \
                         AND (max_uses IS NULL OR uses < max_uses) \
                         AND (expires_ms IS NULL OR expires_ms > $2)",
                    )
                    .bind(id.to_string())
                    .bind(now_ms)
                    .execute(&mut *connection)
                    .await?;
                    if used.rows_affected() == 0 {
                        return Ok(Work::Undone(None));
                    }
                    let added = sqlx::query(
                        "INSERT INTO members (room_id, user_id, role, joined_ms, invite_id) \
                         SELECT rooms.id, users.id, $3, $4, $5 FROM rooms, users \
                         WHERE rooms.id = $1 AND users.id = $2 ON CONFLICT DO NOTHING",
                    )
                    .bind(room.to_string())
                    .bind(user.to_string())
                    .bind(role.as_str())
                    .bind(now_ms)
                    .bind(id.to_string())
                    .execute(&mut *connection)
                    .await?;
                    if added.rows_affected() == 0 {
                        // The person or the room is gone, or they came in by another door just now.
                        let role = role_of(connection, room, user).await?;
                        return Ok(Work::Undone(Some(role.map_or(Added::Gone, Added::Member))));
                    }
                    Ok(Work::Done(Some(Added::Member(role))))
                })
            })
            .await
    }
}

async fn insert(
    connection: &mut AnyConnection,
    new: Invite,
    code_hash: String,
) -> Result<Work<bool>, Error> {
    sqlx::query(
        "DELETE FROM invites WHERE room_id = $1 AND ((max_uses IS NOT NULL AND uses >= max_uses) \
         OR (expires_ms IS NOT NULL AND expires_ms <= $2))",
    )
    .bind(new.room_id.to_string())
    .bind(new.created_ms)
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query("SELECT COUNT(*) AS good FROM invites WHERE room_id = $1")
        .bind(new.room_id.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if number(&row, "good")? >= i64::try_from(MAX_INVITES).unwrap_or(i64::MAX) {
        return Ok(Work::Undone(false));
    }
    sqlx::query(
        "INSERT INTO invites (id, room_id, code_hash, code_sealed, role, max_uses, uses, \
         expires_ms, created_by, created_ms) VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9)",
    )
    .bind(new.id.to_string())
    .bind(new.room_id.to_string())
    .bind(code_hash)
    .bind(&new.code_sealed)
    .bind(new.role.as_str())
    .bind(new.max_uses)
    .bind(new.expires_ms)
    .bind(new.created_by.to_string())
    .bind(new.created_ms)
    .execute(connection)
    .await?;
    Ok(Work::Done(true))
}

fn invite_of(row: &AnyRow) -> Result<Invite, Error> {
    Ok(Invite {
        id: parsed(row, "id")?,
        room_id: parsed(row, "room_id")?,
        code_sealed: text(row, "code_sealed")?,
        role: Role::parse(&text(row, "role")?).ok_or(Error::Corrupt("invites.role"))?,
        max_uses: optional_number(row, "max_uses")?,
        uses: number(row, "uses")?,
        expires_ms: optional_number(row, "expires_ms")?,
        created_by: parsed(row, "created_by")?,
        created_ms: number(row, "created_ms")?,
    })
}
