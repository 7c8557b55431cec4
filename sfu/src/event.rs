//! What the media plane tells the control plane.

use crate::command::PeerId;
use protocol::stats::RoomStats;
use protocol::{ParticipantId, RoomId, SlotBinding, Track};

/// Why a transport ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed it (DTLS close_notify).
    ClosedByPeer,
    /// 30 s without a connectivity check or packet.
    Silent,
    /// The certificate is not the one that the SDP named.
    WrongFingerprint,
    /// DTLS failed.
    HandshakeFailed,
    /// A command said so.
    Commanded,
    /// A fault here; only this transport is lost.
    Fault,
}

impl CloseReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ClosedByPeer,
        Self::Silent,
        Self::WrongFingerprint,
        Self::HandshakeFailed,
        Self::Commanded,
        Self::Fault,
    ];

    /// One word, for metrics.
    pub fn label(self) -> &'static str {
        match self {
            CloseReason::ClosedByPeer => "client",
            CloseReason::Silent => "silent",
            CloseReason::WrongFingerprint => "wrong_fingerprint",
            CloseReason::HandshakeFailed => "handshake_failed",
            CloseReason::Commanded => "server",
            CloseReason::Fault => "fault",
        }
    }

    /// In plain words, for logs and for the client.
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::ClosedByPeer => "closed by the client",
            CloseReason::Silent => "nothing heard for 30 seconds",
            CloseReason::WrongFingerprint => "the certificate is not the one in the SDP",
            CloseReason::HandshakeFailed => "the DTLS handshake failed",
            CloseReason::Commanded => "closed by the server",
            CloseReason::Fault => "a fault in the server",
        }
    }
}

/// Something that happened, for the control plane.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// SDP answer to `Publish` or `Watch`.
    Answered {
        /// Transport.
        peer: PeerId,
        /// The answer, candidates included.
        sdp: String,
    },
    /// SDP offer for `Subscribe`.
    Offered {
        /// Transport.
        peer: PeerId,
        /// The offer, candidates included.
        sdp: String,
    },
    /// An SDP cannot be used. A transport that was there already goes on as it was.
    Refused {
        /// Transport.
        peer: PeerId,
        /// Why, in words a client's developer understands.
        reason: String,
    },
    /// Media can flow: DTLS is done and the fingerprint is right.
    Connected {
        /// Transport.
        peer: PeerId,
    },
    /// A transport is over.
    Closed {
        /// Transport.
        peer: PeerId,
        /// Why.
        reason: CloseReason,
    },
    /// A participant publishes something else now.
    TracksChanged {
        /// Room.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// All their tracks.
        tracks: Vec<Track>,
    },
    /// A subscribe transport's slots carry something else now.
    SlotsChanged {
        /// Room.
        room: RoomId,
        /// Who receives.
        participant: ParticipantId,
        /// Transport.
        peer: PeerId,
        /// All slots in order of m-lines.
        slots: Vec<SlotBinding>,
    },
    /// Layers of a published track that anybody takes; the others need not be sent.
    LayersWanted {
        /// Transport.
        peer: PeerId,
        /// Who publishes.
        participant: ParticipantId,
        /// Room.
        room: RoomId,
        /// `a=mid` of the track's m-line.
        mid: String,
        /// `a=rid` of the layers taken.
        rids: Vec<String>,
        /// The highest spatial layer taken of a stream of nested ones; none for all.
        spatial: Option<u8>,
    },
    /// Others speak now.
    SpeakersChanged {
        /// Room.
        room: RoomId,
        /// Loudest first; empty when nobody speaks.
        speakers: Vec<ParticipantId>,
    },
    /// How a room's media does, for `Report`.
    Reported {
        /// Room.
        room: RoomId,
        /// As the command said.
        request: u64,
        /// What there is.
        report: Box<RoomStats>,
    },
    /// A participant's transports fell silent for 10 s (`false`), or one is heard again (`true`).
    Alive {
        /// Room.
        room: RoomId,
        /// Who.
        participant: ParticipantId,
        /// Whether any transport of theirs was heard within 10 s.
        alive: bool,
    },
}
