//! Credentials that end by themselves: `<expiry>:<person>:<room>` and its HMAC, as coturn's `use-auth-secret` has
//! it, so one way of making them serves both servers. Whatever follows the room is the issuer's.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;
use std::fmt;

/// How long credentials may be good at most, in seconds. Longer lets a leaked pair be used for longer; shorter makes
/// clients renew more often.
pub const MAX_TTL_S: u64 = 600;
/// How far the issuer's clock may be ahead.
const MAX_SKEW_S: u64 = 30;
/// Bytes of a user name; RFC 8489 §14.3 allows 508, ours have 84.
const MAX_USERNAME: usize = 256;

/// The key under which passwords are made.
pub struct Secret(hmac::Key);

impl Secret {
    /// From the bytes that issuer and server share.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret))
    }

    /// The password of a user name. SHA-1 is what the scheme has; as a MAC it still stands.
    pub fn password(&self, username: &str) -> String {
        STANDARD.encode(hmac::sign(&self.0, username.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a user name says. It is worth as much as the integrity of the message it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims<'a> {
    /// Seconds since 1970 from which on it is worth nothing.
    pub expires_s: u64,
    /// Whose it is.
    pub person: &'a str,
    /// Where it is for.
    pub room: &'a str,
}

impl<'a> Claims<'a> {
    /// Reads a user name.
    pub fn read(username: &'a str) -> Option<Self> {
        if username.len() > MAX_USERNAME {
            return None;
        }
        let mut words = username.split(':');
        let expires = words.next()?;
        // `parse` would take a sign; one spelling is enough.
        if expires.is_empty() || !expires.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let claims =
            Claims { expires_s: expires.parse().ok()?, person: words.next()?, room: words.next()? };
        (!claims.person.is_empty() && !claims.room.is_empty()).then_some(claims)
    }

    /// Whether it is good now, and was not made for longer than anything may be.
    pub fn is_current(&self, unix_s: u64) -> bool {
        unix_s < self.expires_s && self.expires_s <= unix_s + MAX_TTL_S + MAX_SKEW_S
    }
}

/// Who was sent away. What was issued to them before is refused; what is issued to them later, when they were let in
/// again, is not.
#[derive(Debug, Default)]
pub struct Revoked {
    /// In the order in which they were sent away.
    entries: VecDeque<Entry>,
    /// What ends before this is refused, whoever has it.
    floor_s: u64,
}

#[derive(Debug)]
struct Entry {
    person: String,
    room: String,
    at_s: u64,
}

impl Revoked {
    /// Sends a person away from a room.
    pub fn add(&mut self, unix_s: u64, person: &str, room: &str) {
        while self.entries.front().is_some_and(|oldest| oldest.is_over(unix_s)) {
            self.entries.pop_front();
        }
        if self.entries.len() >= MAX_REVOKED
            && let Some(oldest) = self.entries.pop_front()
        {
            // Forgetting would let that person in again; so everybody's older credentials end instead.
            self.floor_s = self.floor_s.max(oldest.last_refused_s());
        }
        self.entries.push_back(Entry { person: person.into(), room: room.into(), at_s: unix_s });
    }

    /// Whether credentials with these claims were taken back.
    pub fn refuses(&self, claims: &Claims<'_>) -> bool {
        claims.expires_s <= self.floor_s
            || self.entries.iter().any(|entry| {
                entry.person == claims.person
                    && entry.room == claims.room
                    && claims.expires_s <= entry.last_refused_s()
            })
    }
}

impl Entry {
    /// The latest end that credentials can have that were issued by then.
    fn last_refused_s(&self) -> u64 {
        self.at_s + MAX_TTL_S
    }

    fn is_over(&self, unix_s: u64) -> bool {
        self.last_refused_s() < unix_s
    }
}

/// People sent away within the life of credentials. More cost memory and a longer look at each request; where
/// there are more, credentials of everybody end early.
const MAX_REVOKED: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn claims(expires_s: u64) -> Claims<'static> {
        Claims { expires_s, person: "ada", room: "weekly" }
    }

    #[test]
    fn the_password_is_what_coturn_makes() {
        // printf '%s' '1800003600:00000000-0000-0000-0000-000000000001' |
        //   openssl dgst -sha1 -hmac north -binary | base64
        let username = "1800003600:00000000-0000-0000-0000-000000000001";
        assert_eq!(Secret::new(b"north").password(username), "l2lMceABFY4koYY/K/YWoav5gSk=");
        assert_eq!(format!("{:?}", Secret::new(b"north")), "Secret(..)");
    }

    #[test]
    fn a_user_name_says_until_when_who_and_where() {
        assert_eq!(Claims::read("1800000600:ada:weekly"), Some(claims(NOW + 600)));
        assert_eq!(Claims::read("1800000600:ada:weekly:7"), Some(claims(NOW + 600)));
        for bad in [
            "",
            "ada",
            "1800000600:ada",
            "+1:ada:weekly",
            "-1:a:b",
            " 1:a:b",
            ":a:b",
            "1::b",
            "1:a:",
        ] {
            assert_eq!(Claims::read(bad), None, "{bad:?}");
        }
        assert_eq!(Claims::read(&format!("1:ada:{}", "x".repeat(300))), None);
        assert_eq!(Claims::read("99999999999999999999999:a:b"), None);
    }

    #[test]
    fn credentials_end_in_time_and_none_lasts_longer_than_any_may() {
        assert!(claims(NOW + 1).is_current(NOW));
        assert!(claims(NOW + MAX_TTL_S).is_current(NOW));
        assert!(!claims(NOW).is_current(NOW));
        assert!(!claims(NOW - 1).is_current(NOW));
        assert!(!claims(NOW + 3_600).is_current(NOW));
    }

    #[test]
    fn who_was_sent_away_is_refused_until_let_in_again() {
        let mut revoked = Revoked::default();
        revoked.add(NOW, "ada", "weekly");
        assert!(revoked.refuses(&claims(NOW + 5)));
        assert!(revoked.refuses(&claims(NOW + MAX_TTL_S)));
        assert!(!revoked.refuses(&claims(NOW + MAX_TTL_S + 1)), "issued a second later");
        assert!(!revoked.refuses(&Claims { person: "bob", ..claims(NOW + 5) }));
        assert!(!revoked.refuses(&Claims { room: "daily", ..claims(NOW + 5) }));
    }

    #[test]
    fn a_full_list_refuses_too_much_rather_than_too_little() {
        let mut revoked = Revoked::default();
        revoked.add(NOW, "ada", "weekly");
        for i in 0..MAX_REVOKED {
            revoked.add(NOW + 1, &format!("p{i}"), "weekly");
        }
        assert_eq!(revoked.entries.len(), MAX_REVOKED);
        assert!(revoked.refuses(&claims(NOW + 5)));
        revoked.add(NOW + 2 * MAX_TTL_S, "eve", "weekly");
        assert_eq!(revoked.entries.len(), 1, "what is over is forgotten");
    }
}
