//! Rooms by their invite code.

use crate::app::ApiError;
use crate::extract::{ClientAddress, Json, Path};
use crate::{Identity, Signaling};
use axum::extract::State;
use axum::http::StatusCode;
use protocol::rest::{CreateInviteRequest, Invite, InviteList, InvitedRoom};
use protocol::room::Room;
use protocol::{ErrorBody, InviteId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(join))
        .routes(routes!(list, create))
        .routes(routes!(revoke))
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

/// Make an invite into a room. For moderators; it makes nobody their equal.
#[utoipa::path(post, path = "/rooms/{slug}/invites", tag = "invites", security(("bearer" = [])),
    params(("slug" = String, Path)), request_body = CreateInviteRequest, responses(
    (status = 201, description = "The invite with its code", body = Invite),
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
    Json(request): Json<CreateInviteRequest>,
) -> Result<(StatusCode, axum::Json<Invite>), ApiError> {
    let invite = signaling.create_invite(&identity, &slug, request).await?;
    Ok((StatusCode::CREATED, axum::Json(invite)))
}

/// The invites of a room with their codes, newest first. For moderators.
#[utoipa::path(get, path = "/rooms/{slug}/invites", tag = "invites", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "At most 200", body = InviteList),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn list(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<InviteList>, ApiError> {
    let invites = signaling.invites(&identity, &slug).await?;
    Ok(axum::Json(InviteList { invites }))
}

/// End an invite; those who came by it stay. For moderators.
#[utoipa::path(delete, path = "/rooms/{slug}/invites/{id}", tag = "invites", security(("bearer" = [])),
    params(("slug" = String, Path), ("id" = String, Path)), responses(
    (status = 204, description = "It leads nowhere now"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or no such invite into it", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn revoke(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path((slug, id)): Path<(String, InviteId)>,
) -> Result<StatusCode, ApiError> {
    signaling.revoke_invite(&identity, &slug, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
