//! The control plane: identity, rooms, the room's socket, chat, and the doors of the media plane
//! (media signaling, WHIP, WHEP). It sends [`sfu::Command`]s and hears [`sfu::Event`]s; it must never
//! know about RTP, files or threads.

pub mod settings;

pub use settings::{MediaBusy, MediaPlane, Secret, Settings};
