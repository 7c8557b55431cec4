//! Held against `rtc-rtcp`, which was written by others from the same documents.

use super::*;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rtc_rtcp::packet::{Packet, marshal, unmarshal};
use rtc_rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::source_description::SourceDescription;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use std::collections::BTreeSet;

fn parsed(compound: &[u8]) -> Vec<Incoming> {
    let mut all = Vec::new();
    parse(compound, |incoming| all.push(incoming));
    all
}

/// What the other implementation reads.
fn read_by_other(compound: &[u8]) -> Vec<Box<dyn Packet>> {
    unmarshal(&mut Bytes::copy_from_slice(compound)).unwrap()
}

fn only<T: 'static + Clone>(compound: &[u8]) -> T {
    let packets = read_by_other(compound);
    assert_eq!(packets.len(), 1);
    packets[0].as_any().downcast_ref::<T>().unwrap().clone()
}

fn other_block(block: &ReportBlock) -> ReceptionReport {
    ReceptionReport {
        ssrc: block.ssrc,
        fraction_lost: block.fraction_lost,
        total_lost: block.cumulative_lost as u32 & 0xff_ffff,
        last_sequence_number: block.highest_sequence,
        jitter: block.jitter,
        last_sender_report: block.last_sr,
        delay: block.delay_since_last_sr,
    }
}

prop_compose! {
    fn block()(
        ssrc: u32, fraction_lost: u8, cumulative_lost in -0x80_0000i32..0x80_0000,
        highest_sequence: u32, jitter: u32, last_sr: u32, delay_since_last_sr: u32,
    ) -> ReportBlock {
        ReportBlock {
            ssrc, fraction_lost, cumulative_lost, highest_sequence, jitter, last_sr, delay_since_last_sr,
        }
    }
}

prop_compose! {
    fn sender_report()(ssrc: u32, ntp: u64, rtp: u32, packets: u32, octets: u32) -> SenderReport {
        SenderReport { ssrc, ntp, rtp, packets, octets }
    }
}

