//! The web client: the files of `static/`, built into the binary, and which address shows which of them.

use super::errors::not_found;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

/// A debug build reads the files from the source tree as they are now; a release build carries them.
#[derive(RustEmbed)]
#[folder = "static/"]
#[exclude = "records/*"]
struct Embedded;

/// The files of a release build, compressed once. Empty in a debug build.
#[derive(Clone)]
pub struct Files(Arc<HashMap<String, Arc<File>>>);

struct File {
    content_type: HeaderValue,
    /// Of the plain bytes; the compressed ones have it with a suffix.
    tag: String,
    plain: Bytes,
    gzip: Option<Bytes>,
}

impl Files {
    /// Compresses what is built in.
    pub fn load() -> Self {
        let names = Embedded::iter().filter(|_| !cfg!(debug_assertions));
        Self(Arc::new(
            names.filter_map(|name| Some((name.to_string(), Arc::new(read(&name)?)))).collect(),
        ))
    }

    fn find(&self, name: &str) -> Option<Arc<File>> {
        if cfg!(debug_assertions) { read(name).map(Arc::new) } else { self.0.get(name).cloned() }
    }

    fn serve(&self, name: &str, headers: &HeaderMap) -> Response {
        match self.find(name) {
            Some(file) => file.answer(headers),
            None => not_found(),
        }
    }
}

/// `/static/{*name}`.
pub async fn serve_static(
    State(files): State<Files>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    files.serve(&name, &headers)
}

/// Every address that nothing else answers: files that browsers look for at the root, and the pages of the
/// client, which all are its one page.
pub async fn serve_page(State(files): State<Files>, request: Request) -> Response {
    let path = request.uri().path();
    let name = path.trim_start_matches('/');
    if ROOT_FILES.contains(&name) {
        return only_read(request.method(), || files.serve(name, request.headers()));
    }
    if !is_page(path, request.headers()) {
        return not_found();
    }
    only_read(request.method(), || files.serve("index.html", request.headers()))
}

fn only_read(method: &Method, answer: impl FnOnce() -> Response) -> Response {
    match *method {
        Method::GET | Method::HEAD => answer(),
        _ => (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response(),
    }
}

/// A mistyped call of the API must not be answered by a page, nor a missing picture.
fn is_page(path: &str, headers: &HeaderMap) -> bool {
    let mut segments = path.split('/').skip(1);
    let first = segments.next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let wants_page = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")));
    let is_start = path == "/" || path == "/index.html";
    is_start || (wants_page && !RESERVED.contains(&first) && !last.contains('.'))
}

impl File {
    fn answer(&self, asked: &HeaderMap) -> Response {
        let gzip = self.gzip.as_ref().filter(|_| takes_gzip(asked));
        let tag = if gzip.is_some() {
            format!("\"{}-gz\"", self.tag)
        } else {
            format!("\"{}\"", self.tag)
        };
        let mut response = if knows(asked, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            Body::from(gzip.unwrap_or(&self.plain).clone()).into_response()
        };
        let headers = response.headers_mut();
        // Names do not change with their content, so browsers ask each time and mostly hear "not modified".
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, tag);
        }
        if self.gzip.is_some() {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if response.status() == StatusCode::OK {
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, self.content_type.clone());
            if gzip.is_some() {
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        response
    }
}

fn read(name: &str) -> Option<File> {
    // A debug build would follow these out of the folder's records.
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part == "records") {
        return None;
    }
    let found = Embedded::get(name)?;
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    let is_text = kind.type_() == mime_guess::mime::TEXT
        || ["json", "javascript", "svg", "xml"].iter().any(|word| kind.as_ref().contains(word));
    let shown = if kind.type_() == mime_guess::mime::TEXT {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    };
    let plain = Bytes::from(found.data.into_owned());
    Some(File {
        content_type: HeaderValue::from_str(&shown).ok()?,
        tag: URL_SAFE_NO_PAD.encode(&found.metadata.sha256_hash()[..TAG_BYTES]),
        gzip: if is_text { compress(&plain) } else { None },
        plain,
    })
}

/// `None` where it would save nothing.
fn compress(plain: &[u8]) -> Option<Bytes> {
    let level = if cfg!(debug_assertions) { Compression::fast() } else { Compression::best() };
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(plain).ok()?;
    let compressed = encoder.finish().ok()?;
    (compressed.len() < plain.len()).then(|| Bytes::from(compressed))
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|item| {
        let (coding, quality) = item.split_once(';').unwrap_or((item, ""));
        let quality: String = quality.split_whitespace().collect();
        let refused = quality.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()) == Some(0.0);
        matches!(coding.trim(), "gzip" | "*") && !refused
    })
}

fn knows(asked: &HeaderMap, tag: &str) -> bool {
    let values = asked.get_all(header::IF_NONE_MATCH).iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

/// First segments that never are pages.
const RESERVED: &[&str] = &["api", "ws", "whip", "whep", "static", "docs"];
/// What browsers, crawlers and installed apps ask for at the root.
const ROOT_FILES: &[&str] = &[
    "favicon.ico",
    "favicon.svg",
    "robots.txt",
    "manifest.webmanifest",
    "service-worker.js",
    "sw.js",
];
/// Of the SHA-256: two versions of a file with the same 96 bits will not happen.
const TAG_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn file() -> File {
        File {
            content_type: HeaderValue::from_static("text/css"),
            tag: "abc".into(),
            plain: Bytes::from_static(b"body{}"),
            gzip: Some(Bytes::from_static(b"zipped")),
        }
    }

    #[test]
    fn a_browser_that_has_the_file_is_told_so_and_gets_nothing() {
        let fresh = file().answer(&headers(header::IF_NONE_MATCH, "W/\"x\", \"abc\""));
        assert_eq!(fresh.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(fresh.headers()[header::ETAG], "\"abc\"");
        assert!(fresh.headers().get(header::CONTENT_TYPE).is_none());
        let stale = file().answer(&headers(header::IF_NONE_MATCH, "\"old\""));
        assert_eq!(stale.status(), StatusCode::OK);
    }

    #[test]
    fn the_compressed_file_goes_to_who_takes_it_and_has_its_own_tag() {
        for (given, zipped) in
            [("gzip, br", true), ("br;q=1, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false)]
        {
            let answer = file().answer(&headers(header::ACCEPT_ENCODING, given));
            assert_eq!(answer.headers().contains_key(header::CONTENT_ENCODING), zipped, "{given}");
            let tag = if zipped { "\"abc-gz\"" } else { "\"abc\"" };
            assert_eq!(answer.headers()[header::ETAG], tag, "{given}");
            assert_eq!(answer.headers()[header::VARY], "accept-encoding");
        }
    }

    #[test]
    fn pages_are_what_a_person_opens_and_calls_are_not() {
        let person = headers(header::ACCEPT, "text/html,application/xhtml+xml");
        for page in ["/", "/r/town-hall", "/signin", "/a/b/c"] {
            assert!(is_page(page, &person), "{page}");
        }
        for other in ["/api/v1/nothing", "/ws/x", "/r/cover.png", "/static/x", "/docs/x"] {
            assert!(!is_page(other, &person), "{other}");
        }
        assert!(!is_page("/r/town-hall", &HeaderMap::new()));
        assert!(is_page("/", &HeaderMap::new()));
    }

    #[test]
    fn nothing_outside_the_client_is_read() {
        for name in ["../Cargo.toml", "records/a/b.webm", ".git", "a//b", "", "js/../../Cargo.toml"]
        {
            assert!(read(name).is_none(), "{name}");
        }
    }
}
