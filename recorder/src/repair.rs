//! Mends a file whose writer was stopped: cuts off what is half there, and adds what was to come at the end.

use crate::ebml::{self, Head};
use crate::matroska::{Cue, DURATION_ROOM, Layout, Patch, SEEK_HEAD_ROOM, ending, id};
use std::io;

/// Bytes of header that are read; ours take less than a kilobyte, configuration records apart.
const MAX_HEADER: usize = 256 * 1024;
/// Bytes of the largest cluster that is believed. Ours span seconds; more is a broken size.
const MAX_CLUSTER: u64 = 256 * 1024 * 1024;
/// Clusters of the longest file that is believed: a year of seconds.
const MAX_CUES: usize = 32 * 1024 * 1024;

/// What a file needs to be whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Repair {
    /// Its length without what is half there.
    pub keep: u64,
    /// Bytes to append then.
    pub append: Vec<u8>,
    /// Bytes to write over others, in this order.
    pub patches: Vec<Patch>,
    /// How long it is then, in milliseconds.
    pub duration_ms: u64,
}

/// What is wrong with a file that cannot be mended.
#[derive(Debug)]
pub enum Broken {
    /// It has no header of ours, or no frame behind it.
    NotOurs,
    /// It could not be read.
    Io(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Looks through a file of `length` bytes: what it needs, nothing when it is whole. `read` gives up to so many
/// bytes from an offset.
///
/// # Errors
/// [`Broken`], when it is not a file of [`crate::matroska::Writer`] or cannot be read.
pub fn inspect(
    length: u64,
    mut read: impl FnMut(u64, usize) -> io::Result<Vec<u8>>,
) -> Result<Option<Repair>, Broken> {
    let header = read(0, MAX_HEADER)?;
    let Some(found) = Found::read(&header) else { return Err(Broken::NotOurs) };
    if found.is_whole {
        return Ok(None);
    }
    let (mut at, mut cues, mut end_ms) = (found.clusters, Vec::new(), 0);
    while let Some(head) = ebml::read_head(&read(at, 16)?) {
        let content_at = at + head.length as u64;
        let Some(size) = whole_cluster(head, content_at, length) else { break };
        let content = read(content_at, size as usize)?;
        if content.len() as u64 != size || cues.len() >= MAX_CUES {
            break;
        }
        let position = at - found.layout.segment;
        let Some((cue, last_ms)) = read_cluster(&content, found.seek_track, position) else {
            break;
        };
        cues.extend(cue);
        end_ms = end_ms.max(last_ms);
        at = content_at + size;
    }
    if at == found.clusters {
        return Err(Broken::NotOurs);
    }
    let (append, patches) = ending(&found.layout, at, &cues, end_ms);
    Ok(Some(Repair { keep: at, append, patches, duration_ms: end_ms }))
}

/// How long a whole file says it is, in milliseconds. `start` is its beginning.
pub fn told_ms(start: &[u8]) -> Option<u64> {
    let found = Found::read(start).filter(|found| found.is_whole)?;
    let at = usize::try_from(found.layout.duration).ok()?;
    let (id, value) = ebml::children(start.get(at..at + DURATION_ROOM)?).next()?;
    let value: [u8; 8] = value.try_into().ok().filter(|_| id == id::DURATION)?;
    let ms = f64::from_be_bytes(value);
    (ms.is_finite() && ms >= 0.0).then_some(ms as u64)
}

fn whole_cluster(head: Head, content_at: u64, length: u64) -> Option<u64> {
    let size = head.size.filter(|size| head.id == id::CLUSTER && *size <= MAX_CLUSTER)?;
    (content_at.checked_add(size)? <= length).then_some(size)
}

/// The first keyframe that one may seek to, and the time of the last block.
fn read_cluster(content: &[u8], seek_track: usize, position: u64) -> Option<(Option<Cue>, u64)> {
    let mut elements = ebml::children(content);
    let (first, timestamp) = elements.next()?;
    let begins_ms = ebml::read_uint(timestamp).filter(|_| first == id::TIMESTAMP)?;
    let (mut cue, mut end_ms) = (None, begins_ms);
    for (_, block) in elements.filter(|(id, _)| *id == id::SIMPLE_BLOCK) {
        let &[track, high, low, flags, ..] = block else { return None };
        let after = i64::from(i16::from_be_bytes([high, low]));
        let at_ms = begins_ms.saturating_add_signed(after);
        let track = usize::from(track & 0x7f).checked_sub(1)?;
        if cue.is_none() && track == seek_track && flags & 0x80 != 0 {
            cue = Some(Cue { at_ms, track, position });
        }
        end_ms = end_ms.max(at_ms);
    }
    Some((cue, end_ms))
}

/// What the beginning of a file tells.
struct Found {
    layout: Layout,
    seek_track: usize,
    /// Where the first cluster would be.
    clusters: u64,
    is_whole: bool,
}

impl Found {
    fn read(bytes: &[u8]) -> Option<Self> {
        let head = ebml::read_head(bytes).filter(|head| head.id == id::EBML)?;
        let mut at = head.length + usize::try_from(head.size?).ok()?;
        let head = ebml::read_head(bytes.get(at..)?).filter(|head| head.id == id::SEGMENT)?;
        let id_length = 4;
        if head.length != id_length + ebml::LONG_SIZE {
            return None;
        }
        let segment_size = (at + id_length) as u64;
        let is_whole = head.size.is_some();
        at += head.length;
        let segment = at as u64;
        let (mut info, mut duration, mut tracks, mut seek_track) = (None, None, None, 0);
        // A seek head or the room for it, Info, Tracks.
        while tracks.is_none() {
            let head = ebml::read_head(bytes.get(at..)?)?;
            let content_at = at + head.length;
            let end = content_at.checked_add(usize::try_from(head.size?).ok()?)?;
            let content = bytes.get(content_at..end)?;
            match head.id {
                id::INFO => {
                    info = Some(at as u64);
                    duration = (end as u64).checked_sub(DURATION_ROOM as u64);
                }
                id::TRACKS => {
                    tracks = Some(at as u64);
                    seek_track =
                        ebml::children(content).position(|(_, t)| is_video(t)).unwrap_or(0);
                }
                id::SEEK_HEAD | ebml::VOID => {}
                _ => return None,
            }
            at = end;
        }
        let layout = Layout {
            segment_size,
            segment,
            seek_head: segment,
            info: info?,
            duration: duration?,
            tracks: tracks?,
        };
        // What is written there later must fit between.
        (layout.info >= segment + SEEK_HEAD_ROOM as u64).then_some(())?;
        Some(Self { layout, seek_track, clusters: at as u64, is_whole })
    }
}

fn is_video(track: &[u8]) -> bool {
    ebml::children(track).any(|(id, content)| id == id::TRACK_TYPE && content == [1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matroska::{Block, Media, Writer};
    use proptest::prelude::*;

    fn file() -> Vec<u8> {
        let (mut writer, mut bytes) = Writer::begin(&[Media::Opus], 0);
        for second in 0..5u64 {
            let block = |i: u64| Block {
                track: 0,
                at_ms: second * 1_000 + i * 20,
                is_keyframe: true,
                frame: vec![7; 30],
            };
            bytes.extend(writer.cluster(&(0..50).map(block).collect::<Vec<_>>()));
        }
        bytes
    }

    fn look(bytes: &[u8]) -> Result<Option<Repair>, Broken> {
        inspect(bytes.len() as u64, |at, count| {
            let at = (at as usize).min(bytes.len());
            Ok(bytes[at..bytes.len().min(at + count)].to_vec())
        })
    }

    #[test]
    fn every_whole_cluster_is_kept() {
        let bytes = file();
        let mended = look(&bytes).unwrap().unwrap();
        assert_eq!((mended.keep, mended.duration_ms), (bytes.len() as u64, 4_980));
        assert_eq!(told_ms(&bytes), None);
        let (mut writer, mut whole) = Writer::begin(&[Media::Opus], 0);
        let block = Block { track: 0, at_ms: 0, is_keyframe: true, frame: vec![7; 30] };
        whole.extend(writer.cluster(&[block]));
        let (append, patches) = writer.finish(1_234);
        whole.extend(append);
        for Patch { offset, bytes } in patches {
            whole[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
        }
        assert_eq!(look(&whole).unwrap(), None);
        assert_eq!(told_ms(&whole), Some(1_234));
        let cut = look(&bytes[..bytes.len() - 1]).unwrap().unwrap();
        assert_eq!(cut.duration_ms, 3_980);
    }

    proptest! {
        #[test]
        fn no_damage_breaks_it(
            cut in 0usize..9_000,
            damage in prop::collection::vec((0usize..9_000, any::<u8>()), 0..8),
        ) {
            let mut bytes = file();
            for (at, byte) in damage {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(cut);
            if let Ok(Some(mended)) = look(&bytes) {
                prop_assert!(mended.keep <= bytes.len() as u64);
                for patch in mended.patches {
                    prop_assert!(patch.offset + patch.bytes.len() as u64 <= mended.keep);
                }
            }
        }
    }
}
