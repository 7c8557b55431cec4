//! Several media threads as the control plane meets them, and what a fault in one costs the others.

use super::*;
use crate::recording::{self, RecordingConfig};
use protocol::{ParticipantId, RoomId};
use sfu::{CloseReason, Command, PeerId};
use signaling::records::Records;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64};
use std::time::Duration;
use uuid::Uuid;

/// On a busy machine everything takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(threads: usize, faults: Faults) -> MediaConfig {
    let recording = recording::prepare(RecordingConfig {
        records: Records::new(std::env::temp_dir()),
        template: recorder::names::Template::parse("{person}-{source}.{ext}").expect("a good one"),
        min_free_bytes: 0,
    });
    MediaConfig {
        threads,
        port: 0,
        single_port: true,
        spread: Spread::Always,
        listens: true,
        shared_port: None,
        addresses: Vec::new(),
        with_loopback: true,
        batched: true,
        tap: recording.0.tap(),
        relays: None,
        moved: Arc::new(|_| {}),
        faults,
    }
}

/// The control plane's part.
struct Control {
    media: Media,
    events: MediaEvents,
    runtime: tokio::runtime::Runtime,
    next_peer: u64,
}

impl Control {
    fn start(config: &MediaConfig) -> Self {
        let (media, events) = start(config).expect("the system has threads and ports");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { media, events, runtime: runtime.expect("the system has timers"), next_peer: 0 }
    }

    fn send(&self, command: Command) {
        self.media.plane().send(command).expect("there is room");
    }

    fn next(&mut self) -> Event {
        let event = async { tokio::time::timeout(PATIENCE, self.events.recv()).await };
        self.runtime.block_on(event).expect("an event in time").expect("threads run")
    }

    /// Gives somebody a transport; which one, and on which plane it is.
    fn subscribe(&mut self, room: RoomId, who: u128) -> (PeerId, PlaneId) {
        self.next_peer += 1;
        let peer = PeerId(self.next_peer);
        let participant = ParticipantId(Uuid::from_u128(who));
        self.send(Command::Subscribe { peer, room, participant, audio_slots: 1, video_slots: 1 });
        loop {
            if let Event::Offered { peer: of, sdp } = self.next()
                && of == peer
            {
                return (peer, plane_of(&sdp));
            }
        }
    }

    /// Waits until these transports are closed by a fault, and sees that no other is.
    fn expect_lost(&mut self, mut lost: Vec<PeerId>) {
        while !lost.is_empty() {
            if let Event::Closed { peer, reason } = self.next() {
                assert_eq!(reason, CloseReason::Fault);
                let at = lost.iter().position(|known| *known == peer);
                lost.remove(at.expect("nobody else is thrown out"));
            }
        }
    }
}

fn plane_of(sdp: &str) -> PlaneId {
    let ufrag = sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("a name");
    PlaneId(u16::from(ufrag.as_bytes()[0] - b'A'))
}

fn room(number: u128) -> RoomId {
    RoomId(Uuid::from_u128(number))
}

/// What a thread is made to do: nothing, panic once, or stand still as long as it is told to.
const WELL: u8 = 0;
const PANIC: u8 = 1;
const STAND_STILL: u8 = 2;

