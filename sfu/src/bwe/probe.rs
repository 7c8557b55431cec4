//! Short bursts faster than the estimate, to learn whether the link carries more.
//!
//! While one runs, everything that leaves belongs to it, and padding fills up what media leaves
//! open. The rate at which it left against the rate at which it arrived is the verdict.

/// When to probe, at which rate, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Probing {
    wanted_bps: f64,
    run: Option<Run>,
    /// Not before.
    next_us: i64,
    pause_us: i64,
    /// The last raise, until it has proved right or wrong.
    raised: Option<Raised>,
    /// Probe in larger steps: little is known of the link.
    is_fresh: bool,
}

/// Everything that leaves from one packet on, until enough has.
#[derive(Clone, Debug)]
struct Run {
    target_bps: f64,
    bytes: usize,
    started_us: i64,
    /// The first and the last packet that belong to it.
    first: Option<u64>,
    last: u64,
    /// Left so far, and before the last moment at which something left.
    sent_bytes: usize,
    sent_before_last: usize,
    first_sent_us: i64,
    last_sent_us: i64,
    /// The next part is due.
    due_us: i64,
    is_sent: bool,
    give_up_us: i64,
    arrived: Arrived,
}

/// Sums for the line of arrival over departure.
#[derive(Clone, Debug, Default)]
struct Arrived {
    packets: u32,
    bytes: usize,
    origin_us: i64,
    sum_x: f64,
    sum_y: f64,
    sum_xx: f64,
    sum_xy: f64,
    last_us: i64,
    first_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Raised {
    to_bps: f64,
    at_us: i64,
}

/// What a probe showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The link carries at least this.
    Carried(f64),
    /// The link carries this and not more.
    Limited(f64),
}

/// What decides whether a probe makes sense now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub estimate_bps: f64,
    /// No queue grows, and the last decrease is some time ago.
    pub is_calm: bool,
    pub jitter_ms: f64,
    pub rtt_us: i64,
}

impl Probing {
    pub fn new() -> Self {
        Probing { pause_us: PAUSE_US, is_fresh: true, ..Self::default() }
    }

    pub fn set_wanted(&mut self, wanted_bps: f64) {
        self.wanted_bps = wanted_bps;
        if wanted_bps == 0.0 {
            self.run = None;
        }
    }

    /// Nothing is known of the link any more: probe soon and in large steps.
    pub fn restart(&mut self, now_us: i64) {
        let wanted_bps = self.wanted_bps;
        *self = Probing { wanted_bps, next_us: now_us, ..Self::new() };
    }

    /// Ends what runs without a verdict.
    pub fn abandon(&mut self, now_us: i64) {
        if self.run.take().is_some() {
            self.next_us = now_us + self.pause_us;
        }
    }

    /// Begins a probe if one is due.
    pub fn start_if_due(&mut self, now_us: i64, circumstances: Circumstances) {
        let estimate_bps = circumstances.estimate_bps;
        if self.run.is_some()
            || now_us < self.next_us
            || !circumstances.is_calm
            || !self.is_wanted(estimate_bps)
        {
            return;
        }
        let factor = if self.is_fresh { FRESH_FACTOR } else { FACTOR };
        let target_bps =
            (factor * estimate_bps).max(MIN_TARGET).min(MARGIN * self.wanted_bps.max(estimate_bps));
        let millis = (MIN_MS + JITTERS * circumstances.jitter_ms).min(MAX_MS);
        let bytes = (target_bps / 8000.0 * millis) as usize;
        let bytes = bytes.max(MIN_BYTES);
        let lasts_us = (bytes as f64 * 8e6 / target_bps) as i64;
        self.is_fresh = false;
        self.run = Some(Run {
            target_bps,
            bytes,
            started_us: now_us,
            first: None,
            last: 0,
            sent_bytes: 0,
            sent_before_last: 0,
            first_sent_us: now_us,
            last_sent_us: now_us,
            due_us: now_us,
            is_sent: false,
            give_up_us: now_us + 2 * lasts_us + 2 * circumstances.rtt_us + ANSWER_US,
            arrived: Arrived::default(),
        });
    }

