//! What stands in the header of a packet as a slot sends it, and in its extensions.

use super::{Flow, Forwarded, Slot};
use crate::codec::Layer;
use crate::format::{Extensions, Payload};
use crate::rtp::{self, Outgoing};
use protocol::Kind;
use std::time::Duration;

/// Packets that say that nothing is waited for any more: any of them will do, and some may be lost.
const UNWAITED_PACKETS: u8 = 200;

/// What a header says beside the packet's own words.
pub(super) struct Labels {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) ssrc: u32,
    pub(super) sequence: u64,
    /// What it says of how long pictures are held back.
    pub(super) playout_delay: Option<[u8; 3]>,
    /// The layers up to which its descriptor says that they are sent.
    pub(super) shown: Option<Layer>,
}

/// What a header says of the moment at which its packet leaves, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Nothing.
    Nothing,
    /// The transport-wide sequence number, in two bytes.
    Number(usize),
    /// The time, in three bytes, for receivers that estimate their link themselves.
    Time(usize),
}

/// The header extension that a stamp goes into, by its id.
#[derive(Clone, Copy)]
pub(super) enum StampExtension {
    Number(u8),
    Time(u8),
}

impl StampExtension {
    /// Its element, with room for what is to be filled in.
    pub(super) fn place(self) -> (u8, &'static [u8]) {
        match self {
            Self::Number(id) => (id, &[0; 2]),
            Self::Time(id) => (id, &[0; 3]),
        }
    }

    /// Where it stands in a header with these elements, of which it is the first.
    pub(super) fn stamp(self, elements: &[(u8, &[u8])]) -> Stamp {
        let at = rtp::first_element_offset(elements);
        match self {
            Self::Number(_) => Stamp::Number(at),
            Self::Time(_) => Stamp::Time(at),
        }
    }
}

impl Slot {
    /// Appends the header; its length, and what is to be filled in.
    #[inline]
    pub(super) fn write_header(
        &self,
        packet: &Forwarded<'_>,
        flow: &Flow,
        labels: &Labels,
        out: &mut Vec<u8>,
    ) -> (usize, Stamp) {
        let carried = [
            (packet.extensions.audio_level, self.extensions.audio_level),
            (packet.extensions.video_orientation, self.extensions.video_orientation),
        ];
        let mut extensions: [(u8, &[u8]); 5] = [(0, &[]); 5];
        let mut count = 0;
        let stamp = self.stamp(&flow.payload);
        if let Some(element) = stamp {
            extensions[0] = element.place();
            count = 1;
        }
        for (theirs, ours) in carried {
            if let (Some(theirs), Some(ours)) = (theirs, ours)
                && let Some(value) = packet.header.extension(packet.packet, theirs)
            {
                extensions[count] = (ours, value);
                count += 1;
            }
        }
        if let (Some(ours), Some(value)) = (self.extensions.playout_delay, &labels.playout_delay) {
            extensions[count] = (ours, value);
            count += 1;
        }
        let rewritten;
        if let Some(described) = &packet.described
            && let Some(ours) = self.extensions.dependency_descriptor
        {
            rewritten = described.rewrite(flow.descriptor, labels.shown);
            extensions[count] = (ours, rewritten.bytes());
            count += 1;
        }
        // A new voice begins a talk spurt: the receiver may adapt its buffer (RFC 3551 §4.1).
        let begins_spurt = self.kind == Kind::Audio && packet.sequence == flow.first_in;
        let header_len = rtp::write_header(
            out,
            &Outgoing {
                marker: packet.header.marker || begins_spurt || labels.marker,
                payload_type: labels.payload_type,
                sequence: labels.sequence as u16,
                timestamp: packet.header.timestamp.wrapping_add(flow.timestamp_delta),
                ssrc: labels.ssrc,
                csrc: flow.csrc,
                extensions: &extensions[..count],
            },
        );
        let stamp = stamp.map_or(Stamp::Nothing, |element| element.stamp(&extensions[..count]));
        (header_len, stamp)
    }

    /// The extension that says which packet of the transport it is, or failing that when it left. Video without RTX
    /// goes without: it is sent again to the letter, and a new number would be another packet under a used nonce.
    #[inline]
    pub(super) fn stamp(&self, payload: &Payload) -> Option<StampExtension> {
        let is_sent_once = self.kind == Kind::Audio || payload.rtx.is_some();
        let Extensions { transport_cc, abs_send_time, .. } = &self.extensions;
        let number = transport_cc.map(StampExtension::Number);
        number.or_else(|| abs_send_time.map(StampExtension::Time)).filter(|_| is_sent_once)
    }

    /// The layers that a packet says are sent.
    #[inline]
    pub(super) fn shown(&self, payload: &Payload) -> Option<Layer> {
        // What may be sent again to the letter must not depend on the moment.
        payload.rtx?;
        let (_, spatial, temporal) = self.flowing()?;
        Some(Layer { spatial, temporal })
    }

    /// What a packet says of how long pictures are held back. Receivers keep to what was said last, so it is said
    /// as long as there is something to wait for, and that there is nothing any more for some packets after.
    #[inline]
    pub(super) fn playout_delay(&mut self, payload: &Payload, wait: Duration) -> Option<[u8; 3]> {
        // What may be sent again to the letter must not depend on the moment.
        if self.kind == Kind::Audio || payload.rtx.is_none() {
            return None;
        }
        if !wait.is_zero() {
            self.unwaited = UNWAITED_PACKETS;
        } else if self.unwaited == 0 {
            return None;
        } else {
            self.unwaited -= 1;
        }
        Some(playout_delay(wait))
    }
}

/// The header extension: twelve bits for the shortest and twelve for the longest delay, in units of 10 ms. The longest
/// is what browsers take where nothing is said; much less turns their smoothing off.
pub(super) fn playout_delay(shortest: Duration) -> [u8; 3] {
    const LONGEST: u32 = 1_000;
    let shortest = u32::try_from(shortest.as_millis().div_ceil(10)).unwrap_or(LONGEST).min(LONGEST);
    let [_, high, middle, low] = (shortest << 12 | LONGEST).to_be_bytes();
    [high, middle, low]
}
