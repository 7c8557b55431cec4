//! What holds whatever happens, in whatever order: random lives of a room, with a store that fails now and
//! then.

use super::stage::{ROOM, Seen, Stage, line};
use super::*;
use proptest::prelude::*;
use protocol::media::TrackOffer;
use protocol::{Source, Track, TrackId};
use sfu::{CloseReason, Command, Event};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::Fact;
use uuid::Uuid;

/// Something that happens. Numbers pick one of what there is.
#[derive(Clone, Debug)]
enum Op {
    Join { user: u128 },
    Resume { who: usize, user: u128 },
    DropSocket { socket: usize },
    Leave { socket: usize },
    Chat { socket: usize, client_id: Option<u8> },
    Toggle { socket: usize },
    Publish { socket: usize, pc: u8 },
    Subscribe { socket: usize, pc: u8 },
    Answer { socket: usize, pc: u8 },
    Knock { user: u128, watch: bool },
    HangUp { session: usize },
    Media { peer: usize, what: u8 },
    Alive { who: usize, alive: bool },
    Tracks { who: usize, count: u8 },
    Speakers { who: usize },
    StoreFails(bool),
    Pass { ms: u16 },
}

fn op() -> impl Strategy<Value = Op> {
    let user = 1..4u128;
    let nth = 0..32usize;
    let pc = 0..3u8;
    prop_oneof![
        4 => user.clone().prop_map(|user| Op::Join { user }),
        2 => (nth.clone(), user.clone()).prop_map(|(who, user)| Op::Resume { who, user }),
        3 => nth.clone().prop_map(|socket| Op::DropSocket { socket }),
        2 => nth.clone().prop_map(|socket| Op::Leave { socket }),
        4 => (nth.clone(), proptest::option::of(0..3u8))
            .prop_map(|(socket, client_id)| Op::Chat { socket, client_id }),
        1 => nth.clone().prop_map(|socket| Op::Toggle { socket }),
        2 => (nth.clone(), pc.clone()).prop_map(|(socket, pc)| Op::Publish { socket, pc }),
        2 => (nth.clone(), pc.clone()).prop_map(|(socket, pc)| Op::Subscribe { socket, pc }),
        1 => (nth.clone(), pc).prop_map(|(socket, pc)| Op::Answer { socket, pc }),
        2 => (user, any::<bool>()).prop_map(|(user, watch)| Op::Knock { user, watch }),
        1 => nth.clone().prop_map(|session| Op::HangUp { session }),
        5 => (nth.clone(), 0..6u8).prop_map(|(peer, what)| Op::Media { peer, what }),
        2 => (nth.clone(), any::<bool>()).prop_map(|(who, alive)| Op::Alive { who, alive }),
        1 => (nth.clone(), 0..3u8).prop_map(|(who, count)| Op::Tracks { who, count }),
        1 => nth.prop_map(|who| Op::Speakers { who }),
        1 => any::<bool>().prop_map(Op::StoreFails),
        3 => (1..12_000u16).prop_map(|ms| Op::Pass { ms }),
    ]
}

/// A room's life, and what somebody who only hears broadcasts believes of it.
struct Life {
    stage: Stage,
    next_socket: u64,
    sockets: Vec<SocketId>,
    people: Vec<ParticipantId>,
    sessions: Vec<String>,
    peers: Vec<PeerId>,
    queue: Vec<Input>,
    believed: BTreeMap<ParticipantId, Vec<Track>>,
    joined: BTreeSet<ParticipantId>,
    left: BTreeSet<ParticipantId>,
    media_left: BTreeMap<ParticipantId, u32>,
    closed: BTreeSet<SocketId>,
    greeted: BTreeSet<SocketId>,
    answered: BTreeSet<String>,
    last_seq: i64,
    stored: i64,
    lines: BTreeSet<protocol::MessageId>,
}

impl Life {
    fn new() -> Self {
        Self {
            stage: Stage::new(),
            next_socket: 0,
            sockets: Vec::new(),
            people: Vec::new(),
            sessions: Vec::new(),
            peers: Vec::new(),
            queue: Vec::new(),
            believed: BTreeMap::new(),
            joined: BTreeSet::new(),
            left: BTreeSet::new(),
            media_left: BTreeMap::new(),
            closed: BTreeSet::new(),
            greeted: BTreeSet::new(),
            answered: BTreeSet::new(),
            last_seq: 0,
            stored: 0,
            lines: BTreeSet::new(),
        }
    }

