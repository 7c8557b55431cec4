//! What one person's camera with its microphone, or screen with its sound, becomes: files, one after another.
//!
//! One file holds at most one track of sound and one of pictures. Another codec, or a kind of track that the file
//! has no place for, begins a new one.

use crate::clock::{PersonClock, StreamClock};
use crate::depacket::{self, Depacketizer, Frame};
use crate::matroska::{Block, Media, Patch, VideoCodec, Writer};
use crate::reorder::{Ordered, Reorder};
use std::collections::VecDeque;
use std::time::Duration;

/// Length of a cluster: what a crash may cost, against the bytes of its header.
const CLUSTER: Duration = Duration::from_millis(1_000);
/// How long a file waits for the first frame of a kind that is expected, and a cluster for frames of the other
/// track: pictures wait a second for repairs.
const LATENESS: Duration = Duration::from_millis(1_500);
/// Frames that wait to be written; with more the first are written at once.
const MAX_PENDING: usize = 4_096;
/// Opus runs at 48 kHz, every picture at 90 kHz.
const SOUND_RATE: u32 = 48_000;
const PICTURE_RATE: u32 = 90_000;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Opus, one frame a packet.
    Opus,
    /// A piece of a picture.
    Video(VideoCodec),
}

/// A packet as the media plane hands it over.
#[derive(Clone, Copy, Debug)]
pub struct RtpPacket<'a> {
    /// Changes whenever the publisher begins a new stream: its numbers have nothing to do with the old ones.
    pub stream: u32,
    /// Extended sequence number.
    pub sequence: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Last of its picture.
    pub marker: bool,
    /// What it carries.
    pub codec: Codec,
    /// Payload without padding.
    pub payload: &'a [u8],
}

/// What is to be done with files.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// A file begins: its tracks, when (on the recording's clock), its first bytes.
    Begin {
        /// What is in it.
        tracks: Vec<Media>,
        /// When its first frame was captured.
        at: Duration,
        /// Its header.
        bytes: Vec<u8>,
    },
    /// Bytes at its end.
    Append(Vec<u8>),
    /// It ends: bytes at its end, others over what is there, and how long it is.
    End {
        /// At the end.
        append: Vec<u8>,
        /// Over what is there, in this order.
        patches: Vec<Patch>,
        /// From the beginning to the end of the last frame.
        duration: Duration,
    },
}

/// Packets that never came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// In the sound, else in the picture.
    pub is_sound: bool,
    /// Where, on the recording's clock.
    pub at: Duration,
    /// How many packets.
    pub packets: u64,
}

/// One packet in the reorder buffer.
#[derive(Debug)]
struct Waiting {
    timestamp: u32,
    marker: bool,
    payload: Box<[u8]>,
}

/// One stream of packets.
#[derive(Debug)]
struct Stream {
    id: u32,
    codec: Codec,
    reorder: Reorder<Waiting>,
    depacketizer: Option<Depacketizer>,
    clock: StreamClock,
}

impl Stream {
    fn new(id: u32, codec: Codec) -> Self {
        let (depacketizer, rate) = match codec {
            Codec::Opus => (None, SOUND_RATE),
            Codec::Video(codec) => (Some(Depacketizer::new(codec)), PICTURE_RATE),
        };
        Self { id, codec, reorder: Reorder::default(), depacketizer, clock: StreamClock::new(rate) }
    }
}

/// A frame with its time on the recording's clock.
#[derive(Debug)]
struct Timed {
    at: Duration,
    media: Media,
    frame: Frame,
}

#[derive(Debug)]
struct File {
    writer: Writer,
    tracks: Vec<Media>,
    at: Duration,
    /// The newest frame of each track, and of what is written.
    newest: Vec<Duration>,
    last_ms: Vec<Option<u64>>,
    pending: VecDeque<Timed>,
}

/// The recording of one source.
#[derive(Debug)]
pub struct Source {
    /// Real time of the recording's zero, in seconds since 1970.
    began_at: i64,
    person: PersonClock,
    sound: Option<Stream>,
    picture: Option<Stream>,
    /// Kinds that the publisher has: sound, pictures.
    expects: (bool, bool),
    /// Frames before the file begins.
    early: VecDeque<Timed>,
    file: Option<File>,
    outputs: VecDeque<Output>,
    gaps: Vec<Gap>,
}

/// Gaps that are remembered for the table of contents.
const MAX_GAPS: usize = 10_000;

impl Source {
    /// Nothing yet. `began_at` is when the recording began, in seconds since 1970.
    pub fn new(began_at: i64) -> Self {
        Self {
            began_at,
            person: PersonClock::default(),
            sound: None,
            picture: None,
            expects: (false, false),
            early: VecDeque::new(),
            file: None,
            outputs: VecDeque::new(),
            gaps: Vec::new(),
        }
    }

