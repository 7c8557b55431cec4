//! Uploaded recordings: in one piece, or resumable (tus 1.0 with creation, expiration and termination).

use crate::app::ApiError;
use crate::extract::{ClientAddress, Path, Query};
use crate::uploads::{Told, Upload};
use crate::{Identity, Signaling, rest};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::recording::Recording;
use protocol::{ErrorBody, ErrorCode};
use serde::Deserialize;
use std::time::{Duration, UNIX_EPOCH};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        .routes(routes!(options))
        .routes(routes!(offset, piece, discard))
}

/// What is told of a file that comes in one piece.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Named {
    /// Its name.
    #[serde(default)]
    name: Option<String>,
    /// What the recording shall be called; the file's name when absent.
    #[serde(default)]
    title: Option<String>,
    /// How long it is; what is measured wins.
    #[serde(default)]
    duration_sec: Option<f64>,
}

/// Upload a recording beside the server's own: the body is the file. With `Tus-Resumable` an upload in many pieces
/// begins instead, of `Upload-Length` bytes and with `name`, `title` and `duration_sec` in `Upload-Metadata`.
#[utoipa::path(post, path = "/rooms/{slug}/recordings/uploads", tag = "recordings", security(("bearer" = [])),
    params(("slug" = String, Path), Named),
    request_body(content = String, content_type = "application/octet-stream", description = "WebM, Matroska, MP4 or Ogg"),
    responses(
    (status = 201, description = "The recording; with `Tus-Resumable` nothing but `Location`, for the pieces", body = Recording),
    (status = 400, description = "`bad_request`, `invalid`: name, title or length; the line broke", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: the recordings are too large, or you have begun too many uploads", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: it is no recording", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn upload(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Path(slug): Path<String>,
    Query(named): Query<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    signaling.inner.limits.upload.check(address)?;
    if headers.contains_key(&TUS_RESUMABLE) {
        check_version(&headers)?;
        let length = count(&headers, &UPLOAD_LENGTH)?;
        let told = metadata(&headers);
        let upload = signaling.begin_upload(&identity, &slug, told, length).await?;
        let location = format!("{}/recordings/uploads/{}", rest::PREFIX, upload.id);
        let mut response = (StatusCode::CREATED, [(LOCATION, location)]).into_response();
        tell(response.headers_mut(), &upload);
        return Ok(response);
    }
    let Named { name, title, duration_sec } = named;
    let length = headers.contains_key(CONTENT_LENGTH).then(|| count(&headers, &CONTENT_LENGTH));
    let told = Told { name, title, duration_sec };
    let recording = signaling.take_whole(&identity, &slug, told, length.transpose()?, body).await?;
    Ok((StatusCode::CREATED, axum::Json(recording)).into_response())
}

/// What of tus is spoken here.
#[utoipa::path(options, path = "/recordings/uploads", tag = "recordings", responses(
    (status = 204, description = "`Tus-Version`, `Tus-Extension`, `Tus-Max-Size`")))]
async fn options(State(signaling): State<Signaling>) -> Response {
    let most = signaling.max_upload_bytes();
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE.clone(), VERSION);
    headers.insert(HeaderName::from_static("tus-version"), VERSION);
    let extensions = HeaderValue::from_static("creation,expiration,termination");
    headers.insert(HeaderName::from_static("tus-extension"), extensions);
    headers.insert(HeaderName::from_static("tus-max-size"), HeaderValue::from(most));
    response
}

/// How much of an upload has come.
#[utoipa::path(head, path = "/recordings/uploads/{id}", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 200, description = "`Upload-Offset`, `Upload-Length`, `Upload-Expires`"),
    (status = 400, description = "`bad_request`"),
    (status = 401, description = "`unauthorized`"),
    (status = 403, description = "`forbidden`: your role does not allow it any more; `banned`"),
    (status = 404, description = "`not_found`: no such upload of yours, or its time is over"),
    (status = 503, description = "`unavailable`")))]
