//! Bodies of the REST calls under `/api/v1`.

use crate::id::{InviteId, RoomId, StreamKeyId, UserId};
use crate::room::{Ban, By, ChatMessage, Member, Participant, Role, Room, Snapshot};
use crate::server::ServerMessage;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Role of an account in the whole deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountRole {
    /// Runs the deployment.
    Admin,
    /// Has an account.
    User,
    /// Has a name and nothing else.
    Guest,
}

impl AccountRole {
    /// As stored and as sent.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountRole::Admin => "admin",
            AccountRole::User => "user",
            AccountRole::Guest => "guest",
        }
    }

    /// The role with this name, if there is one.
    pub fn parse(text: &str) -> Option<AccountRole> {
        match text {
            "admin" => Some(AccountRole::Admin),
            "user" => Some(AccountRole::User),
            "guest" => Some(AccountRole::Guest),
            _ => None,
        }
    }
}

/// An identity as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// Name to show.
    pub display_name: String,
    /// Name to log in with; guests have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Only for its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Role in the deployment.
    pub role: AccountRole,
}

/// `POST auth/guest`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GuestRequest {
    /// Name to show, 1–64 characters.
    pub display_name: String,
}

/// `POST auth/register`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RegisterRequest {
    /// E-mail.
    pub email: String,
    /// 3–32 of `[A-Za-z0-9_.-]`.
    pub username: String,
    /// 8–256 characters.
    pub password: String,
    /// Name to show; the username when absent.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Where the deployment asks for it.
    #[serde(default)]
    pub registration_secret: Option<String>,
    /// Token of the admin set-up link printed at first start.
    #[serde(default)]
    pub setup_token: Option<String>,
}

/// `POST auth/login`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct LoginRequest {
    /// Username or e-mail.
    pub username: String,
    /// Password.
    pub password: String,
}

/// `POST auth/refresh`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RefreshRequest {
    /// The refresh token; used once, answered by a new one.
    pub refresh_token: String,
}

/// `POST auth/logout`: with a refresh token, or with nothing but the header's access token.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct LogoutRequest {
    /// Ends its session, even where the access token is over.
    #[serde(default)]
    pub refresh_token: Option<String>,
}

/// `PATCH auth/me`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RenameRequest {
    /// Name to show, 1–64 characters.
    pub display_name: String,
}

/// Answer of every call that signs in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct AuthResponse {
    /// Bearer token for everything else.
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Gets the next access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who you are.
    pub user: User,
}

/// `GET config`: what the client needs to know before anybody signs in.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicConfig {
    /// Name of the deployment.
    pub app_name: String,
    /// Version of the server.
    pub version: String,
    /// Whether accounts can be made, and how.
    pub registration: Registration,
    /// Whether guests may create rooms.
    pub guests_may_create_rooms: bool,
}

/// Whether accounts can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Anybody may.
    Open,
    /// With the registration secret.
    Secret,
    /// Nobody may.
    Closed,
}

/// `POST rooms`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateRoomRequest {
    /// Name to show, 1–120 characters.
    pub name: String,
    /// 3–64 of `[a-z0-9-]`; made from chance when absent.
    #[serde(default)]
    pub slug: Option<String>,
    /// A word people must know to get in.
    #[serde(default)]
    pub invite_key: Option<String>,
}

/// `PATCH rooms/{slug}`; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct UpdateRoomRequest {
    /// New name.
    #[serde(default)]
    pub name: Option<String>,
    /// New topic.
    #[serde(default)]
    pub topic: Option<String>,
    /// New invite key; empty takes it away.
    #[serde(default)]
    pub invite_key: Option<String>,
}

/// `GET rooms`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RoomList {
    /// Rooms you are a member of, newest first.
    pub rooms: Vec<Room>,
}

/// `GET rooms/by-invite/{code}`: what a holder of the code may see.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InvitedRoom {
    /// Id.
    pub id: RoomId,
    /// Slug.
    pub slug: String,
    /// Name.
    pub name: String,
    /// People in it now.
    pub participants: u32,
}

/// `POST rooms/{slug}/ticket`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct TicketRequest {
    /// Where the room asks for it.
    #[serde(default)]
    pub invite_key: Option<String>,
    /// From `joined`: takes that participant over.
    #[serde(default)]
    pub resume: Option<String>,
    /// Takes your newest participant over, wherever it is: this device instead of the other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// A one-use door to the room's socket.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct TicketResponse {
    /// For `GET /ws/rooms/{slug}?ticket=`.
    pub ticket: String,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// `GET rooms/{slug}/participants`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ParticipantList {
    /// In order of joining.
    pub participants: Vec<Participant>,
}

