//! Whole meetings without a socket: real ICE, DTLS and SRTP over a network of virtual time.

extern crate veche_sfu as sfu;

mod calm;
mod camera;
mod client;
mod crowd;
mod layers;
mod nested;
mod planes;
mod repairs;
mod saving;
mod sound;
mod tap;
mod watchers;
mod world;

use client::Media;
use protocol::media::View;
use protocol::room::MediaState;
use protocol::{SlotReason, Source};
use sfu::rtcp::{self, Incoming};
use sfu::rtp::Header;
use sfu::{CloseReason, Command, Event, PeerId};
use std::time::Duration;
use world::{ROOM, World, person};

const MIC: u32 = 1001;
const CAMERA: u32 = 2001;

/// Anna (peer 1) publishes microphone and camera, Boris (peer 2) receives.
fn anna_and_boris(seed: u64) -> World {
    let mut world = World::new(seed);
    world.publish(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA)]);
    world.subscribe(2, 2, 2, 2);
    world
}

fn speak(world: &mut World, peer: u64, ssrc: u32, packets: u32) {
    for i in 0..packets {
        let packet = world.client(peer).send(ssrc, i * 960, &Media::voice(20));
        world.send(peer, packet);
        world.run(Duration::from_millis(20));
    }
}

fn film(world: &mut World, peer: u64, ssrc: u32, frames: u32, starts_with_keyframe: bool) {
    for i in 0..frames {
        let media = Media::vp8(starts_with_keyframe && i == 0, i as u16);
        let packet = world.client(peer).send(ssrc, i * 3000, &media);
        world.send(peer, packet);
        world.run(Duration::from_millis(35));
    }
}

fn headers(world: &mut World, peer: u64) -> Vec<Header> {
    let rtp = &world.client(peer).rtp;
    rtp.iter().map(|packet| Header::parse(packet).expect("RTP")).collect()
}

fn payload_types(world: &mut World, peer: u64) -> Vec<u8> {
    headers(world, peer).iter().map(|header| header.payload_type).collect()
}

#[test]
fn what_one_publishes_the_other_receives_under_one_csrc() {
    let mut world = anna_and_boris(1);
    speak(&mut world, 1, MIC, 10);
    film(&mut world, 1, CAMERA, 10, true);
    let slots = world.slots(2);
    let bound: Vec<_> = slots.iter().filter_map(|slot| slot.track.as_ref()).collect();
    assert_eq!(bound.len(), 2);
    assert!(slots.iter().all(|slot| slot.participant_id.is_none_or(|id| id == person(1))));
    for track in bound {
        let heard = world.client(2).rtp.iter().filter(|packet| csrc(packet) == track.csrc).count();
        assert!(heard >= 9, "{track:?} {heard}");
    }
    for ssrc in [MIC, CAMERA] {
        assert!(headers(&mut world, 2).iter().all(|header| header.ssrc != ssrc));
    }
}

#[test]
fn video_begins_with_a_keyframe_that_is_asked_for_once_per_interval() {
    let mut world = anna_and_boris(2);
    film(&mut world, 1, CAMERA, 10, false);
    assert!(!payload_types(&mut world, 2).contains(&96), "no picture without a keyframe");
    let asked = pictures_asked(&mut world, 1);
    assert!((1..=2).contains(&asked), "{asked} requests in 350 ms");
    film(&mut world, 1, CAMERA, 3, true);
    assert_eq!(payload_types(&mut world, 2).iter().filter(|pt| **pt == 96).count(), 3);
}

#[test]
fn a_muted_track_reaches_no_subscriber_and_lifting_needs_no_new_offer() {
    let mut world = anna_and_boris(3);
    speak(&mut world, 1, MIC, 5);
    world.mute(1, MediaState { mic_forced: true, ..MediaState::default() });
    world.run(Duration::from_millis(100));
    let before = world.client(2).rtp.len();
    speak(&mut world, 1, MIC, 20);
    assert_eq!(world.client(2).rtp.len(), before);
    assert!(world.sfu.stats().packets_blocked >= 20);
    world.mute(1, MediaState::default());
    speak(&mut world, 1, MIC, 5);
    assert!(world.client(2).rtp.len() >= before + 5);
}

#[test]
fn a_mute_outlives_publishing_anew() {
    let mut world = anna_and_boris(4);
    world.mute(1, MediaState { mic_forced: true, cam_forced: true, ..MediaState::default() });
    world.command(Command::Close { peer: PeerId(1) });
    world.publish(3, 1, &[(Source::Microphone, MIC + 1), (Source::Camera, CAMERA + 1)]);
    speak(&mut world, 3, MIC + 1, 10);
    film(&mut world, 3, CAMERA + 1, 5, true);
    assert_eq!(world.client(2).rtp.len(), 0);
}

