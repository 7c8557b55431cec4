//! What lasts: identities, rooms, members, events. The only crate that knows SQL.
//!
//! One text of each statement serves SQLite and PostgreSQL: `$1` binds, TEXT and BIGINT columns only.
//! The store reads no clock and makes no ids; both come in as arguments.

mod attachments;
mod audit;
mod bans;
mod breakouts;
pub mod chat;
mod error;
mod events;
mod invites;
mod log;
mod members;
mod migrations;
pub mod orders;
mod orphans;
mod pool;
mod recordings;
mod rooms;
mod row;
mod sessions;
mod stream_keys;
#[cfg(feature = "testing")]
pub mod testing;
mod url;
mod users;
mod writer;

pub use attachments::StoredFile;
pub use breakouts::BreakoutChange;
pub use chat::{MessageChange, NewMessage, Touched};
pub use error::Error;
pub use events::{Fact, NewEvent, RoomLog, Stored};
pub use invites::Invite;
pub use log::EventPage;
pub use members::Added;
pub use orders::{Audience, Change, Ordered, Refused};
pub use orphans::FoundRecording;
pub use pool::Store;
pub use recordings::{FinishedRecording, NewUpload, StoredRecording};
pub use rooms::{NewRoom, Parent, Room, RoomChange, RoomCreated};
pub use sessions::{NewSession, Rotated};
pub use stream_keys::StreamKey;
pub use users::{AccountCreated, NewAccount};
