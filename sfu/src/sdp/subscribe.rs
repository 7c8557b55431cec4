//! Offers to subscribers and their answers.

use super::agreement::Agreement;
use super::description::Description;
use super::extension::Name;
use super::transport::Bundle;
use super::write::{OurSetup, Writer};
use super::{Feedback, Local, SdpError};
use crate::credentials::RemoteParameters;
use crate::format::{Codec, Extensions, Payload};
use protocol::Kind;

/// One m-line of a subscribe transport. What it carries changes, what is said here never does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotSpec {
    /// Mid.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// SSRC of everything that is sent in it.
    pub ssrc: u32,
    /// SSRC of its retransmissions; audio has none.
    pub rtx_ssrc: u32,
    /// Stream of its msid. Browsers play one audio and one video of a stream in sync.
    pub stream: String,
    /// Canonical name; the same for slots of one stream.
    pub cname: String,
}

/// One m-line as the subscriber answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeSection {
    /// Mid of the slot.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Whether the subscriber receives on it.
    pub accepted: bool,
    /// Codecs it takes, as numbered on this transport.
    pub payloads: Vec<Payload>,
    /// Header extensions it takes.
    pub extensions: Extensions,
    /// What it sends back.
    pub feedback: Feedback,
}

/// Offers these slots. With more slots behind the earlier ones, their m-lines stay as they were.
pub fn offer_subscribe(slots: &[SlotSpec], local: &Local<'_>) -> String {
    let mids: Vec<String> = slots.iter().map(|slot| slot.mid.clone()).collect();
    let mut writer = Writer::begin(local, Some(&mids));
    for (index, slot) in slots.iter().enumerate() {
        let media = match slot.kind {
            Kind::Audio => "audio",
            Kind::Video => "video",
        };
        let offered = offered(slot.kind);
        let payloads: Vec<Payload> = offered.iter().map(|(payload, _)| *payload).collect();
        writer.section(media, "UDP/TLS/RTP/SAVPF", &payloads, OurSetup::Actpass, index == 0);
        writer.line(format_args!("a=mid:{}", slot.mid));
        for (id, name) in EXTENSIONS.into_iter().filter(|(_, name)| name.fits(slot.kind)) {
            writer.line(format_args!("a=extmap:{id} {}", name.uri()));
        }
        if slot.kind == Kind::Video {
            writer.mixed_extensions();
        }
        writer.line(format_args!("a=sendonly"));
        let feedback = match slot.kind {
            Kind::Audio => Feedback { transport_cc: true, ..Feedback::default() },
            Kind::Video => {
                Feedback { nack: true, pli: true, fir: true, transport_cc: true, remb: true }
            }
        };
        for (payload, parameters) in offered {
            writer.format(*payload, parameters, feedback);
        }
        slot.write_streams(slot.kind == Kind::Video, &mut writer);
    }
    writer.finish()
}

/// Reads the answer to an offer of these slots. The sections are in the order of the slots.
pub fn read_answer(
    answer: &str,
    slots: &[SlotSpec],
) -> Result<(RemoteParameters, Vec<SubscribeSection>), SdpError> {
    let description = Description::read(answer)?;
    let sections = &description.sections;
    if let Some(extra) = sections.get(slots.len()) {
        return Err(SdpError::UnknownMid { mid: extra.mid.clone() });
    }
    for (section, slot) in sections.iter().zip(slots) {
        if section.has_mid && section.mid != slot.mid {
            return Err(SdpError::UnknownMid { mid: section.mid.clone() });
        }
    }
    let agreements: Vec<Option<Agreement>> = sections
        .iter()
        .zip(slots)
        .map(|(section, slot)| {
            let kind = section.usable_kind().filter(|kind| *kind == slot.kind)?;
            let allows_mixed = description.allows_mixed(section);
            Agreement::of(section, kind, |extension| {
                extension.is_received()
                    && EXTENSIONS.contains(&(extension.id, extension.name))
                    && (allows_mixed || extension.name != Name::DependencyDescriptor)
            })
        })
        .collect();
    let bundle = Bundle::of(&description, |index| agreements[index].is_some())?;
    let answered = slots.iter().enumerate().map(|(index, slot)| {
        match agreements.get(index).and_then(Option::as_ref) {
            Some(agreement) if bundle.members.contains(&index) => SubscribeSection {
                mid: slot.mid.clone(),
                kind: slot.kind,
                accepted: sections[index].receives(),
                payloads: agreement.payloads(),
                extensions: agreement.ids(),
                feedback: agreement.feedback,
            },
            Some(_) | None => slot.refused(),
        }
    });
    let answered = answered.collect();
    Ok((bundle.remote, answered))
}

