//! Orders: what people decide about each other and about the room. Whether they may is decided here, in the
//! transaction that stores it, so that no race gives a power twice or leaves it with somebody who lost it.

use crate::breakouts::{self, BreakoutChange};
use crate::chat::MessageChange;
use crate::error::Error;
use crate::recordings;
use crate::row::{number, parsed, text};
use protocol::client::StateChange;
use protocol::recording::RecordEnd;
use protocol::room::{By, Forcible, Role};
use protocol::{MessageId, Power, RecordingId, RoomId, ServerMessage, UserId};
use sqlx::{AnyConnection, AssertSqlSafe};

/// Something that somebody decided, told by a message once it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// What is told; its number is given by the store.
    pub message: ServerMessage,
    /// Who decided.
    pub by: By,
    /// What they need for it; nothing where they decide about themselves.
    pub power: Option<Power>,
    /// Whom it concerns: they must stand below.
    pub target: Option<UserId>,
    /// What is different then.
    pub change: Change,
    /// Who hears of it.
    pub audience: Audience,
}

/// Who hears of an event, and finds it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody in the room.
    Everybody,
    /// Owner and admins.
    Moderators,
    /// One person, and whoever did it.
    One(UserId),
}

/// What an order changes in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing but the log.
    Nothing,
    /// A member's role; not to owner.
    SetRole(Role),
    /// The room has another owner, and the old one is an admin.
    Transfer,
    /// A source of a member is stopped, or no longer.
    Force {
        /// Which.
        source: Forcible,
        /// Whether.
        forced: bool,
    },
    /// Until when a member may speak past mute-all; `None` withdraws it.
    AllowToSpeak(Option<i64>),
    /// Somebody is no member any more, and a guest is signed out.
    Remove {
        /// Whether they may not come back.
        ban: bool,
        /// Why.
        reason: Option<String>,
        /// Whether the invite they came by ends.
        ends_invite: bool,
    },
    /// Somebody may come again.
    Unban,
    /// The room's settings.
    SetState(StateChange),
    /// A recording begins, unless one runs.
    StartRecording {
        /// Its id.
        id: RecordingId,
        /// What it is called.
        title: String,
        /// Nobody where the room begins it by itself.
        by: Option<By>,
        /// How many may run in the whole deployment.
        at_most: u32,
    },
    /// A recording ends, unless it has.
    StopRecording {
        /// Which.
        id: RecordingId,
        /// Why.
        reason: RecordEnd,
    },
    /// Breakout rooms open, change or close.
    BreakOut(Box<BreakoutChange>),
    /// A member was let in from the lobby.
    Admit,
    /// A line of chat is changed; who may depends on the line.
    Message {
        /// Which.
        id: MessageId,
        /// How.
        what: MessageChange,
    },
}

/// Why the store did not take something that it understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Who orders has not the power, or no longer.
    NoPower,
    /// Whom it concerns stands not below them.
    NotBelow,
    /// Whom it concerns does not belong to the room.
    NoMember,
    /// What it is about is not there.
    NothingThere,
    /// There are as many as there may be.
    TooMany,
    /// It was decided on something that has changed.
    Outdated,
    /// It is so already.
    AlreadySo,
}

impl Change {
    /// Whether it can concern somebody who is no member.
    fn reaches_strangers(&self) -> bool {
        matches!(self, Change::Unban | Change::Remove { ban: true, .. })
    }
}

/// Whether somebody of that role may give this order. `target` is the role of whom it concerns, `None` inside
/// for a stranger.
pub fn judge(
    actor: Option<Role>,
    power: Power,
    target: Option<Option<Role>>,
    change: &Change,
) -> Result<(), Refused> {
    let actor = actor.filter(|role| role.may(power)).ok_or(Refused::NoPower)?;
    match target {
        None => {}
        Some(None) if change.reaches_strangers() => {}
        Some(None) => return Err(Refused::NoMember),
        Some(Some(target)) if !actor.outranks(target) => return Err(Refused::NotBelow),
        Some(Some(_)) => {}
    }
    match change {
        Change::SetRole(role) if !actor.outranks(*role) => Err(Refused::NoPower),
        _ => Ok(()),
    }
}

