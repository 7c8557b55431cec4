//! Answers to publishers: browsers that send, and encoders over WHIP.

use super::agreement::{Agreement, identity};
use super::description::{Description, Section};
use super::extension::{Extension, Name};
use super::payload::Format;
use super::streams::Streams;
use super::transport::Bundle;
use super::write::Writer;
use super::{Feedback, Local, SdpError};
use crate::credentials::RemoteParameters;
use crate::format::{Codec, Extensions, Payload};
use protocol::Kind;

/// One m-line of a publisher, as it was agreed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishSection {
    /// Mid, or the index of the m-line where the offer has none.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Whether the client sends on it.
    pub is_active: bool,
    /// Codecs, in the order of the answer: the first is what browsers send.
    pub payloads: Vec<Payload>,
    /// Header extensions.
    pub extensions: Extensions,
    /// What the sender takes, whatever the codec.
    pub feedback: Feedback,
    /// Primary streams, where the offer names them.
    pub ssrcs: Vec<u32>,
    /// Primary streams with their retransmissions.
    pub rtx_ssrcs: Vec<(u32, u32)>,
    /// Simulcast layers, first to last; all of them are taken. Empty without simulcast.
    pub rids: Vec<String>,
    /// Canonical name of the sender; the same for streams of one clock.
    pub cname: Option<String>,
}

/// What a publisher's offer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishAnswer {
    /// The other end.
    pub remote: RemoteParameters,
    /// M-lines that are not rejected, in order.
    pub sections: Vec<PublishSection>,
    /// The answer.
    pub sdp: String,
}

/// Answers an offer, anew or again. Codecs keep the offer's payload types.
pub fn answer_publish(offer: &str, local: &Local<'_>) -> Result<PublishAnswer, SdpError> {
    let description = Description::read(offer)?;
    let mut agreements = Vec::with_capacity(description.sections.len());
    for section in &description.sections {
        agreements.push(agree(section)?);
    }
    let bundle = Bundle::of(&description, |index| agreements[index].is_some())?;

    let mut writer = Writer::begin(local, bundle.mids.as_deref());
    let mut sections = Vec::with_capacity(bundle.members.len());
    for (index, (section, agreement)) in description.sections.iter().zip(agreements).enumerate() {
        let Some(agreement) = agreement.filter(|_| bundle.members.contains(&index)) else {
            writer.rejected(section, &bundle);
            continue;
        };
        writer.answered(section, &agreement.payloads(), &bundle);
        for extension in &agreement.extensions {
            writer.line(format_args!("a=extmap:{}", extension.receiving()));
        }
        if agreement.has(Name::DependencyDescriptor) && description.allows_mixed(section) {
            writer.mixed_extensions();
        }
        writer.line(format_args!("a={}", if section.sends() { "recvonly" } else { "inactive" }));
        agreement.write_formats(wishes, &mut writer);
        let settled = PublishSection::of(section, &agreement);
        write_layers(&settled.rids, &mut writer);
        sections.push(settled);
    }
    Ok(PublishAnswer { remote: bundle.remote, sections, sdp: writer.finish() })
}

impl PublishSection {
    fn of(section: &Section, agreement: &Agreement) -> Self {
        let Streams { ssrcs, rtx_ssrcs, mut rids, cname } = Streams::read(section);
        let extensions = agreement.ids();
        // Layers that no packet could be told to belong to are none.
        if extensions.rid.is_none() && ssrcs.len() < rids.len() || !section.sends() {
            rids.clear();
        }
        Self {
            mid: section.mid.clone(),
            kind: agreement.kind,
            is_active: section.sends(),
            payloads: agreement.payloads(),
            extensions,
            feedback: agreement.feedback,
            ssrcs,
            rtx_ssrcs,
            rids,
            cname,
        }
    }
}

