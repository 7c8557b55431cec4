//! What two ends tell each other about a transport before its first packet.

use std::fmt;
use std::str::FromStr;

/// ICE user fragment and password of one end (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// User fragment, 4–256 characters.
    pub ufrag: String,
    /// Password, 22–256 characters.
    pub pwd: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({}, ..)", self.ufrag)
    }
}

/// Digest of the certificate that an end will show in DTLS (RFC 8122 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash function.
    pub hash: FingerprintHash,
    /// Digest; its length is that of the hash.
    pub digest: Vec<u8>,
}

/// Hash functions that are safe for fingerprints; MD5 and SHA-1 are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FingerprintHash {
    /// What browsers use.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl FingerprintHash {
    fn name(self) -> &'static str {
        match self {
            FingerprintHash::Sha256 => "sha-256",
            FingerprintHash::Sha384 => "sha-384",
            FingerprintHash::Sha512 => "sha-512",
        }
    }

    fn algorithm(self) -> &'static aws_lc_rs::digest::Algorithm {
        match self {
            FingerprintHash::Sha256 => &aws_lc_rs::digest::SHA256,
            FingerprintHash::Sha384 => &aws_lc_rs::digest::SHA384,
            FingerprintHash::Sha512 => &aws_lc_rs::digest::SHA512,
        }
    }
}

impl Fingerprint {
    /// Fingerprint of a certificate in DER.
    pub fn of(hash: FingerprintHash, certificate: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(hash.algorithm(), certificate);
        Self { hash, digest: digest.as_ref().to_vec() }
    }

    /// Whether this is the fingerprint of that certificate.
    pub fn matches(&self, certificate: &[u8]) -> bool {
        Self::of(self.hash, certificate).digest == self.digest
    }
}

impl fmt::Display for Fingerprint {
    /// As in `a=fingerprint:`, for example `sha-256 AB:CD:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.hash.name())?;
        for (i, byte) in self.digest.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// The text is no fingerprint, or of a hash that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no usable fingerprint")]
pub struct BadFingerprint;

impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, hex) = text.trim().split_once(' ').ok_or(BadFingerprint)?;
        let hash = match name.to_ascii_lowercase().as_str() {
            "sha-256" => FingerprintHash::Sha256,
            "sha-384" => FingerprintHash::Sha384,
            "sha-512" => FingerprintHash::Sha512,
            _ => return Err(BadFingerprint),
        };
        let digest: Result<Vec<u8>, _> =
            hex.trim().split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
        let digest = digest.map_err(|_| BadFingerprint)?;
        if digest.len() != hash.algorithm().output_len() {
            return Err(BadFingerprint);
        }
        Ok(Self { hash, digest })
    }
}

/// Which end of DTLS this server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsRole {
    /// `a=setup:passive` here: the other end starts.
    Server,
    /// `a=setup:active` here: we start, as encoders that offer `passive` want it (ffmpeg).
    Client,
}

/// What an SDP says about the other end of a transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteParameters {
    /// Their ICE credentials.
    pub ice: IceCredentials,
    /// Their certificate's digest.
    pub fingerprint: Fingerprint,
    /// Our role.
    pub role: DtlsRole,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_what_it_writes() {
        for hash in [FingerprintHash::Sha256, FingerprintHash::Sha384, FingerprintHash::Sha512] {
            let fingerprint = Fingerprint::of(hash, b"certificate");
            assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint.clone()));
            assert!(fingerprint.matches(b"certificate"));
            assert!(!fingerprint.matches(b"another"));
        }
    }

    #[test]
    fn weak_short_and_garbled_fingerprints_are_refused() {
        for text in ["", "sha-256", "sha-1 AA:BB", "md5 AA", "sha-256 AA:BB", "sha-256 ZZ"] {
            assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
        }
    }
}
