//! The task that owns a room: it tells the pure room what happens and runs the effects in order.

use super::crowd::{Crowd, To};
use super::media_line::MediaLine;
use super::reports::Reports;
use super::{Hub, Note, Order, RoomHandle, STOP_CODE};
use crate::clock::now_ms;
use crate::recorder::Recorder;
use crate::room::{
    Door, Effect, Input, Missed, Noted, Passed, Refusal, Reply, Room, SocketId, Verdict,
};
use crate::socket::outbox::Outbox;
use protocol::limits::{MAX_BATCH_BYTES, MAX_CHAT_HISTORY, MAX_SYNC_PAGE};
use protocol::room::By;
use protocol::server::{LeaveReason, close};
use protocol::{ErrorCode, MessageId, RoomId, ServerMessage};
use sfu::Command;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use store::{Fact, NewEvent, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

pub(super) struct RoomTask {
    hub: Hub,
    handle: RoomHandle,
    media: MediaLine,
    /// Whether an earlier task of the room broke and left its media behind.
    is_replacement: bool,
}

impl RoomTask {
    pub(super) fn new(hub: Hub, handle: RoomHandle, is_replacement: bool) -> Self {
        let media = MediaLine::new(hub.inner.media.clone());
        Self { hub, handle, media, is_replacement }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Note>) {
        if self.is_replacement {
            self.media.send(Command::CloseRoom { room: self.handle.id });
        }
        let room = match self.load().await {
            Ok(room) => room,
            Err(error) => {
                tracing::error!(%error, room = %self.handle.id, "a room's log cannot be read");
                self.hub.drop_room(&self.handle);
                inbox.close();
                while let Some(note) = inbox.recv().await {
                    refuse(note);
                }
                return;
            }
        };
        let stage = Stage {
            room,
            id: self.handle.id,
            hub: self.hub.clone(),
            store: self.hub.inner.store.clone(),
            media: self.media,
            recorder: self.hub.inner.recorder.clone(),
            seats: HashMap::new(),
            admitted: 0,
            crowd: Crowd::default(),
            paging: BTreeMap::new(),
            knocks: HashMap::new(),
            calls: HashMap::new(),
            next_call: 0,
            notes: self.handle.notes.downgrade(),
            relays: Vec::new(),
            people_told: Vec::new(),
            reports: Reports::default(),
            closing: Vec::new(),
            gauges: Gauges::new(),
        };
        stage.run(&self.hub, &self.handle, inbox).await;
    }

    /// The room as stored. Who was in it when its last task ended without a word has left.
    async fn load(&self) -> Result<Room, store::Error> {
        let store = &self.hub.inner.store;
        let id = self.handle.id;
        let history = u32::try_from(MAX_CHAT_HISTORY).expect("a page of history is small");
        let mut log = store.room_log(id, history, now_ms()).await?;
        if !log.abandoned.is_empty() {
            let at_ms = now_ms();
            let leaves: Vec<NewEvent> = log
                .abandoned
                .iter()
                .map(|&(participant_id, user_id)| {
                    let reason = LeaveReason::TimedOut;
                    NewEvent { at_ms, fact: Fact::Left { participant_id, user_id, reason } }
                })
                .collect();
            store.append_events(id, &leaves).await?;
            log = store.room_log(id, history, now_ms()).await?;
        }
        if let Some(main) = log.parent {
            // It watches the time for its breakout rooms, whoever is in it.
            self.hub.open(main);
        }
        let resume = self.hub.inner.resume.clone();
        let rules = self.hub.inner.rules.clone();
        Ok(Room::new(id, self.handle.index, resume, rules, log))
    }
}

/// A room with everything that its effects act on.
struct Stage {
    room: Room,
    id: RoomId,
    hub: Hub,
    store: Store,
    media: MediaLine,
    recorder: Arc<dyn Recorder>,
    seats: HashMap<SocketId, Seat>,
    /// How many of them hear broadcasts.
    admitted: usize,
    /// What they are to be told, where there are many.
    crowd: Crowd,
    /// Who gets the people page by page, and after which event the next page begins.
    paging: BTreeMap<SocketId, i64>,
    /// Sessions of WHIP and WHEP that wait for their answer.
    knocks: HashMap<String, oneshot::Sender<Door>>,
    /// Orders over REST that wait for their answer.
    calls: HashMap<u64, oneshot::Sender<super::Ordered>>,
    next_call: u64,
    /// Where answers from elsewhere are sent.
    notes: mpsc::WeakSender<Note>,
    /// What breakout rooms are to be told.
    relays: Vec<(Vec<RoomId>, Noted)>,
    /// Who was here when this breakout room last told its main room.
    people_told: Vec<By>,
    /// Who waits to hear how the room's media does.
    reports: Reports,
    /// Who waits for the room to be closed.
    closing: Vec<oneshot::Sender<()>>,
    gauges: Gauges,
}

/// What this room adds to the gauges, taken back however its task ends.
struct Gauges {
    people: usize,
}

impl Gauges {
    fn new() -> Self {
        metrics::gauge!("veche_rooms").increment(1.0);
        Self { people: 0 }
    }

    fn set_people(&mut self, people: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a room has no 2^52 people")]
        metrics::gauge!("veche_participants").increment(people as f64 - self.people as f64);
        self.people = people;
    }
}

impl Drop for Gauges {
    fn drop(&mut self) {
        self.set_people(0);
        metrics::gauge!("veche_rooms").decrement(1.0);
    }
}

/// A socket in the room. However the task ends, its socket is told.
struct Seat {
    outbox: Outbox,
    /// Whether it hears broadcasts.
    is_admitted: bool,
    /// From which piece of what a crowd is told on.
    since: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.outbox.close(close::TRY_LATER);
    }
}

