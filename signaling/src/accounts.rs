//! Becoming somebody: guests, accounts, and the sessions they are signed in by.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::room::SignedOut;
use crate::settings::{Secret, Settings};
use crate::{Identity, Signaling, names};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use protocol::rest::{
    AccountRole, AuthResponse, LoginRequest, RegisterRequest, Registration, User,
};
use protocol::{ErrorCode, UserId};
use std::time::Duration;
use store::{AccountCreated, NewAccount, NewSession, Rotated};
use uuid::Uuid;

impl Signaling {
    /// Somebody with a name and nothing else.
    pub(crate) async fn sign_in_guest(&self, display_name: &str) -> Result<AuthResponse, ApiError> {
        let display_name = names::display_name(display_name)?;
        let id = UserId(Uuid::now_v7());
        let now_ms = now_ms();
        let (session, refresh_token) = self.new_session(id, AccountRole::Guest, now_ms);
        let store = &self.inner.store;
        let user = store.create_guest(id, &display_name, Some(&session), now_ms).await?;
        Ok(self.signed_in(user, session.id, refresh_token, now_ms))
    }

    /// Another name for somebody.
    pub(crate) async fn rename(
        &self,
        identity: &Identity,
        display_name: &str,
    ) -> Result<User, ApiError> {
        let display_name = names::display_name(display_name)?;
        let user = self.inner.store.rename_user(identity.user_id, &display_name).await?;
        user.ok_or_else(unknown)
    }

    /// A new account. The set-up token makes the first admin, whatever registration says.
    pub(crate) async fn register(
        &self,
        request: RegisterRequest,
    ) -> Result<AuthResponse, ApiError> {
        let username = names::username(&request.username)?;
        let email = names::email(&request.email)?;
        names::password(&request.password)?;
        let display_name = match request.display_name.as_deref().map(str::trim) {
            None | Some("") => username.clone(),
            Some(name) => names::display_name(name)?,
        };
        let is_first_admin = self.may_register(&request).await?;
        let new = NewAccount {
            id: UserId(Uuid::now_v7()),
            username,
            email,
            display_name,
            password_hash: self.inner.passwords.hash(request.password).await?,
            is_first_admin,
        };
        let taken = |message| ApiError::new(ErrorCode::Taken, message);
        match self.inner.store.create_account(&new, now_ms()).await? {
            AccountCreated::Yes(user) => self.open_session(user).await,
            AccountCreated::UsernameTaken => Err(taken("somebody has that username")),
            AccountCreated::EmailTaken => Err(taken("somebody has that e-mail")),
            AccountCreated::AdminExists => Err(setup_is_over()),
        }
    }

    /// Signs an account in by username or e-mail.
    pub(crate) async fn log_in(&self, request: LoginRequest) -> Result<AuthResponse, ApiError> {
        let wrong = || ApiError::new(ErrorCode::WrongCredentials, "name or password is wrong");
        let login = request.username.trim();
        if !names::may_be_login(login) || !names::may_be_password(&request.password) {
            return Err(wrong());
        }
        let account = self.inner.store.account_by_login(login).await?;
        let (user, hash) = account.unzip();
        let fits = self.inner.passwords.verify(request.password, hash).await?;
        match user.filter(|_| fits) {
            Some(user) => self.open_session(user).await,
            None => Err(wrong()),
        }
    }

    /// Exchanges a refresh token for the next one and an access token. One that was used before has been
    /// copied: then the whole session ends, for the thief and for the owner.
    pub(crate) async fn refresh(&self, shown: &str) -> Result<AuthResponse, ApiError> {
        let keys = &self.inner.keys;
        let over = || ApiError::new(ErrorCode::Unauthorized, "the session is over, sign in again");
        let session = keys.session_of_refresh(shown).ok_or_else(over)?;
        let next = keys.refresh_token(session, rand::random());
        let now_ms = now_ms();
        let user = self.inner.store.session_user(session, now_ms).await?.ok_or_else(over)?;
        let rotated = self
            .inner
            .store
            .rotate_refresh(
                session,
                &keys.refresh_hash(shown),
                &keys.refresh_hash(&next),
                after(now_ms, self.refresh_ttl(user.role)),
                now_ms,
            )
            .await?;
        match rotated {
            Rotated::Yes(user) => Ok(self.signed_in(user, session, next, now_ms)),
            Rotated::Reused => {
                tracing::warn!(%session, "a refresh token was used twice, its session has ended");
                self.session_over(session).await;
                Err(over())
            }
            Rotated::Ended => Err(over()),
        }
    }

    /// Ends the sessions that a refresh token and an identity stand for. Ending one that is over is no error.
    pub(crate) async fn log_out(
        &self,
        refresh_token: Option<&str>,
        identity: Option<&Identity>,
    ) -> Result<(), ApiError> {
        let named = refresh_token.and_then(|token| self.inner.keys.session_of_refresh(token));
        let own = identity.map(|identity| identity.session_id);
        if named.is_none() && own.is_none() {
            return Err(ApiError::new(ErrorCode::Unauthorized, "no session is named"));
        }
        for session in named.into_iter().chain(own.filter(|own| named != Some(*own))) {
            self.inner.store.end_session(session).await?;
            self.session_over(session).await;
        }
        Ok(())
    }

