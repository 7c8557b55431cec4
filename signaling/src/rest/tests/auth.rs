//! Signing in and out.

use super::{Server, production, registration, secret, text};
use crate::Signaling;
use crate::settings::Settings;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use store::testing::TestDatabase;

#[tokio::test]
async fn a_guest_is_a_name_and_a_token() {
    let server = Server::new().await;
    let answer = server.post("auth/guest", "", json!({"display_name": "  Ада  "})).await.created();
    assert_eq!(answer["token_type"], "bearer");
    assert_eq!(answer["user"]["display_name"], "Ада");
    assert_eq!(answer["user"]["role"], "guest");
    let me = server.get("auth/me", &text(&answer["access_token"])).await.ok();
    assert_eq!(me, answer["user"]);
}

#[tokio::test]
async fn names_that_break_the_rules_are_refused_at_the_door() {
    let server = Server::new().await;
    for name in ["", "  ", "a\u{202E}b", &"a".repeat(65)] {
        let answer = server.post("auth/guest", "", json!({"display_name": name})).await;
        answer.is_refused(400, "invalid");
    }
    for (field, value) in [
        ("username", "ab"),
        ("username", "a b c"),
        ("email", "nobody"),
        ("password", "1234567"),
        ("display_name", "a\nb"),
    ] {
        let mut body = registration("ada");
        body[field] = json!(value);
        server.post("auth/register", "", body).await.is_refused(400, "invalid");
    }
}