impl Stage {
    async fn run(mut self, hub: &Hub, handle: &RoomHandle, mut inbox: mpsc::Receiver<Note>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut effects = Vec::new();
            let mut is_tick = false;
            tokio::select! {
                note = inbox.recv() => {
                    let Some(note) = note else { break };
                    self.take(note, &mut effects);
                }
                () = handle.mailbox.arrived() => {}
                _ = tick.tick() => is_tick = true,
                () = tokio::time::sleep(MEDIA_RETRY), if self.media.is_waiting() => {
                    self.media.retry();
                }
                () = tokio::time::sleep_until(self.crowd_due().into()), if self.has_crowd() => {}
            }
            // Everything that is here already is settled together: one transaction for a busy chat.
            let mut taken = 1;
            while taken < BATCH
                && let Ok(note) = inbox.try_recv()
            {
                self.take(note, &mut effects);
                taken += 1;
            }
            for event in handle.mailbox.take() {
                let Some(event) = self.reports.answer(&self.room, event) else { continue };
                effects.extend(self.apply(Input::Media(event)));
            }
            // Last, so that nobody is given up whose sign of life is in the batch.
            if is_tick {
                effects.extend(self.apply(Input::Tick));
            }
            let is_busy = effects.len() > MANY_EFFECTS;
            self.settle(effects).await;
            if self.has_crowd() && self.crowd_due() <= Instant::now() {
                let effects = self.tell_crowd();
                self.settle(effects).await;
            }
            for (rooms, note) in std::mem::take(&mut self.relays) {
                hub.relay(rooms, note).await;
            }
            self.count(handle);
            if is_tick {
                self.tell_people();
            }
            if is_busy {
                // The sockets get a turn to write before more is put into their outboxes.
                tokio::task::yield_now().await;
            }
            if self.room.is_over() {
                hub.drop_room(handle);
                for reply in self.closing.drain(..) {
                    reply.send(()).ok();
                }
                self.last_commands().await;
                inbox.close();
                while let Some(note) = inbox.recv().await {
                    refuse(note);
                }
                break;
            }
            if is_tick
                && self.room.is_empty()
                && !self.media.is_waiting()
                && hub.retire(handle, &mut inbox)
            {
                break;
            }
        }
    }

    fn take(&mut self, note: Note, effects: &mut Vec<Effect>) {
        let input = match note {
            Note::Enter { join, outbox } => {
                self.seats.insert(join.socket, Seat { outbox, is_admitted: false, since: 0 });
                Input::Join(join)
            }
            Note::Request { socket, message, re } => {
                Input::Request { socket, message, re, id: MessageId(Uuid::now_v7()) }
            }
            Note::SocketGone { socket, heard_at } => {
                self.unseat(socket);
                Input::SocketGone { socket, heard_at }
            }
            Note::Knock { request, reply } => {
                self.knocks.insert(request.session.clone(), reply);
                Input::Door(request)
            }
            Note::EndDoor { session, reply } => {
                reply.send(self.room.has_door(&session)).ok();
                Input::DoorGone { session }
            }
            Note::ChangeDoor { request, reply } => {
                self.knocks.insert(request.id.clone(), reply);
                Input::DoorChange(request)
            }
            Note::KeyRevoked { user } => Input::KeyRevoked { user },
            Note::SocketSignedOut { socket } => Input::SocketSignedOut { socket },
            Note::SignedOut(who) => Input::SignedOut(who),
            Note::Participants { reply } => {
                reply.send(self.room.participants()).ok();
                return;
            }
            Note::Stats { reply } => {
                if let Some(request) = self.reports.ask(reply) {
                    self.media.send(Command::Report { room: self.id, request });
                }
                return;
            }
            Note::Order { order, reply } => {
                self.next_call += 1;
                self.calls.insert(self.next_call, reply);
                let Order { by, role, message, breakout } = *order;
                let (message, fresh) = (Box::new(message), Uuid::now_v7());
                Input::Call { call: self.next_call, by, role, message, breakout, fresh }
            }
            Note::Answered { reply, answer } => Input::Answered { reply, answer },
            Note::Noted { note, reply } => {
                let reply = match reply {
                    Some(reply) => {
                        self.next_call += 1;
                        self.calls.insert(self.next_call, reply);
                        Reply::Call(self.next_call)
                    }
                    None => Reply::Nobody,
                };
                Input::Noted { note, reply }
            }
            Note::People { room, people } => Input::People { room, people },
            Note::Fetched { missed, page } => Input::Fetched { missed, page },
            Note::RecordingEnds { recording, reason } => Input::RecordingEnds { recording, reason },
            Note::Snapshot { viewer, is_moderator, reply } => {
                reply.send(self.room.snapshot(viewer, is_moderator)).ok();
                return;
            }
            Note::Close { reply } => {
                self.closing.push(reply);
                Input::Close
            }
            Note::Suspend => Input::Suspend { code: STOP_CODE },
        };
        effects.extend(self.apply(input));
    }

    fn apply(&mut self, input: Input) -> Vec<Effect> {
        self.room.apply(Instant::now(), now_ms(), input)
    }

    /// Runs effects in order. All that shall be stored goes into one transaction first; what follows from
    /// a draft runs in the draft's place.
    async fn settle(&mut self, mut effects: Vec<Effect>) {
        while !effects.is_empty() {
            let events = effects.iter().filter_map(|effect| match effect {
                Effect::Persist(draft) => Some(draft.event.clone()),
                _ => None,
            });
            let mut verdicts = self.store(events.collect()).await.into_iter();
            let mut later = Vec::new();
            for effect in effects {
                let input = match effect {
                    Effect::Persist(draft) => {
                        let verdict = verdicts.next().unwrap_or(Verdict::Failed);
                        Input::Stored { draft, verdict }
                    }
                    Effect::Then(input) => *input,
                    other => {
                        self.run_effect(other, &mut later);
                        continue;
                    }
                };
                for effect in self.apply(input) {
                    self.run_effect(effect, &mut later);
                }
            }
            effects = later;
        }
    }

    fn run_effect(&mut self, effect: Effect, later: &mut Vec<Effect>) {
        match effect {
            // Settled in the next round.
            Effect::Persist(_) | Effect::Then(_) => later.push(effect),
            Effect::Send { socket, message } => {
                let text = text_of(&message);
                let is_admitted = self.seats.get(&socket).is_some_and(|seat| seat.is_admitted);
                if is_admitted && waits_its_turn(&message) && self.gathers(&message) {
                    return self.crowd.put(self.admitted, &message, text, To::Only(vec![socket]));
                }
                self.push(socket, text, later);
            }
            Effect::Broadcast { message, except } => {
                let text = text_of(&message);
                if self.gathers(&message) {
                    let to = except.map_or(To::All, To::AllBut);
                    return self.crowd.put(self.admitted, &message, text, to);
                }
                let hears = |(id, seat): (&SocketId, &Seat)| {
                    (seat.is_admitted && Some(*id) != except).then_some(*id)
                };
                let sockets: Vec<SocketId> = self.seats.iter().filter_map(hears).collect();
                for socket in sockets {
                    self.push(socket, text.clone(), later);
                }
            }
            Effect::Multicast { message, sockets } => {
                let text = text_of(&message);
                if self.gathers(&message) {
                    return self.crowd.put(self.admitted, &message, text, To::Only(sockets));
                }
                for socket in sockets {
                    if self.seats.get(&socket).is_some_and(|seat| seat.is_admitted) {
                        self.push(socket, text.clone(), later);
                    }
                }
            }
            Effect::Fetch(missed) => self.fetch(missed),
            Effect::Pass(passed) => self.pass(*passed),
            Effect::Relay { rooms, note } => self.relays.push((rooms, *note)),
            Effect::AnswerCall { call, answer } => {
                if let Some(reply) = self.calls.remove(&call) {
                    reply.send(answer).ok();
                }
            }
            Effect::Admit { socket } => {
                if let Some(seat) = self.seats.get_mut(&socket)
                    && !seat.is_admitted
                {
                    seat.is_admitted = true;
                    seat.since = self.crowd.next_number();
                    self.admitted += 1;
                }
            }
            Effect::Page { socket } => {
                if self.seats.contains_key(&socket) {
                    self.paging.insert(socket, BEFORE_ALL);
                }
            }
            Effect::Close { socket, code } => {
                if let Some(seat) = self.unseat(socket) {
                    let rest = match seat.is_admitted {
                        true => self.crowd.rest_for(socket, seat.since),
                        false => Vec::new(),
                    };
                    // Too much of it closes the socket as well.
                    rest.into_iter().try_for_each(|text| seat.outbox.push(text)).ok();
                    seat.outbox.close(code);
                }
            }
            Effect::Media(command) => self.media.send(*command),
            Effect::Record(order) => self.recorder.send(*order),
            Effect::AnswerDoor { session, door } => {
                let Some(reply) = self.knocks.remove(&session) else { return };
                // Nobody waits any more: a session that nobody knows of cannot be deleted by its client.
                if reply.send(door).is_err() {
                    later.extend(self.apply(Input::DoorGone { session }));
                }
            }
        }
    }

    /// Hands a message to a socket; who cannot keep up is cut off, and their participant may come back.
    fn push(&mut self, socket: SocketId, text: Utf8Bytes, later: &mut Vec<Effect>) {
        let Some(seat) = self.seats.get(&socket) else { return };
        if seat.outbox.push(text).is_err() {
            metrics::counter!("veche_sockets_too_slow_total").increment(1);
            self.unseat(socket);
            let heard_at = Instant::now();
            later.extend(self.apply(Input::SocketGone { socket, heard_at }));
        }
    }

    fn unseat(&mut self, socket: SocketId) -> Option<Seat> {
        self.paging.remove(&socket);
        let seat = self.seats.remove(&socket)?;
        self.admitted -= usize::from(seat.is_admitted);
        Some(seat)
    }

    fn gathers(&mut self, message: &ServerMessage) -> bool {
        self.crowd.gathers(Instant::now(), self.admitted, message)
    }

    /// Whether something waits for the time at which a crowd is told.
    fn has_crowd(&self) -> bool {
        self.crowd.is_waiting() || !self.paging.is_empty()
    }

    fn crowd_due(&self) -> Instant {
        self.crowd.due_at(Instant::now(), self.admitted)
    }

    /// Tells a crowd what was gathered, with the next page of people for those who have not seen all.
    fn tell_crowd(&mut self) -> Vec<Effect> {
        self.turn_pages();
        let told = self.crowd.take(Instant::now());
        let admitted = self.seats.iter().filter(|(_, seat)| seat.is_admitted);
        let sockets: Vec<(SocketId, u64)> =
            admitted.map(|(socket, seat)| (*socket, seat.since)).collect();
        let mut later = Vec::new();
        let mut frames = 0;
        for (socket, since) in sockets {
            for text in told.frames_for(socket, since) {
                frames += 1;
                self.push(socket, text, &mut later);
            }
        }
        metrics::counter!("veche_crowd_frames_total").increment(frames);
        later
    }

    /// Adds the next page for everybody who waits for one and takes what they are told. Most of those who came
    /// at about the same time need the same page.
    fn turn_pages(&mut self) {
        let mut made: HashMap<i64, (Utf8Bytes, Option<i64>)> = HashMap::new();
        for (socket, after_seq) in std::mem::take(&mut self.paging) {
            let Some(seat) = self.seats.get(&socket) else { continue };
            if seat.outbox.waiting_bytes() > MAX_BATCH_BYTES {
                self.paging.insert(socket, after_seq);
                continue;
            }
            let (text, next) = made.entry(after_seq).or_insert_with(|| {
                let (page, next) = self.room.roster_page(after_seq);
                (text_of(&page), next)
            });
            self.crowd.put_text(text.clone(), To::Only(vec![socket]));
            if let Some(next) = *next {
                self.paging.insert(socket, next);
            }
        }
    }

    /// Lets the main room decide, and goes on meanwhile.
    fn pass(&self, passed: Passed) {
        let (hub, notes) = (self.hub.clone(), self.notes.clone());
        tokio::spawn(async move {
            let (reply, answer) = hub.pass(passed).await;
            if let Some(notes) = notes.upgrade() {
                notes.send(Note::Answered { reply, answer }).await.ok();
            }
        });
    }

    /// A breakout room tells its main room who is here.
    fn tell_people(&mut self) {
        let Some(main) = self.room.parent() else { return };
        let people = self.room.people();
        if people != self.people_told && self.hub.tell_people(main, self.id, people.clone()) {
            self.people_told = people;
        }
    }

    /// Reads what somebody missed beside the room, which goes on meanwhile.
    fn fetch(&self, missed: Box<Missed>) {
        let (store, notes, room) = (self.store.clone(), self.notes.clone(), self.id);
        tokio::spawn(async move {
            let page = store
                .events_after(
                    room,
                    missed.after_seq,
                    MAX_SYNC_PAGE,
                    missed.viewer,
                    missed.is_moderator,
                )
                .await;
            if let Err(error) = &page {
                tracing::error!(%error, %room, "events cannot be read");
            }
            if let Some(notes) = notes.upgrade() {
                notes.send(Note::Fetched { missed, page: page.ok() }).await.ok();
            }
        });
    }

    async fn store(&self, events: Vec<NewEvent>) -> Vec<Verdict> {
        if events.is_empty() {
            return Vec::new();
        }
        let started = Instant::now();
        let error = match self.store.append_events(self.id, &events).await {
            Ok(stored) => return stored.into_iter().map(Verdict::Stored).collect(),
            Err(error) => error,
        };
        tracing::error!(%error, room = %self.id, events = events.len(), "events cannot be stored");
        if events.len() == 1 {
            return vec![Verdict::Failed];
        }
        // One that the store cannot take must not take the others with it. A store that does not answer at
        // all must not hold the room up for each of them.
        let mut verdicts = Vec::with_capacity(events.len());
        for event in events {
            let is_worth_it = started.elapsed() < RETRY_BUDGET;
            let alone = std::slice::from_ref(&event);
            verdicts.push(match is_worth_it {
                true => match self.store.append_events(self.id, alone).await {
                    Ok(stored) => {
                        stored.into_iter().next().map_or(Verdict::Failed, Verdict::Stored)
                    }
                    Err(_) => Verdict::Failed,
                },
                false => Verdict::Failed,
            });
        }
        verdicts
    }

    fn count(&mut self, handle: &RoomHandle) {
        let now = self.room.count();
        handle.count.store(now, Ordering::Relaxed);
        self.gauges.set_people(now);
    }

    /// A media plane that is busy gets a moment for the commands that end the room.
    async fn last_commands(&mut self) {
        for _ in 0..LAST_ATTEMPTS {
            self.media.retry();
            if !self.media.is_waiting() {
                return;
            }
            tokio::time::sleep(MEDIA_RETRY).await;
        }
        tracing::error!(room = %self.id, "the media plane did not take the end of the room");
    }
}

