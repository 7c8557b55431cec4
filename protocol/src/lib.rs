//! Every id and message that crosses a door of Veche: the WebSocket, REST, and the seam between
//! the control plane and the media plane. Knows nothing about sockets, storage or media.

pub mod breakout;
pub mod chat;
pub mod client;
pub mod error;
pub mod id;
pub mod limits;
pub mod media;
pub mod powers;
pub mod recording;
pub mod rest;
pub mod room;
pub mod server;
pub mod stats;

pub use client::{ClientMessage, ClientRequest};
pub use error::{ErrorBody, ErrorCode, ErrorDetail};
pub use id::{
    AttachmentId, InviteId, MessageId, ParticipantId, RecordingId, RoomId, StreamKeyId, TrackId,
    UserId,
};
pub use media::{Kind, SlotBinding, SlotReason, Source, Track};
pub use powers::Power;
pub use server::ServerMessage;
