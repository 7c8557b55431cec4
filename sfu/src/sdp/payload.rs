//! Payload types: what `a=rtpmap`, `a=fmtp` and `a=rtcp-fb` say together.

use super::Feedback;
use super::description::Section;
use crate::format::{Codec, Payload};
use protocol::Kind;
use std::collections::BTreeMap;

/// A payload type of a codec that is forwarded, with what its lines say.
#[derive(Clone, Debug)]
pub(super) struct Format {
    /// Number, codec and RTX.
    pub(super) payload: Payload,
    /// Parameters of `a=fmtp` as they were sent, names in lower case.
    pub(super) parameters: Vec<(String, String)>,
    /// The payload type whose frames a redundant one repeats.
    pub(super) repeats: Option<u8>,
    /// What `a=rtcp-fb` names for it.
    pub(super) feedback: Feedback,
}

impl Format {
    /// Payload types of a section that can be forwarded, in the order of the m-line.
    pub(super) fn read_all(section: &Section, kind: Kind) -> Vec<Self> {
        let lines = Lines::read(section);
        let numbers: Vec<u8> =
            section.formats.iter().filter_map(|format| payload_type(format)).collect();
        let mut rtx: BTreeMap<u8, u8> = BTreeMap::new();
        for &pt in &numbers {
            if let Some(primary) = lines.of(pt).and_then(Line::retransmits) {
                rtx.entry(primary).or_insert(pt);
            }
        }
        let mut formats: Vec<Self> = Vec::new();
        for &pt in &numbers {
            let Some(line) = lines.of(pt) else { continue };
            let Some(codec) = line.codec().filter(|codec| codec.kind() == kind) else { continue };
            if formats.iter().any(|format| format.payload.pt == pt) {
                continue;
            }
            let repeats = line.repeats.filter(|_| codec == Codec::Red);
            let is_opus = |pt: &u8| {
                numbers.contains(pt) && lines.of(*pt).and_then(Line::codec) == Some(Codec::Opus)
            };
            if codec == Codec::Red && !repeats.as_ref().is_some_and(is_opus) {
                continue;
            }
            let payload = Payload { pt, codec, rtx: rtx.get(&pt).copied() };
            let mut feedback = line.feedback;
            feedback.add(lines.feedback_of_all);
            formats.push(Self { payload, parameters: line.parameters.clone(), repeats, feedback });
        }
        formats
    }

    /// Value of a parameter of `a=fmtp`.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.parameters, name)
    }
}

impl Feedback {
    /// What either names.
    pub(super) fn add(&mut self, other: Self) {
        self.nack |= other.nack;
        self.pli |= other.pli;
        self.fir |= other.fir;
        self.transport_cc |= other.transport_cc;
        self.remb |= other.remb;
    }

    /// What follows the payload type in each `a=rtcp-fb`.
    pub(super) fn words(self) -> impl Iterator<Item = &'static str> {
        [
            (self.remb, "goog-remb"),
            (self.transport_cc, "transport-cc"),
            (self.fir, "ccm fir"),
            (self.nack, "nack"),
            (self.pli, "nack pli"),
        ]
        .into_iter()
        .filter_map(|(is_named, words)| is_named.then_some(words))
    }

    fn read(words: &str) -> Self {
        let words: Vec<&str> = words.split_ascii_whitespace().collect();
        let mut feedback = Self::default();
        match words.as_slice() {
            ["nack"] => feedback.nack = true,
            ["nack", "pli"] => feedback.pli = true,
            ["ccm", "fir"] => feedback.fir = true,
            ["transport-cc"] => feedback.transport_cc = true,
            ["goog-remb"] => feedback.remb = true,
            _ => {}
        }
        feedback
    }
}

/// What is said about every payload type; Firefox writes `a=fmtp` before `a=rtpmap`.
#[derive(Default)]
struct Lines {
    by_pt: BTreeMap<u8, Line>,
    /// `a=rtcp-fb:*`
    feedback_of_all: Feedback,
}

#[derive(Default)]
struct Line {
    /// Encoding name in lower case and clock rate.
    encoding: Option<(String, u32)>,
    parameters: Vec<(String, String)>,
    /// What the blocks of a redundant payload are, where all are the same (RFC 2198 §5).
    repeats: Option<u8>,
    feedback: Feedback,
}

