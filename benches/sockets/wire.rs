//! A WebSocket of a client in the few lines that a load needs: text out, frames in, pings answered.

use std::net::SocketAddr;
use std::time::Duration;
use testkit::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A join may wait for thousands of others that were there first.
const PATIENCE: Duration = Duration::from_secs(60);
/// A further piece of a text.
const CONTINUED: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

pub struct Wire {
    stream: TcpStream,
    /// What has come of frames that are not whole yet.
    rest: Vec<u8>,
}

impl Wire {
    /// Opens a room's socket and waits until it is in.
    pub async fn open(server: SocketAddr, slug: &str, token: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let mut wire = Self { stream, rest: Vec::new() };
        let request = format!(
            "GET /ws/rooms/{slug}?token={token} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        wire.stream.write_all(request.as_bytes()).await?;
        timeout(PATIENCE, wire.enter()).await.map_err(|_| Error::Timeout("a socket to open"))??;
        Ok(wire)
    }

    async fn enter(&mut self) -> Result<(), Error> {
        let end = loop {
            self.more().await?;
            if let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
        };
        if !self.rest.starts_with(b"HTTP/1.1 101 ") {
            let text = String::from_utf8_lossy(&self.rest).into_owned();
            return Err(Error::Answer(format!("the socket did not open: {text}")));
        }
        self.rest.drain(..end + 4);
        let mut is_in = false;
        loop {
            self.take(|text| is_in |= text.starts_with(b"{\"type\":\"sync.info\"")).await?;
            if is_in {
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// Reads until something has come and hands each text, or each piece of it, to `hear`.
    pub async fn read(&mut self, hear: impl FnMut(&[u8])) -> Result<(), Error> {
        self.more().await?;
        self.take(hear).await
    }

    /// Sends a text.
    pub async fn send(&mut self, text: &str) -> Result<(), Error> {
        self.write(TEXT, text.as_bytes()).await
    }

    async fn more(&mut self) -> Result<(), Error> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk).await? {
            0 => Err(Error::Answer("the server ended the connection".into())),
            read => {
                self.rest.extend_from_slice(&chunk[..read]);
                Ok(())
            }
        }
    }

    /// Takes the whole frames out of what has come. Pieces of a text are handed over as they come: what a load looks
    /// for is seldom cut by them.
    async fn take(&mut self, mut hear: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut at = 0;
        let mut is_pinged = false;
        while let Some((opcode, from, to)) = frame(&self.rest[at..]) {
            let payload = &self.rest[at + from..at + to];
            match opcode {
                TEXT | CONTINUED => hear(payload),
                PING => is_pinged = true,
                CLOSE => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Err(Error::Closed(code));
                }
                _ => {}
            }
            at += to;
        }
        self.rest.drain(..at);
        if self.rest.is_empty() {
            self.rest = Vec::new();
        }
        if is_pinged {
            self.write(PONG, &[]).await?;
        }
        Ok(())
    }

    /// The mask of zeros is as good as any to a server.
    async fn write(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Error> {
        let mut bytes = vec![0x80 | opcode];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => bytes.push(0x80 | length),
            _ => {
                let length = u16::try_from(payload.len()).expect("a load sends short texts");
                bytes.push(0x80 | 126);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        Ok(self.stream.write_all(&bytes).await?)
    }
}

/// Opcode of the first frame, and where its payload is; `None` while it is not whole.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    let (from, length) = match head[1] {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        length => (2, usize::from(length)),
    };
    let to = from + length;
    (bytes.len() >= to).then_some((head[0] & 0x0f, from, to))
}
