//! Keys drawn from the server's secret, one per purpose: digests that only this server can make, and sealing.

use crate::settings::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::{RoomId, UserId};
use uuid::Uuid;

/// The derived keys. Another server secret makes every digest unfindable and every seal unreadable.
pub(crate) struct Keys {
    invite_code: hmac::Key,
    invite_key: hmac::Key,
    refresh: hmac::Key,
    pass: hmac::Key,
    stream_key: hmac::Key,
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
            pass: mac(b"veche recording pass"),
            stream_key: mac(b"veche stream key"),
            seal: RandomizedNonceKey::new(&AES_256_GCM, derived(b"veche sealed text").as_ref())
                .expect("an HMAC-SHA256 tag is as long as an AES-256 key"),
        }
    }

    /// By what an invite code is found.
    pub(crate) fn invite_code_hash(&self, code: &str) -> String {
        encoded(hmac::sign(&self.invite_code, code.as_bytes()))
    }

    /// By what a stream key is found.
    pub(crate) fn stream_key_hash(&self, key: &str) -> String {
        encoded(hmac::sign(&self.stream_key, key.as_bytes()))
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

    /// Something that lets its holder read: what, who by which session, and until when. Whether they still may is
    /// asked when it is used.
    pub(crate) fn pass(&self, what: &str, user: UserId, session: Uuid, until_ms: i64) -> String {
        let mut bytes = user.0.as_bytes().to_vec();
        bytes.extend_from_slice(session.as_bytes());
        bytes.extend_from_slice(&until_ms.to_be_bytes());
        let tag = hmac::sign(&self.pass, &pass_message(what, &bytes));
        bytes.extend_from_slice(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Who holds a pass for that, if it was made here and is not over: person and session.
    pub(crate) fn holder(&self, what: &str, pass: &str, now_ms: i64) -> Option<(UserId, Uuid)> {
        if pass.len() > MAX_PASS_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(pass).ok()?;
        let (claim, tag) = bytes.split_at_checked(PASS_CLAIM_BYTES)?;
        hmac::verify(&self.pass, &pass_message(what, claim), tag).ok()?;
        let (user, rest) = claim.split_at(16);
        let (session, until) = rest.split_at(16);
        let until_ms = i64::from_be_bytes(until.try_into().ok()?);
        let person = UserId(Uuid::from_slice(user).ok()?);
        (now_ms < until_ms).then_some((person, Uuid::from_slice(session).ok()?))
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

/// Person, session, end.
const PASS_CLAIM_BYTES: usize = 16 + 16 + 8;
/// 72 bytes in base64 are 96; longer text is not decoded at all.
const MAX_PASS_CHARS: usize = 128;

fn pass_message(what: &str, claim: &[u8]) -> Vec<u8> {
    [claim, what.as_bytes()].concat()
}

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
    fn a_pass_opens_one_thing_for_one_person_until_it_is_over() {
        let keys = keys("here");
        let (user, session) = (UserId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let pass = keys.pass("a/b.webm", user, session, 1_000);
        assert_eq!(keys.holder("a/b.webm", &pass, 999), Some((user, session)));
        assert_eq!(keys.holder("a/b.webm", &pass, 1_000), None);
        assert_eq!(keys.holder("a/c.webm", &pass, 999), None);
        assert_eq!(super::tests::keys("elsewhere").holder("a/b.webm", &pass, 999), None);
        for broken in ["", "AAAA", "not base64!", &"A".repeat(10_000), &pass[1..]] {
            assert_eq!(keys.holder("a/b.webm", broken, 999), None);
        }
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
