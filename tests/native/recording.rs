//! Recordings: what people really send lands in files that ffmpeg and mkvinfo read without a word, whatever
//! happens meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::server;
use protocol::recording::RecordEnd;
use protocol::{ClientMessage, RecordingId, ServerMessage};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use testkit::publisher::ntp_now;
use testkit::{Film, Person, Publication, Publisher, Server, VideoCodec};

/// What everybody shows in these tests; encoded once.
static VP8: LazyLock<Film> = LazyLock::new(|| Film::encode(VideoCodec::Vp8, 4).unwrap());

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who speaks and films in real time.
pub struct Actor<'a> {
    publisher: Publisher,
    film: &'a Film,
    began: Instant,
    ntp: u64,
    frames: u32,
}

impl<'a> Actor<'a> {
    pub fn new(publisher: Publisher, film: &'a Film) -> Self {
        Self { publisher, film, began: Instant::now(), ntp: ntp_now(), frames: 0 }
    }

    /// Sends what is due.
    fn act(&mut self) {
        let due = (self.began.elapsed().as_millis() / 20) as u32;
        while self.frames <= due {
            let (at, n) = (self.frames * 20 * MS, self.frames as usize);
            let sound = &self.film.sound[n % self.film.sound.len()];
            self.publisher.send_sound(at, sound).unwrap();
            if n.is_multiple_of(2) {
                let picture = &self.film.pictures[n / 2 % self.film.pictures.len()];
                self.publisher.send_picture(at, picture).unwrap();
            }
            if n.is_multiple_of(25) {
                self.publisher.report_at(at, self.ntp).unwrap();
            }
            self.frames += 1;
        }
        self.publisher.drive().unwrap();
    }
}

/// Lets everybody act for that long.
pub fn play(actors: &mut [&mut Actor<'_>], time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        actors.iter_mut().for_each(|actor| actor.act());
        std::thread::sleep(5 * MS);
    }
}

/// Starts a recording and waits until everybody is told.
pub fn start(person: &mut Person) -> RecordingId {
    let started = |m: &ServerMessage| matches!(m, ServerMessage::RecordStarted { .. });
    person.socket.request(ClientMessage::RecordStart).unwrap();
    let ServerMessage::RecordStarted { recording, .. } = person.socket.wait_for(started).unwrap()
    else {
        unreachable!("it was waited for")
    };
    recording.recording_id
}

/// Stops it; why it ended.
pub fn stop(person: &mut Person) -> RecordEnd {
    person.socket.request(ClientMessage::RecordStop).unwrap();
    stopped(person)
}

pub fn stopped(person: &mut Person) -> RecordEnd {
    let stopped = |m: &ServerMessage| matches!(m, ServerMessage::RecordStopped { .. });
    match person.socket.wait_for(stopped).unwrap() {
        ServerMessage::RecordStopped { reason, .. } => reason,
        _ => unreachable!("it was waited for"),
    }
}

pub fn folder(server: &Server, slug: &str, id: RecordingId) -> PathBuf {
    server.records_dir().join(slug).join(id.to_string())
}

/// The table of contents, once it says how the recording ended.
pub fn contents(folder: &Path) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let read = std::fs::read(folder.join("meeting.json")).ok();
        let contents = read.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        if let Some(contents) = contents.filter(|contents| contents["state"] != "recording") {
            return contents;
        }
        assert!(Instant::now() < end, "{} is not finished", folder.display());
        std::thread::sleep(20 * MS);
    }
}

/// Runs a tool that must have nothing to complain of; its output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the tool is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{program} {arguments:?}: {complaint}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Reads a file from end to end with ffmpeg and mkvinfo; packets of picture and sound, and its seconds.
pub fn check(path: &Path) -> (usize, usize, f64) {
    let path = path.to_str().unwrap();
    run("ffmpeg", &["-v", "error", "-xerror", "-i", path, "-f", "null", "-"]);
    let info = run("mkvinfo", &["-a", path]);
    assert!(info.contains("Cues") && !info.contains("nknown element"), "{info}");
    let count = |kind: &str| {
        let entries = ["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0", path];
        let select = ["-v", "error", "-select_streams", kind, "-count_packets"];
        let out = run("ffprobe", &[&select[..], &entries].concat());
        out.lines().next().and_then(|line| line.trim_matches(',').parse().ok()).unwrap_or(0)
    };
    let entries = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path];
    let duration = run("ffprobe", &entries);
    (count("v:0"), count("a:0"), duration.trim().parse().unwrap_or(0.0))
}

fn moments<'a>(contents: &'a Value, kind: &str) -> Vec<&'a Value> {
    contents["moments"].as_array().unwrap().iter().filter(|m| m["kind"] == kind).collect()
}

#[test]
fn what_people_send_lands_in_files_that_play_and_seek() {
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Борис Ким", &room).unwrap();
    let mut from_anna = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
    let mut from_boris = Actor::new(boris.publish(Publication::default()).unwrap(), &VP8);
    play(&mut [&mut from_anna, &mut from_boris], 500 * MS);
    let id = start(&mut anna);
    assert_eq!(start_of(&mut boris), id, "everybody is told");
    // Two starts make one recording, and who comes later knows of it.
    anna.socket.request(ClientMessage::RecordStart).unwrap();
    let clara = Person::guest(server.api, "Clara", &room).unwrap();
    assert_eq!(clara.state.recording.as_ref().map(|now| now.recording_id), Some(id));
    assert!(clara.state.recording_active);
    play(&mut [&mut from_anna, &mut from_boris], 5 * SECOND);
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);

    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    assert_eq!(contents["state"], "complete");
    let files = contents["files"].as_array().unwrap();
    assert_eq!(files.len(), 2, "{contents}");
    for file in files {
        let name = file["name"].as_str().unwrap();
        assert!(name.starts_with(&format!("{}_20", room.slug)) && name.ends_with("_camera.webm"));
        let (pictures, sounds, seconds) = check(&folder.join(name));
        assert!(pictures >= 90, "{pictures} pictures in {name}");
        assert!(sounds >= 225, "{sounds} packets of sound in {name}");
        assert!((3.5..6.5).contains(&seconds), "{seconds}");
        let told = file["duration_ms"].as_f64().unwrap() / 1e3;
        assert!((told - seconds).abs() < 0.1, "{told} {seconds}");
        assert!(file["offset_ms"].as_u64().unwrap() < 1_500, "{file}");
        assert_eq!(file["size_bytes"], folder.join(name).metadata().unwrap().len());
    }
    let names: Vec<&str> = files.iter().filter_map(|file| file["display_name"].as_str()).collect();
    assert!(names.contains(&"Anna") && names.contains(&"Борис Ким"), "{names:?}");
    assert_eq!(moments(&contents, "joined").len(), 3);
    assert!(!moments(&contents, "speaking").is_empty());
    assert_eq!(contents["gaps"], serde_json::json!([]));
    assert!(contents["events"]["last"].as_i64() > contents["events"]["first"].as_i64());
    assert!(!folder.join(".reserve").exists());
}

/// Which recording everybody is told of.
fn start_of(person: &mut Person) -> RecordingId {
    let started = |m: &ServerMessage| matches!(m, ServerMessage::RecordStarted { .. });
    match person.socket.wait_for(started).unwrap() {
        ServerMessage::RecordStarted { recording, .. } => recording.recording_id,
        _ => unreachable!("it was waited for"),
    }
}
