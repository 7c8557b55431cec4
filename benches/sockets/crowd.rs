//! A thousand who come into one room, fifty a second, and what each of them is told.

use crate::Line;
use crate::wire::Wire;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use testkit::Error;
use testkit::server::{Cost, Server};
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const PER_SECOND: u32 = 50;
const GOAL_P99: Duration = Duration::from_millis(500);
/// Gathered events come every quarter of a second; a message that was held up on its way may come with the next.
const GOAL_FRAMES: usize = 4;
/// How long is listened after the last one has come: pages of people are on their way.
const QUIET: Duration = Duration::from_secs(5);
/// While a room is small its first events come at once.
const SMALL: usize = 50;

/// What one of them has heard.
#[derive(Default)]
struct Heard {
    /// How many messages in each second since they came.
    seconds: Vec<usize>,
    bytes: usize,
}

pub async fn measure(server: &Server, people: usize) -> Result<Vec<Line>, Error> {
    let owner = server.api.guest("Owner")?.access_token;
    let slug: Rc<str> = server.api.create_room(&owner, "Crowd")?.slug.into();
    let mut tokens = Vec::new();
    for n in 0..people {
        tokens.push(server.api.guest(&format!("Guest {n}"))?.access_token);
    }
    let joins: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let heard: Rc<RefCell<Vec<Heard>>> = Rc::default();
    let set = LocalSet::new();
    let (cost, elapsed) = set
        .run_until(async {
            let (before, from) = (Cost::of(server.pid())?, Instant::now());
            let mut beat = interval(Duration::from_secs(1) / PER_SECOND);
            beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
            for (n, token) in tokens.into_iter().enumerate() {
                beat.tick().await;
                let (address, slug) = (server.api.server, slug.clone());
                let (joins, heard) = (joins.clone(), heard.clone());
                tokio::task::spawn_local(async move {
                    let asked = Instant::now();
                    match Wire::open(address, &slug, &token).await {
                        Ok(wire) => {
                            joins.borrow_mut().push(asked.elapsed());
                            listen(wire, n, &heard).await;
                        }
                        Err(error) => eprintln!("crowd: {error}"),
                    }
                });
            }
            let cost = (Cost::of(server.pid())?.since(&before), from.elapsed());
            sleep(QUIET).await;
            Ok::<_, Error>(cost)
        })
        .await?;
    let mut joins = std::mem::take(&mut *joins.borrow_mut());
    joins.sort_unstable();
    let p99 = joins.get(joins.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(Duration::MAX);
    let heard = heard.borrow();
    let later = heard.iter().skip(SMALL);
    let most = later.flat_map(|heard| &heard.seconds).copied().max().unwrap_or(0);
    let first = heard.iter().flat_map(|heard| &heard.seconds).copied().max().unwrap_or(0);
    let bytes = heard.iter().map(|heard| heard.bytes).sum::<usize>();
    let core = cost.total.as_secs_f64() / elapsed.as_secs_f64();
    let each = cost.total.as_secs_f64() * 1_000.0 / people as f64;
    println!(
        "{people} came in {elapsed:.1?}: {core:.2} of a core, {each:.1} ms of it each, {} MB told, up to {first} frames in a second of the first {SMALL}\n",
        bytes / 1_000_000
    );
    Ok(vec![
        Line {
            what: "crowd, 50 joins/s: all in",
            measured: format!("{} of {people}", joins.len()),
            goal: "all",
            is_met: joins.len() == people,
        },
        Line {
            what: "crowd, 50 joins/s: p99 of a join, ms",
            measured: format!("{:.0}", p99.as_secs_f64() * 1_000.0),
            goal: "500",
            is_met: p99 <= GOAL_P99,
        },
        Line {
            what: "crowd, 50 joins/s: most roster frames in a second",
            measured: most.to_string(),
            goal: "4",
            is_met: most <= GOAL_FRAMES,
        },
    ])
}

/// Counts what comes until the measurement is over.
async fn listen(mut wire: Wire, n: usize, heard: &RefCell<Vec<Heard>>) {
    let came = Instant::now();
    loop {
        let read = wire.read(|text| {
            let mut heard = heard.borrow_mut();
            if heard.len() <= n {
                heard.resize_with(n + 1, Heard::default);
            }
            let second = usize::try_from(came.elapsed().as_secs()).unwrap_or(usize::MAX);
            let own = &mut heard[n];
            own.bytes += text.len();
            if own.seconds.len() <= second {
                own.seconds.resize(second + 1, 0);
            }
            // A long message comes in pieces, and is one.
            own.seconds[second] += usize::from(text.starts_with(b"{\"type\":"));
        });
        if read.await.is_err() {
            return;
        }
    }
}
