//! The dependency descriptor header extension, which tells the layers of AV1 (AOMedia's RTP payload
//! format, appendix A). Only what forwarding needs is read.

mod bits;
mod described;

pub use described::{Described, Shift};

use super::Layer;
use bits::Reader;

/// Templates that ids of six bits can name.
const MAX_TEMPLATES: usize = 64;
/// Bits of what stands in every packet.
const MANDATORY_BITS: usize = 24;
/// What follows is flags: a structure, active targets, and three ways to differ from a template.
const FLAG_BITS: usize = 5;

/// What stands in every packet of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// First packet of the frame.
    pub is_start: bool,
    /// Last packet of the frame.
    pub is_end: bool,
    /// Which template describes the frame.
    pub template: u8,
    /// Running number of the frame.
    pub frame_number: u16,
    /// A structure follows: templates are told anew.
    pub has_structure: bool,
    /// It says which targets are sent.
    pub has_active: bool,
}

impl Descriptor {
    /// Reads the beginning of the extension; `None` if it ends inside.
    pub fn parse(extension: &[u8]) -> Option<Self> {
        let &[first, high, low] = extension.first_chunk()?;
        let flags = extension.get(3).copied().unwrap_or(0);
        Some(Self {
            is_start: first & 0x80 != 0,
            is_end: first & 0x40 != 0,
            template: first & 0x3f,
            frame_number: u16::from_be_bytes([high, low]),
            has_structure: flags & 0x80 != 0,
            has_active: flags & 0x40 != 0,
        })
    }
}

/// A frame as a template describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Layer of its frames.
    pub layer: Layer,
    /// Who can show such a frame can show all temporal layers up to this one from here on.
    pub opens: u8,
}

/// The templates of a stream, told with its keyframes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    offset: u8,
    templates: Vec<Template>,
    /// What each decode target shows.
    targets: Vec<Layer>,
    sizes: Vec<(u16, u16)>,
    /// Where it ends in its extension.
    end: usize,
}

impl Structure {
    /// Reads the structure from an extension that has one; `None` for one that breaks off or breaks rules.
    pub fn parse(extension: &[u8]) -> Option<Self> {
        let mut bits = Reader::new(extension, MANDATORY_BITS);
        if bits.take(1)? == 0 {
            return None;
        }
        bits.take(FLAG_BITS - 1)?;
        let offset = bits.take(6)? as u8;
        let targets = bits.take(5)? as usize + 1;
        let mut templates = Vec::new();
        let mut layer = Layer::default();
        loop {
            if templates.len() == MAX_TEMPLATES {
                return None;
            }
            templates.push(Template { layer, opens: 0 });
            match bits.take(2)? {
                0 => {}
                1 => layer.temporal += 1,
                2 => layer = Layer { spatial: layer.spatial + 1, temporal: 0 },
                _ => break,
            }
            if layer.temporal > 7 || layer.spatial > 3 {
                return None;
            }
        }
        let targets = bits.read_targets(&mut templates, targets)?;
        bits.skip_references(templates.len(), targets.len())?;
        let sizes = bits.read_sizes(usize::from(layer.spatial) + 1)?;
        Some(Self { offset, templates, targets, sizes, end: bits.at() })
    }

    /// Width and height of each spatial layer, the smallest first; empty where it does not say.
    pub fn sizes(&self) -> &[(u16, u16)] {
        &self.sizes
    }

    /// What each decode target shows, in their order.
    pub fn targets(&self) -> &[Layer] {
        &self.targets
    }

    /// The template of a frame.
    pub fn template(&self, id: u8) -> Option<Template> {
        let index = (usize::from(id) + MAX_TEMPLATES - usize::from(self.offset)) % MAX_TEMPLATES;
        self.templates.get(index).copied()
    }

    /// Which targets an extension says are sent, one bit each; `None` where it does not say.
    ///
    /// An extension with a structure speaks of all of them unless it says otherwise.
    pub fn active(&self, extension: &[u8]) -> Option<u32> {
        let descriptor = Descriptor::parse(extension)?;
        let at = if descriptor.has_structure { self.end } else { MANDATORY_BITS + FLAG_BITS };
        if descriptor.has_active {
            return Reader::new(extension, at).take(self.targets.len());
        }
        descriptor.has_structure.then_some(u32::MAX)
    }
}

/// Decode target indications: the frame is not needed for the target; one may switch to the target with it.
const NOT_PRESENT: u32 = 0;
const SWITCH: u32 = 2;

