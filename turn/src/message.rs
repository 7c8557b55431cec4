//! STUN and TURN messages, read in place and written.
//!
//! Reading is a look at bytes: nothing is copied, nothing is believed. It must never know about allocations.

use aws_lc_rs::{constant_time, hmac};
use md5::{Digest, Md5};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Names one request and its answer.
pub type Transaction = [u8; 12];

/// What a message is about; others are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// How do you see me?
    Binding,
    /// A new allocation.
    Allocate,
    /// A longer or a shorter life of one.
    Refresh,
    /// A datagram to a peer.
    Send,
    /// A datagram from a peer.
    Data,
    /// Leave for peers to send.
    CreatePermission,
    /// A short name for a peer.
    ChannelBind,
}

/// Question, answer, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// To be answered.
    Request,
    /// Not to be answered.
    Indication,
    /// The answer to a request that was done.
    Success,
    /// The answer to one that was not.
    Error,
}

/// A well-formed message whose fingerprint, if it has one, is right.
/// Nothing in it is to be believed before [`Message::is_authentic`].
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    method: Method,
    class: Class,
    sha1_at: Option<usize>,
    sha256_at: Option<usize>,
    has_fingerprint: bool,
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// Where its value starts in the message.
    pub at: usize,
    /// Its type.
    pub kind: u16,
    /// Its content, without padding.
    pub value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads one whole message; `None` for anything else, and for methods that are not known here.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if !is_stun(bytes) {
            return None;
        }
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        if !length.is_multiple_of(4) || bytes.len() != HEADER_LEN + length {
            return None;
        }
        let (method, class) = kind_of(u16::from_be_bytes([bytes[0], bytes[1]]))?;
        let mut message = Message {
            bytes,
            method,
            class,
            sha1_at: None,
            sha256_at: None,
            has_fingerprint: false,
        };
        let mut attributes = Attributes { at: HEADER_LEN, rest: &bytes[HEADER_LEN..] };
        for attribute in attributes.by_ref() {
            let header_at = attribute.at - ATTRIBUTE_HEADER_LEN;
            match attribute.kind {
                FINGERPRINT => {
                    // Always the last one (RFC 8489 §14.7).
                    let is_last = attribute.at + 4 == bytes.len();
                    let right = fingerprint_of(&bytes[..header_at]).to_be_bytes();
                    message.has_fingerprint = true;
                    return (is_last && attribute.value == right).then_some(message);
                }
                // What follows an integrity and is none itself does not count (RFC 8489 §14.5).
                MESSAGE_INTEGRITY if message.sha256_at.is_none() && message.sha1_at.is_none() => {
                    if attribute.value.len() != SHA1_LEN {
                        return None;
                    }
                    message.sha1_at = Some(header_at);
                }
                MESSAGE_INTEGRITY_SHA256 if message.sha256_at.is_none() => {
                    // Truncation saves bytes that nobody here lacks; the whole tag only.
                    if attribute.value.len() != SHA256_LEN {
                        return None;
                    }
                    message.sha256_at = Some(header_at);
                }
                _ => {}
            }
        }
        attributes.rest.is_empty().then_some(message)
    }

    /// What it is about.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Question, answer, or neither.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Which request this is or answers.
    pub fn transaction(&self) -> Transaction {
        self.bytes[8..HEADER_LEN].try_into().expect("a parsed message has a whole header")
    }

    /// Whether it answers that request.
    pub fn answers(&self, request: Transaction) -> bool {
        matches!(self.class, Class::Success | Class::Error) && self.transaction() == request
    }

    /// Bytes of the whole message.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it carries a fingerprint, and so would like one back.
    pub fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// Whether it carries an integrity of either kind.
    pub fn has_integrity(&self) -> bool {
        self.sha1_at.is_some() || self.sha256_at.is_some()
    }

    /// The attributes that count: those under the integrity, or all where there is none.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        let end = [self.sha1_at, self.sha256_at].into_iter().flatten().min();
        let end = end.unwrap_or(self.bytes.len());
        Attributes { at: HEADER_LEN, rest: &self.bytes[HEADER_LEN..end] }
            .take_while(|attribute| attribute.kind != FINGERPRINT)
    }

    /// The first attribute of a kind; further ones do not count (RFC 8489 §14).
    pub fn attribute(&self, kind: u16) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.kind == kind)
    }

    /// The content of an attribute as text.
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(kind)?.value).ok()
    }

    /// An attribute of four bytes as a number.
    pub fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(kind)?.value.try_into().ok()?))
    }

    /// All addresses of a kind. `None` when one of them is none.
    pub fn addresses(&self, kind: u16) -> Option<Vec<SocketAddr>> {
        let found = self.attributes().filter(|attribute| attribute.kind == kind);
        found.map(|attribute| read_address(attribute.value, &self.transaction())).collect()
    }

    /// The first address of a kind.
    pub fn address(&self, kind: u16) -> Option<SocketAddr> {
        read_address(self.attribute(kind)?.value, &self.transaction())
    }

    /// Where the content of an attribute lies in the message.
    pub fn place(&self, kind: u16) -> Option<Range<usize>> {
        self.attribute(kind).map(|attribute| attribute.at..attribute.at + attribute.value.len())
    }

    /// Whether the holder of the key wrote the message. Of two integrities both must be right.
    pub fn is_authentic(&self, key: &LongTermKey) -> bool {
        let tags = [
            self.sha1_at.map(|at| (at, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SHA1_LEN)),
            self.sha256_at.map(|at| (at, hmac::HMAC_SHA256, SHA256_LEN)),
        ];
        let mut tags = tags.into_iter().flatten().peekable();
        tags.peek().is_some()
            && tags.all(|(at, algorithm, length)| {
                let tag = integrity_of(&self.bytes[..at], algorithm, length, key);
                let value_at = at + ATTRIBUTE_HEADER_LEN;
                let told = &self.bytes[value_at..value_at + length];
                constant_time::verify_slices_are_equal(tag.as_ref(), told).is_ok()
            })
    }

    /// The kind of integrity that an answer should carry: that of the question.
    pub fn integrity(&self) -> Integrity {
        if self.sha256_at.is_some() { Integrity::Sha256 } else { Integrity::Sha1 }
    }
}

