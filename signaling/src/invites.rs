//! Invites: links into a room that moderators make, and the code that every room has.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::directory::{banned, usual_role};
use crate::{Identity, Signaling};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::limits::{MAX_INVITE_SECONDS, MAX_INVITE_USES};
use protocol::rest::{CreateInviteRequest, Invite, InvitedRoom};
use protocol::room::{Role, Room};
use protocol::{ErrorCode, InviteId, Power, ServerMessage};
use store::{Added, Audience};
use uuid::Uuid;

impl Signaling {
    /// What the holder of an invite code may see.
    pub(crate) async fn invited_room(&self, code: &str) -> Result<InvitedRoom, ApiError> {
        let (room, _) = self.room_by_code(code).await?;
        let Room { id, slug, name, participants, .. } = self.room_shown(&room, None);
        Ok(InvitedRoom { id, slug, name, participants })
    }

    /// Makes the holder of an invite code a member, whatever key the room asks others for.
    pub(crate) async fn join_by_invite(
        &self,
        identity: &Identity,
        code: &str,
    ) -> Result<Room, ApiError> {
        let (room, invite) = self.room_by_code(code).await?;
        let role = match invite {
            None => self.join(identity, &room).await?,
            Some(invite) => {
                let role = invite.role.max(usual_role(identity));
                let store = &self.inner.store;
                match store.use_invite(&invite, identity.user_id, role, now_ms()).await? {
                    Some(Added::Member(role)) => role,
                    Some(Added::Banned) => return Err(banned()),
                    Some(Added::Gone) | None => return Err(no_invite()),
                }
            }
        };
        Ok(self.room_shown(&room, Some(role)))
    }

    /// Makes an invite into a room.
    pub(crate) async fn create_invite(
        &self,
        identity: &Identity,
        slug: &str,
        request: CreateInviteRequest,
    ) -> Result<Invite, ApiError> {
        let (room, role) = self.room_with_power(identity, slug, Power::Invite).await?;
        let given = request.role.unwrap_or(Role::Guest);
        if !role.outranks(given) {
            let reason = "an invite makes nobody your equal";
            return Err(ApiError::new(ErrorCode::Forbidden, reason));
        }
        if request.max_uses.is_some_and(|uses| !(1..=MAX_INVITE_USES).contains(&uses)) {
            return Err(ApiError::new(ErrorCode::Invalid, "max_uses is 1 to 100000"));
        }
        if request.expires_in.is_some_and(|after| !(1..=MAX_INVITE_SECONDS).contains(&after)) {
            return Err(ApiError::new(ErrorCode::Invalid, "expires_in is 1 second to 10 years"));
        }
        let now_ms = now_ms();
        let code = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let expires_ms = request.expires_in.map(|after| {
            now_ms.saturating_add(i64::try_from(after).unwrap_or(i64::MAX).saturating_mul(1000))
        });
        let invite = store::Invite {
            id: InviteId(Uuid::now_v7()),
            room_id: room.id,
            code_sealed: self.inner.keys.seal(room.id, &code),
            role: given,
            max_uses: request.max_uses.map(i64::from),
            uses: 0,
            expires_ms,
            created_by: identity.user_id,
            created_ms: now_ms,
        };
        let hash = self.inner.keys.invite_code_hash(&code);
        if !self.inner.store.create_invite(&invite, &hash).await? {
            let reason = "the room has as many invites as it may, revoke one first";
            return Err(ApiError::new(ErrorCode::Conflict, reason));
        }
        let shown = self.invite_shown(&invite);
        let message = ServerMessage::InviteCreated {
            invite: Box::new(Invite { code: None, ..shown.clone() }),
            by: identity.by(),
            seq: 0,
        };
        self.note(identity, room.id, Power::Invite, Audience::Moderators, message).await;
        Ok(shown)
    }

    /// The invites of a room with their codes, for those who may make some.
    pub(crate) async fn invites(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<Vec<Invite>, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Invite).await?;
        let invites = self.inner.store.invites(room.id).await?;
        Ok(invites.iter().map(|invite| self.invite_shown(invite)).collect())
    }

    /// Ends an invite.
    pub(crate) async fn revoke_invite(
        &self,
        identity: &Identity,
        slug: &str,
        id: InviteId,
    ) -> Result<(), ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::Invite).await?;
        if !self.inner.store.revoke_invite(room.id, id).await? {
            return Err(ApiError::new(ErrorCode::NotFound, "there is no such invite"));
        }
        let by = identity.by();
        let message = ServerMessage::InviteRevoked { invite_id: id, by, seq: 0 };
        self.note(identity, room.id, Power::Invite, Audience::Moderators, message).await;
        Ok(())
    }

    fn invite_shown(&self, invite: &store::Invite) -> Invite {
        Invite {
            id: invite.id,
            code: self.inner.keys.open(invite.room_id, &invite.code_sealed),
            role: invite.role,
            max_uses: invite.max_uses.map(|uses| u32::try_from(uses).unwrap_or(u32::MAX)),
            uses: u32::try_from(invite.uses).unwrap_or(u32::MAX),
            expires_ms: invite.expires_ms,
            created_by: invite.created_by,
            created_ms: invite.created_ms,
        }
    }

    /// The room that a code opens now: the room's own code, or an invite's. What is over and what never was
    /// are answered alike.
    async fn room_by_code(
        &self,
        code: &str,
    ) -> Result<(store::Room, Option<store::Invite>), ApiError> {
        if code.len() > MAX_CODE_CHARS {
            return Err(no_invite());
        }
        let store = &self.inner.store;
        let hash = self.inner.keys.invite_code_hash(code);
        if let Some(room) = store.room_by_invite(&hash).await? {
            return Ok((room, None));
        }
        let invite = store.invite_by_code(&hash).await?;
        let invite = invite.filter(|invite| invite.is_good(now_ms())).ok_or_else(no_invite)?;
        let room = store.room(invite.room_id).await?.ok_or_else(no_invite)?;
        Ok((room, Some(invite)))
    }
}

/// Codes have 22 characters; longer ones are not looked up.
const MAX_CODE_CHARS: usize = 64;

fn no_invite() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "this invite leads nowhere, ask for a new one")
}
