//! WHIP (RFC 9725) and WHEP: publish or watch by one HTTP request. A publisher is a participant whom everybody
//! sees; a viewer is seen by nobody. Both are lenient with what encoders and players send.

#[cfg(test)]
mod tests;

use crate::Signaling;
use crate::app::ApiError;
use crate::clock::now_ms;
use crate::extract::{Path, Query};
use crate::ice::ice_servers;
use crate::identity::Identity;
use crate::room::{DoorKind, DoorRequest};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, CONTENT_TYPE, LINK, LOCATION,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use protocol::limits::MAX_SDP_BYTES;
use protocol::rest::IceServer;
use protocol::{ErrorBody, ErrorCode, ParticipantId};
use serde::Deserialize;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(with_options(routes!(publish), "POST, OPTIONS"))
        .routes(with_options(routes!(watch), "POST, OPTIONS"))
        .routes(with_options(routes!(end_publishing), "DELETE, OPTIONS"))
        .routes(with_options(routes!(end_watching), "DELETE, OPTIONS"))
        .layer(DefaultBodyLimit::max(MAX_SDP_BYTES))
        .layer(map_response(with_cors))
}

/// Publish into a room. The offer's first audio is your microphone, its first video your camera.
#[utoipa::path(post, path = "/whip/{slug}", tag = "media", security(("bearer" = [])),
    params(("slug" = String, Path)),
    request_body(content = String, content_type = "application/sdp", description = "The offer"),
    responses(
    (status = 201, description = "The answer, candidates included; `Location` is the session",
        body = String, content_type = "application/sdp"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`wrong_invite_key`: become a member first", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`room_full`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: the body is not application/sdp", body = ErrorBody),
    (status = 422, description = "`bad_sdp`", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn publish(
    State(signaling): State<Signaling>,
    Path(slug): Path<String>,
    identity: Identity,
    Offer(offer): Offer,
) -> Result<Response, ApiError> {
    signaling.open_door("whip", &slug, identity, offer, DoorKind::Publish).await
}

/// Whom a viewer wants to see.
#[derive(Deserialize)]
struct Watched {
    participant: Option<Uuid>,
}

/// Watch a room: one audio and one video, the active speaker's or those of one participant.
#[utoipa::path(post, path = "/whep/{slug}", tag = "media", security(("bearer" = [])),
    params(("slug" = String, Path), ("participant" = Option<String>, Query, description = "Whom to follow")),
    request_body(content = String, content_type = "application/sdp", description = "The offer"),
    responses(
    (status = 201, description = "The answer, candidates included; `Location` is the session",
        body = String, content_type = "application/sdp"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`wrong_invite_key`: become a member first", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or nobody of that id in it", body = ErrorBody),
    (status = 409, description = "`room_full`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: the body is not application/sdp", body = ErrorBody),
    (status = 422, description = "`bad_sdp`", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn watch(
    State(signaling): State<Signaling>,
    Path(slug): Path<String>,
    Query(Watched { participant }): Query<Watched>,
    identity: Identity,
    Offer(offer): Offer,
) -> Result<Response, ApiError> {
    let follow = participant.map(ParticipantId);
    signaling.open_door("whep", &slug, identity, offer, DoorKind::Watch { follow }).await
}

/// End a session of WHIP. Its address is the permission: nobody else knows it.
#[utoipa::path(delete, path = "/whip/{slug}/{session}", tag = "media",
    params(("slug" = String, Path), ("session" = String, Path)), responses(
    (status = 200, description = "It is over"),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn end_publishing(
    State(signaling): State<Signaling>,
    Path((slug, session)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    signaling.end_door(&slug, session).await
}

/// End a session of WHEP. Its address is the permission: nobody else knows it.
#[utoipa::path(delete, path = "/whep/{slug}/{session}", tag = "media",
    params(("slug" = String, Path), ("session" = String, Path)), responses(
    (status = 200, description = "It is over"),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn end_watching(
    State(signaling): State<Signaling>,
    Path((slug, session)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    signaling.end_door(&slug, session).await
}

impl Signaling {
    async fn open_door(
        &self,
        door: &str,
        slug: &str,
        identity: Identity,
        offer: String,
        kind: DoorKind,
    ) -> Result<Response, ApiError> {
        let (room, role) = self.enter(&identity, slug, None).await?;
        let session = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        let location = format!("/{door}/{}/{session}", room.slug);
        let links =
            ice_links(&ice_servers(&self.inner.settings, identity.user_id, now_ms()).ice_servers);
        let request = DoorRequest {
            session,
            participant: ParticipantId(Uuid::now_v7()),
            user_id: identity.user_id,
            display_name: identity.display_name,
            role,
            offer,
            kind,
        };
        let answer = self.inner.hub.knock(room.id, request).await?;
        let headers = [(CONTENT_TYPE, SDP.to_owned()), (LOCATION, location)];
        let mut response = (StatusCode::CREATED, headers, answer).into_response();
        for link in links {
            response.headers_mut().append(LINK, link);
        }
        Ok(response)
    }

    async fn end_door(&self, slug: &str, session: String) -> Result<StatusCode, ApiError> {
        let room = self.inner.store.room_by_slug(slug).await?;
        let was_open = match room {
            Some(room) => self.inner.hub.end_door(room.id, session).await,
            None => false,
        };
        match was_open {
            true => Ok(StatusCode::OK),
            false => Err(ApiError::new(ErrorCode::NotFound, "there is no such session")),
        }
    }
}

/// An SDP body. Its type may have parameters, and an encoder that says none but sends SDP is understood.
struct Offer(String);

impl<S: Send + Sync> FromRequest<S> for Offer {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_declared = match request.headers().get(CONTENT_TYPE) {
            None => false,
            Some(value) if is_sdp(value) => true,
            Some(_) => return Err(unsupported()),
        };
        let body = Bytes::from_request(request, state).await?;
        let Ok(offer) = String::from_utf8(body.into()) else {
            return Err(ApiError::new(ErrorCode::BadSdp, "the SDP is not UTF-8"));
        };
        if !is_declared && !offer.starts_with("v=0") {
            return Err(unsupported());
        }
        Ok(Self(offer))
    }
}

fn is_sdp(value: &HeaderValue) -> bool {
    let essence = value.to_str().ok().and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(SDP))
}

fn unsupported() -> ApiError {
    ApiError::new(ErrorCode::UnsupportedMedia, "the body must be application/sdp")
}

/// ICE servers as RFC 9725 §4.6 hands them out: players and encoders know no other way to hear of TURN.
fn ice_links(servers: &[IceServer]) -> Vec<HeaderValue> {
    let mut links = Vec::new();
    for server in servers {
        for url in &server.urls {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
                link += &format!(
                    "; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    quoted(username),
                    quoted(credential)
                );
            }
            // A setting with a control character in it fits into no header.
            links.extend(HeaderValue::try_from(link));
        }
    }
    links
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Adds what a browser's preflight and a WHIP client's question both want to hear.
fn with_options(
    (schemas, paths, router): UtoipaMethodRouter<Signaling>,
    methods: &'static str,
) -> UtoipaMethodRouter<Signaling> {
    let answer = move || async move {
        let headers: [(HeaderName, HeaderValue); 5] = [
            (ALLOW, HeaderValue::from_static(methods)),
            (HeaderName::from_static("accept-post"), HeaderValue::from_static(SDP)),
            (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods)),
            (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS)),
            (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
        ];
        (StatusCode::NO_CONTENT, headers)
    };
    (schemas, paths, router.options(answer))
}

/// Any page may use these doors: what opens them is the token in the request, and browsers add nothing to it.
async fn with_cors(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("location, link"));
    response
}

const SDP: &str = "application/sdp";
const ALLOWED_HEADERS: &str = "authorization, content-type, if-match";
