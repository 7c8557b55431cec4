//! A live room as a state machine: who is here, what they say, which transport is whose.
//!
//! Time, ids and what the store said are arguments; what shall happen comes back as [`Effect`]s, to be run in
//! order. It must never know about sockets, tasks, clocks or SQL.
//!
//! What is stored changes nothing here until it is: a join, a leave or a line of chat first becomes
//! [`Effect::Persist`], and only [`Input::Stored`] makes it true and tells the others. So memory never runs
//! ahead of the store, and nothing has to be taken back.

mod breakouts;
mod chat;
mod doors;
mod family;
mod forced;
mod input;
mod lines;
mod liveness;
mod lobby;
mod media;
mod membership;
mod orders;
mod peers;
mod people;
#[cfg(test)]
mod properties;
mod recording;
mod removal;
mod roles;
mod roster;
mod signals;
#[cfg(test)]
mod stage;
mod state;
mod sync;
#[cfg(test)]
mod tests;

pub use input::{
    Cause, Door, DoorChange, DoorChangeRequest, DoorKind, DoorRequest, Draft, Effect, Input,
    JoinRequest, Missed, Noted, Pass, Passed, Place, Refusal, Reply, SignedOut, SocketId, Verdict,
};

use crate::bucket::{Bucket, Rate};
use crate::recorder::RecorderOrder;
use crate::resume::ResumeKey;
use crate::words::WordFilter;
use doors::OpenDoor;
use family::Family;
use lobby::Waiting;
use membership::Joining;
use peers::Peers;
use people::People;
use protocol::limits::{CHAT_BURST, CHAT_PER_SECOND, MAX_CHAT_HISTORY};
use protocol::recording::RecordEnd;
use protocol::room::{ChatMessage, Orders, Participant, RoomState, Snapshot};
use protocol::{ClientMessage, ErrorCode, ParticipantId, RoomId, ServerMessage, UserId};
use serde_json::Value;
use sfu::PeerId;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;
use store::{RoomLog, Stored};
use uuid::Uuid;

/// What a deployment decides for its rooms.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Words that nobody shall read in chats.
    pub words: WordFilter,
    /// How fast one person may write.
    pub chat: Rate,
    /// How many rooms may be recorded at once.
    pub recordings_at_once: u32,
}

impl Default for Rules {
    fn default() -> Self {
        let chat = Rate { burst: CHAT_BURST, per_second: CHAT_PER_SECOND };
        Self { words: WordFilter::default(), chat, recordings_at_once: RECORDINGS_AT_ONCE }
    }
}

/// What a deployment allows that says nothing else.
const RECORDINGS_AT_ONCE: u32 = 20;

/// A room while people are in it.
pub struct Room {
    id: RoomId,
    slug: String,
    name: String,
    resume: ResumeKey,
    next_seq: i64,
    state: RoomState,
    /// The same, as it will be when everything on its way to the store is stored.
    wanted: RoomState,
    /// What moderators have ordered, for those of whom they ordered something.
    orders: BTreeMap<UserId, Orders>,
    /// Who was admitted from the lobby, and when.
    admitted: BTreeMap<UserId, i64>,
    /// Those who wait until a moderator decides.
    lobby: BTreeMap<ParticipantId, Waiting>,
    history: VecDeque<ChatMessage>,
    /// The last pinned first.
    pinned: Vec<ChatMessage>,
    rules: Rules,
    /// The main room, or the breakout rooms.
    family: Family,
    /// Everybody whose joining is stored and whose leaving is not.
    people: People,
    /// Those whose joining is being stored.
    joining: BTreeMap<ParticipantId, Joining>,
    /// Sockets of `people` and of `joining`.
    sockets: BTreeMap<SocketId, ParticipantId>,
    /// Transports that sockets asked for.
    peers: Peers,
    /// Transports that WHIP and WHEP asked for.
    doors: BTreeMap<PeerId, OpenDoor>,
    next_peer: u64,
    speakers: Vec<ParticipantId>,
    chat_buckets: HashMap<UserId, Bucket>,
    join_buckets: HashMap<UserId, Bucket>,
    order_buckets: HashMap<UserId, Bucket>,
    /// Why the recording shall end, until the store has taken that it does.
    ending: Option<RecordEnd>,
    /// Somebody stopped recording while people are here: it does not begin by itself again.
    is_stopped_by_hand: bool,
    is_closed: bool,
    is_suspended: bool,
}

