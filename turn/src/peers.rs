//! The only peers there are: the media plane's own addresses.
//!
//! A list of what is allowed, compared bit by bit, needs no list of what is forbidden: another spelling of an allowed
//! address is another address.

use crate::message::{FAMILY_IPV4, FAMILY_IPV6};
use std::net::{IpAddr, SocketAddr};

/// Addresses of the media plane at most. Each costs every allocation room for a permission and a channel.
pub const MAX_PEERS: usize = 16;

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Four bytes.
    V4,
    /// Sixteen.
    V6,
}

impl Family {
    /// That of an address as it is written.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// As attributes say it.
    pub fn number(self) -> u8 {
        match self {
            Family::V4 => FAMILY_IPV4,
            Family::V6 => FAMILY_IPV6,
        }
    }

    /// What an attribute says.
    pub fn read(number: u8) -> Option<Self> {
        match number {
            FAMILY_IPV4 => Some(Family::V4),
            FAMILY_IPV6 => Some(Family::V6),
            _ => None,
        }
    }
}

/// Who may be sent to. An address keeps its place for good, as allocations name places.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    address: SocketAddr,
    /// Whether it is an address of the media plane now, or has been one.
    is_current: bool,
}

impl Peers {
    /// These, the first ones if there are too many.
    pub fn new(addresses: &[SocketAddr]) -> Self {
        let mut peers = Self::default();
        peers.set(addresses);
        peers
    }

    /// These from now on. What comes when all places are taken, by addresses that were there before, is no peer: a
    /// machine would have had to change its addresses many times.
    pub fn set(&mut self, addresses: &[SocketAddr]) {
        self.places.iter_mut().for_each(|place| place.is_current = false);
        for &address in addresses {
            // Port 0 and `0.0.0.0` are no addresses; and an IPv4 address is told as one.
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if address.port() == 0 || address.ip().is_unspecified() {
                continue;
            }
            if let Some(place) = self.places.iter_mut().find(|place| place.address == address) {
                place.is_current = true;
            } else if self.places.len() < MAX_PEERS {
                self.places.push(Place { address, is_current: true });
            }
        }
    }

    /// The place of one address.
    pub fn find(&self, address: SocketAddr) -> Option<u8> {
        self.current().find(|(_, current)| *current == address).map(|(at, _)| at)
    }

    /// The places of all with that IP: permissions do not look at ports (RFC 8656 §9).
    pub fn with_ip(&self, ip: IpAddr) -> impl Iterator<Item = u8> {
        self.current().filter(move |(_, address)| address.ip() == ip).map(|(at, _)| at)
    }

    /// All that are or were peers, with their places.
    pub fn addresses(&self) -> impl Iterator<Item = (u8, SocketAddr)> {
        self.places.iter().enumerate().map(|(at, place)| (at as u8, place.address))
    }

    /// The address at a place.
    pub fn at(&self, place: u8) -> Option<SocketAddr> {
        self.places.get(usize::from(place)).map(|place| place.address)
    }

    /// What allocations of a family are made of: the first address of that family.
    pub fn relay_ip(&self, family: Family) -> Option<IpAddr> {
        self.current().map(|(_, address)| address.ip()).find(|ip| Family::of(*ip) == family)
    }

    fn current(&self) -> impl Iterator<Item = (u8, SocketAddr)> {
        let current = self.places.iter().enumerate().filter(|(_, place)| place.is_current);
        current.map(|(at, place)| (at as u8, place.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_no_peer() {
        let named = ["0.0.0.0:1", "[::]:1", "192.0.2.1:0", "[::ffff:192.0.2.1]:5", "192.0.2.1:5"];
        let peers = Peers::new(&named.map(|text| text.parse().unwrap()));
        assert_eq!(peers.at(0), Some("192.0.2.1:5".parse().unwrap()));
        assert_eq!(peers.at(1), None);
        assert_eq!(peers.relay_ip(Family::V6), None);
        assert_eq!(peers.find("[::ffff:192.0.2.1]:5".parse().unwrap()), None);
    }

    #[test]
    fn there_are_never_more_peers_than_rooms_for_them() {
        let many: Vec<SocketAddr> = (1..100).map(|port| ([192, 0, 2, 1], port).into()).collect();
        let peers = Peers::new(&many);
        assert_eq!(peers.with_ip([192, 0, 2, 1].into()).count(), MAX_PEERS);
    }

    #[test]
    fn addresses_that_come_and_go_keep_their_places() {
        let [first, second] = ["192.0.2.1:5", "192.0.2.2:5"].map(|text| text.parse().unwrap());
        let mut peers = Peers::new(&[first]);
        peers.set(&[second]);
        assert_eq!((peers.find(first), peers.find(second)), (None, Some(1)));
        assert_eq!(peers.relay_ip(Family::V4), Some("192.0.2.2".parse().unwrap()));
        assert_eq!(peers.at(0), Some(first), "for who still has it");
        peers.set(&[first, second]);
        assert_eq!((peers.find(first), peers.find(second)), (Some(0), Some(1)));
    }
}
