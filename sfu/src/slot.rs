//! One receive slot of a subscriber: an m-line with its own SSRC, sequence and timestamp space, in
//! which tracks follow one another without the decoder noticing more than a keyframe.

mod header;
mod numbering;
mod repairs;
mod selector;

pub use header::Stamp;
pub use repairs::Lost;
pub use selector::Target;
pub(crate) use selector::{Selector, Verdict};

use crate::clock::SlotClock;
use crate::codec::dependency::{Described, Shift};
use crate::codec::red::{self, Earlier};
use crate::codec::{Frame, vp8, vp9};
use crate::format::{Codec, Extensions, Payload};
use crate::key::TrackKey;
use crate::left_out::LeftOut;
use crate::rtp::Header;
use crate::sdp::SlotSpec;
use crate::track::Track;
use header::Labels;
use numbering::Numbering;
use protocol::{Kind, SlotReason};
use repairs::Resent;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Flows that have ended and that a NACK may still ask about. More keeps stale mappings, fewer loses the packets
/// around a switch.
const MAX_HISTORY: usize = 4;
/// How long a video slot that has just shown one track waits before it shows another: the message that
/// tells of it shall be there first, or a face would stand under another's name for a moment. Longer is
/// seen as a slow switch; a keyframe takes about as long to come anyway.
const HANDOVER_PAUSE: Duration = Duration::from_millis(120);
/// A picture older than this no longer stands on the receiver's screen.
const PICTURE_STANDS: Duration = Duration::from_secs(3);
/// Frames that a packet of sound repeats at most; see [`redundancy_for`].
pub const MAX_REDUNDANCY: usize = 3;
/// How long more frames are repeated after a report of loss. Shorter forgets it between two gusts, longer costs a
/// link that has become good.
const REDUNDANCY_STAYS: Duration = Duration::from_secs(10);
/// A packet of a track, ready to be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// The generation of its track.
    pub generation: u32,
    /// Which encoding of its track it is of.
    pub encoding: usize,
    /// Extended sequence of the track's encoding.
    pub sequence: u64,
    /// Which numbers before it another plane has left out.
    pub left_out: LeftOut,
    /// Its header.
    pub header: &'a Header,
    /// The whole packet: header and payload.
    pub packet: &'a [u8],
    /// What it carries.
    pub codec: Codec,
    /// Whether it begins a keyframe.
    pub is_keyframe: bool,
    /// The frame that it is a piece of.
    pub frame: Frame,
    /// Extension ids of the publisher's transport.
    pub extensions: &'a Extensions,
    /// When it was captured, or failing that when it came, by the server's clock (NTP).
    pub captured_ntp: u64,
    /// The frames of sound before it, the nearest first.
    pub earlier: [Earlier<'a>; MAX_REDUNDANCY],
    /// How long pictures shall be held back for repairs of their publisher's link.
    pub wait: Duration,
    /// What it says of its frame to those who know how (AV1).
    pub described: Option<Described<'a>>,
}

/// What a slot is to carry.
#[derive(Debug)]
pub struct Binding {
    /// Track in the room.
    pub track: TrackKey,
    /// The track's contributing source.
    pub csrc: u32,
    /// The track's generation when it was bound.
    pub generation: u32,
    /// Payload type here; none when the subscriber has not negotiated the codec.
    pub payload: Option<Payload>,
    /// The codec it was bound for.
    pub codec: Codec,
    selector: Selector,
    flow: Option<Flow>,
    /// Nothing is sent before; see [`HANDOVER_PAUSE`].
    opens_at: Option<Instant>,
}

/// One encoding of a track on its way, and how its numbers become the slot's.
#[derive(Debug)]
struct Flow {
    track: TrackKey,
    generation: u32,
    encoding: usize,
    csrc: u32,
    payload: Payload,
    codec: Codec,
    first_in: u64,
    first_out: u64,
    timestamp_delta: u32,
    tl0_delta: u8,
    descriptor: Shift,
    numbering: Numbering,
}

/// A sealed-to-be packet that a slot has written: its header's length and the SRTP index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the RTP header.
    pub header_len: usize,
    /// Roll-over counter and sequence.
    pub index: u64,
    /// What is to be filled in when it leaves.
    pub stamp: Stamp,
}

