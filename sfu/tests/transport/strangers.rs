//! Datagrams of those who hold no keys: no answer, no change, no panic.

use crate::network::{Datagram, Fate, Network, Setup, Way, address, rtcp, rtp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use veche_sfu::transport::client::ConnectivityChecks;
use veche_sfu::transport::stun::TransactionId;

const STRANGER: u8 = 66;

/// What of a transport must not change.
fn state(network: &mut Network) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        network.server.remote_path(),
        network.server.last_heard(),
        network.server.is_connected(),
        network.server.poll_timeout(),
        network.server_events.clone(),
        network.at_server.clone(),
    )
}

/// Everything that went to the server in a whole join with some media.
fn recorded() -> (Network, Vec<Datagram>) {
    let mut network = Network::new(Setup::default());
    let record = Arc::new(Mutex::new(Vec::new()));
    let recorder = Arc::clone(&record);
    network.judge(move |datagram| {
        if datagram.way == Way::ToServer {
            recorder.lock().expect("one thread").push(datagram.clone());
        }
        Fate::Passes
    });
    assert!(network.connect_within(Duration::from_secs(5)));
    for sequence in 1..20 {
        network.client_sends_rtp(&rtp(1, sequence), u64::from(sequence));
        let mut slab = rtcp(1);
        network.client.seal_rtcp(&mut slab, 0);
        network.send(Way::ToServer, address(1), slab);
    }
    network.run_for(Duration::from_millis(100));
    assert_eq!(network.at_server.len(), 38);
    let recorded = record.lock().expect("one thread").clone();
    (network, recorded)
}

fn assert_ignored(network: &mut Network, from: u8, bytes: &[u8]) {
    let before = state(network);
    let answers = network.inject(address(from), bytes);
    assert_eq!(answers, [], "{bytes:02x?}");
    assert_eq!(state(network), before, "{bytes:02x?}");
}

#[test]
fn random_datagrams_of_every_first_byte_and_length_are_ignored() {
    let (mut network, _) = recorded();
    let mut fresh = Network::new(Setup::default());
    let mut rng = StdRng::seed_from_u64(3);
    for first in 0..=255u8 {
        for len in (0..64).chain([100, 1200, 2048, 4000]) {
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.random()).collect();
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            assert_ignored(&mut network, STRANGER, &bytes);
            assert_ignored(&mut fresh, STRANGER, &bytes);
        }
    }
    assert!(network.server.stats().bad_packets > 0);
    assert!(network.server.stats().stun_failures > 0);
    assert!(fresh.connect_within(Duration::from_secs(5)), "and a join goes on as ever");
}

#[test]
fn replays_from_elsewhere_are_ignored() {
    let (mut network, recorded) = recorded();
    for datagram in &recorded {
        assert_ignored(&mut network, STRANGER, &datagram.bytes);
        let before = state(&mut network);
        let mut bytes = datagram.bytes.clone();
        let arrival = network.server.try_rebind(network.now, address(STRANGER), &mut bytes);
        assert!(matches!(arrival, veche_sfu::transport::Arrival::Nothing));
        assert_eq!(network.server.poll_transmit(), None);
        assert_eq!(state(&mut network), before);
    }
}

#[test]
fn truncations_from_elsewhere_are_ignored() {
    let (mut network, recorded) = recorded();
    for datagram in &recorded {
        for len in 0..datagram.bytes.len() {
            assert_ignored(&mut network, STRANGER, &datagram.bytes[..len]);
        }
    }
}

#[test]
fn spoofed_media_changes_nothing_but_counters() {
    let (mut network, recorded) = recorded();
    let media = recorded.iter().filter(|datagram| datagram.bytes[0] >= 128);
    for datagram in media {
        assert_ignored(&mut network, 1, &datagram.bytes);
        for len in 0..datagram.bytes.len() {
            assert_ignored(&mut network, 1, &datagram.bytes[..len]);
        }
        for at in 0..datagram.bytes.len() {
            let mut forged = datagram.bytes.clone();
            forged[at] ^= 0x40;
            assert_ignored(&mut network, 1, &forged);
        }
    }
    let mut rng = StdRng::seed_from_u64(4);
    for len in 0..1500 {
        for kind in [[0x80, 96], [0x90, 96], [0xbf, 96], [0x80, 200], [0x81, 201]] {
            let random = (0..len).map(|_| rng.random());
            let bytes: Vec<u8> = kind.into_iter().chain(random).collect();
            assert_ignored(&mut network, 1, &bytes);
        }
    }
}

#[test]
fn spoofed_dtls_after_the_handshake_changes_nothing() {
    let (mut network, recorded) = recorded();
    let handshake: Vec<_> = recorded.iter().filter(|datagram| datagram.is_dtls()).collect();
    assert!(handshake.len() >= 2);
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..20 {
        for datagram in &handshake {
            for len in (1..datagram.bytes.len()).step_by(7) {
                network.inject(address(1), &datagram.bytes[..len]);
            }
            let mut forged = datagram.bytes.clone();
            let at = rng.random_range(0..forged.len());
            forged[at] ^= 0x10;
            network.inject(address(1), &forged);
        }
    }
    // A fatal alert in clear proves nothing.
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    network.inject(address(1), &alert);
    assert!(network.is_connected());
    network.client_sends_rtp(&rtp(1, 100), 100);
    let before = network.at_server.len();
    network.run_for(Duration::from_millis(50));
    assert_eq!(network.at_server.len(), before + 1);
}

#[test]
fn a_repeated_last_flight_is_answered_at_a_bounded_rate() {
    let (mut network, recorded) = recorded();
    let last = recorded.iter().rfind(|datagram| datagram.is_dtls()).unwrap().clone();
    let answers: usize = (0..100).map(|_| network.inject(address(1), &last.bytes).len()).sum();
    assert!(answers <= 2, "{answers} answers to a hundred in no time");
}

#[test]
fn checks_with_a_wrong_password_are_not_answered() {
    let (mut network, _) = recorded();
    let ours = crate::network::credentials("client");
    let mut theirs = crate::network::credentials("server");
    theirs.pwd = "guessed, guessed, guessed".to_owned();
    let guesses = ConnectivityChecks::new(&ours, &theirs, 1);
    theirs = crate::network::credentials("somebody else");
    let misdirected = ConnectivityChecks::new(&ours, &theirs, 1);
    for (number, checks) in [guesses, misdirected].iter().enumerate() {
        let check = checks.request(TransactionId([number as u8; 12]), true);
        for from in [1, STRANGER] {
            assert_ignored(&mut network, from, &check);
        }
    }
    assert_eq!(network.server.stats().stun_failures, 4);
}

#[test]
fn a_huge_certificate_is_refused_without_a_panic() {
    // Longer than any buffer dimpl is given by default; its poll would panic.
    let certificate = dimpl::DtlsCertificate {
        certificate: vec![0x30; 6000],
        private_key: crate::network::certificates().1.private_key,
    };
    let mut network = Network::new(Setup::default());
    let identity = veche_sfu::transport::Identity::for_tests(certificate, 9, 1200);
    let client = veche_sfu::transport::Transport::new(
        &identity,
        crate::network::credentials("client"),
        veche_sfu::credentials::DtlsRole::Client,
        network.now,
    );
    network.client = client;
    assert!(!network.connect_within(Duration::from_secs(40)));
    assert!(!network.server.is_connected());
}
