//! `/metrics`: what the process counts, for those who may know.

use super::errors::refusal;
use crate::metrics::Metrics;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use protocol::error::{ErrorBody, ErrorCode};
use signaling::Secret;

/// What the page needs.
#[derive(Clone)]
pub struct MetricsPage {
    /// Rendered.
    pub metrics: Metrics,
    /// Asked for before that, where one is set.
    pub token: Option<Secret>,
}

/// Counters, gauges and histograms in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "What is counted", body = String, content_type = "text/plain"),
    (status = 401, description = "METRICS_TOKEN is set and did not come as the bearer", body = ErrorBody)))]
pub async fn metrics(State(page): State<MetricsPage>, headers: HeaderMap) -> Response {
    if let Some(token) = &page.token
        && !is_bearer(&headers, token)
    {
        return refusal(ErrorCode::Unauthorized, "this page needs the metrics token");
    }
    let head = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (head, page.metrics.render()).into_response()
}

fn is_bearer(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    given.and_then(|value| value.strip_prefix(b"Bearer ")).is_some_and(|given| {
        let token = token.expose().as_bytes();
        aws_lc_rs::constant_time::verify_slices_are_equal(given, token).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_the_whole_token_opens_the_page() {
        let token = Secret::new("word");
        let with = |value| {
            HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
        };
        assert!(is_bearer(&with("Bearer word"), &token));
        for wrong in ["Bearer wor", "Bearer words", "Bearer ", "Basic word", "word"] {
            assert!(!is_bearer(&with(wrong), &token), "{wrong}");
        }
        assert!(!is_bearer(&HeaderMap::new(), &token));
    }
}
