//! Who gets in by which door, and what everybody may say who is in: tables like those of the calls and orders.

use super::{registration, text};
use crate::live::{Live, Person};
use crate::settings::Settings;
use protocol::ClientMessage;
use serde_json::{Value, json};
use sfu::{Command, Event};
use std::collections::BTreeSet;

/// Everybody there is, in the order of the table's columns.
const PEOPLE: [&str; 9] =
    ["nobody", "outsider", "kicked", "banned", "guest", "member", "admin", "owner", "other-owner"];

/// A room behind a key with everybody in it who belongs there, a breakout room of it to which nobody is
/// assigned, and a room of somebody else.
async fn town() -> (Live, Vec<String>, String) {
    let live = Live::with(Settings::for_tests()).await;
    let mut people = vec![Person { token: String::new(), id: String::new() }];
    for name in &PEOPLE[1..] {
        people.push(match *name {
            "guest" => live.guest(name).await,
            _ => {
                let account = live.post("auth/register", "", registration(name)).await.json();
                Person { token: text(&account["access_token"]), id: text(&account["user"]["id"]) }
            }
        });
    }
    let owner = &people[7];
    let body = json!({ "name": "Weekly", "slug": "weekly", "invite_key": "tea" });
    live.post("rooms", &owner.token, body).await.json();
    live.room(&people[8], "other").await;
    for person in &people[2..7] {
        live.ticket(person, "weekly", json!({ "invite_key": "tea" })).await;
    }
    for order in [
        json!({ "type": "member.kick", "user_id": people[2].id }),
        json!({ "type": "member.ban", "user_id": people[3].id }),
        json!({ "type": "role.set", "user_id": people[6].id, "role": "admin" }),
        json!({ "type": "breakout.open", "rooms": [{ "name": "Tea" }] }),
    ] {
        assert_eq!(live.post("rooms/weekly/orders", &owner.token, order).await.status, 204);
    }
    let (_, joined) = live.enter(owner, "weekly").await;
    let slug = text(&joined["snapshot"]["breakouts"]["rooms"][0]["slug"]);
    (live, people.into_iter().map(|person| person.token).collect(), slug)
}

/// The status of a door; an encoder that gets as far as the media plane is refused there with 422.
async fn status(live: &Live, door: &str, token: &str) -> u16 {
    if let Some(path) = door.strip_prefix("GET ") {
        let path = format!("{path}?token={token}");
        return live.open(&path, &[]).await.map_or_else(|status| status, |_| 101);
    }
    let refuse = async {
        loop {
            if let Command::Publish { peer, .. } = live.command().await {
                let reason = "no".to_owned();
                live.signaling.media_event(Event::Refused { peer, reason });
            }
        }
    };
    tokio::select! {
        answer = live.http(door, token, "application/sdp", "v=0") => answer.status,
        () = refuse => unreachable!("it refuses for ever"),
    }
}

#[tokio::test]
async fn every_door_of_a_room_answers_each_by_the_table() {
    let (live, tokens, breakout) = town().await;
    let absent = uuid::Uuid::now_v7();
    // Nobody of that id is in the room to be watched, which only those hear who may know.
    let doors =
        [("GET /ws/rooms/{room}", 101), ("POST /whip/{room}", 422), ("POST /whep/{room}", 404)];
    for (door, open) in doors {
        let main = [401, 403, 403, 403, open, open, open, open, 403];
        let aside = [401, 404, 404, 404, 404, 404, open, open, 404];
        let nowhere = [401, 404, 404, 404, 404, 404, 404, 404, 404];
        for (slug, expected) in [("weekly", main), (&*breakout, aside), ("nowhere", nowhere)] {
            let mut door = door.replace("{room}", slug);
            if door.contains("whep") {
                door += &format!("?participant={absent}");
            }
            for (who, token) in tokens.iter().enumerate() {
                let status = status(&live, &door, token).await;
                assert_eq!(status, expected[who], "{door} by {}", PEOPLE[who]);
            }
        }
    }
}

/// The examples of what clients say, by type.
fn examples() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../protocol/fixtures");
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if name.starts_with("client.") {
            let example = std::fs::read_to_string(&path).expect("a fixture");
            let example: Value = serde_json::from_str(&example).expect("JSON");
            examples.push((text(&example["type"]), example));
        }
    }
    examples
}

#[tokio::test]
async fn what_is_no_order_may_be_said_by_everybody_who_is_in_and_by_nobody_who_was_removed() {
    let live = Live::new().await;
    let (owner, guest) = (live.guest("Owner").await, live.guest("Guest").await);
    live.room(&owner, "weekly").await;
    let (mut socket, _) = live.enter(&guest, "weekly").await;
    let mut said = BTreeSet::new();
    for (kind, mut example) in examples() {
        let is_order = ClientMessage::ORDERS.contains(&&*kind);
        if is_order || kind == "leave" {
            continue;
        }
        example["id"] = json!("said");
        socket.send(example).await;
        // Whatever becomes of it, it is not for want of a role.
        socket.send(json!({ "type": "ping", "id": "then" })).await;
        loop {
            let answer = socket.next().await;
            assert_ne!(answer["code"], "forbidden", "{kind}: {answer}");
            if answer["re"] == "then" {
                break;
            }
        }
        said.insert(kind);
    }
    let all = ClientMessage::TYPES.iter().filter(|kind| !ClientMessage::ORDERS.contains(kind));
    let all: BTreeSet<String> =
        all.filter(|kind| **kind != "leave").map(|kind| (*kind).to_owned()).collect();
    assert_eq!(said, all, "every message is an order or everybody's");
    let kick = json!({ "type": "member.kick", "user_id": guest.id });
    assert_eq!(live.post("rooms/weekly/orders", &owner.token, kick).await.status, 204);
    assert_eq!(socket.closed().await, protocol::server::close::KICKED);
}
