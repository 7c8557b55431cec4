//! One file of a recording: asking for it, how far it is, taking it away.

use crate::app::ApiError;
use crate::extract::{Json, Path};
use crate::{Identity, Signaling};
use axum::extract::State;
use axum::http::StatusCode;
use protocol::recording::{Export, ExportList, ExportRequest, ExportView};
use protocol::{ErrorBody, RecordingId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(list, begin)).routes(routes!(delete))
}

/// The exports of a recording: there, under way, waiting, or failed since the server started.
#[utoipa::path(get, path = "/recordings/{id}/exports", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 200, description = "Those there are", body = ExportList),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not for your role; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn list(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
) -> Result<axum::Json<ExportList>, ApiError> {
    let exports = signaling.exports(&identity, id).await?;
    Ok(axum::Json(ExportList { exports }))
}

/// Make one file of a recording; one that is there, runs or waits stays as it is. For moderators.
#[utoipa::path(post, path = "/recordings/{id}/exports", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = ExportRequest, responses(
    (status = 202, description = "How it stands", body = Export),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: it runs, it is an upload, or the recordings are too large", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`: also where too many wait", body = ErrorBody)))]
async fn begin(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
    Json(request): Json<ExportRequest>,
) -> Result<(StatusCode, axum::Json<Export>), ApiError> {
    let export = signaling.begin_export(&identity, id, request.view).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(export)))
}

/// Stop an export, or delete its file. For moderators.
#[utoipa::path(delete, path = "/recordings/{id}/exports/{view}", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path), ("view" = ExportView, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn delete(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path((id, view)): Path<(RecordingId, ExportView)>,
) -> Result<StatusCode, ApiError> {
    signaling.delete_export(&identity, id, view).await?;
    Ok(StatusCode::NO_CONTENT)
}