    /// Padding to send now, in bytes.
    pub fn padding(&mut self, now_us: i64) -> Option<usize> {
        let run = self.run.as_mut()?;
        if run.is_sent || now_us < run.due_us {
            return None;
        }
        let elapsed_s = (now_us - run.started_us + PART_US) as f64 / 1e6;
        let due = ((run.target_bps / 8.0 * elapsed_s) as usize).min(run.bytes);
        run.due_us = now_us + PART_US;
        let missing = due.saturating_sub(run.sent_bytes);
        (missing > 0).then_some(missing)
    }

    /// Notes a packet that leaves.
    pub fn sent(&mut self, now_us: i64, number: u64, bytes: usize) {
        let Some(run) = &mut self.run else { return };
        if run.is_sent {
            return;
        }
        if run.first.is_none() {
            run.first = Some(number);
            run.first_sent_us = now_us;
            run.last_sent_us = now_us;
        }
        if now_us > run.last_sent_us {
            run.sent_before_last = run.sent_bytes;
            run.last_sent_us = now_us;
        }
        run.last = number;
        run.sent_bytes += bytes;
        run.is_sent = run.sent_bytes >= run.bytes;
    }

    /// Notes a packet that arrived; `true` if it belongs to a probe.
    pub fn arrived(&mut self, number: u64, sent_us: i64, arrived_us: i64, bytes: usize) -> bool {
        let Some(run) = &mut self.run else { return false };
        if run.first.is_none_or(|first| !(first..=run.last).contains(&number)) {
            return false;
        }
        run.arrived.add(sent_us - run.first_sent_us, arrived_us, bytes);
        true
    }

    /// The verdict, once the receiver has told of the packet before `told` or time is up.
    pub fn verdict(&mut self, now_us: i64, told: u64, inherent_loss: f64) -> Option<Verdict> {
        let run = self.run.as_ref()?;
        let is_told = run.is_sent && told > run.last;
        if !is_told && now_us < run.give_up_us {
            return None;
        }
        let run = self.run.take()?;
        let verdict = run.verdict(inherent_loss);
        self.next_us = match verdict {
            Some(Verdict::Carried(_)) => now_us,
            Some(Verdict::Limited(_)) | None => now_us + self.pause_us,
        };
        verdict
    }

    /// The estimate went up by a probe: if it comes down soon, probes mislead here.
    pub fn raised(&mut self, now_us: i64, to_bps: f64) {
        if let Some(raised) = self.raised
            && now_us - raised.at_us > PROVED_US
        {
            self.pause_us = PAUSE_US;
        }
        self.raised = Some(Raised { to_bps, at_us: now_us });
    }

    /// The estimate went down to `bps`.
    pub fn lowered(&mut self, now_us: i64, bps: f64) {
        self.abandon(now_us);
        self.next_us = self.next_us.max(now_us + CALM_US);
        let Some(raised) = self.raised else { return };
        if now_us - raised.at_us > PROVED_US {
            (self.raised, self.pause_us) = (None, PAUSE_US);
        } else if bps < 0.8 * raised.to_bps {
            self.raised = None;
            self.pause_us = (2 * self.pause_us).min(MAX_PAUSE_US);
            self.next_us = now_us + self.pause_us;
        }
    }

    pub fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// No probe was tried yet.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// When something is to be done next.
    pub fn next_us(&self, estimate_bps: f64) -> Option<i64> {
        match &self.run {
            Some(run) if !run.is_sent => Some(run.due_us.min(run.give_up_us)),
            Some(run) => Some(run.give_up_us),
            None => self.is_wanted(estimate_bps).then_some(self.next_us),
        }
    }

    fn is_wanted(&self, estimate_bps: f64) -> bool {
        self.wanted_bps > estimate_bps
    }
}

