//! How much may be sent to one receiver: the send-side bandwidth estimate, and its pacer.
//!
//! It sees sizes, sequence numbers and times only, and must never know about sockets, rooms, slots
//! or layers.
//!
//! Each packet leaves with a transport-wide sequence number, and the receiver tells when it arrived.
//! From that come four opinions:
//!
//! - **Delay** (`trend`, `rate`): packets that take longer and longer stand in a queue that
//!   grows. Then the rate falls to 85 % of what arrives, else it rises, by up to 8 % a second. A
//!   queue that stands although it does not grow is drained at half of what arrives (`queue`).
//! - **Loss** (`loss`): more than 10 % lost lowers the rate, once; if that does not help, the link
//!   loses by itself and is not held responsible for it.
//! - **Probes** (`probe`): layers are discrete, so what is sent lies mostly far below what could
//!   be, and only trying tells. A probe sends faster for 20 to 100 ms, with padding beside
//!   media, and compares how fast it left with how fast it arrived. It is what makes the estimate
//!   rise in steps; it lowers it only where it had grown beyond what was ever sent.
//! - **Silence**: packets leave and nothing is heard. The rate halves five times a second, and
//!   probing begins anew when the receiver is back.
//!
//! The estimate is the least that delay and loss allow, never more than a REMB. Receivers without
//! transport-cc are served by their REMB, which padding makes them raise (`coaxing`), or, without that
//! too, by the losses in their reports.
//!
//! The algorithm follows draft-ietf-rmcat-gcc-02 and what became of it in browsers (a line in place
//! of the Kalman filter, probing). Not from there: a queue has to be there before a trend counts
//! (else jitter does), standing queues are drained, probes are judged by lines with their error, and
//! what probes find is not used to take back at once what overuse took away (else of two flows on one
//! link the larger starves the other).
//!
//! # What was measured
//!
//! In virtual time (`tests/links.rs`), ten seeds each: a sender that wants 4 Mbit/s, looked after
//! each 10 ms as the server does, over a round trip of 60 ms.
//!
//! | link | result |
//! |---|---|
//! | 20 Mbit/s | 4 Mbit/s known after 0.35 s |
//! | 6 Mbit/s, 30 ms jitter | after 0.4 to 1.3 s, with reordering too, never below 3.8 Mbit/s then |
//! | 5 % loss, 30 ms jitter, 120 ms round trip | after 0.6 to 1.4 s, never below 4.6 Mbit/s then |
//! | jitter of 10 to 40 ms that reorders, also of feedback; layers far below the link, or all of 3 Mbit/s | never below 90 % of the same without jitter, 24 seeds |
//! | 1 Mbit/s | mean 93 %, between 83 and 109 %; 95 % of packets wait less than 115 ms |
//! | 2 Mbit/s, cut to 0.4 and back | below 450 kbit/s after 0.5 s, above 1.8 Mbit/s after 0.4 to 4.5 s |
//! | 2 Mbit/s with 5, 15, 30 % random loss | mean 90, 61, 64 % of the link at worst, 91, 83, 70 % mostly |
//! | 2 Mbit/s for two | the smaller has 37 to 47 % of the link, both together 94 % |
//! | 20 s blackout | at the floor after 2.2 s, 4 Mbit/s again 0.8 s after its end |
//!
//! A packet costs 30 to 50 ns where it leaves and 60 to 80 ns where its feedback is taken in; an estimator
//! takes 1.1 KiB, and 2 KiB more from the first packet on (up to 32 KiB where thousands of packets
//! are on their way).

mod arrival;
mod bitrate;
mod coaxing;
mod groups;
mod history;
mod lines;
mod loss;
mod pacer;
mod probe;
mod queue;
mod rate;
mod reports;
mod throughput;
mod trend;

pub use bitrate::Bitrate;
pub use pacer::Pacer;
pub use trend::DelayState;

