//! Whole recordings: what ffmpeg encodes is cut into RTP packets, goes over a link that loses and reorders,
//! is recorded, and ffmpeg reads the files without a word of complaint.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use recorder::{Codec, Output, RtpPacket, Source, VideoCodec, repair};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use testkit::{Film, Take};
use veche_recorder as recorder;

const MS: Duration = Duration::from_millis(1);
const NTP_2026: u64 = 3_976_000_000;

/// Runs a tool; its output, and that it had nothing to complain of.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the tool is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{program} {arguments:?}: {complaint}"
    );
    String::from_utf8(output.stdout).unwrap()
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("veche-recorder-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const SECONDS: u32 = 6;

/// Six seconds that are filmed, with a keyframe every two.
fn film(codec: VideoCodec) -> Film {
    let codec = match codec {
        VideoCodec::Vp8 => testkit::VideoCodec::Vp8,
        VideoCodec::Vp9 => testkit::VideoCodec::Vp9,
        VideoCodec::Av1 => testkit::VideoCodec::Av1,
        VideoCodec::H264 => testkit::VideoCodec::H264,
    };
    Film::encode(Take { keyframe_every: 50, ..Take::of(codec, SECONDS) }).unwrap()
}

/// One packet on its way to the recorder.
struct Sent {
    at: Duration,
    is_sound: bool,
    sequence: u64,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// The person speaks from the beginning and films from `films_from` on.
fn meeting(codec: VideoCodec, films_from: Duration) -> Vec<Sent> {
    let film = film(codec);
    let mut sent = Vec::new();
    for (i, payload) in film.sound.into_iter().enumerate() {
        let (at, timestamp) = (i as u32 * 20 * MS, 77 + i as u32 * 960);
        sent.push(Sent {
            at,
            is_sound: true,
            sequence: 65_500 + i as u64,
            timestamp,
            marker: false,
            payload,
        });
    }
    let mut sequence = 100;
    for (i, payloads) in film.pictures.into_iter().enumerate() {
        let at = films_from + i as u32 * 40 * MS;
        let timestamp = (u64::from(u32::MAX - 90_000) + at.as_millis() as u64 * 90) as u32;
        let count = payloads.len();
        for (k, payload) in payloads.into_iter().enumerate() {
            sent.push(Sent {
                at,
                is_sound: false,
                sequence,
                timestamp,
                marker: k + 1 == count,
                payload,
            });
            sequence += 1;
        }
    }
    sent.sort_by_key(|packet| packet.at);
    sent
}

/// A file as it is written.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    is_ended: bool,
    duration: Duration,
}

fn write(source: &mut Source, files: &mut Vec<Written>) {
    while let Some(output) = source.poll_output() {
        match output {
            Output::Begin { bytes, .. } => files.push(Written { bytes, ..Written::default() }),
            Output::Append(bytes) => files.last_mut().unwrap().bytes.extend(bytes),
            Output::End { append, patches, duration } => {
                let file = files.last_mut().unwrap();
                file.bytes.extend(append);
                for patch in patches {
                    let at = patch.offset as usize;
                    file.bytes[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
                }
                (file.is_ended, file.duration) = (true, duration);
            }
        }
    }
}

/// Records what is sent over a link that delays each packet as `delay` says; `None` loses it.
fn record(
    sent: &[Sent],
    codec: VideoCodec,
    delay: impl Fn(usize, &Sent) -> Option<Duration>,
    ends: bool,
) -> (Vec<Written>, Source) {
    let mut arrivals: Vec<(Duration, &Sent)> = sent
        .iter()
        .enumerate()
        .filter_map(|(i, packet)| Some((packet.at + delay(i, packet)?, packet)))
        .collect();
    arrivals.sort_by_key(|(at, _)| *at);
    let mut source = Source::new(1_790_000_000);
    source.expect(true, sent.iter().any(|packet| !packet.is_sound && packet.at < 500 * MS));
    let mut files = Vec::new();
    let mut next_report = Duration::ZERO;
    for (now, packet) in arrivals {
        let stream = u32::from(!packet.is_sound) + 1;
        source.packet(
            now,
            RtpPacket {
                stream,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                marker: packet.marker,
                codec: if packet.is_sound { Codec::Opus } else { Codec::Video(codec) },
                payload: &packet.payload,
            },
        );
        if now >= next_report {
            next_report = now + 500 * MS;
            let ntp = |at: Duration| (NTP_2026 << 32) + ((at.as_micros() as u64) << 32) / 1_000_000;
            source.report(now, stream, ntp(packet.at), packet.timestamp);
        }
        write(&mut source, &mut files);
    }
    if ends {
        source.finish();
        write(&mut source, &mut files);
    }
    (files, source)
}

/// Reads a file with ffmpeg from end to end; frames of picture and sound, and the duration it tells.
fn check(path: &str) -> (usize, usize, f64) {
    run("ffmpeg", &["-v", "error", "-xerror", "-i", path, "-f", "null", "-"]);
    let count = |kind: &str| {
        let out = run(
            "ffprobe",
            &[
                "-v",
                "error",
                "-select_streams",
                kind,
                "-count_packets",
                "-show_entries",
                "stream=nb_read_packets",
                "-of",
                "csv=p=0",
                path,
            ],
        );
        out.lines().next().and_then(|line| line.trim_matches(',').parse().ok()).unwrap_or(0)
    };
    let duration = run(
        "ffprobe",
        &["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path],
    );
    (count("v:0"), count("a:0"), duration.trim().parse().unwrap_or(0.0))
}

fn save(folder: &Folder, name: &str, file: &Written) -> String {
    let path = folder.file(name);
    std::fs::write(&path, &file.bytes).unwrap();
    path
}

fn no_delay(_: usize, _: &Sent) -> Option<Duration> {
    Some(30 * MS)
}

fn seek_points(path: &str) -> usize {
    run("mkvinfo", &["-a", path]).matches("Cue point").count()
}

#[test]
fn every_codec_makes_files_that_play_and_seek() {
    for (codec, suffix) in [
        (VideoCodec::Vp8, "webm"),
        (VideoCodec::Vp9, "webm"),
        (VideoCodec::Av1, "webm"),
        (VideoCodec::H264, "mkv"),
    ] {
        let folder = Folder::new(suffix);
        let sent = meeting(codec, Duration::ZERO);
        // Every seventh packet comes 35 ms late, behind others.
        let late = |i: usize, _: &Sent| Some(if i % 7 == 3 { 65 * MS } else { 30 * MS });
        let (files, mut source) = record(&sent, codec, late, true);
        assert_eq!(files.len(), 1, "{codec:?}");
        assert!(files[0].is_ended && source.take_gaps().is_empty());
        let path = save(&folder, &format!("out.{suffix}"), &files[0]);
        let (pictures, sounds, duration) = check(&path);
        assert_eq!(pictures, SECONDS as usize * 25, "{codec:?}");
        assert!(sounds >= SECONDS as usize * 50, "{sounds}");
        assert!(
            (f64::from(SECONDS) - 0.1..f64::from(SECONDS) + 0.2).contains(&duration),
            "{duration}"
        );
        // A keyframe every two seconds.
        assert_eq!(seek_points(&path), 3, "{codec:?}");
        let size = run(
            "ffprobe",
            &[
                "-v",
                "error",
                "-select_streams",
                "v:0",
                "-show_entries",
                "stream=width,height",
                "-of",
                "csv=p=0",
                &path,
            ],
        );
        assert_eq!(size.trim(), "320,180");
    }
}

#[test]
fn what_is_lost_leaves_a_gap_and_the_rest_plays() {
    let folder = Folder::new("gaps");
    let sent = meeting(VideoCodec::Vp8, Duration::ZERO);
    // A second without a packet, and one packet of sound alone.
    let dark = |_: usize, packet: &Sent| {
        let is_dark = (2_500 * MS..3_500 * MS).contains(&packet.at)
            || (packet.is_sound && packet.sequence == 65_510);
        (!is_dark).then_some(30 * MS)
    };
    let (files, mut source) = record(&sent, VideoCodec::Vp8, dark, true);
    let path = save(&folder, "out.webm", &files[0]);
    let (pictures, sounds, duration) = check(&path);
    // Pictures come again with the keyframe at 4 s.
    assert_eq!(pictures, SECONDS as usize * 25 - 37);
    assert!((245..=252).contains(&sounds), "{sounds}");
    assert!(duration > f64::from(SECONDS) - 0.1);
    let gaps = source.take_gaps();
    assert!(gaps.iter().any(|gap| gap.is_sound && gap.packets == 50), "{gaps:?}");
    assert!(gaps.iter().any(|gap| !gap.is_sound));
}

#[test]
fn a_file_that_ends_anywhere_is_mended() {
    let folder = Folder::new("mend");
    let sent = meeting(VideoCodec::Vp8, Duration::ZERO);
    let (files, _source) = record(&sent, VideoCodec::Vp8, no_delay, false);
    let whole = &files[0].bytes;
    assert!(!files[0].is_ended);
    let header = 600;
    for cut in [whole.len(), whole.len() - 1, whole.len() / 2, whole.len() / 3 + 7] {
        let mut bytes = whole[..cut].to_vec();
        let read = |at: u64, count: usize| {
            let at = (at as usize).min(bytes.len());
            Ok(bytes[at..bytes.len().min(at + count)].to_vec())
        };
        let mended = repair::inspect(cut as u64, read).unwrap().expect("it is not whole");
        assert!(mended.keep as usize <= cut && mended.keep as usize > header);
        bytes.truncate(mended.keep as usize);
        bytes.extend(&mended.append);
        for patch in &mended.patches {
            let at = patch.offset as usize;
            bytes[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
        }
        let path = folder.file("mended.webm");
        std::fs::write(&path, &bytes).unwrap();
        let (_, _, duration) = check(&path);
        if cut == whole.len() {
            assert!(
                duration >= f64::from(SECONDS) - 3.0,
                "three seconds are lost at most: {duration}"
            );
        }
        assert!((duration * 1e3 - mended.duration_ms as f64).abs() < 1.0);
        assert!(seek_points(&path) >= 1);
        let again = |at: u64, count: usize| {
            let at = (at as usize).min(bytes.len());
            Ok(bytes[at..bytes.len().min(at + count)].to_vec())
        };
        assert_eq!(repair::inspect(bytes.len() as u64, again).unwrap(), None, "it is whole now");
    }
}

#[test]
fn a_camera_that_is_opened_later_begins_a_new_file() {
    let folder = Folder::new("later");
    let sent = meeting(VideoCodec::Vp8, 3_000 * MS);
    let (files, _) = record(&sent, VideoCodec::Vp8, no_delay, true);
    assert_eq!(files.len(), 2);
    let (pictures, sounds, duration) = check(&save(&folder, "first.webm", &files[0]));
    assert_eq!(pictures, 0);
    assert!(sounds > 140 && (2.8..3.2).contains(&duration), "{sounds} {duration}");
    let (pictures, sounds, _) = check(&save(&folder, "second.webm", &files[1]));
    assert_eq!(pictures, SECONDS as usize * 25);
    assert!(sounds > 140);
}

#[test]
fn what_is_not_ours_is_not_mended() {
    let read = |bytes: &'static [u8]| {
        move |at: u64, count: usize| {
            let at = (at as usize).min(bytes.len());
            Ok(bytes[at..bytes.len().min(at + count)].to_vec())
        }
    };
    for bytes in [&b""[..], b"RIFF....", &[0x1a, 0x45, 0xdf, 0xa3, 0x80], &[0xff; 64]] {
        assert!(repair::inspect(bytes.len() as u64, read(bytes)).is_err());
    }
}
