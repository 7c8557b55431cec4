//! RTCP packets on the wire.
//!
//! Parsing never fails: what cannot be understood is skipped and the rest of the compound is
//! still heard. Every list is bounded by the datagram and by a constant beside it. Writers append
//! to a buffer that the caller reuses.

mod write;

pub(crate) use write::begin_transport_cc;
pub use write::{
    write_bye, write_fir, write_nack, write_pli, write_receiver_report, write_remb,
    write_sdes_cname, write_sender_report,
};

use crate::twcc::Feedback;

/// What a receiver says of one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: u32,
    /// Share of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all; negative where duplicates outnumber losses. 24 bits on the wire.
    pub cumulative_lost: i32,
    /// Highest sequence number, extended by the count of cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the RTP clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time in the last sender report; 0 before the first.
    pub last_sr: u32,
    /// Time from that report's arrival to this one, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

/// What a sender says of its own stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// The stream.
    pub ssrc: u32,
    /// Wall clock as NTP, 32.32 bits of seconds since 1900.
    pub ntp: u64,
    /// The same moment in the stream's RTP clock.
    pub rtp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Payload bytes sent so far.
    pub octets: u32,
}

/// One understood piece of an incoming compound packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Clock and counters of a stream. Report blocks that come in the same packet follow as a
    /// [`Incoming::ReceiverReport`] of its own.
    SenderReport {
        /// The stream.
        ssrc: u32,
        /// Wall clock as NTP.
        ntp: u64,
        /// The same moment in the stream's RTP clock.
        rtp: u32,
        /// Packets sent so far.
        packets: u32,
        /// Payload bytes sent so far.
        octets: u32,
    },
    /// How our streams arrive there.
    ReceiverReport {
        /// Who reports.
        ssrc: u32,
        /// At most 31.
        blocks: Vec<ReportBlock>,
    },
    /// Packets to be sent again.
    Nack {
        /// Who asks.
        sender: u32,
        /// Of which stream.
        ssrc: u32,
        /// At most [`MAX_NACKED`].
        sequences: Vec<u16>,
    },
    /// A keyframe is wanted.
    Pli {
        /// Who asks.
        sender: u32,
        /// Of which stream.
        ssrc: u32,
    },
    /// A keyframe is wanted, in the older way of saying it (RFC 5104 §4.3.1).
    Fir {
        /// Who asks.
        sender: u32,
        /// Of which streams; at most [`MAX_SSRCS`].
        ssrcs: Vec<u32>,
    },
    /// The bandwidth that the receiver believes in (draft-alvestrand-rmcat-remb).
    Remb {
        /// Who estimates.
        sender: u32,
        /// Bits per second.
        bitrate: u64,
        /// For which streams; at most [`MAX_SSRCS`].
        ssrcs: Vec<u32>,
    },
    /// When our packets arrived.
    TransportCc(Feedback),
    /// Streams that ended.
    Bye {
        /// At most 31.
        ssrcs: Vec<u32>,
    },
}

/// Sequence numbers taken from one NACK. Chromium asks for at most 1000; more would only let one
/// small packet cause a long burst.
pub const MAX_NACKED: usize = 1000;

/// Streams taken from one FIR or REMB; a transport of ours carries fewer.
pub const MAX_SSRCS: usize = 64;

/// Calls `each` for every packet in a decrypted compound that is understood; the number of those that should be
/// and cannot be read.
pub fn parse(compound: &[u8], mut each: impl FnMut(Incoming)) -> u64 {
    let mut rest = compound;
    let mut ignored = 0;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
        // A wrong version or length leaves no way to find the next packet.
        let Some((body, next)) = after.split_at_checked(4 * words) else { return ignored + 1 };
        if head[0] >> 6 != VERSION {
            return ignored + 1;
        }
        rest = next;
        let Some(body) = without_padding(head[0] & 0x20 != 0, body) else {
            ignored += 1;
            continue;
        };
        let count = head[0] & 0x1f;
        match (head[1], count) {
            (SENDER_REPORT, _) => {
                ignored += u64::from(parse_sender_report(count, body, &mut each).is_none());
            }
            (RECEIVER_REPORT, _) => match split_u32(body) {
                Some((ssrc, blocks)) => {
                    each(Incoming::ReceiverReport { ssrc, blocks: report_blocks(count, blocks) });
                }
                None => ignored += 1,
            },
            (BYE, _) => {
                let ssrcs = u32s(body).take(usize::from(count)).collect();
                each(Incoming::Bye { ssrcs });
            }
            (TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK, _) => {
                match parse_feedback(head[1], count, body) {
                    Some(incoming) => each(incoming),
                    None => ignored += 1,
                }
            }
            _ => {}
        }
    }
    // What is left is too short for a head.
    ignored + u64::from(!rest.is_empty())
}

