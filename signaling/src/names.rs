//! What people may call themselves and their rooms. Every text that others will see passes here once, at the door.

use crate::app::ApiError;
use protocol::ErrorCode;
use protocol::limits::{
    MAX_CONSENT_CHARS, MAX_DISPLAY_NAME_CHARS, MAX_FILE_NAME_CHARS, MAX_INVITE_KEY_CHARS,
    MAX_RECORDING_TITLE_CHARS, MAX_ROOM_NAME_CHARS, MAX_SLUG_CHARS, MAX_TOPIC_CHARS,
};

/// A name to show, trimmed.
pub(crate) fn display_name(text: &str) -> Result<String, ApiError> {
    shown("display_name", text, 1, MAX_DISPLAY_NAME_CHARS)
}

/// A room's name, trimmed.
pub(crate) fn room_name(text: &str) -> Result<String, ApiError> {
    shown("name", text, 1, MAX_ROOM_NAME_CHARS)
}

/// A room's topic, trimmed; may be empty.
pub(crate) fn topic(text: &str) -> Result<String, ApiError> {
    shown("topic", text, 0, MAX_TOPIC_CHARS)
}

/// What people read who are recorded, trimmed; may be empty.
pub(crate) fn consent(text: &str) -> Result<String, ApiError> {
    shown("record_consent", text, 0, MAX_CONSENT_CHARS)
}

/// What a recording is called.
pub(crate) fn recording_title(text: &str) -> Result<String, ApiError> {
    shown("title", text, 1, MAX_RECORDING_TITLE_CHARS)
}

/// What a file is called; what would be a path is none.
pub(crate) fn file_name(text: &str) -> Result<String, ApiError> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    shown("name", last, 1, MAX_FILE_NAME_CHARS)
}

/// A room's slug: a part of its address and the name of a folder.
pub(crate) fn slug(text: &str) -> Result<String, ApiError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !(MIN_SLUG_CHARS..=MAX_SLUG_CHARS).contains(&text.len())
        || !text.chars().all(is_plain)
        || text.starts_with('-')
        || text.ends_with('-')
    {
        return Err(invalid("slug is 3-64 of a-z, 0-9 and -, with no - at its ends"));
    }
    if RESERVED_SLUGS.contains(&text) {
        return Err(invalid("slug is a word this server needs itself"));
    }
    Ok(text.to_owned())
}

/// A word that a room asks for; an empty one is none.
pub(crate) fn invite_key(text: &str) -> Result<Option<String>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > MAX_INVITE_KEY_CHARS || text.chars().any(char::is_control) {
        return Err(invalid(
            "invite_key is at most 128 characters, none of them a control character",
        ));
    }
    Ok(Some(text.to_owned()))
}

/// A name to log in with.
pub(crate) fn username(text: &str) -> Result<String, ApiError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !(3..=32).contains(&text.len()) || !text.chars().all(is_plain) {
        return Err(invalid("username is 3-32 of A-Z, a-z, 0-9, _, . and -"));
    }
    Ok(text.to_owned())
}

/// An e-mail address that could be one. Whether it is one, only a mail could tell.
pub(crate) fn email(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let is_sane = text.rsplit_once('@').is_some_and(|(local, domain)| {
        (1..=64).contains(&local.len())
            && !local.contains('@')
            && local.chars().all(|c| !c.is_whitespace() && !c.is_control() && !is_deceptive(c))
            && domain.contains('.')
            && domain.split('.').all(is_label)
    });
    if text.len() > MAX_EMAIL_BYTES || !is_sane {
        return Err(invalid("email is not an e-mail address"));
    }
    Ok(text.to_owned())
}

/// A new password.
pub(crate) fn password(text: &str) -> Result<(), ApiError> {
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&text.chars().count()) {
        return Err(invalid("password is 8-256 characters"));
    }
    Ok(())
}

/// Whether somebody's password could be this; saves hashing what no account can have.
pub(crate) fn may_be_password(text: &str) -> bool {
    password(text).is_ok()
}

