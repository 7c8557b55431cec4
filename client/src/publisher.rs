//! A publish transport that sends made-up Opus and VP8.

mod stamped;

pub use stamped::Frame;

use crate::Error;
use crate::VideoCodec;
use crate::description::Description;
use crate::link::{Link, Local, Packet};
use protocol::media::{Source, TrackOffer};
use rand::random;
use sfu::rtcp::{self, Incoming, SenderReport};
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const OPUS: u8 = 111;
const VP8: u8 = 96;
const VP8_RTX: u8 = 97;
const AUDIO_LEVEL: u8 = 1;
const TRANSPORT_CC: u8 = 3;
const MID: u8 = 4;
const RID: u8 = 5;
const REPAIRED_RID: u8 = 6;
/// Names of simulcast layers, the smallest first.
pub const RIDS: [&str; 3] = ["q", "h", "f"];
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;
/// Packets that can be sent again; half a second of the fastest test.
const KEPT: usize = 512;

/// What a publisher offers.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// A microphone.
    pub audio: bool,
    /// A camera.
    pub video: bool,
    /// Whether the microphone's packets say how loud they are.
    pub levels: bool,
    /// What the pictures are encoded with.
    pub codec: VideoCodec,
    /// Whether they are a camera's or a screen's.
    pub shows: Source,
    /// Streams of the same pictures in different sizes; more than one is simulcast, at most three.
    pub layers: usize,
}

impl Default for Publication {
    fn default() -> Self {
        Self {
            audio: true,
            video: true,
            levels: true,
            codec: VideoCodec::Vp8,
            shows: Source::Camera,
            layers: 1,
        }
    }
}

/// What the server asked of the publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Keyframe requests.
    pub keyframes: u64,
    /// Packets asked for again.
    pub nacked: u64,
    /// Feedback about arrival times.
    pub transport_cc: u64,
    /// Receiver reports.
    pub reports: u64,
}

/// The offer of a publisher, before its answer.
pub struct Offer {
    local: Local,
    publication: Publication,
    audio: Stream,
    video: Vec<Stream>,
    rtx: Vec<Stream>,
    /// SDP.
    pub sdp: String,
    /// Sources of its m-lines.
    pub tracks: Vec<TrackOffer>,
}

/// One stream's numbers.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    payload_type: u8,
    /// Sequence number with roll-overs.
    next: u64,
    timestamp: u32,
    /// The timestamp of what was captured first.
    first: Option<u32>,
    packets: u32,
    octets: u32,
}

impl Stream {
    fn new(payload_type: u8) -> Self {
        Self {
            ssrc: random::<u32>() | 1,
            payload_type,
            next: u64::from(random::<u16>()),
            timestamp: random(),
            first: None,
            packets: 0,
            octets: 0,
        }
    }

    /// Moves on to what was captured so long after the first.
    fn move_to(&mut self, at: Duration, per_ms: u32) {
        let first = *self.first.get_or_insert(self.timestamp);
        self.timestamp = first.wrapping_add((at.as_millis() as u32).wrapping_mul(per_ms));
    }
}

impl Offer {
    /// An offer with fresh credentials.
    pub fn new(publication: Publication) -> Self {
        Self::with_local(publication, Local::generate())
    }

