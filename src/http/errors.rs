//! Refusals that no handler words itself: every error that leaves us is JSON with a stable code.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use protocol::error::{ErrorBody, ErrorCode, ErrorDetail};
use std::any::Any;
use std::time::Duration;

/// An error answer.
pub fn refusal(code: ErrorCode, message: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = ErrorBody { error: ErrorDetail { code, message: message.into() } };
    (status, Json(body)).into_response()
}

/// There is no such page or call.
pub fn not_found() -> Response {
    refusal(ErrorCode::NotFound, "there is nothing at this address")
}

/// Rewrites the plain answers of the framework (wrong method, wrong body, too large) as ours.
pub async fn as_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_json(response.headers()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let message = words(&head.headers, body).await;
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::CONTENT_TYPE);
    let message = message
        .unwrap_or_else(|| status.canonical_reason().unwrap_or("refused").to_ascii_lowercase());
    let body = ErrorBody { error: ErrorDetail { code: code_of(status), message } };
    (head.status, head.headers, Json(body)).into_response()
}

/// Ends what takes too long.
pub async fn in_time(request: Request, next: Next) -> Response {
    // What brings a recording has a limit of its own: on silence, not on time.
    if super::requests::is_recording(&request) {
        return next.run(request).await;
    }
    let is_upload = request.uri().path().ends_with("/attachments");
    let limit = if is_upload { UPLOAD_TIMEOUT } else { HANDLER_TIMEOUT };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal(ErrorCode::Unavailable, "this took too long; try again"),
    }
}

/// A handler's bug is its caller's error and nobody else's.
pub fn after_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    metrics::counter!("http_panics_total").increment(1);
    refusal(ErrorCode::Internal, "something broke here; the request id helps to find it")
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

/// The framework's own sentence, if it is short text.
async fn words(headers: &HeaderMap, body: Body) -> Option<String> {
    if !headers.get(header::CONTENT_TYPE)?.as_bytes().starts_with(b"text/plain") {
        return None;
    }
    let bytes = to_bytes(body, MAX_WORDS_BYTES).await.ok()?;
    String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.is_empty())
}

fn code_of(status: StatusCode) -> ErrorCode {
    match status {
        StatusCode::UNAUTHORIZED => ErrorCode::Unauthorized,
        StatusCode::FORBIDDEN => ErrorCode::Forbidden,
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::CONFLICT => ErrorCode::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMedia,
        StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        other if other.is_server_error() => ErrorCode::Internal,
        _ => ErrorCode::BadRequest,
    }
}

/// Longer holds memory for those who wait for nothing, shorter fails slow disks and slow uploads.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);
/// 16 MiB at half a megabit a second.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(270);
/// A sentence of the framework; more would be somebody's page.
const MAX_WORDS_BYTES: usize = 1024;
