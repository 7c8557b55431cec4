//! The configuration of coturn in the documentation, as it stands there: it relays to the server's media and to
//! nothing else.

use crate::{both_kinds, flow};
use std::path::Path;
use testkit::coturn::Coturn;
use testkit::link::Local;
use testkit::relay::{RelayWire, TurnServer};
use testkit::{Error, Person, Publication, Server};

/// What somebody is told of it.
fn told(person: &Person, coturn: &Coturn, by_stream: bool) -> TurnServer {
    let servers = person.api.ice_servers(&person.token, &person.slug).expect("they are signed in");
    assert_eq!(servers.ttl, 3_600);
    let [turn] = &servers.ice_servers[..] else { panic!("one server, the external one") };
    assert_eq!(turn.urls, [format!("turn:{}", coturn.address)]);
    TurnServer {
        address: coturn.address,
        by_stream,
        username: turn.username.clone().expect("it asks for one"),
        password: turn.credential.clone().expect("beside the name"),
    }
}

#[test]
fn coturn_with_the_documented_configuration_relays_to_the_media_and_to_nothing_else() {
    let coturn = Coturn::start().expect("coturn is installed");
    let [(url_key, url), (secret_key, secret)] = coturn.settings();
    let settings =
        [(url_key, url.as_str()), (secret_key, secret.as_str()), ("MEDIA_ADDRESSES", "127.0.0.1")];
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &settings).unwrap();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut publisher = anna.publish(Publication::default()).unwrap();
    for by_stream in [false, true] {
        let relay = told(&boris, &coturn, by_stream);
        let mut subscriber = boris.answer(&Local::generate(), 1, 1).unwrap();
        subscriber.link.use_relay(&relay).unwrap();
        subscriber.link.connect().unwrap();
        flow(&mut publisher, &mut subscriber, "media through coturn", both_kinds(50)).unwrap();
    }
    let relay = told(&boris, &coturn, false);
    for peer in [
        "127.0.0.2:8081",
        "10.0.0.1:80",
        "172.16.0.1:80",
        "192.168.0.1:80",
        "169.254.169.254:80",
        "100.64.0.1:80",
        "192.0.2.1:80",
        "224.0.0.1:5000",
        "0.0.0.0:8081",
    ] {
        let refused = RelayWire::allocate(&relay, peer.parse().unwrap()).map(|_| ());
        assert!(matches!(refused, Err(Error::Refused { status: 403, .. })), "{peer}: {refused:?}");
    }
    let guess = TurnServer { password: "guess".into(), ..relay };
    let refused = RelayWire::allocate(&guess, coturn.address).map(|_| ());
    assert!(matches!(refused, Err(Error::Refused { status: 401, .. })), "{refused:?}");
}
