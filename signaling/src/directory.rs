//! The rooms of a deployment: who may make, see, change and delete them, and who belongs to them.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::room::Noted;
use crate::{Identity, Inner, Signaling, names};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::client::StateChange;
use protocol::rest::{
    AccountRole, AuditPage, CreateRoomRequest, EventList, MessagePage, UpdateRoomRequest,
};
use protocol::room::{Ban, Member, Participant, Role, Room};
use protocol::stats::RoomStats;
use protocol::{ClientMessage, ErrorCode, MessageId, Power, RoomId, ServerMessage, UserId};
use store::{Added, Audience, EventPage, NewRoom, Parent, RoomChange, RoomCreated};
use uuid::Uuid;

impl Signaling {
    /// Makes a room that `identity` owns.
    pub(crate) async fn create_room(
        &self,
        identity: &Identity,
        request: &CreateRoomRequest,
    ) -> Result<Room, ApiError> {
        let is_guest = identity.role == AccountRole::Guest;
        if is_guest && !self.inner.settings.guests_may_create_rooms {
            return Err(ApiError::new(
                ErrorCode::Forbidden,
                "guests do not create rooms here, sign in with an account",
            ));
        }
        let name = names::room_name(&request.name)?;
        let key = names::invite_key(request.invite_key.as_deref().unwrap_or_default())?;
        let wanted = request.slug.as_deref().filter(|slug| !slug.is_empty());
        let wanted = wanted.map(names::slug).transpose()?;
        let id = RoomId(Uuid::now_v7());
        let keys = &self.inner.keys;
        let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let mut new = NewRoom {
            id,
            slug: wanted.clone().unwrap_or_else(chance_slug),
            name,
            owner_id: identity.user_id,
            invite_key_hash: key.map(|key| keys.invite_key_hash(id, &key)),
            invite_code_hash: keys.invite_code_hash(&code),
            invite_code_sealed: keys.seal(id, &code),
        };
        for _ in 0..CHANCE_SLUG_ATTEMPTS {
            match self.inner.store.create_room(&new, now_ms()).await? {
                RoomCreated::Yes(room) => return Ok(self.room_shown(&room, Some(Role::Owner))),
                RoomCreated::TooMany => {
                    return Err(ApiError::new(
                        ErrorCode::Conflict,
                        "you own as many rooms as one may, delete one first",
                    ));
                }
                RoomCreated::SlugTaken if wanted.is_some() => {
                    return Err(ApiError::new(ErrorCode::Taken, "a room has or had that slug"));
                }
                RoomCreated::SlugTaken => new.slug = chance_slug(),
            }
        }
        Err(ApiError::new(ErrorCode::Unavailable, "no free slug was found, try again"))
    }

    /// The rooms somebody is a member of, newest first.
    pub(crate) async fn rooms_of(&self, identity: &Identity) -> Result<Vec<Room>, ApiError> {
        let rooms = self.inner.store.rooms_of(identity.user_id).await?;
        Ok(rooms.iter().map(|(room, role)| self.room_shown(room, Some(*role))).collect())
    }

    /// A room as somebody may see it. Who knows the slug may know the name.
    pub(crate) async fn room_for(&self, identity: &Identity, slug: &str) -> Result<Room, ApiError> {
        let (room, role) = self.room_and_role(identity, slug).await?;
        Ok(self.room_shown(&room, role))
    }

