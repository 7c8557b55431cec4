//! What becomes of the estimate on links of all kinds. Every claim holds for several seeds.

use super::world::{Flow, Link, MS, SECOND, World};
use crate::bwe::{DelayState, FLOOR};
use std::time::Duration;

const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

/// More than any of these links carries but the good one.
const WANTED: u64 = 4_000_000;

fn one_flow(seed: u64, link: Link) -> World {
    World::new(seed, link, vec![Flow::new(WANTED)])
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

fn least(samples: &[f64]) -> f64 {
    samples.iter().copied().fold(f64::MAX, f64::min)
}

/// Bits per second that arrive from now to `to`.
fn delivered(world: &mut World, flow: usize, to: Duration) -> f64 {
    let before = world.flows[flow].delivered_bytes;
    let from = world.now;
    world.run_to(to, |_| ());
    let bytes = world.flows[flow].delivered_bytes - before;
    bytes as f64 * 8.0 / (world.now - from).as_secs_f64()
}

#[test]
fn a_good_link_is_known_within_3_seconds() {
    for seed in SEEDS {
        let mut world = one_flow(seed, Link::new(20_000_000));
        let took = world.run_until(10 * SECOND, |world| world.estimate() >= WANTED as f64);
        assert!(took < 3 * SECOND, "{took:?} with seed {seed}");
    }
}

#[test]
fn layers_far_apart_are_reached_on_a_good_link_by_probes() {
    for seed in SEEDS {
        let mut flow = Flow::new(WANTED);
        flow.layers = vec![150_000, 500_000, 1_700_000, 3_700_000];
        let mut world = World::new(seed, Link::new(6_000_000), vec![flow]);
        let took = world.run_until(10 * SECOND, |world| world.estimate() >= WANTED as f64);
        assert!(took < 3 * SECOND, "{took:?} with seed {seed}");
        world.run_to(30 * SECOND, |world| {
            if world.at() > 3.0 {
                assert!(
                    world.estimate() >= 0.95 * WANTED as f64,
                    "{} at {}",
                    world.estimate(),
                    world.at()
                );
            }
        });
    }
}

#[test]
fn a_steady_link_is_used_without_a_standing_queue() {
    for seed in SEEDS {
        let mut world = one_flow(seed, Link::new(1_000_000));
        world.run_to(10 * SECOND, |_| ());
        world.flows[0].samples.clear();
        world.waits.clear();
        world.run_to(60 * SECOND, |_| ());
        let estimate = mean(&world.flows[0].samples);
        let least = least(&world.flows[0].samples);
        world.waits.sort();
        let wait = world.waits[world.waits.len() * 95 / 100];
        assert!((750_000.0..1_050_000.0).contains(&estimate), "{estimate} with seed {seed}");
        assert!(least > 600_000.0, "{least} with seed {seed}");
        assert!(wait < 200 * MS, "{wait:?} with seed {seed}");
    }
}

/// How long the estimate needs to come down and to come back, and the wait at its worst and 5 s after the cut.
fn cut(seed: u64, queue_bytes: usize) -> (Duration, Duration, Duration) {
    let mut link = Link::new(2_000_000);
    link.queue_bytes = queue_bytes;
    let mut world = one_flow(seed, link);
    world.run_to(10 * SECOND, |_| ());
    world.link.bps = 400_000;
    let down = world.run_until(10 * SECOND, |world| world.estimate() < 450_000.0);
    world.run_to(15 * SECOND, |_| ());
    world.longest_wait = Duration::ZERO;
    world.run_to(30 * SECOND, |_| ());
    let wait = world.longest_wait;
    world.link.bps = 2_000_000;
    let up = world.run_until(20 * SECOND, |world| world.estimate() > 1_800_000.0);
    (down, up, wait)
}

#[test]
fn a_cut_link_is_noticed_and_so_is_its_end() {
    for seed in SEEDS {
        for queue_ms in [300, 2500] {
            let (down, up, wait) = cut(seed, 400_000 / 8 * queue_ms / 1000);
            assert!(down < 3 * SECOND, "down in {down:?} with seed {seed}, queue {queue_ms}");
            assert!(up < 8 * SECOND, "up in {up:?} with seed {seed}, queue {queue_ms}");
            assert!(wait < 400 * MS, "{wait:?} with seed {seed}, queue {queue_ms}");
        }
    }
}

#[test]
fn random_loss_leaves_the_rate_useful() {
    for seed in SEEDS {
        let mean_and_least_at = |loss: f64| {
            let mut link = Link::new(2_000_000);
            link.loss = loss;
            let mut world = one_flow(seed, link);
            world.run_to(10 * SECOND, |_| ());
            world.flows[0].samples.clear();
            world.run_to(60 * SECOND, |_| ());
            let samples = &world.flows[0].samples;
            (mean(samples), least(samples))
        };
        let (at_5, _) = mean_and_least_at(0.05);
        assert!(at_5 > 0.6 * 2e6, "{at_5} with seed {seed}");
        let (at_15, least_at_15) = mean_and_least_at(0.15);
        assert!(at_15 > 0.4 * 2e6, "{at_15} with seed {seed}");
        assert!(least_at_15 > 150_000.0, "{least_at_15} with seed {seed}");
        let (at_30, _) = mean_and_least_at(0.30);
        assert!(at_30 > 400_000.0, "{at_30} with seed {seed}");
    }
}

#[test]
fn a_short_queue_that_drops_limits_the_rate() {
    for seed in SEEDS {
        let mut link = Link::new(1_000_000);
        link.queue_bytes = 6000;
        let mut world = one_flow(seed, link);
        world.run_to(10 * SECOND, |_| ());
        let (sent, arrived) = (world.flows[0].sent_bytes, world.flows[0].delivered_bytes);
        world.flows[0].samples.clear();
        world.run_to(60 * SECOND, |_| ());
        let sent = (world.flows[0].sent_bytes - sent) as f64;
        let arrived = (world.flows[0].delivered_bytes - arrived) as f64;
        let estimate = mean(&world.flows[0].samples);
        let lost = 1.0 - arrived / sent;
        assert!((600_000.0..1_150_000.0).contains(&estimate), "{estimate} with seed {seed}");
        assert!(lost < 0.15, "{lost} with seed {seed}");
    }
}

#[test]
fn jitter_is_no_overuse() {
    for seed in 1..=12 {
        for is_reordering in [false, true] {
            let mut link = Link::new(6_000_000);
            link.jitter = 30 * MS;
            link.is_reordering = is_reordering;
            let mut world = one_flow(seed, link);
            let took = world.run_until(30 * SECOND, |world| world.estimate() >= WANTED as f64);
            assert!(took < 2 * SECOND, "{took:?} with seed {seed}, reordering: {is_reordering}");
            world.run_to(40 * SECOND, |world| {
                let stats = world.flows[0].estimator.stats();
                assert_ne!(stats.delay, DelayState::Overuse, "at {} with seed {seed}", world.at());
                assert!(world.estimate() >= 0.95 * WANTED as f64, "{stats:?} with seed {seed}");
            });
        }
    }
}

#[test]
fn radio_with_loss_and_jitter_is_used() {
    for seed in SEEDS {
        let mut link = Link::new(20_000_000);
        (link.delay, link.loss, link.jitter) = (60 * MS, 0.05, 30 * MS);
        let mut world = one_flow(seed, link);
        let took = world.run_until(30 * SECOND, |world| world.estimate() >= WANTED as f64);
        assert!(took < 4 * SECOND, "{took:?} with seed {seed}");
        world.run_to(60 * SECOND, |world| {
            assert!(world.estimate() >= 0.9 * WANTED as f64, "at {} with seed {seed}", world.at());
        });
    }
}

#[test]
fn two_flows_share_a_link() {
    for seed in SEEDS {
        let mut late = Flow::new(WANTED);
        late.starts_at = 10 * SECOND;
        let mut world = World::new(seed, Link::new(2_000_000), vec![Flow::new(WANTED), late]);
        world.run_to(30 * SECOND, |_| ());
        let before = world.flows[1].delivered_bytes;
        let first = delivered(&mut world, 0, 90 * SECOND);
        let second = (world.flows[1].delivered_bytes - before) as f64 * 8.0 / 60.0;
        assert!(first.min(second) > 0.25 * 2e6, "{first} and {second} with seed {seed}");
        assert!(first + second > 0.7 * 2e6, "{first} and {second} with seed {seed}");
    }
}

#[test]
fn after_a_blackout_the_rate_is_back_soon() {
    for seed in SEEDS {
        let mut world = one_flow(seed, Link::new(6_000_000));
        world.run_to(10 * SECOND, |_| ());
        world.link.is_dead = true;
        let down = world.run_until(20 * SECOND, |world| world.estimate() == FLOOR.0 as f64);
        assert!(down < 3 * SECOND, "down in {down:?} with seed {seed}");
        world.run_to(30 * SECOND, |_| ());
        world.link.is_dead = false;
        let up = world.run_until(10 * SECOND, |world| world.estimate() >= WANTED as f64);
        assert!(up < 3 * SECOND, "up in {up:?} with seed {seed}");
    }
}

#[test]
fn lost_feedback_is_no_lost_media() {
    for seed in SEEDS {
        let mut link = Link::new(6_000_000);
        link.feedback_loss = 0.3;
        let mut world = one_flow(seed, link);
        let took = world.run_until(20 * SECOND, |world| world.estimate() >= WANTED as f64);
        assert!(took < 8 * SECOND, "{took:?} with seed {seed}");
        world.flows[0].samples.clear();
        world.run_to(60 * SECOND, |_| ());
        let estimate = mean(&world.flows[0].samples);
        assert!(estimate > 0.8 * WANTED as f64, "{estimate} with seed {seed}");
    }
}

/// The least estimate from 10 s on, of a sender that has layers below what the link carries, or takes
/// all that it gets.
fn least_under_jitter(seed: u64, jitter: Duration, is_limited: bool) -> f64 {
    let mut link = Link::new(if is_limited { 50_000_000 } else { 3_000_000 });
    (link.delay, link.jitter, link.is_reordering) = (20 * MS, jitter, true);
    let mut flow = Flow::new(if is_limited { 1_700_000 } else { WANTED });
    if is_limited {
        flow.layers = vec![150_000, 500_000, 1_300_000];
    }
    let mut world = World::new(seed, link, vec![flow]);
    world.run_to(10 * SECOND, |_| ());
    world.flows[0].samples.clear();
    world.run_to(40 * SECOND, |_| ());
    least(&world.flows[0].samples)
}

#[test]
fn jitter_that_reorders_is_no_queue_and_no_loss() {
    for is_limited in [true, false] {
        for seed in 1..=6 {
            let calm = least_under_jitter(seed, Duration::ZERO, is_limited);
            for jitter_ms in [10, 20, 30, 40] {
                let least = least_under_jitter(seed, jitter_ms * MS, is_limited);
                let place = format!("with seed {seed}, {jitter_ms} ms, limited: {is_limited}");
                assert!(least >= 0.8 * calm, "{least} instead of {calm} {place}");
            }
        }
    }
}
