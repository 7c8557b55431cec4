//! Rooms, by slug and by invite.

use super::{Server, production, text};
use crate::settings::Settings;
use serde_json::{Value, json};
use std::sync::Arc;
use store::testing::TestDatabase;

#[tokio::test]
async fn a_room_lives_from_creation_to_deletion() {
    for database in TestDatabase::all().await {
        let server = Server::on(database, Settings::for_tests());
        let owner = server.account("ada").await;
        let token = text(&owner["access_token"]);
        let body = json!({"name": " Weekly ", "slug": "weekly"});
        let room = server.post("rooms", &token, body).await.created();
        assert_eq!(room["slug"], "weekly");
        assert_eq!(room["name"], "Weekly");
        assert_eq!(room["owner_id"], owner["user"]["id"]);
        assert_eq!(room["role"], "owner");
        assert_eq!(room["has_invite_key"], false);
        assert_eq!(text(&room["invite_code"]).len(), 22);
        assert_eq!(server.get("rooms/weekly", &token).await.ok(), room);
        assert_eq!(server.get("rooms", &token).await.ok(), json!({"rooms": [room]}));

        let change = json!({"name": "Monthly", "topic": "Budget", "invite_key": "tea"});
        let changed = server.call("PATCH rooms/weekly", &token, change).await.ok();
        assert_eq!(changed["name"], "Monthly");
        assert_eq!(changed["slug"], "weekly");
        assert_eq!(changed["has_invite_key"], true);
        assert_eq!(changed["invite_code"], room["invite_code"]);
        let opened =
            server.call("PATCH rooms/weekly", &token, json!({"invite_key": ""})).await.ok();
        assert_eq!(opened["has_invite_key"], false);
        assert_eq!(opened["name"], "Monthly");

        server.call("DELETE rooms/weekly", &token, Value::Null).await.is_empty();
        server.get("rooms/weekly", &token).await.is_refused(404, "not_found");
        let again = server.post("rooms", &token, json!({"name": "x", "slug": "weekly"})).await;
        again.is_refused(409, "taken");
        assert_eq!(server.get("rooms", &token).await.ok(), json!({"rooms": []}));
    }
}

#[tokio::test]
async fn without_a_slug_chance_makes_one_that_nobody_guesses() {
    let server = Server::new().await;
    let token = server.guest("Ada").await;
    let first = server.post("rooms", &token, json!({"name": "One"})).await.created();
    let second = server.post("rooms", &token, json!({"name": "Two", "slug": ""})).await.created();
    assert_ne!(first["slug"], second["slug"]);
    assert_eq!(text(&first["slug"]).len(), 14);
    server.get(&format!("rooms/{}", text(&first["slug"])), &token).await.ok();
}

#[tokio::test]
async fn names_and_slugs_that_break_the_rules_are_refused() {
    let server = Server::new().await;
    let token = server.guest("Ada").await;
    for body in [
        json!({"name": ""}),
        json!({"name": "a".repeat(121)}),
        json!({"name": "x", "slug": "by-invite"}),
        json!({"name": "x", "slug": "Weekly"}),
        json!({"name": "x", "slug": "../etc"}),
        json!({"name": "x", "invite_key": "a".repeat(129)}),
    ] {
        server.post("rooms", &token, body).await.is_refused(400, "invalid");
    }
    server.room(&token, "weekly").await;
    for body in
        [json!({"name": " "}), json!({"topic": "a".repeat(501)}), json!({"invite_key": "a\u{0}"})]
    {
        server.call("PATCH rooms/weekly", &token, body).await.is_refused(400, "invalid");
    }
}

