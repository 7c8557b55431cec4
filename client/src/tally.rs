//! What arrives at a subscriber, counted and not kept: what was lost on the way, what the server chose not to send, how long it
//! took, and the feedback that a browser would give.

use crate::histogram::Histogram;
use crate::stamp::Stamp;
use crate::subscriber::Slot;
use protocol::Kind;
use sfu::nack::NackGenerator;
use sfu::reception::Reception;
use sfu::rtcp::{self, ReportBlock};
use sfu::rtp::Header;
use sfu::sequence::SequenceUnwrapper;
use sfu::twcc::TransportCc;
use std::time::{Duration, Instant};

/// Our own SSRC in feedback; nothing is sent on it.
const REPORTER: u32 = 1;
/// Receiver reports of browsers.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// A stream that was heard so lately is still meant for us: what is missing at its end was lost.
const FRESH: Duration = Duration::from_secs(1);

/// Counts of one or many subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that arrived, each once.
    pub received: u64,
    /// Bytes of them, without encryption.
    pub bytes: u64,
    /// Packets whose numbers were skipped and that never came.
    pub lost: u64,
    /// Packets that came by a repair, or late.
    pub repaired: u64,
    /// Packets that came more than once.
    pub doubled: u64,
    /// Packets that were sent while their stream was shown here.
    pub expected: u64,
    /// Those of them that came.
    pub delivered: u64,
    /// Streams that were shown here to the end and of which nothing came any more while they went on.
    pub stalled: u64,
}

impl Counts {
    /// Takes in others.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.repaired += other.repaired;
        self.doubled += other.doubled;
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.stalled += other.stalled;
    }

    /// Packets that neither came nor were missed: the server did not send them.
    pub fn withheld(&self) -> u64 {
        self.expected.saturating_sub(self.delivered).saturating_sub(self.lost)
    }
}

/// Where a stream's sender has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Number of its newest packet.
    pub number: u32,
    /// When that was sent.
    pub at: Duration,
}

/// A subscriber's counts.
pub struct Tally {
    streams: Vec<Stream>,
    transport_cc: Option<u8>,
    arrivals: TransportCc,
    next_report: Instant,
    counts: Counts,
    first: Option<Instant>,
}

struct Stream {
    ssrc: u32,
    rtx_ssrc: Option<u32>,
    sequences: SequenceUnwrapper,
    nack: NackGenerator,
    reception: Reception,
    gaps: u64,
    filled: u64,
    run: Option<Run>,
}

/// Packets of one sender's stream, one behind the other, as long as the slot shows it.
struct Run {
    stream: u32,
    first: u32,
    last: u32,
    came: u64,
    heard: Duration,
}

impl Tally {
    /// Nothing has come.
    pub fn new(slots: &[Slot], transport_cc: Option<u8>, now: Instant) -> Self {
        let stream = |slot: &Slot| Stream {
            ssrc: slot.ssrc,
            rtx_ssrc: slot.rtx_ssrc,
            sequences: SequenceUnwrapper::new(),
            nack: NackGenerator::new(),
            reception: Reception::new(if slot.kind == Kind::Audio { 48_000 } else { 90_000 }),
            gaps: 0,
            filled: 0,
            run: None,
        };
        Self {
            streams: slots.iter().map(stream).collect(),
            transport_cc,
            arrivals: TransportCc::new(),
            next_report: now + REPORT_EVERY,
            counts: Counts::default(),
            first: None,
        }
    }

    /// Takes a packet in clear. How long it was under way goes to `latency`; times in stamps count from `epoch`.
    pub fn take(&mut self, now: Instant, epoch: Instant, packet: &[u8], latency: &mut Histogram) {
        let Some(header) = Header::parse(packet) else { return };
        let element = self.transport_cc.and_then(|id| header.extension(packet, id));
        if let Some(&[high, low]) = element {
            self.arrivals.arrived(now, u16::from_be_bytes([high, low]));
        }
        let is_of =
            |stream: &Stream| stream.ssrc == header.ssrc || stream.rtx_ssrc == Some(header.ssrc);
        let Some(stream) = self.streams.iter_mut().find(|stream| is_of(stream)) else { return };
        let payload = header.payload(packet);
        let (sequence, payload) = if stream.ssrc == header.ssrc {
            (header.sequence, payload)
        } else {
            // A repair begins with the number of what it repairs; padding has none.
            let Some((original, rest)) = payload.split_first_chunk::<2>() else { return };
            (u16::from_be_bytes(*original), rest)
        };
        let is_repair = stream.ssrc != header.ssrc;
        if !stream.is_new(now, sequence, header.timestamp, is_repair) {
            self.counts.doubled += 1;
            return;
        }
        self.first.get_or_insert(now);
        self.counts.received += 1;
        self.counts.bytes += packet.len() as u64;
        if let Some(stamp) = Stamp::read(payload) {
            let heard = now.saturating_duration_since(epoch);
            latency.record(heard.saturating_sub(stamp.sent));
            stream.note(stamp, heard, &mut self.counts);
        }
    }