impl SlotSpec {
    /// What is sent in it: msid and SSRCs.
    pub(super) fn write_streams(&self, has_rtx: bool, writer: &mut Writer<'_>) {
        let Self { ssrc, rtx_ssrc, stream, cname, .. } = self;
        let track = match self.kind {
            Kind::Audio => "audio",
            Kind::Video => "video",
        };
        writer.line(format_args!("a=msid:{stream} {stream}-{track}"));
        if has_rtx {
            writer.line(format_args!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
        }
        writer.line(format_args!("a=ssrc:{ssrc} cname:{cname}"));
        if has_rtx {
            writer.line(format_args!("a=ssrc:{rtx_ssrc} cname:{cname}"));
        }
    }

    fn refused(&self) -> SubscribeSection {
        SubscribeSection {
            mid: self.mid.clone(),
            kind: self.kind,
            accepted: false,
            payloads: Vec::new(),
            extensions: Extensions::default(),
            feedback: Feedback::default(),
        }
    }
}

fn offered(kind: Kind) -> &'static [(Payload, &'static str)] {
    match kind {
        Kind::Audio => &AUDIO,
        Kind::Video => &VIDEO,
    }
}

const fn payload(pt: u8, codec: Codec) -> Payload {
    Payload { pt, codec, rtx: Some(pt + 1) }
}

const fn h264(pt: u8, profile: u16, mode: u8) -> Payload {
    payload(pt, Codec::H264 { profile, mode })
}

/// Redundancy has the number that Chromium gives it.
const AUDIO: [(Payload, &str); 2] = [
    (Payload { pt: 111, codec: Codec::Opus, rtx: None }, "minptime=10;useinbandfec=1"),
    (Payload { pt: 63, codec: Codec::Red, rtx: None }, "111/111"),
];

