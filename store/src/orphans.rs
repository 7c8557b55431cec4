//! Recordings that lie on the disk while no row knows them: such as after a backup was put back.

use crate::error::Error;
use crate::pool::Store;
use crate::recordings::{insert_file, signed};
use crate::writer::Work;
use protocol::recording::{RecordEnd, RecordingFile, RecordingOrigin, RecordingState};
use protocol::{RecordingId, UserId};
use sqlx::AnyConnection;

/// What the disk tells of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecording {
    /// Its id.
    pub id: RecordingId,
    /// The slug of its room.
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// How it stands.
    pub state: RecordingState,
    /// Why it ended.
    pub reason: RecordEnd,
    /// When it began, milliseconds since 1970.
    pub started_ms: i64,
    /// How long it is.
    pub duration_ms: u64,
    /// Its files.
    pub files: Vec<RecordingFile>,
    /// Who was there.
    pub people: Vec<UserId>,
}

impl Store {
    /// Takes a recording in; says whether there is a room of that slug, and no recording of that id yet.
    pub async fn adopt_recording(&self, found: FoundRecording) -> Result<bool, Error> {
        self.writer.write(move |connection| Box::pin(adopt(connection, found))).await
    }
}

async fn adopt(connection: &mut AnyConnection, found: FoundRecording) -> Result<Work<bool>, Error> {
    let bytes: u64 = found.files.iter().map(|file| file.bytes).sum();
    let inserted = sqlx::query(
        "INSERT INTO recordings (id, room_id, title, origin, state, by_user_id, by_name, \
         started_ms, ended_ms, end_reason, duration_ms, bytes) \
         SELECT $1, rooms.id, $2, $3, $4, NULL, NULL, $5, $6, $7, $8, $9 FROM rooms \
         WHERE rooms.slug = $10 ON CONFLICT DO NOTHING",
    )
    .bind(found.id.to_string())
    .bind(&found.title)
    .bind(RecordingOrigin::Server.as_str())
    .bind(found.state.as_str())
    .bind(found.started_ms)
    .bind(found.started_ms.saturating_add(signed(found.duration_ms)))
    .bind(found.reason.as_str())
    .bind(signed(found.duration_ms))
    .bind(signed(bytes))
    .bind(&found.slug)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Work::Undone(false));
    }
    for file in &found.files {
        insert_file(connection, found.id, file).await?;
    }
    for user in &found.people {
        sqlx::query("INSERT INTO recording_people (recording_id, user_id) VALUES ($1, $2)")
            .bind(found.id.to_string())
            .bind(user.to_string())
            .execute(&mut *connection)
            .await?;
    }
    Ok(Work::Done(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewRoom;
    use crate::testing::TestDatabase;
    use protocol::RoomId;
    use uuid::Uuid;

    #[tokio::test]
    async fn what_lies_on_the_disk_is_taken_in_once_and_only_where_its_room_is() {
        for database in TestDatabase::all().await {
            let store = &database.store;
            let anna = UserId(Uuid::from_u128(1));
            store.create_guest(anna, "Anna", None, 0).await.expect("a guest");
            let room = RoomId(Uuid::from_u128(2));
            let new = NewRoom {
                id: room,
                slug: "weekly".into(),
                name: "Weekly".into(),
                owner_id: anna,
                invite_key_hash: None,
                invite_code_hash: "hash".into(),
                invite_code_sealed: "sealed".into(),
            };
            store.create_room(&new, 0).await.expect("a room");
            let file = RecordingFile {
                name: "weekly_camera.webm".into(),
                participant_id: None,
                user_id: Some(anna),
                display_name: "Anna".into(),
                source: "camera".into(),
                codecs: vec!["opus".into(), "vp8".into()],
                offset_ms: 5,
                duration_ms: 60_000,
                bytes: 1_000,
            };
            let found = FoundRecording {
                id: RecordingId(Uuid::from_u128(3)),
                slug: "weekly".into(),
                title: "Weekly".into(),
                state: RecordingState::Recovered,
                reason: RecordEnd::Crashed,
                started_ms: 1_000,
                duration_ms: 60_100,
                files: vec![file.clone()],
                people: vec![anna],
            };
            let elsewhere = FoundRecording { slug: "gone".into(), ..found.clone() };
            assert!(!store.adopt_recording(elsewhere).await.unwrap());
            assert!(store.adopt_recording(found.clone()).await.unwrap());
            assert!(!store.adopt_recording(found.clone()).await.unwrap(), "once");
            let stored = store.recording(found.id, anna).await.unwrap().expect("it is there");
            assert!(stored.was_there);
            let recording = stored.recording;
            assert_eq!((recording.room_id, recording.bytes), (room, 1_000));
            assert_eq!((recording.started_ms, recording.ended_ms), (1_000, Some(61_100)));
            assert_eq!(recording.end, Some(RecordEnd::Crashed));
            assert_eq!(recording.files, [file]);
            assert!(store.unfinished_recordings().await.unwrap().is_empty());
        }
    }
}
