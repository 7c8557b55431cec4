//! ICE-lite (RFC 8445 §2.5): which addresses are the peer's, and which of them it uses now.
//!
//! Answers every authenticated check, believes every nomination, and follows the peer where its
//! packets come from. It never sends a check of its own.

use super::stun::{self, IntegrityKey, Message, TransactionId};
use crate::credentials::IceCredentials;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a check led to.
pub(super) struct Checked {
    /// The datagram to send back.
    pub(super) answer: Vec<u8>,
    /// Addresses that are accepted no more.
    pub(super) forgotten: Vec<SocketAddr>,
}

/// Why a check is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not written with a password of ours.
    Forged,
    /// Seen before, from elsewhere.
    Replayed,
}

/// The ICE state of one transport.
pub(super) struct IceLite {
    local: Credentials,
    /// Credentials before a restart; valid until a path is nominated with the new ones.
    retiring: Vec<Credentials>,
    generation: u32,
    paths: Vec<Path>,
    remote: Option<SocketAddr>,
    /// When anything authentic came from `remote`.
    remote_heard: Instant,
    /// The last checks and where they came from.
    recent: VecDeque<(TransactionId, SocketAddr)>,
}

struct Credentials {
    ice: IceCredentials,
    key: IntegrityKey,
    generation: u32,
}

/// An address that the peer was heard from.
struct Path {
    address: SocketAddr,
    heard: Instant,
    /// Of the credentials of its last check.
    generation: u32,
}

impl IceLite {
    pub(super) fn new(local: IceCredentials, now: Instant) -> Self {
        Self {
            local: Credentials::new(local, 0),
            retiring: Vec::new(),
            generation: 0,
            paths: Vec::new(),
            remote: None,
            remote_heard: now,
            recent: VecDeque::new(),
        }
    }

    pub(super) fn local(&self) -> &IceCredentials {
        &self.local.ice
    }

    /// Whether checks addressed to a ufrag are ours.
    pub(super) fn knows_ufrag(&self, ufrag: &str) -> bool {
        self.credentials(ufrag).is_some()
    }

    /// Takes new credentials; the former stay valid until a path is nominated with the new ones.
    pub(super) fn restart(&mut self, local: IceCredentials) {
        self.generation += 1;
        let former = std::mem::replace(&mut self.local, Credentials::new(local, self.generation));
        if self.retiring.len() == MAX_RETIRING {
            self.retiring.remove(0);
        }
        self.retiring.push(former);
    }

