//! What the server makes for itself at first start and keeps for itself: the data folder, its lock, and the
//! secrets in it.

use crate::replace::replace;
use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use figment::providers::{Format, Toml};
use serde::Deserialize;
use signaling::Secret;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The data folder, locked: two servers in one folder would each believe that they own the rooms.
pub struct DataDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Makes the folder where it is missing, and takes it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIR)
            .create(path)
            .with_context(|| format!("cannot make the data folder {name}"))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write to the data folder {name}"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another veche uses the data folder {name}"),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the data folder {name}"));
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// A folder in it for its owner alone; made where it is missing.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIR)
            .create(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(path)
    }

    /// The secrets kept here; what is missing is made and kept.
    pub fn secrets(&self) -> anyhow::Result<Secrets> {
        let path = self.path.join("secrets.toml");
        let kept = read(&path)?;
        let secrets = Secrets {
            jwt_secret: kept.jwt_secret.clone().unwrap_or_else(random_secret),
            setup_token: kept.setup_token.clone().unwrap_or_else(random_secret),
            turn_secret: kept.turn_secret.clone().unwrap_or_else(random_secret),
        };
        if [&kept.jwt_secret, &kept.setup_token, &kept.turn_secret].iter().any(|one| one.is_none())
        {
            write(&path, &secrets).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(secrets)
    }
}

/// Secrets that nobody has to think of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// Signs access tokens, where the settings name no other key.
    pub jwt_secret: Secret,
    /// Opens the admin set-up page while there is no admin.
    pub setup_token: Secret,
    /// Makes credentials for the TURN server in this process.
    pub turn_secret: Secret,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default, deserialize_with = "secret")]
    jwt_secret: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    setup_token: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    turn_secret: Option<Secret>,
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(from)?;
    if text.len() < SECRET_BYTES {
        return Err(serde::de::Error::custom("a secret is too short"));
    }
    Ok(Some(Secret::new(text)))
}

/// Secrets that others may read are not trusted less: they may be in use. They are closed again, aloud.
fn read(path: &Path) -> anyhow::Result<Kept> {
    let name = path.display();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {name}")),
    };
    let mode = fs::metadata(path).with_context(|| format!("cannot read {name}"))?.mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(file = %name, mode = format!("{mode:o}"), "others could read the secrets; closing the file to them");
        fs::set_permissions(path, Permissions::from_mode(PRIVATE_FILE))
            .with_context(|| format!("{name} is open to others and cannot be closed"))?;
    }
    // The parser's words quote the file, which is why they are not passed on.
    Toml::from_str(&text).map_err(|_| {
        anyhow::anyhow!("{name} is damaged; restore it, or remove it to sign everybody out and have a new one made")
    })
}

fn write(path: &Path, secrets: &Secrets) -> std::io::Result<()> {
    let text = format!(
        "# Made by veche at first start. Whoever has this file can be anybody.
\
         jwt_secret = {:?}
setup_token = {:?}
turn_secret = {:?}
",
        secrets.jwt_secret.expose(),
        secrets.setup_token.expose(),
        secrets.turn_secret.expose()
    );
    replace(path, text.as_bytes())
}

fn random_secret() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>()))
}

/// Random bytes of a secret: as long as the hash it keys; fewer weaken it, more add nothing.
const SECRET_BYTES: usize = 32;
/// For the owner alone.
const PRIVATE_FILE: u32 = 0o600;
/// For the owner alone.
const PRIVATE_DIR: u32 = 0o700;

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn secrets_are_made_once_and_for_the_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/data");
        let first = DataDir::open(&path).unwrap().secrets().unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("secrets.toml")), 0o600);
        assert_ne!(first.jwt_secret, first.setup_token);
        let again = DataDir::open(&path).unwrap().secrets().unwrap();
        assert_eq!(first, again);
    }

    #[test]
    fn a_secret_that_an_older_version_did_not_have_is_added_to_those_kept() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap().secrets().unwrap();
        let file = root.path().join("secrets.toml");
        let text = fs::read_to_string(&file).unwrap();
        let older: String = text
            .lines()
            .filter(|line| !line.starts_with("turn"))
            .map(|l| format!("{l}\n"))
            .collect();
        fs::write(&file, older).unwrap();
        let second = DataDir::open(root.path()).unwrap().secrets().unwrap();
        assert_eq!(
            (&second.jwt_secret, &second.setup_token),
            (&first.jwt_secret, &first.setup_token)
        );
        assert_ne!(second.turn_secret, first.turn_secret);
        assert_eq!(DataDir::open(root.path()).unwrap().secrets().unwrap(), second);
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn an_open_secrets_file_is_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap().secrets().unwrap();
        let file = root.path().join("secrets.toml");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(DataDir::open(root.path()).unwrap().secrets().unwrap(), first);
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_damaged_secrets_file_is_an_error_that_quotes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("secrets.toml");
        for text in ["jwt_secret = \"abcdef\"\n", "hunter2 = [\n", "hunter2 = \"x\"\n"] {
            fs::write(&file, text).unwrap();
            let error = DataDir::open(root.path()).unwrap().secrets().unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains("damaged") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn two_servers_do_not_share_a_data_folder() {
        let root = tempfile::tempdir().unwrap();
        let held = DataDir::open(root.path()).unwrap();
        let error = DataDir::open(root.path()).err().unwrap();
        assert!(error.to_string().contains("another veche"));
        drop(held);
        assert!(DataDir::open(root.path()).is_ok());
    }
}
