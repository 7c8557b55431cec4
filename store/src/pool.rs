//! The store itself: where it connects, and who may write.

use crate::error::Error;
use crate::migrations::migrator;
use crate::url::{DatabaseUrl, url_of_file};
use crate::writer::{Work, Writer};
use protocol::limits::EVENTS_KEPT;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection, Executor};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that lasts. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) writer: Writer,
    pub(crate) reader: AnyPool,
    /// What the writer writes with.
    writing: AnyPool,
    /// Events of a room that are kept.
    pub(crate) events_kept: i64,
}

impl Store {
    /// Connects to `sqlite:` or `postgresql:` (in the spellings of sqlx and of SQLAlchemy) and brings
    /// the schema up to date. A SQLite file and its folder are made where missing, readable by their owner only.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        install_default_drivers();
        let (writer, writing, reader) = match DatabaseUrl::parse(url)? {
            DatabaseUrl::File(path) => {
                let (writing, reader) = open_file(&path).await?;
                (Writer::grouped(writing.clone()), writing, reader)
            }
            DatabaseUrl::Memory => {
                let only = sqlite_options(1).connect_with(quiet("sqlite::memory:")?).await?;
                (Writer::grouped(only.clone()), only.clone(), only)
            }
            DatabaseUrl::Postgres(url) => {
                let pool = AnyPoolOptions::new()
                    .max_connections(POSTGRES_CONNECTIONS)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .connect_with(quiet(&url)?)
                    .await?;
                (Writer::Pool(pool.clone()), pool.clone(), pool)
            }
        };
        migrator().run(&writing).await?;
        Ok(Self { writer, reader, writing, events_kept: EVENTS_KEPT })
    }

    /// Whether a database answers there, with nothing in it made or changed. A SQLite file that is not there yet is made
    /// at the first start.
    pub async fn reach(url: &str) -> Result<(), Error> {
        install_default_drivers();
        let options = match DatabaseUrl::parse(url)? {
            DatabaseUrl::Memory => return Ok(()),
            DatabaseUrl::File(path) if !path.exists() => return Ok(()),
            DatabaseUrl::File(path) => quiet(&url_of_file(
                &std::path::absolute(&path).map_err(|source| file_error(&path, source))?,
            ))?,
            DatabaseUrl::Postgres(url) => quiet(&url)?,
        };
        let mut connection = AnyConnection::connect_with(&options).await?;
        // Reads the file's head too, so that what is no database is found out.
        sqlx::query("SELECT 1").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// The same store, keeping another number of events per room.
    #[must_use]
    pub fn keeping_events(mut self, kept: i64) -> Self {
        self.events_kept = kept.max(1);
        self
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.reader).await?;
        Ok(())
    }

    /// Waits for what is under way and closes every connection.
    pub async fn close(&self) {
        // Writes keep their order, so when this one is through, all before it are.
        let last = self.writer.write(|_| Box::pin(async { Ok(Work::Done(())) }));
        if let Err(error) = last.await {
            tracing::warn!(%error, "the last writes before closing failed");
        }
        self.reader.close().await;
        self.writing.close().await;
    }
}

/// One writer and several readers: eight writers in one pool failed nine of ten transactions with
/// "database is locked", one writes more than a thousand a second.
async fn open_file(path: &Path) -> Result<(AnyPool, AnyPool), Error> {
    let path = std::path::absolute(path).map_err(|source| file_error(path, source))?;
    let made = path.clone();
    tokio::task::spawn_blocking(move || make_private_file(&made))
        .await
        .expect("making a file does not panic")
        .map_err(|source| file_error(&path, source))?;
    let url = url_of_file(&path);
    let writing = sqlite_options(1).connect_with(quiet(&url)?).await?;
    let reader = sqlite_options(SQLITE_READERS).connect_with(quiet(&url)?).await?;
    Ok((writing, reader))
}

/// Fewer would let a slow page of history hold up sign-ins; more only compete for the same cores.
const SQLITE_READERS: u32 = 4;
/// PostgreSQL allows 100 by default, and other nodes want theirs.
const POSTGRES_CONNECTIONS: u32 = 16;
/// Longer keeps people waiting for an error they will get anyway; shorter fails at the first slow disk.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(8);

/// FULL syncs each commit: what was broadcast is still there after the power went.
const SQLITE_PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;";

fn sqlite_options(connections: u32) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .min_connections(1)
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A connection to a file does not go stale, and the last one to memory holds the data. Asking it whether it is
        // there would be one more way to its thread and back for each thing that is read.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(SQLITE_PRAGMAS).await?;
                Ok(())
            })
        })
}

/// Statements are not logged: their binds are people's names and words.
fn quiet(url: &str) -> Result<AnyConnectOptions, Error> {
    let options: AnyConnectOptions =
        url.parse().map_err(|_| Error::Url("it cannot be read as a URL"))?;
    Ok(options.disable_statement_logging())
}

fn file_error(path: &Path, source: std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), source }
}

/// SQLite gives its `-wal` and `-shm` files the mode of the database, so this covers them as well.
fn make_private_file(path: &PathBuf) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}
