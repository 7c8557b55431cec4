//! Recordings: what is known of them. Their files lie in the records folder under slug and id.

use crate::error::Error;
use crate::orders::Refused;
use crate::pool::Store;
use crate::row::{is_set, number, optional_number, optional_text, parsed, text};
use crate::writer::Work;
use protocol::recording::{
    RecordEnd, Recording, RecordingFile, RecordingNow, RecordingOrigin, RecordingPolicy,
    RecordingState, RecordingsFor,
};
use protocol::room::By;
use protocol::{RecordingId, RoomId, UserId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// A recording with what decides who may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecording {
    /// The recording; its files only where they were asked for.
    pub recording: Recording,
    /// Who may see it.
    pub is_for: RecordingsFor,
    /// Whether the one who asks was there.
    pub was_there: bool,
}

/// A recording whose files are finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedRecording {
    /// Which.
    pub id: RecordingId,
    /// How it stands.
    pub state: RecordingState,
    /// How long it is.
    pub duration_ms: u64,
    /// Its files.
    pub files: Vec<RecordingFile>,
    /// Who was there.
    pub people: Vec<UserId>,
}

/// A recording that somebody uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// Its id.
    pub id: RecordingId,
    /// Into which room.
    pub room_id: RoomId,
    /// What it is called.
    pub title: String,
    /// Who uploads it.
    pub by: By,
    /// The file.
    pub file: RecordingFile,
}

const COLUMNS: &str = "recordings.id, recordings.room_id, rooms.slug, title, origin, state, \
     by_user_id, by_name, started_ms, ended_ms, end_reason, duration_ms, bytes, \
     rooms.recordings_for, rooms.recordings_kept_days, \
     (SELECT COUNT(*) FROM recording_people WHERE recording_id = recordings.id \
     AND user_id = $1) AS was_there";

