//! One transport of a participant, and which way its media goes.

use crate::command::PeerId;
use crate::credentials::IceCredentials;
use crate::key::RoomKey;
use crate::path::Path;
use crate::publisher::Publisher;
use crate::subscriber::Subscriber;
use crate::transmits::Transmits;
use crate::transport::Transport;
use protocol::ParticipantId;
use std::time::Instant;

/// A transport and what it is for.
pub struct Peer {
    /// Id that the control plane gave it.
    pub id: PeerId,
    /// Room it is in.
    pub room: RoomKey,
    /// Whose it is.
    pub participant: ParticipantId,
    /// ICE, DTLS and SRTP. Apart, as the table of peers moves when it grows, and grows by half of itself.
    pub transport: Box<Transport>,
    /// ICE credentials of its newest SDP; others in the next one are an ICE restart.
    pub remote_ice: Option<IceCredentials>,
    /// Our own SSRC towards it, for RTCP that belongs to no slot.
    pub ssrc: u32,
    /// `o=` of our SDP.
    pub session_id: u64,
    /// Grows with every SDP of ours.
    pub session_version: u64,
    /// ICE user fragments by which its checks find it.
    pub ufrags: Vec<String>,
    /// Paths that its checks or packets have vouched for; the transport bounds them.
    pub paths: Vec<Path>,
    /// SSRCs by which this peer is found when it comes on a new path.
    pub known_ssrcs: Vec<u32>,
    /// Where its media went last.
    pub media_path: Option<Path>,
    /// Its direction.
    pub side: Side,
}

/// The direction of a transport.
pub enum Side {
    /// The client sends.
    Publish(Box<Publisher>),
    /// The client receives.
    Subscribe(Box<Subscriber>),
}

/// SSRCs remembered per peer for finding it again; a publisher has two per track.
pub const MAX_KNOWN_SSRCS: usize = 16;

impl Peer {
    /// Seals RTCP that was appended to the slab at `start` and queues it.
    pub fn send_rtcp(&mut self, out: &mut Transmits, start: usize) {
        match self.transport.remote_path() {
            Some(to) if self.transport.is_connected() && out.mark() > start => {
                self.transport.seal_rtcp(out.slab(), start);
                out.commit(to, start);
            }
            _ => out.abandon(start),
        }
    }

    /// Whether it needs the next tick soon: it is not connected yet, or something waits that is sent to it.
    pub fn is_pressing(&self, now: Instant) -> bool {
        match &self.side {
            _ if !self.transport.is_connected() => true,
            Side::Publish(_) => false,
            Side::Subscribe(subscriber) => subscriber.is_pressing(now),
        }
    }

    /// Whether its media goes elsewhere since this was asked last.
    pub fn has_moved(&mut self) -> bool {
        let now = self.transport.remote_path().filter(|_| self.transport.is_connected());
        if now.is_none() || now == self.media_path {
            return false;
        }
        std::mem::replace(&mut self.media_path, now).is_some()
    }

    /// Queues STUN answers and DTLS flights.
    pub fn drain_transport(&mut self, out: &mut Transmits) {
        while let Some((to, datagram)) = self.transport.poll_transmit() {
            out.push(to, &datagram);
        }
    }
}
