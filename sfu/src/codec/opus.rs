//! Opus payloads (RFC 7587).

/// Whether the payload holds no sound: with DTX an encoder sends a frame of one or two bytes, or
/// nothing, while nobody speaks (RFC 6716 §2.1.9, RFC 7587 §3.1.3).
pub fn opus_is_silence(payload: &[u8]) -> bool {
    payload.len() <= 2
}

/// How much sound a packet holds, in ticks of 48 kHz, by its first bytes (RFC 6716 §3.1 and §3.2). `None` for one
/// that claims none, or more than the 120 ms that a packet may have.
pub fn duration(payload: &[u8]) -> Option<u32> {
    let &toc = payload.first()?;
    let frame = match toc >> 3 {
        config @ 0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1)? & 0x3f),
    };
    let ticks = frame * frames;
    (1..=MAX_DURATION).contains(&ticks).then_some(ticks)
}

/// 120 ms.
const MAX_DURATION: u32 = 5_760;

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
    fn the_first_byte_says_how_long_a_packet_is() {
        let ms = |payload: &[u8]| duration(payload).map(|ticks| ticks as f32 / 48.0);
        assert_eq!(ms(&[15 << 3]), Some(20.0), "hybrid, what browsers send of speech");
        assert_eq!(ms(&[31 << 3]), Some(20.0), "CELT");
        assert_eq!(ms(&[16 << 3]), Some(2.5));
        assert_eq!(ms(&[3 << 3 | 1]), Some(120.0), "two frames of 60 ms");
        assert_eq!(ms(&[1 << 3 | 3, 3]), Some(60.0), "three frames of 20 ms");
        assert_eq!(ms(&[1 << 3 | 3, 0]), None);
        assert_eq!(ms(&[1 << 3 | 3, 7]), None, "140 ms");
        assert_eq!(ms(&[1 << 3 | 3]), None);
        assert_eq!(ms(&[]), None);
    }
}
