//! A server that can take no more: who knocks is told so, and who is inside goes on.

use super::*;
use crate::admission::{Capacity, Measured};
use sfu::Saving;

const CAPACITY: Capacity =
    Capacity { transports: 10, packets: 1_000_000, sockets: 1_000, memory: u64::MAX, busy: 0.85 };

async fn small_server() -> (Live, Person, Person) {
    let live = Live::with(Settings { capacity: CAPACITY, ..Settings::for_tests() }).await;
    let anna = live.guest("Anna").await;
    let boris = live.guest("Boris").await;
    live.room(&anna, SLUG).await;
    (live, anna, boris)
}

fn holds(transports: u64) -> Measured {
    Measured { transports, ..Measured::default() }
}

#[tokio::test]
async fn a_full_server_refuses_who_is_new_and_lets_back_in_who_was_there() {
    let (live, anna, boris) = small_server().await;
    let (mut first, joined) = live.enter(&anna, SLUG).await;
    live.signaling.measured(Instant::now(), &holds(10));

    let ticket = format!("rooms/{SLUG}/ticket");
    let refused = live.post(&ticket, &boris.token, json!({})).await;
    assert_eq!(refused.refusal(), (503, "server_full".to_owned()));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(live.post(&ticket, &boris.token, json!({ "take_over": true })).await.status, 503);
    let by_token = format!("/ws/rooms/{SLUG}?token={}", boris.token);
    assert_eq!(live.open(&by_token, &[]).await.err(), Some(503));
    let whip = format!("POST /whip/{SLUG}");
    let refused = live.http(&whip, &boris.token, "application/sdp", "v=0").await;
    assert_eq!(refused.refusal(), (503, "server_full".to_owned()));
    assert!(!refused.header("retry-after").is_empty());

    first.settle().await;
    drop(first);
    let mut back = live.resume(&anna, SLUG, &joined).await;
    assert_eq!(back.welcome().await["resumed"], true);

    live.signaling.measured(Instant::now(), &holds(9));
    let (_second, _) = live.enter(&boris, SLUG).await;
}

#[tokio::test]
async fn a_busy_server_saves_shuts_its_door_and_tells_the_media_plane() {
    let (live, _, boris) = small_server().await;
    let start = Instant::now();
    let look = |half_seconds: u32, busy: f32| {
        let now = start + half_seconds * Duration::from_millis(500);
        live.signaling.measured(now, &Measured { busy, ..Measured::default() });
    };
    (0..6).for_each(|n| look(n, 0.97));
    for saving in [Saving::Frames, Saving::Frames] {
        let Command::SetSaving { saving: told } = live.command().await else { panic!("no saving") };
        assert_eq!(told, saving, "a plane that began anew hears it as well");
    }
    let refused = live.post(&format!("rooms/{SLUG}/ticket"), &boris.token, json!({})).await;
    assert_eq!(refused.refusal(), (503, "server_full".to_owned()));
    (6..30).for_each(|n| look(n, 0.2));
    loop {
        match live.command().await {
            Command::SetSaving { saving: Saving::Nothing } => break,
            Command::SetSaving { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    live.ticket(&boris, SLUG, json!({})).await;
}