impl Room {
    /// A room that nobody is in. `index` is its own in this process and becomes the upper half of its
    /// [`PeerId`]s; the rest is as stored.
    pub fn new(id: RoomId, index: u32, resume: ResumeKey, rules: Rules, log: RoomLog) -> Self {
        Self {
            id,
            slug: log.slug,
            name: log.name,
            resume,
            next_seq: log.next_seq,
            wanted: log.state.clone(),
            state: log.state,
            orders: log.orders.into_iter().collect(),
            admitted: log.admitted.into_iter().collect(),
            lobby: BTreeMap::new(),
            history: log.messages.into(),
            pinned: log.pinned,
            rules,
            family: Family::new(log.parent, log.breakouts),
            people: People::default(),
            joining: BTreeMap::new(),
            sockets: BTreeMap::new(),
            peers: Peers::default(),
            doors: BTreeMap::new(),
            next_peer: u64::from(index) << PEER_BITS,
            speakers: Vec::new(),
            chat_buckets: HashMap::new(),
            join_buckets: HashMap::new(),
            order_buckets: HashMap::new(),
            ending: None,
            is_stopped_by_hand: false,
            is_closed: false,
            is_suspended: false,
        }
    }

    /// A transport of whatever has this index.
    pub fn transport_of(index: u32, number: u32) -> PeerId {
        PeerId((u64::from(index) << PEER_BITS) | u64::from(number))
    }

    /// The index of the room whose transport this is.
    pub fn index_of(peer: PeerId) -> u32 {
        u32::try_from(peer.0 >> PEER_BITS).expect("32 bits are left")
    }

    /// Takes one input and says what shall happen, in order.
    pub fn apply(&mut self, now: Instant, wall_ms: i64, input: Input) -> Vec<Effect> {
        let mut out = Effects(Vec::new());
        let at = Moment { now, wall_ms };
        let recording = self.state.recording.as_ref().map(|now| now.recording_id);
        match input {
            Input::Join(join) => self.join(at, *join, &mut out),
            Input::Request { socket, message, re, id } => {
                self.request(at, socket, *message, re, id, &mut out);
            }
            Input::SocketGone { socket, heard_at } => {
                self.socket_gone(at, socket, heard_at, &mut out)
            }
            Input::Door(request) => self.open_door(at, *request, &mut out),
            Input::DoorGone { session } => self.close_door(at, &session, &mut out),
            Input::DoorChange(request) => self.change_door(at, *request, &mut out),
            Input::KeyRevoked { user } => {
                self.end_doors_of(at, user, &mut out);
                self.end_relays(user, None, &mut out);
            }
            Input::SocketSignedOut { socket } => self.socket_signed_out(at, socket, &mut out),
            Input::SignedOut(who) => self.signed_out(at, who, &mut out),
            Input::Media(event) => self.media_event(at, event, &mut out),
            Input::Stored { draft, verdict } => self.stored(at, *draft, verdict, &mut out),
            Input::Welcome { participant, socket, room } => {
                self.welcome_back(participant, socket, *room, &mut out);
            }
            Input::Tick => self.tick(at, &mut out),
            Input::Call { call, by, role, message, breakout, fresh } => {
                let reply = Reply::Call(call);
                let asker = orders::Asker { by, role, reply, participant: None, breakout, fresh };
                self.call(at, asker, *message, &mut out);
            }
            Input::RecordingEnds { recording, reason } => {
                self.end_recording(at, recording, reason, &mut out);
            }
            Input::Answered { reply, answer } => self.answered(&reply, answer, &mut out),
            Input::Noted { note, reply } => self.note(at, *note, reply, &mut out),
            Input::People { room, people } => self.people_elsewhere(room, people, &mut out),
            Input::Fetched { missed, page } => self.synced(*missed, page, &mut out),
            Input::Close => self.close(&mut out),
            Input::Suspend { code } => self.suspend(at, code, &mut out),
        }
        recording::overhear(at, recording, &mut out);
        out.0
    }

    /// Everybody who is seen in the room, in order of joining.
    pub fn participants(&self) -> Vec<Participant> {
        self.people.in_order().map(|person| person.view.clone()).collect()
    }

    /// Everything as it is now, as this person may see it, and the number of the next event.
    pub fn snapshot(&self, viewer: UserId, is_moderator: bool) -> (Snapshot, i64) {
        let everybody = (self.participants(), None);
        (self.snapshot_of(viewer, is_moderator, everybody), self.next_seq)
    }