impl Store {
    /// The recordings of a room, the newest or those before one, newest first.
    pub async fn recordings(
        &self,
        room: RoomId,
        viewer: UserId,
        before: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<StoredRecording>, Error> {
        let statement = format!(
            "SELECT {COLUMNS} FROM recordings JOIN rooms ON rooms.id = recordings.room_id \
             WHERE recordings.room_id = $2 AND recordings.id < $3 \
             ORDER BY recordings.id DESC LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(viewer.to_string())
            .bind(room.to_string())
            .bind(before.map_or_else(|| AFTER_ALL.to_owned(), |id| id.to_string()))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(recording_of).collect()
    }

    /// A recording with its files.
    pub async fn recording(
        &self,
        id: RecordingId,
        viewer: UserId,
    ) -> Result<Option<StoredRecording>, Error> {
        let statement = format!(
            "SELECT {COLUMNS} FROM recordings JOIN rooms ON rooms.id = recordings.room_id \
             WHERE recordings.id = $2"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(viewer.to_string())
            .bind(id.to_string())
            .fetch_optional(&self.reader)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let mut stored = recording_of(&row)?;
        stored.recording.files = self.recording_files(id).await?;
        Ok(Some(stored))
    }

    /// The files of a recording, in order of beginning.
    pub async fn recording_files(&self, id: RecordingId) -> Result<Vec<RecordingFile>, Error> {
        let rows = sqlx::query(
            "SELECT name, participant_id, user_id, display_name, source, codecs, offset_ms, \
             duration_ms, bytes FROM recording_files WHERE recording_id = $1 \
             ORDER BY offset_ms, name",
        )
        .bind(id.to_string())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(file_of).collect()
    }

    /// The recording that runs in a room.
    pub async fn running_recording(&self, room: RoomId) -> Result<Option<RecordingNow>, Error> {
        let row = sqlx::query(
            "SELECT id, started_ms, by_user_id, by_name FROM recordings \
             WHERE room_id = $1 AND ended_ms IS NULL AND origin = 'server'",
        )
        .bind(room.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(running_of).transpose()
    }

    /// Recordings that are not finished, with room and slug: at start, those that a crash left.
    pub async fn unfinished_recordings(
        &self,
    ) -> Result<Vec<(RoomId, String, RecordingNow)>, Error> {
        let rows = sqlx::query(
            "SELECT recordings.id, recordings.room_id, rooms.slug, started_ms, by_user_id, by_name \
             FROM recordings JOIN rooms ON rooms.id = recordings.room_id \
             WHERE state = 'recording' ORDER BY recordings.id",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| Ok((parsed(row, "room_id")?, text(row, "slug")?, running_of(row)?)))
            .collect()
    }

    /// Every recording there is, with the slug of its room: for comparing with the folder.
    pub async fn all_recordings(&self) -> Result<Vec<(RecordingId, String)>, Error> {
        let rows = sqlx::query(
            "SELECT recordings.id, rooms.slug FROM recordings \
             JOIN rooms ON rooms.id = recordings.room_id",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok((parsed(row, "id")?, text(row, "slug")?))).collect()
    }

    /// The slugs under which recordings of a room and of its breakout rooms lie.
    pub async fn recorded_slugs(&self, room: RoomId) -> Result<Vec<String>, Error> {
        let rows = sqlx::query("SELECT slug FROM rooms WHERE id = $1 OR parent_id = $1")
            .bind(room.to_string())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| text(row, "slug")).collect()
    }

    /// The slug of a recording's room.
    pub async fn recording_slug(&self, id: RecordingId) -> Result<Option<String>, Error> {
        let row = sqlx::query(
            "SELECT rooms.slug FROM recordings JOIN rooms ON rooms.id = recordings.room_id \
             WHERE recordings.id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| text(&row, "slug")).transpose()
    }

    /// Recordings whose time is over, with the slug of their rooms.
    pub async fn expired_recordings(
        &self,
        now_ms: i64,
    ) -> Result<Vec<(RecordingId, String)>, Error> {
        let rows = sqlx::query(
            "SELECT recordings.id, rooms.slug FROM recordings \
             JOIN rooms ON rooms.id = recordings.room_id WHERE state <> 'recording' \
             AND recordings_kept_days IS NOT NULL \
             AND ended_ms <= $1 - recordings_kept_days * $2 ORDER BY recordings.id LIMIT 1000",
        )
        .bind(now_ms)
        .bind(DAY_MS)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok((parsed(row, "id")?, text(row, "slug")?))).collect()
    }

    /// Bytes of all recordings of a room, and of the deployment.
    pub async fn recorded_bytes(&self, room: RoomId) -> Result<(u64, u64), Error> {
        let row = sqlx::query(
            "SELECT CAST(COALESCE(SUM(CASE WHEN room_id = $1 THEN bytes ELSE 0 END), 0) AS BIGINT) \
             AS of_room, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS of_all FROM recordings",
        )
        .bind(room.to_string())
        .fetch_one(&self.reader)
        .await?;
        Ok((bytes(&row, "of_room")?, bytes(&row, "of_all")?))
    }

    /// What a room decides about its recordings.
    pub async fn recording_policy(&self, room: RoomId) -> Result<Option<RecordingPolicy>, Error> {
        let row = sqlx::query(
            "SELECT recordings_for, recordings_kept_days, recordings_quota_mb FROM rooms \
             WHERE id = $1",
        )
        .bind(room.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(policy_of).transpose()
    }

    /// Changes what a room decides about its recordings; says whether the room was there.
    pub async fn set_recording_policy(
        &self,
        room: RoomId,
        policy: RecordingPolicy,
    ) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let changed = sqlx::query(
                        "UPDATE rooms SET recordings_for = $1, recordings_kept_days = $2, \
                         recordings_quota_mb = $3 WHERE id = $4",
                    )
                    .bind(policy.recordings_for.as_str())
                    .bind(policy.kept_days.map(i64::from))
                    .bind(policy.quota_mb.map(|mb| i64::try_from(mb).unwrap_or(i64::MAX)))
                    .bind(room.to_string())
                    .execute(connection)
                    .await?;
                    Ok(Work::Done(changed.rows_affected() > 0))
                })
            })
            .await
    }

    /// Notes what became of a recording; says whether it was there.
    pub async fn finish_recording(&self, finished: FinishedRecording) -> Result<bool, Error> {
        self.writer.write(move |connection| Box::pin(finish(connection, finished))).await
    }

    /// Notes that a recording has so many bytes by now.
    pub async fn recording_grew(&self, id: RecordingId, bytes: u64) -> Result<(), Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE recordings SET bytes = $1 WHERE id = $2 AND state = 'recording'",
                    )
                    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
                    .bind(id.to_string())
                    .execute(connection)
                    .await?;
                    Ok(Work::Done(()))
                })
            })
            .await
    }

    /// Notes an upload whose file is there; says whether its room was.
    pub async fn add_upload(&self, new: NewUpload, now_ms: i64) -> Result<bool, Error> {
        self.writer.write(move |connection| Box::pin(upload(connection, new, now_ms))).await
    }

    /// Notes how many bytes the exports of a finished recording have: they count like its own files.
    pub async fn note_exports(&self, id: RecordingId, bytes: u64) -> Result<(), Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE recordings SET bytes = $1 + (SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) \
                         FROM recording_files WHERE recording_id = $2) \
                         WHERE id = $2 AND state <> 'recording'",
                    )
                    .bind(signed(bytes))
                    .bind(id.to_string())
                    .execute(connection)
                    .await?;
                    Ok(Work::Done(()))
                })
            })
            .await
    }

    /// Gives a recording another title; says whether it was there.
    pub async fn rename_recording(&self, id: RecordingId, title: String) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let changed = sqlx::query("UPDATE recordings SET title = $1 WHERE id = $2")
                        .bind(title)
                        .bind(id.to_string())
                        .execute(connection)
                        .await?;
                    Ok(Work::Done(changed.rows_affected() > 0))
                })
            })
            .await
    }

    /// Forgets a recording that does not run; says whether it did.
    pub async fn delete_recording(&self, id: RecordingId) -> Result<bool, Error> {
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    let deleted = sqlx::query(
                        "DELETE FROM recordings WHERE id = $1 AND state <> 'recording'",
                    )
                    .bind(id.to_string())
                    .execute(connection)
                    .await?;
                    Ok(Work::Done(deleted.rows_affected() > 0))
                })
            })
            .await
    }
}

