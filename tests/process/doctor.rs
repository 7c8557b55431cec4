//! `veche doctor`: faults that are staged, and what it says of each. Those of a network happen in a namespace of their
//! own, with a firewall of their own.

use crate::program::Place;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;
use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

/// What the doctor found, by the name of the check.
struct Report(Value);

impl Report {
    fn read(output: &Output) -> Self {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let report: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(output.status.success(), report["is_bad"] == false, "{text}");
        Self(report)
    }

    /// The gravest finding of a check: its level, with its words and advice.
    fn of(&self, check: &str) -> (String, String) {
        let all = self.0["findings"].as_array().unwrap();
        let rank = |level: &Value| ["bad", "care", "off", "good"].iter().position(|l| level == l);
        let found = all.iter().filter(|finding| finding["check"] == check);
        let found = found.min_by_key(|finding| rank(&finding["level"]));
        let found = found.unwrap_or_else(|| panic!("no {check} in {:#}", self.0));
        let text = format!("{} {}", found["text"], found["advice"]);
        (found["level"].as_str().unwrap().to_owned(), text)
    }

    /// A check has this level, and its words name this.
    fn says(&self, check: &str, level: &str, words: &str) {
        let (found, text) = self.of(check);
        assert_eq!(found, level, "{text}");
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

fn doctor(place: &Place) -> Report {
    Report::read(&place.run(&["doctor", "--json"]))
}

#[test]
fn a_server_that_is_well_is_told_so_in_both_languages_and_exits_with_success() {
    let place = Place::new(&[]);
    for (arguments, words) in [
        (&["doctor"][..], "database answers"),
        (&["doctor", "--lang", "ru"], "База данных отвечает"),
    ] {
        let output = place.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(text.contains(words) && text.contains("ok "), "{text}");
    }
    assert!(!place.path("data").exists(), "it has made nothing");
}

#[test]
fn settings_that_cannot_be_used_are_the_finding() {
    let place =
        Place::new(&[("MEDIA_ADDRESSES", "no such name"), ("JWT_SECRET", "hunter2hunter2")]);
    let output = place.run(&["doctor", "--json"]);
    Report::read(&output).says("settings", "bad", "media_addresses");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
}

#[test]
fn settings_that_contradict_each_other_are_told() {
    let place = Place::new(&[("HOST", "0.0.0.0")]);
    doctor(&place).says("https", "bad", "public_url");
    let place = Place::new(&[("PUBLIC_URL", "https://localhost")]);
    doctor(&place).says("proxy", "care", "trust_forwarded_for = true");
}

#[test]
fn a_taken_port_is_told_with_who_holds_it() {
    let (http, media) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("0.0.0.0:0").unwrap());
    let port = http.local_addr().unwrap().port().to_string();
    let media_port = media.local_addr().unwrap().port().to_string();
    let report = doctor(&Place::new(&[("PORT", &port), ("MEDIA_PORT", &media_port)]));
    let own = std::process::id().to_string();
    for (check, port) in [("port", &port), ("media_port", &media_port)] {
        report.says(check, "bad", port);
        report.says(check, "bad", &own);
    }
}

#[test]
fn a_running_server_is_known() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    drop(held);
    let public = format!("http://127.0.0.1:{port}");
    let place = Place::new(&[("PORT", &port), ("PUBLIC_URL", &public)]);
    let server = place.serve();
    let report = doctor(&place);
    report.says("port", "good", "A server runs here");
    // What people meet at its public address is looked at too.
    report.says("websocket", "good", "get through");
    report.says("clock", "good", "agree");
    drop(server);
    // Something else answers there, as behind a proxy that leads elsewhere.
    let place = Place::new(&[("PORT", &port)]);
    let server = place.serve();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let public = format!("http://{}", elsewhere.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        for stream in elsewhere.incoming().take(3) {
            use std::io::{Read, Write};
            let mut stream = stream.unwrap();
            let read = stream.read(&mut [0; 4096]).unwrap();
            assert!(read < 4096);
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok();
        }
    });
    let asking = Place::new(&[("PORT", &port), ("PUBLIC_URL", &public)]);
    doctor(&asking).says("server", "bad", "it is not Veche");
    answering.join().unwrap();
    drop(server);
}

#[test]
fn an_unreachable_database_is_told_without_its_password() {
    let place = Place::new(&[("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/veche")]);
    let output = place.run(&["doctor", "--json"]);
    Report::read(&output).says("database", "bad", "127.0.0.1:1/veche");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
}

