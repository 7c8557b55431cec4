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