/// Which tag authenticates an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// MESSAGE-INTEGRITY: what browsers send.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256.
    Sha256,
}

/// The key of a user of a realm: MD5 of the three words, as browsers make it (RFC 8489 §18.5.1.1).
#[derive(Clone)]
pub struct LongTermKey([u8; 16]);

impl LongTermKey {
    /// Key of a user.
    pub fn new(username: &str, realm: &str, password: &str) -> Self {
        let mut digest = Md5::new();
        for piece in [username, ":", realm, ":", password] {
            digest.update(piece.as_bytes());
        }
        Self(digest.finalize().into())
    }
}

/// Whether bytes are STUN, as RFC 7983 tells it apart; they may still be malformed.
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_LEN && bytes[0] < 4 && bytes[4..8] == MAGIC_COOKIE
}

/// Writes one message.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    transaction: Transaction,
}

impl Writer {
    /// A message without attributes.
    pub fn new(method: Method, class: Class, transaction: Transaction) -> Self {
        let mut bytes = Vec::with_capacity(160);
        bytes.extend_from_slice(&number_of(method, class).to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(&transaction);
        Self { bytes, transaction }
    }

    /// Appends one attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len()).expect("attributes written here are short");
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let length = u16::try_from(self.bytes.len() - HEADER_LEN).expect("messages are short");
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// Appends an address, masked as all of TURN's are.
    pub fn address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let (value, length) = masked_address(address, &self.transaction);
        self.attribute(kind, &value[..length])
    }

    /// Appends an error without words: the numbers say it, and words would make answers to strangers long.
    pub fn error(&mut self, code: u16) -> &mut Self {
        self.attribute(ERROR_CODE, &[0, 0, (code / 100) as u8, (code % 100) as u8])
    }

