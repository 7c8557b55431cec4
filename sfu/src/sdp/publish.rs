//! Answers to publishers: browsers that send, and encoders over WHIP.

use super::description::{Description, Section};
use super::extension::{self, Extension, Name};
use super::payload::Format;
use super::streams::Streams;
use super::transport::Bundle;
use super::write::{OurSetup, Writer};
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
    let mut agreed: Vec<Option<Agreed>> = Vec::with_capacity(description.sections.len());
    for section in &description.sections {
        agreed.push(Agreed::of(section)?);
    }
    let usable: Vec<usize> =
        agreed.iter().enumerate().filter_map(|(i, a)| a.is_some().then_some(i)).collect();
    let bundle = Bundle::of(&description, &usable)?;

    let mut writer = Writer::begin(local, bundle.mids.as_deref());
    let mut sections = Vec::with_capacity(bundle.members.len());
    for (index, (section, agreed)) in description.sections.iter().zip(agreed).enumerate() {
        match agreed.filter(|_| bundle.members.contains(&index)) {
            Some(agreed) => {
                let has_candidates = bundle.has_candidates(section);
                agreed.write(
                    section,
                    OurSetup::As(bundle.remote.role),
                    has_candidates,
                    &mut writer,
                );
                sections.push(agreed.into_section(section));
            }
            None => writer.rejected(section),
        }
    }
    Ok(PublishAnswer { remote: bundle.remote, sections, sdp: writer.finish() })
}

/// What both ends can do on one m-line.
struct Agreed {
    kind: Kind,
    formats: Vec<Format>,
    extensions: Vec<Extension>,
    feedback: Feedback,
}

impl Agreed {
    /// `None` where the m-line is to be rejected.
    fn of(section: &Section) -> Result<Option<Self>, SdpError> {
        let Some(kind) = section.kind().filter(|_| !section.is_rejected) else { return Ok(None) };
        let mut formats = Format::read_all(section, kind);
        if formats.is_empty() {
            return if section.sends() {
                Err(SdpError::NoUsableCodec { mid: section.mid.clone() })
            } else {
                Ok(None)
            };
        }
        // The order is the sender's wish, but not every browser can show H264: last.
        formats.sort_by_key(|format| matches!(format.payload.codec, Codec::H264 { .. }));
        let mut feedback = Feedback::default();
        formats.iter().for_each(|format| feedback.add(format.feedback));
        let mut extensions = section.extensions();
        extensions.retain(|extension| {
            extension.is_sent()
                && extension.name.fits(kind)
                && match extension.name {
                    Name::TransportCc => feedback.transport_cc,
                    Name::Mid | Name::AbsSendTime | Name::AudioLevel | Name::VideoOrientation => {
                        true
                    }
                    // One layer is taken for now.
                    Name::Rid | Name::RepairedRid | Name::DependencyDescriptor => false,
                }
        });
        Ok(Some(Self { kind, formats, extensions, feedback }))
    }

    fn write(
        &self,
        section: &Section,
        setup: OurSetup,
        has_candidates: bool,
        writer: &mut Writer<'_>,
    ) {
        let payloads: Vec<Payload> = self.formats.iter().map(|format| format.payload).collect();
        writer.section(&section.media, &section.protocol, &payloads, setup, has_candidates);
        writer.mid(section);
        for extension in &self.extensions {
            writer.line(format_args!("a=extmap:{}", extension.receiving()));
        }
        writer.line(format_args!("a={}", if section.sends() { "recvonly" } else { "inactive" }));
        for format in &self.formats {
            writer.format(format.payload, &wishes(format), format.feedback);
        }
    }

    fn into_section(self, section: &Section) -> PublishSection {
        let Streams { ssrcs, rtx_ssrcs, rids, cname } = Streams::read(section);
        PublishSection {
            mid: section.mid.clone(),
            kind: self.kind,
            is_active: section.sends(),
            payloads: self.formats.iter().map(|format| format.payload).collect(),
            extensions: extension::ids(&self.extensions),
            feedback: self.feedback,
            ssrcs,
            rtx_ssrcs,
            rids,
            cname,
        }
    }
}

/// `a=fmtp` of the answer: how the publisher shall encode.
fn wishes(format: &Format) -> String {
    let mut parameters = match format.payload.codec {
        Codec::Opus => {
            let mut wishes = "minptime=10;useinbandfec=1;usedtx=1".to_owned();
            let is_stereo = |name| format.parameter(name) == Some("1");
            if is_stereo("stereo") || is_stereo("sprop-stereo") {
                wishes.push_str(";stereo=1");
            }
            wishes
        }
        codec => identity(codec, format),
    };
    // Only browsers have these two, and only they would wonder at nothing.
    let estimates = format.feedback.transport_cc || format.feedback.remb;
    if format.payload.codec.kind() == Kind::Video && estimates {
        if !parameters.is_empty() {
            parameters.push(';');
        }
        parameters.push_str(&format!("x-google-start-bitrate={START_KBPS}"));
    }
    parameters
}

/// Parameters without which a payload type would mean another codec, as the offer has them.
pub(super) fn identity(codec: Codec, format: &Format) -> String {
    match codec {
        Codec::Opus => "minptime=10;useinbandfec=1".to_owned(),
        Codec::Red | Codec::Vp8 => String::new(),
        Codec::Vp9 { profile } => format!("profile-id={profile}"),
        Codec::Av1 { profile } => {
            let number = |name| {
                let value = format.parameter(name).and_then(|value| value.parse::<u8>().ok());
                value.map(|value| format!("{name}={value};")).unwrap_or_default()
            };
            format!("{}{}profile={profile}", number("level-idx"), number("tier"))
        }
        Codec::H264 { mode, .. } => {
            let mut parameters = String::new();
            if format.parameter("level-asymmetry-allowed") == Some("1") {
                parameters.push_str("level-asymmetry-allowed=1;");
            }
            parameters.push_str(&format!("packetization-mode={mode}"));
            // Was read as six hexadecimal digits before.
            if let Some(id) = format.parameter("profile-level-id") {
                parameters.push_str(&format!(";profile-level-id={id}"));
            }
            parameters
        }
    }
}

/// Where browsers begin to send video, in kbit/s. They begin at 300 otherwise, which is 320 × 180
/// for the first seconds; more than a slow uplink carries would begin with loss.
const START_KBPS: u32 = 1000;
