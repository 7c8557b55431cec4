//! What passes between the media planes of one room: on other threads, on other nodes, and to a
//! recorder, which is one more place that takes packets.
//!
//! A packet is handed over once per plane, only for tracks that somebody there takes, in the clear and
//! after enforcement. Each plane has its own cache and answers NACKs itself; only the wish for a
//! keyframe travels upstream.

use crate::format::{Codec, Extensions};
use bytes::Bytes;
use protocol::{RoomId, TrackId};

/// Packets and wishes waiting to be handed over. Half a second of a busy room; what does not fit is
/// dropped and counted, as a full ring to a stuck thread would.
pub const MAX_WAITING: usize = 8_192;
/// Planes that one track is handed to: more than threads of a machine or nodes of a room.
pub const MAX_PLANES: usize = 64;

/// Another media plane, or a recorder. Numbers are given by the owner of the planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaneId(pub u16);

/// Something handed from one media plane to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// A packet of a track that is published there.
    Packet(RelayedPacket),
    /// Somebody here needs a keyframe of a track that is published there.
    KeyframeWanted {
        /// Room.
        room: RoomId,
        /// Track.
        track: TrackId,
    },
}

/// A decrypted packet with what the plane that received it knows of it. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedPacket {
    /// Room.
    pub room: RoomId,
    /// Track.
    pub track: TrackId,
    /// Encoding of the track.
    pub encoding: u8,
    /// Changes when the encoding's sequence numbers begin anew.
    pub generation: u32,
    /// Extended sequence of the encoding.
    pub sequence: u64,
    /// What it carries.
    pub codec: Codec,
    /// Extension ids in its header.
    pub extensions: Extensions,
    /// When it was captured (NTP of the machine that received it).
    pub captured_ntp: u64,
    /// Header and payload.
    pub packet: Bytes,
}
