//! What remains of DTLS once it is over: one goodbye to say, and one to hear.
//!
//! dimpl holds ten kilobytes for each association for as long as it lives: its buffers, the whole handshake, four
//! ciphers, the signing key. All that can still come after the handshake is an alert (RFC 5246 §7.2), so a transport that
//! has heard its peer's media keeps this instead.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use dimpl::CryptoError;
use dimpl::crypto::aws_lc_rs as ciphers;
use dimpl::crypto::{
    self, Buf, Cipher, CryptoProvider, Dtls12CipherSuite, HashAlgorithm,
    SupportedDtls12CipherSuite, TmpBuf,
};
use std::cell::Cell;
use std::fmt;
use std::sync::LazyLock;

/// The end of an association.
pub(in crate::transport) struct Farewell {
    /// Our close_notify, sealed and ready.
    words: Vec<u8>,
    key: RecordKey,
}

impl Farewell {
    pub(super) fn new(words: Vec<u8>, key: RecordKey) -> Self {
        Self { words, key }
    }

    /// What is sent when this end closes.
    pub(in crate::transport) fn into_words(self) -> Vec<u8> {
        self.words
    }

    /// Whether the peer says in a datagram, and proves it, that it is gone. Everything else means nothing any more:
    /// repetitions of a handshake that both know to be over, and data that nobody takes.
    pub(in crate::transport) fn hears(&self, mut datagram: &[u8]) -> bool {
        while let Some((header, rest)) = datagram.split_first_chunk::<RECORD_HEADER>() {
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let Some((fragment, rest)) = rest.split_at_checked(length) else { return false };
            if header[0] == ALERT && self.key.open_alert(header, fragment).is_some_and(is_end) {
                return true;
            }
            datagram = rest;
        }
        false
    }
}

/// A close_notify, or a fatal alert of any kind.
fn is_end([level, description]: [u8; 2]) -> bool {
    description == CLOSE_NOTIFY || level == FATAL
}

/// What the peer's records are sealed with (AES-GCM, RFC 5288).
#[derive(Clone, Copy)]
pub(super) struct RecordKey {
    key: [u8; 32],
    key_len: usize,
    salt: [u8; 4],
}

impl RecordKey {
    /// An alert's level and description, if it is authentic.
    fn open_alert(&self, header: &[u8; RECORD_HEADER], fragment: &[u8]) -> Option<[u8; 2]> {
        if fragment.len() != EXPLICIT_NONCE + 2 + TAG {
            return None;
        }
        let (explicit, sealed) = fragment.split_at(EXPLICIT_NONCE);
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(explicit);
        // Epoch and number, type, version, and the length of what was sealed.
        let mut covered = [0; RECORD_HEADER];
        covered[..8].copy_from_slice(&header[3..11]);
        covered[8..11].copy_from_slice(&header[..3]);
        covered[12] = 2;
        let algorithm = if self.key_len == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = UnboundKey::new(algorithm, &self.key[..self.key_len]).ok()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened =
            LessSafeKey::new(key).open_in_place(nonce, Aad::from(covered), &mut sealed).ok()?;
        opened.first_chunk().copied()
    }
}

thread_local! {
    /// With what dimpl opened a record last. It hands its keys to nobody, and what makes its ciphers knows no session, so
    /// this is how they come from the inside of a call to its outside; never from one call to the next.
    static OPENED_WITH: Cell<Option<RecordKey>> = const { Cell::new(None) };
}

/// Runs something of dimpl's; beside what it gives, the key of the last record that was opened meanwhile.
pub(super) fn overhearing<T>(run: impl FnOnce() -> T) -> (T, Option<RecordKey>) {
    OPENED_WITH.take();
    let given = run();
    (given, OPENED_WITH.take())
}

/// The usual ciphers, which can be [overheard](overhearing).
pub(in crate::transport) fn provider() -> CryptoProvider {
    static SUITES: LazyLock<Vec<&'static dyn SupportedDtls12CipherSuite>> = LazyLock::new(|| {
        let suites = ciphers::default_provider().cipher_suites.iter();
        // A handful, once.
        suites.map(|suite| Box::leak(Box::new(Suite(*suite))) as &'static _).collect()
    });
    CryptoProvider { cipher_suites: &SUITES, ..ciphers::default_provider() }
}

#[derive(Debug)]
struct Suite(&'static dyn SupportedDtls12CipherSuite);

impl SupportedDtls12CipherSuite for Suite {
    fn suite(&self) -> Dtls12CipherSuite {
        self.0.suite()
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        self.0.hash_algorithm()
    }

    fn key_lengths(&self) -> (usize, usize, usize) {
        self.0.key_lengths()
    }

    fn explicit_nonce_len(&self) -> usize {
        self.0.explicit_nonce_len()
    }

    fn tag_len(&self) -> usize {
        self.0.tag_len()
    }

    fn min_protected_fragment_len(&self) -> usize {
        self.0.min_protected_fragment_len()
    }

    fn create_cipher(&self, key: &[u8]) -> Result<Box<dyn Cipher>, CryptoError> {
        let cipher = self.0.create_cipher(key)?;
        let is_gcm = matches!(
            self.suite(),
            Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256
                | Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384
        );
        if !is_gcm || key.len() > 32 {
            return Ok(cipher);
        }
        let mut kept = RecordKey { key: [0; 32], key_len: key.len(), salt: [0; 4] };
        kept.key[..key.len()].copy_from_slice(key);
        Ok(Box::new(Overheard { cipher, key: kept }))
    }
}

struct Overheard {
    cipher: Box<dyn Cipher>,
    key: RecordKey,
}

impl Cipher for Overheard {
    fn encrypt(
        &mut self,
        plaintext: &mut Buf,
        aad: crypto::Aad,
        nonce: crypto::Nonce,
    ) -> Result<(), CryptoError> {
        self.cipher.encrypt(plaintext, aad, nonce)
    }

    fn decrypt(
        &mut self,
        ciphertext: &mut TmpBuf<'_>,
        aad: crypto::Aad,
        nonce: crypto::Nonce,
    ) -> Result<(), CryptoError> {
        let [a, b, c, d, ..] = nonce.0;
        self.cipher.decrypt(ciphertext, aad, nonce)?;
        OPENED_WITH.set(Some(RecordKey { salt: [a, b, c, d], ..self.key }));
        Ok(())
    }
}

impl fmt::Debug for Overheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        self.cipher.fmt(f)
    }
}

/// Type, version, epoch, number, length (RFC 6347 §4.3.1).
const RECORD_HEADER: usize = 13;
const EXPLICIT_NONCE: usize = 8;
const TAG: usize = 16;
const ALERT: u8 = 21;
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
