//! A server that has too much to do: real packets make it so, and what it does about that reaches those inside and those who come.

use protocol::media::SlotReason;
use protocol::{ClientMessage, SlotBinding};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::{Error, Person, Publication, Publisher, Received, Server, Subscriber};

/// Between frames.
const FRAME: Duration = Duration::from_millis(40);
/// Steps take two seconds each and are taken back after ten; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// One who sends a camera in two sizes, and several who look.
struct Stage {
    server: Server,
    publisher: Publisher,
    /// Packets of each frame of the large size.
    large: usize,
    started: Instant,
    picture: u16,
    people: Vec<(Person, Subscriber)>,
    slots: Vec<SlotBinding>,
    _anna: Person,
    received: Vec<Received>,
}

impl Stage {
    fn with(settings: &[(&str, &str)], watchers: usize) -> Self {
        let all = [("SAVE_WHEN_BUSY", "true")].iter().chain(settings).copied().collect::<Vec<_>>();
        let server =
            Server::start(Path::new(env!("CARGO_BIN_EXE_veche")), &all).expect("it starts");
        let (mut anna, room) = Person::host(server.api, "Anna").expect("she may");
        let publication = Publication { layers: 2, ..Publication::default() };
        let publisher = anna.publish(publication).expect("she may publish");
        let watch = |at: usize| {
            let mut person = Person::guest(server.api, &format!("Guest {at}"), &room)?;
            let subscriber = person.subscribe(1, 1)?;
            Ok((person, subscriber))
        };
        let people: Result<Vec<_>, Error> = (0..watchers).map(watch).collect();
        Self {
            server,
            publisher,
            large: 1,
            started: Instant::now(),
            picture: 0,
            people: people.expect("all get in"),
            slots: Vec::new(),
            _anna: anna,
            received: Vec::new(),
        }
    }

