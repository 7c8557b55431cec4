-- Roles at work: what a room is set to, what moderators ordered, who may not come back, who did what.

ALTER TABLE rooms ADD COLUMN is_locked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN mute_all BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN has_lobby BIGINT NOT NULL DEFAULT 0;
-- NULL: as many as any room takes.
ALTER TABLE rooms ADD COLUMN capacity BIGINT;
-- Events up to this number may be forgotten, but for chat.
ALTER TABLE rooms ADD COLUMN events_floor BIGINT NOT NULL DEFAULT 0;

-- Who stopped a source of theirs, as JSON; NULL where nobody did.
ALTER TABLE members ADD COLUMN forced_microphone TEXT;
ALTER TABLE members ADD COLUMN forced_camera TEXT;
ALTER TABLE members ADD COLUMN forced_screen TEXT;
-- Until when they may speak past mute-all; 9223372036854775807 for ever, NULL not at all.
ALTER TABLE members ADD COLUMN may_speak_until_ms BIGINT;
-- When a moderator last let them in from the lobby.
ALTER TABLE members ADD COLUMN admitted_ms BIGINT;
-- The invite they came by.
ALTER TABLE members ADD COLUMN invite_id TEXT;

-- NULL: everybody; 'moderators'; or the one person whom it is for beside the one it is by.
ALTER TABLE events ADD COLUMN audience TEXT;

CREATE TABLE bans (
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    -- Not a reference: a guest who is forgotten stays banned.
    user_id TEXT NOT NULL,
    display_name TEXT NOT NULL,
    by_user_id TEXT NOT NULL,
    by_name TEXT NOT NULL,
    reason TEXT,
    banned_ms BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

-- Who did what to whom; kept as long as the room.
CREATE TABLE audit (
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    -- The event that told it.
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    -- The type of that event.
    action TEXT NOT NULL,
    by_user_id TEXT NOT NULL,
    by_name TEXT NOT NULL,
    target_user_id TEXT,
    target_name TEXT,
    -- The event as it was told, as JSON.
    detail TEXT NOT NULL,
    PRIMARY KEY (room_id, seq)
);

-- Links into a room, found by keyed digest and shown again from a sealed copy.
CREATE TABLE invites (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    code_hash TEXT NOT NULL UNIQUE,
    code_sealed TEXT NOT NULL,
    -- What those who come by it become.
    role TEXT NOT NULL,
    -- NULL: any number.
    max_uses BIGINT,
    uses BIGINT NOT NULL,
    -- NULL: never.
    expires_ms BIGINT,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE INDEX invites_by_room ON invites (room_id, created_ms);
