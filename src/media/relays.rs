//! TURN beside the media plane: clients whose network lets nothing else out speak it on the media port, and what their
//! allocations carry goes straight to the plane. There is no relay socket.

use super::share::Share;
use sfu::{AllocationId, ConnectionId, Path, PlaneId, Transmits};
use slotmap::{Key, KeyData};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use turn::{
    AllocationKey, Client, Config, Holders, Limits, Link, Moment, Received, Relay, Secret, Server,
};

/// The word that passwords are bound to. Strangers are told it in each challenge, so it is short.
const REALM: &str = "veche";

/// IPv4 addresses told: one inside and one outside, mostly. Browsers make an allocation for each.
const MAX_IPV4_TOLD: usize = 2;

/// Where an allocation's number says which media thread holds it: above all places that a server has, below the
/// counter of their use.
const PLANE_SHIFT: u32 = 26;
const PLANE_MASK: u64 = 0x3f << PLANE_SHIFT;

/// How the TURN server is run.
#[derive(Clone)]
pub struct RelaySettings {
    /// What credentials are made with.
    pub secret: signaling::Secret,
    /// Allocations of one person.
    pub per_person: usize,
    /// Bytes per second of one allocation, each way.
    pub bytes_per_second: u64,
    /// Who holds how much on all threads.
    pub holders: Holders,
}

/// The allocations of a media thread.
pub struct Relays {
    plane: PlaneId,
    server: Option<Server>,
    outgoing: Transmits,
    told: turn::Stats,
}

impl Relays {
    /// None: TURN is answered by nobody.
    pub fn none() -> Self {
        Self {
            plane: PlaneId(0),
            server: None,
            outgoing: Transmits::default(),
            told: turn::Stats::default(),
        }
    }

    /// A server for the plane with these addresses.
    pub fn new(
        plane: PlaneId,
        settings: &RelaySettings,
        seed: [u8; 32],
        peers: Vec<SocketAddr>,
        now: Instant,
    ) -> Self {
        let defaults = Limits::default();
        let per_second = settings.bytes_per_second;
        let limits = Limits {
            per_person: settings.per_person,
            // Half a second at once: a keyframe of a shared screen with all that goes with it.
            rate: turn::bucket::Rate { per_second, burst: per_second / 2 },
            ..defaults
        };
        let secret = Secret::new(settings.secret.expose().as_bytes());
        let config = Config {
            realm: REALM.into(),
            secret,
            seed,
            peers,
            limits,
            holders: settings.holders.clone(),
        };
        Self { plane, server: Some(Server::new(config, now)), ..Self::none() }
    }

    /// Whether a datagram on the media port is for us rather than for the media plane.
    pub fn wants(&self, datagram: &[u8]) -> bool {
        self.server.is_some() && turn::wants(datagram)
    }

    /// Takes one message of a client; what it carries for the media plane is returned with the way it came by.
    pub fn receive<'a>(
        &mut self,
        now: Instant,
        from: Client,
        message: &'a mut [u8],
    ) -> Option<(Path, &'a mut [u8])> {
        let plane = self.plane;
        let server = self.server.as_mut()?;
        let carried = match server.receive(moment(now), from, message) {
            Received::Nothing => None,
            Received::Payload(relay, payload) => Some((path(plane, &relay), payload)),
        };
        while let Some((to, answer)) = server.poll_answer() {
            self.outgoing.push(way_to(to), &answer);
        }
        carried
    }

    /// Wraps what the media plane sends to allocations here; `elsewhere` gets what it sends to those of other threads.
    pub fn wrap(
        &mut self,
        now: Instant,
        transmits: &Transmits,
        mut elsewhere: impl FnMut(PlaneId, Path, &[u8]),
    ) {
        for run in transmits.runs() {
            let Some(plane) = holder(run.to) else { continue };
            for packet in run.bytes.chunks(run.segment) {
                if plane == self.plane {
                    self.wrap_one(now, run.to, packet);
                } else {
                    elsewhere(plane, run.to, packet);
                }
            }
        }
    }

    /// Wraps one packet for an allocation here.
    pub fn wrap_one(&mut self, now: Instant, to: Path, packet: &[u8]) {
        let Some(server) = &mut self.server else { return };
        let Path::Relayed { allocation, peer, .. } = to else { return };
        let key = AllocationKey::from(KeyData::from_ffi(allocation.0 & !PLANE_MASK));
        let start = self.outgoing.mark();
        if let Some(to) = server.wrap(now, key, peer, packet, self.outgoing.slab()) {
            self.outgoing.commit(way_to(to), start);
        }
    }

    /// What waits for sockets.
    pub fn outgoing(&mut self) -> &mut Transmits {
        &mut self.outgoing
    }

    /// The media plane has other addresses from now on.
    pub fn set_peers(&mut self, peers: &[SocketAddr]) {
        if let Some(server) = &mut self.server {
            server.set_peers(peers);
        }
    }

    /// Ends what was not refreshed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(server) = &mut self.server {
            server.handle_timeout(now);
        }
    }

    /// Ends what a person holds for a room, and refuses what credentials they have for it.
    pub fn send_away(&mut self, person: &str, room: &str) {
        if let Some(server) = &mut self.server {
            let ended = server.revoke(moment(Instant::now()).unix_s, person, room);
            tracing::debug!(ended, "relays of somebody who was sent away");
        }
    }

    /// A stream is no more.
    pub fn disconnected(&mut self, client: Client) {
        if let Some(server) = &mut self.server {
            server.disconnected(client);
        }
    }

    /// Whether somebody has an allocation over that link.
    pub fn has_allocation(&self, client: Client) -> bool {
        self.server.as_ref().is_some_and(|server| server.has_allocation(client))
    }

    /// Tells of each way to the media plane that is no more.
    pub fn take_lost(&mut self, mut each: impl FnMut(Path)) {
        let plane = self.plane;
        let Some(server) = &mut self.server else { return };
        while let Some(closed) = server.poll_closed() {
            server.relays_of(&closed).for_each(|relay| each(path(plane, &relay)));
        }
    }

    /// Tells what was counted since this was called last. `share` is this thread's of all allocations.
    pub fn publish_metrics(&mut self, share: &mut Share) {
        let Some(server) = &self.server else { return };
        let now = server.stats();
        let before = std::mem::replace(&mut self.told, now);
        let counters = [
            ("veche_turn_allocated_total", now.allocated - before.allocated),
            ("veche_turn_revoked_total", now.revoked - before.revoked),
            ("veche_turn_unauthorized_total", now.unauthorized - before.unauthorized),
            ("veche_turn_forbidden_peers_total", now.forbidden - before.forbidden),
            ("veche_turn_refused_total", now.refused - before.refused),
            ("veche_turn_unanswered_total", now.unanswered - before.unanswered),
            ("veche_turn_over_rate_total", now.over_rate - before.over_rate),
            ("veche_turn_unrelayed_total", now.unrelayed - before.unrelayed),
            ("veche_turn_packets_in_total", now.packets_in - before.packets_in),
            ("veche_turn_packets_out_total", now.packets_out - before.packets_out),
        ];
        for (name, by) in counters {
            metrics::counter!(name).increment(by);
        }
        share.tell(&metrics::gauge!("veche_turn_allocations"), server.len());
    }
}

