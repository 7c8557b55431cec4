//! One direction's protection of RTP or of RTCP, packet by packet.
//!
//! Knows where the cipher starts and what it covers, nothing of streams or replays.

use super::keys::{MasterKey, Profile, Purpose, apply_key_stream, counter_mode};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::hmac;

/// The tag is not the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forged;

/// Session keys of one direction and protocol.
pub(super) enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
    /// Boxed: its key schedules are forty times as large as the other variant.
    CounterMode(Box<CounterMode>),
}

/// Session keys of AES in counter mode with HMAC-SHA1.
pub(super) struct CounterMode {
    key: EncryptingKey,
    salt: [u8; 14],
    pub(super) authentication: hmac::Key,
}

impl Cipher {
    pub(super) fn for_rtp(master: &MasterKey<'_>) -> Self {
        Self::derive(master, Purpose::RtpCipher, Purpose::RtpAuthentication, Purpose::RtpSalt)
    }

    pub(super) fn for_rtcp(master: &MasterKey<'_>) -> Self {
        Self::derive(master, Purpose::RtcpCipher, Purpose::RtcpAuthentication, Purpose::RtcpSalt)
    }

    fn derive(master: &MasterKey<'_>, cipher: Purpose, auth: Purpose, salt: Purpose) -> Self {
        match master.profile {
            Profile::AeadAes128Gcm => Self::gcm(&master.derive::<16>(cipher), master.derive(salt)),
            Profile::AeadAes256Gcm => Self::gcm(&master.derive::<32>(cipher), master.derive(salt)),
            Profile::Aes128CmSha1_80 => Self::CounterMode(Box::new(CounterMode {
                key: counter_mode(&master.derive::<16>(cipher)),
                salt: master.derive(salt),
                authentication: hmac::Key::new(
                    hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                    &master.derive::<20>(auth),
                ),
            })),
        }
    }

    fn gcm(key: &[u8], salt: [u8; 12]) -> Self {
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = UnboundKey::new(algorithm, key).expect("profiles have keys of 16 or 32 bytes");
        Self::Gcm { key: LessSafeKey::new(key), salt }
    }