/// Checks an order and makes its change. What is refused has changed nothing.
pub(crate) async fn obey(
    connection: &mut AnyConnection,
    room: RoomId,
    at_ms: i64,
    ordered: &Ordered,
) -> Result<Result<(), Refused>, Error> {
    if let Some(power) = ordered.power {
        let actor = role_of(connection, room, ordered.by.user_id).await?;
        let target = match ordered.target {
            Some(user) => Some(role_of(connection, room, user).await?),
            None => None,
        };
        if let Err(refused) = judge(actor, power, target, &ordered.change) {
            return Ok(Err(refused));
        }
    }
    let Some(user) = ordered.target else {
        return change_room(connection, room, at_ms, &ordered.change).await;
    };
    let is_done = change_person(connection, room, at_ms, ordered, user).await?;
    Ok(if is_done { Ok(()) } else { Err(Refused::NothingThere) })
}

async fn change_room(
    connection: &mut AnyConnection,
    room: RoomId,
    at_ms: i64,
    change: &Change,
) -> Result<Result<(), Refused>, Error> {
    match change {
        Change::SetState(change) => {
            sqlx::query(
                "UPDATE rooms SET topic = COALESCE($1, topic), \
                 is_locked = COALESCE($2, is_locked), mute_all = COALESCE($3, mute_all), \
                 has_lobby = COALESCE($4, has_lobby), capacity = COALESCE($5, capacity), \
                 auto_record = COALESCE($6, auto_record), \
                 record_consent = COALESCE($7, record_consent) WHERE id = $8",
            )
            .bind(change.topic.as_deref())
            .bind(change.is_locked.map(i64::from))
            .bind(change.mute_all.map(i64::from))
            .bind(change.has_lobby.map(i64::from))
            .bind(change.capacity.map(i64::from))
            .bind(change.auto_record.map(i64::from))
            .bind(change.record_consent.as_deref())
            .bind(room.to_string())
            .execute(&mut *connection)
            .await?;
            Ok(Ok(()))
        }
        Change::BreakOut(change) => breakouts::change(connection, room, at_ms, change).await,
        Change::StartRecording { id, title, by, at_most } => {
            recordings::begin(connection, room, at_ms, *id, title, by.as_ref(), *at_most).await
        }
        Change::StopRecording { id, reason } => {
            recordings::end(connection, *id, at_ms, *reason).await
        }
        _ => Ok(Ok(())),
    }
}

