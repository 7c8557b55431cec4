//! Replays the fuzzers' corpus through the functions that they call.

// The fuzz targets call this crate by the name that the workspace gives it.
extern crate veche_sfu as sfu;

#[path = "../../fuzz/entries.rs"]
mod entries;
#[path = "../../fuzz/plane.rs"]
mod plane;

use sfu::HostCandidate;
use std::path::Path;

/// Places where an input that makes whole handshakes is cut besides.
const PLANE_CUTS: usize = 8;

/// Runs every file of one target; there must be `at_least` that many, so that a moved folder is noticed.
fn replay(target: &str, at_least: usize, run: fn(&[u8])) {
    replay_cut(target, at_least, 512, run);
}

/// The same with at most so many cuts of each input.
fn replay_cut(target: &str, at_least: usize, cuts: usize, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("a readable folder").path();
        let input = std::fs::read(&path).expect("a readable file");
        if let Err(panic) = std::panic::catch_unwind(|| run(&input)) {
            eprintln!("input: {}", path.display());
            std::panic::resume_unwind(panic);
        }
        // What arrives over UDP may also be cut anywhere.
        let every = if cuts < 512 { input.len().div_ceil(cuts).max(1) } else { 1 };
        for length in (0..input.len()).step_by(every).take(cuts) {
            run(&input[..length]);
        }
        count += 1;
    }
    assert!(count >= at_least, "{count} files in {}", folder.display());
}

#[test]
fn every_rtp_packet_of_the_corpus_is_read_or_refused() {
    replay("rtp", 8, entries::rtp);
}

#[test]
fn every_rtcp_packet_of_the_corpus_is_read_or_refused() {
    replay("rtcp", 8, entries::rtcp);
}

#[test]
fn every_stream_of_the_corpus_keeps_its_numbers() {
    replay("stream", 4, entries::stream);
}

#[test]
fn every_sdp_of_the_corpus_is_answered_or_refused() {
    replay("sdp", 8, entries::sdp);
}

#[test]
fn every_stun_message_of_the_corpus_is_read_or_refused() {
    replay("stun", 6, entries::stun);
}

#[test]
fn every_stream_of_the_corpus_is_cut_into_the_same_packets() {
    replay("framing", 6, entries::framing);
}

#[test]
fn the_plane_outlives_every_input_of_the_corpus() {
    replay_cut("plane", 12, PLANE_CUTS, |input| {
        plane::run(input);
    });
}

/// Seeded, so that what it finds once it finds again; the fuzzer itself is guided by what the code does.
#[test]
#[ignore = "long: a minute of inputs that chance makes of the corpus"]
fn the_plane_outlives_what_chance_makes_of_the_corpus() {
    use rand::{RngExt, SeedableRng};
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/plane");
    let mut seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    seeds.sort();
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let begin = std::time::Instant::now();
    let mut runs = 0;
    while begin.elapsed() < std::time::Duration::from_secs(60) {
        let mut rng = rand::rngs::StdRng::seed_from_u64(runs);
        let mut input = seeds[rng.random_range(0..seeds.len())].clone();
        let other = &seeds[rng.random_range(0..seeds.len())];
        input.truncate(rng.random_range(0..=input.len()));
        input.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
        for _ in 0..rng.random_range(0..20) {
            let at = rng.random_range(0..input.len().max(1));
            match (input.get_mut(at), rng.random_range(0..3)) {
                (Some(byte), 0) => *byte = rng.random(),
                (Some(byte), 1) => *byte ^= 1 << rng.random_range(0..8),
                (Some(_), _) => drop(input.remove(at)),
                (None, _) => input.push(rng.random()),
            }
        }
        if let Err(panic) = std::panic::catch_unwind(|| plane::run(&input)) {
            eprintln!("seed {runs}: {input:02x?}");
            std::panic::resume_unwind(panic);
        }
        runs += 1;
    }
    println!("{runs} inputs");
    assert!(runs > 100, "{runs} inputs in a minute");
}

/// Inputs that reach nothing would be easy to outlive.
#[test]
fn the_inputs_of_the_plane_do_what_they_are_called() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/plane");
    let stats = |name: &str| plane::run(&std::fs::read(folder.join(name)).expect(name));
    let film = stats("speech-and-film");
    assert!(film.packets_out >= 20, "{film:?}");
    assert!(stats("keyframes-and-nacks").packets_resent > 0);
    assert!(stats("keyframes-and-nacks").keyframes_asked > 0);
    assert!(stats("muted-away-and-back").packets_blocked >= 10);
    assert!(stats("datagrams-nobody-sealed").datagrams_refused >= 2);
    assert!(stats("datagrams-nobody-sealed").strangers >= 1);
    assert!(stats("three-layers-and-views").packets_in >= 80);
    assert!(stats("sequence-jumps").packets_in >= 5);
}

/// The seeds must reach the code behind the parser, or the fuzzers start from nothing.
#[test]
fn the_offers_of_real_clients_are_answered() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/sdp");
    let ice = sfu::credentials::IceCredentials { ufrag: "ufrag".into(), pwd: "p".repeat(22) };
    let fingerprint = sfu::credentials::Fingerprint::of(
        sfu::credentials::FingerprintHash::Sha256,
        b"certificate",
    );
    let local = sfu::sdp::Local {
        ice: &ice,
        fingerprint: &fingerprint,
        candidates: &[HostCandidate::udp(([127, 0, 0, 1], 10_000).into())],
        restarts: 0,
        session_id: 1,
        session_version: 1,
    };
    let mut next = 0;
    let mut ssrcs = || {
        next += 1;
        next
    };
    for client in ["chromium", "firefox", "aiortc", "gstreamer", "ffmpeg"] {
        let mut offers = 0;
        for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
            let path = entry.expect("a readable folder").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !(name.starts_with(client) && name.ends_with("-offer")) {
                continue;
            }
            let offer = std::fs::read_to_string(&path).unwrap();
            if name.contains("watch") || name.contains("whep") {
                let answer = sfu::sdp::answer_watch(&offer, &local, &mut ssrcs);
                assert_eq!(answer.expect(&name).slots.len(), 2, "{name}");
            } else {
                let answer = sfu::sdp::answer_publish(&offer, &local).expect(&name);
                assert!(answer.sections.iter().any(|section| section.is_active), "{name}");
            }
            offers += 1;
        }
        assert!(offers > 0, "no offer of {client}");
    }
}

#[test]
fn the_checks_of_real_clients_are_believed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/stun");
    let key = sfu::transport::stun::IntegrityKey::new(entries::STUN_PASSWORD);
    for (name, is_authentic) in [
        ("chromium-request-nominating", true),
        ("firefox-request", true),
        ("request-with-a-wrong-password", false),
        ("request-without-integrity", false),
    ] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let message = sfu::transport::stun::Message::parse(&bytes).expect(name);
        assert_eq!(message.is_authentic(&key), is_authentic, "{name}");
    }
}
