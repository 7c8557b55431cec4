//! Time in recordings: sound beside its pictures, people beside each other, also where links are bad.

use super::{Actor, MS, SECOND, check, contents, files, folder, play, run, start, stop};
use crate::server;
use protocol::recording::RecordEnd;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;
use testkit::{Film, Person, Publication, Scene, Take, VideoCodec, Weather};

/// How far sound may be from its picture.
const SYNC_MS: f64 = 20.0;
/// How much further it may get in a minute.
const DRIFT_MS: f64 = 1.0;
/// How far people's files may be from each other. What a link takes always is in it: nobody tells the server how long that
/// is, and the meeting was heard so.
const APART_MS: f64 = 40.0;

/// White with a beep, black in silence; encoded once.
static FLASHES: LazyLock<Film> = LazyLock::new(|| {
    let take = Take { scene: Scene::Flashes, ..Take::of(VideoCodec::Vp8, 4) };
    Film::encode(take).unwrap()
});

/// Python with what `tests/requirements.txt` names, which `scripts/install-test-tools.sh` makes.
fn python() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/bin/python");
    let path = std::env::var_os("VECHE_PYTHON").map_or_else(own, PathBuf::from);
    assert!(
        path.exists(),
        "no Python at {}: scripts/install-test-tools.sh makes it",
        path.display()
    );
    path
}

/// What is seen and heard in a file.
struct Sync {
    told: Value,
}

impl Sync {
    fn of(path: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/avsync.py");
        let (python, script, path) = (python(), script, path);
        let out =
            run(python.to_str().unwrap(), &[script.to_str().unwrap(), path.to_str().unwrap()]);
        println!("{}: {}", path.file_name().unwrap().display(), out.trim());
        Self { told: serde_json::from_str(&out).unwrap() }
    }

    fn number(&self, name: &str) -> f64 {
        self.told[name].as_f64().unwrap_or_else(|| panic!("{name}: {}", self.told))
    }
}

/// Sound of a file that is told apart from all other of the same film: when, and its hash.
fn words(path: &Path, offset_ms: u64) -> Vec<(f64, String)> {
    let entries = ["-v", "error", "-select_streams", "a:0", "-show_entries"];
    let rest = ["packet=pts_time,data_hash", "-show_data_hash", "md5", "-of", "csv=p=0"];
    let out = run("ffprobe", &[&entries[..], &rest, &[path.to_str().unwrap()]].concat());
    let packets = out.lines().filter_map(|line| {
        let (time, hash) = line.split_once(',')?;
        Some((time.parse::<f64>().ok()? + offset_ms as f64 / 1e3, hash.to_owned()))
    });
    let mut times: HashMap<String, Vec<f64>> = HashMap::new();
    for (time, hash) in packets {
        times.entry(hash).or_default().push(time);
    }
    // What comes again sooner than the film does is said more than once in it: silence.
    times.retain(|_, times| times.windows(2).all(|pair| pair[1] - pair[0] > 3.5));
    let mut words: Vec<(f64, String)> = times
        .into_iter()
        .flat_map(|(hash, times)| times.into_iter().map(move |time| (time, hash.clone())))
        .collect();
    words.sort_by(|one, other| one.0.total_cmp(&other.0));
    words
}

/// How far the files of two people who say the same are from each other, in ms, who began `apart` seconds after one
/// another: the middle of all words from a moment on.
fn apart(folder: &Path, files: &[(String, u64, u64)], apart: f64, from: f64) -> f64 {
    let said = |n: usize| words(&folder.join(&files[n].0), files[n].1);
    let mut first: HashMap<String, Vec<f64>> = HashMap::new();
    for (time, hash) in said(0) {
        first.entry(hash).or_default().push(time);
    }
    let mut errors: Vec<f64> = said(1)
        .into_iter()
        .filter(|(time, _)| *time > from)
        .filter_map(|(time, hash)| {
            let off = first.get(&hash)?.iter().map(|other| time - other - apart);
            off.min_by(|one, other| one.abs().total_cmp(&other.abs()))
        })
        // Half of the film: the same word of another round.
        .filter(|error| error.abs() < 2.0)
        .collect();
    errors.sort_by(f64::total_cmp);
    assert!(errors.len() > 20, "too few packets are found in both: {}", errors.len());
    errors[errors.len() / 2] * 1e3
}

