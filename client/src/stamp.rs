//! What a made-up packet says about itself: whose it is, its number, and when it was sent. It stands at the payload's end,
//! which no server has a reason to touch.

use std::time::Duration;

/// By which our own packets are known.
const MAGIC: [u8; 4] = *b"\xf3VCH";

/// One packet's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which stream of which sender.
    pub stream: u32,
    /// Counted within the stream, from 1.
    pub number: u32,
    /// When it was sent, since a moment that sender and receiver share.
    pub sent: Duration,
}

impl Stamp {
    /// Bytes it takes.
    pub const LEN: usize = 20;

    /// Writes it over the end of a payload that is long enough.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(at) = payload.len().checked_sub(Self::LEN) else { return };
        let end = &mut payload[at..];
        end[..4].copy_from_slice(&MAGIC);
        end[4..8].copy_from_slice(&self.stream.to_be_bytes());
        end[8..12].copy_from_slice(&self.number.to_be_bytes());
        end[12..].copy_from_slice(&(self.sent.as_micros() as u64).to_be_bytes());
    }

    /// Reads it from the end of a payload; nothing where there is none.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (_, end) = payload.split_last_chunk::<{ Self::LEN }>()?;
        let (magic, rest) = end.split_first_chunk::<4>()?;
        let (stream, rest) = rest.split_first_chunk::<4>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let sent = rest.first_chunk::<8>()?;
        (*magic == MAGIC).then(|| Self {
            stream: u32::from_be_bytes(*stream),
            number: u32::from_be_bytes(*number),
            sent: Duration::from_micros(u64::from_be_bytes(*sent)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let stamp = Stamp { stream: 7, number: 9, sent: Duration::from_micros(1_234_567_890) };
        let mut payload = vec![0x5a; 60];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[..40], [0x5a; 40], "the rest is as it was");
        assert_eq!(Stamp::read(&[0x5a; 60]), None);
        assert_eq!(Stamp::read(b"short"), None);
        stamp.write(&mut [0; 5]);
    }
}
