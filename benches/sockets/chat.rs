//! One room in which everybody writes a line each second.

use crate::Line;
use crate::wire::Wire;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use testkit::Error;
use testkit::server::{Cost, Server};
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const GOAL_P99: Duration = Duration::from_millis(100);
const GOAL_CORE: f64 = 1.0;
/// Lines of the first seconds pay for pages and code that were never touched.
const WARM_UP: Duration = Duration::from_secs(3);
/// In a line before the microseconds at which it was sent.
const SENT: &[u8] = b"\"text\":\"sent ";

pub async fn measure(server: &Server, people: usize, time: Duration) -> Result<Vec<Line>, Error> {
    let owner = server.api.guest("Owner")?.access_token;
    let slug = server.api.create_room(&owner, "Chat")?.slug;
    let mut wires = Vec::new();
    for n in 0..people {
        let token = server.api.guest(&format!("Guest {n}"))?.access_token;
        wires.push(Wire::open(server.api.server, &slug, &token).await?);
    }
    let began = Instant::now();
    let delays: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let set = LocalSet::new();
    let spread = Duration::from_secs(1) / u32::try_from(people).unwrap_or(u32::MAX);
    for (n, wire) in wires.into_iter().enumerate() {
        let first = began + spread * u32::try_from(n).unwrap_or(0);
        set.spawn_local(talk(wire, began, first, delays.clone()));
    }
    let (cost, elapsed) = set
        .run_until(async {
            tokio::time::sleep(WARM_UP).await;
            delays.borrow_mut().clear();
            let (before, from) = (Cost::of(server.pid())?, Instant::now());
            tokio::time::sleep(time).await;
            Ok::<_, Error>((Cost::of(server.pid())?.since(&before), from.elapsed()))
        })
        .await?;
    let mut delays = std::mem::take(&mut *delays.borrow_mut());
    delays.sort_unstable();
    let wanted = people * people * elapsed.as_secs() as usize;
    let p = |share: usize| delays.get(delays.len().saturating_sub(1) * share / 100).copied();
    let (p50, p99) = (p(50).unwrap_or(Duration::MAX), p(99).unwrap_or(Duration::MAX));
    let core = cost.total.as_secs_f64() / elapsed.as_secs_f64();
    let most = delays.last().copied().unwrap_or_default();
    println!("{people} people: half of the lines came within {p50:.1?}, all within {most:.1?}\n");
    // Those on their way at the beginning and at the end.
    let is_whole = delays.len() >= wanted - wanted / 20;
    Ok(vec![
        Line {
            what: "chat, 200 lines/s to 200: delivered of what was sent",
            measured: format!("{} of {wanted}", delays.len()),
            goal: "all but 5 %",
            is_met: is_whole,
        },
        Line {
            what: "chat, 200 lines/s to 200: p99 of delivery, ms",
            measured: format!("{:.1}", p99.as_secs_f64() * 1_000.0),
            goal: "100",
            is_met: p99 <= GOAL_P99,
        },
        Line {
            what: "chat, 200 lines/s to 200: share of a core",
            measured: format!("{core:.2}"),
            goal: "1",
            is_met: core <= GOAL_CORE,
        },
    ])
}

/// Writes a line each second and notes how long the lines of all took to come.
async fn talk(mut wire: Wire, began: Instant, first: Instant, delays: Rc<RefCell<Vec<Duration>>>) {
    let mut beat = interval_at(first, Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let is_over = tokio::select! {
            _ = beat.tick() => {
                let sent = began.elapsed().as_micros();
                wire.send(&format!(r#"{{"type":"chat.message","text":"sent {sent} us"}}"#)).await.is_err()
            }
            heard = wire.read(|text| {
                let now = began.elapsed();
                delays.borrow_mut().extend(sent_at(text).map(|sent| now.saturating_sub(sent)));
            }) => heard.is_err(),
        };
        if is_over {
            return;
        }
    }
}

/// When the lines of a frame were sent: a crowd may be told several together.
fn sent_at(text: &[u8]) -> impl Iterator<Item = Duration> {
    let places = text.windows(SENT.len()).enumerate().filter(|(_, window)| *window == SENT);
    places.filter_map(|(at, _)| {
        let digits = text[at + SENT.len()..].split(|byte| *byte == b' ').next()?;
        let micros = std::str::from_utf8(digits).ok()?.parse().ok()?;
        Some(Duration::from_micros(micros))
    })
}
