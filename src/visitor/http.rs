//! HTTP/1.1 in the few lines that a visitor needs: one request per connection, every step with its own fault.

use super::tls::{self, Stream};
use client::http as wire;
use rustls::pki_types::CertificateDer;
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where the server is.
#[derive(Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    is_https: bool,
    /// Room and invite, where the URL is a room's link.
    pub slug: Option<String>,
    pub invite_code: Option<String>,
    /// PEM file of an authority that browsers do not know.
    pub vouched_by: Option<PathBuf>,
}

/// An open connection.
pub struct Door {
    /// Bytes both ways.
    pub stream: Box<dyn Stream>,
    /// What was shown, over HTTPS.
    pub chain: Option<Vec<CertificateDer<'static>>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// JSON, or null.
    pub body: Value,
    /// The same as it came.
    pub raw: Vec<u8>,
    pub date: Option<SystemTime>,
    /// Seconds after which to come back, where that was said.
    pub retry_after: Option<u64>,
    pub took: Duration,
}

/// Where it stopped.
#[derive(Debug)]
pub enum Fault {
    Connect(String),
    Tls(anyhow::Error),
    Http(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Connect(error) | Fault::Http(error) => f.write_str(error),
            Fault::Tls(error) => write!(f, "{error:#}"),
        }
    }
}

impl Target {
    /// Reads the address of a server, or the link of a room.
    pub fn parse(url: &str, vouched_by: Option<&Path>) -> Option<Self> {
        let (before, fragment) = url.split_once('#').unwrap_or((url, ""));
        let uri: axum::http::Uri = before.parse().ok()?;
        let is_https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let slug = uri.path().strip_prefix("/r/").map(|rest| rest.trim_end_matches('/').to_owned());
        let parts = fragment.split('&').chain(uri.query().unwrap_or_default().split('&'));
        let mut codes = parts.filter_map(|part| part.strip_prefix("code="));
        Some(Self {
            host: uri.host()?.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            is_https,
            slug: slug.filter(|slug| !slug.is_empty()),
            invite_code: codes.next().map(str::to_owned),
            vouched_by: vouched_by.map(Path::to_owned),
        })
    }

    /// Name and port, as they stand in a URL.
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The URL of a WebSocket there.
    pub fn socket_url(&self, path: &str) -> String {
        let scheme = if self.is_https { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.authority())
    }

    /// Whether it is this machine, by a name that browsers trust without HTTPS.
    pub fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// How long a TCP connection takes.
pub async fn reach(address: IpAddr, port: u16) -> Result<Duration, String> {
    let began = Instant::now();
    match timeout(CONNECT_PATIENCE, TcpStream::connect((address, port))).await {
        Ok(Ok(_)) => Ok(began.elapsed()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".into()),
    }
}

/// Connects, and makes it secure over HTTPS.
pub async fn open(target: &Target) -> Result<Door, Fault> {
    let connecting = TcpStream::connect((target.host.as_str(), target.port));
    let stream = timeout(CONNECT_PATIENCE, connecting).await;
    let stream = stream.map_err(|_| Fault::Connect("no connection in time".into()))?;
    let stream = stream.map_err(|error| Fault::Connect(error.to_string()))?;
    stream.set_nodelay(true).ok();
    if !target.is_https {
        return Ok(Door { stream: Box::new(stream), chain: None });
    }
    let secured = tls::connect(stream, &target.host, target.vouched_by.as_deref());
    let secured = timeout(CONNECT_PATIENCE, secured).await;
    let secured = secured.map_err(|_| Fault::Tls(anyhow::anyhow!("no handshake in time")))?;
    let (stream, chain) = secured.map_err(Fault::Tls)?;
    Ok(Door { stream: Box::new(stream), chain: Some(chain) })
}

/// One request.
pub async fn fetch(
    target: &Target,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Result<Answer, Fault> {
    let mut headers = String::from("Accept: application/json\r\nConnection: close\r\n");
    if let Some(token) = token {
        headers.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        headers.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    send(target, method, path, &headers, &body).await
}

/// A WebSocket's first request; what answers it without opening one.
pub async fn upgrade(target: &Target, path: &str) -> Result<Answer, Fault> {
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    send(target, "GET", path, headers, "").await
}

async fn send(
    target: &Target,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Result<Answer, Fault> {
    let began = Instant::now();
    let mut door = open(target).await?;
    let host = target.authority();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n{body}");
    let exchange = async {
        door.stream.write_all(request.as_bytes()).await?;
        door.stream.flush().await?;
        let mut bytes = Vec::new();
        let mut chunk = [0; 8192];
        // To the end the answer itself names: who answers an upgrade may leave the connection open.
        while !wire::is_whole(&bytes) && bytes.len() < MAX_ANSWER {
            match door.stream.read(&mut chunk).await {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&chunk[..count]),
                Err(_) if !bytes.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(bytes)
    };
    let bytes = match timeout(ANSWER_PATIENCE, exchange).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(Fault::Http(error.to_string())),
        Err(_) => return Err(Fault::Http("no answer in time".into())),
    };
    read(&bytes, began.elapsed()).ok_or_else(|| Fault::Http("what answers is not HTTP".into()))
}

/// What a visitor looks at in an answer.
fn read(bytes: &[u8], took: Duration) -> Option<Answer> {
    let answer = wire::parse(bytes)?;
    let date = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let retry_after = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    Some(Answer { status: answer.status, body, raw: answer.body, date, retry_after, took })
}

/// For a handshake with the other side of the world.
const CONNECT_PATIENCE: Duration = Duration::from_secs(8);
/// The server gives the media plane five seconds.
const ANSWER_PATIENCE: Duration = Duration::from_secs(15);
/// An answer with two SDPs has a tenth of it.
const MAX_ANSWER: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rooms_link_names_the_room_and_the_invite() {
        let target =
            Target::parse("https://meet.example.org/r/weekly#code=s3same", None).expect("one");
        assert_eq!(
            (target.host.as_str(), target.port, target.is_https),
            ("meet.example.org", 443, true)
        );
        assert_eq!(
            (target.slug.as_deref(), target.invite_code.as_deref()),
            (Some("weekly"), Some("s3same"))
        );
        let target = Target::parse("http://[::1]:8080", None).expect("one");
        assert!(target.is_local() && target.slug.is_none() && target.port == 8080);
        assert!(Target::parse("ftp://meet.example.org", None).is_none());
        assert!(Target::parse("meet.example.org", None).is_none());
    }

    #[test]
    fn an_answer_says_what_time_it_is_there_and_when_to_come_back() {
        let bytes = b"HTTP/1.1 429 Too Many Requests\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 7\r\n\r\n{\"a\":1}";
        let answer = read(bytes, Duration::ZERO).expect("an answer");
        assert_eq!((answer.status, &answer.body["a"]), (429, &serde_json::json!(1)));
        assert!(answer.date.is_some() && answer.retry_after == Some(7));
        assert!(read(b"SSH-2.0-OpenSSH\r\n\r\n", Duration::ZERO).is_none());
    }
}
