//! What a client may say on the room's socket.

use crate::id::ParticipantId;
use crate::media::{TrackOffer, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A message with the id that its answer will carry in `re`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientRequest {
    /// The client's own id of the request: a string or a number, handed back unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RequestId>)]
    pub id: Option<Value>,
    /// What is asked.
    #[serde(flatten)]
    pub message: ClientMessage,
}

/// What may stand in `id` and `re`: text of at most 64 characters, or a number. The messages hold it as the
/// JSON it came as: 7 must not come back as 7.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
}

/// Everything a client may ask for. Who asks is known from the socket, never from the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum ClientMessage {
    /// Are you there? Answered by `pong`.
    #[serde(rename = "ping")]
    Ping,
    /// I leave now; no grace.
    #[serde(rename = "leave")]
    Leave,
    /// My own mutes changed.
    #[serde(rename = "media.self")]
    MediaSelf {
        /// Microphone muted by its owner.
        mic_muted: bool,
        /// Camera off.
        cam_off: bool,
    },
    /// A line of chat.
    #[serde(rename = "chat.message")]
    ChatMessage {
        /// The text.
        text: String,
        /// The client's own id: the same id again is the same message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// I am writing, or stopped.
    #[serde(rename = "chat.typing")]
    ChatTyping {
        /// Whether.
        is_typing: bool,
    },
    /// A feeling that everybody sees for a moment.
    #[serde(rename = "reaction")]
    Reaction {
        /// One emoji.
        emoji: String,
    },
    /// A small message between programs; never stored.
    #[serde(rename = "signal.message")]
    SignalMessage {
        /// For whom; for all others when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<ParticipantId>,
        /// What it is about.
        topic: String,
        /// Anything.
        data: Value,
    },
    /// SDP offer of the publish transport; the same `pc` negotiates again, another replaces it.
    /// Answered by `media.published`.
    #[serde(rename = "media.publish")]
    MediaPublish {
        /// The client's own name of its RTCPeerConnection.
        pc: String,
        /// The offer.
        sdp: String,
        /// What its m-lines carry; those not named are inactive.
        tracks: Vec<TrackOffer>,
    },
    /// Asks for a subscribe transport; the same `pc` asks for more slots or an ICE restart, another replaces it.
    /// Answered by `media.offer`.
    #[serde(rename = "media.subscribe")]
    MediaSubscribe {
        /// The client's own name of its RTCPeerConnection.
        pc: String,
        /// Audio slots wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_slots: Option<u8>,
        /// Video slots wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_slots: Option<u8>,
    },
    /// SDP answer to `media.offer`.
    #[serde(rename = "media.answer")]
    MediaAnswer {
        /// Which RTCPeerConnection.
        pc: String,
        /// The answer.
        sdp: String,
    },
    /// What I show and hear.
    #[serde(rename = "view.set")]
    ViewSet(View),
}

impl ClientMessage {
    /// Every `type` there is, so that an unknown one is told from a malformed one.
    pub const TYPES: &'static [&'static str] = &[
        "ping",
        "leave",
        "media.self",
        "chat.message",
        "chat.typing",
        "reaction",
        "signal.message",
        "media.publish",
        "media.subscribe",
        "media.answer",
        "view.set",
    ];
}
