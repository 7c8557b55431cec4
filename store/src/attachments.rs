//! Files of the chat and covers of rooms: what is known of them. What they hold lies on disk under their ids.

use crate::chat::attachment_of;
use crate::error::Error;
use crate::pool::Store;
use crate::row::{number, optional_text, parsed};
use crate::writer::Work;
use protocol::chat::Attachment;
use protocol::{AttachmentId, RoomId, UserId};
use sqlx::AnyConnection;

/// A file with whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The file.
    pub attachment: Attachment,
    /// Who uploaded it.
    pub user_id: UserId,
    /// Whether a line of chat shows it.
    pub is_shown: bool,
    /// Who wrote that line, and the one person whom it is for, where it is private.
    pub private_between: Option<(UserId, UserId)>,
}

impl StoredFile {
    /// Whether this member may read it.
    pub fn is_for(&self, user: UserId) -> bool {
        match self.private_between {
            Some((author, to)) => user == author || user == to,
            None => self.is_shown || user == self.user_id,
        }
    }
}

impl Store {
    /// Keeps a file of somebody's, unless all of theirs together would have more bytes than that; says whether.
    pub async fn create_attachment(
        &self,
        room: RoomId,
        user: UserId,
        new: &Attachment,
        quota_bytes: u64,
        now_ms: i64,
    ) -> Result<bool, Error> {
        let new = new.clone();
        self.writer
            .write(move |connection| {
                Box::pin(insert(connection, room, user, new, quota_bytes, now_ms))
            })
            .await
    }

    /// A file of a room.
    pub async fn attachment(
        &self,
        room: RoomId,
        id: AttachmentId,
    ) -> Result<Option<StoredFile>, Error> {
        let row = sqlx::query(
            "SELECT attachments.id, name, mime, bytes, width, height, \
             attachments.user_id AS owner, message_id, messages.user_id AS author, to_user_id \
             FROM attachments LEFT JOIN messages ON messages.id = attachments.message_id \
             WHERE attachments.id = $1 AND attachments.room_id = $2",
        )
        .bind(id.to_string())
        .bind(room.to_string())
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let private_between = match optional_text(&row, "to_user_id")? {
            None => None,
            Some(to) => {
                let to = to.parse().map_err(|_| Error::Corrupt("messages.to_user_id"))?;
                Some((parsed(&row, "author")?, to))
            }
        };
        Ok(Some(StoredFile {
            attachment: attachment_of(&row)?,
            user_id: parsed(&row, "owner")?,
            is_shown: optional_text(&row, "message_id")?.is_some(),
            private_between,
        }))
    }

    /// Forgets a file that no line shows; says whether it did.
    pub async fn delete_attachment(
        &self,
        room: RoomId,
        user: UserId,
        id: AttachmentId,
    ) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let deleted = sqlx::query(
                        "DELETE FROM attachments WHERE id = $1 AND room_id = $2 AND user_id = $3 \
                         AND message_id IS NULL",
                    )
                    .bind(id.to_string())
                    .bind(room.to_string())
                    .bind(user.to_string())
                    .execute(connection)
                    .await?;
                    Ok(Work::Done(deleted.rows_affected() > 0))
                })
            })
            .await
    }

    /// Forgets files that were uploaded before that time and that no line shows.
    pub async fn forget_unshown_attachments(&self, before_ms: i64) -> Result<(), Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "DELETE FROM attachments WHERE message_id IS NULL AND created_ms < $1",
                    )
                    .bind(before_ms)
                    .execute(connection)
                    .await?;
                    Ok(Work::Done(()))
                })
            })
            .await
    }

    /// Whether a file of that id is still known.
    pub async fn has_attachment(&self, id: AttachmentId) -> Result<bool, Error> {
        let row = sqlx::query(
            "SELECT id FROM attachments WHERE id = $1 UNION ALL SELECT id FROM rooms WHERE cover = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.is_some())
    }

    /// The cover of a room.
    pub async fn cover(&self, room: RoomId) -> Result<Option<AttachmentId>, Error> {
        let row = sqlx::query("SELECT cover FROM rooms WHERE id = $1")
            .bind(room.to_string())
            .fetch_optional(&self.reader)
            .await?;
        let cover = match &row {
            Some(row) => optional_text(row, "cover")?,
            None => None,
        };
        cover.map(|id| id.parse().map_err(|_| Error::Corrupt("rooms.cover"))).transpose()
    }

    /// Gives a room another cover, or none; says whether the room was there.
    pub async fn set_cover(
        &self,
        room: RoomId,
        cover: Option<AttachmentId>,
    ) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let changed = sqlx::query("UPDATE rooms SET cover = $1 WHERE id = $2")
                        .bind(cover.map(|id| id.to_string()))
                        .bind(room.to_string())
                        .execute(connection)
                        .await?;
                    Ok(Work::Done(changed.rows_affected() > 0))
                })
            })
            .await
    }
}

async fn insert(
    connection: &mut AnyConnection,
    room: RoomId,
    user: UserId,
    new: Attachment,
    quota_bytes: u64,
    now_ms: i64,
) -> Result<Work<bool>, Error> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS used FROM attachments WHERE user_id = $1",
    )
    .bind(user.to_string())
    .fetch_one(&mut *connection)
    .await?;
    let used = u64::try_from(number(&row, "used")?).unwrap_or(0);
    if used.saturating_add(new.bytes) > quota_bytes {
        return Ok(Work::Undone(false));
    }
    sqlx::query(
        "INSERT INTO attachments (id, room_id, user_id, name, mime, bytes, width, height, created_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(new.id.to_string())
    .bind(room.to_string())
    .bind(user.to_string())
    .bind(&new.name)
    .bind(&new.mime)
    .bind(i64::try_from(new.bytes).unwrap_or(i64::MAX))
    .bind(new.width.map(i64::from))
    .bind(new.height.map(i64::from))
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(Work::Done(true))
}
