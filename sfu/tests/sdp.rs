//! What real browsers, encoders and players write is understood, and answered so that it fits.

#![expect(clippy::unwrap_used, reason = "clippy knows tests, not their helper functions")]

use proptest::prelude::*;
use protocol::Kind;
use rtc_sdp::SessionDescription;
use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use veche_sfu::credentials::{DtlsRole, Fingerprint, FingerprintHash, IceCredentials};
use veche_sfu::format::{Codec, Payload};
use veche_sfu::path::HostCandidate;
use veche_sfu::sdp::{
    Feedback, Local, PublishAnswer, PublishSection, SdpError, SlotSpec, WatchAnswer,
    answer_publish, answer_watch, offer_subscribe, read_answer,
};

/// Our end, as these tests use it.
struct Server {
    ice: IceCredentials,
    fingerprint: Fingerprint,
    candidates: Vec<HostCandidate>,
}

impl Server {
    fn new() -> Self {
        Self {
            ice: IceCredentials { ufrag: "ours".into(), pwd: "our-password-of-24-chars".into() },
            fingerprint: Fingerprint::of(FingerprintHash::Sha256, b"certificate"),
            candidates: vec![
                HostCandidate::udp("192.0.2.1:7000".parse().unwrap()),
                HostCandidate::tcp("[2001:db8::1]:7000".parse().unwrap()),
            ],
        }
    }

    fn local(&self) -> Local<'_> {
        Local {
            ice: &self.ice,
            fingerprint: &self.fingerprint,
            candidates: &self.candidates,
            restarts: 0,
            session_id: 7,
            session_version: 3,
        }
    }
}

fn fixture(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdp")
}

/// Names and texts of the fixtures that end so.
fn fixtures(suffix: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(suffix))
        .map(|name| (name.clone(), fixture(&name)))
        .collect();
    found.sort();
    found
}

fn published(name: &str) -> PublishAnswer {
    answer_publish(&fixture(name), &Server::new().local()).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn watched(offer: &str) -> Result<WatchAnswer, SdpError> {
    let mut ssrc = 0;
    answer_watch(offer, &Server::new().local(), &mut || {
        ssrc += 1;
        ssrc
    })
}

fn slots(audio: usize, video: usize) -> Vec<SlotSpec> {
    let slot = |kind, index: usize, k: usize| SlotSpec {
        mid: index.to_string(),
        kind,
        ssrc: 1000 + 2 * index as u32,
        rtx_ssrc: 1001 + 2 * index as u32,
        stream: format!("slot-{k}"),
        cname: format!("slot-{k}"),
    };
    let audio_slots = (0..audio).map(|k| slot(Kind::Audio, k, k));
    audio_slots.chain((0..video).map(|k| slot(Kind::Video, audio + k, k))).collect()
}

/// What an SDP says line by line, m-line by m-line; the first entry is the session's.
fn parts(sdp: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![Vec::new()];
    for line in sdp.lines().map(str::trim) {
        if line.starts_with("m=") {
            parts.push(Vec::new());
        }
        parts.last_mut().unwrap().push(line);
    }
    parts
}

fn value<'a>(part: &[&'a str], key: &str) -> Option<&'a str> {
    part.iter().find_map(|line| line.strip_prefix("a=")?.strip_prefix(key)?.strip_prefix(':'))
}

