//! Who may do what, as one table: every call about a room and every order, by everybody there is.

use super::{Server, text};
use crate::live::{Live, Person};
use protocol::ClientMessage;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Everybody there is, in the order of the tables' columns.
pub(super) const PEOPLE: [&str; 9] =
    ["nobody", "outsider", "kicked", "banned", "guest", "member", "admin", "owner", "other owner"];

/// A room behind a key with everybody in it who belongs there, and a room of somebody else.
pub(super) async fn town() -> (Server, Vec<String>) {
    let server = Server::new().await;
    let mut tokens = vec![String::new()];
    for name in &PEOPLE[1..] {
        let name = name.replace(' ', "-");
        tokens.push(match name.as_str() {
            "guest" => server.guest(&name).await,
            _ => server.account_token(&name).await,
        });
    }
    let body = json!({ "name": "Weekly", "slug": "weekly", "invite_key": "tea" });
    server.post("rooms", &tokens[7], body).await.created();
    server.room(&tokens[8], "other").await;
    for token in &tokens[2..7] {
        let key = json!({ "invite_key": "tea" });
        server.post("rooms/weekly/ticket", token, key).await.ok();
    }
    for (who, order) in [
        (2, json!({ "type": "member.kick" })),
        (3, json!({ "type": "member.ban" })),
        (6, json!({ "type": "role.set", "role": "admin" })),
    ] {
        let mut order = order;
        order["user_id"] = server.get("auth/me", &tokens[who]).await.ok()["id"].clone();
        server.post("rooms/weekly/orders", &tokens[7], order).await.is_empty();
    }
    (server, tokens)
}

/// Calls, their bodies, and what each of [`PEOPLE`] is answered. What would succeed is asked for something
/// that is not there, or changes nothing, so that the order of rows does not matter.
fn calls() -> Vec<(&'static str, Value, [u16; 9])> {
    let moderator = [401, 403, 403, 403, 403, 403, 200, 200, 403];
    let member = [401, 403, 403, 403, 200, 200, 200, 200, 403];
    let none = |of: [u16; 9], code| of.map(|status| if status == 200 { code } else { status });
    let owner = |code| [401, 403, 403, 403, 403, 403, 403, code, 403];
    vec![
        ("GET rooms/{room}", Value::Null, [401, 200, 200, 403, 200, 200, 200, 200, 200]),
        ("PATCH rooms/{room}", json!({}), owner(200)),
        ("POST rooms/{room}/ticket", json!({}), member),
        ("GET rooms/{room}/participants", Value::Null, member),
        ("GET rooms/{room}/members", Value::Null, member),
        ("GET rooms/{room}/messages", Value::Null, member),
        ("GET rooms/{room}/events", Value::Null, member),
        ("GET rooms/{room}/stats", Value::Null, moderator),
        ("GET rooms/{room}/audit", Value::Null, moderator),
        ("GET rooms/{room}/bans", Value::Null, moderator),
        ("GET rooms/{room}/invites", Value::Null, moderator),
        ("POST rooms/{room}/invites", json!({ "max_uses": 0 }), none(moderator, 400)),
        ("DELETE rooms/{room}/invites/{id}", Value::Null, none(moderator, 404)),
        ("GET rooms/{room}/stream-keys", Value::Null, moderator),
        (
            "POST rooms/{room}/stream-keys",
            json!({ "name": " ", "purpose": "publish" }),
            none(moderator, 400),
        ),
        ("DELETE rooms/{room}/stream-keys/{id}", Value::Null, none(moderator, 404)),
        (
            "POST rooms/{room}/orders",
            json!({ "type": "hand.lower", "everybody": true }),
            none(moderator, 204),
        ),
        ("GET rooms/{room}/attachments/{id}", Value::Null, none(member, 404)),
        ("GET rooms/{room}/attachments/{id}/thumbnail", Value::Null, none(member, 404)),
        ("DELETE rooms/{room}/attachments/{id}", Value::Null, none(member, 404)),
        ("POST rooms/{room}/attachments?name=a", json!("#!/bin/sh"), none(member, 201)),
        ("GET rooms/{room}/recordings", Value::Null, moderator),
        // Nobody is in the room.
        ("POST rooms/{room}/recordings", Value::Null, none(moderator, 409)),
        ("GET rooms/{room}/recording-policy", Value::Null, moderator),
        ("PUT rooms/{room}/recording-policy", json!({ "recordings_for": "admins" }), owner(200)),
        ("POST rooms/{room}/recordings/uploads?name=a", json!("no film"), none(moderator, 415)),
        ("PUT rooms/{room}/cover", json!("no picture"), owner(415)),
        ("GET rooms/{room}/cover", Value::Null, [401, 404, 404, 403, 404, 404, 404, 404, 404]),
        ("DELETE rooms/{room}/cover", Value::Null, owner(204)),
        // Last: it is gone when the other owner asks.
        ("DELETE rooms/{room}", Value::Null, [401, 403, 403, 403, 403, 403, 403, 204, 404]),
    ]
}

