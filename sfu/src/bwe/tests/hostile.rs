//! Receivers that lie, and what an estimator may cost.

use super::world::{Flow, Link, MS, SECOND, World};
use crate::bwe::{Bitrate, CEILING, DelayState, Estimator, FLOOR, Reason, START};
use crate::twcc::{Arrival, Feedback};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Back(u32),
    Send(u8, u16),
    Feedback { base: u16, count: u16, arrivals: Vec<(u16, u32)> },
    Echo { back: u16, count: u16, step: i32 },
    Remb(u64),
    Loss(u8),
    Wanted(u64),
    Timeout,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let arrivals = vec((any::<u16>(), any::<u32>()), 0..40);
    let step =
        prop_oneof![
            (0u32..3000).prop_map(Step::Wait),
            (0u32..3000).prop_map(Step::Back),
            (1u8.., any::<u16>()).prop_map(|(count, bytes)| Step::Send(count, bytes)),
            (any::<u16>(), any::<u16>(), arrivals)
                .prop_map(|(base, count, arrivals)| Step::Feedback { base, count, arrivals }),
            (0u16..500, 0u16..500, any::<i32>()).prop_map(|(back, count, step)| Step::Echo {
                back,
                count,
                step
            }),
            (0u16..200, 0u16..200, -50i32..50).prop_map(|(back, count, step)| Step::Echo {
                back,
                count,
                step
            }),
            any::<u64>().prop_map(Step::Remb),
            any::<u8>().prop_map(Step::Loss),
            any::<u64>().prop_map(Step::Wanted),
            Just(Step::Timeout),
        ];
    vec(step, 1..200)
}

fn feedback(base: u16, count: u16, arrivals: Vec<Arrival>) -> Feedback {
    Feedback { sender: 1, ssrc: 2, base, count, feedback_count: 0, arrivals }
}

proptest! {
    #[test]
    fn nonsense_neither_panics_nor_leaves_the_bounds(steps in steps()) {
        let mut estimator = Estimator::new();
        let start = Instant::now() + Duration::from_secs(3600);
        let mut now = start;
        let mut next = 0u16;
        for step in steps {
            match step {
                Step::Wait(ms) => now += ms * MS,
                Step::Back(ms) => now -= ms * MS,
                Step::Send(count, bytes) => {
                    for _ in 0..count {
                        let sequence = estimator.sent(now, usize::from(bytes));
                        prop_assert_eq!(sequence, next);
                        next = next.wrapping_add(1);
                    }
                }
                Step::Feedback { base, count, arrivals } => {
                    let arrivals = arrivals.into_iter()
                        .map(|(sequence, ticks)| Arrival { sequence, ticks })
                        .collect();
                    estimator.feedback(now, &feedback(base, count, arrivals));
                }
                Step::Echo { back, count, step } => {
                    let base = next.wrapping_sub(back);
                    let arrivals = (0..count)
                        .map(|at| Arrival {
                            sequence: base.wrapping_add(at),
                            ticks: (step as u32).wrapping_mul(u32::from(at)),
                        })
                        .collect();
                    estimator.feedback(now, &feedback(base, count, arrivals));
                }
                Step::Remb(bps) => estimator.remb(now, Bitrate(bps)),
                Step::Loss(fraction) => estimator.reported_loss(now, fraction),
                Step::Wanted(bps) => estimator.set_wanted(now, Bitrate(bps)),
                Step::Timeout => estimator.handle_timeout(now),
            }
            estimator.handle_timeout(now);
            if let Some(padding) = estimator.poll_padding(now) {
                prop_assert!(padding > 0 && padding < 1_000_000, "{} bytes", padding);
            }
            // Whoever sleeps until then must not wake for ever.
            prop_assert!(estimator.poll_timeout().is_none_or(|at| at > now));
            let estimate = estimator.estimate();
            prop_assert!(FLOOR <= estimate && estimate <= CEILING, "{:?}", estimate);
            let stats = estimator.stats();
            prop_assert_eq!(stats.estimate, estimate);
            prop_assert!((0.0..=1.0).contains(&stats.loss), "{}", stats.loss);
        }
    }
}

#[test]
fn what_was_told_before_changes_nothing() {
    let now = Instant::now();
    let mut estimator = Estimator::new();
    let arrivals: Vec<_> = (0..100)
        .map(|_| estimator.sent(now, 1000))
        .map(|sequence| Arrival { sequence, ticks: u32::from(sequence) })
        .collect();
    let told = feedback(0, 100, arrivals);
    estimator.feedback(now + 100 * MS, &told);
    let before = estimator.stats();
    for _ in 0..1000 {
        estimator.feedback(now + 100 * MS, &told);
    }
    assert_eq!(estimator.stats(), before);
    // Nor does what was never sent.
    let unknown = (0..100).map(|at| Arrival { sequence: 20_000 + at, ticks: 7 }).collect();
    estimator.feedback(now + 100 * MS, &feedback(20_000, 100, unknown));
    assert_eq!(estimator.stats(), before);
}

