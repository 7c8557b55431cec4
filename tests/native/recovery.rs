//! Lost packets and keyframes.

use crate::{both_kinds, flow, server};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use testkit::{Person, Publication};

#[test]
fn a_packet_lost_by_the_publisher_is_asked_for_and_reaches_everybody() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    let before = flow(&mut publisher, &mut subscriber, "media", both_kinds(20)).unwrap();
    let highest = before.iter().rfind(|p| p.slot == 1).unwrap().sequence;

    publisher.lose_next_frame(3, 600).unwrap();
    let is_after = |seq: u16| (1..100).contains(&seq.wrapping_sub(highest));
    let received = flow(&mut publisher, &mut subscriber, "what was lost", |received| {
        let numbers: HashSet<u16> = received
            .iter()
            .filter(|p| p.slot == 1 && is_after(p.sequence))
            .map(|p| p.sequence)
            .collect();
        (1..=20).all(|ahead| numbers.contains(&highest.wrapping_add(ahead)))
    })
    .unwrap();
    assert!(publisher.asked().nacked >= 3, "{:?}", publisher.asked());
    let numbers: Vec<u16> = received
        .iter()
        .filter(|p| p.slot == 1 && !p.is_retransmission)
        .map(|p| p.sequence)
        .collect();
    let distinct: HashSet<u16> = numbers.iter().copied().collect();
    assert_eq!(numbers.len(), distinct.len(), "nothing comes twice");
}

#[test]
fn a_subscriber_gets_again_what_it_asks_for_again() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    let received = flow(&mut publisher, &mut subscriber, "media", both_kinds(40)).unwrap();
    let video: Vec<_> = received.iter().filter(|p| p.slot == 1).collect();
    let wanted: Vec<_> = video[video.len() - 6..video.len() - 2].to_vec();
    let numbers: Vec<u16> = wanted.iter().map(|packet| packet.sequence).collect();
    subscriber.ask_again(1, &numbers).unwrap();
    let again = subscriber
        .receive_until("retransmissions", |received| {
            let found = received.iter().filter(|p| p.is_retransmission).count();
            found >= numbers.len()
        })
        .unwrap();
    for packet in wanted {
        let same = again.iter().find(|p| p.is_retransmission && p.sequence == packet.sequence);
        let same = same.expect("every packet asked for");
        assert_eq!(same.payload, packet.payload);
        assert_eq!((same.timestamp, same.csrc), (packet.timestamp, packet.csrc));
    }
}

#[test]
fn keyframe_requests_of_many_become_few() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut publisher =
        anna.publish(Publication { audio: false, ..Publication::default() }).unwrap();
    let mut subscribers = Vec::new();
    for name in ["Boris", "Clara", "Dmitri"] {
        let mut person = Person::guest(server.api, name, &room).unwrap();
        let subscriber = person.subscribe(1, 1).unwrap();
        subscribers.push((person, subscriber));
    }
    // Nobody knows of a stream before its first packet.
    publisher.send_frame(false, 1, 600).unwrap();
    publisher.wait_for_keyframe_request(0).unwrap();
    publisher.send_frame(true, 1, 600).unwrap();
    for (_, subscriber) in &mut subscribers {
        let is_keyframe = |r: &[testkit::Received]| r.iter().any(testkit::Received::is_keyframe);
        subscriber.receive_until("the first keyframe", is_keyframe).unwrap();
    }
    let before = publisher.asked().keyframes;
    let start = Instant::now();
    for _ in 0..20 {
        for (_, subscriber) in &mut subscribers {
            subscriber.ask_for_keyframe(1).unwrap();
        }
        publisher.drive_for(Duration::from_millis(10)).unwrap();
    }
    publisher.wait_for_keyframe_request(before).unwrap();
    let asked = publisher.asked().keyframes - before;
    // No faster than a few per second, however many ask.
    let most = 2 + start.elapsed().as_millis() as u64 / 100;
    assert!(asked <= most, "{asked} requests in {:?} of 60 asked", start.elapsed());
}

#[test]
fn a_publisher_is_told_when_its_packets_arrived() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    let start = Instant::now();
    flow(&mut publisher, &mut subscriber, "media", both_kinds(50)).unwrap();
    let asked = publisher.asked();
    let expected = start.elapsed().as_millis() as u64 / 200;
    assert!(asked.transport_cc >= expected.max(3), "{asked:?} in {:?}", start.elapsed());
}
