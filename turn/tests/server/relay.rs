//! What an allocation is for: packets to the media plane and back, and its life.

use crate::client::{
    Attribute, PEERS, Person, START_S, World, code, indication, peer_address, udp,
};
use std::net::SocketAddr;
use std::time::Duration;
use turn::bucket::Rate;
use turn::message::{self as m, Class, Integrity, Message, Method, Writer};
use turn::{Client, Limits, Link, channel};

fn joined() -> (World, Person) {
    let mut world = World::new(Limits::default());
    let mut ada = Person::new(5000, "ada", "weekly", START_S);
    ada.allocate(&mut world).expect("an allocation");
    (world, ada)
}

#[test]
fn an_allocation_tells_its_address_its_life_and_how_the_client_is_seen() {
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        let mut world = World::new(Limits::default());
        let mut ada = Person { integrity, ..Person::new(5000, "ada", "weekly", START_S) };
        let answer = ada.allocate(&mut world).expect("an allocation");
        let message = Message::parse(&answer).unwrap();
        let relayed = message.address(m::XOR_RELAYED_ADDRESS).unwrap();
        assert_eq!(relayed.ip(), PEERS[0].parse::<SocketAddr>().unwrap().ip());
        assert!(relayed.port() >= 49_152);
        assert_eq!(message.address(m::XOR_MAPPED_ADDRESS), Some(ada.client.address));
        assert_eq!(message.number(m::LIFETIME), Some(600));
        assert_eq!(message.text(m::SOFTWARE), Some("Veche"), "and no version");
        assert_eq!(message.integrity(), integrity);
    }
}

#[test]
fn packets_go_to_the_media_plane_and_back_by_indication_and_by_channel() {
    let (mut world, mut ada) = joined();
    assert!(world.carry(ada.client, &indication(PEERS[1], b"early")).is_none(), "no permission");
    ada.permit(&mut world, "10.0.0.2:1").expect("ports do not matter to permissions");
    let (relay, payload) = world.carry(ada.client, &indication(PEERS[1], b"hello")).unwrap();
    assert_eq!(payload, b"hello");
    assert_eq!(relay.peer, 1);

    let mut out = Vec::new();
    let now = world.at().now;
    let to = world.server.wrap(now, relay.allocation, relay.peer, b"back", &mut out);
    assert_eq!(to, Some(ada.client));
    let message = Message::parse(&out).unwrap();
    assert_eq!((message.method(), message.class()), (Method::Data, Class::Indication));
    assert_eq!(message.address(m::XOR_PEER_ADDRESS), Some(PEERS[1].parse().unwrap()));
    assert_eq!(&out[message.place(m::DATA).unwrap()], b"back");

    ada.bind(&mut world, 0x4001, PEERS[1]).expect("a channel");
    let mut wire = Vec::new();
    channel::write(&mut wire, 0x4001, b"short", false);
    let (again, payload) = world.carry(ada.client, &wire).unwrap();
    assert_eq!((again, &payload[..]), (relay, &b"short"[..]));
    out.clear();
    world.server.wrap(now, relay.allocation, relay.peer, b"reply", &mut out).unwrap();
    assert_eq!(out, [&[0x40, 1, 0, 5][..], b"reply"].concat());
    assert!(world.server.wrap(now, relay.allocation, 0, b"other peer", &mut out).is_none());
    wire[1] = 2;
    assert!(world.carry(ada.client, &wire).is_none(), "an unbound channel");
}

