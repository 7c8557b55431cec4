//! What a load has seen: a table for people, JSON for programs.

use super::cost::Cost;
use super::heard::Heard;
use super::person::{Refusal, Role, Visit};
use super::plan::Plan;
use crate::doctor::Language;
use client::histogram::Histogram;
use client::tally::Counts;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Everything that was counted.
#[derive(Default)]
pub struct Report {
    /// How many were to come and stay.
    pub wanted: usize,
    /// Visits of people who came and stayed.
    joined: usize,
    /// Comings of visitors, who come more than once.
    comings: usize,
    failed: BTreeMap<String, (usize, Refusal)>,
    ticket: Histogram,
    socket: Histogram,
    media: Histogram,
    first: Histogram,
    all: Histogram,
    stayers: Heard,
    renegotiations_of_visitors: u64,
    /// What arrived.
    pub counts: Counts,
    /// Under way, until they arrived at our sockets.
    pub latency: Histogram,
    /// From there until we read them.
    pub waited: Histogram,
    /// Packets sent.
    pub sent: u64,
    /// Frames and sounds left out.
    pub skipped: u64,
    /// Transports that ended by themselves.
    pub broken: u64,
    /// How long all were in.
    pub steady: Duration,
    /// Packets that arrived in that time.
    pub steady_packets: u64,
    /// What the server cost from the beginning until all were in, and from then on.
    pub server: Option<(Cost, Cost)>,
    /// What this process cost in all.
    pub own: Cost,
    /// What it cost while all were in.
    pub own_steady: Cost,
    /// Whether it was ended from outside.
    pub is_cut_short: bool,
}

impl Report {
    /// Of a load in which so many are to come and stay.
    pub fn of(wanted: usize) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Counts a visit.
    pub fn visited(&mut self, role: Role, visit: &Visit) {
        let is_visitor = matches!(role, Role::Visitor(_));
        if let Some(refusal) = &visit.failed {
            self.refused(refusal);
        }
        if visit.steps.all.is_some() {
            *(if is_visitor { &mut self.comings } else { &mut self.joined }) += 1;
        }
        let Steps { ticket, socket, media, first, all } = Steps::of(visit);
        for (histogram, took) in [
            (&mut self.ticket, ticket),
            (&mut self.socket, socket),
            (&mut self.media, media),
            (&mut self.first, first),
            (&mut self.all, all),
        ] {
            took.into_iter().for_each(|took| histogram.record(took));
        }
        if is_visitor {
            self.renegotiations_of_visitors += visit.heard.renegotiations;
        } else {
            self.stayers.renegotiations += visit.heard.renegotiations;
        }
        let heard = &mut self.stayers;
        heard.frames += visit.heard.frames;
        heard.bytes += visit.heard.bytes;
        heard.refused += visit.heard.refused;
        heard.roster_most = heard.roster_most.max(visit.heard.roster_most);
        heard.crowd_most = heard.crowd_most.max(visit.heard.crowd_most);
        heard.frames_most = heard.frames_most.max(visit.heard.frames_most);
        heard.chat.merge(&visit.heard.chat);
    }

    /// Counts somebody who did not get as far as the room.
    pub fn refused(&mut self, refusal: &Refusal) {
        let entry = self.failed.entry(refusal.code.clone());
        entry.or_insert_with(|| (0, refusal.clone())).0 += 1;
    }