    /// Changes a room; its owner may.
    pub(crate) async fn update_room(
        &self,
        identity: &Identity,
        slug: &str,
        request: &UpdateRoomRequest,
    ) -> Result<Room, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Update).await?;
        let key = request.invite_key.as_deref().map(names::invite_key).transpose()?;
        let topic = request.topic.as_deref().map(names::topic).transpose()?;
        let change = RoomChange {
            name: request.name.as_deref().map(names::room_name).transpose()?,
            invite_key_hash: key
                .map(|key| key.map(|key| self.inner.keys.invite_key_hash(room.id, &key))),
        };
        if topic.is_some() {
            let change = StateChange { topic, ..StateChange::default() };
            let order = ClientMessage::StateSet(change);
            self.inner.hub.order(room.id, identity.by(), Role::Owner, order).await?;
        }
        let is_other = change.name.is_some() || change.invite_key_hash.is_some();
        let room = self.inner.store.update_room(room.id, change).await?.ok_or_else(no_room)?;
        if is_other {
            self.note_room_changed(identity, &room).await;
        }
        Ok(self.room_shown(&room, Some(Role::Owner)))
    }

    /// Tells those inside how the room is now, and who changed it.
    pub(crate) async fn note_room_changed(&self, identity: &Identity, room: &store::Room) {
        let message = ServerMessage::RoomChanged {
            name: room.name.clone(),
            has_invite_key: room.invite_key_hash.is_some(),
            cover: room.cover,
            by: identity.by(),
            seq: 0,
        };
        self.note(identity, room.id, Power::Update, Audience::Everybody, message).await;
    }

    /// Makes a change that has happened an event of its room and an entry of its audit log. The change stands
    /// whether that works or not.
    pub(crate) async fn note(
        &self,
        identity: &Identity,
        room: RoomId,
        power: Power,
        audience: Audience,
        message: ServerMessage,
    ) {
        let note = Noted { by: identity.by(), power: Some(power), audience, message };
        if let Err(error) = self.inner.hub.note(room, note).await {
            tracing::error!(code = ?error.code(), %room, "a change of a room could not be noted");
        }
    }

    /// Deletes a room with everything in it; its owner may.
    pub(crate) async fn delete_room(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<(), ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Delete).await?;
        let breakouts = self.inner.store.breakouts(room.id).await?;
        let slugs = self.inner.store.recorded_slugs(room.id).await?;
        if !self.inner.store.delete_room(room.id).await? {
            return Err(no_room());
        }
        // After the store: whoever comes in between finds no room, and nothing new is stored.
        self.inner.hub.close_room(room.id).await;
        self.delete_records(&slugs).await;
        for breakout in breakouts.into_iter().flat_map(|breakouts| breakouts.rooms) {
            self.inner.hub.close_room(breakout.id).await;
        }
        Ok(())
    }

    /// Who is in a room now: for members, and for everybody where no key is asked for.
    pub(crate) async fn participants(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<Vec<Participant>, ApiError> {
        let (room, role) = self.room_and_role(identity, slug).await?;
        if role.is_none() && room.invite_key_hash.is_some() {
            let reason = "only members see who is in this room, join first";
            return Err(ApiError::new(ErrorCode::Forbidden, reason));
        }
        Ok(self.inner.hub.participants(room.id).await)
    }

    /// How a room's media does, for those who look after it.
    pub(crate) async fn room_stats(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<RoomStats, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::SeeStats).await?;
        self.inner.hub.stats(room.id).await
    }

    /// Gives an order in a room, as a moderator does on its socket.
    pub(crate) async fn order(
        &self,
        identity: &Identity,
        slug: &str,
        message: ClientMessage,
    ) -> Result<(), ApiError> {
        let (room, role) = self.room_of_member(identity, slug).await?;
        self.inner.hub.order(room.id, identity.by(), role, message).await
    }

    /// Who belongs to a room, for its members.
    pub(crate) async fn members(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<Vec<Member>, ApiError> {
        let (room, _) = self.room_of_member(identity, slug).await?;
        Ok(self.inner.store.members(room.id).await?)
    }

    /// Who may not enter a room.
    pub(crate) async fn bans(&self, identity: &Identity, slug: &str) -> Result<Vec<Ban>, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Ban).await?;
        Ok(self.inner.store.bans(room.id).await?)
    }

    /// Who did what in a room.
    pub(crate) async fn audit(
        &self,
        identity: &Identity,
        slug: &str,
        before_seq: Option<i64>,
        limit: u32,
    ) -> Result<AuditPage, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::SeeAudit).await?;
        Ok(self.inner.store.audit(room.id, before_seq, limit).await?)
    }

    /// What happened in a room after a number and is for this member.
    pub(crate) async fn events(
        &self,
        identity: &Identity,
        slug: &str,
        after_seq: i64,
        limit: u32,
    ) -> Result<EventList, ApiError> {
        let (room, role) = self.room_of_member(identity, slug).await?;
        let is_moderator = role.is_moderator();
        let Inner { store, hub, .. } = &*self.inner;
        match store.events_after(room.id, after_seq, limit, identity.user_id, is_moderator).await? {
            EventPage::Events { events, upto_seq, has_more } => {
                Ok(EventList { events, upto_seq, has_more, snapshot: None })
            }
            EventPage::Forgotten => {
                let (snapshot, next_seq) =
                    hub.snapshot(room.id, identity.user_id, is_moderator).await?;
                Ok(EventList {
                    events: Vec::new(),
                    upto_seq: next_seq - 1,
                    has_more: false,
                    snapshot: Some(Box::new(snapshot)),
                })
            }
        }
    }

    /// Lets somebody in who has the room's address: a member, or whoever knows the invite key where the room
    /// asks for one. They are a member from now on.
    pub(crate) async fn enter(
        &self,
        identity: &Identity,
        slug: &str,
        invite_key: Option<&str>,
    ) -> Result<(store::Room, Role), ApiError> {
        let (room, role) = self.room_and_role(identity, slug).await?;
        if let Some(role) = role {
            self.check_open(&room).await?;
            return Ok((room, role));
        }
        if let Some(stored) = &room.invite_key_hash {
            let shown = invite_key.unwrap_or_default();
            if !self.inner.keys.is_invite_key(room.id, shown, stored) {
                return Err(ApiError::new(
                    ErrorCode::WrongInviteKey,
                    "this room asks for its invite key",
                ));
            }
        }
        let role = self.join(identity, &room).await?;
        Ok((room, role))
    }

    /// A page of a room's chat, for its members: history stays when people have gone.
    pub(crate) async fn messages(
        &self,
        identity: &Identity,
        slug: &str,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<MessagePage, ApiError> {
        let (room, _) = self.room_of_member(identity, slug).await?;
        let page = self.inner.store.messages(room.id, identity.user_id, before, limit).await?;
        page.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "there is no such message here"))
    }

    /// The room with this slug and somebody's role in it.
    pub(crate) async fn room_and_role(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<(store::Room, Option<Role>), ApiError> {
        // What cannot be a slug is not looked up: PostgreSQL takes no text with a NUL in it, for one.
        names::slug(slug).map_err(|_| no_room())?;
        let room = self.inner.store.room_by_slug(slug).await?.ok_or_else(no_room)?;
        let role = self.inner.store.role_of(room.id, identity.user_id).await?;
        if let Some(parent) = &room.parent {
            let role = self.role_in_breakout(&room, parent, role, identity.user_id).await?;
            return Ok((room, Some(role)));
        }
        if role.is_none() && self.inner.store.is_banned(room.id, identity.user_id).await? {
            return Err(banned());
        }
        Ok((room, role))
    }

    /// The room with this slug, for its members.
    pub(crate) async fn room_of_member(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<(store::Room, Role), ApiError> {
        let (room, role) = self.room_and_role(identity, slug).await?;
        let role = role.ok_or_else(|| {
            ApiError::new(ErrorCode::Forbidden, "that is for the room's members, join first")
        })?;
        Ok((room, role))
    }

    /// The room with this slug, for members who have that power in it.
    pub(crate) async fn room_with_power(
        &self,
        identity: &Identity,
        slug: &str,
        power: Power,
    ) -> Result<(store::Room, Role), ApiError> {
        let (room, role) = self.room_of_member(identity, slug).await?;
        if !role.may(power) {
            let reason = "your role in this room does not allow that";
            return Err(ApiError::new(ErrorCode::Forbidden, reason));
        }
        if room.parent.is_some() && power != Power::SeeStats {
            let reason = "a breakout room has none of its own, ask the main room";
            return Err(ApiError::new(ErrorCode::NotFound, reason));
        }
        Ok((room, role))
    }

    /// Somebody's role in a breakout room, if they may go there or look after it. To everybody else it is no
    /// room at all.
    async fn role_in_breakout(
        &self,
        room: &store::Room,
        parent: &Parent,
        role: Option<Role>,
        user: UserId,
    ) -> Result<Role, ApiError> {
        let role = role.ok_or_else(no_room)?;
        if role.may(Power::BreakOut) {
            return Ok(role);
        }
        let open = self.inner.store.breakouts(parent.id).await?;
        let is_theirs = open.is_some_and(|open| {
            open.place_of(room.id).is_some_and(|place| open.is_open_to(user, place))
        });
        if is_theirs { Ok(role) } else { Err(no_room()) }
    }

    /// Nobody enters a breakout room that is closed.
    async fn check_open(&self, room: &store::Room) -> Result<(), ApiError> {
        let Some(parent) = &room.parent else { return Ok(()) };
        let open = self.inner.store.breakouts(parent.id).await?;
        match open.is_some_and(|open| open.place_of(room.id).is_some()) {
            true => Ok(()),
            false => Err(ApiError::new(ErrorCode::NotFound, "that breakout room is closed")),
        }
    }

    /// A stored room as clients see it. Only members see the code that lets others in.
    pub(crate) fn room_shown(&self, room: &store::Room, role: Option<Role>) -> Room {
        Room {
            id: room.id,
            slug: room.slug.clone(),
            name: room.name.clone(),
            parent: room.parent.as_ref().map(|parent| parent.slug.clone()),
            has_invite_key: room.invite_key_hash.is_some(),
            invite_code: role.and_then(|_| self.inner.keys.open(room.id, &room.invite_code_sealed)),
            cover_id: room.cover,
            owner_id: room.owner_id,
            role,
            participants: self.inner.hub.count(room.id),
            created_ms: room.created_ms,
        }
    }

    pub(crate) async fn join(
        &self,
        identity: &Identity,
        room: &store::Room,
    ) -> Result<Role, ApiError> {
        let role = usual_role(identity);
        match self.inner.store.add_member(room.id, identity.user_id, role, now_ms()).await? {
            Added::Member(role) => Ok(role),
            Added::Banned => Err(banned()),
            Added::Gone => Err(no_room()),
        }
    }
}

/// With 59 bits of chance even the second is for show.
const CHANCE_SLUG_ATTEMPTS: usize = 4;

/// A slug that can be read aloud and not guessed: the link of an open room is its key.
fn chance_slug() -> String {
    const LETTERS: &[u8; 31] = b"abcdefghijkmnpqrstuvwxyz2345678";
    let mut slug = String::with_capacity(14);
    for place in 0..12 {
        if place == 4 || place == 8 {
            slug.push('-');
        }
        let letter = rand::random_range(0..LETTERS.len());
        slug.push(char::from(LETTERS[letter]));
    }
    slug
}

/// What somebody becomes who comes without an invite of their own.
pub(crate) fn usual_role(identity: &Identity) -> Role {
    match identity.role {
        AccountRole::Guest => Role::Guest,
        AccountRole::Admin | AccountRole::User => Role::Member,
    }
}

pub(crate) fn banned() -> ApiError {
    ApiError::new(ErrorCode::Banned, "you may not enter this room any more")
}

pub(crate) fn no_room() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such room")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_of_chance_keeps_the_rules_and_is_never_twice_the_same() {
        let first = chance_slug();
        assert_eq!(names::slug(&first).expect("valid"), first);
        assert_ne!(first, chance_slug());
    }
}