#[test]
fn channel_data_in_a_stream_is_padded() {
    let mut world = World::new(Limits::default());
    let mut ada = Person::new(5000, "ada", "weekly", START_S);
    ada.client.link = Link::Stream(3);
    ada.allocate(&mut world).unwrap();
    ada.bind(&mut world, 0x4000, PEERS[0]).unwrap();
    let mut wire = Vec::new();
    channel::write(&mut wire, 0x4000, b"hello", true);
    let (relay, payload) = world.carry(ada.client, &wire).unwrap();
    assert_eq!(payload, b"hello");
    let mut out = Vec::new();
    world.server.wrap(world.at().now, relay.allocation, 0, b"reply", &mut out).unwrap();
    assert_eq!(out.len(), 12);
    world.server.disconnected(ada.client);
    assert!(world.server.is_empty());
    let closed = world.server.poll_closed().expect("it is told");
    assert_eq!((closed.allocation, closed.client), (relay.allocation, ada.client));
    let ways: Vec<_> = world.server.relays_of(&closed).collect();
    assert!(ways.contains(&relay), "the way that packets came by is among {ways:?}");
    assert_eq!(ways.len(), 2, "one to each address of its family");
    let udp = Client { link: Link::Udp, ..ada.client };
    assert!(
        world.carry(udp, &wire).is_none(),
        "the same address by another link is another client"
    );
}

#[test]
fn a_lost_answer_is_given_again_and_a_second_allocation_refused() {
    let mut world = World::new(Limits::default());
    let mut ada = Person::new(5000, "ada", "weekly", START_S);
    let first = ada.allocate(&mut world).unwrap();
    let relayed = |answer: &[u8]| Message::parse(answer).unwrap().address(m::XOR_RELAYED_ADDRESS);
    let transaction = Message::parse(&first).unwrap().transaction();
    let again = ada.request_again(Method::Allocate, transaction, &[udp()]);
    let second = world.ask(ada.client, &again).unwrap();
    assert_eq!(relayed(&second), relayed(&first));
    assert_eq!(world.server.len(), 1);
    assert_eq!(ada.allocate(&mut world).unwrap_err(), 437);
}

#[test]
fn an_allocation_lives_ten_minutes_from_its_last_refresh() {
    let (mut world, mut ada) = joined();
    world.pass(Duration::from_secs(500));
    let answer = ada.ask(&mut world, Method::Refresh, &[(m::LIFETIME, vec![0, 1, 0, 0])]).unwrap();
    let told = Message::parse(&answer).unwrap().number(m::LIFETIME);
    assert_eq!(told, Some(600), "never more than the most there is");
    world.pass(Duration::from_secs(599));
    assert_eq!(world.server.len(), 1);
    world.pass(Duration::from_secs(2));
    assert!(world.server.is_empty());
    let mut fresh = Person::new(5000, "ada", "weekly", world.at().unix_s);
    assert_eq!(fresh.ask(&mut world, Method::Refresh, &[]).unwrap_err(), 437);
}

#[test]
fn a_refresh_of_nothing_ends_it_at_once() {
    let (mut world, mut ada) = joined();
    ada.ask(&mut world, Method::Refresh, &[(m::LIFETIME, vec![0; 4])]).unwrap();
    assert!(world.server.is_empty());
    ada.allocate(&mut world).expect("the address is free again");
}

#[test]
fn fresh_credentials_carry_an_allocation_on() {
    let (mut world, mut ada) = joined();
    world.pass(Duration::from_secs(590));
    let mut fresh = Person::new(5000, "ada", "weekly", world.at().unix_s);
    fresh.ask(&mut world, Method::Refresh, &[]).expect("the same person in the same room");
    world.pass(Duration::from_secs(20));
    assert_eq!(ada.ask(&mut world, Method::Refresh, &[]).unwrap_err(), 401, "these are over");
    assert_eq!(world.server.len(), 1);
}

