//! A server that is short of time: what receivers do without step by step, and that it comes back.

use crate::camera::{Camera, FRAME};
use crate::world::World;
use protocol::SlotReason;
use sfu::codec::vp8;
use sfu::rtp::Header;
use sfu::{Command, Saving};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What came on the video slot while the camera filmed for a second: pictures, and the height of the newest keyframe.
fn film(world: &mut World, camera: &mut Camera) -> (usize, Option<u16>) {
    let before = world.client(2).rtp.len();
    camera.film(world, SECOND);
    let payloads: Vec<(bool, Option<u16>)> = world.client(2).rtp[before..]
        .iter()
        .filter_map(|packet| {
            let header = Header::parse(packet).filter(|header| header.payload_type == 96)?;
            vp8::Descriptor::parse(header.payload(packet))?;
            let size = vp8::size(header.payload(packet));
            Some((header.marker, size.map(|(_, height)| height)))
        })
        .collect();
    let pictures = payloads.iter().filter(|(is_last, _)| *is_last).count();
    (pictures, payloads.iter().rev().find_map(|(_, height)| *height))
}

fn sounds(world: &mut World) -> usize {
    let packets = world.client(2).rtp.iter();
    packets.filter(|packet| Header::parse(packet).is_some_and(|h| h.payload_type != 96)).count()
}

fn save(world: &mut World, saving: Saving) {
    world.command(Command::SetSaving { saving });
}

fn slot(world: &mut World) -> (SlotReason, Option<u16>) {
    let slots = world.slots(2);
    let slot = slots
        .into_iter()
        .find(|slot| {
            slot.track.as_ref().is_some_and(|track| track.source == protocol::Source::Camera)
        })
        .expect("Anna's camera has a slot");
    (slot.reason, slot.layer.and_then(|layer| layer.height))
}

#[test]
fn a_server_that_is_short_of_time_saves_frames_then_pixels_then_pictures_and_gives_them_back() {
    let mut world = World::new(91);
    let mut camera = Camera::publish(&mut world, 1, 1);
    world.subscribe(2, 2, 1, 1);
    world.client(2).feedback = Some(sfu::twcc::TransportCc::new());
    camera.film(&mut world, 8 * SECOND);
    let (all, _) = film(&mut world, &mut camera);
    assert_eq!(slot(&mut world), (SlotReason::Best, Some(720)));
    assert!(all > 24, "{all} pictures in a second");

    save(&mut world, Saving::Frames);
    film(&mut world, &mut camera);
    let (fewer, _) = film(&mut world, &mut camera);
    assert!(fewer <= all / 2 + 2 && fewer >= all / 2 - 2, "{fewer} of {all} pictures");
    assert_eq!(slot(&mut world), (SlotReason::Server, Some(720)), "as large as before");

    save(&mut world, Saving::Layers);
    film(&mut world, &mut camera);
    film(&mut world, &mut camera);
    assert_eq!(slot(&mut world), (SlotReason::Server, Some(360)));

    save(&mut world, Saving::Slots);
    let (shown, _) = film(&mut world, &mut camera);
    assert!(shown > 10, "the most important ones stay: {shown}");

    save(&mut world, Saving::Video);
    film(&mut world, &mut camera);
    assert_eq!(film(&mut world, &mut camera).0, 0, "no picture");
    let heard = sounds(&mut world);
    camera.stall(&mut world, SECOND);
    assert!(sounds(&mut world) > heard + 40, "sound goes on");
    assert_eq!(slot(&mut world), (SlotReason::Server, None));
    camera.film(&mut world, 6 * SECOND);
    let active = camera.layers.each_ref().map(|layer| layer.is_active);
    assert_eq!(active, [true, false, false], "publishers need not send what nobody gets");

    save(&mut world, Saving::Nothing);
    camera.film(&mut world, 8 * SECOND);
    assert_eq!(slot(&mut world), (SlotReason::Best, Some(720)));
    let (again, _) = film(&mut world, &mut camera);
    assert!(again > 24, "{again} of {all} pictures");
}

#[test]
fn only_the_most_important_pictures_stay_and_a_shared_screen_stays_sharp() {
    let mut world = World::new(92);
    let mut screen = Camera::share(&mut world, 1, 1);
    let mut cameras: Vec<Camera> = (3..9).map(|n| Camera::publish(&mut world, n, n)).collect();
    world.subscribe(2, 2, 1, 9);
    let mut run = |world: &mut World, time: Duration| {
        let end = world.now + time;
        while world.now < end {
            screen.film(world, FRAME);
            for camera in &mut cameras {
                camera.film(world, FRAME);
            }
        }
    };
    run(&mut world, 5 * SECOND);
    save(&mut world, Saving::Slots);
    run(&mut world, 5 * SECOND);
    let slots: Vec<_> = world.slots(2).into_iter().filter(|slot| slot.track.is_some()).collect();
    let videos: Vec<_> = slots
        .iter()
        .filter(|slot| slot.kind == protocol::Kind::Video)
        .map(|slot| (slot.track.as_ref().unwrap().source, slot.reason, slot.layer.clone()))
        .collect();
    assert_eq!(videos.len(), 7);
    let dark =
        videos.iter().filter(|(_, reason, layer)| *reason == SlotReason::Server && layer.is_none());
    assert_eq!(dark.count(), 3, "{videos:?}");
    let shared = videos.iter().find(|(source, ..)| *source == protocol::Source::Screen).unwrap();
    assert_ne!(shared.1, SlotReason::Server, "{shared:?}");
}
