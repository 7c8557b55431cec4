//! What each setting may be, one function for each that is more than a number or a text.

use super::layers::{Layers, SettingError};
use super::{AppEnv, DatabaseUrl, Host, LogFormat};
use crate::media::Named;
use crate::tls::{Acme, Tls};
use recorder::names::Template;
use sfu::Spread;
use sfu::relay::MAX_PLANES;
use signaling::Secret;
use signaling::words::WordFilter;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How strict to be, by any of its usual names.
pub fn app_env(layers: &Layers) -> Result<AppEnv, SettingError> {
    match layers.required("app_env")?.to_ascii_lowercase().as_str() {
        "development" | "dev" | "local" | "test" => Ok(AppEnv::Development),
        "production" | "prod" | "staging" => Ok(AppEnv::Production),
        other => Err(layers
            .wrong("app_env", format!("must be `development` or `production`, not {other:?}"))),
    }
}

/// One line, short enough for a title.
pub fn app_name(layers: &Layers) -> Result<String, SettingError> {
    let name = layers.required("app_name")?;
    if name.chars().count() > MAX_APP_NAME_CHARS || name.chars().any(char::is_control) {
        let problem = format!("must be one line of at most {MAX_APP_NAME_CHARS} characters");
        return Err(layers.wrong("app_name", problem));
    }
    Ok(name)
}

/// `true` or `false`.
pub fn flag(layers: &Layers, key: &str) -> Result<bool, SettingError> {
    layers.flag(key).ok_or_else(|| layers.wrong(key, "must be `true` or `false`"))
}

/// An origin without a slash at its end.
pub fn public_url(layers: &Layers) -> Result<Option<String>, SettingError> {
    let Some(url) = layers.text("public_url")? else { return Ok(None) };
    let url = url.trim_end_matches('/');
    if !is_origin(url) {
        let problem = format!("must be like `https://meet.example.org`, not {url:?}");
        return Err(layers.wrong("public_url", problem));
    }
    Ok(Some(url.to_owned()))
}

/// `localhost` or an address.
pub fn host(layers: &Layers) -> Result<Host, SettingError> {
    let text = layers.required("host")?;
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Host::Localhost);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&text);
    bare.parse().map(Host::Address).map_err(|_| {
        layers.wrong("host", format!("must be `localhost` or an IP address, not {text:?}"))
    })
}

/// Where the certificate comes from, with what that needs and nothing else.
pub fn tls(layers: &Layers) -> Result<Tls, SettingError> {
    let mode = layers.required("tls")?;
    let path = |key: &str| Ok::<_, SettingError>(layers.text(key)?.map(PathBuf::from));
    let (certificate, key) = (path("tls_certificate")?, path("tls_key")?);
    let authority = path("acme_authority")?;
    let email = layers.text("acme_email")?;
    let unused = |key: &str, by: &str| layers.wrong(key, format!("is for `tls = \"{by}\"` only"));
    if mode != "files" && (certificate.is_some() || key.is_some()) {
        return Err(unused(if key.is_some() { "tls_key" } else { "tls_certificate" }, "files"));
    }
    if mode != "acme" && (email.is_some() || authority.is_some()) {
        return Err(unused(if email.is_some() { "acme_email" } else { "acme_authority" }, "acme"));
    }
    match (mode.as_str(), certificate, key) {
        ("off", ..) => Ok(Tls::Off),
        ("self-signed", ..) => Ok(Tls::SelfSigned),
        ("files", Some(certificate), Some(key)) => Ok(Tls::Files { certificate, key }),
        ("files", ..) => {
            Err(layers.wrong("tls", "`files` needs `tls_certificate` and `tls_key` beside it"))
        }
        ("acme", ..) => {
            let names = layers.list("tls_names")?;
            if names.is_empty() {
                return Err(
                    layers.wrong("tls", "`acme` needs the names of this server in `tls_names`")
                );
            }
            Ok(Tls::Acme(Acme { names, email, authority }))
        }
        (other, ..) => {
            let problem = format!("must be `off`, `files`, `self-signed` or `acme`, not {other:?}");
            Err(layers.wrong("tls", problem))
        }
    }
}

/// The directory of an authority.
pub fn acme_directory(layers: &Layers) -> Result<String, SettingError> {
    let directory = layers.required("acme_directory")?;
    if !directory.starts_with("https://") {
        let problem = format!("must begin with https://, not {directory:?}");
        return Err(layers.wrong("acme_directory", problem));
    }
    Ok(directory)
}

