//! The recording thread: the one place where what is recorded meets files.
//!
//! [`start`] runs it. Packets come from the media thread through a bounded queue that never makes it wait: what
//! does not fit is a gap in the recording, with a reason. Orders come from the control plane, and what happened
//! goes back to it. It must never know about sockets, sessions or HTTP.

mod disk;
mod meeting;
mod moments;
pub mod orphans;
mod recovery;
mod thread;

pub use recovery::recover;

use anyhow::Context;
use recorder::names::Template;
use sfu::Tapped;
use signaling::MediaPlane;
use signaling::recorder::{Recorder, RecorderEvent, RecorderOrder};
use signaling::records::Records;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

/// Packets waiting for the recording thread: eight seconds of fifty cameras, at most 60 MB. Fewer make a disk
/// that pauses a gap; more is memory.
const PACKET_QUEUE: usize = 49_152;
/// Things heard that may wait. They are rare and small; with more the thread is stuck, and the table of contents
/// has to do without.
const MAX_HEARD_WAITING: usize = 65_536;
/// Events for the control plane.
const EVENT_QUEUE: usize = 4_096;

/// What the recording thread is told at start.
#[derive(Clone, Debug)]
pub struct RecordingConfig {
    /// Where files go.
    pub records: Records,
    /// How they are called.
    pub template: Template,
    /// Bytes that the disk must have free; with less every recording ends.
    pub min_free_bytes: u64,
}

/// The running recorder.
pub struct Recording {
    line: Arc<Line>,
    tap: TapQueue,
    is_stopping: Arc<AtomicBool>,
    starting: Option<(thread::Ends, RecordingConfig)>,
    thread: Option<JoinHandle<()>>,
}

/// The media thread's end: it hands over what it taps and never waits.
#[derive(Clone)]
pub struct TapQueue {
    packets: SyncSender<Tapped>,
    lost: Arc<AtomicU64>,
}

impl TapQueue {
    /// Hands one thing over, or counts it as lost.
    pub fn push(&self, tapped: Tapped) {
        if self.packets.try_send(tapped).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("veche_recording_packets_lost_total").increment(1);
        }
    }
}

/// The control plane's end.
struct Line {
    orders: Sender<RecorderOrder>,
    heard: Arc<AtomicUsize>,
}

impl Recorder for Line {
    fn send(&self, order: RecorderOrder) {
        if matches!(order, RecorderOrder::Heard { .. }) {
            if self.heard.load(Ordering::Relaxed) >= MAX_HEARD_WAITING {
                metrics::counter!("veche_recording_moments_lost_total").increment(1);
                return;
            }
            self.heard.fetch_add(1, Ordering::Relaxed);
        }
        // The thread ends after everybody who could send.
        self.orders.send(order).ok();
    }
}

impl Recording {
    /// The recorder for the control plane.
    pub fn recorder(&self) -> Arc<dyn Recorder> {
        self.line.clone()
    }

    /// The queue for the media thread.
    pub fn tap(&self) -> TapQueue {
        self.tap.clone()
    }

