//! Media over TCP, for networks that let no UDP out (ICE-TCP, RFC 6544).

use crate::{both_kinds, flow, server};
use protocol::{ClientMessage, ServerMessage};
use sfu::framing;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::link::Local;
use testkit::publisher::Offer;
use testkit::{Person, Publication, Publisher, Server, Subscriber};

/// The server closes what proves nothing after 5 s and looks once a second; a busy machine takes its time.
const CLOSED_WITHIN: Duration = Duration::from_secs(15);

fn publish_by_tcp(person: &mut Person) -> Publisher {
    let mut publisher =
        person.offer(Offer::new(Publication::default())).expect("the server and the client work");
    publisher.link.use_tcp().expect("the server and the client work");
    publisher.link.connect().expect("the server and the client work");
    publisher
}

fn subscribe_by_tcp(person: &mut Person) -> Subscriber {
    let mut subscriber =
        person.answer(&Local::generate(), 1, 1).expect("the server and the client work");
    subscriber.link.use_tcp().expect("the server and the client work");
    subscriber.link.connect().expect("the server and the client work");
    subscriber
}

/// Waits until a metric is what it should be.
fn until(server: &Server, name: &str, is_right: impl Fn(f64) -> bool) {
    let end = Instant::now() + CLOSED_WITHIN;
    loop {
        let value = server.metric(name).expect("the server and the client work");
        if is_right(value) {
            return;
        }
        assert!(Instant::now() < end, "{name} is {value}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_call_goes_by_streams_alone() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = publish_by_tcp(&mut anna);
    let mut subscriber = subscribe_by_tcp(&mut boris);
    let received =
        flow(&mut publisher, &mut subscriber, "media by streams", both_kinds(150)).unwrap();
    assert!(received.len() >= 300);
    until(&server, "veche_media_paths{carrier=\"tcp\"}", |paths| paths == 2.0);
    assert_eq!(server.metric("veche_media_paths{carrier=\"udp\"}").unwrap(), 0.0);
    assert_eq!(server.metric("veche_media_stream_packets_dropped_total").unwrap(), 0.0);
}

#[test]
fn one_end_by_stream_meets_another_by_datagrams_and_changes_over() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = publish_by_tcp(&mut anna);
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "from a stream to datagrams", both_kinds(20)).unwrap();
    // A network that lets UDP through no more: the nominated pair is another, the session the same.
    subscriber.link.use_tcp().unwrap();
    subscriber.link.check(true).unwrap();
    flow(&mut publisher, &mut subscriber, "on a stream now", both_kinds(20)).unwrap();
    until(&server, "veche_media_paths{carrier=\"tcp\"}", |paths| paths == 2.0);
    // And back.
    publisher.link.rebind().unwrap();
    publisher.link.check(true).unwrap();
    flow(&mut publisher, &mut subscriber, "by datagrams again", both_kinds(20)).unwrap();
    until(&server, "veche_media_paths{carrier=\"udp\"}", |paths| paths == 1.0);
    // A stream that ends takes nobody with it: the next one goes on.
    subscriber.link.use_tcp().unwrap();
    subscriber.link.check(false).unwrap();
    flow(&mut publisher, &mut subscriber, "on the next stream", both_kinds(20)).unwrap();
    assert_eq!(server.metric("veche_media_closed_total").unwrap(), 0.0);
}

#[test]
fn streams_of_those_who_left_are_closed() {
    let server = server();
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let mut publisher = publish_by_tcp(&mut anna);
    until(&server, "veche_media_streams{state=\"proven\"}", |streams| streams == 1.0);
    publisher.link.close().unwrap();
    until(&server, "veche_media_streams{state=\"proven\"}", |streams| streams == 0.0);
    until(&server, "veche_media_streams_ended_total", |ended| ended == 1.0);
}

#[test]
fn a_call_goes_by_the_port_of_http() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.offer(Offer::new(Publication::default())).unwrap();
    publisher.link.use_tcp_at(server.api.server).unwrap();
    publisher.link.connect().unwrap();
    let mut subscriber = boris.answer(&Local::generate(), 1, 1).unwrap();
    subscriber.link.use_tcp_at(server.api.server).unwrap();
    subscriber.link.connect().unwrap();
    flow(&mut publisher, &mut subscriber, "media by the port of HTTP", both_kinds(50)).unwrap();
    until(&server, "veche_media_paths{carrier=\"tcp\"}", |paths| paths == 2.0);
    // Strangers are no more welcome there, and are not kept longer.
    let after = closed_after(server.api.server, &frame(&check_for("nobody")));
    assert!(after < CLOSED_WITHIN, "{after:?}");
    assert!(closed_after(server.api.server, &frame(&[0x80; 200])) < Duration::from_secs(4));
    flow(&mut publisher, &mut subscriber, "media afterwards", both_kinds(20)).unwrap();
}

