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
const MAX_RIDS: usize = crate::track::MAX_ENCODINGS;
/// Bytes of a rid; what the one-byte header extension holds.
const MAX_RID_BYTES: usize = 16;
/// Bytes of a CNAME. Browsers use 16 to 38, RTCP can carry 255.
const MAX_CNAME_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use super::super::description::Description;
    use super::*;

    fn streams(lines: &str) -> Streams {
        let text = format!("v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96\n{lines}");
        Streams::read(&Description::read(&text).unwrap().sections[0])
    }

    #[test]
    fn repairs_are_no_primary_streams() {
        let found = streams(
            "a=ssrc-group:FID 1 2\na=ssrc-group:FEC-FR 1 3\na=ssrc:1 cname:somebody\na=ssrc:2 cname:x\na=ssrc:3\n",
        );
        assert_eq!(found.ssrcs, [1]);
        assert_eq!(found.rtx_ssrcs, [(1, 2)]);
        assert_eq!(found.cname.as_deref(), Some("somebody"));
    }

    #[test]
    fn groups_alone_name_streams() {
        let found =
            streams("a=ssrc-group:SIM 1 2 3\na=ssrc-group:FID 1 11\na=ssrc-group:FID 2 12\n");
        assert_eq!(found.ssrcs, [1, 2, 3]);
        assert_eq!(found.rtx_ssrcs, [(1, 11), (2, 12)]);
    }

    #[test]
    fn nonsense_names_nothing() {
        let found = streams(
            "a=ssrc:0 cname:x\na=ssrc:-1\na=ssrc:4294967296 x\na=ssrc-group:FID 5\na=ssrc-group:FID 6 6\n\
             a=ssrc-group:FID 7 8 9\na=ssrc-group\na=rid\na=rid:q\na=simulcast\n",
        );
        assert_eq!(found, Streams { cname: Some("x".into()), ..Streams::default() });
    }

    #[test]
    fn layers_come_in_the_order_of_simulcast() {
        let rids = "a=rid:f send\na=rid:q send pt=96\na=rid:h send\na=rid:r recv\n";
        let simulcast = |value: &str| streams(&format!("{rids}a=simulcast:{value}\n")).rids;
        assert_eq!(simulcast("send q;~h,f;f"), ["q", "h", "f"]);
        assert_eq!(simulcast("recv r send f;q;f;ghost"), ["f", "q"]);
        assert_eq!(simulcast("recv r"), [""; 0]);
        assert_eq!(streams(rids).rids, [""; 0], "rids alone are no simulcast");
    }

    #[test]
    fn streams_are_bounded() {
        let many = (1..100)
            .map(|ssrc| format!("a=ssrc:{ssrc} cname:x\na=ssrc-group:FID {ssrc} {}\n", ssrc + 500));
        let found = streams(&many.collect::<String>());
        assert_eq!((found.ssrcs.len(), found.rtx_ssrcs.len()), (MAX_SSRCS, MAX_SSRCS));
        let rids: String = (0..100).map(|i| format!("a=rid:{i} send\n")).collect();
        let all = (0..100).map(|i| i.to_string()).collect::<Vec<_>>().join(";");
        assert_eq!(streams(&format!("{rids}a=simulcast:send {all}\n")).rids.len(), MAX_RIDS);
    }
}
