//! Headers that tell browsers what our pages may do, which is little.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// When browsers are told to stay on HTTPS.
#[derive(Clone, Copy, Debug)]
pub struct Https {
    /// The address people use begins with `https`.
    pub always: bool,
    /// A proxy's `X-Forwarded-Proto` is believed.
    pub trust_forwarded: bool,
}

/// Adds the headers to every answer; one that a handler set itself stays.
pub async fn protect(State(https): State<Https>, request: Request, next: Next) -> Response {
    let is_https = https.always || (https.trust_forwarded && came_by_https(request.headers()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_https {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert(HeaderValue::from_static("max-age=31536000; includeSubDomains"));
    }
    response
}

fn came_by_https(headers: &HeaderMap) -> bool {
    // The last proxy, ours, wrote the last word.
    let value = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    value.and_then(|value| value.rsplit(',').next()).is_some_and(|word| word.trim() == "https")
}

/// `ws:` and `wss:` because older browsers do not count our own sockets as 'self'.
pub const APP_POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: blob:; \
     media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

const ALWAYS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, APP_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS),
    (header::CACHE_CONTROL, "no-store"),
];

const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), \
     fullscreen=(self), autoplay=(self), picture-in-picture=(self), speaker-selection=(self), \
     screen-wake-lock=(self), geolocation=(), payment=(), usb=(), serial=(), midi=(), hid=()";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_nothing_inline() {
        assert!(!APP_POLICY.contains("unsafe"));
        assert!(!APP_POLICY.contains("  "), "a line was continued with its indentation");
    }

    #[test]
    fn only_the_nearest_proxy_says_how_a_request_came() {
        let came = |text: &'static str| {
            came_by_https(&HeaderMap::from_iter([(
                HeaderName::from_static("x-forwarded-proto"),
                HeaderValue::from_static(text),
            )]))
        };
        assert!(came("https"));
        assert!(came("http, https"));
        assert!(!came("https, http"));
        assert!(!came_by_https(&HeaderMap::new()));
    }
}
