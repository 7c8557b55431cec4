//! Where values come from: the built-in file, the user's file, the environment, the command line.
//!
//! Values stay what they were written as (text, number, list); [`Layers`] turns them into what the
//! caller asks for and says where a wrong one stands.

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The shipped `config.toml`.
pub const DEFAULTS: &str = include_str!("../../config.toml");

/// Further environment names of a setting, used when its own is not set.
const ALIASES: &[(&str, &str)] = &[
    ("access_token_expire_minutes", "JWT_EXPIRES_MIN"),
    ("database_url", "SQLALCHEMY_DATABASE_URL"),
    ("jwt_secret", "SECRET_KEY"),
    ("turn_urls", "TURN_URL"),
];

/// Settings whose values are never printed.
const SECRETS: &[&str] =
    &["jwt_secret", "metrics_token", "registration_secret", "turn_password", "turn_secret"];

/// A setting that cannot be used; prints as one line that says which, where from, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingError {
    setting: String,
    source: String,
    problem: String,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting `{}` ({}) {}", self.setting, self.source, self.problem)
    }
}

impl std::error::Error for SettingError {}

/// All layers, the stronger over the weaker.
pub struct Layers {
    merged: Figment,
    defaults: Dict,
}

impl Layers {
    /// Reads the layers. `file` must exist; `environment` looks a variable up; `options` are from the command line.
    pub fn read(
        file: Option<&Path>,
        environment: impl Fn(&str) -> Option<String>,
        options: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let defaults = Toml::string(DEFAULTS).data()?.remove(&Profile::Default).unwrap_or_default();
        let mut figment = Figment::from(One::table("built in", defaults.clone()));
        if let Some(path) = file {
            figment = figment.merge(user_file(path, &defaults)?);
        }
        for key in defaults.keys() {
            if let Some((name, value)) = variable(key, &environment) {
                figment = figment.merge(One::text(key, name, value));
            }
        }
        for (key, value) in options {
            figment = figment.merge(One::text(key, "command line".into(), value.clone()));
        }
        Ok(Self { merged: figment, defaults })
    }

    /// An error about a setting.
    pub fn wrong(&self, key: &str, problem: impl Into<String>) -> SettingError {
        SettingError { setting: key.into(), source: self.source(key), problem: problem.into() }
    }

    /// Text, trimmed; `None` when empty.
    pub fn text(&self, key: &str) -> Result<Option<String>, SettingError> {
        let text = match self.value(key) {
            Value::String(_, text) => text,
            Value::Num(_, number) => match number.to_i128() {
                Some(number) => number.to_string(),
                None => return Err(self.wrong(key, "must be text in quotes")),
            },
            _ => return Err(self.wrong(key, "must be text in quotes")),
        };
        let text = text.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// Text that may not be empty.
    pub fn required(&self, key: &str) -> Result<String, SettingError> {
        self.text(key)?.ok_or_else(|| self.wrong(key, "must not be empty"))
    }

    /// A whole number within limits.
    pub fn number<T>(&self, key: &str, limits: RangeInclusive<T>) -> Result<T, SettingError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let text = self.text(key)?.unwrap_or_default();
        match text.parse::<T>() {
            Ok(number) if limits.contains(&number) => Ok(number),
            _ => Err(self.wrong(
                key,
                format!(
                    "must be a whole number from {} to {}, not {text:?}",
                    limits.start(),
                    limits.end()
                ),
            )),
        }
    }

