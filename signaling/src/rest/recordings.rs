//! The library of recordings: starting, stopping, listing, renaming, deleting, and reading their files.

use crate::app::ApiError;
use crate::extract::{Json, Path, Query};
use crate::identity::{bearer_token, unauthorized};
use crate::recordings::{PASS_TTL, has_file, no_recording};
use crate::records::{CONTENTS, Found};
use crate::{Identity, Signaling, rest};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
    SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use futures_util::stream;
use protocol::limits::MAX_PAGE;
use protocol::recording::{
    Recording, RecordingLink, RecordingLinkRequest, RecordingList, RecordingPolicy,
    RenameRecordingRequest,
};
use protocol::{ErrorBody, ErrorCode, RecordingId};
use serde::Deserialize;
use std::ops::Range;
use std::time::UNIX_EPOCH;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(list, start))
        .routes(routes!(policy, set_policy))
        .routes(routes!(show, rename, delete))
        .routes(routes!(stop))
        .routes(routes!(contents))
        .routes(routes!(link))
        .routes(routes!(watch))
        .routes(routes!(file))
}

/// Record a room, as `record.start` does on its socket.
#[utoipa::path(post, path = "/rooms/{slug}/recordings", tag = "recordings", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 201, description = "The recording that runs now", body = Recording),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: nobody is in the room, too many rooms are recorded, or the recordings are too large", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn start(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<(StatusCode, axum::Json<Recording>), ApiError> {
    let recording = signaling.start_recording(&identity, &slug).await?;
    Ok((StatusCode::CREATED, axum::Json(recording)))
}

/// Stop a recording; one that has ended stays as it is.
#[utoipa::path(post, path = "/recordings/{id}/stop", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 200, description = "The recording; `state` says when its files are finished", body = Recording),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 429, description = "`rate_limited`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn stop(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
) -> Result<axum::Json<Recording>, ApiError> {
    signaling.stop_recording(&identity, id).await.map(axum::Json)
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// How many, 1–100; 50 when absent.
    #[serde(default)]
    limit: Option<u32>,
    /// Those before this one; the newest when absent.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    before_id: Option<RecordingId>,
}

/// The recordings of a room that you may see, newest first.
#[utoipa::path(get, path = "/rooms/{slug}/recordings", tag = "recordings", security(("bearer" = [])),
    params(("slug" = String, Path), PageQuery), responses(
    (status = 200, description = "The page", body = RecordingList),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: they are not for your role; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn list(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Query(PageQuery { limit, before_id }): Query<PageQuery>,
) -> Result<axum::Json<RecordingList>, ApiError> {
    let limit = limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    signaling.recordings(&identity, &slug, before_id, limit).await.map(axum::Json)
}

/// What the room decides about its recordings. For moderators.
#[utoipa::path(get, path = "/rooms/{slug}/recording-policy", tag = "recordings", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "It is so", body = RecordingPolicy),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no moderator; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn policy(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<axum::Json<RecordingPolicy>, ApiError> {
    signaling.recording_policy(&identity, &slug).await.map(axum::Json)
}

/// Decide who may see the room's recordings, how long they are kept and how large they may be. For its owner.
#[utoipa::path(put, path = "/rooms/{slug}/recording-policy", tag = "recordings", security(("bearer" = [])),
    params(("slug" = String, Path)), request_body = RecordingPolicy, responses(
    (status = 200, description = "It is so now", body = RecordingPolicy),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not yours; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn set_policy(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
    Json(policy): Json<RecordingPolicy>,
) -> Result<axum::Json<RecordingPolicy>, ApiError> {
    signaling.set_recording_policy(&identity, &slug, policy).await.map(axum::Json)
}

/// A recording with its files, for whoever may see it.
#[utoipa::path(get, path = "/recordings/{id}", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 200, description = "The recording", body = Recording),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not for your role; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn show(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
) -> Result<axum::Json<Recording>, ApiError> {
    signaling.recording(&identity, id).await.map(axum::Json)
}

/// Give a recording another title. For moderators.
#[utoipa::path(patch, path = "/recordings/{id}", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = RenameRecordingRequest, responses(
    (status = 200, description = "The recording as it is now", body = Recording),
    (status = 400, description = "`bad_request`, `invalid`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn rename(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
    Json(request): Json<RenameRecordingRequest>,
) -> Result<axum::Json<Recording>, ApiError> {
    signaling.rename_recording(&identity, id, &request.title).await.map(axum::Json)
}

