//! Words of the media plane that clients see.

use crate::id::{ParticipantId, TrackId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an m-line carries.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Opus.
    Audio,
    /// VP8, VP9, AV1 or H264.
    Video,
}

/// What a track shows or sounds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A person's voice.
    Microphone,
    /// A person's face.
    Camera,
    /// A shared screen or window.
    Screen,
    /// The sound of a shared screen.
    ScreenAudio,
}

impl Source {
    /// The kind of m-line this source needs.
    pub fn kind(self) -> Kind {
        match self {
            Source::Microphone | Source::ScreenAudio => Kind::Audio,
            Source::Camera | Source::Screen => Kind::Video,
        }
    }
}

/// A track as other participants see it. `csrc` stands in every RTP packet that carries it,
/// so a receiver knows whose packet it plays before any message arrives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Track {
    /// Id, new for each publication.
    pub id: TrackId,
    /// What it shows.
    pub source: Source,
    /// Contributing source in forwarded packets; unique in the room, never 0.
    pub csrc: u32,
}

/// Why a slot carries what it carries, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotReason {
    /// It carries the best there is.
    Best,
    /// Nobody is bound to it.
    Empty,
    /// The publisher has muted the source.
    Muted,
    /// A moderator has muted the source.
    Forced,
    /// The receiver has not negotiated the publisher's codec.
    Codec,
    /// A smaller layer, because the tile is small.
    Viewport,
    /// A smaller layer, because the receiver's link is slow.
    Bandwidth,
    /// A smaller layer, because the publisher sends no better one.
    Publisher,
    /// Fewer frames, a smaller layer or nothing, because the server has too much to do.
    Server,
}

/// The part of a track's picture that a slot carries. What is not known, or of no meaning, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Layer {
    /// `a=rid` of the simulcast layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// Spatial layer of an SVC stream, 0 the smallest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spatial: Option<u8>,
    /// Highest temporal layer forwarded, 0 the slowest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal: Option<u8>,
    /// Width of its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// Height of its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
}

/// What a receive slot carries now. A slot is one m-line of the subscribe transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotBinding {
    /// `a=mid` of the slot's m-line.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Who is heard or seen in it; nobody when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant_id: Option<ParticipantId>,
    /// Which track of theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    /// Which layer of it, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// Why.
    pub reason: SlotReason,
}

/// One tile that a client shows, in the order of its importance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ViewTile {
    /// Who is shown.
    pub participant_id: ParticipantId,
    /// Camera or screen.
    pub source: Source,
    /// Width of the tile in device pixels.
    #[serde(default)]
    pub width: u16,
    /// Height of the tile in device pixels.
    #[serde(default)]
    pub height: u16,
    /// Pinned by the person who watches.
    #[serde(default)]
    pub pinned: bool,
}

/// What a client shows and hears; replaces what it said before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct View {
    /// Tiles shown; when absent the server chooses by who speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiles: Option<Vec<ViewTile>>,
    /// Participants whose volume is 0 here: they take no audio slot.
    #[serde(default)]
    pub silenced: Vec<ParticipantId>,
}

/// Names the source of an m-line that a publisher offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackOffer {
    /// `a=mid` of the m-line in the offer.
    pub mid: String,
    /// What it shows or sounds.
    pub source: Source,
}
