//! A live control plane for tests: real sockets on a free port, a store of its own, and a media plane that
//! only writes down what it is told. What it would answer, the test says itself.

use crate::Signaling;
use crate::settings::{MediaBusy, MediaPlane, Settings};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sfu::Command;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::testing::TestDatabase;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tower::ServiceExt;

/// A deployment of one test.
pub(crate) struct Live {
    pub signaling: Signaling,
    pub database: TestDatabase,
    pub address: SocketAddr,
    router: Router,
    commands: Mutex<mpsc::UnboundedReceiver<Command>>,
    is_trap: Arc<AtomicBool>,
}

/// What came back over HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// A person with a token.
pub(crate) struct Person {
    pub token: String,
    pub id: String,
}

/// A socket in a room, as a client holds it.
pub(crate) struct Client {
    pub socket: WebSocketStream<TcpStream>,
    /// What a crowd was told together and nobody has looked at.
    told: VecDeque<Value>,
}

struct Recorder {
    sender: mpsc::UnboundedSender<Command>,
    /// Stands for a bug in a room's task: the next command breaks it.
    is_trap: Arc<AtomicBool>,
}

impl MediaPlane for Recorder {
    fn send(&self, command: Command) -> Result<(), MediaBusy> {
        assert!(!self.is_trap.swap(false, Ordering::Relaxed), "the trap");
        self.sender.send(command).map_err(|_| MediaBusy)
    }
}

impl Live {
    pub(crate) async fn new() -> Self {
        Self::with(Settings::for_tests()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::on(TestDatabase::sqlite().await, settings).await
    }

    /// On a store that was there before.
    pub(crate) async fn on(database: TestDatabase, settings: Settings) -> Self {
        let (sender, commands) = mpsc::unbounded_channel();
        let is_trap = Arc::new(AtomicBool::new(false));
        let media = Arc::new(Recorder { sender, is_trap: Arc::clone(&is_trap) });
        let signaling = Signaling::new(settings, database.store.clone(), media);
        let router = signaling.router();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.clone().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self { signaling, database, address, router, commands: Mutex::new(commands), is_trap }
    }

    /// One HTTP request, its body as it is.
    pub(crate) async fn http(
        &self,
        call: &str,
        token: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let headers = [("content-type", content_type)];
        self.http_with(call, token, &headers[usize::from(content_type.is_empty())..], body).await
    }

    /// The same with these headers.
    pub(crate) async fn http_with(
        &self,
        call: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let (method, path) = call.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Status and headers of an answer whose body need not be text.
    pub(crate) async fn bytes(&self, call: &str, token: &str) -> (u16, HeaderMap) {
        let (method, path) = call.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        let call = format!("POST /api/v1/{path}");
        self.http(&call, token, "application/json", body.to_string()).await
    }

    pub(crate) async fn guest(&self, name: &str) -> Person {
        let answer = self.post("auth/guest", "", json!({ "display_name": name })).await.json();
        Person { token: text(&answer["access_token"]), id: text(&answer["user"]["id"]) }
    }

    pub(crate) async fn room(&self, owner: &Person, slug: &str) -> Value {
        let body = json!({ "name": "Stand-up", "slug": slug });
        self.post("rooms", &owner.token, body).await.json()
    }

    /// A ticket for the room's socket.
    pub(crate) async fn ticket(&self, person: &Person, slug: &str, body: Value) -> String {
        let answer = self.post(&format!("rooms/{slug}/ticket"), &person.token, body).await;
        text(&answer.json()["ticket"])
    }

    /// Opens a socket in the room with a ticket, and waits for nothing.
    pub(crate) async fn connect(&self, person: &Person, slug: &str) -> Client {
        let ticket = self.ticket(person, slug, json!({})).await;
        self.open(&format!("/ws/rooms/{slug}?ticket={ticket}"), &[]).await.unwrap()
    }

    /// Opens a socket in the room and reads its first three messages.
    pub(crate) async fn enter(&self, person: &Person, slug: &str) -> (Client, Value) {
        let mut client = self.connect(person, slug).await;
        let joined = client.welcome().await;
        (client, joined)
    }

    /// Comes back with the secret of an earlier `joined`.
    pub(crate) async fn resume(&self, person: &Person, slug: &str, joined: &Value) -> Client {
        let ticket = self.ticket(person, slug, json!({ "resume": joined["resume"] })).await;
        self.open(&format!("/ws/rooms/{slug}?ticket={ticket}"), &[]).await.unwrap()
    }

    /// Opens a socket with these headers, or says with what status that was refused.
    pub(crate) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Result<Client, u16> {
        let tcp = TcpSocket::new_v4().unwrap();
        // Small, so that a client that does not read is seen soon.
        tcp.set_recv_buffer_size(16 * 1024).unwrap();
        let stream = tcp.connect(self.address).await.unwrap();
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            let name = header::HeaderName::try_from(*name).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Client { socket, told: VecDeque::new() }),
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// The next command to the media plane breaks the task that sends it.
    pub(crate) fn set_trap(&self) {
        self.is_trap.store(true, Ordering::Relaxed);
    }

    /// What the media plane is told next.
    pub(crate) async fn command(&self) -> Command {
        let mut commands = self.commands.lock().await;
        timeout(PATIENCE, commands.recv()).await.expect("a command in time").unwrap()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        (self.status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Client {
    /// Sends one message.
    pub(crate) async fn send(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        match self.next_or_close().await {
            Ok(message) => message,
            Err(code) => panic!("closed with {code}"),
        }
    }

    /// The next message of this type; others before it are passed over.
    pub(crate) async fn wait(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Sends a request and waits for what answers it.
    pub(crate) async fn ask(&mut self, mut message: Value) -> Value {
        message["id"] = json!("asked");
        self.send(message).await;
        loop {
            let message = self.next().await;
            if message["re"] == "asked" {
                return message;
            }
        }
    }

    /// Reads the first three messages and gives `joined`, with the snapshot under `snapshot`.
    pub(crate) async fn welcome(&mut self) -> Value {
        let mut joined = self.next().await;
        assert_eq!(joined["type"], "joined", "{joined}");
        let snapshot = self.next().await;
        assert_eq!(snapshot["type"], "state.snapshot");
        assert_eq!(self.next().await["type"], "sync.info");
        joined["snapshot"] = snapshot;
        joined
    }

    /// The close code, once it comes; messages before it are passed over.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next_or_close().await {
                return code;
            }
        }
    }

    /// The next message, or the close code (1006 where the connection just ended). What a crowd is told together comes
    /// one by one.
    pub(crate) async fn next_or_close(&mut self) -> Result<Value, u16> {
        loop {
            if let Some(message) = self.told.pop_front() {
                return Ok(message);
            }
            let mut frame = self.next_frame().await?;
            if frame["type"] != "events.batch" {
                return Ok(frame);
            }
            let Value::Array(events) = frame["events"].take() else { panic!("no batch: {frame}") };
            self.told.extend(events);
        }
    }

    /// The next frame as it came, or the close code.
    pub(crate) async fn next_frame(&mut self) -> Result<Value, u16> {
        // One limit for all of it: pings alone must not keep a test waiting for ever.
        let end = Instant::now() + PATIENCE;
        loop {
            let frame = timeout_at(end, self.socket.next()).await.expect("a message in time");
            match frame {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Err(1006),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Makes sure that everything sent before has been taken by the room.
    pub(crate) async fn settle(&mut self) {
        assert_eq!(self.ask(json!({ "type": "ping" })).await["type"], "pong");
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A test that waits longer has failed. Long, because builds and browsers may share the machine.
const PATIENCE: Duration = Duration::from_secs(20);
