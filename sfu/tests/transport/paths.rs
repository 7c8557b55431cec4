//! Peers whose address changes.

use crate::network::{Clear, Network, Setup, Way, address, credentials, rtcp, rtp};
use std::time::Duration;
use veche_sfu::event::CloseReason;
use veche_sfu::path::{ConnectionId, Path};
use veche_sfu::transport::client::ConnectivityChecks;
use veche_sfu::transport::{Arrival, TransportEvent};

fn connected() -> Network {
    let mut network = Network::new(Setup::default());
    assert!(network.connect_within(Duration::from_secs(5)));
    network
}

#[test]
fn dtls_is_taken_before_any_nomination() {
    let mut network = Network::new(Setup::default());
    network.nominates = false;
    assert!(network.connect_within(Duration::from_secs(5)));
    assert_eq!(network.elapsed(), Duration::from_millis(60));
    assert_eq!(network.server.remote_path(), Some(address(1)));
}

#[test]
fn a_nomination_moves_media() {
    let mut network = connected();
    let check = network.check(false);
    assert_eq!(network.inject(address(2), &check).len(), 1, "answered");
    assert_eq!(network.server.remote_path(), Some(address(1)), "checked, not chosen");
    let check = network.check(true);
    network.inject(address(2), &check);
    assert_eq!(network.server.remote_path(), Some(address(2)));
}

#[test]
fn authentic_media_on_a_checked_path_moves_the_peer() {
    let mut network = connected();
    network.client_sends_rtp(&rtp(1, 10), 10);
    network.run_for(Duration::from_millis(50));
    let check = network.check(false);
    network.inject(address(2), &check);

    let packet = network.client_seals(&rtp(1, 11), 11);
    network.inject(address(2), &packet);
    assert_eq!(network.at_server.pop(), Some(Clear::Rtp(rtp(1, 11))));
    assert_eq!(network.server.remote_path(), Some(address(2)), "without a nomination");

    // One that was under way on the old path is taken, but does not move the peer back.
    let late = network.client_seals(&rtp(1, 9), 9);
    network.inject(address(1), &late);
    assert_eq!(network.at_server.pop(), Some(Clear::Rtp(rtp(1, 9))));
    assert_eq!(network.server.remote_path(), Some(address(2)));
}

#[test]
fn authentic_rtcp_on_a_checked_path_moves_the_peer() {
    let mut network = connected();
    let check = network.check(false);
    network.inject(address(2), &check);
    let mut slab = rtcp(5);
    network.client.seal_rtcp(&mut slab, 0);
    network.inject(address(2), &slab);
    assert_eq!(network.at_server.pop(), Some(Clear::Rtcp(rtcp(5))));
    assert_eq!(network.server.remote_path(), Some(address(2)));
}

#[test]
fn media_from_an_address_that_was_not_checked_is_not_received() {
    let mut network = connected();
    let packet = network.client_seals(&rtp(1, 10), 10);
    assert_eq!(network.inject(address(2), &packet), []);
    assert_eq!(network.at_server, []);
    assert_eq!(network.server.remote_path(), Some(address(1)));
}

#[test]
fn a_nat_that_moves_a_publisher_is_noticed_by_its_first_packet() {
    let mut network = connected();
    network.server_events.clear();
    let mut packet = network.client_seals(&rtp(1, 10), 10);
    let sealed = packet.clone();
    match network.server.try_rebind(network.now, address(9), &mut packet) {
        Arrival::Rtp(clear) => assert_eq!(*clear, rtp(1, 10)),
        arrival => panic!("{arrival:?}"),
    }
    assert_eq!(network.server.poll_event(), Some(TransportEvent::PathAccepted(address(9))));
    assert_eq!(network.server.remote_path(), Some(address(9)));

    // The same from elsewhere is a replay: nothing changes, the datagram included.
    let mut replayed = sealed.clone();
    let arrival = network.server.try_rebind(network.now, address(10), &mut replayed);
    assert!(matches!(arrival, Arrival::Nothing));
    assert_eq!(replayed, sealed);
    assert_eq!(network.server.remote_path(), Some(address(9)));
    assert_eq!(network.server.poll_event(), None);
    assert_eq!(network.server.stats().replays, 1);
}

#[test]
fn a_nat_that_moves_a_subscriber_is_noticed_by_its_report() {
    let mut network = connected();
    let mut slab = rtcp(5);
    network.client.seal_rtcp(&mut slab, 0);
    match network.server.try_rebind(network.now, address(9), &mut slab) {
        Arrival::Rtcp(clear) => assert_eq!(*clear, rtcp(5)),
        arrival => panic!("{arrival:?}"),
    }
    assert_eq!(network.server.remote_path(), Some(address(9)));
}

