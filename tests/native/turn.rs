//! Media through the TURN server in the process, for networks that let nothing else out.

use crate::orders::user_of;
use crate::{both_kinds, flow};
use protocol::ClientMessage;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::link::Local;
use testkit::publisher::Offer;
use testkit::relay::{RelayWire, TurnServer};
use testkit::{Error, Person, Publication, Server};

/// What is promised of a removal.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);

/// A server that hands out its own TURN server, as others can reach it.
fn server() -> Server {
    let settings = [("HOST", "0.0.0.0"), ("MEDIA_ADDRESSES", "127.0.0.1")];
    Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &settings).expect("the server starts")
}

/// What a person is told of the TURN server, one of its URLs.
pub fn told(person: &Person, transport: &str) -> TurnServer {
    let servers = person.api.ice_servers(&person.token, &person.slug).expect("they are signed in");
    assert_eq!(servers.ttl, 600);
    let turn = servers.ice_servers.iter().find(|one| one.username.is_some()).expect("there is one");
    let suffix = format!("?transport={transport}");
    let address = turn.urls.iter().find_map(|url| {
        url.strip_prefix("turn:")?.strip_suffix(&suffix)?.parse::<SocketAddr>().ok()
    });
    TurnServer {
        address: address.unwrap_or_else(|| panic!("none by {transport} in {:?}", turn.urls)),
        by_stream: transport == "tcp",
        username: turn.username.clone().expect("just seen"),
        password: turn.credential.clone().expect("beside the name"),
    }
}

fn until(server: &Server, name: &str, is_right: impl Fn(f64) -> bool) -> Duration {
    let start = Instant::now();
    loop {
        let value = server.metric(name).expect("the server answers");
        if is_right(value) {
            return start.elapsed();
        }
        assert!(start.elapsed() < 2 * CLOSED_WITHIN, "{name} is {value}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_call_goes_through_the_relay_by_datagrams_and_by_a_stream_until_somebody_is_removed() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let user_id = user_of(&boris);
    let (by_datagrams, by_stream) = (told(&anna, "udp"), told(&boris, "tcp"));

    let mut publisher = anna.offer(Offer::new(Publication::default())).unwrap();
    publisher.link.use_relay(&by_datagrams).unwrap();
    publisher.link.connect().unwrap();
    let mut subscriber = boris.answer(&Local::generate(), 1, 1).unwrap();
    subscriber.link.use_relay(&by_stream).unwrap();
    subscriber.link.connect().unwrap();
    let received =
        flow(&mut publisher, &mut subscriber, "media by relay", both_kinds(150)).unwrap();
    assert!(received.len() >= 300);
    until(&server, "veche_media_paths{carrier=\"relay\"}", |paths| paths == 2.0);
    for other in ["udp", "tcp"] {
        let name = format!("veche_media_paths{{carrier=\"{other}\"}}");
        assert_eq!(server.metric(&name).unwrap(), 0.0);
    }
    assert_eq!(server.metric("veche_turn_allocations").unwrap(), 2.0);
    assert_eq!(server.metric("veche_turn_over_rate_total").unwrap(), 0.0);

    let kick = ClientMessage::MemberKick { user_id, reason: None };
    anna.socket.request(kick).unwrap();
    let took = until(&server, "veche_turn_allocations", |allocations| allocations == 1.0);
    assert!(took < CLOSED_WITHIN, "closed after {took:?}");
    until(&server, "veche_turn_revoked_total", |revoked| revoked == 1.0);
    // And their credentials, though their time is not over, open nothing any more.
    let again = RelayWire::allocate(&by_stream, by_stream.address).map(|_| ());
    assert!(matches!(again, Err(Error::Refused { status: 401, .. })), "{again:?}");
    RelayWire::allocate(&by_datagrams, by_datagrams.address).expect("others' go on");
}

#[test]
fn the_relay_leads_to_the_media_plane_and_nowhere_else() {
    let server = server();
    let (anna, _) = Person::host(server.api, "Anna").unwrap();
    let relay = told(&anna, "udp");
    let other = SocketAddr::new(relay.address.ip(), server.api.server.port());
    for peer in [other, "192.0.2.1:80".parse().unwrap(), "169.254.169.254:80".parse().unwrap()] {
        let refused = RelayWire::allocate(&relay, peer).map(|_| ());
        assert!(matches!(refused, Err(Error::Refused { status: 403, .. })), "{peer}: {refused:?}");
    }
    let nobody = TurnServer { password: "guess".into(), ..relay.clone() };
    let refused = RelayWire::allocate(&nobody, relay.address).map(|_| ());
    assert!(matches!(refused, Err(Error::Refused { status: 401, .. })), "{refused:?}");
}
