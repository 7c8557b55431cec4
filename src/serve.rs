//! `veche serve`: puts the parts together, says where to meet, and takes them apart again.

use crate::capacity;
use crate::config::{Config, Host};
use crate::export::queue::Queue;
use crate::http::{self, Https, Listeners, MediaDoor, MetricsPage, Site};
use crate::logs;
use crate::media::{self, Faults, Media, MediaConfig, RelaySettings, turn_urls};
use crate::metrics::Metrics;
use crate::recording::{self, RecordingConfig};
use crate::replace::replace;
use crate::secrets::{DataDir, Secrets};
use crate::shutdown::StopSignals;
use crate::tls::{self, Tls};
use anyhow::{Context, bail};
use serde::Serialize;
use signaling::files::Files;
use signaling::records::Records;
use signaling::room::Rules;
use signaling::{BuiltinTurn, RecordingSettings, Settings, Signaling, TurnUrls};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::Store;
use tokio::sync::watch;
use turn::Holders;

/// Serves until told to stop. `ready_file` gets the addresses as JSON once people can come.
pub fn run(config: Config, ready_file: Option<&Path>) -> anyhow::Result<()> {
    // What this process writes is for its owner alone, whatever the shell before it thought.
    // SAFETY: umask only sets a number of the process, and no other thread runs yet.
    unsafe { libc::umask(0o077) };
    logs::start(&config);
    capacity::take_all_files();
    let data = DataDir::open(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start worker threads")?;
    let outcome = runtime.block_on(serve(config, &data, ready_file));
    // Whatever still runs was told to stop and had its time.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: Config, data: &DataDir, ready_file: Option<&Path>) -> anyhow::Result<()> {
    let secrets = data.secrets()?;
    let mut signals = StopSignals::listen()?;
    let metrics = Metrics::install()?;
    tokio::spawn(metrics.clone().keep_up());
    let listeners = Listeners::bind(config.host, config.port)?;
    let store = Store::connect(config.database_url.expose())
        .await
        .with_context(|| format!("cannot use the database {:?}", config.database_url))?;
    let records = Records::new(config.records_dir.clone());
    let (mut recording, mut recorded) = recording::prepare(RecordingConfig {
        records: records.clone(),
        template: config.recording_name.clone(),
        min_free_bytes: config.recording_min_free_mb.saturating_mul(MIB),
    });
    let tap = recording.tap();
    let relay = has_turn(&config).then(|| OwnRelay::new(&config, listeners.port()));
    let following = relay.clone();
    let (mut media, mut events) = media::start(&MediaConfig {
        threads: config.media_threads,
        port: config.media_port,
        single_port: config.media_single_port,
        spread: config.media_spread,
        // Where both are one port, the door of HTTP takes streams for media as well.
        listens: config.media_tcp && config.media_port != listeners.port(),
        shared_port: config.shared_port(listeners.port()),
        addresses: config.media_addresses.clone(),
        with_loopback: config.host.is_local(),
        batched: config.media_batching,
        tap,
        relays: relay.is_some().then(|| RelaySettings {
            secret: secrets.turn_secret.clone(),
            per_person: config.turn_builtin_allocations,
            bytes_per_second: config.turn_builtin_mbit * 1_000_000 / 8,
            holders: Holders::default(),
        }),
        moved: Arc::new(move |media| following.iter().for_each(|relay| relay.follow(media))),
        faults: Faults::of_environment(),
    })?;
    recording.run(media.plane())?;
    recording::recover(store.clone(), records.clone(), now_ms()).await?;
    let own: Vec<IpAddr> = media.told.iter().map(|told| told.address).collect();
    let tls = tls::start(&config, data, &own)?;
    let setup_token = (!store.has_admin().await?).then_some(secrets.setup_token.clone());
    let (exports, mut exported) = Queue::start()?;
    let recording_settings = RecordingSettings {
        recorder: recording.recorder(),
        exporter: exports.exporter(),
        records,
        room_quota_bytes: quota(config.recordings_room_quota_mb),
        quota_bytes: quota(config.recordings_quota_mb),
        max_upload_bytes: config.recording_upload_mb.saturating_mul(MIB),
        is_https: config.is_https() || config.tls != Tls::Off,
    };
    let mut settings = settings(&config, &secrets, setup_token, recording_settings);
    settings.turn_builtin = relay.map(|relay| {
        relay.follow(&media.candidates());
        let ttl = Duration::from_secs(config.turn_builtin_seconds);
        BuiltinTurn { urls: relay.urls, secret: secrets.turn_secret.clone(), ttl }
    });
    let place = Place {
        url: config
            .public_url
            .clone()
            .unwrap_or_else(|| local_url(&config.tls, config.host, listeners.port())),
        media_addresses: media.candidates(),
    };
    let fingerprint = tls.as_ref().and_then(|tls| tls.fingerprint.as_deref());
    let banner = banner(&config, &settings, &place, &listeners, &media, fingerprint);
    let signaling = Signaling::new(settings, store.clone(), media.plane());
    let pulse = media.pulse();
    tokio::spawn(capacity::watch(signaling.clone(), metrics.clone(), pulse, config.save_when_busy));
    let hearing = signaling.clone();
    tokio::spawn(async move {
        while let Some(recording) = exported.recv().await {
            hearing.export_made(recording).await;
        }
    });
    let hearing = signaling.clone();
    let finished = tokio::spawn(async move {
        while let Some(event) = recorded.recv().await {
            hearing.recorder_event(event).await;
        }
    });
    let site = Site {
        metrics: MetricsPage { metrics, token: config.metrics_token.clone() },
        https: Https { always: config.is_https(), trust_forwarded: config.trust_forwarded_for },
        cors_origins: config.cors_origins.clone(),
    };
    let app = http::router(site, signaling.router(), Signaling::openapi());
    let door = media.stream_door();
    let media_door: Option<MediaDoor> =
        config.media_tcp.then(|| Arc::new(move |handed| door.enter(handed)) as _);
    let (stop, stopping) = watch::channel(false);
    let mut server = tokio::spawn(listeners.serve(
        app,
        tls.map(|tls| tls.acceptor),
        media_door,
        config.max_connections,
        stopping,
    ));
    if let Some(path) = ready_file {
        place.write(path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // Whoever closed our output does not want to read it; that is no reason to stop.
    let _ = std::io::stdout().write_all(banner.as_bytes());
    tracing::info!(url = place.url, version = env!("CARGO_PKG_VERSION"), "serving");

    let reason = loop {
        tokio::select! {
            name = signals.next() => break Ok(name),
            event = events.recv() => match event {
                Some(event) => signaling.media_event(event),
                None => break Err("every media thread has ended"),
            },
            _ = &mut server => break Err("the HTTP server has died"),
        }
    };
    signals.exit_on_next();
    tracing::info!(reason = reason.unwrap_or_else(|died| died), "stopping");
    let parting = async {
        let _ = stop.send(true);
        signaling.shutdown().await;
        // After the rooms, which have ended what they recorded.
        let recording = tokio::task::spawn_blocking(move || recording.stop());
        let media = tokio::task::spawn_blocking(move || media.stop());
        if !server.is_finished() {
            let _ = server.await;
        }
        let _ = media.await;
        let _ = recording.await;
        let _ = finished.await;
        store.close().await;
    };
    if tokio::time::timeout(STOP_PATIENCE, parting).await.is_err() {
        tracing::warn!("some connections did not end in time and were cut");
    }
    match reason {
        Ok(_) => Ok(()),
        Err(died) => bail!("{died}"),
    }
}

/// What the control plane is told.
fn settings(
    config: &Config,
    secrets: &Secrets,
    setup_token: Option<signaling::Secret>,
    recording: RecordingSettings,
) -> Settings {
    // Whoever opens the public address has it as their origin.
    let cors_origins = config.cors_origins.iter().chain(&config.public_url).cloned().collect();
    Settings {
        app_name: config.app_name.clone(),
        is_production: config.is_production(),
        jwt_secret: config.jwt_secret.clone().unwrap_or_else(|| secrets.jwt_secret.clone()),
        access_token_ttl: config.access_token_ttl,
        refresh_token_ttl: config.refresh_token_ttl,
        registration_secret: config.registration_secret.clone(),
        guests_may_create_rooms: config.guests_may_create_rooms,
        setup_token,
        cors_origins,
        stun_servers: config.stun_servers.clone(),
        turn_urls: config.turn_urls.clone(),
        turn_secret: config.turn_secret.clone(),
        turn_username: config.turn_username.clone(),
        turn_password: config.turn_password.clone(),
        turn_builtin: None,
        trust_forwarded_for: config.trust_forwarded_for,
        files: Files::new(config.data_dir.join("uploads")),
        attachment_quota_bytes: config.attachment_quota_mb.saturating_mul(MIB),
        capacity: capacity::capacity(config),
        rules: Rules {
            words: config.blocked_words.clone(),
            recordings_at_once: config.recordings_at_once,
            ..Rules::default()
        },
        recording,
    }
}

/// Whether the TURN server in this process runs. Where only this machine can reach us nobody needs one.
fn has_turn(config: &Config) -> bool {
    config.turn_builtin && (!config.host.is_local() || config.public_url.is_some())
}

/// The TURN server in this process as clients are told of it.
#[derive(Clone)]
struct OwnRelay {
    urls: TurnUrls,
    with_tcp: bool,
    /// By which name it is reached by TLS, and where.
    tls: Option<(String, u16)>,
}

impl OwnRelay {
    fn new(config: &Config, port: u16) -> Self {
        // Behind a proxy HTTPS is the proxy's, and so is its port.
        let name = (config.tls != Tls::Off).then(|| tls_name(config)).flatten();
        let tls = name.map(|name| (name, port));
        Self { urls: TurnUrls::default(), with_tcp: config.media_tcp, tls }
    }

    /// It is at the addresses of the media plane.
    fn follow(&self, media: &[SocketAddr]) {
        let tls = self.tls.as_ref().map(|(name, port)| (name.as_str(), *port));
        self.urls.set(turn_urls(media, self.with_tcp, tls));
    }
}

/// The name that our certificate is good for.
fn tls_name(config: &Config) -> Option<String> {
    let public = config.public_url.as_deref().and_then(|url| url.strip_prefix("https://"));
    let public = public.map(|authority| match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    });
    let acme = match &config.tls {
        Tls::Acme(acme) => acme.names.first(),
        Tls::Off | Tls::SelfSigned | Tls::Files { .. } => None,
    };
    public
        .or(acme.map(String::as_str))
        .or(config.tls_names.first().map(String::as_str))
        .map(str::to_owned)
}

/// Bytes of a quota in megabytes, where 0 is none.
fn quota(megabytes: u64) -> u64 {
    if megabytes == 0 { u64::MAX } else { megabytes.saturating_mul(MIB) }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

const MIB: u64 = 1024 * 1024;

/// Where the server is, for programs that started it.
#[derive(Serialize)]
struct Place {
    url: String,
    media_addresses: Vec<SocketAddr>,
}

impl Place {
    /// Whoever waits for the file reads all of it.
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        replace(path, &serde_json::to_vec(self)?)?;
        Ok(())
    }
}

/// An address that works in a browser on this machine.
fn local_url(tls: &Tls, host: Host, port: u16) -> String {
    let scheme = if *tls == Tls::Off { "http" } else { "https" };
    // What the certificate was asked for is the address that works.
    if let Tls::Acme(acme) = tls
        && let Some(name) = acme.names.first()
    {
        return format!("https://{name}:{port}");
    }
    match host {
        Host::Address(IpAddr::V4(address)) if !address.is_unspecified() => {
            format!("{scheme}://{address}:{port}")
        }
        Host::Address(IpAddr::V6(address)) if !address.is_unspecified() => {
            format!("{scheme}://[{address}]:{port}")
        }
        Host::Localhost | Host::Address(_) => format!("{scheme}://localhost:{port}"),
    }
}

/// What a person at the terminal needs. The set-up link has its token in the fragment, which no browser sends on.
fn banner(
    config: &Config,
    settings: &Settings,
    place: &Place,
    listeners: &Listeners,
    media: &Media,
    fingerprint: Option<&str>,
) -> String {
    let listens: Vec<String> = listeners.addresses().iter().map(SocketAddr::to_string).collect();
    let told = place.media_addresses.iter().zip(&media.told);
    let told: Vec<String> = told.map(|(at, told)| format!("{at} ({})", told.origin)).collect();
    let environment = if config.is_production() { "production" } else { "development" };
    let mut text = format!(
        "{} is ready (veche {}, {environment})\n\n",
        config.app_name,
        env!("CARGO_PKG_VERSION")
    );
    let mut line = |what: &str, value: &str| text.push_str(&format!("  {what:<13} {value}\n"));
    line("Open", &place.url);
    line("Listens (TCP)", &listens.join(", "));
    line("Media (UDP)", &told.join(", "));
    if config.media_tcp {
        let shared = config.shared_port(listeners.port());
        let shared = shared.map_or(String::new(), |port| format!(", and on port {port}"));
        line("Media (TCP)", &format!("the same{shared}, for networks that let no UDP out"));
    }
    if let [first, .., last] = &media.ports[..] {
        let ports = match last.checked_sub(*first).map(usize::from) {
            Some(step) if step + 1 == media.ports.len() => format!("{first} to {last}"),
            _ => media.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        };
        line("Media ports", &format!("{ports}, one for each thread: all must be reachable"));
    }
    if let Some(fingerprint) = fingerprint {
        line("Certificate", &format!("self-signed, SHA-256 {fingerprint}"));
    }
    if config.tls == Tls::Off && config.public_url.is_none() && !config.host.is_local() {
        line("Warning", "over plain HTTP browsers open no cameras but on this machine; see --tls");
    }
    line("Data", &config.data_dir.display().to_string());
    if let Some(token) = &settings.setup_token {
        line("Admin set-up", &format!("{}/#/setup?token={}", place.url, token.expose()));
    }
    text.push('\n');
    text
}

/// Service managers and container engines wait 10 s or more before they kill; people wait less.
const STOP_PATIENCE: Duration = Duration::from_millis(4500);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn the_printed_address_works_on_this_machine() {
        for (host, url) in [
            (Host::Localhost, "http://localhost:80"),
            (Host::Address(Ipv4Addr::UNSPECIFIED.into()), "http://localhost:80"),
            (Host::Address(Ipv6Addr::UNSPECIFIED.into()), "http://localhost:80"),
            (Host::Address(Ipv4Addr::LOCALHOST.into()), "http://127.0.0.1:80"),
            (Host::Address(Ipv6Addr::LOCALHOST.into()), "http://[::1]:80"),
        ] {
            assert_eq!(local_url(&Tls::Off, host, 80), url);
            assert_eq!(local_url(&Tls::SelfSigned, host, 80), url.replace("http:", "https:"));
        }
    }
}
