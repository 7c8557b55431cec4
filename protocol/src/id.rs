//! Ids as newtypes, so that a room can never be passed where a person is meant.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, format = Uuid)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A room; lasting.
    RoomId
);
id!(
    /// An identity, whether of an account or of a guest; lasting.
    UserId
);
id!(
    /// A live presence of a user in a room: one per device that joined, gone when it has left.
    ParticipantId
);
id!(
    /// Something a participant publishes now.
    TrackId
);
id!(
    /// A stored chat message.
    MessageId
);
id!(
    /// A file of the chat.
    AttachmentId
);
id!(
    /// A recording of a meeting; lasting.
    RecordingId
);
id!(
    /// A link into a room.
    InviteId
);
id!(
    /// A key for an encoder or a player.
    StreamKeyId
);
