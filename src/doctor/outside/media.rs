//! Media as a participant sends and takes it: every address of the server's tried, the best measured.

use super::super::addresses::is_global;
use super::super::relay::Peer;
use super::super::report::Finding;
use super::http::{self, Target};
use super::link::{Link, Packet, Stopped};
use super::sdp::{self, Candidate, Remote};
use futures_util::future::join_all;
use rand::random;
use serde_json::{Value, json};
use sfu::Identity;
use sfu::credentials::IceCredentials;
use sfu::rtcp::{self, Incoming};
use sfu::transport::client::ConnectivityChecks;
use sfu::transport::stun::TransactionId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// As whom, and where.
#[derive(Clone)]
pub struct Place {
    pub target: Target,
    pub token: String,
}

/// One end: what it offered, and what was answered.
struct End {
    identity: Identity,
    ice: IceCredentials,
    remote: Remote,
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
        let checks = ConnectivityChecks::new(&end.ice, &end.remote.parameters.ice, random());
        let candidates = end.remote.candidates.iter().filter(|candidate| !candidate.is_tcp);
        let addresses = candidates.map(|candidate| candidate.address).collect();
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
    let candidates = ends[0].remote.candidates.clone();
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
        let ice = IceCredentials {
            ufrag: format!("{:08x}", random::<u32>()),
            pwd: format!("{:016x}{:016x}", random::<u64>(), random::<u64>()),
        };
        body[field] = json!(sdp::offer(&identity, &ice, ssrc));
        ends.push((field, identity, ice));
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
    for (field, identity, ice) in ends {
        let remote = answer.body[field].as_str().and_then(sdp::read).ok_or_else(unreadable)?;
        read.push(End { identity, ice, remote });
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
        link.connect()?;
        let took = link.round_trip().unwrap_or_default();
        link.close();
        Ok(took)
    });
    let outcome = outcome.await.unwrap_or(Err(Stopped::Silent));
    end(place, &id).await;
    outcome
}

impl End {
    fn link(&self, to: &Candidate) -> std::io::Result<Link> {
        Link::open(&self.identity, &self.ice, &self.remote, to.address, to.is_tcp)
    }
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

/// What came back of what was sent.
#[derive(Debug, Default)]
struct Counted {
    /// Size of datagrams, how many were sent, how many came back.
    sizes: BTreeMap<usize, (u32, u32)>,
    sent_bytes: u64,
    came_bytes: u64,
    sent: u32,
    came: u32,
    lost_up: u32,
    trips: Vec<Duration>,
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
            link.connect().ok()?;
        }
        let [sender, receiver] = &mut links;
        let counted = run(sender, receiver).ok();
        links.into_iter().for_each(Link::close);
        counted
    });
    let counted = counted.await.ok().flatten();
    end(place, &id).await;
    match counted {
        Some(counted) => weighed(&counted),
        None => vec![Finding::bad("media").says(
            "A path stood, but broke while it was measured.".into(),
            "Путь был, но оборвался во время измерения.".into(),
        )],
    }
}

/// First a few packets of each size, then a stream for some seconds.
fn run(sender: &mut Link, receiver: &mut Link) -> std::io::Result<Counted> {
    let began = Instant::now();
    let mut counted = Counted::default();
    let mut number = u64::from(random::<u16>() >> 1);
    let stream_begins = SIZES_FOR;
    let all = SIZES_FOR + STREAM_FOR;
    let mut next = Duration::ZERO;
    let mut turn = 0;
    while began.elapsed() < all + DRAIN {
        let now = began.elapsed();
        while now >= next && next < all {
            let is_stream = next >= stream_begins;
            let size = if is_stream { STREAM_SIZE } else { SIZES[turn % SIZES.len()] };
            turn += 1;
            next += if is_stream { STREAM_EVERY } else { SIZES_FOR / SIZES_COUNT };
            let packet = packet(number, size, is_stream, began.elapsed());
            sender.send_rtp(packet, number)?;
            number += 1;
            if is_stream {
                counted.sent += 1;
                counted.sent_bytes += size as u64;
            } else {
                counted.sizes.entry(size).or_default().0 += 1;
            }
        }
        sender.drive(&mut |packet| {
            if let Packet::Rtcp(compound) = packet {
                rtcp::parse(compound, |incoming| {
                    if let Incoming::ReceiverReport { blocks, .. } = incoming {
                        let lost = blocks.iter().map(|block| block.cumulative_lost.max(0)).max();
                        counted.lost_up = lost.unwrap_or(0).unsigned_abs().max(counted.lost_up);
                    }
                });
            }
        })?;
        receiver.drive(&mut |packet| {
            if let Packet::Rtp(packet) = packet {
                take(&mut counted, packet, began.elapsed());
            }
        })?;
        std::thread::sleep(NAP);
    }
    Ok(counted)
}

