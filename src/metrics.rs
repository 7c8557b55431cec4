//! What `/metrics` shows: everything the crates count, and the process itself.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The recorder of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes it the place where `metrics` macros count. Once a process.
    pub fn install() -> anyhow::Result<Self> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
            .install_recorder()?;
        describe();
        Ok(Self(handle))
    }

    /// Folds samples together now and then, so that histograms nobody reads do not grow. Never ends.
    pub async fn keep_up(self) {
        let mut every = tokio::time::interval(UPKEEP);
        loop {
            every.tick().await;
            self.0.run_upkeep();
        }
    }

    /// What counters and gauges say now, of each all its labels together.
    pub fn totals<const N: usize>(&self, names: [&str; N]) -> [f64; N] {
        let page = self.0.render();
        names.map(|name| total(&page, name))
    }

    /// The page, in Prometheus' text format.
    pub fn render(&self) -> String {
        observe_process();
        // Counters of the `metrics` crate count whole things, and this one counts parts of seconds.
        let cpu = cpu_time().as_secs_f64();
        let rest = self.0.render();
        format!(
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {cpu}\n\n{rest}"
        )
    }
}

fn describe() {
    metrics::describe_counter!("http_requests_total", "Requests by method, route and status.");
    metrics::describe_histogram!(
        "http_request_duration_seconds",
        "Time until the answer's head, by method and route."
    );
    metrics::describe_gauge!("http_connections", "TCP connections open now.");
    metrics::describe_counter!("http_panics_total", "Requests whose handler panicked.");
    metrics::describe_gauge!("process_resident_memory_bytes", "Memory in RAM.");
    metrics::describe_gauge!("process_open_fds", "Open file descriptors.");
    metrics::describe_gauge!("process_threads", "Threads.");
    metrics::describe_gauge!(
        "veche_saving",
        "What receivers do without as the server is busy: 0 nothing, 1 frames, 2 large pictures, 3 all but some pictures, 4 pictures."
    );
    metrics::describe_gauge!("veche_door_shut", "Whether nobody new gets in.");
    metrics::describe_gauge!(
        "veche_media_busy",
        "Share of its time that the busiest media thread works."
    );
    metrics::describe_gauge!(
        "veche_media_pressed",
        "Share of its time that a media thread works or waits for a core, where that is most."
    );
    metrics::describe_counter!(
        "veche_joins_refused_total",
        "Who was refused as the server is full."
    );
    metrics::describe_gauge!("process_start_time_seconds", "When the process started, since 1970.");
    metrics::gauge!("veche_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!("process_start_time_seconds").set(now.as_secs_f64());
}

/// Where there is no `/proc`, these lines are absent.
fn observe_process() {
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(threads) = field(&status, "Threads:")
    {
        metrics::gauge!("process_threads").set(threads as f64);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(entries.count() as f64);
    }
}

fn total(page: &str, name: &str) -> f64 {
    let of_it = page.lines().filter_map(|line| line.strip_prefix(name));
    let values = of_it.filter(|rest| rest.starts_with([' ', '{'])).filter_map(|rest| {
        let (_, value) = rest.rsplit_once(' ')?;
        value.parse::<f64>().ok()
    });
    values.sum()
}

/// Bytes in memory.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(field(&status, "VmRSS:")? * 1024)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Time that this process has had on a core.
pub fn cpu_time() -> Duration {
    // SAFETY: the kernel fills the struct; all-zero is a valid value of it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let of = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs())
            + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}

/// Bounds of every histogram of seconds: a forwarded packet's microseconds would need others.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Longer holds more samples in memory, shorter costs CPU.
const UPKEEP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_the_sum_of_its_labels() {
        let page = "# TYPE a gauge\na{x=\"1 2\"} 3\na{x=\"2\"} 4.5\nab 100\nb 7\n";
        assert_eq!(total(page, "a"), 7.5);
        assert_eq!(total(page, "b"), 7.0);
        assert_eq!(total(page, "c"), 0.0);
    }

    #[test]
    fn fields_of_the_kernels_status_are_read() {
        let status = "Name:\tveche\nVmRSS:\t   1234 kB\nThreads:\t7\n";
        assert_eq!(field(status, "VmRSS:"), Some(1234));
        assert_eq!(field(status, "Threads:"), Some(7));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
