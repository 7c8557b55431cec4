//! Where browsers are told to send media: whether those addresses are ours, and whether names lead to them.

use super::report::Finding;
use crate::config::Config;
use crate::media::{self, Named, Ports};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use turn::message::{self, Class, Message, Method, Transaction, Writer};

/// The advertised addresses and the public name.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let advertised = match media::advertised(&config.media_addresses, config.host.is_local()) {
        Ok(advertised) => advertised,
        Err(error) => {
            return vec![
                Finding::bad("addresses")
                    .says(
                        format!("This machine's addresses cannot be listed: {error}."),
                        format!("Не удаётся узнать адреса этой машины: {error}."),
                    )
                    .advises(
                        "Name them in `media_addresses`.".into(),
                        "Укажите их в `media_addresses`.".into(),
                    ),
            ];
        }
    };
    let public = host_of(config.public_url.as_deref());
    let mut found = Vec::new();
    let mut resolved = Vec::new();
    for name in names(config, public.as_deref()) {
        match resolve(&name).await {
            Some(addresses) if Some(&name) == public.as_ref() => resolved = addresses,
            Some(_) => {}
            None => found.push(unresolved(&name)),
        }
    }
    if advertised.is_empty() {
        found.push(
            Finding::bad("addresses")
                .says(
                    "There is no address that browsers could send media to.".into(),
                    "Нет ни одного адреса, куда браузеры могли бы отправлять медиа.".into(),
                )
                .advises(
                    "Name the address that people reach this machine at in `media_addresses`."
                        .into(),
                    "Укажите в `media_addresses` адрес, по которому эта машина доступна людям."
                        .into(),
                ),
        );
        return found;
    }
    found.extend(against_name(&advertised, public.as_deref(), &resolved));
    for port in config.media_ports() {
        found.extend(reached(port, &advertised).await);
    }
    found
}

/// Names that have to lead somewhere.
fn names(config: &Config, public: Option<&str>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = config.tls_names.iter().cloned().collect();
    names.extend(public.map(str::to_owned));
    names.extend(config.media_addresses.iter().filter_map(|named| match named {
        Named::Host(host) => Some(host.clone()),
        Named::Address(_) | Named::Interfaces => None,
    }));
    names.retain(|name| name.parse::<IpAddr>().is_err() && !name.starts_with('*'));
    names
}

/// The name in a URL.
pub fn host_of(url: Option<&str>) -> Option<String> {
    let url: axum::http::Uri = url?.parse().ok()?;
    Some(url.host()?.trim_matches(['[', ']']).to_owned())
}

/// Where a name leads.
pub async fn resolve(name: &str) -> Option<Vec<IpAddr>> {
    let looked = tokio::time::timeout(NAME_PATIENCE, lookup_host((name, 0))).await.ok()?.ok()?;
    let addresses: Vec<IpAddr> = looked.map(|address| address.ip().to_canonical()).collect();
    Some(addresses).filter(|addresses| !addresses.is_empty())
}

fn unresolved(name: &str) -> Finding {
    Finding::bad("name")
        .says(
            format!("The name {name} leads nowhere: no DNS server that this machine asks knows it."),
            format!("Имя {name} никуда не ведёт: DNS этой машины его не знает."),
        )
        .advises(
            format!("Add an A (and AAAA) record for {name} at whoever keeps your domain, or correct the name in the settings."),
            format!("Добавьте запись A (и AAAA) для {name} там, где ведётся ваш домен, или исправьте имя в настройках."),
        )
}

