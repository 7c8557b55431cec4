//! What the control plane orders, carried out: offers and answers, mutes, views, leaving.

use crate::command::{Command, PeerId, TrackNames};
use crate::credentials::{DtlsRole, IceCredentials, RemoteParameters};
use crate::event::{CloseReason, Event};
use crate::key::{PeerKey, RoomKey, TrackKey};
use crate::peer::{Peer, Side};
use crate::publisher::{Publisher, Section};
use crate::room::{Member, Room};
use crate::router::{MAX_PEERS, Sfu};
use crate::sdp::{self, Local, PublishSection, SdpError, SlotSpec};
use crate::slot::Slot;
use crate::subscriber::Subscriber;
use crate::timers::TICK;
use crate::track::{Encoding, Origin, Track};
use crate::transport::Transport;
use protocol::limits::{MAX_AUDIO_SLOTS, MAX_TRACKS, MAX_VIDEO_SLOTS};
use protocol::media::TrackOffer;
use protocol::{Kind, ParticipantId, RoomId, Source, TrackId};
use rand::RngExt;
use std::time::Instant;

/// Why an SDP is refused; the text reaches the client's developer.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Sdp(#[from] SdpError),
    #[error("this transport is unknown, or of the other direction")]
    WrongPeer,
    #[error("the tracks name an m-line `{0}` that the offer does not send on")]
    UnknownMid(String),
    #[error("m-line `{0}` cannot carry that source")]
    WrongKind(String),
    #[error("at most {MAX_TRACKS} tracks")]
    TooManyTracks,
    #[error("the room has as many tracks as it can")]
    RoomFull,
    #[error("the server has as many transports as it can")]
    ServerFull,
    #[error("the offer asks for nothing that could be sent")]
    NothingToWatch,
    #[error("slots can be added, never taken away")]
    FewerSlots,
}

