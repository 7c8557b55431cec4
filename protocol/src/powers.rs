//! Who may do what in a room: the one table, which `PROTOCOL.md` shows and a test keeps equal.

use crate::room::Role;

macro_rules! powers {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $least:ident, $words:literal;)*) => {
        /// Something that not everybody in a room may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Power {
            $($(#[$doc])* $name,)*
        }

        impl Power {
            /// Every power.
            pub const ALL: &'static [Power] = &[$(Power::$name,)*];

            /// Its name in the table.
            pub fn as_str(self) -> &'static str {
                match self { $(Power::$name => $text,)* }
            }

            /// What it allows, in words.
            pub fn words(self) -> &'static str {
                match self { $(Power::$name => $words,)* }
            }

            /// The least role that has it; those above have it too.
            pub fn least(self) -> Role {
                match self { $(Power::$name => Role::$least,)* }
            }
        }
    };
}

powers! {
    /// Being there.
    TakePart = "take_part", Guest, "see, hear, speak, write, react, raise a hand, vote";
    /// `hand.lower` of others.
    LowerHands = "lower_hands", Admin, "lower others' hands";
    /// `media.force`.
    ForceMedia = "force_media", Admin, "force-mute, force-video-off, stop a screen share";
    /// `speak.allow`.
    AllowToSpeak = "allow_to_speak", Admin, "let somebody speak past mute-all";
    /// Being exempt from `mute_all`.
    SpeakPastMuteAll = "speak_past_mute_all", Admin, "speak while everybody is muted";
    /// `member.kick`.
    Kick = "kick", Admin, "remove people";
    /// `member.ban`, `member.unban`, the list of bans.
    Ban = "ban", Admin, "ban, unban, see who is banned";
    /// `state.set`.
    SetState = "set_state", Admin, "set topic, lock, mute-all, lobby, capacity";
    /// `lobby.admit`, `lobby.refuse`.
    Admit = "admit", Admin, "see the lobby, admit and refuse";
    /// Not being stopped by lobby and lock.
    PassDoors = "pass_doors", Admin, "enter past lock and lobby";
    /// `record.start`, `record.stop`, and what is done with what was recorded.
    Record = "record", Admin, "record; rename, export and delete recordings that one may see";
    /// Making, listing and revoking invites.
    Invite = "invite", Admin, "make, list and revoke invites";
    /// Making, listing and revoking stream keys.
    StreamKeys = "stream_keys", Admin, "make, list and revoke stream keys";
    /// Deleting what others wrote.
    DeleteMessages = "delete_messages", Admin, "delete anybody's messages";
    /// Pinning and unpinning.
    Pin = "pin", Admin, "pin messages";
    /// Breakout rooms.
    BreakOut = "break_out", Admin, "open, assign and close breakout rooms, enter any of them";
    /// `GET rooms/{slug}/stats`.
    SeeStats = "see_stats", Admin, "see how the media does";
    /// `GET rooms/{slug}/audit`.
    SeeAudit = "see_audit", Admin, "read the audit log";
    /// `role.set`, below one's own role.
    SetRole = "set_role", Admin, "promote and demote below one's own role";
    /// Entering a full room.
    EnterFull = "enter_full", Owner, "enter a full room";
    /// `role.set` to owner.
    Transfer = "transfer", Owner, "give the room to somebody else";
    /// `PATCH rooms/{slug}`.
    Update = "update", Owner, "rename the room, change its invite key and its cover";
    /// `DELETE rooms/{slug}`.
    Delete = "delete", Owner, "delete the room";
}

impl Role {
    /// Every role, the least first.
    pub const ALL: &'static [Role] = &[Role::Guest, Role::Member, Role::Admin, Role::Owner];

    /// Whether this role has that power.
    pub fn may(self, power: Power) -> bool {
        self >= power.least()
    }

    /// Whether this role moderates: sees the lobby and what else is for moderators.
    pub fn is_moderator(self) -> bool {
        self.may(Power::Admit)
    }

    /// Whether orders of this role count for somebody of that one: they stand above them.
    pub fn outranks(self, other: Role) -> bool {
        self > other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_shows_the_same_table() {
        let text = include_str!("../../PROTOCOL.md");
        let (_, section) = text.split_once("\n### Powers\n").expect("a section on powers");
        let section = section.split("\n#").next().unwrap_or(section);
        let shown: Vec<&str> =
            section.lines().filter(|line| line.starts_with("| `")).map(str::trim).collect();
        let table: Vec<String> = Power::ALL
            .iter()
            .map(|power| {
                let cells: Vec<&str> = Role::ALL
                    .iter()
                    .map(|role| if role.may(*power) { "yes" } else { "–" })
                    .collect();
                format!("| `{}`: {} | {} |", power.as_str(), power.words(), cells.join(" | "))
            })
            .collect();
        assert_eq!(shown, table, "write:\n{}", table.join("\n"));
    }

    #[test]
    fn nobody_outranks_themselves_or_their_equals() {
        for (n, role) in Role::ALL.iter().enumerate() {
            for (m, other) in Role::ALL.iter().enumerate() {
                assert_eq!(role.outranks(*other), n > m);
            }
        }
    }
}
