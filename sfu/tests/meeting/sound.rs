//! Sound over links that lose: what of it never reaches an ear.

use super::client::Media;
use super::world::{ROOM, World, person};
use super::{MIC, csrc};
use protocol::Source;
use protocol::room::MediaState;
use sfu::codec::red::{self, Earlier, Redundant};
use sfu::rtcp::{self, ReportBlock};
use sfu::rtp::Header;
use sfu::{Command, PeerId};
use std::collections::BTreeSet;
use std::time::Duration;

const RED: u8 = 63;
const OPUS: u8 = 111;
const FRAMES: u32 = 2_000;
/// 20 ms.
const TICKS: u32 = 960;

/// A frame of 20 ms that says which one it is.
fn frame(number: u32) -> Vec<u8> {
    [&[0x78][..], &number.to_be_bytes(), &[0x55; 60]].concat()
}

fn number(frame: &[u8]) -> u32 {
    assert_eq!(frame.len(), 65, "{frame:?}");
    u32::from_be_bytes(frame[1..5].try_into().expect("four bytes"))
}

/// The frame as Chromium sends it: the one before comes again.
fn repeated(i: u32) -> Media {
    let before = i.checked_sub(1).map(frame);
    let earlier = before.as_deref().map(|payload| Earlier { offset: TICKS as u16, payload });
    let mut payload = Vec::new();
    red::write(&mut payload, OPUS, earlier.as_slice(), &frame(i));
    Media { payload_type: RED, payload, ..Media::voice(20) }
}

fn plain(i: u32) -> Media {
    Media { payload: frame(i), ..Media::voice(20) }
}

/// Anna (1) speaks to Boris (2); each has redundant sound or not.
fn anna_to_boris(seed: u64, anna: bool, boris: bool) -> World {
    let mut world = World::new(seed);
    world.has_red = anna;
    world.publish(1, 1, &[(Source::Microphone, MIC)]);
    world.has_red = boris;
    world.subscribe(2, 2, 2, 0);
    world
}

fn speak(world: &mut World, frames: std::ops::Range<u32>) {
    for i in frames {
        let media = if world.client(1).has_red { repeated(i) } else { plain(i) };
        let packet = world.client(1).send(MIC, i * TICKS, &media);
        world.send(1, packet);
        world.run(Duration::from_millis(20));
        if i % 50 == 49 {
            report(world);
        }
    }
    world.run(Duration::from_millis(100));
}

/// Boris tells what share of his packets the link lost, as browsers do.
fn report(world: &mut World) {
    let loss = world.losses.get(&PeerId(2)).copied().unwrap_or(0.0);
    let Some(ssrc) = headers(world).last().map(|header| header.ssrc) else { return };
    let block = ReportBlock { ssrc, fraction_lost: (loss * 256.0) as u8, ..Default::default() };
    let report = world.client(2).seal_rtcp(|out| rtcp::write_receiver_report(out, 77, &[block]));
    world.send(2, report);
}

fn headers(world: &mut World) -> Vec<Header> {
    let rtp = &world.client(2).rtp;
    rtp.iter().map(|packet| Header::parse(packet).expect("RTP")).collect()
}

/// Frames that Boris got, in whatever packet, with the time that each had in his slot.
fn heard(world: &mut World) -> BTreeSet<(u32, u32)> {
    let mut frames = BTreeSet::new();
    for packet in &world.client(2).rtp {
        let header = Header::parse(packet).expect("RTP");
        let payload = header.payload(packet);
        if header.payload_type == OPUS {
            frames.insert((number(payload), header.timestamp));
            continue;
        }
        assert_eq!(header.payload_type, RED);
        let read = Redundant::parse(payload).expect("a redundant payload");
        frames.insert((number(read.primary), header.timestamp));
        for block in read.earlier() {
            let at = header.timestamp.wrapping_sub(u32::from(block.offset));
            frames.insert((number(block.payload), at));
        }
    }
    frames
}

