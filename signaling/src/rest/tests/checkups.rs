//! Connections tested through the door, with a media plane that answers as the test says.

use super::registration;
use crate::live::{Answer, Live, Person, text};
use crate::settings::Settings;
use protocol::limits::MAX_CHECKUPS_EACH;
use serde_json::{Value, json};
use sfu::{Command, Event, PeerId};

const CALL: &str = "webrtc/checkups";

fn offers() -> Value {
    json!({ "publish": "v=0 publish", "watch": "v=0 watch" })
}

/// What the media plane is asked for next, of which transport.
async fn asked(live: &Live) -> (PeerId, protocol::RoomId, String) {
    match live.command().await {
        Command::Publish { peer, room, offer, .. } | Command::Watch { peer, room, offer, .. } => {
            (peer, room, offer)
        }
        other => panic!("{other:?}"),
    }
}

/// Begins a test that the media plane answers, in a room of its own.
async fn begin(live: &Live, person: &Person) -> (Answer, protocol::RoomId) {
    tokio::join!(live.post(CALL, &person.token, offers()), async {
        let (first, room, offer) = asked(live).await;
        assert_eq!(offer, "v=0 publish");
        let (second, same_room, offer) = asked(live).await;
        assert_eq!((offer.as_str(), same_room), ("v=0 watch", room));
        live.signaling.media_event(Event::Connected { peer: first });
        live.signaling.media_event(Event::Answered { peer: second, sdp: "watched".into() });
        live.signaling.media_event(Event::Answered { peer: first, sdp: "published".into() });
        room
    })
}

async fn next_closed(live: &Live) -> protocol::RoomId {
    match live.command().await {
        Command::CloseRoom { room } => room,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_test_has_a_room_of_its_own_and_ends_when_its_owner_says_so() {
    let live = Live::new().await;
    let (anna, boris) = (live.guest("Anna").await, live.guest("Boris").await);
    let (answer, room) = begin(&live, &anna).await;
    assert_eq!(answer.status, 201);
    let answer = answer.json();
    assert_eq!((&answer["publish"], &answer["watch"]), (&json!("published"), &json!("watched")));
    let (_, other) = begin(&live, &boris).await;
    assert_ne!(room, other);
    let path = format!("DELETE /api/v1/{CALL}/{}", text(&answer["id"]));
    assert_eq!(live.http(&path, &boris.token, "", "").await.refusal().0, 404);
    assert_eq!(live.http(&path, &anna.token, "", "").await.status, 204);
    assert_eq!(next_closed(&live).await, room);
    assert_eq!(live.http(&path, &anna.token, "", "").await.refusal().0, 404);
}

#[tokio::test]
async fn an_offer_that_cannot_be_used_ends_the_test() {
    let live = Live::new().await;
    let anna = live.guest("Anna").await;
    let (answer, room) = tokio::join!(live.post(CALL, &anna.token, offers()), async {
        let (peer, room, _) = asked(&live).await;
        asked(&live).await;
        live.signaling.media_event(Event::Refused { peer, reason: "no m-line".into() });
        room
    });
    assert_eq!(answer.refusal(), (422, "bad_sdp".into()));
    assert_eq!(next_closed(&live).await, room);
}

#[tokio::test]
async fn one_too_many_ends_the_oldest_of_that_person() {
    let live = Live::new().await;
    let (anna, boris) = (live.guest("Anna").await, live.guest("Boris").await);
    begin(&live, &boris).await;
    let (_, oldest) = begin(&live, &anna).await;
    for _ in 1..MAX_CHECKUPS_EACH {
        begin(&live, &anna).await;
    }
    let more = live.post(CALL, &anna.token, offers());
    let (_, closed) = tokio::join!(more, async {
        let closed = next_closed(&live).await;
        for _ in 0..2 {
            let (peer, ..) = asked(&live).await;
            live.signaling.media_event(Event::Answered { peer, sdp: "v=0".into() });
        }
        closed
    });
    assert_eq!(closed, oldest);
}

#[tokio::test]
async fn where_guests_make_no_rooms_they_test_at_the_door_of_one() {
    let settings = Settings { guests_may_create_rooms: false, ..Settings::for_tests() };
    let live = Live::with(settings).await;
    let guest = live.guest("Anna").await;
    assert_eq!(live.post(CALL, "", offers()).await.refusal().0, 401);
    assert_eq!(live.post(CALL, &guest.token, offers()).await.refusal(), (403, "forbidden".into()));
    let owner = live.post("auth/register", "", registration("vera")).await.json();
    let owner = text(&owner["access_token"]);
    let room = json!({ "name": "Weekly", "slug": "weekly", "invite_key": "tea" });
    let room = live.post("rooms", &owner, room).await.json();
    let with = |field: &str, value: &Value| {
        let mut body = offers();
        body["slug"] = json!("weekly");
        body[field] = value.clone();
        body
    };
    for (body, code) in [
        (with("slug", &json!("nowhere")), (404, "not_found")),
        (with("slug", &json!("weekly")), (403, "wrong_invite_key")),
        (with("invite_key", &json!("coffee")), (403, "wrong_invite_key")),
        (with("invite_code", &json!("none")), (404, "not_found")),
    ] {
        let refusal = live.post(CALL, &guest.token, body).await.refusal();
        assert_eq!(refusal, (code.0, code.1.to_owned()));
    }
    for body in [with("invite_key", &json!("tea")), with("invite_code", &room["invite_code"])] {
        let (answer, ()) = tokio::join!(live.post(CALL, &guest.token, body), async {
            for _ in 0..2 {
                let (peer, ..) = asked(&live).await;
                live.signaling.media_event(Event::Answered { peer, sdp: "v=0".into() });
            }
        });
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    // At the door one is not inside: testing has made nobody a member.
    let people = live.http("GET /api/v1/rooms/weekly/members", &owner, "", "").await.json();
    assert_eq!(people["members"].as_array().map(Vec::len), Some(1));
}
