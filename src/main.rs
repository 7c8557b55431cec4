//! The `veche` binary: settings, sockets, files and threads, and the wiring of the crates that decide.

mod capacity;
mod cli;
mod config;
mod doctor;
mod export;
mod health;
mod http;
mod load;
mod logs;
mod media;
mod metrics;
mod open_files;
mod orphans;
mod recording;
mod replace;
mod secrets;
mod serve;
mod shutdown;
mod tls;
mod visitor;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
