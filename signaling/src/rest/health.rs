//! Whether the process lives, and whether it can serve.

use crate::Signaling;
use crate::app::ApiError;
use axum::Json;
use axum::extract::State;
use protocol::ErrorBody;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready))
}

/// Answer of `GET /health` and `GET /ready`.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`; otherwise the answer is an error.
    status: &'static str,
}

/// The process lives.
#[utoipa::path(get, path = "/health", tag = "operations",
    responses((status = 200, description = "It does", body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The process can serve: its store answers.
#[utoipa::path(get, path = "/ready", tag = "operations", responses(
    (status = 200, description = "It can", body = Health),
    (status = 503, description = "`unavailable`: the store does not answer", body = ErrorBody)))]
async fn ready(State(signaling): State<Signaling>) -> Result<Json<Health>, ApiError> {
    signaling.inner.store.ping().await?;
    Ok(Json(Health { status: "ok" }))
}
