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
