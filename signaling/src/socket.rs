//! The room's WebSocket: who may open it, what a frame may be, and when it is over. What the messages mean is
//! the room's business.

mod budget;
mod frame;
mod origin;
pub(crate) mod outbox;
#[cfg(test)]
mod tests;
mod upgrade;
mod wire;

use crate::Signaling;
use crate::app::ApiError;
use crate::extract::{ClientAddress, Path, Query};
use crate::hub::{Hub, RoomHandle};
use crate::identity::Identity;
use crate::room::{JoinRequest, Place, SocketId};
use crate::signed_in::Held;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::any;
use budget::{Budget, Spent};
pub(crate) use frame::Unambiguous;
use frame::{Asked, Complaint};
use outbox::{Next, Outbox};
use protocol::limits::{PING_EVERY, SOCKET_SILENT_AFTER, SOCKET_STUCK_AFTER};
use protocol::server::close;
use protocol::{ClientMessage, ErrorCode, ParticipantId, RoomId, ServerMessage};
use serde::Deserialize;
use serde_json::Value;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use upgrade::{Socket, Upgrade};
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;
use wire::{Fault, Heard, Reader, Writer};

pub(crate) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().route("/ws/rooms/{slug}", any(open))
}

/// What the URL says beside the room. Never logged.
#[derive(Deserialize)]
struct Entry {
    ticket: Option<String>,
    token: Option<String>,
    invite_key: Option<String>,
    resume: Option<String>,
    #[serde(default)]
    take_over: bool,
}

async fn open(
    State(signaling): State<Signaling>,
    Path(slug): Path<String>,
    Query(entry): Query<Entry>,
    address: ClientAddress,
    headers: HeaderMap,
    upgrade: Result<Upgrade, ApiError>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade?;
    if !origin::is_allowed(&headers, &signaling.inner.settings.cors_origins) {
        let reason = "sockets are not opened from that origin; CORS_ORIGINS lists those that may";
        return Err(ApiError::new(ErrorCode::Forbidden, reason));
    }
    let (room, join, held) = signaling.admit(&slug, entry, address).await?;
    let hub = signaling.inner.hub.clone();
    Ok(upgrade.then(move |socket| serve(socket, hub, room, join, held)))
}

impl Signaling {
    /// Who wants in, by ticket or by token, and as what.
    async fn admit(
        &self,
        slug: &str,
        entry: Entry,
        address: ClientAddress,
    ) -> Result<(RoomId, Box<JoinRequest>, Held), ApiError> {
        let (identity, room, role, place) = match (entry.ticket, entry.token) {
            (Some(secret), _) => {
                let refusal = || {
                    ApiError::new(ErrorCode::Unauthorized, "the ticket is used, over or not ours")
                };
                let ticket = self.redeem_ticket(&secret).ok_or_else(refusal)?;
                let (room, role) = self.room_and_role(&ticket.identity, slug).await?;
                // A member no more, or a ticket for another room.
                let role = role.filter(|_| room.id == ticket.room).ok_or_else(refusal)?;
                (ticket.identity, room, role, ticket.place)
            }
            (None, Some(token)) => {
                let identity = self.identify(&token).await?;
                if entry.invite_key.is_some() {
                    self.inner.limits.invite.check(address)?;
                }
                let (room, role) = self.enter(&identity, slug, entry.invite_key.as_deref()).await?;
                let place = self.place(room.id, entry.resume, entry.take_over);
                self.has_place(place)?;
                (identity, room, role, place)
            }
            (None, None) => {
                let reason = "a socket needs a ticket or a token";
                return Err(ApiError::new(ErrorCode::Unauthorized, reason));
            }
        };
        let held = self.inner.signed_in.hold(identity.user_id, identity.session_id);
        // Asked again: a ticket may be older than the end of its session.
        let Identity { user_id, session_id, expires_ms, .. } = identity;
        let identity = self.identify_session(user_id, session_id, expires_ms).await?;
        let display_name = identity.display_name;
        let join = JoinRequest {
            // Given when the socket is open.
            socket: SocketId(0),
            participant: ParticipantId(Uuid::now_v7()),
            user_id,
            display_name,
            role,
            room: self.room_shown(&room, Some(role)),
            place,
        };
        // In a box, as whatever a task was given is a part of it until it ends.
        Ok((room.id, Box::new(join), held))
    }