    /// Whether everybody came in who should, and nothing broke.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.broken == 0
    }

    fn delivery(&self) -> Option<f64> {
        let Counts { expected, delivered, .. } = self.counts;
        (expected > 0).then(|| delivered as f64 / expected as f64)
    }

    /// Microseconds of the server's time for each packet that left it, and its share of a core for each person, while all
    /// were in.
    fn server_shares(&self) -> Option<(Option<f64>, f64, f64)> {
        let (_, steady) = self.server?;
        let people = self.joined.max(1) as f64;
        let seconds = self.steady.as_secs_f64().max(0.001);
        let packets = self.steady_packets;
        let each = (packets > 0).then(|| steady.cpu.as_secs_f64() * 1e6 / packets as f64);
        let core = steady.cpu.as_secs_f64() / seconds;
        Some((each, core, core / people))
    }

    /// For programs.
    pub fn as_json(&self, plan: &Plan) -> String {
        let counts = &self.counts;
        let failed: BTreeMap<&String, usize> =
            self.failed.iter().map(|(code, (count, _))| (code, *count)).collect();
        let server = self.server.zip(self.server_shares()).map(|((joining, steady), shares)| {
            let (each, core, person) = shares;
            json!({
                "cpu_seconds_joining": joining.cpu.as_secs_f64(),
                "cpu_seconds": steady.cpu.as_secs_f64(),
                "cores": core,
                "core_percent_per_person": person * 100.0,
                "cpu_us_per_packet": each,
                "cpu_ms_per_join": joining.cpu.as_secs_f64() * 1e3 / self.joined.max(1) as f64,
                "memory_growth_kib": joining.resident_kib + steady.resident_kib,
                "memory_kib_per_person":
                    (joining.resident_kib + steady.resident_kib) as f64 / self.joined.max(1) as f64,
            })
        });
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "plan": plan,
            "cut_short": self.is_cut_short,
            "seconds": self.steady.as_secs_f64(),
            "people": {
                "wanted": self.wanted,
                "joined": self.joined,
                "visits": self.comings,
                "failed": failed,
            },
            "join_ms": {
                "ticket": spread(&self.ticket),
                "socket": spread(&self.socket),
                "media": spread(&self.media),
                "first_packet": spread(&self.first),
                "all": spread(&self.all),
            },
            "media": {
                "sent": self.sent,
                "received": counts.received,
                "bytes": counts.bytes,
                "expected": counts.expected,
                "delivered": counts.delivered,
                "delivery": self.delivery(),
                "lost": counts.lost,
                "withheld": counts.withheld(),
                "repaired": counts.repaired,
                "doubled": counts.doubled,
                "stalled": counts.stalled,
                "broken_transports": self.broken,
                "skipped_by_us": self.skipped,
            },
            "latency_ms": spread(&self.latency),
            "unread_ms": spread(&self.waited),
            "socket": {
                "renegotiations": self.stayers.renegotiations,
                "renegotiations_of_visitors": self.renegotiations_of_visitors,
                "roster_frames_per_second_most": self.stayers.roster_most,
                "roster_frames_per_second_most_in_crowd": self.stayers.crowd_most,
                "frames_per_second_most": self.stayers.frames_most,
                "frames": self.stayers.frames,
                "bytes": self.stayers.bytes,
                "refused": self.stayers.refused,
                "chat_ms": spread(&self.stayers.chat),
            },
            "server": server,
            "own": {
                "cpu_seconds": self.own.cpu.as_secs_f64(),
                "cpu_seconds_steady": self.own_steady.cpu.as_secs_f64(),
                "cores": self.own_steady.cpu.as_secs_f64() / self.steady.as_secs_f64().max(0.001),
                "memory_kib": self.own.resident_kib,
            },
        });
        format!("{report:#}\n")
    }

    /// For people.
    pub fn as_table(&self, language: Language) -> String {
        let say = |en: &'static str, ru: &'static str| match language {
            Language::En => en,
            Language::Ru => ru,
        };
        let mut rows: Vec<(&str, String)> = Vec::new();
        let mut came = format!("{} / {}", self.joined, self.wanted);
        if self.comings > 0 {
            let visits = say("visits", "визитов");
            write!(came, "; {visits}: {}", self.comings).expect("a String takes it");
        }
        rows.push((say("came in", "вошли"), came));
        for (code, (count, refusal)) in &self.failed {
            let wait = refusal.retry_after.map(|seconds| format!(" ({seconds} s)"));
            let words = format!("{count} × {code}{}: {}", wait.unwrap_or_default(), refusal.words);
            rows.push((say("failed", "не вышло"), words));
        }
        let of = say("p50 / p95 / p99 / most, ms", "p50 / p95 / p99 / максимум, мс");
        for (name, histogram) in [
            (say("join: ticket", "вход: билет"), &self.ticket),
            (say("join: socket", "вход: сокет"), &self.socket),
            (say("join: media", "вход: медиа"), &self.media),
            (say("join in all", "вход целиком"), &self.all),
            (say("first packet", "первый пакет"), &self.first),
            (say("packets under way", "пакеты в пути"), &self.latency),
            (say("then unread", "затем не прочитаны"), &self.waited),
            (say("chat under way", "чат в пути"), &self.stayers.chat),
        ] {
            if let Some(words) = in_words(histogram) {
                rows.push((name, format!("{words}   ({of})")));
            }
        }
        let counts = &self.counts;
        rows.push((say("packets sent", "отправлено"), self.sent.to_string()));
        rows.push((say("packets received", "получено"), counts.received.to_string()));
        if let Some(delivery) = self.delivery() {
            let (lost, withheld) = (counts.lost, counts.withheld());
            rows.push((
                say("delivered", "доставлено"),
                match language {
                    Language::En => format!(
                        "{:.3} % of {}; lost {lost}, not sent by the server {withheld}, repaired {}, stalled {}",
                        delivery * 100.0, counts.expected, counts.repaired, counts.stalled
                    ),
                    Language::Ru => format!(
                        "{:.3} % из {}; потеряно {lost}, не отправлено сервером {withheld}, восстановлено {}, остановилось {}",
                        delivery * 100.0, counts.expected, counts.repaired, counts.stalled
                    ),
                },
            ));
        }
        let heard = &self.stayers;
        let renegotiated =
            format!("{} (+ {})", heard.renegotiations, self.renegotiations_of_visitors);
        rows.push((say("renegotiations", "пересогласований"), renegotiated));
        rows.push((
            say(
                "roster frames per second and client, most",
                "кадров о людях в секунду на клиента, максимум",
            ),
            match language {
                Language::En => {
                    format!("{}; once 60 are in {}", heard.roster_most, heard.crowd_most)
                }
                Language::Ru => format!("{}; с 60 человек {}", heard.roster_most, heard.crowd_most),
            },
        ));
        if self.broken > 0 {
            rows.push((
                say("transports that broke", "оборвалось транспортов"),
                self.broken.to_string(),
            ));
        }
        if let (Some((joining, steady)), Some((each, core, person))) =
            (self.server, self.server_shares())
        {
            let each = each.map_or_else(|| "–".to_owned(), |each| format!("{each:.2}"));
            let kib = joining.resident_kib + steady.resident_kib;
            let people = self.joined.max(1) as f64;
            let (join, kib) = (joining.cpu.as_secs_f64() * 1e3 / people, kib as f64 / people);
            let person = person * 100.0;
            rows.push((
                say("the server", "сервер"),
                match language {
                    Language::En => format!(
                        "{core:.2} cores, {each} µs per packet, {person:.3} % of a core and {kib:.0} KiB per person, {join:.1} ms per join"
                    ),
                    Language::Ru => format!(
                        "{core:.2} ядра, {each} мкс на пакет, {person:.3} % ядра и {kib:.0} КиБ на человека, {join:.1} мс на вход"
                    ),
                },
            ));
        } else {
            rows.push((
                say("the server", "сервер"),
                say(
                    "its cost cannot be read from here: give --server-pid or --metrics-token",
                    "его расход отсюда не прочесть: укажите --server-pid или --metrics-token",
                )
                .to_owned(),
            ));
        }
        let cores = self.own_steady.cpu.as_secs_f64() / self.steady.as_secs_f64().max(0.001);
        let (cpu, mib) = (self.own.cpu.as_secs_f64(), self.own.resident_kib / 1024);
        rows.push((
            say("this load itself", "сама нагрузка"),
            match language {
                Language::En => format!("{cores:.2} cores ({cpu:.1} s in all), {mib} MiB"),
                Language::Ru => format!("{cores:.2} ядра (всего {cpu:.1} с), {mib} МиБ"),
            },
        ));
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (name, value) in rows {
            let pad = " ".repeat(width - name.chars().count());
            writeln!(text, "{name}{pad}  {value}").expect("a String takes it");
        }
        self.write_advice(&mut text, language);
        text
    }

    /// What the numbers mean for whoever reads them.
    fn write_advice(&self, text: &mut String, language: Language) {
        let mut say = |en: &str, ru: &str| {
            text.push('\n');
            text.push_str(if language == Language::En { en } else { ru });
            text.push('\n');
        };
        if self.is_cut_short {
            say(
                "Ended early: these are the numbers so far.",
                "Прервано: это числа на момент остановки.",
            );
        }
        if self.failed.contains_key("rate_limited") {
            say(
                "The server lets one address do only so much at a time. A load comes from one address: start the server under test with APP_ENV=development, which makes those limits a hundred times wider, come slower (--rate), or with several presences of each guest (--presences).",
                "Сервер ограничивает, сколько можно с одного адреса, а нагрузка идёт с одного. Запустите испытуемый сервер с APP_ENV=development (эти пределы станут в сто раз шире), входите медленнее (--rate) или несколькими присутствиями на гостя (--presences).",
            );
        }
        if self.failed.contains_key("room_full") {
            say(
                "The room is full: its owner raises the capacity (at most 1,000 in one room).",
                "Комната полна: владелец может увеличить вместимость (не больше 1000 в комнате).",
            );
        }
        if self.skipped > 0 {
            say(
                &format!(
                    "This machine was too slow to send in time: {} frames and sounds were left out. The numbers say less about the server then: give the load more cores, or --threads.",
                    self.skipped
                ),
                &format!(
                    "Эта машина не успевала отправлять: пропущено кадров и звуков: {}. Тогда числа меньше говорят о сервере: дайте нагрузке больше ядер или --threads.",
                    self.skipped
                ),
            );
        }
    }
}

