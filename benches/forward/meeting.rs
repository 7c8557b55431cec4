//! A meeting in which everybody speaks and films: many tracks, few receivers of each.

use crate::load::{Receivers, Shared, read};
use crate::{Pace, floor, median, verdict};
use sfu::Carrier;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::server::{Cost, Server};
use testkit::{Error, Person, Publication, Publisher};

const PEOPLE: usize = 10;
/// Opus at 40 kbit/s.
const SOUND: usize = 100;
const SOUND_EVERY: Duration = Duration::from_millis(20);
/// 30 frames a second of six packets: 1.6 Mbit/s.
const FRAME_PACKETS: usize = 6;
const FRAME_EVERY: Duration = Duration::from_millis(33);
const GOAL: f64 = 1.5;
/// Until estimates have grown and layers settled.
const SETTLE: Duration = Duration::from_secs(2);

/// Measures and prints one row; whether its goal is met.
///
/// The floor is that of sound and of pictures, each at the pace in which a receiver gets it, weighted by how many of
/// each arrived.
pub fn row(rounds: usize, time: Duration) -> Result<bool, Error> {
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &[("LOG_LEVEL", "warn")])?;
    let mut meeting = Meeting::gather(&server)?;
    meeting.run(SETTLE)?;
    let mut results = Vec::new();
    for _ in 0..rounds {
        let (packets, small) = meeting.arrived();
        let before = Cost::of(server.pid())?;
        meeting.run(time)?;
        let cost = Cost::of(server.pid())?.since(&before);
        let (packets, small) = {
            let (all, sound) = meeting.arrived();
            ((all - packets) as f64, (sound - small) as f64)
        };
        let receivers = PEOPLE - 1;
        let sound = Pace { burst: 1, every: SOUND_EVERY / PEOPLE as u32, payload: SOUND };
        let frames = Pace {
            burst: FRAME_PACKETS,
            every: FRAME_EVERY / PEOPLE as u32,
            payload: crate::PAYLOAD,
        };
        let sound = floor::measure(receivers, sound, time)?;
        let frames = floor::measure(receivers, frames, time)?;
        let floor = (sound * small + frames * (packets - small)) / packets;
        results.push((cost.total.as_secs_f64() * 1e6 / packets, cost.userland(), floor, packets));
    }
    meeting.end()?;
    let cost = median(results.iter().map(|(cost, ..)| *cost));
    let floor = median(results.iter().map(|(_, _, floor, _)| *floor));
    let userland =
        results.iter().map(|(_, share, ..)| share).sum::<f64>() / results.len() as f64 * cost;
    let ratio = median(results.iter().map(|(cost, _, floor, _)| cost / floor));
    let rate = results.iter().map(|(.., packets)| packets).sum::<f64>()
        / (time.as_secs_f64() * results.len() as f64);
    let mut is_met = true;
    println!(
        "meeting of {PEOPLE:<5} {cost:>10.2} {userland:>10.2} {floor:>7.2} {ratio:>9.2}   ≤ {GOAL:<4} {:>7}  {} ({rate:.0} packets/s)",
        "",
        verdict(ratio <= GOAL, &mut is_met)
    );
    server.stop()?;
    Ok(is_met)
}

struct Meeting {
    publishers: Vec<Publisher>,
    keyframes: Vec<u64>,
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<Result<(), Error>>>,
}

impl Meeting {
    fn gather(server: &Server) -> Result<Self, Error> {
        let (host, room) = Person::host(server.api, "Person 0")?;
        let mut people = vec![host];
        for n in 1..PEOPLE {
            people.push(Person::guest(server.api, &format!("Person {n}"), &room)?);
        }
        let mut publishers = Vec::new();
        let mut subscribers = Vec::new();
        for person in &mut people {
            publishers.push(person.publish(Publication::default())?);
            subscribers.push(person.subscribe(4, 9)?);
        }
        let shared = Arc::new(Shared::default());
        let receivers = Receivers::new(subscribers, Carrier::Udp, true, shared.clone());
        let receivers = std::thread::spawn(move || receivers.run());
        let sockets = {
            let shared = shared.clone();
            std::thread::spawn(move || read(people, &shared))
        };
        let keyframes = vec![0; publishers.len()];
        Ok(Self { publishers, keyframes, shared, threads: vec![receivers, sockets] })
    }

    /// Packets that arrived, and those of sound among them.
    fn arrived(&self) -> (u64, u64) {
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.shared.packets), load(&self.shared.small))
    }

    /// Everybody sends, one after the other, as people's clocks do.
    fn run(&mut self, time: Duration) -> Result<(), Error> {
        let start = Instant::now();
        let count = self.publishers.len() as u32;
        let (mut sounds, mut frames) = (0u32, 0u32);
        while start.elapsed() < time {
            let sound_at = start + SOUND_EVERY / count * sounds;
            let frame_at = start + FRAME_EVERY / count * frames;
            std::thread::sleep(sound_at.min(frame_at).saturating_duration_since(Instant::now()));
            if sound_at <= frame_at {
                let publisher = &mut self.publishers[(sounds % count) as usize];
                publisher.send_audio(30, SOUND)?;
                sounds += 1;
            } else {
                let at = (frames % count) as usize;
                let publisher = &mut self.publishers[at];
                publisher.drive()?;
                let asked = publisher.asked().keyframes;
                let is_keyframe = std::mem::replace(&mut self.keyframes[at], asked) < asked;
                publisher.send_frame(is_keyframe, FRAME_PACKETS, crate::PAYLOAD)?;
                frames += 1;
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), Error> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no thread of the meeting panics")?;
        }
        Ok(())
    }
}
