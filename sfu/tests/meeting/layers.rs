//! Layers over links of all kinds: what is shown, how soon, and that nothing freezes.

use crate::camera::{Camera, FRAME};
use crate::client::remb_receiver::RembReceiver;
use crate::client::viewer::Viewer;
use crate::world::{ROOM, World, person};
use protocol::media::{View, ViewTile};
use protocol::{SlotReason, Source};
use sfu::codec::vp8;
use sfu::rtcp;
use sfu::rtp::Header;
use sfu::twcc::TransportCc;
use sfu::{Command, Event, PeerId};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// What somebody saw on the video slot.
#[derive(Debug)]
struct Seen {
    at: Instant,
    sequence: u16,
    picture_id: u16,
    height: Option<u16>,
    marker: bool,
}

/// Everything that came on the video slot of a subscriber, repairs and padding apart.
fn seen(world: &mut World, peer: u64) -> Vec<Seen> {
    let client = world.client(peer);
    client
        .rtp
        .iter()
        .zip(&client.arrivals)
        .filter_map(|(packet, at)| {
            let header = Header::parse(packet).filter(|header| header.payload_type == 96)?;
            let payload = header.payload(packet);
            Some(Seen {
                at: *at,
                sequence: header.sequence,
                picture_id: vp8::Descriptor::parse(payload)?.picture_id?,
                height: vp8::size(payload).map(|(_, height)| height),
                marker: header.marker,
            })
        })
        .collect()
}

/// Anna films, Boris watches and tells when packets arrive.
fn anna_films_boris_watches(seed: u64) -> (World, Camera) {
    let mut world = World::new(seed);
    let camera = Camera::publish(&mut world, 1, 1);
    world.subscribe(2, 2, 1, 1);
    world.client(2).feedback = Some(TransportCc::new());
    (world, camera)
}

/// Boris shows Anna's camera at that size.
fn tile(width: u16, height: u16) -> Command {
    let (participant_id, source) = (person(1), Source::Camera);
    let tile = ViewTile { participant_id, source, width, height, pinned: false };
    let view = View { tiles: Some(vec![tile]), ..View::default() };
    Command::SetView { room: ROOM, participant: person(2), view }
}

pub fn height(world: &mut World, peer: u64) -> Option<u16> {
    seen(world, peer).iter().rev().find_map(|seen| seen.height)
}

fn longest_gap(seen: &[Seen]) -> Duration {
    seen.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default()
}

/// Lets the camera run until the newest keyframe has that height; how long it took.
fn until_height(world: &mut World, camera: &mut Camera, wanted: u16, most: Duration) -> Duration {
    let start = world.now;
    while height(world, 2) != Some(wanted) {
        let took = world.now - start;
        assert!(took < most, "{:?} after {took:?}, {:?}", height(world, 2), world.slots(2));
        camera.film(world, FRAME);
    }
    world.now - start
}

#[test]
fn a_good_link_has_the_best_layer_within_four_seconds_and_no_number_is_missing() {
    let (mut world, mut camera) = anna_films_boris_watches(31);
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
    camera.film(&mut world, 6 * SECOND);
    assert_eq!(height(&mut world, 2), Some(720));
    let seen = seen(&mut world, 2);
    for pair in seen.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let next =
            if pair[0].marker { (pair[0].picture_id + 1) & 0x7fff } else { pair[0].picture_id };
        assert_eq!(pair[1].picture_id, next, "{pair:?}");
    }
    assert!(longest_gap(&seen) < Duration::from_millis(200), "{:?}", longest_gap(&seen));
    let slot = world.slots(2).into_iter().find(|slot| slot.track.is_some()).unwrap();
    assert_eq!(slot.reason, SlotReason::Best);
    assert_eq!(slot.layer.unwrap().rid.as_deref(), Some("f"));
}

#[test]
fn a_layer_that_is_named_no_more_is_known_after_another_offer() {
    let (mut world, mut camera) = anna_films_boris_watches(33);
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
    camera.names_layers = false;
    Camera::offer(&mut world, 1, 1);
    camera.film(&mut world, SECOND);
    let seen = seen(&mut world, 2);
    assert!(world.now - seen.last().unwrap().at < Duration::from_millis(200));
    assert!(longest_gap(&seen) < Duration::from_millis(200), "{:?}", longest_gap(&seen));
}

#[test]
fn a_link_is_probed_while_the_first_picture_is_waited_for() {
    let mut world = World::new(36);
    let mut camera = Camera::publish(&mut world, 1, 1);
    camera.stall(&mut world, SECOND / 10);
    camera.film(&mut world, 3 * SECOND);
    world.subscribe(2, 2, 1, 1);
    world.client(2).feedback = Some(TransportCc::new());
    camera.stall(&mut world, SECOND / 2);
    let took = until_height(&mut world, &mut camera, 720, SECOND);
    assert!(took < SECOND / 2, "{took:?}");
}

