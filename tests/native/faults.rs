//! A media thread that crashes or stands still while media flows: its people are told and come back, and those of the other one
//! go on. Faults are caused by files that a binary built for people knows nothing of (`src/media/fault.rs`).
#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "the helpers here are tests too")]

use crate::planes::{on_thread, spread_server, until};
use crate::{FRAME, both_kinds, flow};
use protocol::{ClientMessage, Kind, ServerMessage};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use testkit::http::Request;
use testkit::socket::PATIENCE;
use testkit::{Person, Publication, Publisher, Received, Server, Subscriber};

/// What nobody may miss another's pictures for, beside what the test itself stood still. A thread is found to stand still
/// within three quarters of that.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// Bytes of a picture of the first one; those of the others are longer, and say whose they are.
const PICTURE: usize = 600;
/// Sees all others.
const SLOTS: u8 = 6;

/// Somebody who sends and receives.
struct Seat {
    person: Person,
    publisher: Publisher,
    subscriber: Subscriber,
    answered: u64,
    received: Vec<Received>,
}

/// A room whose people are on two threads in turns: who has an even number on the first one.
struct Meeting {
    server: Server,
    faults: TempDir,
    seats: Vec<Seat>,
    /// The longest time between two frames, when the machine had others to run.
    stood: Duration,
}

impl Meeting {
    fn of(names: &[&str]) -> Self {
        let faults = tempfile::tempdir().unwrap();
        let folder = faults.path().to_str().unwrap();
        let server = spread_server(&[("VECHE_TEST_FAULTS", folder)]);
        let (host, room) = Person::host(server.api, names[0]).unwrap();
        let guests = names[1..].iter().map(|name| Person::guest(server.api, name, &room).unwrap());
        let people: Vec<Person> = std::iter::once(host).chain(guests).collect();
        let seats = people.into_iter().map(Seat::of).collect();
        let mut meeting = Self { server, faults, seats, stood: Duration::ZERO };
        let half = names.len() as f64;
        on_thread(&meeting.server, 0, half);
        on_thread(&meeting.server, 1, half);
        meeting.all_see_all();
        meeting
    }

    /// Sends and receives in real time until it is `enough`.
    fn flow(&mut self, what: &str, mut enough: impl FnMut(&mut [Seat]) -> bool) {
        let (end, mut last) = (Instant::now() + PATIENCE, Instant::now());
        let mut next = last;
        while !enough(&mut self.seats) {
            self.stood = self.stood.max(std::mem::replace(&mut last, Instant::now()).elapsed());
            assert!(last < end, "waited in vain for {what}");
            for (at, seat) in self.seats.iter_mut().enumerate() {
                seat.turn(at);
            }
            next = (next + FRAME).max(last);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Everybody gets pictures and sound of everybody else from now on.
    fn all_see_all(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.received.clear());
        self.flow("everybody's media at everybody", |seats| {
            let count = seats.len();
            seats.iter().enumerate().all(|(at, seat)| {
                let sounds = seat.received.iter().filter(|p| p.kind == Kind::Audio).count();
                (0..count).all(|of| of == at || seat.pictures_of(of).count() >= 10) && sounds >= 10
            })
        });
    }

    /// Waits until somebody's transports are closed, as they are told.
    fn told_that_it_was_lost(&mut self, whose: &[usize]) {
        let mut told = vec![0; self.seats.len()];
        self.flow("word of what was lost", |seats| {
            for &at in whose {
                let is_closed = |m: &ServerMessage| matches!(m, ServerMessage::MediaClosed { .. });
                while let Some(message) = seats[at].person.socket.take(is_closed).unwrap() {
                    let ServerMessage::MediaClosed { reason, .. } = message else { unreachable!() };
                    assert_eq!(reason, "a fault in the server");
                    told[at] += 1;
                }
            }
            whose.iter().all(|at| told[*at] == 2)
        });
    }

    fn come_back(&mut self, whose: &[usize]) {
        for &at in whose {
            self.seats[at].negotiate();
        }
        self.all_see_all();
    }

    /// Those who were not hit have seen each other all the time since `from`, and nobody has told them anything.
    fn assert_untouched(&mut self, whose: &[usize], from: Instant) {
        let now = Instant::now();
        for &at in whose {
            let told = self.seats[at].person.socket.drain().unwrap();
            let is_closed = |m: &ServerMessage| matches!(m, ServerMessage::MediaClosed { .. });
            assert!(!told.iter().any(is_closed), "{told:?}");
            for &of in whose.iter().filter(|of| **of != at) {
                let mut gap = Duration::ZERO;
                let mut last = from;
                let pictures = self.seats[at].pictures_of(of).map(|packet| packet.at);
                for next in pictures.filter(|at| *at > from).chain([now]) {
                    gap = gap.max(next - last);
                    last = next;
                }
                let longest = LONGEST_GAP + self.stood;
                assert!(gap < longest, "{at} missed {of} for {gap:?}, at most {longest:?}");
            }
        }
    }

    /// Makes something go wrong soon; a file that is there until then, or until it is removed.
    fn cause(&self, fault: &str) -> PathBuf {
        let file = self.faults.path().join(fault);
        std::fs::write(&file, "").unwrap();
        file
    }

    /// Everybody goes; nothing is left of them. The server's log.
    fn end(self) -> String {
        let Self { server, mut seats, .. } = self;
        for seat in &mut seats {
            seat.person.socket.send(ClientMessage::Leave).unwrap();
        }
        let names = ["veche_media_transports", "veche_media_paths", "veche_media_rooms"];
        for name in names.into_iter().chain(["veche_media_rooms_spread", "veche_sockets"]) {
            until(&server, name, |left| left == 0.0);
        }
        on_thread(&server, 0, 0.0);
        on_thread(&server, 1, 0.0);
        let (code, log) = server.stop().unwrap();
        assert_eq!(code, Some(0), "{log}");
        log
    }
}

impl Seat {
    fn of(mut person: Person) -> Self {
        let publisher = person.publish(Publication::default()).unwrap();
        let subscriber = person.subscribe(SLOTS, SLOTS).unwrap();
        Self { person, publisher, subscriber, answered: 0, received: Vec::new() }
    }