    /// Starts the thread, which asks `media` for keyframes.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn run(&mut self, media: Arc<dyn MediaPlane>) -> anyhow::Result<()> {
        let Some((ends, config)) = self.starting.take() else { return Ok(()) };
        let is_stopping = self.is_stopping.clone();
        let recorder = thread::RecordingThread::new(config, ends, media);
        let thread = std::thread::Builder::new()
            .name("recording".into())
            .spawn(move || recorder.run(|| is_stopping.load(Ordering::Acquire)))
            .context("no thread for recording")?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Finishes every file and waits for the thread.
    pub fn stop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the recording thread had died");
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The recorder before its thread runs: the media plane and the control plane need its ends first.
pub fn prepare(config: RecordingConfig) -> (Recording, tokio::sync::mpsc::Receiver<RecorderEvent>) {
    let (packets, tapped): (_, Receiver<Tapped>) = sync_channel(PACKET_QUEUE);
    let (orders, waiting) = channel();
    let (events, happened) = tokio::sync::mpsc::channel(EVENT_QUEUE);
    let lost = Arc::new(AtomicU64::new(0));
    let heard = Arc::new(AtomicUsize::new(0));
    let ends =
        thread::Ends { tapped, lost: lost.clone(), orders: waiting, heard: heard.clone(), events };
    let recording = Recording {
        line: Arc::new(Line { orders, heard }),
        tap: TapQueue { packets, lost },
        is_stopping: Arc::default(),
        starting: Some((ends, config)),
        thread: None,
    };
    (recording, happened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::recording::RecordEnd;
    use protocol::{ParticipantId, RecordingId, RoomId, Source, TrackId};
    use signaling::MediaBusy;
    use signaling::recorder::Beginning;
    use signaling::records::CONTENTS;
    use std::time::{Duration, Instant};
    use uuid::Uuid;

    struct NoMedia;

    impl MediaPlane for NoMedia {
        fn send(&self, _command: sfu::Command) -> Result<(), MediaBusy> {
            Ok(())
        }
    }

    const PEOPLE: usize = 64;
    const ROOM: RoomId = RoomId(Uuid::from_u128(1));

    /// Sound of 20 ms of one of many people, as it came.
    fn sound(zero: Instant, who: usize, n: usize) -> Tapped {
        Tapped::Packet(sfu::TappedPacket {
            room: ROOM,
            track: TrackId(Uuid::from_u128(100 + who as u128)),
            participant: ParticipantId(Uuid::from_u128(200 + who as u128)),
            source: Source::Microphone,
            stream: who as u32,
            at: zero + Duration::from_millis(20) * n as u32,
            sequence: 1_000 + n as u64,
            timestamp: n as u32 * 960,
            marker: false,
            codec: sfu::format::Codec::Opus,
            payload: bytes::Bytes::from_static(&[0x78; 40]),
        })
    }

    #[tokio::test]
    async fn a_disk_that_is_too_slow_costs_the_recording_a_gap_and_the_media_plane_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path().to_owned());
        let template = Template::parse("{room}_{date}_{person}_{source}.{ext}").unwrap();
        let config = RecordingConfig { records: records.clone(), template, min_free_bytes: 0 };
        let (mut recording, mut events) = prepare(config);
        let (tap, recorder) = (recording.tap(), recording.recorder());
        let id = RecordingId(Uuid::from_u128(2));
        // Some seconds ago, so that everything has come by now.
        let each = PACKET_QUEUE / PEOPLE;
        let zero = Instant::now() - Duration::from_millis(20) * (each as u32 + 100);
        recorder.send(RecorderOrder::Begin(Box::new(Beginning {
            recording: id,
            room: ROOM,
            slug: "weekly".into(),
            name: "Weekly".into(),
            at: zero,
            began_ms: 1_000,
            seq: 1,
            people: Vec::new(),
            speakers: Vec::new(),
            hands_up: Vec::new(),
        })));
        // The thread that writes hangs: nothing is taken out. What does not fit is lost at once, nobody waits.
        for n in 0..each + 10 {
            (0..PEOPLE).for_each(|who| tap.push(sound(zero, who, n)));
        }
        assert_eq!(tap.lost.load(Ordering::Relaxed), 10 * PEOPLE as u64);
        recording.run(Arc::new(NoMedia)).unwrap();
        // It goes on, and so does what comes.
        while tap.packets.try_send(sound(zero, 0, each + 10)).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for n in each + 11..each + 90 {
            tap.push(sound(zero, 0, n));
        }
        recorder.send(RecorderOrder::End { recording: id, reason: RecordEnd::Stopped, seq: 2 });
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let event = tokio::time::timeout_at(end.into(), events.recv()).await;
            if let RecorderEvent::Finished { files, .. } = event.unwrap().unwrap() {
                assert_eq!(files.len(), PEOPLE);
                break;
            }
        }
        let text = std::fs::read(records.folder_of("weekly", id).join(CONTENTS)).unwrap();
        let contents: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let gaps = contents["gaps"].as_array().unwrap();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!((&gaps[0]["reason"], &gaps[0]["packets"]), (&"slow_disk".into(), &10.into()));
    }
}
