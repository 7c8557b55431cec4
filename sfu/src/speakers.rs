//! Who speaks in a room, and how loud.
//!
//! Loudness comes from the audio level that encoders put into a header extension (RFC 6464) or,
//! where one does not, from the sizes of its Opus packets and its silence (DTX). What is wanted is
//! calm: a cough takes nobody's place, a pause between words loses none, and two people talking at
//! once do not swap places with every syllable.

mod voice;

use crate::relay::{PlaneId, RelayedVoice};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use voice::Voice;

/// The voices of one room.
#[derive(Debug, Default)]
pub struct Speakers {
    /// Ordered, so that the same input gives the same ranking.
    voices: BTreeMap<u32, Voice>,
    ranking: Vec<u32>,
    /// Reused between polls.
    previous: Vec<u32>,
    /// Who speaks on other planes, and how loud.
    elsewhere: BTreeMap<u32, (PlaneId, f32)>,
    polled: Option<Instant>,
}

impl Speakers {
    /// A silent room.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one audio packet of `who`: the level of RFC 6464 (0 loudest, 127 silent) if it carries
    /// one, its voice flag, and the length of its Opus frame.
    pub fn heard(
        &mut self,
        now: Instant,
        who: u32,
        level: Option<u8>,
        voice: bool,
        payload_len: usize,
    ) {
        if !self.voices.contains_key(&who) {
            self.make_room();
        }
        self.voices.entry(who).or_insert_with(|| Voice::new(now)).heard(
            now,
            level,
            voice,
            payload_len,
        );
    }

    /// Forgets someone who left or stopped publishing.
    pub fn forget(&mut self, who: u32) {
        self.voices.remove(&who);
        self.elsewhere.remove(&who);
    }

    /// Notes who speaks on another plane, instead of what was known of it.
    pub fn heard_on(&mut self, plane: PlaneId, voices: &[RelayedVoice]) {
        let before = self.elsewhere.len();
        self.elsewhere.retain(|who, (known, _)| {
            *known != plane || voices.iter().any(|voice| voice.csrc == *who)
        });
        let mut is_other = self.elsewhere.len() < before;
        for voice in voices.iter().take(MAX_SPEAKERS) {
            let loudness = f32::from(voice.loudness) / f32::from(u16::MAX);
            is_other |= self.elsewhere.insert(voice.csrc, (plane, loudness)).is_none();
        }
        // That plane has waited already to tell of it.
        if is_other {
            self.polled = None;
        }
    }

    /// Another ranks from now on.
    pub fn forget_others(&mut self) {
        self.elsewhere.clear();
    }

    /// Takes the ranking over from who ranked so far: those who speak on other planes stay in it until their planes have
    /// said how loud they are.
    pub fn take_over(&mut self, ranking: &[u32], plane_of: impl Fn(u32) -> Option<PlaneId>) {
        self.ranking.clear();
        self.ranking.extend_from_slice(ranking);
        let others = ranking.iter().filter_map(|&who| Some((who, (plane_of(who)?, 0.0))));
        self.elsewhere.extend(others);
    }

    /// Looks who speaks here, for another plane to rank; `None` where it is not time to.
    pub fn poll_voices(&mut self, now: Instant) -> Option<Vec<RelayedVoice>> {
        if self.polled.is_some_and(|polled| now.saturating_duration_since(polled) < POLL_INTERVAL) {
            return None;
        }
        self.poll(now);
        Some(self.loudest())
    }

    /// Who spoke here at the last poll, with how loud they were.
    pub fn loudest(&self) -> Vec<RelayedVoice> {
        let voices = self.ranking.iter().filter_map(|who| Some((*who, self.voices.get(who)?)));
        let voices = voices.filter(|(_, voice)| voice.is_speaking);
        let loud = voices.map(|(csrc, voice)| RelayedVoice {
            csrc,
            loudness: (voice.loudness().clamp(0.0, 1.0) * f32::from(u16::MAX)) as u16,
        });
        loud.collect()
    }

