//! Small SDPs for the tests of this module.

use super::Local;
use crate::credentials::{Fingerprint, FingerprintHash, IceCredentials};
use crate::path::HostCandidate;

/// Session lines and the transport of most samples.
pub(super) const SESSION: &str = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE a v\n";
pub(super) const TRANSPORT: &str = "a=ice-ufrag:ufrag\na=ice-pwd:password-of-22-letters\na=fingerprint:sha-256 \
    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\n\
    a=setup:actpass\na=rtcp-mux\n";
pub(super) const AUDIO: &str =
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:a\na=sendrecv\na=rtpmap:111 opus/48000/2\n";
pub(super) const VIDEO: &str =
    "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:v\na=sendrecv\na=rtpmap:96 VP8/90000\n";

/// Audio and video, each with the transport; lines that end with `\n` only.
pub(super) fn offer() -> String {
    format!("{SESSION}{AUDIO}{TRANSPORT}{VIDEO}{TRANSPORT}")
}

/// Our end.
pub(super) struct Server {
    ice: IceCredentials,
    fingerprint: Fingerprint,
    candidates: [HostCandidate; 2],
}

impl Server {
    pub(super) fn new() -> Self {
        let ice = IceCredentials { ufrag: "ours".into(), pwd: "our-password-of-24-chars".into() };
        let candidates = ["192.0.2.1:7000", "[2001:db8::1]:7000"]
            .map(|address| HostCandidate::udp(address.parse().expect("these are addresses")));
        Self { ice, fingerprint: Fingerprint::of(FingerprintHash::Sha256, b""), candidates }
    }

    pub(super) fn local(&self) -> Local<'_> {
        Local {
            ice: &self.ice,
            fingerprint: &self.fingerprint,
            candidates: &self.candidates,
            restarts: 0,
            session_id: 1,
            session_version: 1,
        }
    }
}