/// Begins a recording in the order's transaction.
pub(crate) async fn begin(
    connection: &mut AnyConnection,
    room: RoomId,
    at_ms: i64,
    id: RecordingId,
    title: &str,
    by: Option<&By>,
    at_most: u32,
) -> Result<Result<(), Refused>, Error> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS of_all, \
         CAST(COALESCE(SUM(CASE WHEN room_id = $1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS of_room \
         FROM recordings WHERE ended_ms IS NULL AND origin = 'server'",
    )
    .bind(room.to_string())
    .fetch_one(&mut *connection)
    .await?;
    if number(&row, "of_room")? > 0 {
        return Ok(Err(Refused::AlreadySo));
    }
    if number(&row, "of_all")? >= i64::from(at_most) {
        return Ok(Err(Refused::TooMany));
    }
    sqlx::query(
        "INSERT INTO recordings (id, room_id, title, origin, state, by_user_id, by_name, started_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(id.to_string())
    .bind(room.to_string())
    .bind(title)
    .bind(RecordingOrigin::Server.as_str())
    .bind(RecordingState::Recording.as_str())
    .bind(by.map(|by| by.user_id.to_string()))
    .bind(by.map(|by| by.display_name.clone()))
    .bind(at_ms)
    .execute(connection)
    .await?;
    Ok(Ok(()))
}

/// Ends a recording in the order's transaction. Its files are finished afterwards.
pub(crate) async fn end(
    connection: &mut AnyConnection,
    id: RecordingId,
    at_ms: i64,
    reason: RecordEnd,
) -> Result<Result<(), Refused>, Error> {
    let ended = sqlx::query(
        "UPDATE recordings SET ended_ms = $1, end_reason = $2 WHERE id = $3 AND ended_ms IS NULL",
    )
    .bind(at_ms)
    .bind(reason.as_str())
    .bind(id.to_string())
    .execute(connection)
    .await?;
    Ok(if ended.rows_affected() > 0 { Ok(()) } else { Err(Refused::AlreadySo) })
}

async fn finish(
    connection: &mut AnyConnection,
    finished: FinishedRecording,
) -> Result<Work<bool>, Error> {
    let all: u64 = finished.files.iter().map(|file| file.bytes).sum();
    let changed = sqlx::query(
        "UPDATE recordings SET state = $1, duration_ms = $2, bytes = $3, \
         ended_ms = COALESCE(ended_ms, started_ms + $2) WHERE id = $4",
    )
    .bind(finished.state.as_str())
    .bind(signed(finished.duration_ms))
    .bind(signed(all))
    .bind(finished.id.to_string())
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() == 0 {
        return Ok(Work::Undone(false));
    }
    sqlx::query("DELETE FROM recording_files WHERE recording_id = $1")
        .bind(finished.id.to_string())
        .execute(&mut *connection)
        .await?;
    for file in &finished.files {
        insert_file(connection, finished.id, file).await?;
    }
    for user in &finished.people {
        sqlx::query(
            "INSERT INTO recording_people (recording_id, user_id) VALUES ($1, $2) \
             ON CONFLICT DO NOTHING",
        )
        .bind(finished.id.to_string())
        .bind(user.to_string())
        .execute(&mut *connection)
        .await?;
    }
    Ok(Work::Done(true))
}

async fn upload(
    connection: &mut AnyConnection,
    new: NewUpload,
    now_ms: i64,
) -> Result<Work<bool>, Error> {
    let inserted = sqlx::query(
        "INSERT INTO recordings (id, room_id, title, origin, state, by_user_id, by_name, \
         started_ms, ended_ms, end_reason, duration_ms, bytes) \
         SELECT $1, rooms.id, $2, $3, $4, $5, $6, $7, $7, NULL, $8, $9 FROM rooms WHERE rooms.id = $10",
    )
    .bind(new.id.to_string())
    .bind(&new.title)
    .bind(RecordingOrigin::Upload.as_str())
    .bind(RecordingState::Complete.as_str())
    .bind(new.by.user_id.to_string())
    .bind(&new.by.display_name)
    .bind(now_ms)
    .bind(signed(new.file.duration_ms))
    .bind(signed(new.file.bytes))
    .bind(new.room_id.to_string())
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Work::Undone(false));
    }
    insert_file(connection, new.id, &new.file).await?;
    sqlx::query("INSERT INTO recording_people (recording_id, user_id) VALUES ($1, $2)")
        .bind(new.id.to_string())
        .bind(new.by.user_id.to_string())
        .execute(connection)
        .await?;
    Ok(Work::Done(true))
}

