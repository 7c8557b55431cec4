//! Why the store could not do what it was asked.

/// Something broke below the store. Refusals (a taken name, no such room) are results, not errors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL names no database this build knows. Holds no part of the URL, which may carry a password.
    #[error("the database URL is not usable: {0}")]
    Url(&'static str),
    /// The file of the database cannot be made or opened.
    #[error("the database file {path} cannot be opened: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The schema could not be brought up to date.
    #[error("migrating the database failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement failed, or the database cannot be reached.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Other writes went down with this one, or it waited too long.
    #[error("writing failed: {0}")]
    Group(String),
    /// A stored value is not what this version writes.
    #[error("the database holds something unreadable in {0}")]
    Corrupt(&'static str),
}
