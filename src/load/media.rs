//! The thread on which media is sent and received for many people: one datagram socket for each transport, as the server knows
//! transports by their address, and one wait for all of them.

use super::live::Live;
use super::plan::Pace;
use client::drain::{Drain, Waker, note_arrivals};
use client::histogram::Histogram;
use client::link::{Link, Packet};
use client::publisher::{Frame, Publisher};
use client::stamp::Stamp;
use client::tally::{Counts, Sent, Tally};
use client::{Error, Subscriber};
use sfu::rtcp::{self, Incoming};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What people ask of the thread. It keeps their transports until they leave.
pub enum Order {
    /// Receives from now on.
    Watch {
        /// Who.
        person: usize,
        /// With a transport that has not begun.
        subscriber: Box<Subscriber>,
        /// Told when media can flow.
        connected: oneshot::Sender<Instant>,
        /// Told when the first packet has come.
        first: oneshot::Sender<Instant>,
    },
    /// Sends from now on.
    Publish {
        /// Who.
        person: usize,
        /// Which of the publishers.
        number: usize,
        /// With a transport that has not begun.
        publisher: Box<Publisher>,
        /// Told when media can flow.
        connected: oneshot::Sender<Instant>,
    },
    /// Sends only those layers.
    Layers {
        /// Who.
        person: usize,
        /// By index, the smallest first.
        taken: [bool; LAYERS],
    },
    /// Closes that person's transports.
    Leave {
        /// Who.
        person: usize,
        /// To the end: whatever was sent and shown to them should have come.
        has_stayed: bool,
        /// Told when that is done: the server closes what is left over, and that would be an end that we did not make.
        done: oneshot::Sender<()>,
    },
    /// Nobody sends any more.
    Rest,
    /// Closes everything and ends.
    Finish,
}

/// Sizes of a camera's pictures, at most.
pub const LAYERS: usize = 3;

/// The running thread.
pub struct Media {
    orders: Sender<Order>,
    waker: Waker,
    thread: JoinHandle<Result<Outcome, Error>>,
}

/// What a thread has seen.
#[derive(Default)]
pub struct Outcome {
    /// Of those who stayed to the end.
    pub tallies: Vec<Tally>,
    /// Of those who left before.
    pub departed: Counts,
    /// Where each stream's sender has come to.
    pub sent: HashMap<u32, Sent>,
    /// Under way, from sending to arriving at our socket.
    pub latency: Histogram,
    /// From there to being read: this thread's own being late.
    pub waited: Histogram,
    /// Packets sent.
    pub packets: u64,
    /// Frames and sounds that were left out because this thread came too late.
    pub skipped: u64,
    /// Transports that ended by themselves.
    pub broken: u64,
}

impl Media {
    /// Starts it. Times in stamps count from `epoch`.
    pub fn start(pace: Pace, epoch: Instant, live: Arc<Live>) -> Result<Self, Error> {
        let mut drain = Drain::new(Vec::new())?;
        let waker = drain.waker()?;
        let (orders, inbox) = channel();
        let now = Instant::now();
        let thread = Thread {
            drain,
            inbox,
            pace,
            epoch,
            live,
            ends: Vec::new(),
            free: Vec::new(),
            senders: Vec::new(),
            outcome: Outcome::default(),
            is_resting: false,
            next_tick: now,
            next_sum: now,
        };
        let builder = std::thread::Builder::new().name("load-media".into());
        let thread = builder.spawn(move || thread.run())?;
        Ok(Self { orders, waker, thread })
    }

    /// Asks something. After the end nothing happens.
    pub fn order(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            self.waker.wake();
        }
    }

    /// Waits for its end, which [`Order::Finish`] asks for.
    pub fn join(self) -> Result<Outcome, Error> {
        self.thread.join().unwrap_or_else(|_| Err(Error::Answer("the media thread broke".into())))
    }
}

struct Thread {
    drain: Drain,
    inbox: Receiver<Order>,
    pace: Pace,
    epoch: Instant,
    live: Arc<Live>,
    /// By the index under which their sockets are watched.
    ends: Vec<Option<End>>,
    free: Vec<usize>,
    /// Those of them that send.
    senders: Vec<usize>,
    outcome: Outcome,
    is_resting: bool,
    next_tick: Instant,
    next_sum: Instant,
}

/// One transport.
struct End {
    person: usize,
    connected: Option<oneshot::Sender<Instant>>,
    half: Half,
}

enum Half {
    Watching(Box<Watching>),
    Publishing(Box<Publishing>),
}

