//! The controlling side of ICE, for native clients: load generators, benchmarks, tests.
//!
//! Such a client is a [`Transport`](super::Transport) in [`DtlsRole::Client`] and these checks. It
//! sends [`ConnectivityChecks::request`] to the server's address now and then (every 2.5 s is what
//! browsers do), and calls [`Transport::accept`](super::Transport::accept) with that address for each
//! [`ConnectivityChecks::answer`]; the first of them begins DTLS.
//!
//! [`DtlsRole::Client`]: crate::credentials::DtlsRole::Client

use super::stun::{BindingRequest, Class, IntegrityKey, Message, TransactionId};
use crate::credentials::IceCredentials;
use std::net::SocketAddr;

/// Makes connectivity checks and knows their answers.
pub struct ConnectivityChecks {
    username: String,
    key: IntegrityKey,
    tie_breaker: u64,
}

impl ConnectivityChecks {
    /// Checks from the end with `local` credentials to the one with `remote` credentials.
    pub fn new(local: &IceCredentials, remote: &IceCredentials, tie_breaker: u64) -> Self {
        Self {
            username: format!("{}:{}", remote.ufrag, local.ufrag),
            key: IntegrityKey::new(&remote.pwd),
            tie_breaker,
        }
    }

    /// A check to send, which nominates its path or not. Each needs its own transaction.
    pub fn request(&self, transaction: TransactionId, nominates: bool) -> Vec<u8> {
        let request = BindingRequest {
            transaction,
            username: &self.username,
            priority: PEER_REFLEXIVE_PRIORITY,
            tie_breaker: self.tie_breaker,
            nominates,
        };
        request.encode(&self.key)
    }

    /// Which check a datagram answers, and the address that the server saw it come from;
    /// `None` when it is no authentic answer.
    pub fn answer(&self, datagram: &[u8]) -> Option<(TransactionId, SocketAddr)> {
        let message = Message::parse(datagram)?;
        if message.class() != Class::Success || !message.is_authentic(&self.key) {
            return None;
        }
        Some((message.transaction(), message.mapped_address()?))
    }
}

/// Type preference 110, local preference 65535, component 1 (RFC 8445 §5.1.2).
const PEER_REFLEXIVE_PRIORITY: u32 = (110 << 24) | (65_535 << 8) | 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::stun::{addressed_ufrag, binding_success};

    fn credentials(ufrag: &str, pwd: &str) -> IceCredentials {
        IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() }
    }

    #[test]
    fn a_check_is_addressed_to_the_other_end_and_knows_its_answer() {
        let (ours, theirs) = (credentials("ours", "our password"), credentials("theirs", "secret"));
        let checks = ConnectivityChecks::new(&ours, &theirs, 1);
        let transaction = TransactionId([3; 12]);
        let request = checks.request(transaction, true);
        assert_eq!(addressed_ufrag(&request), Some("theirs"));
        let message = Message::parse(&request).unwrap();
        assert!(message.nominates());
        assert!(message.is_authentic(&IntegrityKey::new("secret")));

        let seen_as = "192.0.2.7:7".parse().unwrap();
        let answer = binding_success(transaction, seen_as, &IntegrityKey::new("secret"));
        assert_eq!(checks.answer(&answer), Some((transaction, seen_as)));
        let forged = binding_success(transaction, seen_as, &IntegrityKey::new("guess"));
        assert_eq!(checks.answer(&forged), None);
        assert_eq!(checks.answer(&request), None);
    }
}
