//! What a listener of a large room holds in the media plane, counted by the allocator: it is a thousandfold.

#![expect(clippy::unwrap_used, reason = "tests")]

extern crate veche_sfu as sfu;

#[path = "meeting/client.rs"]
#[expect(dead_code, reason = "shared with the meetings, which use all of it")]
mod client;
#[path = "meeting/world.rs"]
#[expect(dead_code, reason = "shared with the meetings, which use all of it")]
mod world;

use client::Media;
use protocol::Source;
use sfu::twcc::TransportCc;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use world::World;

/// Bytes of one listener's subscribe transport: 4 slots for sound and 9 for pictures, three voices flowing. 13,060 when this
/// was written, and 23,740 where DTLS is not let go; what aws-lc allocates for itself (three key schedules of 600 bytes) is not
/// seen from here. Raise it only for something that every listener needs.
const MOST_BYTES: i64 = 15_000;
const SPEAKERS: u64 = 3;
const LISTENERS: u64 = 64;

/// Counts what the server allocates, until it is freed by whomever; not what its clients do.
struct Counting;

static IS_SERVER: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
/// Bytes before each piece of memory that say whose it is.
const TAG: usize = 16;

/// The same with room for the tag; nothing that is aligned to more is counted.
fn tagged(layout: Layout) -> Option<Layout> {
    let is_usual = layout.align() <= TAG;
    is_usual.then(|| Layout::from_size_align(layout.size() + TAG, TAG).unwrap())
}

// SAFETY: the system's allocator, asked for a little more, which lies in front.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(larger) = tagged(layout) else {
            // SAFETY: as the caller promises.
            return unsafe { System.alloc(layout) };
        };
        let is_server = IS_SERVER.load(Ordering::Relaxed);
        if is_server {
            LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: there are TAG bytes in front of what was asked for.
        unsafe {
            let begin = System.alloc(larger);
            assert!(!begin.is_null(), "out of memory");
            begin.cast::<bool>().write(is_server);
            begin.add(TAG)
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(larger) = tagged(layout) else {
            // SAFETY: as the caller promises.
            return unsafe { System.dealloc(pointer, layout) };
        };
        // SAFETY: it came from above.
        unsafe {
            let begin = pointer.sub(TAG);
            if begin.cast::<bool>().read() {
                LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
            }
            System.dealloc(begin, larger);
        }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Called whenever the server begins and ends to run; nobody asks how long it took.
fn enter_or_leave() -> Duration {
    IS_SERVER.fetch_xor(true, Ordering::Relaxed);
    Duration::ZERO
}

fn ssrc(n: u64) -> u32 {
    1_000 + u32::try_from(n).unwrap()
}

/// People come and listen; the bytes that the plane holds then.
fn listen(world: &mut World, packets: &mut u32, who: std::ops::RangeInclusive<u64>) -> i64 {
    for n in who.clone() {
        world.request(n, n, 4, 9);
        // Its feedback is what proves that the handshake is over at its end.
        world.client(n).feedback = Some(TransportCc::default());
    }
    world.run_until(|world| who.clone().all(|n| world.is_connected(n)));
    for _ in 0..100 {
        *packets += 1;
        for n in 1..=SPEAKERS {
            let packet = world.client(n).send(ssrc(n), *packets * 960, &Media::voice(20));
            world.send(n, packet);
        }
        world.run(Duration::from_millis(20));
    }
    // What is under way was made by the server, and arrives.
    world.run(Duration::from_secs(1));
    world.events.clear();
    LIVE.load(Ordering::Relaxed)
}

#[test]
fn a_listener_holds_little() {
    let mut world = World::new(1);
    world.clock = Some(enter_or_leave);
    for n in 1..=SPEAKERS {
        world.publish(n, n, &[(Source::Microphone, ssrc(n))]);
    }
    let mut packets = 0;
    // The first ones make what all share, and tables as large as the others need.
    let before = listen(&mut world, &mut packets, 101..=100 + LISTENERS);
    let after = listen(&mut world, &mut packets, 201..=200 + LISTENERS);
    let each = (after - before) / i64::try_from(LISTENERS).unwrap();
    assert!(each <= MOST_BYTES, "{each} bytes for each listener");
    assert!(each > 1_000, "{each} bytes: nothing was counted");
}
