//! Rooms as they last.

use crate::error::Error;
use crate::pool::Store;
use crate::row::{number, optional_text, parsed, text};
use crate::writer::Work;
use protocol::room::Role;
use protocol::{AttachmentId, RoomId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// A stored room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// Part of its address; never changes.
    pub slug: String,
    /// Name to show.
    pub name: String,
    /// What the meeting is about.
    pub topic: String,
    /// Who owns it.
    pub owner_id: UserId,
    /// Keyed digest of the invite key, where one is asked for.
    pub invite_key_hash: Option<String>,
    /// The invite code, sealed.
    pub invite_code_sealed: String,
    /// Its picture, where it has one.
    pub cover: Option<AttachmentId>,
    /// When it was made.
    pub created_ms: i64,
    /// Of a breakout room: its main room.
    pub parent: Option<Parent>,
}

/// The main room of a breakout room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Id.
    pub id: RoomId,
    /// Part of its address.
    pub slug: String,
}

/// A room to be made.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// Id.
    pub id: RoomId,
    /// Slug, checked before.
    pub slug: String,
    /// Name.
    pub name: String,
    /// Who will own it.
    pub owner_id: UserId,
    /// Keyed digest of the invite key.
    pub invite_key_hash: Option<String>,
    /// Keyed digest of the invite code.
    pub invite_code_hash: String,
    /// The invite code, sealed.
    pub invite_code_sealed: String,
}

/// What became of a [`NewRoom`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomCreated {
    /// It is there, and its owner is a member.
    Yes(Box<Room>),
    /// A room has the slug, or had it once.
    SlugTaken,
    /// The owner has as many rooms as one may have.
    TooMany,
}

/// What shall be different about a room; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct RoomChange {
    /// New name.
    pub name: Option<String>,
    /// New digest of the invite key; `Some(None)` takes the key away.
    pub invite_key_hash: Option<Option<String>>,
}

impl Store {
    /// Makes a room and its owner's membership.
    pub async fn create_room(&self, new: &NewRoom, now_ms: i64) -> Result<RoomCreated, Error> {
        let new = new.clone();
        self.writer.write(move |connection| Box::pin(insert_room(connection, new, now_ms))).await
    }

    /// The room with this slug.
    pub async fn room_by_slug(&self, slug: &str) -> Result<Option<Room>, Error> {
        let row = sqlx::query(
            "SELECT id, slug, name, topic, owner_id, invite_key_hash, invite_code_sealed, \
             cover, created_ms, parent_id, parent_slug FROM rooms WHERE slug = $1",
        )
        .bind(slug)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(room_of).transpose()
    }

    /// The room with this id.
    pub async fn room(&self, id: RoomId) -> Result<Option<Room>, Error> {
        let row = sqlx::query(
            "SELECT id, slug, name, topic, owner_id, invite_key_hash, invite_code_sealed, \
             cover, created_ms, parent_id, parent_slug FROM rooms WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(room_of).transpose()
    }

    /// The room that an invite code opens, by the code's keyed digest.
    pub async fn room_by_invite(&self, invite_code_hash: &str) -> Result<Option<Room>, Error> {
        let row = sqlx::query(
            "SELECT id, slug, name, topic, owner_id, invite_key_hash, invite_code_sealed, \
             cover, created_ms, parent_id, parent_slug FROM rooms WHERE invite_code_hash = $1",
        )
        .bind(invite_code_hash)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(room_of).transpose()
    }

    /// The rooms somebody is a member of with their role there, newest first; at most 500.
    pub async fn rooms_of(&self, user: UserId) -> Result<Vec<(Room, Role)>, Error> {
        let rows = sqlx::query(
            "SELECT rooms.id, slug, name, topic, owner_id, invite_key_hash, invite_code_sealed, \
             cover, created_ms, parent_id, parent_slug, members.role \
             FROM members JOIN rooms ON rooms.id = members.room_id \
             WHERE members.user_id = $1 ORDER BY created_ms DESC, rooms.id DESC LIMIT $2",
        )
        .bind(user.to_string())
        .bind(MAX_ROOMS_LISTED)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let role =
                    Role::parse(&text(row, "role")?).ok_or(Error::Corrupt("members.role"))?;
                Ok((room_of(row)?, role))
            })
            .collect()
    }

    /// Changes a room and returns it as it is now, unless it is gone.
    pub async fn update_room(&self, id: RoomId, change: RoomChange) -> Result<Option<Room>, Error> {
        self.writer.write(move |connection| Box::pin(update(connection, id, change))).await
    }

    /// Deletes a room with everything stored under it; says whether it was there. Its slug stays taken.
    pub async fn delete_room(&self, id: RoomId) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let deleted = sqlx::query("DELETE FROM rooms WHERE id = $1")
                        .bind(id.to_string())
                        .execute(connection)
                        .await?;
                    Ok(Work::Done(deleted.rows_affected() > 0))
                })
            })
            .await
    }
}

