//! The real binary as a person or a service manager meets it: start, pages, logs, stop.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

mod doctor;
mod export;
mod load;
mod logs;
mod orphans;
mod pages;
mod program;
mod settings;
mod start;
mod stop;
mod tls;
