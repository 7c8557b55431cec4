//! Nonces that need no memory: the time they were made and a tag over it and the client's address.

use aws_lc_rs::{constant_time, hmac};
use std::net::{IpAddr, SocketAddr};

/// Characters of a nonce. Longer would make the answer to a stranger more than three times the question.
pub const LENGTH: usize = 32;
/// How long one is good, in seconds. Longer lets what was overheard be sent again for longer, shorter costs honest
/// clients one more round trip each time.
pub const LIFETIME_S: u64 = 600;

/// Makes and knows nonces.
pub struct Nonces {
    key: hmac::Key,
}

impl Nonces {
    /// With a key of its own.
    pub fn new(seed: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, seed) }
    }

    /// A nonce for that client.
    pub fn make(&self, unix_s: u64, client: SocketAddr) -> [u8; LENGTH] {
        let made = (unix_s as u32).to_be_bytes();
        let tag = self.tag(made, client);
        let mut nonce = [0; LENGTH];
        for (to, byte) in nonce.chunks_mut(2).zip(made.iter().chain(tag.as_ref())) {
            to.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        nonce
    }

    /// Whether this is one that was made for that client and is still good.
    pub fn is_good(&self, unix_s: u64, client: SocketAddr, nonce: &[u8]) -> bool {
        let made = nonce.get(..8).and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(made) = made.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return false;
        };
        let age = u64::from((unix_s as u32).wrapping_sub(made));
        let right = self.make(u64::from(made), client);
        age <= LIFETIME_S && constant_time::verify_slices_are_equal(&right, nonce).is_ok()
    }

    fn tag(&self, made: [u8; 4], client: SocketAddr) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&made);
        match client.ip() {
            IpAddr::V4(ip) => context.update(&ip.octets()),
            IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&client.port().to_be_bytes());
        context.sign()
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_good_for_its_client_and_its_time_only() {
        let nonces = Nonces::new(&[7; 32]);
        let client: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let nonce = nonces.make(1_800_000_000, client);
        assert!(nonces.is_good(1_800_000_000, client, &nonce));
        assert!(nonces.is_good(1_800_000_000 + LIFETIME_S, client, &nonce));
        assert!(!nonces.is_good(1_800_000_001 + LIFETIME_S, client, &nonce));
        assert!(!nonces.is_good(1_799_999_999, client, &nonce), "from the future");
        assert!(!nonces.is_good(1_800_000_000, "192.0.2.1:5001".parse().unwrap(), &nonce));
        assert!(!nonces.is_good(1_800_000_000, "192.0.2.2:5000".parse().unwrap(), &nonce));
        assert!(!Nonces::new(&[8; 32]).is_good(1_800_000_000, client, &nonce));
        for at in 0..LENGTH {
            let mut altered = nonce;
            altered[at] = if altered[at] == b'0' { b'1' } else { b'0' };
            assert!(!nonces.is_good(1_800_000_000, client, &altered), "{at}");
            assert!(!nonces.is_good(1_800_000_000, client, &nonce[..at]), "{at}");
        }
        let upper = nonce.to_ascii_uppercase();
        assert!(upper == nonce || !nonces.is_good(1_800_000_000, client, &upper));
    }
}
