-- What happened in rooms, numbered without gaps, and the chat.

CREATE TABLE events (
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- The type of the message that told it.
    kind TEXT NOT NULL,
    user_id TEXT NOT NULL,
    -- Whose presence it is about; NULL where it is about none.
    participant_id TEXT,
    -- What the columns do not say, as the message had it; chat is in messages.
    body TEXT,
    PRIMARY KEY (room_id, seq)
);

CREATE TABLE messages (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    -- As it was when they wrote.
    display_name TEXT NOT NULL,
    text TEXT NOT NULL,
    sent_ms BIGINT NOT NULL,
    -- The author's own id of it. NULLs are distinct, so messages without one never meet.
    client_id TEXT,
    UNIQUE (room_id, seq),
    UNIQUE (room_id, user_id, client_id),
    FOREIGN KEY (room_id, seq) REFERENCES events (room_id, seq) ON DELETE CASCADE
);

-- Who has joined and not left. Rows that a crash left behind become leaves when the room opens again.
CREATE TABLE presences (
    participant_id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    joined_ms BIGINT NOT NULL
);

CREATE INDEX presences_by_room ON presences (room_id);
