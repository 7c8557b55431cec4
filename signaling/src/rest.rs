//! The REST calls under `/api/v1`, one file per noun, and the document that describes them.

mod attachments;
mod auth;
mod chat;
mod checkup;
mod config;
mod exports;
pub(crate) mod health;
mod invites;
mod moderation;
mod recordings;
mod rooms;
mod stream_keys;

#[cfg(test)]
mod tests;
mod uploads;
mod webrtc;

use crate::Signaling;
use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

pub(crate) use attachments::encoded;

/// What every path of these calls begins with.
pub(crate) const PREFIX: &str = "/api/v1";

/// Every call, without the prefix.
pub(crate) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(rooms::routes())
        .merge(crate::tickets::routes())
        .merge(invites::routes())
        .merge(stream_keys::routes())
        .merge(chat::routes())
        .merge(moderation::routes())
        .merge(attachments::routes())
        .merge(recordings::routes())
        .merge(uploads::routes())
        .merge(exports::routes())
        .merge(webrtc::routes())
        .merge(checkup::routes())
        .merge(config::routes())
}

/// What the document says beside the calls.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Veche",
        description = "Meetings: identity, rooms, and the doors to their sockets and media. \
                       PROTOCOL.md describes what goes over the sockets."
    ),
    modifiers(&Bearer),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("The access_token that every call under auth answers with."))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}
