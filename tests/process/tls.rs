//! HTTPS: a certificate of our own, one in files that change, and one that an authority gives.

use crate::program::{Place, Program};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// An authority that only this test believes.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a certificate for names, and its key.
    fn issue(&self, names: &[&str], certificate: &Path, key: &Path) -> CertificateDer<'static> {
        let pair = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let issued = CertificateParams::new(names).unwrap().signed_by(&pair, &self.0).unwrap();
        std::fs::write(key, pair.serialize_pem()).unwrap();
        std::fs::write(certificate, issued.pem()).unwrap();
        issued.der().clone()
    }

    fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }
}

/// A request over TLS by somebody who believes `root` alone: the answer, and the certificate that was shown.
fn get(
    address: SocketAddr,
    name: &str,
    root: &CertificateDer<'static>,
    path: &str,
) -> Result<(String, CertificateDer<'static>), std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(connection, stream);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Err(error) if answer.is_empty() => return Err(error),
        _ => {}
    }
    let shown = stream.conn.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((answer, shown))
}

/// The same until it succeeds and passes.
fn get_when(
    address: SocketAddr,
    name: &str,
    root: &CertificateDer<'static>,
    passes: impl Fn(&CertificateDer<'_>) -> bool,
) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match get(address, name, root, "/health") {
            Ok((answer, shown)) if passes(&shown) => return answer,
            other if Instant::now() > end => panic!("{:?}", other.map(|(answer, _)| answer)),
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[test]
fn a_certificate_of_our_own_is_made_told_and_kept() {
    let place = Place::new(&[]);
    let serve = || place.serve_with(&["--tls", "self-signed"]);
    let first = serve();
    assert!(first.banner.contains("https://127.0.0.1:"), "{}", first.banner);
    let root = CertificateDer::from_pem_file(place.path("data/tls/certificate.pem")).unwrap();
    let (answer, shown) = get(first.address, "127.0.0.1", &root, "/health").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        !answer.to_lowercase().contains("strict-transport"),
        "browsers would offer no way in: {answer}"
    );
    assert!(first.banner.contains(&fingerprint(&shown)), "{}", first.banner);
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(place.path("data/tls/key.pem")).unwrap(),
    );
    assert_eq!(mode & 0o777, 0o600);
    // Whether it is well is asked on this machine, where nobody vouches for a name.
    assert_eq!(first.get("/health").status, 200);
    // Who forgets the s is shown the way; what may have carried a secret is not.
    let answer = first.get("/r/weekly?x=1");
    assert_eq!(answer.status, 308);
    assert_eq!(
        answer.header("location"),
        Some(&*format!("https://{}/r/weekly?x=1", first.address))
    );
    assert_eq!(first.send("POST", "/api/v1/auth/login", &[], "{}").status, 400);
    let told = fingerprint(&shown);
    drop(first);
    assert!(serve().banner.contains(&told));
}

#[test]
fn files_are_read_again_when_they_change() {
    let place =
        Place::new(&[("TLS", "files"), ("TLS_CERTIFICATE", "cert.pem"), ("TLS_KEY", "key.pem")]);
    let told = place.fails(&[]);
    assert!(told.contains("cert.pem"), "{told}");
    let authority = Authority::new();
    let names = ["127.0.0.1", "localhost"];
    let issue = || authority.issue(&names, &place.path("cert.pem"), &place.path("key.pem"));
    let first = issue();
    let key = std::fs::read(place.path("key.pem")).unwrap();
    issue();
    std::fs::write(place.path("key.pem"), &key).unwrap();
    let told = place.fails(&[]);
    assert!(told.contains("cannot be used together"), "{told}");

    let second = issue();
    assert_ne!(first, second);
    let program = place.serve();
    let root = authority.root();
    let answer = get_when(program.address, "localhost", &root, |shown| *shown == second);
    assert!(answer.to_lowercase().contains("strict-transport-security"), "{answer}");
    // Half of a renewal changes nothing; the whole of it is shown to who comes next.
    let kept = std::fs::read(place.path("key.pem")).unwrap();
    let third = issue();
    let new_key = std::fs::read(place.path("key.pem")).unwrap();
    std::fs::write(place.path("key.pem"), &kept).unwrap();
    assert!(get(program.address, "localhost", &root, "/health").is_ok());
    std::fs::write(place.path("key.pem"), &new_key).unwrap();
    get_when(program.address, "localhost", &root, |shown| *shown == third);
}

