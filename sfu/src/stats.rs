//! What the media plane has counted since it began.

use crate::event::CloseReason;
use crate::path::Carrier;
use crate::peer::Side;
use crate::router::Sfu;
use crate::transport::TransportStats;
use protocol::{Kind, SlotReason};

/// Why an RTP packet of a publisher went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It is not what its payload type says, or not even RTP.
    Malformed,
    /// Of no track: its m-line, layer or payload type was not agreed on.
    UnknownStream,
    /// Of a new SSRC, from a publisher that has had too many of them of late.
    TooManyStreams,
    /// It was there already, or is too old to be of use.
    Repeated,
    /// A retransmission of nothing, which browsers send to probe their links.
    Padding,
}

/// Packets by why they were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropReason::ALL.len()]);

/// Counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams that came in.
    pub datagrams_in: u64,
    /// Datagrams from addresses that no transport has accepted, dropped without an answer.
    pub strangers: u64,
    /// RTP packets taken from publishers.
    pub packets_in: u64,
    /// Packets of sound that were lost and came again in a later one.
    pub packets_recovered: u64,
    /// RTP packets dropped, by reason.
    pub packets_dropped: DropCounts,
    /// RTP packets dropped because a moderator has muted them.
    pub packets_blocked: u64,
    /// RTP packets forwarded.
    pub packets_out: u64,
    /// RTP payload and header bytes forwarded.
    pub bytes_out: u64,
    /// Packets for other planes that found no room in the queue.
    pub relayed_dropped: u64,
    /// Packets not handed to a plane that takes smaller sizes of the same stream only.
    pub relayed_left_out: u64,
    /// Packets handed to other planes.
    pub relayed_out: u64,
    /// Packets that other planes have handed over.
    pub relayed_in: u64,
    /// Packets that other planes have handed over and that were lost on the way.
    pub relayed_missed: u64,
    /// Packets for the recorder that found no room in the queue.
    pub tapped_dropped: u64,
    /// RTP packets of video that waited until their receiver's link had room.
    pub packets_held: u64,
    /// RTP packets sent again.
    pub packets_resent: u64,
    /// Packets of padding sent to probe links.
    pub padding_out: u64,
    /// Keyframe requests heard from subscribers.
    pub keyframes_asked: u64,
    /// Times that the media of a transport moved to another address: another network, or a NAT with another mind.
    pub rebinds: u64,
    /// Offers and answers that could not be used.
    pub sdps_refused: u64,
    /// Transports that are over, in the order of [`CloseReason::ALL`].
    pub closed: [u64; CloseReason::ALL.len()],
    /// RTCP that could not be read: compounds that break off, feedback that says nothing.
    pub feedback_ignored: u64,
    /// Faults that cost a transport.
    pub faults: u64,
    /// Datagrams of known transports that were malformed, forged, or there before.
    pub datagrams_refused: u64,
}

impl Stats {
    pub(crate) fn add_transport(&mut self, transport: TransportStats) {
        self.datagrams_refused +=
            transport.bad_packets + transport.replays + transport.stun_failures;
    }
}

/// What there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Transports on which clients send.
    pub publishers: usize,
    /// Transports on which clients receive.
    pub subscribers: usize,
    /// Rooms with somebody in them.
    pub rooms: usize,
    /// Tracks, those of other planes too.
    pub tracks: usize,
    /// Pictures that receivers are shown, or are not, by [`Census::REASONS`].
    pub pictures: [usize; Census::REASONS.len()],
    /// Transports that are connected, by what carries their media, in the order of [`Carrier::ALL`].
    pub paths: [usize; Carrier::ALL.len()],
}

impl Census {
    /// Why a picture is what it is, with one word for metrics.
    pub const REASONS: [(SlotReason, &'static str); 6] = [
        (SlotReason::Best, "best"),
        (SlotReason::Viewport, "viewport"),
        (SlotReason::Bandwidth, "bandwidth"),
        (SlotReason::Publisher, "publisher"),
        (SlotReason::Codec, "codec"),
        (SlotReason::Server, "server"),
    ];

    /// Counts everything.
    pub(crate) fn of(sfu: &Sfu) -> Self {
        let tracks = sfu.rooms.values().map(|room| room.tracks.count()).sum();
        let mut census = Self { rooms: sfu.rooms.len(), tracks, ..Self::default() };
        for peer in sfu.peers.values() {
            let path = peer.transport.remote_path().filter(|_| peer.transport.is_connected());
            if let Some(path) = path {
                census.paths[path.carrier() as usize] += 1;
            }
            let Side::Subscribe(subscriber) = &peer.side else {
                census.publishers += 1;
                continue;
            };
            census.subscribers += 1;
            for slot in subscriber.slots.iter().filter(|slot| slot.kind == Kind::Video) {
                let Some(binding) = slot.binding() else { continue };
                let reason = binding.payload.map_or(SlotReason::Codec, |_| slot.told.0);
                if let Some(at) = Self::REASONS.iter().position(|(known, _)| *known == reason) {
                    census.pictures[at] += 1;
                }
            }
        }
        census
    }

    /// Transports in all.
    pub fn transports(&self) -> usize {
        self.publishers + self.subscribers
    }

    /// Pictures that are what they are for this reason.
    pub fn pictures_of(&self, reason: SlotReason) -> usize {
        let reasons = Self::REASONS.iter().zip(self.pictures);
        reasons.filter(|((known, _), _)| *known == reason).map(|(_, count)| count).sum()
    }
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Malformed, Self::UnknownStream, Self::TooManyStreams, Self::Repeated, Self::Padding];

    /// One word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownStream => "unknown_stream",
            Self::TooManyStreams => "too_many_streams",
            Self::Repeated => "repeated",
            Self::Padding => "padding",
        }
    }
}

impl DropCounts {
    /// One more.
    pub fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    /// How many for a reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// How many for whatever reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}
