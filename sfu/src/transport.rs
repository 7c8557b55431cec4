//! One peer's way to the server: ICE-lite, DTLS and SRTP without sockets.
//!
//! Datagrams come in with their path and the time, and go out the same way; keys, paths and
//! replay windows live here. It must never know about rooms, tracks or what packets carry.
//!
//! After every call that takes `now`, poll transmits and events until there are none.

pub mod client;
mod dtls;
mod ice;
mod identity;
pub mod srtp;
pub mod stun;

pub use identity::{Identity, IdentityError};

use crate::credentials::{DtlsRole, Fingerprint, IceCredentials, RemoteParameters};
use crate::event::CloseReason;
use crate::path::Path;
use ice::{IceLite, Refused};
use srtp::{MasterKeys, Opened, Opener, Sealer, Unopened};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a datagram was for those above.
#[derive(Debug)]
pub enum Arrival<'a> {
    /// Nothing: it was for the transport itself, or not to be believed.
    Nothing,
    /// An RTP packet in clear: header and payload, the tag removed.
    Rtp(&'a mut [u8]),
    /// A compound RTCP packet in clear; authentic, but not looked into.
    Rtcp(&'a [u8]),
}

/// Something that happened to a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportEvent {
    /// Datagrams on this path are this peer's from now on. Comes again with every check, for an
    /// address may have been somebody else's in between.
    PathAccepted(Path),
    /// Datagrams on this path are this peer's no more.
    PathForgotten(Path),
    /// Keys are there and the fingerprint is right: media can flow.
    Connected,
    /// The transport is over: all its paths are forgotten, and it takes nothing more.
    /// What it still has to transmit says goodbye.
    Closed(CloseReason),
}

/// What arrived and was not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportStats {
    /// Malformed or forged packets, and those of no protocol spoken here.
    pub bad_packets: u64,
    /// Packets and checks that were seen before.
    pub replays: u64,
    /// Malformed or forged STUN messages.
    pub stun_failures: u64,
}

/// One peer's ICE-lite, DTLS and SRTP.
pub struct Transport {
    identity: Identity,
    ice: IceLite,
    role: DtlsRole,
    session: Option<Box<dtls::Session>>,
    /// What is left of the session once the peer's media was heard.
    farewell: Option<Box<dtls::Farewell>>,
    remote_fingerprint: Option<Fingerprint>,
    phase: Phase,
    last_heard: Instant,
    transmits: VecDeque<(Path, Vec<u8>)>,
    events: VecDeque<TransportEvent>,
    stats: TransportStats,
}

enum Phase {
    /// The handshake is not over.
    Opening,
    /// It is, but whom it was held with is not known until the other end's parameters are here.
    Unproven(Box<dtls::Agreed>),
    Connected(Box<Media>),
    Closed,
}

struct Media {
    /// Of the other end; later parameters must still name it.
    certificate: Vec<u8>,
    sealer: Sealer,
    opener: Opener,
}

impl Transport {
    /// A transport that waits for checks. `role` may still change with the other end's parameters.
    pub fn new(identity: &Identity, local: IceCredentials, role: DtlsRole, now: Instant) -> Self {
        Self {
            identity: identity.clone(),
            ice: IceLite::new(local, now),
            role,
            session: None,
            farewell: None,
            remote_fingerprint: None,
            phase: Phase::Opening,
            last_heard: now,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            stats: TransportStats::default(),
        }
    }

    /// Takes what the other end's SDP says. This may come after DTLS is done, and again with each
    /// renegotiation; the certificate may not change then. The role counts until DTLS began.
    pub fn set_remote(&mut self, now: Instant, remote: RemoteParameters) {
        if self.is_closed() {
            return;
        }
        if !self.has_begun() {
            self.role = remote.role;
        }
        let is_other = match &self.phase {
            Phase::Connected(media) => !remote.fingerprint.matches(&media.certificate),
            Phase::Unproven(_) => false,
            Phase::Opening | Phase::Closed => {
                let former = self.remote_fingerprint.as_ref();
                former.is_some_and(|former| *former != remote.fingerprint)
            }
        };
        if is_other {
            return self.end(CloseReason::WrongFingerprint);
        }
        self.remote_fingerprint = Some(remote.fingerprint);
        self.begin_if_active(now);
        self.prove();
    }

    /// Takes new ICE credentials of ours. The former stay valid until the peer nominates a path with
    /// the new ones; DTLS and SRTP go on as they are.
    pub fn restart_ice(&mut self, local: IceCredentials) {
        self.ice.restart(local);
    }

