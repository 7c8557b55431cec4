//! Invites, and races for places.

use super::{Server, text};
use crate::live::Live;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn invite(server: &Server, token: &str, body: Value) -> Value {
    server.post("rooms/weekly/invites", token, body).await.created()
}

#[tokio::test]
async fn an_invite_makes_members_of_its_role_and_is_shown_again_to_moderators() {
    let server = Server::new().await;
    let owner = server.account_token("ada").await;
    server.room(&owner, "weekly").await;
    let made = invite(&server, &owner, json!({ "role": "admin", "max_uses": 2 })).await;
    let code = text(&made["code"]);
    assert_eq!(code.len(), 22, "128 bits");
    let bob = server.guest("Bob").await;
    let join = format!("rooms/by-invite/{code}/join");
    assert_eq!(server.post(&join, &bob, Value::Null).await.ok()["role"], "admin");
    assert_eq!(server.post(&join, &bob, Value::Null).await.ok()["role"], "admin");
    let listed = server.get("rooms/weekly/invites", &bob).await.ok();
    let one = &listed["invites"][0];
    assert_eq!(
        (&one["code"], &one["uses"]),
        (&json!(code), &json!(1)),
        "coming twice is coming once"
    );
    // An admin's invite makes no admins.
    let refused = server.post("rooms/weekly/invites", &bob, json!({ "role": "admin" })).await;
    refused.is_refused(403, "forbidden");
    let revoke = format!("DELETE rooms/weekly/invites/{}", text(&made["id"]));
    server.call(&revoke, &bob, Value::Null).await.is_empty();
    server.call(&revoke, &bob, Value::Null).await.is_refused(404, "not_found");
    let cyd = server.guest("Cyd").await;
    server.post(&join, &cyd, Value::Null).await.is_refused(404, "not_found");
    server.get(&format!("rooms/by-invite/{code}"), "").await.is_refused(404, "not_found");
    assert_eq!(
        server.get("rooms/weekly/members", &bob).await.ok()["members"].as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn an_invite_of_another_room_is_none_of_ones_own() {
    let server = Server::new().await;
    let (ada, bob) = (server.guest("Ada").await, server.guest("Bob").await);
    server.room(&ada, "weekly").await;
    server.room(&bob, "other").await;
    let made = invite(&server, &ada, json!({})).await;
    let revoke = format!("DELETE rooms/other/invites/{}", text(&made["id"]));
    server.call(&revoke, &bob, Value::Null).await.is_refused(404, "not_found");
    for (body, code) in [
        (json!({ "max_uses": 0 }), "invalid"),
        (json!({ "expires_in": 0 }), "invalid"),
        (json!({ "role": "owner" }), "forbidden"),
    ] {
        let answer = server.post("rooms/weekly/invites", &ada, body).await;
        answer.is_refused(if code == "invalid" { 400 } else { 403 }, code);
    }
}

#[tokio::test]
async fn of_fifty_at_once_as_many_come_in_as_an_invite_is_good_for() {
    let server = Arc::new(Server::new().await);
    let owner = server.guest("Ada").await;
    server.room(&owner, "weekly").await;
    let made = invite(&server, &owner, json!({ "max_uses": 3 })).await;
    let join = format!("rooms/by-invite/{}/join", text(&made["code"]));
    let mut racers = Vec::new();
    for n in 0..50 {
        let guest = server.guest(&format!("Guest {n}")).await;
        let (server, join) = (Arc::clone(&server), join.clone());
        racers.push(tokio::spawn(
            async move { server.post(&join, &guest, Value::Null).await.status },
        ));
    }
    let mut came = 0;
    for racer in racers {
        came += usize::from(racer.await.expect("runs").is_success());
    }
    assert_eq!(came, 3);
    let listed = server.get("rooms/weekly/invites", &owner).await.ok();
    assert_eq!(listed["invites"][0]["uses"], 3);
}

#[tokio::test]
async fn an_invite_ends_with_its_time_and_with_the_ban_of_who_came_by_it() {
    let server = Server::new().await;
    let owner = server.guest("Ada").await;
    server.room(&owner, "weekly").await;
    let short = invite(&server, &owner, json!({ "expires_in": 1 })).await;
    let made = invite(&server, &owner, json!({})).await;
    let bob = server.guest("Bob").await;
    let join = |invite: &Value| format!("rooms/by-invite/{}/join", text(&invite["code"]));
    server.post(&join(&made), &bob, Value::Null).await.ok();
    let me = server.get("auth/me", &bob).await.ok();
    let ban = json!({ "type": "member.ban", "user_id": me["id"], "invite": true });
    server.post("rooms/weekly/orders", &owner, ban).await.is_empty();
    let cyd = server.guest("Cyd").await;
    server.post(&join(&made), &cyd, Value::Null).await.is_refused(404, "not_found");
    server.post("rooms/weekly/ticket", &bob, Value::Null).await.is_refused(401, "unauthorized");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    server.post(&join(&short), &cyd, Value::Null).await.is_refused(404, "not_found");
}

#[tokio::test]
async fn of_fifty_who_come_at_once_a_room_for_five_takes_five() {
    let live = Arc::new(Live::new().await);
    let owner = live.guest("Owner").await;
    live.room(&owner, "weekly").await;
    let change = json!({ "type": "state.set", "capacity": 5 });
    assert_eq!(live.post("rooms/weekly/orders", &owner.token, change).await.status, 204);
    let mut racers = Vec::new();
    for n in 0..50 {
        let live = Arc::clone(&live);
        racers.push(tokio::spawn(async move {
            let guest = live.guest(&format!("Guest {n}")).await;
            let mut client = live.connect(&guest, "weekly").await;
            let first = client.next().await;
            (text(&first["type"]), text(first.get("code").unwrap_or(&json!(""))), client)
        }));
    }
    let mut inside = Vec::new();
    let mut refused = 0;
    for racer in racers {
        let (kind, code, client) = racer.await.expect("runs");
        match kind.as_str() {
            "joined" => inside.push(client),
            _ => {
                assert_eq!(code, "room_full");
                refused += 1;
            }
        }
    }
    assert_eq!((inside.len(), refused), (5, 45));
    let (_owner, _) = live.enter(&owner, "weekly").await;
}
