//! Many receivers in one room.

use crate::client::Media;
use crate::world::World;
use crate::{CAMERA, film};
use protocol::Source;
use sfu::PeerId;
use sfu::rtp::Header;
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
