//! The end: clean, soon, and at once for who asks twice.

use crate::program::Place;
use serde_json::json;
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn either_signal_ends_it_cleanly_though_connections_are_open() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut program = Place::new(&[]).serve();
        let mut idle = program.connect();
        write!(idle, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 15];
        idle.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        let mut silent = program.connect();
        program.signal(signal);
        let (code, took, log) = program.ended();
        assert_eq!(code, Some(0), "{log}");
        assert!(took < Duration::from_secs(4), "{took:?}: nobody had to be waited for");
        assert!(log.contains("stopping") && !log.contains("were cut"), "{log}");
        let mut rest = Vec::new();
        // Accepted or still waiting for it, nothing is said to who said nothing.
        let _ = silent.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
}

#[test]
fn a_meeting_ends_with_a_word_and_does_not_hold_up_the_end() {
    let mut program = Place::new(&[]).serve();
    let guest = program.post("/api/v1/auth/guest", None, &json!({"display_name": "Anna"})).json();
    let token = guest["access_token"].as_str().unwrap();
    let room = program.post("/api/v1/rooms", Some(token), &json!({"name": "Hall"})).json();
    let slug = room["slug"].as_str().unwrap();
    let mut socket = program.connect();
    write!(
        socket,
        "GET /ws/rooms/{slug}?token={token} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        program.address
    )
    .unwrap();
    let mut heard = String::new();
    while !heard.contains("sync.info") {
        let mut some = [0; 4096];
        let length = socket.read(&mut some).unwrap();
        heard.push_str(&String::from_utf8_lossy(&some[..length]));
        assert!(length > 0 && heard.starts_with("HTTP/1.1 101"), "{heard}");
    }
    program.signal(libc::SIGTERM);
    let (code, took, log) = program.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    // A close frame (0x88) with code 1012, service restart: the client comes back by itself.
    let close = [0x03, 0xf4];
    assert!(rest.windows(4).any(|w| w[0] == 0x88 && w[2..] == close), "{rest:?} {log}");
}

#[test]
fn asking_twice_ends_it_at_once() {
    let mut program = Place::new(&[]).serve();
    // A call whose body never comes keeps a handler waiting.
    let mut slow = program.connect();
    write!(
        slow,
        "POST /api/v1/auth/guest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: 40\r\nExpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the handler waits for the body");
    program.signal(libc::SIGTERM);
    // A new connection is refused once the first signal was heard.
    while std::net::TcpStream::connect(program.address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    program.signal(libc::SIGTERM);
    let (code, took, log) = program.ended();
    assert_eq!(code, Some(130), "{log}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_call_that_never_ends_is_cut_and_the_end_is_still_clean() {
    let mut program = Place::new(&[]).serve();
    let mut slow = program.connect();
    write!(
        slow,
        "POST /api/v1/auth/guest HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: 40\r\nExpect: 100-continue\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    program.signal(libc::SIGTERM);
    let (code, took, log) = program.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(took < Duration::from_secs(6) && log.contains("were cut"), "{took:?} {log}");
}
