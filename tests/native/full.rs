//! A server that holds as much as it may: who comes is told so, who is inside goes on.

use crate::{both_kinds, flow};
use protocol::ClientMessage;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::server::Server;
use testkit::{Error, Person, Publication};

/// Asks for a ticket until the answer is what is waited for; the measurement comes twice a second.
fn until(person: &Person, token: &str, is_it: impl Fn(&Result<String, Error>) -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = person.api.ticket(token, &person.slug, None);
        if is_it(&answer) {
            return;
        }
        assert!(Instant::now() < end, "{answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_full_server_refuses_newcomers_and_serves_who_is_inside() {
    let server =
        Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &[("MAX_SOCKETS", "2")]).unwrap();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let clara = server.api.guest("Clara").unwrap().access_token;
    let is_full = |answer: &Result<String, Error>| matches!(answer, Err(Error::Refused { status: 503, body }) if body.contains("server_full"));
    until(&anna, &clara, is_full);

    // Those inside have everything: media is negotiated anew, and a broken socket comes back.
    let mut from_anna = anna.publish(Publication::default()).unwrap();
    let mut to_boris = boris.subscribe(4, 9).unwrap();
    flow(&mut from_anna, &mut to_boris, "media", both_kinds(20)).unwrap();
    let (resume, token, slug) = (boris.resume.clone(), boris.token.clone(), boris.slug.clone());
    let back = Person::enter(server.api, token, &slug, Some(resume)).unwrap();
    assert_eq!(back.id, boris.id);

    let mut back = back;
    back.socket.send(ClientMessage::Leave).unwrap();
    drop((back, boris));
    until(&anna, &clara, Result::is_ok);
}