async fn offset(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let upload = signaling.upload(&identity, id).await?;
    let mut response = StatusCode::OK.into_response();
    tell(response.headers_mut(), &upload);
    response.headers_mut().insert(UPLOAD_LENGTH.clone(), HeaderValue::from(upload.length));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The next piece of an upload, at `Upload-Offset`. With the last one it becomes a recording.
#[utoipa::path(patch, path = "/recordings/uploads/{id}", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)),
    request_body(content = String, content_type = "application/offset+octet-stream", description = "The piece"),
    responses(
    (status = 204, description = "`Upload-Offset`; after the last piece `Location`, the recording"),
    (status = 400, description = "`bad_request`: no offset, or the line broke: ask how much has come", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it any more; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such upload of yours, or its time is over", body = ErrorBody),
    (status = 409, description = "`conflict`: that is not how much has come, or another piece is coming", body = ErrorBody),
    (status = 413, description = "`too_large`: more than `Upload-Length`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: not `application/offset+octet-stream`; it is no recording", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn piece(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    check_version(&headers)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind != "application/offset+octet-stream" {
        let reason = "the content type of a piece is application/offset+octet-stream";
        return Err(ApiError::new(ErrorCode::UnsupportedMedia, reason));
    }
    let offset = count(&headers, &UPLOAD_OFFSET)?;
    let (offset, recording) = signaling.take_piece(&identity, id, offset, body).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE.clone(), VERSION);
    headers.insert(UPLOAD_OFFSET.clone(), HeaderValue::from(offset));
    if let Some(Recording { id, .. }) = recording {
        let location = format!("{}/recordings/{id}", rest::PREFIX);
        let location = HeaderValue::try_from(location);
        headers.extend(location.ok().map(|location| (LOCATION, location)));
    }
    Ok(response)
}

/// Give an upload up.
#[utoipa::path(delete, path = "/recordings/uploads/{id}", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it any more; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such upload of yours, or its time is over", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn discard(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    signaling.discard_upload(&identity, id).await?;
    Ok((StatusCode::NO_CONTENT, [(TUS_RESUMABLE.clone(), VERSION)]).into_response())
}

fn tell(headers: &mut HeaderMap, upload: &Upload) {
    headers.insert(TUS_RESUMABLE.clone(), VERSION);
    headers.insert(UPLOAD_OFFSET.clone(), HeaderValue::from(upload.offset));
    let expires = http_date(upload.expires_ms() / 1_000);
    if let Ok(expires) = HeaderValue::try_from(expires) {
        headers.insert(HeaderName::from_static("upload-expires"), expires);
    }
}

/// A time as headers have it (RFC 9110 §5.6.7).
fn http_date(since_1970: i64) -> String {
    let since = Duration::from_secs(u64::try_from(since_1970).unwrap_or(0));
    httpdate::fmt_http_date(UNIX_EPOCH + since)
}

fn check_version(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(&TUS_RESUMABLE) {
        Some(version) if *version == VERSION => Ok(()),
        _ => Err(ApiError::new(ErrorCode::BadRequest, "Tus-Resumable is 1.0.0")),
    }
}

fn count(headers: &HeaderMap, name: &HeaderName) -> Result<u64, ApiError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
    value
        .ok_or_else(|| ApiError::new(ErrorCode::BadRequest, format!("{name} is a number of bytes")))
}

/// `Upload-Metadata`: names and values in base64, with commas between. What is no text is not there.
fn metadata(headers: &HeaderMap) -> Told {
    let text = headers.get(&UPLOAD_METADATA).and_then(|value| value.to_str().ok());
    let mut told = Told::default();
    for pair in text.unwrap_or_default().split(',') {
        let (name, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        match name {
            "name" | "filename" => told.name = value,
            "title" => told.title = value,
            "duration_sec" => told.duration_sec = value.and_then(|value| value.parse().ok()),
            _ => {}
        }
    }
    told
}

const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
static TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
static UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
static UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
static UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
