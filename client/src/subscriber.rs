//! A subscribe transport: answers the server's offer and keeps what arrives in its slots.

use crate::Error;
use crate::description::{Description, Section};
use crate::link::{Link, Local, Packet};
use protocol::Kind;
use sfu::rtcp::{self, Incoming, ReportBlock};
use sfu::rtp::Header;
use std::collections::VecDeque;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Packets kept until a test looks at them; the oldest go first.
const MAX_KEPT: usize = 100_000;
/// Our own SSRC in reports; nothing is sent on it.
const REPORTER: u32 = 1;

/// An m-line of the server's offer.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Its mid.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// SSRC of what it carries.
    pub ssrc: u32,
    /// SSRC of retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Payload type of VP8 or Opus there.
    pub payload_type: u8,
}

/// A packet as it arrived in a slot.
#[derive(Clone, Debug)]
pub struct Received {
    /// When.
    pub at: Instant,
    /// Index of the slot.
    pub slot: usize,
    /// What the slot carries.
    pub kind: Kind,
    /// Whether it came as a retransmission.
    pub is_retransmission: bool,
    /// Marker.
    pub marker: bool,
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number of its stream.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// The track that it belongs to.
    pub csrc: Option<u32>,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Received {
    /// Whether it begins a VP8 keyframe.
    pub fn is_keyframe(&self) -> bool {
        sfu::codec::vp8::is_keyframe(&self.payload)
    }
}

/// A sender report as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Stream.
    pub ssrc: u32,
    /// Wall clock as NTP.
    pub ntp: u64,
    /// The same moment in the stream's clock.
    pub rtp: u32,
}

/// A subscriber.
pub struct Subscriber {
    /// Its transport.
    pub link: Link,
    /// The m-lines of the offer.
    pub slots: Vec<Slot>,
    /// Id of the extension that numbers packets across the transport.
    pub transport_cc: Option<u8>,
    received: VecDeque<Received>,
    reports: Vec<Report>,
    packets: u64,
}

impl Subscriber {
    /// Takes an offer; also the answer to send back.
    pub fn answer(offer: &str, local: &Local) -> Result<(Self, String), Error> {
        let description = Description::read(offer)?;
        let subscriber = Self::of(&description, local)?;
        let slots = &subscriber.slots;
        let mids: Vec<&str> = slots.iter().map(|slot| slot.mid.as_str()).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            mids.join(" ")
        );
        for (section, slot) in description.sections.iter().zip(slots) {
            write_section(&mut sdp, section, slot, local);
        }
        Ok((subscriber, sdp))
    }

    /// Of what the server sends by its description.
    pub(crate) fn of(description: &Description, local: &Local) -> Result<Self, Error> {
        let slots: Vec<Slot> = description.sections.iter().filter_map(slot).collect();
        if slots.len() != description.sections.len() {
            return Err(Error::Answer("a slot without VP8 or Opus or SSRC".into()));
        }
        Ok(Self {
            link: Link::to(local, description)?,
            transport_cc: description
                .sections
                .iter()
                .find_map(|section| section.extension("transport-wide-cc-extensions-01")),
            slots,
            received: VecDeque::new(),
            reports: Vec::new(),
            packets: 0,
        })
    }

    /// Reads everything that waits.
    pub fn drive(&mut self) -> Result<(), Error> {
        let Self { link, slots, received, reports, packets, .. } = self;
        link.drive(&mut |packet| match packet {
            Packet::Rtp(packet) => {
                *packets += 1;
                if received.len() == MAX_KEPT {
                    received.pop_front();
                }
                received.extend(read(slots, packet));
            }
            Packet::Rtcp(compound) => {
                rtcp::parse(compound, |incoming| {
                    if let Incoming::SenderReport { ssrc, ntp, rtp, .. } = incoming {
                        reports.push(Report { ssrc, ntp, rtp });
                    }
                });
            }
        })
    }

    /// Drives until `enough` says so of all packets kept, which are then handed out.
    pub fn receive_until(
        &mut self,
        what: &'static str,
        enough: impl Fn(&[Received]) -> bool,
    ) -> Result<Vec<Received>, Error> {
        let end = Instant::now() + crate::socket::PATIENCE;
        loop {
            self.drive()?;
            if enough(self.received.make_contiguous()) {
                return Ok(self.drain());
            }
            if Instant::now() > end {
                return Err(Error::Timeout(what));
            }
            self.link.wait(Duration::from_millis(5));
        }
    }

    /// Packets kept so far.
    pub fn drain(&mut self) -> Vec<Received> {
        self.received.drain(..).collect()
    }

    /// Sender reports so far.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// RTP packets received in all.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Asks for a keyframe in a slot.
    pub fn ask_for_keyframe(&mut self, slot: usize) -> Result<(), Error> {
        let mut compound = self.empty_report();
        rtcp::write_pli(&mut compound, REPORTER, self.slots[slot].ssrc);
        self.link.send_rtcp(&mut compound)
    }

    /// Asks for packets of a slot again.
    pub fn ask_again(&mut self, slot: usize, sequences: &[u16]) -> Result<(), Error> {
        let mut compound = self.empty_report();
        rtcp::write_nack(&mut compound, REPORTER, self.slots[slot].ssrc, sequences);
        self.link.send_rtcp(&mut compound)
    }

    /// Reports on the slots, as browsers do every second.
    pub fn report(&mut self, blocks: &[ReportBlock]) -> Result<(), Error> {
        let mut compound = Vec::new();
        rtcp::write_receiver_report(&mut compound, REPORTER, blocks);
        self.link.send_rtcp(&mut compound)
    }

    fn empty_report(&self) -> Vec<u8> {
        let mut compound = Vec::new();
        rtcp::write_receiver_report(&mut compound, REPORTER, &[]);
        compound
    }
}

