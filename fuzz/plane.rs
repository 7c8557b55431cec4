//! The whole media plane under whatever an input says: orders, datagrams of connected peers, sealed as theirs,
//! datagrams of strangers, and time. Whatever comes, no peer's work panics, and a pair that has nothing to
//! do with it keeps its media.
#![allow(
    dead_code,
    reason = "clients and their world come from the tests of meetings, which use all of it"
)]

#[path = "../sfu/tests/meeting/client.rs"]
mod client;
#[path = "../sfu/tests/meeting/world.rs"]
mod world;

use client::Media;
use protocol::Source;
use protocol::media::{View, ViewTile};
use protocol::room::MediaState;
use sfu::rtp::Header;
use sfu::{Command, Path, PeerId, Stats, TrackNames};
use std::time::Duration;
use world::{ROOM, World, person};

const MIC: u32 = 1001;
const CAMERA: u32 = 2001;
/// Publishes, receives; the inputs speak for these.
const PUBLISHER: u64 = 1;
const SUBSCRIBER: u64 = 2;
/// Have nothing to do with it.
const BYSTANDER: u64 = 3;
const LISTENER: u64 = 4;
const BYSTANDERS_MIC: u32 = 3001;
const RIDS: [&str; 3] = ["q", "h", "f"];
const LAYERS: &str = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
/// Steps of one input; more only makes the fuzzer slow.
const MAX_STEPS: usize = 200;
/// Time that one input may let pass.
const MAX_TIME: Duration = Duration::from_secs(12);

/// Runs an input: one byte says what, what follows is its arguments. What was counted.
pub fn run(input: &[u8]) -> Stats {
    let mut input = Input(input);
    let mut world = World::new(1);
    // The layers' lines are appended to the last m-line, the camera's.
    let sources = [(Source::Microphone, MIC), (Source::Camera, CAMERA)];
    world.offer_with(PUBLISHER, 1, &sources, LAYERS);
    world.run_until(|world| world.is_connected(PUBLISHER));
    world.subscribe(SUBSCRIBER, 2, 2, 2);
    world.publish(BYSTANDER, 3, &[(Source::Microphone, BYSTANDERS_MIC)]);
    world.subscribe(LISTENER, 4, 4, 0);
    let (begin, mut next_peer) = (world.now, 10);
    for _ in 0..MAX_STEPS {
        let Some(what) = input.byte() else { break };
        step(&mut world, what, &mut input, &mut next_peer);
        while world.sfu.flush(world.now) {
            world.collect();
        }
        world.collect();
        if world.now - begin > MAX_TIME {
            break;
        }
    }
    let stats = world.sfu.stats();
    assert_eq!(stats.faults, 0, "a peer's work has panicked");
    let before = world.client(LISTENER).rtp.len();
    for n in 0..10 {
        let voice = world.client(BYSTANDER).send(BYSTANDERS_MIC, n * 960, &Media::voice(10));
        world.send(BYSTANDER, voice);
        world.run(Duration::from_millis(20));
    }
    let heard = world.client(LISTENER).rtp.len() - before;
    assert!(heard >= 8, "{heard} of 10 packets of a bystander");
    assert_eq!(world.sfu.stats().faults, 0, "a peer's work has panicked");
    stats
}