impl Lines {
    fn read(section: &Section) -> Self {
        let mut lines = Self::default();
        for attribute in &section.attributes {
            let Some((number, rest)) =
                attribute.value.as_deref().and_then(|value| value.trim().split_once(' '))
            else {
                continue;
            };
            match attribute.key.as_str() {
                "rtpmap" => {
                    if let Some(line) = lines.line(number) {
                        line.encoding = line.encoding.take().or_else(|| encoding(rest));
                    }
                }
                "fmtp" => {
                    if let Some(line) = lines.line(number) {
                        line.repeats = line.repeats.or_else(|| repeated(rest));
                        line.parameters.extend(parameters(rest));
                        line.parameters.truncate(MAX_PARAMETERS);
                    }
                }
                "rtcp-fb" if number == "*" => lines.feedback_of_all.add(Feedback::read(rest)),
                "rtcp-fb" => {
                    if let Some(line) = lines.line(number) {
                        line.feedback.add(Feedback::read(rest));
                    }
                }
                _ => {}
            }
        }
        lines
    }

    fn line(&mut self, number: &str) -> Option<&mut Line> {
        Some(self.by_pt.entry(payload_type(number)?).or_default())
    }

    fn of(&self, pt: u8) -> Option<&Line> {
        self.by_pt.get(&pt)
    }
}

impl Line {
    fn codec(&self) -> Option<Codec> {
        let (name, rate) = self.encoding.as_ref()?;
        let codec = match name.as_str() {
            "opus" => Codec::Opus,
            "red" => Codec::Red,
            "vp8" => Codec::Vp8,
            "vp9" => Codec::Vp9 { profile: self.number("profile-id").unwrap_or(0) },
            "av1" => Codec::Av1 { profile: self.number("profile").unwrap_or(0) },
            "h264" => Codec::H264 {
                profile: self.h264_profile()?,
                mode: self.number("packetization-mode").unwrap_or(0),
            },
            _ => return None,
        };
        (*rate == codec.clock_rate() && is_forwarded(codec)).then_some(codec)
    }

    /// First two bytes of `profile-level-id`; without it, Baseline (RFC 6184 §8.1).
    fn h264_profile(&self) -> Option<u16> {
        match parameter(&self.parameters, "profile-level-id") {
            None => Some(H264_BASELINE),
            Some(id) if id.len() == 6 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u32::from_str_radix(id, 16).ok().and_then(|id| u16::try_from(id >> 8).ok())
            }
            Some(_) => None,
        }
    }

    fn retransmits(&self) -> Option<u8> {
        let is_rtx = self.encoding.as_ref().is_some_and(|(name, _)| name == "rtx");
        if is_rtx { parameter(&self.parameters, "apt").and_then(payload_type) } else { None }
    }

    fn number(&self, name: &str) -> Option<u8> {
        parameter(&self.parameters, name).and_then(|value| value.parse().ok())
    }
}

/// Whether streams of that codec are forwarded. Other profiles of VP9 and AV1 are 4:4:4 or 12 bit,
/// which hardly any receiver could show; interleaved H264 (mode 2) nobody sends.
fn is_forwarded(codec: Codec) -> bool {
    match codec {
        Codec::Opus | Codec::Red | Codec::Vp8 => true,
        Codec::Vp9 { profile } => matches!(profile, 0 | 2),
        Codec::Av1 { profile } => profile == 0,
        Codec::H264 { mode, .. } => mode <= 1,
    }
}

/// Reads a payload type; 64–95 look like RTCP on a shared port (RFC 5761 §4).
fn payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|pt| matches!(pt, 0..64 | 96..128))
}

/// Reads `<pt>/<pt>…` where all are the same.
fn repeated(text: &str) -> Option<u8> {
    let mut blocks = text.trim().split('/').map(payload_type);
    let first = blocks.next()??;
    blocks.all(|pt| pt == Some(first)).then_some(first)
}

/// Reads `<name>/<rate>[/<channels>]`.
fn encoding(text: &str) -> Option<(String, u32)> {
    let mut parts = text.trim().split('/');
    let name = parts.next()?.to_ascii_lowercase();
    Some((name, parts.next()?.parse().ok()?))
}

/// Reads `name=value;name=value`, with or without spaces.
fn parameters(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    })
}

fn parameter<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

const H264_BASELINE: u16 = 0x4200;
/// Parameters kept of one `a=fmtp`. Opus defines eleven, the most of all.
const MAX_PARAMETERS: usize = 24;

#[cfg(test)]
mod tests {
    use super::super::description::Description;
    use super::*;

    fn formats(media: &str, numbers: &str, lines: &str) -> Vec<Format> {
        let text = format!("v=0\nm={media} 9 UDP/TLS/RTP/SAVPF {numbers}\n{lines}");
        let read = Description::read(&text).unwrap();
        let kind = if media == "audio" { Kind::Audio } else { Kind::Video };
        Format::read_all(&read.sections[0], kind)
    }

