//! What moderators do and see over REST. The orders are those of the room's socket.

use crate::app::ApiError;
use crate::extract::{Json, Path, Query};
use crate::socket::Unambiguous;
use crate::{Identity, Signaling};
use axum::extract::State;
use axum::http::StatusCode;
use protocol::limits::{MAX_PAGE, MAX_SYNC_PAGE};
use protocol::rest::{AuditPage, BanList, EventList, MemberList};
use protocol::{ClientMessage, ErrorBody, ErrorCode};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(order))
        .routes(routes!(members))
        .routes(routes!(bans))
        .routes(routes!(audit))
        .routes(routes!(events))
}

/// Give an order: what a moderator says on the room's socket (`role.set`, `media.force`, `member.kick` and so
/// on), whether anybody is in the room or not.
#[utoipa::path(post, path = "/rooms/{slug}/orders", tag = "moderation", security(("bearer" = [])),
    params(("slug" = String, Path)), request_body = ClientMessage, responses(
    (status = 204, description = "It holds now"),
    (status = 400, description = "`bad_request`, `invalid`; `unknown_type`: that is no order", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it, or they stand not below you; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or nobody like that in it", body = ErrorBody),
    (status = 409, description = "`conflict`: something changed in between", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn order(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Json(Unambiguous(order)): Json<Unambiguous>,
) -> Result<StatusCode, ApiError> {
    let kind = order.get("type").and_then(Value::as_str).unwrap_or_default();
    if !ClientMessage::ORDERS.contains(&kind) {
        return Err(ApiError::new(ErrorCode::UnknownType, "there is no order of that type"));
    }
    let order = ClientMessage::deserialize(order).map_err(|error| {
        let words: String = error.to_string().chars().take(MAX_WORDS).collect();
        ApiError::new(ErrorCode::BadRequest, words)
    })?;
    signaling.order(&identity, &slug, order).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who belongs to the room, here or not, for its members.
#[utoipa::path(get, path = "/rooms/{slug}/members", tag = "moderation", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "At most 1,000, the highest role first", body = MemberList),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no member; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn members(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<MemberList>, ApiError> {
    let members = signaling.members(&identity, &slug).await?;
    Ok(axum::Json(MemberList { members }))
}

/// Who may not enter the room, newest ban first. For moderators.
#[utoipa::path(get, path = "/rooms/{slug}/bans", tag = "moderation", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "They may not", body = BanList),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no moderator; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn bans(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<BanList>, ApiError> {
    let bans = signaling.bans(&identity, &slug).await?;
    Ok(axum::Json(BanList { bans }))
}

/// Which page of the audit log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// How many entries, 1–100; 50 when absent.
    #[serde(default)]
    limit: Option<u32>,
    /// Those before this number; the newest when absent.
    #[serde(default)]
    before_seq: Option<i64>,
}

/// Who did what to whom, newest first. For moderators.
#[utoipa::path(get, path = "/rooms/{slug}/audit", tag = "moderation", security(("bearer" = [])),
    params(("slug" = String, Path), AuditQuery), responses(
    (status = 200, description = "The page", body = AuditPage),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no moderator; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn audit(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Query(query): Query<AuditQuery>,
) -> Result<axum::Json<AuditPage>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    signaling.audit(&identity, &slug, query.before_seq, limit).await.map(axum::Json)
}

/// Which events.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// The last number you know; 0 when absent.
    #[serde(default)]
    after_seq: Option<i64>,
    /// How many events, 1–200; 200 when absent.
    #[serde(default)]
    limit: Option<u32>,
}

/// What happened in the room after a number and is for you, oldest first. For members.
#[utoipa::path(get, path = "/rooms/{slug}/events", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path), EventQuery), responses(
    (status = 200, description = "The page; with `snapshot` where the first of it is not kept any more",
        body = EventList),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no member; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn events(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Query(query): Query<EventQuery>,
) -> Result<axum::Json<EventList>, ApiError> {
    let limit = query.limit.unwrap_or(MAX_SYNC_PAGE).clamp(1, MAX_SYNC_PAGE);
    let after_seq = query.after_seq.unwrap_or(0).max(0);
    signaling.events(&identity, &slug, after_seq, limit).await.map(axum::Json)
}

/// Entries in a page when the client does not say.
const PAGE: u32 = 50;
/// Longer would send a client's own garbage back to it.
const MAX_WORDS: usize = 200;
