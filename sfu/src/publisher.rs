//! The receiving half of a publish transport: from decrypted packets to packets in their track's cache.

mod changes;
mod redundancy;

use crate::codec::red::Redundant;
use crate::codec::{self, vp8, vp9};
use crate::format::{Codec, Payload};
use crate::key::TrackKey;
use crate::left_out::LeftOut;
use crate::room::{Pending, Room};
use crate::rtcp::{self, Incoming, ReportBlock};
use crate::rtp::{self, Header};
use crate::sdp::PublishSection;
use crate::stats::DropReason;
use crate::tap::{self, Tapped};
use crate::timers::CALM_TICK;
use crate::twcc::TransportCc;
use changes::Changes;
use protocol::{Kind, ParticipantId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// SSRCs taken from one publisher: two for each encoding of its tracks and some to spare. More is
/// an attack or a fault; such packets are counted and dropped.
const MAX_STREAMS: usize = 48;
/// How often a publisher gets receiver reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(1_000);

/// An m-line of the publisher and the track it carries.
pub struct Section {
    /// What the SDP settled.
    pub settled: PublishSection,
    /// Track in the room, where the client named one.
    pub track: Option<TrackKey>,
}

/// One SSRC of the publisher.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    section: usize,
    role: Role,
    /// Whether a packet of it has come.
    is_heard: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Media { encoding: usize },
    Repair { encoding: usize },
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Waits in its room for the end of the batch.
    Pending,
    /// Dropped: muted by a moderator.
    Blocked,
    /// Went nowhere.
    Dropped(DropReason),
}

/// The media state of a publish transport.
#[derive(Default)]
pub struct Publisher {
    /// M-lines in the offer's order.
    pub sections: Vec<Section>,
    streams: Vec<Stream>,
    last_stream: usize,
    changes: Changes,
    transport_cc: TransportCc,
    next_report: Option<Instant>,
    lost: Vec<u16>,
    /// A packet that was lost, as another has repeated it.
    repeated: Vec<u8>,
}

impl Publisher {
    /// A publisher that has sent nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over what a new offer settled. Streams whose SSRC it names are known from the start, and what packets have said of
    /// others still holds: browsers name a stream's m-line and layer until a report of it has reached them, and then no more.
    pub fn set_sections(&mut self, sections: Vec<Section>) {
        let before = std::mem::replace(&mut self.sections, sections);
        self.streams.retain(|stream| {
            let [old, new] = [&before, &self.sections].map(|all| all.get(stream.section));
            let is_same = |(old, new): (&Section, &Section)| {
                old.settled.mid == new.settled.mid && old.settled.rids == new.settled.rids
            };
            stream.is_heard && old.zip(new).is_some_and(is_same)
        });
        self.last_stream = 0;
        for index in 0..self.sections.len() {
            let settled = &self.sections[index].settled;
            // Firefox names its layers' SSRCs in their order; Chromium names none and says rids.
            let primaries = &settled.ssrcs[..settled.ssrcs.len().min(settled.rids.len().max(1))];
            let media = primaries.iter().enumerate();
            let media = media.map(|(encoding, &ssrc)| (ssrc, Role::Media { encoding }));
            let repair = settled.rtx_ssrcs.iter().filter_map(|&(primary, ssrc)| {
                let encoding = primaries.iter().position(|&ssrc| ssrc == primary)?;
                Some((ssrc, Role::Repair { encoding }))
            });
            let named: Vec<_> = media.chain(repair).collect();
            for (ssrc, role) in named {
                let known =
                    self.streams.iter().any(|stream| stream.ssrc == ssrc && stream.is_heard);
                // Whatever had this place before, or this name, does not any more.
                self.streams.retain(|stream| {
                    stream.ssrc != ssrc && (stream.section != index || stream.role != role)
                });
                if self.streams.len() < MAX_STREAMS {
                    self.streams.push(Stream { ssrc, section: index, role, is_heard: known });
                }
            }
        }
    }

