//! Short bursts faster than the estimate, to learn whether the link carries more.
//!
//! While one runs, everything that leaves belongs to it, and padding fills up what media leaves
//! open. The rate at which it left against the rate at which it arrived is the verdict.

use super::history::Sent;
use super::lines::{Arrived, bits_per_second};

/// When to probe, at which rate, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Probing {
    wanted_bps: f64,
    run: Option<Run>,
    /// Not before.
    next_us: i64,
    /// Raises in a row that proved wrong.
    broken: u32,
    /// The last raise, until it has proved right or wrong.
    raised: Option<Raised>,
    /// Probe in larger steps: little is known of the link.
    is_fresh: bool,
    /// Probes since the last that the link carried.
    failures: u32,
    /// Probes since the last with a verdict.
    unclear: u32,
}

/// Everything that leaves from one packet on, until enough has.
#[derive(Clone, Debug)]
struct Run {
    target_bps: f64,
    /// The estimate when it began.
    known_bps: f64,
    is_first: bool,
    bytes: usize,
    started_us: i64,
    /// The first and the last packet that belong to it.
    first: Option<u64>,
    last: u64,
    sent_bytes: usize,
    /// How many bytes had left with each packet.
    places: Vec<u32>,
    /// The next part is due.
    due_us: i64,
    is_sent: bool,
    /// When the receiver had told of all of it, be it that some was missing.
    told_us: Option<i64>,
    give_up_us: i64,
    /// A verdict is wanted even if it may be wrong.
    is_last_try: bool,
    arrived: Arrived,
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
    /// The link carries this. That it did not carry more may be chance.
    Unsure(f64),
}

/// What decides whether a probe makes sense now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub estimate_bps: f64,
    /// What overuse or a probe showed to be the limit.
    pub capacity_bps: Option<f64>,
    /// No queue grows, and the last decrease is some time ago.
    pub is_calm: bool,
    pub jitter_ms: f64,
    pub rtt_us: i64,
}

