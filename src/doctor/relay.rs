//! TURN servers that the settings name: each is asked for a place, as a browser would.

use super::report::Finding;
use crate::config::Config;
use crate::visitor::tls;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use turn::message::{
    self as m, Class, Integrity, LongTermKey, Message, Method, Transaction, Writer,
};

/// Who asks a TURN server.
#[derive(Clone)]
pub struct Credentials {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

/// Every TURN server of the settings, with credentials as people get them.
pub async fn examine(config: &Config) -> Vec<Finding> {
    if config.turn_urls.is_empty() {
        return vec![match &config.turn_secret {
            Some(_) => Finding::care("turn").says(
                "`turn_secret` is set, but no server in `turn_urls`.".into(),
                "`turn_secret` задан, а серверов в `turn_urls` нет.".into(),
            ),
            None if config.turn_builtin => Finding::good("turn").says(
                "The relay inside the server is on, for people of its rooms; `--url` with a room's link tests it.".into(),
                "Ретранслятор внутри сервера включён — для людей его комнат; его проверит `--url` со ссылкой комнаты.".into(),
            ),
            None => Finding::off("turn").says(
                "No TURN server is named: people whose network lets no UDP out may not get in. `turn_urls` with `turn_secret` adds one."
                    .into(),
                "TURN-сервер не указан: люди, чья сеть не выпускает UDP, могут не войти. Его добавляют `turn_urls` и `turn_secret`."
                    .into(),
            ),
        }];
    }
    let Some(credentials) = credentials(config) else {
        return vec![
            Finding::bad("turn")
                .says(
                    "`turn_urls` names servers, but there are no credentials for them, so browsers are told of none.".into(),
                    "В `turn_urls` есть серверы, но нет пароля к ним, поэтому браузерам о них не говорят.".into(),
                )
                .advises(
                    "Set `turn_secret` (coturn: `static-auth-secret`), or `turn_username` and `turn_password`.".into(),
                    "Задайте `turn_secret` (в coturn — `static-auth-secret`) или `turn_username` и `turn_password`.".into(),
                ),
        ];
    };
    let mut found = Vec::new();
    for url in &config.turn_urls {
        found.push(told(url, &allocate(url, &credentials, None, None).await));
    }
    found
}

/// As the server makes them for people: a name that says when it ends, and its HMAC.
fn credentials(config: &Config) -> Option<Credentials> {
    if let Some(secret) = &config.turn_secret {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let username = format!("{}:doctor", now.as_secs() + 600);
        let password = signaling::turn_password(secret, &username);
        return Some(Credentials { username, password });
    }
    let username = config.turn_username.clone()?;
    Some(Credentials { username, password: config.turn_password.as_ref()?.expose().to_owned() })
}

/// Whom a relay shall lead to.
pub struct Peer {
    /// Where media is taken.
    pub addresses: Vec<SocketAddr>,
    /// Makes a connectivity check that is answered there, once.
    pub check: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
}

/// Why there is no place.
#[derive(Debug)]
pub enum Refusal {
    /// The URL cannot be read.
    Url,
    /// The name leads nowhere.
    Name,
    /// Nothing answers there.
    Silent(String),
    /// TLS fails.
    Tls(String),
    /// It does not believe the credentials.
    Credentials(String),
    /// There is a place, but what is sent from it does not come to the server's media.
    NoWay(SocketAddr),
    /// It answers something else.
    Other(u16, String),
}

/// What was found about a TURN server, in words.
pub fn told(url: &str, outcome: &Result<SocketAddr, Refusal>) -> Finding {
    let turn = match outcome {
        Ok(relayed) => {
            return Finding::good("turn").says(
                format!("{url} gives a place ({relayed})."),
                format!("{url} выделяет место ({relayed})."),
            );
        }
        Err(refusal) => refusal,
    };
    let found = Finding::bad("turn");
    match turn {
        Refusal::Url => found.says(
            format!("{url} is no URL of a TURN server."),
            format!("{url} — не адрес TURN-сервера."),
        ),
        Refusal::Name => found
            .says(
                format!("The name in {url} leads nowhere."),
                format!("Имя в {url} никуда не ведёт."),
            )
            .advises(
                "Correct it in `turn_urls`, or add it to your domain.".into(),
                "Исправьте его в `turn_urls` или добавьте в свой домен.".into(),
            ),
        Refusal::Silent(error) => found
            .says(
                format!("Nothing answers at {url}: {error}."),
                format!("По адресу {url} никто не отвечает: {error}."),
            )
            .advises(
                "Start the TURN server, and open its port in every firewall between, for UDP or TCP as the URL says.".into(),
                "Запустите TURN-сервер и откройте его порт во всех файрволах по пути — для UDP или TCP, как в адресе.".into(),
            ),
        Refusal::Tls(error) => found
            .says(
                format!("{url} has no TLS that browsers accept: {error}."),
                format!("У {url} нет TLS, который примут браузеры: {error}."),
            )
            .advises(
                "Give the TURN server a certificate for that name, with its chain (coturn: `cert`, `pkey`).".into(),
                "Дайте TURN-серверу сертификат на это имя вместе с цепочкой (в coturn — `cert`, `pkey`).".into(),
            ),
        Refusal::Credentials(error) => found
            .says(
                format!("{url} does not believe the credentials that this server makes: {error}."),
                format!("{url} не принимает пропуска, которые выдаёт этот сервер: {error}."),
            )
            .advises(
                "`turn_secret` here and `static-auth-secret` there must be the same, `use-auth-secret` must be on, and both clocks right.".into(),
                "`turn_secret` здесь и `static-auth-secret` там должны совпадать, `use-auth-secret` — включён, часы у обоих — верные.".into(),
            ),
        Refusal::NoWay(relayed) => found
            .says(
                format!("{url} gives a place ({relayed}), but from there nothing gets through to this server's media."),
                format!("{url} выделяет место ({relayed}), но оттуда до медиа сервера ничего не доходит."),
            )
            .advises(
                "Let the TURN server send to the addresses in `media_addresses` by UDP: its deny list (coturn: `denied-peer-ip`) and the firewalls between them.".into(),
                "Разрешите TURN-серверу слать UDP на адреса из `media_addresses`: его запреты (в coturn — `denied-peer-ip`) и файрволы между ними.".into(),
            ),
        Refusal::Other(code, words) => found
            .says(
                format!("{url} gives no place: {code} {words}."),
                format!("{url} не выделяет место: {code} {words}."),
            )
            .advises(
                "Its own log says why; quotas and allowed addresses are set there.".into(),
                "Почему — в его журнале; квоты и разрешённые адреса задаются там.".into(),
            ),
    }
}

/// Asks for a place, sends a check to the peer from there where one is named, and gives the place back; its address.
pub async fn allocate(
    url: &str,
    credentials: &Credentials,
    authority: Option<&std::path::Path>,
    peer: Option<&Peer>,
) -> Result<SocketAddr, Refusal> {
    let url = TurnUrl::parse(url).ok_or(Refusal::Url)?;
    let mut wire = url.connect(authority).await?;
    let transport = |question: &mut Writer| {
        question.attribute(m::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    };
    let first = wire.ask(Method::Allocate, None, transport).await?;
    let first = first.message();
    let (Some(realm), Some(nonce)) = (first.text(m::REALM), first.attribute(m::NONCE)) else {
        let (code, words) = error_of(&first).unwrap_or((0, "it asks for no password".into()));
        return Err(Refusal::Other(code, words));
    };
    let pass = Pass {
        username: &credentials.username,
        realm,
        nonce: nonce.value,
        key: LongTermKey::new(&credentials.username, realm, &credentials.password),
    };
    let second = wire.ask(Method::Allocate, Some(&pass), transport).await?;
    let second = second.message();
    match error_of(&second) {
        Some((401 | 441, words)) => return Err(Refusal::Credentials(words)),
        Some((code, words)) => return Err(Refusal::Other(code, words)),
        None => {}
    }
    let relayed = second.address(m::XOR_RELAYED_ADDRESS);
    let relayed = relayed.ok_or(Refusal::Other(0, "it names no address".into()))?;
    let mut is_led = peer.is_none();
    if let Some(Peer { addresses, check }) = peer {
        // One of our addresses may be none that the relay can reach, or may send to.
        let reachable = addresses.iter().filter(|address| address.is_ipv4() == relayed.is_ipv4());
        for address in reachable {
            is_led = wire.sends(*address, check, &pass).await.unwrap_or(false);
            if is_led {
                break;
            }
        }
    }
    let ends = |question: &mut Writer| {
        question.attribute(m::LIFETIME, &[0; 4]);
    };
    wire.ask(Method::Refresh, Some(&pass), ends).await.ok();
    if is_led { Ok(relayed) } else { Err(Refusal::NoWay(relayed)) }
}

/// What questions are signed with (RFC 8489 §9.2).
struct Pass<'a> {
    username: &'a str,
    realm: &'a str,
    nonce: &'a [u8],
    key: LongTermKey,
}

impl Pass<'_> {
    fn sign(&self, question: &mut Writer) {
        question.attribute(m::USERNAME, self.username.as_bytes());
        question.attribute(m::REALM, self.realm.as_bytes()).attribute(m::NONCE, self.nonce);
        question.integrity(Integrity::Sha1, &self.key);
    }
}