fn slot(section: &Section) -> Option<Slot> {
    let codec = match section.kind {
        Kind::Audio => "opus",
        Kind::Video => "VP8",
    };
    Some(Slot {
        mid: section.mid.clone(),
        kind: section.kind,
        ssrc: *section.ssrcs.first()?,
        rtx_ssrc: section.ssrcs.get(1).copied(),
        payload_type: section.payload_type(codec)?,
    })
}

fn write_section(sdp: &mut String, section: &Section, slot: &Slot, local: &Local) {
    let is_ours = |line: &str| {
        let Some((name, value)) = line.strip_prefix("a=").and_then(|a| a.split_once(':')) else {
            return false;
        };
        let is_payload = matches!(name, "rtpmap" | "rtcp-fb" | "fmtp");
        // Retransmissions are taken too: their fmtp names the payload type that they repeat.
        is_payload
            && (value.starts_with(&format!("{} ", slot.payload_type))
                || rtx_of(section, slot).is_some_and(|rtx| value.starts_with(&format!("{rtx} "))))
            || name == "extmap"
    };
    let (media, payloads) = match slot.kind {
        Kind::Audio => ("audio", slot.payload_type.to_string()),
        Kind::Video => match rtx_of(section, slot) {
            Some(rtx) => ("video", format!("{} {rtx}", slot.payload_type)),
            None => ("video", slot.payload_type.to_string()),
        },
    };
    write!(
        sdp,
        "m={media} 9 UDP/TLS/RTP/SAVPF {payloads}\r\nc=IN IP4 0.0.0.0\r\n{}a=mid:{}\r\n\
         a=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n",
        local.lines("active"),
        slot.mid
    )
    .expect("a String takes whatever is written");
    for line in section.lines.iter().filter(|line| is_ours(line)) {
        sdp.push_str(line);
        sdp.push_str("\r\n");
    }
}

/// Payload type of the retransmissions of the slot's codec.
fn rtx_of(section: &Section, slot: &Slot) -> Option<u8> {
    let apt = format!("apt={}", slot.payload_type);
    section.lines.iter().find_map(|line| {
        let (pt, parameters) = line.strip_prefix("a=fmtp:")?.split_once(' ')?;
        (parameters == apt).then(|| pt.parse().ok())?
    })
}

