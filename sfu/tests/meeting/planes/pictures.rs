//! Pictures on other planes than their publisher's: which of their sizes cross over, and what is asked for.

use super::machine::Planes;
use super::{count, in_step, pictures_asked};
use crate::camera::{Camera, FRAME};
use crate::layers::height;
use crate::nested::{self, Nested};
use crate::world::{ROOM, World, person};
use crate::{CAMERA, video_ssrc};
use protocol::Source;
use protocol::media::{View, ViewTile};
use sfu::rtcp;
use sfu::twcc::TransportCc;
use sfu::{Command, Event, Relayed};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn tile(who: u64, width: u16, height: u16) -> Command {
    let (participant_id, source) = (person(1), Source::Camera);
    let tile = ViewTile { participant_id, source, width, height, pinned: false };
    let view = View { tiles: Some(vec![tile]), ..View::default() };
    Command::SetView { room: ROOM, participant: person(who), view }
}

/// Anna films on plane 0 in three layers; Boris watches on plane 1 and tells when packets arrive.
fn anna_films_boris_watches(seed: u64) -> (Planes, Camera) {
    let mut planes = Planes::new(2, seed);
    planes.spread(&[0, 1]);
    let camera = Camera::publish(&mut planes.worlds[0], 1, 1);
    watch(&mut planes, 1, 2);
    in_step(&mut planes);
    (planes, camera)
}

fn watch(planes: &mut Planes, at: usize, peer: u64) {
    planes.worlds[at].subscribe(peer, peer, 1, 1);
    planes.worlds[at].client(peer).feedback = Some(TransportCc::new());
}

fn film(planes: &mut Planes, camera: &mut Camera, time: Duration) {
    each_frame(planes, time, |world| camera.shoot(world));
}

/// Lets time pass frame by frame, each begun where the camera is.
fn each_frame(planes: &mut Planes, time: Duration, mut shoot: impl FnMut(&mut World)) {
    let end = planes.worlds[0].now + time;
    while planes.worlds[0].now < end {
        shoot(&mut planes.worlds[0]);
        planes.run(FRAME);
    }
}

fn until_height(planes: &mut Planes, camera: &mut Camera, wanted: u16, most: Duration) {
    let start = planes.worlds[0].now;
    while height(&mut planes.worlds[1], 2) != Some(wanted) {
        assert!(planes.worlds[0].now - start < most, "{:?}", planes.worlds[1].slots(2));
        film(planes, camera, FRAME);
    }
}

#[test]
fn a_layer_crosses_over_when_somebody_there_shows_it_and_is_paused_when_nobody_does() {
    let (mut planes, mut camera) = anna_films_boris_watches(40);
    until_height(&mut planes, &mut camera, 720, 5 * SECOND);
    planes.worlds[1].command(tile(2, 320, 180));
    until_height(&mut planes, &mut camera, 180, 3 * SECOND);
    film(&mut planes, &mut camera, 8 * SECOND);
    let active = |camera: &Camera| camera.layers.each_ref().map(|layer| layer.is_active);
    assert_eq!(active(&camera), [true, false, false]);
    let slot = planes.worlds[1].slots(2).into_iter().find(|slot| slot.track.is_some());
    let layer = slot.and_then(|slot| slot.layer).expect("a layer");
    assert_eq!((layer.rid.as_deref(), layer.height), (Some("q"), Some(180)));
    // One layer of 650 bytes a frame, and not 9,300 in nine packets.
    let before = planes.handed.len();
    film(&mut planes, &mut camera, SECOND);
    let handed = planes.handed.len() - before;
    assert!((25..=32).contains(&handed), "{handed} packets in a second");

    planes.worlds[1].command(tile(2, 1280, 720));
    until_height(&mut planes, &mut camera, 720, 4 * SECOND);
    assert_eq!(active(&camera), [true, false, true]);
    let elsewhere = planes.worlds[1].events.iter();
    let elsewhere = elsewhere.filter(|event| matches!(event, Event::LayersWanted { .. }));
    assert_eq!(elsewhere.count(), 0, "who publishes is asked by their own plane");
}

#[test]
fn who_watches_here_does_not_decide_for_those_there() {
    let (mut planes, mut camera) = anna_films_boris_watches(41);
    watch(&mut planes, 0, 3);
    in_step(&mut planes);
    planes.worlds[0].command(tile(3, 320, 180));
    until_height(&mut planes, &mut camera, 720, 5 * SECOND);
    film(&mut planes, &mut camera, 8 * SECOND);
    assert_eq!(height(&mut planes.worlds[1], 2), Some(720));
    assert_eq!(height(&mut planes.worlds[0], 3), Some(180));
    assert_eq!(camera.layers.each_ref().map(|layer| layer.is_active), [true, false, true]);
}

#[test]
fn a_slow_link_there_gets_a_small_layer_and_keeps_it() {
    let (mut planes, mut camera) = anna_films_boris_watches(42);
    planes.worlds[1].limits.insert(sfu::PeerId(2), 400_000);
    film(&mut planes, &mut camera, 6 * SECOND);
    let seen = planes.worlds[1].client(2).rtp.len();
    film(&mut planes, &mut camera, 10 * SECOND);
    assert_eq!(height(&mut planes.worlds[1], 2), Some(180));
    assert!(planes.worlds[1].client(2).rtp.len() > seen + 200);
}

