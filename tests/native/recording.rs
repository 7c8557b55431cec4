//! Recordings: what people really send lands in files that ffmpeg and mkvinfo read without a word, whatever
//! happens meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clocks;
mod evening;
mod pictures;
mod planes;

use crate::server;
use protocol::recording::RecordEnd;
use protocol::{ClientMessage, RecordingId, ServerMessage};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use testkit::publisher::ntp_now;
use testkit::{Film, Person, Publication, Publisher, Server, Take, VideoCodec};

/// What everybody shows in these tests; encoded once.
static VP8: LazyLock<Film> = LazyLock::new(|| Film::encode(Take::of(VideoCodec::Vp8, 4)).unwrap());

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who speaks and films in real time.
pub struct Actor<'a> {
    publisher: Publisher,
    film: &'a Film,
    /// What each size of the picture shows; the film alone where nothing else is said.
    layers: Vec<Option<&'a Film>>,
    began: Instant,
    ntp: u64,
    frames: u32,
    /// The frame at which what is shown began.
    shown_from: u32,
}

impl<'a> Actor<'a> {
    pub fn new(publisher: Publisher, film: &'a Film) -> Self {
        let layers = vec![Some(film)];
        let (began, ntp) = (Instant::now(), ntp_now());
        Self { publisher, film, layers, began, ntp, frames: 0, shown_from: 0 }
    }

    /// What is shown begins with its first picture.
    fn begin_again(&mut self) {
        self.shown_from = self.frames.next_multiple_of(2);
    }

    /// Sends what is due.
    fn act(&mut self) {
        let due = (self.began.elapsed().as_millis() / 20) as u32;
        while self.frames <= due {
            let (at, n) = (self.frames * 20 * MS, self.frames as usize);
            if self.publisher.has_sound() {
                let sound = &self.film.sound[n % self.film.sound.len()];
                self.publisher.send_sound(at, sound).unwrap();
            }
            if n.is_multiple_of(2) && self.frames >= self.shown_from {
                let shown = (n - self.shown_from as usize) / 2;
                for (layer, film) in self.layers.iter().enumerate() {
                    let Some(film) = film else { continue };
                    let picture = &film.pictures[shown % film.pictures.len()];
                    self.publisher.send_layer(layer, at, picture).unwrap();
                }
            }
            if n.is_multiple_of(25) {
                self.publisher.report_at(at, self.ntp).unwrap();
            }
            self.frames += 1;
        }
        self.publisher.drive().unwrap();
    }
}

