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
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

/// A debug build reads the files from the source tree as they are now; a release build carries them.
#[derive(RustEmbed)]
#[folder = "static/"]
#[exclude = "records/*"]
struct Embedded;

/// The files of a release build, compressed once, with a name for all of them together. A debug build has none.
///
/// The page of a release build names its files under that name (`/static/v-…/js/main.js`), and modules find each
/// other from there, so that a browser keeps them without asking until another build has another name.
#[derive(Clone)]
pub struct Files(Option<Arc<Build>>);

struct Build {
    version: String,
    files: HashMap<String, Arc<File>>,
}

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
        if cfg!(debug_assertions) {
            return Self(None);
        }
        let read = |name: Cow<'static, str>| Some((name.to_string(), read(&name)?));
        Self(Some(Arc::new(Build::new(Embedded::iter().filter_map(read).collect()))))
    }

    fn serve(&self, name: &str, headers: &HeaderMap) -> Response {
        let found = match &self.0 {
            Some(build) => build.files.get(name).cloned(),
            None => read(name).map(Arc::new),
        };
        found.map_or_else(not_found, |file| file.answer(headers))
    }

    /// The name without the build's, and whether that was there.
    fn without_version<'a>(&self, name: &'a str) -> (&'a str, bool) {
        let version = self.0.as_ref().map(|build| build.version.as_str());
        let bare = version.and_then(|version| name.strip_prefix(version)?.strip_prefix('/'));
        (bare.unwrap_or(name), bare.is_some())
    }
}

impl Build {
    fn new(mut files: HashMap<String, File>) -> Self {
        let mut tags: Vec<&str> = files.values().map(|file| file.tag.as_str()).collect();
        tags.sort_unstable();
        let version = format!("v-{}", tag_of(tags.concat().as_bytes()));
        if let Some(page) = files.get_mut("index.html") {
            let text = String::from_utf8_lossy(&page.plain);
            let text = text.replace("=\"/static/", &format!("=\"/static/{version}/"));
            page.tag = tag_of(text.as_bytes());
            page.gzip = compress(text.as_bytes());
            page.plain = Bytes::from(text);
        }
        Self {
            version,
            files: files.into_iter().map(|(name, file)| (name, Arc::new(file))).collect(),
        }
    }
}

/// `/static/{*name}`.
pub async fn serve_static(
    State(files): State<Files>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let (name, is_versioned) = files.without_version(&name);
    let mut response = files.serve(name, &headers);
    if is_versioned && response.status() != StatusCode::NOT_FOUND {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    response
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
        // A name without the build's stays when its content changes: browsers ask, and mostly hear "not modified".
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
        tag: tag_of(&plain),
        gzip: if is_text { compress(&plain) } else { None },
        plain,
    })
}

/// What stands for the content: the beginning of its SHA-256.
fn tag_of(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..TAG_BYTES])
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
    fn a_build_names_its_files_so_that_browsers_keep_them() {
        let page = |script: &'static str| {
            let plain = Bytes::from_static(b"<link href=\"/static/a.css\"><a href=\"/r/static/\">");
            let page = File { plain, gzip: None, ..file() };
            let script = File { tag: script.into(), ..file() };
            Build::new(HashMap::from([("index.html".into(), page), ("a.js".into(), script)]))
        };
        let (old, new) = (page("1"), page("2"));
        assert_ne!(old.version, new.version);
        let text = String::from_utf8(new.files["index.html"].plain.to_vec()).unwrap();
        let expected =
            format!("<link href=\"/static/{}/a.css\"><a href=\"/r/static/\">", new.version);
        assert_eq!(text, expected);
        assert_ne!(old.files["index.html"].tag, new.files["index.html"].tag);

        let files = Files(Some(Arc::new(new)));
        let named = format!("{}/a.js", files.0.as_ref().unwrap().version);
        assert_eq!(files.without_version(&named), ("a.js", true));
        assert_eq!(files.without_version("a.js"), ("a.js", false));
        let other = format!("{}/a.js", old.version);
        assert_eq!(files.without_version(&other), (other.as_str(), false));
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
