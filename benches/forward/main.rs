//! What forwarding a packet costs the running server, beside the floor: the cipher and the kernel alone.
//!
//! `cargo bench --bench forward` starts the release binary, lets one person send to many, reads the
//! server's time on a core from `/proc`, and in the same run, in turns, times a loop that does nothing but
//! encrypt and send the same packets. `benches/README.md` says how to read the table.

mod floor;
mod load;
mod meeting;
mod profile;
mod sizes;
mod threads;

use load::Load;
use sfu::Carrier;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use testkit::drain::Drain;
use testkit::server::{Cost, Server};

/// How the publisher sends.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Packets at a time.
    pub burst: usize,
    /// Between bursts.
    pub every: Duration,
    /// Payload bytes of each packet.
    pub payload: usize,
}

/// Payload bytes of each packet.
pub const PAYLOAD: usize = 1_100;
const SINGLE: Pace = Pace { burst: 1, every: Duration::from_millis(2), payload: PAYLOAD };
const BURSTS: Pace = Pace { burst: 8, every: Duration::from_millis(16), payload: PAYLOAD };
/// A picture of 1.1 Mbit/s, a quarter of the others, where what receivers cost by being there weighs more.
const SLOW: Pace = Pace { burst: 8, every: Duration::from_millis(64), payload: PAYLOAD };
const PACES: [(&str, Pace, f64); 2] =
    [("single packets", SINGLE, 1.2), ("bursts of 8", BURSTS, 1.4)];
const GOAL_USERLAND_US: f64 = 1.5;
const GOAL_KIB: f64 = 60.0;
const GOAL_JOIN_MS: f64 = 3.0;
/// More lost on the way to the receivers, and a row says nothing: losing is cheaper than forwarding.
const MAX_LOST: f64 = 0.01;

struct Options {
    subscribers: usize,
    rounds: usize,
    seconds: f64,
    feedback: bool,
    carrier: Carrier,
    /// Rooms of these sizes instead.
    sizes: Vec<usize>,
    /// Where time goes in rooms of these sizes instead.
    profile: Vec<usize>,
    /// One room over two threads instead.
    threads: bool,
}

impl Options {
    /// `None` when this is not `cargo bench` but a test run that only builds benches.
    fn read() -> Option<Self> {
        let words = testkit::options::Options::of_bench()?;
        Some(Self {
            subscribers: words.value("--subscribers", 50.0) as usize,
            rounds: words.value("--rounds", 5.0) as usize,
            seconds: words.value("--seconds", 4.0),
            feedback: !words.has("--no-feedback"),
            carrier: if words.has("--tcp") { Carrier::Tcp } else { Carrier::Udp },
            sizes: words.list("--sizes"),
            profile: words.list("--profile"),
            threads: words.has("--threads"),
        })
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        println!("forward: run it with `cargo bench --bench forward`");
        return ExitCode::SUCCESS;
    };
    let outcome = match options.sizes.as_slice() {
        [] if !options.profile.is_empty() => profile::run(&options.profile, &options),
        [] if options.threads => threads::run(&options),
        [] => run(&options),
        sizes => sizes::run(sizes, &options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("forward: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every goal is met.
fn run(options: &Options) -> Result<bool, testkit::Error> {
    let count = options.subscribers;
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &[("LOG_LEVEL", "warn")])?;
    let pid = server.pid();
    let mut load = Load::new(&server, count, options.carrier)?;

    let before = Cost::of(pid)?;
    load.open_sockets()?;
    let with_sockets = Cost::of(pid)?;
    // The first ones fill what all share: code that was never run, the allocator's pages.
    let first = count.div_ceil(5);
    load.subscribe(first)?;
    let with_first = Cost::of(pid)?;
    load.subscribe(count - first)?;
    let join = Cost::of(pid)?.since(&with_first);

    println!(
        "1 publisher, {count} subscribers, {PAYLOAD} bytes, {} rounds of {} s{}, receivers by {}\n",
        options.rounds,
        options.seconds,
        if options.feedback { "" } else { ", no transport-cc feedback" },
        options.carrier.as_str()
    );
    println!("                  µs/packet   userland   floor     ratio   goal   lost");
    let mut is_met = true;
    let time = Duration::from_secs_f64(options.seconds);
    let mut running = load.start(options.feedback)?;
    for (name, pace, goal) in PACES {
        let mut rounds = Vec::new();
        for _ in 0..options.rounds {
            let forwarded = running.measure(pid, pace, time)?;
            let floor = floor::measure(count, pace, time)?;
            rounds.push((forwarded, floor));
        }
        let cost = median(rounds.iter().map(|(f, _)| f.per_packet_us));
        let userland =
            rounds.iter().map(|(f, _)| f.userland).sum::<f64>() / rounds.len() as f64 * cost;
        let floor = median(rounds.iter().map(|(_, floor)| *floor));
        let ratio = median(rounds.iter().map(|(f, floor)| f.per_packet_us / floor));
        let lost = rounds.iter().map(|(f, _)| f.lost).fold(0.0, f64::max);
        println!(
            "{name:<16} {cost:>10.2} {userland:>10.2} {floor:>7.2} {ratio:>9.2}   ≤ {goal:<4} {:>5.2} %  {}",
            lost * 100.0,
            verdict(ratio <= goal && userland <= GOAL_USERLAND_US && lost <= MAX_LOST, &mut is_met)
        );
    }
    is_met &= meeting::row(options.rounds, time)?;
    let loaded = Cost::of(pid)?;
    let further = (count - first) as f64;
    let idle = join.resident_kib as f64 / further;
    let busy = loaded.resident_kib.saturating_sub(with_first.resident_kib) as f64 / further;
    let join_ms = join.total.as_secs_f64() * 1e3 / further;
    println!();
    println!("                                                    goal");
    println!(
        "userland, µs/packet                                 ≤ {GOAL_USERLAND_US}   (in each row above)"
    );
    println!(
        "memory, KiB/subscriber: joined {idle:.0}, after media {busy:.0}    ≤ {GOAL_KIB}    {}",
        verdict(busy <= GOAL_KIB, &mut is_met)
    );
    println!(
        "join of a subscribe transport, ms of CPU: {join_ms:.2}      ≤ {GOAL_JOIN_MS}     {}",
        verdict(join_ms <= GOAL_JOIN_MS, &mut is_met)
    );
    let socket = with_sockets.since(&before);
    println!(
        "(beside it, ticket and socket: {:.2} ms, {:.0} KiB each)",
        socket.total.as_secs_f64() * 1e3 / count as f64,
        socket.resident_kib as f64 / count as f64
    );
    running.stop()?;
    let (code, _) = server.stop()?;
    if code != Some(0) {
        return Err(testkit::Error::Answer(format!("the server ended with {code:?}")));
    }
    Ok(is_met)
}

fn verdict(is_met: bool, all: &mut bool) -> &'static str {
    *all &= is_met;
    if is_met { "met" } else { "MISSED" }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
