//! What a browser needs before it connects media.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::ice::ice_servers;
use crate::{Identity, Signaling};
use axum::extract::State;
use protocol::ErrorBody;
use protocol::rest::IceServers;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(servers))
}

/// STUN and TURN servers, with credentials of your own that end by themselves.
#[utoipa::path(get, path = "/webrtc/ice-servers", tag = "webrtc", security(("bearer" = [])), responses(
    (status = 200, description = "For RTCConfiguration.iceServers", body = IceServers),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn servers(
    State(signaling): State<Signaling>,
    identity: Identity,
) -> Result<axum::Json<IceServers>, ApiError> {
    Ok(axum::Json(ice_servers(&signaling.inner.settings, identity.user_id, now_ms())))
}
