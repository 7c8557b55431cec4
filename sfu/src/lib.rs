//! The media plane: rooms, transports and forwarding as a state machine.
//!
//! It holds no socket, clock, thread or file. Datagrams and commands come in through
//! [`Sfu`], datagrams and events come out; time and randomness are arguments. It must
//! never know about sessions, accounts, chat or storage.

pub mod allocator;
pub mod bwe;
pub mod cache;
pub mod clock;
pub mod codec;
pub mod command;
mod commands;
pub mod credentials;
pub mod event;
mod fan_out;
pub mod format;
pub mod framing;
mod handover;
pub mod key;
mod layering;
pub mod layers;
pub mod left_out;
pub mod meter;
pub mod nack;
mod nested;
pub mod path;
pub mod patience;
pub mod peer;
pub mod placement;
pub mod publisher;
pub mod reception;
pub mod relay;
mod report;
pub mod room;
pub mod router;
pub mod rtcp;
pub mod rtp;
pub mod saving;
pub mod sdp;
pub mod sequence;
mod settling;
pub mod slot;
pub mod speakers;
mod spread;
pub mod stats;
pub mod subscriber;
pub mod tap;
mod timers;
pub mod track;
pub mod transmits;
pub mod transport;
pub mod twcc;

pub use clock::WallClock;
pub use command::{Command, PeerId, TrackNames};
pub use event::{CloseReason, Event};
pub use path::{AllocationId, Carrier, ConnectionId, HostCandidate, Path};
pub use placement::{Load, Placement, Spread};
pub use relay::{PlaneId, Relayed, RelayedPacket, addressed_plane};
pub use report::merge_reports;
pub use router::{Config, Sfu};
pub use saving::Saving;
pub use stats::{Census, DropReason, Stats};
pub use tap::{Tapped, TappedPacket};
pub use transmits::{Run, Transmits};
pub use transport::Identity;
