//! The socket as clients see it, over real connections.

mod crowd;
mod cuts;
mod full;
mod sessions;

use super::*;
use crate::live::{Live, Person, text};
use crate::settings::Settings;
use futures_util::SinkExt;
use protocol::limits::{MAX_FRAME_BYTES, MAX_TICKETS_PER_USER};
use protocol::{Kind, SlotBinding, SlotReason};
use serde_json::json;
use sfu::{Command, Event};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const SLUG: &str = "stand-up";

/// A server with a room and two people who are not in it yet.
async fn stage() -> (Live, Person, Person) {
    let live = Live::new().await;
    let anna = live.guest("Anna").await;
    let boris = live.guest("Boris").await;
    live.room(&anna, SLUG).await;
    (live, anna, boris)
}

#[tokio::test]
async fn a_newcomer_hears_joined_snapshot_sync_and_the_others_hear_of_them() {
    let (live, anna, boris) = stage().await;
    let (mut first, joined) = live.enter(&anna, SLUG).await;
    assert_eq!((&joined["user_id"], &joined["role"]), (&json!(anna.id), &json!("owner")));
    assert_eq!(joined["room"]["slug"], SLUG);
    assert_eq!(joined["resumed"], false);
    let (_second, joined) = live.enter(&boris, SLUG).await;
    let people = joined["snapshot"]["participants"].as_array().unwrap();
    let names: Vec<_> = people.iter().map(|person| text(&person["display_name"])).collect();
    assert_eq!(names, ["Anna", "Boris"]);
    let told = first.next().await;
    assert_eq!(told["type"], "member.joined");
    assert_eq!(told["participant"]["display_name"], "Boris");
    assert_eq!(told["seq"], 2);
}