#[test]
fn settings_of_https_that_do_not_fit_are_told() {
    for (settings, words) in [
        (&[("TLS", "yes")][..], "must be `off`"),
        (&[("TLS", "acme")], "tls_names"),
        (&[("TLS", "files")], "tls_certificate"),
        (&[("TLS_KEY", "k.pem")], "only"),
        (&[("ACME_DIRECTORY", "http://x")], "https://"),
    ] {
        let told = Place::new(settings).fails(&[]);
        assert!(told.contains(words), "{told}");
    }
}

/// A tool of the test, ended with it.
struct Tool(Child);

impl Tool {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Neither wait nor refuse for practice.
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        Self(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")))
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that were free a moment ago, for tools that cannot choose one themselves.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: Vec<(TcpListener, UdpSocket)> = std::iter::repeat_with(|| {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind(("127.0.0.1", tcp.local_addr().unwrap().port()));
        udp.ok().map(|udp| (tcp, udp))
    })
    .flatten()
    .take(N)
    .collect();
    std::array::from_fn(|k| held[k].0.local_addr().unwrap().port())
}

#[test]
fn an_authority_gives_a_certificate_and_it_is_kept() {
    let [directory, management, dns, dns_management] = free_ports();
    let acme = format!("https://127.0.0.1:{directory}/dir");
    let place = Place::new(&[
        ("TLS", "acme"),
        ("TLS_NAMES", "meet.example.org"),
        ("ACME_DIRECTORY", &acme),
        ("ACME_AUTHORITY", "ca.pem"),
        ("ACME_EMAIL", "admin@example.org"),
    ]);
    let authority = Authority::new();
    std::fs::write(place.path("ca.pem"), authority.0.pem()).unwrap();
    let [certificate, key] = ["pebble.pem", "pebble.key"].map(|name| place.path(name));
    authority.issue(&["127.0.0.1", "localhost"], &certificate, &key);

    let program = place.serve();
    // Every name leads to this machine; the authority asks at the port that we listen on.
    let _names = Tool::start(
        "pebble-challtestsrv",
        &[
            "-defaultIPv4",
            "127.0.0.1",
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-dns01",
            &format!("127.0.0.1:{dns}"),
            "-management",
            &format!("127.0.0.1:{dns_management}"),
        ],
    );
    let config = serde_json::json!({"pebble": {
        "listenAddress": format!("127.0.0.1:{directory}"),
        "managementListenAddress": format!("127.0.0.1:{management}"),
        "certificate": certificate, "privateKey": key,
        "httpPort": 1, "tlsPort": program.address.port(), "ocspResponderURL": "",
    }});
    std::fs::write(place.path("pebble.json"), config.to_string()).unwrap();
    let config = place.path("pebble.json");
    let config = config.to_str().unwrap();
    let _pebble =
        Tool::start("pebble", &["-config", config, "-dnsserver", &format!("127.0.0.1:{dns}")]);

    let root = pebbles_root(([127, 0, 0, 1], management).into(), &authority.root());
    let answer = get_when(program.address, "meet.example.org", &root, |_| true);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(program.banner.contains("https://meet.example.org:"), "{}", program.banner);
    // A restart shows the same one at once, without asking anybody.
    let (_, shown) = get(program.address, "meet.example.org", &root, "/health").unwrap();
    drop((program, _pebble));
    let again: Program = place.serve();
    get_when(again.address, "meet.example.org", &root, |now| *now == shown);
}

/// Its authority is made anew at each start.
fn pebbles_root(
    management: SocketAddr,
    vouched_by: &CertificateDer<'static>,
) -> CertificateDer<'static> {
    let end = Instant::now() + PATIENCE;
    loop {
        match get(management, "127.0.0.1", vouched_by, "/roots/0") {
            Ok((answer, _)) => {
                let pem = &answer[answer.find("-----BEGIN").unwrap()..];
                return CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            }
            Err(error) if Instant::now() > end => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