/// `None` where the m-line is to be rejected.
fn agree(section: &Section) -> Result<Option<Agreement>, SdpError> {
    let Some(kind) = section.usable_kind() else { return Ok(None) };
    let has_layers = section.values("simulcast").next().is_some();
    let agreement = Agreement::of(section, kind, |extension| is_wanted(extension, has_layers));
    if agreement.is_none() && section.sends() {
        return Err(SdpError::NoUsableCodec { mid: section.mid.clone() });
    }
    Ok(agreement.map(|mut agreement| {
        // The order is the sender's wish, but not every browser can show H264: last. And Chromium repeats its
        // frames only where the answer names redundancy before Opus.
        agreement.formats.sort_by_key(|format| match format.payload.codec {
            Codec::Red => 0,
            Codec::H264 { .. } => 2,
            _ => 1,
        });
        // With descriptors Chromium leaves its layers out of the payload of VP8, and AV1 alone needs them.
        let first = agreement.formats.first().map(|format| format.payload.codec);
        if !matches!(first, Some(Codec::Av1 { .. })) {
            agreement.extensions.retain(|e| e.name != Name::DependencyDescriptor);
        }
        agreement
    }))
}

fn is_wanted(extension: &Extension, has_layers: bool) -> bool {
    extension.is_sent()
        && match extension.name {
            Name::Mid
            | Name::TransportCc
            | Name::AbsSendTime
            | Name::AudioLevel
            | Name::VideoOrientation => true,
            Name::Rid | Name::RepairedRid => has_layers,
            Name::DependencyDescriptor => true,
            // The server knows best how long its receivers have to wait.
            Name::PlayoutDelay => false,
        }
}

/// Simulcast as it is taken (RFC 8853 §5.3): without these lines browsers send one layer.
fn write_layers(rids: &[String], writer: &mut Writer<'_>) {
    if rids.is_empty() {
        return;
    }
    for rid in rids {
        writer.line(format_args!("a=rid:{rid} recv"));
    }
    writer.line(format_args!("a=simulcast:recv {}", rids.join(";")));
}

/// `a=fmtp` of the answer: how the publisher shall encode.
fn wishes(format: &Format) -> String {
    let mut wishes = match format.payload.codec {
        Codec::Opus => "minptime=10;useinbandfec=1;usedtx=1".to_owned(),
        _ => identity(format),
    };
    let mut add = |wish: &str| {
        if !wishes.is_empty() {
            wishes.push(';');
        }
        wishes.push_str(wish);
    };
    match format.payload.codec.kind() {
        // Only `sprop-stereo` speaks of sending (RFC 7587 §6.1). Firefox says `stereo` of every
        // microphone, and would send all of them at twice the rate.
        Kind::Audio if format.parameter("sprop-stereo") == Some("1") => add("stereo=1"),
        // Browsers estimate, and only they know the parameter.
        Kind::Video if format.feedback.transport_cc || format.feedback.remb => {
            add(&format!("x-google-start-bitrate={START_KBPS}"));
        }
        Kind::Audio | Kind::Video => {}
    }
    wishes
}

