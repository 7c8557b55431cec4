//! The whole server against native clients: through the same doors as browsers, but with every packet in hand.

mod abuse;
mod coturn;
mod faults;
mod full;
mod handshake;
mod ladder;
mod long;
mod meeting;
mod orders;
mod planes;
mod rebind;
mod recording;
mod recovery;
mod report;
mod strangers;
mod tcp;
mod turn;

use protocol::Kind;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::{Error, Publisher, Received, Server, Subscriber};

/// Between frames, of sound as of pictures.
const FRAME: Duration = Duration::from_millis(20);

/// A server of the test's own.
fn server() -> Server {
    Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &[]).expect("the server starts")
}

/// One whose memory can be measured: without huge pages, of which a single one is 2 MiB and comes or does not.
fn measured_server() -> Server {
    let settings = [("MIMALLOC_ALLOW_THP", "0")];
    Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &settings).expect("the server starts")
}

/// Sends sound and pictures in real time, with a keyframe whenever one is asked for, and reads what the
/// subscriber gets, until it has `enough`; all of it.
fn flow(
    publisher: &mut Publisher,
    subscriber: &mut Subscriber,
    what: &'static str,
    enough: impl Fn(&[Received]) -> bool,
) -> Result<Vec<Received>, Error> {
    let mut received = Vec::new();
    let mut answered = 0;
    let mut next = Instant::now();
    let end = next + testkit::socket::PATIENCE;
    while next < end {
        publisher.drive()?;
        let asked = publisher.asked().keyframes;
        publisher.send_audio(20, 80)?;
        publisher.send_frame(asked > answered, 2, 600)?;
        answered = asked;
        next += FRAME;
        loop {
            subscriber.drive()?;
            received.extend(subscriber.drain());
            if enough(&received) {
                return Ok(received);
            }
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            subscriber.link.wait(left);
        }
    }
    Err(Error::Timeout(what))
}

/// Whether there are at least so many packets of either kind.
fn both_kinds(count: usize) -> impl Fn(&[Received]) -> bool {
    move |received| {
        let of = |kind| received.iter().filter(|packet| packet.kind == kind).count();
        of(Kind::Audio) >= count && of(Kind::Video) >= count
    }
}
