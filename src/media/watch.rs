//! Addresses that change while the server runs: another network, a new lease, a name that points elsewhere.

use super::addresses::{Advertised, Named, Surroundings};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often interfaces and names are looked at. Longer leaves newcomers without a way in after a change, shorter asks the
/// name service more often than names change.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The thread that looks, until this is dropped.
pub struct Watch {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks now and then, and tells `changed` what clients are to be told from now on. `found` is what was
    /// found at start.
    ///
    /// # Errors
    /// When the system has no thread.
    pub fn start(
        named: Vec<Named>,
        with_loopback: bool,
        found: Surroundings,
        changed: impl Fn(Vec<Advertised>) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopping) = sync_channel(0);
        let thread = std::thread::Builder::new().name("addresses".into()).spawn(move || {
            look(&named, with_loopback, found, &stopping, changed);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

fn look(
    named: &[Named],
    with_loopback: bool,
    mut before: Surroundings,
    stopping: &Receiver<()>,
    changed: impl Fn(Vec<Advertised>),
) {
    let mut told = before.advertised(named, with_loopback);
    while stopping.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        let mut now = match Surroundings::look(named) {
            Ok(now) => now,
            Err(error) => {
                tracing::warn!(%error, "this machine's addresses cannot be listed");
                continue;
            }
        };
        now.remember(&before);
        let tells = now.advertised(named, with_loopback);
        before = now;
        // Between two networks there is none; the old addresses are no worse then.
        if tells.is_empty() || tells == told {
            continue;
        }
        let list: Vec<String> =
            tells.iter().map(|told| format!("{} ({})", told.address, told.origin)).collect();
        tracing::info!(addresses = list.join(", "), "clients are told other addresses for media");
        told.clone_from(&tells);
        changed(tells);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        // It may be waiting for the name service, for which nobody waits here.
        if let Some(thread) = self.thread.take()
            && thread.is_finished()
            && thread.join().is_err()
        {
            tracing::error!("the thread that looks at addresses had died");
        }
    }
}