pub(crate) async fn insert_file(
    connection: &mut AnyConnection,
    id: RecordingId,
    file: &RecordingFile,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO recording_files (recording_id, name, participant_id, user_id, display_name, \
         source, codecs, offset_ms, duration_ms, bytes) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id.to_string())
    .bind(&file.name)
    .bind(file.participant_id.map(|id| id.to_string()))
    .bind(file.user_id.map(|id| id.to_string()))
    .bind(&file.display_name)
    .bind(&file.source)
    .bind(file.codecs.join(","))
    .bind(signed(file.offset_ms))
    .bind(signed(file.duration_ms))
    .bind(signed(file.bytes))
    .execute(connection)
    .await?;
    Ok(())
}

fn recording_of(row: &AnyRow) -> Result<StoredRecording, Error> {
    let ended_ms = optional_number(row, "ended_ms")?;
    let kept_days = optional_number(row, "recordings_kept_days")?;
    let end = match optional_text(row, "end_reason")? {
        None => None,
        Some(word) => Some(RecordEnd::parse(&word).ok_or(Error::Corrupt("recordings.end_reason"))?),
    };
    let duration_ms = optional_number(row, "duration_ms")?;
    let recording = Recording {
        id: parsed(row, "id")?,
        room_id: parsed(row, "room_id")?,
        slug: text(row, "slug")?,
        title: text(row, "title")?,
        origin: RecordingOrigin::parse(&text(row, "origin")?)
            .ok_or(Error::Corrupt("recordings.origin"))?,
        state: RecordingState::parse(&text(row, "state")?)
            .ok_or(Error::Corrupt("recordings.state"))?,
        end,
        by: by_in(row)?,
        started_ms: number(row, "started_ms")?,
        ended_ms,
        duration_ms: duration_ms.map(|ms| u64::try_from(ms).unwrap_or(0)),
        bytes: bytes(row, "bytes")?,
        expires_ms: ended_ms.zip(kept_days).map(|(ended, days)| ended + days * DAY_MS),
        files: Vec::new(),
    };
    Ok(StoredRecording { recording, is_for: is_for_in(row)?, was_there: is_set(row, "was_there")? })
}

fn running_of(row: &AnyRow) -> Result<RecordingNow, Error> {
    Ok(RecordingNow {
        recording_id: parsed(row, "id")?,
        since_ms: number(row, "started_ms")?,
        by: by_in(row)?,
    })
}

fn policy_of(row: &AnyRow) -> Result<RecordingPolicy, Error> {
    let positive = |column| -> Result<Option<u64>, Error> {
        Ok(optional_number(row, column)?.map(|number| u64::try_from(number).unwrap_or(0)))
    };
    Ok(RecordingPolicy {
        recordings_for: is_for_in(row)?,
        kept_days: positive("recordings_kept_days")?
            .map(|days| u32::try_from(days).unwrap_or(u32::MAX)),
        quota_mb: positive("recordings_quota_mb")?,
    })
}

