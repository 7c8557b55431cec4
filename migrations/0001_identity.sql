-- Identities, and the sessions in which they are signed in.
-- TEXT and BIGINT only: this file runs on SQLite and on PostgreSQL.

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    display_name TEXT NOT NULL,
    -- Folded columns hold the lower case made in Rust: SQLite's own knows only ASCII.
    display_name_folded TEXT NOT NULL,
    -- Guests have neither name to log in with, nor e-mail, nor password.
    username TEXT,
    username_folded TEXT UNIQUE,
    email TEXT,
    email_folded TEXT UNIQUE,
    password_hash TEXT,
    created_ms BIGINT NOT NULL
);

-- A row is a session that lives. Ending one deletes it, and with it every token that names it.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Digest of the only refresh token that is good now; guests have none.
    refresh_hash TEXT,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_id, created_ms);
CREATE INDEX sessions_by_end ON sessions (expires_ms);

-- Things that happen once in the life of a deployment, such as its first admin.
CREATE TABLE milestones (
    name TEXT NOT NULL PRIMARY KEY,
    reached_ms BIGINT NOT NULL
);
