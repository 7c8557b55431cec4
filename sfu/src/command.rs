//! What the control plane may ask of the media plane.

use crate::relay::PlaneId;
use crate::saving::Saving;
use protocol::media::{TrackOffer, View};
use protocol::room::MediaState;
use protocol::{ParticipantId, RoomId, TrackId, UserId};

/// One transport of a participant. Chosen by the control plane, never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// Which sources the m-lines of a publisher's offer carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackNames {
    /// As the client named them by mid.
    Named(Vec<TrackOffer>),
    /// An encoder that cannot say (WHIP): the first audio is the microphone, the first video the camera.
    ByOrder,
}

/// An order from the control plane. Participants come into being with the first command that names them.
#[derive(Clone, Debug)]
pub enum Command {
    /// The client offers its publish transport, anew or again (same `peer`).
    /// Answered by [`Event::Answered`](crate::Event::Answered) or `Refused`.
    Publish {
        /// Transport.
        peer: PeerId,
        /// Room.
        room: RoomId,
        /// Who publishes.
        participant: ParticipantId,
        /// SDP of the offer.
        offer: String,
        /// Sources of its m-lines.
        tracks: TrackNames,
    },
    /// The server shall offer a subscribe transport, or offer it again with more slots (same `peer`).
    /// Answered by [`Event::Offered`](crate::Event::Offered) or `Refused`.
    Subscribe {
        /// Transport.
        peer: PeerId,
        /// Room.
        room: RoomId,
        /// Who receives.
        participant: ParticipantId,
        /// Audio m-lines.
        audio_slots: u8,
        /// Video m-lines.
        video_slots: u8,
    },
    /// The client's answer to `Offered`. Only a failure is answered, by `Refused`.
    Answer {
        /// Transport.
        peer: PeerId,
        /// SDP of the answer.
        answer: String,
    },
    /// A viewer offers a receive-only transport (WHEP); each m-line becomes a slot. The same offer with other
    /// credentials for a transport that there is restarts its ICE.
    /// Answered by `Answered` or `Refused`.
    Watch {
        /// Transport.
        peer: PeerId,
        /// Room.
        room: RoomId,
        /// Who receives; not seen by others.
        participant: ParticipantId,
        /// SDP of the offer.
        offer: String,
        /// Whom to show; the active speaker when absent.
        follow: Option<ParticipantId>,
    },
    /// How large a picture a viewer takes at most.
    SetLargest {
        /// Transport.
        peer: PeerId,
        /// Width and height; 0 where there is no limit.
        largest: (u16, u16),
    },
    /// Ends a transport.
    Close {
        /// Transport.
        peer: PeerId,
    },
    /// Ends everything of a participant and forgets their mutes.
    Leave {
        /// Room.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
    },
    /// A person was sent away from a room: what they hold at the door of the media plane for it ends, too. For its
    /// owner, who has the relays; the plane itself knows participants.
    SendAway {
        /// Room.
        room: RoomId,
        /// Whom.
        user: UserId,
    },
    /// What a participant shows and hears.
    SetView {
        /// Room.
        room: RoomId,
        /// Whose view.
        participant: ParticipantId,
        /// The view.
        view: View,
    },
    /// A participant's own and forced mutes; lives on the participant, whatever is published.
    SetMedia {
        /// Room.
        room: RoomId,
        /// Whose mutes.
        participant: ParticipantId,
        /// All of them.
        media: MediaState,
    },
    /// A participant is reconnecting: their tracks take no slots until they are back.
    SetAway {
        /// Room.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// Whether.
        away: bool,
    },
    /// The server is short of time, or no longer: what all receivers do without.
    SetSaving {
        /// What.
        saving: Saving,
    },
    /// Tells how a room's media does. Answered by [`Event::Reported`](crate::Event::Reported).
    Report {
        /// Room.
        room: RoomId,
        /// Comes back in the answer.
        request: u64,
    },
    /// Ends every transport of a room.
    CloseRoom {
        /// Room.
        room: RoomId,
    },
    /// The recorder takes the best of every track of a room, or no longer.
    Tap {
        /// Room.
        room: RoomId,
        /// Whether it does.
        wanted: bool,
    },
    /// The recorder has lost packets of a track for good and needs a keyframe.
    TapLost {
        /// Room.
        room: RoomId,
        /// Track.
        track: TrackId,
    },
    /// On which planes a room is. For every plane of it, and for one that it has left, whenever that changes or
    /// another becomes its home. What passes between them they settle themselves.
    SetPlanes {
        /// Room.
        room: RoomId,
        /// Ranks who speaks.
        home: PlaneId,
        /// All of them; a room on one plane alone is not spread.
        planes: Vec<PlaneId>,
    },
    /// A plane is dead: what was published on it is gone, and nobody there takes anything.
    LosePlane {
        /// Which one.
        plane: PlaneId,
    },
}
