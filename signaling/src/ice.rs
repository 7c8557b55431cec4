//! STUN and TURN servers for clients, with credentials that end by themselves.

use crate::settings::Settings;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::UserId;
use protocol::rest::{IceServer, IceServers};
use std::time::Duration;

/// How long TURN credentials are good; clients ask for the next ones in time. Shorter asks more often; longer
/// lets a leaked pair, or one of somebody who was removed, relay for strangers: no TURN server can be told to
/// forget one.
const TURN_TTL: Duration = Duration::from_secs(60 * 60);

/// What somebody puts into `RTCConfiguration.iceServers`.
pub(crate) fn ice_servers(settings: &Settings, user: UserId, now_ms: i64) -> IceServers {
    let mut servers = Vec::new();
    if !settings.stun_servers.is_empty() {
        let urls = settings.stun_servers.clone();
        servers.push(IceServer { urls, username: None, credential: None });
    }
    // A browser refuses its whole configuration for a TURN server without credentials, so there is none then.
    if let Some((username, credential)) = turn_credentials(settings, user, now_ms)
        && !settings.turn_urls.is_empty()
    {
        servers.push(IceServer {
            urls: settings.turn_urls.clone(),
            username: Some(username),
            credential: Some(credential),
        });
    }
    IceServers { ice_servers: servers, ttl: TURN_TTL.as_secs() }
}

/// With a shared secret: `expiry:user` and its HMAC-SHA1, as coturn's `use-auth-secret` wants it
/// (draft-uberti-behave-turn-rest-00 §2.2). SHA-1 is what that scheme has; as a MAC it still stands.
fn turn_credentials(settings: &Settings, user: UserId, now_ms: i64) -> Option<(String, String)> {
    if let Some(secret) = &settings.turn_secret {
        let ends = now_ms / 1000 + i64::try_from(TURN_TTL.as_secs()).unwrap_or(0);
        let username = format!("{ends}:{user}");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose().as_bytes());
        let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        return Some((username, credential));
    }
    let username = settings.turn_username.clone()?;
    let password = settings.turn_password.as_ref()?;
    Some((username, password.expose().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;
    use uuid::Uuid;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn shown(settings: Settings) -> serde_json::Value {
        let user = UserId(Uuid::from_u128(1));
        serde_json::to_value(ice_servers(&settings, user, NOW_MS)).expect("serializes")["ice_servers"]
            .clone()
    }

    fn with_turn() -> Settings {
        Settings {
            stun_servers: vec!["stun:stun.example.org".into()],
            turn_urls: vec!["turn:a.example.org".into(), "turns:a.example.org".into()],
            ..Settings::for_tests()
        }
    }

    #[test]
    fn without_servers_there_are_none() {
        assert_eq!(shown(Settings::for_tests()), serde_json::json!([]));
    }

    #[test]
    fn a_shared_secret_makes_credentials_of_ones_own_that_end() {
        let servers = shown(Settings {
            turn_secret: Some(Secret::new("north")),
            turn_username: Some("static".into()),
            turn_password: Some(Secret::new("static")),
            ..with_turn()
        });
        assert_eq!(servers[0], serde_json::json!({"urls": ["stun:stun.example.org"]}));
        assert_eq!(
            servers[1]["urls"],
            serde_json::json!(["turn:a.example.org", "turns:a.example.org"])
        );
        assert_eq!(servers[1]["username"], "1800003600:00000000-0000-0000-0000-000000000001");
        // printf '%s' '1800003600:00000000-0000-0000-0000-000000000001' |
        //   openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(servers[1]["credential"], "l2lMceABFY4koYY/K/YWoav5gSk=");
    }

    #[test]
    fn a_static_pair_is_handed_out_where_there_is_no_secret() {
        let servers = shown(Settings {
            turn_username: Some("user".into()),
            turn_password: Some(Secret::new("word")),
            ..with_turn()
        });
        assert_eq!(servers[1]["username"], "user");
        assert_eq!(servers[1]["credential"], "word");
    }

    #[test]
    fn turn_without_credentials_is_left_out() {
        for turn_username in [None, Some("user".to_owned())] {
            let servers = shown(Settings { turn_username, ..with_turn() });
            assert_eq!(servers.as_array().expect("a list").len(), 1);
        }
    }
}
