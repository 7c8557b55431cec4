//! The certificate that this end shows in DTLS, and how it speaks DTLS.

use super::dtls;
use crate::credentials::{Fingerprint, FingerprintHash};
use dimpl::{Config, DtlsCertificate};
use std::sync::Arc;
use std::time::Duration;

/// An end's DTLS identity, made once at start; clones share it.
#[derive(Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
    config: Arc<Config>,
}

/// No certificate could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a DTLS certificate")]
pub struct IdentityError;

impl Identity {
    /// A new key and a self-signed P-256 certificate for it.
    pub fn generate() -> Result<Self, IdentityError> {
        let certificate = dimpl::certificate::generate_self_signed_certificate();
        certificate.map(Self::from_certificate).map_err(|_| IdentityError)
    }

    /// An identity that is there already. Its key must be ECDSA P-256 or P-384 in PKCS #8;
    /// with another one no handshake succeeds.
    pub fn from_certificate(certificate: DtlsCertificate) -> Self {
        Self::with_options(certificate, Options::default())
    }

    /// An identity for tests: a fixed seed for all randomness that is no key, and a size of
    /// datagrams so small that flights come in many.
    pub fn for_tests(certificate: DtlsCertificate, rng_seed: u64, mtu: usize) -> Self {
        Self::with_options(certificate, Options { rng_seed: Some(rng_seed), mtu })
    }

    /// SHA-256 fingerprint of the certificate, for `a=fingerprint`.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.inner.fingerprint
    }

    pub(super) fn certificate(&self) -> DtlsCertificate {
        self.inner.certificate.clone()
    }

    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.inner.config)
    }

    fn with_options(certificate: DtlsCertificate, options: Options) -> Self {
        let builder = Config::builder()
            .with_crypto_provider(dtls::provider())
            // DTLS is only taken from addresses that passed a check: a cookie would cost a round trip.
            .use_server_cookie(false)
            .mtu(options.mtu)
            .flight_start_rto(FIRST_RETRANSMIT)
            .flight_retries(RETRANSMITS)
            .handshake_timeout(HANDSHAKE_TIMEOUT);
        let builder = match options.rng_seed {
            Some(seed) => builder.dangerously_set_rng_seed(seed),
            None => builder,
        };
        let config = builder.build().expect("the settings are constants that dimpl accepts");
        let fingerprint = Fingerprint::of(FingerprintHash::Sha256, &certificate.certificate);
        Self { inner: Arc::new(Inner { certificate, fingerprint, config: Arc::new(config) }) }
    }
}

struct Options {
    rng_seed: Option<u64>,
    mtu: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { rng_seed: None, mtu: MTU }
    }
}

/// Longer and tunnels may cut our flights; shorter and they need more datagrams, each of which can be lost.
const MTU: usize = 1200;

/// Longer, and a lost flight delays the join by as much; shorter, and far peers get every flight twice.
const FIRST_RETRANSMIT: Duration = Duration::from_millis(100);

/// The interval doubles with each, so these outlast [`HANDSHAKE_TIMEOUT`]: only that one ends a handshake.
const RETRANSMITS: usize = 12;

/// Longer, and a dead peer is held for longer; shorter, and people on bad links cannot join.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_identities_have_different_fingerprints() {
        let (one, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert!(one.fingerprint().matches(&one.certificate().certificate));
    }
}
