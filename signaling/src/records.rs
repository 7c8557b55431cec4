//! Where recordings lie: the one place that knows. Each has a folder of its own under the slug of its room, with
//! its files and `meeting.json`; who may see them, the store and [`crate::Signaling`] know.
//!
//! What is whole is put, opened, listed and deleted here and nowhere else, as a bucket would do it. What grows needs a
//! disk, and grows in [`Records::folder_of`]: what is being recorded, mended, or composed by ffmpeg.

use protocol::RecordingId;
use std::io::{ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::fs::File;

/// The table of contents of a recording.
pub const CONTENTS: &str = "meeting.json";

/// The folder of recordings.
#[derive(Clone, Debug)]
pub struct Records {
    folder: PathBuf,
}

/// A file that is there.
#[derive(Debug)]
pub struct Found {
    /// For reading.
    pub file: File,
    /// Bytes.
    pub length: u64,
    /// When it last changed.
    pub modified: SystemTime,
}

impl Records {
    /// Recordings under that folder, which is made when the first one begins.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of all.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of one recording.
    pub fn folder_of(&self, slug: &str, id: RecordingId) -> PathBuf {
        self.folder.join(slug).join(id.to_string())
    }

    /// A file of a recording, if it is there. A name that is a path is that of no file.
    pub async fn open(&self, slug: &str, id: RecordingId, name: &str) -> Result<Option<Found>> {
        if !is_file_name(name) {
            return Ok(None);
        }
        let file = match File::open(self.folder_of(slug, id).join(name)).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata().await?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let modified = metadata.modified()?;
        Ok(Some(Found { file, length: metadata.len(), modified }))
    }

    /// Takes a file that is whole and lies on the same disk, as one of a recording.
    pub async fn put(&self, slug: &str, id: RecordingId, name: &str, from: &Path) -> Result<()> {
        if !is_file_name(name) {
            return Err(ErrorKind::InvalidFilename.into());
        }
        let folder = self.folder_of(slug, id);
        tokio::fs::create_dir_all(&folder).await?;
        tokio::fs::rename(from, folder.join(name)).await
    }

    /// Deletes a recording with everything in its folder; nothing where there is none.
    pub async fn delete(&self, slug: &str, id: RecordingId) -> Result<()> {
        match tokio::fs::remove_dir_all(self.folder_of(slug, id)).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Only an empty folder goes.
        tokio::fs::remove_dir(self.folder.join(slug)).await.ok();
        Ok(())
    }

    /// Deletes every recording of a room that is gone.
    pub async fn delete_room(&self, slug: &str) -> Result<()> {
        match tokio::fs::remove_dir_all(self.folder.join(slug)).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes one file of a recording; nothing where there is none.
    pub async fn delete_file(&self, slug: &str, id: RecordingId, name: &str) -> Result<()> {
        if !is_file_name(name) {
            return Ok(());
        }
        match tokio::fs::remove_file(self.folder_of(slug, id).join(name)).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Every folder of a recording, with slug and id.
    pub async fn all(&self) -> Result<Vec<(String, RecordingId)>> {
        let mut found = Vec::new();
        let mut rooms = match tokio::fs::read_dir(&self.folder).await {
            Ok(rooms) => rooms,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        while let Some(room) = rooms.next_entry().await? {
            let name = room.file_name().to_string_lossy().into_owned();
            if !room.file_type().await?.is_dir() || name.starts_with('.') {
                continue;
            }
            let mut recordings = tokio::fs::read_dir(room.path()).await?;
            while let Some(recording) = recordings.next_entry().await? {
                if let Ok(id) = recording.file_name().to_string_lossy().parse() {
                    found.push((name.clone(), id));
                }
            }
        }
        Ok(found)
    }
}

/// Whether it names a file in a folder, and neither the folder itself nor anything elsewhere.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.starts_with('.')
        && !name.contains(['/', '\\', '\0'])
}

/// What file systems take.
const MAX_NAME_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_a_recordings_folder_has_a_name() {
        for bad in ["", ".", "..", "../a", "a/b", "a\\b", ".reserve", "a\0", &"a".repeat(256)] {
            assert!(!is_file_name(bad), "{bad}");
        }
        assert!(is_file_name("weekly_2026-11-21_09-30_Борис-Ким_camera.webm"));
    }
}
