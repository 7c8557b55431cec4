//! How a request becomes a WebSocket (RFC 6455 §4.2).

use crate::app::ApiError;
use axum::extract::FromRequestParts;
use axum::http::Request;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use protocol::ErrorCode;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

/// The bytes of one open WebSocket.
pub(super) type Socket = TokioIo<Upgraded>;

/// A request that may become a WebSocket.
pub(super) struct Upgrade {
    coming: OnUpgrade,
    answer: Response,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let refusal = |why: String| ApiError::new(ErrorCode::BadRequest, why);
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        let answer = create_response(&request).map_err(|error| refusal(error.to_string()))?;
        let coming = parts.extensions.remove::<OnUpgrade>();
        let coming = coming.ok_or_else(|| refusal("this connection cannot be upgraded".into()))?;
        Ok(Self { coming, answer: answer.map(|()| axum::body::Body::empty()).into_response() })
    }
}

impl Upgrade {
    /// The answer to the request. `serve` gets the socket when the client has that answer, and runs as a task.
    pub(super) fn then<F>(self, serve: impl FnOnce(Socket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            match self.coming.await {
                Ok(stream) => serve(TokioIo::new(stream)).await,
                Err(error) => {
                    tracing::debug!(%error, "a connection was gone before it was a socket")
                }
            }
        });
        self.answer
    }
}
