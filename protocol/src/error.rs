//! Errors with stable codes; the words beside them are for people and may change.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// A stable reason for a refusal. Clients decide by it; people read the message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ErrorCode {
            /// The code as it stands in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }

            /// HTTP status that goes with the code.
            pub fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status,)* }
            }

            /// Every code, for the tests that keep `PROTOCOL.md` complete.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];
        }
    };
}

codes! {
    /// The body or a field is not what this call takes.
    BadRequest = "bad_request", 400;
    /// A field breaks a rule; the message names it.
    Invalid = "invalid", 400;
    /// The socket's message has an unknown `type`.
    UnknownType = "unknown_type", 400;
    /// No token, or one that is expired, altered or revoked.
    Unauthorized = "unauthorized", 401;
    /// Name or password is wrong.
    WrongCredentials = "wrong_credentials", 401;
    /// Signed in, but not allowed.
    Forbidden = "forbidden", 403;
    /// The registration secret is wrong.
    WrongSecret = "wrong_secret", 403;
    /// Registration is closed on this deployment.
    RegistrationClosed = "registration_closed", 403;
    /// The room asks for its invite key, and none or a wrong one came.
    WrongInviteKey = "wrong_invite_key", 403;
    /// You may not enter this room any more.
    Banned = "banned", 403;
    /// The room takes nobody new now.
    Locked = "locked", 403;
    /// A moderator must admit you first, and this door has no place to wait.
    Lobby = "lobby", 403;
    /// There is no such thing, or it is not for you.
    NotFound = "not_found", 404;
    /// The method is not one this path takes.
    MethodNotAllowed = "method_not_allowed", 405;
    /// None of the types that the client accepts is what this path answers with.
    NotAcceptable = "not_acceptable", 406;
    /// The name is taken.
    Taken = "taken", 409;
    /// The room is full.
    RoomFull = "room_full", 409;
    /// The state does not allow it now.
    Conflict = "conflict", 409;
    /// `If-Match` names another session of ICE than the one there is.
    PreconditionFailed = "precondition_failed", 412;
    /// Longer than the limit.
    TooLarge = "too_large", 413;
    /// The content type is not one this path takes.
    UnsupportedMedia = "unsupported_media", 415;
    /// The SDP cannot be used; the message says why.
    BadSdp = "bad_sdp", 422;
    /// The request needs `If-Match`.
    PreconditionRequired = "precondition_required", 428;
    /// Too many in too short a time.
    RateLimited = "rate_limited", 429;
    /// Something broke here; the request id helps to find it.
    Internal = "internal", 500;
    /// The server holds as much as it can, or has too much to do, and takes nobody new.
    ServerFull = "server_full", 503;
    /// Not now: storing failed, starting or stopping.
    Unavailable = "unavailable", 503;
}

// By hand: utoipa does not read a serde name that a macro has filled in.
impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A stable reason for a refusal."))
            .enum_values(Some(ErrorCode::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for ErrorCode {}

/// Body of every error answer over HTTP.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// Code for programs, message for people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// Stable code.
    pub code: ErrorCode,
    /// Plain words.
    pub message: String,
}