#[test]
fn a_receiver_that_calls_everything_lost_gets_little() {
    let mut now = Instant::now();
    let mut estimator = Estimator::new();
    for _ in 0..100 {
        let base = estimator.sent(now, 1000);
        for _ in 1..10 {
            estimator.sent(now, 1000);
        }
        now += 50 * MS;
        estimator.feedback(now, &feedback(base, 10, Vec::new()));
        estimator.handle_timeout(now);
    }
    assert!(estimator.estimate() < START, "{:?}", estimator.estimate());
}

#[test]
fn the_same_history_makes_the_same_estimate() {
    let run = || {
        let mut link = Link::new(1_500_000);
        (link.loss, link.jitter) = (0.02, 20 * MS);
        let mut world = World::new(7, link, vec![Flow::new(4_000_000), Flow::new(1_000_000)]);
        world.run_to(20 * SECOND, |_| ());
        world.flows.into_iter().map(|flow| flow.samples).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn an_estimator_is_small_and_costs_nothing_before_the_first_packet() {
    let estimator = Estimator::new();
    assert_eq!(estimator.history.heap_bytes(), 0);
    let mut world = World::new(1, Link::new(6_000_000), vec![Flow::new(4_000_000)]);
    world.run_to(20 * SECOND, |_| ());
    let bytes = size_of::<Estimator>() + world.flows[0].estimator.history.heap_bytes();
    assert!(bytes <= 12 * 1024, "{bytes}");
}

#[test]
fn receivers_with_nothing_but_remb_are_believed_within_bounds() {
    let mut now = Instant::now();
    let mut estimator = Estimator::new();
    estimator.sent(now, 1000);
    estimator.remb(now, Bitrate(1_500_000));
    assert_eq!(estimator.estimate(), Bitrate(1_500_000));
    assert_eq!(estimator.stats().reason, Reason::Remb);
    estimator.remb(now, Bitrate(u64::MAX));
    assert_eq!(estimator.estimate(), CEILING);
    estimator.remb(now, Bitrate(0));
    assert_eq!(estimator.estimate(), FLOOR);
    // And are given up when nothing comes any more.
    estimator.remb(now, Bitrate(1_500_000));
    for _ in 0..20_000 {
        now += MS;
        estimator.sent(now, 100);
        if estimator.poll_timeout().is_some_and(|at| at <= now) {
            estimator.handle_timeout(now);
        }
    }
    assert_eq!((estimator.estimate(), estimator.stats().reason), (FLOOR, Reason::Silence));
}

#[test]
fn receivers_with_nothing_but_reports_are_served_by_their_losses() {
    let mut now = Instant::now();
    let mut estimator = Estimator::new();
    let (mut owed, mut least, mut most) = (0.0, CEILING, FLOOR);
    for second in 0..120 {
        for _ in 0..1000 {
            now += MS;
            owed += estimator.estimate().0 as f64 / 8000.0;
            while owed >= 1000.0 {
                owed -= 1000.0;
                estimator.sent(now, 1000);
            }
        }
        // A link of 1 Mbit/s that drops what is too much.
        let lost = (1.0 - 1e6 / estimator.estimate().0 as f64).max(0.0);
        estimator.reported_loss(now, (lost * 256.0) as u8);
        if second >= 30 {
            least = least.min(estimator.estimate());
            most = most.max(estimator.estimate());
        }
    }
    assert!(least > Bitrate(700_000) && most < Bitrate(1_300_000), "{least:?} to {most:?}");
    assert_eq!(estimator.stats().delay, DelayState::Normal);
}

#[test]
fn remb_is_an_upper_bound_where_arrivals_are_told() {
    let mut world = World::new(1, Link::new(6_000_000), vec![Flow::new(4_000_000)]);
    world.run_to(5 * SECOND, |_| ());
    let now = world.now;
    world.flows[0].estimator.remb(now, Bitrate(700_000));
    assert_eq!(world.flows[0].estimator.estimate(), Bitrate(700_000));
    // It is not repeated, so it ends.
    world.run_to(15 * SECOND, |_| ());
    assert!(world.estimate() > 3_000_000.0, "{}", world.estimate());
}
