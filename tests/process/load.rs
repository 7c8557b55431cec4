//! `veche load`: many people in one process who come through the public doors of a running server.

use crate::program::{Place, Program};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn url(server: &Program) -> String {
    format!("http://{}", server.address)
}

#[test]
fn everybody_comes_in_everything_that_is_sent_arrives_and_nobody_negotiates_anew() {
    let place = Place::new(&[]);
    let server = place.serve();
    let (url, file) = (url(&server), place.path("load.json"));
    let pid = server.pid().to_string();
    let options = "--publishers 2 --speakers 2 --bitrate 200 --subscribers 16 --visitors 3 --stay 0.6 \
                   --rate 100 --chat 5 --duration 2 --server-pid";
    let mut arguments = vec!["load", &url];
    arguments.extend(options.split_whitespace());
    arguments.extend([&pid, "--json", file.to_str().unwrap()]);
    let output = place.run(&arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{table}\n{told}");
    assert!(table.contains("18 / 18") && table.contains("this load itself"), "{table}");
    let report: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let number =
        |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).unwrap_or(u64::MAX);
    assert_eq!(number("/people/joined"), 18, "{report:#}");
    assert!(number("/people/visits") >= 3, "visitors come, and come again: {report:#}");
    assert_eq!(report["people"]["failed"], serde_json::json!({}));
    // Two speak and film: nobody can have received less than a second of both.
    assert!(number("/media/received") > 18 * 100, "{report:#}");
    assert_eq!(number("/media/delivered"), number("/media/expected"), "{report:#}");
    for zero in ["/media/lost", "/media/withheld", "/media/stalled", "/media/broken_transports"] {
        assert_eq!(number(zero), 0, "{zero} of {report:#}");
    }
    assert_eq!(number("/socket/renegotiations"), 0);
    assert!(report["latency_ms"]["p99"].as_f64().unwrap() < 1_000.0, "{report:#}");
    assert!(report["socket"]["chat_ms"]["count"].as_u64().unwrap() > 0, "{report:#}");
    assert!(
        report["join_ms"]["all"]["p99"].is_number()
            && report["join_ms"]["ticket"]["p50"].is_number()
    );
    assert!(report["server"]["cpu_us_per_packet"].as_f64().unwrap() > 0.0, "{report:#}");
    assert!(report["own"]["cpu_seconds"].as_f64().unwrap() > 0.0);
    server.stop();
}

/// A load that goes on until it is told to end, and the lines that it tells meanwhile.
fn begin(server: &Program, words: &str) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_veche"))
        .args(["load", &url(server), "--audio-only", "--duration", "600"])
        .args(words.split_whitespace())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines.map(Result::unwrap))
}

/// Its exit code and its table.
fn interrupt(child: Child) -> (Option<i32>, String) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let asked = Instant::now();
    // SAFETY: a signal to a child of ours that was not waited for, so the id is still its.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let ended = end(child);
    assert!(asked.elapsed() < Duration::from_secs(20));
    ended
}

/// The same once it ends by itself.
fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn an_interrupt_ends_it_with_the_numbers_so_far() {
    let place = Place::new(&[]);
    let server = place.serve();
    let (child, mut progress) = begin(&server, "--subscribers 3 --lang ru");
    let is_in = |line: String| line.contains("внутри 4 из 4");
    assert!(progress.any(is_in), "it says how many are in");
    let (code, table) = interrupt(child);
    assert!(table.contains("4 / 4") && table.contains("Прервано"), "{table}");
    assert_eq!(code, Some(0), "{table}");
    server.stop();
}

#[test]
fn an_interrupt_is_no_failure_of_those_who_come_and_go() {
    let place = Place::new(&[]);
    let server = place.serve();
    let words = "--subscribers 40 --visitors 12 --stay 0.5 --rate 200";
    let (child, mut progress) = begin(&server, words);
    let most_are_in = |line: String| {
        let inside = line.split_once(" s: ").and_then(|(_, rest)| rest.split_once(" of 53 in"));
        inside.is_some_and(|(inside, _)| inside.parse::<u32>().unwrap() > 40)
    };
    assert!(progress.any(most_are_in), "it says how many are in");
    let (code, table) = interrupt(child);
    assert!(table.contains(" / 41") && !table.contains("failed"), "{table}");
    assert_eq!(code, Some(0), "{table}");
    server.stop();
}

#[test]
fn a_server_that_goes_away_ends_it_and_that_is_no_success() {
    let place = Place::new(&[]);
    let server = place.serve();
    let (child, mut progress) = begin(&server, "--subscribers 2");
    assert!(progress.any(|line| line.contains("3 of 3 in")), "it says how many are in");
    server.stop();
    // Were it to wait for its end, the test would be given up.
    let (code, table) = end(child);
    assert!(table.contains("3 / 3") && table.contains("failed"), "{table}");
    assert_eq!(code, Some(1), "{table}");
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    let place = Place::new(&[]);
    let fails = |words: &str| {
        let arguments: Vec<&str> = ["load"].into_iter().chain(words.split(' ')).collect();
        place.fails(&arguments)
    };
    assert!(fails("http://127.0.0.1:1 --subscribers 9999").contains("too many"));
    assert!(fails("http://127.0.0.1:1 --duration 86400").contains("between"));
    assert!(fails("http://127.0.0.1:1").contains("cannot become a guest"));
    assert!(fails("meet.example.org").contains("https://"));
    let closed = Place::new(&[("GUESTS_MAY_CREATE_ROOMS", "false")]);
    let server = closed.serve();
    assert!(fails(&url(&server)).contains("--account"));
}
