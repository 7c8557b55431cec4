//! STUN and TURN servers for clients, with credentials that end by themselves.

use crate::settings::{Secret, Settings};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::rest::{IceServer, IceServers};
use protocol::{RoomId, UserId};
use std::time::Duration;

/// How long credentials of a TURN server beside us are good; clients ask for the next ones in time. Shorter asks more
/// often; longer lets a leaked pair, or one of somebody who was removed, relay for strangers: no TURN server can be
/// told to forget one.
const TURN_TTL: Duration = Duration::from_secs(60 * 60);

/// What somebody puts into `RTCConfiguration.iceServers`. Our own TURN server is for people in a room; others are for
/// whoever is signed in.
pub(crate) fn ice_servers(
    settings: &Settings,
    user: UserId,
    room: Option<RoomId>,
    now_ms: i64,
) -> IceServers {
    let mut servers = Vec::new();
    let mut ttl = TURN_TTL;
    if !settings.stun_servers.is_empty() {
        let urls = settings.stun_servers.clone();
        servers.push(IceServer { urls, username: None, credential: None });
    }
    let builtin = settings.turn_builtin.as_ref().map(|builtin| (builtin, builtin.urls.now()));
    if let (Some((builtin, urls)), Some(room)) = (builtin, room)
        && !urls.is_empty()
    {
        ttl = builtin.ttl;
        let username = format!("{}:{user}:{room}", ends_s(now_ms, ttl));
        let credential = turn_password(&builtin.secret, &username);
        servers.push(turn_server(&urls, username, credential));
    }
    // A browser refuses its whole configuration for a TURN server without credentials, so there is none then.
    if let Some((username, credential)) = turn_credentials(settings, user, now_ms)
        && !settings.turn_urls.is_empty()
    {
        servers.push(turn_server(&settings.turn_urls, username, credential));
    }
    IceServers { ice_servers: servers, ttl: ttl.as_secs() }
}

fn turn_server(urls: &[String], username: String, credential: String) -> IceServer {
    IceServer { urls: urls.to_vec(), username: Some(username), credential: Some(credential) }
}

/// With a shared secret: `expiry:user`, as coturn's `use-auth-secret` wants it.
fn turn_credentials(settings: &Settings, user: UserId, now_ms: i64) -> Option<(String, String)> {
    if let Some(secret) = &settings.turn_secret {
        let username = format!("{}:{user}", ends_s(now_ms, TURN_TTL));
        let credential = turn_password(secret, &username);
        return Some((username, credential));
    }
    let username = settings.turn_username.clone()?;
    let password = settings.turn_password.as_ref()?;
    Some((username, password.expose().to_owned()))
}

fn ends_s(now_ms: i64, ttl: Duration) -> i64 {
    now_ms / 1000 + i64::try_from(ttl.as_secs()).unwrap_or(0)
}

/// The password of a user name: its HMAC-SHA1 (draft-uberti-behave-turn-rest-00 §2.2). SHA-1 is what that scheme has; as
/// a MAC it still stands.
pub fn turn_password(secret: &Secret, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.expose().as_bytes());
    STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::BuiltinTurn;
    use uuid::Uuid;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn shown(settings: Settings) -> serde_json::Value {
        let user = UserId(Uuid::from_u128(1));
        serde_json::to_value(ice_servers(&settings, user, None, NOW_MS)).expect("serializes")["ice_servers"]
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

    #[test]
    fn our_own_server_is_for_a_person_in_a_room_and_for_ten_minutes() {
        let settings = Settings {
            turn_builtin: Some(BuiltinTurn {
                urls: vec!["turn:192.0.2.1:8081?transport=udp".into()].into(),
                secret: Secret::new("north"),
                ttl: Duration::from_secs(600),
            }),
            turn_secret: Some(Secret::new("south")),
            ..with_turn()
        };
        let (user, room) = (UserId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2)));
        let told = ice_servers(&settings, user, Some(room), NOW_MS);
        assert_eq!((told.ttl, told.ice_servers.len()), (600, 3));
        let own = &told.ice_servers[1];
        assert_eq!(own.urls, ["turn:192.0.2.1:8081?transport=udp"]);
        let username = format!("1800000600:{user}:{room}");
        assert_eq!(own.username.as_deref(), Some(username.as_str()));
        // printf '%s' '1800000600:00000000-0000-0000-0000-000000000001:00000000-0000-0000-0000-000000000002' |
        //   openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(own.credential.as_deref(), Some("UjgVAY8ER3CZLhd/vqi+Rg5XlfA="));
        assert_ne!(own.credential, told.ice_servers[2].credential);

        let told = ice_servers(&settings, user, None, NOW_MS);
        assert_eq!((told.ttl, told.ice_servers.len()), (3600, 2), "none without a room");

        // The server has moved.
        let builtin = settings.turn_builtin.as_ref().expect("it was set");
        builtin.urls.set(vec!["turn:198.51.100.1:8081?transport=udp".into()]);
        let told = ice_servers(&settings, user, Some(room), NOW_MS);
        assert_eq!(told.ice_servers[1].urls, ["turn:198.51.100.1:8081?transport=udp"]);
        builtin.urls.set(Vec::new());
        assert_eq!(ice_servers(&settings, user, Some(room), NOW_MS).ttl, 3600, "nowhere to relay");
    }
}
