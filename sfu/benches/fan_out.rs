//! CPU time of the media plane alone, without sockets: one publisher to many subscribers.
//! `cargo bench -p veche-sfu --bench fan_out`

extern crate veche_sfu as sfu;

#[path = "../tests/meeting/client.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod client;
#[path = "../tests/meeting/world.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod world;

use client::Media;
use protocol::Source;
use sfu::{Command, PlaneId};
use std::time::{Duration, Instant};
use world::{ROOM, World};

const CAMERA: u32 = 2001;
const SUBSCRIBERS: u64 = 50;
const ROUNDS: usize = 2_000;

fn main() {
    alone();
    over_two_planes();
}

/// The same room over two planes: what both take together, for each packet that leaves either.
fn over_two_planes() {
    println!("| burst | ns per packet over two planes | where it is published | on the other |");
    println!("|---|---|---|---|");
    for burst in [1usize, 8] {
        let now = Instant::now();
        let mut planes = [0, 1].map(|at| World::on(PlaneId(at), 1 + u64::from(at), now));
        for world in &mut planes {
            let planes = vec![PlaneId(0), PlaneId(1)];
            world.command(Command::SetPlanes { room: ROOM, home: PlaneId(0), planes });
        }
        planes[0].publish(1, 1, &[(Source::Camera, CAMERA)]);
        for peer in 2..2 + SUBSCRIBERS {
            planes[peer as usize % 2].subscribe(peer, peer, 4, 9);
        }
        let mut media = Media::vp8(true, 0);
        media.payload.resize(1100, 0x55);
        for _ in 0..40 {
            let packet = planes[0].client(1).send(CAMERA, 0, &media);
            planes[0].send(1, packet);
            for world in &mut planes {
                world.run(Duration::from_millis(20));
            }
            exchange(&mut planes);
        }
        planes.iter_mut().for_each(flush);
        media.payload[4] = 1;
        let packets: Vec<Vec<Vec<u8>>> = (0..ROUNDS)
            .map(|_| (0..burst).map(|_| planes[0].client(1).send(CAMERA, 3000, &media)).collect())
            .collect();
        let from = planes[0].client(1).address.into();
        let before = planes.each_ref().map(|world| world.sfu.stats().packets_out);
        let mut took = [Duration::ZERO; 2];
        for mut round in packets {
            let now = planes[0].now;
            let start = cpu_time();
            for packet in &mut round {
                planes[0].sfu.receive(now, from, packet);
            }
            flush(&mut planes[0]);
            let relayed: Vec<_> = std::iter::from_fn(|| planes[0].sfu.poll_relayed()).collect();
            let handed = cpu_time();
            let now = planes[1].now;
            for (_, relayed) in relayed {
                planes[1].sfu.receive_relayed(now, PlaneId(0), relayed);
            }
            flush(&mut planes[1]);
            took[0] += handed - start;
            took[1] += cpu_time() - handed;
        }
        let out = planes.each_ref().map(|world| world.sfu.stats().packets_out);
        let forwarded = [out[0] - before[0], out[1] - before[1]];
        assert_eq!(forwarded, [(ROUNDS * burst) as u64 * SUBSCRIBERS / 2; 2]);
        let each = |took: Duration, packets: u64| took.as_nanos() as f64 / packets as f64;
        println!(
            "| {burst} | {:.0} | {:.0} | {:.0} |",
            each(took[0] + took[1], forwarded[0] + forwarded[1]),
            each(took[0], forwarded[0]),
            each(took[1], forwarded[1])
        );
    }
}

fn exchange(planes: &mut [World; 2]) {
    for (from, to) in [(0, 1), (1, 0)] {
        while let Some((_, relayed)) = planes[from].sfu.poll_relayed() {
            let now = planes[to].now;
            planes[to].sfu.receive_relayed(now, PlaneId(from as u16), relayed);
        }
    }
}

fn flush(world: &mut World) {
    while world.sfu.flush(world.now) {
        world.sfu.transmits().clear();
    }
    world.sfu.transmits().clear();
}

fn alone() {
    println!("| burst | ns per forwarded packet | ns sealing alone |");
    println!("|---|---|---|");
    for burst in [1usize, 8] {
        let mut world = World::new(1);
        world.publish(1, 1, &[(Source::Camera, CAMERA)]);
        for peer in 2..2 + SUBSCRIBERS {
            world.subscribe(peer, peer, 4, 9);
        }
        let mut media = Media::vp8(true, 0);
        media.payload.resize(1100, 0x55);
        let packet = world.client(1).send(CAMERA, 0, &media);
        world.send(1, packet);
        world.run(Duration::from_millis(100));
        media.payload[4] = 1;
        let packets: Vec<Vec<Vec<u8>>> = (0..ROUNDS)
            .map(|_| (0..burst).map(|_| world.client(1).send(CAMERA, 3000, &media)).collect())
            .collect();
        let from = world.client(1).address.into();
        let now = world.now;
        let before = world.sfu.stats().packets_out;
        let start = cpu_time();
        for mut round in packets {
            for packet in &mut round {
                world.sfu.receive(now, from, packet);
            }
            while world.sfu.flush(now) {
                world.sfu.transmits().clear();
            }
            world.sfu.transmits().clear();
        }
        let took = cpu_time() - start;
        let forwarded = world.sfu.stats().packets_out - before;
        assert_eq!(forwarded, (ROUNDS * burst) as u64 * SUBSCRIBERS);
        let sealing = sealing_alone(&mut world, forwarded, &media);
        println!(
            "| {burst} | {:.0} | {:.0} |",
            took.as_nanos() as f64 / forwarded as f64,
            sealing.as_nanos() as f64 / forwarded as f64
        );
    }
}

/// The same number of packets copied and sealed with one key each, nothing else.
fn sealing_alone(world: &mut World, packets: u64, media: &Media) -> Duration {
    let mut slab = Vec::with_capacity(64 * 1200);
    let clients: Vec<u64> = (2..2 + SUBSCRIBERS).collect();
    let start = cpu_time();
    for i in 0..packets {
        if i % 64 == 0 {
            slab.clear();
        }
        let at = slab.len();
        slab.extend_from_slice(&[0x80; 20]);
        slab.extend_from_slice(&media.payload);
        let peer = clients[(i % SUBSCRIBERS) as usize];
        world.client(peer).transport.seal_rtp(&mut slab, at, 20, i);
    }
    cpu_time() - start
}

/// CPU time of this thread: the machine may be busy with others.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local of the right type.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "the thread's clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