    /// Which kinds of track the publisher has, so that a file waits for the first frame of each.
    pub fn expect(&mut self, sound: bool, picture: bool) {
        self.expects = (sound, picture);
    }

    /// Takes a packet that came at `now`.
    pub fn packet(&mut self, now: Duration, packet: RtpPacket<'_>) {
        let is_sound = packet.codec == Codec::Opus;
        let known = self.stream(is_sound).as_ref().map(|stream| (stream.id, stream.codec));
        if known != Some((packet.stream, packet.codec)) {
            let stream = Stream::new(packet.stream, packet.codec);
            if let Some(before) = self.stream(is_sound).replace(stream) {
                self.end_stream(before);
            }
        }
        let Some(stream) = self.stream(is_sound) else { return };
        let RtpPacket { timestamp, marker, payload, .. } = packet;
        let waiting = Waiting { timestamp, marker, payload: payload.into() };
        if stream.reorder.insert(now, packet.sequence, waiting) {
            stream.clock.arrived(now, timestamp);
        }
        self.turn(now);
    }

    /// Takes a sender report of a stream that came at `now`.
    pub fn report(&mut self, now: Duration, stream: u32, ntp: u64, timestamp: u32) {
        let known = [&mut self.sound, &mut self.picture].into_iter().flatten();
        for found in known.filter(|known| known.id == stream) {
            found.clock.report(ntp, timestamp);
            self.person.report(now, ntp);
        }
    }

    /// Whether pictures come to nothing until the next keyframe.
    pub fn needs_keyframe(&self) -> bool {
        let depacketizer = self.picture.as_ref().and_then(|stream| stream.depacketizer.as_ref());
        depacketizer.is_some_and(Depacketizer::needs_keyframe)
    }

    /// Does what is due by time; call it a few times a second.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.turn(now);
    }

    /// The next thing to be done with files.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What was missing so far; taken out.
    pub fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// Ends the recording of this source: what is still there is written and the file made whole.
    pub fn finish(&mut self) {
        for stream in [self.sound.take(), self.picture.take()].into_iter().flatten() {
            self.end_stream(stream);
        }
        self.place_early(Duration::MAX);
        self.close();
    }

    fn stream(&mut self, is_sound: bool) -> &mut Option<Stream> {
        if is_sound { &mut self.sound } else { &mut self.picture }
    }

    fn turn(&mut self, now: Duration) {
        for is_sound in [true, false] {
            let Some(mut stream) = self.stream(is_sound).take() else { continue };
            while let Some(item) = stream.reorder.poll(now) {
                self.take(&mut stream, item);
            }
            *self.stream(is_sound) = Some(stream);
        }
        self.place_early(now);
        self.write(now);
    }

    fn end_stream(&mut self, mut stream: Stream) {
        while let Some(item) = stream.reorder.poll(Duration::MAX) {
            self.take(&mut stream, item);
        }
    }

    fn take(&mut self, stream: &mut Stream, item: Ordered<Waiting>) {
        let packet = match item {
            Ordered::Packet(packet) => packet,
            Ordered::Gap(packets) => {
                if let Some(depacketizer) = &mut stream.depacketizer {
                    depacketizer.gap();
                }
                let is_sound = stream.codec == Codec::Opus;
                if self.gaps.len() < MAX_GAPS {
                    self.gaps.push(Gap { is_sound, at: self.newest(), packets });
                }
                return;
            }
        };
        let frame = match &mut stream.depacketizer {
            // Nothing, or the one byte of silence in DTX, is kept like any other: the file has no gap then.
            None if packet.payload.is_empty() => None,
            None => Some(Frame {
                timestamp: packet.timestamp,
                is_keyframe: true,
                bytes: packet.payload.into_vec(),
                size: None,
                private: None,
            }),
            Some(depacketizer) => depacketizer.push(depacket::Packet {
                timestamp: packet.timestamp,
                marker: packet.marker,
                payload: &packet.payload,
            }),
        };
        let Some(frame) = frame else { return };
        let at = stream.clock.time_of(frame.timestamp, &self.person);
        let media = match stream.codec {
            Codec::Opus => Media::Opus,
            Codec::Video(codec) => {
                let (width, height) = frame.size.unwrap_or_default();
                let private = frame.private.clone().unwrap_or_default();
                Media::Video { codec, width, height, private }
            }
        };
        self.place(Timed { at, media, frame });
    }

    fn newest(&self) -> Duration {
        let early = self.early.back().map(|timed| timed.at);
        let written = self.file.as_ref().and_then(|file| file.newest.iter().max().copied());
        early.max(written).unwrap_or_default()
    }

    /// Puts a frame where it belongs: into the file, or before a new one.
    fn place(&mut self, timed: Timed) {
        let Some(file) = &mut self.file else {
            self.early.push_back(timed);
            return;
        };
        match file.track_for(&timed.media) {
            Some(track) => {
                file.newest[track] = file.newest[track].max(timed.at);
                file.pending.push_back(timed);
            }
            None => {
                self.close();
                self.early.push_back(timed);
            }
        }
    }

    /// Begins a file once there is a frame of each kind that is expected, or that was waited for long enough.
    fn place_early(&mut self, now: Duration) {
        let Some(first) = self.early.iter().map(|timed| timed.at).min() else { return };
        let has = |is_sound: bool| {
            self.early.iter().any(|timed| (timed.media == Media::Opus) == is_sound)
        };
        let (sound, picture) = self.expects;
        let is_complete = (!sound || has(true)) && (!picture || has(false));
        if !is_complete && now < first + LATENESS + CLUSTER && self.early.len() < MAX_PENDING {
            return;
        }
        let mut tracks: Vec<Media> = Vec::new();
        for timed in &self.early {
            let is_known = tracks.iter().any(|media| kind(media) == kind(&timed.media));
            // A picture needs its keyframe's words in the header.
            if !is_known && timed.frame.is_keyframe {
                tracks.push(timed.media.clone());
            }
        }
        let begins_at = self.began_at.saturating_add(first.as_secs() as i64);
        let (writer, bytes) = Writer::begin(&tracks, begins_at);
        self.outputs.push_back(Output::Begin { tracks: tracks.clone(), at: first, bytes });
        self.file = Some(File {
            writer,
            at: first,
            newest: vec![first; tracks.len()],
            last_ms: vec![None; tracks.len()],
            tracks,
            pending: VecDeque::new(),
        });
        for timed in std::mem::take(&mut self.early) {
            self.place(timed);
        }
    }

    /// Writes the clusters that are complete.
    fn write(&mut self, now: Duration) {
        let Some(file) = &mut self.file else { return };
        while let Some(bytes) = file.next_cluster(now) {
            self.outputs.push_back(Output::Append(bytes));
        }
    }

    fn close(&mut self) {
        let Some(mut file) = self.file.take() else { return };
        while let Some(bytes) = file.next_cluster(Duration::MAX) {
            self.outputs.push_back(Output::Append(bytes));
        }
        let end = file.newest.iter().max().copied().unwrap_or(file.at) + FRAME;
        let duration = end.saturating_sub(file.at);
        let (append, patches) = file.writer.finish(duration.as_millis() as u64);
        self.outputs.push_back(Output::End { append, patches, duration });
    }
}

