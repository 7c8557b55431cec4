//! What a room and the people in it look like to clients.

use crate::breakout::Breakouts;
pub use crate::chat::ChatMessage;
use crate::id::{AttachmentId, ParticipantId, RoomId, UserId};
use crate::limits::MAX_PARTICIPANTS;
use crate::media::Track;
use crate::recording::RecordingNow;
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
    /// Screen share stopped by a moderator: neither its picture nor its sound is forwarded.
    #[serde(default)]
    pub screen_forced: bool,
}

/// What a moderator can stop.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Forcible {
    /// Microphone, and with it the sound of a shared screen.
    Microphone,
    /// Camera.
    Camera,
    /// Shared screen with its sound.
    Screen,
}

/// Who did something, with their name at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct By {
    /// Who.
    pub user_id: UserId,
    /// Their name.
    pub display_name: String,
}

/// What moderators have ordered for a person. It holds for all their participants, those to come as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orders {
    /// Who muted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microphone: Option<By>,
    /// Who stopped their camera.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<By>,
    /// Who stopped their screen share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<By>,
    /// Whether they may speak while everybody is muted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub may_speak: bool,
    /// Until when they may, milliseconds since 1970; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_speak_until_ms: Option<i64>,
}

impl Orders {
    /// Whether nothing is ordered.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Who stopped this source.
    pub fn forced_by(&mut self, source: Forcible) -> &mut Option<By> {
        match source {
            Forcible::Microphone => &mut self.microphone,
            Forcible::Camera => &mut self.camera,
            Forcible::Screen => &mut self.screen,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
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
    /// What moderators have ordered for them; absent when nothing is.
    #[serde(default, skip_serializing_if = "Orders::is_none")]
    pub orders: Orders,
    /// Their keys for sealed words, where they published some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyBundle>,
    /// What they publish now.
    pub tracks: Vec<Track>,
    /// When they joined, milliseconds since 1970.
    pub joined_ms: i64,
}

/// Public keys of a device, for words that the server cannot read. It does not look into them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyBundle {
    /// The device's lasting key.
    pub identity_key: String,
    /// A key to begin a conversation with.
    pub pre_key: String,
    /// The lasting key's word for the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// Somebody who waits in the lobby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Knock {
    /// The participant they will be when they are admitted.
    pub id: ParticipantId,
    /// Their identity.
    pub user_id: UserId,
    /// Their name.
    pub display_name: String,
    /// Their role.
    pub role: Role,
    /// Since when they wait, milliseconds since 1970.
    pub knocked_ms: i64,
}

/// How somebody's waiting in the lobby ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnockOutcome {
    /// A moderator let them in.
    Admitted,
    /// A moderator did not.
    Refused,
    /// They did not wait, or were removed.
    Gone,
}

/// Somebody who belongs to a room, here or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Identity.
    pub user_id: UserId,
    /// Name to show.
    pub display_name: String,
    /// Role in this room.
    pub role: Role,
    /// What moderators have ordered for them; absent when nothing is.
    #[serde(default, skip_serializing_if = "Orders::is_none")]
    pub orders: Orders,
    /// Since when, milliseconds since 1970.
    pub joined_ms: i64,
}

/// Somebody who may not enter a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ban {
    /// Identity.
    pub user_id: UserId,
    /// Their name when they were banned.
    pub display_name: String,
    /// Who banned them.
    pub by: By,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When, milliseconds since 1970.
    pub banned_ms: i64,
}

/// State of the room that is not about one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomState {
    /// What the meeting is about.
    pub topic: String,
    /// Nobody new gets in.
    pub is_locked: bool,
    /// Everybody but moderators is muted.
    pub mute_all: bool,
    /// Who comes waits until a moderator admits them.
    pub has_lobby: bool,
    /// How many may be in the room.
    pub capacity: u32,
    /// The server records.
    pub recording_active: bool,
    /// What it records into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingNow>,
    /// Recording begins when somebody comes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_record: bool,
    /// What people read when they are recorded; absent where there is nothing to read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub record_consent: String,
    /// Raised hands, first raised first.
    pub hands_up: Vec<ParticipantId>,
}

impl Default for RoomState {
    fn default() -> Self {
        Self {
            topic: String::new(),
            is_locked: false,
            mute_all: false,
            has_lobby: false,
            capacity: u32::try_from(MAX_PARTICIPANTS).unwrap_or(u32::MAX),
            recording_active: false,
            recording: None,
            auto_record: false,
            record_consent: String::new(),
            hands_up: Vec::new(),
        }
    }
}

/// Everything about a room as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Topic, lock and so on.
    pub state: RoomState,
    /// Everybody, you included, in order of joining; in a large room only those who matter most.
    pub participants: Vec<Participant>,
    /// How many are here, where `participants` does not have all of them: `roster.page` brings the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<u32>,
    /// Newest chat messages that are for you, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Pinned messages, the last pinned first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<ChatMessage>,
    /// Who speaks now, loudest first.
    pub speakers: Vec<ParticipantId>,
    /// Who waits in the lobby, first come first; for moderators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lobby: Vec<Knock>,
    /// Breakout rooms, while some are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breakouts: Option<Breakouts>,
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
    /// Of a breakout room: the slug of its main room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Whether an invite key is asked for.
    pub has_invite_key: bool,
    /// Code for the invite link; only for members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_code: Option<String>,
    /// Names its cover, another one after each change; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover_id: Option<AttachmentId>,
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