/// An RTP packet that is a datagram of that size once it is sealed, with the time in it.
fn packet(number: u64, size: usize, is_stream: bool, now: Duration) -> Vec<u8> {
    let mut packet = vec![0x80, sdp::PAYLOAD_TYPE];
    packet.extend((number as u16).to_be_bytes());
    packet.extend(((now.as_micros() as u64 * 48 / 1000) as u32).to_be_bytes());
    packet.extend(SSRC.to_be_bytes());
    // CELT, 20 ms, one frame: what the server takes for sound.
    packet.push(0xf8);
    packet.extend(MAGIC);
    packet.push(u8::from(is_stream));
    packet.extend((size as u16).to_be_bytes());
    packet.extend((now.as_micros() as u64).to_be_bytes());
    packet.resize(size - SEAL, 0x5a);
    packet
}

fn take(counted: &mut Counted, packet: &[u8], now: Duration) {
    let Some(at) = packet.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else { return };
    let Some(&[is_stream, a, b, ref time @ ..]) =
        packet.get(at + MAGIC.len()..at + MAGIC.len() + 11)
    else {
        return;
    };
    let size = usize::from(u16::from_be_bytes([a, b]));
    if is_stream == 0 {
        if let Some((_, came)) = counted.sizes.get_mut(&size) {
            *came += 1;
        }
        return;
    }
    counted.came += 1;
    counted.came_bytes += size as u64;
    if let Ok(time) = <[u8; 8]>::try_from(time) {
        counted.trips.push(now.saturating_sub(Duration::from_micros(u64::from_be_bytes(time))));
    }
}

/// The numbers in words.
fn weighed(counted: &Counted) -> Vec<Finding> {
    let part = |(sent, came): (u32, u32)| f64::from(came) / f64::from(sent.max(1));
    let parts: Vec<(usize, f64)> =
        counted.sizes.iter().map(|(size, counts)| (*size, part(*counts))).collect();
    let small = parts.first().map_or(0.0, |(_, part)| *part);
    if counted.came == 0 && small == 0.0 {
        return vec![
            Finding::bad("media")
                .says(
                    "A path stands, but nothing that was sent came back over it.".into(),
                    "Путь есть, но обратно ничего не пришло.".into(),
                )
                .advises(
                    "A firewall on the way lets the handshake through and drops media: look for one that inspects packets.".into(),
                    "Файрвол по пути пропускает рукопожатие, но отбрасывает медиа: ищите тот, что разбирает пакеты.".into(),
                ),
        ];
    }
    let hole = parts.iter().find(|(_, part)| *part < small * HOLE);
    let mut found = vec![match hole {
        Some((size, part)) => Finding::bad("large_packets")
            .says(
                format!("Packets of {size} bytes get lost ({:.0} % come back), smaller ones come through: people are heard and not seen.", part * 100.0),
                format!("Пакеты по {size} байт теряются (возвращается {:.0} %), а поменьше проходят: людей слышно, но не видно.", part * 100.0),
            )
            .advises(
                "Something on the way has too small an MTU: a VPN, tunnel or PPPoE line. Set the MTU of that interface to 1280–1400, or let ICMP \"fragmentation needed\" through.".into(),
                "У чего-то по пути слишком маленький MTU: VPN, туннель или PPPoE. Задайте этому интерфейсу MTU 1280–1400 или пропускайте ICMP «fragmentation needed».".into(),
            ),
        None => Finding::good("large_packets").says(
            format!("Packets of {} and {} bytes get through both ways.", SIZES[1], SIZES[2]),
            format!("Пакеты по {} и {} байт проходят в обе стороны.", SIZES[1], SIZES[2]),
        ),
    }];
    if hole.is_some() {
        return found;
    }
    found.push(numbers(counted));
    found
}

