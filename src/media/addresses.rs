//! Which addresses clients are told to send media to, and where each of them comes from.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};

/// Addresses told at most: each is one more candidate that every client checks.
const MAX_ADDRESSES: usize = 8;

/// One entry of `media_addresses`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An address as it is.
    Address(IpAddr),
    /// A name, and whatever addresses it has now.
    Host(String),
    /// Those of this machine's own interfaces.
    Interfaces,
}

/// An address that clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The address.
    pub address: IpAddr,
    /// Where we have it from.
    pub origin: Origin,
}

/// Where an address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The settings name it.
    Setting,
    /// A name in the settings has it.
    Host(String),
    /// An interface has it.
    Interface(String),
}

/// What this machine and the name service say now.
pub struct Surroundings {
    interfaces: Vec<(String, IpAddr)>,
    hosts: Vec<(String, Vec<IpAddr>)>,
}

impl Surroundings {
    /// Asks for whatever the settings need. Blocks as long as the name service takes.
    ///
    /// # Errors
    /// When the interfaces cannot be listed.
    pub fn look(named: &[Named]) -> io::Result<Self> {
        let interfaces = if_addrs::get_if_addrs()?.into_iter();
        let hosts = named.iter().filter_map(|named| match named {
            Named::Host(host) => Some((host.clone(), resolve(host))),
            Named::Address(_) | Named::Interfaces => None,
        });
        Ok(Self {
            interfaces: interfaces.map(|one| (one.name.clone(), one.ip())).collect(),
            hosts: hosts.collect(),
        })
    }

    /// Names that have no address, or none that could be found out.
    pub fn unknown_hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter(|(_, found)| found.is_empty()).map(|(host, _)| host.as_str())
    }

    /// The addresses that the settings name, in their order; without any, those of the interfaces. Of
    /// these IPv4 comes first, and loopback is told only where the server is reached by it. Link-local
    /// IPv6 is left out, it means nothing without its interface.
    pub fn advertised(&self, named: &[Named], with_loopback: bool) -> Vec<Advertised> {
        let own = || {
            let mut own: Vec<Advertised> = self
                .interfaces
                .iter()
                .filter(|(_, address)| is_told(*address, with_loopback))
                .map(|(name, address)| Advertised {
                    address: *address,
                    origin: Origin::Interface(name.clone()),
                })
                .collect();
            own.sort_by_key(|told| (told.address.is_loopback(), told.address.is_ipv6()));
            own
        };
        let mut told: Vec<Advertised> = if named.is_empty() {
            own()
        } else {
            let of = |named: &Named| match named {
                Named::Address(address) => {
                    vec![Advertised { address: *address, origin: Origin::Setting }]
                }
                Named::Host(host) => self.of_host(host),
                Named::Interfaces => own(),
            };
            named.iter().flat_map(of).collect()
        };
        let mut seen = HashSet::new();
        told.retain(|told| seen.insert(told.address));
        told.truncate(MAX_ADDRESSES);
        told
    }

    fn of_host(&self, host: &str) -> Vec<Advertised> {
        let found = self.hosts.iter().filter(|(name, _)| name == host).flat_map(|(_, found)| found);
        let origin = Origin::Host(host.to_owned());
        found.map(|&address| Advertised { address, origin: origin.clone() }).collect()
    }

    /// Where a name is not known at the moment, what it was before.
    pub fn remember(&mut self, before: &Self) {
        for (host, found) in self.hosts.iter_mut().filter(|(_, found)| found.is_empty()) {
            let known = before.hosts.iter().find(|(name, _)| name == host);
            found.extend(known.into_iter().flat_map(|(_, known)| known));
        }
    }
}

/// The addresses that clients would be told now.
///
/// # Errors
/// When the interfaces cannot be listed.
pub fn advertised(named: &[Named], with_loopback: bool) -> io::Result<Vec<IpAddr>> {
    let told = Surroundings::look(named)?.advertised(named, with_loopback);
    Ok(told.into_iter().map(|told| told.address).collect())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Setting => f.write_str("MEDIA_ADDRESSES"),
            Origin::Host(host) => f.write_str(host),
            Origin::Interface(name) => f.write_str(name),
        }
    }
}

