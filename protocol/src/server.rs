//! What the server says on the room's socket.

use crate::breakout::Breakouts;
use crate::client::RequestId;
use crate::error::ErrorCode;
use crate::id::{
    AttachmentId, InviteId, MessageId, ParticipantId, RecordingId, StreamKeyId, UserId,
};
use crate::media::{SlotBinding, Track};
use crate::recording::{RecordEnd, RecordingNow};
use crate::rest::{Invite, StreamKey};
use crate::room::{
    By, ChatMessage, Forcible, KeyBundle, Knock, KnockOutcome, MediaState, Participant, Presence,
    Role, Room, RoomState, Snapshot,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Why a participant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// Said so.
    Left,
    /// 25 s of silence.
    TimedOut,
    /// The room was deleted.
    RoomClosed,
    /// Removed by a moderator.
    Kicked,
    /// Sent from a breakout room back to its main room.
    SentBack,
}

/// Everything the server may say. Answers carry the request's `id` in `re`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum ServerMessage {
    /// First message: who you are here.
    #[serde(rename = "joined")]
    Joined {
        /// You.
        participant_id: ParticipantId,
        /// Your identity.
        user_id: UserId,
        /// Your role.
        role: Role,
        /// The room.
        room: Room,
        /// Secret that takes this participant over on a new socket (`POST rooms/{slug}/ticket {resume}`).
        resume: String,
        /// Whether this socket took over a participant that was here already.
        resumed: bool,
    },
    /// Second message: everything as it is now. Changes follow as events.
    #[serde(rename = "state.snapshot")]
    StateSnapshot(Box<Snapshot>),
    /// Third message: the number the next stored event gets.
    #[serde(rename = "sync.info")]
    SyncInfo {
        /// Next `seq`.
        next_seq: i64,
    },
    /// Topic, lock and so on are others now.
    #[serde(rename = "state.changed")]
    StateChanged {
        /// All of it, as it is now.
        state: RoomState,
        /// Who changed it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// In a crowded room: everything that happened since the last one, in order. Take each as if it had come alone.
    #[serde(rename = "events.batch")]
    EventsBatch {
        /// What happened.
        #[schema(no_recursion)]
        events: Vec<ServerMessage>,
    },
    /// More of those who are here, in order of joining, where the snapshot does not have all.
    #[serde(rename = "roster.page")]
    RosterPage {
        /// As they are now.
        participants: Vec<Participant>,
        /// Whether another page follows.
        has_more: bool,
    },
    /// A page of what happened.
    #[serde(rename = "sync.batch")]
    SyncBatch {
        /// In order, each with its `seq`; empty when there is nothing more.
        #[schema(no_recursion)]
        events: Vec<ServerMessage>,
        /// Everything up to this number has been told that is for you.
        upto_seq: i64,
        /// Whether there is more after it.
        has_more: bool,
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// A request that has no answer of its own was done.
    #[serde(rename = "done")]
    Done {
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// You wait until a moderator admits you: `joined` or the socket's end comes next.
    #[serde(rename = "lobby.waiting")]
    LobbyWaiting {
        /// The participant you will be.
        participant_id: ParticipantId,
        /// The room.
        room: Room,
    },
    /// Somebody waits in the lobby; for moderators.
    #[serde(rename = "lobby.knocked")]
    LobbyKnocked {
        /// Who.
        knock: Knock,
        /// Event number.
        seq: i64,
    },
    /// Somebody waits in the lobby no longer; for moderators.
    #[serde(rename = "lobby.left")]
    LobbyLeft {
        /// Who.
        knock: Knock,
        /// How it ended.
        outcome: KnockOutcome,
        /// Who decided; nobody when they went by themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
        /// Event number.
        seq: i64,
    },
    /// Somebody came.
    #[serde(rename = "member.joined")]
    MemberJoined {
        /// Who.
        participant: Participant,
        /// Event number.
        seq: i64,
    },
    /// Somebody is gone.
    #[serde(rename = "member.left")]
    MemberLeft {
        /// Who.
        participant_id: ParticipantId,
        /// Why.
        reason: LeaveReason,
        /// Event number.
        seq: i64,
    },
    /// Somebody fell silent, or is back.
    #[serde(rename = "member.presence")]
    MemberPresence {
        /// Who.
        participant_id: ParticipantId,
        /// How present.
        presence: Presence,
    },
    /// Somebody asks to speak: last in the queue.
    #[serde(rename = "hand.raised")]
    HandRaised {
        /// Who.
        participant_id: ParticipantId,
        /// Event number.
        seq: i64,
    },
    /// A hand went down.
    #[serde(rename = "hand.lowered")]
    HandLowered {
        /// Whose; everybody's when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant_id: Option<ParticipantId>,
        /// Which moderator did it; nobody when it was their own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
        /// Event number.
        seq: i64,
    },
    /// Somebody's role is another now, in all their participants.
    #[serde(rename = "role.changed")]
    RoleChanged {
        /// Whose.
        user_id: UserId,
        /// The new one.
        role: Role,
        /// Who was owner before and is admin now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stepped_down: Option<UserId>,
        /// Who changed it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// A moderator stopped somebody's microphone or screen share, or lets them again.
    #[serde(rename = "media.forced")]
    MediaForced {
        /// Whose.
        user_id: UserId,
        /// What: `microphone` or `screen`.
        source: Forcible,
        /// Stopped, or no longer.
        forced: bool,
        /// Who ordered it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// A moderator stopped somebody's camera, or lets them again.
    #[serde(rename = "media.video_forced")]
    MediaVideoForced {
        /// Whose.
        user_id: UserId,
        /// Stopped, or no longer.
        forced: bool,
        /// Who ordered it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Somebody may speak while everybody is muted, or no longer.
    #[serde(rename = "speak.allowed")]
    SpeakAllowed {
        /// Who.
        user_id: UserId,
        /// Whether.
        allowed: bool,
        /// Until when, milliseconds since 1970; without end when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<i64>,
        /// Who ordered it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// A moderator removed somebody; `member.left` follows for each of their participants.
    #[serde(rename = "member.kicked")]
    MemberKicked {
        /// Whom.
        user_id: UserId,
        /// Their name, where they were here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        display_name: Option<String>,
        /// Whether they may not come back.
        is_banned: bool,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Who ordered it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Somebody may come again; for moderators.
    #[serde(rename = "member.unbanned")]
    MemberUnbanned {
        /// Who.
        user_id: UserId,
        /// Who ordered it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Breakout rooms are open.
    #[serde(rename = "breakout.opened")]
    BreakoutOpened {
        /// All of it.
        breakouts: Box<Breakouts>,
        /// Who opened them.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// People belong somewhere else now; who is not named stays.
    #[serde(rename = "breakout.assigned")]
    BreakoutAssigned {
        /// Place of the breakout room; `null` for the main room.
        #[schema(value_type = BTreeMap<String, Option<u32>>)]
        assignments: BTreeMap<UserId, Option<u32>>,
        /// Who decided.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Words for everybody, in the main room and in all breakout rooms.
    #[serde(rename = "breakout.broadcast")]
    BreakoutBroadcast {
        /// The words.
        text: String,
        /// Who says them.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Everybody is sent back soon.
    #[serde(rename = "breakout.closing")]
    BreakoutClosing {
        /// When, milliseconds since 1970.
        ends_ms: i64,
        /// Who decided.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Breakout rooms are over: back to the main room.
    #[serde(rename = "breakout.closed")]
    BreakoutClosed {
        /// Who closed them; nobody when their time was over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
        /// Event number.
        seq: i64,
    },
    /// Somebody asks moderators to come to a breakout room; for moderators.
    #[serde(rename = "breakout.help")]
    BreakoutHelp {
        /// Place of the breakout room.
        room: u32,
        /// Who asks.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Who is in a breakout room now; for those in the main room.
    #[serde(rename = "breakout.people")]
    BreakoutPeople {
        /// Place of the breakout room.
        room: u32,
        /// All of them.
        people: Vec<By>,
    },
    /// The room has another name, key or picture.
    #[serde(rename = "room.changed")]
    RoomChanged {
        /// Its name now.
        name: String,
        /// Whether it asks for an invite key now.
        has_invite_key: bool,
        /// Its picture now, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cover: Option<AttachmentId>,
        /// Who changed it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// There is another invite; for moderators.
    #[serde(rename = "invite.created")]
    InviteCreated {
        /// Without its code.
        invite: Box<Invite>,
        /// Who made it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// An invite is good no longer; for moderators.
    #[serde(rename = "invite.revoked")]
    InviteRevoked {
        /// Which.
        invite_id: InviteId,
        /// Who ended it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// There is another stream key; for moderators.
    #[serde(rename = "stream_key.created")]
    StreamKeyCreated {
        /// Without the key itself.
        stream_key: Box<StreamKey>,
        /// Who made it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// A stream key is good no longer, and what it opened is over; for moderators.
    #[serde(rename = "stream_key.revoked")]
    StreamKeyRevoked {
        /// Which.
        stream_key_id: StreamKeyId,
        /// What it was called.
        name: String,
        /// Who ended it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// The server records from now on.
    #[serde(rename = "record.started")]
    RecordStarted {
        /// What it records into.
        #[serde(flatten)]
        recording: RecordingNow,
        /// What the room has people read who are recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consent: Option<String>,
        /// Event number.
        seq: i64,
    },
    /// It does no longer.
    #[serde(rename = "record.stopped")]
    RecordStopped {
        /// What it recorded into.
        recording_id: RecordingId,
        /// Why it stopped.
        reason: RecordEnd,
        /// Who stopped it; nobody where it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
        /// Event number.
        seq: i64,
    },
    /// Somebody's mutes changed.
    #[serde(rename = "media.updated")]
    MediaUpdated {
        /// Who.
        participant_id: ParticipantId,
        /// All of them, as they are now.
        media: MediaState,
    },
    /// Somebody publishes something else now.
    #[serde(rename = "tracks.changed")]
    TracksChanged {
        /// Who.
        participant_id: ParticipantId,
        /// All of them, as they are now.
        tracks: Vec<Track>,
    },
    /// A line of chat, stored.
    #[serde(rename = "chat.message")]
    ChatMessage {
        /// The message.
        #[serde(flatten)]
        message: ChatMessage,
        /// For the sender: the request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// A sealed line of chat, stored unread.
    #[serde(rename = "chat.message.enc")]
    ChatMessageEnc {
        /// The message.
        #[serde(flatten)]
        message: ChatMessage,
        /// For the sender: the request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// A message has another text.
    #[serde(rename = "chat.edited")]
    ChatEdited {
        /// Which.
        message_id: MessageId,
        /// The new text.
        text: String,
        /// When, milliseconds since 1970.
        edited_ms: i64,
        /// Event number.
        seq: i64,
    },
    /// A message is gone.
    #[serde(rename = "chat.deleted")]
    ChatDeleted {
        /// Which.
        message_id: MessageId,
        /// When, milliseconds since 1970.
        deleted_ms: i64,
        /// Who deleted it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Somebody feels something about a message, or no longer.
    #[serde(rename = "chat.reacted")]
    ChatReacted {
        /// Which.
        message_id: MessageId,
        /// Who.
        user_id: UserId,
        /// One emoji.
        emoji: String,
        /// Whether they feel it.
        on: bool,
        /// Event number.
        seq: i64,
    },
    /// A message stands above the chat, or no longer.
    #[serde(rename = "chat.pinned")]
    ChatPinned {
        /// Which.
        message_id: MessageId,
        /// What it says, for those who have it not; only live, and only when it was pinned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Box<ChatMessage>>,
        /// Whether.
        pinned: bool,
        /// When, milliseconds since 1970.
        at_ms: i64,
        /// Who pinned or unpinned it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Somebody's answer to a poll, in place of the one before.
    #[serde(rename = "poll.voted")]
    PollVoted {
        /// The message with the poll.
        message_id: MessageId,
        /// Who.
        user_id: UserId,
        /// Numbers of options; none took it back.
        choices: Vec<u8>,
        /// Event number.
        seq: i64,
    },
    /// A poll takes no more votes.
    #[serde(rename = "poll.closed")]
    PollClosed {
        /// The message with the poll.
        message_id: MessageId,
        /// Who closed it.
        by: By,
        /// Event number.
        seq: i64,
    },
    /// Somebody's keys for sealed words in this room.
    #[serde(rename = "keys.published")]
    KeysPublished {
        /// Whose.
        participant_id: ParticipantId,
        /// The keys; all of them.
        keys: KeyBundle,
    },
    /// A signal of another participant.
    #[serde(rename = "signal")]
    Signal {
        /// Who sent it, as the server knows.
        from: ParticipantId,
        /// What it is.
        kind: String,
        /// Anything.
        data: Value,
    },
    /// Somebody is writing, or stopped.
    #[serde(rename = "chat.typing")]
    ChatTyping {
        /// Who.
        participant_id: ParticipantId,
        /// Whether.
        is_typing: bool,
    },
    /// Somebody shows a feeling for a moment.
    #[serde(rename = "reaction")]
    Reaction {
        /// Who.
        participant_id: ParticipantId,
        /// One emoji.
        emoji: String,
    },
    /// A small message of another participant's program.
    #[serde(rename = "signal.message")]
    SignalMessage {
        /// Who sent it, as the server knows.
        from: ParticipantId,
        /// What it is about.
        topic: String,
        /// Anything.
        data: Value,
    },
    /// SDP answer to `media.publish`.
    #[serde(rename = "media.published")]
    MediaPublished {
        /// Which RTCPeerConnection.
        pc: String,
        /// The answer.
        sdp: String,
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// SDP offer of the subscribe transport.
    #[serde(rename = "media.offer")]
    MediaOffer {
        /// Which RTCPeerConnection.
        pc: String,
        /// The offer.
        sdp: String,
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// A transport of yours is over: make a new one.
    #[serde(rename = "media.closed")]
    MediaClosed {
        /// Which RTCPeerConnection.
        pc: String,
        /// In words.
        reason: String,
    },
    /// What your slots carry now: all of them.
    #[serde(rename = "slots.changed")]
    SlotsChanged {
        /// Which RTCPeerConnection.
        pc: String,
        /// In order of m-lines.
        slots: Vec<SlotBinding>,
    },
    /// Layers of one of your tracks that somebody takes: pause the others.
    #[serde(rename = "media.layers")]
    MediaLayers {
        /// Which RTCPeerConnection.
        pc: String,
        /// `a=mid` of the track's m-line.
        mid: String,
        /// `a=rid` of the layers taken; empty when nobody takes any.
        rids: Vec<String>,
        /// The highest spatial layer taken of a stream of nested ones (VP9, AV1), from 0; left out when all are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spatial: Option<u8>,
    },
    /// Who speaks now, loudest first; empty when nobody does.
    #[serde(rename = "speakers.changed")]
    SpeakersChanged {
        /// Who.
        speakers: Vec<ParticipantId>,
    },
    /// Answer to `ping`.
    #[serde(rename = "pong")]
    Pong {
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
    /// Something you asked for did not happen. The socket lives.
    #[serde(rename = "error")]
    Error {
        /// Stable code.
        code: ErrorCode,
        /// Plain words.
        reason: String,
        /// The request it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<RequestId>)]
        re: Option<Value>,
    },
}

impl ServerMessage {
    /// The same event with the number that the store gave it; what has no number stays as it is.
    pub fn numbered(mut self, number: i64) -> Self {
        match &mut self {
            Self::StateChanged { seq, .. }
            | Self::LobbyKnocked { seq, .. }
            | Self::LobbyLeft { seq, .. }
            | Self::MemberJoined { seq, .. }
            | Self::MemberLeft { seq, .. }
            | Self::HandRaised { seq, .. }
            | Self::HandLowered { seq, .. }
            | Self::RoleChanged { seq, .. }
            | Self::MediaForced { seq, .. }
            | Self::MediaVideoForced { seq, .. }
            | Self::SpeakAllowed { seq, .. }
            | Self::MemberKicked { seq, .. }
            | Self::MemberUnbanned { seq, .. }
            | Self::RecordStarted { seq, .. }
            | Self::RecordStopped { seq, .. } => *seq = number,
            Self::BreakoutOpened { seq, .. }
            | Self::BreakoutAssigned { seq, .. }
            | Self::BreakoutBroadcast { seq, .. }
            | Self::BreakoutClosing { seq, .. }
            | Self::BreakoutClosed { seq, .. }
            | Self::BreakoutHelp { seq, .. }
            | Self::RoomChanged { seq, .. }
            | Self::InviteCreated { seq, .. }
            | Self::InviteRevoked { seq, .. }
            | Self::StreamKeyCreated { seq, .. }
            | Self::StreamKeyRevoked { seq, .. } => *seq = number,
            Self::ChatEdited { seq, .. }
            | Self::ChatDeleted { seq, .. }
            | Self::ChatReacted { seq, .. }
            | Self::ChatPinned { seq, .. }
            | Self::PollVoted { seq, .. }
            | Self::PollClosed { seq, .. } => *seq = number,
            Self::ChatMessage { message, .. } | Self::ChatMessageEnc { message, .. } => {
                message.seq = number;
            }
            Self::Joined { .. }
            | Self::StateSnapshot(_)
            | Self::SyncInfo { .. }
            | Self::SyncBatch { .. }
            | Self::EventsBatch { .. }
            | Self::RosterPage { .. }
            | Self::Done { .. }
            | Self::LobbyWaiting { .. }
            | Self::MemberPresence { .. }
            | Self::BreakoutPeople { .. }
            | Self::MediaUpdated { .. }
            | Self::TracksChanged { .. }
            | Self::ChatTyping { .. }
            | Self::KeysPublished { .. }
            | Self::Signal { .. }
            | Self::Reaction { .. }
            | Self::SignalMessage { .. }
            | Self::MediaPublished { .. }
            | Self::MediaOffer { .. }
            | Self::MediaClosed { .. }
            | Self::SlotsChanged { .. }
            | Self::MediaLayers { .. }
            | Self::SpeakersChanged { .. }
            | Self::Pong { .. }
            | Self::Error { .. } => {}
        }
        self
    }
}

/// Close codes of the socket (RFC 6455 §7.4, and its private range).
pub mod close {
    macro_rules! codes {
        ($($(#[$doc:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
            $($(#[$doc])* pub const $name: u16 = $code;)*

            /// Every code with the words that go with it in the close frame.
            pub const ALL: &[(u16, &str)] = &[$(($code, $reason),)*];
        };
    }

    /// What browsers send when a page is closed or left: taken as `leave`. Never sent by the server.
    pub const GOING_AWAY: u16 = 1001;

    codes! {
        /// You left.
        DONE = 1000, "done";
        /// What came is not WebSocket.
        PROTOCOL_ERROR = 1002, "not WebSocket";
        /// The frame is not text in UTF-8.
        NOT_TEXT = 1007, "not UTF-8";
        /// The frame is too large.
        TOO_LARGE = 1009, "frame too large";
        /// The server stops. Come back with some jitter.
        RESTARTING = 1012, "the server restarts";
        /// Not now: the `error` before says why.
        TRY_LATER = 1013, "try again later";
        /// Too slow: the outbox is full. Come back and resume.
        TOO_SLOW = 4001, "too slow";
        /// Another socket took this participant over.
        REPLACED = 4002, "taken over by another socket";
        /// The room is gone.
        ROOM_CLOSED = 4003, "the room is gone";
        /// Removed by a moderator.
        KICKED = 4004, "removed from the room";
        /// Too many messages, again and again.
        FLOODING = 4005, "too many messages";
        /// Nothing was heard for 10 s, not even a pong.
        SILENT = 4006, "nothing heard";
        /// A moderator did not admit you.
        REFUSED = 4007, "not admitted";
        /// The breakout room is over, or you belong elsewhere now: back to the main room.
        SENT_BACK = 4008, "back to the main room";
        /// The session it was opened by is over: you have signed out.
        SIGNED_OUT = 4009, "signed out";
    }
}