/// What any answer of ours owes to its offer (RFC 3264 §6, RFC 9143 §7.3).
fn assert_fits(name: &str, offer: &str, answer: &str) {
    SessionDescription::unmarshal(&mut Cursor::new(answer.as_bytes()))
        .unwrap_or_else(|e| panic!("{name}: our answer is no SDP: {e}"));
    assert!(answer.ends_with("\r\n") && !answer.replace("\r\n", "").contains(['\r', '\n']));
    let (offered, answered) = (parts(offer), parts(answer));
    assert_eq!(offered.len(), answered.len(), "{name}: as many m-lines as offered");
    assert!(answered[0].contains(&"a=ice-lite"), "{name}");
    assert_eq!(answer.matches("a=candidate:").count(), 2, "{name}: candidates stand once");
    assert!(answer.contains(" 1 udp ") && answer.contains(" typ host\r\n"), "{name}");
    assert!(
        answer.contains(" 1 tcp ") && answer.contains(" typ host tcptype passive\r\n"),
        "{name}"
    );
    let mut accepted = Vec::new();
    for (theirs, ours) in offered[1..].iter().zip(&answered[1..]) {
        let m_theirs: Vec<&str> = theirs[0].split(' ').collect();
        let m_ours: Vec<&str> = ours[0].split(' ').collect();
        assert_eq!(m_theirs[0], m_ours[0], "{name}: media in the offer's order");
        assert_eq!(m_theirs[2], m_ours[2], "{name}: the offer's protocol");
        assert_eq!(value(theirs, "mid"), value(ours, "mid"), "{name}: the offer's mids");
        assert!(value(ours, "ice-ufrag").is_some(), "{name}: aiortc insists on it everywhere");
        for format in &m_ours[3..] {
            assert!(m_theirs[3..].contains(format), "{name}: {format} was not offered");
        }
        if m_ours[1] == "0" {
            continue;
        }
        accepted.extend(value(ours, "mid"));
        assert!(ours.contains(&"a=rtcp-mux") && value(ours, "fingerprint").is_some(), "{name}");
        let offered_lines: HashSet<&str> = theirs.iter().copied().collect();
        for line in ours.iter().filter(|line| line.starts_with("a=rtcp-fb:")) {
            assert!(offered_lines.contains(line), "{name}: {line} was not offered");
        }
        for line in ours.iter().filter(|line| line.starts_with("a=rtpmap:")) {
            // GStreamer's viewer leaves the channels of Opus away.
            let line = line.trim_end_matches("/2").to_lowercase();
            let theirs = theirs.join("\n").to_lowercase();
            assert!(theirs.contains(&line), "{name}: {line} was not offered");
        }
    }
    let group = value(&answered[0], "group");
    let mids: Option<Vec<&str>> = group.map(|group| group.split(' ').skip(1).collect());
    let sorted = |mut mids: Vec<_>| {
        mids.sort_unstable();
        mids
    };
    assert_eq!(mids.map(sorted), Some(sorted(accepted)), "{name}: BUNDLE of the accepted m-lines");
}

#[test]
fn every_publisher_is_answered() {
    let mut count = 0;
    for (name, offer) in fixtures(".offer.sdp") {
        if name.contains("watch") || name.contains("no-bundle") {
            continue;
        }
        let answer = published(&name);
        assert_fits(&name, &offer, &answer.sdp);
        assert!(answer.sections.iter().any(|section| section.is_active), "{name}");
        assert!(answer.sections.iter().all(|section| !section.payloads.is_empty()), "{name}");
        assert!(!answer.sdp.contains("a=sendonly") && !answer.sdp.contains("a=sendrecv"), "{name}");
        count += 1;
    }
    assert!(count >= 24, "only {count} offers were found");
}

#[test]
fn every_viewer_is_answered() {
    let offers = fixtures("-watch.offer.sdp");
    assert!(offers.len() >= 4);
    for (name, offer) in offers {
        let answer = watched(&offer).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_fits(&name, &offer, &answer.sdp);
        let kinds: HashSet<Kind> = answer.slots.iter().map(|slot| slot.kind).collect();
        assert_eq!((answer.slots.len(), kinds.len()), (2, 2), "{name}");
        assert_eq!(answer.slots[0].stream, answer.slots[1].stream, "{name}: played in sync");
        let ssrcs: HashSet<u32> =
            answer.slots.iter().flat_map(|slot| [slot.ssrc, slot.rtx_ssrc]).collect();
        assert_eq!(ssrcs.len(), 4, "{name}: SSRCs are distinct");
        for (slot, section) in answer.slots.iter().zip(&answer.sections) {
            assert!(answer.sdp.contains(&format!("a=ssrc:{} cname:slot-0", slot.ssrc)), "{name}");
            assert_eq!((&slot.mid, true), (&section.mid, section.accepted), "{name}");
        }
    }
}

