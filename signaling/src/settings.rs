//! What the control plane is told at start.

use crate::admission::Capacity;
use crate::exports::Exporter;
use crate::files::Files;
use crate::recorder::Recorder;
use crate::records::Records;
use crate::room::Rules;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Text that must never reach a log; printing it shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Settings of the control plane, checked by the process before they come here.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the deployment.
    pub app_name: String,
    /// Whether unsafe settings are refused and guests are held shorter.
    pub is_production: bool,
    /// Key of access tokens, at least 32 bytes; invite codes and resume secrets are keyed from it too.
    pub jwt_secret: Secret,
    /// Life of an access token.
    pub access_token_ttl: Duration,
    /// Life of a refresh token.
    pub refresh_token_ttl: Duration,
    /// Asked for at registration; without it registration is open in development and closed in production.
    pub registration_secret: Option<Secret>,
    /// Whether guests may create rooms.
    pub guests_may_create_rooms: bool,
    /// Token of the admin set-up link, while no admin exists.
    pub setup_token: Option<Secret>,
    /// Origins beside our own that may open sockets and read answers.
    pub cors_origins: Vec<String>,
    /// `stun:` URLs handed to clients.
    pub stun_servers: Vec<String>,
    /// `turn:` and `turns:` URLs handed to clients.
    pub turn_urls: Vec<String>,
    /// Shared secret for short-lived TURN credentials (coturn's `use-auth-secret`).
    pub turn_secret: Option<Secret>,
    /// Static TURN user, when there is no shared secret.
    pub turn_username: Option<String>,
    /// Static TURN password.
    pub turn_password: Option<Secret>,
    /// The TURN server in this process, where clients can reach it.
    pub turn_builtin: Option<BuiltinTurn>,
    /// Whether `X-Forwarded-For` is believed for rate limits, because a proxy of ours stands before us.
    pub trust_forwarded_for: bool,
    /// Where uploads lie.
    pub files: Files,
    /// Bytes that the uploads of one person may have together.
    pub attachment_quota_bytes: u64,
    /// What this server may hold.
    pub capacity: Capacity,
    /// What is decided for all rooms.
    pub rules: Rules,
    /// How meetings are recorded.
    pub recording: RecordingSettings,
}

/// The TURN server in this process, which relays to the media plane and nowhere else.
#[derive(Clone, Debug)]
pub struct BuiltinTurn {
    /// Where it is.
    pub urls: TurnUrls,
    /// What its credentials are made with.
    pub secret: Secret,
    /// How long they are good: at most ten minutes, which is as long as it remembers who was removed.
    pub ttl: Duration,
}

/// `turn:` and `turns:` URLs that follow the addresses of the media plane. Cheap to clone; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub struct TurnUrls(Arc<RwLock<Vec<String>>>);

impl From<Vec<String>> for TurnUrls {
    fn from(urls: Vec<String>) -> Self {
        Self(Arc::new(RwLock::new(urls)))
    }
}

impl TurnUrls {
    /// They are these from now on.
    pub fn set(&self, urls: Vec<String>) {
        // Nothing under the lock panics half way, so what a poisoned one holds is whole.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = urls;
    }

    /// Those of now.
    pub fn now(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How meetings are recorded.
#[derive(Clone)]
pub struct RecordingSettings {
    /// The recorder.
    pub recorder: Arc<dyn Recorder>,
    /// Makes one file of a recording.
    pub exporter: Arc<dyn Exporter>,
    /// Where its files lie.
    pub records: Records,
    /// Bytes that all recordings of one room may have together; its owner may say less.
    pub room_quota_bytes: u64,
    /// Bytes that all recordings may have together.
    pub quota_bytes: u64,
    /// Bytes of one upload.
    pub max_upload_bytes: u64,
    /// Whether people reach us by HTTPS alone, so that browsers may be told to keep cookies to it.
    pub is_https: bool,
}

impl fmt::Debug for RecordingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingSettings").field("records", &self.records).finish_non_exhaustive()
    }
}

/// The media plane's queue is full; the client is told to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media plane is busy")]
pub struct MediaBusy;

/// The way to the media plane. Never blocks.
pub trait MediaPlane: Send + Sync + 'static {
    /// Hands a command over.
    fn send(&self, command: sfu::Command) -> Result<(), MediaBusy>;
}

#[cfg(test)]
use crate::exports::NoExporter;
#[cfg(test)]
use crate::recorder::NoRecorder;

#[cfg(test)]
impl Settings {
    /// A deployment in development, with everything optional left out.
    pub(crate) fn for_tests() -> Self {
        Self {
            app_name: "Veche".into(),
            is_production: false,
            jwt_secret: Secret::new("a secret of tests, long enough for HS256"),
            access_token_ttl: Duration::from_secs(30 * 60),
            refresh_token_ttl: Duration::from_secs(30 * 24 * 60 * 60),
            registration_secret: None,
            guests_may_create_rooms: true,
            setup_token: None,
            cors_origins: Vec::new(),
            stun_servers: Vec::new(),
            turn_urls: Vec::new(),
            turn_secret: None,
            turn_username: None,
            turn_password: None,
            turn_builtin: None,
            trust_forwarded_for: false,
            files: Files::new(
                std::env::temp_dir().join(format!("veche-files-{}", uuid::Uuid::new_v4())),
            ),
            attachment_quota_bytes: 1024 * 1024,
            capacity: Capacity {
                transports: 100_000,
                packets: 100_000_000,
                sockets: 100_000,
                memory: 1 << 40,
                busy: 0.85,
            },
            rules: Rules::default(),
            recording: RecordingSettings {
                recorder: Arc::new(NoRecorder),
                exporter: Arc::new(NoExporter),
                records: Records::new(
                    std::env::temp_dir().join(format!("veche-records-{}", uuid::Uuid::new_v4())),
                ),
                room_quota_bytes: u64::MAX,
                quota_bytes: u64::MAX,
                max_upload_bytes: 16 * 1024 * 1024,
                is_https: false,
            },
        }
    }
}