#[tokio::test]
async fn what_is_no_request_is_answered_and_the_socket_lives() {
    let (live, anna, _) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    for (frame, code, re) in [
        (Frame::text("no json"), "bad_request", Value::Null),
        (Frame::text(r#"{"type":"dance","id":"7"}"#), "unknown_type", json!("7")),
        (Frame::text(r#"{"type":"chat.message","id":8}"#), "bad_request", json!(8)),
        (Frame::binary(vec![1, 2, 3]), "bad_request", Value::Null),
    ] {
        client.socket.send(frame).await.unwrap();
        let error = client.next().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)));
        assert_eq!(error["re"], re);
    }
    client.settle().await;
}

#[tokio::test]
async fn frames_too_large_and_text_that_is_none_close_the_socket() {
    let (live, anna, boris) = stage().await;
    let (mut watcher, _) = live.enter(&boris, SLUG).await;
    let not_utf8 = RawFrame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    for (frame, code) in [
        (Frame::text("x".repeat(MAX_FRAME_BYTES + 1)), close::TOO_LARGE),
        (Frame::binary(vec![0; MAX_FRAME_BYTES + 1]), close::TOO_LARGE),
        (Frame::text("x".repeat(4 * MAX_FRAME_BYTES)), close::TOO_LARGE),
        (Frame::Frame(not_utf8), close::NOT_TEXT),
    ] {
        let (mut client, _) = live.enter(&anna, SLUG).await;
        // The server may close before it has read all.
        client.socket.send(frame).await.ok();
        assert_eq!(client.closed().await, code);
    }
    watcher.settle().await;
}

#[tokio::test]
async fn the_largest_frame_that_is_allowed_passes() {
    let (live, anna, _) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let frame = json!({ "type": "ping", "id": 1, "padding": "" }).to_string();
    let padding = "x".repeat(MAX_FRAME_BYTES - frame.len());
    let frame = json!({ "type": "ping", "id": 1, "padding": padding }).to_string();
    assert_eq!(frame.len(), MAX_FRAME_BYTES);
    client.socket.send(Frame::text(frame)).await.unwrap();
    assert_eq!(client.wait("pong").await["re"], 1);
}

#[tokio::test]
async fn who_sends_too_fast_is_told_and_who_goes_on_is_closed() {
    let (live, anna, boris) = stage().await;
    let (mut other, _) = live.enter(&boris, SLUG).await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    for n in 0..400 {
        let frame = Frame::text(json!({ "type": "ping", "id": n }).to_string());
        if client.socket.feed(frame).await.is_err() {
            break;
        }
    }
    client.socket.flush().await.ok();
    let (mut pongs, mut refused) = (0, 0);
    let code = loop {
        match client.next_or_close().await {
            Ok(message) if message["type"] == "pong" => pongs += 1,
            Ok(message) if message["code"] == "rate_limited" => {
                assert!(message["re"].is_u64());
                refused += 1;
            }
            Ok(other) => panic!("{other}"),
            Err(code) => break code,
        }
    };
    assert_eq!(code, close::FLOODING);
    assert!(pongs < 300, "{pongs}");
    assert_eq!(refused, 100);
    other.settle().await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_the_others_go_on() {
    let (live, anna, boris) = stage().await;
    let (mut slow, joined) = live.enter(&anna, SLUG).await;
    let (mut fast, _) = live.enter(&boris, SLUG).await;
    slow.send(json!({ "type": "media.subscribe", "pc": "sub" })).await;
    let Command::Subscribe { peer, room, participant, .. } = live.command().await else {
        panic!("no subscribe")
    };
    // Each about 100 kB, until more waits than the outbox and all buffers on the way can hold.
    for n in 0..400 {
        let slot = SlotBinding {
            mid: format!("{n}{}", "x".repeat(100_000)),
            kind: Kind::Audio,
            participant_id: None,
            track: None,
            layer: None,
            reason: SlotReason::Empty,
        };
        let slots = vec![slot];
        live.signaling.media_event(Event::SlotsChanged { room, participant, peer, slots });
        // The room has taken one before it gets the next, or they would replace each other.
        live.signaling.inner.hub.participants(room).await;
    }
    fast.settle().await;
    let mut heard = 0;
    let code = loop {
        match slow.next_or_close().await {
            Ok(_) => heard += 1,
            Err(code) => break code,
        }
    };
    assert!(heard < 300, "the rest was dropped, {heard} came");
    assert!([close::TOO_SLOW, 1006].contains(&code), "{code}");
    fast.settle().await;
    let mut back = live.resume(&anna, SLUG, &joined).await;
    assert_eq!(back.welcome().await["resumed"], true);
}

#[tokio::test]
async fn a_socket_that_falls_silent_is_closed_and_its_person_reconnecting() {
    let (live, anna, boris) = stage().await;
    let (mut silent, _) = live.enter(&anna, SLUG).await;
    let (mut watcher, _) = live.enter(&boris, SLUG).await;
    // Not read, so no ping is answered; the watcher reads, and with that answers.
    let told = watcher.wait("member.presence").await;
    assert_eq!(told["presence"], "reconnecting");
    assert_eq!(silent.closed().await, close::SILENT);
}

// Doors

#[tokio::test]
async fn a_socket_opens_by_ticket_once_and_for_its_room_only() {
    let (live, anna, boris) = stage().await;
    live.room(&anna, "other").await;
    let ticket = live.ticket(&anna, SLUG, json!({})).await;
    let elsewhere = format!("/ws/rooms/other?ticket={ticket}");
    assert_eq!(live.open(&elsewhere, &[]).await.err(), Some(401));
    let here = format!("/ws/rooms/{SLUG}?ticket={ticket}");
    assert_eq!(live.open(&here, &[]).await.err(), Some(401), "the other room used it up");
    let ticket = live.ticket(&anna, SLUG, json!({})).await;
    let here = format!("/ws/rooms/{SLUG}?ticket={ticket}");
    assert!(live.open(&here, &[]).await.is_ok());
    assert_eq!(live.open(&here, &[]).await.err(), Some(401));
    let nobody = live.post(&format!("rooms/{SLUG}/ticket"), "", json!({})).await;
    assert_eq!(nobody.refusal(), (401, "unauthorized".into()));
    let nowhere = live.post("rooms/nowhere/ticket", &boris.token, json!({})).await;
    assert_eq!(nowhere.refusal(), (404, "not_found".into()));
    let empty = live.http(&format!("POST /api/v1/rooms/{SLUG}/ticket"), &boris.token, "", "").await;
    assert_eq!(empty.json()["expires_in"], 30);
}

#[tokio::test]
async fn the_oldest_of_too_many_tickets_ends() {
    let (live, anna, _) = stage().await;
    let mut tickets = Vec::new();
    for _ in 0..=MAX_TICKETS_PER_USER {
        tickets.push(live.ticket(&anna, SLUG, json!({})).await);
    }
    let path = |ticket: &str| format!("/ws/rooms/{SLUG}?ticket={ticket}");
    assert_eq!(live.open(&path(&tickets[0]), &[]).await.err(), Some(401));
    assert!(live.open(&path(&tickets[1]), &[]).await.is_ok());
}

#[tokio::test]
async fn a_socket_opens_by_token_and_a_room_with_a_key_asks_for_it() {
    let (live, anna, boris) = stage().await;
    let path = format!("/ws/rooms/{SLUG}?token={}", anna.token);
    live.open(&path, &[]).await.unwrap().welcome().await;
    for (query, status) in [("", 401), ("?token=nonsense", 401), ("?ticket=nonsense", 401)] {
        let path = format!("/ws/rooms/{SLUG}{query}");
        assert_eq!(live.open(&path, &[]).await.err(), Some(status), "{query}");
    }
    let keyed = json!({ "name": "Keyed", "slug": "keyed", "invite_key": "tea" });
    live.post("rooms", &anna.token, keyed).await.json();
    let path = format!("/ws/rooms/keyed?token={}", boris.token);
    assert_eq!(live.open(&path, &[]).await.err(), Some(403));
    assert_eq!(live.open(&format!("{path}&invite_key=coffee"), &[]).await.err(), Some(403));
    live.open(&format!("{path}&invite_key=tea"), &[]).await.unwrap().welcome().await;
    let wrong = live.post("rooms/keyed/ticket", &live.guest("Clara").await.token, json!({})).await;
    assert_eq!(wrong.refusal(), (403, "wrong_invite_key".into()));
}

#[tokio::test]
async fn pages_from_elsewhere_open_no_socket() {
    let settings =
        Settings { cors_origins: vec!["https://app.example".into()], ..Settings::for_tests() };
    let live = Live::with(settings).await;
    let anna = live.guest("Anna").await;
    live.room(&anna, SLUG).await;
    let path = format!("/ws/rooms/{SLUG}?token={}", anna.token);
    let own = format!("http://{}", live.address);
    for (origin, may) in
        [(own.as_str(), true), ("https://app.example", true), ("https://evil.example", false)]
    {
        let opened = live.open(&path, &[("origin", origin)]).await;
        assert_eq!(opened.err(), (!may).then_some(403), "{origin}");
    }
}

#[tokio::test]
async fn a_plain_request_to_the_socket_is_a_bad_one() {
    let (live, anna, _) = stage().await;
    let call = format!("GET /ws/rooms/{SLUG}?token={}", anna.token);
    assert_eq!(live.http(&call, "", "", "").await.refusal(), (400, "bad_request".into()));
}

// What lasts

#[tokio::test]
async fn a_socket_that_comes_back_takes_over_and_nobody_hears_a_leave_or_a_join() {
    let (live, anna, boris) = stage().await;
    let (mut old, first) = live.enter(&anna, SLUG).await;
    let (mut other, _) = live.enter(&boris, SLUG).await;
    let mut new = live.resume(&anna, SLUG, &first).await;
    let second = new.welcome().await;
    assert_eq!(second["resumed"], true);
    assert_eq!(second["participant_id"], first["participant_id"]);
    assert_eq!(old.closed().await, close::REPLACED);
    new.send(json!({ "type": "chat.message", "text": "back" })).await;
    let next = other.next().await;
    assert_eq!((&next["type"], &next["text"]), (&json!("chat.message"), &json!("back")));
    let mut thief = live.resume(&boris, SLUG, &first).await;
    assert_eq!(thief.welcome().await["resumed"], false, "the secret is good for its owner only");
}

#[tokio::test]
async fn a_second_device_is_a_second_participant_or_takes_over_as_it_asks() {
    let (live, anna, boris) = stage().await;
    let (mut watcher, _) = live.enter(&boris, SLUG).await;
    let (mut phone, first) = live.enter(&anna, SLUG).await;
    let (mut laptop, second) = live.enter(&anna, SLUG).await;
    assert_ne!(first["participant_id"], second["participant_id"]);
    for _ in 0..2 {
        watcher.wait("member.joined").await;
    }
    let ticket = live.ticket(&anna, SLUG, json!({ "take_over": true })).await;
    let mut tablet = live.open(&format!("/ws/rooms/{SLUG}?ticket={ticket}"), &[]).await.unwrap();
    let third = tablet.welcome().await;
    assert_eq!(third["participant_id"], second["participant_id"], "the newest one");
    assert_eq!(third["resumed"], true);
    assert_eq!(laptop.closed().await, close::REPLACED);
    phone.settle().await;
    // Nobody else's: whoever has nobody here is somebody new.
    let clara = live.guest("Clara").await;
    let path = format!("/ws/rooms/{SLUG}?token={}&take_over=true", clara.token);
    let joined = live.open(&path, &[]).await.unwrap().welcome().await;
    assert_eq!(joined["resumed"], false);
    let told = watcher.next().await;
    assert_eq!(told["participant"]["display_name"], "Clara", "nothing was heard of the takeover");
}

#[tokio::test]
async fn who_was_away_for_longer_than_events_are_kept_gets_all_of_it_as_it_is() {
    let mut database = store::testing::TestDatabase::sqlite().await;
    database.store = database.store.clone().keeping_events(16);
    let live = Live::on(database, Settings::for_tests()).await;
    let (anna, boris) = (live.guest("Anna").await, live.guest("Boris").await);
    live.room(&anna, SLUG).await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    for _ in 0..20 {
        client.ask(json!({ "type": "hand.raise" })).await;
        client.ask(json!({ "type": "hand.lower" })).await;
    }
    let (mut late, joined) = live.enter(&boris, SLUG).await;
    late.send(json!({ "type": "sync.sub", "after_seq": 3, "id": 9 })).await;
    let mut snapshot = late.wait("state.snapshot").await;
    snapshot["state"]["hands_up"] = json!([]);
    assert_eq!(snapshot["participants"], joined["snapshot"]["participants"]);
    assert_eq!(late.next().await, json!({ "type": "sync.info", "next_seq": 43 }));
    let batch = late.next().await;
    assert_eq!((&batch["upto_seq"], &batch["re"]), (&json!(42), &json!(9)));
    assert_eq!((&batch["events"], &batch["has_more"]), (&json!([]), &json!(false)));
    let page = late.ask(json!({ "type": "sync.sub", "after_seq": 40 })).await;
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_too_slow_whatever_it_says() {
    // Takes a little and nothing more.
    let (near, _far) = tokio::io::duplex(8);
    let mut writer = Writer::new(near);
    let outbox = Outbox::default();
    outbox.push("more than a little".into()).unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(write_all(&mut writer, &outbox).await, Err(Unwritten::Stuck));
    assert_eq!(began.elapsed(), SOCKET_STUCK_AFTER);
}

#[tokio::test]
async fn a_line_sent_again_over_a_new_socket_stands_once() {
    let (live, anna, boris) = stage().await;
    let (mut old, joined) = live.enter(&anna, SLUG).await;
    let (mut other, _) = live.enter(&boris, SLUG).await;
    let line = json!({ "type": "chat.message", "text": "once", "client_id": "c1" });
    let first = old.ask(line.clone()).await;
    drop(old);
    let mut new = live.resume(&anna, SLUG, &joined).await;
    let snapshot = new.welcome().await;
    assert_eq!(snapshot["snapshot"]["messages"][0]["text"], "once");
    let again = new.ask(line).await;
    assert_eq!((&again["client_id"], &again["seq"]), (&first["client_id"], &first["seq"]));
    new.send(json!({ "type": "chat.message", "text": "end" })).await;
    assert_eq!(other.wait("chat.message").await["text"], "once");
    assert_eq!(other.wait("chat.message").await["text"], "end");
}

#[tokio::test]
async fn numbers_and_lines_go_on_after_the_room_was_empty_and_the_server_stopped() {
    let (live, anna, _) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let line = client.ask(json!({ "type": "chat.message", "text": "before" })).await;
    assert_eq!(line["seq"], 2);
    live.signaling.shutdown().await;
    assert_eq!(client.closed().await, close::RESTARTING);
    let again = Live::on(live.database, Settings::for_tests()).await;
    let (_client, joined) = again.enter(&anna, SLUG).await;
    assert_eq!(joined["snapshot"]["messages"][0]["text"], "before");
    assert_eq!(joined["snapshot"]["participants"].as_array().unwrap().len(), 1);
    let log = again.database.store.room_log(room_id(&joined), 50, 0).await.unwrap();
    assert_eq!(log.next_seq, 5, "a join, a line, a leave, a join");
}

#[tokio::test]
async fn who_was_in_the_room_when_the_process_died_has_left_when_it_opens_again() {
    let (live, anna, _) = stage().await;
    let (_client, joined) = live.enter(&anna, SLUG).await;
    // Another process on the same store: the first one never says that anybody left.
    let again = Live::on(live.database, Settings::for_tests()).await;
    let (_client, next) = again.enter(&anna, SLUG).await;
    assert_eq!(next["snapshot"]["participants"].as_array().unwrap().len(), 1);
    assert_ne!(next["participant_id"], joined["participant_id"]);
    let log = again.database.store.room_log(room_id(&next), 50, 0).await.unwrap();
    assert_eq!((log.next_seq, log.abandoned.len()), (4, 1), "a join, a late leave, a join");
}

#[tokio::test]
async fn a_store_that_fails_refuses_the_line_and_nothing_else() {
    let (live, anna, boris) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let (mut other, _) = live.enter(&boris, SLUG).await;
    live.database.store.close().await;
    let error = client.ask(json!({ "type": "chat.message", "text": "lost" })).await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("unavailable")));
    client.send(json!({ "type": "chat.typing", "is_typing": true })).await;
    assert_eq!(other.next().await["type"], "chat.typing", "the line went to nobody");
}

#[tokio::test]
async fn a_room_that_breaks_ends_its_sockets_and_can_be_entered_again() {
    let (live, anna, boris) = stage().await;
    live.room(&anna, "other").await;
    let (mut elsewhere, _) = live.enter(&boris, "other").await;
    let (mut client, joined) = live.enter(&anna, SLUG).await;
    let (mut idle, _) = live.enter(&boris, SLUG).await;
    live.set_trap();
    client.send(json!({ "type": "view.set", "silenced": [] })).await;
    assert_eq!(client.closed().await, close::TRY_LATER);
    assert_eq!(idle.closed().await, close::TRY_LATER);
    elsewhere.settle().await;
    assert_eq!(live.signaling.inner.hub.count(room_id(&joined)), 0);
    let (mut client, joined) = live.enter(&anna, SLUG).await;
    client.settle().await;
    assert_eq!(joined["snapshot"]["participants"].as_array().unwrap().len(), 1);
    assert!(matches!(live.command().await, Command::CloseRoom { .. }), "its media ended");
    let log = live.database.store.room_log(room_id(&joined), 1, 0).await.unwrap();
    assert_eq!(log.next_seq, 6, "two joins, two late leaves, a join");
}

#[tokio::test]
async fn a_stop_closes_every_socket_and_lets_nobody_in() {
    let (live, anna, boris) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let ticket = live.ticket(&boris, SLUG, json!({})).await;
    live.signaling.shutdown().await;
    assert_eq!(client.closed().await, close::RESTARTING);
    let mut late = live.open(&format!("/ws/rooms/{SLUG}?ticket={ticket}"), &[]).await.unwrap();
    assert_eq!(late.next().await["code"], "unavailable");
    assert_eq!(late.closed().await, close::TRY_LATER);
}

#[tokio::test]
async fn rest_sees_who_is_in_the_room_and_the_room_sees_what_rest_does() {
    let (live, anna, boris) = stage().await;
    let (mut client, joined) = live.enter(&anna, SLUG).await;
    let room = format!("/api/v1/rooms/{SLUG}");
    let shown = live.http(&format!("GET {room}"), &boris.token, "", "").await.json();
    assert_eq!(shown["participants"], 1);
    let list = live.http(&format!("GET {room}/participants"), &boris.token, "", "").await.json();
    assert_eq!(list["participants"][0]["id"], joined["participant_id"]);
    let topic = json!({ "topic": "Budget" }).to_string();
    let json_type = "application/json";
    live.http(&format!("PATCH {room}"), &anna.token, json_type, topic).await.json();
    assert_eq!(client.wait("state.changed").await["state"]["topic"], "Budget");
    let deleted = live.http(&format!("DELETE {room}"), &anna.token, "", "").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(client.closed().await, close::ROOM_CLOSED);
    assert!(matches!(live.command().await, Command::CloseRoom { .. }));
    let gone = live.http(&format!("GET {room}/participants"), &anna.token, "", "").await;
    assert_eq!(gone.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn media_signaling_goes_there_and_back() {
    let (live, anna, boris) = stage().await;
    let (mut client, joined) = live.enter(&anna, SLUG).await;
    let (mut other, _) = live.enter(&boris, SLUG).await;
    client
        .send(json!({ "type": "media.publish", "id": "p", "pc": "pub", "sdp": "v=0",
            "tracks": [{ "mid": "0", "source": "microphone" }] }))
        .await;
    let Command::Publish { peer, participant, .. } = live.command().await else {
        panic!("no publish")
    };
    assert_eq!(json!(participant), joined["participant_id"]);
    live.signaling.media_event(Event::Answered { peer, sdp: "answer".into() });
    let published = client.wait("media.published").await;
    assert_eq!(
        (&published["re"], &published["pc"], &published["sdp"]),
        (&json!("p"), &json!("pub"), &json!("answer"))
    );
    client.send(json!({ "type": "media.self", "mic_muted": true, "cam_off": false })).await;
    assert_eq!(other.wait("media.updated").await["media"]["mic_muted"], true);
    assert!(matches!(live.command().await, Command::SetMedia { .. }));
    client.send(json!({ "type": "leave" })).await;
    assert_eq!(client.closed().await, close::DONE);
    assert_eq!(other.wait("member.left").await["reason"], "left");
    assert!(matches!(live.command().await, Command::Leave { .. }));
}

#[tokio::test]
async fn a_busy_chat_arrives_everywhere_once_and_in_order() {
    let live = Live::new().await;
    let owner = live.guest("Owner").await;
    live.room(&owner, SLUG).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        let person = live.guest(&format!("Guest {n}")).await;
        clients.push(live.enter(&person, SLUG).await.0);
    }
    for client in &mut clients {
        for n in 0..8 {
            client.send(json!({ "type": "chat.message", "text": n.to_string() })).await;
        }
    }
    let mut orders = Vec::new();
    for client in &mut clients {
        let mut seqs = Vec::new();
        for _ in 0..20 * 8 {
            seqs.push(client.wait("chat.message").await["seq"].as_i64().unwrap());
        }
        assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
        orders.push(seqs);
    }
    assert!(orders.iter().all(|seqs| *seqs == orders[0]));
}

fn room_id(joined: &Value) -> RoomId {
    text(&joined["room"]["id"]).parse().unwrap()
}