/// One m-line of a subscribe transport.
#[derive(Debug)]
pub struct Slot {
    /// `a=mid`.
    pub mid: Box<str>,
    /// Audio or video.
    pub kind: Kind,
    /// Primary SSRC.
    pub ssrc: u32,
    /// SSRC of retransmissions.
    pub rtx_ssrc: u32,
    /// CNAME, shared by the slots that a browser shall keep in step.
    pub cname: Box<str>,
    /// Whether the subscriber takes it; false until its answer is here.
    pub is_accepted: bool,
    /// Payload types as numbered on this transport; the same for many of its slots.
    pub payloads: Arc<[Payload]>,
    /// Extension ids as numbered on this transport.
    pub extensions: Extensions,
    /// What its client was told last: why it shows what it shows, and which layers flow.
    pub told: (SlotReason, Option<(usize, u8, u8)>),
    /// Since when the link has been too slow for its lowest layer.
    pub short_since: Option<Instant>,
    /// Apart: most slots carry nothing, and a listener has a dozen.
    binding: Option<Box<Binding>>,
    history: VecDeque<Flow>,
    highest_out: u64,
    last_timestamp: Option<u32>,
    last_sent: Option<(Instant, u32)>,
    clock: SlotClock,
    last_picture_id: u16,
    last_tl0: u8,
    /// Number of the newest frame that was described, and the template id after the last of the newest structure.
    last_described: (u16, u8),
    rtx_sequence: u64,
    resent: Box<[Resent]>,
    packets: u32,
    octets: u32,
    next_report: Option<Instant>,
    /// Packets that will still say that pictures need not be held back any more.
    unwaited: u8,
    /// Frames that its packets of sound repeat, and since when so many were needed.
    redundancy: (usize, Option<Instant>),
}

impl Slot {
    /// A slot that carries nothing yet. `start` seeds its sequence and timestamp spaces; `ntp` is the
    /// server's clock now.
    pub fn new(spec: &SlotSpec, start: u64, ntp: u64) -> Self {
        // One roll-over ahead, so that no arithmetic on extended numbers underflows; below half of the
        // 16-bit range, so that the receiver's guess of the roll-over counter is right even if the first
        // packets are lost (RFC 3711 §3.3.1). The counter itself starts at 0 on the wire.
        let highest_out = start & 0x3fff;
        let clock_rate = match spec.kind {
            Kind::Audio => 48_000,
            Kind::Video => 90_000,
        };
        Self {
            mid: spec.mid.as_str().into(),
            kind: spec.kind,
            ssrc: spec.ssrc,
            rtx_ssrc: spec.rtx_ssrc,
            cname: spec.cname.as_str().into(),
            is_accepted: false,
            payloads: Arc::default(),
            extensions: Extensions::default(),
            told: (SlotReason::Empty, None),
            short_since: None,
            binding: None,
            history: VecDeque::new(),
            highest_out,
            last_timestamp: None,
            last_sent: None,
            clock: SlotClock::new(clock_rate, ntp, (start >> 16) as u32),
            last_picture_id: (start >> 48) as u16 & 0x3fff,
            last_tl0: 0,
            last_described: (0, 0),
            rtx_sequence: start >> 20 & 0x3fff,
            resent: Box::default(),
            packets: 0,
            octets: 0,
            next_report: None,
            unwaited: 0,
            redundancy: (redundancy_for(0), None),
        }
    }

    /// What it carries now.
    pub fn binding(&self) -> Option<&Binding> {
        self.binding.as_deref()
    }

    /// The payload type for a codec: its own, or for H264 one whose decoder takes it too; for Opus with
    /// redundancy where the receiver takes that.
    pub fn payload_for(&self, codec: Codec) -> Option<Payload> {
        let redundant = Payload::carrying(Codec::Red, &self.payloads);
        let redundant = redundant.filter(|_| codec == Codec::Opus);
        redundant.or_else(|| Payload::carrying(codec, &self.payloads))
    }

    /// The receiver has said what share of its packets (in 1/256) was lost of late.
    pub fn reported_loss(&mut self, now: Instant, fraction_lost: u8) {
        let needed = redundancy_for(fraction_lost);
        let (repeated, since) = self.redundancy;
        let is_held = since.is_some_and(|at| now < at + REDUNDANCY_STAYS);
        if needed >= repeated || !is_held {
            self.redundancy = (needed, Some(now));
        }
    }

