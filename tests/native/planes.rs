//! One room on two media threads: its people notice nothing of it, whatever way they come by.

use crate::orders::{force, go_on, user_of};
use crate::report::stats;
use crate::{both_kinds, flow};
use protocol::{ServerMessage, SlotBinding};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::http::Request;
use testkit::link::Local;
use testkit::publisher::Offer;
use testkit::relay::{RelayWire, TurnServer};
use testkit::{Error, Person, Publication, Received, Server};

/// Threads publish their numbers once a second; a busy machine takes its time.
const TOLD_WITHIN: Duration = Duration::from_secs(20);

/// Two threads, and people of a room on one and the other in turns.
pub fn spread_server(settings: &[(&str, &str)]) -> Server {
    let mut all = vec![("MEDIA_THREADS", "2"), ("MEDIA_SPREAD", "always")];
    all.extend_from_slice(settings);
    Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &all).expect("the server starts")
}

/// Waits until a number of the server's is what it should be.
pub fn until(server: &Server, name: &str, is_right: impl Fn(f64) -> bool) -> f64 {
    let end = Instant::now() + TOLD_WITHIN;
    loop {
        let value = server.metric(name).expect("the server answers");
        if is_right(value) {
            return value;
        }
        assert!(Instant::now() < end, "{name} is {value}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub fn on_thread(server: &Server, thread: usize, transports: f64) {
    let name = format!("veche_media_thread_transports{{thread=\"{thread}\"}}");
    until(server, &name, |value| value == transports);
}

fn of_slot(received: &[Received], slot: usize) -> Vec<&Received> {
    received.iter().filter(|packet| packet.slot == slot && !packet.is_retransmission).collect()
}

fn is_seen_and_heard(slots: &[SlotBinding], person: &Person) -> bool {
    slots.iter().filter(|slot| slot.participant_id == Some(person.id)).count() == 2
}

#[expect(clippy::unwrap_used, reason = "the body of two tests")]
fn a_room_on_two_threads_is_one_room(settings: &[(&str, &str)]) {
    let server = spread_server(settings);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut from_anna = anna.publish(Publication::default()).unwrap();
    let mut from_boris = boris.publish(Publication::default()).unwrap();
    let mut to_anna = anna.subscribe(1, 1).unwrap();
    let mut to_boris = boris.subscribe(1, 1).unwrap();
    on_thread(&server, 0, 2.0);
    on_thread(&server, 1, 2.0);
    until(&server, "veche_media_rooms_spread", |rooms| rooms == 1.0);
    until(&server, "veche_media_rooms", |rooms| rooms == 1.0);

    // They see and hear each other, from the first keyframe on and without a gap.
    let received = flow(&mut from_anna, &mut to_boris, "media there", both_kinds(50)).unwrap();
    assert_whole(&received);
    boris.wait_for_slots(|slots| is_seen_and_heard(slots, &anna)).unwrap();
    let received = flow(&mut from_boris, &mut to_anna, "media back", both_kinds(50)).unwrap();
    assert_whole(&received);
    anna.wait_for_slots(|slots| is_seen_and_heard(slots, &boris)).unwrap();
    // Who speaks is known to both, wherever they are.
    let speaks = anna.id;
    for person in [&mut anna, &mut boris] {
        let is = |m: &ServerMessage| matches!(m, ServerMessage::SpeakersChanged { speakers } if speakers.contains(&speaks));
        person.socket.wait_for(is).unwrap();
    }

    // What is lost on the way to a receiver comes again from where the receiver is.
    let received = flow(&mut from_anna, &mut to_boris, "media", both_kinds(20)).unwrap();
    let numbers: Vec<u16> = of_slot(&received, 1).iter().map(|packet| packet.sequence).collect();
    let lost = &numbers[numbers.len() - 4..];
    to_boris.ask_again(1, lost).unwrap();
    let again = |received: &[Received]| {
        lost.iter().all(|n| received.iter().any(|p| p.is_retransmission && p.sequence == *n))
    };
    to_boris.receive_until("retransmissions", again).unwrap();

    // Who is muted by a moderator is silent there too.
    let user = user_of(&boris);
    force(&mut anna, user, true);
    go_on(&mut from_boris, &mut to_anna, 10);
    let heard = go_on(&mut from_boris, &mut to_anna, 50);
    assert_eq!(heard.len(), 0, "packets of a muted person");
    force(&mut anna, user, false);
    flow(&mut from_boris, &mut to_anna, "media after", both_kinds(20)).unwrap();

    // The room's statistics are of all threads, and so are the counters.
    let told = stats(&anna);
    let people: Vec<_> = told.participants.iter().map(|p| p.participant_id).collect();
    assert_eq!(people, [anna.id, boris.id]);
    assert!(told.participants.iter().all(|person| person.transports.len() == 2));
    until(&server, "veche_media_relayed_in_total", |packets| packets >= 150.0);
    assert_eq!(server.metric("veche_media_handed_dropped_total").unwrap(), 0.0);
    assert_eq!(server.metric("veche_media_transports").unwrap(), 4.0);

    // A third one, on the thread that has fewer; and who leaves takes nobody along.
    let mut clara = Person::guest(server.api, "Clara", &room).unwrap();
    let mut to_clara = clara.subscribe(1, 1).unwrap();
    flow(&mut from_boris, &mut to_clara, "media for one who came late", both_kinds(20)).unwrap();
    boris.socket.send(protocol::ClientMessage::Leave).unwrap();
    until(&server, "veche_media_transports", |transports| transports == 3.0);
    flow(&mut from_anna, &mut to_clara, "media of who stayed", both_kinds(20)).unwrap();
    let (code, log) = server.stop().unwrap();
    assert_eq!(code, Some(0), "{log}");
}

/// Of each slot every packet came once, in order.
fn assert_whole(received: &[Received]) {
    for slot in 0..2 {
        let packets = of_slot(received, slot);
        for pair in packets.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1), "no gap");
        }
    }
    assert!(of_slot(received, 1)[0].is_keyframe(), "a decoder can begin with the first packet");
}

