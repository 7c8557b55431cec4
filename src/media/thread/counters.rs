//! What one media thread tells of itself once a second. Counters of all threads add up; gauges have a share of each.

use crate::media::links;
use crate::media::share::Share;
use crate::media::station::Pace;
use sfu::{Carrier, Census, CloseReason, DropReason, PlaneId, Sfu};
use std::time::{Duration, Instant};

/// What was told last.
pub struct Counters {
    thread: String,
    told: sfu::Stats,
    paths: [Share; Carrier::ALL.len()],
    transports: [Share; 2],
    pictures: [Share; Census::REASONS.len()],
    /// Streams that have proved whose they are, and others.
    pub streams: [Share; 2],
    /// Allocations of the TURN server.
    pub allocations: Share,
    /// What it had used of processors, and how long it had waited for one.
    cpu: Duration,
    waited: Duration,
    since: Instant,
}

impl Counters {
    /// Of a thread that has done nothing.
    pub fn new(plane: PlaneId, now: Instant) -> Self {
        Self {
            thread: plane.0.to_string(),
            told: sfu::Stats::default(),
            paths: Default::default(),
            transports: Default::default(),
            pictures: Default::default(),
            streams: Default::default(),
            allocations: Share::default(),
            cpu: cpu_time(),
            waited: waited(),
            since: now,
        }
    }

    /// Its plane counts from zero again.
    pub fn begin_anew(&mut self) {
        self.told = sfu::Stats::default();
    }

    /// What the calling thread, whose counters these are, has done since this was called last; it has sent so many packets.
    pub fn pace(&mut self, now: Instant, sent: u64) -> Pace {
        let (cpu, waited) = (cpu_time(), waited());
        let used = cpu.saturating_sub(std::mem::replace(&mut self.cpu, cpu));
        let late = waited.saturating_sub(std::mem::replace(&mut self.waited, waited));
        let passed = now.saturating_duration_since(std::mem::replace(&mut self.since, now));
        let seconds = passed.as_secs_f32().max(0.001);
        let busy = used.as_secs_f32() / seconds;
        let pressed = busy + late.as_secs_f32() / seconds;
        for (name, share) in
            [("veche_media_thread_busy_ratio", busy), ("veche_media_thread_pressed_ratio", pressed)]
        {
            metrics::gauge!(name, "thread" => self.thread.clone()).set(f64::from(share));
        }
        Pace { busy, pressed, packets: (sent as f32 / seconds) as u64 }
    }

    /// Tells what went to other threads.
    pub fn publish_links(&self, counts: links::Counts) {
        metrics::counter!("veche_media_handed_total").increment(counts.sent);
        metrics::counter!("veche_media_handed_dropped_total").increment(counts.dropped);
        metrics::counter!("veche_media_handed_lost_total").increment(counts.lost);
    }

