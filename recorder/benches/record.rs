//! CPU time of recording, without the media plane: packets in, files on the disk.
//! `cargo bench -p veche-recorder --bench record`
//!
//! Cameras of 1.5 Mbit/s with their microphones, as one thread writes them; the end of a file of one hour; and
//! mending a file of one gigabyte whose writer was stopped.

extern crate veche_recorder as recorder;

use recorder::{Codec, Output, Patch, RtpPacket, Source, VideoCodec, repair};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Pictures of 6,250 bytes at 30 a second are 1.5 Mbit/s.
const PICTURE: usize = 6_250;
const MTU: usize = 1_100;
const SOUND: usize = 80;
/// A keyframe every four seconds.
const KEYFRAME_EVERY: u32 = 120;

/// CPU time of this process so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = text[text.rfind(')').expect("a name") + 2..].split(' ').collect();
    let ticks: u64 =
        fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks");
    // USER_HZ is 100 on every Linux there is.
    Duration::from_millis(ticks * 10)
}

/// One person who speaks and films, and the file that it becomes.
struct Person {
    source: Source,
    file: Option<File>,
    path: PathBuf,
    length: u64,
    sequence: u64,
}

impl Person {
    fn new(path: PathBuf) -> Self {
        let mut source = Source::new(1_800_000_000);
        source.expect(true, true);
        Self { source, file: None, path, length: 0, sequence: 0 }
    }

    /// A picture and its share of the sound: three packets of sound to two pictures.
    fn frame(&mut self, n: u32, payload: &mut [u8]) -> io::Result<()> {
        let now = Duration::from_micros(u64::from(n) * 33_333);
        let is_key = n.is_multiple_of(KEYFRAME_EVERY);
        let mut left = if is_key { 6 * PICTURE } else { PICTURE - PICTURE / 24 };
        let mut is_first = true;
        while left > 0 {
            let size = left.min(MTU);
            left -= size;
            // The descriptor of VP8, and the frame's own header.
            payload[0] = if is_first { 0x10 } else { 0 };
            if is_first {
                let header = [u8::from(!is_key), 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02];
                payload[1..11].copy_from_slice(&header);
            }
            is_first = false;
            self.sequence += 1;
            let packet = RtpPacket {
                stream: 2,
                sequence: self.sequence,
                timestamp: n.wrapping_mul(3_000),
                marker: left == 0,
                codec: Codec::Video(VideoCodec::Vp8),
                payload: &payload[..=size],
            };
            self.source.packet(now, packet);
        }
        let sounds = (u64::from(n) * 5 / 3)..(u64::from(n + 1) * 5 / 3);
        for k in sounds {
            let packet = RtpPacket {
                stream: 1,
                sequence: k,
                timestamp: (k * 960) as u32,
                marker: false,
                codec: Codec::Opus,
                payload: &payload[..SOUND],
            };
            self.source.packet(now, packet);
        }
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(output) = self.source.poll_output() {
            match output {
                Output::Begin { bytes, .. } => {
                    let mut file = File::options()
                        .read(true)
                        .write(true)
                        .create(true)
                        .truncate(true)
                        .open(&self.path)?;
                    file.write_all(&bytes)?;
                    self.length = bytes.len() as u64;
                    self.file = Some(file);
                }
                Output::Append(bytes) => self.append(&bytes)?,
                Output::End { append, patches, .. } => {
                    self.append(&append)?;
                    patch(self.file.as_ref().expect("begun"), patches)?;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.file.as_mut().expect("begun").write_all(bytes)
    }
}

fn patch(file: &File, patches: Vec<Patch>) -> io::Result<()> {
    patches.into_iter().try_for_each(|patch| file.write_all_at(&patch.bytes, patch.offset))
}

/// Share of a core that so many cameras take, and bytes written.
fn cameras(folder: &Path, count: usize, seconds: u32) -> io::Result<(f64, u64)> {
    let mut payload = vec![0x55; MTU + 1];
    let mut people: Vec<Person> =
        (0..count).map(|k| Person::new(folder.join(format!("{k}.webm")))).collect();
    let before = cpu();
    for n in 0..seconds * 30 {
        for person in &mut people {
            person.frame(n, &mut payload)?;
        }
    }
    for person in &mut people {
        person.source.finish();
        person.write()?;
    }
    let took = cpu() - before;
    let written = people.iter().map(|person| person.length).sum();
    for person in &people {
        std::fs::remove_file(&person.path)?;
    }
    Ok((took.as_secs_f64() / f64::from(seconds), written))
}

/// A file of so many seconds: how long Stop took, and what mending it takes when it was not stopped.
fn long_file(folder: &Path, seconds: u32) -> io::Result<[(u64, Duration); 2]> {
    let mut payload = vec![0x55; MTU + 1];
    let mut person = Person::new(folder.join("long.webm"));
    for n in 0..seconds * 30 {
        person.frame(n, &mut payload)?;
    }
    let file = person.file.as_ref().expect("begun");
    let stopped = file.try_clone()?;
    let (length, begun) = (person.length, Instant::now());
    let mend = repair::inspect(length, |at, count| {
        let mut bytes = vec![0; count.min(length.saturating_sub(at) as usize)];
        stopped.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    });
    let mend = mend.expect("a file of ours").expect("not whole yet");
    assert_eq!(mend.keep, length, "every cluster is kept");
    let mended = (length, begun.elapsed());
    let begun = Instant::now();
    person.source.finish();
    person.write()?;
    let ended = (person.length, begun.elapsed());
    std::fs::remove_file(&person.path)?;
    Ok([ended, mended])
}

fn main() -> io::Result<()> {
    let folder = std::env::temp_dir().join(format!("veche-record-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(folder: &Path) -> io::Result<()> {
    println!("| what | measured | goal |\n|---|---|---|");
    for count in [50, 200] {
        let (share, written) = cameras(folder, count, 20)?;
        let rate = written as f64 * 8.0 / 20e6 / count as f64;
        let most = count as f64 / share;
        println!(
            "| {count} cameras of {rate:.2} Mbit/s, share of a core | {share:.2} (so {most:.0} on one) | 200 on one |"
        );
    }
    let [ended, _] = long_file(folder, 3_600)?;
    println!(
        "| Stop of one hour ({} MB) | {} ms | 2 s |",
        ended.0 / 1_000_000,
        ended.1.as_millis()
    );
    let [_, mended] = long_file(folder, 5_500)?;
    println!(
        "| mending {} MB | {:.1} s | 1 GB in 20 s |",
        mended.0 / 1_000_000,
        mended.1.as_secs_f64()
    );
    Ok(())
}
