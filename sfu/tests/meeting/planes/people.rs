//! People who come, go and are lost while their room is on several planes.

use super::machine::Planes;
use super::{anna_here_boris_there, call, count, in_step};
use crate::world::{ROOM, person};
use crate::{CAMERA, MIC};
use protocol::Source;
use protocol::TrackId;
use protocol::room::MediaState;
use protocol::stats::RoomStats;
use sfu::format::{Codec, Extensions};
use sfu::layers::Rung;
use sfu::left_out::LeftOut;
use sfu::relay::{Relayed, RelayedEncoding, RelayedPacket, RelayedTrack, RelayedVoice};
use sfu::rtcp::{self, Incoming};
use sfu::rtp::Header;
use sfu::{Census, Command, Event, PlaneId, Tapped, merge_reports};
use std::time::Duration;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_plane_that_comes_late_is_told_everything_whichever_hears_of_the_other_first() {
    for told_first in [0, 1] {
        let mut planes = Planes::new(2, 50 + told_first as u64);
        planes.worlds[0].publish(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA)]);
        planes.run(SECOND);
        planes.spread_room(ROOM, &[0, 1], &[told_first]);
        planes.run(SECOND);
        planes.spread_room(ROOM, &[0, 1], &[1 - told_first]);
        planes.worlds[1].subscribe(2, 2, 2, 2);
        in_step(&mut planes);
        call(&mut planes, 0, 60);
        assert!(count(&mut planes, 1, 2, 111) >= 50, "{told_first} first");
        assert!(count(&mut planes, 1, 2, 96) >= 40, "{told_first} first");
    }
}

#[test]
fn what_a_lost_plane_published_is_gone_at_once_and_nothing_is_handed_to_it() {
    let mut planes = anna_here_boris_there(52);
    planes.worlds[1].publish(3, 3, &[(Source::Microphone, MIC + 1)]);
    planes.worlds[0].subscribe(4, 4, 2, 2);
    in_step(&mut planes);
    call(&mut planes, 0, 60);
    assert_eq!(planes.worlds[0].sfu.census().tracks, 3);
    planes.lose(1);
    assert_eq!(planes.worlds[0].sfu.census().tracks, 2);
    let handed = planes.handed.len();
    call(&mut planes, 60, 20);
    assert_eq!(planes.handed.len(), handed);
    assert_eq!(planes.worlds[0].sfu.poll_relayed(), None);
    // It is told so, and then the room is on one plane alone, which ranks again.
    planes.spread(&[0]);
    planes.spread(&[0]);
    call(&mut planes, 80, 100);
    assert_eq!(planes.speakers(0), Some(vec![person(1)]));
}

#[test]
fn a_home_that_dies_leaves_what_is_said_and_shown_elsewhere_as_it_is() {
    let mut planes = Planes::new(3, 53);
    planes.spread(&[2, 0, 1]);
    planes.worlds[0].publish(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA)]);
    planes.worlds[1].subscribe(2, 2, 2, 2);
    in_step(&mut planes);
    call(&mut planes, 0, 100);
    planes.lose(2);
    planes.spread(&[1, 0]);
    let before = count(&mut planes, 1, 2, 96);
    call(&mut planes, 100, 50);
    assert!(count(&mut planes, 1, 2, 96) >= before + 49);
    let slots = planes.worlds[1].slots(2);
    assert!(slots.iter().any(|slot| slot.participant_id == Some(person(1))), "{slots:?}");
}

#[test]
fn who_leaves_or_is_away_leaves_the_slots_on_all_planes() {
    let mut planes = anna_here_boris_there(54);
    call(&mut planes, 0, 40);
    let holds = |planes: &Planes| {
        planes.worlds[1].slots(2).iter().any(|slot| slot.participant_id == Some(person(1)))
    };
    assert!(holds(&planes));
    let away = |away| Command::SetAway { room: ROOM, participant: person(1), away };
    planes.command_all(&away(true));
    planes.run(Duration::from_millis(50));
    assert!(!holds(&planes));
    planes.command_all(&away(false));
    planes.run(Duration::from_millis(50));
    assert!(holds(&planes));
    planes.command_all(&Command::Leave { room: ROOM, participant: person(1) });
    planes.run(Duration::from_millis(50));
    assert!(!holds(&planes));
    planes.command_all(&Command::Leave { room: ROOM, participant: person(2) });
    // Both planes still know that the room is on the other one, until they are told.
    assert_eq!(planes.worlds[1].sfu.census(), Census { rooms: 1, ..Census::default() });
    planes.spread_room(ROOM, &[0], &[0]);
    planes.worlds[1].command(Command::CloseRoom { room: ROOM });
    for world in &planes.worlds {
        assert_eq!(world.sfu.census(), Census::default());
    }
}

