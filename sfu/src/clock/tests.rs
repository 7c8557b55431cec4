use super::*;
use proptest::prelude::*;

const UNIX_2026: u64 = 1_767_225_600 * NANOS;

fn millis(ntp_units: i64) -> f64 {
    ntp_units as f64 * 1000.0 / SECOND as f64
}

fn ntp_of_micros(micros: i64) -> i64 {
    ((i128::from(micros) << 32) / 1_000_000) as i64
}

/// A publisher with a clock of its own, one audio and one video stream.
struct Publisher {
    wall: WallClock,
    start: Instant,
    /// Its wall clock when ours is at the start.
    ntp_at_start: u64,
    /// How much faster its clock runs, in parts per million.
    skew_ppm: i64,
    audio_origin: u32,
    video_origin: u32,
    clock: PublisherClock,
    audio: StreamClock,
    video: StreamClock,
}

impl Publisher {
    fn new(skew_ppm: i64, ahead_micros: i64, audio_origin: u32, video_origin: u32) -> Self {
        let start = Instant::now();
        let wall = WallClock::new(start, UNIX_2026);
        Publisher {
            wall,
            start,
            ntp_at_start: wall.ntp(start).wrapping_add_signed(ntp_of_micros(ahead_micros)),
            skew_ppm,
            audio_origin,
            video_origin,
            clock: PublisherClock::new(),
            audio: StreamClock::new(48_000),
            video: StreamClock::new(90_000),
        }
    }

    fn instant(&self, micros: u64) -> Instant {
        self.start + Duration::from_micros(micros)
    }

    fn server_ntp(&self, micros: u64) -> u64 {
        self.wall.ntp(self.instant(micros))
    }

    /// Its own time that has passed since the start, in its microseconds.
    fn own_micros(&self, micros: u64) -> i64 {
        let micros = micros as i64;
        micros + micros * self.skew_ppm / 1_000_000
    }

    fn own_ntp(&self, micros: u64) -> u64 {
        self.ntp_at_start.wrapping_add_signed(ntp_of_micros(self.own_micros(micros)))
    }

    fn audio_rtp(&self, micros: u64) -> u32 {
        self.audio_origin.wrapping_add((self.own_micros(micros) * 48 / 1000) as u32)
    }

    fn video_rtp(&self, micros: u64) -> u32 {
        self.video_origin.wrapping_add((self.own_micros(micros) * 90 / 1000) as u32)
    }

    /// A report of one stream, sent at a time and this long on its way.
    fn report(&mut self, sent: u64, delay: u64, is_audio: bool) {
        let ntp = self.own_ntp(sent);
        self.clock.observe(self.server_ntp(sent + delay), ntp);
        if is_audio {
            let rtp = self.audio_rtp(sent);
            self.audio.sender_report(ntp, rtp);
        } else {
            let rtp = self.video_rtp(sent);
            self.video.sender_report(ntp, rtp);
        }
    }
}

/// A receiver's view: the last report of each slot, and when each stream's sample would be played.
fn received_at(report: (u64, u32), timestamp: u32, rate: u32) -> u64 {
    let mut stream = StreamClock::new(rate);
    stream.sender_report(report.0, report.1);
    stream.ntp_at(timestamp).unwrap()
}

#[test]
fn ntp_counts_from_1900_and_runs_with_the_monotonic_clock() {
    let start = Instant::now() + Duration::from_secs(10);
    let wall = WallClock::new(start, UNIX_2026 + NANOS / 2);
    assert_eq!(wall.ntp(start), (1_767_225_600 + 2_208_988_800) << 32 | 0x8000_0000);
    assert_eq!(wall.ntp(start + Duration::from_millis(1500)) - wall.ntp(start), 3 << 31);
    assert_eq!(wall.ntp(start) - wall.ntp(start - Duration::from_secs(1)), 1 << 32);
}

#[test]
fn before_the_first_report_nothing_is_claimed() {
    let publisher = PublisherClock::new();
    let stream = StreamClock::new(90_000);
    assert_eq!(sender_report_for(1 << 40, &publisher, &stream), None);
    assert_eq!(captured_at(1 << 40, 5, &publisher, &stream), None);
    let mut stream = stream;
    stream.sender_report(0, 700);
    assert_eq!(stream.ntp_at(700), None, "a sender without wall clock");
}

