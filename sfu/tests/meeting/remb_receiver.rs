//! A receiver that estimates its link itself, from the times that packets say they left at, and tells the result
//! once a second (REMB).

use sfu::rtcp;
use sfu::rtp::Header;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// Packets that are so much later than the quickest stand in a queue.
const QUEUED_MS: f64 = 40.0;

/// What it has seen.
#[derive(Clone)]
pub struct RembReceiver {
    /// How fast it dares to say more, by second.
    growth: f64,
    packets: VecDeque<(Instant, usize)>,
    origin: Option<Instant>,
    /// The least difference between the two clocks, and the newest.
    quickest_ms: f64,
    late_ms: f64,
    next: Option<Instant>,
    ssrc: u32,
    /// What it has told: when, and how much.
    pub told: Vec<(Instant, u64)>,
}

impl RembReceiver {
    pub fn new(growth: f64) -> Self {
        Self {
            growth,
            packets: VecDeque::new(),
            origin: None,
            quickest_ms: f64::MAX,
            late_ms: 0.0,
            next: None,
            ssrc: 0,
            told: Vec::new(),
        }
    }

    pub fn received(&mut self, now: Instant, packet: &[u8]) {
        let header = Header::parse(packet).expect("RTP");
        let Some(&[high, middle, low]) = header.extension(packet, 2) else {
            panic!("every packet says when it left");
        };
        let left = f64::from(u32::from_be_bytes([0, high, middle, low])) / f64::from(1 << 18);
        let origin = *self.origin.get_or_insert(now);
        // The clock of packets comes round after 64 seconds; nothing is so late that it came round twice.
        let on_the_way = ((now - origin).as_secs_f64() - left + 30.0).rem_euclid(64.0) * 1e3;
        self.quickest_ms = self.quickest_ms.min(on_the_way);
        self.late_ms = on_the_way - self.quickest_ms;
        self.ssrc = header.ssrc;
        self.packets.push_back((now, packet.len()));
        self.next.get_or_insert(now + SECOND);
    }

    /// The REMB that is due.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next.is_none_or(|next| now < next) {
            return None;
        }
        self.next = Some(now + SECOND);
        while self.packets.front().is_some_and(|(at, _)| *at + SECOND < now) {
            self.packets.pop_front();
        }
        let incoming = self.packets.iter().map(|(_, bytes)| 8.0 * *bytes as f64).sum::<f64>();
        let before = self.told.last().map_or(incoming, |(_, told)| *told as f64);
        let bitrate = if self.late_ms > QUEUED_MS {
            0.85 * incoming
        } else {
            (before * self.growth).min(1.5 * incoming + 10_000.0).max(before.min(incoming))
        };
        self.told.push((now, bitrate as u64));
        let mut compound = Vec::new();
        rtcp::write_receiver_report(&mut compound, 1, &[]);
        rtcp::write_remb(&mut compound, 1, bitrate as u64, &[self.ssrc]);
        Some(compound)
    }
}
