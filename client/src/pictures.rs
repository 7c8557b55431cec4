//! Pictures of one colour, which every VP8 decoder shows: so whoever looks at a made-up sender sees whose picture it is.
//!
//! Each file of `client/pictures` holds a keyframe for each colour, and one picture that leaves everything as it was, whatever
//! that is. ffmpeg made them, a keyframe from the first and the other from the sixth frame of
//! `ffmpeg -f lavfi -i color=c=COLOUR:s=SIZE -frames:v 12 -c:v libvpx -error-resilient default -auto-alt-ref 0 …`.

use std::sync::LazyLock;

/// Colours as red, green and blue; the encoder is off by one or two.
pub const COLOURS: [[u8; 3]; 12] = [
    [0xd0, 0x20, 0x20],
    [0x20, 0xa0, 0x40],
    [0x20, 0x50, 0xd0],
    [0xd0, 0xa0, 0x10],
    [0x80, 0x30, 0xc0],
    [0x10, 0xa0, 0xb0],
    [0xe0, 0x60, 0x10],
    [0x70, 0x70, 0x70],
    [0xd0, 0x40, 0x90],
    [0x60, 0xb0, 0x20],
    [0x10, 0x30, 0x60],
    [0xe0, 0xe0, 0xe0],
];

/// How large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 160 × 90.
    Small,
    /// 320 × 180.
    Middle,
    /// 640 × 360.
    Large,
}

impl Size {
    /// Every size, the smallest first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Middle, Self::Large];

    /// A picture that needs none before it, in one of the [`COLOURS`]; their numbers begin anew behind the last.
    pub fn keyframe(self, colour: usize) -> &'static [u8] {
        FILMS[self as usize][colour % COLOURS.len()]
    }

    /// The same picture once more, whatever it was.
    pub fn following(self) -> &'static [u8] {
        FILMS[self as usize][COLOURS.len()]
    }
}

static FILMS: LazyLock<[Vec<&'static [u8]>; 3]> = LazyLock::new(|| {
    [
        frames(include_bytes!("../pictures/160x90.ivf")),
        frames(include_bytes!("../pictures/320x180.ivf")),
        frames(include_bytes!("../pictures/640x360.ivf")),
    ]
});

/// The frames of an IVF file: a header of 32 bytes, then each with its length and time in front.
fn frames(file: &'static [u8]) -> Vec<&'static [u8]> {
    let mut rest = &file[32..];
    let mut frames = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let (frame, next) = behind[8..].split_at(u32::from_le_bytes(*length) as usize);
        frames.push(frame);
        rest = next;
    }
    assert_eq!(frames.len(), COLOURS.len() + 1, "each colour, and one that changes nothing");
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_keyframe_of_each_size_and_colour_and_a_picture_to_follow_it() {
        for (size, (width, height)) in
            Size::ALL.into_iter().zip([(160, 90), (320, 180), (640, 360)])
        {
            for colour in 0..COLOURS.len() {
                let frame = size.keyframe(colour);
                // RFC 6386 §9.1: a tag whose lowest bit is 0, the start code, width and height.
                assert_eq!((frame[0] & 1, &frame[3..6]), (0, &[0x9d, 0x01, 0x2a][..]));
                let number = |at: usize| u16::from_le_bytes([frame[at], frame[at + 1]]);
                assert_eq!((number(6), number(8)), (width, height));
                assert!(frame.len() < 500, "it fits into one packet");
            }
            assert_eq!(size.following()[0] & 1, 1);
        }
        assert_eq!(Size::Small.keyframe(1), Size::Small.keyframe(13));
        assert_ne!(Size::Small.keyframe(1), Size::Small.keyframe(2));
    }
}
