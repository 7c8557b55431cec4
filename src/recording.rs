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
