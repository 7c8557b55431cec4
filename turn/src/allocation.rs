//! One client's allocation: which peers may send to it, and by which short names.

use crate::bucket::{Bucket, Rate};
use crate::message::Transaction;
use crate::peers::{Family, MAX_PEERS};
use crate::server::Client;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

slotmap::new_key_type! {
    /// Names an allocation; never given twice.
    pub struct AllocationKey;
}

/// What a client was given.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub client: Client,
    pub person: Box<str>,
    pub room: Box<str>,
    /// Its addresses, IPv4 and IPv6. No socket has them: they tell allocations apart in what peers see.
    pub relayed: [Option<SocketAddr>; 2],
    /// The request that made it, which may come twice.
    pub made_by: Transaction,
    pub until: Instant,
    /// Until when each peer may send.
    permitted: [Option<Instant>; MAX_PEERS],
    channels: [Option<Channel>; MAX_PEERS],
    inward: Bucket,
    outward: Bucket,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    number: u16,
    until: Instant,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to a peer.
    Inward,
    /// From a peer to the client.
    Outward,
}

/// The channel or the peer has another binding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BoundElsewhere;

impl Allocation {
    pub fn new(
        now: Instant,
        client: Client,
        (person, room): (&str, &str),
        relayed: [Option<SocketAddr>; 2],
        made_by: Transaction,
        rate: Rate,
    ) -> Self {
        Self {
            client,
            person: person.into(),
            room: room.into(),
            relayed,
            made_by,
            until: now,
            permitted: [None; MAX_PEERS],
            channels: [None; MAX_PEERS],
            inward: Bucket::full(now, rate),
            outward: Bucket::full(now, rate),
        }
    }

    /// The address of a family.
    pub fn relayed(&self, family: Family) -> Option<SocketAddr> {
        self.relayed[family as usize]
    }

    /// Lets a peer send for a while.
    pub fn permit(&mut self, now: Instant, peer: u8) {
        self.permitted[usize::from(peer)] = Some(now + PERMISSION);
    }

    /// Whether a peer may send, and be sent to.
    pub fn is_permitted(&self, now: Instant, peer: u8) -> bool {
        let lives = |until: Option<Instant>| until.is_some_and(|until| now < until);
        // A bound channel is a permission, too: its life is longer, and clients rely on it.
        lives(self.permitted[usize::from(peer)]) || self.channel_of(now, peer).is_some()
    }

    /// Gives a peer a short name, or prolongs it.
    pub fn bind(&mut self, now: Instant, number: u16, peer: u8) -> Result<(), BoundElsewhere> {
        if self.peer_of(now, number).is_some_and(|bound| bound != peer)
            || self.channel_of(now, peer).is_some_and(|bound| bound != number)
        {
            return Err(BoundElsewhere);
        }
        self.channels[usize::from(peer)] = Some(Channel { number, until: now + CHANNEL });
        self.permit(now, peer);
        Ok(())
    }

    /// The peer that a channel is bound to.
    pub fn peer_of(&self, now: Instant, number: u16) -> Option<u8> {
        let is_it = |channel: &Option<Channel>| {
            channel.is_some_and(|channel| channel.number == number && now < channel.until)
        };
        self.channels.iter().position(is_it).map(|at| at as u8)
    }

    /// The channel that is bound to a peer.
    pub fn channel_of(&self, now: Instant, peer: u8) -> Option<u16> {
        let channel = self.channels[usize::from(peer)]?;
        (now < channel.until).then_some(channel.number)
    }

    /// Whether so many bytes more may go that way.
    pub fn may_carry(&mut self, now: Instant, way: Way, rate: Rate, bytes: usize) -> bool {
        let bucket = match way {
            Way::Inward => &mut self.inward,
            Way::Outward => &mut self.outward,
        };
        bucket.take(now, rate, bytes as u64)
    }
}

/// How long a peer may send after it was permitted (RFC 8656 §9.2 fixes it).
const PERMISSION: Duration = Duration::from_secs(300);
/// How long a channel is bound (RFC 8656 §12 fixes it).
const CHANNEL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Link;

    const RATE: Rate = Rate { per_second: 1000, burst: 1000 };

    fn allocation(now: Instant) -> Allocation {
        let client = Client { address: "192.0.2.1:5000".parse().unwrap(), link: Link::Udp };
        Allocation::new(now, client, ("ada", "weekly"), [None; 2], [0; 12], RATE)
    }

    #[test]
    fn a_permission_ends_after_five_minutes_and_a_channel_after_ten() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        allocation.permit(now, 0);
        assert!(allocation.is_permitted(now + PERMISSION - Duration::from_millis(1), 0));
        assert!(!allocation.is_permitted(now + PERMISSION, 0));
        assert!(!allocation.is_permitted(now, 1));
        allocation.bind(now, 0x4000, 1).unwrap();
        assert!(allocation.is_permitted(now + PERMISSION, 1));
        assert_eq!(allocation.channel_of(now + CHANNEL, 1), None);
        assert!(!allocation.is_permitted(now + CHANNEL, 1));
    }

    #[test]
    fn a_channel_names_one_peer_and_a_peer_has_one_channel() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        allocation.bind(now, 0x4000, 0).unwrap();
        allocation.bind(now, 0x4000, 0).unwrap();
        assert_eq!(allocation.bind(now, 0x4000, 1), Err(BoundElsewhere));
        assert_eq!(allocation.bind(now, 0x4001, 0), Err(BoundElsewhere));
        allocation.bind(now, 0x4001, 1).unwrap();
        assert_eq!(allocation.peer_of(now, 0x4001), Some(1));
        allocation.bind(now + CHANNEL, 0x4001, 0).unwrap();
        assert_eq!(allocation.peer_of(now + CHANNEL, 0x4001), Some(0));
    }

    #[test]
    fn each_way_has_a_limit_of_its_own() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        assert!(allocation.may_carry(now, Way::Inward, RATE, 1000));
        assert!(!allocation.may_carry(now, Way::Inward, RATE, 1));
        assert!(allocation.may_carry(now, Way::Outward, RATE, 1000));
    }
}