fn numbers(counted: &Counted) -> Finding {
    let lost = 1.0 - f64::from(counted.came) / f64::from(counted.sent.max(1));
    let up = (f64::from(counted.lost_up) / f64::from(counted.sent.max(1))).min(lost);
    let mut trips = counted.trips.clone();
    let jitter = trips.windows(2).map(|pair| pair[0].abs_diff(pair[1])).sum::<Duration>()
        / trips.len().max(1) as u32;
    trips.sort_unstable();
    let trip = trips.get(trips.len() / 2).copied().unwrap_or_default();
    let rate = |bytes: u64| bytes as f64 * 8.0 / STREAM_FOR.as_secs_f64() / 1_000_000.0;
    let (sent, came) = (rate(counted.sent_bytes), rate(counted.came_bytes));
    let (trip, jitter) = (trip.as_millis(), jitter.as_micros() as f64 / 1000.0);
    let (en, ru) = (
        format!(
            "Over 5 s: {sent:.1} Mbit/s sent, {came:.1} Mbit/s back; {:.1} % lost on the way there, {:.1} % on the way back; round trip {trip} ms, jitter {jitter:.1} ms.",
            up * 100.0,
            (lost - up) * 100.0
        ),
        format!(
            "За 5 с: отправлено {sent:.1} Мбит/с, вернулось {came:.1} Мбит/с; потеряно туда {:.1} %, обратно {:.1} %; туда и обратно {trip} мс, дрожание {jitter:.1} мс.",
            up * 100.0,
            (lost - up) * 100.0
        ),
    );
    if lost > LOSS_BAD {
        return Finding::bad("quality").says(en, ru).advises(
            "So much is lost that sound breaks up: look for a busy or broken link between here and the server; on Wi-Fi try a cable.".into(),
            "Теряется столько, что звук прерывается: ищите перегруженный или неисправный участок между этим местом и сервером; вместо Wi-Fi попробуйте кабель.".into(),
        );
    }
    if lost > LOSS_CARE || trip > 300 || jitter > 40.0 {
        return Finding::care("quality").says(en, ru).advises(
            "A meeting works, with pictures that stop now and then or people who talk over each other. A nearer server or a quieter link helps.".into(),
            "Встреча состоится, но картинка иногда замрёт или люди будут перебивать друг друга. Поможет сервер поближе или менее занятый канал.".into(),
        );
    }
    Finding::good("quality").says(en, ru)
}

/// Addresses tried side by side: fewer than one person may test at a time.
const AT_ONCE: usize = 6;
/// Of what is sent.
const SSRC: u32 = 0x000d_0c70;
/// By which our own packets are known when they come back.
const MAGIC: &[u8] = b"veche-doctor";
/// Sizes of datagrams: sound, pictures, and what is still usual on the internet.
const SIZES: [usize; 3] = [200, 1200, 1400];
/// Tag of AES-GCM that sealing appends.
const SEAL: usize = 16;
/// Packets of the three sizes, and for how long they are sent.
const SIZES_COUNT: u32 = 90;
const SIZES_FOR: Duration = Duration::from_millis(1_500);
/// A stream of 2 Mbit/s: a good picture with sound.
const STREAM_SIZE: usize = 1_000;
const STREAM_EVERY: Duration = Duration::from_millis(4);
const STREAM_FOR: Duration = Duration::from_secs(5);
/// Packets are sent and read on time to within this.
const NAP: Duration = Duration::from_millis(1);
/// For what is still under way.
const DRAIN: Duration = Duration::from_millis(800);
/// A size that comes back less often than this part of the smallest is not lost by chance.
const HOLE: f64 = 0.6;
/// Sound breaks up.
const LOSS_BAD: f64 = 0.08;
/// Pictures stop for moments.
const LOSS_CARE: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::super::super::report::Level;
    use super::*;

    fn counted(large: u32, came: u32) -> Counted {
        Counted {
            sizes: BTreeMap::from([(200, (30, 30)), (1200, (30, large)), (1400, (30, large))]),
            sent: 1000,
            came,
            sent_bytes: 1_000_000,
            came_bytes: u64::from(came) * 1000,
            trips: vec![Duration::from_millis(20); 10],
            ..Counted::default()
        }
    }

    fn levels(counted: &Counted) -> Vec<(&'static str, Level)> {
        weighed(counted).iter().map(|finding| (finding.check, finding.level)).collect()
    }

    #[test]
    fn what_came_back_is_weighed() {
        assert_eq!(
            levels(&counted(30, 1000)),
            [("large_packets", Level::Good), ("quality", Level::Good)]
        );
        assert_eq!(levels(&counted(30, 950))[1], ("quality", Level::Care));
        assert_eq!(levels(&counted(30, 500))[1], ("quality", Level::Bad));
        assert_eq!(levels(&counted(0, 0)), [("large_packets", Level::Bad)]);
        assert_eq!(levels(&Counted::default()), [("media", Level::Bad)]);
    }

    #[test]
    fn our_own_packets_are_known_when_they_come_back() {
        let mut counted = counted(0, 0);
        let sent = packet(7, 1200, false, Duration::from_millis(5));
        assert_eq!(sent.len() + SEAL, 1200);
        take(&mut counted, &sent, Duration::from_millis(30));
        assert_eq!(counted.sizes[&1200], (30, 1));
        take(
            &mut counted,
            &packet(8, 1000, true, Duration::from_millis(5)),
            Duration::from_millis(30),
        );
        assert_eq!((counted.came, counted.trips.last()), (1, Some(&Duration::from_millis(25))));
        take(&mut counted, b"somebody else's packet", Duration::ZERO);
        assert_eq!(counted.came, 1);
    }

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
