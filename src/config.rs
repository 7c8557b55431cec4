//! The settings in force, read once at start and checked here, so that nothing behind this module meets a bad one.

mod check;
mod layers;

use crate::media::Named;
use crate::tls::Tls;
use anyhow::Context;
use layers::{Layers, SettingError};
use recorder::names::Template;
use sfu::Spread;
use signaling::Secret;
use signaling::words::WordFilter;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the deployment.
    pub app_name: String,
    /// How strict to be.
    pub app_env: AppEnv,
    /// Address people reach us at, without a slash at its end, where it is not host and port.
    pub public_url: Option<String>,
    /// Where to listen.
    pub host: Host,
    /// TCP port; 0 for any.
    pub port: u16,
    /// Where the certificate for HTTPS comes from.
    pub tls: Tls,
    /// Names that a certificate of our own is good for, beside those that we know.
    pub tls_names: Vec<String>,
    /// Directory of the authority that gives certificates.
    pub acme_directory: String,
    /// Connections at a time.
    pub max_connections: u32,
    /// Transports of media at a time; 0 for what the machine carries, as for the next three.
    pub max_transports: u64,
    /// Packets of media sent per second.
    pub max_packets: u64,
    /// Sockets of rooms at a time.
    pub max_sockets: u64,
    /// Megabytes in memory.
    pub max_memory_mb: u64,
    /// How busy a media thread may be, in percent of its time.
    pub max_busy_percent: u8,
    /// Whether those inside get less while the media threads are too busy.
    pub save_when_busy: bool,
    /// Whether a proxy of ours stands before us.
    pub trust_forwarded_for: bool,
    /// Origins beside our own.
    pub cors_origins: Vec<String>,
    /// Folder of database and secrets.
    pub data_dir: PathBuf,
    /// Database.
    pub database_url: DatabaseUrl,
    /// Folder of recordings.
    pub records_dir: PathBuf,
    /// How files of recordings are called.
    pub recording_name: Template,
    /// How many rooms may be recorded at once.
    pub recordings_at_once: u32,
    /// Megabytes that a disk must have free for recordings to go on.
    pub recording_min_free_mb: u64,
    /// Megabytes that the recordings of one room may have together; 0 for any.
    pub recordings_room_quota_mb: u64,
    /// Megabytes that all recordings may have together; 0 for any.
    pub recordings_quota_mb: u64,
    /// Megabytes of one uploaded recording; 0 takes none.
    pub recording_upload_mb: u64,
    /// First port of media; 0 for any.
    pub media_port: u16,
    /// Threads that forward media.
    pub media_threads: usize,
    /// Whether all of them share that port.
    pub media_single_port: bool,
    /// When a room spreads over them.
    pub media_spread: Spread,
    /// Whether media may come by TCP on that port too.
    pub media_tcp: bool,
    /// TCP port of HTTP, as clients reach it, that they are told for media too: 0 for none, nothing where it follows from
    /// the rest.
    pub media_shared_port: Option<u16>,
    /// Addresses advertised for media; empty for the interfaces' own.
    pub media_addresses: Vec<Named>,
    /// Whether many packets go into one system call, where the system can.
    pub media_batching: bool,
    /// `stun:` URLs for clients.
    pub stun_servers: Vec<String>,
    /// `turn:` URLs for clients.
    pub turn_urls: Vec<String>,
    /// Secret shared with the TURN server.
    pub turn_secret: Option<Secret>,
    /// Fixed TURN user.
    pub turn_username: Option<String>,
    /// Fixed TURN password.
    pub turn_password: Option<Secret>,
    /// Whether the TURN server in this process runs.
    pub turn_builtin: bool,
    /// Seconds for which its credentials are good.
    pub turn_builtin_seconds: u64,
    /// Allocations that one person may have on it.
    pub turn_builtin_allocations: usize,
    /// Megabits per second that one of them may carry, each way.
    pub turn_builtin_mbit: u64,
    /// Key of access tokens, when it is not the one made at first start.
    pub jwt_secret: Option<Secret>,
    /// Life of an access token.
    pub access_token_ttl: Duration,
    /// Life of a refresh token.
    pub refresh_token_ttl: Duration,
    /// Word for registration.
    pub registration_secret: Option<Secret>,
    /// Whether guests may create rooms.
    pub guests_may_create_rooms: bool,
    /// Megabytes that the uploads of one person may have together.
    pub attachment_quota_mb: u64,
    /// Words that nobody shall read in chats.
    pub blocked_words: WordFilter,
    /// Least important lines to log.
    pub log_level: tracing::Level,
    /// How lines are written.
    pub log_format: LogFormat,
    /// What `/metrics` asks for.
    pub metrics_token: Option<Secret>,
}

