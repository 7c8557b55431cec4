//! Fresh, empty databases for tests: SQLite always, PostgreSQL where `TEST_POSTGRES_URL` names a server.

use crate::pool::Store;
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use std::path::PathBuf;
use uuid::Uuid;

/// A database of one test. SQLite files go with it; PostgreSQL schemas stay in the test server.
pub struct TestDatabase {
    /// `sqlite` or `postgres`, for messages of assertions.
    pub name: &'static str,
    /// Opens it again.
    pub url: String,
    /// The store on it.
    pub store: Store,
    folder: Option<PathBuf>,
}

impl TestDatabase {
    /// A SQLite file.
    pub async fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(format!("veche-test-{}", Uuid::new_v4()));
        let url = format!("sqlite://{}", folder.join("veche.db").display());
        let store = Store::connect(&url).await.expect("a fresh SQLite file opens");
        Self { name: "sqlite", url, store, folder: Some(folder) }
    }

    /// A schema of its own in the PostgreSQL server of `TEST_POSTGRES_URL`; `None` where that is not set.
    pub async fn postgres() -> Option<Self> {
        let server = std::env::var("TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty())?;
        install_default_drivers();
        let schema = format!("test_{}", Uuid::new_v4().simple());
        let mut connection =
            AnyConnection::connect(&server).await.expect("the test server answers");
        connection
            .execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}")))
            .await
            .expect("the test user may make schemas");
        connection.close().await.expect("the connection closes");
        let joint = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{joint}options=-c%20search_path%3D{schema}");
        let store = Store::connect(&url).await.expect("a fresh schema migrates");
        Some(Self { name: "postgres", url, store, folder: None })
    }

    /// Every kind of database there is to test on.
    pub async fn all() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        all.extend(Self::postgres().await);
        all
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            std::fs::remove_dir_all(folder).ok();
        }
    }
}