    /// Hands over the feedback that is due, compound by compound.
    pub fn feedback(&mut self, now: Instant, mut send: impl FnMut(&mut Vec<u8>)) {
        let media_ssrc = self.streams.first().map_or(0, |stream| stream.ssrc);
        let mut compound = Vec::new();
        while self.arrivals.poll(now, REPORTER, media_ssrc, &mut compound) {
            send(&mut compound);
            compound.clear();
        }
        for stream in self.streams.iter_mut().filter(|stream| stream.nack.missing() > 0) {
            let mut again = Vec::new();
            stream.nack.poll(now, &mut again);
            rtcp::write_receiver_report(&mut compound, REPORTER, &[]);
            let empty = compound.len();
            if !again.is_empty() && stream.rtx_ssrc.is_some() {
                rtcp::write_nack(&mut compound, REPORTER, stream.ssrc, &again);
            }
            if stream.nack.take_keyframe_needed() && stream.rtx_ssrc.is_some() {
                rtcp::write_pli(&mut compound, REPORTER, stream.ssrc);
            }
            if compound.len() > empty {
                send(&mut compound);
            }
            compound.clear();
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_EVERY;
            let blocks = self.streams.iter_mut().filter_map(|s| s.reception.report(now, s.ssrc));
            let blocks: Vec<ReportBlock> = blocks.take(MAX_BLOCKS).collect();
            rtcp::write_receiver_report(&mut compound, REPORTER, &blocks);
            send(&mut compound);
        }
    }

    /// A sender report, which reports refer to.
    pub fn sender_report(&mut self, now: Instant, ssrc: u32, ntp: u64) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.reception.sender_report(now, ntp);
        }
    }

    /// When the first packet came.
    pub fn first(&self) -> Option<Instant> {
        self.first
    }

    /// What was counted so far; what is missing now counts as lost.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        counts.lost = self.streams.iter().map(|stream| stream.gaps - stream.filled).sum();
        counts.repaired = self.streams.iter().map(|stream| stream.filled).sum();
        counts
    }

    /// What was counted in all, where `sent` knows what each stream's sender has sent until then.
    pub fn finish(mut self, sent: impl Fn(u32) -> Option<Sent>) -> Counts {
        let Self { streams, counts, .. } = &mut self;
        for run in streams.iter_mut().filter_map(|stream| stream.run.take()) {
            if let Some(sent) = sent(run.stream) {
                if run.heard + FRESH >= sent.at {
                    counts.expected += u64::from(sent.number.saturating_sub(run.last));
                } else {
                    counts.stalled += 1;
                }
            }
            run.close(counts);
        }
        self.counts()
    }
}

impl Stream {
    /// Notes a number; whether it is the first time.
    fn is_new(&mut self, now: Instant, sequence: u16, timestamp: u32, is_repair: bool) -> bool {
        let before = self.sequences.highest();
        let sequence = self.sequences.unwrap(sequence);
        let is_ahead = before.is_none_or(|before| sequence > before);
        if is_ahead {
            self.gaps += before.map_or(0, |before| sequence - before - 1);
            if !is_repair {
                self.reception.received(now, sequence, timestamp);
            }
            self.nack.received(now, sequence);
            return true;
        }
        if self.nack.received(now, sequence).is_none() {
            return false;
        }
        self.filled += 1;
        // Reports tell what the path loses: what was repaired is left out.
        if !is_repair {
            self.reception.received(now, sequence, timestamp);
        }
        true
    }

    fn note(&mut self, stamp: Stamp, heard: Duration, counts: &mut Counts) {
        match &mut self.run {
            Some(run) if run.stream == stamp.stream => {
                // What came late belongs to what was counted as expected already.
                if stamp.number >= run.first {
                    run.last = run.last.max(stamp.number);
                    run.came += 1;
                    run.heard = heard;
                }
            }
            run => {
                if let Some(before) = run.take() {
                    before.close(counts);
                }
                let Stamp { stream, number, .. } = stamp;
                *run = Some(Run { stream, first: number, last: number, came: 1, heard });
            }
        }
    }
}

impl Run {
    fn close(self, counts: &mut Counts) {
        counts.expected += u64::from(self.last - self.first) + 1;
        counts.delivered += self.came;
    }
}

