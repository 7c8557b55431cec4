//! The seam to the recorder: what it is told, and what it says. The control plane knows neither its files'
//! formats nor its threads; it hears what everybody in the room hears.

use protocol::recording::{RecordEnd, RecordingFile, RecordingState};
use protocol::room::Participant;
use protocol::{ParticipantId, RecordingId, RoomId, ServerMessage, UserId};
use std::time::Instant;

/// The way to the recorder. Never blocks.
pub trait Recorder: Send + Sync + 'static {
    /// Hands an order over. Beginnings and ends always arrive.
    fn send(&self, order: RecorderOrder);
}

/// What the recorder is told, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum RecorderOrder {
    /// A recording begins; its packets come after this.
    Begin(Box<Beginning>),
    /// Something that everybody in the room was told.
    Heard {
        /// Which recording.
        recording: RecordingId,
        /// When.
        at: Instant,
        /// What.
        message: Box<ServerMessage>,
    },
    /// It ends: its files are to be finished.
    End {
        /// Which.
        recording: RecordingId,
        /// Why.
        reason: RecordEnd,
        /// The room's number of the event that told it.
        seq: i64,
    },
    /// Its room is deleted, and it with it.
    Discard {
        /// Which.
        recording: RecordingId,
    },
}

/// A recording that begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Beginning {
    /// Its id.
    pub recording: RecordingId,
    /// Room.
    pub room: RoomId,
    /// The room's part of its address, which names the folder.
    pub slug: String,
    /// The room's name.
    pub name: String,
    /// The zero of its clock.
    pub at: Instant,
    /// The same, milliseconds since 1970.
    pub began_ms: i64,
    /// The room's number of the event that told it.
    pub seq: i64,
    /// Who is there.
    pub people: Vec<Participant>,
    /// Who speaks, the loudest first.
    pub speakers: Vec<ParticipantId>,
    /// Whose hands are up.
    pub hands_up: Vec<ParticipantId>,
}

/// What the recorder has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecorderEvent {
    /// It cannot go on.
    Failed {
        /// Room.
        room: RoomId,
        /// Which recording.
        recording: RecordingId,
        /// Why.
        reason: RecordEnd,
    },
    /// It has so many bytes by now.
    Grew {
        /// Room.
        room: RoomId,
        /// Which recording.
        recording: RecordingId,
        /// Bytes.
        bytes: u64,
    },
    /// Its files are finished.
    Finished {
        /// Which.
        recording: RecordingId,
        /// How it stands.
        state: RecordingState,
        /// How long it is.
        duration_ms: u64,
        /// Its files.
        files: Vec<RecordingFile>,
        /// Who was there.
        people: Vec<UserId>,
    },
}

/// Where nothing is recorded: in tests.
#[derive(Debug)]
pub struct NoRecorder;

impl Recorder for NoRecorder {
    fn send(&self, _order: RecorderOrder) {}
}
