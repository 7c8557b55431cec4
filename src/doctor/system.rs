//! What the operating system grants, and settings that contradict each other.

use super::report::Finding;
use crate::config::Config;
use crate::media::{Ports, SOCKET_BUFFER};
use crate::open_files;
use crate::tls::Tls;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Settings that each may be, and together are not what anybody means.
pub fn settings(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_https = config.tls != Tls::Off || config.is_https();
    if !config.host.is_local() && !is_https {
        found.push(
            Finding::bad("https")
                .says(
                    "People come over plain HTTP, and browsers open no camera and no microphone there."
                        .into(),
                    "Люди приходят по обычному HTTP, а там браузеры не открывают ни камеру, ни микрофон."
                        .into(),
                )
                .advises(
                    "Set `tls` to `acme`, `files` or `self-signed`; or, behind a proxy that speaks HTTPS, `public_url` to its https:// address."
                        .into(),
                    "Задайте `tls` = `acme`, `files` или `self-signed`; а за прокси с HTTPS — `public_url` с его адресом https://."
                        .into(),
                ),
        );
    }
    if config.tls == Tls::Off && config.is_https() && !config.trust_forwarded_for {
        found.push(
            Finding::care("proxy")
                .says(
                    "`public_url` says that a proxy stands before the server, but `trust_forwarded_for` is off: everybody seems to come from the proxy and shares its rate limits."
                        .into(),
                    "По `public_url` перед сервером стоит прокси, но `trust_forwarded_for` выключен: все приходят как бы с адреса прокси и делят его лимиты."
                        .into(),
                )
                .advises(
                    "Let the proxy set X-Forwarded-For and set `trust_forwarded_for = true`.".into(),
                    "Пусть прокси ставит X-Forwarded-For; задайте `trust_forwarded_for = true`.".into(),
                ),
        );
    }
    if config.trust_forwarded_for && config.tls != Tls::Off {
        found.push(
            Finding::care("proxy")
                .says(
                    "`trust_forwarded_for` is on, and the server speaks HTTPS itself: without a proxy anybody may name any address and escape the rate limits."
                        .into(),
                    "`trust_forwarded_for` включён, а HTTPS говорит сам сервер: без прокси любой может назваться любым адресом и обойти лимиты."
                        .into(),
                )
                .advises(
                    "Without a proxy set `trust_forwarded_for = false`.".into(),
                    "Если прокси нет, задайте `trust_forwarded_for = false`.".into(),
                ),
        );
    }
    if config.media_port == 0 && !config.host.is_local() {
        found.push(
            Finding::care("media_port")
                .says(
                    "`media_port` is 0: another port at each start, which no firewall can let through."
                        .into(),
                    "`media_port` = 0: при каждом запуске другой порт, и файрвол его не пропустит.".into(),
                )
                .advises(
                    "Set `media_port`, 8081 for one, and open it in the firewall for UDP.".into(),
                    "Задайте `media_port`, например 8081, и откройте его в файрволе для UDP.".into(),
                ),
        );
    }
    if !config.is_production() && !config.host.is_local() {
        found.push(
            Finding::care("app_env")
                .says(
                    "`app_env` is `development` on a server that others reach: anybody may register and guests make rooms."
                        .into(),
                    "`app_env` = `development` на сервере, доступном другим: регистрация открыта, и гости создают комнаты."
                        .into(),
                )
                .advises(
                    "Set `app_env = \"production\"`.".into(),
                    "Задайте `app_env = \"production\"`.".into(),
                ),
        );
    }
    if found.is_empty() {
        found.push(Finding::good("settings").says(
            "The settings can be read and fit each other.".into(),
            "Настройки читаются и не противоречат друг другу.".into(),
        ));
    }
    found
}