    /// Sends and receives in real time until it is so.
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let (end, mut next) = (Instant::now() + PATIENCE, Instant::now());
        while !is_so(self) {
            let busy = || self.server.metric("veche_media_pressed");
            assert!(Instant::now() < end, "no {what}: {:?}, busy {:?}", self.slots, busy());
            self.turn().expect("media flows");
            next = (next + FRAME).max(Instant::now());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    fn turn(&mut self) -> Result<(), Error> {
        self.publisher.drive()?;
        let at = self.started.elapsed();
        self.publisher.send_audio(20, 80)?;
        self.picture = self.picture.wrapping_add(1) & 0x7fff;
        for (layer, packets) in [(0, 1), (1, self.large)] {
            let is_key = self.publisher.take_keyframe_request(layer);
            let payloads: Vec<Vec<u8>> =
                (0..packets).map(|part| self.payload(layer, part, is_key)).collect();
            self.publisher.send_layer(layer, at, &payloads)?;
        }
        // What the others get nobody reads: they are there to be sent to.
        for (_, subscriber) in &mut self.people[1..] {
            subscriber.link.tick(Instant::now())?;
        }
        self.people[0].1.drive()?;
        self.received.extend(self.people[0].1.drain());
        let person = &mut self.people[0].0;
        let is_news =
            |m: &protocol::ServerMessage| matches!(m, protocol::ServerMessage::SlotsChanged { .. });
        while let Some(protocol::ServerMessage::SlotsChanged { slots, .. }) =
            person.socket.take(is_news)?
        {
            self.slots = slots;
        }
        Ok(())
    }

    /// A piece of a VP8 picture of 640 or 1,280 pixels (RFC 7741 §4.2, RFC 6386 §9.1).
    fn payload(&self, layer: usize, part: usize, is_key: bool) -> Vec<u8> {
        let [high, low] = (self.picture | 0x8000).to_be_bytes();
        let mut payload = vec![0x80 | if part == 0 { 0x10 } else { 0 }, 0x80, high, low];
        if part == 0 {
            let [width, height]: [u16; 2] = [[640, 360], [1_280, 720]][layer];
            payload.extend([u8::from(!is_key), 0, 0, 0x9d, 0x01, 0x2a]);
            payload.extend(width.to_le_bytes().into_iter().chain(height.to_le_bytes()));
        }
        payload.resize(100, 7);
        payload
    }

    /// Whether the first who looks is shown a picture so wide, and told why.
    fn shows(&self, width: u16, why: SlotReason) -> bool {
        let is_it = |slot: &SlotBinding| {
            slot.reason == why && slot.layer.as_ref().is_some_and(|l| l.width == Some(width))
        };
        self.slots.iter().any(is_it)
    }

    fn metric(&self, name: &str) -> f64 {
        self.server.metric(name).expect("it answers")
    }

    fn ticket_of(&self, token: &str) -> Result<String, Error> {
        self.server.api.ticket(token, &self.people[0].0.slug, None)
    }

    fn is_full(&self, token: &str) -> bool {
        match self.ticket_of(token) {
            Err(Error::Refused { status: 503, body }) => body.contains("server_full"),
            _ => false,
        }
    }
}

#[test]
fn too_many_packets_cost_those_inside_size_and_newcomers_the_door_until_there_is_room() {
    // Four who look at large pictures of four packets get 500 a second in all, with the sound; of small ones 200.
    let mut stage = Stage::with(&[("MAX_PACKETS", "260"), ("MAX_BUSY_PERCENT", "100")], 4);
    let late = stage.server.api.guest("Late").expect("signing in is no join").access_token;
    stage.until("the large picture", |stage| stage.shows(1_280, SlotReason::Best));
    assert_eq!(stage.metric("veche_saving"), 0.0);
    stage.ticket_of(&late).expect("there is room");
    stage.large = 4;
    // The door first: it is shut when those inside have lost nothing that they would notice.
    stage.until("the door", |stage| stage.is_full(&late));
    assert!(stage.shows(1_280, SlotReason::Best), "{:?}", stage.slots);
    stage.until("a smaller picture", |stage| stage.shows(640, SlotReason::Server));
    // It was enough, and all goes on with it; whoever was inside comes back in.
    stage.received.clear();
    let from = Instant::now();
    stage.until("three seconds more", |_| from.elapsed() > Duration::from_secs(3));
    assert_eq!(stage.metric("veche_saving"), 2.0);
    assert!(stage.is_full(&late));
    let count = |kind| stage.received.iter().filter(|packet| packet.kind == kind).count();
    let (sounds, pictures) = (count(protocol::Kind::Audio), count(protocol::Kind::Video));
    assert!(sounds > 30 && pictures > 30, "{sounds} sounds, {pictures} pictures");
    let (person, _) = stage.people.pop().expect("there are four");
    let (token, resume) = (person.token.clone(), person.resume.clone());
    let back = Person::enter(stage.server.api, token, &person.slug, Some(resume));
    assert_eq!(back.expect("they hold their place").id, person.id);
    assert!(stage.metric("veche_joins_refused_total{shortage=\"packets\"}") >= 2.0);
    // Less to do: what was saved comes back, and in the end the door opens.
    stage.large = 1;
    let mut one = stage.people.split_off(1);
    for (person, _) in &mut one {
        person.socket.send(ClientMessage::Leave).expect("it is open");
    }
    stage.until("the large picture again", |stage| stage.shows(1_280, SlotReason::Best));
    assert_eq!(stage.metric("veche_saving"), 1.0);
    assert!(stage.is_full(&late), "not before the last step is taken back");
}

#[test]
fn a_media_thread_that_works_more_than_it_may_shuts_the_door_and_saves() {
    let mut stage = Stage::with(&[("MAX_BUSY_PERCENT", "3")], 8);
    let late = stage.server.api.guest("Late").expect("signing in is no join").access_token;
    stage.large = 40;
    stage.until("the door", |stage| stage.is_full(&late));
    assert!(stage.metric("veche_media_pressed") > 0.0);
    assert!(stage.metric("veche_media_thread_busy_ratio") > 0.0);
    stage.until("a smaller picture", |stage| {
        stage.slots.iter().any(|slot| slot.reason == SlotReason::Server)
    });
    assert!(stage.metric("veche_joins_refused_total{shortage=\"time\"}") >= 1.0);
}
