//! The table of contents of a recording, `meeting.json`: which files there are, and what happened when.
//!
//! All times are milliseconds from the recording's beginning, on its one clock.

use serde::{Deserialize, Serialize};

/// Grows when old readers would misunderstand what is written.
pub const VERSION: u32 = 1;
/// Moments that are kept; a long meeting of hundreds has some thousand. More is memory and a file that no
/// browser opens quickly; the newest are left out then, and `is_cut` says so.
pub const MAX_MOMENTS: usize = 200_000;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// [`VERSION`].
    pub version: u32,
    /// Id of the recording.
    pub recording: String,
    /// Room.
    pub room: RoomName,
    /// How it ended.
    pub state: State,
    /// When it began, in milliseconds since 1970.
    pub began_at_ms: i64,
    /// How long it is; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Files, in the order in which they began.
    pub files: Vec<FileEntry>,
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// More happened than is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// What is missing.
    pub gaps: Vec<GapEntry>,
    /// The room's events of that time, by `seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Range>,
}

/// The room that was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomName {
    /// Id.
    pub id: String,
    /// In links.
    pub slug: String,
    /// As people call it.
    pub name: String,
}

/// How a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs, or the process was stopped while it ran.
    Recording,
    /// Ended as it should.
    Complete,
    /// The process was stopped; its files were mended afterwards.
    Recovered,
    /// The disk was full, or the recordings had as many bytes as they may.
    OutOfSpace,
    /// It could not be written.
    Failed,
}

/// First and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The first of them.
    pub first: i64,
    /// The last of them.
    pub last: i64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name in the recording's folder.
    pub name: String,
    /// Whose media.
    pub participant_id: String,
    /// Their account or guest identity.
    pub user_id: String,
    /// Their name then.
    pub display_name: String,
    /// `camera` (with the microphone) or `screen` (with its sound).
    pub source: FileSource,
    /// What is in it, in the order of its track numbers.
    pub tracks: Vec<TrackEntry>,
    /// When its first frame was captured.
    pub offset_ms: u64,
    /// From there to its end; absent while it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}

/// What a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileSource {
    /// Camera and microphone.
    Camera,
    /// Shared screen and its sound.
    Screen,
}

impl FileSource {
    /// In file names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Screen => "screen",
        }
    }
}

/// One track of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackEntry {
    /// `opus`, `vp8`, `vp9`, `av1`, `h264`.
    pub codec: String,
    /// Pixels of the first picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<(u16, u16)>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Somebody is there: also those who were when it began.
    Joined {
        /// Who.
        participant_id: String,
        /// Their account or guest identity.
        user_id: String,
        /// Their name.
        display_name: String,
    },
    /// Somebody is gone.
    Left {
        /// Who.
        participant_id: String,
    },
    /// A source is muted.
    Muted {
        /// Whose.
        participant_id: String,
        /// Which.
        source: String,
        /// The moderator's name; absent when they did it themselves.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// It is open again.
    Unmuted {
        /// Whose.
        participant_id: String,
        /// Which.
        source: String,
    },
    /// Who speaks from now on, the loudest first.
    Speaking {
        /// Everybody who does.
        participant_ids: Vec<String>,
    },
    /// A hand.
    Hand {
        /// Whose.
        participant_id: String,
        /// Up or down.
        is_raised: bool,
    },
}

/// A gap in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapEntry {
    /// The file.
    pub file: String,
    /// Where.
    pub at_ms: u64,
    /// `sound` or `picture`.
    pub track: String,
    /// How many packets.
    pub packets: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// It never came to the server.
    Network,
    /// The disk was too slow for all that came.
    SlowDisk,
}

impl Contents {
    /// Of a recording that begins.
    pub fn begin(recording: String, room: RoomName, began_at_ms: i64) -> Self {
        Self {
            version: VERSION,
            recording,
            room,
            state: State::Recording,
            began_at_ms,
            duration_ms: None,
            files: Vec::new(),
            moments: Vec::new(),
            is_cut: false,
            gaps: Vec::new(),
            events: None,
        }
    }

    /// Notes what happened; in order of time whoever tells it.
    pub fn note(&mut self, at_ms: u64, what: What) {
        if self.moments.len() >= MAX_MOMENTS {
            self.is_cut = true;
            return;
        }
        let after = self.moments.partition_point(|moment| moment.at_ms <= at_ms);
        self.moments.insert(after, Moment { at_ms, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let room =
            RoomName { id: "r".to_owned(), slug: "weekly".to_owned(), name: "Weekly".to_owned() };
        Contents::begin("1".to_owned(), room, 1_790_000_000_000)
    }

    #[test]
    fn moments_stand_in_order() {
        let mut contents = contents();
        let left = |id: &str| What::Left { participant_id: id.to_owned() };
        for (at, id) in [(30, "c"), (10, "a"), (30, "d"), (20, "b")] {
            contents.note(at, left(id));
        }
        let order: Vec<&What> = contents.moments.iter().map(|moment| &moment.what).collect();
        assert_eq!(order, [&left("a"), &left("b"), &left("c"), &left("d")]);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut contents = contents();
        contents.note(
            5,
            What::Muted {
                participant_id: "p".to_owned(),
                source: "microphone".to_owned(),
                by: Some("Anna".to_owned()),
            },
        );
        contents.files.push(FileEntry {
            name: "a.webm".to_owned(),
            participant_id: "p".to_owned(),
            user_id: "u".to_owned(),
            display_name: "Борис".to_owned(),
            source: FileSource::Camera,
            tracks: vec![TrackEntry { codec: "vp8".to_owned(), size: Some((1280, 720)) }],
            offset_ms: 12,
            duration_ms: None,
            size_bytes: None,
        });
        let text = serde_json::to_string(&contents).unwrap();
        assert!(text.contains(r#"{"at_ms":5,"kind":"muted","participant_id":"p""#), "{text}");
        assert_eq!(serde_json::from_str::<Contents>(&text).unwrap(), contents);
    }
}
