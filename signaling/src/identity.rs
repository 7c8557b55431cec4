//! Who asks: access tokens, and the session behind each. A token is only a pointer to a session that lives
//! in the store; name and role come from there, so signing out, a ban or a new role count at once.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::settings::Settings;
use crate::{Inner, Signaling};
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use protocol::limits::UPLOAD_KEPT;
use protocol::rest::AccountRole;
use protocol::room::By;
use protocol::{ErrorCode, UserId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Who sent a request. As an extractor it takes `Authorization: Bearer` and refuses with 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose.
    pub user_id: UserId,
    /// Name to show.
    pub display_name: String,
    /// Role in the deployment.
    pub role: AccountRole,
    /// The session they are signed in by.
    pub session_id: Uuid,
    /// When the token ends, milliseconds since 1970. What it opened goes on.
    pub expires_ms: i64,
}

impl Signaling {
    /// Who holds this access token, for doors where it does not come in a header.
    pub async fn identify(&self, token: &str) -> Result<Identity, ApiError> {
        let now_ms = now_ms();
        let claims = self.inner.tokens.verify(token, now_ms).ok_or_else(unauthorized)?;
        let user = self.inner.store.session_user(claims.sid, now_ms).await?;
        let user = user.filter(|user| user.id == claims.sub).ok_or_else(unauthorized)?;
        Ok(Identity {
            user_id: user.id,
            display_name: user.display_name,
            role: user.role,
            session_id: claims.sid,
            expires_ms: claims.exp.saturating_mul(1000),
        })
    }
}

impl Signaling {
    /// Who is signed in by a session, for doors where a pass names it in place of a token.
    pub(crate) async fn identify_session(
        &self,
        user_id: UserId,
        session_id: Uuid,
        expires_ms: i64,
    ) -> Result<Identity, ApiError> {
        let user = self.inner.store.session_user(session_id, now_ms()).await?;
        let user = user.filter(|user| user.id == user_id).ok_or_else(unauthorized)?;
        let (display_name, role) = (user.display_name, user.role);
        Ok(Identity { user_id, display_name, role, session_id, expires_ms })
    }
}

impl Identity {
    /// As those see them to whom they do something.
    pub(crate) fn by(&self) -> By {
        By { user_id: self.user_id, display_name: self.display_name.clone() }
    }
}

impl FromRequestParts<Signaling> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Signaling,
    ) -> Result<Self, Self::Rejection> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(bearer_token).ok_or_else(unauthorized)?;
        state.identify(token).await
    }
}

/// The token of a `Bearer` header; the scheme's case does not matter (RFC 9110 §11.1).
pub(crate) fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) fn unauthorized() -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, "sign in: the token is missing, over or not ours")
}

/// Makes and checks access tokens: JWT, HS256 and nothing else.
pub(crate) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    account_ttl: Duration,
    guest_ttl: Duration,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    aud: String,
    /// So that no other token signed with this key is ever taken for one of these.
    kind: Kind,
    /// Whose.
    pub sub: UserId,
    /// Session.
    pub sid: Uuid,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Account,
    Guest,
}

impl Tokens {
    pub(crate) fn new(settings: &Settings) -> Self {
        let key = settings.jwt_secret.expose().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Checked below, against the time we are told.
        validation.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            account_ttl: settings.access_token_ttl,
            guest_ttl: if settings.is_production { GUEST_TTL } else { GUEST_TTL_IN_DEVELOPMENT },
        }
    }

    /// How long a token of this role is good.
    pub(crate) fn ttl(&self, role: AccountRole) -> Duration {
        match role {
            AccountRole::Admin | AccountRole::User => self.account_ttl,
            AccountRole::Guest => self.guest_ttl,
        }
    }

    /// A token for a session.
    pub(crate) fn issue(
        &self,
        user: UserId,
        role: AccountRole,
        session: Uuid,
        now_ms: i64,
    ) -> String {
        let iat = now_ms / 1000;
        let ttl = i64::try_from(self.ttl(role).as_secs()).unwrap_or(i64::MAX);
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            kind: if role == AccountRole::Guest { Kind::Guest } else { Kind::Account },
            sub: user,
            sid: session,
            iat,
            exp: iat.saturating_add(ttl),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("claims of plain text and numbers can be signed")
    }

    /// What a token says, if it was made here and is not over.
    pub(crate) fn verify(&self, token: &str, now_ms: i64) -> Option<Claims> {
        if token.len() > MAX_TOKEN_CHARS {
            return None;
        }
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?.claims;
        (now_ms / 1000 < claims.exp).then_some(claims)
    }
}

const ISSUER: &str = "veche";
const AUDIENCE: &str = "veche";
/// Ours have about 350; longer ones are not decoded at all.
const MAX_TOKEN_CHARS: usize = 2_048;
/// A guest has no refresh token, and must be able to come back on a bad line until the longest meeting ends.
const GUEST_TTL: Duration = Duration::from_secs(12 * 60 * 60);
const GUEST_TTL_IN_DEVELOPMENT: Duration = Duration::from_secs(24 * 60 * 60);

