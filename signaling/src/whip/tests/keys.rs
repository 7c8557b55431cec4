//! Stream keys: who makes them, what they open, and how that ends.

use super::*;
use crate::live::text;
use serde_json::Value;

async fn key(live: &Live, owner: &Person, body: Value) -> (Value, Person) {
    let made = live.post(&format!("rooms/{SLUG}/stream-keys"), &owner.token, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let person = Person { token: text(&made["key"]), id: text(&made["user_id"]) };
    (made, person)
}

fn camera() -> Value {
    json!({ "name": "Stage camera", "purpose": "publish" })
}

#[tokio::test]
async fn an_encoder_with_a_key_is_a_participant_of_its_name_until_the_key_is_revoked() {
    let (live, anna, _) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let (made, encoder) = key(&live, &anna, camera()).await;
    assert!(encoder.token.starts_with("vsk_"), "{made}");
    let told = client.wait("stream_key.created").await;
    assert_eq!(
        (&told["stream_key"]["id"], &told["stream_key"]["key"]),
        (&made["id"], &Value::Null)
    );
    let (answer, _) = open(&live, &format!("POST /whip/{SLUG}"), &encoder).await;
    assert_eq!(answer.status, 201);
    let joined = client.wait("member.joined").await["participant"].clone();
    assert_eq!(joined["display_name"], "Stage camera");
    assert_eq!((&joined["user_id"], &joined["role"]), (&made["user_id"], &json!("guest")));
    let list = format!("GET /api/v1/rooms/{SLUG}/stream-keys");
    let listed = live.http(&list, &anna.token, "", "").await.json();
    let listed = &listed["stream_keys"][0];
    assert_eq!((&listed["id"], &listed["key"]), (&made["id"], &Value::Null));
    assert!(listed["used_ms"].is_i64(), "{listed}");

    let call = format!("DELETE /api/v1/rooms/{SLUG}/stream-keys/{}", text(&made["id"]));
    assert_eq!(live.http(&call, &anna.token, "", "").await.status, 204);
    assert_eq!(client.wait("member.left").await["participant_id"], joined["id"]);
    assert!(matches!(live.command().await, Command::Leave { .. }));
    assert_eq!(client.wait("stream_key.revoked").await["name"], "Stage camera");
    let again = live.http(&format!("POST /whip/{SLUG}"), &encoder.token, SDP, OFFER).await;
    assert_eq!(again.refusal(), (401, "unauthorized".into()));
    assert_eq!(live.http(&call, &anna.token, "", "").await.refusal(), (404, "not_found".into()));
    let audit = live.http(&format!("GET /api/v1/rooms/{SLUG}/audit"), &anna.token, "", "").await;
    let actions: Vec<String> = audit.json()["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| text(&entry["action"]))
        .collect();
    assert_eq!(actions, ["stream_key.revoked", "stream_key.created"]);
    assert!(!audit.text.contains(&encoder.token), "a log that lets encoders in");
}

#[tokio::test]
async fn a_removed_encoder_does_not_come_back_by_its_key() {
    let (live, anna, _) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let (made, encoder) = key(&live, &anna, camera()).await;
    open(&live, &format!("POST /whip/{SLUG}"), &encoder).await;
    client.wait("member.joined").await;
    let kick = json!({ "type": "member.kick", "user_id": made["user_id"] });
    live.post(&format!("rooms/{SLUG}/orders"), &anna.token, kick).await;
    client.wait("member.left").await;
    let again = live.http(&format!("POST /whip/{SLUG}"), &encoder.token, SDP, OFFER).await;
    assert_eq!(again.refusal(), (401, "unauthorized".into()));
}

#[tokio::test]
async fn a_new_session_of_a_key_takes_the_place_of_the_one_before_and_players_share_one() {
    let (live, anna, _) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let (_, encoder) = key(&live, &anna, camera()).await;
    let whip = format!("POST /whip/{SLUG}");
    let (first, _) = open(&live, &whip, &encoder).await;
    let first_id = client.wait("member.joined").await["participant"]["id"].clone();
    let (second, ()) = tokio::join!(live.http(&whip, &encoder.token, SDP, OFFER), async {
        loop {
            match live.command().await {
                Command::Publish { peer, .. } => {
                    live.signaling.media_event(Event::Answered { peer, sdp: "v=0".into() });
                    return;
                }
                Command::Leave { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(second.status, 201);
    assert_eq!(client.wait("member.left").await["participant_id"], first_id);
    client.wait("member.joined").await;
    let gone = live.http(&format!("DELETE {}", first.header("location")), "", "", "").await;
    assert_eq!(gone.status, 404);
    let (_, player) = key(&live, &anna, json!({ "name": "Wall", "purpose": "watch" })).await;
    for _ in 0..2 {
        let (answer, _) = open(&live, &format!("POST /whep/{SLUG}"), &player).await;
        assert_eq!(answer.status, 201);
    }
}

#[tokio::test]
async fn a_key_opens_its_room_for_its_purpose_and_nothing_else() {
    let (live, anna, _) = stage().await;
    live.room(&anna, "other").await;
    let (_, encoder) = key(&live, &anna, camera()).await;
    let (_, player) = key(&live, &anna, json!({ "name": "Wall", "purpose": "watch" })).await;
    for (call, token, status, code) in [
        ("POST /whip/other", encoder.token.as_str(), 403, "forbidden"),
        ("POST /whip/nowhere", &encoder.token, 404, "not_found"),
        ("POST /whep/stand-up", &encoder.token, 403, "forbidden"),
        ("POST /whip/stand-up", &player.token, 403, "forbidden"),
        ("POST /whip/stand-up", "vsk_invented", 401, "unauthorized"),
        ("GET /api/v1/rooms/stand-up", &encoder.token, 401, "unauthorized"),
        ("POST /api/v1/rooms/stand-up/ticket", &encoder.token, 401, "unauthorized"),
    ] {
        let answer = live.http(call, token, SDP, OFFER).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{call} {token}");
    }
    let long = format!("vsk_{}", "A".repeat(5_000));
    let answer = live.http("POST /whip/stand-up", &long, SDP, OFFER).await;
    assert_eq!(answer.refusal(), (401, "unauthorized".into()));
}

#[tokio::test]
async fn a_key_whose_time_is_over_opens_nothing() {
    let (live, anna, _) = stage().await;
    let room = live.signaling.inner.store.room_by_slug(SLUG).await.unwrap().unwrap();
    let now_ms = crate::clock::now_ms();
    for (token, expires_ms, status) in
        [("vsk_over", now_ms - 1, 401), ("vsk_good", now_ms + 3_600_000, 403)]
    {
        let stored = store::StreamKey {
            id: StreamKeyId(Uuid::now_v7()),
            room_id: room.id,
            user_id: UserId(Uuid::now_v7()),
            purpose: StreamKeyPurpose::Watch,
            name: "Wall".into(),
            expires_ms: Some(expires_ms),
            used_ms: None,
            created_by: anna.id.parse().unwrap(),
            created_ms: now_ms - 60_000,
        };
        let hash = live.signaling.inner.keys.stream_key_hash(token);
        assert!(live.signaling.inner.store.create_stream_key(&stored, &hash).await.unwrap());
        let answer = live.http(&format!("POST /whip/{SLUG}"), token, SDP, OFFER).await;
        assert_eq!(answer.status, status, "{token}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_key_passes_the_lobby_and_not_the_lock() {
    let (live, anna, boris) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let (_, encoder) = key(&live, &anna, camera()).await;
    client.ask(json!({ "type": "state.set", "has_lobby": true })).await;
    let whip = format!("POST /whip/{SLUG}");
    let refused = live.http(&whip, &boris.token, SDP, OFFER).await;
    assert_eq!(refused.refusal(), (403, "lobby".into()));
    let (answer, _) = open(&live, &whip, &encoder).await;
    assert_eq!(answer.status, 201);
    live.http(&format!("DELETE {}", answer.header("location")), "", "", "").await;
    client.wait("member.left").await;
    client.ask(json!({ "type": "state.set", "is_locked": true })).await;
    let refused = live.http(&whip, &encoder.token, SDP, OFFER).await;
    assert_eq!(refused.refusal(), (403, "locked".into()));
}

#[tokio::test]
async fn only_moderators_make_see_and_revoke_keys_and_no_more_than_a_room_may_have() {
    let (live, anna, boris) = stage().await;
    live.ticket(&boris, SLUG, json!({})).await;
    let path = format!("rooms/{SLUG}/stream-keys");
    let (made, _) = key(&live, &anna, camera()).await;
    let refused = live.post(&path, &boris.token, camera()).await;
    assert_eq!(refused.refusal(), (403, "forbidden".into()));
    let one = format!("DELETE /api/v1/{path}/{}", text(&made["id"]));
    for call in [format!("GET /api/v1/{path}"), one] {
        let refused = live.http(&call, &boris.token, "", "").await;
        assert_eq!(refused.refusal(), (403, "forbidden".into()), "{call}");
    }
    for (body, code) in [
        (json!({ "name": " ", "purpose": "publish" }), "invalid"),
        (json!({ "name": "A", "purpose": "publish", "expires_in": 0 }), "invalid"),
        (json!({ "name": "A", "purpose": "record" }), "bad_request"),
        (json!({ "name": "A" }), "bad_request"),
    ] {
        let refused = live.post(&path, &anna.token, body.clone()).await;
        assert_eq!(refused.refusal(), (400, code.to_owned()), "{body}");
    }
    for _ in 1..protocol::limits::MAX_STREAM_KEYS {
        key(&live, &anna, camera()).await;
    }
    let refused = live.post(&path, &anna.token, camera()).await;
    assert_eq!(refused.refusal(), (409, "conflict".into()));
}

#[tokio::test]
async fn what_somebody_opened_by_their_token_ends_when_they_sign_out() {
    let (live, anna, boris) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    for way in ["auth/logout", "auth/logout-all"] {
        let person = if way == "auth/logout" { &boris } else { &live.guest("Cara").await };
        let (published, _) = open(&live, &format!("POST /whip/{SLUG}"), person).await;
        let joined = client.wait("member.joined").await["participant"].clone();
        let (watched, _) = open(&live, &format!("POST /whep/{SLUG}"), person).await;
        assert_eq!((published.status, watched.status), (201, 201));
        assert_eq!(live.post(way, &person.token, json!({})).await.status, 204);
        assert_eq!(client.wait("member.left").await["participant_id"], joined["id"], "{way}");
        let mut ended = Vec::new();
        loop {
            match live.command().await {
                Command::Leave { participant, .. } => ended.push(participant),
                Command::SendAway { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(ended.len(), 2, "{way}");
        for opened in [published, watched] {
            let gone =
                live.http(&format!("DELETE {}", opened.header("location")), "", "", "").await;
            assert_eq!(gone.status, 404, "{way}");
        }
    }
}
