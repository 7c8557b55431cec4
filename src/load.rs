//! `veche load`: many people in one process, who come to a server through its public doors, send, receive, and count. It is only
//! what many clients would be: it knows no door that they do not know, and goes only where it is told.

mod cost;
mod heard;
mod live;
mod media;
mod person;
mod plan;
mod report;

pub use plan::Plan;

use crate::open_files;
use crate::visitor::http::{self, Target};
use anyhow::{Context, anyhow, ensure};
use client::histogram::Histogram;
use cost::{Cost, Meter};
use live::Live;
use media::{Media, Order};
use person::{Place, Refusal, Role, Visit, accepted, sign_in, told_over, visit};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use report::Report;
use serde_json::{Value, json};
use sfu::Identity;
use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

/// Does it, prints the numbers, and fails where somebody did not come in.
///
/// # Errors
/// It cannot begin: what is asked for has no bound, or the server makes no room.
pub fn run(plan: Plan) -> anyhow::Result<ExitCode> {
    plan.check()?;
    raise_limit_of_files(plan.files())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(load(&plan))?;
    runtime.shutdown_background();
    if let Some(path) = &plan.json {
        let written = std::fs::write(path, report.as_json(&plan));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    print!("{}", report.as_table(plan.lang));
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The room, and what it takes to leave no trace.
struct Room {
    slug: String,
    invite_code: Option<String>,
    /// Who made it, to delete it at the end.
    maker: Option<String>,
}

async fn load(plan: &Plan) -> anyhow::Result<Report> {
    let target = Target::parse(&plan.url, plan.authority.as_deref());
    let target =
        target.with_context(|| format!("{} does not begin with https:// or http://", plan.url))?;
    let looked_up = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
    let address = looked_up.ok().and_then(|mut found| found.next());
    let address = address.with_context(|| format!("{} leads nowhere from here", target.host))?;
    let room = enter_or_make(plan, &target).await?;
    let meter = match plan.server_pid {
        Some(pid) => Meter::Process(pid),
        None => Meter::Metrics { target: target.clone(), token: plan.metrics_token.clone() },
    };
    let epoch = Instant::now();
    let lives: Vec<Arc<Live>> = (0..plan.threads).map(|_| Arc::default()).collect();
    let start = |live: &Arc<Live>| Media::start(plan.pace(), epoch, live.clone());
    let media = lives.iter().map(start).collect::<Result<Vec<Media>, _>>()?;
    let (over, is_over) = watch::channel(false);
    let place = Arc::new(Place {
        plan: plan.clone(),
        target: target.clone(),
        address: address.ip(),
        slug: room.slug.clone(),
        invite_code: room.invite_code.clone(),
        media,
        identity: Identity::generate()?,
        epoch,
        is_over,
        publishers: Mutex::default(),
        present: AtomicUsize::new(0),
        settled: AtomicUsize::new(0),
    });
    let progress = tokio::spawn(tell(place.clone(), lives.clone()));
    let mut crowd = Crowd {
        place,
        lives,
        people: JoinSet::new(),
        tokens: HashMap::new(),
        report: Report::of(plan.publishers + plan.subscribers),
    };
    let outcome = {
        let interrupted = tokio::signal::ctrl_c();
        tokio::select! {
            () = crowd.live(&meter) => false,
            _ = interrupted => true,
        }
    };
    crowd.report.is_cut_short = outcome;
    progress.abort();
    progress.await.ok();
    let tokens: Vec<String> = crowd.tokens.values().cloned().collect();
    let mut report = crowd.end(over).await?;
    sign_out(&target, &room, tokens).await;
    report.own = Cost::own();
    Ok(report)
}

/// Everybody who is on the way or in.
struct Crowd {
    place: Arc<Place>,
    lives: Vec<Arc<Live>>,
    people: JoinSet<Outcome>,
    /// Of guests, by number; several presences share one.
    tokens: HashMap<usize, String>,
    report: Report,
}

/// What one of them brings back: all their visits.
type Outcome = (Role, Vec<Visit>);

impl Crowd {
    /// Lets everybody come, and waits as long as was asked for.
    async fn live(&mut self, meter: &Meter) {
        let place = self.place.clone();
        let plan = &place.plan;
        let mut chance = StdRng::seed_from_u64(plan.seed);
        let before = meter.read().await;
        let began = Instant::now();
        let pause = Duration::from_secs_f64(1.0 / plan.rate);
        for number in 0..plan.people() {
            sleep_until((began + pause.mul_f64(number as f64)).into()).await;
            let role = match number {
                number if number < plan.publishers => Role::Publisher(number),
                number if number < plan.publishers + plan.subscribers => Role::Subscriber,
                _ => Role::Visitor(Duration::from_secs_f64(
                    plan.stay * chance.random_range(0.5..1.5),
                )),
            };
            let guest = number / plan.presences;
            let token = match self.tokens.get(&guest) {
                Some(token) => token.clone(),
                None => match guest_of_room(&place, guest).await {
                    Ok(token) => {
                        self.tokens.insert(guest, token.clone());
                        token
                    }
                    Err(refusal) => {
                        self.report.refused(&refusal);
                        place.settled.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                },
            };
            self.people.spawn(come(place.clone(), number, token, role));
        }
        self.wait_until_settled().await;
        let (start, begin) = (Instant::now(), meter.read().await);
        let (packets, own) = (self.received(), Cost::own());
        tokio::select! {
            () = sleep(Duration::from_secs_f64(plan.duration)) => {}
            // Such as where the server went away.
            () = self.wait_until_gone() => {}
        }
        self.report.steady = start.elapsed();
        self.report.steady_packets = self.received() - packets;
        self.report.own_steady = Cost::own().since(&own);
        let end = meter.read().await;
        self.report.server = before
            .zip(begin)
            .zip(end)
            .map(|((before, begin), end)| (begin.since(&before), end.since(&begin)));
    }

    /// Until everybody who stays is in, or is known not to come.
    async fn wait_until_settled(&mut self) {
        let place = self.place.clone();
        let end = Instant::now() + SETTLE_PATIENCE;
        while Instant::now() < end && place.settled.load(Ordering::Relaxed) < self.report.wanted {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Until nobody is left.
    async fn wait_until_gone(&mut self) {
        while let Some(done) = self.people.join_next().await {
            self.take(done.ok());
        }
    }

    fn take(&mut self, outcome: Option<Outcome>) {
        let Some((role, visits)) = outcome else { return };
        visits.iter().for_each(|visit| self.report.visited(role, visit));
    }

    fn received(&self) -> u64 {
        self.lives.iter().map(|live| live.read().0).sum()
    }

    /// Lets what is under way arrive, lets everybody go, and adds up.
    async fn end(mut self, over: watch::Sender<bool>) -> anyhow::Result<Report> {
        for media in &self.place.media {
            media.order(Order::Rest);
        }
        sleep(DRAIN).await;
        // Before any transport is closed: from here on nothing that ends has failed.
        over.send(true).ok();
        let people = async {
            let mut outcomes = Vec::new();
            while let Some(done) = self.people.join_next().await {
                outcomes.extend(done.ok());
            }
            outcomes
        };
        let outcomes = timeout(FAREWELL, people).await.unwrap_or_default();
        outcomes.into_iter().for_each(|outcome| self.take(Some(outcome)));
        self.people.shutdown().await;
        let Self { place, mut report, .. } = self;
        let place = Arc::into_inner(place).ok_or_else(|| anyhow!("somebody is still there"))?;
        for media in &place.media {
            media.order(Order::Finish);
        }
        let mut outcomes = Vec::new();
        for media in place.media {
            outcomes.push(media.join()?);
        }
        let mut sent = HashMap::new();
        let (mut latency, mut waited) = (Histogram::default(), Histogram::default());
        for outcome in &mut outcomes {
            sent.extend(outcome.sent.drain());
            latency.merge(&outcome.latency);
            waited.merge(&outcome.waited);
            report.sent += outcome.packets;
            report.skipped += outcome.skipped;
            report.broken += outcome.broken;
            report.counts.add(&outcome.departed);
        }
        for tally in outcomes.into_iter().flat_map(|outcome| outcome.tallies) {
            report.counts.add(&tally.finish(|stream| sent.get(&stream).copied()));
        }
        report.latency = latency;
        report.waited = waited;
        Ok(report)
    }
}

/// Comes once; a visitor comes again and again until it is over.
async fn come(place: Arc<Place>, number: usize, token: String, role: Role) -> Outcome {
    let mut visits = Vec::new();
    let mut is_over = place.is_over.clone();
    loop {
        let went = visit(&place, number, &token, role).await;
        let failed = went.failed.is_some();
        visits.push(went);
        let Role::Visitor(stay) = role else { break };
        let pause = stay / 4;
        let is_last = failed || *is_over.borrow() || visits.len() >= MAX_VISITS;
        if is_last || timeout(pause, told_over(&mut is_over)).await.is_ok() {
            break;
        }
    }
    (role, visits)
}

/// A guest who may enter the room.
async fn guest_of_room(place: &Place, guest: usize) -> Result<String, Refusal> {
    let token = sign_in(&place.target, &format!("{} {guest}", place.plan.name)).await?;
    if let Some(code) = &place.invite_code {
        let path = format!("/api/v1/rooms/by-invite/{code}/join");
        let answer =
            http::fetch(&place.target, "POST", &path, Some(&token), Some(&json!({}))).await;
        accepted(answer)?;
    }
    Ok(token)
}

/// The room that is named, or a new one.
async fn enter_or_make(plan: &Plan, target: &Target) -> anyhow::Result<Room> {
    if let Some(slug) = &target.slug {
        let invite_code = target.invite_code.clone();
        return Ok(Room { slug: slug.clone(), invite_code, maker: None });
    }
    let people = plan.people();
    ensure!(
        people <= MAX_CAPACITY,
        "a room holds {MAX_CAPACITY} people, not {people}: start one load for each room"
    );
    let token = match &plan.account {
        Some(name) => {
            let password = std::env::var("VECHE_LOAD_PASSWORD")
                .context("VECHE_LOAD_PASSWORD does not hold the account's password")?;
            let body = json!({ "username": name, "password": password });
            let path = "/api/v1/auth/login";
            let answer = accepted(http::fetch(target, "POST", path, None, Some(&body)).await);
            let answer = answer.map_err(|refusal| told("cannot sign in", &refusal))?;
            answer["access_token"].as_str().unwrap_or_default().to_owned()
        }
        None => {
            let token = sign_in(target, "Load").await;
            token.map_err(|refusal| told("cannot become a guest", &refusal))?
        }
    };
    let body = json!({ "name": "Load" });
    let path = "/api/v1/rooms";
    let made = accepted(http::fetch(target, "POST", path, Some(&token), Some(&body)).await);
    let made = made.map_err(|refusal| {
        let advice = match (refusal.code.as_str(), &plan.account) {
            ("forbidden", None) => {
                "; guests make no rooms there: give --account, or the link of a room"
            }
            _ => "",
        };
        anyhow!("the server makes no room: {} ({}){advice}", refusal.words, refusal.code)
    })?;
    let text = |field: &str| made[field].as_str().map(str::to_owned);
    let slug = text("slug").context("the server's answer names no room")?;
    let order = json!({ "type": "state.set", "capacity": MAX_CAPACITY });
    let path = format!("/api/v1/rooms/{slug}/orders");
    let set = accepted(http::fetch(target, "POST", &path, Some(&token), Some(&order)).await);
    set.map_err(|refusal| told("the room cannot be made large", &refusal))?;
    Ok(Room { slug, invite_code: text("invite_code"), maker: Some(token) })
}

fn told(what: &str, refusal: &Refusal) -> anyhow::Error {
    let Refusal { code, words, retry_after } = refusal;
    let wait = retry_after.map(|seconds| format!(", come back after {seconds} s"));
    anyhow!("{what}: {words} ({code}{})", wait.unwrap_or_default())
}

/// Takes away what was made: the room, and the guests.
async fn sign_out(target: &Target, room: &Room, tokens: Vec<String>) {
    if let Some(token) = &room.maker {
        let path = format!("/api/v1/rooms/{}", room.slug);
        http::fetch(target, "DELETE", &path, Some(token), None).await.ok();
    }
    let path = "/api/v1/auth/logout";
    let empty = json!({});
    let logouts = async {
        for some in tokens.chunks(LOGOUTS_AT_ONCE) {
            let each = |token| http::fetch(target, "POST", path, Some(token), Some(&empty));
            futures_util::future::join_all(some.iter().map(|token| each(token.as_str()))).await;
        }
        if let Some(token) = &room.maker {
            http::fetch(target, "POST", path, Some(token), Some(&Value::Null)).await.ok();
        }
    };
    timeout(FAREWELL, logouts).await.ok();
}

/// A line while it runs: over itself on a terminal, now and then where nobody watches.
async fn tell(place: Arc<Place>, lives: Vec<Arc<Live>>) {
    let is_watched = std::io::stderr().is_terminal();
    let every = if is_watched { Duration::from_secs(1) } else { Duration::from_secs(5) };
    let mut before = (0, 0);
    loop {
        sleep(every).await;
        let (mut received, mut lost, mut sent) = (0, 0, 0);
        for live in &lives {
            let (r, l, s) = live.read();
            (received, lost, sent) = (received + r, lost + l, sent + s);
        }
        let seconds = every.as_secs_f64();
        let rate = |now: u64, before: u64| (now - before.min(now)) as f64 / seconds;
        let share = 100.0 * lost as f64 / (received + lost).max(1) as f64;
        let present = place.present.load(Ordering::Relaxed);
        let (people, at) = (place.plan.people(), place.epoch.elapsed().as_secs());
        let (into, out) = (rate(sent, before.1), rate(received, before.0));
        before = (received, sent);
        let line = match place.plan.lang {
            crate::doctor::Language::En => format!(
                "{at} s: {present} of {people} in, {into:.0} packets/s sent, {out:.0} received, {share:.3} % lost"
            ),
            crate::doctor::Language::Ru => format!(
                "{at} с: внутри {present} из {people}, {into:.0} пакетов/с отправлено, {out:.0} получено, {share:.3} % потеряно"
            ),
        };
        if is_watched {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }
}

/// Every transport is a file to the system.
fn raise_limit_of_files(wanted: usize) -> anyhow::Result<()> {
    let Some(limit) = open_files::raise(wanted as u64) else { return Ok(()) };
    ensure!(
        limit.most >= wanted as u64,
        "{wanted} files and sockets are needed, and this process may open {}: `ulimit -n`",
        limit.most
    );
    Ok(())
}

/// People of one room, as the protocol has it.
const MAX_CAPACITY: usize = 1_000;
/// Visits of one visitor that are kept apart.
const MAX_VISITS: usize = 10_000;
/// For those who come last: as long as one of them waits for media.
const SETTLE_PATIENCE: Duration = Duration::from_secs(35);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For packets that are under way, repairs included.
const DRAIN: Duration = Duration::from_millis(500);
/// For everybody to say good-bye.
const FAREWELL: Duration = Duration::from_secs(20);
const LOGOUTS_AT_ONCE: usize = 16;