/// Origins as browsers write them; any origin in development only.
pub fn cors_origins(layers: &Layers, app_env: AppEnv) -> Result<Vec<String>, SettingError> {
    let mut origins = layers.list("cors_origins")?;
    for origin in &mut origins {
        if origin == "*" && app_env == AppEnv::Production {
            return Err(layers.wrong("cors_origins", "must not be `*` in production"));
        }
        origin.truncate(origin.trim_end_matches('/').len());
        if origin != "*" && !is_origin(origin) {
            let problem =
                format!("must hold origins like `https://app.example.org`, not {origin:?}");
            return Err(layers.wrong("cors_origins", problem));
        }
    }
    Ok(origins)
}

/// Scheme, host and perhaps a port, as a browser writes an `Origin`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let authority = authority.parse::<axum::http::uri::Authority>();
    matches!(scheme, "http" | "https")
        && authority.is_ok_and(|authority| !authority.as_str().contains('@'))
}

/// The store reads every spelling; here only what is no database of ours is refused, before anything is made.
pub fn database_url(layers: &Layers, data_dir: &Path) -> Result<DatabaseUrl, SettingError> {
    let Some(url) = layers.text("database_url")? else {
        let path = data_dir.join("veche.db").display().to_string();
        let path = path.replace('%', "%25").replace('?', "%3F");
        return Ok(DatabaseUrl(format!("sqlite://{path}")));
    };
    let scheme = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    match scheme.split('+').next() {
        Some("sqlite" | "postgres" | "postgresql") if scheme.len() < url.len() => {
            Ok(DatabaseUrl(url))
        }
        _ => Err(layers.wrong("database_url", "must begin with sqlite:// or postgresql://")),
    }
}

/// Threads for media: so many, or one for each core where it is 0.
pub fn media_threads(layers: &Layers) -> Result<usize, SettingError> {
    let threads = layers.number("media_threads", 0..=MAX_PLANES as u32)? as usize;
    // Where the system does not say how many cores there are, one thread is what works everywhere.
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(if threads == 0 { cores().min(MAX_PLANES) } else { threads })
}

/// How busy a room's home is before the room spreads.
pub fn media_spread(layers: &Layers) -> Result<Spread, SettingError> {
    let text = layers.required("media_spread")?;
    let percent = || text.parse().ok().filter(|percent: &u8| (1..=100).contains(percent));
    match text.as_str() {
        "always" => Ok(Spread::Always),
        "never" => Ok(Spread::Above(f32::INFINITY)),
        _ => percent().map(|percent| Spread::Above(f32::from(percent) / 100.0)).ok_or_else(|| {
            let problem = format!("must be 1 to 100, `always` or `never`, not {text:?}");
            layers.wrong("media_spread", problem)
        }),
    }
}

/// A port, 0 for none, or nothing.
pub fn shared_port(layers: &Layers) -> Result<Option<u16>, SettingError> {
    match layers.text("media_shared_port")? {
        None => Ok(None),
        Some(_) => layers.number("media_shared_port", 0..=u16::MAX).map(Some),
    }
}

/// Addresses that packets can be sent to, names that have some, or the interfaces' own.
pub fn media_addresses(layers: &Layers) -> Result<Vec<Named>, SettingError> {
    let parse = |text: &String| {
        match text.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => {
            Ok(Named::Address(address))
        }
        Err(_) if text == "interfaces" => Ok(Named::Interfaces),
        Err(_) if is_host_name(text) => Ok(Named::Host(text.clone())),
        _ => Err(layers.wrong(
            "media_addresses",
            format!(
                "must hold IP addresses that browsers can reach, names, or `interfaces`, not {text:?}"
            ),
        )),
    }
    };
    layers.list("media_addresses")?.iter().map(parse).collect()
}

/// Letters, digits and hyphens between dots (RFC 1123 §2.1); what ends in a number is a mistyped address.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.split('.').all(is_label)
        && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// URLs of one of the schemes.
pub fn urls(layers: &Layers, key: &str, schemes: &[&str]) -> Result<Vec<String>, SettingError> {
    let urls = layers.list(key)?;
    let is_fine = |url: &String| {
        schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    };
    match urls.iter().find(|url| !is_fine(url)) {
        Some(url) => {
            Err(layers.wrong(key, format!("must begin with {}, not {url:?}", schemes.join(" or "))))
        }
        None => Ok(urls),
    }
}