fn fault_on(plane: PlaneId) -> (Faults, Arc<AtomicU8>, Arc<AtomicU64>) {
    let (what, turns) = (Arc::new(AtomicU8::new(WELL)), Arc::new(AtomicU64::new(0)));
    let (told, counted) = (what.clone(), turns.clone());
    let fault = move |at: PlaneId| {
        if at != plane {
            return;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        match told.load(Ordering::Relaxed) {
            PANIC => {
                told.store(WELL, Ordering::Relaxed);
                panic!("this thread was told to");
            }
            STAND_STILL => {
                while told.load(Ordering::Relaxed) == STAND_STILL {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            _ => {}
        }
    };
    (Faults::of(Arc::new(fault)), what, turns)
}

/// Six people of one room on three planes, two on each.
fn six(control: &mut Control) -> BTreeMap<PlaneId, Vec<(PeerId, u128)>> {
    let mut peers: BTreeMap<PlaneId, Vec<(PeerId, u128)>> = BTreeMap::new();
    for who in 0..6 {
        let (peer, plane) = control.subscribe(room(1), who);
        peers.entry(plane).or_default().push((peer, who));
    }
    assert_eq!(peers.len(), 3);
    assert!(peers.values().all(|peers| peers.len() == 2));
    peers
}

fn only_peers(peers: &[(PeerId, u128)]) -> Vec<PeerId> {
    peers.iter().map(|(peer, _)| *peer).collect()
}

#[test]
fn a_fault_in_one_thread_costs_its_own_people_and_they_come_back() {
    let (faults, what, _) = fault_on(PlaneId(1));
    let mut control = Control::start(&config(3, faults));
    let peers = six(&mut control);
    what.store(PANIC, Ordering::Relaxed);
    control.expect_lost(only_peers(&peers[&PlaneId(1)]));
    // The others go on: what they have can be asked for again, which a transport that is gone is refused.
    for plane in [PlaneId(0), PlaneId(2)] {
        for &(peer, who) in &peers[&plane] {
            let participant = ParticipantId(Uuid::from_u128(who));
            let (audio_slots, video_slots) = (2, 2);
            let room = room(1);
            control.send(Command::Subscribe { peer, room, participant, audio_slots, video_slots });
            let Event::Offered { peer: of, sdp } = control.next() else { panic!("no offer") };
            assert_eq!((of, plane_of(&sdp)), (peer, plane));
        }
    }
    // Its own come back, and so does the thread: nobody new is kept from it.
    for &(_, who) in &peers[&PlaneId(1)] {
        control.subscribe(room(1), who);
    }
    let end = Instant::now() + PATIENCE;
    let mut who = 100;
    while control.subscribe(room(2), who).1 != PlaneId(1) {
        assert!(Instant::now() < end, "it takes nobody");
        who += 1;
    }
    control.media.stop();
}

#[test]
fn a_thread_that_stands_still_is_given_up_and_begins_anew_when_it_goes_on() {
    let (faults, what, turns) = fault_on(PlaneId(2));
    let mut control = Control::start(&config(3, faults));
    let peers = six(&mut control);
    what.store(STAND_STILL, Ordering::Relaxed);
    control.expect_lost(only_peers(&peers[&PlaneId(2)]));
    for who in 100..112 {
        let (_, plane) = control.subscribe(room(1), who);
        assert_ne!(plane, PlaneId(2), "it takes nobody while it stands still");
    }
    // A report comes without its part.
    control.send(Command::Report { room: room(1), request: 7 });
    let report = loop {
        if let Event::Reported { request: 7, report, .. } = control.next() {
            break report;
        }
    };
    assert_eq!(report.participants.len(), 16, "4 of those before, 12 of those after");
    what.store(WELL, Ordering::Relaxed);
    let before = turns.load(Ordering::Relaxed);
    let end = Instant::now() + PATIENCE;
    let mut who = 200;
    while control.subscribe(room(2), who).1 != PlaneId(2) {
        assert!(Instant::now() < end, "it takes nobody, {before} turns before");
        who += 1;
    }
    control.media.stop();
}

#[test]
fn a_report_of_a_room_on_several_planes_is_one() {
    let mut control = Control::start(&config(2, Faults::default()));
    for who in 0..5 {
        control.subscribe(room(1), who);
    }
    control.send(Command::Report { room: room(1), request: 3 });
    control.send(Command::Report { room: room(9), request: 4 });
    let mut reports = BTreeMap::new();
    while reports.len() < 2 {
        if let Event::Reported { request, report, .. } = control.next() {
            let people = report.participants.iter();
            let people: Vec<u128> = people.map(|p| p.participant_id.0.as_u128()).collect();
            assert!(reports.insert(request, people).is_none(), "a report comes once");
        }
    }
    assert_eq!(reports[&3], [0, 1, 2, 3, 4]);
    assert!(reports[&4].is_empty());
}

#[test]
fn threads_have_a_port_each_or_share_one() {
    let shared = Control::start(&config(3, Faults::default()));
    let port = shared.media.ports[0];
    assert_eq!(shared.media.ports, [port]);
    let mut own =
        Control::start(&MediaConfig { single_port: false, ..config(3, Faults::default()) });
    let mut ports = own.media.ports.clone();
    assert_eq!(ports.len(), 3);
    // Each transport is told the port of its plane and no other.
    for who in 0..3 {
        own.next_peer += 1;
        let peer = PeerId(own.next_peer);
        let participant = ParticipantId(Uuid::from_u128(who));
        let room = room(1);
        own.send(Command::Subscribe { peer, room, participant, audio_slots: 1, video_slots: 0 });
        let sdp = loop {
            if let Event::Offered { sdp, .. } = own.next() {
                break sdp;
            }
        };
        let of_plane = ports[usize::from(plane_of(&sdp).0)];
        let told = sdp.lines().filter(|line| line.starts_with("a=candidate:"));
        for line in told {
            assert_eq!(line.split(' ').nth(5), Some(of_plane.to_string().as_str()), "{line}");
        }
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3);
}