impl Reader<'_> {
    /// Reads what each template's frames are to each target, and with that what targets are.
    fn read_targets(&mut self, templates: &mut [Template], count: usize) -> Option<Vec<Layer>> {
        let mut targets = vec![Layer::default(); count];
        let mut indications = Vec::with_capacity(templates.len() * count);
        for template in templates.iter() {
            for target in &mut targets {
                let indication = self.take(2)?;
                indications.push(indication);
                if indication != NOT_PRESENT {
                    target.spatial = target.spatial.max(template.layer.spatial);
                    target.temporal = target.temporal.max(template.layer.temporal);
                }
            }
        }
        for (template, indications) in templates.iter_mut().zip(indications.chunks(count)) {
            let opened = indications.iter().zip(&targets).filter(|(found, _)| **found == SWITCH);
            template.opens = opened.map(|(_, target)| target.temporal).max().unwrap_or(0);
        }
        Some(targets)
    }

    /// Passes what templates say of earlier frames: differences and chains.
    fn skip_references(&mut self, templates: usize, targets: usize) -> Option<()> {
        for _ in 0..templates {
            while self.take(1)? == 1 {
                self.take(4)?;
            }
        }
        let chains = self.take_below(targets + 1)?;
        if chains > 0 {
            for _ in 0..targets {
                self.take_below(chains)?;
            }
            for _ in 0..templates * chains {
                self.take(4)?;
            }
        }
        Some(())
    }

    fn read_sizes(&mut self, layers: usize) -> Option<Vec<(u16, u16)>> {
        if self.take(1)? == 0 {
            return Some(Vec::new());
        }
        let mut side = || Some((self.take(16)? as u16).saturating_add(1));
        (0..layers).map(|_| Some((side()?, side()?))).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes bits, first to last.
    pub(super) fn packed(fields: &[(u32, usize)]) -> Vec<u8> {
        let mut bits: Vec<u8> = Vec::new();
        for &(value, count) in fields {
            bits.extend((0..count).rev().map(|at| (value >> at & 1) as u8));
        }
        bits.chunks(8)
            .map(|chunk| chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at)))
            .collect()
    }

    /// Two temporal layers, two decode targets; template ids begin at 62 and wrap.
    pub(super) fn two_layers() -> Vec<u8> {
        let mut extension = vec![0x80 | 62, 0x01, 0x02];
        extension.extend(packed(&[
            (0b10000, 5),
            (62, 6),
            (1, 5),
            (0, 2),
            (1, 2),
            (0, 2),
            (3, 2),
            // Two templates of layer 0, two of layer 1; targets: both, base alone.
            (0b1010, 4),
            (0b1111, 4),
            (0b1000, 4),
            (0b0100, 4),
            // No differences, no chains, no sizes.
            (0, 4),
            (0, 1),
            (0, 1),
        ]));
        extension
    }

    #[test]
    fn templates_are_found_by_ids_that_wrap() {
        let extension = two_layers();
        let descriptor = Descriptor::parse(&extension).unwrap();
        assert!(descriptor.is_start && !descriptor.is_end && descriptor.has_structure);
        assert_eq!((descriptor.template, descriptor.frame_number), (62, 0x0102));
        let structure = Structure::parse(&extension).unwrap();
        let layer = |temporal| Layer { spatial: 0, temporal };
        let template = |id| structure.template(id);
        assert_eq!(template(62), Some(Template { layer: layer(0), opens: 1 }));
        assert_eq!(template(63), Some(Template { layer: layer(0), opens: 0 }));
        assert_eq!(template(0), Some(Template { layer: layer(1), opens: 1 }));
        assert_eq!(template(1), Some(Template { layer: layer(1), opens: 0 }));
        assert_eq!(template(2), None);
        assert_eq!(structure.targets(), [layer(1), layer(0)]);
    }

    /// Two spatial layers with their sizes, two decode targets, two chains.
    pub(super) fn two_sizes() -> Vec<u8> {
        let mut extension = vec![0x80, 0x01, 0x02];
        extension.extend(packed(&[
            (0b10000, 5),
            (0, 6),
            (1, 5),
            // Templates: two of layer 0, one of layer 1.
            (0, 2),
            (2, 2),
            (3, 2),
            (0b1010, 4),
            (0b1110, 4),
            (0b0010, 4),
            // Differences: none; 1 and 3 frames; 2 frames.
            (0, 1),
            (0b1_0000, 5),
            (0b1_0010, 5),
            (0, 1),
            (0b1_0001, 5),
            (0, 1),
            // Two chains of two targets: below three, two is 11; below two, one bit each.
            (0b11, 2),
            (0b01, 2),
            (0x12, 8),
            (0x34, 8),
            (0x56, 8),
            (1, 1),
            (319, 16),
            (179, 16),
            (639, 16),
            (359, 16),
        ]));
        extension
    }

    #[test]
    fn a_structure_tells_the_size_of_each_layer() {
        let structure = Structure::parse(&two_sizes()).unwrap();
        assert_eq!(structure.sizes(), [(320, 180), (640, 360)]);
        let top = structure.template(2).unwrap().layer;
        assert_eq!(top, Layer { spatial: 1, temporal: 0 });
        let layer = |spatial| Layer { spatial, temporal: 0 };
        assert_eq!(structure.targets(), [layer(0), layer(1)]);
        assert_eq!(Structure::parse(&two_layers()).unwrap().sizes(), []);
    }

    #[test]
    fn what_breaks_off_is_none() {
        for extension in [two_layers(), two_sizes()] {
            for end in 0..extension.len() {
                assert_eq!(Structure::parse(&extension[..end]), None);
            }
        }
        assert_eq!(Structure::parse(&[0x80, 0, 1, 0x7f]), None, "no structure");
    }

    proptest! {
        #[test]
        fn garbage_is_read_within_its_bounds(
            extension in prop::collection::vec(any::<u8>(), 0..256),
            id in 0u8..64,
        ) {
            Descriptor::parse(&extension);
            if let Some(structure) = Structure::parse(&extension) {
                prop_assert!(structure.templates.len() <= MAX_TEMPLATES);
                structure.template(id);
                prop_assert!(structure.targets.len() <= 32);
                structure.active(&extension);
            }
        }
    }
}
