//! A client of the media plane in a world without sockets: its own transport, SDP by hand.

#[path = "remb_receiver.rs"]
pub mod remb_receiver;
#[path = "viewer.rs"]
pub mod viewer;

use protocol::media::TrackOffer;
use protocol::{Kind, Source};
use remb_receiver::RembReceiver;
use sfu::Identity;
use sfu::credentials::{DtlsRole, IceCredentials, RemoteParameters};
use sfu::rtp::{self, Header, Outgoing};
use sfu::sequence::SequenceUnwrapper;
use sfu::transport::client::ConnectivityChecks;
use sfu::transport::stun::{self, TransactionId};
use sfu::transport::{Arrival, Transport};
use sfu::twcc::TransportCc;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use viewer::Viewer;

/// One end of one transport.
pub struct Client {
    pub address: SocketAddr,
    pub transport: Transport,
    pub rtp: Vec<Vec<u8>>,
    pub rtcp: Vec<Vec<u8>>,
    identity: Identity,
    local: IceCredentials,
    checks: Option<ConnectivityChecks>,
    server: SocketAddr,
    /// When it makes sure that its path is good.
    pub next_check: Instant,
    checks_sent: u8,
    sent: HashMap<u32, u64>,
    /// Tells the server when packets arrive, once it is there.
    pub feedback: Option<TransportCc>,
    /// Says what it can take instead, from before its SDP on.
    pub remb: Option<RembReceiver>,
    /// When each RTP packet came.
    pub arrivals: Vec<Instant>,
    /// Whether its SDP has redundant sound.
    pub has_red: bool,
    /// Whether its pictures are AV1 with descriptors.
    pub has_av1: bool,
    /// Watches the video slot, once it is there.
    pub viewer: Option<Viewer>,
}

impl Client {
    pub fn new(peer: u64, port: u16, server: SocketAddr, identity: Identity, now: Instant) -> Self {
        let local = IceCredentials {
            ufrag: format!("client{peer}"),
            pwd: format!("aPasswordOfTheClient{peer:04}"),
        };
        let transport = Transport::new(&identity, local.clone(), DtlsRole::Client, now);
        Self {
            address: SocketAddr::from(([10, (peer >> 8) as u8, 0, peer as u8], port)),
            transport,
            rtp: Vec::new(),
            rtcp: Vec::new(),
            identity,
            local,
            checks: None,
            server,
            next_check: now,
            checks_sent: 0,
            sent: HashMap::new(),
            feedback: None,
            remb: None,
            arrivals: Vec::new(),
            has_red: false,
            has_av1: false,
            viewer: None,
        }
    }

