//! A bottleneck in virtual time, with senders before it and receivers behind.

use crate::bwe::{Bitrate, Estimator, Pacer};
use crate::rtcp::{Incoming, parse};
use crate::twcc::TransportCc;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// Random numbers that are the same for ever (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What all flows share.
#[derive(Clone)]
pub struct Link {
    pub bps: u64,
    /// One way.
    pub delay: Duration,
    /// What does not fit is dropped.
    pub queue_bytes: usize,
    pub loss: f64,
    /// Each packet is late by up to this.
    pub jitter: Duration,
    pub is_reordering: bool,
    /// Of feedback on the way back.
    pub feedback_loss: f64,
    /// Nothing passes in either direction.
    pub is_dead: bool,
}

impl Link {
    pub fn new(bps: u64) -> Self {
        Link {
            bps,
            delay: 30 * MS,
            // Half a second.
            queue_bytes: bps as usize / 16,
            loss: 0.0,
            jitter: Duration::ZERO,
            is_reordering: false,
            feedback_loss: 0.0,
            is_dead: false,
        }
    }
}

/// A sender of audio and video that follows the estimate, and its receiver.
pub struct Flow {
    pub estimator: Estimator,
    pacer: Pacer,
    pub wanted: u64,
    /// Rates between which the sender chooses; any rate up to the estimate if there are none.
    pub layers: Vec<u64>,
    pub starts_at: Duration,
    frames: VecDeque<usize>,
    next_frame: Instant,
    next_audio: Instant,
    receiver: TransportCc,
    pub sent_bytes: usize,
    pub media_bytes: usize,
    pub delivered_bytes: usize,
    /// Of the estimate, each 20 ms.
    pub samples: Vec<f64>,
}

impl Flow {
    pub fn new(wanted: u64) -> Self {
        let now = Instant::now();
        Flow {
            estimator: Estimator::new(),
            pacer: Pacer::new(super::super::START),
            wanted,
            layers: Vec::new(),
            starts_at: Duration::ZERO,
            frames: VecDeque::new(),
            next_frame: now,
            next_audio: now,
            receiver: TransportCc::new(),
            sent_bytes: 0,
            media_bytes: 0,
            delivered_bytes: 0,
            samples: Vec::new(),
        }
    }

    /// What the sender makes of its estimate.
    fn video_bps(&self) -> u64 {
        let audio = AUDIO_BYTES as u64 * 8 * 50;
        let allowed = self.estimator.estimate().0.min(self.wanted).saturating_sub(audio);
        if self.layers.is_empty() {
            return allowed;
        }
        self.layers.iter().copied().filter(|layer| *layer <= allowed).max().unwrap_or(0)
    }
}

struct Packet {
    flow: usize,
    sequence: u16,
    bytes: usize,
    entered: Instant,
}

/// When, in which order among those of the same moment, to which flow, under which sequence number,
/// and how many bytes.
type Arriving = (Instant, u64, usize, u16, usize);

/// Links, flows and what is on its way between them.
pub struct World {
    pub start: Instant,
    pub now: Instant,
    pub link: Link,
    pub flows: Vec<Flow>,
    random: Random,
    queue: VecDeque<Packet>,
    queued_bytes: usize,
    served_until: Instant,
    last_arrival: Instant,
    arriving: BinaryHeap<Reverse<Arriving>>,
    feedbacks: VecDeque<(Instant, usize, Vec<u8>)>,
    count: u64,
    /// The longest time that a packet waited in the queue since this was cleared.
    pub longest_wait: Duration,
    /// All waits, for shares of them.
    pub waits: Vec<Duration>,
}

impl World {
    pub fn new(seed: u64, link: Link, flows: Vec<Flow>) -> Self {
        let start = Instant::now();
        let mut world = World {
            start,
            now: start,
            link,
            flows,
            random: Random(seed),
            queue: VecDeque::new(),
            queued_bytes: 0,
            served_until: start,
            last_arrival: start,
            arriving: BinaryHeap::new(),
            feedbacks: VecDeque::new(),
            count: 0,
            longest_wait: Duration::ZERO,
            waits: Vec::new(),
        };
        for flow in &mut world.flows {
            flow.next_frame = start + flow.starts_at;
            flow.next_audio = start + flow.starts_at;
        }
        world
    }

    pub fn at(&self) -> f64 {
        (self.now - self.start).as_secs_f64()
    }

    pub fn estimate(&self) -> f64 {
        self.flows[0].estimator.estimate().0 as f64
    }

    /// Runs until `at`, calling `each` every 20 ms.
    pub fn run_to(&mut self, at: Duration, mut each: impl FnMut(&World)) {
        let mut tick = 0u64;
        while self.now < self.start + at {
            self.step();
            tick += 1;
            if tick.is_multiple_of(20) {
                for flow in &mut self.flows {
                    flow.samples.push(flow.estimator.estimate().0 as f64);
                }
                each(self);
            }
        }
    }

    /// Runs until `is_so` or `limit` is over; how long it took.
    pub fn run_until(&mut self, limit: Duration, is_so: impl Fn(&World) -> bool) -> Duration {
        let from = self.now;
        while self.now - from < limit && !is_so(self) {
            self.step();
        }
        self.now - from
    }

