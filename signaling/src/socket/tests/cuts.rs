//! Three people write a thousand lines each over sockets that break at random: everybody reads exactly three
//! thousand, in order.

use super::*;
use crate::bucket::Rate;
use crate::live::Client;
use crate::room::Rules;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const LINES: usize = 1_000;
const SENDERS: usize = 3;

/// One person's program: it knows what it wrote and what it has read, and nothing else survives a cut.
struct Program {
    live: Arc<Live>,
    person: Person,
    name: usize,
    joined: Value,
    /// Lines that were answered.
    written: usize,
    last_seq: i64,
    /// Lines read, by number.
    read: BTreeMap<i64, String>,
    random: u64,
}

impl Program {
    /// A number below `most`, of a sequence that is the same in each run.
    fn chance(&mut self, most: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % most
    }

    fn take(&mut self, event: &Value) {
        let Some(seq) = event["seq"].as_i64() else { return };
        if event["type"] != "chat.message" {
            return;
        }
        let line = text(&event["text"]);
        if let Some(before) = self.read.insert(seq, line.clone()) {
            assert_eq!(before, line, "a number means one line for ever");
        }
    }

    async fn come(&mut self) -> Client {
        let mut client = match self.joined.is_null() {
            true => self.live.connect(&self.person, SLUG).await,
            false => self.live.resume(&self.person, SLUG, &self.joined).await,
        };
        self.joined = client.welcome().await;
        // What came live meanwhile is taken too; each number counts once.
        loop {
            let ask = json!({ "type": "sync.sub", "id": "sync", "after_seq": self.last_seq });
            client.send(ask).await;
            let batch = loop {
                let message = client.next().await;
                match message["re"] == "sync" {
                    true => break message,
                    false => self.take(&message),
                }
            };
            assert_eq!(batch["type"], "sync.batch", "{batch}");
            for event in batch["events"].as_array().unwrap() {
                self.take(event);
            }
            self.last_seq = batch["upto_seq"].as_i64().unwrap();
            if batch["has_more"] == false {
                return client;
            }
        }
    }

    /// Writes over one socket until it breaks or all is written.
    async fn live_a_while(&mut self) {
        let mut client = self.come().await;
        let lines = 25 + usize::try_from(self.chance(20)).unwrap();
        let first = self.written;
        let end = (first + lines).min(LINES);
        for n in first..end {
            client.send(line(self.name, n)).await;
        }
        // The cut comes before the last answers, and often before the server has read the last lines.
        let half = lines / 2;
        let heard = first + half + usize::try_from(self.chance(half as u64 + 2)).unwrap();
        while self.written < heard.min(end) {
            let message = client.next().await;
            assert_ne!(message["type"], "error", "{message}");
            self.take(&message);
            if message["re"].is_number() {
                assert_eq!(message["re"], self.written);
                self.written += 1;
            }
        }
        drop(client);
    }
}

fn line(name: usize, n: usize) -> Value {
    let text = format!("{name} {n}");
    json!({ "type": "chat.message", "id": n, "text": text, "client_id": n.to_string() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_everybody_reads_every_line_once_and_in_order() {
    let fast = Rate { burst: 100_000, per_second: 100_000 };
    let rules = Rules { chat: fast, ..Rules::default() };
    let live = Arc::new(Live::with(Settings { rules, ..Settings::for_tests() }).await);
    let owner = live.guest("Owner").await;
    live.room(&owner, SLUG).await;
    let cuts = Arc::new(AtomicUsize::new(0));
    let mut running = Vec::new();
    for name in 0..SENDERS {
        let person = live.guest(&format!("Guest {name}")).await;
        let mut program = Program {
            live: Arc::clone(&live),
            person,
            name,
            joined: Value::Null,
            written: 0,
            last_seq: 0,
            read: BTreeMap::new(),
            random: 7 + name as u64,
        };
        let cuts = Arc::clone(&cuts);
        running.push(tokio::spawn(async move {
            while program.written < LINES {
                program.live_a_while().await;
                cuts.fetch_add(1, Ordering::Relaxed);
            }
            program
        }));
    }
    let mut programs = Vec::new();
    for program in running {
        programs.push(program.await.unwrap());
    }
    assert!(cuts.load(Ordering::Relaxed) >= 50, "{cuts:?} cuts");
    for program in &mut programs {
        // All have written; what is missing comes by one more visit.
        drop(program.come().await);
        assert_eq!(program.read.len(), SENDERS * LINES);
        for name in 0..SENDERS {
            let own = program.read.values().filter_map(|line| {
                let (author, n) = line.split_once(' ').unwrap();
                (author == name.to_string()).then(|| n.parse::<usize>().unwrap())
            });
            assert!(own.eq(0..LINES), "the lines of {name} are all there, once and in order");
        }
    }
    let first = &programs[0].read;
    assert!(programs.iter().all(|program| program.read == *first));
}