/// Whether those who come by the public name can reach what they are told to send media to.
fn against_name(advertised: &[IpAddr], name: Option<&str>, resolved: &[IpAddr]) -> Option<Finding> {
    let name = name?;
    let comes_from_afar = resolved.iter().any(|address| is_global(*address));
    let list = listed(advertised);
    if comes_from_afar && !advertised.iter().any(|address| is_global(*address)) {
        let public = listed(resolved);
        return Some(
            Finding::bad("public_address")
                .says(
                    format!("People come to {name} ({public}) from the internet, but are told to send media to private addresses only: {list}. They would see and hear nobody."),
                    format!("Люди приходят на {name} ({public}) из интернета, но медиа им велено слать только на частные адреса: {list}. Они никого не увидят и не услышат."),
                )
                .advises(
                    format!("Set `media_addresses = [\"{public}\", \"interfaces\"]` (the second for people in your own network), and forward the UDP media port to this machine."),
                    format!("Задайте `media_addresses = [\"{public}\", \"interfaces\"]` (второе — для людей из вашей сети) и пробросьте UDP-порт медиа на эту машину."),
                ),
        );
    }
    let own = interfaces();
    let is_foreign = |address: &&IpAddr| is_global(**address) && !own.contains(address);
    let foreign = advertised.iter().find(is_foreign);
    if let Some(foreign) = foreign.filter(|foreign| comes_from_afar && !resolved.contains(foreign))
    {
        let public = listed(resolved);
        return Some(
            Finding::bad("public_address")
                .says(
                    format!("Browsers are told to send media to {foreign}, which is neither this machine's address nor where {name} leads ({public})."),
                    format!("Браузерам велено слать медиа на {foreign}, а это ни адрес этой машины, ни то, куда ведёт {name} ({public})."),
                )
                .advises(
                    format!("Put the address that people reach this machine at into `media_addresses`, most likely {public}."),
                    format!("Укажите в `media_addresses` адрес, по которому эта машина доступна людям, — скорее всего {public}."),
                ),
        );
    }
    None
}

/// Sends a question to each advertised address from here and waits for it to come in at the media port.
async fn reached(port: u16, advertised: &[IpAddr]) -> Vec<Finding> {
    let socket = Ports::bind(port, false).ok().and_then(|ports| {
        let socket: std::net::UdpSocket = ports.datagrams.into();
        UdpSocket::from_std(socket).ok()
    });
    let Some(socket) = socket else {
        return vec![Finding::off("addresses").says(
            format!("Browsers are told to send media to {}. The port is in use, so whether it arrives is tested from outside: `veche doctor --url`.", listed(advertised)),
            format!("Браузерам велено слать медиа на {}. Порт занят, поэтому проверяйте снаружи: `veche doctor --url`.", listed(advertised)),
        )];
    };
    let Ok(port) = socket.local_addr().map(|address| address.port()) else { return Vec::new() };
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = answer_to(&buffer[..length], from) {
                socket.send_to(&answer, from).await.ok();
            }
        }
    });
    let mut found = Vec::new();
    let own = interfaces();
    for address in advertised {
        found.push(match asked(SocketAddr::new(*address, port)).await {
            true => Finding::good("address").says(
                format!("What is sent to {address} from here arrives at the media port {port}."),
                format!("Отправленное отсюда на {address} приходит на медиапорт {port}."),
            ),
            false if own.contains(address) => Finding::bad("address")
                .says(
                    format!("{address} is an address of this machine, but what is sent to it does not arrive at UDP port {port}."),
                    format!("{address} — адрес этой машины, но отправленное на него не приходит на порт UDP {port}."),
                )
                .advises(
                    format!("A firewall here drops it. Open UDP {port}: `nft add rule inet filter input udp dport {port} accept`, or `ufw allow {port}/udp`."),
                    format!("Его отбрасывает здешний файрвол. Откройте UDP {port}: `nft add rule inet filter input udp dport {port} accept` или `ufw allow {port}/udp`."),
                ),
            false => Finding::care("address")
                .says(
                    format!("{address} is no address of this machine, and what is sent to it from here does not come back. Behind NAT that may be all right (many routers do not turn packets round); otherwise `media_addresses` is wrong."),
                    format!("{address} — не адрес этой машины, и отправленное на него отсюда не возвращается. За NAT это может быть нормально (многие роутеры так не умеют); иначе `media_addresses` неверен."),
                )
                .advises(
                    format!("Test it from another network: `veche doctor --url …`. On the router forward UDP {port} to this machine."),
                    format!("Проверьте из другой сети: `veche doctor --url …`. На роутере пробросьте UDP {port} на эту машину."),
                ),
        });
    }
    answering.abort();
    found
}