    /// An offer with one m-line per source.
    pub fn offer(&self, sources: &[(Source, u32)]) -> (String, Vec<TrackOffer>) {
        let mids: Vec<String> = (0..sources.len()).map(|i| i.to_string()).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            mids.join(" ")
        );
        for (mid, (source, ssrc)) in mids.iter().zip(sources) {
            sdp += &self.section(mid, source.kind(), "sendonly");
            sdp += &format!("a=ssrc:{ssrc} cname:c\r\n");
        }
        let tracks = mids.into_iter().zip(sources);
        let tracks = tracks.map(|(mid, (source, _))| TrackOffer { mid, source: *source }).collect();
        (sdp, tracks)
    }

    /// An answer that takes every m-line of an offer.
    pub fn answer(&self, offer: &str) -> String {
        let mids: Vec<(Kind, &str)> = offer
            .split("\nm=")
            .skip(1)
            .map(|section| {
                let kind = if section.starts_with("audio") { Kind::Audio } else { Kind::Video };
                (kind, value(section, "a=mid:").expect("a mid"))
            })
            .collect();
        let bundle: Vec<&str> = mids.iter().map(|(_, mid)| *mid).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            bundle.join(" ")
        );
        for (kind, mid) in mids {
            sdp += &self.section(mid, kind, "recvonly").replace("actpass", "active");
        }
        sdp
    }

    fn section(&self, mid: &str, kind: Kind, direction: &str) -> String {
        let media = match kind {
            Kind::Audio if self.has_red => {
                "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=rtpmap:111 opus/48000/2\r\n\
                            a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n\
                            a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
                            a=rtcp-fb:111 transport-cc\r\n"
            }
            Kind::Audio => {
                "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n\
                            a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
                            a=rtcp-fb:111 transport-cc\r\n"
            }
            Kind::Video if self.has_av1 => {
                "m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\na=rtpmap:102 AV1/90000\r\n\
                            a=fmtp:102 profile=0\r\n\
                            a=rtcp-fb:102 nack\r\na=rtcp-fb:102 nack pli\r\n\
                            a=rtcp-fb:102 transport-cc\r\n\
                            a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n\
                            a=extmap-allow-mixed\r\na=extmap:6 https://aomediacodec.github.io/av1-rtp-spec/\
                            #dependency-descriptor-rtp-header-extension\r\n"
            }
            Kind::Video => {
                "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\n\
                            a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                            a=rtcp-fb:96 transport-cc\r\n\
                            a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
            }
        };
        // Who estimates their link themselves is told when packets leave.
        let (media, stamp) = match self.remb {
            Some(_) => (
                media.replace("transport-cc", "goog-remb"),
                "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            ),
            None => (
                media.to_owned(),
                "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            ),
        };
        let own = match (kind, direction) {
            (Kind::Audio, _) => "",
            (Kind::Video, "recvonly") => {
                "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n"
            }
            (Kind::Video, _) => "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n",
        };
        format!(
            "{media}{own}{stamp}\r\n\
             c=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na={direction}\r\na=rtcp-mux\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:{}\r\na=setup:actpass\r\n",
            self.local.ufrag,
            self.local.pwd,
            self.identity.fingerprint()
        )
    }

    /// Learns the server's side from its offer or answer.
    pub fn connect(&mut self, now: Instant, sdp: &str) {
        let ice = IceCredentials {
            ufrag: value(sdp, "a=ice-ufrag:").expect("ufrag").into(),
            pwd: value(sdp, "a=ice-pwd:").expect("pwd").into(),
        };
        let fingerprint = value(sdp, "a=fingerprint:").expect("fingerprint").parse();
        self.checks = Some(ConnectivityChecks::new(&self.local, &ice, 7));
        let fingerprint = fingerprint.expect("a usable fingerprint");
        self.transport
            .set_remote(now, RemoteParameters { ice, fingerprint, role: DtlsRole::Client });
    }

    /// Takes a datagram from the server.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        if stun::is_stun(datagram) {
            if self.checks.as_ref().is_some_and(|checks| checks.answer(datagram).is_some()) {
                self.transport.accept(now, self.server.into());
            }
            return;
        }
        let mut datagram = datagram.to_vec();
        match self.transport.receive(now, self.server.into(), &mut datagram) {
            Arrival::Nothing => {}
            Arrival::Rtp(packet) => {
                let number = Header::parse(packet).and_then(|h| h.extension(packet, 3));
                if let (Some(log), Some(&[high, low])) = (&mut self.feedback, number) {
                    log.arrived(now, u16::from_be_bytes([high, low]));
                }
                if let Some(remb) = &mut self.remb {
                    remb.received(now, packet);
                }
                // Padding is for the estimate alone.
                if Header::parse(packet).is_none_or(|h| !h.payload(packet).is_empty()) {
                    if let Some(viewer) = &mut self.viewer {
                        viewer.receive(now, packet);
                    }
                    self.arrivals.push(now);
                    self.rtp.push(packet.to_vec());
                }
            }
            Arrival::Rtcp(compound) => self.rtcp.push(compound.to_vec()),
        }
    }

    /// What it sends by itself: checks and DTLS.
    pub fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if let Some(checks) = &self.checks
            && now >= self.next_check
        {
            self.next_check = now + Duration::from_millis(200);
            self.checks_sent = self.checks_sent.wrapping_add(1);
            out.push(checks.request(TransactionId([self.checks_sent; 12]), true));
        }
        if self.transport.poll_timeout().is_some_and(|at| at <= now) {
            self.transport.handle_timeout(now);
        }
        while let Some((_, datagram)) = self.transport.poll_transmit() {
            out.push(datagram);
        }
        while self.transport.poll_event().is_some() {}
        let mut compound = Vec::new();
        while self.feedback.as_mut().is_some_and(|log| log.poll(now, 1, 2, &mut compound)) {
            self.transport.seal_rtcp(&mut compound, 0);
            out.push(std::mem::take(&mut compound));
        }
        if let Some(mut compound) = self.remb.as_mut().and_then(|remb| remb.poll(now)) {
            self.transport.seal_rtcp(&mut compound, 0);
            out.push(compound);
        }
        let mut asked = self.viewer.as_mut().map(|viewer| viewer.poll(now)).unwrap_or_default();
        if !asked.is_empty() {
            self.transport.seal_rtcp(&mut asked, 0);
            out.push(asked);
        }
        out
    }

    /// Seals an RTP packet of one of its SSRCs.
    pub fn send(&mut self, ssrc: u32, timestamp: u32, media: &Media) -> Vec<u8> {
        let sequence = self.sent.entry(ssrc).or_insert(100);
        *sequence += 1;
        let index = *sequence;
        self.seal(ssrc, index, timestamp, media)
    }

    pub fn seal(&mut self, ssrc: u32, index: u64, timestamp: u32, media: &Media) -> Vec<u8> {
        let level = [media.level];
        let rid = media.rid.unwrap_or_default();
        let extensions: &[(u8, &[u8])] = match (media.payload_type, media.rid) {
            (111 | 63, _) => &[(1, &level)],
            (102, _) => &[(6, &media.descriptor)],
            (_, Some(_)) => &[(5, rid.as_bytes())],
            _ => &[],
        };
        let mut packet = Vec::new();
        let header_len = rtp::write_header(
            &mut packet,
            &Outgoing {
                marker: media.marker,
                payload_type: media.payload_type,
                sequence: index as u16,
                timestamp,
                ssrc,
                csrc: 0,
                extensions,
            },
        );
        packet.extend_from_slice(&media.payload);
        self.transport.seal_rtp(&mut packet, 0, header_len, index);
        packet
    }

    /// Seals a compound.
    pub fn seal_rtcp(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut compound = Vec::new();
        write(&mut compound);
        self.transport.seal_rtcp(&mut compound, 0);
        compound
    }

    /// Extended sequence numbers received on an SSRC, in order of arrival.
    pub fn sequences(&self, ssrc: u32) -> Vec<u64> {
        let mut unwrapper = SequenceUnwrapper::new();
        let headers = self.rtp.iter().filter_map(|packet| Header::parse(packet));
        headers.filter(|h| h.ssrc == ssrc).map(|h| unwrapper.unwrap(h.sequence)).collect()
    }
}