#[test]
fn people_on_two_threads_of_one_port_are_in_one_room() {
    a_room_on_two_threads_is_one_room(&[]);
}

#[test]
fn people_on_two_threads_with_a_port_each_are_in_one_room() {
    a_room_on_two_threads_is_one_room(&[("MEDIA_SINGLE_PORT", "false")]);
}

#[test]
fn a_room_stays_on_one_thread_as_long_as_that_is_idle() {
    let server = spread_server(&[("MEDIA_SPREAD", "65")]);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut guests = Vec::new();
    for name in ["Boris", "Clara", "Dmitri"] {
        let mut guest = Person::guest(server.api, name, &room).unwrap();
        guests.push((guest.subscribe(1, 1).unwrap(), guest));
    }
    for (subscriber, _) in &mut guests {
        flow(&mut publisher, subscriber, "media", both_kinds(10)).unwrap();
    }
    on_thread(&server, 0, 4.0);
    on_thread(&server, 1, 0.0);
    until(&server, "veche_media_rooms_spread", |rooms| rooms == 0.0);
    // So does another room, and nothing ever comes in at a thread that it is not for.
    let (mut eva, _) = Person::host(server.api, "Eva").unwrap();
    let _publisher = eva.publish(Publication::default()).unwrap();
    on_thread(&server, 0, 5.0);
    assert_eq!(server.metric("veche_media_relayed_out_total").unwrap(), 0.0);
    assert_eq!(server.metric("veche_media_handed_total").unwrap(), 0.0);
}

