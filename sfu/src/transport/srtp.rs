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
    rtp: OnDemand,
    rtcp: Cipher,
    rtp_streams: Streams,
    rtcp_streams: Streams,
}

impl Opener {
    /// Opens with the session keys of a master key.
    pub fn new(master: &MasterKey<'_>) -> Self {
        Self {
            rtp: OnDemand::new(master),
            rtcp: Cipher::for_rtcp(master),
            rtp_streams: Streams::default(),
            rtcp_streams: Streams::default(),
        }
    }

    /// Opens an RTP packet in place. When that fails its bytes are spoiled, and nothing else changed.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, Unopened> {
        let header_len = rtp_header_len(packet).ok_or(Unopened::Malformed)?;
        let rtp = self.rtp.cipher();
        if packet.len() < header_len + rtp.tag_len() {
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
        let len = rtp.open_rtp(packet, header_len, ssrc, index);
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
        let rtp = self.rtp.cipher();
        let mut opened = rtp.open_rtp(packet, header_len, ssrc, index);
        if let (Err(_), Some(untouched)) = (opened, untouched) {
            packet.copy_from_slice(&untouched);
            index += 1 << 16;
            opened = rtp.open_rtp(packet, header_len, ssrc, index);
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

/// A cipher whose keys are derived with its first packet: who only receives sends reports and no media, and a key
/// schedule takes 600 bytes.
enum OnDemand {
    /// Master key and salt.
    Waiting(Profile, Box<[u8]>),
    Ready(Cipher),
}

impl OnDemand {
    fn new(master: &MasterKey<'_>) -> Self {
        Self::Waiting(master.profile, [master.key, master.salt].concat().into())
    }

    fn cipher(&mut self) -> &Cipher {
        if let Self::Waiting(profile, material) = self {
            let (key, salt) = material.split_at(profile.key_len());
            *self = Self::Ready(Cipher::for_rtp(&MasterKey { profile: *profile, key, salt }));
        }
        match self {
            Self::Ready(cipher) => cipher,
            Self::Waiting(..) => unreachable!("it was derived above"),
        }
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
            if self.streams.is_empty() {
                // A receiver has one, and remains with it.
                self.streams.reserve_exact(1);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::DtlsRole;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// Two ends that share keys.
    struct Pair {
        client: (Sealer, Opener),
        server: (Sealer, Opener),
    }

    fn pair(profile: Profile) -> Pair {
        let material: Vec<u8> =
            (0..2 * (profile.key_len() + profile.salt_len())).map(|i| i as u8 ^ 0x5a).collect();
        let end = |role| {
            let keys = MasterKeys::split(profile, &material, role).unwrap();
            (Sealer::new(&keys.outgoing), Opener::new(&keys.incoming))
        };
        Pair { client: end(DtlsRole::Client), server: end(DtlsRole::Server) }
    }

    fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 111];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[1, 2, 3, 4]);
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(&sequence.to_le_bytes());
        packet
    }

    fn rtcp(ssrc: u32, len: usize) -> Vec<u8> {
        let mut packet = vec![0x81, 206, 0, 0];
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend((8..len).map(|i| i as u8));
        packet
    }

    fn sealed_rtp(sealer: &Sealer, ssrc: u32, index: u64) -> Vec<u8> {
        let mut slab = rtp(ssrc, index as u16);
        sealer.seal_rtp(&mut slab, 0, 12, index);
        slab
    }

    #[test]
    fn a_packet_in_the_middle_of_a_slab_is_sealed_alone() {
        for profile in Profile::ALL {
            let mut pair = pair(profile);
            let mut slab = b"what was sealed before".to_vec();
            let start = slab.len();
            // A contributing source and an extension of one word stay in clear.
            let mut packet = rtp(7, 5);
            packet[0] = 0x91;
            packet.splice(12..12, [9, 9, 9, 9, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
            slab.extend_from_slice(&packet);
            pair.client.0.seal_rtp(&mut slab, start, 24, 5);
            assert_eq!(slab[..start], *b"what was sealed before");
            assert_eq!(slab.len(), start + packet.len() + pair.client.0.overhead());
            assert_eq!(slab[start..start + 24], packet[..24]);
            assert_ne!(slab[start + 24..start + 26], packet[24..]);
            let opened = pair.server.1.open_rtp(&mut slab[start..]).unwrap();
            assert_eq!(slab[start..start + opened.len], packet);
        }
    }

    #[test]
    fn one_direction_does_not_open_the_other() {
        for profile in Profile::ALL {
            let mut pair = pair(profile);
            let mut reflected = sealed_rtp(&pair.server.0, 7, 5);
            assert_eq!(pair.server.1.open_rtp(&mut reflected), Err(Unopened::Forged));
        }
    }

    #[test]
    fn what_is_no_packet_is_cut_off() {
        let mut pair = pair(Profile::AeadAes128Gcm);
        for (len, header_len) in [(0, 12), (11, 12), (20, 21), (20, 11)] {
            let mut slab = vec![0x80; 3 + len];
            pair.client.0.seal_rtp(&mut slab, 3, header_len, 1);
            assert_eq!(slab.len(), 3);
        }
        let mut slab = vec![0x80; 3 + 7];
        pair.client.0.seal_rtcp(&mut slab, 3);
        assert_eq!(slab.len(), 3);
    }

    #[test]
    fn no_rtcp_index_is_used_twice() {
        for profile in Profile::ALL {
            let mut pair = pair(profile);
            pair.client.0.rtcp_index = LAST_RTCP_INDEX;
            let mut slab = rtcp(1, 20);
            pair.client.0.seal_rtcp(&mut slab, 0);
            assert_eq!(pair.server.1.open_rtcp(&mut slab).unwrap().len, 20);
            let mut slab = rtcp(1, 20);
            pair.client.0.seal_rtcp(&mut slab, 0);
            assert!(slab.is_empty(), "the indices are used up");
        }
    }

    #[test]
    fn a_stream_whose_packets_before_its_roll_over_were_lost_is_opened() {
        for profile in Profile::ALL {
            let mut pair = pair(profile);
            for index in [65_540, 65_541, 65_539] {
                let mut packet = sealed_rtp(&pair.client.0, 7, index);
                let opened = pair.server.1.open_rtp(&mut packet).unwrap();
                assert_eq!(packet[..opened.len], rtp(7, index as u16));
            }
        }
    }

    #[test]
    fn streams_are_bounded_and_the_one_unused_for_longest_goes() {
        let mut pair = pair(Profile::AeadAes128Gcm);
        let mut open = |ssrc, index| {
            let opened = pair.server.1.open_rtp(&mut sealed_rtp(&pair.client.0, ssrc, index));
            (opened.is_ok(), pair.server.1.rtp_streams.streams.len())
        };
        let count = MAX_STREAMS as u32;
        for ssrc in 0..count {
            assert_eq!(open(ssrc, 1), (true, ssrc as usize + 1));
        }
        assert_eq!(open(0, 2), (true, MAX_STREAMS));
        assert_eq!(open(count, 1), (true, MAX_STREAMS));
        assert_eq!(open(0, 2), (false, MAX_STREAMS), "still known, so a replay");
        assert_eq!(open(1, 1), (true, MAX_STREAMS), "forgotten, so as if new");
    }

    #[test]
    fn forged_packets_add_no_streams() {
        for profile in Profile::ALL {
            let mut pair = pair(profile);
            for ssrc in 0..100 {
                let mut forged = sealed_rtp(&pair.client.0, ssrc, 1);
                *forged.last_mut().unwrap() ^= 1;
                assert_eq!(pair.server.1.open_rtp(&mut forged), Err(Unopened::Forged));
                let mut forged = rtcp(ssrc, 40);
                pair.client.0.seal_rtcp(&mut forged, 0);
                forged[12] ^= 1;
                assert_eq!(pair.server.1.open_rtcp(&mut forged), Err(Unopened::Forged));
            }
            assert!(pair.server.1.rtp_streams.streams.is_empty());
            assert!(pair.server.1.rtcp_streams.streams.is_empty());
        }
    }

    #[test]
    fn rtcp_in_clear_is_refused_even_if_its_tag_is_right() {
        let mut pair = pair(Profile::Aes128CmSha1_80);
        let Cipher::CounterMode(keys) = &pair.client.0.rtcp else { panic!() };
        let mut packet = rtcp(1, 16);
        packet.extend_from_slice(&1u32.to_be_bytes());
        let tag = aws_lc_rs::hmac::sign(&keys.authentication, &packet);
        packet.extend_from_slice(&tag.as_ref()[..10]);
        assert_eq!(pair.server.1.open_rtcp(&mut packet), Err(Unopened::Malformed));
    }

    #[test]
    fn every_length_is_refused_without_a_panic() {
        for profile in Profile::ALL {
            let mut pair = pair(profile);
            for len in 0..300 {
                for flags in [0x00, 0x80, 0x8f, 0x90, 0x9f, 0xbf] {
                    let mut packet: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
                    if let Some(first) = packet.first_mut() {
                        *first = flags;
                    }
                    assert!(pair.server.1.open_rtp(&mut packet.clone()).is_err(), "{len}");
                    assert!(pair.server.1.open_rtcp(&mut packet).is_err(), "{len}");
                }
            }
        }
    }

    proptest! {
        /// Whatever is lost, swapped and repeated: each packet is opened once, as it was, unless the
        /// window has passed it.
        #[test]
        fn packets_are_opened_once_over_wrap_around_loss_and_reordering(
            profile in 0..3usize,
            start in prop_oneof![0u64..100, 32_000u64..33_000, 65_300u64..65_536, 131_000u64..132_000],
            steps in proptest::collection::vec((0u64..300, 0u64..1200, any::<bool>()), 1..150),
        ) {
            let mut pair = pair(Profile::ALL[profile]);
            // The receiver has heard the stream from its beginning.
            let mut taken = HashSet::new();
            let mut highest = 0;
            let approach = (0..=start).step_by(30_000).chain([start]);
            let from_steps = steps.into_iter().scan(start, |front, (ahead, behind, is_late)| {
                *front += ahead;
                Some(if is_late { front.saturating_sub(behind) } else { *front })
            });
            for index in approach.chain(from_steps) {
                let mut packet = sealed_rtp(&pair.client.0, 7, index);
                let result = pair.server.1.open_rtp(&mut packet);
                let is_too_old = index + 1024 <= highest;
                if taken.contains(&index) || is_too_old {
                    prop_assert_eq!(result, Err(Unopened::Replayed));
                } else {
                    let opened = result.unwrap();
                    prop_assert_eq!(&packet[..opened.len], &rtp(7, index as u16)[..]);
                    prop_assert_eq!(opened.is_newest, taken.is_empty() || index > highest);
                    taken.insert(index);
                    highest = highest.max(index);
                }
            }
        }

        #[test]
        fn compound_packets_are_opened_once(
            profile in 0..3usize,
            order in proptest::collection::vec(0usize..40, 1..80),
            len in 8usize..200,
        ) {
            let mut pair = pair(Profile::ALL[profile]);
            let clear = rtcp(9, len);
            let sealed: Vec<Vec<u8>> = (0..40).map(|_| {
                let mut slab = clear.clone();
                pair.server.0.seal_rtcp(&mut slab, 0);
                slab
            }).collect();
            let mut taken = HashSet::new();
            for at in order {
                let mut packet = sealed[at].clone();
                let result = pair.client.1.open_rtcp(&mut packet);
                if taken.insert(at) {
                    prop_assert_eq!(&packet[..result.unwrap().len], &clear[..]);
                } else {
                    prop_assert_eq!(result, Err(Unopened::Replayed));
                }
            }
        }

        #[test]
        fn a_changed_packet_is_never_opened(
            profile in 0..3usize,
            at in any::<proptest::sample::Index>(),
            mask in 1u8..,
        ) {
            let mut pair = pair(Profile::ALL[profile]);
            let mut packet = sealed_rtp(&pair.client.0, 7, 70_000);
            let at_rtp = at.index(packet.len());
            packet[at_rtp] ^= mask;
            prop_assert!(pair.server.1.open_rtp(&mut packet).is_err());
            let mut packet = rtcp(7, 60);
            pair.client.0.seal_rtcp(&mut packet, 0);
            let at_rtcp = at.index(packet.len());
            packet[at_rtcp] ^= mask;
            prop_assert!(pair.server.1.open_rtcp(&mut packet).is_err());
        }
    }
}
