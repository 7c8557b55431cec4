//! The log of a room: joins, leaves and chat, each with the room's next number, given in the transaction
//! that stores it.

use crate::audit;
use crate::chat::{self, NewMessage, Touched};
use crate::error::Error;
use crate::orders::{self, Audience, Change, Ordered, Refused};
use crate::pool::Store;
use crate::row::number;
use crate::writer::Work;
use protocol::breakout::Breakouts;
use protocol::room::{ChatMessage, Orders, Participant, RoomState};
use protocol::server::LeaveReason;
use protocol::{ParticipantId, RoomId, ServerMessage, UserId};
use serde_json::json;
use sqlx::AnyConnection;

/// Something that shall be stored with the room's next number.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// When it happened, milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub fact: Fact,
}

/// What a room remembers.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// Somebody came.
    Joined(Participant),
    /// Somebody went.
    Left {
        /// Who.
        participant_id: ParticipantId,
        /// The identity behind them.
        user_id: UserId,
        /// Why.
        reason: LeaveReason,
    },
    /// Somebody wrote.
    Chat(NewMessage),
    /// Somebody decided something about others, the room or themselves.
    Ordered(Box<Ordered>),
}

/// What became of a [`NewEvent`].
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// It has this number now.
    New {
        /// The room's number of it.
        seq: i64,
    },
    /// A chat message with the author's `client_id` was there; this is it.
    Already(Box<ChatMessage>),
    /// A line with files has this number now, and these files.
    Line(Box<ChatMessage>),
    /// A change of a line has this number now.
    Changed {
        /// The room's number of it.
        seq: i64,
        /// The line, and whom it concerns.
        touched: Box<Touched>,
    },
    /// It is against what holds now, and nothing was stored.
    Refused(Refused),
}

/// What a room needs to know when it opens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomLog {
    /// Number that the next event gets.
    pub next_seq: i64,
    /// Newest chat messages, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Pinned ones, the last pinned first.
    pub pinned: Vec<ChatMessage>,
    /// Who had joined and not left when the process that held the room ended.
    pub abandoned: Vec<(ParticipantId, UserId)>,
    /// Topic, lock and so on, without hands.
    pub state: RoomState,
    /// What moderators have ordered, for those of whom they ordered something.
    pub orders: Vec<(UserId, Orders)>,
    /// Who was admitted from the lobby, and when.
    pub admitted: Vec<(UserId, i64)>,
    /// Of a breakout room: its main room.
    pub parent: Option<RoomId>,
    /// Breakout rooms that are open, of this room or of its main room.
    pub breakouts: Option<Breakouts>,
    /// The room's part of its address.
    pub slug: String,
    /// Its name.
    pub name: String,
}

impl Store {
    /// Stores events of a room in this order and in one transaction: all or none. Fails when the room is gone.
    pub async fn append_events(
        &self,
        room: RoomId,
        events: &[NewEvent],
    ) -> Result<Vec<Stored>, Error> {
        let events = events.to_vec();
        let kept = self.events_kept;
        self.writer
            .write(move |connection| Box::pin(append_all(connection, room, events, kept)))
            .await
    }
}

async fn append_all(
    connection: &mut AnyConnection,
    room: RoomId,
    events: Vec<NewEvent>,
    kept: i64,
) -> Result<Work<Vec<Stored>>, Error> {
    let row =
        sqlx::query("SELECT COALESCE(MAX(seq), 0) + 1 AS next_seq FROM events WHERE room_id = $1")
            .bind(room.to_string())
            .fetch_one(&mut *connection)
            .await?;
    let mut seq = number(&row, "next_seq")?;
    let first = seq;
    let mut stored = Vec::with_capacity(events.len());
    for event in &events {
        if let Fact::Chat(message) = &event.fact
            && let Some(message) = chat::already_there(connection, room, message).await?
        {
            stored.push(Stored::Already(Box::new(message)));
            continue;
        }
        let touched = match is_still_right(connection, room, event).await? {
            Ok(touched) => touched,
            Err(refused) => {
                stored.push(Stored::Refused(refused));
                continue;
            }
        };
        append(connection, room, seq, event, touched.as_ref()).await?;
        stored.push(match (&event.fact, touched) {
            (_, Some(touched)) => Stored::Changed { seq, touched: Box::new(touched) },
            (Fact::Chat(new), None) if !new.attachments.is_empty() => {
                let mut message = new.clone().stored(seq, event.at_ms);
                message.attachments = chat::attachments_of(connection, new.id).await?;
                Stored::Line(Box::new(message))
            }
            (_, None) => Stored::New { seq },
        });
        seq += 1;
    }
    forget_old(connection, room, first, seq, kept).await?;
    Ok(Work::Done(stored))
}

