//! Media as a participant sends and takes it: every address of the server's tried, the best measured.

use super::super::addresses::is_global;
use super::super::relay::Peer;
use super::super::report::Finding;
use super::measure::{self, SSRC};
use super::sdp::{self, Candidate};
use crate::visitor::http::{self, Target};
use client::description::Description;
use client::link::{Link, Local};
use futures_util::future::join_all;
use rand::random;
use serde_json::{Value, json};
use sfu::Identity;
use sfu::transport::client::ConnectivityChecks;
use sfu::transport::stun::TransactionId;
use std::time::{Duration, Instant};

/// As whom, and where.
#[derive(Clone)]
pub struct Place {
    pub target: Target,
    pub token: String,
}

/// One end: what it offered, and what was answered.
struct End {
    local: Local,
    answer: Description,
}

/// A test that is open so that relays can lead to it.
pub struct Peered {
    /// Whom they lead to.
    pub peer: Peer,
    id: String,
}

impl Peered {
    /// Opens one, where the server lets us.
    pub async fn begin(place: &Place) -> Option<Self> {
        let (mut ends, id) = begin(place, false).await.ok()?;
        let end = ends.pop()?;
        let checks = ConnectivityChecks::new(&end.local.ice, &end.answer.remote.ice, random());
        let addresses = end.answer.candidates;
        let check = Box::new(move || checks.request(TransactionId(random()), true));
        Some(Self { peer: Peer { addresses, check }, id })
    }

    /// Ends it.
    pub async fn end(self, place: &Place) {
        end(place, &self.id).await;
    }
}

/// Everything about media.
pub async fn examine(place: &Place) -> Vec<Finding> {
    let (ends, id) = match begin(place, false).await {
        Ok(begun) => begun,
        Err(finding) => return vec![finding],
    };
    end(place, &id).await;
    let candidates = sdp::candidates(&ends[0].answer);
    let mut outcomes = Vec::new();
    for some in candidates.chunks(AT_ONCE) {
        let tried = join_all(some.iter().map(|candidate| attempt(place, candidate))).await;
        outcomes.extend(some.iter().cloned().zip(tried));
    }
    let mut found = judge(&outcomes);
    let best = outcomes.iter().find(|(_, outcome)| outcome.is_ok()).map(|(candidate, _)| candidate);
    if let Some(best) = best {
        found.extend(measured(place, best).await);
    }
    found
}

/// Makes offers; the answers come with what they answer.
async fn begin(place: &Place, is_whole: bool) -> Result<(Vec<End>, String), Finding> {
    let mut ends = Vec::new();
    let mut body = json!({});
    for (field, ssrc) in [("publish", Some(SSRC)), ("watch", None)] {
        if field == "watch" && !is_whole {
            continue;
        }
        let identity = Identity::generate().map_err(|error| {
            Finding::bad("media").says(
                format!("No certificate for DTLS can be made: {error}."),
                format!("Не удаётся создать сертификат для DTLS: {error}."),
            )
        })?;
        let local = Local::with_identity(identity);
        body[field] = json!(sdp::offer(&local, ssrc));
        ends.push((field, local));
    }
    let target = &place.target;
    body["slug"] = json!(target.slug);
    body["invite_code"] = json!(target.invite_code);
    let path = "/api/v1/webrtc/checkups";
    let answer = http::fetch(target, "POST", path, Some(&place.token), Some(&body)).await;
    let answer = answer.map_err(|fault| super::closed(target, &fault))?;
    if answer.status == 403 && target.slug.is_none() {
        return Err(Finding::off("media")
            .says(
                "Media was not tested: this server lets guests test it at the door of a room only."
                    .into(),
                "Медиа не проверено: этот сервер даёт гостям проверять его только у двери комнаты."
                    .into(),
            )
            .advises(
                "Give the link of a room: `veche doctor --url https://…/r/name#code=…`.".into(),
                "Укажите ссылку комнаты: `veche doctor --url https://…/r/name#code=…`.".into(),
            ));
    }
    if answer.status != 201 {
        return Err(super::refused("test media", "проверить медиа", &answer));
    }
    let unreadable = || {
        Finding::bad("media").says(
            "The server's description of its media cannot be read.".into(),
            "Описание медиа, которое дал сервер, не читается.".into(),
        )
    };
    let mut read = Vec::new();
    for (field, local) in ends {
        let sdp = answer.body[field].as_str().unwrap_or_default();
        let answer = Description::read(sdp).map_err(|_| unreadable())?;
        read.push(End { local, answer });
    }
    Ok((read, answer.body["id"].as_str().unwrap_or_default().to_owned()))
}

