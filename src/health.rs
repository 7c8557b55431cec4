//! `veche health`: asks the server on this machine, so that a container needs no other program for it.

use crate::config::{Config, Host};
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Fails unless the server answers that it is well.
pub fn ask(config: &Config) -> anyhow::Result<()> {
    let address = SocketAddr::new(reachable(config.host), config.port);
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("no server answers at {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_string(&mut answer)
        .with_context(|| format!("the server at {address} did not answer in time"))?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("the server at {address} answered {status:?}");
    }
    Ok(())
}

fn reachable(host: Host) -> IpAddr {
    match host {
        Host::Localhost => Ipv4Addr::LOCALHOST.into(),
        Host::Address(IpAddr::V4(address)) if address.is_unspecified() => {
            Ipv4Addr::LOCALHOST.into()
        }
        Host::Address(IpAddr::V6(address)) if address.is_unspecified() => {
            Ipv6Addr::LOCALHOST.into()
        }
        Host::Address(address) => address,
    }
}

/// Longer than a busy server needs, shorter than what container engines wait for.
const PATIENCE: Duration = Duration::from_secs(3);
/// The answer has a few hundred bytes.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;
