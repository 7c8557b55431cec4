//! HTTP/1.1 in the few lines that a client needs: one request per connection, no TLS, no redirects.

use crate::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any call of a healthy server takes on a busy machine; a hung server fails the test.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer that are read; more means that a test asked for the wrong thing.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// A request before it is sent.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, ….
    pub method: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// Bearer token.
    pub token: Option<&'a str>,
    /// `Content-Type` and body.
    pub body: Option<(&'a str, &'a [u8])>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Value of the first header with this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|how| how.eq_ignore_ascii_case("chunked"))
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request to `server` and reads the whole answer.
pub fn send(server: SocketAddr, request: &Request<'_>) -> Result<Answer, Error> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n",
        request.method, request.path
    );
    if let Some(token) = request.token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    let body = request.body.map_or(&[][..], |(content_type, body)| {
        head.push_str(&format!("Content-Type: {content_type}\r\n"));
        body
    });
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| Error::Answer("this is not HTTP".into()))
}

/// Reads an answer that has come to its end; nothing where it is none.
pub fn parse(bytes: &[u8]) -> Option<Answer> {
    let (mut answer, rest) = parse_head(bytes)?;
    answer.body = if answer.is_chunked() { join_chunks(rest)? } else { rest.to_vec() };
    Some(answer)
}

/// Whether an answer has come to the end that it names itself: who keeps the connection open does not say it by closing.
pub fn is_whole(bytes: &[u8]) -> bool {
    let Some((answer, rest)) = parse_head(bytes) else { return false };
    match answer.header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => rest.len() >= length,
        None => answer.is_chunked() && join_chunks(rest).is_some(),
    }
}

/// What stands before the body, and all behind it.
fn parse_head(bytes: &[u8]) -> Option<(Answer, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some((Answer { status, headers, body: Vec::new() }, &bytes[end + 4..]))
}

fn join_chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let start = line + 2;
        let end = start.checked_add(size)?;
        body.extend_from_slice(rest.get(start..end)?);
        rest = rest.get(end.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_headers_and_chunks() {
        let bytes =
            b"HTTP/1.1 201 Created\r\nLocation: /whip/x/1\r\nTransfer-Encoding: chunked\r\n\r\n\
              5\r\nhello\r\n2\r\n, \r\n5\r\nworld\r\n0\r\n\r\n";
        assert!(is_whole(bytes) && !is_whole(&bytes[..80]) && !is_whole(&bytes[..30]));
        assert!(is_whole(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}"));
        assert!(!is_whole(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 3\r\n\r\n{}"));
        let answer = parse(bytes).unwrap();
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("location"), Some("/whip/x/1"));
        assert_eq!(answer.text(), "hello, world");
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for bytes in
            [&b""[..], b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\x16\x03\x01\r\n\r\n"]
        {
            assert!(parse(bytes).is_none(), "{bytes:?}");
        }
    }
}
