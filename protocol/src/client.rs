//! What a client may say on the room's socket.

use crate::breakout::NewBreakouts;
use crate::chat::NewPoll;
use crate::id::{AttachmentId, MessageId, ParticipantId, UserId};
use crate::media::{TrackOffer, View};
use crate::room::{Forcible, KeyBundle, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A message with the id that its answer will carry in `re`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClientRequest {
    /// The client's own id of the request: a string or a number, handed back unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RequestId>)]
    pub id: Option<Value>,
    /// What is asked.
    #[serde(flatten)]
    pub message: ClientMessage,
}

/// What may stand in `id` and `re`: text of at most 64 characters, or a number. The messages hold it as the
/// JSON it came as: 7 must not come back as 7.0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// Text.
    Text(String),
    /// A number.
    Number(f64),
}

/// Everything a client may ask for. Who asks is known from the socket, never from the message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum ClientMessage {
    /// Are you there? Answered by `pong`.
    #[serde(rename = "ping")]
    Ping,
    /// I leave now; no grace.
    #[serde(rename = "leave")]
    Leave,
    /// My own mutes changed.
    #[serde(rename = "media.self")]
    MediaSelf {
        /// Microphone muted by its owner.
        mic_muted: bool,
        /// Camera off.
        cam_off: bool,
    },
    /// I ask to speak.
    #[serde(rename = "hand.raise")]
    HandRaise,
    /// A hand goes down: mine, or for moderators somebody's or everybody's.
    #[serde(rename = "hand.lower")]
    HandLower {
        /// Whose; mine when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant_id: Option<ParticipantId>,
        /// All hands.
        #[serde(default, skip_serializing_if = "is_false")]
        everybody: bool,
    },
    /// Makes somebody more or less than they are. To `owner` it gives the room away.
    #[serde(rename = "role.set")]
    RoleSet {
        /// Whose role.
        user_id: UserId,
        /// The new one.
        role: Role,
    },
    /// Stops what somebody sends, or lets them send again when they want to.
    #[serde(rename = "media.force")]
    MediaForce {
        /// Whose; of everybody here who is no moderator when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
        /// What.
        source: Forcible,
        /// Stopped, or no longer.
        forced: bool,
    },
    /// Lets somebody speak while everybody is muted, or no longer.
    #[serde(rename = "speak.allow")]
    SpeakAllow {
        /// Whom.
        user_id: UserId,
        /// Whether.
        allowed: bool,
        /// For how long; without end when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minutes: Option<u16>,
    },
    /// Changes what is named of the room's state and leaves the rest.
    #[serde(rename = "state.set")]
    StateSet(StateChange),
    /// Removes somebody; they may come back as strangers do.
    #[serde(rename = "member.kick")]
    MemberKick {
        /// Whom.
        user_id: UserId,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Removes somebody for good.
    #[serde(rename = "member.ban")]
    MemberBan {
        /// Whom.
        user_id: UserId,
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Whether the invite they came by ends too.
        #[serde(default, skip_serializing_if = "is_false")]
        invite: bool,
    },
    /// Takes a ban back.
    #[serde(rename = "member.unban")]
    MemberUnban {
        /// Whose.
        user_id: UserId,
    },
    /// Lets somebody in from the lobby, or all who wait there.
    #[serde(rename = "lobby.admit")]
    LobbyAdmit {
        /// Whom; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant_id: Option<ParticipantId>,
    },
    /// Sends somebody away from the lobby.
    #[serde(rename = "lobby.refuse")]
    LobbyRefuse {
        /// Whom.
        participant_id: ParticipantId,
    },
    /// Opens breakout rooms.
    #[serde(rename = "breakout.open")]
    BreakoutOpen(NewBreakouts),
    /// Says where people belong while breakout rooms are open; who is not named stays.
    #[serde(rename = "breakout.assign")]
    BreakoutAssign {
        /// Place of the breakout room; `null` for the main room.
        #[schema(value_type = BTreeMap<String, Option<u32>>)]
        assignments: BTreeMap<UserId, Option<u32>>,
    },
    /// Words for everybody, in the main room and in all breakout rooms.
    #[serde(rename = "breakout.broadcast")]
    BreakoutBroadcast {
        /// The words.
        text: String,
    },
    /// Sends everybody back after a while.
    #[serde(rename = "breakout.close")]
    BreakoutClose {
        /// After how long; a minute when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u16>,
    },
    /// I ask moderators to come to this breakout room.
    #[serde(rename = "breakout.help")]
    BreakoutHelp,
    /// The server shall record what is said and shown from now on.
    #[serde(rename = "record.start")]
    RecordStart,
    /// It shall stop.
    #[serde(rename = "record.stop")]
    RecordStop,
    /// What happened after that number.
    #[serde(rename = "sync.sub")]
    SyncSub {
        /// The last number I know.
        after_seq: i64,
    },
    /// A line of chat.
    #[serde(rename = "chat.message")]
    ChatMessage {
        /// The text.
        text: String,
        /// The client's own id: the same id again is the same message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<MessageId>,
        /// The one person whom it is for; everybody when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<UserId>,
        /// Files that I have uploaded into this room.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<AttachmentId>,
        /// A question to everybody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        poll: Option<NewPoll>,
    },
    /// A sealed line of chat: stored and relayed unread.
    #[serde(rename = "chat.message.enc")]
    ChatMessageEnc {
        /// How it is sealed.
        algo: String,
        /// What is sealed, in base64.
        ciphertext_b64: String,
        /// The client's own id: the same id again is the same message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
        /// The message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<MessageId>,
        /// The one person whom it is for; everybody when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<UserId>,
    },
    /// Another text for a message of mine.
    #[serde(rename = "chat.edit")]
    ChatEdit {
        /// Which.
        message_id: MessageId,
        /// The new text.
        text: String,
    },
    /// A message of mine goes, or for moderators anybody's.
    #[serde(rename = "chat.delete")]
    ChatDelete {
        /// Which.
        message_id: MessageId,
    },
    /// What I feel about a message, or no longer.
    #[serde(rename = "chat.react")]
    ChatReact {
        /// Which.
        message_id: MessageId,
        /// One emoji.
        emoji: String,
        /// Whether I feel it.
        on: bool,
    },
    /// A message stands above the chat, or no longer.
    #[serde(rename = "chat.pin")]
    ChatPin {
        /// Which.
        message_id: MessageId,
        /// Whether.
        pinned: bool,
    },
    /// My answer to a poll, in place of the one before; none takes it back.
    #[serde(rename = "poll.vote")]
    PollVote {
        /// The message with the poll.
        message_id: MessageId,
        /// Numbers of options, the first is 0.
        choices: Vec<u8>,
    },
    /// A poll of mine takes no more votes, or for moderators anybody's.
    #[serde(rename = "poll.close")]
    PollClose {
        /// The message with the poll.
        message_id: MessageId,
    },
    /// A signal to another participant, for connections beside the server.
    #[serde(rename = "signal")]
    Signal {
        /// For whom.
        to: ParticipantId,
        /// What it is: `offer`, `answer`, `ice`, or whatever both understand.
        kind: String,
        /// Anything.
        data: Value,
    },
    /// My keys for sealed words in this room, in place of those before.
    #[serde(rename = "keys.publish")]
    KeysPublish(KeyBundle),
    /// I am writing, or stopped.
    #[serde(rename = "chat.typing")]
    ChatTyping {
        /// Whether.
        is_typing: bool,
    },
    /// A feeling that everybody sees for a moment.
    #[serde(rename = "reaction")]
    Reaction {
        /// One emoji.
        emoji: String,
    },
    /// A small message between programs; never stored.
    #[serde(rename = "signal.message")]
    SignalMessage {
        /// For whom; for all others when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<ParticipantId>,
        /// What it is about.
        topic: String,
        /// Anything.
        data: Value,
    },
    /// SDP offer of the publish transport; the same `pc` negotiates again, another replaces it.
    /// Answered by `media.published`.
    #[serde(rename = "media.publish")]
    MediaPublish {
        /// The client's own name of its RTCPeerConnection.
        pc: String,
        /// The offer.
        sdp: String,
        /// What its m-lines carry; those not named are inactive.
        tracks: Vec<TrackOffer>,
    },
    /// Asks for a subscribe transport; the same `pc` asks for more slots or an ICE restart, another replaces it.
    /// Answered by `media.offer`.
    #[serde(rename = "media.subscribe")]
    MediaSubscribe {
        /// The client's own name of its RTCPeerConnection.
        pc: String,
        /// Audio slots wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_slots: Option<u8>,
        /// Video slots wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_slots: Option<u8>,
    },
    /// SDP answer to `media.offer`.
    #[serde(rename = "media.answer")]
    MediaAnswer {
        /// Which RTCPeerConnection.
        pc: String,
        /// The answer.
        sdp: String,
    },
    /// What I show and hear.
    #[serde(rename = "view.set")]
    ViewSet(View),
}

