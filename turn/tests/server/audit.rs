//! What an open relay would allow, tried one by one.

use crate::client::{
    Attribute, PEERS, Person, REALM, SECRET, START_S, World, client, code, indication, udp,
};
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::Duration;
use turn::bucket::Rate;
use turn::credentials::Secret;
use turn::message::{self as m, Class, Message, Method, Writer};
use turn::{Limits, channel, wants};

/// The media plane listens at 203.0.113.7, 10.0.0.2 and 2001:db8::7, port 8081. Everything else is forbidden, and so is
/// any other way to write these.
const FORBIDDEN: &[&str] = &[
    "203.0.113.7:8080",
    "203.0.113.7:0",
    "203.0.113.7:22",
    "203.0.113.8:8081",
    "10.0.0.1:8081",
    "10.0.0.2:80",
    "0.0.0.0:8081",
    "0.0.0.0:0",
    "127.0.0.1:8081",
    "127.0.0.1:22",
    "127.255.255.254:8081",
    "169.254.169.254:80",
    "192.168.0.1:80",
    "172.16.0.1:80",
    "100.64.0.1:80",
    "192.0.2.1:8081",
    "224.0.0.1:8081",
    "255.255.255.255:8081",
    "240.0.0.1:8081",
    "198.51.100.1:5000",
    "[::]:8081",
    "[::1]:8081",
    "[::1]:22",
    "[::ffff:203.0.113.7]:8081",
    "[::ffff:127.0.0.1]:8081",
    "[::203.0.113.7]:8081",
    "[::127.0.0.1]:8081",
    "[64:ff9b::203.0.113.7]:8081",
    "[64:ff9b::127.0.0.1]:8081",
    "[64:ff9b:1::203.0.113.7]:8081",
    "[2002:cb00:7107::1]:8081",
    "[2002:7f00:1::1]:8081",
    "[2001::cb00:7107]:8081",
    "[fe80::1]:8081",
    "[fc00::1]:8081",
    "[ff02::1]:8081",
    "[2001:db8::7]:8080",
    "[2001:db8::7]:0",
    "[2001:db8::8]:8081",
    "[100::1]:8081",
];

#[test]
fn every_peer_but_the_media_plane_is_refused_in_every_spelling() {
    for family in [1, 2] {
        let mut world = World::new(Limits::default());
        let mut ada = Person::new(5000, "ada", "weekly", START_S);
        let wanted = [udp(), (m::REQUESTED_ADDRESS_FAMILY, vec![family, 0, 0, 0])];
        ada.ask(&mut world, Method::Allocate, &wanted).unwrap();
        for peer in FORBIDDEN {
            let address: SocketAddr = peer.parse().unwrap();
            let expected = if address.is_ipv4() == (family == 1) { 403 } else { 443 };
            let refused = ada.bind(&mut world, 0x4000, peer).unwrap_err();
            assert_eq!(refused, expected, "channel to {peer}");
            // Permissions are for hosts: those of the media plane are its own, whatever the port.
            let is_own =
                PEERS.iter().any(|own| own.parse::<SocketAddr>().unwrap().ip() == address.ip());
            match ada.permit(&mut world, peer) {
                Ok(_) => assert!(is_own && expected == 403, "permission for {peer}"),
                Err(refused) => {
                    assert_eq!(refused, expected, "permission for {peer}");
                    assert!(!is_own || expected == 443, "{peer}");
                }
            }
            assert!(world.carry(ada.client, &indication(peer, b"x")).is_none(), "sent to {peer}");
        }
        assert!(world.server.stats().forbidden > 0);
        assert_eq!(world.server.stats().packets_in, 0);
        let own = if family == 1 { PEERS[0] } else { PEERS[2] };
        ada.permit(&mut world, own).unwrap();
        assert!(
            world.carry(ada.client, &indication(own, b"x")).is_some(),
            "but the media plane is"
        );
    }
}

proptest! {
    #[test]
    fn no_invented_peer_is_ever_reached(ip: u128, is_v4: bool, port: u16, near in 0usize..4) {
        let mut world = World::new(Limits::default());
        let mut ada = Person::new(5000, "ada", "weekly", START_S);
        let both = [udp(), (m::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0])];
        ada.ask(&mut world, Method::Allocate, &both).unwrap();
        for peer in PEERS {
            ada.permit(&mut world, peer).unwrap();
        }
        let ip: std::net::IpAddr = match PEERS.get(near) {
            Some(own) => own.parse::<SocketAddr>().unwrap().ip(),
            None if is_v4 => (ip as u32).to_be_bytes().into(),
            None => ip.to_be_bytes().into(),
        };
        let peer = SocketAddr::new(ip, port).to_string();
        let is_own = PEERS.contains(&peer.as_str());
        prop_assert_eq!(world.carry(ada.client, &indication(&peer, b"x")).is_some(), is_own);
        prop_assert_eq!(ada.bind(&mut world, 0x4000, &peer).is_ok(), is_own);
    }
}

