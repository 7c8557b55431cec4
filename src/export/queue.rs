//! The queue of exports: one is made at a time, by a thread that gives way to everything else.

use super::{Stop, View, export};
use anyhow::Context;
use protocol::RecordingId;
use protocol::recording::{Export, ExportState, ExportView};
use signaling::exports::{ExportOrder, Exporter, QueueFull};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Exports that wait, run or have failed. An hour of meeting takes minutes of all cores.
const MAX_JOBS: usize = 20;
/// How far the thread and the ffmpeg that it starts stand back: meetings come first.
const NICENESS: libc::c_int = 10;

/// The queue, and the thread that works it off.
pub struct Queue {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    jobs: Mutex<Jobs>,
    changed: Condvar,
    /// Who is told which recording has one more.
    made: Sender<RecordingId>,
}

#[derive(Default)]
struct Jobs {
    list: Vec<Job>,
    is_stopping: bool,
}

struct Job {
    order: ExportOrder,
    state: ExportState,
    percent: u8,
    error: Option<String>,
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Starts the thread; also the recordings of which one was made, as they come.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start() -> anyhow::Result<(Self, Receiver<RecordingId>)> {
        let (made, recordings) = channel(MAX_JOBS);
        let shared = Arc::new(Shared { jobs: Mutex::default(), changed: Condvar::new(), made });
        let own = shared.clone();
        let thread = thread::Builder::new()
            .name("exports".into())
            .spawn(move || work(&own))
            .context("cannot start the thread of exports")?;
        Ok((Self { shared, thread: Some(thread) }, recordings))
    }

    /// The way to it.
    pub fn exporter(&self) -> Arc<dyn Exporter> {
        Arc::new(Handle(self.shared.clone()))
    }
}

impl Drop for Queue {
    /// Ends what runs; it is not waited for longer than that takes.
    fn drop(&mut self) {
        self.shared.jobs().is_stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Handle(Arc<Shared>);

impl Exporter for Handle {
    fn begin(&self, order: ExportOrder) -> Result<(), QueueFull> {
        let mut jobs = self.0.jobs();
        let is_same =
            |job: &Job| job.order.recording == order.recording && job.order.view == order.view;
        if jobs.list.iter().any(|job| is_same(job) && job.state != ExportState::Failed) {
            return Ok(());
        }
        jobs.list.retain(|job| !is_same(job));
        // Failures are only remembered while there is room.
        while jobs.list.len() >= MAX_JOBS {
            let failed = jobs.list.iter().position(|job| job.state == ExportState::Failed);
            jobs.list.remove(failed.ok_or(QueueFull)?);
        }
        jobs.list.push(Job { order, state: ExportState::Queued, percent: 0, error: None });
        self.0.changed.notify_all();
        Ok(())
    }

    fn of(&self, recording: RecordingId) -> Vec<Export> {
        let jobs = self.0.jobs();
        let own = jobs.list.iter().filter(|job| job.order.recording == recording);
        own.map(|job| Export {
            view: job.order.view,
            state: job.state,
            percent: (job.state == ExportState::Running).then_some(job.percent),
            file: None,
            bytes: None,
            error: job.error.clone(),
        })
        .collect()
    }

    fn forget(&self, recording: RecordingId, view: Option<ExportView>) {
        // What runs finds itself gone at its next word.
        self.0.jobs().list.retain(|job| {
            job.order.recording != recording || view.is_some_and(|view| job.order.view != view)
        });
    }
}

fn work(shared: &Shared) {
    // SAFETY: only a number of this thread is set; processes that it starts inherit it.
    let _ = unsafe { libc::nice(NICENESS) };
    let mut jobs = shared.jobs();
    loop {
        if jobs.is_stopping {
            return;
        }
        let Some(job) = jobs.list.iter_mut().find(|job| job.state == ExportState::Queued) else {
            jobs = shared.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        job.state = ExportState::Running;
        let order = job.order.clone();
        drop(jobs);
        let made = make(shared, &order);
        if made.is_ok() {
            // Nobody listens once the server stops; what is there is counted with the next one.
            let _ = shared.made.blocking_send(order.recording);
        }
        jobs = shared.jobs();
        let Some(index) = jobs.list.iter().position(|job| job.order == order) else { continue };
        match made {
            // From now on its file tells.
            Ok(()) => drop(jobs.list.remove(index)),
            Err(error) => {
                let text = format!("{error:#}");
                tracing::warn!(error = text, recording = %order.recording, "an export failed");
                jobs.list[index].state = ExportState::Failed;
                jobs.list[index].error = Some(text);
            }
        }
    }
}

fn make(shared: &Shared, order: &ExportOrder) -> anyhow::Result<()> {
    let target = order.folder.join(&order.file);
    let view = match order.view {
        ExportView::Grid => View::Grid,
        ExportView::Speaker => View::Speaker,
        ExportView::Sound => View::Sound,
    };
    // Left by a crash: nobody else makes files here.
    super::forget_half(&target);
    export(&order.folder, &target, view, |part| {
        let mut jobs = shared.jobs();
        if jobs.is_stopping {
            return Err(Stop);
        }
        let job = jobs.list.iter_mut().find(|job| job.order == *order).ok_or(Stop)?;
        job.percent = (part * 100.0).clamp(0.0, 100.0) as u8;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    fn order(id: u128, view: ExportView, folder: PathBuf) -> ExportOrder {
        let recording = RecordingId(uuid::Uuid::from_u128(id));
        ExportOrder { recording, view, folder, file: "export-grid.mp4".into() }
    }

    #[test]
    fn what_cannot_be_made_says_why_and_the_next_has_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, _made) = Queue::start().unwrap();
        let exporter = queue.exporter();
        for id in 0..3 {
            exporter.begin(order(id, ExportView::Grid, folder.path().into())).unwrap();
        }
        let end = Instant::now() + Duration::from_secs(30);
        for id in 0..3 {
            let id = RecordingId(uuid::Uuid::from_u128(id));
            while exporter.of(id)[0].state != ExportState::Failed {
                assert!(Instant::now() < end);
                thread::sleep(Duration::from_millis(5));
            }
            assert!(exporter.of(id)[0].error.as_deref().unwrap().contains("meeting.json"));
            exporter.forget(id, None);
            assert!(exporter.of(id).is_empty());
        }
    }

    #[test]
    fn the_queue_is_bounded_and_failures_make_room() {
        // No thread works it off.
        let (made, _recordings) = channel(1);
        let shared = Arc::new(Shared { jobs: Mutex::default(), changed: Condvar::new(), made });
        let handle = Handle(shared.clone());
        for id in 0..MAX_JOBS as u128 {
            handle.begin(order(id, ExportView::Grid, PathBuf::new())).unwrap();
        }
        let next = order(99, ExportView::Grid, PathBuf::new());
        assert_eq!(handle.begin(next.clone()), Err(QueueFull));
        handle.begin(order(3, ExportView::Grid, PathBuf::new())).unwrap();
        shared.jobs().list[7].state = ExportState::Failed;
        handle.begin(next).unwrap();
        assert!(handle.of(RecordingId(uuid::Uuid::from_u128(7))).is_empty());
    }
}
