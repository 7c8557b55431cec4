//! A Matroska or WebM file as it grows (RFC 9559): bytes to append, and at the end a few to fill in.
//!
//! Everything before the first cluster is written once. Clusters have known sizes, so a file that ends
//! anywhere can be read up to there; [`crate::repair`] adds what [`Writer::finish`] could not.

use crate::ebml::{self, Id};

/// Encoder delay of Opus that is to be cut off, in samples at 48 kHz: what every browser's encoder has.
const OPUS_PRE_SKIP: u16 = 312;
/// The same in nanoseconds.
const OPUS_DELAY_NS: u64 = 6_500_000;
/// What a decoder of Opus needs to have heard before a seek's target (RFC 7845 §4.6), in nanoseconds.
const OPUS_PRE_ROLL_NS: u64 = 80_000_000;
/// Room for the seek head that is written at the end: three entries.
pub(crate) const SEEK_HEAD_ROOM: usize = 96;
/// Room for the duration: id, size, eight bytes.
pub(crate) const DURATION_ROOM: usize = 11;
/// Nanoseconds in a tick of the file's clock.
const TICK_NS: u64 = 1_000_000;
/// Seconds from 1970 to 2001, where Matroska's dates begin.
const YEAR_2001: i64 = 978_307_200;

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Opus, VP8, VP9, AV1: what browsers play.
    WebM,
    /// The same format with H264 in it, which WebM has no place for.
    Matroska,
}

/// What a track carries, with what its decoder needs beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// Sound at 48 kHz.
    Opus,
    /// Picture.
    Video {
        /// Which codec.
        codec: VideoCodec,
        /// Pixels of the first picture; later ones may differ.
        width: u16,
        /// The same downwards.
        height: u16,
        /// `CodecPrivate`: the AV1 or AVC configuration record, empty for VP8 and VP9.
        private: Vec<u8>,
    },
}

/// The codecs of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// RFC 6386.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
    /// H.264.
    H264,
}

impl VideoCodec {
    /// `CodecID`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Vp8 => "V_VP8",
            Self::Vp9 => "V_VP9",
            Self::Av1 => "V_AV1",
            Self::H264 => "V_MPEG4/ISO/AVC",
        }
    }
}

impl Media {
    /// The file that has a place for it.
    pub fn container(&self) -> Container {
        match self {
            Self::Video { codec: VideoCodec::H264, .. } => Container::Matroska,
            Self::Opus | Self::Video { .. } => Container::WebM,
        }
    }
}

/// One frame in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Index of its track.
    pub track: usize,
    /// Milliseconds since the file's beginning.
    pub at_ms: u64,
    /// Whether decoding may begin here.
    pub is_keyframe: bool,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Bytes to be written over others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Where in the file.
    pub offset: u64,
    /// What.
    pub bytes: Vec<u8>,
}

/// A place to seek to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cue {
    pub at_ms: u64,
    pub track: usize,
    /// Of its cluster, from the segment's first byte on.
    pub position: u64,
}

/// A file while it grows.
#[derive(Debug)]
pub struct Writer {
    /// Bytes handed out so far.
    length: u64,
    layout: Layout,
    /// The track by which one seeks: the picture, else the sound.
    seek_track: usize,
    cues: Vec<Cue>,
    end_ms: u64,
}

/// Where what is filled in at the end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The segment's size.
    pub segment_size: u64,
    /// First byte of the segment's content; positions count from here.
    pub segment: u64,
    /// The seek head's room.
    pub seek_head: u64,
    /// `Info`.
    pub info: u64,
    /// The duration's room.
    pub duration: u64,
    /// `Tracks`.
    pub tracks: u64,
}