/// More would let one account fill the disk with rooms; fewer would get in a school's way.
const MAX_ROOMS_PER_OWNER: i64 = 200;
/// Rows in one answer.
const MAX_ROOMS_LISTED: i64 = 500;

async fn insert_room(
    connection: &mut AnyConnection,
    new: NewRoom,
    now_ms: i64,
) -> Result<Work<RoomCreated>, Error> {
    let owned = sqlx::query(
        "SELECT COUNT(*) AS owned FROM rooms WHERE owner_id = $1 AND parent_id IS NULL",
    )
    .bind(new.owner_id.to_string())
    .fetch_one(&mut *connection)
    .await?;
    if number(&owned, "owned")? >= MAX_ROOMS_PER_OWNER {
        return Ok(Work::Undone(RoomCreated::TooMany));
    }
    let taken =
        sqlx::query("INSERT INTO slugs (slug, taken_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(&new.slug)
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
    if taken.rows_affected() == 0 {
        return Ok(Work::Undone(RoomCreated::SlugTaken));
    }
    sqlx::query(
        "INSERT INTO rooms (id, slug, name, topic, owner_id, invite_key_hash, \
         invite_code_hash, invite_code_sealed, created_ms) \
         VALUES ($1, $2, $3, '', $4, $5, $6, $7, $8)",
    )
    .bind(new.id.to_string())
    .bind(&new.slug)
    .bind(&new.name)
    .bind(new.owner_id.to_string())
    .bind(new.invite_key_hash.as_deref())
    .bind(&new.invite_code_hash)
    .bind(&new.invite_code_sealed)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO members (room_id, user_id, role, joined_ms) VALUES ($1, $2, $3, $4)")
        .bind(new.id.to_string())
        .bind(new.owner_id.to_string())
        .bind(Role::Owner.as_str())
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    Ok(Work::Done(RoomCreated::Yes(Box::new(Room {
        id: new.id,
        slug: new.slug.clone(),
        name: new.name.clone(),
        topic: String::new(),
        owner_id: new.owner_id,
        invite_key_hash: new.invite_key_hash.clone(),
        invite_code_sealed: new.invite_code_sealed.clone(),
        cover: None,
        created_ms: now_ms,
        parent: None,
    }))))
}

async fn update(
    connection: &mut AnyConnection,
    id: RoomId,
    change: RoomChange,
) -> Result<Work<Option<Room>>, Error> {
    let sets_key = i64::from(change.invite_key_hash.is_some());
    let row = sqlx::query(
        "UPDATE rooms SET name = COALESCE($1, name), \
         invite_key_hash = CASE WHEN $2 = 1 THEN $3 ELSE invite_key_hash END WHERE id = $4 \
         RETURNING id, slug, name, topic, owner_id, invite_key_hash, invite_code_sealed, \
         cover, created_ms, parent_id, parent_slug",
    )
    .bind(change.name)
    .bind(sets_key)
    .bind(change.invite_key_hash.flatten())
    .bind(id.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(Work::Done(row.as_ref().map(room_of).transpose()?))
}

fn room_of(row: &AnyRow) -> Result<Room, Error> {
    Ok(Room {
        id: parsed(row, "id")?,
        slug: text(row, "slug")?,
        name: text(row, "name")?,
        topic: text(row, "topic")?,
        owner_id: parsed(row, "owner_id")?,
        invite_key_hash: optional_text(row, "invite_key_hash")?,
        invite_code_sealed: text(row, "invite_code_sealed")?,
        cover: optional_text(row, "cover")?
            .map(|id| id.parse().map_err(|_| Error::Corrupt("rooms.cover")))
            .transpose()?,
        created_ms: number(row, "created_ms")?,
        parent: match optional_text(row, "parent_slug")? {
            Some(slug) => Some(Parent { id: parsed(row, "parent_id")?, slug }),
            None => None,
        },
    })
}
