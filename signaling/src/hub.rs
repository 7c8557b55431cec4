//! The rooms that live now. Each is owned by one task; this is the map from rooms to their tasks, and the
//! only lock: it is held for a few lines to find, start or retire a task, never while waiting. No task could
//! own it, because the media thread must find a room without waiting.

mod crowd;
mod mailbox;
mod media_line;
mod reports;
mod task;

use crate::app::ApiError;
use crate::recorder::Recorder;
use crate::resume::ResumeKey;
use crate::room::{
    Door, DoorChangeRequest, DoorRequest, JoinRequest, Missed, Noted, Passed, Refusal, Reply, Room,
    Rules, SignedOut, SocketId,
};
use crate::settings::{MediaBusy, MediaPlane};
use crate::socket::outbox::Outbox;
use mailbox::Mailbox;
use protocol::limits::ANSWER_WITHIN;
use protocol::recording::RecordEnd;
use protocol::room::{By, Participant, Role, Snapshot};
use protocol::server::close;
use protocol::stats::RoomStats;
use protocol::{ClientMessage, ErrorCode, RecordingId, RoomId, UserId};
use serde_json::Value;
use sfu::{Command, Event};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use store::{EventPage, Store};
use task::RoomTask;
use tokio::sync::{mpsc, oneshot, watch};

/// The rooms that live now. Cheap to clone; clones are the same one.
#[derive(Clone)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    media: Arc<dyn MediaPlane>,
    recorder: Arc<dyn Recorder>,
    resume: ResumeKey,
    rules: Rules,
    rooms: Mutex<Rooms>,
    next_index: AtomicU32,
    next_socket: AtomicU64,
    /// How many sockets and room tasks there are, so that a stop can wait for them.
    running: watch::Sender<usize>,
}

#[derive(Default)]
struct Rooms {
    by_id: HashMap<RoomId, RoomHandle>,
    by_index: HashMap<u32, RoomHandle>,
    is_stopping: bool,
}

/// The way to a room's task.
#[derive(Clone)]
pub(crate) struct RoomHandle {
    id: RoomId,
    index: u32,
    notes: mpsc::Sender<Note>,
    mailbox: Arc<Mailbox>,
    count: Arc<AtomicUsize>,
}

/// What a room's task is told.
enum Note {
    Enter { join: Box<JoinRequest>, outbox: Outbox },
    Request { socket: SocketId, message: Box<ClientMessage>, re: Option<Value> },
    SocketGone { socket: SocketId, heard_at: Instant },
    Knock { request: Box<DoorRequest>, reply: oneshot::Sender<Door> },
    EndDoor { session: String, reply: oneshot::Sender<bool> },
    ChangeDoor { request: Box<DoorChangeRequest>, reply: oneshot::Sender<Door> },
    KeyRevoked { user: UserId },
    SocketSignedOut { socket: SocketId },
    SignedOut(SignedOut),
    Participants { reply: oneshot::Sender<Vec<Participant>> },
    Stats { reply: oneshot::Sender<RoomStats> },
    Order { order: Box<Order>, reply: oneshot::Sender<Ordered> },
    Answered { reply: Reply, answer: Ordered },
    Noted { note: Box<Noted>, reply: Option<oneshot::Sender<Ordered>> },
    People { room: RoomId, people: Vec<By> },
    Fetched { missed: Box<Missed>, page: Option<EventPage> },
    RecordingEnds { recording: RecordingId, reason: RecordEnd },
    Snapshot { viewer: UserId, is_moderator: bool, reply: oneshot::Sender<(Snapshot, i64)> },
    Close { reply: oneshot::Sender<()> },
    Suspend,
}

/// An order that comes by no socket of the room.
struct Order {
    by: By,
    role: Role,
    message: ClientMessage,
    /// The breakout room that passed it on.
    breakout: Option<RoomId>,
}

/// What became of an order.
type Ordered = Result<(), Refusal>;

/// The room's task is gone; whoever needs the room opens it again.
pub(crate) struct RoomGone;

/// Counts a socket or a task for as long as it lives.
pub(crate) struct Running(watch::Sender<usize>);

impl Running {
    fn new(counter: &watch::Sender<usize>) -> Self {
        counter.send_modify(|running| *running += 1);
        Self(counter.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

impl Hub {
    pub(crate) fn new(
        store: Store,
        media: Arc<dyn MediaPlane>,
        recorder: Arc<dyn Recorder>,
        resume: ResumeKey,
        rules: Rules,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                media,
                recorder,
                resume,
                rules,
                rooms: Mutex::default(),
                next_index: AtomicU32::new(1),
                next_socket: AtomicU64::new(1),
                running: watch::Sender::new(0),
            }),
        }
    }

