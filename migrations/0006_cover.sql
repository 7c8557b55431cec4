-- A room's picture; what it holds lies on disk under this id.
ALTER TABLE rooms ADD COLUMN cover TEXT;
