//! Pages, their headers, and what is told to programs that watch.

use crate::program::{Answer, Place, Program};
use serde_json::json;

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn page(program: &Program, path: &str) -> Answer {
    program.send("GET", path, &[BROWSER], "")
}

#[test]
fn every_address_of_a_person_shows_the_client_and_every_other_says_so() {
    let program = Place::new(&[]).serve();
    let home = page(&program, "/");
    assert_eq!(home.status, 200);
    assert_eq!(home.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(home.header("cache-control"), Some("no-cache"));
    for path in ["/r/town-hall", "/signin", "/rooms"] {
        assert_eq!(page(&program, path).body, home.body, "{path}");
    }
    for path in [
        "/api/v1/nothing",
        "/static/nothing.js",
        "/r/cover.png",
        "/static/records/x",
        "/static/../Cargo.toml",
    ] {
        let answer = page(&program, path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    assert_eq!(program.get("/nothing").status, 404, "a program that mistypes gets no page");
}

#[test]
fn files_have_their_type_and_are_sent_once() {
    let program = Place::new(&[]).serve();
    for (path, kind) in [
        ("/static/robots.txt", "text/plain; charset=utf-8"),
        ("/robots.txt", "text/plain; charset=utf-8"),
        ("/static/index.html", "text/html; charset=utf-8"),
    ] {
        let first = program.get(path);
        assert_eq!(first.header("content-type"), Some(kind), "{path}");
        let tag = first.header("etag").expect(path);
        let again = program.send("GET", path, &[("If-None-Match", tag)], "");
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    let plain = program.get("/");
    let zipped = program.send("GET", "/", &[("Accept-Encoding", "gzip, deflate, br")], "");
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(zipped.header("vary"), Some("accept-encoding"));
    assert!(zipped.body.len() < plain.body.len());
    assert_eq!(program.send("HEAD", "/", &[], "").body.len(), 0);
    assert_eq!(program.send("POST", "/static/robots.txt", &[], "x").code(), "method_not_allowed");
}

#[test]
fn every_answer_tells_browsers_what_the_page_may_do() {
    let program = Place::new(&[]).serve();
    for path in
        ["/", "/static/robots.txt", "/health", "/metrics", "/api/v1/config", "/nothing", "/docs/"]
    {
        let answer = program.get(path);
        let policy = answer.header("content-security-policy").expect(path);
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        let permissions = answer.header("permissions-policy").expect(path);
        assert!(permissions.contains("camera=(self)"), "{path}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 32), "{path}");
        assert!(
            answer.header("server-timing").is_some_and(|t| t.starts_with("app;dur=")),
            "{path}"
        );
        assert_eq!(answer.header("strict-transport-security"), None, "{path} came without TLS");
    }
}

#[test]
fn browsers_are_kept_on_https_where_people_use_it() {
    let hsts = |program: &Program, headers: &[(&str, &str)]| {
        program.send("GET", "/", headers, "").header("strict-transport-security").is_some()
    };
    let forwarded = [("X-Forwarded-Proto", "https")];
    assert!(hsts(&Place::new(&[("PUBLIC_URL", "https://meet.example.org")]).serve(), &[]));
    let proxied = Place::new(&[("TRUST_FORWARDED_FOR", "true")]).serve();
    assert!(hsts(&proxied, &forwarded) && !hsts(&proxied, &[]));
    assert!(!hsts(&Place::new(&[]).serve(), &forwarded), "anybody may write that header");
}

#[test]
fn the_public_address_stands_in_the_links() {
    let place = Place::new(&[("PUBLIC_URL", "https://meet.example.org/")]);
    let program = place.serve();
    assert!(
        program.banner.contains("  https://meet.example.org/#/setup?token="),
        "{}",
        program.banner
    );
}

#[test]
fn another_origin_reads_answers_only_where_it_was_let_in() {
    let friend = ("Origin", "https://app.example.org");
    let allowed = |program: &Program, origin: (&str, &str)| {
        let answer = program.send("GET", "/api/v1/config", &[origin], "");
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(allowed(&Place::new(&[]).serve(), friend), None);
    let open = Place::new(&[("CORS_ORIGINS", "https://app.example.org")]).serve();
    assert_eq!(allowed(&open, friend).as_deref(), Some("https://app.example.org"));
    assert_eq!(allowed(&open, ("Origin", "https://evil.example.org")), None);
    let preflight = [
        friend,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    let answer = open.send("OPTIONS", "/api/v1/rooms", &preflight, "");
    let methods = answer.header("access-control-allow-methods").unwrap();
    assert!(methods.contains("POST") && answer.status == 200, "{methods}");
}

#[test]
fn errors_of_the_framework_are_worded_like_our_own() {
    let program = Place::new(&[]).serve();
    let guest = json!({"display_name": "Anna"}).to_string();
    let json = ("Content-Type", "application/json");
    for (answer, status, code) in [
        (program.send("PUT", "/api/v1/auth/guest", &[json], &guest), 405, "method_not_allowed"),
        (program.send("DELETE", "/metrics", &[], ""), 405, "method_not_allowed"),
        (program.send("POST", "/api/v1/auth/guest", &[json], "{"), 400, "bad_request"),
        (program.send("POST", "/api/v1/auth/guest", &[], &guest), 415, "unsupported_media"),
        (
            program.send("POST", "/api/v1/auth/guest", &[json], &" ".repeat(300_000)),
            413,
            "too_large",
        ),
    ] {
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
    }
}

#[test]
fn a_request_keeps_the_name_its_caller_gave_it() {
    let program = Place::new(&[]).serve();
    let named = |id: &str| {
        let answer = program.send("GET", "/health", &[("X-Request-ID", id)], "");
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(named("trace-0042"), "trace-0042");
    assert_ne!(named("two words"), "two words");
}

#[test]
fn requests_and_the_process_are_counted() {
    let program = Place::new(&[]).serve();
    page(&program, "/api/v1/rooms/by-invite/s3cretcode");
    let answer = program.get("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text();
    for line in [
        "http_requests_total{method=\"GET\",route=\"/api/v1/rooms/by-invite/{code}\",status=\"404\"} 1",
        "http_request_duration_seconds_bucket{method=\"GET\",route=\"/api/v1/rooms/by-invite/{code}\",le=\"",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
        "http_connections ",
        concat!("veche_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("s3cretcode"));
}

#[test]
fn metrics_may_ask_for_a_token() {
    let program = Place::new(&[("METRICS_TOKEN", "word")]).serve();
    assert_eq!(program.get("/metrics").code(), "unauthorized");
    let bearer = [("Authorization", "Bearer word")];
    assert_eq!(program.send("GET", "/metrics", &bearer, "").status, 200);
}

#[test]
fn the_api_describes_itself_with_files_of_its_own() {
    let program = Place::new(&[]).serve();
    let description = program.get("/api/openapi.json").json();
    for path in ["/api/v1/auth/guest", "/api/v1/rooms", "/health", "/metrics"] {
        assert!(description["paths"][path].is_object(), "{path}");
    }
    let docs = program.get("/docs");
    assert_eq!((docs.status, docs.header("location")), (303, Some("/docs/")));
    let html = program.get("/docs/");
    assert_eq!(html.status, 200);
    assert!(!html.text().contains("http"), "{}", html.text());
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert!(html.text().contains(file), "{file}");
        assert_eq!(program.get(&format!("/docs/{file}")).status, 200, "{file}");
    }
    let start = program.get("/docs/swagger-initializer.js");
    assert!(start.text().contains("/api/openapi.json"), "{}", start.text());
}
