//! What a publisher sends: a track with its encodings, each one RTP stream with its own cache.

use crate::cache::PacketCache;
use crate::clock::StreamClock;
use crate::codec::dependency::{Described, Descriptor, Structure};
use crate::codec::{self, Frame, Layer};
use crate::format::{Codec, Extensions};
use crate::key::PeerKey;
use crate::layers::Rung;
use crate::left_out::{Leaving, LeftOut};
use crate::meter::Meter;
use crate::nack::NackGenerator;
use crate::nested::Nested;
use crate::patience::Patience;
use crate::reception::Reception;
use crate::relay::{PlaneId, RelayedTrack, Taken};
use crate::rtp::Header;
use crate::sequence::SequenceUnwrapper;
use protocol::media::Track as PublicTrack;
use protocol::{Kind, ParticipantId, Source, TrackId};
use std::time::{Duration, Instant};

/// Simulcast layers of one track; browsers send at most three.
pub const MAX_ENCODINGS: usize = 4;
/// How long an encoding that is asked for may take to come before it counts as one that its publisher
/// cannot send now.
pub(crate) const COMES_WITHIN: Duration = Duration::from_secs(3);
/// How long nobody takes an encoding before its publisher is told to pause it. Shorter pauses it between
/// two looks at a gallery, longer costs the publisher's uplink.
pub(crate) const PAUSED_AFTER: Duration = Duration::from_secs(5);
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
    /// Another plane.
    Plane(Remote),
}

/// A track's other end, on the plane that publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Which plane.
    pub plane: PlaneId,
    /// The track's generation there.
    pub generation: u32,
    /// What that plane has been told is taken here.
    pub asked: Taken,
    /// Number of the newest packet of each encoding that it has handed over.
    pub numbers: [Option<u32>; MAX_ENCODINGS],
}

/// Another plane that takes a track's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taker {
    /// Which plane.
    pub plane: PlaneId,
    /// What it takes.
    pub taken: Taken,
    /// Packets of each encoding that it was handed, for it to see what it missed.
    pub handed: [u32; MAX_ENCODINGS],
    /// Numbers of each encoding that it was not told yet of: it takes nothing of their size.
    pub leaving: [Leaving; MAX_ENCODINGS],
}

impl Taker {
    /// One that takes this.
    pub fn new(plane: PlaneId, taken: Taken) -> Self {
        Self { plane, taken, handed: Default::default(), leaving: Default::default() }
    }

    /// Whether it takes anything of an encoding.
    pub fn takes(&self, encoding: usize) -> bool {
        self.taken.get(encoding).is_some_and(Option::is_some)
    }

    /// Whether it takes that size of an encoding.
    pub fn takes_size(&self, encoding: usize, spatial: u8) -> bool {
        self.taken.get(encoding).copied().flatten().is_some_and(|highest| spatial <= highest)
    }

    /// A packet of an encoding is not for it.
    pub fn leave_out(&mut self, encoding: usize, sequence: u64) {
        if let Some(leaving) = self.leaving.get_mut(encoding) {
            leaving.add(sequence);
        }
    }

    /// A packet of an encoding is for it: its number among those, and what before it was not.
    pub fn hand(&mut self, encoding: usize, sequence: u64) -> Option<(u32, LeftOut)> {
        let number = self.handed.get_mut(encoding)?;
        *number = number.wrapping_add(1);
        Some((*number, self.leaving.get_mut(encoding)?.take(sequence)))
    }
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
    pub takers: Vec<Taker>,
    /// What other planes were told of it last.
    pub announced: Option<Box<RelayedTrack>>,
    /// `a=mid` on that transport.
    pub mid: String,
    /// Extension ids on that transport.
    pub extensions: Extensions,
    /// Codec of the newest packet; none before the first.
    pub codec: Option<Codec>,
    /// A moderator has muted this source: its packets are dropped before anything sees them.
    pub is_blocked: bool,
    /// Simulcast layers, in the order of the offer; one for everything else.
    pub encodings: Vec<Encoding>,
    /// Its steps of quality, as they were last looked at.
    pub ladder: Vec<Rung>,
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

    /// Whether it is published on this plane.
    pub fn is_own(&self) -> bool {
        matches!(self.origin, Origin::Peer(_))
    }
}

