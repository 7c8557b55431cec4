//! Files of the chat: what is taken, what becomes of it, and who gets it back.

use crate::live::{Answer, Live, Person, text};
use serde_json::json;
use std::io::Cursor;

async fn upload(live: &Live, person: &Person, name: &str, file: Vec<u8>) -> Answer {
    let call = format!("POST /api/v1/rooms/weekly/attachments?name={name}");
    live.http(&call, &person.token, "application/octet-stream", file).await
}

async fn get(live: &Live, person: &Person, rest: &str) -> (u16, axum::http::HeaderMap) {
    let call = format!("GET /api/v1/rooms/weekly/attachments/{rest}");
    live.bytes(&call, &person.token).await
}

fn png(side: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = image::DynamicImage::new_rgb8(side, side);
    image.write_to(&mut bytes, image::ImageFormat::Png).expect("writes");
    bytes.into_inner()
}

async fn town() -> (Live, [Person; 4]) {
    let live = Live::new().await;
    let people = [
        live.guest("Ada").await,
        live.guest("Bob").await,
        live.guest("Cyd").await,
        live.guest("Outsider").await,
    ];
    live.room(&people[0], "weekly").await;
    for person in &people[..3] {
        live.ticket(person, "weekly", json!({})).await;
    }
    (live, people)
}

#[tokio::test]
async fn a_picture_is_shown_to_those_who_may_read_its_line_and_no_browser_runs_a_file() {
    let (live, [ada, bob, cyd, outsider]) = town().await;
    let picture = upload(&live, &ada, "..%2Fme.png", png(500)).await.json();
    assert_eq!((&picture["name"], &picture["mime"]), (&json!("me.png"), &json!("image/png")));
    assert_eq!((&picture["width"], &picture["height"]), (&json!(500), &json!(500)));
    let id = text(&picture["id"]);
    assert_eq!(get(&live, &bob, &id).await.0, 404, "no line shows it yet");
    assert_eq!(get(&live, &ada, &id).await.0, 200);
    let (mut client, _) = live.enter(&ada, "weekly").await;
    let line = json!({ "type": "chat.message", "text": "", "to": bob.id, "attachments": [id] });
    let line = client.ask(line).await;
    assert_eq!(line["attachments"][0], picture);
    for (person, status) in [(&ada, 200), (&bob, 200), (&cyd, 404), (&outsider, 403)] {
        assert_eq!(get(&live, person, &id).await.0, status);
        assert_eq!(get(&live, person, &format!("{id}/thumbnail")).await.0, status);
    }
    let again = json!({ "type": "chat.message", "text": "", "attachments": [id] });
    assert_eq!(client.ask(again).await["code"], "not_found", "a file is shown once");

    let page = upload(&live, &bob, "page.html", b"<script>alert(1)</script>".to_vec()).await.json();
    let (status, headers) = get(&live, &bob, &text(&page["id"])).await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert!(headers["content-security-policy"].to_str().expect("text").contains("sandbox"));
    assert!(headers["content-disposition"].to_str().expect("text").starts_with("attachment"));

    let delete = json!({ "type": "chat.delete", "message_id": line["id"] });
    assert_eq!(client.ask(delete).await["type"], "done");
    assert_eq!(get(&live, &ada, &id).await.0, 404);
}

#[tokio::test]
async fn programs_bombs_too_much_and_strangers_files_are_refused() {
    let (live, [ada, bob, _, outsider]) = town().await;
    for (file, status, code) in [
        (b"MZ\x90\x00".to_vec(), 415, "unsupported_media"),
        (b"#!/bin/sh".to_vec(), 415, "unsupported_media"),
        (png(64)[..60].to_vec(), 400, "invalid"),
        (vec![b'a'; 2 * 1024 * 1024], 409, "conflict"),
        (vec![b'a'; 17 * 1024 * 1024], 413, "too_large"),
    ] {
        let length = file.len();
        let answer = upload(&live, &ada, "file", file).await;
        assert_eq!(answer.refusal(), (status, code.into()), "{length} bytes");
    }
    assert_eq!(upload(&live, &outsider, "file", b"x".to_vec()).await.status, 403);
    assert_eq!(upload(&live, &ada, "", b"x".to_vec()).await.status, 400);
    let file = upload(&live, &ada, "file", b"x".to_vec()).await.json();
    let (mut client, _) = live.enter(&bob, "weekly").await;
    let line = json!({ "type": "chat.message", "text": "mine", "attachments": [file["id"]] });
    assert_eq!(client.ask(line).await["code"], "not_found");
    let call = format!("DELETE /api/v1/rooms/weekly/attachments/{}", text(&file["id"]));
    assert_eq!(live.http(&call, &bob.token, "", "").await.status, 404);
    assert_eq!(live.http(&call, &ada.token, "", "").await.status, 204);
}

#[tokio::test]
async fn a_room_has_a_cover_by_its_owner() {
    let (live, [ada, bob, ..]) = town().await;
    let call = "PUT /api/v1/rooms/weekly/cover";
    let mut shown = Vec::new();
    for _ in 0..2 {
        assert_eq!(live.http(call, &ada.token, "image/png", png(2_000)).await.status, 204);
        let room = live.http("GET /api/v1/rooms/weekly", &bob.token, "", "").await.json();
        shown.push(room["cover_id"].as_str().expect("an id").to_owned());
    }
    assert_ne!(shown[0], shown[1]);
    let (status, headers) = live.bytes("GET /api/v1/rooms/weekly/cover", &bob.token).await;
    assert_eq!((status, &headers["content-type"]), (200, &"image/png".parse().expect("a value")));
    assert_eq!(
        live.http("DELETE /api/v1/rooms/weekly/cover", &ada.token, "", "").await.status,
        204
    );
    assert_eq!(live.bytes("GET /api/v1/rooms/weekly/cover", &bob.token).await.0, 404);
    let room = live.http("GET /api/v1/rooms/weekly", &bob.token, "", "").await.json();
    assert!(room.get("cover_id").is_none());
}
