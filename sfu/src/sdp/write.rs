//! The text of offers and answers.

use super::description::{ALLOWS_MIXED, Section};
use super::transport::Bundle;
use super::{Feedback, Local};
use crate::credentials::DtlsRole;
use crate::format::{Codec, Payload};
use crate::path::Carrier;
use std::fmt;
use std::fmt::Write;

/// An SDP that is being written, line by line.
pub(super) struct Writer<'a> {
    text: String,
    local: &'a Local<'a>,
}

/// `a=setup` that we write.
#[derive(Clone, Copy, Debug)]
pub(super) enum OurSetup {
    Actpass,
    As(DtlsRole),
}

impl<'a> Writer<'a> {
    /// Begins an SDP; `mids` are those of the BUNDLE group, where one is said.
    pub(super) fn begin(local: &'a Local<'a>, mids: Option<&[String]>) -> Self {
        let mut writer = Self { text: String::with_capacity(4096), local };
        writer.line(format_args!("v=0"));
        writer.line(format_args!(
            "o=- {} {} IN IP4 127.0.0.1",
            local.session_id, local.session_version
        ));
        writer.line(format_args!("s=-"));
        writer.line(format_args!("t=0 0"));
        writer.line(format_args!("a=ice-lite"));
        if let Some(mids) = mids
            && !mids.is_empty()
        {
            writer.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
        }
        writer.line(format_args!("a=msid-semantic: WMS *"));
        writer
    }

    /// Writes one line.
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a String takes whatever is written");
        self.text.push_str("\r\n");
    }

    /// The m-line of a section that is used, with what its transport needs.
    ///
    /// Candidates stand in the first section of a BUNDLE group only, as browsers write them.
    pub(super) fn section(
        &mut self,
        media: &str,
        protocol: &str,
        payloads: &[Payload],
        setup: OurSetup,
        has_candidates: bool,
    ) {
        write!(self.text, "m={media} 9 {protocol}").expect("a String takes whatever is written");
        for pt in payloads.iter().flat_map(|payload| [Some(payload.pt), payload.rtx]).flatten() {
            write!(self.text, " {pt}").expect("a String takes whatever is written");
        }
        self.text.push_str("\r\n");
        self.transport(setup);
        let local = self.local;
        if has_candidates {
            for (index, candidate) in local.candidates.iter().enumerate() {
                let (transport, tcp_type) = match candidate.carrier {
                    Carrier::Udp => ("udp", ""),
                    Carrier::Tcp => ("tcp", " tcptype passive"),
                    // Relayed addresses are the client's own candidates.
                    Carrier::Relay => continue,
                };
                self.line(format_args!(
                    "a=candidate:{} 1 {transport} {} {} {} typ host{tcp_type}",
                    index + 1,
                    priority(candidate.carrier, index, local.restarts),
                    candidate.address.ip(),
                    candidate.address.port()
                ));
            }
            self.line(format_args!("a=end-of-candidates"));
        }
        self.line(format_args!("a=rtcp-mux"));
        self.line(format_args!("a=rtcp-rsize"));
    }

    fn transport(&mut self, setup: OurSetup) {
        let local = self.local;
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=ice-ufrag:{}", local.ice.ufrag));
        self.line(format_args!("a=ice-pwd:{}", local.ice.pwd));
        self.line(format_args!("a=fingerprint:{}", local.fingerprint));
        let setup = match setup {
            OurSetup::Actpass => "actpass",
            OurSetup::As(DtlsRole::Server) => "passive",
            OurSetup::As(DtlsRole::Client) => "active",
        };
        self.line(format_args!("a=setup:{setup}"));
    }

    /// The m-line of an answer, with its mid.
    pub(super) fn answered(&mut self, section: &Section, payloads: &[Payload], bundle: &Bundle) {
        let setup = OurSetup::As(bundle.remote.role);
        let has_candidates = bundle.has_candidates(section);
        self.section(&section.media, &section.protocol, payloads, setup, has_candidates);
        self.mid(section);
    }

    /// The m-line of a section that is not used. It names the transport all the same: aiortc refuses
    /// an answer where any m-line does not.
    pub(super) fn rejected(&mut self, section: &Section, bundle: &Bundle) {
        self.line(format_args!(
            "m={} 0 {} {}",
            section.media,
            section.protocol,
            section.formats.join(" ")
        ));
        self.transport(OurSetup::As(bundle.remote.role));
        self.mid(section);
        self.line(format_args!("a=inactive"));
    }

    /// `a=mid`, where the offer has one.
    fn mid(&mut self, section: &Section) {
        if section.has_mid {
            self.line(format_args!("a=mid:{}", section.mid));
        }
    }

    /// Both forms of header extensions may come: the structure in front of AV1's keyframes is too long for the short
    /// one, and left out without this.
    pub(super) fn mixed_extensions(&mut self) {
        self.line(format_args!("a={ALLOWS_MIXED}"));
    }

    /// All lines of a payload type and of its retransmissions.
    pub(super) fn format(&mut self, payload: Payload, parameters: &str, feedback: Feedback) {
        let pt = payload.pt;
        self.line(format_args!("a=rtpmap:{pt} {}", encoding(payload.codec)));
        for words in feedback.words() {
            self.line(format_args!("a=rtcp-fb:{pt} {words}"));
        }
        if !parameters.is_empty() {
            self.line(format_args!("a=fmtp:{pt} {parameters}"));
        }
        if let Some(rtx) = payload.rtx {
            self.line(format_args!("a=rtpmap:{rtx} rtx/{}", payload.codec.clock_rate()));
            self.line(format_args!("a=fmtp:{rtx} apt={pt}"));
        }
    }

    /// The SDP.
    pub(super) fn finish(self) -> String {
        self.text
    }
}