use crate::twcc::Feedback;
use arrival::ArrivalClock;
use coaxing::Coaxing;
use groups::Groups;
use history::History;
use loss::Loss;
use probe::{Circumstances, NEWS, Probing, Verdict};
use queue::{Queue, Quickest};
use rate::{Observed, Rate};
use reports::{Remb, Reports};
use std::time::{Duration, Instant};
use throughput::Throughput;
use trend::Trend;

/// What sealing adds to a packet on its way.
pub const SEAL_BYTES: usize = 16;

/// The bandwidth estimate for one receiver.
#[derive(Debug)]
pub struct Estimator {
    /// Zero of all times inside.
    epoch: Option<Instant>,
    history: History,
    /// One past the last packet that the receiver told of.
    told: u64,
    arrivals: ArrivalClock,
    groups: Groups,
    trend: Trend,
    delay: DelayState,
    queue: Queue,
    rate: Rate,
    loss: Loss,
    probing: Probing,
    coaxing: Coaxing,
    sent: Throughput,
    acked: Throughput,
    rtt_us: Option<i64>,
    remb: Option<Remb>,
    reports: Reports,
    /// Where from the receiver is heard.
    source: Source,
    silence: Silence,
    estimate: Bitrate,
    reason: Reason,
}

/// Where the estimate stands, for those who watch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BweStats {
    /// What may be sent in all.
    pub estimate: Bitrate,
    /// What arrives of what is sent; what is sent, where no arrivals are told.
    pub throughput: Bitrate,
    /// Share of packets lost of late, 0 to 1.
    pub loss: f32,
    /// The part of it that the link is believed to lose whatever is sent.
    pub inherent_loss: f32,
    /// From sending to the feedback that tells of it.
    pub rtt: Option<Duration>,
    /// What the delay says.
    pub delay: DelayState,
    /// How long packets wait in queues on the way.
    pub queued: Duration,
    /// Why the estimate changed last.
    pub reason: Reason,
}

/// Why the estimate changed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// It did not yet.
    #[default]
    Start,
    /// All was well, so it grew.
    Growth,
    /// The queue on the way grew.
    Delay,
    /// A queue stood there and is drained.
    Queue,
    /// Packets were lost.
    Loss,
    /// A probe measured it.
    Probe,
    /// Nothing was heard of the receiver.
    Silence,
    /// The receiver said so.
    Remb,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Source {
    /// Nothing heard yet.
    #[default]
    Nothing,
    /// Receiver reports or REMB.
    Reports,
    /// Transport-cc.
    Feedback,
}

#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    /// When the rate is halved, unless something is heard before.
    at_us: Option<i64>,
    /// The rate was halved already.
    is_noticed: bool,
}

