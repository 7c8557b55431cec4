//! What a recorder takes: the best layer, asked for whether anybody watches or not, and nothing that is muted.

use crate::camera::{Camera, FRAME};
use crate::world::{ROOM, World, person};
use protocol::Source;
use protocol::room::MediaState;
use sfu::codec::vp8;
use sfu::{Command, Tapped, TappedPacket};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Everything for the recorder since the last call.
fn taken(world: &mut World) -> Vec<Tapped> {
    std::iter::from_fn(|| world.sfu.poll_tapped()).collect()
}

fn pictures(tapped: &[Tapped]) -> Vec<&TappedPacket> {
    let packets = tapped.iter().filter_map(|item| match item {
        Tapped::Packet(packet) if packet.source == Source::Camera => Some(packet),
        _ => None,
    });
    packets.collect()
}

fn newest_height(tapped: &[Tapped]) -> Option<u16> {
    pictures(tapped).iter().rev().find_map(|p| vp8::size(&p.payload)).map(|(_, height)| height)
}

#[test]
fn a_room_nobody_watches_is_recorded_in_its_best_layer() {
    let mut world = World::new(61);
    let mut camera = Camera::publish(&mut world, 1, 1);
    // Long enough for the layers that nobody takes to be paused.
    camera.film(&mut world, 8 * SECOND);
    assert!(taken(&mut world).is_empty(), "nothing is handed over unasked");
    assert!(!camera.layers[2].is_active);
    world.command(Command::Tap { room: ROOM, wanted: true });
    camera.film(&mut world, 4 * SECOND);
    let tapped = taken(&mut world);
    assert_eq!(newest_height(&tapped), Some(720));
    // Each stream is complete from its first keyframe on.
    let mut streams: BTreeMap<u32, Vec<&TappedPacket>> = BTreeMap::new();
    for packet in pictures(&tapped) {
        streams.entry(packet.stream).or_default().push(packet);
    }
    for packets in streams.values() {
        assert!(vp8::is_keyframe(&packets[0].payload));
        for pair in packets.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        }
    }
    world.command(Command::Tap { room: ROOM, wanted: false });
    camera.film(&mut world, FRAME * 3);
    taken(&mut world);
    camera.film(&mut world, SECOND);
    assert!(taken(&mut world).is_empty());
}

#[test]
fn what_a_moderator_mutes_is_not_recorded() {
    let mut world = World::new(62);
    let mut camera = Camera::publish(&mut world, 1, 1);
    world.command(Command::Tap { room: ROOM, wanted: true });
    camera.film(&mut world, 2 * SECOND);
    assert!(!pictures(&taken(&mut world)).is_empty());
    world.mute(1, MediaState { cam_forced: true, ..MediaState::default() });
    world.run(FRAME);
    taken(&mut world);
    camera.film(&mut world, 2 * SECOND);
    assert!(pictures(&taken(&mut world)).is_empty());
    world.mute(1, MediaState::default());
    camera.film(&mut world, 3 * SECOND);
    let tapped = taken(&mut world);
    assert!(!pictures(&tapped).is_empty());
}

#[test]
fn a_recorder_that_lost_its_place_gets_a_keyframe() {
    let mut world = World::new(63);
    let mut camera = Camera::publish(&mut world, 1, 1);
    world.command(Command::Tap { room: ROOM, wanted: true });
    camera.film(&mut world, 4 * SECOND);
    let tapped = taken(&mut world);
    let track = pictures(&tapped)[0].track;
    camera.film(&mut world, 2 * SECOND);
    let has_keyframe =
        |tapped: &[Tapped]| pictures(tapped).iter().any(|packet| vp8::is_keyframe(&packet.payload));
    assert!(!has_keyframe(&taken(&mut world)), "none is asked for without need");
    world.command(Command::TapLost { room: ROOM, track });
    camera.film(&mut world, SECOND);
    assert!(has_keyframe(&taken(&mut world)));
    camera.film(&mut world, 2 * SECOND);
    assert!(!has_keyframe(&taken(&mut world)), "one is enough");
}

#[test]
fn a_recorder_that_takes_nothing_costs_a_bounded_queue() {
    let mut world = World::new(64);
    let mut camera = Camera::publish(&mut world, 1, 1);
    world.command(Command::Tap { room: ROOM, wanted: true });
    camera.film(&mut world, 60 * SECOND);
    assert!(world.sfu.stats().tapped_dropped > 0);
    assert_eq!(taken(&mut world).len(), sfu::relay::MAX_WAITING);
    assert_eq!(world.sfu.census().rooms, 1);
    world.command(Command::Leave { room: ROOM, participant: person(1) });
    world.run(FRAME);
    assert_eq!(world.sfu.census().rooms, 0, "a room that is recorded ends like any other");
}
