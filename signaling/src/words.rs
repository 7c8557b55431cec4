//! Words that a deployment does not want to read in its chats. The search takes time in line with the text,
//! whatever the words and the text are.

use regex::{Regex, RegexBuilder};

/// Replaces the deployment's words by asterisks.
#[derive(Clone, Debug, Default)]
pub struct WordFilter(Option<Regex>);

/// The list of words is too long to search for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of blocked words is too long")]
pub struct TooManyWords;

impl WordFilter {
    /// A filter of whole words, in any case and script; an empty list filters nothing.
    pub fn new(words: &[String]) -> Result<Self, TooManyWords> {
        let words: Vec<String> = words
            .iter()
            .map(|word| word.trim())
            .filter(|word| !word.is_empty())
            .map(regex::escape)
            .collect();
        if words.is_empty() {
            return Ok(Self(None));
        }
        let pattern = format!(r"(?:^|\b)(?:{})(?:\b|$)", words.join("|"));
        RegexBuilder::new(&pattern)
            .case_insensitive(true)
            .size_limit(MAX_PROGRAM_BYTES)
            .build()
            .map(|regex| Self(Some(regex)))
            .map_err(|_| TooManyWords)
    }

    /// The text with an asterisk for each letter of a blocked word.
    pub fn clean(&self, text: String) -> String {
        let Some(regex) = &self.0 else { return text };
        let stars = |found: &regex::Captures<'_>| "*".repeat(found[0].chars().count());
        regex.replace_all(&text, stars).into_owned()
    }
}

/// Some ten thousand words. More would let a list eat the memory of a small server.
const MAX_PROGRAM_BYTES: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(words: &[&str]) -> WordFilter {
        WordFilter::new(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn whole_words_go_in_any_case_and_script_and_parts_of_words_stay() {
        let filter = filter(&["darn", "чёрт", "a.b"]);
        for (text, clean) in [
            ("Darn it", "**** it"),
            ("darning", "darning"),
            ("ну ЧЁРТ возьми", "ну **** возьми"),
            ("чёртова", "чёртова"),
            ("a.b axb", "*** axb"),
            ("", ""),
        ] {
            assert_eq!(filter.clean(text.into()), clean);
        }
        assert_eq!(WordFilter::new(&[" ".into()]).unwrap().clean("x".into()), "x");
    }

    #[test]
    fn a_long_text_and_a_list_made_to_be_slow_take_no_longer() {
        let words: Vec<String> = (1..200).map(|n| format!("{}b", "a".repeat(n))).collect();
        let filter = WordFilter::new(&words).unwrap();
        let text = "a".repeat(400_000);
        let started = std::time::Instant::now();
        assert_eq!(filter.clean(text.clone()), text);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
