//! A room on a stage for tests: a clock moved by hand, a store that can be told to fail, and a record of
//! everything that reached sockets, store and media plane.

use super::*;
use protocol::room::{By, Role, Room as RoomView};
use protocol::{ClientMessage, MessageId};
use sfu::{Command, Event};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::orders::judge;
use store::{Change, Fact, NewEvent, Refused, Stored};
use uuid::Uuid;

/// What somebody outside the room saw, in order.
#[derive(Debug)]
pub enum Seen {
    Stored(i64, Fact),
    Sent(SocketId, ServerMessage),
    Broadcast(Option<SocketId>, ServerMessage),
    Closed(SocketId, u16),
    Media(Command),
    Record(RecorderOrder),
    Door(String, Door),
    Passed(Passed),
    Relayed(Vec<RoomId>, Noted),
}

pub struct Stage {
    pub room: Room,
    pub now: Instant,
    pub is_store_failing: bool,
    pub log: Vec<NewEvent>,
    pub seen: Vec<Seen>,
    pub admitted: Vec<SocketId>,
    /// Sockets that are to get the rest of the people page by page.
    pub paged: Vec<SocketId>,
    /// Sockets that are over: what is still meant for them reaches nobody.
    gone: BTreeSet<SocketId>,
    pub next_id: u128,
    pub resume: ResumeKey,
    pub wall_ms: i64,
    /// Members, as the store has them.
    pub roles: BTreeMap<UserId, Role>,
    /// Pages that were asked for.
    pub fetched: Vec<Missed>,
    /// Answers to REST calls.
    pub answers: Vec<(u64, Result<(), Refusal>)>,
    ids: BTreeMap<u64, ParticipantId>,
}

pub const ROOM: RoomId = RoomId(Uuid::from_u128(77));
pub const INDEX: u32 = 3;

impl Stage {
    pub fn new() -> Self {
        Self::with(RoomLog { next_seq: 1, ..RoomLog::default() })
    }

    /// A room that is stored like this.
    pub fn with(log: RoomLog) -> Self {
        let resume = ResumeKey::new(b"a key for tests");
        Self {
            room: Room::new(
                ROOM,
                INDEX,
                resume.clone(),
                Rules { words: WordFilter::new(&["darn".into()]).unwrap(), ..Rules::default() },
                log,
            ),
            now: Instant::now(),
            is_store_failing: false,
            log: Vec::new(),
            seen: Vec::new(),
            admitted: Vec::new(),
            paged: Vec::new(),
            gone: BTreeSet::new(),
            next_id: 1_000,
            resume,
            wall_ms: 1_700_000_000_000,
            roles: BTreeMap::new(),
            fetched: Vec::new(),
            answers: Vec::new(),
            ids: BTreeMap::new(),
        }
    }

    fn fresh(&mut self) -> Uuid {
        self.next_id += 1;
        Uuid::from_u128(self.next_id)
    }

    /// Applies an input and settles everything that follows from it, as the room's task does.
    pub fn apply(&mut self, input: Input) {
        self.apply_all(vec![input]);
    }

    /// Applies several inputs that were queued together: one transaction for all they store.
    pub fn apply_all(&mut self, inputs: Vec<Input>) {
        let mut queue = Vec::new();
        for input in inputs {
            if let Input::SocketGone { socket, .. } = &input {
                self.gone.insert(*socket);
            }
            queue.extend(self.room.apply(self.now, self.wall_ms, input));
        }
        while !queue.is_empty() {
            let verdicts: Vec<Verdict> = queue
                .iter()
                .filter_map(|effect| match effect {
                    Effect::Persist(draft) => Some(draft.event.clone()),
                    _ => None,
                })
                .collect::<Vec<_>>()
                .into_iter()
                .map(|event| self.store(event))
                .collect();
            let mut verdicts = verdicts.into_iter();
            let mut later = Vec::new();
            for effect in queue {
                match effect {
                    Effect::Persist(draft) => {
                        let verdict = verdicts.next().expect("one for each draft");
                        let stored = Input::Stored { draft, verdict };
                        for effect in self.room.apply(self.now, self.wall_ms, stored) {
                            match effect {
                                Effect::Persist(_) | Effect::Then(_) => later.push(effect),
                                other => self.run(other),
                            }
                        }
                    }
                    Effect::Then(input) => {
                        for effect in self.room.apply(self.now, self.wall_ms, *input) {
                            match effect {
                                Effect::Persist(_) | Effect::Then(_) => later.push(effect),
                                other => self.run(other),
                            }
                        }
                    }
                    other => self.run(other),
                }
            }
            queue = later;
        }
    }