/// What one is told in its place among what all are told: lines of chat have numbers, and slots would be frames
/// beyond those that a crowd gets.
fn waits_its_turn(message: &ServerMessage) -> bool {
    matches!(
        message,
        ServerMessage::ChatMessage { .. }
            | ServerMessage::ChatMessageEnc { .. }
            | ServerMessage::SlotsChanged { .. }
    )
}

fn text_of(message: &ServerMessage) -> Utf8Bytes {
    serde_json::to_string(message).expect("our own messages are JSON").into()
}

/// Answers whoever came to a room that cannot be.
fn refuse(note: Note) {
    let reason = "the room cannot be opened now, try again";
    match note {
        Note::Enter { outbox, .. } => {
            let message = ServerMessage::Error {
                code: ErrorCode::Unavailable,
                reason: reason.to_owned(),
                re: None,
            };
            outbox.push(text_of(&message)).ok();
            outbox.close(close::TRY_LATER);
        }
        Note::Knock { reply, .. } => {
            let refusal = Refusal { code: ErrorCode::Unavailable, reason: reason.to_owned() };
            reply.send(Door::Refused(refusal)).ok();
        }
        Note::Close { reply } => {
            reply.send(()).ok();
        }
        Note::EndDoor { .. }
        | Note::ChangeDoor { .. }
        | Note::KeyRevoked { .. }
        | Note::SocketSignedOut { .. }
        | Note::SignedOut(_)
        | Note::Request { .. }
        | Note::SocketGone { .. }
        | Note::Participants { .. }
        | Note::Stats { .. }
        | Note::Order { .. }
        | Note::Answered { .. }
        | Note::Noted { .. }
        | Note::People { .. }
        | Note::Fetched { .. }
        | Note::RecordingEnds { .. }
        | Note::Snapshot { .. }
        | Note::Suspend => {}
    }
}