#[test]
fn a_late_packet_from_an_unknown_address_moves_nobody() {
    let mut network = connected();
    network.client_sends_rtp(&rtp(1, 10), 10);
    network.run_for(Duration::from_millis(50));
    network.server_events.clear();
    let mut late = network.client_seals(&rtp(1, 9), 9);
    let arrival = network.server.try_rebind(network.now, address(9), &mut late);
    assert!(matches!(arrival, Arrival::Rtp(_)), "it is authentic and new");
    assert_eq!(network.server.remote_path(), Some(address(1)));
    assert_eq!(network.server.poll_event(), None);
}

#[test]
fn what_is_not_authentic_rebinds_nothing() {
    let mut network = connected();
    let sealed = network.client_seals(&rtp(1, 10), 10);
    for bit in 0..sealed.len() * 8 {
        let mut forged = sealed.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let before = forged.clone();
        let arrival = network.server.try_rebind(network.now, address(9), &mut forged);
        assert!(matches!(arrival, Arrival::Nothing), "bit {bit}");
        assert_eq!(forged, before, "bit {bit}");
    }
    assert_eq!(network.server.remote_path(), Some(address(1)));
    assert_eq!(network.server.poll_event(), None);
}

#[test]
fn a_path_in_use_that_fell_silent_gives_way_to_one_that_is_checked() {
    let mut network = connected();
    // As Firefox does behind a NAT that forgot it: checks go on from elsewhere, none nominates.
    network.client_address = address(2);
    network.nominates = false;
    let has_moved = |network: &Network| network.server.remote_path() == Some(address(2));
    assert!(network.run_until(Duration::from_secs(60), has_moved));
    assert!(network.elapsed() < Duration::from_secs(16));
    assert!(network.server.is_connected());
}

#[test]
fn addresses_without_checks_are_forgotten() {
    let mut network = connected();
    let check = network.check(false);
    network.inject(address(2), &check);
    network.run_for(Duration::from_secs(40));
    assert!(network.server_events.contains(&TransportEvent::PathForgotten(address(2))));
    assert!(!network.server_events.contains(&TransportEvent::PathForgotten(address(1))));
    let packet = network.client_seals(&rtp(1, 10), 10);
    network.inject(address(2), &packet);
    assert_eq!(network.at_server, []);
}

#[test]
fn a_peer_has_a_bounded_number_of_addresses() {
    let mut network = connected();
    network.server_events.clear();
    for number in 2..200 {
        let check = network.check(false);
        network.inject(address(number), &check);
    }
    let accepted = |event: &&TransportEvent| matches!(event, TransportEvent::PathAccepted(_));
    let forgotten = |event: &&TransportEvent| matches!(event, TransportEvent::PathForgotten(_));
    let accepted = network.server_events.iter().filter(accepted).count();
    let forgotten = network.server_events.iter().filter(forgotten).count();
    assert_eq!(accepted, 198);
    assert_eq!(accepted - forgotten, 15, "16 with the one in use");
    assert_eq!(network.server.remote_path(), Some(address(1)));
    assert!(!network.server_events.contains(&TransportEvent::PathForgotten(address(1))));
}

#[test]
fn after_an_ice_restart_both_credentials_count_until_a_new_path_is_nominated() {
    let mut network = connected();
    let (old, new) = (credentials("server"), credentials("restarted"));
    network.server.restart_ice(new.clone());
    assert_eq!(network.server.local(), &new);
    assert!(network.server.knows_ufrag("server") && network.server.knows_ufrag("restarted"));

    // Old ones still answer, even nominating.
    let check = network.check(true);
    assert_eq!(network.inject(address(1), &check).len(), 1);

    // The client checks a new path from a new port.
    let checks_before = std::mem::replace(
        &mut network.checks,
        ConnectivityChecks::new(&credentials("client again"), &new, 7),
    );
    let check = network.check(false);
    assert_eq!(network.inject(address(2), &check).len(), 1);
    assert!(network.server.knows_ufrag("server"), "not nominated yet");
    assert_eq!(network.server.remote_path(), Some(address(1)));

    network.server_events.clear();
    let check = network.check(true);
    assert_eq!(network.inject(address(2), &check).len(), 1);
    assert_eq!(network.server.remote_path(), Some(address(2)));
    assert!(!network.server.knows_ufrag(&old.ufrag));
    let moved =
        [TransportEvent::PathForgotten(address(1)), TransportEvent::PathAccepted(address(2))];
    assert_eq!(network.server_events, moved);
    network.checks = checks_before;
    let check = network.check(true);
    assert_eq!(network.inject(address(1), &check), [], "the old ones are void");

    // No new handshake: media goes on under the same keys.
    network.client_address = address(2);
    network.checks_run = false;
    network.client_sends_rtp(&rtp(1, 10), 10);
    network.server_sends_rtp(&rtp(2, 20), 20);
    network.run_for(Duration::from_millis(50));
    assert_eq!(network.at_server, [Clear::Rtp(rtp(1, 10))]);
    assert_eq!(network.at_client, [Clear::Rtp(rtp(2, 20))]);
    assert!(!network.server_events.contains(&TransportEvent::Closed(CloseReason::Silent)));
}

