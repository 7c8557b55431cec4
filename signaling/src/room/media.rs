//! Media signaling: which transport belongs to whom, what waits for the media plane's answer, and whom its
//! events concern.

use super::input::SocketId;
use super::{Effects, Moment, Room};
use protocol::limits::{
    ANSWER_WITHIN, DEFAULT_AUDIO_SLOTS, DEFAULT_VIDEO_SLOTS, MAX_AUDIO_SLOTS, MAX_MID_CHARS,
    MAX_PC_CHARS, MAX_PENDING_NEGOTIATIONS, MAX_SDP_BYTES, MAX_TRACKS, MAX_VIDEO_SLOTS,
    MAX_VIEW_SILENCED, MAX_VIEW_TILES, RECONNECTING_AFTER,
};
use protocol::media::{TrackOffer, View};
use protocol::{ErrorCode, ParticipantId, ServerMessage, SlotBinding, Track};
use serde_json::Value;
use sfu::{CloseReason, Command, Event, PeerId, TrackNames};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Instant;

/// A transport that a socket asked for.
pub(super) struct Peer {
    pub participant: ParticipantId,
    /// The client's own name of it.
    pc: String,
    direction: Direction,
    /// What the media plane was asked and has not answered, oldest first.
    pending: VecDeque<Pending>,
    /// Whether the media plane has taken it once.
    is_settled: bool,
    is_connected: bool,
    /// What its slots carry, for a socket that comes back.
    slots: Vec<SlotBinding>,
    /// Layers of its tracks that somebody takes, by mid; for the same.
    layers: BTreeMap<String, WantedLayers>,
}

/// What `media.layers` says of a line.
#[derive(Clone)]
struct WantedLayers {
    rids: Vec<String>,
    spatial: Option<u8>,
}

