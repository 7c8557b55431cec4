//! One person on their way through the public doors: a ticket, the room's socket, media, and what the room says until they
//! go.

use super::heard::{CHAT, Heard, Message, each};
use super::media::{LAYERS, Media, Order};
use super::plan::Plan;
use crate::visitor::http::{self, Answer, Fault, Target};
use crate::visitor::tls::Stream;
use client::link::Local;
use client::publisher::Offer;
use client::{Publication, Subscriber, VideoCodec};
use futures_util::{SinkExt, StreamExt};
use protocol::media::{Source, ViewTile};
use protocol::{ClientMessage, ClientRequest, ParticipantId, ServerMessage};
use serde_json::{Value, json};
use sfu::Identity;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;

/// What all people of a load share.
pub struct Place {
    /// What was asked for.
    pub plan: Plan,
    /// The server.
    pub target: Target,
    /// Its address.
    pub address: IpAddr,
    /// The room.
    pub slug: String,
    /// What lets people in who are no members.
    pub invite_code: Option<String>,
    /// Threads of media; people are dealt out to them.
    pub media: Vec<Media>,
    /// One certificate for all: what clients pay for theirs is not measured.
    pub identity: Identity,
    /// What times count from.
    pub epoch: Instant,
    /// Goes true when it is over.
    pub is_over: watch::Receiver<bool>,
    /// Publishers who are in the room, for those who show them.
    pub publishers: Mutex<Vec<ParticipantId>>,
    /// How many are in now.
    pub present: AtomicUsize,
    /// How many of those who are to stay have come in, or are known not to come.
    pub settled: AtomicUsize,
}

/// What somebody comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// To film and speak.
    Publisher(usize),
    /// To see and hear.
    Subscriber,
    /// The same, for a while.
    Visitor(Duration),
}

/// How long each step of coming in took, from the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// Asking for the ticket.
    pub ticket: Duration,
    /// Until `joined` came on the socket.
    pub socket: Option<Duration>,
    /// Until media could flow, in all directions that were asked for.
    pub media: Option<Duration>,
    /// Until the first packet came, where one did.
    pub first: Option<Duration>,
    /// From asking for the ticket until media could flow.
    pub all: Option<Duration>,
}

/// How it went.
pub struct Visit {
    /// Steps, as far as they were taken.
    pub steps: Steps,
    /// Why it ended before it should.
    pub failed: Option<Refusal>,
    /// What the socket brought.
    pub heard: Heard,
}

/// A guest of the server's.
///
/// # Errors
/// By a word that stays the same.
pub async fn sign_in(target: &Target, name: &str) -> Result<String, Refusal> {
    let body = json!({ "display_name": name });
    let answer = http::fetch(target, "POST", "/api/v1/auth/guest", None, Some(&body)).await;
    let body = accepted(answer)?;
    Ok(body["access_token"].as_str().unwrap_or_default().to_owned())
}

/// Why a door stayed closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code of the error, or what broke.
    pub code: String,
    /// Words for people.
    pub words: String,
    /// After which time to come back.
    pub retry_after: Option<u64>,
}

/// The body of an answer that says yes.
pub fn accepted(answer: Result<Answer, Fault>) -> Result<Value, Refusal> {
    match answer {
        Ok(Answer { status: 200..=299, body, .. }) => Ok(body),
        Ok(Answer { status, body, retry_after, .. }) => {
            let text = |field: &str| body["error"][field].as_str().map(str::to_owned);
            let code = text("code").unwrap_or_else(|| format!("http_{status}"));
            Err(Refusal { code, words: text("message").unwrap_or_default(), retry_after })
        }
        Err(fault) => {
            Err(Refusal { code: "unreachable".into(), words: fault.to_string(), retry_after: None })
        }
    }
}

/// Comes in, stays, and goes.
pub async fn visit(place: &Place, number: usize, token: &str, role: Role) -> Visit {
    let mut stay = Stay {
        place,
        number,
        role,
        began: Instant::now(),
        steps: Steps::default(),
        heard: Heard::default(),
        joined_at: None,
        is_in: false,
    };
    let failed = stay.run(token).await.err();
    // Whoever was on the way when it was over was turned back by us.
    let failed = failed.filter(|_| !*place.is_over.borrow());
    if stay.is_in {
        place.present.fetch_sub(1, Ordering::Relaxed);
    } else if !matches!(role, Role::Visitor(_)) {
        place.settled.fetch_add(1, Ordering::Relaxed);
    }
    Visit { steps: stay.steps, failed, heard: stay.heard }
}