/// Whether what was decided before still holds in this transaction. An order that does has made its change.
async fn is_still_right(
    connection: &mut AnyConnection,
    room: RoomId,
    event: &NewEvent,
) -> Result<Result<Option<Touched>, Refused>, Error> {
    match &event.fact {
        // Between a ticket and the join they may have been removed, or become something else.
        Fact::Joined(participant) => {
            let role = orders::role_of(connection, room, participant.user_id).await?;
            Ok(match role {
                None => Err(Refused::NoMember),
                Some(role) if role != participant.role => Err(Refused::Outdated),
                Some(_) => Ok(None),
            })
        }
        Fact::Ordered(ordered) => match &ordered.change {
            Change::Message { id, what } => {
                let by = ordered.by.user_id;
                let done = chat::change(connection, room, event.at_ms, by, *id, what).await?;
                Ok(done.map(Some))
            }
            _ => Ok(orders::obey(connection, room, event.at_ms, ordered).await?.map(|()| None)),
        },
        Fact::Chat(new) => Ok(chat::may_write(connection, room, new).await?.map(|()| None)),
        Fact::Left { .. } => Ok(Ok(None)),
    }
}

/// Forgets events of long ago, some at a time; chat stays.
async fn forget_old(
    connection: &mut AnyConnection,
    room: RoomId,
    first: i64,
    next: i64,
    kept: i64,
) -> Result<(), Error> {
    let step = (kept / FORGET_IN_PARTS).max(1);
    let floor = next - 1 - kept;
    if first / step == next / step || floor <= 0 {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM events WHERE room_id = $1 AND seq <= $2 AND kind NOT LIKE 'chat.message%'",
    )
    .bind(room.to_string())
    .bind(floor)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE rooms SET events_floor = $1 WHERE id = $2")
        .bind(floor)
        .bind(room.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Old events go when a sixteenth of those kept has come anew. More parts delete more often.
const FORGET_IN_PARTS: i64 = 16;

async fn append(
    connection: &mut AnyConnection,
    room: RoomId,
    seq: i64,
    event: &NewEvent,
    touched: Option<&Touched>,
) -> Result<(), Error> {
    let mut row = Row::of(&event.fact);
    if let Some(touched) = touched {
        row.audience = touched.audience;
    }
    sqlx::query(
        "INSERT INTO events \
         (room_id, seq, at_ms, kind, user_id, participant_id, body, audience, message_id) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(room.to_string())
    .bind(seq)
    .bind(event.at_ms)
    .bind(&row.kind)
    .bind(row.user_id.to_string())
    .bind(row.participant_id.map(|id| id.to_string()))
    .bind(row.body.as_deref())
    .bind(audience_text(row.audience))
    .bind(touched.map(|touched| touched.message.id.to_string()))
    .execute(&mut *connection)
    .await?;
    match &event.fact {
        Fact::Joined(participant) => {
            sqlx::query(
                "INSERT INTO presences (participant_id, room_id, user_id, joined_ms) \
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(participant.id.to_string())
            .bind(room.to_string())
            .bind(participant.user_id.to_string())
            .bind(event.at_ms)
            .execute(&mut *connection)
            .await?;
        }
        Fact::Left { participant_id, .. } => {
            sqlx::query("DELETE FROM presences WHERE participant_id = $1")
                .bind(participant_id.to_string())
                .execute(&mut *connection)
                .await?;
        }
        Fact::Ordered(ordered) => {
            let author = touched.filter(|touched| touched.is_moderation);
            let target = ordered.target.or(author.map(|touched| touched.message.user_id));
            if ordered.power.is_some() || author.is_some() {
                audit::note(connection, room, seq, event.at_ms, ordered, target, &row).await?;
            }
        }
        Fact::Chat(message) => {
            chat::insert(connection, room, seq, event.at_ms, message).await?;
        }
    }
    Ok(())
}

/// An event as its columns have it.
pub(crate) struct Row {
    pub kind: String,
    user_id: UserId,
    participant_id: Option<ParticipantId>,
    pub body: Option<String>,
    audience: Audience,
}

impl Row {
    fn of(fact: &Fact) -> Self {
        let everybody = Audience::Everybody;
        match fact {
            Fact::Joined(participant) => Self {
                kind: "member.joined".into(),
                user_id: participant.user_id,
                participant_id: Some(participant.id),
                body: Some(json!({ "participant": participant }).to_string()),
                audience: everybody,
            },
            Fact::Left { participant_id, user_id, reason } => Self {
                kind: "member.left".into(),
                user_id: *user_id,
                participant_id: Some(*participant_id),
                body: Some(json!({ "reason": reason }).to_string()),
                audience: everybody,
            },
            Fact::Chat(message) => Self {
                kind: if message.sealed.is_some() { SEALED_LINE } else { LINE }.into(),
                user_id: message.user_id,
                participant_id: None,
                body: None,
                audience: message.audience(),
            },
            Fact::Ordered(ordered) => {
                let (kind, body) = parts_of(&ordered.message);
                Self {
                    kind,
                    user_id: ordered.by.user_id,
                    participant_id: None,
                    body: Some(body),
                    audience: ordered.audience,
                }
            }
        }
    }
}

/// A message's type, and what is stored of the rest: all but its number, which has a column.
fn parts_of(message: &ServerMessage) -> (String, String) {
    let mut value = serde_json::to_value(message).expect("our own messages are JSON");
    let fields = value.as_object_mut().expect("a message is an object");
    let kind = fields.remove("type");
    fields.remove("seq");
    fields.remove("re");
    let kind = kind.and_then(|kind| kind.as_str().map(str::to_owned));
    (kind.expect("a message has a type"), value.to_string())
}

fn audience_text(audience: Audience) -> Option<String> {
    match audience {
        Audience::Everybody => None,
        Audience::Moderators => Some(MODERATORS.to_owned()),
        Audience::One(user) => Some(user.to_string()),
    }
}

/// Types of events that stand in `messages`.
pub(crate) const LINE: &str = "chat.message";
pub(crate) const SEALED_LINE: &str = "chat.message.enc";
/// In the column of audiences, where else ids stand.
pub(crate) const MODERATORS: &str = "moderators";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDatabase;
    use crate::{EventPage, NewRoom, RoomCreated};
    use protocol::MessageId;
    use protocol::rest::MessagePage;
    use protocol::room::{MediaState, Presence, Role};
    use uuid::Uuid;

    async fn own_room(store: &Store, n: u128) -> RoomId {
        let owner = UserId(Uuid::from_u128(n));
        store.create_guest(owner, "Anna", None, 0).await.expect("a guest");
        let id = RoomId(Uuid::from_u128(1_000 + n));
        let new = NewRoom {
            id,
            slug: format!("room-{n}"),
            name: "Room".into(),
            owner_id: owner,
            invite_key_hash: None,
            invite_code_hash: format!("hash {n}"),
            invite_code_sealed: "sealed".into(),
        };
        assert!(matches!(store.create_room(&new, 0).await, Ok(RoomCreated::Yes(_))));
        id
    }

    const ANNA: UserId = UserId(Uuid::from_u128(1));

    fn chat(id: u128, text: &str, client_id: Option<&str>) -> NewEvent {
        let author = UserId(Uuid::from_u128(1));
        let id = MessageId(Uuid::from_u128(id));
        let mut message = NewMessage::line(id, author, "Анна".into(), text.into());
        message.client_id = client_id.map(str::to_owned);
        NewEvent { at_ms: 5, fact: Fact::Chat(message) }
    }

    fn joined(id: u128) -> NewEvent {
        let participant = Participant {
            id: ParticipantId(Uuid::from_u128(id)),
            user_id: UserId(Uuid::from_u128(1)),
            display_name: "Анна".into(),
            role: Role::Owner,
            presence: Presence::Online,
            media: MediaState::default(),
            orders: Orders::default(),
            keys: None,
            tracks: Vec::new(),
            joined_ms: 5,
        };
        NewEvent { at_ms: 5, fact: Fact::Joined(participant) }
    }

    fn left(id: u128) -> NewEvent {
        let fact = Fact::Left {
            participant_id: ParticipantId(Uuid::from_u128(id)),
            user_id: UserId(Uuid::from_u128(1)),
            reason: LeaveReason::TimedOut,
        };
        NewEvent { at_ms: 6, fact }
    }

    /// Anna writes in every room, hers or not.
    async fn room(store: &Store, n: u128) -> RoomId {
        let id = own_room(store, n).await;
        store.add_member(id, ANNA, Role::Guest, 0).await.expect("a member");
        id
    }

    fn seqs(stored: &[Stored]) -> Vec<i64> {
        stored
            .iter()
            .map(|stored| match stored {
                Stored::New { seq } => *seq,
                Stored::Already(message) => -message.seq,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[tokio::test]
    async fn each_room_numbers_its_events_from_one_without_gaps() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            let (one, two) = (room(store, 1).await, room(store, 2).await);
            let stored = store.append_events(one, &[joined(1), chat(2, "a", None)]).await.unwrap();
            assert_eq!(seqs(&stored), [1, 2], "{}", database.name);
            let stored = store.append_events(two, &[chat(3, "c", None)]).await.unwrap();
            assert_eq!(seqs(&stored), [1]);
            let stored = store.append_events(one, &[chat(4, "b", None), left(1)]).await.unwrap();
            assert_eq!(seqs(&stored), [3, 4]);
            assert_eq!(store.room_log(one, 50, 0).await.unwrap().next_seq, 5);
        }
    }

    #[tokio::test]
    async fn the_same_client_id_is_the_same_message_in_one_batch_and_later() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            let (one, two) = (room(store, 1).await, room(store, 2).await);
            let batch = [chat(1, "a", Some("c")), chat(2, "a", Some("c")), chat(3, "b", None)];
            assert_eq!(seqs(&store.append_events(one, &batch).await.unwrap()), [1, -1, 2]);
            let again = store.append_events(one, &[chat(4, "other", Some("c"))]).await.unwrap();
            let Stored::Already(message) = &again[0] else { panic!("{again:?}") };
            assert_eq!((message.id.0.as_u128(), message.text.as_str()), (1, "a"));
            let elsewhere = store.append_events(two, &[chat(5, "a", Some("c"))]).await.unwrap();
            assert_eq!(seqs(&elsewhere), [1]);
        }
    }

    #[tokio::test]
    async fn a_batch_that_fails_leaves_nothing_and_uses_no_number() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            let one = room(store, 1).await;
            store.append_events(one, &[chat(1, "a", None)]).await.unwrap();
            let twice = [chat(2, "b", None), chat(1, "the same id", None)];
            assert!(store.append_events(one, &twice).await.is_err());
            let nowhere = RoomId(Uuid::from_u128(9));
            assert!(store.append_events(nowhere, &[left(3)]).await.is_err());
            let line = store.append_events(nowhere, &[chat(3, "c", None)]).await.unwrap();
            assert_eq!(line, [Stored::Refused(Refused::NoMember)]);
            let log = store.room_log(one, 50, 0).await.unwrap();
            assert_eq!((log.next_seq, log.messages.len()), (2, 1));
        }
    }

    #[tokio::test]
    async fn history_comes_in_pages_from_the_newest_back() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            let (one, two) = (room(store, 1).await, room(store, 2).await);
            let lines: Vec<_> = (1..=5).map(|n| chat(n, &format!("{n}"), None)).collect();
            store.append_events(one, &lines).await.unwrap();
            store.append_events(two, &[chat(9, "elsewhere", None)]).await.unwrap();
            let texts = |page: &MessagePage| {
                page.messages.iter().map(|message| message.text.clone()).collect::<Vec<_>>()
            };
            let page = store.messages(one, ANNA, None, 2).await.unwrap().unwrap();
            assert_eq!((texts(&page), page.has_more), (vec!["4".into(), "5".into()], true));
            let before = Some(page.messages[0].id);
            let page = store.messages(one, ANNA, before, 3).await.unwrap().unwrap();
            assert_eq!(
                (texts(&page), page.has_more),
                (vec!["1".into(), "2".into(), "3".into()], false)
            );
            let foreign = Some(MessageId(Uuid::from_u128(9)));
            assert_eq!(
                store.messages(one, ANNA, foreign, 3).await.unwrap().map(|page| page.has_more),
                None
            );
            let log = store.room_log(one, 4, 0).await.unwrap();
            assert_eq!(log.messages.len(), 4);
            assert_eq!(log.messages[3].text, "5");
        }
    }

    #[tokio::test]
    async fn old_events_are_forgotten_chat_is_not_and_a_gap_that_is_not_kept_says_so() {
        for database in TestDatabase::all().await {
            let store = database.store.clone().keeping_events(32);
            let one = room(&store, 1).await;
            store.append_events(one, &[chat(1, "kept for ever", None)]).await.unwrap();
            for n in 2..=200 {
                let coming = if n % 2 == 0 { joined(n) } else { left(n - 1) };
                store.append_events(one, &[coming]).await.unwrap();
            }
            let after = async |seq| store.events_after(one, seq, 200, ANNA, false).await.unwrap();
            for forgotten in [0, 1, 100] {
                assert_eq!(after(forgotten).await, EventPage::Forgotten, "{}", database.name);
            }
            let EventPage::Events { events, upto_seq, has_more } = after(180).await else {
                panic!("the newest are kept");
            };
            assert_eq!((events.len(), upto_seq, has_more), (20, 200, false));
            let rows = sqlx::query("SELECT COUNT(*) AS kept FROM events WHERE room_id = $1")
                .bind(one.to_string())
                .fetch_one(&store.reader)
                .await
                .unwrap();
            let kept = number(&rows, "kept").unwrap();
            // Those kept, those that wait for the next sixteenth to be full, and the line.
            assert!((33..=33 + 32 / FORGET_IN_PARTS).contains(&kept), "{kept}");
            let page = store.messages(one, ANNA, None, 10).await.unwrap().unwrap();
            assert_eq!(page.messages[0].text, "kept for ever");
            assert_eq!(store.room_log(one, 50, 0).await.unwrap().next_seq, 201);
        }
    }

    #[tokio::test]
    async fn who_joined_and_never_left_is_known_when_the_room_opens() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            let one = room(store, 1).await;
            store.append_events(one, &[joined(1), joined(2), left(1)]).await.unwrap();
            let log = store.room_log(one, 1, 0).await.unwrap();
            let two = (ParticipantId(Uuid::from_u128(2)), UserId(Uuid::from_u128(1)));
            assert_eq!(log.abandoned, [two], "{}", database.name);
        }
    }

    #[tokio::test]
    async fn a_deleted_room_takes_its_events_and_messages_along() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            let one = room(store, 1).await;
            store.append_events(one, &[joined(1), chat(2, "a", None)]).await.unwrap();
            assert!(store.delete_room(one).await.unwrap());
            let log = store.room_log(one, 50, 0).await.unwrap();
            assert_eq!(log, RoomLog { next_seq: 1, ..RoomLog::default() });
        }
    }
}