#[test]
fn both_families_are_answered_where_there_is_an_address() {
    let v6 = |value: u8| (m::REQUESTED_ADDRESS_FAMILY, vec![value, 0, 0, 0]);
    let both = (m::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0]);
    type Case<'a> = (&'a [&'a str], Vec<Attribute>, Result<&'a [bool], u16>);
    let cases: [Case<'_>; 9] = [
        (&PEERS, vec![udp()], Ok(&[true])),
        (&PEERS, vec![udp(), v6(1)], Ok(&[true])),
        (&PEERS, vec![udp(), v6(2)], Ok(&[false])),
        (&PEERS, vec![udp(), both.clone()], Ok(&[true, false])),
        (&PEERS[..2], vec![udp(), both.clone()], Ok(&[true])),
        (&PEERS[2..], vec![udp(), both.clone()], Ok(&[false])),
        (&PEERS[..2], vec![udp(), v6(2)], Err(440)),
        (&PEERS[2..], vec![udp()], Err(440)),
        (&PEERS, vec![udp(), v6(3)], Err(440)),
    ];
    for (i, (peers, attributes, expected)) in cases.into_iter().enumerate() {
        let mut world = World::with_peers(peers, Limits::default());
        let mut ada = Person::new(5000, "ada", "weekly", START_S);
        let answer = ada.ask(&mut world, Method::Allocate, &attributes);
        let told = answer.as_ref().map_err(|code| *code).map(|answer| {
            let message = Message::parse(answer).unwrap();
            let relayed = message.addresses(m::XOR_RELAYED_ADDRESS).unwrap();
            let asked_both = attributes.contains(&both);
            let has_error = message.attribute(m::ADDRESS_ERROR_CODE).is_some();
            assert_eq!(has_error, asked_both && relayed.len() == 1, "{i}");
            relayed.iter().map(SocketAddr::is_ipv4).collect::<Vec<bool>>()
        });
        assert_eq!(told, expected.map(<[bool]>::to_vec), "{i}");
    }
}

#[test]
fn what_is_wrong_with_an_allocate_request_is_said() {
    let even = |value: u8| (m::EVEN_PORT, vec![value]);
    let token = (m::RESERVATION_TOKEN, vec![0; 8]);
    let both = |value: u8| (m::ADDITIONAL_ADDRESS_FAMILY, vec![value, 0, 0, 0]);
    let v4 = (m::REQUESTED_ADDRESS_FAMILY, vec![1, 0, 0, 0]);
    let cases: [(Vec<Attribute>, u16); 11] = [
        (vec![], 400),
        (vec![(m::REQUESTED_TRANSPORT, vec![6, 0, 0, 0])], 442),
        (vec![(m::REQUESTED_TRANSPORT, vec![17])], 400),
        (vec![udp(), even(0x80)], 508),
        (vec![udp(), token.clone()], 508),
        (vec![udp(), token.clone(), even(0)], 400),
        (vec![udp(), token, v4.clone()], 400),
        (vec![udp(), both(1)], 400),
        (vec![udp(), both(2), v4], 400),
        (vec![udp(), (0x7777, vec![1])], 420),
        // USERHASH and PASSWORD-ALGORITHM: only for clients that were offered them.
        (vec![udp(), (0x001e, vec![0; 32])], 420),
    ];
    for (attributes, expected) in cases {
        let mut world = World::new(Limits::default());
        let mut ada = Person::new(5000, "ada", "weekly", START_S);
        let refused = ada.ask(&mut world, Method::Allocate, &attributes).unwrap_err();
        assert_eq!(refused, expected, "{attributes:?}");
    }
    let mut world = World::new(Limits::default());
    for (port, attribute) in (5000..).zip([even(0), (m::DONT_FRAGMENT, vec![]), even(0)]) {
        let mut ada = Person::new(port, "ada", "weekly", START_S);
        let answer = ada.ask(&mut world, Method::Allocate, &[udp(), attribute.clone()]).unwrap();
        let relayed = Message::parse(&answer).unwrap().address(m::XOR_RELAYED_ADDRESS).unwrap();
        assert!(attribute.0 != m::EVEN_PORT || relayed.port().is_multiple_of(2));
    }
}