    fn input(&mut self, op: Op) -> Option<Input> {
        let now = self.stage.now;
        Some(match op {
            Op::Join { user } => self.join(user, None),
            Op::Resume { who, user } => {
                let who = pick(&self.people, who)?;
                self.join(user, Some(who))
            }
            Op::DropSocket { socket } => {
                let socket = pick(&self.sockets, socket)?;
                Input::SocketGone { socket, heard_at: now }
            }
            Op::Leave { socket } => self.request(socket, ClientMessage::Leave)?,
            Op::Chat { socket, client_id } => {
                let client_id = client_id.map(|id| id.to_string());
                self.request(socket, line("x", client_id))?
            }
            Op::Toggle { socket } => {
                let message = ClientMessage::MediaSelf { mic_muted: true, cam_off: false };
                self.request(socket, message)?
            }
            Op::Publish { socket, pc } => {
                let tracks = vec![TrackOffer { mid: "0".into(), source: Source::Camera }];
                let (pc, sdp) = (pc.to_string(), String::new());
                self.request(socket, ClientMessage::MediaPublish { pc, sdp, tracks })?
            }
            Op::Subscribe { socket, pc } => {
                let pc = pc.to_string();
                let message =
                    ClientMessage::MediaSubscribe { pc, audio_slots: None, video_slots: None };
                self.request(socket, message)?
            }
            Op::Answer { socket, pc } => {
                let (pc, sdp) = (pc.to_string(), String::new());
                self.request(socket, ClientMessage::MediaAnswer { pc, sdp })?
            }
            Op::Knock { user, watch } => {
                let session = format!("session {}", self.sessions.len());
                self.sessions.push(session.clone());
                let kind = if watch { DoorKind::Watch { follow: None } } else { DoorKind::Publish };
                let request = self.stage.door_request(&session, user, kind);
                self.people.push(request.participant);
                Input::Door(Box::new(request))
            }
            Op::HangUp { session } => Input::DoorGone { session: pick(&self.sessions, session)? },
            Op::Media { peer, what } => {
                let peer = pick(&self.peers, peer)?;
                Input::Media(match what {
                    0 | 1 => Event::Answered { peer, sdp: String::new() },
                    2 => Event::Offered { peer, sdp: String::new() },
                    3 => Event::Refused { peer, reason: String::new() },
                    4 => Event::Connected { peer },
                    _ => Event::Closed { peer, reason: CloseReason::Silent },
                })
            }
            Op::Alive { who, alive } => {
                let participant = pick(&self.people, who)?;
                Input::Media(Event::Alive { room: ROOM, participant, alive })
            }
            Op::Tracks { who, count } => {
                let participant = pick(&self.people, who)?;
                let track = |n: u8| Track {
                    id: TrackId(Uuid::from_u128(n.into())),
                    source: Source::Camera,
                    csrc: n.into(),
                };
                let tracks = (0..count).map(track).collect();
                Input::Media(Event::TracksChanged { room: ROOM, participant, tracks })
            }
            Op::Speakers { who } => {
                let speakers = pick(&self.people, who).into_iter().collect();
                Input::Media(Event::SpeakersChanged { room: ROOM, speakers })
            }
            Op::StoreFails(fails) => {
                self.stage.is_store_failing = fails;
                return None;
            }
            Op::Pass { ms } => {
                self.stage.now += Duration::from_millis(ms.into());
                Input::Tick
            }
        })
    }

    fn join(&mut self, user: u128, resume: Option<ParticipantId>) -> Input {
        self.next_socket += 1;
        let mut request = self.stage.join_request(self.next_socket, user);
        request.place = resume.map_or(Place::New, Place::Of);
        self.sockets.push(request.socket);
        self.people.push(request.participant);
        Input::Join(Box::new(request))
    }

    fn request(&mut self, socket: usize, message: ClientMessage) -> Option<Input> {
        let socket = pick(&self.sockets, socket)?;
        Some(self.stage.request(socket.0, message))
    }

    fn check(&mut self) {
        for seen in self.stage.look() {
            match seen {
                Seen::Stored(seq, fact) => {
                    assert_eq!(seq, self.stored + 1);
                    self.stored = seq;
                    if let Fact::Chat(message) = fact {
                        assert!(self.lines.insert(message.id));
                    }
                }
                Seen::Broadcast(_, message) => self.believe(message),
                Seen::Sent(socket, message) => {
                    assert!(!self.closed.contains(&socket), "told after its close: {message:?}");
                    if self.greeted.insert(socket) {
                        let is_first = matches!(
                            message,
                            ServerMessage::Joined { .. } | ServerMessage::Error { .. }
                        );
                        assert!(is_first, "{message:?} before joined");
                    }
                    if let ServerMessage::StateSnapshot(snapshot) = message {
                        let participants = snapshot.participants;
                        // Only who is here: tracks may be told once more after the snapshot, when they
                        // changed while the joining was being stored.
                        let shown: Vec<_> = participants.iter().map(|person| person.id).collect();
                        let mut ids = shown.clone();
                        ids.sort_unstable();
                        let told: Vec<_> = self.believed.keys().copied().collect();
                        assert_eq!(ids, told, "a snapshot is what was told before");
                    }
                }
                Seen::Closed(socket, _) => {
                    assert!(self.closed.insert(socket), "closed twice");
                }
                Seen::Media(command) => self.obey(command),
                Seen::Record(_) => {}
                Seen::Door(session, _) => {
                    assert!(self.answered.insert(session), "a door is answered once");
                }
                Seen::Passed(_) | Seen::Relayed(..) => panic!("there are no breakout rooms"),
            }
        }
    }