    /// Ends every session of somebody.
    pub(crate) async fn log_out_everywhere(&self, identity: &Identity) -> Result<(), ApiError> {
        self.inner.store.end_sessions_of(identity.user_id).await?;
        self.inner.signed_in.end_of(identity.user_id);
        self.inner.hub.signed_out(SignedOut::Person(identity.user_id)).await;
        Ok(())
    }

    /// What a session opened ends with it: sockets, and sessions of WHIP and WHEP.
    async fn session_over(&self, session: Uuid) {
        self.inner.signed_in.end(session);
        self.inner.hub.signed_out(SignedOut::Session(session)).await;
    }

    /// Checks the secrets of a registration; says whether it makes the first admin.
    async fn may_register(&self, request: &RegisterRequest) -> Result<bool, ApiError> {
        let settings = &self.inner.settings;
        if let Some(shown) = request.setup_token.as_deref().filter(|token| !token.is_empty()) {
            return match &settings.setup_token {
                Some(_) if self.inner.store.has_admin().await? => Err(setup_is_over()),
                Some(token) if is_secret(shown, token) => Ok(true),
                Some(_) => Err(wrong_secret("the set-up token is wrong")),
                None => Err(setup_is_over()),
            };
        }
        match (registration(settings), &settings.registration_secret) {
            (Registration::Open, _) => Ok(false),
            (Registration::Secret, Some(secret)) => {
                let shown = request.registration_secret.as_deref().unwrap_or_default();
                if is_secret(shown, secret) {
                    Ok(false)
                } else {
                    Err(wrong_secret("the registration secret is wrong"))
                }
            }
            (Registration::Secret, None) | (Registration::Closed, _) => {
                Err(ApiError::new(ErrorCode::RegistrationClosed, "registration is closed here"))
            }
        }
    }

    async fn open_session(&self, user: User) -> Result<AuthResponse, ApiError> {
        let now_ms = now_ms();
        let (session, refresh_token) = self.new_session(user.id, user.role, now_ms);
        self.inner.store.open_session(&session, now_ms).await?;
        Ok(self.signed_in(user, session.id, refresh_token, now_ms))
    }

    /// A session from now on, and its first refresh token.
    fn new_session(&self, user: UserId, role: AccountRole, now_ms: i64) -> (NewSession, String) {
        let id = Uuid::now_v7();
        let keys = &self.inner.keys;
        let refresh_token = keys.refresh_token(id, rand::random());
        let session = NewSession {
            id,
            user_id: user,
            refresh_hash: keys.refresh_hash(&refresh_token),
            expires_ms: after(now_ms, self.refresh_ttl(role)),
        };
        (session, refresh_token)
    }

    fn signed_in(
        &self,
        user: User,
        session: Uuid,
        refresh_token: String,
        now_ms: i64,
    ) -> AuthResponse {
        let tokens = &self.inner.tokens;
        AuthResponse {
            access_token: tokens.issue(user.id, user.role, session, now_ms),
            token_type: "bearer".into(),
            expires_in: tokens.ttl(user.role).as_secs(),
            refresh_token: Some(refresh_token),
            user,
        }
    }

    /// How long a session goes on that nobody refreshes.
    fn refresh_ttl(&self, role: AccountRole) -> Duration {
        match role {
            AccountRole::Admin | AccountRole::User => self.inner.settings.refresh_token_ttl,
            AccountRole::Guest => GUEST_KEPT.min(self.inner.settings.refresh_token_ttl),
        }
    }
}

/// A guest of a weekly meeting is known again. Longer keeps the names of people who never come back; shorter makes them
/// strangers in their own rooms.
const GUEST_KEPT: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Whether accounts can be made on a deployment, and how.
pub(crate) fn registration(settings: &Settings) -> Registration {
    match &settings.registration_secret {
        Some(_) => Registration::Secret,
        None if settings.is_production => Registration::Closed,
        None => Registration::Open,
    }
}

/// Who was signed in a moment ago is not there any more.
pub(crate) fn unknown() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, "you are not known here any more")
}

/// Compared by digest, so that time tells neither where they differ nor how long the secret is.
fn is_secret(shown: &str, secret: &Secret) -> bool {
    let shown = digest(&SHA256, shown.as_bytes());
    let secret = digest(&SHA256, secret.expose().as_bytes());
    verify_slices_are_equal(shown.as_ref(), secret.as_ref()).is_ok()
}

fn wrong_secret(message: &'static str) -> ApiError {
    ApiError::new(ErrorCode::WrongSecret, message)
}

fn setup_is_over() -> ApiError {
    wrong_secret("this deployment has been set up, the link is used")
}

fn after(now_ms: i64, ttl: Duration) -> i64 {
    now_ms.saturating_add(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}