/// A key that anybody could guess lets anybody be anybody.
pub fn jwt_secret(layers: &Layers, app_env: AppEnv) -> Result<Option<Secret>, SettingError> {
    let Some(secret) = layers.text("jwt_secret")? else { return Ok(None) };
    if app_env == AppEnv::Production {
        if secret.len() < MIN_JWT_SECRET_BYTES {
            let problem =
                format!("must have at least {MIN_JWT_SECRET_BYTES} characters in production");
            return Err(layers.wrong("jwt_secret", problem));
        }
        let kinds = secret.bytes().collect::<std::collections::BTreeSet<_>>().len();
        let lower = secret.to_ascii_lowercase();
        if kinds < MIN_JWT_SECRET_KINDS || EXAMPLES.iter().any(|word| lower.contains(word)) {
            return Err(layers.wrong(
                "jwt_secret",
                "is easy to guess; leave it empty to have one made, or use `openssl rand -hex 32`",
            ));
        }
    }
    Ok(Some(Secret::new(secret)))
}

/// What nobody shall read in chats.
pub fn blocked_words(layers: &Layers) -> Result<WordFilter, SettingError> {
    const KEY: &str = "blocked_words";
    WordFilter::new(&layers.list(KEY)?).map_err(|_| layers.wrong(KEY, "is too long"))
}

/// As said, or by how strict we are.
pub fn guests_may_create_rooms(layers: &Layers, app_env: AppEnv) -> Result<bool, SettingError> {
    const KEY: &str = "guests_may_create_rooms";
    match layers.flag(KEY) {
        Some(flag) => Ok(flag),
        None if layers.text(KEY)?.as_deref() == Some("auto") => Ok(app_env == AppEnv::Development),
        None => Err(layers.wrong(KEY, "must be `true`, `false` or `auto`")),
    }
}

/// One word for all of our own lines; more would let a library print what it reads from the wire.
pub fn log_level(layers: &Layers) -> Result<tracing::Level, SettingError> {
    let text = layers.required("log_level")?.to_ascii_lowercase();
    let level = match text.as_str() {
        "error" | "critical" => tracing::Level::ERROR,
        "warn" | "warning" => tracing::Level::WARN,
        "info" => tracing::Level::INFO,
        "debug" => tracing::Level::DEBUG,
        "trace" => tracing::Level::TRACE,
        _ => {
            let problem = format!("must be error, warn, info, debug or trace, not {text:?}");
            return Err(layers.wrong("log_level", problem));
        }
    };
    Ok(if flag(layers, "app_debug")? { level.max(tracing::Level::DEBUG) } else { level })
}

/// As said, or by how strict we are.
pub fn log_format(layers: &Layers, app_env: AppEnv) -> Result<LogFormat, SettingError> {
    match (layers.required("log_format")?.to_ascii_lowercase().as_str(), app_env) {
        ("pretty", _) | ("auto", AppEnv::Development) => Ok(LogFormat::Pretty),
        ("json", _) | ("auto", AppEnv::Production) => Ok(LogFormat::Json),
        (other, _) => Err(layers
            .wrong("log_format", format!("must be `pretty`, `json` or `auto`, not {other:?}"))),
    }
}

/// How files of recordings are called.
pub fn recording_name(layers: &Layers) -> Result<Template, SettingError> {
    const KEY: &str = "recording_name";
    Template::parse(&layers.required(KEY)?).map_err(|bad| layers.wrong(KEY, bad.0))
}

/// A span of whole minutes.
pub fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// More breaks titles, fewer cuts real names.
const MAX_APP_NAME_CHARS: usize = 64;
/// As long as the hash of HS256 (RFC 7518, 3.2); fewer can be searched.
const MIN_JWT_SECRET_BYTES: usize = 32;
/// Different bytes in a key; a random hex text of 32 has about 14. More refuses good keys, fewer passes `aaaa…`.
const MIN_JWT_SECRET_KINDS: usize = 8;
/// What example files write where a key belongs.
const EXAMPLES: &[&str] = &[
    "change-me",
    "changeme",
    "change_me",
    "change-this",
    "your-secret",
    "your_secret",
    "secret-key",
    "example",
];
