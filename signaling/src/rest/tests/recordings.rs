use super::powers::{PEOPLE, town};
use super::*;
use crate::records::CONTENTS;
use axum::http::HeaderName;
use protocol::recording::{RecordEnd, RecordingFile, RecordingNow, RecordingState};
use protocol::room::By;
use protocol::{RecordingId, RoomId, ServerMessage, UserId};
use store::{Audience, Change, Fact, FinishedRecording, NewEvent, Ordered};
use uuid::Uuid;

const NAME: &str = "weekly_2026-11-21_09-30_Борис_camera.webm";

/// A recording of 1,000 bytes that has ended, in the room that these calls show as `weekly`.
async fn recorded(server: &Server, owner: &str, id: u128, people: Vec<UserId>) -> RecordingId {
    let id = RecordingId(Uuid::from_u128(id));
    let room: RoomId = text(&server.get("rooms/weekly", owner).await.ok()["id"]).parse().unwrap();
    let by = By { user_id: UserId(Uuid::nil()), display_name: "Anna".into() };
    let ordered = |message, change| {
        let ordered = Ordered {
            message,
            by: by.clone(),
            power: None,
            target: None,
            change,
            audience: Audience::Everybody,
        };
        NewEvent { at_ms: 1_000, fact: Fact::Ordered(Box::new(ordered)) }
    };
    let recording = RecordingNow { recording_id: id, since_ms: 1_000, by: Some(by.clone()) };
    let started = ServerMessage::RecordStarted { recording, consent: None, seq: 0 };
    let reason = RecordEnd::Stopped;
    let stopped = ServerMessage::RecordStopped { recording_id: id, reason, by: None, seq: 0 };
    let title = "Weekly".to_owned();
    let start = Change::StartRecording { id, title, by: Some(by.clone()), at_most: 9 };
    let store = &server.database.store;
    let events = [ordered(started, start), ordered(stopped, Change::StopRecording { id, reason })];
    store.append_events(room, &events).await.unwrap();
    let file = RecordingFile {
        name: NAME.into(),
        participant_id: None,
        user_id: None,
        display_name: "Борис".into(),
        source: "camera".into(),
        codecs: vec!["opus".into(), "vp8".into()],
        offset_ms: 5,
        duration_ms: 60_000,
        bytes: 1_000,
    };
    let (state, files) = (RecordingState::Complete, vec![file]);
    let finished = FinishedRecording { id, state, duration_ms: 60_100, files, people };
    assert!(store.finish_recording(finished).await.unwrap());
    let folder = records(server).folder_of("weekly", id);
    std::fs::create_dir_all(&folder).unwrap();
    let bytes: Vec<u8> = (0..1_000u32).map(|at| at as u8).collect();
    std::fs::write(folder.join(NAME), bytes).unwrap();
    std::fs::write(folder.join(CONTENTS), "{}").unwrap();
    id
}

