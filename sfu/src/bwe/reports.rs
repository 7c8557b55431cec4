//! Receivers that do not tell when packets arrive: what they say they can take (REMB), and the losses in their
//! reports.

use super::rate::Observed;
use super::{Bitrate, DelayState, Estimator, Reason, Source};
use std::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Remb {
    bps: f64,
    at_us: i64,
}

/// Fractions lost in the reports of the last moment, of all streams.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    sum: u32,
    count: u32,
    judged_us: i64,
}

impl Estimator {
    /// Takes in what the receiver says it can take. It is an upper bound, and the estimate itself for
    /// receivers that say nothing better.
    pub fn remb(&mut self, now: Instant, bitrate: Bitrate) {
        let now_us = self.now_us(now);
        self.remb = Some(Remb { bps: bitrate.as_f64(), at_us: now_us });
        if self.source != Source::Feedback {
            self.heard(now_us, Source::Reports);
            self.rate.set(bitrate.as_f64());
            self.loss.release_above(1.2 * self.rate.bps());
            self.coaxing.told(now_us, bitrate.as_f64());
            // Nobody would tell of its packets.
            self.probing.abandon(now_us);
        }
        self.settle(now_us, Reason::Remb);
    }

    /// Takes in the fraction lost, in 1/256, of one stream's receiver report. Only where there is no
    /// transport-cc does it count.
    pub fn reported_loss(&mut self, now: Instant, fraction: u8) {
        let now_us = self.now_us(now);
        if self.source == Source::Feedback {
            return;
        }
        self.heard(now_us, Source::Reports);
        self.reports.sum += u32::from(fraction);
        self.reports.count += 1;
        if now_us - self.reports.judged_us >= REPORTS_US {
            self.judge_reports(now_us);
        }
    }

    fn judge_reports(&mut self, now_us: i64) {
        let Reports { sum, count, .. } = self.reports;
        self.reports = Reports { sum: 0, count: 0, judged_us: now_us };
        let fraction = f64::from(sum) / f64::from(count.max(1)) / 256.0;
        self.sent.advance_to(now_us);
        let sent_bps = self.sent.bits_per_second().unwrap_or(0.0);
        let rate_bps = self.estimate.as_f64();
        let acked_bps = sent_bps.max(0.5 * rate_bps) * (1.0 - fraction);
        let is_lowered = self.loss.judge(
            now_us,
            REPORTS_RTT_US,
            fraction,
            REPORTED_PACKETS,
            rate_bps,
            acked_bps,
        );
        if is_lowered {
            self.settle(now_us, Reason::Loss);
        } else if self.remb.is_none() {
            let observed = Observed {
                state: DelayState::Normal,
                has_fired: false,
                is_clear: true,
                acked_bps: Some(sent_bps),
                rtt_us: REPORTS_RTT_US,
            };
            self.rate.update(now_us, observed);
            self.loss.release_above(1.2 * self.rate.bps());
            self.settle(now_us, Reason::Growth);
        }
    }

    /// Whether the receiver says what it can take, and nothing better.
    pub(super) fn may_coax(&self, now_us: i64) -> bool {
        self.source == Source::Reports && self.remb_bps(now_us).is_some()
    }

    /// What the receiver has said of late that it can take.
    pub(super) fn remb_bps(&self, now_us: i64) -> Option<f64> {
        self.remb.filter(|remb| now_us - remb.at_us < REMB_US).map(|remb| remb.bps)
    }
}

/// A REMB holds this long; receivers repeat it each second.
const REMB_US: i64 = 5_000_000;

/// Reports are judged no more often: those of many streams come together.
const REPORTS_US: i64 = 500_000;
const REPORTS_RTT_US: i64 = 500_000;
/// What a report is taken to speak of.
const REPORTED_PACKETS: u32 = 60;
