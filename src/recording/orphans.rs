//! What the disk and the database do not both know of: found and told at start, taken in or deleted by `veche recordings`.

use super::recovery::{Kept, mend_folder};
use anyhow::{Context, bail};
use protocol::RecordingId;
use protocol::recording::RecordEnd;
use recorder::contents::State;
use signaling::records::{CONTENTS, Records};
use std::collections::BTreeSet;
use std::path::Path;
use store::{FoundRecording, Store};

/// What one of both sides does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Folders, with their slugs, that are not in the database: such as after a backup was put back.
    pub folders: Vec<(String, RecordingId)>,
    /// Recordings in the database whose folders are gone.
    pub rows: Vec<(String, RecordingId)>,
}

impl Orphans {
    /// Compares both sides.
    ///
    /// # Errors
    /// One of both cannot be read.
    pub async fn find(store: &Store, records: &Records) -> anyhow::Result<Self> {
        // First the disk: what begins meanwhile has its row before its folder.
        let folders: BTreeSet<(String, RecordingId)> = records.all().await?.into_iter().collect();
        let rows: BTreeSet<(String, RecordingId)> =
            store.all_recordings().await?.into_iter().map(|(id, slug)| (slug, id)).collect();
        // What has just begun has its folder a moment later.
        let running = store.unfinished_recordings().await?;
        let is_running = |id| running.iter().any(|(_, _, now)| now.recording_id == id);
        let missing = rows.difference(&folders).filter(|(_, id)| !is_running(*id));
        Ok(Self {
            folders: folders.difference(&rows).cloned().collect(),
            rows: missing.cloned().collect(),
        })
    }

    /// Tells the log of them.
    pub fn report(&self) {
        for (slug, id) in &self.folders {
            tracing::warn!(recording = %id, slug, "a folder of a recording that is not in the database; see `veche recordings`");
        }
        for (slug, id) in &self.rows {
            tracing::warn!(recording = %id, slug, "a recording in the database whose folder is gone; see `veche recordings`");
        }
        metrics::gauge!("veche_recordings_orphaned")
            .set((self.folders.len() + self.rows.len()) as f64);
    }

    /// Those of one id, or all.
    ///
    /// # Errors
    /// There is none of that id.
    pub fn of(self, id: Option<RecordingId>) -> anyhow::Result<Self> {
        let Some(id) = id else { return Ok(self) };
        let only = |list: Vec<(String, RecordingId)>| -> Vec<_> {
            list.into_iter().filter(|(_, other)| *other == id).collect()
        };
        let found = Self { folders: only(self.folders), rows: only(self.rows) };
        if found == Self::default() {
            bail!("{id} is no recording that only the disk or only the database knows");
        }
        Ok(found)
    }

    /// Takes a folder into the database, its files mended.
    ///
    /// # Errors
    /// It has no table of contents that can be read, its room is not there, or the store does not answer.
    pub async fn adopt(
        store: &Store,
        records: &Records,
        slug: &str,
        id: RecordingId,
    ) -> anyhow::Result<()> {
        let folder = records.folder_of(slug, id);
        if !folder.join(CONTENTS).exists() {
            bail!(
                "it has no {CONTENTS}: upload its file in the room {slug:?} instead, and delete the folder"
            );
        }
        let Kept { finished, contents } =
            tokio::task::spawn_blocking(move || mend_folder(id, &folder))
                .await?
                .context("its table of contents cannot be read")?;
        let found = FoundRecording {
            id,
            slug: slug.to_owned(),
            title: contents.room.name,
            state: finished.state,
            reason: match contents.state {
                State::Recording | State::Recovered => RecordEnd::Crashed,
                State::Complete => RecordEnd::Stopped,
                State::OutOfSpace => RecordEnd::NoSpace,
                State::Failed => RecordEnd::DiskError,
            },
            started_ms: contents.began_at_ms,
            duration_ms: finished.duration_ms,
            files: finished.files,
            people: finished.people,
        };
        if !store.adopt_recording(found).await? {
            bail!("there is no room {slug:?} that it could belong to");
        }
        Ok(())
    }
}

/// A line about a folder that is not in the database.
pub fn describe(folder: &Path) -> String {
    let mut bytes = 0;
    let mut count = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        bytes += entry.metadata().map_or(0, |about| about.len());
        count += 1;
    }
    format!("{count} files, {:.1} MB", bytes as f64 / 1e6)
}