/// No event has a number as low.
const BEFORE_ALL: i64 = -1;
/// How often the room looks at its clocks. Its limits are seconds.
const TICK: Duration = Duration::from_secs(1);
/// Longer delays joins when the media plane was busy for a moment; shorter busies it more.
const MEDIA_RETRY: Duration = Duration::from_millis(20);
const LAST_ATTEMPTS: usize = 100;
/// Notes settled together. More makes the first of them wait for the last; fewer makes more transactions.
const BATCH: usize = 256;
/// Effects after which sockets get a turn. Fewer yields for nothing; more lets outboxes fill up.
const MANY_EFFECTS: usize = 32;
/// How long single events of a failed batch are tried again.
const RETRY_BUDGET: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use crate::resume::ResumeKey;
    use protocol::UserId;
    use store::NewMessage;

    fn line(user: UserId, id: u128, text: &str) -> NewEvent {
        let id = MessageId(Uuid::from_u128(id));
        let message = NewMessage::line(id, user, "Anna".into(), text.into());
        NewEvent { at_ms: 0, fact: Fact::Chat(message) }
    }

    #[tokio::test]
    async fn an_event_that_the_store_cannot_take_does_not_take_the_others_along() {
        let live = Live::new().await;
        let anna = live.guest("Anna").await;
        let room = live.room(&anna, "stand-up").await;
        let id: RoomId = room["id"].as_str().unwrap().parse().unwrap();
        let user: UserId = anna.id.parse().unwrap();
        let hub = &live.signaling.inner.hub;
        let stage = Stage {
            room: Room::new(
                id,
                1,
                ResumeKey::new(b"key"),
                crate::room::Rules::default(),
                store::RoomLog::default(),
            ),
            id,
            hub: hub.clone(),
            store: live.database.store.clone(),
            media: MediaLine::new(hub.inner.media.clone()),
            recorder: hub.inner.recorder.clone(),
            seats: HashMap::new(),
            admitted: 0,
            crowd: Crowd::default(),
            paging: BTreeMap::new(),
            knocks: HashMap::new(),
            calls: HashMap::new(),
            next_call: 0,
            notes: mpsc::channel(1).0.downgrade(),
            relays: Vec::new(),
            people_told: Vec::new(),
            reports: Reports::default(),
            closing: Vec::new(),
            gauges: Gauges::new(),
        };
        let events = vec![line(user, 1, "a"), line(user, 1, "the same id"), line(user, 2, "b")];
        let verdicts = stage.store(events).await;
        let new = |seq| Verdict::Stored(store::Stored::New { seq });
        assert_eq!(verdicts, [new(1), Verdict::Failed, new(2)]);
    }
}
