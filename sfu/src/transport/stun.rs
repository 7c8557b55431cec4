//! STUN messages (RFC 8489) as connectivity checks use them, read and written.
//!
//! Only what ICE needs: binding requests and their answers, short-term credentials,
//! fingerprints. It must never know about paths, nominations or transports.

use aws_lc_rs::hmac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Names one request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// What kind of message it is. Methods other than binding are not read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A connectivity check.
    Request,
    /// A keep-alive; never answered.
    Indication,
    /// The answer to a check that passed.
    Success,
    /// The answer to a check that did not.
    Error,
}

/// A key that authenticates messages; made of an ICE password.
#[derive(Clone)]
pub struct IntegrityKey(hmac::Key);

impl IntegrityKey {
    /// Key for the password of the end that is asked (RFC 8445 §7.1.2).
    pub fn new(password: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes()))
    }
}

/// A well-formed message whose fingerprint, if it has one, is right.
/// Nothing in it is to be believed before [`Message::is_authentic`].
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    transaction: TransactionId,
    username: Option<&'a str>,
    mapped_address: Option<SocketAddr>,
    has_use_candidate: bool,
    integrity_at: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads a datagram; `None` when it is anything but one well-formed binding message.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let class = class_of(bytes)?;
        let transaction = TransactionId(bytes[8..HEADER_LEN].try_into().ok()?);
        let mut message = Message {
            bytes,
            class,
            transaction,
            username: None,
            mapped_address: None,
            has_use_candidate: false,
            integrity_at: None,
        };
        let mut attributes = Attributes::of(bytes);
        for attribute in attributes.by_ref() {
            if attribute.kind == FINGERPRINT {
                // Always the last one (RFC 8489 §14.7).
                let is_last = attribute.at + ATTRIBUTE_HEADER_LEN + 4 == bytes.len();
                let right = fingerprint_of(&bytes[..attribute.at]).to_be_bytes();
                return (is_last && attribute.value == right).then_some(message);
            }
            if message.integrity_at.is_some() {
                // What follows the integrity is not covered by it (RFC 8489 §14.5).
                continue;
            }
            match attribute.kind {
                // Of several of one kind the first counts (RFC 8489 §14), as for demultiplexing.
                USERNAME if message.username.is_none() => {
                    message.username = Some(std::str::from_utf8(attribute.value).ok()?);
                }
                USE_CANDIDATE => message.has_use_candidate = true,
                XOR_MAPPED_ADDRESS => {
                    message.mapped_address = Some(read_address(attribute.value, transaction)?);
                }
                MESSAGE_INTEGRITY if attribute.value.len() == INTEGRITY_LEN => {
                    message.integrity_at = Some(attribute.at);
                }
                MESSAGE_INTEGRITY => return None,
                _ => {}
            }
        }
        attributes.rest.is_empty().then_some(message)
    }

    /// Request, indication or answer.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Which request this is or answers.
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// The user fragment of the end that is asked: what stands before the colon of USERNAME.
    pub fn addressed_ufrag(&self) -> Option<&'a str> {
        self.username.map(before_colon)
    }

    /// Whether the sender nominates the path (USE-CANDIDATE).
    pub fn nominates(&self) -> bool {
        self.has_use_candidate
    }

    /// The sender of the request as its receiver saw it.
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        self.mapped_address
    }

    /// Whether the holder of the key wrote the message.
    pub fn is_authentic(&self, key: &IntegrityKey) -> bool {
        let Some(at) = self.integrity_at else { return false };
        let value_at = at + ATTRIBUTE_HEADER_LEN;
        let tag = integrity_of(&self.bytes[..at], key);
        constant_time_eq(tag.as_ref(), &self.bytes[value_at..value_at + INTEGRITY_LEN])
    }
}

/// Whether a datagram is STUN, as RFC 7983 tells it apart; it may still be malformed.
pub fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER_LEN && datagram[0] < 4 && datagram[4..8] == MAGIC_COOKIE
}

/// The ufrag that a connectivity check is addressed to, without authentication: for demultiplexing.
pub fn addressed_ufrag(datagram: &[u8]) -> Option<&str> {
    if class_of(datagram)? != Class::Request {
        return None;
    }
    let username = Attributes::of(datagram)
        .take_while(|attribute| attribute.kind != MESSAGE_INTEGRITY)
        .find(|attribute| attribute.kind == USERNAME)?;
    std::str::from_utf8(username.value).ok().map(before_colon)
}

/// The answer to a check that passed: tells `from` how it is seen.
pub fn binding_success(
    transaction: TransactionId,
    from: SocketAddr,
    key: &IntegrityKey,
) -> Vec<u8> {
    let mut writer = Writer::new(BINDING_SUCCESS, transaction);
    writer.address(from, transaction);
    writer.finish(key)
}

