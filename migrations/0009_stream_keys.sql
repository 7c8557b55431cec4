-- Keys for encoders and players, which cannot sign in. Each has an identity of its own, so that what it sends is seen, muted
-- and removed as anybody's is.

CREATE TABLE stream_keys (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Keyed digest; the key itself is shown once and kept nowhere.
    key_hash TEXT NOT NULL UNIQUE,
    -- publish, watch.
    purpose TEXT NOT NULL,
    name TEXT NOT NULL,
    -- NULL: never.
    expires_ms BIGINT,
    -- When it last opened a session; NULL before the first.
    used_ms BIGINT,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE INDEX stream_keys_by_room ON stream_keys (room_id, created_ms);
CREATE INDEX stream_keys_by_user ON stream_keys (user_id);
