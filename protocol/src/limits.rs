//! The bounds of everything that crosses the wire, in one place.

use std::time::Duration;

/// Characters of a display name. More breaks tiles, fewer cuts real names.
pub const MAX_DISPLAY_NAME_CHARS: usize = 64;
/// Characters of a room's name.
pub const MAX_ROOM_NAME_CHARS: usize = 120;
/// Characters of a room's topic.
pub const MAX_TOPIC_CHARS: usize = 500;
/// Characters of a slug: `[a-z0-9-]`, so that it is a safe folder name as well.
pub const MAX_SLUG_CHARS: usize = 64;
/// Characters of an invite key.
pub const MAX_INVITE_KEY_CHARS: usize = 128;
/// Characters of a chat message.
pub const MAX_CHAT_CHARS: usize = 4_000;
/// Characters of a client's own id of a message.
pub const MAX_CLIENT_ID_CHARS: usize = 64;
/// Characters of a sealed message, in base64.
pub const MAX_CIPHERTEXT_CHARS: usize = 32 * 1024;
/// Characters of the name of a cipher, and of the kind of a signal.
pub const MAX_ALGO_CHARS: usize = 64;
/// Characters of each key of a bundle.
pub const MAX_KEY_CHARS: usize = 4 * 1024;
/// Bytes of `data` in a `signal`: an SDP fits.
pub const MAX_SIGNAL_BYTES: usize = 32 * 1024;
/// Characters of a poll's question.
pub const MAX_QUESTION_CHARS: usize = 500;
/// Characters of an answer of a poll.
pub const MAX_OPTION_CHARS: usize = 200;
/// Answers of a poll.
pub const MAX_OPTIONS: usize = 10;
/// Feelings about one message.
pub const MAX_REACTIONS: usize = 20;
/// Feelings that one person may have about one message.
pub const MAX_REACTIONS_EACH: usize = 5;
/// Pinned messages of a room.
pub const MAX_PINNED: usize = 20;
/// Files of one message.
pub const MAX_ATTACHMENTS: usize = 10;
/// Bytes of one file.
pub const MAX_ATTACHMENT_BYTES: usize = 16 * 1024 * 1024;
/// Characters of a file's name.
pub const MAX_FILE_NAME_CHARS: usize = 200;
/// Pixels of the longer side of a picture in the chat; larger ones are made smaller.
pub const MAX_PICTURE_SIDE: u32 = 4_096;
/// Pixels of the longer side of a room's cover.
pub const MAX_COVER_SIDE: u32 = 1_600;
/// How long an upload waits for the line that shows it.
pub const UPLOAD_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Links into one room that are good at a time.
pub const MAX_INVITES: usize = 200;
/// Times one invite may be good for.
pub const MAX_INVITE_USES: u32 = 100_000;
/// Seconds an invite may be good for: ten years.
pub const MAX_INVITE_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;
/// Keys for encoders and players of one room that are good at a time.
pub const MAX_STREAM_KEYS: usize = 50;
/// Seconds a stream key may be good for: ten years.
pub const MAX_STREAM_KEY_SECONDS: u64 = 10 * 365 * 24 * 60 * 60;
/// Bytes of one WebSocket frame from a client. An SDP of 300 m-lines has about 200 kB; a real one 10 kB.
pub const MAX_FRAME_BYTES: usize = 128 * 1024;
/// Bytes of an SDP.
pub const MAX_SDP_BYTES: usize = 96 * 1024;
/// Tracks one participant may publish: microphone, camera, screen, its sound, and one spare of each kind.
pub const MAX_TRACKS: usize = 6;
/// Audio slots of a subscriber.
pub const MAX_AUDIO_SLOTS: u8 = 8;
/// Video slots of a subscriber.
pub const MAX_VIDEO_SLOTS: u8 = 25;
/// Audio slots when the client does not say.
pub const DEFAULT_AUDIO_SLOTS: u8 = 4;
/// Video slots when the client does not say: what a 3 × 3 grid shows.
pub const DEFAULT_VIDEO_SLOTS: u8 = 9;
/// Tiles in one `view.set`.
pub const MAX_VIEW_TILES: usize = 64;
/// Silenced participants in one `view.set`.
pub const MAX_VIEW_SILENCED: usize = 1_024;
/// Messages a client may send over the socket in a burst.
pub const SOCKET_BURST: u32 = 60;
/// Messages a client may send over the socket per second, lasting.
pub const SOCKET_PER_SECOND: u32 = 20;
/// Chat messages a participant may send in a burst.
pub const CHAT_BURST: u32 = 10;
/// Chat messages a participant may send per second, lasting.
pub const CHAT_PER_SECOND: u32 = 2;
/// Times a person may enter one room in a burst, coming back included: each is told to everybody.
pub const JOIN_BURST: u32 = 60;
/// Times a person may enter one room per second, lasting.
pub const JOIN_PER_SECOND: u32 = 1;
/// Changes of mutes and typing a participant may show to everybody in a burst.
pub const SIGNAL_BURST: u32 = 20;
/// Changes of mutes and typing a participant may show to everybody per second, lasting.
pub const SIGNAL_PER_SECOND: u32 = 5;
/// Reactions and messages to everybody a participant may send in a burst.
pub const REACTION_BURST: u32 = 10;
/// Reactions and messages to everybody a participant may send per second, lasting.
pub const REACTION_PER_SECOND: u32 = 5;
/// Messages to one other participant that somebody may send in a burst.
pub const MESSAGE_BURST: u32 = 40;
/// Messages to one other participant that somebody may send per second, lasting.
pub const MESSAGE_PER_SECOND: u32 = 20;
/// Bytes of a reaction; the longest emoji in use has 28.
pub const MAX_EMOJI_BYTES: usize = 32;
/// Characters of `topic` in a message between participants.
pub const MAX_MESSAGE_TOPIC_CHARS: usize = 32;
/// Bytes of `data` in a message between participants, as JSON.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024;
/// Newest chat messages in `state.snapshot`; older ones come over REST.
pub const MAX_CHAT_HISTORY: usize = 50;
/// Characters of a client's own name of an RTCPeerConnection.
pub const MAX_PC_CHARS: usize = 64;
/// Characters of a `mid`.
pub const MAX_MID_CHARS: usize = 32;
/// Characters of a request's `id`, when it is a string.
pub const MAX_REQUEST_ID_CHARS: usize = 64;
/// Negotiations of one transport that may wait for the media plane.
pub const MAX_PENDING_NEGOTIATIONS: usize = 8;
/// WHEP viewers of a room.
pub const MAX_WATCHERS: usize = 1_000;
/// Messages waiting for a slow socket. A socket behind by more is closed, never the room.
pub const OUTBOX_MESSAGES: usize = 1_024;
/// Bytes waiting for a slow socket.
pub const OUTBOX_BYTES: usize = 4 * 1024 * 1024;
/// Messages in one page of history.
pub const MAX_PAGE: u32 = 100;
/// Characters of a moderator's reason.
pub const MAX_REASON_CHARS: usize = 200;
/// Minutes that the right to speak past mute-all may be given for: a day.
pub const MAX_SPEAK_MINUTES: u16 = 24 * 60;
/// People who may wait in a lobby.
pub const MAX_LOBBY: usize = 200;
/// Breakout rooms of a room.
pub const MAX_BREAKOUTS: usize = 50;
/// Breakout rooms of a room that are kept, open and closed; the oldest go with their chats when there are more.
pub const MAX_BREAKOUTS_KEPT: usize = 200;
/// Minutes that breakout rooms may be opened for: a day.
pub const MAX_BREAKOUT_MINUTES: u16 = 24 * 60;
/// Seconds that the end of breakout rooms may be announced before.
pub const MAX_BREAKOUT_SECONDS: u16 = 600;
/// Seconds between the announcement and the end of breakout rooms, when a moderator does not say.
pub const BREAKOUT_SECONDS: u16 = 60;
/// Characters of a broadcast to all breakout rooms.
pub const MAX_BROADCAST_CHARS: usize = 1_000;
/// How long somebody who was in a breakout room passes the doors of the main room after its end.
pub const RETURN_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long somebody who was admitted once need not knock again.
pub const ADMITTED_FOR: Duration = Duration::from_secs(12 * 60 * 60);
/// Orders a moderator may give in a burst, over socket and REST together.
pub const ORDER_BURST: u32 = 60;
/// Orders a moderator may give per second, lasting.
pub const ORDER_PER_SECOND: u32 = 10;
/// Events in one page of `sync.batch`.
pub const MAX_SYNC_PAGE: u32 = 200;
/// Events of a room that are kept; older ones, but for chat, are forgotten.
pub const EVENTS_KEPT: i64 = 20_000;
/// Participants in a room when the room does not say less.
pub const MAX_PARTICIPANTS: usize = 1_000;
/// Sockets in a room from which on what everybody hears is gathered. Fewer would make small meetings wait for
/// nothing; more lets a burst of joins cost frames by the square.
pub const CROWD_FROM: usize = 50;
/// Comings, goings and changes of what people publish that a small room hears at once within a second; what comes on
/// top of it is gathered there too. Fewer delays the first pictures of a small meeting.
pub const ROSTER_BURST: usize = 2;
/// Frames of them within a second, in any room.
pub const ROSTER_PER_SECOND: usize = 4;
/// In a crowded room nobody gets gathered events more often. Longer shows; shorter costs a frame each for all. Four of
/// them take a fifth more than a second, so that frames which catch up with each other on their way are no five.
pub const CROWD_EVERY: Duration = Duration::from_millis(300);
/// Bytes of gathered events in one frame. More holds up answers on slow links; fewer makes more frames.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;
/// People in a snapshot; in larger rooms the rest follows in pages. What a window shows at once fits.
pub const SNAPSHOT_PEOPLE: usize = 64;
/// People in a page of a large room: with what happened meanwhile it fits a frame.
pub const ROSTER_PAGE: usize = 96;
/// Without socket and media for this long, a participant is `reconnecting` and holds no slots.
pub const RECONNECTING_AFTER: Duration = Duration::from_secs(10);
/// Without socket and media for this long, a participant has left.
pub const LEFT_AFTER: Duration = Duration::from_secs(25);
/// Server's ping on the socket.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// A socket that says nothing, not even `pong`, for this long is over.
pub const SOCKET_SILENT_AFTER: Duration = Duration::from_secs(10);
/// A client that takes nothing of what is written to its socket for this long is too slow.
pub const SOCKET_STUCK_AFTER: Duration = Duration::from_secs(20);
/// Connections tested at a time. More would let tests weigh on meetings.
pub const MAX_CHECKUPS: usize = 64;
/// Of one person: one for each path that is tried side by side.
pub const MAX_CHECKUPS_EACH: usize = 8;
/// How long a test of a connection may go on: one that measures for some seconds on a slow network.
pub const CHECKUP_LASTS: Duration = Duration::from_secs(30);
/// How long the media plane may take to answer an SDP.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a WHEP viewer may take from the SDP answer to the first packet.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Tickets of one user that may wait to be used; an older one ends when there is one more.
pub const MAX_TICKETS_PER_USER: usize = 8;
/// Tickets of all users that may wait to be used.
pub const MAX_TICKETS: usize = 20_000;
/// How long a ticket for the socket is good.
pub const TICKET_TTL: Duration = Duration::from_secs(30);
/// Characters of what people read who are recorded.
pub const MAX_CONSENT_CHARS: usize = 1_000;
/// Characters of a recording's title.
pub const MAX_RECORDING_TITLE_CHARS: usize = 200;