struct Watching {
    link: Link,
    tally: Tally,
    first: Option<oneshot::Sender<Instant>>,
}

struct Publishing {
    publisher: Publisher,
    number: usize,
    taken: [bool; LAYERS],
    /// Whether the next frame of a layer is a keyframe: the first one after a pause.
    is_fresh: [bool; LAYERS],
    next_sound: Instant,
    next_frame: Instant,
    next_report: Instant,
    /// Of sound, then of each layer.
    sent: [u32; 1 + LAYERS],
}

impl End {
    fn link(&self) -> &Link {
        match &self.half {
            Half::Watching(watching) => &watching.link,
            Half::Publishing(publishing) => &publishing.publisher.link,
        }
    }

    /// Tells who waits for it that media can flow.
    fn tell(&mut self, now: Instant) {
        if self.connected.is_some()
            && self.link().is_connected()
            && let Some(connected) = self.connected.take()
        {
            connected.send(now).ok();
        }
    }
}

impl Thread {
    fn run(mut self) -> Result<Outcome, Error> {
        while self.take_orders()? {
            let wait = self.next_due().saturating_duration_since(Instant::now());
            for index in self.drain.wait(wait)? {
                self.read(index)?;
            }
            let now = Instant::now();
            self.send_due(now)?;
            if now >= self.next_tick {
                self.next_tick = now + TICK;
                self.tick(now)?;
            }
        }
        for index in 0..self.ends.len() {
            self.remove(index, true)?;
        }
        Ok(self.outcome)
    }

    /// False when it is over.
    fn take_orders(&mut self) -> Result<bool, Error> {
        let now = Instant::now();
        while let Ok(order) = self.inbox.try_recv() {
            match order {
                Order::Watch { person, subscriber, connected, first } => {
                    let Subscriber { link, slots, transport_cc, .. } = *subscriber;
                    let tally = Tally::new(&slots, transport_cc, now);
                    let watching = Watching { link, tally, first: Some(first) };
                    let half = Half::Watching(Box::new(watching));
                    self.add(End { person, connected: Some(connected), half })?;
                }
                Order::Publish { person, number, publisher, connected } => {
                    // Not everybody's frames at the same moment: spread evenly, as people's clocks are.
                    let share = (number as u32).wrapping_mul(0x9e37_79b9) >> 16;
                    let publishing = Publishing {
                        publisher: *publisher,
                        number,
                        taken: [true; LAYERS],
                        is_fresh: [true; LAYERS],
                        next_sound: now + SOUND_EVERY * share / 0x1_0000,
                        next_frame: now + self.pace.every * share / 0x1_0000,
                        next_report: now,
                        sent: [0; 1 + LAYERS],
                    };
                    let half = Half::Publishing(Box::new(publishing));
                    self.add(End { person, connected: Some(connected), half })?;
                }
                Order::Layers { person, taken } => {
                    for end in self.ends.iter_mut().flatten().filter(|end| end.person == person) {
                        if let Half::Publishing(publishing) = &mut end.half {
                            for (layer, is_taken) in taken.into_iter().enumerate() {
                                publishing.is_fresh[layer] |= is_taken && !publishing.taken[layer];
                            }
                            publishing.taken = taken;
                        }
                    }
                }
                Order::Leave { person, has_stayed, done } => {
                    let is_theirs =
                        |end: &Option<End>| end.as_ref().is_some_and(|end| end.person == person);
                    for index in 0..self.ends.len() {
                        if is_theirs(&self.ends[index]) {
                            self.remove(index, has_stayed)?;
                        }
                    }
                    done.send(()).ok();
                }
                Order::Rest => self.is_resting = true,
                Order::Finish => return Ok(false),
            }
        }
        Ok(true)
    }

    fn add(&mut self, end: End) -> Result<(), Error> {
        let index = self.free.pop().unwrap_or(self.ends.len());
        let socket = end.link().as_raw_fd();
        note_arrivals(socket)?;
        self.drain.add(index, socket)?;
        if matches!(end.half, Half::Publishing(_)) {
            self.senders.push(index);
        }
        if index == self.ends.len() {
            self.ends.push(None);
        }
        self.ends[index] = Some(end);
        self.tick_one(index, Instant::now())
    }