/// Share of frames that never arrived, of those spoken after the first second.
fn missing(world: &mut World) -> f64 {
    let frames = heard(world);
    let numbers: BTreeSet<u32> = frames.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), frames.len(), "a frame has one time, however it came");
    let heard = numbers.range(50..FRAMES).count();
    1.0 - heard as f64 / f64::from(FRAMES - 50)
}

/// With this loss on the link of one of them.
fn missing_at(whose: u64, loss: f64, anna: bool, boris: bool) -> f64 {
    let mut world = anna_to_boris(whose * 100 + (loss * 100.0) as u64, anna, boris);
    world.losses.insert(PeerId(whose), loss);
    speak(&mut world, 0..FRAMES);
    missing(&mut world)
}

#[test]
fn what_is_lost_on_the_way_to_a_receiver_with_redundancy_comes_again() {
    for anna in [true, false] {
        for (loss, most) in [(0.05, 0.002), (0.15, 0.01), (0.30, 0.025)] {
            let missing = missing_at(2, loss, anna, true);
            println!("{loss} lost on the way down: {missing:.4} missing");
            assert!(missing <= most, "{loss}: {missing}, Anna with redundancy: {anna}");
        }
    }
}

#[test]
fn what_is_lost_on_the_way_from_a_publisher_is_put_back_for_everybody() {
    for boris in [true, false] {
        // Chromium repeats one frame: two losses in a row stay.
        for (loss, most) in [(0.05, 0.006), (0.15, 0.035), (0.30, 0.12)] {
            let missing = missing_at(1, loss, true, boris);
            println!("{loss} lost on the way up: {missing:.4} missing");
            assert!(missing <= most, "{loss}: {missing}, Boris with redundancy: {boris}");
        }
    }
}

#[test]
fn without_redundancy_on_the_lossy_way_the_loss_stays() {
    for (whose, anna, boris) in [(1, false, true), (2, true, false)] {
        let missing = missing_at(whose, 0.15, anna, boris);
        assert!((0.12..0.18).contains(&missing), "{missing}");
    }
}

#[test]
fn numbers_and_names_stand_whatever_is_put_back() {
    let mut world = anna_to_boris(5, true, false);
    world.losses.insert(PeerId(1), 0.2);
    speak(&mut world, 0..FRAMES);
    let packets = world.client(2).rtp.clone();
    assert!(packets.iter().all(|packet| csrc(packet) == csrc(&packets[0])));
    let found = headers(&mut world);
    let (first, begin) = (found[0].sequence, found[0].timestamp);
    let mut sequences = BTreeSet::new();
    for header in &found {
        let at = header.sequence.wrapping_sub(first);
        assert_eq!(header.timestamp.wrapping_sub(begin), u32::from(at) * TICKS);
        assert!(sequences.insert(header.sequence), "each number once");
    }
    let recovered = world.sfu.stats().packets_recovered;
    // A fifth is lost, and four of five come again.
    let expected = f64::from(FRAMES) * 0.16;
    assert!((recovered as f64 - expected).abs() < expected / 5.0, "{recovered}");
    // In order: what was put back stands before what brought it.
    let order: Vec<u16> = found.iter().map(|h| h.sequence.wrapping_sub(first)).collect();
    assert!(order.is_sorted());
}

#[test]
fn a_good_link_repeats_one_frame_and_a_bad_one_more_for_a_while() {
    let mut world = anna_to_boris(6, false, true);
    let blocks = |world: &mut World| {
        let packet = world.client(2).rtp.last().cloned().expect("a packet");
        let header = Header::parse(&packet).expect("RTP");
        Redundant::parse(header.payload(&packet)).expect("redundant").earlier().count()
    };
    speak(&mut world, 0..60);
    assert_eq!(blocks(&mut world), 1);
    for (loss, count) in [(0.05, 2), (0.3, 3)] {
        world.losses.insert(PeerId(2), loss);
        report(&mut world);
        world.losses.clear();
        // No report in between, and one that may itself be lost before.
        world.run(Duration::from_millis(50));
        let more = [300, 301, 302, 303].map(|i| (i, plain(i)));
        for (i, media) in more {
            let packet = world.client(1).send(MIC, i * TICKS, &media);
            world.send(1, packet);
            world.run(Duration::from_millis(20));
        }
        if blocks(&mut world) != count {
            panic!("{loss}: {} blocks", blocks(&mut world));
        }
    }
    speak(&mut world, 400..1_000);
    assert_eq!(blocks(&mut world), 1, "after ten good seconds");
}

