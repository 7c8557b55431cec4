//! The binary with its output in hand, and a client that sees every header.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than a first start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with settings, in which the binary can be run.
pub struct Place {
    folder: Arc<TempDir>,
    settings: BTreeMap<String, String>,
}

impl Place {
    /// A fresh folder; free ports, and what `settings` say.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let usual = [("HOST", "127.0.0.1"), ("PORT", "0"), ("MEDIA_PORT", "0")];
        let settings = usual.iter().chain(settings);
        let settings = settings.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Self { settings: settings.collect(), folder }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it to its end, which must come by itself.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut child = self.spawn(arguments);
        let end = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                child.kill().unwrap();
                panic!("veche {arguments:?} did not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().unwrap()
    }

    /// Runs it to a failure; its one line on standard error.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with("veche: "), "{stderr}");
        stderr
    }

    /// Serves, and waits until people can come.
    pub fn serve(&self) -> Program {
        self.serve_with(&[])
    }

    /// The same with arguments.
    pub fn serve_with(&self, arguments: &[&str]) -> Program {
        Program::new(self.spawn(arguments), self.folder.clone())
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_veche"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// A serving process; killed when dropped.
pub struct Program {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// What it printed until it was ready.
    pub banner: String,
    /// Its HTTP door.
    pub address: SocketAddr,
    /// Stays as long as it runs, also where the test has let the place go.
    _folder: Arc<TempDir>,
}

impl Program {
    fn new(mut child: Child, folder: Arc<TempDir>) -> Self {
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let lines = lines(child.stdout.take().unwrap());
        let mut banner = String::new();
        // The banner ends with an empty line, and has one after its title.
        while banner.matches("\n\n").count() < 2 {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => banner = banner + &line + "\n",
                Err(_) => {
                    let _ = child.kill();
                    panic!("not ready:\n{banner}\n{}", log.join().unwrap());
                }
            }
        }
        let listens = banner.lines().find_map(|line| line.trim().strip_prefix("Listens (TCP)"));
        let address = listens.unwrap().split(',').next().unwrap().trim().parse().unwrap();
        Self { child, log: Some(log), banner, address, _folder: folder }
    }

    /// The token of the set-up link, if one was printed.
    pub fn setup_token(&self) -> Option<String> {
        let (_, token) = self.banner.split_once("/#/setup?token=")?;
        token.lines().next().map(str::to_owned)
    }

    /// Sends a request.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        write!(stream, "{head}Connection: close\r\n\r\n{body}").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    /// Gets a page.
    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "")
    }

    /// Posts JSON, as whom the token says.
    pub fn post(&self, target: &str, token: Option<&str>, body: &serde_json::Value) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
        self.send("POST", target, &headers, &body.to_string())
    }

    /// A connection of its own.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: a signal to a child of ours that was not waited for, so the id is still its.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits for its end; exit code, how long that took, and the log.
    pub fn ended(&mut self) -> (Option<i32>, Duration, String) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = since.elapsed();
        (status.code(), took, self.log.take().unwrap().join().unwrap())
    }

    /// Asks it to end; the log.
    pub fn stop(mut self) -> String {
        self.signal(libc::SIGTERM);
        let (code, _, log) = self.ended();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// An answer with everything in it.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an HTTP answer");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let answer = Self { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() };
        assert_eq!(answer.header("transfer-encoding"), None, "this client reads no chunks");
        answer
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error}: {:?}", self.status, self.text()))
    }

    /// The error's stable code.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}
