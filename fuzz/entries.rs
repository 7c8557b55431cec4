//! What the fuzz targets do with their input. The main test suite replays the committed corpus through the
//! same functions (`sfu/tests/corpus.rs`), so a crash found once stays found.
//!
//! Beside not panicking, each function states what must hold for any input.
#![allow(dead_code, reason = "each fuzz target calls one of these functions, the corpus test all")]

use sfu::cache::PacketCache;
use sfu::codec::dependency::{Described, Shift, Structure};
use sfu::codec::{self, Layer, h264, opus, red, vp8, vp9};
use sfu::credentials::{Fingerprint, FingerprintHash, IceCredentials};
use sfu::format::Codec;
use sfu::framing;
use sfu::nack::NackGenerator;
use sfu::rtcp;
use sfu::rtp::{self, Header, Outgoing};
use sfu::sdp::{self, Local, SlotSpec};
use sfu::sequence::{SequenceUnwrapper, is_newer};
use sfu::transport::stun::{self, IntegrityKey, Message};
use sfu::twcc::TransportCc;
use std::time::{Duration, Instant};

/// A decrypted RTP packet: header, extensions, every payload format, and writing it again.
pub fn rtp(input: &[u8]) {
    let Some(header) = Header::parse(input) else { return };
    let payload = header.payload(input);
    assert!(header.payload_offset + payload.len() + header.padding <= input.len());
    let elements: Vec<(u8, &[u8])> = header.extensions(input).collect();
    for (id, content) in &elements {
        assert!(header.extension(input, *id).is_some(), "element {id} of {} bytes", content.len());
    }

    for codec in CODECS {
        codec::is_keyframe(codec, payload);
        codec::frame(codec, payload);
    }
    opus::opus_is_silence(payload);
    opus::duration(payload);
    vp9::sizes(payload);
    if let Some(read) = red::Redundant::parse(payload) {
        let blocks: Vec<red::Block<'_>> = read.earlier().collect();
        let carried: usize = blocks.iter().map(|block| block.payload.len()).sum();
        assert_eq!(4 * blocks.len() + 1 + carried + read.primary.len(), payload.len());
    }
    h264::is_keyframe(payload);
    let mut copy = payload.to_vec();
    vp8::rewrite(&mut copy, 0x1234, 7);
    assert_eq!(vp8::is_keyframe(&copy), vp8::is_keyframe(payload), "rewriting changes no picture");
    let mut copy = payload.to_vec();
    vp9::rewrite(&mut copy, 0x1234, 7);
    assert_eq!(vp9::is_keyframe(&copy), vp9::is_keyframe(payload), "rewriting changes no picture");
    for (_, content) in &elements {
        let structure = Structure::parse(content);
        if let Some(described) = Described::new(content, &structure, u32::MAX) {
            let shown = Layer { spatial: 1, temporal: 1 };
            let told = described.rewrite(Shift { frame: 0x4321, template: 7 }, Some(shown));
            let again = Structure::parse(told.bytes());
            assert_eq!(again.is_some(), structure.is_some(), "a structure stays one");
        }
    }

    let mut packet = input.to_vec();
    if let Some(restored) = rtp::restore_retransmitted(&mut packet, &header, 96, 0x5555_5555) {
        let again = Header::parse(restored).expect("what was a packet is one with two bytes less");
        assert_eq!((again.payload_type, again.ssrc), (96, 0x5555_5555));
    }

    let outgoing = Outgoing {
        marker: header.marker,
        payload_type: header.payload_type,
        sequence: header.sequence,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
        csrc: 1,
        extensions: &elements,
    };
    let mut written = Vec::new();
    let length = rtp::write_header(&mut written, &outgoing);
    assert_eq!(length, written.len());
    let again = Header::parse(&written).expect("what is written can be read");
    assert_eq!(again.payload_offset, length);
    let same = (again.sequence, again.timestamp, again.ssrc, again.marker, again.payload_type);
    let of = (header.sequence, header.timestamp, header.ssrc, header.marker, header.payload_type);
    assert_eq!(same, of);
}

/// A decrypted RTCP compound, and what is made of what it says.
pub fn rtcp(input: &[u8]) {
    let mut pieces = 0;
    rtcp::parse(input, |incoming| {
        pieces += 1;
        match incoming {
            rtcp::Incoming::Nack { sequences, .. } => assert!(sequences.len() <= rtcp::MAX_NACKED),
            rtcp::Incoming::Fir { ssrcs, .. } | rtcp::Incoming::Remb { ssrcs, .. } => {
                assert!(ssrcs.len() <= rtcp::MAX_SSRCS);
            }
            rtcp::Incoming::ReceiverReport { blocks, .. } => assert!(blocks.len() <= 31),
            rtcp::Incoming::Bye { ssrcs } => assert!(ssrcs.len() <= 31),
            rtcp::Incoming::SenderReport { .. }
            | rtcp::Incoming::Pli { .. }
            | rtcp::Incoming::TransportCc(_) => {}
        }
    });
    // A packet has four bytes at least, and a sender report with blocks counts twice.
    assert!(pieces <= input.len() / 2, "{pieces} pieces of {} bytes", input.len());
}

