//! The ports that the server takes, and who has them.

use super::report::Finding;
use crate::config::Config;
use crate::health;
use crate::http::Listeners;
use crate::media::Ports;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;

/// Whether a server of these settings runs here.
pub async fn is_running(config: &Config) -> bool {
    let answering = config.clone();
    let asking = tokio::task::spawn_blocking(move || health::ask(&answering).is_ok());
    config.port != 0 && asking.await.unwrap_or(false)
}

/// TCP for pages, UDP for media: free, ours, or somebody else's.
pub fn examine(config: &Config, is_running: bool) -> Vec<Finding> {
    let mut found = vec![http(config, is_running)];
    found.extend(config.media_ports().into_iter().map(|port| media(config, port, is_running)));
    found
}

fn http(config: &Config, is_running: bool) -> Finding {
    let port = config.port;
    if is_running {
        return Finding::good("port").says(
            format!("A server runs here and is well (TCP port {port})."),
            format!("Сервер здесь работает и исправен (порт TCP {port})."),
        );
    }
    match Listeners::bind(config.host, port) {
        Ok(_) => Finding::good("port").says(
            format!("TCP port {port} is free; no server runs here now."),
            format!("Порт TCP {port} свободен; сервер сейчас не запущен."),
        ),
        Err(error) => {
            let holder = holder("tcp", port);
            let (en, ru) = held_by(holder.as_deref());
            Finding::bad("port")
                .says(
                    format!("The server cannot listen: {error:#}{en}."),
                    format!("Сервер не может слушать порт TCP {port}: {error:#}{ru}."),
                )
                .advises(
                    "Stop that program or choose another port with `port`. Ports below 1024 need the right to them (CAP_NET_BIND_SERVICE)."
                        .into(),
                    "Остановите ту программу или выберите другой порт в `port`. Для портов ниже 1024 нужно право (CAP_NET_BIND_SERVICE)."
                        .into(),
                )
        }
    }
}

fn media(config: &Config, port: u16, is_running: bool) -> Finding {
    // Where it is the port of HTTP too, that one hands media's connections over.
    let listens = config.media_tcp && port != config.port;
    match Ports::bind(port, listens) {
        Ok(_) => Finding::good("media_port").says(
            format!("Port {port} can be had for media."),
            format!("Порт {port} доступен для медиа."),
        ),
        Err(error) => {
            let is_taken = error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == ErrorKind::AddrInUse);
            if is_taken && is_running {
                return Finding::good("media_port").says(
                    format!("Media port {port} is held, and a server runs here."),
                    format!("Медиапорт {port} занят, и сервер здесь работает."),
                );
            }
            let holder = holder("udp", port).or_else(|| holder("tcp", port));
            let (en, ru) = held_by(holder.as_deref());
            Finding::bad("media_port")
                .says(
                    format!("Media port {port} cannot be had: {error:#}{en}. Nobody would be seen or heard."),
                    format!("Медиапорт {port} недоступен: {error:#}{ru}. Никого не было бы ни видно, ни слышно."),
                )
                .advises(
                    "Stop that program or choose another port with `media_port`, and open it in the firewall for UDP.".into(),
                    "Остановите ту программу или выберите другой порт в `media_port` и откройте его в файрволе для UDP.".into(),
                )
        }
    }
}

fn held_by(holder: Option<&str>) -> (String, String) {
    match holder {
        Some(name) => (format!(" (held by {name})"), format!(" (занят программой {name})")),
        None => Default::default(),
    }
}

/// Name and number of the program that holds a port; nothing where the system does not tell us.
fn holder(protocol: &str, port: u16) -> Option<String> {
    let tables = [format!("/proc/net/{protocol}"), format!("/proc/net/{protocol}6")];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes_of(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        // `self` and `thread-self` are there too.
        if process.file_name().to_string_lossy().parse::<u32>().is_err() {
            continue;
        }
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files.flatten().any(|file| {
            let target = fs::read_link(file.path()).unwrap_or_default();
            inodes.iter().any(|inode| inode.as_bytes() == target.as_os_str().as_bytes())
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} {}", name.trim(), process.file_name().to_string_lossy()));
        }
    }
    None
}

/// The sockets of a table of the kernel's that are bound to a port: those that listen, for TCP.
fn inodes_of(table: &str, port: u16) -> Vec<String> {
    let wanted = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    // Local address, state (0A: listens; 07: a UDP socket of its own), inode.
    rows.filter(|row| row.len() > 9 && row[1].ends_with(&wanted) && matches!(row[3], "0A" | "07"))
        .map(|row| row[9].to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_port_is_found() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = held.local_addr().expect("an address").port();
        let name = holder("tcp", port).expect("somebody");
        assert!(name.ends_with(&std::process::id().to_string()), "{name}");
    }
}