/// `GET rooms/{slug}/messages`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// Oldest first.
    pub messages: Vec<ChatMessage>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// `POST webrtc/checkups`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CheckupRequest {
    /// A room that you may enter. Needed by guests where they may make no rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Its key, where it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_key: Option<String>,
    /// An invite into it, in place of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite_code: Option<String>,
    /// SDP offer of what you send.
    pub publish: String,
    /// SDP offer of where you take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
}

/// A test of a connection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Checkup {
    /// Id.
    pub id: Uuid,
    /// SDP answer to `publish`.
    pub publish: String,
    /// SDP answer to `watch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// Seconds until it ends.
    pub seconds: u64,
}

/// `GET rooms/{slug}/members`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// The highest role first.
    pub members: Vec<Member>,
}

/// `GET rooms/{slug}/bans`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BanList {
    /// Newest first.
    pub bans: Vec<Ban>,
}

/// `GET rooms/{slug}/audit`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// Something that somebody did as a moderator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// Number of the event that told it.
    pub seq: i64,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// Type of that event.
    pub action: String,
    /// Who did it.
    pub by: By,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<By>,
    /// The event's other fields.
    #[schema(value_type = Object)]
    pub detail: Value,
}

/// `GET rooms/{slug}/events`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// In order, each as the socket told it.
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<ServerMessage>,
    /// Everything up to this number that is for you has been told.
    pub upto_seq: i64,
    /// Whether there is more after it.
    pub has_more: bool,
    /// What there is now, in place of events that are not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Box<Snapshot>>,
}

/// `POST rooms/{slug}/invites`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct CreateInviteRequest {
    /// What those become who come by it; what they would become anyway when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How often it is good; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Seconds it is good for; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A link into a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    /// Id, to revoke it by.
    pub id: InviteId,
    /// What the link ends with; absent where the server's secret has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What those become who come by it.
    pub role: Role,
    /// How often it is good; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// How often it was used.
    pub uses: u32,
    /// Until when, milliseconds since 1970; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Who made it.
    pub created_by: UserId,
    /// When, milliseconds since 1970.
    pub created_ms: i64,
}

/// `GET rooms/{slug}/invites`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InviteList {
    /// Newest first.
    pub invites: Vec<Invite>,
}

/// What a stream key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamKeyPurpose {
    /// WHIP: an encoder.
    Publish,
    /// WHEP: a player.
    Watch,
}

impl StreamKeyPurpose {
    /// As stored and as sent.
    pub fn as_str(self) -> &'static str {
        match self {
            StreamKeyPurpose::Publish => "publish",
            StreamKeyPurpose::Watch => "watch",
        }
    }

    /// The purpose with this name, if there is one.
    pub fn parse(text: &str) -> Option<StreamKeyPurpose> {
        match text {
            "publish" => Some(StreamKeyPurpose::Publish),
            "watch" => Some(StreamKeyPurpose::Watch),
            _ => None,
        }
    }
}

/// `POST rooms/{slug}/stream-keys`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreateStreamKeyRequest {
    /// Name of the key, and of the participant who comes by it.
    pub name: String,
    /// What it opens.
    pub purpose: StreamKeyPurpose,
    /// After how many seconds it ends; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A key for an encoder or a player.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StreamKey {
    /// Id, to revoke it by.
    pub id: StreamKeyId,
    /// The key itself, for `Authorization: Bearer`; only in the answer to making it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Name of it, and of the participant who comes by it.
    pub name: String,
    /// What it opens.
    pub purpose: StreamKeyPurpose,
    /// The identity of what comes by it.
    pub user_id: UserId,
    /// Until when, milliseconds since 1970; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// When it last opened a session, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_ms: Option<i64>,
    /// Who made it.
    pub created_by: UserId,
    /// When, milliseconds since 1970.
    pub created_ms: i64,
}

/// `GET rooms/{slug}/stream-keys`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StreamKeyList {
    /// Newest first.
    pub stream_keys: Vec<StreamKey>,
}

/// `POST whep/{slug}/{session}/layer`: how large a picture a player takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WatchLayer {
    /// Pixels; as many as come when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_width: Option<u16>,
    /// Pixels; as many as come when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_height: Option<u16>,
}

/// One entry for `RTCConfiguration.iceServers`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IceServer {
    /// `stun:`, `turn:`, `turns:`.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// `GET webrtc/ice-servers`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IceServers {
    /// In order of preference.
    pub ice_servers: Vec<IceServer>,
    /// Seconds until the credentials end.
    pub ttl: u64,
}
