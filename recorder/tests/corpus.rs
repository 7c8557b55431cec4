//! Replays the fuzzers' corpus through the functions that they call.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// The fuzz targets call this crate by the name that the workspace gives it.
extern crate veche_recorder as recorder;

#[path = "../../fuzz/files.rs"]
mod files;

use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(folder).expect("the corpus is committed");
    let mut inputs: Vec<(PathBuf, Vec<u8>)> = entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            (path, input)
        })
        .collect();
    inputs.sort();
    inputs
}

/// Runs it on an input, and on the input cut in many places.
fn replay(path: &Path, input: &[u8], run: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let every = input.len().div_ceil(64).max(1);
    for length in (0..input.len()).step_by(every).chain([input.len()]) {
        if let Err(panic) = std::panic::catch_unwind(|| run(&input[..length])) {
            eprintln!("input: {}, the first {length} bytes", path.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn every_stream_of_the_corpus_becomes_whole_files() {
    let inputs = corpus("source");
    assert!(inputs.len() >= 6, "{} files", inputs.len());
    for (path, input) in inputs {
        replay(&path, &input, |input| drop(files::source(input)));
        // Inputs that reach nothing would be easy to outlive.
        let written = files::source(&input).len();
        assert!(written > 1_000, "{}: a file of {written} bytes", path.display());
    }
}

#[test]
fn every_file_of_the_corpus_is_mended_or_refused() {
    let inputs = corpus("repair");
    assert!(inputs.len() >= 4, "{} files", inputs.len());
    for (path, input) in inputs {
        replay(&path, &input, files::repair);
    }
}

/// Seeded, so that what it finds once it finds again; the fuzzer itself is guided by what the code does.
#[test]
fn what_chance_makes_of_the_corpus_is_outlived() {
    use rand::{RngExt, SeedableRng};
    for (target, run) in
        [("source", (|input| drop(files::source(input))) as fn(&[u8])), ("repair", files::repair)]
    {
        let seeds = corpus(target);
        for seed in 0..1_500 {
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            let mut input = seeds[rng.random_range(0..seeds.len())].1.clone();
            for _ in 0..rng.random_range(1..12) {
                let at = rng.random_range(0..input.len().max(1));
                match (input.get_mut(at), rng.random_range(0..4)) {
                    (Some(byte), 0) => *byte = rng.random(),
                    (Some(byte), 1) => *byte ^= 1 << rng.random_range(0..8),
                    (Some(_), 2) => drop(input.remove(at)),
                    (Some(_), _) => input.truncate(at),
                    (None, _) => input.push(rng.random()),
                }
            }
            if let Err(panic) = std::panic::catch_unwind(|| run(&input)) {
                eprintln!("{target}, seed {seed}: {} bytes", input.len());
                std::panic::resume_unwind(panic);
            }
        }
    }
}
