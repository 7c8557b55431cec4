//! How many streams there may be, in all and from one place, before and after they proved whose they are.

use std::collections::HashMap;
use std::net::IpAddr;

/// Bounds on streams.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all. Each holds a file descriptor; a person has one or two.
    pub streams: usize,
    /// From one place: an office behind one address is many people.
    pub from_one_place: u32,
    /// In all that have proved nothing. A browser opens one for each pair of its addresses and ours.
    pub unproven: usize,
    /// From one place that have proved nothing. Fewer keep a class that joins at once waiting.
    pub unproven_from_one_place: u32,
}

/// Counts who is inside.
pub struct Door {
    limits: Limits,
    streams: usize,
    unproven: usize,
    places: HashMap<Place, Count>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    streams: u32,
    unproven: u32,
}

/// Where somebody is: an IPv4 address, or the /64 that one IPv6 machine has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    V4(u32),
    V6(u64),
}

impl Door {
    /// With nobody inside.
    pub fn new(limits: Limits) -> Self {
        Self { limits, streams: 0, unproven: 0, places: HashMap::new() }
    }

    /// Lets one more in, or not.
    pub fn enters(&mut self, from: IpAddr) -> bool {
        let place = Place::of(from);
        let count = self.places.get(&place).copied().unwrap_or_default();
        let is_full = self.streams >= self.limits.streams
            || self.unproven >= self.limits.unproven
            || count.streams >= self.limits.from_one_place
            || count.unproven >= self.limits.unproven_from_one_place;
        if is_full {
            return false;
        }
        self.streams += 1;
        self.unproven += 1;
        let count = self.places.entry(place).or_default();
        count.streams += 1;
        count.unproven += 1;
        true
    }

    /// Somebody inside proved whose they are.
    pub fn proves(&mut self, from: IpAddr) {
        self.unproven = self.unproven.saturating_sub(1);
        if let Some(count) = self.places.get_mut(&Place::of(from)) {
            count.unproven = count.unproven.saturating_sub(1);
        }
    }

    /// Somebody has gone.
    pub fn leaves(&mut self, from: IpAddr, was_proven: bool) {
        if !was_proven {
            self.proves(from);
        }
        self.streams = self.streams.saturating_sub(1);
        let place = Place::of(from);
        if let Some(count) = self.places.get_mut(&place) {
            count.streams = count.streams.saturating_sub(1);
            if count.streams == 0 {
                self.places.remove(&place);
            }
        }
    }

    /// How many are inside, and how many of them have proved nothing.
    pub fn inside(&self) -> (usize, usize) {
        (self.streams, self.unproven)
    }
}

impl Place {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Place::V4(v4.to_bits()),
            IpAddr::V6(v6) => Place::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 8_192,
            from_one_place: 2_048,
            unproven: 2_048,
            unproven_from_one_place: 256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn door() -> Door {
        Door::new(Limits { streams: 5, from_one_place: 3, unproven: 4, unproven_from_one_place: 2 })
    }

    #[test]
    fn one_place_holds_its_share_and_no_more() {
        let mut door = door();
        let here = address("192.0.2.1");
        assert!(door.enters(here) && door.enters(here));
        assert!(!door.enters(here), "two have proved nothing");
        assert!(door.enters(address("192.0.2.2")), "others are not concerned");
        door.proves(here);
        assert!(door.enters(here));
        door.proves(here);
        door.proves(here);
        assert!(!door.enters(here), "three from one place");
        door.leaves(here, true);
        assert!(door.enters(here));
    }

    #[test]
    fn all_places_together_hold_no_more_than_there_is_room() {
        let mut door = door();
        for n in 1..=4 {
            assert!(door.enters(address(&format!("192.0.2.{n}"))));
        }
        assert!(!door.enters(address("192.0.2.5")), "four have proved nothing");
        door.proves(address("192.0.2.1"));
        assert!(door.enters(address("192.0.2.5")));
        door.proves(address("192.0.2.2"));
        assert!(!door.enters(address("192.0.2.6")), "five in all");
        door.leaves(address("192.0.2.3"), false);
        assert_eq!(door.inside(), (4, 2));
        assert!(door.enters(address("192.0.2.6")));
    }

    #[test]
    fn addresses_of_one_machine_are_one_place() {
        let mut door = door();
        assert!(door.enters(address("2001:db8::1")) && door.enters(address("2001:db8::2")));
        assert!(!door.enters(address("2001:db8::3")));
        assert!(door.enters(address("2001:db8:0:1::1")));
        assert!(door.enters(address("192.0.2.1")));
        door.proves(address("2001:db8::1"));
        assert!(door.enters(address("2001:db8::3")));
    }

    #[test]
    fn an_ipv4_address_is_one_place_however_it_is_written() {
        let mut door = door();
        assert!(door.enters(address("192.0.2.1")) && door.enters(address("::ffff:192.0.2.1")));
        assert!(!door.enters(address("192.0.2.1")));
    }

    #[test]
    fn nothing_is_remembered_of_who_has_gone() {
        let mut door = door();
        for n in 0..100 {
            let from = address(&format!("192.0.2.{n}"));
            assert!(door.enters(from));
            let proves = n % 2 == 0;
            if proves {
                door.proves(from);
            }
            door.leaves(from, proves);
        }
        assert_eq!(door.inside(), (0, 0));
        assert!(door.places.is_empty());
    }
}
