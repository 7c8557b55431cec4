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
use std::time::Duration;
use world::World;

const CAMERA: u32 = 2001;
const SUBSCRIBERS: u64 = 50;
const ROUNDS: usize = 2_000;

fn main() {
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
