//! Transport-cc feedback as it comes in.

/// When packets of ours arrived, as their receiver tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    /// Who tells.
    pub sender: u32,
    /// Any stream of the transport.
    pub ssrc: u32,
    /// First transport-wide sequence number told of.
    pub base: u16,
    /// How many are told of, from `base` on. Those not in `arrivals` are missing so far.
    pub count: u16,
    /// Numbers the feedbacks, to notice lost ones.
    pub feedback_count: u8,
    /// In order of sequence number; no more than the packet has bytes.
    pub arrivals: Vec<Arrival>,
}

/// One packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Transport-wide sequence number.
    pub sequence: u16,
    /// Time in the receiver's clock, which begins anywhere and wraps after 2^32 ticks (12 days),
    /// in ticks of 250 µs.
    pub ticks: u32,
}

impl Feedback {
    /// Parses what stands behind the two SSRCs. `None` if it ends too early or uses the reserved status.
    pub(crate) fn parse(sender: u32, ssrc: u32, control: &[u8]) -> Option<Feedback> {
        let (&[base0, base1, count0, count1], rest) = control.split_first_chunk::<4>()?;
        let (&[time0, time1, time2, feedback_count], rest) = rest.split_first_chunk::<4>()?;
        let base = u16::from_be_bytes([base0, base1]);
        let count = u16::from_be_bytes([count0, count1]);
        let mut ticks = u32::from_be_bytes([0, time0, time1, time2]) << 8;

        let chunks_len = chunks_len(rest, count)?;
        let (chunks, mut deltas) = rest.split_at_checked(chunks_len)?;
        let mut arrivals = Vec::with_capacity(usize::from(count).min(deltas.len()));
        let mut told = 0u16;
        for chunk in chunks.as_chunks::<2>().0 {
            let chunk = u16::from_be_bytes(*chunk);
            let covered = covered(chunk).min(count - told);
            if chunk & 0xe000 == 0 {
                // A run of missing packets.
                told += covered;
                continue;
            }
            for at in 0..covered {
                let delta = match symbol(chunk, at) {
                    0 => continue,
                    1 => i32::from(take::<1>(&mut deltas)?[0]),
                    2 => i32::from(i16::from_be_bytes(take::<2>(&mut deltas)?)),
                    _ => return None,
                };
                ticks = ticks.wrapping_add_signed(delta);
                arrivals.push(Arrival { sequence: base.wrapping_add(told + at), ticks });
            }
            told += covered;
        }
        Some(Feedback { sender, ssrc, base, count, feedback_count, arrivals })
    }
}

/// Bytes of the chunks that together cover `count` statuses.
fn chunks_len(bytes: &[u8], count: u16) -> Option<usize> {
    let mut left = count;
    let mut len = 0;
    let mut chunks = bytes.as_chunks::<2>().0.iter();
    while left > 0 {
        left = left.saturating_sub(covered(u16::from_be_bytes(*chunks.next()?)));
        len += 2;
    }
    Some(len)
}

/// How many statuses a chunk holds.
fn covered(chunk: u16) -> u16 {
    match chunk >> 14 {
        0b10 => 14,
        0b11 => 7,
        _ => chunk & 0x1fff,
    }
}

fn symbol(chunk: u16, at: u16) -> u16 {
    match chunk >> 14 {
        0b10 => chunk >> (13 - at) & 1,
        0b11 => chunk >> (12 - 2 * at) & 3,
        _ => chunk >> 13,
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}
