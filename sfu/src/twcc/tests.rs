//! Feedback is read back by `rtc-rtcp` and by our own parser and compared with what happened.

use super::*;
use crate::rtcp::{Incoming, parse};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rtc_rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
};
use std::collections::BTreeMap;

const MS: Duration = Duration::from_millis(1);

fn read(packet: &[u8]) -> Feedback {
    let mut all = Vec::new();
    parse(packet, |incoming| all.push(incoming));
    match all.pop() {
        Some(Incoming::TransportCc(feedback)) if all.is_empty() => feedback,
        other => panic!("one feedback, not {other:?} after {all:?}"),
    }
}

/// The same packet as another implementation reads it.
fn read_by_other(packet: &[u8]) -> Feedback {
    let packets = rtc_rtcp::packet::unmarshal(&mut Bytes::copy_from_slice(packet)).unwrap();
    let other = packets[0].as_any().downcast_ref::<TransportLayerCc>().unwrap();
    let statuses = other.packet_chunks.iter().flat_map(|chunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => {
            vec![run.packet_status_symbol; usize::from(run.run_length)]
        }
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    });
    let mut deltas = other.recv_deltas.iter();
    let mut ticks = other.reference_time << 8;
    let mut arrivals = Vec::new();
    for (at, status) in statuses.take(usize::from(other.packet_status_count)).enumerate() {
        if status != SymbolTypeTcc::PacketNotReceived {
            ticks = ticks.wrapping_add_signed((deltas.next().unwrap().delta / 250) as i32);
            let sequence = other.base_sequence_number.wrapping_add(at as u16);
            arrivals.push(Arrival { sequence, ticks });
        }
    }
    Feedback {
        sender: other.sender_ssrc,
        ssrc: other.media_ssrc,
        base: other.base_sequence_number,
        count: other.packet_status_count,
        feedback_count: other.fb_pkt_count,
        arrivals,
    }
}

fn poll_all(log: &mut TransportCc, now: Instant) -> Vec<Feedback> {
    let mut all = Vec::new();
    loop {
        let mut out = Vec::new();
        if !log.poll(now, 1, 2, &mut out) {
            assert!(out.is_empty());
            return all;
        }
        assert!(out.len() <= 1200, "{} bytes", out.len());
        let feedback = read(&out);
        assert_eq!(feedback, read_by_other(&out));
        assert_eq!((feedback.sender, feedback.ssrc), (1, 2));
        assert!(feedback.count > 0);
        all.push(feedback);
    }
}

#[test]
fn nothing_arrived_nothing_to_say() {
    let mut log = TransportCc::new();
    assert_eq!(log.next_deadline(), None);
    assert!(poll_all(&mut log, Instant::now()).is_empty());
}

#[test]
fn quiet_transports_report_every_100_ms_busy_ones_every_50() {
    let start = Instant::now();
    let mut log = TransportCc::new();
    log.arrived(start, 7);
    assert_eq!(log.next_deadline(), Some(start + 100 * MS));
    assert!(poll_all(&mut log, start + 99 * MS).is_empty());
    let feedback = poll_all(&mut log, start + 100 * MS);
    assert_eq!((feedback.len(), feedback[0].base, feedback[0].count), (1, 7, 1));
    assert_eq!(log.next_deadline(), None);

    for sequence in 8..40 {
        log.arrived(start + 101 * MS, sequence);
    }
    assert_eq!(log.next_deadline(), Some(start + 150 * MS));
    let feedback = poll_all(&mut log, start + 150 * MS);
    assert_eq!((feedback[0].base, feedback[0].count, feedback[0].feedback_count), (8, 32, 1));
}

#[test]
fn a_straggler_is_reported_anew_and_nobody_else_is_called_lost() {
    let start = Instant::now();
    let mut log = TransportCc::new();
    for sequence in [65_534, 65_535, 1, 2] {
        log.arrived(start, sequence);
    }
    let first = poll_all(&mut log, start + 100 * MS);
    assert_eq!((first[0].base, first[0].count, first[0].arrivals.len()), (65_534, 5, 4));
    log.arrived(start + 130 * MS, 0);
    log.arrived(start + 131 * MS, 0);
    let second = poll_all(&mut log, start + 200 * MS);
    let heard: Vec<_> = second[0].arrivals.iter().map(|at| (at.sequence, at.ticks)).collect();
    assert_eq!(heard, [(0, 520), (1, 0), (2, 0)]);
}

#[test]
fn a_leap_far_ahead_starts_anew() {
    let start = Instant::now();
    let mut log = TransportCc::new();
    log.arrived(start, 0);
    log.arrived(start, 20_000);
    let feedback = poll_all(&mut log, start + 100 * MS);
    assert_eq!((feedback.len(), feedback[0].base, feedback[0].count), (1, 20_000, 1));
}

#[test]
fn memory_is_bounded_without_polls_too() {
    let mut now = Instant::now();
    let mut log = TransportCc::new();
    for sequence in 0..200_000u32 {
        log.arrived(now, (sequence * 3) as u16);
        now += MS;
        assert!(log.log.len() <= MAX_LOG);
    }
    let told: usize = poll_all(&mut log, now).iter().map(|feedback| feedback.arrivals.len()).sum();
    assert_eq!(told, MAX_LOG.div_ceil(3));
}

