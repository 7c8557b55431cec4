//! The spellings of database URLs that people bring from other programs.

use crate::error::Error;
use std::path::{Path, PathBuf};

/// Which database a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DatabaseUrl {
    /// A SQLite file.
    File(PathBuf),
    /// SQLite in memory, gone with the process.
    Memory,
    /// A PostgreSQL URL as sqlx reads it.
    Postgres(String),
}

impl DatabaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(Error::Url("it has no scheme such as sqlite: or postgresql:"));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => sqlite(rest, Spelling::Plain),
            "sqlite+aiosqlite" | "sqlite+pysqlite" => sqlite(rest, Spelling::SqlAlchemy),
            "postgres"
            | "postgresql"
            | "postgresql+asyncpg"
            | "postgresql+psycopg"
            | "postgresql+psycopg2"
            | "postgres+asyncpg"
            | "postgres+psycopg" => Ok(Self::Postgres(format!("postgresql:{}", postgres(rest)))),
            _ => Err(Error::Url("it is neither sqlite: nor postgresql:")),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// `sqlite://relative`, `sqlite:///absolute`.
    Plain,
    /// `sqlite+aiosqlite:///relative`, `sqlite+aiosqlite:////absolute`.
    SqlAlchemy,
}

fn sqlite(rest: &str, spelling: Spelling) -> Result<DatabaseUrl, Error> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = match spelling {
        Spelling::Plain => path.strip_prefix("//").unwrap_or(path),
        Spelling::SqlAlchemy => {
            path.strip_prefix("///").or(path.strip_prefix("//")).unwrap_or(path)
        }
    };
    // `sqlite:///./app.db` is written for SQLAlchemy, whatever the scheme says: nobody means the root's `.`.
    let path = match path.strip_prefix('/') {
        Some(below) if below.starts_with("./") || below.starts_with("../") => below,
        _ => path,
    };
    let in_memory = query.split('&').any(|pair| pair == "mode=memory");
    if in_memory || path.is_empty() || path.trim_start_matches('/') == ":memory:" {
        return Ok(DatabaseUrl::Memory);
    }
    let decoded = percent_decoded(path).ok_or(Error::Url("its path is not UTF-8"))?;
    Ok(DatabaseUrl::File(PathBuf::from(decoded)))
}

/// asyncpg writes `ssl=` where libpq and sqlx write `sslmode=`.
fn postgres(rest: &str) -> String {
    let Some((address, query)) = rest.split_once('?') else {
        return rest.to_owned();
    };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.strip_prefix("ssl=") {
            Some("true") => "sslmode=require".to_owned(),
            Some("false") => "sslmode=disable".to_owned(),
            Some(mode) => format!("sslmode={mode}"),
            None => pair.to_owned(),
        })
        .collect();
    format!("{address}?{}", pairs.join("&"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = (first == b'%').then(|| tail.get(..2)).flatten();
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// The URL that makes sqlx open exactly this file, and make it where it is missing.
pub(crate) fn url_of_file(path: &Path) -> String {
    let mut url = String::from("sqlite://");
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                url.push(char::from(byte));
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url.push_str("?mode=rwc");
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> DatabaseUrl {
        DatabaseUrl::File(PathBuf::from(path))
    }

    #[test]
    fn every_spelling_of_a_sqlite_url_names_the_file_its_writer_meant() {
        for (url, path) in [
            ("sqlite:data/veche.db", "data/veche.db"),
            ("sqlite://data/veche.db", "data/veche.db"),
            ("sqlite:///var/lib/veche.db", "/var/lib/veche.db"),
            ("sqlite:///./app.db", "./app.db"),
            ("sqlite:////var/app.db", "//var/app.db"),
            ("sqlite+aiosqlite:///./data/app.db", "./data/app.db"),
            ("sqlite+aiosqlite:///data/app.db", "data/app.db"),
            ("sqlite+aiosqlite:////var/app.db", "/var/app.db"),
            ("SQLITE://a%20b.db?mode=rwc", "a b.db"),
        ] {
            assert_eq!(DatabaseUrl::parse(url).expect(url), file(path), "{url}");
        }
        for url in [
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite+aiosqlite://",
            "sqlite://x?mode=memory",
        ] {
            assert_eq!(DatabaseUrl::parse(url).expect(url), DatabaseUrl::Memory, "{url}");
        }
    }

    #[test]
    fn every_spelling_of_a_postgresql_url_becomes_the_one_that_sqlx_reads() {
        let plain = "postgresql://u:p@db:5432/veche";
        for scheme in [
            "postgres",
            "postgresql",
            "postgresql+asyncpg",
            "postgresql+psycopg",
            "postgresql+psycopg2",
        ] {
            let url = format!("{scheme}://u:p@db:5432/veche");
            assert_eq!(DatabaseUrl::parse(&url).expect(&url), DatabaseUrl::Postgres(plain.into()));
        }
        assert_eq!(
            DatabaseUrl::parse("postgresql+asyncpg://db/veche?ssl=require&application_name=v")
                .expect("valid"),
            DatabaseUrl::Postgres(
                "postgresql://db/veche?sslmode=require&application_name=v".into()
            )
        );
    }

    #[test]
    fn other_databases_are_refused_without_repeating_the_url() {
        for url in ["", "veche.db", "mysql://root:hunter2@db/veche", "mongodb://hunter2"] {
            let error = DatabaseUrl::parse(url).expect_err(url).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_file_with_odd_characters_survives_its_url() {
        let path = Path::new("/tmp/a b/%41?#ж.db");
        let url = url_of_file(path);
        assert_eq!(DatabaseUrl::parse(&url).expect("valid"), DatabaseUrl::File(path.to_owned()));
    }
}
