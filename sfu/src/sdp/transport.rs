//! Which m-lines share the one transport, and what the other end says about it.

use super::SdpError;
use super::description::{Description, Section, Setup, TransportLines};
use crate::credentials::{DtlsRole, Fingerprint, IceCredentials, RemoteParameters};

/// The transport of an SDP and the m-lines on it.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The other end.
    pub(super) remote: RemoteParameters,
    /// Indices of the m-lines on it, in order.
    pub(super) members: Vec<usize>,
    /// Mids for our `a=group:BUNDLE`, in the order of theirs; `None` where they said none.
    pub(super) mids: Option<Vec<String>>,
}

impl Bundle {
    /// Puts the usable m-lines on one transport. Those that would need another one are left out.
    pub(super) fn of(
        description: &Description,
        is_usable: impl Fn(usize) -> bool,
    ) -> Result<Self, SdpError> {
        let sections = &description.sections;
        let usable: Vec<usize> = (0..sections.len()).filter(|&index| is_usable(index)).collect();
        let place = |section: &Section| {
            let bundle = description.bundle.as_ref()?;
            section.has_mid.then(|| bundle.iter().position(|mid| *mid == section.mid))?
        };
        let head = usable
            .iter()
            .copied()
            .min_by_key(|&index| (place(&sections[index]).unwrap_or(usize::MAX), index))
            .ok_or(SdpError::NoMedia)?;
        let head_place = place(&sections[head]);
        // A bundle-only section leaves the transport to the first one of its group.
        let tagged = head_place.and_then(|_| {
            let first = description.bundle.as_ref()?.first()?;
            sections.iter().find(|section| section.mid == *first)
        });
        if description.is_ice_lite {
            return Err(SdpError::BothLite);
        }
        let levels = [
            Some(&sections[head].transport),
            Some(&description.session),
            tagged.map(|section| &section.transport),
        ];
        let levels = || levels.into_iter().flatten();
        let ice = levels().find_map(credentials).ok_or(SdpError::NoIce)?;
        let fingerprint: Fingerprint =
            levels().find_map(|lines| lines.fingerprint.clone()).ok_or(SdpError::NoFingerprint)?;
        let role = role(levels().find_map(|lines| lines.setup));
        if !levels().any(|lines| lines.has_rtcp_mux) {
            return Err(SdpError::NoRtcpMux { mid: sections[head].mid.clone() });
        }
        let mut members = Vec::with_capacity(usable.len());
        for index in usable {
            let section = &sections[index];
            let is_bundled = head_place.is_some() && place(section).is_some();
            let own = credentials(&section.transport).or_else(|| credentials(&description.session));
            if index == head || is_bundled || own.as_ref() == Some(&ice) {
                members.push(index);
            } else if description.bundle.is_none() {
                return Err(SdpError::NoBundle);
            }
        }
        let mids = description.bundle.is_some().then(|| {
            let mut placed: Vec<(usize, &str)> = members
                .iter()
                .filter_map(|&index| Some((place(&sections[index])?, sections[index].mid.as_str())))
                .collect();
            placed.sort_unstable();
            placed.into_iter().map(|(_, mid)| mid.to_owned()).collect()
        });
        Ok(Self { remote: RemoteParameters { ice, fingerprint, role }, members, mids })
    }

    /// Whether that m-line of the answer lists our candidates: the first of the group, and every
    /// one outside of it.
    pub(super) fn has_candidates(&self, section: &Section) -> bool {
        match &self.mids {
            Some(mids) if mids.contains(&section.mid) => mids.first() == Some(&section.mid),
            Some(_) | None => true,
        }
    }
}

/// Our role, whether they offer or answer. Browsers offer `actpass` and answer `active`; without
/// `a=setup`, active is meant (RFC 4145 §4).
fn role(theirs: Option<Setup>) -> DtlsRole {
    match theirs {
        Some(Setup::Passive) => DtlsRole::Client,
        Some(Setup::Active | Setup::Actpass) | None => DtlsRole::Server,
    }
}

