//! Sealed datagrams waiting for the socket, laid out so that the kernel can send them in runs.

use crate::path::{Carrier, Path};
use std::net::SocketAddr;

/// Segments of one UDP_SEGMENT send; the kernel takes no more.
const MAX_SEGMENTS: usize = 64;
/// Bytes of one UDP_SEGMENT send; the kernel takes no more.
const MAX_RUN_BYTES: usize = 65_507;

/// Datagrams for one path that lie one behind the other: all of `segment` bytes but the last,
/// which may be shorter.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where they go.
    pub to: Path,
    /// Bytes of each datagram but the last.
    pub segment: usize,
    /// All of them.
    pub bytes: &'a [u8],
}

impl Run<'_> {
    /// How many datagrams.
    pub fn segments(&self) -> usize {
        self.bytes.len().div_ceil(self.segment)
    }
}

#[derive(Debug)]
struct Span {
    to: Path,
    start: usize,
    end: usize,
    segment: usize,
    segments: usize,
    is_closed: bool,
}

/// The slab that packets are sealed into, and the runs in it. Reused: it allocates only while it grows.
#[derive(Debug, Default)]
pub struct Transmits {
    slab: Vec<u8>,
    spans: Vec<Span>,
    has_others: bool,
}

impl Transmits {
    /// The slab, to append one datagram to; `commit` tells where it began.
    pub fn slab(&mut self) -> &mut Vec<u8> {
        &mut self.slab
    }

    /// Where the next datagram begins.
    pub fn mark(&self) -> usize {
        self.slab.len()
    }

    /// The datagram from `start` to the slab's end goes to `to`.
    pub fn commit(&mut self, to: Path, start: usize) {
        let end = self.slab.len();
        let length = end - start;
        if length == 0 {
            return;
        }
        if let Some(span) = self.spans.last_mut()
            && !span.is_closed
            && span.to == to
            && length <= span.segment
            && span.segments < MAX_SEGMENTS
            && end - span.start <= MAX_RUN_BYTES
        {
            span.end = end;
            span.segments += 1;
            span.is_closed = length < span.segment;
            return;
        }
        self.has_others |= to.carrier() != Carrier::Udp;
        self.spans.push(Span { to, start, end, segment: length, segments: 1, is_closed: false });
    }

    /// Takes back what was appended since `start`.
    pub fn abandon(&mut self, start: usize) {
        self.slab.truncate(start);
    }

    /// Appends one whole datagram.
    pub fn push(&mut self, to: Path, datagram: &[u8]) {
        let start = self.mark();
        self.slab.extend_from_slice(datagram);
        self.commit(to, start);
    }

    /// Everything waiting, in order.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.spans.iter().map(|span| Run {
            to: span.to,
            segment: span.segment,
            bytes: &self.slab[span.start..span.end],
        })
    }

    /// What waits for the UDP socket, in order.
    pub fn udp_runs(&self) -> impl Iterator<Item = (SocketAddr, Run<'_>)> {
        self.runs().filter_map(|run| match run.to {
            Path::Udp(address) => Some((address, run)),
            Path::Tcp { .. } | Path::Relayed { .. } => None,
        })
    }

    /// Whether anything waits for other paths than the UDP socket's.
    pub fn has_others(&self) -> bool {
        self.has_others
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Forgets everything; the memory stays for the next batch.
    pub fn clear(&mut self) {
        self.slab.clear();
        self.spans.clear();
        self.has_others = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::ConnectionId;
    use proptest::prelude::*;

    fn address(port: u16) -> Path {
        Path::Udp(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    proptest! {
        #[test]
        fn every_datagram_comes_out_whole_and_in_order(
            datagrams in prop::collection::vec((1u16..4, 1usize..1500), 0..200)
        ) {
            let mut transmits = Transmits::default();
            for (i, (port, length)) in datagrams.iter().enumerate() {
                transmits.push(address(*port), &vec![i as u8; *length]);
            }
            let mut sent = Vec::new();
            for run in transmits.runs() {
                prop_assert!(run.segments() <= MAX_SEGMENTS && run.bytes.len() <= MAX_RUN_BYTES);
                for datagram in run.bytes.chunks(run.segment) {
                    sent.push((run.to.address().port(), datagram.to_vec()));
                }
            }
            prop_assert_eq!(sent.len(), datagrams.len());
            for (i, ((port, length), (to, bytes))) in datagrams.iter().zip(&sent).enumerate() {
                prop_assert_eq!(port, to);
                prop_assert_eq!(&vec![i as u8; *length], bytes);
            }
        }
    }

    #[test]
    fn equal_sizes_to_one_path_form_one_run_that_a_shorter_one_ends() {
        let mut transmits = Transmits::default();
        for length in [100, 100, 60, 100] {
            transmits.push(address(1), &vec![0; length]);
        }
        let runs: Vec<_> = transmits.runs().map(|run| run.segments()).collect();
        assert_eq!(runs, [3, 1]);
        transmits.clear();
        assert!(transmits.is_empty());
    }

    #[test]
    fn only_datagrams_are_for_the_socket() {
        let mut transmits = Transmits::default();
        transmits.push(address(1), &[1]);
        assert!(!transmits.has_others());
        let stream = Path::Tcp { connection: ConnectionId(1), address: address(1).address() };
        transmits.push(stream, &[2]);
        transmits.push(address(1), &[3]);
        assert!(transmits.has_others());
        let ours: Vec<_> = transmits.udp_runs().map(|(_, run)| run.bytes).collect();
        assert_eq!(ours, [[1], [3]]);
        transmits.clear();
        assert!(!transmits.has_others());
    }
}