fn step(world: &mut World, what: u8, input: &mut Input<'_>, next_peer: &mut u64) {
    match what % 16 {
        0 | 1 => world.run(Duration::from_millis(u64::from(input.byte().unwrap_or(1)) * 5)),
        // RTP as the encoder might send it: the shape is right, what is in it is the input's.
        2 | 3 => {
            let (is_video, sequence) = (what & 16 != 0, input.word());
            // A camera has layers; the first is known by its SSRC too.
            let layer = usize::from(what >> 6);
            let rid = RIDS.get(layer).copied().filter(|_| is_video && layer > 0);
            let (ssrc, payload_type) =
                if is_video { (CAMERA + layer as u32, 96) } else { (MIC, 111) };
            let marker = what & 32 == 0;
            let payload = input.bytes().to_vec();
            let media =
                Media { payload_type, level: what, payload, marker, rid, ..Media::default() };
            let timestamp = u32::from(sequence).wrapping_mul(3_000);
            let sealed =
                world.client(PUBLISHER).seal(ssrc, u64::from(sequence) + 65_536, timestamp, &media);
            from_client(world, PUBLISHER, sealed);
        }
        // RTP that is all the input's, or all but its SSRC.
        4 | 5 => {
            let mut packet = input.bytes().to_vec();
            if what & 16 != 0 && packet.len() >= 12 {
                let ssrc = if what & 32 != 0 { CAMERA } else { MIC };
                packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
            }
            let Some(header) = Header::parse(&packet) else { return };
            let index = u64::from(header.sequence) + 65_536;
            let client = world.client(PUBLISHER);
            client.transport.seal_rtp(&mut packet, 0, header.payload_offset, index);
            from_client(world, PUBLISHER, packet);
        }
        // RTCP of either.
        6 | 7 => {
            let peer = [PUBLISHER, SUBSCRIBER][usize::from(what & 16 != 0)];
            let mut body = input.bytes().to_vec();
            if what & 32 != 0 {
                // About a stream that is there, and where it asks for packets again, about one that was.
                let known = received(world, what >> 6);
                if let (Some(header), Some(place)) = (&known, body.get_mut(8..12)) {
                    place.copy_from_slice(&header.ssrc.to_be_bytes());
                }
                let is_nack = body.starts_with(&[0x81, 205]);
                if let (Some(header), Some(place), true) = (known, body.get_mut(12..14), is_nack) {
                    place.copy_from_slice(&header.sequence.to_be_bytes());
                }
            }
            if body.len() < 8 {
                return;
            }
            let sealed = world.client(peer).seal_rtcp(|out| out.extend_from_slice(&body));
            from_client(world, peer, sealed);
        }
        // Datagrams that nobody sealed, from a known address or a strange one.
        8 => {
            let bytes = input.bytes().to_vec();
            from_client(world, [PUBLISHER, SUBSCRIBER][usize::from(what & 16 != 0)], bytes);
        }
        9 => {
            let mut bytes = input.bytes().to_vec();
            let from = ([203, 0, 113, what], 4_000 + u16::from(what));
            let from = Path::Udp(from.into());
            world.sfu.receive(world.now, from, &mut bytes);
        }
        10 => {
            let bits = input.byte().unwrap_or(0);
            let has = |bit: u8| bits & (1 << bit) != 0;
            let media = MediaState {
                mic_muted: has(0),
                cam_off: has(1),
                mic_forced: has(2),
                cam_forced: has(3),
                screen_forced: has(4),
            };
            world.mute(1 + u64::from(bits >> 7), media);
        }
        11 => {
            let tile = |n: u8, sizes: u16| ViewTile {
                participant_id: person(u64::from(n % 8)),
                source: [Source::Camera, Source::Screen][usize::from(n & 8 != 0)],
                width: sizes,
                height: sizes / 2,
                pinned: n & 16 != 0,
            };
            let bytes = input.bytes();
            let tiles = bytes.chunks(3).map(|c| {
                tile(c[0], u16::from_be_bytes([*c.get(1).unwrap_or(&1), *c.get(2).unwrap_or(&64)]))
            });
            let view = View {
                tiles: (what & 16 != 0).then(|| tiles.collect()),
                silenced: bytes.iter().take(2).map(|n| person(u64::from(n % 8))).collect(),
            };
            world.command(Command::SetView { room: ROOM, participant: person(2), view });
        }
        12 => {
            let away = what & 16 != 0;
            world.command(Command::SetAway { room: ROOM, participant: person(1), away });
        }
        // SDP that is the input's, as an offer or an answer of those who are there.
        13 => {
            let sdp = String::from_utf8_lossy(input.many_bytes()).into_owned();
            let command = match what & 48 {
                0 => Command::Publish {
                    peer: PeerId(PUBLISHER),
                    room: ROOM,
                    participant: person(1),
                    offer: sdp,
                    tracks: TrackNames::ByOrder,
                },
                16 => Command::Answer { peer: PeerId(SUBSCRIBER), answer: sdp },
                _ => Command::Watch {
                    peer: PeerId(SUBSCRIBER),
                    room: ROOM,
                    participant: person(2),
                    offer: sdp,
                    follow: None,
                },
            };
            world.command(command);
        }
        // People come and go; two more at most, who need no place that a bystander has.
        14 => match what & 48 {
            0 if *next_peer < 12 => {
                let (peer, ssrc) = (*next_peer, 5_000 + *next_peer as u32);
                *next_peer += 1;
                let sources = [(Source::Microphone, ssrc)];
                world.offer(peer, peer, &sources);
            }
            16 => world.command(Command::Leave { room: ROOM, participant: person(10) }),
            32 => world.command(Command::Close { peer: PeerId(SUBSCRIBER) }),
            _ => world.command(Command::Close { peer: PeerId(PUBLISHER) }),
        },
        // A packet on its way to somewhere else: the address of the publisher changes.
        _ => {
            let port = 5_000 + u16::from(input.byte().unwrap_or(0));
            world.client(PUBLISHER).address.set_port(port);
        }
    }
}

fn from_client(world: &mut World, peer: u64, mut datagram: Vec<u8>) {
    let from = world.client(peer).address.into();
    world.sfu.receive(world.now, from, &mut datagram);
}

/// The header of something that the subscriber has received.
fn received(world: &mut World, nth: u8) -> Option<Header> {
    let packets = &world.client(SUBSCRIBER).rtp;
    let packet = packets.get(usize::from(nth)).or(packets.first())?;
    Header::parse(packet)
}

/// Takes arguments off an input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte().unwrap_or(0), self.byte().unwrap_or(0)])
    }

    /// As many as the next byte says, or as there are.
    fn bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.byte().unwrap_or(0));
        self.take(wanted)
    }

    /// As many as the next two bytes say, or as there are.
    fn many_bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.word());
        self.take(wanted)
    }

    fn take(&mut self, wanted: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