fn without_padding(is_padded: bool, body: &[u8]) -> Option<&[u8]> {
    if !is_padded {
        return Some(body);
    }
    match usize::from(*body.last()?) {
        0 => None,
        padding => body.get(..body.len().checked_sub(padding)?),
    }
}

fn parse_sender_report(count: u8, body: &[u8], each: &mut impl FnMut(Incoming)) -> Option<()> {
    let (ssrc, body) = split_u32(body)?;
    let (ntp, body) = body.split_first_chunk::<8>()?;
    let (rtp, body) = split_u32(body)?;
    let (packets, body) = split_u32(body)?;
    let (octets, body) = split_u32(body)?;
    each(Incoming::SenderReport { ssrc, ntp: u64::from_be_bytes(*ntp), rtp, packets, octets });
    let blocks = report_blocks(count, body);
    if !blocks.is_empty() {
        each(Incoming::ReceiverReport { ssrc, blocks });
    }
    Some(())
}

fn report_blocks(count: u8, body: &[u8]) -> Vec<ReportBlock> {
    let (blocks, _) = body.as_chunks::<24>();
    blocks.iter().take(usize::from(count)).map(report_block).collect()
}

fn report_block(block: &[u8; 24]) -> ReportBlock {
    let word =
        |at: usize| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    ReportBlock {
        ssrc: word(0),
        fraction_lost: block[4],
        // 24 bits with sign: shift up and back down.
        cumulative_lost: (word(4) << 8) as i32 >> 8,
        highest_sequence: word(8),
        jitter: word(12),
        last_sr: word(16),
        delay_since_last_sr: word(20),
    }
}

fn parse_feedback(packet_type: u8, format: u8, body: &[u8]) -> Option<Incoming> {
    let (sender, body) = split_u32(body)?;
    let (ssrc, control) = split_u32(body)?;
    match (packet_type, format) {
        (TRANSPORT_FEEDBACK, NACK) => {
            let sequences: Vec<u16> = nacked(control).take(MAX_NACKED).collect();
            (!sequences.is_empty()).then_some(Incoming::Nack { sender, ssrc, sequences })
        }
        (TRANSPORT_FEEDBACK, TRANSPORT_CC) => {
            Feedback::parse(sender, ssrc, control).map(Incoming::TransportCc)
        }
        (PAYLOAD_FEEDBACK, PLI) => Some(Incoming::Pli { sender, ssrc }),
        (PAYLOAD_FEEDBACK, FIR) => {
            // Each entry is an SSRC and a word with the request's number; the throttle on
            // keyframe requests makes the number needless.
            let (entries, _) = control.as_chunks::<8>();
            let ssrcs: Vec<u32> =
                entries.iter().flat_map(|entry| u32s(&entry[..4])).take(MAX_SSRCS).collect();
            (!ssrcs.is_empty()).then_some(Incoming::Fir { sender, ssrcs })
        }
        (PAYLOAD_FEEDBACK, APPLICATION) => parse_remb(sender, control),
        _ => None,
    }
}

fn nacked(control: &[u8]) -> impl Iterator<Item = u16> {
    let (entries, _) = control.as_chunks::<4>();
    entries.iter().flat_map(|entry| {
        let first = u16::from_be_bytes([entry[0], entry[1]]);
        let following = u16::from_be_bytes([entry[2], entry[3]]);
        let more = (0..16u16).filter(move |bit| following >> bit & 1 == 1);
        std::iter::once(first).chain(more.map(move |bit| first.wrapping_add(bit + 1)))
    })
}

fn parse_remb(sender: u32, control: &[u8]) -> Option<Incoming> {
    let control = control.strip_prefix(b"REMB")?;
    let (&[count, high, middle, low], ssrcs) = control.split_first_chunk::<4>()?;
    let mantissa = u64::from(high & 3) << 16 | u64::from(middle) << 8 | u64::from(low);
    let bitrate = match u32::from(high >> 2) {
        exponent if exponent <= mantissa.leading_zeros() => mantissa << exponent,
        _ => u64::MAX,
    };
    let ssrcs = u32s(ssrcs).take(usize::from(count).min(MAX_SSRCS)).collect();
    Some(Incoming::Remb { sender, bitrate, ssrcs })
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}

fn u32s(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word))
}

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

// Formats of transport feedback (RFC 4585 §6.2, draft-holmer-rmcat-transport-wide-cc-extensions).
const NACK: u8 = 1;
const TRANSPORT_CC: u8 = 15;

// Formats of payload feedback (RFC 4585 §6.3, RFC 5104 §4.3.1).
const PLI: u8 = 1;
const FIR: u8 = 4;
const APPLICATION: u8 = 15;

#[cfg(test)]
mod tests;