#[test]
fn a_lost_packet_is_asked_for_upstream_and_answered_downstream_from_the_cache() {
    let mut world = anna_and_boris(5);
    film(&mut world, 1, CAMERA, 5, true);
    // Number 106 is lost on the way to the server, which asks for it.
    let lost = world.client(1).send(CAMERA, 5 * 3000, &Media::vp8(false, 5));
    film_more(&mut world, 6..12);
    let asked = nacked(&mut world, 1);
    assert_eq!(asked, [106]);
    world.send(1, lost);
    world.run(Duration::from_millis(50));
    let video = video_ssrc(&mut world, 2);
    let mut numbers = world.client(2).sequences(video);
    numbers.sort_unstable();
    let first = numbers[0];
    assert_eq!(numbers, (first..first + 12).collect::<Vec<_>>(), "the gap is closed");

    // A packet lost on the way to Boris comes again, as RTX.
    let missing = (first + 3) as u16;
    let nack = world.client(2).seal_rtcp(|out| rtcp::write_nack(out, 77, video, &[missing]));
    world.send(2, nack);
    world.run(Duration::from_millis(50));
    let again: Vec<_> =
        world.client(2).rtp.iter().filter(|packet| packet[1] & 0x7f == 97).collect();
    assert_eq!(again.len(), 1);
    let header = Header::parse(again[0]).expect("RTP");
    assert_eq!(header.payload(again[0])[..2], missing.to_be_bytes());
}

#[test]
fn numbers_go_on_without_a_jump_when_another_takes_the_slot() {
    let mut world = World::new(6);
    world.publish(1, 1, &[(Source::Camera, CAMERA)]);
    world.publish(3, 3, &[(Source::Camera, CAMERA + 1)]);
    world.subscribe(2, 2, 0, 1);
    film(&mut world, 1, CAMERA, 10, true);
    let tiles = |who: u64| View {
        tiles: Some(vec![protocol::media::ViewTile {
            participant_id: person(who),
            source: Source::Camera,
            width: 640,
            height: 360,
            pinned: false,
        }]),
        silenced: Vec::new(),
    };
    film(&mut world, 3, CAMERA + 1, 2, true);
    world.command(Command::SetView { room: ROOM, participant: person(2), view: tiles(3) });
    // A keyframe that comes before Boris can have been told is not shown; the next one is asked for.
    film(&mut world, 3, CAMERA + 1, 1, true);
    let told = world.client(2).rtp.len();
    film(&mut world, 3, CAMERA + 1, 5, false);
    assert_eq!(world.client(2).rtp.len(), told);
    assert!(pictures_asked(&mut world, 3) >= 1);
    film(&mut world, 3, CAMERA + 1, 10, true);
    let packets = world.client(2).rtp.clone();
    let sources: Vec<u32> = packets.iter().map(|packet| csrc(packet)).collect();
    let switch = sources.iter().position(|csrc| *csrc != sources[0]).expect("a switch");
    assert!(sources[switch..].iter().all(|csrc| *csrc == sources[switch]), "one switch");
    let headers: Vec<Header> = packets.iter().map(|p| Header::parse(p).expect("RTP")).collect();
    let pictures: Vec<u16> =
        packets.iter().zip(&headers).map(|(p, h)| picture_id(h.payload(p))).collect();
    for (i, pair) in headers.windows(2).enumerate() {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert!(pair[1].timestamp.wrapping_sub(pair[0].timestamp) as i32 > 0);
        assert_eq!(pictures[i + 1], pictures[i].wrapping_add(1) & 0x7fff);
    }
}

#[test]
fn leaving_empties_the_slots_and_the_room() {
    let mut world = anna_and_boris(7);
    speak(&mut world, 1, MIC, 5);
    world.command(Command::Leave { room: ROOM, participant: person(1) });
    assert!(world.slots(2).iter().all(|slot| slot.reason == SlotReason::Empty));
    let gone = Event::Closed { peer: PeerId(1), reason: CloseReason::Commanded };
    assert!(world.events.contains(&gone));
    world.command(Command::Leave { room: ROOM, participant: person(2) });
    assert_eq!(world.sfu.census(), sfu::Census::default());
}

#[test]
fn who_is_away_holds_no_slot_until_back() {
    let mut world = anna_and_boris(8);
    speak(&mut world, 1, MIC, 3);
    let away = |away| Command::SetAway { room: ROOM, participant: person(1), away };
    world.command(away(true));
    assert!(world.slots(2).iter().all(|slot| slot.participant_id.is_none()));
    world.command(away(false));
    assert!(world.slots(2).iter().any(|slot| slot.participant_id == Some(person(1))));
}

