//! What a slot sends beside the packets that come: those that its receiver misses, and padding.

use super::header::{Labels, playout_delay};
use super::{Forwarded, Slot, Written, append_payload};
use crate::format::Codec;
use crate::key::TrackKey;
use crate::rtp::{self, Outgoing};
use protocol::SlotReason;
use std::time::{Duration, Instant};

/// Packets whose resending is remembered, per slot; a power of two.
const RESENT_ENTRIES: usize = 64;
/// Times one packet is resent to one subscriber. More feeds a link that loses everything.
const MAX_RESENDS: u8 = 5;
/// Shortest time between two resends of a packet: a NACK sooner was sent before the first could arrive.
const RESEND_INTERVAL: Duration = Duration::from_millis(20);
/// The same where round trips are long: more would give a packet up that is wanted still.
const MAX_RESEND_INTERVAL: Duration = Duration::from_millis(400);

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

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resent {
    sequence: u64,
    times: u8,
    at: Option<Instant>,
}

impl Slot {
    /// Where a packet that the subscriber misses is to be found; nothing when it is unknown, was resent
    /// just now or too often.
    ///
    /// `round_trip`: within that a packet is not sent a second time, as the first cannot have come.
    pub fn find_lost(&mut self, now: Instant, round_trip: Duration, sequence: u16) -> Option<Lost> {
        // The nearest extended number at or below the highest sent.
        let behind = (self.highest_out as u16).wrapping_sub(sequence);
        let sequence_out = self.highest_out.checked_sub(u64::from(behind))?;
        let flow = self.flow_of(sequence_out)?;
        let current = self.binding.as_ref().and_then(|binding| binding.flow.as_ref());
        let is_past = current.is_some_and(|current| sequence_out < current.first_out);
        if self.told.0 == SlotReason::Bandwidth && (is_past || self.flowing().is_none()) {
            // Of a layer that was too much. What it would need is what the next one's keyframe needs.
            return None;
        }
        let lost = Lost {
            track: flow.track,
            generation: flow.generation,
            encoding: flow.encoding,
            sequence: flow.numbering.sent_as(sequence_out)?.0,
            sequence_out,
        };
        if self.resent.is_empty() {
            self.resent = vec![Resent::default(); RESENT_ENTRIES].into();
        }
        let interval = round_trip.clamp(RESEND_INTERVAL, MAX_RESEND_INTERVAL);
        let entry = &mut self.resent[sequence_out as usize % RESENT_ENTRIES];
        if entry.sequence != sequence_out || entry.at.is_none() {
            *entry = Resent { sequence: sequence_out, times: 0, at: None };
        }
        if entry.times >= MAX_RESENDS || entry.at.is_some_and(|at| now < at + interval) {
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
        let rtx_sequence = self.rtx_sequence + 1;
        let flow = self.flow_of(lost.sequence_out)?;
        let (_, picture_delta) = flow.numbering.sent_as(lost.sequence_out)?;
        if flow.codec != packet.codec || flow.generation != lost.generation {
            return None;
        }
        let shown = self.flowing().map(|(_, spatial, _)| spatial);
        let ends_picture = packet.frame.ends_layer && shown == Some(packet.frame.layer.spatial);
        let Some(payload_type) = flow.payload.rtx else {
            // Whatever could differ from the first time is not sent: a nonce is used for one packet.
            let may_differ = packet.frame.ends_layer && !packet.header.marker
                || flow.payload.codec == Codec::Red;
            if may_differ || self.stamp(&flow.payload).is_some() {
                return None;
            }
            let labels = Labels {
                marker: false,
                payload_type: flow.payload.pt,
                ssrc: self.ssrc,
                sequence: lost.sequence_out,
                playout_delay: None,
                shown: None,
            };
            let (header_len, stamp) = self.write_header(packet, flow, &labels, out);
            append_payload(packet, picture_delta, flow.tl0_delta, out);
            return Some(Written { header_len, index: lost.sequence_out, stamp });
        };
        let labels = Labels {
            marker: ends_picture,
            payload_type,
            ssrc: self.rtx_ssrc,
            sequence: rtx_sequence,
            playout_delay: (!packet.wait.is_zero()).then(|| playout_delay(packet.wait)),
            shown: self.shown(&flow.payload),
        };
        let (header_len, stamp) = self.write_header(packet, flow, &labels, out);
        out.extend_from_slice(&(lost.sequence_out as u16).to_be_bytes());
        append_payload(packet, picture_delta, flow.tl0_delta, out);
        self.rtx_sequence = rtx_sequence;
        Some(Written { header_len, index: rtx_sequence, stamp })
    }

    /// Appends a packet on the stream of repairs that is nothing but padding, for probes of the link.
    /// None while nothing is to be shown here, or where repairs have no stream or no number.
    pub fn write_padding(&mut self, length: u8, out: &mut Vec<u8>) -> Option<Written> {
        // Whether something flows does not matter: a slot that is paused for want of bandwidth is the one
        // that a probe must bring back, and one that waits for its first keyframe loses no time.
        let binding = self.binding.as_ref()?;
        let payload = binding.payload?;
        let payload_type = payload.rtx?;
        let stamp = self.stamp(&payload)?;
        let sequence = self.rtx_sequence + 1;
        let begin = out.len();
        let extensions = [stamp.place()];
        let header_len = rtp::write_header(
            out,
            &Outgoing {
                marker: false,
                payload_type,
                sequence: sequence as u16,
                timestamp: self.last_timestamp.unwrap_or_default(),
                ssrc: self.rtx_ssrc,
                csrc: binding.flow.as_ref().map_or(0, |flow| flow.csrc),
                extensions: &extensions,
            },
        );
        rtp::pad(out, begin, length);
        self.rtx_sequence = sequence;
        let stamp = stamp.stamp(&extensions);
        Some(Written { header_len, index: sequence, stamp })
    }
}
