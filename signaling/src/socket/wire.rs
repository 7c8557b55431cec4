//! One WebSocket (RFC 6455) as the server's side reads and writes it.
//!
//! Ours, because most sockets are silent most of their lives and there are thousands: what a library reads into and
//! writes from stays as large as the largest frame was, which is an SDP each way (17 KiB), and this holds nothing
//! between two frames.

mod incoming;

pub(super) use incoming::{Fault, Heard};

use incoming::{CLOSE, CONTINUE, Incoming, LAST, LENGTH_16, LENGTH_64, PING, PONG, TEXT};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// What a socket says to us.
pub(super) struct Reader<R> {
    from: R,
    incoming: Incoming,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, incoming: Incoming::default() }
    }

    /// The next thing that is heard; nothing once the other end has closed, or is gone. Loses nothing when it is dropped
    /// halfway.
    pub(super) async fn next(&mut self) -> Result<Option<Heard>, Fault> {
        loop {
            if self.incoming.is_closed() {
                return Ok(None);
            }
            if let Some(heard) = self.incoming.next()? {
                return Ok(Some(heard));
            }
            if self.fill().await.unwrap_or(0) == 0 {
                return Ok(None);
            }
        }
    }

    /// Throws away what still comes, until the other end closes or is gone. Closing a connection with unread input resets
    /// it, and a reset takes our close frame from the client.
    pub(super) async fn drain(&mut self) {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                // Where the next frame would begin is not known any more.
                Err(_) => self.incoming.forget(),
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| {
            // On the stack of whoever polls: a socket that waits holds no buffer.
            let mut room = [MaybeUninit::uninit(); READ_BYTES];
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.from).poll_read(cx, &mut read))?;
            self.incoming.push(read.filled());
            Poll::Ready(Ok(read.filled().len()))
        })
        .await
    }
}

/// What we say on a socket.
pub(super) struct Writer<W> {
    to: W,
    /// What is not written yet. Freed when all is.
    unsent: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, unsent: Vec::new() }
    }

    /// Says a text, in pieces (RFC 6455 §5.4), so that a close never waits behind a long one. What is short waits for
    /// more or for [`flush`](Self::flush).
    pub(super) async fn text(&mut self, text: &str) -> io::Result<()> {
        let mut opcode = TEXT;
        let mut rest = text.as_bytes();
        loop {
            let (piece, after) = rest.split_at(rest.len().min(PIECE_BYTES));
            put(&mut self.unsent, opcode, after.is_empty(), piece);
            if self.unsent.len() > PIECE_BYTES {
                self.write_out().await?;
            }
            if after.is_empty() {
                return Ok(());
            }
            (opcode, rest) = (CONTINUE, after);
        }
    }

    /// Asks whether somebody is there.
    pub(super) fn ping(&mut self) {
        put(&mut self.unsent, PING, true, &[]);
    }

    /// Answers a ping with what it said.
    pub(super) fn pong(&mut self, said: &[u8]) {
        put(&mut self.unsent, PONG, true, said);
    }

    /// Says goodbye: a code and words, or neither. Nothing follows it.
    pub(super) async fn close(&mut self, reason: Option<(u16, &str)>) -> io::Result<()> {
        let body = reason.map_or(Vec::new(), |(code, words)| {
            [&code.to_be_bytes(), &words.as_bytes()[..words.len().min(MAX_CLOSE_WORDS)]].concat()
        });
        put(&mut self.unsent, CLOSE, true, &body);
        self.flush().await
    }

    /// Writes all that waits.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.write_out().await?;
        self.to.flush().await
    }

    /// Dropped halfway, it goes on where it was with the next call.
    async fn write_out(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.to.write(&self.unsent).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => drop(self.unsent.drain(..written)),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }
}

