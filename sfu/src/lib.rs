//! The media plane: rooms, transports and forwarding as a state machine.
//!
//! It holds no socket, clock, thread or file. Datagrams and commands come in through
//! [`Sfu`](router::Sfu), datagrams and events come out; time and randomness are arguments. It must
//! never know about sessions, accounts, chat or storage.

pub mod command;
pub mod event;

pub use command::{Command, PeerId, TrackNames};
pub use event::{CloseReason, Event};
