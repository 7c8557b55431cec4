//! What forwarding costs by each way that media can take: datagrams, streams (ICE-TCP), the TURN server in the process
//! by datagrams and by streams, and coturn beside it.
//!
//! `cargo bench --bench paths` starts the release binary and coturn, lets one person send to as many by each way, in turns,
//! and reads the time on a core of the server, and of coturn, from `/proc`. `benches/README.md` has a table.

mod receivers;

use receivers::{Receivers, Way};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use testkit::coturn::Coturn;
use testkit::server::{Cost, Server};
use testkit::{Error, Person, Publication, Publisher};

/// Payload bytes of each packet, as in the other benches.
const PAYLOAD: usize = 1_100;
/// Packets at a time, and between bursts.
const BURST: usize = 8;
const EVERY: Duration = Duration::from_millis(16);
/// More lost on the way, and a row says nothing: losing is cheaper than forwarding.
const MAX_LOST: f64 = 0.01;

struct Options {
    subscribers: usize,
    rounds: usize,
    seconds: f64,
}

impl Options {
    /// `None` when this is not `cargo bench` but a test run that only builds benches.
    fn read() -> Option<Self> {
        let words = testkit::options::Options::of_bench()?;
        Some(Self {
            subscribers: words.value("--subscribers", 20.0) as usize,
            rounds: words.value("--rounds", 5.0) as usize,
            seconds: words.value("--seconds", 3.0),
        })
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        println!("paths: run it with `cargo bench --bench paths`");
        return ExitCode::SUCCESS;
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paths: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One way in one round.
struct Round {
    server_us: f64,
    coturn_us: f64,
    lost: f64,
}

fn run(options: &Options) -> Result<(), Error> {
    let coturn = Coturn::start()?;
    let [(url_key, url), (secret_key, secret)] = coturn.settings();
    let settings = [
        ("LOG_LEVEL", "warn"),
        ("HOST", "0.0.0.0"),
        ("MEDIA_ADDRESSES", "127.0.0.1"),
        (url_key, url.as_str()),
        (secret_key, secret.as_str()),
        ("TURN_BUILTIN_ALLOCATIONS", "1000"),
    ];
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &settings)?;
    println!(
        "1 publisher, {} subscribers, {PAYLOAD} bytes in bursts of {BURST}, {} rounds of {} s\n",
        options.subscribers, options.rounds, options.seconds
    );
    println!("µs of CPU per packet             server   coturn   together   lost");
    let mut rows: Vec<Vec<Round>> = Way::ALL.iter().map(|_| Vec::new()).collect();
    for _ in 0..options.rounds {
        for (way, rounds) in Way::ALL.into_iter().zip(&mut rows) {
            rounds.push(round(&server, &coturn, way, options)?);
        }
    }
    for (way, rounds) in Way::ALL.into_iter().zip(&rows) {
        let server_us = median(rounds.iter().map(|round| round.server_us));
        let coturn_us = median(rounds.iter().map(|round| round.coturn_us));
        let lost = rounds.iter().map(|round| round.lost).fold(0.0, f64::max);
        println!(
            "{:<30} {server_us:>8.2} {coturn_us:>8.2} {:>10.2} {:>6.2} %{}",
            way.name(),
            server_us + coturn_us,
            lost * 100.0,
            if lost > MAX_LOST { "  too many lost to say anything" } else { "" }
        );
    }
    Ok(())
}

/// A room of its own, in which everybody receives by that way.
fn round(server: &Server, coturn: &Coturn, way: Way, options: &Options) -> Result<Round, Error> {
    let (mut host, room) = Person::host(server.api, "Publisher")?;
    let mut publisher = host.publish(Publication { audio: false, ..Publication::default() })?;
    let receivers = Receivers::join(server.api, &room, way, options.subscribers)?;
    let mut keyframes = 0;
    // Keyframes until everybody's slot has begun, and the estimate of each link has seen some media.
    let end = Instant::now() + Duration::from_secs(20);
    while !receivers.all_have_some() {
        if Instant::now() > end {
            return Err(Error::Timeout("the first packet of every subscriber"));
        }
        publisher.send_frame(true, 1, PAYLOAD)?;
        publisher.drive_for(Duration::from_millis(20))?;
    }
    send(&mut publisher, &mut keyframes, Duration::from_secs(1))?;
    let arrived = receivers.arrived();
    let before = (Cost::of(server.pid())?, Cost::of(coturn.pid())?);
    let sent = send(&mut publisher, &mut keyframes, Duration::from_secs_f64(options.seconds))?;
    let after = (Cost::of(server.pid())?, Cost::of(coturn.pid())?);
    // The last ones are on their way.
    std::thread::sleep(Duration::from_millis(100));
    let arrived = receivers.arrived() - arrived;
    let expected = (sent * options.subscribers as u64) as f64;
    receivers.stop()?;
    publisher.link.close()?;
    let per_packet = |cost: Cost| cost.total.as_secs_f64() * 1e6 / expected;
    Ok(Round {
        server_us: per_packet(after.0.since(&before.0)),
        coturn_us: per_packet(after.1.since(&before.1)),
        lost: (1.0 - arrived as f64 / expected).max(0.0),
    })
}

fn send(publisher: &mut Publisher, keyframes: &mut u64, time: Duration) -> Result<u64, Error> {
    let start = Instant::now();
    let (mut next, mut sent) = (start, 0);
    while start.elapsed() < time {
        next += EVERY;
        let asked = publisher.asked().keyframes;
        let is_keyframe = std::mem::replace(keyframes, asked) < asked;
        publisher.send_frame(is_keyframe, BURST, PAYLOAD)?;
        sent += BURST as u64;
        publisher.drive()?;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(sent)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