    /// Bytes of a tag.
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Cipher::Gcm { .. } => GCM_TAG_LEN,
            Cipher::CounterMode(_) => SHA1_TAG_LEN,
        }
    }

    /// Encrypts the payload after `header_len` bytes of `slab[start..]` and appends the tag.
    pub(super) fn seal_rtp(
        &self,
        slab: &mut Vec<u8>,
        start: usize,
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) {
        match self {
            Cipher::Gcm { key, salt } => {
                let packet_end = slab.len();
                slab.resize(packet_end + GCM_TAG_LEN, 0);
                let (packet, tag) = slab.split_at_mut(packet_end);
                let (header, payload) = packet[start..].split_at_mut(header_len);
                seal_gcm(key, rtp_nonce(salt, ssrc, index), header, payload, tag);
            }
            Cipher::CounterMode(keys) => {
                let packet = &mut slab[start..];
                apply_key_stream(
                    &keys.key,
                    first_block(&keys.salt, ssrc, index),
                    &mut packet[header_len..],
                );
                let tag = rtp_tag(&keys.authentication, packet, index);
                slab.extend_from_slice(&tag.as_ref()[..SHA1_TAG_LEN]);
            }
        }
    }

    /// Checks and decrypts a packet of which `header_len` bytes are in clear, all in place;
    /// gives the length without tag. The bytes are spoiled when the tag is wrong.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, Forged> {
        let len = packet.len().checked_sub(self.tag_len()).ok_or(Forged)?;
        if len < header_len {
            return Err(Forged);
        }
        let (packet, tag) = packet.split_at_mut(len);
        match self {
            Cipher::Gcm { key, salt } => {
                let (header, payload) = packet.split_at_mut(header_len);
                open_gcm(key, rtp_nonce(salt, ssrc, index), header, payload, tag)?;
            }
            Cipher::CounterMode(keys) => {
                check(&rtp_tag(&keys.authentication, packet, index), tag)?;
                apply_key_stream(
                    &keys.key,
                    first_block(&keys.salt, ssrc, index),
                    &mut packet[header_len..],
                );
            }
        }
        Ok(len)
    }

    /// Encrypts the compound packet `slab[start..]` after its first eight bytes and appends tag and index.
    pub(super) fn seal_rtcp(&self, slab: &mut Vec<u8>, start: usize, ssrc: u32, index: u32) {
        let trailer = (index | ENCRYPTED).to_be_bytes();
        match self {
            Cipher::Gcm { key, salt } => {
                let packet_end = slab.len();
                slab.resize(packet_end + GCM_TAG_LEN, 0);
                let (packet, tag) = slab.split_at_mut(packet_end);
                let (header, payload) = packet[start..].split_at_mut(RTCP_HEADER_LEN);
                let aad = rtcp_aad(header, trailer);
                seal_gcm(key, rtcp_nonce(salt, ssrc, index), &aad, payload, tag);
                slab.extend_from_slice(&trailer);
            }
            Cipher::CounterMode(keys) => {
                let first_block = first_block(&keys.salt, ssrc, u64::from(index));
                apply_key_stream(&keys.key, first_block, &mut slab[start + RTCP_HEADER_LEN..]);
                slab.extend_from_slice(&trailer);
                let tag = hmac::sign(&keys.authentication, &slab[start..]);
                slab.extend_from_slice(&tag.as_ref()[..SHA1_TAG_LEN]);
            }
        }
    }

    /// The index that a protected compound packet claims; `None` when it is too short or not encrypted.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let trailer = match self {
            Cipher::Gcm { .. } => packet.len().checked_sub(TRAILER_LEN)?,
            Cipher::CounterMode(_) => packet.len().checked_sub(TRAILER_LEN + SHA1_TAG_LEN)?,
        };
        if packet.len() < RTCP_HEADER_LEN + self.tag_len() + TRAILER_LEN {
            return None;
        }
        let (trailer, _) = packet[trailer..].split_first_chunk()?;
        let trailer = u32::from_be_bytes(*trailer);
        (trailer & ENCRYPTED != 0).then_some(trailer & !ENCRYPTED)
    }

    /// Checks and decrypts a compound packet in place; gives its length without tag and index.
    /// The bytes are spoiled when the tag is wrong.
    pub(super) fn open_rtcp(
        &self,
        packet: &mut [u8],
        ssrc: u32,
        index: u32,
    ) -> Result<usize, Forged> {
        let len = packet.len().checked_sub(self.tag_len() + TRAILER_LEN).ok_or(Forged)?;
        if len < RTCP_HEADER_LEN {
            return Err(Forged);
        }
        match self {
            Cipher::Gcm { key, salt } => {
                let (packet, rest) = packet.split_at_mut(len);
                let (header, payload) = packet.split_at_mut(RTCP_HEADER_LEN);
                let (tag, _) = rest.split_at(GCM_TAG_LEN);
                let aad = rtcp_aad(header, (index | ENCRYPTED).to_be_bytes());
                open_gcm(key, rtcp_nonce(salt, ssrc, index), &aad, payload, tag)?;
            }
            Cipher::CounterMode(keys) => {
                let (covered, tag) = packet.split_at_mut(len + TRAILER_LEN);
                check(&hmac::sign(&keys.authentication, covered), tag)?;
                let first_block = first_block(&keys.salt, ssrc, u64::from(index));
                apply_key_stream(&keys.key, first_block, &mut covered[RTCP_HEADER_LEN..len]);
            }
        }
        Ok(len)
    }
}

fn seal_gcm(key: &LessSafeKey, nonce: [u8; 12], aad: &[u8], payload: &mut [u8], tag: &mut [u8]) {
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_scatter(nonce, Aad::from(aad), payload, &[], tag)
        .expect("a packet is far shorter than what one nonce may seal");
}

fn open_gcm(
    key: &LessSafeKey,
    nonce: [u8; 12],
    aad: &[u8],
    payload: &mut [u8],
    tag: &[u8],
) -> Result<(), Forged> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, payload).map_err(|_| Forged)?;
    Ok(())
}

/// RFC 7714 §8.1: salt xor (0, 0, SSRC, roll-over counter and sequence number).
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], ssrc.to_be_bytes());
    xor(&mut nonce[6..], index_bytes(index));
    nonce
}

/// RFC 7714 §9.1: salt xor (0, 0, SSRC, 0, 0, index).
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> [u8; 12] {
    rtp_nonce(salt, ssrc, u64::from(index))
}

/// RFC 7714 §9.2: the clear header and the trailer are authenticated.
fn rtcp_aad(header: &[u8], trailer: [u8; TRAILER_LEN]) -> [u8; RTCP_HEADER_LEN + TRAILER_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + TRAILER_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&trailer);
    aad
}

/// RFC 3711 §4.1.1: salt, SSRC and index, xored at their places, and a block counter of 0.
fn first_block(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[..14].copy_from_slice(salt);
    xor(&mut block[4..8], ssrc.to_be_bytes());
    xor(&mut block[8..14], index_bytes(index));
    block
}

