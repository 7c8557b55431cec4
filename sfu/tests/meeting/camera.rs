//! A made-up camera that films in three layers and does what it is asked.

use crate::client::{Client, Media};
use crate::world::World;
use protocol::Source;
use sfu::Event;
use sfu::rtcp::{self, Incoming};
use std::time::Duration;

const LAYERS: &str = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n";
/// Between two frames.
pub const FRAME: Duration = Duration::from_millis(35);

/// One simulcast layer of a made-up encoder.
pub struct Layer {
    pub rid: &'static str,
    pub ssrc: u32,
    pub height: u16,
    /// Of frames that are no keyframes.
    pub frame_bytes: usize,
    pub keyframe_bytes: usize,
    pub picture_id: u16,
    pub is_keyframe_due: bool,
    pub is_active: bool,
    /// The encoder has not the bits for it.
    pub is_starved: bool,
}

/// A camera in three layers of 150, 500 and 1,500 kbit/s with two temporal layers each.
pub struct Camera {
    peer: u64,
    /// Packets say which layer they are of, as they do until a report has come.
    pub names_layers: bool,
    pub layers: [Layer; 3],
    frames: u32,
    seen_rtcp: usize,
}

impl Camera {
    pub fn publish(world: &mut World, peer: u64, who: u64) -> Self {
        Self::offer(world, peer, who);
        world.run_until(|world| world.is_connected(peer));
        let layer = |rid, ssrc, height, frame_bytes| Layer {
            rid,
            ssrc,
            height,
            frame_bytes,
            keyframe_bytes: frame_bytes * 4,
            picture_id: ssrc as u16,
            is_keyframe_due: true,
            is_active: true,
            is_starved: false,
        };
        let layers =
            [layer("q", 11, 180, 650), layer("h", 12, 360, 2_150), layer("f", 13, 720, 6_500)];
        Self { peer, names_layers: true, layers, frames: 0, seen_rtcp: 0 }
    }

    /// Offers it, for the first time or once more.
    pub fn offer(world: &mut World, peer: u64, who: u64) {
        world.offer_with(peer, who, &[(Source::Microphone, 9), (Source::Camera, 1)], LAYERS);
    }

    /// A shared screen instead: one size, with two frame rates in it.
    pub fn share(world: &mut World, peer: u64, who: u64) -> Self {
        world.publish(peer, who, &[(Source::Screen, 13)]);
        let layer = |rid, is_starved| Layer {
            rid,
            ssrc: 13,
            height: 1080,
            frame_bytes: 6_500,
            keyframe_bytes: 26_000,
            picture_id: 13,
            is_keyframe_due: true,
            is_active: true,
            is_starved,
        };
        let layers = [layer("none", true), layer("none", true), layer("", false)];
        Self { peer, names_layers: true, layers, frames: 0, seen_rtcp: 0 }
    }

    /// The encoder is busy for a while, and only the voice comes.
    pub fn stall(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            self.frames += 1;
            let voice = world.client(self.peer).send(9, self.frames * 960, &Media::voice(20));
            world.send(self.peer, voice);
            world.run(Duration::from_millis(20));
        }
    }

    /// Films for a while, and does what it is asked.
    pub fn film(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while world.now < end {
            self.shoot(world);
            world.run(FRAME);
        }
    }

    /// One picture in each layer that it is asked for.
    pub fn shoot(&mut self, world: &mut World) {
        self.obey(world);
        self.frames += 1;
        for layer in self.layers.iter_mut().filter(|l| l.is_active && !l.is_starved) {
            for packet in layer.frame(world.client(self.peer), self.frames, self.names_layers) {
                world.send(self.peer, packet);
            }
        }
    }

    fn obey(&mut self, world: &mut World) {
        let rtcp = &world.client(self.peer).rtcp;
        for compound in &rtcp[self.seen_rtcp..] {
            rtcp::parse(compound, |incoming| {
                if let Incoming::Pli { ssrc, .. } = incoming
                    && let Some(layer) = self.layers.iter_mut().find(|layer| layer.ssrc == ssrc)
                {
                    layer.is_keyframe_due = true;
                }
            });
        }
        self.seen_rtcp = rtcp.len();
        let wanted = world.events.iter().rev().find_map(|event| match event {
            Event::LayersWanted { peer, rids, .. } if peer.0 == self.peer => Some(rids),
            _ => None,
        });
        if let Some(rids) = wanted {
            for layer in &mut self.layers {
                let is_active = rids.iter().any(|rid| rid == layer.rid);
                layer.is_keyframe_due |= is_active && !layer.is_active;
                layer.is_active = is_active;
            }
        }
    }
}

impl Layer {
    fn frame(&mut self, client: &mut Client, frame: u32, is_named: bool) -> Vec<Vec<u8>> {
        let is_keyframe = std::mem::take(&mut self.is_keyframe_due);
        self.picture_id = self.picture_id.wrapping_add(1) & 0x7fff;
        let bytes = if is_keyframe { self.keyframe_bytes } else { self.frame_bytes };
        let packets = bytes.div_ceil(1_100);
        (0..packets)
            .map(|at| {
                let mut media = Media::vp8(is_keyframe && at == 0, self.picture_id);
                media.payload = self.payload(is_keyframe, at, bytes / packets, frame);
                media.marker = at + 1 == packets;
                media.rid = Some(self.rid).filter(|rid| is_named && !rid.is_empty());
                client.send(self.ssrc, frame * 3_150 + self.ssrc * 1_000, &media)
            })
            .collect()
    }

    /// X; I, L and T: picture id, TL0PICIDX, temporal layer by parity with Y; the frame's first bytes.
    fn payload(&self, is_keyframe: bool, at: usize, length: usize, frame: u32) -> Vec<u8> {
        let temporal = if is_keyframe { 0 } else { (frame % 2) as u8 };
        let [high, low] = (0x8000 | self.picture_id).to_be_bytes();
        let start = if at == 0 { 0x10 } else { 0 };
        let sync = 0x20;
        let mut payload =
            vec![0x80 | start, 0xe0, high, low, (frame / 2) as u8, temporal << 6 | sync];
        payload.push(u8::from(!is_keyframe));
        if is_keyframe && at == 0 {
            let [low, high] = self.height.to_le_bytes();
            let [wide, wider] = (self.height * 16 / 9).to_le_bytes();
            payload.extend([0, 0, 0x9d, 0x01, 0x2a, wide, wider, low, high]);
        }
        payload.resize(length, 0x55);
        payload
    }
}