#[test]
fn a_plane_that_a_room_has_left_forgets_it_and_the_others_forget_the_plane() {
    let mut planes = anna_here_boris_there(55);
    call(&mut planes, 0, 40);
    planes.worlds[1].command(Command::CloseRoom { room: ROOM });
    planes.spread_room(ROOM, &[0], &[0]);
    assert_eq!(planes.worlds[1].sfu.census(), Census::default());
    planes.run(Duration::from_millis(50));
    let (handed, told) = (planes.handed.len(), planes.told.len());
    call(&mut planes, 40, 20);
    assert_eq!((planes.handed.len(), planes.told.len()), (handed, told));
    // What is still on its way finds no room, and makes none.
    let stray = sfu::Relayed::AllWanted { room: ROOM };
    let now = planes.worlds[1].now;
    planes.worlds[1].sfu.receive_relayed(now, PlaneId(0), stray);
    assert_eq!(planes.worlds[1].sfu.census(), Census::default());
}

#[test]
fn events_come_from_the_plane_where_somebody_is() {
    let mut planes = anna_here_boris_there(56);
    for (at, who) in [(0, 2), (1, 1)] {
        planes.worlds[at].mute(who, MediaState::default());
    }
    call(&mut planes, 0, 60);
    planes.run(12 * SECOND);
    for (at, other) in [(0, 2), (1, 1)] {
        for event in &planes.worlds[at].events {
            let about = match event {
                Event::TracksChanged { participant, .. }
                | Event::Alive { participant, .. }
                | Event::SlotsChanged { participant, .. }
                | Event::LayersWanted { participant, .. } => *participant,
                _ => continue,
            };
            assert_ne!(about, person(other), "{event:?}");
        }
    }
}

#[test]
fn nonsense_from_another_plane_is_bounded_and_forgotten_with_it() {
    let mut planes = anna_here_boris_there(61);
    call(&mut planes, 0, 40);
    let csrc = 1 << 26 | 5;
    let rung = |encoding| Rung {
        encoding,
        spatial: 9,
        temporal: 9,
        bitrate: u64::MAX / 8,
        size: (u16::MAX, 1),
        is_available: true,
    };
    let id = TrackId(Uuid::from_u128(99));
    let track = RelayedTrack {
        id,
        participant: person(9),
        source: Source::Camera,
        csrc,
        generation: 3,
        extensions: Extensions::default(),
        codec: Some(Codec::Vp8),
        encodings: vec![RelayedEncoding::default(); 300],
        ladder: (0..300).map(rung).collect(),
    };
    let packet = |encoding, generation, bytes: &'static [u8]| {
        Relayed::Packet(RelayedPacket {
            room: ROOM,
            track: id,
            encoding,
            generation,
            number: u32::MAX,
            sequence: u64::MAX,
            left_out: LeftOut::default(),
            codec: Codec::Vp8,
            captured_ntp: Some(u64::MAX),
            packet: bytes.into(),
        })
    };
    let whole = b"\x80\x60\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x10\x00\x9d\x01\x2a";
    let tracks = vec![track];
    let nonsense = [
        Relayed::Tracks { room: ROOM, tracks, is_all: false },
        packet(200, 3, whole),
        packet(0, 4, whole),
        packet(0, 3, b""),
        packet(3, 3, whole),
        Relayed::KeyframeWanted { room: ROOM, track: id, encoding: 250 },
        Relayed::Taken { room: ROOM, tracks: vec![(id, [Some(255); 4])], is_all: false },
        Relayed::Voices { room: ROOM, voices: vec![RelayedVoice { csrc, loudness: 9 }; 999] },
        Relayed::Speaking { room: ROOM, speaking: (0..999).collect() },
    ];
    let before = planes.worlds[1].sfu.census().tracks;
    for relayed in nonsense {
        let world = &mut planes.worlds[1];
        world.sfu.receive_relayed(world.now, PlaneId(0), relayed);
        planes.run(Duration::from_millis(300));
    }
    assert_eq!(planes.worlds[1].sfu.census().tracks, before + 1);
    call(&mut planes, 40, 20);
    assert_eq!(planes.worlds[1].sfu.stats().faults, 0);
    planes.worlds[1].command(Command::LosePlane { plane: PlaneId(0) });
    assert_eq!(planes.worlds[1].sfu.census().tracks, 0);
}