/// How many bytes of packets wait where the server is busy for a moment.
pub fn buffers() -> Finding {
    let granted = Ports::bind(0, false).and_then(|ports| Ok(ports.datagrams.recv_buffer_size()?));
    match granted {
        Ok(granted) if granted >= SOCKET_BUFFER => Finding::good("buffers").says(
            format!("The media socket gets its buffer of {}.", kib(granted)),
            format!("Медиасокет получает буфер {}.", kib(granted)),
        ),
        Ok(granted) => Finding::care("buffers")
            .says(
                format!(
                    "The media socket gets a buffer of {} instead of {}: in a busy moment packets are lost, and pictures stop.",
                    kib(granted),
                    kib(SOCKET_BUFFER)
                ),
                format!(
                    "Медиасокет получает буфер {} вместо {}: в напряжённый момент пакеты теряются и картинка замирает.",
                    kib(granted),
                    kib(SOCKET_BUFFER)
                ),
            )
            .advises(
                format!(
                    "As root: sysctl -w net.core.rmem_max={0} net.core.wmem_max={0}; to keep it, write both into /etc/sysctl.d/veche.conf.",
                    SOCKET_BUFFER
                ),
                format!(
                    "От root: sysctl -w net.core.rmem_max={0} net.core.wmem_max={0}; чтобы сохранилось — запишите обе строки в /etc/sysctl.d/veche.conf.",
                    SOCKET_BUFFER
                ),
            ),
        Err(error) => Finding::bad("buffers").says(
            format!("No UDP socket can be made: {error:#}."),
            format!("Не удаётся создать сокет UDP: {error:#}."),
        ),
    }
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

/// Whether everybody who may come gets a file descriptor.
pub fn files(config: &Config) -> Finding {
    let Some(limit) = open_files::limit() else {
        return Finding::off("files").says(
            "The limit of open files cannot be read.".into(),
            "Предел открытых файлов не читается.".into(),
        );
    };
    file_limit(limit.now, u64::from(config.max_connections))
}

fn file_limit(limit: u64, connections: u64) -> Finding {
    // Beside connections: the database, recordings, what is served from files.
    let needed = connections + OTHER_FILES;
    if limit >= needed {
        return Finding::good("files").says(
            format!("{limit} files may be open, enough for {connections} connections."),
            format!("Можно открыть {limit} файлов — хватит на {connections} соединений."),
        );
    }
    let room = limit.saturating_sub(OTHER_FILES);
    let (en, ru) = (
        format!(
            "Only {limit} files may be open, and `max_connections` is {connections}: from about {room} connections on nobody gets in."
        ),
        format!(
            "Можно открыть только {limit} файлов, а `max_connections` = {connections}: примерно после {room} соединений никто не войдёт."
        ),
    );
    let found = if room < FEW { Finding::bad("files") } else { Finding::care("files") };
    found.says(en, ru).advises(
        format!(
            "Start it with a higher limit: `LimitNOFILE={needed}` in its systemd unit, `--ulimit nofile={needed}` for a container, `ulimit -n {needed}` in a shell."
        ),
        format!(
            "Запускайте с большим пределом: `LimitNOFILE={needed}` в юните systemd, `--ulimit nofile={needed}` для контейнера, `ulimit -n {needed}` в оболочке."
        ),
    )
}

/// Files beside connections.
const OTHER_FILES: u64 = 256;
/// Fewer connections than one large meeting.
const FEW: u64 = 200;

/// The clock, against what needs no foreign server: what is stored from earlier, the hardware's clock, and whether the
/// kernel is being told the time.
pub fn clock(config: &Config) -> Vec<Finding> {
    let now = SystemTime::now();
    let mut newest = modified(&std::env::current_exe().unwrap_or_default());
    for name in ["veche.db", "veche.db-wal", "secrets.toml", "lock"] {
        newest = newest.max(modified(&config.data_dir.join(name)));
    }
    let hardware = std::fs::read_to_string("/sys/class/rtc/rtc0/since_epoch").ok();
    let hardware = hardware.and_then(|text| text.trim().parse::<u64>().ok());
    let hardware = hardware.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    let mut found = vec![clock_against(now, newest, hardware)];
    if let Some(false) = is_synchronised() {
        found.push(
            Finding::care("clock_sync")
                .says(
                    "The kernel says that nothing keeps the clock right (no NTP), so it will drift.".into(),
                    "Ядро сообщает, что часы никто не подводит (нет NTP): со временем они уйдут.".into(),
                )
                .advises(
                    "Run chrony or systemd-timesyncd (`timedatectl set-ntp true`); in a container the host does it."
                        .into(),
                    "Запустите chrony или systemd-timesyncd (`timedatectl set-ntp true`); в контейнере это делает хост."
                        .into(),
                ),
        );
    }
    found
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn clock_against(
    now: SystemTime,
    newest: Option<SystemTime>,
    hardware: Option<SystemTime>,
) -> Finding {
    let advice = (
        "Set the clock and let NTP keep it: `timedatectl set-ntp true`. A wrong clock ends sign-ins at once and makes certificates and TURN credentials look over."
            .to_owned(),
        "Поставьте часы и включите NTP: `timedatectl set-ntp true`. При неверных часах вход обрывается сразу, а сертификаты и пропуска TURN кажутся просроченными."
            .to_owned(),
    );
    let behind = newest.and_then(|newest| newest.duration_since(now).ok());
    if let Some(behind) = behind.filter(|behind| *behind > CLOCK_TOLERANCE) {
        return Finding::bad("clock")
            .says(
                format!(
                    "The clock is {} behind: files of this server were written later than it shows now.",
                    span(behind)
                ),
                format!(
                    "Часы отстают на {}: файлы этого сервера записаны позже, чем они показывают.",
                    span_ru(behind)
                ),
            )
            .advises(advice.0, advice.1);
    }
    let apart = hardware
        .map(|hardware| now.duration_since(hardware).unwrap_or_else(|earlier| earlier.duration()));
    match apart {
        Some(apart) if apart > CLOCK_TOLERANCE => Finding::care("clock")
            .says(
                format!("The clock and the hardware's clock are {} apart.", span(apart)),
                format!("Системные и аппаратные часы расходятся на {}.", span_ru(apart)),
            )
            .advises(advice.0, advice.1),
        Some(_) => Finding::good("clock").says(
            "The clock agrees with the hardware's clock and with what is stored.".into(),
            "Часы согласны с аппаратными и с тем, что уже записано.".into(),
        ),
        None => Finding::good("clock").says(
            "The clock is not behind what is stored. There is no other clock here to compare it with."
                .into(),
            "Часы не отстают от того, что уже записано. Других часов для сравнения здесь нет.".into(),
        ),
    }
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 7_200 => format!("{} min", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn span_ru(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 7_200 => format!("{} мин", seconds / 60),
        seconds if seconds < 172_800 => format!("{} ч", seconds / 3_600),
        seconds => format!("{} дн.", seconds / 86_400),
    }
}

/// Access tokens and file systems are coarser than a few seconds.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(90);

/// Whether the kernel is being told the time; `None` where it does not say.
#[cfg(target_os = "linux")]
fn is_synchronised() -> Option<bool> {
    // SAFETY: all zeroes is a valid timex, and with no mode set the call only reads.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a local of the type that the call fills.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some(timex.status & libc::STA_UNSYNC == 0)
}

#[cfg(not(target_os = "linux"))]
fn is_synchronised() -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn a_clock_behind_what_is_stored_is_wrong_and_one_that_differs_is_told() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let days = |n: u64| Duration::from_secs(n * 86_400);
        assert_eq!(clock_against(now, Some(now + days(3)), None).level, Level::Bad);
        assert_eq!(clock_against(now, Some(now - days(3)), None).level, Level::Good);
        assert_eq!(clock_against(now, None, Some(now + days(1))).level, Level::Care);
        assert_eq!(clock_against(now, None, Some(now - days(1))).level, Level::Care);
        assert_eq!(clock_against(now, Some(now), Some(now)).level, Level::Good);
    }

    #[test]
    fn a_file_limit_is_judged_by_who_may_come() {
        assert_eq!(file_limit(65_536, 16_384).level, Level::Good);
        assert_eq!(file_limit(1_024, 16_384).level, Level::Care);
        assert_eq!(file_limit(256, 16_384).level, Level::Bad);
    }
}
