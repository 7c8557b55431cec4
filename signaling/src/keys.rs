//! Keys drawn from the server's secret, one per purpose: digests that only this server can make, and sealing.

use crate::settings::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::RoomId;
use uuid::Uuid;

/// The derived keys. Another server secret makes every digest unfindable and every seal unreadable.
pub(crate) struct Keys {
    invite_code: hmac::Key,
    invite_key: hmac::Key,
    refresh: hmac::Key,
    seal: RandomizedNonceKey,
}

impl Keys {
    pub(crate) fn new(secret: &Secret) -> Self {
        let server = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let derived = |purpose: &[u8]| hmac::sign(&server, purpose);
        let mac = |purpose: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, derived(purpose).as_ref());
        Self {
            invite_code: mac(b"veche invite code"),
            invite_key: mac(b"veche invite key"),
            refresh: mac(b"veche refresh token"),
            seal: RandomizedNonceKey::new(&AES_256_GCM, derived(b"veche sealed text").as_ref())
                .expect("an HMAC-SHA256 tag is as long as an AES-256 key"),
        }
    }

    /// By what an invite code is found.
    pub(crate) fn invite_code_hash(&self, code: &str) -> String {
        encoded(hmac::sign(&self.invite_code, code.as_bytes()))
    }

    /// What is stored of a room's invite key. The same word in two rooms has two digests.
    pub(crate) fn invite_key_hash(&self, room: RoomId, key: &str) -> String {
        encoded(hmac::sign(&self.invite_key, &invite_key_message(room, key)))
    }

    /// Whether this is the room's invite key, in time that does not depend on how much of it is right.
    pub(crate) fn is_invite_key(&self, room: RoomId, key: &str, stored: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(stored) else { return false };
        hmac::verify(&self.invite_key, &invite_key_message(room, key), &tag).is_ok()
    }

    /// Closes text so that only this server opens it, and only for that room.
    pub(crate) fn seal(&self, room: RoomId, text: &str) -> String {
        let mut sealed = text.as_bytes().to_vec();
        let nonce = self
            .seal
            .seal_in_place_append_tag(Aad::from(room.0.as_bytes()), &mut sealed)
            .expect("a short text can be sealed");
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut sealed);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens what [`seal`](Self::seal) closed; `None` for anything else, or under another secret.
    pub(crate) fn open(&self, room: RoomId, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, body) = bytes.split_at_checked(NONCE_BYTES)?;
        let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let text = self.seal.open_in_place(nonce, Aad::from(room.0.as_bytes()), &mut body).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// A refresh token of a session: the session, chance, and a tag that says it is ours. With the tag an
    /// old token is told from an invented one, and only the old one ends its session.
    pub(crate) fn refresh_token(&self, session: Uuid, chance: [u8; 16]) -> String {
        let mut bytes = session.as_bytes().to_vec();
        bytes.extend_from_slice(&chance);
        let tag = hmac::sign(&self.refresh, &bytes);
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The session of a refresh token that was made here, however long ago.
    pub(crate) fn session_of_refresh(&self, token: &str) -> Option<Uuid> {
        if token.len() > MAX_REFRESH_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (claim, tag) = bytes.split_at_checked(32)?;
        hmac::verify(&self.refresh, claim, tag).ok()?;
        Uuid::from_slice(&claim[..16]).ok()
    }

    /// What is stored of a refresh token.
    pub(crate) fn refresh_hash(&self, token: &str) -> String {
        encoded(hmac::sign(&self.refresh, token.as_bytes()))
    }
}

/// AES-GCM's.
const NONCE_BYTES: usize = 12;
/// 64 bytes in base64 are 86; longer text is not decoded at all.
const MAX_REFRESH_CHARS: usize = 128;

fn invite_key_message(room: RoomId, key: &str) -> Vec<u8> {
    let mut message = room.0.as_bytes().to_vec();
    message.extend_from_slice(key.as_bytes());
    message
}

fn encoded(tag: hmac::Tag) -> String {
    URL_SAFE_NO_PAD.encode(tag.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> Keys {
        Keys::new(&Secret::new(secret))
    }

    fn room(id: u128) -> RoomId {
        RoomId(Uuid::from_u128(id))
    }

    #[test]
    fn sealed_text_opens_only_here_and_only_for_its_room() {
        let here = keys("here");
        let sealed = here.seal(room(1), "code");
        assert!(!sealed.contains("code"));
        assert_ne!(sealed, here.seal(room(1), "code"));
        assert_eq!(here.open(room(1), &sealed).as_deref(), Some("code"));
        assert_eq!(here.open(room(2), &sealed), None);
        assert_eq!(keys("elsewhere").open(room(1), &sealed), None);
        for broken in ["", "AAAA", "not base64!", &sealed[..sealed.len() - 2]] {
            assert_eq!(here.open(room(1), broken), None, "{broken}");
        }
    }

    #[test]
    fn an_invite_key_is_known_by_its_room_alone() {
        let keys = keys("here");
        let stored = keys.invite_key_hash(room(1), "tea");
        assert!(keys.is_invite_key(room(1), "tea", &stored));
        assert!(!keys.is_invite_key(room(1), "coffee", &stored));
        assert!(!keys.is_invite_key(room(2), "tea", &stored));
        assert!(!keys.is_invite_key(room(1), "tea", "not base64!"));
    }

    #[test]
    fn only_a_refresh_token_made_here_names_a_session() {
        let here = keys("here");
        let session = Uuid::from_u128(7);
        let token = here.refresh_token(session, [1; 16]);
        assert_eq!(here.session_of_refresh(&token), Some(session));
        assert_eq!(keys("elsewhere").session_of_refresh(&token), None);
        let mut altered = token.clone();
        altered.replace_range(0..1, if token.starts_with('A') { "B" } else { "A" });
        for broken in ["", "AAAA", &altered, &"A".repeat(10_000)] {
            assert_eq!(here.session_of_refresh(broken), None);
        }
    }
}
