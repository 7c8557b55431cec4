//! One receive slot of a subscriber: an m-line with its own SSRC, sequence and timestamp space, in
//! which tracks follow one another without the decoder noticing more than a keyframe.

use crate::clock::SlotClock;
use crate::codec::vp8;
use crate::format::{Codec, Extensions, Payload};
use crate::key::TrackKey;
use crate::rtp::{self, Header, Outgoing};
use crate::sdp::SlotSpec;
use crate::track::Track;
use protocol::Kind;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bindings that a NACK may still ask about. More keeps stale mappings, fewer loses the packets
/// around a switch.
const MAX_HISTORY: usize = 4;
/// How long a video slot that has just shown one track waits before it shows another: the message that
/// tells of it shall be there first, or a face would stand under another's name for a moment. Longer is
/// seen as a slow switch; a keyframe takes about as long to come anyway.
const HANDOVER_PAUSE: Duration = Duration::from_millis(120);
/// A picture older than this no longer stands on the receiver's screen.
const PICTURE_STANDS: Duration = Duration::from_secs(3);
/// Packets whose resending is remembered, per slot; a power of two.
const RESENT_ENTRIES: usize = 64;
/// Times one packet is resent to one subscriber. More feeds a link that loses everything.
const MAX_RESENDS: u8 = 5;
/// Shortest time between two resends of a packet: a NACK sooner was sent before the first could arrive.
const RESEND_INTERVAL: Duration = Duration::from_millis(20);

/// A packet of a track, ready to be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// Which encoding of its track it is of.
    pub encoding: usize,
    /// Extended sequence of the track's encoding.
    pub sequence: u64,
    /// Its header.
    pub header: &'a Header,
    /// The whole packet: header and payload.
    pub packet: &'a [u8],
    /// What it carries.
    pub codec: Codec,
    /// Whether it begins a keyframe.
    pub is_keyframe: bool,
    /// Extension ids of the publisher's transport.
    pub extensions: &'a Extensions,
    /// When it was captured, or failing that when it came, by the server's clock (NTP).
    pub captured_ntp: u64,
}

/// What a slot carries and how its numbers come out of the track's.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Track in the room.
    pub track: TrackKey,
    /// The track's contributing source.
    pub csrc: u32,
    /// The track's generation when it was bound.
    pub generation: u32,
    /// Which encoding (simulcast layer) of the track.
    pub encoding: usize,
    /// Payload type here; none when the subscriber has not negotiated the codec.
    pub payload: Option<Payload>,
    /// The codec it was bound for.
    pub codec: Codec,
    mapping: Option<Mapping>,
    /// Nothing is sent before; see [`HANDOVER_PAUSE`].
    opens_at: Option<Instant>,
}

/// Offsets from the track's numbers to the slot's; fixed while a binding lasts, so that loss upstream
/// stays a gap downstream and a late packet finds its place.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    first_in: u64,
    sequence_delta: u64,
    timestamp_delta: u32,
    picture_id_delta: u16,
    tl0_delta: u8,
}

impl Mapping {
    fn sequence_out(&self, sequence_in: u64) -> u64 {
        sequence_in.wrapping_add(self.sequence_delta)
    }
}

/// What a header says beside the packet's own words.
struct Labels {
    payload_type: u8,
    ssrc: u32,
    csrc: u32,
    sequence: u64,
}

/// A binding that has ended, for NACKs that come late.
#[derive(Clone, Debug)]
struct Segment {
    first_out: u64,
    binding: Binding,
}

#[derive(Clone, Copy, Debug, Default)]
struct Resent {
    sequence: u64,
    times: u8,
    at: Option<Instant>,
}

/// Where a packet that a NACK asks for is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Track in the room.
    pub track: TrackKey,
    /// Its generation, to see that the sequence means the same still.
    pub generation: u32,
    /// Encoding of the track.
    pub encoding: usize,
    /// Extended sequence of the encoding.
    pub sequence: u64,
    /// Extended sequence in the slot.
    pub sequence_out: u64,
}

/// A sealed-to-be packet that a slot has written: its header's length and the SRTP index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the RTP header.
    pub header_len: usize,
    /// Roll-over counter and sequence.
    pub index: u64,
}

