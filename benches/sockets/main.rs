//! What sockets cost the running server: many that are idle, one room that chats, and one that fills.
//!
//! `cargo bench --bench sockets` starts the release binary, opens raw WebSockets beside it, and reads the
//! server's memory and time on a core from `/proc`. `benches/README.md` says how to read the table.

mod chat;
mod crowd;
mod idle;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use testkit::server::Server;

struct Options {
    rooms: usize,
    per_room: usize,
    chatters: usize,
    seconds: u64,
    crowd: usize,
}

impl Options {
    /// `None` when this is not `cargo bench` but a test run that only builds benches.
    fn read() -> Option<Self> {
        let words = testkit::options::Options::of_bench()?;
        Some(Self {
            rooms: words.value("--rooms", 100),
            per_room: words.value("--per-room", 100),
            chatters: words.value("--chatters", 200),
            seconds: words.value("--seconds", 20),
            crowd: words.value("--crowd", 1_000),
        })
    }
}

/// One line of the table: whether its goal is met.
struct Line {
    what: &'static str,
    measured: String,
    goal: &'static str,
    is_met: bool,
}

fn main() -> ExitCode {
    let Some(options) = Options::read() else {
        println!("sockets: run it with `cargo bench --bench sockets`");
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a runtime");
    match runtime.block_on(run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sockets: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every goal is met.
async fn run(options: &Options) -> Result<bool, testkit::Error> {
    let time = Duration::from_secs(options.seconds);
    let mut lines = Vec::new();
    if options.chatters > 0 {
        lines.extend(chat::measure(&start()?, options.chatters, time).await?);
    }
    if options.crowd > 0 {
        allow_files(options.crowd);
        lines.extend(crowd::measure(&start()?, options.crowd).await?);
    }
    if options.rooms > 0 {
        allow_files(options.rooms * options.per_room);
        lines.extend(idle::measure(&start()?, options.rooms, options.per_room, time).await?);
    }
    println!("{:58} {:>16}   goal", "", "measured");
    for Line { what, measured, goal, is_met } in &lines {
        let missed = if *is_met { "" } else { "   missed" };
        println!("{what:58} {measured:>16}   {goal}{missed}");
    }
    Ok(lines.iter().all(|line| line.is_met))
}

fn start() -> Result<Server, testkit::Error> {
    let built = || env!("CARGO_BIN_EXE_veche").into();
    let binary = std::env::var_os("VECHE_BIN").map_or_else(built, PathBuf::from);
    Server::start(&binary, &[("LOG_LEVEL", "warn"), ("MAX_CONNECTIONS", "20000")])
}

/// Raises the limit of open files as far as it goes; the server inherits it.
fn allow_files(sockets: usize) {
    let wanted = sockets as libc::rlim_t + 1_000;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the system writes into a structure of ours.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return;
    }
    limit.rlim_cur = wanted.max(limit.rlim_cur);
    limit.rlim_max = limit.rlim_max.max(limit.rlim_cur);
    // SAFETY: the system reads from a structure of ours.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
        eprintln!(
            "sockets: the limit of open files stays below {wanted}: try `ulimit -n {wanted}`"
        );
    }
}
