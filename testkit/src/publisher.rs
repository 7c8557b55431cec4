//! A publish transport that sends made-up Opus and VP8.

use crate::Error;
use crate::description::Description;
use crate::film::VideoCodec;
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
    /// What the camera's pictures are encoded with.
    pub codec: VideoCodec,
}

impl Default for Publication {
    fn default() -> Self {
        Self { audio: true, video: true, levels: true, codec: VideoCodec::Vp8 }
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
    video: Stream,
    rtx: Stream,
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
            packets: 0,
            octets: 0,
        }
    }
}

impl Offer {
    /// An offer with fresh credentials.
    pub fn new(publication: Publication) -> Self {
        Self::with_local(publication, Local::generate())
    }

    /// An offer with those credentials.
    pub fn with_local(publication: Publication, local: Local) -> Self {
        let (audio, video, rtx) = (Stream::new(OPUS), Stream::new(VP8), Stream::new(VP8_RTX));
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
                     a=rtcp-fb:{OPUS} transport-cc\r\na=ssrc:{} cname:testkit\r\n",
                    audio.ssrc
                ),
            ));
        }
        if publication.video {
            let codec = publication.codec.name();
            let parameters = publication.codec.parameters();
            let parameters =
                parameters.map(|p| format!("a=fmtp:{VP8} {p}\r\n")).unwrap_or_default();
            sections.push((
                Source::Camera,
                format!("m=video 9 UDP/TLS/RTP/SAVPF {VP8} {VP8_RTX}\r\n"),
                format!(
                    "a=rtpmap:{VP8} {codec}/90000\r\n{parameters}a=rtcp-fb:{VP8} nack\r\na=rtcp-fb:{VP8} nack pli\r\n\
                     a=rtcp-fb:{VP8} transport-cc\r\na=rtpmap:{VP8_RTX} rtx/90000\r\na=fmtp:{VP8_RTX} apt={VP8}\r\n\
                     a=ssrc-group:FID {0} {1}\r\na=ssrc:{0} cname:testkit\r\na=ssrc:{1} cname:testkit\r\n",
                    video.ssrc,
                    rtx.ssrc,
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
                "{media}c=IN IP4 0.0.0.0\r\n{}a=mid:{mid}\r\na=sendonly\r\na=rtcp-mux\r\na=msid:testkit {mid}\r\n\
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
            has_levels: self.publication.levels && takes(AUDIO_LEVEL),
            has_transport_cc: takes(TRANSPORT_CC),
            has_mid: takes(MID),
            video_mid: u8::from(self.publication.audio),
            audio: self.audio,
            video: self.video,
            rtx: self.rtx,
            picture_id: random::<u16>() & 0x7fff,
            transport_sequence: 0,
            kept: VecDeque::new(),
            asked: Asked::default(),
            loses: false,
            first_sound: None,
            first_picture: None,
            started: Instant::now(),
        })
    }
}

