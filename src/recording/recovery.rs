//! After a crash: files that were not ended are mended, and recordings that were not ended get their end.

use super::meeting::file_of;
use super::orphans::Orphans;
use crate::replace::replace;
use anyhow::Context;
use protocol::recording::{RecordEnd, RecordingNow, RecordingState};
use protocol::room::By;
use protocol::{RecordingId, RoomId, ServerMessage, UserId};
use recorder::contents::{Contents, State, What};
use recorder::repair::{self, Broken};
use signaling::records::{CONTENTS, Records};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use store::{Audience, Change, Fact, FinishedRecording, NewEvent, Ordered, Store};

/// Looks for what a crash has left: the rooms' logs get the ends of their recordings at once, and files are
/// mended by a thread meanwhile. Orphans of either side are reported.
///
/// # Errors
/// When the store does not answer.
pub async fn recover(store: Store, records: Records, now_ms: i64) -> anyhow::Result<()> {
    let unfinished = store.unfinished_recordings().await.context("recordings cannot be listed")?;
    for (room, _, now) in &unfinished {
        let event = ending(now, now_ms);
        // Refused where the end was stored, and only the files were not finished.
        store.append_events(*room, &[event]).await.context("a recording cannot be ended")?;
    }
    tokio::spawn(async move {
        for (room, slug, now) in unfinished {
            if let Err(error) = recover_one(&store, &records, room, &slug, &now).await {
                tracing::error!(%error, recording = %now.recording_id, "a recording cannot be mended");
            }
        }
        match Orphans::find(&store, &records).await {
            Ok(orphans) => orphans.report(),
            Err(error) => {
                tracing::warn!(%error, "recordings cannot be compared with their folders");
            }
        }
    });
    Ok(())
}

fn ending(now: &RecordingNow, at_ms: i64) -> NewEvent {
    let nobody = By { user_id: UserId(uuid::Uuid::nil()), display_name: String::new() };
    let (id, reason) = (now.recording_id, RecordEnd::Crashed);
    let ordered = Ordered {
        message: ServerMessage::RecordStopped { recording_id: id, reason, by: None, seq: 0 },
        by: now.by.clone().unwrap_or(nobody),
        power: None,
        target: None,
        change: Change::StopRecording { id, reason },
        audience: Audience::Everybody,
    };
    NewEvent { at_ms, fact: Fact::Ordered(Box::new(ordered)) }
}

async fn recover_one(
    store: &Store,
    records: &Records,
    room: RoomId,
    slug: &str,
    now: &RecordingNow,
) -> anyhow::Result<()> {
    let id = now.recording_id;
    let folder = records.folder_of(slug, id);
    let finished = tokio::task::spawn_blocking(move || mend_folder(id, &folder)).await?;
    let finished = match finished {
        Ok(kept) => kept.finished,
        Err(error) => {
            tracing::warn!(%error, recording = %id, %room, "a recording has no readable folder");
            let (files, people) = (Vec::new(), Vec::new());
            FinishedRecording { id, state: RecordingState::Failed, duration_ms: 0, files, people }
        }
    };
    let files = finished.files.len();
    store.finish_recording(finished).await?;
    tracing::info!(recording = %id, files, "a recording was mended");
    Ok(())
}

/// What is kept of a recording.
pub struct Kept {
    /// For the store.
    pub finished: FinishedRecording,
    /// Its table of contents.
    pub contents: Contents,
}

/// Mends every file of a recording and its table of contents.
pub fn mend_folder(id: RecordingId, folder: &Path) -> anyhow::Result<Kept> {
    let path = folder.join(CONTENTS);
    let mut contents: Contents = serde_json::from_slice(&std::fs::read(&path)?)?;
    std::fs::remove_file(folder.join(".reserve")).ok();
    let mut end_ms = contents.moments.last().map_or(0, |moment| moment.at_ms);
    for entry in &mut contents.files {
        match mend(&folder.join(&entry.name)) {
            Ok(mended) => {
                entry.duration_ms = Some(mended.duration_ms);
                entry.size_bytes = Some(mended.bytes);
            }
            Err(error) => {
                tracing::warn!(%error, file = entry.name, "a file cannot be mended");
                entry.duration_ms = Some(entry.duration_ms.unwrap_or(0));
            }
        }
        end_ms = end_ms.max(entry.offset_ms + entry.duration_ms.unwrap_or(0));
    }
    if contents.state == State::Recording {
        contents.state = State::Recovered;
        contents.duration_ms = Some(end_ms);
    }
    replace(&path, &serde_json::to_vec(&contents)?)?;
    let people: BTreeSet<UserId> = contents
        .moments
        .iter()
        .filter_map(|moment| match &moment.what {
            What::Joined { user_id, .. } => user_id.parse().ok(),
            _ => None,
        })
        .collect();
    let finished = FinishedRecording {
        id,
        state: stored_state(contents.state),
        duration_ms: contents.duration_ms.unwrap_or(end_ms),
        files: contents.files.iter().map(file_of).collect(),
        people: people.into_iter().collect(),
    };
    Ok(Kept { finished, contents })
}

/// A file that was mended, or was whole.
pub struct Mended {
    /// How long it is.
    pub duration_ms: u64,
    /// Bytes.
    pub bytes: u64,
}

/// More than the header of a file of ours takes.
const HEADER_BYTES: usize = 64 * 1024;

/// Makes a file whole.
pub fn mend(path: &Path) -> io::Result<Mended> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let read = |offset: u64, count: usize| {
        let most = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count.min(most)];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    };
    let found = repair::inspect(length, read).map_err(|broken| match broken {
        Broken::NotOurs => io::Error::new(io::ErrorKind::InvalidData, "nothing in it can be kept"),
        Broken::Io(error) => error,
    })?;
    let Some(repair) = found else {
        let duration_ms = repair::told_ms(&read(0, HEADER_BYTES)?).unwrap_or(0);
        return Ok(Mended { duration_ms, bytes: length });
    };
    file.set_len(repair.keep)?;
    file.write_all_at(&repair.append, repair.keep)?;
    for patch in &repair.patches {
        file.write_all_at(&patch.bytes, patch.offset)?;
    }
    file.sync_data()?;
    Ok(Mended { duration_ms: repair.duration_ms, bytes: repair.keep + repair.append.len() as u64 })
}

/// How a recording stands, as the store has it.
pub fn stored_state(state: State) -> RecordingState {
    match state {
        State::Recording => RecordingState::Recording,
        State::Complete => RecordingState::Complete,
        State::Recovered => RecordingState::Recovered,
        State::OutOfSpace => RecordingState::OutOfSpace,
        State::Failed => RecordingState::Failed,
    }
}
