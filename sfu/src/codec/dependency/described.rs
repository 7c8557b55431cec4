//! A descriptor as receivers get it: its publisher's, with the numbers of their slot, and which layers they are sent.

use super::bits::{Reader, put};
use super::{Descriptor, FLAG_BITS, MANDATORY_BITS, MAX_TEMPLATES, Structure};
use crate::codec::Layer;

/// An extension element holds no more.
const MAX_BYTES: usize = 255;
/// Which flag says that active targets follow, and where the offset of a structure's templates stands.
const ACTIVE_FLAG: usize = MANDATORY_BITS + 1;
const OFFSET_AT: usize = MANDATORY_BITS + FLAG_BITS;

/// The descriptor of one packet, read once for all who get it.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    extension: &'a [u8],
    descriptor: Descriptor,
    /// What each target shows, and which of them the publisher sends.
    targets: &'a [Layer],
    active: u32,
    /// Where active targets stand, or would.
    active_at: usize,
    /// Of the structure in it: id of the first template, and of the one after the last.
    templates: Option<(u8, u8)>,
}

/// How a publisher's numbers become a slot's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// Of frame numbers.
    pub frame: u16,
    /// Of template ids: those of a new structure must not be those of the one before.
    pub template: u8,
}

/// A descriptor on its way to one receiver.
#[derive(Clone, Copy, Debug)]
pub struct Rewritten {
    bytes: [u8; MAX_BYTES],
    length: usize,
}

impl<'a> Described<'a> {
    /// Reads an extension; `None` for one that is too short or too long. `structures` are the newest of its stream,
    /// `active` the targets that are sent since. One whose structure is not here says its numbers all the same.
    pub fn new(
        extension: &'a [u8],
        structures: impl IntoIterator<Item = &'a Structure>,
        active: u32,
    ) -> Option<Self> {
        let descriptor = Descriptor::parse(extension).filter(|_| extension.len() <= MAX_BYTES)?;
        let first = descriptor
            .has_structure
            .then(|| Some(Reader::new(extension, OFFSET_AT).take(6)? as u8))
            .map(Option::unwrap_or_default);
        let structure = structures.into_iter().find(|structure| match first {
            Some(first) => structure.offset == first,
            None => structure.template(descriptor.template).is_some(),
        });
        Some(Self {
            extension,
            descriptor,
            targets: structure.map_or(&[], |structure| &structure.targets),
            active: structure.and_then(|s| s.active(extension)).unwrap_or(active),
            active_at: match structure {
                Some(structure) if descriptor.has_structure => structure.end,
                _ => OFFSET_AT,
            },
            templates: first.map(|first| (first, structure.map_or(first, Structure::next))),
        })
    }

    /// The shift with which its stream follows what a slot has told: number of the newest frame, and the template
    /// id after the last of the newest structure.
    pub fn shift_behind(&self, (frame, next): (u16, u8)) -> Shift {
        let first = self.templates.map_or(self.descriptor.template, |(first, _)| first);
        Shift {
            frame: frame.wrapping_add(1).wrapping_sub(self.descriptor.frame_number),
            template: next.wrapping_sub(first) % MAX_TEMPLATES as u8,
        }
    }

    /// What its slot has told with it, after `before`.
    pub fn last_told(&self, shift: Shift, before: (u16, u8)) -> (u16, u8) {
        let next = self.templates.map_or(before.1, |(_, next)| shifted(next, shift.template));
        (self.descriptor.frame_number.wrapping_add(shift.frame), next)
    }

    /// Writes it for a receiver that gets all layers up to `shown`; it is not told which they are where that
    /// is `None`.
    #[inline(never)]
    pub fn rewrite(&self, shift: Shift, shown: Option<Layer>) -> Rewritten {
        let mut rewritten = Rewritten { bytes: [0; MAX_BYTES], length: self.extension.len() };
        let bytes = &mut rewritten.bytes;
        bytes[..self.extension.len()].copy_from_slice(self.extension);
        let template = shifted(self.descriptor.template, shift.template);
        bytes[0] = bytes[0] & !(MAX_TEMPLATES as u8 - 1) | template;
        let frame = self.descriptor.frame_number.wrapping_add(shift.frame);
        bytes[1..3].copy_from_slice(&frame.to_be_bytes());
        if let Some((first, _)) = self.templates {
            put(bytes, OFFSET_AT, shifted(first, shift.template).into(), 6);
        }
        // One target is sent or nothing is.
        if let Some(shown) = shown.filter(|_| self.targets.len() > 1) {
            self.write_active(self.active_for(shown), &mut rewritten);
        }
        rewritten
    }

