//! The REST calls through the router, as a client sees them.

mod attachments;
mod auth;
mod breakouts;
mod chat;
mod checkups;
mod document;
mod doors;
mod edges;
mod invites;
mod lines;
mod participants;
mod powers;
mod recordings;
mod rooms;
mod uploads;

use crate::settings::{MediaBusy, MediaPlane, Settings};
use crate::{Secret, Signaling};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use store::testing::TestDatabase;
use tower::ServiceExt;

/// A deployment of one test.
struct Server {
    signaling: Signaling,
    router: Router,
    database: TestDatabase,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

struct NoMedia;

impl MediaPlane for NoMedia {
    fn send(&self, _command: sfu::Command) -> Result<(), MediaBusy> {
        Ok(())
    }
}

impl Server {
    async fn new() -> Self {
        Self::with(Settings::for_tests()).await
    }

    async fn with(settings: Settings) -> Self {
        Self::on(TestDatabase::sqlite().await, settings)
    }

    fn on(database: TestDatabase, settings: Settings) -> Self {
        let signaling = Signaling::new(settings, database.store.clone(), Arc::new(NoMedia));
        Self { router: signaling.router(), signaling, database }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router answers");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.expect("a body");
        let body = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).expect("every body is JSON"),
        };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, call: &str, token: &str, body: Value) -> Answer {
        let (method, path) = call.split_once(' ').expect("a method and a path");
        let from: SocketAddr = ([192, 0, 2, 1], 40_000).into();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .extension(ConnectInfo(from));
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
        };
        self.send(request.body(body).expect("a request")).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(&format!("GET {path}"), token, Value::Null).await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call(&format!("POST {path}"), token, body).await
    }

    /// The access token of a new guest.
    async fn guest(&self, name: &str) -> String {
        let answer = self.post("auth/guest", "", json!({"display_name": name})).await;
        answer.created()["access_token"].as_str().expect("a token").to_owned()
    }

    /// The answer to a new account's registration.
    async fn account(&self, username: &str) -> Value {
        self.post("auth/register", "", registration(username)).await.created()
    }

    /// The access token of a new account.
    async fn account_token(&self, username: &str) -> String {
        text(&self.account(username).await["access_token"])
    }

    /// A new room of this slug.
    async fn room(&self, token: &str, slug: &str) -> Value {
        self.post("rooms", token, json!({"name": "A room", "slug": slug})).await.created()
    }
}

impl Answer {
    fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.body
    }

    fn created(self) -> Value {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.body);
        self.body
    }

    fn is_empty(&self) {
        assert_eq!(self.status, StatusCode::NO_CONTENT, "{}", self.body);
        assert_eq!(self.body, Value::Null);
    }

    /// The refusal has this status and code, and words.
    fn is_refused(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), &self.body["error"]["code"]), (status, &json!(code)));
        assert!(self.body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

fn registration(username: &str) -> Value {
    json!({
        "username": username, "email": format!("{username}@example.org"),
        "password": "correct horse",
    })
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn production() -> Settings {
    Settings { is_production: true, guests_may_create_rooms: false, ..Settings::for_tests() }
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text))
}
