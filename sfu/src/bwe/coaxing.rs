//! Padding that makes a receiver raise what it says it can take.
//!
//! Receivers that estimate their link themselves (REMB) believe in little more than what they get: about half as much
//! again. So where more is wanted than they say, they get all that they say, with padding beside media, for as
//! long as that makes them say more.

/// When to pad, and how much.
#[derive(Clone, Debug, Default)]
pub(super) struct Coaxing {
    wanted_bps: f64,
    run: Option<Run>,
    /// Not before.
    next_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// What the receiver said when it began, or when that grew last.
    said_bps: f64,
    ends_us: i64,
    /// The part that is being sent.
    part_us: i64,
    sent_bytes: usize,
    due_us: i64,
}

impl Coaxing {
    pub fn set_wanted(&mut self, wanted_bps: f64) {
        self.wanted_bps = wanted_bps;
    }

    /// The receiver says that it can take so much.
    pub fn told(&mut self, now_us: i64, said_bps: f64) {
        let Some(run) = &mut self.run else { return };
        if said_bps > GROWN * run.said_bps {
            (run.said_bps, run.ends_us) = (said_bps, now_us + PATIENCE_US);
        } else if said_bps < run.said_bps / GROWN {
            self.pause(now_us, PAUSE_US);
        }
    }

    /// Notes a packet that leaves.
    pub fn sent(&mut self, bytes: usize) {
        if let Some(run) = &mut self.run {
            run.sent_bytes += bytes;
        }
    }

    /// Padding to send now, in bytes, where `said_bps` may be sent.
    pub fn padding(&mut self, now_us: i64, said_bps: f64) -> Option<usize> {
        if self.wanted_bps <= said_bps {
            self.run = None;
            return None;
        }
        if self.run.is_some_and(|run| now_us >= run.ends_us) {
            self.pause(now_us, PAUSE_US);
        }
        if now_us < self.next_us {
            return None;
        }
        let run = self.run.get_or_insert(Run {
            said_bps,
            ends_us: now_us + PATIENCE_US,
            part_us: now_us,
            sent_bytes: 0,
            due_us: now_us,
        });
        if now_us < run.due_us {
            return None;
        }
        // What media sent too much in one part is no reason to pad less in the next.
        if now_us >= run.part_us + PART_US {
            (run.part_us, run.sent_bytes) = (now_us, 0);
        }
        run.due_us = now_us + STEP_US;
        let elapsed_s = (now_us - run.part_us + STEP_US) as f64 / 1e6;
        let due = (said_bps.min(self.wanted_bps) / 8.0 * elapsed_s) as usize;
        due.checked_sub(run.sent_bytes).filter(|missing| *missing > 0)
    }

    /// There is nothing to pad with now.
    pub fn cannot_pad(&mut self, now_us: i64) {
        if self.run.is_some() {
            self.pause(now_us, UNPADDED_US);
        }
    }

    /// When there may be something to pad next, where `said_bps` may be sent.
    pub fn next_us(&self, said_bps: f64) -> Option<i64> {
        let next_us = self.run.map_or(self.next_us, |run| run.due_us);
        (self.wanted_bps > said_bps).then_some(next_us)
    }

    fn pause(&mut self, now_us: i64, pause_us: i64) {
        self.run = None;
        self.next_us = now_us + pause_us;
    }
}

/// What is more than this is more, and not chance.
const GROWN: f64 = 1.03;
/// A receiver that does not say more within this cannot take more: it speaks once a second, of the second
/// before. Longer loads a full link for nothing, shorter does not let it speak.
const PATIENCE_US: i64 = 2_200_000;
/// Until it is tried again. Shorter loads a full link more often, longer is late when it has become better.
const PAUSE_US: i64 = 2_500_000;
/// After there was nothing to pad with.
const UNPADDED_US: i64 = 200_000;
/// How often padding is sent: the server's tick.
const STEP_US: i64 = 10_000;
/// What media sent too much is made up for within this.
const PART_US: i64 = 200_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Pads beside media of that rate; bits per second in all, second by second.
    fn pad(
        coaxing: &mut Coaxing,
        now_us: &mut i64,
        media_bps: f64,
        said_bps: f64,
        seconds: usize,
    ) -> Vec<f64> {
        let mut second = |now_us: &mut i64| {
            let mut bytes = 0;
            for frame in 0..100 {
                *now_us += STEP_US;
                // A frame in every third step.
                if frame % 3 == 0 {
                    let media = (media_bps / 8.0 * 0.03) as usize;
                    coaxing.sent(media);
                    bytes += media;
                }
                if let Some(missing) = coaxing.padding(*now_us, said_bps) {
                    coaxing.sent(missing);
                    bytes += missing;
                }
            }
            bytes as f64 * 8.0
        };
        (0..seconds).map(|_| second(now_us)).collect()
    }

    #[test]
    fn a_receiver_gets_what_it_says_as_long_as_it_says_more() {
        let (mut coaxing, mut now_us) = (Coaxing::default(), 0);
        coaxing.set_wanted(2e6);
        let mut said = 300_000.0;
        while said < 2e6 {
            let sent = pad(&mut coaxing, &mut now_us, 150_000.0, said, 1)[0];
            assert!((0.9..1.1).contains(&(sent / said)), "{sent} of {said}");
            said *= 1.4;
            coaxing.told(now_us, said);
        }
        assert_eq!(coaxing.next_us(said), None);
        let sent = pad(&mut coaxing, &mut now_us, 150_000.0, said, 1)[0];
        assert!(sent < 160_000.0, "nothing more is wanted");
    }

    #[test]
    fn one_that_cannot_take_more_is_left_alone_for_a_while() {
        let (mut coaxing, mut now_us) = (Coaxing::default(), 0);
        coaxing.set_wanted(2e6);
        let seconds = pad(&mut coaxing, &mut now_us, 150_000.0, 400_000.0, 20);
        let padded = seconds.iter().filter(|sent| **sent > 350_000.0).count();
        assert!((8..=11).contains(&padded), "{seconds:?}");
        let (mut coaxing, mut now_us) = (Coaxing::default(), 0);
        coaxing.set_wanted(2e6);
        pad(&mut coaxing, &mut now_us, 150_000.0, 400_000.0, 1);
        coaxing.told(now_us, 350_000.0);
        let seconds = pad(&mut coaxing, &mut now_us, 150_000.0, 350_000.0, 2);
        assert!(seconds.iter().all(|sent| *sent < 160_000.0), "it was too much: {seconds:?}");
    }

    #[test]
    fn media_alone_needs_no_padding() {
        let (mut coaxing, mut now_us) = (Coaxing::default(), 0);
        coaxing.set_wanted(2e6);
        let sent = pad(&mut coaxing, &mut now_us, 400_000.0, 300_000.0, 1)[0];
        assert!((390_000.0..450_000.0).contains(&sent), "{sent}");
        coaxing.cannot_pad(now_us);
        assert_eq!(coaxing.padding(now_us, 1e6), None);
        assert_eq!(coaxing.next_us(1e6), Some(now_us + UNPADDED_US));
    }
}
