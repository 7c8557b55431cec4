-- Breakout rooms: rooms of their own beside a main room, whose members are those of the main room.

-- The main room; NULL for all others.
ALTER TABLE rooms ADD COLUMN parent_id TEXT REFERENCES rooms (id) ON DELETE CASCADE;
-- Its slug, which never changes.
ALTER TABLE rooms ADD COLUMN parent_slug TEXT;
-- Of a main room: the breakout rooms that are open, as JSON; NULL when none are.
ALTER TABLE rooms ADD COLUMN breakouts TEXT;

CREATE INDEX rooms_by_parent ON rooms (parent_id);
