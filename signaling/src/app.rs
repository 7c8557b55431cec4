//! What all HTTP doors share: the error answer, and what is said about paths that are none.

use crate::room::Refusal;
use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{ErrorBody, ErrorCode, ErrorDetail};
use std::borrow::Cow;
use std::time::Duration;

/// Bytes of a JSON body. The largest one there is has a name, a topic and a key; SDP doors set their own.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// A refusal over HTTP: a stable code for programs, plain words for people.
#[derive(Clone, Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// A refusal with this code.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// Too many requests; the client may come again after so long.
    pub fn rate_limited(wait: Duration) -> Self {
        Self {
            code: ErrorCode::RateLimited,
            message: "too many requests, try again later".into(),
            retry_after: Some(wait),
        }
    }

    /// The same, and when it is worth another try.
    pub fn come_back_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Its words.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// What a room answers is a code and words, without a status of HTTP.
impl From<ApiError> for (ErrorCode, String) {
    fn from(error: ApiError) -> Self {
        (error.code, error.message.into_owned())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let (code, reason) = error.into();
        Self { code, reason }
    }
}

impl From<Refusal> for ApiError {
    fn from(Refusal { code, reason }: Refusal) -> Self {
        Self::new(code, reason)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).expect("every error code has a valid status");
        let body = ErrorBody {
            error: ErrorDetail { code: self.code, message: self.message.into_owned() },
        };
        let mut response = (status, Json(body)).into_response();
        if self.code == ErrorCode::Unauthorized {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never a 0 that invites to try at once.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

impl From<store::Error> for ApiError {
    /// What broke is for the log; the client learns that it may try again, or that it is no use.
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the store failed");
        match error {
            store::Error::Corrupt(_) => {
                Self::new(ErrorCode::Internal, "something stored here cannot be read")
            }
            store::Error::Database(_)
            | store::Error::Group(_)
            | store::Error::Migrate(_)
            | store::Error::File { .. }
            | store::Error::Url(_) => {
                Self::new(ErrorCode::Unavailable, "the store does not answer, try again")
            }
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                Self::new(ErrorCode::UnsupportedMedia, "the body must be application/json")
            }
            other if other.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(ErrorCode::TooLarge, "the body is too large")
            }
            other => Self::new(ErrorCode::BadRequest, other.body_text()),
        }
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(ErrorCode::TooLarge, "the body is too large");
        }
        Self::new(ErrorCode::BadRequest, rejection.body_text())
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(ErrorCode::BadRequest, rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ErrorCode::BadRequest, rejection.body_text())
    }
}

/// Answer for paths under the REST prefix that are none.
pub(crate) async fn unknown_path() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such path")
}

/// Answer for paths that do not take the method.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "this path does not take that method")
}