#[test]
fn unknown_attributes_are_listed_and_optional_ones_passed_over() {
    let (mut world, mut ada) = joined();
    let strange = [(0x7777, vec![1]), (0x7778, vec![]), (0xc001, vec![2])];
    let request = ada.request(Method::Refresh, &strange);
    let answer = world.ask(ada.client, &request).unwrap();
    assert_eq!(code(&answer), 420);
    let listed = Message::parse(&answer).unwrap().attribute(m::UNKNOWN_ATTRIBUTES).unwrap();
    assert_eq!(listed.value, [0x77, 0x77, 0x77, 0x78]);
    ada.ask(&mut world, Method::Refresh, &strange[2..]).expect("an optional one");
    let mut send = Writer::new(Method::Send, Class::Indication, [1; 12]);
    ada.permit(&mut world, PEERS[0]).unwrap();
    send.address(m::XOR_PEER_ADDRESS, PEERS[0].parse().unwrap()).attribute(0x7777, &[]);
    send.attribute(m::DATA, b"x");
    assert!(world.carry(ada.client, &send.finish(false)).is_none());
}

#[test]
fn channels_and_permissions_say_what_is_wrong_with_them() {
    let (mut world, mut ada) = joined();
    for number in [0x3fff, 0x5000, 0, 0xffff] {
        assert_eq!(ada.bind(&mut world, number, PEERS[0]).unwrap_err(), 400, "{number:x}");
    }
    ada.bind(&mut world, 0x4fff, PEERS[0]).unwrap();
    ada.bind(&mut world, 0x4fff, PEERS[0]).expect("prolonged");
    assert_eq!(ada.bind(&mut world, 0x4fff, PEERS[1]).unwrap_err(), 400);
    assert_eq!(ada.bind(&mut world, 0x4ffe, PEERS[0]).unwrap_err(), 400);
    assert_eq!(ada.bind(&mut world, 0x4ffe, PEERS[2]).unwrap_err(), 443);
    assert_eq!(ada.permit(&mut world, PEERS[2]).unwrap_err(), 443);
    let none = ada.ask(&mut world, Method::CreatePermission, &[]).unwrap_err();
    assert_eq!(none, 400);
    let mut stranger = Person::new(5001, "bob", "weekly", START_S);
    assert_eq!(stranger.permit(&mut world, PEERS[0]).unwrap_err(), 437);
    assert_eq!(stranger.bind(&mut world, 0x4000, PEERS[0]).unwrap_err(), 437);
    let half = [peer_address(PEERS[1]), peer_address("192.0.2.1:1")];
    assert_eq!(ada.ask(&mut world, Method::CreatePermission, &half).unwrap_err(), 403);
    assert!(world.carry(ada.client, &indication(PEERS[1], b"x")).is_none(), "all or none");
}

#[test]
fn an_allocation_carries_no_more_than_its_rate_and_says_so_in_the_counters() {
    let rate = Rate { per_second: 10_000, burst: 5_000 };
    let mut world = World::new(Limits { rate, ..Limits::default() });
    let mut ada = Person::new(5000, "ada", "weekly", START_S);
    ada.allocate(&mut world).unwrap();
    ada.bind(&mut world, 0x4000, PEERS[0]).unwrap();
    let mut wire = Vec::new();
    channel::write(&mut wire, 0x4000, &[0; 1000], false);
    let passed: Vec<_> = (0..20).filter_map(|_| world.carry(ada.client, &wire)).collect();
    assert_eq!(passed.len(), 5);
    assert_eq!(world.server.stats().over_rate, 15);
    let relay = passed[0].0;
    let mut out = Vec::new();
    let now = world.at().now;
    let sent = (0..20)
        .filter(|_| world.server.wrap(now, relay.allocation, 0, &[0; 1000], &mut out).is_some());
    assert_eq!(sent.count(), 5);
    assert_eq!(out.len(), 5 * 1004, "what is dropped leaves nothing behind");
    world.pass(Duration::from_millis(200));
    assert!(world.carry(ada.client, &wire).is_some());
}