    fn remove(&mut self, index: usize, has_stayed: bool) -> Result<(), Error> {
        let Some(end) = self.ends[index].take() else { return Ok(()) };
        self.drain.remove(index);
        self.free.push(index);
        self.senders.retain(|sender| *sender != index);
        match end.half {
            Half::Watching(mut watching) => {
                watching.link.close()?;
                match has_stayed {
                    true => self.outcome.tallies.push(watching.tally),
                    false => self.outcome.departed.add(&watching.tally.finish(|_| None)),
                }
            }
            Half::Publishing(mut publishing) => publishing.publisher.link.close()?,
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> Result<(), Error> {
        let Self { drain, ends, epoch, outcome, .. } = self;
        let Some(end) = ends.get_mut(index).and_then(Option::as_mut) else { return Ok(()) };
        match &mut end.half {
            Half::Watching(watching) => {
                let Watching { link, tally, first } = &mut **watching;
                let server = link.server();
                drain.read_from(index, |at, datagram| {
                    let now = Instant::now();
                    link.take(now, server, datagram, &mut |packet| match packet {
                        Packet::Rtp(packet) => {
                            outcome.waited.record(now.saturating_duration_since(at));
                            tally.take(at, *epoch, packet, &mut outcome.latency);
                        }
                        Packet::Rtcp(compound) => {
                            rtcp::parse(compound, |incoming| {
                                if let Incoming::SenderReport { ssrc, ntp, .. } = incoming {
                                    tally.sender_report(now, ssrc, ntp);
                                }
                            });
                        }
                    });
                })?;
                if first.is_some()
                    && let Some(at) = tally.first()
                    && let Some(first) = first.take()
                {
                    first.send(at).ok();
                }
                // Steps of the handshake follow each other without a pause.
                if !link.is_connected() {
                    link.tick(Instant::now())?;
                }
            }
            Half::Publishing(publishing) => publishing.publisher.drive()?,
        }
        end.tell(Instant::now());
        Ok(())
    }

    fn next_due(&self) -> Instant {
        let mut due = self.next_tick;
        if !self.is_resting {
            for end in self.senders.iter().filter_map(|index| self.ends[*index].as_ref()) {
                if let Half::Publishing(publishing) = &end.half
                    && publishing.publisher.link.is_connected()
                {
                    due = due.min(publishing.next_sound);
                    if !self.pace.layers.is_empty() {
                        due = due.min(publishing.next_frame);
                    }
                }
            }
        }
        due
    }

    fn send_due(&mut self, now: Instant) -> Result<(), Error> {
        if self.is_resting {
            return Ok(());
        }
        let Self { ends, senders, pace, epoch, outcome, .. } = self;
        for index in senders.iter() {
            let Some(end) = ends[*index].as_mut() else { continue };
            if let Half::Publishing(publishing) = &mut end.half
                && publishing.publisher.link.is_connected()
            {
                publishing.send_sound(now, *epoch, pace, outcome)?;
                publishing.send_frames(now, *epoch, pace, outcome)?;
            }
        }
        Ok(())
    }

    fn tick(&mut self, now: Instant) -> Result<(), Error> {
        for index in 0..self.ends.len() {
            self.tick_one(index, now)?;
        }
        if now >= self.next_sum {
            self.next_sum = now + SUM_EVERY;
            let mut counts = self.outcome.departed;
            for end in self.ends.iter().flatten() {
                if let Half::Watching(watching) = &end.half {
                    counts.add(&watching.tally.counts());
                }
            }
            self.live.tell(&counts, self.outcome.packets);
        }
        Ok(())
    }

    /// Does what is due for one transport, and takes it out when it has ended.
    fn tick_one(&mut self, index: usize, now: Instant) -> Result<(), Error> {
        let Some(end) = self.ends[index].as_mut() else { return Ok(()) };
        match &mut end.half {
            Half::Watching(watching) => {
                let Watching { link, tally, .. } = &mut **watching;
                link.tick(now)?;
                let mut sent = Ok(());
                tally.feedback(now, |compound| {
                    if sent.is_ok() {
                        sent = link.send_rtcp(compound);
                    }
                });
                sent?;
            }
            Half::Publishing(publishing) => {
                publishing.publisher.drive()?;
                if now >= publishing.next_report && publishing.publisher.link.is_connected() {
                    publishing.next_report = now + REPORT_EVERY;
                    publishing.publisher.report_stamped()?;
                }
            }
        }
        end.tell(now);
        if end.link().closed().is_some() {
            self.outcome.broken += 1;
            self.live.broken.fetch_add(1, Ordering::Relaxed);
            self.remove(index, false)?;
        }
        Ok(())
    }
}

impl Publishing {
    fn send_sound(
        &mut self,
        now: Instant,
        epoch: Instant,
        pace: &Pace,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        if now < self.next_sound {
            return Ok(());
        }
        outcome.skipped += catch_up(&mut self.next_sound, now, SOUND_EVERY);
        if pace.speaks(self.number, now.saturating_duration_since(epoch)) {
            let stamp = stamp(self.number, 0, &mut self.sent, epoch, outcome);
            self.publisher.send_stamped_sound(level(stamp.number), SOUND, stamp)?;
        }
        Ok(())
    }

    fn send_frames(
        &mut self,
        now: Instant,
        epoch: Instant,
        pace: &Pace,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        if pace.layers.is_empty() || now < self.next_frame {
            return Ok(());
        }
        outcome.skipped += catch_up(&mut self.next_frame, now, pace.every);
        for (layer, shape) in pace.layers.iter().enumerate() {
            if !self.taken[layer] {
                continue;
            }
            let is_asked = self.publisher.take_keyframe_request(layer);
            let is_keyframe = std::mem::take(&mut self.is_fresh[layer]) || is_asked;
            let (number, sent) = (self.number, &mut self.sent);
            let size = shape.size;
            let picture = if is_keyframe { size.keyframe(number) } else { size.following() };
            let frame = Frame { layer, picture, packets: shape.packets, length: shape.length };
            let stamps = || stamp(number, 1 + layer, sent, epoch, outcome);
            self.publisher.send_stamped_frame(&frame, stamps)?;
        }
        Ok(())
    }
}

/// The mark of the next packet of a publisher's stream.
fn stamp(
    publisher: usize,
    stream: usize,
    sent: &mut [u32; 1 + LAYERS],
    epoch: Instant,
    outcome: &mut Outcome,
) -> Stamp {
    let at = epoch.elapsed();
    sent[stream] += 1;
    let number = sent[stream];
    let stream = (publisher * (1 + LAYERS) + stream) as u32;
    outcome.sent.insert(stream, Sent { number, at });
    outcome.packets += 1;
    Stamp { stream, number, sent: at }
}

/// How loud a packet of sound is.
fn level(number: u32) -> u8 {
    LEVELS[(number / SYLLABLE) as usize % LEVELS.len()]
}

/// Moves on to the next time; how many were left out because it is long past.
fn catch_up(next: &mut Instant, now: Instant, every: Duration) -> u64 {
    *next += every;
    if *next + MAX_LATE >= now {
        return 0;
    }
    let behind = now.saturating_duration_since(*next).as_nanos() / every.as_nanos().max(1);
    *next += every * behind as u32;
    behind as u64
}

/// How often transports do what is due: checks, feedback.
const TICK: Duration = Duration::from_millis(25);
const SUM_EVERY: Duration = Duration::from_millis(250);
const REPORT_EVERY: Duration = Duration::from_secs(1);
const SOUND_EVERY: Duration = Duration::from_millis(20);
/// What is later is made good by sending faster; what is later than that is left out, and said.
const MAX_LATE: Duration = Duration::from_millis(200);
/// Opus at 40 kbit/s.
const SOUND: usize = 100;
/// As loud as people speak (RFC 6464), over two syllables: a level that stands still is a hum to a server, and no voice.
const LEVELS: [u8; 8] = [36, 27, 22, 24, 40, 30, 20, 26];
/// Packets of sound for each of them.
const SYLLABLE: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use sfu::speakers::Speakers;

    #[test]
    fn whoever_speaks_for_minutes_is_a_voice_all_the_time() {
        let start = Instant::now();
        let mut speakers = Speakers::new();
        for number in 0..10_000 {
            let now = start + SOUND_EVERY * number;
            speakers.heard(now, 1, Some(level(number)), false, SOUND);
            let heard = speakers.poll(now).map(<[u32]>::to_vec);
            assert!(number < 50 || heard.is_none(), "{heard:?} at packet {number}");
        }
        assert_eq!(speakers.loudest().len(), 1);
    }

    #[test]
    fn what_is_a_little_late_is_made_good_and_what_is_very_late_is_left_out() {
        let start = Instant::now();
        let mut next = start;
        let every = Duration::from_millis(20);
        assert_eq!(catch_up(&mut next, start + Duration::from_millis(90), every), 0);
        assert_eq!(next, start + every);
        assert_eq!(catch_up(&mut next, start + Duration::from_millis(1_040), every), 50);
        assert_eq!(next, start + Duration::from_millis(1_040));
    }
}