/// The last frame is shown for about as long.
const FRAME: Duration = Duration::from_millis(20);

/// What makes two media the same track: pictures may change their size, and their codec's words with it.
fn kind(media: &Media) -> Option<VideoCodec> {
    match media {
        Media::Opus => None,
        Media::Video { codec, .. } => Some(*codec),
    }
}

impl File {
    fn track_for(&self, media: &Media) -> Option<usize> {
        self.tracks.iter().position(|track| kind(track) == kind(media))
    }

    /// The next cluster, if all that belongs into it is here or late.
    fn next_cluster(&mut self, now: Duration) -> Option<Vec<u8>> {
        let begin = self.pending.iter().map(|timed| timed.at).min()?;
        let end = begin + CLUSTER;
        let is_complete = self.newest.iter().all(|newest| *newest >= end);
        let is_late = now >= end.saturating_add(LATENESS) || self.pending.len() >= MAX_PENDING;
        if !is_complete && !is_late {
            return None;
        }
        let (mut inside, outside): (Vec<Timed>, Vec<Timed>) =
            std::mem::take(&mut self.pending).into_iter().partition(|timed| timed.at < end);
        self.pending = outside.into();
        inside.sort_by_key(|timed| timed.at);
        let mut blocks = Vec::with_capacity(inside.len());
        for timed in inside {
            let Some(track) = self.track_for(&timed.media) else { continue };
            let at_ms = timed.at.saturating_sub(self.at).as_millis() as u64;
            // Two frames of a track never share a time.
            let at_ms = at_ms.max(self.last_ms[track].map_or(0, |last| last + 1));
            self.last_ms[track] = Some(at_ms);
            let Frame { is_keyframe, bytes, .. } = timed.frame;
            blocks.push(Block { track, at_ms, is_keyframe, frame: bytes });
        }
        blocks.sort_by_key(|block| block.at_ms);
        Some(self.writer.cluster(&blocks))
    }
}
