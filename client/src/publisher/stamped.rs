//! Packets of a load: made up, and each with its stamp.

use super::{AUDIO_LEVEL, Publisher, Which, filled, ntp_now};
use crate::Error;
use crate::stamp::Stamp;
use sfu::rtcp::{self, SenderReport};

/// A made-up picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which of the sizes that are sent, the smallest being the first.
    pub layer: usize,
    /// Whether it needs none before it.
    pub is_keyframe: bool,
    /// Packets that it takes.
    pub packets: usize,
    /// Payload bytes of each.
    pub length: usize,
    /// Width and height that a keyframe tells.
    pub size: (u16, u16),
}

impl Publisher {
    /// Sends 20 ms of sound of that loudness (0 loudest, 127 silence) in `length` bytes.
    pub fn send_stamped_sound(
        &mut self,
        level: u8,
        length: usize,
        stamp: Stamp,
    ) -> Result<(), Error> {
        let elapsed = self.started.elapsed().as_micros() as u64;
        let first = *self.audio.first.get_or_insert(self.audio.timestamp);
        // Whole packets of 20 ms: silence in between is a gap in time, as with browsers.
        let timestamp = first.wrapping_add((elapsed / 20_000 * 960) as u32);
        let next = self.audio.timestamp.wrapping_add(960);
        let is_behind = (timestamp.wrapping_sub(next) as i32) < 0;
        let timestamp = if is_behind { next } else { timestamp };
        self.audio.timestamp = timestamp;
        let levels = self.has_levels.then(|| (AUDIO_LEVEL, vec![0x80 | level]));
        let mut payload = filled(&[0xf8], length.max(1 + Stamp::LEN));
        stamp.write(&mut payload);
        self.send(Which::Audio, true, timestamp, levels.into_iter().collect(), &payload)
    }

    /// Sends a made-up picture at the present time; `stamp` makes the mark of each of its packets.
    pub fn send_stamped_frame(
        &mut self,
        frame: &Frame,
        mut stamp: impl FnMut() -> Stamp,
    ) -> Result<(), Error> {
        let elapsed = self.started.elapsed().as_micros() as u64;
        let first = self.video[frame.layer].timestamp;
        let timestamp = first.wrapping_add((elapsed * 9 / 100) as u32);
        let picture_id = &mut self.picture_ids[frame.layer];
        *picture_id = picture_id.wrapping_add(1) & 0x7fff;
        let [high, low] = (*picture_id | 0x8000).to_be_bytes();
        for at in 0..frame.packets {
            let mut head = vec![0x80, 0x80, high, low];
            if at == 0 {
                head[0] |= 0x10;
                // The frame's tag, whose lowest bit is 0 in a keyframe; then what tells its size (RFC 6386 §9.1).
                head.push(u8::from(!frame.is_keyframe));
                if frame.is_keyframe {
                    head.extend([0, 0, 0x9d, 0x01, 0x2a]);
                    head.extend(frame.size.0.to_le_bytes());
                    head.extend(frame.size.1.to_le_bytes());
                }
            }
            let mut payload = filled(&head, frame.length.max(head.len() + Stamp::LEN));
            stamp().write(&mut payload);
            let is_last = at + 1 == frame.packets;
            self.send(Which::Video(frame.layer), is_last, timestamp, vec![], &payload)?;
        }
        Ok(())
    }

    /// Sends the sender reports of everything that was sent with stamps.
    pub fn report_stamped(&mut self) -> Result<(), Error> {
        let elapsed = self.started.elapsed().as_micros() as u64;
        let ntp = ntp_now();
        let mut compound = Vec::new();
        let sound = (&self.audio, self.audio.first.unwrap_or_default(), elapsed * 48 / 1_000);
        let video = self.video.iter().map(|stream| (stream, stream.timestamp, elapsed * 9 / 100));
        for (stream, first, since) in [sound].into_iter().chain(video) {
            if stream.packets > 0 {
                let report = SenderReport {
                    ssrc: stream.ssrc,
                    ntp,
                    rtp: first.wrapping_add(since as u32),
                    packets: stream.packets,
                    octets: stream.octets,
                };
                rtcp::write_sender_report(&mut compound, &report, &[]);
            }
        }
        if compound.is_empty() { Ok(()) } else { self.link.send_rtcp(&mut compound) }
    }

    /// Whether a keyframe of that layer was asked for since the last call.
    pub fn take_keyframe_request(&mut self, layer: usize) -> bool {
        std::mem::take(&mut self.wanted_keyframes[layer])
    }
}
