//! Session keys from DTLS (RFC 5764 §4.2, RFC 3711 §4.3).

use crate::credentials::DtlsRole;
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// AES in counter mode with HMAC-SHA1; what remains when the other end knows no GCM.
    Aes128CmSha1_80,
    /// RFC 7714, 128-bit key.
    AeadAes128Gcm,
    /// RFC 7714, 256-bit key.
    AeadAes256Gcm,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 3] =
        [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

    /// Bytes of a master key.
    pub const fn key_len(self) -> usize {
        match self {
            Profile::Aes128CmSha1_80 | Profile::AeadAes128Gcm => 16,
            Profile::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of a master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Profile::Aes128CmSha1_80 => 14,
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 12,
        }
    }

    /// Bytes that protection adds to an RTP packet.
    pub const fn tag_len(self) -> usize {
        match self {
            Profile::Aes128CmSha1_80 => 10,
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 16,
        }
    }
}

/// What one direction's session keys are made from.
pub struct MasterKey<'a> {
    /// How packets are protected.
    pub profile: Profile,
    /// Master key.
    pub key: &'a [u8],
    /// Master salt.
    pub salt: &'a [u8],
}

/// Master keys of both directions.
pub struct MasterKeys<'a> {
    /// For what we send.
    pub outgoing: MasterKey<'a>,
    /// For what we receive.
    pub incoming: MasterKey<'a>,
}

impl<'a> MasterKeys<'a> {
    /// Splits what the DTLS exporter gave: client key, server key, client salt, server salt.
    /// `None` when its length is not the profile's.
    pub fn split(profile: Profile, material: &'a [u8], role: DtlsRole) -> Option<Self> {
        let (key_len, salt_len) = (profile.key_len(), profile.salt_len());
        if material.len() != 2 * (key_len + salt_len) {
            return None;
        }
        let (keys, salts) = material.split_at(2 * key_len);
        let (client_key, server_key) = keys.split_at(key_len);
        let (client_salt, server_salt) = salts.split_at(salt_len);
        let client = MasterKey { profile, key: client_key, salt: client_salt };
        let server = MasterKey { profile, key: server_key, salt: server_salt };
        Some(match role {
            DtlsRole::Client => Self { outgoing: client, incoming: server },
            DtlsRole::Server => Self { outgoing: server, incoming: client },
        })
    }
}

/// What a session key is for (RFC 3711 §4.3.1).
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    RtpCipher = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpCipher = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

impl MasterKey<'_> {
    /// Derives a session key: key stream of the master key at the purpose's place.
    pub(super) fn derive<const N: usize>(&self, purpose: Purpose) -> [u8; N] {
        let mut block = [0; 16];
        // A 96-bit salt counts as a 112-bit one with zeros at its end (RFC 7714 §11).
        block[..self.salt.len()].copy_from_slice(self.salt);
        block[7] ^= purpose as u8;
        let mut session_key = [0; N];
        apply_key_stream(&counter_mode(self.key), block, &mut session_key);
        session_key
    }
}

/// AES in counter mode with a key of 16 or 32 bytes.
pub(super) fn counter_mode(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
    let key = UnboundCipherKey::new(algorithm, key).and_then(EncryptingKey::ctr);
    key.expect("profiles have keys of 16 or 32 bytes")
}

/// Encrypts, or decrypts, in counter mode from a first block.
pub(super) fn apply_key_stream(key: &EncryptingKey, first_block: [u8; 16], data: &mut [u8]) {
    let first_block = EncryptionContext::Iv128(FixedLength::from(first_block));
    key.less_safe_encrypt(data, first_block).expect("counter mode takes any length");
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = 0xe1f9_7a0d_3e01_8be0_d64f_a32c_06de_4139_u128.to_be_bytes();
    const SALT: [u8; 14] =
        [0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6];

    /// RFC 3711 §B.3.
    #[test]
    fn session_keys_are_those_of_rfc_3711() {
        let master = MasterKey { profile: Profile::Aes128CmSha1_80, key: &KEY, salt: &SALT };
        let cipher = 0xc61e_7a93_744f_39ee_1073_4afe_3ff7_a087_u128;
        assert_eq!(master.derive(Purpose::RtpCipher), cipher.to_be_bytes());
        let salt = 0x30cb_bc08_863d_8c85_d49d_b34a_9ae1_0000_u128.to_be_bytes();
        assert_eq!(master.derive::<14>(Purpose::RtpSalt), salt[..14]);
        let auth = 0xcebe_321f_6ff7_716b_6fd4_ab49_af25_6a15_u128.to_be_bytes();
        let derived = master.derive::<20>(Purpose::RtpAuthentication);
        assert_eq!(derived[..16], auth);
        assert_eq!(derived[16..], [0x6d, 0x38, 0xba, 0xa4]);
    }

    #[test]
    fn one_ends_outgoing_keys_are_the_others_incoming_ones() {
        for profile in Profile::ALL {
            let material: Vec<u8> =
                (0..2 * (profile.key_len() + profile.salt_len())).map(|i| i as u8).collect();
            let client = MasterKeys::split(profile, &material, DtlsRole::Client).unwrap();
            let server = MasterKeys::split(profile, &material, DtlsRole::Server).unwrap();
            assert_eq!(client.outgoing.key, server.incoming.key);
            assert_eq!(client.outgoing.salt, server.incoming.salt);
            assert_eq!(client.outgoing.key[0], 0);
            assert_eq!(client.outgoing.salt[0] as usize, 2 * profile.key_len());
            assert_eq!(client.incoming.key, server.outgoing.key);
            assert!(MasterKeys::split(profile, &material[1..], DtlsRole::Client).is_none());
        }
    }
}
