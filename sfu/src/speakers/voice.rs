//! How loud one person is, and whether that is speech.

use std::time::{Duration, Instant};

/// One person's loudness over three spans of time. Activities are between 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    /// Over a syllable: how fast a new voice is noticed.
    pub(super) short: f32,
    /// Over a few words: whether somebody is speaking.
    medium: f32,
    /// Over sentences: who leads.
    pub(super) long: f32,
    /// Averages are settled up to here.
    settled: Instant,
    pub(super) heard: Instant,
    pub(super) is_speaking: bool,
    last_loud: Instant,
    pub(super) last_spoke: Option<Instant>,
    has_flagged_voice: bool,
    sizes: Sizes,
    movement: Movement,
}

impl Voice {
    pub(super) fn new(now: Instant) -> Self {
        Voice {
            short: 0.0,
            medium: 0.0,
            long: 0.0,
            settled: now,
            heard: now,
            is_speaking: false,
            last_loud: now,
            last_spoke: None,
            has_flagged_voice: false,
            sizes: Sizes::default(),
            movement: Movement { anchor: 0.0, moved: now },
        }
    }

    pub(super) fn heard(
        &mut self,
        now: Instant,
        level: Option<u8>,
        voice: bool,
        payload_len: usize,
    ) {
        // The packet stands for the time since the one before, unless there was a pause.
        let span = now.saturating_duration_since(self.heard).clamp(MIN_SPAN, MAX_SPAN);
        self.settle(now);
        self.heard = now;
        self.settled = now;
        self.has_flagged_voice |= voice;
        let activity = match level {
            Some(level) => {
                let activity = activity_of_level(level);
                // Encoders that never set the flag say nothing by leaving it out.
                if self.has_flagged_voice && !voice { activity * NOT_VOICE } else { activity }
            }
            None => self.sizes.activity(payload_len),
        };
        let activity = activity * self.movement.trust(now, activity);
        self.advance(activity, span);
        self.judge(now);
    }

    /// Lets the averages fall over a time without packets.
    pub(super) fn settle(&mut self, now: Instant) {
        let since = self.settled.max(self.heard + MAX_SPAN);
        let silent = now.saturating_duration_since(since);
        if !silent.is_zero() {
            self.advance(0.0, silent);
            self.settled = now;
            self.judge(now);
        }
    }

    fn advance(&mut self, activity: f32, span: Duration) {
        let approach = |average: &mut f32, over: Duration| {
            let share = 1.0 - (-span.as_secs_f32() / over.as_secs_f32()).exp();
            *average += (activity - *average) * share;
        };
        approach(&mut self.short, SHORT);
        approach(&mut self.medium, MEDIUM);
        approach(&mut self.long, LONG);
    }

    fn judge(&mut self, now: Instant) {
        if self.medium >= SPEAKING {
            self.is_speaking = true;
            self.last_loud = now;
        } else if self.medium < SILENT && now.saturating_duration_since(self.last_loud) >= HOLD {
            self.is_speaking = false;
        }
        if self.is_speaking {
            self.last_spoke = Some(now);
        }
    }

    pub(super) fn loudness(&self) -> f32 {
        self.long.max(self.medium / 2.0)
    }
}

/// −60 dBov and below is a quiet room, −10 dBov somebody shouting.
fn activity_of_level(level: u8) -> f32 {
    ((60.0 - f32::from(level & 0x7f)) / 50.0).clamp(0.0, 1.0)
}

/// What the sizes of Opus packets tell of an encoder without audio levels.
#[derive(Clone, Debug, Default)]
struct Sizes {
    /// Smallest and largest size of late, each slow to come back.
    low: f32,
    high: f32,
    uses_dtx: bool,
    /// Sounding packets in a row.
    run: u8,
}

impl Sizes {
    fn activity(&mut self, len: usize) -> f32 {
        if len <= DTX_LEN {
            self.uses_dtx = true;
            self.run = 0;
            return 0.0;
        }
        self.run = self.run.saturating_add(1);
        let len = len.min(MAX_OPUS) as f32;
        if self.high == 0.0 {
            (self.low, self.high) = (len, len);
        }
        self.low = if len < self.low { len } else { self.low + (len - self.low) * SIZE_FORGET };
        self.high = if len > self.high { len } else { self.high + (len - self.high) * SIZE_FORGET };
        let spread = self.high - self.low;
        let by_size = if spread > self.low * MIN_SPREAD { (len - self.low) / spread } else { 0.5 };
        if !self.uses_dtx {
            return by_size * 0.6;
        }
        // While silent, a single packet refreshes the background noise every 400 ms.
        if self.run < MIN_RUN { 0.0 } else { 0.3 + by_size * 0.3 }
    }
}

/// Speech moves all the time. A level that does not is a hum, a tone or a stuck encoder, and is
/// believed less and less.
#[derive(Clone, Debug)]
struct Movement {
    anchor: f32,
    moved: Instant,
}

impl Movement {
    fn trust(&mut self, now: Instant, activity: f32) -> f32 {
        if (activity - self.anchor).abs() > STILL {
            self.anchor = activity;
            self.moved = now;
        }
        let still = now.saturating_duration_since(self.moved).saturating_sub(STILL_TIME);
        1.0 - (still.as_secs_f32() / STILL_FADE.as_secs_f32()).min(1.0)
    }
}

const SHORT: Duration = Duration::from_millis(120);
const MEDIUM: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_millis(2500);

/// A packet stands for at least and at most this much sound.
const MIN_SPAN: Duration = Duration::from_millis(10);
const MAX_SPAN: Duration = Duration::from_millis(120);

/// Medium activity from which somebody speaks. At −35 dBov this takes 180 ms: lower lets a cough
/// count, higher misses quiet people.
const SPEAKING: f32 = 0.18;
/// Medium activity under which somebody stopped, once `HOLD` has passed.
const SILENT: f32 = 0.08;
/// Pauses within a sentence are shorter.
const HOLD: Duration = Duration::from_millis(800);
/// What is left of a level whose encoder says that it is no voice: keyboards, fans.
const NOT_VOICE: f32 = 0.3;

/// RFC 6716: longer packets hold more than a frame and say nothing.
const MAX_OPUS: usize = 1275;
const DTX_LEN: usize = 2;
/// Share of the way that the limits of size come back by per packet: about five seconds.
const SIZE_FORGET: f32 = 0.004;
/// A spread under this share of the smallest packet is an encoder with constant bitrate.
const MIN_SPREAD: f32 = 0.3;
const MIN_RUN: u8 = 3;

/// Two decibels.
const STILL: f32 = 0.04;
/// A tone is believed for this long, and then less over the fade. Shorter would silence a long
/// vowel of a singer, longer lets a hum hold a slot.
const STILL_TIME: Duration = Duration::from_secs(5);
const STILL_FADE: Duration = Duration::from_secs(5);
