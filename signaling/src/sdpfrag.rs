//! SDP fragments (RFC 8840), by which WHIP and WHEP clients tell of candidates and restart ICE. The server is ICE-lite: it
//! needs no candidates of theirs and sends checks to none, so of a fragment only the credentials count.

use std::fmt::Write as _;

/// Media type of a fragment.
pub(crate) const SDPFRAG: &str = "application/trickle-ice-sdpfrag";

/// ICE credentials of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub pwd: String,
}

/// Reads the credentials of a fragment; why not, where it is none.
pub(crate) fn read(fragment: &str) -> Result<Credentials, &'static str> {
    let mut ufrag: Option<&str> = None;
    let mut pwd: Option<&str> = None;
    for line in lines(fragment) {
        if line.as_bytes().get(1) != Some(&b'=') {
            return Err("a line of the fragment is not of the form x=…");
        }
        for (name, slot) in [("a=ice-ufrag:", &mut ufrag), ("a=ice-pwd:", &mut pwd)] {
            if let Some(value) = line.strip_prefix(name) {
                // Each m-line may repeat them; with BUNDLE all are the same.
                if slot.is_some_and(|known| known != value) {
                    return Err("the fragment has several sets of ICE credentials");
                }
                *slot = Some(value);
            }
        }
    }
    let (Some(ufrag), Some(pwd)) = (ufrag, pwd) else {
        return Err("the fragment has no ICE credentials");
    };
    let is_ice = |text: &str, least: usize| {
        let is_char = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        (least..=MAX_ICE_CHARS).contains(&text.len()) && text.chars().all(is_char)
    };
    if !is_ice(ufrag, MIN_UFRAG_CHARS) || !is_ice(pwd, MIN_PWD_CHARS) {
        return Err("the fragment's ICE credentials are none (RFC 8839 §5.4)");
    }
    Ok(Credentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
}

/// The first ICE credentials of an SDP.
pub(crate) fn credentials_of(sdp: &str) -> Option<Credentials> {
    let value = |name| lines(sdp).find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    Some(Credentials { ufrag: value("a=ice-ufrag:")?, pwd: value("a=ice-pwd:")? })
}

/// The same SDP with other credentials.
pub(crate) fn with_credentials(sdp: &str, credentials: &Credentials) -> String {
    let mut out = String::with_capacity(sdp.len() + 64);
    for line in lines(sdp) {
        if line.starts_with("a=ice-ufrag:") {
            let _ = write!(out, "a=ice-ufrag:{}\r\n", credentials.ufrag);
        } else if line.starts_with("a=ice-pwd:") {
            let _ = write!(out, "a=ice-pwd:{}\r\n", credentials.pwd);
        } else {
            let _ = write!(out, "{line}\r\n");
        }
    }
    out
}

/// What an answer says of ICE, as a fragment: the server's credentials and candidates, on the first m-line.
pub(crate) fn of_answer(answer: &str) -> Option<String> {
    let Credentials { ufrag, pwd } = credentials_of(answer)?;
    let media = lines(answer).find(|line| line.starts_with("m="))?;
    let mut out = format!("a=ice-lite\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n{media}\r\n");
    let first = lines(answer).skip_while(|line| !line.starts_with("m=")).skip(1);
    for line in first.take_while(|line| !line.starts_with("m=")) {
        if line.starts_with("a=mid:") || line.starts_with("a=candidate:") {
            let _ = write!(out, "{line}\r\n");
        }
    }
    out.push_str("a=end-of-candidates\r\n");
    Some(out)
}

/// The entity tag of the ICE session that an answer begins.
pub(crate) fn tag_of(answer: &str) -> String {
    let ufrag = credentials_of(answer).map(|credentials| credentials.ufrag).unwrap_or_default();
    format!("\"{ufrag}\"")
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.is_empty())
}

/// RFC 8839 §5.4.
const MIN_UFRAG_CHARS: usize = 4;
const MIN_PWD_CHARS: usize = 22;
const MAX_ICE_CHARS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PWD: &str = "0123456789abcdefghijkl";

    #[test]
    fn a_fragment_tells_the_credentials_that_all_its_lines_share() {
        let text = format!(
            "a=ice-ufrag:EsAw\r\na=ice-pwd:{PWD}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
             a=ice-ufrag:EsAw\r\na=ice-pwd:{PWD}\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n\
             a=end-of-candidates\r\n"
        );
        let read = read(&text).unwrap();
        assert_eq!((read.ufrag.as_str(), read.pwd.as_str()), ("EsAw", PWD));
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        let two = format!("a=ice-ufrag:EsAw\na=ice-pwd:{PWD}\na=ice-ufrag:Other\n");
        let short = format!("a=ice-ufrag:Es\na=ice-pwd:{PWD}\n");
        let odd = format!("a=ice-ufrag:Es w\na=ice-pwd:{PWD}\n");
        let open = "a=ice-ufrag:EsAw\na=ice-pwd:short\n";
        for text in ["", "{}", "a=mid:0\n", "a=ice-ufrag:EsAw\n", &two, &short, &odd, open] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_offer_is_repeated_with_other_credentials() {
        let offer = "v=0\nm=audio 9 X 0\na=ice-ufrag:old1\na=ice-pwd:old\nm=video 9 X 0\na=ice-ufrag:old1\na=ice-pwd:old\n";
        let new = Credentials { ufrag: "new1".into(), pwd: PWD.into() };
        let again = with_credentials(offer, &new);
        assert_eq!(credentials_of(&again), Some(new));
        assert_eq!(again.matches("new1").count(), 2);
        assert!(!again.contains("old"));
        assert_eq!(again.lines().count(), offer.lines().count());
    }

    #[test]
    fn an_answer_as_a_fragment_has_its_first_candidates_and_no_more() {
        let answer = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
             a=ice-ufrag:serv\r\na=ice-pwd:secret\r\na=fingerprint:sha-256 AA\r\n\
             a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\nm=video 9 X 96\r\na=mid:1\r\n";
        let fragment = "a=ice-lite\r\na=ice-ufrag:serv\r\na=ice-pwd:secret\r\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
             a=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(of_answer(answer).as_deref(), Some(fragment));
        assert_eq!(tag_of(answer), "\"serv\"");
        assert_eq!(of_answer("v=0\r\n"), None);
    }

    proptest! {
        #[test]
        fn nothing_that_anybody_sends_breaks_it(text in "(a=ice-(ufrag|pwd):[ -~]{0,30}\r?\n|[ -~]{0,20}\n){0,8}") {
            if let Ok(credentials) = read(&text) {
                prop_assert!(!with_credentials("a=ice-ufrag:x\n", &credentials).contains("ufrag:x"));
            }
        }
    }
}