    /// Whose place somebody wants, by a resume secret or because it is their own.
    pub(crate) fn place(&self, room: RoomId, resume: Option<String>, take_over: bool) -> Place {
        let resumed = resume.and_then(|secret| self.inner.hub.resume_key().open(room, &secret));
        match (resumed, take_over) {
            (Some(participant), _) => Place::Of(participant),
            (None, true) => Place::Own,
            (None, false) => Place::New,
        }
    }
}

/// Serves one socket until it is over.
async fn serve(socket: Socket, hub: Hub, room: RoomId, mut join: Box<JoinRequest>, held: Held) {
    let (id, _running) = hub.new_socket();
    join.socket = id;
    metrics::gauge!("veche_sockets").increment(1.0);
    let outbox = Outbox::default();
    let (from, to) = tokio::io::split(socket);
    let (mut reader, mut writer) = (Reader::new(from), Writer::new(to));
    match hub.enter(room, join, outbox.clone()).await {
        Ok(handle) => {
            let mut reading = pin!(read(&mut reader, &handle, id, &outbox));
            let mut writing = pin!(write(&mut writer, &outbox));
            tokio::select! {
                () = &mut reading => {
                    timeout(LINGER, writing).await.ok();
                }
                () = &mut writing => {
                    handle.socket_gone(id, Instant::now()).await;
                    timeout(LINGER, reading).await.ok();
                }
                () = held.is_over() => {
                    // Before the room answers the leave with a close of its own.
                    outbox.close(close::SIGNED_OUT);
                    handle.socket_signed_out(id).await;
                    timeout(LINGER, async { tokio::join!(&mut writing, &mut reading) }).await.ok();
                    handle.socket_gone(id, Instant::now()).await;
                }
            }
        }
        Err(error) => {
            let (code, reason) = error.into();
            complain(&outbox, code, reason, None);
            outbox.close(close::TRY_LATER);
            timeout(LINGER, write(&mut writer, &outbox)).await.ok();
        }
    }
    metrics::gauge!("veche_sockets").decrement(1.0);
    let code = outbox.close_code().unwrap_or(close::DONE);
    tracing::debug!(%room, socket = id.0, code, "a socket is over");
    metrics::counter!("veche_sockets_closed_total", "code" => code.to_string()).increment(1);
}

/// Reads until the socket is over, and tells the room.
async fn read(
    reader: &mut Reader<impl AsyncRead + Unpin>,
    handle: &RoomHandle,
    id: SocketId,
    outbox: &Outbox,
) {
    let mut heard_at = Instant::now();
    let mut budget = Budget::new(heard_at);
    let code = loop {
        let heard = match timeout(SOCKET_SILENT_AFTER, reader.next()).await {
            Err(_) => break close::SILENT,
            Ok(Ok(None)) => break close::DONE,
            Ok(Ok(Some(heard))) => heard,
            Ok(Err(fault)) => break code_of(fault),
        };
        heard_at = Instant::now();
        let spent = budget.spend(heard_at);
        if spent == Spent::Flood {
            break close::FLOODING;
        }
        match heard {
            Heard::Text(text) => match (frame::parse(&text), spent) {
                (Ok(Asked { message, re }), Spent::Within) => {
                    if handle.request(id, message, re).await.is_err() {
                        break close::TRY_LATER;
                    }
                }
                (Err(Complaint { code, reason, re }), Spent::Within) => {
                    complain(outbox, code, reason, re);
                }
                (Ok(Asked { re, .. }) | Err(Complaint { re, .. }), _) => {
                    let reason = "too many messages; slow down".to_owned();
                    complain(outbox, ErrorCode::RateLimited, reason, re);
                }
            },
            Heard::Binary => {
                let reason = "frames must be text".to_owned();
                complain(outbox, ErrorCode::BadRequest, reason, None);
            }
            Heard::Ping(said) => outbox.answer_ping(said),
            Heard::Pong => {}
            // The next read ends the loop.
            Heard::Close(code) => {
                outbox.answer_close(code);
                // A page that was closed or left. Firefox drops what a page says while it goes, its `leave` too.
                let has_left = code == Some(close::GOING_AWAY);
                if has_left && handle.request(id, ClientMessage::Leave, None).await.is_err() {
                    break close::TRY_LATER;
                }
            }
        }
    };
    match code {
        // There is nobody to write to.
        close::SILENT => outbox.cut(code),
        // What it was told before is still written, so that it can see why.
        _ => outbox.close(code),
    }
    handle.socket_gone(id, heard_at).await;
    timeout(LINGER, reader.drain()).await.ok();
}