#[test]
fn nested_sizes_are_left_out_for_those_there_and_at_the_publisher_when_nobody_takes_them() {
    let mut planes = Planes::new(2, 43);
    planes.spread(&[0, 1]);
    planes.worlds[1].has_av1 = true;
    let mut camera = Nested::publish(&mut planes.worlds[0], 1, 1, 31);
    watch(&mut planes, 1, 2);
    in_step(&mut planes);
    let mut film = |planes: &mut Planes, time| {
        each_frame(planes, time, |world| camera.turn(world));
    };
    let spatial = |world: &mut World| nested::told(world, 2).last().map(|told| told.layer.spatial);
    film(&mut planes, 5 * SECOND);
    assert_eq!(spatial(&mut planes.worlds[1]), Some(1));
    planes.worlds[1].command(tile(2, 320, 180));
    film(&mut planes, 2 * SECOND);
    assert_eq!(spatial(&mut planes.worlds[1]), Some(0));
    assert_eq!(nested::asked(&planes.worlds[0], 1), [], "not between two looks at a gallery");
    film(&mut planes, 6 * SECOND);
    assert_eq!(nested::asked(&planes.worlds[0], 1), [Some(0)]);
    planes.worlds[1].command(tile(2, 1280, 720));
    film(&mut planes, 4 * SECOND);
    assert_eq!(nested::asked(&planes.worlds[0], 1), [Some(0), None]);
    assert_eq!(spatial(&mut planes.worlds[1]), Some(1));
    nested::assert_decodable(&nested::told(&mut planes.worlds[1], 2));
}

#[test]
fn nested_sizes_that_nobody_there_takes_are_not_handed_over_and_leave_no_gap() {
    let mut planes = Planes::new(2, 45);
    planes.spread(&[0, 1]);
    planes.worlds[1].has_av1 = true;
    let mut camera = Nested::publish(&mut planes.worlds[0], 1, 1, 31);
    watch(&mut planes, 0, 3);
    watch(&mut planes, 1, 2);
    in_step(&mut planes);
    let mut film = |planes: &mut Planes, time| {
        each_frame(planes, time, |world| camera.turn(world));
    };
    let last = |world: &mut World, peer| nested::told(world, peer).last().map(|t| t.layer.spatial);
    film(&mut planes, 5 * SECOND);
    let before = planes.handed.len();
    film(&mut planes, SECOND);
    let all = planes.handed.len() - before;
    assert!((130..=155).contains(&all), "{all} packets in a second");
    // Anna's own plane has somebody who takes both sizes; the other one has not.
    planes.worlds[1].command(tile(2, 320, 180));
    film(&mut planes, 6 * SECOND);
    let before = planes.handed.len();
    film(&mut planes, SECOND);
    let small = planes.handed.len() - before;
    assert!((52..=62).contains(&small), "{small} packets in a second");
    assert_eq!(
        (last(&mut planes.worlds[0], 3), last(&mut planes.worlds[1], 2)),
        (Some(1), Some(0))
    );
    assert_eq!(nested::asked(&planes.worlds[0], 1), [], "the publisher is asked for both");
    let left_out = planes.worlds[0].sfu.stats().relayed_left_out;
    assert!(left_out > 400, "{left_out}");
    planes.worlds[1].command(tile(2, 1280, 720));
    film(&mut planes, 4 * SECOND);
    assert_eq!(last(&mut planes.worlds[1], 2), Some(1));
    assert_eq!(planes.worlds[1].sfu.stats().relayed_missed, 0);
    nested::assert_decodable(&nested::told(&mut planes.worlds[1], 2));
    nested::assert_decodable(&nested::told(&mut planes.worlds[0], 3));
}

#[test]
fn many_who_need_a_keyframe_ask_the_publisher_once() {
    let mut planes = Planes::new(3, 44);
    planes.spread(&[0, 1, 2]);
    planes.worlds[0].publish(1, 1, &[(Source::Camera, CAMERA)]);
    for peer in 10..16 {
        planes.worlds[1].subscribe(peer, peer, 0, 1);
        planes.worlds[2].subscribe(peer + 10, peer + 10, 0, 1);
    }
    in_step(&mut planes);
    super::film(&mut planes, 0, 60);
    planes.run(SECOND);
    let (asked, told) = (pictures_asked(&mut planes, 0, 1), planes.told.len());
    for (at, first) in [(1, 10), (2, 20)] {
        let world = &mut planes.worlds[at];
        for peer in first..first + 6 {
            let slot = video_ssrc(world, peer);
            let pli = world.client(peer).seal_rtcp(|out| rtcp::write_pli(out, 77, slot));
            world.send(peer, pli);
        }
    }
    planes.run(Duration::from_millis(300));
    let wanted = planes.told[told..].iter();
    let wanted = wanted.filter(|(.., told)| matches!(told, Relayed::KeyframeWanted { .. }));
    assert_eq!(wanted.count(), 2, "one of each plane");
    assert_eq!(pictures_asked(&mut planes, 0, 1), asked + 1, "and one in all");
}

#[test]
fn packets_that_a_full_ring_loses_are_made_up_for_by_a_keyframe() {
    let mut planes = Planes::new(2, 45);
    planes.spread(&[0, 1]);
    planes.worlds[0].publish(1, 1, &[(Source::Camera, CAMERA)]);
    planes.worlds[1].subscribe(2, 2, 0, 1);
    in_step(&mut planes);
    super::film(&mut planes, 0, 60);
    let asked = pictures_asked(&mut planes, 0, 1);
    planes.ring = 0;
    super::film(&mut planes, 60, 3);
    planes.ring = usize::MAX;
    let before = count(&mut planes, 1, 2, 96);
    super::film(&mut planes, 63, 30);
    assert_eq!(planes.worlds[1].sfu.stats().relayed_missed, 3);
    assert_eq!(pictures_asked(&mut planes, 0, 1), asked + 1);
    assert!(count(&mut planes, 1, 2, 96) >= before + 29);
}