/// RFC 3711 §4.2: the roll-over counter is authenticated though it is not sent.
fn rtp_tag(authentication: &hmac::Key, packet: &[u8], index: u64) -> hmac::Tag {
    let mut context = hmac::Context::with_key(authentication);
    context.update(packet);
    context.update(&index_bytes(index)[..4]);
    context.sign()
}

fn check(right: &hmac::Tag, given: &[u8]) -> Result<(), Forged> {
    let right = &right.as_ref()[..SHA1_TAG_LEN];
    aws_lc_rs::constant_time::verify_slices_are_equal(right, given).map_err(|_| Forged)
}

/// Roll-over counter and sequence number, 48 bits.
fn index_bytes(index: u64) -> [u8; 6] {
    let [_, _, bytes @ ..] = index.to_be_bytes();
    bytes
}

fn xor<const N: usize>(target: &mut [u8], bytes: [u8; N]) {
    target.iter_mut().zip(bytes).for_each(|(target, byte)| *target ^= byte);
}

const GCM_TAG_LEN: usize = Profile::AeadAes256Gcm.tag_len();
const SHA1_TAG_LEN: usize = Profile::Aes128CmSha1_80.tag_len();

/// What stays in clear of a compound packet: its first header and SSRC.
const RTCP_HEADER_LEN: usize = 8;
/// The "encrypted" flag and the index.
const TRAILER_LEN: usize = 4;
const ENCRYPTED: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = {
        let mut key = [0; 32];
        let mut i = 0;
        while i < 32 {
            key[i] = i as u8;
            i += 1;
        }
        key
    };
    const SALT: [u8; 12] = *b"Quid pro quo";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    /// RFC 7714 §16: session keys given, not derived.
    #[test]
    fn rtp_under_gcm_is_that_of_rfc_7714() {
        let clear = hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973
            20646976 69736120 696e2070 61727465 73207472 6573");
        let sealed_128 = hex("8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca
            be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce");
        let sealed_256 = hex("8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa
            b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13");
        for (key, sealed) in [(&KEY[..16], sealed_128), (&KEY[..], sealed_256)] {
            let cipher = Cipher::gcm(key, SALT);
            let mut slab = clear.clone();
            cipher.seal_rtp(&mut slab, 0, 12, 0x5501_a0b2, 0xf17b);
            assert_eq!(slab, sealed);
            let len = cipher.open_rtp(&mut slab, 12, 0x5501_a0b2, 0xf17b).unwrap();
            assert_eq!(slab[..len], clear);
        }
    }

    /// RFC 7714 §17.
    #[test]
    fn rtcp_under_gcm_is_that_of_rfc_7714() {
        let clear = hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930
            4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef");
        let sealed_128 = hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7
            6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872
            45d9eade 800005d4");
        let sealed_256 = hex("81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d
            bffe0a50 a2eaa5c1 110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c
            b26ac3be 800005d4");
        for (key, sealed) in [(&KEY[..16], sealed_128), (&KEY[..], sealed_256)] {
            let cipher = Cipher::gcm(key, SALT);
            let mut slab = clear.clone();
            cipher.seal_rtcp(&mut slab, 0, 0x4d61_7273, 0x5d4);
            assert_eq!(slab, sealed);
            assert_eq!(cipher.rtcp_index(&slab), Some(0x5d4));
            let len = cipher.open_rtcp(&mut slab, 0x4d61_7273, 0x5d4).unwrap();
            assert_eq!(slab[..len], clear);
        }
    }

    /// Keys of RFC 3711 §B.3, packets that other implementations test with.
    #[test]
    fn counter_mode_is_that_of_others() {
        let key = hex("e1f97a0d3e018be0d64fa32c06de4139");
        let salt = hex("0ec675ad498afeebb6960b3aabe6");
        let master = MasterKey { profile: Profile::Aes128CmSha1_80, key: &key, salt: &salt };
        let cipher = Cipher::for_rtp(&master);
        let clear = hex("800f1234decafbadcafebabe abababababababababababababababab");
        let mut slab = clear.clone();
        cipher.seal_rtp(&mut slab, 0, 12, 0xcafe_babe, 0x1234);
        assert_eq!(
            slab,
            hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb")
        );
        let len = cipher.open_rtp(&mut slab, 12, 0xcafe_babe, 0x1234).unwrap();
        assert_eq!(slab[..len], clear);

        let cipher = Cipher::for_rtcp(&master);
        let clear = hex("81c8000bcafebabe abababababababababababababababab");
        let mut slab = clear.clone();
        cipher.seal_rtcp(&mut slab, 0, 0xcafe_babe, 1);
        assert_eq!(
            slab,
            hex("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798")
        );
        let len = cipher.open_rtcp(&mut slab, 0xcafe_babe, 1).unwrap();
        assert_eq!(slab[..len], clear);
    }
}
