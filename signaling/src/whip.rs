//! WHIP (RFC 9725) and WHEP: publish or watch by one HTTP request. A publisher is a participant whom everybody
//! sees; a viewer is seen by nobody. Both are lenient with what encoders and players send.

mod http;
#[cfg(test)]
mod tests;

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::extract::{Json, Path, Query};
use crate::ice::ice_servers;
use crate::room::{DoorChange, DoorChangeRequest, DoorKind, DoorRequest, Pass, Place};
use crate::sdpfrag::{self, SDPFRAG};
use crate::stream_keys::is_stream_key;
use crate::{Signaling, names};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, ETAG, LINK, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Fragment, IfMatch, Offer, SDP, Takes, Token, ice_links, with_cors, with_options};
use protocol::limits::MAX_SDP_BYTES;
use protocol::rest::{StreamKeyPurpose, WatchLayer};
use protocol::room::Role;
use protocol::{ErrorBody, ErrorCode, ParticipantId, StreamKeyId, UserId};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(crate) fn routes() -> OpenApiRouter<Signaling> {
    let endpoint = Takes { methods: "POST, OPTIONS", body: ("accept-post", SDP) };
    let session = Takes { methods: "PATCH, DELETE, OPTIONS", body: ("accept-patch", SDPFRAG) };
    let layer = Takes { methods: "POST, OPTIONS", body: ("accept-post", "application/json") };
    OpenApiRouter::new()
        .routes(with_options(routes!(publish), endpoint))
        .routes(with_options(routes!(watch), endpoint))
        .routes(with_options(routes!(patch_publishing, end_publishing), session))
        .routes(with_options(routes!(patch_watching, end_watching), session))
        .routes(with_options(routes!(choose_layer), layer))
        .layer(DefaultBodyLimit::max(MAX_SDP_BYTES))
        .layer(map_response(with_cors))
}

/// Publish into a room. The offer's first audio is your microphone, its first video your camera.
#[utoipa::path(post, path = "/whip/{slug}", tag = "media", security(("bearer" = [])),
    params(("slug" = String, Path)),
    request_body(content = String, content_type = "application/sdp", description = "The offer"),
    responses(
    (status = 201, description = "The answer, candidates included; `Location` is the session, `ETag` its ICE session",
        body = String, content_type = "application/sdp"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`wrong_invite_key`: become a member first; `forbidden`: a stream key for \
        something else; `banned`, `locked`, `lobby`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 406, description = "`not_acceptable`", body = ErrorBody),
    (status = 409, description = "`room_full`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: the body is not application/sdp", body = ErrorBody),
    (status = 422, description = "`bad_sdp`", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody),
    (status = 503, description = "`unavailable`, with Retry-After", body = ErrorBody)))]
async fn publish(
    State(signaling): State<Signaling>,
    Path(slug): Path<String>,
    Token(token): Token,
    Offer(offer): Offer,
) -> Result<Response, ApiError> {
    let opener = signaling.opener(&token, &slug, StreamKeyPurpose::Publish).await?;
    signaling.open_door("whip", opener, offer, DoorKind::Publish, (0, 0)).await
}

/// What a viewer wants to see.
#[derive(Deserialize)]
struct Watched {
    participant: Option<Uuid>,
    max_width: Option<u16>,
    max_height: Option<u16>,
}

/// Watch a room: one audio and one video, the active speaker's or those of one participant.
#[utoipa::path(post, path = "/whep/{slug}", tag = "media", security(("bearer" = [])),
    params(("slug" = String, Path), ("participant" = Option<String>, Query, description = "Whom to follow"),
        ("max_width" = Option<u16>, Query, description = "Largest picture, in pixels"),
        ("max_height" = Option<u16>, Query, description = "Largest picture, in pixels")),
    request_body(content = String, content_type = "application/sdp", description = "The offer"),
    responses(
    (status = 201, description = "The answer, candidates included; `Location` is the session, `ETag` its ICE session",
        body = String, content_type = "application/sdp"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`wrong_invite_key`: become a member first; `forbidden`: a stream key for \
        something else; `banned`, `locked`, `lobby`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or nobody of that id in it", body = ErrorBody),
    (status = 406, description = "`not_acceptable`", body = ErrorBody),
    (status = 409, description = "`room_full`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: the body is not application/sdp", body = ErrorBody),
    (status = 422, description = "`bad_sdp`", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody),
    (status = 503, description = "`unavailable`, with Retry-After", body = ErrorBody)))]
async fn watch(
    State(signaling): State<Signaling>,
    Path(slug): Path<String>,
    Query(watched): Query<Watched>,
    Token(token): Token,
    Offer(offer): Offer,
) -> Result<Response, ApiError> {
    let opener = signaling.opener(&token, &slug, StreamKeyPurpose::Watch).await?;
    let follow = watched.participant.map(ParticipantId);
    let largest = (watched.max_width.unwrap_or(0), watched.max_height.unwrap_or(0));
    signaling.open_door("whep", opener, offer, DoorKind::Watch { follow }, largest).await
}