/// A connectivity check, as the controlling end sends it.
pub struct BindingRequest<'a> {
    /// Answers carry the same.
    pub transaction: TransactionId,
    /// `theirs:ours`.
    pub username: &'a str,
    /// Of a peer-reflexive candidate.
    pub priority: u32,
    /// Settles who controls when both want to.
    pub tie_breaker: u64,
    /// Whether to nominate the path.
    pub nominates: bool,
}

impl BindingRequest<'_> {
    /// The datagram, authenticated by the password of the end that is asked.
    pub fn encode(&self, key: &IntegrityKey) -> Vec<u8> {
        let mut writer = Writer::new(BINDING_REQUEST, self.transaction);
        writer.attribute(USERNAME, self.username.as_bytes());
        writer.attribute(PRIORITY, &self.priority.to_be_bytes());
        writer.attribute(ICE_CONTROLLING, &self.tie_breaker.to_be_bytes());
        if self.nominates {
            writer.attribute(USE_CANDIDATE, &[]);
        }
        writer.finish(key)
    }
}

struct Attribute<'a> {
    /// Where its header starts in the message.
    at: usize,
    kind: u16,
    value: &'a [u8],
}

/// Walks the attributes; stops early, with a rest, at one that exceeds the message.
struct Attributes<'a> {
    at: usize,
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { at: HEADER_LEN, rest: message.get(HEADER_LEN..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (header, after) = self.rest.split_at_checked(ATTRIBUTE_HEADER_LEN)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let rest = after.get(len.next_multiple_of(4)..)?;
        let attribute = Attribute { at: self.at, kind, value: &after[..len] };
        self.at += self.rest.len() - rest.len();
        self.rest = rest;
        Some(attribute)
    }
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn new(kind: u16, transaction: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&MAGIC_COOKIE);
        bytes.extend_from_slice(&transaction.0);
        Self { bytes }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let len = u16::try_from(value.len()).expect("attributes written here are short");
        self.bytes.extend_from_slice(&kind.to_be_bytes());
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let len = u16::try_from(self.bytes.len() - HEADER_LEN).expect("messages are short");
        self.bytes[2..4].copy_from_slice(&len.to_be_bytes());
    }

    fn address(&mut self, address: SocketAddr, transaction: TransactionId) {
        let mask = address_mask(transaction);
        let mut value = vec![0, if address.is_ipv4() { FAMILY_IPV4 } else { FAMILY_IPV6 }];
        value.extend_from_slice(&(address.port() ^ PORT_MASK).to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(mask).map(|(b, m)| b ^ m)),
            IpAddr::V6(ip) => value.extend(ip.octets().iter().zip(mask).map(|(b, m)| b ^ m)),
        }
        self.attribute(XOR_MAPPED_ADDRESS, &value);
    }

    fn finish(mut self, key: &IntegrityKey) -> Vec<u8> {
        let tag = integrity_of(&self.bytes, key);
        self.attribute(MESSAGE_INTEGRITY, tag.as_ref());
        // The checksum covers a length that counts the fingerprint already.
        let covered = self.bytes.len();
        self.attribute(FINGERPRINT, &[0; 4]);
        let sum = fingerprint_of(&self.bytes[..covered]).to_be_bytes();
        self.bytes[covered + ATTRIBUTE_HEADER_LEN..].copy_from_slice(&sum);
        self.bytes
    }
}

fn class_of(bytes: &[u8]) -> Option<Class> {
    if !is_stun(bytes) {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    if !len.is_multiple_of(4) || bytes.len() != HEADER_LEN + len {
        return None;
    }
    match u16::from_be_bytes([bytes[0], bytes[1]]) {
        BINDING_REQUEST => Some(Class::Request),
        BINDING_INDICATION => Some(Class::Indication),
        BINDING_SUCCESS => Some(Class::Success),
        BINDING_ERROR => Some(Class::Error),
        _ => None,
    }
}

fn before_colon(username: &str) -> &str {
    username.split_once(':').map_or(username, |(theirs, _)| theirs)
}

/// HMAC over a message up to its integrity attribute, its length counting that attribute.
fn integrity_of(up_to: &[u8], key: &IntegrityKey) -> hmac::Tag {
    let len = up_to.len() - HEADER_LEN + ATTRIBUTE_HEADER_LEN + INTEGRITY_LEN;
    let len = u16::try_from(len).expect("a message's length fits its length field");
    let mut context = hmac::Context::with_key(&key.0);
    context.update(&up_to[..2]);
    context.update(&len.to_be_bytes());
    context.update(&up_to[4..]);
    context.sign()
}

/// Checksum over a message up to its fingerprint attribute, its length counting that attribute.
fn fingerprint_of(up_to: &[u8]) -> u32 {
    crc32fast::hash(up_to) ^ FINGERPRINT_MASK
}

fn address_mask(transaction: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE);
    mask[4..].copy_from_slice(&transaction.0);
    mask
}

