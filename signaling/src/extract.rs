//! Parts of a request, taken so that what is wrong with them is said in our own error format.

use crate::app::ApiError;
use crate::settings::Settings;
use crate::{Inner, Signaling};
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(crate) struct Json<T>(pub T);

/// A body that may be left out: `Option<Json<T>>` is `None` for an empty one, whatever its type is called, and for `null`.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, ApiError> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let again = Request::from_parts(parts, Body::from(bytes));
        let axum::Json(value) =
            <axum::Json<Option<T>> as FromRequest<S>>::from_request(again, state).await?;
        Ok(value.map(Self))
    }
}

/// A part of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(crate) struct Path<T>(pub T);

/// The query string.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub T);

/// Where a request comes from, for rate limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub IpAddr);

impl FromRequestParts<Signaling> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Signaling,
    ) -> Result<Self, Self::Rejection> {
        let Inner { settings, .. } = &*state.inner;
        let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(client_address(&parts.headers, socket, settings))
    }
}

/// Behind a proxy of ours the last entry of `X-Forwarded-For` is what that proxy saw;
/// those before it are whatever the client wrote.
fn client_address(
    headers: &HeaderMap,
    socket: Option<IpAddr>,
    settings: &Settings,
) -> ClientAddress {
    let forwarded = settings
        .trust_forwarded_for
        .then(|| headers.get_all("x-forwarded-for").iter().next_back())
        .flatten()
        .and_then(|value| value.to_str().ok())
        .and_then(|list| list.rsplit(',').next())
        .and_then(|entry| entry.trim().parse::<IpAddr>().ok());
    let address = forwarded.or(socket).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    ClientAddress(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(header: Option<&str>, trust: bool) -> IpAddr {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert("x-forwarded-for", header.parse().expect("a header value"));
        }
        let settings = Settings { trust_forwarded_for: trust, ..Settings::for_tests() };
        let socket = "::ffff:192.0.2.1".parse().expect("an address");
        client_address(&headers, Some(socket), &settings).0
    }

    #[test]
    fn a_forwarded_address_counts_only_where_a_proxy_is_trusted() {
        let socket: IpAddr = "192.0.2.1".parse().expect("an address");
        let proxied: IpAddr = "203.0.113.9".parse().expect("an address");
        assert_eq!(seen(None, true), socket);
        assert_eq!(seen(Some("203.0.113.9"), false), socket);
        assert_eq!(seen(Some("203.0.113.9"), true), proxied);
        assert_eq!(seen(Some("198.51.100.1, 203.0.113.9"), true), proxied);
        assert_eq!(seen(Some("nonsense"), true), socket);
    }
}