#[test]
fn media_that_stops_is_told_after_ten_seconds_and_ends_after_thirty() {
    let mut world = anna_and_boris(9);
    world.run(Duration::from_secs(2));
    let alive = |alive| Event::Alive { room: ROOM, participant: person(1), alive };
    assert!(world.events.contains(&alive(true)));
    world.clients.remove(&PeerId(1));
    world.run(Duration::from_secs(9));
    assert!(!world.events.contains(&alive(false)));
    world.run(Duration::from_secs(3));
    assert!(world.events.contains(&alive(false)));
    world.run(Duration::from_secs(20));
    assert!(world.events.contains(&Event::Closed { peer: PeerId(1), reason: CloseReason::Silent }));
}

#[test]
fn a_publisher_and_a_subscriber_behind_a_new_nat_mapping_go_on() {
    let mut world = anna_and_boris(10);
    let report = world.client(2).seal_rtcp(|out| rtcp::write_receiver_report(out, 77, &[]));
    world.send(2, report);
    speak(&mut world, 1, MIC, 3);
    for (peer, port) in [(1, 6001), (2, 6002)] {
        world.client(peer).address.set_port(port);
    }
    // The receiver's next report tells the server where it is now; no check has come from there.
    let report = world.client(2).seal_rtcp(|out| rtcp::write_receiver_report(out, 77, &[]));
    world.send(2, report);
    world.run(Duration::from_millis(30));
    let before = world.client(2).rtp.len();
    speak(&mut world, 1, MIC, 10);
    assert!(world.client(2).rtp.len() >= before + 9);
}

#[test]
fn sender_reports_keep_sound_and_picture_of_a_publisher_on_one_clock() {
    let mut world = anna_and_boris(11);
    speak(&mut world, 1, MIC, 3);
    film(&mut world, 1, CAMERA, 3, true);
    // Anna's clock is years off; her reports tie both streams to it.
    let ntp = 5u64 << 32;
    for (ssrc, rtp) in [(MIC, 3 * 960), (CAMERA, 3 * 3000)] {
        let report = rtcp::SenderReport { ssrc, ntp, rtp, packets: 3, octets: 900 };
        let sealed = world.client(1).seal_rtcp(|out| rtcp::write_sender_report(out, &report, &[]));
        world.send(1, sealed);
    }
    world.run(Duration::from_millis(1100));
    let mut reports = Vec::new();
    for compound in world.client(2).rtcp.clone() {
        rtcp::parse(&compound, |incoming| {
            if let Incoming::SenderReport { ssrc, ntp, rtp, .. } = incoming {
                reports.push((ssrc, ntp, rtp));
            }
        });
    }
    // The moment that Anna's reports name, on Boris's timelines: the same for both streams.
    let packets = world.client(2).rtp.clone();
    let mut moments = Vec::new();
    for (payload_type, last_in, clock) in [(111, 2 * 960, 48_000.0), (96, 2 * 3000, 90_000.0)] {
        let header = packets
            .iter()
            .filter_map(|packet| Header::parse(packet))
            .rfind(|header| header.payload_type == payload_type)
            .expect("a packet");
        let delta = header.timestamp.wrapping_sub(last_in);
        let named = if payload_type == 111 { 3 * 960 } else { 3 * 3000u32 };
        let (_, ntp, rtp) =
            *reports.iter().find(|(ssrc, ..)| *ssrc == header.ssrc).expect("a report of the slot");
        let ticks = f64::from(named.wrapping_add(delta).wrapping_sub(rtp) as i32);
        moments.push(ntp as f64 / 2f64.powi(32) + ticks / clock);
    }
    assert!((moments[0] - moments[1]).abs() < 0.001, "{moments:?}");
}

#[test]
fn a_call_of_two_minutes_goes_on_as_it_began() {
    let mut world = anna_and_boris(17);
    for second in 0..120u32 {
        let before = world.client(2).rtp.len();
        for i in 0..20u32 {
            let n = second * 20 + i;
            let voice = world.client(1).send(MIC, n * 2400, &Media::voice(20));
            // One keyframe at the beginning, and none is needed after it.
            let picture = world.client(1).send(CAMERA, n * 4500, &Media::vp8(n == 0, n as u16));
            world.send(1, voice);
            world.send(1, picture);
            world.run(Duration::from_millis(50));
        }
        let heard = world.client(2).rtp.len() - before;
        assert!(heard >= 36, "{heard} of 40 packets in second {second}");
    }
}