    /// Checks and makes the secrets that take participants over.
    pub(crate) fn resume_key(&self) -> &ResumeKey {
        &self.inner.resume
    }

    /// A number for a socket, and its place among those that a stop waits for.
    pub(crate) fn new_socket(&self) -> (SocketId, Running) {
        let id = SocketId(self.inner.next_socket.fetch_add(1, Ordering::Relaxed));
        (id, Running::new(&self.inner.running))
    }

    /// Brings a socket into a room. What becomes of it arrives in its outbox.
    pub(crate) async fn enter(
        &self,
        room: RoomId,
        join: Box<JoinRequest>,
        outbox: Outbox,
    ) -> Result<RoomHandle, ApiError> {
        self.deliver(room, Note::Enter { join, outbox }).await
    }

    /// Opens a session of WHIP or WHEP and waits for its SDP answer.
    pub(crate) async fn knock(
        &self,
        room: RoomId,
        request: DoorRequest,
    ) -> Result<String, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.deliver(room, Note::Knock { request: Box::new(request), reply }).await?;
        match answer.await {
            Ok(Door::Open(sdp)) => Ok(sdp),
            Ok(Door::Refused(refusal)) => Err(refusal.into()),
            Ok(Door::Done) | Err(_) => Err(unavailable()),
        }
    }

    /// Changes a session of WHIP or WHEP; the SDP answer, where its ICE was restarted.
    pub(crate) async fn change_door(
        &self,
        room: RoomId,
        request: DoorChangeRequest,
    ) -> Result<Option<String>, ApiError> {
        let gone = || ApiError::new(ErrorCode::NotFound, "there is no such session");
        let handle = self.find(room).ok_or_else(gone)?;
        let (reply, answer) = oneshot::channel();
        handle.notes.send(Note::ChangeDoor { request: Box::new(request), reply }).await.ok();
        match answer.await {
            Ok(Door::Open(sdp)) => Ok(Some(sdp)),
            Ok(Door::Done) => Ok(None),
            Ok(Door::Refused(refusal)) => Err(refusal.into()),
            Err(_) => Err(gone()),
        }
    }

    /// Ends what a stream key opened.
    pub(crate) async fn key_revoked(&self, room: RoomId, user: UserId) {
        if let Some(handle) = self.find(room) {
            handle.notes.send(Note::KeyRevoked { user }).await.ok();
        }
    }

    /// Ends the sessions of WHIP and WHEP of somebody who has signed out.
    pub(crate) async fn signed_out(&self, who: SignedOut) {
        let handles: Vec<RoomHandle> = self.lock().by_id.values().cloned().collect();
        for handle in handles {
            handle.notes.send(Note::SignedOut(who)).await.ok();
        }
    }

    /// Ends a session of WHIP or WHEP; says whether there was one.
    pub(crate) async fn end_door(&self, room: RoomId, session: String) -> bool {
        let Some(handle) = self.find(room) else { return false };
        let (reply, answer) = oneshot::channel();
        handle.notes.send(Note::EndDoor { session, reply }).await.ok();
        answer.await.unwrap_or(false)
    }

    /// Everybody who is seen in a room now, in order of joining.
    pub(crate) async fn participants(&self, room: RoomId) -> Vec<Participant> {
        let Some(handle) = self.find(room) else { return Vec::new() };
        let (reply, answer) = oneshot::channel();
        handle.notes.send(Note::Participants { reply }).await.ok();
        answer.await.unwrap_or_default()
    }

    /// How a room's media does now; nobody is in a room that does not live.
    pub(crate) async fn stats(&self, room: RoomId) -> Result<RoomStats, ApiError> {
        let Some(handle) = self.find(room) else { return Ok(RoomStats::default()) };
        let (reply, answer) = oneshot::channel();
        handle.notes.send(Note::Stats { reply }).await.ok();
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(stats)) => Ok(stats),
            Ok(Err(_)) | Err(_) => {
                Err(ApiError::new(ErrorCode::Unavailable, "the media plane does not answer now"))
            }
        }
    }

    /// How many are seen in a room now.
    pub(crate) fn count(&self, room: RoomId) -> u32 {
        let count = self.find(room).map_or(0, |handle| handle.count.load(Ordering::Relaxed));
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Gives an order over REST, whether somebody is in the room or not, and waits until it is stored.
    pub(crate) async fn order(
        &self,
        room: RoomId,
        by: By,
        role: Role,
        message: ClientMessage,
    ) -> Result<(), ApiError> {
        let order = Order { by, role, message, breakout: None };
        Ok(self.ordered(room, order).await??)
    }

    async fn ordered(&self, room: RoomId, order: Order) -> Result<Ordered, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.deliver(room, Note::Order { order: Box::new(order), reply }).await?;
        answer.await.map_err(|_| unavailable())
    }

    /// Gives an order of a breakout room to its main room.
    async fn pass(&self, passed: Passed) -> (Reply, Ordered) {
        let Passed { to, from, by, role, message, reply } = passed;
        let order = Order { by, role, message, breakout: Some(from) };
        let answer = self.ordered(to, order).await.unwrap_or_else(|error| Err(error.into()));
        (reply, answer)
    }

    /// Tells those of these rooms that live. Waits while one of them is busy, so nothing is told out of order;
    /// breakout rooms never wait for their main room.
    async fn relay(&self, rooms: Vec<RoomId>, note: Noted) {
        for room in rooms {
            if let Some(handle) = self.find(room) {
                let note = Box::new(note.clone());
                handle.notes.send(Note::Noted { note, reply: None }).await.ok();
            }
        }
    }

    /// Makes what a REST call has changed an event of its room, and waits until that is stored.
    pub(crate) async fn note(&self, room: RoomId, note: Noted) -> Result<(), ApiError> {
        let (reply, answer) = oneshot::channel();
        self.deliver(room, Note::Noted { note: Box::new(note), reply: Some(reply) }).await?;
        Ok(answer.await.map_err(|_| unavailable())??)
    }

    /// Tells a main room who is in its breakout room; says whether it could be told now.
    fn tell_people(&self, main: RoomId, room: RoomId, people: Vec<By>) -> bool {
        let note = Note::People { room, people };
        self.find(main).is_some_and(|handle| handle.notes.try_send(note).is_ok())
    }

    /// Tells a room that its recording cannot go on.
    pub(crate) async fn recording_ends(
        &self,
        room: RoomId,
        recording: RecordingId,
        reason: RecordEnd,
    ) -> Result<(), ApiError> {
        self.deliver(room, Note::RecordingEnds { recording, reason }).await.map(|_| ())
    }

    /// Everything about a room as it is now, and the number of its next event.
    pub(crate) async fn snapshot(
        &self,
        room: RoomId,
        viewer: UserId,
        is_moderator: bool,
    ) -> Result<(Snapshot, i64), ApiError> {
        let (reply, answer) = oneshot::channel();
        self.deliver(room, Note::Snapshot { viewer, is_moderator, reply }).await?;
        answer.await.map_err(|_| unavailable())
    }

    /// The room is deleted: everybody is out when this returns.
    pub(crate) async fn close_room(&self, room: RoomId) {
        let Some(handle) = self.find(room) else { return };
        let (reply, answer) = oneshot::channel();
        handle.notes.send(Note::Close { reply }).await.ok();
        answer.await.ok();
    }

    /// A number for transports that belong to no room.
    pub(crate) fn new_index(&self) -> u32 {
        self.inner.next_index.fetch_add(1, Ordering::Relaxed)
    }

    /// Tells the media plane something about transports that belong to no room.
    pub(crate) fn tell_media(&self, command: Command) -> Result<(), MediaBusy> {
        self.inner.media.send(command)
    }

    /// Hands an event to its room. Never waits. What comes of a transport of no room is given back with its number.
    pub(crate) fn media_event(&self, event: Event) -> Option<(u32, Event)> {
        let rooms = self.lock();
        let mut index = None;
        let handle = match &event {
            Event::Answered { peer, .. }
            | Event::Offered { peer, .. }
            | Event::Refused { peer, .. }
            | Event::Connected { peer }
            | Event::Closed { peer, .. } => rooms.by_index.get(index.insert(Room::index_of(*peer))),
            Event::TracksChanged { room, .. }
            | Event::SlotsChanged { room, .. }
            | Event::LayersWanted { room, .. }
            | Event::SpeakersChanged { room, .. }
            | Event::Reported { room, .. }
            | Event::Alive { room, .. } => rooms.by_id.get(room),
        };
        let mailbox = handle.map(|handle| Arc::clone(&handle.mailbox));
        drop(rooms);
        match mailbox {
            Some(mailbox) => {
                mailbox.put(event);
                None
            }
            None => index.map(|index| (index, event)),
        }
    }

    /// Closes every socket with 1012, stores that everybody has left, and waits until that is done; not for
    /// ever.
    pub(crate) async fn shutdown(&self) {
        let handles: Vec<RoomHandle> = {
            let mut rooms = self.lock();
            rooms.is_stopping = true;
            rooms.by_id.values().cloned().collect()
        };
        let mut running = self.inner.running.subscribe();
        let stopped = async {
            for handle in &handles {
                handle.notes.send(Note::Suspend).await.ok();
            }
            running.wait_for(|running| *running == 0).await.ok();
        };
        if tokio::time::timeout(STOP_WITHIN, stopped).await.is_err() {
            tracing::warn!("some rooms or sockets did not stop in time");
        }
    }

    /// Tells a room's task, and starts it where there is none.
    async fn deliver(&self, room: RoomId, mut note: Note) -> Result<RoomHandle, ApiError> {
        for _ in 0..DELIVERY_ATTEMPTS {
            let handle = self.open(room).ok_or_else(unavailable)?;
            match handle.notes.send(note).await {
                Ok(()) => return Ok(handle),
                // It retired in between.
                Err(mpsc::error::SendError(returned)) => note = returned,
            }
        }
        Err(unavailable())
    }

    fn find(&self, room: RoomId) -> Option<RoomHandle> {
        let handle = self.lock().by_id.get(&room).cloned();
        handle.filter(|handle| !handle.notes.is_closed())
    }

    /// The task of a room, started where there is none; `None` while the process stops.
    fn open(&self, id: RoomId) -> Option<RoomHandle> {
        let mut rooms = self.lock();
        if rooms.is_stopping {
            return None;
        }
        let dead = match rooms.by_id.get(&id) {
            Some(handle) if handle.notes.is_closed() => Some(handle.index),
            Some(handle) => return Some(handle.clone()),
            None => None,
        };
        if let Some(index) = dead {
            // Its task did not retire, it broke. Who was in there has to come again.
            rooms.by_index.remove(&index);
            tracing::error!(room = %id, "a room's task broke and is started anew");
        }
        let (notes, inbox) = mpsc::channel(NOTES_WAITING);
        let handle = RoomHandle {
            id,
            index: self.inner.next_index.fetch_add(1, Ordering::Relaxed),
            notes,
            mailbox: Arc::default(),
            count: Arc::default(),
        };
        rooms.by_id.insert(id, handle.clone());
        rooms.by_index.insert(handle.index, handle.clone());
        drop(rooms);
        let running = Running::new(&self.inner.running);
        let task = RoomTask::new(self.clone(), handle.clone(), dead.is_some());
        tokio::spawn(async move {
            task.run(inbox).await;
            drop(running);
        });
        Some(handle)
    }

    /// Takes an empty room's task off the map, unless somebody has just come.
    fn retire(&self, handle: &RoomHandle, inbox: &mut mpsc::Receiver<Note>) -> bool {
        let mut rooms = self.lock();
        if !inbox.is_empty() || !handle.mailbox.is_empty() {
            return false;
        }
        inbox.close();
        remove(&mut rooms, handle);
        true
    }

    /// Takes a task off the map, whoever may come.
    fn drop_room(&self, handle: &RoomHandle) {
        remove(&mut self.lock(), handle);
    }

    fn lock(&self) -> MutexGuard<'_, Rooms> {
        // Nothing under the lock panics half way, so what a poisoned one holds is whole.
        self.inner.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoomHandle {
    /// Hands a request of a socket over, and waits while the room is busy: that is what slows a client down.
    pub(crate) async fn request(
        &self,
        socket: SocketId,
        message: ClientMessage,
        re: Option<Value>,
    ) -> Result<(), RoomGone> {
        let note = Note::Request { socket, message: Box::new(message), re };
        self.notes.send(note).await.map_err(|_| RoomGone)
    }

    /// Says that whoever has a socket has signed out.
    pub(crate) async fn socket_signed_out(&self, socket: SocketId) {
        self.notes.send(Note::SocketSignedOut { socket }).await.ok();
    }

    /// Says that a socket is over.
    pub(crate) async fn socket_gone(&self, socket: SocketId, heard_at: Instant) {
        self.notes.send(Note::SocketGone { socket, heard_at }).await.ok();
    }
}

fn remove(rooms: &mut Rooms, handle: &RoomHandle) {
    rooms.by_index.remove(&handle.index);
    if rooms.by_id.get(&handle.id).is_some_and(|other| other.index == handle.index) {
        rooms.by_id.remove(&handle.id);
    }
}

fn unavailable() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "the room cannot be opened now, try again")
}

/// Requests waiting for one room. More lets latency grow before senders are slowed; fewer makes a thousand
/// people wait for each other's acknowledgements.
const NOTES_WAITING: usize = 1_024;
/// A retiring task is met by chance; three times in a row is something else.
const DELIVERY_ATTEMPTS: usize = 3;
/// Longer makes a deployment wait for stuck sockets; shorter may cut off the last writes of a slow disk.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// What sockets are told when the process stops.
const STOP_CODE: u16 = close::RESTARTING;