impl Probing {
    pub fn new() -> Self {
        Probing { is_fresh: true, ..Self::default() }
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
            self.next_us = now_us + RETRY_US;
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
        let (factor, least_bps, min_ms) = match self.failures {
            0 if self.is_fresh => (FRESH_FACTOR, MIN_FRESH_TARGET, MIN_MS),
            0..=RETRIES => (FACTOR, 0.0, MIN_MS * f64::from(1 + self.failures)),
            _ => (CAREFUL_FACTOR, 0.0, 2.0 * MIN_MS),
        };
        // It has to go beyond the known limit to tell of anything new.
        let known_bps = circumstances.capacity_bps.unwrap_or(0.0).min(FACTOR * estimate_bps);
        let target_bps = (factor * estimate_bps).max(CAREFUL_FACTOR * known_bps).max(least_bps);
        let target_bps = target_bps.min(MARGIN * self.wanted_bps.max(estimate_bps));
        let millis = min_ms * f64::from(1 + self.unclear) + JITTERS * circumstances.jitter_ms;
        let millis = millis.min(MAX_MS);
        let bytes = (target_bps / 8000.0 * millis) as usize;
        let bytes = bytes.max(MIN_BYTES);
        let lasts_us = (bytes as f64 * 8e6 / target_bps) as i64;
        let is_first = std::mem::take(&mut self.is_fresh);
        self.run = Some(Run {
            target_bps,
            known_bps: estimate_bps,
            is_first,
            bytes,
            started_us: now_us,
            first: None,
            last: 0,
            sent_bytes: 0,
            places: Vec::new(),
            due_us: now_us,
            is_sent: false,
            told_us: None,
            give_up_us: now_us + 2 * lasts_us + 2 * circumstances.rtt_us + ANSWER_US,
            is_last_try: self.unclear >= MAX_UNCLEAR,
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

    /// There is nothing to pad with now. What media alone measures is media, so what runs ends as if it
    /// had never begun.
    pub fn cannot_pad(&mut self, now_us: i64) {
        if let Some(run) = self.run.take_if(|run| !run.is_sent) {
            self.is_fresh |= run.is_first;
            self.next_us = now_us + UNPADDED_US;
        }
    }

    /// Notes a packet that leaves.
    pub fn sent(&mut self, number: u64, bytes: usize) {
        let Some(run) = &mut self.run else { return };
        if run.is_sent {
            return;
        }
        run.first.get_or_insert(number);
        run.last = number;
        run.sent_bytes += bytes;
        run.places.push(run.sent_bytes as u32);
        run.is_sent = run.sent_bytes >= run.bytes;
    }

    /// Notes a packet that arrived; `true` if it belongs to a probe.
    pub fn arrived(&mut self, number: u64, sent: Sent, arrived_us: i64, was_missing: bool) -> bool {
        let Some(run) = &mut self.run else { return false };
        let Some(place) = run.place(number) else { return false };
        run.arrived.lost = run.arrived.lost.saturating_sub(u32::from(was_missing));
        run.arrived.add(place, sent, arrived_us);
        true
    }

    /// Notes a packet that is missing; `was_missing` of one that [`arrived`](Self::arrived) after all
    /// takes it back.
    pub fn missing(&mut self, number: u64) {
        if let Some(run) = &mut self.run
            && run.place(number).is_some()
        {
            run.arrived.lost += 1;
        }
    }

    /// The verdict, once the receiver has told of the packet before `told` or time is up.
    pub fn verdict(
        &mut self,
        now_us: i64,
        told: u64,
        inherent_loss: f64,
        capacity_bps: Option<f64>,
    ) -> Option<Verdict> {
        let run = self.run.as_mut()?;
        if run.is_sent && told > run.last {
            run.told_us.get_or_insert(now_us);
        }
        // What is missing may have been overtaken, and be in the next feedback.
        let doubts_us = if run.arrived.lost > 0 { DOUBTS_US } else { 0 };
        let is_told = run.told_us.is_some_and(|told_us| now_us >= told_us + doubts_us);
        if !is_told && now_us < run.give_up_us {
            return None;
        }
        let run = self.run.take()?;
        let verdict = match run.verdict(inherent_loss) {
            // Taking back at once what overuse took away would be unfair to those who share the link.
            Some(Verdict::Carried(bps))
                if capacity_bps
                    .is_some_and(|known| bps < NEWS * known && run.known_bps > FAR * known) =>
            {
                Some(Verdict::Unsure(bps))
            }
            verdict => verdict,
        };
        self.unclear = if verdict.is_none() { (self.unclear + 1).min(MAX_UNCLEAR) } else { 0 };
        match verdict {
            Some(Verdict::Carried(_)) => {
                self.failures = 0;
                self.next_us = now_us;
            }
            Some(Verdict::Limited(_) | Verdict::Unsure(_)) => {
                self.failures = self.failures.saturating_add(1);
                // The first may have failed by chance.
                let pause_us = if self.failures <= RETRIES { RETRY_US } else { PAUSE_US };
                self.next_us = now_us + pause_us;
            }
            None => self.next_us = now_us + UNCLEAR_US,
        }
        verdict
    }

    /// The link carried a probe, and that is nothing new: no hurry.
    pub fn pause(&mut self, now_us: i64) {
        self.next_us = now_us + PAUSE_US;
    }

    /// The estimate went up by a probe: if it comes down soon, probes mislead here.
    pub fn raised(&mut self, now_us: i64, to_bps: f64) {
        if self.raised.is_some_and(|raised| now_us - raised.at_us > PROVED_US) {
            self.broken = 0;
        }
        self.raised = Some(Raised { to_bps, at_us: now_us });
    }

    /// The estimate went down to `bps`.
    pub fn lowered(&mut self, now_us: i64, bps: f64) {
        self.abandon(now_us);
        self.next_us = self.next_us.max(now_us + CALM_US);
        let Some(raised) = self.raised else { return };
        if now_us - raised.at_us > PROVED_US {
            (self.raised, self.broken) = (None, 0);
        } else if bps < BROKEN * raised.to_bps {
            self.raised = None;
            // Once may be chance.
            if self.broken > 0 {
                self.next_us = now_us + BROKEN_PAUSE_US;
            }
            self.broken += 1;
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
    /// Where in it a packet stands, if it belongs to it.
    fn place(&self, number: u64) -> Option<u32> {
        let index = number.checked_sub(self.first?)?;
        self.places.get(usize::try_from(index).ok()?).copied()
    }

    fn verdict(&self, inherent_loss: f64) -> Option<Verdict> {
        let arrived = &self.arrived;
        let told = arrived.packets + arrived.lost;
        // Without the feedback for most of it there is no saying.
        let is_told = u64::from(told) > (self.last - self.first?) / 2;
        if !self.is_sent || !is_told || arrived.packets < MIN_PACKETS {
            return None;
        }
        let slopes = arrived.slopes()?;
        let left_bps = bits_per_second(slopes.left).min(self.target_bps);
        if left_bps < self.known_bps {
            // The sender came too late with it.
            return None;
        }
        let mut arrived_bps = bits_per_second(slopes.arrived);
        let is_clear = bits_per_second(slopes.arrived - slopes.error) < CARRIED * left_bps;
        let delivered = f64::from(arrived.packets) / f64::from(told);
        let chance = (MAX_LOSS / f64::from(arrived.packets)).sqrt();
        let is_lossy = delivered < 1.0 - inherent_loss - MAX_LOSS - chance;
        if is_lossy {
            arrived_bps = arrived_bps.min(left_bps) * delivered;
        }
        // More than was asked for is chance, or a burst of media.
        let measured_bps = arrived_bps.min(left_bps);
        if measured_bps >= CARRIED * left_bps {
            Some(Verdict::Carried(measured_bps))
        } else if is_lossy || !is_clear && self.is_last_try {
            Some(Verdict::Unsure(measured_bps))
        } else if is_clear {
            Some(Verdict::Limited(measured_bps))
        } else {
            None
        }
    }
}

/// The first probe, and the one after a blackout.
const FRESH_FACTOR: f64 = 3.0;
/// Every other. More would fill the queue of a link that is at its limit for longer, less would
/// take longer to the best layer.
const FACTOR: f64 = 2.0;
/// On a link that is known to be full: what it does not carry waits in its queue, and in the way of
/// others. Enough still to tell that the link has become better.
const CAREFUL_FACTOR: f64 = 1.3;
/// Of what is wanted: a measurement that comes out a little low must still reach it.
const MARGIN: f64 = 1.15;
/// The first probe is at least this fast: from the floor it would be a long way up otherwise.
const MIN_FRESH_TARGET: f64 = 300_000.0;

/// How long a probe lasts: this, and some times the jitter, as it measures through that. Longer
/// fills the queue of a link that does not carry it, shorter measures chance.
const MIN_MS: f64 = 20.0;
const JITTERS: f64 = 4.0;
const MAX_MS: f64 = 100.0;
/// At least this much, so that there are packets enough.
const MIN_BYTES: usize = 3000;
const MIN_PACKETS: u32 = 4;
/// A probe leaves in parts, as a sender has better things to do than to wake for each packet. Not
/// shorter than the server's tick: the first part has to last until the second.
const PART_US: i64 = 10_000;

/// What arrives at this share of the rate at which it left was carried.
const CARRIED: f64 = 0.9;
/// After so many probes that told nothing for sure, the next is believed.
const MAX_UNCLEAR: u32 = 3;
/// A probe says something new if it carries more than this of the known limit.
pub(super) const NEWS: f64 = 1.1;
/// An estimate below this share of the known limit is not held down by it: something else took it away.
const FAR: f64 = 0.5;
/// Until what is missing counts as lost: the longest time between two feedbacks of a busy stream.
const DOUBTS_US: i64 = 100_000;
/// A probe that loses more than this beyond what the link always loses was too much.
const MAX_LOSS: f64 = 0.15;

/// So many that fail in a row are repeated soon and as large.
const RETRIES: u32 = 3;
const RETRY_US: i64 = 600_000;
/// After one that told nothing.
const UNCLEAR_US: i64 = 400_000;
/// After one for which there was no padding. Shorter asks in vain, longer is late for a picture that begins.
const UNPADDED_US: i64 = 200_000;
/// After one that failed again. Shorter would load a full link for nothing, longer would leave people
/// with a bad picture on a link that has become good.
const PAUSE_US: i64 = 4_000_000;
/// Where probes promise what the link then does not hold. Longer would wait too long on a link that
/// has become better.
const BROKEN_PAUSE_US: i64 = 6_000_000;
/// A raise is a broken promise if less than this is left of it.
const BROKEN: f64 = 0.7;
/// A raise that lasts this long was right.
const PROVED_US: i64 = 5_000_000;
/// After a decrease: let the queue drain.
const CALM_US: i64 = 1_000_000;
/// Beyond the round trip the receiver may take this long to answer.
const ANSWER_US: i64 = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Circumstances = Circumstances {
        estimate_bps: 400_000.0,
        capacity_bps: None,
        is_calm: true,
        jitter_ms: 0.0,
        rtt_us: 50_000,
    };

    /// Sends the probe that is due in packets of 250 bytes over a link; the verdict on it.
    fn over_link(probing: &mut Probing, start_us: i64, link_bps: f64) -> Option<Verdict> {
        probing.start_if_due(start_us, CALM);
        let (mut number, mut free_us) = (0, 0.0f64);
        let mut packets = Vec::new();
        for now_us in (start_us..).step_by(1000).take(1000) {
            let mut padding = probing.padding(now_us).unwrap_or(0);
            while padding > 0 {
                probing.sent(number, 250);
                free_us = free_us.max(now_us as f64) + 250.0 * 8e6 / link_bps;
                packets.push((number, now_us, free_us as i64));
                number += 1;
                padding = padding.saturating_sub(250);
            }
        }
        for (number, sent_us, arrived_us) in packets {
            let sent = Sent { at_us: sent_us, bytes: 250 };
            assert!(probing.arrived(number, sent, arrived_us, false));
        }
        probing.verdict(start_us + 200_000, number, 0.0, None)
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
        assert_eq!(probing.next_us(bps), Some(200_000 + RETRY_US));
        for failures in 1..=i64::from(RETRIES) {
            let at_us = failures * 1_000_000;
            assert_eq!(probing.next_us(bps), Some(at_us - 800_000 + RETRY_US));
            assert!(over_link(&mut probing, at_us, 450_000.0).is_some());
        }
        let at_us = i64::from(RETRIES) * 1_000_000;
        assert_eq!(probing.next_us(bps), Some(at_us + 200_000 + PAUSE_US));
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
        probing.lowered(1_000_000, 1e6);
        assert_eq!(probing.next_us(1e6), Some(1_000_000 + CALM_US), "once may be chance");
        probing.raised(3_000_000, 2e6);
        probing.lowered(4_000_000, 1e6);
        assert_eq!(probing.next_us(1e6), Some(4_000_000 + BROKEN_PAUSE_US));
        probing.raised(20_000_000, 2e6);
        probing.lowered(40_000_000, 1e6);
        assert_eq!(probing.next_us(1e6), Some(40_000_000 + CALM_US));
    }

    #[test]
    fn what_leaves_slower_than_the_estimate_was_no_probe() {
        let mut probing = Probing::new();
        probing.set_wanted(4e6);
        probing.start_if_due(0, CALM);
        for number in 0..12 {
            let at_us = number as i64 * 20_000;
            probing.padding(at_us);
            probing.sent(number, 250);
            assert!(probing.arrived(number, Sent { at_us, bytes: 250 }, at_us + 30_000, false));
        }
        assert_eq!(probing.verdict(250_000, 12, 0.0, None), None);
        assert_eq!(probing.next_us(400_000.0), Some(250_000 + UNCLEAR_US), "tried again soon");
    }

    #[test]
    fn a_probe_that_nothing_can_pad_has_not_begun() {
        let mut probing = Probing::new();
        probing.set_wanted(4e6);
        probing.start_if_due(0, CALM);
        probing.cannot_pad(0);
        assert!(!probing.is_running() && probing.is_fresh());
        assert_eq!(probing.next_us(400_000.0), Some(UNPADDED_US));
        let Some(Verdict::Carried(_)) = over_link(&mut probing, UNPADDED_US, 10e6) else {
            panic!()
        };
    }

    #[test]
    fn without_padding_there_is_no_verdict_and_no_hurry() {
        let mut probing = Probing::new();
        probing.set_wanted(4e6);
        probing.start_if_due(0, CALM);
        let give_up = probing.run.as_ref().unwrap().give_up_us;
        assert_eq!(probing.verdict(give_up - 1, 0, 0.0, None), None);
        assert_eq!(probing.verdict(give_up, 0, 0.0, None), None);
        assert_eq!(probing.next_us(400_000.0), Some(give_up + UNCLEAR_US));
    }
}
