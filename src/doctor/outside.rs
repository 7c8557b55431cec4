//! A running server from outside: comes as a guest does, tries every path, and measures the best.

mod measure;
mod media;
mod sdp;

use super::relay::{self, Credentials};
use super::report::{Finding, Level};
use super::{addresses, certificate};
use crate::visitor::http::{self, Answer, Door, Fault, Target};
use media::Place;
use rustls::{CertificateError, Error as TlsError};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Everything that a guest of that server meets.
pub async fn examine(url: &str, authority: Option<&Path>) -> Vec<Finding> {
    let Some(target) = Target::parse(url, authority) else {
        return vec![Finding::bad("url").says(
            format!("{url} is no address of a server: it begins with https:// or http://."),
            format!("{url} — не адрес сервера: он начинается с https:// или http://."),
        )];
    };
    let (mut found, is_open) = front(&target).await;
    if is_open {
        found.extend(as_a_guest(&target).await);
    }
    found
}

/// The public address of the server that runs here, as far as it can be judged from here: what stands before the server
/// is looked at too.
pub async fn own_front(url: &str) -> Vec<Finding> {
    let Some(target) = Target::parse(url, None) else { return Vec::new() };
    let (found, _) = front(&target).await;
    if found.iter().any(|finding| finding.check == "tcp" && finding.level == Level::Bad) {
        return vec![
            Finding::care("public_url")
                .says(
                    format!("From here nothing answers at {url}. Behind NAT that may be all right: many routers do not turn packets round."),
                    format!("Отсюда по адресу {url} никто не отвечает. За NAT это может быть нормально: многие роутеры так не умеют."),
                )
                .advises(
                    format!("Test it from another network: `veche doctor --url {url}`."),
                    format!("Проверьте из другой сети: `veche doctor --url {url}`."),
                ),
        ];
    }
    found
}

/// Everything that can be seen without signing in, and whether it is worth to go on.
async fn front(target: &Target) -> (Vec<Finding>, bool) {
    let mut found = Vec::new();
    let Some(resolved) = addresses::resolve(&target.host).await else {
        found.push(
            Finding::bad("name")
                .says(
                    format!("The name {} leads nowhere from here.", target.host),
                    format!("Имя {} отсюда никуда не ведёт.", target.host),
                )
                .advises(
                    "Look for a slip in the name; or its domain has no A or AAAA record, or this network's DNS does not answer.".into(),
                    "Проверьте имя; возможно, у домена нет записи A или AAAA или не отвечает DNS этой сети.".into(),
                ),
        );
        return (found, false);
    };
    for address in resolved {
        found.push(match http::reach(address, target.port).await {
            Ok(took) => Finding::good("tcp").says(
                format!("TCP to {address} port {}: {} ms.", target.port, took.as_millis()),
                format!("TCP до {address}, порт {}: {} мс.", target.port, took.as_millis()),
            ),
            Err(error) => unreached(address.is_ipv6(), &format!("{address}"), target.port, &error),
        });
    }
    let door = match http::open(target).await {
        Ok(door) => door,
        Err(fault) => {
            found.push(closed(target, &fault));
            return (found, false);
        }
    };
    found.push(secured(target, &door));
    drop(door);
    let config = match http::fetch(target, "GET", "/api/v1/config", None, None).await {
        Ok(answer) if answer.body["version"].is_string() => answer,
        Ok(Answer { status, .. }) => {
            found.push(
                Finding::bad("server")
                    .says(
                        format!("Something answers there, but it is not Veche (HTTP {status})."),
                        format!("Там отвечает не Veche (HTTP {status})."),
                    )
                    .advises(
                        "Look where the proxy leads: `/api` and `/ws` must come to the server as they are.".into(),
                        "Посмотрите, куда ведёт прокси: `/api` и `/ws` должны доходить до сервера без изменений.".into(),
                    ),
            );
            return (found, false);
        }
        Err(fault) => {
            found.push(closed(target, &fault));
            return (found, false);
        }
    };
    let version = config.body["version"].as_str().unwrap_or_default();
    found.push(Finding::good("server").says(
        format!("Veche {version} answers in {} ms.", config.took.as_millis()),
        format!("Veche {version} отвечает за {} мс.", config.took.as_millis()),
    ));
    found.extend(clocks(&config));
    found.push(socket(target).await);
    (found, true)
}

