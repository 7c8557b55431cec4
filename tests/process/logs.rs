//! What the logs say, and what they must never say, at their most talkative.

use crate::program::{Place, Program};
use serde_json::json;
use std::io::{Read, Write};

const SECRETS: &[&str] = &["hunter2", "t1cket", "t0ken", "c0de", "bearer-word", "s3tup"];

/// Uses every door that a secret comes in by.
fn say_secrets(program: &Program) -> String {
    let guest = program.post("/api/v1/auth/guest", None, &json!({"display_name": "Anna"}));
    let token = guest.json()["access_token"].as_str().unwrap().to_owned();
    let room = program.post("/api/v1/rooms", Some(&token), &json!({"name": "Hall"})).json();
    let (slug, invite) = (&room["slug"].as_str().unwrap(), room["invite_code"].as_str().unwrap());
    program.get("/?token=t0ken");
    program.get("/api/v1/rooms/by-invite/c0de?token=t0ken");
    program.post(&format!("/api/v1/rooms/by-invite/{invite}/join"), Some(&token), &json!({}));
    program.send("GET", "/api/v1/rooms", &[("Authorization", "Bearer bearer-word")], "");
    program.post(
        "/api/v1/auth/register",
        None,
        &json!({"email": "a@example.org", "username": "anna", "password": "hunter2hunter2", "setup_token": "s3tup"}),
    );
    let login = json!({"username": "anna", "password": "hunter2hunter2"});
    program.post("/api/v1/auth/login", None, &login);
    for query in [format!("token={token}"), "token=t0ken".into(), "ticket=t1cket".into()] {
        let mut stream = program.connect();
        write!(
            stream,
            "GET /ws/rooms/{slug}?{query} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            program.address
        )
        .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head[..9], b"HTTP/1.1 ");
    }
    format!("{token} {invite}")
}

#[test]
fn no_secret_is_logged_at_any_level() {
    for format in ["pretty", "json"] {
        let place = Place::new(&[("LOG_LEVEL", "trace"), ("LOG_FORMAT", format)]);
        let program = place.serve();
        let setup_token = program.setup_token().unwrap();
        let made = say_secrets(&program);
        let log = program.stop();
        assert!(log.contains("/api/v1/rooms/by-invite/{code}"), "requests are logged: {log}");
        let made = made.split(' ').chain([setup_token.as_str()]);
        for secret in SECRETS.iter().copied().chain(made) {
            assert!(!log.contains(secret), "{secret} in the log:\n{log}");
        }
        let kept = std::fs::read_to_string(place.path("data/secrets.toml")).unwrap();
        for secret in kept.split('"').skip(1).step_by(2) {
            assert!(!log.contains(secret), "a kept secret in the log");
        }
    }
}

#[test]
fn json_logs_are_one_object_a_line_with_the_request_they_belong_to() {
    let place = Place::new(&[("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug")]);
    let program = place.serve();
    program.send("GET", "/health", &[("X-Request-ID", "trace-0042")], "");
    let log = program.stop();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let line = lines.iter().find(|line| line["span"]["id"] == "trace-0042").unwrap();
    assert_eq!((&line["status"], &line["span"]["route"]), (&json!(200), &json!("/health")));
    assert!(lines.iter().any(|line| line["message"] == "stopping"));
}