struct Stay<'a> {
    place: &'a Place,
    number: usize,
    role: Role,
    began: Instant,
    steps: Steps,
    heard: Heard,
    joined_at: Option<Instant>,
    is_in: bool,
}

type Socket = WebSocketStream<Box<dyn Stream>>;

/// What is waited for while the room talks.
struct Waits {
    /// Transports that are not connected yet.
    connecting: Vec<oneshot::Receiver<Instant>>,
    first: Option<oneshot::Receiver<Instant>>,
    offer: Option<Offer>,
    is_subscribed: bool,
}

impl Waits {
    /// Whether media flows in all directions that were asked for.
    fn is_complete(&self) -> bool {
        self.connecting.is_empty() && self.is_subscribed && self.offer.is_none()
    }
}

impl Stay<'_> {
    fn media(&self) -> &Media {
        &self.place.media[self.number % self.place.media.len()]
    }

    async fn run(&mut self, token: &str) -> Result<(), Refusal> {
        let Place { target, slug, plan, .. } = self.place;
        let body = json!({ "invite_key": plan.invite_key });
        let path = format!("/api/v1/rooms/{slug}/ticket");
        let answer = http::fetch(target, "POST", &path, Some(token), Some(&body)).await;
        let ticket = accepted(answer)?["ticket"].as_str().unwrap_or_default().to_owned();
        self.steps.ticket = self.began.elapsed();
        let opening = Instant::now();
        let url = target.socket_url(&format!("/ws/rooms/{slug}?ticket={ticket}"));
        let door = http::open(target).await.map_err(|fault| broken("unreachable", &fault))?;
        let opened = timeout(PATIENCE, tokio_tungstenite::client_async(url, door.stream)).await;
        let opened = opened.map_err(|error| broken("timeout", &error))?;
        let (mut socket, _) = opened.map_err(|error| broken("socket", &error))?;
        let outcome = self.talk(&mut socket, opening).await;
        let (done, left) = oneshot::channel();
        let has_stayed = *self.place.is_over.borrow();
        self.media().order(Order::Leave { person: self.number, has_stayed, done });
        // An error: the thread has ended, and with it all transports.
        left.await.ok();
        // A farewell frees the place at once; nobody waits long for its answer.
        let leave = Frame::text(r#"{"type":"leave"}"#);
        if timeout(FAREWELL, socket.send(leave)).await.is_ok() {
            let rest = async { while socket.next().await.is_some_and(|frame| frame.is_ok()) {} };
            timeout(FAREWELL, rest).await.ok();
        }
        outcome
    }

    async fn talk(&mut self, socket: &mut Socket, opening: Instant) -> Result<(), Refusal> {
        let mut is_over = self.place.is_over.clone();
        let mut waits =
            Waits { connecting: Vec::new(), first: None, offer: None, is_subscribed: false };
        let mut leave_at: Option<Instant> = None;
        let mut next_line = self.first_line();
        loop {
            // Until media flows there is an end to patience.
            let patience = (!self.is_in).then(|| self.began + PATIENCE);
            let until = [patience, leave_at, next_line].into_iter().flatten().min();
            let until = until.unwrap_or_else(|| Instant::now() + PATIENCE);
            tokio::select! {
                frame = socket.next() => match frame {
                    Some(Ok(Frame::Text(text))) => {
                        self.take(socket, &text, opening, &mut waits).await?;
                    }
                    Some(Ok(Frame::Close(close))) => {
                        let code = close.map_or(1005, |close| close.code.into());
                        return Err(broken(&format!("closed_{code}"), &"the server closed the socket"));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(broken("socket", &error)),
                    None => return Err(broken("socket", &"the socket ended")),
                },
                connected = any(&mut waits.connecting) => {
                    let at = connected.ok_or_else(|| broken("media", &"a transport ended"))?;
                    if waits.is_complete() {
                        self.comes_in(at);
                        if let Role::Visitor(stay) = self.role {
                            leave_at = Some(Instant::now() + stay);
                        }
                    }
                },
                first = first(&mut waits.first) => {
                    let since = self.joined_at.unwrap_or(opening);
                    self.steps.first = first.map(|at| at.saturating_duration_since(since));
                },
                () = sleep_until(until.into()) => {
                    let now = Instant::now();
                    if patience.is_some_and(|at| at <= now) {
                        return Err(broken("timeout", &"media did not connect in time"));
                    }
                    if leave_at.is_some_and(|at| at <= now) {
                        return Ok(());
                    }
                    if next_line.is_some_and(|at| at <= now) {
                        next_line = self.say(socket).await?;
                    }
                },
                () = told_over(&mut is_over) => return Ok(()),
            }
        }
    }

    fn comes_in(&mut self, at: Instant) {
        if !self.is_in {
            self.is_in = true;
            self.place.present.fetch_add(1, Ordering::Relaxed);
            if !matches!(self.role, Role::Visitor(_)) {
                self.place.settled.fetch_add(1, Ordering::Relaxed);
            }
            self.steps.media = self.joined_at.map(|joined| at.saturating_duration_since(joined));
            self.steps.all = Some(at.saturating_duration_since(self.began));
        }
    }

    /// Reads a frame, and does what follows.
    async fn take(
        &mut self,
        socket: &mut Socket,
        text: &str,
        opening: Instant,
        waits: &mut Waits,
    ) -> Result<(), Refusal> {
        let now = Instant::now();
        let Some(message) = Message::read(text) else { return Ok(()) };
        let present = self.place.present.load(Ordering::Relaxed);
        self.heard.note(now, self.place.epoch, present, text, &message);
        let mut known = Vec::new();
        each(text, &message, |text, message| match message.kind.as_ref() {
            "chat.message" => self.heard.chat(now, self.place.epoch, text),
            "joined" | "media.offer" | "media.published" | "media.layers" | "media.closed"
            | "lobby.waiting" | "error" => known.extend(serde_json::from_str(text).ok()),
            _ => {}
        });
        for message in known {
            self.obey(socket, message, opening, waits).await?;
        }
        Ok(())
    }

    async fn obey(
        &mut self,
        socket: &mut Socket,
        message: ServerMessage,
        opening: Instant,
        waits: &mut Waits,
    ) -> Result<(), Refusal> {
        match message {
            ServerMessage::Joined { participant_id, .. } => {
                self.joined_at = Some(Instant::now());
                self.steps.socket = Some(opening.elapsed());
                self.ask(socket, participant_id, waits).await
            }
            ServerMessage::MediaOffer { .. } if waits.is_subscribed => {
                self.heard.renegotiations += 1;
                Ok(())
            }
            ServerMessage::MediaOffer { pc, sdp, .. } => {
                waits.is_subscribed = true;
                let (connected, connects) = oneshot::channel();
                let (first, comes) = oneshot::channel();
                let local = Local::with_identity(self.place.identity.clone());
                let answered = Subscriber::answer(&sdp, &local);
                let (mut subscriber, sdp) = answered.map_err(|error| broken("sdp", &error))?;
                subscriber.link.aim(self.place.address).map_err(|error| broken("io", &error))?;
                waits.connecting.push(connects);
                waits.first = Some(comes);
                send(socket, None, ClientMessage::MediaAnswer { pc, sdp }).await?;
                let (person, subscriber) = (self.number, Box::new(subscriber));
                self.media().order(Order::Watch { person, subscriber, connected, first });
                Ok(())
            }
            ServerMessage::MediaPublished { sdp, .. } => {
                let (Some(offer), Role::Publisher(number)) = (waits.offer.take(), self.role) else {
                    return Ok(());
                };
                let mut publisher = offer.answered(&sdp).map_err(|error| broken("sdp", &error))?;
                publisher.link.aim(self.place.address).map_err(|error| broken("io", &error))?;
                let (connected, connects) = oneshot::channel();
                waits.connecting.push(connects);
                let (person, publisher) = (self.number, Box::new(publisher));
                self.media().order(Order::Publish { person, number, publisher, connected });
                Ok(())
            }
            ServerMessage::MediaLayers { rids, .. } => {
                let is_taken =
                    |layer: usize| rids.iter().any(|rid| rid == client::publisher::RIDS[layer]);
                let taken: [bool; LAYERS] = std::array::from_fn(is_taken);
                self.media().order(Order::Layers { person: self.number, taken });
                Ok(())
            }
            ServerMessage::MediaClosed { reason, .. } => Err(broken("media_closed", &reason)),
            ServerMessage::LobbyWaiting { .. } => {
                Err(broken("lobby", &"the room has a lobby: a moderator must admit everybody"))
            }
            // Such as chat that is faster than a person may write.
            ServerMessage::Error { .. } if self.is_in => {
                self.heard.refused += 1;
                Ok(())
            }
            ServerMessage::Error { code, reason, .. } => {
                let code = serde_json::to_value(code).ok();
                let code = code.as_ref().and_then(Value::as_str).unwrap_or("error").to_owned();
                Err(Refusal { code, words: reason, retry_after: None })
            }
            _ => Ok(()),
        }
    }

    /// What a client asks for as soon as it is in.
    async fn ask(
        &mut self,
        socket: &mut Socket,
        me: ParticipantId,
        waits: &mut Waits,
    ) -> Result<(), Refusal> {
        let Place { plan, identity, publishers, .. } = self.place;
        let subscribe = ClientMessage::MediaSubscribe {
            pc: "subscribe".into(),
            audio_slots: plan.audio_slots,
            video_slots: plan.video_slots,
        };
        if let Role::Publisher(_) = self.role {
            publishers.lock().expect("nobody panics with it").push(me);
            let publication = Publication {
                audio: true,
                video: !plan.audio_only,
                levels: true,
                codec: VideoCodec::Vp8,
                shows: Source::Camera,
                layers: plan.layers,
            };
            let offer = Offer::with_local(publication, Local::with_identity(identity.clone()));
            let publish = ClientMessage::MediaPublish {
                pc: "publish".into(),
                sdp: offer.sdp.clone(),
                tracks: offer.tracks.clone(),
            };
            waits.offer = Some(offer);
            send(socket, Some(1), publish).await?;
        }
        send(socket, Some(2), subscribe).await?;
        if let Some(tiles) = plan.tiles {
            let shown = publishers.lock().expect("nobody panics with it").clone();
            let tile = |participant_id| ViewTile {
                participant_id,
                source: Source::Camera,
                width: plan.tile_width,
                height: (u32::from(plan.tile_width) * 9 / 16) as u16,
                pinned: false,
            };
            let others = shown.into_iter().filter(|shown| *shown != me);
            let tiles: Vec<Value> = others.take(tiles).map(|id| json!(tile(id))).collect();
            let view = json!({ "type": "view.set", "tiles": tiles, "silenced": [] });
            send_text(socket, view.to_string()).await?;
        }
        Ok(())
    }

    /// When this person writes first, where there is chat: everybody in turn, at the rate of all together.
    fn first_line(&self) -> Option<Instant> {
        let plan = &self.place.plan;
        let share = self.number as f64 / plan.people() as f64;
        self.between_lines().map(|pause| Instant::now() + pause.mul_f64(0.5 + share))
    }

    fn between_lines(&self) -> Option<Duration> {
        let plan = &self.place.plan;
        (plan.chat > 0.0).then(|| Duration::from_secs_f64(plan.people() as f64 / plan.chat))
    }

    async fn say(&mut self, socket: &mut Socket) -> Result<Option<Instant>, Refusal> {
        if self.is_in {
            let text = format!("{CHAT}{}", self.place.epoch.elapsed().as_micros());
            let line = json!({ "type": "chat.message", "text": text });
            send_text(socket, line.to_string()).await?;
        }
        Ok(self.between_lines().map(|pause| Instant::now() + pause))
    }
}

/// Waits until it is over.
pub async fn told_over(is_over: &mut watch::Receiver<bool>) {
    is_over.wait_for(|is_over| *is_over).await.ok();
}

/// The first of them that is told, which is taken out; never where there is none.
async fn any(waits: &mut Vec<oneshot::Receiver<Instant>>) -> Option<Instant> {
    if waits.is_empty() {
        return std::future::pending().await;
    }
    let (at, index) = std::future::poll_fn(|context| {
        for (index, wait) in waits.iter_mut().enumerate() {
            if let std::task::Poll::Ready(at) = std::pin::Pin::new(wait).poll(context) {
                return std::task::Poll::Ready((at.ok(), index));
            }
        }
        std::task::Poll::Pending
    })
    .await;
    waits.swap_remove(index);
    at
}

async fn first(wait: &mut Option<oneshot::Receiver<Instant>>) -> Option<Instant> {
    let Some(waiting) = wait else { return std::future::pending().await };
    let at = waiting.await.ok();
    *wait = None;
    at
}

async fn send(socket: &mut Socket, id: Option<u64>, message: ClientMessage) -> Result<(), Refusal> {
    let request = ClientRequest { id: id.map(Value::from), message };
    let text = serde_json::to_string(&request).expect("messages are plain JSON");
    send_text(socket, text).await
}

async fn send_text(socket: &mut Socket, text: String) -> Result<(), Refusal> {
    socket.send(Frame::text(text)).await.map_err(|error| broken("socket", &error))
}

fn broken(code: &str, words: &dyn std::fmt::Display) -> Refusal {
    Refusal { code: code.to_owned(), words: words.to_string(), retry_after: None }
}

/// Longer than any step takes at a healthy server; who is not in by then has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// For the end of a socket.
const FAREWELL: Duration = Duration::from_secs(2);
