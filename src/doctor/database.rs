//! The database: whether it answers. Nothing in it is changed.

use super::report::Finding;
use crate::config::Config;
use store::Store;

/// Asks the database something, as the server would.
pub async fn examine(config: &Config) -> Finding {
    let url = config.database_url.expose();
    // Its own words hold no password: what is shown is the settings' text without one.
    let shown = format!("{:?}", config.database_url);
    match tokio::time::timeout(PATIENCE, Store::reach(url)).await {
        Ok(Ok(())) => Finding::good("database").says(
            format!("The database answers ({shown})."),
            format!("База данных отвечает ({shown})."),
        ),
        Ok(Err(error)) => wrong(&shown, &error.to_string()),
        Err(_) => wrong(&shown, "no answer in time"),
    }
}

fn wrong(shown: &str, error: &str) -> Finding {
    Finding::bad("database")
        .says(
            format!("The database does not answer ({shown}): {error}."),
            format!("База данных не отвечает ({shown}): {error}."),
        )
        .advises(
            "Start it, and look at host, port, name and password in `database_url`; PostgreSQL's own log says whom it refused."
                .into(),
            "Запустите её и проверьте адрес, порт, имя и пароль в `database_url`; кого отверг PostgreSQL, видно в его журнале."
                .into(),
        )
}

/// As long as the server itself would wait for a connection.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