/// Two people film the same, one of them over a bad link; their files, checked, and what was measured in them.
fn recorded(weather: Weather, time: Duration) -> (Vec<Sync>, f64) {
    LazyLock::force(&FLASHES);
    let server = server();
    let (mut anna, room) = Person::host(server.api, "Anna").unwrap();
    let mut boris = Person::guest(server.api, "Boris", &room).unwrap();
    let id = start(&mut anna);
    let mut from_anna = Actor::new(anna.publish(Publication::default()).unwrap(), &FLASHES);
    play(&mut [&mut from_anna], &mut [&mut anna, &mut boris], 1_300 * MS);
    let mut publisher = boris.publish(Publication::default()).unwrap();
    publisher.link.set_weather(weather, 5);
    let mut from_boris = Actor::new(publisher, &FLASHES);
    // Their own clocks are an hour apart; only the recording's counts.
    from_boris.ntp = from_boris.ntp.wrapping_add(3_600 << 32);
    let between = from_boris.began.duration_since(from_anna.began).as_secs_f64();
    play(&mut [&mut from_anna, &mut from_boris], &mut [&mut anna, &mut boris], time);
    assert_eq!(stop(&mut anna), RecordEnd::Stopped);
    let folder = folder(&server, &room.slug, id);
    let contents = contents(&folder);
    let files = files(&contents);
    assert_eq!(files.len(), 2, "{contents}");
    let named = |n: usize| contents["files"][n]["display_name"].as_str().unwrap().to_owned();
    assert_eq!([named(0), named(1)], ["Anna", "Boris"]);
    let syncs = files.iter().map(|(name, ..)| {
        let (pictures, sounds, seconds) = check(&folder.join(name));
        // Pictures behind one that is lost for good wait for the next keyframe, a second at most.
        assert!(pictures as f64 > seconds * 25.0 * 0.6, "{pictures} in {seconds} s");
        assert!(sounds as f64 > seconds * 50.0 * 0.9, "{sounds} in {seconds} s");
        Sync::of(&folder.join(name))
    });
    let syncs = syncs.collect();
    let error = apart(&folder, &files, between, 2.5);
    println!("{error:.1} ms apart");
    (syncs, error)
}

#[test]
fn over_a_bad_link_too_sound_stays_with_its_pictures_and_people_with_each_other() {
    let weather = Weather { loss: 0.05, delay: Duration::ZERO, jitter: 40 * MS };
    let (syncs, error) = recorded(weather, 10 * SECOND);
    for sync in &syncs {
        assert!(sync.number("pairs") >= 6.0, "{}", sync.told);
        assert!(sync.number("median_ms").abs() <= SYNC_MS, "{}", sync.told);
        assert_eq!(sync.number("backwards"), 0.0, "{}", sync.told);
    }
    assert!(error.abs() <= APART_MS, "{error:.1} ms apart");
}

#[test]
#[ignore = "long: ten minutes of recording over a link with 2 % loss and 40 ms of jitter"]
fn ten_minutes_over_a_bad_link_stay_in_step() {
    let weather = Weather { loss: 0.02, delay: Duration::ZERO, jitter: 40 * MS };
    let (syncs, error) = recorded(weather, 600 * SECOND);
    for sync in &syncs {
        assert!(sync.number("pairs") >= 550.0, "{}", sync.told);
        assert!(sync.number("median_ms").abs() <= SYNC_MS, "{}", sync.told);
        assert!(sync.number("drift_ms_per_minute").abs() < DRIFT_MS, "{}", sync.told);
        assert_eq!(sync.number("backwards"), 0.0, "{}", sync.told);
    }
    assert!(error.abs() <= APART_MS, "{error:.1} ms apart");
}
