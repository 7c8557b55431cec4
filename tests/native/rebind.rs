//! A NAT that forgets: the same transport from another port.

use crate::{both_kinds, flow, server};
use std::time::{Duration, Instant};
use testkit::{Person, Publication};

/// Far below what a person would call a dropped call; unknown sources are tried by SSRC, so in truth it
/// takes one packet.
const BACK_WITHIN: Duration = Duration::from_secs(1);

#[test]
fn a_publisher_that_comes_from_another_port_is_seen_on() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media before", both_kinds(20)).unwrap();
    for _ in 0..3 {
        publisher.link.rebind().unwrap();
        let start = Instant::now();
        flow(&mut publisher, &mut subscriber, "media after", both_kinds(20)).unwrap();
        // 20 packets of 20 ms are 400 ms by themselves.
        let late = start.elapsed().saturating_sub(Duration::from_millis(400));
        assert!(late < BACK_WITHIN, "{late:?}");
    }
}

#[test]
fn a_subscriber_that_comes_from_another_port_gets_media_there() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media before", both_kinds(20)).unwrap();
    // The server learns its reports' SSRC from the first of them.
    subscriber.report(&[]).unwrap();
    flow(&mut publisher, &mut subscriber, "media between", both_kinds(5)).unwrap();

    subscriber.link.rebind().unwrap();
    subscriber.report(&[]).unwrap();
    let start = Instant::now();
    flow(&mut publisher, &mut subscriber, "media after a report from there", both_kinds(20))
        .unwrap();
    let late = start.elapsed().saturating_sub(Duration::from_millis(400));
    assert!(late < BACK_WITHIN, "{late:?}");

    // And when a check is the first thing that comes from the new port.
    subscriber.link.rebind().unwrap();
    subscriber.link.check(true).unwrap();
    flow(&mut publisher, &mut subscriber, "media after a check from there", both_kinds(20))
        .unwrap();
}
