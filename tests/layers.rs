//! Who may know whom (DESIGN, the map): the direction between our crates, and what each must never reach.

use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use std::collections::BTreeSet;
use std::path::Path;

/// Our crates that a crate may build on. A crate that is not here yet fails the test until its place is written down.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("veche-protocol", &[]),
    ("veche-recorder", &[]),
    ("veche-sfu", &["veche-protocol"]),
    ("veche-store", &["veche-protocol"]),
    ("veche-signaling", &["veche-protocol", "veche-sfu", "veche-store"]),
    ("veche-turn", &[]),
    (
        "veche",
        &[
            "veche-client",
            "veche-protocol",
            "veche-recorder",
            "veche-sfu",
            "veche-store",
            "veche-signaling",
            "veche-turn",
        ],
    ),
    // A client knows the media plane's pieces from the other end. No crate of the server's knows it; the binary does
    // for the doctor and the load generator, which come from outside.
    ("veche-client", &["veche-protocol", "veche-sfu", "veche-turn"]),
    ("veche-testkit", &["veche-client"]),
];

/// What only the named crates may build on, and why a glance at a manifest should not be needed to believe it.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("sqlx", &["veche-store"]),
    ("axum", &["veche-signaling", "veche"]),
    ("tokio", &["veche-store", "veche-signaling", "veche"]),
    ("mio", &["veche"]),
    ("socket2", &["veche", "veche-client"]),
    ("dimpl", &["veche-sfu"]),
    ("rtc-rtcp", &["veche-sfu"]),
    ("rtc-sdp", &["veche-sfu"]),
    ("anyhow", &["veche"]),
    ("figment", &["veche"]),
];

/// Words that read a clock, chance, the environment or a socket: the media plane and the TURN server are told all of
/// these.
const NOT_IN_SFU: &[&str] = &[
    "Instant::now(",
    "SystemTime::now(",
    "UdpSocket",
    "std::env",
    "std::fs",
    "std::thread",
    "rand::random",
    "rand::rng(",
    "SystemRandom::",
];

fn packages() -> Vec<Package> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .other_options(["--offline".into()])
        .exec();
    metadata.expect("cargo describes the workspace").packages
}

fn built_on(package: &Package) -> BTreeSet<String> {
    let real = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    real.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn our_crates_know_each_other_in_one_direction() {
    let packages = packages();
    let ours: BTreeSet<String> = packages.iter().map(|package| package.name.to_string()).collect();
    assert!(ours.len() >= 5, "the workspace has only {ours:?}");
    for package in &packages {
        let name = package.name.as_str();
        let (_, may) = MAY_KNOW
            .iter()
            .find(|(of, _)| *of == name)
            .unwrap_or_else(|| panic!("{name} has no place in the map; give it one in MAY_KNOW"));
        for known in built_on(package).intersection(&ours) {
            assert!(may.contains(&known.as_str()), "{name} must not know {known}");
        }
    }
}

#[test]
fn what_belongs_to_one_layer_is_reached_from_there_only() {
    for package in packages() {
        for dependency in built_on(&package) {
            if let Some((_, may)) = ONLY_IN.iter().find(|(of, _)| *of == dependency) {
                assert!(
                    may.contains(&package.name.as_str()),
                    "{} must not build on {dependency}",
                    package.name
                );
            }
        }
    }
}

#[test]
fn the_media_plane_and_turn_read_no_clock_no_chance_and_no_socket() {
    let folders = ["sfu/src", "turn/src"].map(|at| Path::new(env!("CARGO_MANIFEST_DIR")).join(at));
    let found = folders.each_ref().map(|folder| sources(folder));
    assert!(found.iter().all(|sources| sources.len() > 5), "sources were not found");
    for (path, text) in found.into_iter().flatten() {
        // Tests stand at the end of a file and may look at a clock.
        let product = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        for line in product.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in NOT_IN_SFU {
                assert!(!line.contains(word), "{path}: {}", line.trim());
            }
        }
    }
}

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("its entries can be read").path();
        let name = path.display().to_string();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && !name.ends_with("/tests.rs") && !name.contains("/tests/")
        {
            found.push((name, std::fs::read_to_string(&path).expect("sources are text")));
        }
    }
    found
}
