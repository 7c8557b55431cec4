//! What WHIP and WHEP take and say in HTTP: bodies by their type, links, options, and what pages of other origins may see.

use crate::Signaling;
use crate::app::ApiError;
use crate::identity::{bearer_token, unauthorized};
use crate::sdpfrag::SDPFRAG;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    AUTHORIZATION, CONTENT_TYPE, IF_MATCH, RETRY_AFTER,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use protocol::ErrorCode;
use protocol::rest::IceServer;
use utoipa_axum::router::UtoipaMethodRouter;

pub(super) const SDP: &str = "application/sdp";

/// The bearer token of a request, not yet looked at.
pub(super) struct Token(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(bearer_token).ok_or_else(unauthorized)?;
        Ok(Self(token.to_owned()))
    }
}

/// `If-Match`, as it stands there.
pub(super) struct IfMatch(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let value = parts.headers.get(IF_MATCH).and_then(|value| value.to_str().ok());
        Ok(Self(value.map(str::to_owned)))
    }
}

/// An SDP body. Its type may have parameters, and an encoder that says none but sends SDP is understood.
pub(super) struct Offer(pub String);

impl<S: Send + Sync> FromRequest<S> for Offer {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !takes_sdp(request.headers()) {
            let reason = "the answer is application/sdp, which Accept leaves out";
            return Err(ApiError::new(ErrorCode::NotAcceptable, reason));
        }
        let is_declared = match request.headers().get(CONTENT_TYPE) {
            None => false,
            Some(value) if is_type(value, SDP) => true,
            Some(_) => return Err(unsupported()),
        };
        let body = Bytes::from_request(request, state).await?;
        let Ok(offer) = String::from_utf8(body.into()) else {
            return Err(ApiError::new(ErrorCode::BadSdp, "the SDP is not UTF-8"));
        };
        if !is_declared && !offer.starts_with("v=0") {
            return Err(unsupported());
        }
        Ok(Self(offer))
    }
}

/// A body that is an SDP fragment.
pub(super) struct Fragment(pub String);

impl<S: Send + Sync> FromRequest<S> for Fragment {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !request.headers().get(CONTENT_TYPE).is_some_and(|value| is_type(value, SDPFRAG)) {
            let reason = "the body must be application/trickle-ice-sdpfrag";
            return Err(ApiError::new(ErrorCode::UnsupportedMedia, reason));
        }
        let body = Bytes::from_request(request, state).await?;
        let text = String::from_utf8(body.into());
        text.map(Self)
            .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the fragment is not UTF-8"))
    }
}

fn is_type(value: &HeaderValue, wanted: &str) -> bool {
    let essence = value.to_str().ok().and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
}

/// Whether an SDP is among what a client accepts; one that does not say takes anything.
fn takes_sdp(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let is_any = headers.get(ACCEPT).is_none();
    is_any
        || accepted.any(|list| {
            list.split(',').any(|range| {
                let essence = range.split(';').next().unwrap_or_default().trim();
                ["*/*", "application/*", SDP]
                    .iter()
                    .any(|taken| essence.eq_ignore_ascii_case(taken))
            })
        })
}

fn unsupported() -> ApiError {
    ApiError::new(ErrorCode::UnsupportedMedia, "the body must be application/sdp")
}

/// ICE servers as RFC 9725 §4.6 hands them out: players and encoders know no other way to hear of TURN.
pub(super) fn ice_links(servers: &[IceServer]) -> Vec<HeaderValue> {
    let mut links = Vec::new();
    for server in servers {
        for url in &server.urls {
            let mut link = format!("<{url}>; rel=\"ice-server\"");
            if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
                link += &format!(
                    "; username=\"{}\"; credential=\"{}\"; credential-type=\"password\"",
                    quoted(username),
                    quoted(credential)
                );
            }
            // A setting with a control character in it fits into no header.
            links.extend(HeaderValue::try_from(link));
        }
    }
    links
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// What a path takes.
#[derive(Clone, Copy)]
pub(super) struct Takes {
    pub methods: &'static str,
    /// Header that says the type, and the type.
    pub body: (&'static str, &'static str),
}

/// Adds what a browser's preflight and a WHIP client's question both want to hear.
pub(super) fn with_options(
    (schemas, paths, router): UtoipaMethodRouter<Signaling>,
    takes: Takes,
) -> UtoipaMethodRouter<Signaling> {
    let answer = move || async move {
        let (name, kind) = takes.body;
        let headers: [(HeaderName, HeaderValue); 5] = [
            (ALLOW, HeaderValue::from_static(takes.methods)),
            (HeaderName::from_static(name), HeaderValue::from_static(kind)),
            (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(takes.methods)),
            (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS)),
            (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400")),
        ];
        (StatusCode::NO_CONTENT, headers)
    };
    (schemas, paths, router.options(answer))
}

/// Any page may use these doors: what opens them is the token in the request, and browsers add nothing to it. Encoders come
/// again by themselves: they are told when.
pub(super) async fn with_cors(mut response: Response) -> Response {
    let is_busy = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("location, link, etag, accept-patch, retry-after");
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    if is_busy && !headers.contains_key(RETRY_AFTER) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    response
}

const ALLOWED_HEADERS: &str = "authorization, content-type, if-match";
