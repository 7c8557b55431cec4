//! coturn with the configuration of the documentation, on loopback.

use crate::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It is there within a second; a busy machine takes its time.
const START: Duration = Duration::from_secs(20);
/// As it stands in the documentation.
const DOCUMENTED: &str = include_str!("../../docs/turnserver.conf");

/// What the server under test and this coturn share.
pub const SECRET: &str = "north";

/// A running coturn.
pub struct Coturn {
    child: Child,
    folder: PathBuf,
    /// Where it listens, for datagrams and streams.
    pub address: SocketAddr,
}

impl Coturn {
    /// Runs the documented file with other ports, paths and addresses; everything else stays.
    ///
    /// # Errors
    /// When it is not installed or does not listen.
    pub fn start() -> Result<Self, Error> {
        let folder =
            std::env::temp_dir().join(format!("veche-coturn-{:016x}", rand::random::<u64>()));
        fs::create_dir(&folder)?;
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let file = folder.join("turnserver.conf");
        let (pid, log) = (folder.join("pid"), folder.join("log"));
        let text = configuration(port)
            + &format!("pidfile={}\nlog-file={}\n", pid.display(), log.display());
        fs::write(&file, text)?;
        let child = Command::new("turnserver")
            .arg("-c")
            .arg(&file)
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let coturn = Self { child, folder, address };
        let end = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(Error::Timeout("coturn, which should listen"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(coturn)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The settings of a server that hands it out.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        [("TURN_URL", format!("turn:{}", self.address)), ("TURN_SECRET", SECRET.to_owned())]
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn configuration(port: u16) -> String {
    let own = |line: &str| match line.split('=').next().unwrap_or_default() {
        "listening-port" => Some(format!("listening-port={port}\n")),
        "tls-listening-port" => Some("no-tls\nno-dtls\n".to_owned()),
        "static-auth-secret" => Some(format!("static-auth-secret={SECRET}\n")),
        // It logs to the system; a test's own goes to a file.
        "cert" | "pkey" | "syslog" => None,
        "allowed-peer-ip" => Some("allowed-peer-ip=127.0.0.1\n".to_owned()),
        _ => Some(format!("{line}\n")),
    };
    let mut text: String = DOCUMENTED.lines().filter_map(own).collect();
    // Loopback is refused before the list is looked at, unless this is said.
    text += "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nallow-loopback-peers\n";
    text
}