    /// Appends the tag that only the holder of the key can write.
    pub fn integrity(&mut self, kind: Integrity, key: &LongTermKey) -> &mut Self {
        let (attribute, algorithm, length) = match kind {
            Integrity::Sha1 => (MESSAGE_INTEGRITY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SHA1_LEN),
            Integrity::Sha256 => (MESSAGE_INTEGRITY_SHA256, hmac::HMAC_SHA256, SHA256_LEN),
        };
        let tag = integrity_of(&self.bytes, algorithm, length, key);
        self.attribute(attribute, tag.as_ref())
    }

    /// The message, with a checksum if wanted.
    pub fn finish(mut self, with_fingerprint: bool) -> Vec<u8> {
        if with_fingerprint {
            // The checksum covers a length that counts the fingerprint already.
            let covered = self.bytes.len();
            self.attribute(FINGERPRINT, &[0; 4]);
            let sum = fingerprint_of(&self.bytes[..covered]).to_be_bytes();
            self.bytes[covered + ATTRIBUTE_HEADER_LEN..].copy_from_slice(&sum);
        }
        self.bytes
    }
}

/// Appends a Data indication, in which a packet reaches a client that has bound no channel.
pub fn write_data_indication(
    out: &mut Vec<u8>,
    transaction: &Transaction,
    peer: SocketAddr,
    payload: &[u8],
) {
    let (address, address_length) = masked_address(peer, transaction);
    let padded = payload.len().next_multiple_of(4);
    let length = 2 * ATTRIBUTE_HEADER_LEN + address_length + padded;
    out.extend_from_slice(&number_of(Method::Data, Class::Indication).to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend_from_slice(&MAGIC_COOKIE);
    out.extend_from_slice(transaction);
    out.extend_from_slice(&XOR_PEER_ADDRESS.to_be_bytes());
    out.extend_from_slice(&(address_length as u16).to_be_bytes());
    out.extend_from_slice(&address[..address_length]);
    out.extend_from_slice(&DATA.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    out.extend_from_slice(payload);
    out.resize(out.len() + padded - payload.len(), 0);
}

/// Walks the attributes; stops early, with a rest, at one that exceeds the message.
struct Attributes<'a> {
    at: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (header, after) = self.rest.split_at_checked(ATTRIBUTE_HEADER_LEN)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let rest = after.get(length.next_multiple_of(4)..)?;
        let at = self.at + ATTRIBUTE_HEADER_LEN;
        self.at += self.rest.len() - rest.len();
        self.rest = rest;
        Some(Attribute { at, kind, value: &after[..length] })
    }
}

/// The type field interleaves method and class (RFC 8489 §5).
fn kind_of(number: u16) -> Option<(Method, Class)> {
    let class = match number & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    };
    let method = match number & !0x0110 {
        1 => Method::Binding,
        3 => Method::Allocate,
        4 => Method::Refresh,
        6 => Method::Send,
        7 => Method::Data,
        8 => Method::CreatePermission,
        9 => Method::ChannelBind,
        _ => return None,
    };
    Some((method, class))
}

fn number_of(method: Method, class: Class) -> u16 {
    let method = match method {
        Method::Binding => 1,
        Method::Allocate => 3,
        Method::Refresh => 4,
        Method::Send => 6,
        Method::Data => 7,
        Method::CreatePermission => 8,
        Method::ChannelBind => 9,
    };
    method
        | match class {
            Class::Request => 0x0000,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        }
}

/// HMAC over a message up to its integrity attribute, its length counting that attribute.
fn integrity_of(
    up_to: &[u8],
    algorithm: hmac::Algorithm,
    tag_length: usize,
    key: &LongTermKey,
) -> hmac::Tag {
    let length = up_to.len() - HEADER_LEN + ATTRIBUTE_HEADER_LEN + tag_length;
    let length = u16::try_from(length).expect("a message's length fits its length field");
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, &key.0));
    context.update(&up_to[..2]);
    context.update(&length.to_be_bytes());
    context.update(&up_to[4..]);
    context.sign()
}