impl WantedLayers {
    fn message(self, pc: String, mid: String) -> ServerMessage {
        ServerMessage::MediaLayers { pc, mid, rids: self.rids, spatial: self.spatial }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Publish,
    Subscribe,
}

struct Pending {
    asked: Asked,
    re: Option<Value>,
    since: Instant,
    /// The socket that asked is gone, and whoever came back asks again.
    is_forgotten: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Answered by an SDP or a refusal.
    Negotiate,
    /// Answered only when refused.
    Answer,
}

/// `media.publish`.
pub(super) struct Offer {
    pub pc: String,
    pub sdp: String,
    pub tracks: Vec<TrackOffer>,
    pub re: Option<Value>,
}

/// `media.subscribe`.
pub(super) struct Ask {
    pub pc: String,
    pub audio_slots: Option<u8>,
    pub video_slots: Option<u8>,
    pub re: Option<Value>,
}

type Complaint = (ErrorCode, &'static str);

impl Room {
    pub(super) fn publish(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        offer: Offer,
        out: &mut Effects,
    ) {
        let checked =
            check_pc(&offer.pc).and(check_sdp(&offer.sdp)).and(check_tracks(&offer.tracks));
        if let Err((code, reason)) = checked {
            return out.refuse(socket, offer.re, code, reason);
        }
        let direction = Direction::Publish;
        let Some(peer) = self.negotiate(at, from, socket, offer.pc, direction, offer.re, out)
        else {
            return;
        };
        self.tap(out);
        out.media(Command::Publish {
            peer,
            room: self.id,
            participant: from,
            offer: offer.sdp,
            tracks: TrackNames::Named(offer.tracks),
        });
    }

    pub(super) fn subscribe(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        ask: Ask,
        out: &mut Effects,
    ) {
        let audio_slots = ask.audio_slots.unwrap_or(DEFAULT_AUDIO_SLOTS);
        let video_slots = ask.video_slots.unwrap_or(DEFAULT_VIDEO_SLOTS);
        let checked = check_pc(&ask.pc).and(check_slots(audio_slots, video_slots));
        if let Err((code, reason)) = checked {
            return out.refuse(socket, ask.re, code, reason);
        }
        let direction = Direction::Subscribe;
        let Some(peer) = self.negotiate(at, from, socket, ask.pc, direction, ask.re, out) else {
            return;
        };
        let room = self.id;
        out.media(Command::Subscribe { peer, room, participant: from, audio_slots, video_slots });
    }

    /// The transport that this `pc` means, known or new, with one more answer to wait for.
    #[expect(clippy::too_many_arguments, reason = "a message's fields, spelled out")]
    fn negotiate(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        pc: String,
        direction: Direction,
        re: Option<Value>,
        out: &mut Effects,
    ) -> Option<PeerId> {
        let waiting = Pending { asked: Asked::Negotiate, re, since: at.now, is_forgotten: false };
        if let Some((id, peer)) = self.peer_of(from, &pc, direction) {
            if peer.pending.len() >= MAX_PENDING_NEGOTIATIONS {
                let reason = "too many negotiations of this transport at once";
                out.refuse(socket, waiting.re, ErrorCode::RateLimited, reason);
                return None;
            }
            peer.pending.push_back(waiting);
            return Some(id);
        }
        // At most two transports per direction: the one that works and the one that shall replace it.
        let unsettled = self.peers_of(from, direction, |peer| !peer.is_settled);
        for id in unsettled {
            self.drop_peer(id, ErrorCode::Conflict, "another transport replaced this one", out);
        }
        let id = self.new_peer();
        let peer = Peer {
            participant: from,
            pc,
            direction,
            pending: VecDeque::from([waiting]),
            is_settled: false,
            is_connected: false,
            slots: Vec::new(),
            layers: BTreeMap::new(),
        };
        self.peers.insert(id, peer);
        Some(id)
    }

    #[expect(clippy::too_many_arguments, reason = "a message's fields, spelled out")]
    pub(super) fn answer(
        &mut self,
        at: Moment,
        from: ParticipantId,
        socket: SocketId,
        pc: &str,
        sdp: String,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        if let Err((code, reason)) = check_pc(pc).and(check_sdp(&sdp)) {
            return out.refuse(socket, re, code, reason);
        }
        let Some((id, peer)) = self.peer_of(from, pc, Direction::Subscribe) else {
            let reason = "there is no subscribe transport of that name";
            return out.refuse(socket, re, ErrorCode::Conflict, reason);
        };
        // An answer is heard of only when it is refused, so a newer one takes the older one's place.
        peer.pending.retain(|pending| pending.asked == Asked::Negotiate);
        peer.pending.push_back(Pending {
            asked: Asked::Answer,
            re,
            since: at.now,
            is_forgotten: false,
        });
        out.media(Command::Answer { peer: id, answer: sdp });
    }

    pub(super) fn set_view(
        &mut self,
        from: ParticipantId,
        socket: SocketId,
        view: View,
        re: Option<Value>,
        out: &mut Effects,
    ) {
        if view.tiles.as_ref().is_some_and(|tiles| tiles.len() > MAX_VIEW_TILES) {
            return out.refuse(socket, re, ErrorCode::Invalid, "more than 64 tiles");
        }
        if view.silenced.len() > MAX_VIEW_SILENCED {
            return out.refuse(socket, re, ErrorCode::Invalid, "more than 1024 are silenced");
        }
        out.media(Command::SetView { room: self.id, participant: from, view });
    }

    pub(super) fn media_event(&mut self, at: Moment, event: Event, out: &mut Effects) {
        match event {
            Event::Answered { peer, sdp } => {
                if self.doors.contains_key(&peer) {
                    return self.door_answered(at, peer, sdp, out);
                }
                self.settled(peer, sdp, out);
            }
            Event::Offered { peer, sdp } => self.settled(peer, sdp, out),
            Event::Refused { peer, reason } => {
                if self.doors.contains_key(&peer) {
                    return self.door_refused(peer, ErrorCode::BadSdp, reason, out);
                }
                self.refused(peer, reason, out);
            }
            Event::Connected { peer } => self.connected(peer, out),
            Event::Closed { peer, reason } => {
                if self.doors.contains_key(&peer) {
                    return self.door_ended(at, peer, reason, out);
                }
                self.peer_closed(at, peer, reason, out);
            }
            Event::TracksChanged { participant, tracks, .. } => {
                self.tracks_changed(participant, tracks, out);
            }
            Event::SlotsChanged { peer, slots, .. } => self.slots_changed(peer, slots, out),
            Event::LayersWanted { peer, mid, rids, spatial, .. } => {
                self.layers_wanted(peer, mid, WantedLayers { rids, spatial }, out);
            }
            Event::SpeakersChanged { mut speakers, .. } => {
                let is_here = |id: &ParticipantId| {
                    self.people.get(id).is_some_and(|person| person.leaving.is_none())
                };
                speakers.retain(is_here);
                if speakers != self.speakers {
                    self.speakers.clone_from(&speakers);
                    out.broadcast(ServerMessage::SpeakersChanged { speakers });
                }
            }
            // Whoever asked is told by the room's task: it changes nothing here.
            Event::Reported { .. } => {}
            Event::Alive { participant, alive: true, .. } => self.media_heard(participant, out),
            Event::Alive { participant, alive: false, .. } => {
                // The media plane says so after as long a silence as makes somebody `reconnecting`.
                let last_heard = at.now.checked_sub(RECONNECTING_AFTER).unwrap_or(at.now);
                self.media_silent(at, participant, last_heard, out);
            }
        }
    }

    /// The media plane took a negotiation; what it replaces is over.
    fn settled(&mut self, id: PeerId, sdp: String, out: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        // Answers before it were taken too, or a refusal would have come first.
        while peer.pending.front().is_some_and(|pending| pending.asked == Asked::Answer) {
            peer.pending.pop_front();
        }
        let pending = peer.pending.pop_front();
        let is_first = !std::mem::replace(&mut peer.is_settled, true);
        let (participant, direction) = (peer.participant, peer.direction);
        let pc = peer.pc.clone();
        let socket = self.people.get(&participant).and_then(|person| person.socket);
        let is_forgotten = pending.as_ref().is_some_and(|pending| pending.is_forgotten);
        if let (Some(socket), false) = (socket, is_forgotten) {
            let re = pending.and_then(|pending| pending.re);
            out.send(
                socket,
                match direction {
                    Direction::Publish => ServerMessage::MediaPublished { pc, sdp, re },
                    Direction::Subscribe => ServerMessage::MediaOffer { pc, sdp, re },
                },
            );
        }
        if is_first {
            let replaced = self.peers_of(participant, direction, |peer| peer.is_settled);
            for old in replaced.into_iter().filter(|old| *old != id) {
                self.drop_peer(
                    old,
                    ErrorCode::Conflict,
                    "another transport replaced this one",
                    out,
                );
            }
        }
    }

    fn refused(&mut self, id: PeerId, reason: String, out: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let pending = peer.pending.pop_front();
        let socket = self.people.get(&peer.participant).and_then(|person| person.socket);
        if !peer.is_settled && peer.pending.is_empty() {
            self.peers.remove(id);
        }
        let is_forgotten = pending.as_ref().is_some_and(|pending| pending.is_forgotten);
        if let (Some(socket), false) = (socket, is_forgotten) {
            let re = pending.and_then(|pending| pending.re);
            out.refuse(socket, re, ErrorCode::BadSdp, reason);
        }
    }

    fn connected(&mut self, id: PeerId, out: &mut Effects) {
        let participant = if let Some(peer) = self.peers.get_mut(&id) {
            peer.is_connected = true;
            Some(peer.participant)
        } else {
            self.door_connected(id)
        };
        if let Some(participant) = participant {
            self.media_heard(participant, out);
        }
    }

    fn peer_closed(&mut self, at: Moment, id: PeerId, reason: CloseReason, out: &mut Effects) {
        let Some(peer) = self.peers.remove(id) else { return };
        let participant = peer.participant;
        if reason != CloseReason::Commanded {
            self.tell_closed(peer, reason.as_str(), out);
        }
        self.count_transports(at, participant, out);
    }

    /// Whoever has no connected transport any more is not heard by media.
    fn count_transports(&mut self, at: Moment, participant: ParticipantId, out: &mut Effects) {
        if !self.peers.of(participant).any(|(_, peer)| peer.is_connected) {
            self.media_silent(at, participant, at.now, out);
        }
    }

    fn tell_closed(&self, peer: Peer, reason: &str, out: &mut Effects) {
        let person = self.people.get(&peer.participant);
        let Some(socket) = person.and_then(|person| person.socket) else { return };
        for pending in peer.pending {
            if pending.asked == Asked::Negotiate && !pending.is_forgotten {
                out.refuse(socket, pending.re, ErrorCode::Unavailable, reason);
            }
        }
        out.send(socket, ServerMessage::MediaClosed { pc: peer.pc, reason: reason.to_owned() });
    }

    fn tracks_changed(&mut self, id: ParticipantId, tracks: Vec<Track>, out: &mut Effects) {
        if let Some(person) = self.people.get_mut(&id).filter(|p| p.leaving.is_none()) {
            if person.view.tracks != tracks {
                person.view.tracks.clone_from(&tracks);
                out.broadcast(ServerMessage::TracksChanged { participant_id: id, tracks });
            }
        } else if let Some(joining) = self.joining.get_mut(&id) {
            joining.view.tracks = tracks;
        } else {
            self.door_tracks(id, tracks);
        }
    }

    fn slots_changed(&mut self, id: PeerId, slots: Vec<SlotBinding>, out: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.slots.clone_from(&slots);
        let person = self.people.get(&peer.participant);
        if let Some(socket) = person.and_then(|person| person.socket) {
            out.send(socket, ServerMessage::SlotsChanged { pc: peer.pc.clone(), slots });
        }
    }

    fn layers_wanted(&mut self, id: PeerId, mid: String, wanted: WantedLayers, out: &mut Effects) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.layers.len() >= MAX_TRACKS && !peer.layers.contains_key(&mid) {
            // Lines that are gone leave their names behind, and never come again.
            peer.layers.pop_first();
        }
        peer.layers.insert(mid.clone(), wanted.clone());
        let person = self.people.get(&peer.participant);
        if let Some(socket) = person.and_then(|person| person.socket) {
            out.send(socket, wanted.message(peer.pc.clone(), mid));
        }
    }

    /// Tells a socket that came back what its slots carry and which of its layers are taken.
    pub(super) fn show_slots(&self, from: ParticipantId, socket: SocketId, out: &mut Effects) {
        for (_, peer) in self.peers.of(from) {
            for (mid, wanted) in &peer.layers {
                out.send(socket, wanted.clone().message(peer.pc.clone(), mid.clone()));
            }
            if !peer.slots.is_empty() {
                let (pc, slots) = (peer.pc.clone(), peer.slots.clone());
                out.send(socket, ServerMessage::SlotsChanged { pc, slots });
            }
        }
    }

    /// Another socket speaks for them now; it does not know what the old one asked.
    pub(super) fn forget_answers(&mut self, from: ParticipantId) {
        let theirs: Vec<PeerId> = self.peers.of(from).map(|(id, _)| id).collect();
        for id in theirs {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            for pending in &mut peer.pending {
                pending.is_forgotten = true;
            }
        }
    }

    /// A transport whose negotiation is not answered in time is given up: its later answers could not be
    /// told apart.
    pub(super) fn give_up_waiting(&mut self, now: Instant, out: &mut Effects) {
        let is_late = |pending: &Pending| {
            pending.asked == Asked::Negotiate
                && now.saturating_duration_since(pending.since) >= ANSWER_WITHIN
        };
        let late: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.pending.iter().any(is_late))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(peer) = self.peers.remove(id) {
                out.media(Command::Close { peer: id });
                self.tell_closed(peer, "the media plane did not answer", out);
            }
        }
    }

    /// Ends a transport that another one replaces. Its `media.closed` is not sent: the client knows.
    fn drop_peer(&mut self, id: PeerId, code: ErrorCode, reason: &str, out: &mut Effects) {
        let Some(peer) = self.peers.remove(id) else { return };
        out.media(Command::Close { peer: id });
        let person = self.people.get(&peer.participant);
        let Some(socket) = person.and_then(|person| person.socket) else { return };
        for pending in peer.pending {
            if pending.asked == Asked::Negotiate && !pending.is_forgotten {
                out.refuse(socket, pending.re, code, reason);
            }
        }
    }

    fn peer_of(
        &mut self,
        from: ParticipantId,
        pc: &str,
        direction: Direction,
    ) -> Option<(PeerId, &mut Peer)> {
        let is_it = |peer: &Peer| peer.direction == direction && peer.pc == pc;
        let id = self.peers.of(from).find(|(_, peer)| is_it(peer)).map(|(id, _)| id)?;
        self.peers.get_mut(&id).map(|peer| (id, peer))
    }

    fn peers_of(
        &self,
        from: ParticipantId,
        direction: Direction,
        which: impl Fn(&Peer) -> bool,
    ) -> Vec<PeerId> {
        let is_it = |peer: &Peer| peer.direction == direction && which(peer);
        self.peers.of(from).filter(|(_, peer)| is_it(peer)).map(|(id, _)| id).collect()
    }
}

