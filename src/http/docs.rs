//! `/docs`: the description of the REST calls as a page, from files that are built in.

use axum::Router;
use axum::http::{HeaderValue, header};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The page, and the description at `/api/openapi.json`.
pub fn router(description: utoipa::openapi::OpenApi) -> Router {
    let page = SwaggerUi::new("/docs")
        .url(DESCRIPTION_PATH, description)
        .config(Config::default().try_it_out_enabled(true).persist_authorization(false));
    Router::from(page).layer(SetResponseHeaderLayer::overriding(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(DOCS_POLICY),
    ))
}

/// The calls of this crate, beside those of the control plane.
#[derive(OpenApi)]
#[openapi(paths(super::metrics::metrics))]
pub struct OwnCalls;

/// Where programs read the description.
const DESCRIPTION_PATH: &str = "/api/openapi.json";

/// As the app's own, with the one style sheet that Swagger UI writes into its page. A newer Swagger UI has another
/// hash: the browser test of this page says so.
const DOCS_POLICY: &str = "default-src 'self'; img-src 'self' data:; \
     style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