#[test]
fn a_check_that_comes_again_from_elsewhere_is_not_believed() {
    let mut network = connected();
    let check = network.check(true);
    assert_eq!(network.inject(address(1), &check).len(), 1);
    assert_eq!(network.inject(address(1), &check).len(), 1, "a retransmission is answered");
    network.server_events.clear();
    assert_eq!(network.inject(address(66), &check), [], "a replay is not");
    assert_eq!(network.server.remote_path(), Some(address(1)));
    assert_eq!(network.server_events, []);
    assert_eq!(network.server.stats().replays, 1);
}

#[test]
fn every_check_claims_its_address_anew() {
    let mut network = connected();
    network.server_events.clear();
    let check = network.check(false);
    network.inject(address(1), &check);
    // Somebody else's transport may have claimed it since the last one.
    assert_eq!(network.server_events, [TransportEvent::PathAccepted(address(1))]);
}

#[test]
fn answers_go_where_the_handshake_comes_from() {
    let mut network = Network::new(Setup::default());
    // Two paths pass their checks, the first one is taken until there is a reason for the other.
    network.nominates = false;
    let check = network.check(false);
    network.inject(address(7), &check);
    assert_eq!(network.server.remote_path(), Some(address(7)));
    assert!(network.connect_within(Duration::from_secs(5)));
    assert_eq!(network.elapsed(), Duration::from_millis(60));
    assert_eq!(network.server.remote_path(), Some(address(1)));
    let strays =
        network.trace.iter().filter(|(_, way, to, _)| *way == Way::ToClient && *to != address(1));
    assert_eq!(strays.count(), 0);
}

fn stream(id: u64) -> Path {
    Path::Tcp { connection: ConnectionId(id), address: address(1).address() }
}

#[test]
fn a_nominated_stream_takes_over_from_datagrams_and_back() {
    let mut network = connected();
    let check = network.check(true);
    let answers = network.inject(stream(1), &check);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].0, stream(1), "the answer goes the way that the check came");
    assert_eq!(network.server.remote_path(), Some(stream(1)));
    let check = network.check(true);
    network.inject(address(1), &check);
    assert_eq!(network.server.remote_path(), Some(address(1)));
}

#[test]
fn a_stream_that_ends_leaves_the_peer_where_it_was_heard_last_besides() {
    let mut network = connected();
    for path in [stream(1), stream(2)] {
        let check = network.check(true);
        network.inject(path, &check);
    }
    network.server.lose_path(network.now, stream(2));
    assert_eq!(network.server.remote_path(), Some(stream(1)));
    network.server.lose_path(network.now, stream(1));
    assert_eq!(network.server.remote_path(), Some(address(1)));
    let forgotten: Vec<_> = std::iter::from_fn(|| network.server.poll_event()).collect();
    assert_eq!(forgotten, [stream(2), stream(1)].map(TransportEvent::PathForgotten));
}

#[test]
fn a_peer_whose_only_path_ended_is_sent_nothing_until_its_next_check() {
    let mut network = connected();
    network.checks_run = false;
    network.server.lose_path(network.now, address(1));
    assert_eq!(network.server.remote_path(), None);
    assert!(network.server.is_connected(), "its keys are good, it is only nowhere");
    // Firefox would never nominate again.
    let check = network.check(false);
    network.inject(stream(1), &check);
    assert_eq!(network.server.remote_path(), Some(stream(1)));
}

#[test]
fn a_path_that_was_never_heard_is_lost_without_a_word() {
    let mut network = connected();
    network.server.lose_path(network.now, stream(9));
    assert_eq!(network.server.poll_event(), None);
    assert_eq!(network.server.remote_path(), Some(address(1)));
}