    /// New transports, as browsers make them when theirs are closed.
    fn negotiate(&mut self) {
        self.publisher = self.person.publish(Publication::default()).unwrap();
        self.subscriber = self.person.subscribe(SLOTS, SLOTS).unwrap();
        self.answered = 0;
    }

    fn turn(&mut self, at: usize) {
        self.publisher.drive().unwrap();
        let asked = self.publisher.asked().keyframes;
        // Where a transport is closed nobody reads it, which is no concern of this loop.
        self.publisher.send_audio(20, 80).unwrap();
        self.publisher.send_frame(asked > self.answered, 1, PICTURE + at).unwrap();
        self.answered = asked;
        self.subscriber.drive().unwrap();
        self.received.extend(self.subscriber.drain());
    }

    fn pictures_of(&self, of: usize) -> impl Iterator<Item = &Received> {
        self.received
            .iter()
            .filter(move |p| p.kind == Kind::Video && p.payload.len() == PICTURE + of)
    }
}

#[test]
fn a_thread_that_crashes_while_media_flows_costs_its_own_people_a_moment_and_the_others_nothing() {
    let mut meeting = Meeting::of(&["Anna", "Boris", "Clara", "Dmitri"]);
    let (there, hit) = ([0, 2], [1, 3]);
    let from = Instant::now();
    meeting.cause("panic-1");
    meeting.told_that_it_was_lost(&hit);
    meeting.flow("a second more", |_| from.elapsed() > Duration::from_secs(1));
    meeting.assert_untouched(&there, from);
    assert_eq!(
        meeting.server.metric("veche_media_threads_lost_total{reason=\"fault\"}").unwrap(),
        1.0
    );
    // The thread is there again, and so are they.
    meeting.come_back(&hit);
    on_thread(&meeting.server, 0, 4.0);
    on_thread(&meeting.server, 1, 4.0);
    // The next time it is the thread that holds the room's home.
    let from = Instant::now();
    meeting.cause("panic-0");
    meeting.told_that_it_was_lost(&there);
    meeting.flow("a second more", |_| from.elapsed() > Duration::from_secs(1));
    meeting.assert_untouched(&hit, from);
    meeting.come_back(&there);
    assert_eq!(meeting.server.metric("veche_media_threads_lost_total").unwrap(), 2.0);
    let log = meeting.end();
    assert!(log.contains("fault in a media thread: its transports are closed"), "{log}");
}

#[test]
fn a_thread_that_crashes_again_and_again_stays_away_and_all_go_on_without_it() {
    let mut meeting = Meeting::of(&["Anna", "Boris", "Clara", "Dmitri"]);
    let (there, hit) = ([0, 2], [1, 3]);
    let from = Instant::now();
    for _ in 0..6 {
        let panics = meeting.cause("panic-1");
        meeting.flow("the next crash", |_| !panics.exists());
    }
    meeting.told_that_it_was_lost(&hit);
    meeting.flow("a second more", |_| from.elapsed() > Duration::from_secs(1));
    meeting.assert_untouched(&there, from);
    meeting.come_back(&hit);
    on_thread(&meeting.server, 0, 8.0);
    on_thread(&meeting.server, 1, 0.0);
    assert_eq!(meeting.server.metric("veche_media_transports").unwrap(), 8.0);
    // Whatever is dealt to a socket that nobody reads would be lost for as long as the server runs.
    let from = Instant::now();
    meeting.flow("three seconds more", |_| from.elapsed() > Duration::from_secs(3));
    meeting.assert_untouched(&[0, 1, 2, 3], from);
    let log = meeting.end();
    assert!(log.contains("too many faults and ends"), "{log}");
}

#[test]
fn players_go_on_when_the_thread_of_an_encoder_crashes_and_it_comes_back() {
    let faults = tempfile::tempdir().unwrap();
    let server = spread_server(&[("VECHE_TEST_FAULTS", faults.path().to_str().unwrap())]);
    let (mut anna, _) = Person::host(server.api, "Anna").unwrap();
    let (mut encoder, publishing) = anna.whip(Publication::default()).unwrap();
    let (mut player, _watching) = anna.whep().unwrap();
    flow(&mut encoder, &mut player, "an encoder's media", both_kinds(20)).unwrap();
    on_thread(&server, 0, 1.0);
    on_thread(&server, 1, 1.0);
    std::fs::write(faults.path().join("panic-0"), "").unwrap();
    until(&server, "veche_media_threads_lost_total", |lost| lost == 1.0);
    // The room is told that it is gone, and its session is over.
    let is_gone = |m: &ServerMessage| matches!(m, ServerMessage::MemberLeft { .. });
    anna.socket.wait_for(is_gone).unwrap();
    let end = Request { method: "DELETE", path: &publishing, token: None, body: None };
    assert_eq!(server.api.call(&end).unwrap().status, 404);
    let (mut encoder, _publishing) = anna.whip(Publication::default()).unwrap();
    flow(&mut encoder, &mut player, "media again, by the transport of before", both_kinds(20))
        .unwrap();
    on_thread(&server, 0, 1.0);
    on_thread(&server, 1, 1.0);
}

#[test]
fn a_thread_that_stands_still_for_a_moment_loses_nobody_and_holds_nobody_else_up() {
    let mut meeting = Meeting::of(&["Anna", "Boris", "Clara", "Dmitri"]);
    let from = Instant::now();
    let still = meeting.cause("still-1");
    meeting.flow("two seconds", |_| from.elapsed() > Duration::from_secs(2));
    meeting.assert_untouched(&[0, 2], from);
    std::fs::remove_file(still).unwrap();
    meeting.all_see_all();
    // And what is dealt to its socket again comes to whomever it is for.
    let from = Instant::now();
    meeting.flow("two seconds more", |_| from.elapsed() > Duration::from_secs(2));
    meeting.assert_untouched(&[0, 1, 2, 3], from);
    on_thread(&meeting.server, 0, 4.0);
    on_thread(&meeting.server, 1, 4.0);
    assert_eq!(meeting.server.metric("veche_media_threads_lost_total").unwrap(), 0.0);
    let log = meeting.end();
    for line in ["a media thread stands still", "a media thread turns again"] {
        assert!(log.contains(line), "no {line:?} in {log}");
    }
}

#[test]
fn a_thread_that_stands_still_while_media_flows_is_given_up_and_the_others_miss_nobody() {
    let mut meeting = Meeting::of(&["Anna", "Boris", "Clara", "Dmitri", "Eva", "Filip"]);
    let (there, hit) = ([0, 2, 4], [1, 3, 5]);
    let from = Instant::now();
    let still = meeting.cause("still-1");
    meeting.told_that_it_was_lost(&hit);
    meeting.assert_untouched(&there, from);
    assert_eq!(
        meeting.server.metric("veche_media_threads_lost_total{reason=\"stuck\"}").unwrap(),
        1.0
    );
    // As long as it stands still they are on the other one.
    meeting.come_back(&hit);
    on_thread(&meeting.server, 0, 12.0);
    // When it goes on it takes part again.
    std::fs::remove_file(still).unwrap();
    on_thread(&meeting.server, 1, 0.0);
    for at in hit {
        let seat = &mut meeting.seats[at];
        seat.person.socket.send(ClientMessage::Leave).unwrap();
    }
    on_thread(&meeting.server, 0, 6.0);
    let slug = meeting.seats[0].person.slug.clone();
    for at in hit {
        let token = meeting.seats[at].person.token.clone();
        let person = Person::enter(meeting.server.api, token, &slug, None).unwrap();
        meeting.seats[at] = Seat::of(person);
    }
    on_thread(&meeting.server, 1, 6.0);
    meeting.all_see_all();
    let log = meeting.end();
    for line in
        ["a media thread stands still", "its transports are closed and go to others", "turns again"]
    {
        assert!(log.contains(line), "no {line:?} in {log}");
    }
}