fn records(server: &Server) -> &crate::records::Records {
    &server.signaling.inner.settings.recording.records
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The path of the file.
fn file_path(id: RecordingId) -> String {
    format!("/api/v1/recordings/{id}/files/{}", crate::rest::encoded(NAME))
}

/// Status, headers and bytes of a file.
async fn fetch(
    server: &Server,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = server.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    (parts.status.as_u16(), parts.headers, bytes)
}

#[tokio::test]
async fn every_call_about_a_recording_answers_each_by_the_tables() {
    let (server, tokens) = town().await;
    let owner = &tokens[7];
    let member = server.get("auth/me", &tokens[5]).await.ok()["id"].clone();
    let id = recorded(&server, owner, 1, vec![text(&member).parse().unwrap()]).await;
    let nowhere = Uuid::from_u128(2);
    // Who may do something with it: those who record, of those who may see it.
    let done = |code| [401, 404, 404, 403, 403, 403, code, code, 404];
    let doing = [
        ("POST recordings/{id}/stop", Value::Null, done(200)),
        ("PATCH recordings/{id}", json!({ "title": "Budget" }), done(200)),
        // In these tests nobody makes exports: the queue is always full.
        ("POST recordings/{id}/exports", json!({ "view": "grid" }), done(503)),
        ("DELETE recordings/{id}/exports/grid", Value::Null, done(204)),
        (
            "DELETE recordings/{id}/exports/all",
            Value::Null,
            [401, 400, 400, 400, 400, 400, 400, 400, 400],
        ),
        (
            "PATCH recordings/{id}",
            json!({ "title": " " }),
            [401, 400, 400, 400, 400, 400, 400, 400, 400],
        ),
    ];
    let seeing = [
        ("owner", [401, 404, 404, 403, 403, 403, 403, 200, 404]),
        ("admins", [401, 404, 404, 403, 403, 403, 200, 200, 404]),
        // The member was there, the guest was not.
        ("present", [401, 404, 404, 403, 403, 200, 200, 200, 404]),
        ("link", [401, 200, 200, 403, 200, 200, 200, 200, 200]),
    ];
    let path = file_path(id);
    for (is_for, expected) in seeing {
        let policy = json!({ "recordings_for": is_for });
        server.call("PUT rooms/weekly/recording-policy", owner, policy).await.ok();
        for (who, token) in tokens.iter().enumerate() {
            let said = |what: &str| format!("{what} for {is_for} by {}", PEOPLE[who]);
            for call in [
                "GET recordings/{id}",
                "GET recordings/{id}/meeting.json",
                "GET recordings/{id}/exports",
            ] {
                let answer =
                    server.call(&call.replace("{id}", &id.to_string()), token, Value::Null).await;
                assert_eq!(answer.status.as_u16(), expected[who], "{}", said(call));
            }
            let bearer = format!("Bearer {token}");
            let bearer = [(header::AUTHORIZATION, bearer.as_str())];
            let asked = if token.is_empty() { &[][..] } else { &bearer };
            assert_eq!(fetch(&server, &path, asked).await.0, expected[who], "{}", said("file"));
            let link = server
                .post(&format!("recordings/{id}/links"), token, json!({ "file": NAME }))
                .await;
            assert_eq!(link.status.as_u16(), expected[who], "{}", said("link"));
            let call = format!("POST recordings/{id}/watch");
            let watch = server.call(&call, token, Value::Null).await;
            let expected = if expected[who] == 200 { 204 } else { expected[who] };
            assert_eq!(watch.status.as_u16(), expected, "{}", said("watch"));
        }
        // What the owner keeps for themselves, admins neither rename, nor export, nor delete; stopping it they may.
        let admin = &tokens[6];
        let may = if is_for == "owner" { [403, 403, 403, 200] } else { [200, 503, 204, 200] };
        for ((call, body), expected) in [
            ("PATCH recordings/{id}", json!({ "title": "Weekly" })),
            ("POST recordings/{id}/exports", json!({ "view": "grid" })),
            ("DELETE recordings/{id}/exports/grid", Value::Null),
            ("POST recordings/{id}/stop", Value::Null),
        ]
        .into_iter()
        .zip(may)
        {
            let answer = server.call(&call.replace("{id}", &id.to_string()), admin, body).await;
            assert_eq!(answer.status.as_u16(), expected, "{call} for {is_for} by an admin");
        }
        if is_for == "owner" {
            let answer = server.call(&format!("DELETE recordings/{id}"), admin, Value::Null).await;
            assert_eq!(answer.status.as_u16(), 403, "deleted by an admin who may not see it");
        }
    }
    for (call, body, expected) in doing {
        for (who, token) in tokens.iter().enumerate() {
            let path = call.replace("{id}", &id.to_string());
            let answer = server.call(&path, token, body.clone()).await;
            assert_eq!(answer.status.as_u16(), expected[who], "{call} by {}", PEOPLE[who]);
            let path = call.replace("{id}", &nowhere.to_string());
            let answer = server.call(&path, token, body.clone()).await;
            let none = if expected[7] == 400 {
                expected[who]
            } else if token.is_empty() {
                401
            } else {
                404
            };
            assert_eq!(answer.status.as_u16(), none, "{call} of none by {}", PEOPLE[who]);
        }
    }
    // Last: it is gone then.
    let call = format!("DELETE recordings/{id}");
    for (who, expected) in done(204).iter().enumerate().filter(|(who, _)| *who != 7) {
        let answer = server.call(&call, &tokens[who], Value::Null).await;
        assert_eq!(answer.status.as_u16(), *expected, "{call} by {}", PEOPLE[who]);
    }
}

#[tokio::test]
async fn the_table_has_every_call_about_recordings() {
    let document = serde_json::to_value(Signaling::openapi()).unwrap();
    let paths: Vec<&String> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|path| path.starts_with("/api/v1/recordings/{id}"))
        .collect();
    let tested = [
        "",
        "/exports",
        "/exports/{view}",
        "/files/{name}",
        "/links",
        "/meeting.json",
        "/stop",
        "/watch",
    ];
    assert_eq!(
        paths,
        tested.map(|rest| format!("/api/v1/recordings/{{id}}{rest}")).iter().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_file_comes_whole_or_in_parts_and_as_nothing_that_runs() {
    let (server, tokens) = town().await;
    let id = recorded(&server, &tokens[7], 1, Vec::new()).await;
    let bearer = format!("Bearer {}", tokens[7]);
    let token = (header::AUTHORIZATION, bearer.as_str());
    let path = file_path(id);
    let (status, headers, bytes) = fetch(&server, &path, std::slice::from_ref(&token)).await;
    assert_eq!((status, bytes.len()), (200, 1_000));
    assert_eq!(headers[header::CONTENT_TYPE], "video/webm");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "default-src 'none'; sandbox");
    assert_eq!(headers[header::ACCEPT_RANGES], "bytes");
    let tag = headers[header::ETAG].to_str().unwrap().to_owned();
    let part = [token.clone(), (header::RANGE, "bytes=100-199")];
    let (status, headers, bytes) = fetch(&server, &path, &part).await;
    assert_eq!((status, bytes.len(), bytes[0]), (206, 100, 100));
    assert_eq!(headers[header::CONTENT_RANGE], "bytes 100-199/1000");
    assert_eq!(headers[header::CONTENT_LENGTH], "100");
    let none = [token.clone(), (header::RANGE, "bytes=1000-")];
    let (status, headers, _) = fetch(&server, &path, &none).await;
    assert_eq!((status, &headers[header::CONTENT_RANGE]), (416, &"bytes */1000".parse().unwrap()));
    let known = [token.clone(), (header::IF_NONE_MATCH, tag.as_str())];
    assert_eq!(fetch(&server, &path, &known).await.0, 304);
    for other in ["meeting.json", ".reserve", "..%2F..%2Fsecret", "x.webm"] {
        let path = format!("/api/v1/recordings/{id}/files/{other}");
        assert_eq!(fetch(&server, &path, std::slice::from_ref(&token)).await.0, 404, "{other}");
    }
}

#[tokio::test]
async fn links_and_cookies_open_what_they_are_for_until_their_holder_may_not_any_more() {
    let (server, tokens) = town().await;
    let (owner, admin) = (&tokens[7], &tokens[6]);
    let id = recorded(&server, owner, 1, Vec::new()).await;
    let other = recorded(&server, owner, 2, Vec::new()).await;
    let answer =
        server.post(&format!("recordings/{id}/links"), admin, json!({ "file": NAME })).await.ok();
    let url = text(&answer["url"]);
    let expires_at = answer["expires_at"].as_i64().unwrap();
    assert!(expires_at <= crate::clock::now_ms() + 5 * 60 * 1_000);
    assert_eq!(fetch(&server, &url, &[]).await.0, 200);
    let elsewhere = url.replace(&id.to_string(), &other.to_string());
    assert_eq!(fetch(&server, &elsewhere, &[]).await.0, 401);
    let watch = server.call(&format!("POST recordings/{id}/watch"), admin, Value::Null).await;
    let cookie = watch.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    for part in [
        "HttpOnly".to_owned(),
        "SameSite=Strict".to_owned(),
        "Max-Age=300".to_owned(),
        format!("Path=/api/v1/recordings/{id}/files"),
    ] {
        assert!(cookie.contains(&part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let shown = [(header::COOKIE, cookie.as_str())];
    let part = [shown[0].clone(), (header::RANGE, "bytes=0-9")];
    assert_eq!(fetch(&server, &file_path(id), &part).await.0, 206);
    assert_eq!(fetch(&server, &file_path(other), &shown).await.0, 401);
    // A cookie is no token: nothing else is opened by it.
    assert_eq!(fetch(&server, &format!("/api/v1/recordings/{id}"), &shown).await.0, 401);

    let admin_id = server.get("auth/me", admin).await.ok()["id"].clone();
    let demote = json!({ "type": "role.set", "user_id": admin_id, "role": "member" });
    server.post("rooms/weekly/orders", owner, demote).await.is_empty();
    assert_eq!(fetch(&server, &url, &[]).await.0, 403);
    assert_eq!(fetch(&server, &file_path(id), &shown).await.0, 403);
    let kick = json!({ "type": "member.kick", "user_id": admin_id });
    server.post("rooms/weekly/orders", owner, kick).await.is_empty();
    assert_eq!(fetch(&server, &url, &[]).await.0, 404);
    server.call("POST auth/logout-all", admin, Value::Null).await;
    assert_eq!(fetch(&server, &url, &[]).await.0, 401);
}

#[tokio::test]
async fn what_is_deleted_is_gone_from_the_disk_and_from_the_list() {
    let (server, tokens) = town().await;
    let owner = &tokens[7];
    let first = recorded(&server, owner, 1, Vec::new()).await;
    let second = recorded(&server, owner, 2, Vec::new()).await;
    let ids = async |query: &str| {
        let list = server.get(&format!("rooms/weekly/recordings{query}"), owner).await.ok();
        let ids = list["recordings"].as_array().unwrap().iter().map(|r| text(&r["id"]));
        (ids.collect::<Vec<_>>(), list["has_more"].as_bool().unwrap())
    };
    assert_eq!(ids("").await, (vec![second.to_string(), first.to_string()], false));
    assert_eq!(ids("?limit=1").await, (vec![second.to_string()], true));
    assert_eq!(ids(&format!("?before_id={second}")).await, (vec![first.to_string()], false));
    let title = json!({ "title": "Budget" });
    let renamed = server.call(&format!("PATCH recordings/{first}"), owner, title).await.ok();
    assert_eq!((&renamed["title"], &renamed["files"][0]["name"]), (&json!("Budget"), &json!(NAME)));
    let folder = records(&server).folder_of("weekly", first);
    assert!(folder.join(NAME).exists());
    server.call(&format!("DELETE recordings/{first}"), owner, Value::Null).await.is_empty();
    assert!(!folder.exists());
    assert_eq!(server.get(&format!("recordings/{first}"), owner).await.status.as_u16(), 404);
    assert_eq!(ids("").await.0, [second.to_string()]);
    // The other's time is over a day after its end.
    let policy = json!({ "recordings_for": "admins", "kept_days": 1 });
    server.call("PUT rooms/weekly/recording-policy", owner, policy).await.ok();
    let kept = server.get(&format!("recordings/{second}"), owner).await.ok();
    assert_eq!(kept["expires_ms"], 1_000 + 24 * 60 * 60 * 1_000);
    let expires_ms = kept["expires_ms"].as_i64().unwrap();
    let inner = &server.signaling.inner;
    crate::recordings::sweep(inner, expires_ms - 1).await.unwrap();
    assert_eq!(ids("").await.0, [second.to_string()]);
    crate::recordings::sweep(inner, expires_ms).await.unwrap();
    assert!(ids("").await.0.is_empty());
    assert!(!records(&server).folder_of("weekly", second).exists());
}

#[tokio::test]
async fn exports_count_like_the_files_they_are_made_of() {
    let (server, tokens) = town().await;
    let owner = &tokens[7];
    let id = recorded(&server, owner, 1, Vec::new()).await;
    let folder = records(&server).folder_of("weekly", id);
    let bytes = async || {
        server.get(&format!("recordings/{id}"), owner).await.ok()["bytes"].as_u64().unwrap()
    };
    let export = async |view: &str| {
        let path = format!("recordings/{id}/exports");
        server.post(&path, owner, json!({ "view": view })).await.status.as_u16()
    };
    assert_eq!(bytes().await, 1_000);
    std::fs::write(folder.join("export-grid.mp4"), vec![0; 2 << 20]).unwrap();
    server.signaling.export_made(id).await;
    assert_eq!(bytes().await, 1_000 + (2 << 20));
    let policy = json!({ "recordings_for": "admins", "quota_mb": 2 });
    server.call("PUT rooms/weekly/recording-policy", owner, policy).await.ok();
    // There is no room for more; what is there stays.
    assert_eq!(export("sound").await, 409);
    assert_eq!(export("grid").await, 202);
    let delete = format!("DELETE recordings/{id}/exports/grid");
    server.call(&delete, owner, Value::Null).await.is_empty();
    assert_eq!(bytes().await, 1_000);
    assert!(!folder.join("export-grid.mp4").exists());
    // In these tests nobody makes exports: the queue is always full.
    assert_eq!(export("sound").await, 503);
    // One that was made of what is gone counts nowhere.
    server.call(&format!("DELETE recordings/{id}"), owner, Value::Null).await.is_empty();
    server.signaling.export_made(id).await;
}

#[tokio::test]
async fn a_deleted_room_takes_its_recordings_along() {
    let (server, tokens) = town().await;
    let id = recorded(&server, &tokens[7], 1, Vec::new()).await;
    let folder = records(&server).folder_of("weekly", id);
    assert!(folder.exists());
    server.call("DELETE rooms/weekly", &tokens[7], Value::Null).await.is_empty();
    assert!(!folder.exists());
    assert!(server.database.store.all_recordings().await.unwrap().is_empty());
}