/// Whether somebody could log in with this name.
pub(crate) fn may_be_login(text: &str) -> bool {
    (3..=MAX_EMAIL_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Shorter ones are guessed by accident.
const MIN_SLUG_CHARS: usize = 3;
/// Words that stand beside slugs in paths.
const RESERVED_SLUGS: &[&str] = &["by-invite"];
/// RFC 5321 §4.5.3.1.3, less its angle brackets.
const MAX_EMAIL_BYTES: usize = 254;
const MIN_PASSWORD_CHARS: usize = 8;
/// Longer ones only make hashing cost more.
const MAX_PASSWORD_CHARS: usize = 256;

fn shown(field: &str, text: &str, min: usize, max: usize) -> Result<String, ApiError> {
    let text = text.trim();
    let chars = text.chars().count();
    if chars < min || chars > max {
        return Err(invalid(format!("{field} is {min}-{max} characters")));
    }
    if text.chars().any(|c| c.is_control() || is_deceptive(c)) {
        return Err(invalid(format!("{field} has control characters")));
    }
    if chars > 0 && text.chars().all(is_blank) {
        return Err(invalid(format!("{field} has nothing to see")));
    }
    Ok(text.to_owned())
}

/// Turns the reading direction of what stands beside it, breaks lines, or hides text.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{202A}'..='\u{202E}'
        | '\u{2066}'..='\u{2069}'
        | '\u{2028}' | '\u{2029}'
        | '\u{FEFF}'
        | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E007F}')
}

/// Takes no ink. Some of these join letters and emoji, so they are refused only alone.
fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2065}'
            | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}')
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(ErrorCode::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_shown_trimmed() {
        for (text, shown) in [
            ("  Ада Лавлейс ", "Ада Лавлейс"),
            ("李", "李"),
            ("👩‍💻 Ada", "👩‍💻 Ada"),
            ("علی‌رضا", "علی‌رضا"),
            ("O'Brien <b>", "O'Brien <b>"),
        ] {
            assert_eq!(display_name(text).expect(text), shown);
        }
        assert!(display_name(&"я".repeat(64)).is_ok());
    }

    #[test]
    fn names_that_are_empty_long_or_trick_the_eye_are_refused() {
        let long = "я".repeat(65);
        for text in [
            "",
            "   ",
            &long,
            "a\nb",
            "a\u{0}b",
            "a\u{202E}b",
            "a\u{2066}b",
            "\u{200B}\u{200D}",
            "\u{3164}",
            "a\u{2028}b",
            "a\u{7f}",
        ] {
            let error = display_name(text).expect_err(text);
            assert_eq!(error.code(), ErrorCode::Invalid, "{text:?}");
        }
    }

    #[test]
    fn a_slug_is_a_safe_name_of_a_folder_and_of_a_path() {
        for text in ["abc", "weekly-2", "0a0", &"a".repeat(64)] {
            assert!(slug(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "ab",
            "Weekly",
            "a b c",
            "../etc",
            "a/b",
            "a.b",
            "-abc",
            "abc-",
            "жжж",
            "by-invite",
            &"a".repeat(65),
        ] {
            assert!(slug(text).is_err(), "{text}");
        }
    }

    #[test]
    fn usernames_emails_and_passwords_have_their_rules() {
        for text in ["abc", "A.b_c-9", &"a".repeat(32)] {
            assert!(username(text).is_ok(), "{text}");
        }
        for text in ["", "ab", "a b", "ada@home", "жжж", &"a".repeat(33)] {
            assert!(username(text).is_err(), "{text}");
        }
        for text in ["a@b.c", "ada+x@mail.example.org", "ада@пример.рф", " a@b.c "] {
            assert!(email(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "a",
            "@b.c",
            "a@",
            "a@b",
            "a@.c",
            "a@b.",
            "a b@c.d",
            "a@b@c.d",
            "a@b..c",
            "a@-b.c",
            "a\n@b.c",
            &format!("a@{}.c", "b".repeat(300)),
        ] {
            assert!(email(text).is_err(), "{text}");
        }
        for (text, is_good) in [("1234567", false), ("12345678", true), ("пароль12", true)] {
            assert_eq!(password(text).is_ok(), is_good, "{text}");
        }
        assert!(password(&"a".repeat(257)).is_err());
    }

    #[test]
    fn an_empty_invite_key_is_none() {
        assert_eq!(invite_key("").expect("valid"), None);
        assert_eq!(invite_key(" tea ").expect("valid").as_deref(), Some(" tea "));
        assert!(invite_key("a\nb").is_err());
        assert!(invite_key(&"a".repeat(129)).is_err());
    }
}