/// The port of an origin, which has it in the end or means that of its scheme.
fn port_of(origin: &str) -> u16 {
    let named = origin.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    named.unwrap_or(if origin.starts_with("https://") { 443 } else { 80 })
}

/// An exabyte: more is a slip of the finger.
const MANY_MB: u64 = 1_000_000_000_000;

/// How strict to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEnv {
    /// Everything works at once.
    Development,
    /// Unsafe settings are refused.
    Production,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Both loopback addresses, as far as the machine has them.
    Localhost,
    /// One address, perhaps the unspecified one.
    Address(IpAddr),
}

impl Host {
    /// Whether only this machine reaches it.
    pub fn is_local(self) -> bool {
        match self {
            Host::Localhost => true,
            Host::Address(address) => address.is_loopback(),
        }
    }
}

/// URL of the database; printing it hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL with everything in it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&layers::without_password(&self.0))
    }
}

/// What the command line may say; it wins over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--host`.
    pub host: Option<String>,
    /// `--port`.
    pub port: Option<u16>,
    /// `--tls`.
    pub tls: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
}

impl Config {
    /// Reads file, environment and command line.
    pub fn load(options: &Options) -> anyhow::Result<Self> {
        Ok(Self::checked(&read_layers(options)?)?)
    }

    /// What is in force, as TOML with sources and without secrets. Fails where [`Config::load`] does.
    pub fn describe(options: &Options) -> anyhow::Result<String> {
        let layers = read_layers(options)?;
        Self::checked(&layers)?;
        Ok(layers.describe())
    }

