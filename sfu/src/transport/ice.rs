//! ICE-lite (RFC 8445 §2.5): which paths are the peer's, and which of them it uses now.
//!
//! Answers every authenticated check, believes every nomination, and follows the peer where its
//! packets come from. It never sends a check of its own.

use super::stun::{self, IntegrityKey, Message, TransactionId};
use crate::credentials::IceCredentials;
use crate::path::Path;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// What a check led to.
pub(super) struct Checked {
    /// The datagram to send back.
    pub(super) answer: Vec<u8>,
    /// Paths that are accepted no more.
    pub(super) forgotten: Vec<Path>,
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
    paths: Vec<Heard>,
    remote: Option<Path>,
    /// When anything authentic came from `remote`.
    remote_heard: Instant,
    /// The last checks and where they came from.
    recent: VecDeque<(TransactionId, Whence)>,
}

struct Credentials {
    ice: IceCredentials,
    key: IntegrityKey,
    generation: u32,
}

/// Where a check came from, in an eighth of a path's bytes: nobody finds another path of theirs with the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whence([u8; 8]);

impl Whence {
    fn of(path: Path) -> Self {
        let mut hasher = DefaultHasher::new();
        std::mem::discriminant(&path).hash(&mut hasher);
        path.hash(&mut hasher);
        Self(hasher.finish().to_ne_bytes())
    }
}

/// A path that the peer was heard on.
struct Heard {
    path: Path,
    at: Instant,
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

    /// How often the credentials were replaced.
    pub(super) fn restarts(&self) -> u32 {
        self.generation
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
    pub(super) fn remote(&self) -> Option<Path> {
        self.remote
    }

    pub(super) fn accepts(&self, path: Path) -> bool {
        self.remote == Some(path) || self.paths.iter().any(|heard| heard.path == path)
    }

    /// Judges a connectivity check.
    pub(super) fn check(
        &mut self,
        now: Instant,
        from: Path,
        check: &Message<'_>,
    ) -> Result<Checked, Refused> {
        let ufrag = check.addressed_ufrag().ok_or(Refused::Forged)?;
        let credentials = self.credentials(ufrag).ok_or(Refused::Forged)?;
        if !check.is_authentic(&credentials.key) {
            return Err(Refused::Forged);
        }
        let generation = credentials.generation;
        let answer = stun::binding_success(check.transaction(), from.address(), &credentials.key);
        self.remember(check.transaction(), from)?;

        let is_unheard = |heard: &Heard| now.saturating_duration_since(heard.at) >= FORGET_AFTER;
        let mut forgotten = self.forget(|heard| heard.path != from && is_unheard(heard));
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
            forgotten.extend(self.forget(|heard| heard.generation != generation));
        }
        Ok(Checked { answer, forgotten })
    }

    /// Notes an authentic packet from an accepted address; one that is ahead of its stream moves the peer there.
    pub(super) fn heard_packet(&mut self, now: Instant, from: Path, is_newest: bool) {
        if self.remote == Some(from) {
            self.remote_heard = now;
        } else if is_newest {
            self.remote = Some(from);
            self.remote_heard = now;
            let known = self.paths.iter_mut().find(|heard| heard.path == from);
            known.into_iter().for_each(|heard| heard.at = now);
        }
    }

    /// Accepts a path without a check, because something else proved it; the peer is there now.
    /// Gives the one that had to go.
    pub(super) fn adopt(&mut self, now: Instant, path: Path) -> Option<Path> {
        let dropped = self.hear(now, path, self.generation);
        self.remote = Some(path);
        self.remote_heard = now;
        dropped
    }

    /// A path that is no more. If the peer was there, it is where it was heard last besides, or nowhere
    /// until it is heard again. Whether the path was known.
    pub(super) fn lose(&mut self, now: Instant, path: Path) -> bool {
        let known = self.paths.len();
        self.paths.retain(|heard| heard.path != path);
        let was_remote = self.remote == Some(path);
        if was_remote {
            let is_fresh = |heard: &&Heard| now.saturating_duration_since(heard.at) < STALE_AFTER;
            let next = self.paths.iter().filter(is_fresh).max_by_key(|heard| heard.at);
            self.remote = next.map(|heard| heard.path);
            self.remote_heard = next.map_or(self.remote_heard, |heard| heard.at);
        }
        was_remote || self.paths.len() < known
    }

    /// The peer begins DTLS from an accepted address: answers go there.
    pub(super) fn follow_handshake(&mut self, from: Path) {
        self.remote = Some(from);
    }

    fn credentials(&self, ufrag: &str) -> Option<&Credentials> {
        let mut all = std::iter::once(&self.local).chain(&self.retiring);
        all.find(|credentials| credentials.ice.ufrag == ufrag)
    }

    /// Checks carry nothing against replay, so one that comes again from elsewhere is not believed.
    fn remember(&mut self, transaction: TransactionId, from: Path) -> Result<(), Refused> {
        let from = Whence::of(from);
        let known = self.recent.iter().find(|(known, _)| *known == transaction);
        match known {
            Some((_, whence)) if *whence == from => Ok(()),
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

    /// Notes that the peer was heard on a path; gives the one that had to go for it.
    fn hear(&mut self, now: Instant, path: Path, generation: u32) -> Option<Path> {
        if let Some(heard) = self.paths.iter_mut().find(|heard| heard.path == path) {
            heard.at = now;
            heard.generation = heard.generation.max(generation);
            return None;
        }
        let dropped = if self.paths.len() < MAX_PATHS { None } else { self.forget_oldest() };
        self.paths.push(Heard { path, at: now, generation });
        dropped
    }

    fn forget_oldest(&mut self) -> Option<Path> {
        let others = self.paths.iter().filter(|heard| self.remote != Some(heard.path));
        let oldest = others.min_by_key(|heard| heard.at)?.path;
        self.forget(|heard| heard.path == oldest).pop()
    }

    /// Forgets paths, but never the one in use.
    fn forget(&mut self, is_over: impl Fn(&Heard) -> bool) -> Vec<Path> {
        let remote = self.remote;
        let over = self.paths.extract_if(.., |heard| remote != Some(heard.path) && is_over(heard));
        over.map(|heard| heard.path).collect()
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

/// More let a peer hold more paths; fewer drop candidates of machines with many interfaces,
/// which come back with their next check.
const MAX_PATHS: usize = 16;

/// Restarts that may be under way at once; an older one is void.
const MAX_RETIRING: usize = 2;

/// More cost memory per peer (20 bytes each); fewer let an observer replay a check sooner.
/// Browsers send one to two checks every 2.5 s, so these last for a minute or two.
const MAX_RECENT: usize = 64;

/// Longer keeps paths that somebody else may have by now; shorter forgets a path between two checks.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// Firefox never nominates again after its NAT moved it: once the path in use was silent for longer
/// than two of its checks (5.5 s), the next checked one is taken. Shorter, and lost checks move a peer.
const STALE_AFTER: Duration = Duration::from_secs(12);
