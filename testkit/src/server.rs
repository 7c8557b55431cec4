//! The server's binary, started for a test or a benchmark on free ports with a folder of its own.

use crate::http::Request;
use crate::{Api, Error};
use serde::Deserialize;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A first start makes keys and a database; on a busy machine that takes seconds.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Longer than the server gives its own connections to end.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// A running server. Stopped, and its folder removed, when dropped.
pub struct Server {
    child: Child,
    folder: PathBuf,
    log: Option<JoinHandle<String>>,
    /// Its HTTP door.
    pub api: Api,
    /// Its media port on loopback.
    pub media: SocketAddr,
}

#[derive(Deserialize)]
struct Place {
    url: String,
    media_addresses: Vec<SocketAddr>,
}

impl Server {
    /// Starts the binary with environment overrides of its settings.
    pub fn start(binary: &Path, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let folder =
            std::env::temp_dir().join(format!("veche-test-{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder)?;
        Self::start_in(folder, binary, settings)
    }

    /// Kills it without a word, as a crash does, and starts it again on what it left.
    pub fn crash_and_restart(
        mut self,
        binary: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, Error> {
        self.child.kill()?;
        self.child.wait()?;
        // The folder goes with the new one.
        let folder = std::mem::take(&mut self.folder);
        drop(self);
        fs::remove_file(folder.join("ready.json"))?;
        Self::start_in(folder, binary, settings)
    }

    fn start_in(folder: PathBuf, binary: &Path, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let ready = folder.join("ready.json");
        let mut child = Command::new(binary)
            .args(["serve", "--ready-file"])
            .arg(&ready)
            .current_dir(&folder)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("MEDIA_PORT", "0")
            .env("DATA_DIR", folder.join("data"))
            .env("RECORDS_DIR", folder.join("records"))
            .env("LOG_FORMAT", "pretty")
            // Tests run on machines that are busy with other tests.
            .env("SAVE_WHEN_BUSY", "false")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stderr = child.stderr.take().expect("standard error is piped");
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let end = Instant::now() + START_PATIENCE;
        let place: Place = loop {
            if let Some(place) = fs::read(&ready).ok().and_then(|b| serde_json::from_slice(&b).ok())
            {
                break place;
            }
            if let Some(status) = child.try_wait()? {
                let log = log.join().unwrap_or_default();
                return Err(Error::Answer(format!("the server ended at start ({status}):\n{log}")));
            }
            if Instant::now() > end {
                return Err(Error::Timeout("the server's start"));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        // A server that listens everywhere calls itself by a name.
        let address =
            place.url.trim_start_matches("http://").replace("localhost", "127.0.0.1").parse();
        let address = address.map_err(|_| Error::Answer(format!("no address: {}", place.url)))?;
        let media = place.media_addresses.iter().find(|address| address.ip().is_loopback());
        let media = *media.ok_or_else(|| Error::Answer("no media address on loopback".into()))?;
        Ok(Self { child, folder, log: Some(log), api: Api::new(address), media })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of its recordings.
    pub fn records_dir(&self) -> PathBuf {
        self.folder.join("records")
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What `/metrics` shows under a name, all labels together; 0 where there is no such line yet. The media
    /// thread publishes its counters once a second.
    pub fn metric(&self, name: &str) -> Result<f64, Error> {
        let page = Request { method: "GET", path: "/metrics", token: None, body: None };
        let answer = self.api.call(&page)?;
        if answer.status != 200 {
            return Err(Error::Refused { status: answer.status, body: answer.text() });
        }
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let text = answer.text();
        let values = text.lines().filter(of_name);
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop and waits; its exit code and its log.
    pub fn stop(mut self) -> Result<(Option<i32>, String), Error> {
        let code = self.end()?;
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        Ok((code, log))
    }

    fn end(&mut self) -> Result<Option<i32>, Error> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status.code());
        }
        let pid = libc::pid_t::try_from(self.child.id()).expect("process ids fit their own type");
        // SAFETY: a signal to a child of ours that was not waited for, so the id is still its.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let end = Instant::now() + STOP_PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait()?;
        Err(Error::Timeout("the server's stop"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed has more to say than that its server would not stop.
        let _ = self.end();
        if !self.folder.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What a process has cost, from `/proc`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Time on a core, of all threads.
    pub total: Duration,
    /// Outside the kernel, in ticks of the system: for shares of many of them, not for times.
    pub user: Duration,
    /// In the kernel, likewise.
    pub kernel: Duration,
    /// Resident memory in KiB.
    pub resident_kib: u64,
    /// The part of it that no file stands behind: what the process has allocated and touched.
    pub anonymous_kib: u64,
}

impl Cost {
    /// What the process has cost so far.
    pub fn of(pid: u32) -> Result<Self, Error> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold anything; what follows the last one is fields 3 and up.
        let fields: Vec<&str> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |field: usize| fields.get(field).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        // SAFETY: asks for a number.
        let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / hertz);
        let (user, kernel) = (time(ticks(11)), time(ticks(12)));
        let kib = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let resident_kib = kib(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:");
        // `status` may lag by some pages for each core; this counts them.
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let anonymous_kib = kib(&rollup, "Anonymous:");
        Ok(Self {
            total: on_core(pid).unwrap_or(user + kernel),
            user,
            kernel,
            resident_kib,
            anonymous_kib,
        })
    }

    /// Time on a core of the process's threads of that name.
    pub fn of_thread(pid: u32, name: &str) -> Result<Duration, Error> {
        let mut nanos = 0;
        for task in tasks(pid, name)? {
            let text = fs::read_to_string(task.join("schedstat"))?;
            nanos += text.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Share of the time outside the kernel; 0 where there was none.
    pub fn userland(&self) -> f64 {
        let all = (self.user + self.kernel).as_secs_f64();
        if all > 0.0 { self.user.as_secs_f64() / all } else { 0.0 }
    }

    /// What came since.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            total: self.total.saturating_sub(before.total),
            user: self.user.saturating_sub(before.user),
            kernel: self.kernel.saturating_sub(before.kernel),
            resident_kib: self.resident_kib.saturating_sub(before.resident_kib),
            anonymous_kib: self.anonymous_kib.saturating_sub(before.anonymous_kib),
        }
    }
}

/// What the system says of a process's threads of that name: a folder for each, called by its number.
pub fn tasks(pid: u32, name: &str) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim_end() == name {
            found.push(task);
        }
    }
    Ok(found)
}

/// Nanoseconds on a core of all threads, exact where `stat` counts in ticks of 10 ms.
fn on_core(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}
