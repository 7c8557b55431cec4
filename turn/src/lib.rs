//! A TURN server (RFC 8656, RFC 8489) whose only peer is the media plane beside it.
//!
//! Clients whose network lets nothing else out speak TURN to us over UDP, TCP or TLS. As every packet they
//! may send is for the media plane of this very process, there is no relay socket: what an allocation sends
//! is handed to the caller, and what the caller sends to an allocation is wrapped and goes to its client.
//!
//! It holds no socket, clock, thread or randomness: [`Moment`] and a seed are arguments. It must never know
//! about sessions, accounts, rooms or the media plane; persons and rooms are words in a user name here.

pub mod bucket;
pub mod channel;
pub mod credentials;
pub mod holders;
pub mod message;
pub mod nonce;
pub mod peers;
pub mod server;

mod allocation;
mod requests;

pub use allocation::AllocationKey;
pub use credentials::Secret;
pub use holders::Holders;
pub use server::{
    Client, Closed, Config, Limits, Link, Moment, Received, Relay, Server, Stats, wants,
};
