//! `veche export`: one file of a recording, made by the real ffmpeg and looked at by it.

use std::path::Path;
use std::process::{Command, Output};

/// Runs a tool that must succeed; what it wrote.
fn tool(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().expect("the tool is installed");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn export(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veche"));
    command.arg("export").args(arguments).current_dir(folder).output().expect("the binary runs")
}

/// A file as the recorder leaves it: a colour with a tone.
fn film(folder: &Path, name: &str, colour: &str, tone: u32, seconds: u32) {
    let picture = format!("color=c={colour}:s=320x180:r=25:d={seconds}");
    let sound = format!("sine=frequency={tone}:sample_rate=48000:duration={seconds}");
    let target = folder.join(name);
    let target = target.to_str().expect("utf-8");
    tool(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &picture,
            "-f",
            "lavfi",
            "-i",
            &sound,
            "-c:v",
            "libvpx",
            "-deadline",
            "realtime",
            "-b:v",
            "200k",
            "-c:a",
            "libopus",
            "-y",
            target,
        ],
    );
}

/// Anna films red from the beginning, Boris green from 2 s to 5 s and is heard at 3,000 Hz; his name would break
/// any shell, and any filter.
fn recording(folder: &Path) {
    film(folder, "anna.webm", "red", 300, 6);
    film(folder, "boris: 'x'.webm", "green", 3_000, 3);
    let tracks = serde_json::json!([{"codec": "opus"}, {"codec": "vp8", "size": [320, 180]}]);
    let file = |name: &str, id: &str, who: &str, offset: u64, length: u64| {
        serde_json::json!({
            "name": name, "participant_id": id, "user_id": id, "display_name": who, "source": "camera",
            "tracks": tracks, "offset_ms": offset, "duration_ms": length,
        })
    };
    let boris = "Boris' [:;,] %{localtime} \\";
    let contents = serde_json::json!({
        "version": 1,
        "recording": "0198c0de-0000-7000-8000-0000000000aa",
        "room": {"id": "r", "slug": "weekly", "name": "Weekly"},
        "state": "complete",
        "began_at_ms": 1_800_000_000_000_i64,
        "duration_ms": 6_000,
        "files": [
            file("anna.webm", "a", "Anna", 0, 6_000), file("boris: 'x'.webm", "b", boris, 2_000, 3_000),
        ],
        "moments": [
            {"at_ms": 0, "kind": "joined", "participant_id": "a", "user_id": "a", "display_name": "Anna"},
            {"at_ms": 2_000, "kind": "joined", "participant_id": "b", "user_id": "b", "display_name": boris},
            {"at_ms": 5_000, "kind": "left", "participant_id": "b"},
        ],
        "gaps": [],
    });
    std::fs::write(folder.join("meeting.json"), contents.to_string()).expect("a writable folder");
}

/// The colour of a point of the picture at a moment.
fn colour_at(file: &Path, seconds: &str, x: u32, y: u32) -> [u8; 3] {
    let crop = format!("crop=2:2:{x}:{y}");
    let file = file.to_str().expect("utf-8");
    let rgb = tool(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-ss",
            seconds,
            "-i",
            file,
            "-frames:v",
            "1",
            "-vf",
            &crop,
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ],
    );
    [rgb[0], rgb[1], rgb[2]]
}

/// How loud a tone is in half a second, in decibels.
fn tone_at(file: &Path, seconds: &str, hertz: u32) -> f64 {
    let filter = format!("bandpass=f={hertz}:width_type=h:w=100,volumedetect");
    let file = file.to_str().expect("utf-8");
    let output = Command::new("ffmpeg")
        .args(["-ss", seconds, "-t", "0.5", "-i", file, "-vn", "-af", &filter, "-f", "null", "-"])
        .output()
        .expect("ffmpeg");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, after) = text.split_once("mean_volume: ").unwrap_or_else(|| panic!("{text}"));
    after
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{text}"))
}

fn length(file: &Path) -> f64 {
    let file = file.to_str().expect("utf-8");
    let told = tool(
        "ffprobe",
        &["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file],
    );
    String::from_utf8_lossy(&told).trim().parse().expect("a duration")
}

fn is_red([r, g, b]: [u8; 3]) -> bool {
    r > 180 && g < 80 && b < 80
}

fn is_green([r, g, b]: [u8; 3]) -> bool {
    r < 80 && g > 90 && b < 80
}

#[test]
fn everybody_is_seen_and_heard_while_they_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    recording(folder.path());
    for name in ["grid.mp4", "grid.webm"] {
        let output = export(&[".", name], folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let target = folder.path().join(name);
        assert!((length(&target) - 6.0).abs() < 0.1, "{} s", length(&target));
        // Each has half.
        assert!(
            is_red(colour_at(&target, "3.5", 300, 360)),
            "{:?}",
            colour_at(&target, "3.5", 300, 360)
        );
        assert!(
            is_green(colour_at(&target, "3.5", 960, 360)),
            "{:?}",
            colour_at(&target, "3.5", 960, 360)
        );
    }
    let target = folder.path().join("grid.mp4");
    // Alone, Anna has the whole frame.
    for at in ["1.0", "5.5"] {
        assert!(is_red(colour_at(&target, at, 640, 200)), "{:?}", colour_at(&target, at, 640, 200));
    }
    let [before, during, after] = ["1.0", "3.0", "5.3"].map(|at| tone_at(&target, at, 3_000));
    assert!(during > before + 30.0 && during > after + 30.0, "{before} {during} {after}");
    assert!(tone_at(&target, "1.0", 300) > -45.0 && tone_at(&target, "5.3", 300) > -45.0);
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left.len(), 5, "nothing half done is left: {left:?}");
}

#[test]
fn sound_alone_is_exported_too_and_the_speaker_has_the_stage() {
    let folder = tempfile::tempdir().expect("a folder");
    recording(folder.path());
    let output = export(&[".", "sound.m4a", "--view", "sound"], folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!((length(&folder.path().join("sound.m4a")) - 6.0).abs() < 0.1);
    let output = export(&[".", "speaker.mp4", "--view", "speaker"], folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let target = folder.path().join("speaker.mp4");
    assert!(is_red(colour_at(&target, "3.5", 400, 200)));
    assert!(
        is_green(colour_at(&target, "3.5", 1150, 345)),
        "{:?}",
        colour_at(&target, "3.5", 1150, 345)
    );
}

#[test]
fn what_cannot_be_done_is_told_in_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |arguments: &[&str]| {
        let output = export(arguments, folder.path());
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    assert!(told(&["nothing-here", "a.mp4"]).contains("neither a folder"));
    recording(folder.path());
    assert!(told(&[".", "a.avi"]).contains("must end in"));
    assert!(told(&[".", "a.mp3"]).contains("no pictures"));
    // Without ffmpeg.
    let output = Command::new(env!("CARGO_BIN_EXE_veche"))
        .args(["export", ".", "a.mp4"])
        .current_dir(folder.path())
        .env("PATH", "/nowhere")
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("ffmpeg is not installed"), "{text}");
    // A name that leads out of the folder is not followed.
    let path = folder.path().join("meeting.json");
    let contents =
        std::fs::read_to_string(&path).expect("written above").replace("anna.webm", "../anna.webm");
    std::fs::write(&path, contents).expect("a writable folder");
    assert!(told(&[".", "a.mp4"]).contains("no name of a file"));
}
