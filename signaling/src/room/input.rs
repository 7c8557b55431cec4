//! What goes into a room and what comes out.

use crate::recorder::RecorderOrder;
use crate::sdpfrag::Credentials;
use protocol::recording::RecordEnd;
use protocol::room::{By, Role, Room as RoomView};
use protocol::{
    ClientMessage, ErrorCode, MessageId, ParticipantId, Power, RecordingId, RoomId, ServerMessage,
    UserId,
};
use serde_json::Value;
use sfu::Command;
use std::time::Instant;
use store::{Audience, NewEvent, Stored};
use uuid::Uuid;

/// One WebSocket; never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

/// Everything that can happen to a room.
#[derive(Debug)]
pub enum Input {
    /// A socket wants in.
    Join(Box<JoinRequest>),
    /// Somebody asks for something.
    Request {
        /// Over which socket.
        socket: SocketId,
        /// What.
        message: Box<ClientMessage>,
        /// The request's own id, handed back in the answer.
        re: Option<Value>,
        /// A fresh id, for the case that the message is stored.
        id: MessageId,
    },
    /// A socket is over.
    SocketGone {
        /// Which.
        socket: SocketId,
        /// When it was last heard.
        heard_at: Instant,
    },
    /// WHIP or WHEP wants in.
    Door(Box<DoorRequest>),
    /// A session of WHIP or WHEP was deleted, or nobody waits for its answer.
    DoorGone {
        /// Which.
        session: String,
    },
    /// A session of WHIP or WHEP is to change.
    DoorChange(Box<DoorChangeRequest>),
    /// Everything that a stream key opened is over: it was revoked.
    KeyRevoked {
        /// The key's identity.
        user: UserId,
    },
    /// Whoever has this socket has signed out.
    SocketSignedOut {
        /// Which.
        socket: SocketId,
    },
    /// Sessions of WHIP and WHEP are over: whoever opened them has signed out.
    SignedOut(SignedOut),
    /// The media plane says.
    Media(sfu::Event),
    /// The store has taken a draft, or has not.
    Stored {
        /// What it was.
        draft: Box<Draft>,
        /// What became of it.
        verdict: Verdict,
    },
    /// Somebody orders something over REST.
    Call {
        /// Names the call in the answer.
        call: u64,
        /// Who.
        by: By,
        /// Their role, as the store had it a moment ago.
        role: Role,
        /// What.
        message: Box<ClientMessage>,
        /// The breakout room that passed it on.
        breakout: Option<RoomId>,
        /// A fresh id, for what the order makes.
        fresh: Uuid,
    },
    /// The main room has answered an order that was passed on to it.
    Answered {
        /// Who wants to know.
        reply: Reply,
        /// What it said.
        answer: Result<(), Refusal>,
    },
    /// Something happened elsewhere and becomes an event here: the main room tells this breakout room, or a
    /// REST call has changed what the room does not hold.
    Noted {
        /// What.
        note: Box<Noted>,
        /// Who wants to know that it is stored.
        reply: Reply,
    },
    /// A breakout room tells who is there.
    People {
        /// Which.
        room: RoomId,
        /// All of them.
        people: Vec<By>,
    },
    /// A recording cannot go on.
    RecordingEnds {
        /// Which.
        recording: RecordingId,
        /// Why.
        reason: RecordEnd,
    },
    /// What somebody missed, or `None` where the store did not answer.
    Fetched {
        /// What was asked.
        missed: Box<Missed>,
        /// What there is.
        page: Option<store::EventPage>,
    },
    /// A socket that took its participant over shall hear what everybody knows now.
    Welcome {
        /// Who.
        participant: ParticipantId,
        /// Over which socket.
        socket: SocketId,
        /// The room as this person may see it.
        room: Box<RoomView>,
    },
    /// Time passes. Wanted once a second.
    Tick,
    /// The room is deleted.
    Close,
    /// The process stops: every socket is closed with this code and everybody has left.
    Suspend {
        /// Close code.
        code: u16,
    },
}

/// A socket wants in. Who it is has been checked already.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The socket.
    pub socket: SocketId,
    /// A fresh id, in case this becomes a new participant.
    pub participant: ParticipantId,
    /// Identity.
    pub user_id: UserId,
    /// Name to show.
    pub display_name: String,
    /// Role in the room, as stored.
    pub role: Role,
    /// The room as this person may see it.
    pub room: RoomView,
    /// Whose place they want.
    pub place: Place,
}

/// As whom somebody wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As a new participant.
    New,
    /// As this one, if they are still here and of the same identity.
    Of(ParticipantId),
    /// As the newest of their own, if there is one.
    Own,
}

/// WHIP or WHEP wants in. Who it is has been checked already.
#[derive(Clone, Debug)]
pub struct DoorRequest {
    /// A fresh secret that names the session in `Location`.
    pub session: String,
    /// A fresh id.
    pub participant: ParticipantId,
    /// Identity.
    pub user_id: UserId,
    /// Name to show.
    pub display_name: String,
    /// Role in the room, as stored.
    pub role: Role,
    /// SDP of the offer.
    pub offer: String,
    /// Which of the two.
    pub kind: DoorKind,
    /// What lets them in.
    pub pass: Pass,
}

/// What a session of WHIP or WHEP was opened with, and ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// A token.
    Token {
        /// Of whoever signed in so.
        signed_in: Uuid,
    },
    /// A stream key, which a moderator has made: no lobby is asked, and it publishes once.
    Key {
        /// When it ends, by the clock on the wall.
        until_ms: Option<i64>,
    },
}

