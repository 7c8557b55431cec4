//! Signing out while sockets are open.

use super::*;

async fn sign_in(live: &Live) -> Person {
    let body = json!({ "username": "vera", "password": "correct horse" });
    let answer = live.post("auth/login", "", body).await.json();
    Person { token: text(&answer["access_token"]), id: text(&answer["user"]["id"]) }
}

/// A server with a room, and one person on two devices.
async fn two_devices() -> (Live, Person, Person) {
    let live = Live::new().await;
    let body =
        json!({ "username": "vera", "email": "vera@example.org", "password": "correct horse" });
    live.post("auth/register", "", body).await.json();
    let (phone, laptop) = (sign_in(&live).await, sign_in(&live).await);
    live.room(&phone, SLUG).await;
    (live, phone, laptop)
}

#[tokio::test]
async fn whoever_signs_out_has_left_with_this_device_and_no_other() {
    let (live, phone, laptop) = two_devices().await;
    let (mut gone, _) = live.enter(&phone, SLUG).await;
    let (mut stays, _) = live.enter(&laptop, SLUG).await;
    assert_eq!(live.post("auth/logout", &phone.token, json!({})).await.status, 204);
    assert_eq!(gone.closed().await, close::SIGNED_OUT);
    let told = stays.wait("member.left").await;
    assert_eq!(told["reason"], "left", "at once, not after a silence");
    stays.settle().await;
    assert_eq!(live.post("auth/logout-all", &laptop.token, json!({})).await.status, 204);
    assert_eq!(stays.closed().await, close::SIGNED_OUT);
}

#[tokio::test]
async fn a_ticket_ends_with_the_session_that_it_was_given_to() {
    let (live, phone, _) = two_devices().await;
    let ticket = live.ticket(&phone, SLUG, json!({})).await;
    live.post("auth/logout", &phone.token, json!({})).await;
    let refused = live.open(&format!("/ws/rooms/{SLUG}?ticket={ticket}"), &[]).await;
    assert_eq!(refused.err(), Some(401));
}
