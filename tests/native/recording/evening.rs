//! A long meeting of several people: whatever they do in it, every file plays.

use super::{Actor, MS, SECOND, check, contents, files, folder, play, start, stop};
use crate::server;
use protocol::media::Source;
use protocol::recording::RecordEnd;
use protocol::room::Forcible;
use protocol::{ClientMessage, ServerMessage};
use std::collections::BTreeMap;
use std::time::Instant;
use testkit::{Film, Person, Publication, Take, VideoCodec, Weather};

const MINUTES: u32 = 30;
/// Every so many minutes Boris goes and comes again.
const BORIS_STAYS: u32 = 5;
/// Every so many minutes somebody is muted for one.
const MUTED_EVERY: u32 = 3;

#[test]
#[ignore = "long: half an hour of a meeting of five"]
fn half_an_hour_of_a_meeting_lies_in_files_that_play() {
    let film = |codec, size| Film::encode(Take { size, ..Take::of(codec, 4) }).unwrap();
    let small = film(VideoCodec::Vp8, (160, 90));
    let large = film(VideoCodec::Vp8, (320, 180));
    let [vp9, av1, h264] =
        [VideoCodec::Vp9, VideoCodec::Av1, VideoCodec::H264].map(|codec| film(codec, (320, 180)));
    let screens = [(640, 360), (320, 400), (480, 270)].map(|size| film(VideoCodec::Vp8, size));

    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let guest = |name| Person::guest(server.api, name, &room).unwrap();
    let (mut boris, mut clara, mut dmitri, mut eva) =
        (guest("Boris"), guest("Clara"), guest("Dmitri"), guest("Eva"));
    let with = |codec| Publication { codec, ..Publication::default() };

    // Anna's pictures come in two sizes over a bad link.
    let both = Publication { layers: 2, ..Publication::default() };
    let mut publisher = anna.publish(both).unwrap();
    publisher.link.set_weather(Weather { loss: 0.02, delay: 20 * MS, jitter: 40 * MS }, 3);
    let mut from_anna = Actor::new(publisher, &small);
    from_anna.layers = vec![Some(&small), Some(&large)];
    let mut from_boris = Actor::new(boris.publish(with(VideoCodec::Vp9)).unwrap(), &vp9);
    let mut from_clara = Actor::new(clara.publish(with(VideoCodec::Av1)).unwrap(), &av1);
    let (encoder, _) = dmitri.whip(with(VideoCodec::H264)).unwrap();
    let mut from_dmitri = Actor::new(encoder, &h264);
    let shared = Publication { audio: false, shows: Source::Screen, ..Publication::default() };
    let mut from_eva = Actor::new(eva.publish(shared).unwrap(), &screens[0]);

    let id = start(&mut anna);
    let began = Instant::now();
    let user_id = crate::orders::user_of(&clara);
    let mut boris_came = 1;
    for minute in 0..MINUTES {
        from_eva.layers = vec![Some(&screens[minute as usize % screens.len()])];
        from_eva.begin_again();
        let forced = minute % MUTED_EVERY == 1;
        let source = Forcible::Microphone;
        anna.socket
            .send(ClientMessage::MediaForce { user_id: Some(user_id), source, forced })
            .unwrap();
        if minute > 0 && minute % BORIS_STAYS == 0 {
            boris.socket.send(ClientMessage::Leave).unwrap();
            let id = boris.id;
            let left = |m: &ServerMessage| matches!(m, ServerMessage::MemberLeft { participant_id, .. } if *participant_id == id);
            anna.socket.wait_for(left).unwrap();
            boris = guest("Boris");
            from_boris = Actor::new(boris.publish(with(VideoCodec::Vp9)).unwrap(), &vp9);
            boris_came += 1;
        }
        let end = SECOND * 60 * (minute + 1);
        play(
            &mut [
                &mut from_anna,
                &mut from_boris,
                &mut from_clara,
                &mut from_dmitri,
                &mut from_eva,
            ],
            &mut [&mut anna, &mut boris, &mut clara, &mut dmitri, &mut eva],
            end.saturating_sub(began.elapsed()),
        );
    }
    let all = began.elapsed();
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let files = files(&contents);
    let named = |n: usize| contents["files"][n]["display_name"].as_str().unwrap();
    let mut seconds: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for (n, (name, _, told_ms)) in files.iter().enumerate() {
        let (pictures, sounds, found) = check(&folder.join(name));
        println!("{name}: {found:.1} s, {pictures} pictures, {sounds} of sound");
        assert!((found - *told_ms as f64 / 1e3).abs() < 0.1, "{name}: {found} s, {told_ms} ms");
        assert!(pictures as f64 > found * 25.0 * 0.8, "{name}: {pictures} pictures in {found} s");
        let own = seconds.entry(named(n)).or_default();
        *own = (own.0 + 1, own.1 + found);
    }
    let expected = [("Anna", 1), ("Boris", boris_came), ("Clara", 1), ("Dmitri", 1), ("Eva", 1)];
    for (name, count) in expected {
        let (files, found) = seconds[name];
        assert_eq!(files, count, "files of {name}: {contents}");
        let missing = all.as_secs_f64() - found;
        assert!(missing.abs() < 3.0 * count as f64, "{missing} s of {name} are missing");
    }
    assert_eq!(files.len(), expected.iter().map(|(_, count)| count).sum::<usize>());
    // Whatever lies there is told of.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), files.len() + 1);
    // Links lose packets; the disk was never too slow.
    for gap in contents["gaps"].as_array().unwrap() {
        assert_eq!(gap["reason"], "network", "{gap}");
    }
}
