//! Roles while people are here: a new one counts at once for everything that is asked afterwards.

use super::orders::{Asker, Complaint, Order};
use super::{Effects, Moment, Room};
use protocol::room::Role;
use protocol::{ErrorCode, Power, ServerMessage, UserId};
use store::{Audience, Change};

impl Room {
    pub(super) fn set_role(
        &mut self,
        at: Moment,
        asker: Asker,
        user: UserId,
        role: Role,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        if user == asker.by.user_id {
            let reason = "your own role is for others to set; an owner gives the room away";
            return Err((ErrorCode::Forbidden, reason.to_owned()));
        }
        let is_transfer = role == Role::Owner;
        let order = Order {
            message: ServerMessage::RoleChanged {
                user_id: user,
                role,
                stepped_down: is_transfer.then_some(asker.by.user_id),
                by: asker.by.clone(),
                seq: 0,
            },
            power: Some(if is_transfer { Power::Transfer } else { Power::SetRole }),
            target: Some(user),
            change: if is_transfer { Change::Transfer } else { Change::SetRole(role) },
            audience: Audience::Everybody,
        };
        self.decide(at, &asker, order, out)
    }

    pub(super) fn role_changed(
        &mut self,
        at: Moment,
        user: UserId,
        role: Role,
        stepped_down: Option<UserId>,
        out: &mut Effects,
    ) {
        // The snapshot that a new moderator gets must not show two owners: the old one steps down first.
        if let Some(before) = stepped_down {
            self.give_role(at, before, Role::Admin, out);
        }
        self.give_role(at, user, role, out);
    }

    fn give_role(&mut self, at: Moment, user: UserId, role: Role, out: &mut Effects) {
        let mut resnapshot = Vec::new();
        for id in self.people.of(user).to_vec() {
            let Some(person) = self.people.get_mut(&id) else { continue };
            let was_moderator = person.view.role.is_moderator();
            person.view.role = role;
            if was_moderator != role.is_moderator() {
                resnapshot.push(person.view.id);
            }
        }
        // Mute-all is for those who are no moderators.
        self.refresh_media(Some(user), out);
        for id in resnapshot {
            // They see more now, or less: the lobby, for one.
            self.show_again(id, out);
        }
        let waits = |waiting: &super::lobby::Waiting| waiting.knock.user_id == user;
        if role.may(Power::PassDoors)
            && let Some(id) = self.lobby.values().find(|w| waits(w)).map(|w| w.knock.id)
        {
            self.knock_ended(at, id, protocol::room::KnockOutcome::Admitted, out);
        }
    }
}
