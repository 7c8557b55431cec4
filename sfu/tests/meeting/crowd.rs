//! Many receivers in one room.

use crate::client::Media;
use crate::world::{ROOM, World, person};
use crate::{CAMERA, film};
use protocol::Source;
use sfu::rtp::Header;
use sfu::{Command, Event, PeerId};
use std::time::Duration;

/// What the plane promises to hold at most before it is sent; one receiver's share of a burst may come on top.
const SLAB: usize = 256 * 1024;
const RECEIVERS: u64 = 60;
const BURST: u32 = 8;
const PAYLOAD: usize = 1_100;

#[test]
fn a_burst_into_a_large_room_leaves_in_slabs_and_reaches_everybody_once_and_in_order() {
    let mut world = World::new(18);
    world.publish(1, 1, &[(Source::Camera, CAMERA)]);
    for peer in 2..2 + RECEIVERS {
        world.subscribe(peer, peer, 0, 1);
    }
    film(&mut world, 1, CAMERA, 2, true);
    for client in world.clients.values_mut() {
        client.rtp.clear();
    }

    let from = world.client(1).address;
    for n in 0..BURST {
        let mut media = Media::vp8(false, 2 + n as u16);
        media.payload.resize(PAYLOAD, n as u8);
        let mut packet = world.client(1).send(CAMERA, 6_000 + n * 3_000, &media);
        world.sfu.receive(world.now, from.into(), &mut packet);
    }
    let mut slabs = Vec::new();
    loop {
        let has_more = world.sfu.flush(world.now);
        slabs.push(world.sfu.transmits().runs().map(|run| run.bytes.len()).sum::<usize>());
        world.collect();
        if !has_more {
            break;
        }
    }
    let share = BURST as usize * (PAYLOAD + 100);
    let whole = RECEIVERS as usize * BURST as usize * PAYLOAD;
    assert!(slabs.len() > whole / (SLAB + share), "{slabs:?}");
    assert!(slabs.iter().all(|held| *held < SLAB + share), "{slabs:?}");
    assert!(slabs.iter().sum::<usize>() > whole, "{slabs:?}");

    world.run(Duration::from_millis(30));
    for peer in 2..2 + RECEIVERS {
        let packets = &world.clients[&PeerId(peer)].rtp;
        let marks: Vec<u8> = packets.iter().map(|packet| packet[packet.len() - 1]).collect();
        assert_eq!(marks, (0..BURST as u8).collect::<Vec<_>>(), "peer {peer}");
        let numbers: Vec<u16> =
            packets.iter().map(|p| Header::parse(p).expect("RTP").sequence).collect();
        assert!(numbers.is_sorted_by(|a, b| *b == a.wrapping_add(1)), "peer {peer}: {numbers:?}");
    }
}

#[test]
fn pieces_of_a_picture_are_worth_waiting_for_where_many_take_them() {
    for (receivers, are_many) in [(20, false), (RECEIVERS, true)] {
        let mut world = World::new(20);
        world.publish(1, 1, &[(Source::Camera, CAMERA), (Source::Microphone, 3_001)]);
        for peer in 2..2 + receivers {
            world.subscribe(peer, peer, 1, 1);
        }
        film(&mut world, 1, CAMERA, 2, true);
        assert!(!world.sfu.awaits_rest(), "nothing has come");
        let from = world.client(1).address;
        let mut comes = |media: &Media, ssrc| {
            let mut packet = world.client(1).send(ssrc, 6_000, media);
            world.sfu.receive(world.now, from.into(), &mut packet);
            world.sfu.awaits_rest()
        };
        assert!(!comes(&Media::voice(20), 3_001), "sound is whole");
        let piece = Media { marker: false, ..Media::vp8(false, 2) };
        assert_eq!(comes(&piece, CAMERA), are_many, "with {receivers}");
        assert_eq!(comes(&piece, CAMERA), are_many, "with {receivers}");
        assert!(!comes(&Media::vp8(false, 2), CAMERA), "that was the last one");
        while world.sfu.flush(world.now) {
            world.collect();
        }
        assert!(!world.sfu.awaits_rest(), "all of it is sent");
    }
}

