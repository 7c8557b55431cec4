//! The rate that losses allow.
//!
//! A full queue drops packets, and so does bad radio. Only the first kind becomes less when less
//! is sent. So the first answer to heavy loss is one decrease, and the loss that follows it tells:
//! if it is gone, the decrease was right; if it is not, this link loses that much by itself, the
//! decrease is taken back and the link is judged by what it loses beyond that.

/// Limits the rate while packets are lost because too many are sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss {
    arrived: u32,
    lost: u32,
    /// Called missing by the newest feedback. Those that others have overtaken are in the next.
    doubtful: u32,
    window_since_us: Option<i64>,
    /// Of the last window.
    fraction: f64,
    /// What this link loses whatever is sent.
    inherent: f64,
    cap_bps: Option<f64>,
    trial: Option<Trial>,
    updated_us: i64,
}

/// A decrease whose effect is not seen yet.
#[derive(Clone, Copy, Debug)]
struct Trial {
    loss: f64,
    cap_before_bps: Option<f64>,
    /// Packets told of from then on were sent at the lower rate.
    effective_us: i64,
}

impl Loss {
    /// Counts packets that were told of. `recovered` of them had been called lost before.
    pub fn count(&mut self, now_us: i64, arrived: u32, lost: u32, recovered: u32) {
        self.window_since_us.get_or_insert(now_us);
        self.arrived = self.arrived.saturating_add(arrived);
        let overtaken = recovered.min(self.doubtful);
        let sure = std::mem::replace(&mut self.doubtful, lost) - overtaken;
        self.lost = self.lost.saturating_add(sure).saturating_sub(recovered - overtaken);
    }

    /// Judges what was counted once that is enough; `true` if the limit went down.
    /// `rate_bps` is what may be sent now, `acked_bps` what arrives of it.
    pub fn update(&mut self, now_us: i64, rtt_us: i64, rate_bps: f64, acked_bps: f64) -> bool {
        let Some(since_us) = self.window_since_us else { return false };
        let packets = self.arrived + self.lost;
        let age_us = now_us - since_us;
        let is_enough =
            packets >= MANY && age_us >= SHORT_US || packets >= FEW && age_us >= LONG_US;
        if !is_enough {
            return false;
        }
        let fraction = f64::from(self.lost) / f64::from(packets);
        (self.arrived, self.lost, self.window_since_us) = (0, 0, None);
        self.judge(now_us, rtt_us, fraction, packets, rate_bps, acked_bps)
    }

    /// Judges a fraction that the receiver counted itself.
    pub fn judge(
        &mut self,
        now_us: i64,
        rtt_us: i64,
        fraction: f64,
        packets: u32,
        rate_bps: f64,
        acked_bps: f64,
    ) -> bool {
        self.fraction = fraction;
        if let Some(trial) = self.trial {
            if now_us < trial.effective_us {
                return false;
            }
            self.trial = None;
            if fraction > SAME * trial.loss {
                self.inherent = self.inherent.max(fraction.min(trial.loss)).min(MAX_INHERENT);
                self.cap_bps = trial.cap_before_bps;
            }
        }
        self.learn(fraction);
        let since_s = ((now_us - self.updated_us) as f64 / 1e6).clamp(0.0, 1.0);
        self.updated_us = now_us;

        let excess = ((fraction - self.inherent) / (1.0 - self.inherent)).max(0.0);
        // So much a link that loses by itself strays by chance.
        let itself = self.inherent.max(HARMLESS);
        let chance = (itself * (1.0 - itself) / f64::from(packets.max(1))).sqrt();
        if excess > HEAVY + chance {
            let cap_before_bps = self.cap_bps;
            self.cap_bps = Some((KEPT * acked_bps / (1.0 - self.inherent)).min(rate_bps));
            let effective_us = now_us + rtt_us + FEEDBACK_US + SHORT_US;
            self.trial = Some(Trial { loss: fraction, cap_before_bps, effective_us });
            return true;
        }
        if excess < LIGHT + chance
            && let Some(cap) = &mut self.cap_bps
        {
            *cap *= INCREASE_PER_SECOND.powf(since_s);
        }
        false
    }

    /// The limit, if losses set one.
    pub fn cap_bps(&self) -> Option<f64> {
        self.cap_bps
    }

    /// Lifts the limit where it no longer limits, or where more was measured to arrive.
    pub fn lift_over(&mut self, bps: f64) {
        if self.trial.is_none() && self.cap_bps.is_some_and(|cap| cap < bps) {
            self.cap_bps = Some(bps);
        }
    }

