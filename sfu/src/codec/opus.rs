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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_up_to_two_bytes_are_silence() {
        assert!(opus_is_silence(&[]));
        assert!(opus_is_silence(&[0x78]));
        assert!(opus_is_silence(&[0x78, 0x00]));
        assert!(!opus_is_silence(&[0x78, 0x00, 0x00]));
    }

    #[test]
    fn the_primary_block_stands_behind_the_redundant_ones() {
        let alone = [111, 1, 2, 3];
        assert_eq!(red_primary(&alone), Some(&[1, 2, 3][..]));
        // One redundant block: 960 samples earlier, 2 bytes.
        let redundant = [0x80 | 111, 0x0f, 0x00, 2, 111, 9, 9, 1, 2, 3];
        assert_eq!(red_primary(&redundant), Some(&[1, 2, 3][..]));
        for end in 0..7 {
            assert_eq!(red_primary(&redundant[..end]), None, "{end}");
        }
        assert_eq!(red_primary(&redundant[..7]), Some(&[][..]));
    }
}