fn fingerprint_of(up_to: &[u8]) -> u32 {
    crc32fast::hash(up_to) ^ FINGERPRINT_MASK
}

fn mask_of(transaction: &Transaction) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE);
    mask[4..].copy_from_slice(transaction);
    mask
}

fn masked_address(address: SocketAddr, transaction: &Transaction) -> ([u8; 20], usize) {
    let mut value = [0; 20];
    value[2..4].copy_from_slice(&(address.port() ^ PORT_MASK).to_be_bytes());
    let masked = value[4..].iter_mut().zip(mask_of(transaction));
    let (family, length) = match address.ip() {
        IpAddr::V4(ip) => {
            masked.zip(ip.octets()).for_each(|((to, mask), byte)| *to = byte ^ mask);
            (FAMILY_IPV4, 8)
        }
        IpAddr::V6(ip) => {
            masked.zip(ip.octets()).for_each(|((to, mask), byte)| *to = byte ^ mask);
            (FAMILY_IPV6, 20)
        }
    };
    value[1] = family;
    (value, length)
}

fn read_address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (&[_, family, port_high, port_low], ip) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([port_high, port_low]) ^ PORT_MASK;
    let mask = mask_of(transaction);
    let ip = match family {
        FAMILY_IPV4 => {
            let mut octets: [u8; 4] = ip.try_into().ok()?;
            octets.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        FAMILY_IPV6 => {
            let mut octets: [u8; 16] = ip.try_into().ok()?;
            octets.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Bytes of the header of a message.
pub const HEADER_LEN: usize = 20;
/// What marks a message as STUN.
pub const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const ATTRIBUTE_HEADER_LEN: usize = 4;
const SHA1_LEN: usize = 20;
const SHA256_LEN: usize = 32;
const PORT_MASK: u16 = 0x2112;
const FINGERPRINT_MASK: u32 = 0x5354_554e;

/// Family of IPv4 in addresses and requests.
pub const FAMILY_IPV4: u8 = 1;
/// Family of IPv6 in addresses and requests.
pub const FAMILY_IPV6: u8 = 2;

/// Attribute types (RFC 8489 §18.3, RFC 8656 §18).
pub const USERNAME: u16 = 0x0006;
/// Tag by HMAC-SHA1.
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
/// Code of an error, and words.
pub const ERROR_CODE: u16 = 0x0009;
/// What a request had that is not understood.
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
/// Short name of a peer.
pub const CHANNEL_NUMBER: u16 = 0x000c;
/// Seconds that an allocation lives.
pub const LIFETIME: u16 = 0x000d;
/// A peer.
pub const XOR_PEER_ADDRESS: u16 = 0x0012;
/// A datagram.
pub const DATA: u16 = 0x0013;
/// Where users are users.
pub const REALM: u16 = 0x0014;
/// A word that answers to a challenge repeat.
pub const NONCE: u16 = 0x0015;
/// The address of an allocation.
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
/// IPv4 or IPv6.
pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
/// An even port, and perhaps the next one kept.
pub const EVEN_PORT: u16 = 0x0018;
/// Protocol between relay and peers.
pub const REQUESTED_TRANSPORT: u16 = 0x0019;
/// Datagrams to peers shall not be fragmented.
pub const DONT_FRAGMENT: u16 = 0x001a;
/// Tag by HMAC-SHA256.
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
/// How the client is seen.
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// A port that was kept.
pub const RESERVATION_TOKEN: u16 = 0x0022;
/// IPv6 beside IPv4.
pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
/// Why one of two families is missing.
pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
/// Who says it.
pub const SOFTWARE: u16 = 0x8022;
/// Checksum.
pub const FINGERPRINT: u16 = 0x8028;

#[cfg(test)]
mod tests;