    /// Takes one decrypted RTP packet. The first one of an SSRC reports it through `new_ssrc`, whether
    /// the SDP had named it or not: an SSRC proves nothing before it was in an authentic packet.
    pub fn receive(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        room: &mut Room,
        new_ssrc: &mut Option<u32>,
    ) -> Fate {
        let Some(header) = Header::parse(packet) else {
            return Fate::Dropped(DropReason::Malformed);
        };
        let index = match self.find_stream(now, &header, packet, new_ssrc) {
            Ok(index) => index,
            Err(reason) => return Fate::Dropped(reason),
        };
        let stream = self.streams[index];
        let section = &self.sections[stream.section];
        if let Some(id) = section.settled.extensions.transport_cc
            && let Some(&[high, low]) = header.extension(packet, id)
        {
            self.transport_cc.arrived(now, u16::from_be_bytes([high, low]));
        }
        let Some(key) = section.track else {
            return Fate::Dropped(DropReason::UnknownStream);
        };
        match stream.role {
            Role::Media { encoding } => {
                let payloads = &section.settled.payloads;
                let payload = payloads.iter().find(|p| p.pt == header.payload_type);
                if payload.is_none_or(|payload| payload.codec != Codec::Red) {
                    return receive_media(now, section, key, encoding, header, packet, false, room);
                }
                let Some(opus) = Payload::carrying(Codec::Opus, payloads) else {
                    return Fate::Dropped(DropReason::UnknownStream);
                };
                let Some(read) = Redundant::parse(header.payload(packet))
                    .filter(|read| read.primary_pt == opus.pt)
                else {
                    return Fate::Dropped(DropReason::Malformed);
                };
                let lost = &mut self.repeated;
                recover(now, section, key, encoding, &header, &read, lost, room);
                let Some(packet) = redundancy::take_primary(packet, &header, opus.pt) else {
                    return Fate::Dropped(DropReason::Malformed);
                };
                let Some(header) = Header::parse(packet) else {
                    return Fate::Dropped(DropReason::Malformed);
                };
                receive_media(now, section, key, encoding, header, packet, false, room)
            }
            Role::Repair { encoding } => {
                let Some(payload) = payload_of_rtx(&section.settled.payloads, header.payload_type)
                else {
                    return Fate::Dropped(DropReason::UnknownStream);
                };
                let Some(ssrc) = room.track(key).and_then(|t| t.encodings.get(encoding)?.ssrc)
                else {
                    return Fate::Dropped(DropReason::UnknownStream);
                };
                let Some(packet) = rtp::restore_retransmitted(packet, &header, payload.pt, ssrc)
                else {
                    return Fate::Dropped(DropReason::Padding);
                };
                let Some(header) = Header::parse(packet) else {
                    return Fate::Dropped(DropReason::Malformed);
                };
                receive_media(now, section, key, encoding, header, packet, true, room)
            }
        }
    }

