//! The certificate: for how long, for which names, and with its chain.

use super::addresses::host_of;
use super::report::Finding;
use crate::config::Config;
use crate::tls::{self, Tls};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What the settings say about HTTPS.
pub fn examine(config: &Config) -> Vec<Finding> {
    match &config.tls {
        Tls::Off => vec![Finding::off("certificate").says(
            "The server speaks plain HTTP (`tls = \"off\"`): it has no certificate of its own.".into(),
            "Сервер говорит по обычному HTTP (`tls = \"off\"`): своего сертификата у него нет.".into(),
        )],
        Tls::SelfSigned => vec![Finding::off("certificate").says(
            "The certificate is self-signed: browsers warn once, people compare its fingerprint with the one printed at start.".into(),
            "Сертификат самоподписанный: браузеры один раз предупредят, люди сверяют отпечаток с напечатанным при запуске.".into(),
        )],
        Tls::Acme(acme) => vec![Finding::off("certificate").says(
            format!("The certificate for {} is asked for and renewed by itself (ACME); TCP port 443 must lead here. `--url` tests what people see.", acme.names.join(", ")),
            format!("Сертификат для {} запрашивается и продлевается сам (ACME); порт TCP 443 должен вести сюда. Что видят люди, проверит `--url`.", acme.names.join(", ")),
        )],
        Tls::Files { certificate, key } => match tls::read(certificate, key) {
            Err(error) => vec![
                Finding::bad("certificate")
                    .says(
                        format!("The certificate cannot be used: {error:#}."),
                        format!("Сертификат нельзя использовать: {error:#}."),
                    )
                    .advises(
                        "Name the file with the whole chain (`fullchain.pem`) and its own private key (`privkey.pem`), readable by the server's user.".into(),
                        "Укажите файл со всей цепочкой (`fullchain.pem`) и её закрытый ключ (`privkey.pem`), доступные пользователю сервера.".into(),
                    ),
            ],
            Ok(certified) => {
                let mut names = config.tls_names.clone();
                names.extend(host_of(config.public_url.as_deref()));
                vec![judge(&certified.cert, &names, SystemTime::now())]
            }
        },
    }
}

/// What is wrong with a chain, as people who use these names meet it.
pub fn judge(chain: &[CertificateDer<'_>], names: &[String], now: SystemTime) -> Finding {
    let Some(first) = chain.first() else {
        return Finding::bad("certificate")
            .says("There is no certificate.".into(), "Сертификата нет.".into());
    };
    let Ok((_, parsed)) = X509Certificate::from_der(first) else {
        return Finding::bad("certificate")
            .says("The certificate cannot be read.".into(), "Сертификат не читается.".into());
    };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
    let (begins, ends) =
        (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    let days = (ends - now).div_euclid(86_400);
    if now >= ends {
        return over(-days);
    }
    if now < begins {
        return Finding::bad("certificate")
            .says(
                "The certificate begins later than now.".into(),
                "Сертификат начнёт действовать позже, чем сейчас.".into(),
            )
            .advises(
                "Look at this machine's clock first.".into(),
                "Сначала проверьте часы этой машины.".into(),
            );
    }
    if let Some(name) = names.iter().find(|name| !is_for(first, name)) {
        return other_name(name);
    }
    let is_own_authority = parsed.issuer() == parsed.subject();
    if chain.len() == 1 && !is_own_authority {
        return Finding::care("certificate")
            .says(
                "The certificate comes without its chain: some programs and phones will not believe it.".into(),
                "Сертификат без цепочки: часть программ и телефонов ему не поверит.".into(),
            )
            .advises(
                "Name the file with the whole chain, `fullchain.pem` with most authorities.".into(),
                "Укажите файл со всей цепочкой — обычно это `fullchain.pem`.".into(),
            );
    }
    let subjects: Vec<_> = chain
        .iter()
        .filter_map(|certificate| X509Certificate::from_der(certificate).ok())
        .map(|(_, certificate)| {
            (certificate.subject().to_string(), certificate.issuer().to_string())
        })
        .collect();
    if subjects.windows(2).any(|pair| pair[0].1 != pair[1].0) {
        return Finding::care("certificate")
            .says(
                "The chain is out of order: each certificate must be followed by that of whoever vouches for it.".into(),
                "Цепочка не по порядку: за каждым сертификатом должен идти сертификат того, кто за него ручается.".into(),
            )
            .advises(
                "Take the file as the authority gives it, ours first.".into(),
                "Возьмите файл таким, каким его выдал удостоверяющий центр: наш сертификат первый.".into(),
            );
    }
    if days < SOON_DAYS {
        return Finding::care("certificate")
            .says(
                format!("The certificate ends in {days} days."),
                format!("Сертификат закончится через {days} дн."),
            )
            .advises(
                "Look why it was not renewed; authorities renew a month before.".into(),
                "Выясните, почему он не продлён: обычно это делают за месяц.".into(),
            );
    }
    Finding::good("certificate").says(
        format!("The certificate is good for {days} more days."),
        format!("Сертификат действует ещё {days} дн."),
    )
}

/// A certificate whose time is over.
pub fn over(days: i64) -> Finding {
    Finding::bad("certificate")
        .says(
            format!("The certificate ended {days} days ago: browsers let nobody in."),
            format!("Сертификат закончился {days} дн. назад: браузеры никого не пускают."),
        )
        .advises(
            "Renew it and put it in its place; the server reads it again by itself. With `tls = \"acme\"` it renews itself.".into(),
            "Продлите его и положите на место: сервер перечитает сам. При `tls = \"acme\"` он продлевается сам.".into(),
        )
}

/// A certificate for somebody else.
pub fn other_name(name: &str) -> Finding {
    Finding::bad("certificate")
        .says(
            format!(
                "The certificate is not for {name}: browsers warn everybody who comes by that name."
            ),
            format!(
                "Сертификат не на {name}: браузеры предупредят каждого, кто придёт по этому имени."
            ),
        )
        .advises(
            format!("Get one that names {name}, or correct `public_url`."),
            format!("Получите сертификат с именем {name} или исправьте `public_url`."),
        )
}

fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else { return false };
    ParsedCertificate::try_from(certificate)
        .is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
}

/// Authorities renew a month before; whoever is later has forgotten something.
const SOON_DAYS: i64 = 14;

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use std::time::Duration;

    fn at(year: i32) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(date_time_ymd(year, 6, 1).unix_timestamp() as u64)
    }

    fn chain(name: &str) -> Vec<CertificateDer<'static>> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2031, 6, 8);
        let key = KeyPair::generate().expect("a key");
        vec![params.self_signed(&key).expect("a certificate").der().clone()]
    }

    #[test]
    fn what_browsers_refuse_is_told_before_they_do() {
        let chain = chain("meet.example.org");
        let level = |year, name: &str| judge(&chain, &[name.to_owned()], at(year)).level;
        assert_eq!(level(2030, "meet.example.org"), Level::Good);
        assert_eq!(level(2031, "meet.example.org"), Level::Care, "a week is left");
        assert_eq!(level(2032, "meet.example.org"), Level::Bad, "over");
        assert_eq!(level(2029, "meet.example.org"), Level::Bad, "not yet");
        assert_eq!(level(2030, "other.example.org"), Level::Bad, "another's");
    }
}
