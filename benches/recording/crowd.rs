//! Rooms full of people who speak and film, and which can be recorded.

use protocol::room::Room;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::http::Request;
use testkit::{Api, Error, Person, Publication, Publisher, Server};

/// 30 pictures a second of 6,250 bytes are 1.5 Mbit/s.
const FRAME_EVERY: Duration = Duration::from_micros(33_333);
const FRAME_BYTES: usize = 6_250;
const FRAME_PACKETS: usize = 6;
/// A keyframe is larger, and comes every four seconds and when it is asked for.
const KEYFRAME_PACKETS: usize = 24;
const KEYFRAME_EVERY: u32 = 120;
const SOUND_EVERY: Duration = Duration::from_millis(20);
const SOUND_BYTES: usize = 80;
/// What one person sends, in Mbit/s.
pub const MEGABITS: f64 = 1.5 + 0.032;
/// How often sockets are read, so that pings are answered.
const READ_EVERY: Duration = Duration::from_millis(500);
/// Longer than the end of a recording takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everybody.
pub struct Crowd {
    api: Api,
    /// Who may record, and the room.
    rooms: Vec<(String, Room)>,
    running: Vec<String>,
    members: Vec<Member>,
    picture: Vec<Vec<u8>>,
    keyframe: Vec<Vec<u8>>,
    sent: u64,
    is_over: Arc<AtomicBool>,
    reader: JoinHandle<Result<(), Error>>,
}

struct Member {
    publisher: Publisher,
    frames: u32,
    sounds: u32,
    keyframes: u64,
}

impl Crowd {
    /// So many people each into so many rooms.
    pub fn gather(server: &Server, rooms: usize, people: usize) -> Result<Self, Error> {
        let (mut hosts, mut members, mut present) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rooms {
            let (host, room) = Person::host(server.api, "Person")?;
            let token = host.token.clone();
            let mut own = vec![host];
            // Presences of one account: the limits for one address are not what is measured.
            while own.len() < people {
                own.push(Person::enter(server.api, token.clone(), &room.slug, None)?);
            }
            for person in &mut own {
                let publisher = person.publish(Publication::default())?;
                members.push(Member { publisher, frames: 0, sounds: 0, keyframes: 0 });
                person.socket.drain()?;
            }
            hosts.push((token, room));
            present.extend(own);
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let reader = {
            let is_over = is_over.clone();
            std::thread::Builder::new().name("sockets".into()).spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    for person in &mut present {
                        person.socket.drain()?;
                    }
                    std::thread::sleep(READ_EVERY);
                }
                Ok(())
            })?
        };
        Ok(Self {
            api: server.api,
            rooms: hosts,
            running: Vec::new(),
            members,
            picture: picture(false),
            keyframe: picture(true),
            sent: 0,
            is_over,
            reader,
        })
    }

    /// Bytes of payload that were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Everybody sends, one after the other, as people's clocks do; how long it really took.
    pub fn run(&mut self, time: Duration) -> Result<Duration, Error> {
        let start = Instant::now();
        let count = self.members.len() as u32;
        let (mut sounds, mut frames) = (0u32, 0u32);
        while start.elapsed() < time {
            let sound_at =
                start + SOUND_EVERY * (sounds / count) + SOUND_EVERY / count * (sounds % count);
            let frame_at =
                start + FRAME_EVERY * (frames / count) + FRAME_EVERY / count * (frames % count);
            std::thread::sleep(sound_at.min(frame_at).saturating_duration_since(Instant::now()));
            if sound_at <= frame_at {
                self.speak((sounds % count) as usize)?;
                sounds += 1;
            } else {
                self.film((frames % count) as usize)?;
                frames += 1;
            }
        }
        Ok(start.elapsed())
    }

    fn speak(&mut self, who: usize) -> Result<(), Error> {
        let member = &mut self.members[who];
        member.publisher.send_sound(SOUND_EVERY * member.sounds, &[0x78; SOUND_BYTES])?;
        member.sounds += 1;
        self.sent += SOUND_BYTES as u64;
        Ok(())
    }

    fn film(&mut self, who: usize) -> Result<(), Error> {
        let member = &mut self.members[who];
        let asked = member.publisher.asked().keyframes;
        let is_asked = std::mem::replace(&mut member.keyframes, asked) < asked;
        let is_due = member.frames.is_multiple_of(KEYFRAME_EVERY);
        let picture = if is_asked || is_due { &self.keyframe } else { &self.picture };
        member.publisher.send_picture(FRAME_EVERY * member.frames, picture)?;
        if member.frames.is_multiple_of(8) {
            member.publisher.drive()?;
        }
        member.frames += 1;
        self.sent += picture.iter().map(|payload| payload.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Begins to record every room.
    pub fn record(&mut self) -> Result<(), Error> {
        for (token, room) in &self.rooms {
            let path = format!("/api/v1/rooms/{}/recordings", room.slug);
            let begun = call(self.api, token, "POST", &path)?;
            self.running.push(begun["id"].as_str().unwrap_or_default().to_owned());
        }
        Ok(())
    }

    /// Ends every recording, waits until its files are whole, and deletes them.
    pub fn stop(&mut self) -> Result<(), Error> {
        let running = std::mem::take(&mut self.running);
        for ((token, _), id) in self.rooms.iter().zip(&running) {
            call(self.api, token, "POST", &format!("/api/v1/recordings/{id}/stop"))?;
        }
        for ((token, _), id) in self.rooms.iter().zip(&running) {
            let path = format!("/api/v1/recordings/{id}");
            let end = Instant::now() + PATIENCE;
            while call(self.api, token, "GET", &path)?["state"] == "recording" {
                if Instant::now() > end {
                    return Err(Error::Timeout("the end of a recording"));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let found = call(self.api, token, "GET", &path)?;
            if found["state"] != "complete" {
                return Err(Error::Answer(found.to_string()));
            }
            call(self.api, token, "DELETE", &path)?;
        }
        Ok(())
    }

    /// Everybody goes.
    pub fn end(self) -> Result<(), Error> {
        self.is_over.store(true, Ordering::Relaxed);
        self.reader.join().expect("reading sockets does not panic")
    }
}

fn call(api: Api, token: &str, method: &str, path: &str) -> Result<Value, Error> {
    let answer = api.call(&Request { method, path, token: Some(token), body: None })?;
    if answer.status >= 300 {
        return Err(Error::Refused { status: answer.status, body: answer.text() });
    }
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// The payloads of a picture of 1280 × 720 in VP8: a descriptor, and in a keyframe the header with its size.
fn picture(is_keyframe: bool) -> Vec<Vec<u8>> {
    let count = if is_keyframe { KEYFRAME_PACKETS } else { FRAME_PACKETS };
    let header = [u8::from(!is_keyframe), 0, 0, 0x9d, 0x01, 0x2a, 0x00, 0x05, 0xd0, 0x02];
    (0..count)
        .map(|index| {
            let mut payload = vec![if index == 0 { 0x10 } else { 0 }];
            if index == 0 {
                payload.extend(header);
            }
            payload.resize(FRAME_BYTES / FRAME_PACKETS + 1, index as u8);
            payload
        })
        .collect()
}