fn is_for_in(row: &AnyRow) -> Result<RecordingsFor, Error> {
    let word = text(row, "recordings_for")?;
    RecordingsFor::parse(&word).ok_or(Error::Corrupt("rooms.recordings_for"))
}

fn by_in(row: &AnyRow) -> Result<Option<By>, Error> {
    let Some(id) = optional_text(row, "by_user_id")? else { return Ok(None) };
    Ok(Some(By {
        user_id: id.parse().map_err(|_| Error::Corrupt("recordings.by_user_id"))?,
        display_name: optional_text(row, "by_name")?.unwrap_or_default(),
    }))
}

fn file_of(row: &AnyRow) -> Result<RecordingFile, Error> {
    let corrupt = |_| Error::Corrupt("recording_files");
    let participant = optional_text(row, "participant_id")?;
    let user = optional_text(row, "user_id")?;
    Ok(RecordingFile {
        name: text(row, "name")?,
        participant_id: participant.map(|id| id.parse()).transpose().map_err(corrupt)?,
        user_id: user.map(|id| id.parse()).transpose().map_err(corrupt)?,
        display_name: text(row, "display_name")?,
        source: text(row, "source")?,
        codecs: text(row, "codecs")?
            .split(',')
            .filter(|codec| !codec.is_empty())
            .map(str::to_owned)
            .collect(),
        offset_ms: bytes(row, "offset_ms")?,
        duration_ms: bytes(row, "duration_ms")?,
        bytes: bytes(row, "bytes")?,
    })
}

fn bytes(row: &AnyRow, column: &'static str) -> Result<u64, Error> {
    Ok(u64::try_from(number(row, column)?).unwrap_or(0))
}

pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Greater than every id.
const AFTER_ALL: &str = "g";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestDatabase;
    use crate::{Audience, Change, Fact, NewEvent, NewRoom, Ordered, Stored};
    use protocol::ServerMessage;
    use uuid::Uuid;

    const ANNA: UserId = UserId(Uuid::from_u128(1));
    const ROOM: RoomId = RoomId(Uuid::from_u128(2));

    async fn with_room(store: &Store) {
        store.create_guest(ANNA, "Anna", None, 0).await.expect("a guest");
        let new = NewRoom {
            id: ROOM,
            slug: "weekly".into(),
            name: "Weekly".into(),
            owner_id: ANNA,
            invite_key_hash: None,
            invite_code_hash: "hash".into(),
            invite_code_sealed: "sealed".into(),
        };
        store.create_room(&new, 0).await.expect("a room");
    }

    fn by() -> By {
        By { user_id: ANNA, display_name: "Anna".into() }
    }

    fn id(n: u128) -> RecordingId {
        RecordingId(Uuid::from_u128(n))
    }

    /// What the store says of an order about recordings, at that time.
    async fn order(store: &Store, at_ms: i64, change: Change) -> Stored {
        let message = ServerMessage::RecordStopped {
            recording_id: id(0),
            reason: RecordEnd::Stopped,
            by: None,
            seq: 0,
        };
        let audience = Audience::Everybody;
        let ordered = Ordered { message, by: by(), power: None, target: None, change, audience };
        let event = NewEvent { at_ms, fact: Fact::Ordered(Box::new(ordered)) };
        store.append_events(ROOM, &[event]).await.expect("is stored").remove(0)
    }

    fn start(n: u128, at_most: u32) -> Change {
        Change::StartRecording { id: id(n), title: "Weekly".into(), by: Some(by()), at_most }
    }

    fn stop(n: u128) -> Change {
        Change::StopRecording { id: id(n), reason: RecordEnd::Empty }
    }

    fn file(name: &str, bytes: u64) -> RecordingFile {
        RecordingFile {
            name: name.into(),
            participant_id: None,
            user_id: Some(ANNA),
            display_name: "Anna".into(),
            source: "camera".into(),
            codecs: vec!["opus".into(), "vp8".into()],
            offset_ms: 3,
            duration_ms: 60,
            bytes,
        }
    }

    #[tokio::test]
    async fn a_recording_runs_once_in_a_room_ends_once_and_is_known_until_it_is_deleted() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            with_room(store).await;
            let refused = |refused| Stored::Refused(refused);
            assert_eq!(order(store, 5, start(1, 0)).await, refused(Refused::TooMany));
            assert!(matches!(order(store, 5, start(1, 1)).await, Stored::New { .. }));
            assert_eq!(order(store, 6, start(2, 1)).await, refused(Refused::AlreadySo));
            let running = store.running_recording(ROOM).await.unwrap().expect("it runs");
            assert_eq!(
                (running.recording_id, running.since_ms, running.by),
                (id(1), 5, Some(by()))
            );
            store.recording_grew(id(1), 70).await.unwrap();
            assert_eq!(store.recorded_bytes(ROOM).await.unwrap(), (70, 70));
            assert!(!store.delete_recording(id(1)).await.unwrap(), "it runs");
            assert!(matches!(order(store, 65, stop(1)).await, Stored::New { .. }));
            assert_eq!(order(store, 66, stop(1)).await, refused(Refused::AlreadySo));
            assert_eq!(store.running_recording(ROOM).await.unwrap(), None);
            let unfinished = store.unfinished_recordings().await.unwrap();
            assert_eq!(unfinished.len(), 1, "{}", database.name);
            let finished = FinishedRecording {
                id: id(1),
                state: RecordingState::Recovered,
                duration_ms: 60,
                files: vec![file("a.webm", 40), file("b.webm", 50)],
                people: vec![ANNA, ANNA],
            };
            assert!(store.finish_recording(finished.clone()).await.unwrap());
            assert!(store.finish_recording(finished.clone()).await.unwrap(), "twice is once");
            let gone = FinishedRecording { id: id(9), ..finished };
            assert!(!store.finish_recording(gone).await.unwrap());
            assert!(store.unfinished_recordings().await.unwrap().is_empty());
            let stored = store.recording(id(1), ANNA).await.unwrap().expect("it is there");
            assert!(stored.was_there && stored.is_for == RecordingsFor::Admins);
            let recording = stored.recording;
            assert_eq!(
                (recording.bytes, recording.duration_ms, recording.ended_ms),
                (90, Some(60), Some(65))
            );
            assert_eq!((recording.end, recording.files.len()), (Some(RecordEnd::Empty), 2));
            assert_eq!(recording.files[0], file("a.webm", 40));
            let stranger = UserId(Uuid::from_u128(77));
            assert!(!store.recording(id(1), stranger).await.unwrap().unwrap().was_there);
            assert!(store.rename_recording(id(1), "Budget".into()).await.unwrap());
            assert!(store.delete_recording(id(1)).await.unwrap());
            assert_eq!(store.recording(id(1), ANNA).await.unwrap(), None);
            assert!(store.recording_files(id(1)).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn uploads_stand_beside_them_and_all_go_when_their_time_is_over() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            with_room(store).await;
            for n in 1..=3 {
                let (title, file) = ("Film".to_owned(), file("upload.webm", 10));
                let new = NewUpload { id: id(n), room_id: ROOM, title, by: by(), file };
                let at_ms = i64::try_from(n).unwrap();
                assert!(store.add_upload(new.clone(), at_ms).await.unwrap(), "{}", database.name);
                let nowhere = NewUpload { id: id(n + 50), room_id: RoomId(Uuid::nil()), ..new };
                assert!(!store.add_upload(nowhere, at_ms).await.unwrap());
            }
            let ids = async |before, limit| -> Vec<RecordingId> {
                let found = store.recordings(ROOM, ANNA, before, limit).await.unwrap();
                found.into_iter().map(|stored| stored.recording.id).collect()
            };
            assert_eq!(ids(None, 2).await, [id(3), id(2)]);
            assert_eq!(ids(Some(id(2)), 9).await, [id(1)]);
            assert_eq!(store.all_recordings().await.unwrap().len(), 3);
            assert!(store.expired_recordings(i64::MAX / 2).await.unwrap().is_empty());
            let policy = RecordingPolicy {
                recordings_for: RecordingsFor::Present,
                kept_days: Some(2),
                quota_mb: Some(7),
            };
            assert!(store.set_recording_policy(ROOM, policy).await.unwrap());
            assert_eq!(store.recording_policy(ROOM).await.unwrap(), Some(policy));
            let expired = store.expired_recordings(2 + 2 * DAY_MS).await.unwrap();
            assert_eq!(expired, [(id(1), "weekly".to_owned()), (id(2), "weekly".to_owned())]);
            let kept = store.recordings(ROOM, ANNA, None, 1).await.unwrap();
            assert_eq!(kept[0].recording.expires_ms, Some(3 + 2 * DAY_MS));
            assert!(store.delete_room(ROOM).await.unwrap());
            assert!(store.all_recordings().await.unwrap().is_empty());
        }
    }
}
