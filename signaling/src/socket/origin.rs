//! From which pages a socket may be opened. Browsers send `Origin` and let any page open sockets to anywhere,
//! so the server has to look; programs without a page send none.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// Whether the page is ours or one of those allowed.
pub(super) fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let same =
        |entry: &String| entry == "*" || entry.trim_end_matches('/').eq_ignore_ascii_case(origin);
    if allowed.iter().any(same) {
        return true;
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    match (authority_of(origin), host) {
        (Some((scheme, origin)), Some(host)) => {
            with_port(origin, scheme).eq_ignore_ascii_case(&with_port(host, scheme))
        }
        _ => false,
    }
}

/// Scheme and authority of `https://host:port`; `null` and other schemes have none.
fn authority_of(origin: &str) -> Option<(&str, &str)> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_web = ["http", "https"].iter().any(|web| web.eq_ignore_ascii_case(scheme));
    (is_web && !authority.is_empty()).then_some((scheme, authority))
}

/// The authority with the port that the scheme leaves out. Behind a proxy that speaks TLS we see the
/// browser's `Host`, but not its scheme, so the origin's scheme speaks for both.
fn with_port(authority: &str, scheme: &str) -> String {
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if has_port {
        return authority.to_owned();
    }
    let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
    format!("{authority}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origin: Option<&str>, host: &str, list: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        is_allowed(&headers, &list.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn our_own_pages_and_programs_may() {
        assert!(allowed(None, "veche.example", &[]));
        assert!(allowed(Some("http://localhost:8080"), "localhost:8080", &[]));
        assert!(allowed(Some("https://veche.example"), "veche.example", &[]));
        assert!(allowed(Some("https://veche.example"), "Veche.Example:443", &[]));
        assert!(allowed(Some("http://[::1]:8080"), "[::1]:8080", &[]));
        assert!(allowed(Some("http://[::1]"), "[::1]", &[]));
    }

    #[test]
    fn listed_pages_may_and_all_others_may_not() {
        let list = ["https://app.example/"];
        assert!(allowed(Some("https://app.example"), "veche.example", &list));
        assert!(allowed(Some("https://any.example"), "veche.example", &["*"]));
        for origin in [
            "https://evil.example",
            "https://veche.example.evil",
            "https://evil.example/veche.example",
            "https://veche.example:8443",
            "http://veche.example:443@evil.example",
            "null",
            "file://",
            "",
        ] {
            assert!(!allowed(Some(origin), "veche.example", &list), "{origin}");
        }
    }
}
