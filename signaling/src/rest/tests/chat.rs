//! The chat of a room, as stored.

use super::{Server, text};
use crate::settings::Settings;
use protocol::{MessageId, UserId};
use serde_json::{Value, json};
use store::testing::TestDatabase;
use store::{Fact, NewEvent, NewMessage};
use uuid::Uuid;

async fn say(server: &Server, room: &Value, words: impl Iterator<Item = String>) {
    let events: Vec<_> = words
        .map(|text| NewEvent {
            at_ms: 1_800_000_000_000,
            fact: Fact::Chat(NewMessage::line(
                MessageId(Uuid::now_v7()),
                UserId(super::text(&room["owner_id"]).parse().expect("an id")),
                "Ада".into(),
                text,
            )),
        })
        .collect();
    let id = text(&room["id"]).parse().expect("an id");
    server.database.store.append_events(id, &events).await.expect("stores");
}

fn words(page: &Value) -> Vec<String> {
    page["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| text(&message["text"]))
        .collect()
}

#[tokio::test]
async fn members_page_through_the_chat_from_the_newest_back() {
    for database in TestDatabase::all().await {
        let server = Server::on(database, Settings::for_tests());
        let token = server.guest("Ада").await;
        let room = server.room(&token, "weekly").await;
        let empty = server.get("rooms/weekly/messages", &token).await.ok();
        assert_eq!(empty, json!({"messages": [], "has_more": false}));

        say(&server, &room, (0..150).map(|number| format!("line {number}"))).await;
        let newest = server.get("rooms/weekly/messages", &token).await.ok();
        assert_eq!(words(&newest), (100..150).map(|n| format!("line {n}")).collect::<Vec<_>>());
        assert_eq!(newest["has_more"], true);
        let before = text(&newest["messages"][0]["id"]);
        let path = format!("rooms/weekly/messages?limit=1000&before_id={before}");
        let older = server.get(&path, &token).await.ok();
        assert_eq!(words(&older), (0..100).map(|n| format!("line {n}")).collect::<Vec<_>>());
        assert_eq!(older["has_more"], false);
        let one = server.get("rooms/weekly/messages?limit=0", &token).await.ok();
        assert_eq!(words(&one), ["line 149"], "{}", server.database.name);
    }
}

#[tokio::test]
async fn the_chat_is_for_members_and_pages_begin_in_their_own_room() {
    let server = Server::new().await;
    let owner = server.guest("Ада").await;
    let room = server.room(&owner, "weekly").await;
    say(&server, &room, ["hello".to_owned()].into_iter()).await;
    let page = server.get("rooms/weekly/messages", &owner).await.ok();
    let id = text(&page["messages"][0]["id"]);

    let stranger = server.guest("Bob").await;
    server.get("rooms/weekly/messages", &stranger).await.is_refused(403, "forbidden");
    server.get("rooms/nowhere/messages", &stranger).await.is_refused(404, "not_found");
    server.room(&stranger, "other").await;
    let elsewhere = format!("rooms/other/messages?before_id={id}");
    server.get(&elsewhere, &stranger).await.is_refused(404, "not_found");
    for query in ["limit=many", "limit=-1", "before_id=7"] {
        let path = format!("rooms/weekly/messages?{query}");
        server.get(&path, &owner).await.is_refused(400, "bad_request");
    }
}