#[test]
fn every_answer_to_our_offer_is_read() {
    let answers = fixtures(".answer.sdp");
    assert!(answers.len() >= 4);
    for (name, answer) in answers {
        let counts: Vec<usize> =
            name.split(['-', '.']).filter_map(|word| word.parse().ok()).collect();
        let slots = slots(counts[0], counts[1]);
        let (remote, sections) = read_answer(&answer, &slots).unwrap();
        assert_eq!(remote.role, DtlsRole::Server, "{name}");
        assert_eq!(sections.len(), slots.len(), "{name}");
        for (slot, section) in slots.iter().zip(&sections) {
            assert_eq!((&slot.mid, slot.kind), (&section.mid, section.kind), "{name}");
            assert!(section.accepted, "{name} {}", section.mid);
            let expected = match slot.kind {
                Kind::Audio => Payload { pt: 111, codec: Codec::Opus, rtx: None },
                Kind::Video => section.payloads[0],
            };
            assert_eq!(section.payloads[0], expected, "{name}");
            assert_eq!(section.payloads[0].codec.kind(), slot.kind, "{name}");
        }
    }
}

#[test]
fn chromium_is_understood() {
    let answer = published("chromium-mic-camera.offer.sdp");
    assert_eq!(answer.remote.role, DtlsRole::Server);
    let [audio, video] = answer.sections.as_slice() else { panic!("two m-lines") };
    let red = Payload { pt: 63, codec: Codec::Red, rtx: None };
    assert_eq!(audio.payloads, [red, Payload { pt: 111, codec: Codec::Opus, rtx: None }]);
    assert_eq!(audio.extensions.audio_level, Some(1));
    assert_eq!(video.payloads[0], Payload { pt: 96, codec: Codec::Vp8, rtx: Some(97) });
    let order: Vec<Codec> = video.payloads.iter().map(|payload| payload.codec).collect();
    assert_eq!(
        order[..4],
        [
            Codec::Vp8,
            Codec::Av1 { profile: 0 },
            Codec::Vp9 { profile: 0 },
            Codec::Vp9 { profile: 2 }
        ],
        "H264 stands behind what every browser shows"
    );
    assert_eq!(order.len(), 10);
    assert_eq!(video.extensions.transport_cc, Some(3));
    assert_eq!(video.extensions.video_orientation, Some(13));
    assert_eq!(
        video.feedback,
        Feedback { nack: true, pli: true, fir: true, transport_cc: true, remb: true }
    );
    assert_eq!(video.ssrcs.len(), 1);
    assert_eq!(video.rtx_ssrcs, [(video.ssrcs[0], 3455816090)]);
    assert_eq!(audio.cname, video.cname);
    assert!(answer.sdp.contains("a=fmtp:96 x-google-start-bitrate=1000"));
    assert!(answer.sdp.contains("a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n"));
}

#[test]
fn firefox_writes_fmtp_before_rtpmap_and_numbers_otherwise() {
    let answer = published("firefox-mic-camera.offer.sdp");
    let [audio, video] = answer.sections.as_slice() else { panic!("two m-lines") };
    assert_eq!(audio.payloads, [Payload { pt: 109, codec: Codec::Opus, rtx: None }]);
    assert_eq!(
        video.payloads,
        [
            Payload { pt: 120, codec: Codec::Vp8, rtx: Some(124) },
            Payload { pt: 121, codec: Codec::Vp9 { profile: 0 }, rtx: Some(125) },
            Payload { pt: 99, codec: Codec::Av1 { profile: 0 }, rtx: Some(100) },
        ]
    );
    assert_eq!((video.ssrcs.len(), video.rtx_ssrcs.len()), (1, 1));
    assert!(!answer.sdp.contains("stereo"), "a microphone is not asked for in stereo");
}