#[test]
fn a_link_that_is_cut_loses_layers_and_not_the_picture_and_has_them_back_when_it_is_lifted() {
    let (mut world, mut camera) = anna_films_boris_watches(32);
    world.limits.insert(PeerId(2), 4_000_000);
    until_height(&mut world, &mut camera, 720, 5 * SECOND);
    camera.film(&mut world, 5 * SECOND);
    world.limits.insert(PeerId(2), 400_000);
    let cut = world.now;
    until_height(&mut world, &mut camera, 180, 5 * SECOND);
    camera.film(&mut world, 10 * SECOND);
    let slot = world.slots(2).into_iter().find(|slot| slot.track.is_some()).unwrap();
    assert_eq!(slot.reason, SlotReason::Bandwidth);
    let all = seen(&mut world, 2);
    let during: Vec<Seen> = all.into_iter().filter(|seen| seen.at >= cut).collect();
    assert!(longest_gap(&during) < SECOND, "{:?}", longest_gap(&during));
    world.limits.insert(PeerId(2), 4_000_000);
    until_height(&mut world, &mut camera, 720, 10 * SECOND);
    assert!(longest_gap(&seen(&mut world, 2)) < SECOND);
}

/// The link of a watcher whose browser decodes and asks again is cut to 400 kbit/s for 20 s and lifted: the
/// longest time without a picture, how long until only the lowest layer was shown, and until the best was back.
fn cut(seed: u64) -> (Duration, Duration, Duration) {
    let (mut world, mut camera) = anna_films_boris_watches(seed);
    world.delay = Duration::from_millis(5 + seed % 5 * 15);
    world.client(2).viewer = Some(Viewer::default());
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
    camera.film(&mut world, 6 * SECOND + Duration::from_millis(seed % 7 * 5));
    world.limits.insert(PeerId(2), 400_000);
    let began = world.now;
    camera.film(&mut world, 20 * SECOND);
    let ended = world.now;
    world.limits.remove(&PeerId(2));
    camera.film(&mut world, 12 * SECOND);
    let viewer = world.client(2).viewer.as_ref().expect("Boris watches");
    let between = |from: Instant, to: Instant| {
        viewer.shown.iter().filter(move |(at, _)| (from..to).contains(at))
    };
    let tall = between(began, ended).rfind(|(_, height)| *height > 180);
    let best = viewer.shown.iter().find(|(at, height)| *at > ended && *height == 720);
    (
        viewer.longest_gap(began, ended),
        tall.map_or(Duration::ZERO, |(at, _)| *at - began),
        best.expect("the best layer is back").0 - ended,
    )
}

#[test]
fn on_a_link_that_is_cut_no_picture_stands_for_a_second() {
    for seed in 40..50 {
        let (gap, lower, best) = cut(seed);
        assert!(gap < SECOND, "no picture for {gap:?} with seed {seed}");
        assert!(lower < 5 * SECOND, "{lower:?} with seed {seed}");
        assert!(best < 10 * SECOND, "{best:?} with seed {seed}");
    }
}

#[test]
fn a_small_tile_gets_a_small_layer_and_what_nobody_takes_is_paused() {
    let (mut world, mut camera) = anna_films_boris_watches(33);
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
    world.command(tile(320, 180));
    until_height(&mut world, &mut camera, 180, 2 * SECOND);
    camera.film(&mut world, 7 * SECOND);
    let active = |camera: &Camera| camera.layers.each_ref().map(|layer| layer.is_active);
    assert_eq!(active(&camera), [true, false, false]);
    let slot = world.slots(2).into_iter().find(|slot| slot.track.is_some()).unwrap();
    assert_eq!(slot.reason, SlotReason::Viewport);
    world.command(tile(1280, 720));
    until_height(&mut world, &mut camera, 720, 3 * SECOND);
    assert_eq!(active(&camera), [true, false, true]);
    assert!(longest_gap(&seen(&mut world, 2)) < Duration::from_millis(300));
}

#[test]
fn the_others_keep_their_layer_when_one_link_is_slow() {
    let (mut world, mut camera) = anna_films_boris_watches(34);
    world.subscribe(3, 3, 1, 1);
    world.client(3).feedback = Some(TransportCc::new());
    world.limits.insert(PeerId(2), 400_000);
    camera.film(&mut world, 12 * SECOND);
    assert_eq!(height(&mut world, 3), Some(720));
    assert_eq!(height(&mut world, 2), Some(180));
    let census = world.sfu.census();
    assert_eq!((census.publishers, census.subscribers, census.rooms), (1, 2, 1));
    assert_eq!(census.pictures_of(SlotReason::Best), 1);
    assert_eq!(census.pictures_of(SlotReason::Bandwidth), 1);
}

