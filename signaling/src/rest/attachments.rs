//! Files of the chat, and a room's cover: in by their raw bytes, out to members alone and as nothing that a
//! browser would run.

use crate::app::ApiError;
use crate::clock::now_ms;
use crate::directory::no_room;
use crate::extract::{ClientAddress, Path, Query};
use crate::files::Part;
use crate::pictures::{Unusable, picture};
use crate::{Identity, Signaling, names};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::chat::Attachment;
use protocol::limits::{MAX_ATTACHMENT_BYTES, MAX_COVER_SIDE, MAX_PICTURE_SIDE};
use protocol::{AttachmentId, ErrorBody, ErrorCode, Power};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

pub(super) fn routes() -> OpenApiRouter<Signaling> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        .routes(routes!(set_cover, cover, remove_cover))
        .layer(DefaultBodyLimit::max(MAX_ATTACHMENT_BYTES))
        .routes(routes!(download, discard))
        .routes(routes!(thumbnail))
}

/// What a file is called.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Named {
    /// Name to show and to save under, 1–200 characters.
    name: String,
}

/// Upload a file for a line of chat: the body is the file. Pictures are made anew.
#[utoipa::path(post, path = "/rooms/{slug}/attachments", tag = "attachments", security(("bearer" = [])),
    params(("slug" = String, Path), Named),
    request_body(content = String, content_type = "application/octet-stream", description = "The file"),
    responses(
    (status = 201, description = "The file; name its id in `chat.message` within a day", body = Attachment),
    (status = 400, description = "`bad_request`, `invalid`: the name, or a broken picture", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no member; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 409, description = "`conflict`: your files together are too large", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: programs are not taken", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn upload(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Path(slug): Path<String>,
    Query(Named { name }): Query<Named>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, axum::Json<Attachment>), ApiError> {
    signaling.inner.limits.upload.check(address)?;
    let name = names::file_name(&name)?;
    let (room, _) = signaling.room_of_member(&identity, &slug).await?;
    let file = body?;
    if is_program(&file) {
        let reason = "programs are not taken, put them into an archive";
        return Err(ApiError::new(ErrorCode::UnsupportedMedia, reason));
    }
    let drawn = signaling.picture(file.clone(), MAX_PICTURE_SIDE).await?;
    let id = AttachmentId(Uuid::now_v7());
    let (bytes, mime): (&[u8], _) = match &drawn {
        Some(picture) => (&picture.bytes, picture.mime),
        None => (&file, kind_of(&file)),
    };
    let attachment = Attachment {
        id,
        name,
        mime: mime.to_owned(),
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        width: drawn.as_ref().map(|picture| picture.width),
        height: drawn.as_ref().map(|picture| picture.height),
    };
    let inner = &signaling.inner;
    let quota = inner.settings.attachment_quota_bytes;
    let user = identity.user_id;
    if !inner.store.create_attachment(room.id, user, &attachment, quota, now_ms()).await? {
        let reason = "your files together are too large, delete messages with files first";
        return Err(ApiError::new(ErrorCode::Conflict, reason));
    }
    let mut written = inner.files.write(room.id, id, Part::Whole, bytes).await;
    if let (Ok(()), Some(picture)) = (&written, &drawn) {
        written = inner.files.write(room.id, id, Part::Thumbnail, &picture.thumbnail).await;
    }
    if let Err(error) = written {
        tracing::error!(%error, "an upload cannot be written");
        inner.store.delete_attachment(room.id, user, id).await.ok();
        return Err(ApiError::new(
            ErrorCode::Unavailable,
            "the file cannot be kept now, try again",
        ));
    }
    Ok((StatusCode::CREATED, axum::Json(attachment)))
}

/// A file of the chat, for whoever may read its line. Pictures are shown, everything else is saved.
#[utoipa::path(get, path = "/rooms/{slug}/attachments/{id}", tag = "attachments", security(("bearer" = [])),
    params(("slug" = String, Path), ("id" = String, Path)), responses(
    (status = 200, description = "The file"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no member; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or no such file for you in it", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn download(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path((slug, id)): Path<(String, AttachmentId)>,
) -> Result<Response, ApiError> {
    signaling.file(&identity, &slug, id, Part::Whole).await
}

/// A small picture of a picture.
#[utoipa::path(get, path = "/rooms/{slug}/attachments/{id}/thumbnail", tag = "attachments",
    security(("bearer" = [])), params(("slug" = String, Path), ("id" = String, Path)), responses(
    (status = 200, description = "A JPEG of at most 320 × 320"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no member; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such file for you, or it is no picture", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn thumbnail(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path((slug, id)): Path<(String, AttachmentId)>,
) -> Result<Response, ApiError> {
    signaling.file(&identity, &slug, id, Part::Thumbnail).await
}

/// Take an upload back that no line shows yet.
#[utoipa::path(delete, path = "/rooms/{slug}/attachments/{id}", tag = "attachments", security(("bearer" = [])),
    params(("slug" = String, Path), ("id" = String, Path)), responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "`bad_request`", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: you are no member; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such upload of yours", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn discard(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path((slug, id)): Path<(String, AttachmentId)>,
) -> Result<StatusCode, ApiError> {
    let (room, _) = signaling.room_of_member(&identity, &slug).await?;
    match signaling.inner.store.delete_attachment(room.id, identity.user_id, id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_file()),
    }
}

/// Give a room you own a cover: the body is a picture.
#[utoipa::path(put, path = "/rooms/{slug}/cover", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)),
    request_body(content = String, content_type = "application/octet-stream", description = "The picture"),
    responses(
    (status = 204, description = "It is the cover now"),
    (status = 400, description = "`bad_request`, `invalid`: a broken picture", body = ErrorBody),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not yours; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 413, description = "`too_large`", body = ErrorBody),
    (status = 415, description = "`unsupported_media`: it is no picture", body = ErrorBody),
    (status = 429, description = "`rate_limited`, with Retry-After", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn set_cover(
    State(signaling): State<Signaling>,
    address: ClientAddress,
    identity: Identity,
    Path(slug): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, ApiError> {
    signaling.inner.limits.upload.check(address)?;
    let (room, _) = signaling.room_with_power(&identity, &slug, Power::Update).await?;
    let drawn = signaling.picture(body?, MAX_COVER_SIDE).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::UnsupportedMedia, "a cover is a PNG, JPEG, GIF or WebP")
    })?;
    let id = AttachmentId(Uuid::now_v7());
    let inner = &signaling.inner;
    inner.files.write(room.id, id, Part::Whole, &drawn.bytes).await.map_err(|error| {
        tracing::error!(%error, "a cover cannot be written");
        ApiError::new(ErrorCode::Unavailable, "the picture cannot be kept now, try again")
    })?;
    if !inner.store.set_cover(room.id, Some(id)).await? {
        return Err(no_room());
    }
    let room = store::Room { cover: Some(id), ..room };
    signaling.note_room_changed(&identity, &room).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A room's cover, for whoever knows its slug.
#[utoipa::path(get, path = "/rooms/{slug}/cover", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 200, description = "The picture, at most 1,600 pixels wide and high"),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`banned`", body = ErrorBody),
    (status = 404, description = "`not_found`: no such room, or it has none", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn cover(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<Response, ApiError> {
    let (room, _) = signaling.room_and_role(&identity, &slug).await?;
    let none = || ApiError::new(ErrorCode::NotFound, "the room has no cover");
    let id = signaling.inner.store.cover(room.id).await?.ok_or_else(none)?;
    let bytes = signaling.bytes(room.id, id, Part::Whole).await?.ok_or_else(none)?;
    let mime = if bytes.starts_with(b"\x89PNG") { "image/png" } else { "image/jpeg" };
    Ok(served(bytes, mime, "inline".to_owned()))
}

/// Take a room's cover away.
#[utoipa::path(delete, path = "/rooms/{slug}/cover", tag = "rooms", security(("bearer" = [])),
    params(("slug" = String, Path)), responses(
    (status = 204, description = "It has none now"),
    (status = 401, description = "`unauthorized`", body = ErrorBody),
    (status = 403, description = "`forbidden`: it is not yours; `banned`", body = ErrorBody),
    (status = 404, description = "`not_found`", body = ErrorBody),
    (status = 503, description = "`unavailable`", body = ErrorBody)))]
async fn remove_cover(
    State(signaling): State<Signaling>,
    identity: Identity,
    Path(slug): Path<String>,
) -> Result<StatusCode, ApiError> {
    let (room, _) = signaling.room_with_power(&identity, &slug, Power::Update).await?;
    signaling.inner.store.set_cover(room.id, None).await?;
    if room.cover.is_some() {
        signaling.note_room_changed(&identity, &store::Room { cover: None, ..room }).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

impl Signaling {
    /// The picture in a file, made anew; `None` where it is none. Two at a time: each takes a core and 160 MB.
    async fn picture(
        &self,
        file: Bytes,
        max_side: u32,
    ) -> Result<Option<crate::pictures::Picture>, ApiError> {
        let place = self.inner.drawing.acquire().await.expect("the semaphore is never closed");
        let drawn = tokio::task::spawn_blocking(move || picture(&file, max_side)).await;
        drop(place);
        match drawn {
            Ok(None) => Ok(None),
            Ok(Some(Ok(picture))) => Ok(Some(picture)),
            Ok(Some(Err(Unusable::TooLarge))) => {
                Err(ApiError::new(ErrorCode::TooLarge, "a picture has at most 40 megapixels"))
            }
            // A decoder that panics has met something that is no picture.
            Ok(Some(Err(Unusable::Broken))) | Err(_) => {
                Err(ApiError::new(ErrorCode::Invalid, "the picture is broken"))
            }
        }
    }

    async fn file(
        &self,
        identity: &Identity,
        slug: &str,
        id: AttachmentId,
        part: Part,
    ) -> Result<Response, ApiError> {
        let (room, _) = self.room_of_member(identity, slug).await?;
        let file = self.inner.store.attachment(room.id, id).await?;
        let file = file.filter(|file| file.is_for(identity.user_id)).ok_or_else(no_file)?;
        let bytes = self.bytes(room.id, id, part).await?.ok_or_else(no_file)?;
        let attachment = file.attachment;
        let is_picture = attachment.width.is_some();
        let mime = match part {
            Part::Thumbnail => "image/jpeg",
            Part::Whole if is_picture && attachment.mime == "image/png" => "image/png",
            Part::Whole if is_picture => "image/jpeg",
            // Whatever it is, a browser shall save it and not look into it.
            Part::Whole => "application/octet-stream",
        };
        let how = if is_picture { "inline" } else { "attachment" };
        Ok(served(bytes, mime, format!("{how}; filename*=UTF-8''{}", encoded(&attachment.name))))
    }

    async fn bytes(
        &self,
        room: protocol::RoomId,
        id: AttachmentId,
        part: Part,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        self.inner.files.read(room, id, part).await.map_err(|error| {
            tracing::error!(%error, "an upload cannot be read");
            ApiError::new(ErrorCode::Unavailable, "the file cannot be read now, try again")
        })
    }
}

fn served(bytes: Vec<u8>, mime: &'static str, disposition: String) -> Response {
    let nosniff = HeaderName::from_static("x-content-type-options");
    let disposition =
        HeaderValue::try_from(disposition).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(mime)),
        (CONTENT_DISPOSITION, disposition),
        (nosniff, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (CACHE_CONTROL, HeaderValue::from_static("private, max-age=86400")),
    ];
    (headers, bytes).into_response()
}

/// A name for `filename*` (RFC 8187).
pub(crate) fn encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                text.push(char::from(byte));
            }
            other => text.push_str(&format!("%{other:02X}")),
        }
        text
    })
}

/// What a file is by what it holds, for people to read; it is served as bytes whatever this says.
fn kind_of(file: &[u8]) -> &'static str {
    const KINDS: &[(&[u8], &str)] = &[
        (b"%PDF-", "application/pdf"),
        (b"PK\x03\x04", "application/zip"),
        (b"\x1f\x8b", "application/gzip"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
        (b"OggS", "audio/ogg"),
        (b"ID3", "audio/mpeg"),
        (b"\x1aE\xdf\xa3", "video/webm"),
    ];
    let known = KINDS.iter().find(|(start, _)| file.starts_with(start));
    match known {
        Some((_, mime)) => mime,
        None if file.get(4..8) == Some(b"ftyp") => "video/mp4",
        None if std::str::from_utf8(file).is_ok_and(|text| !text.contains('\0')) => "text/plain",
        None => "application/octet-stream",
    }
}

/// Whether a system would run it: Windows, Linux, macOS, or a script.
fn is_program(file: &[u8]) -> bool {
    const STARTS: &[&[u8]] = &[
        b"MZ",
        b"\x7fELF",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"#!",
    ];
    STARTS.iter().any(|start| file.starts_with(start))
}

fn no_file() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such file here")
}
