//! What was found, as a table for people and as JSON to be shared.

use super::Language;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Good,
    /// There is none, and there need not be.
    Off,
    /// It works, and may be better or stop working.
    Care,
    /// Meetings suffer from it.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Stable name, for programs.
    pub check: &'static str,
    /// How it stands.
    pub level: Level,
    text: Words,
    advice: Option<Words>,
}

#[derive(Clone, Debug, Default)]
struct Words {
    en: String,
    ru: String,
}

impl Words {
    fn in_language(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Ru => &self.ru,
        }
    }
}

impl Finding {
    fn new(check: &'static str, level: Level) -> Self {
        Self { check, level, text: Words::default(), advice: None }
    }

    /// As it should be.
    pub fn good(check: &'static str) -> Self {
        Self::new(check, Level::Good)
    }

    /// Not there, which is no fault.
    pub fn off(check: &'static str) -> Self {
        Self::new(check, Level::Off)
    }

    /// Not as it should be, but meetings work.
    pub fn care(check: &'static str) -> Self {
        Self::new(check, Level::Care)
    }

    /// Wrong.
    pub fn bad(check: &'static str) -> Self {
        Self::new(check, Level::Bad)
    }

    /// What was found, in English and in Russian.
    pub fn says(mut self, en: String, ru: String) -> Self {
        self.text = Words { en, ru };
        self
    }

    /// What to do about it.
    pub fn advises(mut self, en: String, ru: String) -> Self {
        self.advice = Some(Words { en, ru });
        self
    }
}

/// All that was found.
pub struct Report {
    url: Option<String>,
    at_ms: u128,
    findings: Vec<Finding>,
}

impl Report {
    /// Notes when it was.
    pub fn new(url: Option<String>, findings: Vec<Finding>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // What follows the path may be an invite.
        let url = url.map(|url| url.split(['#', '?']).next().unwrap_or_default().to_owned());
        Self { url, at_ms: since.as_millis(), findings }
    }

    /// Whether anything is wrong.
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Bad)
    }

    /// For programs, and to be shared.
    pub fn as_json(&self, language: Language) -> String {
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "check": finding.check,
                    "level": label(finding.level),
                    "text": finding.text.in_language(language),
                    "advice": finding.advice.as_ref().map(|words| words.in_language(language)),
                })
            })
            .collect();
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "at_ms": self.at_ms,
            "url": self.url,
            "is_bad": self.is_bad(),
            "findings": findings,
        });
        format!("{report:#}\n")
    }

    /// For people.
    pub fn as_table(&self, language: Language) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let mut said = finding.text.in_language(language).to_owned();
            let sign = sign(finding.level, language);
            text.push_str(&hanging(&format!("{sign:<9}"), &said));
            if let Some(advice) = &finding.advice {
                said = format!("→ {}", advice.in_language(language));
                text.push_str(&hanging(&" ".repeat(9), &said));
            }
        }
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let (bad, care) = (count(Level::Bad), count(Level::Care));
        text.push_str(&match (language, bad, care) {
            (Language::En, 0, 0) => "\nNothing is wrong.\n".to_owned(),
            (Language::Ru, 0, 0) => "\nВсё в порядке.\n".to_owned(),
            (Language::En, ..) => format!("\nWrong: {bad}. To look at: {care}.\n"),
            (Language::Ru, ..) => format!("\nНеисправно: {bad}. Обратить внимание: {care}.\n"),
        });
        text
    }
}

fn label(level: Level) -> &'static str {
    match level {
        Level::Good => "good",
        Level::Off => "off",
        Level::Care => "care",
        Level::Bad => "bad",
    }
}

fn sign(level: Level, language: Language) -> &'static str {
    match (level, language) {
        (Level::Good, _) => "ok",
        (Level::Off, _) => "-",
        (Level::Care, Language::En) => "care",
        (Level::Care, Language::Ru) => "внимание",
        (Level::Bad, Language::En) => "WRONG",
        (Level::Bad, Language::Ru) => "ОШИБКА",
    }
}

/// Lines of a readable width under a sign at their left.
fn hanging(sign: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = sign.to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() >= WIDTH && line.trim() != "" {
            lines.push_str(line.trim_end());
            lines.push('\n');
            line = " ".repeat(sign.chars().count());
        }
        line.push_str(word);
        line.push(' ');
    }
    lines + line.trim_end() + "\n"
}

/// Wider is hard to read, narrower makes long reports longer.
const WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let long = "word ".repeat(40);
        Report::new(
            Some("https://meet.example.org/r/weekly#code=sesame".into()),
            vec![
                Finding::good("a").says("Fine.".into(), "Хорошо.".into()),
                Finding::bad("b").says(long.clone(), long).advises("Do.".into(), "Делай.".into()),
            ],
        )
    }

    #[test]
    fn a_report_is_readable_and_says_whether_something_is_wrong() {
        let text = report().as_table(Language::En);
        assert!(text.starts_with("ok       Fine.\nWRONG    word word"), "{text}");
        assert!(text.contains("\n         → Do.\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.ends_with("Wrong: 1. To look at: 0.\n"), "{text}");
        assert!(report().as_table(Language::Ru).contains("ОШИБКА"));
        assert!(report().is_bad());
    }

    #[test]
    fn what_is_shared_holds_no_invite() {
        let json: serde_json::Value =
            serde_json::from_str(&report().as_json(Language::Ru)).expect("JSON");
        assert_eq!(json["url"], "https://meet.example.org/r/weekly");
        assert_eq!(json["findings"][1]["level"], "bad");
        assert_eq!(json["findings"][0]["advice"], serde_json::Value::Null);
        assert_eq!(json["findings"][1]["advice"], "Делай.");
    }
}
