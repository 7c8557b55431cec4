//! What passes between the media planes of one room: on other threads, and one day on other nodes.
//!
//! A packet is handed over once per plane, only of encodings, and of sizes within them, that somebody there takes, in the
//! clear and after enforcement. Each plane has its own cache and answers NACKs itself; what it takes and the
//! wish for a keyframe travel upstream. Everything but packets says how something is, not how it has changed:
//! saying it twice changes nothing.

use crate::format::{Codec, Extensions};
use crate::layers::Rung;
use crate::left_out::LeftOut;
use crate::track::MAX_ENCODINGS;
use crate::transport::stun;
use bytes::Bytes;
use protocol::{ParticipantId, RoomId, Source, TrackId};

/// Packets waiting to be handed over. Half a second of a busy room; what does not fit is
/// dropped and counted, as a full ring to a stuck thread would.
pub const MAX_WAITING: usize = 8_192;
/// Planes that one track is handed to: as many as a character of an ICE name can tell apart.
pub const MAX_PLANES: usize = 64;

/// Characters of ICE names (RFC 8839 §5.4), in the order in which they number planes.
pub(crate) const ICE_ALPHABET: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A media plane. Numbers are given by the owner of the planes, below [`MAX_PLANES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaneId(pub u16);

impl PlaneId {
    /// The first character of every ICE user fragment that this plane makes.
    pub(crate) fn letter(self) -> char {
        char::from(ICE_ALPHABET[usize::from(self.0) % MAX_PLANES])
    }
}

/// The plane that made the user fragment which a connectivity check is for.
pub fn addressed_plane(datagram: &[u8]) -> Option<PlaneId> {
    if !stun::is_stun(datagram) {
        return None;
    }
    let letter = *stun::addressed_ufrag(datagram)?.as_bytes().first()?;
    let index = ICE_ALPHABET.iter().position(|known| *known == letter)?;
    u16::try_from(index).ok().map(PlaneId)
}

/// The highest spatial layer that anybody takes of each encoding; none where nobody takes any.
pub type Taken = [Option<u8>; MAX_ENCODINGS];

/// Something handed from one media plane to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// A packet of a track that is published there.
    Packet(RelayedPacket),
    /// Tracks that are published there, as they are now.
    Tracks {
        /// Room.
        room: RoomId,
        /// What there is to say of each.
        tracks: Vec<RelayedTrack>,
        /// Whether these are all.
        is_all: bool,
    },
    /// A track is published there no more.
    TrackGone {
        /// Room.
        room: RoomId,
        /// Track.
        track: TrackId,
    },
    /// That plane has come to the room and wants to be told everything.
    AllWanted {
        /// Room.
        room: RoomId,
    },
    /// What somebody there takes of tracks that are published here.
    Taken {
        /// Room.
        room: RoomId,
        /// Track, and what is taken of it now.
        tracks: Vec<(TrackId, Taken)>,
        /// Whether nothing is taken of all others.
        is_all: bool,
    },
    /// Somebody there needs a keyframe of a track that is published here.
    KeyframeWanted {
        /// Room.
        room: RoomId,
        /// Track.
        track: TrackId,
        /// Encoding of it.
        encoding: u8,
    },
    /// Who speaks there, for the room's home to rank.
    Voices {
        /// Room.
        room: RoomId,
        /// All of them, at most [`MAX_SPEAKERS`](crate::speakers::MAX_SPEAKERS).
        voices: Vec<RelayedVoice>,
    },
    /// Who speaks in the room, as its home has ranked them.
    Speaking {
        /// Room.
        room: RoomId,
        /// Contributing sources, loudest first.
        speaking: Vec<u32>,
    },
}

impl Relayed {
    /// Whether a ring that is full may lose it. Everything else waits until there is room.
    pub fn may_drop(&self) -> bool {
        matches!(self, Relayed::Packet(_))
    }
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
    /// Changes when the track's sequence numbers begin anew.
    pub generation: u32,
    /// Counts the packets of the encoding that are handed to that plane: a number that is left out was lost on the way.
    pub number: u32,
    /// Extended sequence of the encoding.
    pub sequence: u64,
    /// Numbers before it of sizes that nobody there takes: they were left out, not lost.
    pub left_out: LeftOut,
    /// What it carries.
    pub codec: Codec,
    /// When it was captured, by the clock of the machine that received it (NTP), where that is known.
    pub captured_ntp: Option<u64>,
    /// Header and payload.
    pub packet: Bytes,
}

/// A track as the plane that publishes it tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayedTrack {
    /// Public id.
    pub id: TrackId,
    /// Who publishes it.
    pub participant: ParticipantId,
    /// What it shows.
    pub source: Source,
    /// Contributing source in forwarded packets.
    pub csrc: u32,
    /// Changes when its sequence numbers begin anew.
    pub generation: u32,
    /// Extension ids in the headers of its packets.
    pub extensions: Extensions,
    /// Codec of its newest packet; none before the first.
    pub codec: Option<Codec>,
    /// Its encodings.
    pub encodings: Vec<RelayedEncoding>,
    /// Its steps of quality with their rates, also of those that are not handed over.
    pub ladder: Vec<Rung>,
}

/// An encoding of such a track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayedEncoding {
    /// Its name among the simulcast layers.
    pub rid: Option<String>,
    /// How long receivers shall wait for repairs of the publisher's link, in milliseconds.
    pub wait_ms: u16,
}

/// Somebody who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedVoice {
    /// Contributing source.
    pub csrc: u32,
    /// From 0 to 65,535.
    pub loudness: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::stun::{BindingRequest, IntegrityKey, TransactionId};

    #[test]
    fn the_plane_of_a_check_is_the_first_letter_of_its_name() {
        let check = |ufrag: &str| {
            BindingRequest {
                transaction: TransactionId([7; 12]),
                username: &format!("{ufrag}:theirs"),
                priority: 1,
                tie_breaker: 2,
                nominates: true,
            }
            .encode(&IntegrityKey::new("a password of some length"))
        };
        for plane in 0..MAX_PLANES as u16 {
            let ufrag = format!("{}restOfIt", PlaneId(plane).letter());
            assert_eq!(addressed_plane(&check(&ufrag)), Some(PlaneId(plane)));
        }
        assert_eq!(addressed_plane(&check("-ab")), None);
        assert_eq!(addressed_plane(&[128; 40]), None);
        assert_eq!(addressed_plane(&[]), None);
    }
}