async fn change_person(
    connection: &mut AnyConnection,
    room: RoomId,
    at_ms: i64,
    ordered: &Ordered,
    user: UserId,
) -> Result<bool, Error> {
    match &ordered.change {
        Change::Nothing
        | Change::SetState(_)
        | Change::BreakOut(_)
        | Change::StartRecording { .. }
        | Change::StopRecording { .. }
        | Change::Message { .. } => Ok(true),
        Change::SetRole(role) => {
            set(connection, room, user, "role", Some(role.as_str().to_owned())).await
        }
        Change::Transfer => transfer(connection, room, ordered.by.user_id, user).await,
        Change::Force { source, forced } => {
            let column = match source {
                Forcible::Microphone => "forced_microphone",
                Forcible::Camera => "forced_camera",
                Forcible::Screen => "forced_screen",
            };
            let by = forced.then(|| serde_json::json!(ordered.by).to_string());
            set(connection, room, user, column, by).await
        }
        Change::AllowToSpeak(until_ms) => {
            let changed = sqlx::query(
                "UPDATE members SET may_speak_until_ms = $1 WHERE room_id = $2 AND user_id = $3",
            )
            .bind(*until_ms)
            .bind(room.to_string())
            .bind(user.to_string())
            .execute(connection)
            .await?;
            Ok(changed.rows_affected() > 0)
        }
        Change::Admit => {
            let changed = sqlx::query(
                "UPDATE members SET admitted_ms = $1 WHERE room_id = $2 AND user_id = $3",
            )
            .bind(at_ms)
            .bind(room.to_string())
            .bind(user.to_string())
            .execute(connection)
            .await?;
            Ok(changed.rows_affected() > 0)
        }
        Change::Remove { ban, reason, ends_invite } => {
            if *ban && !insert_ban(connection, room, at_ms, ordered, user, reason).await? {
                return Ok(false);
            }
            if *ends_invite {
                sqlx::query(
                    "DELETE FROM invites WHERE room_id = $1 AND id IN \
                     (SELECT invite_id FROM members WHERE room_id = $1 AND user_id = $2)",
                )
                .bind(room.to_string())
                .bind(user.to_string())
                .execute(&mut *connection)
                .await?;
            }
            let removed = sqlx::query("DELETE FROM members WHERE room_id = $1 AND user_id = $2")
                .bind(room.to_string())
                .bind(user.to_string())
                .execute(&mut *connection)
                .await?;
            crate::stream_keys::end_of(&mut *connection, room, user).await?;
            // A guest's token is an identity for this meeting and ends with it; an account goes on elsewhere.
            sqlx::query(
                "DELETE FROM sessions WHERE user_id = $1 AND EXISTS \
                 (SELECT 1 FROM users WHERE id = $1 AND role = 'guest')",
            )
            .bind(user.to_string())
            .execute(connection)
            .await?;
            Ok(*ban || removed.rows_affected() > 0)
        }
        Change::Unban => {
            let removed = sqlx::query("DELETE FROM bans WHERE room_id = $1 AND user_id = $2")
                .bind(room.to_string())
                .bind(user.to_string())
                .execute(connection)
                .await?;
            Ok(removed.rows_affected() > 0)
        }
    }
}

async fn set(
    connection: &mut AnyConnection,
    room: RoomId,
    user: UserId,
    column: &'static str,
    value: Option<String>,
) -> Result<bool, Error> {
    let statement = format!("UPDATE members SET {column} = $1 WHERE room_id = $2 AND user_id = $3");
    let changed = sqlx::query(AssertSqlSafe(statement))
        .bind(value)
        .bind(room.to_string())
        .bind(user.to_string())
        .execute(connection)
        .await?;
    Ok(changed.rows_affected() > 0)
}

async fn transfer(
    connection: &mut AnyConnection,
    room: RoomId,
    from: UserId,
    to: UserId,
) -> Result<bool, Error> {
    // PostgreSQL runs transactions side by side; this condition lets only one of two transfers happen.
    let given = sqlx::query("UPDATE rooms SET owner_id = $1 WHERE id = $2 AND owner_id = $3")
        .bind(to.to_string())
        .bind(room.to_string())
        .bind(from.to_string())
        .execute(&mut *connection)
        .await?;
    if given.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("UPDATE rooms SET owner_id = $1 WHERE parent_id = $2")
        .bind(to.to_string())
        .bind(room.to_string())
        .execute(&mut *connection)
        .await?;
    set(connection, room, from, "role", Some(Role::Admin.as_str().to_owned())).await?;
    set(connection, room, to, "role", Some(Role::Owner.as_str().to_owned())).await
}

