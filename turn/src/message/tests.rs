use super::*;
use proptest::prelude::*;
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, MessageIntegrityCredentials, MessageWrite,
    MessageWriteExt, MessageWriteVec,
};
use turn_types::attribute as theirs;

/// RFC 5769 §2.4: user マトリックス, password TheMatrIX, realm example.org.
const LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae383\
    83e382afe382b900000015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341001400\
    0b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn credentials() -> MessageIntegrityCredentials {
    LongTermKeyCredentials::new("me".into(), "word".into(), "here".into()).into()
}

fn key() -> LongTermKey {
    LongTermKey::new("me", "here", "word")
}

#[test]
fn the_sample_of_rfc_5769_with_a_long_term_password_is_authentic() {
    let bytes = hex(LONG_TERM);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.method(), message.class()), (Method::Binding, Class::Request));
    assert_eq!(message.text(USERNAME), Some("マトリックス"));
    assert_eq!(message.text(REALM), Some("example.org"));
    assert!(message.is_authentic(&LongTermKey::new("マトリックス", "example.org", "TheMatrIX")));
    assert!(!message.is_authentic(&LongTermKey::new("マトリックス", "example.org", "TheMatrX")));
}

#[test]
fn what_another_library_writes_is_read() {
    for algorithm in [IntegrityAlgorithm::Sha1, IntegrityAlgorithm::Sha256] {
        let mut request = stun_types::message::Message::builder_request(
            turn_types::message::CHANNEL_BIND,
            MessageWriteVec::new(),
        );
        let peer: SocketAddr = "[2001:db8::7]:8081".parse().unwrap();
        let transaction = request.transaction_id();
        request.add_attribute(&theirs::ChannelNumber::new(0x4001)).unwrap();
        request.add_attribute(&theirs::XorPeerAddress::new(peer, transaction)).unwrap();
        let words = credentials();
        if algorithm == IntegrityAlgorithm::Sha1 {
            request.add_message_integrity(&words, algorithm).unwrap();
        } else {
            // Their key for SHA-256 is another hash of the words; with both tags both must be right.
            request.add_message_integrity(&words, IntegrityAlgorithm::Sha1).unwrap();
            request.add_message_integrity(&words, algorithm).unwrap();
        }
        request.add_fingerprint().unwrap();
        let bytes = request.finish();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.method(), message.class()), (Method::ChannelBind, Class::Request));
        assert_eq!(message.number(CHANNEL_NUMBER), Some(0x4001_0000));
        assert_eq!(message.address(XOR_PEER_ADDRESS), Some(peer));
        assert!(message.has_fingerprint());
        assert_eq!(message.is_authentic(&key()), algorithm == IntegrityAlgorithm::Sha1);
    }
}