    fn store(&mut self, event: NewEvent) -> Verdict {
        if self.is_store_failing {
            return Verdict::Failed;
        }
        if let Fact::Chat(new) = &event.fact
            && let Some(already) = self.room_message(new)
        {
            return Verdict::Stored(Stored::Already(Box::new(already)));
        }
        if let Err(refused) = self.obey(&event.fact) {
            return Verdict::Stored(Stored::Refused(refused));
        }
        self.log.push(event.clone());
        let seq = i64::try_from(self.log.len()).unwrap();
        self.seen.push(Seen::Stored(seq, event.fact));
        Verdict::Stored(Stored::New { seq })
    }

    /// What the store does with an order, as far as roles go.
    fn obey(&mut self, fact: &Fact) -> Result<(), Refused> {
        let ordered = match fact {
            Fact::Joined(view) => {
                let role = self.roles.get(&view.user_id).ok_or(Refused::NoMember)?;
                return if *role == view.role { Ok(()) } else { Err(Refused::Outdated) };
            }
            Fact::Left { .. } | Fact::Chat(_) => return Ok(()),
            Fact::Ordered(ordered) => ordered,
        };
        let role_of = |user: UserId| self.roles.get(&user).copied();
        if let Some(power) = ordered.power {
            let target = ordered.target.map(role_of);
            judge(role_of(ordered.by.user_id), power, target, &ordered.change)?;
        }
        let Some(target) = ordered.target else { return Ok(()) };
        match &ordered.change {
            Change::SetRole(role) => drop(self.roles.insert(target, *role)),
            Change::Transfer => {
                self.roles.insert(ordered.by.user_id, Role::Admin);
                self.roles.insert(target, Role::Owner);
            }
            Change::Remove { .. } => drop(self.roles.remove(&target)),
            _ => {}
        }
        Ok(())
    }

    fn room_message(&self, new: &store::NewMessage) -> Option<ChatMessage> {
        new.client_id.as_ref()?;
        self.log.iter().zip(1..).find_map(|(event, seq)| match &event.fact {
            Fact::Chat(old) if old.user_id == new.user_id && old.client_id == new.client_id => {
                Some(old.clone().stored(seq, event.at_ms))
            }
            _ => None,
        })
    }

    fn run(&mut self, effect: Effect) {
        self.seen.push(match effect {
            Effect::Persist(_) | Effect::Then(_) => unreachable!("settled before"),
            Effect::Send { socket, .. } | Effect::Close { socket, .. }
                if self.gone.contains(&socket) =>
            {
                return;
            }
            Effect::Send { socket, message } => Seen::Sent(socket, *message),
            Effect::Broadcast { message, except } => Seen::Broadcast(except, *message),
            Effect::Multicast { message, sockets } => {
                for socket in sockets {
                    if self.admitted.contains(&socket) && !self.gone.contains(&socket) {
                        self.seen.push(Seen::Sent(socket, (*message).clone()));
                    }
                }
                return;
            }
            Effect::Fetch(missed) => return self.fetched.push(*missed),
            Effect::Pass(passed) => Seen::Passed(*passed),
            Effect::Relay { rooms, note } => Seen::Relayed(rooms, *note),
            Effect::AnswerCall { call, answer } => return self.answers.push((call, answer)),
            Effect::Admit { socket } => return self.admitted.push(socket),
            Effect::Page { socket } => return self.paged.push(socket),
            Effect::Close { socket, code } => {
                self.admitted.retain(|admitted| *admitted != socket);
                Seen::Closed(socket, code)
            }
            Effect::Media(command) => Seen::Media(*command),
            Effect::Record(order) => Seen::Record(*order),
            Effect::AnswerDoor { session, door } => Seen::Door(session, door),
        });
    }

    /// Everything seen since the last look.
    pub fn look(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }

    /// What one socket was told since the last look, its close as `None` at the end.
    pub fn heard(&mut self, socket: SocketId) -> Vec<ServerMessage> {
        self.look()
            .into_iter()
            .filter_map(|seen| match seen {
                Seen::Sent(to, message) if to == socket => Some(message),
                Seen::Broadcast(except, message) if except != Some(socket) => Some(message),
                _ => None,
            })
            .collect()
    }

    pub fn commands(&mut self) -> Vec<Command> {
        self.look()
            .into_iter()
            .filter_map(|seen| match seen {
                Seen::Media(command) => Some(command),
                _ => None,
            })
            .collect()
    }

    /// Makes somebody a member with that role, or gives them another one.
    pub fn enrol(&mut self, user: u128, role: Role) {
        self.roles.insert(UserId(Uuid::from_u128(user)), role);
    }