async fn end(place: &Place, id: &str) {
    let path = format!("/api/v1/webrtc/checkups/{id}");
    http::fetch(&place.target, "DELETE", &path, Some(&place.token), None::<&Value>).await.ok();
}

/// Whether media could flow to there, and how long a check takes.
async fn attempt(place: &Place, candidate: &Candidate) -> Result<Duration, Stopped> {
    let Ok((mut ends, id)) = begin(place, false).await else { return Err(Stopped::Silent) };
    let (candidate, publisher) = (candidate.clone(), ends.remove(0));
    let outcome = tokio::task::spawn_blocking(move || {
        let mut link = publisher.link(&candidate).map_err(|_| Stopped::Silent)?;
        connect(&mut link)?;
        let took = link.round_trip().unwrap_or_default();
        link.close().ok();
        Ok(took)
    });
    let outcome = outcome.await.unwrap_or(Err(Stopped::Silent));
    end(place, &id).await;
    outcome
}

impl End {
    fn link(&self, to: &Candidate) -> Result<Link, client::Error> {
        let mut link = Link::new(&self.local, self.answer.remote.clone(), to.address)?;
        if to.is_tcp {
            link.use_tcp()?;
        }
        link.check_every(CHECK_EVERY);
        Ok(link)
    }
}

/// How far a transport came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stopped {
    /// Not even a check was answered.
    Silent,
    /// Checks are answered, larger packets of the handshake are not.
    Handshake,
}

/// Waits until media can flow; how far it came where it cannot.
fn connect(link: &mut Link) -> Result<(), Stopped> {
    let end = Instant::now() + CONNECT_PATIENCE;
    while !link.is_connected() {
        if Instant::now() > end {
            let came_back = link.answers() > 0;
            return Err(if came_back { Stopped::Handshake } else { Stopped::Silent });
        }
        link.drive(&mut |_| {}).map_err(|_| Stopped::Silent)?;
        link.wait(NAP);
    }
    Ok(())
}

type Outcome = Result<Duration, Stopped>;

/// Every address in words, and what is not offered.
fn judge(outcomes: &[(Candidate, Outcome)]) -> Vec<Finding> {
    let works =
        |is_tcp| outcomes.iter().any(|(to, outcome)| to.is_tcp == is_tcp && outcome.is_ok());
    let mut found: Vec<Finding> =
        outcomes.iter().map(|(to, outcome)| told(to, *outcome, works(to.is_tcp))).collect();
    if !outcomes.iter().any(|(to, _)| to.is_tcp) {
        found.push(Finding::off("media_tcp").says(
            "Media by TCP is not offered: `media_tcp = true` lets people in whose network drops UDP.".into(),
            "Медиа по TCP не предлагается: `media_tcp = true` впустит тех, чья сеть не пропускает UDP.".into(),
        ));
    }
    if !outcomes.iter().any(|(to, _)| to.address.is_ipv6()) {
        found.push(Finding::off("media_ipv6").says(
            "Media over IPv6 is not offered. People have IPv4 beside it nearly everywhere; to add it, name the IPv6 address in `media_addresses`.".into(),
            "Медиа по IPv6 не предлагается. Почти у всех есть и IPv4; чтобы добавить, укажите адрес IPv6 в `media_addresses`.".into(),
        ));
    }
    if works(false) {
        return found;
    }
    let addresses =
        outcomes.iter().filter(|(to, _)| !to.is_tcp).map(|(to, _)| to.address.to_string());
    let addresses = addresses.collect::<Vec<_>>().join(", ");
    let (en, ru) = match works(true) {
        true => (
            "Media goes by TCP then: it works, but pictures stand still now and then.",
            "Тогда медиа идёт по TCP: работает, но картинка иногда замирает.",
        ),
        false => (
            "From here nobody would be seen or heard.",
            "Отсюда никого не было бы ни видно, ни слышно.",
        ),
    };
    let verdict = if works(true) { Finding::care("udp") } else { Finding::bad("udp") };
    found.push(
        verdict
            .says(
                format!("UDP does not get through to any address of the server's ({addresses}). {en}"),
                format!("UDP не проходит ни до одного адреса сервера ({addresses}). {ru}"),
            )
            .advises(
                "Open that UDP port: in the server's own firewall, at its provider (security group), on its router (forwarding), and in the firewall of this network. Behind NAT `media_addresses` must hold the public address.".into(),
                "Откройте этот порт UDP: в файрволе сервера, у его провайдера (security group), на его роутере (проброс) и в файрволе этой сети. За NAT в `media_addresses` должен стоять публичный адрес.".into(),
            ),
    );
    found
}

