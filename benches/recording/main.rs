//! What recording costs a running server: `cargo bench --bench recording`.
//!
//! How long packets of another meeting take through the server while fifty tracks are recorded and while they are not, in
//! turns in one run; and what the recording thread needs for two hundred tracks. `benches/README.md` says how to read it.

mod crowd;
mod probe;

use crowd::Crowd;
use probe::Probe;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use testkit::server::{Cost, Server};

/// How much later packets may be while others are recorded.
const GOAL_LATER_MS: f64 = 1.0;
/// Cameras of 1.5 Mbit/s with their microphones that one core shall write.
const GOAL_CAMERAS: f64 = 200.0;
/// What a change of what is recorded needs until it shows.
const SETTLE: Duration = Duration::from_secs(2);
/// People of one room.
const PER_ROOM: usize = 25;

struct Options {
    rounds: usize,
    seconds: f64,
    /// Rooms that are recorded at once in the second part.
    rooms: usize,
}

impl Options {
    /// `None` when this is not `cargo bench` but a test run that only builds benches.
    fn read() -> Option<Self> {
        let words = testkit::options::Options::of_bench()?;
        Some(Self {
            rounds: words.value("--rounds", 5.0) as usize,
            seconds: words.value("--seconds", 10.0),
            rooms: words.value("--rooms", 4.0) as usize,
        })
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        println!("recording: run it with `cargo bench --bench recording`");
        return ExitCode::SUCCESS;
    };
    match latency(&options).and_then(|met| Ok(written(&options)? && met)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("recording: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<Server, testkit::Error> {
    Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &[("LOG_LEVEL", "warn")])
}

/// How long packets take with and without a recording beside them; whether the goal is met.
fn latency(options: &Options) -> Result<bool, testkit::Error> {
    let server = start()?;
    let mut crowd = Crowd::gather(&server, 1, PER_ROOM)?;
    let mut probe = Probe::start(&server)?;
    crowd.run(SETTLE)?;
    println!("{} tracks, {} rounds of {} s each\n", 2 * PER_ROOM, options.rounds, options.seconds);
    println!("               median     p99   packets");
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..options.rounds {
        for (is_recorded, found) in [false, true].into_iter().zip(&mut rounds) {
            if is_recorded {
                crowd.record()?;
            }
            crowd.run(SETTLE)?;
            probe.take();
            crowd.run(Duration::from_secs_f64(options.seconds))?;
            let mut times = probe.take();
            times.sort();
            let at = |share: f64| {
                let index = (times.len() as f64 * share) as usize;
                times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
            };
            let name = if is_recorded { "recorded" } else { "not recorded" };
            println!("{name:<12} {:>5.2} ms {:>4.2} ms {:>8}", at(0.5), at(0.99), times.len());
            found.push(at(0.99));
            if is_recorded {
                crowd.stop()?;
            }
        }
    }
    let lost = server.metric("veche_recording_packets_lost_total")?;
    probe.end()?;
    crowd.end()?;
    server.stop()?;
    let [without, with] = rounds.map(median);
    let later = with - without;
    let is_met = later <= GOAL_LATER_MS && lost == 0.0;
    println!(
        "\nforwarding p99: {without:.2} ms, {with:.2} ms while {} tracks are recorded: {later:+.2} ms   \
         ≤ {GOAL_LATER_MS} ms   {}   ({} packets lost by the recording)\n",
        2 * PER_ROOM,
        verdict(is_met),
        lost as u64
    );
    Ok(is_met)
}

/// What the recording thread needs for many tracks; whether one core is enough for as many as it shall be.
fn written(options: &Options) -> Result<bool, testkit::Error> {
    let server = start()?;
    let mut crowd = Crowd::gather(&server, options.rooms, PER_ROOM)?;
    let tracks = (2 * PER_ROOM * options.rooms) as f64;
    crowd.run(SETTLE)?;
    crowd.record()?;
    crowd.run(SETTLE)?;
    let before = (Cost::of(server.pid())?, Cost::of_thread(server.pid(), "recording")?);
    let sent = crowd.sent();
    let took = crowd.run(Duration::from_secs_f64(options.seconds))?.as_secs_f64();
    let all = Cost::of(server.pid())?.since(&before.0).total.as_secs_f64() / took;
    let thread = Cost::of_thread(server.pid(), "recording")?.saturating_sub(before.1);
    let share = thread.as_secs_f64() / took;
    let megabits = (crowd.sent() - sent) as f64 * 8.0 / 1e6 / took;
    crowd.stop()?;
    let lost = server.metric("veche_recording_packets_lost_total")?;
    crowd.end()?;
    server.stop()?;
    // A machine that is busy sends less than it was told to: what is divided is what came.
    let cameras = megabits / share / crowd::MEGABITS;
    let is_met = cameras >= GOAL_CAMERAS && lost == 0.0;
    println!(
        "{tracks} tracks of {} people, {megabits:.0} Mbit/s: the recording thread takes {:.1} % of a core \
         (the whole server {:.0} %), so one writes {cameras:.0} cameras with microphones   ≥ {GOAL_CAMERAS}   {}   \
         ({} packets lost by the recording)",
        PER_ROOM * options.rooms,
        share * 1e2,
        all * 1e2,
        verdict(is_met),
        lost as u64
    );
    Ok(is_met)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
