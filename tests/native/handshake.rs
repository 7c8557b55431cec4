//! Who is let in, and in which order things may come.

use crate::{both_kinds, flow, server};
use protocol::{ClientMessage, ServerMessage};
use sfu::transport::Identity;
use std::time::{Duration, Instant};
use testkit::link::Local;
use testkit::publisher::Offer;
use testkit::{Person, Publication};

/// The same SDP with the fingerprint of another certificate.
fn with_other_fingerprint(sdp: &str) -> String {
    let other = Identity::generate().expect("a certificate");
    let lines = sdp.lines().map(|line| match line.strip_prefix("a=fingerprint:") {
        Some(_) => format!("a=fingerprint:{}", other.fingerprint()),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n") + "\r\n"
}

#[test]
fn a_publisher_whose_certificate_is_not_the_one_it_named_is_refused() {
    let server = server();
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let mut offer = Offer::new(Publication::default());
    offer.sdp = with_other_fingerprint(&offer.sdp);
    let mut publisher = anna.offer(offer).unwrap();
    let connected = publisher.link.connect();
    let closed = anna.socket.wait_for(|m| matches!(m, ServerMessage::MediaClosed { .. })).unwrap();
    assert!(format!("{closed:?}").contains("certificate"), "{closed:?}");
    // The client cannot know before the server says so; what it sends reaches nobody.
    assert!(connected.is_ok() || publisher.link.closed().is_some());
    publisher.drive_for(Duration::from_millis(100)).unwrap();
    assert!(publisher.link.closed().is_some(), "the server hangs up");
}

#[test]
fn a_subscriber_whose_certificate_is_not_the_one_it_named_gets_nothing() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let offered = boris
        .socket
        .request(ClientMessage::MediaSubscribe {
            pc: "s".into(),
            audio_slots: Some(1),
            video_slots: Some(1),
        })
        .unwrap();
    let ServerMessage::MediaOffer { sdp, .. } = offered else { panic!("{offered:?}") };
    let local = Local::generate();
    let (mut subscriber, answer) = testkit::Subscriber::answer(&sdp, &local).unwrap();
    let answer = with_other_fingerprint(&answer);
    boris.socket.send(ClientMessage::MediaAnswer { pc: "s".into(), sdp: answer }).unwrap();
    let _ = subscriber.link.connect();
    let closed = boris.socket.wait_for(|m| matches!(m, ServerMessage::MediaClosed { .. })).unwrap();
    assert!(format!("{closed:?}").contains("certificate"), "{closed:?}");
    for _ in 0..20 {
        publisher.send_frame(true, 1, 600).unwrap();
        publisher.drive_for(Duration::from_millis(5)).unwrap();
        subscriber.drive().unwrap();
    }
    assert_eq!(subscriber.packets(), 0);
}

#[test]
fn a_subscribers_answer_may_come_after_its_handshake() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let offered = boris
        .socket
        .request(ClientMessage::MediaSubscribe {
            pc: "s".into(),
            audio_slots: Some(1),
            video_slots: Some(1),
        })
        .unwrap();
    let ServerMessage::MediaOffer { sdp, .. } = offered else { panic!("{offered:?}") };
    let (mut subscriber, answer) = testkit::Subscriber::answer(&sdp, &Local::generate()).unwrap();
    subscriber.link.connect().unwrap();
    // Nothing may flow before the server knows whom it talks to.
    let until = Instant::now() + Duration::from_millis(200);
    while Instant::now() < until {
        publisher.send_frame(true, 1, 600).unwrap();
        publisher.drive_for(Duration::from_millis(10)).unwrap();
        subscriber.drive().unwrap();
    }
    assert_eq!(subscriber.packets(), 0, "no media for an unproven client");
    boris.socket.send(ClientMessage::MediaAnswer { pc: "s".into(), sdp: answer }).unwrap();
    flow(&mut publisher, &mut subscriber, "media after the answer", both_kinds(20)).unwrap();
}

#[test]
fn an_sdp_that_cannot_be_used_is_refused_in_words() {
    let server = server();
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let refused = anna
        .socket
        .request(ClientMessage::MediaPublish {
            pc: "p".into(),
            sdp: "v=0\r\n".into(),
            tracks: vec![],
        })
        .unwrap_err();
    assert_eq!(refused.code(), Some(protocol::ErrorCode::BadSdp), "{refused}");
    // The socket lives, and a proper offer still works.
    anna.publish(Publication::default()).unwrap();
}
