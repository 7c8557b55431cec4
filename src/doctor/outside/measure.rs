//! What comes back of made-up sound: a few packets of each size, then a stream for some seconds, and what it means.

use super::super::report::Finding;
use super::sdp;
use client::link::{Link, Packet};
use rand::random;
use sfu::rtcp::{self, Incoming};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What came back of what was sent.
#[derive(Debug, Default)]
pub struct Counted {
    /// Size of datagrams, how many were sent, how many came back.
    sizes: BTreeMap<usize, (u32, u32)>,
    sent_bytes: u64,
    came_bytes: u64,
    sent: u32,
    came: u32,
    lost_up: u32,
    trips: Vec<Duration>,
}

/// First a few packets of each size, then a stream for some seconds.
pub fn run(sender: &mut Link, receiver: &mut Link) -> Result<Counted, client::Error> {
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
            let mut packet = packet(number, size, is_stream, began.elapsed());
            sender.send_rtp(&mut packet, HEADER, number)?;
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
pub fn weighed(counted: &Counted) -> Vec<Finding> {
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

/// Of what is sent.
pub const SSRC: u32 = 0x000d_0c70;
/// By which our own packets are known when they come back.
const MAGIC: &[u8] = b"veche-doctor";
/// Sizes of datagrams: sound, pictures, and what is still usual on the internet.
const SIZES: [usize; 3] = [200, 1200, 1400];
/// Of a packet without extensions.
const HEADER: usize = 12;
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
}