    /// Which of the targets that are sent a receiver can show.
    fn active_for(&self, shown: Layer) -> u32 {
        let is_shown =
            |target: &Layer| target.spatial <= shown.spatial && target.temporal <= shown.temporal;
        let targets = self.targets.iter().enumerate().filter(|(_, target)| is_shown(target));
        let passing = targets.fold(0, |mask, (at, _)| mask | 1 << at);
        if self.active & passing == 0 { passing } else { self.active & passing }
    }

    /// Writes which targets are sent, over what stands there or in front of what follows.
    fn write_active(&self, active: u32, rewritten: &mut Rewritten) {
        let count = self.targets.len();
        if self.descriptor.has_active {
            put(&mut rewritten.bytes, self.active_at, active, count);
            return;
        }
        // A short one has no flags yet; what follows them moves on.
        let end = (self.extension.len() * 8).max(self.active_at);
        let length = (end + count).div_ceil(8);
        if length > MAX_BYTES {
            return;
        }
        let mut rest = Reader::new(self.extension, self.active_at);
        put(&mut rewritten.bytes, ACTIVE_FLAG, 1, 1);
        put(&mut rewritten.bytes, self.active_at, active, count);
        let mut at = self.active_at + count;
        while let Some(bit) = rest.take(1) {
            put(&mut rewritten.bytes, at, bit, 1);
            at += 1;
        }
        rewritten.length = length;
    }
}

impl Structure {
    /// The template id after its last.
    fn next(&self) -> u8 {
        shifted(self.offset, self.templates.len() as u8)
    }
}

impl Rewritten {
    /// The content of the extension.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn shifted(template: u8, by: u8) -> u8 {
    template.wrapping_add(by) % MAX_TEMPLATES as u8
}

#[cfg(test)]
mod tests {
    use super::super::tests::{packed, two_layers, two_sizes};
    use super::*;
    use proptest::prelude::*;

    const ALL: Layer = Layer { spatial: u8::MAX, temporal: u8::MAX };

    fn rewritten(extension: &[u8], shift: Shift, shown: Option<Layer>) -> Vec<u8> {
        let keyframe = two_sizes();
        let structure = Structure::parse(&keyframe).unwrap();
        let described = Described::new(extension, [&structure], u32::MAX).unwrap();
        described.rewrite(shift, shown).bytes().to_vec()
    }

    #[test]
    fn a_short_descriptor_grows_by_the_layers_that_are_sent() {
        let shift = Shift { frame: 3, template: 62 };
        let frame = [0xc2, 0xff, 0xfe];
        assert_eq!(rewritten(&frame, shift, None), [0xc0, 0x00, 0x01]);
        assert_eq!(rewritten(&frame, Shift::default(), Some(ALL)), [0xc2, 0xff, 0xfe, 0b0100_0110]);
        let small = Some(Layer { spatial: 0, temporal: 0 });
        assert_eq!(
            rewritten(&frame, Shift::default(), small),
            [0xc2, 0xff, 0xfe, 0b0100_0010],
            "the first target alone"
        );
    }

    #[test]
    fn what_a_frame_says_of_itself_moves_behind_the_layers() {
        // Differences of its own: five frames, and no more.
        let mut frame = vec![0x01, 0, 7];
        frame.extend(packed(&[(0b00010, 5), (0b01, 2), (4, 4), (0, 2)]));
        let told = rewritten(&frame, Shift::default(), Some(ALL));
        let mut expected = vec![0x01, 0, 7];
        expected.extend(packed(&[(0b01010, 5), (0b11, 2), (0b01, 2), (4, 4), (0, 2)]));
        expected.resize(told.len(), 0);
        assert_eq!(told, expected);
    }

    #[test]
    fn layers_that_the_publisher_does_not_send_are_not_sent_on() {
        let mut frame = vec![0x01, 0, 7];
        frame.extend(packed(&[(0b01000, 5), (0b10, 2)]));
        let told = rewritten(&frame, Shift::default(), Some(ALL));
        assert_eq!(told, frame);
        let keyframe = two_sizes();
        let structure = Structure::parse(&keyframe).unwrap();
        let described = Described::new(&[1, 0, 8], [&structure], 0b10).unwrap();
        let told = described.rewrite(Shift::default(), Some(ALL));
        assert_eq!(told.bytes(), [1, 0, 8, 0b0100_0100], "as it was said before");
    }