fn read(slots: &[Slot], packet: &[u8]) -> Option<Received> {
    let header = Header::parse(packet)?;
    let is_of = |slot: &Slot| slot.ssrc == header.ssrc || slot.rtx_ssrc == Some(header.ssrc);
    let slot = slots.iter().position(is_of)?;
    let is_retransmission = slots[slot].ssrc != header.ssrc;
    let payload = header.payload(packet);
    let (sequence, payload) = match payload.split_first_chunk::<2>() {
        Some((original, rest)) if is_retransmission => (u16::from_be_bytes(*original), rest),
        _ => (header.sequence, payload),
    };
    let has_csrc = packet[0] & 0x0f != 0;
    let csrc = packet.get(12..16).filter(|_| has_csrc);
    Some(Received {
        at: Instant::now(),
        slot,
        kind: slots[slot].kind,
        is_retransmission,
        marker: header.marker,
        payload_type: header.payload_type,
        sequence,
        timestamp: header.timestamp,
        csrc: csrc.map(|csrc| u32::from_be_bytes([csrc[0], csrc[1], csrc[2], csrc[3]])),
        payload: payload.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::{Offer, Publication};
    use sfu::credentials::{DtlsRole, Fingerprint, FingerprintHash, IceCredentials};
    use sfu::sdp::{self, SlotSpec};

    fn with_server<T>(run: impl FnOnce(&sdp::Local<'_>) -> T) -> T {
        let ice = IceCredentials { ufrag: "server".into(), pwd: "p".repeat(24) };
        let fingerprint = Fingerprint::of(FingerprintHash::Sha256, b"certificate");
        run(&sdp::Local {
            ice: &ice,
            fingerprint: &fingerprint,
            candidates: &[sfu::HostCandidate::udp(([127, 0, 0, 1], 10_000).into())],
            restarts: 0,
            session_id: 1,
            session_version: 1,
        })
    }

    #[test]
    fn the_server_understands_a_publishers_offer_and_the_publisher_its_answer() {
        with_server(|local| {
            let offer = Offer::new(Publication::default());
            let answer = sdp::answer_publish(&offer.sdp, local).unwrap();
            assert_eq!(answer.remote.role, DtlsRole::Server);
            assert_eq!(answer.sections.len(), 2);
            assert!(answer.sections.iter().all(|section| section.is_active));
            assert!(answer.sections[0].extensions.audio_level.is_some());
            assert_eq!(answer.sections[1].rtx_ssrcs.len(), 1);
            let publisher = offer.answered(&answer.sdp).unwrap();
            assert_eq!(publisher.link.server(), ([127, 0, 0, 1], 10_000).into());
        });
    }

    #[test]
    fn the_server_understands_a_subscribers_answer() {
        with_server(|local| {
            let slots: Vec<SlotSpec> = (0..4u32)
                .map(|k| SlotSpec {
                    mid: k.to_string(),
                    kind: if k < 2 { Kind::Audio } else { Kind::Video },
                    ssrc: 100 + k,
                    rtx_ssrc: 200 + k,
                    stream: format!("slot-{}", k % 2),
                    cname: format!("slot-{}", k % 2),
                })
                .collect();
            let offer = sdp::offer_subscribe(&slots, local);
            let (subscriber, answer) = Subscriber::answer(&offer, &Local::generate()).unwrap();
            let ssrcs: Vec<u32> = subscriber.slots.iter().map(|slot| slot.ssrc).collect();
            assert_eq!(ssrcs, [100, 101, 102, 103]);
            assert_eq!(subscriber.slots[2].rtx_ssrc, Some(202));
            let (remote, sections) = sdp::read_answer(&answer, &slots).unwrap();
            assert_eq!(remote.role, DtlsRole::Server);
            assert!(sections.iter().all(|section| section.accepted));
            assert!(sections[2].payloads[0].rtx.is_some());
            assert!(sections[0].extensions.transport_cc.is_some());
        });
    }
}
