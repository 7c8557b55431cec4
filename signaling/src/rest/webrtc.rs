//! What a browser needs before it connects media.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::extract::Query;
use crate::ice::ice_servers;
use crate::{Identity, Signaling};
use axum::extract::State;
use protocol::ErrorBody;
use protocol::rest::IceServers;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(servers))
}

/// Where they are for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Slug of the room that you are in or about to enter.
    room: Option<String>,
}

/// STUN and TURN servers, with credentials of your own that end by themselves. The server's own TURN relay is among them
/// where a room is named.
#[utoipa::path(get, path = "/webrtc/ice-servers", tag = "webrtc", security(("bearer" = [])), params(Wanted), responses(
    (status = 200, description = "For RTCConfiguration.iceServers", body = IceServers),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn servers(
    State(signaling): State<Signaling>,
    identity: Identity,
    Query(Wanted { room }): Query<Wanted>,
) -> Result<axum::Json<IceServers>, ApiError> {
    let room = match room {
        Some(slug) => Some(signaling.room_and_role(&identity, &slug).await?.0.id),
        None => None,
    };
    let settings = &signaling.inner.settings;
    Ok(axum::Json(ice_servers(settings, identity.user_id, room, now_ms())))
}