    /// Drops a limit that is far above what the delay allows.
    pub fn release_above(&mut self, bps: f64) {
        if self.trial.is_none() && self.cap_bps.is_some_and(|cap| cap > bps) {
            self.cap_bps = None;
        }
    }

    /// Share of packets lost of late.
    pub fn fraction(&self) -> f64 {
        self.fraction
    }

    /// What this link loses whatever is sent.
    pub fn inherent(&self) -> f64 {
        self.inherent
    }

    fn learn(&mut self, fraction: f64) {
        if fraction < self.inherent {
            self.inherent += 0.3 * (fraction - self.inherent);
        } else if fraction <= HARMLESS {
            self.inherent += 0.05 * (fraction - self.inherent);
        }
    }
}

/// Loss beyond the inherent one that lowers the rate, and below which it may rise.
const HEAVY: f64 = 0.10;
const LIGHT: f64 = 0.02;

/// Loss that retransmission makes good; it is taken for inherent without a trial.
const HARMLESS: f64 = 0.05;

/// What of the arriving rate is kept on heavy loss.
const KEPT: f64 = 0.9;

/// A decrease that leaves more than this of the loss did not help.
const SAME: f64 = 0.65;

/// A link that loses more by itself is always taken for overused. Higher would take a flooded link
/// for a bad one, lower would starve people on terrible radio.
const MAX_INHERENT: f64 = 0.4;

const INCREASE_PER_SECOND: f64 = 1.08;

/// A window is this many packets over at least this time. Fewer or shorter would judge chance and
/// single bursts, more or longer would react late.
const MANY: u32 = 60;
const SHORT_US: i64 = 250_000;
/// Or so many over so long, where little is sent.
const FEW: u32 = 20;
const LONG_US: i64 = 1_000_000;

/// Between two feedbacks, at most: what is missing is doubtful for so long.
const FEEDBACK_US: i64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// 99 packets each 300 ms, told of by three feedbacks; the loss is what `lossy` says of the rate sent.
    fn run(loss: &mut Loss, windows: std::ops::Range<i64>, lossy: impl Fn(f64) -> f64) -> f64 {
        let wanted = 2e6f64;
        for feedback in windows.start * 3..windows.end * 3 {
            let rate = loss.cap_bps().unwrap_or(wanted).min(wanted);
            let lost = (lossy(rate) * 33.0).round() as u32;
            let acked = rate * f64::from(33 - lost) / 33.0;
            loss.count(feedback * 100_000, 33 - lost, lost, 0);
            loss.update(feedback * 100_000, 50_000, rate, acked);
        }
        loss.cap_bps().unwrap_or(wanted).min(wanted)
    }

    #[test]
    fn a_link_that_drops_what_is_too_much_is_left_at_what_it_carries() {
        let mut loss = Loss::default();
        let rate = run(&mut loss, 0..60, |rate| (1.0 - 1e6 / rate).max(0.0));
        assert!((850_000.0..1_150_000.0).contains(&rate), "{rate}");
        assert!(loss.inherent() < 0.06, "{}", loss.inherent());
    }

    #[test]
    fn a_link_that_loses_by_itself_keeps_its_rate() {
        for share in [0.05, 0.15, 0.3] {
            let mut loss = Loss::default();
            let rate = run(&mut loss, 0..60, |_| share);
            assert_eq!(rate, 2e6, "at {share}");
            // And no longer than its radio is bad.
            run(&mut loss, 60..90, |_| 0.0);
            assert!(loss.inherent() < 0.01, "{}", loss.inherent());
        }
    }

    #[test]
    fn too_much_is_noticed_on_top_of_bad_radio() {
        let mut loss = Loss::default();
        run(&mut loss, 0..30, |_| 0.15);
        let rate = run(&mut loss, 30..90, |rate| 1.0 - 0.85 * (1e6 / rate).min(1.0));
        assert!(rate < 1_250_000.0, "{rate}");
    }

    #[test]
    fn what_others_have_overtaken_is_not_lost_however_the_windows_fall() {
        let mut loss = Loss::default();
        for feedback in 0..100 {
            // A third of each is on its way still and comes with the next.
            loss.count(feedback * 100_000, 20, 10, if feedback > 0 { 10 } else { 0 });
            assert!(!loss.update(feedback * 100_000, 50_000, 1e6, 1e6), "at {feedback}");
        }
        assert_eq!(loss.fraction(), 0.0);
    }

    #[test]
    fn packets_that_came_late_were_not_lost() {
        let mut loss = Loss::default();
        loss.count(0, 50, 50, 0);
        loss.count(200_000, 50, 0, 50);
        loss.update(300_000, 50_000, 1e6, 1e6);
        assert_eq!(loss.fraction(), 0.0);
    }
}