    /// How many are seen in the room.
    pub fn count(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody is here, comes, or watches.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
            && self.joining.is_empty()
            && self.doors.is_empty()
            && self.lobby.is_empty()
            && !self.family.is_waiting()
            && self.state.recording.is_none()
    }

    /// Whether the room was closed or suspended and needs nothing more.
    pub fn is_over(&self) -> bool {
        self.is_closed || self.is_suspended
    }

    /// As if they had left, and their relays end too.
    fn socket_signed_out(&mut self, at: Moment, socket: SocketId, out: &mut Effects) {
        let who = self.sockets.get(&socket).and_then(|id| self.people.get(id));
        let who = who.map(|person| (person.view.id, person.view.user_id));
        self.request(at, socket, ClientMessage::Leave, None, protocol::MessageId(Uuid::nil()), out);
        if let Some((id, user)) = who {
            self.end_relays(user, Some(id), out);
        }
    }

    fn request(
        &mut self,
        at: Moment,
        socket: SocketId,
        message: ClientMessage,
        re: Option<Value>,
        id: protocol::MessageId,
        out: &mut Effects,
    ) {
        let from = self.sockets.get(&socket).copied();
        if let Some(id) = from.filter(|id| self.lobby.contains_key(id)) {
            return self.waiting_says(at, id, &message, re, out);
        }
        let Some(person) = from.and_then(|id| self.people.get_mut(&id)) else { return };
        if person.leaving.is_some() {
            return;
        }
        let from = person.view.id;
        match message {
            ClientMessage::Ping => out.send(socket, ServerMessage::Pong { re }),
            ClientMessage::Leave => {
                self.leave(at, from, protocol::server::LeaveReason::Left, out);
            }
            ClientMessage::MediaSelf { mic_muted, cam_off } => {
                self.set_own_media(at, from, socket, mic_muted, cam_off, re, out);
            }
            ClientMessage::ChatMessage { text, client_id, reply_to, to, attachments, poll } => {
                let sealed = None;
                let line =
                    chat::Line { id, text, client_id, reply_to, to, sealed, poll, attachments, re };
                self.chat(at, from, socket, line, out);
            }
            ClientMessage::ChatMessageEnc { algo, ciphertext_b64, client_id, reply_to, to } => {
                let line = chat::Line {
                    id,
                    text: String::new(),
                    client_id,
                    reply_to,
                    to,
                    sealed: Some((algo, ciphertext_b64)),
                    poll: None,
                    attachments: Vec::new(),
                    re,
                };
                self.chat(at, from, socket, line, out);
            }
            ClientMessage::Signal { to, kind, data } => {
                self.relay(at, from, socket, signals::Signal { to, kind, data, re }, out);
            }
            ClientMessage::KeysPublish(keys) => {
                self.publish_keys(at, from, socket, keys, re, out);
            }
            ClientMessage::ChatTyping { is_typing } => {
                self.typing(at, from, socket, is_typing, re, out);
            }
            ClientMessage::Reaction { emoji } => self.react(at, from, socket, emoji, re, out),
            ClientMessage::SignalMessage { to, topic, data } => {
                self.pass_on(at, from, socket, signals::Note { to, topic, data, re }, out);
            }
            ClientMessage::MediaPublish { pc, sdp, tracks } => {
                self.publish(at, from, socket, media::Offer { pc, sdp, tracks, re }, out);
            }
            ClientMessage::MediaSubscribe { pc, audio_slots, video_slots } => {
                self.subscribe(
                    at,
                    from,
                    socket,
                    media::Ask { pc, audio_slots, video_slots, re },
                    out,
                );
            }
            ClientMessage::MediaAnswer { pc, sdp } => {
                self.answer(at, from, socket, &pc, sdp, re, out);
            }
            ClientMessage::ViewSet(view) => self.set_view(from, socket, view, re, out),
            ClientMessage::SyncSub { after_seq } => self.sync(from, socket, after_seq, re, out),
            order @ (ClientMessage::HandRaise
            | ClientMessage::HandLower { .. }
            | ClientMessage::RoleSet { .. }
            | ClientMessage::MediaForce { .. }
            | ClientMessage::SpeakAllow { .. }
            | ClientMessage::StateSet(_)
            | ClientMessage::MemberKick { .. }
            | ClientMessage::MemberBan { .. }
            | ClientMessage::MemberUnban { .. }
            | ClientMessage::ChatEdit { .. }
            | ClientMessage::ChatDelete { .. }
            | ClientMessage::ChatReact { .. }
            | ClientMessage::ChatPin { .. }
            | ClientMessage::PollVote { .. }
            | ClientMessage::PollClose { .. }
            | ClientMessage::LobbyAdmit { .. }
            | ClientMessage::LobbyRefuse { .. }
            | ClientMessage::RecordStart
            | ClientMessage::RecordStop
            | ClientMessage::BreakoutOpen(_)
            | ClientMessage::BreakoutAssign { .. }
            | ClientMessage::BreakoutBroadcast { .. }
            | ClientMessage::BreakoutClose { .. }
            | ClientMessage::BreakoutHelp) => {
                self.asked(at, from, Reply::Socket { socket, re }, order, id.0, out);
            }
        }
    }