    /// An offer with those credentials.
    pub fn with_local(publication: Publication, local: Local) -> Self {
        let audio = Stream::new(OPUS);
        let streams = |payload_type| -> Vec<Stream> {
            (0..publication.layers).map(|_| Stream::new(payload_type)).collect()
        };
        let (video, rtx) = (streams(VP8), streams(VP8_RTX));
        let mut sections = Vec::new();
        if publication.audio {
            let level = if publication.levels {
                format!("a=extmap:{AUDIO_LEVEL} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n")
            } else {
                String::new()
            };
            sections.push((
                Source::Microphone,
                format!("m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}\r\n"),
                format!(
                    "{level}a=rtpmap:{OPUS} opus/48000/2\r\na=fmtp:{OPUS} minptime=10;useinbandfec=1\r\n\
                     a=rtcp-fb:{OPUS} transport-cc\r\na=ssrc:{} cname:native\r\n",
                    audio.ssrc
                ),
            ));
        }
        if publication.video {
            let codec = publication.codec.name();
            let parameters = publication.codec.parameters();
            let parameters =
                parameters.map(|p| format!("a=fmtp:{VP8} {p}\r\n")).unwrap_or_default();
            let streams = if publication.layers > 1 {
                let rids = &RIDS[..publication.layers];
                let each: String = rids.iter().map(|rid| format!("a=rid:{rid} send\r\n")).collect();
                format!(
                    "a=extmap:{RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                     a=extmap:{REPAIRED_RID} urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n\
                     {each}a=simulcast:send {}\r\n",
                    rids.join(";")
                )
            } else {
                format!(
                    "a=ssrc-group:FID {0} {1}\r\na=ssrc:{0} cname:native\r\na=ssrc:{1} cname:native\r\n",
                    video[0].ssrc, rtx[0].ssrc
                )
            };
            sections.push((
                publication.shows,
                format!("m=video 9 UDP/TLS/RTP/SAVPF {VP8} {VP8_RTX}\r\n"),
                format!(
                    "a=rtpmap:{VP8} {codec}/90000\r\n{parameters}a=rtcp-fb:{VP8} nack\r\na=rtcp-fb:{VP8} nack pli\r\n\
                     a=rtcp-fb:{VP8} transport-cc\r\na=rtpmap:{VP8_RTX} rtx/90000\r\na=fmtp:{VP8_RTX} apt={VP8}\r\n\
                     {streams}"
                ),
            ));
        }
        let mids: Vec<String> = (0..sections.len()).map(|mid| mid.to_string()).collect();
        let mut sdp = format!(
            "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            random::<u32>(),
            mids.join(" ")
        );
        let mut tracks = Vec::new();
        for (mid, (source, media, rest)) in mids.into_iter().zip(sections) {
            write!(
                sdp,
                "{media}c=IN IP4 0.0.0.0\r\n{}a=mid:{mid}\r\na=sendonly\r\na=rtcp-mux\r\na=msid:native {mid}\r\n\
                 a=extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
                 a=extmap:{TRANSPORT_CC} http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
                 {rest}",
                local.lines("actpass")
            )
            .expect("a String takes whatever is written");
            tracks.push(TrackOffer { mid, source });
        }
        Self { local, publication, audio, video, rtx, sdp, tracks }
    }

    /// The publisher, once the server has answered. Connect its link before sending.
    pub fn answered(self, answer: &str) -> Result<Publisher, Error> {
        let description = Description::read(answer)?;
        let link = Link::to(&self.local, &description)?;
        let extensions = description.sections.iter().flat_map(|section| &section.extensions);
        let takes = |id| extensions.clone().any(|(taken, _)| *taken == id);
        Ok(Publisher {
            link,
            has_sound: self.publication.audio,
            has_levels: self.publication.levels && takes(AUDIO_LEVEL),
            has_transport_cc: takes(TRANSPORT_CC),
            has_mid: takes(MID),
            video_mid: u8::from(self.publication.audio),
            audio: self.audio,
            video: self.video,
            rtx: self.rtx,
            picture_id: random::<u16>() & 0x7fff,
            picture_ids: random(),
            wanted_keyframes: [false; RIDS.len()],
            transport_sequence: 0,
            kept: VecDeque::new(),
            asked: Asked::default(),
            loses: false,
            started: Instant::now(),
        })
    }
}

/// A packet that can be sent again.
#[derive(Clone)]
struct Kept {
    layer: usize,
    sequence: u16,
    marker: bool,
    timestamp: u32,
    payload: Vec<u8>,
}

