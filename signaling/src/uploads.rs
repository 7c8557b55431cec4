//! Recordings that people upload: in one piece, or resumable in many (tus 1.0). What has come lies beside the
//! recordings until it is whole; then what it holds is looked at, and it stands in the list like any other.

mod measure;

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::directory::no_room;
use crate::recordings::no_recording;
use crate::{Identity, Inner, Signaling, names};
use axum::body::Body;
use futures_util::StreamExt;
use protocol::recording::{Recording, RecordingFile};
use protocol::room::By;
use protocol::{ErrorCode, Power, RecordingId, RoomId};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, SeekFrom};
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use store::NewUpload;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use uuid::Uuid;

/// Where uploads lie that are not whole, in the folder of recordings.
const FOLDER: &str = ".uploads";
/// How long an upload may rest.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long one piece may be silent. Longer keeps dead lines open; shorter cuts off phones between two cells.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// Uploads of one person that are not whole. Each may have as many bytes as an upload may.
const MAX_OPEN: usize = 4;

/// An upload that is not whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub id: Uuid,
    pub room_id: RoomId,
    pub slug: String,
    by: By,
    title: String,
    name: String,
    /// What the client says; what is measured wins.
    duration_ms: Option<u64>,
    /// Bytes of the whole; of a piece that tells nothing, the most there may be.
    pub length: u64,
    created_ms: i64,
    /// How much has come.
    #[serde(skip)]
    pub offset: u64,
}

/// What a client tells of an upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub name: Option<String>,
    pub title: Option<String>,
    pub duration_sec: Option<f64>,
}