/// Everything that publishers may send. One number means the same on every m-line, as BUNDLE wants.
const VIDEO: [(Payload, &str); 10] = [
    (payload(96, Codec::Vp8), ""),
    (payload(98, Codec::Vp9 { profile: 0 }), "profile-id=0"),
    (payload(100, Codec::Vp9 { profile: 2 }), "profile-id=2"),
    (payload(102, Codec::Av1 { profile: 0 }), "level-idx=5;profile=0;tier=0"),
    (
        h264(104, 0x42e0, 1),
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
    (
        h264(106, 0x4200, 1),
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
    ),
    (
        h264(108, 0x4d00, 1),
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
    ),
    (
        h264(112, 0x6400, 1),
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
    ),
    (
        h264(114, 0x640c, 1),
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f",
    ),
    (
        h264(116, 0x42e0, 0),
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    ),
];

/// Extensions of our offers and their ids, the same on every m-line.
const EXTENSIONS: [(u8, Name); 6] = [
    (1, Name::AudioLevel),
    (2, Name::AbsSendTime),
    (3, Name::TransportCc),
    (4, Name::VideoOrientation),
    (5, Name::PlayoutDelay),
    (6, Name::DependencyDescriptor),
];

#[cfg(test)]
mod tests {
    use super::super::sample::{Server, TRANSPORT};
    use super::*;
    use crate::credentials::DtlsRole;
    use std::collections::HashMap;

    fn slots() -> Vec<SlotSpec> {
        let slot = |mid: &str, kind, ssrc| SlotSpec {
            mid: mid.into(),
            kind,
            ssrc,
            rtx_ssrc: ssrc + 1,
            stream: "slot-0".into(),
            cname: "slot-0".into(),
        };
        vec![slot("a", Kind::Audio, 10), slot("v", Kind::Video, 20)]
    }

    /// Answers with the first codec of each slot.
    fn answer() -> String {
        let transport = TRANSPORT.replace("actpass", "active");
        format!(
            "v=0\na=group:BUNDLE a v\nm=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:a\na=recvonly\n\
             a=extmap:1 {}\na=extmap:9 {}\na=rtpmap:111 opus/48000/2\n{transport}\
             m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=mid:v\na=recvonly\na=rtcp-fb:96 nack\n\
             a=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n{transport}",
            Name::AudioLevel.uri(),
            Name::AbsSendTime.uri(),
        )
    }

    #[test]
    fn an_offer_names_streams_and_numbers_once() {
        let server = Server::new();
        let offer = offer_subscribe(&slots(), &server.local());
        for line in [
            "a=group:BUNDLE a v",
            "a=msid:slot-0 slot-0-audio",
            "a=msid:slot-0 slot-0-video",
            "a=ssrc:10 cname:slot-0",
            "a=ssrc-group:FID 20 21",
            "a=ssrc:21 cname:slot-0",
            "a=candidate:1 1 udp 2114985983 192.0.2.1 7000 typ host",
            "a=candidate:2 1 udp 2114985727 2001:db8::1 7000 typ host",
        ] {
            assert_eq!(offer.lines().filter(|known| *known == line).count(), 1, "{line}");
        }
        assert!(!offer.contains("a=ssrc:11 "), "audio has no retransmissions");
        let mut meanings: HashMap<u8, Codec> = HashMap::new();
        for (payload, _) in AUDIO.iter().chain(&VIDEO) {
            for pt in [Some(payload.pt), payload.rtx].into_iter().flatten() {
                assert_eq!(meanings.insert(pt, payload.codec), None, "{pt} means one thing");
                assert!(payload.codec == Codec::Red || (96..128).contains(&pt), "{pt}");
            }
        }
    }

    #[test]
    fn what_we_offer_is_read_back_as_what_we_mean() {
        let server = Server::new();
        let offer = offer_subscribe(&slots(), &server.local());
        let description = Description::read(&offer).unwrap();
        for (section, offered) in description.sections.iter().zip([&AUDIO[..], &VIDEO[..]]) {
            let kind = section.usable_kind().unwrap();
            let read = Agreement::of(section, kind, |_| true).unwrap();
            let meant: Vec<Payload> = offered.iter().map(|(payload, _)| *payload).collect();
            assert_eq!(read.payloads(), meant);
            assert_eq!(read.ids().transport_cc, Some(3));
        }
    }

    #[test]
    fn an_answer_says_what_each_slot_takes() {
        let (remote, sections) = read_answer(&answer(), &slots()).unwrap();
        assert_eq!(remote.role, DtlsRole::Server);
        assert!(sections.iter().all(|section| section.accepted));
        assert_eq!(sections[0].payloads, [AUDIO[0].0]);
        assert_eq!(sections[0].extensions.audio_level, Some(1));
        assert_eq!(sections[0].extensions.abs_send_time, None, "not under an id of ours");
        assert_eq!(sections[1].payloads, [VIDEO[0].0]);
        assert!(sections[1].feedback.nack && !sections[1].feedback.pli);
        let passive = answer().replace("active", "passive");
        assert_eq!(read_answer(&passive, &slots()).unwrap().0.role, DtlsRole::Client);
    }

    #[test]
    fn descriptors_of_frames_are_sent_to_those_who_take_their_long_form() {
        let offer = offer_subscribe(&slots(), &Server::new().local());
        assert_eq!(offer.matches("a=extmap-allow-mixed\r\n").count(), 1, "video");
        let taken = |answer: &str| {
            read_answer(answer, &slots()).unwrap().1[1].extensions.dependency_descriptor
        };
        let uri = Name::DependencyDescriptor.uri();
        let named = answer().replace("a=mid:v\n", &format!("a=mid:v\na=extmap:6 {uri}\n"));
        assert_eq!(taken(&named), None, "the structure would not fit");
        assert_eq!(taken(&named.replace("a=mid:v", "a=extmap-allow-mixed\na=mid:v")), Some(6));
        assert_eq!(taken(&named.replace("v=0\n", "v=0\na=extmap-allow-mixed\n")), Some(6));
    }

    #[test]
    fn a_slot_that_is_not_taken_carries_nothing() {
        let accepted = |answer: &str| -> Vec<bool> {
            let (_, sections) = read_answer(answer, &slots()).unwrap();
            sections.iter().map(|section| section.accepted).collect()
        };
        assert_eq!(accepted(&answer().replace("video 9", "video 0")), [true, false]);
        assert_eq!(accepted(&answer().replacen("recvonly", "inactive", 1)), [false, true]);
        assert_eq!(accepted(&answer().replace("VP8", "H265")), [true, false]);
        let cut = answer();
        assert_eq!(accepted(&cut[..cut.find("m=video").unwrap()]), [true, false]);
    }

    #[test]
    fn an_answer_to_another_offer_is_refused() {
        let error = |answer: &str| read_answer(answer, &slots()).unwrap_err();
        let unknown = |mid: &str| SdpError::UnknownMid { mid: mid.into() };
        assert_eq!(error(&answer().replace("mid:v", "mid:w")), unknown("w"));
        assert_eq!(error(&format!("{}m=audio 9 RTP/SAVPF 0\n", answer())), unknown("2"));
        assert_eq!(error(&answer().replace("o 9 UDP", "o 0 UDP")), SdpError::NoMedia);
    }
}