    /// How many frames its packets of sound repeat.
    pub fn repeated(&self) -> usize {
        let payload = self.binding.as_ref().and_then(|binding| binding.payload);
        let is_redundant = payload.is_some_and(|payload| payload.codec == Codec::Red);
        if is_redundant { self.redundancy.0 } else { 0 }
    }

    /// Binds a track; its first packet (video: first keyframe) continues the slot's numbers.
    pub fn bind(
        &mut self,
        now: Instant,
        key: TrackKey,
        track: &Track,
        target: Target,
        codec: Codec,
    ) {
        self.unbind();
        self.short_since = None;
        let shows_another = self.last_sent.is_some_and(|(at, csrc)| {
            csrc != track.csrc && now.duration_since(at) < PICTURE_STANDS
        });
        self.binding = Some(Box::new(Binding {
            track: key,
            csrc: track.csrc,
            generation: track.generation,
            payload: self.payload_for(codec),
            codec,
            selector: Selector::new(target),
            flow: None,
            opens_at: shows_another.then(|| now + HANDOVER_PAUSE),
        }));
    }

    /// Carries nothing from now on.
    pub fn unbind(&mut self) {
        if let Some(flow) = self.binding.take().and_then(|binding| binding.flow) {
            remember(&mut self.history, flow);
        }
    }

    /// What it is to show of its track from now on; nothing stops what flows until better is here.
    pub fn aim(&mut self, target: Target) {
        if let Some(binding) = &mut self.binding {
            binding.selector.aim(target);
        }
    }

    /// Nothing more of what flows, which its link cannot carry: the way is clear for the keyframe that is
    /// aimed at, and its numbers follow on.
    pub fn halt(&mut self) {
        if let Some(binding) = &mut self.binding {
            binding.selector.halt();
        }
    }

