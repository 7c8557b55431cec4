//! One file of a recording: the pictures of everybody composed, the sound of everybody mixed. `veche export` and the
//! queue of exports call it.
//!
//! The recording is cut into scenes in which every picture stays where it is; ffmpeg makes each, and the sound of the
//! whole, and puts them together. Nothing of the recording is changed.

pub mod ffmpeg;
mod layout;
pub mod queue;
mod scenes;

use anyhow::{Context, bail, ensure};
use clap::ValueEnum;
use ffmpeg::Call;
use recorder::contents::{Contents, FileEntry, VERSION};
use scenes::{Cell, FRAME_MS, Scene};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Size of the composed picture.
const FRAME: (u32, u32) = (1280, 720);
/// Colours behind everything, and behind a person without a picture.
const BACKGROUND: &str = "0x101418";
const TILE: &str = "0x20262d";
/// Tracks of sound that one call mixes: each holds a decoder and an open file.
const MAX_MIXED: usize = 64;

/// How people are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// Everybody in the same size.
    Grid,
    /// Who speaks large, others beside.
    Speaker,
    /// Nobody: sound alone.
    Sound,
}

/// Whoever watched the progress wants no outcome any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop;

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stop {}

/// Makes `target` of the recording in `folder`, in the format that its ending names (`mp4` or `webm`; for sound alone
/// also `m4a`, `ogg` and `mp3`). `progress` hears how much is done, from 0 to 1, and may stop it. Until it is whole
/// the file has another name.
///
/// # Errors
/// The folder holds no recording that has ended, nothing is in it, ffmpeg is missing or fails, or it was stopped.
pub fn export(
    folder: &Path,
    target: &Path,
    view: View,
    mut progress: impl FnMut(f64) -> Result<(), Stop>,
) -> anyhow::Result<()> {
    let recording = Recording::open(folder)?;
    let format = Format::of(target, view)?;
    let scratch = Scratch::beside(target)?;
    let length = scenes::duration_ms(&recording.contents);
    ensure!(length > 0, "nothing was recorded: no file of it has a length");
    // Composing costs some ten times what mixing does.
    let shares = if view == View::Sound { (1.0, 0.0) } else { (0.1, 0.9) };
    let sound = recording.sound(&scratch, format, &mut |part| progress(part * shares.0))?;
    let mut parts = Call::default();
    if view == View::Sound {
        let Some(sound) = &sound else { bail!("nobody was heard in this recording") };
        parts = parts.with(["-i"]).with([sound]);
    } else {
        let list = recording
            .pictures(&scratch, view, format, &mut |part| progress(shares.0 + part * shares.1))?;
        parts = parts.with(["-f", "concat", "-safe", "0", "-i"]).with([&list]);
        if let Some(sound) = &sound {
            parts = parts.with(["-i"]).with([sound]);
        }
    }
    let whole = scratch.0.join(format!("whole.{}", format.ending));
    let title = &recording.contents.room.name;
    parts
        .with(["-c", "copy", "-metadata", &format!("title={title}")])
        .with(if format.is_mp4() { ["-movflags", "+faststart"].as_slice() } else { &[] })
        .with([&whole])
        .run(|_| progress(1.0))?;
    fs::rename(&whole, target).with_context(|| format!("cannot write {}", target.display()))
}

/// The folder of a recording by its id, among those of all rooms.
///
/// # Errors
/// There is none, or the folder of recordings cannot be read.
pub fn find(records: &Path, id: &str) -> anyhow::Result<PathBuf> {
    // An id, so that no path out of the folder is followed.
    let id = uuid::Uuid::parse_str(id).with_context(|| {
        format!("{id:?} is neither a folder with a recording nor the id of one")
    })?;
    let rooms =
        fs::read_dir(records).with_context(|| format!("cannot read {}", records.display()))?;
    let found =
        rooms.flatten().map(|room| room.path().join(id.to_string())).find(|path| path.is_dir());
    found.with_context(|| format!("there is no recording {id} in {}", records.display()))
}

