//! What the fuzz targets of the recorder do with their input; `recorder/tests/corpus.rs` replays the committed
//! corpus through the same functions.
#![allow(dead_code, reason = "each fuzz target calls one of these functions, the corpus test both")]

use recorder::repair::{self, Repair};
use recorder::{Codec, Output, Patch, RtpPacket, Source, VideoCodec};
use std::time::Duration;

/// Packets of one stream, from the payloads to files. The first byte names the codec; each packet is a byte of
/// flags, two bytes of length, and its payload. Returns what the last file holds.
pub fn source(input: &[u8]) -> Vec<u8> {
    let Some((&codec, mut rest)) = input.split_first() else { return Vec::new() };
    let codec = match codec % 5 {
        0 => Codec::Video(VideoCodec::Vp8),
        1 => Codec::Video(VideoCodec::Vp9),
        2 => Codec::Video(VideoCodec::Av1),
        3 => Codec::Video(VideoCodec::H264),
        _ => Codec::Opus,
    };
    let mut source = Source::new(1_800_000_000);
    let (mut now, mut sequence, mut timestamp, mut stream) = (Duration::ZERO, 10u64, 0u32, 1);
    let mut file = Vec::new();
    while let Some((&[flags, high, low], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (payload, next) = after.split_at(length);
        rest = next;
        sequence += if flags & ANOTHER_GAP != 0 { 3 } else { 1 };
        if flags & NEW_PICTURE != 0 {
            timestamp = timestamp.wrapping_add(3_000);
            now += Duration::from_millis(33);
        }
        if flags & JUMP != 0 {
            timestamp = timestamp.wrapping_add(0x6000_0000);
            now += Duration::from_secs(7);
        }
        stream += u32::from(flags & NEW_STREAM != 0);
        // Late ones come after those that follow them.
        let sequence = if flags & LATE != 0 { sequence - 2 } else { sequence };
        if flags & REPORT != 0 {
            let ntp = (3_976_000_000 << 32) + (now.as_nanos() as u64).wrapping_mul(4);
            source.report(now, stream, ntp, timestamp);
        }
        let marker = flags & LAST_OF_PICTURE != 0;
        source.packet(now, RtpPacket { stream, sequence, timestamp, marker, codec, payload });
        write(&mut source, &mut file);
    }
    source.finish();
    write(&mut source, &mut file);
    assert!(source.take_gaps().iter().all(|gap| gap.packets > 0));
    if !file.is_empty() {
        assert!(matches!(look(&file), Ok(None)), "a file that ended is whole");
        // A crash leaves the beginning: it is mended, or holds no frame yet.
        for cut in [file.len() / 3, file.len() / 2, file.len() - 1] {
            repair(&file[..cut]);
        }
    }
    file
}

/// The last packet of its picture.
pub const LAST_OF_PICTURE: u8 = 1;
/// The timestamp and the clock move on by a picture.
pub const NEW_PICTURE: u8 = 2;
/// Two packets are missing before it.
pub const ANOTHER_GAP: u8 = 4;
/// The publisher begins anew.
pub const NEW_STREAM: u8 = 8;
/// It comes out of order.
pub const LATE: u8 = 16;
/// The timestamp jumps, and seconds pass.
pub const JUMP: u8 = 32;
/// A sender report comes before it.
pub const REPORT: u8 = 64;

/// Does what the recorder asks for; a new file takes the place of the one before, which must be whole.
fn write(source: &mut Source, file: &mut Vec<u8>) {
    while let Some(output) = source.poll_output() {
        match output {
            Output::Begin { tracks, bytes, .. } => {
                assert!(!tracks.is_empty() && tracks.len() <= 2);
                *file = bytes;
            }
            Output::Append(bytes) => file.extend(bytes),
            Output::End { append, patches, .. } => {
                file.extend(append);
                patch(file, patches);
            }
        }
    }
}

fn patch(file: &mut [u8], patches: Vec<Patch>) {
    for Patch { offset, bytes } in patches {
        let at = usize::try_from(offset).expect("within memory");
        file[at..at + bytes.len()].copy_from_slice(&bytes);
    }
}

fn look(file: &[u8]) -> Result<Option<Repair>, repair::Broken> {
    repair::inspect(file.len() as u64, |at, count| {
        let at = usize::try_from(at).map_or(file.len(), |at| at.min(file.len()));
        Ok(file[at..file.len().min(at + count)].to_vec())
    })
}

/// The bytes of a file as a crash, or a stranger, left them.
pub fn repair(input: &[u8]) {
    let Ok(Some(mend)) = look(input) else { return };
    let mut file = input[..usize::try_from(mend.keep).expect("within memory")].to_vec();
    file.extend(mend.append);
    patch(&mut file, mend.patches);
    assert!(matches!(look(&file), Ok(None)), "what was mended is whole");
}
