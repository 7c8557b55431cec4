//! AV1 in sizes within each other, as its descriptors tell them: who gets which, and what receivers are told of it.

use crate::client::Media;
use crate::world::{ROOM, World, person};
use protocol::media::{View, ViewTile};
use protocol::{SlotReason, Source};
use sfu::codec::Layer;
use sfu::codec::dependency::{Descriptor, Structure};
use sfu::rtcp::{self, Incoming};
use sfu::rtp::Header;
use sfu::twcc::TransportCc;
use sfu::{Command, Event};
use std::collections::BTreeSet;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(35);
const AV1: u8 = 102;
const RTX: u8 = 103;
const TEMPLATES: u8 = 6;
const BIG: [Layer; 2] = [Layer { spatial: 1, temporal: 0 }, Layer { spatial: 1, temporal: 1 }];

/// A camera in two sizes with two frame rates each. The large one builds on the small one at keyframes only.
pub struct Nested {
    peer: u64,
    ssrc: u32,
    frames: u32,
    /// Id of the structure's first template.
    offset: u8,
    seen_rtcp: usize,
    is_keyframe_due: bool,
    /// Sizes that it films in, and those that it is told to leave it at; none where it does not listen.
    sizes: u32,
    obeys: bool,
}

impl Nested {
    pub fn publish(world: &mut World, peer: u64, who: u64, ssrc: u32) -> Self {
        world.has_av1 = true;
        world.publish(peer, who, &[(Source::Camera, ssrc)]);
        Self {
            peer,
            ssrc,
            frames: 0,
            offset: 60,
            seen_rtcp: 0,
            is_keyframe_due: true,
            sizes: 2,
            obeys: true,
        }
    }

    fn film(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            self.turn(world);
            world.run(FRAME);
        }
    }

    /// Does what it is asked, and films one picture.
    pub fn turn(&mut self, world: &mut World) {
        let rtcp = &world.client(self.peer).rtcp;
        for compound in &rtcp[self.seen_rtcp..] {
            rtcp::parse(compound, |incoming| {
                self.is_keyframe_due |= matches!(incoming, Incoming::Pli { .. });
            });
        }
        self.seen_rtcp = rtcp.len();
        self.obey(world);
        self.shoot(world);
    }

    /// As browsers do whose encoder is set to another number of sizes: that begins with a keyframe.
    fn obey(&mut self, world: &World) {
        let sizes = asked(world, self.peer)
            .last()
            .map_or(2, |spatial| spatial.map_or(2, |s| u32::from(s) + 1));
        if self.obeys && sizes != self.sizes {
            self.sizes = sizes;
            self.is_keyframe_due = true;
        }
    }

    /// One picture: two packets of the small size, three of the large one.
    fn shoot(&mut self, world: &mut World) {
        let is_keyframe = std::mem::take(&mut self.is_keyframe_due);
        if is_keyframe {
            self.frames = self.frames.next_multiple_of(2);
            self.offset = (self.offset + TEMPLATES) % 64;
        }
        let temporal = self.frames % 2;
        for (spatial, packets) in [(0, 2), (1, 3)].into_iter().take(self.sizes as usize) {
            // Of each size: keyframe, slow, fast.
            let template = 3 * spatial + if is_keyframe { 0 } else { 1 + temporal };
            for at in 0..packets {
                let (is_start, is_end) = (at == 0, at + 1 == packets);
                let flags = u8::from(is_start) << 7 | u8::from(is_end) << 6;
                let [high, low] = ((2 * self.frames + spatial) as u16).to_be_bytes();
                let mut descriptor = vec![flags | ((self.offset + template as u8) % 64), high, low];
                let begins = is_keyframe && spatial == 0 && is_start;
                if begins {
                    descriptor.extend(structure(self.offset, self.sizes));
                }
                let mut payload = vec![0x10 | u8::from(begins) << 3, 6 << 3];
                payload.resize(500 + 300 * spatial as usize, 0x55);
                let marker = spatial + 1 == self.sizes && is_end;
                let media =
                    Media { payload_type: AV1, payload, marker, descriptor, ..Media::default() };
                let packet = world.client(self.peer).send(self.ssrc, self.frames * 3_150, &media);
                world.send(self.peer, packet);
            }
        }
        self.frames += 1;
    }
}

/// How far back the frame of a template refers: to its own size, but the large keyframe to the small one.
fn difference(template: u8) -> Option<u64> {
    [None, Some(4), Some(2), Some(1), Some(4), Some(2)][usize::from(template)]
}

