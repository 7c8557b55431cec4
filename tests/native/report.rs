//! What moderators are told about a room's media.

use crate::{both_kinds, flow, server};
use protocol::stats::{Direction, ParticipantStats, RoomStats};
use protocol::{SlotReason, Source};
use testkit::http::Request;
use testkit::{Person, Publication};

pub fn stats(person: &Person) -> RoomStats {
    let path = format!("/api/v1/rooms/{}/stats", person.slug);
    let request = Request { method: "GET", path: &path, token: Some(&person.token), body: None };
    let answer = person.api.call(&request).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).expect("statistics")
}

fn of<'a>(stats: &'a RoomStats, person: &Person) -> &'a ParticipantStats {
    stats.participants.iter().find(|p| p.participant_id == person.id).expect("they are told of")
}

#[test]
fn the_owner_sees_what_everybody_sends_and_gets() {
    let server = server();
    let (anna, room) = Person::host(server.api, "Anna").unwrap();
    assert_eq!(stats(&anna).participants, [], "nobody has a transport yet");
    let mut anna = anna;
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut from_boris = boris.publish(Publication::default()).unwrap();
    let mut to_anna = anna.subscribe(4, 9).unwrap();
    flow(&mut from_boris, &mut to_anna, "media", both_kinds(50)).unwrap();

    let told = stats(&anna);
    let sender = of(&told, &boris);
    assert_eq!(sender.display_name.as_deref(), Some("Boris"));
    let [transport] = &sender.transports[..] else { panic!("{sender:?}") };
    assert_eq!(transport.direction, Direction::Publish);
    assert!(transport.is_connected && transport.silent_ms < 5_000, "{transport:?}");
    assert_eq!(transport.carrier, Some(protocol::stats::Carrier::Udp));
    let camera = transport.tracks.iter().find(|t| t.source == Source::Camera).unwrap();
    assert_eq!(camera.codec.as_deref(), Some("VP8"));
    assert!(camera.encodings.iter().map(|e| e.packets).sum::<u64>() >= 50, "{camera:?}");
    assert!(camera.encodings.iter().all(|e| e.lost == 0), "{camera:?}");
    assert!(camera.encodings.iter().any(|e| e.bitrate > 10_000), "{camera:?}");
    let microphone = transport.tracks.iter().find(|t| t.source == Source::Microphone).unwrap();
    assert_eq!(microphone.codec.as_deref(), Some("opus"));

    let receiver = of(&told, &anna);
    let [transport] = &receiver.transports[..] else { panic!("{receiver:?}") };
    assert_eq!(transport.direction, Direction::Subscribe);
    assert_eq!(transport.slots.len(), 13);
    let carrying: Vec<_> =
        transport.slots.iter().filter(|s| s.binding.participant_id == Some(boris.id)).collect();
    assert_eq!(carrying.len(), 2);
    assert!(carrying.iter().all(|s| s.packets >= 50 && s.bytes > 1_000), "{carrying:?}");
    let empty = transport.slots.iter().filter(|s| s.binding.reason == SlotReason::Empty);
    assert!(empty.map(|s| s.packets).all(|packets| packets == 0));
}

#[test]
fn a_guest_is_not_told() {
    let server = server();
    let (_anna, room) = Person::host(server.api, "Anna").unwrap();
    let boris = Person::guest(server.api, "Boris", &room).unwrap();
    let path = format!("/api/v1/rooms/{}/stats", boris.slug);
    let request = Request { method: "GET", path: &path, token: Some(&boris.token), body: None };
    assert_eq!(boris.api.call(&request).unwrap().status, 403);
}