    fn stored(&mut self, at: Moment, draft: Draft, verdict: Verdict, out: &mut Effects) {
        let number = match &verdict {
            Verdict::Stored(Stored::New { seq } | Stored::Changed { seq, .. }) => Some(*seq),
            Verdict::Stored(Stored::Line(message)) => Some(message.seq),
            Verdict::Stored(Stored::Already(_) | Stored::Refused(_)) | Verdict::Failed => None,
        };
        if let Some(seq) = number {
            self.next_seq = self.next_seq.max(seq + 1);
        }
        match draft.cause {
            Cause::Join { participant } => self.join_stored(at, participant, verdict, out),
            Cause::Leave { participant } => self.leave_stored(participant, verdict, out),
            Cause::Knock { participant } => {
                self.knock_stored(participant, draft.event, verdict, out);
            }
            Cause::Order { reply } => self.order_stored(at, reply, draft.event, verdict, out),
            Cause::Chat { socket, re } => self.chat_stored(socket, re, draft.event, verdict, out),
        }
    }

    fn tick(&mut self, at: Moment, out: &mut Effects) {
        self.watch_silence(at, out);
        self.retry_leaving(at, out);
        self.give_up_waiting(at.now, out);
        self.give_up_doors(at, out);
        self.chat_buckets.retain(|_, bucket| !bucket.is_full(at.now));
        self.join_buckets.retain(|_, bucket| !bucket.is_full(at.now));
        self.order_buckets.retain(|_, bucket| !bucket.is_full(at.now));
        self.end_speaking(at, out);
        self.end_breakouts(at, out);
        self.watch_recording(at, out);
    }

    fn new_peer(&mut self) -> PeerId {
        self.next_peer += 1;
        PeerId(self.next_peer)
    }
}

/// Bits of a [`PeerId`] that number the transports of one room. Fewer would run out in a room that lives for
/// years; more would leave too few for rooms.
const PEER_BITS: u32 = 32;

/// When something happens: `now` for durations, `wall_ms` for people.
#[derive(Clone, Copy, Debug)]
struct Moment {
    now: Instant,
    wall_ms: i64,
}

/// Effects in the order in which they shall run.
struct Effects(Vec<Effect>);

impl Effects {
    fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    fn send(&mut self, socket: SocketId, message: ServerMessage) {
        self.0.push(Effect::Send { socket, message: Box::new(message) });
    }

    fn broadcast(&mut self, message: ServerMessage) {
        self.0.push(Effect::Broadcast { message: Box::new(message), except: None });
    }

    fn broadcast_except(&mut self, socket: SocketId, message: ServerMessage) {
        self.0.push(Effect::Broadcast { message: Box::new(message), except: Some(socket) });
    }

    fn close(&mut self, socket: SocketId, code: u16) {
        self.0.push(Effect::Close { socket, code });
    }

    fn media(&mut self, command: sfu::Command) {
        self.0.push(Effect::Media(Box::new(command)));
    }

    fn record(&mut self, order: RecorderOrder) {
        self.0.push(Effect::Record(Box::new(order)));
    }

    fn refuse(
        &mut self,
        socket: SocketId,
        re: Option<Value>,
        code: ErrorCode,
        reason: impl Into<String>,
    ) {
        self.send(socket, ServerMessage::Error { code, reason: reason.into(), re });
    }
}

impl Room {
    /// Keeps the newest lines for those who join later.
    fn remember(&mut self, message: ChatMessage) {
        if self.history.len() == MAX_CHAT_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(message);
    }
}
