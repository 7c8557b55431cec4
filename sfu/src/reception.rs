//! What receiver reports say about a stream.

use crate::rtcp::ReportBlock;
use crate::sequence::SequenceUnwrapper;
use std::time::{Duration, Instant};

/// Reception statistics of one incoming stream (RFC 3550 appendices A.3 and A.8).
///
/// Counts what arrives under the stream's own SSRC. Retransmissions come under another and are
/// left out: the sender wants to know what its path loses.
#[derive(Debug)]
pub struct Reception {
    clock_rate: u32,
    first: u64,
    highest: u64,
    received: u64,
    reported_expected: u64,
    reported_received: u64,
    /// In 1/16 of RTP clock units.
    jitter: u32,
    last_packet: Option<LastPacket>,
    last_sr: Option<(u32, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct LastPacket {
    arrival: Instant,
    timestamp: u32,
}

impl Reception {
    /// Nothing received yet of a stream with this RTP clock.
    pub fn new(clock_rate: u32) -> Self {
        Reception {
            clock_rate,
            first: 0,
            highest: 0,
            received: 0,
            reported_expected: 0,
            reported_received: 0,
            jitter: 0,
            last_packet: None,
            last_sr: None,
        }
    }

    /// Notes a packet by its extended sequence number.
    pub fn received(&mut self, now: Instant, sequence: u64, timestamp: u32) {
        let is_next = self.received == 0 || sequence > self.highest;
        if self.received == 0 {
            (self.first, self.highest) = (sequence, sequence);
        }
        self.received += 1;
        self.first = self.first.min(sequence);
        if is_next {
            self.highest = self.highest.max(sequence);
            self.update_jitter(now, timestamp);
        }
    }

    /// Notes a sender report of the stream.
    pub fn sender_report(&mut self, now: Instant, ntp: u64) {
        self.last_sr = Some((compact_ntp(ntp), now));
    }

    /// The report block for now; begins a new interval of `fraction_lost`. `None` before the first packet.
    pub fn report(&mut self, now: Instant, ssrc: u32) -> Option<ReportBlock> {
        if self.received == 0 {
            return None;
        }
        let expected = self.highest - self.first + 1;
        // A straggler can lower `first` and an interval can hold only duplicates.
        let expected_now = expected.saturating_sub(self.reported_expected);
        let received_now = self.received - self.reported_received;
        let lost_now = expected_now.saturating_sub(received_now);
        (self.reported_expected, self.reported_received) = (expected, self.received);
        let fraction_lost = match expected_now {
            0 => 0,
            expected_now => (lost_now * 256 / expected_now).min(255) as u8,
        };
        let (last_sr, delay_since_last_sr) = match self.last_sr {
            None => (0, 0),
            Some((last_sr, arrival)) => {
                (last_sr, compact_duration(now.saturating_duration_since(arrival)))
            }
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: (expected as i64 - self.received as i64).clamp(-0x80_0000, 0x7f_ffff)
                as i32,
            // Our numbers begin one cycle up, those of a report at cycle 0.
            highest_sequence: self.highest.saturating_sub(SequenceUnwrapper::FIRST_CYCLE) as u32,
            jitter: self.jitter >> 4,
            last_sr,
            delay_since_last_sr,
        })
    }

    /// Packets received, and those that are missing of all that were sent.
    pub fn totals(&self) -> (u64, u64) {
        let expected = if self.received == 0 { 0 } else { self.highest - self.first + 1 };
        (self.received, expected.saturating_sub(self.received))
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        Duration::from_micros(
            u64::from(self.jitter >> 4) * 1_000_000 / u64::from(self.clock_rate.max(1)),
        )
    }

    fn update_jitter(&mut self, now: Instant, timestamp: u32) {
        let last = self.last_packet.replace(LastPacket { arrival: now, timestamp });
        let Some(last) = last else { return };
        // The packets of one frame share a timestamp but leave one after the other; only the first
        // says something about the path.
        if last.timestamp == timestamp {
            self.last_packet = Some(last);
            return;
        }
        let waited = now.saturating_duration_since(last.arrival).as_nanos();
        let waited = (waited * u128::from(self.clock_rate) / 1_000_000_000) as i64;
        let sent = i64::from(timestamp.wrapping_sub(last.timestamp) as i32);
        let difference = (waited - sent).unsigned_abs();
        // A jump of seconds is a new timeline or a pause, not jitter.
        if difference < MAX_DIFFERENCE_SECONDS * u64::from(self.clock_rate) {
            // RFC 3550 A.8: J += (|D| - J) / 16, kept in sixteenths, rounded.
            let difference = u32::try_from(difference).unwrap_or(u32::MAX);
            let fading = self.jitter.saturating_add(8) >> 4;
            self.jitter = self.jitter.saturating_add(difference).saturating_sub(fading);
        }
    }
}

/// The round trip to the sender of a report block on one of our streams. `now_ntp` is in the clock
/// of our sender reports. `None` before it got one, and for what cannot be.
pub fn round_trip(now_ntp: u64, block: &ReportBlock) -> Option<Duration> {
    if block.last_sr == 0 {
        return None;
    }
    let since_sent = compact_ntp(now_ntp).wrapping_sub(block.last_sr);
    let round_trip = since_sent.wrapping_sub(block.delay_since_last_sr) as i32;
    // Rounding on both sides can take a local network's round trip just below zero.
    let round_trip = if (-ROUNDING..0).contains(&round_trip) { 0 } else { round_trip };
    let round_trip = Duration::from_micros((u64::try_from(round_trip).ok()? * 1_000_000) >> 16);
    (round_trip <= MAX_ROUND_TRIP).then_some(round_trip)
}

/// The middle 32 bits of an NTP time: 16.16 bits of seconds.
fn compact_ntp(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

fn compact_duration(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros() * 65_536 / 1_000_000).unwrap_or(u32::MAX)
}

const MAX_DIFFERENCE_SECONDS: u64 = 5;

/// A report that claims more is wrong or forged; believing it would stretch every repeat interval.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);

/// In 1/65536 s: 1 ms.
const ROUNDING: i32 = 66;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{WallClock, ntp_duration};
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);
    const BASE: u64 = SequenceUnwrapper::FIRST_CYCLE;

    #[test]
    fn before_the_first_packet_there_is_nothing_to_report() {
        assert_eq!(Reception::new(48_000).report(Instant::now(), 1), None);
    }

    #[test]
    fn losses_count_per_interval_and_in_all() {
        let start = Instant::now();
        let mut reception = Reception::new(90_000);
        for sequence in (0..100).filter(|sequence| sequence % 4 != 3 || *sequence == 99) {
            reception.received(start, BASE + sequence, 0);
        }
        let block = reception.report(start, 7).unwrap();
        assert_eq!((block.ssrc, block.highest_sequence), (7, 99));
        assert_eq!((block.cumulative_lost, block.fraction_lost), (24, (24 * 256 / 100) as u8));
        assert_eq!(reception.totals(), (76, 24));
        for sequence in 100..200 {
            reception.received(start, BASE + sequence, 0);
        }
        let block = reception.report(start, 7).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (24, 0));
        assert_eq!(reception.report(start, 7).unwrap().fraction_lost, 0, "an empty interval");
        reception.received(start, BASE + 1200, 0);
        assert_eq!(reception.report(start, 7).unwrap().fraction_lost, 255);
    }

    #[test]
    fn duplicates_may_make_the_loss_negative_and_stragglers_from_before_the_first_count() {
        let start = Instant::now();
        let mut reception = Reception::new(90_000);
        for sequence in [5, 5, 5, 6] {
            reception.received(start, BASE + sequence, 0);
        }
        assert_eq!(reception.report(start, 1).unwrap().cumulative_lost, -2);
        reception.received(start, BASE + 3, 0);
        let block = reception.report(start, 1).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (-1, 128));
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_approaches_its_own() {
        let start = Instant::now();
        let mut even = Reception::new(90_000);
        let mut uneven = Reception::new(90_000);
        for frame in 0..500u32 {
            let arrival = start + frame * 40 * MS;
            let late = if frame % 2 == 0 { Duration::ZERO } else { 10 * MS };
            // Three packets a frame, spread over it; only the first is measured.
            for packet in 0..3u32 {
                let sequence = BASE + u64::from(frame * 3 + packet);
                even.received(arrival + packet * 5 * MS, sequence, frame * 3600);
                uneven.received(arrival + late + packet * MS, sequence, frame * 3600);
            }
        }
        assert_eq!(even.report(start, 1).unwrap().jitter, 0);
        let jitter = uneven.jitter();
        assert!((9 * MS..11 * MS).contains(&jitter), "{jitter:?}");
        assert_eq!(
            u64::from(uneven.report(start, 1).unwrap().jitter) / 90,
            jitter.as_millis() as u64
        );
    }

    #[test]
    fn a_new_timeline_is_not_jitter() {
        let start = Instant::now();
        let mut reception = Reception::new(48_000);
        reception.received(start, BASE, 0);
        reception.received(start + 20 * MS, BASE + 1, 0x7fff_0000);
        reception.received(start + 40 * MS, BASE + 2, 0x7fff_0000 + 960);
        assert_eq!(reception.report(start, 1).unwrap().jitter, 0);
    }

    #[test]
    fn the_wrap_of_sequence_numbers_counts_as_a_cycle() {
        let start = Instant::now();
        let mut unwrapper = SequenceUnwrapper::new();
        let mut reception = Reception::new(48_000);
        for sequence in [65_534, 65_535, 0, 1] {
            reception.received(start, unwrapper.unwrap(sequence), 0);
        }
        let block = reception.report(start, 1).unwrap();
        assert_eq!((block.highest_sequence, block.cumulative_lost), (1 << 16 | 1, 0));
    }

    #[test]
    fn no_round_trip_before_a_report_came_back_nor_from_one_that_cannot_be() {
        let now = 1u64 << 48;
        let block = |last_sr, delay_since_last_sr| ReportBlock {
            last_sr,
            delay_since_last_sr,
            ..Default::default()
        };
        assert_eq!(round_trip(now, &block(0, 0)), None);
        let sent = compact_ntp(now - (1 << 32));
        assert_eq!(round_trip(now, &block(sent, 0)), Some(Duration::from_secs(1)));
        assert_eq!(round_trip(now, &block(sent, 0x1_0000 + 30)), Some(Duration::ZERO));
        assert_eq!(round_trip(now, &block(sent, 0x2_0000)), None, "before it was sent");
        assert_eq!(round_trip(now, &block(sent.wrapping_sub(60 << 16), 0)), None, "a minute");
    }

    proptest! {
        #[test]
        fn a_round_trip_through_both_ends_is_measured_within_a_tick(
            there in 0u64..4_000_000, back in 0u64..4_000_000, held in 0u64..60_000_000, unix_nanos in 0u64..1 << 62,
        ) {
            // We send a report, the other end holds it and answers with a block.
            let start = Instant::now();
            let wall = WallClock::new(start, unix_nanos);
            let arrives = start + Duration::from_micros(there);
            let answered = arrives + Duration::from_micros(held);
            let home = answered + Duration::from_micros(back);
            let mut other = Reception::new(48_000);
            other.received(arrives, BASE, 0);
            other.sender_report(arrives, wall.ntp(start));
            let block = other.report(answered, 1).unwrap();
            prop_assume!(block.last_sr != 0);
            let measured = round_trip(wall.ntp(home), &block).unwrap();
            let truth = Duration::from_micros(there + back);
            prop_assert!(measured.abs_diff(truth) < Duration::from_micros(50), "{:?} {:?}", measured, truth);
            prop_assert!(ntp_duration(truth) >= 0);
        }

        #[test]
        fn no_stream_breaks_the_arithmetic(
            packets in proptest::collection::vec((any::<u32>(), any::<u32>(), 0u64..100_000), 1..50), rate: u32,
        ) {
            let mut now = Instant::now();
            let mut reception = Reception::new(rate);
            for (sequence, timestamp, wait) in packets {
                now += Duration::from_millis(wait);
                reception.received(now, BASE + u64::from(sequence), timestamp);
                let block = reception.report(now, 1).unwrap();
                prop_assert!((-0x80_0000..0x80_0000).contains(&block.cumulative_lost));
                reception.jitter();
            }
        }
    }
}
