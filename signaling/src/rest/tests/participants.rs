//! What REST tells of a room while people are in it.

use crate::live::{Live, text};
use protocol::server::close;
use serde_json::{Value, json};

async fn get(live: &Live, path: &str, token: &str) -> crate::live::Answer {
    live.http(&format!("GET /api/v1/{path}"), token, "", "").await
}

#[tokio::test]
async fn the_people_in_a_room_are_listed_in_order_of_joining_and_counted() {
    let live = Live::new().await;
    let (ada, bob) = (live.guest("Ada").await, live.guest("Bob").await);
    let room = live.room(&ada, "weekly").await;
    let path = "rooms/weekly/participants";
    assert_eq!(get(&live, path, &bob.token).await.json(), json!({"participants": []}));

    let (mut first, joined) = live.enter(&ada, "weekly").await;
    let (mut second, _) = live.enter(&bob, "weekly").await;
    first.wait("member.joined").await;
    let list = get(&live, path, &bob.token).await.json();
    let names: Vec<_> = list["participants"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|participant| (text(&participant["display_name"]), text(&participant["role"])))
        .collect();
    assert_eq!(names, [("Ada".into(), "owner".into()), ("Bob".into(), "guest".into())]);
    assert_eq!(list["participants"][0]["id"], joined["participant_id"]);

    let code = text(&room["invite_code"]);
    for path in ["rooms/weekly".to_owned(), format!("rooms/by-invite/{code}")] {
        assert_eq!(get(&live, &path, &ada.token).await.json()["participants"], 2, "{path}");
    }
    assert_eq!(get(&live, "rooms", &ada.token).await.json()["rooms"][0]["participants"], 2);

    second.send(json!({"type": "leave"})).await;
    first.wait("member.left").await;
    assert_eq!(get(&live, "rooms/weekly", &ada.token).await.json()["participants"], 1);
}

#[tokio::test]
async fn who_is_in_a_room_with_a_key_is_for_its_members() {
    let live = Live::new().await;
    let (ada, bob) = (live.guest("Ada").await, live.guest("Bob").await);
    let body = json!({"name": "Weekly", "slug": "weekly", "invite_key": "tea"});
    live.post("rooms", &ada.token, body).await.json();
    let path = "rooms/weekly/participants";
    assert_eq!(get(&live, path, &bob.token).await.refusal(), (403, "forbidden".into()));
    assert_eq!(get(&live, path, &ada.token).await.status, 200);
    live.ticket(&bob, "weekly", json!({"invite_key": "tea"})).await;
    assert_eq!(get(&live, path, &bob.token).await.status, 200);
    let nowhere = get(&live, "rooms/nowhere/participants", &bob.token).await;
    assert_eq!(nowhere.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_deleted_room_is_over_for_everybody_in_it() {
    let live = Live::new().await;
    let (ada, bob) = (live.guest("Ada").await, live.guest("Bob").await);
    live.room(&ada, "weekly").await;
    let (mut inside, _) = live.enter(&bob, "weekly").await;
    let ticket = live.ticket(&bob, "weekly", Value::Null).await;
    let gone = live.http("DELETE /api/v1/rooms/weekly", &ada.token, "", "").await;
    assert_eq!(gone.status, 204);
    assert_eq!(inside.closed().await, close::ROOM_CLOSED);
    let late = live.open(&format!("/ws/rooms/weekly?ticket={ticket}"), &[]).await;
    assert_eq!(late.err(), Some(404));
}

#[tokio::test]
async fn how_the_media_does_is_for_moderators_and_comes_with_names() {
    use sfu::{Command, Event};

    let live = Live::new().await;
    let (ada, bob) = (live.guest("Ada").await, live.guest("Bob").await);
    live.room(&ada, "weekly").await;
    let path = "rooms/weekly/stats";
    assert_eq!(get(&live, path, &ada.token).await.json(), json!({"participants": []}));
    assert_eq!(get(&live, path, &bob.token).await.refusal(), (403, "forbidden".into()));
    assert_eq!(get(&live, path, "").await.refusal(), (401, "unauthorized".into()));
    let nowhere = get(&live, "rooms/nowhere/stats", &ada.token).await;
    assert_eq!(nowhere.refusal(), (404, "not_found".into()));

    let (_bobs, joined) = live.enter(&bob, "weekly").await;
    assert_eq!(get(&live, path, &bob.token).await.refusal(), (403, "forbidden".into()));
    let answer = async {
        loop {
            if let Command::Report { room, request } = live.command().await {
                break (room, request);
            }
        }
    };
    let (shown, ()) = tokio::join!(get(&live, path, &ada.token), async {
        let (room, request) = answer.await;
        let told = json!({"participants": [
            {"participant_id": joined["participant_id"], "transports": []},
            {"participant_id": "0198c0de-0000-7000-8000-000000000099", "transports": []},
        ]});
        let report = Box::new(serde_json::from_value(told).expect("a report"));
        live.signaling.media_event(Event::Reported { room, request, report });
    });
    let shown = shown.json();
    assert_eq!(shown["participants"][0]["display_name"], "Bob");
    assert_eq!(shown["participants"][1]["display_name"], Value::Null, "a viewer has no name");
}

#[tokio::test]
async fn a_media_plane_that_does_not_report_is_unavailable() {
    let live = Live::new().await;
    let ada = live.guest("Ada").await;
    live.room(&ada, "weekly").await;
    let (_socket, _) = live.enter(&ada, "weekly").await;
    let answer = get(&live, "rooms/weekly/stats", &ada.token).await;
    assert_eq!(answer.refusal(), (503, "unavailable".into()));
}