/// A publisher whose transport the server knows.
pub struct Publisher {
    /// Its transport.
    pub link: Link,
    has_sound: bool,
    has_levels: bool,
    has_transport_cc: bool,
    has_mid: bool,
    video_mid: u8,
    audio: Stream,
    video: Vec<Stream>,
    rtx: Vec<Stream>,
    picture_id: u16,
    /// Of layers, each of which is a stream of pictures of its own.
    picture_ids: [u16; RIDS.len()],
    wanted_keyframes: [bool; RIDS.len()],
    transport_sequence: u16,
    kept: VecDeque<Kept>,
    asked: Asked,
    loses: bool,
    started: Instant,
}

impl Publisher {
    /// Sends 20 ms of sound of that loudness (0 loudest, 127 silence) in `length` bytes.
    pub fn send_audio(&mut self, level: u8, length: usize) -> Result<(), Error> {
        self.audio.timestamp = self.audio.timestamp.wrapping_add(960);
        let timestamp = self.audio.timestamp;
        let mut extensions = vec![];
        if self.has_levels {
            extensions.push((AUDIO_LEVEL, vec![0x80 | level]));
        }
        // CELT, 20 ms, mono, one frame.
        let payload = filled(&[0xf8], length);
        self.send(Which::Audio, true, timestamp, extensions, &payload)
    }

    /// Sends a frame in that many packets of `length` payload bytes each, at the present time.
    pub fn send_frame(
        &mut self,
        is_keyframe: bool,
        packets: usize,
        length: usize,
    ) -> Result<(), Error> {
        let elapsed = self.started.elapsed().as_micros() as u64;
        let timestamp = self.video[0].timestamp.wrapping_add((elapsed * 9 / 100) as u32);
        self.send_frame_at(timestamp, is_keyframe, packets, length)
    }

    /// Sends 20 ms of sound that an encoder made, captured so long after the first.
    pub fn send_sound(&mut self, at: Duration, payload: &[u8]) -> Result<(), Error> {
        self.audio.move_to(at, 48);
        let timestamp = self.audio.timestamp;
        let extensions =
            if self.has_levels { vec![(AUDIO_LEVEL, vec![0x80 | 20])] } else { Vec::new() };
        self.send(Which::Audio, false, timestamp, extensions, payload)
    }

    /// Sends a picture that an encoder made, captured so long after the first.
    pub fn send_picture(&mut self, at: Duration, payloads: &[Vec<u8>]) -> Result<(), Error> {
        self.send_layer(0, at, payloads)
    }

    /// The same in one of several sizes, the smallest being the first.
    pub fn send_layer(
        &mut self,
        layer: usize,
        at: Duration,
        payloads: &[Vec<u8>],
    ) -> Result<(), Error> {
        self.video[layer].move_to(at, 90);
        let timestamp = self.video[layer].timestamp;
        for (index, payload) in payloads.iter().enumerate() {
            let marker = index + 1 == payloads.len();
            self.send(Which::Video(layer), marker, timestamp, vec![], payload)?;
        }
        Ok(())
    }

    /// Sends the sender reports of both streams for a moment so long after the first of both, which was at
    /// `began` by the wall clock (NTP).
    pub fn report_at(&mut self, at: Duration, began: u64) -> Result<(), Error> {
        let ntp = began.wrapping_add(((at.as_micros() << 32) / 1_000_000) as u64);
        let ms = at.as_millis() as u32;
        let mut compound = Vec::new();
        let streams = [(&self.audio, 48)].into_iter().chain(self.video.iter().map(|s| (s, 90)));
        for (stream, per_ms) in streams {
            let Some(first) = stream.first else { continue };
            let report = SenderReport {
                ssrc: stream.ssrc,
                ntp,
                rtp: first.wrapping_add(ms.wrapping_mul(per_ms)),
                packets: stream.packets,
                octets: stream.octets,
            };
            rtcp::write_sender_report(&mut compound, &report, &[]);
        }
        self.link.send_rtcp(&mut compound)
    }