    /// Whether more flows than it is to show.
    pub fn is_too_much(&self) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.selector.is_too_much())
    }

    /// Shows nothing until `aim` says what again: not even its lowest layer fits.
    pub fn pause(&mut self) {
        let Some(binding) = &mut self.binding else { return };
        if let Some(flow) = binding.flow.take() {
            remember(&mut self.history, flow);
        }
        binding.selector = Selector::new(Target::NOTHING);
    }

    /// Encoding, spatial and temporal layer that flow now.
    pub fn flowing(&self) -> Option<(usize, u8, u8)> {
        self.binding.as_ref()?.selector.flowing()
    }

    /// What it is to show of its track.
    pub fn target(&self) -> Option<&Target> {
        self.binding.as_ref().map(|binding| binding.selector.target())
    }

    /// The encoding for whose keyframe the bound video track waits, which may come now.
    pub fn awaits_keyframe(&self, now: Instant) -> Option<usize> {
        let binding =
            self.binding.as_ref().filter(|b| self.kind == Kind::Video && b.payload.is_some())?;
        let is_open = binding.opens_at.is_none_or(|at| now >= at);
        if is_open { binding.selector.awaited() } else { None }
    }

    /// Whether it waits for a keyframe, now or as soon as it opens.
    pub fn is_waiting(&self) -> bool {
        let binding = self.binding.as_ref().filter(|b| b.payload.is_some());
        self.kind == Kind::Video && binding.is_some_and(|b| b.selector.awaited().is_some())
    }

    /// Whether packets of an encoding may be sent here, now or from their next keyframe on.
    pub fn may_take(&self, encoding: usize) -> bool {
        self.binding.as_ref().is_some_and(|binding| binding.selector.may_take(encoding))
    }

    /// When it last sent something; slots that never did are the first to be taken.
    pub fn last_sent(&self) -> Option<Instant> {
        self.last_sent.map(|(at, _)| at)
    }

    /// Appends the packet to `out` as this slot sends it; nothing when it is not to be sent.
    pub fn write(
        &mut self,
        now: Instant,
        packet: &Forwarded<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Written> {
        let binding = self.binding.as_mut()?;
        let payload = binding.payload?;
        // Slots follow what a track has become a moment later.
        if (binding.codec, binding.generation) != (packet.codec, packet.generation) {
            return None;
        }
        let is_closed = binding.flow.is_none() && binding.opens_at.is_some_and(|at| now < at);
        if is_closed {
            return None;
        }
        let verdict = binding.selector.decide(
            packet.encoding,
            packet.header.timestamp,
            packet.is_keyframe || self.kind == Kind::Audio,
            &packet.frame,
        );
        if packet.left_out != LeftOut::default()
            && matches!(verdict, Verdict::LeaveOut | Verdict::Send { .. })
            && let Some(flow) = &mut binding.flow
        {
            flow.numbering.leave_out_before(packet.sequence, packet.left_out);
        }
        let ends_picture = match verdict {
            Verdict::Ignore => return None,
            Verdict::LeaveOut => {
                if let Some(flow) = &mut binding.flow {
                    flow.numbering.leave_out(packet.sequence, packet.frame.picture);
                }
                return None;
            }
            Verdict::Begin => {
                self.begin(packet, payload);
                false
            }
            Verdict::Send { ends_picture } => ends_picture,
        };
        let playout_delay = self.playout_delay(&payload, packet.wait);
        let shown = packet.described.as_ref().and_then(|_| self.shown(&payload));
        // Taken out while it is written, so that the rest of the slot can be read.
        let mut flow = self.binding.as_mut()?.flow.take()?;
        let written = flow.numbering.send(packet.sequence).map(|(sequence, picture_delta)| {
            let labels = Labels {
                marker: ends_picture,
                payload_type: payload.pt,
                ssrc: self.ssrc,
                sequence,
                playout_delay,
                shown,
            };
            let begin = out.len();
            let (header_len, stamp) = self.write_header(packet, &flow, &labels, out);
            if payload.codec == Codec::Red {
                self.append_redundant(packet, &flow, out);
            } else {
                append_payload(packet, picture_delta, flow.tl0_delta, out);
            }
            let timestamp = packet.header.timestamp.wrapping_add(flow.timestamp_delta);
            self.note_sent(now, packet, &flow, (sequence, timestamp), &out[begin + header_len..]);
            Written { header_len, index: sequence, stamp }
        });
        if let Some(binding) = &mut self.binding {
            binding.flow = Some(flow);
        }
        written
    }

    fn note_sent(
        &mut self,
        now: Instant,
        packet: &Forwarded<'_>,
        flow: &Flow,
        (sequence, timestamp): (u64, u32),
        payload: &[u8],
    ) {
        if sequence > self.highest_out {
            self.highest_out = sequence;
            self.last_timestamp = Some(timestamp);
            self.last_sent = Some((now, flow.csrc));
            match packet.codec {
                Codec::Vp8 => {
                    if let Some(descriptor) = vp8::Descriptor::parse(payload) {
                        self.last_picture_id =
                            descriptor.picture_id.unwrap_or(self.last_picture_id);
                        self.last_tl0 = descriptor.tl0.unwrap_or(self.last_tl0);
                    }
                }
                Codec::Vp9 { .. } => {
                    if let Some(descriptor) = vp9::Descriptor::parse(payload) {
                        self.last_picture_id =
                            descriptor.picture_id.unwrap_or(self.last_picture_id);
                        self.last_tl0 = descriptor.tl0.unwrap_or(self.last_tl0);
                    }
                }
                Codec::Av1 { .. } => {
                    if let Some(described) = &packet.described {
                        self.last_described =
                            described.last_told(flow.descriptor, self.last_described);
                    }
                }
                _ => {}
            }
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
    }

    /// Appends the frame and those before it, as far as they belong to this flow: what was said before it began
    /// was another's turn here.
    fn append_redundant(&self, packet: &Forwarded<'_>, flow: &Flow, out: &mut Vec<u8>) {
        let Some(opus) = Payload::carrying(Codec::Opus, &self.payloads) else { return };
        let (repeated, _) = self.redundancy;
        let since_begin = packet.sequence.saturating_sub(flow.first_in);
        let count = repeated.min(usize::try_from(since_begin).unwrap_or(usize::MAX));
        let primary = packet.header.payload(packet.packet);
        red::write(out, opus.pt, &packet.earlier[..count], primary);
    }

    /// The first packet of a flow fixes how the track's numbers continue the slot's.
    ///
    /// The slot's timestamps run with the server's clock, so all its sender reports lie on one line,
    /// whoever is in it: receivers fit a line through several of them to keep sound and picture in step.
    fn begin(&mut self, packet: &Forwarded<'_>, payload: Payload) {
        let next_out = self.highest_out + 1;
        let timestamp = self.clock.timestamp_at(packet.captured_ntp);
        // At least one tick on: two frames with one timestamp would be one frame to the decoder.
        let timestamp = match self.last_timestamp {
            Some(last) if (timestamp.wrapping_sub(last) as i32) <= 0 => {
                // The track before ran ahead of the clock: go on from where it was, on a new line.
                let next = last.wrapping_add(1);
                self.clock = SlotClock::new(packet.codec.clock_rate(), packet.captured_ntp, next);
                next
            }
            _ => timestamp,
        };
        let body = packet.header.payload(packet.packet);
        let ids = match packet.codec {
            Codec::Vp8 => vp8::Descriptor::parse(body).map(|d| (d.picture_id, d.tl0)),
            Codec::Vp9 { .. } => vp9::Descriptor::parse(body).map(|d| (d.picture_id, d.tl0)),
            _ => None,
        };
        let (picture_id, tl0) = ids.unwrap_or_default();
        let picture_delta =
            picture_id.map_or(0, |id| self.last_picture_id.wrapping_add(1).wrapping_sub(id));
        let Some(binding) = &mut self.binding else { return };
        let flow = Flow {
            track: binding.track,
            generation: binding.generation,
            encoding: packet.encoding,
            csrc: binding.csrc,
            payload,
            codec: packet.codec,
            first_in: packet.sequence,
            first_out: next_out,
            timestamp_delta: timestamp.wrapping_sub(packet.header.timestamp),
            tl0_delta: tl0.map_or(0, |id| self.last_tl0.wrapping_add(1).wrapping_sub(id)),
            descriptor: packet
                .described
                .map_or(Shift::default(), |described| described.shift_behind(self.last_described)),
            numbering: Numbering::new(packet.sequence, next_out, picture_delta),
        };
        if let Some(before) = binding.flow.replace(flow) {
            remember(&mut self.history, before);
        }
    }

    /// The flow that a number went out in.
    fn flow_of(&self, sequence_out: u64) -> Option<&Flow> {
        let current = self.binding.as_ref().and_then(|binding| binding.flow.as_ref());
        current
            .into_iter()
            .chain(self.history.iter().rev())
            .find(|flow| flow.first_out <= sequence_out)
    }

    /// Whether a sender report is due; says so once a second, the first as soon as media flows.
    pub fn report_due(&mut self, now: Instant) -> bool {
        let flows = self.binding.as_ref().is_some_and(|b| b.flow.is_some());
        if !flows || self.next_report.is_some_and(|at| now < at) {
            return false;
        }
        self.next_report = Some(now + Duration::from_secs(1));
        true
    }

    /// The encoding that flows here, and what is added to its timestamps; nothing before its first packet.
    pub fn timestamp_delta(&self) -> Option<(usize, u32)> {
        let flow = self.binding.as_ref()?.flow.as_ref()?;
        Some((flow.encoding, flow.timestamp_delta))
    }

    /// Packets and payload octets sent, as sender reports count them.
    pub fn sent(&self) -> (u32, u32) {
        (self.packets, self.octets)
    }
}

/// How many frames a packet of sound repeats on a link that loses this share (in 1/256). One is what browsers
/// send each other. With n of them a frame is lost when n + 1 packets in a row are: at 5 % loss two leave one frame in
/// 8,000, at 30 % three leave one in 120.
fn redundancy_for(fraction_lost: u8) -> usize {
    match fraction_lost {
        0..5 => 1,
        5..38 => 2,
        _ => MAX_REDUNDANCY,
    }
}

fn remember(history: &mut VecDeque<Flow>, flow: Flow) {
    if history.len() == MAX_HISTORY {
        history.pop_front();
    }
    history.push_back(flow);
}

fn append_payload(packet: &Forwarded<'_>, picture_delta: u16, tl0_delta: u8, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(packet.header.payload(packet.packet));
    if picture_delta == 0 && tl0_delta == 0 {
        return;
    }
    match packet.codec {
        Codec::Vp8 => vp8::rewrite(&mut out[at..], picture_delta, tl0_delta),
        Codec::Vp9 { .. } => vp9::rewrite(&mut out[at..], picture_delta, tl0_delta),
        _ => {}
    }
}