impl Run {
    fn verdict(&self, inherent_loss: f64) -> Option<Verdict> {
        let arrived = &self.arrived;
        if !self.is_sent || arrived.packets < MIN_PACKETS {
            return None;
        }
        let sent_us = (self.last_sent_us - self.first_sent_us) as f64;
        let sent_bps = if sent_us >= 1000.0 {
            self.sent_before_last as f64 * 8e6 / sent_us
        } else {
            self.target_bps
        };
        let delivered = arrived.bytes as f64 / self.sent_bytes as f64;
        let mut received_bps = match arrived.stretch() {
            Some(stretch) => sent_bps / stretch.max(0.1),
            // All left at one moment: the time it took to arrive says it all.
            None => {
                let took_us = (arrived.last_us).max(1) as f64;
                (arrived.bytes - arrived.first_bytes) as f64 * 8e6 / took_us
            }
        };
        if delivered < 1.0 - inherent_loss - MAX_LOSS {
            received_bps = received_bps.min(sent_bps) * delivered;
        }
        // More than was asked for is chance, or a burst of media.
        let measured_bps = received_bps.min(sent_bps).min(self.target_bps);
        if received_bps >= CARRIED * sent_bps.min(self.target_bps) {
            Some(Verdict::Carried(measured_bps))
        } else {
            Some(Verdict::Limited(measured_bps))
        }
    }
}

impl Arrived {
    fn add(&mut self, sent_us: i64, arrived_us: i64, bytes: usize) {
        if self.packets == 0 {
            self.origin_us = arrived_us;
            self.first_bytes = bytes;
        }
        let (x, y) = (sent_us as f64, (arrived_us - self.origin_us) as f64);
        self.packets += 1;
        self.bytes += bytes;
        self.sum_x += x;
        self.sum_y += y;
        self.sum_xx += x * x;
        self.sum_xy += x * y;
        self.last_us = self.last_us.max(arrived_us - self.origin_us);
    }

    /// How much longer it took to arrive than to leave; the slope of a line, as single packets are
    /// late by chance.
    fn stretch(&self) -> Option<f64> {
        let n = f64::from(self.packets);
        let below = n * self.sum_xx - self.sum_x * self.sum_x;
        // Less than a millisecond of spread is one moment.
        (below / (n * n) > 500.0 * 500.0)
            .then(|| (n * self.sum_xy - self.sum_x * self.sum_y) / below)
    }
}

/// The first probe, and the one after a blackout.
const FRESH_FACTOR: f64 = 3.0;
/// Every other. More would fill the queue of a link that is at its limit for longer, less would
/// take longer to the best layer.
const FACTOR: f64 = 2.0;
/// Of what is wanted: a measurement that comes out a little low must still reach it.
const MARGIN: f64 = 1.15;
/// Probing slower than this is not worth it.
const MIN_TARGET: f64 = 300_000.0;

/// How long a probe lasts: this, and some times the jitter, as it measures through that. Longer
/// fills the queue of a link that does not carry it, shorter measures chance.
const MIN_MS: f64 = 20.0;
const JITTERS: f64 = 4.0;
const MAX_MS: f64 = 100.0;
/// At least this much, so that there are packets enough.
const MIN_BYTES: usize = 3000;
const MIN_PACKETS: u32 = 4;
/// A probe leaves in parts, as a sender has better things to do than to wake for each packet.
const PART_US: i64 = 5000;

/// What arrives at this share of the rate at which it left was carried.
const CARRIED: f64 = 0.85;
/// A probe that loses more than this beyond what the link always loses was too much.
const MAX_LOSS: f64 = 0.15;