    /// Asks nothing back: a packet that is made but lost on the way, so that the server must ask for it.
    pub fn lose_next_frame(&mut self, packets: usize, length: usize) -> Result<(), Error> {
        self.loses = true;
        let sent = self.send_frame(false, packets, length);
        self.loses = false;
        sent
    }

    /// Sends the sender reports of both streams: the wall clock beside their timestamps.
    pub fn send_reports(&mut self) -> Result<(), Error> {
        let elapsed = self.started.elapsed().as_micros() as u64;
        let video_now = self.video[0].timestamp.wrapping_add((elapsed * 9 / 100) as u32);
        let mut compound = Vec::new();
        for (stream, rtp) in [(&self.audio, self.audio.timestamp), (&self.video[0], video_now)] {
            let report = SenderReport {
                ssrc: stream.ssrc,
                ntp: ntp_now(),
                rtp,
                packets: stream.packets,
                octets: stream.octets,
            };
            rtcp::write_sender_report(&mut compound, &report, &[]);
        }
        self.link.send_rtcp(&mut compound)
    }

    /// Reads what the server asks, and sends again what it misses.
    pub fn drive(&mut self) -> Result<(), Error> {
        let mut compounds = Vec::new();
        self.link.drive(&mut |packet| match packet {
            Packet::Rtcp(compound) => compounds.push(compound.to_vec()),
            Packet::Rtp(_) => {}
        })?;
        let mut again = Vec::new();
        for compound in compounds {
            rtcp::parse(&compound, |incoming| match incoming {
                Incoming::Pli { ssrc, .. } => {
                    self.asked.keyframes += 1;
                    let layer = self.video.iter().position(|stream| stream.ssrc == ssrc);
                    layer.into_iter().for_each(|layer| self.wanted_keyframes[layer] = true);
                }
                Incoming::Fir { .. } => {
                    self.asked.keyframes += 1;
                    self.wanted_keyframes = [true; RIDS.len()];
                }
                Incoming::Nack { ssrc, sequences, .. } => {
                    self.asked.nacked += sequences.len() as u64;
                    let layer = self.video.iter().position(|stream| stream.ssrc == ssrc);
                    again.extend(sequences.into_iter().map(|sequence| (layer, sequence)));
                }
                Incoming::TransportCc(_) => self.asked.transport_cc += 1,
                Incoming::ReceiverReport { .. } => self.asked.reports += 1,
                Incoming::SenderReport { .. } | Incoming::Remb { .. } | Incoming::Bye { .. } => {}
            });
        }
        for (layer, sequence) in again {
            let is_it = |kept: &&Kept| Some(kept.layer) == layer && kept.sequence == sequence;
            if let Some(Kept { layer, marker, timestamp, payload, .. }) =
                self.kept.iter().find(is_it).cloned()
            {
                let again = [&sequence.to_be_bytes()[..], &payload].concat();
                self.send(Which::Rtx(layer), marker, timestamp, vec![], &again)?;
            }
        }
        Ok(())
    }

    /// Whether it has a microphone.
    pub fn has_sound(&self) -> bool {
        self.has_sound
    }

    /// SSRC of the camera.
    pub fn video_ssrc(&self) -> u32 {
        self.video[0].ssrc
    }

    /// What the server asked so far.
    pub fn asked(&self) -> Asked {
        self.asked
    }

