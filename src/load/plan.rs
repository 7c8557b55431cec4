//! What is asked of a load: who comes, what they send and for how long. Everything has a bound.

use crate::doctor::Language;
use anyhow::{bail, ensure};
use clap::Args;
use client::pictures::Size;
use protocol::limits::MAX_DISPLAY_NAME_CHARS;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// What the command line says.
#[derive(Args, Clone, Debug, Serialize)]
pub struct Plan {
    /// Address of the server, or the link of a room in it; without a room one is made, and deleted at the end
    pub url: String,
    /// People who film and may speak; they see and hear the others too
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub publishers: usize,
    /// People who only see and hear
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub subscribers: usize,
    /// People who stay for a while, leave, and come again
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub visitors: usize,
    /// How long each of those stays, about
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub stay: f64,
    /// How many publishers speak at a time; they take turns
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub speakers: usize,
    /// How long a turn is
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub turn: f64,
    /// No pictures
    #[arg(long)]
    pub audio_only: bool,
    /// Sizes in which each camera is sent (simulcast)
    #[arg(long, value_name = "1-3", default_value_t = 1)]
    pub layers: usize,
    /// Kilobits per second of the largest size; each smaller one has a third of the one above
    #[arg(long, value_name = "KBIT", default_value_t = 1_000)]
    pub bitrate: u32,
    /// Frames per second
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub fps: u32,
    /// Packets of a frame of the largest size, sent at once [default: as few as carry it]
    #[arg(long, value_name = "N")]
    pub burst: Option<usize>,
    /// Audio slots that everybody asks for [default: the server's]
    #[arg(long, value_name = "N")]
    pub audio_slots: Option<u8>,
    /// Video slots that everybody asks for [default: the server's]
    #[arg(long, value_name = "N")]
    pub video_slots: Option<u8>,
    /// Publishers whom everybody's screen shows [default: the server chooses by who speaks]
    #[arg(long, value_name = "N")]
    pub tiles: Option<usize>,
    /// Width of such a tile; it is 16:9
    #[arg(long, value_name = "PIXELS", default_value_t = 320)]
    pub tile_width: u16,
    /// Once all are in, how long it goes on
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub duration: f64,
    /// How many come per second
    #[arg(long, value_name = "N", default_value_t = 20.0)]
    pub rate: f64,
    /// Lines of chat per second, of all together
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    pub chat: f64,
    /// Presences of each guest: more than one needs fewer identities, of which a server gives few to one address
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub presences: usize,
    /// What people are called, each with a number behind: loads in one room are told apart by it
    #[arg(long, value_name = "WORD", default_value = "Load")]
    pub name: String,
    /// Invite key of the room, where it asks for one
    #[arg(long, value_name = "KEY")]
    #[serde(skip)]
    pub invite_key: Option<String>,
    /// Account that makes the room, where guests may not; its password stands in VECHE_LOAD_PASSWORD
    #[arg(long, value_name = "NAME")]
    #[serde(skip)]
    pub account: Option<String>,
    /// What chance begins with: who stays how long, and when each camera's frames come
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Threads that send and receive
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Process of the server on this machine, to read what it costs
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Token of the server's /metrics, to read there what it costs
    #[arg(long, value_name = "TOKEN", env = "VECHE_METRICS_TOKEN", hide_env_values = true)]
    #[serde(skip)]
    pub metrics_token: Option<String>,
    /// File to write the numbers to
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub json: Option<PathBuf>,
    /// Language of the report
    #[arg(long, value_enum, default_value = "en")]
    #[serde(skip)]
    pub lang: Language,
    /// PEM file of an authority that vouches for the server's certificate, where browsers' list does not
    #[arg(long, value_name = "PATH")]
    #[serde(skip)]
    pub authority: Option<PathBuf>,
}

impl Plan {
    /// Refuses what has no bound or makes no sense.
    ///
    /// # Errors
    /// In words.
    pub fn check(&self) -> anyhow::Result<()> {
        let people = self.people();
        ensure!(people > 0, "nobody comes: give --publishers or --subscribers");
        ensure!(people <= MAX_PEOPLE, "{people} people are too many: {MAX_PEOPLE} are the most");
        let within = |name: &str, value: f64, least: f64, most: f64| {
            let is_within = (least..=most).contains(&value);
            ensure!(is_within, "--{name} {value} is not between {least} and {most}");
            Ok(())
        };
        within("duration", self.duration, 0.1, MAX_SECONDS)?;
        within("rate", self.rate, 0.1, MAX_RATE)?;
        within("stay", self.stay, 0.5, MAX_SECONDS)?;
        within("turn", self.turn, 0.1, MAX_SECONDS)?;
        within("chat", self.chat, 0.0, 1_000.0)?;
        within("layers", self.layers as f64, 1.0, 3.0)?;
        within("fps", f64::from(self.fps), 1.0, 500.0)?;
        within("bitrate", f64::from(self.bitrate), 10.0, 20_000.0)?;
        within("burst", self.burst.unwrap_or(1) as f64, 1.0, 64.0)?;
        within("presences", self.presences as f64, 1.0, 50.0)?;
        within("threads", self.threads as f64, 1.0, 64.0)?;
        let longest = self.name.chars().count() + " 4999".len();
        ensure!(longest <= MAX_DISPLAY_NAME_CHARS, "--name {} is too long", self.name);
        if self.speakers > self.publishers && self.publishers > 0 {
            let (speakers, publishers) = (self.speakers, self.publishers);
            bail!("{speakers} cannot speak at a time: there are {publishers} publishers");
        }
        Ok(())
    }