/// After a probe that failed. Shorter would load a full link for nothing, longer would leave people
/// with a bad picture on a link that has become good.
const PAUSE_US: i64 = 4_000_000;
/// Where probes promise what the link then does not hold.
const MAX_PAUSE_US: i64 = 32_000_000;
/// A raise that lasts this long was right.
const PROVED_US: i64 = 5_000_000;
/// After a decrease: let the queue drain.
const CALM_US: i64 = 1_000_000;
/// Beyond the round trip the receiver may take this long to answer.
const ANSWER_US: i64 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Circumstances =
        Circumstances { estimate_bps: 400_000.0, is_calm: true, jitter_ms: 0.0, rtt_us: 50_000 };

    /// Sends the probe that is due in packets of 250 bytes over a link; the verdict on it.
    fn over_link(probing: &mut Probing, start_us: i64, link_bps: f64) -> Option<Verdict> {
        probing.start_if_due(start_us, CALM);
        let (mut number, mut free_us) = (0, 0.0f64);
        let mut packets = Vec::new();
        for now_us in (start_us..).step_by(1000).take(1000) {
            let mut padding = probing.padding(now_us).unwrap_or(0);
            while padding > 0 {
                probing.sent(now_us, number, 250);
                free_us = free_us.max(now_us as f64) + 250.0 * 8e6 / link_bps;
                packets.push((number, now_us, free_us as i64));
                number += 1;
                padding = padding.saturating_sub(250);
            }
        }
        for (number, sent_us, arrived_us) in packets {
            assert!(probing.arrived(number, sent_us, arrived_us, 250));
        }
        probing.verdict(start_us + 200_000, number, 0.0)
    }

    #[test]
    fn a_link_that_carries_the_probe_is_believed() {
        let mut probing = Probing::new();
        probing.set_wanted(4e6);
        let Some(Verdict::Carried(bps)) = over_link(&mut probing, 0, 10e6) else { panic!() };
        assert!((1.1e6..1.3e6).contains(&bps), "{bps}");
        assert_eq!(probing.next_us(bps), Some(200_000), "the next one follows at once");
    }

    #[test]
    fn a_link_that_does_not_is_measured() {
        let mut probing = Probing::new();
        probing.set_wanted(4e6);
        let Some(Verdict::Limited(bps)) = over_link(&mut probing, 0, 700_000.0) else { panic!() };
        assert!((600_000.0..800_000.0).contains(&bps), "{bps}");
        assert_eq!(probing.next_us(bps), Some(200_000 + PAUSE_US));
    }

    #[test]
    fn nothing_wanted_nothing_probed() {
        let mut probing = Probing::new();
        assert_eq!(over_link(&mut probing, 0, 10e6), None);
        assert_eq!(probing.next_us(400_000.0), None);
        probing.set_wanted(400_000.0);
        assert_eq!(over_link(&mut probing, 0, 10e6), None);
    }

    #[test]
    fn probing_goes_little_beyond_what_is_wanted() {
        let mut probing = Probing::new();
        probing.set_wanted(500_000.0);
        let Some(Verdict::Carried(bps)) = over_link(&mut probing, 0, 10e6) else { panic!() };
        assert!((500_000.0..600_000.0).contains(&bps), "{bps}");
    }

    #[test]
    fn a_promise_that_is_not_held_makes_the_next_probe_wait() {
        let mut probing = Probing::new();
        probing.set_wanted(4e6);
        probing.raised(0, 2e6);
        probing.lowered(2_000_000, 1e6);
        assert_eq!(probing.next_us(1e6), Some(2_000_000 + 2 * PAUSE_US));
        probing.raised(20_000_000, 2e6);
        probing.lowered(40_000_000, 1e6);
        assert_eq!(probing.next_us(1e6), Some(40_000_000 + CALM_US));
    }

    #[test]
    fn without_padding_there_is_no_verdict_and_no_hurry() {
        let mut probing = Probing::new();
        probing.set_wanted(4e6);
        probing.start_if_due(0, CALM);
        let give_up = probing.run.as_ref().unwrap().give_up_us;
        assert_eq!(probing.verdict(give_up - 1, 0, 0.0), None);
        assert_eq!(probing.verdict(give_up, 0, 0.0), None);
        assert_eq!(probing.next_us(400_000.0), Some(give_up + PAUSE_US));
    }
}
