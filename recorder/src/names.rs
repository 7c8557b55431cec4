//! Names of files: a template that the settings give, filled in with what people wrote, safely.

/// Bytes of one part: a name with a room and a person in it stays below the 255 that file systems take.
const MAX_PART: usize = 80;
/// Characters of a template besides its fields.
const MAX_LITERAL: usize = 40;

/// What a template may name.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// `{room}`.
    pub room: &'a str,
    /// `{date}`, as `2026-11-21_09-30`.
    pub date: &'a str,
    /// `{person}`.
    pub person: &'a str,
    /// `{source}`.
    pub source: &'a str,
    /// `{ext}`.
    pub ext: &'a str,
}

/// A template that every file's name can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// Why a template is none, in words for who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTemplate(pub &'static str);

impl Template {
    /// What is used where nobody has said otherwise.
    pub const DEFAULT: &'static str = "{room}_{date}_{person}_{source}.{ext}";

    /// Takes a template.
    ///
    /// # Errors
    /// It does not end in `.{ext}`, does not tell people and sources apart, or has what file names may not have.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        if !text.ends_with(".{ext}") {
            return Err(BadTemplate("it must end in .{ext}"));
        }
        if !text.contains("{person}") || !text.contains("{source}") {
            return Err(BadTemplate("it must have {person} and {source}"));
        }
        let mut rest = text.to_owned();
        for field in ["{room}", "{date}", "{person}", "{source}", "{ext}"] {
            rest = rest.replace(field, "");
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if rest.len() > MAX_LITERAL || !rest.chars().all(is_plain) {
            return Err(BadTemplate("besides its fields it may have letters, digits, - _ and ."));
        }
        if text.starts_with('.') {
            return Err(BadTemplate("it must not begin with a dot"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name, the `nth` of those that would be called the same.
    pub fn fill(&self, fields: &Fields<'_>, nth: usize) -> String {
        let person = match nth {
            0 => safe(fields.person),
            _ => format!("{}-{}", safe(fields.person), nth + 1),
        };
        self.0
            .replace("{room}", &safe(fields.room))
            .replace("{date}", &safe(fields.date))
            .replace("{source}", &safe(fields.source))
            .replace("{ext}", &safe(fields.ext))
            .replace("{person}", &person)
    }
}

/// Letters and digits of any alphabet and `-`; everything else is one `-`. Never empty, never a dot.
fn safe(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = if c.is_alphanumeric() || c == '_' { c } else { '-' };
        if out.len() + c.len_utf8() > MAX_PART {
            break;
        }
        if c != '-' || !(out.is_empty() || out.ends_with('-')) {
            out.push(c);
        }
    }
    let trimmed = out.trim_end_matches('-');
    if trimmed.is_empty() { "x".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields<'a>(room: &'a str, person: &'a str) -> Fields<'a> {
        Fields { room, date: "2026-11-21_09-30", person, source: "camera", ext: "webm" }
    }

    #[test]
    fn a_name_says_what_is_in_the_file() {
        let template = Template::parse(Template::DEFAULT).unwrap();
        let name = template.fill(&fields("weekly", "Борис Ким"), 0);
        assert_eq!(name, "weekly_2026-11-21_09-30_Борис-Ким_camera.webm");
        let second = template.fill(&fields("weekly", "Борис Ким"), 1);
        assert_eq!(second, "weekly_2026-11-21_09-30_Борис-Ким-2_camera.webm");
    }

    #[test]
    fn templates_that_name_nothing_apart_or_reach_elsewhere_are_refused() {
        for bad in [
            "",
            "{room}.{ext}",
            "{person}_{source}",
            "../{person}_{source}.{ext}",
            "{person}/{source}.{ext}",
            ".{person}{source}.{ext}",
            "{person}_{source}_{other}.{ext}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_people_are_called_it_is_one_file_name(room in ".{0,80}", person in ".{0,80}") {
            let template = Template::parse(Template::DEFAULT).unwrap();
            let name = template.fill(&fields(&room, &person), 0);
            prop_assert!(!name.starts_with('.') && !name.contains(['/', '\\', '\0', ':', '"']));
            prop_assert!(name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)), "{}", name);
            prop_assert!(name.len() <= 255);
            prop_assert!(name.ends_with("_camera.webm"));
        }
    }
}
