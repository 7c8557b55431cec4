//! The room under load: one person who sends, many who receive.

use crate::{Drain, PAYLOAD, Pace};
use protocol::room::Room;
use sfu::Carrier;
use sfu::rtp::Header;
use sfu::transport::Identity;
use sfu::twcc::TransportCc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::link::{Link, Local};
use testkit::server::{Cost, Server};
use testkit::{Error, Person, Publication, Publisher, Subscriber};

/// Receiver reports of browsers.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often links do what is due: checks and feedback.
const TICK: Duration = Duration::from_millis(25);
/// How often those who are in answer while others come; silent for ten seconds they are given up.
const ALIVE_EVERY: Duration = Duration::from_secs(3);
/// Participants that are one guest: an account of its own for each would run into the limits for one
/// address, which are not what is measured.
const PRESENCES: usize = 25;
/// Slots of a client that does not say.
const AUDIO_SLOTS: u8 = protocol::limits::DEFAULT_AUDIO_SLOTS;
const VIDEO_SLOTS: u8 = protocol::limits::DEFAULT_VIDEO_SLOTS;

/// The people of the room, on their way in.
pub struct Load {
    host: Person,
    room: Room,
    publisher: Publisher,
    count: usize,
    people: Vec<Person>,
    subscribers: Vec<Subscriber>,
    carrier: Carrier,
    /// One certificate for all: what clients pay for theirs is not measured.
    identity: Identity,
}

impl Load {
    /// A room with one person who publishes a camera.
    pub fn new(server: &Server, count: usize, carrier: Carrier) -> Result<Self, Error> {
        let (mut host, room) = Person::host(server.api, "Publisher")?;
        let publisher = host.publish(Publication { audio: false, ..Publication::default() })?;
        let identity = Identity::generate().map_err(|error| Error::Answer(error.to_string()))?;
        let (people, subscribers) = (Vec::new(), Vec::new());
        Ok(Self { host, room, publisher, count, people, subscribers, carrier, identity })
    }

    /// Everybody else enters; no media yet.
    pub fn open_sockets(&mut self) -> Result<(), Error> {
        let api = self.host.api;
        while self.people.len() < self.count {
            self.keep_alive()?;
            let viewer = Person::guest(api, "Viewer", &self.room)?;
            let token = viewer.token.clone();
            self.people.push(viewer);
            let group = self.count.min(self.people.len() + PRESENCES - 1);
            while self.people.len() < group {
                self.people.push(Person::enter(api, token.clone(), &self.room.slug, None)?);
            }
        }
        Ok(())
    }

    /// The next so many subscribe, one after the other.
    pub fn subscribe(&mut self, count: usize) -> Result<(), Error> {
        let mut next_alive = Instant::now() + ALIVE_EVERY;
        for index in self.subscribers.len()..self.people.len().min(self.subscribers.len() + count) {
            let person = &mut self.people[index];
            let local = Local::with_identity(self.identity.clone());
            let mut subscriber = person.answer(&local, AUDIO_SLOTS, VIDEO_SLOTS)?;
            if self.carrier == Carrier::Tcp {
                subscriber.link.use_tcp()?;
            }
            subscriber.link.connect()?;
            self.subscribers.push(subscriber);
            person.socket.drain()?;
            if Instant::now() >= next_alive {
                self.keep_alive()?;
                next_alive = Instant::now() + ALIVE_EVERY;
            }
        }
        Ok(())
    }

    /// Whoever is in already answers pings and checks while the others come.
    fn keep_alive(&mut self) -> Result<(), Error> {
        for person in self.people.iter_mut().chain([&mut self.host]) {
            person.socket.drain()?;
        }
        for subscriber in &mut self.subscribers {
            subscriber.link.tick(Instant::now())?;
        }
        self.publisher.drive()
    }

