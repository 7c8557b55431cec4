//! DTLS of one transport, by dimpl: a handshake, keys for SRTP, and a farewell.
//!
//! Application data is not taken: there are no data channels.

mod farewell;

pub(super) use farewell::{Farewell, provider};

use super::identity::Identity;
use super::srtp::Profile;
use crate::credentials::DtlsRole;
use dimpl::{Dtls, KeyingMaterial, Output, SrtpProfile};
use farewell::{RecordKey, overhearing};
use std::time::{Duration, Instant};

/// What the handshake agreed on, once it is over.
pub(super) struct Agreed {
    /// Certificate of the other end, proven by the handshake.
    pub(super) certificate: Vec<u8>,
    /// How packets are protected.
    pub(super) profile: Profile,
    /// Keys for both directions.
    pub(super) material: KeyingMaterial,
}

/// The session is over, and no packet will be understood or sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The other end said goodbye.
    ByPeer,
    /// The handshake did not succeed, or what it agreed on is of no use.
    Failed,
}

/// One DTLS association.
pub(super) struct Session {
    dtls: Dtls,
    timeout: Option<Instant>,
    certificate: Option<Vec<u8>>,
    keys: Option<(Profile, KeyingMaterial)>,
    is_complete: bool,
    /// What the peer's records are sealed with, where the ciphers tell.
    record_key: Option<RecordKey>,
    /// Datagrams to send.
    flight: Vec<Vec<u8>>,
    /// What dimpl writes to; kept while the handshake lasts.
    buffer: Vec<u8>,
}

impl Session {
    /// A session that waits for the other end, or one that begins at once.
    pub(super) fn begin(identity: &Identity, role: DtlsRole, now: Instant) -> Result<Self, Ended> {
        let mut dtls = Dtls::new_12(identity.config(), identity.certificate(), now);
        dtls.set_active(role == DtlsRole::Client);
        let mut session = Self {
            dtls,
            timeout: None,
            certificate: None,
            keys: None,
            is_complete: false,
            record_key: None,
            flight: Vec::new(),
            buffer: vec![0; LONGEST_CERTIFICATE],
        };
        session.handle_timeout(now)?;
        Ok(session)
    }

    /// Whether the handshake is over.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Takes a datagram from an accepted address.
    pub(super) fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Ended> {
        if datagram.len() > MAX_DATAGRAM {
            return Ok(());
        }
        // dimpl has no other clock.
        self.handle_timeout(now)?;
        let (taken, key) = overhearing(|| self.dtls.handle_packet(datagram));
        self.record_key = self.record_key.or(key);
        self.drain()?;
        taken.map_err(|error| self.judge(&error))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Ended> {
        let advanced = self.dtls.handle_timeout(now);
        self.drain()?;
        // Far away means never: it says so when it waits for nothing.
        self.timeout = self.timeout.filter(|at| *at < now + NEVER);
        advanced.map_err(|error| self.judge(&error))
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.timeout
    }

    /// Datagrams to send now, in order.
    pub(super) fn take_flight(&mut self) -> std::vec::Drain<'_, Vec<u8>> {
        self.flight.drain(..)
    }

    /// What was agreed on; once, when the handshake is over.
    pub(super) fn agreed(&mut self) -> Option<Agreed> {
        if !self.is_complete {
            return None;
        }
        let (profile, material) = self.keys.take()?;
        let certificate = self.certificate.take()?;
        Some(Agreed { certificate, profile, material })
    }

    /// Says goodbye, if the handshake got far enough for that.
    pub(super) fn close(&mut self) {
        // An error means that there is nobody to say it to.
        let _ = self.dtls.close();
        let _ = self.drain();
    }

    /// Whether nothing but a goodbye is left to say and to hear, and [`rest`](Self::rest) knows how.
    pub(super) fn may_rest(&self) -> bool {
        self.is_complete && self.record_key.is_some()
    }

    /// What is left of it when the peer is known to have finished the handshake as well: it repeats nothing any more, and
    /// wants nothing repeated.
    pub(super) fn rest(mut self) -> Option<Farewell> {
        let key = self.record_key.filter(|_| self.is_complete)?;
        self.flight.clear();
        self.close();
        Some(Farewell::new(self.flight.pop()?, key))
    }

    /// Takes everything out of dimpl: what stays in fills its queues, and full queues are fatal.
    fn drain(&mut self) -> Result<(), Ended> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(buffer.len().max(MAX_DATAGRAM), 0);
        let mut ended = Ok(());
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.flight.push(packet.to_vec()),
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::PeerCert(certificate) => self.certificate = Some(certificate.to_vec()),
                Output::KeyingMaterial(material, profile) => {
                    self.keys = known(profile).map(|profile| (profile, material));
                }
                Output::Connected => self.is_complete = true,
                Output::CloseNotify => ended = Err(Ended::ByPeer),
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    break;
                }
                // Application data, and whatever dimpl learns to say.
                _ => {}
            }
        }
        if !self.is_complete {
            self.buffer = buffer;
        } else if self.keys.is_none() && self.certificate.is_some() {
            // No SRTP profile in common.
            ended = Err(Ended::Failed);
        }
        ended
    }

    fn judge(&self, error: &dimpl::Error) -> Ended {
        tracing::debug!(%error, complete = self.is_complete, "DTLS ended");
        if self.is_complete { Ended::ByPeer } else { Ended::Failed }
    }
}

fn known(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::AeadAes256Gcm),
        _ => None,
    }
}

/// Longer datagrams are ignored. Nobody's path carries longer ones, and dimpl keeps up to 30.
const MAX_DATAGRAM: usize = 2048;

/// dimpl panics when a certificate is longer than the buffer. One that came in at most
/// 30 datagrams of [`MAX_DATAGRAM`] bytes is not.
const LONGEST_CERTIFICATE: usize = 30 * MAX_DATAGRAM;

const NEVER: Duration = Duration::from_secs(24 * 60 * 60);
