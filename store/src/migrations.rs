//! The schema's history, inside the binary. Migrations are added at the end, never edited:
//! sqlx keeps a digest of each one that ran and refuses to start on a difference.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "identity", include_str!("../../migrations/0001_identity.sql")),
    (2, "rooms", include_str!("../../migrations/0002_rooms.sql")),
    (3, "events", include_str!("../../migrations/0003_events.sql")),
    (4, "control", include_str!("../../migrations/0004_control.sql")),
    (5, "chat", include_str!("../../migrations/0005_chat.sql")),
    (6, "cover", include_str!("../../migrations/0006_cover.sql")),
    (7, "breakouts", include_str!("../../migrations/0007_breakouts.sql")),
    (8, "recordings", include_str!("../../migrations/0008_recordings.sql")),
    (9, "stream_keys", include_str!("../../migrations/0009_stream_keys.sql")),
];

pub(crate) fn migrator() -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|&(version, name, sql)| {
            let in_one_transaction = false;
            Migration::new(
                version,
                name.into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                in_one_transaction,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_in_migrations_is_in_the_binary_once_and_numbered_in_order() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .expect("the folder of migrations")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        let embedded: BTreeSet<String> = MIGRATIONS
            .iter()
            .map(|(version, name, _)| format!("{version:04}_{name}.sql"))
            .collect();
        assert_eq!(files, embedded);
        let versions: Vec<i64> = MIGRATIONS.iter().map(|(version, ..)| *version).collect();
        assert_eq!(versions, (1..=versions.len() as i64).collect::<Vec<_>>());
    }

    #[test]
    fn migrations_use_only_the_types_that_both_databases_read_alike() {
        for (_, name, sql) in MIGRATIONS {
            let code: String =
                sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            let upper = code.to_ascii_uppercase();
            for word in
                ["INTEGER", "BLOB", "BYTEA", "BOOLEAN", "TIMESTAMP", "JSON", "SERIAL", "REAL"]
            {
                assert!(!upper.contains(word), "{name} uses {word}");
            }
        }
    }
}
