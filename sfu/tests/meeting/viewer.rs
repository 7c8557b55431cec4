//! What a browser makes of a video slot: it decodes what is whole, asks again for what is missing and for a
//! keyframe when nothing else helps.

use sfu::codec::vp8;
use sfu::rtcp;
use sfu::rtp::Header;
use sfu::sequence::SequenceUnwrapper;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// After so long without a picture a keyframe is asked for, as Chromium does.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two requests for the same packet; as often at most.
const AGAIN: Duration = Duration::from_millis(100);
const MAX_REQUESTS: u8 = 10;

/// A decoder of VP8 with the packets before it.
#[derive(Default)]
pub struct Viewer {
    ssrc: u32,
    unwrapper: SequenceUnwrapper,
    packets: BTreeMap<u64, Packet>,
    missing: BTreeMap<u64, Request>,
    /// The number after the last packet of the newest frame decoded.
    decoded_to: Option<u64>,
    tl0: Option<u8>,
    /// When the last keyframe was asked for.
    asked: Option<Instant>,
    /// Every picture that was shown: when, and how high.
    pub shown: Vec<(Instant, u16)>,
}

struct Packet {
    timestamp: u32,
    begins: bool,
    ends: bool,
    tl0: u8,
    temporal: u8,
    /// Of a keyframe's first packet.
    height: Option<u16>,
}

#[derive(Default)]
struct Request {
    times: u8,
    at: Option<Instant>,
}

impl Viewer {
    /// Takes a packet of payload type 96 or 97 (repairs).
    pub fn receive(&mut self, now: Instant, packet: &[u8]) {
        let Some(header) = Header::parse(packet) else { return };
        let payload = header.payload(packet);
        let (sequence, payload) = match (header.payload_type, payload) {
            (96, payload) => {
                self.ssrc = header.ssrc;
                (header.sequence, payload)
            }
            (97, [high, low, payload @ ..]) => (u16::from_be_bytes([*high, *low]), payload),
            _ => return,
        };
        let Some(descriptor) = vp8::Descriptor::parse(payload) else { return };
        let before = self.unwrapper.highest();
        let sequence = self.unwrapper.unwrap(sequence);
        for missing in before.map_or(sequence, |before| before + 1)..sequence {
            self.missing.insert(missing, Request::default());
        }
        self.missing.remove(&sequence);
        if self.decoded_to.is_some_and(|to| sequence < to) {
            return;
        }
        let packet = Packet {
            timestamp: header.timestamp,
            begins: descriptor.is_start && descriptor.partition == 0,
            ends: header.marker,
            tl0: descriptor.tl0.expect("a TL0PICIDX"),
            temporal: descriptor.tid.expect("a temporal layer"),
            height: vp8::size(payload).map(|(_, height)| height),
        };
        self.packets.insert(sequence, packet);
        while let Some((first, end)) = self.decodable() {
            self.decode(now, first, end);
        }
    }

    /// The first frame that is whole and refers to nothing that is missing.
    fn decodable(&self) -> Option<(u64, u64)> {
        self.packets.iter().filter(|(_, packet)| packet.begins).find_map(|(&first, packet)| {
            let is_known = match (packet.height, self.tl0, packet.temporal) {
                (Some(_), ..) => true,
                (None, Some(tl0), 0) => packet.tl0 == tl0.wrapping_add(1),
                (None, Some(tl0), _) => packet.tl0 == tl0,
                (None, None, _) => false,
            };
            let end = is_known.then(|| self.end_of(first, packet.timestamp))??;
            Some((first, end))
        })
    }

    fn end_of(&self, first: u64, timestamp: u32) -> Option<u64> {
        let mut next = first;
        loop {
            let packet = self.packets.get(&next).filter(|packet| packet.timestamp == timestamp)?;
            next += 1;
            if packet.ends {
                return Some(next);
            }
        }
    }

    fn decode(&mut self, now: Instant, first: u64, end: u64) {
        let packet = &self.packets[&first];
        let height = packet.height.or_else(|| Some(self.shown.last()?.1));
        if packet.temporal == 0 {
            self.tl0 = Some(packet.tl0);
        }
        self.shown.push((now, height.expect("a keyframe comes first")));
        self.packets = self.packets.split_off(&end);
        self.missing = self.missing.split_off(&end);
        self.decoded_to = Some(end);
    }

    /// What it asks for now, as RTCP; nothing when there is nothing to ask.
    pub fn poll(&mut self, now: Instant) -> Vec<u8> {
        let mut out = Vec::new();
        self.missing.retain(|_, request| request.times < MAX_REQUESTS);
        let due = self
            .missing
            .iter_mut()
            .filter(|(_, request)| request.at.is_none_or(|at| now >= at + AGAIN));
        let lost: Vec<u16> = due
            .map(|(&sequence, request)| {
                *request = Request { times: request.times + 1, at: Some(now) };
                sequence as u16
            })
            .collect();
        if !lost.is_empty() {
            rtcp::write_nack(&mut out, 1, self.ssrc, &lost);
        }
        let since = self.shown.last().map(|(at, _)| *at).max(self.asked);
        if self.ssrc != 0 && since.is_some_and(|at| now >= at + PATIENCE) {
            self.asked = Some(now);
            rtcp::write_pli(&mut out, 1, self.ssrc);
        }
        out
    }

    /// The longest time without a new picture from a moment to another.
    pub fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let shown = self.shown.iter().map(|(at, _)| *at).filter(|at| (from..=to).contains(at));
        let times: Vec<Instant> = [from].into_iter().chain(shown).chain([to]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}
