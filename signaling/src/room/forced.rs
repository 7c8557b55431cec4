//! What moderators stop: microphones, cameras, shared screens, everybody at once. It is kept by person, so it
//! holds whatever they publish, by whatever socket or device; the media plane drops the packets. Lifting only
//! stops dropping: it opens nothing that its owner has not opened.

use super::orders::{Asker, Complaint, Order};
use super::{Effects, Moment, Room};
use protocol::limits::MAX_SPEAK_MINUTES;
use protocol::room::{By, Forcible, MediaState, Orders, Role};
use protocol::{ErrorCode, ParticipantId, Power, ServerMessage, UserId};
use sfu::Command;
use std::collections::BTreeSet;
use store::{Audience, Change};

impl Room {
    pub(super) fn force(
        &mut self,
        at: Moment,
        asker: Asker,
        user: Option<UserId>,
        source: Forcible,
        forced: bool,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        let users: BTreeSet<UserId> = match user {
            Some(user) => BTreeSet::from([user]),
            None => {
                let views = self.people.values().map(|person| &person.view);
                let below = views.filter(|view| !view.role.is_moderator());
                below.map(|view| view.user_id).collect()
            }
        };
        if !asker.role.may(Power::ForceMedia) {
            return Err((ErrorCode::Forbidden, "only moderators may do that".to_owned()));
        }
        let mut wanted: Vec<UserId> = users.into_iter().collect();
        if user.is_none() {
            wanted.retain(|user| self.is_forced(*user, source) != forced);
        }
        if self.family.is_breakout() && !wanted.is_empty() {
            self.force_each(&asker, wanted, source, forced, out);
            return Ok(());
        }
        let Some(last) = wanted.pop() else {
            out.done(&asker.reply);
            return Ok(());
        };
        let quiet = Asker { reply: super::Reply::Nobody, ..asker.clone() };
        for user in wanted {
            self.decide(at, &quiet, force_order(&asker.by, user, source, forced), out)?;
        }
        self.decide(at, &asker, force_order(&asker.by, last, source, forced), out)
    }

    fn is_forced(&self, user: UserId, source: Forcible) -> bool {
        self.orders.get(&user).is_some_and(|orders| orders.clone().forced_by(source).is_some())
    }

    pub(super) fn forced(
        &mut self,
        user: UserId,
        source: Forcible,
        by: Option<By>,
        out: &mut Effects,
    ) {
        *self.orders.entry(user).or_default().forced_by(source) = by;
        self.refresh_media(Some(user), out);
    }

    pub(super) fn allow_to_speak(
        &mut self,
        at: Moment,
        asker: Asker,
        user: UserId,
        allowed: bool,
        minutes: Option<u16>,
        out: &mut Effects,
    ) -> Result<(), Complaint> {
        if minutes.is_some_and(|minutes| !(1..=MAX_SPEAK_MINUTES).contains(&minutes)) {
            return Err((ErrorCode::Invalid, "minutes is 1 to 1440".to_owned()));
        }
        let until_ms = minutes
            .filter(|_| allowed)
            .map(|minutes| at.wall_ms.saturating_add(i64::from(minutes) * 60_000));
        let order = Order {
            message: ServerMessage::SpeakAllowed {
                user_id: user,
                allowed,
                until_ms,
                by: asker.by.clone(),
                seq: 0,
            },
            power: Some(Power::AllowToSpeak),
            target: Some(user),
            change: Change::AllowToSpeak(allowed.then_some(until_ms.unwrap_or(i64::MAX))),
            audience: Audience::Everybody,
        };
        self.decide(at, &asker, order, out)
    }

    pub(super) fn speaking_allowed(
        &mut self,
        user: UserId,
        allowed: bool,
        until_ms: Option<i64>,
        out: &mut Effects,
    ) {
        let orders = self.orders.entry(user).or_default();
        orders.may_speak = allowed;
        orders.may_speak_until_ms = until_ms.filter(|_| allowed);
        self.refresh_media(Some(user), out);
    }

    /// Ends the right to speak where its time is over.
    pub(super) fn end_speaking(&mut self, at: Moment, out: &mut Effects) {
        let is_over =
            |orders: &Orders| orders.may_speak_until_ms.is_some_and(|until| until <= at.wall_ms);
        let over: Vec<UserId> =
            self.orders.iter().filter(|(_, o)| is_over(o)).map(|(user, _)| *user).collect();
        for user in over {
            self.speaking_allowed(user, false, None, out);
        }
    }

    /// What moderators have ordered for somebody.
    pub(super) fn orders_for(&self, user: UserId) -> Orders {
        self.orders.get(&user).cloned().unwrap_or_default()
    }

    /// Somebody's mutes: their own, and those that orders and mute-all put on them.
    pub(super) fn media_for(&self, user: UserId, role: Role, own: MediaState) -> MediaState {
        let orders = self.orders_for(user);
        let is_exempt = role.may(Power::SpeakPastMuteAll) || orders.may_speak;
        MediaState {
            mic_forced: orders.microphone.is_some() || (self.state.mute_all && !is_exempt),
            cam_forced: orders.camera.is_some(),
            screen_forced: orders.screen.is_some(),
            ..own
        }
    }

    /// Brings people's mutes in line with what is ordered now; of one person or of everybody.
    pub(super) fn refresh_media(&mut self, user: Option<UserId>, out: &mut Effects) {
        if let Some(user) = user
            && self.orders.get(&user).is_some_and(Orders::is_none)
        {
            self.orders.remove(&user);
        }
        let concerned: Vec<ParticipantId> = match user {
            Some(user) => self.people.of(user).to_vec(),
            None => self.people.keys().copied().collect(),
        };
        for id in concerned {
            let Some(person) = self.people.get(&id) else { continue };
            let view = &person.view;
            let media = self.media_for(view.user_id, view.role, view.media);
            let orders = self.orders_for(view.user_id);
            let Some(person) = self.people.get_mut(&id) else { continue };
            person.view.orders = orders;
            if media == person.view.media || person.leaving.is_some() {
                continue;
            }
            person.view.media = media;
            out.media(Command::SetMedia { room: self.id, participant: id, media });
            out.broadcast(ServerMessage::MediaUpdated { participant_id: id, media });
        }
    }
}

fn force_order(by: &By, user_id: UserId, source: Forcible, forced: bool) -> Order {
    let by = by.clone();
    let message = match source {
        Forcible::Camera => ServerMessage::MediaVideoForced { user_id, forced, by, seq: 0 },
        Forcible::Microphone | Forcible::Screen => {
            ServerMessage::MediaForced { user_id, source, forced, by, seq: 0 }
        }
    };
    Order {
        message,
        power: Some(Power::ForceMedia),
        target: Some(user_id),
        change: Change::Force { source, forced },
        audience: Audience::Everybody,
    }
}
