//! What pictures do while they are recorded: other codecs, several sizes at once, a screen that changes its size.

use super::{Actor, MS, SECOND, check, contents, files, folder, play, run, start, stop};
use crate::server;
use protocol::media::Source;
use protocol::recording::RecordEnd;
use std::path::Path;
use testkit::{Film, Person, Publication, Take, VideoCodec};

/// Widths of the pictures of a file that is decoded from end to end, each change once.
fn widths(path: &Path) -> Vec<u32> {
    let frames = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=width"];
    let out = run("ffprobe", &[&frames[..], &["-of", "csv=p=0", path.to_str().unwrap()]].concat());
    let mut widths: Vec<u32> =
        out.lines().filter_map(|line| line.trim_matches(',').parse().ok()).collect();
    widths.dedup();
    widths
}

/// Whether it goes from the first to the second and back, once or again and again.
fn goes_and_comes_back(widths: &[u32], from: u32, to: u32) -> bool {
    let expected = [from, to].into_iter().cycle();
    widths.len() >= 3
        && widths.len() % 2 == 1
        && widths.iter().copied().eq(expected.take(widths.len()))
}

#[test]
fn pictures_in_av1_are_recorded_as_they_are() {
    let film = Film::encode(Take::of(VideoCodec::Av1, 2)).unwrap();
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let publication = Publication { codec: VideoCodec::Av1, ..Publication::default() };
    let mut actor = Actor::new(anna.publish(publication).unwrap(), &film);
    let id = start(&mut anna);
    play(&mut [&mut actor], &mut [&mut anna], 3_500 * MS);
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let files = files(&contents);
    assert_eq!(files.len(), 1, "{contents}");
    assert_eq!(contents["gaps"], serde_json::json!([]));
    let codecs: Vec<_> =
        contents["files"][0]["tracks"].as_array().unwrap().iter().map(|t| &t["codec"]).collect();
    assert!(codecs.contains(&&"av1".into()), "{codecs:?}");
    let path = folder.join(&files[0].0);
    let (pictures, sounds, _) = check(&path);
    assert!(pictures >= 50 && sounds >= 120, "{pictures} {sounds}");
    assert_eq!(widths(&path), [320]);
}

#[test]
fn of_several_sizes_the_largest_that_comes_is_recorded_in_one_file() {
    let small = Film::encode(Take { size: (160, 90), ..Take::of(VideoCodec::Vp8, 2) }).unwrap();
    let large = Film::encode(Take::of(VideoCodec::Vp8, 2)).unwrap();
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let publication = Publication { layers: 2, ..Publication::default() };
    let mut actor = Actor::new(anna.publish(publication).unwrap(), &small);
    actor.layers = vec![Some(&small), None];
    let id = start(&mut anna);
    // The small one alone, as while a link is being measured; then both; then the large one is paused.
    let mut held_up = play(&mut [&mut actor], &mut [&mut anna], 2 * SECOND);
    actor.layers[1] = Some(&large);
    held_up = held_up.max(play(&mut [&mut actor], &mut [&mut anna], 4 * SECOND));
    actor.layers[1] = None;
    held_up = held_up.max(play(&mut [&mut actor], &mut [&mut anna], 4 * SECOND));
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let files = files(&contents);
    assert_eq!(files.len(), 1, "{contents}");
    let path = folder.join(&files[0].0);
    let (pictures, sounds, seconds) = check(&path);
    let widths = widths(&path);
    assert!(goes_and_comes_back(&widths, 160, 320), "{widths:?}");
    // A sender that is kept from sending for so long looks like one that has paused the large one.
    if held_up < SECOND / 4 {
        assert_eq!(widths, [160, 320, 160]);
    }
    // A change of size costs the time until its keyframe.
    assert!(pictures >= 150 && sounds >= 400, "{pictures} {sounds} in {seconds} s");
}

#[test]
fn a_screen_that_changes_its_size_stays_one_file() {
    let films = [(320, 180), (640, 360), (176, 320)]
        .map(|size| Film::encode(Take { size, ..Take::of(VideoCodec::Vp8, 1) }).unwrap());
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let publication = Publication { audio: false, shows: Source::Screen, ..Publication::default() };
    let mut actor = Actor::new(anna.publish(publication).unwrap(), &films[0]);
    let id = start(&mut anna);
    for film in &films {
        // A window of another size begins with a keyframe, as in every encoder.
        actor.layers = vec![Some(film)];
        actor.begin_again();
        play(&mut [&mut actor], &mut [&mut anna], 2 * SECOND);
    }
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let files = files(&contents);
    assert_eq!(files.len(), 1, "{contents}");
    assert!(files[0].0.ends_with("_screen.webm"), "{}", files[0].0);
    let path = folder.join(&files[0].0);
    let (pictures, sounds, _) = check(&path);
    assert!(pictures >= 120 && sounds == 0, "{pictures} {sounds}");
    assert_eq!(widths(&path), [320, 640, 176]);
}
