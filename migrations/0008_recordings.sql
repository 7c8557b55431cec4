-- What was recorded, or uploaded beside it. The files lie in the records folder under slug and id.

ALTER TABLE rooms ADD COLUMN auto_record BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rooms ADD COLUMN record_consent TEXT NOT NULL DEFAULT '';
-- owner, admins, present, link.
ALTER TABLE rooms ADD COLUMN recordings_for TEXT NOT NULL DEFAULT 'admins';
-- NULL: for ever.
ALTER TABLE rooms ADD COLUMN recordings_kept_days BIGINT;
-- NULL: what the deployment allows.
ALTER TABLE rooms ADD COLUMN recordings_quota_mb BIGINT;

CREATE TABLE recordings (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    -- server, upload.
    origin TEXT NOT NULL,
    -- recording, complete, recovered, out_of_space, failed.
    state TEXT NOT NULL,
    -- NULL where the room began it by itself.
    by_user_id TEXT,
    by_name TEXT,
    started_ms BIGINT NOT NULL,
    -- NULL while it runs.
    ended_ms BIGINT,
    end_reason TEXT,
    -- NULL until its files are finished.
    duration_ms BIGINT,
    bytes BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX recordings_by_room ON recordings (room_id, id);
CREATE INDEX recordings_by_state ON recordings (state);

CREATE TABLE recording_files (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    participant_id TEXT,
    user_id TEXT,
    display_name TEXT NOT NULL,
    source TEXT NOT NULL,
    -- With commas between.
    codecs TEXT NOT NULL,
    offset_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (recording_id, name)
);

-- Who was there while it ran.
CREATE TABLE recording_people (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    PRIMARY KEY (recording_id, user_id)
);
