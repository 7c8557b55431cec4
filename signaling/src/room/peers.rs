//! The transports that sockets asked for, found by number and by whose they are: a request of one of a thousand
//! must not look through those of the others.

use super::media::Peer;
use protocol::ParticipantId;
use sfu::PeerId;
use std::collections::BTreeMap;
use std::ops::Deref;

/// Transports of a room's sockets. Reads as a map by number.
#[derive(Default)]
pub(super) struct Peers {
    all: BTreeMap<PeerId, Peer>,
    of: BTreeMap<ParticipantId, Vec<PeerId>>,
}

impl Deref for Peers {
    type Target = BTreeMap<PeerId, Peer>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Peers {
    /// Adds a transport under a number that nothing had before.
    pub(super) fn insert(&mut self, id: PeerId, peer: Peer) {
        self.of.entry(peer.participant).or_default().push(id);
        self.all.insert(id, peer);
    }

    pub(super) fn remove(&mut self, id: PeerId) -> Option<Peer> {
        let peer = self.all.remove(&id)?;
        if let Some(theirs) = self.of.get_mut(&peer.participant) {
            theirs.retain(|other| *other != id);
            if theirs.is_empty() {
                self.of.remove(&peer.participant);
            }
        }
        Some(peer)
    }

    /// Removes all that somebody has.
    pub(super) fn remove_of(&mut self, participant: ParticipantId) {
        for id in self.of.remove(&participant).unwrap_or_default() {
            self.all.remove(&id);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn get_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.all.get_mut(id)
    }

    /// The transports of somebody, oldest first.
    pub(super) fn of(&self, participant: ParticipantId) -> impl Iterator<Item = (PeerId, &Peer)> {
        let ids = self.of.get(&participant).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.all.get(id).map(|peer| (*id, peer)))
    }
}