proptest! {
    #[test]
    fn reports_are_read_alike_here_and_there(report in sender_report(), blocks in vec(block(), 0..32)) {
        let mut out = Vec::new();
        write_sender_report(&mut out, &report, &blocks);
        let other: rtc_rtcp::sender_report::SenderReport = only(&out);
        prop_assert_eq!(other.ssrc, report.ssrc);
        prop_assert_eq!(other.ntp_time, report.ntp);
        prop_assert_eq!(other.rtp_time, report.rtp);
        prop_assert_eq!(other.packet_count, report.packets);
        prop_assert_eq!(other.octet_count, report.octets);
        prop_assert_eq!(&other.reports, &blocks.iter().map(other_block).collect::<Vec<_>>());

        let SenderReport { ssrc, ntp, rtp, packets, octets } = report;
        let mut expected = vec![Incoming::SenderReport { ssrc, ntp, rtp, packets, octets }];
        if !blocks.is_empty() {
            expected.push(Incoming::ReceiverReport { ssrc, blocks: blocks.clone() });
        }
        prop_assert_eq!(parsed(&out), expected);

        out.clear();
        write_receiver_report(&mut out, ssrc, &blocks);
        let other: rtc_rtcp::receiver_report::ReceiverReport = only(&out);
        prop_assert_eq!(other.ssrc, ssrc);
        prop_assert_eq!(&other.reports, &blocks.iter().map(other_block).collect::<Vec<_>>());
        prop_assert_eq!(parsed(&out), vec![Incoming::ReceiverReport { ssrc, blocks }]);
    }

    #[test]
    fn a_nack_names_exactly_what_was_asked_for(
        start: u16,
        steps in vec(prop_oneof![1u16..4, 1u16..40, Just(16), Just(17), Just(18)], 1..400),
        sender: u32, ssrc: u32,
    ) {
        let mut sequence = start;
        let sequences: Vec<u16> = steps.iter().map(|step| {
            sequence = sequence.wrapping_add(*step);
            sequence
        }).collect();
        let mut out = Vec::new();
        write_nack(&mut out, sender, ssrc, &sequences);

        let mut here = Vec::new();
        for incoming in parsed(&out) {
            let Incoming::Nack { sender: from, ssrc: of, sequences } = incoming else { panic!("a NACK") };
            prop_assert_eq!((from, of), (sender, ssrc));
            here.extend(sequences);
        }
        prop_assert_eq!(&here, &sequences);

        let mut there = Vec::new();
        for packet in read_by_other(&out) {
            let nack = packet.as_any().downcast_ref::<TransportLayerNack>().unwrap();
            prop_assert!(nack.nacks.len() <= 250);
            there.extend(nack.nacks.iter().flat_map(NackPair::packet_list));
        }
        prop_assert_eq!(&there, &sequences);
    }

    #[test]
    fn a_nack_in_any_order_names_the_same(sequences in vec(any::<u16>(), 1..100)) {
        let mut out = Vec::new();
        write_nack(&mut out, 1, 2, &sequences);
        let mut named = BTreeSet::new();
        parse(&out, |incoming| if let Incoming::Nack { sequences, .. } = incoming {
            named.extend(sequences);
        });
        prop_assert_eq!(named, sequences.into_iter().collect::<BTreeSet<_>>());
    }

    #[test]
    fn remb_is_right_to_18_bits(bitrate in prop_oneof![0u64..10_000_000, any::<u64>()], ssrcs in vec(any::<u32>(), 0..5)) {
        let mut out = Vec::new();
        write_remb(&mut out, 7, bitrate, &ssrcs);
        let all = parsed(&out);
        let [Incoming::Remb { sender: 7, bitrate: read, ssrcs: named }] = &all[..] else { panic!("{all:?}") };
        prop_assert_eq!(named, &ssrcs);
        prop_assert!(*read <= bitrate && bitrate - read <= bitrate >> 17, "{} became {}", bitrate, read);
        let other: ReceiverEstimatedMaximumBitrate = only(&out);
        prop_assert_eq!(other.bitrate, *read as f32);
        prop_assert_eq!(other.ssrcs, ssrcs);
    }

    #[test]
    fn garbage_is_skipped(mut bytes in vec(any::<u8>(), 0..200), format in 0u8..32, kind in 199u8..208) {
        parse(&bytes, |_| {});
        // The same behind a head that leads into each parser.
        bytes.truncate(bytes.len() / 4 * 4);
        let words = (bytes.len() / 4) as u8;
        for padding in [0, 0x20] {
            let mut packet = vec![0x80 | padding | format, kind, 0, words];
            packet.extend_from_slice(&bytes);
            for end in 0..=packet.len() {
                parse(&packet[..end], |_| {});
            }
        }
    }

    #[test]
    fn every_prefix_and_every_flipped_byte_of_a_compound_is_survived(
        report in sender_report(), blocks in vec(block(), 1..3), flip: u8,
    ) {
        let mut out = Vec::new();
        write_sender_report(&mut out, &report, &blocks);
        write_sdes_cname(&mut out, report.ssrc, "someone");
        write_nack(&mut out, 1, 2, &[1, 5, 65_535]);
        write_pli(&mut out, 1, 2);
        write_fir(&mut out, 1, 2, 3);
        write_remb(&mut out, 1, 500_000, &[2]);
        write_bye(&mut out, &[report.ssrc]);
        prop_assert_eq!(parsed(&out).len(), 7);
        prop_assert_eq!(read_by_other(&out).len(), 7);
        for end in 0..out.len() {
            prop_assert!(parsed(&out[..end]).len() <= 7);
            let mut broken = out.clone();
            broken[end] ^= flip;
            parse(&broken, |_| {});
        }
    }
}

#[test]
fn what_the_other_writes_is_read() {
    let packets: Vec<Box<dyn Packet>> = vec![
        Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 2 }),
        Box::new(FullIntraRequest {
            sender_ssrc: 1,
            media_ssrc: 0,
            fir: vec![
                FirEntry { ssrc: 2, sequence_number: 9 },
                FirEntry { ssrc: 3, sequence_number: 1 },
            ],
        }),
        Box::new(ReceiverEstimatedMaximumBitrate {
            sender_ssrc: 1,
            bitrate: 1_000_000.0,
            ssrcs: vec![2],
        }),
        Box::new(TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: 2,
            nacks: vec![NackPair { packet_id: 65_534, lost_packets: 0b1000_0000_0000_0101 }],
        }),
        Box::new(rtc_rtcp::goodbye::Goodbye {
            sources: vec![2, 3],
            reason: Bytes::from_static(b"tired"),
        }),
    ];
    assert_eq!(
        parsed(&marshal(&packets).unwrap()),
        [
            Incoming::Pli { sender: 1, ssrc: 2 },
            Incoming::Fir { sender: 1, ssrcs: vec![2, 3] },
            Incoming::Remb { sender: 1, bitrate: 1_000_000, ssrcs: vec![2] },
            Incoming::Nack { sender: 1, ssrc: 2, sequences: vec![65_534, 65_535, 1, 14] },
            Incoming::Bye { ssrcs: vec![2, 3] },
        ]
    );
}

