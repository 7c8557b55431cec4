//! Log lines, on standard error.
//!
//! Only our own crates speak at the chosen level. Libraries are held at warnings, because below that some print
//! what they read from the wire, and tokens with it.

use crate::config::{Config, LogFormat};
use std::io::IsTerminal;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts logging, panics included.
pub fn start(config: &Config) {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter(config.log_level))).init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("no words");
        tracing::error!(place, words, "panic");
    }));
}

fn filter(level: Level) -> Targets {
    // All of our crates begin with `veche`.
    let libraries = LevelFilter::from_level(level).min(LevelFilter::WARN);
    Targets::new().with_default(libraries).with_target("veche", level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_quiet_when_we_are_asked_for_everything() {
        let filter = filter(Level::TRACE);
        assert!(filter.would_enable("veche_signaling::socket", &Level::TRACE));
        assert!(filter.would_enable("tungstenite", &Level::WARN));
        assert!(!filter.would_enable("tungstenite::protocol", &Level::INFO));
        assert!(!super::filter(Level::ERROR).would_enable("sqlx", &Level::WARN));
    }
}