    fn find_stream(
        &mut self,
        now: Instant,
        header: &Header,
        packet: &[u8],
        new_ssrc: &mut Option<u32>,
    ) -> Result<usize, DropReason> {
        let last = self.streams.get(self.last_stream);
        if last.is_some_and(|s| s.ssrc == header.ssrc && s.is_heard) {
            return Ok(self.last_stream);
        }
        let known = self.streams.iter().position(|s| s.ssrc == header.ssrc);
        let index = match known {
            Some(index) => index,
            None => {
                let stream = self.identify(header, packet).ok_or(DropReason::UnknownStream)?;
                if !self.changes.take(now) {
                    return Err(DropReason::TooManyStreams);
                }
                // A section's stream that changes its SSRC replaces the old one.
                self.streams.retain(|s| s.section != stream.section || s.role != stream.role);
                if self.streams.len() >= MAX_STREAMS {
                    return Err(DropReason::TooManyStreams);
                }
                self.streams.push(stream);
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        if !stream.is_heard {
            stream.is_heard = true;
            *new_ssrc = Some(header.ssrc);
        }
        self.last_stream = index;
        Ok(index)
    }

    /// Which section an unannounced SSRC belongs to: by mid where the packet says it, else by a payload
    /// type that only one active section has (RFC 8843 §9.2).
    fn identify(&self, header: &Header, packet: &[u8]) -> Option<Stream> {
        let by_mid = self.sections.iter().position(|section| {
            let id = section.settled.extensions.mid;
            id.and_then(|id| header.extension(packet, id)) == Some(section.settled.mid.as_bytes())
        });
        let has_pt = |section: &Section| {
            section.settled.is_active
                && section.settled.payloads.iter().any(|payload| {
                    payload.pt == header.payload_type || payload.rtx == Some(header.payload_type)
                })
        };
        let section = by_mid.or_else(|| {
            let mut matching = (0..self.sections.len()).filter(|&i| has_pt(&self.sections[i]));
            let first = matching.next()?;
            matching.next().is_none().then_some(first)
        })?;
        let settled = &self.sections[section].settled;
        let named = |id: Option<u8>| {
            let rid = header.extension(packet, id?)?;
            settled.rids.iter().position(|known| known.as_bytes() == rid)
        };
        let has_layers = !settled.rids.is_empty();
        let role = if settled.payloads.iter().any(|p| p.pt == header.payload_type) {
            let encoding = if has_layers { named(settled.extensions.rid)? } else { 0 };
            Role::Media { encoding }
        } else if payload_of_rtx(&settled.payloads, header.payload_type).is_some() {
            let encoding = if has_layers { named(settled.extensions.repaired_rid)? } else { 0 };
            Role::Repair { encoding }
        } else {
            return None;
        };
        Some(Stream { ssrc: header.ssrc, section, role, is_heard: false })
    }

    /// Takes decrypted RTCP: the publisher's clock. How many packets of it could not be read.
    pub fn receive_rtcp(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        compound: &[u8],
        server_ntp: u64,
        room: &mut Room,
        tapped: &mut VecDeque<Tapped>,
    ) -> u64 {
        let (streams, sections) = (&self.streams, &self.sections);
        rtcp::parse(compound, |incoming| {
            let Incoming::SenderReport { ssrc, ntp, rtp, .. } = incoming else { return };
            let Some(stream) = streams.iter().find(|stream| stream.ssrc == ssrc) else { return };
            let Role::Media { encoding } = stream.role else { return };
            if let Some(member) = room.members.get_mut(&participant) {
                member.clock.observe(server_ntp, ntp);
            }
            if let Some(track) = sections[stream.section].track.and_then(|key| room.track_mut(key))
                && let Some(encoding) = track.encodings.get_mut(encoding)
            {
                encoding.clock.sender_report(ntp, rtp);
                encoding.reception.sender_report(now, ntp);
            }
            if let Some(track) = sections[stream.section].track.and_then(|key| room.track(key)) {
                tap::report(now, room, track, encoding, (ntp, rtp), tapped);
            }
        })
    }

    /// Appends the RTCP that is due to `out`, as one compound: transport-cc feedback, NACKs, keyframe
    /// requests, receiver reports. `own_ssrc` is who says it.
    pub fn write_feedback(
        &mut self,
        now: Instant,
        own_ssrc: u32,
        room: &mut Room,
        out: &mut Vec<u8>,
    ) {
        let media_ssrc = self.streams.first().map_or(0, |stream| stream.ssrc);
        while self.transport_cc.poll(now, own_ssrc, media_ssrc, out) {}
        let mut blocks: Vec<ReportBlock> = Vec::new();
        let report_due = self.next_report.is_none_or(|at| now >= at);
        let mut is_pressing = false;
        for section in &self.sections {
            let Some(track) = section.track.and_then(|key| room.track_mut(key)) else { continue };
            let kind = track.kind();
            for encoding in &mut track.encodings {
                let Some(ssrc) = encoding.ssrc else { continue };
                // Who cannot be asked is given up like who does not answer.
                self.lost.clear();
                encoding.nack.poll(now, &mut self.lost);
                if section.settled.feedback.nack && !self.lost.is_empty() {
                    rtcp::write_nack(out, own_ssrc, ssrc, &self.lost);
                }
                if kind == Kind::Video {
                    if encoding.nack.take_keyframe_needed() {
                        encoding.want_keyframe();
                    }
                    if encoding.keyframe_due(now).is_some_and(|at| at <= now) {
                        encoding.keyframe_requested(now);
                        rtcp::write_pli(out, own_ssrc, ssrc);
                    }
                }
                let keyframe_due = encoding.keyframe_due(now);
                is_pressing |= encoding.nack.missing() > 0
                    || keyframe_due.is_some_and(|at| at < now + CALM_TICK);
                if report_due {
                    blocks.extend(encoding.reception.report(now, ssrc));
                }
            }
        }
        room.is_pressing |= is_pressing;
        if report_due && !blocks.is_empty() {
            self.next_report = Some(now + REPORT_INTERVAL);
            rtcp::write_receiver_report(out, own_ssrc, &blocks);
        }
    }
}

fn payload_of_rtx(payloads: &[Payload], rtx: u8) -> Option<Payload> {
    payloads.iter().find(|payload| payload.rtx == Some(rtx)).copied()
}

/// Puts frames that a redundant packet repeats where they were lost, before the packet itself is taken.
#[expect(clippy::too_many_arguments, reason = "one packet and everything that is known of it")]
fn recover(
    now: Instant,
    section: &Section,
    key: TrackKey,
    index: usize,
    header: &Header,
    read: &Redundant<'_>,
    lost: &mut Vec<u8>,
    room: &mut Room,
) {
    for block in read.earlier().filter(|block| block.pt == read.primary_pt) {
        let track = room.track_mut(key).filter(|track| !track.is_blocked);
        let Some(encoding) = track.and_then(|track| track.encodings.get_mut(index)) else { return };
        // The first packet of an SSRC has nothing before it.
        if encoding.ssrc != Some(header.ssrc) {
            return;
        }
        let sequence = encoding.sequence.unwrap(header.sequence);
        encoding.nack.received(now, sequence);
        let newest = (sequence, header.timestamp);
        let Some(place) = redundancy::lost_packet(encoding, newest, &block) else { continue };
        redundancy::write_lost(lost, header, place, &block);
        if let Some(header) = Header::parse(lost) {
            receive_media(now, section, key, index, header, lost, true, room);
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one packet and everything that is known of it")]
fn receive_media(
    now: Instant,
    section: &Section,
    key: TrackKey,
    index: usize,
    header: Header,
    packet: &[u8],
    is_repair: bool,
    room: &mut Room,
) -> Fate {
    let settled = &section.settled;
    let Some(payload) = settled.payloads.iter().find(|p| p.pt == header.payload_type) else {
        return Fate::Dropped(DropReason::UnknownStream);
    };
    let codec = payload.codec;
    let Some(track) = room.tracks.get_mut(key) else {
        return Fate::Dropped(DropReason::UnknownStream);
    };
    let Some(encoding) = track.encodings.get_mut(index) else {
        return Fate::Dropped(DropReason::UnknownStream);
    };
    if encoding.ssrc != Some(header.ssrc) {
        if encoding.restart(header.ssrc, codec) {
            room.last_generation += 1;
            track.generation = room.last_generation;
        }
        room.is_stale = true;
    }
    let sequence = encoding.sequence.unwrap(header.sequence);
    if !is_repair {
        encoding.reception.received(now, sequence, header.timestamp);
    }
    if let Some(missed) = encoding.nack.received(now, sequence) {
        encoding.patience.repaired(now, missed);
    }
    room.is_pressing |= encoding.nack.missing() > 0;
    // The last line before anything hears or keeps it. Reports and requests go on, so that lifting the
    // mute finds a stream in order.
    if track.is_blocked {
        return Fate::Blocked;
    }
    if !encoding.cache.insert(sequence, packet, now) {
        return Fate::Dropped(DropReason::Repeated);
    }
    if track.codec != Some(codec) {
        track.codec = Some(codec);
        room.is_stale = true;
    }
    let body = header.payload(packet);
    let is_keyframe = codec.kind() == Kind::Video && codec::is_keyframe(codec, body);
    let descriptor = settled.extensions.dependency_descriptor;
    let descriptor = descriptor.and_then(|id| header.extension(packet, id));
    let frame = encoding.read_frame(codec, body, descriptor);
    encoding.meter.add(now, frame.layer, packet.len());
    if is_keyframe {
        encoding.keyframe_arrived();
        match codec {
            Codec::Vp8 => encoding.size = vp8::size(body).or(encoding.size),
            Codec::Vp9 { .. } => encoding.set_layer_sizes(vp9::sizes(body)),
            _ => {}
        }
    }
    // What comes late says nothing of who speaks now.
    if codec == Codec::Opus && track.source == protocol::Source::Microphone && !is_repair {
        let level = settled.extensions.audio_level.and_then(|id| header.extension(packet, id));
        let level = level.and_then(|bytes| bytes.first()).copied();
        room.speakers.heard(
            now,
            track.csrc,
            level.map(|byte| byte & 0x7f),
            level.is_some_and(|byte| byte & 0x80 != 0),
            body.len(),
        );
    }
    room.pending.push(Pending {
        track: key,
        encoding: index,
        sequence,
        codec,
        is_keyframe,
        frame,
        header,
        captured_ntp: None,
        left_out: LeftOut::default(),
    });
    Fate::Pending
}