#[test]
fn an_unusable_offer_is_refused_and_the_transport_goes_on() {
    let mut world = anna_and_boris(12);
    world.command(Command::Publish {
        peer: PeerId(1),
        room: ROOM,
        participant: person(1),
        offer: "v=0\r\nnonsense".into(),
        tracks: sfu::TrackNames::ByOrder,
    });
    assert!(matches!(world.events.last(), Some(Event::Refused { peer: PeerId(1), .. })));
    speak(&mut world, 1, MIC, 5);
    assert!(world.client(2).rtp.len() >= 4);
    // A transport belongs to who made it.
    let (offer, _) = world.client(1).offer(&[(Source::Microphone, 1)]);
    world.command(Command::Publish {
        peer: PeerId(1),
        room: ROOM,
        participant: person(2),
        offer,
        tracks: sfu::TrackNames::ByOrder,
    });
    assert!(matches!(world.events.last(), Some(Event::Refused { .. })));
}

#[test]
fn a_screen_is_added_and_taken_away_on_the_same_transport() {
    let mut world = anna_and_boris(13);
    let screen = (Source::Screen, 3001);
    world.offer(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA), screen]);
    film(&mut world, 1, 3001, 5, true);
    let has_screen = |world: &World| {
        let slots = world.slots(2);
        slots.iter().filter_map(|slot| slot.track.as_ref()).any(|t| t.source == Source::Screen)
    };
    assert!(has_screen(&world));
    world.offer(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA)]);
    assert!(!has_screen(&world));
    speak(&mut world, 1, MIC, 3);
}

#[test]
fn strangers_get_no_answer_and_leave_no_trace() {
    let mut world = anna_and_boris(14);
    let real = world.client(1).send(MIC, 0, &Media::voice(20));
    let from = sfu::Path::Udp("203.0.113.9:999".parse().expect("an address"));
    let census = world.sfu.census();
    for length in 0..200usize {
        for first in [0u8, 1, 20, 22, 23, 63, 64, 127, 128, 129, 191, 200, 255] {
            let mut bytes = vec![first; length];
            world.sfu.receive(world.now, from, &mut bytes);
        }
        let mut cut = real[..length.min(real.len())].to_vec();
        if let Some(last) = cut.last_mut() {
            *last ^= 1;
        }
        world.sfu.receive(world.now, from, &mut cut);
    }
    assert!(!world.sfu.flush(world.now));
    assert!(world.sfu.transmits().is_empty());
    assert_eq!(world.sfu.census(), census);
    assert_eq!(world.sfu.stats().faults, 0);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.loss = 0.1;
        world.publish(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA)]);
        world.subscribe(2, 2, 2, 2);
        speak(&mut world, 1, MIC, 20);
        film(&mut world, 1, CAMERA, 20, true);
        let slots = world.slots(2);
        let packets: Vec<_> =
            headers(&mut world, 2).iter().map(|h| (h.ssrc, h.sequence, h.timestamp)).collect();
        (slots, packets)
    };
    let first = run(42);
    assert!(first.1.len() > 10);
    assert_eq!(first, run(42));
    assert_ne!(first, run(43));
}

#[test]
fn forty_joins_of_forty_succeed_at_100_ms_and_20_percent_loss() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.loss = 0.2;
        world.delay = Duration::from_millis(50);
        world.publish(1, 1, &[(Source::Microphone, MIC)]);
        world.subscribe(2, 2, 1, 0);
    }
}

fn film_more(world: &mut World, frames: std::ops::Range<u32>) {
    for i in frames {
        let packet = world.client(1).send(CAMERA, i * 3000, &Media::vp8(false, i as u16));
        world.send(1, packet);
        world.run(Duration::from_millis(5));
    }
    world.run(Duration::from_millis(60));
}

fn csrc(packet: &[u8]) -> u32 {
    assert_eq!(packet[0] & 0x0f, 1, "one contributing source");
    u32::from_be_bytes(packet[12..16].try_into().expect("four bytes"))
}

fn picture_id(payload: &[u8]) -> u16 {
    u16::from_be_bytes([payload[2], payload[3]]) & 0x7fff
}

fn video_ssrc(world: &mut World, peer: u64) -> u32 {
    let headers = headers(world, peer);
    headers.iter().find(|header| header.payload_type == 96).expect("video").ssrc
}

fn pictures_asked(world: &mut World, peer: u64) -> usize {
    let mut asked = 0;
    for compound in world.client(peer).rtcp.clone() {
        rtcp::parse(&compound, |i| asked += usize::from(matches!(i, Incoming::Pli { .. })));
    }
    asked
}

fn nacked(world: &mut World, peer: u64) -> Vec<u16> {
    let mut asked = Vec::new();
    for compound in world.client(peer).rtcp.clone() {
        rtcp::parse(&compound, |incoming| {
            if let Incoming::Nack { sequences, .. } = incoming {
                asked.extend(sequences);
            }
        });
    }
    asked.sort_unstable();
    asked.dedup();
    asked
}
