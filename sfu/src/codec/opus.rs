//! Opus payloads, alone (RFC 7587) and with redundancy (RFC 2198).

/// Whether the payload holds no sound: with DTX an encoder sends a frame of one or two bytes, or
/// nothing, while nobody speaks (RFC 6716 §2.1.9, RFC 7587 §3.1.3).
pub fn opus_is_silence(payload: &[u8]) -> bool {
    payload.len() <= 2
}

/// The newest frame of a RED payload: its primary block. `None` if a block does not fit.
pub fn red_primary(payload: &[u8]) -> Option<&[u8]> {
    let mut rest = payload;
    let mut redundant = 0;
    loop {
        let first = *rest.first()?;
        if first & 0x80 == 0 {
            return rest.get(1 + redundant..);
        }
        let (header, after) = rest.split_first_chunk::<4>()?;
        redundant += usize::from(u16::from_be_bytes([header[2], header[3]]) & 0x03ff);
        rest = after;
    }
}
