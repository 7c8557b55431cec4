//! SRTP and SRTCP of one transport (RFC 3711, RFC 7714).
//!
//! Sealing is the hottest path of the server: no map, no allocation, no copy. Opening
//! authenticates before anything is remembered, so only the holder of the keys can grow state.

mod cipher;
mod keys;
mod replay;

pub use keys::{MasterKey, MasterKeys, Profile};

use cipher::Cipher;
use replay::Window;

/// Why a packet was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// Not a protected packet at all.
    Malformed,
    /// Not from the holder of the keys.
    Forged,
    /// Taken already, or too old to tell.
    Replayed,
}

/// A packet that was opened in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Length without what protection added.
    pub len: usize,
    /// Whether it is ahead of everything of its stream so far.
    pub is_newest: bool,
}

/// Protects what we send.
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    /// Of the next compound packet; one count for all SSRCs, so none is ever used twice.
    rtcp_index: u32,
}

impl Sealer {
    /// Protects with the session keys of a master key.
    pub fn new(master: &MasterKey<'_>) -> Self {
        Self { rtp: Cipher::for_rtp(master), rtcp: Cipher::for_rtcp(master), rtcp_index: 0 }
    }

    /// Bytes that are added to an RTP packet.
    pub fn overhead(&self) -> usize {
        self.rtp.tag_len()
    }

    /// Encrypts the packet `slab[start..]` behind its header and appends the tag. `index` is the
    /// roll-over counter and the sequence number; the caller never seals two packets of one SSRC
    /// with the same. What is no packet is cut off.
    pub fn seal_rtp(&self, slab: &mut Vec<u8>, start: usize, header_len: usize, index: u64) {
        match ssrc_at(slab, start + 8) {
            Some(ssrc) if header_len >= RTP_HEADER_LEN && start + header_len <= slab.len() => {
                self.rtp.seal_rtp(slab, start, header_len, ssrc, index);
            }
            _ => slab.truncate(start),
        }
    }

    /// Encrypts the compound packet `slab[start..]` and appends tag and index. What is no packet
    /// is cut off, and so is everything once the indices are used up (after 2³¹ packets).
    pub fn seal_rtcp(&mut self, slab: &mut Vec<u8>, start: usize) {
        match ssrc_at(slab, start + 4) {
            Some(ssrc) if self.rtcp_index <= LAST_RTCP_INDEX => {
                self.rtcp.seal_rtcp(slab, start, ssrc, self.rtcp_index);
                self.rtcp_index += 1;
            }
            _ => slab.truncate(start),
        }
    }
}

/// Opens what we receive.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: Streams,
    rtcp_streams: Streams,
}

impl Opener {
    /// Opens with the session keys of a master key.
    pub fn new(master: &MasterKey<'_>) -> Self {
        Self {
            rtp: Cipher::for_rtp(master),
            rtcp: Cipher::for_rtcp(master),
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        }
    }

    /// Opens an RTP packet in place. When that fails its bytes are spoiled, and nothing else changed.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, Unopened> {
        let header_len = rtp_header_len(packet).ok_or(Unopened::Malformed)?;
        if packet.len() < header_len + self.rtp.tag_len() {
            return Err(Unopened::Malformed);
        }
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let ssrc = ssrc_at(packet, 8).ok_or(Unopened::Malformed)?;
        let Some(at) = self.rtp_streams.find(ssrc) else {
            return self.open_first_rtp(packet, header_len, ssrc, sequence);
        };
        let window = self.rtp_streams.window(at);
        let index = window.index_of(sequence);
        if !window.is_new(index) {
            return Err(Unopened::Replayed);
        }
        let len = self.rtp.open_rtp(packet, header_len, ssrc, index);
        let len = len.map_err(|_| Unopened::Forged)?;
        Ok(Opened { len, is_newest: self.rtp_streams.take(at, index) })
    }

    /// The first packet of a stream: its sender may have rolled over while packets were lost.
    fn open_first_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        sequence: u16,
    ) -> Result<Opened, Unopened> {
        let may_have_rolled_over = sequence < ROLLED_OVER_LATELY;
        let untouched = may_have_rolled_over.then(|| packet.to_vec());
        let mut index = u64::from(sequence);
        let mut opened = self.rtp.open_rtp(packet, header_len, ssrc, index);
        if let (Err(_), Some(untouched)) = (opened, untouched) {
            packet.copy_from_slice(&untouched);
            index += 1 << 16;
            opened = self.rtp.open_rtp(packet, header_len, ssrc, index);
        }
        let len = opened.map_err(|_| Unopened::Forged)?;
        self.rtp_streams.insert(ssrc, index);
        Ok(Opened { len, is_newest: true })
    }

    /// Opens a compound packet in place. When that fails its bytes are spoiled, and nothing else changed.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<Opened, Unopened> {
        let index = self.rtcp.rtcp_index(packet).ok_or(Unopened::Malformed)?;
        let ssrc = ssrc_at(packet, 4).ok_or(Unopened::Malformed)?;
        let window_index = u64::from(index);
        let stream = self.rtcp_streams.find(ssrc);
        if stream.is_some_and(|at| !self.rtcp_streams.window(at).is_new(window_index)) {
            return Err(Unopened::Replayed);
        }
        let len = self.rtcp.open_rtcp(packet, ssrc, index).map_err(|_| Unopened::Forged)?;
        let is_newest = match stream {
            Some(at) => self.rtcp_streams.take(at, window_index),
            None => {
                self.rtcp_streams.insert(ssrc, window_index);
                true
            }
        };
        Ok(Opened { len, is_newest })
    }
}

