//! EBML (RFC 8794) as far as Matroska (RFC 9559) needs it here: ids, sizes, values, and reading them back.

/// An element id with its length marker, as the registry lists it.
pub type Id = u32;

/// Bytes of a size that is filled in later; enough for 72 petabytes.
pub const LONG_SIZE: usize = 8;
/// A size that is not known (yet), in [`LONG_SIZE`] bytes.
pub const UNKNOWN_SIZE: [u8; LONG_SIZE] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Fills in a size that was left open, in [`LONG_SIZE`] bytes.
pub fn long_size(size: u64) -> [u8; LONG_SIZE] {
    (size & 0x00ff_ffff_ffff_ffff | 1 << 56).to_be_bytes()
}

/// Appends an id.
pub fn write_id(out: &mut Vec<u8>, id: Id) {
    let skip = id.leading_zeros() as usize / 8;
    out.extend_from_slice(&id.to_be_bytes()[skip..]);
}

/// Appends a size in as few bytes as it takes.
pub fn write_size(out: &mut Vec<u8>, size: u64) {
    // All ones would mean that the size is not known.
    let length = (1..LONG_SIZE).find(|&n| size < (1 << (7 * n)) - 1).unwrap_or(LONG_SIZE);
    let marked = size | 1 << (7 * length);
    out.extend_from_slice(&marked.to_be_bytes()[8 - length..]);
}

/// Appends an element of raw bytes.
pub fn write_bytes(out: &mut Vec<u8>, id: Id, bytes: &[u8]) {
    write_id(out, id);
    write_size(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an unsigned number.
pub fn write_uint(out: &mut Vec<u8>, id: Id, value: u64) {
    let skip = (value.leading_zeros() as usize / 8).min(7);
    write_bytes(out, id, &value.to_be_bytes()[skip..]);
}

/// Appends a signed number of eight bytes.
pub fn write_int(out: &mut Vec<u8>, id: Id, value: i64) {
    write_bytes(out, id, &value.to_be_bytes());
}

/// Appends a floating point number of eight bytes.
pub fn write_float(out: &mut Vec<u8>, id: Id, value: f64) {
    write_bytes(out, id, &value.to_be_bytes());
}

/// Appends an element that holds others.
pub fn write_master(out: &mut Vec<u8>, id: Id, children: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    children(&mut inner);
    write_bytes(out, id, &inner);
}

/// Appends an element without meaning that takes `length` bytes in all; at least 2.
pub fn write_void(out: &mut Vec<u8>, length: usize) {
    debug_assert!(length >= 2, "an id and a size take two bytes");
    write_id(out, VOID);
    let content = if length < 2 + LONG_SIZE {
        write_size(out, length as u64 - 2);
        length - 2
    } else {
        out.extend_from_slice(&long_size((length - 1 - LONG_SIZE) as u64));
        length - 1 - LONG_SIZE
    };
    out.resize(out.len() + content, 0);
}

/// What stands at the beginning of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which element.
    pub id: Id,
    /// Bytes of its content; none where it is not known.
    pub size: Option<u64>,
    /// Bytes of id and size themselves.
    pub length: usize,
}

/// Reads an id and a size; nothing where they are cut off or break the rules.
pub fn read_head(bytes: &[u8]) -> Option<Head> {
    let first = *bytes.first()?;
    let id_length = first.leading_zeros() as usize + 1;
    if id_length > 4 {
        return None;
    }
    let id = bytes.get(..id_length)?.iter().fold(0, |id: Id, &byte| id << 8 | Id::from(byte));
    let first = *bytes.get(id_length)?;
    let size_length = first.leading_zeros() as usize + 1;
    if size_length > LONG_SIZE {
        return None;
    }
    let raw = bytes.get(id_length..id_length + size_length)?;
    let marked = raw.iter().fold(0u64, |size, &byte| size << 8 | u64::from(byte));
    let mask = (1u64 << (7 * size_length)) - 1;
    let size = marked & mask;
    Some(Head { id, size: (size != mask).then_some(size), length: id_length + size_length })
}

/// Reads an unsigned number of up to eight bytes.
pub fn read_uint(content: &[u8]) -> Option<u64> {
    (content.len() <= 8).then(|| content.iter().fold(0, |value, &b| value << 8 | u64::from(b)))
}

/// The elements in some bytes, with their content; ends at the first that is cut off or broken.
pub fn children(bytes: &[u8]) -> impl Iterator<Item = (Id, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let head = read_head(rest)?;
        let size = usize::try_from(head.size?).ok()?;
        let (content, next) = rest.get(head.length..)?.split_at_checked(size)?;
        rest = next;
        Some((head.id, content))
    })
}

/// Nothing, taking room.
pub const VOID: Id = 0xec;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(id in prop::sample::select(vec![0xecu32, 0x4286, 0x2ad7b1, 0x1a45dfa3]),
                                   bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut out = Vec::new();
            write_bytes(&mut out, id, &bytes);
            let head = read_head(&out).unwrap();
            prop_assert_eq!(head.id, id);
            prop_assert_eq!(head.size, Some(bytes.len() as u64));
            prop_assert_eq!(&out[head.length..], &bytes[..]);
        }

        #[test]
        fn sizes_are_read_back(size in 0u64..(1 << 56) - 1) {
            let mut out = vec![0xec];
            write_size(&mut out, size);
            prop_assert_eq!(read_head(&out).unwrap().size, Some(size));
            let mut long = vec![0xec];
            long.extend(long_size(size));
            prop_assert_eq!(read_head(&long).unwrap().size, Some(size));
        }

        #[test]
        fn numbers_are_read_back(value: u64) {
            let mut out = Vec::new();
            write_uint(&mut out, 0xd7, value);
            let (_, content) = children(&out).next().unwrap();
            prop_assert_eq!(read_uint(content), Some(value));
        }

        #[test]
        fn nothing_breaks_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_head(&bytes);
            let _ = children(&bytes).count();
        }

        #[test]
        fn voids_take_the_room_they_are_told(length in 2usize..300) {
            let mut out = Vec::new();
            write_void(&mut out, length);
            prop_assert_eq!(out.len(), length);
            let head = read_head(&out).unwrap();
            prop_assert_eq!(head.length + head.size.unwrap() as usize, length);
        }
    }

    #[test]
    fn an_unknown_size_is_told_as_such() {
        let mut out = vec![0x18, 0x53, 0x80, 0x67];
        out.extend(UNKNOWN_SIZE);
        assert_eq!(read_head(&out).unwrap().size, None);
        assert_eq!(read_head(&[0xec, 0xff]).unwrap().size, None);
    }
}
