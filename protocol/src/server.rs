//! What the server says on the room's socket.

use crate::client::RequestId;
use crate::error::ErrorCode;
use crate::id::{ParticipantId, UserId};
use crate::media::{SlotBinding, Track};
use crate::room::{ChatMessage, MediaState, Participant, Presence, Role, Room, RoomState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Why a participant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// Said so.
    Left,
    /// 25 s of silence.
    TimedOut,
    /// The room was deleted.
    RoomClosed,
    /// Removed by a moderator.
    Kicked,
}

/// Everything the server may say. Answers carry the request's `id` in `re`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum ServerMessage {
    /// First message: who you are here.
    #[serde(rename = "joined")]
    Joined {
        /// You.
        participant_id: ParticipantId,
        /// Your identity.
        user_id: UserId,
        /// Your role.
        role: Role,
        /// The room.
        room: Room,
        /// Secret that takes this participant over on a new socket (`POST rooms/{slug}/ticket {resume}`).
        resume: String,
        /// Whether this socket took over a participant that was here already.
        resumed: bool,
    },
    /// Second message: everything as it is now. Changes follow as events.
    #[serde(rename = "state.snapshot")]
    StateSnapshot {
        /// Topic, lock and so on.
        state: RoomState,
        /// Everybody, you included, in order of joining.
        participants: Vec<Participant>,
        /// Newest chat messages, oldest first.
        messages: Vec<ChatMessage>,
        /// Who speaks now, loudest first.
        speakers: Vec<ParticipantId>,
    },
    /// Third message: the number the next stored event gets.
    #[serde(rename = "sync.info")]
    SyncInfo {
        /// Next `seq`.
        next_seq: i64,
    },
    /// Topic, lock and so on are others now.
    #[serde(rename = "state.changed")]
    StateChanged {
        /// All of it, as it is now.
        state: RoomState,
    },
    /// Somebody came.
    #[serde(rename = "member.joined")]
    MemberJoined {
        /// Who.
        participant: Participant,
        /// Event number.
        seq: i64,
    },
    /// Somebody is gone.
    #[serde(rename = "member.left")]
    MemberLeft {
        /// Who.
        participant_id: ParticipantId,
        /// Why.
        reason: LeaveReason,
        /// Event number.
        seq: i64,
    },
    /// Somebody fell silent, or is back.
    #[serde(rename = "member.presence")]
    MemberPresence {
        /// Who.
        participant_id: ParticipantId,
        /// How present.
        presence: Presence,
    },
    /// Somebody's mutes changed.
    #[serde(rename = "media.updated")]
    MediaUpdated {
        /// Who.
        participant_id: ParticipantId,
        /// All of them, as they are now.
        media: MediaState,
    },
    /// Somebody publishes something else now.
    #[serde(rename = "tracks.changed")]
    TracksChanged {
        /// Who.
        participant_id: ParticipantId,
        /// All of them, as they are now.
        tracks: Vec<Track>,
    },
    /// A line of chat, stored.
    #[serde(rename = "chat.message")]
    ChatMessage {
        /// The message.
        #[serde(flatten)]
        message: ChatMessage,
        /// For the sender: the request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// Somebody is writing, or stopped.
    #[serde(rename = "chat.typing")]
    ChatTyping {
        /// Who.
        participant_id: ParticipantId,
        /// Whether.
        is_typing: bool,
    },
    /// Somebody shows a feeling for a moment.
    #[serde(rename = "reaction")]
    Reaction {
        /// Who.
        participant_id: ParticipantId,
        /// One emoji.
        emoji: String,
    },
    /// A small message of another participant's program.
    #[serde(rename = "signal.message")]
    SignalMessage {
        /// Who sent it, as the server knows.
        from: ParticipantId,
        /// What it is about.
        topic: String,
        /// Anything.
        data: Value,
    },
    /// SDP answer to `media.publish`.
    #[serde(rename = "media.published")]
    MediaPublished {
        /// Which RTCPeerConnection.
        pc: String,
        /// The answer.
        sdp: String,
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// SDP offer of the subscribe transport.
    #[serde(rename = "media.offer")]
    MediaOffer {
        /// Which RTCPeerConnection.
        pc: String,
        /// The offer.
        sdp: String,
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// A transport of yours is over: make a new one.
    #[serde(rename = "media.closed")]
    MediaClosed {
        /// Which RTCPeerConnection.
        pc: String,
        /// In words.
        reason: String,
    },
    /// What your slots carry now: all of them.
    #[serde(rename = "slots.changed")]
    SlotsChanged {
        /// Which RTCPeerConnection.
        pc: String,
        /// In order of m-lines.
        slots: Vec<SlotBinding>,
    },
    /// Layers of one of your tracks that somebody takes: pause the others.
    #[serde(rename = "media.layers")]
    MediaLayers {
        /// Which RTCPeerConnection.
        pc: String,
        /// `a=mid` of the track's m-line.
        mid: String,
        /// `a=rid` of the layers taken; empty when nobody takes any.
        rids: Vec<String>,
    },
    /// Who speaks now, loudest first; empty when nobody does.
    #[serde(rename = "speakers.changed")]
    SpeakersChanged {
        /// Who.
        speakers: Vec<ParticipantId>,
    },
    /// Answer to `ping`.
    #[serde(rename = "pong")]
    Pong {
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// Something you asked for did not happen. The socket lives.
    #[serde(rename = "error")]
    Error {
        /// Stable code.
        code: ErrorCode,
        /// Plain words.
        reason: String,
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
}

/// Close codes of the socket (RFC 6455 §7.4, and its private range).
pub mod close {
    macro_rules! codes {
        ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
            $($(#[$doc])* pub const $name: u16 = $code;)*

            /// Every code with the words that go with it in the close frame.
            pub const ALL: &[(u16, &str)] = &[$(($code, $reason),)*];
        };
    }

    /// What browsers send when a page is closed or left: taken as `leave`. Never sent by the server.
    pub const GOING_AWAY: u16 = 1001;

    codes! {
        /// You left.
        DONE = 1000, "done";
        /// What came is not WebSocket.
        PROTOCOL_ERROR = 1002, "not WebSocket";
        /// The frame is not text in UTF-8.
        NOT_TEXT = 1007, "not UTF-8";
        /// The frame is too large.
        TOO_LARGE = 1009, "frame too large";
        /// The server stops. Come back with some jitter.
        RESTARTING = 1012, "the server restarts";
        /// Not now: the `error` before says why.
        TRY_LATER = 1013, "try again later";
        /// Too slow: the outbox is full. Come back and resume.
        TOO_SLOW = 4001, "too slow";
        /// Another socket took this participant over.
        REPLACED = 4002, "taken over by another socket";
        /// The room is gone.
        ROOM_CLOSED = 4003, "the room is gone";
        /// Removed by a moderator.
        KICKED = 4004, "removed from the room";
        /// Too many messages, again and again.
        FLOODING = 4005, "too many messages";
        /// Nothing was heard for 10 s, not even a pong.
        SILENT = 4006, "nothing heard";
    }
}
