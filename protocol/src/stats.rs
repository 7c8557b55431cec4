//! What `GET rooms/{slug}/stats` tells: a room's transports, tracks and slots as the media plane sees them now.
//! What is not known, or not yet, is absent.

use crate::id::ParticipantId;
use crate::media::{SlotBinding, Source};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A room as its media plane sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomStats {
    /// Those with a transport, in order of joining; viewers of WHEP too.
    pub participants: Vec<ParticipantStats>,
}

/// One participant's transports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParticipantStats {
    /// Who.
    pub participant_id: ParticipantId,
    /// Their name; viewers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// At most one that sends and one that receives, and a second of each while it is replaced.
    pub transports: Vec<TransportStats>,
}

/// What carries the media of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// UDP, straight.
    Udp,
    /// TCP, straight (ICE-TCP).
    Tcp,
    /// The TURN server in this process; one elsewhere is UDP here.
    Relay,
}

/// Which way the media of a transport goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The client sends.
    Publish,
    /// The client receives.
    Subscribe,
}

/// One transport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransportStats {
    /// Which way its media goes.
    pub direction: Direction,
    /// Whether media can flow.
    pub is_connected: bool,
    /// What carries its media now, where there is a way to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<Carrier>,
    /// Milliseconds since anything was heard of it.
    pub silent_ms: u64,
    /// Round trip in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<u64>,
    /// What its link takes, in bits per second, as estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// What reaches it now, in bits per second, as it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput: Option<u64>,
    /// Malformed, forged and repeated packets that it was sent.
    pub bad_packets: u64,
    /// What it publishes.
    pub tracks: Vec<TrackStats>,
    /// What it receives.
    pub slots: Vec<SlotStats>,
}

/// One published track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrackStats {
    /// What it shows.
    pub source: Source,
    /// `a=mid` of its m-line.
    pub mid: String,
    /// Codec of its newest packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Whether a moderator has muted it: what comes is dropped.
    pub is_blocked: bool,
    /// Its layers, smallest first; one where there are none.
    pub encodings: Vec<EncodingStats>,
}

/// One RTP stream of a track, as the server receives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EncodingStats {
    /// `a=rid`, with simulcast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// Packets received.
    pub packets: u64,
    /// Packets lost on the way and not sent again in time to be counted.
    pub lost: u64,
    /// Jitter of their arrival in milliseconds.
    pub jitter_ms: u64,
    /// Bits per second now; 0 while it is paused.
    pub bitrate: u64,
    /// Width of its picture, from its newest keyframe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// Height of its picture, from its newest keyframe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
}

/// One slot of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotStats {
    /// What it carries, and why.
    #[serde(flatten)]
    pub binding: SlotBinding,
    /// Packets sent in it since it is there, whoever was in it.
    pub packets: u32,
    /// Their payload in bytes; counts on from 0 beyond 4 GiB.
    pub bytes: u32,
}
