//! The ways that datagrams come by, and that their answers go.
//!
//! A peer is found by its path, and everything that is sent names one. UDP is the common case and costs
//! no more than its address does; streams and relays are told apart by a number that their owner gives
//! out once and never again.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

/// A way between a client and this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Datagrams from and to an address.
    Udp(SocketAddr),
    /// Frames on a stream that the client opened (ICE-TCP, RFC 6544).
    Tcp {
        /// Which connection; a number is never used twice.
        connection: ConnectionId,
        /// Where it comes from.
        address: SocketAddr,
    },
    /// What a client sends to us through its allocation on our own TURN server (RFC 8656).
    Relayed {
        /// Which allocation; a number is never used twice.
        allocation: AllocationId,
        /// Which of our own addresses the client sends to, and wants to hear from.
        peer: u8,
        /// The relayed transport address, which no socket has: the client's candidate.
        address: SocketAddr,
    },
}

/// A stream, named by the thread that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// An allocation, named by the TURN server that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AllocationId(pub u64);

/// What carries a path's datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// UDP, straight.
    Udp,
    /// A TCP stream, straight.
    Tcp,
    /// The TURN server in this process.
    Relay,
}

/// An address that clients are told to try (RFC 8445 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostCandidate {
    /// UDP, or a stream that the client opens.
    pub carrier: Carrier,
    /// Where.
    pub address: SocketAddr,
}

impl Path {
    /// The address that the client's packets seem to come from: what an answer to its check says.
    pub fn address(&self) -> SocketAddr {
        match *self {
            Path::Udp(address) | Path::Tcp { address, .. } | Path::Relayed { address, .. } => {
                address
            }
        }
    }

    /// What carries it.
    pub fn carrier(&self) -> Carrier {
        match self {
            Path::Udp(_) => Carrier::Udp,
            Path::Tcp { .. } => Carrier::Tcp,
            Path::Relayed { .. } => Carrier::Relay,
        }
    }
}

/// Numbers alone tell streams and relays apart, and those of different kinds rarely meet in a map.
impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Path::Udp(address) => address.hash(state),
            Path::Tcp { connection, .. } => connection.hash(state),
            Path::Relayed { allocation, .. } => allocation.hash(state),
        }
    }
}

impl From<SocketAddr> for Path {
    fn from(address: SocketAddr) -> Self {
        Path::Udp(address)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.carrier().as_str(), self.address())
    }
}

impl Carrier {
    /// All of them.
    pub const ALL: [Carrier; 3] = [Carrier::Udp, Carrier::Tcp, Carrier::Relay];

    /// Its name in metrics, reports and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Carrier::Udp => "udp",
            Carrier::Tcp => "tcp",
            Carrier::Relay => "relay",
        }
    }
}

impl HostCandidate {
    /// Datagrams to an address.
    pub fn udp(address: SocketAddr) -> Self {
        Self { carrier: Carrier::Udp, address }
    }

    /// Streams to an address (`tcptype passive`).
    pub fn tcp(address: SocketAddr) -> Self {
        Self { carrier: Carrier::Tcp, address }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn ways_from_one_address_are_different_ways() {
        let address = SocketAddr::from(([192, 0, 2, 1], 5000));
        let tcp = |id| Path::Tcp { connection: ConnectionId(id), address };
        let relayed = Path::Relayed { allocation: AllocationId(1), peer: 0, address };
        let ways = [Path::Udp(address), tcp(1), tcp(2), relayed];
        let owners: HashMap<Path, usize> =
            ways.into_iter().enumerate().map(|(i, way)| (way, i)).collect();
        assert_eq!(owners.len(), ways.len());
        for (i, way) in ways.iter().enumerate() {
            assert_eq!(owners.get(way), Some(&i));
            assert_eq!(way.address(), address);
        }
    }

    #[test]
    fn a_path_stays_small() {
        // Every span of a batch and every entry of the map by which peers are found holds one.
        assert!(size_of::<Path>() <= 48);
    }
}