/// One SSRC of the other end.
struct Stream {
    ssrc: u32,
    window: Window,
    /// When it was last used, in packets of all streams.
    used: u64,
}

/// The streams that are known. Few, so they are searched in order, the last one hit first.
#[derive(Default)]
struct Streams {
    streams: Vec<Stream>,
    last_hit: usize,
    clock: u64,
}

impl Streams {
    fn find(&mut self, ssrc: u32) -> Option<usize> {
        let is_hit = self.streams.get(self.last_hit).is_some_and(|stream| stream.ssrc == ssrc);
        if !is_hit {
            self.last_hit = self.streams.iter().position(|stream| stream.ssrc == ssrc)?;
        }
        Some(self.last_hit)
    }

    fn window(&self, at: usize) -> &Window {
        &self.streams[at].window
    }

    /// Notes an authentic packet; whether it is the newest of its stream.
    fn take(&mut self, at: usize, index: u64) -> bool {
        self.clock += 1;
        let stream = &mut self.streams[at];
        stream.used = self.clock;
        let is_newest = stream.window.is_newest(index);
        stream.window.take(index);
        is_newest
    }

    /// Adds a stream that was not found. When there are too many, the one unused for longest goes:
    /// should it come back, it starts anew.
    fn insert(&mut self, ssrc: u32, index: u64) {
        self.clock += 1;
        let stream = Stream { ssrc, window: Window::starting_at(index), used: self.clock };
        if self.streams.len() < MAX_STREAMS {
            self.last_hit = self.streams.len();
            self.streams.push(stream);
        } else {
            let oldest = self.streams.iter().enumerate().min_by_key(|(_, stream)| stream.used);
            self.last_hit = oldest.map_or(0, |(at, _)| at);
            self.streams[self.last_hit] = stream;
        }
    }
}

/// Length of the header with contributing sources and extensions; `None` when the packet is shorter or no RTP.
fn rtp_header_len(packet: &[u8]) -> Option<usize> {
    let (&[flags, ..], _) = packet.split_first_chunk::<RTP_HEADER_LEN>()?;
    if flags >> 6 != 2 {
        return None;
    }
    let mut len = RTP_HEADER_LEN + 4 * usize::from(flags & 0x0f);
    if flags & 0x10 != 0 {
        let (&[_, _, high, low], _) = packet.get(len..)?.split_first_chunk()?;
        len += 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
    }
    (packet.len() >= len).then_some(len)
}

fn ssrc_at(packet: &[u8], at: usize) -> Option<u32> {
    let (ssrc, _) = packet.get(at..)?.split_first_chunk()?;
    Some(u32::from_be_bytes(*ssrc))
}

const RTP_HEADER_LEN: usize = 12;
const LAST_RTCP_INDEX: u32 = (1 << 31) - 1;

/// More cost memory (150 bytes each) to a peer that invents them; fewer forget streams of one who
/// shares and stops sharing often.
const MAX_STREAMS: usize = 64;

/// A stream's first packet to arrive is tried as rolled over below this number only: more would
/// cost a second decryption for more forged packets, fewer would lose a stream whose first second was lost.
const ROLLED_OVER_LATELY: u16 = 1 << 12;
