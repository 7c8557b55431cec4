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

/// Who may be sent to.
#[derive(Clone, Debug)]
pub struct Peers {
    allowed: Vec<SocketAddr>,
}

impl Peers {
    /// These, the first ones if there are too many.
    pub fn new(addresses: &[SocketAddr]) -> Self {
        let mut allowed = Vec::new();
        for &address in addresses {
            // Port 0 and `0.0.0.0` are no addresses; and an IPv4 address is told as one.
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            let is_some = address.port() != 0 && !address.ip().is_unspecified();
            if is_some && !allowed.contains(&address) && allowed.len() < MAX_PEERS {
                allowed.push(address);
            }
        }
        Self { allowed }
    }

    /// The place of one address.
    pub fn find(&self, address: SocketAddr) -> Option<u8> {
        self.allowed.iter().position(|allowed| *allowed == address).map(|at| at as u8)
    }

    /// The places of all with that IP: permissions do not look at ports (RFC 8656 §9).
    pub fn with_ip(&self, ip: IpAddr) -> impl Iterator<Item = u8> {
        let has_ip = move |(_, allowed): &(usize, &SocketAddr)| allowed.ip() == ip;
        self.allowed.iter().enumerate().filter(has_ip).map(|(at, _)| at as u8)
    }

    /// The address at a place.
    pub fn at(&self, place: u8) -> Option<SocketAddr> {
        self.allowed.get(usize::from(place)).copied()
    }

    /// What allocations of a family are made of: the first address of that family.
    pub fn relay_ip(&self, family: Family) -> Option<IpAddr> {
        self.allowed.iter().map(SocketAddr::ip).find(|ip| Family::of(*ip) == family)
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
}
