//! Sound and pictures that real encoders made (ffmpeg), cut into RTP payloads as browsers cut them.

use crate::{Error, VideoCodec};
use std::path::Path;
use std::process::Command;

/// Bytes of a payload.
const MTU: usize = 1_100;

/// What is to be filmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// What the pictures are encoded with.
    pub codec: VideoCodec,
    /// How long it is.
    pub seconds: u32,
    /// Width and height.
    pub size: (u32, u32),
    /// Pictures from one keyframe to the next; there are 25 a second.
    pub keyframe_every: u32,
    /// What is seen and heard.
    pub scene: Scene,
}

/// What a film shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Things that move, and a tone that beeps at each full second.
    Moving,
    /// White for 200 ms from each full second on, else black; a beep of the same time, else silence.
    Flashes,
}

impl Take {
    /// A small one, with a keyframe each second.
    pub fn of(codec: VideoCodec, seconds: u32) -> Self {
        Self { codec, seconds, size: (320, 180), keyframe_every: 25, scene: Scene::Moving }
    }
}

/// Some seconds of a person who speaks and films, to be sent again and again.
#[derive(Clone, Debug)]
pub struct Film {
    /// Payloads of each picture, 25 a second; the first is a keyframe.
    pub pictures: Vec<Vec<Vec<u8>>>,
    /// Opus of 20 ms each.
    pub sound: Vec<Vec<u8>>,
}

impl Film {
    /// Has it encoded.
    pub fn encode(take: Take) -> Result<Self, Error> {
        let folder =
            std::env::temp_dir().join(format!("veche-film-{:016x}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder)?;
        let film = encode(take, &folder);
        std::fs::remove_dir_all(&folder).ok();
        film
    }
}

fn encode(take: Take, folder: &Path) -> Result<Film, Error> {
    let Take { codec, seconds, size: (width, height), keyframe_every, scene } = take;
    let shape = format!("size={width}x{height}:rate=25:duration={seconds}");
    let (pictures, sound) = match scene {
        Scene::Moving => (
            format!("testsrc2={shape}"),
            format!("sine=frequency=440:beep_factor=4:duration={seconds}"),
        ),
        Scene::Flashes => (
            format!("color=black:{shape},drawbox=t=fill:c=white:enable='lt(mod(t,1),0.199)'"),
            format!("aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,1),0.2)':s=48000:d={seconds}"),
        ),
    };
    let (encoder, file): (&[&str], _) = match codec {
        VideoCodec::Vp8 => (
            &["libvpx", "-deadline", "realtime", "-cpu-used", "8", "-error-resilient", "1"],
            "pictures.ivf",
        ),
        VideoCodec::Vp9 => (
            &["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
            "pictures.ivf",
        ),
        VideoCodec::Av1 => (
            &["libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"],
            "pictures.ivf",
        ),
        VideoCodec::H264 => (
            &["libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1"],
            "pictures.h264",
        ),
    };
    let path = folder.join(file).display().to_string();
    let group = keyframe_every.to_string();
    let mut arguments = vec!["-f", "lavfi", "-i", &pictures, "-pix_fmt", "yuv420p", "-g", &group];
    arguments.extend(["-b:v", "400k", "-c:v"].iter().chain(encoder));
    arguments.push(&path);
    run(&arguments)?;
    let bytes = std::fs::read(&path)?;
    let frames = if codec == VideoCodec::H264 { access_units(&bytes) } else { ivf(&bytes) };
    let pictures = frames.iter().enumerate().map(|(n, f)| packetize(codec, f, n as u16)).collect();
    let path = folder.join("sound.ogg").display().to_string();
    run(&["-f", "lavfi", "-i", &sound, "-ac", "2", "-c:a", "libopus", "-b:a", "32k", &path])?;
    let mut sound = ogg(&std::fs::read(&path)?);
    // The encoder's last words: with them the sound would fall behind in each round.
    sound.truncate(seconds as usize * 50);
    Ok(Film { pictures, sound })
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
        VideoCodec::Av1 => packetize_av1(picture),
        VideoCodec::H264 => packetize_h264(picture),
    }
}

/// One OBU after the other, without sizes and delimiters, cut into fragments.
fn packetize_av1(picture: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = picture;
    let mut payloads = Vec::new();
    while !rest.is_empty() {
        let header = rest[0];
        let extension = usize::from(header & 0x04 != 0);
        let (mut length, mut at) = (0usize, 1 + extension);
        for shift in 0..4 {
            let byte = rest[at];
            at += 1;
            length |= usize::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = &rest[at..at + length];
        let kind = header >> 3 & 0x0f;
        if kind != 2 {
            let mut obu = vec![header & !0x02];
            obu.extend_from_slice(&rest[1..1 + extension]);
            obu.extend_from_slice(body);
            let count = obu.len().div_ceil(MTU);
            for (i, chunk) in obu.chunks(MTU).enumerate() {
                let continues = if i > 0 { 0x80 } else { 0 };
                let goes_on = if i + 1 < count { 0x40 } else { 0 };
                // A sequence header comes with keyframes.
                let begins = if payloads.is_empty() && kind == 1 { 0x08 } else { 0 };
                payloads.push([&[continues | goes_on | 0x10 | begins][..], chunk].concat());
            }
        }
        rest = &rest[at + length..];
    }
    payloads
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