/// Forgets sessions that are over, guests nobody can be again and files that nothing names, now and every hour while the process runs.
pub(crate) fn forget_the_gone(inner: &Arc<Inner>) {
    let inner = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut hourly = tokio::time::interval(Duration::from_secs(60 * 60));
        loop {
            hourly.tick().await;
            let Some(inner) = inner.upgrade() else { return };
            let now_ms = now_ms();
            let guest_ttl = i64::try_from(inner.tokens.guest_ttl.as_millis()).unwrap_or(i64::MAX);
            if let Err(error) = inner.store.purge_expired(now_ms - guest_ttl, now_ms).await {
                tracing::warn!(%error, "forgetting sessions that are over failed");
            }
            let kept_ms = i64::try_from(UPLOAD_KEPT.as_millis()).unwrap_or(i64::MAX);
            if let Err(error) = inner.store.forget_unshown_attachments(now_ms - kept_ms).await {
                tracing::warn!(%error, "forgetting uploads that nothing shows failed");
            }
            if let Err(error) = crate::recordings::sweep(&inner, now_ms).await {
                tracing::warn!(%error, "deleting recordings whose time is over failed");
            }
            if let Err(error) = crate::uploads::sweep(&inner, now_ms).await {
                tracing::warn!(%error, "forgetting uploads that rest failed");
            }
            if let Err(error) = inner.files.sweep(&inner.store).await {
                tracing::warn!(%error, "deleting files that nothing names failed");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn tokens() -> Tokens {
        Tokens::new(&Settings::for_tests())
    }

    fn issued(tokens: &Tokens, role: AccountRole) -> String {
        tokens.issue(UserId(Uuid::from_u128(1)), role, Uuid::from_u128(2), NOW_MS)
    }

    fn signed(header: &Header, claims: serde_json::Value) -> String {
        let secret = Settings::for_tests().jwt_secret;
        let key = EncodingKey::from_secret(secret.expose().as_bytes());
        jsonwebtoken::encode(header, &claims, &key).expect("signs")
    }

    fn claims() -> serde_json::Value {
        json!({
            "iss": "veche", "aud": "veche", "kind": "account", "sub": Uuid::from_u128(1),
            "sid": Uuid::from_u128(2), "iat": NOW_MS / 1000, "exp": NOW_MS / 1000 + 60,
        })
    }

    #[test]
    fn a_token_names_its_session_until_it_is_over() {
        let tokens = tokens();
        for role in [AccountRole::User, AccountRole::Guest] {
            let token = issued(&tokens, role);
            let ttl_ms = i64::try_from(tokens.ttl(role).as_millis()).expect("fits");
            let claims = tokens.verify(&token, NOW_MS + ttl_ms - 1000).expect("still good");
            assert_eq!(claims.sub, UserId(Uuid::from_u128(1)));
            assert_eq!(claims.sid, Uuid::from_u128(2));
            assert_eq!(tokens.verify(&token, NOW_MS + ttl_ms), None);
        }
    }

    #[test]
    fn the_hand_made_token_that_the_refusals_below_differ_from_is_good() {
        let header = Header::new(Algorithm::HS256);
        assert!(tokens().verify(&signed(&header, claims()), NOW_MS).is_some());
    }

    #[test]
    fn another_algorithm_is_refused_whatever_the_token_says() {
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            assert_eq!(tokens().verify(&signed(&Header::new(algorithm), claims()), NOW_MS), None);
        }
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let unsigned = format!("{}.{}.", part(json!({"alg": "none"})), part(claims()));
        assert_eq!(tokens().verify(&unsigned, NOW_MS), None);
    }

    #[test]
    fn a_token_for_somebody_else_or_of_another_kind_is_refused() {
        for (claim, value) in [
            ("iss", json!("other")),
            ("aud", json!("other")),
            ("aud", json!(null)),
            ("kind", json!("resume")),
            ("sub", json!("me")),
            ("sid", json!(null)),
            ("exp", json!(null)),
        ] {
            let mut claims = claims();
            claims[claim] = value.clone();
            let token = signed(&Header::new(Algorithm::HS256), claims);
            assert_eq!(tokens().verify(&token, NOW_MS), None, "{claim} = {value}");
        }
        let other = Settings { jwt_secret: Secret::new("other"), ..Settings::for_tests() };
        let foreign = issued(&Tokens::new(&other), AccountRole::User);
        assert_eq!(tokens().verify(&foreign, NOW_MS), None);
        assert_eq!(tokens().verify(&"A".repeat(100_000), NOW_MS), None);
    }

    #[test]
    fn the_scheme_of_the_header_is_bearer_in_any_case() {
        assert_eq!(bearer_token("Bearer abc"), Some("abc"));
        assert_eq!(bearer_token("bearer  abc"), Some("abc"));
        assert_eq!(bearer_token("Basic abc"), None);
        assert_eq!(bearer_token("abc"), None);
    }
}
