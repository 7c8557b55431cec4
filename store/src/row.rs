//! Reading columns: what is stored becomes a type, or the database is called corrupt.

use crate::error::Error;
use sqlx::Row;
use sqlx::any::AnyRow;
use std::str::FromStr;

pub(crate) fn text(row: &AnyRow, column: &'static str) -> Result<String, Error> {
    Ok(row.try_get::<String, _>(column)?)
}

pub(crate) fn optional_text(row: &AnyRow, column: &'static str) -> Result<Option<String>, Error> {
    Ok(row.try_get::<Option<String>, _>(column)?)
}

pub(crate) fn number(row: &AnyRow, column: &'static str) -> Result<i64, Error> {
    Ok(row.try_get::<i64, _>(column)?)
}

pub(crate) fn optional_number(row: &AnyRow, column: &'static str) -> Result<Option<i64>, Error> {
    Ok(row.try_get::<Option<i64>, _>(column)?)
}

pub(crate) fn is_set(row: &AnyRow, column: &'static str) -> Result<bool, Error> {
    Ok(number(row, column)? != 0)
}

pub(crate) fn parsed<T: FromStr>(row: &AnyRow, column: &'static str) -> Result<T, Error> {
    text(row, column)?.parse().map_err(|_| Error::Corrupt(column))
}

/// Lower case of every script, for columns that are compared and searched without case.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}