/// A message that was heard.
struct Heard(Vec<u8>);

impl Heard {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("only what can be read is heard")
    }
}

/// Number and words of a refusal.
fn error_of(message: &Message<'_>) -> Option<(u16, String)> {
    let error = message.attribute(m::ERROR_CODE).filter(|_| message.class() == Class::Error)?;
    let (&[_, _, class, number], words) = error.value.split_first_chunk()?;
    let code = u16::from(class & 7) * 100 + u16::from(number);
    Some((code, String::from_utf8_lossy(words).into_owned()))
}

struct TurnUrl {
    host: String,
    port: u16,
    is_tls: bool,
    is_tcp: bool,
}

enum Wire {
    Udp(UdpSocket),
    Stream(Box<dyn tls::Stream>),
}

impl TurnUrl {
    /// RFC 7065.
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let is_tls = scheme.eq_ignore_ascii_case("turns");
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority: axum::http::uri::Authority = place.parse().ok()?;
        let is_tcp =
            is_tls || query.split('&').any(|part| part.eq_ignore_ascii_case("transport=tcp"));
        Some(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 5349 } else { 3478 }),
            is_tls,
            is_tcp,
        })
    }

    async fn connect(&self, authority: Option<&std::path::Path>) -> Result<Wire, Refusal> {
        let mut addresses =
            lookup_host((self.host.as_str(), self.port)).await.map_err(|_| Refusal::Name)?;
        let address = addresses.next().ok_or(Refusal::Name)?;
        let silent = |error: io::Error| Refusal::Silent(error.to_string());
        if !self.is_tcp {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any).await.map_err(silent)?;
            socket.connect(address).await.map_err(silent)?;
            return Ok(Wire::Udp(socket));
        }
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(address));
        let stream =
            connecting.await.map_err(|_| Refusal::Silent("no connection in time".into()))?;
        let stream = stream.map_err(silent)?;
        if !self.is_tls {
            return Ok(Wire::Stream(Box::new(stream)));
        }
        let secured = tls::connect(stream, &self.host, authority).await;
        let (secured, _) = secured.map_err(|error| Refusal::Tls(format!("{error:#}")))?;
        Ok(Wire::Stream(Box::new(secured)))
    }
}

