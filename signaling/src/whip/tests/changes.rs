//! What a session of WHIP or WHEP can be told later: candidates, restarts of ICE, the size of the picture.

use super::*;

const PWD: &str = "0123456789abcdefghijkl";

fn fragment(ufrag: &str) -> String {
    format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:{PWD}\r\na=end-of-candidates\r\n")
}

fn answer(ufrag: &str) -> String {
    format!("v=0\r\nm=audio 9 X 0\r\na=mid:0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{PWD}\r\n")
}

/// A session that is open, with its address, its tag and its transport.
async fn session(live: &Live, call: &str, person: &Person) -> (String, String, PeerId) {
    let offer = format!("v=0\r\nm=audio 9 X 0\r\n{}", fragment("anna"));
    let (opened, peer) = tokio::join!(live.http(call, &person.token, SDP, offer), async {
        let (Command::Publish { peer, .. } | Command::Watch { peer, .. }) = live.command().await
        else {
            panic!("no offer")
        };
        live.signaling.media_event(Event::Answered { peer, sdp: answer("one1") });
        peer
    });
    assert_eq!((opened.status, opened.header("accept-patch")), (201, SDPFRAG));
    (opened.header("location").to_owned(), opened.header("etag").to_owned(), peer)
}

async fn patch(live: &Live, location: &str, if_match: &str, body: &str) -> Answer {
    let headers = [("content-type", SDPFRAG), ("if-match", if_match)];
    let headers = &headers[..2 - usize::from(if_match.is_empty())];
    live.http_with(&format!("PATCH {location}"), "", headers, body.to_owned()).await
}

#[tokio::test]
async fn candidates_are_taken_from_those_who_name_the_session_of_ice() {
    let (live, _, boris) = stage().await;
    for door in ["whip", "whep"] {
        let (location, tag, _) = session(&live, &format!("POST /{door}/{SLUG}"), &boris).await;
        assert_eq!(tag, "\"one1\"");
        let same = fragment("anna");
        for if_match in [tag.as_str(), "*", "\"other\", \"one1\""] {
            assert_eq!(patch(&live, &location, if_match, &same).await.status, 204, "{if_match}");
        }
        for (if_match, body, status, code) in [
            ("", same.as_str(), 428, "precondition_required"),
            ("\"other\"", &same, 412, "precondition_failed"),
            ("*", "a=mid:0\r\n", 400, "bad_request"),
            ("*", "what", 400, "bad_request"),
        ] {
            let refused = patch(&live, &location, if_match, body).await;
            assert_eq!(refused.refusal(), (status, code.to_owned()), "{if_match} {body}");
        }
        let call = format!("PATCH {location}");
        let wrong = live.http(&call, "", SDP, same.clone()).await;
        assert_eq!(wrong.refusal(), (415, "unsupported_media".into()));
        let nowhere = patch(&live, &format!("/{door}/{SLUG}/nowhere"), "*", &same).await;
        assert_eq!(nowhere.refusal(), (404, "not_found".into()));
        live.http(&format!("DELETE {location}"), "", "", "").await;
        let gone = patch(&live, &location, "*", &same).await;
        assert_eq!(gone.refusal(), (404, "not_found".into()));
        assert!(matches!(live.command().await, Command::Leave { .. }));
    }
}

#[tokio::test]
async fn other_credentials_restart_ice_on_the_transport_that_there_is() {
    let (live, _, boris) = stage().await;
    for door in ["whip", "whep"] {
        let (location, tag, before) = session(&live, &format!("POST /{door}/{SLUG}"), &boris).await;
        let next = fragment("next");
        let (restarted, ()) = tokio::join!(patch(&live, &location, "*", &next), async {
            let (Command::Publish { peer, offer, .. } | Command::Watch { peer, offer, .. }) =
                live.command().await
            else {
                panic!("no offer")
            };
            assert_eq!(peer, before);
            assert!(offer.contains("a=ice-ufrag:next\r\n") && !offer.contains("anna"), "{offer}");
            live.signaling.media_event(Event::Answered { peer, sdp: answer("two2") });
        });
        assert_eq!((restarted.status, restarted.header("content-type")), (200, SDPFRAG));
        assert_eq!(restarted.header("etag"), "\"two2\"");
        assert!(restarted.text.contains("a=ice-ufrag:two2"), "{}", restarted.text);
        let late = patch(&live, &location, &tag, &fragment("late")).await;
        assert_eq!(late.refusal(), (412, "precondition_failed".into()));
        assert_eq!(patch(&live, &location, "\"two2\"", &next).await.status, 204);
        live.http(&format!("DELETE {location}"), "", "", "").await;
        assert!(matches!(live.command().await, Command::Leave { .. }));
    }
}