/// No connection of TCP.
fn unreached(is_six: bool, address: &str, port: u16, error: &str) -> Finding {
    let found = if is_six { Finding::care("tcp") } else { Finding::bad("tcp") };
    let found = found.says(
        format!("No TCP connection to {address} port {port}: {error}."),
        format!("Нет соединения TCP с {address}, порт {port}: {error}."),
    );
    match is_six {
        true => found.advises(
            "Either this network has no IPv6, or the server does not listen there: then take its AAAA record away.".into(),
            "Либо в этой сети нет IPv6, либо сервер там не слушает: тогда уберите запись AAAA.".into(),
        ),
        false => found.advises(
            "The server is not running, or a firewall on the way drops it: open the port for TCP on the server and at its provider.".into(),
            "Сервер не запущен, или его закрывает файрвол по пути: откройте порт для TCP на сервере и у провайдера.".into(),
        ),
    }
}

/// Why there is no HTTP.
fn closed(target: &Target, fault: &Fault) -> Finding {
    let Fault::Tls(error) = fault else {
        let error = fault.to_string();
        return Finding::bad("http")
            .says(format!("HTTP fails: {error}."), format!("HTTP не работает: {error}."))
            .advises(
                "Look at the server's log, and at the proxy's.".into(),
                "Посмотрите журнал сервера и прокси.".into(),
            );
    };
    let cause = error.chain().find_map(|cause| {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        inner.and_then(|inner| inner.downcast_ref::<TlsError>())
    });
    match cause {
        Some(TlsError::InvalidCertificate(CertificateError::ExpiredContext { time, not_after })) => {
            let seconds = time.as_secs().saturating_sub(not_after.as_secs());
            certificate::over((seconds / 86_400) as i64)
        }
        Some(TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => certificate::other_name(&target.host),
        Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            Finding::bad("certificate")
                .says(
                    "Nobody whom browsers believe vouches for the certificate: it is self-signed, or its chain is missing.".into(),
                    "За сертификат не ручается никто, кому верят браузеры: он самоподписанный или без цепочки.".into(),
                )
                .advises(
                    "Use `tls = \"acme\"`, or the file with the whole chain (`fullchain.pem`). For an authority of your own name its file with `--authority`.".into(),
                    "Возьмите `tls = \"acme\"` или файл со всей цепочкой (`fullchain.pem`). Для своего удостоверяющего центра укажите его файл в `--authority`.".into(),
                )
        }
        _ => Finding::bad("tls")
            .says(
                format!("TLS fails: {error:#}."),
                format!("TLS не устанавливается: {error:#}."),
            )
            .advises(
                "Perhaps plain HTTP is spoken on that port, or something on the way breaks TLS open.".into(),
                "Возможно, на этом порту обычный HTTP или кто-то по пути вскрывает TLS.".into(),
            ),
    }
}

fn secured(target: &Target, door: &Door) -> Finding {
    match &door.chain {
        Some(chain) => certificate::judge(chain, std::slice::from_ref(&target.host), SystemTime::now()),
        None if target.is_local() => Finding::off("certificate").says(
            "Plain HTTP, on this machine.".into(),
            "Обычный HTTP, на этой машине.".into(),
        ),
        None => Finding::bad("https")
            .says(
                "Plain HTTP: browsers open no camera and no microphone there.".into(),
                "Обычный HTTP: браузеры не откроют там ни камеру, ни микрофон.".into(),
            )
            .advises(
                "Set `tls`, or put a proxy with HTTPS before the server; then test its https:// address.".into(),
                "Задайте `tls` или поставьте перед сервером прокси с HTTPS и проверьте адрес https://.".into(),
            ),
    }
}

/// Their clock against ours.
fn clocks(answer: &Answer) -> Option<Finding> {
    let theirs = answer.date?;
    let now = SystemTime::now();
    let apart = now.duration_since(theirs).unwrap_or_else(|earlier| earlier.duration());
    let seconds = apart.as_secs();
    if apart < CLOCK_TOLERANCE {
        return Some(Finding::good("clock").says(
            "The server's clock and this machine's agree.".into(),
            "Часы сервера и этой машины согласны.".into(),
        ));
    }
    Some(
        Finding::care("clock")
            .says(
                format!("The server's clock and this machine's are {seconds} s apart."),
                format!("Часы сервера и этой машины расходятся на {seconds} с."),
            )
            .advises(
                "Set whichever is wrong: with NTP (`timedatectl set-ntp true`).".into(),
                "Поставьте те, что врут: через NTP (`timedatectl set-ntp true`).".into(),
            ),
    )
}