/// End a session of WHIP. Its address is the permission: nobody else knows it.
#[utoipa::path(delete, path = "/whip/{slug}/{session}", tag = "media",
    params(("slug" = String, Path), ("session" = String, Path)), responses(
    (status = 200, description = "It is over"),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`, with Retry-After", body = ErrorBody)))]
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
    (status = 503, description = "`unavailable`, with Retry-After", body = ErrorBody)))]
async fn end_watching(
    State(signaling): State<Signaling>,
    Path((slug, session)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    signaling.end_door(&slug, session).await
}

/// Trickle candidates to a session of WHIP, or restart its ICE (RFC 9725 §4.3).
#[utoipa::path(patch, path = "/whip/{slug}/{session}", tag = "media",
    params(("slug" = String, Path), ("session" = String, Path),
        ("If-Match" = String, Header, description = "`ETag` of the ICE session, or `*`")),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
    (status = 200, description = "ICE is restarted: the server's credentials and candidates; `ETag` is the new one",
        body = String, content_type = "application/trickle-ice-sdpfrag"),
    (status = 204, description = "Candidates: nothing is to be done with them"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: a restart is under way", body = ErrorBody),
    (status = 412, description = "`precondition_failed`: there is another ICE session now", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 428, description = "`precondition_required`: without If-Match", body = ErrorBody),
    (status = 503, description = "`unavailable`, with Retry-After", body = ErrorBody)))]
async fn patch_publishing(
    State(signaling): State<Signaling>,
    Path((slug, session)): Path<(String, String)>,
    IfMatch(if_match): IfMatch,
    Fragment(fragment): Fragment,
) -> Result<Response, ApiError> {
    signaling.patch_door(&slug, session, if_match, &fragment).await
}

/// Trickle candidates to a session of WHEP, or restart its ICE.
#[utoipa::path(patch, path = "/whep/{slug}/{session}", tag = "media",
    params(("slug" = String, Path), ("session" = String, Path),
        ("If-Match" = String, Header, description = "`ETag` of the ICE session, or `*`")),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
    (status = 200, description = "ICE is restarted: the server's credentials and candidates; `ETag` is the new one",
        body = String, content_type = "application/trickle-ice-sdpfrag"),
    (status = 204, description = "Candidates: nothing is to be done with them"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: a restart is under way", body = ErrorBody),
    (status = 412, description = "`precondition_failed`: there is another ICE session now", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 428, description = "`precondition_required`: without If-Match", body = ErrorBody),
    (status = 503, description = "`unavailable`, with Retry-After", body = ErrorBody)))]
async fn patch_watching(
    State(signaling): State<Signaling>,
    Path((slug, session)): Path<(String, String)>,
    IfMatch(if_match): IfMatch,
    Fragment(fragment): Fragment,
) -> Result<Response, ApiError> {
    signaling.patch_door(&slug, session, if_match, &fragment).await
}

/// Choose how large a picture a session of WHEP takes; without a size the best that its link carries.
#[utoipa::path(post, path = "/whep/{slug}/{session}/layer", tag = "media",
    params(("slug" = String, Path), ("session" = String, Path)), request_body = WatchLayer, responses(
    (status = 204, description = "It takes no larger ones from now on"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`, with Retry-After", body = ErrorBody)))]
async fn choose_layer(
    State(signaling): State<Signaling>,
    Path((slug, session)): Path<(String, String)>,
    Json(layer): Json<WatchLayer>,
) -> Result<StatusCode, ApiError> {
    let largest = (layer.max_width.unwrap_or(0), layer.max_height.unwrap_or(0));
    signaling.change_door(&slug, session, DoorChange::Largest(largest)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who opens a session: somebody signed in, or a stream key.
struct Opener {
    room: store::Room,
    role: Role,
    user_id: UserId,
    display_name: String,
    pass: Pass,
    /// What is asked again when the session stands, as both may have ended meanwhile.
    proof: Proof,
}

enum Proof {
    Key(StreamKeyId),
    Token { session: Uuid, expires_ms: i64 },
}

impl Signaling {
    async fn opener(
        &self,
        token: &str,
        slug: &str,
        purpose: StreamKeyPurpose,
    ) -> Result<Opener, ApiError> {
        if is_stream_key(token) {
            let (room, key) = self.stream_key(token, slug, purpose).await?;
            let (user_id, display_name) = (key.user_id, key.name);
            return Ok(Opener {
                room,
                role: Role::Guest,
                user_id,
                display_name,
                pass: Pass::Key { until_ms: key.expires_ms },
                proof: Proof::Key(key.id),
            });
        }
        let identity = self.identify(token).await?;
        let (room, role) = self.enter(&identity, slug, None).await?;
        let (user_id, display_name) = (identity.user_id, identity.display_name);
        let (session, expires_ms) = (identity.session_id, identity.expires_ms);
        let pass = Pass::Token { signed_in: session };
        let proof = Proof::Token { session, expires_ms };
        Ok(Opener { room, role, user_id, display_name, pass, proof })
    }

    async fn open_door(
        &self,
        door: &str,
        opener: Opener,
        offer: String,
        kind: DoorKind,
        largest: (u16, u16),
    ) -> Result<Response, ApiError> {
        let Opener { room, role, user_id, display_name, pass, proof } = opener;
        self.has_place(Place::New)?;
        let session = fresh_secret();
        let location = format!("/{door}/{}/{session}", room.slug);
        let settings = &self.inner.settings;
        let servers = ice_servers(settings, user_id, Some(room.id), now_ms());
        let links = ice_links(&servers.ice_servers);
        let request = DoorRequest {
            session: session.clone(),
            participant: ParticipantId(Uuid::now_v7()),
            user_id,
            display_name,
            role,
            offer,
            kind,
            pass,
        };
        let answer = self.inner.hub.knock(room.id, request).await?;
        // A key that was revoked in the meantime, or a sign-out, has ended every session but this one.
        let still = match proof {
            Proof::Key(key) => match self.inner.store.use_stream_key(key, now_ms()).await? {
                true => Ok(()),
                false => Err(crate::identity::unauthorized()),
            },
            Proof::Token { session, expires_ms } => {
                self.identify_session(user_id, session, expires_ms).await.map(drop)
            }
        };
        if let Err(refusal) = still {
            self.inner.hub.end_door(room.id, session).await;
            return Err(refusal);
        }
        let mut headers = vec![
            (CONTENT_TYPE, SDP.to_owned()),
            (ETAG, sdpfrag::tag_of(&answer)),
            (HeaderName::from_static("accept-patch"), SDPFRAG.to_owned()),
        ];
        if door == "whep" {
            let change = DoorChange::Largest(largest);
            if largest != (0, 0) {
                self.change_session(room.id, session, change).await?;
            }
            headers.push((LINK, format!("<{location}/layer>; rel=\"{LAYER}\"")));
        }
        headers.push((LOCATION, location));
        let mut response = (StatusCode::CREATED, answer).into_response();
        for (name, value) in headers {
            // An answer of no ICE has no tag that fits into a header, and needs none.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        for link in links {
            response.headers_mut().append(LINK, link);
        }
        Ok(response)
    }

    async fn patch_door(
        &self,
        slug: &str,
        session: String,
        if_match: Option<String>,
        fragment: &str,
    ) -> Result<Response, ApiError> {
        let credentials = sdpfrag::read(fragment)
            .map_err(|reason| ApiError::new(ErrorCode::BadRequest, reason))?;
        let change = DoorChange::Ice { credentials, if_match };
        let Some(answer) = self.change_door(slug, session, change).await? else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        let Some(fragment) = sdpfrag::of_answer(&answer) else {
            return Err(ApiError::new(ErrorCode::Internal, "the media plane's answer has no ICE"));
        };
        let headers = [(CONTENT_TYPE, SDPFRAG.to_owned()), (ETAG, sdpfrag::tag_of(&answer))];
        Ok((StatusCode::OK, headers, fragment).into_response())
    }

    /// Changes a session that is found by its address; the SDP answer, where its ICE was restarted.
    async fn change_door(
        &self,
        slug: &str,
        session: String,
        change: DoorChange,
    ) -> Result<Option<String>, ApiError> {
        names::slug(slug).map_err(|_| no_session())?;
        let room = self.inner.store.room_by_slug(slug).await?.ok_or_else(no_session)?;
        self.change_session(room.id, session, change).await
    }

    async fn change_session(
        &self,
        room: protocol::RoomId,
        session: String,
        change: DoorChange,
    ) -> Result<Option<String>, ApiError> {
        let request = DoorChangeRequest { id: fresh_secret(), session, change };
        self.inner.hub.change_door(room, request).await
    }

    async fn end_door(&self, slug: &str, session: String) -> Result<StatusCode, ApiError> {
        names::slug(slug).map_err(|_| no_session())?;
        let room = self.inner.store.room_by_slug(slug).await?;
        let was_open = match room {
            Some(room) => self.inner.hub.end_door(room.id, session).await,
            None => false,
        };
        if was_open { Ok(StatusCode::OK) } else { Err(no_session()) }
    }
}

fn fresh_secret() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>())
}

fn no_session() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such session")
}

/// Where a player chooses layers, as the WHEP draft names it.
const LAYER: &str = "urn:ietf:params:whep:ext:core:layer";
