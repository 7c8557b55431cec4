//! The media plane: rooms, transports and forwarding as a state machine.
//!
//! It holds no socket, clock, thread or file. Datagrams and commands come in through
//! `Sfu`, datagrams and events come out; time and randomness are arguments. It must
//! never know about sessions, accounts, chat or storage.

pub mod cache;
pub mod clock;
pub mod codec;
pub mod command;
pub mod credentials;
pub mod event;
pub mod format;
pub mod nack;
pub mod reception;
pub mod rtcp;
pub mod rtp;
pub mod sdp;
pub mod sequence;
pub mod speakers;
pub mod transport;
pub mod twcc;

pub use command::{Command, PeerId, TrackNames};
pub use event::{CloseReason, Event};
