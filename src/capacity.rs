//! What this machine carries, and what of it is used: limits from the settings or from the machine, and a look twice a
//! second at the media threads, memory and counters, from which the control plane decides who gets in and what is saved.

use crate::config::Config;
use crate::metrics::{Metrics, resident_bytes};
use crate::open_files::{self, Limit};
use signaling::Signaling;
use signaling::admission::{Capacity, Measured};
use std::collections::BTreeMap;
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
            files: files_of(&text("/proc/self/limits")),
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

/// How many files the process may open.
fn files_of(limits: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX)
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
    }
}

/// Looks and tells the control plane, as long as the process lives.
pub async fn watch(signaling: Signaling, metrics: Metrics, saves: bool) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut before: Option<Look> = None;
    loop {
        every.tick().await;
        let look = Look::now(&metrics);
        if let Some(before) = &before {
            let mut measured = look.since(before);
            metrics::gauge!("veche_media_busy").set(f64::from(measured.busy));
            if !saves {
                measured = Measured { busy: 0.0, packets: 0, ..measured };
            }
            signaling.measured(Instant::now(), &measured);
        }
        before = Some(look);
    }
}

/// One look at counters that only grow, and at what is there.
struct Look {
    at: Instant,
    /// Ticks of the clock that each media thread has worked.
    worked: BTreeMap<u64, u64>,
    packets: f64,
    transports: u64,
    sockets: u64,
    memory: u64,
}

impl Look {
    fn now(metrics: &Metrics) -> Self {
        let [packets, transports, sockets] = metrics.totals([
            "veche_media_packets_out_total",
            "veche_media_transports",
            "veche_sockets",
        ]);
        Self {
            at: Instant::now(),
            worked: media_threads(),
            packets,
            transports: transports as u64,
            sockets: sockets as u64,
            memory: resident_bytes().unwrap_or(0),
        }
    }

    fn since(&self, before: &Self) -> Measured {
        let seconds = (self.at - before.at).as_secs_f64().max(0.001);
        let worked = self.worked.iter().filter_map(|(thread, ticks)| {
            Some(ticks.saturating_sub(*before.worked.get(thread)?) as f64 / TICKS_PER_SECOND)
        });
        Measured {
            busy: (worked.fold(0.0, f64::max) / seconds) as f32,
            transports: self.transports,
            packets: ((self.packets - before.packets).max(0.0) / seconds) as u64,
            sockets: self.sockets,
            memory: self.memory,
        }
    }
}

/// How long the media threads have worked, by thread. What the kernel does in their name is in it: that is where the
/// time of a packet goes.
fn media_threads() -> BTreeMap<u64, u64> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let media = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        Some((task.file_name().to_str()?.parse().ok()?, worked_by_media(&stat)?))
    });
    media.collect()
}

/// What `/proc/self/task/*/stat` says a media thread has worked; nothing for other threads.
fn worked_by_media(stat: &str) -> Option<u64> {
    // The name stands in parentheses and may hold spaces.
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    name.starts_with("media-").then_some(next()? + next()?)
}

/// How often it is looked. Twice as often as what is decided takes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Linux counts in hundredths of a second, whatever its own clock does (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;
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
    fn the_soft_limit_of_files_is_read() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files     \n";
        assert_eq!(files_of(limits), 1024);
        assert_eq!(files_of("Max open files   unlimited unlimited files"), u64::MAX);
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

    #[test]
    fn only_media_threads_count_and_both_their_times() {
        let stat = |name: &str| {
            format!("12 ({name}) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20 0 9 0 100 200 300")
        };
        assert_eq!(worked_by_media(&stat("media-0")), Some(168));
        assert_eq!(worked_by_media(&stat("media-1 (x)")), Some(168));
        assert_eq!(worked_by_media(&stat("tokio-rt-worker")), None);
        assert_eq!(worked_by_media("nonsense"), None);
    }

    #[test]
    fn two_looks_make_rates() {
        let now = Instant::now();
        let look = |at, worked: &[(u64, u64)], packets| Look {
            at,
            worked: worked.iter().copied().collect(),
            packets,
            transports: 7,
            sockets: 8,
            memory: 9,
        };
        let before = look(now, &[(1, 100), (2, 100)], 1_000.0);
        let after = look(now + LOOK_EVERY, &[(1, 120), (2, 145), (3, 900)], 3_000.0);
        let measured = after.since(&before);
        let expected = Measured { busy: 0.9, transports: 7, packets: 4_000, sockets: 8, memory: 9 };
        assert_eq!(measured, expected, "a thread that was not there before has no rate yet");
    }
}
