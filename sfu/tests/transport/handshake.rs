//! Joining over networks that lose, swap and delay.

use crate::network::{Clear, Datagram, Fate, Network, Setup, Way, address, rtp};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use veche_sfu::credentials::{DtlsRole, Fingerprint, FingerprintHash};
use veche_sfu::event::CloseReason;
use veche_sfu::transport::{Arrival, TransportEvent};

const LIMIT: Duration = Duration::from_secs(30);

/// Small enough that dimpl's ClientHello takes two datagrams, as a browser's does.
const SPLITTING_MTU: usize = 110;

/// Both directions carry media.
fn assert_media_flows(network: &mut Network) {
    network.client_sends_rtp(&rtp(1, 100), 100);
    network.server_sends_rtp(&rtp(2, 200), 200);
    network.run_for(Duration::from_millis(200));
    assert_eq!(network.at_server.pop(), Some(Clear::Rtp(rtp(1, 100))));
    assert_eq!(network.at_client.pop(), Some(Clear::Rtp(rtp(2, 200))));
}

/// The handshake messages of a DTLS datagram whose records are in clear: type and fragment offset.
fn messages(datagram: &Datagram) -> Vec<(u8, u32)> {
    let mut messages = Vec::new();
    let mut rest = &datagram.bytes[..];
    while datagram.is_dtls() && rest.len() >= 13 {
        let len = 13 + usize::from(u16::from_be_bytes([rest[11], rest[12]]));
        let record = &rest[..len];
        let is_clear = record[3..5] == [0, 0];
        if record[0] == 22 && is_clear {
            let offset = u32::from_be_bytes([0, record[19], record[20], record[21]]);
            messages.push((record[13], offset));
        } else if record[0] == 20 {
            messages.push((CHANGE_CIPHER_SPEC, 0));
        }
        rest = &rest[len..];
    }
    messages
}

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const SERVER_HELLO_DONE: u8 = 14;
const CLIENT_KEY_EXCHANGE: u8 = 16;
/// No handshake message has this number.
const CHANGE_CIPHER_SPEC: u8 = 255;

/// Loses the first datagram that is so; the others pass.
fn lose_once(is_it: impl Fn(&Datagram) -> bool) -> impl FnMut(&Datagram) -> Fate {
    let mut is_lost = false;
    move |datagram| {
        if !is_lost && is_it(datagram) {
            is_lost = true;
            return Fate::IsLost;
        }
        Fate::Passes
    }
}

fn carries(datagram: &Datagram, way: Way, message: u8) -> bool {
    datagram.way == way && messages(datagram).iter().any(|(kind, _)| *kind == message)
}

#[test]
fn a_join_takes_two_round_trips_after_the_check() {
    let mut network = Network::new(Setup::default());
    assert!(network.connect_within(LIMIT));
    // 10 ms each way: check and answer, then two flights each way.
    assert_eq!(network.elapsed(), Duration::from_millis(60));
    assert_eq!(
        network.server_events[..2],
        [TransportEvent::PathAccepted(address(1)), TransportEvent::Connected]
    );
    assert_eq!(network.server.overhead(), 16, "AES-GCM is chosen");
    assert_media_flows(&mut network);
}

#[test]
fn the_server_begins_when_the_client_is_passive() {
    let mut network = Network::new(Setup { server_role: DtlsRole::Client, ..Setup::default() });
    assert!(network.connect_within(LIMIT));
    assert_media_flows(&mut network);
}

#[test]
fn a_split_client_hello_arrives_whole() {
    let mut network = Network::new(Setup { client_mtu: SPLITTING_MTU, ..Setup::default() });
    assert!(network.connect_within(LIMIT));
    assert_eq!(network.elapsed(), Duration::from_millis(60));
    assert_media_flows(&mut network);
}

#[test]
fn a_split_client_hello_arrives_swapped() {
    let mut network = Network::new(Setup { client_mtu: SPLITTING_MTU, ..Setup::default() });
    let mut swapped = 0;
    let (sender, receiver) = std::sync::mpsc::channel();
    network.judge(move |datagram| match messages(datagram)[..] {
        [(CLIENT_HELLO, 0)] if swapped == 0 => {
            swapped += 1;
            sender.send(()).unwrap();
            Fate::IsLate(Duration::from_millis(5))
        }
        _ => Fate::Passes,
    });
    assert!(network.connect_within(LIMIT));
    assert!(receiver.try_recv().is_ok(), "the first part was alone in its datagram, and late");
    assert_eq!(network.elapsed(), Duration::from_millis(65), "without a retransmission");
    assert_media_flows(&mut network);
}

#[test]
fn either_part_of_a_split_client_hello_may_be_lost() {
    for lost_part in [0, 1] {
        let mut network = Network::new(Setup { client_mtu: SPLITTING_MTU, ..Setup::default() });
        network.judge(lose_once(move |datagram| match messages(datagram)[..] {
            [(CLIENT_HELLO, offset)] => (offset != 0) == (lost_part == 1),
            _ => false,
        }));
        assert!(network.connect_within(LIMIT), "part {lost_part}");
        assert!(network.elapsed() > Duration::from_millis(100), "it was lost, part {lost_part}");
        assert!(network.elapsed() < Duration::from_millis(250), "part {lost_part}");
        assert_media_flows(&mut network);
    }
}

