//! One room over several media planes: what is published on one is heard and seen on all.

mod machine;
mod people;
mod pictures;
mod simulation;

use crate::client::Media;
use crate::world::{ROOM, person};
use crate::{CAMERA, MIC};
use machine::Planes;
use protocol::Source;
use protocol::room::MediaState;
use sfu::rtcp::{self, Incoming};
use sfu::rtp::Header;
use sfu::{Command, PeerId};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Anna publishes on plane 0, Boris receives on plane 1.
fn anna_here_boris_there(seed: u64) -> Planes {
    let mut planes = Planes::new(2, seed);
    planes.spread(&[0, 1]);
    planes.worlds[0].publish(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA)]);
    planes.worlds[1].subscribe(2, 2, 2, 2);
    in_step(&mut planes);
    planes
}

/// Worlds that connected by themselves have run apart.
fn in_step(planes: &mut Planes) {
    let latest = planes.worlds.iter().map(|world| world.now).max().expect("worlds");
    for world in &mut planes.worlds {
        let behind = latest - world.now;
        world.run(behind);
    }
    planes.run(Duration::from_millis(50));
}

/// Voice and picture together for so many frames; keyframes where they are asked for.
fn call(planes: &mut Planes, from: u32, frames: u32) {
    let mut asked = pictures_asked(planes, 0, 1);
    for i in from..from + frames {
        let now_asked = pictures_asked(planes, 0, 1);
        let is_keyframe = now_asked > asked;
        asked = now_asked;
        let world = &mut planes.worlds[0];
        let voice = world.client(1).send(MIC, i * 960, &Media::voice(20));
        let picture = world.client(1).send(CAMERA, i * 1800, &Media::vp8(is_keyframe, i as u16));
        world.send(1, voice);
        world.send(1, picture);
        planes.run(Duration::from_millis(20));
    }
}

/// Pictures alone; keyframes where they are asked for.
fn film(planes: &mut Planes, from: u32, frames: u32) {
    let mut asked = if from == 0 { 0 } else { pictures_asked(planes, 0, 1) };
    for i in from..from + frames {
        let now_asked = pictures_asked(planes, 0, 1);
        let media = Media::vp8(now_asked > asked, i as u16);
        asked = now_asked;
        let world = &mut planes.worlds[0];
        let picture = world.client(1).send(CAMERA, i * 3_000, &media);
        world.send(1, picture);
        planes.run(Duration::from_millis(35));
    }
}

fn headers(planes: &mut Planes, at: usize, peer: u64) -> Vec<Header> {
    let rtp = &planes.worlds[at].client(peer).rtp;
    rtp.iter().map(|packet| Header::parse(packet).expect("RTP")).collect()
}

fn count(planes: &mut Planes, at: usize, peer: u64, payload_type: u8) -> usize {
    headers(planes, at, peer).iter().filter(|h| h.payload_type == payload_type).count()
}

fn pictures_asked(planes: &mut Planes, at: usize, peer: u64) -> usize {
    let mut asked = 0;
    for compound in planes.worlds[at].client(peer).rtcp.clone() {
        rtcp::parse(&compound, |i| asked += usize::from(matches!(i, Incoming::Pli { .. })));
    }
    asked
}

#[test]
fn sound_and_picture_cross_over_once_somebody_takes_them() {
    let mut planes = anna_here_boris_there(1);
    call(&mut planes, 0, 60);
    assert!(pictures_asked(&mut planes, 0, 1) >= 1, "the wish for a keyframe travels upstream");
    assert!(count(&mut planes, 1, 2, 111) >= 50);
    assert!(count(&mut planes, 1, 2, 96) >= 40);
    // Boris stays; Anna publishes no more.
    planes.worlds[0].command(Command::Close { peer: PeerId(1) });
    planes.run(SECOND);
    let slots = planes.worlds[1].slots(2);
    assert!(slots.iter().all(|slot| slot.participant_id.is_none()), "{slots:?}");
    assert_eq!(planes.worlds[1].sfu.census().tracks, 0);
}

#[test]
fn what_nobody_there_takes_is_not_handed_over() {
    let mut planes = Planes::new(3, 20);
    planes.spread(&[0, 1, 2]);
    planes.worlds[0].publish(1, 1, &[(Source::Microphone, MIC), (Source::Camera, CAMERA)]);
    planes.worlds[1].subscribe(2, 2, 2, 0);
    in_step(&mut planes);
    call(&mut planes, 0, 40);
    assert!(count(&mut planes, 1, 2, 111) >= 30);
    let to = |at| planes.handed.iter().filter(|(_, to)| *to == at).count();
    assert!((30..=40).contains(&to(1)), "sound alone: {}", to(1));
    assert_eq!(to(2), 0);
}