    fn checked(layers: &Layers) -> Result<Self, SettingError> {
        let app_env = check::app_env(layers)?;
        let data_dir = PathBuf::from(layers.required("data_dir")?);
        let algorithm = layers.required("jwt_algorithm")?;
        if algorithm != "HS256" {
            return Err(layers.wrong("jwt_algorithm", format!("must be HS256, not {algorithm:?}")));
        }
        let config = Self {
            app_name: check::app_name(layers)?,
            app_env,
            public_url: check::public_url(layers)?,
            host: check::host(layers)?,
            port: layers.number("port", 0..=u16::MAX)?,
            tls: check::tls(layers)?,
            acme_directory: check::acme_directory(layers)?,
            tls_names: layers.list("tls_names")?,
            max_connections: layers.number("max_connections", 16..=1_000_000)?,
            max_transports: layers.number("max_transports", 0..=MANY_MB)?,
            max_packets: layers.number("max_packets", 0..=MANY_MB)?,
            max_sockets: layers.number("max_sockets", 0..=MANY_MB)?,
            max_memory_mb: layers.number("max_memory_mb", 0..=MANY_MB)?,
            max_busy_percent: layers.number("max_busy_percent", 1..=100)?,
            save_when_busy: check::flag(layers, "save_when_busy")?,
            trust_forwarded_for: check::flag(layers, "trust_forwarded_for")?,
            cors_origins: check::cors_origins(layers, app_env)?,
            database_url: check::database_url(layers, &data_dir)?,
            data_dir,
            records_dir: PathBuf::from(layers.required("records_dir")?),
            recording_name: check::recording_name(layers)?,
            recordings_at_once: layers.number("recordings_at_once", 0..=10_000)?,
            recording_min_free_mb: layers.number("recording_min_free_mb", 0..=100_000_000)?,
            recordings_room_quota_mb: layers.number("recordings_room_quota_mb", 0..=MANY_MB)?,
            recordings_quota_mb: layers.number("recordings_quota_mb", 0..=MANY_MB)?,
            recording_upload_mb: layers.number("recording_upload_mb", 0..=1_000_000)?,
            media_port: layers.number("media_port", 0..=u16::MAX)?,
            media_threads: check::media_threads(layers)?,
            media_single_port: check::flag(layers, "media_single_port")?,
            media_spread: check::media_spread(layers)?,
            media_tcp: check::flag(layers, "media_tcp")?,
            media_shared_port: check::shared_port(layers)?,
            media_addresses: check::media_addresses(layers)?,
            media_batching: check::flag(layers, "media_batching")?,
            stun_servers: check::urls(layers, "stun_servers", &["stun:", "stuns:"])?,
            turn_urls: check::urls(layers, "turn_urls", &["turn:", "turns:"])?,
            turn_secret: layers.text("turn_secret")?.map(Secret::new),
            turn_username: layers.text("turn_username")?,
            turn_password: layers.text("turn_password")?.map(Secret::new),
            turn_builtin: check::flag(layers, "turn_builtin")?,
            turn_builtin_seconds: layers.number("turn_builtin_seconds", 10..=600)?,
            turn_builtin_allocations: layers.number("turn_builtin_allocations", 1..=8_192)?,
            turn_builtin_mbit: layers.number("turn_builtin_mbit", 1..=10_000)?,
            jwt_secret: check::jwt_secret(layers, app_env)?,
            access_token_ttl: check::minutes(
                layers.number("access_token_expire_minutes", 1..=43_200)?,
            ),
            refresh_token_ttl: check::minutes(
                24 * 60 * layers.number::<u64>("refresh_token_expire_days", 1..=3_650)?,
            ),
            registration_secret: layers.text("registration_secret")?.map(Secret::new),
            guests_may_create_rooms: check::guests_may_create_rooms(layers, app_env)?,
            attachment_quota_mb: layers.number("attachment_quota_mb", 0..=1_000_000)?,
            blocked_words: check::blocked_words(layers)?,
            log_level: check::log_level(layers)?,
            log_format: check::log_format(layers, app_env)?,
            metrics_token: layers.text("metrics_token")?.map(Secret::new),
        };
        config.check_turn(layers)?;
        config.check_media_ports(layers)?;
        Ok(config)
    }

    /// A browser throws at a TURN server without credentials, and nobody could join.
    fn check_turn(&self, layers: &Layers) -> Result<(), SettingError> {
        let has_credentials = self.turn_secret.is_some()
            || (self.turn_username.is_some() && self.turn_password.is_some());
        if self.turn_urls.is_empty() || has_credentials {
            return Ok(());
        }
        Err(layers.wrong(
            "turn_urls",
            "needs `turn_secret`, or `turn_username` and `turn_password`, beside it",
        ))
    }

    /// Threads with a port each need as many that are free.
    fn check_media_ports(&self, layers: &Layers) -> Result<(), SettingError> {
        let ports = self.media_ports();
        let (threads, first) = (self.media_threads, self.media_port);
        if ports.len() < threads && !self.media_single_port && first != 0 {
            let problem = format!("is too high for {threads} threads with a port each");
            return Err(layers.wrong("media_port", problem));
        }
        if self.media_tcp && ports.iter().skip(1).any(|port| *port == self.port) {
            let problem = format!(
                "with a port for each of {threads} threads runs into `port` ({}): choose another, or `media_single_port = true`",
                self.port
            );
            return Err(layers.wrong("media_port", problem));
        }
        Ok(())
    }

