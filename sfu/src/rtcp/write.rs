//! RTCP packets that the server sends.

use super::{
    APPLICATION, BYE, FIR, MAX_SSRCS, NACK, PAYLOAD_FEEDBACK, PLI, RECEIVER_REPORT, ReportBlock,
    SENDER_REPORT, SOURCE_DESCRIPTION, SenderReport, TRANSPORT_CC, TRANSPORT_FEEDBACK, VERSION,
};

/// Asks for a keyframe of `ssrc`.
pub fn write_pli(out: &mut Vec<u8>, sender: u32, ssrc: u32) {
    let packet = Packet::begin(out, PLI, PAYLOAD_FEEDBACK);
    packet.out.extend(words([sender, ssrc]));
}

/// Asks for a keyframe of `ssrc` from an encoder that knows no PLI; `number` grows with each new
/// request and stays for a repetition.
pub fn write_fir(out: &mut Vec<u8>, sender: u32, ssrc: u32, number: u8) {
    let packet = Packet::begin(out, FIR, PAYLOAD_FEEDBACK);
    packet.out.extend(words([sender, 0, ssrc, u32::from(number) << 24]));
}

/// Asks for packets again. Ascending order (around the wrap too) makes it compact; any order is right.
pub fn write_nack(out: &mut Vec<u8>, sender: u32, ssrc: u32, sequences: &[u16]) {
    let mut rest = sequences.iter().copied().peekable();
    while rest.peek().is_some() {
        let packet = Packet::begin(out, NACK, TRANSPORT_FEEDBACK);
        packet.out.extend(words([sender, ssrc]));
        for _ in 0..MAX_NACK_ENTRIES {
            let Some(first) = rest.next() else { break };
            let mut following = 0u16;
            while let Some(bit) = rest.peek().map(|next| next.wrapping_sub(first).wrapping_sub(1))
                && bit < 16
            {
                following |= 1 << bit;
                rest.next();
            }
            packet.out.extend_from_slice(&first.to_be_bytes());
            packet.out.extend_from_slice(&following.to_be_bytes());
        }
    }
}

/// Reports on a stream that we send and on those that we receive; blocks past the 31st go on in
/// receiver reports behind it.
pub fn write_sender_report(out: &mut Vec<u8>, report: &SenderReport, blocks: &[ReportBlock]) {
    let (first, more) = blocks.split_at(blocks.len().min(MAX_BLOCKS));
    let mut packet = Packet::begin(out, first.len() as u8, SENDER_REPORT);
    packet.out.extend_from_slice(&report.ssrc.to_be_bytes());
    packet.out.extend_from_slice(&report.ntp.to_be_bytes());
    packet.out.extend(words([report.rtp, report.packets, report.octets]));
    packet.blocks(first);
    drop(packet);
    if !more.is_empty() {
        write_receiver_report(out, report.ssrc, more);
    }
}

/// Reports on streams that we receive, in as many packets as it takes. An empty one is valid and
/// begins a compound.
pub fn write_receiver_report(out: &mut Vec<u8>, sender: u32, blocks: &[ReportBlock]) {
    let mut rest = blocks;
    loop {
        let (some, more) = rest.split_at(rest.len().min(MAX_BLOCKS));
        let mut packet = Packet::begin(out, some.len() as u8, RECEIVER_REPORT);
        packet.out.extend_from_slice(&sender.to_be_bytes());
        packet.blocks(some);
        rest = more;
        if rest.is_empty() {
            return;
        }
    }
}

/// Names the source of `ssrc`. Streams with one CNAME are played in sync. Cut at 255 bytes.
pub fn write_sdes_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let cname = &cname.as_bytes()[..cname.len().min(255)];
    let packet = Packet::begin(out, 1, SOURCE_DESCRIPTION);
    packet.out.extend_from_slice(&ssrc.to_be_bytes());
    packet.out.extend_from_slice(&[SDES_CNAME, cname.len() as u8]);
    packet.out.extend_from_slice(cname);
    // The list of items ends with a zero byte and then fills the word.
    packet.out.push(0);
}

/// Ends streams; at most 31 are named.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(MAX_BLOCKS)];
    let packet = Packet::begin(out, ssrcs.len() as u8, BYE);
    packet.out.extend(words(ssrcs.iter().copied()));
}

/// Tells a sender the most it may send, in bits per second. Rounded down to 18 significant bits.
pub fn write_remb(out: &mut Vec<u8>, sender: u32, bitrate: u64, ssrcs: &[u32]) {
    let ssrcs = &ssrcs[..ssrcs.len().min(MAX_SSRCS)];
    let exponent = (64 - bitrate.leading_zeros()).saturating_sub(18);
    let mantissa = (bitrate >> exponent) as u32;
    let packet = Packet::begin(out, APPLICATION, PAYLOAD_FEEDBACK);
    packet.out.extend(words([sender, 0]));
    packet.out.extend_from_slice(b"REMB");
    packet.out.extend(words([(ssrcs.len() as u32) << 24 | exponent << 18 | mantissa]));
    packet.out.extend(words(ssrcs.iter().copied()));
}

/// Begins transport-cc feedback; [`crate::twcc`] writes what stands in it.
pub(crate) fn begin_transport_cc(out: &mut Vec<u8>) -> Packet<'_> {
    Packet::begin(out, TRANSPORT_CC, TRANSPORT_FEEDBACK)
}

/// A packet being written: filled to whole words and given its length when dropped.
pub(crate) struct Packet<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    begin: usize,
}

impl<'a> Packet<'a> {
    fn begin(out: &'a mut Vec<u8>, count: u8, packet_type: u8) -> Self {
        let begin = out.len();
        out.extend_from_slice(&[VERSION << 6 | count & 0x1f, packet_type, 0, 0]);
        Packet { out, begin }
    }

    fn blocks(&mut self, blocks: &[ReportBlock]) {
        for block in blocks {
            let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            self.out.extend(words([
                block.ssrc,
                u32::from(block.fraction_lost) << 24 | lost,
                block.highest_sequence,
                block.jitter,
                block.last_sr,
                block.delay_since_last_sr,
            ]));
        }
    }
}

impl Drop for Packet<'_> {
    fn drop(&mut self) {
        let len = (self.out.len() - self.begin).next_multiple_of(4);
        self.out.resize(self.begin + len, 0);
        let words = (len / 4 - 1) as u16;
        self.out[self.begin + 2..self.begin + 4].copy_from_slice(&words.to_be_bytes());
    }
}

fn words(words: impl IntoIterator<Item = u32>) -> impl Iterator<Item = u8> {
    words.into_iter().flat_map(u32::to_be_bytes)
}

/// RFC 3550 §6.4: the count has five bits.
const MAX_BLOCKS: usize = 31;
/// Entries of one NACK packet: 1 kB, which fits any path. A longer list goes on in a further packet.
const MAX_NACK_ENTRIES: usize = 250;
const SDES_CNAME: u8 = 1;
