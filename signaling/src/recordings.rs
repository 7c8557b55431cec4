//! Recordings once they are there: what the recorder says of them, who may see them, and how they go. Whoever
//! asks is looked up anew for each request: who was removed or demoted a moment ago sees nothing any more.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::directory::{banned, no_room};
use crate::exports::is_export;
use crate::identity::unauthorized;
use crate::recorder::RecorderEvent;
use crate::{Identity, Inner, Signaling, names};
use protocol::recording::{
    RecordEnd, Recording, RecordingLink, RecordingList, RecordingPolicy, RecordingState,
    RecordingsFor,
};
use protocol::room::Role;
use protocol::{ClientMessage, ErrorCode, Power, RecordingId, RoomId};
use std::time::Duration;
use store::{FinishedRecording, StoredRecording};

/// How long a link to a file, or the cookie of somebody who watches, is good.
pub(crate) const PASS_TTL: Duration = Duration::from_secs(5 * 60);
/// In place of a file's name in the pass of somebody who watches: no file is called so.
const EVERY_FILE: &str = "/";
/// A century: more is a slip of the finger.
const MAX_KEPT_DAYS: u32 = 36_500;

impl Signaling {
    /// Hears what the recorder has to say.
    pub async fn recorder_event(&self, event: RecorderEvent) {
        let done = match event {
            RecorderEvent::Failed { room, recording, reason } => {
                let ended = self.inner.hub.recording_ends(room, recording, reason).await;
                ended.map_err(|error| error.message().to_owned())
            }
            RecorderEvent::Grew { room, recording, bytes } => {
                let noted = self.recording_grew(room, recording, bytes).await;
                noted.map_err(|error| error.to_string())
            }
            RecorderEvent::Finished { recording, state, duration_ms, files, people } => {
                let finished =
                    FinishedRecording { id: recording, state, duration_ms, files, people };
                let noted = self.inner.store.finish_recording(finished).await;
                noted.map(|_| ()).map_err(|error| error.to_string())
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
        self.inner.store.recording_grew(recording, bytes).await?;
        if self.is_over_quota(room).await? {
            self.inner.hub.recording_ends(room, recording, RecordEnd::Quota).await.ok();
        }
        Ok(())
    }

    /// Refuses what would add to recordings that have as many bytes as they may.
    pub(crate) async fn check_quota(&self, room: RoomId) -> Result<(), ApiError> {
        match self.is_over_quota(room).await? {
            true => {
                let reason = "the recordings have as many bytes as they may, delete some first";
                Err(ApiError::new(ErrorCode::Conflict, reason))
            }
            false => Ok(()),
        }
    }

    /// Whether the recordings of a room, or all together, have as many bytes as they may.
    async fn is_over_quota(&self, room: RoomId) -> Result<bool, store::Error> {
        let store = &self.inner.store;
        let settings = &self.inner.settings.recording;
        let own = store.recording_policy(room).await?.and_then(|policy| policy.quota_mb);
        let own = own.map_or(u64::MAX, |mb| mb.saturating_mul(1024 * 1024));
        let (of_room, of_all) = store.recorded_bytes(room).await?;
        Ok(of_room >= own.min(settings.room_quota_bytes) || of_all >= settings.quota_bytes)
    }

    /// Begins to record a room, or finds the recording that runs.
    pub(crate) async fn start_recording(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<Recording, ApiError> {
        let (room, role) = self.room_with_power(identity, slug, Power::Record).await?;
        self.check_quota(room.id).await?;
        let order = ClientMessage::RecordStart;
        self.inner.hub.order(room.id, identity.by(), role, order).await?;
        let running = self.inner.store.running_recording(room.id).await?;
        let id = running.ok_or_else(no_recording)?.recording_id;
        let stored = self.inner.store.recording(id, identity.user_id).await?;
        Ok(stored.ok_or_else(no_recording)?.recording)
    }

    /// Ends a recording; one that has ended stays as it is.
    pub(crate) async fn stop_recording(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<Recording, ApiError> {
        let (stored, role) = self.recording_with_power(identity, id).await?;
        let running = self.inner.store.running_recording(stored.recording.room_id).await?;
        if running.is_some_and(|now| now.recording_id == id) {
            let (room, order) = (stored.recording.room_id, ClientMessage::RecordStop);
            self.inner.hub.order(room, identity.by(), role, order).await?;
        }
        let stored = self.inner.store.recording(id, identity.user_id).await?;
        Ok(stored.ok_or_else(no_recording)?.recording)
    }

    /// The recordings of a room that somebody may see.
    pub(crate) async fn recordings(
        &self,
        identity: &Identity,
        slug: &str,
        before: Option<RecordingId>,
        limit: u32,
    ) -> Result<RecordingList, ApiError> {
        let (room, role) = self.room_of_member(identity, slug).await?;
        let store = &self.inner.store;
        let policy = store.recording_policy(room.id).await?.ok_or_else(no_room)?;
        // Whether somebody was there tells the recordings apart; everything else is the same for all.
        if !may_see(Some(role), policy.recordings_for, true) {
            return Err(not_for_you());
        }
        let mut found = store.recordings(room.id, identity.user_id, before, limit + 1).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = found.len() > limit;
        found.truncate(limit);
        found.retain(|stored| may_see(Some(role), stored.is_for, stored.was_there));
        let recordings = found.into_iter().map(|stored| stored.recording).collect();
        Ok(RecordingList { recordings, has_more })
    }

    /// A recording, for whoever may see it.
    pub(crate) async fn recording(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<Recording, ApiError> {
        let (stored, role) = self.recording_and_role(identity, id).await?;
        match may_see(role, stored.is_for, stored.was_there) {
            true => Ok(stored.recording),
            false if role.is_some() => Err(not_for_you()),
            false => Err(no_recording()),
        }
    }

    /// Gives a recording another title.
    pub(crate) async fn rename_recording(
        &self,
        identity: &Identity,
        id: RecordingId,
        title: &str,
    ) -> Result<Recording, ApiError> {
        let title = names::recording_title(title)?;
        let mut recording = self.recording_to_change(identity, id).await?;
        if !self.inner.store.rename_recording(id, title.clone()).await? {
            return Err(no_recording());
        }
        recording.title = title;
        Ok(recording)
    }

    /// Deletes a recording that has ended: its files, and then what is known of it.
    pub(crate) async fn delete_recording(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<(), ApiError> {
        let Recording { state, slug, .. } = self.recording_to_change(identity, id).await?;
        if state == RecordingState::Recording {
            let reason = "it runs, or its files are being finished: stop it first";
            return Err(ApiError::new(ErrorCode::Conflict, reason));
        }
        self.inner.settings.recording.exporter.forget(id, None);
        self.inner.settings.recording.records.delete(&slug, id).await.map_err(|error| {
            tracing::error!(%error, recording = %id, "a recording cannot be deleted");
            ApiError::new(ErrorCode::Unavailable, "its files cannot be deleted now, try again")
        })?;
        match self.inner.store.delete_recording(id).await? {
            true => Ok(()),
            false => Err(no_recording()),
        }
    }

    /// Deletes every recording of rooms that are gone, with what is being made of them.
    pub(crate) async fn delete_records(&self, slugs: &[String]) {
        let settings = &self.inner.settings.recording;
        let all = settings.records.all().await.unwrap_or_default();
        for (_, id) in all.into_iter().filter(|(slug, _)| slugs.contains(slug)) {
            settings.exporter.forget(id, None);
        }
        for slug in slugs {
            if let Err(error) = settings.records.delete_room(slug).await {
                tracing::error!(%error, slug, "recordings of a deleted room are left");
            }
        }
    }

    /// A link to one file, for whoever asks and for a short while.
    pub(crate) async fn link_to_recording(
        &self,
        identity: &Identity,
        id: RecordingId,
        file: &str,
    ) -> Result<RecordingLink, ApiError> {
        let recording = self.recording(identity, id).await?;
        if !has_file(&recording, file) {
            return Err(no_recording());
        }
        let expires_at = now_ms().saturating_add(ttl_ms());
        let what = format!("{id}/{file}");
        let keys = &self.inner.keys;
        let pass = keys.pass(&what, identity.user_id, identity.session_id, expires_at);
        let name = crate::rest::encoded(file);
        Ok(RecordingLink {
            url: format!("/api/v1/recordings/{id}/files/{name}?link={pass}"),
            expires_at,
        })
    }

    /// What a browser shows for all files of a recording while it plays them.
    pub(crate) async fn watch_recording(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<String, ApiError> {
        self.recording(identity, id).await?;
        let until_ms = now_ms().saturating_add(ttl_ms());
        let what = format!("{id}{EVERY_FILE}");
        Ok(self.inner.keys.pass(&what, identity.user_id, identity.session_id, until_ms))
    }

    /// Who holds a link to that file.
    pub(crate) async fn holder_of_link(
        &self,
        id: RecordingId,
        file: &str,
        link: &str,
    ) -> Result<Identity, ApiError> {
        self.holder(&format!("{id}/{file}"), link).await
    }

    /// Who watches that recording.
    pub(crate) async fn watcher(&self, id: RecordingId, pass: &str) -> Result<Identity, ApiError> {
        self.holder(&format!("{id}{EVERY_FILE}"), pass).await
    }

    async fn holder(&self, what: &str, pass: &str) -> Result<Identity, ApiError> {
        let now_ms = now_ms();
        let holder = self.inner.keys.holder(what, pass, now_ms);
        let (user, session) = holder.ok_or_else(unauthorized)?;
        self.identify_session(user, session, now_ms.saturating_add(ttl_ms())).await
    }

    /// What a room decides about its recordings, for those who record.
    pub(crate) async fn recording_policy(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<RecordingPolicy, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Record).await?;
        self.inner.store.recording_policy(room.id).await?.ok_or_else(no_room)
    }

    /// Decides about a room's recordings; its owner may.
    pub(crate) async fn set_recording_policy(
        &self,
        identity: &Identity,
        slug: &str,
        policy: RecordingPolicy,
    ) -> Result<RecordingPolicy, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Update).await?;
        if policy.kept_days.is_some_and(|days| !(1..=MAX_KEPT_DAYS).contains(&days)) {
            return Err(ApiError::new(ErrorCode::Invalid, "kept_days is 1 to 36500"));
        }
        match self.inner.store.set_recording_policy(room.id, policy).await? {
            true => Ok(policy),
            false => Err(no_room()),
        }
    }

    async fn recording_and_role(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<(StoredRecording, Option<Role>), ApiError> {
        let store = &self.inner.store;
        let stored = store.recording(id, identity.user_id).await?.ok_or_else(no_recording)?;
        let room = stored.recording.room_id;
        let role = store.role_of(room, identity.user_id).await?;
        if role.is_none() && store.is_banned(room, identity.user_id).await? {
            return Err(banned());
        }
        Ok((stored, role))
    }

    /// A recording, for those who record and may see it: what is kept from them they neither rename nor delete.
    pub(crate) async fn recording_to_change(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<Recording, ApiError> {
        let (stored, role) = self.recording_with_power(identity, id).await?;
        match may_see(Some(role), stored.is_for, stored.was_there) {
            true => Ok(stored.recording),
            false => Err(not_for_you()),
        }
    }

    async fn recording_with_power(
        &self,
        identity: &Identity,
        id: RecordingId,
    ) -> Result<(StoredRecording, Role), ApiError> {
        let (stored, role) = self.recording_and_role(identity, id).await?;
        let role = role.ok_or_else(no_recording)?;
        match role.may(Power::Record) {
            true => Ok((stored, role)),
            false => Err(not_for_you()),
        }
    }
}

/// Deletes recordings whose time is over, with their files.
pub(crate) async fn sweep(inner: &Inner, now_ms: i64) -> Result<(), store::Error> {
    for (id, slug) in inner.store.expired_recordings(now_ms).await? {
        inner.settings.recording.exporter.forget(id, None);
        match inner.settings.recording.records.delete(&slug, id).await {
            Ok(()) => {
                inner.store.delete_recording(id).await?;
                tracing::info!(recording = %id, "a recording was deleted: its time was over");
            }
            Err(error) => tracing::warn!(%error, recording = %id, "a recording cannot be deleted"),
        }
    }
    Ok(())
}

fn may_see(role: Option<Role>, is_for: RecordingsFor, was_there: bool) -> bool {
    let is_admin = role.is_some_and(|role| role.may(Power::Record));
    match is_for {
        RecordingsFor::Owner => role == Some(Role::Owner),
        RecordingsFor::Admins => is_admin,
        RecordingsFor::Present => is_admin || (role.is_some() && was_there),
        RecordingsFor::Link => true,
    }
}

fn ttl_ms() -> i64 {
    i64::try_from(PASS_TTL.as_millis()).unwrap_or(i64::MAX)
}

/// Whether a name is that of one of its files, or of what was made of them.
pub(crate) fn has_file(recording: &Recording, name: &str) -> bool {
    recording.files.iter().any(|known| known.name == name) || is_export(name)
}

pub(crate) fn no_recording() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such recording, or no such file in it")
}

fn not_for_you() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "your role in this room does not allow that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_see_recordings_is_one_table() {
        let people =
            [None, Some(Role::Guest), Some(Role::Member), Some(Role::Admin), Some(Role::Owner)];
        for (is_for, was_there, expected) in [
            (RecordingsFor::Owner, true, [false, false, false, false, true]),
            (RecordingsFor::Admins, true, [false, false, false, true, true]),
            (RecordingsFor::Present, true, [false, true, true, true, true]),
            (RecordingsFor::Present, false, [false, false, false, true, true]),
            (RecordingsFor::Link, false, [true; 5]),
        ] {
            assert_eq!(people.map(|role| may_see(role, is_for, was_there)), expected, "{is_for:?}");
        }
    }
}
