//! Where a forwarded packet's time goes, in rooms of several sizes: `perf` looks a thousand times a second at what the media
//! threads do, and each look belongs to the innermost part of the way that its stack is in.

use crate::load::Load;
use crate::{Options, PAYLOAD, SLOW};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::Error;
use testkit::server::{Server, tasks};

/// Looks per second: prime, so that nothing that is done every millisecond is always or never seen.
const LOOKS: &str = "997";

/// Parts of the way, in the order in which a packet meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The system hands over what has come.
    Receiving,
    /// Whom it is for, and what its header is there.
    Forwarding,
    /// Bytes moved from here to there.
    Copying,
    /// Encryption and authentication.
    Cipher,
    /// The system makes datagrams of it and finds their way.
    Sending,
    /// Loopback alone: they are put into the receivers' sockets, on the sender's account.
    Arriving,
    /// Loopback alone: the receivers are woken for it.
    Waking,
    /// Falling asleep and being woken.
    Waiting,
    /// Everything else that the system does.
    System,
}

const PARTS: [(Part, &str); 9] = [
    (Part::Receiving, "receiving"),
    (Part::Forwarding, "forwarding"),
    (Part::Copying, "copying"),
    (Part::Cipher, "cipher"),
    (Part::Sending, "sending"),
    (Part::Arriving, "arriving"),
    (Part::Waking, "waking"),
    (Part::Waiting, "waiting"),
    (Part::System, "system"),
];

/// Prints the table: microseconds per packet.
pub fn run(sizes: &[usize], options: &Options) -> Result<bool, Error> {
    println!(
        "1 publisher in bursts of {}, {PAYLOAD} bytes, {} s each, one media thread: µs per packet\n",
        SLOW.burst, options.seconds
    );
    print!("subscribers  packets/s     all");
    PARTS.iter().for_each(|(_, name)| print!("{name:>11}"));
    println!("    lost");
    for &count in sizes {
        let server = Server::start(
            Path::new(env!("CARGO_BIN_EXE_veche")),
            &[("LOG_LEVEL", "warn"), ("MEDIA_THREADS", "1")],
        )?;
        let mut load = Load::new(&server, count, options.carrier)?;
        load.open_sockets()?;
        load.subscribe(count)?;
        let mut room = load.start(options.feedback)?;
        let folder = tempfile::tempdir()?;
        let record = folder.path().join("looks");
        let time = Duration::from_secs_f64(options.seconds);
        let mut perf = Command::new("perf")
            .args(["record", "--quiet", "--call-graph", "fp", "--freq", LOOKS])
            .args(["--tid", &media_thread(server.pid())?, "--output"])
            .arg(&record)
            .args(["--", "sleep", &options.seconds.to_string()])
            .stderr(Stdio::null())
            .spawn()?;
        let forwarded = room.measure(server.pid(), SLOW, time)?;
        perf.wait()?;
        let looks = looks(&record)?;
        let all = looks.iter().sum::<u32>().max(1);
        print!(
            "{count:>11} {:>10.0} {:>7.2}",
            count as f64 * SLOW.burst as f64 / SLOW.every.as_secs_f64(),
            forwarded.per_packet_us
        );
        for seen in looks {
            print!("{:>11.2}", f64::from(seen) / f64::from(all) * forwarded.per_packet_us);
        }
        println!(" {:>5.2} %", forwarded.lost * 100.0);
        room.stop()?;
        server.stop()?;
    }
    Ok(true)
}

/// The system's number of the only media thread.
fn media_thread(pid: u32) -> Result<String, Error> {
    let threads = tasks(pid, "media-0")?;
    let number = threads.first().and_then(|thread| thread.file_name());
    let number = number.ok_or_else(|| Error::Answer("the server has no media thread".into()))?;
    Ok(number.to_string_lossy().into_owned())
}

/// How many looks fell on each part.
fn looks(record: &Path) -> Result<[u32; PARTS.len()], Error> {
    let said = Command::new("perf")
        .args(["script", "--fields", "ip,sym,dso", "--input"])
        .arg(record)
        .stderr(Stdio::null())
        .output()?;
    let mut seen = [0; PARTS.len()];
    // A stack is a paragraph, the innermost function first.
    for stack in String::from_utf8_lossy(&said.stdout).split("\n\n") {
        let stack = stack.trim();
        if stack.is_empty() {
            continue;
        }
        let part = part(stack);
        let at = PARTS.iter().position(|(known, _)| *known == part);
        seen[at.expect("every part has a column")] += 1;
    }
    Ok(seen)
}

/// Whose time a look is, by the lines of its stack: address, function, file.
fn part(stack: &str) -> Part {
    let passes = |names: &[&str]| names.iter().any(|name| stack.contains(name));
    let innermost = stack.lines().next().unwrap_or_default();
    let is_in = |names: &[&str]| names.iter().any(|name| innermost.contains(name));
    if passes(&["handle_softirqs", "__do_softirq", "net_rx_action"]) {
        // Whoever waits for a socket is called by it.
        let wakes = passes(&["sock_def_readable", "ep_poll_callback", "__wake_up"]);
        if wakes { Part::Waking } else { Part::Arriving }
    } else if passes(&["sendmmsg", "sendmsg", "sendto"]) {
        Part::Sending
    } else if passes(&["recvmmsg", "recvmsg", "recvfrom"]) {
        Part::Receiving
    } else if passes(&["epoll_wait", "do_epoll", "schedule", "futex"]) {
        Part::Waiting
    } else if is_in(&["kernel", "[unknown]"]) {
        Part::System
    } else if is_in(&["aes", "gcm", "aead", "ghash", "AES", "GCM", "EVP_"]) {
        Part::Cipher
    } else if is_in(&["memcpy", "memmove", "memset"]) {
        Part::Copying
    } else {
        Part::Forwarding
    }
}