    /// Lets the receivers run on a thread of their own, and makes sure that all of them are sent to.
    pub fn start(self, feedback: bool) -> Result<Running, Error> {
        let shared = Arc::new(Shared::default());
        let receivers = Receivers::new(self.subscribers, self.carrier, feedback, shared.clone());
        let thread =
            std::thread::Builder::new().name("receivers".into()).spawn(move || receivers.run())?;
        let people: Vec<Person> = self.people.into_iter().chain([self.host]).collect();
        let sockets = {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("sockets".into())
                .spawn(move || read(people, &shared))?
        };
        let mut running = Running {
            publisher: self.publisher,
            keyframes: 0,
            count: self.count,
            shared,
            threads: vec![thread, sockets],
        };
        running.warm_up(self.count)?;
        Ok(running)
    }
}

/// How often everybody's socket is read.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Reads what the room says, on a thread of its own: sockets that answer no ping are dead to the server
/// within seconds, and each look takes milliseconds that would turn single packets into bursts.
pub fn read(mut people: Vec<Person>, shared: &Shared) -> Result<(), Error> {
    while !shared.is_over.load(Ordering::Relaxed) {
        for person in &mut people {
            person.socket.drain()?;
        }
        std::thread::sleep(READ_EVERY);
    }
    Ok(())
}

/// What the threads of a load tell each other.
#[derive(Default)]
pub struct Shared {
    /// RTP packets that arrived.
    pub packets: AtomicU64,
    /// Those of them that are no larger than sound.
    pub small: AtomicU64,
    /// Subscribers that got at least one.
    reached: AtomicU64,
    /// Everybody is to stop.
    pub is_over: AtomicBool,
}

/// Larger than any packet of sound.
const SMALL: usize = 400;

/// The room in motion.
pub struct Running {
    publisher: Publisher,
    /// Keyframe requests answered so far.
    keyframes: u64,
    count: usize,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

/// One round.
pub struct Forwarded {
    /// The server's CPU per packet that it sent.
    pub per_packet_us: f64,
    /// Share of it outside the kernel. The system counts it in ticks of 10 ms: only many rounds together
    /// say something.
    pub userland: f64,
    /// Share of packets that did not arrive.
    pub lost: f64,
}

impl Running {
    /// Sends at that pace for a while and divides.
    pub fn measure(&mut self, pid: u32, pace: Pace, time: Duration) -> Result<Forwarded, Error> {
        self.send(pace, Duration::from_millis(300))?;
        let packets = self.shared.packets.load(Ordering::Relaxed);
        let before = Cost::of(pid)?;
        let sent = self.send(pace, time)?;
        let cost = Cost::of(pid)?.since(&before);
        // The last ones are on their way.
        std::thread::sleep(Duration::from_millis(50));
        let arrived = self.shared.packets.load(Ordering::Relaxed) - packets;
        let expected = (sent * self.count as u64) as f64;
        let per_packet = cost.total.as_secs_f64() * 1e6 / expected;
        Ok(Forwarded {
            per_packet_us: per_packet,
            userland: cost.userland(),
            lost: (1.0 - arrived as f64 / expected).max(0.0),
        })
    }

    /// Ends everything.
    pub fn stop(mut self) -> Result<(), Error> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("no thread of the load panics")?;
        }
        Ok(())
    }

    fn send(&mut self, pace: Pace, time: Duration) -> Result<u64, Error> {
        let start = Instant::now();
        let (mut next, mut sent) = (start, 0);
        while start.elapsed() < time {
            next += pace.every;
            // A keyframe that is asked for is sent at once: a slot that began anew would stay dark.
            let asked = self.publisher.asked().keyframes;
            let is_keyframe = std::mem::replace(&mut self.keyframes, asked) < asked;
            self.publisher.send_frame(is_keyframe, pace.burst, PAYLOAD)?;
            sent += pace.burst as u64;
            self.publisher.drive()?;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(sent)
    }

    /// Keyframes until everybody's slot has begun.
    fn warm_up(&mut self, count: usize) -> Result<(), Error> {
        let end = Instant::now() + Duration::from_secs(20);
        while self.shared.reached.load(Ordering::Relaxed) < count as u64 {
            if Instant::now() > end {
                return Err(Error::Timeout("the first packet of every subscriber"));
            }
            self.publisher.send_frame(true, 1, PAYLOAD)?;
            self.publisher.drive_for(Duration::from_millis(20))?;
        }
        Ok(())
    }
}

