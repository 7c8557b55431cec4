//! Clients that are joined, authenticated and up to no good: each ends at worst its own transport, the others'
//! media goes on, and a counter tells.

#![expect(clippy::unwrap_used, reason = "the helpers here are tests too")]

use crate::{FRAME, server};
use protocol::{ClientMessage, Kind, ServerMessage};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};
use testkit::{Person, Publication, Publisher, Server, Subscriber};

const OPUS: u8 = 111;
const VP8: u8 = 96;
/// Id of the mid extension in the testkit's offers; its m-lines are "0" for sound and "1" for pictures.
const MID: u8 = 4;
/// What the bad one sends between two looks at the good ones.
const WAVE: usize = 20;

/// Anna publishes, Boris watches her, and Mallory publishes too.
struct Scene {
    server: Server,
    boris: Person,
    publisher: Publisher,
    subscriber: Subscriber,
    mallory: Person,
    bad: Publisher,
    /// The good publisher's tracks, sound first.
    csrcs: Vec<u32>,
    rng: StdRng,
    _anna: Person,
}

impl Scene {
    fn set() -> Self {
        let server = server();
        let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
        let publisher = anna.publish(Publication::default()).unwrap();
        let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
        let subscriber = boris.subscribe(2, 2).unwrap();
        let mut mallory = Person::guest(server.api, "Mallory", &room).unwrap();
        let bad = mallory.publish(Publication::default()).unwrap();
        let rng = StdRng::seed_from_u64(7);
        let csrcs = Vec::new();
        let mut scene =
            Self { server, boris, publisher, subscriber, mallory, bad, csrcs, rng, _anna: anna };
        scene.run(25, |bad, _| {
            bad.send_audio(30, 80).unwrap();
            bad.send_frame(true, 1, 600).unwrap();
        });
        let anna = scene._anna.id;
        let slots = scene
            .boris
            .wait_for_slots(|s| s.iter().filter(|s| s.participant_id == Some(anna)).count() == 2)
            .unwrap();
        let tracks = slots.iter().filter(|s| s.participant_id == Some(anna));
        scene.csrcs = tracks.filter_map(|slot| slot.track.as_ref().map(|t| t.csrc)).collect();
        assert_eq!(scene.csrcs.len(), 2);
        scene
    }

    /// For so many frames of 20 ms Anna goes on as she does, while the bad one does its worst; what Boris
    /// got of Anna's sound and pictures meanwhile.
    fn run(
        &mut self,
        frames: usize,
        mut worst: impl FnMut(&mut Publisher, &mut StdRng),
    ) -> [usize; 2] {
        let mut got = [0; 2];
        let mut next = Instant::now();
        let mut answered = self.publisher.asked().keyframes;
        for frame in 0..frames {
            self.publisher.drive().unwrap();
            self.bad.drive().unwrap();
            let asked = self.publisher.asked().keyframes;
            self.publisher.send_audio(20 + (frame % 10) as u8, 80).unwrap();
            self.publisher.send_frame(asked > answered || frame == 0, 2, 600).unwrap();
            answered = asked;
            worst(&mut self.bad, &mut self.rng);
            next += FRAME;
            loop {
                self.subscriber.drive().unwrap();
                for packet in self.subscriber.drain() {
                    let of_anna = packet.csrc.is_some_and(|csrc| self.csrcs.contains(&csrc));
                    if of_anna && !packet.is_retransmission {
                        got[usize::from(packet.kind == Kind::Video)] += 1;
                    }
                }
                let left = next.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                self.subscriber.link.wait(left);
            }
        }
        got
    }

    /// Anna reaches Boris as if nobody else were there.
    fn assert_others_go_on(&mut self) {
        let got = self.run(50, |_, _| {});
        self.assert_heard(50, got);
        assert_eq!(self.server.metric("veche_media_faults_total").unwrap(), 0.0);
        assert!(self.server.is_running());
    }

    fn assert_heard(&self, frames: usize, [sounds, pictures]: [usize; 2]) {
        assert!(sounds * 10 >= frames * 9, "{sounds} of {frames} packets of sound");
        assert!(pictures * 10 >= frames * 2 * 9, "{pictures} of {} packets of video", frames * 2);
    }