#[test]
fn a_lost_packet_is_answered_from_the_cache_of_the_plane_that_is_asked() {
    let mut planes = anna_here_boris_there(2);
    call(&mut planes, 0, 50);
    let before = planes.told.len();
    let video =
        headers(&mut planes, 1, 2).iter().find(|h| h.payload_type == 96).expect("video").ssrc;
    let world = &mut planes.worlds[1];
    let first = world.client(2).sequences(video)[0] as u16;
    let nack = world.client(2).seal_rtcp(|out| rtcp::write_nack(out, 77, video, &[first + 1]));
    world.send(2, nack);
    planes.run(Duration::from_millis(50));
    assert_eq!(count(&mut planes, 1, 2, 97), 1);
    assert_eq!(planes.told.len(), before, "nothing of that travels");
}

#[test]
fn a_forced_mute_is_silence_before_the_hand_over() {
    let mut planes = anna_here_boris_there(3);
    call(&mut planes, 0, 40);
    let media = MediaState { mic_forced: true, cam_forced: true, ..MediaState::default() };
    planes.worlds[0].command(Command::SetMedia { room: ROOM, participant: person(1), media });
    planes.run(Duration::from_millis(50));
    let (handed, heard) = (planes.handed.len(), planes.worlds[1].client(2).rtp.len());
    call(&mut planes, 40, 20);
    assert_eq!(planes.handed.len(), handed);
    assert_eq!(planes.worlds[1].client(2).rtp.len(), heard);
    // Who is told first does not matter: the far plane honours it too.
    planes.worlds[0].mute(1, MediaState::default());
    planes.worlds[1].mute(1, media);
    call(&mut planes, 60, 20);
    assert_eq!(planes.worlds[1].client(2).rtp.len(), heard);
    planes.worlds[1].mute(1, MediaState::default());
    call(&mut planes, 80, 20);
    assert!(planes.worlds[1].client(2).rtp.len() > heard + 10);
}

#[test]
fn the_home_ranks_who_speaks_on_all_planes_and_another_takes_over_when_it_dies() {
    let mut planes = Planes::new(3, 30);
    planes.spread(&[0, 1, 2]);
    planes.worlds[1].publish(1, 1, &[(Source::Microphone, MIC)]);
    planes.worlds[2].publish(3, 3, &[(Source::Microphone, MIC + 1)]);
    planes.worlds[2].subscribe(4, 4, 1, 0);
    in_step(&mut planes);
    let mut spoken = 0;
    let mut speak = |planes: &mut Planes, levels: [u8; 2], packets: u32| {
        for _ in 0..packets {
            spoken += 1;
            for ((at, peer, ssrc), level) in [(1, 1, MIC), (2, 3, MIC + 1)].into_iter().zip(levels)
            {
                let wavering = level + (spoken % 7) as u8;
                let world = &mut planes.worlds[at];
                let voice = world.client(peer).send(ssrc, spoken * 960, &Media::voice(wavering));
                world.send(peer, voice);
            }
            planes.run(Duration::from_millis(20));
        }
    };
    speak(&mut planes, [20, 110], 100);
    assert_eq!(planes.speakers(0), Some(vec![person(1)]));
    assert_eq!((planes.speakers(1), planes.speakers(2)), (None, None), "the home alone says so");
    // The one slot on plane 2 carries the speaker of plane 1.
    assert_eq!(planes.worlds[2].slots(4)[0].participant_id, Some(person(1)));
    speak(&mut planes, [110, 20], 300);
    assert_eq!(planes.speakers(0), Some(vec![person(3)]));
    assert_eq!(planes.worlds[2].slots(4)[0].participant_id, Some(person(3)));
    planes.lose(0);
    planes.spread(&[1, 2]);
    speak(&mut planes, [110, 20], 50);
    assert_eq!(planes.speakers(1), None, "it ranks on, and nothing has changed");
    speak(&mut planes, [20, 110], 300);
    assert_eq!(planes.speakers(1), Some(vec![person(1)]));
    assert_eq!(planes.worlds[2].slots(4)[0].participant_id, Some(person(1)));
    // Nobody: also the end is told.
    planes.run(6 * SECOND);
    assert_eq!(planes.speakers(1), Some(vec![]));
}