/// A publisher whose transport the server knows.
pub struct Publisher {
    /// Its transport.
    pub link: Link,
    has_levels: bool,
    has_transport_cc: bool,
    has_mid: bool,
    video_mid: u8,
    audio: Stream,
    video: Stream,
    rtx: Stream,
    picture_id: u16,
    transport_sequence: u16,
    /// Number, marker, timestamp, payload.
    kept: VecDeque<(u16, bool, u32, Vec<u8>)>,
    asked: Asked,
    loses: bool,
    first_sound: Option<u32>,
    first_picture: Option<u32>,
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
        let timestamp = self.video.timestamp.wrapping_add((elapsed * 9 / 100) as u32);
        self.send_frame_at(timestamp, is_keyframe, packets, length)
    }

    /// Sends 20 ms of sound that an encoder made, captured so long after the first.
    pub fn send_sound(&mut self, at: Duration, payload: &[u8]) -> Result<(), Error> {
        let first = *self.first_sound.get_or_insert(self.audio.timestamp);
        self.audio.timestamp = first.wrapping_add((at.as_millis() as u32).wrapping_mul(48));
        let timestamp = self.audio.timestamp;
        let extensions =
            if self.has_levels { vec![(AUDIO_LEVEL, vec![0x80 | 20])] } else { Vec::new() };
        self.send(Which::Audio, false, timestamp, extensions, payload)
    }

    /// Sends a picture that an encoder made, captured so long after the first.
    pub fn send_picture(&mut self, at: Duration, payloads: &[Vec<u8>]) -> Result<(), Error> {
        let first = *self.first_picture.get_or_insert(self.video.timestamp);
        self.video.timestamp = first.wrapping_add((at.as_millis() as u32).wrapping_mul(90));
        let timestamp = self.video.timestamp;
        for (index, payload) in payloads.iter().enumerate() {
            let marker = index + 1 == payloads.len();
            self.send(Which::Video, marker, timestamp, vec![], payload)?;
        }
        Ok(())
    }

    /// Sends the sender reports of both streams for a moment so long after the first of both, which was at
    /// `began` by the wall clock (NTP).
    pub fn report_at(&mut self, at: Duration, began: u64) -> Result<(), Error> {
        let ntp = began.wrapping_add(((at.as_micros() << 32) / 1_000_000) as u64);
        let ms = at.as_millis() as u32;
        let mut compound = Vec::new();
        for (stream, first, per_ms) in
            [(&self.audio, self.first_sound, 48u32), (&self.video, self.first_picture, 90)]
        {
            let Some(first) = first else { continue };
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
        let video_now = self.video.timestamp.wrapping_add((elapsed * 9 / 100) as u32);
        let mut compound = Vec::new();
        for (stream, rtp) in [(&self.audio, self.audio.timestamp), (&self.video, video_now)] {
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
                Incoming::Pli { .. } | Incoming::Fir { .. } => self.asked.keyframes += 1,
                Incoming::Nack { sequences, .. } => {
                    self.asked.nacked += sequences.len() as u64;
                    again.extend(sequences);
                }
                Incoming::TransportCc(_) => self.asked.transport_cc += 1,
                Incoming::ReceiverReport { .. } => self.asked.reports += 1,
                Incoming::SenderReport { .. } | Incoming::Remb { .. } | Incoming::Bye { .. } => {}
            });
        }
        for sequence in again {
            let kept = self.kept.iter().find(|(number, ..)| *number == sequence);
            if let Some((_, marker, timestamp, payload)) = kept.cloned() {
                let again = [&sequence.to_be_bytes()[..], &payload].concat();
                self.send(Which::Rtx, marker, timestamp, vec![], &again)?;
            }
        }
        Ok(())
    }

    /// SSRC of the camera.
    pub fn video_ssrc(&self) -> u32 {
        self.video.ssrc
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
            self.send(Which::Video, at + 1 == packets, timestamp, vec![], &payload)?;
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
        let stream = match which {
            Which::Audio => &mut self.audio,
            Which::Video => &mut self.video,
            Which::Rtx => &mut self.rtx,
        };
        let index = stream.next;
        stream.next += 1;
        stream.packets += 1;
        stream.octets = stream.octets.wrapping_add(payload.len() as u32);
        if self.has_mid {
            let mid = if which == Which::Audio { 0 } else { self.video_mid };
            extensions.push((MID, vec![b'0' + mid]));
        }
        if self.has_transport_cc {
            extensions.push((TRANSPORT_CC, self.transport_sequence.to_be_bytes().to_vec()));
            self.transport_sequence = self.transport_sequence.wrapping_add(1);
        }
        let mut packet = header(stream, index as u16, timestamp, marker, &extensions);
        let header_len = packet.len();
        packet.extend_from_slice(payload);
        if which == Which::Video {
            if self.kept.len() == KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back((index as u16, marker, timestamp, payload.to_vec()));
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
    Video,
    Rtx,
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
