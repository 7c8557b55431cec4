//! Pictures whose publisher's link loses: asked for again until they are whole, and waited for.

use super::client::Media;
use super::world::World;
use super::{CAMERA, pictures_asked};
use protocol::Source;
use sfu::PeerId;
use sfu::rtcp::{self, Incoming};
use sfu::rtp::Header;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const REPAIR: u32 = 2002;
/// Packets of one picture, thirty times a second.
const PIECES: u16 = 5;
const FRAME: Duration = Duration::from_millis(35);
const PLAYOUT_DELAY: u8 = 5;

/// A publisher that answers NACKs as browsers do: once per round trip and packet.
struct Camera {
    sent: BTreeMap<u16, (u32, Media)>,
    answered: BTreeMap<u16, Instant>,
    heard: usize,
    frames: u16,
    repairs: u64,
    is_keyframe_due: bool,
    /// Keyframes that were asked for before anything was lost.
    asked: usize,
}

impl Camera {
    fn new() -> Self {
        let (sent, answered) = (BTreeMap::new(), BTreeMap::new());
        Self { sent, answered, heard: 0, frames: 0, repairs: 0, is_keyframe_due: true, asked: 0 }
    }

    fn film(&mut self, world: &mut World, frames: u16) {
        for _ in 0..frames {
            let timestamp = u32::from(self.frames) * 3150;
            for piece in 0..PIECES {
                let is_keyframe = std::mem::take(&mut self.is_keyframe_due);
                let mut media = Media::vp8(is_keyframe, self.frames);
                media.marker = piece + 1 == PIECES;
                if piece > 0 {
                    media.payload[0] = 0x80;
                }
                let number = self.frames * PIECES + piece;
                self.sent.insert(number, (timestamp, media.clone()));
                let packet = world.client(1).seal(CAMERA, u64::from(number), timestamp, &media);
                world.send(1, packet);
            }
            self.frames += 1;
            let end = world.now + FRAME;
            while world.now < end {
                world.run(Duration::from_millis(5));
                self.answer(world);
            }
        }
    }

    fn answer(&mut self, world: &mut World) {
        let mut asked = Vec::new();
        for compound in &world.client(1).rtcp[self.heard..] {
            rtcp::parse(compound, |incoming| match incoming {
                Incoming::Nack { sequences, .. } => asked.extend(sequences),
                Incoming::Pli { .. } => self.is_keyframe_due = true,
                _ => {}
            });
        }
        self.heard = world.client(1).rtcp.len();
        for number in asked {
            let (now, round_trip) = (world.now, 2 * world.delay);
            if self.answered.get(&number).is_some_and(|at| now < *at + round_trip) {
                continue;
            }
            self.answered.insert(number, now);
            let (timestamp, media) = self.sent[&number].clone();
            let payload = [&number.to_be_bytes(), &media.payload[..]].concat();
            let media = Media { payload_type: 97, payload, ..media };
            self.repairs += 1;
            let packet = world.client(1).seal(REPAIR, self.repairs, timestamp, &media);
            world.send(1, packet);
        }
    }
}

/// Anna (1) films over a link that loses, 120 ms there and back; Boris (2) looks.
fn filmed(seed: u64, loss: f64, frames: u16) -> (World, Camera) {
    let mut world = World::new(seed);
    world.delay = Duration::from_millis(60);
    world.publish(1, 1, &[(Source::Camera, CAMERA)]);
    world.subscribe(2, 2, 0, 1);
    let mut camera = Camera::new();
    camera.film(&mut world, 30);
    camera.asked = pictures_asked(&mut world, 1);
    world.losses.insert(PeerId(1), loss);
    camera.film(&mut world, frames);
    (world, camera)
}

/// Share of packets that never came, of those that are old enough.
fn missing(world: &mut World, camera: &Camera) -> f64 {
    let ssrc = headers(world)[0].ssrc;
    let numbers: BTreeSet<u64> = world.client(2).sequences(ssrc).into_iter().collect();
    let first = *numbers.first().expect("packets");
    let all = u64::from(camera.frames - 60) * u64::from(PIECES);
    let here = numbers.range(first..first + all).count() as f64;
    1.0 - here / all as f64
}

fn headers(world: &mut World) -> Vec<Header> {
    let rtp = &world.client(2).rtp;
    rtp.iter().filter_map(|packet| Header::parse(packet)).collect()
}

/// What the newest packet says of how long pictures are held back.
fn wait(world: &mut World) -> Option<Duration> {
    let packet = world.client(2).rtp.last().cloned().expect("a packet");
    let header = Header::parse(&packet).expect("RTP");
    let &[high, low, _] = header.extension(&packet, PLAYOUT_DELAY)? else { return None };
    Some(Duration::from_millis(u64::from(u16::from_be_bytes([high, low]) >> 4) * 10))
}

#[test]
fn what_a_publisher_s_link_loses_is_repaired() {
    for (loss, most, given_up) in [(0.05, 0.0001, 0), (0.15, 0.001, 1), (0.30, 0.03, 20)] {
        let (mut world, mut camera) = filmed(1, loss, 400);
        world.losses.clear();
        camera.film(&mut world, 60);
        let missing = missing(&mut world, &camera);
        println!("{loss} lost: {missing:.5} missing, {} repairs", camera.repairs);
        assert!(missing <= most, "{loss}: {missing}");
        let asked = pictures_asked(&mut world, 1) - camera.asked;
        println!("{asked} keyframes asked for");
        assert!(asked <= given_up, "{loss}: {asked}");
    }
}

#[test]
fn few_packets_come_twice() {
    let (world, camera) = filmed(2, 0.05, 400);
    let lost = 400.0 * f64::from(PIECES) * 0.05;
    assert!((camera.repairs as f64) < lost * 1.4, "{} repairs of {lost} lost", camera.repairs);
    assert_eq!(world.sfu.stats().faults, 0);
}

#[test]
fn receivers_wait_for_repairs_as_long_as_there_are_any() {
    let (mut world, mut camera) = filmed(3, 0.0, 60);
    assert_eq!(wait(&mut world), None, "nothing to wait for");
    world.losses.insert(PeerId(1), 0.05);
    camera.film(&mut world, 150);
    let waited = wait(&mut world).expect("a delay");
    assert!(
        (Duration::from_millis(130)..=Duration::from_millis(400)).contains(&waited),
        "{waited:?}"
    );
    world.losses.clear();
    // Some time after the last repair there is less and less to wait for, and then nothing to say.
    let (lifted, mut told) = (world.now, Vec::new());
    while let Some(wait) = wait(&mut world) {
        told.push(wait);
        assert!(world.now < lifted + Duration::from_secs(45), "{wait:?}");
        camera.film(&mut world, 10);
    }
    assert!(world.now > lifted + Duration::from_secs(20));
    assert!(told.is_sorted_by(|before, after| before >= after), "{told:?}");
    assert_eq!(told.last(), Some(&Duration::ZERO));
}
