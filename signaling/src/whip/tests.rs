//! WHIP and WHEP as encoders, players and browsers see them.

mod changes;
mod keys;

use super::*;
use crate::live::{Answer, Live, Person};
use crate::settings::{Secret, Settings};
use serde_json::json;
use sfu::{CloseReason, Command, Event, PeerId, TrackNames};

const SLUG: &str = "stand-up";
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n";

async fn stage() -> (Live, Person, Person) {
    let live = Live::new().await;
    let anna = live.guest("Anna").await;
    let boris = live.guest("Boris").await;
    live.room(&anna, SLUG).await;
    (live, anna, boris)
}

/// Sends an offer; the media plane answers it.
async fn open(live: &Live, call: &str, person: &Person) -> (Answer, PeerId) {
    let (answer, peer) = tokio::join!(live.http(call, &person.token, SDP, OFFER), async {
        let peer = match live.command().await {
            Command::Publish { peer, offer, tracks: TrackNames::ByOrder, .. }
            | Command::Watch { peer, offer, .. } => {
                assert_eq!(offer, OFFER);
                peer
            }
            other => panic!("{other:?}"),
        };
        live.signaling.media_event(Event::Answered { peer, sdp: "v=0 answer".into() });
        peer
    });
    (answer, peer)
}

#[tokio::test]
async fn an_encoder_is_answered_seen_and_gone_when_it_deletes_its_session() {
    let (live, anna, boris) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let (answer, _) = open(&live, &format!("POST /whip/{SLUG}"), &boris).await;
    assert_eq!((answer.status, answer.text.as_str()), (201, "v=0 answer"));
    assert_eq!(answer.header("content-type"), SDP);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("location"));
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("/whip/stand-up/"), "{location}");
    let joined = client.wait("member.joined").await;
    assert_eq!(joined["participant"]["display_name"], "Boris");
    let gone = live.http(&format!("DELETE {location}"), "", "", "").await;
    assert_eq!(gone.status, 200);
    assert_eq!(client.wait("member.left").await["reason"], "left");
    assert!(matches!(live.command().await, Command::Leave { .. }));
    let again = live.http(&format!("DELETE {location}"), "", "", "").await;
    assert_eq!(again.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn an_encoder_whose_transport_ends_has_left() {
    let (live, anna, boris) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let (answer, peer) = open(&live, &format!("POST /whip/{SLUG}"), &boris).await;
    live.signaling.media_event(Event::Closed { peer, reason: CloseReason::ClosedByPeer });
    assert_eq!(client.wait("member.left").await["reason"], "left");
    let gone = live.http(&format!("DELETE {}", answer.header("location")), "", "", "").await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_viewer_is_answered_and_nobody_sees_it() {
    let (live, anna, boris) = stage().await;
    let (mut client, joined) = live.enter(&anna, SLUG).await;
    let followed = joined["participant_id"].as_str().unwrap();
    let call = format!("POST /whep/{SLUG}?participant={followed}");
    let (answer, _) = open(&live, &call, &boris).await;
    assert_eq!(answer.status, 201);
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("/whep/stand-up/"), "{location}");
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await["type"], "pong", "no join was told");
    assert_eq!(live.http(&format!("DELETE {location}"), "", "", "").await.status, 200);
    for (participant, status) in [(Uuid::nil().to_string(), 404), ("nobody".to_owned(), 400)] {
        let call = format!("POST /whep/{SLUG}?participant={participant}");
        assert_eq!(live.http(&call, &boris.token, SDP, OFFER).await.status, status);
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_offer_decides_the_status() {
    let (live, anna, boris) = stage().await;
    let keyed = json!({ "name": "Keyed", "slug": "keyed", "invite_key": "tea" });
    live.post("rooms", &anna.token, keyed).await.json();
    let token = boris.token.as_str();
    let long = format!("v=0{}", "x".repeat(MAX_SDP_BYTES));
    for door in ["whip", "whep"] {
        for (slug, token, content_type, body, status, code) in [
            (SLUG, "", SDP, OFFER, 401, "unauthorized"),
            (SLUG, "nonsense", SDP, OFFER, 401, "unauthorized"),
            ("nowhere", token, SDP, OFFER, 404, "not_found"),
            ("keyed", token, SDP, OFFER, 403, "wrong_invite_key"),
            (SLUG, token, "text/plain", OFFER, 415, "unsupported_media"),
            (SLUG, token, "application/json", "{}", 415, "unsupported_media"),
            (SLUG, token, "", "{}", 415, "unsupported_media"),
            (SLUG, token, SDP, long.as_str(), 413, "too_large"),
        ] {
            let call = format!("POST /{door}/{slug}");
            let answer = live.http(&call, token, content_type, body.to_owned()).await;
            assert_eq!(answer.refusal(), (status, code.to_owned()), "{call} {content_type}");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
        }
        let call = format!("POST /{door}/{SLUG}");
        let answer = live.http(&call, token, SDP, vec![0xff, 0xfe]).await;
        assert_eq!(answer.refusal(), (422, "bad_sdp".to_owned()));
    }
}

#[tokio::test]
async fn an_offer_that_the_media_plane_refuses_is_unprocessable() {
    let (live, _, boris) = stage().await;
    let call = format!("POST /whip/{SLUG}");
    let (answer, ()) = tokio::join!(live.http(&call, &boris.token, SDP, OFFER), async {
        let Command::Publish { peer, .. } = live.command().await else { panic!("no publish") };
        let reason = "no fingerprint".to_owned();
        live.signaling.media_event(Event::Refused { peer, reason });
    });
    assert_eq!(answer.refusal(), (422, "bad_sdp".into()));
    assert!(answer.text.contains("no fingerprint"));
}

#[tokio::test]
async fn a_media_plane_that_does_not_answer_is_unavailable() {
    let (live, _, boris) = stage().await;
    let answer = live.http(&format!("POST /whip/{SLUG}"), &boris.token, SDP, OFFER).await;
    assert_eq!(answer.refusal(), (503, "unavailable".into()));
    assert_eq!(answer.header("retry-after"), "2");
    assert!(matches!(live.command().await, Command::Publish { .. }));
    assert!(matches!(live.command().await, Command::Leave { .. }));
}

#[tokio::test]
async fn an_encoder_that_hangs_up_before_its_answer_does_not_stay() {
    let (live, anna, boris) = stage().await;
    let (mut client, _) = live.enter(&anna, SLUG).await;
    let call = format!("POST /whip/{SLUG}");
    let peer = tokio::select! {
        answer = live.http(&call, &boris.token, SDP, OFFER) => panic!("{answer:?}"),
        command = live.command() => match command {
            Command::Publish { peer, .. } => peer,
            other => panic!("{other:?}"),
        },
    };
    live.signaling.media_event(Event::Answered { peer, sdp: "v=0".into() });
    client.wait("member.joined").await;
    client.wait("member.left").await;
}

#[tokio::test]
async fn types_with_parameters_and_sdp_without_a_type_are_understood() {
    let (live, _, boris) = stage().await;
    for content_type in ["application/sdp; charset=utf-8", "Application/SDP", ""] {
        let call = format!("POST /whip/{SLUG}");
        let (answer, ()) =
            tokio::join!(live.http(&call, &boris.token, content_type, OFFER), async {
                let Command::Publish { peer, .. } = live.command().await else {
                    panic!("no publish")
                };
                live.signaling.media_event(Event::Answered { peer, sdp: "v=0".into() });
            });
        assert_eq!(answer.status, 201, "{content_type}");
    }
}

#[tokio::test]
async fn other_methods_hear_what_there_is() {
    let (live, _, boris) = stage().await;
    for (path, allow, (accept, kind), wrong) in [
        ("/whip/stand-up", "POST, OPTIONS", ("accept-post", SDP), "PATCH"),
        ("/whep/stand-up/x", "PATCH, DELETE, OPTIONS", ("accept-patch", SDPFRAG), "POST"),
        ("/whep/stand-up/x/layer", "POST, OPTIONS", ("accept-post", "application/json"), "PUT"),
    ] {
        let options = live.http(&format!("OPTIONS {path}"), "", "", "").await;
        assert_eq!(options.status, 204);
        assert_eq!(options.header(accept), kind);
        assert_eq!(options.header("access-control-allow-methods"), allow);
        assert!(options.header("access-control-allow-headers").contains("authorization"));
        let other = live.http(&format!("{wrong} {path}"), &boris.token, SDP, OFFER).await;
        assert_eq!(other.refusal(), (405, "method_not_allowed".into()));
        let method = allow.split(',').next().unwrap();
        assert!(other.header("allow").contains(method), "{:?}", other.headers);
    }
}

#[tokio::test]
async fn turn_servers_come_along_as_links() {
    let settings = Settings {
        stun_servers: vec!["stun:stun.example".into()],
        turn_urls: vec!["turn:turn.example?transport=udp".into()],
        turn_username: Some("anna\"".into()),
        turn_password: Some(Secret::new("tea")),
        ..Settings::for_tests()
    };
    let live = Live::with(settings).await;
    let anna = live.guest("Anna").await;
    live.room(&anna, SLUG).await;
    let (answer, _) = open(&live, &format!("POST /whip/{SLUG}"), &anna).await;
    let links: Vec<_> =
        answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert_eq!(
        links,
        [
            "<stun:stun.example>; rel=\"ice-server\"",
            "<turn:turn.example?transport=udp>; rel=\"ice-server\"; username=\"anna\\\"\"; \
             credential=\"tea\"; credential-type=\"password\"",
        ]
    );
}