/// Whether a question to there is answered.
async fn asked(address: SocketAddr) -> bool {
    let from: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let Ok(socket) = UdpSocket::bind(from).await else { return false };
    let transaction: Transaction = rand::random();
    let question = Writer::new(Method::Binding, Class::Request, transaction).finish(false);
    for _ in 0..ATTEMPTS {
        if socket.send_to(&question, address).await.is_err() {
            return false;
        }
        let mut buffer = [0; 1500];
        let heard = tokio::time::timeout(ECHO_PATIENCE, socket.recv(&mut buffer)).await;
        if let Ok(Ok(length)) = heard
            && Message::parse(&buffer[..length]).is_some_and(|answer| answer.answers(transaction))
        {
            return true;
        }
    }
    false
}

/// Tells a client that asks how it is seen (RFC 8489 §3).
fn answer_to(question: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let asks = |message: &Message<'_>| {
        (message.method(), message.class()) == (Method::Binding, Class::Request)
    };
    let question = Message::parse(question).filter(asks)?;
    let mut answer = Writer::new(Method::Binding, Class::Success, question.transaction());
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    answer.address(message::XOR_MAPPED_ADDRESS, from);
    Some(answer.finish(false))
}

fn interfaces() -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.into_iter().map(|interface| interface.ip()).collect()
}

/// Whether the internet can send there.
pub fn is_global(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // 100.64/10 is shared by customers of one provider (RFC 6598).
            let is_shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || is_shared)
        }
        IpAddr::V6(v6) => {
            let is_local = v6.segments()[0] & 0xfe00 == 0xfc00;
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || is_local)
        }
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

/// A name server that is asked over a bad line and asks others.
const NAME_PATIENCE: Duration = Duration::from_secs(5);
/// From here to here.
const ECHO_PATIENCE: Duration = Duration::from_millis(400);
/// The first packet to an address may be lost while its neighbour is found.
const ATTEMPTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    fn all(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn what_is_asked_is_answered_with_where_it_came_from() {
        for from in ["192.0.2.1:5000", "[2001:db8::7]:9"].map(|a| a.parse().expect("an address")) {
            let asked = Writer::new(Method::Binding, Class::Request, [7; 12]).finish(false);
            let answer = answer_to(&asked, from).expect("an answer");
            let answer = Message::parse(&answer).expect("an answer");
            assert!(answer.answers([7; 12]) && answer.class() == Class::Success);
            assert_eq!(answer.address(message::XOR_MAPPED_ADDRESS), Some(from));
            assert!(!Message::parse(&asked).expect("a question").answers([7; 12]));
        }
        let from = "192.0.2.1:1".parse().expect("one");
        assert!(answer_to(b"hello, world, hello, world", from).is_none());
    }

    #[test]
    fn private_addresses_behind_a_public_name_are_wrong() {
        let judge = |advertised: &[&str], resolved: &[&str]| {
            let found = against_name(&all(advertised), Some("meet.example.org"), &all(resolved));
            found.map(|finding| finding.level)
        };
        assert_eq!(judge(&["10.0.0.5", "fd00::5"], &["198.51.100.7"]), Some(Level::Bad));
        assert_eq!(judge(&["100.64.0.9"], &["198.51.100.7"]), Some(Level::Bad));
        assert_eq!(judge(&["10.0.0.5", "198.51.100.7"], &["198.51.100.7"]), None);
        assert_eq!(judge(&["10.0.0.5"], &["10.0.0.5"]), None, "a LAN with a name of its own");
        assert_eq!(judge(&["203.0.113.9"], &["198.51.100.7"]), Some(Level::Bad), "a wrong one");
        assert!(against_name(&all(&["10.0.0.5"]), None, &[]).is_none());
    }

    #[test]
    fn the_name_of_a_url_is_found() {
        assert_eq!(
            host_of(Some("https://meet.example.org:8443")).as_deref(),
            Some("meet.example.org")
        );
        assert_eq!(host_of(Some("https://[::1]:8443")).as_deref(), Some("::1"));
        assert_eq!(host_of(None), None);
    }
}