    /// Where the peer is now.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    pub(super) fn accepts(&self, address: SocketAddr) -> bool {
        self.remote == Some(address) || self.paths.iter().any(|path| path.address == address)
    }

    /// Judges a connectivity check.
    pub(super) fn check(
        &mut self,
        now: Instant,
        from: SocketAddr,
        check: &Message<'_>,
    ) -> Result<Checked, Refused> {
        let ufrag = check.addressed_ufrag().ok_or(Refused::Forged)?;
        let credentials = self.credentials(ufrag).ok_or(Refused::Forged)?;
        if !check.is_authentic(&credentials.key) {
            return Err(Refused::Forged);
        }
        let generation = credentials.generation;
        let answer = stun::binding_success(check.transaction(), from, &credentials.key);
        self.remember(check.transaction(), from)?;

        let is_unheard = |path: &Path| now.saturating_duration_since(path.heard) >= FORGET_AFTER;
        let mut forgotten = self.forget(|path| path.address != from && is_unheard(path));
        let dropped = self.hear(now, from, generation);
        forgotten.extend(dropped);
        if check.nominates() || self.remote.is_none() || self.is_remote_stale(now) {
            self.remote = Some(from);
        }
        if self.remote == Some(from) {
            self.remote_heard = now;
        }
        if check.nominates() && generation == self.generation && !self.retiring.is_empty() {
            self.retiring.clear();
            forgotten.extend(self.forget(|path| path.generation != generation));
        }
        Ok(Checked { answer, forgotten })
    }

    /// Notes an authentic packet from an accepted address; one that is ahead of its stream moves the peer there.
    pub(super) fn heard_packet(&mut self, now: Instant, from: SocketAddr, is_newest: bool) {
        if self.remote == Some(from) {
            self.remote_heard = now;
        } else if is_newest {
            self.remote = Some(from);
            self.remote_heard = now;
            let path = self.paths.iter_mut().find(|path| path.address == from);
            path.into_iter().for_each(|path| path.heard = now);
        }
    }

    /// Accepts an address without a check, because something else proved it; the peer is there now.
    /// Gives the addresses that had to go.
    pub(super) fn adopt(&mut self, now: Instant, address: SocketAddr) -> Option<SocketAddr> {
        let dropped = self.hear(now, address, self.generation);
        self.remote = Some(address);
        self.remote_heard = now;
        dropped
    }

    /// The peer begins DTLS from an accepted address: answers go there.
    pub(super) fn follow_handshake(&mut self, from: SocketAddr) {
        self.remote = Some(from);
    }

    fn credentials(&self, ufrag: &str) -> Option<&Credentials> {
        let mut all = std::iter::once(&self.local).chain(&self.retiring);
        all.find(|credentials| credentials.ice.ufrag == ufrag)
    }

    /// Checks carry nothing against replay, so one that comes again from elsewhere is not believed.
    fn remember(&mut self, transaction: TransactionId, from: SocketAddr) -> Result<(), Refused> {
        let known = self.recent.iter().find(|(known, _)| *known == transaction);
        match known {
            Some((_, address)) if *address == from => Ok(()),
            Some(_) => Err(Refused::Replayed),
            None => {
                if self.recent.len() == MAX_RECENT {
                    self.recent.pop_front();
                }
                self.recent.push_back((transaction, from));
                Ok(())
            }
        }
    }

    /// Notes that the peer was heard from an address; gives the one that had to go for it.
    fn hear(&mut self, now: Instant, address: SocketAddr, generation: u32) -> Option<SocketAddr> {
        if let Some(path) = self.paths.iter_mut().find(|path| path.address == address) {
            path.heard = now;
            path.generation = path.generation.max(generation);
            return None;
        }
        let dropped = if self.paths.len() < MAX_PATHS { None } else { self.forget_oldest() };
        self.paths.push(Path { address, heard: now, generation });
        dropped
    }

    fn forget_oldest(&mut self) -> Option<SocketAddr> {
        let others = self.paths.iter().filter(|path| self.remote != Some(path.address));
        let oldest = others.min_by_key(|path| path.heard)?.address;
        self.forget(|path| path.address == oldest).pop()
    }

    /// Forgets addresses, but never the one in use.
    fn forget(&mut self, is_over: impl Fn(&Path) -> bool) -> Vec<SocketAddr> {
        let remote = self.remote;
        let over = self.paths.extract_if(.., |path| remote != Some(path.address) && is_over(path));
        over.map(|path| path.address).collect()
    }

    fn is_remote_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.remote_heard) >= STALE_AFTER
    }
}

impl Credentials {
    fn new(ice: IceCredentials, generation: u32) -> Self {
        let key = IntegrityKey::new(&ice.pwd);
        Self { ice, key, generation }
    }
}

/// More let a peer hold more addresses; fewer drop candidates of machines with many interfaces,
/// which come back with their next check.
const MAX_PATHS: usize = 16;

/// Restarts that may be under way at once; an older one is void.
const MAX_RETIRING: usize = 2;

/// More cost memory per peer (44 bytes each); fewer let an observer replay a check sooner.
/// Browsers send one to two checks every 2.5 s, so these last for a minute or two.
const MAX_RECENT: usize = 64;

/// Longer keeps addresses that somebody else may have by now; shorter forgets a path between two checks.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Firefox never nominates again after its NAT moved it: once the path in use was silent for longer
/// than two of its checks (5.5 s), the next checked one is taken. Shorter, and lost checks move a peer.
const STALE_AFTER: Duration = Duration::from_secs(12);
