//! Signing in and out.

use crate::accounts::unknown;
use crate::app::ApiError;
use crate::extract::{ClientAddress, Json};
use crate::{Identity, Signaling};
use axum::extract::State;
use axum::http::StatusCode;
use protocol::rest::{
    AuthResponse, GuestRequest, LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest,
    RenameRequest, User,
};
use protocol::{ErrorBody, ErrorCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(guest))
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(logout_all))
        .routes(routes!(me, rename))
}

type SignedIn = Result<axum::Json<AuthResponse>, ApiError>;
type NewlySignedIn = Result<(StatusCode, axum::Json<AuthResponse>), ApiError>;

/// Become a guest: a name, and a token that lasts for a meeting.
#[utoipa::path(post, path = "/auth/guest", tag = "auth", request_body = GuestRequest, responses(
    (status = 201, description = "You are", body = AuthResponse),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn guest(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    Json(request): Json<GuestRequest>,
) -> NewlySignedIn {
    signaling.inner.limits.guest.check(address)?;
    let answer = signaling.sign_in_guest(&request.display_name).await?;
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Make an account. `setup_token`, from the link printed at the first start, makes the first admin.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = RegisterRequest, responses(
    (status = 201, description = "The account is made and signed in", body = AuthResponse),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 403, description = "`wrong_secret`, `registration_closed`", body = ErrorBody),
    (status = 409, description = "`taken`: username or e-mail, without case", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn register(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    Json(request): Json<RegisterRequest>,
) -> NewlySignedIn {
    signaling.inner.limits.register.check(address)?;
    let answer = signaling.register(request).await?;
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// Sign in to an account.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = LoginRequest, responses(
    (status = 200, description = "You are signed in", body = AuthResponse),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`wrong_credentials`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn login(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    Json(request): Json<LoginRequest>,
) -> SignedIn {
    signaling.inner.limits.login.check(address)?;
    signaling.log_in(request).await.map(axum::Json)
}

/// Exchange a refresh token for an access token and the next refresh token. Each is good once: showing
/// one again ends the session.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = RefreshRequest, responses(
    (status = 200, description = "The session goes on", body = AuthResponse),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`: the session is over", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn refresh(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    Json(request): Json<RefreshRequest>,
) -> SignedIn {
    signaling.inner.limits.refresh.check(address)?;
    signaling.refresh(&request.refresh_token).await.map(axum::Json)
}

/// End a session: that of the refresh token, that of the access token, or both. No body is needed with the latter.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", request_body = Option<LogoutRequest>,
    security((), ("bearer" = [])), responses(
    (status = 204, description = "It is over"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`: neither token names a session", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn logout(
    State(signaling): State<Signaling>,
    identity: Result<Identity, ApiError>,
    body: Option<Json<LogoutRequest>>,
) -> Result<StatusCode, ApiError> {
    let identity = match identity {
        Ok(identity) => Some(identity),
        // An access token that is over does not keep anybody from signing out with the other.
        Err(error) if error.code() == ErrorCode::Unauthorized => None,
        Err(error) => return Err(error),
    };
    let Json(request) = body.unwrap_or(Json(LogoutRequest::default()));
    signaling.log_out(request.refresh_token.as_deref(), identity.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End every session you have, on every device.
#[utoipa::path(post, path = "/auth/logout-all", tag = "auth", security(("bearer" = [])), responses(
    (status = 204, description = "They are over"),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn logout_all(
    State(signaling): State<Signaling>,
    identity: Identity,
) -> Result<StatusCode, ApiError> {
    signaling.log_out_everywhere(&identity).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who you are.
#[utoipa::path(get, path = "/auth/me", tag = "auth", security(("bearer" = [])), responses(
    (status = 200, description = "You", body = User),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn me(
    State(signaling): State<Signaling>,
    identity: Identity,
) -> Result<axum::Json<User>, ApiError> {
    let user = signaling.inner.store.user(identity.user_id).await?;
    user.map(axum::Json).ok_or_else(unknown)
}

/// Take another name to show. Rooms see it when you next come in.
#[utoipa::path(patch, path = "/auth/me", tag = "auth", request_body = RenameRequest,
    security(("bearer" = [])), responses(
    (status = 200, description = "You", body = User),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn rename(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Json(request): Json<RenameRequest>,
) -> Result<axum::Json<User>, ApiError> {
    signaling.inner.limits.refresh.check(address)?;
    signaling.rename(&identity, &request.display_name).await.map(axum::Json)
}