#[test]
fn the_chunks_are_the_ones_of_the_draft() {
    let (lost, small, large) = (NOT_RECEIVED, SMALL_DELTA, LARGE_DELTA);
    // The run of the draft's second example and the vector of its first.
    assert_eq!(next_chunk(&[lost; 221]), (221, 221));
    let vector = [
        lost, small, small, small, small, small, lost, lost, lost, small, small, small, lost, lost,
    ];
    assert_eq!(next_chunk(&vector), (0b1001_1111_0001_1100, 14));
    assert_eq!(
        next_chunk(&[lost, large, small, small, small, lost, lost, lost]),
        (0b1100_1001_0101_0000, 7)
    );
    assert_eq!(next_chunk(&[large; 3]), (2 << 13 | 3, 3));
    assert_eq!(next_chunk(&[small, lost]), (0b10 << 14 | 1 << 13, 2));
    assert_eq!(next_chunk(&[small; 10_000]), (1 << 13 | 0x1fff, 0x1fff));
}

#[test]
fn what_ends_early_or_uses_the_reserved_status_is_refused() {
    let start = Instant::now();
    let mut log = TransportCc::new();
    for sequence in 0..40 {
        log.arrived(start + u32::from(sequence) * 30 * MS, sequence * 2);
    }
    let mut out = Vec::new();
    assert!(log.poll(start + 2000 * MS, 1, 2, &mut out));
    let control = &out[12..];
    let full = Feedback::parse(1, 2, control).unwrap();
    let content = control.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for end in 0..content {
        assert_eq!(Feedback::parse(1, 2, &control[..end]), None, "{end} of {content}");
    }
    assert_eq!(full.arrivals.len(), 40);
    // One two-bit vector whose first symbol is 3; one run of 3.
    assert_eq!(Feedback::parse(1, 2, &[0, 0, 0, 1, 0, 0, 0, 0, 0xf0, 0, 9, 9]), None);
    assert_eq!(Feedback::parse(1, 2, &[0, 0, 0, 1, 0, 0, 0, 0, 0x60, 1, 9, 9]), None);
}

proptest! {
    #[test]
    fn what_the_sender_learns_is_what_happened(
        start_sequence: u16,
        packets in vec((
            // Delay in packets, lost or not, quarter milliseconds to the next.
            prop_oneof![12 => Just(0usize), 1 => 1usize..60],
            prop_oneof![9 => Just(false), 1 => Just(true)],
            prop_oneof![20 => 0u64..80, 2 => 200u64..2000, 1 => Just(40_000u64)],
        ), 1..400),
        poll_every in 1usize..60,
    ) {
        let mut order: Vec<(usize, u16)> = packets.iter().enumerate()
            .filter(|(_, (_, is_lost, _))| !is_lost)
            .map(|(at, (delay, _, _))| (at + delay, at as u16))
            .collect();
        order.sort_by_key(|(when, _)| *when);
        let first = order.first().map_or(0, |(_, at)| *at);
        let extended_first = SequenceUnwrapper::FIRST_CYCLE + u64::from(start_sequence.wrapping_add(first));
        let epoch = Instant::now();
        let mut now = epoch;
        let mut log = TransportCc::new();
        let mut truth = BTreeMap::new();
        let mut learnt: BTreeMap<u16, u32> = BTreeMap::new();
        let mut feedback_count = 0u8;
        let mut learn = |all: Vec<Feedback>, truth: &BTreeMap<u16, u32>| {
            for feedback in all {
                prop_assert_eq!(feedback.feedback_count, feedback_count);
                feedback_count = feedback_count.wrapping_add(1);
                prop_assert_eq!(
                    feedback.arrivals.last().map(|last| last.sequence),
                    Some(feedback.base.wrapping_add(feedback.count - 1))
                );
                for arrival in &feedback.arrivals {
                    prop_assert_eq!(truth.get(&arrival.sequence), Some(&arrival.ticks));
                    learnt.insert(arrival.sequence, arrival.ticks);
                }
                // Who is called missing is missing at that time, unless forgotten long ago.
                for at in 0..feedback.count {
                    let sequence = feedback.base.wrapping_add(at);
                    let is_told = feedback.arrivals.iter().any(|arrival| arrival.sequence == sequence);
                    prop_assert!(is_told || !truth.contains_key(&sequence), "{} came", sequence);
                }
            }
            Ok(())
        };
        for (at, (_, number)) in order.iter().enumerate() {
            let sequence = start_sequence.wrapping_add(*number);
            let extended = extended_first + u64::from(*number) - u64::from(first);
            // Stragglers from before the first, or from longer ago than is remembered, are let go.
            if extended >= log.first {
                truth.insert(sequence, ((now - epoch).as_micros() / 250) as u32);
            }
            log.arrived(now, sequence);
            now += Duration::from_micros(250) * packets[at].2 as u32;
            if at % poll_every == 0 {
                learn(poll_all(&mut log, now), &truth)?;
            }
        }
        learn(poll_all(&mut log, now + Duration::from_secs(1)), &truth)?;
        prop_assert_eq!(learnt, truth);
    }
}
