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
    /// Simulcast layers offered, first to last. They are not answered: one layer is sent.
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
        writer.line(format_args!("a={}", if section.sends() { "recvonly" } else { "inactive" }));
        agreement.write_formats(wishes, &mut writer);
        sections.push(PublishSection::of(section, &agreement));
    }
    Ok(PublishAnswer { remote: bundle.remote, sections, sdp: writer.finish() })
}

impl PublishSection {
    fn of(section: &Section, agreement: &Agreement) -> Self {
        let Streams { ssrcs, rtx_ssrcs, rids, cname } = Streams::read(section);
        Self {
            mid: section.mid.clone(),
            kind: agreement.kind,
            is_active: section.sends(),
            payloads: agreement.payloads(),
            extensions: agreement.ids(),
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
        // The order is the sender's wish, but not every browser can show H264: last.
        agreement.formats.sort_by_key(|f| matches!(f.payload.codec, Codec::H264 { .. }));
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
            // One layer is taken for now, but without these Chromium refuses its own next offer.
            Name::Rid | Name::RepairedRid => has_layers,
            Name::DependencyDescriptor => false,
        }
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
