//! The secret that takes a participant over on a new socket. It is computed, not kept: whoever holds the
//! server's key can check it, and a participant who has left cannot be taken over because the room no
//! longer knows them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::{ParticipantId, RoomId};
use uuid::Uuid;

/// Makes and checks resume secrets.
#[derive(Clone)]
pub struct ResumeKey(hmac::Key);

impl ResumeKey {
    /// A key drawn from the server's secret.
    pub fn new(server_secret: &[u8]) -> Self {
        let server = hmac::Key::new(hmac::HMAC_SHA256, server_secret);
        let derived = hmac::sign(&server, b"veche resume secret");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// The secret of a participant: their id, and a code that only this server can make.
    pub fn secret(&self, room: RoomId, participant: ParticipantId) -> String {
        let code = hmac::sign(&self.0, &Self::claim(room, participant));
        let mut bytes = participant.0.as_bytes().to_vec();
        bytes.extend_from_slice(code.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whose secret this is in that room, if it is one.
    pub fn open(&self, room: RoomId, secret: &str) -> Option<ParticipantId> {
        if secret.len() > MAX_SECRET_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(secret).ok()?;
        let (id, code) = bytes.split_at_checked(16)?;
        let participant = ParticipantId(Uuid::from_slice(id).ok()?);
        hmac::verify(&self.0, &Self::claim(room, participant), code).ok()?;
        Some(participant)
    }

    fn claim(room: RoomId, participant: ParticipantId) -> [u8; 32] {
        let mut claim = [0; 32];
        claim[..16].copy_from_slice(room.0.as_bytes());
        claim[16..].copy_from_slice(participant.0.as_bytes());
        claim
    }
}

/// 48 bytes in base64; longer text is not decoded at all.
const MAX_SECRET_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (RoomId, ParticipantId) {
        (RoomId(Uuid::from_u128(1)), ParticipantId(Uuid::from_u128(2)))
    }

    #[test]
    fn a_secret_names_its_participant_in_its_room_only() {
        let key = ResumeKey::new(b"a server secret of some length");
        let (room, participant) = ids();
        let secret = key.secret(room, participant);
        assert_eq!(key.open(room, &secret), Some(participant));
        assert_eq!(key.open(RoomId(Uuid::from_u128(9)), &secret), None);
        assert_eq!(ResumeKey::new(b"another").open(room, &secret), None);
    }

    #[test]
    fn altered_short_and_long_secrets_open_nothing() {
        let key = ResumeKey::new(b"a server secret of some length");
        let (room, participant) = ids();
        let secret = key.secret(room, participant);
        let mut altered = secret.clone().into_bytes();
        altered[0] ^= 1;
        let altered = String::from_utf8(altered).unwrap();
        for text in ["", "AAAA", &secret[..40], &altered, &format!("{secret}{secret}")] {
            assert_eq!(key.open(room, text), None, "{text}");
        }
    }
}