    /// Who speaks now, loudest first and at most [`MAX_SPEAKERS`]; `None` as long as that has not
    /// changed. Changes come at most every [`POLL_INTERVAL`].
    pub fn poll(&mut self, now: Instant) -> Option<&[u32]> {
        if self.polled.is_some_and(|polled| now.saturating_duration_since(polled) < POLL_INTERVAL) {
            return None;
        }
        self.polled = Some(now);
        for voice in self.voices.values_mut() {
            voice.settle(now);
        }
        std::mem::swap(&mut self.ranking, &mut self.previous);
        self.ranking.clear();
        // Those ranked before keep their order, new ones follow; then each moves up only past
        // somebody who is clearly quieter.
        let (voices, elsewhere) = (&self.voices, &self.elsewhere);
        let is_speaking = |who: &u32| {
            elsewhere.contains_key(who) || voices.get(who).is_some_and(|voice| voice.is_speaking)
        };
        self.ranking.extend(self.previous.iter().copied().filter(is_speaking));
        let kept = self.ranking.len();
        let here = voices.iter().filter(|(_, voice)| voice.is_speaking).map(|(who, _)| who);
        for who in here.chain(elsewhere.keys()) {
            if !self.ranking[..kept].contains(who) {
                self.ranking.push(*who);
            }
        }
        let loudness = |who: u32| match elsewhere.get(&who) {
            Some((_, loudness)) => *loudness,
            None => voices.get(&who).map_or(0.0, Voice::loudness),
        };
        for at in 1..self.ranking.len() {
            let mut place = at;
            while place > 0
                && loudness(self.ranking[place])
                    > loudness(self.ranking[place - 1]) * CLEARLY_LOUDER
            {
                self.ranking.swap(place, place - 1);
                place -= 1;
            }
        }
        self.ranking.truncate(MAX_SPEAKERS);
        (self.ranking != self.previous).then_some(&self.ranking)
    }

    /// Who spoke at the last poll, loudest first.
    pub fn ranking(&self) -> &[u32] {
        &self.ranking
    }

    /// Recent loudness from 0 (silent, or unknown) to 1, for the choice of who gets an audio slot.
    /// Rises within a syllable and falls over seconds.
    pub fn score(&self, now: Instant, who: u32) -> f32 {
        self.voices.get(&who).map_or(0.0, |voice| {
            let mut voice = voice.clone();
            voice.settle(now);
            voice.short.max(voice.long)
        })
    }

    /// When somebody was last speaking; `None` for who has not yet.
    pub fn last_spoke(&self, who: u32) -> Option<Instant> {
        self.voices.get(&who)?.last_spoke
    }

    fn make_room(&mut self) {
        if self.voices.len() >= MAX_VOICES
            && let Some(quietest) =
                self.voices.iter().min_by_key(|(_, voice)| voice.heard).map(|(who, _)| *who)
        {
            self.voices.remove(&quietest);
        }
    }
}

/// Speakers named at a time. More would not be seen on a screen, and grows every broadcast.
pub const MAX_SPEAKERS: usize = 8;

/// Shorter makes more broadcasts in a lively room, longer makes the picture lag behind the voice.
pub const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Voices remembered. The room's size is bounded elsewhere; past this the one longest unheard goes.
const MAX_VOICES: usize = 4096;

/// How much louder a lower place must be to move up.
const CLEARLY_LOUDER: f32 = 1.3;

#[cfg(test)]
mod tests {
    use super::*;

    struct Room {
        speakers: Speakers,
        start: Instant,
        now: Instant,
        changes: Vec<Vec<u32>>,
    }

    impl Room {
        fn new() -> Self {
            let start = Instant::now();
            Room { speakers: Speakers::new(), start, now: start, changes: Vec::new() }
        }

        /// 20 ms packets of everybody for a time; `packet` gives level, voice and length by elapsed ms.
        fn run(
            &mut self,
            millis: u64,
            packet: impl Fn(u32, u64) -> Option<(Option<u8>, bool, usize)>,
        ) {
            for _ in 0..millis / 20 {
                self.now += Duration::from_millis(20);
                let elapsed = (self.now - self.start).as_millis() as u64;
                for who in 1..=4 {
                    if let Some((level, voice, len)) = packet(who, elapsed) {
                        self.speakers.heard(self.now, who, level, voice, len);
                    }
                }
                if let Some(ranking) = self.speakers.poll(self.now) {
                    self.changes.push(ranking.to_vec());
                }
            }
        }
    }