fn told(to: &Candidate, outcome: Outcome, others_work: bool) -> Finding {
    let check = if to.is_tcp { "media_tcp" } else { "media_udp" };
    let (name, address) = (if to.is_tcp { "TCP" } else { "UDP" }, to.address);
    match outcome {
        Ok(took) => Finding::good(check).says(
            format!("Media by {name} to {address}: {} ms.", took.as_millis()),
            format!("Медиа по {name} до {address}: {} мс.", took.as_millis()),
        ),
        Err(Stopped::Handshake) => Finding::bad(check)
            .says(
                format!("{name} to {address}: small packets are answered, the handshake of DTLS is not."),
                format!("{name} до {address}: на маленькие пакеты ответ есть, а рукопожатие DTLS не проходит."),
            )
            .advises(
                "Larger packets are lost on the way (MTU of a VPN or tunnel), or a firewall drops what it does not know.".into(),
                "По пути теряются пакеты побольше (MTU у VPN или туннеля), или файрвол отбрасывает незнакомое.".into(),
            ),
        Err(Stopped::Silent) => {
            let en = format!("{name} to {address} does not get through.");
            let ru = format!("{name} до {address} не проходит.");
            match () {
                () if others_work && !is_global(address.ip()) => Finding::off(check).says(
                    format!("{en} It is a private address, for people in its own network."),
                    format!("{ru} Это частный адрес — для людей в его сети."),
                ),
                () if others_work => Finding::care(check).says(en, ru).advises(
                    "Browsers lose time with it: take it out of `media_addresses`, or open the way to it.".into(),
                    "Браузеры теряют на нём время: уберите его из `media_addresses` или откройте путь к нему.".into(),
                ),
                () => Finding::care(check).says(en, ru),
            }
        }
    }
}

/// Sends and takes back for some seconds.
async fn measured(place: &Place, best: &Candidate) -> Vec<Finding> {
    let (mut ends, id) = match begin(place, true).await {
        Ok(begun) => begun,
        Err(finding) => return vec![finding],
    };
    let best = best.clone();
    let (watcher, publisher) = (ends.pop(), ends.pop());
    let counted = tokio::task::spawn_blocking(move || {
        let mut links = [publisher?.link(&best).ok()?, watcher?.link(&best).ok()?];
        for link in &mut links {
            connect(link).ok()?;
        }
        let [sender, receiver] = &mut links;
        let counted = measure::run(sender, receiver).ok();
        links.iter_mut().for_each(|link| drop(link.close()));
        counted
    });
    let counted = counted.await.ok().flatten();
    end(place, &id).await;
    match counted {
        Some(counted) => measure::weighed(&counted),
        None => vec![Finding::bad("media").says(
            "A path stood, but broke while it was measured.".into(),
            "Путь был, но оборвался во время измерения.".into(),
        )],
    }
}

/// Faster than browsers do, so that a few seconds give a round trip.
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// Each step of ICE and DTLS is tried again within a second.
const CONNECT_PATIENCE: Duration = Duration::from_secs(6);
/// Checks are repeated on time to within this.
const NAP: Duration = Duration::from_millis(5);
/// Addresses tried side by side: fewer than one person may test at a time.
const AT_ONCE: usize = 6;

#[cfg(test)]
mod tests {
    use super::super::super::report::Level;
    use super::*;

    #[test]
    fn where_udp_is_blocked_it_is_said_with_the_way_round() {
        let to =
            |is_tcp, address: &str| Candidate { is_tcp, address: address.parse().expect("one") };
        let silent: Outcome = Err(Stopped::Silent);
        let good: Outcome = Ok(Duration::from_millis(3));
        let last =
            |outcomes: &[(Candidate, Outcome)]| judge(outcomes).last().map(|f| (f.check, f.level));
        let udp = to(false, "198.51.100.7:8081");
        let tcp = to(true, "198.51.100.7:8081");
        assert_eq!(last(&[(udp.clone(), silent)]), Some(("udp", Level::Bad)));
        assert_eq!(last(&[(udp.clone(), silent), (tcp, good)]), Some(("udp", Level::Care)));
        let private = to(false, "10.0.0.5:8081");
        let found = judge(&[(udp, good), (private, silent)]);
        assert_eq!(found[1].level, Level::Off, "a private address concerns its own network");
    }
}