/// How long until the server closes a connection that sends these bytes, all at once.
fn closed_after(server: SocketAddr, bytes: &[u8]) -> Duration {
    let start = Instant::now();
    let mut stream = TcpStream::connect(server).expect("the server and the client work");
    // A server that has closed already resets what is still sent.
    let _ = stream.write_all(bytes);
    stream.set_read_timeout(Some(CLOSED_WITHIN)).expect("the server and the client work");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("still open after {:?}: {error}", start.elapsed()),
    }
    assert!(answer.is_empty(), "a stranger was answered: {answer:02x?}");
    start.elapsed()
}

fn frame(packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    assert!(framing::write(&mut frame, packet));
    frame
}

/// A check for nobody here.
fn check_for(ufrag: &str) -> Vec<u8> {
    use sfu::credentials::IceCredentials;
    use sfu::transport::client::ConnectivityChecks;
    use sfu::transport::stun::TransactionId;
    let of = |ufrag: &str| IceCredentials {
        ufrag: ufrag.to_owned(),
        pwd: "a-password-of-24-letters".to_owned(),
    };
    ConnectivityChecks::new(&of("mine"), &of(ufrag), 1).request(TransactionId([1; 12]), true)
}

#[test]
fn strangers_are_closed_without_a_word() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = publish_by_tcp(&mut anna);
    let mut subscriber = subscribe_by_tcp(&mut boris);
    let at_once = Duration::from_secs(4);
    let media = server.media;
    // What cannot be the first packet of a client of ours ends it at once ...
    for (what, bytes) in [
        ("media", frame(&[0x80; 200])),
        ("DTLS", frame(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200])),
        ("a web page", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec()),
        ("a frame that is too long", vec![0xff, 0xff, 0, 1]),
        ("many checks for nobody", frame(&check_for("nobody")).repeat(40)),
    ] {
        let after = closed_after(media, &bytes);
        assert!(after < at_once, "{what}: {after:?}");
    }
    // ... and what may still become one has its time, and no more. All wait side by side.
    let slow = [
        ("nothing", Vec::new()),
        ("half a header", vec![0]),
        ("half a frame", frame(&check_for("nobody"))[..30].to_vec()),
        ("empty frames", vec![0; 2_000]),
        ("a check for nobody", frame(&check_for("nobody"))),
    ];
    let waiting: Vec<_> = slow
        .into_iter()
        .map(|(what, bytes)| (what, std::thread::spawn(move || closed_after(media, &bytes))))
        .collect();
    flow(&mut publisher, &mut subscriber, "media meanwhile", both_kinds(50)).unwrap();
    for (what, after) in waiting {
        let after = after.join().unwrap();
        assert!(after >= at_once, "{what} was given {after:?}");
    }
    flow(&mut publisher, &mut subscriber, "media afterwards", both_kinds(20)).unwrap();
    until(&server, "veche_media_streams{state=\"unproven\"}", |streams| streams == 0.0);
}

#[test]
fn a_receiver_that_reads_nothing_loses_packets_and_holds_up_nobody() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut clara = Person::guest(server.api, "Clara", &room).unwrap();
    let mut publisher = publish_by_tcp(&mut anna);
    let mut stuck = subscribe_by_tcp(&mut boris);
    let mut subscriber = subscribe_by_tcp(&mut clara);
    flow(&mut publisher, &mut stuck, "media before", both_kinds(5)).unwrap();
    // Nobody reads his stream while pictures come, more than everything on the way can hold.
    let end = Instant::now() + Duration::from_secs(60);
    while server.metric("veche_media_stream_packets_dropped_total").unwrap() == 0.0 {
        assert!(Instant::now() < end, "the queue has no bound");
        for _ in 0..10 {
            publisher.send_frame(true, 60, 1_100).unwrap();
            publisher.drive_for(Duration::from_millis(5)).unwrap();
            subscriber.drive().unwrap();
            drop(subscriber.drain());
        }
    }
    flow(&mut publisher, &mut subscriber, "media for others", both_kinds(20)).unwrap();
    // Frames stay whole: what comes after is read as before.
    flow(&mut publisher, &mut stuck, "media once it reads", both_kinds(20)).unwrap();
}

#[test]
fn without_media_tcp_there_is_no_stream_and_no_candidate() {
    let binary = Path::new(env!("CARGO_BIN_EXE_veche"));
    let server = Server::start(binary, &[("MEDIA_TCP", "false")]).unwrap();
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    assert!(!offered(&mut anna).contains(" tcp "));
    assert!(anna.publish(Publication::default()).unwrap().link.is_connected());
    // Where streams are taken, every address is told for them as well, below all datagrams.
    let server = crate::server();
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let offer = offered(&mut anna);
    let streams: Vec<&str> = offer.lines().filter(|line| line.contains(" 1 tcp ")).collect();
    assert_eq!(streams.len(), offer.matches(" 1 udp ").count());
    assert!(streams.iter().all(|line| line.ends_with(" typ host tcptype passive")), "{streams:?}");
}

/// The server's offer to a subscriber.
fn offered(person: &mut Person) -> String {
    let pc = "offered".to_owned();
    let request = ClientMessage::MediaSubscribe { pc, audio_slots: Some(1), video_slots: Some(1) };
    match person.socket.request(request).expect("the server and the client work") {
        ServerMessage::MediaOffer { sdp, .. } => sdp,
        other => panic!("{other:?}"),
    }
}