/// One RTP stream of a track.
pub struct Encoding {
    /// Its name among the simulcast layers.
    pub rid: Option<String>,
    /// Its SSRC on the publisher's transport; none before its first packet, where the SDP names none.
    pub ssrc: Option<u32>,
    /// Extends its sequence numbers.
    pub sequence: SequenceUnwrapper,
    /// Packets that subscribers may ask for again.
    pub cache: PacketCache,
    /// Packets to ask the publisher for again.
    pub nack: NackGenerator,
    /// How long receivers shall wait for them, as it is learned here.
    pub patience: Patience,
    /// The same as the plane that publishes it says.
    pub told_wait: Option<Duration>,
    /// For receiver reports.
    pub reception: Reception,
    /// Its timestamps on the publisher's clock.
    pub clock: StreamClock,
    /// What it costs.
    pub meter: Meter,
    /// The sizes within it.
    pub nested: Nested,
    /// What it cost before it was paused, in bits per second.
    pub last_rate: u64,
    /// Width and height, from its newest keyframe.
    pub size: Option<(u16, u16)>,
    /// The same of each spatial layer, the smallest first, where the stream says so (VP9, AV1).
    pub layer_sizes: Vec<(u16, u16)>,
    /// Templates of its dependency descriptors, the newest first (AV1).
    structures: Vec<Structure>,
    /// Which of their decode targets it sends, one bit each.
    active_targets: u32,
    /// Whether its publisher has been told to send it.
    pub is_active: bool,
    taken: Option<Instant>,
    active_since: Option<Instant>,
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
            rid: None,
            ssrc: None,
            sequence: SequenceUnwrapper::new(),
            cache: PacketCache::new(capacity),
            nack: NackGenerator::new(),
            patience: Patience::default(),
            told_wait: None,
            reception: Reception::new(clock_rate),
            clock: StreamClock::new(clock_rate),
            meter: Meter::default(),
            nested: Nested::default(),
            last_rate: 0,
            size: None,
            layer_sizes: Vec::new(),
            structures: Vec::new(),
            active_targets: u32::MAX,
            is_active: true,
            taken: None,
            active_since: None,
            keyframe: KeyframeRequest::default(),
        }
    }

    /// The publisher sends on this SSRC from now on. Whatever came on another is forgotten: its numbers
    /// say nothing about the new ones. True when there was another.
    pub fn restart(&mut self, ssrc: u32, codec: Codec) -> bool {
        let had_another = self.ssrc.is_some();
        if had_another {
            let rid = self.rid.take();
            // What its publisher was asked for still holds.
            let nested = std::mem::take(&mut self.nested);
            *self = Self { rid, nested, ..Self::new(codec.kind(), codec.clock_rate()) };
        }
        self.ssrc = Some(ssrc);
        had_another
    }

    /// Whether its packets come, or would if it were asked for.
    pub fn is_available(&self, now: Instant) -> bool {
        let is_new = self.active_since.is_none_or(|at| now < at + COMES_WITHIN);
        !self.is_active || is_new || self.meter.is_live(now)
    }

    /// Looks whether the publisher is to send it: somebody takes it, or did of late. True when that has
    /// changed.
    pub fn settle_activity(&mut self, now: Instant, is_taken: bool) -> bool {
        self.active_since.get_or_insert(now);
        // One that does not come although it is asked for is waited for: paused, it would seem to be there
        // for the asking, and be asked for and given up again and again.
        let is_missing = self.is_active && !self.is_available(now);
        let taken = self.taken.get_or_insert(now);
        if is_taken {
            *taken = now;
        }
        let is_active = is_missing || now < *taken + PAUSED_AFTER;
        if is_active == self.is_active {
            return false;
        }
        self.is_active = is_active;
        self.active_since = Some(now);
        true
    }

    /// How long receivers shall wait for repairs of its publisher's link.
    pub fn wait(&self) -> Duration {
        self.told_wait.unwrap_or_else(|| self.patience.wait())
    }

    /// Closes a window of its meter.
    pub fn measure(&mut self, now: Instant) {
        self.meter.roll(now);
        self.patience.settle(now);
        self.nested.measure(now, &self.meter);
        // One that was paused fades out of the meter; that is not what it would cost.
        if self.is_active && self.meter.is_live(now) {
            self.last_rate = self.meter.rate(Layer { spatial: u8::MAX, temporal: u8::MAX });
        }
    }

    /// The frame of a packet, by its dependency descriptor where it has one.
    pub fn read_frame(&mut self, codec: Codec, payload: &[u8], descriptor: Option<&[u8]>) -> Frame {
        let told = descriptor
            .filter(|_| matches!(codec, Codec::Av1 { .. }))
            .and_then(|bytes| Some((bytes, Descriptor::parse(bytes)?)));
        let Some((bytes, descriptor)) = told else { return codec::frame(codec, payload) };
        if descriptor.has_structure {
            self.tell_structure(bytes);
        }
        let Some((structure, template)) =
            self.structures.iter().find_map(|s| Some((s, s.template(descriptor.template)?)))
        else {
            return codec::frame(codec, payload);
        };
        self.active_targets = structure.active(bytes).unwrap_or(self.active_targets);
        Frame {
            layer: template.layer,
            opens: template.opens,
            ends_layer: descriptor.is_end,
            ..Frame::default()
        }
    }

    /// What a packet of it says of its frame to receivers (AV1).
    pub fn describe<'a>(
        &'a self,
        extensions: &Extensions,
        header: &Header,
        packet: &'a [u8],
    ) -> Option<Described<'a>> {
        let extension = header.extension(packet, extensions.dependency_descriptor?)?;
        Described::new(extension, &self.structures, self.active_targets)
    }

    /// A keyframe has told its templates. Those of the one before are still in packets that wait.
    fn tell_structure(&mut self, descriptor: &[u8]) {
        let Some(structure) = Structure::parse(descriptor) else { return };
        self.set_layer_sizes(structure.sizes().to_vec());
        if self.structures.first() != Some(&structure) {
            self.structures.truncate(1);
            self.structures.insert(0, structure);
        }
    }

    /// A keyframe has told the sizes of its layers.
    pub fn set_layer_sizes(&mut self, sizes: Vec<(u16, u16)>) {
        if let Some(&largest) = sizes.last() {
            self.size = Some(largest);
            self.meter.forget_above((sizes.len() - 1).min(usize::from(u8::MAX)) as u8);
            self.layer_sizes = sizes;
        }
    }

    /// Width and height of a spatial layer; each is half of the next where the stream does not say.
    pub fn size_of(&self, spatial: u8) -> (u16, u16) {
        if let Some(&size) = self.layer_sizes.get(usize::from(spatial)) {
            return size;
        }
        if let Some(&(width, height)) = self.layer_sizes.last() {
            let doublings = (usize::from(spatial) + 1 - self.layer_sizes.len()).min(8);
            let doubled = |side: u16| (u32::from(side) << doublings).min(u16::MAX.into()) as u16;
            return (doubled(width), doubled(height));
        }
        let highest = self.meter.highest().spatial;
        self.size.map_or((0, 0), |(width, height)| {
            let halvings = u32::from(highest - spatial.min(highest)).min(8);
            (width >> halvings, height >> halvings)
        })
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