    /// Yes or no; `None` for any other word.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key) {
            Value::Bool(_, flag) => Some(flag),
            Value::String(_, text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            Value::Num(_, number) => match number.to_i128() {
                Some(1) => Some(true),
                Some(0) => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Texts; one text is split at its commas, or read as a JSON array.
    pub fn list(&self, key: &str) -> Result<Vec<String>, SettingError> {
        let wrong = || self.wrong(key, "must be a list of texts");
        let items = match self.value(key) {
            Value::Array(_, items) => items
                .into_iter()
                .map(|item| item.into_string().ok_or_else(wrong))
                .collect::<Result<Vec<_>, _>>()?,
            Value::String(_, text) if text.trim_start().starts_with('[') => {
                serde_json::from_str(&text).map_err(|_| wrong())?
            }
            Value::String(_, text) => text.split(',').map(str::to_owned).collect(),
            _ => return Err(wrong()),
        };
        let items = items.iter().map(|item| item.trim().to_owned());
        Ok(items.filter(|item| !item.is_empty()).collect())
    }

    /// Every setting in the order of the shipped file as a line of TOML with its source, secrets left out.
    pub fn describe(&self) -> String {
        let mut lines = String::new();
        for key in keys() {
            let source = self.source(key);
            let shown = if SECRETS.contains(&key) {
                if matches!(self.text(key), Ok(None)) { "\"\"".into() } else { "\"(set)\"".into() }
            } else {
                without_password(&self.shown(key))
            };
            let from = if source == "built in" { String::new() } else { format!("  # {source}") };
            lines.push_str(&format!("{key} = {shown}{from}\n"));
        }
        lines
    }

    /// The value as TOML writes it, in the kind that the shipped file has it in.
    fn shown(&self, key: &str) -> String {
        let value = self.value(key);
        let is_list = matches!(self.defaults.get(key), Some(Value::Array(..)));
        match (&value, self.defaults.get(key)) {
            (Value::String(_, text), Some(Value::Num(..))) if text.parse::<i64>().is_ok() => {
                text.clone()
            }
            (Value::String(..), Some(Value::Bool(..))) => {
                self.flag(key).map_or_else(|| written(&value), |flag| flag.to_string())
            }
            _ if is_list => match self.list(key) {
                Ok(items) => format!("{items:?}"),
                Err(_) => written(&value),
            },
            _ => written(&value),
        }
    }

    fn value(&self, key: &str) -> Value {
        self.merged.find_value(key).expect("the built-in file has every setting that is asked for")
    }

    fn source(&self, key: &str) -> String {
        let value = self.value(key);
        self.merged
            .get_metadata(value.tag())
            .map_or_else(String::new, |found| found.name.to_string())
    }
}

/// The settings there are, in the order of the shipped file.
pub fn keys() -> impl Iterator<Item = &'static str> {
    DEFAULTS.lines().filter_map(|line| match line.split_once(" = ") {
        Some((key, _)) if !key.starts_with('#') => Some(key),
        _ => None,
    })
}

/// The first of a setting's variables that is there and not empty.
fn variable(key: &str, environment: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let aliases = ALIASES.iter().filter(|(of, _)| *of == key).map(|(_, name)| (*name).to_owned());
    std::iter::once(key.to_ascii_uppercase()).chain(aliases).find_map(|name| {
        let value = environment(&name).filter(|value| !value.trim().is_empty())?;
        Some((name, value))
    })
}

fn user_file(path: &Path, defaults: &Dict) -> anyhow::Result<One> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("cannot read {name}: {error}"))?;
    let values = Toml::string(&text).data().map_err(|error| {
        // The parser draws a picture of the place over several lines; its last line has the reason.
        let reason = error.kind.to_string();
        let reason =
            reason.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
        anyhow::anyhow!("{name}: {}", reason.collect::<Vec<_>>().join(": "))
    })?;
    let values = values.into_values().next().unwrap_or_default();
    if let Some(unknown) = values.keys().find(|key| !defaults.contains_key(*key)) {
        anyhow::bail!(
            "{name}: there is no setting `{unknown}` (the shipped config.toml lists all of them)"
        );
    }
    Ok(One::table(&name, values))
}

/// A value as TOML writes it.
fn written(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number.to_i128().map_or_else(String::new, |n| n.to_string()),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        _ => "\"?\"".into(),
    }
}

/// A URL with its password hidden, wherever it stands.
pub fn without_password(text: &str) -> String {
    let mut shown = text.to_owned();
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((credentials, rest)) = rest.rsplit_once('@')
        && let Some((user, _)) = credentials.split_once(':')
    {
        shown = format!("{scheme}://{user}:(set)@{rest}");
    }
    match shown.split_once("password=") {
        Some((before, after)) => {
            let rest = after.find(['&', '"']).map_or("", |end| &after[end..]);
            format!("{before}password=(set){rest}")
        }
        None => shown,
    }
}

/// One source of values, named so that errors can say it.
struct One {
    name: String,
    values: Dict,
}

impl One {
    fn table(name: &str, values: Dict) -> Self {
        Self { name: name.into(), values }
    }

    fn text(key: &str, name: String, value: String) -> Self {
        Self { name, values: Dict::from([(key.to_owned(), Value::from(value))]) }
    }
}

