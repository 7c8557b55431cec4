//! How often the media plane wakes by the clock: each time costs a system call and a look at everybody.

use crate::client::Media;
use crate::{CAMERA, anna_and_boris, film};
use sfu::rtcp::{self, Incoming};
use std::time::Duration;

#[test]
fn packets_that_come_anyway_carry_the_ticks_of_a_calm_meeting() {
    let mut world = anna_and_boris(31);
    film(&mut world, 1, CAMERA, 60, true);
    let (before, since) = (world.timeouts, world.now);
    for n in 60..260u32 {
        let packet = world.client(1).send(CAMERA, n * 3000, &Media::vp8(false, n as u16));
        world.send(1, packet);
        world.run(Duration::from_millis(16));
    }
    let seconds = world.now.duration_since(since).as_secs();
    let timeouts = world.timeouts - before;
    assert!(u64::from(timeouts) <= 15 * seconds, "{timeouts} in {seconds} s");
}

#[test]
fn a_packet_that_is_missing_is_asked_for_at_once_however_calm_it_was() {
    // Wherever between two ticks it happens.
    for phase in [0, 6, 12, 18, 24] {
        let mut world = anna_and_boris(32);
        film(&mut world, 1, CAMERA, 60, true);
        world.run(Duration::from_millis(100 + phase));
        world.client(1).rtcp.clear();
        // One is lost on the way, the next comes.
        world.client(1).send(CAMERA, 60 * 3000, &Media::vp8(false, 60));
        let packet = world.client(1).send(CAMERA, 61 * 3000, &Media::vp8(false, 61));
        world.send(1, packet);
        let arrives = world.now + world.delay;
        let end = world.now + Duration::from_secs(1);
        while !is_asked(&world.client(1).rtcp) {
            world.run(Duration::from_millis(1));
            assert!(world.now < end, "never asked for, phase {phase}");
        }
        let took = world.now.duration_since(arrives) - world.delay;
        assert!(took <= Duration::from_millis(16), "{took:?}, phase {phase}");
    }
}

fn is_asked(compounds: &[Vec<u8>]) -> bool {
    let mut is_asked = false;
    for compound in compounds {
        rtcp::parse(compound, |incoming| is_asked |= matches!(incoming, Incoming::Nack { .. }));
    }
    is_asked
}
