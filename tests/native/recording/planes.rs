//! A recording of a room that is on two media threads.

use super::{Actor, SECOND, VP8, check, contents, files, folder, play, start, stop};
use crate::planes::spread_server;
use protocol::recording::RecordEnd;
use std::sync::LazyLock;
use testkit::{Person, Publication};

#[test]
fn people_on_two_threads_are_in_one_recording_each_once() {
    LazyLock::force(&VP8);
    let server = spread_server(&[]);
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut to_boris = boris.subscribe(1, 1).unwrap();
    let mut first = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
    let id = start(&mut anna);
    // He comes to a thread that the recording has not been on.
    let mut second = Actor::new(boris.publish(Publication::default()).unwrap(), &VP8);
    let mut clara = Person::guest(server.api, "Clara", &room).unwrap();
    let mut third = Actor::new(clara.publish(Publication::default()).unwrap(), &VP8);
    let actors = &mut [&mut first, &mut second, &mut third];
    play(actors, &mut [&mut anna, &mut boris, &mut clara], 3 * SECOND);
    to_boris.drive().unwrap();
    assert!(to_boris.drain().len() > 40, "the call goes on beside it");
    assert_eq!(server.metric("veche_media_rooms_spread").unwrap(), 1.0);
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let files = files(&contents);
    assert_eq!(files.len(), 3, "{contents}");
    for (name, ..) in &files {
        let (pictures, sounds, seconds) = check(&folder.join(name));
        assert!(pictures >= 40 && sounds >= 80, "{name}: {pictures} {sounds} {seconds}");
        // What came twice would not be so few.
        assert!(pictures as f64 <= 26.0 * seconds + 5.0, "{name}: {pictures} in {seconds} s");
    }
}