fn read_address(value: &[u8], transaction: TransactionId) -> Option<SocketAddr> {
    let (&[_, family, port_high, port_low], ip) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([port_high, port_low]) ^ PORT_MASK;
    let mask = address_mask(transaction);
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

fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

const HEADER_LEN: usize = 20;
const ATTRIBUTE_HEADER_LEN: usize = 4;
const INTEGRITY_LEN: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const PORT_MASK: u16 = 0x2112;
const FINGERPRINT_MASK: u32 = 0x5354_554e;
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_INDICATION: u16 = 0x0011;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    /// RFC 5769 §2.1.
    const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e2074657374\
        20636c69656e74002400046e0001ff80290008932ff9b151263b36000600096576746a3a6836765920202000\
        0800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    /// RFC 5769 §2.2.
    const RESPONSE_IPV4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563\
        746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004\
        c07d4c96";
    /// RFC 5769 §2.3.
    const RESPONSE_IPV6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563\
        746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c\
        8292c275bfe3ed4180280004c8fb0b4c";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    fn request(nominates: bool) -> Vec<u8> {
        let request = BindingRequest {
            transaction: TransactionId([7; 12]),
            username: "them:us",
            priority: 1,
            tie_breaker: 2,
            nominates,
        };
        request.encode(&IntegrityKey::new(PASSWORD))
    }

    #[test]
    fn the_sample_request_of_rfc_5769_is_authentic() {
        let bytes = hex(REQUEST);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.class(), Class::Request);
        assert_eq!(message.addressed_ufrag(), Some("evtj"));
        assert_eq!(addressed_ufrag(&bytes), Some("evtj"));
        assert!(!message.nominates());
        assert!(message.is_authentic(&IntegrityKey::new(PASSWORD)));
        assert!(!message.is_authentic(&IntegrityKey::new("another")));
    }

    #[test]
    fn the_sample_answers_of_rfc_5769_name_the_address() {
        for (bytes, address) in [
            (hex(RESPONSE_IPV4), "192.0.2.1:32853"),
            (hex(RESPONSE_IPV6), "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.class(), Class::Success);
            assert_eq!(message.mapped_address(), Some(address.parse().unwrap()));
            assert!(message.is_authentic(&IntegrityKey::new(PASSWORD)));
        }
    }

    #[test]
    fn an_answer_reads_back_what_it_writes() {
        let key = IntegrityKey::new(PASSWORD);
        for address in ["192.0.2.1:32853", "[2001:db8::7]:1"] {
            let transaction = TransactionId(*b"transaction ");
            let bytes = binding_success(transaction, address.parse().unwrap(), &key);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.transaction(), transaction);
            assert_eq!(message.mapped_address(), Some(address.parse().unwrap()));
            assert!(message.is_authentic(&key));
        }
    }

    #[test]
    fn a_nomination_counts_only_under_the_integrity() {
        let bytes = request(true);
        assert!(Message::parse(&bytes).unwrap().nominates());
        let mut bytes = request(false);
        bytes.truncate(bytes.len() - 8);
        bytes.extend_from_slice(&[0x00, 0x25, 0, 0]);
        let len = (bytes.len() - HEADER_LEN) as u16;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        let message = Message::parse(&bytes).unwrap();
        assert!(message.is_authentic(&IntegrityKey::new(PASSWORD)));
        assert!(!message.nominates());
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = request(true);
        for len in 0..bytes.len() {
            assert!(Message::parse(&bytes[..len]).is_none(), "{len}");
            assert_eq!(addressed_ufrag(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let bytes = request(true);
        let key = IntegrityKey::new(PASSWORD);
        // Without its type the fingerprint is an attribute after the integrity, to be ignored.
        let fingerprint_type = (bytes.len() - 8) * 8..(bytes.len() - 6) * 8;
        for bit in (0..bytes.len() * 8).filter(|bit| !fingerprint_type.contains(bit)) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let passes = Message::parse(&flipped).is_some_and(|m| m.is_authentic(&key));
            assert!(!passes, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
            if bytes.len() >= HEADER_LEN {
                bytes[..2].copy_from_slice(&[0, 1]);
                bytes.truncate(bytes.len() / 4 * 4);
                let len = (bytes.len() - HEADER_LEN) as u16;
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
                bytes[4..8].copy_from_slice(&MAGIC_COOKIE);
                let _ = addressed_ufrag(&bytes);
                if let Some(message) = Message::parse(&bytes) {
                    prop_assert!(!message.is_authentic(&IntegrityKey::new(PASSWORD)));
                }
            }
        }
    }
}