impl Writer {
    /// Begins a file: its header, to be written first, and the writer of the rest. `begins_at` is the time of
    /// its first millisecond in seconds since 1970.
    pub fn begin(tracks: &[Media], begins_at: i64) -> (Self, Vec<u8>) {
        let is_webm = tracks.iter().all(|track| track.container() == Container::WebM);
        let mut out = Vec::new();
        ebml::write_master(&mut out, id::EBML, |out| {
            ebml::write_uint(out, id::EBML_VERSION, 1);
            ebml::write_uint(out, id::EBML_READ_VERSION, 1);
            ebml::write_uint(out, id::EBML_MAX_ID_LENGTH, 4);
            ebml::write_uint(out, id::EBML_MAX_SIZE_LENGTH, 8);
            let doc_type: &[u8] = if is_webm { b"webm" } else { b"matroska" };
            ebml::write_bytes(out, id::DOC_TYPE, doc_type);
            ebml::write_uint(out, id::DOC_TYPE_VERSION, 4);
            ebml::write_uint(out, id::DOC_TYPE_READ_VERSION, 2);
        });
        ebml::write_id(&mut out, id::SEGMENT);
        let segment_size = out.len() as u64;
        out.extend_from_slice(&ebml::UNKNOWN_SIZE);
        let segment = out.len() as u64;
        let seek_head = segment;
        ebml::write_void(&mut out, SEEK_HEAD_ROOM);
        let info = out.len() as u64;
        ebml::write_master(&mut out, id::INFO, |out| {
            ebml::write_uint(out, id::TIMESTAMP_SCALE, TICK_NS);
            ebml::write_bytes(out, id::MUXING_APP, b"Veche");
            ebml::write_bytes(out, id::WRITING_APP, b"Veche");
            let since_2001 = begins_at.saturating_sub(YEAR_2001).saturating_mul(1_000_000_000);
            ebml::write_int(out, id::DATE_UTC, since_2001);
            ebml::write_void(out, DURATION_ROOM);
        });
        // The last thing in `Info`.
        let duration = out.len() as u64 - DURATION_ROOM as u64;
        let tracks_at = out.len() as u64;
        ebml::write_master(&mut out, id::TRACKS, |out| {
            for (index, media) in tracks.iter().enumerate() {
                write_track(out, index, media);
            }
        });
        let is_video = |media: &Media| matches!(media, Media::Video { .. });
        let writer = Self {
            length: out.len() as u64,
            layout: Layout { segment_size, segment, seek_head, info, duration, tracks: tracks_at },
            seek_track: tracks.iter().position(is_video).unwrap_or(0),
            cues: Vec::new(),
            end_ms: 0,
        };
        (writer, out)
    }

    /// Bytes handed out so far: the file's length.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the file ends, in milliseconds since its beginning.
    pub fn end_ms(&self) -> u64 {
        self.end_ms
    }

    /// The bytes of a cluster with blocks in the order of their times, which may span some seconds.
    pub fn cluster(&mut self, blocks: &[Block]) -> Vec<u8> {
        let Some(first) = blocks.first() else { return Vec::new() };
        let begins_ms = first.at_ms;
        let position = self.length - self.layout.segment;
        let seek = blocks.iter().find(|block| block.track == self.seek_track && block.is_keyframe);
        self.cues.extend(seek.map(|block| Cue {
            at_ms: block.at_ms,
            track: block.track,
            position,
        }));
        let frames: usize = blocks.iter().map(|block| block.frame.len() + 16).sum();
        let mut content = Vec::with_capacity(frames + 16);
        ebml::write_uint(&mut content, id::TIMESTAMP, begins_ms);
        for block in blocks {
            let after = block.at_ms as i64 - begins_ms as i64;
            ebml::write_id(&mut content, id::SIMPLE_BLOCK);
            ebml::write_size(&mut content, block.frame.len() as u64 + 4);
            content.push(0x80 | (block.track as u8 + 1));
            content.extend_from_slice(&(after as i16).to_be_bytes());
            content.push(if block.is_keyframe { 0x80 } else { 0 });
            content.extend_from_slice(&block.frame);
            self.end_ms = self.end_ms.max(block.at_ms);
        }
        let mut out = Vec::with_capacity(content.len() + 12);
        ebml::write_bytes(&mut out, id::CLUSTER, &content);
        self.length += out.len() as u64;
        out
    }

