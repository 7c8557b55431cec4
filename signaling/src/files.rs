//! Where uploaded files lie: outside of everything that is served, each under its id. What they are called and
//! whom they are for, the store knows.

use protocol::{AttachmentId, RoomId};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};
use store::Store;

/// The folder of uploads.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

/// What is kept of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// A picture for a list.
    Thumbnail,
}

impl Files {
    /// Files under that folder, which is made when the first one comes.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) async fn write(
        &self,
        room: RoomId,
        id: AttachmentId,
        part: Part,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        let path = self.path(room, id, part);
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        // Beside it and moved: whoever reads finds all of it or nothing.
        let beside = path.with_extension("new");
        tokio::fs::write(&beside, bytes).await?;
        tokio::fs::rename(&beside, &path).await
    }

    pub(crate) async fn read(
        &self,
        room: RoomId,
        id: AttachmentId,
        part: Part,
    ) -> std::io::Result<Option<Vec<u8>>> {
        match tokio::fs::read(self.path(room, id, part)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes what the store does not know any more: files of deleted messages and rooms, and what an upload
    /// that broke off left behind.
    pub(crate) async fn sweep(&self, store: &Store) -> std::io::Result<()> {
        let mut rooms = match tokio::fs::read_dir(&self.folder).await {
            Ok(rooms) => rooms,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        while let Some(room) = rooms.next_entry().await? {
            if !room.file_type().await?.is_dir() {
                continue;
            }
            let mut files = tokio::fs::read_dir(room.path()).await?;
            while let Some(file) = files.next_entry().await? {
                if is_young(&file.metadata().await?) || is_known(store, &file.path()).await {
                    continue;
                }
                tokio::fs::remove_file(file.path()).await?;
            }
            // Only an empty folder goes.
            tokio::fs::remove_dir(room.path()).await.ok();
        }
        Ok(())
    }

    fn path(&self, room: RoomId, id: AttachmentId, part: Part) -> PathBuf {
        let name = match part {
            Part::Whole => id.to_string(),
            Part::Thumbnail => format!("{id}.small"),
        };
        self.folder.join(room.to_string()).join(name)
    }
}

/// Whether a file may still be on its way.
fn is_young(metadata: &std::fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age < YOUNG)
}

async fn is_known(store: &Store, path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    match AttachmentId::from_str(name) {
        // A store that does not answer says nothing about the file.
        Ok(id) => store.has_attachment(id).await.unwrap_or(true),
        Err(_) => path.extension().is_none_or(|extension| extension != "new"),
    }
}

/// Longer keeps garbage for longer; shorter could delete what is being uploaded.
const YOUNG: Duration = Duration::from_secs(60 * 60);