#[test]
fn streams_reach_the_thread_of_their_peer_by_whatever_door_they_come() {
    // With a port each it is certain which thread takes what.
    let server = spread_server(&[("MEDIA_SINGLE_PORT", "false")]);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.offer(Offer::new(Publication::default())).unwrap();
    let mut subscriber = boris.answer(&Local::generate(), 1, 1).unwrap();
    // The door of HTTP gives streams to one thread after the other, and these two come the other way round.
    subscriber.link.use_tcp_at(server.api.server).unwrap();
    subscriber.link.connect().unwrap();
    publisher.link.use_tcp_at(server.api.server).unwrap();
    publisher.link.connect().unwrap();
    flow(&mut publisher, &mut subscriber, "media by the port of HTTP", both_kinds(50)).unwrap();
    until(&server, "veche_media_streams_moved_total", |moved| moved == 2.0);
    until(&server, "veche_media_paths{carrier=\"tcp\"}", |paths| paths == 2.0);
    // By the port of the first thread he is not asked away from his own.
    subscriber.link.use_tcp_at(server.media).unwrap();
    subscriber.link.check(true).unwrap();
    flow(&mut publisher, &mut subscriber, "media by another's port", both_kinds(20)).unwrap();
    until(&server, "veche_media_streams_moved_total", |moved| moved == 3.0);
    // And by their own, which nobody has to hand on.
    let mut again = boris.answer(&Local::generate(), 1, 1).unwrap();
    again.link.use_tcp().unwrap();
    again.link.connect().unwrap();
    flow(&mut publisher, &mut again, "media by the own port", both_kinds(20)).unwrap();
    assert_eq!(server.metric("veche_media_streams_moved_total").unwrap(), 3.0);
    // His first transport gave way to the second, and nothing else ended.
    until(&server, "veche_media_closed_total{reason=\"server\"}", |closed| closed == 1.0);
    assert_eq!(server.metric("veche_media_closed_total").unwrap(), 1.0);
}

#[test]
fn allocations_lead_to_peers_on_every_thread() {
    let settings =
        [("HOST", "0.0.0.0"), ("MEDIA_ADDRESSES", "127.0.0.1"), ("MEDIA_SINGLE_PORT", "false")];
    let server = spread_server(&settings);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    // The TURN server is told at the first thread's port. Anna is there, Boris is not.
    for (sends, receives) in [("udp", "udp"), ("tcp", "tcp")] {
        let (hers, his) = (crate::turn::told(&anna, sends), crate::turn::told(&boris, receives));
        let mut publisher = anna.offer(Offer::new(Publication::default())).unwrap();
        publisher.link.use_relay(&hers).unwrap();
        publisher.link.connect().unwrap();
        let mut subscriber = boris.answer(&Local::generate(), 1, 1).unwrap();
        subscriber.link.use_relay(&his).unwrap();
        subscriber.link.connect().unwrap();
        flow(&mut publisher, &mut subscriber, "media by relay", both_kinds(50)).unwrap();
        // And the other way round: what comes by an allocation is handed on to his thread.
        let mut from_boris = boris.offer(Offer::new(Publication::default())).unwrap();
        from_boris.link.use_relay(&his).unwrap();
        from_boris.link.connect().unwrap();
        let mut to_anna = anna.answer(&Local::generate(), 1, 1).unwrap();
        to_anna.link.use_relay(&hers).unwrap();
        to_anna.link.connect().unwrap();
        flow(&mut from_boris, &mut to_anna, "media back by relay", both_kinds(50)).unwrap();
        for link in [&mut publisher.link, &mut from_boris.link] {
            link.close().unwrap();
        }
    }
    on_thread(&server, 0, 2.0);
    on_thread(&server, 1, 2.0);
    until(&server, "veche_media_paths{carrier=\"relay\"}", |paths| paths == 4.0);
    assert_eq!(server.metric("veche_media_handed_dropped_total").unwrap(), 0.0);
}

