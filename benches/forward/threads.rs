//! One room over two threads against one: what the hand-over between them costs, and whether both do their share.
//!
//! A server for each way, measured in turns, so that all of them meet the same moods of the machine. Beside them stands what the
//! floor grows by when a second thread sends half of it.

use crate::load::{Load, Running};
use crate::{MAX_LOST, Options, PACES, floor, median, verdict};
use std::path::Path;
use std::time::Duration;
use testkit::server::{Cost, Server};

/// Of the cost on one thread.
const GOAL: f64 = 1.18;
/// Each thread's share of what both did.
const SHARES: std::ops::RangeInclusive<f64> = 0.4..=0.6;

type Settings = &'static [(&'static str, &'static str)];

/// Threads by name, and how the server is set for them. The first is what the others are held against.
const WAYS: [(&str, Settings); 3] = [
    ("one thread", &[("MEDIA_THREADS", "1")]),
    ("two, one port", &[("MEDIA_THREADS", "2"), ("MEDIA_SPREAD", "always")]),
    (
        "two, a port each",
        &[("MEDIA_THREADS", "2"), ("MEDIA_SPREAD", "always"), ("MEDIA_SINGLE_PORT", "false")],
    ),
];

struct Way {
    name: &'static str,
    server: Server,
    room: Running,
    rounds: Vec<Round>,
}

struct Round {
    per_packet_us: f64,
    /// Of the media threads' time that of the first.
    share: f64,
    lost: f64,
}

impl Way {
    fn start(
        name: &'static str,
        settings: Settings,
        options: &Options,
    ) -> Result<Self, testkit::Error> {
        let mut all = vec![("LOG_LEVEL", "warn")];
        all.extend_from_slice(settings);
        let server = Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &all)?;
        let mut load = Load::new(&server, options.subscribers, options.carrier)?;
        load.open_sockets()?;
        load.subscribe(options.subscribers)?;
        Ok(Self { name, room: load.start(options.feedback)?, server, rounds: Vec::new() })
    }

    fn measure(&mut self, pace: crate::Pace, time: Duration) -> Result<(), testkit::Error> {
        let pid = self.server.pid();
        let threads = || -> Result<[f64; 2], testkit::Error> {
            let of = |name| Ok::<_, testkit::Error>(Cost::of_thread(pid, name)?.as_secs_f64());
            Ok([of("media-0")?, of("media-1")?])
        };
        let before = threads()?;
        let forwarded = self.room.measure(pid, pace, time)?;
        let after = threads()?;
        let used = [after[0] - before[0], after[1] - before[1]];
        self.rounds.push(Round {
            per_packet_us: forwarded.per_packet_us,
            share: used[0] / (used[0] + used[1]),
            lost: forwarded.lost,
        });
        Ok(())
    }
}

/// Prints the table. Whether every goal is met.
pub fn run(options: &Options) -> Result<bool, testkit::Error> {
    let time = Duration::from_secs_f64(options.seconds);
    let mut ways = Vec::new();
    for (name, settings) in WAYS {
        ways.push(Way::start(name, settings, options)?);
    }
    println!(
        "1 publisher, {} subscribers in one room, {} rounds of {} s\n",
        options.subscribers, options.rounds, options.seconds
    );
    println!(
        "                                    µs/packet   ratio   goal     first thread   goal      lost"
    );
    let mut is_met = true;
    for (pace_name, pace, _) in PACES {
        for way in &mut ways {
            way.rounds.clear();
        }
        let mut floors = Vec::new();
        for _ in 0..options.rounds {
            for way in &mut ways {
                way.measure(pace, time)?;
            }
            let one = floor::measure(options.subscribers, pace, time)?;
            floors.push((one, floor::measure_shared(options.subscribers, pace, time)?));
        }
        let one = &ways[0].rounds;
        for (at, way) in ways.iter().enumerate() {
            let cost = median(way.rounds.iter().map(|round| round.per_packet_us));
            // Round by round, as the machine is another one each minute.
            let both = one.iter().zip(&way.rounds);
            let ratio = median(both.map(|(one, this)| this.per_packet_us / one.per_packet_us));
            let share = median(way.rounds.iter().map(|round| round.share));
            let lost = way.rounds.iter().map(|round| round.lost).fold(0.0, f64::max);
            let row = format!("{pace_name:<16} {:<17}", way.name);
            let told = match at {
                0 => String::new(),
                _ => format!("{ratio:>7.2}   ≤ {GOAL} {:>12.0} %   40–60 %", share * 100.0),
            };
            let is_row_met =
                at == 0 || ratio <= GOAL && SHARES.contains(&share) && lost <= MAX_LOST;
            println!(
                "{row} {cost:>10.2} {told:<42} {:>6.2} %  {}",
                lost * 100.0,
                verdict(is_row_met, &mut is_met)
            );
        }
        println!(
            "{pace_name:<16} {:<17} {:>10.2} {:>7.2}   (on one {:.2})",
            "floor, two",
            median(floors.iter().map(|(_, two)| *two)),
            median(floors.iter().map(|(one, two)| two / one)),
            median(floors.iter().map(|(one, _)| *one)),
        );
    }
    for way in ways {
        way.room.stop()?;
        let (code, _) = way.server.stop()?;
        if code != Some(0) {
            return Err(testkit::Error::Answer(format!("the server ended with {code:?}")));
        }
    }
    Ok(is_met)
}