#[test]
fn a_layer_that_the_publisher_stops_is_followed_by_the_next() {
    let (mut world, mut camera) = anna_films_boris_watches(35);
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
    camera.film(&mut world, 4 * SECOND);
    // As browsers do whose uplink is too slow.
    camera.layers[2].is_starved = true;
    until_height(&mut world, &mut camera, 360, 4 * SECOND);
    let slot = world.slots(2).into_iter().find(|slot| slot.track.is_some()).unwrap();
    assert_eq!(slot.reason, SlotReason::Publisher);
    let told = |world: &World| {
        let is_told =
            |e: &&Event| matches!(e, Event::SlotsChanged { .. } | Event::LayersWanted { .. });
        world.events.iter().filter(is_told).count()
    };
    camera.film(&mut world, 6 * SECOND);
    let before = told(&world);
    camera.film(&mut world, 20 * SECOND);
    assert_eq!(told(&world), before, "nobody is told again and again");
    camera.layers[2].is_starved = false;
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
}

#[test]
fn a_large_keyframe_is_sent_no_faster_than_a_slow_link_can_hold_it() {
    let (mut world, mut camera) = anna_films_boris_watches(36);
    world.limits.insert(PeerId(2), 220_000);
    camera.film(&mut world, 12 * SECOND);
    let shown = height(&mut world, 2);
    assert_eq!(shown, Some(180));
    let before = world.sfu.stats();
    // More than the queue before the link takes at once.
    let layer = camera.layers.iter_mut().find(|layer| Some(layer.height) == shown).unwrap();
    layer.keyframe_bytes = 9_000;
    layer.is_keyframe_due = true;
    let start = world.now;
    camera.film(&mut world, 2 * SECOND);
    let after = world.sfu.stats();
    assert!(after.packets_held > before.packets_held);
    let all = seen(&mut world, 2);
    let since: Vec<Seen> = all.into_iter().filter(|seen| seen.at >= start).collect();
    assert!(since.iter().any(|seen| seen.height == shown), "the keyframe came");
    for pair in since.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "in order");
    }
    assert!(longest_gap(&since) < Duration::from_millis(300), "{:?}", longest_gap(&since));
}

#[test]
fn a_player_that_wants_no_large_picture_gets_none_until_it_asks() {
    let (mut world, mut camera) = anna_films_boris_watches(38);
    let largest = |largest| Command::SetLargest { peer: PeerId(2), largest };
    world.command(largest((0, 360)));
    camera.film(&mut world, 8 * SECOND);
    let shown: Vec<u16> = seen(&mut world, 2).iter().filter_map(|seen| seen.height).collect();
    assert_eq!((shown.iter().max(), shown.last()), (Some(&360), Some(&360)));
    world.command(largest((0, 0)));
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
    world.command(largest((300, 100)));
    until_height(&mut world, &mut camera, 180, 4 * SECOND);
}