fn is_told(address: IpAddr, with_loopback: bool) -> bool {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !is_link_local && (with_loopback || !address.is_loopback())
}

/// The addresses of a name, as the name service orders them.
fn resolve(host: &str) -> Vec<IpAddr> {
    let found = (host, 0).to_socket_addrs().into_iter().flatten();
    let found = found.map(|address| address.ip().to_canonical());
    found.filter(|address| !address.is_unspecified() && !address.is_multicast()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn surroundings() -> Surroundings {
        let interfaces = [
            ("lo", "127.0.0.1"),
            ("lo", "::1"),
            ("eth0", "2001:db8::5"),
            ("eth0", "fe80::1"),
            ("eth0", "10.0.0.5"),
            ("eth1", "169.254.1.1"),
        ];
        Surroundings {
            interfaces: interfaces.map(|(name, address)| (name.to_owned(), ip(address))).into(),
            hosts: vec![
                ("meet.example.org".to_owned(), vec![ip("203.0.113.7"), ip("2001:db8::7")]),
                ("gone.example.org".to_owned(), vec![]),
            ],
        }
    }

    fn told(named: &[Named], with_loopback: bool) -> Vec<String> {
        let told = surroundings().advertised(named, with_loopback);
        told.iter().map(|told| format!("{} ({})", told.address, told.origin)).collect()
    }

    #[test]
    fn named_addresses_are_told_as_named_once_each() {
        let named = ["203.0.113.7", "10.0.0.2", "203.0.113.7"].map(|a| Named::Address(ip(a)));
        let wanted = ["203.0.113.7 (MEDIA_ADDRESSES)", "10.0.0.2 (MEDIA_ADDRESSES)"];
        assert_eq!(told(&named, false), wanted);
    }

    #[test]
    fn interfaces_tell_ipv4_first_and_loopback_only_where_the_server_is_reached_by_it() {
        assert_eq!(told(&[], false), ["10.0.0.5 (eth0)", "2001:db8::5 (eth0)"]);
        let all = ["10.0.0.5 (eth0)", "2001:db8::5 (eth0)", "127.0.0.1 (lo)", "::1 (lo)"];
        assert_eq!(told(&[], true), all);
    }

    #[test]
    fn a_public_name_and_the_own_network_are_told_at_once() {
        let named = [Named::Host("meet.example.org".to_owned()), Named::Interfaces];
        let wanted = [
            "203.0.113.7 (meet.example.org)",
            "2001:db8::7 (meet.example.org)",
            "10.0.0.5 (eth0)",
            "2001:db8::5 (eth0)",
        ];
        assert_eq!(told(&named, false), wanted);
    }

    #[test]
    fn there_is_a_bound_to_what_clients_must_check() {
        let many: Vec<Named> =
            (1..=20).map(|n| Named::Address(ip(&format!("10.1.1.{n}")))).collect();
        assert_eq!(told(&many, false).len(), MAX_ADDRESSES);
    }

    #[test]
    fn a_name_that_is_unknown_for_a_while_keeps_its_addresses() {
        let mut now = surroundings();
        assert_eq!(now.unknown_hosts().collect::<Vec<_>>(), ["gone.example.org"]);
        let before = Surroundings {
            interfaces: vec![],
            hosts: vec![
                ("gone.example.org".to_owned(), vec![ip("198.51.100.1")]),
                ("meet.example.org".to_owned(), vec![ip("198.51.100.2")]),
            ],
        };
        now.remember(&before);
        let of = |host: &str| now.advertised(&[Named::Host(host.to_owned())], false);
        assert_eq!(of("gone.example.org")[0].address, ip("198.51.100.1"));
        assert_eq!(of("meet.example.org")[0].address, ip("203.0.113.7"), "news count");
    }

    #[test]
    fn this_machine_has_a_name() {
        let named = [Named::Host("localhost".to_owned())];
        let told = Surroundings::look(&named).expect("interfaces").advertised(&named, false);
        assert!(told.iter().any(|told| told.address.is_loopback()), "{told:?}");
    }
}