impl Sfu {
    /// Carries an order out. What it makes to be told or sent waits in `poll_event` and `transmits`.
    pub fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Publish { peer, room, participant, offer, tracks } => {
                let done = self.publish(now, peer, room, participant, &offer, &tracks);
                self.answer(peer, done);
            }
            Command::Watch { peer, room, participant, offer, follow } => {
                let done = self.watch(now, peer, room, participant, &offer, follow);
                self.answer(peer, done);
            }
            Command::Subscribe { peer, room, participant, audio_slots, video_slots } => {
                match self.subscribe(now, peer, room, participant, audio_slots, video_slots) {
                    Ok(sdp) => self.events.push_back(Event::Offered { peer, sdp }),
                    Err(refusal) => self.refuse(peer, &refusal),
                }
            }
            Command::Answer { peer, answer } => {
                if let Err(refusal) = self.take_answer(now, peer, &answer) {
                    self.refuse(peer, &refusal);
                }
            }
            // The relays are not ours.
            Command::SendAway { .. } => {}
            Command::Close { peer } => {
                if let Some(&key) = self.peer_keys.get(&peer) {
                    self.remove_peer(key, CloseReason::Commanded);
                }
            }
            Command::Leave { room, participant } => self.leave(room, participant),
            Command::SetView { room, participant, view } => {
                let key = self.room(room);
                let member = self.rooms[key].members.entry(participant).or_default();
                member.view = view;
                for peer in member.peers.clone() {
                    self.look_at(peer);
                }
            }
            Command::SetLargest { peer, largest } => {
                let Some(&key) = self.peer_keys.get(&peer) else { return };
                if let Side::Subscribe(subscriber) = &mut self.peers[key].side {
                    subscriber.largest = largest;
                    self.look_at(key);
                }
            }
            Command::SetMedia { room, participant, media } => {
                self.member(room, participant).media = media;
                self.apply_mutes(room, participant);
            }
            Command::SetAway { room, participant, away } => {
                self.member(room, participant).is_away = away;
            }
            Command::SetSaving { saving } => self.set_saving(now, saving),
            Command::Report { room, request } => {
                let report = Box::new(self.report(now, room));
                self.events.push_back(Event::Reported { room, request, report });
            }
            Command::CloseRoom { room } => self.close_room(room),
            Command::Tap { room, wanted } => self.tap(room, wanted),
            Command::TapLost { room, track } => self.tap_lost(room, track),
            Command::SetPlanes { room, home, planes } => self.set_planes(room, home, &planes),
            Command::LosePlane { plane } => self.lose_plane(plane),
        }
        for key in std::mem::take(&mut self.touched) {
            self.reallocate(now, key);
        }
        self.tick.hasten(now + TICK);
    }

    fn answer(&mut self, peer: PeerId, done: Result<String, Refusal>) {
        match done {
            Ok(sdp) => self.events.push_back(Event::Answered { peer, sdp }),
            Err(refusal) => self.refuse(peer, &refusal),
        }
    }

    fn refuse(&mut self, peer: PeerId, refusal: &Refusal) {
        self.stats.sdps_refused += 1;
        self.events.push_back(Event::Refused { peer, reason: refusal.to_string() });
    }

    /// The room, made where it is new, and in any case about to be looked at again.
    pub(crate) fn room(&mut self, id: RoomId) -> RoomKey {
        let key = match self.room_keys.get(&id) {
            Some(&key) => key,
            None => {
                let room = Room { saving: self.saving, ..Room::new(id) };
                let key = self.rooms.insert(room);
                self.room_keys.insert(id, key);
                key
            }
        };
        self.touch(key);
        key
    }

    /// A room is looked at again when the command is carried out.
    pub(crate) fn touch(&mut self, key: RoomKey) {
        if let Some(room) = self.rooms.get_mut(key) {
            room.is_stale = true;
            if !self.touched.contains(&key) {
                self.touched.push(key);
            }
        }
    }

    /// A subscriber wants something else.
    fn look_at(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if let (Side::Subscribe(subscriber), Some(room)) =
            (&mut peer.side, self.rooms.get_mut(peer.room))
        {
            room.look_at(key, subscriber);
            if !self.touched.contains(&peer.room) {
                self.touched.push(peer.room);
            }
        }
    }

    pub(crate) fn member(&mut self, room: RoomId, participant: ParticipantId) -> &mut Member {
        let key = self.room(room);
        self.rooms[key].members.entry(participant).or_default()
    }

    /// The transport of this id, if it belongs to that participant and direction.
    fn own_peer(
        &self,
        peer: PeerId,
        room: RoomKey,
        participant: ParticipantId,
        publishes: bool,
    ) -> Result<Option<PeerKey>, Refusal> {
        let Some(&key) = self.peer_keys.get(&peer) else { return Ok(None) };
        let found = &self.peers[key];
        let is_own = found.room == room
            && found.participant == participant
            && matches!(found.side, Side::Publish(_)) == publishes;
        if is_own { Ok(Some(key)) } else { Err(Refusal::WrongPeer) }
    }

    fn publish(
        &mut self,
        now: Instant,
        peer: PeerId,
        room: RoomId,
        participant: ParticipantId,
        offer: &str,
        names: &TrackNames,
    ) -> Result<String, Refusal> {
        let room_key = self.room(room);
        let existing = self.own_peer(peer, room_key, participant, true)?;
        let mut setup = self.setup(existing)?;
        let mut answer = sdp::answer_publish(offer, &self.local(&setup))?;
        let before = existing.and_then(|key| self.peers[key].remote_ice.as_ref());
        if before.is_some_and(|before| *before != answer.remote.ice) {
            // An ICE restart is answered with new credentials of our own (RFC 8445 §9).
            self.restart_ice(&mut setup);
            answer = sdp::answer_publish(offer, &self.local(&setup))?;
        }
        let wanted = name_tracks(&answer.sections, names)?;
        let key = match existing {
            Some(key) => {
                self.renew(now, key, &setup, &answer.remote);
                key
            }
            None => {
                let side = Side::Publish(Box::new(Publisher::new()));
                self.add_peer(now, peer, room_key, participant, &setup, Some(&answer.remote), side)
            }
        };
        self.set_tracks(key, room_key, participant, answer.sections, &wanted)?;
        self.after_transport(now, key);
        Ok(answer.sdp)
    }

    /// Brings a publisher's tracks in line with its m-lines: a track lives as long as its mid carries
    /// the same source.
    fn set_tracks(
        &mut self,
        key: PeerKey,
        room_key: RoomKey,
        participant: ParticipantId,
        settled: Vec<PublishSection>,
        wanted: &[TrackOffer],
    ) -> Result<(), Refusal> {
        let Side::Publish(publisher) = &self.peers[key].side else {
            return Err(Refusal::WrongPeer);
        };
        let before: Vec<TrackKey> = publisher.sections.iter().filter_map(|s| s.track).collect();
        let mut sections = Vec::with_capacity(settled.len());
        for settled in settled {
            let source = wanted.iter().find(|t| t.mid == settled.mid).map(|t| t.source);
            let track = match source {
                None => None,
                Some(source) => {
                    let room = &self.rooms[room_key];
                    let kept = before.iter().copied().find(|&track| {
                        room.track(track)
                            .is_some_and(|t| t.mid == settled.mid && t.source == source)
                    });
                    Some(match kept {
                        Some(track) => track,
                        None => self.add_track(key, room_key, participant, &settled, source)?,
                    })
                }
            };
            sections.push(Section { settled, track });
        }
        let room = &mut self.rooms[room_key];
        for &track in &before {
            if !sections.iter().any(|section| section.track == Some(track)) {
                room.remove_track(track);
            }
        }
        for section in &sections {
            let generation = room.last_generation + 1;
            let Some(track) = section.track.and_then(|key| room.track_mut(key)) else { continue };
            track.extensions = section.settled.extensions;
            let rids = track.encodings.iter().filter_map(|encoding| encoding.rid.as_ref());
            if !rids.eq(&section.settled.rids) {
                track.encodings = encodings(&section.settled);
                track.generation = generation;
                room.last_generation = generation;
            }
        }
        let after: Vec<TrackKey> = sections.iter().filter_map(|s| s.track).collect();
        if let Side::Publish(publisher) = &mut self.peers[key].side {
            publisher.set_sections(sections);
        }
        if before != after {
            self.announce_tracks(room_key, participant);
        }
        Ok(())
    }

    fn add_track(
        &mut self,
        publisher: PeerKey,
        room_key: RoomKey,
        participant: ParticipantId,
        settled: &PublishSection,
        source: Source,
    ) -> Result<TrackKey, Refusal> {
        let id = TrackId(uuid::Builder::from_random_bytes(self.rng.random()).into_uuid());
        let csrc = loop {
            let csrc = self.make_csrc();
            if self.rooms[room_key].tracks.of_csrc(csrc).is_none() {
                break csrc;
            }
        };
        let room = &mut self.rooms[room_key];
        let is_blocked = room.is_blocked(participant, source);
        room.add_track(Track {
            id,
            participant,
            source,
            csrc,
            generation: 0,
            origin: Origin::Peer(publisher),
            takers: Vec::new(),
            announced: None,
            mid: settled.mid.clone(),
            extensions: settled.extensions,
            codec: None,
            is_blocked,
            encodings: encodings(settled),
            ladder: Vec::new(),
        })
        .ok_or(Refusal::RoomFull)
    }

    fn subscribe(
        &mut self,
        now: Instant,
        peer: PeerId,
        room: RoomId,
        participant: ParticipantId,
        audio_slots: u8,
        video_slots: u8,
    ) -> Result<String, Refusal> {
        let room_key = self.room(room);
        let existing = self.own_peer(peer, room_key, participant, false)?;
        let mut setup = self.setup(existing)?;
        let counts = [
            (Kind::Audio, usize::from(audio_slots.min(MAX_AUDIO_SLOTS))),
            (Kind::Video, usize::from(video_slots.min(MAX_VIDEO_SLOTS))),
        ];
        let mut slots = match existing.map(|key| &self.peers[key].side) {
            Some(Side::Subscribe(subscriber)) => subscriber.specs(),
            _ => Vec::new(),
        };
        let had = slots.len();
        for (kind, count) in counts {
            let present = slots.iter().filter(|slot| slot.kind == kind).count();
            if count < present {
                return Err(Refusal::FewerSlots);
            }
            for k in present..count {
                let (ssrc, rtx_ssrc) = (self.make_ssrc(), self.make_ssrc());
                let stream = format!("slot-{k}");
                let mid = slots.len().to_string();
                slots.push(SlotSpec { mid, kind, ssrc, rtx_ssrc, cname: stream.clone(), stream });
            }
        }
        let key = match existing {
            Some(key) => {
                // The same transport asked for anew: an ICE restart (RFC 8445 §9).
                self.restart_ice(&mut setup);
                let peer = &mut self.peers[key];
                peer.transport.restart_ice(setup.ice.clone());
                peer.session_version = setup.session_version;
                self.add_ufrag(key, &setup.ice.ufrag);
                key
            }
            None => {
                let side = Side::Subscribe(Box::new(Subscriber::new(Vec::new(), None)));
                self.add_peer(now, peer, room_key, participant, &setup, None, side)
            }
        };
        let fresh: Vec<Slot> = slots[had..].iter().map(|spec| self.make_slot(now, spec)).collect();
        if let Side::Subscribe(subscriber) = &mut self.peers[key].side {
            subscriber.slots.extend(fresh);
        }
        Ok(sdp::offer_subscribe(&slots, &self.local(&setup)))
    }

    fn make_slot(&mut self, now: Instant, spec: &SlotSpec) -> Slot {
        Slot::new(spec, self.rng.random(), self.config.wall.ntp(now))
    }

    fn take_answer(&mut self, now: Instant, peer: PeerId, answer: &str) -> Result<(), Refusal> {
        let key = *self.peer_keys.get(&peer).ok_or(Refusal::WrongPeer)?;
        let found = &mut self.peers[key];
        let Side::Subscribe(subscriber) = &mut found.side else { return Err(Refusal::WrongPeer) };
        let (remote, sections) = sdp::read_answer(answer, &subscriber.specs())?;
        subscriber.settle(&sections);
        found.remote_ice = Some(remote.ice.clone());
        found.transport.set_remote(now, remote);
        self.look_at(key);
        self.after_transport(now, key);
        Ok(())
    }

    fn watch(
        &mut self,
        now: Instant,
        peer: PeerId,
        room: RoomId,
        participant: ParticipantId,
        offer: &str,
        follow: Option<ParticipantId>,
    ) -> Result<String, Refusal> {
        let room_key = self.room(room);
        let existing = self.own_peer(peer, room_key, participant, false)?;
        let mut setup = self.setup(existing)?;
        if existing.is_some() {
            // The same offer with other credentials: an ICE restart (RFC 8445 §9).
            self.restart_ice(&mut setup);
        }
        let mut ssrcs = Vec::new();
        for _ in 0..2 * usize::from(MAX_AUDIO_SLOTS + MAX_VIDEO_SLOTS) {
            ssrcs.push(self.make_ssrc());
        }
        let mut ssrcs = ssrcs.into_iter().cycle();
        let answer = sdp::answer_watch(offer, &self.local(&setup), &mut || {
            ssrcs.next().expect("a cycle of a list that is not empty")
        })?;
        if !answer.sections.iter().any(|section| section.accepted) {
            return Err(Refusal::NothingToWatch);
        }
        if let Some(key) = existing {
            self.renew(now, key, &setup, &answer.remote);
            self.after_transport(now, key);
            return Ok(answer.sdp);
        }
        let slots = answer.slots.iter().map(|spec| self.make_slot(now, spec)).collect();
        let mut subscriber = Subscriber::new(slots, follow);
        subscriber.settle(&answer.sections);
        let side = Side::Subscribe(Box::new(subscriber));
        let remote = Some(&answer.remote);
        let key = self.add_peer(now, peer, room_key, participant, &setup, remote, side);
        self.look_at(key);
        self.after_transport(now, key);
        Ok(answer.sdp)
    }

    fn leave(&mut self, room: RoomId, participant: ParticipantId) {
        let Some(&room_key) = self.room_keys.get(&room) else { return };
        let Some(member) = self.rooms[room_key].members.remove(&participant) else { return };
        for key in member.peers {
            self.remove_peer(key, CloseReason::Commanded);
        }
        let known = &mut self.rooms[room_key];
        // On another plane they were published, or have been left behind.
        for track in known.tracks.of(participant).to_vec() {
            known.remove_track(track);
        }
        self.touch(room_key);
        self.forget_empty(room, room_key);
    }

    /// Forgets a room in which nobody is, and what was recorded of it.
    pub(crate) fn forget_empty(&mut self, room: RoomId, key: RoomKey) {
        if self.rooms[key].is_empty() {
            self.rooms.remove(key);
            self.room_keys.remove(&room);
        }
    }

    fn close_room(&mut self, room: RoomId) {
        let Some(&key) = self.room_keys.get(&room) else { return };
        let people: Vec<ParticipantId> = self.rooms[key].members.keys().copied().collect();
        for participant in people {
            self.leave(room, participant);
        }
        self.rooms.remove(key);
        self.room_keys.remove(&room);
    }

    /// Mutes live on the member; here they reach the tracks that are there now.
    fn apply_mutes(&mut self, room: RoomId, participant: ParticipantId) {
        let Some(room) = self.room_keys.get(&room).and_then(|&key| self.rooms.get_mut(key)) else {
            return;
        };
        let Some(media) = room.members.get(&participant).map(|member| member.media) else { return };
        for key in room.tracks.of(participant).to_vec() {
            if let Some(track) = room.track_mut(key) {
                track.is_blocked = crate::room::is_forced(&media, track.source);
            }
        }
    }

    /// Numbers and credentials for the next SDP of a transport that is there, or of a new one.
    fn setup(&mut self, existing: Option<PeerKey>) -> Result<Setup, Refusal> {
        if let Some(key) = existing {
            let peer = &self.peers[key];
            return Ok(Setup {
                ice: peer.transport.local().clone(),
                restarts: peer.transport.restarts(),
                session_id: peer.session_id,
                session_version: peer.session_version + 1,
            });
        }
        if self.peers.len() >= MAX_PEERS {
            return Err(Refusal::ServerFull);
        }
        let ice = self.make_credentials();
        // 63 bits: JavaScript and SDP parsers read it as a signed number (RFC 9429 §5.2.1).
        let session_id = self.rng.random::<u64>() >> 1;
        Ok(Setup { ice, restarts: 0, session_id, session_version: 1 })
    }

    /// New credentials of ours, for who has others than before.
    fn restart_ice(&mut self, setup: &mut Setup) {
        setup.ice = self.make_credentials();
        setup.restarts += 1;
    }

    fn local<'a>(&'a self, setup: &'a Setup) -> Local<'a> {
        Local {
            ice: &setup.ice,
            fingerprint: self.config.identity.fingerprint(),
            candidates: &self.config.candidates,
            restarts: setup.restarts,
            session_id: setup.session_id,
            session_version: setup.session_version,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a transport is made of")]
    fn add_peer(
        &mut self,
        now: Instant,
        id: PeerId,
        room: RoomKey,
        participant: ParticipantId,
        setup: &Setup,
        remote: Option<&RemoteParameters>,
        side: Side,
    ) -> PeerKey {
        let role = remote.map_or(DtlsRole::Server, |remote| remote.role);
        let mut transport = Transport::new(&self.config.identity, setup.ice.clone(), role, now);
        if let Some(remote) = remote {
            transport.set_remote(now, remote.clone());
        }
        let is_subscriber = matches!(side, Side::Subscribe(_));
        let ssrc = self.make_ssrc();
        let key = self.peers.insert(Peer {
            id,
            room,
            participant,
            transport: Box::new(transport),
            remote_ice: remote.map(|remote| remote.ice.clone()),
            ssrc,
            session_id: setup.session_id,
            session_version: setup.session_version,
            ufrags: Vec::new(),
            paths: Vec::new(),
            known_ssrcs: Vec::new(),
            media_path: None,
            side,
        });
        self.peer_keys.insert(id, key);
        self.add_ufrag(key, &setup.ice.ufrag);
        let room = &mut self.rooms[room];
        room.members.entry(participant).or_default().peers.push(key);
        if is_subscriber {
            room.subscribers.push(key);
        }
        key
    }

    /// A renegotiated transport: new numbers, and new ICE credentials where they changed.
    fn renew(&mut self, now: Instant, key: PeerKey, setup: &Setup, remote: &RemoteParameters) {
        let peer = &mut self.peers[key];
        peer.session_version = setup.session_version;
        if *peer.transport.local() != setup.ice {
            peer.transport.restart_ice(setup.ice.clone());
            self.add_ufrag(key, &setup.ice.ufrag);
        }
        let peer = &mut self.peers[key];
        peer.remote_ice = Some(remote.ice.clone());
        peer.transport.set_remote(now, remote.clone());
    }
}

struct Setup {
    ice: IceCredentials,
    /// How many there were before these.
    restarts: u32,
    session_id: u64,
    session_version: u64,
}

/// Which m-lines become which tracks, checked.
fn name_tracks(
    sections: &[PublishSection],
    names: &TrackNames,
) -> Result<Vec<TrackOffer>, Refusal> {
    let offers = match names {
        TrackNames::ByOrder => {
            let first = |kind: Kind, source: Source| {
                let section = sections.iter().find(|s| s.kind == kind && s.is_active)?;
                Some(TrackOffer { mid: section.mid.clone(), source })
            };
            let microphone = first(Kind::Audio, Source::Microphone);
            return Ok(microphone.into_iter().chain(first(Kind::Video, Source::Camera)).collect());
        }
        TrackNames::Named(offers) => offers,
    };
    if offers.len() > MAX_TRACKS {
        return Err(Refusal::TooManyTracks);
    }
    for offer in offers {
        let section = sections.iter().find(|s| s.mid == offer.mid && s.is_active);
        let section = section.ok_or_else(|| Refusal::UnknownMid(offer.mid.clone()))?;
        if section.kind != offer.source.kind() {
            return Err(Refusal::WrongKind(offer.mid.clone()));
        }
    }
    Ok(offers.clone())
}

/// One encoding for each simulcast layer, or the only one.
fn encodings(settled: &PublishSection) -> Vec<Encoding> {
    let clock_rate = settled.payloads.first().map_or(90_000, |p| p.codec.clock_rate());
    let make = |rid| {
        let mut encoding = Encoding::new(settled.kind, clock_rate);
        encoding.rid = rid;
        encoding
    };
    if settled.rids.is_empty() {
        return vec![make(None)];
    }
    settled.rids.iter().cloned().map(Some).map(make).collect()
}
