//! Numbers that wrap around.
