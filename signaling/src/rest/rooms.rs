//! Rooms by their slug.

use crate::app::ApiError;
use crate::extract::{ClientAddress, Json, Path};
use crate::{Identity, Signaling};
use axum::extract::State;
use axum::http::StatusCode;
use protocol::ErrorBody;
use protocol::rest::{CreateRoomRequest, ParticipantList, RoomList, UpdateRoomRequest};
use protocol::room::Room;
use protocol::stats::RoomStats;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, update, delete))
        .routes(routes!(participants))
        .routes(routes!(stats))
}

/// Make a room. You own it.
#[utoipa::path(post, path = "/rooms", tag = "rooms", security(("bearer" = [])),
    request_body = CreateRoomRequest, responses(
    (status = 201, description = "The room", body = Room),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: guests do not create rooms here", body = ErrorBody),
    (status = 409, description = "`taken`: a room has or had the slug; `conflict`: you own too many", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn create(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Json(request): Json<CreateRoomRequest>,
) -> Result<(StatusCode, axum::Json<Room>), ApiError> {
    signaling.inner.limits.create_room.check(address)?;
    let room = signaling.create_room(&identity, &request).await?;
    Ok((StatusCode::CREATED, axum::Json(room)))
}

/// The rooms you are a member of, newest first.
#[utoipa::path(get, path = "/rooms", tag = "rooms", security(("bearer" = [])), responses(
    (status = 200, description = "At most 500", body = RoomList),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn list(
    State(signaling): State<Signaling>,
    identity: Identity,
) -> Result<axum::Json<RoomList>, ApiError> {
    let rooms = signaling.rooms_of(&identity).await?;
    Ok(axum::Json(RoomList { rooms }))
}

/// A room, for whoever knows its slug. The invite code is for members.
#[utoipa::path(get, path = "/rooms/{slug}", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "The room", body = Room),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn show(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<Room>, ApiError> {
    signaling.room_for(&identity, &slug).await.map(axum::Json)
}

/// Change a room you own; what is absent stays.
#[utoipa::path(patch, path = "/rooms/{slug}", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), request_body = UpdateRoomRequest, responses(
    (status = 200, description = "The room as it is now", body = Room),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not yours", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn update(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Json(request): Json<UpdateRoomRequest>,
) -> Result<axum::Json<Room>, ApiError> {
    signaling.update_room(&identity, &slug, &request).await.map(axum::Json)
}

/// Delete a room you own, with everything in it. Its slug is never used again.
#[utoipa::path(delete, path = "/rooms/{slug}", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not yours", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn delete(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<StatusCode, ApiError> {
    signaling.delete_room(&identity, &slug).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who is in a room now, in order of joining.
#[utoipa::path(get, path = "/rooms/{slug}/participants", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "They are", body = ParticipantList),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: the room asks for a key, and you are no member", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn participants(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<ParticipantList>, ApiError> {
    let participants = signaling.participants(&identity, &slug).await?;
    Ok(axum::Json(ParticipantList { participants }))
}

/// How the room's media does now, participant by participant. For its owner and moderators.
#[utoipa::path(get, path = "/rooms/{slug}/stats", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "Transports, tracks and slots", body = RoomStats),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no moderator", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn stats(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<RoomStats>, ApiError> {
    signaling.room_stats(&identity, &slug).await.map(axum::Json)
}
