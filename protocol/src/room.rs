//! What a room and the people in it look like to clients.

use crate::id::{MessageId, ParticipantId, RoomId, UserId};
use crate::media::Track;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Role of a member in a room; stored, never taken from a message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Came by invite without an account.
    Guest,
    /// Joined with an account.
    Member,
    /// May moderate.
    Admin,
    /// Made the room, or was given it.
    Owner,
}

impl Role {
    /// As stored and as sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Guest => "guest",
            Role::Member => "member",
            Role::Admin => "admin",
            Role::Owner => "owner",
        }
    }

    /// The role with this name, if there is one.
    pub fn parse(text: &str) -> Option<Role> {
        match text {
            "guest" => Some(Role::Guest),
            "member" => Some(Role::Member),
            "admin" => Some(Role::Admin),
            "owner" => Some(Role::Owner),
            _ => None,
        }
    }
}

/// How present a participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Heard of within the last 10 s.
    Online,
    /// Silent for 10 s; has 15 s more to come back.
    Reconnecting,
}

/// What people set on their own devices, and what moderators forced on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MediaState {
    /// Muted the microphone themselves.
    pub mic_muted: bool,
    /// Turned the camera off themselves.
    pub cam_off: bool,
    /// Muted by a moderator: nothing of the microphone is forwarded.
    #[serde(default)]
    pub mic_forced: bool,
    /// Camera stopped by a moderator: nothing of it is forwarded.
    #[serde(default)]
    pub cam_forced: bool,
}

/// A person in the room now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Participant {
    /// Id of this presence.
    pub id: ParticipantId,
    /// Id of the identity behind it.
    pub user_id: UserId,
    /// Name to show.
    pub display_name: String,
    /// Role in this room.
    pub role: Role,
    /// Whether they are heard of.
    pub presence: Presence,
    /// Mutes.
    pub media: MediaState,
    /// What they publish now.
    pub tracks: Vec<Track>,
    /// When they joined, milliseconds since 1970.
    pub joined_ms: i64,
}

/// State of the room that is not about one person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomState {
    /// What the meeting is about.
    pub topic: String,
    /// Nobody new gets in.
    pub is_locked: bool,
    /// Everybody but moderators is muted.
    pub mute_all: bool,
    /// The server records.
    pub recording_active: bool,
    /// Raised hands, first raised first.
    pub hands_up: Vec<ParticipantId>,
}

/// A room as REST and `joined` show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    /// Id.
    pub id: RoomId,
    /// Part of the room's address; never changes.
    pub slug: String,
    /// Name to show.
    pub name: String,
    /// Whether an invite key is asked for.
    pub has_invite_key: bool,
    /// Code for the invite link; only for members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_code: Option<String>,
    /// Who owns it.
    pub owner_id: UserId,
    /// Your role in it; absent when you are no member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// People in it now.
    pub participants: u32,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
}

/// A stored chat message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatMessage {
    /// Id.
    pub id: MessageId,
    /// The room's event number of it.
    pub seq: i64,
    /// Who wrote it.
    pub user_id: UserId,
    /// Name of the author when it was written.
    pub display_name: String,
    /// The text.
    pub text: String,
    /// When it was stored, milliseconds since 1970.
    pub sent_ms: i64,
    /// The author's own id of it, so that a resend is seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}