    /// How often that was done.
    pub fn restarts(&self) -> u32 {
        self.ice.restarts()
    }

    /// Our ICE credentials, the newest.
    pub fn local(&self) -> &IceCredentials {
        self.ice.local()
    }

    /// Whether checks addressed to a ufrag are for this transport: the newest, and after an ICE
    /// restart the former ones until they are void.
    pub fn knows_ufrag(&self, ufrag: &str) -> bool {
        self.ice.knows_ufrag(ufrag)
    }

    /// Takes a datagram. On a path that is not accepted only STUN is taken.
    /// What is not returned as an arrival may be spoiled.
    pub fn receive<'a>(&mut self, now: Instant, from: Path, datagram: &'a mut [u8]) -> Arrival<'a> {
        match Protocol::of(datagram) {
            Some(Protocol::Stun) => self.receive_stun(now, from, datagram),
            Some(Protocol::Dtls) if self.ice.accepts(from) => {
                self.receive_dtls(now, from, datagram);
            }
            Some(Protocol::Rtp) if self.ice.accepts(from) => {
                if let Some(opened) = self.open_rtp(datagram) {
                    self.hear_packet(now, from, opened);
                    return Arrival::Rtp(&mut datagram[..opened.len]);
                }
            }
            Some(Protocol::Rtcp) if self.ice.accepts(from) => {
                if let Some(opened) = self.open_rtcp(datagram) {
                    self.hear_packet(now, from, opened);
                    return Arrival::Rtcp(&datagram[..opened.len]);
                }
            }
            _ => self.stats.bad_packets += 1,
        }
        Arrival::Nothing
    }

    /// Takes SRTP or SRTCP on a path that is not accepted: a NAT may have moved the peer there.
    /// If it is authentic and new it arrives, and if it is ahead of its stream too, the peer is on that
    /// path now. Otherwise nothing but a counter changes, the datagram included.
    pub fn try_rebind<'a>(
        &mut self,
        now: Instant,
        from: Path,
        datagram: &'a mut [u8],
    ) -> Arrival<'a> {
        if self.ice.accepts(from) {
            return self.receive(now, from, datagram);
        }
        let protocol = Protocol::of(datagram);
        let mut copy = datagram.to_vec();
        let opened = match protocol {
            Some(Protocol::Rtp) => self.open_rtp(&mut copy),
            Some(Protocol::Rtcp) => self.open_rtcp(&mut copy),
            Some(Protocol::Stun | Protocol::Dtls) | None => None,
        };
        let Some(opened) = opened else { return Arrival::Nothing };
        if opened.is_newest {
            self.last_heard = now;
            self.adopt(now, from);
        }
        datagram.copy_from_slice(&copy);
        let packet = &mut datagram[..opened.len];
        if protocol == Some(Protocol::Rtcp) { Arrival::Rtcp(packet) } else { Arrival::Rtp(packet) }
    }

    /// Accepts a path because a check of ours was answered there (see [`client`]).
    /// In the role of DTLS client the first one begins the handshake.
    pub fn accept(&mut self, now: Instant, path: Path) {
        if self.is_closed() {
            return;
        }
        self.last_heard = now;
        self.adopt(now, path);
        self.begin_if_active(now);
    }

    /// Forgets a path that is no more, a stream that has ended or a relay that was given up. Media goes
    /// where the peer was heard last besides, or waits for its next check.
    pub fn lose_path(&mut self, now: Instant, path: Path) {
        if self.ice.lose(now, path) {
            self.events.push_back(TransportEvent::PathForgotten(path));
        }
    }

    /// The next datagram to send: answers to checks, DTLS.
    pub fn poll_transmit(&mut self) -> Option<(Path, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// When [`Transport::handle_timeout`] is due; later with everything that is heard.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_closed() {
            return None;
        }
        let silence = self.last_heard + SILENT_AFTER;
        let handshake = self.session.as_ref().and_then(|session| session.timeout());
        Some(handshake.map_or(silence, |at| at.min(silence)))
    }

    /// Repeats what of the handshake was lost, and notices a peer that is gone.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_closed() {
            return;
        }
        if now.saturating_duration_since(self.last_heard) >= SILENT_AFTER {
            return self.end(CloseReason::Silent);
        }
        if let Some(session) = &mut self.session
            && session.timeout().is_some_and(|at| at <= now)
        {
            let advanced = session.handle_timeout(now);
            self.advance(advanced);
        }
    }

    /// Where media goes now.
    pub fn remote_path(&self) -> Option<Path> {
        self.ice.remote()
    }

    /// Whether keys are there and the fingerprint is right.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    /// When the last authentic check or packet came; the beginning, when there was none.
    pub fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// What was not taken so far.
    pub fn stats(&self) -> TransportStats {
        self.stats
    }

    /// Encrypts the RTP packet `slab[start..]` behind its header of `header_len` bytes and appends the
    /// tag. `index` is the roll-over counter times 65536 plus the sequence number; the caller never
    /// gives two packets of one SSRC the same. Without keys, the packet is cut off the slab.
    pub fn seal_rtp(&mut self, slab: &mut Vec<u8>, start: usize, header_len: usize, index: u64) {
        match &self.phase {
            Phase::Connected(media) => media.sealer.seal_rtp(slab, start, header_len, index),
            Phase::Opening | Phase::Unproven(_) | Phase::Closed => slab.truncate(start),
        }
    }

    /// Bytes that [`Transport::seal_rtp`] appends.
    pub fn overhead(&self) -> usize {
        match &self.phase {
            Phase::Connected(media) => media.sealer.overhead(),
            Phase::Opening | Phase::Unproven(_) | Phase::Closed => 0,
        }
    }

    /// Encrypts the compound RTCP packet `slab[start..]` and appends tag and index. Without keys, it is
    /// cut off the slab.
    pub fn seal_rtcp(&mut self, slab: &mut Vec<u8>, start: usize) {
        match &mut self.phase {
            Phase::Connected(media) => media.sealer.seal_rtcp(slab, start),
            Phase::Opening | Phase::Unproven(_) | Phase::Closed => slab.truncate(start),
        }
    }

    /// Ends the transport; the other end is told if DTLS got far enough.
    pub fn close(&mut self) {
        self.end(CloseReason::Commanded);
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    fn receive_stun(&mut self, now: Instant, from: Path, datagram: &[u8]) {
        if self.is_closed() {
            return;
        }
        let Some(message) = stun::Message::parse(datagram) else {
            self.stats.stun_failures += 1;
            return;
        };
        match message.class() {
            stun::Class::Request => {}
            stun::Class::Indication | stun::Class::Success | stun::Class::Error => return,
        }
        match self.ice.check(now, from, &message) {
            Ok(checked) => {
                self.last_heard = now;
                let forgotten = checked.forgotten.into_iter();
                self.events.extend(forgotten.map(TransportEvent::PathForgotten));
                self.events.push_back(TransportEvent::PathAccepted(from));
                self.transmit(from, checked.answer);
                self.begin_if_active(now);
            }
            Err(Refused::Forged) => self.stats.stun_failures += 1,
            Err(Refused::Replayed) => self.stats.replays += 1,
        }
    }

    fn receive_dtls(&mut self, now: Instant, from: Path, datagram: &[u8]) {
        if self.is_closed() {
            return;
        }
        if let Some(farewell) = &self.farewell {
            if farewell.hears(datagram) {
                self.end(CloseReason::ClosedByPeer);
            }
            return;
        }
        if self.session.is_none() && !self.begin(now) {
            return;
        }
        let Some(session) = &mut self.session else { return };
        if !session.is_complete() {
            self.ice.follow_handshake(from);
        }
        let advanced = session.receive(now, datagram);
        self.advance(advanced);
    }

    /// Begins DTLS when that is on us and a path to the peer is known.
    fn begin_if_active(&mut self, now: Instant) {
        let is_due = !self.has_begun()
            && self.role == DtlsRole::Client
            && self.ice.remote().is_some()
            && !self.is_closed();
        if is_due {
            self.begin(now);
        }
    }

    fn has_begun(&self) -> bool {
        self.session.is_some() || self.farewell.is_some()
    }

    fn begin(&mut self, now: Instant) -> bool {
        match dtls::Session::begin(&self.identity, self.role, now) {
            Ok(session) => {
                self.session = Some(Box::new(session));
                self.advance(Ok(()));
                true
            }
            Err(_) => {
                self.end(CloseReason::HandshakeFailed);
                false
            }
        }
    }

    /// Sends what DTLS has to send, and draws the conclusions.
    fn advance(&mut self, advanced: Result<(), dtls::Ended>) {
        self.send_flight();
        match advanced {
            Ok(()) => {
                let agreed = self.session.as_mut().and_then(|session| session.agreed());
                if let Some(agreed) = agreed {
                    self.phase = Phase::Unproven(Box::new(agreed));
                    self.prove();
                }
            }
            Err(dtls::Ended::ByPeer) => self.end(CloseReason::ClosedByPeer),
            Err(dtls::Ended::Failed) => self.end(CloseReason::HandshakeFailed),
        }
    }

    /// Connects once both the handshake and the other end's parameters are here and agree.
    fn prove(&mut self) {
        let Phase::Unproven(agreed) = &self.phase else { return };
        let Some(fingerprint) = &self.remote_fingerprint else { return };
        if !fingerprint.matches(&agreed.certificate) {
            return self.end(CloseReason::WrongFingerprint);
        }
        let keys = MasterKeys::split(agreed.profile, &agreed.material, self.role);
        let Some(keys) = keys else { return self.end(CloseReason::HandshakeFailed) };
        self.phase = Phase::Connected(Box::new(Media {
            certificate: agreed.certificate.clone(),
            sealer: Sealer::new(&keys.outgoing),
            opener: Opener::new(&keys.incoming),
        }));
        self.events.push_back(TransportEvent::Connected);
    }

    fn end(&mut self, reason: CloseReason) {
        if self.is_closed() {
            return;
        }
        if let Some(session) = &mut self.session {
            session.close();
        }
        self.send_flight();
        self.session = None;
        if let (Some(farewell), Some(to)) = (self.farewell.take(), self.ice.remote()) {
            self.transmit(to, farewell.into_words());
        }
        self.phase = Phase::Closed;
        self.events.push_back(TransportEvent::Closed(reason));
    }

    fn send_flight(&mut self) {
        let Some(to) = self.ice.remote() else { return };
        if let Some(session) = &mut self.session {
            let room = MAX_TRANSMITS.saturating_sub(self.transmits.len());
            self.transmits.extend(session.take_flight().take(room).map(|packet| (to, packet)));
        }
    }

    /// Queues a datagram. When nobody polls, it is lost as any datagram may be.
    fn transmit(&mut self, to: Path, datagram: Vec<u8>) {
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back((to, datagram));
        }
    }

    fn adopt(&mut self, now: Instant, path: Path) {
        let is_new = !self.ice.accepts(path);
        let forgotten = self.ice.adopt(now, path);
        self.events.extend(forgotten.map(TransportEvent::PathForgotten));
        if is_new {
            self.events.push_back(TransportEvent::PathAccepted(path));
        }
    }

    fn hear_packet(&mut self, now: Instant, from: Path, opened: Opened) {
        self.last_heard = now;
        // Media comes from who has finished the handshake.
        if self.session.as_ref().is_some_and(|session| session.may_rest())
            && let Some(session) = self.session.take()
        {
            self.farewell = session.rest().map(Box::new);
        }
        self.ice.heard_packet(now, from, opened.is_newest);
    }

    fn open_rtp(&mut self, packet: &mut [u8]) -> Option<Opened> {
        let Phase::Connected(media) = &mut self.phase else { return None };
        let opened = media.opener.open_rtp(packet);
        self.count(opened)
    }

    fn open_rtcp(&mut self, packet: &mut [u8]) -> Option<Opened> {
        let Phase::Connected(media) = &mut self.phase else { return None };
        let opened = media.opener.open_rtcp(packet);
        self.count(opened)
    }

    fn count(&mut self, opened: Result<Opened, Unopened>) -> Option<Opened> {
        match opened {
            Ok(opened) => return Some(opened),
            Err(Unopened::Malformed | Unopened::Forged) => self.stats.bad_packets += 1,
            Err(Unopened::Replayed) => self.stats.replays += 1,
        }
        None
    }
}

/// What shares the port (RFC 7983), RTP and RTCP told apart by RFC 5761 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

impl Protocol {
    fn of(datagram: &[u8]) -> Option<Self> {
        match datagram {
            [0..=3, ..] => Some(Protocol::Stun),
            [20..=63, ..] => Some(Protocol::Dtls),
            [128..=191, 192..=223, ..] => Some(Protocol::Rtcp),
            [128..=191, ..] => Some(Protocol::Rtp),
            _ => None,
        }
    }
}

/// Longer holds dead peers and what they cost; shorter than 28 s, and Firefox would still believe in us.
const SILENT_AFTER: Duration = Duration::from_secs(30);

/// More is memory for a caller that does not poll; one call never makes more than a dozen.
const MAX_TRANSMITS: usize = 64;
