//! What the fuzz target of the TURN server does with its input; `turn/tests/corpus.rs` replays the committed corpus
//! through the same function.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use turn::channel::{self, Frame};
use turn::credentials::Secret;
use turn::message::{self as m, Class, Integrity, LongTermKey, Message, Method, Writer};
use turn::{Client, Config, Holders, Limits, Link, Moment, Received, Server, wants};

/// A server that gets what the input says: messages of strangers, requests of people with credentials, streams, time.
/// Whatever comes, nothing but the media plane is reached, bounds hold and strangers are answered briefly.
///
/// The input is a row of steps: what to do, from which of four clients, how many bytes follow, and these.
pub fn turn(input: &[u8]) {
    let started = Instant::now();
    let mut passed = Duration::ZERO;
    let peers: Vec<SocketAddr> =
        PEERS.iter().map(|peer| peer.parse().expect("an address")).collect();
    let limits = Limits { allocations: 3, per_person: 2, ..Limits::default() };
    let secret = Secret::new(SECRET);
    let config = Config {
        realm: REALM.into(),
        secret,
        seed: [1; 32],
        peers: peers.clone(),
        limits,
        holders: Holders::default(),
    };
    let mut server = Server::new(config, started);
    let mut wrapped = Vec::new();
    let mut rest = input;
    while let Some((&[what, who, length], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let at = Moment { now: started + passed, unix_s: START_S + passed.as_secs() };
        let from = client(who);
        let mut message = match what % 4 {
            0 => bytes.to_vec(),
            1 => signed(from, who, what, bytes),
            2 => match channel::frame(bytes) {
                Frame::Whole { length, next } => {
                    assert!(length <= next && next <= bytes.len() && next <= channel::MAX_MESSAGE);
                    bytes[..length].to_vec()
                }
                Frame::Incomplete | Frame::Broken => Vec::new(),
            },
            _ => {
                passed += Duration::from_secs(u64::from(length));
                server.handle_timeout(at.now);
                if who == 255 {
                    server.revoke(at.unix_s, "person-0", "room");
                    assert!(server.len() <= 2);
                }
                Vec::new()
            }
        };
        wants(&message);
        channel::speaks_turn(&message);
        let question = message.len();
        let is_signed = what % 4 == 1;
        match server.receive(at, from, &mut message) {
            Received::Nothing => {}
            Received::Payload(relay, payload) => {
                assert!(usize::from(relay.peer) < peers.len());
                assert_eq!(relay.relayed.is_ipv4(), peers[usize::from(relay.peer)].is_ipv4());
                let payload = payload.to_vec();
                wrapped.clear();
                let to = server.wrap(at.now, relay.allocation, relay.peer, &payload, &mut wrapped);
                assert!(to.is_none_or(|to| to == from), "back to where it came from");
                assert_eq!(to.is_none(), wrapped.is_empty());
            }
        }
        while let Some((to, answer)) = server.poll_answer() {
            assert_eq!(to, from);
            assert!(is_signed || answer.len() <= 3 * question, "{} to {question}", answer.len());
            let answer = Message::parse(&answer).expect("what is written can be read");
            assert!(matches!(answer.class(), Class::Success | Class::Error));
        }
        while server.poll_closed().is_some() {}
        assert!(server.len() <= limits.allocations);
    }
}

fn client(who: u8) -> Client {
    let link = if who & 2 == 0 { Link::Udp } else { Link::Stream(u64::from(who & 3)) };
    Client { address: SocketAddr::from(([192, 0, 2, 1], 5000 + u16::from(who & 3))), link }
}

/// A request of somebody with good credentials and a good nonce, whose own attributes the input makes up.
fn signed(from: Client, who: u8, what: u8, bytes: &[u8]) -> Vec<u8> {
    let methods = [
        Method::Allocate,
        Method::Refresh,
        Method::CreatePermission,
        Method::ChannelBind,
        Method::Send,
    ];
    let method = methods[usize::from(what / 4) % methods.len()];
    let username = format!("{}:person-{}:room", START_S + 600, who & 1);
    let key = LongTermKey::new(&username, REALM, &Secret::new(SECRET).password(&username));
    let mut writer = Writer::new(method, Class::Request, [who & 4; 12]);
    let mut rest = bytes;
    while let Some((&[kind, length], after)) = rest.split_first_chunk() {
        let (value, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        match ATTRIBUTES.get(usize::from(kind)) {
            // By number, else the masked bytes would almost never be a peer.
            Some(&m::XOR_PEER_ADDRESS) => {
                let named = PEERS[usize::from(length) % PEERS.len()];
                writer.address(m::XOR_PEER_ADDRESS, named.parse().expect("an address"));
            }
            Some(kind) => {
                writer.attribute(*kind, value);
            }
            None => {
                writer.attribute(u16::from(kind), value);
            }
        }
    }
    let nonce = turn::nonce::Nonces::new(&[1; 32]).make(START_S, from.address);
    writer.attribute(m::USERNAME, username.as_bytes());
    writer.attribute(m::REALM, REALM.as_bytes()).attribute(m::NONCE, &nonce);
    writer.integrity(if who & 8 == 0 { Integrity::Sha1 } else { Integrity::Sha256 }, &key);
    writer.finish(who & 16 == 0)
}

const SECRET: &[u8] = b"veche-corpus-secret";
const REALM: &str = "veche";
const START_S: u64 = 1_800_000_000;
const PEERS: [&str; 3] = ["203.0.113.7:8081", "10.0.0.2:8081", "[2001:db8::7]:8081"];
const ATTRIBUTES: [u16; 9] = [
    m::REQUESTED_TRANSPORT,
    m::LIFETIME,
    m::XOR_PEER_ADDRESS,
    m::CHANNEL_NUMBER,
    m::REQUESTED_ADDRESS_FAMILY,
    m::ADDITIONAL_ADDRESS_FAMILY,
    m::EVEN_PORT,
    m::RESERVATION_TOKEN,
    m::DONT_FRAGMENT,
];
