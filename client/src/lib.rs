//! A native client of Veche: signs in over REST, joins by WebSocket, publishes and subscribes with
//! the media plane's own pieces used from the other end. It goes through the public doors only; the load generator and
//! the doctor are made of it, and tests and benchmarks.

pub mod api;
mod codec;
pub mod description;
pub mod drain;
pub mod histogram;
pub mod http;
pub mod link;
pub mod person;
pub mod pictures;
pub mod publisher;
pub mod relay;
pub mod socket;
pub mod stamp;
pub mod subscriber;
pub mod tally;
pub mod viewer;
pub mod weather;
mod wire;

pub use api::Api;
pub use codec::VideoCodec;
pub use person::Person;
pub use publisher::{Publication, Publisher};
pub use socket::RoomSocket;
pub use subscriber::{Received, Subscriber};
pub use viewer::Viewer;
pub use weather::Weather;

use protocol::ErrorCode;

/// What can go wrong on the client's side.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's word.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An HTTP status that is no success.
    #[error("HTTP {status}: {body}")]
    Refused {
        /// Status.
        status: u16,
        /// Body.
        body: String,
    },
    /// An `error` on the socket.
    #[error("{code:?}: {reason}")]
    Said {
        /// Stable code.
        code: ErrorCode,
        /// Words.
        reason: String,
    },
    /// The server closed the socket with this code.
    #[error("the socket was closed with code {0}")]
    Closed(u16),
    /// An answer that makes no sense.
    #[error("{0}")]
    Answer(String),
    /// Nothing came in time.
    #[error("waited in vain for {0}")]
    Timeout(&'static str),
}