/// What the publisher was asked for so far: its largest size, or all.
pub fn asked(world: &World, publisher: u64) -> Vec<Option<u8>> {
    let events = world.events.iter().filter_map(|event| match event {
        Event::LayersWanted { peer, spatial, .. } if peer.0 == publisher => Some(*spatial),
        _ => None,
    });
    events.collect()
}

/// The flags, templates, targets (small slow, small fast, large slow, large fast), differences and sizes.
fn structure(offset: u8, sizes: u32) -> Vec<u8> {
    let mut bits = Vec::new();
    let mut put = |value: u32, count: usize| {
        bits.extend((0..count).rev().map(|at| (value >> at & 1) as u8));
    };
    put(0b10000, 5);
    put(offset.into(), 6);
    put(2 * sizes - 1, 5);
    let steps: &[u32] = if sizes == 1 { &[0, 1, 3] } else { &[0, 1, 2, 0, 1, 3] };
    for step in steps {
        put(*step, 2);
    }
    let indications: [u32; TEMPLATES as usize] =
        [0b10_10_10_10, 0b10_10_00_00, 0b00_01_00_00, 0b00_00_10_10, 0b00_00_10_10, 0b00_00_00_01];
    for indications in &indications[..steps.len()] {
        put(indications >> (8 - 4 * sizes), 4 * sizes as usize);
    }
    for template in 0..steps.len() as u8 {
        if let Some(difference) = difference(template) {
            put(1, 1);
            put(difference as u32 - 1, 4);
        }
        put(0, 1);
    }
    put(0, sizes as usize);
    put(1, 1);
    for side in [639, 359, 1279, 719].into_iter().take(2 * sizes as usize) {
        put(side, 16);
    }
    bits.chunks(8)
        .map(|chunk| chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at)))
        .collect()
}

/// A packet as a receiver reads it.
#[derive(Debug)]
pub struct Told {
    sequence: u16,
    timestamp: u32,
    marker: bool,
    descriptor: Descriptor,
    pub layer: Layer,
    /// Layers of the targets that are sent.
    active: Vec<Layer>,
    refers_to: Option<u64>,
    frame: u64,
    is_repair: bool,
}

/// Reads everything that came on the video slot as decoders do: with the structure that came last.
pub fn told(world: &mut World, peer: u64) -> Vec<Told> {
    let mut structure: Option<(Structure, u8)> = None;
    let mut numbers = sfu::sequence::SequenceUnwrapper::new();
    let mut told = Vec::new();
    for packet in &world.client(peer).rtp {
        let header = Header::parse(packet).expect("RTP");
        let is_repair = header.payload_type == RTX;
        if header.payload_type != AV1 && !is_repair {
            continue;
        }
        let extension = header.extension(packet, 6).expect("every packet is described");
        let descriptor = Descriptor::parse(extension).expect("three bytes");
        if let Some(new) = Structure::parse(extension) {
            let before = structure.take();
            let first = descriptor.template;
            if let Some((before, old)) = before.filter(|(_, old)| *old != first) {
                let overlaps =
                    (0..TEMPLATES).any(|at| before.template((first + at) % 64).is_some());
                assert!(!overlaps, "templates from {old} and from {first} cannot be told apart");
            }
            structure = Some((new, first));
        }
        let (structure, first) = structure.as_ref().expect("a keyframe comes first");
        let layer = structure.template(descriptor.template).expect("one of its templates").layer;
        let active = structure.active(extension).expect("each packet says what is sent");
        let targets = structure.targets().iter().enumerate();
        let frame = numbers.unwrap(descriptor.frame_number);
        let template = (descriptor.template + 64 - first) % 64;
        told.push(Told {
            sequence: header.sequence,
            timestamp: header.timestamp,
            marker: header.marker,
            descriptor,
            layer,
            active: targets.filter(|(at, _)| active >> at & 1 == 1).map(|(_, l)| *l).collect(),
            refers_to: difference(template).map(|difference| frame - difference),
            frame,
            is_repair,
        });
    }
    told
}

/// No packet is missing, every frame refers to one that came, and every picture ends.
pub fn assert_decodable(told: &[Told]) {
    let mut whole = BTreeSet::new();
    for pair in told.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "{pair:?}");
        assert_eq!(pair[0].marker, pair[0].timestamp != pair[1].timestamp, "{pair:?}");
        assert!(pair[1].frame >= pair[0].frame, "{pair:?}");
    }
    for packet in told {
        assert!(packet.refers_to.is_none_or(|frame| whole.contains(&frame)), "{packet:?}");
        assert!(packet.active.contains(&packet.layer), "{packet:?}");
        if packet.descriptor.is_end {
            whole.insert(packet.frame);
        }
    }
}

