//! What a client knows before anybody signs in.

use crate::Signaling;
use crate::accounts::registration;
use axum::extract::State;
use protocol::rest::PublicConfig;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(config))
}

/// The deployment: its name, its version, and what it lets people do.
#[utoipa::path(get, path = "/config", tag = "operations",
    responses((status = 200, description = "The deployment", body = PublicConfig)))]
async fn config(State(signaling): State<Signaling>) -> axum::Json<PublicConfig> {
    let settings = &signaling.inner.settings;
    axum::Json(PublicConfig {
        app_name: settings.app_name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        registration: registration(settings),
        guests_may_create_rooms: settings.guests_may_create_rooms,
    })
}