/// What the ending of the target's name means.
#[derive(Clone, Copy, Debug)]
struct Format {
    ending: &'static str,
    picture: &'static [&'static str],
    sound: &'static [&'static str],
}

const H264: &[&str] =
    &["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p"];
const VP8: &[&str] = &[
    "-c:v",
    "libvpx",
    "-deadline",
    "realtime",
    "-cpu-used",
    "8",
    "-b:v",
    "2M",
    "-crf",
    "20",
    "-pix_fmt",
    "yuv420p",
];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "128k"];
const OPUS: &[&str] = &["-c:a", "libopus", "-b:a", "96k"];
const MP3: &[&str] = &["-c:a", "libmp3lame", "-b:a", "128k"];

const FORMATS: [Format; 5] = [
    Format { ending: "mp4", picture: H264, sound: AAC },
    Format { ending: "webm", picture: VP8, sound: OPUS },
    Format { ending: "m4a", picture: &[], sound: AAC },
    Format { ending: "ogg", picture: &[], sound: OPUS },
    Format { ending: "mp3", picture: &[], sound: MP3 },
];

impl Format {
    fn of(target: &Path, view: View) -> anyhow::Result<Self> {
        let ending = target.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let known = FORMATS.into_iter().find(|format| format.ending == ending.to_lowercase());
        match known {
            Some(format) if view != View::Sound && format.picture.is_empty() => {
                bail!(".{ending} holds no pictures; take .mp4 or .webm, or export the sound alone")
            }
            Some(format) => Ok(format),
            None => bail!(
                "the file must end in .mp4 or .webm, or for sound alone in .m4a, .ogg or .mp3"
            ),
        }
    }

    fn is_mp4(self) -> bool {
        matches!(self.ending, "mp4" | "m4a")
    }
}

/// Takes away what an export of that target has left half done.
pub fn forget_half(target: &Path) {
    if let Some(half) = half_of(target) {
        let _ = fs::remove_dir_all(half);
    }
}

fn half_of(target: &Path) -> Option<PathBuf> {
    let mut hidden = OsString::from(".");
    hidden.push(target.file_name()?);
    hidden.push(".part");
    Some(target.with_file_name(hidden))
}

/// A folder for what is half done, beside the target so that the outcome only has to be renamed.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(target: &Path) -> anyhow::Result<Self> {
        let path = half_of(target).context("the file needs a name")?;
        fs::create_dir(&path).with_context(|| {
            format!("cannot make {} (is another export of it running?)", path.display())
        })?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A recording that has ended, on the disk.
struct Recording {
    folder: PathBuf,
    contents: Contents,
}

type Watch<'a> = &'a mut dyn FnMut(f64) -> Result<(), Stop>;

