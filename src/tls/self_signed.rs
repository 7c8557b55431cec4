//! A certificate that nobody vouches for: kept, so that who has trusted it once is not asked again.

use super::files::{self, Shown};
use crate::config::{Config, Host};
use crate::replace::replace;
use anyhow::Context;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::server::ResolvesServerCert;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Longest life that browsers believe (398 days), and how old one may become before another is made.
const LIFE: Duration = Duration::from_secs(397 * 24 * 3600);
const OLD: Duration = Duration::from_secs(300 * 24 * 3600);

/// What was made.
pub struct Made {
    /// Shown to everybody.
    pub certificate: Arc<dyn ResolvesServerCert>,
    /// Its SHA-256, in pairs of digits.
    pub fingerprint: String,
}

/// The names that people may use for this machine: what the settings call it, and its addresses.
pub fn names(config: &Config, own: &[IpAddr]) -> Vec<String> {
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(config.tls_names.iter().cloned());
    names.extend(own.iter().map(IpAddr::to_string));
    if let Host::Address(address) = config.host
        && !address.is_unspecified()
    {
        names.insert(address.to_string());
    }
    let host = config.public_url.as_deref().and_then(|url| url.parse::<axum::http::Uri>().ok());
    names.extend(
        host.and_then(|url| url.host().map(|host| host.trim_matches(['[', ']']).to_owned())),
    );
    names.into_iter().collect()
}

/// The certificate kept in a folder for these names; made where there is none, it is old, or the names have changed.
///
/// # Errors
/// The folder cannot be read or written.
pub fn kept(folder: &Path, names: Vec<String>) -> anyhow::Result<Made> {
    let [certificate, key, list] =
        ["certificate.pem", "key.pem", "names.txt"].map(|name| folder.join(name));
    let wanted = names.join("\n");
    let is_good =
        std::fs::read_to_string(&list).is_ok_and(|text| text == wanted) && is_young(&certificate);
    let found = is_good.then(|| files::read(&certificate, &key).ok()).flatten();
    let found = match found {
        Some(found) => found,
        None => {
            let (chain, secret) = make(names).context("cannot make a certificate")?;
            write(&key, secret.as_bytes())?;
            write(&certificate, chain.as_bytes())?;
            write(&list, wanted.as_bytes())?;
            files::read(&certificate, &key)?
        }
    };
    let fingerprint = fingerprint(found.end_entity_cert().context("a chain of none")?);
    Ok(Made { certificate: Arc::new(Shown::new(found)), fingerprint })
}

fn is_young(file: &Path) -> bool {
    let made = std::fs::metadata(file).and_then(|about| about.modified());
    made.is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age < OLD))
}

fn make(names: Vec<String>) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Veche, self-signed");
    params.distinguished_name = name;
    let now = SystemTime::now();
    // Clocks of a LAN differ.
    params.not_before = (now - Duration::from_secs(24 * 3600)).into();
    params.not_after = (now + LIFE - Duration::from_secs(24 * 3600)).into();
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    replace(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn fingerprint(certificate: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_until_its_names_change() {
        let folder = tempfile::tempdir().unwrap();
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let first = kept(folder.path(), names(&["localhost", "192.0.2.1"])).unwrap().fingerprint;
        assert_eq!(first.len(), 32 * 3 - 1);
        let again = kept(folder.path(), names(&["localhost", "192.0.2.1"])).unwrap().fingerprint;
        assert_eq!(first, again);
        let other = kept(folder.path(), names(&["localhost", "192.0.2.2"])).unwrap().fingerprint;
        assert_ne!(first, other);
        // What is damaged is made anew.
        std::fs::write(folder.path().join("key.pem"), "nothing").unwrap();
        assert_ne!(
            kept(folder.path(), names(&["localhost", "192.0.2.2"])).unwrap().fingerprint,
            other
        );
    }
}