impl Upload {
    /// When it is forgotten, milliseconds since 1970.
    pub(crate) fn expires_ms(&self) -> i64 {
        self.created_ms.saturating_add(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Keeps others from writing into an upload at the same time.
struct Turn<'a> {
    inner: &'a Inner,
    id: Uuid,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        busy(self.inner).remove(&self.id);
    }
}

fn busy(inner: &Inner) -> MutexGuard<'_, std::collections::BTreeSet<Uuid>> {
    // Nothing under the lock panics half way.
    inner.uploading.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Signaling {
    /// The most bytes that an upload may have.
    pub(crate) fn max_upload_bytes(&self) -> u64 {
        self.inner.settings.recording.max_upload_bytes
    }

    /// Begins an upload of so many bytes.
    pub(crate) async fn begin_upload(
        &self,
        identity: &Identity,
        slug: &str,
        told: Told,
        length: u64,
    ) -> Result<Upload, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Record).await?;
        if length > self.max_upload_bytes() {
            let most = self.max_upload_bytes() / (1024 * 1024);
            let reason = format!("an uploaded recording has at most {most} MiB");
            return Err(ApiError::new(ErrorCode::TooLarge, reason));
        }
        self.check_quota(room.id).await?;
        if self.open_uploads(identity).await.map_err(unwritable)? >= MAX_OPEN {
            let reason = "you have begun as many uploads as one may, finish or delete one";
            return Err(ApiError::new(ErrorCode::Conflict, reason));
        }
        let name = names::file_name(told.name.as_deref().unwrap_or("recording"))?;
        let title = match told.title.as_deref() {
            Some(title) => names::recording_title(title)?,
            None => name.clone(),
        };
        let seconds = told.duration_sec.filter(|seconds| (0.0..MAX_SECONDS).contains(seconds));
        let upload = Upload {
            id: Uuid::now_v7(),
            room_id: room.id,
            slug: room.slug,
            by: identity.by(),
            title,
            name,
            duration_ms: seconds.map(|seconds| (seconds * 1e3) as u64),
            length,
            created_ms: now_ms(),
            offset: 0,
        };
        let folder = self.upload_folder();
        let written = async {
            tokio::fs::create_dir_all(&folder).await?;
            File::create(self.part(upload.id)).await?;
            let text = serde_json::to_vec(&upload).map_err(std::io::Error::other)?;
            tokio::fs::write(folder.join(format!("{}.json", upload.id)), text).await
        };
        written.await.map_err(unwritable)?;
        Ok(upload)
    }

    /// An upload of somebody's that is not whole, with how much of it has come.
    pub(crate) async fn upload(&self, identity: &Identity, id: Uuid) -> Result<Upload, ApiError> {
        let path = self.upload_folder().join(format!("{id}.json"));
        let text = match tokio::fs::read(path).await {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(no_upload()),
            Err(error) => return Err(unwritable(error)),
        };
        let mut upload: Upload = serde_json::from_slice(&text).map_err(|_| no_upload())?;
        if upload.by.user_id != identity.user_id || upload.expires_ms() <= now_ms() {
            return Err(no_upload());
        }
        // Whoever was demoted or removed meanwhile uploads nothing more.
        self.room_with_power(identity, &upload.slug, Power::Record).await?;
        upload.offset = tokio::fs::metadata(self.part(id)).await.map_err(unwritable)?.len();
        Ok(upload)
    }

    /// Takes a piece. The recording, when it was the last one.
    pub(crate) async fn take_piece(
        &self,
        identity: &Identity,
        id: Uuid,
        offset: u64,
        body: Body,
    ) -> Result<(u64, Option<Recording>), ApiError> {
        let inner = &*self.inner;
        if !busy(inner).insert(id) {
            return Err(ApiError::new(ErrorCode::Conflict, "another piece of it is coming"));
        }
        let _turn = Turn { inner, id };
        let upload = self.upload(identity, id).await?;
        if offset != upload.offset {
            let reason = format!("Upload-Offset is {}, not {offset}", upload.offset);
            return Err(ApiError::new(ErrorCode::Conflict, reason));
        }
        let written = self.append(&upload, body).await?;
        if written < upload.length {
            return Ok((written, None));
        }
        let recording = self.finish_upload(identity, upload, written).await?;
        Ok((written, Some(recording)))
    }

    /// Takes an upload in one piece, whose length nobody needs to tell.
    pub(crate) async fn take_whole(
        &self,
        identity: &Identity,
        slug: &str,
        told: Told,
        length: Option<u64>,
        body: Body,
    ) -> Result<Recording, ApiError> {
        let most = length.unwrap_or(self.max_upload_bytes());
        let upload = self.begin_upload(identity, slug, told, most).await?;
        let id = upload.id;
        let taken = async {
            let written = self.append(&upload, body).await?;
            self.finish_upload(identity, upload, written).await
        };
        let taken = taken.await;
        if taken.is_err() {
            self.forget_upload(id).await;
        }
        taken
    }

    /// Forgets an upload that is not whole.
    pub(crate) async fn discard_upload(
        &self,
        identity: &Identity,
        id: Uuid,
    ) -> Result<(), ApiError> {
        self.upload(identity, id).await?;
        self.forget_upload(id).await;
        Ok(())
    }

    /// Writes a body at the end; the bytes that are there then. A line that breaks leaves what has come.
    async fn append(&self, upload: &Upload, body: Body) -> Result<u64, ApiError> {
        let path = self.part(upload.id);
        let mut file = OpenOptions::new().write(true).open(path).await.map_err(unwritable)?;
        file.seek(SeekFrom::Start(upload.offset)).await.map_err(unwritable)?;
        let mut written = upload.offset;
        let mut chunks = body.into_data_stream();
        loop {
            let chunk = match tokio::time::timeout(SILENT_FOR, chunks.next()).await {
                Ok(Some(Ok(chunk))) => chunk,
                Ok(None) => break,
                Ok(Some(Err(_))) | Err(_) => {
                    file.flush().await.ok();
                    let reason = "the upload broke off; what has come is kept";
                    return Err(ApiError::new(ErrorCode::BadRequest, reason));
                }
            };
            let size = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if written.saturating_add(size) > upload.length {
                file.flush().await.ok();
                let reason = "that is more than the upload was said to have, or may have";
                return Err(ApiError::new(ErrorCode::TooLarge, reason));
            }
            if let Err(error) = file.write_all(&chunk).await {
                file.set_len(written).await.ok();
                return Err(unwritable(error));
            }
            written += size;
        }
        file.flush().await.map_err(unwritable)?;
        Ok(written)
    }

    /// Looks at what has come, and makes a recording of it.
    async fn finish_upload(
        &self,
        identity: &Identity,
        upload: Upload,
        bytes: u64,
    ) -> Result<Recording, ApiError> {
        let part = self.part(upload.id);
        let looked = part.clone();
        let measured = tokio::task::spawn_blocking(move || {
            let file = std::fs::File::open(looked)?;
            measure::measure(file, bytes)
        });
        let measured = measured.await.map_err(|_| unwritable(ErrorKind::Other.into()))?;
        let Some(found) = measured.map_err(unwritable)? else {
            self.forget_upload(upload.id).await;
            let reason = "a recording is WebM, Matroska, MP4 or Ogg, and this is none of them";
            return Err(ApiError::new(ErrorCode::UnsupportedMedia, reason));
        };
        let id = RecordingId(Uuid::now_v7());
        let name = format!("upload.{}", found.kind.extension());
        let records = &self.inner.settings.recording.records;
        records.put(&upload.slug, id, &name, &part).await.map_err(unwritable)?;
        let file = RecordingFile {
            name,
            participant_id: None,
            user_id: Some(identity.user_id),
            display_name: upload.name.clone(),
            source: "upload".to_owned(),
            codecs: found.codecs,
            offset_ms: 0,
            duration_ms: found.duration_ms.or(upload.duration_ms).unwrap_or(0),
            bytes,
        };
        let (room_id, title) = (upload.room_id, upload.title.clone());
        let new = NewUpload { id, room_id, title, by: upload.by.clone(), file };
        let is_added = self.inner.store.add_upload(new, now_ms()).await;
        self.forget_upload(upload.id).await;
        if !matches!(is_added, Ok(true)) {
            records.delete(&upload.slug, id).await.ok();
            is_added?;
            return Err(no_room());
        }
        let stored = self.inner.store.recording(id, identity.user_id).await?;
        Ok(stored.ok_or_else(no_recording)?.recording)
    }

    async fn open_uploads(&self, identity: &Identity) -> std::io::Result<usize> {
        let mut own = 0;
        let mut entries = match tokio::fs::read_dir(self.upload_folder()).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        while let Some(entry) = entries.next_entry().await? {
            if entry.path().extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let text = tokio::fs::read(entry.path()).await.unwrap_or_default();
            let upload: Option<Upload> = serde_json::from_slice(&text).ok();
            own += usize::from(upload.is_some_and(|u| u.by.user_id == identity.user_id));
        }
        Ok(own)
    }

    async fn forget_upload(&self, id: Uuid) {
        forget(&self.upload_folder(), id).await;
    }

    fn upload_folder(&self) -> PathBuf {
        self.inner.settings.recording.records.folder().join(FOLDER)
    }

    fn part(&self, id: Uuid) -> PathBuf {
        self.upload_folder().join(format!("{id}.part"))
    }
}

