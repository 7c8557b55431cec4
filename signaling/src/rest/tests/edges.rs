//! What is the same for every call: refusals, limits, the document, and the doors of the operator.

use super::{Server, production};
use crate::Signaling;
use crate::settings::Settings;
use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

fn request(method: &str, path: &str, content_type: Option<&str>, body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request.body(Body::from(body.to_owned())).expect("a request")
}

#[tokio::test]
async fn the_process_says_whether_it_lives_and_whether_it_can_serve() {
    let server = Server::new().await;
    for path in ["/health", "/ready"] {
        let answer = server.send(request("GET", path, None, "")).await;
        assert_eq!(answer.ok(), json!({"status": "ok"}));
    }
    server.database.store.close().await;
    server.send(request("GET", "/health", None, "")).await.ok();
    server.send(request("GET", "/ready", None, "")).await.is_refused(503, "unavailable");
    let answer = server.post("auth/guest", "", json!({"display_name": "Ada"})).await;
    answer.is_refused(503, "unavailable");
}

#[tokio::test]
async fn a_body_that_is_not_what_the_call_takes_is_refused_in_our_own_words() {
    let server = Server::new().await;
    let guest = "/api/v1/auth/guest";
    let json_type = Some("application/json");
    for (content_type, body, status, code) in [
        (json_type, "{", 400, "bad_request"),
        (json_type, "", 400, "bad_request"),
        (json_type, "[]", 400, "bad_request"),
        (json_type, "{}", 400, "bad_request"),
        (json_type, r#"{"display_name": 7}"#, 400, "bad_request"),
        (json_type, "{\"display_name\": \"\u{0}\"}", 400, "bad_request"),
        (None, r#"{"display_name": "Ada"}"#, 415, "unsupported_media"),
        (Some("text/plain"), r#"{"display_name": "Ada"}"#, 415, "unsupported_media"),
        (json_type, &format!(r#"{{"display_name": "{}"}}"#, "a".repeat(70_000)), 413, "too_large"),
    ] {
        let answer = server.send(request("POST", guest, content_type, body)).await;
        answer.is_refused(status, code);
    }
    let charset = Some("application/json; charset=utf-8");
    server.send(request("POST", guest, charset, r#"{"display_name": "Ada"}"#)).await.created();
}

#[tokio::test]
async fn an_order_that_names_a_field_twice_is_refused() {
    let server = Server::new().await;
    let token = server.guest("Anna").await;
    server.room(&token, "weekly").await;
    let from: std::net::SocketAddr = ([192, 0, 2, 1], 40_000).into();
    let request = axum::http::Request::post("/api/v1/rooms/weekly/orders")
        .extension(axum::extract::ConnectInfo(from))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(r#"{"type":"state.set","is_locked":false,"is_locked":true}"#.into())
        .unwrap();
    server.send(request).await.is_refused(400, "bad_request");
}

#[tokio::test]
async fn a_body_that_may_be_left_out_is_still_checked_when_it_is_there() {
    let server = Server::new().await;
    let logout = "/api/v1/auth/logout";
    for (content_type, body, status, code) in [
        (Some("application/json"), "", 401, "unauthorized"),
        (Some("application/json"), "{", 400, "bad_request"),
        (Some("text/plain"), "x", 415, "unsupported_media"),
        (Some("application/json"), &" ".repeat(70_000), 413, "too_large"),
    ] {
        let answer = server.send(request("POST", logout, content_type, body)).await;
        answer.is_refused(status, code);
    }
}

#[tokio::test]
async fn unknown_paths_and_wrong_methods_are_answered_in_json() {
    let server = Server::new().await;
    for path in ["/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v1/rooms/a/b/c/d"] {
        server.send(request("GET", path, None, "")).await.is_refused(404, "not_found");
    }
    for (method, path) in
        [("GET", "/api/v1/auth/guest"), ("PUT", "/api/v1/rooms/weekly"), ("POST", "/health")]
    {
        let answer = server.send(request(method, path, None, "")).await;
        answer.is_refused(405, "method_not_allowed");
        assert!(answer.headers.contains_key(header::ALLOW), "{method} {path}");
    }
}

#[tokio::test]
async fn the_document_lists_every_call_with_its_answers() {
    let document = serde_json::to_value(Signaling::openapi()).expect("serializes");
    let mut listed: Vec<String> = Vec::new();
    for (path, calls) in document["paths"].as_object().expect("paths") {
        for (method, call) in calls.as_object().expect("calls") {
            let line = format!("{} {path}", method.to_uppercase());
            let answers = call["responses"].as_object().expect("answers");
            assert!(answers.keys().any(|status| status.starts_with('2')), "{line}");
            let needs_somebody = call["security"].is_array();
            assert_eq!(
                needs_somebody,
                answers.contains_key("401")
                    && !line.ends_with("/login")
                    && !line.ends_with("/refresh"),
                "{line}"
            );
            assert!(call["summary"].is_string(), "{line}");
            listed.push(line);
        }
    }
    for line in [
        "GET /health",
        "GET /ready",
        "POST /api/v1/auth/guest",
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/logout",
        "POST /api/v1/auth/logout-all",
        "GET /api/v1/auth/me",
        "PATCH /api/v1/auth/me",
        "GET /api/v1/rooms",
        "POST /api/v1/rooms",
        "GET /api/v1/rooms/{slug}",
        "PATCH /api/v1/rooms/{slug}",
        "DELETE /api/v1/rooms/{slug}",
        "POST /api/v1/rooms/{slug}/ticket",
        "GET /api/v1/rooms/{slug}/participants",
        "GET /api/v1/rooms/{slug}/messages",
        "GET /api/v1/rooms/by-invite/{code}",
        "POST /api/v1/rooms/by-invite/{code}/join",
        "GET /api/v1/webrtc/ice-servers",
        "GET /api/v1/config",
    ] {
        assert!(listed.iter().any(|listed| listed == line), "{line} is not in the document");
    }
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
}

#[tokio::test]
async fn every_call_of_the_document_is_one_of_the_router() {
    let server = Server::new().await;
    let document = serde_json::to_value(Signaling::openapi()).expect("serializes");
    for (path, calls) in document["paths"].as_object().expect("paths") {
        let path = path.replace(['{', '}'], "");
        for method in calls.as_object().expect("calls").keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let answer = server.send(request(method.as_str(), &path, None, "")).await;
            let message = &answer.body["error"]["message"];
            assert_ne!(message, "there is no such path", "{method} {path}");
            assert_ne!(answer.status.as_u16(), 405, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let settings = Settings { guests_may_create_rooms: true, ..production() };
    let server = Server::with(settings).await;
    let token = server.guest("Ada").await;
    for (call, body) in [
        ("POST auth/guest", json!({"display_name": "Ada"})),
        ("POST auth/register", json!({"username": "", "email": "", "password": ""})),
        ("POST auth/login", json!({"username": "", "password": ""})),
        ("POST auth/refresh", json!({"refresh_token": ""})),
        ("POST rooms", json!({"name": ""})),
        ("GET rooms/by-invite/none", Value::Null),
        ("POST rooms/by-invite/none/join", Value::Null),
        ("POST rooms/none/ticket", json!({})),
        ("PATCH auth/me", json!({"display_name": ""})),
    ] {
        let mut refusal = None;
        for _ in 0..1_000 {
            let answer = server.call(call, &token, body.clone()).await;
            if answer.status.as_u16() == 429 {
                refusal = Some(answer);
                break;
            }
        }
        let refusal = refusal.unwrap_or_else(|| panic!("{call} has no limit"));
        refusal.is_refused(429, "rate_limited");
        let wait: u64 =
            refusal.headers[header::RETRY_AFTER].to_str().expect("text").parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{call}: {wait}");
    }
}

#[tokio::test]
async fn ice_servers_are_for_whoever_is_signed_in() {
    let server = Server::with(Settings {
        stun_servers: vec!["stun:stun.example.org".into()],
        turn_urls: vec!["turn:turn.example.org".into()],
        turn_secret: super::secret("north"),
        turn_builtin: Some(crate::BuiltinTurn {
            urls: vec!["turn:192.0.2.1:8081".into()].into(),
            secret: crate::Secret::new("east"),
            ttl: std::time::Duration::from_secs(600),
        }),
        ..Settings::for_tests()
    })
    .await;
    let token = server.guest("Ada").await;
    let me = server.get("auth/me", &token).await.ok();
    let servers = server.get("webrtc/ice-servers", &token).await.ok();
    assert_eq!(servers["ice_servers"][0], json!({"urls": ["stun:stun.example.org"]}));
    let username = super::text(&servers["ice_servers"][1]["username"]);
    assert!(username.ends_with(&super::text(&me["id"])), "{username}");
    assert_eq!(servers["ttl"], 3_600);
    server.get("webrtc/ice-servers?room=nowhere", &token).await.is_refused(404, "not_found");
    server.post("rooms", &token, json!({"slug": "weekly", "name": "W"})).await;
    let room = server.get("rooms/weekly", &token).await.ok();
    let servers = server.get("webrtc/ice-servers?room=weekly", &token).await.ok();
    assert_eq!(servers["ttl"], 600);
    assert_eq!(servers["ice_servers"][1]["urls"], json!(["turn:192.0.2.1:8081"]));
    let username = super::text(&servers["ice_servers"][1]["username"]);
    let named = format!(":{}:{}", super::text(&me["id"]), super::text(&room["id"]));
    assert!(username.ends_with(&named), "{username}");
}
