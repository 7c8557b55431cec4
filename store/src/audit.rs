//! Who did what to whom in a room.

use crate::error::Error;
use crate::events::Row;
use crate::orders::{self, Ordered};
use crate::pool::Store;
use crate::row::{number, optional_text, parsed, text};
use protocol::rest::{AuditEntry, AuditPage};
use protocol::room::By;
use protocol::{RoomId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// Notes an order beside its event.
pub(crate) async fn note(
    connection: &mut AnyConnection,
    room: RoomId,
    seq: i64,
    at_ms: i64,
    ordered: &Ordered,
    target: Option<UserId>,
    row: &Row,
) -> Result<(), Error> {
    let target_name = match target {
        Some(user) => orders::name_of(connection, user).await?,
        None => None,
    };
    sqlx::query(
        "INSERT INTO audit (room_id, seq, at_ms, action, by_user_id, by_name, target_user_id, \
         target_name, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(room.to_string())
    .bind(seq)
    .bind(at_ms)
    .bind(&row.kind)
    .bind(ordered.by.user_id.to_string())
    .bind(&ordered.by.display_name)
    .bind(target.map(|user| user.to_string()))
    .bind(target_name.map(|target| target.display_name))
    .bind(row.body.as_deref().unwrap_or("{}"))
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// A page of a room's audit log, newest first: the newest, or those before a number.
    pub async fn audit(
        &self,
        room: RoomId,
        before_seq: Option<i64>,
        limit: u32,
    ) -> Result<AuditPage, Error> {
        let rows = sqlx::query(
            "SELECT seq, at_ms, action, by_user_id, by_name, target_user_id, target_name, detail \
             FROM audit WHERE room_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
        )
        .bind(room.to_string())
        .bind(before_seq.unwrap_or(i64::MAX))
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        let entries = rows.iter().take(limit).map(entry_of).collect::<Result<_, _>>()?;
        Ok(AuditPage { entries, has_more })
    }
}

fn entry_of(row: &AnyRow) -> Result<AuditEntry, Error> {
    let target = match optional_text(row, "target_user_id")? {
        None => None,
        Some(id) => Some(By {
            user_id: id.parse().map_err(|_| Error::Corrupt("audit.target_user_id"))?,
            display_name: optional_text(row, "target_name")?.unwrap_or_default(),
        }),
    };
    Ok(AuditEntry {
        seq: number(row, "seq")?,
        at_ms: number(row, "at_ms")?,
        action: text(row, "action")?,
        by: By { user_id: parsed(row, "by_user_id")?, display_name: text(row, "by_name")? },
        target,
        detail: serde_json::from_str(&text(row, "detail")?)
            .map_err(|_| Error::Corrupt("audit.detail"))?,
    })
}
