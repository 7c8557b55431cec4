//! The loop of the recording thread: orders, packets, what is due by time, and what the disk has left.

use super::disk::free_bytes;
use super::meeting::{Finished, Meeting, reason_of};
use super::{RecordingConfig, recovery};
use protocol::recording::{RecordEnd, RecordingState};
use protocol::{RecordingId, RoomId};
use sfu::{Command, Tapped};
use signaling::MediaPlane;
use signaling::recorder::{Beginning, RecorderEvent, RecorderOrder};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

/// How long the thread sleeps between two looks at its queue. Longer needs a larger queue; shorter wakes for little.
const TURN: Duration = Duration::from_millis(20);
/// How long it waits for an order when nothing is recorded.
const IDLE: Duration = Duration::from_millis(200);
/// How often things due by time are looked at.
const TIMEOUT_EVERY: Duration = Duration::from_millis(200);
/// How often the disk is asked what it has left, and the control plane told how much there is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Packets between two looks at the orders.
const PACKETS_PER_TURN: usize = 65_536;

/// The thread's ends of the queues.
pub struct Ends {
    /// Packets and reports.
    pub tapped: Receiver<Tapped>,
    /// How many did not fit.
    pub lost: Arc<AtomicU64>,
    /// Orders.
    pub orders: Receiver<RecorderOrder>,
    /// How many of them are only news.
    pub heard: Arc<AtomicUsize>,
    /// Events for the control plane.
    pub events: Sender<RecorderEvent>,
}

/// Everything the recording thread owns.
pub struct RecordingThread {
    config: RecordingConfig,
    ends: Ends,
    media: Arc<dyn MediaPlane>,
    meetings: BTreeMap<RecordingId, Meeting>,
    by_room: BTreeMap<RoomId, RecordingId>,
    /// Recordings that never began, with how they stand.
    stillborn: BTreeMap<RecordingId, RecordingState>,
    /// Those that end when the packets before their end are taken.
    ending: Vec<(RecordingId, RecordEnd, i64)>,
    lost_before: u64,
    next_timeout: Instant,
    next_look: Instant,
}

impl RecordingThread {
    /// Sets everything up; nothing runs yet.
    pub fn new(config: RecordingConfig, ends: Ends, media: Arc<dyn MediaPlane>) -> Self {
        let now = Instant::now();
        Self {
            config,
            ends,
            media,
            meetings: BTreeMap::new(),
            by_room: BTreeMap::new(),
            stillborn: BTreeMap::new(),
            ending: Vec::new(),
            lost_before: 0,
            next_timeout: now,
            next_look: now,
        }
    }

    /// Runs until `is_stopping` says so; then ends every recording.
    pub fn run(mut self, is_stopping: impl Fn() -> bool) {
        loop {
            // Looked at before the queues: what was sent before the stop is taken.
            let is_last = is_stopping();
            if self.meetings.is_empty() && !is_last {
                if let Ok(order) = self.ends.orders.recv_timeout(IDLE) {
                    self.order(order);
                }
            } else if !is_last {
                std::thread::sleep(TURN);
            }
            self.turn();
            if is_last {
                break;
            }
        }
        for id in self.meetings.keys().copied().collect::<Vec<_>>() {
            self.end(id, RecordEnd::ServerStopped, None);
        }
    }

    fn turn(&mut self) {
        while let Ok(order) = self.ends.orders.try_recv() {
            self.order(order);
        }
        let now = Instant::now();
        let lost = self.ends.lost.load(Ordering::Relaxed);
        if lost != std::mem::replace(&mut self.lost_before, lost) {
            self.meetings.values_mut().for_each(|meeting| meeting.was_slow(now));
        }
        for _ in 0..PACKETS_PER_TURN {
            let Ok(tapped) = self.ends.tapped.try_recv() else { break };
            self.take(tapped);
        }
        for (id, reason, seq) in std::mem::take(&mut self.ending) {
            self.end(id, reason, Some(seq));
        }
        if now >= self.next_timeout {
            self.next_timeout = now + TIMEOUT_EVERY;
            self.handle_timeout(now);
        }
        if now >= self.next_look {
            self.next_look = now + LOOK_EVERY;
            self.look();
        }
    }

    fn order(&mut self, order: RecorderOrder) {
        match order {
            RecorderOrder::Begin(beginning) => self.begin(&beginning),
            RecorderOrder::Heard { recording, at, message } => {
                self.ends.heard.fetch_sub(1, Ordering::Relaxed);
                if let Some(meeting) = self.meetings.get_mut(&recording) {
                    meeting.hear(at, &message);
                }
            }
            RecorderOrder::End { recording, reason, seq } => {
                self.ending.push((recording, reason, seq));
            }
            RecorderOrder::Discard { recording } => {
                if let Some(mut meeting) = self.meetings.remove(&recording) {
                    self.by_room.retain(|_, id| *id != recording);
                    meeting.close(Instant::now(), RecordEnd::Stopped);
                    meeting.discard();
                }
            }
        }
    }

