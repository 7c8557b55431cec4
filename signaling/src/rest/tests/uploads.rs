use super::powers::town;
use super::*;
use axum::http::HeaderName;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The smallest WebM there is: a header, a segment with ten seconds of one Opus track, and nothing in it.
fn webm() -> Vec<u8> {
    let mut info = b"\x2a\xd7\xb1\x83\x0f\x42\x40\x44\x89\x88".to_vec();
    info.extend_from_slice(&10_000f64.to_be_bytes());
    let mut bytes =
        b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
            .to_vec();
    bytes.extend_from_slice(b"\x15\x49\xa9\x66");
    bytes.push(0x80 | info.len() as u8);
    bytes.extend_from_slice(&info);
    bytes.extend_from_slice(b"\x16\x54\xae\x6b\x8b\xae\x89\x86\x86A_OPUS\xec");
    // A void that makes it worth several pieces.
    bytes.push(0x80);
    bytes.extend_from_slice(b"\xec\x41\xf4");
    bytes.extend_from_slice(&[0; 500]);
    bytes
}

impl Server {
    /// Status and headers; the body is not looked at.
    async fn raw(
        &self,
        call: &str,
        token: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> (u16, HeaderMap, Value) {
        let (method, path) = call.split_once(' ').unwrap();
        let from: SocketAddr = ([192, 0, 2, 1], 40_000).into();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .extension(ConnectInfo(from))
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(HeaderName::try_from(*name).unwrap(), value);
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        (parts.status.as_u16(), parts.headers, body)
    }
}

const UPLOADS: &str = "POST /api/v1/rooms/weekly/recordings/uploads";

fn tus(rest: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    [&[("tus-resumable", "1.0.0".to_owned())][..], rest].concat()
}

/// Begins an upload in pieces; where they go.
async fn begin(server: &Server, token: &str, length: usize) -> String {
    let title = STANDARD.encode("Budget");
    let headers = tus(&[
        ("upload-length", length.to_string()),
        ("upload-metadata", format!("filename YS53ZWJt,title {title},duration_sec NTk=,x")),
    ]);
    let (status, headers, _) = server.raw(UPLOADS, token, &headers, b"").await;
    assert_eq!(status, 201);
    assert!(headers.contains_key("upload-expires") && headers["upload-offset"] == "0");
    headers[header::LOCATION].to_str().unwrap().to_owned()
}

fn piece(offset: usize) -> Vec<(&'static str, String)> {
    let kind = "application/offset+octet-stream".to_owned();
    tus(&[("upload-offset", offset.to_string()), ("content-type", kind)])
}

#[tokio::test]
async fn an_upload_in_one_piece_stands_in_the_list_and_is_as_long_as_it_is() {
    let (server, tokens) = town().await;
    let owner = &tokens[7];
    let call = format!("{UPLOADS}?name=my%20film.webm&title=Budget&duration_sec=5000");
    let (status, _, made) = server.raw(&call, owner, &[], &webm()).await;
    assert_eq!(
        (status, &made["title"], &made["origin"]),
        (201, &json!("Budget"), &json!("upload"))
    );
    assert_eq!(made["duration_ms"], 10_000, "measured, whatever was said");
    let list = server.get("rooms/weekly/recordings", owner).await.ok();
    assert_eq!(list["recordings"][0]["id"], made["id"]);
    let file = &made["files"][0];
    assert_eq!((&file["codecs"], &file["name"]), (&json!(["opus"]), &json!("upload.webm")));
    let path = format!("GET /api/v1/recordings/{}/files/upload.webm", made["id"].as_str().unwrap());
    let (status, headers, _) = server.raw(&path, owner, &[], b"").await;
    assert_eq!(
        (status, &headers[header::CONTENT_LENGTH]),
        (200, &webm().len().to_string().parse().unwrap())
    );
    let call = format!("{UPLOADS}?name=a.webm");
    for (body, expected) in [(&b"<html>"[..], 415), (b"MZ", 415), (b"", 415)] {
        assert_eq!(server.raw(&call, owner, &[], body).await.0, expected);
    }
    let most = server.signaling.max_upload_bytes();
    let too_large = vec![0; usize::try_from(most).unwrap() + 1];
    assert_eq!(server.raw(&call, owner, &[], &too_large).await.0, 413);
    let left = server.signaling.inner.settings.recording.records.folder().join(".uploads");
    assert_eq!(std::fs::read_dir(left).unwrap().count(), 0, "what was refused leaves nothing");
}

#[tokio::test]
async fn an_upload_in_pieces_goes_on_where_it_broke_off() {
    let (server, tokens) = town().await;
    let (owner, admin) = (&tokens[7], &tokens[6]);
    let bytes = webm();
    let path = begin(&server, admin, bytes.len()).await;
    let (patch, head) = (format!("PATCH {path}"), format!("HEAD {path}"));
    assert_eq!(server.raw(&patch, admin, &piece(0), &bytes[..100]).await.0, 204);
    let (status, headers, _) = server.raw(&head, admin, &tus(&[]), b"").await;
    assert_eq!((status, &headers["upload-offset"]), (200, &"100".parse().unwrap()));
    assert_eq!(headers["upload-length"], bytes.len().to_string().as_str());
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    for (who, headers, expected) in [
        (admin, piece(50), 409),
        (admin, tus(&[("upload-offset", "100".to_owned())]), 415),
        (admin, vec![("upload-offset", "100".to_owned())], 400),
        (owner, piece(100), 404),
    ] {
        assert_eq!(server.raw(&patch, who, &headers, b"x").await.0, expected, "{headers:?}");
    }
    let more = vec![0; bytes.len()];
    assert_eq!(server.raw(&patch, admin, &piece(100), &more).await.0, 413);
    let (status, headers, _) = server.raw(&patch, admin, &piece(100), &bytes[100..]).await;
    assert_eq!(
        (status, &headers["upload-offset"]),
        (204, &bytes.len().to_string().parse().unwrap())
    );
    let made = headers[header::LOCATION].to_str().unwrap().to_owned();
    let (status, _, made) = server.raw(&format!("GET {made}"), owner, &[], b"").await;
    assert_eq!(
        (status, &made["title"], &made["duration_ms"]),
        (200, &json!("Budget"), &json!(10_000))
    );
    assert_eq!(server.raw(&head, admin, &tus(&[]), b"").await.0, 404, "it is whole now");
}

#[tokio::test]
async fn uploads_that_are_not_whole_have_a_number_an_end_and_an_owner_who_may() {
    let (server, tokens) = town().await;
    let (owner, admin) = (&tokens[7], &tokens[6]);
    let mut begun = Vec::new();
    for _ in 0..4 {
        begun.push(begin(&server, admin, 100).await);
    }
    let fifth = tus(&[("upload-length", "100".to_owned())]);
    assert_eq!(server.raw(UPLOADS, admin, &fifth, b"").await.0, 409);
    let delete = format!("DELETE {}", begun[0]);
    assert_eq!(server.raw(&delete, owner, &tus(&[]), b"").await.0, 404);
    assert_eq!(server.raw(&delete, admin, &tus(&[]), b"").await.0, 204);
    begin(&server, admin, 100).await;
    let admin_id = server.get("auth/me", admin).await.ok()["id"].clone();
    let demote = json!({ "type": "role.set", "user_id": admin_id, "role": "member" });
    server.post("rooms/weekly/orders", owner, demote).await.is_empty();
    let patch = format!("PATCH {}", begun[1]);
    assert_eq!(server.raw(&patch, admin, &piece(0), b"x").await.0, 403);
    let inner = &server.signaling.inner;
    let now_ms = crate::clock::now_ms();
    let folder = inner.settings.recording.records.folder().join(".uploads");
    crate::uploads::sweep(inner, now_ms).await.unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 8);
    let kept_ms = i64::try_from(crate::uploads::KEPT.as_millis()).unwrap();
    crate::uploads::sweep(inner, now_ms + kept_ms + 1_000).await.unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
