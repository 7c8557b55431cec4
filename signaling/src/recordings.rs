//! Recordings once they are there: what the recorder says of them, who may see them, and how they go.

use crate::Signaling;
use crate::recorder::RecorderEvent;
use protocol::recording::RecordEnd;
use protocol::{RecordingId, RoomId};
use store::FinishedRecording;

impl Signaling {
    /// Hears what the recorder has to say.
    pub async fn recorder_event(&self, event: RecorderEvent) {
        let done = match event {
            RecorderEvent::Failed { room, recording, reason } => self
                .inner
                .hub
                .recording_ends(room, recording, reason)
                .await
                .map_err(|e| e.message().to_owned()),
            RecorderEvent::Grew { room, recording, bytes } => {
                self.recording_grew(room, recording, bytes).await.map_err(|e| e.to_string())
            }
            RecorderEvent::Finished { recording, state, duration_ms, files, people } => {
                let finished =
                    FinishedRecording { id: recording, state, duration_ms, files, people };
                let known = self.inner.store.finish_recording(finished).await;
                known.map(|_| ()).map_err(|e| e.to_string())
            }
        };
        if let Err(error) = done {
            tracing::error!(error, "what the recorder said cannot be kept");
        }
    }

    /// Notes how large a recording is by now, and ends it where that is too large.
    async fn recording_grew(
        &self,
        room: RoomId,
        recording: RecordingId,
        bytes: u64,
    ) -> Result<(), store::Error> {
        let store = &self.inner.store;
        store.recording_grew(recording, bytes).await?;
        if self.is_over_quota(room).await? {
            self.inner.hub.recording_ends(room, recording, RecordEnd::Quota).await.ok();
        }
        Ok(())
    }

    /// Whether the recordings of a room, or all together, have as many bytes as they may.
    pub(crate) async fn is_over_quota(&self, room: RoomId) -> Result<bool, store::Error> {
        let store = &self.inner.store;
        let settings = &self.inner.settings.recording;
        let own = store.recording_policy(room).await?.and_then(|policy| policy.quota_mb);
        let own = own.map_or(u64::MAX, |mb| mb.saturating_mul(1024 * 1024));
        let (of_room, of_all) = store.recorded_bytes(room).await?;
        Ok(of_room >= own.min(settings.room_quota_bytes) || of_all >= settings.quota_bytes)
    }
}