    fn begin(&mut self, beginning: &Beginning) {
        let path = self.config.records.folder_of(&beginning.slug, beginning.recording);
        let room = beginning.room;
        let begun = self
            .has_space()
            .and_then(|()| Meeting::begin(beginning, path.clone(), self.config.template.clone()));
        match begun {
            Ok(meeting) => {
                self.by_room.insert(room, beginning.recording);
                self.meetings.insert(beginning.recording, meeting);
                self.count();
            }
            Err(error) => {
                let recording = beginning.recording;
                tracing::error!(%error, %recording, "a recording cannot begin");
                let reason = reason_of(&error);
                std::fs::remove_dir_all(&path).ok();
                self.stillborn.insert(recording, state_of(reason));
                self.tell(RecorderEvent::Failed { room, recording, reason });
            }
        }
    }

    fn take(&mut self, tapped: Tapped) {
        let room = match &tapped {
            Tapped::Packet(packet) => packet.room,
            Tapped::Report { room, .. } => *room,
        };
        let id = self.by_room.get(&room);
        let Some(meeting) = id.and_then(|id| self.meetings.get_mut(id)) else { return };
        match tapped {
            Tapped::Packet(packet) => {
                if let Err(error) = meeting.packet(&packet) {
                    let id = meeting.id;
                    self.fail(id, &error);
                }
            }
            Tapped::Report { track, stream, at, ntp, timestamp, .. } => {
                meeting.report(at, track, stream, ntp, timestamp);
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let mut failed = Vec::new();
        for meeting in self.meetings.values_mut() {
            match meeting.handle_timeout(now) {
                Ok(tracks) => {
                    for track in tracks {
                        // A media plane that is busy is asked again.
                        self.media.send(Command::TapLost { room: meeting.room, track }).ok();
                    }
                }
                Err(error) => failed.push((meeting.id, error)),
            }
        }
        for (id, error) in failed {
            self.fail(id, &error);
        }
    }

    /// Ends every recording before the disk is full, and tells how large they are.
    fn look(&mut self) {
        if self.meetings.is_empty() {
            return;
        }
        if let Err(error) = self.has_space() {
            for id in self.meetings.keys().copied().collect::<Vec<_>>() {
                self.fail(id, &error);
            }
            return;
        }
        for meeting in self.meetings.values().filter(|meeting| !meeting.is_closed()) {
            let event = RecorderEvent::Grew {
                room: meeting.room,
                recording: meeting.id,
                bytes: meeting.bytes(),
            };
            // With the next look there is another.
            self.ends.events.try_send(event).ok();
        }
    }

    /// Whether there is as much space as there shall be; an error like the one that a full disk gives.
    fn has_space(&self) -> std::io::Result<()> {
        std::fs::create_dir_all(self.config.records.folder())?;
        if free_bytes(self.config.records.folder())? < self.config.min_free_bytes {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// A recording cannot go on: its files are closed now, and the room is told, which ends it.
    fn fail(&mut self, id: RecordingId, error: &std::io::Error) {
        let Some(meeting) = self.meetings.get_mut(&id).filter(|meeting| !meeting.is_closed())
        else {
            return;
        };
        meeting.fail(Instant::now(), error);
        let event =
            RecorderEvent::Failed { room: meeting.room, recording: id, reason: reason_of(error) };
        self.tell(event);
    }

    fn end(&mut self, id: RecordingId, reason: RecordEnd, seq: Option<i64>) {
        if let Some(state) = self.stillborn.remove(&id) {
            let (files, people) = (Vec::new(), Vec::new());
            let event =
                RecorderEvent::Finished { recording: id, state, duration_ms: 0, files, people };
            return self.tell(event);
        }
        let Some(mut meeting) = self.meetings.remove(&id) else { return };
        self.by_room.retain(|_, other| *other != id);
        if let Some(seq) = seq {
            meeting.note_end(seq);
        }
        meeting.close(Instant::now(), reason);
        let Finished { state, duration_ms, files, people } = meeting.finish();
        let state = recovery::stored_state(state);
        self.tell(RecorderEvent::Finished { recording: id, state, duration_ms, files, people });
        self.count();
    }

    fn tell(&self, event: RecorderEvent) {
        // Ends must arrive, and there are no more of them than recordings.
        self.ends.events.blocking_send(event).ok();
    }

    fn count(&self) {
        metrics::gauge!("veche_recordings").set(self.meetings.len() as f64);
    }
}

fn state_of(reason: RecordEnd) -> RecordingState {
    match reason {
        RecordEnd::NoSpace | RecordEnd::Quota => RecordingState::OutOfSpace,
        _ => RecordingState::Failed,
    }
}