impl Recording {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("meeting.json");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let contents: Contents = serde_json::from_str(&text)
            .with_context(|| format!("{} is no table of contents", path.display()))?;
        ensure!(contents.version <= VERSION, "this recording was made by a newer version");
        ensure!(
            contents.state != recorder::contents::State::Recording,
            "this recording has not ended yet"
        );
        for file in &contents.files {
            let mut parts = Path::new(&file.name).components();
            let is_plain =
                matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
            ensure!(is_plain, "{:?} is no name of a file of the recording", file.name);
        }
        Ok(Self { folder: folder.to_owned(), contents })
    }

    fn path(&self, file: &FileEntry) -> PathBuf {
        // ffmpeg takes what has a colon for a protocol, unless a folder stands before it.
        self.folder.join(&file.name)
    }

    /// Mixes the sound of all files; the file that holds it, if anything was heard.
    fn sound(
        &self,
        scratch: &Scratch,
        format: Format,
        watch: Watch<'_>,
    ) -> anyhow::Result<Option<PathBuf>> {
        let files = self.contents.files.iter();
        let mut tracks: Vec<(PathBuf, u64)> = files
            .filter(|file| file.tracks.iter().any(|track| track.codec == "opus"))
            .map(|file| (self.path(file), file.offset_ms))
            .collect();
        if tracks.is_empty() {
            return Ok(None);
        }
        let length = scenes::duration_ms(&self.contents);
        let mut mixes = 0;
        while tracks.len() > MAX_MIXED {
            let rest = tracks.split_off(MAX_MIXED);
            let mix = scratch.0.join(format!("mix-{mixes}.flac"));
            mix_sound(&tracks, length, &["-c:a", "flac"], &mix, &mut |_| Ok(()))?;
            mixes += 1;
            tracks = rest;
            tracks.push((mix, 0));
        }
        let sound =
            scratch.0.join(format!("sound.{}", if format.is_mp4() { "m4a" } else { "mka" }));
        mix_sound(&tracks, length, format.sound, &sound, watch)?;
        Ok(Some(sound))
    }

    /// Composes all scenes; the list of their files for putting them together.
    fn pictures(
        &self,
        scratch: &Scratch,
        view: View,
        format: Format,
        watch: Watch<'_>,
    ) -> anyhow::Result<PathBuf> {
        let scenes = scenes::scenes(&self.contents, view, FRAME);
        let writes_names = writes_names();
        let length = scenes::duration_ms(&self.contents).max(1) as f64;
        let mut list = String::from("ffconcat version 1.0\n");
        for (number, scene) in scenes.iter().enumerate() {
            let name = format!("scene-{number}.{}", if format.is_mp4() { "mp4" } else { "webm" });
            let before = scene.from_ms;
            let mut watch = |made: u64| watch((before + made) as f64 / length);
            self.picture(scratch, scene, format, writes_names, &scratch.0.join(&name), &mut watch)?;
            list.push_str(&format!("file {name}\n"));
        }
        let path = scratch.0.join("scenes.txt");
        fs::write(&path, list).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn picture(
        &self,
        scratch: &Scratch,
        scene: &Scene,
        format: Format,
        writes_names: bool,
        target: &Path,
        watch: &mut dyn FnMut(u64) -> Result<(), Stop>,
    ) -> anyhow::Result<()> {
        let length = scene.to_ms - scene.from_ms;
        let (width, height) = FRAME;
        let rate = 1_000 / FRAME_MS;
        let mut graph = format!(
            "color=c={BACKGROUND}:s={width}x{height}:r={rate}:d={}[frame0]",
            seconds(length)
        );
        let mut call = Call::default();
        let mut inputs = 0;
        for (number, cell) in scene.cells.iter().enumerate() {
            let Cell { rect, name, .. } = cell;
            let (w, h) = (rect.width, rect.height);
            let file = cell.file.map(|file| &self.contents.files[file]);
            let seen = file.filter(|file| self.has_picture_at(file, scene.from_ms, scene.to_ms));
            let mut label = match seen {
                Some(file) => {
                    let skip = scene.from_ms.saturating_sub(file.offset_ms);
                    // It may begin a moment after its scene, whose first picture is its first then.
                    let late = file.offset_ms.saturating_sub(scene.from_ms);
                    call = call
                        .with(["-ss", &seconds(skip), "-t", &seconds(length), "-i"])
                        .with([self.path(file)]);
                    inputs += 1;
                    format!(
                        ";[{}:v:0]setpts=PTS+{}/TB,fps={rate}:start_time=0,scale={w}:{h}:force_original_aspect_ratio=decrease:force_divisible_by=2,pad={w}:{h}:-1:-1:color={TILE},setsar=1,format=yuv420p",
                        inputs - 1,
                        seconds(late),
                    )
                }
                None => format!(";color=c={TILE}:s={w}x{h}:r={rate}:d={}", seconds(length)),
            };
            if writes_names {
                // The name is read from a file: nothing in it can mean anything to ffmpeg.
                let text = format!("name-{number}.txt");
                fs::write(scratch.0.join(&text), one_line(name))?;
                label.push_str(&write_name(&scratch.0.join(text), *rect, seen.is_none()));
            }
            graph.push_str(&format!(
                "{label}[cell{number}];[frame{number}][cell{number}]overlay={}:{}:eof_action=repeat[frame{}]",
                rect.x,
                rect.y,
                number + 1,
            ));
        }
        let frames = (length / FRAME_MS).to_string();
        call.with(["-filter_complex", &graph, "-map", &format!("[frame{}]", scene.cells.len())])
            .with(["-frames:v", &frames, "-r", &rate.to_string(), "-g", &(rate * 4).to_string()])
            .with(format.picture)
            // All scenes count alike, or they could not be put together without touching them.
            .with(if format.is_mp4() {
                ["-video_track_timescale", "90000"].as_slice()
            } else {
                &[]
            })
            .with([target])
            .run(|made| watch(made.min(length)))
    }

    /// Whether any picture of the file falls into that time: of a camera that was switched off none does, and ffmpeg
    /// cannot compose what it never gets a picture of.
    fn has_picture_at(&self, file: &FileEntry, from_ms: u64, to_ms: u64) -> bool {
        let skip = seconds(from_ms.saturating_sub(file.offset_ms));
        let length = seconds((to_ms - from_ms).max(FRAME_MS));
        let found = Call::default()
            .with(["-ss", &skip, "-t", &length, "-i"])
            .with([self.path(file)])
            .with(["-map", "0:v:0", "-frames:v", "1", "-f", "framemd5", "-"])
            .output();
        found.is_ok_and(|told| {
            String::from_utf8_lossy(&told).lines().any(|line| !line.starts_with('#'))
        })
    }
}