#[test]
fn credentials_that_are_over_altered_foreign_or_none_are_refused_at_once() {
    let mut world = World::new(Limits::default());
    let good = Person::new(5000, "ada", "weekly", START_S);
    let with = |username: String| {
        let password = Secret::new(SECRET).password(&username);
        Person { username, password, ..good.clone() }
    };
    let cases = [
        ("over", with(format!("{}:ada:weekly", START_S))),
        ("long over", with("1:ada:weekly".into())),
        ("for longer than any", with(format!("{}:ada:weekly", START_S + 3_600))),
        ("of no room", with(format!("{}:ada", START_S + 600))),
        ("of nobody", with(format!("{}", START_S + 600))),
        ("a word", with("ada".into())),
        (
            "with another name",
            Person { username: format!("{}:bob:weekly", START_S + 600), ..good.clone() },
        ),
        (
            "with a later end",
            Person { username: format!("{}:ada:weekly", START_S + 601), ..good.clone() },
        ),
        ("with a wrong password", Person { password: "guess".into(), ..good.clone() }),
        ("with no password", Person { password: String::new(), ..good.clone() }),
        (
            "by another secret",
            Person { password: Secret::new(b"south").password(&good.username), ..good.clone() },
        ),
    ];
    for (what, mut person) in cases {
        assert_eq!(person.allocate(&mut world).unwrap_err(), 401, "{what}");
    }
    assert!(world.server.is_empty());
    assert!(world.server.stats().unauthorized >= 11);
    good.clone().allocate(&mut world).expect("and the good ones are taken");
}

#[test]
fn credentials_that_end_in_the_middle_open_nothing_more() {
    let mut world = World::new(Limits::default());
    let mut ada = Person::new(5000, "ada", "weekly", START_S);
    ada.allocate(&mut world).unwrap();
    ada.permit(&mut world, PEERS[0]).unwrap();
    world.pass(Duration::from_secs(599));
    ada.ask(&mut world, Method::Refresh, &[]).expect("a second before the end");
    world.pass(Duration::from_secs(1));
    assert_eq!(ada.ask(&mut world, Method::Refresh, &[]).unwrap_err(), 401);
    assert_eq!(ada.permit(&mut world, PEERS[0]).unwrap_err(), 401);
    assert_eq!(ada.bind(&mut world, 0x4000, PEERS[0]).unwrap_err(), 401);
    assert!(world.carry(ada.client, &indication(PEERS[0], b"x")).is_none());
}

#[test]
fn nobody_touches_the_allocation_of_another() {
    let mut world = World::new(Limits::default());
    let mut ada = Person::new(5000, "ada", "weekly", START_S);
    ada.allocate(&mut world).unwrap();
    for (who, room) in [("bob", "weekly"), ("ada", "daily")] {
        // From the same address, as behind one NAT that gave the port away again.
        let mut other = Person::new(5000, who, room, START_S);
        for method in [Method::Allocate, Method::Refresh] {
            assert_eq!(
                other
                    .ask(&mut world, method, &[udp()][..usize::from(method == Method::Allocate)])
                    .unwrap_err(),
                441
            );
        }
        assert_eq!(other.permit(&mut world, PEERS[0]).unwrap_err(), 441);
    }
    assert!(world.carry(client(5001), &indication(PEERS[0], b"x")).is_none());
}

#[test]
fn an_old_nonce_or_that_of_another_is_stale() {
    let mut world = World::new(Limits::default());
    let mut ada = Person::new(5000, "ada", "weekly", START_S);
    ada.allocate(&mut world).unwrap();
    let mut elsewhere = Person { client: client(5001), ..ada.clone() };
    let replayed = elsewhere.request(Method::Allocate, &[udp()]);
    let answer = world.ask(elsewhere.client, &replayed).unwrap();
    assert_eq!(code(&answer), 438);
    let told = Message::parse(&answer).unwrap().attribute(m::NONCE).unwrap().value.to_vec();
    assert_ne!(told, ada.nonce);
    world.pass(Duration::from_secs(590));
    let mut fresh = Person::new(5000, "ada", "weekly", world.at().unix_s);
    fresh.nonce = ada.nonce.clone();
    let refresh = fresh.request(Method::Refresh, &[]);
    assert!(
        Message::parse(&world.ask(fresh.client, &refresh).unwrap()).unwrap().class()
            == Class::Success
    );
    world.pass(Duration::from_secs(11));
    let refresh = fresh.request(Method::Refresh, &[]);
    assert_eq!(code(&world.ask(fresh.client, &refresh).unwrap()), 438);
    fresh.ask(&mut world, Method::Refresh, &[]).expect("with the nonce that was told");
}

