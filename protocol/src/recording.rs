//! Recordings: what the server kept of a meeting, and what people uploaded beside it.

use crate::id::{ParticipantId, RecordingId, RoomId, UserId};
use crate::room::By;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$word_doc])* $word,)* }

        impl $name {
            /// As stored and as sent.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text,)* }
            }

            /// The one of this name, if there is one.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$word),)* _ => None }
            }
        }
    };
}

words! {
    /// How a recording stands.
    RecordingState {
        /// It runs, or its files are being finished.
        Recording = "recording",
        /// It ended as it should.
        Complete = "complete",
        /// The process was stopped while it ran; its files were mended afterwards.
        Recovered = "recovered",
        /// The disk was full, or the room had no space left: what there is plays.
        OutOfSpace = "out_of_space",
        /// It could not be written: what there is may be incomplete.
        Failed = "failed",
    }
}

words! {
    /// Why recording stopped.
    RecordEnd {
        /// Somebody stopped it.
        Stopped = "stopped",
        /// Everybody has left.
        Empty = "empty",
        /// The disk is full.
        NoSpace = "no_space",
        /// The recordings of the room or of the deployment have as many bytes as they may.
        Quota = "quota",
        /// The disk does not take what is written.
        DiskError = "disk_error",
        /// The server stopped.
        ServerStopped = "server_stopped",
        /// The server was stopped without a word, and found the recording when it started again.
        Crashed = "crashed",
    }
}

words! {
    /// Who may see and download a room's recordings.
    RecordingsFor {
        /// The owner.
        Owner = "owner",
        /// Owner and admins.
        Admins = "admins",
        /// Those, and members who were there.
        Present = "present",
        /// Every member, and whoever is signed in and has the recording's address.
        Link = "link",
    }
}

words! {
    /// Where a recording comes from.
    RecordingOrigin {
        /// The server recorded it.
        Server = "server",
        /// Somebody uploaded it.
        Upload = "upload",
    }
}

words! {
    /// How people are shown in one file of a recording.
    ExportView {
        /// Everybody in the same size.
        Grid = "grid",
        /// Who speaks large, others beside.
        Speaker = "speaker",
        /// Nobody: sound alone.
        Sound = "sound",
    }
}

words! {
    /// How an export stands.
    ExportState {
        /// It waits for others.
        Queued = "queued",
        /// It is being made.
        Running = "running",
        /// Its file is there.
        Done = "done",
        /// It could not be made.
        Failed = "failed",
    }
}

/// One file of a recording: everybody's pictures composed, everybody's sound mixed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Export {
    /// How people are shown.
    pub view: ExportView,
    /// How it stands.
    pub state: ExportState,
    /// How much of it is made, 0–100; only while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Name of the file, for `GET recordings/{id}/files/{name}`, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Bytes of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What went wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `GET recordings/{id}/exports`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExportList {
    /// Those that are there, run or wait, and those that failed since the server started.
    pub exports: Vec<Export>,
}

/// `POST recordings/{id}/exports`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExportRequest {
    /// How people are shown.
    pub view: ExportView,
}

/// The recording that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingNow {
    /// Its id.
    pub recording_id: RecordingId,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
    /// Who began it; nobody where the room does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recording {
    /// Id.
    pub id: RecordingId,
    /// Room.
    pub room_id: RoomId,
    /// The room's slug.
    pub slug: String,
    /// What it is called.
    pub title: String,
    /// Where it comes from.
    pub origin: RecordingOrigin,
    /// How it stands.
    pub state: RecordingState,
    /// Why it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<RecordEnd>,
    /// Who began or uploaded it; nobody where the room did by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// When it began, milliseconds since 1970.
    pub started_ms: i64,
    /// When it ended, milliseconds since 1970; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// How long it is; absent until its files are finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Bytes of its files.
    pub bytes: u64,
    /// When it will be deleted, milliseconds since 1970; absent where it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Its files in order of beginning, once they are finished; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<RecordingFile>,
}

/// A file of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingFile {
    /// Its name, the last part of its address.
    pub name: String,
    /// Whose media; nobody's in an upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant_id: Option<ParticipantId>,
    /// The identity behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Their name then.
    pub display_name: String,
    /// `camera` (with the microphone), `screen` (with its sound), or `upload`.
    pub source: String,
    /// `opus`, `vp8`, `vp9`, `av1`, `h264`, in the order of its tracks; empty where it is not known.
    pub codecs: Vec<String>,
    /// When its first frame was captured, from the recording's beginning on.
    pub offset_ms: u64,
    /// From there to its end.
    pub duration_ms: u64,
    /// Bytes.
    pub bytes: u64,
}

/// `GET rooms/{slug}/recordings`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordingList {
    /// Newest first, without their files.
    pub recordings: Vec<Recording>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// `PATCH recordings/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RenameRecordingRequest {
    /// New title, 1–200 characters.
    pub title: String,
}

/// `POST recordings/{id}/links`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordingLinkRequest {
    /// Name of the file.
    pub file: String,
}

/// A link to one file, for whoever asked for it.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordingLink {
    /// The file's address; it works without a token.
    pub url: String,
    /// Until when, milliseconds since 1970.
    pub expires_at: i64,
}

/// `GET` and `PUT rooms/{slug}/recording-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecordingPolicy {
    /// Who may see and download.
    pub recordings_for: RecordingsFor,
    /// Days after which recordings are deleted, 1–36,500; they stay when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_days: Option<u32>,
    /// Megabytes that all of them may have together; as many as the deployment allows when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_mb: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stored_as_they_are_sent() {
        for end in [RecordEnd::NoSpace, RecordEnd::ServerStopped, RecordEnd::Crashed] {
            let sent = serde_json::to_value(end).expect("a word is JSON");
            assert_eq!(sent, end.as_str());
            assert_eq!(RecordEnd::parse(end.as_str()), Some(end));
        }
        let sent = serde_json::to_value(RecordingState::OutOfSpace).expect("a word is JSON");
        assert_eq!(sent, RecordingState::OutOfSpace.as_str());
        assert_eq!(RecordingsFor::parse("everybody"), None);
    }
}
