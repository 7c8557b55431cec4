//! Tests of somebody's connection.

use crate::app::ApiError;
use crate::extract::{ClientAddress, Json, Path};
use crate::{Identity, Signaling};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use protocol::limits::MAX_SDP_BYTES;
use protocol::rest::{Checkup, CheckupRequest};
use protocol::{ErrorBody, ErrorCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        // Two SDPs as JSON, with room for what JSON escapes.
        .layer(DefaultBodyLimit::max(3 * MAX_SDP_BYTES))
        .routes(routes!(end))
}

/// Test your connection: publish into a room of your own for half a minute, and watch yourself there.
#[utoipa::path(post, path = "/webrtc/checkups", tag = "webrtc", request_body = CheckupRequest,
    security(("bearer" = [])), responses(
    (status = 201, description = "The answers to your offers", body = Checkup),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: name a room; `wrong_invite_key`, `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room or invite", body = ErrorBody),
    (status = 409, description = "`conflict`: a newer test of yours took its place", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 422, description = "`bad_sdp`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn begin(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Json(request): Json<CheckupRequest>,
) -> Result<(StatusCode, axum::Json<Checkup>), ApiError> {
    signaling.inner.limits.checkup.check(address)?;
    let checkup = signaling.begin_checkup(&identity, request).await?;
    Ok((StatusCode::CREATED, axum::Json(checkup)))
}

/// End a test before its time.
#[utoipa::path(delete, path = "/webrtc/checkups/{id}", tag = "webrtc", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses(
    (status = 204, description = "It is over"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn end(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    if signaling.end_checkup(&identity, id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::new(ErrorCode::NotFound, "no such test runs"))
}
