//! The same stream to rooms of several sizes: whether a packet costs more where more people take it.
//!
//! Each size has a server of its own, so that what idle receivers of the others cost is not counted. They are
//! measured in turns, and beside each the floor at its size.

use crate::load::{Load, Running};
use crate::{BURSTS, MAX_LOST, Options, PAYLOAD, Pace, SINGLE, SLOW, floor, median, verdict};
use std::path::Path;
use std::time::Duration;
use testkit::server::Server;

/// At the pace of the other measurements, and slower.
const PACES: [(&str, Pace, Option<f64>); 3] = [
    ("single packets", SINGLE, None),
    ("bursts of 8", BURSTS, Some(GOAL_FLOOR)),
    ("bursts, slow", SLOW, None),
];
/// Of the floor at that size.
const GOAL_FLOOR: f64 = 1.3;
/// Of the cost in the smallest room.
const GOAL_GROWTH: f64 = 1.15;

struct Sized {
    count: usize,
    server: Server,
    room: Running,
}

/// Prints the table. Whether every goal is met.
pub fn run(sizes: &[usize], options: &Options) -> Result<bool, testkit::Error> {
    let time = Duration::from_secs_f64(options.seconds);
    let mut rooms = Vec::new();
    for &count in sizes {
        let binary = Path::new(env!("CARGO_BIN_EXE_veche"));
        let server = Server::start(binary, &[("LOG_LEVEL", "warn")])?;
        let mut load = Load::new(&server, count, options.carrier)?;
        load.open_sockets()?;
        load.subscribe(count)?;
        rooms.push(Sized { count, room: load.start(options.feedback)?, server });
    }
    println!(
        "1 publisher, {PAYLOAD} bytes, {} rounds of {} s, receivers by {}\n",
        options.rounds,
        options.seconds,
        options.carrier.as_str()
    );
    println!("                          µs/packet   floor   ratio   goal     growth   goal   lost");
    let mut is_met = true;
    for (name, pace, goal) in PACES {
        let mut rounds = vec![Vec::new(); rooms.len()];
        for _ in 0..options.rounds {
            for (at, sized) in rooms.iter_mut().enumerate() {
                let forwarded = sized.room.measure(sized.server.pid(), pace, time)?;
                let floor = floor::measure(sized.count, pace, time)?;
                rounds[at].push((forwarded.per_packet_us, floor, forwarded.lost));
            }
        }
        for (sized, of_size) in rooms.iter().zip(&rounds) {
            let cost = median(of_size.iter().map(|(cost, _, _)| *cost));
            let floor = median(of_size.iter().map(|(_, floor, _)| *floor));
            let ratio = median(of_size.iter().map(|(cost, floor, _)| cost / floor));
            // Round by round, as the machine is another one each minute.
            let growth =
                median(rounds[0].iter().zip(of_size).map(|(first, this)| this.0 / first.0));
            let lost = of_size.iter().map(|(_, _, lost)| *lost).fold(0.0, f64::max);
            let told = goal.map_or(String::new(), |goal| format!("≤ {goal}"));
            let is_row_met =
                growth <= GOAL_GROWTH && goal.is_none_or(|goal| ratio <= goal) && lost <= MAX_LOST;
            println!(
                "{name:<14} {:>6} {cost:>12.2} {floor:>7.2} {ratio:>7.2}   {told:<6} {growth:>8.2}   ≤ {GOAL_GROWTH} {:>5.2} %  {}",
                sized.count,
                lost * 100.0,
                verdict(is_row_met, &mut is_met)
            );
        }
    }
    for sized in rooms {
        sized.room.stop()?;
        let (code, _) = sized.server.stop()?;
        if code != Some(0) {
            return Err(testkit::Error::Answer(format!("the server ended with {code:?}")));
        }
    }
    Ok(is_met)
}