    fn role_of(&mut self, user: u128) -> Role {
        *self.roles.entry(UserId(Uuid::from_u128(user))).or_insert(Role::Member)
    }

    /// An order over REST; its answer is in `answers`.
    pub fn call(&mut self, user: u128, role: Role, message: ClientMessage) {
        let user_id = UserId(Uuid::from_u128(user));
        let by = By { user_id, display_name: format!("user {user}") };
        self.next_id += 1;
        let call = u64::try_from(self.next_id).unwrap();
        let (breakout, fresh) = (None, self.fresh());
        let message = Box::new(message);
        self.apply(Input::Call { call, by, role, message, breakout, fresh });
    }

    pub fn join_request(&mut self, socket: u64, user: u128) -> JoinRequest {
        let role = self.role_of(user);
        JoinRequest {
            socket: SocketId(socket),
            participant: ParticipantId(self.fresh()),
            user_id: UserId(Uuid::from_u128(user)),
            display_name: format!("user {user}"),
            role,
            room: RoomView {
                id: ROOM,
                slug: "stand-up".into(),
                name: "Stand-up".into(),
                parent: None,
                has_invite_key: false,
                invite_code: None,
                cover_id: None,
                owner_id: UserId(Uuid::from_u128(1)),
                role: None,
                participants: 0,
                created_ms: 0,
            },
            place: Place::New,
        }
    }

    /// Joins a user by a socket of that number.
    pub fn join(&mut self, socket: u64, user: u128) -> ParticipantId {
        let request = self.join_request(socket, user);
        let id = request.participant;
        self.ids.insert(socket, id);
        self.apply(Input::Join(Box::new(request)));
        id
    }

    /// Comes back by a new socket with the secret of that participant.
    pub fn resume(&mut self, socket: u64, user: u128, participant: ParticipantId) {
        let mut request = self.join_request(socket, user);
        request.place = Place::Of(participant);
        self.apply(Input::Join(Box::new(request)));
    }

    pub fn ask(&mut self, socket: u64, message: ClientMessage) {
        let input = self.request(socket, message);
        self.apply(input);
    }

    /// A request whose `id` is the number of its socket.
    pub fn request(&mut self, socket: u64, message: ClientMessage) -> Input {
        let id = MessageId(self.fresh());
        let re = Some(Value::from(socket));
        Input::Request { socket: SocketId(socket), message: Box::new(message), re, id }
    }

    pub fn chat(&mut self, socket: u64, text: &str, client_id: Option<&str>) {
        let client_id = client_id.map(str::to_owned);
        self.ask(socket, line(text, client_id));
    }

    pub fn drop_socket(&mut self, socket: u64) {
        let heard_at = self.now;
        self.admitted.retain(|admitted| *admitted != SocketId(socket));
        self.apply(Input::SocketGone { socket: SocketId(socket), heard_at });
    }

    pub fn media(&mut self, event: Event) {
        self.apply(Input::Media(event));
    }

    /// Lets time pass in ticks of a second.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.wall_ms += 1_000;
            self.apply(Input::Tick);
        }
    }

    pub fn door_request(&mut self, session: &str, user: u128, kind: DoorKind) -> DoorRequest {
        let role = self.role_of(user);
        DoorRequest {
            session: session.to_owned(),
            participant: ParticipantId(self.fresh()),
            user_id: UserId(Uuid::from_u128(user)),
            display_name: format!("user {user}"),
            role,
            offer: "v=0".to_owned(),
            kind,
            pass: Pass::Token { signed_in: Uuid::nil() },
        }
    }

    /// Asks for WHIP or WHEP and gives the transport that the media plane was asked for.
    pub fn knock(&mut self, session: &str, user: u128, kind: DoorKind) -> (ParticipantId, PeerId) {
        let request = self.door_request(session, user, kind);
        let id = request.participant;
        self.apply(Input::Door(Box::new(request)));
        let peer = match self.commands().pop() {
            Some(Command::Publish { peer, .. } | Command::Watch { peer, .. }) => peer,
            other => panic!("no transport was asked for: {other:?}"),
        };
        (id, peer)
    }
}

/// A plain line to everybody.
pub fn line(text: &str, client_id: Option<String>) -> ClientMessage {
    ClientMessage::ChatMessage {
        text: text.to_owned(),
        client_id,
        reply_to: None,
        to: None,
        attachments: Vec::new(),
        poll: None,
    }
}

/// The codes of the errors among messages, with what they answer.
pub fn errors(messages: &[ServerMessage]) -> Vec<(ErrorCode, Option<Value>)> {
    messages
        .iter()
        .filter_map(|message| match message {
            ServerMessage::Error { code, re, .. } => Some((*code, re.clone())),
            _ => None,
        })
        .collect()
}