impl Wire {
    async fn ask(
        &mut self,
        method: Method,
        pass: Option<&Pass<'_>>,
        content: impl Fn(&mut Writer),
    ) -> Result<Heard, Refusal> {
        let transaction: Transaction = rand::random();
        let mut question = Writer::new(method, Class::Request, transaction);
        content(&mut question);
        if let Some(pass) = pass {
            pass.sign(&mut question);
        }
        let question = question.finish(false);
        let silent = |error: io::Error| Refusal::Silent(error.to_string());
        for _ in 0..ATTEMPTS {
            match self {
                Wire::Udp(socket) => drop(socket.send(&question).await.map_err(silent)?),
                Wire::Stream(stream) => stream.write_all(&question).await.map_err(silent)?,
            }
            let own = |message: &Message<'_>| message.answers(transaction);
            match tokio::time::timeout(PATIENCE / ATTEMPTS, self.hear(own)).await {
                Ok(heard) => return heard.map_err(silent),
                // On a stream nothing is lost, so asking again is no use.
                Err(_) if matches!(self, Wire::Stream(_)) => break,
                Err(_) => {}
            }
        }
        Err(Refusal::Silent("no answer in time".into()))
    }

    /// Whether a check to a peer is answered through the relay.
    async fn sends(
        &mut self,
        to: SocketAddr,
        check: &(dyn Fn() -> Vec<u8> + Send + Sync),
        pass: &Pass<'_>,
    ) -> Result<bool, Refusal> {
        let to = SocketAddr::new(to.ip().to_canonical(), to.port());
        let peer = |question: &mut Writer| {
            question.address(m::XOR_PEER_ADDRESS, to);
        };
        let permitted = self.ask(Method::CreatePermission, Some(pass), peer).await?;
        if error_of(&permitted.message()).is_some() {
            return Ok(false);
        }
        for _ in 0..ATTEMPTS {
            let check = check();
            let mut send = Writer::new(Method::Send, Class::Indication, rand::random());
            send.address(m::XOR_PEER_ADDRESS, to).attribute(m::DATA, &check);
            let send = send.finish(false);
            match self {
                Wire::Udp(socket) => drop(socket.send(&send).await),
                Wire::Stream(stream) => drop(stream.write_all(&send).await),
            }
            let asked = Message::parse(&check).map(|check| check.transaction());
            let answered = |message: &Message<'_>| {
                let data = message.attribute(m::DATA).and_then(|data| Message::parse(data.value));
                data.zip(asked).is_some_and(|(answer, asked)| answer.answers(asked))
            };
            let heard = self.hear(answered);
            if let Ok(Ok(_)) = tokio::time::timeout(RELAYED_PATIENCE, heard).await {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn hear(&mut self, wanted: impl Fn(&Message<'_>) -> bool) -> io::Result<Heard> {
        loop {
            let mut bytes = vec![0; 1500];
            match self {
                Wire::Udp(socket) => {
                    let length = socket.recv(&mut bytes).await?;
                    bytes.truncate(length);
                }
                Wire::Stream(stream) => {
                    let (header, _) = bytes.split_at_mut(m::HEADER_LEN);
                    stream.read_exact(header).await?;
                    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
                    if m::HEADER_LEN + length > bytes.len() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                    bytes.truncate(m::HEADER_LEN + length);
                    stream.read_exact(&mut bytes[m::HEADER_LEN..]).await?;
                }
            }
            if Message::parse(&bytes).is_some_and(|message| wanted(&message)) {
                return Ok(Heard(bytes));
            }
        }
    }
}

/// For an answer from the other side of the world over a bad line.
const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
/// From here to the relay, to the server, and back.
const RELAYED_PATIENCE: Duration = Duration::from_millis(800);