#[test]
fn each_plane_taps_what_is_published_on_it() {
    let mut planes = anna_here_boris_there(57);
    planes.command_all(&Command::Tap { room: ROOM, wanted: true });
    call(&mut planes, 0, 60);
    let tapped = |planes: &mut Planes, at: usize| {
        let taken = std::iter::from_fn(|| planes.worlds[at].sfu.poll_tapped());
        taken.filter(|tapped| matches!(tapped, Tapped::Packet(_))).count()
    };
    assert!(tapped(&mut planes, 0) >= 100);
    assert_eq!(tapped(&mut planes, 1), 0);
}

#[test]
fn sound_and_picture_stay_on_one_clock_on_another_plane() {
    let mut planes = anna_here_boris_there(58);
    call(&mut planes, 0, 40);
    // Anna's clock is years off; her reports tie both streams to it.
    let ntp = 5u64 << 32;
    for (ssrc, rtp) in [(MIC, 40 * 960), (CAMERA, 40 * 1800)] {
        let report = rtcp::SenderReport { ssrc, ntp, rtp, packets: 3, octets: 900 };
        let world = &mut planes.worlds[0];
        let sealed = world.client(1).seal_rtcp(|out| rtcp::write_sender_report(out, &report, &[]));
        world.send(1, sealed);
    }
    call(&mut planes, 40, 100);
    let mut reports = Vec::new();
    for compound in planes.worlds[1].client(2).rtcp.clone() {
        rtcp::parse(&compound, |incoming| {
            if let Incoming::SenderReport { ssrc, ntp, rtp, .. } = incoming {
                reports.push((ssrc, ntp, rtp));
            }
        });
    }
    // The moment that Anna's reports name, on Boris's timelines: the same for both streams.
    let packets = planes.worlds[1].client(2).rtp.clone();
    let mut moments = Vec::new();
    for (payload_type, tick, clock) in [(111, 960, 48_000.0), (96, 1800u32, 90_000.0)] {
        let header = packets
            .iter()
            .filter_map(|packet| Header::parse(packet))
            .rfind(|header| header.payload_type == payload_type)
            .expect("a packet");
        let delta = header.timestamp.wrapping_sub(139 * tick);
        let (_, ntp, rtp) =
            *reports.iter().rfind(|(ssrc, ..)| *ssrc == header.ssrc).expect("a report of the slot");
        let ticks = f64::from((40 * tick).wrapping_add(delta).wrapping_sub(rtp) as i32);
        moments.push(ntp as f64 / 2f64.powi(32) + ticks / clock);
    }
    assert!((moments[0] - moments[1]).abs() < 0.001, "{moments:?}");
}

#[test]
fn reports_of_all_planes_make_one() {
    let mut planes = anna_here_boris_there(59);
    call(&mut planes, 0, 40);
    planes.command_all(&Command::Report { room: ROOM, request: 7 });
    let mut merged = RoomStats::default();
    for world in planes.worlds.iter().rev() {
        match world.events.last() {
            Some(Event::Reported { request: 7, report, .. }) => {
                merge_reports(&mut merged, (**report).clone());
            }
            other => panic!("{other:?}"),
        }
    }
    let people: Vec<_> = merged.participants.iter().map(|p| p.participant_id).collect();
    assert_eq!(people, [person(1), person(2)]);
    let slots = &merged.participants[1].transports[0].slots;
    assert!(slots.iter().any(|slot| slot.binding.participant_id == Some(person(1))), "{slots:?}");
    assert_eq!(merged.participants[0].transports[0].tracks.len(), 2);
}

#[test]
fn nobody_is_offered_anew_when_fifty_others_come_and_go() {
    let mut planes = Planes::new(2, 60);
    planes.spread(&[0, 1]);
    for peer in 1..=6u64 {
        planes.worlds[peer as usize % 2].subscribe(peer, peer, 4, 9);
    }
    in_step(&mut planes);
    let made = |planes: &Planes| {
        let events = planes.worlds.iter().flat_map(|world| &world.events);
        events.filter(|e| matches!(e, Event::Offered { .. } | Event::Answered { .. })).count()
    };
    let before = made(&planes);
    for n in 0..50u64 {
        let (at, peer) = (n as usize % 2, 100 + n);
        let ssrc = 5_000 + n as u32 * 10;
        planes.worlds[at].offer(peer, peer, &[(Source::Microphone, ssrc)]);
        planes.run(Duration::from_millis(30));
    }
    planes.run(SECOND);
    for n in 0..50u64 {
        planes.command_all(&Command::Leave { room: ROOM, participant: person(100 + n) });
        planes.run(Duration::from_millis(30));
    }
    assert_eq!(made(&planes), before + 50, "those who came, and nobody else");
}
