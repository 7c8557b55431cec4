//! Replays the fuzzer's corpus through the function that it calls.

// The fuzz targets call this crate by the name that the workspace gives it.
extern crate veche_turn as turn;

#[path = "../../fuzz/relay.rs"]
mod relay;

use std::path::Path;

/// A corpus that has moved would pass as an empty one.
const AT_LEAST: usize = 10;

#[test]
fn turn() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/turn");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is committed") {
        let path = entry.expect("a readable folder").path();
        let input = std::fs::read(&path).expect("a readable file");
        // Cut anywhere, too.
        for length in (0..=input.len()).rev().take(256) {
            if let Err(panic) = std::panic::catch_unwind(|| relay::turn(&input[..length])) {
                eprintln!("input: {} cut at {length}", path.display());
                std::panic::resume_unwind(panic);
            }
        }
        count += 1;
    }
    assert!(count >= AT_LEAST, "only {count} inputs");
}