#[test]
fn every_flight_may_be_lost_once() {
    let flights = [
        (Way::ToServer, CLIENT_HELLO),
        (Way::ToClient, SERVER_HELLO),
        (Way::ToServer, CLIENT_KEY_EXCHANGE),
        (Way::ToClient, CHANGE_CIPHER_SPEC),
    ];
    for (way, message) in flights {
        let mut network = Network::new(Setup::default());
        network.judge(lose_once(move |datagram| carries(datagram, way, message)));
        assert!(network.connect_within(LIMIT), "{way:?} {message}");
        let elapsed = network.elapsed();
        assert!(elapsed > Duration::from_millis(75), "it was lost: {way:?} {message} {elapsed:?}");
        assert!(elapsed < Duration::from_millis(250), "{way:?} {message} {elapsed:?}");
        assert_media_flows(&mut network);
    }
}

#[test]
fn the_end_of_a_flight_may_be_lost() {
    let mut network = Network::new(Setup { client_mtu: 300, ..Setup::default() });
    network.judge(lose_once(|datagram| carries(datagram, Way::ToClient, SERVER_HELLO_DONE)));
    assert!(network.connect_within(LIMIT));
    let mut network = Network::new(Setup { client_mtu: 300, ..Setup::default() });
    network.judge(lose_once(|datagram| carries(datagram, Way::ToServer, CHANGE_CIPHER_SPEC)));
    assert!(network.connect_within(LIMIT));
    assert_media_flows(&mut network);
}

