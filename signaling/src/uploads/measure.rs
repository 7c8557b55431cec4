//! What an uploaded file is, by what it holds and not by its name: its format, how long it is, and its codecs as far as
//! that is told. Nothing is decoded, and little is read however large it is.

use std::fs::File;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt;

/// Elements or boxes that are looked at: an hour of clusters of a second is 3,600.
const MAX_STEPS: usize = 500_000;
/// Bytes of what is read into memory at once: headers and tables, never pictures.
const MAX_PIECE: u64 = 1024 * 1024;
/// How deep boxes stand in each other where we look.
const MAX_DEPTH: usize = 4;

/// A format that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// WebM.
    WebM,
    /// Matroska.
    Matroska,
    /// MP4 and its kin.
    Mp4,
    /// Ogg.
    Ogg,
}

impl Kind {
    /// At the end of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::WebM => "webm",
            Self::Matroska => "mkv",
            Self::Mp4 => "mp4",
            Self::Ogg => "ogg",
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Format.
    pub kind: Kind,
    /// How long it is, where that can be told.
    pub duration_ms: Option<u64>,
    /// Codecs of its tracks, where they are ones we name.
    pub codecs: Vec<String>,
}

/// Looks at a file of `length` bytes; `None` where it is nothing that is taken.
pub fn measure(file: File, length: u64) -> Result<Option<Measured>> {
    let pieces = Pieces { file, length };
    let start = pieces.read(0, 64)?;
    if start.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return matroska(&pieces);
    }
    if start.get(4..8) == Some(b"ftyp") {
        let mut found = Measured { kind: Kind::Mp4, duration_ms: None, codecs: Vec::new() };
        let mut steps = 0;
        let is_whole = boxes(&pieces, 0, length, 0, &mut steps, &mut found)?;
        return Ok(is_whole.then_some(found));
    }
    if start.starts_with(b"OggS") {
        return ogg(&pieces, &start);
    }
    Ok(None)
}

struct Pieces {
    file: File,
    length: u64,
}

impl Pieces {
    /// Up to so many bytes from there; fewer at the end.
    fn read(&self, at: u64, count: u64) -> Result<Vec<u8>> {
        let count = count.min(MAX_PIECE).min(self.length.saturating_sub(at));
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        match self.file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// An element's id and size (`None`: not told), and how many bytes they take.
fn element(bytes: &[u8]) -> Option<(u64, Option<u64>, u64)> {
    let id_length = bytes.first()?.leading_zeros() as usize + 1;
    let id = number(bytes.get(..id_length).filter(|_| id_length <= 4)?);
    let rest = &bytes[id_length..];
    let size_length = rest.first()?.leading_zeros() as usize + 1;
    let size = number(rest.get(..size_length).filter(|_| size_length <= 8)?);
    let mask = (1u64 << (7 * size_length)) - 1;
    let size = Some(size & mask).filter(|size| *size != mask);
    Some((id, size, (id_length + size_length) as u64))
}

/// The children of an element that was read.
fn children(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (id, size, head) = element(bytes)?;
        let (from, size) = (usize::try_from(head).ok()?, usize::try_from(size?).ok()?);
        let content = bytes.get(from..from.checked_add(size)?)?;
        bytes = &bytes[from + size..];
        Some((id, content))
    })
}