/// Whether a WebSocket could be opened. Without a ticket the server refuses it, in a way that only it does.
async fn socket(target: &Target) -> Finding {
    match http::upgrade(target, "/ws/rooms/doctor").await {
        Ok(answer) if answer.status == 401 => Finding::good("websocket")
            .says("WebSockets get through.".into(), "WebSocket проходит.".into()),
        outcome => {
            let seen = match outcome {
                Ok(answer) => format!("HTTP {}", answer.status),
                Err(fault) => fault.to_string(),
            };
            Finding::bad("websocket")
                .says(
                    format!("WebSockets do not get through ({seen}): pages open, but nobody gets into a room."),
                    format!("WebSocket не проходит ({seen}): страницы открываются, но в комнату никто не войдёт."),
                )
                .advises(
                    "Let the proxy pass them: with nginx `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";`.".into(),
                    "Пусть прокси их пропускает; в nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";`.".into(),
                )
        }
    }
}

/// What needs somebody who is signed in.
async fn as_a_guest(target: &Target) -> Vec<Finding> {
    let name = json!({ "display_name": "Doctor" });
    let guest = match http::fetch(target, "POST", "/api/v1/auth/guest", None, Some(&name)).await {
        Ok(answer) if answer.status == 201 => answer,
        Ok(answer) => return vec![refused("become a guest", "стать гостем", &answer)],
        Err(fault) => return vec![closed(target, &fault)],
    };
    let token = guest.body["access_token"].as_str().unwrap_or_default().to_owned();
    let place = Place { target: target.clone(), token };
    let mut found = media::examine(&place).await;
    found.extend(relays(&place).await);
    http::fetch(target, "POST", "/api/v1/auth/logout", Some(&place.token), Some(&json!({})))
        .await
        .ok();
    found
}

/// The TURN servers that people are told of.
async fn relays(place: &Place) -> Vec<Finding> {
    let target = &place.target;
    // The server's own relay is for people of a room.
    let room = target.slug.as_ref().map(|slug| format!("?room={slug}")).unwrap_or_default();
    let path = format!("/api/v1/webrtc/ice-servers{room}");
    let answer = http::fetch(target, "GET", &path, Some(&place.token), None).await;
    let servers = answer.map(|answer| answer.body["ice_servers"].clone()).unwrap_or_default();
    let mut found = Vec::new();
    let peer = media::Peered::begin(place).await;
    for server in servers.as_array().into_iter().flatten() {
        let text = |field: &str| server[field].as_str().unwrap_or_default().to_owned();
        let credentials = Credentials { username: text("username"), password: text("credential") };
        let urls = server["urls"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for url in urls.filter(|url| url.starts_with("turn")) {
            let authority = target.vouched_by.as_deref();
            let peer = peer.as_ref().map(|peered| &peered.peer);
            let outcome = relay::allocate(url, &credentials, authority, peer).await;
            found.push(relay::told(url, &outcome));
        }
    }
    if let Some(peer) = peer {
        peer.end(place).await;
    }
    if found.is_empty() {
        found.push(Finding::off("turn").says(
            "The server offers no TURN relay here (its own is for people of a room: give the link of one). People whose network lets only web traffic out may need one: see `turn` in config.toml.".into(),
            "Сервер не предлагает здесь ретранслятора TURN (его собственный — для людей комнаты: укажите её ссылку). Он бывает нужен тем, чья сеть выпускает только веб: см. `turn` в config.toml.".into(),
        ));
    }
    found
}

/// The server said no.
fn refused(en: &str, ru: &str, answer: &Answer) -> Finding {
    let (status, words) =
        (answer.status, answer.body["error"]["message"].as_str().unwrap_or("no words"));
    Finding::bad("api").says(
        format!("The server refuses to let us {en} (HTTP {status}): {words}."),
        format!("Сервер не даёт {ru} (HTTP {status}): {words}."),
    )
}

/// HTTP tells whole seconds, and the answer was under way.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(90);
