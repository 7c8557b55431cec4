//! What processes cost: the server's as far as it can be read, and our own.

use crate::visitor::http::{self, Target};
use std::fs;
use std::time::Duration;

/// Where the server's cost is read.
pub enum Meter {
    /// `/proc` of a process on this machine.
    Process(u32),
    /// The server's own `/metrics`.
    Metrics {
        /// The server.
        target: Target,
        /// What opens the page, where it is closed.
        token: Option<String>,
    },
}

/// A process's cost since its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Time on a core.
    pub cpu: Duration,
    /// Memory in RAM.
    pub resident_kib: u64,
}

impl Cost {
    /// What this process has cost so far.
    pub fn own() -> Self {
        // Threads that have ended count here, and stand in `/proc` no more.
        let resident_kib = of_process(std::process::id()).unwrap_or_default().resident_kib;
        Self { cpu: crate::metrics::cpu_time(), resident_kib }
    }

    /// What came since.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            resident_kib: self.resident_kib.saturating_sub(before.resident_kib),
        }
    }
}

impl Meter {
    /// What the server has cost so far; nothing where it does not tell.
    pub async fn read(&self) -> Option<Cost> {
        match self {
            Self::Process(pid) => of_process(*pid),
            Self::Metrics { target, token } => {
                let page = http::fetch(target, "GET", "/metrics", token.as_deref(), None).await;
                let page = page.ok().filter(|page| page.status == 200)?;
                of_page(&String::from_utf8_lossy(&page.raw))
            }
        }
    }
}

fn of_process(pid: u32) -> Option<Cost> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread that has just ended has no such file any more.
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident_kib = resident.and_then(|line| line.split_whitespace().next()?.parse().ok());
    Some(Cost { cpu: Duration::from_nanos(nanos), resident_kib: resident_kib.unwrap_or(0) })
}

fn of_page(page: &str) -> Option<Cost> {
    let value = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<f64>().ok())
    };
    Some(Cost {
        cpu: Duration::try_from_secs_f64(value("process_cpu_seconds_total")?).ok()?,
        resident_kib: (value("process_resident_memory_bytes").unwrap_or(0.0) / 1024.0) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_metrics_tells_time_and_memory() {
        let page = "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 12.5\n\n\
                    process_resident_memory_bytes 2097152\n";
        let cost = of_page(page).expect("both are there");
        assert_eq!((cost.cpu, cost.resident_kib), (Duration::from_millis(12_500), 2_048));
        assert!(of_page("veche_rooms 1\n").is_none());
    }

    #[test]
    fn this_process_has_cost_something() {
        let cost = Cost::own();
        assert!(cost.resident_kib > 0 && cost.cpu > Duration::ZERO);
        assert!(of_process(u32::MAX).is_none());
    }
}