/// Who has signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedOut {
    /// One session of somebody.
    Session(Uuid),
    /// All of somebody.
    Person(UserId),
}

/// What a session of WHIP or WHEP is asked to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorChangeRequest {
    /// Names the request in its answer; fresh.
    pub id: String,
    /// Which session.
    pub session: String,
    /// What.
    pub change: DoorChange,
}

/// A change of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoorChange {
    /// `PATCH` with a fragment: candidates, or a restart of ICE.
    Ice {
        /// The client's credentials.
        credentials: Credentials,
        /// `If-Match`.
        if_match: Option<String>,
    },
    /// How large a picture a viewer takes, in pixels; 0 for any.
    Largest((u16, u16)),
}

/// Publish or watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorKind {
    /// WHIP.
    Publish,
    /// WHEP.
    Watch {
        /// Whom to show; the active speaker when absent.
        follow: Option<ParticipantId>,
    },
}

/// What became of a [`DoorRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// It is open, or its ICE was restarted; here is the SDP answer.
    Open(String),
    /// What was asked is done, and there is nothing to say.
    Done,
    /// It stays shut.
    Refused(Refusal),
}

/// Why something did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub reason: String,
}

/// Who wants to know what became of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A socket.
    Socket {
        /// Which.
        socket: SocketId,
        /// The request's own id.
        re: Option<Value>,
    },
    /// A REST call.
    Call(u64),
    /// Nobody.
    Nobody,
}

/// An order in a breakout room that is the main room's to decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// The main room.
    pub to: RoomId,
    /// The breakout room.
    pub from: RoomId,
    /// Who orders.
    pub by: By,
    /// Their role, as the breakout room knows it.
    pub role: Role,
    /// What.
    pub message: ClientMessage,
    /// Who wants to know what became of it.
    pub reply: Reply,
}

/// What happened elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    /// Who decided.
    pub by: By,
    /// By what power, where it is to stand in this room's audit log.
    pub power: Option<Power>,
    /// Whom it is for.
    pub audience: Audience,
    /// What happened.
    pub message: ServerMessage,
}

/// A page of what somebody missed.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// Who asks.
    pub participant: ParticipantId,
    /// Over which socket.
    pub socket: SocketId,
    /// After which number.
    pub after_seq: i64,
    /// Their identity.
    pub viewer: UserId,
    /// Whether they see what moderators see.
    pub is_moderator: bool,
    /// The request's own id.
    pub re: Option<Value>,
}

/// Something that becomes true when it is stored.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What is stored.
    pub event: NewEvent,
    /// What to do then.
    pub cause: Cause,
}

/// Why something is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// Somebody comes.
    Join {
        /// Who.
        participant: ParticipantId,
    },
    /// Somebody goes.
    Leave {
        /// Who.
        participant: ParticipantId,
    },
    /// Somebody waits in the lobby.
    Knock {
        /// Who.
        participant: ParticipantId,
    },
    /// Somebody decided something.
    Order {
        /// Who wants to know.
        reply: Reply,
    },
    /// Somebody wrote.
    Chat {
        /// Over which socket.
        socket: SocketId,
        /// The request to answer.
        re: Option<Value>,
    },
}

/// What the store said of a draft.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is stored, or was already.
    Stored(Stored),
    /// It could not be stored.
    Failed,
}

/// Something that shall happen.
#[derive(Debug)]
pub enum Effect {
    /// Store this, then say so by [`Input::Stored`]. What follows in the list waits for it.
    Persist(Box<Draft>),
    /// Apply this when everything before it is settled. What stands before may still be on its way to the
    /// store, and a snapshot taken too early would show somebody whose leaving was told a moment ago.
    Then(Box<Input>),
    /// Tell one socket.
    Send {
        /// Which.
        socket: SocketId,
        /// What.
        message: Box<ServerMessage>,
    },
    /// Tell all admitted sockets.
    Broadcast {
        /// What.
        message: Box<ServerMessage>,
        /// All but this one.
        except: Option<SocketId>,
    },
    /// Tell these sockets, as far as they are admitted.
    Multicast {
        /// What.
        message: Box<ServerMessage>,
        /// Which.
        sockets: Vec<SocketId>,
    },
    /// Read from the log, then say so by [`Input::Fetched`].
    Fetch(Box<Missed>),
    /// Hand an order to the main room, then say so by [`Input::Answered`].
    Pass(Box<Passed>),
    /// Tell the breakout rooms that somebody is in, by [`Input::Noted`].
    Relay {
        /// Which there are.
        rooms: Vec<RoomId>,
        /// What.
        note: Box<Noted>,
    },
    /// Answer a REST call.
    AnswerCall {
        /// Which.
        call: u64,
        /// How.
        answer: Result<(), Refusal>,
    },
    /// From now on this socket hears broadcasts.
    Admit {
        /// Which.
        socket: SocketId,
    },
    /// Hand this admitted socket everybody who is here, by pages of [`super::Room::roster_page`].
    Page {
        /// Which.
        socket: SocketId,
    },
    /// Close a socket after what it was told so far.
    Close {
        /// Which.
        socket: SocketId,
        /// WebSocket close code.
        code: u16,
    },
    /// Tell the media plane.
    Media(Box<Command>),
    /// Tell the recorder.
    Record(Box<RecorderOrder>),
    /// Answer a WHIP or WHEP request.
    AnswerDoor {
        /// Which.
        session: String,
        /// How.
        door: Door,
    },
}