    fn wait_for_metric(&self, name: &'static str, at_least: f64) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let now = self.server.metric(name).unwrap();
            if now >= at_least {
                return;
            }
            assert!(Instant::now() < end, "{name} is {now}, below {at_least}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// How often Boris was told of his slots since the last time this was asked.
    fn slot_messages(&mut self) -> usize {
        let messages = self.boris.socket.drain().unwrap();
        messages.iter().filter(|m| matches!(m, ServerMessage::SlotsChanged { .. })).count()
    }
}

/// A packet with a mid, as the testkit's publishers send them.
fn packet(payload_type: u8, sequence: u16, ssrc: u32, mid: Option<u8>) -> (Vec<u8>, usize) {
    let mut packet = vec![0x80, 0x80 | payload_type];
    packet.extend(sequence.to_be_bytes());
    packet.extend(u32::from(sequence).wrapping_mul(960).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    if let Some(mid) = mid {
        packet[0] |= 0x10;
        packet.extend([0xbe, 0xde, 0, 1, MID << 4, mid, 0, 0]);
    }
    let header_len = packet.len();
    packet.extend([0x90, 0x80, 0x80, 0, 0]);
    packet.resize(header_len + 80, 7);
    (packet, header_len)
}

#[test]
fn absurd_header_extensions_cost_their_packets_and_nobody_else() {
    let mut scene = Scene::set();
    let mut index = 1u64 << 20;
    let got = scene.run(100, |bad, rng| {
        for n in 0..WAVE {
            index += 1;
            let (mut packet, _) = packet(VP8, index as u16, bad.video_ssrc(), Some(b'1'));
            match n % 6 {
                // Longer than the packet; with two-byte elements; of no known form; with elements over
                // the edge; of 1,200 bytes of elements; with fifteen CSRCs that are not there.
                0 => packet[14..16].copy_from_slice(&[0xff, 0xff]),
                1 => packet[12..18].copy_from_slice(&[0x10, 0x00, 0, 1, 200, 250]),
                2 => packet[12..14].copy_from_slice(&rng.random::<[u8; 2]>()),
                3 => packet[16..20].copy_from_slice(&[MID << 4 | 0xf, b'1', 0xff, 0xff]),
                4 => {
                    packet.truncate(12);
                    packet.extend([0xbe, 0xde, 1, 44]);
                    for i in 0..600u16 {
                        packet.extend([(1 + i % 14) as u8 * 16, rng.random::<u8>()]);
                    }
                    packet.extend([0x90, 0x80, 0x80, 0, 1, 7, 7, 7]);
                }
                _ => packet[0] |= 0x2f,
            }
            let header_len = if n % 6 == 4 { 1_216 } else { 20 };
            bad.link.send_rtp(&mut packet, header_len, index).unwrap();
        }
    });
    scene.assert_heard(100, got);
    scene.assert_others_go_on();
    // Where a header is longer than its packet, or not as long as it was when it was sealed.
    scene.wait_for_metric("veche_media_datagrams_refused_total", 100.0 * 6.0);
}

#[test]
fn a_new_ssrc_with_every_packet_is_not_news_with_every_packet() {
    let mut scene = Scene::set();
    scene.slot_messages();
    let mut sequence = 0u16;
    let got = scene.run(100, |bad, rng| {
        for n in 0..WAVE {
            sequence = sequence.wrapping_add(1);
            let (payload_type, mid) = [(OPUS, b'0'), (VP8, b'1')][n % 2];
            // Some say their mid, and some must be found by their payload type.
            let mid = (n % 3 != 0).then_some(mid);
            let (mut packet, header_len) = packet(payload_type, sequence, rng.random(), mid);
            bad.link.send_rtp(&mut packet, header_len, sequence.into()).unwrap();
        }
    });
    scene.assert_heard(100, got);
    scene.assert_others_go_on();
    // So many changes are believed; all other packets are dropped.
    let told = scene.slot_messages();
    assert!(told <= 60, "slots were told {told} times in three seconds");
    let dropped = r#"veche_media_packets_dropped_total{reason="too_many_streams"}"#;
    scene.wait_for_metric(dropped, 1_900.0);
}

#[test]
fn sequence_numbers_that_jump_about_are_not_asked_for_by_the_thousand() {
    let mut scene = Scene::set();
    let before = scene.bad.asked();
    let mut rollover = 1u64 << 16;
    let mut sent = 0;
    let got = scene.run(100, |bad, rng| {
        for _ in 0..WAVE {
            // Ahead, so that the roll-over counter stays known; by anything up to half of all numbers.
            rollover += rng.random_range(1..0x7000);
            let ssrc = bad.video_ssrc();
            let (mut packet, header_len) = packet(VP8, rollover as u16, ssrc, Some(b'1'));
            bad.link.send_rtp(&mut packet, header_len, rollover).unwrap();
            sent += 1;
        }
    });
    scene.assert_heard(100, got);
    let asked = scene.bad.asked().nacked - before.nacked;
    assert!(asked < 20 * sent, "{asked} numbers were asked for after {sent} packets");
    scene.assert_others_go_on();
}

#[test]
fn an_offer_of_300_m_lines_is_refused_with_a_reason_and_the_rest_goes_on() {
    let mut scene = Scene::set();
    let section = |mid: usize| {
        format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=sendonly\r\na=rtcp-mux\r\n\
             a=rtpmap:111 opus/48000/2\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=setup:actpass\r\n"
        )
    };
    let sections: String = (0..300).map(section).collect();
    let sdp = format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{sections}");
    let offer = ClientMessage::MediaPublish { pc: "publish-2".into(), sdp, tracks: Vec::new() };
    let refused = scene.mallory.socket.request(offer).expect_err("nobody needs 300 m-lines");
    assert!(refused.code().is_some(), "{refused:?}");
    let got = scene.run(50, |bad, _| {
        bad.send_audio(30, 80).unwrap();
    });
    scene.assert_heard(50, got);
    scene.assert_others_go_on();
    assert!(scene.bad.link.closed().is_none(), "what was fine before goes on");
    scene.wait_for_metric("veche_media_sdps_refused_total", 1.0);
}

#[test]
fn a_level_stuck_at_its_loudest_does_not_hold_the_floor() {
    let mut scene = Scene::set();
    let mallory = scene.mallory.id;
    let mut newest = None;
    // Anna speaks as people do all the while. Mallory is as loud as can be, without a change.
    for _ in 0..12 {
        let got = scene.run(100, |bad, _| bad.send_audio(0, 80).unwrap());
        scene.assert_heard(100, got);
        let told = scene.boris.socket.drain().unwrap();
        for message in told {
            if let ServerMessage::SpeakersChanged { speakers, .. } = message {
                newest = Some(speakers);
            }
        }
        if newest.as_ref().is_some_and(|speakers| !speakers.contains(&mallory)) {
            break;
        }
    }
    let speakers = newest.expect("somebody speaks");
    assert!(!speakers.contains(&mallory), "{speakers:?}");
    assert!(speakers.contains(&scene._anna.id), "{speakers:?}");
}

#[test]
fn nonsense_in_feedback_costs_nobody_else() {
    let mut scene = Scene::set();
    let mut mallory = Vec::new();
    let mut watching = scene.mallory.subscribe(2, 2).unwrap();
    let ssrcs: Vec<u32> = watching.slots.iter().map(|slot| slot.ssrc).collect();
    let mut rng = StdRng::seed_from_u64(11);
    let got = scene.run(100, |bad, _| {
        bad.send_audio(30, 80).unwrap();
        for n in 0..WAVE {
            mallory.clear();
            write_nonsense(&mut mallory, n, &ssrcs, &mut rng);
            watching.link.send_rtcp(&mut mallory).unwrap();
        }
        watching.drive().unwrap();
        watching.drain();
    });
    scene.assert_heard(100, got);
    scene.assert_others_go_on();
    // Its keyframe requests are merged like anybody's, and what it asks again is bounded.
    let asked = scene.publisher.asked().keyframes;
    assert!(asked <= 40, "{asked} keyframes were asked of Anna in three seconds");
    scene.wait_for_metric("veche_media_feedback_ignored_total", 100.0);
}

/// One compound that no receiver means.
fn write_nonsense(out: &mut Vec<u8>, n: usize, ssrcs: &[u32], rng: &mut StdRng) {
    let ssrc = ssrcs[n % ssrcs.len()].to_be_bytes();
    // A receiver report without blocks comes first, as it must.
    out.extend([0x80, 201, 0, 1, 0, 0, 0, 1]);
    let body: Vec<u8> = match n % 7 {
        // REMB of nothing, of more than there is, and for 255 SSRCs of which one is there.
        0 => [&[0; 4][..], b"REMB", &[1, 0, 0, 0], &ssrc].concat(),
        1 => [&[0; 4][..], b"REMB", &[1, 0xff, 0xff, 0xff], &ssrc].concat(),
        2 => [&[0; 4][..], b"REMB", &[255, 0x0f, 0xff, 0xff], &ssrc].concat(),
        // Transport-cc that counts 65,535 packets in one chunk; at random; that goes back in time.
        3 => [&ssrc[..], &[0, 0, 0xff, 0xff, 0, 0, 0, 1, 0x3f, 0xff, 0, 0]].concat(),
        4 => [&ssrc[..], &rng.random::<[u8; 32]>()].concat(),
        5 => [&ssrc[..], &[0, 9, 0, 7, 0xff, 0xff, 0xff, n as u8, 0x40, 7], &[0x80; 14]].concat(),
        // A NACK of everything.
        _ => {
            let pairs = (0..60u16).flat_map(|i| [(i * 1_000).to_be_bytes(), [0xff; 2]]);
            [&ssrc[..], &pairs.flatten().collect::<Vec<_>>()].concat()
        }
    };
    let (format, kind) = match n % 7 {
        0..=2 => (15, 206),
        3..=5 => (15, 205),
        _ => (1, 205),
    };
    let words = (1 + body.len().div_ceil(4)) as u16;
    out.extend([0x80 | format, kind]);
    out.extend(words.to_be_bytes());
    out.extend([0, 0, 0, 1]);
    out.extend(&body);
    out.resize(out.len().next_multiple_of(4), 0);
    // And a keyframe request for every slot.
    for ssrc in ssrcs {
        out.extend([0x81, 206, 0, 2, 0, 0, 0, 1]);
        out.extend(ssrc.to_be_bytes());
    }
}