impl Provider for One {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The user's file: the named one, or `config.toml` here if there is one.
pub fn chosen_file(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| Some(PathBuf::from("config.toml")).filter(|path| path.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn every_setting_is_documented_by_a_sentence() {
        let lines: Vec<&str> = DEFAULTS.lines().collect();
        for key in keys() {
            let at = lines.iter().position(|line| line.starts_with(&format!("{key} = "))).unwrap();
            let comment: Vec<&str> = lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("# "))
                .copied()
                .collect();
            let first = comment.last().unwrap_or_else(|| panic!("{key} has no comment"));
            assert!(first.len() > 20 && !first.contains("----"), "{key}: {first}");
            assert!(comment[0].ends_with('.'), "{key}: {}", comment[0]);
        }
        let parsed = Toml::string(DEFAULTS).data().unwrap().remove(&Profile::Default).unwrap();
        assert_eq!(keys().count(), parsed.len());
        for secret in SECRETS.iter().chain(ALIASES.iter().map(|(key, _)| key)) {
            assert!(parsed.contains_key(*secret), "{secret} is no setting");
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_command_line_over_both() {
        let (_dir, path) = file("port = 1\nhost = \"::\"\napp_name = \"F\"");
        let environment = |name: &str| match name {
            "PORT" => Some("2".into()),
            "HOST" => Some("0.0.0.0".into()),
            _ => None,
        };
        let layers = Layers::read(Some(&path), environment, &[("port", "3".into())]).unwrap();
        assert_eq!(layers.number("port", 0..=65535u16), Ok(3));
        assert_eq!(layers.required("host").unwrap(), "0.0.0.0");
        assert_eq!(layers.required("app_name").unwrap(), "F");
        assert_eq!(layers.required("jwt_algorithm").unwrap(), "HS256");
        assert_eq!(layers.source("app_name"), path.display().to_string());
    }

    #[test]
    fn an_unknown_setting_in_the_file_is_named() {
        let (_dir, path) = file("prot = 1");
        let error = Layers::read(Some(&path), nothing, &[]).err().unwrap().to_string();
        assert!(error.contains("no setting `prot`") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_file_that_is_not_toml_gives_one_line_with_the_place() {
        let (_dir, path) = file("port = 1\nhost = \n");
        let error = Layers::read(Some(&path), nothing, &[]).err().unwrap().to_string();
        assert!(error.contains("line 2") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn an_empty_variable_is_not_set_and_an_alias_gives_way_to_the_name() {
        let environment = |name: &str| match name {
            "TURN_URL" => Some("turn:a".into()),
            "DATABASE_URL" => Some("sqlite://first".into()),
            "SQLALCHEMY_DATABASE_URL" => Some("sqlite://second".into()),
            "PORT" => Some(" ".into()),
            _ => None,
        };
        let layers = Layers::read(None, environment, &[]).unwrap();
        assert_eq!(layers.list("turn_urls").unwrap(), ["turn:a"]);
        assert_eq!(layers.required("database_url").unwrap(), "sqlite://first");
        assert_eq!(layers.number("port", 0..=65535u16), Ok(8080));
    }

    #[test]
    fn lists_come_as_toml_commas_or_json() {
        for text in ["a:1, b:2", "[\"a:1\",\"b:2\"]", "a:1,,b:2,"] {
            let layers =
                Layers::read(None, |n| (n == "CORS_ORIGINS").then(|| text.into()), &[]).unwrap();
            assert_eq!(layers.list("cors_origins").unwrap(), ["a:1", "b:2"], "{text}");
        }
        let (_dir, path) = file("cors_origins = [\"a:1\", 2]");
        let layers = Layers::read(Some(&path), nothing, &[]).unwrap();
        assert!(layers.list("cors_origins").is_err());
    }

    #[test]
    fn what_is_printed_has_every_setting_and_no_secret() {
        let environment = |name: &str| match name {
            "DATABASE_URL" => Some("postgresql://me:hunter2@db/veche".to_owned()),
            "PORT" => Some("9".into()),
            "STUN_SERVERS" => Some("stun:a,stun:b".into()),
            "APP_DEBUG" => Some("yes".into()),
            name if SECRETS.contains(&name.to_ascii_lowercase().as_str()) => Some("hunter2".into()),
            _ => None,
        };
        let text = Layers::read(None, environment, &[]).unwrap().describe();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("database_url = \"postgresql://me:(set)@db/veche\"  # DATABASE_URL\n")
        );
        assert!(text.contains("\nport = 9  # PORT\n"), "{text}");
        assert!(
            text.contains("\nstun_servers = [\"stun:a\", \"stun:b\"]  # STUN_SERVERS\n"),
            "{text}"
        );
        assert!(text.contains("\napp_debug = true  # APP_DEBUG\n"), "{text}");
        assert_eq!(text.lines().count(), keys().count());
        let parsed = Toml::string(&text).data().unwrap();
        assert_eq!(parsed[&Profile::Default].len(), keys().count());
    }
}