#[test]
fn a_file_that_is_no_database_is_told() {
    let place = Place::new(&[]);
    std::fs::create_dir(place.path("data")).unwrap();
    std::fs::write(place.path("data/veche.db"), vec![b'x'; 8192]).unwrap();
    doctor(&place).says("database", "bad", "not a database");
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    // A file where a folder is needed stops root as well.
    let place = Place::new(&[("DATA_DIR", "file/data")]);
    std::fs::write(place.path("file"), "").unwrap();
    doctor(&place).says("data_dir", "bad", "file/data");
}

#[test]
fn a_clock_behind_what_is_stored_is_told() {
    let place = Place::new(&[]);
    std::fs::create_dir(place.path("data")).unwrap();
    let file = File::create(place.path("data/secrets.toml")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(3 * 86_400 + 60)).unwrap();
    doctor(&place).says("clock", "bad", "3 days behind");
}

#[test]
fn a_certificate_that_is_over_or_anothers_is_told() {
    let place = Place::new(&[
        ("TLS", "files"),
        ("TLS_CERTIFICATE", "cert.pem"),
        ("TLS_KEY", "key.pem"),
        ("TLS_NAMES", "localhost"),
    ]);
    let issue = |name: &str, year: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        std::fs::write(place.path("cert.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(place.path("key.pem"), key.serialize_pem()).unwrap();
        doctor(&place)
    };
    issue("localhost", 2024).says("certificate", "bad", "ended");
    issue("other.example.org", 2090).says("certificate", "bad", "not for localhost");
    issue("localhost", 2090).says("certificate", "good", "more days");
    std::fs::remove_file(place.path("key.pem")).unwrap();
    doctor(&place).says("certificate", "bad", "private key");
}

#[test]
fn a_name_that_leads_nowhere_and_an_address_that_is_not_ours_are_told() {
    let place = Place::new(&[
        ("PUBLIC_URL", "https://meet.invalid"),
        ("TRUST_FORWARDED_FOR", "true"),
        ("MEDIA_ADDRESSES", "203.0.113.9"),
    ]);
    let report = doctor(&place);
    report.says("name", "bad", "meet.invalid");
    report.says("address", "care", "203.0.113.9");
    let place = Place::new(&[("MEDIA_ADDRESSES", "media.invalid")]);
    doctor(&place).says("name", "bad", "media.invalid");
}

/// A TURN server that believes nobody, as coturn does with another secret.
fn unbelieving_turn() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("turn:{}?transport=udp", socket.local_addr().unwrap());
    (socket, url)
}

#[test]
fn a_wrong_turn_secret_and_a_silent_turn_server_are_told() {
    let (socket, url) = unbelieving_turn();
    let silent = "turn:127.0.0.1:1?transport=tcp";
    let place =
        Place::new(&[("TURN_URLS", &format!("{url},{silent}")), ("TURN_SECRET", "hunter2")]);
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let answering = std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        for _ in 0..2 {
            let (_, from) = socket.recv_from(&mut buffer).unwrap();
            // 401, with realm and nonce.
            let mut answer = vec![0x01, 0x13, 0, 0];
            answer.extend(&buffer[4..20]);
            answer.extend([0, 9, 0, 4, 0, 0, 4, 1]);
            answer.extend([0, 0x14, 0, 4]);
            answer.extend(b"test");
            answer.extend([0, 0x15, 0, 4]);
            answer.extend(b"once");
            let length = (answer.len() - 20) as u16;
            answer[2..4].copy_from_slice(&length.to_be_bytes());
            socket.send_to(&answer, from).unwrap();
        }
    });
    let output = place.run(&["doctor", "--json"]);
    answering.join().unwrap();
    let report = Report::read(&output);
    let all = report.0["findings"].as_array().unwrap();
    let turn: Vec<_> = all.iter().filter(|finding| finding["check"] == "turn").collect();
    assert!(turn[0]["advice"].as_str().unwrap().contains("static-auth-secret"), "{turn:?}");
    assert!(turn[1]["text"].as_str().unwrap().contains(silent), "{turn:?}");
    assert!(turn.iter().all(|finding| finding["level"] == "bad"), "{turn:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
}

/// Runs a script in a namespace of its own, as its root, with the binary as `$VECHE`.
fn isolated(namespaces: &[&str], script: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    // A namespace's root maps to us, whoever we are.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    Command::new("unshare")
        .arg("--map-root-user")
        .args(namespaces)
        .args(["bash", "-euc", script])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .env("VECHE", env!("CARGO_BIN_EXE_veche"))
        .envs([("HOST", "127.0.0.1"), ("PORT", "8080"), ("MEDIA_PORT", "8081")])
        .stdin(Stdio::null())
        .output()
        .expect("unshare, of util-linux, stages what a whole machine would suffer from")
}