    /// Speech-like: syllables of 160 ms with short dips, around this level.
    fn speech(level: u8, elapsed: u64) -> Option<(Option<u8>, bool, usize)> {
        let dip = if elapsed % 200 < 40 { 25 } else { (elapsed / 20 * 7 % 9) as u8 };
        Some((Some(level + dip), true, 90))
    }

    const QUIET: Option<(Option<u8>, bool, usize)> = Some((Some(90), false, 40));

    #[test]
    fn a_speaker_is_noticed_within_half_a_second_and_stays_through_pauses_between_words() {
        let mut room = Room::new();
        room.run(2000, |_, _| QUIET);
        assert!(room.changes.is_empty());
        room.run(500, |who, at| if who == 2 { speech(30, at) } else { QUIET });
        assert_eq!(room.changes, [vec![2]]);
        room.run(
            10_000,
            |who, at| if who == 2 && at % 1500 < 1100 { speech(30, at) } else { QUIET },
        );
        assert_eq!(room.changes, [vec![2]]);
        room.run(3000, |_, _| QUIET);
        assert_eq!(room.changes, [vec![2], vec![]]);
    }

    #[test]
    fn a_cough_is_not_a_speaker() {
        let mut room = Room::new();
        room.run(1000, |_, _| QUIET);
        room.run(60, |who, _| if who == 1 { Some((Some(20), true, 120)) } else { QUIET });
        room.run(2000, |_, _| QUIET);
        assert!(room.changes.is_empty(), "{:?}", room.changes);
    }

    #[test]
    fn two_equals_talking_at_once_do_not_swap_places() {
        let mut room = Room::new();
        room.run(30_000, |who, at| match who {
            1 => speech(30, at),
            3 => speech(30, at + 90),
            _ => QUIET,
        });
        assert!(room.changes.len() <= 2, "{:?}", room.changes);
        assert_eq!(room.speakers.ranking().len(), 2);
    }

    #[test]
    fn who_is_clearly_louder_comes_first() {
        let mut room = Room::new();
        room.run(5000, |who, at| if who == 1 { speech(40, at) } else { QUIET });
        room.run(5000, |who, at| match who {
            1 => speech(42, at),
            4 => speech(15, at),
            _ => QUIET,
        });
        assert_eq!(room.speakers.ranking(), [4, 1]);
        assert!(room.speakers.score(room.now, 4) > room.speakers.score(room.now, 1));
        assert_eq!(room.speakers.score(room.now, 99), 0.0);
    }

    #[test]
    fn a_level_that_never_moves_fades() {
        let mut room = Room::new();
        room.run(3000, |who, _| (who == 1).then_some((Some(20), true, 90)));
        assert_eq!(room.speakers.ranking(), [1]);
        room.run(20_000, |who, _| (who == 1).then_some((Some(20), true, 90)));
        assert!(room.speakers.ranking().is_empty());
        assert!(room.speakers.score(room.now, 1) < 0.05);
        // And is believed again as soon as it moves.
        room.run(1000, |who, at| if who == 1 { speech(25, at) } else { None });
        assert_eq!(room.speakers.ranking(), [1]);
    }

    #[test]
    fn an_encoder_without_levels_is_heard_by_dtx() {
        let mut room = Room::new();
        let refresh = |at: u64| {
            at.is_multiple_of(400).then_some((
                None,
                false,
                if at.is_multiple_of(800) { 12 } else { 1 },
            ))
        };
        room.run(4000, |who, at| if who == 2 { refresh(at) } else { None });
        assert!(room.changes.is_empty());
        room.run(1000, |who, at| {
            (who == 2).then_some((None, false, 70 + (at / 20 % 5 * 10) as usize))
        });
        assert_eq!(room.speakers.ranking(), [2]);
        room.run(3000, |who, at| if who == 2 { refresh(at) } else { None });
        assert!(room.speakers.ranking().is_empty());
    }

    #[test]
    fn an_encoder_without_levels_and_dtx_is_heard_by_sizes() {
        let mut room = Room::new();
        room.run(12_000, |who, at| {
            (who == 3).then_some((None, false, 22 + (at / 20 % 3) as usize))
        });
        assert!(room.speakers.ranking().is_empty(), "sizes that stay tell nothing");
        room.run(1500, |who, at| {
            (who == 3).then_some((None, false, 70 + (at / 20 * 13 % 60) as usize))
        });
        assert_eq!(room.speakers.ranking(), [3]);
        room.run(3000, |who, at| (who == 3).then_some((None, false, 22 + (at / 20 % 3) as usize)));
        assert!(room.speakers.ranking().is_empty());
    }

