//! Publishers' clocks mapped to the server's.
//!
//! A publisher's sender reports tie the RTP timestamps of each stream to that publisher's own wall
//! clock. Here that clock is tied to the server's, once per publisher, so audio and video keep
//! their relation when they are forwarded in slots with timestamps of their own.

use std::time::{Duration, Instant};

/// The server's wall clock as NTP (32.32 bits of seconds since 1900), carried on by a monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    origin: Instant,
    origin_ntp: u64,
}

impl WallClock {
    /// `unix_nanos` is the wall clock at `origin`.
    pub fn new(origin: Instant, unix_nanos: u64) -> Self {
        let seconds = unix_nanos / NANOS + SECONDS_1900_TO_1970;
        WallClock {
            origin,
            origin_ntp: (seconds << 32).wrapping_add(ntp_units((unix_nanos % NANOS) as i64) as u64),
        }
    }

    /// NTP time at `now`.
    pub fn ntp(&self, now: Instant) -> u64 {
        self.origin_ntp.wrapping_add_signed(ntp_between(self.origin, now))
    }
}

/// The wall clock of one publishing participant, as seen from the server.
///
/// The difference of the clocks is taken from the report that was least delayed on its way. It
/// moves slowly, never in steps: two streams whose reports go out a second apart would otherwise be
/// torn apart by the step.
#[derive(Clone, Debug, Default)]
pub struct PublisherClock {
    offset: Option<Offset>,
}

#[derive(Clone, Debug)]
struct Offset {
    /// Server minus publisher, in NTP units.
    current: i64,
    /// Least difference seen in this window and the one before.
    least: [i64; 2],
    window_began: u64,
    observed: u64,
    late_in_a_row: u8,
}

impl PublisherClock {
    /// The clock of who publishes with the server's own.
    pub const SERVER: Self = Self {
        offset: Some(Offset {
            current: 0,
            least: [0; 2],
            window_began: 0,
            observed: 0,
            late_in_a_row: 0,
        }),
    };

    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a sender report of any of the publisher's streams: its NTP time and the server's at arrival.
    pub fn observe(&mut self, server_ntp: u64, publisher_ntp: u64) {
        let difference = server_ntp.wrapping_sub(publisher_ntp) as i64;
        let fresh = Offset {
            current: difference,
            least: [difference; 2],
            window_began: server_ntp,
            observed: server_ntp,
            late_in_a_row: 0,
        };
        let offset = self.offset.get_or_insert_with(|| fresh.clone());
        let later = difference.wrapping_sub(offset.current);
        if later < -STEP || later > STEP && offset.late_in_a_row == LATE_IN_A_ROW {
            // It came before it was sent, or one after the other is late: the publisher set its
            // clock. No relation from before holds.
            *offset = fresh;
        } else if later > STEP {
            offset.late_in_a_row += 1;
        } else {
            offset.follow(server_ntp, difference);
        }
    }

    /// A moment of the publisher's clock in the server's.
    pub fn to_server(&self, publisher_ntp: u64) -> Option<u64> {
        Some(publisher_ntp.wrapping_add_signed(self.offset.as_ref()?.current))
    }

    /// A moment of the server's clock in the publisher's.
    pub fn to_publisher(&self, server_ntp: u64) -> Option<u64> {
        Some(server_ntp.wrapping_sub(self.offset.as_ref()?.current as u64))
    }
}

impl Offset {
    /// Moves towards the least difference of the last one or two windows: a clock that drifts away
    /// is followed after that, one burst of delay is not.
    fn follow(&mut self, server_ntp: u64, difference: i64) {
        self.late_in_a_row = 0;
        if server_ntp.wrapping_sub(self.window_began) as i64 > WINDOW {
            self.least = [difference, self.least[0]];
            self.window_began = server_ntp;
        }
        self.least[0] = self.least[0].min(difference);
        let distance = self.least[0].min(self.least[1]).wrapping_sub(self.current);
        let elapsed = (server_ntp.wrapping_sub(self.observed) as i64).clamp(0, SECOND);
        let most = elapsed / SLEW_DIVISOR;
        self.current = self.current.wrapping_add(distance.clamp(-most, most));
        self.observed = server_ntp;
    }
}

/// The RTP clock of one incoming stream, tied to its publisher's wall clock by sender reports.
#[derive(Clone, Copy, Debug)]
pub struct StreamClock {
    rate: u32,
    report: Option<(u64, u32)>,
}

impl StreamClock {
    /// A stream with this RTP clock, before its first sender report.
    pub fn new(clock_rate: u32) -> Self {
        StreamClock { rate: clock_rate.max(1), report: None }
    }

    /// Notes a sender report. One without wall clock (NTP 0, which RFC 3550 allows) says nothing.
    pub fn sender_report(&mut self, ntp: u64, rtp: u32) {
        if ntp != 0 {
            self.report = Some((ntp, rtp));
        }
    }

