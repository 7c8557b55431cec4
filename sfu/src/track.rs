//! What a publisher sends: a track with its encodings, each one RTP stream with its own cache.

use crate::cache::PacketCache;
use crate::clock::StreamClock;
use crate::format::{Codec, Extensions};
use crate::key::PeerKey;
use crate::nack::NackGenerator;
use crate::reception::Reception;
use crate::relay::PlaneId;
use crate::sequence::SequenceUnwrapper;
use protocol::media::Track as PublicTrack;
use protocol::{Kind, ParticipantId, Source, TrackId};
use std::time::{Duration, Instant};

/// Packets kept of a video encoding: about a second at 5 Mbit/s. More costs memory per track (1.2 kB
/// each), fewer answers fewer NACKs.
const VIDEO_CACHE: usize = 512;
/// Packets kept of an audio encoding: over a second at 50 packets a second.
const AUDIO_CACHE: usize = 64;
/// Shortest time between two keyframe requests for one encoding: a keyframe costs ten times a frame,
/// and the request needs a round trip before it can be called lost.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);

/// Where the packets of a track come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A publisher's transport here.
    Peer(PeerKey),
    /// Another plane, which numbers its generations itself.
    Plane {
        /// Which one.
        plane: PlaneId,
        /// Generation of the newest packet there.
        generation: Option<u32>,
    },
}

/// A track that a participant publishes in a room.
pub struct Track {
    /// Public id, new for each publication.
    pub id: TrackId,
    /// Who publishes it.
    pub participant: ParticipantId,
    /// What it shows.
    pub source: Source,
    /// Contributing source in forwarded packets.
    pub csrc: u32,
    /// Changes whenever its sequence numbers begin anew, so that no slot maps them by old offsets.
    pub generation: u32,
    /// Where its packets come from.
    pub origin: Origin,
    /// Other planes that take its packets.
    pub planes: Vec<PlaneId>,
    /// `a=mid` on that transport.
    pub mid: String,
    /// Extension ids on that transport.
    pub extensions: Extensions,
    /// Codec of the newest packet; none before the first.
    pub codec: Option<Codec>,
    /// A moderator has muted this source: its packets are dropped before anything sees them.
    pub is_blocked: bool,
    /// Simulcast layers, lowest first; one for everything else.
    pub encodings: Vec<Encoding>,
}

impl Track {
    /// Audio or video.
    pub fn kind(&self) -> Kind {
        self.source.kind()
    }

    /// As others see it.
    pub fn public(&self) -> PublicTrack {
        PublicTrack { id: self.id, source: self.source, csrc: self.csrc }
    }
}

/// One RTP stream of a track.
pub struct Encoding {
    /// Its SSRC on the publisher's transport; none before its first packet, where the SDP names none.
    pub ssrc: Option<u32>,
    /// Extends its sequence numbers.
    pub sequence: SequenceUnwrapper,
    /// Packets that subscribers may ask for again.
    pub cache: PacketCache,
    /// Packets to ask the publisher for again.
    pub nack: NackGenerator,
    /// For receiver reports.
    pub reception: Reception,
    /// Its timestamps on the publisher's clock.
    pub clock: StreamClock,
    keyframe: KeyframeRequest,
}

#[derive(Clone, Copy, Debug, Default)]
struct KeyframeRequest {
    is_wanted: bool,
    last_sent: Option<Instant>,
}

impl Encoding {
    /// An encoding that has received nothing yet.
    pub fn new(kind: Kind, clock_rate: u32) -> Self {
        let capacity = match kind {
            Kind::Audio => AUDIO_CACHE,
            Kind::Video => VIDEO_CACHE,
        };
        Self {
            ssrc: None,
            sequence: SequenceUnwrapper::new(),
            cache: PacketCache::new(capacity),
            nack: NackGenerator::new(),
            reception: Reception::new(clock_rate),
            clock: StreamClock::new(clock_rate),
            keyframe: KeyframeRequest::default(),
        }
    }

    /// The publisher sends on this SSRC from now on. Whatever came on another is forgotten: its numbers
    /// say nothing about the new ones. True when there was another.
    pub fn restart(&mut self, ssrc: u32, codec: Codec) -> bool {
        let had_another = self.ssrc.is_some();
        if had_another {
            *self = Self::new(codec.kind(), codec.clock_rate());
        }
        self.ssrc = Some(ssrc);
        had_another
    }

    /// Somebody needs a keyframe. Requests merge: one is sent now or as soon as the interval allows.
    pub fn want_keyframe(&mut self) {
        self.keyframe.is_wanted = true;
    }

    /// A keyframe came: everybody who waited has it.
    pub fn keyframe_arrived(&mut self) {
        self.keyframe.is_wanted = false;
    }

    /// When a keyframe request is to be sent.
    pub fn keyframe_due(&self, now: Instant) -> Option<Instant> {
        let allowed = self.keyframe.last_sent.map_or(now, |at| at + KEYFRAME_INTERVAL);
        self.keyframe.is_wanted.then_some(allowed)
    }

    /// A keyframe request was sent; it repeats until a keyframe comes.
    pub fn keyframe_requested(&mut self, now: Instant) {
        self.keyframe.last_sent = Some(now);
    }
}