    #[test]
    fn who_speaks_on_another_plane_is_ranked_with_those_here() {
        let mut room = Room::new();
        let there = |loudness: f32| {
            [RelayedVoice { csrc: 77, loudness: (loudness * f32::from(u16::MAX)) as u16 }]
        };
        room.run(3_000, |who, at| if who == 1 { speech(30, at) } else { QUIET });
        assert_eq!(room.speakers.ranking(), [1]);
        let here = room.speakers.loudest()[0];
        assert_eq!(here.csrc, 1);
        let loudness = f32::from(here.loudness) / f32::from(u16::MAX);
        // Told at once, not at the next round; and a little louder is not first.
        room.speakers.heard_on(PlaneId(3), &there(loudness * 1.1));
        assert_eq!(room.speakers.poll(room.now).map(<[u32]>::to_vec), Some(vec![1, 77]));
        room.speakers.heard_on(PlaneId(3), &there((loudness * 2.0).min(1.0)));
        room.run(400, |who, at| if who == 1 { speech(30, at) } else { QUIET });
        assert_eq!(room.speakers.ranking(), [77, 1]);
        // Another plane knows nothing of that one's people.
        room.speakers.heard_on(PlaneId(2), &[]);
        room.run(400, |who, at| if who == 1 { speech(30, at) } else { QUIET });
        assert_eq!(room.speakers.ranking(), [77, 1]);
        room.speakers.heard_on(PlaneId(3), &[]);
        assert_eq!(room.speakers.poll(room.now).map(<[u32]>::to_vec), Some(vec![1]));
    }

    #[test]
    fn who_takes_the_ranking_over_keeps_it_until_told_otherwise() {
        let mut room = Room::new();
        room.run(3_000, |who, at| if who == 1 { speech(30, at) } else { QUIET });
        room.speakers.take_over(&[77, 1], |who| (who == 77).then_some(PlaneId(3)));
        room.run(1_000, |who, at| if who == 1 { speech(30, at) } else { QUIET });
        let mut named = room.speakers.ranking().to_vec();
        named.sort_unstable();
        assert_eq!(named, [1, 77]);
        room.speakers.heard_on(PlaneId(3), &[]);
        room.run(400, |who, at| if who == 1 { speech(30, at) } else { QUIET });
        assert_eq!(room.speakers.ranking(), [1]);
    }

    #[test]
    fn a_voice_whose_packets_stop_falls_silent_and_the_forgotten_are_gone() {
        let mut room = Room::new();
        room.run(2000, |who, at| if who <= 2 { speech(25, at) } else { None });
        assert_eq!(room.speakers.ranking(), [1, 2]);
        room.speakers.forget(1);
        room.run(400, |who, at| if who == 2 { speech(25, at) } else { None });
        assert_eq!(room.speakers.ranking(), [2]);
        room.run(5000, |_, _| None);
        assert!(room.speakers.ranking().is_empty());
        assert!(room.speakers.score(room.now, 2) < 0.2);
        assert!(
            room.speakers.last_spoke(2).is_some_and(|at| room.now - at > Duration::from_secs(3))
        );
        assert_eq!(room.speakers.last_spoke(1), None);
    }

    #[test]
    fn at_most_eight_are_named_and_memory_is_bounded() {
        let mut speakers = Speakers::new();
        let mut now = Instant::now();
        for at in 0..100 {
            now += Duration::from_millis(20);
            for who in 0..20 {
                let (level, voice, len) = speech(20 + who as u8, at * 20).expect("speech sounds");
                speakers.heard(now, who, level, voice, len);
            }
        }
        assert_eq!(speakers.poll(now).expect("all speak").len(), MAX_SPEAKERS);
        for who in 0..MAX_VOICES as u32 + 100 {
            speakers.heard(now, 1000 + who, Some(50), true, 80);
        }
        assert_eq!(speakers.voices.len(), MAX_VOICES);
    }
}