    fn codecs(media: &str, numbers: &str, lines: &str) -> Vec<Codec> {
        formats(media, numbers, lines).iter().map(|format| format.payload.codec).collect()
    }

    #[test]
    fn parameters_decide_which_codec_a_number_means() {
        let lines = "a=fmtp:96 packetization-mode=1; profile-level-id=42E01F\na=rtpmap:96 h264/90000\n\
            a=rtpmap:97 VP9/90000\na=fmtp:97 profile-id=2\na=rtpmap:98 AV1/90000\na=rtpmap:99 H264/90000\n\
            a=rtpmap:100 VP9/90000\na=fmtp:100 profile-id=1\na=rtpmap:101 H265/90000\n\
            a=rtpmap:102 H264/90000\na=fmtp:102 profile-level-id=+2e01f\n\
            a=rtpmap:103 H264/90000\na=fmtp:103 packetization-mode=2\na=rtpmap:104 VP8/8000\n";
        assert_eq!(
            codecs("video", "97 96 98 99 100 101 102 103 104 105", lines),
            [
                Codec::Vp9 { profile: 2 },
                Codec::H264 { profile: 0x42e0, mode: 1 },
                Codec::Av1 { profile: 0 },
                Codec::H264 { profile: 0x4200, mode: 0 },
            ]
        );
    }

    #[test]
    fn a_codec_of_the_other_kind_is_no_codec() {
        assert_eq!(codecs("video", "111", "a=rtpmap:111 opus/48000/2\n"), []);
        assert_eq!(codecs("audio", "111", "a=rtpmap:111 OPUS/48000\n"), [Codec::Opus]);
    }

    #[test]
    fn redundancy_is_taken_of_opus_alone() {
        let lines = "a=rtpmap:111 opus/48000/2\na=rtpmap:63 red/48000/2\na=fmtp:63 111/111\n\
            a=rtpmap:0 PCMU/8000\n";
        let found = formats("audio", "63 111 0", lines);
        let [red, opus] = found.as_slice() else { panic!("two of three: {found:?}") };
        assert_eq!((red.payload.codec, red.repeats), (Codec::Red, Some(111)));
        assert_eq!((opus.payload.codec, opus.repeats), (Codec::Opus, None));
        for blocks in ["111/0", "0/0", "112/112", "111/", "/111", ""] {
            let other = lines.replace("111/111", blocks);
            assert_eq!(codecs("audio", "63 111 0", &other), [Codec::Opus], "{blocks}");
        }
        assert_eq!(codecs("audio", "63 0", lines), [], "without Opus itself");
        assert_eq!(codecs("audio", "63 111", &lines.replace("a=fmtp:63", "a=x:")), [Codec::Opus]);
    }

    #[test]
    fn numbers_that_look_like_rtcp_are_not_taken() {
        let lines = "a=rtpmap:72 VP8/90000\na=rtpmap:128 VP8/90000\na=rtpmap:35 VP8/90000\n";
        let found = formats("video", "72 128 35 webrtc-datachannel", lines);
        assert_eq!(found.iter().map(|format| format.payload.pt).collect::<Vec<_>>(), [35]);
    }

    #[test]
    fn retransmissions_belong_to_what_they_name() {
        let lines = "a=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96;rtx-time=200\n\
            a=rtpmap:98 VP9/90000\na=rtpmap:99 rtx/90000\na=fmtp:100 apt=98\n";
        let found = formats("video", "96 96 97 98 99", lines);
        assert_eq!(found.iter().map(|f| f.payload.rtx).collect::<Vec<_>>(), [Some(97), None]);
    }

    #[test]
    fn feedback_is_read_for_one_and_for_all() {
        let lines = "a=rtpmap:96 VP8/90000\na=rtpmap:98 VP9/90000\na=rtcp-fb:* nack\n\
            a=rtcp-fb:96 nack pli\na=rtcp-fb:96 ccm fir\na=rtcp-fb:98 goog-remb\na=rtcp-fb:98 ccm tmmbr\n";
        let found = formats("video", "96 98", lines);
        let nack = Feedback { nack: true, ..Feedback::default() };
        assert_eq!(found[0].feedback, Feedback { pli: true, fir: true, ..nack });
        assert_eq!(found[1].feedback, Feedback { remb: true, ..nack });
        let words: Vec<&str> = found[0].feedback.words().collect();
        assert_eq!(words, ["ccm fir", "nack", "nack pli"]);
    }

    #[test]
    fn parameters_are_bounded() {
        let many = "x=1;".repeat(900);
        let found =
            formats("audio", "111", &format!("a=rtpmap:111 opus/48000/2\na=fmtp:111 {many}\n"));
        assert_eq!(found[0].parameters.len(), MAX_PARAMETERS);
    }
}