#[tokio::test]
async fn every_call_about_a_room_answers_each_by_the_table() {
    let (server, tokens) = town().await;
    let id = uuid::Uuid::now_v7().to_string();
    for (call, body, expected) in calls() {
        let path = call.replace("{room}", "weekly").replace("{id}", &id);
        for (who, token) in tokens.iter().enumerate() {
            let answer = server.call(&path, token, body.clone()).await;
            assert_eq!(answer.status.as_u16(), expected[who], "{call} by {}", PEOPLE[who]);
            // A room that does not exist answers every one of them alike.
            let nowhere = call.replace("{room}", "nowhere").replace("{id}", &id);
            let nowhere = server.call(&nowhere, token, body.clone()).await;
            let expected = if token.is_empty() { 401 } else { 404 };
            assert_eq!(nowhere.status.as_u16(), expected, "{call} of no room by {}", PEOPLE[who]);
        }
    }
}

#[tokio::test]
async fn the_table_has_every_call_about_a_room() {
    let document = serde_json::to_value(crate::Signaling::openapi()).expect("serializes");
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if let Some(path) = path.strip_prefix("/api/v1/rooms/{slug}") {
            for method in methods.as_object().expect("methods").keys() {
                described.insert(format!("{} rooms/{{room}}{path}", method.to_uppercase()));
            }
        }
    }
    let listed: BTreeSet<String> = calls()
        .iter()
        .map(|(call, ..)| call.split('?').next().expect("a call").to_owned())
        .collect();
    assert_eq!(listed, described);
}