/// Boris shows a camera at that size.
fn tile(who: u64, width: u16, height: u16) -> Command {
    let (participant_id, source) = (person(who), Source::Camera);
    let tile = ViewTile { participant_id, source, width, height, pinned: false };
    let view = View { tiles: Some(vec![tile]), ..View::default() };
    Command::SetView { room: ROOM, participant: person(2), view }
}

fn anna_films_boris_watches(seed: u64) -> (World, Nested) {
    let mut world = World::new(seed);
    let camera = Nested::publish(&mut world, 1, 1, 31);
    world.subscribe(2, 2, 1, 1);
    world.client(2).feedback = Some(TransportCc::new());
    (world, camera)
}

#[test]
fn a_receiver_gets_all_sizes_and_is_told_so() {
    let (mut world, mut camera) = anna_films_boris_watches(71);
    camera.film(&mut world, 4 * SECOND);
    let told = told(&mut world, 2);
    assert_decodable(&told);
    let last = told.last().unwrap();
    assert_eq!((last.layer.spatial, last.active.len()), (1, 4), "{last:?}");
    let slot = world.slots(2).into_iter().find_map(|slot| slot.layer).unwrap();
    assert_eq!((slot.width, slot.height), (Some(1280), Some(720)));
}

#[test]
fn a_small_tile_gets_the_small_size_at_once_and_the_large_one_with_a_keyframe() {
    let (mut world, mut camera) = anna_films_boris_watches(72);
    camera.film(&mut world, 4 * SECOND);
    let keyframes =
        |told: &[Told]| told.iter().filter(|told| told.descriptor.has_structure).count();
    let before = keyframes(&told(&mut world, 2));
    world.command(tile(1, 320, 180));
    camera.film(&mut world, 2 * SECOND);
    let small = told(&mut world, 2);
    assert_decodable(&small);
    let last = small.last().unwrap();
    assert_eq!(last.layer.spatial, 0);
    assert!(!last.active.iter().any(|layer| BIG.contains(layer)), "{last:?}");
    assert_eq!(keyframes(&small), before, "the large size was left out between two pictures");

    world.command(tile(1, 1280, 720));
    camera.film(&mut world, 2 * SECOND);
    let large = told(&mut world, 2);
    assert_decodable(&large);
    assert_eq!(large.last().unwrap().active.len(), 4);
    assert_eq!(keyframes(&large), before + 1);
}

#[test]
fn a_size_that_nobody_takes_is_not_sent_and_is_back_as_soon_as_somebody_wants_it() {
    let (mut world, mut camera) = anna_films_boris_watches(76);
    camera.film(&mut world, 4 * SECOND);
    world.command(tile(1, 320, 180));
    camera.film(&mut world, 4 * SECOND);
    assert_eq!(asked(&world, 1), [], "not between two looks at a gallery");
    camera.film(&mut world, 3 * SECOND);
    assert_eq!(asked(&world, 1), [Some(0)]);
    assert_eq!(camera.sizes, 1);
    let slot = world.slots(2).into_iter().find(|slot| slot.track.is_some()).unwrap();
    let layer = slot.layer.unwrap();
    assert_eq!((layer.width, layer.spatial), (Some(640), Some(0)));
    assert_eq!(slot.reason, SlotReason::Viewport, "more is there for the asking");

    camera.film(&mut world, 20 * SECOND);
    let small = told(&mut world, 2);
    assert_decodable(&small);
    world.command(tile(1, 1280, 720));
    let start = world.now;
    let has_large = |world: &mut World| told(world, 2).last().unwrap().layer.spatial == 1;
    while !has_large(&mut world) {
        assert!(world.now - start < 4 * SECOND, "{:?}", world.slots(2));
        camera.film(&mut world, FRAME);
    }
    assert_eq!(asked(&world, 1), [Some(0), None]);
    camera.film(&mut world, 20 * SECOND);
    assert_decodable(&told(&mut world, 2));
    assert_eq!(asked(&world, 1), [Some(0), None], "and stays");
    let layer = world.slots(2).into_iter().find_map(|slot| slot.layer).unwrap();
    assert_eq!((layer.width, layer.spatial), (Some(1280), Some(1)));
}

