//! TLS as a browser does it: certificates are believed that browsers' list vouches for, and those of an authority that
//! is named.

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Makes a connection secure; with the chain that was shown.
///
/// # Errors
/// The certificate is not to be believed, or the other side speaks no TLS. The cause is a [`rustls::Error`] then.
pub async fn connect(
    stream: TcpStream,
    name: &str,
    authority: Option<&Path>,
) -> anyhow::Result<(TlsStream<TcpStream>, Vec<CertificateDer<'static>>)> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    if let Some(path) = authority {
        let shown = path.display();
        for root in
            CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read {shown}"))?
        {
            roots.add(root.with_context(|| format!("cannot read {shown}"))?)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("the cipher suites of TLS do not fit its versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).context("the name is none")?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
    Ok((stream, chain))
}