/// Sequence numbers and the microseconds between them, as a stream on a bad link brings them: what
/// notices gaps, remembers packets and reports arrivals.
pub fn stream(input: &[u8]) {
    let mut now = Instant::now();
    let mut sequences = SequenceUnwrapper::new();
    let mut missing = NackGenerator::new();
    let mut cache = PacketCache::new(64);
    let mut arrivals = TransportCc::new();
    let (mut asked, mut feedback) = (Vec::new(), Vec::new());
    for chunk in input.as_chunks::<4>().0 {
        let wire = u16::from_be_bytes([chunk[0], chunk[1]]);
        now += Duration::from_micros(u64::from(u16::from_be_bytes([chunk[2], chunk[3]])) * 16);
        let sequence = sequences.unwrap(wire);
        assert_eq!(sequence as u16, wire);
        missing.received(now, sequence);
        if cache.insert(sequence, chunk, now) {
            assert_eq!(cache.get(sequence), Some(&chunk[..]));
        }
        arrivals.arrived(now, wire);
        missing.poll(now, &mut asked);
        assert!(asked.len() <= rtcp::MAX_NACKED);
        assert!(asked.is_sorted_by(|a, b| is_newer(*b, *a)), "oldest first: {asked:?}");
        for number in asked.drain(..) {
            assert_ne!(number, wire, "what has just arrived is not missing");
        }
        while arrivals.poll(now, 1, 2, &mut feedback) {}
    }
    let mut understood = 0;
    rtcp::parse(&feedback, |incoming| {
        assert!(matches!(incoming, rtcp::Incoming::TransportCc(_)), "{incoming:?}");
        understood += 1;
    });
    assert_eq!(feedback.is_empty(), understood == 0, "what is written can be read");
}

/// SDP of an offer or an answer, read as each of the three things that clients send.
pub fn sdp(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let ice = IceCredentials { ufrag: "ufrag".into(), pwd: "0123456789012345678901".into() };
    let fingerprint = Fingerprint::of(FingerprintHash::Sha256, b"certificate");
    let candidates = [sfu::HostCandidate::udp(([127, 0, 0, 1], 10_000).into())];
    let local = Local {
        ice: &ice,
        fingerprint: &fingerprint,
        candidates: &candidates,
        restarts: 0,
        session_id: 1,
        session_version: 1,
    };
    if let Ok(answer) = sdp::answer_publish(text, &local) {
        assert!(!answer.sections.is_empty());
        assert!(answer.sdp.len() <= 64 * 1024, "an answer of {} bytes", answer.sdp.len());
    }
    let mut next = 0;
    let mut ssrcs = || {
        next += 1;
        next
    };
    if let Ok(answer) = sdp::answer_watch(text, &local, &mut ssrcs) {
        assert_eq!(answer.slots.len(), answer.sections.len());
    }
    let slots: Vec<SlotSpec> = (0..4u32)
        .map(|k| SlotSpec {
            mid: k.to_string(),
            kind: if k < 2 { protocol::Kind::Audio } else { protocol::Kind::Video },
            ssrc: 100 + k,
            rtx_ssrc: 200 + k,
            stream: format!("slot-{}", k % 2),
            cname: format!("slot-{}", k % 2),
        })
        .collect();
    if let Ok((_, sections)) = sdp::read_answer(text, &slots) {
        assert_eq!(sections.len(), slots.len());
    }
}

/// A datagram that looks like STUN, from anybody.
pub fn stun(input: &[u8]) {
    let key = IntegrityKey::new(STUN_PASSWORD);
    stun::is_stun(input);
    let addressed = stun::addressed_ufrag(input).map(str::to_owned);
    let Some(message) = Message::parse(input) else { return };
    assert!(stun::is_stun(input), "what is parsed was recognised");
    if message.class() == stun::Class::Request {
        assert_eq!(message.addressed_ufrag().map(str::to_owned), addressed);
    }
    if message.is_authentic(&key) {
        // Only who knows the password writes this; one flipped bit under the tag must undo it.
        let mut forged = input.to_vec();
        forged[19] ^= 1;
        assert!(!Message::parse(&forged).is_some_and(|message| message.is_authentic(&key)));
    }
}

/// A stream that comes in pieces: its packets are the same as in one piece, within their bound, and what is not whole
/// waits. The first byte says how long packets may be, the second how large the pieces are.
pub fn framing(input: &[u8]) {
    let Some((&[longest, piece], stream)) = input.split_first_chunk() else { return };
    let (longest, piece) = (usize::from(longest) * 8, usize::from(piece).max(1));
    let read = |unread: &mut Vec<u8>, packets: &mut Vec<Vec<u8>>| loop {
        match framing::first(unread, longest) {
            Ok(Some(packet)) => {
                assert!(packet.len() <= longest && packet.end <= unread.len());
                packets.push(unread[packet.clone()].to_vec());
                unread.drain(..packet.end);
            }
            Ok(None) => return true,
            Err(too_long) => {
                assert!(too_long.length > longest);
                return false;
            }
        }
    };
    let (mut whole, mut at_once) = (stream.to_vec(), Vec::new());
    let is_readable = read(&mut whole, &mut at_once);
    let (mut unread, mut in_pieces) = (Vec::new(), Vec::new());
    let mut was_readable = true;
    for bytes in stream.chunks(piece) {
        unread.extend_from_slice(bytes);
        was_readable = read(&mut unread, &mut in_pieces);
        if !was_readable {
            break;
        }
        assert!(
            unread.len() < framing::HEADER + longest.max(1),
            "only the newest packet is not whole"
        );
    }
    assert_eq!((in_pieces, was_readable), (at_once.clone(), is_readable));
    let mut written = Vec::new();
    for packet in &at_once {
        assert!(framing::write(&mut written, packet));
    }
    assert_eq!(written[..], stream[..written.len()]);
}

/// The password that the authentic seeds of the `stun` corpus are written with.
pub const STUN_PASSWORD: &str = "veche-corpus-password-22";

const CODECS: [Codec; 6] = [
    Codec::Opus,
    Codec::Red,
    Codec::Vp8,
    Codec::Vp9 { profile: 0 },
    Codec::Av1 { profile: 0 },
    Codec::H264 { profile: 0x42e0, mode: 1 },
];