    /// Ends the file at `end_ms`: what is appended, and what is filled in.
    pub fn finish(self, end_ms: u64) -> (Vec<u8>, Vec<Patch>) {
        ending(&self.layout, self.length, &self.cues, end_ms.max(self.end_ms))
    }
}

/// What makes a file of clusters one that tells its length and can be sought in.
pub(crate) fn ending(
    layout: &Layout,
    length: u64,
    cues: &[Cue],
    end_ms: u64,
) -> (Vec<u8>, Vec<Patch>) {
    let mut tail = Vec::new();
    if !cues.is_empty() {
        ebml::write_master(&mut tail, id::CUES, |out| {
            for cue in cues {
                ebml::write_master(out, id::CUE_POINT, |out| {
                    ebml::write_uint(out, id::CUE_TIME, cue.at_ms);
                    ebml::write_master(out, id::CUE_TRACK_POSITIONS, |out| {
                        ebml::write_uint(out, id::CUE_TRACK, cue.track as u64 + 1);
                        ebml::write_uint(out, id::CUE_CLUSTER_POSITION, cue.position);
                    });
                });
            }
        });
    }
    let mut seek_head = Vec::new();
    let cues_at = (!cues.is_empty()).then_some((id::CUES, length));
    let entries = [Some((id::INFO, layout.info)), Some((id::TRACKS, layout.tracks)), cues_at];
    ebml::write_master(&mut seek_head, id::SEEK_HEAD, |out| {
        for (id, at) in entries.into_iter().flatten() {
            ebml::write_master(out, id::SEEK, |out| {
                ebml::write_bytes(out, id::SEEK_ID, &id.to_be_bytes());
                ebml::write_uint(out, id::SEEK_POSITION, at - layout.segment);
            });
        }
    });
    let left = SEEK_HEAD_ROOM - seek_head.len();
    ebml::write_void(&mut seek_head, left);
    let mut duration = Vec::new();
    ebml::write_float(&mut duration, id::DURATION, end_ms as f64);
    let size = length + tail.len() as u64 - layout.segment;
    let patches = vec![
        Patch { offset: layout.seek_head, bytes: seek_head },
        Patch { offset: layout.duration, bytes: duration },
        // Last: with it the file says that it is whole.
        Patch { offset: layout.segment_size, bytes: ebml::long_size(size).to_vec() },
    ];
    (tail, patches)
}

fn write_track(out: &mut Vec<u8>, index: usize, media: &Media) {
    ebml::write_master(out, id::TRACK_ENTRY, |out| {
        ebml::write_uint(out, id::TRACK_NUMBER, index as u64 + 1);
        ebml::write_uint(out, id::TRACK_UID, index as u64 + 1);
        ebml::write_uint(out, id::FLAG_LACING, 0);
        ebml::write_bytes(out, id::LANGUAGE, b"und");
        match media {
            Media::Opus => {
                ebml::write_uint(out, id::TRACK_TYPE, 2);
                ebml::write_bytes(out, id::CODEC_ID, b"A_OPUS");
                ebml::write_uint(out, id::CODEC_DELAY, OPUS_DELAY_NS);
                ebml::write_uint(out, id::SEEK_PRE_ROLL, OPUS_PRE_ROLL_NS);
                ebml::write_bytes(out, id::CODEC_PRIVATE, &opus_head());
                ebml::write_master(out, id::AUDIO, |out| {
                    ebml::write_float(out, id::SAMPLING_FREQUENCY, 48_000.0);
                    ebml::write_uint(out, id::CHANNELS, 2);
                });
            }
            Media::Video { codec, width, height, private } => {
                ebml::write_uint(out, id::TRACK_TYPE, 1);
                ebml::write_bytes(out, id::CODEC_ID, codec.id().as_bytes());
                if !private.is_empty() {
                    ebml::write_bytes(out, id::CODEC_PRIVATE, private);
                }
                ebml::write_master(out, id::VIDEO, |out| {
                    ebml::write_uint(out, id::PIXEL_WIDTH, u64::from(*width));
                    ebml::write_uint(out, id::PIXEL_HEIGHT, u64::from(*height));
                });
            }
        }
    });
}

