//! Breakout rooms: rows of their own that have a main room. Which of them are open stands in the main room's
//! row, and who belongs to them in the main room's members.

use crate::error::Error;
use crate::orders::Refused;
use crate::pool::Store;
use crate::row::{optional_text, text};
use protocol::RoomId;
use protocol::breakout::{Breakout, Breakouts};
use protocol::limits::MAX_BREAKOUTS_KEPT;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// What an order changes about a room's breakout rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BreakoutChange {
    /// These are made and open, unless some are.
    Open(Breakouts),
    /// The same rooms with other assignments or another end.
    Set(Breakouts),
    /// None are open any more.
    Close,
}

impl Store {
    /// The open breakout rooms of a main room.
    pub async fn breakouts(&self, main: RoomId) -> Result<Option<Breakouts>, Error> {
        let row = sqlx::query("SELECT breakouts FROM rooms WHERE id = $1")
            .bind(main.to_string())
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.as_ref().map(breakouts_in).transpose()?.flatten())
    }
}

pub(crate) fn breakouts_in(row: &AnyRow) -> Result<Option<Breakouts>, Error> {
    let Some(text) = optional_text(row, "breakouts")? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|_| Error::Corrupt("rooms.breakouts"))
}

pub(crate) async fn change(
    connection: &mut AnyConnection,
    main: RoomId,
    at_ms: i64,
    change: &BreakoutChange,
) -> Result<Result<(), Refused>, Error> {
    let is_done = match change {
        BreakoutChange::Open(breakouts) => open(connection, main, at_ms, breakouts).await?,
        BreakoutChange::Set(breakouts) => {
            let changed = sqlx::query(
                "UPDATE rooms SET breakouts = $1 WHERE id = $2 AND breakouts IS NOT NULL",
            )
            .bind(written(breakouts))
            .bind(main.to_string())
            .execute(connection)
            .await?;
            changed.rows_affected() > 0
        }
        BreakoutChange::Close => {
            let changed = sqlx::query(
                "UPDATE rooms SET breakouts = NULL WHERE id = $1 AND breakouts IS NOT NULL",
            )
            .bind(main.to_string())
            .execute(connection)
            .await?;
            changed.rows_affected() > 0
        }
    };
    Ok(if is_done { Ok(()) } else { Err(Refused::Outdated) })
}

async fn open(
    connection: &mut AnyConnection,
    main: RoomId,
    at_ms: i64,
    breakouts: &Breakouts,
) -> Result<bool, Error> {
    let opened = sqlx::query(
        "UPDATE rooms SET breakouts = $1 \
         WHERE id = $2 AND breakouts IS NULL AND parent_id IS NULL",
    )
    .bind(written(breakouts))
    .bind(main.to_string())
    .execute(&mut *connection)
    .await?;
    if opened.rows_affected() == 0 {
        return Ok(false);
    }
    for breakout in &breakouts.rooms {
        insert(connection, main, at_ms, breakout).await?;
    }
    forget_old(connection, main).await?;
    Ok(true)
}

async fn insert(
    connection: &mut AnyConnection,
    main: RoomId,
    at_ms: i64,
    breakout: &Breakout,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO slugs (slug, taken_ms) VALUES ($1, $2)")
        .bind(&breakout.slug)
        .bind(at_ms)
        .execute(&mut *connection)
        .await?;
    // No code leads to it: what stands in place of a digest is none.
    sqlx::query(
        "INSERT INTO rooms (id, slug, name, topic, owner_id, invite_code_hash, \
         invite_code_sealed, created_ms, parent_id, parent_slug) \
         SELECT $1, $2, $3, '', owner_id, $2, '', $4, id, slug FROM rooms WHERE id = $5",
    )
    .bind(breakout.id.to_string())
    .bind(&breakout.slug)
    .bind(&breakout.name)
    .bind(at_ms)
    .bind(main.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// The oldest of many go with their chats; nobody comes back to their slugs, so those go too. What was recorded in
/// one is kept, and the room with it.
async fn forget_old(connection: &mut AnyConnection, main: RoomId) -> Result<(), Error> {
    let rows = sqlx::query(
        "SELECT id, slug FROM rooms WHERE parent_id = $1 AND NOT EXISTS \
         (SELECT 1 FROM recordings WHERE recordings.room_id = rooms.id) \
         ORDER BY created_ms DESC, id DESC",
    )
    .bind(main.to_string())
    .fetch_all(&mut *connection)
    .await?;
    for row in rows.iter().skip(MAX_BREAKOUTS_KEPT) {
        for (statement, column) in [
            ("DELETE FROM rooms WHERE id = $1", "id"),
            ("DELETE FROM slugs WHERE slug = $1", "slug"),
        ] {
            sqlx::query(statement).bind(text(row, column)?).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// As stored: who is where is true for a moment only.
fn written(breakouts: &Breakouts) -> String {
    let mut breakouts = breakouts.clone();
    breakouts.rooms.iter_mut().for_each(|breakout| breakout.people.clear());
    serde_json::to_string(&breakouts).expect("our own messages are JSON")
}
