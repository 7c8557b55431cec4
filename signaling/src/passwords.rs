//! Passwords: argon2id, away from the async threads, and never more at once than there are cores.

use crate::app::ApiError;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use protocol::ErrorCode;
use std::sync::OnceLock;
use std::thread::available_parallelism;
use tokio::sync::Semaphore;

/// Makes and checks digests of passwords.
pub(crate) struct Passwords {
    /// Hashing now: one per core. More at once are no faster, and each takes 19 MiB.
    running: Semaphore,
    /// Hashing or waiting for it; when it is empty people are told to come back.
    admitted: Semaphore,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self {
            running: Semaphore::new(cores),
            admitted: Semaphore::new(cores.saturating_mul(WAITING_PER_CORE)),
        }
    }

    /// The digest of a new password, with its parameters and salt.
    pub(crate) async fn hash(&self, password: String) -> Result<String, ApiError> {
        self.run(move || hashed(&password)).await
    }

    /// Whether the password fits the digest. Without a digest (nobody has that name) it takes as long and is
    /// false, so that time does not tell who has an account.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ApiError> {
        self.run(move || {
            static NOBODY: OnceLock<String> = OnceLock::new();
            let is_somebody = hash.is_some();
            let nobody = || NOBODY.get_or_init(|| hashed("nobody's password")).clone();
            fits(&password, &hash.unwrap_or_else(nobody)) && is_somebody
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let busy = || ApiError::new(ErrorCode::Unavailable, "too many sign-ins at once, try again");
        let _admitted = self.admitted.try_acquire().map_err(|_| busy())?;
        let _running = self.running.acquire().await.map_err(|_| busy())?;
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            tracing::error!(%error, "hashing a password failed");
            ApiError::new(ErrorCode::Internal, "hashing the password failed")
        })
    }
}

/// At about 50 ms each on one core, the last in line waits some six seconds.
const WAITING_PER_CORE: usize = 128;

fn hashed(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("a password of bounded length can be hashed, and the system has randomness")
        .to_string()
}

fn fits(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_digest_and_no_other() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.expect("hashes");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse".into()).await.expect("hashes"));
        let verify = |password: &str, hash: Option<&str>| {
            passwords.verify(password.into(), hash.map(str::to_owned))
        };
        assert!(verify("correct horse", Some(&hash)).await.expect("verifies"));
        assert!(!verify("battery staple", Some(&hash)).await.expect("verifies"));
        assert!(!verify("correct horse", Some("garbage")).await.expect("verifies"));
        assert!(!verify("nobody's password", None).await.expect("verifies"));
    }

    #[tokio::test]
    async fn beyond_the_queue_people_are_told_to_come_back() {
        let passwords = Passwords { running: Semaphore::new(1), admitted: Semaphore::new(0) };
        let error = passwords.hash("correct horse".into()).await.expect_err("is refused");
        assert_eq!(error.code(), ErrorCode::Unavailable);
    }
}