/// Each order, and what guest, member, admin and owner are answered. Whom it is about is not there.
fn orders() -> Vec<(Value, [&'static str; 4])> {
    let nobody = uuid::Uuid::now_v7().to_string();
    let tidy = |owned| ["not_found", "not_found", "not_found", owned];
    let moderator = ["forbidden", "forbidden", "not_found", "not_found"];
    let done = ["forbidden", "forbidden", "done", "done"];
    let opens = ["forbidden", "forbidden", "invalid", "invalid"];
    // None are open.
    let steers = ["forbidden", "forbidden", "conflict", "conflict"];
    vec![
        (json!({ "type": "hand.lower", "everybody": true }), done),
        (json!({ "type": "role.set", "user_id": nobody, "role": "guest" }), moderator),
        (
            json!({ "type": "role.set", "user_id": nobody, "role": "owner" }),
            ["forbidden", "forbidden", "forbidden", "not_found"],
        ),
        (
            json!({ "type": "media.force", "user_id": nobody, "source": "camera", "forced": true }),
            moderator,
        ),
        (json!({ "type": "speak.allow", "user_id": nobody, "allowed": true }), moderator),
        (json!({ "type": "state.set", "mute_all": false }), done),
        (json!({ "type": "member.kick", "user_id": nobody }), moderator),
        (json!({ "type": "member.ban", "user_id": nobody }), moderator),
        (json!({ "type": "member.unban", "user_id": nobody }), moderator),
        (json!({ "type": "lobby.admit", "participant_id": nobody }), moderator),
        (json!({ "type": "lobby.refuse", "participant_id": nobody }), moderator),
        (json!({ "type": "breakout.open", "rooms": [] }), opens),
        (json!({ "type": "breakout.assign", "assignments": { nobody.as_str(): 0 } }), steers),
        (json!({ "type": "breakout.broadcast", "text": "x" }), steers),
        (json!({ "type": "breakout.close" }), steers),
        (json!({ "type": "breakout.help" }), ["conflict"; 4]),
        (json!({ "type": "record.stop" }), done),
        (json!({ "type": "record.start" }), done),
        (json!({ "type": "chat.edit", "message_id": nobody, "text": "x" }), tidy("not_found")),
        (json!({ "type": "chat.delete", "message_id": nobody }), tidy("not_found")),
        (
            json!({ "type": "chat.react", "message_id": nobody, "emoji": "👍", "on": true }),
            tidy("not_found"),
        ),
        (json!({ "type": "chat.pin", "message_id": nobody, "pinned": true }), tidy("not_found")),
        (json!({ "type": "poll.vote", "message_id": nobody, "choices": [0] }), tidy("not_found")),
        (json!({ "type": "poll.close", "message_id": nobody }), tidy("not_found")),
    ]
}

#[tokio::test]
async fn every_order_answers_each_role_by_the_table_on_the_socket_and_over_rest() {
    let live = Live::new().await;
    let mut people: Vec<Person> = Vec::new();
    for name in ["Guest", "Member", "Admin", "Owner"] {
        people.push(live.guest(name).await);
    }
    live.room(&people[3], "weekly").await;
    let mut sockets = Vec::new();
    for (person, role) in people.iter().zip(["guest", "member", "admin", "owner"]) {
        sockets.push(live.enter(person, "weekly").await.0);
        if role == "member" || role == "admin" {
            let order = json!({ "type": "role.set", "user_id": person.id, "role": role });
            let path = "rooms/weekly/orders";
            assert_eq!(live.post(path, &people[3].token, order).await.status, 204);
        }
    }
    let mut kinds = BTreeSet::new();
    for (order, expected) in orders() {
        kinds.insert(text(&order["type"]));
        for (who, expected) in expected.iter().enumerate() {
            let answer = sockets[who].ask(order.clone()).await;
            let said = match answer["type"].as_str() {
                Some("error") => text(&answer["code"]),
                _ => text(&answer["type"]),
            };
            assert_eq!(said, *expected, "{order} by {who}");
            let answer = live.post("rooms/weekly/orders", &people[who].token, order.clone()).await;
            let said = match answer.status {
                204 => "done".to_owned(),
                _ => answer.refusal().1,
            };
            assert_eq!(said, *expected, "{order} by {who} over REST");
        }
    }
    let all: BTreeSet<String> =
        ClientMessage::ORDERS.iter().map(|kind| (*kind).to_owned()).collect();
    assert_eq!(kinds, all);
}

#[tokio::test]
async fn a_demotion_counts_on_an_open_socket_before_the_demoting_call_returns() {
    let live = Live::new().await;
    let (owner, admin) = (live.guest("Owner").await, live.guest("Admin").await);
    live.room(&owner, "weekly").await;
    let (mut socket, _) = live.enter(&admin, "weekly").await;
    let set = |role: &str| json!({ "type": "role.set", "user_id": admin.id, "role": role });
    live.post("rooms/weekly/orders", &owner.token, set("admin")).await;
    let lock = json!({ "type": "state.set", "is_locked": true });
    assert_eq!(socket.ask(lock.clone()).await["type"], "done");
    live.post("rooms/weekly/orders", &owner.token, set("member")).await;
    assert_eq!(socket.ask(lock).await["code"], "forbidden");
}

#[tokio::test]
async fn of_many_transfers_of_one_room_at_once_exactly_one_happens() {
    let live = Live::new().await;
    let owner = live.guest("Owner").await;
    live.room(&owner, "weekly").await;
    let mut heirs = Vec::new();
    for n in 0..10 {
        let heir = live.guest(&format!("Heir {n}")).await;
        live.ticket(&heir, "weekly", json!({})).await;
        heirs.push(heir);
    }
    // A socket of the owner's watches, and so the room's task orders what the store decides.
    let (mut socket, _) = live.enter(&owner, "weekly").await;
    let transfers = heirs.iter().map(|heir| {
        let order = json!({ "type": "role.set", "user_id": heir.id, "role": "owner" });
        live.post("rooms/weekly/orders", &owner.token, order)
    });
    let answers = futures_util::future::join_all(transfers).await;
    let given: Vec<usize> = (0..10).filter(|n| answers[*n].status == 204).collect();
    let [heir] = given[..] else { panic!("{given:?}") };
    for (n, answer) in answers.iter().enumerate() {
        assert!(n == heir || [403, 409].contains(&answer.status), "{}", answer.text);
    }
    assert_eq!(socket.wait("role.changed").await["user_id"], heirs[heir].id);
    let call = "GET /api/v1/rooms/weekly/members";
    let members = live.http(call, &owner.token, "", "").await.json();
    let members = members["members"].as_array().unwrap().clone();
    let owners = members.iter().filter(|member| member["role"] == "owner").count();
    assert_eq!((owners, &members[0]["user_id"]), (1, &json!(heirs[heir].id)));
    let room = live.http("GET /api/v1/rooms/weekly", &owner.token, "", "").await.json();
    assert_eq!((&room["owner_id"], &room["role"]), (&json!(heirs[heir].id), &json!("admin")));
}

#[tokio::test]
async fn invites_and_changes_of_the_room_stand_in_the_audit_log_and_those_inside_hear_of_them() {
    let live = Live::new().await;
    let (owner, guest) = (live.guest("Owner").await, live.guest("Guest").await);
    live.room(&owner, "weekly").await;
    let (mut mine, _) = live.enter(&owner, "weekly").await;
    let (mut theirs, _) = live.enter(&guest, "weekly").await;
    let invite = live.post("rooms/weekly/invites", &owner.token, json!({ "max_uses": 3 })).await;
    let invite = invite.json();
    let told = mine.wait("invite.created").await;
    assert_eq!((&told["invite"]["id"], &told["invite"]["code"]), (&invite["id"], &Value::Null));
    let path = format!("DELETE /api/v1/rooms/weekly/invites/{}", text(&invite["id"]));
    assert_eq!(live.http(&path, &owner.token, "", "").await.status, 204);
    assert_eq!(mine.wait("invite.revoked").await["invite_id"], invite["id"]);
    let patch = json!({ "name": "Monthly", "invite_key": "tea" }).to_string();
    let call = "PATCH /api/v1/rooms/weekly";
    live.http(call, &owner.token, "application/json", patch).await.json();
    let told = theirs.next().await;
    assert_eq!(told["type"], "room.changed", "invites are for moderators: {told}");
    assert_eq!((&told["name"], &told["has_invite_key"]), (&json!("Monthly"), &json!(true)));
    let call = "GET /api/v1/rooms/weekly/audit";
    let audit = live.http(call, &owner.token, "", "").await.json();
    let actions: Vec<String> =
        audit["entries"].as_array().unwrap().iter().map(|entry| text(&entry["action"])).collect();
    assert_eq!(actions, ["room.changed", "invite.revoked", "invite.created"]);
    assert_eq!(audit["entries"][0]["by"]["display_name"], "Owner");
    assert!(!audit.to_string().contains(&text(&invite["code"])), "a log that lets people in");
}

#[tokio::test]
async fn a_kicked_guest_is_out_by_every_door_at_once() {
    let live = Live::new().await;
    let (owner, guest) = (live.guest("Owner").await, live.guest("Guest").await);
    live.room(&owner, "weekly").await;
    let (mut socket, joined) = live.enter(&guest, "weekly").await;
    let ticket = live.ticket(&guest, "weekly", json!({ "resume": joined["resume"] })).await;
    let kick = json!({ "type": "member.kick", "user_id": guest.id });
    assert_eq!(live.post("rooms/weekly/orders", &owner.token, kick).await.status, 204);
    assert_eq!(socket.closed().await, protocol::server::close::KICKED);
    let by_ticket = live.open(&format!("/ws/rooms/weekly?ticket={ticket}"), &[]).await;
    assert_eq!(by_ticket.err(), Some(401));
    let by_token = live.open(&format!("/ws/rooms/weekly?token={}", guest.token), &[]).await;
    assert_eq!(by_token.err(), Some(401));
    let whip = live.http("POST /whip/weekly", &guest.token, "application/sdp", "v=0").await;
    assert_eq!(whip.status, 401);
    let turn = live.http("GET /api/v1/webrtc/ice-servers", &guest.token, "", "").await;
    assert_eq!(turn.status, 401);
}
