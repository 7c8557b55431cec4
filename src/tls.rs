//! HTTPS: where the certificate comes from, and how it stays good while the server runs.

mod acme;
mod files;
mod self_signed;

pub use files::read;

use crate::config::Config;
use crate::secrets::DataDir;
use anyhow::Context;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP: this machine alone, or a proxy before us.
    Off,
    /// PEM files, read again when they change.
    Files {
        /// The chain, ours first.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// One that we make ourselves: for a LAN, whose people compare its fingerprint.
    SelfSigned,
    /// One from a certificate authority that asks us by ACME (RFC 8555), renewed by itself.
    Acme(Acme),
}

/// How a certificate is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// Names it shall be good for.
    pub names: Vec<String>,
    /// Where the authority writes to.
    pub email: Option<String>,
    /// PEM file of whoever vouches for the authority's own address, where browsers' list does not.
    pub authority: Option<PathBuf>,
}

/// HTTPS that is ready.
pub struct Ready {
    /// Makes connections of streams.
    pub acceptor: TlsAcceptor,
    /// SHA-256 of our own certificate, as browsers show it, where no authority vouches for it.
    pub fingerprint: Option<String>,
}

/// Gets ready, as the settings say; nothing where they say plain HTTP. What keeps the certificate good runs as tasks of
/// the runtime. `own` are this machine's addresses.
///
/// # Errors
/// A file is missing or does not fit the other, or cannot be written.
pub fn start(config: &Config, data: &DataDir, own: &[IpAddr]) -> anyhow::Result<Option<Ready>> {
    let mut fingerprint = None;
    let resolver: Arc<dyn ResolvesServerCert> = match &config.tls {
        Tls::Off => return Ok(None),
        Tls::Files { certificate, key } => files::watched(certificate.clone(), key.clone())?,
        Tls::SelfSigned => {
            let made = self_signed::kept(&data.folder("tls")?, self_signed::names(config, own))?;
            fingerprint = Some(made.fingerprint);
            made.certificate
        }
        Tls::Acme(acme) => acme::renewed(acme, &config.acme_directory, data.folder("acme")?)?,
    };
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .context("the cipher suites of TLS do not fit its versions")?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    // A client of TURN may say so; browsers say nothing, and their first bytes tell.
    server.alpn_protocols = vec![HTTP.to_vec(), TURN.to_vec()];
    if matches!(config.tls, Tls::Acme(_)) {
        server.alpn_protocols.push(ACME.to_vec());
    }
    Ok(Some(Ready { acceptor: TlsAcceptor::from(Arc::new(server)), fingerprint }))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// What we speak inside (RFC 7301): WebSockets over HTTP/2 gain nothing, as each holds a connection's worth of queue anyway.
const HTTP: &[u8] = b"http/1.1";
/// TURN over TLS (RFC 7443).
pub const TURN: &[u8] = b"stun.turn";
/// How an authority asks whether a name is ours (RFC 8737).
pub const ACME: &[u8] = b"acme-tls/1";
