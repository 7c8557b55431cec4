//! Replays the committed corpus of a fuzz target through the function that it calls, whole and cut anywhere; for the tests of the
//! crate that it is about.

use std::path::Path;

/// Runs every file of one target; there must be `at_least` that many, as a corpus that has moved would pass as an empty one.
pub fn replay(target: &str, at_least: usize, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("a readable folder").path();
        let input = std::fs::read(&path).expect("a readable file");
        for length in (0..=input.len()).rev().take(256) {
            if let Err(panic) = std::panic::catch_unwind(|| run(&input[..length])) {
                eprintln!("input: {} cut at {length}", path.display());
                std::panic::resume_unwind(panic);
            }
        }
        count += 1;
    }
    assert!(count >= at_least, "only {count} inputs");
}
