-- Chat beyond lines: replies, edits, reactions, pins, private lines, polls, sealed lines, attachments.

ALTER TABLE messages ADD COLUMN reply_to TEXT;
-- The one person whom it is for; NULL: everybody.
ALTER TABLE messages ADD COLUMN to_user_id TEXT;
ALTER TABLE messages ADD COLUMN edited_ms BIGINT;
ALTER TABLE messages ADD COLUMN deleted_ms BIGINT;
ALTER TABLE messages ADD COLUMN pinned_ms BIGINT;
-- How a sealed line is sealed, and the seal; the server cannot read it.
ALTER TABLE messages ADD COLUMN algo TEXT;
ALTER TABLE messages ADD COLUMN ciphertext TEXT;
-- Question and options, as JSON.
ALTER TABLE messages ADD COLUMN poll TEXT;
ALTER TABLE messages ADD COLUMN poll_closed_ms BIGINT;

CREATE TABLE reactions (
    message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    emoji TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (message_id, user_id, emoji)
);

CREATE TABLE votes (
    message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    -- Numbers of options, as JSON.
    choices TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    PRIMARY KEY (message_id, user_id)
);

-- Files of the chat. What they hold lies on disk under the id.
CREATE TABLE attachments (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    -- NULL until a line of chat shows it.
    message_id TEXT,
    name TEXT NOT NULL,
    mime TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    -- Of pictures.
    width BIGINT,
    height BIGINT,
    created_ms BIGINT NOT NULL
);

CREATE INDEX attachments_by_room ON attachments (room_id);
CREATE INDEX attachments_by_user ON attachments (user_id);
CREATE INDEX attachments_by_message ON attachments (message_id);

-- The message that an event changes, so that its words can be taken out of the log when it is deleted.
ALTER TABLE events ADD COLUMN message_id TEXT;
CREATE INDEX events_by_message ON events (message_id);