#[test]
fn one_packet_that_makes_no_sense_does_not_cost_the_others() {
    let mut out = Vec::new();
    write_pli(&mut out, 1, 2);
    // A NACK without entries, padding longer than its packet, an unknown type.
    out.extend_from_slice(&[0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    out.extend_from_slice(&[0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 99]);
    out.extend_from_slice(&[0x80, 210, 0, 1, 9, 9, 9, 9]);
    write_pli(&mut out, 1, 3);
    assert_eq!(
        parsed(&out),
        [Incoming::Pli { sender: 1, ssrc: 2 }, Incoming::Pli { sender: 1, ssrc: 3 }]
    );
}

#[test]
fn padding_of_the_last_packet_is_not_content() {
    let mut bye = vec![0xa2, 203, 0, 2, 0, 0, 0, 5, 0, 0, 0, 4];
    assert_eq!(parsed(&bye), [Incoming::Bye { ssrcs: vec![5] }]);
    bye[0] = 0x82;
    assert_eq!(parsed(&bye), [Incoming::Bye { ssrcs: vec![5, 4] }]);
}

#[test]
fn lists_are_bounded() {
    let mut nack = Vec::new();
    let sequences: Vec<u16> = (0..250 * 17).collect();
    write_nack(&mut nack, 1, 2, &sequences);
    let all = parsed(&nack);
    let [Incoming::Nack { sequences, .. }] = &all[..] else { panic!("{all:?}") };
    assert_eq!(sequences.len(), MAX_NACKED);

    let mut fir = vec![0x84, 206, 1, 0x92];
    fir.resize(4 + 4 * 0x192, 1);
    let all = parsed(&fir);
    assert!(matches!(&all[..], [Incoming::Fir { ssrcs, .. }] if ssrcs.len() == MAX_SSRCS));

    let blocks = vec![ReportBlock { ssrc: 1, ..Default::default() }; 70];
    let mut reports = Vec::new();
    write_receiver_report(&mut reports, 9, &blocks);
    let lens: Vec<usize> = parsed(&reports)
        .into_iter()
        .map(|incoming| match incoming {
            Incoming::ReceiverReport { ssrc: 9, blocks } => blocks.len(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lens, [31, 31, 8]);

    let mut out = Vec::new();
    write_bye(&mut out, &[7; 40]);
    write_sdes_cname(&mut out, 1, &"я".repeat(200));
    assert_eq!(parsed(&out), [Incoming::Bye { ssrcs: vec![7; 31] }]);
    assert_eq!(read_by_other(&out).len(), 2);
}

#[test]
fn a_cname_of_any_length_ends_with_a_zero_and_fills_its_words() {
    for len in 0..9 {
        let cname = &"abcdefghi"[..len];
        let mut out = Vec::new();
        write_sdes_cname(&mut out, 0x0102_0304, cname);
        assert_eq!(out.len() % 4, 0);
        assert_eq!(*out.last().unwrap(), 0);
        let other: SourceDescription = only(&out);
        assert_eq!(other.chunks[0].source, 0x0102_0304);
        assert_eq!(other.chunks[0].items[0].text, cname.as_bytes());
    }
}

#[test]
fn what_cannot_be_read_is_counted() {
    let ignored = |compound: &[u8]| parse(compound, |_| {});
    let mut good = Vec::new();
    write_receiver_report(&mut good, 1, &[]);
    write_remb(&mut good, 1, 500_000, &[2]);
    write_pli(&mut good, 1, 2);
    assert_eq!(ignored(&good), 0);
    assert_eq!(ignored(&good[..good.len() - 4]), 1, "one breaks off");
    assert_eq!(ignored(&[good.as_slice(), &[0x80, 201]].concat()), 1, "half a head");
    let mut other = good.clone();
    other[0] = 0x40;
    assert_eq!(ignored(&other), 1, "of another version, and nothing behind it is found");
    let empty = [0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    assert_eq!(ignored(&[&empty, good.as_slice(), &empty].concat()), 2, "NACKs of nothing");
    let unknown = [0x80, 207, 0, 1, 0, 0, 0, 1];
    assert_eq!(ignored(&[&unknown, good.as_slice()].concat()), 0, "others may understand it");
}

#[test]
fn an_absurd_remb_is_the_greatest_bitrate() {
    let mut out = Vec::new();
    write_remb(&mut out, 1, 1, &[]);
    out[17..20].copy_from_slice(&[0xff, 0xff, 0xff]);
    assert_eq!(parsed(&out), [Incoming::Remb { sender: 1, bitrate: u64::MAX, ssrcs: vec![] }]);
}
