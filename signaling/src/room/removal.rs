//! Removing people: everything of theirs in this room ends at once. That they are no member any more ends
//! their tickets too, as each is checked against the store when it is used.

use super::orders::{Asker, Complaint, Order, check_reason};
use super::{Effects, Moment, Room};
use protocol::room::KnockOutcome;
use protocol::server::{LeaveReason, close};
use protocol::{ParticipantId, Power, ServerMessage, UserId};
use sfu::Command;
use store::{Audience, Change};

impl Room {
    #[expect(clippy::too_many_arguments, reason = "a message's fields, spelled out")]
    pub(super) fn remove(
        &mut self,
        at: Moment,
        asker: Asker,
        user: UserId,
        ban: bool,
        reason: Option<String>,
        ends_invite: bool,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let reason = check_reason(reason)?;
        let order = Order {
            message: ServerMessage::MemberKicked {
                user_id: user,
                display_name: self.name_of(user),
                is_banned: ban,
                reason: reason.clone(),
                by: asker.by.clone(),
                seq: 0,
            },
            power: Some(if ban { Power::Ban } else { Power::Kick }),
            target: Some(user),
            change: Change::Remove { ban, reason, ends_invite },
            audience: Audience::Everybody,
        };
        self.decide(at, &asker, order, out)
    }

    pub(super) fn unban(
        &mut self,
        at: Moment,
        asker: Asker,
        user: UserId,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let order = Order {
            message: ServerMessage::MemberUnbanned { user_id: user, by: asker.by.clone(), seq: 0 },
            power: Some(Power::Ban),
            target: Some(user),
            change: Change::Unban,
            audience: Audience::Moderators,
        };
        self.decide(at, &asker, order, out)
    }

    pub(super) fn removed(&mut self, at: Moment, user: UserId, out: &mut Effects) {
        self.orders.remove(&user);
        self.admitted.remove(&user);
        self.family.returning.remove(&user);
        let here: Vec<ParticipantId> = self.people.of(user).to_vec();
        for id in here {
            self.leave(at, id, LeaveReason::Kicked, out);
        }
        // Those whose joining is being stored are refused by the store: they are no members any more. If it
        // was stored a moment before, they leave as soon as they are here.
        for joining in self.joining.values_mut().filter(|joining| joining.view.user_id == user) {
            joining.removed = Some(LeaveReason::Kicked);
        }
        self.end_doors_of(at, user, out);
        out.media(Command::SendAway { room: self.id, user });
        let waiting = self.lobby.values().filter(|waiting| waiting.knock.user_id == user);
        for id in waiting.map(|waiting| waiting.knock.id).collect::<Vec<_>>() {
            if let Some(waiting) = self.take_waiting(id) {
                out.close(waiting.join.socket, close::KICKED);
                self.note_knock_over(at, waiting.knock, KnockOutcome::Gone, out);
            }
        }
    }
}