impl Estimator {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Estimator {
            epoch: None,
            history: History::default(),
            told: 0,
            arrivals: ArrivalClock::default(),
            groups: Groups::default(),
            trend: Trend::new(),
            delay: DelayState::Normal,
            queue: Queue::default(),
            rate: Rate::new(START.as_f64()),
            loss: Loss::default(),
            probing: Probing::new(),
            coaxing: Coaxing::default(),
            sent: Throughput::default(),
            acked: Throughput::default(),
            rtt_us: None,
            remb: None,
            reports: Reports::default(),
            source: Source::Nothing,
            silence: Silence::default(),
            estimate: START,
            reason: Reason::Start,
        }
    }

    /// Notes a packet of `bytes`, the whole datagram, that leaves now; returns its transport-wide
    /// sequence number. Padding that [`poll_padding`](Self::poll_padding) asked for is a packet like any other.
    pub fn sent(&mut self, now: Instant, bytes: usize) -> u16 {
        let now_us = self.now_us(now);
        let number = self.history.push(now_us, bytes, self.source == Source::Feedback);
        self.probing.sent(number, bytes);
        self.left(now_us, bytes);
        number as u16
    }

    /// Notes a packet that leaves without a number. Of receivers that tell of numbers it is not taken notice.
    pub fn sent_unnumbered(&mut self, now: Instant, bytes: usize) {
        let now_us = self.now_us(now);
        self.left(now_us, bytes);
    }

    fn left(&mut self, now_us: i64, bytes: usize) {
        if self.source != Source::Feedback {
            self.sent.add(now_us, bytes);
            self.coaxing.sent(bytes);
        }
        if self.silence.at_us.is_none() && self.is_unanswered() {
            self.silence.at_us = Some(now_us + self.patience_us());
        }
    }

    /// The time as packets tell it to receivers that estimate their link themselves: 24 bits, of which 18 are
    /// behind the point, in seconds.
    pub fn send_time(&mut self, now: Instant) -> u32 {
        let now_us = self.now_us(now).unsigned_abs();
        ((now_us << 18) / 1_000_000) as u32 & 0x00ff_ffff
    }

    /// Takes in when packets arrived.
    pub fn feedback(&mut self, now: Instant, feedback: &Feedback) {
        let now_us = self.now_us(now);
        let told = self.arrived(now_us, feedback);
        if told.arrived == 0 && told.lost == 0 {
            return;
        }
        self.loss.count(now_us, told.arrived, told.lost, told.recovered);
        if told.arrived > 0 {
            self.heard(now_us, Source::Feedback);
        }
        if let Some(sample_us) = told.rtt_us {
            self.rtt_us = Some(self.rtt_us.map_or(sample_us, |rtt| rtt + (sample_us - rtt) / 8));
        }

        let acked_bps = self.acked.bits_per_second();
        if let (Some(quickest), Some(acked_bps)) = (told.quickest, acked_bps) {
            self.queue.update(now_us, quickest, acked_bps, self.estimate.as_f64());
        }
        // In noise there are trends too; a queue that grows is also long.
        let noise_us = (1000.0 * JITTERS * self.trend.jitter_ms()) as i64;
        let is_queued = self.queue.standing_us() > MIN_QUEUE_US + noise_us;
        let has_fired = self.trend.take_fired() && is_queued;
        self.delay = match self.trend.state() {
            DelayState::Overuse if !is_queued => DelayState::Normal,
            state => state,
        };
        let observed = Observed {
            state: self.delay,
            has_fired,
            is_clear: self.queue.is_clear(),
            acked_bps,
            rtt_us: self.rtt_us(),
        };
        let is_overused = self.rate.update(now_us, observed);
        let is_lossy = self.judge_loss(now_us, acked_bps);
        if is_overused {
            self.settle(now_us, Reason::Delay);
        } else if is_lossy {
            self.settle(now_us, Reason::Loss);
        } else if self.queue.cap_bps().is_some() {
            self.settle(now_us, Reason::Queue);
        } else {
            self.settle(now_us, Reason::Growth);
        }
        self.judge_probe(now_us);
    }

    /// What may be sent in all.
    pub fn estimate(&self) -> Bitrate {
        self.estimate
    }

    /// From sending to the feedback that tells of it; nothing before the first.
    pub fn round_trip(&self) -> Option<Duration> {
        self.rtt_us.map(|rtt_us| Duration::from_micros(rtt_us.unsigned_abs()))
    }

    /// Share of packets lost of late, 0 to 1.
    pub fn loss(&self) -> f64 {
        self.loss.fraction()
    }

    /// Whether the estimate is what the link could not carry more than, and not what was never tried.
    pub fn is_congested(&self) -> bool {
        matches!(self.reason, Reason::Delay | Reason::Queue | Reason::Loss | Reason::Silence)
    }

    /// What would be sent if the link allowed it. Probing goes up to that; at zero there is none.
    pub fn set_wanted(&mut self, now: Instant, wanted: Bitrate) {
        let now_us = self.now_us(now);
        self.probing.set_wanted(wanted.min(CEILING).as_f64());
        self.coaxing.set_wanted(wanted.min(CEILING).as_f64());
        self.start_probe(now_us);
    }

    /// How many bytes of padding should leave now, in packets of any size (about 250 bytes measure
    /// best). Media that leaves while a probe runs counts too, so there is less to pad then.
    pub fn poll_padding(&mut self, now: Instant) -> Option<usize> {
        let now_us = self.now_us(now);
        if self.may_coax(now_us) {
            return self.coaxing.padding(now_us, self.estimate.as_f64());
        }
        self.start_probe(now_us);
        self.probing.padding(now_us)
    }

    /// The padding that [`poll_padding`](Self::poll_padding) asked for cannot be sent: there is nothing yet that it
    /// could go beside.
    pub fn cannot_pad(&mut self, now: Instant) {
        let now_us = self.now_us(now);
        self.probing.cannot_pad(now_us);
        self.coaxing.cannot_pad(now_us);
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_padding`](Self::poll_padding) have
    /// something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let epoch = self.epoch?;
        let probe_us = if self.probing.is_running() || self.may_probe() {
            self.probing.next_us(self.estimate.as_f64())
        } else {
            None
        };
        let coaxing_us = (self.source == Source::Reports && self.remb.is_some())
            .then(|| self.coaxing.next_us(self.estimate.as_f64()))
            .flatten();
        let next_us = [self.silence.at_us, probe_us, coaxing_us].into_iter().flatten().min()?;
        Some(epoch + Duration::from_micros(u64::try_from(next_us).unwrap_or(0)))
    }

    /// Notices what did not happen.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now_us = self.now_us(now);
        if self.silence.at_us.is_some_and(|at_us| at_us <= now_us) {
            self.halve(now_us);
        }
        if self.remb_bps(now_us).is_none() {
            self.remb = None;
        }
        self.judge_probe(now_us);
    }

    /// Where the estimate stands.
    pub fn stats(&self) -> BweStats {
        let throughput = match self.source {
            Source::Feedback => &self.acked,
            Source::Nothing | Source::Reports => &self.sent,
        };
        BweStats {
            estimate: self.estimate,
            throughput: Bitrate::from_f64(throughput.bits_per_second().unwrap_or(0.0)),
            loss: self.loss.fraction() as f32,
            inherent_loss: self.loss.inherent() as f32,
            rtt: self.round_trip(),
            delay: self.delay,
            queued: Duration::from_micros(self.queue.standing_us().unsigned_abs()),
            reason: self.reason,
        }
    }

    fn now_us(&mut self, now: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(now);
        let since = now.saturating_duration_since(epoch);
        // As `as_micros`, but without 128 bits on the packet path.
        since.as_secs() as i64 * 1_000_000 + i64::from(since.subsec_micros())
    }

    /// Matches arrivals with what was sent.
    fn arrived(&mut self, now_us: i64, feedback: &Feedback) -> Told {
        let mut told = Told::default();
        for arrival in &feedback.arrivals {
            let Some(number) = self.history.number(arrival.sequence) else { continue };
            let Some((sent, was_missing)) = self.history.received(number, now_us) else { continue };
            told.arrived += 1;
            told.recovered += u32::from(was_missing);
            self.told = self.told.max(number + 1);
            let rtt_us = now_us - sent.at_us;
            told.rtt_us = Some(told.rtt_us.map_or(rtt_us, |least| rtt_us.min(least)));

            let Some(arrived_us) = self.arrivals.unwrap(now_us, arrival.ticks) else {
                self.begin_anew();
                continue;
            };
            let on_the_way_us = arrived_us - sent.at_us;
            if told.quickest.is_none_or(|quickest| on_the_way_us < quickest.on_the_way_us) {
                told.quickest = Some(Quickest { sent_us: sent.at_us, on_the_way_us });
            }
            self.acked.add(arrived_us, sent.bytes);
            if self.probing.arrived(number, sent, arrived_us, was_missing) {
                // A probe makes the queue that it looks for.
                self.groups.restart();
            } else if let Some(variation) = self.groups.add(sent.at_us, arrived_us) {
                self.trend.add(variation);
            }
        }
        if let Some(last) = feedback.count.checked_sub(1)
            && let Some(last) = self.history.number(feedback.base.wrapping_add(last))
        {
            let first = (last + 1).saturating_sub(u64::from(feedback.count));
            self.history.missing(first, last + 1, |number| {
                told.lost += 1;
                self.probing.missing(number);
            });
            self.told = self.told.max(last + 1);
        }
        told
    }

    /// What was learnt from arrival times is worth nothing any more.
    fn begin_anew(&mut self) {
        self.groups.restart();
        self.trend.restart();
        self.delay = DelayState::Normal;
        self.queue.restart();
        self.acked = Throughput::default();
    }

    fn heard(&mut self, now_us: i64, source: Source) {
        self.source = source;
        if std::mem::take(&mut self.silence.is_noticed) {
            self.begin_anew();
            self.rate.forget_capacity();
            self.loss = Loss::default();
            self.probing.restart(now_us);
        }
        self.silence.at_us = self.is_unanswered().then(|| now_us + self.patience_us());
    }

    /// Whether enough is on the way that silence would mean something.
    fn is_unanswered(&self) -> bool {
        match self.source {
            Source::Nothing => false,
            Source::Reports => true,
            Source::Feedback => self.history.next() - self.told >= UNANSWERED_PACKETS,
        }
    }

    fn patience_us(&self) -> i64 {
        match self.source {
            Source::Feedback => (PATIENCE_US + 2 * self.rtt_us()).min(MAX_PATIENCE_US),
            Source::Nothing | Source::Reports => REPORTS_PATIENCE_US,
        }
    }

    fn halve(&mut self, now_us: i64) {
        self.silence = Silence { at_us: Some(now_us + HALVING_US), is_noticed: true };
        if self.estimate == FLOOR {
            // Nothing more to do until more is sent or heard.
            self.silence.at_us = None;
        }
        self.rate.set(self.estimate.as_f64() / 2.0);
        self.settle(now_us, Reason::Silence);
    }

    fn judge_loss(&mut self, now_us: i64, acked_bps: Option<f64>) -> bool {
        let rate_bps = self.estimate.as_f64();
        let acked_bps = acked_bps.unwrap_or(rate_bps);
        let is_lowered = self.loss.update(now_us, self.rtt_us(), rate_bps, acked_bps);
        self.loss.release_above(1.2 * self.rate.bps());
        is_lowered
    }

    fn judge_probe(&mut self, now_us: i64) {
        let capacity_bps = self.rate.capacity_bps();
        let inherent_loss = self.loss.inherent();
        let Some(verdict) = self.probing.verdict(now_us, self.told, inherent_loss, capacity_bps)
        else {
            self.start_probe(now_us);
            return;
        };
        let estimate_bps = self.estimate.as_f64();
        let is_news = |bps: f64| capacity_bps.is_none_or(|known| bps >= NEWS * known);
        match verdict {
            Verdict::Carried(bps) => {
                if bps > self.rate.bps() {
                    self.rate.forget_capacity();
                }
                self.raise(now_us, bps);
            }
            Verdict::Limited(bps) | Verdict::Unsure(bps) => {
                self.rate.learn_capacity(bps);
                if is_news(PROBE_KEPT * bps) {
                    self.raise(now_us, PROBE_KEPT * bps);
                }
            }
        }
        if let Verdict::Limited(bps) = verdict
            && bps < estimate_bps
        {
            // What was never tried was too optimistic. What arrives now is no part of that.
            let acked_bps = self.acked.bits_per_second().unwrap_or(estimate_bps);
            self.rate.set(bps.max(ARRIVES * acked_bps).min(self.rate.bps()));
            self.settle(now_us, Reason::Probe);
        }
        self.start_probe(now_us);
    }

    fn raise(&mut self, now_us: i64, bps: f64) {
        if bps > self.estimate.as_f64() {
            self.rate.set(bps.max(self.rate.bps()));
            self.loss.lift_over(bps);
            self.probing.raised(now_us, bps);
            self.settle(now_us, Reason::Probe);
        } else {
            self.probing.pause(now_us);
        }
    }

    fn start_probe(&mut self, now_us: i64) {
        let circumstances = Circumstances {
            estimate_bps: self.estimate.as_f64(),
            capacity_bps: self.rate.capacity_bps(),
            is_calm: self.may_probe(),
            jitter_ms: self.trend.jitter_ms(),
            rtt_us: self.rtt_us(),
        };
        self.probing.start_if_due(now_us, circumstances);
    }

    fn may_probe(&self) -> bool {
        let is_answered = match self.source {
            Source::Feedback => !self.silence.is_noticed,
            // One attempt with the first packets; whether it is answered will be seen.
            Source::Nothing => self.history.next() > 0 && self.probing.is_fresh(),
            Source::Reports => false,
        };
        is_answered && self.delay == DelayState::Normal && self.queue.is_empty()
    }

    /// Makes the estimate out of all opinions.
    fn settle(&mut self, now_us: i64, reason: Reason) {
        let remb_bps = self.remb_bps(now_us);
        let caps = [self.loss.cap_bps(), self.queue.cap_bps(), remb_bps];
        let bps = caps.into_iter().flatten().fold(self.rate.bps(), f64::min);
        let estimate = Bitrate::from_f64(bps).clamp(FLOOR, CEILING);
        if estimate == self.estimate {
            return;
        }
        if estimate < self.estimate {
            self.probing.lowered(now_us, estimate.as_f64());
        }
        (self.estimate, self.reason) = (estimate, reason);
    }

    fn rtt_us(&self) -> i64 {
        self.rtt_us.unwrap_or(START_RTT_US)
    }
}

impl Default for Estimator {
    fn default() -> Self {
        Self::new()
    }
}

/// What one feedback told that was not known.
#[derive(Debug, Default)]
struct Told {
    arrived: u32,
    lost: u32,
    /// Of those that arrived, how many had been called lost.
    recovered: u32,
    rtt_us: Option<i64>,
    quickest: Option<Quickest>,
}

/// Before anything is known. Higher floods a bad link at once, lower shows everybody the worst
/// picture for longer, although probes come soon.
pub const START: Bitrate = Bitrate(400_000);

/// The estimate never falls below: this is one voice. Lower would not even carry that, higher would
/// keep a queue on the worst links.
pub const FLOOR: Bitrate = Bitrate(50_000);

/// The estimate never rises above. No meeting on a screen needs more, and what a lying receiver can
/// ask for ends here.
pub const CEILING: Bitrate = Bitrate(50_000_000);

/// A queue that lowers the rate is at least so long beyond some times the jitter. Longer notices
/// later, shorter takes noise for it.
const MIN_QUEUE_US: i64 = 10_000;
const JITTERS: f64 = 2.0;

const START_RTT_US: i64 = 100_000;

/// What a probe measured as the limit is not used up.
const PROBE_KEPT: f64 = 0.95;
/// A probe never takes away what arrives anyway.
const ARRIVES: f64 = 1.05;

/// With packets on their way, feedback has to come within this beyond two round trips. Longer floods
/// a dead link for longer, shorter takes each hiccup of a radio for death.
const PATIENCE_US: i64 = 600_000;
const MAX_PATIENCE_US: i64 = 2_000_000;
/// The same for reports, of which there is one each second or five.
const REPORTS_PATIENCE_US: i64 = 12_000_000;
/// Fewer packets may all have been lost.
const UNANSWERED_PACKETS: u64 = 5;
/// Between two halvings in silence.
const HALVING_US: i64 = 200_000;

#[cfg(test)]
mod tests;
