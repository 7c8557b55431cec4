//! Plain HTTP at the door of HTTPS: somebody typed an address without its beginning.

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// Sends pages to the same address over HTTPS; anything else is refused, for it may have carried a secret.
pub fn router() -> Router {
    Router::new().fallback(redirect)
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