#[test]
fn another_voice_in_the_slot_repeats_nothing_of_the_time_before() {
    let mut world = World::new(7);
    world.has_red = true;
    world.publish(1, 1, &[(Source::Microphone, MIC)]);
    world.publish(3, 3, &[(Source::Microphone, MIC + 1)]);
    world.subscribe(2, 2, 1, 0);
    for i in 0..200u32 {
        // Anna is loud first, then Clara.
        for (peer, ssrc, level) in [(1, MIC, 10), (3, MIC + 1, 90)] {
            let level = if i < 100 { level } else { 100 - level };
            let media = Media { level: 0x80 | level, ..repeated(i) };
            let packet = world.client(peer).send(ssrc, i * TICKS, &media);
            world.send(peer, packet);
        }
        world.run(Duration::from_millis(20));
    }
    let packets = world.client(2).rtp.clone();
    let mut last = None;
    let mut voices = BTreeSet::new();
    for packet in &packets {
        let header = Header::parse(packet).expect("RTP");
        let read = Redundant::parse(header.payload(packet)).expect("redundant");
        if last != Some(csrc(packet)) {
            assert_eq!(read.earlier().count(), 0, "the first packet of a voice is alone");
        }
        last = Some(csrc(packet));
        voices.insert(csrc(packet));
    }
    assert_eq!(voices.len(), 2, "both were heard in the one slot");
}

#[test]
fn a_muted_frame_does_not_come_again_in_the_first_packet_after_the_mute() {
    let mut world = anna_to_boris(8, true, true);
    speak(&mut world, 0..100);
    world.mute(1, MediaState { mic_forced: true, ..MediaState::default() });
    speak(&mut world, 100..200);
    world.mute(1, MediaState::default());
    speak(&mut world, 200..300);
    let muted: Vec<_> =
        heard(&mut world).into_iter().filter(|(n, _)| (100..200).contains(n)).collect();
    assert_eq!(muted, []);
    assert_eq!(world.sfu.stats().packets_recovered, 0);
}

#[test]
fn nonsense_in_redundant_packets_costs_the_packet() {
    let mut world = anna_to_boris(9, true, true);
    speak(&mut world, 0..10);
    let before = world.sfu.stats();
    let cases: [&[u8]; 5] =
        [&[], &[0x80 | OPUS], &[0x80 | OPUS, 0xff, 0xff, 0xff, OPUS], &[96, 1, 2], &[0xff; 1_000]];
    for (i, payload) in cases.into_iter().enumerate() {
        let media = Media { payload: payload.to_vec(), ..repeated(0) };
        let packet = world.client(1).send(MIC, (10 + i as u32) * TICKS, &media);
        world.send(1, packet);
        world.run(Duration::from_millis(20));
    }
    world.run(Duration::from_millis(100));
    let after = world.sfu.stats();
    assert_eq!(after.packets_dropped.total() - before.packets_dropped.total(), cases.len() as u64);
    assert_eq!((after.packets_recovered, after.faults), (0, 0));
    speak(&mut world, 20..30);
    assert!(heard(&mut world).iter().any(|(n, _)| *n == 29), "and nothing else");
}

#[test]
fn away_and_back_again_redundant_sound_goes_on() {
    let mut world = anna_to_boris(10, true, true);
    speak(&mut world, 0..50);
    for away in [true, false] {
        world.command(Command::SetAway { room: ROOM, participant: person(1), away });
        speak(&mut world, 50..60);
    }
    let before = heard(&mut world).len();
    speak(&mut world, 100..150);
    assert!(heard(&mut world).len() >= before + 49);
}