/// Delete a recording with its files. For moderators.
#[utoipa::path(delete, path = "/recordings/{id}", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: your role does not allow it; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: it runs", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn delete(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
) -> Result<StatusCode, ApiError> {
    signaling.delete_recording(&identity, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The table of contents: files with their places on one clock, who came and spoke and was muted, what is missing.
#[utoipa::path(get, path = "/recordings/{id}/meeting.json", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 200, description = "`meeting.json`, as docs/meeting.md describes it"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not for your role; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such recording, or an upload, which has none", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn contents(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let recording = signaling.recording(&identity, id).await?;
    serve(&signaling, &recording, CONTENTS, &headers).await
}

/// A link to one file that needs no token: for five minutes, for you.
#[utoipa::path(post, path = "/recordings/{id}/links", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), request_body = RecordingLinkRequest, responses(
    (status = 200, description = "The link", body = RecordingLink),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not for your role; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn link(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
    Json(request): Json<RecordingLinkRequest>,
) -> Result<axum::Json<RecordingLink>, ApiError> {
    signaling.link_to_recording(&identity, id, &request.file).await.map(axum::Json)
}

/// Let this browser play the recording's files for five minutes: media elements send no token, but cookies. Ask again
/// while it plays.
#[utoipa::path(post, path = "/recordings/{id}/watch", tag = "recordings", security(("bearer" = [])),
    params(("id" = String, Path)), responses(
    (status = 204, description = "With `Set-Cookie`, for the files of this recording alone"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not for your role; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn watch(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(id): Path<RecordingId>,
) -> Result<Response, ApiError> {
    let pass = signaling.watch_recording(&identity, id).await?;
    let seconds = i64::try_from(PASS_TTL.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((WATCH_COOKIE, pass))
        .path(format!("{}/recordings/{id}/files", rest::PREFIX))
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(signaling.inner.settings.recording.is_https)
        .build();
    let cookie = format!("{cookie}; Max-Age={seconds}");
    let cookie = HeaderValue::try_from(cookie)
        .map_err(|_| ApiError::new(ErrorCode::Internal, "the cookie cannot be written"))?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}

/// A pass in place of a token.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LinkQuery {
    /// From `POST recordings/{id}/links`.
    #[serde(default)]
    link: Option<String>,
}

/// A file of a recording, or a part of it by `Range`. Allowed by a token, by a link, or by the cookie of `watch`;
/// whether you still may see it is asked each time.
#[utoipa::path(get, path = "/recordings/{id}/files/{name}", tag = "recordings", security(("bearer" = []), ()),
    params(("id" = String, Path), ("name" = String, Path), LinkQuery), responses(
    (status = 200, description = "The file"),
    (status = 206, description = "The part of it"),
    (status = 304, description = "You have it (`If-None-Match`)"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`: no token, no link and no cookie, or one that is over", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not for your role; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 416, description = "It has no such part"),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn file(
    State(signaling): State<Signaling>,
    Path((id, name)): Path<(String, String)>,
    Query(LinkQuery { link }): Query<LinkQuery>,
    jar: CookieJar,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let cookie = jar.get(WATCH_COOKIE).map(Cookie::value);
    // Whoever is nobody hears no more than that, whatever the path.
    let known: Result<RecordingId, _> = id.parse();
    let identity = match (header.and_then(bearer_token), link.as_deref(), cookie, &known) {
        (Some(token), ..) => signaling.identify(token).await?,
        (None, Some(link), _, Ok(id)) => signaling.holder_of_link(*id, &name, link).await?,
        (None, None, Some(pass), Ok(id)) => signaling.watcher(*id, pass).await?,
        (None, ..) => return Err(unauthorized()),
    };
    let id = known.map_err(|_| ApiError::new(ErrorCode::BadRequest, "that is no id"))?;
    let recording = signaling.recording(&identity, id).await?;
    if !has_file(&recording, &name) {
        return Err(no_recording());
    }
    serve(&signaling, &recording, &name, &headers).await
}

/// A file of a recording that may be seen.
async fn serve(
    signaling: &Signaling,
    recording: &Recording,
    name: &str,
    asked: &HeaderMap,
) -> Result<Response, ApiError> {
    let records = &signaling.inner.settings.recording.records;
    let unreadable = |error: std::io::Error| {
        tracing::error!(%error, recording = %recording.id, "a file cannot be read");
        ApiError::new(ErrorCode::Unavailable, "the file cannot be read now, try again")
    };
    let found = records.open(&recording.slug, recording.id, name).await.map_err(unreadable)?;
    let Found { mut file, length, modified } = found.ok_or_else(no_recording)?;
    let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let tag = format!("\"{length:x}-{age:x}\"");
    let mut response = match wanted(asked, &tag, length) {
        Wanted::Nothing => StatusCode::NOT_MODIFIED.into_response(),
        Wanted::Impossible => {
            let range = format!("bytes */{length}");
            (StatusCode::RANGE_NOT_SATISFIABLE, [(CONTENT_RANGE, range)]).into_response()
        }
        Wanted::All => {
            ([(CONTENT_LENGTH, length)], Body::from_stream(stream_of(file, length))).into_response()
        }
        Wanted::Part(Range { start, end }) => {
            file.seek(SeekFrom::Start(start)).await.map_err(unreadable)?;
            let range = format!("bytes {start}-{}/{length}", end - 1);
            let headers = [(CONTENT_LENGTH, (end - start).to_string()), (CONTENT_RANGE, range)];
            let body = Body::from_stream(stream_of(file, end - start));
            (StatusCode::PARTIAL_CONTENT, headers, body).into_response()
        }
    };
    let disposition = format!("attachment; filename*=UTF-8''{}", rest::encoded(name));
    let headers = response.headers_mut();
    let same_site = HeaderName::from_static("cross-origin-resource-policy");
    for (name, value) in [
        (CONTENT_TYPE, kind_of(name)),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (same_site, "same-origin"),
        // Kept, but asked for each time: who may see it may change.
        (CACHE_CONTROL, "private, no-cache"),
        (ACCEPT_RANGES, "bytes"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [(ETAG, tag), (CONTENT_DISPOSITION, disposition)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// So many bytes of a file from where it stands.
fn stream_of(file: File, length: u64) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let mut chunk = vec![0; size];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(read);
        Ok(Some((Bytes::from(chunk), (file, left - read as u64))))
    })
}

/// What of a file is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    /// They have it.
    Nothing,
    /// It has no such part.
    Impossible,
}

fn wanted(asked: &HeaderMap, tag: &str, length: u64) -> Wanted {
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let known = text(IF_NONE_MATCH).unwrap_or_default();
    if known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag) {
        return Wanted::Nothing;
    }
    // A part of another version would not fit to what they have.
    if text(IF_RANGE).is_some_and(|version| version != tag) {
        return Wanted::All;
    }
    let Some(range) = text(RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    // Several parts at once may be answered with all (RFC 9110 §14.2).
    let Some((first, last)) = range.split_once('-').filter(|_| !range.contains(',')) else {
        return Wanted::All;
    };
    let found = match (first.trim(), last.trim()) {
        ("", count) => count.parse().map(|count: u64| length.saturating_sub(count)..length),
        (first, "") => first.parse().map(|first| first..length),
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if last < first => return Wanted::All,
            (Ok(first), Ok(last)) => Ok(first..last.saturating_add(1).min(length)),
            (Err(error), _) | (_, Err(error)) => Err(error),
        },
    };
    match found {
        Err(_) => Wanted::All,
        Ok(range) if range.start >= range.end => Wanted::Impossible,
        Ok(range) => Wanted::Part(range),
    }
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "mp4" => "video/mp4",
        "m4a" => "audio/mp4",
        "ogg" => "audio/ogg",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

/// Recordings in a page when the client does not say.
const PAGE: u32 = 50;
/// Bytes read at once. More is memory for each reader, less is work.
const CHUNK_BYTES: usize = 64 * 1024;
const WATCH_COOKIE: &str = "veche-watch";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let pairs =
            pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn a_part_is_what_was_asked_for_and_nothing_else() {
        for (range, expected) in [
            ("bytes=0-", Wanted::Part(0..100)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=90-200", Wanted::Part(90..100)),
            ("bytes=-30", Wanted::Part(70..100)),
            ("bytes=-300", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Impossible),
            ("bytes=100-200", Wanted::Impossible),
            ("bytes=-0", Wanted::Impossible),
            ("bytes=20-10", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("lines=0-1", Wanted::All),
        ] {
            assert_eq!(wanted(&asked(&[(RANGE, range)]), "\"v\"", 100), expected, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), "\"v\"", 100), Wanted::All);
    }

    #[test]
    fn another_version_is_sent_whole_and_the_same_one_not_again() {
        let part = (RANGE, "bytes=0-9");
        let same = asked(&[part.clone(), (IF_RANGE, "\"v\"")]);
        assert_eq!(wanted(&same, "\"v\"", 100), Wanted::Part(0..10));
        let other = asked(&[part, (IF_RANGE, "\"w\"")]);
        assert_eq!(wanted(&other, "\"v\"", 100), Wanted::All);
        let known = asked(&[(IF_NONE_MATCH, "\"u\", W/\"v\"")]);
        assert_eq!(wanted(&known, "\"v\"", 100), Wanted::Nothing);
    }
}