/// What shall be different about a room's state; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateChange {
    /// What the meeting is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Nobody new gets in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_locked: Option<bool>,
    /// Everybody but moderators is muted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_all: Option<bool>,
    /// Who comes waits until a moderator admits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_lobby: Option<bool>,
    /// How many may be in the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// Recording begins when somebody comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_record: Option<bool>,
    /// What people read when they are recorded; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_consent: Option<String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl ClientMessage {
    /// Every `type` there is, so that an unknown one is told from a malformed one.
    pub const TYPES: &'static [&'static str] = &[
        "ping",
        "leave",
        "media.self",
        "hand.raise",
        "hand.lower",
        "role.set",
        "media.force",
        "speak.allow",
        "state.set",
        "member.kick",
        "member.ban",
        "member.unban",
        "lobby.admit",
        "lobby.refuse",
        "breakout.open",
        "breakout.assign",
        "breakout.broadcast",
        "breakout.close",
        "breakout.help",
        "record.start",
        "record.stop",
        "sync.sub",
        "chat.message",
        "chat.message.enc",
        "chat.edit",
        "chat.delete",
        "chat.react",
        "chat.pin",
        "poll.vote",
        "poll.close",
        "signal",
        "keys.publish",
        "chat.typing",
        "reaction",
        "signal.message",
        "media.publish",
        "media.subscribe",
        "media.answer",
        "view.set",
    ];

    /// What may also be said over REST (`POST rooms/{slug}/orders`).
    pub const ORDERS: &'static [&'static str] = &[
        "hand.lower",
        "role.set",
        "media.force",
        "speak.allow",
        "state.set",
        "member.kick",
        "member.ban",
        "member.unban",
        "lobby.admit",
        "lobby.refuse",
        "record.start",
        "record.stop",
        "breakout.open",
        "breakout.assign",
        "breakout.broadcast",
        "breakout.close",
        "breakout.help",
        "chat.edit",
        "chat.delete",
        "chat.react",
        "chat.pin",
        "poll.vote",
        "poll.close",
    ];
}