/// Where browsers begin to send video, in kbit/s. They begin at 300 otherwise, which is 320 × 180
/// for the first seconds; more than a slow uplink carries would begin with loss.
const START_KBPS: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::super::sample::{Server, offer};
    use super::*;

    fn answer(offer: &str) -> Result<PublishAnswer, SdpError> {
        answer_publish(offer, &Server::new().local())
    }

    #[test]
    fn an_answer_receives_what_is_sent() {
        let agreed = answer(&offer()).unwrap();
        assert_eq!(agreed.sdp.matches("a=recvonly").count(), 2);
        let reversed = offer().replacen("sendrecv", "recvonly", 1);
        let agreed = answer(&reversed).unwrap();
        let active: Vec<bool> = agreed.sections.iter().map(|section| section.is_active).collect();
        assert_eq!(active, [false, true]);
        assert_eq!(agreed.sdp.matches("a=inactive").count(), 1);
    }

    #[test]
    fn what_the_offer_rejects_stays_rejected() {
        let agreed = answer(&offer().replace("video 9", "video 0")).unwrap();
        assert_eq!(agreed.sections.len(), 1);
        assert!(agreed.sdp.contains("m=video 0 UDP/TLS/RTP/SAVPF 96\r\n"));
        assert!(agreed.sdp.contains("a=group:BUNDLE a\r\n"));
    }

    #[test]
    fn a_sent_codec_that_cannot_be_forwarded_is_named() {
        let other = offer().replace("VP8", "H265");
        let error = answer(&other).unwrap_err();
        assert_eq!(error, SdpError::NoUsableCodec { mid: "v".into() });
        assert!(error.to_string().contains("VP8, VP9, AV1 or H264"));
        let unused = other.replace("a=mid:v\na=sendrecv", "a=mid:v\na=inactive");
        assert_eq!(answer(&unused).unwrap().sections.len(), 1, "what is not sent does not matter");
    }

    #[test]
    fn the_order_of_codecs_is_the_sender_s_but_h264_comes_last() {
        let codecs = "a=rtpmap:97 H264/90000\na=rtpmap:98 VP9/90000\na=rtpmap:96 VP8/90000\n";
        let text = offer()
            .replace("SAVPF 96", "SAVPF 97 98 96")
            .replace("a=rtpmap:96 VP8/90000\n", codecs);
        let agreed = answer(&text).unwrap();
        let order: Vec<u8> = agreed.sections[1].payloads.iter().map(|payload| payload.pt).collect();
        assert_eq!(order, [98, 96, 97]);
        assert!(agreed.sdp.contains("SAVPF 98 96 97\r\n"));
    }

    #[test]
    fn long_descriptors_are_taken_where_both_forms_may_come() {
        let mixed = "a=extmap-allow-mixed";
        let uri = Name::DependencyDescriptor.uri();
        let av1 =
            offer().replace("VP8", "AV1").replace("a=mid:v", &format!("a=mid:v\na=extmap:5 {uri}"));
        assert!(!answer(&av1).unwrap().sdp.contains(mixed), "it was not offered");
        let of_all = av1.replace("t=0 0\n", &format!("t=0 0\n{mixed}\n"));
        let of_one = av1.replace("a=mid:v\n", &format!("a=mid:v\n{mixed}\n"));
        for offer in [&of_all, &of_one] {
            let agreed = answer(offer).unwrap();
            assert_eq!(agreed.sdp.matches(mixed).count(), 1, "{}", agreed.sdp);
            assert_eq!(agreed.sections[1].extensions.dependency_descriptor, Some(5));
        }
        assert!(!answer(&of_all.replace("AV1", "VP8")).unwrap().sdp.contains(mixed));
    }

    #[test]
    fn redundancy_comes_before_what_it_repeats() {
        let red = "a=rtpmap:111 opus/48000/2\na=rtpmap:63 red/48000/2\na=fmtp:63 111/111\n";
        let offered = offer()
            .replace("SAVPF 111", "SAVPF 111 63")
            .replace("a=rtpmap:111 opus/48000/2\n", red);
        let agreed = answer(&offered).unwrap();
        assert!(agreed.sdp.contains("SAVPF 63 111\r\n"), "{}", agreed.sdp);
        assert!(agreed.sdp.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"));
        let codecs: Vec<Codec> = agreed.sections[0].payloads.iter().map(|p| p.codec).collect();
        assert_eq!(codecs, [Codec::Red, Codec::Opus]);
    }

    #[test]
    fn an_offer_without_mids_is_answered_without_them() {
        let bare = offer().replace("a=mid:a\n", "").replace("a=mid:v\n", "");
        let agreed = answer(&bare.replace("a=group:BUNDLE a v\n", "")).unwrap();
        assert_eq!(agreed.sections[1].mid, "1");
        assert!(!agreed.sdp.contains("a=mid") && !agreed.sdp.contains("a=group"));
        assert_eq!(agreed.sdp.matches("a=end-of-candidates").count(), 2, "each m-line says where");
    }

    #[test]
    fn transport_feedback_needs_its_numbers() {
        let named = offer().replace("a=rtpmap:96", "a=rtcp-fb:96 transport-cc\na=rtpmap:96");
        let agreed = answer(&named).unwrap();
        assert!(!agreed.sections[1].feedback.transport_cc && !agreed.sdp.contains("transport-cc"));
        let uri = Name::TransportCc.uri();
        let numbered = named.replace("a=mid:v", &format!("a=mid:v\na=extmap:5 {uri}"));
        let agreed = answer(&numbered).unwrap();
        assert_eq!(agreed.sections[1].extensions.transport_cc, Some(5));
        assert!(agreed.sdp.contains("a=rtcp-fb:96 transport-cc"));
        assert!(agreed.sdp.contains("a=fmtp:96 x-google-start-bitrate=1000"));
    }
}
