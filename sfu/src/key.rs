//! Keys of what the router holds. They are never sent anywhere.

slotmap::new_key_type! {
    /// A transport.
    pub struct PeerKey;
    /// A room.
    pub struct RoomKey;
}

/// Index of a track in its room, small enough for a subscriber to keep a table of all of them.
pub type TrackKey = u16;
