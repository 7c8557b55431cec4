//! H.264 payloads (RFC 6184).

/// Whether the packet begins a keyframe: it holds a sequence parameter set or the first slice of
/// an IDR picture, alone, aggregated (STAP-A) or as the first fragment (FU-A).
pub fn is_keyframe(payload: &[u8]) -> bool {
    let Some((header, rest)) = payload.split_first() else { return false };
    match header & TYPE {
        STAP_A => units(rest).any(begins_keyframe),
        FU_A => match rest.split_first() {
            Some((fragment, slice)) => fragment & START != 0 && is_key_unit(fragment & TYPE, slice),
            None => false,
        },
        _ => begins_keyframe(payload),
    }
}

fn begins_keyframe(unit: &[u8]) -> bool {
    unit.split_first().is_some_and(|(header, rest)| is_key_unit(header & TYPE, rest))
}

fn is_key_unit(unit_type: u8, rest: &[u8]) -> bool {
    match unit_type {
        SEQUENCE_PARAMETERS => true,
        // first_mb_in_slice is Exp-Golomb coded: a leading one bit is 0, the picture's first slice.
        IDR_SLICE => rest.first().is_some_and(|first| first & 0x80 != 0),
        _ => false,
    }
}

/// The units of a STAP-A. Ends at the first that does not fit.
fn units(aggregate: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = aggregate;
    std::iter::from_fn(move || {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (unit, next) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        rest = next;
        Some(unit)
    })
}

const TYPE: u8 = 0x1f;
const START: u8 = 0x80;
const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETERS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0x67, 0x42];
    const PPS: &[u8] = &[0x68, 0xce];
    /// first_mb_in_slice 0, and another.
    const IDR: &[u8] = &[0x65, 0x88];
    const IDR_NEXT_SLICE: &[u8] = &[0x65, 0x48];
    const INTER: &[u8] = &[0x41, 0x9a];

    fn aggregate(units: &[&[u8]]) -> Vec<u8> {
        let mut payload = vec![0x78];
        for unit in units {
            payload.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            payload.extend_from_slice(unit);
        }
        payload
    }

    #[test]
    fn parameter_sets_and_the_first_idr_slice_begin_a_keyframe() {
        assert!(is_keyframe(SPS));
        assert!(is_keyframe(IDR));
        assert!(!is_keyframe(PPS));
        assert!(!is_keyframe(INTER));
        assert!(!is_keyframe(IDR_NEXT_SLICE));
    }

    #[test]
    fn so_they_do_inside_an_aggregate() {
        assert!(is_keyframe(&aggregate(&[SPS, PPS])));
        assert!(is_keyframe(&aggregate(&[PPS, IDR])));
        assert!(!is_keyframe(&aggregate(&[PPS, INTER])));
        let mut cut = aggregate(&[PPS, IDR]);
        cut.pop();
        assert!(!is_keyframe(&cut), "a unit that does not fit");
    }

    #[test]
    fn of_the_fragments_only_the_first_begins_it() {
        assert!(is_keyframe(&[0x7c, 0x85, 0x88]));
        assert!(!is_keyframe(&[0x7c, 0x05, 0x88]), "a middle fragment");
        assert!(!is_keyframe(&[0x7c, 0x45, 0x88]), "the last fragment");
        assert!(!is_keyframe(&[0x7c, 0x81, 0x88]), "an inter slice");
        assert!(!is_keyframe(&[0x7c, 0x85, 0x48]), "a later slice");
    }
}