#[test]
fn a_camera_that_nobody_sees_sends_its_smallest_size_and_one_that_is_recorded_all() {
    let mut world = World::new(77);
    let mut camera = Nested::publish(&mut world, 1, 1, 31);
    camera.film(&mut world, 7 * SECOND);
    assert_eq!(asked(&world, 1), [Some(0)]);
    world.command(Command::Tap { room: ROOM, wanted: true });
    camera.film(&mut world, 20 * SECOND);
    assert_eq!(asked(&world, 1), [Some(0), None]);
}

#[test]
fn a_publisher_that_cannot_send_its_large_size_any_more_is_not_waited_for() {
    let (mut world, mut camera) = anna_films_boris_watches(78);
    world.command(tile(1, 320, 180));
    camera.film(&mut world, 8 * SECOND);
    assert_eq!(asked(&world, 1), [Some(0)]);
    camera.obeys = false;
    world.command(tile(1, 1280, 720));
    camera.film(&mut world, 8 * SECOND);
    let slot = world.slots(2).into_iter().find(|slot| slot.track.is_some()).unwrap();
    assert_eq!((slot.reason, slot.layer.and_then(|l| l.width)), (SlotReason::Best, Some(640)));
    let count = |world: &mut World| {
        told(world, 2).iter().filter(|told| told.descriptor.has_structure).count()
    };
    let before = count(&mut world);
    camera.film(&mut world, 10 * SECOND);
    assert_eq!(count(&mut world), before, "no keyframe is asked for again and again");
}

#[test]
fn another_camera_in_the_same_slot_goes_on_with_frames_and_templates() {
    let (mut world, mut camera) = anna_films_boris_watches(73);
    // The same numbers in the other stream: nothing may be taken for what it was before.
    let mut other = Nested::publish(&mut world, 3, 3, 33);
    for _ in 0..3 {
        world.command(tile(1, 1280, 720));
        camera.film(&mut world, SECOND);
        world.command(tile(3, 1280, 720));
        other.film(&mut world, SECOND);
    }
    let told = told(&mut world, 2);
    assert_decodable(&told);
    let keyframes = told.iter().filter(|told| told.descriptor.has_structure).count();
    assert!(keyframes >= 6, "{keyframes}");
}

#[test]
fn fewer_pictures_and_more_again_need_no_keyframe() {
    let (mut world, mut camera) = anna_films_boris_watches(74);
    camera.film(&mut world, 4 * SECOND);
    let highest = |world: &mut World, from: usize| {
        let told = told(world, 2);
        (told[from..].iter().map(|told| told.layer.temporal).max(), told.len())
    };
    let (_, before) = highest(&mut world, 0);
    // Room for the small size's slow pictures and not for its fast ones.
    world.limits.insert(sfu::PeerId(2), 210_000);
    camera.film(&mut world, 10 * SECOND);
    let (_, half) = highest(&mut world, before);
    camera.film(&mut world, 2 * SECOND);
    let (slow, _) = highest(&mut world, half);
    assert_eq!(slow, Some(0));
    let keyframes = |world: &mut World| {
        told(world, 2).iter().filter(|told| told.descriptor.has_structure).count()
    };
    let asked = keyframes(&mut world);
    world.command(tile(1, 320, 180));
    world.limits.remove(&sfu::PeerId(2));
    let (_, before) = highest(&mut world, 0);
    camera.film(&mut world, 8 * SECOND);
    assert_eq!(highest(&mut world, before).0, Some(1));
    assert_eq!(keyframes(&mut world), asked);
}

#[test]
fn what_is_sent_again_is_described_too() {
    let (mut world, mut camera) = anna_films_boris_watches(75);
    camera.film(&mut world, SECOND);
    let (ssrc, sequence) = {
        let packet = world.client(2).rtp.iter().rev().find(|p| p[1] & 0x7f == AV1).unwrap();
        let header = Header::parse(packet).unwrap();
        (header.ssrc, header.sequence)
    };
    let nack = world.client(2).seal_rtcp(|out| rtcp::write_nack(out, 77, ssrc, &[sequence]));
    world.send(2, nack);
    world.run(SECOND / 10);
    let told = told(&mut world, 2);
    let repair = told.last().filter(|told| told.is_repair).expect("it came again");
    let first = told.iter().find(|told| told.sequence == sequence).unwrap();
    assert_eq!((repair.frame, repair.descriptor), (first.frame, first.descriptor));
    assert_eq!(repair.active, first.active);
}