    /// Drives for that long.
    pub fn drive_for(&mut self, time: Duration) -> Result<(), Error> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.drive()?;
            self.link.wait(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Waits until a keyframe was asked for more than `before` times.
    pub fn wait_for_keyframe_request(&mut self, before: u64) -> Result<(), Error> {
        let end = Instant::now() + crate::socket::PATIENCE;
        while self.asked.keyframes <= before {
            if Instant::now() > end {
                return Err(Error::Timeout("a keyframe request"));
            }
            self.drive_for(Duration::from_millis(5))?;
        }
        Ok(())
    }

    fn send_frame_at(
        &mut self,
        timestamp: u32,
        is_keyframe: bool,
        packets: usize,
        length: usize,
    ) -> Result<(), Error> {
        self.picture_id = self.picture_id.wrapping_add(1) & 0x7fff;
        let [high, low] = (self.picture_id | 0x8000).to_be_bytes();
        for at in 0..packets {
            let start = if at == 0 { 0x10 } else { 0 };
            // X with I: a 15-bit picture id; then the frame's first byte, whose lowest bit is 0 in a keyframe.
            let head = [0x80 | start, 0x80, high, low, u8::from(!is_keyframe)];
            let payload = filled(&head, length);
            self.send(Which::Video(0), at + 1 == packets, timestamp, vec![], &payload)?;
        }
        Ok(())
    }

    fn send(
        &mut self,
        which: Which,
        marker: bool,
        timestamp: u32,
        mut extensions: Vec<(u8, Vec<u8>)>,
        payload: &[u8],
    ) -> Result<(), Error> {
        let is_simulcast = self.video.len() > 1;
        let stream = match which {
            Which::Audio => &mut self.audio,
            Which::Video(layer) => &mut self.video[layer],
            Which::Rtx(layer) => &mut self.rtx[layer],
        };
        let index = stream.next;
        stream.next += 1;
        stream.packets += 1;
        stream.octets = stream.octets.wrapping_add(payload.len() as u32);
        if self.has_mid {
            let mid = if which == Which::Audio { 0 } else { self.video_mid };
            extensions.push((MID, vec![b'0' + mid]));
        }
        match which {
            Which::Video(layer) if is_simulcast => {
                extensions.push((RID, RIDS[layer].as_bytes().to_vec()));
            }
            Which::Rtx(layer) if is_simulcast => {
                extensions.push((REPAIRED_RID, RIDS[layer].as_bytes().to_vec()));
            }
            _ => {}
        }
        if self.has_transport_cc {
            extensions.push((TRANSPORT_CC, self.transport_sequence.to_be_bytes().to_vec()));
            self.transport_sequence = self.transport_sequence.wrapping_add(1);
        }
        let mut packet = header(stream, index as u16, timestamp, marker, &extensions);
        let header_len = packet.len();
        packet.extend_from_slice(payload);
        if let Which::Video(layer) = which {
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            let (sequence, payload) = (index as u16, payload.to_vec());
            self.kept.push_back(Kept { layer, sequence, marker, timestamp, payload });
        }
        if self.loses {
            return Ok(());
        }
        self.link.send_rtp(&mut packet, header_len, index)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Audio,
    Video(usize),
    Rtx(usize),
}

/// A header as browsers write it: no CSRC, extensions in the one-byte form.
fn header(
    stream: &Stream,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    extensions: &[(u8, Vec<u8>)],
) -> Vec<u8> {
    let mut out = vec![0x80, u8::from(marker) << 7 | stream.payload_type];
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&timestamp.to_be_bytes());
    out.extend_from_slice(&stream.ssrc.to_be_bytes());
    if extensions.is_empty() {
        return out;
    }
    out[0] |= 0x10;
    let mut elements = Vec::new();
    for (id, content) in extensions {
        elements.push(id << 4 | (content.len() - 1) as u8);
        elements.extend_from_slice(content);
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    out.extend_from_slice(&0xbedeu16.to_be_bytes());
    out.extend_from_slice(&((elements.len() / 4) as u16).to_be_bytes());
    out.extend_from_slice(&elements);
    out
}

/// `head`, then bytes that differ from place to place, `length` in all.
fn filled(head: &[u8], length: usize) -> Vec<u8> {
    let mut payload = head.to_vec();
    payload.extend((head.len()..length).map(|at| at as u8));
    payload
}

/// The wall clock as NTP has it.
pub fn ntp_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (since.as_secs() + NTP_OFFSET) << 32 | fraction
}