fn check_pc(pc: &str) -> Result<(), Complaint> {
    if pc.is_empty() || pc.chars().count() > MAX_PC_CHARS {
        return Err((ErrorCode::Invalid, "pc must have 1 to 64 characters"));
    }
    Ok(())
}

fn check_sdp(sdp: &str) -> Result<(), Complaint> {
    if sdp.len() > MAX_SDP_BYTES {
        return Err((ErrorCode::TooLarge, "the SDP is too large"));
    }
    Ok(())
}

fn check_tracks(tracks: &[TrackOffer]) -> Result<(), Complaint> {
    if tracks.len() > MAX_TRACKS {
        return Err((ErrorCode::Invalid, "more than 6 tracks"));
    }
    let mut mids = HashSet::new();
    let mut sources = HashSet::new();
    for track in tracks {
        if track.mid.is_empty() || track.mid.chars().count() > MAX_MID_CHARS {
            return Err((ErrorCode::Invalid, "a mid must have 1 to 32 characters"));
        }
        if !mids.insert(track.mid.as_str()) {
            return Err((ErrorCode::Invalid, "a mid is named twice"));
        }
        if !sources.insert(track.source) {
            return Err((ErrorCode::Invalid, "a source is named twice"));
        }
    }
    Ok(())
}

fn check_slots(audio: u8, video: u8) -> Result<(), Complaint> {
    if audio > MAX_AUDIO_SLOTS {
        return Err((ErrorCode::Invalid, "more than 8 audio slots"));
    }
    if video > MAX_VIDEO_SLOTS {
        return Err((ErrorCode::Invalid, "more than 25 video slots"));
    }
    if audio == 0 && video == 0 {
        return Err((ErrorCode::Invalid, "no slots at all"));
    }
    Ok(())
}