/// Lets everybody act for that long, and answer the server's pings. For how long a busy machine kept them from it, at most.
pub fn play(actors: &mut [&mut Actor<'_>], people: &mut [&mut Person], time: Duration) -> Duration {
    let (mut now, mut held_up) = (Instant::now(), Duration::ZERO);
    let end = now + time;
    while now < end {
        actors.iter_mut().for_each(|actor| actor.act());
        for person in people.iter_mut() {
            person.socket.take(|_| false).unwrap();
        }
        std::thread::sleep(5 * MS);
        held_up = held_up.max(now.elapsed());
        now = Instant::now();
    }
    held_up
}

/// A server, once there is something to show: a socket that waits for an encoder is silent for too long.
fn stage() -> Server {
    LazyLock::force(&VP8);
    server()
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
    // With a rate that varies, as people's do: by itself ffmpeg counts in frames of a fixed rate here, and of two that
    // are 39 ms apart it complains that they fall on one.
    let varying = ["-fps_mode", "vfr", "-f", "null", "-"];
    run("ffmpeg", &[&["-v", "error", "-xerror", "-i", path][..], &varying].concat());
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
    let server = stage();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Борис Ким", &room).unwrap();
    let mut from_anna = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
    let mut from_boris = Actor::new(boris.publish(Publication::default()).unwrap(), &VP8);
    play(&mut [&mut from_anna, &mut from_boris], &mut [&mut anna, &mut boris], 500 * MS);
    let id = start(&mut anna);
    assert_eq!(start_of(&mut boris), id, "everybody is told");
    // Two starts make one recording, and who comes later knows of it.
    anna.socket.request(ClientMessage::RecordStart).unwrap();
    let clara = Person::guest(server.api, "Clara", &room).unwrap();
    assert_eq!(clara.state.recording.as_ref().map(|now| now.recording_id), Some(id));
    assert!(clara.state.recording_active);
    play(&mut [&mut from_anna, &mut from_boris], &mut [&mut anna, &mut boris], 4 * SECOND);
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
        assert!(pictures >= 65, "{pictures} pictures in {name}");
        assert!(sounds >= 165, "{sounds} packets of sound in {name}");
        assert!((2.5..6.5).contains(&seconds), "{seconds}");
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

/// A call over REST with a JSON answer.
fn rest(person: &Person, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let body = body.map(|body| serde_json::to_vec(body).unwrap());
    let answer = person
        .api
        .call(&testkit::http::Request {
            method,
            path: &format!("/api/v1/{path}"),
            token: Some(&person.token),
            body: body.as_deref().map(|body| ("application/json", body)),
        })
        .unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// The recording over REST, once its files are finished.
fn finished(person: &Person, id: RecordingId) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let (status, recording) = rest(person, "GET", &format!("recordings/{id}"), None);
        assert_eq!(status, 200, "{recording}");
        if recording["state"] != "recording" {
            return recording;
        }
        assert!(Instant::now() < end, "{recording}");
        std::thread::sleep(20 * MS);
    }
}

fn files(contents: &Value) -> Vec<(String, u64, u64)> {
    let file = |file: &Value| {
        let number = |name: &str| file[name].as_u64().unwrap_or_else(|| panic!("{name}: {file}"));
        (file["name"].as_str().unwrap().to_owned(), number("offset_ms"), number("duration_ms"))
    };
    contents["files"].as_array().unwrap().iter().map(file).collect()
}

#[test]
fn mutes_stay_in_one_file_and_another_codec_or_coming_back_begins_a_new_one() {
    let vp9 = Film::encode(Take::of(VideoCodec::Vp9, 2)).unwrap();
    let h264 = Film::encode(Take::of(VideoCodec::H264, 2)).unwrap();
    let server = stage();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let user_id = crate::orders::user_of(&boris);
    let id = start(&mut anna);
    let mut actor = Actor::new(boris.publish(Publication::default()).unwrap(), &VP8);
    play(&mut [&mut actor], &mut [&mut anna, &mut boris], 2 * SECOND);
    let source = protocol::room::Forcible::Microphone;
    let force = |forced| ClientMessage::MediaForce { user_id: Some(user_id), source, forced };
    anna.socket.request(force(true)).unwrap();
    play(&mut [&mut actor], &mut [&mut anna, &mut boris], 1_500 * MS);
    anna.socket.request(force(false)).unwrap();
    play(&mut [&mut actor], &mut [&mut anna, &mut boris], 1_500 * MS);
    let publication = Publication { codec: VideoCodec::Vp9, ..Publication::default() };
    let mut sharper = Actor::new(boris.publish(publication).unwrap(), &vp9);
    drop(actor);
    play(&mut [&mut sharper], &mut [&mut anna, &mut boris], 2 * SECOND);
    boris.socket.send(ClientMessage::Leave).unwrap();
    let left = |m: &ServerMessage| matches!(m, ServerMessage::MemberLeft { .. });
    anna.socket.wait_for(left).unwrap();
    let again = Person::guest(server.api, "Boris", &room).unwrap();
    let encoder = Publication { codec: VideoCodec::H264, ..Publication::default() };
    let (publisher, _) = again.whip(encoder).unwrap();
    let mut encoder = Actor::new(publisher, &h264);
    play(&mut [&mut encoder], &mut [&mut anna], 2 * SECOND);
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let files = files(&contents);
    assert_eq!(files.len(), 3, "{contents}");
    let codec = |n: usize| {
        let tracks = contents["files"][n]["tracks"].as_array().unwrap();
        assert_eq!(tracks.len(), 2, "{contents}");
        let picture = tracks.iter().find(|track| track["codec"] != "opus").unwrap();
        picture["codec"].as_str().unwrap().to_owned()
    };
    assert_eq!([codec(0), codec(1), codec(2)], ["vp8", "vp9", "h264"]);
    assert!(files[2].0.ends_with(".mkv"), "WebM has no place for H264");
    for (name, ..) in &files {
        let (pictures, sounds, seconds) = check(&folder.join(name));
        assert!(
            pictures >= 20 && sounds >= 40 && seconds > 1.0,
            "{name}: {pictures} {sounds} {seconds}"
        );
    }
    // What was muted is not there, and the rest of the file is in its place.
    let (_, sounds, seconds) = check(&folder.join(&files[0].0));
    let expected = (seconds - 1.5) * 50.0;
    assert!((sounds as f64 - expected).abs() < 40.0, "{sounds} of {expected}");
    let (muted, unmuted) = (moments(&contents, "muted"), moments(&contents, "unmuted"));
    assert_eq!(muted[0]["by"], "Anna");
    assert_eq!(muted[0]["source"], "microphone");
    assert!(unmuted[0]["at_ms"].as_u64() > muted[0]["at_ms"].as_u64());
    let recording = finished(&anna, id);
    assert_eq!(recording["files"].as_array().unwrap().len(), 3);
    assert_eq!(recording["end"], "stopped");
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_veche"))
}

/// Kills a server that records at some moments, each in a recording of its own.
pub fn crash(times: u64) {
    LazyLock::force(&VP8);
    let settings: &[(&str, &str)] = &[];
    let mut server = Server::start(binary(), settings).unwrap();
    for round in 0..times {
        let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
        let mut actor = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
        let id = start(&mut anna);
        // At any moment between two clusters, and in the middle of one.
        let time = Duration::from_millis(4_000 + rand::random_range(0..2_000) + round % 7);
        play(&mut [&mut actor], &mut [&mut anna], time);
        let token = anna.token.clone();
        server = server.crash_and_restart(binary(), settings).unwrap();
        let restarted = Instant::now();
        let anna = Person::enter(server.api, token, &room.slug, None).unwrap();
        assert!(!anna.state.recording_active, "a crash ends what was recorded");
        let recording = finished(&anna, id);
        assert!(restarted.elapsed() < 10 * SECOND, "{:?}", restarted.elapsed());
        assert_eq!(
            (&recording["state"], &recording["end"]),
            (&"recovered".into(), &"crashed".into())
        );
        let folder = folder(&server, &room.slug, id);
        let contents = contents(&folder);
        assert_eq!(contents["state"], "recovered");
        let files = files(&contents);
        assert_eq!(files.len(), 1, "round {round}: {contents}");
        let (_, _, seconds) = check(&folder.join(&files[0].0));
        let lost = time.as_secs_f64() - files[0].1 as f64 / 1e3 - seconds;
        assert!(lost <= 3.0, "round {round}: {lost} of {time:?} seconds are lost");
        assert!((seconds - files[0].2 as f64 / 1e3).abs() < 0.1);
    }
}

#[test]
fn what_a_crash_leaves_is_mended_and_loses_little() {
    crash(3);
}

#[test]
fn a_recording_ends_before_the_disk_is_full_and_the_call_goes_on() {
    LazyLock::force(&VP8);
    let disk = Disk::mount(64);
    let settings = [("RECORDS_DIR", disk.0.to_str().unwrap()), ("RECORDING_MIN_FREE_MB", "8")];
    let server = Server::start(binary(), &settings).unwrap();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let mut subscriber = boris.subscribe(1, 1).unwrap();
    let mut actor = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
    let id = start(&mut anna);
    play(&mut [&mut actor], &mut [&mut anna, &mut boris], 3 * SECOND);
    // Somebody else fills the disk, all but half of what shall stay free.
    std::fs::write(disk.0.join("filling"), vec![1; 58 << 20]).unwrap();
    let filled = Instant::now();
    let is_stopped = |m: &ServerMessage| matches!(m, ServerMessage::RecordStopped { .. });
    let stopped = loop {
        play(&mut [&mut actor], &mut [&mut anna, &mut boris], 100 * MS);
        if let Some(message) = anna.socket.take(is_stopped).unwrap() {
            break message;
        }
        assert!(filled.elapsed() < 20 * SECOND, "nobody is told");
    };
    assert!(filled.elapsed() < 5 * SECOND, "{:?}", filled.elapsed());
    let ServerMessage::RecordStopped { reason, by, .. } = stopped else { unreachable!() };
    assert_eq!((reason, by), (RecordEnd::NoSpace, None));
    let recording = finished(&anna, id);
    assert_eq!(recording["state"], "out_of_space");
    let folder = disk.0.join(&room.slug).join(id.to_string());
    let contents = contents(&folder);
    assert_eq!(contents["state"], "out_of_space");
    let (pictures, ..) = check(&folder.join(&files(&contents)[0].0));
    assert!(pictures > 40, "{pictures}");
    subscriber.drain();
    play(&mut [&mut actor], &mut [&mut anna, &mut boris], SECOND);
    subscriber.drive().unwrap();
    assert!(subscriber.drain().len() > 40, "the call goes on");
    // With so little space none begins, and everybody hears why.
    start(&mut anna);
    assert_eq!(self::stopped(&mut anna), RecordEnd::NoSpace);
    drop(server);
}

#[test]
fn a_disk_that_takes_nothing_more_ends_the_recording_with_files_that_play() {
    LazyLock::force(&VP8);
    let disk = Disk::mount(64);
    let settings = [("RECORDS_DIR", disk.0.to_str().unwrap()), ("RECORDING_MIN_FREE_MB", "0")];
    let server = Server::start(binary(), &settings).unwrap();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut actor = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
    let id = start(&mut anna);
    play(&mut [&mut actor], &mut [&mut anna], 3 * SECOND);
    // All of it: the next cluster does not fit.
    let mut filling = std::fs::File::create(disk.0.join("filling")).unwrap();
    while std::io::Write::write(&mut filling, &[1; 4_096]).is_ok() {}
    let filled = Instant::now();
    let is_stopped = |m: &ServerMessage| matches!(m, ServerMessage::RecordStopped { .. });
    while anna.socket.take(is_stopped).unwrap().is_none() {
        play(&mut [&mut actor], &mut [&mut anna], 100 * MS);
        assert!(filled.elapsed() < 20 * SECOND, "nobody is told");
    }
    assert!(filled.elapsed() < 7 * SECOND, "{:?}", filled.elapsed());
    assert_eq!(finished(&anna, id)["state"], "out_of_space");
    let folder = disk.0.join(&room.slug).join(id.to_string());
    let contents = contents(&folder);
    assert_eq!(contents["state"], "out_of_space");
    let (pictures, sounds, _) = check(&folder.join(&files(&contents)[0].0));
    assert!(pictures > 40 && sounds > 80, "{pictures} {sounds}");
    drop(server);
}

#[test]
fn a_stop_of_the_server_finishes_what_is_recorded_and_a_quota_ends_it() {
    LazyLock::force(&VP8);
    let records = tempfile::tempdir().unwrap();
    let orphan = records.path().join("gone").join(uuid::Uuid::nil().to_string());
    std::fs::create_dir_all(&orphan).unwrap();
    let settings = [("RECORDS_DIR", records.path().to_str().unwrap())];
    let server = Server::start(binary(), &settings).unwrap();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut actor = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
    let policy = format!("rooms/{}/recording-policy", room.slug);
    let set = |anna: &Person, quota: Value| {
        let body = serde_json::json!({ "recordings_for": "admins", "quota_mb": quota });
        assert_eq!(rest(anna, "PUT", &policy, Some(&body)).0, 200);
    };
    set(&anna, 0.into());
    let id = start(&mut anna);
    let is_stopped = |m: &ServerMessage| matches!(m, ServerMessage::RecordStopped { .. });
    let began = Instant::now();
    while anna.socket.take(is_stopped).unwrap().is_none() {
        play(&mut [&mut actor], &mut [&mut anna], 100 * MS);
        assert!(began.elapsed() < PATIENCE, "the quota ends nothing");
    }
    let full = finished(&anna, id);
    assert_eq!((&full["state"], &full["end"]), (&"out_of_space".into(), &"quota".into()));
    let (status, _) = rest(&anna, "POST", &format!("rooms/{}/recordings", room.slug), None);
    assert_eq!(status, 409);
    set(&anna, Value::Null);
    let (status, running) = rest(&anna, "POST", &format!("rooms/{}/recordings", room.slug), None);
    assert_eq!((status, &running["state"]), (201, &"recording".into()), "{running}");
    play(&mut [&mut actor], &mut [&mut anna], 3 * SECOND);
    let (code, log) = server.stop().unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("a folder of a recording that is not in the database"), "{log}");
    assert!(orphan.exists(), "what is not known is reported and left alone");
    let folder = records.path().join(&room.slug).join(running["id"].as_str().unwrap());
    let contents = contents(&folder);
    assert_eq!(contents["state"], "complete");
    let (pictures, ..) = check(&folder.join(&files(&contents)[0].0));
    assert!(pictures > 40, "{pictures}");
}