    /// Tells what was counted since this was called last. How many packets were sent.
    pub fn publish(&mut self, sfu: &Sfu, dropped: u64) -> u64 {
        let now = sfu.stats();
        let before = std::mem::replace(&mut self.told, now);
        let counters = [
            ("veche_media_datagrams_in_total", now.datagrams_in - before.datagrams_in),
            ("veche_media_strangers_total", now.strangers - before.strangers),
            ("veche_media_packets_in_total", now.packets_in - before.packets_in),
            (
                "veche_media_packets_recovered_total",
                now.packets_recovered - before.packets_recovered,
            ),
            ("veche_media_packets_blocked_total", now.packets_blocked - before.packets_blocked),
            ("veche_media_packets_out_total", now.packets_out - before.packets_out),
            ("veche_media_bytes_out_total", now.bytes_out - before.bytes_out),
            ("veche_media_packets_held_total", now.packets_held - before.packets_held),
            ("veche_media_tapped_dropped_total", now.tapped_dropped - before.tapped_dropped),
            ("veche_media_packets_resent_total", now.packets_resent - before.packets_resent),
            ("veche_media_padding_out_total", now.padding_out - before.padding_out),
            ("veche_media_keyframes_asked_total", now.keyframes_asked - before.keyframes_asked),
            ("veche_media_rebinds_total", now.rebinds - before.rebinds),
            ("veche_media_faults_total", now.faults - before.faults),
            ("veche_media_sdps_refused_total", now.sdps_refused - before.sdps_refused),
            ("veche_media_feedback_ignored_total", now.feedback_ignored - before.feedback_ignored),
            (
                "veche_media_datagrams_refused_total",
                now.datagrams_refused - before.datagrams_refused,
            ),
            ("veche_media_send_dropped_total", dropped),
            ("veche_media_relayed_in_total", now.relayed_in - before.relayed_in),
            ("veche_media_relayed_out_total", now.relayed_out - before.relayed_out),
            ("veche_media_relayed_missed_total", now.relayed_missed - before.relayed_missed),
            ("veche_media_relayed_dropped_total", now.relayed_dropped - before.relayed_dropped),
            ("veche_media_relayed_left_out_total", now.relayed_left_out - before.relayed_left_out),
        ];
        for (name, by) in counters {
            metrics::counter!(name).increment(by);
        }
        for reason in DropReason::ALL {
            let by = now.packets_dropped.of(reason) - before.packets_dropped.of(reason);
            metrics::counter!("veche_media_packets_dropped_total", "reason" => reason.as_str())
                .increment(by);
        }
        for (at, reason) in CloseReason::ALL.into_iter().enumerate() {
            let by = now.closed[at] - before.closed[at];
            metrics::counter!("veche_media_closed_total", "reason" => reason.label()).increment(by);
        }
        let census = sfu.census();
        for (at, carrier) in Carrier::ALL.into_iter().enumerate() {
            let gauge = metrics::gauge!("veche_media_paths", "carrier" => carrier.as_str());
            self.paths[at].tell(&gauge, census.paths[at]);
        }
        let directions = [("publish", census.publishers), ("subscribe", census.subscribers)];
        for ((direction, count), share) in directions.into_iter().zip(&mut self.transports) {
            share.tell(&metrics::gauge!("veche_media_transports", "direction" => direction), count);
        }
        for (at, (_, reason)) in Census::REASONS.into_iter().enumerate() {
            let gauge = metrics::gauge!("veche_media_pictures", "reason" => reason);
            self.pictures[at].tell(&gauge, census.pictures[at]);
        }
        let thread = self.thread.clone();
        metrics::gauge!("veche_media_thread_transports", "thread" => thread.clone())
            .set(census.transports() as f64);
        metrics::counter!("veche_media_thread_packets_out_total", "thread" => thread)
            .increment(now.packets_out - before.packets_out);
        now.packets_out - before.packets_out
    }
}

/// What the calling thread has used of processors since it began.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the struct, which outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::from_secs(time.tv_sec.unsigned_abs())
        + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// How long the calling thread has been ready to work and got no core; nothing where the system does not say.
fn waited() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_is_busy_and_one_that_waits_is_not() {
        let mut counters = Counters::new(PlaneId(0), Instant::now());
        // Another thread's work is not ours.
        let (other, done) = std::sync::mpsc::channel::<()>();
        let elsewhere = std::thread::spawn(move || {
            while done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                std::hint::spin_loop();
            }
        });
        std::thread::sleep(Duration::from_millis(50));
        let idle = counters.pace(Instant::now(), 0).busy;
        drop(other);
        elsewhere.join().expect("it ends");
        counters.pace(Instant::now(), 0);
        let begin = cpu_time();
        while cpu_time() - begin < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        // However long that took on a busy machine.
        let passed = counters.since.elapsed().as_secs_f32();
        let Pace { busy, pressed, packets } = counters.pace(Instant::now(), 500);
        assert!(idle < 0.2, "{idle}");
        assert!(busy * passed > 0.015, "{busy} of {passed} s");
        assert!(pressed >= busy, "{pressed}, {busy}");
        assert!((packets as f32 * passed - 500.0).abs() < 100.0, "{packets} per second");
    }
}
