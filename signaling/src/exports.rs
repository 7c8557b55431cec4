//! One file of a recording: asked for by those who record, made one after another by whoever stands behind
//! [`Exporter`], and then a file of the recording like the others.

use crate::app::ApiError;
use crate::{Identity, Signaling};
use protocol::recording::{
    Export, ExportState, ExportView, Recording, RecordingOrigin, RecordingState,
};
use protocol::{ErrorCode, RecordingId};
use std::path::PathBuf;

/// Makes exports, one after another. Never blocks.
pub trait Exporter: Send + Sync + 'static {
    /// Puts one at the end of the queue; one that waits or runs already stays as it is.
    ///
    /// # Errors
    /// Too many wait.
    fn begin(&self, order: ExportOrder) -> Result<(), QueueFull>;

    /// Those of a recording that wait, run or have failed.
    fn of(&self, recording: RecordingId) -> Vec<Export>;

    /// Stops one, or forgets that it failed. `None`: all of the recording.
    fn forget(&self, recording: RecordingId, view: Option<ExportView>);
}

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOrder {
    /// Of which recording.
    pub recording: RecordingId,
    /// How people are shown.
    pub view: ExportView,
    /// The folder with the recording in it.
    pub folder: PathBuf,
    /// Name of the file that it shall become there.
    pub file: String,
}

/// Too many exports wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// Where nothing is exported: in tests.
#[derive(Debug)]
pub struct NoExporter;

impl Exporter for NoExporter {
    fn begin(&self, _order: ExportOrder) -> Result<(), QueueFull> {
        Err(QueueFull)
    }

    fn of(&self, _recording: RecordingId) -> Vec<Export> {
        Vec::new()
    }

    fn forget(&self, _recording: RecordingId, _view: Option<ExportView>) {}
}

const VIEWS: [ExportView; 3] = [ExportView::Grid, ExportView::Speaker, ExportView::Sound];

/// The name of an export's file.
fn file_of(view: ExportView) -> String {
    let ending = if view == ExportView::Sound { "m4a" } else { "mp4" };
    format!("export-{}.{ending}", view.as_str())
}

/// Whether a file of a recording is an export of it.
pub(crate) fn is_export(name: &str) -> bool {
    VIEWS.into_iter().any(|view| file_of(view) == name)
}

impl Signaling {
    /// The exports of a recording, for whoever may see it.
    pub(crate) async fn exports(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<Vec<Export>, ApiError> {
        let recording = self.recording(identity, id).await?;
        self.exports_of(&recording).await
    }

    /// Asks for an export; one that is there, runs or waits stays as it is.
    pub(crate) async fn begin_export(
        &self,
        identity: &Identity,
        id: RecordingId,
        view: ExportView,
    ) -> Result<Export, ApiError> {
        let recording = self.recording_to_change(identity, id).await?;
        if recording.state == RecordingState::Recording {
            let reason = "it runs, or its files are being finished";
            return Err(ApiError::new(ErrorCode::Conflict, reason));
        }
        if recording.origin == RecordingOrigin::Upload {
            return Err(ApiError::new(ErrorCode::Conflict, "an upload is one file already"));
        }
        let of_view = |exports: Vec<Export>| exports.into_iter().find(|export| export.view == view);
        let known = of_view(self.exports_of(&recording).await?);
        if let Some(known) = known.filter(|known| known.state != ExportState::Failed) {
            return Ok(known);
        }
        self.check_quota(recording.room_id).await?;
        let settings = &self.inner.settings.recording;
        let folder = settings.records.folder_of(&recording.slug, id);
        let order = ExportOrder { recording: id, view, folder, file: file_of(view) };
        settings.exporter.begin(order).map_err(|QueueFull| {
            ApiError::new(ErrorCode::Unavailable, "too many exports wait; try again later")
        })?;
        let begun = of_view(self.exports_of(&recording).await?);
        begun.ok_or_else(|| ApiError::new(ErrorCode::Unavailable, "the export is gone already"))
    }

    /// Stops an export, or deletes its file.
    pub(crate) async fn delete_export(
        &self,
        identity: &Identity,
        id: RecordingId,
        view: ExportView,
    ) -> Result<(), ApiError> {
        let recording = self.recording_to_change(identity, id).await?;
        let settings = &self.inner.settings.recording;
        settings.exporter.forget(id, Some(view));
        let deleted = settings.records.delete_file(&recording.slug, id, &file_of(view)).await;
        deleted.map_err(|error| {
            tracing::error!(%error, recording = %id, "an export cannot be deleted");
            ApiError::new(ErrorCode::Unavailable, "its file cannot be deleted now, try again")
        })?;
        self.note_exports(id, &recording.slug).await
    }

    /// An export of a recording has become a file: it counts from now on.
    pub async fn export_made(&self, id: RecordingId) {
        let weighed = async {
            // Deleted meanwhile, it weighs nothing.
            let slug = self.inner.store.recording_slug(id).await?;
            let Some(slug) = slug else { return Ok(()) };
            self.note_exports(id, &slug).await
        };
        if let Err(error) = weighed.await {
            tracing::error!(code = ?error.code(), recording = %id, "the bytes of an export are not counted");
        }
    }

    /// Counts what a recording's exports take on the disk as its own.
    async fn note_exports(&self, id: RecordingId, slug: &str) -> Result<(), ApiError> {
        let bytes = self.made(id, slug).await?.iter().map(|(_, bytes)| bytes).sum();
        Ok(self.inner.store.note_exports(id, bytes).await?)
    }

    /// Exports that are files, with their bytes.
    async fn made(&self, id: RecordingId, slug: &str) -> Result<Vec<(ExportView, u64)>, ApiError> {
        let records = &self.inner.settings.recording.records;
        let mut made = Vec::new();
        for view in VIEWS {
            let found = records.open(slug, id, &file_of(view)).await.map_err(|error| {
                tracing::error!(%error, recording = %id, "a recording's folder cannot be read");
                ApiError::new(ErrorCode::Unavailable, "its files cannot be read now, try again")
            })?;
            made.extend(found.map(|found| (view, found.length)));
        }
        Ok(made)
    }

    async fn exports_of(&self, recording: &Recording) -> Result<Vec<Export>, ApiError> {
        let settings = &self.inner.settings.recording;
        let jobs = settings.exporter.of(recording.id);
        let made = self.made(recording.id, &recording.slug).await?;
        let mut exports = Vec::with_capacity(VIEWS.len());
        for view in VIEWS {
            let job = jobs.iter().find(|job| job.view == view).cloned();
            let file = made.iter().find(|(of, _)| *of == view).map(|(_, bytes)| Export {
                view,
                state: ExportState::Done,
                percent: None,
                file: Some(file_of(view)),
                bytes: Some(*bytes),
                error: None,
            });
            exports.extend(job.or(file));
        }
        Ok(exports)
    }
}