#[test]
fn an_upload_may_be_larger_than_any_other_body() {
    LazyLock::force(&VP8);
    let server = stage();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut actor = Actor::new(anna.publish(Publication::default()).unwrap(), &VP8);
    let id = start(&mut anna);
    play(&mut [&mut actor], &mut [&mut anna], 3 * SECOND);
    stop(&mut anna);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let (name, _, duration_ms) = files(&contents).remove(0);
    let mut film = std::fs::read(folder.join(name)).unwrap();
    film.resize(17 << 20, 0);
    let upload = |path: &str| {
        let request = testkit::http::Request {
            method: "POST",
            path,
            token: Some(&anna.token),
            body: Some(("application/octet-stream", &film)),
        };
        anna.api.call(&request)
    };
    let path = format!("/api/v1/rooms/{}/recordings/uploads?name=film.webm", room.slug);
    let made = upload(&path).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(made["bytes"], film.len());
    assert_eq!(made["duration_ms"], duration_ms);
    let (_, list) = rest(&anna, "GET", &format!("rooms/{}/recordings", room.slug), None);
    assert_eq!(list["recordings"].as_array().unwrap().len(), 2);
    let elsewhere = format!("/api/v1/rooms/{}/attachments?name=film.webm", room.slug);
    // Refused before it is read: whoever still writes then may find the line closed.
    if let Ok(answer) = upload(&elsewhere) {
        assert_eq!(answer.status, 413);
    }
}

/// A small file system in memory.
struct Disk(PathBuf);

impl Disk {
    fn mount(megabytes: u32) -> Self {
        let path = std::env::temp_dir().join(format!("veche-disk-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .output()
            .expect("mount is installed");
        let disk = Self(path);
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        disk
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        let _ = std::fs::remove_dir(&self.0);
    }
}