#[test]
fn who_was_sent_away_has_no_allocation_and_gets_none_with_what_they_have() {
    let mut world = World::new(Limits::default());
    let mut laptop = Person::new(5000, "ada", "weekly", START_S);
    let mut phone = Person::new(5001, "ada", "weekly", START_S);
    let mut elsewhere = Person::new(5002, "ada", "daily", START_S);
    let mut bob = Person::new(5003, "bob", "weekly", START_S);
    for person in [&mut laptop, &mut phone, &mut elsewhere, &mut bob] {
        person.allocate(&mut world).unwrap();
        person.bind(&mut world, 0x4000, PEERS[0]).unwrap();
    }
    assert_eq!(world.server.revoke(START_S, "ada", "weekly"), 2);
    assert_eq!(world.server.len(), 2);
    assert_eq!(world.server.stats().revoked, 2);
    let mut wire = Vec::new();
    channel::write(&mut wire, 0x4000, b"still here", false);
    assert!(world.carry(laptop.client, &wire).is_none());
    assert!(world.carry(elsewhere.client, &wire).is_some());
    assert!(world.carry(bob.client, &wire).is_some());
    assert_eq!(laptop.allocate(&mut world).unwrap_err(), 401);
    assert_eq!(phone.ask(&mut world, Method::Refresh, &[]).unwrap_err(), 401);
    world.pass(Duration::from_secs(5));
    let mut again = Person::new(5004, "ada", "weekly", world.at().unix_s);
    again.allocate(&mut world).expect("let in again, with new ones");
}

#[test]
fn quotas_hold_per_person_per_source_and_in_all() {
    let limits = Limits { allocations: 6, per_person: 2, per_source: 4, ..Limits::default() };
    let mut world = World::new(limits);
    let mut took = |port: u16, ip: u8, who: &str| {
        let mut person = Person::new(port, who, "weekly", START_S);
        person.client.address = SocketAddr::from(([198, 51, 100, ip], port));
        person.allocate(&mut world).map(|_| ())
    };
    assert_eq!(took(1, 1, "ada"), Ok(()));
    assert_eq!(took(2, 2, "ada"), Ok(()));
    assert_eq!(took(3, 3, "ada"), Err(486), "a third of one person");
    assert_eq!(took(4, 1, "bob"), Ok(()));
    assert_eq!(took(5, 1, "bob"), Ok(()));
    assert_eq!(took(6, 1, "cyd"), Ok(()));
    assert_eq!(took(7, 1, "dan"), Err(486), "a fifth from one address");
    assert_eq!(took(8, 2, "dan"), Ok(()));
    assert_eq!(took(9, 3, "eve"), Err(508), "a seventh in all");
    assert_eq!(world.server.stats().refused, 3);
    let mut ada = Person::new(2, "ada", "weekly", START_S);
    ada.client.address = SocketAddr::from(([198, 51, 100, 2], 2));
    ada.ask(&mut world, Method::Refresh, &[(m::LIFETIME, vec![0; 4])]).unwrap();
    assert_eq!(Person::new(9, "ada", "weekly", START_S).allocate(&mut world).map(|_| ()), Err(486));
    let mut eve = Person::new(9, "eve", "weekly", START_S);
    eve.client.address = SocketAddr::from(([198, 51, 100, 3], 9));
    eve.allocate(&mut world).expect("there is room again");
}

/// Everything that somebody without credentials can say.
fn questions() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let methods = [
        Method::Binding,
        Method::Allocate,
        Method::Refresh,
        Method::CreatePermission,
        Method::ChannelBind,
        Method::Send,
        Method::Data,
    ];
    for method in methods {
        for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
            for has_fingerprint in [false, true] {
                let mut extra: Vec<(&str, Vec<Attribute>)> = vec![
                    ("bare", vec![]),
                    ("transport", vec![udp()]),
                    ("unknown", (0..20).map(|i| (0x7000 + i, vec![])).collect()),
                    ("user", vec![(m::USERNAME, b"ada".to_vec())]),
                    ("integrity", vec![(m::MESSAGE_INTEGRITY, vec![0; 20])]),
                ];
                let words =
                    [(m::USERNAME, b"1:a:b".to_vec()), (m::REALM, REALM.as_bytes().to_vec())];
                let mut wrong = words.to_vec();
                wrong.push((m::NONCE, vec![b'0'; 32]));
                wrong.push((m::MESSAGE_INTEGRITY, vec![0; 20]));
                extra.push(("wrong", wrong));
                for (what, attributes) in extra {
                    let mut writer = Writer::new(method, class, [5; 12]);
                    for (kind, value) in &attributes {
                        writer.attribute(*kind, value);
                    }
                    let name = format!("{method:?} {class:?} {what} {has_fingerprint}");
                    all.push((name, writer.finish(has_fingerprint)));
                }
            }
        }
    }
    all
}

