//! The HTTP server: the doors of the control plane, the web client, and what every answer has in common.

mod docs;
mod errors;
mod files;
mod headers;
mod listener;
mod metrics;
mod requests;

pub use headers::Https;
pub use listener::{Listeners, MediaDoor};
pub use metrics::MetricsPage;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi;

/// How the server shows itself.
pub struct Site {
    /// The metrics page.
    pub metrics: MetricsPage,
    /// When browsers shall stay on HTTPS.
    pub https: Https,
    /// Origins beside our own.
    pub cors_origins: Vec<String>,
}

/// Everything behind one port. `doors` are the control plane's, `description` describes them.
pub fn router(site: Site, doors: Router, mut description: utoipa::openapi::OpenApi) -> Router {
    description.merge(docs::OwnCalls::openapi());
    let operation = Router::new().route("/metrics", get(metrics::metrics)).with_state(site.metrics);
    let client = Router::new()
        .route("/static/{*name}", get(files::serve_static))
        .fallback(files::serve_page)
        .with_state(files::Files::load());
    doors
        .merge(operation)
        .merge(docs::router(description))
        .merge(client)
        .layer(from_fn(requests::limited))
        .layer(CatchPanicLayer::custom(errors::after_panic))
        .layer(from_fn(errors::in_time))
        .layer(from_fn(errors::as_json))
        .layer(
            CompressionLayer::new().gzip(true).compress_when(
                SizeAbove::new(MIN_COMPRESSED_BYTES)
                    .and(NotForContentType::IMAGES)
                    .and(NotForContentType::const_new("video/"))
                    .and(NotForContentType::const_new("audio/")),
            ),
        )
        .layer(tower::util::option_layer(cors(&site.cors_origins)))
        .layer(from_fn_with_state(site.https, headers::protect))
        .layer(from_fn(requests::observe))
}

/// Tokens travel in headers and bodies, never in cookies, so another origin gains nothing it was not given.
fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::HEAD,
        ])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, REQUEST_ID])
        .expose_headers([header::LOCATION, header::LINK, header::ETAG, ACCEPT_POST, REQUEST_ID])
        .max_age(PREFLIGHT_AGE);
    Some(layer)
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// Less does not shrink.
const MIN_COMPRESSED_BYTES: u64 = 1024;
/// Longer makes a change of the settings wait, shorter doubles the requests of another origin.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);
