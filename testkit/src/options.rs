//! The words after a benchmark's name.

use std::str::FromStr;

/// What a benchmark was called with.
pub struct Options {
    words: Vec<String>,
}

impl Options {
    /// `None` when this is not `cargo bench` but a test run that only builds benches.
    pub fn of_bench() -> Option<Self> {
        let options = Self { words: std::env::args().skip(1).collect() };
        options.has("--bench").then_some(options)
    }

    /// Whether a word was said.
    pub fn has(&self, name: &str) -> bool {
        self.words.iter().any(|word| word == name)
    }

    /// The word after that one; what stands for it where there is none, or it cannot be read.
    pub fn value<T: FromStr>(&self, name: &str, default: T) -> T {
        let at = self.words.iter().position(|word| word == name);
        at.and_then(|at| self.words.get(at + 1)?.parse().ok()).unwrap_or(default)
    }

    /// The numbers after that one, with commas between; none where there are none.
    pub fn list(&self, name: &str) -> Vec<usize> {
        let said = self.value(name, String::new());
        said.split(',').filter_map(|number| number.trim().parse().ok()).collect()
    }
}