#[test]
fn a_full_disk_is_told() {
    let script = "mkdir data; mount -t tmpfs -o size=1m tmpfs data; dd if=/dev/zero of=data/rest bs=1k count=2k 2>/dev/null || true; exec $VECHE doctor --json";
    Report::read(&isolated(&["--mount", "--net"], script)).says("data_dir", "bad", "full");
}

#[test]
fn a_low_limit_of_open_files_is_told() {
    let script = "ulimit -n 300; exec $VECHE doctor --json";
    Report::read(&isolated(&["--net"], script)).says("files", "bad", "LimitNOFILE=16640");
}

#[test]
fn small_buffers_are_told() {
    // Whoever may administer the network gets any buffer; who may not gets the system's limit.
    let script =
        "exec setpriv --bounding-set=-net_admin --inh-caps=-net_admin $VECHE doctor --json";
    let report = Report::read(&isolated(&["--net"], script));
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
    match limit.trim().parse::<u64>().unwrap() {
        small if small < 2 << 20 => report.says("buffers", "care", "net.core.rmem_max="),
        _ => report.says("buffers", "good", "KiB"),
    }
}

/// A server and a doctor who comes from outside, with rules of a firewall between them.
fn outside(rules: &str, settings: &str) -> Report {
    outside_with("", rules, settings)
}

/// The same with another program beside the server.
fn outside_with(beside: &str, rules: &str, settings: &str) -> Report {
    let script = format!(
        "ip link set lo up
         {beside}
         export {settings} LOG_LEVEL=error
         $VECHE serve --ready-file ready >log 2>&1 &
         server=$!
         for i in $(seq 600); do [ -e ready ] && break; sleep 0.05; done
         nft -f - <<'RULES'
         table inet f {{
         chain input {{
         type filter hook input priority 0; policy accept;
         {rules}
         }}
         }}
RULES
         code=0; $VECHE doctor --url http://127.0.0.1:8080 --json || code=$?
         kill $server; wait $server; exit $code"
    );
    Report::read(&isolated(&["--net"], &script))
}

#[test]
fn from_outside_everything_that_works_is_measured() {
    let report = outside("", "A=1");
    for check in ["tcp", "server", "websocket", "media_udp", "media_tcp", "large_packets"] {
        assert_eq!(report.of(check).0, "good", "{:#}", report.0);
    }
    // How good it is depends on what else the machine does.
    report.says("quality", &report.of("quality").0, "Mbit/s");
    report.says("turn", "off", "relay");
}

#[test]
fn where_guests_make_no_rooms_the_link_of_one_is_asked_for() {
    let report = outside("", "GUESTS_MAY_CREATE_ROOMS=false");
    report.says("websocket", "good", "get through");
    report.says("media", "off", "--url https://");
}

/// A TURN server that believes `s3cret`, from Debian. Its places have ports that nobody else gets.
const COTURN: &str = "turnserver -n --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 --allow-loopback-peers \
    --listening-port=3478 --min-port=61000 --max-port=61100 --use-auth-secret --static-auth-secret=s3cret \
    --realm=test --no-cli --no-tls --no-dtls --pidfile=turn.pid --log-file=stdout >turn 2>&1 &
    turn=$!
    trap 'kill $turn' EXIT
    for i in $(seq 600); do (: </dev/tcp/127.0.0.1/3478) 2>/dev/null && break; sleep 0.05; done";

#[test]
fn a_relay_is_followed_to_the_servers_media() {
    let relay = "turn:127.0.0.1:3478?transport=";
    let settings = format!("TURN_URLS='{relay}udp,{relay}tcp' TURN_SECRET=s3cret");
    outside_with(COTURN, "", &settings).says("turn", "good", "gives a place");
    // What the relay sends to the media port is dropped, what comes from elsewhere is not.
    let report = outside_with(COTURN, "udp sport 61000-61100 udp dport 8081 drop;", &settings);
    report.says("turn", "bad", "denied-peer-ip");
    assert_eq!(report.of("media_udp").0, "good", "{:#}", report.0);
}

#[test]
fn blocked_udp_is_told_with_the_way_round() {
    let report = outside("udp dport 8081 drop;", "A=1");
    report.says("udp", "care", "goes by TCP");
    assert_ne!(report.of("quality").0, "bad", "it is measured over TCP: {:#}", report.0);
    let report = outside("udp dport 8081 drop;", "MEDIA_TCP=false");
    report.says("udp", "bad", "nobody would be seen or heard");
    report.says("media_tcp", "off", "media_tcp = true");
}

#[test]
fn a_hole_for_large_packets_is_told() {
    let report = outside("meta l4proto udp meta length > 1100 drop;", "A=1");
    report.says("large_packets", "bad", "1200 bytes");
}
