//! A certificate from an authority: asked for, proven over TLS itself (`tls-alpn-01`, RFC 8737) and renewed.

use super::{Acme, provider};
use anyhow::Context;
use futures_util::StreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ResolvesServerCert;
use rustls::{ClientConfig, RootCertStore};
use rustls_acme::AcmeConfig;
use rustls_acme::caches::DirCache;
use std::path::PathBuf;
use std::sync::Arc;

/// The certificate of the authority with that directory, kept in `folder`; a task asks for it and renews it. Until it is there nobody can
/// connect. Must be called within a runtime.
///
/// # Errors
/// The authority's own certificate cannot be read.
pub fn renewed(
    acme: &Acme,
    directory: &str,
    folder: PathBuf,
) -> anyhow::Result<Arc<dyn ResolvesServerCert>> {
    let mut config = match &acme.authority {
        None => AcmeConfig::new_with_provider(&acme.names, provider()),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            let name = path.display();
            for root in CertificateDer::pem_file_iter(path)
                .with_context(|| format!("cannot read {name}"))?
            {
                let root = root.with_context(|| format!("cannot read {name}"))?;
                roots
                    .add(root)
                    .with_context(|| format!("{name} holds no certificate of an authority"))?;
            }
            let client = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .context("the cipher suites of TLS do not fit its versions")?
                .with_root_certificates(roots)
                .with_no_client_auth();
            AcmeConfig::new_with_client_config(&acme.names, Arc::new(client))
        }
    };
    config = config.directory(directory);
    if let Some(email) = &acme.email {
        config = config.contact_push(format!("mailto:{email}"));
    }
    let mut state = config.cache(DirCache::new(folder)).state();
    let resolver = state.resolver();
    let names = acme.names.join(", ");
    tokio::spawn(async move {
        while let Some(event) = state.next().await {
            match event {
                Ok(done) => tracing::info!(names, "certificate: {done:?}"),
                // It is tried again by itself, later and later.
                Err(error) => tracing::warn!(names, %error, "no certificate yet; trying again"),
            }
        }
    });
    Ok(resolver)
}