#[test]
fn ffmpeg_waits_for_us_to_start_dtls() {
    let answer = published("ffmpeg.offer.sdp");
    assert_eq!(answer.remote.role, DtlsRole::Client);
    assert!(answer.sdp.contains("a=setup:active") && !answer.sdp.contains("a=setup:passive"));
    let video = &answer.sections[1];
    let h264 = Codec::H264 { profile: 0x4200, mode: 1 };
    assert_eq!(video.payloads, [Payload { pt: 106, codec: h264, rtx: Some(105) }]);
    assert_eq!(video.ssrcs, [2682802854]);
    assert_eq!(video.rtx_ssrcs, [(2682802854, 2682802855)], "named in the group alone");
    assert_eq!(video.feedback, Feedback { nack: true, ..Feedback::default() });
    assert!(!answer.sdp.contains("x-google"), "it does not estimate");
}

#[test]
fn gstreamer_is_understood() {
    let answer = published("gstreamer-h264.offer.sdp");
    let [video, audio] = answer.sections.as_slice() else { panic!("two m-lines") };
    assert_eq!((video.mid.as_str(), audio.mid.as_str()), ("video0", "audio1"));
    assert!(video.is_active && audio.is_active, "port 0 with a=bundle-only is no refusal");
    assert!(!video.feedback.transport_cc, "feedback without the extension says nothing");
    assert_eq!(
        answer_publish(&fixture("gstreamer-no-bundle.offer.sdp"), &Server::new().local()),
        Err(SdpError::NoBundle)
    );
}

#[test]
fn an_encoder_that_sends_stereo_is_asked_for_it() {
    assert!(published("libdatachannel.offer.sdp").sdp.contains("usedtx=1;stereo=1\r\n"));
}

#[test]
fn layers_are_read_and_all_are_taken() {
    for name in ["chromium-simulcast.offer.sdp", "firefox-simulcast.offer.sdp"] {
        let answer = published(name);
        assert_eq!(answer.sections[1].rids, ["q", "h", "f"], "{name}");
        assert!(answer.sections[1].extensions.rid.is_some(), "{name}");
        let lines = "a=rid:q recv\r\na=rid:h recv\r\na=rid:f recv\r\na=simulcast:recv q;h;f\r\n";
        assert!(answer.sdp.contains(lines), "{name}");
    }
}

