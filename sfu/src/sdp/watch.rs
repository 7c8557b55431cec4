//! Answers to viewers that offer receive-only m-lines (WHEP).

use super::description::{Description, Section};
use super::extension::{self, Extension, Name};
use super::payload::Format;
use super::publish::identity;
use super::transport::Bundle;
use super::write::{OurSetup, Writer};
use super::{Feedback, Local, SdpError, SlotSpec, SubscribeSection};
use crate::credentials::RemoteParameters;
use crate::format::Payload;
use protocol::Kind;
use protocol::limits::{MAX_AUDIO_SLOTS, MAX_VIDEO_SLOTS};

/// What a viewer's offer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchAnswer {
    /// The other end.
    pub remote: RemoteParameters,
    /// A slot for every m-line on which the viewer receives, in order.
    pub slots: Vec<SlotSpec>,
    /// What the viewer takes in each slot.
    pub sections: Vec<SubscribeSection>,
    /// The answer.
    pub sdp: String,
}

/// Answers a viewer's offer; `ssrcs` gives a fresh SSRC each time it is called.
pub fn answer_watch(
    offer: &str,
    local: &Local<'_>,
    ssrcs: &mut dyn FnMut() -> u32,
) -> Result<WatchAnswer, SdpError> {
    let description = Description::read(offer)?;
    let agreed: Vec<Option<Agreed>> = description.sections.iter().map(Agreed::of).collect();
    let agreed = within_bounds(agreed);
    let usable: Vec<usize> =
        agreed.iter().enumerate().filter_map(|(i, a)| a.is_some().then_some(i)).collect();
    if usable.is_empty()
        && let Some(section) = description.sections.iter().find(|s| Agreed::is_wanted(s))
    {
        return Err(SdpError::NoUsableCodec { mid: section.mid.clone() });
    }
    let bundle = Bundle::of(&description, &usable)?;

    let mut writer = Writer::begin(local, bundle.mids.as_deref());
    let mut slots: Vec<SlotSpec> = Vec::new();
    let mut sections = Vec::new();
    for (index, (section, agreed)) in description.sections.iter().zip(agreed).enumerate() {
        let Some(agreed) = agreed.filter(|_| bundle.members.contains(&index)) else {
            writer.rejected(section);
            continue;
        };
        let k = slots.iter().filter(|slot| slot.kind == agreed.kind).count();
        let slot = SlotSpec {
            mid: section.mid.clone(),
            kind: agreed.kind,
            ssrc: ssrcs(),
            rtx_ssrc: ssrcs(),
            stream: format!("slot-{k}"),
            cname: format!("slot-{k}"),
        };
        let has_candidates = bundle.has_candidates(section);
        agreed.write(section, &slot, OurSetup::As(bundle.remote.role), has_candidates, &mut writer);
        sections.push(SubscribeSection {
            mid: section.mid.clone(),
            kind: agreed.kind,
            accepted: true,
            payloads: agreed.formats.iter().map(|format| format.payload).collect(),
            extensions: extension::ids(&agreed.extensions),
            feedback: agreed.feedback,
        });
        slots.push(slot);
    }
    Ok(WatchAnswer { remote: bundle.remote, slots, sections, sdp: writer.finish() })
}

/// What both ends can do on one m-line.
struct Agreed {
    kind: Kind,
    formats: Vec<Format>,
    extensions: Vec<Extension>,
    feedback: Feedback,
}

impl Agreed {
    /// `None` where the m-line is to be rejected: nothing can be sent in it.
    fn of(section: &Section) -> Option<Self> {
        let kind = section.kind().filter(|_| Self::is_wanted(section))?;
        let formats = Format::read_all(section, kind);
        if formats.is_empty() {
            return None;
        }
        let mut feedback = Feedback::default();
        formats.iter().for_each(|format| feedback.add(format.feedback));
        let mut extensions = section.extensions();
        extensions.retain(|extension| {
            extension.is_received()
                && extension.name.fits(kind)
                && match extension.name {
                    Name::TransportCc => feedback.transport_cc,
                    Name::AbsSendTime | Name::AudioLevel | Name::VideoOrientation => true,
                    // SSRCs say which m-line; one layer arrives in each.
                    Name::Mid | Name::Rid | Name::RepairedRid | Name::DependencyDescriptor => false,
                }
        });
        Some(Self { kind, formats, extensions, feedback })
    }

    fn is_wanted(section: &Section) -> bool {
        section.kind().is_some() && !section.is_rejected && section.receives()
    }

    fn write(
        &self,
        section: &Section,
        slot: &SlotSpec,
        setup: OurSetup,
        has_candidates: bool,
        writer: &mut Writer<'_>,
    ) {
        let payloads: Vec<Payload> = self.formats.iter().map(|format| format.payload).collect();
        writer.section(&section.media, &section.protocol, &payloads, setup, has_candidates);
        writer.mid(section);
        for extension in &self.extensions {
            writer.line(format_args!("a=extmap:{}", extension.sending()));
        }
        writer.line(format_args!("a=sendonly"));
        for format in &self.formats {
            let codec = format.payload.codec;
            writer.format(format.payload, &identity(codec, format), format.feedback);
        }
        slot.write_streams(payloads.iter().any(|payload| payload.rtx.is_some()), writer);
    }
}

/// Rejects m-lines beyond what a subscriber may have.
fn within_bounds(mut agreed: Vec<Option<Agreed>>) -> Vec<Option<Agreed>> {
    let (mut audio, mut video) = (MAX_AUDIO_SLOTS, MAX_VIDEO_SLOTS);
    for entry in &mut agreed {
        let left = match entry.as_ref().map(|agreed| agreed.kind) {
            Some(Kind::Audio) => &mut audio,
            Some(Kind::Video) => &mut video,
            None => continue,
        };
        match left.checked_sub(1) {
            Some(less) => *left = less,
            None => *entry = None,
        }
    }
    agreed
}