#[tokio::test]
async fn an_account_signs_in_by_username_or_email_in_any_case() {
    for database in TestDatabase::all().await {
        let server = Server::on(database, Settings::for_tests());
        let made = server.account("Ada").await;
        assert_eq!(made["user"]["username"], "Ada");
        assert_eq!(made["user"]["display_name"], "Ada");
        assert_eq!(made["user"]["role"], "user");
        for name in ["Ada", "ada", "ADA@example.org"] {
            let body = json!({"username": name, "password": "correct horse"});
            let answer = server.post("auth/login", "", body).await.ok();
            assert_eq!(answer["user"], made["user"]);
            let me = server.get("auth/me", &text(&answer["access_token"])).await.ok();
            assert_eq!(me["email"], "Ada@example.org", "{}", server.database.name);
        }
    }
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_told_alike() {
    for database in TestDatabase::all().await {
        let server = Server::on(database, Settings::for_tests());
        server.account("ada").await;
        let mut words = Vec::new();
        for (name, password) in [
            ("ada", "battery staple"),
            ("bob", "correct horse"),
            ("ada\0", "correct horse"),
            ("ada", "short"),
            ("", ""),
        ] {
            let body = json!({"username": name, "password": password});
            let answer = server.post("auth/login", "", body).await;
            answer.is_refused(401, "wrong_credentials");
            words.push(answer.body);
        }
        words.dedup();
        assert_eq!(words.len(), 1);
    }
}

#[tokio::test]
async fn a_taken_username_or_email_is_refused_in_any_case() {
    let server = Server::new().await;
    server.account("ada").await;
    for (field, value) in [("username", "ADA"), ("email", "ADA@EXAMPLE.ORG")] {
        let mut body = registration("bob");
        body[field] = json!(value);
        server.post("auth/register", "", body).await.is_refused(409, "taken");
    }
}

#[tokio::test]
async fn of_fifty_registrations_of_one_name_at_once_exactly_one_is_made() {
    for database in TestDatabase::all().await {
        let server = Arc::new(Server::on(database, Settings::for_tests()));
        let racers: Vec<_> = (0..50)
            .map(|racer| {
                let server = Arc::clone(&server);
                let mut body = registration("ada");
                body["email"] = json!(format!("{racer}@example.org"));
                tokio::spawn(async move { server.post("auth/register", "", body).await })
            })
            .collect();
        let mut made = 0;
        for racer in racers {
            let answer = racer.await.expect("does not panic");
            match answer.status.as_u16() {
                201 => made += 1,
                _ => answer.is_refused(409, "taken"),
            }
        }
        assert_eq!(made, 1, "{}", server.database.name);
    }
}

#[tokio::test]
async fn registration_asks_for_the_secret_where_there_is_one() {
    let settings = Settings { registration_secret: secret("open sesame"), ..production() };
    let server = Server::with(settings).await;
    server.post("auth/register", "", registration("ada")).await.is_refused(403, "wrong_secret");
    for shown in ["", "open", "open sesamE", "open sesame "] {
        let mut body = registration("ada");
        body["registration_secret"] = json!(shown);
        server.post("auth/register", "", body).await.is_refused(403, "wrong_secret");
    }
    let mut body = registration("ada");
    body["registration_secret"] = json!("open sesame");
    server.post("auth/register", "", body).await.created();
    assert_eq!(server.get("config", "").await.ok()["registration"], "secret");
}

#[tokio::test]
async fn registration_is_closed_in_production_without_a_secret_and_open_in_development() {
    let server = Server::with(production()).await;
    let answer = server.post("auth/register", "", registration("ada")).await;
    answer.is_refused(403, "registration_closed");
    assert_eq!(server.get("config", "").await.ok()["registration"], "closed");
    let server = Server::new().await;
    server.account("ada").await;
    assert_eq!(server.get("config", "").await.ok()["registration"], "open");
}

#[tokio::test]
async fn the_setup_link_makes_the_first_admin_and_no_second() {
    let server = Server::with(Settings { setup_token: secret("link"), ..production() }).await;
    let with_token = |name: &str, token: &str| {
        let mut body = registration(name);
        body["setup_token"] = json!(token);
        body
    };
    let answer = server.post("auth/register", "", with_token("ada", "link?")).await;
    answer.is_refused(403, "wrong_secret");
    let admin = server.post("auth/register", "", with_token("ada", "link")).await.created();
    assert_eq!(admin["user"]["role"], "admin");
    let answer = server.post("auth/register", "", with_token("bob", "link")).await;
    answer.is_refused(403, "wrong_secret");
    // Nor does an empty token open what is closed.
    let answer = server.post("auth/register", "", with_token("bob", "")).await;
    answer.is_refused(403, "registration_closed");
}

#[tokio::test]
async fn without_a_setup_token_of_the_deployment_none_is_right() {
    let server = Server::new().await;
    let mut body = registration("ada");
    body["setup_token"] = json!("link");
    server.post("auth/register", "", body).await.is_refused(403, "wrong_secret");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_session() {
    for database in TestDatabase::all().await {
        let server = Server::on(database, Settings::for_tests());
        let first = server.account("ada").await;
        let refresh = |token: &Value| {
            let body = json!({"refresh_token": token});
            let server = &server;
            async move { server.post("auth/refresh", "", body).await }
        };
        let second = refresh(&first["refresh_token"]).await.ok();
        assert_eq!(second["user"], first["user"]);
        assert_ne!(second["refresh_token"], first["refresh_token"]);
        server.get("auth/me", &text(&second["access_token"])).await.ok();

        refresh(&first["refresh_token"]).await.is_refused(401, "unauthorized");
        refresh(&second["refresh_token"]).await.is_refused(401, "unauthorized");
        let answer = server.get("auth/me", &text(&second["access_token"])).await;
        answer.is_refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn another_session_of_the_same_person_survives_a_reuse() {
    let server = Server::new().await;
    let stolen = server.account("ada").await;
    let login = json!({"username": "ada", "password": "correct horse"});
    let other = server.post("auth/login", "", login).await.ok();
    let body = json!({"refresh_token": stolen["refresh_token"]});
    server.post("auth/refresh", "", body.clone()).await.ok();
    server.post("auth/refresh", "", body).await.is_refused(401, "unauthorized");
    server.get("auth/me", &text(&other["access_token"])).await.ok();
}

#[tokio::test]
async fn a_guest_goes_on_being_the_same_by_refreshing() {
    let server = Server::new().await;
    let first = server.post("auth/guest", "", json!({"display_name": "Ада"})).await.created();
    let token = text(&first["access_token"]);
    server.post("rooms", &token, json!({"name": "Weekly", "slug": "weekly"})).await.created();
    let body = json!({"refresh_token": first["refresh_token"]});
    let second = server.post("auth/refresh", "", body.clone()).await.ok();
    assert_eq!(second["user"], first["user"]);
    let room = server.get("rooms/weekly", &text(&second["access_token"])).await.ok();
    assert_eq!(room["role"], "owner");
    server.post("auth/refresh", "", body).await.is_refused(401, "unauthorized");
}

#[tokio::test]
async fn people_rename_themselves_and_stay_who_they_are() {
    for database in TestDatabase::all().await {
        let server = Server::on(database, Settings::for_tests());
        let guest = server.post("auth/guest", "", json!({"display_name": "Ада"})).await.created();
        let account = server.account("bob").await;
        for (who, name) in [(&guest, "Ada"), (&account, "Robert")] {
            let token = text(&who["access_token"]);
            let rename = |name: &str| {
                let body = json!({"display_name": name});
                server.call("PATCH auth/me", &token, body)
            };
            let user = rename(&format!("  {name} ")).await.ok();
            assert_eq!((&user["id"], &user["display_name"]), (&who["user"]["id"], &json!(name)));
            assert_eq!(server.get("auth/me", &token).await.ok(), user, "{}", server.database.name);
            rename("a\u{202E}b").await.is_refused(400, "invalid");
        }
        let body = json!({"display_name": "Nobody"});
        server.call("PATCH auth/me", "", body).await.is_refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn an_invented_refresh_token_ends_nobodys_session() {
    let server = Server::new().await;
    let account = server.account("ada").await;
    for token in ["", "x", "AAAA", &"A".repeat(86), &text(&account["access_token"])] {
        let answer = server.post("auth/refresh", "", json!({"refresh_token": token})).await;
        answer.is_refused(401, "unauthorized");
    }
    server.get("auth/me", &text(&account["access_token"])).await.ok();
}

#[tokio::test]
async fn sessions_end_after_their_time() {
    let server = Server::with(Settings {
        access_token_ttl: Duration::ZERO,
        refresh_token_ttl: Duration::ZERO,
        ..Settings::for_tests()
    })
    .await;
    let account = server.account("ada").await;
    let answer = server.get("auth/me", &text(&account["access_token"])).await;
    answer.is_refused(401, "unauthorized");
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    let body = json!({"refresh_token": account["refresh_token"]});
    server.post("auth/refresh", "", body).await.is_refused(401, "unauthorized");
}

#[tokio::test]
async fn logging_out_ends_the_session_at_once_by_either_token() {
    let server = Server::new().await;
    let by_refresh = server.account("ada").await;
    let body = json!({"refresh_token": by_refresh["refresh_token"]});
    server.post("auth/logout", "", body.clone()).await.is_empty();
    let answer = server.get("auth/me", &text(&by_refresh["access_token"])).await;
    answer.is_refused(401, "unauthorized");
    server.post("auth/refresh", "", body.clone()).await.is_refused(401, "unauthorized");
    // Once more is no error: a page that lost the answer asks again.
    server.post("auth/logout", "", body).await.is_empty();

    let guest = server.guest("Guest").await;
    server.post("auth/logout", &guest, Value::Null).await.is_empty();
    server.get("auth/me", &guest).await.is_refused(401, "unauthorized");
    server.post("auth/logout", "", Value::Null).await.is_refused(401, "unauthorized");
    server.post("auth/logout", "nonsense", json!({})).await.is_refused(401, "unauthorized");
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_session_of_that_person_and_no_others() {
    let server = Server::new().await;
    let first = server.account("ada").await;
    let other = server.account_token("bob").await;
    let login = json!({"username": "ada", "password": "correct horse"});
    let second = server.post("auth/login", "", login).await.ok();
    server.post("auth/logout-all", &text(&second["access_token"]), Value::Null).await.is_empty();
    for session in [&first, &second] {
        let answer = server.get("auth/me", &text(&session["access_token"])).await;
        answer.is_refused(401, "unauthorized");
        let body = json!({"refresh_token": session["refresh_token"]});
        server.post("auth/refresh", "", body).await.is_refused(401, "unauthorized");
    }
    server.get("auth/me", &other).await.ok();
}

#[tokio::test]
async fn a_token_of_another_deployment_is_nobodys() {
    let here = Server::new().await;
    let elsewhere = Settings { jwt_secret: crate::Secret::new("other"), ..Settings::for_tests() };
    let there = Server::with(elsewhere).await;
    let token = there.guest("Guest").await;
    here.get("auth/me", &token).await.is_refused(401, "unauthorized");
    // Nor is one whose session is not in this store.
    let twin = Server::new().await;
    here.get("auth/me", &twin.guest("Guest").await).await.is_refused(401, "unauthorized");
}

#[tokio::test]
async fn every_call_that_needs_somebody_refuses_nobody() {
    let server = Server::new().await;
    let document = serde_json::to_value(Signaling::openapi()).expect("serializes");
    let mut asked = 0;
    for (path, calls) in document["paths"].as_object().expect("paths") {
        let Some(path) = path.strip_prefix("/api/v1/") else { continue };
        let path = path.replace("{slug}", "weekly").replace("{code}", "code");
        for (method, call) in calls.as_object().expect("methods") {
            if !call["security"].is_array() {
                continue;
            }
            let line = format!("{} {path}", method.to_uppercase());
            for token in ["", "nonsense"] {
                // A body that every call reads, so that the missing token is the only fault.
                let body = json!({"name": "A room"});
                let answer = server.call(&line, token, body).await;
                // An answer to HEAD has no body to say more.
                match method.as_str() {
                    "head" => assert_eq!(answer.status.as_u16(), 401, "{line}"),
                    _ => answer.is_refused(401, "unauthorized"),
                }
            }
            asked += 1;
        }
    }
    assert!(asked >= 10, "{asked}");
}
