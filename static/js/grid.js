// Where tiles stand. Pure geometry in CSS pixels.

/** @typedef {{x: number, y: number, width: number, height: number}} Box */
/** @typedef {{columns: number, rows: number, width: number, height: number}} Grid */

/** Tiles on one page: more are too small to read a face, unless the screen is large. */
const PER_PAGE = 9;
const PER_PAGE_SMALL = 4;
/** What a tile needs on a page of more: as much as one of nine has in a small window. */
const ROOMY = { width: 360, height: 202 };

/**
 * How many tiles a page has in a window of that size.
 * @param {number} width
 * @param {number} height
 */
export function tilesPerPage(width, height) {
  if (Math.min(width, height) < 480) return PER_PAGE_SMALL;
  const across = [5, 4].find((n) => width >= n * ROOMY.width && height >= n * ROOMY.height);
  return across ? across * across : PER_PAGE;
}

/** A tile is never wider than this for its height: faces sit in the middle. */
const WIDEST = 16 / 9;
/** A tile is never narrower than this for its height, so that heads are not cut; phones stand upright. */
const NARROWEST = 4 / 3;
const NARROWEST_UPRIGHT = 2 / 3;
const WIDEST_ALONE = 2.2;
const NARROWEST_ALONE = 0.45;

/**
 * The number of columns that makes the tiles as large as they can be.
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @returns {Grid}
 */
export function bestGrid(count, width, height, gap) {
  if (count === 1) {
    // One alone may fill the stage, short of the shapes in which a face is cut.
    const tileWidth = Math.floor(Math.min(width, height * WIDEST_ALONE));
    return { columns: 1, rows: 1, width: tileWidth, height: Math.floor(Math.min(height, tileWidth / NARROWEST_ALONE)) };
  }
  const narrowest = height > width ? NARROWEST_UPRIGHT : NARROWEST;
  /** @type {Grid} */
  let best = { columns: 1, rows: Math.max(1, count), width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const cellWidth = (width - gap * (columns - 1)) / columns;
    const cellHeight = (height - gap * (rows - 1)) / rows;
    if (cellWidth <= 0 || cellHeight <= 0) continue;
    const tileWidth = Math.floor(Math.min(cellWidth, cellHeight * WIDEST));
    const tileHeight = Math.floor(Math.min(cellHeight, tileWidth / narrowest));
    if (tileWidth * tileHeight > best.width * best.height) {
      best = { columns, rows, width: tileWidth, height: tileHeight };
    }
  }
  return best;
}

/**
 * Boxes of `count` tiles in the best grid; the last row stands in the middle.
 * @param {number} count
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @returns {Box[]}
 */
export function gridBoxes(count, width, height, gap) {
  const grid = bestGrid(count, width, height, gap);
  const top = (height - grid.rows * grid.height - (grid.rows - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const row = Math.floor(index / grid.columns);
    const inRow = Math.min(grid.columns, count - row * grid.columns);
    const left = (width - inRow * grid.width - (inRow - 1) * gap) / 2;
    const column = index - row * grid.columns;
    return {
      x: Math.round(left + column * (grid.width + gap)),
      y: Math.round(top + row * (grid.height + gap)),
      width: grid.width,
      height: grid.height,
    };
  });
}

/**
 * One thing on the stage and people in a strip: beside it in a wide window, below it in a tall one.
 * `strip` has a box for as many people as fit, at most `count`.
 * @param {number} count people for the strip
 * @param {number} width
 * @param {number} height
 * @param {number} gap
 * @returns {{stage: Box, strip: Box[]}}
 */
export function stageBoxes(count, width, height, gap) {
  const whole = { x: 0, y: 0, width: Math.max(0, Math.round(width)), height: Math.max(0, Math.round(height)) };
  if (count === 0) return { stage: whole, strip: [] };
  if (width >= height) {
    const tileWidth = Math.round(Math.min(240, Math.max(120, width * 0.19)));
    const tileHeight = Math.round(tileWidth / WIDEST);
    const fits = Math.max(1, Math.min(count, Math.floor((height + gap) / (tileHeight + gap))));
    const top = Math.max(0, Math.round((height - fits * tileHeight - (fits - 1) * gap) / 2));
    const x = Math.round(width - tileWidth);
    return {
      stage: { ...whole, width: Math.max(0, x - gap) },
      strip: Array.from({ length: fits }, (_, index) => ({ x, y: top + index * (tileHeight + gap), width: tileWidth, height: tileHeight })),
    };
  }
  const tileHeight = Math.round(Math.min(140, Math.max(84, height * 0.18)));
  const tileWidth = Math.round(tileHeight * 0.9);
  const fits = Math.max(1, Math.min(count, Math.floor((width + gap) / (tileWidth + gap))));
  const left = Math.max(0, Math.round((width - fits * tileWidth - (fits - 1) * gap) / 2));
  const y = Math.round(height - tileHeight);
  return {
    stage: { ...whole, height: Math.max(0, y - gap) },
    strip: Array.from({ length: fits }, (_, index) => ({ x: left + index * (tileWidth + gap), y, width: tileWidth, height: tileHeight })),
  };
}

/**
 * One page of a list, and where it stands among the pages. A page number past the end is the last page.
 * @template T
 * @param {readonly T[]} items
 * @param {number} page from 0
 * @param {number} perPage
 */
export function pageOf(items, page, perPage) {
  const pages = Math.max(1, Math.ceil(items.length / perPage));
  const current = Math.min(Math.max(0, page), pages - 1);
  return { items: items.slice(current * perPage, (current + 1) * perPage), page: current, pages };
}

/**
 * In a room that needs pages those with a picture come first: a page of initials says less.
 * @param {readonly string[]} order
 * @param {(id: string) => boolean} hasPicture
 * @param {number} visible places of the first page
 */
export function picturesFirst(order, hasPicture, visible) {
  if (order.length <= visible) return [...order];
  return [...order.filter(hasPicture), ...order.filter((id) => !hasPicture(id))];
}

/**
 * Brings people who speak into the first `visible` places. Nobody moves who is visible already:
 * a speaker from further back takes the place of the last visible person who does not speak.
 * @param {readonly string[]} order
 * @param {readonly string[]} speakers
 * @param {number} visible
 * @returns {string[]}
 */
export function withSpeakersVisible(order, speakers, visible) {
  const placed = [...order];
  const loud = speakers.slice(0, visible);
  for (const speaker of loud) {
    const from = placed.indexOf(speaker);
    if (from < visible) continue;
    for (let to = Math.min(visible, placed.length) - 1; to >= 0; to--) {
      const there = placed[to];
      if (there === undefined || loud.includes(there)) continue;
      placed[to] = speaker;
      placed[from] = there;
      break;
    }
  }
  return placed;
}