/// Blocks that fit into one report.
const MAX_BLOCKS: usize = 31;

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH_MS: u64 = 1_000;

    fn slot() -> Slot {
        Slot {
            mid: "0".into(),
            kind: Kind::Video,
            ssrc: 100,
            rtx_ssrc: Some(200),
            payload_type: 96,
        }
    }

    struct Receiver {
        epoch: Instant,
        tally: Tally,
        latency: Histogram,
    }

    impl Receiver {
        fn new() -> Self {
            let epoch = Instant::now();
            let tally = Tally::new(&[slot()], None, epoch);
            Self { epoch, tally, latency: Histogram::default() }
        }

        /// A packet of a sender's stream in the slot, 5 ms under way.
        fn take(&mut self, sequence: u16, stream: u32, number: u32) {
            self.take_on(100, sequence, stream, number);
        }

        fn take_on(&mut self, ssrc: u32, sequence: u16, stream: u32, number: u32) {
            let sent = Duration::from_millis(EPOCH_MS + u64::from(number) * 10);
            let mut packet = vec![0x80, 96];
            let own = if ssrc == 100 { sequence } else { 1 };
            packet.extend(own.to_be_bytes());
            packet.extend(0u32.to_be_bytes());
            packet.extend(ssrc.to_be_bytes());
            if ssrc != 100 {
                packet.extend(sequence.to_be_bytes());
            }
            packet.resize(60, 0);
            Stamp { stream, number, sent }.write(&mut packet);
            let now = self.epoch + sent + Duration::from_millis(5);
            self.tally.take(now, self.epoch, &packet, &mut self.latency);
        }

        fn finish(self, last: u32) -> Counts {
            let at = Duration::from_millis(EPOCH_MS + u64::from(last) * 10);
            self.tally.finish(|_| Some(Sent { number: last, at }))
        }
    }

    #[test]
    fn everything_that_comes_is_delivered_and_its_time_known() {
        let mut receiver = Receiver::new();
        (0..100u16).for_each(|k| receiver.take(65_500u16.wrapping_add(k), 1, 1 + u32::from(k)));
        let latency = receiver.latency.percentile(0.5).expect("there is one");
        assert!(latency.abs_diff(Duration::from_millis(5)) < Duration::from_micros(400));
        let counts = receiver.finish(100);
        assert_eq!((counts.received, counts.expected, counts.delivered), (100, 100, 100));
        assert_eq!((counts.lost, counts.withheld(), counts.stalled), (0, 0, 0));
    }

    #[test]
    fn what_is_lost_is_told_from_what_was_not_sent() {
        let mut receiver = Receiver::new();
        receiver.take(1, 1, 1);
        receiver.take(3, 1, 3);
        // The server left out 4 to 9 and closed up its numbers.
        receiver.take(4, 1, 10);
        let counts = receiver.finish(10);
        assert_eq!((counts.expected, counts.delivered), (10, 3));
        assert_eq!((counts.lost, counts.withheld()), (1, 6));
    }

    #[test]
    fn a_repair_fills_the_gap_and_a_second_one_is_a_double() {
        let mut receiver = Receiver::new();
        receiver.take(1, 1, 1);
        receiver.take(3, 1, 3);
        receiver.take_on(200, 2, 1, 2);
        receiver.take_on(200, 2, 1, 2);
        let counts = receiver.finish(3);
        assert_eq!((counts.received, counts.repaired, counts.doubled, counts.lost), (3, 1, 1, 0));
        assert_eq!((counts.expected, counts.delivered), (3, 3));
    }

    #[test]
    fn another_stream_in_the_slot_ends_the_one_before() {
        let mut receiver = Receiver::new();
        receiver.take(1, 1, 1);
        receiver.take(2, 2, 40);
        receiver.take(3, 2, 41);
        let counts = receiver.finish(41);
        assert_eq!((counts.expected, counts.delivered, counts.stalled), (3, 3, 0));
    }

    #[test]
    fn the_end_of_a_stream_counts_where_it_was_shown_until_then() {
        let mut receiver = Receiver::new();
        receiver.take(1, 1, 1);
        let counts = receiver.finish(5);
        assert_eq!((counts.expected, counts.delivered, counts.stalled), (5, 1, 0));
        let mut receiver = Receiver::new();
        receiver.take(1, 1, 1);
        let counts = receiver.finish(500);
        assert_eq!((counts.expected, counts.delivered, counts.stalled), (1, 1, 1));
    }

    #[test]
    fn what_is_missing_is_asked_for_and_reports_are_made() {
        let mut receiver = Receiver::new();
        receiver.take(1, 1, 1);
        receiver.take(3, 1, 3);
        let mut asked = Vec::new();
        let mut reports = 0;
        let now = receiver.epoch + Duration::from_secs(2);
        receiver.tally.feedback(now, |compound| {
            rtcp::parse(compound, |incoming| match incoming {
                rtcp::Incoming::Nack { sequences, .. } => asked.extend(sequences),
                rtcp::Incoming::ReceiverReport { blocks, .. } => reports += blocks.len(),
                _ => {}
            });
        });
        assert_eq!((asked, reports), (vec![2], 1));
    }
}
