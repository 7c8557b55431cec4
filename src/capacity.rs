//! What this machine carries, and what of it is used: limits from the settings or from the machine, and a look twice a
//! second at what the media threads say of themselves, at memory and gauges, from which the control plane decides who gets in and
//! what is saved.

use crate::config::Config;
use crate::media::{Pace, Pulse};
use crate::metrics::{Metrics, resident_bytes};
use crate::open_files::{self, Limit};
use signaling::Signaling;
use signaling::admission::{Capacity, Measured};
use std::fs;
use std::num::NonZero;
use std::time::{Duration, Instant};

/// The limits in force: what is set, else what the machine has.
pub fn capacity(config: &Config) -> Capacity {
    let own = of_machine(&Machine::look(), config.max_connections);
    let or = |set: u64, own: u64| if set == 0 { own } else { set };
    Capacity {
        transports: or(config.max_transports, own.transports),
        packets: or(config.max_packets, own.packets),
        sockets: or(config.max_sockets, own.sockets),
        memory: or(config.max_memory_mb.saturating_mul(1024 * 1024), own.memory),
        busy: f32::from(config.max_busy_percent) / 100.0,
    }
}

/// Takes as many open files as the system allows: the usual 1,024 are for programs that hold a few, and a room of a
/// thousand is a thousand sockets.
pub fn take_all_files() {
    let short = |limit: Limit| limit.now < limit.most.min(MANY_FILES);
    if open_files::raise(MANY_FILES).is_some_and(short) {
        tracing::warn!("the limit of open files cannot be raised");
    }
}

/// What the machine gives this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Machine {
    cores: u64,
    /// Bytes, of the machine or of the container.
    memory: u64,
    /// File descriptors.
    files: u64,
}

impl Machine {
    fn look() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, NonZero::get) as u64,
            memory: memory_of(
                &text("/proc/meminfo"),
                &text("/sys/fs/cgroup/memory.max"),
                &text("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            ),
            files: open_files::limit().map_or(u64::MAX, |limit| limit.now),
        }
    }
}

/// Bytes in all, of the machine or of its container, whose limit stands in one of two places; as good as endless where
/// neither is known.
fn memory_of(meminfo: &str, v2: &str, v1: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let limits = [v2, v1].into_iter().filter_map(|text| text.trim().parse::<u64>().ok());
    limits.chain(total.map(|kilobytes| kilobytes * 1024)).min().unwrap_or(u64::MAX)
}

fn of_machine(machine: &Machine, max_connections: u32) -> Capacity {
    Capacity {
        transports: machine.cores.saturating_mul(TRANSPORTS_PER_CORE),
        packets: machine.cores.saturating_mul(PACKETS_PER_CORE),
        // A socket is a connection, and somebody must be able to ask for the page.
        sockets: machine
            .files
            .saturating_sub(FILES_KEPT)
            .min(u64::from(max_connections) / 10 * 9)
            .max(1),
        memory: machine.memory / 100 * MEMORY_PERCENT,
        busy: 1.0,
    }
}

/// Looks and tells the control plane, as long as the process lives.
pub async fn watch(signaling: Signaling, metrics: Metrics, media: Pulse, saves: bool) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let pace = media.take();
        metrics::gauge!("veche_media_busy").set(f64::from(pace.busy));
        metrics::gauge!("veche_media_pressed").set(f64::from(pace.pressed));
        let [transports, sockets] = metrics.totals(["veche_media_transports", "veche_sockets"]);
        let work = if saves { pace } else { Pace::default() };
        let measured = Measured {
            busy: work.pressed,
            packets: work.packets,
            transports: transports as u64,
            sockets: sockets as u64,
            memory: resident_bytes().unwrap_or(0),
        };
        signaling.measured(Instant::now(), &measured);
    }
}

/// How often it is looked. Twice as often as what is decided takes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Two for each person: a core carries some hundred who see each other and many more who listen.
const TRANSPORTS_PER_CORE: u64 = 4_000;
/// More than a core seals and sends, so that its time decides where that is known.
const PACKETS_PER_CORE: u64 = 1_000_000;
/// More than there are connections; the kernel keeps a table of them.
const MANY_FILES: u64 = 1 << 20;
/// Files for the store, recordings, uploads, and those who only want to be told that there is no place.
const FILES_KEPT: u64 = 256;
/// What is left is for bursts: a machine without memory ends processes.
const MEMORY_PERCENT: u64 = 85;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_of_memory_counts() {
        let meminfo = "MemTotal:        8000000 kB\nMemFree: 1 kB\n";
        assert_eq!(memory_of(meminfo, "max\n", ""), 8_192_000_000);
        assert_eq!(memory_of(meminfo, "1000000\n", ""), 1_000_000);
        assert_eq!(memory_of(meminfo, "", "2000000\n"), 2_000_000);
        assert_eq!(memory_of("", "", ""), u64::MAX);
    }

    #[test]
    fn a_machine_of_two_cores_takes_a_room_of_a_thousand() {
        let machine = Machine { cores: 2, memory: 4 << 30, files: 1 << 20 };
        let capacity = of_machine(&machine, 16_384);
        assert!(capacity.transports >= 2_000 && capacity.sockets >= 1_000, "{capacity:?}");
        assert!(capacity.memory < machine.memory);
        let small = of_machine(&Machine { files: 300, ..machine }, 16_384);
        assert_eq!(small.sockets, 44);
    }
}
