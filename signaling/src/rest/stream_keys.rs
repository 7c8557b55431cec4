//! Keys for encoders and players.

use crate::app::ApiError;
use crate::extract::{Json, Path};
use crate::{Identity, Signaling};
use axum::extract::State;
use axum::http::StatusCode;
use protocol::rest::{CreateStreamKeyRequest, StreamKey, StreamKeyList};
use protocol::{ErrorBody, StreamKeyId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// Make a key for an encoder or a player. For moderators; it is shown once.
#[utoipa::path(post, path = "/rooms/{slug}/stream-keys", tag = "stream keys", security(("bearer" = [])),
    params(("slug" = String, Path)), request_body = CreateStreamKeyRequest, responses(
    (status = 201, description = "The key", body = StreamKey),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: the room has too many", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn create(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Json(request): Json<CreateStreamKeyRequest>,
) -> Result<(StatusCode, axum::Json<StreamKey>), ApiError> {
    let key = signaling.create_stream_key(&identity, &slug, request).await?;
    Ok((StatusCode::CREATED, axum::Json(key)))
}

/// The stream keys of a room without themselves, newest first. For moderators.
#[utoipa::path(get, path = "/rooms/{slug}/stream-keys", tag = "stream keys", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "At most 50 good ones", body = StreamKeyList),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn list(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<StreamKeyList>, ApiError> {
    let stream_keys = signaling.stream_keys(&identity, &slug).await?;
    Ok(axum::Json(StreamKeyList { stream_keys }))
}

/// End a stream key and what it opened. For moderators.
#[utoipa::path(delete, path = "/rooms/{slug}/stream-keys/{id}", tag = "stream keys", security(("bearer" = [])),
    params(("slug" = String, Path), ("id" = String, Path)), responses(
    (status = 204, description = "It opens nothing now"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or no such key of it", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn revoke(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path((slug, id)): Path<(String, StreamKeyId)>,
) -> Result<StatusCode, ApiError> {
    signaling.revoke_stream_key(&identity, &slug, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