fn credentials(lines: &TransportLines) -> Option<IceCredentials> {
    let is_usable = |text: &str, least: usize| {
        (least..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let (ufrag, pwd) = (lines.ufrag.as_ref()?, lines.pwd.as_ref()?);
    (is_usable(ufrag, 4) && is_usable(pwd, 22))
        .then(|| IceCredentials { ufrag: ufrag.clone(), pwd: pwd.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{AUDIO, SESSION, TRANSPORT, VIDEO, offer};
    use super::*;

    fn bundle(text: &str) -> Result<Bundle, SdpError> {
        let description = Description::read(text).unwrap();
        Bundle::of(&description, |index| description.sections[index].usable_kind().is_some())
    }

    fn without(text: &str, line: &str) -> String {
        let lines = text.lines().filter(|known| !known.starts_with(line));
        lines.fold(String::new(), |text, line| text + line + "\n")
    }

    #[test]
    fn roles_of_dtls_follow_their_setup() {
        for (setup, role) in [
            ("a=setup:actpass", DtlsRole::Server),
            ("a=setup:active", DtlsRole::Server),
            ("a=setup:passive", DtlsRole::Client),
            ("a=x-nothing", DtlsRole::Server),
        ] {
            let text = offer().replace("a=setup:actpass", setup);
            assert_eq!(bundle(&text).unwrap().remote.role, role, "{setup}");
        }
    }

    #[test]
    fn what_a_section_says_counts_more_than_what_the_session_says() {
        let whole = bundle(&offer()).unwrap().remote;
        let session_level = format!("{SESSION}{TRANSPORT}{AUDIO}{VIDEO}");
        assert_eq!(bundle(&session_level).unwrap().remote, whole);
        let both = format!(
            "{SESSION}{}{AUDIO}{TRANSPORT}{VIDEO}",
            TRANSPORT.replace("ufrag:", "ufrag:other")
        );
        assert_eq!(bundle(&both).unwrap().remote, whole);
    }

    #[test]
    fn a_bundle_only_section_uses_the_transport_of_the_first() {
        let text = format!(
            "{SESSION}{AUDIO}{TRANSPORT}{}a=bundle-only\n",
            VIDEO.replace("video 9", "video 0")
        );
        let found = bundle(&text).unwrap();
        assert_eq!(found.members, [0, 1]);
        let refused = text.replace("audio 9", "audio 0");
        let found = bundle(&refused).unwrap();
        assert_eq!(found.members, [1]);
        assert_eq!(found.mids, Some(vec!["v".to_owned()]));
    }

    #[test]
    fn without_bundle_sections_must_share_their_credentials() {
        let alone = without(&offer(), "a=group");
        let found = bundle(&alone).unwrap();
        assert_eq!((found.members, found.mids), (vec![0, 1], None));
        let mut apart = alone;
        let last = apart.rfind("ufrag:ufrag").unwrap();
        apart.insert_str(last + "ufrag:".len(), "other");
        assert_eq!(bundle(&apart).unwrap_err(), SdpError::NoBundle);
        let single = format!("v=0\n{AUDIO}{TRANSPORT}");
        assert_eq!(bundle(&single).unwrap().members, [0]);
    }

    #[test]
    fn a_section_outside_of_the_group_is_left_out() {
        let text = offer().replace("BUNDLE a v", "BUNDLE v");
        let last = text.rfind("ufrag:ufrag").unwrap();
        let text = format!("{}ufrag:other{}", &text[..last], &text[last + "ufrag:ufrag".len()..]);
        let found = bundle(&text).unwrap();
        assert_eq!((found.members, found.mids), (vec![1], Some(vec!["v".to_owned()])));
        assert_eq!(found.remote.ice.ufrag, "other");
    }

    #[test]
    fn the_group_names_each_member_once_in_their_order() {
        let found = bundle(&offer().replace("BUNDLE a v", "BUNDLE v a v ghost")).unwrap();
        assert_eq!(found.mids, Some(vec!["v".to_owned(), "a".to_owned()]));
        let description = Description::read(&offer()).unwrap();
        assert!(!found.has_candidates(&description.sections[0]));
        assert!(found.has_candidates(&description.sections[1]));
    }

    #[test]
    fn what_a_transport_needs_is_asked_for_in_words() {
        let mux = SdpError::NoRtcpMux { mid: "a".into() };
        for (line, error) in [
            ("a=ice-ufrag", SdpError::NoIce),
            ("a=ice-pwd", SdpError::NoIce),
            ("a=fingerprint", SdpError::NoFingerprint),
            ("a=rtcp-mux", mux),
            ("m=", SdpError::NoMedia),
        ] {
            assert_eq!(bundle(&without(&offer(), line)).unwrap_err(), error, "{line}");
        }
        let weak = offer().replace("sha-256", "sha-1");
        assert_eq!(bundle(&weak).unwrap_err(), SdpError::NoFingerprint);
        let short = offer().replace("password-of-22-letters", "short");
        assert_eq!(bundle(&short).unwrap_err(), SdpError::NoIce);
        let lite = offer().replace("t=0 0", "t=0 0\na=ice-lite");
        assert_eq!(bundle(&lite).unwrap_err(), SdpError::BothLite);
        let only = offer().replace("a=rtcp-mux", "a=rtcp-mux-only");
        assert!(bundle(&only).is_ok());
    }

    #[test]
    fn a_safe_fingerprint_beside_a_weak_one_is_found() {
        let text = offer().replace("a=fingerprint:", "a=fingerprint:md5 00:01\na=fingerprint:");
        assert_eq!(bundle(&text).unwrap().remote, bundle(&offer()).unwrap().remote);
    }
}
