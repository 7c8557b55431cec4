//! The dependency descriptor header extension, which tells the layers of AV1 (AOMedia's RTP payload
//! format, appendix A). Only what forwarding needs is read.

use super::Layer;

/// Templates that ids of six bits can name.
const MAX_TEMPLATES: usize = 64;

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
}

impl Descriptor {
    /// Reads the beginning of the extension; `None` if it ends inside.
    pub fn parse(extension: &[u8]) -> Option<Self> {
        let &[first, high, low] = extension.first_chunk()?;
        Some(Self {
            is_start: first & 0x80 != 0,
            is_end: first & 0x40 != 0,
            template: first & 0x3f,
            frame_number: u16::from_be_bytes([high, low]),
            has_structure: extension.get(3).is_some_and(|flags| flags & 0x80 != 0),
        })
    }
}

/// A frame as a template describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Layer of its frames.
    pub layer: Layer,
    /// A receiver of fewer temporal layers may go on from such a frame with this one.
    pub may_rise: bool,
}

/// The templates of a stream, told with its keyframes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    offset: u8,
    templates: Vec<Template>,
    sizes: Vec<(u16, u16)>,
}

impl Structure {
    /// Reads the structure from an extension that has one; `None` for one that breaks off or breaks rules.
    pub fn parse(extension: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: extension.get(3..)?, at: 0 };
        if bits.take(1)? == 0 {
            return None;
        }
        bits.take(4)?;
        let offset = bits.take(6)? as u8;
        let targets = bits.take(5)? as usize + 1;
        let mut templates = Vec::new();
        let mut layer = Layer::default();
        loop {
            if templates.len() == MAX_TEMPLATES {
                return None;
            }
            templates.push(Template { layer, may_rise: false });
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
        for template in &mut templates {
            for _ in 0..targets {
                template.may_rise |= bits.take(2)? == SWITCH;
            }
        }
        let layers = usize::from(layer.spatial) + 1;
        let sizes = bits.skip_references(templates.len(), targets);
        let sizes = sizes.and_then(|()| bits.take_sizes(layers)).unwrap_or_default();
        Some(Self { offset, templates, sizes })
    }

    /// Width and height of each spatial layer, the smallest first; empty where it does not say.
    pub fn sizes(&self) -> &[(u16, u16)] {
        &self.sizes
    }

    /// The template of a frame.
    pub fn template(&self, id: u8) -> Option<Template> {
        let index = (usize::from(id) + MAX_TEMPLATES - usize::from(self.offset)) % MAX_TEMPLATES;
        self.templates.get(index).copied()
    }
}

/// Decode target indication: one may switch to the target with this frame.
const SWITCH: u32 = 2;

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// Reads a number below `count`, in one bit less than it could need where that is enough.
    fn take_below(&mut self, count: usize) -> Option<usize> {
        let width = count.ilog2() as usize + 1;
        let short = (1 << width) - count;
        let value = self.take(width - 1)? as usize;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.take(1)? as usize)
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

    fn take_sizes(&mut self, layers: usize) -> Option<Vec<(u16, u16)>> {
        if self.take(1)? == 0 {
            return None;
        }
        let mut side = || Some((self.take(16)? as u16).saturating_add(1));
        (0..layers).map(|_| Some((side()?, side()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes bits, first to last.
    fn packed(fields: &[(u32, usize)]) -> Vec<u8> {
        let mut bits: Vec<u8> = Vec::new();
        for &(value, count) in fields {
            bits.extend((0..count).rev().map(|at| (value >> at & 1) as u8));
        }
        bits.chunks(8)
            .map(|chunk| chunk.iter().enumerate().fold(0, |byte, (at, bit)| byte | bit << (7 - at)))
            .collect()
    }

    /// Two temporal layers, two decode targets; template ids begin at 62 and wrap.
    fn two_layers() -> Vec<u8> {
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
        assert_eq!(template(62), Some(Template { layer: layer(0), may_rise: true }));
        assert_eq!(template(63), Some(Template { layer: layer(0), may_rise: false }));
        assert_eq!(template(0), Some(Template { layer: layer(1), may_rise: true }));
        assert_eq!(template(1), Some(Template { layer: layer(1), may_rise: false }));
        assert_eq!(template(2), None);
    }

    /// Two spatial layers with their sizes, two decode targets, two chains.
    fn two_sizes() -> Vec<u8> {
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
        let cut = two_sizes();
        let without = Structure::parse(&cut[..cut.len() - 2]).unwrap();
        assert_eq!(without.sizes(), [], "sizes that break off are none");
        assert_eq!(Structure::parse(&two_layers()).unwrap().sizes(), []);
    }

    #[test]
    fn what_breaks_off_is_none() {
        let extension = two_layers();
        for end in 0..extension.len() {
            assert_eq!(Structure::parse(&extension[..end]), None);
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
            }
        }
    }
}