    /// The ports of media: one for all threads, or one for each; 0 for any.
    pub fn media_ports(&self) -> Vec<u16> {
        if self.media_single_port || self.media_port == 0 {
            return vec![self.media_port];
        }
        (self.media_port..=u16::MAX).take(self.media_threads).collect()
    }

    /// The TCP port of HTTP, as clients reach it, where they are told it for media; `listens` is where it is bound.
    pub fn shared_port(&self, listens: u16) -> Option<u16> {
        if !self.media_tcp {
            return None;
        }
        match self.media_shared_port {
            Some(0) => None,
            Some(port) => Some(port),
            // It is the media port.
            None if listens == self.media_port => Some(listens),
            // A proxy may stand before us, which takes requests only.
            None if self.tls == Tls::Off => None,
            None => Some(self.public_url.as_deref().map_or(listens, port_of)),
        }
    }

    /// Whether unsafe settings are refused.
    pub fn is_production(&self) -> bool {
        self.app_env == AppEnv::Production
    }

    /// Whether browsers reach us by HTTPS, as far as settings tell.
    pub fn is_https(&self) -> bool {
        // Browsers that were told to stay on HTTPS offer no way past a certificate that nobody vouches for.
        matches!(self.tls, Tls::Files { .. } | Tls::Acme(_))
            || self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

fn read_layers(options: &Options) -> anyhow::Result<Layers> {
    let file = layers::chosen_file(options.file.clone());
    let mut given = Vec::new();
    if let Some(host) = &options.host {
        given.push(("host", host.clone()));
    }
    if let Some(port) = options.port {
        given.push(("port", port.to_string()));
    }
    if let Some(tls) = &options.tls {
        given.push(("tls", tls.clone()));
    }
    if let Some(data_dir) = &options.data_dir {
        let text = data_dir.to_str().context("--data-dir is not UTF-8")?;
        given.push(("data_dir", text.to_owned()));
    }
    Layers::read(file.as_deref(), |name| std::env::var(name).ok(), &given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn with(pairs: &[(&str, &str)]) -> Result<Config, SettingError> {
        let variables: BTreeMap<&str, &str> = pairs.iter().copied().collect();
        let environment = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        Config::checked(&Layers::read(None, environment, &[]).unwrap())
    }

    fn problem(pairs: &[(&str, &str)]) -> String {
        let text = with(pairs).expect_err(&format!("{pairs:?} is refused")).to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    }

    #[test]
    fn the_shipped_file_is_a_working_configuration() {
        let config = with(&[]).unwrap();
        assert_eq!((config.host, config.port), (Host::Localhost, 8080));
        assert_eq!(config.database_url.expose(), "sqlite://data/veche.db");
        assert!(config.guests_may_create_rooms && !config.is_production());
    }

    /// Another value for every setting. A new setting without a line here fails the test.
    const OTHER: &[(&str, &str)] = &[
        ("app_name", "Town"),
        ("app_env", "production"),
        ("app_debug", "true"),
        ("public_url", "https://meet.example.org"),
        ("host", "0.0.0.0"),
        ("port", "9000"),
        ("tls", "self-signed"),
        ("tls_certificate", "cert.pem"),
        ("tls_key", "key.pem"),
        ("tls_names", "meet.example.org"),
        ("acme_email", "admin@example.org"),
        ("acme_directory", "https://acme.example.org/directory"),
        ("acme_authority", "ca.pem"),
        ("max_connections", "100"),
        ("max_transports", "101"),
        ("max_packets", "102"),
        ("max_sockets", "103"),
        ("max_memory_mb", "104"),
        ("max_busy_percent", "77"),
        ("save_when_busy", "false"),
        ("trust_forwarded_for", "true"),
        ("cors_origins", "https://app.example.org"),
        ("data_dir", "elsewhere"),
        ("database_url", "postgresql://me@db/veche"),
        ("records_dir", "records"),
        ("recording_name", "{person}-{source}.{ext}"),
        ("recordings_at_once", "3"),
        ("recording_min_free_mb", "17"),
        ("recordings_room_quota_mb", "18"),
        ("recordings_quota_mb", "19"),
        ("recording_upload_mb", "21"),
        ("media_port", "11000"),
        ("media_tcp", "false"),
        ("media_shared_port", "443"),
        ("media_addresses", "192.0.2.1"),
        ("media_threads", "63"),
        ("media_single_port", "false"),
        ("media_spread", "always"),
        ("media_batching", "false"),
        ("stun_servers", "stun:stun.example.org"),
        ("turn_urls", "turn:turn.example.org"),
        ("turn_secret", "s3cret"),
        ("turn_username", "me"),
        ("turn_password", "pass"),
        ("turn_builtin", "false"),
        ("turn_builtin_seconds", "60"),
        ("turn_builtin_allocations", "5"),
        ("turn_builtin_mbit", "7"),
        ("jwt_secret", "0123456789abcdefghijklmnopqrstuv"),
        ("jwt_algorithm", "RS256"),
        ("access_token_expire_minutes", "5"),
        ("refresh_token_expire_days", "7"),
        ("registration_secret", "word"),
        ("guests_may_create_rooms", "false"),
        ("attachment_quota_mb", "10"),
        ("blocked_words", "darn,heck"),
        ("log_level", "warn"),
        ("log_format", "json"),
        ("metrics_token", "token"),
    ];

    #[test]
    fn every_setting_is_changed_by_the_variable_of_its_name() {
        let shown = |config: Result<Config, SettingError>| match config {
            Ok(config) => format!(
                "{config:?} {:?} {:?}",
                [&config.jwt_secret, &config.turn_secret, &config.turn_password].map(exposed),
                [&config.registration_secret, &config.metrics_token].map(exposed),
            ),
            Err(error) => error.to_string(),
        };
        let usual = shown(with(&[]));
        for key in layers::keys() {
            let (_, other) = OTHER
                .iter()
                .find(|(name, _)| *name == key)
                .unwrap_or_else(|| panic!("{key} needs another value in this test"));
            let changed = shown(with(&[(&key.to_ascii_uppercase(), other)]));
            assert_ne!(changed, usual, "{key} changes nothing");
        }
        assert_eq!(OTHER.len(), layers::keys().count());
    }

    fn exposed(secret: &Option<Secret>) -> Option<&str> {
        secret.as_ref().map(Secret::expose)
    }

    #[test]
    fn a_bad_value_is_refused_by_name_and_source() {
        for (pair, words) in [
            (
                ("PORT", "70000"),
                "`port` (PORT) must be a whole number from 0 to 65535, not \"70000\"",
            ),
            (("PORT", "http"), "not \"http\""),
            (("MEDIA_PORT", "-1"), "`media_port`"),
            (("MEDIA_THREADS", "65"), "from 0 to 64"),
            (("MEDIA_SPREAD", "0"), "must be 1 to 100"),
            (("MEDIA_SPREAD", "sometimes"), "`always` or `never`"),
            (("MEDIA_ADDRESSES", "192.0.2.1,10.0.0.300"), "\"10.0.0.300\""),
            (("MEDIA_ADDRESSES", "meet.example.org:8081"), "`media_addresses`"),
            (("MEDIA_ADDRESSES", "0.0.0.0"), "`media_addresses`"),
            (("HOST", "example.org"), "`localhost` or an IP address"),
            (("JWT_ALGORITHM", "none"), "must be HS256"),
            (("APP_ENV", "prodution"), "`development` or `production`"),
            (("APP_NAME", "a\nb"), "one line"),
            (("APP_DEBUG", "maybe"), "`app_debug` (APP_DEBUG)"),
            (("PUBLIC_URL", "meet.example.org"), "`public_url`"),
            (("CORS_ORIGINS", "https://a.example/path"), "`cors_origins`"),
            (("CORS_ORIGINS", "app.example.org"), "`cors_origins`"),
            (("DATABASE_URL", "mysql://root@db/x"), "must begin with sqlite://"),
            (("DATABASE_URL", "/var/lib/veche.db"), "must begin with sqlite://"),
            (("STUN_SERVERS", "stun.example.org"), "stun:"),
            (("TURN_URL", "turn:turn.example.org"), "`turn_urls` (TURN_URL) needs `turn_secret`"),
            (("JWT_EXPIRES_MIN", "0"), "(JWT_EXPIRES_MIN)"),
            (("GUESTS_MAY_CREATE_ROOMS", "some"), "`auto`"),
            (("LOG_LEVEL", "tungstenite=trace"), "`log_level`"),
            (("LOG_FORMAT", "xml"), "`log_format`"),
            (("RECORDING_NAME", "../{person}_{source}.{ext}"), "`recording_name`"),
        ] {
            let text = problem(&[pair]);
            assert!(text.contains(words), "{pair:?}: {text}");
        }
    }

    #[test]
    fn unsafe_signing_keys_are_refused_in_production_and_not_printed() {
        for secret in [
            "short",
            &"a".repeat(40),
            "please-change-me-please-change-me-0123456789",
            &"ab".repeat(20),
        ] {
            let text = problem(&[("APP_ENV", "production"), ("SECRET_KEY", secret)]);
            assert!(text.contains("`jwt_secret` (SECRET_KEY)") && !text.contains(secret), "{text}");
            assert!(with(&[("SECRET_KEY", secret)]).is_ok());
        }
        let good = "5f0c1d9c2be94f3f8e1a7c0d4b6a2233";
        let config = with(&[("APP_ENV", "prod"), ("JWT_SECRET", good)]).unwrap();
        assert!(!format!("{config:?}").contains(good));
    }

    #[test]
    fn production_is_stricter() {
        let config = with(&[("APP_ENV", "production")]).unwrap();
        assert!(!config.guests_may_create_rooms);
        assert_eq!(config.log_format, LogFormat::Json);
        problem(&[("APP_ENV", "production"), ("CORS_ORIGINS", "*")]);
        assert!(with(&[("CORS_ORIGINS", "*")]).is_ok());
    }

    #[test]
    fn threads_with_a_port_each_need_as_many() {
        let own = |more: &[(&str, &str)]| {
            let all = [&[("MEDIA_THREADS", "4"), ("MEDIA_SINGLE_PORT", "false")], more].concat();
            with(&all).map(|config| config.media_ports()).map_err(|error| error.to_string())
        };
        assert_eq!(own(&[]), Ok(vec![8081, 8082, 8083, 8084]));
        assert_eq!(own(&[("MEDIA_PORT", "0")]), Ok(vec![0]));
        assert_eq!(
            with(&[("MEDIA_THREADS", "4")]).map(|config| config.media_ports()).ok(),
            Some(vec![8081])
        );
        let error = own(&[("MEDIA_PORT", "65533")]).expect_err("there are three left");
        assert!(error.contains("too high for 4 threads"), "{error}");
        let error = own(&[("MEDIA_PORT", "8078")]).expect_err("one of them is that of pages");
        assert!(error.contains("`port` (8080)"), "{error}");
        assert!(own(&[("MEDIA_PORT", "8078"), ("MEDIA_TCP", "false")]).is_ok());
        // Where both are one port, that of pages takes the streams of the first thread.
        assert!(own(&[("MEDIA_PORT", "8080")]).is_ok());
    }

    #[test]
    fn database_urls_of_other_programs_are_taken_and_printed_without_passwords() {
        for given in [
            "postgresql+asyncpg://u:p4ss@h/d",
            "postgresql+psycopg://u:p4ss@h/d",
            "postgres://h/d?password=p4ss&sslmode=require",
            "sqlite+aiosqlite:///var/veche.db",
        ] {
            let config = with(&[("SQLALCHEMY_DATABASE_URL", given)]).unwrap();
            assert_eq!(config.database_url.expose(), given);
            assert!(!format!("{config:?}").contains("p4ss"));
        }
    }
}
