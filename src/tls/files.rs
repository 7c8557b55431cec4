//! A certificate in PEM files that somebody else renews.

use super::provider;
use anyhow::{Context, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

/// How soon after a change the new certificate is shown.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The certificate of the files, and of what they become while the server runs. Must be called within a runtime.
///
/// # Errors
/// The files cannot be read, or do not fit each other.
pub fn watched(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Arc<dyn ResolvesServerCert>> {
    let shown = Arc::new(Shown(RwLock::new(read(&certificate, &key)?)));
    let watched = shown.clone();
    tokio::spawn(async move {
        let mut seen = [changed(&certificate), changed(&key)];
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            let now = [changed(&certificate), changed(&key)];
            if now == seen {
                continue;
            }
            seen = now;
            // Between the two files' changes they do not fit; the old one stays until they do.
            match read(&certificate, &key) {
                Ok(read) => {
                    watched.show(read);
                    tracing::info!(file = %certificate.display(), "the certificate was read anew");
                }
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the new certificate cannot be used; the old one stays"
                ),
            }
        }
    });
    Ok(shown)
}

fn changed(path: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

/// Reads a chain and its key, and looks whether they belong together.
pub fn read(certificate: &Path, key: &Path) -> anyhow::Result<Arc<CertifiedKey>> {
    let name = certificate.display();
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificate {name}"))?;
    if chain.is_empty() {
        bail!("there is no certificate in {name}");
    }
    // What is in a key's file is nobody's to read, not even in an error.
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| anyhow::anyhow!("cannot read a private key from {}", key.display()))?;
    let key_name = key.display();
    CertifiedKey::from_der(chain, secret, &provider()).map(Arc::new).with_context(|| {
        format!("the certificate {name} and the key {key_name} cannot be used together")
    })
}

/// The certificate that is shown now.
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// One that stays.
    pub fn new(certificate: Arc<CertifiedKey>) -> Self {
        Self(RwLock::new(certificate))
    }

    fn show(&self, certificate: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = certificate;
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
    }
}