    fn step(&mut self) {
        self.now += MS;
        for flow in 0..self.flows.len() {
            if self.now >= self.start + self.flows[flow].starts_at {
                self.send_media(flow);
                self.send_padding(flow);
            }
        }
        self.serve();
        self.receive();
    }

    fn send_media(&mut self, index: usize) {
        let now = self.now;
        let flow = &mut self.flows[index];
        flow.estimator.set_wanted(now, Bitrate(flow.wanted));
        flow.pacer.set_estimate(now, flow.estimator.estimate());
        if flow.next_audio <= now {
            flow.next_audio += 20 * MS;
            self.send(index, AUDIO_BYTES);
        }
        let flow = &mut self.flows[index];
        if flow.next_frame <= now {
            flow.next_frame += 33 * MS;
            let share = 0.7 + 0.6 * self.random.share();
            let mut bytes = (flow.video_bps() as f64 / 8.0 * 0.033 * share) as usize;
            // What the pacer could not send for so long is not sent any more.
            let held: usize = flow.frames.iter().sum();
            if held > flow.estimator.estimate().bytes_in(200 * MS) {
                flow.frames.clear();
            }
            while bytes > 0 {
                flow.frames.push_back(bytes.min(1100));
                bytes = bytes.saturating_sub(1100);
            }
        }
        while self.flows[index].pacer.may_send(now)
            && let Some(bytes) = self.flows[index].frames.pop_front()
        {
            self.flows[index].media_bytes += bytes;
            self.send(index, bytes);
        }
    }

    fn send_padding(&mut self, index: usize) {
        let now = self.now;
        if !(now - self.start).as_millis().is_multiple_of(TICK_MS) {
            return;
        }
        let estimator = &mut self.flows[index].estimator;
        if estimator.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        estimator.handle_timeout(now);
        let padding = estimator.poll_padding(now);
        assert!(estimator.poll_timeout().is_none_or(|at| at > now), "nothing is left to do now");
        let Some(mut padding) = padding else { return };
        while padding > 0 {
            self.send(index, PADDING_BYTES);
            padding = padding.saturating_sub(PADDING_BYTES);
        }
    }

    fn send(&mut self, index: usize, bytes: usize) {
        let flow = &mut self.flows[index];
        let sequence = flow.estimator.sent(self.now, bytes);
        flow.pacer.sent(self.now, bytes);
        flow.sent_bytes += bytes;
        if self.link.is_dead || self.queued_bytes + bytes > self.link.queue_bytes {
            return;
        }
        self.queued_bytes += bytes;
        self.queue.push_back(Packet { flow: index, sequence, bytes, entered: self.now });
    }

    fn serve(&mut self) {
        while let Some(packet) = self.queue.front() {
            let begins = self.served_until.max(packet.entered);
            let done = begins + Bitrate(self.link.bps).time_for(packet.bytes);
            if done > self.now {
                return;
            }
            self.served_until = done;
            let wait = done - packet.entered;
            self.longest_wait = self.longest_wait.max(wait);
            self.waits.push(wait);
            let packet = self.queue.pop_front().expect("it was there");
            self.queued_bytes -= packet.bytes;
            if self.random.share() < self.link.loss {
                continue;
            }
            let late = self.link.jitter.mul_f64(self.random.share());
            let mut arrival = done + self.link.delay + late;
            if !self.link.is_reordering {
                arrival = arrival.max(self.last_arrival);
            }
            self.last_arrival = arrival;
            self.count += 1;
            let entry = (arrival, self.count, packet.flow, packet.sequence, packet.bytes);
            self.arriving.push(Reverse(entry));
        }
    }

    fn receive(&mut self) {
        while let Some(Reverse((at, _, flow, sequence, bytes))) = self.arriving.peek().copied()
            && at <= self.now
        {
            self.arriving.pop();
            let flow = &mut self.flows[flow];
            flow.receiver.arrived(at, sequence);
            flow.delivered_bytes += bytes;
        }
        for index in 0..self.flows.len() {
            let flow = &mut self.flows[index];
            if flow.receiver.next_deadline().is_none_or(|at| at > self.now) {
                continue;
            }
            let mut out = Vec::new();
            while flow.receiver.poll(self.now, 1, 2, &mut out) {
                let packet = std::mem::take(&mut out);
                if !self.link.is_dead && self.random.share() >= self.link.feedback_loss {
                    let late = self.link.jitter.mul_f64(self.random.share());
                    let arrival = self.now + self.link.delay + late;
                    let later = self.feedbacks.iter().rposition(|(at, ..)| *at <= arrival);
                    let place = later.map_or(0, |place| place + 1);
                    self.feedbacks.insert(place, (arrival, index, packet));
                }
            }
        }
        while let Some((at, _, _)) = self.feedbacks.front()
            && *at <= self.now
        {
            let (_, index, packet) = self.feedbacks.pop_front().expect("it was there");
            parse(&packet, |incoming| match incoming {
                Incoming::TransportCc(feedback) => {
                    self.flows[index].estimator.feedback(self.now, &feedback);
                }
                other => panic!("{other:?}"),
            });
        }
    }
}

/// How often the server looks after its subscribers.
const TICK_MS: u128 = 10;
const AUDIO_BYTES: usize = 100;
const PADDING_BYTES: usize = 250;