/// What a packet carries.
#[derive(Clone, Default)]
pub struct Media {
    pub payload_type: u8,
    pub level: u8,
    pub payload: Vec<u8>,
    pub marker: bool,
    /// Simulcast layer.
    pub rid: Option<&'static str>,
    /// Of AV1: what it says of its frame.
    pub descriptor: Vec<u8>,
}

impl Media {
    /// An Opus packet as loud as that many -dBov.
    pub fn voice(level: u8) -> Self {
        Self {
            payload_type: 111,
            level: 0x80 | level,
            payload: vec![0x78; 80],
            marker: true,
            rid: None,
            descriptor: Vec::new(),
        }
    }

    /// A VP8 frame in one packet with a 15-bit picture id.
    pub fn vp8(is_keyframe: bool, picture_id: u16) -> Self {
        let id = (0x8000 | picture_id).to_be_bytes();
        let mut payload = vec![0x90, 0x80, id[0], id[1], u8::from(!is_keyframe), 0, 0];
        if is_keyframe {
            payload.extend([0x9d, 0x01, 0x2a, 64, 0, 64, 0]);
        }
        payload.resize(300, 0x55);
        Self { payload_type: 96, payload, marker: true, ..Self::default() }
    }
}

/// The first line with this prefix, without it.
pub fn value<'a>(sdp: &'a str, prefix: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.trim().strip_prefix(prefix))
}