#[tokio::test]
async fn of_many_rooms_with_one_slug_at_once_exactly_one_is_made() {
    let server = Arc::new(Server::new().await);
    let token = server.guest("Ada").await;
    let racers: Vec<_> = (0..20)
        .map(|_| {
            let (server, token) = (Arc::clone(&server), token.clone());
            let body = json!({"name": "x", "slug": "weekly"});
            tokio::spawn(async move { server.post("rooms", &token, body).await })
        })
        .collect();
    let mut made = 0;
    for racer in racers {
        let answer = racer.await.expect("does not panic");
        match answer.status.as_u16() {
            201 => made += 1,
            _ => answer.is_refused(409, "taken"),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn guests_create_rooms_only_where_they_may() {
    let server = Server::with(production()).await;
    assert_eq!(server.get("config", "").await.ok()["guests_may_create_rooms"], false);
    let guest = server.guest("Guest").await;
    server.post("rooms", &guest, json!({"name": "x"})).await.is_refused(403, "forbidden");

    let may = Settings { guests_may_create_rooms: true, ..production() };
    let server = Server::with(may).await;
    assert_eq!(server.get("config", "").await.ok()["guests_may_create_rooms"], true);
    let guest = server.guest("Guest").await;
    let room = server.post("rooms", &guest, json!({"name": "x"})).await.created();
    assert_eq!(room["role"], "owner");
}

#[tokio::test]
async fn an_account_creates_rooms_where_guests_may_not() {
    let settings = Settings { registration_secret: super::secret("s"), ..production() };
    let server = Server::with(settings).await;
    let mut body = super::registration("ada");
    body["registration_secret"] = json!("s");
    let account = server.post("auth/register", "", body).await.created();
    server.room(&text(&account["access_token"]), "weekly").await;
}

#[tokio::test]
async fn a_stranger_sees_the_room_but_not_its_invite_and_changes_nothing() {
    let server = Server::new().await;
    let owner = server.account_token("ada").await;
    let room = server.room(&owner, "weekly").await;
    for stranger in [server.account_token("bob").await, server.guest("Guest").await] {
        let seen = server.get("rooms/weekly", &stranger).await.ok();
        assert_eq!(seen["name"], room["name"]);
        assert_eq!(seen["invite_code"], Value::Null);
        assert_eq!(seen["role"], Value::Null);
        assert_eq!(server.get("rooms", &stranger).await.ok(), json!({"rooms": []}));
        let change = json!({"name": "Mine"});
        let answer = server.call("PATCH rooms/weekly", &stranger, change).await;
        answer.is_refused(403, "forbidden");
        let answer = server.call("DELETE rooms/weekly", &stranger, Value::Null).await;
        answer.is_refused(403, "forbidden");
    }
    assert_eq!(server.get("rooms/weekly", &owner).await.ok(), room);
}

#[tokio::test]
async fn a_member_who_is_not_the_owner_changes_nothing_either() {
    let server = Server::new().await;
    let owner = server.account_token("ada").await;
    let code = text(&server.room(&owner, "weekly").await["invite_code"]);
    let member = server.account_token("bob").await;
    server.post(&format!("rooms/by-invite/{code}/join"), &member, Value::Null).await.ok();
    let answer = server.call("PATCH rooms/weekly", &member, json!({"name": "Mine"})).await;
    answer.is_refused(403, "forbidden");
    let answer = server.call("DELETE rooms/weekly", &member, Value::Null).await;
    answer.is_refused(403, "forbidden");
}

#[tokio::test]
async fn an_invite_shows_the_room_to_anybody_and_makes_members_of_those_who_sign_in() {
    let server = Server::new().await;
    let owner = server.account_token("ada").await;
    let body = json!({"name": "Weekly", "slug": "weekly", "invite_key": "tea"});
    let room = server.post("rooms", &owner, body).await.created();
    let path = format!("rooms/by-invite/{}", text(&room["invite_code"]));
    let seen = server.get(&path, "").await.ok();
    let expected = json!({"id": room["id"], "slug": "weekly", "name": "Weekly", "participants": 0});
    assert_eq!(seen, expected);

    for (token, role) in
        [(server.account_token("bob").await, "member"), (server.guest("Guest").await, "guest")]
    {
        let joined = server.post(&format!("{path}/join"), &token, Value::Null).await.ok();
        assert_eq!(joined["role"], role);
        assert_eq!(joined["invite_code"], room["invite_code"]);
        assert_eq!(server.get("rooms", &token).await.ok()["rooms"][0]["slug"], "weekly");
        // Again is the same.
        let again = server.post(&format!("{path}/join"), &token, Value::Null).await.ok();
        assert_eq!(again, joined);
    }
    let again = server.post(&format!("{path}/join"), &owner, Value::Null).await.ok();
    assert_eq!(again["role"], "owner", "an owner who follows their own link stays the owner");
}

#[tokio::test]
async fn an_invite_that_leads_nowhere_says_so() {
    let server = Server::new().await;
    let token = server.guest("Ada").await;
    let room = server.room(&token, "weekly").await;
    let code = text(&room["invite_code"]);
    server.call("DELETE rooms/weekly", &token, Value::Null).await.is_empty();
    for code in ["x", &code, &"a".repeat(500), "weekly"] {
        let path = format!("rooms/by-invite/{code}");
        server.get(&path, "").await.is_refused(404, "not_found");
        let answer = server.post(&format!("{path}/join"), &token, Value::Null).await;
        answer.is_refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_room_that_is_not_there_is_not_found_by_any_call() {
    for database in TestDatabase::all().await {
        let server = Server::on(database, Settings::for_tests());
        let token = server.guest("Ada").await;
        for slug in ["nowhere", "NOT-A-SLUG", "%00", "a%00b", "%2e%2e%2f"] {
            let (read, change, delete) = (
                format!("GET rooms/{slug}"),
                format!("PATCH rooms/{slug}"),
                format!("DELETE rooms/{slug}"),
            );
            server.call(&read, &token, Value::Null).await.is_refused(404, "not_found");
            server.call(&change, &token, json!({})).await.is_refused(404, "not_found");
            server.call(&delete, &token, Value::Null).await.is_refused(404, "not_found");
        }
    }
}
