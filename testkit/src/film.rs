//! Sound and pictures that real encoders made (ffmpeg), cut into RTP payloads as browsers cut them.

use crate::Error;
use std::path::Path;
use std::process::Command;

/// Bytes of a payload.
const MTU: usize = 1_100;

/// A codec of pictures, by its name in SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoCodec {
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
}

impl VideoCodec {
    /// In `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
        }
    }

    /// In `a=fmtp`, where it has something to say.
    pub fn parameters(self) -> Option<&'static str> {
        match self {
            Self::Vp8 => None,
            Self::Vp9 => Some("profile-id=0"),
            Self::H264 => {
                Some("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f")
            }
        }
    }
}

/// Some seconds of a person who speaks and films, to be sent again and again.
#[derive(Clone, Debug)]
pub struct Film {
    /// Payloads of each picture, 25 a second; the first is a keyframe, and one each second.
    pub pictures: Vec<Vec<Vec<u8>>>,
    /// Opus of 20 ms each.
    pub sound: Vec<Vec<u8>>,
}

impl Film {
    /// Has that many seconds encoded; the sound beeps at each full second.
    pub fn encode(codec: VideoCodec, seconds: u32) -> Result<Self, Error> {
        let folder =
            std::env::temp_dir().join(format!("veche-film-{:016x}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder)?;
        let film = encode(codec, seconds, &folder);
        std::fs::remove_dir_all(&folder).ok();
        film
    }
}

fn encode(codec: VideoCodec, seconds: u32, folder: &Path) -> Result<Film, Error> {
    let pictures = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
    let (encoder, file): (&[&str], _) = match codec {
        VideoCodec::Vp8 => (
            &["libvpx", "-deadline", "realtime", "-cpu-used", "8", "-error-resilient", "1"],
            "pictures.ivf",
        ),
        VideoCodec::Vp9 => (
            &["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
            "pictures.ivf",
        ),
        VideoCodec::H264 => (
            &["libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1"],
            "pictures.h264",
        ),
    };
    let path = folder.join(file).display().to_string();
    let mut arguments = vec!["-f", "lavfi", "-i", &pictures, "-g", "25", "-b:v", "400k", "-c:v"];
    arguments.extend(encoder);
    arguments.push(&path);
    run(&arguments)?;
    let bytes = std::fs::read(&path)?;
    let frames = if codec == VideoCodec::H264 { access_units(&bytes) } else { ivf(&bytes) };
    let pictures = frames.iter().enumerate().map(|(n, f)| packetize(codec, f, n as u16)).collect();
    let sound = format!("sine=frequency=440:beep_factor=4:duration={seconds}");
    let path = folder.join("sound.ogg").display().to_string();
    run(&["-f", "lavfi", "-i", &sound, "-ac", "2", "-c:a", "libopus", "-b:a", "32k", &path])?;
    Ok(Film { pictures, sound: ogg(&std::fs::read(&path)?) })
}

fn run(arguments: &[&str]) -> Result<(), Error> {
    let output = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Answer(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn ivf(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes.get(32..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        frames.push(after[..length].to_vec());
        rest = &after[length..];
    }
    frames
}

/// Units of each picture with their lengths before them.
fn access_units(bytes: &[u8]) -> Vec<Vec<u8>> {
    let starts: Vec<usize> = (0..bytes.len().saturating_sub(3))
        .filter(|&i| bytes[i..].starts_with(&[0, 0, 1]))
        .collect();
    let mut pictures = Vec::new();
    let mut current = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts
            .get(index + 1)
            .map_or(bytes.len(), |&next| if bytes[next - 1] == 0 { next - 1 } else { next });
        let unit = &bytes[start + 3..end];
        current.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        current.extend_from_slice(unit);
        // One slice a picture, as ultrafast makes them.
        if matches!(unit[0] & 0x1f, 1 | 5) {
            pictures.push(std::mem::take(&mut current));
        }
    }
    pictures
}

/// The packets in an Ogg file behind its two headers.
fn ogg(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut rest = bytes;
    let mut packet = Vec::new();
    while rest.len() >= 27 {
        let count = usize::from(rest[26]);
        let table = &rest[27..27 + count];
        let mut at = 27 + count;
        for &length in table {
            packet.extend_from_slice(&rest[at..at + usize::from(length)]);
            at += usize::from(length);
            if length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        rest = &rest[at..];
    }
    packets.split_off(2)
}

fn packetize(codec: VideoCodec, picture: &[u8], number: u16) -> Vec<Vec<u8>> {
    let [high, low] = (number | 0x8000).to_be_bytes();
    let count = picture.len().div_ceil(MTU);
    let chunks = picture.chunks(MTU).enumerate();
    match codec {
        VideoCodec::Vp8 => chunks
            .map(|(i, chunk)| {
                [&[0x80 | if i == 0 { 0x10 } else { 0 }, 0x80, high, low][..], chunk].concat()
            })
            .collect(),
        VideoCodec::Vp9 => chunks
            .map(|(i, chunk)| {
                let flags = 0x80
                    | if picture[0] & 0x04 != 0 { 0x40 } else { 0 }
                    | if i == 0 { 0x08 } else { 0 }
                    | if i + 1 == count { 0x04 } else { 0 };
                [&[flags, high, low][..], chunk].concat()
            })
            .collect(),
        VideoCodec::H264 => packetize_h264(picture),
    }
}

fn packetize_h264(picture: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = picture;
    let mut payloads = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (unit, next) = after.split_at(u32::from_be_bytes(*length) as usize);
        if unit.len() <= MTU {
            payloads.push(unit.to_vec());
        } else {
            let chunks: Vec<&[u8]> = unit[1..].chunks(MTU).collect();
            for (i, chunk) in chunks.iter().enumerate() {
                let start = if i == 0 { 0x80 } else { 0 };
                let end = if i + 1 == chunks.len() { 0x40 } else { 0 };
                let head = [unit[0] & 0xe0 | 28, start | end | unit[0] & 0x1f];
                payloads.push([&head[..], chunk].concat());
            }
        }
        rest = next;
    }
    payloads
}