/// The identification header of Opus (RFC 7845 §5.1). RTP always carries it as two channels.
fn opus_head() -> [u8; 19] {
    let mut head = *b"OpusHead\x01\x02\0\0\0\0\0\0\0\0\0";
    head[10..12].copy_from_slice(&OPUS_PRE_SKIP.to_le_bytes());
    head[12..16].copy_from_slice(&48_000u32.to_le_bytes());
    head
}

/// Element ids (RFC 9559 §27.1).
pub(crate) mod id {
    use super::Id;
    pub const EBML: Id = 0x1a45_dfa3;
    pub const EBML_VERSION: Id = 0x4286;
    pub const EBML_READ_VERSION: Id = 0x42f7;
    pub const EBML_MAX_ID_LENGTH: Id = 0x42f2;
    pub const EBML_MAX_SIZE_LENGTH: Id = 0x42f3;
    pub const DOC_TYPE: Id = 0x4282;
    pub const DOC_TYPE_VERSION: Id = 0x4287;
    pub const DOC_TYPE_READ_VERSION: Id = 0x4285;
    pub const SEGMENT: Id = 0x1853_8067;
    pub const SEEK_HEAD: Id = 0x114d_9b74;
    pub const SEEK: Id = 0x4dbb;
    pub const SEEK_ID: Id = 0x53ab;
    pub const SEEK_POSITION: Id = 0x53ac;
    pub const INFO: Id = 0x1549_a966;
    pub const TIMESTAMP_SCALE: Id = 0x2a_d7b1;
    pub const DURATION: Id = 0x4489;
    pub const DATE_UTC: Id = 0x4461;
    pub const MUXING_APP: Id = 0x4d80;
    pub const WRITING_APP: Id = 0x5741;
    pub const TRACKS: Id = 0x1654_ae6b;
    pub const TRACK_ENTRY: Id = 0xae;
    pub const TRACK_NUMBER: Id = 0xd7;
    pub const TRACK_UID: Id = 0x73c5;
    pub const TRACK_TYPE: Id = 0x83;
    pub const FLAG_LACING: Id = 0x9c;
    pub const LANGUAGE: Id = 0x22_b59c;
    pub const CODEC_ID: Id = 0x86;
    pub const CODEC_PRIVATE: Id = 0x63a2;
    pub const CODEC_DELAY: Id = 0x56aa;
    pub const SEEK_PRE_ROLL: Id = 0x56bb;
    pub const AUDIO: Id = 0xe1;
    pub const SAMPLING_FREQUENCY: Id = 0xb5;
    pub const CHANNELS: Id = 0x9f;
    pub const VIDEO: Id = 0xe0;
    pub const PIXEL_WIDTH: Id = 0xb0;
    pub const PIXEL_HEIGHT: Id = 0xba;
    pub const CLUSTER: Id = 0x1f43_b675;
    pub const TIMESTAMP: Id = 0xe7;
    pub const SIMPLE_BLOCK: Id = 0xa3;
    pub const CUES: Id = 0x1c53_bb6b;
    pub const CUE_POINT: Id = 0xbb;
    pub const CUE_TIME: Id = 0xb3;
    pub const CUE_TRACK_POSITIONS: Id = 0xb7;
    pub const CUE_TRACK: Id = 0xf7;
    pub const CUE_CLUSTER_POSITION: Id = 0xf1;
}
