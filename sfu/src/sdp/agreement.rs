//! What both ends can do on one m-line.

use super::Feedback;
use super::description::Section;
use super::extension::{self, Extension, Name};
use super::payload::Format;
use super::write::Writer;
use crate::format::{Codec, Extensions, Payload};
use protocol::Kind;

/// Codecs, feedback and header extensions that both ends know.
#[derive(Clone, Debug)]
pub(super) struct Agreement {
    pub(super) kind: Kind,
    /// Never empty.
    pub(super) formats: Vec<Format>,
    pub(super) extensions: Vec<Extension>,
    /// Of all formats together.
    pub(super) feedback: Feedback,
}

impl Agreement {
    /// `None` where no codec is left. `is_wanted` says which extensions mean something to the caller.
    pub(super) fn of(
        section: &Section,
        kind: Kind,
        is_wanted: impl Fn(&Extension) -> bool,
    ) -> Option<Self> {
        let mut formats = Format::read_all(section, kind);
        if formats.is_empty() {
            return None;
        }
        let mut extensions = section.extensions();
        extensions.retain(|extension| extension.name.fits(kind) && is_wanted(extension));
        // Either alone says nothing: GStreamer offers the feedback without numbers to report on.
        let is_numbered = extensions.iter().any(|extension| extension.name == Name::TransportCc);
        let mut feedback = Feedback::default();
        for format in &mut formats {
            format.feedback.transport_cc &= is_numbered;
            feedback.add(format.feedback);
        }
        if !feedback.transport_cc {
            extensions.retain(|extension| extension.name != Name::TransportCc);
        }
        Some(Self { kind, formats, extensions, feedback })
    }

    /// Payload types in the order of the m-line.
    pub(super) fn payloads(&self) -> Vec<Payload> {
        self.formats.iter().map(|format| format.payload).collect()
    }

    /// Whether both ends know a header extension.
    pub(super) fn has(&self, name: Name) -> bool {
        self.extensions.iter().any(|extension| extension.name == name)
    }

    /// Ids of the header extensions.
    pub(super) fn ids(&self) -> Extensions {
        extension::ids(&self.extensions)
    }

    /// Writes what follows the direction: all payload types with the parameters that `wishes` says.
    pub(super) fn write_formats(
        &self,
        wishes: impl Fn(&Format) -> String,
        writer: &mut Writer<'_>,
    ) {
        for format in &self.formats {
            writer.format(format.payload, &wishes(format), format.feedback);
        }
    }
}

/// Parameters without which a payload type would mean another codec, as the offer has them.
pub(super) fn identity(format: &Format) -> String {
    match format.payload.codec {
        Codec::Opus => "minptime=10;useinbandfec=1".to_owned(),
        Codec::Red => format.repeats.map(|pt| format!("{pt}/{pt}")).unwrap_or_default(),
        Codec::Vp8 => String::new(),
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
