//! Plain HTTP at the door of HTTPS: somebody typed an address without its beginning.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;

/// Sends pages to the same address over HTTPS; anything else is refused, for it may have carried a secret. Whether the
/// server is well is no secret, and who asks on this machine knows no name that the certificate is for.
pub fn router(app: Router) -> Router {
    let health = get(|request: Request| async move { app.oneshot(request).await });
    Router::new().route("/health", health).fallback(redirect)
}

async fn redirect(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| host.parse::<axum::http::uri::Authority>().is_ok());
    match (method, host) {
        (Method::GET | Method::HEAD, Some(host)) => {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, format!("https://{host}{path}"))])
                .into_response()
        }
        _ => (
            StatusCode::BAD_REQUEST,
            "This is HTTPS: ask again with https:// before the address.\n",
        )
            .into_response(),
    }
}