    fn believe(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::MemberJoined { participant, seq } => {
                self.number(seq);
                assert!(self.joined.insert(participant.id), "joined twice");
                self.believed.insert(participant.id, participant.tracks);
            }
            ServerMessage::MemberLeft { participant_id, seq, .. } => {
                self.number(seq);
                assert!(self.left.insert(participant_id), "left twice");
                assert!(self.believed.remove(&participant_id).is_some(), "left without joining");
            }
            ServerMessage::ChatMessage { message, .. } => self.number(message.seq),
            ServerMessage::TracksChanged { participant_id, tracks } => {
                let known = self.believed.insert(participant_id, tracks);
                assert!(known.is_some(), "tracks of somebody unknown");
            }
            ServerMessage::SpeakersChanged { speakers } => {
                assert!(speakers.iter().all(|id| self.believed.contains_key(id)));
            }
            ServerMessage::MemberPresence { participant_id, .. }
            | ServerMessage::MediaUpdated { participant_id, .. } => {
                assert!(self.believed.contains_key(&participant_id));
            }
            _ => {}
        }
    }

    /// Numbers rise, and nothing is told before it is stored.
    fn number(&mut self, seq: i64) {
        assert!(seq > self.last_seq, "{seq} after {}", self.last_seq);
        assert!(seq <= self.stored, "{seq} is told and not stored");
        self.last_seq = seq;
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Publish { peer, participant, .. }
            | Command::Subscribe { peer, participant, .. }
            | Command::Watch { peer, participant, .. } => {
                assert!(!self.media_left.contains_key(&participant), "media for who has left");
                self.peers.push(peer);
            }
            Command::Leave { participant, .. } => {
                *self.media_left.entry(participant).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Everybody hangs up, the store works, and time passes.
    fn end(&mut self) {
        self.stage.is_store_failing = false;
        let heard_at = self.stage.now;
        for socket in self.sockets.clone() {
            self.stage.apply(Input::SocketGone { socket, heard_at });
        }
        for participant in self.people.clone() {
            self.stage.media(Event::Alive { room: ROOM, participant, alive: false });
        }
        for peer in self.peers.clone() {
            self.stage.media(Event::Closed { peer, reason: CloseReason::Silent });
        }
        self.check();
        self.stage.pass(60);
        self.check();
    }
}

fn pick<T: Clone>(all: &[T], n: usize) -> Option<T> {
    // Near the end, where those are that live.
    let from_end = n.checked_rem(all.len())?;
    all.get(all.len() - 1 - from_end).cloned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_the_room_keeps_its_word(
        ops in prop::collection::vec((op(), any::<bool>()), 1..150)
    ) {
        let mut life = Life::new();
        for (op, is_batch_over) in ops {
            if let Some(input) = life.input(op) {
                life.queue.push(input);
            }
            if is_batch_over {
                let batch = std::mem::take(&mut life.queue);
                life.stage.apply_all(batch);
                life.check();
            }
        }
        let batch = std::mem::take(&mut life.queue);
        life.stage.apply_all(batch);
        life.check();
        life.end();

        let room = &life.stage.room;
        prop_assert!(room.is_empty(), "somebody is left behind");
        prop_assert!(room.peers.is_empty() && room.sockets.is_empty());
        prop_assert!(room.speakers.is_empty() && room.chat_buckets.is_empty());
        prop_assert_eq!(&life.joined, &life.left, "every join has its leave");
        prop_assert!(life.joined.iter().all(|id| life.media_left.contains_key(id)));
        let unique: BTreeSet<_> = life.stage.log.iter().filter_map(|event| match &event.fact {
            Fact::Chat(message) => message
                .client_id
                .as_ref()
                .map(|client_id| (message.user_id, client_id.clone(), message.id)),
            _ => None,
        }).collect();
        let keys: BTreeSet<_> = unique.iter().map(|(user, key, _)| (user, key)).collect();
        prop_assert_eq!(keys.len(), unique.len(), "a client_id stands once");
    }
}
