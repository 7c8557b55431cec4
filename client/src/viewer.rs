//! A viewer by WHEP: it offers what it would receive, one sound and one picture, and becomes a subscriber with the answer.

use crate::Error;
use crate::description::Description;
use crate::link::Local;
use crate::subscriber::Subscriber;
use rand::random;

const OPUS: u8 = 111;
const VP8: u8 = 96;
const VP8_RTX: u8 = 97;
const TRANSPORT_CC: u8 = 3;

/// The offer of a viewer, before its answer.
pub struct Viewer {
    local: Local,
    /// SDP.
    pub sdp: String,
}

impl Viewer {
    /// An offer with fresh credentials.
    pub fn generate() -> Self {
        let local = Local::generate();
        let section = |mid: u8, media: &str, formats: &str| {
            format!(
                "m={media}\r\nc=IN IP4 0.0.0.0\r\n{}a=mid:{mid}\r\na=recvonly\r\na=rtcp-mux\r\n\
                 a=extmap:{TRANSPORT_CC} http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
                 {formats}",
                local.lines("actpass")
            )
        };
        let sound = section(
            0,
            &format!("audio 9 UDP/TLS/RTP/SAVPF {OPUS}"),
            &format!("a=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} transport-cc\r\n"),
        );
        let picture = section(
            1,
            &format!("video 9 UDP/TLS/RTP/SAVPF {VP8} {VP8_RTX}"),
            &format!(
                "a=rtpmap:{VP8} VP8/90000\r\na=rtcp-fb:{VP8} nack\r\na=rtcp-fb:{VP8} nack pli\r\n\
                 a=rtcp-fb:{VP8} transport-cc\r\na=rtpmap:{VP8_RTX} rtx/90000\r\na=fmtp:{VP8_RTX} apt={VP8}\r\n"
            ),
        );
        let sdp = format!(
            "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n{sound}{picture}",
            random::<u32>()
        );
        Self { local, sdp }
    }

    /// The subscriber, once the server has answered; its link has not begun.
    pub fn answered(self, answer: &str) -> Result<Subscriber, Error> {
        Subscriber::of(&Description::read(answer)?, &self.local)
    }
}