#[test]
fn an_answer_to_a_stranger_is_at_most_three_times_the_question() {
    for address in ["198.51.100.1:5000", "[2001:db8::1]:5000"] {
        let mut answered = 0;
        for (name, question) in questions() {
            let mut world = World::new(Limits::default());
            let mut from = client(1);
            from.address = address.parse().unwrap();
            let Some(answer) = world.ask(from, &question) else { continue };
            answered += 1;
            assert!(
                answer.len() <= 3 * question.len(),
                "{name}: {} to {}",
                answer.len(),
                question.len()
            );
        }
        assert!(answered > 20, "most questions are answered: {answered}");
    }
}

#[test]
fn a_browser_is_challenged_in_both_families() {
    for address in ["198.51.100.1:5000", "[2001:db8::1]:5000"] {
        let mut world = World::new(Limits::default());
        let mut from = client(1);
        from.address = address.parse().unwrap();
        let mut ask = Writer::new(Method::Allocate, Class::Request, [5; 12]);
        ask.attribute(m::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        let answer =
            world.ask(from, &ask.finish(false)).expect("28 bytes are enough to be answered");
        assert_eq!(code(&answer), 401);
        let message = Message::parse(&answer).unwrap();
        assert_eq!(message.text(m::REALM), Some(REALM));
        assert_eq!(message.text(m::NONCE).map(str::len), Some(32));
        assert!(message.text(m::SOFTWARE).is_none());
        let bare = Writer::new(Method::Binding, Class::Request, [5; 12]).finish(false);
        let answer = world.ask(from, &bare).expect("a STUN server");
        let seen = Message::parse(&answer).unwrap().address(m::XOR_MAPPED_ADDRESS);
        assert_eq!(seen, Some(from.address));
    }
}

#[test]
fn strangers_are_answered_so_often_and_no_more() {
    let strangers = Rate { per_second: 10, burst: 20 };
    let mut world = World::new(Limits { strangers, ..Limits::default() });
    let bare = Writer::new(Method::Binding, Class::Request, [5; 12]).finish(false);
    let mut ask = Writer::new(Method::Allocate, Class::Request, [5; 12]);
    ask.attribute(m::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    let ask = ask.finish(false);
    let mut wrong =
        Person { password: "guess".into(), ..Person::new(5000, "ada", "weekly", START_S) };
    wrong.nonce = b"0".to_vec();
    let wrong = wrong.request(Method::Allocate, &[udp()]);
    let flood = |world: &mut World| {
        let asked = (0..100u16).flat_map(|port| [(port, &bare), (port, &ask), (port, &wrong)]);
        asked.filter(|(port, question)| world.ask(client(*port), question).is_some()).count()
    };
    assert_eq!(flood(&mut world), 20, "all ports of an address share");
    world.pass(Duration::from_secs(1));
    assert_eq!(flood(&mut world), 10);
    assert_eq!(world.server.stats().unanswered, 570);
    let mut bob = Person::new(5000, "bob", "weekly", START_S);
    bob.client.address = "198.51.100.77:5000".parse().unwrap();
    bob.allocate(&mut world).expect("somebody else is let in meanwhile");
}

#[test]
fn no_indication_is_ever_answered() {
    let mut world = World::new(Limits::default());
    for (name, question) in questions() {
        if Message::parse(&question).is_some_and(|message| message.class() != Class::Request) {
            assert!(world.ask(client(1), &question).is_none(), "{name}");
        }
    }
}

#[test]
fn checks_of_ice_are_left_to_the_media_plane() {
    let mut check = Writer::new(Method::Binding, Class::Request, [5; 12]);
    check.attribute(m::USERNAME, b"us:them");
    assert!(!wants(&check.finish(true)));
    for class in [Class::Indication, Class::Success, Class::Error] {
        assert!(!wants(&Writer::new(Method::Binding, class, [5; 12]).finish(true)), "{class:?}");
    }
    assert!(wants(&Writer::new(Method::Binding, Class::Request, [5; 12]).finish(false)));
    assert!(wants(&Writer::new(Method::Allocate, Class::Request, [5; 12]).finish(false)));
    assert!(wants(&[0x40, 0, 0, 0]) && wants(&[0x4f, 0xff, 0, 0]));
    for first in [0u8, 20, 22, 63, 0x50, 127, 128, 191, 255] {
        assert!(!wants(&[first; 40]), "{first}");
    }
    assert!(!wants(&[]));
}