#[test]
fn another_library_reads_what_is_written() {
    let relayed: SocketAddr = "192.0.2.7:50000".parse().unwrap();
    let mapped: SocketAddr = "[2001:db8::1]:4000".parse().unwrap();
    let mut answer = Writer::new(Method::Allocate, Class::Success, [9; 12]);
    answer.address(XOR_RELAYED_ADDRESS, relayed).address(XOR_MAPPED_ADDRESS, mapped);
    answer.attribute(LIFETIME, &600u32.to_be_bytes()).integrity(Integrity::Sha1, &key());
    let bytes = answer.finish(true);
    let message = stun_types::message::Message::from_bytes(&bytes).unwrap();
    assert_eq!(message.method(), turn_types::message::ALLOCATE);
    assert!(message.is_response() && message.validate_integrity(&credentials()).is_ok());
    let read = message.attribute::<theirs::XorRelayedAddress>().unwrap();
    assert_eq!(read.addr(message.transaction_id()), relayed);
    let read = message.attribute::<stun_types::attribute::XorMappedAddress>().unwrap();
    assert_eq!(read.addr(message.transaction_id()), mapped);
    assert_eq!(message.attribute::<theirs::Lifetime>().unwrap().seconds(), 600);

    let mut refusal = Writer::new(Method::Refresh, Class::Error, [9; 12]);
    refusal.error(438).attribute(REALM, b"here").attribute(NONCE, b"nonce");
    let bytes = refusal.finish(false);
    let message = stun_types::message::Message::from_bytes(&bytes).unwrap();
    assert_eq!(message.attribute::<stun_types::attribute::ErrorCode>().unwrap().code(), 438);

    let mut bytes = Vec::new();
    write_data_indication(&mut bytes, &[3; 12], relayed, b"hello");
    let message = stun_types::message::Message::from_bytes(&bytes).unwrap();
    assert_eq!(message.method(), turn_types::message::DATA);
    assert_eq!(message.attribute::<theirs::Data<'_>>().unwrap().data(), b"hello");
    let peer = message.attribute::<theirs::XorPeerAddress>().unwrap();
    assert_eq!(peer.addr(message.transaction_id()), relayed);
}

fn written(integrity: Integrity) -> Vec<u8> {
    let mut writer = Writer::new(Method::Refresh, Class::Request, [7; 12]);
    writer.attribute(USERNAME, b"me").attribute(LIFETIME, &600u32.to_be_bytes());
    writer.integrity(integrity, &key());
    writer.finish(true)
}

#[test]
fn a_flipped_bit_and_a_cut_are_noticed() {
    for integrity in [Integrity::Sha1, Integrity::Sha256] {
        let bytes = written(integrity);
        assert!(Message::parse(&bytes).unwrap().is_authentic(&key()));
        assert_eq!(Message::parse(&bytes).unwrap().integrity(), integrity);
        // Without its type the fingerprint is an attribute after the integrity, to be ignored.
        let fingerprint_type = (bytes.len() - 8) * 8..(bytes.len() - 6) * 8;
        for bit in (0..bytes.len() * 8).filter(|bit| !fingerprint_type.contains(bit)) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let passes = Message::parse(&flipped).is_some_and(|m| m.is_authentic(&key()));
            assert!(!passes, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Message::parse(&bytes[..length]).is_none(), "{length}");
        }
    }
}

#[test]
fn what_follows_the_integrity_does_not_count() {
    let mut bytes = written(Integrity::Sha1);
    bytes.truncate(bytes.len() - 8);
    bytes.extend_from_slice(&[0x00, 0x12, 0, 8, 0, 1, 1, 1, 1, 1, 1, 1]);
    let length = (bytes.len() - HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let message = Message::parse(&bytes).unwrap();
    assert!(message.is_authentic(&key()));
    assert_eq!(message.address(XOR_PEER_ADDRESS), None);
}

proptest! {
    #[test]
    fn an_indication_carries_any_payload(
        payload in prop::collection::vec(any::<u8>(), 0..1500), ip: u128, port: u16, is_v4: bool,
    ) {
        let ip = if is_v4 { IpAddr::from((ip as u32).to_be_bytes()) } else { IpAddr::from(ip.to_be_bytes()) };
        let peer = SocketAddr::new(ip, port);
        let mut bytes = Vec::new();
        write_data_indication(&mut bytes, &[5; 12], peer, &payload);
        let message = Message::parse(&bytes).expect("well-formed");
        prop_assert_eq!((message.method(), message.class()), (Method::Data, Class::Indication));
        prop_assert_eq!(message.address(XOR_PEER_ADDRESS), Some(peer));
        prop_assert_eq!(&bytes[message.place(DATA).expect("there")], &payload[..]);
    }

    #[test]
    fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0u16..0x120) {
        let _ = Message::parse(&bytes);
        if bytes.len() >= HEADER_LEN {
            bytes.truncate(bytes.len() / 4 * 4);
            let length = (bytes.len() - HEADER_LEN) as u16;
            bytes[..2].copy_from_slice(&kind.to_be_bytes());
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&MAGIC_COOKIE);
            if let Some(message) = Message::parse(&bytes) {
                prop_assert!(!message.is_authentic(&key()));
                message.addresses(XOR_PEER_ADDRESS);
            }
        }
    }
}
