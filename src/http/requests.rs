//! Every request gets an id, a log line and a count. Lines show the route, never the path with what stands in
//! it, nor the query: both carry invite codes, tickets and tokens.

use super::errors::refusal;
use axum::RequestExt;
use axum::extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use protocol::ErrorCode;
use std::net::SocketAddr;
use std::time::Instant;
use tracing::Instrument;

/// What the request is called in logs, here and in the programs before us.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Names, logs, counts and times a request.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    request.headers_mut().insert(REQUEST_ID.clone(), id.clone());
    let method = method_name(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let shown = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::error_span!("request", id = shown, method, route);
    let mut response = next.run(request).instrument(span.clone()).await;

    let took = started.elapsed();
    let status = response.status();
    span.in_scope(|| {
        let (status, ms) = (status.as_u16(), (took.as_secs_f64() * 10_000.0).round() / 10.0);
        let peer = peer.map(tracing::field::display);
        match importance(&route, response.status()) {
            Importance::Failure => tracing::error!(status, ms, peer, "failed"),
            Importance::Call => tracing::info!(status, ms, peer, "answered"),
            Importance::Detail => tracing::debug!(status, ms, peer, "answered"),
        }
    });
    let labels = [("method", method.to_owned()), ("route", route)];
    metrics::histogram!("http_request_duration_seconds", &labels).record(took.as_secs_f64());
    let [method, route] = labels;
    let labels = [method, route, ("status", status.as_u16().to_string())];
    metrics::counter!("http_requests_total", &labels).increment(1);

    let headers = response.headers_mut();
    headers.insert(REQUEST_ID.clone(), id);
    let timing = format!("app;dur={:.1}", took.as_secs_f64() * 1000.0);
    if let Ok(timing) = HeaderValue::from_str(&timing) {
        headers.insert(SERVER_TIMING.clone(), timing);
    }
    response
}

/// Whether it brings a recording: those are as large as their own setting says, and take their time.
pub fn is_recording(request: &Request) -> bool {
    let path = request.uri().path();
    path.starts_with("/api/") && path.contains("/recordings/uploads")
}

/// Refuses bodies that are larger than any call takes.
pub async fn limited(mut request: Request, next: Next) -> Response {
    if is_recording(&request) {
        return next.run(request).await;
    }
    let told = request.headers().get(header::CONTENT_LENGTH);
    let told = told.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|length| length > MAX_BODY_BYTES) {
        return refusal(ErrorCode::TooLarge, "the body is too large");
    }
    DefaultBodyLimit::max(MAX_BODY_BYTES).apply(&mut request);
    next.run(request.with_limited_body()).await
}

/// A file of the chat. The doors bound all other bodies far below: more is memory for strangers.
const MAX_BODY_BYTES: usize = protocol::limits::MAX_ATTACHMENT_BYTES;

/// The caller's id if it can do no harm in a log, otherwise a new one.
fn request_id(request: &Request) -> HeaderValue {
    let is_harmless = |value: &&HeaderValue| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&value.len())
            && value.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
    };
    request.headers().get(&REQUEST_ID).filter(is_harmless).cloned().unwrap_or_else(|| {
        let id = uuid::Uuid::now_v7().simple().to_string();
        HeaderValue::from_str(&id).expect("hexadecimal digits may stand in a header")
    })
}

enum Importance {
    Failure,
    Call,
    Detail,
}

fn importance(route: &str, status: StatusCode) -> Importance {
    let is_detail = matches!(route, "other" | "/" | "/health" | "/ready" | "/metrics")
        || route.starts_with("/static/")
        || route.starts_with("/docs");
    // 503 is what we answer on purpose: full, stopping, too slow.
    match status {
        StatusCode::SERVICE_UNAVAILABLE => Importance::Call,
        status if status.is_server_error() => Importance::Failure,
        _ if is_detail => Importance::Detail,
        _ => Importance::Call,
    }
}

/// A client may invent methods; metrics may not grow by them.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// A UUID has 36 characters, a trace id 32; more only fills logs.
const MAX_REQUEST_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn id_for(given: &str) -> String {
        let request = Request::builder().header("x-request-id", given).body(Body::empty()).unwrap();
        request_id(&request).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_callers_id_is_kept_when_it_is_harmless() {
        assert_eq!(id_for("abc-1.2_3"), "abc-1.2_3");
        for harmful in ["", "a b", "a\"b", &"a".repeat(65)] {
            let id = id_for(harmful);
            assert!(id.len() == 32 && id != harmful, "{harmful:?} became {id}");
        }
    }
}