fn matroska(pieces: &Pieces) -> Result<Option<Measured>> {
    let Some((_, Some(size), head)) = element(&pieces.read(0, 16)?) else { return Ok(None) };
    let header = pieces.read(head, size)?;
    let doc_type = children(&header).find(|(id, _)| *id == 0x4282).map(|(_, text)| text);
    let kind = match doc_type {
        Some(b"webm") => Kind::WebM,
        Some(b"matroska") => Kind::Matroska,
        _ => return Ok(None),
    };
    let mut found = Measured { kind, duration_ms: None, codecs: Vec::new() };
    let (mut told, mut last) = (None, None);
    let mut scale_ns = 1_000_000u64;
    let mut at = head.saturating_add(size);
    let mut has_tracks = false;
    for _ in 0..MAX_STEPS {
        let Some((id, size, head)) = element(&pieces.read(at, 16)?) else { break };
        let content = at.saturating_add(head);
        match (id, size) {
            // Segment, and clusters whose size is not told: their children come next.
            (0x1853_8067, _) | (0x1f43_b675, None) => {
                at = content;
                continue;
            }
            // Info.
            (0x1549_a966, Some(size)) => {
                for (id, value) in children(&pieces.read(content, size)?) {
                    match (id, value.len()) {
                        (0x2a_d7b1, _) => scale_ns = number(value).clamp(1, 1_000_000_000),
                        (0x4489, 4) => told = Some(f64::from(f32::from_bits(number(value) as u32))),
                        (0x4489, 8) => told = Some(f64::from_bits(number(value))),
                        _ => {}
                    }
                }
            }
            // Tracks.
            (0x1654_ae6b, Some(size)) => {
                has_tracks = true;
                for (_, track) in
                    children(&pieces.read(content, size)?).filter(|(id, _)| *id == 0xae)
                {
                    let codec = children(track).find(|(id, _)| *id == 0x86).map(|(_, id)| id);
                    found.codecs.extend(codec.and_then(codec_of_matroska).map(str::to_owned));
                }
            }
            // A cluster: its time stands first, and its last block is within seconds.
            (0x1f43_b675, Some(_)) => {
                if let Some((0xe7, Some(size), head)) = element(&pieces.read(content, 16)?) {
                    last = Some(number(&pieces.read(content.saturating_add(head), size.min(8))?));
                }
            }
            // The time of a cluster without size.
            (0xe7, Some(size)) => last = Some(number(&pieces.read(content, size.min(8))?)),
            (_, None) => break,
            (_, Some(_)) => {}
        }
        at = content.saturating_add(size.unwrap_or(0));
    }
    let ticks = told.filter(|ticks| ticks.is_finite() && *ticks > 0.0).or(last.map(|t| t as f64));
    found.duration_ms = ticks.map(|ticks| (ticks * scale_ns as f64 / 1e6) as u64);
    Ok(has_tracks.then_some(found))
}

fn codec_of_matroska(id: &[u8]) -> Option<&'static str> {
    Some(match id {
        b"A_OPUS" => "opus",
        b"V_VP8" => "vp8",
        b"V_VP9" => "vp9",
        b"V_AV1" => "av1",
        b"V_MPEG4/ISO/AVC" => "h264",
        _ => return None,
    })
}

/// Walks boxes; whether a `moov` with a header was among them.
fn boxes(
    pieces: &Pieces,
    mut at: u64,
    end: u64,
    depth: usize,
    steps: &mut usize,
    found: &mut Measured,
) -> Result<bool> {
    let mut has_header = false;
    while at.saturating_add(8) <= end && *steps < MAX_STEPS {
        *steps += 1;
        let head = pieces.read(at, 16)?;
        let (Some(size), Some(kind)) = (head.get(..4), head.get(4..8)) else { break };
        let (size, from) = match number(size) {
            0 => (end - at, 8),
            1 => (head.get(8..16).map_or(0, number), 16),
            size => (size, 8),
        };
        if size < from || size > end - at {
            break;
        }
        let content = at + from;
        match kind {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" if depth < MAX_DEPTH + 1 => {
                has_header |= boxes(pieces, content, at + size, depth + 1, steps, found)?;
            }
            b"mvhd" => {
                has_header = true;
                let header = pieces.read(content, 32)?;
                let is_long = header.first() == Some(&1);
                let (scale, ticks) = if is_long { (20..24, 24..32) } else { (12..16, 16..20) };
                let scale = header.get(scale).map_or(0, number);
                let ticks = header.get(ticks).map_or(0, number);
                if scale > 0 && ticks > 0 {
                    let ms = u128::from(ticks) * 1_000 / u128::from(scale);
                    found.duration_ms = u64::try_from(ms).ok();
                }
            }
            b"stsd" => {
                let entry = pieces.read(content, 16)?;
                let codec = match entry.get(12..16) {
                    Some(b"avc1" | b"avc3") => Some("h264"),
                    Some(b"av01") => Some("av1"),
                    Some(b"vp09") => Some("vp9"),
                    Some(b"Opus") => Some("opus"),
                    _ => None,
                };
                found.codecs.extend(codec.map(str::to_owned));
            }
            _ => {}
        }
        at += size;
    }
    Ok(has_header)
}