    /// When, in the publisher's clock, the sample with this timestamp was taken.
    pub fn ntp_at(&self, timestamp: u32) -> Option<u64> {
        let (ntp, rtp) = self.report?;
        let ticks = i64::from(timestamp.wrapping_sub(rtp) as i32);
        Some(ntp.wrapping_add_signed((ticks << 32) / i64::from(self.rate)))
    }

    /// The timestamp of a sample taken at this moment of the publisher's clock.
    pub fn rtp_at(&self, publisher_ntp: u64) -> Option<u32> {
        let (ntp, rtp) = self.report?;
        let elapsed = publisher_ntp.wrapping_sub(ntp) as i64;
        Some(rtp.wrapping_add(ticks_in(elapsed, self.rate)))
    }
}

/// What a sender report for a subscriber says now of a stream: the server's time, and the stream's
/// timestamp (in the publisher's space, before the slot's shift) at that time. `None` before the
/// stream's first report.
pub fn sender_report_for(
    server_ntp: u64,
    publisher: &PublisherClock,
    stream: &StreamClock,
) -> Option<(u64, u32)> {
    let publisher_ntp = publisher.to_publisher(server_ntp)?;
    Some((server_ntp, stream.rtp_at(publisher_ntp)?))
}

/// When, in the server's clock, the sample of a packet that came just now was taken. `None` before
/// the stream's first report, and where the publisher's reports would have it come from the future or
/// the far past: whoever writes such reports must not move the timeline of a slot that others use.
pub fn captured_at(
    server_ntp: u64,
    timestamp: u32,
    publisher: &PublisherClock,
    stream: &StreamClock,
) -> Option<u64> {
    let captured = publisher.to_server(stream.ntp_at(timestamp)?)?;
    let age = server_ntp.wrapping_sub(captured) as i64;
    (-MAX_EARLY..=MAX_LATE).contains(&age).then_some(captured)
}

/// The timestamps of one slot: they run with the server's clock, whichever track it carries.
///
/// A track that comes into the slot is shifted so that its samples get the timestamp of the moment
/// they were taken. All sender reports of the slot then lie on one line, which receivers need:
/// Chromium fits a line through the last twenty of them.
#[derive(Clone, Copy, Debug)]
pub struct SlotClock {
    rate: u32,
    origin_ntp: u64,
    origin_rtp: u32,
}

impl SlotClock {
    /// A slot whose timestamp is `origin_rtp` at `origin_ntp` of the server's clock.
    pub fn new(clock_rate: u32, origin_ntp: u64, origin_rtp: u32) -> Self {
        SlotClock { rate: clock_rate.max(1), origin_ntp, origin_rtp }
    }

    /// The slot's timestamp at a moment of the server's clock.
    pub fn timestamp_at(&self, server_ntp: u64) -> u32 {
        let elapsed = server_ntp.wrapping_sub(self.origin_ntp) as i64;
        self.origin_rtp.wrapping_add(ticks_in(elapsed, self.rate))
    }
}

/// Time between two moments in NTP units; negative if `to` is the earlier.
fn ntp_between(from: Instant, to: Instant) -> i64 {
    match to.checked_duration_since(from) {
        Some(later) => ntp_duration(later),
        None => -ntp_duration(from.saturating_duration_since(to)),
    }
}

/// A duration in NTP units, at most 68 years.
pub fn ntp_duration(duration: Duration) -> i64 {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    (seconds << 32) + ntp_units(i64::from(duration.subsec_nanos()))
}

/// Nanoseconds below a second in NTP units.
fn ntp_units(nanos: i64) -> i64 {
    (nanos << 32) / NANOS as i64
}

/// Whole RTP ticks in a time given in NTP units, rounded to the nearest, wrapped like a timestamp.
fn ticks_in(ntp_units: i64, rate: u32) -> u32 {
    ((i128::from(ntp_units) * i128::from(rate) + (1 << 31)) >> 32) as u32
}

const NANOS: u64 = 1_000_000_000;
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;
/// One second in NTP units.
const SECOND: i64 = 1 << 32;

/// A packet may seem to come this long before it was captured: the offset of the clocks is as long
/// as the quickest report took, and packets can be quicker.
const MAX_EARLY: i64 = SECOND;

/// How long a packet may have been on its way. Chromium's pacer holds video up to two seconds.
const MAX_LATE: i64 = 5 * SECOND;

/// The offset moves by at most 1/2000 of the time: five times what bad clocks drift, and at most
/// half a millisecond between the reports of a publisher's audio and video. Faster tears them apart,
/// slower takes longer to forget a first report that was late.
const SLEW_DIVISOR: i64 = 2000;

/// How long the least difference is remembered, once or twice. Longer follows drift later, shorter
/// takes a period of congestion for a change of the clock.
const WINDOW: i64 = 30 * SECOND;

/// A difference beyond this is a clock that was set, not drift.
const STEP: i64 = SECOND;

/// Reports that may come later than `STEP` before it is the clock. Fewer would take a stall of the
/// network for one, more leaves the recorder wrong for longer.
const LATE_IN_A_ROW: u8 = 2;

#[cfg(test)]
mod tests;