#[test]
fn one_report_is_enough() {
    let mut publisher = Publisher::new(0, -3_600_000_000, 5, u32::MAX - 5);
    publisher.report(100_000, 30_000, false);
    let now = publisher.server_ntp(500_000);
    let (ntp, rtp) = sender_report_for(now, &publisher.clock, &publisher.video).unwrap();
    assert_eq!(ntp, now);
    // What the publisher's clock shows, less the 30 ms that the report was on its way.
    assert_eq!(rtp, publisher.video_rtp(470_000));
    let captured =
        captured_at(now, publisher.video_rtp(470_000), &publisher.clock, &publisher.video);
    assert!(captured.unwrap().abs_diff(now) < ntp_of_micros(20) as u64);
}

#[test]
fn a_capture_in_the_future_or_the_far_past_is_not_believed() {
    let mut publisher = Publisher::new(0, 0, 0, 0);
    publisher.report(0, 0, false);
    let believed = |captured: u64, arrives: u64| {
        let sample = publisher.video_rtp(captured);
        let arrival = publisher.server_ntp(arrives);
        captured_at(arrival, sample, &publisher.clock, &publisher.video).is_some()
    };
    assert!(believed(10_000_000, 10_000_000) && believed(10_000_000, 14_900_000));
    assert!(believed(10_000_000, 9_100_000));
    assert!(!believed(10_000_000, 8_900_000) && !believed(10_000_000, 15_100_000));
}

#[test]
fn a_clock_that_was_set_is_followed() {
    let mut publisher = Publisher::new(0, 0, 0, 0);
    let error_after = |publisher: &Publisher, second: u64| {
        let server = publisher.clock.to_server(publisher.own_ntp(second * 1_000_000)).unwrap();
        millis(server.wrapping_sub(publisher.server_ntp(second * 1_000_000 + 10_000)) as i64)
    };
    for second in 0..40 {
        publisher.report(second * 1_000_000, 10_000, true);
    }
    // Forwards: its reports seem to come before they were sent, which nothing else explains.
    publisher.ntp_at_start = publisher.ntp_at_start.wrapping_add_signed(ntp_of_micros(7_000_000));
    publisher.report(41_000_000, 10_000, true);
    assert!(error_after(&publisher, 41).abs() < 0.1);
    // Backwards: they seem late, and are believed at the third.
    publisher.ntp_at_start = publisher.ntp_at_start.wrapping_add_signed(ntp_of_micros(-9_000_000));
    for second in 42..45 {
        assert!(error_after(&publisher, second).abs() > 8_000.0);
        publisher.report(second * 1_000_000, 10_000, true);
    }
    assert!(error_after(&publisher, 45).abs() < 0.1);
}

#[test]
fn one_late_report_is_not_a_clock_that_was_set() {
    let mut publisher = Publisher::new(0, 0, 0, 0);
    for second in 0..40 {
        let delay = if second == 20 { 3_000_000 } else { 10_000 };
        publisher.report(second * 1_000_000, delay, true);
        let server = publisher.clock.to_server(publisher.own_ntp(0)).unwrap();
        let error = server.wrapping_sub(publisher.server_ntp(10_000)) as i64;
        assert!(millis(error).abs() < 0.1, "{} ms after {second} s", millis(error));
    }
}

#[test]
fn a_slot_keeps_one_line_when_its_track_changes() {
    let mut first = Publisher::new(0, 5_000_000, 1000, 2000);
    let mut second = Publisher::new(0, -90_000_000, u32::MAX, u32::MAX - 90);
    second.wall = first.wall;
    second.start = first.start;
    second.ntp_at_start =
        first.wall.ntp(first.start).wrapping_add_signed(ntp_of_micros(-90_000_000));
    first.report(0, 0, false);
    second.report(0, 0, false);
    let slot = SlotClock::new(90_000, first.server_ntp(0), u32::MAX - 10_000);
    for publisher in [&first, &second] {
        let bound = 3_000_000;
        let sample = publisher.video_rtp(bound);
        let arrival = publisher.server_ntp(bound + 40_000);
        let captured = captured_at(arrival, sample, &publisher.clock, &publisher.video).unwrap();
        let shift = slot.timestamp_at(captured).wrapping_sub(sample);
        let (ntp, rtp) =
            sender_report_for(publisher.server_ntp(9_000_000), &publisher.clock, &publisher.video)
                .unwrap();
        let off = rtp.wrapping_add(shift).wrapping_sub(slot.timestamp_at(ntp)) as i32;
        assert!(off.abs() <= 2, "{off} ticks off the line");
    }
}