/// Ogg with Opus: the last page says how many samples there are.
fn ogg(pieces: &Pieces, start: &[u8]) -> Result<Option<Measured>> {
    if start.get(28..36) != Some(b"OpusHead") {
        return Ok(None);
    }
    let from = pieces.length.saturating_sub(MAX_PIECE);
    let tail = pieces.read(from, MAX_PIECE)?;
    let last = tail.windows(4).rposition(|four| four == b"OggS");
    let granule = last.and_then(|at| tail.get(at + 6..at + 14)).and_then(|b| b.try_into().ok());
    let samples = granule.map_or(0, u64::from_le_bytes);
    let duration_ms = (samples > 0 && samples < u64::MAX / 2).then_some(samples / 48);
    Ok(Some(Measured { kind: Kind::Ogg, duration_ms, codecs: vec!["opus".to_owned()] }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::Command;

    struct Folder(std::path::PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn folder() -> Folder {
        let path = std::env::temp_dir().join(format!("veche-measure-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn look(bytes: &[u8]) -> Option<Measured> {
        let folder = folder();
        let path = folder.0.join("file");
        File::create(&path).unwrap().write_all(bytes).unwrap();
        measure(File::open(&path).unwrap(), bytes.len() as u64).unwrap()
    }

    /// Three seconds as ffmpeg writes them with these arguments.
    fn encode(name: &str, arguments: &[&str]) -> Vec<u8> {
        let folder = folder();
        let path = folder.0.join(name);
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=3"])
            .args(["-f", "lavfi", "-i", "sine=duration=3"])
            .args(arguments)
            .arg(&path)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(path).unwrap()
    }

    #[test]
    fn files_are_known_by_what_they_hold() {
        let webm = ["-c:v", "libvpx", "-cpu-used", "8", "-c:a", "libopus"];
        let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "libopus"];
        let live = [&webm[..], &["-live", "1"]].concat();
        for (name, arguments, kind, codecs) in [
            ("a.webm", &webm[..], Kind::WebM, &["vp8", "opus"][..]),
            // As a browser's recorder writes it: nothing tells how long it is.
            ("b.webm", &live, Kind::WebM, &["vp8", "opus"]),
            ("c.mkv", &h264, Kind::Matroska, &["h264", "opus"]),
            ("d.mp4", &h264, Kind::Mp4, &["h264", "opus"]),
            ("e.ogg", &["-map", "1:a", "-c:a", "libopus"], Kind::Ogg, &["opus"]),
        ] {
            let found = look(&encode(name, arguments)).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(
                (found.kind, found.codecs),
                (kind, codecs.iter().map(|&c| c.into()).collect()),
                "{name}"
            );
            let ms = found.duration_ms.unwrap_or_else(|| panic!("{name} has no duration"));
            assert!((1_900..3_200).contains(&ms), "{name}: {ms}");
        }
    }

    #[test]
    fn what_is_no_recording_is_none_whatever_it_is_called() {
        for bytes in [
            &b""[..],
            b"MZ\x90\0",
            b"<html><script>alert(1)</script>",
            b"\x1a\x45\xdf\xa3",
            b"\0\0\0\x08ftyp",
            b"OggS",
            &[0; 4_096],
        ] {
            assert_eq!(look(bytes), None);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn no_file_breaks_it(
            start in prop_oneof![
                Just(&b"\x1a\x45\xdf\xa3\x88\x42\x82\x84webm\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"[..]),
                Just(&b"\0\0\0\x10ftypisom\0\0\0\0"[..]),
                Just(&b"OggS"[..]),
            ],
            rest in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            look(&[start, &rest].concat());
        }
    }
}