#[test]
fn a_screen_on_a_slow_link_loses_frames_and_no_pixels() {
    let mut world = World::new(37);
    let mut screen = Camera::share(&mut world, 1, 1);
    world.subscribe(2, 2, 0, 1);
    world.client(2).feedback = Some(TransportCc::new());
    let pictures = |world: &mut World, from: usize| {
        let seen = seen(world, 2);
        let ids: std::collections::BTreeSet<u16> =
            seen[from..].iter().map(|s| s.picture_id).collect();
        assert!(seen.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
        (ids.len(), seen.len())
    };
    screen.film(&mut world, 6 * SECOND);
    let (_, before) = pictures(&mut world, 0);
    screen.film(&mut world, 4 * SECOND);
    let (all, _) = pictures(&mut world, before);
    // A little more than half of what the screen sends.
    world.limits.insert(PeerId(2), 1_150_000);
    screen.film(&mut world, 15 * SECOND);
    let (_, before) = pictures(&mut world, 0);
    screen.film(&mut world, 4 * SECOND);
    let (half, _) = pictures(&mut world, before);
    let share = half as f64 / all as f64;
    assert!((0.4..0.65).contains(&share), "{half} of {all} pictures");
    assert_eq!(height(&mut world, 2), Some(1080));
    let slot = world.slots(2).into_iter().find(|slot| slot.track.is_some()).unwrap();
    assert_eq!(slot.reason, SlotReason::Bandwidth);
}

#[test]
fn a_receiver_that_moves_is_found_by_what_it_tells_of_arrivals() {
    let (mut world, mut camera) = anna_films_boris_watches(37);
    camera.film(&mut world, SECOND);
    // Firefox checks its path every five seconds; a NAT forgets in between.
    let moved = world.now;
    assert_eq!(world.sfu.stats().rebinds, 0);
    let client = world.client(2);
    client.next_check = moved + 60 * SECOND;
    client.address.set_port(client.address.port() + 1_000);
    camera.film(&mut world, SECOND / 2);
    let arrivals = &world.client(2).arrivals;
    assert!(arrivals.iter().any(|at| *at > moved + SECOND / 4), "it sees again");
    assert_eq!(world.sfu.stats().rebinds, 1);
}

/// Anna films; Boris's receiver knows no transport-cc and says itself what it can take.
fn boris_says_what_he_can_take(seed: u64, growth: f64) -> (World, Camera) {
    let mut world = World::new(seed);
    world.delay = Duration::from_millis(5 + seed % 5 * 15);
    let mut camera = Camera::publish(&mut world, 1, 1);
    camera.film(&mut world, SECOND + Duration::from_millis(seed % 7 * 5));
    world.remb = Some(RembReceiver::new(growth));
    world.subscribe(2, 2, 1, 1);
    world.limits.insert(PeerId(2), 4_000_000);
    (world, camera)
}

fn receiver(world: &mut World) -> &RembReceiver {
    world.client(2).remb.as_ref().expect("Boris estimates")
}

#[test]
fn a_receiver_that_says_what_it_can_take_has_the_best_layer_in_time() {
    for seed in 60..64 {
        let (mut world, mut camera) = boris_says_what_he_can_take(seed, 1.5);
        until_height(&mut world, &mut camera, 720, 4 * SECOND);
        camera.film(&mut world, 10 * SECOND);
        assert_eq!(height(&mut world, 2), Some(720));
        world.limits.insert(PeerId(2), 400_000);
        let cut = world.now;
        until_height(&mut world, &mut camera, 180, 5 * SECOND);
        camera.film(&mut world, 15 * SECOND);
        assert_eq!(height(&mut world, 2), Some(180));
        let all = seen(&mut world, 2);
        let settled = all.iter().filter(|seen| seen.at >= cut + 5 * SECOND);
        let numbers: Vec<u16> = settled.map(|seen| seen.sequence).collect();
        let lost = numbers.windows(2).filter(|pair| pair[1] != pair[0].wrapping_add(1)).count();
        assert!(lost * 50 < numbers.len(), "padding is in nobody's way: {lost} gaps");
        world.limits.insert(PeerId(2), 4_000_000);
        until_height(&mut world, &mut camera, 720, 10 * SECOND);
    }
}

#[test]
fn a_receiver_that_dares_little_is_brought_there_slowly() {
    // 8 % a second, as browsers do.
    let (mut world, mut camera) = boris_says_what_he_can_take(64, 1.08);
    until_height(&mut world, &mut camera, 720, 4 * SECOND);
    camera.film(&mut world, 5 * SECOND);
    world.limits.insert(PeerId(2), 400_000);
    camera.film(&mut world, 15 * SECOND);
    world.limits.insert(PeerId(2), 4_000_000);
    let took = until_height(&mut world, &mut camera, 720, 40 * SECOND);
    let (_, said) = *receiver(&mut world).told.last().expect("it speaks");
    assert!(said > 1_500_000, "{said} after {took:?}");
}

#[test]
fn repairs_are_sent_twice_where_many_would_be_lost() {
    let (mut world, mut camera) = anna_films_boris_watches(38);
    for (loss, copies) in [(0.0, 1), (0.2, 2), (0.0, 1)] {
        world.losses.insert(PeerId(2), loss);
        camera.film(&mut world, 12 * SECOND);
        // What is looked at arrives.
        world.losses.insert(PeerId(2), 0.0);
        camera.film(&mut world, SECOND / 10);
        let newest = world.client(2).rtp.iter().rfind(|packet| packet[1] & 0x7f == 96);
        let newest = newest.and_then(|packet| Header::parse(packet)).expect("a picture");
        let before = world.client(2).rtp.len();
        let nack = world
            .client(2)
            .seal_rtcp(|out| rtcp::write_nack(out, 77, newest.ssrc, &[newest.sequence]));
        world.send(2, nack);
        world.run(SECOND / 10);
        let came = &world.client(2).rtp[before..];
        let repairs = came.iter().filter_map(|packet| {
            let header = Header::parse(packet).filter(|header| header.payload_type == 97)?;
            Some((header.sequence, header.payload(packet).to_vec()))
        });
        let repairs: Vec<(u16, Vec<u8>)> = repairs.collect();
        assert_eq!(repairs.len(), copies, "{loss} lost");
        assert!(repairs.windows(2).all(|two| two[0].0 != two[1].0 && two[0].1 == two[1].1));
    }
}