/// Somebody who sends datagrams.
pub fn by_datagrams(address: SocketAddr) -> Client {
    Client { address, link: Link::Udp }
}

/// Somebody who has a stream.
pub fn by_stream(connection: ConnectionId, address: SocketAddr) -> Client {
    Client { address, link: Link::Stream(connection.0) }
}

/// What clients are told of the server: the first of our addresses, so many that a browser does not warn, and by TLS where
/// a certificate has a name.
pub fn turn_urls(media: &[SocketAddr], with_tcp: bool, tls: Option<(&str, u16)>) -> Vec<String> {
    // Our loopback is not theirs; where there is nothing else, a proxy may bring them there.
    let has_others = media.iter().any(|address| !address.ip().is_loopback());
    let others = media.iter().filter(|address| !has_others || !address.ip().is_loopback());
    let of_family = |is_v4: bool| others.clone().filter(move |a| a.is_ipv4() == is_v4);
    let told: Vec<&SocketAddr> =
        of_family(true).take(MAX_IPV4_TOLD).chain(of_family(false).take(1)).collect();
    let by = |transport: &'static str| {
        move |address: &&SocketAddr| format!("turn:{address}?transport={transport}")
    };
    let mut urls: Vec<String> = told.iter().map(by("udp")).collect();
    if with_tcp {
        urls.extend(told.iter().take(1).map(by("tcp")));
    }
    urls.extend(tls.map(|(name, port)| format!("turns:{name}:{port}?transport=tcp")));
    urls
}

fn way_to(client: Client) -> Path {
    match client.link {
        Link::Udp => Path::Udp(client.address),
        Link::Stream(number) => {
            Path::Tcp { connection: ConnectionId(number), address: client.address }
        }
    }
}

/// The media thread that holds the allocation of a way.
pub fn holder(path: Path) -> Option<PlaneId> {
    let Path::Relayed { allocation, .. } = path else { return None };
    Some(PlaneId(((allocation.0 & PLANE_MASK) >> PLANE_SHIFT) as u16))
}

fn path(plane: PlaneId, relay: &Relay) -> Path {
    let key = relay.allocation.data().as_ffi();
    debug_assert_eq!(key & PLANE_MASK, 0, "a server has fewer places");
    Path::Relayed {
        allocation: AllocationId(key | u64::from(plane.0) << PLANE_SHIFT),
        peer: relay.peer,
        address: relay.relayed,
    }
}

/// Credentials are dated by the clock on the wall.
fn moment(now: Instant) -> Moment {
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    Moment { now, unix_s }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn clients_are_told_few_addresses_of_which_none_is_their_own() {
        let media = addresses(&[
            "203.0.113.7:8081",
            "10.0.0.2:8081",
            "10.0.0.3:8081",
            "127.0.0.1:8081",
            "[2001:db8::7]:8081",
            "[2001:db8::8]:8081",
        ]);
        assert_eq!(
            turn_urls(&media, true, Some(("meet.example.org", 443))),
            [
                "turn:203.0.113.7:8081?transport=udp",
                "turn:10.0.0.2:8081?transport=udp",
                "turn:[2001:db8::7]:8081?transport=udp",
                "turn:203.0.113.7:8081?transport=tcp",
                "turns:meet.example.org:443?transport=tcp",
            ]
        );
        assert_eq!(turn_urls(&media[1..2], false, None), ["turn:10.0.0.2:8081?transport=udp"]);
        assert_eq!(turn_urls(&media[3..4], false, None), ["turn:127.0.0.1:8081?transport=udp"]);
        assert!(turn_urls(&[], true, None).is_empty());
    }

    #[test]
    fn a_server_that_is_off_wants_nothing() {
        let mut relays = Relays::none();
        let mut allocate = [0u8; 20];
        allocate[..8].copy_from_slice(&[0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
        assert!(!relays.wants(&allocate));
        let from = by_datagrams("192.0.2.1:5000".parse().expect("an address"));
        assert!(relays.receive(Instant::now(), from, &mut allocate).is_none());
        assert!(relays.outgoing().is_empty());
    }
}
