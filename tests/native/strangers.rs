//! Datagrams from addresses that proved nothing: no answer, no memory, no harm.

use crate::{both_kinds, flow, measured_server, server};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use testkit::server::Cost;
use testkit::{Person, Publication, Publisher};

/// Datagrams in one wave; the server's receive buffer holds it, so that each is looked at.
const WAVE: usize = 1_000;
/// Waves in each of the two stretches that are compared, after as many to warm up.
const STRETCH: usize = 30;
/// What a stretch may add: some four bytes for each datagram, or twenty for each address.
const MAX_GROWTH_KIB: u64 = 128;

/// One datagram of what a stranger may send.
fn nonsense(rng: &mut StdRng, n: usize) -> Vec<u8> {
    let length = match n % 7 {
        0 => rng.random_range(0..4),
        1 => rng.random_range(1_200..1_472),
        _ => rng.random_range(4..300),
    };
    let mut bytes: Vec<u8> = (0..length).map(|_| rng.random()).collect();
    match n % 6 {
        // RTP, RTCP, a ClientHello, STUN with and without the right length, and no shape at all.
        0 => begin_with(&mut bytes, &[0x90, 0x60]),
        1 => begin_with(&mut bytes, &[0x81, 0xc9]),
        2 => begin_with(
            &mut bytes,
            &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 1, 0, 0, 188, 0, 0],
        ),
        3 => begin_with(&mut bytes, &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]),
        4 => {
            let body = (bytes.len().saturating_sub(20) & !3) as u16;
            let [high, low] = body.to_be_bytes();
            begin_with(&mut bytes, &[0, 1, high, low, 0x21, 0x12, 0xa4, 0x42]);
            bytes.truncate(20 + usize::from(body));
        }
        _ => {}
    }
    bytes
}

fn begin_with(bytes: &mut [u8], head: &[u8]) {
    for (to, from) in bytes.iter_mut().zip(head) {
        *to = *from;
    }
}

/// Whether the server has taken all that was sent before: it takes datagrams in order, and answers this one.
fn settle(publisher: &mut Publisher) {
    let before = publisher.link.answers();
    let end = Instant::now() + Duration::from_secs(20);
    publisher.link.check(true).expect("a check");
    while publisher.link.answers() == before {
        assert!(Instant::now() < end, "the server does not answer its own clients any more");
        publisher.drive_for(Duration::from_millis(2)).expect("a working socket");
    }
}

fn assert_unanswered(stranger: &UdpSocket) {
    let mut buffer = [0; 2_048];
    match stranger.recv_from(&mut buffer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => panic!("{error}"),
        Ok((length, _)) => panic!("a stranger was answered: {:02x?}", &buffer[..length]),
    }
}

fn stranger() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_nonblocking(true).expect("a socket that does not block");
    socket
}

/// Runs waves, and holds the memory of one stretch of them against that of the stretch before.
///
/// A process touches pages for the first time long after its start: buffers grow to the size they keep, and
/// what was freed is taken again. That ends, so the first stretch is not looked at, and one of the next two
/// may still have a share of it. What is kept per datagram or per address shows in both, and alike: 16 bytes
/// for each datagram, put in on purpose, read [404, 436] KiB, and nothing [0, 0].
fn assert_no_growth(pid: u32, mut wave: impl FnMut()) {
    let mut stretch = || {
        for _ in 0..STRETCH {
            wave();
        }
        Cost::of(pid).expect("a running server").anonymous_kib
    };
    let start = stretch();
    let middle = stretch();
    let end = stretch();
    let grown = [middle.saturating_sub(start), end.saturating_sub(middle)];
    assert!(start > 0, "the memory of the process can be read");
    println!("{start} KiB, then {grown:?} in two stretches of {STRETCH} waves");
    assert!(grown.iter().any(|kib| *kib < MAX_GROWTH_KIB), "{grown:?} KiB");
}

#[test]
fn nonsense_gets_no_answer_and_no_memory() {
    let mut server = measured_server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media before", both_kinds(20)).unwrap();

    let stranger = stranger();
    let mut rng = StdRng::seed_from_u64(2);
    assert_no_growth(server.pid(), || {
        for n in 0..WAVE {
            let datagram = nonsense(&mut rng, n);
            stranger.send_to(&datagram, server.media).unwrap();
        }
        settle(&mut publisher);
        assert_unanswered(&stranger);
    });
    assert!(server.is_running());
    flow(&mut publisher, &mut subscriber, "media after", both_kinds(20)).unwrap();
}

#[test]
fn nonsense_from_many_ports_gets_no_memory_either() {
    let server = measured_server();
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut rng = StdRng::seed_from_u64(3);
    assert_no_growth(server.pid(), || {
        for n in 0..200 {
            let stranger = stranger();
            for _ in 0..5 {
                stranger.send_to(&nonsense(&mut rng, n), server.media).unwrap();
            }
        }
        settle(&mut publisher);
    });
}

#[test]
fn what_was_overheard_and_is_sent_again_changes_nothing() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    // From the first check over the handshake to media.
    let offer = testkit::publisher::Offer::new(Publication::default());
    let mut publisher = anna.offer(offer).unwrap();
    publisher.link.record();
    publisher.link.connect().unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media", both_kinds(50)).unwrap();
    let overheard = publisher.link.recorded();
    assert!(overheard.len() > 100);

    let stranger = stranger();
    for datagram in &overheard {
        stranger.send_to(datagram, server.media).unwrap();
        // Cut short, they are nothing either.
        stranger.send_to(&datagram[..datagram.len() / 2], server.media).unwrap();
    }
    settle(&mut publisher);
    assert_unanswered(&stranger);
    // Nothing was taken for the publisher's, and the publisher was not moved to the stranger's address.
    let after = flow(&mut publisher, &mut subscriber, "media after", both_kinds(20)).unwrap();
    for slot in 0..2 {
        let numbers: Vec<u16> = after
            .iter()
            .filter(|p| p.slot == slot && !p.is_retransmission)
            .map(|p| p.sequence)
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    }
    settle(&mut publisher);
    assert_unanswered(&stranger);
}

#[test]
fn a_port_without_a_room_answers_nobody() {
    let server = server();
    let stranger = stranger();
    let mut rng = StdRng::seed_from_u64(4);
    for n in 0..WAVE {
        stranger.send_to(&nonsense(&mut rng, n), server.media).unwrap();
    }
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    settle(&mut publisher);
    assert_unanswered(&stranger);
}