/// All subscribers on one thread. What arrives is counted and not decrypted; checks, reports and
/// feedback are sent as browsers do.
pub struct Receivers {
    subscribers: Vec<Subscriber>,
    carrier: Carrier,
    feedback: Option<Vec<Feedback>>,
    shared: Arc<Shared>,
}

struct Feedback {
    extension: u8,
    ssrc: u32,
    log: TransportCc,
}

impl Receivers {
    /// Nobody is read yet.
    pub fn new(
        subscribers: Vec<Subscriber>,
        carrier: Carrier,
        feedback: bool,
        shared: Arc<Shared>,
    ) -> Self {
        let feedback = feedback.then(|| {
            let of = |subscriber: &Subscriber| Feedback {
                // 0 is no extension's id: without one nothing is ever reported.
                extension: subscriber.transport_cc.unwrap_or(0),
                ssrc: subscriber.slots.first().map_or(0, |slot| slot.ssrc),
                log: TransportCc::new(),
            };
            subscribers.iter().map(of).collect()
        });
        Self { subscribers, carrier, feedback, shared }
    }

    /// Reads until it is over.
    pub fn run(mut self) -> Result<(), Error> {
        let sockets = self.subscribers.iter().map(|s| s.link.as_raw_fd()).collect();
        let mut drain = Drain::new(sockets)?;
        let mut is_reached = vec![false; self.subscribers.len()];
        let (mut next_tick, mut next_report) = (Instant::now(), Instant::now());
        let (mut packets, mut small) = (0, 0);
        while !self.shared.is_over.load(Ordering::Relaxed) {
            let now = Instant::now();
            let (feedback, subscribers) = (&mut self.feedback, &mut self.subscribers);
            let mut each = |link: &mut Link, index: usize, datagram: &mut [u8]| {
                // SRTP headers are in the clear. Answers to checks keep the link alive.
                if !matches!(datagram, [128..=191, 0..=191 | 224.., ..]) {
                    link.take(now, link.server(), datagram, &mut |_| {});
                    return;
                }
                packets += 1;
                small += u64::from(datagram.len() < SMALL);
                is_reached[index] = true;
                let Some(feedback) = feedback.as_mut().map(|all| &mut all[index]) else { return };
                let header = Header::parse(datagram);
                let element = header.and_then(|h| h.extension(datagram, feedback.extension));
                if let Some(&[high, low]) = element {
                    feedback.log.arrived(now, u16::from_be_bytes([high, low]));
                }
            };
            if self.carrier == Carrier::Udp {
                drain.read(TICK, |index, datagram| {
                    each(&mut subscribers[index].link, index, datagram);
                })?;
            } else {
                for index in drain.wait(TICK)? {
                    let link = &mut subscribers[index].link;
                    while link.read_raw(&mut |link, datagram| each(link, index, datagram))? {}
                }
            }
            self.shared.packets.store(packets, Ordering::Relaxed);
            self.shared.small.store(small, Ordering::Relaxed);
            let reached = is_reached.iter().filter(|reached| **reached).count();
            self.shared.reached.store(reached as u64, Ordering::Relaxed);
            if now >= next_tick {
                next_tick = now + TICK;
                let is_report_due = now >= next_report;
                if is_report_due {
                    next_report = now + REPORT_EVERY;
                }
                self.tick(now, is_report_due)?;
            }
        }
        for subscriber in &mut self.subscribers {
            subscriber.link.close()?;
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant, is_report_due: bool) -> Result<(), Error> {
        let mut compound = Vec::new();
        for (index, subscriber) in self.subscribers.iter_mut().enumerate() {
            subscriber.link.tick(now)?;
            if is_report_due {
                subscriber.report(&[])?;
            }
            let Some(feedback) = self.feedback.as_mut().map(|all| &mut all[index]) else {
                continue;
            };
            while feedback.log.poll(now, 1, feedback.ssrc, &mut compound) {
                subscriber.link.send_rtcp(&mut compound)?;
                compound.clear();
            }
        }
        Ok(())
    }
}
