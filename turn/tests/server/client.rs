//! A client of the server under test, as browsers are: it asks, is challenged, and asks again with credentials.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use turn::credentials::Secret;
use turn::message::{self as m, Class, Integrity, LongTermKey, Message, Method, Writer};
use turn::{Client, Config, Holders, Limits, Link, Moment, Received, Relay, Server};

pub const SECRET: &[u8] = b"north";
pub const REALM: &str = "veche";
pub const START_S: u64 = 1_800_000_000;
/// The media plane's addresses of the tests.
pub const PEERS: [&str; 3] = ["203.0.113.7:8081", "10.0.0.2:8081", "[2001:db8::7]:8081"];

/// An attribute of a request.
pub type Attribute = (u16, Vec<u8>);

/// The server and its time.
pub struct World {
    pub server: Server,
    pub started: Instant,
    pub passed: Duration,
}

impl World {
    pub fn new(limits: Limits) -> Self {
        Self::with_peers(&PEERS, limits)
    }

    pub fn with_peers(peers: &[&str], limits: Limits) -> Self {
        let started = Instant::now();
        let config = Config {
            realm: REALM.into(),
            secret: Secret::new(SECRET),
            seed: [7; 32],
            peers: peers.iter().map(|peer| peer.parse().expect("an address")).collect(),
            limits,
            holders: Holders::default(),
        };
        Self { server: Server::new(config, started), started, passed: Duration::ZERO }
    }

    pub fn at(&self) -> Moment {
        Moment { now: self.started + self.passed, unix_s: START_S + self.passed.as_secs() }
    }

    pub fn pass(&mut self, time: Duration) {
        self.passed += time;
        self.server.handle_timeout(self.at().now);
    }

    /// What is answered to one message, if anything.
    pub fn ask(&mut self, from: Client, message: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = message.to_vec();
        let at = self.at();
        let received = self.server.receive(at, from, &mut bytes);
        assert!(matches!(received, Received::Nothing), "a request carries nothing: {received:?}");
        let (to, answer) = self.server.poll_answer()?;
        assert_eq!(to, from, "answers go where the question came from");
        assert!(self.server.poll_answer().is_none(), "one question, one answer");
        Some(answer)
    }

    /// What reaches the media plane.
    pub fn carry(&mut self, from: Client, message: &[u8]) -> Option<(Relay, Vec<u8>)> {
        let mut bytes = message.to_vec();
        let at = self.at();
        match self.server.receive(at, from, &mut bytes) {
            Received::Nothing => None,
            Received::Payload(relay, payload) => Some((relay, payload.to_vec())),
        }
    }
}

/// One client with its credentials.
#[derive(Clone)]
pub struct Person {
    pub client: Client,
    pub username: String,
    pub password: String,
    pub nonce: Vec<u8>,
    pub integrity: Integrity,
    pub transactions: u64,
}

pub fn client(port: u16) -> Client {
    Client { address: SocketAddr::from(([198, 51, 100, 1], port)), link: Link::Udp }
}

impl Person {
    /// With credentials that are good for ten minutes from `now_s`.
    pub fn new(port: u16, person: &str, room: &str, now_s: u64) -> Self {
        let username = format!("{}:{person}:{room}", now_s + 600);
        let password = Secret::new(SECRET).password(&username);
        Self {
            client: client(port),
            username,
            password,
            nonce: b"none".to_vec(),
            integrity: Integrity::Sha1,
            transactions: 0,
        }
    }

    pub fn key(&self) -> LongTermKey {
        LongTermKey::new(&self.username, REALM, &self.password)
    }

    /// One authenticated request.
    pub fn request(&mut self, method: Method, attributes: &[Attribute]) -> Vec<u8> {
        self.transactions += 1;
        let mut transaction = [0; 12];
        transaction[..2].copy_from_slice(&self.client.address.port().to_be_bytes());
        transaction[4..].copy_from_slice(&self.transactions.to_be_bytes());
        self.request_again(method, transaction, attributes)
    }

    pub fn request_again(
        &self,
        method: Method,
        transaction: m::Transaction,
        attributes: &[Attribute],
    ) -> Vec<u8> {
        let mut writer = Writer::new(method, Class::Request, transaction);
        for (kind, value) in attributes {
            match *kind {
                m::XOR_PEER_ADDRESS => {
                    let text = std::str::from_utf8(value).expect("an address as text");
                    writer.address(*kind, text.parse().expect("an address"));
                }
                _ => {
                    writer.attribute(*kind, value);
                }
            }
        }
        writer
            .attribute(m::USERNAME, self.username.as_bytes())
            .attribute(m::REALM, REALM.as_bytes())
            .attribute(m::NONCE, &self.nonce)
            .integrity(self.integrity, &self.key());
        writer.finish(false)
    }

    /// Asks, takes the nonce that it is told, and asks again: the code of the refusal, or the answer.
    pub fn ask(
        &mut self,
        world: &mut World,
        method: Method,
        attributes: &[Attribute],
    ) -> Result<Vec<u8>, u16> {
        for _ in 0..2 {
            let request = self.request(method, attributes);
            let answer = world.ask(self.client, &request).expect("an answer");
            let message = Message::parse(&answer).expect("well-formed");
            assert_eq!(message.method(), method);
            if message.class() == Class::Success {
                assert!(message.is_authentic(&self.key()), "answers are authentic");
                return Ok(answer);
            }
            let code = code(&answer);
            if code != 438 {
                return Err(code);
            }
            self.nonce = message.attribute(m::NONCE).expect("a nonce").value.to_vec();
        }
        Err(438)
    }

    pub fn allocate(&mut self, world: &mut World) -> Result<Vec<u8>, u16> {
        self.ask(world, Method::Allocate, &[udp()])
    }

    pub fn permit(&mut self, world: &mut World, peer: &str) -> Result<Vec<u8>, u16> {
        self.ask(world, Method::CreatePermission, &[peer_address(peer)])
    }

    pub fn bind(&mut self, world: &mut World, number: u16, peer: &str) -> Result<Vec<u8>, u16> {
        self.ask(world, Method::ChannelBind, &[channel_number(number), peer_address(peer)])
    }
}

pub fn udp() -> Attribute {
    (m::REQUESTED_TRANSPORT, vec![17, 0, 0, 0])
}

/// Masked when it is written, as that takes the transaction.
pub fn peer_address(text: &str) -> Attribute {
    (m::XOR_PEER_ADDRESS, text.as_bytes().to_vec())
}

pub fn channel_number(number: u16) -> Attribute {
    (m::CHANNEL_NUMBER, [number.to_be_bytes(), [0, 0]].concat())
}

/// A Send indication.
pub fn indication(peer: &str, payload: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Method::Send, Class::Indication, [1; 12]);
    writer.address(m::XOR_PEER_ADDRESS, peer.parse().expect("an address"));
    writer.attribute(m::DATA, payload);
    writer.finish(false)
}

pub fn code(answer: &[u8]) -> u16 {
    let message = Message::parse(answer).expect("well-formed");
    assert_eq!(message.class(), Class::Error);
    let number = message.number(m::ERROR_CODE).expect("a code");
    (number >> 8 & 7) as u16 * 100 + (number & 0xff) as u16
}
