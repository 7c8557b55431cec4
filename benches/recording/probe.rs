//! One who speaks and one who hears in a room of their own: each packet says when it was sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::{Error, Person, Publication, Server};

/// Between two packets.
const EVERY: Duration = Duration::from_millis(2);
/// Where the time stands in a packet, behind the first byte of Opus.
const AT: usize = 1;
/// How often sockets are read, so that pings are answered: 500 packets.
const READ_AFTER: u32 = 500;

/// Measures all the time.
pub struct Probe {
    times: Arc<Mutex<Vec<Duration>>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

impl Probe {
    /// Both come, and packets flow.
    pub fn start(server: &Server) -> Result<Self, Error> {
        let (mut anna, room) = Person::host(server.api, "Anna")?;
        let mut boris = Person::guest(server.api, "Boris", &room)?;
        let mut publisher = anna.publish(Publication { video: false, ..Publication::default() })?;
        let mut subscriber = boris.subscribe(1, 1)?;
        let times: Arc<Mutex<Vec<Duration>>> = Arc::default();
        let is_over = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let speaks = {
            let is_over = is_over.clone();
            std::thread::Builder::new().name("speaks".into()).spawn(move || {
                let mut next = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let due = began + EVERY * next;
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    let mut payload = [0xf8; 40];
                    let now = began.elapsed().as_nanos() as u64;
                    payload[AT..AT + 8].copy_from_slice(&now.to_be_bytes());
                    publisher.send_sound(EVERY * next, &payload)?;
                    next += 1;
                    if next.is_multiple_of(READ_AFTER) {
                        publisher.drive()?;
                        anna.socket.drain()?;
                        boris.socket.drain()?;
                    }
                }
                Ok(())
            })?
        };
        let hears = {
            let (is_over, times) = (is_over.clone(), times.clone());
            std::thread::Builder::new().name("hears".into()).spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    subscriber.link.wait(EVERY * 10);
                    subscriber.drive()?;
                    let mut found = times.lock().unwrap_or_else(PoisonError::into_inner);
                    for packet in subscriber.drain() {
                        let sent = packet.payload.get(AT..AT + 8).and_then(|b| b.try_into().ok());
                        let Some(sent) = sent.map(u64::from_be_bytes) else { continue };
                        let at = packet.at.saturating_duration_since(began);
                        found.push(at.saturating_sub(Duration::from_nanos(sent)));
                    }
                }
                Ok(())
            })?
        };
        Ok(Self { times, is_over, threads: vec![speaks, hears] })
    }

    /// How long each packet took since the last look.
    pub fn take(&mut self) -> Vec<Duration> {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Both go.
    pub fn end(mut self) -> Result<(), Error> {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no thread of the probe panics")?;
        }
        Ok(())
    }
}