/// Writes what the outbox has until it says close, and pings in between.
async fn write(writer: &mut Writer<impl AsyncWrite + Unpin>, outbox: &Outbox) {
    let is_usable = tokio::select! {
        result = write_all(writer, outbox) => match result {
            Ok(()) => true,
            Err(Unwritten::Stuck) => {
                outbox.cut(close::TOO_SLOW);
                true
            }
            Err(Unwritten::Broken) => false,
        },
        () = outbox.is_cut() => true,
    };
    if is_usable {
        let reason = match outbox.close_answer() {
            // Who says goodbye first hears the same.
            Some(code) => code.map(|code| (code, "")),
            None => {
                let code = outbox.close_code().unwrap_or(close::DONE);
                Some((code, reason_of(code)))
            }
        };
        timeout(LINGER, writer.close(reason)).await.ok();
    }
}

/// Why not everything was written.
#[derive(Debug, PartialEq, Eq)]
enum Unwritten {
    /// The connection is gone.
    Broken,
    /// The client takes nothing.
    Stuck,
}

async fn write_all(
    writer: &mut Writer<impl AsyncWrite + Unpin>,
    outbox: &Outbox,
) -> Result<(), Unwritten> {
    let mut pinged_at = Instant::now();
    loop {
        if pinged_at.elapsed() >= PING_EVERY {
            pinged_at = Instant::now();
            writer.ping();
        }
        let next = match outbox.try_next() {
            Some(next) => next,
            None => {
                taken(writer.flush()).await?;
                let until_ping = PING_EVERY.saturating_sub(pinged_at.elapsed());
                match timeout(until_ping, outbox.next()).await {
                    Ok(next) => next,
                    Err(_) => continue,
                }
            }
        };
        match next {
            Next::Text(text) => taken(writer.text(text.as_str())).await?,
            Next::Pong(said) => writer.pong(&said),
            Next::Close(_) => return taken(writer.flush()).await,
        }
    }
}

/// Waits for the client to take something, not for ever: who goes on talking and reads nothing would hold what
/// waits for them until the outbox is full, which takes hours in a quiet room.
async fn taken(writing: impl Future<Output = io::Result<()>>) -> Result<(), Unwritten> {
    match timeout(SOCKET_STUCK_AFTER, writing).await {
        Ok(result) => result.map_err(|_| Unwritten::Broken),
        Err(_) => Err(Unwritten::Stuck),
    }
}

/// A complaint that does not fit any more has cut the socket off already.
fn complain(outbox: &Outbox, code: ErrorCode, reason: String, re: Option<Value>) {
    let message = ServerMessage::Error { code, reason, re };
    let text = serde_json::to_string(&message).expect("our own messages are JSON");
    outbox.push(text.into()).ok();
}

/// What to tell a client whose stream broke, where it can still be told.
fn code_of(fault: Fault) -> u16 {
    match fault {
        Fault::NotText => close::NOT_TEXT,
        Fault::TooLarge => close::TOO_LARGE,
        Fault::Protocol => close::PROTOCOL_ERROR,
    }
}

fn reason_of(code: u16) -> &'static str {
    close::ALL.iter().find(|(known, _)| *known == code).map_or("", |(_, reason)| reason)
}

/// How long a socket may take to close. Longer holds memory for clients that are gone; shorter loses the
/// close frame on a slow line.
const LINGER: Duration = Duration::from_secs(2);
