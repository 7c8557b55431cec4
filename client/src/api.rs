//! The REST calls that lead into a room.

use crate::Error;
use crate::http::{self, Answer, Request};
use protocol::rest::{
    AuthResponse, CreateRoomRequest, GuestRequest, IceServers, TicketRequest, TicketResponse,
};
use protocol::room::Room;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;

/// A running server, reached over HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Where it listens.
    pub server: SocketAddr,
}

impl Api {
    /// The server at that address.
    pub fn new(server: SocketAddr) -> Self {
        Self { server }
    }

    /// Signs in as a guest.
    pub fn guest(&self, display_name: &str) -> Result<AuthResponse, Error> {
        let body = GuestRequest { display_name: display_name.to_owned() };
        self.post("/api/v1/auth/guest", None, &body)
    }

    /// Makes a room.
    pub fn create_room(&self, token: &str, name: &str) -> Result<Room, Error> {
        let body = CreateRoomRequest { name: name.to_owned(), slug: None, invite_key: None };
        self.post("/api/v1/rooms", Some(token), &body)
    }

    /// Enters a room by its invite code.
    pub fn join_by_invite(&self, token: &str, code: &str) -> Result<Room, Error> {
        let path = format!("/api/v1/rooms/by-invite/{code}/join");
        self.post(&path, Some(token), &serde_json::json!({}))
    }

    /// A ticket for the room's socket.
    pub fn ticket(&self, token: &str, slug: &str, resume: Option<String>) -> Result<String, Error> {
        let body = TicketRequest { resume, ..TicketRequest::default() };
        let answer: TicketResponse =
            self.post(&format!("/api/v1/rooms/{slug}/ticket"), Some(token), &body)?;
        Ok(answer.ticket)
    }

    /// What helps through networks to a room.
    pub fn ice_servers(&self, token: &str, slug: &str) -> Result<IceServers, Error> {
        let path = format!("/api/v1/webrtc/ice-servers?room={slug}");
        let answer =
            self.call(&Request { method: "GET", path: &path, token: Some(token), body: None })?;
        if answer.status != 200 {
            return Err(Error::Refused { status: answer.status, body: answer.text() });
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Answer(format!("{path}: {error}: {}", answer.text())))
    }

    /// Any other call, with its raw answer.
    pub fn call(&self, request: &Request<'_>) -> Result<Answer, Error> {
        http::send(self.server, request)
    }

    fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        token: Option<&str>,
        body: &B,
    ) -> Result<A, Error> {
        let body = serde_json::to_vec(body).expect("request bodies are plain JSON");
        let answer = self.call(&Request {
            method: "POST",
            path,
            token,
            body: Some(("application/json", &body)),
        })?;
        if !(200..300).contains(&answer.status) {
            return Err(Error::Refused { status: answer.status, body: answer.text() });
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Answer(format!("{path}: {error}: {}", answer.text())))
    }
}
