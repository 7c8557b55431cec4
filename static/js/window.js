// Which rows of a long list stand in the page: those in sight and some around them. Pure.

/** Rows kept beyond what is in sight: fewer flash while scrolling, more cost at each draw. */
const AROUND = 8;

/**
 * @param {number} count rows in all
 * @param {number} rowHeight
 * @param {number} top how far the list is scrolled
 * @param {number} height how much of it is in sight
 * @returns {{from: number, to: number}} rows `from` up to but not `to`
 */
export function rowsInSight(count, rowHeight, top, height) {
  const first = Math.floor(top / rowHeight) - AROUND;
  const last = Math.ceil((top + height) / rowHeight) + AROUND;
  const from = Math.max(0, Math.min(first, count - (last - first)));
  return { from, to: Math.min(count, Math.max(last, 0)) };
}

/**
 * The numbers of the rows that stand in the page, and the empty space before and after them. A row that is held (it
 * has the focus) stays, wherever it is.
 * @param {number} count
 * @param {number} rowHeight
 * @param {{from: number, to: number}} sight
 * @param {number} held -1 for none
 */
export function windowOf(count, rowHeight, { from, to }, held) {
  const rows = Array.from({ length: Math.max(0, to - from) }, (_, n) => from + n);
  let before = from * rowHeight;
  let after = (count - to) * rowHeight;
  if (held >= 0 && held < from) {
    rows.unshift(held);
    before -= rowHeight;
  } else if (held >= to && held < count) {
    rows.push(held);
    after -= rowHeight;
  }
  return { rows, before: Math.max(0, before), after: Math.max(0, after) };
}