/// Mixes tracks, each from its offset on, into a file of `length_ms`.
fn mix_sound(
    tracks: &[(PathBuf, u64)],
    length_ms: u64,
    codec: &[&str],
    target: &Path,
    watch: Watch<'_>,
) -> anyhow::Result<()> {
    let mut call = Call::default();
    let mut graph = String::new();
    for (number, (path, offset_ms)) in tracks.iter().enumerate() {
        call = call.with(["-i"]).with([path]);
        // Holes, as of silence that is not sent, are filled; then the track begins when it began.
        graph.push_str(&format!(
            "[{number}:a:0]aresample=48000:async=1:first_pts=0,aformat=channel_layouts=stereo,adelay=delays={offset_ms}:all=1[track{number}];"
        ));
    }
    let labels: String = (0..tracks.len()).map(|number| format!("[track{number}]")).collect();
    graph.push_str(&format!(
        "{labels}amix=inputs={}:normalize=0:dropout_transition=0,alimiter=limit=0.95:level=0,apad=whole_dur={}[out]",
        tracks.len(),
        seconds(length_ms),
    ));
    call.with(["-filter_complex", &graph, "-map", "[out]", "-t", &seconds(length_ms)])
        .with(codec)
        .with([target])
        .run(|made| watch(made.min(length_ms) as f64 / length_ms.max(1) as f64))
}

/// A filter that writes a name into the corner of a picture, or into the middle of an empty tile.
fn write_name(text: &Path, rect: layout::Rect, is_empty: bool) -> String {
    let size = (rect.height / 18).clamp(12, 28);
    let place = if is_empty { "x=(w-tw)/2:y=(h-th)/2" } else { "x=12:y=h-th-12" };
    format!(
        ",drawtext=textfile={}:expansion=none:fontsize={size}:fontcolor=white:box=1:boxcolor=black@0.45:boxborderw=6:{place}",
        escaped(&text.display().to_string()),
    )
}

/// Whether this ffmpeg writes text: it needs a font, which a server may not have.
fn writes_names() -> bool {
    let probe =
        ["-f", "lavfi", "-i", "color=s=32x32:d=0.04", "-vf", "drawtext=text=x", "-f", "null", "-"];
    Call::default().with(probe).output().is_ok()
}

/// A value of a filter's option: quoted once for the option and once for the graph.
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '\\' | '\'' | ':' => out.push_str(&format!("\\\\\\{c}")),
            '[' | ']' | ',' | ';' | ' ' => out.push_str(&format!("\\{c}")),
            _ => out.push(c),
        }
    }
    out
}

fn one_line(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}
