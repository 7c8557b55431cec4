//! Where pictures stand in a frame. Pure arithmetic; all numbers are pixels and even, as encoders of video want.

/// A rectangle in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left.
    pub x: u32,
    /// Top.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Pictures beside a large one.
pub const STRIP: usize = 5;

/// Between pictures.
const GAP: u32 = 4;

/// `count` pictures of the same size, in as many columns as rows or one more; the last row in the middle.
pub fn grid(frame: (u32, u32), count: usize) -> Vec<Rect> {
    let columns = (1..).find(|columns| columns * columns >= count).unwrap_or(1);
    let rows = count.div_ceil(columns);
    let (width, height) = (share(frame.0, columns), share(frame.1, rows));
    (0..count)
        .map(|place| {
            let (row, column) = (place / columns, place % columns);
            let in_row = columns.min(count - row * columns) as u32;
            let used = in_row * width + (in_row - 1) * GAP;
            let left = even(frame.0.saturating_sub(used) / 2);
            Rect {
                x: left + column as u32 * (width + GAP),
                y: row as u32 * (height + GAP),
                width,
                height,
            }
        })
        .collect()
}

/// One large picture, and up to [`STRIP`] beside it, one above the other.
pub fn stage(frame: (u32, u32), beside: usize) -> Vec<Rect> {
    if beside == 0 {
        return vec![Rect { x: 0, y: 0, width: frame.0, height: frame.1 }];
    }
    let strip = even(frame.0 / 5);
    let height = share(frame.1, STRIP);
    let large = Rect { x: 0, y: 0, width: even(frame.0 - strip - GAP), height: frame.1 };
    let beside = beside.min(STRIP) as u32;
    let used = beside * height + (beside - 1) * GAP;
    let top = even((frame.1 - used) / 2);
    let small = (0..beside).map(|place| Rect {
        x: frame.0 - strip,
        y: top + place * (height + GAP),
        width: strip,
        height,
    });
    std::iter::once(large).chain(small).collect()
}

/// What each of `parts` gets of a length.
fn share(length: u32, parts: usize) -> u32 {
    let parts = parts.max(1) as u32;
    even(length.saturating_sub((parts - 1) * GAP) / parts)
}

fn even(length: u32) -> u32 {
    length & !1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: (u32, u32) = (1280, 720);

    fn apart(a: Rect, b: Rect) -> bool {
        a.x + a.width <= b.x
            || b.x + b.width <= a.x
            || a.y + a.height <= b.y
            || b.y + b.height <= a.y
    }

    #[test]
    fn one_has_the_whole_frame() {
        let whole = Rect { x: 0, y: 0, width: 1280, height: 720 };
        assert_eq!(grid(FRAME, 1), [whole]);
        assert_eq!(stage(FRAME, 0), [whole]);
    }

    #[test]
    fn the_last_row_stands_in_the_middle() {
        let three = grid(FRAME, 3);
        assert_eq!(three[0].y, three[1].y);
        assert_eq!(three[2].x, even((1280 - three[2].width) / 2));
    }

    proptest! {
        #[test]
        fn pictures_are_inside_and_apart(
            count in 1usize..26, width in 64u32..2_000, height in 64u32..2_000, is_stage in any::<bool>(),
        ) {
            let frame = (width & !1, height & !1);
            let rects = if is_stage { stage(frame, count - 1) } else { grid(frame, count) };
            prop_assert_eq!(rects.len(), if is_stage { count.min(STRIP + 1) } else { count });
            for (k, &rect) in rects.iter().enumerate() {
                prop_assert!(rect.width >= 2 && rect.height >= 2);
                prop_assert!(rect.x + rect.width <= frame.0 && rect.y + rect.height <= frame.1, "{rect:?}");
                prop_assert!([rect.x, rect.y, rect.width, rect.height].iter().all(|n| n % 2 == 0));
                prop_assert!(rects[..k].iter().all(|&other| apart(rect, other)));
            }
        }
    }
}
