//! Identities: accounts and guests.

use crate::error::Error;
use crate::pool::Store;
use crate::row::{folded, optional_text, parsed, text};
use crate::sessions::{self, NewSession};
use crate::writer::Work;
use protocol::UserId;
use protocol::rest::{AccountRole, User};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// An account to be made. Its names were checked before.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Id.
    pub id: UserId,
    /// Name to log in with.
    pub username: String,
    /// E-mail.
    pub email: String,
    /// Name to show.
    pub display_name: String,
    /// Digest of the password, with its parameters.
    pub password_hash: String,
    /// Whether it is the deployment's first admin; refused when that one was made before.
    pub is_first_admin: bool,
}

/// What became of a [`NewAccount`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountCreated {
    /// It is there.
    Yes(User),
    /// Somebody has the username.
    UsernameTaken,
    /// Somebody has the e-mail.
    EmailTaken,
    /// The first admin was made before.
    AdminExists,
}

impl Store {
    /// Makes a guest, and the session that they are signed in by.
    pub async fn create_guest(
        &self,
        id: UserId,
        display_name: &str,
        session: Option<&NewSession>,
        now_ms: i64,
    ) -> Result<User, Error> {
        let (display_name, session) = (display_name.to_owned(), session.cloned());
        self.writer
            .write(move |connection| {
                Box::pin(insert_guest(connection, id, display_name, session, now_ms))
            })
            .await
    }

    /// Makes an account, unless a name is taken. Of many at once with one name exactly one is made.
    pub async fn create_account(
        &self,
        new: &NewAccount,
        now_ms: i64,
    ) -> Result<AccountCreated, Error> {
        let new = new.clone();
        self.writer.write(move |connection| Box::pin(insert_account(connection, new, now_ms))).await
    }

    /// Gives an identity another name to show; `None` where there is no such identity.
    pub async fn rename_user(&self, id: UserId, display_name: &str) -> Result<Option<User>, Error> {
        let display_name = display_name.to_owned();
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE users SET display_name = $1, display_name_folded = $2 WHERE id = $3",
                    )
                    .bind(&display_name)
                    .bind(folded(&display_name))
                    .bind(id.to_string())
                    .execute(connection)
                    .await?;
                    Ok(Work::Done(()))
                })
            })
            .await?;
        self.user(id).await
    }

    /// The identity with this id.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, Error> {
        let row = sqlx::query(
            "SELECT id AS user_id, role, display_name, username, email FROM users WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(user_of).transpose()
    }

    /// The account that logs in with this username or e-mail, and the digest of its password.
    pub async fn account_by_login(&self, login: &str) -> Result<Option<(User, String)>, Error> {
        let row = sqlx::query(
            "SELECT id AS user_id, role, display_name, username, email, password_hash FROM users \
             WHERE (username_folded = $1 OR email_folded = $1) AND password_hash IS NOT NULL",
        )
        .bind(folded(login))
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| Ok((user_of(&row)?, text(&row, "password_hash")?))).transpose()
    }

    /// Whether the deployment's first admin was made; then the set-up link is void.
    pub async fn has_admin(&self) -> Result<bool, Error> {
        let row = sqlx::query("SELECT name FROM milestones WHERE name = $1")
            .bind(FIRST_ADMIN)
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.is_some())
    }
}

const FIRST_ADMIN: &str = "first_admin";

async fn insert_guest(
    connection: &mut AnyConnection,
    id: UserId,
    display_name: String,
    session: Option<NewSession>,
    now_ms: i64,
) -> Result<Work<User>, Error> {
    let role = AccountRole::Guest;
    sqlx::query(
        "INSERT INTO users (id, role, display_name, display_name_folded, created_ms) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(id.to_string())
    .bind(role.as_str())
    .bind(&display_name)
    .bind(folded(&display_name))
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    if let Some(session) = session {
        sessions::insert(connection, session, now_ms).await?;
    }
    Ok(Work::Done(User { id, display_name, username: None, email: None, role }))
}

async fn insert_account(
    connection: &mut AnyConnection,
    new: NewAccount,
    now_ms: i64,
) -> Result<Work<AccountCreated>, Error> {
    if new.is_first_admin {
        let reached = sqlx::query(
            "INSERT INTO milestones (name, reached_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(FIRST_ADMIN)
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
        if reached.rows_affected() == 0 {
            return Ok(Work::Undone(AccountCreated::AdminExists));
        }
    }
    let role = if new.is_first_admin { AccountRole::Admin } else { AccountRole::User };
    let inserted = sqlx::query(
        "INSERT INTO users (id, role, display_name, display_name_folded, username, \
         username_folded, email, email_folded, password_hash, created_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    )
    .bind(new.id.to_string())
    .bind(role.as_str())
    .bind(&new.display_name)
    .bind(folded(&new.display_name))
    .bind(&new.username)
    .bind(folded(&new.username))
    .bind(&new.email)
    .bind(folded(&new.email))
    .bind(&new.password_hash)
    .bind(now_ms)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        let same_name = sqlx::query("SELECT id FROM users WHERE username_folded = $1")
            .bind(folded(&new.username))
            .fetch_optional(connection)
            .await?;
        return Ok(Work::Undone(match same_name {
            Some(_) => AccountCreated::UsernameTaken,
            None => AccountCreated::EmailTaken,
        }));
    }
    Ok(Work::Done(AccountCreated::Yes(User {
        id: new.id,
        display_name: new.display_name,
        username: Some(new.username),
        email: Some(new.email),
        role,
    })))
}

pub(crate) fn user_of(row: &AnyRow) -> Result<User, Error> {
    Ok(User {
        id: parsed(row, "user_id")?,
        display_name: text(row, "display_name")?,
        username: optional_text(row, "username")?,
        email: optional_text(row, "email")?,
        role: AccountRole::parse(&text(row, "role")?).ok_or(Error::Corrupt("users.role"))?,
    })
}