#[test]
fn forty_of_forty_join_at_100_ms_with_20_percent_loss() {
    let mut slowest = Duration::ZERO;
    for seed in 0..40 {
        let mut network = Network::new(Setup {
            seed,
            one_way: Duration::from_millis(50),
            loss: 0.2,
            ..Setup::default()
        });
        assert!(network.connect_within(LIMIT), "seed {seed}");
        slowest = slowest.max(network.elapsed());
    }
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

#[test]
fn forty_of_forty_join_with_split_hellos_and_loss() {
    for seed in 0..40 {
        let mut network = Network::new(Setup {
            seed,
            one_way: Duration::from_millis(50),
            loss: 0.2,
            client_mtu: SPLITTING_MTU,
            ..Setup::default()
        });
        assert!(network.connect_within(LIMIT), "seed {seed}");
    }
}

#[test]
fn an_answer_may_come_after_dtls() {
    let mut network = Network::new(Setup { is_answered: false, ..Setup::default() });
    network.run_for(Duration::from_secs(1));
    assert!(network.client.is_connected());
    assert!(!network.server.is_connected(), "nobody knows whom it is with");

    // What comes before is not opened, and nothing is sealed.
    network.client_sends_rtp(&rtp(1, 1), 1);
    network.run_for(Duration::from_millis(100));
    assert_eq!(network.at_server, []);
    let mut slab = rtp(2, 2);
    network.server.seal_rtp(&mut slab, 0, 12, 2);
    assert!(slab.is_empty(), "never in clear");

    let parameters = network.client_parameters.clone();
    network.server.set_remote(network.now, parameters);
    assert!(network.server.is_connected());
    assert_eq!(network.server.poll_event(), Some(TransportEvent::Connected));
    assert_media_flows(&mut network);
}

#[test]
fn a_wrong_fingerprint_is_refused_whenever_it_comes() {
    let wrong = Fingerprint::of(FingerprintHash::Sha256, b"another certificate");
    for is_early in [true, false] {
        let mut network = Network::new(Setup { is_answered: false, ..Setup::default() });
        let mut parameters = network.client_parameters.clone();
        parameters.fingerprint = wrong.clone();
        if is_early {
            network.server.set_remote(network.now, parameters);
            network.run_for(Duration::from_secs(1));
        } else {
            network.run_for(Duration::from_secs(1));
            network.server.set_remote(network.now, parameters);
            network.run_for(Duration::from_secs(1));
        }
        assert!(!network.server.is_connected());
        let last = network.server_events.last();
        assert_eq!(last, Some(&TransportEvent::Closed(CloseReason::WrongFingerprint)));
        assert!(!network.server_events.contains(&TransportEvent::Connected));
        let last = network.client_events.last();
        assert_eq!(last, Some(&TransportEvent::Closed(CloseReason::ClosedByPeer)), "it is told");
    }
}

#[test]
fn a_renegotiation_keeps_the_certificate_or_ends_the_transport() {
    let mut network = Network::new(Setup::default());
    assert!(network.connect_within(LIMIT));
    let mut parameters = network.client_parameters.clone();
    network.server.set_remote(network.now, parameters.clone());
    assert!(network.server.is_connected(), "the same again is nothing new");
    parameters.fingerprint = Fingerprint::of(FingerprintHash::Sha256, b"another certificate");
    network.server.set_remote(network.now, parameters);
    assert_eq!(
        network.server.poll_event(),
        Some(TransportEvent::Closed(CloseReason::WrongFingerprint))
    );
    let mut slab = rtp(2, 2);
    network.server.seal_rtp(&mut slab, 0, 12, 2);
    assert!(slab.is_empty());
}

#[test]
fn whoever_closes_tells_the_other() {
    let mut network = Network::new(Setup::default());
    assert!(network.connect_within(LIMIT));
    network.client.close();
    network.run_for(Duration::from_millis(100));
    let last = network.server_events.last();
    assert_eq!(last, Some(&TransportEvent::Closed(CloseReason::ClosedByPeer)));
    let answers = network.trace.iter().rev().take_while(|(_, way, ..)| *way == Way::ToClient);
    assert_eq!(answers.count(), 1, "close_notify is answered by one");

    let mut network = Network::new(Setup::default());
    assert!(network.connect_within(LIMIT));
    network.server.close();
    network.run_for(Duration::from_millis(100));
    let last = network.server_events.last();
    assert_eq!(last, Some(&TransportEvent::Closed(CloseReason::Commanded)));
    let last = network.client_events.last();
    assert_eq!(last, Some(&TransportEvent::Closed(CloseReason::ClosedByPeer)));
    assert_eq!(network.server.poll_timeout(), None);
}

#[test]
fn whoever_closes_after_media_flowed_tells_the_other_and_nobody_else_can() {
    for closes_first in ["client", "server"] {
        let mut network = Network::new(Setup::default());
        let said = Rc::new(RefCell::new(Vec::new()));
        let hears = Rc::clone(&said);
        network.judge(move |datagram| {
            if datagram.is_dtls() && datagram.way == Way::ToServer {
                hears.borrow_mut().push(datagram.bytes.clone());
            }
            Fate::Passes
        });
        assert!(network.connect_within(LIMIT));
        assert_media_flows(&mut network);
        // A handshake that comes again, and a goodbye that somebody else made up.
        let forged = [&[21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 26][..], &[7; 26]].concat();
        let again = said.borrow().clone();
        assert!(again.len() > 1);
        for mut datagram in again.into_iter().chain([forged]) {
            let arrival =
                network.server.receive(network.now, network.client_address, &mut datagram);
            assert!(matches!(arrival, Arrival::Nothing));
        }
        assert!(network.server.is_connected());
        assert_eq!(network.server.poll_transmit(), None, "nothing is said twice");
        match closes_first {
            "client" => network.client.close(),
            _ => network.server.close(),
        }
        network.run_for(Duration::from_millis(100));
        let (server, client) = match closes_first {
            "client" => (CloseReason::ClosedByPeer, CloseReason::Commanded),
            _ => (CloseReason::Commanded, CloseReason::ClosedByPeer),
        };
        assert_eq!(network.server_events.last(), Some(&TransportEvent::Closed(server)));
        assert_eq!(network.client_events.last(), Some(&TransportEvent::Closed(client)));
    }
}

#[test]
fn a_client_that_never_comes_is_given_up_after_30_seconds() {
    let mut network = Network::new(Setup::default());
    network.checks_run = false;
    let is_closed = |network: &Network| !network.server_events.is_empty();
    assert!(network.run_until(Duration::from_secs(60), is_closed));
    assert_eq!(network.server_events, [TransportEvent::Closed(CloseReason::Silent)]);
    assert_eq!(network.elapsed(), Duration::from_secs(30));
}

#[test]
fn a_client_that_falls_silent_is_given_up_after_30_seconds() {
    let mut network = Network::new(Setup::default());
    assert!(network.connect_within(LIMIT));
    network.run_for(Duration::from_secs(60));
    assert!(network.server.is_connected(), "checks keep it alive");
    network.checks_run = false;
    let is_closed = |network: &Network| !network.server.is_connected();
    assert!(network.run_until(Duration::from_secs(60), is_closed));
    assert_eq!(network.now, network.server.last_heard() + Duration::from_secs(30));
    assert_eq!(network.server_events.last(), Some(&TransportEvent::Closed(CloseReason::Silent)));
}

#[test]
fn a_handshake_that_gets_nowhere_fails() {
    let mut network = Network::new(Setup::default());
    network.judge(|datagram| {
        let is_final = carries(datagram, Way::ToServer, CHANGE_CIPHER_SPEC);
        if is_final { Fate::IsLost } else { Fate::Passes }
    });
    let is_closed = |network: &Network| {
        network.server_events.contains(&TransportEvent::Closed(CloseReason::HandshakeFailed))
    };
    assert!(network.run_until(Duration::from_secs(40), is_closed));
    assert!(network.elapsed() >= Duration::from_secs(30), "not before its time is over");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut network = Network::new(Setup {
            seed,
            one_way: Duration::from_millis(50),
            loss: 0.3,
            ..Setup::default()
        });
        network.connect_within(LIMIT);
        network.run_for(Duration::from_secs(5));
        network.trace
    };
    for seed in 0..8 {
        let trace = run(seed);
        assert!(trace.len() > 4);
        assert_eq!(trace, run(seed), "seed {seed}");
    }
    assert_ne!(run(1), run(2));
}
