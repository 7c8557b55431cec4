//! Breakout rooms of a main room.

use super::Room;
use super::orders::{Asker, Complaint};
use protocol::breakout::NewBreakouts;
use protocol::limits::MAX_BREAKOUTS;
use protocol::{ErrorCode, Power};

impl Room {
    pub(super) fn open_breakouts(&self, asker: &Asker, new: NewBreakouts) -> Result<(), Complaint> {
        may_break_out(asker)?;
        if !(1..=MAX_BREAKOUTS).contains(&new.rooms.len()) {
            return Err((ErrorCode::Invalid, format!("rooms are 1 to {MAX_BREAKOUTS}")));
        }
        Err((ErrorCode::Unavailable, "breakout rooms are not served yet".to_owned()))
    }

    pub(super) fn change_breakouts(&self, asker: &Asker) -> Result<(), Complaint> {
        may_break_out(asker)?;
        Err((ErrorCode::Conflict, "no breakout rooms are open".to_owned()))
    }
}

fn may_break_out(asker: &Asker) -> Result<(), Complaint> {
    match asker.role.may(Power::BreakOut) {
        true => Ok(()),
        false => Err((ErrorCode::Forbidden, "only moderators may do that".to_owned())),
    }
}
