//! Breakout rooms: rooms for a while beside a main room, whose people are those of the main room.

use crate::id::{RoomId, UserId};
use crate::room::By;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The breakout rooms of a room while they are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Breakouts {
    /// The rooms, in an order that stays: messages name one by its place, the first is 0.
    pub rooms: Vec<Breakout>,
    /// Who belongs where.
    #[schema(value_type = BTreeMap<String, u32>)]
    pub assignments: BTreeMap<UserId, u32>,
    /// Whether everybody may go where they like; else only moderators may.
    pub self_choice: bool,
    /// Since when, milliseconds since 1970.
    pub opened_ms: i64,
    /// When everybody is sent back; open until somebody closes them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<i64>,
    /// Who opened them.
    pub by: By,
}

impl Breakouts {
    /// The place of a room among them.
    pub fn place_of(&self, room: RoomId) -> Option<u32> {
        let place = self.rooms.iter().position(|breakout| breakout.id == room)?;
        u32::try_from(place).ok()
    }

    /// Whether somebody who is no moderator may go there.
    pub fn is_open_to(&self, user: UserId, place: u32) -> bool {
        self.self_choice || self.assignments.get(&user) == Some(&place)
    }
}

/// One breakout room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Breakout {
    /// Id.
    pub id: RoomId,
    /// Part of its address, as of any room.
    pub slug: String,
    /// Name to show.
    pub name: String,
    /// Who is there now; told to those in the main room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<By>,
}

/// Breakout rooms to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewBreakouts {
    /// The rooms; messages name one by its place here, the first is 0.
    pub rooms: Vec<NewBreakout>,
    /// Who belongs where.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, u32>)]
    pub assignments: BTreeMap<UserId, u32>,
    /// Whether everybody may go where they like.
    #[serde(default, skip_serializing_if = "is_false")]
    pub self_choice: bool,
    /// For how long; until somebody closes them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u16>,
}

/// A breakout room to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewBreakout {
    /// Name to show, 1–120 characters.
    pub name: String,
}

fn is_false(flag: &bool) -> bool {
    !flag
}