#[test]
fn in_a_crowd_who_comes_is_served_at_once_and_the_others_follow_in_a_moment() {
    let mut world = World::new(19);
    let publish = |world: &mut World, peer: u64| {
        world.publish(peer, peer, &[(Source::Microphone, 3_000 + peer as u32)]);
    };
    let speak = |world: &mut World, peer: u64| {
        let voice = world.client(peer).send(3_000 + peer as u32, 960, &Media::voice(20));
        world.send(peer, voice);
    };
    publish(&mut world, 1);
    for peer in 100..100 + RECEIVERS {
        world.request(peer, peer, 2, 0);
    }
    world.run_until(|world| (100..100 + RECEIVERS).all(|peer| world.is_connected(peer)));
    speak(&mut world, 1);
    world.run(Duration::from_millis(100));
    let hears = |world: &World, peer: u64, whom: u64| {
        world.slots(peer).iter().any(|slot| slot.participant_id == Some(person(whom)))
    };
    assert!((100..100 + RECEIVERS).all(|peer| hears(&world, peer, 1)));
    // A rush of people who come: everybody is told a few times, not once for each.
    world.events.clear();
    for peer in 2..12 {
        world.offer(peer, peer, &[(Source::Microphone, 3_000 + peer as u32)]);
    }
    world.run_until(|world| (2..12).all(|peer| world.is_connected(peer)));
    for peer in 2..12 {
        speak(&mut world, peer);
        world.run(Duration::from_millis(10));
    }
    world.run(Duration::from_millis(100));
    let told = |world: &World, peer: u64| {
        let events = world.events.iter();
        events
            .filter(|event| matches!(event, Event::SlotsChanged { peer: p, .. } if p.0 == peer))
            .count()
    };
    for peer in 100..100 + RECEIVERS {
        assert!((1..=4).contains(&told(&world, peer)), "{peer}: {}", told(&world, peer));
        assert_eq!(world.slots(peer).iter().filter(|s| s.participant_id.is_some()).count(), 2);
    }
    // Who asks for something is served with what is known, however short ago that was.
    world.request(200, 200, 2, 0);
    assert_eq!(world.slots(200).iter().filter(|s| s.participant_id.is_some()).count(), 2);
    // And a track that goes is gone for everybody, a moment later.
    let gone: Vec<u64> = (1..12).filter(|&whom| hears(&world, 100, whom)).collect();
    for &whom in &gone {
        world.command(Command::Leave { room: ROOM, participant: person(whom) });
    }
    publish(&mut world, 20);
    speak(&mut world, 20);
    world.run(Duration::from_millis(100));
    for peer in 100..100 + RECEIVERS {
        assert!(!gone.iter().any(|&whom| hears(&world, peer, whom)), "{peer}");
        assert_eq!(world.slots(peer).iter().filter(|s| s.participant_id.is_some()).count(), 2);
    }
}

#[test]
fn a_stream_that_begins_anew_in_a_crowd_leaves_no_gap_in_anybodys_numbers() {
    let mut world = World::new(20);
    world.publish(1, 1, &[(Source::Microphone, 3_001)]);
    for peer in 100..100 + RECEIVERS {
        world.request(peer, peer, 1, 0);
    }
    world.run_until(|world| (100..100 + RECEIVERS).all(|peer| world.is_connected(peer)));
    let speak = |world: &mut World, peer: u64, ssrc: u32, at: u32| {
        let index = u64::from(ssrc) * 10 + u64::from(at);
        let mut voice = world.client(peer).seal(ssrc, index, at * 960, &Media::voice(20));
        let from = world.client(peer).address;
        world.sfu.receive(world.now, from.into(), &mut voice);
        while world.sfu.flush(world.now) {
            world.collect();
        }
        world.collect();
    };
    for at in 0..3 {
        speak(&mut world, 1, 3_001, at);
        world.run(Duration::from_millis(60));
    }
    // Anna's stream begins anew, and slots learn of it later than its first packets come.
    let old = world.slots(100)[0].track.as_ref().expect("Anna").csrc;
    let numbers = |world: &mut World| {
        let packets = &world.client(100).rtp;
        packets.iter().map(|p| Header::parse(p).expect("RTP").sequence).collect::<Vec<_>>()
    };
    assert!(!numbers(&mut world).is_empty());
    world.offer(1, 1, &[(Source::Microphone, 4_001)]);
    for at in 0..20 {
        speak(&mut world, 1, 4_001, at);
        world.run(Duration::from_millis(5));
    }
    world.run(Duration::from_millis(100));
    let numbers = numbers(&mut world);
    assert!(numbers.len() >= 12, "{numbers:?}");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    assert_eq!(world.slots(100)[0].track.as_ref().map(|track| track.csrc), Some(old));
}