fn encoding(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus/48000/2",
        Codec::Red => "red/48000/2",
        Codec::Vp8 => "VP8/90000",
        Codec::Vp9 { .. } => "VP9/90000",
        Codec::Av1 { .. } => "AV1/90000",
        Codec::H264 { .. } => "H264/90000",
    }
}

/// Priority of a host candidate (RFC 8445 §5.1.2.1); earlier ones are preferred, and datagrams to any
/// stream: a stream is for where nothing else passes, as one lost packet holds up all behind it.
///
/// It grows with each restart of ICE, and stays below those of browsers' own host candidates, so that it is the part of a pair's
/// priority that counts: Chromium leaves a pair for a new one at once where the new one has more, and else when nothing has
/// come over the old one for three and a half seconds.
fn priority(carrier: Carrier, index: usize, restarts: u32) -> u32 {
    let kind = match carrier {
        Carrier::Udp => UDP_HOST,
        Carrier::Tcp | Carrier::Relay => TCP_HOST,
    };
    let place = PLACES - 1 - u32::try_from(index).unwrap_or(u32::MAX).min(PLACES - 1);
    let local = FIRST_LOCAL + restarts.min(MAX_RESTARTS) * PLACES + place;
    (kind << 24) | (local << 8) | 255
}

/// Type preference of host candidates (RFC 8445 §5.1.2.2).
const UDP_HOST: u32 = 126;
/// Below every UDP candidate that a browser may have (server reflexive ones have 100), above relays.
const TCP_HOST: u32 = 90;
/// Local preference of the last candidate before any restart.
const FIRST_LOCAL: u32 = 0x1000;
/// Candidates that are told apart.
const PLACES: u32 = 32;
/// Restarts that are told apart. With more, a candidate would come before Chromium's own, which begin at 0x7d1e with three
/// networks and have 0x100 less for each more.
const MAX_RESTARTS: u32 = 0x300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_datagram_path_comes_before_any_stream() {
        for (before, after) in [(0, 0), (0, MAX_RESTARTS)] {
            let lowest_udp = priority(Carrier::Udp, 31, before);
            assert!(priority(Carrier::Udp, 0, before) > lowest_udp);
            assert!(lowest_udp > priority(Carrier::Tcp, 0, after));
            assert!(priority(Carrier::Tcp, 0, before) > priority(Carrier::Tcp, 1, before));
            assert!(priority(Carrier::Tcp, 31, before) > 0);
        }
    }

    #[test]
    fn a_way_of_a_restart_comes_before_any_of_before_and_none_before_the_browsers_own() {
        let chromium =
            |kind: u32, network: u32| (kind << 24) | ((0x7f1e - 0x100 * network) << 8) | 255;
        for (carrier, kind) in [(Carrier::Udp, UDP_HOST), (Carrier::Tcp, TCP_HOST)] {
            for restarts in [0, 1, 10, MAX_RESTARTS - 1] {
                assert!(priority(carrier, 40, restarts + 1) > priority(carrier, 0, restarts));
            }
            assert!(priority(carrier, 0, u32::MAX) < chromium(kind, 4));
        }
    }
}
