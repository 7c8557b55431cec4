//! As much of STUN (RFC 8489) as a client needs that asks and reads the answer.

use aws_lc_rs::hmac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// "Where do you see me?" (RFC 8489 §3).
pub const BINDING: u16 = 0x001;
/// "Relay for me" (RFC 8656 §7).
pub const ALLOCATE: u16 = 0x003;
/// "For how long still" (RFC 8656 §8); with 0 it ends.
pub const REFRESH: u16 = 0x004;

/// "Let that one send to me" (RFC 8656 §10).
pub const CREATE_PERMISSION: u16 = 0x008;
/// "Send this to that one" (RFC 8656 §11), an indication: nobody answers it.
pub const SEND: u16 = 0x016;
/// "That one has sent this" (RFC 8656 §11.4).
const DATA_INDICATION: u16 = 0x017;

pub const USERNAME: u16 = 0x0006;
pub const ERROR_CODE: u16 = 0x0009;
pub const LIFETIME: u16 = 0x000d;
pub const XOR_PEER_ADDRESS: u16 = 0x0012;
pub const DATA: u16 = 0x0013;
pub const REALM: u16 = 0x0014;
pub const NONCE: u16 = 0x0015;
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub const REQUESTED_TRANSPORT: u16 = 0x0019;
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const COOKIE: u32 = 0x2112_a442;
const SUCCESS: u16 = 0x0100;
const ERROR: u16 = 0x0110;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// The transaction it belongs to.
    pub transaction: [u8; 12],
    is_error: bool,
    attributes: Vec<(u16, Vec<u8>)>,
}

/// Writes a request; with a key it is signed.
pub fn request(
    method: u16,
    transaction: [u8; 12],
    attributes: &[(u16, Vec<u8>)],
    key: Option<&[u8]>,
) -> Vec<u8> {
    let mut message = method.to_be_bytes().to_vec();
    message.extend([0, 0]);
    message.extend(COOKIE.to_be_bytes());
    message.extend(transaction);
    for (kind, value) in attributes {
        put(&mut message, *kind, value);
    }
    if let Some(key) = key {
        // The length that is signed counts the signature (RFC 8489 §14.5).
        set_length(&mut message, 24);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let signature = hmac::sign(&key, &message);
        put(&mut message, MESSAGE_INTEGRITY, signature.as_ref());
    }
    set_length(&mut message, 0);
    message
}

/// Answers a binding request from there; nothing where it is none.
pub fn answer_binding(request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let transaction = head(request).filter(|(kind, _)| *kind == BINDING)?.1;
    let mut message = (BINDING | SUCCESS).to_be_bytes().to_vec();
    message.extend([0, 0]);
    message.extend(COOKIE.to_be_bytes());
    message.extend(transaction);
    put(&mut message, XOR_MAPPED_ADDRESS, &xored(from, transaction));
    set_length(&mut message, 0);
    Some(message)
}

/// Reads an answer; nothing where it is none.
pub fn parse(message: &[u8]) -> Option<Answer> {
    let (kind, transaction) = head(message)?;
    let is_error = kind & ERROR == ERROR;
    if !is_error && kind & ERROR != SUCCESS && kind != DATA_INDICATION {
        return None;
    }
    let mut attributes = Vec::new();
    let mut rest = message.get(20..)?;
    while let [a, b, c, d, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([c, d]));
        let value = rest.get(4..4 + length)?;
        attributes.push((u16::from_be_bytes([a, b]), value.to_vec()));
        rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Answer { transaction, is_error, attributes })
}

/// How long a message is whose first bytes these are; streams need to know (RFC 8489 §6.2.2).
pub fn length(beginning: &[u8]) -> Option<usize> {
    let length = u16::from_be_bytes([*beginning.get(2)?, *beginning.get(3)?]);
    Some(20 + usize::from(length))
}

impl Answer {
    /// The value of an attribute.
    pub fn attribute(&self, wanted: u16) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(kind, _)| *kind == wanted);
        found.map(|(_, value)| value.as_slice())
    }

    /// Number and words of a refusal.
    pub fn error(&self) -> Option<(u16, String)> {
        let value = self.attribute(ERROR_CODE).filter(|_| self.is_error)?;
        let number = u16::from(value.get(2)? & 7) * 100 + u16::from(*value.get(3)?);
        Some((number, String::from_utf8_lossy(&value[4..]).into_owned()))
    }

    /// An address in it.
    pub fn address(&self, wanted: u16) -> Option<SocketAddr> {
        let value = self.attribute(wanted)?;
        let port = u16::from_be_bytes([*value.get(2)?, *value.get(3)?]) ^ (COOKIE >> 16) as u16;
        let mask = [&COOKIE.to_be_bytes()[..], &self.transaction].concat();
        let plain: Vec<u8> = value.get(4..)?.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        let ip: IpAddr = match *value.get(1)? {
            1 => Ipv4Addr::from(<[u8; 4]>::try_from(plain).ok()?).into(),
            2 => Ipv6Addr::from(<[u8; 16]>::try_from(plain).ok()?).into(),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

fn head(message: &[u8]) -> Option<(u16, [u8; 12])> {
    let cookie = message.get(4..8)?;
    if cookie != COOKIE.to_be_bytes() || length(message)? > message.len() {
        return None;
    }
    let kind = u16::from_be_bytes([message[0], message[1]]);
    Some((kind, message.get(8..20)?.try_into().ok()?))
}

fn put(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn set_length(message: &mut [u8], more: usize) {
    let length = (message.len() - 20 + more) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// An address as attributes hold it.
pub fn xored(address: SocketAddr, transaction: [u8; 12]) -> Vec<u8> {
    let mask = [&COOKIE.to_be_bytes()[..], &transaction].concat();
    let (family, octets) = match address.ip().to_canonical() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let port = address.port() ^ (COOKIE >> 16) as u16;
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(octets.iter().zip(mask).map(|(a, b)| a ^ b));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_answered_with_where_it_came_from() {
        for from in ["192.0.2.1:5000", "[2001:db8::7]:9"].map(|a| a.parse().expect("an address")) {
            let asked = request(BINDING, [7; 12], &[], None);
            let answer = answer_binding(&asked, from).expect("an answer");
            assert_eq!(length(&answer), Some(answer.len()));
            let answer = parse(&answer).expect("an answer");
            assert_eq!((answer.transaction, answer.error()), ([7; 12], None));
            assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(from));
        }
        assert!(
            answer_binding(b"hello, world, hello, world", "192.0.2.1:1".parse().expect("one"))
                .is_none()
        );
        assert!(parse(&request(BINDING, [7; 12], &[], None)).is_none(), "a question is no answer");
    }

    #[test]
    fn a_signed_request_is_what_another_implementation_signs() {
        // RFC 5769 §2.4: long-term credentials; the key is MD5 of user, realm and password.
        let user = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}".as_bytes().to_vec();
        let transaction = [0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e];
        let key = super::super::relay::key(&user, b"example.org", b"TheMatrIX");
        let signed = request(
            BINDING,
            transaction,
            &[
                (USERNAME, user),
                (NONCE, b"f//499k954d6OL34oL9FSTvy64sA".to_vec()),
                (REALM, b"example.org".to_vec()),
            ],
            Some(&key),
        );
        let expected = [
            0xf6, 0x70, 0x24, 0x65, 0x6d, 0xd6, 0x4a, 0x3e, 0x02, 0xb8, 0xe0, 0x71, 0x2e, 0x85,
            0xc9, 0xa2, 0x8c, 0xa8, 0x96, 0x66,
        ];
        assert_eq!(signed[signed.len() - 20..], expected);
    }
}