async fn forget(folder: &std::path::Path, id: Uuid) {
    for ending in ["part", "json"] {
        tokio::fs::remove_file(folder.join(format!("{id}.{ending}"))).await.ok();
    }
}

/// Forgets uploads that rested for too long.
pub(crate) async fn sweep(inner: &Inner, now_ms: i64) -> std::io::Result<()> {
    let folder = inner.settings.recording.records.folder().join(FOLDER);
    let mut entries = match tokio::fs::read_dir(&folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let Some(id) = path.file_stem().and_then(|stem| stem.to_str()?.parse::<Uuid>().ok()) else {
            continue;
        };
        let text = tokio::fs::read(folder.join(format!("{id}.json"))).await.unwrap_or_default();
        let upload: Option<Upload> = serde_json::from_slice(&text).ok();
        if upload.is_none_or(|upload| upload.expires_ms() <= now_ms) {
            forget(&folder, id).await;
        }
    }
    Ok(())
}

/// A year: more is no recording.
const MAX_SECONDS: f64 = 366.0 * 24.0 * 3_600.0;

fn no_upload() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such upload of yours, or its time is over")
}

fn unwritable(error: std::io::Error) -> ApiError {
    tracing::error!(%error, "an uploaded recording cannot be written");
    ApiError::new(ErrorCode::Unavailable, "the upload cannot be kept now, try again")
}