#[test]
fn a_client_whose_nat_has_moved_is_found_on_whatever_thread_its_packets_come_in() {
    let server = spread_server(&[]);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    flow(&mut publisher, &mut subscriber, "media before", both_kinds(20)).unwrap();
    // Each new port may be dealt to either thread, and no check says whose it is.
    for _ in 0..6 {
        publisher.link.rebind().unwrap();
        flow(&mut publisher, &mut subscriber, "media from elsewhere", both_kinds(10)).unwrap();
    }
    until(&server, "veche_media_rebinds_total", |rebinds| rebinds >= 6.0);
}

#[test]
fn who_publishes_without_a_socket_is_seen_on_the_other_thread() {
    let server = spread_server(&[]);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut to_anna = anna.subscribe(1, 1).unwrap();
    let (mut encoder, _) = boris.whip(Publication::default()).unwrap();
    flow(&mut encoder, &mut to_anna, "an encoder's media", both_kinds(20)).unwrap();
    on_thread(&server, 0, 1.0);
    on_thread(&server, 1, 1.0);
    let mut to_boris = boris.subscribe(1, 1).unwrap();
    flow(&mut encoder, &mut to_boris, "an encoder's media", both_kinds(20)).unwrap();
}

#[test]
fn an_encoder_and_a_player_on_two_threads_meet_without_a_socket() {
    let server = spread_server(&[]);
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let (mut encoder, publishing) = anna.whip(Publication::default()).unwrap();
    let (mut player, watching) = anna.whep().unwrap();
    on_thread(&server, 0, 1.0);
    on_thread(&server, 1, 1.0);
    let received = flow(&mut encoder, &mut player, "an encoder's media", both_kinds(100)).unwrap();
    assert_whole(&received);
    // What a player asks for reaches the encoder on the other thread.
    let before = encoder.asked().keyframes;
    player.ask_for_keyframe(1).unwrap();
    encoder.wait_for_keyframe_request(before).unwrap();
    // And what it missed comes again from where it is.
    let received = flow(&mut encoder, &mut player, "media", both_kinds(20)).unwrap();
    let lost = of_slot(&received, 1).last().unwrap().sequence;
    player.ask_again(1, &[lost]).unwrap();
    let again = |r: &[Received]| r.iter().any(|p| p.is_retransmission && p.sequence == lost);
    player.receive_until("a retransmission", again).unwrap();
    // Somebody in the room sees the encoder too, whichever thread gets them.
    let mut to_anna = anna.subscribe(1, 1).unwrap();
    flow(&mut encoder, &mut to_anna, "an encoder's media", both_kinds(20)).unwrap();
    for session in [publishing, watching] {
        let end = Request { method: "DELETE", path: &session, token: None, body: None };
        assert_eq!(server.api.call(&end).unwrap().status, 200);
    }
    until(&server, "veche_media_transports", |transports| transports == 1.0);
}

#[test]
fn allocations_of_one_person_are_counted_over_all_threads() {
    let settings = [
        ("HOST", "0.0.0.0"),
        ("MEDIA_ADDRESSES", "127.0.0.1"),
        ("MEDIA_SINGLE_PORT", "false"),
        ("TURN_BUILTIN_ALLOCATIONS", "2"),
    ];
    let server = spread_server(&settings);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let here = anna.offer(Offer::new(Publication::default())).unwrap().link.server();
    let there = boris.offer(Offer::new(Publication::default())).unwrap().link.server();
    assert_ne!(here, there, "each thread has its own port");
    let hers = crate::turn::told(&anna, "udp");
    let allocate = |own: &TurnServer, address| {
        RelayWire::allocate(&TurnServer { address, ..own.clone() }, here)
    };
    let _first = allocate(&hers, here).unwrap();
    let _second = allocate(&hers, there).unwrap();
    for address in [here, there] {
        let refused = allocate(&hers, address).map(|_| ());
        assert!(matches!(refused, Err(Error::Refused { status: 486, .. })), "{refused:?}");
    }
    allocate(&crate::turn::told(&boris, "udp"), there).expect("he has none yet");
}
