//! What a room of a thousand costs the media plane alone, without sockets: joins, speakers who change, and those who only
//! listen. `cargo bench -p veche-sfu --bench large_room`

extern crate veche_sfu as sfu;

#[path = "../tests/meeting/client.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod client;
#[path = "../tests/meeting/world.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod world;

use client::Media;
use protocol::Source;
use protocol::media::{View, ViewTile};
use protocol::room::MediaState;
use sfu::{Command, Event};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use world::{ROOM, World, person};

const PEOPLE: u64 = 1_000;
const BATCH: u64 = 50;
const JOINS: u64 = 50;
const SECOND: Duration = Duration::from_secs(1);
/// Transports that receive; those that send have the numbers of their people.
const RECEIVE: u64 = 10_000;

/// Counts what is allocated while the server runs, and not its clients.
struct Counting;

static IS_SERVER: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: the system's allocator, with a count beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_SERVER.load(Ordering::Relaxed) {
            LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if IS_SERVER.load(Ordering::Relaxed) {
            LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    let mut world = World::new(1);
    world.clock = Some(enter_or_leave);
    world.delay = Duration::from_millis(5);
    let mut kib = Vec::new();
    for begin in (1..=PEOPLE).step_by(BATCH as usize) {
        join(&mut world, begin..begin + BATCH);
        let people = begin + BATCH - 1;
        if people.is_multiple_of(250) {
            let live = LIVE.load(Ordering::Relaxed) as f64 / 1024.0 / people as f64;
            kib.push(format!("{live:.1} of {people}"));
        }
    }
    println!("{} transports of {PEOPLE} people", world.sfu.census().transports());
    println!("KiB a person: {}", kib.join(", "));
    for client in world.clients.values_mut() {
        client.next_check += 3600 * SECOND;
    }
    let idle = spent(&mut world, |world| world.run(5 * SECOND)) / 5;
    println!("nobody speaks: {:.2} % of a core", 100.0 * idle.as_secs_f64());

    world.is_deaf = true;
    let mut talk = Talk::default();
    talk.speak(&mut world, 2 * SECOND, &[1, 2, 3]);
    let before = (world.sfu.stats().packets_out, changes(&world));
    let speech = spent(&mut world, |world| talk.speak(world, 3 * SECOND, &[1, 2, 3])) / 3;
    let (packets, changed) = (world.sfu.stats().packets_out - before.0, changes(&world) - before.1);
    println!(
        "three speak: {:.2} % of a core, {:.4} % a listener, {} packets a second, {changed} slots told",
        100.0 * speech.as_secs_f64(),
        100.0 * speech.as_secs_f64() / PEOPLE as f64,
        packets / 3
    );
    let open: Vec<u64> = (1..=300).collect();
    talk.murmur(&mut world, SECOND, &open);
    let loud = spent(&mut world, |world| talk.murmur(world, SECOND, &open));
    println!("300 open microphones: {:.2} % of a core", 100.0 * loud.as_secs_f64());
    let before = changes(&world);
    let change = spent(&mut world, |world| talk.speak(world, SECOND, &[8, 2, 3]));
    println!(
        "and another begins: {:.1} ms more in a second, {} slots told",
        1000.0 * (change.as_secs_f64() - speech.as_secs_f64()),
        changes(&world) - before
    );
    world.is_deaf = false;
    world.events.clear();

    for client in world.clients.values_mut() {
        client.next_check = world.now + 3600 * SECOND;
    }
    let quiet = spent(&mut world, |world| world.run(SECOND));
    let before = world.now;
    let joins = spent(&mut world, |world| {
        for n in 0..JOINS {
            enter(world, 2_000 + n);
            world.run(20 * Duration::from_millis(1));
        }
        world.run(Duration::from_millis(500));
    });
    let time = (world.now - before).as_secs_f64();
    let joins = joins.as_secs_f64() - quiet.as_secs_f64() * time;
    let offers = world.events.iter().filter(|e| matches!(e, Event::Offered { .. })).count();
    println!(
        "a join among {PEOPLE} at 50 a second: {:.2} ms, {:.1} slots told and {:.1} offers each",
        1000.0 * joins / JOINS as f64,
        changes(&world) as f64 / JOINS as f64,
        offers as f64 / JOINS as f64
    );
}

/// People come, and are waited for.
fn join(world: &mut World, who: std::ops::Range<u64>) {
    for n in who.clone() {
        enter(world, n);
    }
    world.run_until(|world| {
        who.clone().all(|n| world.is_connected(RECEIVE + n) && world.is_connected(n))
    });
    forget_events(world);
}

/// Somebody comes with microphone and camera and is shown nine others.
fn enter(world: &mut World, n: u64) {
    world.offer(n, n, &[(Source::Microphone, ssrc(n)), (Source::Camera, ssrc(n) + 1)]);
    mute(world, n);
    world.request(RECEIVE + n, n, 4, 9);
    show(world, n);
}

fn mute(world: &mut World, n: u64) {
    let media = MediaState { mic_muted: n > 10, cam_off: n > 10, ..MediaState::default() };
    world.command(Command::SetMedia { room: ROOM, participant: person(n), media });
}

/// Nine tiles of those who came first.
fn show(world: &mut World, n: u64) {
    let tile = |of| ViewTile {
        participant_id: person(of),
        source: Source::Camera,
        width: 320,
        height: 180,
        pinned: false,
    };
    let view = View { tiles: Some((1..=9).map(tile).collect()), silenced: Vec::new() };
    world.command(Command::SetView { room: ROOM, participant: person(n), view });
}

fn ssrc(n: u64) -> u32 {
    100_000 + n as u32 * 2
}

/// What was told is the server's memory no more.
fn forget_events(world: &mut World) {
    IS_SERVER.store(true, Ordering::Relaxed);
    world.events.clear();
    IS_SERVER.store(false, Ordering::Relaxed);
}

#[derive(Default)]
struct Talk {
    packets: u32,
}

impl Talk {
    fn speak(&mut self, world: &mut World, time: Duration, who: &[u64]) {
        self.sound(world, time, who, 20);
    }

    fn murmur(&mut self, world: &mut World, time: Duration, who: &[u64]) {
        self.sound(world, time, who, 90);
    }

    fn sound(&mut self, world: &mut World, time: Duration, who: &[u64], level: u8) {
        let end = world.now + time;
        while world.now < end {
            self.packets += 1;
            for &n in who {
                let wavering = level + (self.packets % 7) as u8;
                let voice = Media::voice(wavering);
                let packet = world.client(n).send(ssrc(n), self.packets * 960, &voice);
                world.send(n, packet);
            }
            world.run(Duration::from_millis(20));
        }
    }
}

fn changes(world: &World) -> usize {
    world.events.iter().filter(|event| matches!(event, Event::SlotsChanged { .. })).count()
}

fn spent(world: &mut World, work: impl FnOnce(&mut World)) -> Duration {
    let before = world.spent;
    work(world);
    world.spent - before
}

/// CPU time of this thread: the machine may be busy with others. Read whenever the server begins and ends to run.
fn enter_or_leave() -> Duration {
    IS_SERVER.fetch_xor(true, Ordering::Relaxed);
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local of the right type.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "the thread's clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