async fn insert_ban(
    connection: &mut AnyConnection,
    room: RoomId,
    at_ms: i64,
    ordered: &Ordered,
    user: UserId,
    reason: &Option<String>,
) -> Result<bool, Error> {
    let row = sqlx::query("SELECT COUNT(*) AS banned FROM bans WHERE room_id = $1")
        .bind(room.to_string())
        .fetch_one(&mut *connection)
        .await?;
    if number(&row, "banned")? >= MAX_BANS {
        // The oldest makes room: a list that is full must not protect anybody.
        sqlx::query(
            "DELETE FROM bans WHERE room_id = $1 AND user_id IN (SELECT user_id FROM bans \
             WHERE room_id = $1 ORDER BY banned_ms, user_id LIMIT 1)",
        )
        .bind(room.to_string())
        .execute(&mut *connection)
        .await?;
    }
    let banned = sqlx::query(
        "INSERT INTO bans (room_id, user_id, display_name, by_user_id, by_name, reason, banned_ms) \
         SELECT $1, users.id, users.display_name, $2, $3, $4, $5 FROM users WHERE users.id = $6 \
         ON CONFLICT (room_id, user_id) DO UPDATE SET reason = excluded.reason",
    )
    .bind(room.to_string())
    .bind(ordered.by.user_id.to_string())
    .bind(&ordered.by.display_name)
    .bind(reason.as_deref())
    .bind(at_ms)
    .bind(user.to_string())
    .execute(connection)
    .await?;
    Ok(banned.rows_affected() > 0)
}

/// More would let a script fill the disk; fewer would forget people too soon.
const MAX_BANS: i64 = 1_000;

/// Somebody's role, read where it is about to be used.
pub(crate) async fn role_of(
    connection: &mut AnyConnection,
    room: RoomId,
    user: UserId,
) -> Result<Option<Role>, Error> {
    let row = sqlx::query(
        "SELECT role FROM members \
         WHERE room_id = (SELECT COALESCE(parent_id, id) FROM rooms WHERE id = $1) AND user_id = $2",
    )
    .bind(room.to_string())
    .bind(user.to_string())
    .fetch_optional(connection)
    .await?;
    row.map(|row| Role::parse(&text(&row, "role")?).ok_or(Error::Corrupt("members.role")))
        .transpose()
}

/// Somebody's name, for the log.
pub(crate) async fn name_of(
    connection: &mut AnyConnection,
    user: UserId,
) -> Result<Option<By>, Error> {
    let row = sqlx::query("SELECT id, display_name FROM users WHERE id = $1")
        .bind(user.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        Ok(By { user_id: parsed(&row, "id")?, display_name: text(&row, "display_name")? })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_needs_its_power_and_reaches_only_those_below() {
        use Role::{Admin, Guest, Member, Owner};
        let kick = Change::Remove { ban: false, reason: None, ends_invite: false };
        let judge_kick = |actor, target| judge(Some(actor), Power::Kick, Some(Some(target)), &kick);
        assert_eq!(judge_kick(Member, Guest), Err(Refused::NoPower));
        assert_eq!(judge_kick(Admin, Guest), Ok(()));
        assert_eq!(judge_kick(Admin, Admin), Err(Refused::NotBelow));
        assert_eq!(judge_kick(Admin, Owner), Err(Refused::NotBelow));
        assert_eq!(judge_kick(Owner, Admin), Ok(()));
        assert_eq!(judge(Some(Admin), Power::Kick, Some(None), &kick), Err(Refused::NoMember));
        assert_eq!(judge(None, Power::Kick, None, &kick), Err(Refused::NoPower));
        let ban = Change::Remove { ban: true, reason: None, ends_invite: false };
        assert_eq!(judge(Some(Admin), Power::Ban, Some(None), &ban), Ok(()));
    }

    #[test]
    fn nobody_makes_others_their_equals() {
        use Role::{Admin, Guest, Member, Owner};
        let set = |actor, target, role| {
            judge(Some(actor), Power::SetRole, Some(Some(target)), &Change::SetRole(role))
        };
        assert_eq!(set(Admin, Guest, Member), Ok(()));
        assert_eq!(set(Admin, Member, Admin), Err(Refused::NoPower));
        assert_eq!(set(Admin, Admin, Member), Err(Refused::NotBelow));
        assert_eq!(set(Owner, Member, Admin), Ok(()));
        assert_eq!(set(Owner, Member, Owner), Err(Refused::NoPower), "that is a transfer");
    }
}