#[test]
fn data_channels_are_declined_without_harm() {
    for name in ["chromium-sendrecv-data.offer.sdp", "firefox-sendrecv-data.offer.sdp"] {
        let answer = published(name);
        assert!(answer.sdp.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel"), "{name}");
        assert_eq!(answer.sections.len(), 2, "{name}");
    }
}

#[test]
fn later_offers_say_what_changed() {
    let active = |name: &str| -> Vec<(String, bool)> {
        let sections = published(name).sections;
        sections.into_iter().map(|section| (section.mid, section.is_active)).collect()
    };
    let section = |mid: &str, is_active| (mid.to_owned(), is_active);
    for browser in ["chromium", "firefox"] {
        let switched_off = active(&format!("{browser}-re-inactive.offer.sdp"));
        let expected = [section("0", false), section("1", true), section("2", true)];
        assert_eq!(switched_off, expected, "{browser}");
        let stopped = active(&format!("{browser}-re-stop.offer.sdp"));
        assert_eq!(stopped, [section("1", true), section("2", true)], "{browser}");
    }
    // Chromium uses the m-line of the stopped track again, under a new mid.
    let added = active("chromium-re-add.offer.sdp");
    assert_eq!(added, [section("3", true), section("1", true), section("2", true)]);
}

#[test]
fn a_later_offer_of_ours_leaves_earlier_m_lines_alone() {
    let server = Server::new();
    let first = offer_subscribe(&slots(4, 9), &server.local());
    let mut more = slots(4, 9);
    more.extend(slots(0, 16).into_iter().skip(14).map(|mut slot| {
        slot.mid = format!("more-{}", slot.mid);
        slot
    }));
    let second = offer_subscribe(&more, &Local { session_version: 4, ..server.local() });
    let (first, second) = (parts(&first), parts(&second));
    assert_eq!(first.len(), 14);
    assert_eq!(second.len(), 16);
    assert_eq!(first[1..], second[1..14]);
    assert!(first[0].contains(&"o=- 7 3 IN IP4 127.0.0.1"));
    assert!(second[0].contains(&"o=- 7 4 IN IP4 127.0.0.1"));
}

#[test]
fn the_largest_offer_of_ours_fits_into_a_message() {
    let longest = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().unwrap();
    let candidates = [vec![HostCandidate::udp(longest); 8], vec![HostCandidate::tcp(longest); 16]];
    let server = Server { candidates: candidates.concat(), ..Server::new() };
    let offer = offer_subscribe(&slots(8, 25), &server.local());
    assert!(offer.len() < protocol::limits::MAX_SDP_BYTES, "{} bytes", offer.len());
    SessionDescription::unmarshal(&mut Cursor::new(offer.as_bytes())).unwrap();
    assert_eq!(offer.matches("a=candidate:").count(), 24);
    assert_eq!(offer.matches("a=setup:actpass").count(), 33);
}

/// Lines of an SDP, some cut, doubled, moved, or with bytes overwritten.
fn damaged() -> impl Strategy<Value = String> {
    let texts: Vec<String> = fixtures(".sdp").into_iter().map(|(_, text)| text).collect();
    let damage = prop::collection::vec(
        (0u8..6, any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()),
        1..24,
    );
    (prop::sample::select(texts), damage).prop_map(|(text, damage)| {
        let mut lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
        for (how, at, to, byte) in damage {
            let (at, to) = (at.index(lines.len()), to.index(lines.len()));
            match how {
                0 => {
                    lines.remove(at);
                }
                1 => lines.insert(to, lines[at].clone()),
                2 => lines.swap(at, to),
                3 => {
                    let line = &mut lines[at];
                    line.truncate(to.min(line.len()));
                }
                4 => {
                    let line = &mut lines[at];
                    let length = line.len().max(1);
                    line.resize(length, byte);
                    line[to % length] = byte;
                }
                _ => {
                    let words: Vec<u8> =
                        lines[to].iter().copied().take(usize::from(byte)).collect();
                    lines[at].extend(words);
                }
            }
            if lines.is_empty() {
                lines.push(vec![byte]);
            }
        }
        String::from_utf8_lossy(&lines.join(&b"\r\n"[..])).into_owned()
    })
}

fn try_all(text: &str) -> Vec<PublishSection> {
    let server = Server::new();
    let answers = [
        answer_publish(text, &server.local()).map(|answer| (answer.sdp, answer.sections)),
        watched(text).map(|answer| (answer.sdp, Vec::new())),
    ];
    let _ = read_answer(text, &slots(4, 9));
    let mut sections = Vec::new();
    for (sdp, read) in answers.into_iter().flatten() {
        SessionDescription::unmarshal(&mut Cursor::new(sdp.as_bytes())).expect("answers are SDP");
        assert_eq!(parts(text).len(), parts(&sdp).len(), "answers have the offer's m-lines");
        sections.extend(read);
    }
    sections
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_sdp_is_answered_in_bounds_or_refused(text in damaged()) {
        for section in try_all(&text) {
            prop_assert!(section.ssrcs.len() <= 16 && section.rtx_ssrcs.len() <= 16);
            prop_assert!(section.rids.len() <= 8 && section.payloads.len() <= 128);
        }
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(try_all(&text).is_empty());
        try_all(&format!("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na={text}"));
    }
}
