//! Where an identity is signed in. A session that ended is not there any more.

use crate::error::Error;
use crate::pool::Store;
use crate::users::user_of;
use crate::writer::Work;
use protocol::UserId;
use protocol::rest::User;
use sqlx::AnyConnection;
use uuid::Uuid;

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Id, named in the tokens of the session.
    pub id: Uuid,
    /// Whose.
    pub user_id: UserId,
    /// Digest of its first refresh token.
    pub refresh_hash: String,
    /// When it ends by itself.
    pub expires_ms: i64,
}

/// What became of a refresh token that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// It was good, and is used up now.
    Yes(User),
    /// It had been used before: somebody has a copy. The session has been ended.
    Reused,
    /// Its session is over.
    Ended,
}

impl Store {
    /// Opens a session; the oldest of the same identity end where there are too many.
    pub async fn open_session(&self, new: &NewSession, now_ms: i64) -> Result<(), Error> {
        let new = new.clone();
        self.writer.write(move |connection| Box::pin(open(connection, new, now_ms))).await
    }

    /// Who is signed in by this session, while it lives.
    pub async fn session_user(&self, session: Uuid, now_ms: i64) -> Result<Option<User>, Error> {
        let row = sqlx::query(
            "SELECT users.id AS user_id, role, display_name, username, email FROM sessions \
             JOIN users ON users.id = sessions.user_id \
             WHERE sessions.id = $1 AND expires_ms > $2",
        )
        .bind(session.to_string())
        .bind(now_ms)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(user_of).transpose()
    }

    /// Exchanges a refresh token's digest for the next one. Of many that show the same, one gets the exchange.
    /// The caller has made sure that the token was ours once, so one that does not fit is an old one.
    pub async fn rotate_refresh(
        &self,
        session: Uuid,
        shown_hash: &str,
        next_hash: &str,
        expires_ms: i64,
        now_ms: i64,
    ) -> Result<Rotated, Error> {
        let (shown_hash, next_hash) = (shown_hash.to_owned(), next_hash.to_owned());
        self.writer
            .write(move |connection| {
                Box::pin(rotate(connection, session, shown_hash, next_hash, expires_ms, now_ms))
            })
            .await
    }

    /// Ends one session.
    pub async fn end_session(&self, session: Uuid) -> Result<(), Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("DELETE FROM sessions WHERE id = $1")
                        .bind(session.to_string())
                        .execute(connection)
                        .await?;
                    Ok(Work::Done(()))
                })
            })
            .await
    }

    /// Ends every session of an identity.
    pub async fn end_sessions_of(&self, user: UserId) -> Result<(), Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("DELETE FROM sessions WHERE user_id = $1")
                        .bind(user.to_string())
                        .execute(connection)
                        .await?;
                    Ok(Work::Done(()))
                })
            })
            .await
    }

    /// Forgets sessions whose time is over, and guests who have no session, made before `guests_before_ms`,
    /// own no room and have no stream key: nobody can be them again.
    pub async fn purge_expired(&self, guests_before_ms: i64, now_ms: i64) -> Result<(), Error> {
        self.writer
            .write(move |connection| Box::pin(purge(connection, guests_before_ms, now_ms)))
            .await
    }
}

async fn open(
    connection: &mut AnyConnection,
    new: NewSession,
    now_ms: i64,
) -> Result<Work<()>, Error> {
    let user = new.user_id;
    insert(connection, new, now_ms).await?;
    sqlx::query(
        "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN \
         (SELECT id FROM sessions WHERE user_id = $1 ORDER BY created_ms DESC, id DESC LIMIT $2)",
    )
    .bind(user.to_string())
    .bind(MAX_SESSIONS_PER_USER)
    .execute(connection)
    .await?;
    Ok(Work::Done(()))
}

/// Writes a session down, whatever others there are.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    new: NewSession,
    now_ms: i64,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO sessions (id, user_id, refresh_hash, created_ms, expires_ms) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(new.id.to_string())
    .bind(new.user_id.to_string())
    .bind(new.refresh_hash)
    .bind(now_ms)
    .bind(new.expires_ms)
    .execute(connection)
    .await?;
    Ok(())
}

async fn rotate(
    connection: &mut AnyConnection,
    session: Uuid,
    shown_hash: String,
    next_hash: String,
    expires_ms: i64,
    now_ms: i64,
) -> Result<Work<Rotated>, Error> {
    let rotated = sqlx::query(
        "UPDATE sessions SET refresh_hash = $1, expires_ms = $2 \
         WHERE id = $3 AND refresh_hash = $4 AND expires_ms > $5",
    )
    .bind(next_hash)
    .bind(expires_ms)
    .bind(session.to_string())
    .bind(shown_hash)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    if rotated.rows_affected() == 0 {
        let ended = sqlx::query("DELETE FROM sessions WHERE id = $1")
            .bind(session.to_string())
            .execute(connection)
            .await?;
        let was_there = ended.rows_affected() > 0;
        return Ok(Work::Done(if was_there { Rotated::Reused } else { Rotated::Ended }));
    }
    let row = sqlx::query(
        "SELECT users.id AS user_id, role, display_name, username, email FROM sessions \
         JOIN users ON users.id = sessions.user_id WHERE sessions.id = $1",
    )
    .bind(session.to_string())
    .fetch_one(connection)
    .await?;
    Ok(Work::Done(Rotated::Yes(user_of(&row)?)))
}

async fn purge(
    connection: &mut AnyConnection,
    guests_before_ms: i64,
    now_ms: i64,
) -> Result<Work<()>, Error> {
    sqlx::query("DELETE FROM sessions WHERE expires_ms <= $1")
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "DELETE FROM users WHERE role = 'guest' AND created_ms < $1 \
         AND NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.user_id = users.id) \
         AND NOT EXISTS (SELECT 1 FROM rooms WHERE rooms.owner_id = users.id) \
         AND NOT EXISTS (SELECT 1 FROM stream_keys WHERE stream_keys.user_id = users.id)",
    )
    .bind(guests_before_ms)
    .execute(connection)
    .await?;
    Ok(Work::Done(()))
}

/// Devices of one person. More would let one account fill the table, fewer would sign people out by surprise.
const MAX_SESSIONS_PER_USER: i64 = 50;
