//! The room's WebSocket as a blocking connection that keeps what it was not asked for.

use crate::Error;
use protocol::{ClientMessage, ClientRequest, ErrorCode, ServerMessage};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

/// Longer than any answer of a healthy server takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Messages kept that nobody asked for yet; the oldest goes first.
const MAX_KEPT: usize = 10_000;

/// A participant's socket.
pub struct RoomSocket {
    socket: WebSocket<TcpStream>,
    kept: VecDeque<(Option<Value>, ServerMessage)>,
    next_id: u64,
}

impl RoomSocket {
    /// Opens a room's socket with a ticket.
    pub fn open(server: SocketAddr, slug: &str, ticket: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let url = format!("ws://{server}/ws/rooms/{slug}?ticket={ticket}");
        let (socket, _) = tungstenite::client(url, stream)
            .map_err(|error| Error::Answer(format!("the socket did not open: {error}")))?;
        Ok(Self { socket, kept: VecDeque::new(), next_id: 0 })
    }

    /// Sends without waiting for an answer.
    pub fn send(&mut self, message: ClientMessage) -> Result<(), Error> {
        self.send_request(ClientRequest { id: None, message })
    }

    /// Sends and waits for the answer to exactly this request; an `error` answer is an error.
    pub fn request(&mut self, message: ClientMessage) -> Result<ServerMessage, Error> {
        self.next_id += 1;
        let id = Value::from(self.next_id);
        self.send_request(ClientRequest { id: Some(id.clone()), message })?;
        match self.wait(|re, _| re == Some(&id))? {
            ServerMessage::Error { code, reason, .. } => Err(Error::Said { code, reason }),
            answer => Ok(answer),
        }
    }

    /// Waits for the first message that `is_wanted`, among those kept and those to come; the others stay kept.
    pub fn wait_for(
        &mut self,
        is_wanted: impl Fn(&ServerMessage) -> bool,
    ) -> Result<ServerMessage, Error> {
        self.wait(|_, message| is_wanted(message))
    }

    /// The first message that `is_wanted` among those that have arrived by now.
    pub fn take(
        &mut self,
        is_wanted: impl Fn(&ServerMessage) -> bool,
    ) -> Result<Option<ServerMessage>, Error> {
        self.read_waiting()?;
        let at = self.kept.iter().position(|(_, message)| is_wanted(message));
        Ok(at.and_then(|at| self.kept.remove(at)).map(|(_, message)| message))
    }

    /// Everything that has arrived by now, without waiting.
    pub fn drain(&mut self) -> Result<Vec<ServerMessage>, Error> {
        self.read_waiting()?;
        Ok(self.kept.drain(..).map(|(_, message)| message).collect())
    }

    /// Reads until the server closes the socket; its close code.
    pub fn wait_for_close(&mut self) -> Result<u16, Error> {
        match self.read(PATIENCE, |_, _| false) {
            Err(Error::Closed(code)) => Ok(code),
            Err(error) => Err(error),
            Ok(_) => Err(Error::Timeout("the server's close")),
        }
    }

    /// Closes the socket with that code.
    pub fn close(&mut self, code: u16) -> Result<(), Error> {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.close(Some(frame)).map_err(broken)?;
        self.socket.flush().map_err(broken)
    }

    /// Raw text to the server, for what no well-behaved client sends.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.socket.send(Message::text(text)).map_err(broken)
    }

    fn send_request(&mut self, request: ClientRequest) -> Result<(), Error> {
        let text = serde_json::to_string(&request).expect("messages are plain JSON");
        self.send_text(&text)
    }

    fn wait(
        &mut self,
        is_wanted: impl Fn(Option<&Value>, &ServerMessage) -> bool,
    ) -> Result<ServerMessage, Error> {
        let at = self.kept.iter().position(|(re, message)| is_wanted(re.as_ref(), message));
        let at = match at {
            Some(at) => at,
            None => {
                self.read(PATIENCE, is_wanted)?.ok_or(Error::Timeout("a message on the socket"))?
            }
        };
        let (_, message) = self.kept.remove(at).expect("the position was just found");
        Ok(message)
    }

    /// Reads into `kept` what has arrived by now. Even the shortest timeout lasts milliseconds, which are seconds for a crowd.
    fn read_waiting(&mut self) -> Result<(), Error> {
        self.socket.get_ref().set_nonblocking(true)?;
        let read = self.read(PATIENCE, |_, _| false);
        self.socket.get_ref().set_nonblocking(false)?;
        read.map(|_| ())
    }

    /// Reads messages into `kept` until one `is_wanted`, where it stands there, or `patience` is over, which it is at once where the
    /// socket does not block. What a crowd is told together is kept as if it had come alone.
    fn read(
        &mut self,
        patience: Duration,
        is_wanted: impl Fn(Option<&Value>, &ServerMessage) -> bool,
    ) -> Result<Option<usize>, Error> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
            self.socket.get_ref().set_read_timeout(Some(left))?;
            let text = match self.socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(frame)) => {
                    return Err(Error::Closed(frame.map_or(1005, |frame| frame.code.into())));
                }
                Ok(_) => continue,
                Err(tungstenite::Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(broken(error)),
            };
            let unread = |error| Error::Answer(format!("{error}: {text}"));
            let frame: Value = serde_json::from_str(&text).map_err(unread)?;
            let messages = match (frame["type"].as_str(), &frame["events"]) {
                (Some("events.batch"), Value::Array(events)) => events.clone(),
                _ => vec![frame],
            };
            let mut found = None;
            for value in messages {
                let re = value.get("re").cloned();
                let message: ServerMessage = serde_json::from_value(value).map_err(unread)?;
                if self.kept.len() == MAX_KEPT {
                    self.kept.pop_front();
                    found = found.map(|at: usize| at.saturating_sub(1));
                }
                if found.is_none() && is_wanted(re.as_ref(), &message) {
                    found = Some(self.kept.len());
                }
                self.kept.push_back((re, message));
            }
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

fn broken(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            Error::Closed(1006)
        }
        tungstenite::Error::Io(error) => Error::Io(error),
        error => Error::Answer(error.to_string()),
    }
}

impl Error {
    /// The stable code, where the server said one on the socket.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Said { code, .. } => Some(*code),
            _ => None,
        }
    }
}
