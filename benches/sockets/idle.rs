//! People who are in their rooms and say nothing.

use crate::Line;
use crate::wire::Wire;
use std::sync::Arc;
use std::time::Duration;
use testkit::Error;
use testkit::server::{Cost, Server};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const GOAL_MB: f64 = 400.0;
const GOAL_CORE: f64 = 0.10;
/// More at a time only wait for each other.
const AT_ONCE: usize = 32;
/// Until the last joins have been told and written.
const REST: Duration = Duration::from_secs(10);

pub async fn measure(
    server: &Server,
    rooms: usize,
    per_room: usize,
    time: Duration,
) -> Result<Vec<Line>, Error> {
    let mut tokens = Vec::new();
    for n in 0..per_room {
        tokens.push(server.api.guest(&format!("Guest {n}"))?.access_token);
    }
    let mut slugs = Vec::new();
    for n in 0..rooms {
        slugs.push(server.api.create_room(&tokens[n % per_room], &format!("Room {n}"))?.slug);
    }
    let before = Cost::of(server.pid())?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let address = server.api.server;
    let mut opening = JoinSet::new();
    for token in &tokens {
        for slug in &slugs {
            let (token, slug, places) = (token.clone(), slug.clone(), places.clone());
            opening.spawn(async move {
                let _place = places.acquire_owned().await.expect("the semaphore stays open");
                Wire::open(address, &slug, &token).await
            });
            if opening.len() >= 2 * AT_ONCE {
                listen(opening.join_next().await.expect("some open"))?;
            }
        }
    }
    while let Some(opened) = opening.join_next().await {
        listen(opened)?;
    }
    tokio::time::sleep(REST).await;
    let joined = Cost::of(server.pid())?;
    tokio::time::sleep(time).await;
    let idle = Cost::of(server.pid())?;
    let sockets = server.metric("veche_sockets")?;
    let wanted = (rooms * per_room) as f64;
    if sockets < wanted {
        return Err(Error::Answer(format!("{sockets} of {wanted} sockets are still open")));
    }
    let mb = idle.resident_kib as f64 * 1.024 / 1_000.0;
    let each = (idle.anonymous_kib.saturating_sub(before.anonymous_kib)) as f64 / wanted;
    let core = idle.since(&joined).total.as_secs_f64() / time.as_secs_f64();
    println!(
        "{rooms} rooms of {per_room}: {:.0} MB before, {each:.1} KiB each; joining took {:.1} s of a core\n",
        before.resident_kib as f64 * 1.024 / 1_000.0,
        joined.since(&before).total.as_secs_f64(),
    );
    Ok(vec![
        Line {
            what: "idle sockets: resident memory of the server, MB",
            measured: format!("{mb:.0}"),
            goal: "400",
            is_met: mb <= GOAL_MB,
        },
        Line {
            what: "idle sockets: share of a core",
            measured: format!("{core:.3}"),
            goal: "0.10",
            is_met: core <= GOAL_CORE,
        },
    ])
}

/// Reads for ever what a socket is told, and answers its pings.
fn listen(opened: Result<Result<Wire, Error>, tokio::task::JoinError>) -> Result<(), Error> {
    let mut wire = opened.expect("opening a socket does not panic")?;
    tokio::spawn(async move { while wire.read(|_| ()).await.is_ok() {} });
    Ok(())
}