/// Appends a frame (RFC 6455 §5.2); a server masks nothing.
fn put(out: &mut Vec<u8>, opcode: u8, is_last: bool, payload: &[u8]) {
    out.reserve(MAX_HEADER_BYTES + payload.len());
    out.push(if is_last { LAST | opcode } else { opcode });
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < LENGTH_16 => out.push(length),
        (_, Ok(length)) => {
            out.push(LENGTH_16);
            out.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            out.push(LENGTH_64);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

const MAX_HEADER_BYTES: usize = 10;
/// A control frame has 125 bytes (RFC 6455 §5.5), two of which are the code.
const MAX_CLOSE_WORDS: usize = 123;
/// More takes more of a stack for a moment; less reads an SDP in more pieces.
const READ_BYTES: usize = 4 * 1024;
/// Bytes of a text in one frame, and of what waits for more. More makes a close wait longer behind a long text to a slow
/// client; less makes a write to the system of every few lines of it.
const PIECE_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

    #[tokio::test]
    async fn a_client_of_another_make_understands_what_is_said_and_nothing_stays() {
        let (near, far) = tokio::io::duplex(700);
        let far = WebSocketStream::from_raw_socket(far, Role::Client, None);
        // Lengths on both sides of every bound; two bytes a letter, so that pieces end in the middle of one.
        let lengths = [0, 1, 124, 125, 126, 127, 4_095, 4_096, 4_097, 65_535, 65_536, 70_000];
        let texts =
            lengths.map(|length| format!("{}{}", "x".repeat(length % 2), "ж".repeat(length / 2)));
        let said = texts.clone();
        let says = async move {
            let mut writer = Writer::new(near);
            for text in &said {
                writer.text(text).await.unwrap();
            }
            writer.ping();
            writer.pong(b"again");
            writer.flush().await.unwrap();
            assert_eq!(writer.unsent.capacity(), 0, "nothing stays");
            writer.close(Some((4001, "enough"))).await.unwrap();
            // The other end answers pings as long as it is there.
            writer
        };
        let hears = async move {
            let mut far = far.await;
            for text in texts {
                assert_eq!(far.next().await.unwrap().unwrap(), Message::text(text));
            }
            assert_eq!(far.next().await.unwrap().unwrap(), Message::Ping(Default::default()));
            assert_eq!(far.next().await.unwrap().unwrap(), Message::Pong("again".into()));
            let frame = CloseFrame { code: 4001.into(), reason: "enough".into() };
            assert_eq!(far.next().await.unwrap().unwrap(), Message::Close(Some(frame)));
        };
        let (_writer, ()) = tokio::join!(says, hears);
    }

    #[tokio::test]
    async fn what_a_client_of_another_make_says_is_heard_and_nothing_stays() {
        let (near, far) = tokio::io::duplex(300);
        let config = WebSocketConfig::default().write_buffer_size(0);
        let far = WebSocketStream::from_raw_socket(far, Role::Client, Some(config));
        let says = async move {
            let mut far = far.await;
            for length in [0, 125, 126, 20_000, 65_535] {
                far.send(Message::text("я".repeat(length / 2))).await.unwrap();
            }
            far.send(Message::binary(vec![7; 9])).await.unwrap();
            far.send(Message::Ping("who".into())).await.unwrap();
            far.close(None).await.unwrap();
        };
        let hears = async move {
            let mut reader = Reader::new(near);
            for length in [0, 125, 126, 20_000, 65_535] {
                let heard = reader.next().await.unwrap();
                assert_eq!(heard, Some(Heard::Text("я".repeat(length / 2))));
                assert!(
                    reader.incoming.held() <= 300,
                    "the next one's beginning, and nothing else"
                );
            }
            assert_eq!(reader.next().await.unwrap(), Some(Heard::Binary));
            assert_eq!(reader.next().await.unwrap(), Some(Heard::Ping(b"who".to_vec())));
            assert_eq!(reader.next().await.unwrap(), Some(Heard::Close(None)));
            assert_eq!(reader.next().await.unwrap(), None);
            reader.drain().await;
            assert_eq!(reader.incoming.held(), 0, "nothing stays");
        };
        tokio::join!(says, hears);
    }

    #[tokio::test]
    async fn what_comes_after_a_fault_is_read_and_thrown_away() {
        let (near, mut far) = tokio::io::duplex(64);
        let says = async move {
            far.write_all(&[0x83, 0x80, 0, 0, 0, 0]).await.unwrap();
            far.write_all(&[0xff; 10_000]).await.unwrap();
        };
        let hears = async move {
            let mut reader = Reader::new(near);
            assert_eq!(reader.next().await, Err(Fault::Protocol));
            reader.drain().await;
            assert_eq!(reader.incoming.held(), 0);
        };
        tokio::join!(says, hears);
    }

    #[tokio::test]
    async fn a_write_that_is_given_up_goes_on_where_it_was() {
        let (near, far) = tokio::io::duplex(100);
        let mut writer = Writer::new(near);
        let text = "z".repeat(3 * PIECE_BYTES);
        // Nobody reads: it stands in the middle of a piece.
        let written = tokio::time::timeout(std::time::Duration::ZERO, writer.text(&text)).await;
        assert!(written.is_err());
        let hears = async move {
            let mut far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
            far.next().await.unwrap().unwrap()
        };
        let (closed, heard) = tokio::join!(writer.close(Some((4002, "too slow"))), hears);
        closed.unwrap();
        let frame = CloseFrame { code: 4002.into(), reason: "too slow".into() };
        assert_eq!(heard, Message::Close(Some(frame)), "a close may stand between pieces");
    }
}
