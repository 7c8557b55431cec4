//! Answers to viewers that offer receive-only m-lines (WHEP).

use super::agreement::{Agreement, identity};
use super::description::{Description, Section};
use super::extension::{Extension, Name};
use super::transport::Bundle;
use super::write::Writer;
use super::{Local, SdpError, SlotSpec, SubscribeSection};
use crate::credentials::RemoteParameters;
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
    let mut agreements: Vec<Option<Agreement>> = description
        .sections
        .iter()
        .map(|section| agree(section, description.allows_mixed(section)))
        .collect();
    if agreements.iter().all(Option::is_none)
        && let Some(section) = description.sections.iter().find(|s| wanted_kind(s).is_some())
    {
        return Err(SdpError::NoUsableCodec { mid: section.mid.clone() });
    }
    bound(&mut agreements);
    let bundle = Bundle::of(&description, |index| agreements[index].is_some())?;

    let mut writer = Writer::begin(local, bundle.mids.as_deref());
    let mut slots: Vec<SlotSpec> = Vec::new();
    let mut sections = Vec::new();
    for (index, (section, agreement)) in description.sections.iter().zip(agreements).enumerate() {
        let Some(agreement) = agreement.filter(|_| bundle.members.contains(&index)) else {
            writer.rejected(section, &bundle);
            continue;
        };
        let k = slots.iter().filter(|slot| slot.kind == agreement.kind).count();
        let slot = SlotSpec {
            mid: section.mid.clone(),
            kind: agreement.kind,
            ssrc: ssrcs(),
            rtx_ssrc: ssrcs(),
            stream: format!("slot-{k}"),
            cname: format!("slot-{k}"),
        };
        let payloads = agreement.payloads();
        writer.answered(section, &payloads, &bundle);
        for extension in &agreement.extensions {
            writer.line(format_args!("a=extmap:{}", extension.sending()));
        }
        if agreement.has(Name::DependencyDescriptor) {
            writer.mixed_extensions();
        }
        writer.line(format_args!("a=sendonly"));
        agreement.write_formats(identity, &mut writer);
        slot.write_streams(payloads.iter().any(|payload| payload.rtx.is_some()), &mut writer);
        sections.push(SubscribeSection {
            mid: section.mid.clone(),
            kind: agreement.kind,
            accepted: true,
            payloads,
            extensions: agreement.ids(),
            feedback: agreement.feedback,
        });
        slots.push(slot);
    }
    Ok(WatchAnswer { remote: bundle.remote, slots, sections, sdp: writer.finish() })
}

/// `None` where the m-line is to be rejected: nothing can be sent in it.
fn agree(section: &Section, allows_mixed: bool) -> Option<Agreement> {
    Agreement::of(section, wanted_kind(section)?, |extension| is_wanted(extension, allows_mixed))
}

fn wanted_kind(section: &Section) -> Option<Kind> {
    section.usable_kind().filter(|_| section.receives())
}

fn is_wanted(extension: &Extension, allows_mixed: bool) -> bool {
    extension.is_received()
        && match extension.name {
            Name::TransportCc
            | Name::AbsSendTime
            | Name::AudioLevel
            | Name::VideoOrientation
            | Name::PlayoutDelay => true,
            // With its structure it needs the long form.
            Name::DependencyDescriptor => allows_mixed,
            // SSRCs say which m-line; one layer arrives in each.
            Name::Mid | Name::Rid | Name::RepairedRid => false,
        }
}

/// Rejects m-lines beyond what a subscriber may have.
fn bound(agreements: &mut [Option<Agreement>]) {
    let (mut audio, mut video) = (MAX_AUDIO_SLOTS, MAX_VIDEO_SLOTS);
    for agreement in agreements {
        let left = match agreement.as_ref().map(|agreement| agreement.kind) {
            Some(Kind::Audio) => &mut audio,
            Some(Kind::Video) => &mut video,
            None => continue,
        };
        match left.checked_sub(1) {
            Some(less) => *left = less,
            None => *agreement = None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AUDIO, Server, TRANSPORT, offer};
    use super::*;
    use crate::format::Codec;

    fn answer(offer: &str) -> Result<WatchAnswer, SdpError> {
        let mut ssrc = 0;
        answer_watch(offer, &Server::new().local(), &mut || {
            ssrc += 1;
            ssrc
        })
    }

    #[test]
    fn an_answer_sends_where_the_viewer_receives() {
        let agreed = answer(&offer().replacen("sendrecv", "sendonly", 1)).unwrap();
        assert_eq!(agreed.slots.len(), 1);
        assert_eq!((agreed.slots[0].mid.as_str(), agreed.slots[0].kind), ("v", Kind::Video));
        assert!(agreed.sdp.contains("m=audio 0 ") && agreed.sdp.contains("a=group:BUNDLE v\r\n"));
        assert_eq!(agreed.sdp.matches("a=sendonly").count(), 1);
        assert!(!agreed.sdp.contains("FID"), "the viewer has no retransmissions");
    }

    #[test]
    fn a_viewer_that_takes_redundant_sound_gets_it() {
        let red = "a=rtpmap:111 opus/48000/2\na=rtpmap:63 red/48000/2\na=fmtp:63 111/111\n";
        let offered = offer()
            .replace("SAVPF 111", "SAVPF 111 63")
            .replace("a=rtpmap:111 opus/48000/2\n", red);
        let agreed = answer(&offered).unwrap();
        let codecs: Vec<Codec> = agreed.sections[0].payloads.iter().map(|p| p.codec).collect();
        assert_eq!(codecs, [Codec::Opus, Codec::Red]);
        assert!(agreed.sdp.contains("a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n"));
    }

    #[test]
    fn a_viewer_is_sent_descriptors_of_frames_where_both_forms_may_come() {
        let uri = Name::DependencyDescriptor.uri();
        let named = offer().replace("a=mid:v", &format!("a=mid:v\na=extmap:5 {uri}"));
        let taken = |offer: &str| {
            let agreed = answer(offer).unwrap();
            let ids: Vec<Option<u8>> =
                agreed.sections.iter().map(|s| s.extensions.dependency_descriptor).collect();
            (ids[1], agreed.sdp.matches("a=extmap-allow-mixed").count())
        };
        assert_eq!(taken(&named), (None, 0));
        assert_eq!(taken(&named.replace("v=0\n", "v=0\na=extmap-allow-mixed\n")), (Some(5), 1));
    }

    #[test]
    fn a_viewer_that_receives_nothing_is_refused() {
        assert_eq!(answer(&offer().replace("sendrecv", "sendonly")), Err(SdpError::NoMedia));
        let other = offer().replace("VP8", "H265").replace("opus", "PCMU");
        assert_eq!(answer(&other), Err(SdpError::NoUsableCodec { mid: "a".into() }));
    }

    #[test]
    fn a_viewer_has_no_more_slots_than_a_subscriber() {
        let mids: Vec<String> = (0..12).map(|index| format!("a{index}")).collect();
        let sections: String = mids
            .iter()
            .map(|mid| AUDIO.replace("mid:a", &format!("mid:{mid}")) + TRANSPORT)
            .collect();
        let agreed =
            answer(&format!("v=0\na=group:BUNDLE {}\n{sections}", mids.join(" "))).unwrap();
        assert_eq!(agreed.slots.len(), usize::from(MAX_AUDIO_SLOTS));
        assert_eq!(agreed.sdp.matches("m=audio 0 ").count(), 4);
        let streams: Vec<&str> = agreed.slots.iter().map(|slot| slot.stream.as_str()).collect();
        assert_eq!(streams[..3], ["slot-0", "slot-1", "slot-2"]);
    }
}