    #[test]
    fn a_structure_is_passed_on_with_ids_of_its_own() {
        for (extension, base) in [(two_layers(), 0b10), (two_sizes(), 0b01)] {
            let before = Structure::parse(&extension).unwrap();
            let described = Described::new(&extension, [&before], u32::MAX).unwrap();
            let shown = Layer { spatial: 0, temporal: 0 };
            let told = described.rewrite(Shift { frame: 1, template: 9 }, Some(shown));
            let after = Structure::parse(told.bytes()).unwrap();
            assert_eq!(after.offset, shifted(before.offset, 9));
            assert_eq!(
                described.last_told(Shift { frame: 1, template: 9 }, (0, 0)),
                (0x0103, after.next())
            );
            assert_eq!((&after.templates, &after.targets), (&before.templates, &before.targets));
            assert_eq!((after.sizes(), after.end), (before.sizes(), before.end));
            assert_eq!(after.active(told.bytes()), Some(base), "the base layer's target");
            let id = Descriptor::parse(told.bytes()).unwrap().template;
            let own = Descriptor::parse(&extension).unwrap().template;
            assert_eq!(after.template(id), before.template(own));
        }
    }

    #[test]
    fn a_stream_follows_another_on_numbers_of_its_own() {
        let keyframe = two_sizes();
        let structure = Structure::parse(&keyframe).unwrap();
        let described = Described::new(&keyframe, [&structure], u32::MAX).unwrap();
        let shift = described.shift_behind((0xffff, 62));
        assert_eq!(shift, Shift { frame: 0u16.wrapping_sub(0x0102), template: 62 });
        let told = described.rewrite(shift, None);
        let first = Descriptor::parse(told.bytes()).unwrap();
        assert_eq!((first.frame_number, first.template), (0, 62));
        assert_eq!(described.last_told(shift, (0xffff, 62)), (0, 1));
    }

    #[test]
    fn of_a_structure_that_is_not_here_only_the_numbers_are_told() {
        let (other, keyframe) = (two_layers(), two_sizes());
        let structures = [&other, &keyframe].map(|bytes| Structure::parse(bytes).unwrap());
        let shift = Shift { frame: 1, template: 1 };
        let told = |extension: &[u8]| {
            let described = Described::new(extension, &structures, u32::MAX).unwrap();
            described.rewrite(shift, Some(ALL)).bytes().to_vec()
        };
        assert_eq!(told(&[0x80 | 63, 0, 1]), [0x80, 0, 2, 0b0100_0110], "of the first");
        assert_eq!(told(&[0x80 | 2, 0, 1]), [0x80 | 3, 0, 2, 0b0100_0110], "of the second");
        assert_eq!(told(&[0x80 | 9, 0, 1]), [0x80 | 10, 0, 2]);
        let mut unknown = other.clone();
        put(&mut unknown, OFFSET_AT, 40, 6);
        let mut expected = unknown.clone();
        expected[..3].copy_from_slice(&[0x80 | 63, 0x01, 0x03]);
        put(&mut expected, OFFSET_AT, 41, 6);
        assert_eq!(told(&unknown), expected);
        assert!(Described::new(&[0x82, 0], &structures, 1).is_none());
        assert!(Described::new(&[0x82; 256], &structures, 1).is_none());
    }

    proptest! {
        #[test]
        fn any_frame_keeps_what_it_says_of_itself(
            tail in prop::collection::vec(any::<u8>(), 0..250),
            frame: u16, template in 0u8..64, spatial in 0u8..4, temporal in 0u8..8,
        ) {
            let keyframe = two_sizes();
            let structure = Structure::parse(&keyframe).unwrap();
            let mut extension = vec![0x81, 0, 9];
            extension.extend(tail);
            let parsed = Descriptor::parse(&extension).unwrap();
            prop_assume!(!parsed.has_structure);
            let described = Described::new(&extension, [&structure], u32::MAX).unwrap();
            let shift = Shift { frame, template };
            let told = described.rewrite(shift, Some(Layer { spatial, temporal }));
            let told = told.bytes();
            let after = Descriptor::parse(told).unwrap();
            prop_assert_eq!(after.frame_number, frame.wrapping_add(9));
            prop_assert_eq!(after.template, shifted(1, template));
            prop_assert!(after.has_active);
            let count = structure.targets().len();
            let behind = |bytes, has_active| {
                let at = OFFSET_AT + if has_active { count } else { 0 };
                let mut bits = Reader::new(bytes, at);
                std::iter::from_fn(move || bits.take(1)).collect::<Vec<_>>()
            };
            let before = behind(&extension, parsed.has_active);
            let moved = behind(told, true);
            prop_assert_eq!(&moved[..before.len()], &before[..]);
            prop_assert!(moved[before.len()..].iter().all(|bit| *bit == 0));
        }
    }
}