proptest! {
    #[test]
    fn timestamps_and_times_are_each_others_inverse(
        ntp in 1u64.., rtp: u32, timestamp: u32, rate in prop_oneof![Just(48_000u32), Just(90_000), 8_000u32..200_000],
    ) {
        // Twelve hours of a 90 kHz clock and 24 of a 48 kHz one lie within half the circle.
        let mut stream = StreamClock::new(rate);
        stream.sender_report(ntp, rtp);
        prop_assert_eq!(stream.rtp_at(stream.ntp_at(timestamp).unwrap()), Some(timestamp));
    }

    #[test]
    fn sound_and_picture_keep_their_relation_under_skew_and_jitter(
        skew_ppm in -300i64..300,
        ahead_micros in -10_000_000_000i64..10_000_000_000,
        audio_origin: u32, video_origin: u32,
        audio_delays in proptest::collection::vec(1_000u64..300_000, 60),
        video_delays in proptest::collection::vec(1_000u64..300_000, 60),
        outgoing_phase in 0u64..1_000_000,
    ) {
        let mut publisher = Publisher::new(skew_ppm, ahead_micros, audio_origin, video_origin);
        // Reports of both every second, out of step, each as late as it likes.
        let mut arrivals: Vec<(u64, u64, bool)> = Vec::new();
        for second in 0..60u64 {
            let at = second as usize;
            arrivals.push((second * 1_000_000, audio_delays[at], true));
            arrivals.push((second * 1_000_000 + 430_000, video_delays[at], false));
        }
        arrivals.sort_by_key(|(sent, delay, _)| sent + delay);
        let mut arrivals = arrivals.into_iter().peekable();
        let (mut audio_report, mut video_report) = (None, None);
        for step in 0..600u64 {
            let now = step * 100_000;
            while let Some((sent, delay, is_audio)) =
                arrivals.next_if(|(sent, delay, _)| sent + delay <= now)
            {
                publisher.report(sent, delay, is_audio);
            }
            // The slots report once a second, sound and picture half a second apart: the worst case.
            let server = publisher.server_ntp(now);
            if (now + outgoing_phase) / 100_000 % 10 == 0 {
                audio_report = sender_report_for(server, &publisher.clock, &publisher.audio).or(audio_report);
            }
            if (now + outgoing_phase) / 100_000 % 10 == 5 {
                video_report = sender_report_for(server, &publisher.clock, &publisher.video).or(video_report);
            }
            if let (Some(audio), Some(video)) = (audio_report, video_report) {
                let heard = received_at(audio, publisher.audio_rtp(now), 48_000);
                let seen = received_at(video, publisher.video_rtp(now), 90_000);
                let apart = millis(heard.wrapping_sub(seen) as i64);
                prop_assert!(apart.abs() < 1.0, "{} ms apart after {} ms", apart, now / 1000);
            }
        }
        prop_assert!(audio_report.is_some() && video_report.is_some());
    }

    #[test]
    fn the_least_delayed_report_wins_and_drift_is_followed(skew_ppm in -200i64..200, seed: u64) {
        let mut publisher = Publisher::new(skew_ppm, 123_456_789, 0, 0);
        let mut random = seed;
        for second in 0..1200u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let delay = if second % 10 == 3 { 20_000 } else { 20_000 + (random >> 40) % 80_000 };
            publisher.report(second * 1_000_000, delay, true);
            if second > 400 {
                let now = second * 1_000_000;
                let server = publisher.clock.to_server(publisher.own_ntp(now)).unwrap();
                let error = server.wrapping_sub(publisher.server_ntp(now + 20_000)) as i64;
                // A minute of the fastest drift may be remembered.
                prop_assert!(millis(error).abs() < 15.0, "{} ms after {} s", millis(error), second);
            }
        }
    }

    #[test]
    fn nothing_that_a_publisher_reports_overflows(
        reports in proptest::collection::vec((any::<u64>(), any::<u32>(), any::<u64>()), 1..20), timestamp: u32,
    ) {
        let mut publisher = PublisherClock::new();
        let mut stream = StreamClock::new(90_000);
        for (ntp, rtp, server) in reports {
            publisher.observe(server, ntp);
            stream.sender_report(ntp, rtp);
            sender_report_for(server, &publisher, &stream);
            captured_at(server, timestamp, &publisher, &stream);
        }
    }
}
