//! The chat of a room, as stored.

use crate::app::ApiError;
use crate::extract::{Path, Query};
use crate::{Identity, Signaling};
use axum::extract::State;
use protocol::limits::MAX_PAGE;
use protocol::rest::MessagePage;
use protocol::{ErrorBody, MessageId};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new().routes(routes!(messages))
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// How many messages, 1–100; 50 when absent.
    #[serde(default)]
    limit: Option<u32>,
    /// Those before this message; the newest when absent.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    before_id: Option<MessageId>,
}

/// A page of chat, oldest first, for members.
#[utoipa::path(get, path = "/rooms/{slug}/messages", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path), Page), responses(
    (status = 200, description = "The page", body = MessagePage),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no member", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or no such message in it", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn messages(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<MessagePage>, ApiError> {
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    signaling.messages(&identity, &slug, page.before_id, limit).await.map(axum::Json)
}

/// Messages in a page when the client does not say.
const PAGE: u32 = 50;