#[tokio::test]
async fn a_restart_that_is_refused_leaves_the_session_as_it_was() {
    let (live, _, boris) = stage().await;
    let (location, tag, _) = session(&live, &format!("POST /whip/{SLUG}"), &boris).await;
    let next = fragment("next");
    let (refused, ()) = tokio::join!(patch(&live, &location, "*", &next), async {
        let Command::Publish { peer, .. } = live.command().await else { panic!("no publish") };
        let second = patch(&live, &location, "*", &fragment("third")).await;
        assert_eq!(second.refusal(), (409, "conflict".into()));
        let reason = "no".to_owned();
        live.signaling.media_event(Event::Refused { peer, reason });
    });
    assert_eq!(refused.refusal(), (422, "bad_sdp".into()));
    assert_eq!(patch(&live, &location, &tag, &fragment("anna")).await.status, 204);
}

#[tokio::test]
async fn a_restart_that_the_media_plane_does_not_answer_ends_with_its_session_or_in_time() {
    let (live, _, boris) = stage().await;
    let (location, tag, _) = session(&live, &format!("POST /whip/{SLUG}"), &boris).await;
    let unanswered = patch(&live, &location, "*", &fragment("next")).await;
    assert_eq!(unanswered.refusal(), (503, "unavailable".into()));
    assert_eq!(patch(&live, &location, &tag, &fragment("anna")).await.status, 204);
    assert!(matches!(live.command().await, Command::Publish { .. }));
    let next = fragment("next");
    let (ended, ()) = tokio::join!(patch(&live, &location, "*", &next), async {
        assert!(matches!(live.command().await, Command::Publish { .. }));
        live.http(&format!("DELETE {location}"), "", "", "").await;
    });
    assert_eq!(ended.refusal(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_player_chooses_how_large_a_picture_it_takes() {
    let (live, _, boris) = stage().await;
    let (location, _, peer) = session(&live, &format!("POST /whep/{SLUG}"), &boris).await;
    let call = format!("POST {location}/layer");
    for (body, wanted) in [
        (json!({ "maxWidth": 640, "maxHeight": 360 }), (640, 360)),
        (json!({ "maxHeight": 180 }), (0, 180)),
        (json!({}), (0, 0)),
    ] {
        let chosen = live.http(&call, "", "application/json", body.to_string()).await;
        assert_eq!(chosen.status, 204);
        assert_limit(&live.command().await, peer, wanted);
    }
    let other = json!({ "encodingId": "h" }).to_string();
    let refused = live.http(&call, "", "application/json", other).await;
    assert_eq!(refused.refusal(), (400, "bad_request".into()));
    let nowhere = format!("POST /whep/{SLUG}/nowhere/layer");
    let refused = live.http(&nowhere, "", "application/json", "{}").await;
    assert_eq!(refused.refusal(), (404, "not_found".into()));
}

fn assert_limit(command: &Command, expected: PeerId, wanted: (u16, u16)) {
    let Command::SetLargest { peer, largest } = command else { panic!("{command:?}") };
    assert_eq!((*peer, *largest), (expected, wanted));
}

#[tokio::test]
async fn a_player_may_say_at_once_how_large_a_picture_it_takes_and_hears_where_to_change_it() {
    let (live, _, boris) = stage().await;
    let call = format!("POST /whep/{SLUG}?max_width=320&max_height=180");
    let (answer, peer) = open(&live, &call, &boris).await;
    assert_limit(&live.command().await, peer, (320, 180));
    let expected = format!("<{}/layer>; rel=\"{LAYER}\"", answer.header("location"));
    assert_eq!(answer.header("link"), expected);
}

#[tokio::test]
async fn who_cannot_read_an_sdp_gets_none() {
    let (live, _, boris) = stage().await;
    let call = format!("POST /whip/{SLUG}");
    let headers = [("content-type", SDP), ("accept", "application/json, text/html;q=0.5")];
    let refused = live.http_with(&call, &boris.token, &headers, OFFER).await;
    assert_eq!(refused.refusal(), (406, "not_acceptable".into()));
    for accept in ["*/*", "text/html, application/sdp;q=0.1", "Application/*"] {
        let headers = [("content-type", SDP), ("accept", accept)];
        let (answer, ()) =
            tokio::join!(live.http_with(&call, &boris.token, &headers, OFFER), async {
                let Command::Publish { peer, .. } = live.command().await else {
                    panic!("no publish")
                };
                live.signaling.media_event(Event::Answered { peer, sdp: "v=0".into() });
            });
        assert_eq!(answer.status, 201, "{accept}");
    }
}
