//! Which RTP streams an m-line says it will send: `a=ssrc`, `a=ssrc-group`, `a=rid`, `a=simulcast`.

use super::description::{Section, is_token};

/// Streams of one m-line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Streams {
    /// Primary streams in the order they are named.
    pub(super) ssrcs: Vec<u32>,
    /// Primary streams with their retransmissions.
    pub(super) rtx_ssrcs: Vec<(u32, u32)>,
    /// Simulcast layers that are sent, in the order of `a=simulcast`.
    pub(super) rids: Vec<String>,
    /// Canonical name of the sender.
    pub(super) cname: Option<String>,
}

impl Streams {
    /// Reads them; what exceeds the bounds is left out, packets of it will be unknown.
    pub(super) fn read(section: &Section) -> Self {
        let mut ssrcs: Vec<u32> = Vec::new();
        let mut repairs: Vec<u32> = Vec::new();
        let mut rtx_ssrcs: Vec<(u32, u32)> = Vec::new();
        let mut cname = None;
        let mut add = |ssrc: u32| {
            if ssrc != 0 && ssrcs.len() < MAX_SSRCS && !ssrcs.contains(&ssrc) {
                ssrcs.push(ssrc);
            }
        };
        for value in section.values("ssrc") {
            let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
            if let Ok(ssrc) = ssrc.parse() {
                add(ssrc);
            }
            if let Some(name) = attribute.trim().strip_prefix("cname:")
                && cname.is_none()
                && name.len() <= MAX_CNAME_BYTES
            {
                cname = Some(name.to_owned());
            }
        }
        for value in section.values("ssrc-group") {
            let mut words = value.split_ascii_whitespace();
            let semantics = words.next().unwrap_or_default();
            let members: Vec<u32> =
                words.take(MAX_SSRCS).filter_map(|word| word.parse().ok()).collect();
            match (semantics, members.as_slice()) {
                // ffmpeg names the second only here, without an a=ssrc of its own.
                ("FID", &[primary, rtx]) if primary != rtx && rtx != 0 => {
                    add(primary);
                    repairs.push(rtx);
                    if rtx_ssrcs.len() < MAX_SSRCS && !rtx_ssrcs.iter().any(|r| r.0 == primary) {
                        rtx_ssrcs.push((primary, rtx));
                    }
                }
                ("FEC-FR", &[primary, fec]) => {
                    add(primary);
                    repairs.push(fec);
                }
                ("SIM", members) => members.iter().copied().for_each(&mut add),
                _ => {}
            }
        }
        repairs.truncate(MAX_SSRCS);
        ssrcs.retain(|ssrc| !repairs.contains(ssrc));
        rtx_ssrcs.retain(|(primary, _)| ssrcs.contains(primary));
        Self { ssrcs, rtx_ssrcs, rids: rids(section), cname }
    }
}

fn rids(section: &Section) -> Vec<String> {
    let sent: Vec<&str> = section
        .values("rid")
        .filter_map(|value| {
            let mut words = value.split_ascii_whitespace();
            let (rid, direction) = (words.next()?, words.next()?);
            (direction == "send" && rid.len() <= MAX_RID_BYTES && is_token(rid)).then_some(rid)
        })
        .take(MAX_RIDS)
        .collect();
    let Some(simulcast) = section.values("simulcast").next() else { return Vec::new() };
    let mut words = simulcast.split_ascii_whitespace().skip_while(|word| *word != "send").skip(1);
    // `q;~h;f,g`: layers by `;`, a paused one with `~`, alternatives of one layer by `,`.
    let mut rids: Vec<String> = Vec::new();
    for layer in words.next().unwrap_or_default().split(';') {
        let rid = layer.split(',').next().unwrap_or_default().trim_start_matches('~');
        if sent.contains(&rid) && !rids.iter().any(|known| known == rid) {
            rids.push(rid.to_owned());
        }
    }
    rids
}

/// Streams of one m-line. Three layers with retransmissions and FEC have nine.
const MAX_SSRCS: usize = 16;
/// Layers of one m-line. Browsers send three.
const MAX_RIDS: usize = 8;
/// Bytes of a rid; what the one-byte header extension holds.
const MAX_RID_BYTES: usize = 16;
/// Bytes of a CNAME. Browsers use 16 to 38, RTCP can carry 255.
const MAX_CNAME_BYTES: usize = 255;
