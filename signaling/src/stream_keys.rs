//! Stream keys: what encoders and players show at WHIP and WHEP in place of a token.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::directory::no_room;
use crate::identity::unauthorized;
use crate::{Identity, Signaling, names};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::limits::MAX_STREAM_KEY_SECONDS;
use protocol::rest::{CreateStreamKeyRequest, StreamKey, StreamKeyPurpose};
use protocol::{ErrorCode, Power, ServerMessage, StreamKeyId, UserId};
use store::Audience;
use uuid::Uuid;

/// What every key begins with: no access token does, and people who find one know what it is.
const PREFIX: &str = "vsk_";
/// Characters of a key, the prefix included; longer ones are not looked up.
const MAX_CHARS: usize = 64;

/// Whether a bearer token is a stream key, good or not.
pub(crate) fn is_stream_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

impl Signaling {
    /// Makes a key for a room; it is in this answer and nowhere else.
    pub(crate) async fn create_stream_key(
        &self,
        identity: &Identity,
        slug: &str,
        request: CreateStreamKeyRequest,
    ) -> Result<StreamKey, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::StreamKeys).await?;
        let name = names::display_name(&request.name)?;
        if request.expires_in.is_some_and(|after| !(1..=MAX_STREAM_KEY_SECONDS).contains(&after)) {
            return Err(ApiError::new(ErrorCode::Invalid, "expires_in is 1 second to 10 years"));
        }
        let now_ms = now_ms();
        let expires_ms = request.expires_in.map(|after| {
            now_ms.saturating_add(i64::try_from(after).unwrap_or(i64::MAX).saturating_mul(1000))
        });
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>()));
        let new = store::StreamKey {
            id: StreamKeyId(Uuid::now_v7()),
            room_id: room.id,
            user_id: UserId(Uuid::now_v7()),
            purpose: request.purpose,
            name,
            expires_ms,
            used_ms: None,
            created_by: identity.user_id,
            created_ms: now_ms,
        };
        let hash = self.inner.keys.stream_key_hash(&key);
        if !self.inner.store.create_stream_key(&new, &hash).await? {
            let reason = "the room has as many stream keys as it may, revoke one first";
            return Err(ApiError::new(ErrorCode::Conflict, reason));
        }
        let message = ServerMessage::StreamKeyCreated {
            stream_key: Box::new(shown(&new)),
            by: identity.by(),
            seq: 0,
        };
        self.note(identity, room.id, Power::StreamKeys, Audience::Moderators, message).await;
        Ok(StreamKey { key: Some(key), ..shown(&new) })
    }

    /// The keys of a room without themselves, for those who may make some.
    pub(crate) async fn stream_keys(
        &self,
        identity: &Identity,
        slug: &str,
    ) -> Result<Vec<StreamKey>, ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::StreamKeys).await?;
        let keys = self.inner.store.stream_keys(room.id).await?;
        Ok(keys.iter().map(shown).collect())
    }

    /// Ends a key, and what it opened.
    pub(crate) async fn revoke_stream_key(
        &self,
        identity: &Identity,
        slug: &str,
        id: StreamKeyId,
    ) -> Result<(), ApiError> {
        let (room, _) = self.room_with_power(identity, slug, Power::StreamKeys).await?;
        let Some(key) = self.inner.store.revoke_stream_key(room.id, id).await? else {
            return Err(ApiError::new(ErrorCode::NotFound, "there is no such stream key"));
        };
        self.inner.hub.key_revoked(room.id, key.user_id).await;
        let message = ServerMessage::StreamKeyRevoked {
            stream_key_id: id,
            name: key.name,
            by: identity.by(),
            seq: 0,
        };
        self.note(identity, room.id, Power::StreamKeys, Audience::Moderators, message).await;
        Ok(())
    }

    /// The key that somebody shows, if it opens that room for that purpose now.
    pub(crate) async fn stream_key(
        &self,
        shown: &str,
        slug: &str,
        purpose: StreamKeyPurpose,
    ) -> Result<(store::Room, store::StreamKey), ApiError> {
        if shown.len() > MAX_CHARS {
            return Err(unauthorized());
        }
        let now_ms = now_ms();
        let hash = self.inner.keys.stream_key_hash(shown);
        let key = self.inner.store.stream_key_by_hash(&hash).await?;
        let key = key.filter(|key| key.is_good(now_ms)).ok_or_else(unauthorized)?;
        names::slug(slug).map_err(|_| no_room())?;
        let room = self.inner.store.room_by_slug(slug).await?.ok_or_else(no_room)?;
        if room.id != key.room_id {
            return Err(ApiError::new(ErrorCode::Forbidden, "that stream key is for another room"));
        }
        if key.purpose != purpose {
            let reason = match key.purpose {
                StreamKeyPurpose::Publish => "that stream key publishes and does not watch",
                StreamKeyPurpose::Watch => "that stream key watches and does not publish",
            };
            return Err(ApiError::new(ErrorCode::Forbidden, reason));
        }
        Ok((room, key))
    }
}

fn shown(key: &store::StreamKey) -> StreamKey {
    StreamKey {
        id: key.id,
        key: None,
        name: key.name.clone(),
        purpose: key.purpose,
        user_id: key.user_id,
        expires_ms: key.expires_ms,
        used_ms: key.used_ms,
        created_by: key.created_by,
        created_ms: key.created_ms,
    }
}
