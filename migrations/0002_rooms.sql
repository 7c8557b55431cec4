-- Rooms and who belongs to them.

-- Every slug ever taken. Rows outlive their room, so that an old link never opens a stranger's room.
CREATE TABLE slugs (
    slug TEXT NOT NULL PRIMARY KEY,
    taken_ms BIGINT NOT NULL
);

CREATE TABLE rooms (
    id TEXT NOT NULL PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE REFERENCES slugs (slug),
    name TEXT NOT NULL,
    topic TEXT NOT NULL,
    owner_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Keyed digest of the word people must know, if there is one.
    invite_key_hash TEXT,
    -- The invite code is found by a keyed digest and shown again from a sealed copy.
    invite_code_hash TEXT NOT NULL UNIQUE,
    invite_code_sealed TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE INDEX rooms_by_owner ON rooms (owner_id);

CREATE TABLE members (
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    joined_ms BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

CREATE INDEX members_by_user ON members (user_id);
