//! Packets of a load: silence and pictures that decoders take, as long as they should be, and each with its stamp.

use super::{AUDIO_LEVEL, Publisher, Which, filled, ntp_now};
use crate::Error;
use crate::stamp::Stamp;
use sfu::rtcp::{self, SenderReport};

/// A picture, and what it is blown up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which of the sizes that are sent, the smallest being the first.
    pub layer: usize,
    /// What VP8 made of it. It stands in the first packet as a whole; decoders do not look at what comes behind it.
    pub picture: &'static [u8],
    /// Packets that it takes.
    pub packets: usize,
    /// Payload bytes of each; the first is longer where the picture is.
    pub length: usize,
}

/// 20 ms of silence as CELT.
const SILENCE: [u8; 2] = [0xff, 0xfe];
/// An Opus packet that begins so holds one frame and padding (RFC 6716 §3.2.5), at most as long as one byte tells.
const PADDED: [u8; 2] = [0xfb, 0x41];
/// Bytes in front of the padding.
const SOUND_HEAD: usize = PADDED.len() + 1 + SILENCE.len();
/// Longest padding whose length is one byte.
const MAX_PADDING: usize = 254;

impl Publisher {
    /// Sends 20 ms of silence that says it is that loud (0 loudest, 127 silence), in `length` bytes.
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
        let payload = sound(length, &stamp);
        self.send(Which::Audio, true, timestamp, levels.into_iter().collect(), &payload)
    }

    /// Sends a picture at the present time; `stamp` makes the mark of each of its packets.
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
                head.extend(frame.picture);
            }
            let payload = part(&head, frame.length, &stamp());
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

/// Silence, so long; the stamp stands in its padding.
fn sound(length: usize, stamp: &Stamp) -> Vec<u8> {
    let padding = length.saturating_sub(SOUND_HEAD).clamp(Stamp::LEN, MAX_PADDING);
    let mut payload = PADDED.to_vec();
    payload.push(padding as u8);
    payload.extend(SILENCE);
    payload.resize(SOUND_HEAD + padding, 0);
    stamp.write(&mut payload);
    payload
}

/// A piece of a picture with what fills it up, and the stamp behind.
fn part(head: &[u8], length: usize, stamp: &Stamp) -> Vec<u8> {
    let mut payload = filled(head, length.max(head.len() + Stamp::LEN));
    stamp.write(&mut payload);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::Size;
    use std::time::Duration;

    const STAMP: Stamp = Stamp { stream: 3, number: 4, sent: Duration::from_micros(5) };

    #[test]
    fn sound_is_one_frame_of_silence_with_padding_that_holds_the_stamp() {
        for (length, is) in [(100, 100), (10, 25), (1_000, 259)] {
            let payload = sound(length, &STAMP);
            assert_eq!(payload.len(), is);
            // RFC 6716 §3.2.5: code 3, one frame, padding, whose length stands next.
            assert_eq!((payload[0] & 3, payload[1]), (3, 0x41));
            let frame = payload.len() - 3 - usize::from(payload[2]);
            assert_eq!(payload[3..3 + frame], SILENCE);
            assert_eq!(Stamp::read(&payload), Some(STAMP));
        }
    }

    #[test]
    fn a_picture_stays_whole_however_short_its_packets_should_be() {
        let picture = Size::Large.keyframe(0);
        for length in [50, 1_100] {
            let payload = part(picture, length, &STAMP);
            assert!(payload.len() >= length && payload.starts_with(picture));
            assert_eq!(Stamp::read(&payload), Some(STAMP));
        }
    }
}
