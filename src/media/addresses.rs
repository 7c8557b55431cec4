//! Which addresses clients are told to send media to.

use std::net::IpAddr;

/// Addresses told at most: each is one more candidate that every client checks.
const MAX_ADDRESSES: usize = 8;

/// The addresses that the settings name, or the interfaces' own: IPv4 first, loopback only where the
/// server is reached by it. Link-local IPv6 is left out, it means nothing without its interface.
///
/// # Errors
/// When the interfaces cannot be listed.
pub fn advertised(named: &[IpAddr], with_loopback: bool) -> std::io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = if named.is_empty() {
        if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()).collect()
    } else {
        named.to_vec()
    };
    if named.is_empty() {
        addresses.retain(|address| match address {
            IpAddr::V4(v4) => !v4.is_link_local() && (with_loopback || !v4.is_loopback()),
            IpAddr::V6(v6) => !v6.is_unicast_link_local() && (with_loopback || !v6.is_loopback()),
        });
        addresses.sort_by_key(|address| (address.is_loopback(), address.is_ipv6()));
    }
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses.truncate(MAX_ADDRESSES);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_addresses_are_told_as_named_once_each() {
        let named: Vec<IpAddr> = ["203.0.113.7", "10.0.0.2", "203.0.113.7"]
            .map(|a| a.parse().expect("an address"))
            .into();
        assert_eq!(advertised(&named, false).expect("addresses"), named[..2]);
    }

    #[test]
    fn loopback_is_told_only_where_the_server_is_reached_by_it() {
        assert!(advertised(&[], true).expect("addresses").iter().any(IpAddr::is_loopback));
        assert!(!advertised(&[], false).expect("addresses").iter().any(IpAddr::is_loopback));
    }
}