    /// Everybody.
    pub fn people(&self) -> usize {
        self.publishers + self.subscribers + self.visitors
    }

    /// Sockets and files that it takes at a time: a WebSocket and one datagram socket for each transport.
    pub fn files(&self) -> usize {
        2 * self.people() + self.publishers + 256
    }

    /// What the pictures and the sound of one publisher are.
    pub fn pace(&self) -> Pace {
        let layers = if self.audio_only { 0 } else { self.layers };
        let layer = |index: usize| {
            let below = (layers - 1 - index) as u32;
            let bytes = self.bitrate as usize * 1_000 / 8 / 3usize.pow(below) / self.fps as usize;
            let fewest = bytes.div_ceil(MAX_PAYLOAD).max(1);
            let packets = if below == 0 { self.burst.unwrap_or(fewest) } else { fewest };
            let length = (bytes / packets).clamp(MIN_PAYLOAD, MAX_PAYLOAD);
            let size = Size::ALL[Size::ALL.len() - 1 - below as usize];
            Layer { packets, length, size }
        };
        Pace {
            layers: (0..layers).map(layer).collect(),
            every: Duration::from_secs(1) / self.fps,
            publishers: self.publishers,
            speakers: self.speakers,
            turn: Duration::from_secs_f64(self.turn),
        }
    }
}

/// When what is sent.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Of the camera, the smallest first; none where there is no camera.
    pub layers: Vec<Layer>,
    /// Between frames.
    pub every: Duration,
    publishers: usize,
    speakers: usize,
    turn: Duration,
}

/// One size of a camera's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Packets of a frame.
    pub packets: usize,
    /// Payload bytes of each.
    pub length: usize,
    /// Of the pictures.
    pub size: Size,
}

impl Pace {
    /// Whether it is that publisher's turn to speak, so long after the beginning.
    pub fn speaks(&self, publisher: usize, elapsed: Duration) -> bool {
        let Some(publishers) = std::num::NonZeroUsize::new(self.publishers) else { return false };
        let turn = (elapsed.as_micros() / self.turn.as_micros().max(1)) as usize;
        let begins = turn.wrapping_mul(self.speakers) % publishers;
        (publisher + self.publishers - begins) % publishers < self.speakers
    }
}

/// More would need more than one machine, and a second look at what is wanted.
const MAX_PEOPLE: usize = 5_000;
/// A load that is forgotten ends by itself.
const MAX_SECONDS: f64 = 3_600.0;
/// Each comes with a handshake that costs this process a millisecond and more.
const MAX_RATE: f64 = 500.0;
/// With headers and encryption still within what every network carries.
const MAX_PAYLOAD: usize = 1_100;
/// Room for a stamp behind what makes it a picture.
const MIN_PAYLOAD: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        plan: Plan,
    }

    fn plan(words: &str) -> Plan {
        let words = ["load", "http://localhost"].into_iter().chain(words.split_whitespace());
        Line::try_parse_from(words).expect("words of the command line").plan
    }

    #[test]
    fn what_has_no_bound_is_refused_in_words() {
        assert!(plan("").check().is_ok());
        for words in [
            "--publishers 0 --subscribers 0",
            "--subscribers 5001",
            "--duration 3601",
            "--rate 501",
            "--layers 4",
            "--speakers 3 --publishers 2",
            "--name Sixty-letters-sixty-letters-sixty-letters-sixty-letters-sixty",
        ] {
            assert!(plan(words).check().is_err(), "{words}");
        }
    }

    #[test]
    fn frames_carry_the_bitrate_in_as_few_packets_as_fit_or_as_many_as_asked() {
        let pace = plan("--bitrate 1500 --fps 30 --layers 3").pace();
        let rate = |layer: &Layer| layer.packets * layer.length * 8 * 30 / 1_000;
        let [q, h, f] = pace.layers[..] else { panic!("three layers") };
        assert!((1_450..=1_500).contains(&rate(&f)) && (480..=500).contains(&rate(&h)));
        assert!((150..=167).contains(&rate(&q)), "{q:?}");
        assert_eq!((f.packets, [q.size, h.size, f.size]), (6, Size::ALL));
        let burst = plan("--bitrate 1500 --burst 8").pace().layers[0];
        assert_eq!((burst.packets, burst.length), (8, 781));
        assert!(plan("--audio-only --layers 3").pace().layers.is_empty());
    }

    #[test]
    fn as_many_speak_as_were_asked_for_and_everybody_has_a_turn() {
        let pace = plan("--publishers 5 --speakers 2 --turn 1").pace();
        let mut turns = [0; 5];
        for second in 0..50 {
            let at = Duration::from_millis(second * 1_000 + 500);
            let speaking: Vec<usize> = (0..5).filter(|k| pace.speaks(*k, at)).collect();
            assert_eq!(speaking.len(), 2);
            speaking.into_iter().for_each(|k| turns[k] += 1);
        }
        assert_eq!(turns, [20; 5]);
        assert!(!plan("--publishers 0").pace().speaks(0, Duration::ZERO));
    }
}
