//! Rooms by their invite code.

use crate::app::ApiError;
use crate::extract::{ClientAddress, Path};
use crate::{Identity, Signaling};
use axum::extract::State;
use protocol::ErrorBody;
use protocol::rest::InvitedRoom;
use protocol::room::Room;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(join))
}

/// The room that an invite leads to, before signing in.
#[utoipa::path(get, path = "/rooms/by-invite/{code}", tag = "invites", params(("code" = String, Path)),
    responses(
    (status = 200, description = "The room", body = InvitedRoom),
    (status = 404, description = "`not_found`: the invite leads nowhere", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn show(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    Path(code): Path<String>,
) -> Result<axum::Json<InvitedRoom>, ApiError> {
    signaling.inner.limits.invite.check(address)?;
    signaling.invited_room(&code).await.map(axum::Json)
}

/// Become a member of the room that an invite leads to, without its invite key.
#[utoipa::path(post, path = "/rooms/by-invite/{code}/join", tag = "invites", security(("bearer" = [])),
    params(("code" = String, Path)), responses(
    (status = 200, description = "The room, with your role in it", body = Room),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 404, description = "`not_found`: the invite leads nowhere", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn join(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Path(code): Path<String>,
) -> Result<axum::Json<Room>, ApiError> {
    signaling.inner.limits.invite.check(address)?;
    signaling.join_by_invite(&identity, &code).await.map(axum::Json)
}