/// One m-line of a subscribe transport.
#[derive(Debug)]
pub struct Slot {
    /// `a=mid`.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Primary SSRC.
    pub ssrc: u32,
    /// SSRC of retransmissions.
    pub rtx_ssrc: u32,
    /// CNAME, shared by the slots that a browser shall keep in step.
    pub cname: String,
    /// Whether the subscriber takes it; false until its answer is here.
    pub is_accepted: bool,
    /// Payload types as numbered on this transport.
    pub payloads: Vec<Payload>,
    /// Extension ids as numbered on this transport.
    pub extensions: Extensions,
    binding: Option<Binding>,
    history: VecDeque<Segment>,
    first_out: u64,
    highest_out: u64,
    last_timestamp: Option<u32>,
    last_sent: Option<(Instant, u32)>,
    clock: SlotClock,
    last_picture_id: u16,
    last_tl0: u8,
    rtx_sequence: u64,
    resent: Box<[Resent]>,
    packets: u32,
    octets: u32,
    next_report: Option<Instant>,
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
            mid: spec.mid.clone(),
            kind: spec.kind,
            ssrc: spec.ssrc,
            rtx_ssrc: spec.rtx_ssrc,
            cname: spec.cname.clone(),
            is_accepted: false,
            payloads: Vec::new(),
            extensions: Extensions::default(),
            binding: None,
            history: VecDeque::new(),
            first_out: highest_out + 1,
            highest_out,
            last_timestamp: None,
            last_sent: None,
            clock: SlotClock::new(clock_rate, ntp, (start >> 16) as u32),
            last_picture_id: (start >> 48) as u16 & 0x3fff,
            last_tl0: 0,
            rtx_sequence: start >> 20 & 0x3fff,
            resent: Box::default(),
            packets: 0,
            octets: 0,
            next_report: None,
        }
    }

    /// What it carries now.
    pub fn binding(&self) -> Option<&Binding> {
        self.binding.as_ref()
    }

    /// The payload type for a codec: its own, or for H264 one whose decoder takes it too.
    pub fn payload_for(&self, codec: Codec) -> Option<Payload> {
        Payload::carrying(codec, &self.payloads)
    }

    /// Binds a track; its first packet (video: first keyframe) continues the slot's numbers.
    pub fn bind(
        &mut self,
        now: Instant,
        key: TrackKey,
        track: &Track,
        encoding: usize,
        codec: Codec,
    ) {
        self.unbind();
        let shows_another = self.last_sent.is_some_and(|(at, csrc)| {
            csrc != track.csrc && now.duration_since(at) < PICTURE_STANDS
        });
        self.binding = Some(Binding {
            track: key,
            csrc: track.csrc,
            generation: track.generation,
            encoding,
            payload: self.payload_for(codec),
            codec,
            mapping: None,
            opens_at: shows_another.then(|| now + HANDOVER_PAUSE),
        });
    }

    /// Carries nothing from now on.
    pub fn unbind(&mut self) {
        if let Some(binding) = self.binding.take()
            && binding.mapping.is_some()
        {
            if self.history.len() == MAX_HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(Segment { first_out: self.first_out, binding });
        }
    }

    /// Whether packets of the bound video track wait for a keyframe, which may come now.
    pub fn awaits_keyframe(&self, now: Instant) -> bool {
        let awaits = |b: &Binding| {
            b.mapping.is_none() && b.payload.is_some() && b.opens_at.is_none_or(|at| now >= at)
        };
        self.kind == Kind::Video && self.binding.as_ref().is_some_and(awaits)
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
        let binding = self.binding.as_ref()?;
        let payload = binding.payload?;
        if binding.codec != packet.codec {
            return None;
        }
        let csrc = binding.csrc;
        let mapping = match binding.mapping {
            Some(mapping) if packet.sequence < mapping.first_in => return None,
            Some(mapping) => mapping,
            None if self.kind == Kind::Video && !packet.is_keyframe => return None,
            None if binding.opens_at.is_some_and(|at| now < at) => return None,
            None => self.start_mapping(packet),
        };
        let sequence = mapping.sequence_out(packet.sequence);
        let timestamp = packet.header.timestamp.wrapping_add(mapping.timestamp_delta);
        let labels = Labels { payload_type: payload.pt, ssrc: self.ssrc, csrc, sequence };
        let header_len = self.write_packet(packet, &mapping, &labels, out);
        if sequence > self.highest_out {
            self.highest_out = sequence;
            self.last_timestamp = Some(timestamp);
            self.last_sent = Some((now, csrc));
            if packet.codec == Codec::Vp8
                && let Some(descriptor) = vp8::Descriptor::parse(
                    &out[out.len() - packet.header.payload(packet.packet).len()..],
                )
            {
                self.last_picture_id = descriptor.picture_id.unwrap_or(self.last_picture_id);
                self.last_tl0 = descriptor.tl0.unwrap_or(self.last_tl0);
            }
        }
        self.packets = self.packets.wrapping_add(1);
        self.octets =
            self.octets.wrapping_add((packet.packet.len() - packet.header.payload_offset) as u32);
        Some(Written { header_len, index: sequence })
    }

    /// The first packet of a binding fixes how the track's numbers continue the slot's.
    ///
    /// The slot's timestamps run with the server's clock, so all its sender reports lie on one line,
    /// whoever is in it: receivers fit a line through several of them to keep sound and picture in step.
    fn start_mapping(&mut self, packet: &Forwarded<'_>) -> Mapping {
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
        let (picture_id_delta, tl0_delta) = match packet.codec {
            Codec::Vp8 => vp8::Descriptor::parse(packet.header.payload(packet.packet))
                .map(|d| {
                    let picture = d
                        .picture_id
                        .map_or(0, |id| self.last_picture_id.wrapping_add(1).wrapping_sub(id));
                    let tl0 = d.tl0.map_or(0, |id| self.last_tl0.wrapping_add(1).wrapping_sub(id));
                    (picture, tl0)
                })
                .unwrap_or_default(),
            _ => (0, 0),
        };
        let mapping = Mapping {
            first_in: packet.sequence,
            sequence_delta: next_out.wrapping_sub(packet.sequence),
            timestamp_delta: timestamp.wrapping_sub(packet.header.timestamp),
            picture_id_delta,
            tl0_delta,
        };
        self.first_out = next_out;
        if let Some(binding) = &mut self.binding {
            binding.mapping = Some(mapping);
        }
        mapping
    }

    fn write_packet(
        &self,
        packet: &Forwarded<'_>,
        mapping: &Mapping,
        labels: &Labels,
        out: &mut Vec<u8>,
    ) -> usize {
        let header_len = self.write_header(packet, mapping, labels, out);
        append_payload(packet, mapping, out);
        header_len
    }

    fn write_header(
        &self,
        packet: &Forwarded<'_>,
        mapping: &Mapping,
        labels: &Labels,
        out: &mut Vec<u8>,
    ) -> usize {
        let carried = [
            (packet.extensions.audio_level, self.extensions.audio_level),
            (packet.extensions.video_orientation, self.extensions.video_orientation),
        ];
        let mut extensions: [(u8, &[u8]); 2] = [(0, &[]); 2];
        let mut count = 0;
        for (theirs, ours) in carried {
            if let (Some(theirs), Some(ours)) = (theirs, ours)
                && let Some(value) = packet.header.extension(packet.packet, theirs)
            {
                extensions[count] = (ours, value);
                count += 1;
            }
        }
        // A new voice begins a talk spurt: the receiver may adapt its buffer (RFC 3551 §4.1).
        let begins_spurt = self.kind == Kind::Audio && packet.sequence == mapping.first_in;
        rtp::write_header(
            out,
            &Outgoing {
                marker: packet.header.marker || begins_spurt,
                payload_type: labels.payload_type,
                sequence: labels.sequence as u16,
                timestamp: packet.header.timestamp.wrapping_add(mapping.timestamp_delta),
                ssrc: labels.ssrc,
                csrc: labels.csrc,
                extensions: &extensions[..count],
            },
        )
    }

    /// Where a packet that the subscriber misses is to be found; nothing when it is unknown, was resent
    /// just now or too often.
    pub fn find_lost(&mut self, now: Instant, sequence: u16) -> Option<Lost> {
        // The nearest extended number at or below the highest sent.
        let behind = (self.highest_out as u16).wrapping_sub(sequence);
        let sequence_out = self.highest_out.checked_sub(u64::from(behind))?;
        let binding = match &self.binding {
            Some(binding) if binding.mapping.is_some() && sequence_out >= self.first_out => binding,
            _ => &self.history.iter().rev().find(|s| s.first_out <= sequence_out)?.binding,
        };
        let mapping = binding.mapping?;
        let lost = Lost {
            track: binding.track,
            generation: binding.generation,
            encoding: binding.encoding,
            sequence: sequence_out.wrapping_sub(mapping.sequence_delta),
            sequence_out,
        };
        if self.resent.is_empty() {
            self.resent = vec![Resent::default(); RESENT_ENTRIES].into();
        }
        let entry = &mut self.resent[sequence_out as usize % RESENT_ENTRIES];
        if entry.sequence != sequence_out || entry.at.is_none() {
            *entry = Resent { sequence: sequence_out, times: 0, at: None };
        }
        if entry.times >= MAX_RESENDS || entry.at.is_some_and(|at| now < at + RESEND_INTERVAL) {
            return None;
        }
        entry.times += 1;
        entry.at = Some(now);
        Some(lost)
    }

    /// Appends a packet found by `find_lost` as a retransmission (RFC 4588), or, where RTX is not
    /// negotiated, to the letter as it was first sent: same index, same plaintext, same bytes.
    pub fn write_lost(
        &mut self,
        lost: &Lost,
        packet: &Forwarded<'_>,
        out: &mut Vec<u8>,
    ) -> Option<Written> {
        let binding = match &self.binding {
            Some(binding) if binding.mapping.is_some() && lost.sequence_out >= self.first_out => {
                binding
            }
            _ => &self.history.iter().rev().find(|s| s.first_out <= lost.sequence_out)?.binding,
        };
        let (mapping, payload) = (binding.mapping?, binding.payload?);
        if binding.codec != packet.codec || binding.generation != lost.generation {
            return None;
        }
        let Some(rtx_pt) = payload.rtx else {
            let labels = Labels {
                payload_type: payload.pt,
                ssrc: self.ssrc,
                csrc: binding.csrc,
                sequence: lost.sequence_out,
            };
            let header_len = self.write_packet(packet, &mapping, &labels, out);
            return Some(Written { header_len, index: lost.sequence_out });
        };
        let csrc = binding.csrc;
        self.rtx_sequence += 1;
        let labels =
            Labels { payload_type: rtx_pt, ssrc: self.rtx_ssrc, csrc, sequence: self.rtx_sequence };
        let header_len = self.write_header(packet, &mapping, &labels, out);
        out.extend_from_slice(&(lost.sequence_out as u16).to_be_bytes());
        append_payload(packet, &mapping, out);
        Some(Written { header_len, index: self.rtx_sequence })
    }

    /// Whether a sender report is due; says so once a second, the first as soon as media flows.
    pub fn report_due(&mut self, now: Instant) -> bool {
        let flows = self.binding.as_ref().is_some_and(|b| b.mapping.is_some());
        if !flows || self.next_report.is_some_and(|at| now < at) {
            return false;
        }
        self.next_report = Some(now + Duration::from_secs(1));
        true
    }

    /// What is added to a timestamp of the bound track here; nothing before its first packet.
    pub fn timestamp_delta(&self) -> Option<u32> {
        Some(self.binding.as_ref()?.mapping?.timestamp_delta)
    }

    /// Packets and payload octets sent, as sender reports count them.
    pub fn sent(&self) -> (u32, u32) {
        (self.packets, self.octets)
    }
}

fn append_payload(packet: &Forwarded<'_>, mapping: &Mapping, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(packet.header.payload(packet.packet));
    if packet.codec == Codec::Vp8 && (mapping.picture_id_delta != 0 || mapping.tl0_delta != 0) {
        vp8::rewrite(&mut out[at..], mapping.picture_id_delta, mapping.tl0_delta);
    }
}