/// A visit's steps, each only where it was taken.
struct Steps {
    ticket: Option<Duration>,
    socket: Option<Duration>,
    media: Option<Duration>,
    first: Option<Duration>,
    all: Option<Duration>,
}

impl Steps {
    fn of(visit: &Visit) -> Self {
        let steps = &visit.steps;
        Self {
            ticket: (!steps.ticket.is_zero()).then_some(steps.ticket),
            socket: steps.socket,
            media: steps.media,
            first: steps.first,
            all: steps.all,
        }
    }
}

fn spread(histogram: &Histogram) -> Option<Value> {
    let ms = |part: f64| histogram.percentile(part).map(|took| took.as_secs_f64() * 1e3);
    Some(json!({
        "count": histogram.len(),
        "p50": ms(0.5)?,
        "p95": ms(0.95),
        "p99": ms(0.99),
        "p999": ms(0.999),
        "most": histogram.longest().as_secs_f64() * 1e3,
    }))
}

fn in_words(histogram: &Histogram) -> Option<String> {
    let ms = |part: f64| histogram.percentile(part).map(|took| took.as_secs_f64() * 1e3);
    let (p50, p95, p99) = (ms(0.5)?, ms(0.95)?, ms(0.99)?);
    let most = histogram.longest().as_secs_f64() * 1e3;
    Some(format!("{p50:.1} / {p95:.1} / {p99:.1} / {most:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_the_servers_limits_is_said_with_what_to_do() {
        let mut report = Report { wanted: 3, ..Report::default() };
        for _ in 0..3 {
            report.refused(&Refusal {
                code: "rate_limited".into(),
                words: "come back later".into(),
                retry_after: Some(7),
            });
        }
        assert!(!report.is_good());
        let english = report.as_table(Language::En);
        assert!(english.contains("3 × rate_limited (7 s)") && english.contains("APP_ENV"));
        assert!(report.as_table(Language::Ru).contains("с одного адреса"));
    }

    #[test]
    fn delivery_is_of_what_was_sent_while_it_was_shown() {
        let counts = Counts { expected: 1_000, delivered: 990, lost: 4, ..Counts::default() };
        let report = Report { counts, ..Report::default() };
        assert_eq!(report.delivery(), Some(0.99));
        let table = report.as_table(Language::En);
        assert!(table.contains("99.000 % of 1000; lost 4, not sent by the server 6"), "{table}");
        assert_eq!(Report::default().delivery(), None);
    }
}
